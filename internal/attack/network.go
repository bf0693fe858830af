package attack

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/netpol"
	"seawall.io/seawall/internal/patch"
	"seawall.io/seawall/internal/reach"
)

// weakness is what lets who reaches the pods of a workload run code in them.
type weakness struct {
	likelihood float64
	text       string
	evidence   []Evidence
	conditions []Condition
	checks     []string
	// ports are those that it concerns, none for all that the pods listen on.
	ports []reach.Port
}

// unknownFlaw is the weakness that everything which listens may have.
var unknownFlaw = weakness{
	likelihood: networkReach.Likelihood, text: "a flaw that is not known yet",
	conditions: []Condition{{Text: "what listens there has a flaw that gives code"}},
}

// network is what the policies say, and which workloads are worth reaching.
type network struct {
	*reach.Model
	weak map[int32]weakness // by workload
}

// connections adds P53: from the internet to what is exposed, and from pods to the
// workloads with a weakness that is known, as far as policies let them.
func (b *builder) connections() {
	templates := b.snap.Templates()
	if len(templates) == 0 {
		return
	}
	b.net = network{reach.Of(b.snap), map[int32]weakness{}}
	if b.options.CNI != "" {
		if cni, err := reach.Plugin(b.options.CNI); err != nil {
			b.unknown("network policies were read without regard to a plugin: " + err.Error())
		} else {
			b.net.Model = reach.With(b.snap, cni)
		}
	}
	answers := b.probes()
	var targets []*cluster.PodTemplate
	for i := range templates {
		t := &templates[i]
		v := b.workloadVertex(t)
		w, ok := b.weakness(t, answers)
		if ok {
			if _, seen := b.net.weak[v]; !seen {
				targets = append(targets, t)
			}
			b.net.weak[v] = w
		} else {
			w = unknownFlaw
		}
		b.exposed(v, t, w)
	}
	b.between(targets)
}

// workloadVertex is the vertex of a template.
func (b *builder) workloadVertex(t *cluster.PodTemplate) int32 {
	return b.have(Workload, t.Namespace(), t.Object.Kind+"/"+t.Object.Name)
}

// weakness returns the worst that is known of a workload.
func (b *builder) weakness(t *cluster.PodTemplate, answers map[*cluster.Object][]weakness) (weakness, bool) {
	var all []weakness
	for i := range t.Containers {
		if t.Containers[i].Type == cluster.Init {
			continue
		}
		all = append(all, b.flaws(t, &t.Containers[i])...)
	}
	for _, e := range cluster.Exposures(b.snap).Of(t) {
		all = append(all, answers[e.Service]...)
	}
	if w, ok := sensitive(t); ok {
		all = append(all, w)
	}
	if len(all) == 0 {
		return weakness{}, false
	}
	return slices.MaxFunc(all, func(a, b weakness) int { return cmp.Compare(a.likelihood, b.likelihood) }), true
}

// flaws are the vulnerabilities of a container's image: a KEV entry says that it
// is exploited, EPSS how likely that is within 30 days.
func (b *builder) flaws(t *cluster.PodTemplate, c *cluster.Container) []weakness {
	var out []weakness
	for _, f := range b.options.Flaws[c.Image()] {
		w := weakness{
			likelihood: min(max(f.EPSS, 0.1), 0.85),
			text:       fmt.Sprintf("%s in %s of image %s", f.ID, f.Package, c.Image()),
			evidence:   []Evidence{{t.Object, document.Key(c.Path, "image")}},
			checks:     []string{"image-rce-vuln-exposed", "image-critical-vuln-exposed"},
			conditions: []Condition{{Text: "the program with " + f.ID + " is what answers"}},
		}
		if f.EPSS == 0 { // nobody says
			w.likelihood = 0.25
		}
		if f.KEV {
			w.likelihood = 0.9
			w.text += ", which is exploited"
		}
		if f.Object != nil {
			w.evidence = append(w.evidence, Evidence{f.Object, ""})
		}
		out = append(out, w)
	}
	return out
}

// probes are the Services of which a probe found that they serve whoever comes.
func (b *builder) probes() map[*cluster.Object][]weakness {
	out := map[*cluster.Object][]weakness{}
	for _, o := range b.snap.Kind("Probe") {
		if o.Group() != "seawall.io" {
			continue
		}
		e := cluster.Exposures(b.snap).Service(o.Namespace, o.Name)
		if e == nil {
			continue
		}
		for i, a := range o.Root.Get("answers").List() {
			if a.Get("verdict").Str() != "open" {
				continue
			}
			// To command a product is to run code; data and insight lead to it now and
			// then.
			likelihood := map[string]float64{"control": 0.9, "data": 0.3}[a.Get("gain").Str()]
			number, _ := a.Get("port").Int()
			out[e.Service] = append(out[e.Service], weakness{
				likelihood: max(likelihood, 0.1),
				text:       fmt.Sprintf("%s asks nobody who they are and %s", a.Get("product").Str(), a.Get("evidence").Str()),
				evidence:   []Evidence{{o, document.Index("answers", i)}, {e.Service, "spec"}},
				ports:      targetPorts(e, number),
			})
		}
	}
	return out
}

// targetPorts are the ports of the pods that a port of a Service leads to.
func targetPorts(e *cluster.Exposure, number int64) []reach.Port {
	var out []reach.Port
	for _, n := range e.Service.Root.At("spec", "ports").List() {
		if port, _ := n.Get("port").Int(); port != number {
			continue
		}
		protocol, err := reach.ParseProtocol(n.Get("protocol").Str())
		if err != nil {
			continue
		}
		target := n.Get("targetPort")
		if at, ok := target.Int(); ok {
			number = at
		} else if name := target.Str(); name != "" {
			for _, t := range e.Templates {
				number = namedPort(t, name)
			}
		}
		if number > 0 && number < 1<<16 {
			out = append(out, reach.Port{Protocol: protocol, Number: uint16(number)})
		}
	}
	return out
}

func namedPort(t *cluster.PodTemplate, name string) int64 {
	for i := range t.Containers {
		for _, p := range t.Containers[i].Root.Get("ports").List() {
			if p.Get("name").Str() == name {
				at, _ := p.Get("containerPort").Int()
				return at
			}
		}
	}
	return 0
}

// commanders are products that command clusters, or run code, for whoever signs in, and have been found
// to ask nobody.
var commanders = []struct {
	repository string // the end of the image's name
	name       string
	likelihood float64
	checks     []string
}{
	{"kubernetes-helm/tiller", "Tiller", 0.8, []string{"tiller-deployed", "tiller-listens-cluster"}},
	{"helm/tiller", "Tiller", 0.8, []string{"tiller-deployed", "tiller-listens-cluster"}},
	{"weaveworks/scope", "Weave Scope", 0.5, nil},
	{"rayproject/ray", "Ray", 0.5, nil},
	{"library/flink", "Flink", 0.4, nil},
	{"kubernetesui/dashboard", "the Kubernetes dashboard", 0.2, []string{"dashboard-deployed"}},
	{"jupyter/base-notebook", "Jupyter", 0.2, nil},
	{"jupyter/scipy-notebook", "Jupyter", 0.2, nil},
	{"portainer/portainer-ce", "Portainer", 0.1, nil},
	{"jenkins/jenkins", "Jenkins", 0.1, nil},
	{"argoproj/argocli", "Argo Workflows", 0.1, nil},
}

// sensitive says that a workload is one of those products.
func sensitive(t *cluster.PodTemplate) (weakness, bool) {
	for i := range t.Containers {
		c := &t.Containers[i]
		if c.Image() == "" || c.Type == cluster.Init {
			continue
		}
		repository := check.ParseImage(c.Image()).Repository
		for _, p := range commanders {
			if repository == p.repository || strings.HasSuffix(repository, "/"+p.repository) {
				return weakness{
					likelihood: p.likelihood, text: p.name + ", which commands more than itself",
					evidence:   []Evidence{{t.Object, document.Key(c.Path, "image")}},
					conditions: []Condition{{Text: p.name + " lets strangers in"}}, checks: p.checks,
				}, true
			}
		}
	}
	return weakness{}, false
}

// exposed adds the steps from the internet to a workload, by each object that
// leads to it.
func (b *builder) exposed(v int32, t *cluster.PodTemplate, w weakness) {
	if len(cluster.Exposures(b.snap).Ways(t)) == 0 && !opensHostPort(t) {
		return
	}
	done := map[*cluster.Object]bool{}
	for _, e := range b.net.Entries(t) {
		if e.Internal || done[e.Object] || e.Answer == reach.Denied || len(w.ports) > 0 && !slices.Contains(w.ports, e.Port) {
			continue
		}
		s := Step{
			Primitive: networkReach, Likelihood: w.likelihood, Checks: slices.Concat(w.checks, []string{"workload-external-facing"}),
			Text: fmt.Sprintf("%s %s leads to %s: %s", e.Object.Kind, e.Object.Name, e.Port, w.text),
		}
		s.Conditions = slices.Concat(w.conditions, unsettled(e.Answer, &s.Likelihood))
		switch e.Through {
		case cluster.NodePort, reach.HostPort, reach.HostNetwork:
			public, times := b.publicNodes()
			if public.Holds == No {
				continue
			}
			s.Likelihood *= times
			s.Conditions = append(s.Conditions, public)
		case cluster.LoadBalancer, cluster.ExternalIPs, cluster.Ingress, cluster.GatewayRoute, cluster.IstioGateway:
		}
		done[e.Object] = true
		s.Evidence = append(s.Evidence, Evidence{e.Object, b.wayPath(t, e)})
		if e.Service != nil && e.Service != e.Object {
			s.Evidence = append(s.Evidence, Evidence{e.Service, "spec"})
		}
		s.Evidence = append(s.Evidence, w.evidence...)
		if e.Object == e.Service && len(w.checks)+len(w.ports) > 0 && !systemNamespace(t.Namespace()) {
			s.Changes = b.withdraw(e.Service)
		}
		b.edge(b.internet(), v, b.step(s))
	}
}

// withdraw is the change that leaves a Service to the cluster alone.
func (b *builder) withdraw(service *cluster.Object) []int {
	at := "spec.type"
	switch service.Root.At("spec", "type").Str() {
	case "LoadBalancer", "NodePort":
	default:
		return nil
	}
	ops := patch.Set(service.Root, at, "ClusterIP")
	for i, p := range service.Root.At("spec", "ports").List() {
		if p.Get("nodePort") != nil {
			path := document.Key(document.Index("spec.ports", i), "nodePort")
			ops = append(ops, seawall.PatchOp{Op: "remove", Path: document.Pointer(path)})
		}
	}
	return []int{b.change(service, at, Change{
		Text: "make Service " + cmp.Or(service.Namespace, "default") + "/" + service.Name + " one of the cluster alone", Ops: ops, Cost: 5,
	})}
}

// unsettled is the condition for an answer of the policies that is no plain yes.
func unsettled(a reach.Answer, likelihood *float64) []Condition {
	switch a {
	case reach.Depends:
		*likelihood *= 0.5
		return []Condition{{Text: "the network plugin lets it: the policies leave it to the plugin"}}
	case reach.Unknown:
		*likelihood *= 0.5
		return []Condition{{Text: "the network policies allow it: not all of them can be read"}}
	case reach.Partly:
		return []Condition{{Text: "it comes from an address that the network policies allow"}}
	case reach.Allowed, reach.Denied:
	}
	return nil
}

// wayPath is the place in an object that leads to the pods.
func (b *builder) wayPath(t *cluster.PodTemplate, e reach.Entry) string {
	for _, w := range cluster.Exposures(b.snap).Ways(t) {
		if w.Object == e.Object {
			return w.Path
		}
	}
	if e.Object == t.Object {
		return t.SpecPath
	}
	return "spec"
}

func opensHostPort(t *cluster.PodTemplate) bool {
	host, _ := t.Spec().Get("hostNetwork").Bool()
	return host || slices.ContainsFunc(t.Containers, func(c cluster.Container) bool {
		return slices.ContainsFunc(c.Root.Get("ports").List(), func(p *document.Node) bool {
			n, _ := p.Get("hostPort").Int()
			return n > 0
		})
	})
}

// publicNodes says whether the internet reaches the addresses of nodes, as far as
// they tell: a firewall may stand before them.
func (b *builder) publicNodes() (Condition, float64) {
	c := Condition{Text: "the internet reaches the addresses of the nodes"}
	known := false
	for _, o := range b.snap.Kind("Node") {
		for _, n := range o.Root.At("status", "addresses").List() {
			address, err := netip.ParseAddr(n.Get("address").Str())
			if err != nil {
				continue
			}
			known = true
			if n.Get("type").Str() == "ExternalIP" || !address.IsPrivate() && address.IsGlobalUnicast() {
				return c, 0.5
			}
		}
	}
	if known {
		c.Holds = No
		return c, 0
	}
	return c, 0.3
}

// maxQuestions is how many questions about the network are asked at most: about
// the workloads that are most likely to fall first.
const maxQuestions = 1_000_000

// between adds the steps from pods to workloads with a weakness: from the classes
// of pods that no policy tells apart, or from all pods at once where all of them
// may connect. A change that closes a namespace takes these steps away and leaves
// those from within the namespace, which are edges of their own.
func (b *builder) between(targets []*cluster.PodTemplate) {
	if len(targets) == 0 {
		return
	}
	sources := b.sources()
	slices.SortStableFunc(targets, func(x, y *cluster.PodTemplate) int {
		return cmp.Compare(b.net.weak[b.workloadVertex(y)].likelihood, b.net.weak[b.workloadVertex(x)].likelihood)
	})
	known := map[string][]reach.Answer{}
	for i, t := range targets {
		w := b.net.weak[b.workloadVertex(t)]
		ports := w.ports
		if len(ports) == 0 {
			ports = b.listens(t)
		}
		class, _ := b.net.Class(t)
		k := fmt.Sprint(class, ports)
		answers, ok := known[k]
		if !ok {
			if len(known)*len(sources) > maxQuestions {
				b.unknown(fmt.Sprintf("connections between pods are in the graph to the %d most vulnerable workloads; %d more have a known weakness", i, len(targets)-i))
				return
			}
			answers = make([]reach.Answer, len(sources))
			for j := range sources {
				answers[j] = b.best(sources[j].template, t, ports)
			}
			known[k] = answers
		}
		b.connect(t, w, sources, answers)
	}
}

// connect adds the steps to one workload.
func (b *builder) connect(t *cluster.PodTemplate, w weakness, sources []source, answers []reach.Answer) {
	to, ns := b.workloadVertex(t), t.Namespace()
	steps := map[connectionKey]int32{}
	step := func(k connectionKey) int32 {
		i, ok := steps[k]
		if !ok {
			i = b.step(b.connection(t, w, k))
			steps[k] = i
		}
		return i
	}
	closes := len(b.closeNamespace(t)) > 0
	everybody := !slices.ContainsFunc(answers, func(a reach.Answer) bool { return a != reach.Allowed })
	if everybody {
		b.edge(b.anyPod(), to, step(connectionKey{reach.Allowed, false}))
	}
	for i := range sources {
		s := &sources[i]
		if answers[i] == reach.Denied {
			continue
		}
		if !everybody && (len(s.within) > 1 || s.within[ns] == nil || !closes) {
			b.edge(b.sourceVertex(&s.pods), to, step(connectionKey{answers[i], false}))
		}
		if own := s.within[ns]; own != nil && closes {
			b.edge(b.sourceVertex(own), to, step(connectionKey{answers[i], true}))
		}
	}
}

type connectionKey struct {
	answer reach.Answer
	within bool // the namespace
}

func (b *builder) connection(t *cluster.PodTemplate, w weakness, k connectionKey) Step {
	s := Step{
		Primitive: networkReach, Likelihood: w.likelihood, Checks: slices.Concat(w.checks, []string{"pod-without-networkpolicy", "namespace-without-networkpolicy"}),
		Text: "network policies let it connect to " + templateName(t) + ": " + w.text, Evidence: slices.Clone(w.evidence),
	}
	s.Conditions = slices.Concat(w.conditions, unsettled(k.answer, &s.Likelihood))
	if len(s.Evidence) == 0 || s.Evidence[0].Object != t.Object {
		s.Evidence = append(s.Evidence, Evidence{t.Object, t.SpecPath})
	}
	if !k.within {
		s.Changes = b.closeNamespace(t)
	} else {
		s.Text = "network policies let pods of the namespace connect to " + templateName(t) + ": " + w.text
	}
	return s
}

// best is the best answer for any of some ports, for any port at all where none
// is known.
func (b *builder) best(from, to *cluster.PodTemplate, ports []reach.Port) reach.Answer {
	all := b.net.Ports(reach.Pod(from), reach.Pod(to))
	if len(ports) == 0 {
		return all.Any()
	}
	best := reach.Denied
	for _, p := range ports {
		switch a := all.At(p); {
		case a == reach.Allowed:
			return a
		case a != reach.Denied && best == reach.Denied:
			best = a
		}
	}
	return best
}

// listens are the ports that the containers declare and that Services lead to.
func (b *builder) listens(t *cluster.PodTemplate) []reach.Port {
	var out []reach.Port
	for i := range t.Containers {
		for _, p := range t.Containers[i].Root.Get("ports").List() {
			number, _ := p.Get("containerPort").Int()
			protocol, err := reach.ParseProtocol(p.Get("protocol").Str())
			if err == nil && number > 0 && number < 1<<16 {
				out = append(out, reach.Port{Protocol: protocol, Number: uint16(number)})
			}
		}
	}
	for _, e := range cluster.Exposures(b.snap).Of(t) {
		for _, p := range e.Service.Root.At("spec", "ports").List() {
			number, _ := p.Get("port").Int()
			out = append(out, targetPorts(e, number)...)
		}
	}
	return out
}

// source is pods that no policy tells apart, and those of them in each namespace.
type source struct {
	template *cluster.PodTemplate
	pods     group
	within   map[string]*group
}

// group is some workloads, and the vertex of the connections that they can make:
// one alone stands for itself.
type group struct {
	namespace string
	members   []int32
	vertex    int32 // one more than it, 0 where there is none yet
}

func (g *group) add(v int32) {
	if !slices.Contains(g.members, v) {
		g.members = append(g.members, v)
	}
}

func (b *builder) sources() []source {
	var out []source
	for _, class := range b.net.Classes() {
		s := source{template: class.Templates[0], within: map[string]*group{}}
		for _, t := range class.Templates {
			v, ns := b.workloadVertex(t), t.Namespace()
			if v < 0 {
				continue
			}
			if s.within[ns] == nil {
				s.within[ns] = &group{namespace: ns}
			}
			s.within[ns].add(v)
			s.pods.members = append(s.pods.members, v)
		}
		if len(s.pods.members) > 0 {
			slices.Sort(s.pods.members)
			s.pods.members = slices.Compact(s.pods.members)
			if len(s.within) == 1 {
				s.pods.namespace = s.template.Namespace()
			}
			out = append(out, s)
		}
	}
	return out
}

// sourceVertex is the vertex of a group.
func (b *builder) sourceVertex(g *group) int32 {
	if g.vertex == 0 {
		first := b.g.Vertices[g.members[0]]
		v := g.members[0]
		if len(g.members) > 1 {
			name := first.Name
			if g.namespace == "" {
				name = first.Namespace + " " + name
			}
			v = b.power("network-of:"+name, g.namespace)
			for _, m := range g.members {
				b.always(within, m, v)
			}
		}
		g.vertex = v + 1
	}
	return g.vertex - 1
}

// anyPod is the connections that every pod can make.
func (b *builder) anyPod() int32 {
	if v := b.have(Power, "", "network-of-all"); v >= 0 {
		return v
	}
	v := b.power("network-of-all", "")
	templates := b.snap.Templates()
	for i := range templates {
		b.always(within, b.workloadVertex(&templates[i]), v)
	}
	return v
}

// closeNamespace is the change that lets only pods of its own namespace connect
// to a workload that is not exposed: to all pods of the namespace where that can
// be, else to this one's. None is offered where a policy isolates the pods
// already, since another one could only let in more.
func (b *builder) closeNamespace(t *cluster.PodTemplate) []int {
	ns := t.Namespace()
	policies := b.net.Policies()
	if systemNamespace(ns) || policies.Isolated(t, netpol.Ingress) || b.entered(t) {
		return nil
	}
	name, selector := "seawall-from-own-namespace", map[string]any{}
	whole := !b.isolatedNamespaces(netpol.Ingress)[ns] && !b.enteredNamespaces()[ns]
	if !whole {
		labels := map[string]any{}
		for k, v := range t.Labels() {
			labels[k] = v
		}
		if len(labels) == 0 {
			return nil
		}
		name += "-" + t.Object.Name
		selector["matchLabels"] = labels
	}
	about := "network policy " + ns + "/" + name
	return []int{b.change(nil, about, Change{
		Text: fmt.Sprintf("let only pods of namespace %s connect to %s", ns, map[bool]string{true: "its pods", false: templateName(t)}[whole]),
		Cost: 2,
		New: document.FromValue(map[string]any{
			"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": map[string]any{"name": name, "namespace": ns},
			"spec": map[string]any{
				"podSelector": selector, "policyTypes": []any{"Ingress"},
				"ingress": []any{map[string]any{"from": []any{map[string]any{"podSelector": map[string]any{}}}}},
			},
		}),
	})}
}

// entered says that traffic comes to pods from outside the cluster, so that
// nothing may close them.
func (b *builder) entered(t *cluster.PodTemplate) bool {
	return len(cluster.Exposures(b.snap).Ways(t)) > 0 || opensHostPort(t)
}

// isolatedNamespaces are those with pods that a policy isolates in a direction.
func (b *builder) isolatedNamespaces(d netpol.Direction) map[string]bool {
	type key struct{ netpol.Direction }
	return cluster.Derive(b.snap, key{d}, func() map[string]bool {
		out := map[string]bool{}
		templates := b.snap.Templates()
		for i := range templates {
			if ns := templates[i].Namespace(); !out[ns] && b.net.Policies().Isolated(&templates[i], d) {
				out[ns] = true
			}
		}
		return out
	})
}

// enteredNamespaces are those with pods that traffic comes to from outside.
func (b *builder) enteredNamespaces() map[string]bool {
	type key struct{}
	return cluster.Derive(b.snap, key{}, func() map[string]bool {
		out := map[string]bool{}
		templates := b.snap.Templates()
		for i := range templates {
			if ns := templates[i].Namespace(); !out[ns] && b.entered(&templates[i]) {
				out[ns] = true
			}
		}
		return out
	})
}
