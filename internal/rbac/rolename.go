package rbac

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// The words of a role's name that make a promise. They are few: a name that
// says less than it might is no fault.
var (
	readWords  = []string{"view", "viewer", "viewers", "read", "reader", "readers", "readonly", "ro"}
	writeWords = []string{
		"write", "writer", "writers", "readwrite", "rw", "edit", "editor", "admin", "manage", "manager",
		"create", "creator", "update", "updater", "patch", "patcher", "delete", "deleter", "operator", "controller",
		"full", "all", "any", "impersonate", "impersonator", "bind", "exec",
	}
	smallWords = []string{"minimal", "limited", "restricted", "basic", "unprivileged"}
)

// wider says what a role gives that its name, or that of a binding to it, does
// not let one expect: "reading, but it may delete pods". Empty is nothing.
func wider(name string, r *Role) string {
	words := wordsOf(name)
	reads := among(words, readWords) && !among(words, writeWords)
	resource := resourceWord(words)
	switch {
	case reads && len(r.writes()) > 0:
		return "reading, but it may also " + some(r.writes())
	case reads && !among(words, []string{"secret", "secrets"}) && r.readsSecrets() != "":
		return "reading, but that takes in Secrets: " + r.readsSecrets()
	case reads && resource != "":
		if all := r.everything(); all != "" {
			return resource + ", but it takes in every resource: " + all
		}
	case among(words, smallWords):
		if all := r.everything(); all != "" && r.any(func(rule *Rule) bool { return rule.Unnamed() && rule.Grants("*", "*", "*") }) {
			return "a few things, but it gives everything: " + all
		}
	}
	return ""
}

// oneNamespace says that a ClusterRoleBinding gives a role named for reading one
// resource, all of which is in namespaces, to service accounts of one namespace
// only.
func oneNamespace(b *Binding) (namespace string, wide bool) {
	words := wordsOf(b.RoleName)
	if !b.Cluster() || !among(words, readWords) || resourceWord(words) == "" {
		return "", false
	}
	namespaced := map[string]bool{}
	for _, r := range shipped() {
		if r.Namespaced {
			namespaced[r.Group+"/"+r.Name] = true
		}
	}
	for _, rule := range b.Role.Rules {
		for _, group := range rule.APIGroups {
			for _, entry := range rule.Resources {
				if name, _, _ := strings.Cut(entry, "/"); !namespaced[group+"/"+name] {
					return "", false
				}
			}
		}
		if len(rule.NonResourceURLs) > 0 {
			return "", false
		}
	}
	for i, s := range b.Subjects {
		ns, _, account := s.Account()
		if !account || i > 0 && ns != namespace {
			return "", false
		}
		namespace = ns
	}
	return namespace, namespace != ""
}

// wordsOf splits a name at what is no letter and at capitals, and takes
// read-only for one word.
func wordsOf(name string) []string {
	var b strings.Builder
	lower := false
	for _, c := range name {
		if unicode.IsUpper(c) && lower {
			b.WriteByte(' ')
		}
		lower = unicode.IsLower(c)
		if unicode.IsLetter(c) {
			b.WriteRune(unicode.ToLower(c))
		} else {
			b.WriteByte(' ')
		}
	}
	return strings.Fields(strings.ReplaceAll(" "+b.String()+" ", " read only ", " readonly "))
}

func among(words, promises []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(promises, w) })
}

// resourceWord returns the resource that stands before the promise in a name
// such as team-secret-reader.
func resourceWord(words []string) string {
	for i, w := range words {
		if i == 0 || !slices.Contains(readWords, w) {
			continue
		}
		for _, r := range shipped() {
			if !r.Virtual && (words[i-1] == r.Name || words[i-1] == r.Singular) {
				return r.Name
			}
		}
	}
	return ""
}

func (r *Role) any(is func(*Rule) bool) bool { return slices.ContainsFunc(r.Rules, is) }

// harmless are resources of which to create one changes nothing: questions to
// the API server, and messages.
var harmless = []string{
	"subjectaccessreviews", "selfsubjectaccessreviews", "localsubjectaccessreviews", "selfsubjectrulesreviews",
	"tokenreviews", "selfsubjectreviews", "events",
}

// writes returns what the role may do but read, in as few words as the first
// rules need.
func (r *Role) writes() []string {
	var out []string
	for _, rule := range r.Rules {
		if len(rule.NonResourceURLs) > 0 {
			continue
		}
		verbs := slices.DeleteFunc(slices.Clone(rule.Verbs), func(v string) bool {
			return v == "get" || v == "list" || v == "watch" || v == "head"
		})
		resources := slices.DeleteFunc(slices.Clone(rule.Resources), func(v string) bool { return slices.Contains(harmless, v) })
		if len(verbs) > 0 && len(resources) > 0 && len(rule.APIGroups) > 0 {
			out = append(out, fmt.Sprintf("%s %s", strings.Join(verbs, ", "), strings.Join(resources, ", ")))
		}
	}
	return out
}

// readsSecrets returns the rule by which the role reads any Secret.
func (r *Role) readsSecrets() string {
	for _, rule := range r.Rules {
		if rule.Unnamed() && (rule.Grants("get", "", "secrets") || rule.Grants("list", "", "secrets") || rule.Grants("watch", "", "secrets")) {
			return rule.String()
		}
	}
	return ""
}

// everything returns the rule by which the role takes in all resources of some
// group.
func (r *Role) everything() string {
	for _, rule := range r.Rules {
		if rule.Unnamed() && slices.Contains(rule.Resources, "*") && len(rule.Verbs) > 0 && len(rule.APIGroups) > 0 {
			return rule.String()
		}
	}
	return ""
}
