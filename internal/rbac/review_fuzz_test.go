package rbac

import (
	"testing"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// FuzzReview holds that no roles and bindings, however wrong, are too much for
// the model and the review, that a remark is always of an object and says
// something, and that what is said to be idle decides nothing.
func FuzzReview(f *testing.F) {
	f.Add([]byte(shop), false)
	f.Add([]byte(aggregated), true)
	f.Add([]byte(widgets), true)
	f.Add([]byte("apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: a}\nroleRef: {kind: Role, name: a}\nsubjects: [1, {kind: Group}, null]"), true)
	f.Add([]byte("apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: pod-reader, labels: [a]}\nrules: [null, {verbs: [get], apiGroups: [apps/v1], resources: [/, '*/*', pod]}]\naggregationRule: {clusterRoleSelectors: [{}]}"), false)
	f.Fuzz(func(t *testing.T, text []byte, whole bool) {
		var objects []*cluster.Object
		for _, d := range document.Parse(text, document.Limits{}) {
			if o, ok := cluster.New(d.Root); ok && d.Err == nil {
				objects = append(objects, o)
			}
		}
		s := cluster.NewSnapshot(objects)
		s.Whole = whole
		m := Of(s)
		found, _ := m.Review(s)
		for _, r := range found {
			if r.Object == nil || r.Message == "" {
				t.Errorf("a remark says nothing: %+v", r)
			}
		}
		for _, b := range m.Bindings {
			if b.Object == nil {
				continue
			}
			for _, subject := range b.Subjects {
				id := subject.Identity()
				m.Gains(s, id, subject)
				for _, p := range m.Permissions(s, id) {
					if p.Idle == "" {
						continue
					}
					for _, a := range []Attributes{
						{Verb: "get", Resource: "pods", Namespace: "shop", Name: "a"},
						{Verb: "get", Resource: "nodes", Name: "a"},
						{Verb: "get", Path: "/metrics"},
					} {
						if p.Rule.Allows(a) && (p.Binding.Cluster() || a.Namespace == p.Binding.Namespace) {
							t.Errorf("%v by %v allows %+v, though %s", p.Rule, p.Binding, a, p.Idle)
						}
					}
				}
			}
		}
	})
}
