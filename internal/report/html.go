package report

import (
	"crypto/sha256"
	_ "embed" // the page, its style and its script
	"encoding/base64"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"strings"

	"seawall.io/seawall"
)

//go:embed html.tmpl
var htmlTemplate string

//go:embed html.css
var htmlStyle string

//go:embed html.js
var htmlScript string

const (
	// openGroups is how many workloads are unfolded at first.
	openGroups = 4
	// barWidth is the length of the bar of severities in units of its SVG.
	barWidth = 1000
	// maxWords is how many places or packages a cell of a table names.
	maxWords = 8
	// layerColumns is how much of a digest tells the layers of one image apart.
	layerColumns = len("sha256:") + 13
)

// page is what html.tmpl shows.
type page struct {
	Title      string
	Headline   string
	Verdict    string
	Ledger     string
	Time       string
	CSP        string
	Style      template.CSS
	Script     template.JS
	Report     *seawall.Report
	Severities []severityCount
	Bar        []segment
	Groups     []htmlGroup
	Known      []*seawall.Finding
	Suppressed []*seawall.Finding
	Unjudged   []lack
	Images     []htmlImage
	Database   string
	Warnings   []string
	Evaluated  []kind
	Unexamined []kind
	Checks     []htmlCheck
	Choices    choices
	// AttackWords says how many findings lie on attack paths, Drawing shows these.
	AttackWords string
	Drawing     template.HTML
}

// choices are the values that the filters offer.
type choices struct{ Checks, Namespaces, Frameworks []string }

type severityCount struct {
	Severity seawall.Severity
	Count    int
}

// segment is one part of the bar of severities.
type segment struct {
	Severity seawall.Severity
	X, Width int
}

type htmlGroup struct {
	*group
	Name   string
	Open   bool
	Facts  string // of an image
	Issues []htmlIssue
	Flaws  []htmlFlaw
	// FlawWords counts the flaws; FlawFixes says what to do about them.
	FlawWords string
	FlawFixes []string
	Upgrades  []upgrade
	FlawsOpen bool
	Namespace string
}

// htmlFlaw is one row of the table of vulnerabilities.
type htmlFlaw struct {
	*flaw
	Rank           int
	CVSS, EPSS     string
	Remarks        []string // the notes without EPSS, which has a column
	Count          int
	Frameworks     string
	Layers         []string
	SeverityNumber int
}

// htmlImage is an image that was scanned.
type htmlImage struct{ Name, Digest, Facts, RuledOut string }

type htmlIssue struct {
	*issue
	Open       bool
	Headline   string // the message where there is one, else the title
	About      string // the title where the headline is not
	Why        []span // the first paragraph of the check's help
	Documented bool   // the check has an entry in the list of checks
	Frameworks string // those of its references, with spaces between
	Namespace  string
	Cases      []htmlCase
}

type htmlCase struct {
	Message string // empty where the headline says it
	Places  []htmlPlace
}

type htmlPlace struct {
	*seawall.Finding
	Source string
	Value  string
	Patch  string
}

// htmlCheck is a check's page.
type htmlCheck struct {
	ID, Title string
	Count     int
	Why, Fix  []block
}

// writeHTML writes one file that needs nothing else: no request leaves it, and
// its policy (CSP) lets only its own style and script run. It reads without
// the script, which adds the filters.
func writeHTML(w *sink, r *seawall.Report, o *Options) error {
	t, err := newTemplates().Parse(pathTemplate)
	if err == nil {
		t, err = t.New("report").Parse(htmlTemplate)
	}
	if err != nil {
		return err
	}
	return t.Execute(w, newPage(r, o))
}

// newTemplates is a template with the functions that all pages use.
func newTemplates() *template.Template {
	return template.New("").Funcs(template.FuncMap{
		"clean":    clean,
		"number":   number,
		"where":    htmlWhere,
		"mark":     severityMark,
		"status":   statusWord,
		"why":      suppressedWhy,
		"lacking":  func(in seawall.Incomplete) string { return incompleteWhere(&in) },
		"subject":  func(s seawall.Subject) string { return subjectName(&s) },
		"list":     func(words []string) string { return few(words, maxWords) },
		"statuses": htmlStatuses,
		"join":     func(list []string) string { return clean(strings.Join(list, ", ")) },
	}).Funcs(pathFuncs())
}

func newPage(r *seawall.Report, o *Options) *page {
	parts := split(r.Findings)
	sum := newTally(r)
	p := &page{
		Title: "Seawall report", Verdict: sum.verdict(), Ledger: sum.ledger(),
		CSP:    policy(),
		Style:  template.CSS(htmlStyle), //nolint:gosec // a constant of this package
		Script: template.JS(htmlScript), //nolint:gosec // a constant of this package
		Report: r, Known: byObject(parts.known), Suppressed: byObject(parts.suppressed),
		Unjudged:  unjudged(r.Coverage.NotEvaluated),
		Evaluated: kinds(r.Coverage.Evaluated, fullKind), Unexamined: kinds(r.Coverage.Unexamined, fullKind),
	}
	if !o.Now.IsZero() {
		p.Time = o.Now.UTC().Format("2 January 2006, 15:04 UTC")
	}
	p.Severities, p.Bar = severityBar(&sum.standing)
	p.Checks = htmlChecks(r.Findings, o)
	docs := map[string]*htmlCheck{}
	for i := range p.Checks {
		docs[p.Checks[i].ID] = &p.Checks[i]
	}
	seen := map[string]map[string]bool{"check": {}, "namespace": {}, "framework": {}}
	for i, g := range groups(parts.standing) {
		group := newHTMLGroup(g, i, docs, o, seen)
		if image := imageOf(r, g); image != nil {
			group.Facts = imageFacts(image)
		}
		p.Groups = append(p.Groups, group)
	}
	for i := range r.Coverage.Images {
		c := &r.Coverage.Images[i]
		p.Images = append(p.Images, htmlImage{clean(c.Name), clean(c.Digest), imageFacts(c), ruledOut(c)})
	}
	if r.Coverage.Database != nil {
		p.Database = databaseFacts(r.Coverage.Database)
	}
	for _, warning := range slices.Concat(r.Warnings, databaseWarnings(r.Coverage.Database)) {
		p.Warnings = append(p.Warnings, clean(warning))
	}
	if r.AttackPaths != nil {
		p.AttackWords, p.Drawing = strings.ReplaceAll(attackWords(r), "`", ""), pathDrawing(r.AttackPaths.Paths, r.AttackPaths.Total)
	}
	p.Headline = headline(&sum, len(p.Groups))
	p.Choices = choices{
		Checks:     slices.Sorted(maps.Keys(seen["check"])),
		Namespaces: slices.Sorted(maps.Keys(seen["namespace"])),
		Frameworks: slices.Sorted(maps.Keys(seen["framework"])),
	}
	return p
}

// headline is the verdict without the counts by severity, which stand below it.
func headline(t *tally, objects int) string {
	n := t.standing.total()
	if n == 0 {
		return t.verdict()
	}
	noun := "finding"
	if t.known > 0 {
		noun = "new finding"
	}
	s := number(n, noun) + " in " + number(objects, "object")
	if t.incomplete > 0 {
		s += ", and not everything could be examined"
	}
	return s
}

// policy is the page's content security policy.
func policy() string {
	return "default-src 'none'; style-src '" + digest(htmlStyle) + "'; script-src '" + digest(htmlScript) +
		"'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func severityBar(c *counts) (list []severityCount, bar []segment) {
	total, x, seen := c.total(), 0, 0
	for s := seawall.Critical; ; s-- {
		if s > seawall.None || c[s] > 0 {
			list = append(list, severityCount{s, c[s]})
		}
		if c[s] > 0 {
			seen += c[s]
			end := seen * barWidth / total
			bar = append(bar, segment{s, x, end - x})
			x = end
		}
		if s == seawall.None {
			return list, bar
		}
	}
}

func newHTMLGroup(g *group, at int, docs map[string]*htmlCheck, o *Options, seen map[string]map[string]bool) htmlGroup {
	out := htmlGroup{group: g, Name: g.title(), Open: at < openGroups}
	ns := clean(g.Subject.Namespace)
	if ns == "" {
		ns = "(none)"
	}
	seen["namespace"][ns] = true
	out.Namespace = ns
	out.setFlaws(at, seen)
	for i := range g.Issues {
		is := &g.Issues[i]
		v := htmlIssue{issue: is, Open: at == 0 && i == 0 && !out.FlawsOpen, Namespace: ns, Frameworks: strings.Join(refPrefixes(is.Refs), " ")}
		if doc := docs[is.Check]; doc != nil {
			v.Documented = true
			if len(doc.Why) > 0 {
				v.Why = doc.Why[0].Text
			}
		}
		seen["check"][clean(is.Check)] = true
		for _, prefix := range refPrefixes(is.Refs) {
			seen["framework"][prefix] = true
		}
		for j := range is.Cases {
			v.Cases = append(v.Cases, newHTMLCase(&is.Cases[j], o))
		}
		v.Headline = clean(is.Title)
		if len(v.Cases) == 1 {
			v.Headline, v.About = v.Cases[0].Message, strings.TrimRight(v.Headline, ".")
			v.Cases[0].Message = ""
		}
		out.Issues = append(out.Issues, v)
	}
	return out
}

// setFlaws makes the rows of the group's vulnerabilities. Their table is open
// where they are what is worst in the first group.
func (g *htmlGroup) setFlaws(at int, seen map[string]map[string]bool) {
	if len(g.group.Flaws) == 0 {
		return
	}
	g.FlawWords, g.Upgrades = flawWords(g.group.Flaws), upgrades(g.group.Flaws)
	c := flawCounts(g.group.Flaws)
	g.FlawsOpen = at == 0 && (len(g.group.Issues) == 0 || c.worst() >= g.group.Issues[0].Severity)
	for i := range g.group.Flaws {
		f := &g.group.Flaws[i]
		row := htmlFlaw{flaw: f, Rank: i + 1, Count: len(f.Places), SeverityNumber: int(f.Severity)}
		if f.CVSS > 0 {
			row.CVSS = strconv.FormatFloat(f.CVSS, 'f', 1, 64)
		}
		if f.EPSS > 0 {
			row.EPSS = percent(f.EPSS)
		}
		row.Remarks = slices.DeleteFunc(f.Notes(), func(note string) bool { return strings.HasPrefix(note, "EPSS ") })
		first := f.Places[0]
		row.Frameworks = strings.Join(refPrefixes(first.Refs), " ")
		for _, p := range f.Places {
			if fix := clean(p.Remediation); fix != "" && !slices.Contains(g.FlawFixes, fix) {
				g.FlawFixes = append(g.FlawFixes, fix)
			}
			if layer := fit(clean(p.Vulnerability.Layer), layerColumns); layer != "" && !slices.Contains(row.Layers, layer) {
				row.Layers = append(row.Layers, layer)
			}
		}
		seen["check"][clean(f.Check)] = true
		for _, prefix := range refPrefixes(first.Refs) {
			seen["framework"][prefix] = true
		}
		g.Flaws = append(g.Flaws, row)
	}
}

func newHTMLCase(c *instance, o *Options) htmlCase {
	out := htmlCase{Message: clean(c.Message)}
	for _, f := range c.Findings {
		out.Places = append(out.Places, htmlPlace{
			Finding: f, Source: clean(o.source(f.Location)), Value: chartValue(&f.Location), Patch: patchText(f.Fix),
		})
	}
	return out
}

// patchText writes a JSON patch, one operation a line.
func patchText(ops []seawall.PatchOp) string {
	if len(ops) == 0 {
		return ""
	}
	lines := make([]string, 0, len(ops))
	for i := range ops {
		b, err := appendFix(nil, ops[i:i+1])
		if err != nil {
			return ""
		}
		lines = append(lines, " "+clean(string(b[1:len(b)-1])))
	}
	return "[\n" + strings.Join(lines, ",\n") + "\n]"
}

// refPrefixes names the frameworks of references: cis of cis:5.2.2.
func refPrefixes(refs []string) []string {
	var out []string
	for _, ref := range refs {
		prefix, _, ok := strings.Cut(ref, ":")
		if prefix = clean(prefix); ok && prefix != "" && !strings.Contains(prefix, " ") && !slices.Contains(out, prefix) {
			out = append(out, prefix)
		}
	}
	return out
}

// htmlChecks lists the checks that found something and have help.
func htmlChecks(findings []*seawall.Finding, o *Options) []htmlCheck {
	index := map[string]*htmlCheck{}
	for i := range findings {
		f := findings[i]
		c := index[f.Check]
		if c == nil {
			why, fix := o.doc(f.Check)
			c = &htmlCheck{ID: f.Check, Title: clean(f.Title), Why: prose(why), Fix: prose(fix)}
			index[f.Check] = c
		}
		c.Count++
	}
	var out []htmlCheck
	for _, id := range slices.Sorted(maps.Keys(index)) {
		if c := index[id]; len(c.Why)+len(c.Fix) > 0 {
			out = append(out, *c)
		}
	}
	return out
}

// htmlWhere is a finding's place without the container, which has a mark of
// its own, and without the path in an image.
func htmlWhere(f *seawall.Finding) string {
	if ownObject(&f.Subject, "Image") && f.Location.File == f.Subject.Name {
		return ""
	}
	return clean(f.Location.String())
}

// severityMark is a shape, so that colour is never the only sign.
func severityMark(s seawall.Severity) string {
	switch s {
	case seawall.Critical:
		return "◆"
	case seawall.High:
		return "▲"
	case seawall.Medium:
		return "■"
	case seawall.Low:
		return "●"
	default:
		return "○"
	}
}

func htmlStatuses(f seawall.Framework) map[string]int {
	passed, failed, unknown := statusCounts(&f)
	return map[string]int{"passed": passed, "failed": failed, "unknown": unknown}
}
