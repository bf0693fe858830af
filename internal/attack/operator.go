package attack

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
)

// product is software in a cluster that does what custom resources say: who may
// write those has what the product's account may do, or a part of it.
type product struct {
	*Primitive
	name      string // Argo CD
	group     string
	resources []string
	// workloads are the names that its controller goes by.
	workloads []string
	// own says that it heeds only resources in its own namespace, unless it is
	// told otherwise.
	own bool
	// cluster says that its resources stand in no namespace, elsewhere that what
	// acts on them runs in other clusters.
	cluster, elsewhere bool
	// configured says that a ProviderConfig tells as whom it acts.
	configured bool
	// to is what it does, where that is not what its account may do.
	to         func(b *builder, ns string) int32
	likelihood float64

	found  func() []*cluster.PodTemplate
	served func() Answer
}

// products are those that hand power to who writes their resources, as their
// documentation describes. Each is looked for in the cluster.
func products() []product {
	return []product{
		{Primitive: gitOps, name: "Argo CD", group: "argoproj.io", resources: []string{"applications", "applicationsets", "appprojects"}, workloads: []string{"argocd-application-controller"}, own: true},
		{Primitive: gitOps, name: "Flux's kustomize-controller", group: "kustomize.toolkit.fluxcd.io", resources: []string{"kustomizations"}, workloads: []string{"kustomize-controller"}},
		{Primitive: gitOps, name: "Flux's helm-controller", group: "helm.toolkit.fluxcd.io", resources: []string{"helmreleases"}, workloads: []string{"helm-controller"}},
		{Primitive: gitOps, name: "Fleet", group: "fleet.cattle.io", resources: []string{"gitrepos", "bundles"}, to: bundlesDelivery.delivers, elsewhere: true},
		{Primitive: gitOps, name: "the Helm controller of K3s", group: "helm.cattle.io", resources: []string{"helmcharts", "helmchartconfigs"}, to: func(b *builder, _ string) int32 { return b.admin() }},
		{Primitive: gitOps, name: "kapp-controller", group: "kappctrl.k14s.io", resources: []string{"apps"}, workloads: []string{"kapp-controller"}, to: (*builder).tokens},
		{Primitive: gitOps, name: "Open Cluster Management", group: "work.open-cluster-management.io", resources: []string{"manifestworks"}, to: worksDelivery.delivers, elsewhere: true},
		{Primitive: gitOps, name: "Open Cluster Management", group: "work.open-cluster-management.io", resources: []string{"manifestworkreplicasets"}, to: setsDelivery.delivers, elsewhere: true},

		{Primitive: pipeline, name: "Argo Workflows", group: "argoproj.io", resources: []string{"workflows", "cronworkflows"}, workloads: []string{"workflow-controller"}, to: (*builder).podMaker},
		{Primitive: pipeline, name: "Argo Events", group: "argoproj.io", resources: []string{"sensors", "eventsources"}, workloads: []string{"events-controller", "argo-events", "sensor-controller"}, to: (*builder).podMaker},
		{Primitive: pipeline, name: "Tekton", group: "tekton.dev", resources: []string{"pipelineruns", "taskruns"}, workloads: []string{"tekton-pipelines-controller"}, to: (*builder).podMaker},
		{Primitive: pipeline, name: "the GitHub runner controller", group: "actions.github.com", resources: []string{"autoscalingrunnersets", "ephemeralrunnersets", "ephemeralrunners"}, workloads: []string{"gha-rs-controller", "actions-runner-controller"}, to: (*builder).podMaker},
		{Primitive: pipeline, name: "the GitHub runner controller", group: "actions.summerwind.dev", resources: []string{"runners", "runnersets", "runnerdeployments"}, workloads: []string{"actions-runner-controller"}, to: (*builder).podMaker},

		{Primitive: createWorkload, name: "Argo Rollouts", group: "argoproj.io", resources: []string{"rollouts"}, workloads: []string{"argo-rollouts"}, to: (*builder).podMaker},
		{Primitive: createWorkload, name: "Knative", group: "serving.knative.dev", resources: []string{"services", "configurations"}, workloads: []string{"knative-serving"}, to: (*builder).podMaker},
		{Primitive: createWorkload, name: "OpenKruise", group: "apps.kruise.io", resources: []string{"clonesets", "daemonsets", "statefulsets", "advancedcronjobs", "broadcastjobs"}, workloads: []string{"kruise-controller-manager"}, to: (*builder).podMaker},
		{Primitive: createWorkload, name: "OpenShift", group: "apps.openshift.io", resources: []string{"deploymentconfigs"}, to: (*builder).podMaker},
		{Primitive: createWorkload, name: "KEDA", group: "keda.sh", resources: []string{"scaledjobs"}, workloads: []string{"keda-operator"}, to: (*builder).podMaker},
		{Primitive: createWorkload, name: "the Spark operator", group: "sparkoperator.k8s.io", resources: []string{"sparkapplications", "scheduledsparkapplications"}, workloads: []string{"spark-operator"}, to: (*builder).podMaker},
		{Primitive: createWorkload, name: "Kubeflow", group: "kubeflow.org", resources: []string{"notebooks", "pytorchjobs", "tfjobs", "mpijobs"}, workloads: []string{"training-operator", "notebook-controller"}, to: (*builder).podMaker},
		{Primitive: createWorkload, name: "KubeRay", group: "ray.io", resources: []string{"rayclusters", "rayjobs", "rayservices"}, workloads: []string{"kuberay-operator"}, to: (*builder).podMaker},
		{Primitive: createWorkload, name: "Volcano", group: "batch.volcano.sh", resources: []string{"jobs"}, workloads: []string{"volcano-controllers"}, to: (*builder).podMaker},

		{Primitive: operator, name: "the Prometheus operator", group: "monitoring.coreos.com", resources: []string{"prometheuses", "alertmanagers", "thanosrulers", "prometheusagents"}, workloads: []string{"prometheus-operator"}, to: (*builder).podMaker},
		{Primitive: operator, name: "KubeVirt", group: "kubevirt.io", resources: []string{"virtualmachines", "virtualmachineinstances"}, workloads: []string{"virt-controller"}, to: (*builder).podMaker, likelihood: 0.5},
		{Primitive: operator, name: "Karpenter", group: "karpenter.k8s.aws", resources: []string{"ec2nodeclasses"}, workloads: []string{"karpenter"}, to: func(b *builder, _ string) int32 { return b.ownNode() }, cluster: true},
		{Primitive: operator, name: "Velero", group: "velero.io", resources: []string{"restores", "backups", "backupstoragelocations"}, workloads: []string{"velero"}, own: true},
		{Primitive: operator, name: "the Operator Lifecycle Manager", group: "operators.coreos.com", resources: []string{"clusterserviceversions", "subscriptions"}, workloads: []string{"olm-operator"}},
		{Primitive: operator, name: "Crossplane", group: "pkg.crossplane.io", resources: []string{"providers", "configurations", "functions"}, workloads: []string{"crossplane"}, cluster: true},
		{Primitive: operator, name: "Crossplane's Kubernetes provider", group: "kubernetes.crossplane.io", resources: []string{"objects"}, workloads: []string{"provider-kubernetes", "provider-kubernetes-"}, cluster: true, configured: true},
		{Primitive: operator, name: "Crossplane's Kubernetes provider", group: "kubernetes.m.crossplane.io", resources: []string{"objects"}, workloads: []string{"provider-kubernetes", "provider-kubernetes-"}, configured: true},
		{Primitive: operator, name: "Crossplane's Helm provider", group: "helm.crossplane.io", resources: []string{"releases"}, workloads: []string{"provider-helm", "provider-helm-"}, cluster: true, configured: true},
		{Primitive: operator, name: "Crossplane's Helm provider", group: "helm.m.crossplane.io", resources: []string{"releases"}, workloads: []string{"provider-helm", "provider-helm-"}, configured: true},
		{Primitive: operator, name: "External Secrets", group: "external-secrets.io", resources: []string{"externalsecrets", "pushsecrets", "secretstores"}, workloads: []string{"external-secrets"}, likelihood: 0.4},
		{Primitive: operator, name: "External Secrets", group: "external-secrets.io", resources: []string{"clusterexternalsecrets", "clustersecretstores"}, workloads: []string{"external-secrets"}, likelihood: 0.4, cluster: true},
		{Primitive: operator, name: "cert-manager", group: "cert-manager.io", resources: []string{"certificates", "issuers"}, workloads: []string{"cert-manager"}, likelihood: 0.05},
		{Primitive: operator, name: "cert-manager", group: "cert-manager.io", resources: []string{"clusterissuers"}, workloads: []string{"cert-manager"}, likelihood: 0.05, cluster: true},
		{Primitive: operator, name: "Cluster API", group: "bootstrap.cluster.x-k8s.io", resources: []string{"kubeadmconfigs", "kubeadmconfigtemplates"}, workloads: []string{"capi-kubeadm-bootstrap-controller-manager"}},
		{Primitive: operator, name: "Rancher", group: "management.cattle.io", resources: []string{"globalrolebindings", "globalroles", "roletemplates"}, workloads: []string{"rancher"}, cluster: true},
		{Primitive: operator, name: "Rancher", group: "management.cattle.io", resources: []string{"clusterroletemplatebindings"}, workloads: []string{"rancher"}},
		{Primitive: operator, name: "Kyverno", group: "kyverno.io", resources: []string{"clusterpolicies"}, workloads: []string{"kyverno-admission-controller", "kyverno"}, to: whole1((*builder).changeAdmission), cluster: true},
		{Primitive: operator, name: "Kyverno", group: "policies.kyverno.io", resources: []string{"mutatingpolicies", "generatingpolicies"}, workloads: []string{"kyverno-admission-controller", "kyverno"}, to: whole1((*builder).changeAdmission), cluster: true},
		{Primitive: operator, name: "Kyverno", group: "kyverno.io", resources: []string{"policies"}, workloads: []string{"kyverno-admission-controller", "kyverno"}, to: (*builder).insidePods},
		{Primitive: operator, name: "Gatekeeper", group: "mutations.gatekeeper.sh", resources: []string{"assign", "assignimage", "modifyset"}, workloads: []string{"gatekeeper-controller-manager"}, to: whole1((*builder).changeAdmission), cluster: true},
		{Primitive: operator, name: "Istio", group: "networking.istio.io", resources: []string{"envoyfilters"}, workloads: []string{"istiod"}, to: (*builder).traffic},
	}
}

// market is the products, with what is known of each in a cluster, by API group.
func (b *builder) market() map[string][]*product {
	out := map[string][]*product{}
	list := products()
	for i := range list {
		p := &list[i]
		p.found = sync.OnceValue(func() []*cluster.PodTemplate { return p.find(b) })
		p.served = sync.OnceValue(func() Answer { return p.known(b) })
		out[p.group] = append(out[p.group], p)
		out["*"] = append(out["*"], p)
	}
	return out
}

// find is the controllers of a product, as far as they are in the cluster.
func (p *product) find(b *builder) []*cluster.PodTemplate {
	var out []*cluster.PodTemplate
	for _, name := range p.workloads {
		for _, t := range b.called(name) {
			if !slices.Contains(out, t) {
				out = append(out, t)
			}
		}
	}
	return out
}

// called are the workloads that go by a name: their own, with the name of a release
// before it, or that of their label. A name that ends in - is the begin of one.
func (b *builder) called(name string) []*cluster.PodTemplate {
	type key struct{}
	return cluster.Derive(b.snap, key{}, func() map[string][]*cluster.PodTemplate {
		out := map[string][]*cluster.PodTemplate{}
		templates := b.snap.Templates()
		for i := range templates {
			t := &templates[i]
			own := t.Object.Name
			names := []string{own, t.Root.At("metadata", "labels", "app.kubernetes.io/name").Str()}
			for j := range own {
				if own[j] != '-' {
					continue
				}
				names = append(names, own[:j+1])
				if end := own[j+1:]; len(end) > 8 {
					names = append(names, end)
				}
			}
			for j, n := range names {
				if !slices.Contains(names[:j], n) {
					out[n] = append(out[n], t)
				}
			}
		}
		return out
	})[name]
}

// known says what is known of a product's resources: that the cluster has them,
// or that it cannot have them.
func (p *product) known(b *builder) Answer {
	for _, o := range b.snap.Kind("CustomResourceDefinition") {
		if o.Root.At("spec", "group").Str() == p.group && slices.Contains(p.resources, o.Root.At("spec", "names", "plural").Str()) {
			return Yes
		}
	}
	if b.listed("customresourcedefinitions") {
		return No
	}
	return Unknown
}

// customResources is P43 to P45, and P03 for the kinds of others that make pods.
func (b *builder) customResources(in scope) []gain {
	var out []gain
	for _, r := range in.role.Rules {
		for _, group := range r.APIGroups {
			for _, p := range b.products[group] {
				verbs := []string{"create", "patch", "update"}
				if !r.Unnamed() {
					verbs = verbs[1:] // a request to create carries no name
				}
				perm := permission{verbs: verbs, group: p.group, resources: p.resources}
				if what, ok := perm.in(r); ok && (in.namespace == "" || !p.cluster) {
					out = append(out, b.produced(p, r, what, in.namespace)...)
				}
			}
		}
	}
	return out
}

// produced is what a rule on a product's resources leads to.
func (b *builder) produced(p *product, r *rbac.Rule, what, ns string) []gain {
	g := gain{Primitive: p.Primitive, rule: r, what: what, likelihood: p.likelihood}
	found, served := p.found(), p.served()
	switch {
	case len(found) > 0:
	case served == No, served == Unknown && !slices.Contains(r.APIGroups, p.group):
		return nil // nothing shows that the product is there
	case p.elsewhere:
	default:
		g.conditions = []Condition{{Text: p.name + " runs in the cluster: its workload is not among the objects"}}
		g.likelihood = 0.5 * cmp.Or(p.likelihood, p.Likelihood)
	}
	if p.to != nil {
		g.to = p.to(b, ns)
		return []gain{g}
	}
	if p.configured {
		if list, told := b.provided(p, g, ns); told {
			return list
		}
	}
	if len(found) == 0 {
		b.unknown("what " + p.name + " may do: its workload is not among the objects")
		g.to = b.power("controller:"+p.name, "")
		return []gain{g}
	}
	var out []gain
	for _, t := range found {
		one := g
		if p.own && ns != "" && ns != t.Namespace() {
			one.conditions = []Condition{{Text: p.name + " heeds resources outside its own namespace " + t.Namespace()}}
			one.likelihood = 0.2
		}
		one.to = b.have(ServiceAccount, t.Namespace(), t.ServiceAccount())
		if account, ok := flag(t, "--default-service-account"); ok {
			// Flux then applies as that account of the resource's namespace.
			if ns == "" {
				continue
			}
			one.to = b.have(ServiceAccount, ns, account)
		}
		out = append(out, one)
	}
	return out
}

// provided is what a provider of Crossplane does by its configurations, one of which
// each resource names: as its own account, or with the credentials in a Secret, most
// often of another cluster. Resources of a namespace use configurations that stand
// there, or in none. told is false where there are none to tell.
func (b *builder) provided(p *product, g gain, ns string) (out []gain, told bool) {
	for _, kind := range []string{"ProviderConfig", "ClusterProviderConfig"} {
		for _, o := range b.snap.Kind(kind) {
			if o.Group() != p.group {
				continue
			}
			told = true
			if ns != "" && o.Namespace != "" && o.Namespace != ns {
				continue
			}
			credentials := o.Root.At("spec", "credentials")
			switch credentials.Get("source").Str() {
			case "InjectedIdentity":
				if len(p.found()) == 0 {
					b.unknown("what " + p.name + " may do: its workload is not among the objects")
				}
				for _, t := range p.found() {
					g.to = b.have(ServiceAccount, t.Namespace(), t.ServiceAccount())
					out = append(out, g)
				}
			case "Secret":
				ref := credentials.Get("secretRef")
				if g.to = b.secretVertex(cmp.Or(ref.Get("namespace").Str(), o.Namespace), ref.Get("name").Str()); g.to >= 0 {
					out = append(out, g)
				}
			default:
				b.unknown("as whom " + p.name + " acts by " + kind + " " + o.Name)
			}
		}
	}
	return out, told
}

// flag returns the value of a flag that a container is started with.
func flag(t *cluster.PodTemplate, name string) (string, bool) {
	for i := range t.Containers {
		for _, list := range []string{"command", "args"} {
			for _, arg := range texts(t.Containers[i].Root.Get(list)) {
				if value, ok := strings.CutPrefix(arg, name+"="); ok {
					return value, true
				}
			}
		}
	}
	return "", false
}

// convertAny is reading and changing custom resources of any kind by a conversion
// webhook of one's own (P37): of those, the resources of products that are there.
func (b *builder) convertAny() int32 { return b.converts("") }

func (b *builder) convertNamed(_, name string) []int32 { return []int32{b.converts(name)} }

// converts is that for one CustomResourceDefinition, or any if it is not named.
func (b *builder) converts(crd string) int32 {
	name := "convert-any"
	if crd != "" {
		name = "convert:" + crd
	}
	return b.once(name, func(v int32) {
		done := map[int32]bool{}
		for _, p := range b.products["*"] {
			for _, resource := range p.resources {
				if crd != "" && crd != resource+"."+p.group || p.served() == No || len(p.found()) == 0 {
					continue
				}
				r := &rbac.Rule{Verbs: []string{"update"}, APIGroups: []string{p.group}, Resources: []string{resource}}
				for _, g := range b.produced(p, r, "", "") {
					if !done[g.to] {
						done[g.to] = true
						b.edge(v, g.to, b.alike(Step{Primitive: conversion, Text: p.name + " acts on resources that the webhook converts"}))
					}
				}
			}
		}
	})
}

// configMaps is P39 and P40: the configuration, in ConfigMaps, of what others
// trust. A ConfigMap that a whole cluster does not have leads to nothing.
func (b *builder) configMaps(in scope) []gain {
	var out []gain
	for _, r := range in.role.Rules {
		patch := may("patch,update", "", "configmaps")
		if what, ok := patch.in(r); ok {
			for _, c := range b.trusted() {
				if (r.Unnamed() || r.Named(c.name)) && (in.namespace == "" || in.namespace == "kube-system") {
					out = b.trusts(out, c, gain{rule: r, what: what + " named " + c.name}, !r.Unnamed())
				}
			}
		}
		create := may("create", "", "configmaps")
		if _, ok := create.in(r); ok && r.Unnamed() && (in.namespace == "" || in.namespace == "kube-system") && b.eks() == Yes &&
			b.snap.Get("", "ConfigMap", "kube-system", "aws-auth") == nil {
			out = append(out, gain{Primitive: awsAuth, to: b.admin(), rule: r, what: "create configmaps", likelihood: 0.4, conditions: []Condition{
				{Text: "the cluster is of EKS", Holds: Yes}, {Text: "its authentication mode takes the ConfigMap aws-auth"},
			}})
		}
	}
	return out
}

// trust is a ConfigMap of kube-system that something believes.
type trust struct {
	*Primitive
	name       string
	to         func(*builder) int32
	likelihood float64
	condition  string
}

func (b *builder) trusted() []trust {
	return []trust{
		{awsAuth, "aws-auth", (*builder).admin, 0, "its authentication mode takes the ConfigMap aws-auth"},
		{trustConfig, "coredns", func(b *builder) int32 { return b.traffic("") }, 0, ""},
		{trustConfig, "coredns-custom", func(b *builder) int32 { return b.traffic("") }, 0, ""},
		{trustConfig, "extension-apiserver-authentication", (*builder).extensions, 0.3, "an extension of the API server reads it before the API server writes it anew"},
		{trustConfig, "kubeadm-config", (*builder).admin, 0.2, "somebody upgrades the control plane by kubeadm, which takes its flags from there"},
		{trustConfig, "kubelet-config", (*builder).nodes, 0.2, "somebody joins or upgrades nodes by kubeadm, which takes the kubelet's configuration from there"},
	}
}

// trusts adds what one ConfigMap leads to, if it can be there.
func (b *builder) trusts(out []gain, c trust, g gain, named bool) []gain {
	g.Primitive, g.likelihood = c.Primitive, c.likelihood
	there := b.snap.Get("", "ConfigMap", "kube-system", c.name) != nil
	switch {
	case c.Primitive == awsAuth:
		switch eks := b.eks(); {
		case eks == No, eks == Unknown && !named && !there:
			return out
		case eks == Yes:
			g.conditions = append(g.conditions, Condition{Text: "the cluster is of EKS", Holds: Yes})
		default:
			g.conditions = append(g.conditions, Condition{Text: "the cluster is of EKS"})
			g.likelihood = 0.5
		}
		if b.listed("configmaps") && !there {
			return out
		}
	case there:
	case b.listed("configmaps") || !named && c.name != "coredns":
		return out
	default:
		g.conditions = append(g.conditions, Condition{Text: "ConfigMap kube-system/" + c.name + " is in use: it is not among the objects"})
	}
	if c.condition != "" {
		g.conditions = append(g.conditions, Condition{Text: c.condition})
	}
	g.to = c.to(b)
	return append(out, g)
}

// eks tells whether the cluster is one of Amazon EKS: by its version, such as
// v1.33.4-eks-1a2b3c, or by objects that only those have.
func (b *builder) eks() Answer {
	switch {
	case strings.Contains(b.snap.Version, "-eks-"):
		return Yes
	case b.snap.Version != "":
		return No
	case b.snap.Get("", "ConfigMap", "kube-system", "aws-auth") != nil:
		return Yes
	}
	if slices.ContainsFunc(b.snap.Kind("ServiceAccount"), func(o *cluster.Object) bool { return o.Annotation("eks.amazonaws.com/role-arn") != "" }) {
		return Yes
	}
	return Unknown
}

// extensions is being anybody to the extensions of the API server: what they hold
// is what runs in their pods.
func (b *builder) extensions() int32 {
	return b.once("forge-front-proxy", func(v int32) {
		for _, o := range b.snap.Kind("APIService") {
			service := o.Root.At("spec", "service")
			if service.IsNull() {
				continue
			}
			x := cluster.Exposures(b.snap).Service(service.Get("namespace").Str(), service.Get("name").Str())
			if x == nil {
				continue
			}
			for _, t := range x.Templates {
				b.edge(v, b.have(Workload, t.Namespace(), t.Object.Kind+"/"+t.Object.Name), b.step(Step{
					Primitive: trustConfig, Likelihood: 0.3, Evidence: []Evidence{{o, "spec.service"}},
					Conditions: []Condition{{Text: "who is an administrator to " + t.Object.Name + " can run code in it"}},
				}))
			}
		}
	})
}

// debugEndpoints is P49: what the API server shows of itself and of its node.
func (b *builder) debugEndpoints(in scope) []gain {
	if in.namespace != "" {
		return nil
	}
	for _, r := range in.role.Rules {
		if len(r.NonResourceURLs) == 0 {
			continue
		}
		for _, path := range []string{"/logs/kube-apiserver.log", "/debug/pprof/heap"} {
			if r.Allows(rbac.Attributes{Verb: "get", Path: path}) {
				return []gain{{Primitive: debugEndpoint, to: b.power("read-debug", ""), rule: r, what: "get " + path}}
			}
		}
	}
	return nil
}
