package report

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClean(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "web-1", "web-1"},
		{"unicode", "ünïcode 日本語", "ünïcode 日本語"},
		{"line-ends", "a\r\nb\tc\u2028d", "a  b c d"},
		{"escape-sequence", "\x1b[31m", `\x1b[31m`},
		{"c1", "\u009b31m", `\x9b31m`},
		{"delete", "a\x7f", `a\x7f`},
		{"direction", "a\u202eb", `a\u202eb`},
		{"tag-character", "a\U000e0041", `a\U000e0041`},
		{"invalid", "a\xffb", "a\ufffdb"},
		{"noncharacter", "a\uffff", `a\uffff`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := clean(tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWrap(t *testing.T) {
	tests := []struct {
		name, in string
		width    int
		want     []string
	}{
		{"short", "one two", 20, []string{"one two"}},
		{"at-spaces", "one two three", 8, []string{"one two", "three"}},
		{"exact", "12345678 x", 8, []string{"12345678", "x"}},
		{"long-word", "abcdefghijklmnop qr", 8, []string{"abcdefgh", "ijklmnop", "qr"}},
		{"wide-runes", "日本語日本語", 8, []string{"日本語日", "本語"}},
		{"empty", "", 8, []string{""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, wrap(tt.in, tt.width)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFit(t *testing.T) {
	for _, s := range []string{"short", strings.Repeat("long ", 20), strings.Repeat("日", 20)} {
		if got := fit(s, 10); columns(got) > 10 {
			t.Errorf("%q takes %d columns, want at most 10", got, columns(got))
		}
	}
	if got := truncate("日本語", 7); got != "日…" {
		t.Errorf("got %q, want whole runes", got)
	}
}

func TestProse(t *testing.T) {
	text := func(s string) span { return span{Text: s} }
	tests := []struct {
		name, in string
		want     []block
	}{
		{"empty", "", nil},
		{"paragraphs", "one\ntwo\n\nthree", []block{{Text: []span{text("one two")}}, {Text: []span{text("three")}}}},
		{"list", "- a\n  more\n- b\ntext", []block{{Items: [][]span{{text("a more")}, {text("b text")}}}}},
		{"code", "```yaml\na:\n  b: 1\n```\nafter", []block{{Code: "a:\n  b: 1"}, {Text: []span{text("after")}}}},
		{"code-without-end", "```\na", []block{{Code: "a"}}},
		{"spans", "a `b` **c** d", []block{{Text: []span{text("a "), {Text: "b", Style: "code"}, text(" "), {Text: "c", Style: "strong"}, text(" d")}}}},
		{"link", "[t](https://example.com/x)", []block{{Text: []span{{Text: "t", Style: "link", Target: "https://example.com/x"}}}}},
		{"other-scheme", "[t](javascript:x)", []block{{Text: []span{text("[t](javascript:x)")}}}},
		{"unclosed", "a `b **c [d](", []block{{Text: []span{text("a `b **c [d](")}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, prose(tt.in)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestScalar(t *testing.T) {
	for in, want := range map[string]string{
		"plain-slug": "plain-slug", "apps/v1": "apps/v1", "no": `"no"`, "True": `"True"`, "1e3": `"1e3"`, "": `""`,
		"a: b": `"a: b"`, "-x": `"-x"`, "~": `"~"`, `a"b`: `"a\"b"`,
	} {
		if got := scalar(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}
