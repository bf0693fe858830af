package vap

import (
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// constraints are a MatchResources: which objects a policy or binding is about.
type constraints struct {
	include, exclude []resourceRule
	namespaces       cluster.Selector
	byNamespace      bool // namespaces was given
	namespaceKeys    []string
	objects          cluster.Selector
	byLabels         bool // objects was given
	exact            bool // matchPolicy: Exact
}

// resourceRule is a NamedRuleWithOperations.
type resourceRule struct {
	groups, versions, operations, resources, names []string
	scope                                          string
}

func parseConstraints(n *document.Node) (constraints, error) {
	c := constraints{exact: n.Get("matchPolicy").Str() == "Exact"}
	for _, r := range n.Get("resourceRules").List() {
		c.include = append(c.include, parseResourceRule(r))
	}
	for _, r := range n.Get("excludeResourceRules").List() {
		c.exclude = append(c.exclude, parseResourceRule(r))
	}
	var err error
	if s := n.Get("namespaceSelector"); !s.IsNull() {
		c.byNamespace = true
		c.namespaceKeys = selectorKeys(s)
		if c.namespaces, err = cluster.LabelSelector(s); err != nil {
			return c, err //nolint:wrapcheck // the caller says where
		}
	}
	if s := n.Get("objectSelector"); !s.IsNull() {
		c.byLabels = true
		if c.objects, err = cluster.LabelSelector(s); err != nil {
			return c, err //nolint:wrapcheck // the caller says where
		}
	}
	return c, nil
}

func selectorKeys(s *document.Node) []string {
	var keys []string
	for _, f := range s.Get("matchLabels").Map() {
		keys = append(keys, f.Key)
	}
	for _, e := range s.Get("matchExpressions").List() {
		keys = append(keys, e.Get("key").Str())
	}
	return keys
}

func parseResourceRule(n *document.Node) resourceRule {
	list := func(key string) []string {
		var out []string
		for _, v := range n.Get(key).List() {
			out = append(out, v.Str())
		}
		return out
	}
	return resourceRule{
		groups: list("apiGroups"), versions: list("apiVersions"), operations: list("operations"),
		resources: list("resources"), names: list("resourceNames"), scope: n.Get("scope").Str(),
	}
}

// resource is the API resource of a kind.
type resource struct {
	group, version, name, kind string
	namespaced                 bool
}

// matches says whether a rule is about creating an object.
func (r *resourceRule) matches(res resource, name string, exact bool) bool {
	in := func(list []string, v string) bool { return slices.Contains(list, v) || slices.Contains(list, "*") }
	switch {
	case !in(r.operations, "CREATE"), !in(r.groups, res.group):
		return false
	case exact && !in(r.versions, res.version):
		return false
	case !slices.Contains(r.resources, res.name) && !slices.Contains(r.resources, "*") && !slices.Contains(r.resources, "*/*"):
		return false
	case len(r.names) > 0 && !slices.Contains(r.names, name):
		return false
	case r.scope == "Namespaced" && !res.namespaced, r.scope == "Cluster" && res.namespaced:
		return false
	}
	return true
}

// resources says whether the rules are about an object.
func (c *constraints) resources(res resource, name string) bool {
	about := func(rules []resourceRule) bool {
		return slices.ContainsFunc(rules, func(r resourceRule) bool { return r.matches(res, name, c.exact) })
	}
	// A binding without rules takes those of its policy.
	return (len(c.include) == 0 || about(c.include)) && !about(c.exclude)
}

// kinds names the kinds that the rules are about, as a check's match does.
func (c *constraints) kinds() []string {
	var out []string
	for _, r := range c.include {
		for _, name := range r.resources {
			if strings.HasPrefix(name, "*") {
				return []string{"*"}
			}
			for _, res := range builtin {
				if res.name == name && (slices.Contains(r.groups, res.group) || slices.Contains(r.groups, "*")) {
					out = append(out, res.group+"/"+res.kind)
				}
			}
		}
	}
	if len(out) == 0 {
		return []string{"*"}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// builtin are the resources of Kubernetes itself that policies are written for.
var builtin = []resource{
	{"", "v1", "pods", "Pod", true},
	{"", "v1", "services", "Service", true},
	{"", "v1", "configmaps", "ConfigMap", true},
	{"", "v1", "secrets", "Secret", true},
	{"", "v1", "serviceaccounts", "ServiceAccount", true},
	{"", "v1", "namespaces", "Namespace", false},
	{"", "v1", "nodes", "Node", false},
	{"", "v1", "persistentvolumes", "PersistentVolume", false},
	{"", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", true},
	{"", "v1", "podtemplates", "PodTemplate", true},
	{"", "v1", "replicationcontrollers", "ReplicationController", true},
	{"", "v1", "resourcequotas", "ResourceQuota", true},
	{"", "v1", "limitranges", "LimitRange", true},
	{"", "v1", "endpoints", "Endpoints", true},
	{"apps", "v1", "deployments", "Deployment", true},
	{"apps", "v1", "statefulsets", "StatefulSet", true},
	{"apps", "v1", "daemonsets", "DaemonSet", true},
	{"apps", "v1", "replicasets", "ReplicaSet", true},
	{"batch", "v1", "jobs", "Job", true},
	{"batch", "v1", "cronjobs", "CronJob", true},
	{"autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", true},
	{"policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true},
	{"networking.k8s.io", "v1", "ingresses", "Ingress", true},
	{"networking.k8s.io", "v1", "ingressclasses", "IngressClass", false},
	{"networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", true},
	{"rbac.authorization.k8s.io", "v1", "roles", "Role", true},
	{"rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", true},
	{"rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", false},
	{"rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", false},
	{"storage.k8s.io", "v1", "storageclasses", "StorageClass", false},
	{"scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", false},
	{"admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", false},
	{"admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", false},
	{"apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", false},
}

// resourceOf returns the resource of an object: Kubernetes' own from the table,
// others from a CustomResourceDefinition in the snapshot, or else by the usual
// way of making plurals, as namespaced where the object names a namespace.
func resourceOf(s *cluster.Snapshot, o *cluster.Object) resource {
	group := o.Group()
	version := o.APIVersion[strings.IndexByte(o.APIVersion, '/')+1:]
	for _, r := range builtin {
		if r.group == group && r.kind == o.Kind {
			r.version = version
			return r
		}
	}
	for _, crd := range s.Kind("CustomResourceDefinition") {
		spec := crd.Root.Get("spec")
		if spec.Get("group").Str() == group && spec.At("names", "kind").Str() == o.Kind {
			return resource{group, version, spec.At("names", "plural").Str(), o.Kind, spec.Get("scope").Str() == "Namespaced"}
		}
	}
	return resource{group, version, plural(strings.ToLower(o.Kind)), o.Kind, o.Namespace != ""}
}

// plural makes a plural as k8s.io/apimachinery's UnsafeGuessKindToResource does.
func plural(kind string) string {
	switch {
	case strings.HasSuffix(kind, "s"):
		return kind + "es"
	case strings.HasSuffix(kind, "y"):
		return strings.TrimSuffix(kind, "y") + "ies"
	}
	return kind + "s"
}
