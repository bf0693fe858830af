package attack

import (
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
)

// Options are what a graph is built from beside the objects.
type Options struct {
	// Minor is the minor version of Kubernetes where a snapshot does not say its
	// own; 0 stands for the newest known.
	Minor int
	// CNI names the network plugin that is to be reckoned with, as the command
	// line takes it; empty leaves it to what the snapshot shows.
	CNI string
	// Flaws are the known flaws of images that can be exploited from the network,
	// by the image reference as workloads write it.
	Flaws map[string][]Flaw
}

// Flaw is a vulnerability that gives an attacker code in a container.
type Flaw struct {
	ID      string  // CVE-2026-1
	Package string  // that has it
	EPSS    float64 // probability of exploitation within 30 days, 0 if unknown
	KEV     bool    // known to be exploited
	// Object is the image, as the scan describes it.
	Object *cluster.Object
}

// newest is the minor version of Kubernetes that is taken where none is known.
const newest = 37

// Build makes one graph of several clusters, each a snapshot; the files of a scan
// are one too.
func Build(snaps []*cluster.Snapshot, o Options) *Graph { return build(snaps, o, &Graph{}) }

// build is Build with room for as much as a graph has that is like the one to make.
func build(snaps []*cluster.Snapshot, o Options, like *Graph) *Graph {
	g := &Graph{byKey: make(map[Key]int32, len(like.byKey)), snaps: snaps, options: o}
	g.Vertices, g.edges = make([]Vertex, 0, len(like.Vertices)), make([]edge, 0, len(like.edges))
	g.Steps, g.Changes = make([]Step, 0, len(like.Steps)), make([]Change, 0, len(like.Changes))
	steps := map[*Primitive]int32{}
	builders := make([]*builder, 0, len(snaps))
	for i, s := range snaps {
		g.Clusters = append(g.Clusters, nameOf(s))
		b := &builder{
			g: g, cluster: i, snap: s, options: o, plain: steps,
			rbac: rbac.Of(s), changes: map[changeKey]int{}, noted: map[string]bool{},
		}
		b.prepare()
		b.build()
		builders = append(builders, b)
	}
	join(g, builders)
	g.index()
	return g
}

// nameOf is the name that the objects of a snapshot give their cluster.
func nameOf(s *cluster.Snapshot) string {
	for _, o := range s.Objects {
		if o.Cluster != "" {
			return o.Cluster
		}
	}
	return ""
}

// builder makes the part of a graph that one cluster is.
type builder struct {
	g       *Graph
	cluster int
	snap    *cluster.Snapshot
	options Options
	rbac    *rbac.Model
	changes map[changeKey]int
	plain   map[*Primitive]int32 // steps that are nothing but a primitive
	placed  placement
	kinds   []*platform // of the nodes, nil until asked for
	net     network
	// principals are the identities that service accounts have in a cloud.
	principals map[int32]principalOf
	pushes     map[[2]int32]bool        // Secrets that may push to a registry
	pulled     map[int32]map[int32]bool // by node: Secrets to pull images that it has
	// admissions are the steps of podPower, -1 where there is none.
	admissions map[admissionKey]int32
	// bound are the subjects of each binding, holds those that are a vertex, and
	// memberships the groups that an identity is certain to be in.
	bound       [][]*bound
	holds       map[int32][]*bound
	memberships map[int32][]int32
	own         map[int32]*held // what those hold by their own bindings
	// dangle are the accounts that are bound and do not exist, by namespace.
	dangle map[string][]int32
	// table and products are what is looked for in rules; matched and gained what
	// was found; everything is a role with all permissions.
	table      *table
	products   map[string][]*product
	matched    map[*rbac.Role][]match
	gained     map[scope][]gain
	everything *rbac.Role
	noted      map[string]bool         // what is in Graph.Unknown
	params     []parameter             // what policies go by
	roles      map[string][]*rbac.Role // the Roles of each namespace
	narrowed   map[*rbac.Rule]int      // the change that removes a rule, -1 for none
	// shared are steps of several edges, residents what a namespace has, given the
	// Secrets that workloads are given.
	shared    map[stepKey]int32
	residents residents
	given     map[int32][]int32
	// pending is what waits until all vertices of objects are there.
	pending []func()
}

// build adds all that one cluster has. Vertices of objects come first, so that
// what refers to one finds it.
func (b *builder) build() {
	b.mapped()
	b.identities()
	b.workloads()
	b.secretContents()
	b.place()
	b.inside()
	b.connections()
	b.clouds()
	b.images()
	b.grants()
	for len(b.pending) > 0 {
		next := b.pending
		b.pending = nil
		for _, f := range next {
			f()
		}
	}
}

// later does something when all vertices of objects are there: a power leads to
// all that its namespace has, whoever adds it.
func (b *builder) later(f func()) { b.pending = append(b.pending, f) }

// minor is the minor version of Kubernetes.
func (b *builder) minor() int {
	if m := cluster.Minor(b.snap.Version); m > 0 {
		return m
	}
	if b.options.Minor > 0 {
		return b.options.Minor
	}
	return newest
}

// vertex returns the vertex of a key of this cluster, and makes it if there is
// none yet.
func (b *builder) vertex(kind Kind, namespace, name string) int32 {
	return b.g.vertex(Key{Kind: kind, Cluster: b.cluster, Namespace: namespace, Name: name})
}

func (g *Graph) vertex(k Key) int32 {
	if i, ok := g.byKey[k]; ok {
		return i
	}
	i := int32(len(g.Vertices)) //nolint:gosec // fewer than 2^31 vertices
	g.byKey[k] = i
	g.Vertices = append(g.Vertices, Vertex{Key: k})
	return i
}

// have returns the vertex of a key of this cluster, -1 if there is none.
func (b *builder) have(kind Kind, namespace, name string) int32 {
	return int32(b.g.Find(Key{Kind: kind, Cluster: b.cluster, Namespace: namespace, Name: name})) //nolint:gosec // an index
}

// admin is everything in this cluster.
func (b *builder) admin() int32 { return b.vertex(Admin, "", "") }

// internet is the one place that all clusters share.
func (b *builder) internet() int32 { return b.g.vertex(Key{Kind: Internet, Cluster: None}) }

// power is something that may be done in a namespace, or in all of them where it
// is empty.
func (b *builder) power(name, namespace string) int32 { return b.vertex(Power, namespace, name) }

// always adds a step that needs nothing but what the vertices are, and that no
// change prevents.
func (b *builder) always(p *Primitive, from, to int32) {
	i, ok := b.plain[p]
	if !ok {
		i = b.step(Step{Primitive: p})
		b.plain[p] = i
	}
	b.edge(from, to, i)
}

// step adds a step, for edges to share.
func (b *builder) step(s Step) int32 {
	b.g.Steps = append(b.g.Steps, s)
	return int32(len(b.g.Steps) - 1) //nolint:gosec // fewer than 2^31 steps
}

func (b *builder) edge(from, to, step int32) {
	if from >= 0 && to >= 0 && from != to {
		b.g.edges = append(b.g.edges, edge{from, to, step})
	}
}

// unknown notes something that the graph lacks, once.
func (b *builder) unknown(text string) {
	if len(b.g.snaps) > 1 {
		text = b.g.Clusters[b.cluster] + ": " + text
	}
	if !b.noted[text] {
		b.noted[text] = true
		b.g.Unknown = append(b.g.Unknown, text)
	}
}
