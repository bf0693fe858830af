package netgen

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/netpol"
	"seawall.io/seawall/internal/reach"
)

// Options say what to generate.
type Options struct {
	// Namespaces to write policies for: all with pods but the cluster's own where
	// there are none.
	Namespaces []string
	// OpenEgress leaves what pods connect to as it is.
	OpenEgress bool
	// DNSNamespace is where the name service runs, kube-system where it is empty.
	DNSNamespace string
}

// Result is a set of policies that was simulated.
type Result struct {
	*Declared
	// Policies are what was read back from YAML, which is the whole set with
	// comments.
	Policies []*cluster.Object
	YAML     []byte
	// Namespaces are those that the set is for.
	Namespaces []string
	// Unproven are needs of which the simulation cannot say that they hold.
	Unproven []Doubt
	// Beyond is what the policies that are there already allow and nothing
	// declares. They stay in force beside the set.
	Beyond []Pair
	// Replaced are policies that were written by this package before.
	Replaced []*cluster.Object
}

// Doubt is a need with what the simulation says of it.
type Doubt struct {
	Need   *Need
	Answer reach.Answer
	Why    string
}

// Pair is connections from one workload to another.
type Pair struct {
	From, To string
	Ports    []reach.Range
}

// generation is what policies are made from.
type generation struct {
	Options
	snapshot *cluster.Snapshot
	model    *reach.Model
	declared *Declared
	groups   *groups
	needs    [2]map[*group][]*Need // by direction
	chosen   map[string]bool
	policies []*policy
}

// ErrUnverified says that the set did not pass its own simulation.
var ErrUnverified = errors.New("the policies do not do what they should, so that none is given")

// Generate makes policies for what the manifests of a model's snapshot declare,
// and simulates them: alone they must allow each need, and among pods nothing
// else. Beside the policies that are there, they must allow each need still.
func Generate(m *reach.Model, s *cluster.Snapshot, o Options) (*Result, error) {
	if problems := validation.IsDNS1123Label(cmp.Or(o.DNSNamespace, systemNamespace)); len(problems) > 0 {
		return nil, fmt.Errorf("namespace %q of the name service: %s", o.DNSNamespace, problems[0])
	}
	g := &generation{Options: o, snapshot: s, model: m, chosen: map[string]bool{}}
	g.declared = Needs(m, s, o.DNSNamespace)
	pods := podsOf(s)
	g.groups = groupsOf(slices.Concat(pods, g.declared.standIns))
	g.index()
	if err := g.choose(pods); err != nil {
		return nil, err
	}
	out := &Result{Declared: g.declared}
	kept := g.withoutOurs(out)
	g.write(kept)
	for _, p := range g.policies {
		if len(out.YAML) > 0 {
			out.YAML = append(out.YAML, "---\n"...)
		}
		out.YAML = append(out.YAML, p.YAML()...)
		if !slices.Contains(out.Namespaces, p.namespace) {
			out.Namespaces = append(out.Namespaces, p.namespace)
		}
	}
	var err error
	if out.Policies, err = Read(out.YAML); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnverified, err)
	}
	if err := g.prove(out, kept); err != nil {
		return nil, err
	}
	return out, nil
}

// podsOf returns the templates that selectors can be made for.
func podsOf(s *cluster.Snapshot) []*cluster.PodTemplate {
	d := &declaring{snapshot: s}
	d.findPods()
	return d.pods
}

// isSystem says that a namespace is the cluster's own, where a missing rule stops
// more than one program.
func isSystem(namespace string) bool {
	return namespace == systemNamespace || namespace == "kube-public" || namespace == "kube-node-lease"
}

func (g *generation) choose(pods []*cluster.PodTemplate) error {
	have := map[string]bool{}
	for _, t := range pods {
		ns := t.Namespace()
		have[ns] = true
		if onHost(t) {
			g.declared.Notes = append(g.declared.Notes, fmt.Sprintf("%s is on its node's network, where policies do not hold: it is skipped", reach.Pod(t)))
		}
		if len(g.Namespaces) == 0 && isSystem(ns) {
			g.declared.Notes = append(g.declared.Notes, fmt.Sprintf("namespace %s is left out: name it with --namespace to have it too", ns))
		}
		if len(g.Namespaces) == 0 && !isSystem(ns) {
			g.chosen[ns] = true
		}
	}
	for _, ns := range g.Namespaces {
		if !have[ns] {
			return fmt.Errorf("namespace %q has no pods that policies could be for", ns)
		}
		g.chosen[ns] = true
	}
	slices.Sort(g.declared.Notes)
	g.declared.Notes = slices.Compact(g.declared.Notes)
	switch {
	case len(g.chosen) == 0 && len(have) > 0:
		return fmt.Errorf("all pods are in namespaces of the cluster itself (%s), which are left out unless named: name them with --namespace", strings.Join(sortedKeys(have), ", "))
	case len(g.chosen) == 0:
		return errors.New("there are no pods to write policies for: give manifests with workloads")
	}
	return nil
}

// withoutOurs returns the objects but for those that this set replaces.
func (g *generation) withoutOurs(out *Result) []*cluster.Object {
	var kept []*cluster.Object
	for _, o := range g.snapshot.Objects {
		if isOurs(o) && g.chosen[namespaceOf(o)] {
			out.Replaced = append(out.Replaced, o)
			continue
		}
		kept = append(kept, o)
	}
	return kept
}

// write makes the policies of each namespace: a default deny, the look-up of
// names where all pods do it alike, and one for each group that needs more.
func (g *generation) write(kept []*cluster.Object) {
	taken := map[string]map[string]bool{}
	for _, o := range kept {
		if ns := namespaceOf(o); netpol.IsNetworkPolicy(o) {
			if taken[ns] == nil {
				taken[ns] = map[string]bool{}
			}
			taken[ns][o.Name] = true
		}
	}
	types := []netpol.Direction{netpol.Ingress, netpol.Egress}
	if g.OpenEgress {
		types = types[:1]
	}
	for _, ns := range sortedKeys(g.chosen) {
		names := taken[ns]
		if names == nil {
			names = map[string]bool{}
		}
		bare := g.bare(ns)
		g.policies = append(g.policies, &policy{
			namespace: ns, name: unique("default-deny", names), bare: bare, types: types,
			comment: "Denies what no other policy allows.",
		})
		lookup := g.lookup(ns)
		if lookup != nil && !g.OpenEgress {
			g.policies = append(g.policies, &policy{
				namespace: ns, name: unique("allow-dns", names), bare: bare, types: []netpol.Direction{netpol.Egress},
				comment: "Lets all pods look up names.", rules: [2][]rule{netpol.Egress: lookup},
			})
		}
		skip := func(n *Need) bool { return lookup != nil && n.Use == DNS }
		for _, grp := range g.groups.list {
			if grp.namespace == ns {
				g.writeGroup(grp, names, types, bare, skip)
			}
		}
	}
}

func (g *generation) writeGroup(grp *group, names map[string]bool, types []netpol.Direction, bare bool, skip func(*Need) bool) {
	p := &policy{namespace: grp.namespace, bare: bare, subject: grp, comment: "What " + podNames(grp.pods) + " needs."}
	if len(grp.labels) == 0 {
		g.declared.Notes = append(g.declared.Notes, fmt.Sprintf("%s has no labels that last: its policy holds for later pods of namespace %s too", podNames(grp.pods), grp.namespace))
	}
	for _, d := range types {
		// A rule about names is only left out of egress.
		if p.rules[d] = g.rulesFor(grp, d, func(n *Need) bool { return d == netpol.Egress && skip(n) }); len(p.rules[d]) > 0 {
			p.types = append(p.types, d)
		}
	}
	if len(p.types) > 0 {
		p.name = nameFor(grp, names)
		g.policies = append(g.policies, p)
	}
}

// lookup returns the rules by which all pods of a namespace look up names, nil
// where they differ.
func (g *generation) lookup(namespace string) []rule {
	var same []rule
	var text string
	for _, grp := range g.groups.list {
		if grp.namespace != namespace {
			continue
		}
		rules := g.rulesFor(grp, netpol.Egress, func(n *Need) bool { return n.Use != DNS })
		var b []byte
		for _, r := range rules {
			b = fmt.Append(appendPeers(b, r.peers, 0), r.ports)
		}
		key := string(b)
		if same != nil && key != text || len(rules) == 0 {
			return nil
		}
		same, text = rules, key
	}
	for i := range same {
		same[i].comments = nil
	}
	return same
}

// bare says that the manifests leave the namespace to whoever applies them.
func (g *generation) bare(namespace string) bool {
	for _, grp := range g.groups.list {
		if grp.namespace == namespace && grp.pods[0].Object.Namespace != "" {
			return false
		}
	}
	return namespace == "default"
}

func podNames(pods []*cluster.PodTemplate) string {
	var names []string
	for _, t := range pods {
		if name := reach.Pod(t).String(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " and ")
}

// Read reads policies back from YAML, or JSON.
func Read(text []byte) ([]*cluster.Object, error) {
	var out []*cluster.Object
	for _, doc := range document.Parse(text, document.Limits{}) {
		if doc.Err != nil {
			return nil, doc.Err
		}
		if o, ok := cluster.New(doc.Root); ok {
			out = append(out, o)
		}
	}
	return out, nil
}

func sortedKeys(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// simulate makes the model of a snapshot with other objects in it.
func simulate(s *cluster.Snapshot, objects []*cluster.Object, cni reach.CNI) *reach.Model {
	other := cluster.NewSnapshot(objects)
	other.Version, other.Whole, other.Incomplete, other.Beside = s.Version, s.Whole, s.Incomplete, s.Beside
	return reach.With(other, cni)
}

// prove simulates the set alone, and beside the policies that are there.
func (g *generation) prove(out *Result, kept []*cluster.Object) error {
	for _, t := range g.declared.standIns {
		kept = append(kept, t.Object)
	}
	cni := g.model.CNI()
	if cni.Enforces != reach.Allowed {
		// What the set would do in a cluster that enforces it.
		out.Notes = append(out.Notes, fmt.Sprintf("%s enforces no policies: the set has no effect there", cmp.Or(cni.Name, "the network plugin")))
		cni, _ = reach.Plugin("")
	}
	existing := map[*cluster.Object]bool{}
	for _, p := range netpol.Of(g.snapshot).Policies() {
		existing[p.Object] = true
	}
	var others []*cluster.Object
	for _, o := range kept {
		if !existing[o] {
			others = append(others, o)
		}
	}
	alone := simulate(g.snapshot, slices.Concat(others, out.Policies), cni)
	for _, p := range alone.Problems() {
		if p.Policy != nil {
			return fmt.Errorf("%w: %s: %s", ErrUnverified, reach.PolicyName(p.Policy), p.Text)
		}
	}
	if err := g.allows(out, alone); err != nil {
		return err
	}
	if extra := g.undeclared(alone); len(extra) > 0 {
		return fmt.Errorf("%w: %s could connect to %s at %s, which nothing declares", ErrUnverified, extra[0].From, extra[0].To, rangesText(extra[0].Ports))
	}
	if len(others) == len(kept) {
		return nil
	}
	union := simulate(g.snapshot, slices.Concat(kept, out.Policies), cni)
	for _, n := range g.declared.Needs {
		if answer, why := ask(union, n); answer == reach.Denied {
			out.Unproven = append(out.Unproven, Doubt{n, answer, why})
		}
	}
	out.Beyond = g.undeclared(union)
	return nil
}

// concerns says that the set decides about a need.
func (g *generation) concerns(n *Need) bool {
	in := n.To.Kind == Pods && !onHost(n.To.Pods) && g.chosen[n.To.Pods.Namespace()]
	out := n.From.Kind == Pods && !onHost(n.From.Pods) && g.chosen[n.From.Pods.Namespace()]
	return n.Use != Probe && (in || out && !g.OpenEgress)
}

// allows wants each need allowed. One that the simulation cannot decide, since
// that is left to the plugin or some address is not known, is a doubt.
func (g *generation) allows(out *Result, m *reach.Model) error {
	for _, n := range g.declared.Needs {
		if !g.concerns(n) {
			continue
		}
		switch answer, why := ask(m, n); answer {
		case reach.Allowed:
		case reach.Denied, reach.Partly:
			return fmt.Errorf("%w: %s is %s: %s", ErrUnverified, n, answer, why)
		case reach.Depends, reach.Unknown:
			out.Unproven = append(out.Unproven, Doubt{n, answer, why})
		}
	}
	return nil
}

// ask asks a model for a need; the worst answer of its peers stands.
func ask(m *reach.Model, n *Need) (worst reach.Answer, why string) {
	worst = reach.Allowed
	for _, from := range n.From.peers() {
		for _, to := range n.To.peers() {
			v := m.Connect(from, to, n.Port)
			if v.Answer == reach.Allowed || worst == reach.Denied {
				continue
			}
			worst = v.Answer
			var texts []string
			for _, r := range v.Reasons {
				texts = append(texts, r.String())
			}
			why = strings.Join(texts, "; ")
		}
	}
	return worst, why
}

// undeclared returns what pods reach of one another without a need for it. An
// ingress rule and an egress rule that are both there for some need let through
// what they have in common: that is declared too. Pods on their node's network
// are left out, since labels do not tell them.
func (g *generation) undeclared(m *reach.Model) []Pair {
	c := g.coverage()
	var out []Pair
	x, classes := m.Matrix(), m.Classes()
	for i := range classes {
		for j, ports := range x.Row(i) {
			if ports.Any() == reach.Denied {
				continue
			}
			ranges := ports.Ranges()
			for _, from := range classes[i].Templates {
				for _, to := range classes[j].Templates {
					if extra := c.beyond(from, to, ranges); len(extra) > 0 {
						out = append(out, Pair{reach.Pod(from).String(), reach.Pod(to).String(), extra})
					}
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Pair) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return slices.CompactFunc(out, func(a, b Pair) bool { return a.From == b.From && a.To == b.To && slices.Equal(a.Ports, b.Ports) })
}

// coverage is what needs allow of each group, by direction and peer.
type coverage struct {
	g     *generation
	ports map[coverKey][]reach.Port
}

// coverKey is a group and its peer: another group, or nil for whatever no label
// tells.
type coverKey struct {
	d          netpol.Direction
	own, other *group
}

func (g *generation) coverage() *coverage {
	c := &coverage{g, map[coverKey][]reach.Port{}}
	groupOf := func(e End) *group {
		if e.Kind != Pods || onHost(e.Pods) {
			return nil
		}
		return g.groups.of[placeOf(e.Pods)]
	}
	for _, n := range g.declared.Needs {
		if n.Use == Probe {
			continue
		}
		from, to := groupOf(n.From), groupOf(n.To)
		if from != nil {
			k := coverKey{netpol.Egress, from, to}
			c.ports[k] = append(c.ports[k], n.Port)
		}
		if to != nil {
			k := coverKey{netpol.Ingress, to, from}
			c.ports[k] = append(c.ports[k], n.Port)
		}
	}
	return c
}

// beyond returns the ranges that no need covers.
func (c *coverage) beyond(from, to *cluster.PodTemplate, ranges []reach.Range) []reach.Range {
	a, b := c.g.groups.of[placeOf(from)], c.g.groups.of[placeOf(to)]
	if a == nil || b == nil {
		return nil
	}
	out, in := c.g.chosen[a.namespace] && !c.g.OpenEgress, c.g.chosen[b.namespace]
	if !out && !in {
		return nil
	}
	covered := slices.Concat(c.ports[coverKey{netpol.Ingress, b, a}], c.ports[coverKey{netpol.Ingress, b, nil}])
	if out {
		egress := slices.Concat(c.ports[coverKey{netpol.Egress, a, b}], c.ports[coverKey{netpol.Egress, a, nil}])
		if in {
			egress = slices.DeleteFunc(egress, func(p reach.Port) bool { return !slices.Contains(covered, p) })
		}
		covered = egress
	}
	for _, p := range covered {
		ranges = cut(ranges, p)
	}
	return ranges
}

// cut takes a port out of ranges.
func cut(ranges []reach.Range, p reach.Port) []reach.Range {
	var out []reach.Range
	for _, r := range ranges {
		if r.Protocol != p.Protocol || p.Number < r.First || p.Number > r.Last {
			out = append(out, r)
			continue
		}
		before, after := r, r
		if before.Last = p.Number - 1; p.Number > r.First {
			out = append(out, before)
		}
		if after.First = p.Number + 1; p.Number < r.Last {
			out = append(out, after)
		}
	}
	return out
}

// rangesText lists ranges for people: 80/TCP, 8000-8100/TCP.
func rangesText(list []reach.Range) string {
	var out []string
	for _, r := range list {
		switch {
		case r.First == 1 && r.Last == 65535:
			out = append(out, "all "+r.Protocol.String())
		case r.First == r.Last:
			out = append(out, fmt.Sprintf("%d/%s", r.First, r.Protocol))
		default:
			out = append(out, fmt.Sprintf("%d-%d/%s", r.First, r.Last, r.Protocol))
		}
	}
	return strings.Join(out, ", ")
}
