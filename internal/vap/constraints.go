package vap

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// constraints are a MatchResources: which objects a policy or binding is about.
type constraints struct {
	include, exclude []resourceRule
	namespaces       cluster.Selector
	// namespaceKeys are the labels that namespaces asks for.
	namespaceKeys []string
	objects       cluster.Selector
	exact         bool // matchPolicy: Exact
}

// resourceRule is a NamedRuleWithOperations.
type resourceRule struct {
	groups, versions, operations, resources, names []string
	scope                                          string
}

// everything is the selector that the API server puts where none is given.
func everything() *document.Node { return document.NewMap(document.Pos{}, nil) }

func parseConstraints(n *document.Node) (constraints, error) {
	c := constraints{}
	switch policy := n.Get("matchPolicy").Str(); policy {
	case "", "Equivalent":
	case "Exact":
		c.exact = true
	default:
		return c, fmt.Errorf("matchPolicy %q: want Exact or Equivalent", policy)
	}
	for _, r := range n.Get("resourceRules").List() {
		c.include = append(c.include, parseResourceRule(r))
	}
	for _, r := range n.Get("excludeResourceRules").List() {
		c.exclude = append(c.exclude, parseResourceRule(r))
	}
	var err error
	if c.namespaces, err = parseSelector(n, "namespaceSelector"); err != nil {
		return c, err
	}
	c.namespaceKeys = selectorKeys(n.Get("namespaceSelector"))
	c.objects, err = parseSelector(n, "objectSelector")
	return c, err
}

func parseSelector(n *document.Node, field string) (cluster.Selector, error) {
	s := n.Get(field)
	if s.IsNull() {
		s = everything()
	}
	out, err := cluster.LabelSelector(s)
	if err != nil {
		return out, fmt.Errorf("%s: %w", field, err)
	}
	return out, nil
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

func has(list []string, v string) bool { return slices.Contains(list, v) || slices.Contains(list, "*") }

// matches says whether a rule is about creating an object, shown in a version.
func (r *resourceRule) matches(rv *review, version string) bool {
	switch {
	case !has(r.operations, "CREATE"), !has(r.groups, rv.res.group), !has(r.versions, version):
		return false
	case !slices.ContainsFunc(r.resources, func(pattern string) bool {
		name, sub, _ := strings.Cut(pattern, "/")
		return (name == "*" || name == rv.res.name) && (sub == "" || sub == "*")
	}):
		return false
	case len(r.names) > 0 && !slices.Contains(r.names, rv.name):
		return false
	case r.scope == "Namespaced" && !rv.res.namespaced, r.scope == "Cluster" && rv.res.namespaced:
		return false
	}
	return true
}

// about returns the version of the object that the rules ask for: its own, or
// another that is served, if they do not insist on an exact match.
func (c *constraints) about(rules []resourceRule, rv *review) (version string, ok bool) {
	for i := range rules {
		if rules[i].matches(rv, rv.res.version) {
			return rv.res.version, true
		}
	}
	if c.exact {
		return "", false
	}
	for i := range rules {
		for _, other := range rv.res.others(&rules[i]) {
			if rules[i].matches(rv, other) {
				return other, true
			}
		}
	}
	return "", false
}

// chosen says whether the constraints choose an object, and in which version it
// is to be shown. reason is set where that cannot be known.
func (c *constraints) chosen(s *cluster.Snapshot, rv *review) (version string, yes bool, reason string) {
	if !c.objects.Matches(rv.labels) {
		return "", false, ""
	}
	inNamespace, reason := c.inNamespace(s, rv)
	if !inNamespace && reason == "" {
		return "", false, ""
	}
	if _, out := c.about(c.exclude, rv); out {
		return "", false, ""
	}
	// A binding without rules takes those of its policy.
	version, yes = rv.res.version, true
	if len(c.include) > 0 {
		version, yes = c.about(c.include, rv)
	}
	if !yes {
		return "", false, ""
	}
	return version, reason == "", reason
}

// nameLabel is what the API server labels every namespace with (since 1.21).
const nameLabel = "kubernetes.io/metadata.name"

func (c *constraints) inNamespace(s *cluster.Snapshot, rv *review) (yes bool, reason string) {
	switch {
	case rv.res.group == "" && rv.res.name == "namespaces":
		return c.namespaces.Matches(withName(rv.labels, rv.name)), ""
	case !rv.res.namespaced, c.namespaces.Everything():
		return true, ""
	}
	if ns := s.Get("", "Namespace", "", rv.ns); ns != nil {
		return c.namespaces.Matches(withName(ns.Root.At("metadata", "labels"), rv.ns)), ""
	}
	if slices.ContainsFunc(c.namespaceKeys, func(k string) bool { return k != nameLabel }) {
		return false, fmt.Sprintf("it selects namespaces by labels, and the Namespace %s is not among what is scanned: add it", rv.ns)
	}
	return c.namespaces.Matches(withName(nil, rv.ns)), ""
}

// withName adds the label that the API server gives every namespace.
func withName(labels *document.Node, name string) *document.Node {
	out := []document.Field{{Key: nameLabel, Value: document.NewString(document.Pos{}, name)}}
	for _, f := range labels.Map() {
		if f.Key != nameLabel {
			out = append(out, f)
		}
	}
	return document.NewMap(document.Pos{}, out)
}

// kinds names the kinds that the rules are about, as a check's match does. Pods
// are judged in the workloads that make them, too.
func (c *constraints) kinds() []string {
	var out []string
	for i := range c.include {
		r := &c.include[i]
		if slices.Contains(r.groups, "*") && (slices.Contains(r.resources, "*") || slices.Contains(r.resources, "*/*")) {
			return []string{"*"}
		}
		for _, known := range builtin() {
			rv := review{res: known}
			probe := *r
			probe.operations, probe.versions, probe.names, probe.scope = []string{"*"}, []string{"*"}, nil, ""
			if !probe.matches(&rv, known.version) {
				continue
			}
			out = append(out, known.group+"/"+known.kind)
			if known.group == "" && known.kind == "Pod" {
				out = append(out, "apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet",
					"/ReplicationController", "batch/Job", "batch/CronJob")
			}
		}
	}
	if len(out) == 0 {
		// Of resources that only a CustomResourceDefinition explains, the kinds are
		// not known before the scan.
		return []string{strings.Join(slices.Concat(c.include[0].groups, c.include[0].resources), "/")}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
