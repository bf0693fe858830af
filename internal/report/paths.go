package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"seawall.io/seawall"
)

// pathFormats lists the names of the formats of paths, the default first.
var pathFormats = [...]string{"table", "json", "dot", "svg", "html"}

// PathFormats returns the names that [WritePaths] takes, the default first.
func PathFormats() []string { return append([]string(nil), pathFormats[:]...) }

// WritePaths writes attack paths to w in the format.
func WritePaths(w io.Writer, format string, r *seawall.Paths, o Options) error {
	out := &sink{bufio.NewWriterSize(w, 64<<10)}
	var err error
	switch format {
	case "table":
		pathTable(out, r, &o)
	case "json":
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(r)
	case "dot":
		writeDOT(out, r.Paths)
	case "svg":
		drawPaths(out, r.Paths, r.Total, true)
	case "html":
		err = writePathPage(out, r)
	default:
		return fmt.Errorf("unknown output format %q: use %s", format, strings.Join(pathFormats[:], ", "))
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("writing the %s report: %w", format, err)
	}
	return nil
}

// likelihoodWord spells a chance.
func likelihoodWord(p float64) string {
	switch {
	case p >= 0.9:
		return "almost certain"
	case p >= 0.6:
		return "likely"
	case p >= 0.3:
		return "possible"
	case p >= 0.1:
		return "unlikely"
	default:
		return "rare"
	}
}

func chance(p float64) string { return fmt.Sprintf("%s (%.2g)", likelihoodWord(p), p) }

// pathTable writes for people at a terminal.
func pathTable(w *sink, r *seawall.Paths, o *Options) {
	t := &sheet{w: w, width: defaultWidth, color: o.Color}
	if o.Width > 0 {
		t.width = max(o.Width, minWidth)
	}
	if r.WhatIf != nil {
		t.whatIf(r.WhatIf)
	} else {
		for i := range r.Paths {
			t.path(&r.Paths[i])
		}
	}
	for _, c := range joinCuts(r.Cuts) {
		t.pathCut(&c)
	}
	t.list("Not known", yellow, r.Unknown)
	t.incomplete(r.Coverage.Incomplete)
	t.warnings(r.Warnings)
	if len(r.Granted) > 0 {
		t.text(0, faint, "Cluster-admin by a binding, and so no entry of a path: "+clean(few(r.Granted, maxWords)))
	}
	style := bold
	if slices.ContainsFunc(r.Paths, func(p seawall.Path) bool { return p.Severity >= seawall.High }) || len(r.Coverage.Incomplete) > 0 {
		style = boldRd
	}
	t.text(0, style, pathVerdict(r))
}

// pathVerdict is the sentence that a report of paths comes down to.
func pathVerdict(r *seawall.Paths) string {
	var c counts
	for i := range r.Paths {
		c.add(r.Paths[i].Severity)
	}
	s := "No attack path"
	if r.Total > 0 {
		s = number(r.Total, "attack path") + ": " + c.Words()
		if len(r.Paths) < r.Total {
			s = fmt.Sprintf("%s, the worst %d of them %s (--limit 0 tells all)", number(r.Total, "attack path"), len(r.Paths), c.Words())
		}
	}
	if n := len(r.Coverage.Incomplete); n > 0 {
		s += fmt.Sprintf("; %d incomplete: paths may be missing", n)
	}
	if n := len(r.Unknown); n > 0 {
		s += fmt.Sprintf("; %d not known", n)
	}
	return s + "."
}

// list prints a list under a heading that counts it.
func (t *sheet) list(title, style string, lines []string) {
	if len(lines) == 0 {
		return
	}
	t.text(0, style, fmt.Sprintf("%s (%d)", title, len(lines)))
	for _, line := range lines {
		t.hanging(2, 4, "", clean(line))
	}
	t.blank()
}

func (t *sheet) path(p *seawall.Path) {
	t.pathHead(p, "")
	for i := range p.Steps {
		t.pathStep(i+1, &p.Steps[i])
	}
	if len(p.Also) > 0 {
		t.hanging(4, 6, faint, "and with it "+few(p.Also, maxWords))
	}
	if len(p.Covers) > 0 {
		names := make([]string, len(p.Covers))
		for i := range p.Covers {
			names[i] = clean(p.Covers[i].From.Name)
		}
		t.hanging(4, 6, faint, "also for "+few(names, maxWords)+", on the way")
	}
	t.blank()
}

// pathHead prints the line that a path begins with, and a note below.
func (t *sheet) pathHead(p *seawall.Path, note string) {
	word := strings.ToUpper(p.Severity.String())
	t.w.printf("%s%s", t.paint(severityStyle(p.Severity), word), strings.Repeat(" ", max(1, sevColumns-len(word))))
	lines := wrap(clean(p.From.Name)+" -> "+clean(pathEnd(p)), t.width-sevColumns)
	t.w.str(t.paint(bold, lines[0]) + "\n")
	for _, line := range lines[1:] {
		t.text(sevColumns, bold, line)
	}
	facts := fmt.Sprintf("risk %.2g, %s, %s, id %s", p.Risk, chance(p.Likelihood), number(len(p.Steps), "step"), p.ID)
	if note != "" {
		facts = note + "; " + facts
	}
	t.text(sevColumns, faint, facts)
}

// pathEnd names what a path leads to, and the goal where that is another name.
func pathEnd(p *seawall.Path) string {
	if p.Goal == "" || p.Goal == p.To.Name || strings.HasPrefix(p.To.Name, p.Goal) {
		return p.To.Name
	}
	return p.To.Name + " (" + p.Goal + ")"
}

func (t *sheet) pathStep(n int, s *seawall.PathStep) {
	head := fmt.Sprintf("%2d. ", n)
	indent := 2 + len(head)
	what := clean(s.Title)
	if s.Primitive != "" {
		what += " [" + strings.TrimSpace(s.Primitive+" "+s.Technique) + "]"
	}
	if s.Likelihood < 1 {
		what += ", " + chance(s.Likelihood)
	}
	t.hanging(2, indent, "", head+what)
	t.hanging(indent, indent+3, bold, "=> "+clean(s.To.Name))
	if s.Text != "" {
		t.text(indent, "", clean(s.Text))
	}
	for i := range s.Evidence {
		t.hanging(indent, indent+4, faint, "at "+evidencePlace(&s.Evidence[i]))
	}
	for _, c := range s.Conditions {
		t.hanging(indent, indent+4, conditionStyle(c.Holds), "if "+clean(c.Text)+" ("+c.Holds+")")
	}
	if s.Audit != "" && s.Audit != "nothing" {
		t.hanging(indent, indent+4, faint, "seen as "+clean(s.Audit))
	}
}

func conditionStyle(holds string) string {
	if holds == "yes" {
		return faint
	}
	return yellow
}

// evidencePlace names a place: deploy/rbac.yaml:12:3 RoleBinding/shop/dev subjects[0].
func evidencePlace(e *seawall.PathEvidence) string {
	parts := []string{e.Subject.String(), e.Location.Path}
	if e.Location.File != "" {
		parts = []string{e.Location.String(), e.Subject.String(), e.Location.Path}
	}
	return clean(strings.TrimSpace(strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), " ")))
}

func (t *sheet) pathCut(c *seawall.PathCut) {
	t.heading(cutHead(c))
	for i := range c.Changes[:min(len(c.Changes), maxChanges)] {
		head := fmt.Sprintf("%2d. ", i+1)
		t.hanging(2, 2+len(head), green, head+clean(c.Changes[i].Text))
		if l := c.Changes[i].Location; l != nil && l.File != "" {
			t.text(2+len(head), faint, "at "+clean(l.String()))
		}
	}
	if n := len(c.Changes) - maxChanges; n > 0 {
		t.text(6, faint, fmt.Sprintf("and %d more: --diff prints them, -o json lists them", n))
	}
	for i := range c.Fixed[:min(len(c.Fixed), maxChanges)] {
		s := &c.Fixed[i]
		t.hanging(2, 4, yellow, fmt.Sprintf("no change of an object removes this: %s, from %s to %s [%s]",
			clean(s.Title), clean(s.From.Name), clean(s.To.Name), s.Primitive))
	}
	if n := len(c.Fixed) - maxChanges; n > 0 {
		t.text(4, faint, fmt.Sprintf("and %d more", n))
	}
	if c.Problem != "" {
		t.hanging(2, 4, boldRd, "not verified: "+clean(c.Problem))
	}
	for i := range c.Remaining {
		p := &c.Remaining[i]
		t.hanging(2, 4, "", "left: "+clean(p.From.Name)+" -> "+clean(pathEnd(p)))
	}
	t.blank()
}

// joinCuts makes one of the cuts that are the same: who closes the paths to
// cluster-admin often closes those to nodes.
func joinCuts(cuts []seawall.PathCut) []seawall.PathCut {
	same := func(a, b *seawall.PathCut) bool {
		return a.Verified == b.Verified && a.Least == b.Least && a.Together == b.Together && a.Problem == b.Problem &&
			len(a.Fixed)+len(b.Fixed)+len(a.Remaining)+len(b.Remaining) == 0 &&
			slices.EqualFunc(a.Changes, b.Changes, func(x, y seawall.PathChange) bool { return x.Text == y.Text })
	}
	var out []seawall.PathCut
	for i := range cuts {
		c := cuts[i]
		if at := slices.IndexFunc(out, func(have seawall.PathCut) bool { return same(&have, &c) }); at >= 0 {
			out[at].Goal += ", " + c.Goal
			out[at].Removes = max(out[at].Removes, c.Removes)
			continue
		}
		out = append(out, c)
	}
	return out
}

// maxChanges is how many changes of a cut people are shown.
const maxChanges = 30

// cutHead says what a cut does.
func cutHead(c *seawall.PathCut) string {
	if len(c.Changes) == 0 {
		return "No change of an object closes a path to " + clean(c.Goal)
	}
	s := fmt.Sprintf("%s %s the paths to %s from %s", number(len(c.Changes), "change"), agree(len(c.Changes), "closes", "close"),
		clean(c.Goal), number(c.Removes, "place"))
	if len(c.Fixed) > 0 {
		s += ", but for those by what no change removes"
	}
	if c.Least {
		s += ", the least there is"
	}
	switch {
	case c.Verified && c.Together:
		return s + "; verified, with the changes for the other goals"
	case c.Verified:
		return s + "; verified"
	}
	return s + "; NOT verified"
}

func agree(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func (t *sheet) whatIf(w *seawall.PathChanges) {
	t.list("With these changes", bold, w.Changes)
	for i := range w.Opened {
		t.text(0, boldRd, "OPENED")
		t.path(&w.Opened[i])
	}
	for i := range w.Moved {
		m := &w.Moved[i]
		t.pathHead(&m.Path, fmt.Sprintf("the risk was %.2g", m.Before))
		t.blank()
	}
	for i := range w.Closed {
		t.pathHead(&w.Closed[i], "closed")
		t.blank()
	}
	t.text(0, bold, fmt.Sprintf("%s opened, %d closed, %d of another risk; %d before, %d after",
		number(len(w.Opened), "path"), len(w.Closed), len(w.Moved), w.Before, w.After))
	t.blank()
}

// writeDOT writes for graphviz: the paths merged to one graph, left to right.
func writeDOT(w *sink, paths []seawall.Path) {
	d := merge(paths)
	w.str("digraph attack_paths {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n")
	for i := range d.nodes {
		n := &d.nodes[i]
		style := ""
		switch {
		case n.goal:
			style = ", penwidth=2"
		case n.entry:
			style = ", style=rounded"
		}
		w.printf("  n%d [label=\"%s\\n%s\", id=\"%s\"%s];\n", i, dotText(n.Kind), dotText(n.Name), dotText(n.Selector), style)
	}
	for i := range d.edges {
		e := &d.edges[i]
		style := ""
		if e.unsure {
			style = ", style=dashed"
		}
		w.printf("  n%d -> n%d [label=\"%s\", weight=%d%s];\n", e.from, e.to, dotText(e.label()), 1+int(9*e.likelihood), style)
	}
	w.str("}\n")
}

// dotText escapes text for a quoted string of DOT.
func dotText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(clean(s))
}
