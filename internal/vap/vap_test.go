package vap

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// TestVerdicts judges objects by small policies. test/e2e holds larger ones
// against a real API server.
func TestVerdicts(t *testing.T) {
	const (
		pod        = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop, labels: {app: web}}\nspec: {containers: [{name: a, image: nginx}]}\n"
		deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a, image: nginx}]}}}\n"
		config     = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
		ns         = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {env: prod}}\n"
		widget     = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w, namespace: shop}\nspec: {size: 3}\n"
	)
	always := `validations: [{expression: "false", message: refused}]`
	for _, tt := range []struct {
		name            string
		policy, binding string // below spec
		rule            string // of matchConstraints; pods by default
		objects         string
		want            []string
	}{
		{name: "pod", policy: always, objects: pod, want: []string{"Pod/shop/web : refused"}},
		{
			name: "pod-of-workload", policy: `validations: [{expression: "!object.spec.containers.exists(c, c.image == 'nginx')"}]`, objects: deployment,
			want: []string{"Deployment/shop/web spec.template.spec.containers: failed expression: !object.spec.containers.exists(c, c.image == 'nginx')"},
		},
		{
			name: "path-of-variable", policy: `variables: [{name: cs, expression: object.spec.containers}]
  validations: [{expression: "variables.cs.size() == 2", message: " two "}]`, objects: deployment,
			want: []string{"Deployment/shop/web spec.template.spec.containers: two"},
		},
		{
			name: "path-of-optional", policy: `validations: [{expression: "object.?spec.?hostNetwork.orValue(false) == true", message: refused}]`, objects: pod,
			want: []string{"Pod/shop/web spec.hostNetwork: refused"},
		},
		{
			name: "warn", policy: always, binding: "validationActions: [Warn, Audit]", objects: pod,
			want: []string{"Pod/shop/web : refused (the API server admits it: warn, audit only)"},
		},
		{name: "no-operation", policy: always, rule: `{apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [pods]}`, objects: pod},
		{name: "subresource", policy: always, rule: `{apiGroups: [""], apiVersions: [v1], operations: ["*"], resources: [pods/exec]}`, objects: pod},
		{name: "pods-star", policy: always, rule: `{apiGroups: [""], apiVersions: [v1], operations: ["*"], resources: ["pods/*"]}`, objects: pod, want: []string{"Pod/shop/web : refused"}},
		{name: "version-never-served", policy: always, rule: `{apiGroups: [apps], apiVersions: [v1beta1], operations: ["*"], resources: [deployments]}`, objects: deployment},
		{
			name: "version-that-reads-differently", policy: always, rule: `{apiGroups: [autoscaling], apiVersions: [v1], operations: ["*"], resources: [horizontalpodautoscalers]}`,
			objects: "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\nspec: {maxReplicas: 2}\n",
			want:    []string{"unknown: it asks for version v1 of the object, which reads differently: write the object in that version"},
		},
		{
			name: "unknown-kind", policy: `validations: [{expression: "object.spec.size < 3 && object.apiVersion == 'example.com/v2'", messageExpression: "string(object.apiVersion)"}]`,
			rule: `{apiGroups: [example.com], apiVersions: [v2], operations: ["*"], resources: [widgets]}`, objects: widget, want: []string{"Widget/shop/w spec.size: example.com/v2"},
		},
		{
			name: "name", policy: always, rule: `{apiGroups: ["*"], apiVersions: ["*"], operations: ["*"], resources: ["*"], resourceNames: [w]}`, objects: widget + "---\n" + pod,
			want: []string{"Widget/shop/w : refused"},
		},
		{
			name: "scope-cluster", policy: always, rule: `{apiGroups: ["*"], apiVersions: ["*"], operations: ["*"], resources: ["*"], scope: Cluster}`, objects: ns + "---\n" + pod,
			want: []string{"Namespace/shop : refused"},
		},
		{
			name: "no-policy-on-policies", policy: always, rule: `{apiGroups: ["*"], apiVersions: ["*"], operations: ["*"], resources: ["*"]}`,
			objects: "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: x}\n---\napiVersion: authentication.k8s.io/v1\nkind: TokenReview\nmetadata: {name: x}\n",
		},
		{
			name: "namespace-unknown", policy: always, binding: "matchResources: {namespaceSelector: {matchLabels: {env: prod}}}", objects: pod,
			want: []string{"unknown: it selects namespaces by labels, and the Namespace shop is not among what is scanned: add it"},
		},
		{name: "namespace-known", policy: always, binding: "matchResources: {namespaceSelector: {matchLabels: {env: prod}}}", objects: pod + "---\n" + ns, want: []string{"Pod/shop/web : refused"}},
		{name: "namespace-by-name", policy: always, binding: "matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: other}}}", objects: pod},
		{name: "namespace-unknown-but-unlabelled", policy: always, binding: "matchResources: {namespaceSelector: {matchLabels: {env: prod}}, objectSelector: {matchLabels: {a: b}}}", objects: pod},
		{
			name: "namespace-object", policy: `validations: [{expression: "namespaceObject.metadata.name == 'shop' && namespaceObject.metadata.labels.env == 'prod'"}]`, objects: pod,
			want: []string{"unknown: it looks at the Namespace shop, which is not among what is scanned: add it"},
		},
		{
			name: "default-namespace", policy: `validations: [{expression: "object.metadata.namespace != 'default' || request.namespace != 'default'", message: default}]`,
			rule: `{apiGroups: [""], apiVersions: [v1], operations: ["*"], resources: [configmaps]}`, objects: config, want: []string{"ConfigMap/c metadata.namespace: default"},
		},
		{name: "user", policy: `validations: [{expression: "request.userInfo.username == 'a'"}]`, objects: pod, want: []string{"unknown: it depends on who asks, which a scan cannot know"}},
		{
			name: "user-does-not-matter", policy: `validations: [{expression: "request.userInfo.username == 'a' && object.metadata.name != 'web'", message: taken}]`, objects: pod,
			want: []string{"Pod/shop/web metadata.name: taken"},
		},
		{
			name: "error", policy: `validations: [{expression: "object.spec.nothing"}]`, objects: pod,
			want: []string{"error: validations must evaluate to bool"},
		},
		{
			name: "error-fails", policy: `validations: [{expression: "object.spec.nothing == 1"}]`, objects: pod,
			want: []string{"Pod/shop/web spec.nothing: expression 'object.spec.nothing == 1' resulted in error: no such key: nothing"},
		},
		{name: "error-ignored", policy: "failurePolicy: Ignore\n  " + `validations: [{expression: "object.spec.nothing == 1"}]`, objects: pod},
		{name: "condition-false-beats-error", policy: "matchConditions: [{name: a, expression: 'object.no == 1'}, {name: b, expression: 'false'}]\n  " + always, objects: pod},
		{
			name: "null-is-absent", policy: `validations: [{expression: "!has(object.spec.nodeName) && !('nodeName' in object.spec)"}]`,
			objects: "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {nodeName: null, containers: []}\n",
		},
		{
			name: "parameters-lost", policy: "paramKind: {apiVersion: v1, kind: ConfigMap}\n  " + always, binding: "paramRef: {name: p, namespace: x, parameterNotFoundAction: Deny}", objects: pod,
			want: []string{"unknown: its parameters, ConfigMap p in namespace x, are not among what is scanned: add them to the folder of checks"},
		},
		{
			name: "parameters-scanned", policy: "paramKind: {apiVersion: v1, kind: ConfigMap}\n  " + `validations: [{expression: "params.data.a == 'b'", messageExpression: "'a is ' + params.data.a"}]`,
			binding: "paramRef: {selector: {}, parameterNotFoundAction: Deny}", objects: pod + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: p, namespace: shop}\ndata: {a: c}\n",
			want: []string{"Pod/shop/web : a is c"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.rule == "" {
				tt.rule = `{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}`
			}
			if !strings.Contains(tt.binding, "validationActions") {
				tt.binding += "\n  validationActions: [Deny]"
			}
			text := "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: p}\nspec:\n  matchConstraints: {resourceRules: [" + tt.rule + "]}\n  " + tt.policy +
				"\n---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {name: p}\nspec:\n  policyName: p\n  " + tt.binding + "\n"
			got := judgeText(t, text, tt.objects)
			if len(tt.want) == 1 && strings.HasPrefix(tt.want[0], "error: ") {
				if len(got) != 1 || !strings.Contains(got[0], "must evaluate to bool but got dyn") {
					t.Errorf("got %q, want an error", got)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("verdicts (-want +got):\n%s", diff)
			}
		})
	}
}

// judgeText judges objects by a policy and returns the outcomes, one a line.
func judgeText(t *testing.T, policy, objects string) []string {
	t.Helper()
	rules, funcs, err := Parse([]File{{Name: "policy.yaml", Text: []byte(policy)}})
	if err != nil {
		return []string{"error: " + err.Error()}
	}
	set, err := check.NewSet(rules, check.Options{Funcs: funcs})
	if err != nil {
		t.Fatal(err)
	}
	var result check.Result
	for _, id := range set.Funcs() {
		set.Across(id, snapshotOf(t, objects), &result)
	}
	var out []string
	for i := range result.Findings {
		f := result.Findings[i]
		out = append(out, fmt.Sprintf("%s %s: %s", f.Subject, f.Location.Path, f.Message))
	}
	for _, hole := range result.Incomplete {
		_, reason, _ := strings.Cut(hole.Reason, ": ")
		out = append(out, "unknown: "+reason)
	}
	return out
}

func snapshotOf(t testing.TB, text string) *cluster.Snapshot {
	t.Helper()
	var objects []*cluster.Object
	for _, d := range document.Parse([]byte(text), document.Limits{}) {
		if d.Err != nil {
			t.Fatal(d.Err)
		}
		if o, ok := cluster.New(d.Root); ok {
			objects = append(objects, o)
		}
	}
	return cluster.NewSnapshot(objects)
}

// TestParseErrors breaks a policy in many ways. Errors name the file, the line
// and the field.
func TestParseErrors(t *testing.T) {
	const policy = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: p}
spec:
  failurePolicy: Fail
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints:
    matchPolicy: Exact
    objectSelector: {matchLabels: {a: b}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  matchConditions:
    - {name: c, expression: "object.a == 1"}
  variables:
    - {name: first, expression: "object.b"}
    - {name: second, expression: "variables.first"}
  validations:
    - expression: "variables.second == 1 && params.data.a == 'b'"
      messageExpression: "'text'"
  auditAnnotations:
    - {key: k, valueExpression: "'v'"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: b}
spec:
  policyName: p
  validationActions: [Deny]
  paramRef: {name: x, parameterNotFoundAction: Deny}
`
	if _, _, err := Parse([]File{{"p.yaml", []byte(policy)}}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, old, with, want string }{
		{"failure-policy", "Policy: Fail", "Policy: Maybe", `p.yaml:5:3: ValidatingAdmissionPolicy p: spec.failurePolicy: "Maybe": want Fail or Ignore`},
		{"match-policy", "Exact", "Fuzzy", "spec.matchConstraints: matchPolicy"},
		{"no-rules", "resourceRules", "otherRules", "resourceRules are missing"},
		{"selector", "{matchLabels: {a: b}}", "[a]", "objectSelector: a selector must be a mapping"},
		{"condition", `"object.a == 1"`, `"object.a"`, "p.yaml:12:17: ValidatingAdmissionPolicy p: spec.matchConditions[0].expression: must evaluate to bool but got dyn"},
		{"later-variable", `"object.b"`, `"variables.second"`, "spec.variables[0].expression: does not compile"},
		{"variable-without-name", "name: second, ", "", "spec.variables[1]: the name is missing"},
		{"undefined-variable", "variables.second ==", "variables.third ==", "p.yaml:17:7: ValidatingAdmissionPolicy p: spec.validations[0].expression: does not compile"},
		{"no-parameters", "  paramKind: {apiVersion: v1, kind: ConfigMap}\n", "", "undeclared reference to 'params'"},
		{"request-field", "variables.second == 1", "request.colour == 1", "undefined field 'colour'"},
		{"namespace-field", "variables.second == 1", "namespaceObject.metadata.uid == ''", "undefined field 'uid'"},
		{"message", `"'text'"`, `"1"`, "spec.validations[0].messageExpression: must evaluate to string but got int"},
		{"message-asks-authorizer", `"'text'"`, `"string(authorizer.group('').resource('a').check('b').allowed())"`, "undeclared reference to 'authorizer'"},
		{"annotation", `"'v'"`, `"1"`, "spec.auditAnnotations[0].valueExpression: must evaluate to string but got int"},
		{"empty", `"variables.second == 1 && params.data.a == 'b'"`, `" "`, "the expression is empty"},
		{"no-name", "metadata: {name: p}", "metadata: {}", "the name is missing"},
		{"actions", "[Deny]\n", "[]\n", "spec.validationActions: it is missing"},
		{"action", "[Deny]\n", "[Refuse]\n", `spec.validationActions: "Refuse": want Deny, Warn or Audit`},
		{"parameter-action", ", parameterNotFoundAction: Deny", "", "spec.paramRef: parameterNotFoundAction"},
		{"parameter-both", "{name: x,", "{name: x, selector: {},", "name and selector exclude each other"},
		{"parameter-neither", "{name: x,", "{", "want a name or a selector"},
		{"yaml", "kind: ConfigMap}", "kind: ConfigMap", "p.yaml: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(policy, tt.old, tt.with, 1)
			if text == policy {
				t.Fatalf("%q is not in the policy", tt.old)
			}
			_, _, err := Parse([]File{{"p.yaml", []byte(text)}})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestRules looks at what becomes of policies as checks.
func TestRules(t *testing.T) {
	const head = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\n"
	text := `apiVersion: v1
kind: List
items:
  - apiVersion: admissionregistration.k8s.io/v1
    kind: ValidatingAdmissionPolicy
    metadata: {name: pods.example.com, annotations: {seawall.io/severity: critical, kubernetes.io/description: Why.}}
    spec:
      matchConstraints: {resourceRules: [{apiGroups: ["", apps], apiVersions: [v1], operations: [CREATE], resources: [pods, statefulsets, pods/exec]}]}
      validations: [{expression: "true"}]
---
` + head + `metadata: {name: all}
spec:
  matchConstraints: {resourceRules: [{apiGroups: ["*"], apiVersions: ["*"], operations: ["*"], resources: ["*"]}]}
  validations: [{expression: "true"}]
---
` + head + `metadata: {name: own}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [example.com], apiVersions: ["*"], operations: ["*"], resources: [widgets]}]}
  validations: [{expression: "true"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: b}
spec: {policyName: all, validationActions: [Audit]}
`
	rules, funcs, err := Parse([]File{{"p.yaml", []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rules {
		got = append(got, fmt.Sprintf("%s %s %v func=%q needs=%q", r.ID, r.Severity, r.Match, r.Func, r.Needs))
	}
	want := []string{
		`pods-example-com critical [/Pod /ReplicationController apps/DaemonSet apps/Deployment apps/ReplicaSet apps/StatefulSet batch/CronJob batch/Job] func="" needs="a ValidatingAdmissionPolicyBinding for the policy pods.example.com"`,
		`all medium [*] func="policy:all" needs=""`,
		`own medium [example.com/widgets] func="" needs="a ValidatingAdmissionPolicyBinding for the policy own"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if len(funcs) != 1 || rules[0].Why != "Why." {
		t.Errorf("got %d functions and the reason %q", len(funcs), rules[0].Why)
	}
}

// FuzzParse reads any text as policies and judges objects by what came out. No
// text may bring it down.
func FuzzParse(f *testing.F) {
	names, err := filepath.Glob(filepath.Join("..", "..", "test", "e2e", "testdata", "policies", "*.txtar"))
	if err != nil {
		f.Fatal(err)
	}
	var objects strings.Builder
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range txtar.Parse(text).Files {
			if part.Name == "policy.yaml" {
				f.Add(part.Data)
			} else {
				objects.WriteString("---\n")
				objects.Write(part.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		rules, funcs, err := Parse([]File{{"p.yaml", text}})
		if err != nil {
			return
		}
		// Policies of one name are refused by NewSet.
		slices.SortFunc(rules, func(a, b *check.Rule) int { return strings.Compare(a.ID, b.ID) })
		rules = slices.CompactFunc(rules, func(a, b *check.Rule) bool { return a.ID == b.ID })
		set, err := check.NewSet(rules, check.Options{Funcs: funcs})
		if err != nil {
			t.Fatal(err)
		}
		var result check.Result
		for _, id := range set.Funcs() {
			// The text itself is scanned too, as a folder with its policies would be.
			set.Across(id, snapshotOf(t, objects.String()), &result)
		}
	})
}
