package report

import (
	"encoding/xml"
	"slices"
	"strings"
	"time"

	"seawall.io/seawall"
)

// The elements of JUnit XML that Jenkins, GitLab and GitHub actions read.
type (
	junitSuite struct {
		XMLName   xml.Name    `xml:"testsuite"`
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Timestamp string      `xml:"timestamp,attr,omitempty"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name      string       `xml:"name,attr"`
		Classname string       `xml:"classname,attr"`
		Skipped   *junitResult `xml:"skipped"`
		Error     *junitResult `xml:"error"`
		Failure   *junitResult `xml:"failure"`
		Output    string       `xml:"system-out,omitempty"`
	}
	junitResult struct {
		Type    string `xml:"type,attr,omitempty"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes a suite for each workload or file: findings that stand are
// failures, suppressed and known ones skipped. What could not be evaluated is errors in a
// suite of its own, which also holds the ledger, so that a report without
// findings still has a test that says what it looked at.
func writeJUnit(w *sink, r *seawall.Report, o *Options) error {
	all := make([]*seawall.Finding, len(r.Findings))
	copy(all, r.Findings)
	suites := []junitSuite{junitCoverage(r)}
	for _, g := range groups(all) {
		suites = append(suites, junitGroup(g, o))
	}
	total := junitSuite{}
	for i := range suites {
		if !o.Now.IsZero() {
			suites[i].Timestamp = o.Now.UTC().Format(time.DateOnly + "T" + time.TimeOnly)
		}
		total.Tests += suites[i].Tests
		total.Failures += suites[i].Failures
		total.Errors += suites[i].Errors
		total.Skipped += suites[i].Skipped
	}
	w.str(xml.Header)
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	start := xml.StartElement{Name: xml.Name{Local: "testsuites"}, Attr: []xml.Attr{
		attr("name", "seawall"), attr("tests", itoa(total.Tests)), attr("failures", itoa(total.Failures)), attr("errors", itoa(total.Errors)),
	}}
	if err := enc.EncodeToken(start); err != nil {
		return err
	}
	for i := range suites {
		if err := enc.Encode(&suites[i]); err != nil {
			return err
		}
	}
	if err := enc.EncodeToken(start.End()); err != nil {
		return err
	}
	if err := enc.Close(); err != nil {
		return err
	}
	w.str("\n")
	return nil
}

func attr(name, value string) xml.Attr {
	return xml.Attr{Name: xml.Name{Local: name}, Value: value}
}

// junitCoverage is the suite about the scan itself.
func junitCoverage(r *seawall.Report) junitSuite {
	t := newTally(r)
	scan := junitCase{Name: "scan", Classname: "seawall", Output: t.ledger()}
	if len(r.Coverage.Unexamined) > 0 {
		scan.Output += " No check applies to " + kindList(r.Coverage.Unexamined, fullKind) + "."
	}
	for i := range r.Coverage.Images {
		image := &r.Coverage.Images[i]
		scan.Output += " Image " + clean(image.Name) + ": " + imageFacts(image) + "."
	}
	if d := r.Coverage.Database; d != nil {
		scan.Output += " Vulnerability database " + databaseFacts(d) + "."
	}
	for _, warning := range slices.Concat(r.Warnings, databaseWarnings(r.Coverage.Database)) {
		scan.Output += " Warning: " + clean(warning) + "."
	}
	s := junitSuite{Name: "seawall", Tests: 1, Cases: []junitCase{scan}}
	if t.examined() == 0 && len(r.Findings) == 0 {
		s.Cases[0].Skipped = &junitResult{Message: "nothing was examined"}
		s.Skipped++
	}
	for i := range r.Coverage.Incomplete {
		in := &r.Coverage.Incomplete[i]
		name := incompleteWhere(in)
		if name == "" {
			name = "input"
		}
		s.Cases = append(s.Cases, junitCase{
			Name: name, Classname: "seawall.incomplete",
			Error: &junitResult{Type: "incomplete", Message: clean(in.Reason)},
		})
		s.Tests++
		s.Errors++
	}
	for _, l := range unjudged(r.Coverage.NotEvaluated) {
		s.Cases = append(s.Cases, junitCase{
			Name: l.Check, Classname: "seawall.not-evaluated", Skipped: &junitResult{Message: "not evaluated: " + l.Reason, Text: l.Places()},
		})
		s.Tests++
		s.Skipped++
	}
	return s
}

func junitGroup(g *group, o *Options) junitSuite {
	s := junitSuite{Name: g.title()}
	if file := g.FileName(); file != "" {
		s.Name += " (" + file + ")"
	}
	for _, f := range g.findings {
		c := junitCase{Name: junitName(f), Classname: g.title()}
		s.Tests++
		switch {
		case f.Suppressed != nil:
			c.Skipped = &junitResult{Message: suppressedWhy(f.Suppressed) + ": " + clean(f.Message)}
			s.Skipped++
		case f.Known:
			c.Skipped = &junitResult{Message: "known from the baseline: " + clean(f.Message)}
			s.Skipped++
		default:
			c.Failure = &junitResult{Type: f.Severity.String(), Message: clean(f.Message), Text: junitText(f, o)}
			s.Failures++
		}
		s.Cases = append(s.Cases, c)
	}
	return s
}

// junitName names a case. Viewers follow a case by it, so of a vulnerability it
// holds what stays the same while the list around it changes.
func junitName(f *seawall.Finding) string {
	v := f.Vulnerability
	if v == nil {
		return strings.TrimSpace(clean(f.Check) + " " + placeName(f))
	}
	name := clean(f.Check + " " + v.ID + " " + v.Package + " " + v.Installed)
	if len(v.Binaries) == 0 && v.Path != "" && v.Path != f.Location.File {
		name += " " + clean(v.Path)
	}
	return name
}

// flawLines tells what is known of a vulnerability.
func flawLines(f *seawall.Finding) []string {
	known := flaws([]*seawall.Finding{f})[0]
	lines := []string{"package: " + clean(known.Package) + " " + clean(known.Installed), "fixed in: " + known.Fix()}
	if notes := known.Notes(); len(notes) > 0 {
		lines = append(lines, "notes: "+strings.Join(notes, "; "))
	}
	if where := known.Where(); len(where) > 0 {
		lines = append(lines, "in: "+strings.Join(where, ", "))
	}
	if parts := known.Parts(); len(parts) > 0 {
		lines = append(lines, "packages: "+clean(strings.Join(parts, ", ")))
	}
	if len(known.Aliases) > 0 {
		lines = append(lines, "also: "+clean(strings.Join(known.Aliases, ", ")))
	}
	if link := known.Link(); link != "" {
		lines = append(lines, link)
	}
	return lines
}

func junitText(f *seawall.Finding, o *Options) string {
	lines := []string{f.Severity.String() + ": " + clean(f.Title)}
	if where := placeName(f); where != "" && (f.Vulnerability == nil || f.Location.Line > 0) {
		lines = append(lines, where)
	}
	if f.Vulnerability != nil {
		lines = append(lines, flawLines(f)...)
	}
	if source := o.source(f.Location); source != "" {
		lines = append(lines, "    "+clean(source))
	}
	if value := chartValue(&f.Location); value != "" {
		lines = append(lines, value)
	}
	if f.Remediation != "" {
		lines = append(lines, "fix: "+clean(f.Remediation))
	}
	if len(f.Refs) > 0 {
		lines = append(lines, "refs: "+clean(strings.Join(f.Refs, ", ")))
	}
	return strings.Join(lines, "\n")
}
