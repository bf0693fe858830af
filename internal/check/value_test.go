package check

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

const valueObject = `
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web, empty: null, "1": one}}
spec:
  hostPID: null
  hostUsers: true
  priority: 7
  ratio: 1.5
  volumes: [{name: a}, {name: b, emptyDir: {}}]
  args: [a, b, 3, true, null]
  nested: {list: [[1, 2], [3]], map: {a: {b: c}}}
  same: {name: b, emptyDir: {}}
  securityContext: {runAsUser: 1, runAsNonRoot: true, fsGroup: 5}
  containers:
    - {name: app, image: ghcr.io/shop/web:1, securityContext: {runAsUser: 0, runAsNonRoot: null, privileged: true}}
`

// targetOf is the container of valueObject as rules see it.
func targetOf(t testing.TB) *target {
	t.Helper()
	doc := document.Parse([]byte(valueObject), document.Limits{})[0]
	if doc.Err != nil {
		t.Fatal(doc.Err)
	}
	o, _ := cluster.New(doc.Root)
	tmpl := cluster.PodTemplates(o)[0]
	params := document.FromValue(map[string]any{"max": int64(3), "names": []any{"a"}})
	return &target{minor: 30, params: params, object: o, pod: &tmpl, container: &tmpl.Containers[0], path: tmpl.Containers[0].Path}
}

// TestValues says what rules see of an object: what Kubernetes' CEL sees of an
// unstructured one, but that null is absent.
func TestValues(t *testing.T) {
	tests := []struct{ name, expr string }{
		{"null-is-absent", `!has(object.spec.hostPID) && !("empty" in object.metadata.labels)`},
		{"null-is-not-counted", `size(object.metadata.labels) == 2 && object.metadata.labels.all(k, object.metadata.labels[k] != "")`},
		{"null-in-a-list-stays", `size(object.spec.args) == 5 && object.spec.args[4] == null`},
		{"optional-null", `object.spec.?hostPID.orValue(true) == true && !object.spec.?hostPID.hasValue()`},
		{"present-optional", `object.spec.?hostUsers.orValue(false)`},
		{"types", `type(object.spec.priority) == int && type(object.spec.ratio) == double && type(object.spec) == map && type(object.spec.args) == list`},
		{"int-equals-double", `object.spec.priority == 7.0`},
		{"list-equals-list", `object.spec.nested.list == [[1, 2], [3]] && [[1, 2], [3]] == object.spec.nested.list`},
		{"lists-of-other-order", `object.spec.nested.list != [[3], [1, 2]]`},
		{"map-equals-map", `object.spec.nested.map == {"a": {"b": "c"}} && {"a": {"b": "c"}} == object.spec.nested.map`},
		{"own-maps-are-equal", `object.spec.volumes[1] == object.spec.same && object.spec == object.spec`},
		{"map-in-list", `object.spec.same in object.spec.volumes && !(object.spec in object.spec.volumes)`},
		{"scalar-in-list", `"a" in object.spec.args && 3 in object.spec.args && true in object.spec.args && !("3" in object.spec.args)`},
		{"key-in-map", `"app" in object.metadata.labels && !("b" in object.metadata.labels)`},
		{"add-lists", `size(object.spec.args + ["x"]) == 6 && size(["x"] + object.spec.args) == 6 && (object.spec.args + object.spec.args)[5] == "a"`},
		{"iterate-keys", `object.metadata.labels.exists(k, k == "1") && object.metadata.labels.filter(k, k == "app") == ["app"]`},
		{"iterate-two", `object.spec.volumes.map(v, v.name) == ["a", "b"]`},
		{"nested-loops", `object.spec.nested.list.exists(l, l.exists(n, n == 3)) && !object.spec.nested.list.all(l, l.all(n, n < 3))`},
		{"key-like-a-number", `object.metadata.labels["1"] == "one"`},
		{"effective-own-wins", `eff.runAsUser == 0`},
		{"effective-null-inherits", `eff.runAsNonRoot`},
		{"effective-own-only", `eff.privileged && !has(eff.fsGroup)`},
		{"effective-size", `size(eff) == 3 && "runAsNonRoot" in eff && !("fsGroup" in eff)`},
		{"effective-equals", `eff == {"runAsUser": dyn(0), "privileged": dyn(true), "runAsNonRoot": dyn(true)}`},
		{"image", `image.registry == "ghcr.io" && image.repository == "shop/web" && image.tag == "1" && image.digest == ""`},
		{"container-type", `containerType == "container" && minor == 30`},
		{"params", `params.max == 3 && "a" in params.names`},
		{"to-string", `string(object.spec.priority) == "7" && string(object.spec.hostUsers) == "true"`},
		{"clean-path", `cleanPath("/a//b/../c/") == "/a/c" && cleanPath("/var/run/x") == "/run/x" && cleanPath("") == "/"`},
		{"list-out-of-bounds-is-an-error", `!object.spec.args[99].x || true`},
	}
	env, err := newEnv()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := expression(env, tt.expr)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.slow(targetOf(t)); got != types.True {
				t.Errorf("interpreter: got %v, %v, want true", got, err)
			}
			if got, err := c.eval(targetOf(t)); got != types.True {
				t.Errorf("fast path: got %v, %v, want true", got, err)
			}
		})
	}
}

// TestFastPathOnOddExpressions holds the fast path against the interpreter
// where the two could come apart: absorbed errors, comparisons across types,
// optionals in places of values, absent and null values.
func TestFastPathOnOddExpressions(t *testing.T) {
	values := []string{
		`object.spec.hostPID`, `object.spec.priority`, `object.spec.ratio`, `object.spec.args`, `object.spec.absent`, `object.metadata.labels`,
		`object.metadata.name`, `object.spec.?hostUsers`, `object.spec.?absent`, `object.spec.?hostPID`, `eff`, `eff.runAsUser`, `eff.fsGroup`,
		`object.spec.volumes[0]`, `object.spec.args[7]`, `null`, `1`, `"web"`, `true`, `[]`, `["a"]`, `container`, `image.tag`, `params.names`,
		`(has(object.spec.absent) ? object.spec.?a : object.spec.?hostUsers)`, `(true ? object.spec.?priority : object.spec.priority)`,
	}
	patterns := []string{
		`%s == %s`, `%s != %s`, `%s in %s`, `%s < %s`, `%s + %s`, `%s && %s`, `%s || %s`, `[%s, %s]`, `[%s].exists(x, x == %s)`,
		`(%s == 1 || true) && %s == null`, `(false && %s == 1) || (%s == 2 || true)`,
	}
	single := []string{
		`%s`, `size(%s)`, `string(%s)`, `!%s`, `has(%s.name)`, `%s.name`, `%s.orValue(1)`, `%s.hasValue()`, `%s.exists(x, x == "a")`, `%s.all(x, x != "a")`,
		`%s.map(x, x)`, `%s.filter(x, true)`, `%s.map(x, x.?name).exists(n, n == "a")`, `%s["name"]`, `%s[0]`, `%s.?name.orValue("none")`,
		`%s.startsWith("w")`, `%s.matches("^w")`, `%s.split("")`, `%s.split("e")`, `%s.replace("", "x")`, `%s.lowerAscii()`, `%s.exists_one(x, x == "a")`,
		`%s.name.contains("a") || true`, `dyn(%s) == 1`, `%s ? 1 : 2`, `%s.map(x, [x])`, `cleanPath(%s)`, `%s.distinct()`,
	}
	var exprs []string
	for _, v := range values {
		for _, s := range single {
			exprs = append(exprs, fmt.Sprintf(s, v))
		}
		for _, w := range values {
			for _, p := range patterns {
				exprs = append(exprs, fmt.Sprintf(p, v, w))
			}
		}
	}
	env, err := newEnv()
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, text := range exprs {
		if compareOdd(t, env, text) {
			compared++
		}
	}
	if compared < 500 {
		t.Errorf("only %d of %d expressions take the fast path: the test proves little", compared, len(exprs))
	}
}

// compareOdd reports whether an expression compiles, and on the fast path.
func compareOdd(t *testing.T, env *cel.Env, text string) bool {
	t.Helper()
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		return false
	}
	c := &code{fast: compileFast(ast), env: env, ast: ast}
	if c.fast == nil {
		return false
	}
	slow, slowErr := c.slow(targetOf(t))
	fast, fastErr := c.eval(targetOf(t))
	if (slowErr == nil) != (fastErr == nil) {
		t.Errorf("%s: the fast path says %v, %v; the interpreter %v, %v", text, fast, fastErr, slow, slowErr)
		return true
	}
	if slowErr == nil && (slow.Type().TypeName() != fast.Type().TypeName() || !cmp.Equal(jsonValue(slow), jsonValue(fast))) {
		t.Errorf("%s: the fast path says %v %v; the interpreter %v %v", text, fast.Type(), jsonValue(fast), slow.Type(), jsonValue(slow))
	}
	return true
}

// TestFastPathIsBounded: texts and lists that double with each loop must meet
// Kubernetes' limit, not the end of memory.
func TestFastPathIsBounded(t *testing.T) {
	tests := []struct{ name, expr string }{
		{"text", `["xxxxxxxxxx"]` + strings.Repeat(`.map(x, x + x)`, 60) + `.exists(x, x == "")`},
		{"list", `[["x", "x"]]` + strings.Repeat(`.map(x, x + x)`, 60) + `.exists(x, size(x) == 0)`},
		{"replaced", `["xxxxxxxxxx"]` + strings.Repeat(`.map(x, x.replace("x", "xxxxxxxxxxxxxxxx"))`, 20) + `.exists(x, x == "")`},
	}
	env, err := newEnv()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := expression(env, tt.expr)
			if err != nil {
				return // the compiler refuses it already
			}
			got, err := c.eval(targetOf(t))
			if want, wantErr := c.slow(targetOf(t)); (err == nil) != (wantErr == nil) || (err == nil && got != want) {
				t.Errorf("got %v, %v, want %v, %v", got, err, want, wantErr)
			}
		})
	}
}
