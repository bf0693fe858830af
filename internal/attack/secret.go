package attack

import (
	"cmp"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/patch"
)

// secretVertex is the vertex of a Secret, -1 where the whole cluster is known and
// does not have it.
func (b *builder) secretVertex(ns, name string) int32 {
	if name == "" {
		return -1
	}
	if v := b.have(Secret, ns, name); v >= 0 {
		return v
	}
	o := b.snap.Get("", "Secret", ns, name)
	if o == nil && ns == "default" {
		o = b.snap.Get("", "Secret", "", name)
	}
	if o == nil && b.snap.Whole {
		return -1
	}
	v := b.vertex(Secret, ns, name)
	b.g.Vertices[v].Object = o
	return v
}

// secretContents makes a vertex of every Secret, and adds what its content opens
// in this cluster (S05): the account of a token.
func (b *builder) secretContents() {
	for _, o := range b.snap.Kind("Secret") {
		if o.Group() != "" {
			continue
		}
		ns := cmp.Or(o.Namespace, "default")
		v := b.vertex(Secret, ns, o.Name)
		b.g.Vertices[v].Object = o
		b.g.Vertices[v].System = b.g.Vertices[v].System || systemNamespace(ns)
		if o.Root.Get("type").Str() != "kubernetes.io/service-account-token" {
			continue
		}
		const named = "kubernetes.io/service-account.name"
		name := o.Annotation(named)
		if name == "" {
			continue
		}
		account := b.have(ServiceAccount, ns, name)
		if account < 0 {
			if b.snap.Whole {
				continue // the controller takes away the token of an account that is gone
			}
			account = b.account(ns, name)
		}
		s := Step{Primitive: tokenSecret, Evidence: []Evidence{{o, document.Key("metadata.annotations", named)}}}
		if !systemNamespace(ns) {
			s.Changes = []int{b.change(o, "", Change{Text: "delete Secret " + ns + "/" + o.Name + ", a token that never expires"})}
		}
		b.edge(v, account, b.step(s))
	}
}

// mountedSecrets adds the Secrets that processes in the pods can read (S03): in
// the environment and in volumes. Those that only the kubelet reads, to pull
// images or for a volume's driver, are not among them.
func (b *builder) mountedSecrets(v int32, t *cluster.PodTemplate) {
	ns := t.Namespace()
	seen := map[int32]bool{}
	add := func(name, path string) {
		secret := b.secretVertex(ns, name)
		if secret < 0 || seen[secret] {
			return
		}
		seen[secret] = true
		b.edge(v, secret, b.step(Step{Primitive: mounted, Evidence: []Evidence{{t.Object, path}}}))
	}
	used := map[string]bool{}
	for i := range t.Containers {
		c := &t.Containers[i]
		for j, e := range c.Root.Get("env").List() {
			if ref := e.At("valueFrom", "secretKeyRef"); ref != nil {
				add(ref.Get("name").Str(), document.Index(document.Key(c.Path, "env"), j))
			}
		}
		for j, e := range c.Root.Get("envFrom").List() {
			if ref := e.Get("secretRef"); ref != nil {
				add(ref.Get("name").Str(), document.Index(document.Key(c.Path, "envFrom"), j))
			}
		}
		for _, m := range c.Root.Get("volumeMounts").List() {
			used[m.Get("name").Str()] = true
		}
	}
	for i, volume := range t.Spec().Get("volumes").List() {
		if !used[volume.Get("name").Str()] {
			continue
		}
		path := document.Index(document.Key(t.SpecPath, "volumes"), i)
		add(volume.At("secret", "secretName").Str(), path)
		for _, source := range volume.At("projected", "sources").List() {
			add(source.At("secret", "name").Str(), path)
		}
	}
}

// puller is a Secret by which the images of pods are pulled, and where that is
// written.
type puller struct {
	name     string
	evidence Evidence
}

// pullers are those of the pod spec or, where that names none, of the service
// account, as the ServiceAccount admission plugin has it.
func (b *builder) pullers(t *cluster.PodTemplate) []puller {
	read := func(list *document.Node, o *cluster.Object, path string) []puller {
		var out []puller
		for i, ref := range list.List() {
			out = append(out, puller{ref.Get("name").Str(), Evidence{o, document.Index(path, i)}})
		}
		return out
	}
	if own := t.Spec().Get("imagePullSecrets"); own.Len() > 0 {
		return read(own, t.Object, document.Key(t.SpecPath, "imagePullSecrets"))
	}
	if sa := b.serviceAccount(t.Namespace(), t.ServiceAccount()); sa != nil {
		return read(sa.Root.Get("imagePullSecrets"), sa, "imagePullSecrets")
	}
	return nil
}

// serviceAccount is the object of an account, nil if there is none.
func (b *builder) serviceAccount(ns, name string) *cluster.Object {
	if o := b.snap.Get("", "ServiceAccount", ns, name); o != nil {
		return o
	}
	if ns == "default" {
		return b.snap.Get("", "ServiceAccount", "", name)
	}
	return nil
}

// mountedTokens adds that processes in the pods hold the token of their service
// account (S02), where one that the API server takes is mounted at all.
func (b *builder) mountedTokens(v int32, t *cluster.PodTemplate) {
	account := b.account(t.Namespace(), t.ServiceAccount())
	for i, volume := range t.Spec().Get("volumes").List() {
		for j, source := range volume.At("projected", "sources").List() {
			token := source.Get("serviceAccountToken")
			if token == nil || !forAPIServer(token.Get("audience").Str()) {
				continue
			}
			path := document.Index(document.Index(document.Key(t.SpecPath, "volumes"), i)+".projected.sources", j)
			b.edge(v, account, b.step(Step{Primitive: mountedToken, Evidence: []Evidence{{t.Object, path}}}))
			return // no change of automounting takes this one away
		}
	}
	own := t.Spec().Get("automountServiceAccountToken")
	path := document.Key(t.SpecPath, "automountServiceAccountToken")
	s := Step{Primitive: mountedToken, Evidence: []Evidence{{t.Object, path}}}
	if on, ok := own.Bool(); ok {
		if !on {
			return
		}
	} else if sa := b.serviceAccount(t.Namespace(), t.ServiceAccount()); sa != nil {
		if on, ok := sa.Root.Get("automountServiceAccountToken").Bool(); ok && !on {
			return
		}
		s.Evidence = append(s.Evidence, Evidence{sa, "automountServiceAccountToken"})
	} else if !b.snap.Whole && t.ServiceAccount() != "default" {
		s.Likelihood = 0.95
		s.Conditions = []Condition{{Text: "ServiceAccount " + t.Namespace() + "/" + t.ServiceAccount() + " does not forbid it: it is not among the objects"}}
	}
	if !systemNamespace(t.Namespace()) {
		s.Changes = []int{b.change(t.Object, path, Change{
			Text: "mount no service account token in " + templateName(t),
			Ops:  patch.Set(t.Object.Root, path, false), Cost: 2,
		})}
	}
	b.edge(v, account, b.step(s))
}

// forAPIServer says whether the API server takes a token for an audience. Its
// own audiences are its issuer's addresses.
func forAPIServer(audience string) bool {
	return audience == "" || strings.HasPrefix(audience, "https://kubernetes.default")
}

// templateName names the workload of a template: Deployment shop/web.
func templateName(t *cluster.PodTemplate) string {
	return t.Object.Kind + " " + t.Namespace() + "/" + t.Object.Name
}
