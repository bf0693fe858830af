// Package bigcluster makes clusters as large as real ones, for benchmarks and
// for tests that need many objects which fit together: teams with namespaces
// and applications, what their controllers make of them, the platform below,
// and the flaws that such clusters have, about as often as they have them.
//
// The same Options make the same objects, byte for byte. Nothing in them is
// real: names end in example.com, accounts are 111122223333, and values of
// Secrets have the form of credentials but open nothing.
//
// Objects are made one namespace at a time and handed on, so that only the
// readers of a cluster need memory for all of it. All pods of a workload share
// the name of their token volume, unlike real ones, which differ in nothing
// else that is left out here but Events, Leases and managed fields.
package bigcluster

import (
	_ "embed"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// Options say what cluster to make. The zero value makes one of 30,000 pods.
type Options struct {
	// Name is the cluster's, a DNS label of up to 30 characters: "prod" by
	// default.
	Name string
	// Seed makes another cluster of the same size.
	Seed uint64
	// Pods is how many Pods there are, those of the platform and of the nodes'
	// agents included: 30,000 by default.
	Pods int
	// Namespaces is how many namespaces the teams have, besides those of the
	// platform: one for every 100 pods by default.
	Namespaces int
	// Nodes is how many there are, three with the control plane included: one
	// for every 60 pods by default. A node takes 110 pods, as with the kubelet's
	// defaults.
	Nodes int
	// Version is that of Kubernetes: v1.36.3 by default. It is what servers and
	// nodes say of themselves; which kinds there are does not depend on it.
	Version string
	// Provider is the cloud whose identities workloads use: aws (the default),
	// gcp or azure.
	Provider string
}

// Time is when all clusters are taken to be read: nothing is younger.
var Time = time.Date(2026, time.October, 1, 12, 0, 0, 0, time.UTC)

const (
	controlPlanes = 3
	podsPerNode   = 110
	maxNodes      = 10_000
)

var (
	nameForm    = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,28}[a-z0-9])?$`)
	versionForm = regexp.MustCompile(`^v1\.\d{1,3}\.\d{1,3}$`)
)

func (o Options) orDefault() Options {
	if o.Name == "" {
		o.Name = "prod"
	}
	if o.Pods == 0 {
		o.Pods = 30_000
	}
	if o.Namespaces == 0 {
		o.Namespaces = max(1, o.Pods/100)
	}
	if o.Nodes == 0 {
		o.Nodes = max(controlPlanes+2, o.Pods/60)
	}
	if o.Version == "" {
		o.Version = "v1.36.3"
	}
	if o.Provider == "" {
		o.Provider = "aws"
	}
	return o
}

func (o Options) check() error {
	switch {
	case !nameForm.MatchString(o.Name):
		return fmt.Errorf("cluster name %q: want a DNS label of up to 30 characters, such as prod-eu-1", o.Name)
	case !versionForm.MatchString(o.Version):
		return fmt.Errorf("version %q: want one such as v1.36.3", o.Version)
	case !slices.Contains([]string{"aws", "gcp", "azure"}, o.Provider):
		return fmt.Errorf("provider %q: want aws, gcp or azure", o.Provider)
	case o.Namespaces < 0 || o.Namespaces > math.MaxUint16:
		return fmt.Errorf("%d namespaces: want 1 to %d", o.Namespaces, math.MaxUint16)
	case o.Nodes <= controlPlanes || o.Nodes > maxNodes:
		return fmt.Errorf("%d nodes: want %d to %d, three of which are the control plane", o.Nodes, controlPlanes+1, maxNodes)
	}
	return nil
}

// Cluster is a cluster that can be made any number of times.
type Cluster struct {
	o        Options
	platform map[string][]node // of platform.yaml, by namespace, "" for the cluster's
	agents   []string          // DaemonSets that take an address on each node
	spaces   []space           // sorted by name
	peers    []Options         // all clusters of a fleet, this one included
}

// space is a namespace.
type space struct {
	name string
	// What follows is set for those of teams.
	team, env string
	level     string // that Pod Security enforces: restricted, baseline or none
	pods      int
}

// New plans a cluster.
func New(o Options) (*Cluster, error) {
	o = o.orDefault()
	if err := o.check(); err != nil {
		return nil, err
	}
	c := &Cluster{o: o}
	own, err := c.readPlatform()
	if err != nil {
		return nil, err
	}
	if o.Pods < own+1 {
		return nil, fmt.Errorf("%d pods: the platform and the agents of %d nodes alone are %d: ask for more pods, or fewer nodes", o.Pods, o.Nodes, own)
	}
	if room := (o.Nodes-controlPlanes)*podsPerNode + own - c.onWorkers(); o.Pods > room {
		return nil, fmt.Errorf("%d pods: %d nodes take %d: ask for more nodes, or fewer pods", o.Pods, o.Nodes, room)
	}
	c.planSpaces(o.Pods - own)
	return c, nil
}

// Fleet plans n clusters that hold the keys to one another: the first deploys
// to all others through ArgoCD and Cluster API, each applies to the next through
// Flux, CI jobs of one hold a kubeconfig of the next, and some accounts assume
// the same cloud role everywhere. Names are o.Name-1 and so on.
func Fleet(o Options, n int) ([]*Cluster, error) {
	if n < 1 || n > 100 {
		return nil, fmt.Errorf("%d clusters: want 1 to 100", n)
	}
	o = o.orDefault()
	var peers []Options
	for i := range n {
		p := o
		p.Name, p.Seed = fmt.Sprintf("%s-%d", o.Name, i+1), o.Seed+uint64(i)
		peers = append(peers, p)
	}
	var out []*Cluster
	for _, p := range peers {
		c, err := New(p)
		if err != nil {
			return nil, fmt.Errorf("cluster %s: %w", p.Name, err)
		}
		c.peers = peers
		out = append(out, c)
	}
	return out, nil
}

// Name returns the cluster's name.
func (c *Cluster) Name() string { return c.o.Name }

// Snapshot makes all objects at once.
func (c *Cluster) Snapshot() *cluster.Snapshot {
	s := cluster.NewSnapshot(slices.Collect(c.Objects()))
	s.Version, s.Whole = c.o.Version, true
	return s
}

// Objects makes the objects: those of the cluster, then those of one namespace
// after the other. Those of one kind come sorted by namespace and name.
func (c *Cluster) Objects() iter.Seq[*cluster.Object] {
	return func(yield func(*cluster.Object) bool) {
		m := &maker{c: c, images: map[string]string{}, authorities: map[Options]*authority{}}
		m.seed("")
		m.ofCluster()
		if !m.flush(yield) {
			return
		}
		for i := range c.spaces {
			s := &c.spaces[i]
			m.begin(s, i)
			if s.team == "" {
				m.ofPlatform()
			} else {
				m.ofTeam()
			}
			m.afterWorkloads()
			if !m.flush(yield) {
				return
			}
		}
	}
}

// maker is one pass over a cluster.
type maker struct {
	c      *Cluster
	r      *rand.Rand
	images map[string]string // ID of each image

	authorities map[Options]*authority

	controls []node // the Nodes of the control plane

	out                                  []node
	version, placed, services, nodePorts int

	// Of the namespace at hand.
	space    *space
	index    int
	claims   int
	accounts map[string]account
	groups   []group
	exposed  []node // Services
	used     map[string]bool
	tls      labels // the namespace's certificate, once something asked for it
}

// seed starts a stream of chance that nothing else depends on, so that
// a namespace looks the same whatever stands before it.
func (m *maker) seed(name string) {
	h := fnv.New64a()
	h.Write([]byte(m.c.o.Name + "/" + name))
	m.r = rand.New(rand.NewPCG(m.c.o.Seed, h.Sum64())) //nolint:gosec // it is to be repeatable
}

func (m *maker) begin(s *space, i int) {
	m.space, m.index, m.claims = s, i, 0
	m.accounts, m.used = map[string]account{}, map[string]bool{}
	m.groups, m.exposed, m.tls = nil, nil, nil
	m.seed(s.name)
}

// flush hands on what was made, sorted by kind and name.
func (m *maker) flush(yield func(*cluster.Object) bool) bool {
	objects := make([]*cluster.Object, len(m.out))
	for i, root := range m.out {
		objects[i] = m.c.object(root)
	}
	m.out = m.out[:0]
	slices.SortStableFunc(objects, func(a, b *cluster.Object) int {
		if by := strings.Compare(a.APIVersion, b.APIVersion); by != 0 {
			return by
		}
		if by := strings.Compare(a.Kind, b.Kind); by != 0 {
			return by
		}
		return strings.Compare(a.Name, b.Name)
	})
	for _, o := range objects {
		if !yield(o) {
			return false
		}
	}
	return true
}

// add adds an object, with the metadata that the API server gives it, and
// returns it.
func (m *maker) add(root node) node {
	m.version += 1 + m.r.IntN(40)
	meta := root.Get("metadata")
	more := []any{"resourceVersion", strconv.Itoa(100_000 + m.version)}
	if meta.Get("uid") == nil {
		more = append(more, "uid", m.uid())
	}
	if meta.Get("creationTimestamp") == nil {
		more = append(more, "creationTimestamp", m.ago(570*day, 30*day))
	}
	root = set(root, "metadata", set(meta, more...))
	m.out = append(m.out, root)
	return root
}

// object adds an object of the namespace at hand; kv are its other fields.
func (m *maker) object(apiVersion, kind, name string, l, annotations labels, kv ...any) node {
	meta := []any{"name", name}
	if m.space != nil {
		meta = append(meta, "namespace", m.space.name)
	}
	meta = append(meta, "labels", l, "annotations", annotations)
	return m.add(obj(append([]any{"apiVersion", apiVersion, "kind", kind, "metadata", obj(meta...)}, kv...)...))
}

const day = 24 * time.Hour

// ago returns a time within d, which ended some time before now, as the API
// writes it.
func (m *maker) ago(d, before time.Duration) string {
	return Time.Add(-before - time.Duration(m.r.Int64N(int64(d)))).Format(time.RFC3339)
}

func (m *maker) chance(p float64) bool { return m.r.Float64() < p }

func pick[T any](m *maker, of ...T) T { return of[m.r.IntN(len(of))] }

const hexDigits = "0123456789abcdef"

func (m *maker) text(alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[m.r.IntN(len(alphabet))]
	}
	return string(b)
}

// suffix returns n characters as generated names end in: no vowels, so that
// they make no words.
func (m *maker) suffix(n int) string { return m.text("bcdfghjklmnpqrstvwxz2456789", n) }

func (m *maker) hex(n int) string {
	b := make([]byte, 0, n+16)
	for len(b) < n {
		for v, i := m.r.Uint64(), 0; i < 16; i++ {
			b = append(b, hexDigits[v&15])
			v >>= 4
		}
	}
	return string(b[:n])
}

func (m *maker) uid() string {
	b := []byte(m.hex(36))
	b[8], b[13], b[18], b[23], b[14], b[19] = '-', '-', '-', '-', '4', 'a'
	return string(b)
}

//go:embed platform.yaml
var platformYAML string

// readPlatform reads the platform's objects for this cluster and returns how
// many pods they make.
func (c *Cluster) readPlatform() (pods int, err error) {
	text := strings.NewReplacer("$CLUSTER", c.o.Name, "$DOMAIN", c.domain(), "$VERSION", c.o.Version).Replace(platformYAML)
	c.platform = map[string][]node{}
	pods = 4 * controlPlanes // mirrors of the control plane's static pods
	for _, d := range document.Parse([]byte(text), document.Limits{}) {
		if d.Err != nil {
			return 0, fmt.Errorf("platform.yaml: %w", d.Err)
		}
		if d.Root == nil {
			return 0, errors.New("platform.yaml: an empty document")
		}
		root := document.FromValue(d.Root.Value()) // without positions
		kind, namespace := root.Get("kind").Str(), root.At("metadata", "namespace").Str()
		if kind == "Namespace" {
			c.spaces = append(c.spaces, space{name: root.At("metadata", "name").Str()})
		}
		c.platform[namespace] = append(c.platform[namespace], root)
		switch kind {
		case "Deployment", "StatefulSet":
			n, _ := root.At("spec", "replicas").Int()
			pods += int(n)
		case "DaemonSet":
			pods += c.o.Nodes
			if on, _ := root.At("spec", "template", "spec", "hostNetwork").Bool(); !on {
				c.agents = append(c.agents, root.At("metadata", "name").Str())
			}
		}
	}
	return pods, nil
}

// onWorkers counts the pods of the platform that are placed like those of
// teams, and the agents of the workers.
func (c *Cluster) onWorkers() int {
	n := 0
	for _, objects := range c.platform {
		for _, root := range objects {
			switch root.Get("kind").Str() {
			case "Deployment", "StatefulSet":
				replicas, _ := root.At("spec", "replicas").Int()
				n += int(replicas)
			case "DaemonSet":
				n += c.o.Nodes - controlPlanes
			}
		}
	}
	return n
}

// domain is that under which the cluster's names stand.
func (c *Cluster) domain() string { return domainOf(c.o.Name) }

func domainOf(name string) string { return name + ".example.com" }

// teamNames are names of teams.
const teamNames = `accounts ads analytics billing booking catalog chat checkout claims content crm
		customs data delivery devices documents events experiments feeds finance fleet fraud fulfilment gateway
		geo growth identity inventory invoices kyc lending logistics loyalty mail maps marketing media messaging
		ml mobile notifications orders partners payments payroll photos pricing procurement profile promotions
		quotes ratings recommendations refunds reports returns risk routing sales search sessions settlement
		shipping social storefront streaming subscriptions support suppliers tax tickets travel video wallet
		warehouse`

// planSpaces divides the pods among the namespaces of teams: three for each, of
// which the one of production is the largest, and some teams far larger than
// others.
func (c *Cluster) planSpaces(pods int) {
	m := &maker{c: c}
	m.seed("namespaces")
	names, envs := strings.Fields(teamNames), []string{"prod", "staging", "dev"}
	var teams []space
	var weights []float64
	var total float64
	var size float64
	for i := range c.o.Namespaces {
		n := i / len(envs)
		s := space{team: names[n%len(names)], env: envs[i%len(envs)]}
		if n >= len(names) {
			s.team = fmt.Sprintf("%s-%d", s.team, n/len(names)+1)
		}
		s.name = s.team + "-" + s.env
		switch p := m.r.Float64(); {
		case p < 0.2:
			s.level = "restricted"
		case p < 0.55:
			s.level = "baseline"
		}
		if s.env == "prod" {
			size = math.Exp(m.r.NormFloat64())
		}
		w := size * map[string]float64{"prod": 4, "staging": 1.5, "dev": 1}[s.env]
		total += w
		teams, weights = append(teams, s), append(weights, w)
	}
	var sum float64
	given := 0
	for i := range teams {
		sum += weights[i]
		upTo := int(math.Round(float64(pods) * sum / total))
		if i == len(teams)-1 {
			upTo = pods
		}
		teams[i].pods = upTo - given
		given = upTo
	}
	c.spaces = append(c.spaces, teams...)
	slices.SortFunc(c.spaces, func(a, b space) int { return strings.Compare(a.name, b.name) })
}
