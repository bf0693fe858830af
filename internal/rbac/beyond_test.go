package rbac

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestBeyond(t *testing.T) {
	get, list := []string{"get"}, []string{"list"}
	tests := []struct {
		name        string
		have, rules []Rule
		want        []Rule
	}{
		{"nothing", []Rule{core(get, []string{"pods"}, nil)}, []Rule{core(get, []string{"pods"}, nil)}, nil},
		{"verb", []Rule{core(get, []string{"pods"}, nil)}, []Rule{core([]string{"list", "get"}, []string{"pods"}, nil)}, []Rule{core(list, []string{"pods"}, nil)}},
		{"all-names-beyond-some", []Rule{core(get, []string{"pods"}, []string{"a"})}, []Rule{core(get, []string{"pods"}, nil)}, []Rule{core(get, []string{"pods"}, nil)}},
		{"some-names-beyond-others", []Rule{core(get, []string{"pods"}, []string{"a"})}, []Rule{core(get, []string{"pods"}, []string{"b", "a", "c"})}, []Rule{core(get, []string{"pods"}, []string{"b", "c"})}},
		{"subresource-of-any", []Rule{core(get, []string{"*/log"}, nil)}, []Rule{core(get, []string{"pods/log", "pods/exec"}, nil)}, []Rule{core(get, []string{"pods/exec"}, nil)}},
		{"wildcard", []Rule{core(get, []string{"*"}, nil)}, []Rule{core(get, []string{"pods", "secrets/x"}, nil)}, nil},
		{"wildcard-beyond-one", []Rule{core(get, []string{"pods"}, nil)}, []Rule{core(get, []string{"*"}, nil)}, []Rule{core(get, []string{"*"}, nil)}},
		{"urls", []Rule{{Verbs: get, NonResourceURLs: []string{"/a*"}}}, []Rule{{Verbs: get, NonResourceURLs: []string{"/ab", "/c", "/b"}}}, []Rule{{Verbs: get, NonResourceURLs: []string{"/b", "/c"}}}},
		{"no-group-is-nothing", nil, []Rule{{Verbs: get, Resources: []string{"pods"}}}, nil},
		{"joined", nil, []Rule{core(get, []string{"pods"}, nil), core(list, []string{"pods"}, nil), core([]string{"list", "get"}, []string{"nodes"}, nil)}, []Rule{core([]string{"get", "list"}, []string{"nodes", "pods"}, nil)}},
		{"not-joined-with-names", nil, []Rule{core(get, []string{"pods"}, nil), core(get, []string{"pods"}, []string{"a"})}, []Rule{core(get, []string{"pods"}, nil), core(get, []string{"pods"}, []string{"a"})}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Beyond(pointers(tt.have), pointers(tt.rules))
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func pointers(rules []Rule) []*Rule {
	out := make([]*Rule, len(rules))
	for i := range rules {
		out[i] = &rules[i]
	}
	return out
}

// TestBeyondCompletes holds that what somebody has, and what is beyond it, allow
// together what both lists of rules do, and that nothing of the rest is left
// when it is asked for again.
func TestBeyondCompletes(t *testing.T) {
	w := world{rand.New(rand.NewPCG(3, 4))}
	allowed := 0
	for range 3000 {
		have, more := w.ruleList(), w.ruleList()
		rest := pointers(Beyond(have, more))
		for range 10 {
			a := w.attributes()
			want := anyAllows(have, a) || anyAllows(more, a)
			if got := anyAllows(have, a) || anyAllows(rest, a); got != want {
				t.Fatalf("%v beyond %v is %v: %+v is allowed: %v, want %v", more, have, rest, a, got, want)
			}
			if want {
				allowed++
			}
		}
		if again := Beyond(have, rest); len(again) != len(rest) {
			t.Fatalf("%v beyond %v: got %v", rest, have, again)
		}
		if left := Beyond(append(have, rest...), more); len(left) > 0 {
			t.Fatalf("%v is still beyond %v and %v: %v", more, have, rest, left)
		}
	}
	if allowed < 2000 {
		t.Errorf("only %d of 30000 requests are allowed", allowed)
	}
}

func (w world) ruleList() []*Rule {
	var out []*Rule
	for range w.IntN(3) {
		out = append(out, &Rule{
			Verbs: w.some("get", "list", "create", "*"), APIGroups: w.some("", "apps", "*"),
			Resources: w.some("pods", "pods/exec", "*/exec", "pods/*", "*", "secrets"), ResourceNames: w.some("a", "b", ""),
		})
		if w.IntN(3) == 0 {
			out = append(out, &Rule{Verbs: w.some("get", "*"), NonResourceURLs: w.some("/x", "/x*", "*", "/x/y", "")})
		}
	}
	return out
}

func anyAllows(rules []*Rule, a Attributes) bool {
	for _, r := range rules {
		if r.Allows(a) {
			return true
		}
	}
	return false
}

// TestGains holds what a person's groups add against decisions: whatever the
// person may do, it may do by its own name or by something that a group adds.
func TestGains(t *testing.T) {
	w := world{rand.New(rand.NewPCG(5, 6))}
	added := 0
	for range 200 {
		s := w.snapshot(t)
		m := Of(s)
		own := Subject{Kind: UserKind, Name: "alice"}
		id := User("alice", "devs")
		gains := m.Gains(s, id, own)
		for range 60 {
			a := w.attributes()
			if a.Path != "" {
				a.Namespace = ""
			}
			want := m.Decide(id, a).Allowed
			got := m.Decide(Identity{User: "alice"}, a).Allowed
			for _, g := range gains {
				if g.Namespace == "" || g.Namespace == a.Namespace {
					if !got && anyAllows(pointers(g.Rules), a) {
						got = true
						added++
					}
				}
			}
			if got != want {
				t.Fatalf("%+v: by name or gains %v, decided %v; gains %+v", a, got, want, gains)
			}
		}
	}
	if added < 200 {
		t.Errorf("groups add only %d of 12000 requests", added)
	}
}
