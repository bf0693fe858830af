package reach

import (
	"encoding/binary"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/netpol"
)

// class is the pods that no policy tells apart.
type class struct {
	id       int
	pods     []*pod
	host     bool
	profiles [2]*profile
	// ports are what each of the Model's names means on the pods.
	ports []*Ports
}

// group is the pods that look alike to every selector: one namespace, equal
// labels as far as any selector asks for them.
type group struct {
	pods []*pod
	// applied are the policies that hold for the pods, and matched the matchers
	// that match them.
	applied []applied
	matched []matched
	ports   []*Ports
}

type matched struct {
	matcher int
	answer  Answer
}

// groups finds groups by namespace and label.
type groups struct {
	all        []*group
	namespaces []string // in order
	in         map[string][]*group
	labelled   map[[3]string][]*group // namespace, key, value
	// loose are the groups whose pods may have labels beyond those of the template.
	loose map[string][]*group
}

// classify puts the pods into classes. Its cost is that of the matches that
// there are, not of all pairs of selectors and pods.
func (m *Model) classify() {
	x := m.group()
	for _, p := range m.compiled {
		m.apply(x, p)
	}
	for _, mt := range m.matchers {
		m.find(x, mt)
	}
	byKey := map[string]*class{}
	for _, g := range x.all {
		key := g.key()
		c := byKey[key]
		if c == nil {
			c = &class{id: len(m.classes), host: g.pods[0].host, ports: g.ports}
			byKey[key] = c
			m.classes = append(m.classes, c)
			for _, d := range [...]netpol.Direction{netpol.Ingress, netpol.Egress} {
				c.profiles[d] = m.profile(d, g.applied, g.ports, c.host)
			}
		}
		c.pods = append(c.pods, g.pods...)
		for _, p := range g.pods {
			p.class = c
		}
	}
	m.fillSets(x)
}

// fillSets notes in each matcher the classes that it matches.
func (m *Model) fillSets(x *groups) {
	n := len(m.classes)
	m.hosts = newBitset(n)
	at := map[string]int{}
	for _, c := range m.classes {
		if c.host {
			m.hosts.add(c.id)
		}
		key := (&group{pods: []*pod{{}}, ports: c.ports}).key()
		i, known := at[key]
		if !known {
			i = len(m.byNames)
			at[key] = i
			m.byNames = append(m.byNames, named{newBitset(n), c.ports})
		}
		m.byNames[i].set.add(c.id)
	}
	for _, g := range x.all {
		id := g.pods[0].class.id
		for _, at := range g.matched {
			set := &m.matchers[at.matcher].sets[at.answer]
			if *set == nil {
				*set = newBitset(n)
			}
			set.add(id)
		}
	}
}

// key is the same for groups that policies do not tell apart.
func (g *group) key() string {
	var b []byte
	if g.pods[0].host {
		b = append(b, 'h')
	}
	for _, a := range g.applied {
		b = binary.AppendUvarint(append(b, 'p', byte(a.answer)), uint64(a.index)) //nolint:gosec // never negative
	}
	for _, at := range g.matched {
		b = binary.AppendUvarint(append(b, 'm', byte(at.answer)), uint64(at.matcher)) //nolint:gosec // never negative
	}
	for _, p := range g.ports {
		b = append(append(b, p.key()...), 0xff)
	}
	return string(b)
}

// group puts pods together that look alike to every selector.
func (m *Model) group() *groups {
	x := &groups{in: map[string][]*group{}, labelled: map[[3]string][]*group{}, loose: map[string][]*group{}}
	asked, generated := m.askedKeys()
	byKey := map[string]*group{}
	for _, p := range m.pods {
		key, labels := m.look(p, asked, generated)
		g := byKey[key]
		if g == nil {
			g = &group{}
			for _, name := range m.names {
				g.ports = append(g.ports, m.intern(p.resolve(name)))
			}
			byKey[key] = g
			x.all = append(x.all, g)
			if x.in[p.namespace] == nil {
				x.namespaces = append(x.namespaces, p.namespace)
			}
			x.in[p.namespace] = append(x.in[p.namespace], g)
			for _, l := range labels {
				at := [3]string{p.namespace, l[0], l[1]}
				x.labelled[at] = append(x.labelled[at], g)
			}
			if isLoose(p.template.Object) {
				x.loose[p.namespace] = append(x.loose[p.namespace], g)
			}
		}
		g.pods = append(g.pods, p)
	}
	slices.Sort(x.namespaces)
	return x
}

// isLoose says that the pods of an object may have any labels beyond those of
// its template: an operator makes them.
func isLoose(o *cluster.Object) bool { return netpol.GivenBy(o, "") }

// askedKeys returns the keys that selectors of pods ask for, and whether
// controllers give some of them.
func (m *Model) askedKeys() (asked map[string]bool, generated bool) {
	asked = map[string]bool{}
	note := func(sel cluster.Selector) {
		sel.Only(func(key string) bool {
			asked[key] = true
			generated = generated || netpol.IsGenerated(key)
			return true
		})
	}
	for _, p := range m.compiled {
		note(p.Subject().Pods)
	}
	for _, mt := range m.matchers {
		note(mt.Pods)
	}
	return asked, generated
}

// look returns what policies see of a pod, and its labels that they ask for.
func (m *Model) look(p *pod, asked map[string]bool, generated bool) (key string, labels [][2]string) {
	for _, f := range p.template.Root.At("metadata", "labels").Map() {
		if asked[f.Key] {
			labels = append(labels, [2]string{f.Key, f.Value.Str()})
		}
	}
	slices.SortFunc(labels, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	var b strings.Builder
	b.WriteString(p.namespace)
	b.WriteByte(0)
	// Controllers give pods labels by their kind; a StatefulSet by its name.
	if o := p.template.Object; generated {
		b.WriteString(o.Kind)
		if o.Kind == "StatefulSet" {
			b.WriteString(" " + o.Name)
		}
	} else if isLoose(o) {
		b.WriteString("loose")
	}
	if p.host {
		b.WriteString(" host")
	}
	for _, l := range labels {
		b.WriteString("\x00" + l[0] + "\x01" + l[1])
	}
	for _, name := range m.names {
		b.WriteString("\x02" + p.resolve(name).key())
	}
	e := &endpoint{pod: p}
	for _, mt := range m.matchers {
		if mt.Kind == netpol.BlockPeer {
			b.WriteByte(byte(3 + m.match(mt, e)))
		}
	}
	return b.String(), labels
}

// candidates returns the groups of a namespace that a selector may select: all
// with the rarest label that it asks for.
func (x *groups) candidates(namespace string, sel cluster.Selector) []*group {
	if sel.Nothing() {
		return nil
	}
	best, found := x.in[namespace], false
	for key, value := range sel.Equalities() {
		if netpol.IsGenerated(key) {
			continue
		}
		if list := x.labelled[[3]string{namespace, key, value}]; !found || len(list) < len(best) {
			best, found = list, true
		}
	}
	if !found || len(x.loose[namespace]) == 0 {
		return best
	}
	out := slices.Clone(best)
	for _, g := range x.loose[namespace] {
		if !slices.Contains(best, g) {
			out = append(out, g)
		}
	}
	return out
}

// apply notes the groups that a policy holds for.
func (m *Model) apply(x *groups, p *policy) {
	subject := p.Subject()
	namespaces := x.namespaces
	if subject.Namespace != "" {
		namespaces = []string{subject.Namespace}
	}
	for _, ns := range namespaces {
		list := x.in[ns]
		if p.Understood() && p.Err == nil {
			list = x.candidates(ns, subject.Pods)
		}
		for _, g := range list {
			if a := m.applies(p, g.pods[0]); a != Denied {
				g.applied = append(g.applied, applied{p, a})
			}
		}
	}
}

// applies says whether a policy holds for a pod. Pods on the host's network are
// out of reach for policies of the administrator.
func (m *Model) applies(p *policy, at *pod) Answer {
	if at.host && p.Tier() != netpol.NetworkTier {
		return Denied
	}
	out := fromNetpol(m.policies.Applies(p.Policy, at.template))
	if len(p.Faults()) > 0 && out != Denied {
		return Unknown
	}
	return out
}

// find notes the groups that a matcher matches.
func (m *Model) find(x *groups, mt *matcher) {
	note := func(g *group, a Answer) {
		if a != Denied {
			g.matched = append(g.matched, matched{mt.id, a})
		}
	}
	if mt.Kind != netpol.PodPeer {
		for _, g := range x.all {
			note(g, m.match(mt, &endpoint{pod: g.pods[0]}))
		}
		return
	}
	if mt.Namespace != "" {
		for _, g := range x.candidates(mt.Namespace, mt.Pods) {
			note(g, m.matchPod(mt, g.pods[0]))
		}
		return
	}
	for _, ns := range x.namespaces {
		if m.policies.InNamespace(mt.Namespaces, ns) == netpol.No {
			continue
		}
		for _, g := range x.candidates(ns, mt.Pods) {
			note(g, m.matchPod(mt, g.pods[0]))
		}
	}
}
