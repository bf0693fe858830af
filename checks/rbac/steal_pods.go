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
	done := map[stolen]bool{}
	for _, node := range slices.Sorted(maps.Keys(pods)) {
		accounts := accountsOf(pods[node])
		for i := range q.anyOf {
			q.join(node, accounts, &q.anyOf[i], done)
		}
	}
}

// stolen is what join reports once, on however many nodes the two meet.
type stolen struct {
	by    *rbac.Binding
	other rbac.Subject
}

// join reports pairs of accounts of which one holds a need and the other,
// while neither holds both, all that goes with it.
func (q *query) join(node string, accounts []rbac.Subject, n *need, done map[stolen]bool) {
	type half struct {
		account rbac.Subject
		by      *rbac.Binding
	}
	var evict []half
	var change []rbac.Subject
	for _, a := range accounts {
		by, all := q.anyBinding(a, n), q.holdsAll(a, n.with)
		switch {
		case by != nil && by.Object != nil && !all:
			evict = append(evict, half{a, by})
		case by == nil && all:
			change = append(change, a)
		}
	}
	for _, h := range evict {
		for _, other := range change {
			if key := (stolen{h.by, other}); !done[key] {
				done[key] = true
				q.in.Report(check.Hit{
					Object: h.by.Object, Path: "roleRef", Cause: other.String(),
					Message: fmt.Sprintf("%s may evict pods %s, and %s, of which a pod runs on the same node %s, may change nodes",
						h.account, where(h.by), other, node),
				})
			}
		}
	}
}

// anyBinding returns a binding that the question concerns and that gives an
// account a permission, nil if there is none.
func (q *query) anyBinding(s rbac.Subject, n *need) *rbac.Binding {
	if q.giver(holder{s, n, true}) == nil {
		return nil
	}
	for _, b := range q.model.AllBindingsFor(s.Identity()) {
		if q.gives(b, n) != nil && q.concerns(b) {
			return b
		}
	}
	return nil
}

func (q *query) holdsAll(s rbac.Subject, needs []need) bool {
	for i := range needs {
		if q.giver(holder{s, &needs[i], true}) == nil {
			return false
		}
	}
	return true
}
