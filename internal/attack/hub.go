package attack

import (
	"cmp"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/redact"
)

// delivery is how a hub has its clusters apply objects: an agent in each takes them
// from a namespace of the hub. The hub needs no credentials of the clusters.
type delivery struct {
	what        string // names the power: having clusters apply what
	group, kind string // of the objects that stand for clusters
	agents      []string
	// namespaces of the hub are where a cluster takes objects from.
	namespaces func(b *builder, o *cluster.Object) []string
	condition  []Condition
	// names are those that the cluster may go by, joined whether it has joined.
	names  func(o *cluster.Object) []string
	joined func(o *cluster.Object) bool
}

var worksDelivery = &delivery{
	what: "manifestworks", group: "cluster.open-cluster-management.io", kind: "ManagedCluster",
	agents:     []string{"klusterlet-work-agent", "klusterlet-agent"},
	namespaces: func(_ *builder, o *cluster.Object) []string { return []string{o.Name} },
	names:      func(o *cluster.Object) []string { return []string{o.Name} },
	joined:     accepted,
}

// setsDelivery is that of works for all clusters that a Placement of the namespace
// selects: from the sets of clusters that are bound to it.
var setsDelivery = &delivery{
	what: "manifestworkreplicasets", group: "cluster.open-cluster-management.io", kind: "ManagedCluster",
	agents:     worksDelivery.agents,
	namespaces: (*builder).boundTo,
	condition:  []Condition{{Text: "a Placement of the namespace selects the cluster"}},
	names:      worksDelivery.names,
	joined:     accepted,
}

func accepted(o *cluster.Object) bool {
	yes, _ := o.Root.At("spec", "hubAcceptsClient").Bool()
	return yes
}

// boundTo are the namespaces that a set with a managed cluster is bound to. Each
// cluster is in the set global and in one that its label names.
func (b *builder) boundTo(o *cluster.Object) []string {
	own := o.Root.At("metadata", "labels", "cluster.open-cluster-management.io/clusterset").Str()
	var out []string
	for _, binding := range b.snap.Kind("ManagedClusterSetBinding") {
		set := binding.Root.At("spec", "clusterSet").Str()
		if binding.Group() == o.Group() && set != "" && (set == own || set == "global") && !slices.Contains(out, binding.Namespace) {
			out = append(out, binding.Namespace)
		}
	}
	return out
}

var bundlesDelivery = &delivery{
	what: "bundles", group: "fleet.cattle.io", kind: "Cluster",
	agents:     []string{"fleet-agent"},
	namespaces: func(_ *builder, o *cluster.Object) []string { return []string{cmp.Or(o.Namespace, "default")} },
	names: func(o *cluster.Object) []string {
		return []string{o.Root.At("metadata", "labels", "management.cattle.io/cluster-display-name").Str(), o.Name}
	},
	joined: func(*cluster.Object) bool { return true },
}

// delivers is having clusters apply objects of a namespace of the hub, or of all.
// What that leads to is added when all clusters are known.
func (d *delivery) delivers(b *builder, ns string) int32 {
	if !slices.ContainsFunc(b.snap.Kind(d.kind), func(o *cluster.Object) bool { return o.Group() == d.group }) {
		b.unknown("which clusters apply " + d.what + ": no " + d.kind + " of " + d.group + " is among the objects")
	}
	return b.spread("deliver:"+d.what, ns, func(int32, string) {})
}

// deliveries adds what the agents of a hub's clusters apply: by who may write it,
// and by who has the hub.
func (f *fleet) deliveries(b *builder) {
	for _, d := range []*delivery{worksDelivery, setsDelivery, bundlesDelivery} {
		for _, o := range b.snap.Kind(d.kind) {
			if o.Group() != d.group || !d.joined(o) {
				continue
			}
			to, found := f.agent(b, d.names(o), d.agents)
			for _, ns := range d.namespaces(b, o) {
				s := found
				s.Primitive, s.Evidence = gitOps, append([]Evidence{{o, "spec"}}, found.Evidence...)
				s.Text = "the agent of the cluster applies the " + d.what + " of namespace " + ns + " of the hub"
				s.Conditions = slices.Concat(found.Conditions, d.condition)
				if len(d.condition) > 0 {
					s.Likelihood = 0.7 * s.likelihood()
				}
				step := b.step(s)
				b.edge(b.admin(), to, step)
				b.edge(b.have(Power, ns, "deliver:"+d.what), to, step)
			}
		}
	}
}

// agent finds the account of an agent in the cluster of a name, and what speaks
// against it being that.
func (f *fleet) agent(b *builder, names, agents []string) (int32, Step) {
	i, called := -1, ""
	for _, name := range names {
		called = cmp.Or(called, name)
		if i < 0 && name == "local" { // as Rancher calls its own
			i = b.cluster
		}
		if i < 0 {
			i = f.named(name)
		}
	}
	if i < 0 {
		return f.outside("cluster " + called), Step{}
	}
	in := f.builders[i]
	for _, name := range agents {
		for _, t := range in.called(name) {
			if v := in.have(ServiceAccount, t.Namespace(), t.ServiceAccount()); v >= 0 {
				return v, Step{Evidence: []Evidence{{t.Object, t.SpecPath}}}
			}
		}
	}
	return in.admin(), Step{Likelihood: 0.5, Conditions: []Condition{{Text: "the agent " + agents[0] + " may do everything: it is not among the objects of the cluster"}}}
}

// rancher adds what a Rancher server has of its clusters: the agent of each, which
// obeys it, the token of an account with all permissions, and kubeconfigs that lead
// through the server. Those name the address of the server and not of the cluster.
func (f *fleet) rancher(b *builder) {
	byID := map[string]*cluster.Object{}
	for _, o := range b.snap.Kind("Cluster") {
		if o.Group() != "management.cattle.io" || o.Name == "local" {
			continue
		}
		byID[o.Name] = o
		to, s := f.agent(b, []string{o.Root.At("spec", "displayName").Str(), o.Name}, []string{"cattle-cluster-agent"})
		s.Primitive, s.Evidence = gitOps, append([]Evidence{{o, "spec"}}, s.Evidence...)
		s.Text = "Rancher commands the cluster by its agent"
		b.edge(b.admin(), to, b.step(s))
		f.ofRancher(b, o, "cattle-global-data", o.Root.At("status", "serviceAccountTokenSecret").Str(), Evidence{o, "status.serviceAccountTokenSecret"})
	}
	for _, o := range b.snap.Kind("Cluster") {
		if o.Group() != "provisioning.cattle.io" {
			continue
		}
		if of := byID[o.Root.At("status", "clusterName").Str()]; of != nil {
			f.ofRancher(b, of, cmp.Or(o.Namespace, "default"), o.Root.At("status", "clientSecretName").Str(), Evidence{o, "status.clientSecretName"})
		}
	}
}

// ofRancher adds a Secret by which Rancher signs in to a cluster.
func (f *fleet) ofRancher(b *builder, of *cluster.Object, ns, name string, ev Evidence) {
	from := b.secretVertex(ns, name)
	if name == "" || from < 0 {
		return
	}
	f.opened[from] = true
	display := cmp.Or(of.Root.At("spec", "displayName").Str(), of.Name)
	to := f.outside("cluster " + display)
	if i := f.named(display); i >= 0 {
		to = f.builders[i].admin()
	}
	b.edge(from, to, b.step(Step{
		Primitive: credential, Evidence: []Evidence{ev}, Text: "Rancher signs in to cluster " + display + " with it, as an account that may do everything",
		Likelihood: 0.9, Conditions: []Condition{{Text: "the account that Rancher made for itself in the cluster has all permissions still"}},
	}))
}

// managed is whom the certificate of a klusterlet makes its holder on the hub, where
// it stands in a file beside the kubeconfig: the agent of one cluster.
func (b *builder) managed(secret *cluster.Object) (name string, groups []string) {
	if secret.Name != "hub-kubeconfig-secret" {
		return "", nil
	}
	for _, o := range b.snap.Kind("Klusterlet") {
		if own := o.Root.At("spec", "clusterName").Str(); own != "" && o.Group() == "operator.open-cluster-management.io" {
			const prefix = "system:open-cluster-management:"
			return prefix + own, []string{prefix + own, prefix + "managed-clusters"}
		}
	}
	return "", nil
}

// broker adds the cluster through which those of Submariner find one another: what
// its account may do there, by the Secret that each of them has.
func (f *fleet) broker(b *builder) {
	for _, o := range b.snap.Kind("Submariner") {
		spec := o.Root.Get("spec")
		ns, name := cmp.Or(o.Namespace, "default"), spec.Get("brokerK8sSecret").Str()
		from := b.secretVertex(ns, name)
		if o.Group() != "submariner.io" || name == "" || from < 0 {
			continue
		}
		facts := redact.Facts{Kind: "kubeconfig"}
		secret := b.object("Secret", ns, name)
		for _, field := range []string{"data", "stringData"} {
			if secret == nil {
				break
			}
			if told, ok := redact.FactsOf(secret.Root.At(field, "token").Str(), field == "data"); ok {
				facts = told
			}
		}
		if facts.Name == "" {
			b.unknown("whom Secret " + ns + "/" + name + " makes its holder at the broker of Submariner: its token was not read")
			continue
		}
		facts.Server = spec.Get("brokerK8sApiServer").Str()
		if !strings.Contains(facts.Server, "://") {
			facts.Server = "https://" + facts.Server
		}
		facts.CA = authorityOf(spec.Get("brokerK8sCA").Str())
		f.signIn(b, from, facts, Evidence{o, "spec.brokerK8sSecret"})
	}
}
