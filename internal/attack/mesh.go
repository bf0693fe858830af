package attack

import (
	"cmp"
	"encoding/base64"
	"net/netip"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/reach"
	"seawall.io/seawall/internal/redact"
)

// joint is how the pods of one cluster reach those of another.
type joint struct {
	by, name  string // Submariner, and what it calls the other cluster
	evidence  []Evidence
	condition []Condition
	// from are the addresses that the other cluster sees, to those that this one
	// has to let its pods connect to; none where they are not known.
	from, to []netip.Prefix
	only     map[*cluster.PodTemplate]bool // pods that are reached, nil for all
	sources  map[*cluster.PodTemplate]bool // pods that reach them, nil for all
}

// mesh adds the clusters that Cilium's ClusterMesh joins: their pods reach one
// another.
func (f *fleet) mesh(b *builder) {
	o := b.snap.Get("", "Secret", "kube-system", "cilium-clustermesh")
	if o == nil {
		return
	}
	for _, v := range o.Root.Get("data").Map() {
		if !strings.Contains(v.Key, ".") {
			f.joinNetworks(b, f.named(v.Key), joint{
				by: "ClusterMesh", name: v.Key, evidence: []Evidence{{o, document.Key("data", v.Key)}},
				condition: []Condition{{Text: "policies there admit pods of other clusters: before Cilium 1.19 a selector means those too"}},
			})
		}
	}
}

// submariner adds the clusters that Submariner joins, by the endpoints that it keeps
// in each. Policies there see addresses of the other cluster, which no selector of
// namespaces means. With Globalnet only Services that are exported are reached.
func (f *fleet) submariner(b *builder) {
	for _, own := range b.snap.Kind("Submariner") {
		if own.Group() != "submariner.io" {
			continue
		}
		spec := own.Root.Get("spec")
		id := spec.Get("clusterID").Str()
		from := prefixes(cmp.Or(spec.Get("globalCIDR").Str(), spec.Get("clusterCIDR").Str()))
		for _, o := range b.snap.Kind("Endpoint") {
			if o.Group() == "submariner.io" && o.Root.At("spec", "cluster_id").Str() == id {
				from = prefixes(texts(o.Root.At("spec", "subnets"))...)
			}
		}
		for _, o := range b.snap.Kind("Endpoint") {
			name := o.Root.At("spec", "cluster_id").Str()
			if o.Group() != "submariner.io" || name == "" || name == id {
				continue
			}
			j := joint{by: "Submariner", name: name, evidence: []Evidence{{o, "spec"}}, from: from, to: prefixes(texts(o.Root.At("spec", "subnets"))...)}
			i := f.named(name)
			if i >= 0 && spec.Get("globalCIDR").Str() != "" {
				j.only = exported(f.builders[i])
			}
			f.joinNetworks(b, i, j)
		}
	}
}

// prefixes reads ranges of addresses, and leaves out what is none.
func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range list {
		if p, err := netip.ParsePrefix(text); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// isOfServices says that an object is one of the Multi-Cluster Services API, or of
// GKE's own form of it.
func isOfServices(o *cluster.Object) bool {
	return o.Group() == "multicluster.x-k8s.io" || o.Group() == "net.gke.io"
}

// exported are the pods behind the Services that a cluster exports to others.
func exported(b *builder) map[*cluster.PodTemplate]bool {
	out := map[*cluster.PodTemplate]bool{}
	for _, o := range b.snap.Kind("ServiceExport") {
		if isOfServices(o) {
			behind(b, o, out)
		}
	}
	return out
}

// behind adds the pods behind the Service of a ServiceExport.
func behind(b *builder, export *cluster.Object, out map[*cluster.PodTemplate]bool) {
	if x := cluster.Exposures(b.snap).Service(cmp.Or(export.Namespace, "default"), export.Name); x != nil {
		for _, t := range x.Templates {
			out[t] = true
		}
	}
}

// imports adds the Services that a cluster imports from others which export them
// (Multi-Cluster Services, KEP-1645). What carries the traffic is not told, unless
// it is a mesh that was found already.
func (f *fleet) imports(b *builder) {
	for _, o := range b.snap.Kind("ServiceImport") {
		if !isOfServices(o) {
			continue
		}
		var of []string
		for _, n := range o.Root.At("status", "clusters").List() {
			of = append(of, strings.ToLower(n.Get("cluster").Str()))
		}
		for i, in := range f.builders {
			if i == b.cluster || f.meshed[[2]int{b.cluster, i}] || len(of) > 0 && !slices.ContainsFunc(of, func(name string) bool { return f.marks[i].names[name] }) {
				continue
			}
			for _, export := range in.snap.Kind("ServiceExport") {
				if !isOfServices(export) || export.Name != o.Name || export.Namespace != o.Namespace {
					continue
				}
				only := map[*cluster.PodTemplate]bool{}
				behind(in, export, only)
				f.joinNetworks(b, i, joint{
					by: "a multi-cluster Service", name: b.g.Clusters[i] + " by Service/" + cmp.Or(o.Namespace, "default") + "/" + o.Name,
					evidence: []Evidence{{o, ""}, {export, ""}}, only: only,
					condition: []Condition{{Text: "what implements multi-cluster Services carries the traffic, and policies there admit it"}},
				})
			}
		}
	}
}

// joinNetworks adds the steps by which pods of a cluster reach what is weak in
// another; i is -1 for one that is not among the clusters.
func (f *fleet) joinNetworks(b *builder, i int, j joint) {
	if i == b.cluster {
		return
	}
	reaches := b.power("network-of-cluster:"+j.name, "")
	if i < 0 {
		b.edge(reaches, f.outside("network of cluster "+j.name), b.step(Step{Primitive: networkReach, Likelihood: 0.3, Evidence: j.evidence}))
	} else {
		if j.only == nil {
			f.meshed[[2]int{b.cluster, i}] = true
		}
		f.weakThere(b, reaches, f.builders[i], j)
	}
	for _, t := range b.templatesThat(func(t *cluster.PodTemplate) bool { return b.leaves(t, j.to) }) {
		if j.sources == nil || j.sources[t] {
			b.always(within, b.workloadVertex(t), reaches)
		}
	}
}

// templatesThat are the templates of which something holds that policies decide: it
// is asked once for those that no policy tells apart.
func (b *builder) templatesThat(holds func(*cluster.PodTemplate) bool) []*cluster.PodTemplate {
	var out []*cluster.PodTemplate
	known := map[int]bool{}
	templates := b.snap.Templates()
	for i := range templates {
		t := &templates[i]
		class, ok := b.net.Class(t)
		yes, asked := known[class]
		if !ok || !asked {
			yes = holds(t)
		}
		if ok {
			known[class] = yes
		}
		if yes {
			out = append(out, t)
		}
	}
	return out
}

// leaves says whether policies may let pods connect to any of some addresses; to
// those that are not known they may.
func (b *builder) leaves(t *cluster.PodTemplate, to []netip.Prefix) bool {
	return len(to) == 0 || slices.ContainsFunc(to, func(p netip.Prefix) bool {
		return b.net.Ports(reach.Pod(t), reach.Addresses(p)).Any() != reach.Denied
	})
}

// weakThere adds what is weak in the other cluster.
func (f *fleet) weakThere(b *builder, reaches int32, in *builder, j joint) {
	templates := in.snap.Templates()
	for i := range templates {
		t := &templates[i]
		to := in.workloadVertex(t)
		w, ok := in.net.weak[to]
		if !ok || j.only != nil && !j.only[t] {
			continue
		}
		s := Step{
			Primitive: networkReach, Likelihood: w.likelihood * 0.5, Checks: w.checks,
			Evidence:   slices.Concat(j.evidence, w.evidence),
			Text:       j.by + " joins the networks of the clusters: " + w.text,
			Conditions: slices.Concat(w.conditions, j.condition),
		}
		if len(j.from) > 0 {
			answer := in.admits(t, j.from, w.ports)
			if answer == reach.Denied {
				continue
			}
			s.Likelihood = w.likelihood * 0.8
			s.Conditions = append(s.Conditions, unsettled(answer, &s.Likelihood)...)
			if answer == reach.Allowed {
				s.Conditions = append(s.Conditions, Condition{Text: "network policies there admit addresses of the other cluster", Holds: Yes})
			}
		}
		b.edge(reaches, to, b.step(s))
	}
}

// admits is the best answer of the policies about connections from addresses to the
// ports of a workload, or to any where none are known.
func (b *builder) admits(t *cluster.PodTemplate, from []netip.Prefix, ports []reach.Port) reach.Answer {
	if len(ports) == 0 {
		ports = b.listens(t)
	}
	best := reach.Denied
	for _, p := range from {
		all := b.net.Ports(reach.Addresses(p), reach.Pod(t))
		answers := []reach.Answer{all.Any()}
		if len(ports) > 0 {
			answers = answers[:0]
			for _, port := range ports {
				answers = append(answers, all.At(port))
			}
		}
		for _, a := range answers {
			if a == reach.Allowed {
				return a
			}
			if best == reach.Denied {
				best = a
			}
		}
	}
	return best
}

const skupperGroup = "skupper.io"

// skupper adds what Skupper's sites offer one another: a Listener is a Service of
// this cluster that leads to the pods of each Connector with its routing key, in
// whatever site of the network. Traffic comes from the router of that site.
func (f *fleet) skupper(b *builder) {
	for _, o := range b.snap.Kind("Secret") {
		if o.Root.At("metadata", "labels", "skupper.io/type").Str() == "connection-token" {
			b.unknown("what a Skupper site of version 1 reaches by Secret " + cmp.Or(o.Namespace, "default") + "/" + o.Name)
		}
	}
	for _, link := range b.snap.Kind("Link") {
		if link.Group() != skupperGroup {
			continue
		}
		for i, in := range f.builders {
			if i == b.cluster {
				continue
			}
			for _, site := range in.snap.Kind("Site") {
				if site.Group() != skupperGroup || !leadsTo(link, site) {
					continue
				}
				f.linked(b, link.Namespace, in, site.Namespace, link)
				f.linked(in, site.Namespace, b, link.Namespace, link)
				f.joins(b, link, in, site)
			}
		}
	}
}

// leadsTo says that a link leads to a site: to one of the addresses at which the
// site lets others in.
func leadsTo(link, site *cluster.Object) bool {
	for _, l := range link.Root.At("spec", "endpoints").List() {
		for _, s := range site.Root.At("status", "endpoints").List() {
			if host := l.Get("host").Str(); host != "" && host == s.Get("host").Str() && l.Get("port").Str() == s.Get("port").Str() {
				return true
			}
		}
	}
	return false
}

// linked adds what the listeners of one site reach by the connectors of another.
func (f *fleet) linked(b *builder, ns string, in *builder, there string, link *cluster.Object) {
	for _, l := range b.snap.Kind("Listener") {
		if l.Group() != skupperGroup || l.Namespace != ns {
			continue
		}
		key := l.Root.At("spec", "routingKey").Str()
		only, at := connected(in, there, key)
		if len(only) == 0 {
			continue
		}
		f.joinNetworks(b, in.cluster, joint{
			by: "a Skupper network", name: b.g.Clusters[in.cluster] + " by Listener/" + ns + "/" + l.Name,
			evidence: append([]Evidence{{l, "spec"}, {link, "spec"}}, at...), only: only, sources: b.reachRouter(ns),
			condition: []Condition{{Text: "policies there admit the router of the site"}},
		})
	}
}

// connected are the pods that the connectors of a site with a routing key lead to;
// of all keys where it is empty.
func connected(b *builder, ns, key string) (map[*cluster.PodTemplate]bool, []Evidence) {
	only := map[*cluster.PodTemplate]bool{}
	var at []Evidence
	for _, c := range b.snap.Kind("Connector") {
		spec := c.Root.Get("spec")
		if c.Group() != skupperGroup || c.Namespace != ns || key != "" && spec.Get("routingKey").Str() != key {
			continue
		}
		at = append(at, Evidence{c, "spec"})
		if host := spec.Get("host").Str(); host != "" {
			name, _, _ := strings.Cut(host, ".")
			if x := cluster.Exposures(b.snap).Service(ns, name); x != nil {
				for _, t := range x.Templates {
					only[t] = true
				}
			}
			continue
		}
		for _, t := range b.templatesIn(ns) {
			if equals(spec.Get("selector").Str(), t) {
				only[t] = true
			}
		}
	}
	return only, at
}

// equals says whether a selector in text, app=web,tier=back, takes the pods of a
// template. One with anything but equality takes none.
func equals(selector string, t *cluster.PodTemplate) bool {
	labels := t.Root.At("metadata", "labels")
	for part := range strings.SplitSeq(selector, ",") {
		key, value, ok := strings.Cut(part, "=")
		value = strings.TrimPrefix(value, "=")
		if key = strings.TrimSpace(key); !ok || labels.Get(key).Str() != strings.TrimSpace(value) || strings.HasSuffix(key, "!") {
			return false
		}
	}
	return selector != ""
}

// reachRouter are the pods that policies may let connect to the router of a site,
// nil for all where the router is not among the objects.
func (b *builder) reachRouter(ns string) map[*cluster.PodTemplate]bool {
	var out map[*cluster.PodTemplate]bool
	for _, router := range b.called("skupper-router") {
		if router.Namespace() != ns {
			continue
		}
		out = map[*cluster.PodTemplate]bool{}
		for _, t := range b.templatesThat(func(t *cluster.PodTemplate) bool {
			return b.net.Ports(reach.Pod(t), reach.Pod(router)).Any() != reach.Denied
		}) {
			out[t] = true
		}
	}
	return out
}

// joins adds that the credentials of a link join the network, and so reach what the
// connectors of the site offer.
func (f *fleet) joins(b *builder, link *cluster.Object, in *builder, site *cluster.Object) {
	name := link.Root.At("spec", "tlsCredentials").Str()
	from := b.secretVertex(link.Namespace, name)
	only, at := connected(in, site.Namespace, "")
	if name == "" || from < 0 || len(only) == 0 {
		return
	}
	member := b.power("network-of-cluster:"+b.g.Clusters[in.cluster]+" by Link/"+link.Namespace+"/"+link.Name, "")
	b.edge(from, member, b.step(Step{
		Primitive: credential, Evidence: []Evidence{{link, "spec.tlsCredentials"}}, Text: "a router with it is part of the Skupper network",
		Conditions: []Condition{{Text: "the address of the site can be reached"}},
	}))
	f.weakThere(b, member, in, joint{
		by: "a Skupper network", evidence: append([]Evidence{{link, "spec"}}, at...), only: only,
		condition: []Condition{{Text: "policies there admit the router of the site"}},
	})
}

// authorityOf is the fingerprint of a certificate in base64, or of one as it is.
func authorityOf(text string) string {
	if data, err := base64.StdEncoding.DecodeString(text); err == nil {
		return redact.Authority(data)
	}
	return redact.Authority([]byte(text))
}
