package report

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/vuln"
)

// flaw is a known vulnerability of one version of one package, with every place
// that holds it: a jar that was copied ten times is updated once, and is one row.
type flaw struct {
	*seawall.Vulnerability // of the first place

	Check    string
	Severity seawall.Severity // of the finding; the source may give none
	Places   []*seawall.Finding
}

// flaws folds the findings of known vulnerabilities, the most urgent first. The
// engine ranks them; findings of a file may come in the order of its lines.
func flaws(findings []*seawall.Finding) []flaw {
	findings = ranked(findings)
	type key struct {
		check, id, pkg, installed, fixed, status string
		severity                                 seawall.Severity
	}
	var out []flaw
	at := map[key]int{}
	for _, f := range findings {
		v := f.Vulnerability
		k := key{f.Check, v.ID, v.Package, v.Installed, v.Fixed, v.Status, f.Severity}
		i, ok := at[k]
		if !ok {
			i = len(out)
			at[k] = i
			out = append(out, flaw{Vulnerability: v, Check: f.Check, Severity: f.Severity})
		}
		out[i].Places = append(out[i].Places, f)
	}
	return out
}

// ranked orders findings of known vulnerabilities as the engine ranks them.
func ranked(findings []*seawall.Finding) []*seawall.Finding {
	type entry struct {
		match   vuln.Match
		finding *seawall.Finding
	}
	list := make([]entry, len(findings))
	for i, f := range findings {
		v := f.Vulnerability
		list[i] = entry{vuln.Match{Vulnerability: *v, Priority: vuln.Rank(v, v.RCE)}, f}
	}
	slices.SortStableFunc(list, func(a, b entry) int {
		switch {
		case vuln.Less(&a.match, &b.match):
			return -1
		case vuln.Less(&b.match, &a.match):
			return 1
		default:
			return 0
		}
	})
	out := make([]*seawall.Finding, len(list))
	for i := range list {
		out[i] = list[i].finding
	}
	return out
}

// Urgent says that the flaw is to be seen on a line of its own: there is an
// update to take, or attackers do not wait for one.
func (f *flaw) Urgent() bool { return f.Fixed != "" || f.KEV != "" }

// Fix is the version to update to, or why there is none.
func (f *flaw) Fix() string {
	switch {
	case f.Fixed != "":
		return clean(f.Fixed)
	case f.Status == "wont-fix":
		return "won't fix"
	case f.Status == "deferred":
		return "put off"
	case f.Status == "unknown":
		return "not known"
	default:
		return "none yet"
	}
}

// alarmingEPSS is from where on a probability of exploitation is told where
// there is room for little.
const alarmingEPSS = 0.1

// alarms are the facts that make the flaw worse than its severity. The symbols are
// those to name where flawed functions are linked in.
func (f *flaw) alarms(symbols string) []string {
	var out []string
	if f.KEV != "" {
		out = append(out, "exploited (KEV "+clean(f.KEV)+")")
	}
	if f.EPSS >= alarmingEPSS {
		out = append(out, "EPSS "+percent(f.EPSS))
	}
	if f.RCE {
		out = append(out, "RCE")
	}
	if f.Reach == "function" {
		out = append(out, strings.TrimSuffix("function linked: "+symbols, ": "))
	}
	return out
}

// Notes are the facts beside severity and versions, the weightiest first.
func (f *flaw) Notes() []string {
	return f.notes(few(f.Symbols, 3), "package only, no flawed function linked")
}

// brief are the notes in as few words as a terminal has room for.
func (f *flaw) brief() []string {
	return f.notes(briefSymbols(f.Symbols), "package only")
}

// briefSymbols names the first symbol without the path of its package: url.Parse
// +3 of net/url.Parse and three others.
func briefSymbols(symbols []string) string {
	if len(symbols) == 0 {
		return ""
	}
	name := clean(symbols[0][strings.LastIndexByte(symbols[0], '/')+1:])
	if n := len(symbols) - 1; n > 0 {
		name += fmt.Sprintf(" +%d", n)
	}
	return name
}

func (f *flaw) notes(symbols, packageOnly string) []string {
	out := f.alarms(symbols)
	if f.EPSS > 0 && f.EPSS < alarmingEPSS {
		out = append(out, "EPSS "+percent(f.EPSS))
	}
	switch f.Reach {
	case "package":
		out = append(out, packageOnly)
	case "absent":
		out = append(out, "flawed code not linked")
	}
	if v := f.VEX; v != nil {
		note := "VEX " + strings.ReplaceAll(v.Status, "_", " ")
		if v.Justification != "" {
			note += " (" + strings.ReplaceAll(v.Justification, "_", " ") + ")"
		}
		if v.Source != "" {
			note += " by " + v.Source
		}
		out = append(out, clean(note))
	}
	return out
}

// Unrated says that no source gives a severity; the finding's is the least then.
func (f *flaw) Unrated() bool { return f.Vulnerability.Severity == seawall.None }

// Parts are the installed packages that a source package was built into, where
// they do not just have its name.
func (f *flaw) Parts() []string {
	if len(f.Binaries) == 1 && f.Binaries[0] == f.Package {
		return nil
	}
	return f.Binaries
}

// Where names the places: lines of a lock file, files of an image. Packages of
// distributions stand in one file for all, which is not worth saying.
func (f *flaw) Where() []string {
	var out []string
	for _, p := range f.Places {
		where := ""
		switch {
		case p.Location.Line > 0:
			where = fmt.Sprintf("line %d", p.Location.Line)
		case len(p.Vulnerability.Binaries) == 0:
			where = clean(p.Vulnerability.Path)
		}
		if where != "" && !slices.Contains(out, where) {
			out = append(out, where)
		}
	}
	return out
}

// few joins the first n words and counts the rest.
func few(words []string, n int) string {
	if len(words) <= n {
		return clean(strings.Join(words, ", "))
	}
	return fmt.Sprintf("%s and %d more", clean(strings.Join(words[:n], ", ")), len(words)-n)
}

// percent writes a probability of 0 to 1. What is there is never written as 0.
func percent(p float64) string {
	switch p *= 100; {
	case p >= 1:
		return fmt.Sprintf("%.0f %%", min(p, 100))
	case p >= 0.1:
		return fmt.Sprintf("%.1f %%", p)
	default:
		return "<0.1 %"
	}
}

// flawCounts counts by severity. Each place is a finding of its own.
func flawCounts(list []flaw) counts {
	var c counts
	for i := range list {
		c[min(list[i].Severity, seawall.Critical)] += len(list[i].Places)
	}
	return c
}

// flawWords says how many there are, how bad, and how many an update removes.
func flawWords(list []flaw) string {
	var fixed []flaw
	for i := range list {
		if list[i].Fixed != "" {
			fixed = append(fixed, list[i])
		}
	}
	all, some := flawCounts(list), flawCounts(fixed)
	n := all.total()
	words := number(n, "vulnerability") + ": " + all.Words()
	switch m := some.total(); m {
	case 0:
		words += "; no fix is known"
	case n:
		words += "; all with a fix"
	default:
		words += fmt.Sprintf("; %d with a fix", m)
	}
	unrated := 0
	for i := range list {
		if list[i].Unrated() {
			unrated += len(list[i].Places)
		}
	}
	if unrated > 0 {
		words += fmt.Sprintf("; %d not rated by their source", unrated)
	}
	return words
}

// plainName names a finding in a list without messages.
func plainName(f *seawall.Finding) string {
	if v := f.Vulnerability; v != nil {
		return strings.TrimSpace(clean(v.ID+" "+v.Package+" "+v.Installed) + " in " + subjectName(&f.Subject))
	}
	return strings.TrimSpace(f.Subject.String() + " " + placeName(f))
}

// weblink is a page about a flaw.
type weblink struct{ Name, Target string }

// advisoryLink returns the page of an advisory by the form of its ID, or
// nothing: an ID of any other form could be made to point anywhere.
func advisoryLink(id string) string {
	prefix, rest, _ := strings.Cut(id, "-")
	if rest == "" || len(id) > 64 || strings.ContainsFunc(id, func(r rune) bool {
		return (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z') && r != '-' && r != ':' && r != '.' && r != '_'
	}) {
		return ""
	}
	switch prefix {
	case "CVE":
		return "https://nvd.nist.gov/vuln/detail/" + id
	case "GHSA":
		return "https://github.com/advisories/" + id
	case "GO":
		return "https://pkg.go.dev/vuln/" + id
	case "RUSTSEC":
		return "https://rustsec.org/advisories/" + id + ".html"
	case "DSA", "DLA":
		return "https://security-tracker.debian.org/tracker/" + id
	case "USN":
		return "https://ubuntu.com/security/notices/" + id
	case "RHSA", "RHBA", "RHEA":
		return "https://access.redhat.com/errata/" + id
	case "ALSA", "BIT", "CGA", "DEBIAN", "MAL", "OSV", "PSF", "PYSEC", "RLSA", "RXSA", "SUSE", "UBUNTU":
		return "https://osv.dev/vulnerability/" + id
	default:
		return ""
	}
}

// distroLink returns the page of a CVE at the distribution that a package URL
// names, which says what its own builds have.
func distroLink(id, purl string) (weblink, bool) {
	if !strings.HasPrefix(id, "CVE-") || advisoryLink(id) == "" {
		return weblink{}, false
	}
	kind, rest, _ := strings.Cut(strings.TrimPrefix(purl, "pkg:"), "/")
	vendor, _, _ := strings.Cut(rest, "/")
	switch kind + "/" + vendor {
	case "deb/debian":
		return weblink{"Debian", "https://security-tracker.debian.org/tracker/" + id}, true
	case "deb/ubuntu":
		return weblink{"Ubuntu", "https://ubuntu.com/security/" + id}, true
	case "apk/alpine":
		return weblink{"Alpine", "https://security.alpinelinux.org/vuln/" + id}, true
	case "rpm/redhat":
		return weblink{"Red Hat", "https://access.redhat.com/security/cve/" + id}, true
	default:
		return weblink{}, false
	}
}

// Link is the page of the flaw's own ID, or nothing.
func (f *flaw) Link() string { return advisoryLink(f.ID) }

// More are the other IDs of the flaw, with their pages where they have one, and
// the distribution's page.
func (f *flaw) More() []weblink {
	out := make([]weblink, 0, len(f.Aliases)+1)
	if l, ok := distroLink(f.ID, f.PURL); ok {
		out = append(out, l)
	}
	for _, id := range f.Aliases {
		out = append(out, weblink{clean(id), advisoryLink(id)})
	}
	return out
}
