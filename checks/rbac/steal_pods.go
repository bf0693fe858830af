package rbacchecks

import (
	"fmt"
	"maps"
	"slices"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/rbac"
)

// stealPods is grants, and joins the service accounts of one node: whoever
// takes the node over has the tokens of all of them.
func stealPods(in *check.Input) {
	q, err := readQuery(in.Params)
	if err != nil {
		in.Unknown(nil, "parameters of the check: "+err.Error())
		return
	}
	q.report(in)
	pods := podsByNode(in.Snapshot)
	done := map[[2]rbac.Subject]bool{}
	for _, node := range slices.Sorted(maps.Keys(pods)) {
		accounts := accountsOf(pods[node])
		for i := range q.anyOf {
			q.join(node, accounts, &q.anyOf[i], done)
		}
	}
}

// join reports pairs of accounts of which one holds a need and the other, but
// neither both, all that goes with it.
func (q *query) join(node string, accounts []rbac.Subject, n *need, done map[[2]rbac.Subject]bool) {
	for _, a := range accounts {
		alone := *n
		alone.with = nil
		by, ok := q.anyBinding(a, &alone)
		if !ok || q.holdsAll(a, n.with) {
			continue
		}
		for _, b := range accounts {
			pair := [2]rbac.Subject{a, b}
			if _, alsoA := q.anyBinding(b, &alone); alsoA || done[pair] || !q.holdsAll(b, n.with) {
				continue
			}
			done[pair] = true
			if by.Object == nil {
				continue
			}
			q.in.Report(check.Hit{
				Object: by.Object, Path: "roleRef", Cause: b.String(),
				Message: fmt.Sprintf("%s may evict pods %s, and %s, of which a pod runs on the same node %s, may change nodes", a, where(by), b, node),
			})
		}
	}
}

// anyBinding returns a binding that the question concerns and that gives a
// subject a permission.
func (q *query) anyBinding(s rbac.Subject, n *need) (*rbac.Binding, bool) {
	for _, b := range q.model.AllBindingsFor(s.Identity()) {
		if _, ok := q.gives(b, n); ok && q.concerns(b) {
			return b, true
		}
	}
	return nil, false
}

func (q *query) holdsAll(s rbac.Subject, needs []need) bool {
	for i := range needs {
		if _, ok := q.anyBinding(s, &needs[i]); !ok {
			return false
		}
	}
	return true
}
