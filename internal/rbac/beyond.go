package rbac

import (
	"cmp"
	"slices"
	"strings"
)

// atom is the smallest part of a rule: one verb on one resource of one group,
// of one name or of all, or on one URL.
type atom struct {
	verb, group, resource, name, url string
	named, path                      bool // name and url count, be they empty
}

// atoms breaks a rule down. A rule without verbs, or with resources of no group,
// has none: it grants nothing.
func (r *Rule) atoms() []atom {
	var out []atom
	for _, verb := range r.Verbs {
		for _, url := range r.NonResourceURLs {
			out = append(out, atom{verb: verb, url: url, path: true})
		}
		for _, group := range r.APIGroups {
			for _, resource := range r.Resources {
				if len(r.ResourceNames) == 0 {
					out = append(out, atom{verb: verb, group: group, resource: resource})
				}
				for _, name := range r.ResourceNames {
					out = append(out, atom{verb: verb, group: group, resource: resource, name: name, named: true})
				}
			}
		}
	}
	return out
}

// covers says whether the rule grants all that the atom does. This is
// ruleCovers of k8s.io/component-helpers/auth/rbac/validation, by which
// Kubernetes decides whether somebody may hand out a rule.
func (r *Rule) covers(a atom) bool {
	if !has(r.Verbs, a.verb) {
		return false
	}
	if a.path {
		return r.urlMatches(a.url)
	}
	if !has(r.APIGroups, a.group) || a.named && !r.nameMatches(a.name) || !a.named && !r.Unnamed() {
		return false
	}
	if has(r.Resources, a.resource) {
		return true
	}
	_, sub, is := strings.Cut(a.resource, "/")
	return is && slices.Contains(r.Resources, "*/"+sub)
}

// Beyond returns what the rules grant that have does not, each thing once and in
// as few rules as easily come of it, sorted. Origin is not set.
func Beyond(have, rules []*Rule) []Rule {
	seen := map[atom]bool{}
	var left []atom
	for _, r := range rules {
		for _, a := range r.atoms() {
			if !seen[a] && !slices.ContainsFunc(have, func(h *Rule) bool { return h.covers(a) }) {
				left = append(left, a)
			}
			seen[a] = true
		}
	}
	return compact(left)
}

// compact puts atoms together that differ in the verb only, then those that
// differ in the name, then in the resource.
func compact(atoms []atom) []Rule {
	var out []Rule
	for _, a := range atoms {
		r := Rule{Verbs: []string{a.verb}}
		if a.path {
			r.NonResourceURLs = []string{a.url}
		} else {
			r.APIGroups, r.Resources = []string{a.group}, []string{a.resource}
		}
		if a.named {
			r.ResourceNames = []string{a.name}
		}
		out = append(out, r)
	}
	for _, list := range []func(*Rule) *[]string{
		func(r *Rule) *[]string { return &r.Verbs },
		func(r *Rule) *[]string { return &r.ResourceNames },
		func(r *Rule) *[]string { return &r.Resources },
		func(r *Rule) *[]string { return &r.NonResourceURLs },
	} {
		out = join(out, list)
	}
	slices.SortFunc(out, func(a, b Rule) int { return cmp.Compare(a.order(), b.order()) })
	return out
}

// join unites the lists of those rules that are alike in all others.
func join(rules []Rule, list func(*Rule) *[]string) []Rule {
	at := map[string]int{}
	var out []Rule
	for _, r := range rules {
		values := *list(&r)
		rest := r
		*list(&rest) = nil
		// A rule for all names is none for some, so that emptiness counts.
		key := rest.key() + map[bool]string{true: "0", false: "1"}[len(values) == 0]
		i, known := at[key]
		if !known {
			at[key] = len(out)
			*list(&r) = slices.Clone(values)
			out = append(out, r)
			continue
		}
		joined := list(&out[i])
		*joined = append(*joined, values...)
	}
	for i := range out {
		values := list(&out[i])
		slices.Sort(*values)
		*values = slices.Compact(*values)
	}
	return out
}

// order sorts rules for people: by group, resource, name, URL, verb.
func (r *Rule) order() string {
	lists := [...][]string{r.NonResourceURLs, r.APIGroups, r.Resources, r.ResourceNames, r.Verbs}
	parts := make([]string, len(lists))
	for i, l := range lists {
		parts[i] = strings.Join(l, "\x00")
	}
	return strings.Join(parts, "\x01")
}
