package rbac

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	ours "seawall.io/seawall/internal/rbac"
)

// object is one API object as somebody wrote it, rightly or wrongly.
type object map[string]any

// world makes small clusters from few words, so that all that can meet does.
type world struct{ *rand.Rand }

func (w world) pick(from ...string) string { return from[w.IntN(len(from))] }

// some is a list of one to three words, rarely empty or of something else.
func (w world) some(from ...string) any {
	out := []any{}
	for range (1 + w.IntN(3)) * min(1, w.IntN(10)) {
		out = append(out, w.pick(from...))
	}
	return w.spoil(out)
}

// spoil makes one value in two hundred a type that the API server refuses.
func (w world) spoil(v any) any {
	if w.IntN(200) > 0 {
		return v
	}
	wrong := []any{"get", 1, true, map[string]any{"get": "get"}, []any{1}, []any{[]any{}}, nil}
	return wrong[w.IntN(len(wrong))]
}

func (w world) rule() any {
	rule := object{"verbs": w.some("get", "list", "create", "delete", "*", "*", "GET", "get*", "")}
	if w.IntN(4) > 0 {
		rule["apiGroups"] = w.some("", "apps", "*", "*", "rbac.authorization.k8s.io")
		rule["resources"] = w.some("pods", "pods/exec", "*/exec", "pods/*", "*/*", "*", "*", "secrets", "", "/", "deployments/scale", "*/scale", "pods/exec/x", "ods", "/exec")
	}
	if w.IntN(3) == 0 {
		rule["resourceNames"] = w.some("a", "b", "", "*")
	}
	if w.IntN(3) == 0 {
		rule["nonResourceURLs"] = w.some("/x", "/x*", "/x**", "*", "**", "/x/y", "/x/*", "/", "", "x*", "/*/y")
	}
	return rule
}

func (w world) rules() any {
	out := []any{}
	for range w.IntN(5) {
		out = append(out, w.spoil(w.rule()))
	}
	return w.spoil(out)
}

func (w world) metadata(name, namespace string) object {
	m := object{"name": name}
	if namespace != "" {
		m["namespace"] = namespace
	}
	return m
}

const apiVersion = "rbac.authorization.k8s.io/v1"

// role makes a Role, or a ClusterRole where namespace is empty. An aggregated
// one has rules of its own only if kept.
func (w world) role(name, namespace string, kept bool) object {
	kind := "ClusterRole"
	if namespace != "" {
		kind = "Role"
	}
	meta := w.metadata(name, namespace)
	o := object{"apiVersion": apiVersion, "kind": kind, "metadata": meta, "rules": w.rules()}
	if kind == "Role" {
		return o
	}
	labels := object{}
	meta["labels"] = w.spoil(labels)
	for range w.IntN(3) {
		labels[w.pick("l", "m", "rbac.authorization.k8s.io/aggregate-to-view", "rbac.authorization.k8s.io/aggregate-to-edit")] = w.spoilLabel(w.pick("x", "true"))
	}
	if w.IntN(3) == 0 {
		o["aggregationRule"] = w.spoil(object{"clusterRoleSelectors": w.selectors()})
		if !kept {
			delete(o, "rules")
		}
	}
	return o
}

func (w world) spoilLabel(v string) any {
	if w.IntN(200) == 0 {
		return true
	}
	return v
}

func (w world) selectors() any {
	out := []any{}
	for range 1 + w.IntN(2) {
		selector := object{}
		if w.IntN(3) > 0 {
			selector["matchLabels"] = w.spoil(object{w.pick("l", "m"): w.spoilLabel(w.pick("x", "true"))})
		}
		if w.IntN(3) == 0 {
			e := object{"key": w.pick("l", "m"), "operator": w.pick("Exists", "DoesNotExist", "In", "NotIn", "in", "Is")}
			if op := e["operator"]; op == "In" || op == "NotIn" || w.IntN(10) == 0 {
				e["values"] = w.spoil([]any{w.pick("x", "true")})
			}
			selector["matchExpressions"] = w.spoil([]any{w.spoil(e)})
		}
		out = append(out, w.spoil(selector))
	}
	return out
}

func (w world) binding(name, namespace string) object {
	kind := "ClusterRoleBinding"
	if namespace != "" {
		kind = "RoleBinding"
	}
	ref := object{
		"apiGroup": w.pick("rbac.authorization.k8s.io", "rbac.authorization.k8s.io", ""),
		"kind":     w.pick("Role", "ClusterRole", "ClusterRole"),
		"name":     w.pick("r0", "r1", "r2", "r3", "r4", "view", "edit", "gone"),
	}
	if w.IntN(50) == 0 {
		ref["kind"] = w.pick("role", "", "User")
	}
	subjects := []any{}
	for range w.IntN(5) {
		subjects = append(subjects, w.spoil(w.subject()))
	}
	meta := w.metadata(name, namespace)
	meta["labels"] = w.spoil(object{"l": w.spoilLabel("x")})
	return object{"apiVersion": apiVersion, "kind": kind, "metadata": meta, "roleRef": w.spoil(ref), "subjects": w.spoil(subjects)}
}

func (w world) subject() object {
	s := object{}
	switch w.IntN(7) {
	case 0, 1:
		s["kind"], s["name"] = "User", w.pick("alice", "system:serviceaccount:n1:a", "system:serviceaccount:n1", "n1:a", "system:anonymous", "devs", "*")
	case 2, 3:
		s["kind"], s["name"] = "Group", w.pick("devs", ours.Authenticated, ours.Unauthenticated, ours.AllServiceAccounts, "system:serviceaccounts:n1", "system:serviceaccount:n1:a", ours.Masters, "*")
	case 4, 5:
		s["kind"], s["name"] = "ServiceAccount", w.pick("a", "b", "system:serviceaccount:n1:a", "n1:a", "*")
		if w.IntN(3) > 0 {
			s["namespace"] = w.pick("n1", "n2", "", "*")
		}
	default:
		s["kind"], s["name"] = w.pick("Robot", "", "user", "serviceaccount"), w.pick("alice", "a", "devs")
	}
	if w.IntN(4) == 0 {
		s["apiGroup"] = w.pick("rbac.authorization.k8s.io", "", "example.com")
	}
	return s
}

// objects makes a cluster of unique names. kept is for aggregated ClusterRoles.
func (w world) objects(kept bool) []object {
	var out []object
	for i := range 5 {
		name := fmt.Sprint("r", i)
		out = append(out, w.role(name, "", kept))
		if i < 2 {
			out = append(out, w.role(name, "n1", kept), w.role(name, "n2", kept))
		}
	}
	for i := range 5 {
		out = append(out, w.binding(fmt.Sprint("b", i), w.pick("n1", "n2")), w.binding(fmt.Sprint("c", i), ""))
	}
	w.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// yaml writes objects as one stream; JSON is YAML.
func yaml(objects []object) string {
	var b strings.Builder
	for _, o := range objects {
		text, err := json.Marshal(o)
		if err != nil {
			panic(err)
		}
		b.Write(text)
		b.WriteString("\n---\n")
	}
	return b.String()
}

func (w world) identity() ours.Identity {
	groups := func() []string {
		var out []string
		for range w.IntN(3) {
			out = append(out, w.pick("devs", "ops", "*", "system:serviceaccount:n1:a", "system:serviceaccounts:n1"))
		}
		return out
	}
	switch w.IntN(12) {
	case 0, 1, 2:
		return ours.User("alice", groups()...)
	case 3:
		return ours.Identity{User: ours.Anonymous, Groups: []string{ours.Unauthenticated}}
	case 4:
		return ours.User("bob", append(groups(), ours.Masters)...)
	case 5:
		return ours.Identity{User: w.pick("system:serviceaccount:n1", "n1:a", "system:serviceaccount:n1:n1:a", "system:serviceaccount::a", "*", "devs"), Groups: groups()}
	case 6:
		return ours.Node("node1")
	}
	return ours.Account(w.pick("n1", "n2", "*"), w.pick("a", "b"))
}

func (w world) attributes() ours.Attributes {
	if w.IntN(4) == 0 {
		return ours.Attributes{Verb: w.pick("get", "list", "post"), Path: w.pick("/x", "/x/y", "/z", "/", "/x*", "/a/y", "*")}
	}
	return ours.Attributes{
		Verb: w.pick("get", "list", "create", "delete", "GET", "*"), Group: w.pick("", "", "apps", "rbac.authorization.k8s.io", "*"),
		Resource: w.pick("pods", "pods", "secrets", "deployments", "*"), Subresource: w.pick("", "", "exec", "log", "scale", "*", "exec/x"),
		Name: w.pick("", "a", "b", "*"), Namespace: w.pick("", "n1", "n2", "n3"),
	}
}
