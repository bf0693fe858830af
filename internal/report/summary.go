package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"seawall.io/seawall"
)

// tally is what the closing words of every format for people are made of. It
// is counted from the findings, so that the words never contradict the list.
type tally struct {
	standing   counts
	suppressed int
	known      int
	incomplete int // inputs
	unjudged   int // checks
	coverage   *seawall.Coverage
}

func newTally(r *seawall.Report) tally {
	t := tally{incomplete: len(r.Coverage.Incomplete), unjudged: len(unjudged(r.Coverage.NotEvaluated)), coverage: &r.Coverage}
	for i := range r.Findings {
		switch f := r.Findings[i]; {
		case f.Suppressed != nil:
			t.suppressed++
		case f.Known:
			t.known++
		default:
			t.standing.add(f.Severity)
		}
	}
	return t
}

// verdict is the one sentence that a report comes down to. It never speaks of
// success while something could not be judged, or when nothing was looked at.
func (t *tally) verdict() string {
	var b strings.Builder
	n, noun := t.standing.total(), "finding"
	if t.known > 0 {
		noun = "new finding"
	}
	switch {
	case n > 0:
		fmt.Fprintf(&b, "%s: %s", number(n, noun), t.standing.Words())
	case t.incomplete > 0:
		b.WriteString("No " + noun + "s in what could be examined, but not everything could be: this is not a pass")
	case t.examined() == 0 && t.known+t.suppressed == 0:
		b.WriteString("Nothing was examined: no check applies to what was read")
	default:
		b.WriteString("No " + noun + "s")
	}
	if t.known > 0 {
		fmt.Fprintf(&b, "; %d known from the baseline", t.known)
	}
	if t.suppressed > 0 {
		fmt.Fprintf(&b, "; %d suppressed", t.suppressed)
	}
	if t.incomplete > 0 {
		fmt.Fprintf(&b, "; %d incomplete", t.incomplete)
	}
	if t.unjudged > 0 {
		fmt.Fprintf(&b, "; %s not evaluated", number(t.unjudged, "check"))
	}
	return b.String() + "."
}

// examined counts the objects that at least one check looked at.
func (t *tally) examined() int {
	n := 0
	for _, v := range t.coverage.Evaluated {
		n += v
	}
	return n
}

// attackWords says how many findings lie on attack paths, and which is the worst
// of these.
func attackWords(r *seawall.Report) string {
	a := r.AttackPaths
	if a == nil || a.Findings == 0 {
		return ""
	}
	entries, goals := map[string]bool{}, map[string]bool{}
	for i := range r.Findings {
		if f := r.Findings[i]; f.AttackPath != nil && f.Suppressed == nil {
			entries[f.AttackPath.Entry], goals[f.AttackPath.Goal] = true, true
		}
	}
	const named = 2
	return fmt.Sprintf("%s on attack paths from %s to %s: `seawall paths` tells them.", number(a.Findings, "finding")+agree(a.Findings, " lies", " lie"),
		few(slices.Sorted(maps.Keys(entries)), named), few(slices.Sorted(maps.Keys(goals)), named))
}

// pathWords mark a finding.
func pathWords(p *seawall.AttackPath) string {
	return clean(fmt.Sprintf("⚠ on an attack path: %s -> %s (risk %.2g)", p.Entry, p.Goal, p.Risk))
}

// ledger says what the verdict rests on.
func (t *tally) ledger() string {
	c := t.coverage
	s := fmt.Sprintf("Examined %s", number(t.examined(), "object"))
	if c.Objects > t.examined() {
		s = fmt.Sprintf("Examined %d of %s", t.examined(), number(c.Objects, "object"))
	}
	if c.Documents > 0 {
		s += " in " + number(c.Documents, "document")
	}
	if len(c.Evaluated) > 0 {
		s += ": " + kindList(c.Evaluated, shortKind)
	}
	return s + "."
}

// Words spells the counts, worst first: 2 critical, 1 low.
func (c *counts) Words() string {
	var parts []string
	for s := len(c) - 1; s >= 0; s-- {
		if c[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c[s], seawall.Severity(s)))
		}
	}
	return strings.Join(parts, ", ")
}

// kind is one entry of a coverage count.
type kind struct {
	Name  string
	Count int
}

// kinds lists a coverage count under the names that name gives, the most
// frequent first.
func kinds(m map[string]int, name func(string) string) []kind {
	sum := map[string]int{}
	for k, n := range m {
		sum[clean(name(k))] += n
	}
	var out []kind
	for _, k := range slices.Sorted(maps.Keys(sum)) {
		out = append(out, kind{k, sum[k]})
	}
	slices.SortStableFunc(out, func(a, b kind) int { return cmp.Compare(b.Count, a.Count) })
	return out
}

func kindList(m map[string]int, name func(string) string) string {
	var parts []string
	for _, k := range kinds(m, name) {
		parts = append(parts, fmt.Sprintf("%d %s", k.Count, k.Name))
	}
	return strings.Join(parts, ", ")
}

// shortKind turns apps/v1/Deployment into Deployment.
func shortKind(k string) string { return k[strings.LastIndexByte(k, '/')+1:] }

func fullKind(k string) string { return k }

// suppressedWhy says why a finding does not count: reason, end and place.
func suppressedWhy(s *seawall.Suppression) string {
	reason := s.Reason
	if strings.TrimSpace(reason) == "" {
		reason = "no reason given"
	}
	if s.Expires != "" {
		reason += ", until " + s.Expires
	}
	if s.By != "" {
		reason += ", by " + s.By
	}
	return clean(reason)
}

// incompleteWhere names what could not be evaluated.
func incompleteWhere(in *seawall.Incomplete) string {
	where := in.Location.String()
	if in.Location.File != "" && in.Location.Line == 0 && in.Location.Path != "" {
		where += " " + in.Location.Path
	}
	if in.Check != "" {
		if where != "" {
			where += " "
		}
		where += "(check " + in.Check + ")"
	}
	return clean(where)
}

// lack is a check that was asked for and needs more than the scan was given.
type lack struct {
	Check, Reason string
	Count         int    // of places
	First         string // place
}

// unjudged folds the checks that were not evaluated by check and reason.
func unjudged(list []seawall.Incomplete) []lack {
	var out []lack
	at := map[[2]string]int{}
	for i := range list {
		in := &list[i]
		k := [2]string{in.Check, in.Reason}
		if j, ok := at[k]; ok {
			out[j].Count++
			continue
		}
		at[k] = len(out)
		l := lack{Check: clean(in.Check), Reason: clean(in.Reason), Count: 1, First: clean(in.Location.String())}
		if l.Check == "" {
			l.Check = "(any check)"
		}
		out = append(out, l)
	}
	slices.SortStableFunc(out, func(a, b lack) int { return cmp.Compare(a.Check, b.Check) })
	return out
}

// Places names the places that a lack is about: the first and how many more.
func (l *lack) Places() string {
	switch {
	case l.First == "":
		return ""
	case l.Count == 1:
		return l.First
	default:
		return fmt.Sprintf("%s and %d more", l.First, l.Count-1)
	}
}

// statusCounts counts the controls of a framework by status.
func statusCounts(f *seawall.Framework) (passed, failed, unknown int) {
	for i := range f.Controls {
		switch f.Controls[i].Status {
		case "passed":
			passed++
		case "failed":
			failed++
		default:
			unknown++
		}
	}
	return passed, failed, unknown
}

// statusWord spells a control's status. Anything but passed and failed is not
// evaluated.
func statusWord(status string) string {
	switch status {
	case "passed", "failed":
		return status
	default:
		return "not evaluated"
	}
}

// chartValue says which Helm value decides a place, or nothing.
func chartValue(l *seawall.Location) string {
	v := l.Value
	if v == nil {
		return ""
	}
	where := seawall.Location{File: v.File, Line: v.Line}.String()
	if where == "" {
		return clean("set by chart value " + v.Path)
	}
	return clean("set by chart value " + v.Path + " in " + where)
}
