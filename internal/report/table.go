package report

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall"
)

const (
	defaultWidth = 100
	minWidth     = 40
	// maxPlaces is how many places of one message are shown with their source;
	// further ones are named in one paragraph.
	maxPlaces = 5
	// sevColumns is the width of the severity column with its gap.
	sevColumns = len("CRITICAL") + 1
)

// The ANSI colours. They are taken from the 16 that every terminal theme
// defines, so they stay readable on light and dark.
const (
	bold   = "1"
	faint  = "2"
	red    = "31"
	boldRd = "1;31"
	yellow = "33"
	cyan   = "36"
	green  = "32"
)

// sheet prints lines of a table.
type sheet struct {
	w     *sink
	width int
	color bool
}

// writeTable writes for people at a terminal.
func writeTable(w *sink, r *seawall.Report, o *Options) error {
	t := &sheet{w: w, width: defaultWidth, color: o.Color}
	if o.Width > 0 {
		t.width = max(o.Width, minWidth)
	}
	parts := split(r.Findings)
	for _, g := range groups(parts.standing) {
		t.group(g, imageOf(r, g), o)
	}
	t.plain("Known from the baseline", parts.known)
	t.plain("Suppressed", parts.suppressed)
	t.incomplete(r.Coverage.Incomplete)
	t.unjudged(r.Coverage.NotEvaluated)
	t.unexamined(&r.Coverage)
	t.frameworks(r.Frameworks)
	t.basis(&r.Coverage)
	t.warnings(slices.Concat(r.Warnings, databaseWarnings(r.Coverage.Database)))
	t.closing(r, o)
	return nil
}

// paint colours text if colours are wanted. It is the only place that writes
// an escape character.
func (t *sheet) paint(style, text string) string {
	if !t.color || text == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// text prints a paragraph, all of it indented, in a style or none.
func (t *sheet) text(indent int, style, s string) {
	t.hanging(indent, indent, style, s)
}

// hanging prints a paragraph whose first line has an indent of its own.
func (t *sheet) hanging(first, rest int, style, s string) {
	indent := first
	for _, line := range wrap(s, t.width-rest) {
		t.w.str(strings.Repeat(" ", indent))
		if style != "" {
			line = t.paint(style, line)
		}
		t.w.str(line)
		t.w.str("\n")
		indent = rest
	}
}

func (t *sheet) heading(s string) {
	t.text(0, bold, s)
}

func (t *sheet) blank() { t.w.str("\n") }

func (t *sheet) group(g *group, image *seawall.ImageCoverage, o *Options) {
	title := strings.TrimRight(g.title()+"  "+g.FileName(), " ")
	tail := g.Counts.Words()
	if gap := t.width - columns(title) - columns(tail); gap >= 2 {
		t.w.printf("%s%s%s\n", t.paint(bold, title), strings.Repeat(" ", gap), t.paint(faint, tail))
	} else {
		t.heading(title)
		t.text(0, faint, tail)
	}
	if image != nil {
		t.text(2, faint, imageFacts(image))
	}
	for i := range g.Issues {
		t.issue(&g.Issues[i], o)
	}
	t.flaws(g.Flaws)
	t.blank()
}

func severityStyle(s seawall.Severity) string {
	switch s {
	case seawall.Critical:
		return boldRd
	case seawall.High:
		return red
	case seawall.Medium:
		return yellow
	case seawall.Low:
		return cyan
	default:
		return faint
	}
}

func (t *sheet) issue(is *issue, o *Options) {
	word := strings.ToUpper(is.Severity.String())
	t.w.printf("  %s%s", t.paint(severityStyle(is.Severity), word), strings.Repeat(" ", max(1, sevColumns-len(word))))
	indent := 2 + sevColumns
	name := clean(is.Check)
	if is.Title != "" {
		name += "  " + clean(is.Title)
	}
	lines := wrap(name, t.width-indent-1) // two spaces follow the check
	if head, tail, ok := strings.Cut(lines[0], " "); ok && head == clean(is.Check) {
		lines[0] = t.paint(bold, head) + "  " + t.paint(faint, strings.TrimSpace(tail))
	}
	t.w.str(lines[0] + "\n")
	for _, line := range lines[1:] {
		t.text(indent, faint, line)
	}
	if is.Path != nil {
		t.hanging(indent, indent+2, severityStyle(seawall.RiskSeverity(is.Path.Risk)), pathWords(is.Path))
	}
	for i := range is.Cases {
		t.instance(indent, &is.Cases[i], o)
	}
	for _, fix := range is.Fixes {
		t.hanging(indent, indent+len("fix: "), green, "fix: "+clean(fix))
	}
}

func (t *sheet) instance(indent int, c *instance, o *Options) {
	t.text(indent, "", clean(c.Message))
	shown := c.Findings
	if len(shown) > maxPlaces+1 { // never fold a single one
		shown = shown[:maxPlaces]
	}
	for _, f := range shown {
		t.place(indent+2, f, o)
		if value := chartValue(&f.Location); value != "" {
			t.text(indent+4, faint, value)
		}
	}
	rest := c.Findings[len(shown):]
	if len(rest) == 0 {
		return
	}
	names := make([]string, len(rest))
	for i, f := range rest {
		names[i] = placeName(f)
	}
	t.text(indent+2, faint, fmt.Sprintf("and %d more: %s", len(rest), strings.Join(names, "; ")))
}

// place prints where a finding is, and the text that stands there.
func (t *sheet) place(indent int, f *seawall.Finding, o *Options) {
	where := placeName(f)
	if where == "" {
		return
	}
	source := clean(o.source(f.Location))
	if source == "" {
		t.text(indent, faint, where)
		return
	}
	const bar = " │ "
	room := t.width - indent - columns(where) - len(" | ")
	if room < min(columns(source), 24) {
		t.text(indent, faint, where)
		t.w.printf("%s%s%s\n", strings.Repeat(" ", indent+2), t.paint(faint, "│ "), fit(source, t.width-indent-4))
		return
	}
	t.w.printf("%s%s%s\n", strings.Repeat(" ", indent), t.paint(faint, where+bar), fit(source, room))
}

// placeName names container and place: [web] deploy/web.yaml:21:9.
func placeName(f *seawall.Finding) string {
	if ownObject(&f.Subject, "Image") && f.Location.File == f.Subject.Name {
		return clean(f.Location.Path) // the image has no file
	}
	where := f.Location.String()
	if f.Location.File != "" && f.Location.Line == 0 && f.Location.Path != "" {
		where += " " + f.Location.Path
	}
	if c := f.Subject.Container; c != "" {
		where = strings.TrimSpace("[" + c + "] " + where)
	}
	return clean(where)
}

// plain lists findings that do not count, without their sources and fixes.
func (t *sheet) plain(title string, findings []*seawall.Finding) {
	if len(findings) == 0 {
		return
	}
	t.heading(fmt.Sprintf("%s (%d)", title, len(findings)))
	var known []*seawall.Finding
	for _, f := range byObject(findings) {
		if f.Vulnerability != nil {
			known = append(known, f)
			continue
		}
		line := f.Severity.String() + " " + f.Check
		if s := f.Subject.String(); s != "" {
			line += " " + s
		}
		t.hanging(2, 4, "", clean(line)+" "+placeName(f))
		if f.Suppressed != nil {
			t.text(4, faint, suppressedWhy(f.Suppressed))
		}
	}
	t.plainFlaws(known)
	t.blank()
}

func (t *sheet) incomplete(list []seawall.Incomplete) {
	if len(list) == 0 {
		return
	}
	t.text(0, boldRd, fmt.Sprintf("Incomplete (%d): could not be read or evaluated, so neither passed nor failed", len(list)))
	for i := range list {
		where := incompleteWhere(&list[i])
		if where != "" {
			where += ": "
		}
		t.hanging(2, 4, "", where+clean(list[i].Reason))
	}
	t.blank()
}

// unjudged lists the checks that need more than the scan was given.
func (t *sheet) unjudged(list []seawall.Incomplete) {
	lacks := unjudged(list)
	if len(lacks) == 0 {
		return
	}
	t.text(0, yellow, fmt.Sprintf("Checks not evaluated (%d)", len(lacks)))
	for i := range lacks {
		line := lacks[i].Check + ": " + lacks[i].Reason
		if places := lacks[i].Places(); places != "" {
			line += " (" + places + ")"
		}
		t.hanging(2, 4, "", line)
	}
	t.blank()
}

func (t *sheet) unexamined(c *seawall.Coverage) {
	if len(c.Unexamined) > 0 {
		n := 0
		for _, v := range c.Unexamined {
			n += v
		}
		t.heading(fmt.Sprintf("No check applies to %s", number(n, "object")))
		t.text(2, "", kindList(c.Unexamined, fullKind))
		t.blank()
	}
	if len(c.Skipped) == 0 {
		return
	}
	t.heading(fmt.Sprintf("Skipped (%s)", number(len(c.Skipped), "file")))
	for _, s := range c.Skipped {
		t.hanging(2, 4, "", clean(s.File)+": "+clean(s.Reason))
	}
	t.blank()
}

func (t *sheet) frameworks(list []seawall.Framework) {
	for i := range list {
		f := &list[i]
		passed, failed, unknown := statusCounts(f)
		t.heading(fmt.Sprintf("%s (%s), controls: %d passed, %d failed, %d not evaluated",
			clean(f.Title), clean(f.ID), passed, failed, unknown))
		t.controls(f.Controls)
		t.blank()
	}
}

// controls prints one line a control: id, verdict, objects passed, failed and
// not evaluated, title.
func (t *sheet) controls(list []seawall.Control) {
	if len(list) == 0 {
		return
	}
	idWidth := len("control")
	for i := range list {
		idWidth = min(max(idWidth, columns(clean(list[i].ID))), 24)
	}
	indent := 2 + idWidth + 2 + len("not evaluated") + 2 + 3*9 + 1
	t.w.str(t.paint(faint, fmt.Sprintf("  %s  %-13s  %8s %8s %8s  %s", pad("control", idWidth),
		"verdict", "passed", "failed", "not eval", "title")) + "\n")
	for i := range list {
		c := &list[i]
		t.w.printf("  %s  %s  %8d %8d %8d  ", pad(fit(clean(c.ID), idWidth), idWidth),
			t.paint(statusStyle(c.Status), pad(statusWord(c.Status), 13)), c.Passed, c.Failed, c.NotEvaluated)
		title := clean(c.Title)
		if c.Reason != "" {
			title += " (" + clean(c.Reason) + ")"
		}
		lines := wrap(title, max(t.width-indent, 16))
		t.w.str(lines[0] + "\n")
		for _, line := range lines[1:] {
			t.w.printf("%s%s\n", strings.Repeat(" ", indent), line)
		}
	}
}

func statusStyle(status string) string {
	switch status {
	case "passed":
		return green
	case "failed":
		return red
	default:
		return yellow
	}
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-columns(s)))
}

func (t *sheet) warnings(list []string) {
	if len(list) == 0 {
		return
	}
	t.text(0, yellow, fmt.Sprintf("Warnings (%d)", len(list)))
	for _, w := range list {
		t.hanging(2, 4, "", clean(w))
	}
	t.blank()
}

// basis says which images were read, and which database knows of flaws.
func (t *sheet) basis(c *seawall.Coverage) {
	if len(c.Images) > 0 {
		t.heading(fmt.Sprintf("Images scanned (%d)", len(c.Images)))
	}
	for i := range c.Images {
		image := &c.Images[i]
		t.hanging(2, 4, "", clean(image.Name))
		if image.Digest != "" && !strings.HasSuffix(image.Name, image.Digest) {
			t.text(4, faint, clean(image.Digest))
		}
		t.text(4, faint, imageFacts(image))
		if words := ruledOut(image); words != "" {
			t.text(4, faint, words)
		}
		for _, use := range image.Workloads {
			if use.Path != "" {
				t.hanging(4, 6, "", clean(use.Workload+" ["+use.Container+"] lies on the path "+use.Path))
			}
		}
	}
	if c.Database != nil {
		t.heading("Vulnerability database")
		t.hanging(2, 4, "", databaseFacts(c.Database))
	}
	if len(c.Images) > 0 || c.Database != nil {
		t.blank()
	}
}

func (t *sheet) closing(r *seawall.Report, o *Options) {
	sum := newTally(r)
	if len(r.Targets) > 0 && sum.standing.total() == 0 {
		t.text(0, "", "Targets: "+clean(strings.Join(r.Targets, ", ")))
	}
	t.text(0, "", sum.ledger())
	if !o.Now.IsZero() {
		t.text(0, faint, "Reported at "+o.Now.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	style := bold
	if sum.standing.worst() >= seawall.High || sum.incomplete > 0 {
		style = boldRd
	}
	if words := attackWords(r); words != "" {
		t.text(0, style, words)
	}
	t.text(0, style, sum.verdict())
}
