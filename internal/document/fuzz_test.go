package document

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// awkward are texts that tell YAML readers apart.
var awkward = []string{
	"a: b", "a:\n- b\n- c\nd:\n  e: f\n", "- a\n- - b\n  - c\n-\n- d: e\n  f: g\n",
	"a: |\n  x\n   y\n\n  z\n\nb: >-\n  p\n  q\n\n  r\nc: |2+\n    s\n\n",
	"a: \"x\\ty \\u00e9 z\"\nb: 'it''s'\nc: \"two\n  lines\"\n", "a: plain\n  goes on\n\n  and on\n",
	"{a: [1, 2.0, ~, yes], \"b\":{c: d}}", "a: [x,\n  y, # z\n  'w']\n", "[a, b,]", "{a: , b}",
	"? a\n: b\n", "&x a: *x\n", "a: &x {b: c}\nd: {<<: *x}\n", "<<: {a: b}\na: c\n",
	"a: !!str 1\n", "! 12", "%YAML 1.1\n---\na: b\n...\n---\nc\n", "--- |\n a\n--- b\n",
	"a: b\na: c\n", "1: a\n1.5: b\nyes: c\n~: d\n", "a:\tb\n", "\ta: b\n", "a: b\t# c\n", "a: b #c\n  d\n",
	"a: b\r\nc: d\r\n", "\ufeffa: b", "é: [ü, \"ö\"]\n", "a: 'x'y\n", "a: -\n", "- -1\n- -\n", "a: @b", "a: b: c",
	"a: 0777\nb: 0o17\nc: 0x1f\nd: 1_000\ne: 1:30\nf: 1e3\ng: .5\nh: 9223372036854775808\n",
	"# only a comment", "a: # c\n  # d\n  b\n# e\n", "a:\n\n\n  b\n", "a: >\n\n  x\n\n    y\n  z\n", "a: |\nb: c\n",
	"\"a\": 1\n'b' : 2\nc : 3\n", "a: \"b\" #c\nd: {} #\n", "a: .inf", "a: !!binary aGk=\n", "{\"a\": \"\\ud83d\\ude00 \\/\"}",
	"- a\n b\n-  c: d\n   e: f\n", "a:\n  - b\n - c\n", "a: {b: http://c/d?e, f: g:h}\n", "{{ template }}: x", "- [a: b]\n",
}

func FuzzParse(f *testing.F) {
	for _, text := range awkward {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		// Doc.Text is without them.
		directives := bytes.Contains(text, []byte("%"))
		for _, doc := range Parse(text, Limits{Bytes: 1 << 16, Depth: 64, Nodes: 1 << 12}) {
			if doc.Err == nil && doc.Root != nil && !json.Valid(doc.Root.AppendJSON(nil)) {
				t.Errorf("%q: invalid JSON %q", text, doc.Root.AppendJSON(nil))
			}
			if !directives && !unlikeSigs(doc) {
				compareWithSigs(t, "fuzz", doc)
			}
		}
		for _, p := range pieces(text) {
			comparePaths(t, "fuzz", p)
		}
		Comments(text, "#")
	})
}

// unlikeSigs says whether sigs.k8s.io/yaml may read a document differently on
// purpose: it takes several JSON values, limits and bad encodings otherwise.
func unlikeSigs(doc Doc) bool {
	return startsJSON(doc.Text) || !utf8.Valid(doc.Text)
}

func FuzzParseJSON(f *testing.F) {
	for _, text := range []string{
		`{}`, `[]`, `{"a": [1, -2.5e3, true, false, null, "x\n\u00e9\ud83d\ude00\ud800"]}`, ` 12 `, `"é"`, `01`, `[1,]`,
		`{"a":1,"a":2}`, `18446744073709551615`, `1e400`, `-0`, `-`, `nul`, `"` + "\x01" + `"`, "[1]\n2",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := ParseJSON(text, Limits{})
		var want any
		wantErr := json.Unmarshal(text, &want)
		switch {
		case err != nil && (strings.Contains(err.Error(), "already defined") || strings.Contains(err.Error(), "UTF-8") || strings.Contains(err.Error(), "deeper")):
		case (err == nil) != (wantErr == nil):
			t.Errorf("%q: got error %v, want %v", text, err, wantErr)
		case err == nil:
			if diff := cmp.Diff(want, decoded(t, got.AppendJSON(nil))); diff != "" {
				t.Errorf("%q: differs from encoding/json (-want +got):\n%s", text, diff)
			}
			if again := FromValue(got.Value()).AppendJSON(nil); !bytes.Equal(again, FromValue(got).AppendJSON(nil)) && !hasMap(got) {
				t.Errorf("%q: became %q by way of a Go value", text, again)
			}
		}
	})
}

// hasMap says whether the order of keys may change on the way through a Go
// value.
func hasMap(n *Node) bool {
	if n.Kind() == Map {
		return true
	}
	return slices.ContainsFunc(n.List(), hasMap)
}
