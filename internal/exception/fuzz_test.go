package exception

import (
	"strings"
	"testing"
)

// FuzzParseList: no text makes the reader of exceptions panic, hang, or accept
// an exception without a check or a reason.
func FuzzParseList(f *testing.F) {
	for _, seed := range []string{
		"exceptions:\n  - {check: host-*, reason: a, expires: 2027-01-31, container: c, match: 'object.kind == \"Pod\"'}\n",
		"exceptions: []\n---\nexceptions:\n", "exceptions: {}", "- a", "a: b", "exceptions: [[], null, 1]",
		"exceptions:\n  - {check: 1, reason: true}", "exceptions: [{check: a, reason: b, match: 'x('}]", "\xff", "&a [*a]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := ParseList("e.yaml", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "e.yaml:") {
				t.Errorf("the error names no line: %v", err)
			}
			return
		}
		for _, e := range list.entries {
			if e.valid() != nil || e.by != "file" || e.where == "" {
				t.Errorf("accepted %+v", e)
			}
		}
	})
}

// FuzzParseComment: likewise for comments.
func FuzzParseComment(f *testing.F) {
	for _, seed := range []string{
		`seawall:ignore host-pid reason="a b" expires=2027-01-31 container=c`, `seawall:ignore`, `seawall:ignore a`,
		`seawall:ignore a reason="unclosed`, `seawall:ignore a reason=""`, `seawall:ignore [ reason=a`, `seawall:ignored a reason=b`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseComment(text)
		if err == nil && (e.valid() != nil || e.by != "comment" || !strings.HasPrefix(text, marker)) {
			t.Errorf("%q: accepted %+v", text, e)
		}
	})
}

func TestParseComment(t *testing.T) {
	tests := []struct {
		name, in string
		want     entry
		err      string
	}{
		{"all", `seawall:ignore host-* reason="two words" expires=2027-01-31 container=app`, entry{check: "host-*", reason: "two words", expires: "2027-01-31", container: "app"}, ""},
		{"any-order", `seawall:ignore a container=app reason=b`, entry{check: "a", reason: "b", container: "app"}, ""},
		{"no-reason", `seawall:ignore a expires=2027-01-31`, entry{}, "must give a reason"},
		{"empty-reason", `seawall:ignore a reason=""`, entry{}, "must give a reason"},
		{"blank-reason", `seawall:ignore a reason="  "`, entry{}, "must give a reason"},
		{"open-quote", `seawall:ignore a reason="b`, entry{}, "no quote closes it"},
		{"no-such-day", `seawall:ignore a reason=b expires=2027-02-30`, entry{}, "want a date"},
		{"unknown", `seawall:ignore a reason=b until=2027`, entry{}, "is not understood"},
		{"said-twice", `seawall:ignore a reason=b reason=c`, entry{}, "reason is set twice"},
		{"glued", `seawall:ignore a reason="b"expires=2027-01-31`, entry{}, "is not understood"},
		{"another-word", `seawall:ignored a reason=b`, entry{}, "want: # seawall:ignore"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseComment(tt.in)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got error %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			tt.want.by = "comment"
			if *got != tt.want {
				t.Errorf("got %+v, want %+v", *got, tt.want)
			}
		})
	}
}
