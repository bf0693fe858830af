package rbac

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"

	ours "seawall.io/seawall/internal/rbac"
)

// TestBeyond holds what rules grant beyond others to what Kubernetes says of
// somebody who has the others and wants to hand out the rules.
func TestBeyond(t *testing.T) {
	t.Parallel()
	w := world{rand.New(rand.NewPCG(1, 5))}
	covered := 0
	for range 20_000 {
		have, more := w.policy(), w.policy()
		_, missing := validation.Covers(have, more)
		var left []rbacv1.PolicyRule
		for _, r := range ours.Beyond(mine(have), mine(more)) {
			left = append(left, rbacv1.PolicyRule{
				Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames, NonResourceURLs: r.NonResourceURLs,
			})
		}
		if diff := cmp.Diff(parts(missing), parts(left)); diff != "" {
			t.Fatalf("%v beyond %v (-Kubernetes +ours):\n%s", more, have, diff)
		}
		if len(missing) == 0 && len(more) > 0 {
			covered++
		}
	}
	if covered < 1000 || covered > 18_000 {
		t.Errorf("%d of 20000 are covered", covered)
	}
}

// policy makes rules as the API server stores them.
func (w world) policy() []rbacv1.PolicyRule {
	words := func(from ...string) []string {
		var out []string
		for range 1 + w.IntN(2) {
			out = append(out, w.pick(from...))
		}
		return out
	}
	var out []rbacv1.PolicyRule
	for range w.IntN(4) {
		r := rbacv1.PolicyRule{Verbs: words("get", "list", "*", "*")}
		if w.IntN(4) == 0 {
			r.NonResourceURLs = words("/x", "/x*", "*", "/x/y", "/x/*")
		} else {
			r.APIGroups, r.Resources = words("", "apps", "*"), words("pods", "pods/exec", "*/exec", "*", "*", "pods/*")
			if w.IntN(3) == 0 {
				r.ResourceNames = words("a", "b")
			}
		}
		out = append(out, r)
	}
	return out
}

func mine(rules []rbacv1.PolicyRule) []*ours.Rule {
	var out []*ours.Rule
	for _, r := range rules {
		out = append(out, &ours.Rule{
			Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames, NonResourceURLs: r.NonResourceURLs,
		})
	}
	return out
}

// parts are the smallest rules that rules consist of, as sorted text.
func parts(rules []rbacv1.PolicyRule) []string {
	var out []string
	for _, r := range rules {
		for _, part := range mine(validation.BreakdownRule(r)) {
			out = append(out, text(*part))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
