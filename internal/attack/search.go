package attack

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"seawall.io/seawall/internal/rbac"
)

// Goal is what paths lead to: one thing, or several of which any will do.
type Goal struct {
	// Name is for people: cluster-admin, a node.
	Name string
	// Impact ranks goals, 0 to 1.
	Impact   float64
	Vertices []int
}

// Entry is where paths begin, with the chance, 0 to 1, that an attacker stands
// there.
type Entry struct {
	Vertex     int
	Likelihood float64
}

// Hop is one step of a path.
type Hop struct {
	From, To int // vertices
	Step     int
}

// Path leads from an entry to a goal, by the likeliest way there is.
type Path struct {
	Entry int
	Goal  int // index of the goals that were asked for
	Hops  []Hop
	// Likelihood is that of all steps together, Risk that times the entry's and
	// the goal's impact. They rank paths and measure nothing.
	Likelihood, Risk float64
	// Covers are other entries that this path passes through: their own paths to
	// the goal are its last steps.
	Covers []int

	also   []int // goals that who comes to this one has too
	folded bool  // it is told with another
}

func (p *Path) end() int { return p.Hops[len(p.Hops)-1].To }

// perHop makes the shorter of two paths of the same likelihood win.
const perHop = 1e-3

// ways holds, for each vertex, how far it is to the nearest of some others, and
// the edge that leads there.
type ways struct {
	distance []float64
	hops     []int32 // how many edges that is
	edge     []int32 // -1 at the end and where there is no way
}

func (w *ways) reach(v int32) bool { return !math.IsInf(w.distance[v], 1) }

// search is Dijkstra's, from several vertices with a distance each, along the
// edges or against them.
func (g *Graph) search(start map[int32]float64, against bool) ways {
	n := len(g.Vertices)
	w := ways{distance: make([]float64, n), hops: make([]int32, n), edge: make([]int32, n)}
	for i := range n {
		w.distance[i], w.edge[i] = math.Inf(1), -1
	}
	var q queue
	for v, d := range start {
		w.distance[v] = d
		q.push(item{d, v})
	}
	for len(q) > 0 {
		at := q.pop()
		if at.distance > w.distance[at.vertex] {
			continue
		}
		first, last := g.out[at.vertex], g.out[at.vertex+1]
		if against {
			first, last = g.in[at.vertex], g.in[at.vertex+1]
		}
		for i := first; i < last; i++ {
			j := i
			if against {
				j = g.back[i]
			}
			e := g.edges[j]
			next := e.to
			if against {
				next = e.from
			}
			d := at.distance + g.weights[e.step]
			// Of two ways that are equally good the one that comes first in the
			// graph is taken, whatever the order of the queue.
			if d < w.distance[next] || d == w.distance[next] && w.edge[next] >= 0 && j < w.edge[next] {
				shorter := d < w.distance[next]
				w.distance[next], w.edge[next], w.hops[next] = d, j, w.hops[at.vertex]+1
				if shorter {
					q.push(item{d, next})
				}
			}
		}
	}
	return w
}

type item struct {
	distance float64
	vertex   int32
}

// queue is a binary heap: package container/heap would box each item.
type queue []item

func (q *queue) push(it item) {
	*q = append(*q, it)
	h, i := *q, len(*q)-1
	for i > 0 && before(h[i], h[(i-1)/2]) {
		h[i], h[(i-1)/2] = h[(i-1)/2], h[i]
		i = (i - 1) / 2
	}
}

func (q *queue) pop() item {
	h := *q
	top, last := h[0], len(h)-1
	h[0] = h[last]
	h = h[:last]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < last; c++ {
			if before(h[c], h[least]) {
				least = c
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	*q = h
	return top
}

func before(a, b item) bool {
	return a.distance < b.distance || a.distance == b.distance && a.vertex < b.vertex
}

func from(vertices []int) map[int32]float64 {
	out := make(map[int32]float64, len(vertices))
	for _, v := range vertices {
		out[int32(v)] = 0 //nolint:gosec // an index
	}
	return out
}

// Paths returns the likeliest path from each entry to each goal, worst first. An
// entry that lies on the path of a worse one has none of its own.
func (g *Graph) Paths(entries []Entry, goals []Goal) []Path {
	var out []Path
	for i, goal := range goals {
		w := g.search(from(goal.Vertices), true)
		var here []Path
		for _, e := range entries {
			if !w.reach(int32(e.Vertex)) || slices.Contains(goal.Vertices, e.Vertex) { //nolint:gosec // an index
				continue
			}
			p := Path{Entry: e.Vertex, Goal: i, Likelihood: 1}
			for v := int32(e.Vertex); w.edge[v] >= 0; { //nolint:gosec // an index
				hop := g.edges[w.edge[v]]
				p.Hops = append(p.Hops, Hop{int(hop.from), int(hop.to), int(hop.step)})
				p.Likelihood *= g.Steps[hop.step].likelihood()
				v = hop.to
			}
			p.Risk = p.Likelihood * e.Likelihood * goal.Impact
			here = append(here, p)
		}
		sortPaths(here)
		out = append(out, withoutSuffixes(here)...)
	}
	sortPaths(out)
	return out
}

func sortPaths(paths []Path) {
	slices.SortStableFunc(paths, func(a, b Path) int {
		return cmp.Or(cmp.Compare(b.Risk, a.Risk), cmp.Compare(len(a.Hops), len(b.Hops)), cmp.Compare(a.Goal, b.Goal), cmp.Compare(a.Entry, b.Entry))
	})
}

// withoutSuffixes leaves out the paths of entries that a path before them passes
// through, and notes them there. All lead to one goal.
func withoutSuffixes(paths []Path) []Path {
	on := map[int]int{} // vertex: the path that passes through it
	var out []Path
	for _, p := range paths {
		if i, ok := on[p.Entry]; ok {
			out[i].Covers = append(out[i].Covers, p.Entry)
			continue
		}
		for _, h := range p.Hops {
			if _, ok := on[h.From]; !ok {
				on[h.From] = len(out)
			}
		}
		out = append(out, p)
	}
	return out
}

// Entries returns where attackers stand by default: on the internet, at the desk
// of somebody who may use the API, in a pod of any workload that is not a part of
// Kubernetes, and where the token of a service account is used that no pod has: a
// pipeline, a script. Who is cluster-admin by a binding is none: it needs no path.
func (g *Graph) Entries() []Entry {
	var out []Entry
	holders, inPods := g.holders(), g.inPods()
	for i := range g.Vertices {
		v := &g.Vertices[i]
		if v.System || holders[i] {
			continue
		}
		switch v.Kind {
		case Internet:
			out = append(out, Entry{i, 1})
		case User, Group:
			out = append(out, Entry{i, 0.3})
		case Workload:
			out = append(out, Entry{i, 0.2})
		case ServiceAccount:
			if !inPods[i] {
				out = append(out, Entry{i, 0.1})
			}
		default:
		}
	}
	return out
}

// Identities are the entries that RBAC knows: people, groups and service accounts
// that are no part of Kubernetes and not cluster-admin by a binding.
func (g *Graph) Identities() []Entry {
	var out []Entry
	holders := g.holders()
	for i := range g.Vertices {
		v := &g.Vertices[i]
		if v.System || holders[i] {
			continue
		}
		switch v.Kind {
		case User, Group:
			out = append(out, Entry{i, 0.3})
		case ServiceAccount:
			out = append(out, Entry{i, 0.1})
		default:
		}
	}
	return out
}

// inPods are the service accounts, by vertex, whose token some pod has, and those
// that are granted everything.
func (g *Graph) inPods() []bool {
	out := make([]bool, len(g.Vertices))
	for _, e := range g.edges {
		switch g.Steps[e.step].Primitive {
		case mountedToken:
			out[e.to] = true
		case wildcard:
			out[e.from] = out[e.from] || g.Vertices[e.to].Kind == Admin
		default:
		}
	}
	return out
}

// holders are the people and groups, by vertex, that are granted everything in a
// cluster; not those that stand for anybody.
func (g *Graph) holders() []bool {
	out := make([]bool, len(g.Vertices))
	var todo []int32
	for v := range g.Vertices {
		if g.Vertices[v].Kind == Admin {
			todo = append(todo, int32(v))
		}
	}
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, i := range g.back[g.in[v]:g.in[v+1]] {
			e := g.edges[i]
			p, from := g.Steps[e.step].Primitive, &g.Vertices[e.from]
			if out[e.from] || p != wildcard && p != member || from.Kind != User && from.Kind != Group || from.anybody() {
				continue
			}
			out[e.from] = true
			todo = append(todo, e.from)
		}
	}
	return out
}

// anybody says that a subject is nobody in particular.
func (x *Vertex) anybody() bool {
	return x.Name == rbac.Anonymous || x.Name == rbac.Authenticated || x.Name == rbac.Unauthenticated
}

// maxOwn is how many cloud principals are goals of their own. Beyond it they are
// one: any of them.
const maxOwn = 64

// Goals returns what attackers are after by default: of each cluster everything,
// a node and all Secrets, the principals of the cloud, and what is known by name
// only.
func (g *Graph) Goals() []Goal {
	var out []Goal
	add := func(name string, impact float64, vertices ...int) {
		if len(vertices) > 0 {
			out = append(out, Goal{name, impact, vertices})
		}
	}
	for c, name := range g.Clusters {
		var nodes []int
		for i := range g.Vertices {
			if v := &g.Vertices[i]; v.Kind == Node && v.Cluster == c {
				nodes = append(nodes, i)
			}
		}
		if v := g.Find(Key{Kind: Admin, Cluster: c}); v >= 0 {
			add(in("cluster-admin", name), 1, v)
		}
		add(in("a node", name), 0.8, nodes...)
		if v := g.Find(Key{Kind: Power, Cluster: c, Name: "read-secrets"}); v >= 0 {
			add(in("all Secrets", name), 0.8, v)
		}
	}
	for _, kind := range []Kind{Cloud, Outside} {
		var own []int
		for i := range g.Vertices {
			// Who pulls from a registry is not after it: it is a way, and rarely an end.
			if v := &g.Vertices[i]; v.Kind == kind && !strings.HasPrefix(v.Name, registryPrefix) {
				own = append(own, i)
			}
		}
		if len(own) > maxOwn {
			add("any "+kind.String()+" principal", 0.7, own...)
			continue
		}
		for _, v := range own {
			add(g.Name(v), 0.7, v)
		}
	}
	return out
}

func in(what, cluster string) string {
	if cluster == "" {
		return what
	}
	return what + " of " + cluster
}

// Name is how people call a vertex.
func (g *Graph) Name(v int) string {
	x := &g.Vertices[v]
	name := x.Name
	if x.Namespace != "" {
		name = x.Namespace + "/" + x.Name
	}
	switch x.Kind {
	case Internet:
		name = "the internet"
	case User, Group, ServiceAccount, Secret, Node:
		name = [...]string{User: "user", Group: "group", ServiceAccount: "service account", Node: "node", Secret: "Secret"}[x.Kind] + " " + name
		if x.Name == someNode || x.Name == someControlPlane {
			name = x.Name
		}
	case Admin:
		name = "cluster-admin"
	case Power:
		name = powerName(x.Key)
	default:
	}
	if x.Cluster >= 0 && len(g.Clusters) > 1 {
		name = in(name, g.Clusters[x.Cluster])
	}
	return name
}
