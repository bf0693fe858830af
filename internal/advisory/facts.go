package advisory

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"seawall.io/seawall/internal/vuln"
	"seawall.io/seawall/internal/vuln/cvss"
)

// Feeds that say something of CVEs and nothing of packages.

// kev reads CISA's catalogue of exploited vulnerabilities.
func (b *builder) kev(f *feed) error {
	type catalogue struct {
		Vulnerabilities []struct {
			ID    string   `json:"cveID"`
			Added string   `json:"dateAdded"`
			CWEs  []string `json:"cwes"`
		} `json:"vulnerabilities"`
	}
	return each(f.decoder(), func(c *catalogue) error {
		for _, v := range c.Vulnerabilities {
			if !isCVE(v.ID) || day(v.Added) == "" {
				b.leaveOut("no CVE, or no day", v.ID)
				continue
			}
			b.extras.of(v.ID).KEV = day(v.Added)
			b.extras.describe(v.ID, nil, cweIDs(v.CWEs))
			b.source.Records++
		}
		return nil
	}, func(err error) { b.leaveOut("malformed: "+cut(err.Error(), 200), "") })
}

// severities reads lines of CVSS vectors and CWEs of CVEs, as taken from CISA's
// vulnrichment: {"id":"CVE-…","cvss":"CVSS:3.1/…","cwe":"CWE-79","kev":"2023-01-02"}.
func (b *builder) severities(f *feed) error {
	type line struct {
		ID   string `json:"id"`
		CVSS string `json:"cvss"`
		CWE  string `json:"cwe"`
		KEV  string `json:"kev"`
	}
	return each(f.decoder(), func(l *line) error {
		if !isCVE(l.ID) {
			b.leaveOut("no CVE", l.ID)
			return nil
		}
		b.extras.describe(l.ID, []string{l.CVSS}, cweIDs([]string{l.CWE}))
		if score, err := cvss.Score(l.CVSS); err == nil {
			x := b.extras.of(l.ID)
			x.Severity = max(x.Severity, vuln.Rating(score))
		} else if l.CVSS != "" {
			b.leaveOut("malformed CVSS vector", l.ID)
		}
		if added := day(l.KEV); added != "" {
			if x := b.extras.of(l.ID); x.KEV == "" || added < x.KEV {
				x.KEV = added
			}
		}
		b.source.Records++
		return nil
	}, func(err error) { b.leaveOut("malformed: "+cut(err.Error(), 200), "") })
}

// epss reads the daily scores of EPSS: a comment with the model's version and
// the day, a line of titles, then CVE, probability and percentile.
func (b *builder) epss(f *feed) error {
	f.left = maxFeed // lines of a stream, none of which is long
	lines := bufio.NewReaderSize(f, 64<<10)
	columns := [2]int{-1, -1}
	for n := 1; ; n++ {
		raw, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("line %d is longer than any of EPSS", n)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: %w", n, err)
		}
		text := strings.TrimSpace(strings.TrimPrefix(string(raw), "\ufeff"))
		cells := strings.Split(text, ",")
		switch {
		case text == "" || strings.HasPrefix(text, "#"):
		case columns[0] < 0:
			for i, title := range cells {
				switch strings.TrimSpace(title) {
				case "cve":
					columns[0] = i
				case "epss":
					columns[1] = i
				}
			}
			if columns[0] < 0 || columns[1] < 0 {
				return fmt.Errorf("line %d has no columns cve and epss: %.80q", n, text)
			}
		case len(cells) <= max(columns[0], columns[1]):
			b.leaveOut("too few columns", cells[0])
		default:
			b.probability(strings.TrimSpace(cells[columns[0]]), strings.TrimSpace(cells[columns[1]]))
		}
		if err != nil {
			return nil //nolint:nilerr // the end of the file
		}
	}
}

func (b *builder) probability(id, text string) {
	p, err := strconv.ParseFloat(text, 64)
	if err != nil || !(p >= 0 && p <= 1) || !isCVE(id) {
		b.leaveOut("no CVE, or no probability from 0 to 1", id)
		return
	}
	b.extras.of(id).EPSS = p
	b.source.Records++
}

// lifetime is a release as endoflife.date has it: in its first interface, in its
// second (v1), and in our own table.
type lifetime struct {
	Cycle    any `json:"cycle"`
	Name     any `json:"name"`
	EOL      any `json:"eol"`
	Support  any `json:"support"`
	LTS      any `json:"lts"`
	Extended any `json:"extendedSupport"`

	ActiveFrom   any `json:"eoasFrom"`
	EOLFrom      any `json:"eolFrom"`
	ExtendedFrom any `json:"eoesFrom"`
}

// products are the names of endoflife.date that os-release spells otherwise.
//
//nolint:gochecknoglobals // constant table
var products = map[string]string{
	"rocky-linux": "rocky", "amazon-linux": "amzn", "oracle-linux": "ol", "alpine-linux": "alpine", "almalinux-os": "almalinux",
	"azure-linux": "azurelinux", "opensuse": "opensuse-leap", "redhat": "rhel", "wolfi-os": "wolfi",
}

// lifetimes reads until when releases are supported: an array of cycles, whose
// product is the file's name; an object with result (v1); or an object of
// products, each with an array of cycles.
func (b *builder) lifetimes(f *feed) error {
	return each(f.decoder(), func(raw *json.RawMessage) error {
		text := strings.TrimSpace(string(*raw))
		if strings.HasPrefix(text, "[") {
			product, _, _ := strings.Cut(f.name, ".")
			return b.cycles(product, *raw)
		}
		var v1 struct {
			Result struct {
				Name     string          `json:"name"`
				Releases json.RawMessage `json:"releases"`
			} `json:"result"`
		}
		if err := json.Unmarshal(*raw, &v1); err == nil && v1.Result.Name != "" {
			return b.cycles(v1.Result.Name, v1.Result.Releases)
		}
		var all map[string]json.RawMessage
		if err := json.Unmarshal(*raw, &all); err != nil {
			return fmt.Errorf("%w: %w", errShape, err)
		}
		for _, product := range sortedKeys(all) {
			if err := b.cycles(product, all[product]); err != nil {
				return err
			}
		}
		return nil
	}, func(err error) { b.leaveOut("malformed: "+cut(err.Error(), 200), "") })
}

func (b *builder) cycles(product string, raw json.RawMessage) error {
	var all []lifetime
	if err := json.Unmarshal(raw, &all); err != nil {
		return fmt.Errorf("cycles of %.80q: %w", product, err)
	}
	if name, ok := products[product]; ok {
		product = name
	}
	for _, l := range all {
		r := vuln.Release{Product: product, Cycle: first(l.Cycle, l.Name), ExtendedEOL: first(dated(l.Extended), dated(l.ExtendedFrom))}
		r.EOL, r.LTS = first(dated(l.EOL), dated(l.EOLFrom)), dated(l.LTS)
		if active := first(dated(l.Support), dated(l.ActiveFrom)); product == "debian" && active != "" && active < r.EOL {
			// There, EOL is the end of the LTS team's work, and support that of
			// the security team's.
			r.EOL, r.LTS = active, r.EOL
		}
		if !plain(product) || !plain(r.Cycle) || r.EOL == "" {
			b.leaveOut("no product, cycle or date", cut(product+" "+r.Cycle, 80))
			continue
		}
		b.releases[[2]string{r.Product, r.Cycle}] = r
		b.source.Records++
	}
	return nil
}

// first is the first of some JSON values that is a string with something in it,
// or a number as cycles are where somebody left out the quotes.
func first(values ...any) string {
	for _, v := range values {
		switch v := v.(type) {
		case string:
			if v != "" {
				return v
			}
		case float64:
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
	}
	return ""
}

// dated is the day that a value holds, where it may be true or false as well.
func dated(v any) string {
	text, _ := v.(string)
	return day(text)
}

// plain says that a text can stand in a line between tabs.
func plain(text string) bool {
	return text != "" && len(text) <= maxID && !strings.ContainsAny(text, "\t\n")
}
