package patch

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall"
)

func add(path string, value any) seawall.PatchOp {
	return seawall.PatchOp{Op: "add", Path: path, Value: value}
}

func replace(path string, value any) seawall.PatchOp {
	return seawall.PatchOp{Op: "replace", Path: path, Value: value}
}

func remove(path string) seawall.PatchOp { return seawall.PatchOp{Op: "remove", Path: path} }

type (
	m = map[string]any
	s = []any
)

func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

func TestApply(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   string
		ops  []seawall.PatchOp
		want string
	}{
		{
			name: "replace-scalar-keeps-comment",
			in:   lines("# top", "spec:", "  hostNetwork:   true   # why", "  x: 1"),
			ops:  []seawall.PatchOp{replace("/spec/hostNetwork", false)},
			want: lines("# top", "spec:", "  hostNetwork:   false   # why", "  x: 1"),
		},
		{
			name: "replace-keeps-quotes",
			in:   lines("a: 'x'", `b: "y"`, "c: z", `d: "1"`),
			ops:  []seawall.PatchOp{replace("/a", "it's"), replace("/b", "n"), replace("/c", "yes"), replace("/d", 2)},
			want: lines("a: 'it''s'", `b: "n"`, `c: "yes"`, "d: 2"),
		},
		{
			name: "container-security-context",
			in: lines("spec:", "  containers:", "  - name: web", "    image: nginx:1.27", "    ports:",
				"    - containerPort: 80", "  restartPolicy: Always"),
			ops: []seawall.PatchOp{add("/spec/containers/0/securityContext/capabilities/drop/-", "ALL")},
			want: lines("spec:", "  containers:", "  - name: web", "    image: nginx:1.27", "    securityContext:",
				"      capabilities:", "        drop:", "        - ALL", "    ports:",
				"    - containerPort: 80", "  restartPolicy: Always"),
		},
		{
			name: "indented-lists-of-four",
			in: lines("spec:", "    containers:", "        - name: web", "          ports:",
				"              - containerPort: 80"),
			ops: []seawall.PatchOp{add("/spec/containers/0/securityContext/capabilities", m{"drop": s{"ALL"}})},
			want: lines("spec:", "    containers:", "        - name: web", "          securityContext:",
				"              capabilities:", "                  drop:", "                      - ALL", "          ports:",
				"              - containerPort: 80"),
		},
		{
			name: "whole-object-appends",
			in:   lines("apiVersion: v1", "kind: ServiceAccount", "metadata:", "  name: x", "", "# end"),
			ops:  []seawall.PatchOp{add("/automountServiceAccountToken", false)},
			want: lines("apiVersion: v1", "kind: ServiceAccount", "metadata:", "  name: x", "automountServiceAccountToken: false", "", "# end"),
		},
		{
			name: "empty-value",
			in:   lines("a:", "  securityContext:  # todo", "  b: 1"),
			ops:  []seawall.PatchOp{add("/a/securityContext/privileged", false)},
			want: lines("a:", "  securityContext:  # todo", "    privileged: false", "  b: 1"),
		},
		{
			name: "empty-braces",
			in:   lines("a:", "  securityContext: {}  # todo", "  b: 1"),
			ops:  []seawall.PatchOp{add("/a/securityContext/privileged", false)},
			want: lines("a:", "  securityContext:  # todo", "    privileged: false", "  b: 1"),
		},
		{
			name: "null",
			in:   lines("a:", "  capabilities: null", "  b: 1"),
			ops:  []seawall.PatchOp{add("/a/capabilities/drop", s{"ALL"})},
			want: lines("a:", "  capabilities:", "    drop:", "    - ALL", "  b: 1"),
		},
		{
			name: "null-at-the-end-without-newline",
			in:   "a:\n  b:",
			ops:  []seawall.PatchOp{add("/a/b/c", 1)},
			want: "a:\n  b:\n    c: 1",
		},
		{
			name: "empty-list",
			in:   lines("args: [] # none", "b: 1"),
			ops:  []seawall.PatchOp{add("/args/-", "--x")},
			want: lines("args: # none", "- --x", "b: 1"),
		},
		{
			name: "append-and-insert",
			in:   lines("l:", "  # first", "  - a", "  - b # two", "  # deeper?", "m: 1"),
			ops:  []seawall.PatchOp{add("/l/-", "c"), add("/l/0", "z"), add("/l/2", "w")},
			want: lines("l:", "  - z", "  # first", "  - a", "  - w", "  - b # two", "  - c", "  # deeper?", "m: 1"),
		},
		{
			name: "append-map",
			in:   lines("l:", "-   name: a", "    v: 1"),
			ops:  []seawall.PatchOp{add("/l/-", m{"v": 2, "name": "b"})},
			want: lines("l:", "-   name: a", "    v: 1", "-   name: b", "    v: 2"),
		},
		{
			name: "insert-into-list-in-list",
			in:   lines("- - a", "  - b"),
			ops:  []seawall.PatchOp{add("/0/0", "z"), add("/0/-", "c"), add("/-", "d")},
			want: lines("- - z", "  - a", "  - b", "  - c", "- d"),
		},
		{
			name: "remove-key-with-comments",
			in:   lines("a: 1", "", "# not b's", "", "# about b", "# more", "b:", "  c: 1", "    # deep", "# about d", "d: 1"),
			ops:  []seawall.PatchOp{remove("/b")},
			want: lines("a: 1", "", "# not b's", "", "# about d", "d: 1"),
		},
		{
			name: "remove-first-keeps-head",
			in:   lines("# licence", "a: 1", "b: 2"),
			ops:  []seawall.PatchOp{remove("/a")},
			want: lines("# licence", "b: 2"),
		},
		{
			name: "remove-key-on-dash-line",
			in:   lines("- name: x # n", "  image: y", "- name: z", "  # about image", "  image: y"),
			ops:  []seawall.PatchOp{remove("/0/name"), remove("/1/name")},
			want: lines("- image: y", "- # about image", "  image: y"),
		},
		{
			name: "remove-last-key",
			in:   lines("a:", "  # about b", "  b: 1", "  # trailing", "c: 2"),
			ops:  []seawall.PatchOp{remove("/a/b")},
			want: lines("a: {}", "  # trailing", "c: 2"),
		},
		{
			name: "remove-last-key-of-item-and-root",
			in:   lines("- a: 1", "- b"),
			ops:  []seawall.PatchOp{remove("/0/a"), remove("/1"), remove("/0")},
			want: lines("[]"),
		},
		{
			name: "remove-items",
			in:   lines("add:", "- A", "# about B", "- B", "- C", "x: 1"),
			ops:  []seawall.PatchOp{remove("/add/1"), remove("/add/1"), remove("/add/0")},
			want: lines("add: []", "x: 1"),
		},
		{
			name: "remove-last-line-without-newline",
			in:   "a: 1\nb: 2",
			ops:  []seawall.PatchOp{remove("/b")},
			want: "a: 1\n",
		},
		{
			name: "block-scalar-without-newline",
			in:   "a:\n  b: |\n    text",
			ops:  []seawall.PatchOp{add("/c", 1)},
			want: "a:\n  b: |-\n    text\nc: 1",
		},
		{
			name: "crlf-and-bom",
			in:   "\ufeffa:\r\n  b: 1\r\n---\r\nc:\r\n- 1\r\n",
			ops:  []seawall.PatchOp{add("/a/d/e", true), add("/a/f", s{"x"})},
			want: "\ufeffa:\r\n  b: 1\r\n  f:\r\n  - x\r\n  d:\r\n    e: true\r\n---\r\nc:\r\n- 1\r\n",
		},
		{
			name: "flow",
			in:   lines("a: {x: 1, w: [b, c]}", "z: { q: 1 } # c", "e: {k: {}}"),
			ops: []seawall.PatchOp{
				add("/a/u", m{"o": "on"}), add("/a/w/-", "d"), add("/a/w/0", "a"), add("/z/r", "s"), add("/e/k/l", 1),
				replace("/a/x", "t"),
			},
			want: lines(`a: {x: t, w: [a, b, c, d], u: {o: "on"}}`, "z: { q: 1, r: s } # c", "e: {k: {l: 1}}"),
		},
		{
			name: "flow-remove",
			in:   lines("a: {x: 1, w: [b, c], z: 2}", "b: [1]"),
			ops:  []seawall.PatchOp{remove("/a/x"), remove("/a/w/0"), remove("/a/z"), remove("/b/0")},
			want: lines("a: {w: [c]}", "b: []"),
		},
		{
			name: "flow-on-lines",
			in:   lines("a: {", "  x: 1, # one", "  y: 2 # two", "}", "b: [", "  1,", "]"),
			ops:  []seawall.PatchOp{add("/a/z", 3), add("/b/-", 2)},
			want: lines("a: {", "  x: 1, # one", "  y: 2, # two", "  z: 3", "}", "b: [", "  1,", "  2,", "]"),
		},
		{
			name: "json",
			in:   "{\n\t\"kind\": \"Pod\",\n\t\"spec\": {\n\t\t\"containers\": [\n\t\t\t{\n\t\t\t\t\"name\": \"a\"\n\t\t\t}\n\t\t],\n\t\t\"x\": {}\n\t}\n}\n",
			ops:  []seawall.PatchOp{add("/spec/containers/0/securityContext/privileged", false), add("/spec/x/y", s{"z"})},
			want: "{\n\t\"kind\": \"Pod\",\n\t\"spec\": {\n\t\t\"containers\": [\n\t\t\t{\n\t\t\t\t\"name\": \"a\",\n\t\t\t\t\"securityContext\": {\n\t\t\t\t\t\"privileged\": false\n\t\t\t\t}\n\t\t\t}\n\t\t],\n\t\t\"x\": {\n\t\t\t\"y\": [\n\t\t\t\t\"z\"\n\t\t\t]\n\t\t}\n\t}\n}\n",
		},
		{
			name: "compact-json",
			in:   `{"a":{"b":[1,2]},"c":{}}`,
			ops:  []seawall.PatchOp{add("/a/d", m{"e": "f", "g": 1}), add("/a/b/-", 3), add("/c/x", nil)},
			want: `{"a":{"b":[1,2,3],"d":{"e":"f","g":1}},"c":{"x":null}}`,
		},
		{
			name: "replace-map-changes-differences-only",
			in:   lines("r:", "  limits: # l", "    cpu: 1", "    # m", "    memory: 1Gi", "  x: 1"),
			ops:  []seawall.PatchOp{replace("/r", m{"limits": m{"cpu": 1, "memory": "2Gi"}, "requests": m{"cpu": "10m"}})},
			want: lines("r:", "  limits: # l", "    cpu: 1", "    # m", "    memory: 2Gi", "  requests:", "    cpu: 10m"),
		},
		{
			name: "replace-list",
			in:   lines("l:", "- a # A", "- b # B", "- c # C"),
			ops:  []seawall.PatchOp{replace("/l", s{"a", "c"})},
			want: lines("l:", "- a # A", "- c # C"),
		},
		{
			name: "replace-block-by-scalar-and-back",
			in:   lines("a: # k", "  b: 1", "c:", "- 1", "d: x", "e: |", "  text", "f: 1"),
			ops:  []seawall.PatchOp{replace("/a", 1), replace("/c", "x"), replace("/d", m{"w": 1}), replace("/e", s{1})},
			want: lines("a: 1 # k", "c: x", "d:", "  w: 1", "e:", "- 1", "f: 1"),
		},
		{
			name: "block-scalar-siblings",
			in:   lines("a:", "  s: |+", "    text", "", "  # c", "b: 1"),
			ops:  []seawall.PatchOp{add("/a/t", 1), replace("/a/s", "x")},
			want: lines("a:", "  s: x", "  t: 1", "  # c", "b: 1"),
		},
		{
			name: "remove-after-kept-blank-lines",
			in:   lines("a: |+", "  text", "", "b: 1", "", "c: 2"),
			ops:  []seawall.PatchOp{remove("/b")},
			want: lines("a: |+", "  text", "", "c: 2"),
		},
		{
			name: "replace-items",
			in:   lines("- a # A", "- b: 1", "  c: 2", "-", "- |", "  text"),
			ops:  []seawall.PatchOp{replace("/0", m{"w": 2, "v": 1}), replace("/1", "s"), replace("/2", s{1, 2}), replace("/3", true)},
			want: lines("- v: 1 # A", "  w: 2", "- s", "- - 1", "  - 2", "- true"),
		},
		{
			name: "merge-key-overridden",
			in:   lines("base: &b", "  p: true", "c:", "  <<: *b", "  x: 1"),
			ops:  []seawall.PatchOp{replace("/c/p", false)},
			want: lines("base: &b", "  p: true", "c:", "  <<: *b", "  x: 1", "  p: false"),
		},
		{
			name: "alias-replaced",
			in:   lines("a: &x", "  p: true", "b: *x", "c: 1"),
			ops:  []seawall.PatchOp{replace("/b", m{"p": false}), remove("/c")},
			want: lines("a: &x", "  p: true", "b:", "  p: false"),
		},
		{
			name: "unused-anchor",
			in:   lines("a: &x", "  p: true", "b: &y z"),
			ops:  []seawall.PatchOp{replace("/a/p", false), remove("/a/p"), replace("/b", 1)},
			want: lines("a: {}", "b: 1"),
		},
		{
			name: "quotes-where-needed",
			in:   lines("a: 1"),
			ops: []seawall.PatchOp{add("/l", s{
				"yes", "on", "1e3", "0777", "1:30", "0x1F", "2001-01-01", "~", "null", "", " x", "x ", "a: b", "a #b",
				"#", "- a", "--flag=x", "*", "@x", "100m", "1.27", "1.27.1", "=", "<<", ".inf", "+1", "tab\t", "a\nb",
				"é", "nginx:1.27", "/etc/x", "true", "{{ x }}", "a,b", "%x", "1_000",
			})},
			want: lines("a: 1", "l:", `- "yes"`, `- "on"`, `- "1e3"`, `- "0777"`, `- "1:30"`, `- "0x1F"`, `- "2001-01-01"`,
				`- "~"`, `- "null"`, `- ""`, `- " x"`, `- "x "`, `- "a: b"`, `- "a #b"`, `- "#"`, `- "- a"`, "- --flag=x",
				`- "*"`, `- "@x"`, "- 100m", `- "1.27"`, `- "1.27.1"`, `- "="`, `- "<<"`, `- ".inf"`, `- "+1"`, `- "tab\t"`,
				`- "a\nb"`, `- "é"`, "- nginx:1.27", "- /etc/x", `- "true"`, `- "{{ x }}"`, "- a,b", `- "%x"`, `- "1_000"`),
		},
		{
			name: "escaped-pointer",
			in:   lines("labels:", "  app.kubernetes.io/name: x", "  a~b: y"),
			ops:  []seawall.PatchOp{replace("/labels/app.kubernetes.io~1name", "z"), remove("/labels/a~0b")},
			want: lines("labels:", "  app.kubernetes.io/name: z"),
		},
		{
			name: "document-on-marker-line",
			in:   lines("--- {a: 1}"),
			ops:  []seawall.PatchOp{add("/b", 2)},
			want: lines("--- {a: 1, b: 2}"),
		},
		{
			name: "comments-below-deeper-value-stay-with-it",
			in:   lines("c:", "  resources:", "    limits:", "      cpu: 1", "    # requests:", "    #   cpu: 1", "d: 1"),
			ops:  []seawall.PatchOp{add("/c/image", "x")},
			want: lines("c:", "  resources:", "    limits:", "      cpu: 1", "    # requests:", "    #   cpu: 1", "  image: x", "d: 1"),
		},
		{
			name: "plain-over-lines",
			in:   lines("a: one", "  two", "", "  three # c", "b:", "  long", "c: {d: 'x", "  y', e: z}"),
			ops:  []seawall.PatchOp{replace("/a", "x"), replace("/b", m{"k": 1}), replace("/c/d", 1)},
			want: lines("a: x # c", "b:", "  k: 1", "c: {d: 1, e: z}"),
		},
		{
			name: "nothing-to-do",
			in:   lines("a: { b : 1 }"),
			ops:  []seawall.PatchOp{replace("/a", m{"b": 1.0})},
			want: lines("a: { b : 1 }"),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Apply([]byte(tt.in), 0, tt.ops)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestApplyRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   string
		op   seawall.PatchOp
		want error
		line int
	}{
		{"alias", "a: &x\n  p: 1\nb: *x\n", add("/b/q", 1), ErrShared, 3},
		{"anchor", "a: &x\n  p: 1\nb: *x\n", add("/a/q", 1), ErrShared, 1},
		{"anchor-removed", "a: &x\n  p: 1\nb: *x\n", remove("/a"), ErrShared, 1},
		{"anchor-below-removed", "a:\n  p: &x 1\nb: *x\n", remove("/a"), ErrShared, 2},
		{"merged-removed", "a: &x {p: 1}\nb:\n  <<: *x\n  q: 1\n", remove("/b/p"), ErrShared, 3},
		{"below-merged", "a: &x {p: {r: 1}}\nb:\n  <<: *x\n  q: 1\n", replace("/b/p/r", 2), ErrShared, 3},
		{"question-mark", "a:\n  ? b\n  : c\n", add("/a/d", 1), ErrLayout, 2},
		{"pair-in-brackets", "[a: b]\n", add("/0/d", 1), ErrLayout, 1},
		{"root", "a: 1\n", replace("", 1), ErrPath, 1},
		{"absent", "a: 1\n", remove("/b"), ErrPath, 1},
		{"no-entries", "a: 1\n", add("/a/b", 1), ErrPath, 1},
		{"index", "a: [1]\n", add("/a/2", 1), ErrPath, 1},
		{"pointer", "a: 1\n", remove("a"), ErrPath, 1},
		{"operation", "a: 1\n", seawall.PatchOp{Op: "move", Path: "/a"}, ErrPath, 1},
		{"value", "a: 1\n", add("/b", struct{}{}), ErrValue, 1},
		{"unreadable", "a: {{ .x }}\n", add("/b", 1), ErrLayout, 0},
		{"empty", "---\n# nothing\n", add("/b", 1), ErrPath, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Apply([]byte(tt.in), 0, []seawall.PatchOp{tt.op})
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %q, %v, want %v", got, err, tt.want)
			}
			var r *Refusal
			if !errors.As(err, &r) || r.Line != tt.line {
				t.Errorf("got line %d, want %d: %v", r.Line, tt.line, err)
			}
		})
	}
}
