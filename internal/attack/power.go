package attack

import (
	"cmp"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
)

// What may be done is a vertex of its own, so that a hundred subjects who may read
// the Secrets of a namespace with a thousand of them are a thousand and a hundred
// edges and not their product. A power over all namespaces leads to that over
// each. What a power leads to is added when all that a namespace has is a vertex.

// spread makes a power in a namespace, with what it leads to; in no namespace it
// is that in each.
func (b *builder) spread(name, ns string, leads func(v int32, ns string)) int32 {
	if v := b.have(Power, ns, name); v >= 0 {
		return v
	}
	v := b.power(name, ns)
	b.later(func() {
		if ns != "" {
			leads(v, ns)
			return
		}
		for _, one := range b.namespaces() {
			b.always(all, v, b.spread(name, one, leads))
		}
	})
	return v
}

// once makes a power over the whole cluster, with what it leads to.
func (b *builder) once(name string, leads func(v int32)) int32 {
	if v := b.have(Power, "", name); v >= 0 {
		return v
	}
	v := b.power(name, "")
	b.later(func() { leads(v) })
	return v
}

// alike returns a step that several edges share, made at the first.
func (b *builder) alike(s Step) int32 {
	k := stepKey{s.Primitive, s.Text}
	if len(s.Conditions) > 0 {
		k.text += "\x00" + s.Conditions[0].Text
	}
	i, ok := b.shared[k]
	if !ok {
		i = b.step(s)
		b.shared[k] = i
	}
	return i
}

type stepKey struct {
	*Primitive
	text string
}

// residents are the vertices of a kind in each namespace.
type residents map[Key][]int32

// vertices are those of a kind in a namespace, in the order in which they were
// made. It is asked when all are there.
func (b *builder) vertices(kind Kind, ns string) []int32 {
	if b.residents == nil {
		b.residents = residents{}
		for i := range b.g.Vertices {
			if v := &b.g.Vertices[i]; v.Cluster == b.cluster && (v.Kind == ServiceAccount || v.Kind == Workload || v.Kind == Secret) {
				k := Key{Kind: v.Kind, Namespace: v.Namespace}
				b.residents[k] = append(b.residents[k], int32(i))
			}
		}
	}
	return b.residents[Key{Kind: kind, Namespace: ns}]
}

// secretsOf is reading all Secrets of a namespace, or of all.
func (b *builder) secretsOf(ns string) int32 {
	return b.spread("read-secrets", ns, func(v int32, ns string) {
		for _, s := range b.vertices(Secret, ns) {
			b.always(all, v, s)
		}
	})
}

// secretsByName is reading Secrets of a namespace, or of all, whose names one
// knows. Names that a controller made up have to be guessed (P13).
func (b *builder) secretsByName(ns string) int32 {
	return b.spread("get-secrets", ns, func(v int32, ns string) {
		for _, s := range b.vertices(Secret, ns) {
			if madeUp(b.g.Vertices[s].Object) {
				b.always(guessSecret, v, s)
				continue
			}
			b.always(within, v, s)
		}
	})
}

// madeUp says that a Secret is one that the token controller made for an account,
// as it did before Kubernetes 1.24: web-token-x7b2c.
func madeUp(o *cluster.Object) bool {
	if o == nil || o.Root.Get("type").Str() != "kubernetes.io/service-account-token" {
		return false
	}
	account := o.Annotation("kubernetes.io/service-account.name")
	end, ok := strings.CutPrefix(o.Name, account+"-token-")
	return ok && account != "" && len(end) == 5
}

// tokens is having tokens of all service accounts of a namespace, or of all.
func (b *builder) tokens(ns string) int32 {
	return b.spread("tokens", ns, func(v int32, ns string) {
		b.accounts(within, v, ns)
	})
}

// accounts adds that a power over a namespace is one over each of its service
// accounts, but for those that wait to be made.
func (b *builder) accounts(p *Primitive, v int32, ns string) {
	for _, a := range b.vertices(ServiceAccount, ns) {
		switch x := &b.g.Vertices[a]; {
		case b.dangling(a):
		case x.Object == nil && x.Name != "default" && !b.used(ns, x.Name):
			b.edge(v, a, b.alike(Step{
				Primitive: p, Likelihood: 0.8 * p.Likelihood, Conditions: []Condition{{Text: "the account exists: it is not among the objects"}},
			}))
		default:
			b.always(p, v, a)
		}
	}
}

// used says that some pods run as an account, which therefore exists.
func (b *builder) used(ns, account string) bool {
	return slices.ContainsFunc(b.templatesIn(ns), func(t *cluster.PodTemplate) bool { return t.ServiceAccount() == account })
}

// podMaker is making pods of one's choice in a namespace, or in all: with any of
// its service accounts and any of its Secrets, and on any node.
func (b *builder) podMaker(ns string) int32 {
	return b.spread("create-pods", ns, func(v int32, ns string) {
		b.accounts(createPod, v, ns)
		b.always(mounted, v, b.secretsOf(ns))
		b.podPower(v, ns)
		b.madeFlaws(v)
		b.constraintsOfAccounts(v, ns)
	})
}

// changer is changing what is there of one kind of workload in a namespace, or in
// all: its pods are then of one's choice. Where there is none, nothing can be
// changed.
func (b *builder) changer(kind, ns string) int32 {
	return b.spread("change-"+strings.ToLower(kind)+"s", ns, func(v int32, ns string) {
		if c, ok := b.exists(kind, ns); ok {
			b.edge(v, b.podMaker(ns), b.alike(Step{Primitive: createWorkload, Conditions: c}))
		}
	})
}

// exists says whether a namespace has a workload of a kind; what the files of an
// incomplete set do not hold may exist all the same.
func (b *builder) exists(kind, ns string) ([]Condition, bool) {
	for _, v := range b.vertices(Workload, ns) {
		if strings.HasPrefix(b.g.Vertices[v].Name, kind+"/") {
			return nil, true
		}
	}
	return []Condition{{Text: "namespace " + ns + " has a " + kind + ": none is among the objects"}}, !b.snap.Whole
}

// insidePods is running code in the pods of a namespace, or of all.
func (b *builder) insidePods(ns string) int32 {
	return b.spread("enter-pods", ns, func(v int32, ns string) {
		for _, w := range b.vertices(Workload, ns) {
			if o := b.g.Vertices[w].Object; o.Kind != "Pod" || !over(o) {
				b.always(within, v, w)
			}
		}
	})
}

// ephemerals is adding containers to the pods of a namespace, or of all. Such a
// container may be privileged, as far as Pod Security and admission let it.
func (b *builder) ephemerals(ns string) int32 {
	return b.spread("add-containers", ns, func(v int32, ns string) {
		b.always(within, v, b.insidePods(ns))
		if len(b.vertices(Workload, ns)) > 0 {
			b.podPower(v, ns)
		}
	})
}

// ports is connecting to the pods of a namespace, or of all, past what network
// policies allow.
func (b *builder) ports(ns string) int32 {
	return b.spread("reach-ports", ns, func(v int32, ns string) {
		for _, w := range b.vertices(Workload, ns) {
			b.port(v, w)
		}
	})
}

// port adds that who reaches a port of a pod may come into it.
func (b *builder) port(from, workload int32) {
	b.edge(from, workload, b.alike(Step{
		Primitive: portForward, Likelihood: 0.05,
		Conditions: []Condition{{Text: "something that listens in the pod has a flaw or asks for no credentials"}},
	}))
}

// logs is reading what the pods of a namespace, or of all, write.
func (b *builder) logs(ns string) int32 {
	return b.spread("read-logs", ns, func(v int32, ns string) {
		leaked := Step{Primitive: readLogs, Likelihood: 0.02, Conditions: []Condition{{Text: "a token was written to the log"}}}
		seen := map[int32]bool{}
		for _, t := range b.templatesIn(ns) {
			if a := b.have(ServiceAccount, ns, t.ServiceAccount()); a >= 0 && !seen[a] && t.ServiceAccount() != "default" {
				seen[a] = true
				b.edge(v, a, b.alike(leaked))
			}
		}
	})
}

// templatesIn are the pod templates of a namespace.
func (b *builder) templatesIn(ns string) []*cluster.PodTemplate {
	type key struct{}
	return cluster.Derive(b.snap, key{}, func() map[string][]*cluster.PodTemplate {
		out := map[string][]*cluster.PodTemplate{}
		list := b.snap.Templates()
		for i := range list {
			out[list[i].Namespace()] = append(out[list[i].Namespace()], &list[i])
		}
		return out
	})[ns]
}

// kubelet is running code in the pods of a node.
func (b *builder) kubelet(node string) int32 {
	return b.once("kubelet-of-"+node, func(v int32) {
		n := b.have(Node, "", node)
		known := false
		templates := b.snap.Templates()
		for i := range templates {
			t := &templates[i]
			w := b.have(Workload, t.Namespace(), t.Object.Kind+"/"+t.Object.Name)
			for _, on := range b.placed.of[w] {
				if on == n && n >= 0 {
					known = true
					b.always(within, v, w)
				}
			}
		}
		if !known && !b.snap.Whole {
			b.edge(v, b.insidePods(""), b.alike(Step{Primitive: nodesProxy, Conditions: []Condition{{Text: "the pods run on node " + node}}}))
		}
	})
}

// changeAdmission is changing what anybody makes from now on: pods of any
// namespace, and what else goes through the API server, which is seen too.
func (b *builder) changeAdmission() int32 {
	return b.once("change-admission", func(v int32) {
		b.always(within, v, b.insidePods(""))
		b.always(within, v, b.podMaker(""))
		b.always(within, v, b.readAdmission())
	})
}

// readAdmission is seeing what anybody writes from now on.
func (b *builder) readAdmission() int32 {
	return b.once("read-admission", func(v int32) {
		b.edge(v, b.secretsOf(""), b.alike(Step{
			Primitive: validateWebhook, Likelihood: 0.4, Conditions: []Condition{{Text: "the Secrets are written meanwhile"}},
		}))
	})
}

// anyIdentity is a client certificate of any name and any groups but
// system:masters, which the CertificateSubjectRestriction plugin refuses.
func (b *builder) anyIdentity() int32 {
	return b.once("any-certificate", func(v int32) {
		for i := range b.g.Vertices {
			x := &b.g.Vertices[i]
			if x.Cluster != b.cluster || x.Kind != User && x.Kind != Group && x.Kind != ServiceAccount {
				continue
			}
			switch {
			case x.Name == rbac.Masters, x.Name == rbac.Anonymous, x.Name == rbac.Unauthenticated:
			case len(b.holds[int32(i)]) > 0:
				b.always(within, v, int32(i))
			}
		}
		b.always(within, v, b.kubeletIdentity())
	})
}

// kubeletIdentity is a client certificate of any node. The Node authorizer gives
// its holder tokens of the accounts, and the Secrets, of the pods there.
func (b *builder) kubeletIdentity() int32 {
	return b.once("node-certificate", func(v int32) {
		templates := b.snap.Templates()
		for i := range templates {
			b.givenToKubelet(v, &templates[i], Step{Primitive: nodeCredential, Text: "the Node authorizer lets a kubelet have what its pods use"})
		}
	})
}

// givenToKubelet adds what the kubelet of a pod may have.
func (b *builder) givenToKubelet(v int32, t *cluster.PodTemplate, s Step) {
	i := b.alike(s)
	b.edge(v, b.have(ServiceAccount, t.Namespace(), t.ServiceAccount()), i)
	w := b.have(Workload, t.Namespace(), t.Object.Kind+"/"+t.Object.Name)
	for _, secret := range b.secretsIn(w) {
		b.edge(v, secret, i)
	}
}

// secretsIn are the Secrets that the pods of a workload are given.
func (b *builder) secretsIn(workload int32) []int32 {
	if b.given == nil {
		b.given = map[int32][]int32{}
		for _, e := range b.g.edges {
			if b.g.Steps[e.step].Primitive == mounted && b.g.Vertices[e.from].Kind == Workload {
				b.given[e.from] = append(b.given[e.from], e.to)
			}
		}
	}
	return b.given[workload]
}

// ownNode is a machine of one's own in the cluster: its kubelet is given what the
// pods use that come to run there. Those of DaemonSets do by themselves.
func (b *builder) ownNode() int32 {
	return b.once("own-node", func(v int32) {
		templates := b.snap.Templates()
		for i := range templates {
			t := &templates[i]
			s := Step{Primitive: nodeCredential, Text: "a new node is given a pod of each DaemonSet"}
			if t.Object.Kind != "DaemonSet" {
				s = Step{Primitive: nodeCredential, Likelihood: 0.3, Conditions: []Condition{{Text: "the scheduler puts a pod onto the new node"}}}
			}
			b.givenToKubelet(v, t, s)
		}
	})
}

// pull is making pods of a namespace, or of all, move to another node.
func (b *builder) pull(ns string) int32 {
	return b.spread("pull-pods", ns, func(v int32, ns string) {
		b.edge(v, b.insidePods(ns), b.alike(Step{Primitive: pullPods, Conditions: []Condition{{Text: "the attacker holds a node that they move to"}}}))
	})
}

// traffic is answering in the place of the Services of a namespace, or of all.
// What is sent to them is all that this gives for certain.
func (b *builder) traffic(ns string) int32 { return b.power("take-traffic", ns) }

// powerName is how people call a power.
func powerName(k Key) string {
	text, ok := powerNames[k.Name]
	for _, p := range powerPrefixes {
		if rest, is := strings.CutPrefix(k.Name, p.prefix); is && !ok {
			text = p.before + strings.Replace(rest, "/", " ", 1) + p.after
			break
		}
	}
	switch {
	case k.Namespace != "":
		return cmp.Or(text, k.Name) + " in " + k.Namespace
	case wholeCluster[k.Name] || strings.HasPrefix(k.Name, "kubelet-of-") || strings.HasPrefix(k.Name, "network-of-cluster:") || strings.HasPrefix(k.Name, "controller:") || strings.HasPrefix(k.Name, "convert") || strings.HasPrefix(k.Name, "flawed:"):
		return text
	}
	return cmp.Or(text, k.Name) + " in all namespaces"
}

var powerNames = map[string]string{ //nolint:gosec // names of powers, no credentials
	"add-containers":    "adding containers to pods",
	"admin":             "everything",
	"any-certificate":   "a certificate of any name",
	"bound-to-roles":    "what Roles allow",
	"bootstrap-token":   "a bootstrap token",
	"any-user":          "acting as any user",
	"answer-api":        "answering for a part of the API",
	"change-admission":  "changing what others make",
	"convert-any":       "custom resources of any kind",
	"create-pods":       "making pods",
	"enter-pods":        "running code in pods",
	"get-secrets":       "reading Secrets by name",
	"loose-pods":        "the pods that may run anywhere",
	"node-certificate":  "a certificate of any node",
	"network-of-all":    "connecting from any pod",
	"nodes":             "any node",
	"own-node":          "a node of one's own",
	"forge-front-proxy": "being anybody to extensions of the API server",
	"pull-pods":         "moving pods to another node",
	"reach-ports":       "connecting to pods",
	"read-admission":    "reading what others make",
	"read-debug":        "reading debug endpoints of the API server",
	"read-logs":         "reading logs",
	"read-secrets":      "reading Secrets",
	"read-volumes":      "reading volumes by snapshots",
	"take-traffic":      "answering for Services",
	"tokens":            "tokens of all service accounts",
}

var powerPrefixes = []struct{ prefix, before, after string }{
	{"change-", "changing ", ""},
	{"network-of:", "connecting as ", ""},
	{"network-of-cluster:", "connecting to pods of cluster ", ""},
	{"convert:", "custom resources named ", ""},
	{"connect-to-", "connecting to ", ""},
	{"kubelet-of-", "running code in the pods of node ", ""},
	{"rebind:", "being a subject of any ", ""},
	{"bound-to:", "what ", " allows"},
	{"role:", "what ", " allows"},
	{"controller:", "what ", " does"},
	{"past-", "making pods past ", ""},
	{"flawed:", "any node with ", ""},
	{"deliver:", "having clusters apply ", ""},
}

// wholeCluster are the powers that no namespace says anything about.
var wholeCluster = map[string]bool{
	"any-certificate": true, "change-admission": true, "loose-pods": true, "network-of-all": true, "node-certificate": true, "nodes": true,
	"bootstrap-token": true, "any-user": true, "answer-api": true, "forge-front-proxy": true,
	"own-node": true, "read-admission": true, "read-debug": true, "read-volumes": true,
}
