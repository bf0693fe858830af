package attack

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"

	"seawall.io/seawall"
)

// Question is what a report of paths answers.
type Question struct {
	Entries []Entry
	Goals   []Goal
	// Limit is how many paths are described, 0 for all.
	Limit int
	// Cut asks for the least change that leaves no path, for each goal.
	Cut bool
}

// Report answers a question in the nouns that commands, pages and other programs
// take, with the cuts that they describe. What was read, and from where, is for the
// caller to add.
func (g *Graph) Report(q Question) (*seawall.Paths, []Cut) {
	paths := g.fold(g.Paths(q.Entries, q.Goals), q.Goals)
	r := &seawall.Paths{
		Total: len(paths), Paths: []seawall.Path{}, Goals: []seawall.PathGoal{}, Cuts: []seawall.PathCut{},
		Granted: g.granted(), Unknown: slices.Clone(g.Unknown),
	}
	for _, goal := range q.Goals {
		r.Goals = append(r.Goals, seawall.PathGoal{Name: goal.Name, Impact: goal.Impact})
	}
	for goal, w := range g.reached(q) {
		r.Goals[goal].Entries = w
	}
	for i := range paths {
		p := &paths[i]
		for _, goal := range append(p.also, p.Goal) {
			r.Goals[goal].Paths++
		}
		if q.Limit <= 0 || i < q.Limit {
			r.Paths = append(r.Paths, g.Describe(p, q.Goals))
		}
	}
	var cuts []Cut
	if q.Cut {
		r.Cuts, cuts = g.cuts(q, r.Goals)
	}
	return r, cuts
}

// fold takes out the paths to what cluster-admin holds anyway, of entries from
// which a path leads to cluster-admin that is no less bad, and notes the goal there.
func (g *Graph) fold(paths []Path, goals []Goal) []Path {
	type to struct{ entry, cluster int }
	admin := map[to]int{} // path, from 1
	for i := range paths {
		p := &paths[i]
		if end := &g.Vertices[p.end()]; end.Kind == Admin {
			for _, v := range append(p.Covers, p.Entry) {
				admin[to{v, end.Cluster}] = i + 1
			}
		}
	}
	out := make([]Path, 0, len(paths))
	for i := range paths {
		p := &paths[i]
		end := &g.Vertices[p.end()]
		if at := admin[to{p.Entry, end.Cluster}]; at > 0 && end.Kind != Admin && g.within(goals[p.Goal], end.Cluster) && paths[at-1].Risk >= p.Risk {
			if a := &paths[at-1]; !slices.Contains(a.also, p.Goal) {
				a.also = append(a.also, p.Goal)
			}
			paths[i].folded = true
		}
	}
	for i := range paths {
		if !paths[i].folded {
			slices.Sort(paths[i].also)
			out = append(out, paths[i])
		}
	}
	return out
}

// within says that a goal is nothing but nodes, Secrets and powers of a cluster,
// all of which its administrator has.
func (g *Graph) within(goal Goal, cluster int) bool {
	return !slices.ContainsFunc(goal.Vertices, func(v int) bool {
		x := &g.Vertices[v]
		return x.Cluster != cluster || x.Kind != Node && x.Kind != Secret && x.Kind != Power
	})
}

// reached counts for each goal the entries from which a path leads to it.
func (g *Graph) reached(q Question) []int {
	out := make([]int, len(q.Goals))
	for i, goal := range q.Goals {
		w := g.search(from(goal.Vertices), true)
		for _, e := range q.Entries {
			if w.edge[e.Vertex] >= 0 {
				out[i]++
			}
		}
	}
	return out
}

// Describe puts a path into words.
func (g *Graph) Describe(p *Path, goals []Goal) seawall.Path {
	goal := goals[p.Goal]
	out := seawall.Path{
		ID: g.ID(p.Entry, goal), Goal: goal.Name,
		Risk: Round(p.Risk), Likelihood: Round(p.Likelihood), Severity: seawall.RiskSeverity(p.Risk),
		From: g.node(p.Entry), Steps: make([]seawall.PathStep, len(p.Hops)),
	}
	for i, h := range p.Hops {
		out.Steps[i] = g.step(h)
	}
	out.To = out.Steps[len(out.Steps)-1].To
	for _, other := range p.also {
		out.Also = append(out.Also, goals[other].Name)
	}
	for _, v := range p.Covers {
		out.Covers = append(out.Covers, seawall.PathCover{ID: g.ID(v, goal), From: g.node(v)})
	}
	return out
}

// ID is a fingerprint of the path between an entry and a goal: 80 bits of a hash,
// as those of findings are.
func (g *Graph) ID(entry int, goal Goal) string {
	sum := sha256.Sum256([]byte("path\x00" + g.Selector(entry) + "\x00" + goal.Name))
	return hex.EncodeToString(sum[:10])
}

// digits is how many digits of a likelihood are told: more would pretend.
const digits = 3

// Round leaves a likelihood or risk the digits that are told.
func Round(x float64) float64 {
	out, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', digits, 64), 64)
	if err != nil {
		return x
	}
	return out
}

func (g *Graph) node(v int) seawall.PathNode {
	x := &g.Vertices[v]
	n := seawall.PathNode{Kind: x.Kind.String(), Name: g.Name(v), Selector: g.Selector(v)}
	if x.Cluster >= 0 {
		n.Cluster = g.Clusters[x.Cluster]
	}
	if x.Object != nil {
		n.Location = place(x.Object.Locate(""))
	}
	return n
}

// place is a location, nil where it says nothing.
func place(l seawall.Location) *seawall.Location {
	if l == (seawall.Location{}) {
		return nil
	}
	return &l
}

func (g *Graph) step(h Hop) seawall.PathStep {
	s := &g.Steps[h.Step]
	out := seawall.PathStep{
		Primitive: s.ID, Title: s.Title, Technique: s.Technique, Audit: s.Audit, Likelihood: Round(s.likelihood()),
		From: g.node(h.From), To: g.node(h.To), Text: s.Text,
	}
	for _, e := range s.Evidence {
		if e.Object != nil {
			out.Evidence = append(out.Evidence, seawall.PathEvidence{Subject: e.Object.Subject(), Location: e.Object.Locate(e.Path)})
		}
	}
	for _, c := range s.Conditions {
		out.Conditions = append(out.Conditions, seawall.PathCondition{Text: c.Text, Holds: c.Holds.String()})
	}
	for _, c := range s.Changes {
		out.Changes = append(out.Changes, g.Changes[c].Text)
	}
	return out
}

// DescribeChange puts a change into words and patches.
func (g *Graph) DescribeChange(i int) seawall.PathChange {
	c := &g.Changes[i]
	out := seawall.PathChange{Text: c.Text, Patch: c.Ops, Cost: c.Cost}
	switch {
	case c.New != nil:
		out.Manifest = c.New.Value()
	case c.Object != nil:
		out.Object, out.Location = c.Object.Object, place(c.Object.Locate(""))
		out.Delete = len(c.Ops) == 0
	}
	return out
}

// cuts finds the cut of each goal that has a path, and verifies it.
func (g *Graph) cuts(q Question, goals []seawall.PathGoal) ([]seawall.PathCut, []Cut) {
	entries := make([]int, len(q.Entries))
	for i, e := range q.Entries {
		entries[i] = e.Vertex
	}
	cuts := []seawall.PathCut{}
	var found []Cut
	var of []int // the goal of each
	for i, goal := range q.Goals {
		if goals[i].Entries == 0 {
			continue
		}
		cut := g.Cut(entries, goal.Vertices)
		found, of = append(found, cut), append(of, i)
		c := seawall.PathCut{Goal: goal.Name, Changes: []seawall.PathChange{}, Cost: cut.Cost, Least: cut.Least}
		for _, change := range cut.Changes {
			c.Changes = append(c.Changes, g.DescribeChange(change))
		}
		for _, h := range cut.Fixed {
			c.Fixed = append(c.Fixed, g.step(h))
		}
		cuts = append(cuts, c)
	}
	for _, p := range g.proofs(found) {
		after, err := g.Changed(p.changes)
		for _, i := range p.cuts {
			if err != nil {
				cuts[i].Problem = err.Error()
				continue
			}
			cuts[i].Together = len(found[i].Changes) < len(p.changes)
			g.verify(&cuts[i], found[i], after, q, of[i], goals[of[i]].Entries)
		}
	}
	return cuts, found
}

// proof is changes that are made to verify cuts.
type proof struct {
	changes []int
	cuts    []int
}

// verifyWork bounds what the verification of cuts builds, in edges: some seconds.
const verifyWork = 300_000

// proofs returns one for all cuts that are the same, since each takes a new graph.
// Where that would be too many, the last is of all the rest together.
func (g *Graph) proofs(cuts []Cut) []proof {
	most := max(verifyWork/max(len(g.edges), 1), 1)
	var out []proof
	for i := range cuts {
		same := func(t proof) bool { return slices.Equal(t.changes, cuts[i].Changes) }
		at := slices.IndexFunc(out, same)
		switch {
		case at >= 0:
		case len(out) < most:
			at = len(out)
			out = append(out, proof{changes: cuts[i].Changes})
		default:
			at = most - 1
			all := slices.Concat(out[at].changes, cuts[i].Changes)
			slices.Sort(all)
			out[at].changes = slices.Compact(all)
		}
		out[at].cuts = append(out[at].cuts, i)
	}
	return out
}

// verify looks for paths to a goal in the graph that a cut leaves.
func (g *Graph) verify(out *seawall.PathCut, cut Cut, after *Graph, q Question, goal, before int) {
	e, goals := after.Same(g, q.Entries, q.Goals[goal:goal+1])
	out.Verified = len(after.without(g, cut.Fixed).Paths(e, goals)) == 0
	left := after.Paths(e, goals)
	out.Removes = before
	for i := range left {
		out.Removes -= 1 + len(left[i].Covers)
		if q.Limit <= 0 || i < q.Limit {
			out.Remaining = append(out.Remaining, after.Describe(&left[i], goals))
		}
	}
}

// granted names the people and groups that hold everything in a cluster because
// a binding says so.
func (g *Graph) granted() []string {
	var out []string
	for v, is := range g.holders() {
		if x := &g.Vertices[v]; is && !x.System {
			out = append(out, g.Name(v))
		}
	}
	slices.Sort(out)
	return out
}
