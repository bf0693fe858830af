package attack

import (
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
)

const (
	admission = "admissionregistration.k8s.io"
	certs     = "certificates.k8s.io"
	rbacGroup = "rbac.authorization.k8s.io"
)

// controllers are the kinds of Kubernetes that make pods from a template which can
// be changed later. That of a Job cannot.
var controllers = []struct{ kind, group, resource string }{
	{"Deployment", "apps", "deployments"},
	{"DaemonSet", "apps", "daemonsets"},
	{"StatefulSet", "apps", "statefulsets"},
	{"ReplicaSet", "apps", "replicasets"},
	{"ReplicationController", "", "replicationcontrollers"},
	{"CronJob", "batch", "cronjobs"},
}

// abilities are the primitives for which one permission is enough. A rule that
// names a subresource by a star, pods/*, matches none of them, nor does one for
// the scale of a workload: the API server compares both literally.
func abilities() []ability {
	out := []ability{
		{Primitive: createPod, permission: may("create", "", "pods"), to: (*builder).podMaker},
		{Primitive: createWorkload, permission: may("create", "batch", "jobs"), to: (*builder).podMaker},
		{Primitive: patchImage, permission: may("patch,update", "", "pods"), to: (*builder).insidePods, named: (*builder).podNamed},
		{Primitive: ephemeral, permission: may("patch,update", "", "pods/ephemeralcontainers"), to: (*builder).ephemerals, named: (*builder).podNamed},
		{Primitive: readLogs, permission: may("get", "", "pods/log"), to: (*builder).logs},

		{Primitive: nodesProxy, permission: may("get,create", "", "nodes/proxy"), to: (*builder).insidePods, named: (*builder).kubeletNamed, cluster: true},
		{Primitive: kubeletFiles, permission: may("get", "", "nodes/log"), to: (*builder).someLogs, named: (*builder).logsNamed, cluster: true, likelihood: 0.05, when: always("a file in the node's /var/log, or a link in it, gives a credential")},

		{Primitive: readSecrets, permission: may("list,watch", "", "secrets"), to: (*builder).secretsOf, named: (*builder).secretNamed},
		{Primitive: readSecrets, permission: may("get", "", "secrets"), to: (*builder).secretsByName, named: (*builder).secretNamed, likelihood: 0.8, when: always("the names of the Secrets are known: workloads that use them show those")},
		{Primitive: readSecrets, permission: may("patch", "", "secrets"), to: (*builder).secretsByName, named: (*builder).secretNamed, likelihood: 0.6, when: always("the names of the Secrets are known: the answer to an empty patch shows their content")},
		{Primitive: readSecrets, permission: may("deletecollection", "", "secrets"), to: (*builder).secretsOf, likelihood: 0.7, when: always("the answer to a deletion that is only tried shows what would be deleted")},
		{Primitive: requestToken, permission: may("create", "", "serviceaccounts/token"), to: (*builder).tokens, named: (*builder).accountNamed},
		{Primitive: impersonate, permission: may("impersonate", "", "serviceaccounts"), to: (*builder).tokens, named: (*builder).accountNamed},
		{Primitive: impersonate, permission: may("impersonate", "", "users"), to: (*builder).anyUser, named: (*builder).userNamed, cluster: true},
		{Primitive: bootstrapToken, permission: may("create", "", "secrets"), to: (*builder).bootstrap, when: always("the API server takes bootstrap tokens, as kubeadm has it")},

		{Primitive: pullPods, permission: may("patch,update", "", "nodes"), to: (*builder).pull, cluster: true, likelihood: 0.3},
		{Primitive: bindPod, permission: may("create", "", "pods/binding", "bindings"), to: (*builder).pull, likelihood: 0.1},

		{Primitive: mutatingWebhook, permission: may("create", admission, "mutatingwebhookconfigurations"), to: whole1((*builder).changeAdmission), cluster: true},
		{Primitive: validateWebhook, permission: may("create", admission, "validatingwebhookconfigurations"), to: whole1((*builder).readAdmission), cluster: true},
		{Primitive: aggregatedAPI, permission: may("create", "apiregistration.k8s.io", "apiservices"), to: whole1((*builder).answerAPI), cluster: true},
		{Primitive: aggregatedAPI, permission: may("patch,update", "apiregistration.k8s.io", "apiservices"), to: whole1((*builder).answerAPI), named: whole1Named((*builder).answerAPI), cluster: true},
		{Primitive: conversion, permission: may("patch,update", "apiextensions.k8s.io", "customresourcedefinitions"), to: whole1((*builder).convertAny), named: (*builder).convertNamed, cluster: true},

		{Primitive: trustConfig, permission: may("create,patch,update", certs, "clustertrustbundles"), to: (*builder).traffic, cluster: true, likelihood: 0.2},
	}
	for _, c := range controllers {
		out = append(out,
			ability{Primitive: createWorkload, permission: may("create", c.group, c.resource), to: (*builder).podMaker},
			ability{
				Primitive: createWorkload, permission: may("patch,update", c.group, c.resource),
				to:    func(b *builder, ns string) int32 { return b.changer(c.kind, ns) },
				named: func(b *builder, ns, name string) []int32 { return b.changed(c.kind, ns, name) },
			})
	}
	for _, verb := range []struct {
		name  string
		until int
	}{{"create", 0}, {"get", 35}} { // since 1.35 a WebSocket needs create too
		out = append(out,
			ability{Primitive: execute, permission: may(verb.name, "", "pods/exec"), to: (*builder).insidePods, named: (*builder).podNamed, until: verb.until},
			ability{Primitive: execute, permission: may(verb.name, "", "pods/attach"), to: (*builder).insidePods, named: (*builder).podNamed, until: verb.until, likelihood: 0.3, when: always("what runs in the container takes commands from its input")},
			ability{Primitive: portForward, permission: may(verb.name, "", "pods/portforward"), to: (*builder).ports, named: (*builder).portNamed, until: verb.until})
	}
	out = append(out,
		ability{Primitive: portForward, permission: may("get,create,update,patch,delete", "", "pods/proxy"), to: (*builder).ports, named: (*builder).portNamed},
		ability{Primitive: portForward, permission: may("get,create,update,patch,delete", "", "services/proxy"), to: (*builder).ports, named: (*builder).serviceNamed})
	for _, p := range []permission{
		may("patch,update", "", "services", "services/status", "pods/status"),
		may("create,patch,update", "", "endpoints"), may("create,patch,update", "discovery.k8s.io", "endpointslices"),
	} {
		out = append(out, ability{Primitive: serviceTraffic, permission: p, to: (*builder).traffic})
	}
	for _, p := range []struct {
		*Primitive
		resource, kind string
		to             func(*builder) int32
	}{
		{mutatingWebhook, "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", (*builder).changeAdmission},
		{validateWebhook, "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", (*builder).readAdmission},
		{mutatingPolicy, "mutatingadmissionpolicies", "MutatingAdmissionPolicyBinding", (*builder).changeAdmission},
	} {
		out = append(out, ability{
			Primitive: p.Primitive, permission: may("patch,update", admission, p.resource), cluster: true,
			to: whole1(p.to), named: whole1Named(p.to),
			when: func(b *builder, _ string) ([]Condition, bool) {
				c, ok := b.there(p.kind)
				if p.Primitive == mutatingPolicy && ok {
					return b.mutatingPolicies(c)
				}
				return c, ok
			},
		})
	}
	return out
}

// always is a condition that no object decides.
func always(text string) func(*builder, string) ([]Condition, bool) {
	c := []Condition{{Text: text}}
	return func(*builder, string) ([]Condition, bool) { return c, true }
}

func whole1(to func(*builder) int32) func(*builder, string) int32 {
	return func(b *builder, _ string) int32 { return to(b) }
}

func whole1Named(to func(*builder) int32) func(*builder, string, string) []int32 {
	return func(b *builder, _, _ string) []int32 { return []int32{to(b)} }
}

// there says whether the cluster has an object of a kind: who may only change
// such objects needs one.
func (b *builder) there(kind string) ([]Condition, bool) {
	if len(b.snap.Kind(kind)) > 0 {
		return nil, true
	}
	return []Condition{{Text: "the cluster has a " + kind + ": none is among the objects"}}, !b.snap.Whole
}

// mutatingPolicies adds whether the API server knows MutatingAdmissionPolicies:
// alpha in 1.32, beta and off by default from 1.34, for all from 1.36 (KEP-3962).
func (b *builder) mutatingPolicies(also []Condition) ([]Condition, bool) {
	switch m := b.minor(); {
	case m < 32:
		return nil, false
	case m < 36:
		return append(also, Condition{Text: "the feature MutatingAdmissionPolicy is on, as it is not by default before Kubernetes 1.36"}), true
	}
	return also, true
}

// each is what there is in a namespace, or in each where that is empty.
func (b *builder) each(ns string, find func(ns string) []int32) []int32 {
	if ns != "" {
		return find(ns)
	}
	var out []int32
	for _, one := range b.namespaces() {
		out = append(out, find(one)...)
	}
	return out
}

// object returns an object of the core group that stands in a namespace, also
// where it does not say so.
func (b *builder) object(kind, ns, name string) *cluster.Object {
	if o := b.snap.Get("", kind, ns, name); o != nil || ns != "default" {
		return o
	}
	return b.snap.Get("", kind, "", name)
}

// podNamed is the workload of a pod. Only StatefulSets give their pods names that
// are known before there are any.
func (b *builder) podNamed(ns, name string) []int32 {
	return b.each(ns, func(ns string) []int32 {
		if pod := b.object("Pod", ns, name); pod != nil {
			return []int32{b.workloadOf(pod)}
		}
		if i := strings.LastIndexByte(name, '-'); i > 0 && isIndex(name[i+1:]) && !b.snap.Whole {
			return []int32{b.have(Workload, ns, "StatefulSet/"+name[:i])}
		}
		return nil
	})
}

func (b *builder) portNamed(ns, name string) []int32 {
	return b.ported("Pod/"+name, b.podNamed(ns, name))
}

// serviceNamed are the workloads that a Service sends connections to.
func (b *builder) serviceNamed(ns, name string) []int32 {
	// The proxy takes a scheme before the name and a port after it.
	if parts := strings.Split(name, ":"); len(parts) == 3 {
		name = parts[1]
	} else {
		name = parts[0]
	}
	return b.ported("Service/"+name, b.each(ns, func(ns string) []int32 {
		var out []int32
		if x := cluster.Exposures(b.snap).Service(ns, name); x != nil {
			for _, t := range x.Templates {
				out = append(out, b.have(Workload, t.Namespace(), t.Object.Kind+"/"+t.Object.Name))
			}
		}
		return out
	}))
}

// ported is connecting to some workloads.
func (b *builder) ported(what string, workloads []int32) []int32 {
	var out []int32
	for _, w := range workloads {
		if w >= 0 {
			v := b.power("connect-to-"+what, b.g.Vertices[w].Namespace)
			b.port(v, w)
			out = append(out, v)
		}
	}
	return out
}

func (b *builder) kubeletNamed(_, name string) []int32 { return []int32{b.kubelet(name)} }

func (b *builder) someLogs(string) int32 { return b.nodes() }

func (b *builder) logsNamed(_, name string) []int32 { return []int32{b.have(Node, "", name)} }

// changed is what who may change one workload can make of its pods.
func (b *builder) changed(kind, ns, name string) []int32 {
	return b.each(ns, func(ns string) []int32 {
		if b.have(Workload, ns, kind+"/"+name) < 0 {
			return nil
		}
		return []int32{b.podMaker(ns)}
	})
}

func (b *builder) secretNamed(ns, name string) []int32 {
	return b.each(ns, func(one string) []int32 {
		if b.object("Secret", one, name) == nil && ns == "" {
			return []int32{b.have(Secret, one, name)} // that a workload names, if any
		}
		return []int32{b.secretVertex(one, name)}
	})
}

func (b *builder) accountNamed(ns, name string) []int32 {
	return b.each(ns, func(ns string) []int32 {
		if v := b.have(ServiceAccount, ns, name); v >= 0 && !b.dangling(v) {
			return []int32{v}
		}
		return nil
	})
}

// anyUser is every user that something is granted to. Service accounts are not
// impersonated by this permission, whatever their user names.
func (b *builder) anyUser(string) int32 {
	return b.once("any-user", func(v int32) {
		for i := range b.g.Vertices {
			if x := &b.g.Vertices[i]; x.Cluster == b.cluster && x.Kind == User && x.Name != rbac.Anonymous {
				b.always(within, v, int32(i))
			}
		}
		b.always(within, v, b.have(Group, "", rbac.Authenticated))
	})
}

func (b *builder) userNamed(_, name string) []int32 { return []int32{b.have(User, "", name)} }

// bootstrap is a bootstrap token: whoever presents one is in the groups that it
// names, all of which begin with system:bootstrappers. Where those may have a
// client certificate as a node, as kubeadm arranges, the holder has a node of his
// own (P24).
func (b *builder) bootstrap(ns string) int32 {
	if ns != "" && ns != "kube-system" {
		return -1
	}
	const group = "system:bootstrappers"
	id := rbac.User("system:bootstrap:aaaaaa", group)
	var groups []int32
	for i := range b.g.Vertices {
		if v := &b.g.Vertices[i]; v.Cluster == b.cluster && v.Kind == Group && (v.Name == group || strings.HasPrefix(v.Name, group+":")) {
			groups = append(groups, int32(i))
			id.Groups = append(id.Groups, v.Name)
		}
	}
	if len(groups) == 0 {
		return -1
	}
	return b.once("bootstrap-token", func(v int32) {
		for _, g := range groups {
			b.always(within, v, g)
		}
		asks := b.rbac.Decide(id, rbac.Attributes{Verb: "create", Group: certs, Resource: "certificatesigningrequests"})
		approved := b.rbac.Decide(id, rbac.Attributes{Verb: "create", Group: certs, Resource: "certificatesigningrequests", Subresource: "nodeclient"})
		if asks.Allowed && approved.Allowed {
			s := Step{Primitive: bootstrapToken}
			for _, d := range []rbac.Decision{asks, approved} {
				if o := d.Grant.Binding.Object; o != nil {
					s.Evidence = append(s.Evidence, Evidence{o, "roleRef"})
				}
			}
			b.edge(v, b.ownNode(), b.step(s))
		}
	})
}

// answerAPI is answering requests for a part of the API, be it one that is there.
func (b *builder) answerAPI() int32 {
	return b.once("answer-api", func(v int32) {
		b.edge(v, b.insidePods(""), b.alike(Step{
			Primitive: aggregatedAPI, Likelihood: 0.3,
			Conditions: []Condition{{Text: "a controller acts on what that part of the API says"}},
		}))
	})
}
