package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	snapshot "seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/vap"
)

// caseLabel keeps the policies apart: each is bound to the objects that carry
// its name, so that the API server's answer is about one policy alone.
const caseLabel = "seawall.io/case"

// TestPolicies asks the API server and Seawall about the same objects under the
// same ValidatingAdmissionPolicies: those in testdata/policies, and many made
// from them by leaving one thing out. They must agree on who is refused, who is
// warned, and on the words.
func TestPolicies(t *testing.T) {
	a := cluster(t)
	files, err := filepath.Glob(filepath.Join("testdata", "policies", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no policies: %v", err)
	}
	for ns, labels := range map[string]map[string]string{
		"policy-prod": {"env": "prod"}, "policy-dev": {"env": "dev"}, "policy-params": nil,
	} {
		a.mustApply(t, namespace(ns, labels))
	}
	var total tally
	var cases []*policyCase
	// Not one after the other: an API server whose last policy with parameters of
	// a kind is gone does not see changes to that kind any more (1.36).
	t.Cleanup(func() {
		for _, c := range cases {
			c.uninstall(t, a)
		}
	})
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			c := readCase(t, name)
			cases = append(cases, c)
			c.install(t, a)
			total.add(c.compare(t, a))
		})
	}
	t.Logf("%d policies: %s", len(files), &total)
}

// tally counts what came out of comparing.
type tally struct{ refused, warned, admitted, invalid, unknown int }

func (n *tally) add(m tally) {
	n.refused += m.refused
	n.warned += m.warned
	n.admitted += m.admitted
	n.invalid += m.invalid
	n.unknown += m.unknown
}

func (n *tally) String() string {
	return fmt.Sprintf("the API server and Seawall agree on %d objects refused, %d warned of and %d admitted; "+
		"%d are refused for other reasons, %d depend on who asks", n.refused, n.warned, n.admitted, n.invalid, n.unknown)
}

// policyCase is one file: a policy with all that belongs to it, and objects. The
// first object violates it.
type policyCase struct {
	name    string
	policy  []byte
	objects []*document.Node
	// userDependent says that the policy asks who the user is.
	userDependent bool
}

func readCase(t *testing.T, file string) *policyCase {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ar := txtar.Parse(text)
	c := &policyCase{
		name:          strings.TrimSuffix(filepath.Base(file), ".txtar"),
		userDependent: bytes.Contains(ar.Comment, []byte("user-dependent")),
	}
	for _, f := range ar.Files {
		if f.Name == "policy.yaml" {
			c.policy = f.Data
			continue
		}
		c.objects = append(c.objects, parse(t, f.Data)...)
	}
	if c.policy == nil || len(c.objects) == 0 {
		t.Fatalf("%s: want policy.yaml and objects", file)
	}
	return c
}

// install puts the policy into effect and waits until it is.
func (c *policyCase) install(t *testing.T, a *api) {
	t.Helper()
	// Definitions before what they define.
	roots := parse(t, c.policy)
	slices.SortStableFunc(roots, func(x, y *document.Node) int {
		return rank(x) - rank(y)
	})
	for _, root := range roots {
		a.mustApply(t, root.AppendJSON(nil))
	}
	eventually(t, "the API server enforces "+c.name, func() bool {
		v, _ := c.ask(t, a, c.objects[0])
		return v.refusal != "" || len(v.warnings) > 0
	})
}

// uninstall takes the policy out of effect, for the tests after this one.
func (c *policyCase) uninstall(t *testing.T, a *api) {
	t.Helper()
	for _, root := range parse(t, c.policy) {
		if rank(root) > rankOther {
			a.remove(t, root)
		}
	}
}

// The order in which objects are applied.
const (
	rankNamespace = iota
	rankDefinition
	rankOther
	rankPolicy
	rankBinding
)

func rank(root *document.Node) int {
	switch root.Get("kind").Str() {
	case "Namespace":
		return rankNamespace
	case "CustomResourceDefinition":
		return rankDefinition
	case "ValidatingAdmissionPolicy":
		return rankPolicy
	case "ValidatingAdmissionPolicyBinding":
		return rankBinding
	}
	return rankOther
}

// said is what the API server says of an object.
type said struct {
	refusal  string
	warnings []string
}

// ask asks the API server to create an object, or the pod of a workload that
// would be admitted itself. decided is false where something else than the
// policies refuses it.
func (c *policyCase) ask(t *testing.T, a *api, root *document.Node) (v said, decided bool) {
	t.Helper()
	v, decided = c.askOne(t, a, root)
	o, _ := snapshot.New(root)
	if !decided || v.refusal != "" || o.Kind == "Pod" {
		return v, decided
	}
	for _, tmpl := range snapshot.PodTemplates(o) {
		pod, decided := c.askOne(t, a, podOf(t, o, &tmpl))
		if !decided {
			return v, false
		}
		v.refusal = pod.refusal
		v.warnings = append(v.warnings, pod.warnings...)
	}
	return v, true
}

// podOf makes the pod of a workload as its controller would.
func podOf(t *testing.T, o *snapshot.Object, tmpl *snapshot.PodTemplate) *document.Node {
	t.Helper()
	meta, _ := tmpl.Root.Get("metadata").Value().(map[string]any)
	if meta == nil {
		meta = map[string]any{}
	}
	meta["generateName"] = o.Name + "-"
	if o.Namespace != "" {
		meta["namespace"] = o.Namespace
	}
	return document.FromValue(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": tmpl.Spec().Value()})
}

const validationFailed = "Validation failed for ValidatingAdmissionPolicy '"

func (c *policyCase) askOne(t *testing.T, a *api, root *document.Node) (v said, decided bool) {
	t.Helper()
	out := a.create(t, root, true)
	for _, w := range out.warnings {
		if rest, ok := strings.CutPrefix(w, validationFailed); ok {
			_, message, _ := strings.Cut(rest, "': ")
			v.warnings = append(v.warnings, message)
		}
	}
	if out.ok() {
		return v, true
	}
	if !strings.Contains(out.message(), "ValidatingAdmissionPolicy '") {
		return v, false
	}
	_, v.refusal, _ = strings.Cut(out.message(), " denied request: ")
	return v, true
}

// compare compares all objects and their variants.
func (c *policyCase) compare(t *testing.T, a *api) tally {
	t.Helper()
	judge := newJudge(t, a, c)
	var n tally
	for _, root := range c.objects {
		for _, v := range append([]*document.Node{root}, variants(root)...) {
			theirs, decided := c.ask(t, a, v)
			if !decided {
				n.invalid++
				continue
			}
			ours := judge.say(t, v)
			if ours.unknown != nil && c.userDependent {
				n.unknown++
				continue
			}
			switch {
			case theirs.refusal != "":
				n.refused++
			case len(theirs.warnings) > 0:
				n.warned++
			default:
				n.admitted++
			}
			if why := ours.differs(theirs); why != "" {
				t.Errorf("%s\nthe API server: %q %q\nSeawall: denied %q, warned %q, unknown %q\nof %s",
					why, theirs.refusal, theirs.warnings, ours.denied, ours.warned, ours.unknown, v.AppendJSON(nil))
			}
		}
	}
	return n
}

// judge judges objects by one policy, with the cluster's namespaces around.
type judge struct {
	set        *check.Set
	id         string
	namespaces []*snapshot.Object
}

func newJudge(t *testing.T, a *api, c *policyCase) *judge {
	t.Helper()
	rules, funcs, err := vap.Parse([]vap.File{{Name: c.name, Text: c.policy}})
	if err != nil {
		t.Fatal(err)
	}
	if len(rules) != 1 {
		t.Fatalf("got %d rules, want 1", len(rules))
	}
	set, err := check.NewSet(rules, check.Options{Funcs: funcs})
	if err != nil {
		t.Fatal(err)
	}
	j := &judge{set: set, id: rules[0].ID}
	for _, item := range a.get(t, "/api/v1/namespaces").Get("items").List() {
		root := document.FromValue(item.Value())
		root = document.NewMap(root.Pos, append(root.Map(),
			document.Field{Key: "apiVersion", Value: document.FromValue("v1")},
			document.Field{Key: "kind", Value: document.FromValue("Namespace")}))
		o, ok := snapshot.New(root)
		if !ok {
			t.Fatalf("no namespace: %s", root.AppendJSON(nil))
		}
		j.namespaces = append(j.namespaces, o)
	}
	return j
}

// verdicts is what Seawall says of an object.
type verdicts struct{ denied, warned, unknown []string }

func (j *judge) say(t *testing.T, root *document.Node) verdicts {
	t.Helper()
	o, ok := snapshot.New(root)
	if !ok {
		t.Fatalf("no object: %s", root.AppendJSON(nil))
	}
	var out check.Result
	j.set.Across(j.id, snapshot.NewSnapshot(append([]*snapshot.Object{o}, j.namespaces...)), &out)
	var v verdicts
	ids := map[string]bool{}
	for i := range out.Findings {
		f := out.Findings[i]
		if out.Objects[i] != o {
			continue
		}
		if ids[f.ID] {
			t.Errorf("two findings have the ID %s: %s", f.ID, f.Message)
		}
		ids[f.ID] = true
		message, note, admitted := strings.Cut(f.Message, " (the API server admits it: ")
		switch {
		case !admitted:
			v.denied = append(v.denied, message)
		case strings.Contains(note, "warn"):
			v.warned = append(v.warned, message)
		}
		if admitted == (f.Severity == seawall.High) {
			t.Errorf("severity is %s of %q", f.Severity, f.Message)
		}
	}
	for _, hole := range out.Incomplete {
		v.unknown = append(v.unknown, hole.Reason)
	}
	return v
}

// differs says in what a verdict differs from the API server's.
func (v *verdicts) differs(theirs said) string {
	switch {
	case len(v.unknown) > 0:
		return "Seawall does not know"
	case (theirs.refusal != "") != (len(v.denied) > 0):
		return "one refuses it"
	case theirs.refusal != "" && !slices.Contains(v.denied, theirs.refusal):
		return "it is refused in other words"
	}
	slices.Sort(v.warned)
	slices.Sort(theirs.warnings)
	if theirs.refusal == "" && !cmp.Equal(v.warned, slices.Compact(theirs.warnings)) && len(v.warned)+len(theirs.warnings) > 0 {
		return "it is warned of in other words"
	}
	return ""
}

// variants returns an object with one value taken out, for each value but those
// that say what and whose it is.
func variants(root *document.Node) []*document.Node {
	var out []*document.Node
	each(root, "", func(path string) {
		switch path {
		case "apiVersion", "kind", "metadata", "metadata.labels", "metadata.name", "metadata.namespace",
			`metadata.labels["` + caseLabel + `"]`:
			return
		}
		if strings.HasSuffix(path, `["`+caseLabel+`"]`) {
			return
		}
		out = append(out, without(root, path, ""))
	})
	return out
}

// each calls f with the path of every value below n.
func each(n *document.Node, path string, f func(path string)) {
	for _, field := range n.Map() {
		p := document.Key(path, field.Key)
		f(p)
		each(field.Value, p, f)
	}
	for i, item := range n.List() {
		p := document.Index(path, i)
		f(p)
		each(item, p, f)
	}
}

// without copies a tree but for one value.
func without(n *document.Node, drop, path string) *document.Node {
	switch n.Kind() {
	case document.Map:
		var out []document.Field
		for _, f := range n.Map() {
			if p := document.Key(path, f.Key); p != drop {
				f.Value = without(f.Value, drop, p)
				out = append(out, f)
			}
		}
		return document.NewMap(n.Pos, out)
	case document.List:
		var out []*document.Node
		for i, item := range n.List() {
			if p := document.Index(path, i); p != drop {
				out = append(out, without(item, drop, p))
			}
		}
		return document.NewList(n.Pos, out)
	default:
		return n
	}
}
