package rbac

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"seawall.io/seawall/internal/cluster"
)

// slowAllows says in the plainest way what RuleAllows of Kubernetes says.
func slowAllows(r *Rule, a Attributes) bool {
	in := func(list []string, want ...string) bool {
		for _, w := range want {
			if slices.Contains(list, w) {
				return true
			}
		}
		return false
	}
	if !in(r.Verbs, "*", a.Verb) {
		return false
	}
	if a.Path != "" {
		for _, u := range r.NonResourceURLs {
			if u == a.Path || strings.HasSuffix(u, "*") && strings.HasPrefix(a.Path, strings.TrimRight(u, "*")) {
				return true
			}
		}
		return false
	}
	resources := []string{"*", a.Resource}
	if a.Subresource != "" {
		resources = []string{"*", a.Resource + "/" + a.Subresource, "*/" + a.Subresource}
	}
	return in(r.APIGroups, "*", a.Group) && in(r.Resources, resources...) &&
		(len(r.ResourceNames) == 0 || in(r.ResourceNames, a.Name))
}

// slowDecide walks over everything, with no index.
func slowDecide(m *Model, id Identity, a Attributes) bool {
	if slices.Contains(id.Groups, "system:masters") {
		return true
	}
	for _, b := range m.Bindings {
		if b.Kind == "RoleBinding" && (a.Path != "" || b.Namespace != a.Namespace) {
			continue
		}
		bound := false
		for _, s := range b.Subjects {
			switch s.Kind {
			case "User":
				bound = bound || s.Name == id.User
			case "Group":
				bound = bound || slices.Contains(id.Groups, s.Name)
			case "ServiceAccount":
				bound = bound || s.Namespace != "" && id.User == "system:serviceaccount:"+s.Namespace+":"+s.Name
			}
		}
		if !bound {
			continue
		}
		for _, r := range m.Roles {
			same := r.Kind == b.RoleKind && r.Name == b.RoleName && (r.Kind == "ClusterRole" || r.Namespace == b.Namespace)
			if !same {
				continue
			}
			for _, rule := range r.Rules {
				if slowAllows(rule, a) {
					return true
				}
			}
		}
	}
	return false
}

// world makes small random clusters in which everything is likely to meet.
type world struct{ *rand.Rand }

func (w world) pick(from ...string) string { return from[w.IntN(len(from))] }

func (w world) some(from ...string) []string {
	var out []string
	for range w.IntN(3) {
		out = append(out, w.pick(from...))
	}
	return out
}

func (w world) rules() string {
	var b strings.Builder
	b.WriteString("rules:\n")
	for range 1 + w.IntN(2) {
		fmt.Fprintf(&b, "- {verbs: %q, apiGroups: %q, resources: %q, resourceNames: %q, nonResourceURLs: %q}\n",
			w.some("get", "list", "create", "*"), w.some("", "apps", "*"),
			w.some("pods", "pods/exec", "*/exec", "pods/*", "*", "secrets"), w.some("a", "b", ""),
			w.some("/x", "/x*", "*", "/x/y"))
	}
	return strings.ReplaceAll(b.String(), `" "`, `", "`)
}

func (w world) subjects() string {
	var b strings.Builder
	b.WriteString("subjects:\n")
	for range 1 + w.IntN(2) {
		switch w.IntN(3) {
		case 0:
			fmt.Fprintf(&b, "- {kind: User, name: %q}\n", w.pick("alice", "system:serviceaccount:n1:a", "system:anonymous"))
		case 1:
			fmt.Fprintf(&b, "- {kind: Group, name: %q}\n", w.pick("devs", Authenticated, AllServiceAccounts, "system:serviceaccounts:n1"))
		default:
			fmt.Fprintf(&b, "- {kind: ServiceAccount, name: %q, namespace: %s}\n", w.pick("a", "b"), w.pick("n1", "n2", `""`))
		}
	}
	return b.String()
}

func (w world) snapshot(tb testing.TB) *cluster.Snapshot {
	tb.Helper()
	var b strings.Builder
	object := func(kind, name, ns, rest string) {
		fmt.Fprintf(&b, "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: %s\nmetadata: {name: %s, namespace: %s}\n%s", kind, name, ns, rest)
	}
	for _, ns := range []string{"n1", "n2"} {
		for i := range 2 {
			object("Role", fmt.Sprint("r", i), ns, w.rules())
		}
	}
	for i := range 3 {
		object("ClusterRole", fmt.Sprint("r", i), `""`, w.rules())
	}
	for i := range 4 {
		ref := fmt.Sprintf("roleRef: {kind: %s, name: r%d}\n", w.pick("Role", "ClusterRole"), w.IntN(4))
		object("RoleBinding", fmt.Sprint("b", i), w.pick("n1", "n2"), ref+w.subjects())
	}
	for i := range w.IntN(3) {
		object("ClusterRoleBinding", fmt.Sprint("b", i), `""`, fmt.Sprintf("roleRef: {kind: ClusterRole, name: r%d}\n", w.IntN(4))+w.subjects())
	}
	return parse(tb, b.String())
}

func (w world) identity() Identity {
	switch w.IntN(4) {
	case 0:
		return User("alice", w.some("devs", "ops")...)
	case 1:
		return Identity{User: Anonymous, Groups: []string{Unauthenticated}}
	case 2:
		return User("bob", w.some("devs", Masters)...)
	}
	return Account(w.pick("n1", "n2"), w.pick("a", "b"))
}

func (w world) attributes() Attributes {
	if w.IntN(4) == 0 {
		return Attributes{Verb: w.pick("get", "list"), Path: w.pick("/x", "/x/y", "/z"), Namespace: w.pick("", "n1")}
	}
	return Attributes{
		Verb: w.pick("get", "list", "create"), Group: w.pick("", "apps"), Resource: w.pick("pods", "secrets"),
		Subresource: w.pick("", "exec", "log"), Name: w.pick("", "a", "b"), Namespace: w.pick("", "n1", "n2"),
	}
}

// TestDecideIsAsTheSlowWay compares random decisions in random clusters.
func TestDecideIsAsTheSlowWay(t *testing.T) {
	w := world{rand.New(rand.NewPCG(1, 2))}
	allowed := 0
	for range 300 {
		m := Of(w.snapshot(t))
		for range 60 {
			id, a := w.identity(), w.attributes()
			got, want := m.Decide(id, a), slowDecide(m, id, a)
			if got.Allowed != want {
				t.Fatalf("%+v doing %+v: got %v, want %v", id, a, got.Allowed, want)
			}
			if got.Allowed {
				allowed++
			}
			checkGrant(t, m, id, a, got)
		}
	}
	if allowed < 1000 {
		t.Errorf("only %d of 18000 decisions allow: the clusters are too sparse to compare", allowed)
	}
}

// checkGrant holds a Decision, GrantsFor and WhoCan to the same answer.
func checkGrant(t *testing.T, m *Model, id Identity, a Attributes, d Decision) {
	t.Helper()
	if d.Superuser {
		return
	}
	if d.Allowed && (!d.Grant.Rule.Allows(a) || !d.Grant.Subject.means(id)) {
		t.Fatalf("%+v doing %+v: the grant %v of %v does not allow it", id, a, d.Grant.Rule, d.Grant.Binding)
	}
	namespace := a.Namespace
	if a.Path != "" {
		namespace = ""
	}
	byRules := false
	for _, g := range m.GrantsFor(id, namespace) {
		byRules = byRules || g.Rule.Allows(a)
	}
	byWho := false
	for _, g := range m.WhoCan(a) {
		byWho = byWho || g.Subject.means(id)
	}
	if byRules != d.Allowed || byWho != d.Allowed {
		t.Fatalf("%+v doing %+v: decided %v, effective rules say %v, who-can says %v", id, a, d.Allowed, byRules, byWho)
	}
}

// FuzzRuleAllows compares one rule and one request, both made of the fuzzer's
// words.
func FuzzRuleAllows(f *testing.F) {
	f.Add("get *", " apps", "pods */exec pods/*", "a", "/x*", "get", "", "pods", "exec", "a", "")
	f.Add("*", "*", "*", "", "", "get", "", "pods", "", "", "/x")
	f.Fuzz(func(t *testing.T, verbs, groups, resources, names, urls, verb, group, resource, sub, name, path string) {
		r := &Rule{
			Verbs: strings.Split(verbs, " "), APIGroups: strings.Split(groups, " "),
			Resources: strings.Split(resources, " "), NonResourceURLs: strings.Split(urls, " "),
			ResourceNames: strings.Fields(names),
		}
		a := Attributes{Verb: verb, Group: group, Resource: resource, Subresource: sub, Name: name, Path: path}
		if got, want := r.Allows(a), slowAllows(r, a); got != want {
			t.Errorf("%q allows %+v: got %v, want %v", r, a, got, want)
		}
	})
}
