package netgen

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/netpol"
	"seawall.io/seawall/internal/reach"
)

// Alteration is a change of the policies of a snapshot.
type Alteration struct {
	// Put are policies that are added, or take the place of those of the same kind,
	// namespace and name.
	Put []*cluster.Object
	// Without are policies that are taken away.
	Without []seawall.Object
}

// Apply returns the snapshot after the alteration. It is an error to take away
// what is not there, and to put what is no network policy.
func (a Alteration) Apply(s *cluster.Snapshot) (*cluster.Snapshot, error) {
	same := func(o *cluster.Object, kind, namespace, name string) bool {
		wide := o.Namespace == "" && netpol.Of(cluster.NewSnapshot([]*cluster.Object{o})).Policies()[0].ClusterWide()
		return o.Kind == kind && o.Name == name && (wide || namespaceOf(o) == cmp.Or(namespace, "default"))
	}
	gone := map[*cluster.Object]bool{}
	policies := map[*cluster.Object]bool{}
	for _, p := range netpol.Of(s).Policies() {
		policies[p.Object] = true
	}
	for _, w := range a.Without {
		found := false
		for o := range policies {
			if same(o, w.Kind, w.Namespace, w.Name) {
				gone[o], found = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("there is no %s %s/%s to take away", w.Kind, cmp.Or(w.Namespace, "-"), w.Name)
		}
	}
	for _, put := range a.Put {
		if len(netpol.Of(cluster.NewSnapshot([]*cluster.Object{put})).Policies()) == 0 {
			return nil, fmt.Errorf("%s %s is no network policy", put.Kind, put.Name)
		}
		for o := range policies {
			if o.Group() == put.Group() && same(o, put.Kind, put.Namespace, put.Name) {
				gone[o] = true
			}
		}
	}
	var objects []*cluster.Object
	for _, o := range s.Objects {
		if !gone[o] {
			objects = append(objects, o)
		}
	}
	out := cluster.NewSnapshot(append(objects, a.Put...))
	out.Version, out.Whole, out.Incomplete, out.Beside = s.Version, s.Whole, s.Incomplete, s.Beside
	return out, nil
}

// Change is ports that are reached otherwise than before.
type Change struct {
	Protocol      reach.Protocol
	First, Last   uint16
	Before, After reach.Answer
}

// Difference is what changes between two ends, by protocols and ports. Differences
// that are alike share their Changes.
type Difference struct {
	From, To []string
	Changes  []Change
}

// Opens says that the change allows, or may allow, what was denied.
func (c *Change) Opens() bool { return c.Before == reach.Denied }

// Closes says that it denies what was, or may have been, allowed.
func (c *Change) Closes() bool { return c.After == reach.Denied }

// Broken is a need that a change affects.
type Broken struct {
	Doubt
	Before reach.Answer
}

// Comparison is what a change of policies does.
type Comparison struct {
	// Broken are needs that were allowed, at least in part, and are denied after
	// it. Doubtful are those that were sure and no longer are.
	Broken, Doubtful []Broken
	Declared         *Declared

	ends []*end
	rows []row
	// lists are the changes that pairs of ends share, known those of two answers.
	lists [][]Change
	known map[[2]*reach.Ports]int32
}

// row is the ends that one reaches otherwise than before.
type row struct {
	from  int32
	cells []cell
}

// cell is one such end, with its list of changes.
type cell struct{ to, list int32 }

// All returns what changes, in the order of the names of the ends.
func (c *Comparison) All() iter.Seq[Difference] {
	return func(yield func(Difference) bool) {
		for _, r := range c.rows {
			for _, x := range r.cells {
				if !yield(Difference{c.ends[r.from].names, c.ends[x.to].names, c.lists[x.list]}) {
					return
				}
			}
		}
	}
}

// Opens says whether anything is, or may be, newly allowed.
func (c *Comparison) Opens() bool {
	for _, list := range c.lists {
		if slices.ContainsFunc(list, func(x Change) bool { return x.Opens() }) {
			return true
		}
	}
	return false
}

// Compare says what pods reach, and are reached by, after a change that they did
// not before, and the reverse. Both models are of the same objects but for
// policies. Beside pods, it asks for the internet, the metadata service, the API
// server, and the ranges that either set of policies names.
func Compare(before, after *reach.Model, s *cluster.Snapshot, dnsNamespace string) *Comparison {
	c := &Comparison{Declared: Needs(before, s, dnsNamespace), known: map[[2]*reach.Ports]int32{}}
	c.ends = append(jointClasses(before, after), outside(before, after)...)
	slices.SortStableFunc(c.ends, func(a, b *end) int { return slices.Compare(a.names, b.names) })
	c.compare(before, after)
	for _, n := range c.Declared.Needs {
		if n.Use == Probe {
			continue
		}
		was, _ := ask(before, n)
		is, why := ask(after, n)
		broken := Broken{Doubt{n, is, why}, was}
		switch {
		case was == is || was == reach.Denied:
		case is == reach.Denied:
			c.Broken = append(c.Broken, broken)
		case was == reach.Allowed:
			c.Doubtful = append(c.Doubtful, broken)
		}
	}
	return c
}

// end is pods that the policies neither before nor after tell apart, or a peer
// outside the cluster.
type end struct {
	names []string
	peer  reach.Peer
	// pods says that it is pods, which are of these classes.
	pods          bool
	before, after int
	// from and to say which end of a connection a peer outside may be.
	from, to bool
}

func jointClasses(before, after *reach.Model) []*end {
	var out []*end
	at := map[[2]int]*end{}
	for i, class := range before.Classes() {
		for _, t := range class.Templates {
			j, ok := after.Class(t)
			if !ok {
				continue
			}
			set := at[[2]int{i, j}]
			if set == nil {
				set = &end{pods: true, before: i, after: j, peer: reach.Pod(t), from: true, to: true}
				at[[2]int{i, j}] = set
				out = append(out, set)
			}
			set.names = append(set.names, reach.Pod(t).String())
		}
	}
	for _, set := range out {
		slices.Sort(set.names)
	}
	return out
}

// outside returns the peers outside the cluster that pods are asked about.
func outside(before, after *reach.Model) []*end {
	var out []*end
	add := func(p reach.Peer, from, to bool) {
		out = append(out, &end{names: []string{p.String()}, peer: p, from: from, to: to})
	}
	add(reach.Internet(), true, true)
	add(reach.Metadata(), false, true)
	add(reach.APIServer(), true, true)
	for _, p := range blocks(before, after, netpol.Egress) {
		add(reach.Addresses(p), false, true)
	}
	for _, p := range blocks(before, after, netpol.Ingress) {
		add(reach.Addresses(p), true, false)
	}
	return out
}

// compare asks both models about all pairs of ends.
func (c *Comparison) compare(before, after *reach.Model) {
	x, y := before.Matrix(), after.Matrix()
	var cells []cell
	for i, from := range c.ends {
		if !from.from {
			continue
		}
		var was, is []*reach.Ports
		if from.pods {
			was, is = x.Row(from.before), y.Row(from.after)
		}
		cells = cells[:0]
		for j, to := range c.ends {
			list := int32(-1)
			switch {
			case !to.to || !from.pods && !to.pods:
			case from.pods && to.pods:
				list = c.list(was[to.before], is[to.after])
			default:
				list = c.list(before.Ports(from.peer, to.peer), after.Ports(from.peer, to.peer))
			}
			if list >= 0 {
				cells = append(cells, cell{int32(j), list})
			}
		}
		if len(cells) > 0 {
			c.rows = append(c.rows, row{int32(i), slices.Clone(cells)})
		}
	}
}

// blocks returns the ranges that rules of a direction name in policies which only
// one of two models has. The range of all addresses is left out: the internet
// stands for it.
func blocks(before, after *reach.Model, d netpol.Direction) []netip.Prefix {
	var out []netip.Prefix
	collect := func(m, other *reach.Model) {
		has := map[*cluster.Object]bool{}
		for _, p := range other.Policies().Policies() {
			has[p.Object] = true
		}
		for _, p := range m.Policies().Policies() {
			if has[p.Object] {
				continue
			}
			for _, r := range p.Rules(d) {
				for _, peer := range r.Peers {
					if peer.Kind == netpol.BlockPeer && peer.Block.IsValid() {
						out = append(append(out, peer.Block), peer.Except...)
					}
				}
			}
		}
	}
	collect(before, after)
	collect(after, before)
	slices.SortFunc(out, func(a, b netip.Prefix) int { return cmp.Or(a.Addr().Compare(b.Addr()), a.Bits()-b.Bits()) })
	return slices.DeleteFunc(slices.Compact(out), func(p netip.Prefix) bool { return p.Bits() == 0 })
}

// list is the number of the changes between two answers, -1 where there are none.
// They are found once: pairs are many, and different answers few.
func (c *Comparison) list(was, is *reach.Ports) int32 {
	i, known := c.known[[2]*reach.Ports{was, is}]
	if !known {
		i = -1
		if list := changesOf(was, is); len(list) > 0 {
			i = int32(len(c.lists)) //nolint:gosec // fewer than pairs
			c.lists = append(c.lists, list)
		}
		c.known[[2]*reach.Ports{was, is}] = i
	}
	return i
}

// changesOf is in the order of protocols and ports.
func changesOf(was, is *reach.Ports) []Change {
	type edge struct {
		proto reach.Protocol
		first int
	}
	var edges []edge
	a, b := was.Ranges(), is.Ranges()
	if slices.Equal(a, b) {
		return nil
	}
	for _, r := range slices.Concat(a, b) {
		edges = append(edges, edge{r.Protocol, int(r.First)}, edge{r.Protocol, int(r.Last) + 1})
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.proto, b.proto), cmp.Compare(a.first, b.first)) })
	edges = slices.Compact(edges)
	var out []Change
	for i, e := range edges {
		if i+1 == len(edges) || edges[i+1].proto != e.proto || e.first > 65535 {
			continue
		}
		port := reach.Port{Protocol: e.proto, Number: uint16(e.first)} //nolint:gosec // a port
		x, y := was.At(port), is.At(port)
		if x == y {
			continue
		}
		last := uint16(edges[i+1].first - 1) //nolint:gosec // a port
		if n := len(out); n > 0 && out[n-1].Protocol == e.proto && out[n-1].Before == x && out[n-1].After == y && int(out[n-1].Last)+1 == e.first {
			out[n-1].Last = last
			continue
		}
		out = append(out, Change{e.proto, port.Number, last, x, y})
	}
	return out
}
