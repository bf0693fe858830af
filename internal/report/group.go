package report

import (
	"cmp"
	"slices"

	"seawall.io/seawall"
)

// counts holds numbers of findings by severity.
type counts [seawall.Critical + 1]int

func (c *counts) add(s seawall.Severity) { c[min(s, seawall.Critical)]++ }

func (c *counts) total() int {
	n := 0
	for _, v := range c {
		n += v
	}
	return n
}

// worst returns the highest severity counted.
func (c *counts) worst() seawall.Severity {
	for s := seawall.Critical; s > seawall.None; s-- {
		if c[s] > 0 {
			return s
		}
	}
	return seawall.None
}

// group is one workload, image or file and everything found in it.
type group struct {
	// Subject is without container, and without an image beside an object.
	Subject seawall.Subject
	File    string
	Counts  counts
	// Risk is that of the worst attack path which a finding of the worst severity
	// lies on.
	Risk   float64
	Issues []issue
	Flaws  []flaw // the known vulnerabilities, the most urgent first
	// findings are in order: worst first, then by check and place; then the known
	// vulnerabilities as the report has them, which is as they were ranked.
	findings []*seawall.Finding
}

// issue is what one check found in a group. Its findings are kept together so
// that four containers with one fault read as one fault.
type issue struct {
	Check    string
	Title    string
	Severity seawall.Severity
	// Path is the worst attack path that a finding lies on, nil without one.
	Path     *seawall.AttackPath
	Cases    []instance
	Fixes    []string // the distinct remediations
	Refs     []string
	findings []*seawall.Finding
}

// Len is how many findings are folded into the issue.
func (is *issue) Len() int { return len(is.findings) }

// instance is one message and every place that it was said of.
type instance struct {
	Message  string
	Findings []*seawall.Finding
}

// groupKey tells groups apart.
type groupKey struct {
	object      seawall.Object
	image, file string
}

// keyOf drops what does not tell workloads apart. An image tells only where
// there is no object around it.
func keyOf(f *seawall.Finding) groupKey {
	k := groupKey{object: *f.Subject.Object, file: f.Location.File}
	if f.Subject.Kind == "" {
		k.image = f.Subject.Image
	}
	return k
}

// title names the group for people.
func (g *group) title() string {
	name := subjectName(&g.Subject)
	if name == "" {
		name = g.File
	}
	if name == "" {
		name = "(no object named)"
	}
	if g.Subject.Cluster != "" {
		name += " in cluster " + g.Subject.Cluster
	}
	return clean(name)
}

// FileName names the group's file, or nothing where the title says it.
func (g *group) FileName() string {
	file := clean(g.File)
	if file == clean(g.Subject.Name) || file == g.title() {
		return ""
	}
	return file
}

// sorted holds the findings of a report by what became of them.
type sorted struct {
	standing   []*seawall.Finding // new, and nobody accepted them
	known      []*seawall.Finding // in the baseline
	suppressed []*seawall.Finding // accepted
}

func split(findings []*seawall.Finding) sorted {
	s := sorted{standing: make([]*seawall.Finding, 0, len(findings))}
	for i := range findings {
		switch f := findings[i]; {
		case f.Suppressed != nil:
			s.suppressed = append(s.suppressed, f)
		case f.Known:
			s.known = append(s.known, f)
		default:
			s.standing = append(s.standing, f)
		}
	}
	return s
}

// groups sorts findings into groups, the worst group first.
func groups(findings []*seawall.Finding) []*group {
	index := map[groupKey]*group{}
	var out []*group
	for _, f := range findings {
		k := keyOf(f)
		g := index[k]
		if g == nil {
			g = &group{Subject: seawall.Subject{Object: f.Subject.Object, Image: k.image}, File: k.file}
			index[k] = g
			out = append(out, g)
		}
		g.Counts.add(f.Severity)
		g.findings = append(g.findings, f)
	}
	for _, g := range out {
		known := slices.DeleteFunc(slices.Clone(g.findings), func(f *seawall.Finding) bool { return f.Vulnerability == nil })
		g.findings = slices.DeleteFunc(g.findings, func(f *seawall.Finding) bool { return f.Vulnerability != nil })
		slices.SortStableFunc(g.findings, compareFindings)
		g.Issues = issues(g.findings)
		// Within a severity, what lies on an attack path comes first.
		slices.SortStableFunc(g.Issues, func(a, b issue) int {
			return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(riskOf(b.Path), riskOf(a.Path)))
		})
		for _, f := range slices.Concat(g.findings, known) {
			if f.Severity == g.Counts.worst() {
				g.Risk = max(g.Risk, riskOf(f.AttackPath))
			}
		}
		g.Flaws = flaws(known)
		g.findings = append(g.findings, known...)
	}
	slices.SortFunc(out, compareGroups)
	return out
}

// riskOf is the risk of a path, 0 of none.
func riskOf(p *seawall.AttackPath) float64 {
	if p == nil {
		return 0
	}
	return p.Risk
}

// compareGroups orders by worst severity, then by the risk of the attack path on
// which something of it lies, then by how many of each severity from the worst
// down, then by name.
func compareGroups(a, b *group) int {
	return cmp.Or(
		cmp.Compare(b.Counts.worst(), a.Counts.worst()),
		cmp.Compare(b.Risk, a.Risk),
		compareCounts(&a.Counts, &b.Counts),
		cmp.Compare(a.Subject.Cluster, b.Subject.Cluster),
		cmp.Compare(a.Subject.Namespace, b.Subject.Namespace),
		cmp.Compare(a.Subject.Name, b.Subject.Name),
		cmp.Compare(a.Subject.Kind, b.Subject.Kind),
		cmp.Compare(a.Subject.APIVersion, b.Subject.APIVersion),
		cmp.Compare(a.Subject.Image, b.Subject.Image),
		cmp.Compare(a.File, b.File),
	)
}

// compareCounts puts first what has more of the worst severity, then of the next.
func compareCounts(a, b *counts) int {
	for s := len(a) - 1; s >= 0; s-- {
		if a[s] != b[s] {
			return b[s] - a[s]
		}
	}
	return 0
}

// compareFindings orders the findings of one group: worst first, findings of
// one check together, and those in the order of the file.
func compareFindings(a, b *seawall.Finding) int {
	return cmp.Or(
		cmp.Compare(b.Severity, a.Severity),
		cmp.Compare(a.Check, b.Check),
		cmp.Compare(a.Location.Line, b.Location.Line),
		cmp.Compare(a.Location.Column, b.Location.Column),
		cmp.Compare(a.Location.Path, b.Location.Path),
		cmp.Compare(a.Message, b.Message),
		cmp.Compare(a.ID, b.ID),
	)
}

// issues folds sorted findings of one group by check, severity and message.
func issues(findings []*seawall.Finding) []issue {
	var out []issue
	for len(findings) > 0 {
		first := findings[0]
		n := 1
		for n < len(findings) && findings[n].Check == first.Check && findings[n].Severity == first.Severity {
			n++
		}
		out = append(out, newIssue(findings[:n]))
		findings = findings[n:]
	}
	return out
}

func newIssue(findings []*seawall.Finding) issue {
	first := findings[0]
	is := issue{Check: first.Check, Title: first.Title, Severity: first.Severity, findings: findings}
	at := map[string]int{}
	for _, f := range findings {
		if riskOf(f.AttackPath) > riskOf(is.Path) {
			is.Path = f.AttackPath
		}
		i, ok := at[f.Message]
		if !ok {
			i = len(is.Cases)
			at[f.Message] = i
			is.Cases = append(is.Cases, instance{Message: f.Message})
		}
		is.Cases[i].Findings = append(is.Cases[i].Findings, f)
		if f.Remediation != "" && !slices.Contains(is.Fixes, f.Remediation) {
			is.Fixes = append(is.Fixes, f.Remediation)
		}
		for _, ref := range f.Refs {
			if !slices.Contains(is.Refs, ref) {
				is.Refs = append(is.Refs, ref)
			}
		}
	}
	return is
}

// byObject orders findings for a plain list: worst first, then by object.
func byObject(findings []*seawall.Finding) []*seawall.Finding {
	out := slices.Clone(findings)
	slices.SortStableFunc(out, func(a, b *seawall.Finding) int {
		return cmp.Or(
			cmp.Compare(b.Severity, a.Severity),
			cmp.Compare(a.Subject.String(), b.Subject.String()),
			cmp.Compare(a.Location.File, b.Location.File),
			compareFindings(a, b),
		)
	})
	return out
}
