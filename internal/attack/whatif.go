package attack

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
)

// Alteration is a change that somebody plans: objects that are made, or put in the
// place of those of the same name, and objects that go.
type Alteration struct {
	Put []*cluster.Object
	// Gone are objects as Kind/namespace/name, or Kind/name for those in none.
	Gone []string
}

// Alter returns the graph of the clusters after a change, which is made in each of
// them, and says in words what it does. An object that is to go and that no cluster
// has is an error.
func (g *Graph) Alter(a Alteration) (after *Graph, done []string, err error) {
	snaps := slices.Clone(g.snaps)
	found := map[string]bool{}
	for i, s := range snaps {
		put := map[string]*cluster.Object{}
		for _, o := range a.Put {
			put[identityOf(o)] = o
		}
		objects := make([]*cluster.Object, 0, len(s.Objects)+len(a.Put))
		for _, o := range s.Objects {
			name := nameIn(o)
			if slices.Contains(a.Gone, name) {
				found[name] = true
				done = append(done, g.inCluster("delete "+name, i))
				continue
			}
			if other := put[identityOf(o)]; other != nil {
				delete(put, identityOf(o))
				o = as(other, o)
				done = append(done, g.inCluster("replace "+name, i))
			}
			objects = append(objects, o)
		}
		for _, o := range a.Put {
			if put[identityOf(o)] == o {
				objects = append(objects, as(o, &cluster.Object{Object: &seawall.Object{Cluster: nameOf(s)}}))
				done = append(done, g.inCluster("add "+nameIn(o), i))
			}
		}
		snaps[i] = rest(s, objects)
	}
	for _, name := range a.Gone {
		if !found[name] {
			return nil, nil, fmt.Errorf("%q is not in what was read, so it cannot be removed: name it as Kind/namespace/name, or Kind/name where it stands in no namespace", name)
		}
	}
	return Build(snaps, g.options), done, nil
}

func (g *Graph) inCluster(what string, i int) string {
	if len(g.Clusters) > 1 {
		return what + " in " + g.Clusters[i]
	}
	return what
}

// as is an object as one of the cluster of another.
func as(o, other *cluster.Object) *cluster.Object {
	named, out := *o.Object, *o
	named.Cluster = other.Cluster
	out.Object = &named
	return &out
}

// identityOf is what the API server tells objects apart by, whatever the version.
func identityOf(o *cluster.Object) string {
	return strings.Join([]string{o.Group(), o.Kind, namespaceOf(o), o.Name}, "/")
}

// namespaceOf reads an object without a namespace as one in default; of what
// stands in no namespace all do so alike.
func namespaceOf(o *cluster.Object) string { return cmp.Or(o.Namespace, "default") }

func nameIn(o *cluster.Object) string {
	if o.Namespace == "" {
		return o.Kind + "/" + o.Name
	}
	return o.Kind + "/" + o.Namespace + "/" + o.Name
}

// Compare describes which paths are in one graph and not in the other, and which
// have another risk. Each is asked its own question, since a change may make and
// remove entries and goals.
func Compare(before, after *Graph, q, r Question) *seawall.PathChanges {
	was, is := before.risks(q), after.risks(r)
	out := &seawall.PathChanges{Before: before.count(q), After: after.count(r)}
	out.Opened = after.some(r, func(id string) bool { return was[id] == 0 })
	out.Closed = before.some(q, func(id string) bool { return is[id] == 0 })
	for _, p := range after.some(r, func(id string) bool { return was[id] > 0 && math.Abs(was[id]-is[id]) > 1e-9 }) {
		out.Moved = append(out.Moved, seawall.PathMove{Path: p, Before: Round(was[p.ID])})
	}
	return out
}

// count is how many paths a report tells.
func (g *Graph) count(q Question) int { return len(g.fold(g.Paths(q.Entries, q.Goals), q.Goals)) }

// risks are those of the paths from each entry to each goal, by ID.
func (g *Graph) risks(q Question) map[string]float64 {
	out := map[string]float64{}
	for _, goal := range q.Goals {
		w := g.search(from(goal.Vertices), true)
		for _, e := range q.Entries {
			if v := e.Vertex; w.reach(int32(v)) && w.edge[v] >= 0 { //nolint:gosec // an index
				out[g.ID(v, goal)] = math.Exp(perHop*float64(w.hops[v])-w.distance[v]) * e.Likelihood * goal.Impact
			}
		}
	}
	return out
}

// some describes the paths of entries to goals that are asked for by ID, worst
// first.
func (g *Graph) some(q Question, want func(id string) bool) []seawall.Path {
	var paths []Path
	for i, goal := range q.Goals {
		var entries []Entry
		for _, e := range q.Entries {
			if want(g.ID(e.Vertex, goal)) {
				entries = append(entries, e)
			}
		}
		for _, p := range g.Paths(entries, q.Goals[i:i+1]) {
			p.Goal = i
			paths = append(paths, p)
		}
	}
	sortPaths(paths)
	paths = g.fold(paths, q.Goals)
	out := make([]seawall.Path, len(paths))
	for i := range paths {
		out[i] = g.Describe(&paths[i], q.Goals)
	}
	return out
}
