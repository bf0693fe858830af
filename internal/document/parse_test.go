package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// one parses a text of one document.
func one(tb testing.TB, text string, l Limits) Doc {
	tb.Helper()
	docs := Parse([]byte(text), l)
	if len(docs) != 1 {
		tb.Fatalf("%q has %d documents, want 1", text, len(docs))
	}
	return docs[0]
}

func TestScalars(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want any
	}{
		{"", nil},
		{"~", nil},
		{"null", nil},
		{"Null", nil},
		{"nULL", "nULL"},
		{"true", true},
		{"y", true},
		{"Yes", true},
		{"ON", true},
		{"n", false},
		{"no", false},
		{"off", false},
		{"False", false},
		{"tRue", "tRue"},
		{"12", int64(12)},
		{"-12", int64(-12)},
		{"+12", int64(12)},
		{"1_000", int64(1000)},
		{"0777", int64(511)},
		{"0o17", int64(15)},
		{"0x1F", int64(31)},
		{"0b101", int64(5)},
		{"0b-1", int64(-1)},
		{"-0b11", int64(-3)},
		{"08", int64(8)},
		{"9223372036854775807", int64(math.MaxInt64)},
		{"9223372036854775808", float64(1 << 63)},
		{"99999999999999999999", 1e20},
		{"1.5", 1.5},
		{"1.0", int64(1)},
		{"1e3", int64(1000)},
		{"1e25", 1e25},
		{".5", 0.5},
		{"5.", int64(5)},
		{"1_0.2_5", 10.25},
		{"1e999", "1e999"},
		{"1:30", "1:30"},
		{"1.2.3", "1.2.3"},
		{"100m", "100m"},
		{"128Mi", "128Mi"},
		{"--flag", "--flag"},
		{"-", []any{nil}},
		{"-a", "-a"},
		{"0x", "0x"},
		{"2006-01-02", "2006-01-02"},
		{"2006-01-02T15:04:05Z", "2006-01-02T15:04:05Z"},
		{"<<", "<<"},
		{`"12"`, "12"},
		{"'yes'", "yes"},
		{"!!str 12", "12"},
		{"! 12", "12"},
		{"!!int '12'", int64(12)},
		{"!!float 12", int64(12)},
		{"!!bool 'on'", true},
		{"!!null ''", nil},
		{"!!binary aGk=", "hi"},
		{"!!timestamp 2006-01-02", "2006-01-02"},
		{"!custom 12", "12"},
	} {
		doc := one(t, "- "+tt.in+"\n", Limits{})
		if doc.Err != nil {
			t.Errorf("%q: %v", tt.in, doc.Err)
			continue
		}
		if diff := cmp.Diff([]any{tt.want}, doc.Root.Value()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.in, diff)
		}
		compareWithSigs(t, tt.in, doc)
	}
}

func TestKeys(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"a", "a"},
		{"12", "12"},
		{"0x10", "16"},
		{"1.0", "1"},
		{"1e10", "1e+10"},
		{"yes", "true"},
		{"off", "false"},
		{"'yes'", "yes"},
		{"2006-01-02", "2006-01-02"},
		{".inf", ".inf"},
		{".nan", ".nan"},
		{"!!str 12", "12"},
	} {
		doc := one(t, tt.in+": v\n", Limits{})
		if doc.Err != nil || doc.Root.Len() != 1 || doc.Root.Map()[0].Key != tt.want {
			t.Errorf("%q: got %s, error %v, want the key %q", tt.in, doc.Root.AppendJSON(nil), doc.Err, tt.want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"duplicate", "kind: Pod\nspec:\n  name: a\n  name: b\n", `line 4: mapping key "name" already defined at line 3`},
		{"duplicate-json", "{\"a\": 1,\n\"a\": 2}", `line 2: mapping key "a" already defined at line 1`},
		{"duplicate-after-conversion", "1: a\n'1': b\n", `line 2: mapping key "1" already defined at line 1`},
		{"second-document", "a: b\n---\n# c\nx: 1\nx: 2\n", `line 5: mapping key "x" already defined at line 4`},
		{"tab", "a:\n\tb: c\n", "a tab indents the line"},
		{"nul", "a: b\x00c\n", "line 1: a NUL byte"},
		{"binary", "\x89PNG\r\n\x1a\n\x00", "line 1: invalid UTF-8"},
		{"utf8", "a: b\nc: \xe9t\xe9\n", "line 2: invalid UTF-8"},
		{"utf16", "\xff\xfea\x00:\x00", "UTF-16"},
		{"infinite", "a: .inf\n", "no number that JSON can hold"},
		{"null-key", "~: a\n", "a mapping key must not be null"},
		{"list-key", "? [a]\n: b\n", "a mapping key must not be a list or a map"},
		{"self", "a: &x\n  b: *x\n", "the value of &x contains itself"},
		{"unknown-anchor", "a: *x\n", "unknown anchor 'x' referenced"},
		{"merge", "<<: a\n", "<< takes a map or a list of maps"},
		{"tag", "a: !!int b\n", `cannot read "b" as !!int`},
		{"version", "%YAML 1.2\n---\na: b\n", "found incompatible YAML document"},
		{"rest", "[a]\nb\n", "the document goes on after its value"},
		{"after-dots", "a: b\n...\nc: d\n", "line 3: text after a ... line needs a --- line before it"},
		{"bare-directive", "%YAML 1.1\n", "a % directive needs a --- line after it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			docs := Parse([]byte(tt.in), Limits{})
			last := docs[len(docs)-1]
			if last.Err == nil || last.Root != nil || !strings.Contains(last.Err.Error(), tt.want) {
				t.Errorf("got %v, want %q", last.Err, tt.want)
			}
		})
	}
}

func TestStream(t *testing.T) {
	type doc struct {
		JSON  string
		Start int32
		Line  int32
		Bad   bool
	}
	for _, tt := range []struct {
		name, in string
		want     []doc
	}{
		{"empty", "", nil},
		{"comments", "# a\n\n# b\n", nil},
		{"bare", "a: b", []doc{{JSON: `{"a":"b"}`, Start: 1, Line: 1}}},
		{"bom", "\ufeffa: b\n", []doc{{JSON: `{"a":"b"}`, Start: 1, Line: 1}}},
		{"crlf", "a: |\r\n  b\r\n  c\r\n---\r\nd: e\r\n", []doc{{`{"a":"b\nc\n"}`, 1, 1, false}, {`{"d":"e"}`, 5, 5, false}}},
		{"explicit", "# c\n---\na: b\n---\n# d\nc: d\n", []doc{{`{"a":"b"}`, 3, 3, false}, {`{"c":"d"}`, 5, 6, false}}},
		{"empty-between", "---\na: b\n---\n# nothing\n---\nc: d\n", []doc{{`{"a":"b"}`, 2, 2, false}, {"null", 4, 0, false}, {`{"c":"d"}`, 6, 6, false}}},
		{"marker-comment", "--- # one\na: b\n", []doc{{`{"a":"b"}`, 2, 2, false}}},
		{"inline", "--- {a: b}\n--- |\n x\n", []doc{{`{"a":"b"}`, 1, 1, false}, {`"x\n"`, 2, 2, false}}},
		{"dots", "a: b\n...\n---\nc: d\n...\n", []doc{{`{"a":"b"}`, 1, 1, false}, {`{"c":"d"}`, 4, 4, false}}},
		{"directive", "%YAML 1.1\n---\na: b\n", []doc{{`{"a":"b"}`, 3, 3, false}}},
		{"not-a-marker", "a: b\n  ---\n", []doc{{`{"a":"b ---"}`, 1, 1, false}}},
		{"bad-in-the-middle", "a: b\n---\na: : b\n---\nc: d\n", []doc{{`{"a":"b"}`, 1, 1, false}, {"null", 3, 0, true}, {`{"c":"d"}`, 5, 5, false}}},
		{"json", " {\"a\": 1}\n", []doc{{`{"a":1}`, 1, 1, false}}},
		{"json-values", "{\"a\": 1}\n[2]\n", []doc{{`{"a":1}`, 1, 1, false}, {`[2]`, 1, 2, false}}},
		{"flow", "{a: 1}\n", []doc{{`{"a":1}`, 1, 1, false}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []doc
			for _, d := range Parse([]byte(tt.in), Limits{}) {
				g := doc{JSON: string(d.Root.AppendJSON(nil)), Start: d.Start, Bad: d.Err != nil}
				if d.Root != nil {
					g.Line = d.Root.Pos.Line
				}
				got = append(got, g)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPositions(t *testing.T) {
	text := "# c\nkind: Pod\nspec:\n  containers:\n  - name: é\n    args: [ä, b, {c: d}]\n  - name: x\n    empty:\n"
	for _, l := range []struct{ name, text string }{
		{"fast", text},
		{"library", text + "other: &a b\n"},
	} {
		root := one(t, l.text, Limits{}).Root
		for _, tt := range []struct {
			path  string
			value Pos
			key   Pos
		}{
			{"kind", Pos{2, 7}, Pos{2, 1}},
			{"spec", Pos{4, 3}, Pos{3, 1}},
			{"spec.containers", Pos{5, 3}, Pos{4, 3}},
			{"spec.containers[0]", Pos{5, 5}, Pos{5, 5}},
			{"spec.containers[0].name", Pos{5, 11}, Pos{5, 5}},
			{"spec.containers[0].args[1]", Pos{6, 15}, Pos{6, 15}},
			{"spec.containers[0].args[2].c", Pos{6, 22}, Pos{6, 19}},
			{"spec.containers[1].empty", Pos{8, 11}, Pos{8, 5}},
		} {
			n, key := root.Find(tt.path)
			if n == nil || n.Pos != tt.value || key != tt.key {
				t.Errorf("%s: %s: got %v, key at %v, want %v and %v", l.name, tt.path, n, key, tt.value, tt.key)
			}
		}
	}
}

func TestMerge(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"alias", "a: &x {b: 1}\nc: {<<: *x, d: 2}\n", `{"a":{"b":1},"c":{"b":1,"d":2}}`},
		{"own-key-after", "a: &x {b: 1}\nc:\n  <<: *x\n  b: 2\n", `{"a":{"b":1},"c":{"b":2}}`},
		{"own-key-before", "a: &x {b: 1}\nc:\n  b: 2\n  <<: *x\n", `{"a":{"b":1},"c":{"b":1}}`},
		{"list", "a: {<<: [{b: 1}, {b: 2, c: 3}]}\n", `{"a":{"b":1,"c":3}}`},
		{"alias-key", "&k a: b\nc: {*k : d}\n", `{"a":"b","c":{"a":"d"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc := one(t, tt.in, Limits{})
			if doc.Err != nil {
				t.Fatal(doc.Err)
			}
			if diff := cmp.Diff(decoded(t, []byte(tt.want)), decoded(t, doc.Root.AppendJSON(nil))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			compareWithSigs(t, tt.name, doc)
		})
	}
}

func TestAliasesShareNodes(t *testing.T) {
	root := one(t, "a: &x {b: c}\nd: *x\n", Limits{}).Root
	if root.Get("a") != root.Get("d") {
		t.Error("the alias has a node of its own")
	}
}

func TestLimits(t *testing.T) {
	laughs := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	var laughsSb259 strings.Builder
	for c := 'b'; c <= 'j'; c++ {
		laughsSb259.WriteString(string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+", ", 9) + "*" + string(c-1) + "]\n")
	}
	laughs += laughsSb259.String()
	deepAlias := "a: &a " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\nb: " + strings.Repeat("[", 100) + "*a" + strings.Repeat("]", 100) + "\n"
	for _, tt := range []struct{ name, in, want string }{
		{"billion-laughs", laughs, "more than 2000000 values"},
		{"deep-json", strings.Repeat("[", 100_000), "nest deeper than 256 levels"},
		{"deep-flow", "a: " + strings.Repeat("[", 300) + strings.Repeat("]", 300), "nest deeper than 256 levels"},
		{"deep-block", strings.Repeat("- ", 300) + "a", "nest deeper than 256 levels"},
		{"deep-alias", deepAlias, "nest deeper than 256 levels"},
		{"very-deep", strings.Repeat("- ", 100_000) + "a", "exceeded max depth"},
		{"many", strings.Repeat("- a\n", 2_000_001), "more than 2000000 values"},
		{"many-flow", "a: [" + strings.Repeat("1,", 2_000_001) + "]", "more than 2000000 values"},
		{"large", strings.Repeat("a", 200<<20), "the text has 209715200 bytes, the limit is 33554432"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			doc := one(t, tt.in, Limits{})
			if doc.Err == nil || !strings.Contains(doc.Err.Error(), tt.want) {
				t.Errorf("got %v, want %q", doc.Err, tt.want)
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestManyEmptyDocuments(t *testing.T) {
	docs := Parse([]byte(strings.Repeat("---\n", 1000)), Limits{Nodes: 10})
	if len(docs) != 11 || docs[9].Err != nil || docs[10].Err == nil {
		t.Errorf("got %d documents, want 10 and one with an error", len(docs))
	}
}

func TestParseJSON(t *testing.T) {
	root, err := ParseJSON([]byte("{\"é\": [1,\n 2.5, \"a\\n\"]}"), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := NewMap(Pos{1, 1}, []Field{{Key: "é", Pos: Pos{1, 2}, Value: NewList(Pos{1, 7}, []*Node{
		NewInt(Pos{1, 8}, 1), NewFloat(Pos{2, 2}, 2.5), NewString(Pos{2, 7}, "a\n"),
	})}})
	if diff := difference("", root, want); diff != "" {
		t.Error(diff)
	}
	_, err = ParseJSON([]byte("{\"a\":\n [1 2]}"), Limits{})
	var e *Error
	if !errors.As(err, &e) || e.Line != 2 || e.Column != 5 {
		t.Errorf("got %#v, want an error at 2:5", err)
	}
}

func TestFromValue(t *testing.T) {
	got := FromValue(map[string]any{
		"b": []any{int64(1), 2.5, "x", nil, true, json.Number("7")},
		"a": map[string]any{"<": "\u2028\x01\"\\\n"},
		"c": []string{"y"},
	}).AppendJSON(nil)
	want := `{"a":{"<":"` + "\u2028" + `\u0001\"\\\n"},"b":[1,2.5,"x",null,true,7],"c":["y"]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestComments(t *testing.T) {
	text := `# seawall: head
a: b # seawall: tail
c: "# seawall: quoted"
d: 'it''s # seawall: quoted' # seawall: after quotes
e: |
  # seawall: text

  # seawall: text
# seawall: below
f:
- g: >-
    # seawall: text
  # seawall: beside g
- |2
    x
  # seawall: text
- "two
  # seawall: quoted"
- it's#seawall: no comment
- {a: '#seawall: quoted'} #seawall: tight
`
	want := []Comment{
		{1, true, "seawall: head"},
		{2, false, "seawall: tail"},
		{4, false, "seawall: after quotes"},
		{9, true, "seawall: below"},
		{13, true, "seawall: beside g"},
		{20, false, "seawall: tight"},
	}
	for _, text := range []string{text, strings.ReplaceAll(text, "\n", "\r\n")} {
		if diff := cmp.Diff(want, Comments([]byte(text), "seawall:")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestTextIsTheInput(t *testing.T) {
	text := []byte("a: b\n---\nc: d\n")
	docs := Parse(text, Limits{})
	if len(docs) != 2 || !bytes.Equal(docs[1].Text, text[9:]) || &docs[1].Text[0] != &text[9] {
		t.Errorf("got %v", docs)
	}
}
