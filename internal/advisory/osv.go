package advisory

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/version"
	"seawall.io/seawall/internal/vuln"
)

// osvRecord is a record of OSV, schema 1.x (https://ossf.github.io/osv-schema),
// as far as it is read. What feeds put in their own ways is decoded later, so
// that a quirk in it does not cost the record.
type osvRecord struct {
	ID         string          `json:"id"`
	Modified   string          `json:"modified"`
	Published  string          `json:"published"`
	Withdrawn  string          `json:"withdrawn"`
	Aliases    []string        `json:"aliases"`
	Upstream   []string        `json:"upstream"`
	Related    []string        `json:"related"`
	Summary    string          `json:"summary"`
	Details    string          `json:"details"`
	Severity   []osvSeverity   `json:"severity"`
	Affected   []osvAffected   `json:"affected"`
	References []osvReference  `json:"references"`
	Database   json.RawMessage `json:"database_specific"`
}

type osvReference struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

type osvSeverity struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type osvAffected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
	} `json:"package"`
	Severity  []osvSeverity   `json:"severity"`
	Ranges    []osvRange      `json:"ranges"`
	Versions  []string        `json:"versions"`
	Ecosystem json.RawMessage `json:"ecosystem_specific"`
	Database  json.RawMessage `json:"database_specific"`
}

type osvRange struct {
	Type   string     `json:"type"`
	Events []osvEvent `json:"events"`
}

type osvEvent struct {
	Introduced   string `json:"introduced"`
	Fixed        string `json:"fixed"`
	LastAffected string `json:"last_affected"`
	Limit        string `json:"limit"`
}

// osvSpecific holds what feeds say in fields of their own that means the same in
// each of them.
type osvSpecific struct {
	Severity string   `json:"severity"` // GHSA: LOW, MODERATE, HIGH, CRITICAL
	CWEs     []string `json:"cwe_ids"`  // GHSA
	// GHSA, of ranges without a fix: <= 1.2.3.
	LastKnown     string  `json:"last_known_affected_version_range"`
	Urgency       string  `json:"urgency"`       // Debian
	Informational *string `json:"informational"` // RustSec: unmaintained, unsound, notice
	CVSS          *string `json:"cvss"`          // RustSec
}

type osvImport struct {
	Path    string   `json:"path"`
	Symbols []string `json:"symbols"`
	GOOS    []string `json:"goos"`
	GOARCH  []string `json:"goarch"`
}

func (b *builder) osv(f *feed) error {
	return each(f.decoder(), b.osvRecord, func(err error) { b.leaveOut("malformed: "+cut(err.Error(), 200), "") })
}

func (b *builder) osvRecord(o *osvRecord) error {
	if o.Withdrawn != "" {
		b.leaveOut("withdrawn", o.ID)
		return nil
	}
	var own osvSpecific
	loose(o.Database, &own)
	r := &record{Prose: Prose{Summary: o.Summary, Details: o.Details, Published: day(o.Published)}}
	r.ID, r.Source = o.ID, osvSource(o.ID, b.source.Name)
	r.Aliases, r.Upstream = others(o.Aliases, o.ID), others(o.Upstream, o.ID)
	if len(r.Aliases) == 0 && len(r.Upstream) == 0 && errata(r.Source) {
		r.Upstream = slices.DeleteFunc(others(o.Related, o.ID), func(id string) bool { return !isCVE(id) })
	}
	r.Modified = cmp.Or(day(o.Modified), day(o.Published))
	r.Severity, r.CVSS = osvSeverities(o.Severity)
	r.Severity = max(r.Severity, severity(own.Severity), b.osvWord(r.Source, o.Summary))
	if strings.HasPrefix(o.ID, "MAL-") {
		r.Severity = seawall.Critical // the package is the attack
	}
	r.CWEs = cweIDs(own.CWEs)
	for _, kind := range []string{"ADVISORY", ""} { // the advisory itself first
		for _, ref := range o.References {
			if (ref.Type == "ADVISORY") == (kind == "ADVISORY") && ref.URL != "" {
				r.References = append(r.References, ref.URL)
			}
		}
	}
	if len(o.Affected) == 0 {
		b.leaveOut("no affected packages", o.ID)
		return nil
	}
	for i := range o.Affected {
		if c, ok := b.osvClaim(r, &o.Affected[i]); ok {
			r.Claims = append(r.Claims, c)
		}
	}
	r.Claims = together(r.Claims)
	return b.add(r)
}

// loose decodes what may have another shape than expected, and then leaves what
// could be read.
func loose(raw json.RawMessage, into any) {
	if len(raw) > 0 {
		_ = json.Unmarshal(raw, into)
	}
}

// maxList bounds lists whose entries are compared with one another. The longest
// in any feed are the CVEs of a kernel's update, some two thousand.
const maxList = 8192

func bounded(list []string) []string { return list[:min(len(list), maxList)] }

// others are IDs other than the record's own, each once.
func others(ids []string, own string) []string {
	var out []string
	for _, id := range bounded(ids) {
		if id != "" && id != own && len(id) <= maxID && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

func osvSeverities(all []osvSeverity) (seawall.Severity, []string) {
	words, scores := seawall.None, []string{}
	for _, s := range all {
		if strings.HasPrefix(s.Type, "CVSS") {
			scores = append(scores, s.Score)
		} else {
			words = max(words, severity(s.Score)) // Ubuntu's priority
		}
	}
	return words, vectors(scores)
}

// osvWord is the severity that errata of AlmaLinux and Rocky begin their summary
// with: Important: kernel security update.
func (b *builder) osvWord(source, summary string) seawall.Severity {
	if word, _, ok := strings.Cut(summary, ":"); ok && errata(source) {
		return severity(word)
	}
	return seawall.None
}

// errata are feeds whose records are releases of fixes, with CVEs as related.
func errata(source string) bool {
	return source == "almalinux" || source == "rocky" || source == "redhat" || source == "suse" || source == "opensuse"
}

// osvSources names feeds by what their IDs begin with.
//
//nolint:gochecknoglobals // constant table
var osvSources = map[string]string{
	"GO": "go", "GHSA": "ghsa", "PYSEC": "pypa", "RUSTSEC": "rustsec", "MAL": "malicious-packages",
	"DSA": "debian", "DLA": "debian", "DTSA": "debian", "DEBIAN": "debian", "DEBCL": "debian",
	"USN": "ubuntu", "LSN": "ubuntu", "UBUNTU": "ubuntu", "ALPINE": "alpine", "CGA": "chainguard",
	"ALSA": "almalinux", "ALBA": "almalinux", "ALEA": "almalinux",
	"RLSA": "rocky", "RLBA": "rocky", "RLEA": "rocky", "RXSA": "rocky",
	"RHSA": "redhat", "RHBA": "redhat", "RHEA": "redhat",
	"SUSE": "suse", "openSUSE": "opensuse", "MGASA": "mageia", "OESA": "openeuler", "AZL": "azure-linux", "PHSA": "photon",
	"ENRICH": "anchore", "NSWG": "nodejs", "RETIRE": "retirejs", "BIT": "bitnami", "PSF": "psf", "HSEC": "haskell", "CURL": "curl",
	"DRUPAL": "drupal", "RSEC": "r", "EEF": "erlang", "ECHO": "echo", "MINI": "minimos",
}

func osvSource(id, fallback string) string {
	prefix, _, _ := strings.Cut(id, "-")
	if s, ok := osvSources[prefix]; ok {
		return s
	}
	return strings.ToLower(fallback)
}

var cwePattern = regexp.MustCompile(`^CWE-[1-9][0-9]{0,4}$`)

func cweIDs(all []string) []string {
	var out []string
	for _, c := range bounded(all) {
		if cwePattern.MatchString(c) && !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

func (b *builder) osvClaim(r *record, a *osvAffected) (claim, bool) {
	var own osvSpecific
	loose(a.Database, &own)
	loose(a.Ecosystem, &own) // Debian's urgency has stood in either
	if own.Informational != nil && !flaw(*own.Informational, r, a) {
		b.leaveOut("a notice, not a flaw: "+*own.Informational, r.ID)
		return claim{}, false
	}
	c := claim{Ecosystem: a.Package.Ecosystem, Package: normal(a.Package.Ecosystem, a.Package.Name)}
	c.Severity, c.CVSS = osvSeverities(a.Severity)
	c.Severity = max(c.Severity, severity(own.Severity))
	if own.CVSS != nil && len(r.CVSS) == 0 && len(c.CVSS) == 0 {
		c.CVSS = vectors([]string{*own.CVSS})
	}
	switch own.Urgency {
	case "end-of-life":
		c.Status = "wont-fix"
	case "unimportant":
		c.Status, c.Severity = "wont-fix", seawall.Low
	}
	order, ordered := version.For(c.Ecosystem)
	for _, g := range a.Ranges {
		if g.Type == "GIT" {
			b.leaveOut("range of git commits (the rest of the record is kept)", r.ID)
			continue
		}
		c.Ranges = append(c.Ranges, spans(g.Events, order, ordered)...)
	}
	if len(c.Ranges) == 1 && c.Ranges[0].Fixed == "" && c.Ranges[0].LastAffected == "" {
		// GitHub's range ends there; its conversion to OSV leaves that out.
		if last, ok := strings.CutPrefix(own.LastKnown, "<= "); ok {
			c.Ranges[0].LastAffected = last
		} else if next, ok := strings.CutPrefix(own.LastKnown, "< "); ok {
			c.Ranges[0].Fixed = next
		}
	}
	c.Versions = outside(a.Versions, c.Ranges, order, ordered)
	c.Imports = goImports(a.Ecosystem)
	return c, true
}

// flaw says whether a record that RustSec calls informational tells of a flaw
// all the same. Its words are weak: matrix-sdk-crypto's CVE-2024-52813 is a
// notice, bigint's CVE-2020-35880 stands in a record on a crate that nobody
// maintains. What has a CVE, and a notice that says what fixes it, is a flaw; a
// "fix" of what is unmaintained is a release that somebody else cares for.
func flaw(informational string, r *record, a *osvAffected) bool {
	if informational != "unmaintained" && informational != "notice" {
		return true
	}
	if isCVE(oneFlaw(r)) {
		return true
	}
	return informational == "notice" && slices.ContainsFunc(a.Ranges, func(g osvRange) bool {
		return slices.ContainsFunc(g.Events, func(e osvEvent) bool { return e.Fixed != "" })
	})
}

// goImports reads what the Go vulnerability database says of packages and
// symbols. The platforms of a module without packages stand in one import that
// has no path.
func goImports(raw json.RawMessage) []vuln.Import {
	var own struct {
		Imports []osvImport `json:"imports"`
	}
	loose(raw, &own)
	var out []vuln.Import
	for _, i := range own.Imports {
		if i.Path != "" && len(i.Path) <= maxString {
			out = append(out, vuln.Import(i))
		}
	}
	return out
}

var pypiRun = regexp.MustCompile(`[-_.]+`)

// normal is the name of a package as inventories have it.
func normal(ecosystem, name string) string {
	switch family(ecosystem) {
	case "PyPI":
		return strings.ToLower(pypiRun.ReplaceAllString(name, "-"))
	case "NuGet", "Packagist":
		return strings.ToLower(name)
	}
	return name
}

// spans turns the events of a range into spans, as OSV's evaluation has it:
// events in the order of their versions, of which introduced begins a span and
// fixed or last_affected ends it. Where versions cannot be ordered, the order is
// that of the record. A star is no version: nothing ends there.
func spans(events []osvEvent, order version.Order, ordered bool) []vuln.Range {
	events = slices.DeleteFunc(slices.Clone(events), func(e osvEvent) bool { return e.Fixed == "*" || e.LastAffected == "*" })
	if len(events) > 2 && ordered {
		events = inOrder(sortable(events, order), order)
	}
	var out []vuln.Range
	open := false
	for _, e := range events {
		switch {
		case e.Introduced != "" && !open:
			from := e.Introduced
			if from == "0" {
				from = ""
			}
			out = append(out, vuln.Range{Introduced: from})
			open = true
		case e.Fixed != "" && open:
			out[len(out)-1].Fixed = e.Fixed
			open = false
		case e.LastAffected != "" && open:
			out[len(out)-1].LastAffected = e.LastAffected
			open = false
		}
	}
	return out
}

// sortable leaves out ends that have no order where there are others: with one
// of them nothing could be said of any version.
func sortable(events []osvEvent, order version.Order) []osvEvent {
	end := func(e osvEvent) string { return cmp.Or(e.Fixed, e.LastAffected) }
	odd := func(e osvEvent) bool { return end(e) != "" && order.Valid(end(e)) != nil }
	begins, ends := 0, 0
	for _, e := range events {
		if e.Introduced != "" {
			begins++
		} else if end(e) != "" && !odd(e) {
			ends++
		}
	}
	if ends < begins {
		return events
	}
	return slices.DeleteFunc(events, odd)
}

// inOrder sorts events by version, and leaves them as they are if one of them
// has no order.
func inOrder(events []osvEvent, order version.Order) []osvEvent {
	at := func(e osvEvent) string { return cmp.Or(e.Introduced, e.Fixed, e.LastAffected) }
	sorted := slices.Clone(events)
	var malformed error
	slices.SortStableFunc(sorted, func(a, b osvEvent) int {
		switch {
		case a.Introduced == "0" || b.Introduced == "0":
			return cmp.Compare(rank(a), rank(b))
		case at(a) == "" || at(b) == "":
			return 0
		}
		c, err := order.Compare(at(a), at(b))
		if err != nil {
			malformed = err
		}
		return c
	})
	if malformed != nil {
		return events
	}
	return sorted
}

// rank puts the event that introduces from the very first before others.
func rank(e osvEvent) int {
	if e.Introduced == "0" {
		return 0
	}
	return 1
}

// outside leaves out the versions that lie in one of the ranges: PyPI's and
// GitHub's records list what their ranges span. What has no order stays, to be
// compared letter by letter.
func outside(versions []string, ranges []vuln.Range, order version.Order, ordered bool) []string {
	var out []string
	for _, v := range versions {
		if v == "" || len(v) > maxString {
			continue
		}
		within := ordered && len(ranges) <= maxList/8 && slices.ContainsFunc(ranges, func(r vuln.Range) bool {
			in, err := version.Affected(order, v, r.Introduced, r.Fixed, r.LastAffected)
			return in && err == nil
		})
		if !within {
			out = append(out, v)
		}
	}
	return out
}

// together joins the claims of a record on one package that say the same but for
// their versions: feeds write each range as a claim of its own.
//
// Builds of one module for the minor releases of a distribution differ after
// .module_ only; the fix is in the lowest of them.
func together(claims []claim) []claim {
	type key struct{ ecosystem, name, status, module, fixed string }
	index := map[key]int{}
	var out []claim
	for _, c := range claims {
		k := key{c.Ecosystem, c.Package, c.Status, c.Module, ""}
		if _, rpm := modularFix(&c); rpm != "" {
			k.fixed = rpm
		}
		i, ok := index[k]
		if !ok || len(c.Imports) > 0 || len(out[i].Imports) > 0 || c.Severity != out[i].Severity ||
			!slices.Equal(c.CVSS, out[i].CVSS) || len(out[i].Ranges)+len(out[i].Versions) > maxList {
			index[k] = len(out)
			out = append(out, c)
			continue
		}
		to := &out[i]
		if k.fixed != "" {
			if less, err := version.RPM.Compare(c.Ranges[0].Fixed, to.Ranges[0].Fixed); err == nil && less < 0 {
				to.Ranges = c.Ranges
			}
			continue
		}
		for _, r := range c.Ranges {
			if !slices.Contains(to.Ranges, r) {
				to.Ranges = append(to.Ranges, r)
			}
		}
		for _, v := range c.Versions {
			if !slices.Contains(to.Versions, v) {
				to.Versions = append(to.Versions, v)
			}
		}
	}
	return out
}

// modularFix is the fix of a claim by a build of a module, and the part of it
// before the module's mark.
func modularFix(c *claim) (fixed, before string) {
	if len(c.Ranges) != 1 || len(c.Versions) > 0 || c.Ranges[0].Introduced != "" {
		return "", ""
	}
	fixed = c.Ranges[0].Fixed
	for _, mark := range []string{".module_", ".module+"} {
		if before, _, ok := strings.Cut(fixed, mark); ok {
			return fixed, before
		}
	}
	return "", ""
}
