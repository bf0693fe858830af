package attack

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/netpol"
	"seawall.io/seawall/internal/rbac"
	"seawall.io/seawall/internal/reach"
)

// Annotations by which service accounts take on identities of a cloud.
const (
	irsaAnnotation  = "eks.amazonaws.com/role-arn"
	gkeAnnotation   = "iam.gke.io/gcp-service-account"
	azureAnnotation = "azure.workload.identity/client-id"
	azureUse        = "azure.workload.identity/use" // a label of pods
	kiamAnnotation  = "iam.amazonaws.com/role"      // of pods, for kube2iam and kiam
)

// principal is the vertex of an identity of a cloud, which all clusters share.
func (g *Graph) principal(name string) int32 {
	return g.vertex(Key{Kind: Cloud, Cluster: None, Name: name})
}

var roleARN = regexp.MustCompile(`^arn:(aws[a-z-]*):iam::(\d{12}):role/(?:.*/)?([^/]+)$`)

// awsRole writes a role's ARN without its path, as the aws-auth ConfigMap must have
// it, so that one role is one vertex. ok is false for what is no ARN of a role.
func awsRole(arn string) (name string, ok bool) {
	m := roleARN.FindStringSubmatch(strings.TrimSpace(arn))
	if m == nil {
		return "", false
	}
	return fmt.Sprintf("arn:%s:iam::%s:role/%s", m[1], m[2], m[3]), true
}

// cloudPrincipal reads the annotations of a service account.
func cloudPrincipal(sa *cluster.Object) (name, annotation, problem string) {
	for _, key := range []string{irsaAnnotation, gkeAnnotation, azureAnnotation} {
		value := strings.TrimSpace(sa.Annotation(key))
		switch {
		case value == "":
			continue
		case key == irsaAnnotation:
			role, ok := awsRole(value)
			if !ok {
				return "", key, fmt.Sprintf("%q is no ARN of a role", value)
			}
			return role, key, ""
		case key == gkeAnnotation:
			return value, key, ""
		}
		return "azure client " + strings.ToLower(value), key, ""
	}
	return "", "", ""
}

// clouds adds the identities that service accounts (P41) and nodes (P42) have in a
// cloud.
func (b *builder) clouds() {
	b.annotated()
	b.associated()
	templates := b.snap.Templates()
	for i := range templates {
		b.cloudInPod(b.workloadVertex(&templates[i]), &templates[i])
	}
	b.instances()
}

// annotated adds the accounts with an annotation: who has a token of one for the
// cloud's audience, and the pods that run as it, whether they mount the token for
// the API server or not.
func (b *builder) annotated() {
	for _, sa := range b.snap.Kind("ServiceAccount") {
		if sa.Group() != "" {
			continue
		}
		name, key, problem := cloudPrincipal(sa)
		if problem != "" {
			b.unknown(fmt.Sprintf("annotation %s of %s: %s", key, sa.Subject(), problem))
		}
		if name == "" {
			continue
		}
		b.actsAs(sa, name, Evidence{sa, document.Key("metadata.annotations", key)})
	}
}

// actsAs adds that a service account is an identity of a cloud.
func (b *builder) actsAs(sa *cluster.Object, name string, ev Evidence) {
	ns := cmp.Or(sa.Namespace, "default")
	to := b.g.principal(name)
	if b.principals == nil {
		b.principals = map[int32]principalOf{}
	}
	account := b.account(ns, sa.Name)
	b.principals[account] = principalOf{to, ev}
	likelihood := 0.85
	if strings.Contains(ev.Path, azureAnnotation) {
		likelihood = 0.5 // pods without the label have no such token
	}
	b.edge(account, to, b.step(Step{
		Primitive: cloudIdentity, Evidence: []Evidence{ev}, Likelihood: likelihood,
		Conditions: []Condition{{Text: "the token is one for the cloud's audience, as pods and TokenRequests have it: an old token of a Secret is not"}},
	}))
}

// principalOf is the identity that an account has in a cloud, and by what.
type principalOf struct {
	vertex   int32
	evidence Evidence
}

// reaches says whether pods of the account are given a token for the cloud. That of
// Azure is only mounted where the label of the pod asks for it (since version 1.0 of
// its webhook).
func (p *principalOf) reaches(t *cluster.PodTemplate) bool {
	return !strings.Contains(p.evidence.Path, azureAnnotation) || t.Root.At("metadata", "labels", azureUse).Str() == "true"
}

// associated adds the Pod Identity associations of EKS that a controller keeps as
// objects. In the cluster that they are about nothing else shows them.
func (b *builder) associated() {
	for _, o := range b.snap.Kind("PodIdentityAssociation") {
		spec := o.Root.Get("spec")
		if in := spec.Get("forProvider"); in != nil {
			spec = in // Crossplane
		}
		role, ok := awsRole(cmp.Or(spec.Get("roleARN").Str(), spec.Get("roleArn").Str()))
		ns, name := spec.Get("namespace").Str(), spec.Get("serviceAccount").Str()
		if !ok || ns == "" || name == "" {
			b.unknown(fmt.Sprintf("%s names no role, namespace and service account", o.Subject()))
			continue
		}
		if sa := b.serviceAccount(ns, name); sa != nil {
			b.actsAs(sa, role, Evidence{o, "spec"})
		}
	}
}

// cloudInPod adds what a pod has of a cloud: the identity of its account, and one
// that its own fields give it.
func (b *builder) cloudInPod(v int32, t *cluster.PodTemplate) {
	account := b.have(ServiceAccount, t.Namespace(), t.ServiceAccount())
	if p, ok := b.principals[account]; ok && account >= 0 && p.reaches(t) {
		b.edge(v, p.vertex, b.step(Step{Primitive: cloudIdentity, Evidence: []Evidence{{t.Object, document.Key(t.SpecPath, "serviceAccountName")}, p.evidence}}))
	}
	for i := range t.Containers {
		c := &t.Containers[i]
		for j, e := range c.Root.Get("env").List() {
			at := Evidence{t.Object, document.Index(document.Key(c.Path, "env"), j)}
			switch e.Get("name").Str() {
			case "AWS_ROLE_ARN":
				if role, ok := awsRole(e.Get("value").Str()); ok && !b.isPrincipal(account, role) {
					b.edge(v, b.g.principal(role), b.step(Step{Primitive: cloudIdentity, Evidence: []Evidence{at}}))
				}
			case "AWS_CONTAINER_CREDENTIALS_FULL_URI":
				if _, known := b.principals[account]; !known {
					to := b.vertex(Cloud, t.Namespace(), "role of the EKS Pod Identity of "+t.ServiceAccount())
					b.edge(v, to, b.step(Step{Primitive: cloudIdentity, Evidence: []Evidence{at}}))
				}
			}
		}
	}
	b.annotatedRole(v, t)
}

// annotatedRole adds the role that a pod's annotation asks kube2iam or kiam for,
// where one of them is there and lets its namespace have the role.
func (b *builder) annotatedRole(v int32, t *cluster.PodTemplate) {
	text := t.Root.At("metadata", "annotations", kiamAnnotation).Str()
	role, ok := awsRole(text)
	if !ok && text != "" && !strings.Contains(text, ":") {
		role, ok = "AWS role "+text, true // of the account that the agent was told
	}
	if !ok {
		return
	}
	path := "metadata.annotations"
	if t.Path != "" {
		path = t.Path + "." + path
	}
	s := Step{Primitive: metadata, Likelihood: 0.85, Evidence: []Evidence{{t.Object, document.Key(path, kiamAnnotation)}}}
	if c, answers := b.roleAgent(t.Namespace(), text); answers {
		s.Conditions = []Condition{c}
		b.edge(v, b.g.principal(role), b.step(s))
	}
}

// roleAgent says whether kube2iam or kiam answers pods of a namespace that ask for a
// role. Kiam gives only roles that the namespace permits; kube2iam asks about that
// where it was told to.
func (b *builder) roleAgent(ns, role string) (Condition, bool) {
	object := b.snap.Get("", "Namespace", "", ns)
	annotation := func(key string) string {
		if object == nil {
			return ""
		}
		return object.Annotation(key)
	}
	if kiam := slices.Concat(b.called("kiam-agent"), b.called("kiam"), b.called("kiam-server")); len(kiam) > 0 {
		c := Condition{Text: templateName(kiam[0]) + " answers, and namespace " + ns + " permits the role", Holds: Yes}
		if object == nil && !b.snap.Whole {
			c.Holds = Unknown
			return c, true
		}
		permitted := annotation("iam.amazonaws.com/permitted")
		match, err := regexp.MatchString("^(?:"+permitted+")$", role)
		return c, permitted != "" && err == nil && match
	}
	if agents := b.called("kube2iam"); len(agents) > 0 {
		t := agents[0]
		c := Condition{Text: templateName(t) + " answers", Holds: Yes}
		if on, ok := flag(t, "--namespace-restrictions"); ok && on != "false" || bareFlag(t, "--namespace-restrictions") {
			c.Text += ", and namespace " + ns + " allows the role"
			return c, slices.ContainsFunc(document.Parse([]byte(annotation("iam.amazonaws.com/allowed-roles")), document.Limits{}), func(d document.Doc) bool {
				return d.Err == nil && globs(d.Root, role)
			})
		}
		return c, true
	}
	return Condition{Text: "kube2iam or kiam answers for the metadata service"}, !b.snap.Whole
}

// bareFlag says that a container is started with a flag that has no value.
func bareFlag(t *cluster.PodTemplate, name string) bool {
	return slices.ContainsFunc(t.Containers, func(c cluster.Container) bool {
		return slices.Contains(append(texts(c.Root.Get("command")), texts(c.Root.Get("args"))...), name)
	})
}

func (b *builder) isPrincipal(account int32, name string) bool {
	p, ok := b.principals[account]
	return ok && b.g.Vertices[p.vertex].Name == name
}

// provider tells the cloud by the nodes, or else by what only it has; empty is
// unknown.
func (b *builder) provider() string {
	for _, o := range b.snap.Kind("Node") {
		if id, _, ok := strings.Cut(o.Root.At("spec", "providerID").Str(), "://"); ok {
			return id
		}
	}
	if b.snap.Get("", "ConfigMap", "kube-system", "aws-auth") != nil {
		return "aws"
	}
	for _, sa := range b.snap.Kind("ServiceAccount") {
		switch {
		case sa.Annotation(irsaAnnotation) != "":
			return "aws"
		case sa.Annotation(gkeAnnotation) != "":
			return "gce"
		case sa.Annotation(azureAnnotation) != "":
			return "azure"
		}
	}
	return ""
}

var metadataPort = reach.Port{Protocol: reach.TCP, Number: 80}

// instances adds P42: the identity of the machine, for root on a node and for pods
// that reach the metadata service.
func (b *builder) instances() {
	provider := b.provider()
	switch provider {
	case "aws", "gce", "azure":
	case "":
		if len(b.snap.Templates()) > 0 {
			b.unknown("no node tells in which cloud it runs: what its metadata service gives is not in the graph")
		}
		return
	default:
		return // kind, k3s, and clouds whose machines have no identity
	}
	role, ev := b.nodeRole(provider)
	for _, n := range b.placed.all {
		s := Step{Primitive: metadata, Likelihood: 0.95, Evidence: slices.Clone(ev)}
		if o := b.g.Vertices[n].Object; o != nil {
			s.Evidence = append(s.Evidence, Evidence{o, "spec.providerID"})
		}
		b.edge(n, role, b.step(s))
	}
	if len(b.placed.all) == 0 {
		b.edge(b.vertex(Node, "", someNode), role, b.step(Step{Primitive: metadata, Likelihood: 0.95, Evidence: ev}))
	}
	templates := b.snap.Templates()
	for i := range templates {
		t := &templates[i]
		if s, ok := b.reachesMetadata(t, provider); ok {
			b.edge(b.workloadVertex(t), role, b.step(s))
		}
	}
}

// nodeRole is the identity of the machines: by name where aws-auth has one role of
// nodes, else only as that of the cluster's nodes.
func (b *builder) nodeRole(provider string) (int32, []Evidence) {
	if provider == "aws" {
		var of []mapping
		for _, m := range b.mappings() {
			if slices.Contains(m.groups, "system:nodes") {
				of = append(of, m)
			}
		}
		if len(of) == 1 {
			return b.g.principal(of[0].principal), []Evidence{of[0].evidence}
		}
	}
	names := map[string]string{"aws": "AWS role of the nodes", "gce": "Google service account of the nodes", "azure": "Azure identity of the nodes"}
	return b.vertex(Cloud, "", names[provider]), nil
}

// reachesMetadata says whether the pods of a template get the identity of their
// machine from the metadata service.
func (b *builder) reachesMetadata(t *cluster.PodTemplate, provider string) (Step, bool) {
	host, _ := t.Spec().Get("hostNetwork").Bool()
	s := Step{Primitive: metadata, Likelihood: 0.9, Evidence: []Evidence{{t.Object, document.Key(t.SpecPath, "hostNetwork")}}}
	if host {
		s.Conditions = []Condition{{Text: "it is on the network of the node", Holds: Yes}}
		return s, true
	}
	s.Likelihood = metadata.Likelihood
	s.Checks = []string{"pod-without-networkpolicy"}
	switch provider {
	case "gce":
		served, known := b.gkeMetadata(t)
		if served {
			return s, false // it answers for the account of the pod alone
		}
		if !known {
			s.Likelihood *= 0.5
			s.Conditions = append(s.Conditions, Condition{Text: "the metadata server of GKE, which hides the node's identity, is off"})
		}
	case "aws":
		s.Likelihood *= 0.6
		s.Conditions = append(s.Conditions, Condition{Text: "the hop limit of the instances' metadata service is above 1, or it takes requests without a token"})
	}
	answer := b.net.Answer(reach.Pod(t), reach.Metadata(), metadataPort)
	if answer == reach.Denied {
		return s, false
	}
	s.Conditions = append(s.Conditions, unsettled(answer, &s.Likelihood)...)
	if answer == reach.Allowed {
		s.Conditions = append(s.Conditions, Condition{Text: "network policies let it reach 169.254.169.254", Holds: Yes})
	}
	s.Changes = b.denyMetadata(t)
	return s, true
}

// gkeMetadata says whether the metadata server of GKE runs on the nodes of a pod.
func (b *builder) gkeMetadata(t *cluster.PodTemplate) (served, known bool) {
	nodes := b.placed.of[b.workloadVertex(t)]
	if len(nodes) == 0 {
		nodes = b.placed.all
	}
	for _, n := range nodes {
		o := b.g.Vertices[n].Object
		if o == nil {
			return false, false
		}
		if o.Root.At("metadata", "labels", "iam.gke.io/gke-metadata-server-enabled").Str() != "true" {
			return false, true
		}
	}
	return len(nodes) > 0, len(nodes) > 0
}

// denyMetadata is the change that keeps the pods of a namespace from the metadata
// service and lets them reach all else. It is offered where no policy isolates
// their egress, since one more would only allow more there.
func (b *builder) denyMetadata(t *cluster.PodTemplate) []int {
	ns := t.Namespace()
	if systemNamespace(ns) || b.isolatedNamespaces(netpol.Egress)[ns] {
		return nil
	}
	return []int{b.change(nil, "metadata "+ns, Change{
		Text: "keep the pods of namespace " + ns + " from the metadata service",
		New: document.FromValue(map[string]any{
			"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
			"metadata": map[string]any{"name": "seawall-no-metadata", "namespace": ns},
			"spec": map[string]any{
				"podSelector": map[string]any{}, "policyTypes": []any{"Egress"},
				"egress": []any{map[string]any{"to": []any{
					map[string]any{"namespaceSelector": map[string]any{}},
					map[string]any{"ipBlock": map[string]any{"cidr": "0.0.0.0/0", "except": []any{"169.254.169.254/32"}}},
					map[string]any{"ipBlock": map[string]any{"cidr": "::/0", "except": []any{"fd00:ec2::254/128"}}},
				}}},
			},
		}),
	})}
}

// mapping is one identity of AWS that the cluster takes for one of its own.
type mapping struct {
	principal string
	user      string
	groups    []string
	evidence  Evidence
}

// mappings are those of the ConfigMap aws-auth. A text that cannot be read gives
// none, and is told.
func (b *builder) mappings() []mapping {
	type key struct{}
	return cluster.Derive(b.snap, key{}, func() []mapping {
		o := b.snap.Get("", "ConfigMap", "kube-system", "aws-auth")
		if o == nil {
			return nil
		}
		var out []mapping
		for _, list := range []struct{ key, arn string }{{"mapRoles", "rolearn"}, {"mapUsers", "userarn"}} {
			text := o.Root.At("data", list.key).Str()
			for _, doc := range document.Parse([]byte(text), document.Limits{}) {
				if doc.Err != nil {
					b.unknown(fmt.Sprintf("ConfigMap kube-system/aws-auth: %s cannot be read: %v", list.key, doc.Err))
					continue
				}
				for _, n := range doc.Root.List() {
					m := mapping{principal: n.Get(list.arn).Str(), user: n.Get("username").Str(), evidence: Evidence{o, "data." + list.key}}
					if role, ok := awsRole(m.principal); ok {
						m.principal = role
					}
					for _, group := range n.Get("groups").List() {
						m.groups = append(m.groups, group.Str())
					}
					if m.principal != "" {
						out = append(out, m)
					}
				}
			}
		}
		return out
	})
}

// mapped adds whom identities of AWS are in this cluster (aws-auth). Nodes sign in
// as themselves, and are left out.
func (b *builder) mapped() {
	for _, m := range b.mappings() {
		if slices.Contains(m.groups, "system:nodes") || slices.Contains(m.groups, "system:bootstrappers") {
			continue
		}
		step := int32(-1)
		add := func(to int32) {
			if step < 0 {
				step = b.step(Step{Primitive: signIn, Evidence: []Evidence{m.evidence}, Text: m.principal + " is mapped to " + strings.Join(append([]string{m.user}, m.groups...), ", ")})
			}
			b.edge(b.g.principal(m.principal), to, step)
		}
		for _, name := range m.groups {
			if name == rbac.Masters {
				add(b.admin())
				continue
			}
			add(b.subject(rbac.Subject{Kind: rbac.GroupKind, Name: name}))
		}
		if m.user != "" && !strings.Contains(m.user, "{{") {
			add(b.subject(rbac.Subject{Kind: rbac.UserKind, Name: m.user}))
		}
	}
}
