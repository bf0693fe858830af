package check_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"seawall.io/seawall/internal/check"
)

func TestParseRuleOnEvents(t *testing.T) {
	r, err := check.ParseRule("checks/runtime/a.txtar", []byte(ruleHead+`id: a
severity: high
match: [connect, send]
when: container.present
deny: 'true'
message: m
by: tree
count: 3
distinct: net.remote.ip
within: 10s
after:
  - {match: write, deny: file.created, as: drop, within: 1m}
  - match: [chmod]
respond: isolate
`))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.TrimSpace(fmt.Sprintln(r.OnEvents(), r.Phase, r.Layer, r.Match, r.By, r.Count, r.Distinct, r.Within, r.Respond, r.After))
	want := "true runtime container [connect send] tree 3 net.remote.ip 10s isolate [{[write]  file.created drop 1m0s} {[chmod]    10s}]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestWhatRulesAreOn tells rules on events from those on objects, which may both
// speak of containers.
func TestWhatRulesAreOn(t *testing.T) {
	for _, tt := range []struct {
		name, match string
		want        bool
	}{
		{"checks/pod/a.txtar", "container", false},
		{"checks/runtime/a.txtar", "container", true},
		{"own/a.txtar", "exec", true},
		{"own/a.txtar", "[exec, open]", true},
		{"own/a.txtar", "Pod", false},
		{"own/a.txtar", "'*'", false},
	} {
		r, err := check.ParseRule(tt.name, []byte(ruleHead+"id: a\nseverity: low\ndeny: 'true'\nmessage: m\nmatch: "+tt.match+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if r.OnEvents() != tt.want {
			t.Errorf("%s, match %s: on events %v, want %v", tt.name, tt.match, r.OnEvents(), tt.want)
		}
	}
}

func TestParseRuleOnEventsNamesTheLine(t *testing.T) {
	const spec = "id: a\nseverity: low\nmatch: exec\n"
	const full = spec + "deny: 'true'\nmessage: m\n"
	const where = "checks/runtime/a.txtar:"
	tests := []struct{ name, in, want string }{
		{"kind", "id: a\nseverity: low\nmatch: exce\ndeny: 'true'\nmessage: m\n", where + `8: match: "exce" is no kind of event: want one of [exec fork`},
		{"twice", "id: a\nseverity: low\nmatch: [exec, exec]\ndeny: 'true'\nmessage: m\n", where + "8: match: exec is named twice"},
		{"no-deny", spec, where + "8: deny is missing"},
		{"no-message", spec + "deny: 'true'\n", where + "8: message is missing"},
		{"func", spec + "func: f\n", where + "8: func: a check on events has no such field"},
		{"fix", full + "fix: [{op: remove, path: a}]\n", where + "8: fix: a check on events has no such field"},
		{"by", full + "by: user\n", where + `13: by: "user": want process, tree, container, pod or node`},
		{"by-alone", full + "by: pod\n", where + "8: by and within say something of count and after only"},
		{"count", full + "count: 1\n", where + "13: count: want a number from 2 to 1000"},
		{"count-without-by", full + "count: 2\n", where + "8: by is missing"},
		{"count-without-within", full + "count: 2\nby: pod\n", where + "8: within is missing"},
		{"within", full + "count: 2\nby: pod\nwithin: 5\n", where + "15: within: want a duration such as 10s, at most 1h0m0s"},
		{"within-forever", full + "within: 24h\n", where + "13: within: want a duration such as 10s, at most 1h0m0s"},
		{"distinct-alone", full + "distinct: net.name\n", where + "8: distinct without count"},
		{"respond", full + "respond: panic\n", where + `13: respond: "panic": want one of [evidence cut freeze isolate]`},
		{"after", full + "after: exec\n", where + "13: after: want a list of 1 to 4 of {match, deny, as}"},
		{"after-field", full + "after: [{match: exec, named: a}]\n", where + "13: after: line 6 of the part: named: unknown field: want match, when, deny, as, within"},
		{"after-kind", full + "after: [{match: exce}]\n", where + `13: after: line 6 of the part: match: "exce" is no kind of event`},
		{"after-name", full + "after: [{match: exec, as: A-b}]\n", where + `13: after: line 6 of the part: as: "A-b": want a name`},
		{"after-twice", full + "by: pod\nwithin: 1s\nafter: [{match: exec, as: a}, {match: exec, as: a}]\n", where + "8: after: two steps are called a"},
		{"phase", full + "phase: build\n", where + `8: phase "build": checks on events are of the phase runtime`},
		{"layer", full + "layer: sky\n", where + `8: layer "sky": want cloud, cluster, container or code`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := check.ParseRule("checks/runtime/a.txtar", []byte(ruleHead+tt.in))
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	_, err := check.ParseRule("x/a.txtar", []byte(ruleHead+"id: a\nseverity: low\nmatch: Pod\ndeny: 'true'\nmessage: m\nwithin: 1s\n"))
	if err == nil || !strings.Contains(err.Error(), "within: only checks on events have it") {
		t.Errorf("got %v", err)
	}
}

// TestSetsLeaveEventsOut: sets judge objects, and have nothing to say of rules on
// events but that their IDs are taken.
func TestSetsLeaveEventsOut(t *testing.T) {
	r, err := check.ParseRule("checks/runtime/a.txtar", []byte(ruleHead+"id: a\nseverity: low\nmatch: exec\ndeny: 'nonsense('\nmessage: m\n"))
	if err != nil {
		t.Fatal(err)
	}
	set, err := check.NewSet([]*check.Rule{r}, check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if errs := set.Compile(); len(errs) > 0 {
		t.Errorf("compiled: %v", errs)
	}
	if _, err := check.NewSet(slices.Repeat([]*check.Rule{r}, 2), check.Options{}); err == nil {
		t.Error("two checks of one name")
	}
}
