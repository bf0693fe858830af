package attack

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/rbac"
	"seawall.io/seawall/internal/redact"
)

// fleet finds the clusters of a graph by what leads to them.
type fleet struct {
	g        *Graph
	builders []*builder
	marks    []clusterMarks
	opened   map[int32]bool // Secrets of which it is known what they open
	meshed   map[[2]int]bool
}

// clusterMarks are what a cluster is known by from outside.
type clusterMarks struct {
	authority map[string]Evidence // fingerprints of the CA of its API server
	servers   map[string]bool     // host:port
	names     map[string]bool
	issuer    string // of its service account tokens, if it is one of its own
	issuerAt  Evidence
	pool      string // the Google project whose workload identities it has
}

// defaultIssuer is what clusters have that were not told otherwise: it says
// nothing about their keys.
const defaultIssuer = "https://kubernetes.default"

// join adds the steps from one cluster to another.
func join(g *Graph, builders []*builder) {
	f := &fleet{g: g, builders: builders, opened: map[int32]bool{}, meshed: map[[2]int]bool{}}
	for _, b := range builders {
		f.marks = append(f.marks, b.marks())
	}
	for _, b := range builders {
		f.rancher(b)
		f.broker(b)
		f.credentials(b)
		f.references(b)
		f.accessEntries(b)
		f.deliveries(b)
		f.mesh(b)
		f.submariner(b)
		f.imports(b)
		f.skupper(b)
	}
	for i := range builders {
		for j := range builders {
			if i != j {
				f.trust(i, j)
			}
		}
	}
}

func (b *builder) marks() clusterMarks {
	m := clusterMarks{authority: map[string]Evidence{}, servers: map[string]bool{}, names: map[string]bool{}}
	if name := b.g.Clusters[b.cluster]; name != "" {
		m.names[strings.ToLower(name)] = true
	}
	for _, o := range b.snap.Kind("ConfigMap") {
		switch o.Name {
		case "kube-root-ca.crt":
			if ca := redact.Authority([]byte(o.Root.At("data", "ca.crt").Str())); ca != "" {
				if _, ok := m.authority[ca]; !ok {
					m.authority[ca] = Evidence{o, `data["ca.crt"]`}
				}
			}
		case "cluster-info":
			if facts, ok := redact.FactsOf(o.Root.At("data", "kubeconfig").Str(), false); ok && o.Namespace == "kube-public" {
				m.servers[hostPort(facts.Server)] = true
				if facts.CA != "" {
					m.authority[facts.CA] = Evidence{o, "data.kubeconfig"}
				}
			}
		case "kubeadm-config":
			text := o.Root.At("data", "ClusterConfiguration").Str()
			for _, doc := range document.Parse([]byte(text), document.Limits{}) {
				if name := doc.Root.Get("clusterName").Str(); name != "" && name != "kubernetes" {
					m.names[strings.ToLower(name)] = true
				}
				if at := doc.Root.Get("controlPlaneEndpoint").Str(); at != "" {
					m.servers[hostPort("https://"+at)] = true
				}
			}
		}
	}
	for _, k := range []struct{ group, kind, key string }{
		{"operator.open-cluster-management.io", "Klusterlet", "clusterName"}, {"submariner.io", "Submariner", "clusterID"},
	} {
		for _, o := range b.snap.Kind(k.kind) {
			if name := o.Root.At("spec", k.key).Str(); o.Group() == k.group && name != "" {
				m.names[strings.ToLower(name)] = true
			}
		}
	}
	for _, o := range b.apiServers() {
		if at := flagOf(o, "--service-account-issuer"); at != "" && !strings.HasPrefix(at, defaultIssuer) {
			m.issuer, m.issuerAt = at, Evidence{o, "spec.containers"}
		}
		if at := flagOf(o, "--advertise-address"); at != "" {
			m.servers[net.JoinHostPort(at, "6443")] = true
		}
	}
	for _, o := range b.snap.Kind("Node") {
		if rest, ok := strings.CutPrefix(o.Root.At("spec", "providerID").Str(), "gce://"); ok {
			m.pool, _, _ = strings.Cut(rest, "/")
			break
		}
	}
	return m
}

// hostPort is the host and port of an address.
func hostPort(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	if u.Port() == "" {
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return u.Host
}

// find returns the cluster that a credential of another is for, -1 if it is none
// of the graph's. An authority is surer than an address: addresses of private
// networks are not the same everywhere.
func (f *fleet) find(from int, facts redact.Facts) int {
	if host := hostPort(facts.Server); strings.HasPrefix(host, "kubernetes.default.svc") || strings.HasPrefix(host, "kubernetes.default:") {
		return from
	}
	if facts.CA != "" {
		for i := range f.marks {
			if _, ok := f.marks[i].authority[facts.CA]; ok {
				return i
			}
		}
		// An authority that is known and is another's: the address deceives.
		for i := range f.marks {
			if at := hostPort(facts.Server); at != "" && f.marks[i].servers[at] && len(f.marks[i].authority) > 0 {
				return -1
			}
		}
	}
	at := hostPort(facts.Server)
	if host, _, err := net.SplitHostPort(at); err != nil || host == "localhost" || strings.HasPrefix(host, "127.") {
		return -1
	}
	for i := range f.marks {
		if f.marks[i].servers[at] {
			return i
		}
	}
	return -1
}

// named finds a cluster by its name.
func (f *fleet) named(name string) int {
	if name == "" {
		return -1
	}
	return slices.IndexFunc(f.marks, func(m clusterMarks) bool { return m.names[strings.ToLower(name)] })
}

// outside stands for a cluster that is known by its address or name only.
func (f *fleet) outside(what string) int32 {
	return f.g.vertex(Key{Kind: Outside, Cluster: None, Name: what})
}

// credentials adds what the contents of Secrets open.
func (f *fleet) credentials(b *builder) {
	for _, o := range b.snap.Kind("Secret") {
		if o.Group() != "" {
			continue
		}
		from := b.have(Secret, cmp.Or(o.Namespace, "default"), o.Name)
		if f.opened[from] {
			continue
		}
		if redact.IsArgoCluster(o.Root) {
			f.argo(b, from, o)
			continue
		}
		told := false
		for _, field := range []string{"data", "stringData"} {
			for _, v := range o.Root.Get(field).Map() {
				facts, ok := redact.FactsOf(v.Value.Str(), field == "data")
				if !ok {
					continue
				}
				told = true
				f.open(b, from, facts, Evidence{o, document.Key(field, v.Key)})
			}
		}
		if !told {
			f.byForm(b, from, o)
		}
	}
}

// open adds what one credential opens.
func (f *fleet) open(b *builder, from int32, facts redact.Facts, ev Evidence) {
	switch facts.Kind {
	case "kubeconfig", "argocd":
		f.signIn(b, from, facts, ev)
	case "token":
		if ev.Object.Root.Get("type").Str() == "kubernetes.io/service-account-token" {
			return // S05
		}
		f.token(b, from, facts, ev)
	case "google":
		b.edge(from, f.g.principal(facts.Name), b.step(Step{
			Primitive: credential, Evidence: []Evidence{ev}, Text: "it is a key of " + facts.Name,
		}))
	}
}

// token adds the account of a token that stands in another Secret: of the cluster
// with its issuer, or else of this one, where the account exists.
func (f *fleet) token(b *builder, from int32, facts redact.Facts, ev Evidence) {
	if facts.Name == "" {
		return
	}
	to, likelihood := b, 0.5
	var unsure []Condition
	if i := slices.IndexFunc(f.marks, func(m clusterMarks) bool { return m.issuer != "" && m.issuer == facts.Issuer }); i >= 0 {
		to, likelihood = f.builders[i], credential.Likelihood
	} else {
		unsure = []Condition{{Text: "it is a token of this cluster and still good: the issuer is " + cmp.Or(facts.Issuer, "not told")}}
	}
	ns, name, ok := rbac.Subject{Kind: rbac.UserKind, Name: facts.Name}.Account()
	if v := to.have(ServiceAccount, ns, name); ok && v >= 0 {
		b.edge(from, v, b.step(Step{
			Primitive: credential, Likelihood: likelihood, Evidence: []Evidence{ev}, Conditions: unsure, Text: "it is a token of " + facts.Name,
		}))
	}
}

// signIn adds the cluster and the identity that a kubeconfig is for.
func (f *fleet) signIn(b *builder, from int32, facts redact.Facts, ev Evidence) {
	f.opened[from] = true
	i := f.find(b.cluster, facts)
	if facts.Auth == "certificate" && facts.Name == "" {
		facts.Name, facts.Groups = b.managed(ev.Object)
	}
	s := Step{Primitive: credential, Evidence: []Evidence{ev}, Text: "it signs in to " + cmp.Or(facts.Server, "a cluster")}
	if i < 0 {
		if facts.Server != "" {
			b.edge(from, f.outside("cluster at "+facts.Server), b.step(s))
		}
		return
	}
	to, sure := f.identity(f.builders[i], facts)
	if !sure {
		s.Likelihood = 0.5
		s.Conditions = []Condition{{Text: "the identity in it may do everything: nothing tells who it is"}}
	}
	if facts.Name != "" {
		s.Text += " as " + facts.Name
	}
	step := b.step(s)
	for _, v := range to {
		b.edge(from, v, step)
	}
}

// identity is whom a credential makes its holder in a cluster; what cannot be told
// is taken for everything there, and sure is false.
func (f *fleet) identity(in *builder, facts redact.Facts) (to []int32, sure bool) {
	switch {
	case slices.Contains(facts.Groups, rbac.Masters):
		return []int32{in.admin()}, true
	case facts.Auth == "role":
		if role, ok := awsRole(facts.Name); ok {
			return []int32{f.g.principal(role)}, true
		}
	case facts.Auth == "certificate" && facts.Name != "":
		if ns, name, ok := (rbac.Subject{Kind: rbac.UserKind, Name: facts.Name}).Account(); ok {
			return []int32{in.account(ns, name)}, true
		}
		to = append(to, in.vertex(User, "", facts.Name))
		for _, g := range facts.Groups {
			if v := in.have(Group, "", g); v >= 0 {
				to = append(to, v)
			}
		}
		return to, true
	case facts.Name != "":
		if ns, name, ok := (rbac.Subject{Kind: rbac.UserKind, Name: facts.Name}).Account(); ok {
			return []int32{in.account(ns, name)}, true
		}
	}
	return []int32{in.admin()}, false
}

// argo adds the cluster of a Secret of Argo CD: server says which, config as whom.
func (f *fleet) argo(b *builder, from int32, o *cluster.Object) {
	var facts redact.Facts
	ev := Evidence{o, "data"}
	for _, field := range []string{"data", "stringData"} {
		for _, key := range []string{"server", "config"} {
			text := o.Root.At(field, key).Str()
			part, ok := redact.ArgoFacts(key, text, field == "data")
			if !ok {
				continue
			}
			if key == "server" {
				facts.Server, facts.Kind = part.Server, part.Kind
				continue
			}
			server := facts.Server
			facts, ev = part, Evidence{o, field + ".config"}
			facts.Server = server
		}
	}
	if facts.Server == "" {
		b.edge(from, f.outside("cluster of Secret "+cmp.Or(o.Namespace, "default")+"/"+o.Name), b.step(Step{
			Primitive: credential, Evidence: []Evidence{ev}, Text: "Argo CD signs in to a cluster with it",
		}))
		return
	}
	f.signIn(b, from, facts, ev)
}

// byForm adds what a Secret opens whose values say nothing, as those of snapshots
// that older versions wrote: by its type, its labels and its keys.
func (f *fleet) byForm(b *builder, from int32, o *cluster.Object) {
	name := o.Root.At("metadata", "labels", "cluster.x-k8s.io/cluster-name").Str()
	if name == "" && o.Root.Get("type").Str() == "cluster.x-k8s.io/secret" {
		name = strings.TrimSuffix(o.Name, "-kubeconfig")
	}
	if name != "" && strings.HasSuffix(o.Name, "-kubeconfig") {
		f.unread(b, from, name, Evidence{o, "metadata.name"}, "Cluster API keeps the kubeconfig of cluster "+name+" in it")
		return
	}
	keys := map[string]bool{}
	for _, field := range []string{"data", "stringData"} {
		for _, v := range o.Root.Get(field).Map() {
			keys[strings.ToLower(v.Key)] = true
		}
	}
	ns := cmp.Or(o.Namespace, "default")
	for _, k := range []struct{ key, beside, what string }{
		{"aws_secret_access_key", "aws_access_key_id", "AWS access key"},
		{"azure_client_secret", "azure_client_id", "Azure client secret"},
	} {
		if keys[k.key] && keys[k.beside] {
			b.edge(from, b.vertex(Cloud, ns, k.what+" of Secret "+o.Name), b.step(Step{
				Primitive: credential, Likelihood: 0.8, Evidence: []Evidence{{o, "data"}},
				Conditions: []Condition{{Text: "the key is still good"}},
			}))
		}
	}
	for _, key := range []string{"kubeconfig", "kubeconfig.yaml", "kube.config"} {
		if keys[key] {
			f.unread(b, from, "", Evidence{o, "data"}, "its key is called "+key)
			return
		}
	}
}

// unread adds a cluster that a Secret opens whose value was not seen.
func (f *fleet) unread(b *builder, from int32, name string, ev Evidence, text string) {
	f.opened[from] = true
	s := Step{
		Primitive: credential, Likelihood: 0.7, Evidence: []Evidence{ev}, Text: text,
		Conditions: []Condition{{Text: "it holds a kubeconfig that may do everything: its value was not seen"}},
	}
	to := f.outside("cluster of " + ev.Object.Kind + " " + cmp.Or(ev.Object.Namespace, "default") + "/" + ev.Object.Name)
	if i := f.named(name); i >= 0 {
		to = f.builders[i].admin()
	} else if name != "" {
		to = f.outside("cluster " + name)
	}
	b.edge(from, to, b.step(s))
}

// references adds the Secrets that objects of Flux, Fleet and Karmada name as the
// way to a cluster, where the Secret itself does not tell.
func (f *fleet) references(b *builder) {
	for _, o := range b.snap.Objects {
		spec := o.Root.Get("spec")
		var path, ns, name, of string
		facts := redact.Facts{}
		switch o.Group() {
		case "kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io":
			path, ns, name = "spec.kubeConfig.secretRef", o.Namespace, spec.At("kubeConfig", "secretRef", "name").Str()
		case "fleet.cattle.io":
			path, ns, name, of = "spec.kubeConfigSecret", cmp.Or(spec.Get("kubeConfigSecretNamespace").Str(), o.Namespace), spec.Get("kubeConfigSecret").Str(), o.Name
		case "cluster.karmada.io":
			path, ns, name, of = "spec.secretRef", spec.At("secretRef", "namespace").Str(), spec.At("secretRef", "name").Str(), o.Name
			facts.Server = spec.Get("apiEndpoint").Str()
		}
		if name == "" {
			continue
		}
		from := b.secretVertex(cmp.Or(ns, "default"), name)
		if from < 0 || f.opened[from] {
			continue
		}
		ev := Evidence{o, path}
		if facts.Server != "" {
			f.signIn(b, from, facts, ev)
			continue
		}
		f.unread(b, from, of, ev, o.Kind+" "+o.Name+" signs in to a cluster with it")
	}
}

// accessEntries adds the access entries of EKS that a controller keeps as objects:
// whom they let into the cluster that they name.
func (f *fleet) accessEntries(b *builder) {
	for _, o := range b.snap.Kind("AccessEntry") {
		spec := o.Root.Get("spec")
		if in := spec.Get("forProvider"); in != nil {
			spec = in // Crossplane
		}
		principal := cmp.Or(spec.Get("principalARN").Str(), spec.Get("principalArn").Str())
		if role, ok := awsRole(principal); ok {
			principal = role
		}
		name := spec.Get("clusterName").Str()
		if principal == "" || name == "" {
			b.unknown(fmt.Sprintf("%s names no principal and cluster", o.Subject()))
			continue
		}
		from := f.g.principal(principal)
		step := b.step(Step{Primitive: signIn, Evidence: []Evidence{{o, "spec"}}, Text: "an access entry lets " + principal + " into cluster " + name})
		i := f.named(name)
		if i < 0 {
			b.edge(from, f.outside("EKS cluster "+name), step)
			continue
		}
		in := f.builders[i]
		for _, p := range spec.Get("accessPolicies").List() {
			arn := cmp.Or(p.Get("policyARN").Str(), p.Get("policyArn").Str())
			if strings.HasSuffix(arn, "/AmazonEKSClusterAdminPolicy") && cmp.Or(p.At("accessScope", "type").Str(), "cluster") == "cluster" {
				b.edge(from, in.admin(), step)
			}
		}
		for _, g := range spec.Get("kubernetesGroups").List() {
			b.edge(from, in.vertex(Group, "", g.Str()), step)
		}
	}
}

// trust adds what two clusters share: an authority, an issuer of tokens, a pool of
// workload identities.
func (f *fleet) trust(i, j int) {
	from, to := f.builders[i], f.builders[j]
	for _, ca := range slices.Sorted(maps.Keys(f.marks[i].authority)) {
		ev := f.marks[i].authority[ca]
		other, ok := f.marks[j].authority[ca]
		if !ok {
			continue
		}
		from.edge(from.admin(), to.admin(), from.step(Step{
			Primitive: sharedTrust, Evidence: []Evidence{ev, other}, Text: "both clusters have the same certificate authority",
			Conditions: []Condition{{Text: "the authority of the servers signs client certificates too"}},
		}))
		break
	}
	if at := f.marks[i].issuer; at != "" && at == f.marks[j].issuer {
		step := from.step(Step{
			Primitive: sharedTrust, Likelihood: 0.5, Evidence: []Evidence{f.marks[i].issuerAt, f.marks[j].issuerAt},
			Text:       "tokens of both clusters have the issuer " + at,
			Conditions: []Condition{{Text: "both clusters sign tokens with the same key"}},
		})
		f.accounts(i, func(v int32, k Key) { from.edge(v, to.have(ServiceAccount, k.Namespace, k.Name), step) })
	}
	if pool := f.marks[i].pool; pool != "" && pool == f.marks[j].pool {
		f.accounts(i, func(v int32, k Key) {
			p, ok := to.principals[to.have(ServiceAccount, k.Namespace, k.Name)]
			if !ok {
				return
			}
			step := from.step(Step{
				Primitive: cloudIdentity, Likelihood: 0.7, Evidence: []Evidence{p.evidence},
				Text:       "accounts of one name are one principal in all clusters of project " + pool,
				Conditions: []Condition{{Text: "Workload Identity is on in this cluster"}},
			})
			from.edge(v, p.vertex, step)
			templates := from.templatesIn(k.Namespace)
			for _, t := range templates {
				if t.ServiceAccount() == k.Name {
					from.edge(from.workloadVertex(t), p.vertex, step)
				}
			}
		})
	}
}

// accounts calls each for the service accounts of a cluster.
func (f *fleet) accounts(i int, each func(v int32, k Key)) {
	for v := range len(f.g.Vertices) {
		if k := f.g.Vertices[v].Key; k.Kind == ServiceAccount && k.Cluster == f.builders[i].cluster {
			each(int32(v), k)
		}
	}
}
