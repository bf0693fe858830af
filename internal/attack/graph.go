// Package attack holds the graph of what an attacker can turn into what: from
// the internet, a compromised pod or a person to cluster-admin, secrets, nodes,
// cloud accounts and other clusters. It finds the likeliest paths, and the
// smallest set of changes that cuts them.
//
// A node of the graph is something an attacker holds: the place of a stranger on
// the internet, an identity, code running in a pod, root on a node, the content
// of a Secret, a power such as making pods in a namespace. A step leads from one
// to the next, with the evidence that it can be taken and the changes that would
// prevent it. RBAC is one source of steps; what other authorizers allow comes on
// top, so a graph is a lower bound.
package attack

import (
	"cmp"
	"math"
	"slices"

	"seawall.io/seawall/internal/cluster"
)

// Kind is what sort of thing an attacker holds.
type Kind uint8

// The kinds. Those of people, Group and User, are identities that bindings name.
const (
	Internet       Kind = iota // anybody who can reach what is exposed
	User                       // a user by name, system:anonymous among them
	Group                      // a group, and so everybody in it
	ServiceAccount             // the credentials of a service account
	Workload                   // code that runs in the pods of a workload
	Node                       // root on a machine of the cluster
	Secret                     // the content of a Secret or of what is kept like one
	Power                      // something that may be done, such as making pods in a namespace
	Cloud                      // a principal of the cloud: a role, a service account
	Admin                      // everything in a cluster
	Outside                    // something known by name only: another cluster, a registry
)

var kindNames = [...]string{"internet", "user", "group", "serviceaccount", "workload", "node", "secret", "power", "cloud", "cluster-admin", "outside"}

// String returns the name that commands and JSON use.
func (k Kind) String() string { return kindNames[k] }

// ParseKind is the kind of a name that String returns.
func ParseKind(name string) (Kind, bool) {
	i := slices.Index(kindNames[:], name)
	return Kind(max(i, 0)), i >= 0 //nolint:gosec // a small index
}

// Key tells one node of a graph from all others.
type Key struct {
	Kind Kind
	// Cluster numbers the clusters of the graph; it is None for what belongs to
	// none of them, or to several.
	Cluster int
	// Namespace is empty for what stands in none.
	Namespace string
	// Name of a Workload begins with its kind: Deployment/web. That of a Power
	// says what may be done: create-pods.
	Name string
}

// None is the Cluster of what belongs to none.
const None = -1

// Vertex is a node of the graph.
type Vertex struct {
	Key
	// Object is nil for what has none: a person, a power.
	Object *cluster.Object
	// System says that it belongs to Kubernetes itself or to what a distribution
	// brings, and is no sensible place for a path to begin.
	System bool
}

// Evidence is a place that shows why a step can be taken.
type Evidence struct {
	Object *cluster.Object
	Path   string // in the object; empty for all of it
}

// Answer is what is known of a condition.
type Answer uint8

// The answers.
const (
	Unknown Answer = iota
	Yes
	No
)

// String returns unknown, yes or no.
func (a Answer) String() string { return [...]string{"unknown", "yes", "no"}[a] }

// Condition is something that a step rests on beside its evidence. A step with a
// condition that does not hold is not in the graph.
type Condition struct {
	Text  string // in words: no Pod Security level is enforced in namespace shop
	Holds Answer
}

// Step is how an attacker comes from one node to another. Edges that have the
// same cause share one.
type Step struct {
	*Primitive
	// Text says in words what lets the attacker do it; empty where the primitive
	// and the evidence say all: RoleBinding shop/dev grants create on pods.
	Text       string
	Evidence   []Evidence
	Conditions []Condition
	// Likelihood is the chance, 0 to 1, that an attacker who holds the one comes
	// to hold the other. 0 stands for that of the primitive.
	Likelihood float64
	// Changes each remove the step alone, where anything sensible does. They are
	// indexes of Graph.Changes.
	Changes []int
	// Checks are those whose findings on the objects of Evidence say the same
	// thing, beside those of the primitive.
	Checks []string
}

func (s *Step) likelihood() float64 { return cmp.Or(s.Likelihood, s.Primitive.Likelihood) }

// edge is one step between two vertices.
type edge struct {
	from, to, step int32
}

// Graph is read-only once built, and safe for many goroutines.
type Graph struct {
	// Clusters are the names of the clusters, in the order in which they were
	// given: empty for one that was read from files.
	Clusters []string
	Vertices []Vertex
	Steps    []Step
	Changes  []Change
	// Unknown names what the graph does not know: it may lack paths for that.
	Unknown []string

	byKey   map[Key]int32
	edges   []edge    // sorted by from
	weights []float64 // of each step: how far it is, for Dijkstra
	// out and in are where the edges of each vertex begin in edges and back: one
	// more than there are vertices.
	out, in []int32
	back    []int32 // indexes of edges, sorted by to
	snaps   []*cluster.Snapshot
	options Options
}

// Find returns the vertex of a key, -1 if there is none.
func (g *Graph) Find(k Key) int {
	if i, ok := g.byKey[k]; ok {
		return int(i)
	}
	return -1
}

// Edges is how many steps from one vertex to another there are.
func (g *Graph) Edges() int { return len(g.edges) }

// index makes the graph fit for searching. Two edges between the same vertices
// are both kept: each has to be cut.
func (g *Graph) index() {
	slices.SortStableFunc(g.edges, func(a, b edge) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to), cmp.Compare(a.step, b.step))
	})
	g.edges = slices.Compact(g.edges)
	g.weights = make([]float64, len(g.Steps))
	for i := range g.Steps {
		g.weights[i] = perHop - math.Log(g.Steps[i].likelihood())
	}
	n := len(g.Vertices)
	g.out = make([]int32, n+1)
	for _, e := range g.edges {
		g.out[e.from+1]++
	}
	for i := range n {
		g.out[i+1] += g.out[i]
	}
	g.in, g.back = backwards(g.edges, n)
}

// backwards sorts the indexes of edges by the vertices that they lead to: those of
// vertex v are back[in[v]:in[v+1]].
func backwards(edges []edge, vertices int) (in, back []int32) {
	in = make([]int32, vertices+1)
	for _, e := range edges {
		in[e.to+1]++
	}
	for i := range vertices {
		in[i+1] += in[i]
	}
	back = make([]int32, len(edges))
	next := slices.Clone(in)
	for i, e := range edges {
		back[next[e.to]] = int32(i)
		next[e.to]++
	}
	return in, back
}
