package rbac

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
)

// catalog is the known resources, for questions about rules.
type catalog struct {
	byName map[[2]string]Resource // by group and name
	groups map[string]bool        // of Kubernetes itself, all resources of which are known
	all    []Resource
}

func catalogOf(s *cluster.Snapshot) *catalog {
	type key struct{}
	return cluster.Derive(s, key{}, func() *catalog {
		c := &catalog{byName: map[[2]string]Resource{}, groups: map[string]bool{}, all: Resources(s)}
		for _, r := range c.all {
			c.byName[[2]string{r.Group, r.Name}] = r
		}
		for _, r := range shipped() {
			// That of authentication has whatever somebody may impersonate.
			c.groups[r.Group] = r.Group != "authentication.k8s.io"
		}
		return c
	})
}

// Idle says why a grant allows no request at all: the rule is one that nothing
// can match, or one that a RoleBinding cannot give. Empty means that it may
// allow something. What only another version or an extension of Kubernetes
// could tell is taken to allow something.
func (g Grant) Idle(s *cluster.Snapshot) string {
	c := catalogOf(s)
	if faults, whole := c.faults(g.Rule); whole {
		return faults[0]
	}
	if g.Binding.Cluster() {
		return ""
	}
	return c.outOfReach(g.Rule)
}

// faults returns what of a rule matches no request, whatever binds it, each in
// a clause; whole says that this is all of it.
func (c *catalog) faults(r *Rule) (faults []string, whole bool) {
	switch {
	case len(r.Verbs) == 0:
		return []string{"it names no verb"}, true
	case len(r.NonResourceURLs) > 0:
		return nil, false
	case len(r.Resources) == 0:
		return []string{"it names no resource and no URL"}, true
	case len(r.APIGroups) == 0:
		return []string{`it names no API group (the core group is "")`}, true
	case r.nameless():
		return []string{fmt.Sprintf("a request to %s carries no name, and the rule is restricted to names", strings.Join(r.Verbs, " or "))}, true
	}
	idle := 0
	for _, g := range r.APIGroups {
		if strings.Contains(g, "/") || g == "v1" || g == "core" {
			faults = append(faults, fmt.Sprintf("%q is no API group%s", g, meant(g)))
			idle++
		}
	}
	if idle == len(r.APIGroups) {
		return faults, true
	}
	idle = 0
	for _, resource := range r.Resources {
		if why := c.fault(r, resource); why != "" {
			faults = append(faults, why)
			idle++
		}
	}
	return faults, idle == len(r.Resources)
}

// meant says which group somebody may have meant.
func meant(group string) string {
	if name, _, versioned := strings.Cut(group, "/"); versioned {
		return fmt.Sprintf(": %q is, without a version", name)
	}
	return `: the core group is ""`
}

// nameless says that a rule is restricted to names, and to requests that have
// none.
func (r *Rule) nameless() bool {
	if r.Unnamed() || r.Named("") {
		return false
	}
	return !slices.ContainsFunc(r.Verbs, func(v string) bool { return v != "create" && v != "deletecollection" }) &&
		!slices.ContainsFunc(r.Resources, func(v string) bool { return v == "*" || strings.Contains(v, "/") })
}

// fault says why one entry of a rule's resources matches nothing.
func (c *catalog) fault(r *Rule, entry string) string {
	name, sub, slash := strings.Cut(entry, "/")
	switch {
	case entry == "*", name == "*" && sub != "*" && sub != "":
		return ""
	case slash && sub == "*":
		return fmt.Sprintf("%s matches nothing: name the subresources, or take */SUBRESOURCE", entry)
	case name == "", slash && sub == "":
		return fmt.Sprintf("%q is no resource", entry)
	}
	for _, g := range r.APIGroups {
		if _, exists := c.byName[[2]string{g, name}]; exists || !c.groups[g] {
			return ""
		}
	}
	return c.mistaken(r, name)
}

// mistaken says what somebody may have meant who wrote a resource that none of
// the rule's groups has, all of which are Kubernetes' own. Of a name that is
// nothing like a known one nothing is said: another version may have it.
func (c *catalog) mistaken(r *Rule, name string) string {
	for _, other := range c.all {
		switch {
		case other.Virtual:
		case other.Name == name && other.Kind != "":
			return fmt.Sprintf("%s are of group %s, not of %s", name, quoted(other.Group), quoted(r.APIGroups...))
		case other.Singular != other.Name && slices.Contains(r.APIGroups, other.Group) &&
			(name == other.Singular || name == other.Kind || strings.ToLower(name) == other.Name || slices.Contains(other.Short, name)):
			return fmt.Sprintf("rules know %s as %s", name, other.Name)
		}
	}
	return ""
}

func quoted(words ...string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(out, ", ")
}

// outOfReach says why a rule grants nothing by a RoleBinding.
func (c *catalog) outOfReach(r *Rule) string {
	if len(r.NonResourceURLs) > 0 && len(r.Resources) == 0 {
		return "only a ClusterRoleBinding gives access to URLs"
	}
	// Some other verbs on what is in no namespace are asked about in one: bind on
	// clusterroles, use on what a pod is admitted by.
	other := func(verb string) bool { return !slices.Contains(objectVerbs, verb) }
	if slices.ContainsFunc(r.Verbs, other) || len(r.Resources) == 0 {
		return ""
	}
	for _, entry := range r.Resources {
		name, _, _ := strings.Cut(entry, "/")
		known := 0
		for _, group := range r.APIGroups {
			resource, exists := c.byName[[2]string{group, name}]
			inItself := group == "" && name == "namespaces"
			if !exists && !c.groups[group] || exists && (resource.Namespaced || resource.Virtual) || inItself {
				return ""
			}
			if exists {
				known++
			}
		}
		if known == 0 {
			return ""
		}
	}
	return fmt.Sprintf("%s are in no namespace: only a ClusterRoleBinding gives access to them", strings.Join(r.Resources, ", "))
}
