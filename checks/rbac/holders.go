package rbacchecks

import (
	"fmt"
	"slices"

	"seawall.io/seawall/internal/rbac"
)

type roleNeed struct {
	role *rbac.Role
	need *need
}

// holder is a subject in the whole cluster, or anywhere.
type holder struct {
	subject  rbac.Subject
	need     *need
	anywhere bool
}

// holders returns the subjects that hold all of with too. notes collects what
// that is, and by which other bindings they do.
func (q *query) holders(b *rbac.Binding, subjects []rbac.Subject, with []need, notes map[string]bool) []rbac.Subject {
	if len(with) == 0 {
		return subjects
	}
	var out []rbac.Subject
	for _, s := range subjects {
		var also []string
		for i := range with {
			note, ok := q.heldBy(s, b, &with[i])
			if !ok {
				break
			}
			also = append(also, note)
		}
		if len(also) < len(with) {
			continue
		}
		out = append(out, s)
		for _, note := range also {
			notes[note] = true
		}
	}
	return out
}

// heldBy says by what a subject of b holds a permission where b grants; by b
// itself if that gives it.
func (q *query) heldBy(s rbac.Subject, b *rbac.Binding, n *need) (note string, ok bool) {
	if m := q.gives(b, n); m != nil {
		return m.phrase(b.Role), true
	}
	other := q.giver(holder{s, n, b.Cluster()})
	if other == nil && !b.Cluster() {
		other = q.first(q.model.BindingsIn(s.Identity(), b.Namespace), n)
	}
	if other == nil {
		return "", false
	}
	return fmt.Sprintf("%s by %s", q.gives(other, n).phrase(b.Role), other), true
}

// giver returns a binding by which somebody holds a permission, nil if there
// is none.
func (q *query) giver(h holder) *rbac.Binding {
	if b, known := q.byHolder[h]; known {
		return b
	}
	bindings := q.model.BindingsIn(h.subject.Identity(), "")
	if h.anywhere {
		bindings = q.model.AllBindingsFor(h.subject.Identity())
	}
	b := q.first(bindings, h.need)
	q.byHolder[h] = b
	return b
}

func (q *query) first(bindings []*rbac.Binding, n *need) *rbac.Binding {
	for _, b := range bindings {
		if q.gives(b, n) != nil {
			return b
		}
	}
	return nil
}

// gives says by what, if at all, a binding gives a permission.
func (q *query) gives(b *rbac.Binding, n *need) *match {
	if b.Role == nil || !inScope(n.scope, b) {
		return nil
	}
	key := roleNeed{b.Role, n}
	m, known := q.byNeed[key]
	if !known {
		for _, rule := range b.Role.Rules {
			if found, ok := n.matches(rule, q.in); ok {
				m = &found
				break
			}
		}
		q.byNeed[key] = m
	}
	return m
}

// isPowerful says whether a namespace has a service account that can do
// anything in the whole cluster.
func (q *query) isPowerful(namespace string) bool {
	if q.powerful == nil {
		q.powerful = map[string]bool{}
		for _, b := range q.model.Bindings {
			if b.Cluster() && b.Role != nil && slices.ContainsFunc(b.Role.Rules, doesAnything) {
				for _, s := range b.Subjects {
					if ns, _, ok := s.Account(); ok {
						q.powerful[ns] = true
					}
				}
			}
		}
	}
	return q.powerful[namespace]
}

// doesAnything says that a rule gives every verb on every resource of the core
// group at least, which has Secrets, Pods and service account tokens.
func doesAnything(r *rbac.Rule) bool { return r.Unnamed() && r.Grants("*", "", "*") }
