package advisory

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/vuln"
)

// The JSON of Debian's security tracker: packages, under each its flaws, under
// each of these the releases with a status.
type trackerFlaw struct {
	Description string                    `json:"description"`
	Releases    map[string]trackerRelease `json:"releases"`
}

type trackerRelease struct {
	Status       string  `json:"status"` // open, resolved, undetermined
	FixedVersion string  `json:"fixed_version"`
	Urgency      string  `json:"urgency"`
	NoDSA        *string `json:"nodsa"` // why there is no advisory
	NoDSAReason  *string `json:"nodsa_reason"`
}

// codenames are the releases of Debian. Sid has no number.
//
//nolint:gochecknoglobals // constant table
var codenames = map[string]string{
	"wheezy": "7", "jessie": "8", "stretch": "9", "buster": "10", "bullseye": "11",
	"bookworm": "12", "trixie": "13", "forky": "14", "duke": "15", "sid": "sid",
}

var errShape = errors.New("not of the shape that its first keys promise")

// tracker reads package by package: the whole has tens of megabytes.
func (b *builder) tracker(f *feed) error {
	d := f.decoder()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(errShape, err)
	}
	for d.More() {
		d.next()
		key, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		var flaws map[string]json.RawMessage
		if err := d.Decode(&flaws); err != nil {
			if kind := (*json.UnmarshalTypeError)(nil); errors.As(err, &kind) {
				b.leaveOut("malformed: "+cut(err.Error(), 200), name)
				continue
			}
			return fmt.Errorf("package %.80q: %w", name, err)
		}
		for _, id := range sortedKeys(flaws) {
			var flaw trackerFlaw
			if err := json.Unmarshal(flaws[id], &flaw); err != nil {
				b.leaveOut("malformed: "+cut(err.Error(), 200), id)
				continue
			}
			if err := b.trackerFlaw(name, id, &flaw); err != nil {
				return err
			}
		}
	}
	_, err := d.Token()
	return err
}

func (b *builder) trackerFlaw(name, id string, flaw *trackerFlaw) error {
	r := &record{Prose: Prose{Details: flaw.Description, References: []string{"https://security-tracker.debian.org/tracker/" + id}}}
	r.ID, r.Source = id, "debian"
	if !strings.HasPrefix(id, "CVE-") && !strings.HasPrefix(id, "TEMP-") {
		b.leaveOut("no ID of a flaw", id)
		return nil
	}
	for _, release := range sortedKeys(flaw.Releases) {
		number, ok := codenames[release]
		if !ok {
			b.leaveOut("release is not known: "+cut(release, 40), id)
			continue
		}
		state := flaw.Releases[release]
		c := claim{Ecosystem: "Debian:" + number, Package: name, Ranges: []vuln.Range{{}}}
		c.Severity = debianUrgency(state.Urgency)
		switch {
		case state.Status == "resolved" && state.FixedVersion == "0":
			c.Status = "not-affected"
		case state.Status == "resolved" && state.FixedVersion != "":
			c.Ranges[0].Fixed = state.FixedVersion
		case state.Status == "resolved":
			b.leaveOut("resolved without a version", id)
			continue
		case state.Status == "undetermined":
			c.Status = "unknown"
		case state.Urgency == "end-of-life", state.Urgency == "unimportant", value(state.NoDSAReason) == "ignored":
			c.Status = "wont-fix"
		case state.NoDSA != nil, value(state.NoDSAReason) != "":
			c.Status = "deferred" // postponed, or left to a point release
		}
		r.Claims = append(r.Claims, c)
	}
	if len(r.Claims) == 0 {
		b.leaveOut("no affected packages", id)
		return nil
	}
	return b.add(r)
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// debianUrgency reads an urgency; of old it had stars where it came from NVD.
func debianUrgency(word string) seawall.Severity { return severity(strings.TrimRight(word, "*")) }
