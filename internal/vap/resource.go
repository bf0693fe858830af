package vap

import (
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
)

// resource is the API resource of a kind.
type resource struct {
	group, version, name, kind string
	namespaced                 bool
	// versions are all that the API server serves; none where that is unknown.
	versions []string
	// alike says that an object reads the same in all versions but for its
	// apiVersion.
	alike bool
}

// builtinTable has the resources of Kubernetes itself that people write:
// group/versions, then name:Kind, with a ! before those without a namespace.
// A + before the version says that the versions differ in more than the name.
var builtinTable = [...]struct{ group, versions, resources string }{
	{"", "v1", "pods:Pod services:Service configmaps:ConfigMap secrets:Secret serviceaccounts:ServiceAccount" +
		" !namespaces:Namespace !nodes:Node !persistentvolumes:PersistentVolume persistentvolumeclaims:PersistentVolumeClaim" +
		" podtemplates:PodTemplate replicationcontrollers:ReplicationController resourcequotas:ResourceQuota" +
		" limitranges:LimitRange endpoints:Endpoints events:Event"},
	{"apps", "v1", "deployments:Deployment statefulsets:StatefulSet daemonsets:DaemonSet replicasets:ReplicaSet" +
		" controllerrevisions:ControllerRevision"},
	{"batch", "v1", "jobs:Job cronjobs:CronJob"},
	{"autoscaling", "+v2 v1", "horizontalpodautoscalers:HorizontalPodAutoscaler"},
	{"policy", "v1", "poddisruptionbudgets:PodDisruptionBudget"},
	{"networking.k8s.io", "v1", "ingresses:Ingress !ingressclasses:IngressClass networkpolicies:NetworkPolicy" +
		" !ipaddresses:IPAddress !servicecidrs:ServiceCIDR"},
	{"discovery.k8s.io", "v1", "endpointslices:EndpointSlice"},
	{"coordination.k8s.io", "v1", "leases:Lease"},
	{"events.k8s.io", "v1", "events:Event"},
	{"node.k8s.io", "v1", "!runtimeclasses:RuntimeClass"},
	{"rbac.authorization.k8s.io", "v1", "roles:Role rolebindings:RoleBinding !clusterroles:ClusterRole" +
		" !clusterrolebindings:ClusterRoleBinding"},
	{"storage.k8s.io", "v1", "!storageclasses:StorageClass !csidrivers:CSIDriver !csinodes:CSINode" +
		" !volumeattachments:VolumeAttachment csistoragecapacities:CSIStorageCapacity"},
	{"scheduling.k8s.io", "v1", "!priorityclasses:PriorityClass"},
	{"certificates.k8s.io", "v1", "!certificatesigningrequests:CertificateSigningRequest"},
	{"flowcontrol.apiserver.k8s.io", "v1", "!flowschemas:FlowSchema !prioritylevelconfigurations:PriorityLevelConfiguration"},
	{"admissionregistration.k8s.io", "v1", "!validatingwebhookconfigurations:ValidatingWebhookConfiguration" +
		" !mutatingwebhookconfigurations:MutatingWebhookConfiguration" +
		" !validatingadmissionpolicies:ValidatingAdmissionPolicy !validatingadmissionpolicybindings:ValidatingAdmissionPolicyBinding" +
		" !mutatingadmissionpolicies:MutatingAdmissionPolicy !mutatingadmissionpolicybindings:MutatingAdmissionPolicyBinding"},
	{"apiextensions.k8s.io", "v1", "!customresourcedefinitions:CustomResourceDefinition"},
	{"apiregistration.k8s.io", "v1", "!apiservices:APIService"},
}

// builtin returns the resources of Kubernetes itself.
func builtin() []resource {
	var out []resource
	for _, row := range &builtinTable {
		versions, differ := strings.CutPrefix(row.versions, "+")
		served := strings.Fields(versions)
		for text := range strings.FieldsSeq(row.resources) {
			name, kind, _ := strings.Cut(text, ":")
			name, global := strings.CutPrefix(name, "!")
			out = append(out, resource{row.group, served[0], name, kind, !global, served, !differ})
		}
	}
	return out
}

// excluded says that the API server asks no policy about a resource: policies
// could lock themselves in, and reviews are not stored
// (k8s.io/apiserver/pkg/admission/plugin/policy/generic).
func (r *resource) excluded() bool {
	switch r.group {
	case "admissionregistration.k8s.io":
		return !strings.HasSuffix(r.name, "webhookconfigurations")
	case "authentication.k8s.io", "authorization.k8s.io":
		return true
	}
	return false
}

// resources maps kinds to resources: Kubernetes' own from the table, others by
// the CustomResourceDefinitions at hand.
type resources map[groupKind]resource

type groupKind struct{ group, kind string }

func newResources(objects []*cluster.Object) resources {
	out := resources{}
	for _, r := range builtin() {
		out[groupKind{r.group, r.kind}] = r
	}
	for _, o := range objects {
		if o.Kind != "CustomResourceDefinition" || o.Group() != "apiextensions.k8s.io" {
			continue
		}
		spec := o.Root.Get("spec")
		r := resource{
			group: spec.Get("group").Str(), name: spec.At("names", "plural").Str(), kind: spec.At("names", "kind").Str(),
			namespaced: spec.Get("scope").Str() == "Namespaced",
			alike:      spec.At("conversion", "strategy").Str() != "Webhook",
		}
		for _, v := range spec.Get("versions").List() {
			if served, _ := v.Get("served").Bool(); served {
				r.versions = append(r.versions, v.Get("name").Str())
			}
		}
		id := groupKind{r.group, r.kind}
		if _, known := out[id]; !known {
			out[id] = r
		}
	}
	return out
}

// of returns the resource of an object. That of a kind which nobody has
// described is guessed: the usual plural, namespaced where the object names a
// namespace.
func (rs resources) of(o *cluster.Object) resource {
	version := o.APIVersion[strings.IndexByte(o.APIVersion, '/')+1:]
	r, known := rs[groupKind{o.Group(), o.Kind}]
	if !known {
		r = resource{group: o.Group(), name: plural(strings.ToLower(o.Kind)), kind: o.Kind, namespaced: o.Namespace != "", alike: true}
	}
	r.version = version
	return r
}

// plural makes a plural as meta.UnsafeGuessKindToResource does.
func plural(kind string) string {
	switch {
	case kind == "endpoints":
		return kind
	case strings.HasSuffix(kind, "s"):
		return kind + "es"
	case strings.HasSuffix(kind, "y"):
		return strings.TrimSuffix(kind, "y") + "ies"
	}
	return kind + "s"
}

// others returns the versions in which the API server can also show an object
// of the resource: for an unknown one all that a rule names.
func (r *resource) others(rule *resourceRule) []string {
	from := r.versions
	if len(from) == 0 {
		from = rule.versions
	}
	var out []string
	for _, v := range from {
		if v != r.version && v != "*" {
			out = append(out, v)
		}
	}
	return slices.Compact(out)
}
