package check_test

import (
	"fmt"
	"strings"
	"testing"

	"seawall.io/seawall/internal/check"
)

const ruleHead = "# Title\n\nWhy.\n\nFix: do this. Then that.\n\n-- check.yaml --\n"

func TestParseRuleNamesTheLine(t *testing.T) {
	const spec = "id: a\nseverity: low\nmatch: Pod\n"
	tests := []struct{ name, in, want string }{
		{"no-title", "Title\n\nWhy.\n", "x/a.txtar: the first line must be the title: # Title"},
		{"no-fix", "# Title\n\nWhy.\n-- check.yaml --\n", "x/a.txtar: a paragraph that begins with Fix: is missing"},
		{"no-why", "# Title\n\nFix: it.\n-- check.yaml --\n", "x/a.txtar: the paragraph that says why it matters is missing"},
		{"no-spec", "# Title\n\nWhy.\n\nFix: it.\n", "x/a.txtar: the part check.yaml is missing: see docs/adding-a-check.md"},
		{"two-specs", ruleHead + spec + "deny: 'true'\nmessage: m\n-- check.yaml --\n", "x/a.txtar:13: a second part check.yaml: one file is one check"},
		{"unknown-part", ruleHead + spec + "deny: 'true'\nmessage: m\n-- notes --\n", `x/a.txtar:13: part "notes" is none of check.yaml, pass/*, fail/* and fail/*.want`},
		{"want-alone", ruleHead + spec + "deny: 'true'\nmessage: m\n-- fail/a.want --\n", "x/a.txtar: fail/a.want has no example beside it"},
		{"not-yaml", ruleHead + "id: {\n", "x/a.txtar:8: did not find expected node content"},
		{"list", ruleHead + "- id\n", "x/a.txtar:8: want a mapping with id, severity, match and deny or func"},
		{"unknown-field", ruleHead + spec + "denny: a\n", "x/a.txtar:11: denny: unknown field: docs/adding-a-check.md lists the fields"},
		{"severity", ruleHead + "id: a\nseverity: huge\n", `x/a.txtar:9: severity: unknown severity "huge": use none, low, medium, high or critical`},
		{"type", ruleHead + spec + "deny: true\n", "x/a.txtar:11: deny: want a string"},
		{"match", ruleHead + "id: a\nmatch: 5\n", "x/a.txtar:9: match: want a string, or a list of strings"},
		{"refs", ruleHead + "refs: {a: b}\n", "x/a.txtar:8: refs: want a string, or a list of strings"},
		{"default", ruleHead + "default: on\n", "x/a.txtar:8: default: the only value is off"},
		{"params", ruleHead + "params: [a]\n", "x/a.txtar:8: params: want a mapping of names to defaults"},
		{"fix-key", ruleHead + "fix: [{op: set, path: a, vlaue: 1}]\n", `x/a.txtar:8: fix: unknown field "vlaue": want op, path, value, expr, when`},
		{"fix-without-value", ruleHead + "fix: [{op: set, path: a}]\n", "x/a.txtar:8: fix: set a: want either value or expr"},
		{"fix-remove-value", ruleHead + "fix: [{op: remove, path: a, value: 1}]\n", "x/a.txtar:8: fix: remove a: takes no value"},
		{"fix-op", ruleHead + "fix: [{op: delete, path: a}]\n", "x/a.txtar:8: fix: want op: set or remove, and a path"},
		{"fix-scalar", ruleHead + "fix: remove\n", "x/a.txtar:8: fix: want a list of {op: set or remove, path, value or expr}"},
		{"no-id", ruleHead + "severity: low\n", "x/a.txtar:8: id is missing"},
		{"bad-id", ruleHead + "id: A b\nseverity: low\n", `x/a.txtar:8: id "A b": use lower-case letters, digits and dashes`},
		{"no-rule", ruleHead + spec, "x/a.txtar:8: want either deny or func"},
		{"no-message", ruleHead + spec + "deny: 'true'\n", "x/a.txtar:8: message is missing"},
		{"phase", ruleHead + spec + "deny: 'true'\nmessage: m\nphase: later\n", `x/a.txtar:8: phase "later": want build, deploy or runtime`},
		{"layer", ruleHead + spec + "deny: 'true'\nmessage: m\nlayer: sky\n", `x/a.txtar:8: layer "sky": want cloud, cluster, container or code`},
		{"pod-and-kind", ruleHead + "id: a\nseverity: low\nmatch: [pod, Service]\ndeny: 'true'\nmessage: m\n", "x/a.txtar:8: match: pod and container stand alone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := check.ParseRule("x/a.txtar", []byte(tt.in))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestParseRuleReads(t *testing.T) {
	r, err := check.ParseRule("checks/pod/a.txtar", []byte(strings.ReplaceAll(ruleHead, "\n", "\r\n")+"id: a\r\nseverity: High\r\nmatch: container\r\ndeny: 'true'\r\nmessage: m\r\ndefault: off\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(r.ID, r.Topic, r.Title, r.Why, r.Fix, r.Remediation(), r.Severity, r.Phase, r.Layer, r.Off)
	want := fmt.Sprint("a", "pod", "Title", "Why.", "do this. Then that.", "do this.", "high", "build", "container", true)
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSimilar(t *testing.T) {
	var rules []*check.Rule
	for _, id := range []string{"privileged-container", "host-pid", "host-ipc", "naked-pod", "privileged-container-port"} {
		rules = append(rules, &check.Rule{ID: id})
	}
	const none = ": `seawall check list` names them all"
	tests := []struct{ name, want string }{
		{"privilged-container", ": did you mean privileged-container?"},
		{"Host-PID", ": did you mean host-pid?"},
		{"hostipc", ": did you mean host-ipc?"},
		{"privileged", ": did you mean privileged-container, privileged-container-port?"},
		{"container-*", ": did you mean privileged-container, privileged-container-port?"},
		{"zebra", none},
		{"", none},
		{"*", none},
	}
	for _, tt := range tests {
		if got := check.Similar(rules, tt.name); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// FuzzParseRule: no text makes the reader or the compiler of rules panic, and
// what is refused is refused with the file's name.
func FuzzParseRule(f *testing.F) {
	const spec = ruleHead + "id: a\nseverity: low\nmatch: container\neach: ports\nwhen: 'true'\ndeny: |\n  item.hostPort > 0\nmessage: 'port {item.hostPort} %s'\nat: hostPort | pod:spec\n" +
		"fix:\n  - {op: set, path: a, expr: '1', when: 'true'}\n  - {op: remove, path: b}\nrefs: [a]\nparams: {max: 3}\ndefault: off\n"
	f.Add([]byte(spec + "-- pass/a.yaml --\napiVersion: v1\nkind: Pod\n-- fail/b.yaml --\nkind: Pod\n-- fail/b.want --\n1:1 low\n"))
	f.Add([]byte(strings.ReplaceAll(spec, "item.hostPort > 0", "objekt(")))
	f.Add([]byte(strings.ReplaceAll(spec, "{item.hostPort}", "{item")))
	f.Add([]byte(ruleHead + "id: a\nseverity: low\nmatch: Pod\nfunc: f\nneeds: x\n"))
	f.Add([]byte("# T"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := check.ParseRule("x/a.txtar", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "x/a.txtar") {
				t.Errorf("the error names no file: %v", err)
			}
			return
		}
		set, err := check.NewSet([]*check.Rule{r}, check.Options{Funcs: map[string]check.Func{r.Func: func(*check.Input) {}}})
		if err != nil {
			t.Fatal(err)
		}
		if errs := set.Compile(); len(errs) > 0 {
			if !strings.HasPrefix(errs[0].Error(), "x/a.txtar") {
				t.Errorf("the error names no file: %v", errs[0])
			}
			return
		}
		for i := range r.Examples {
			set.Outcome(r.ID, &r.Examples[i])
		}
	})
}
