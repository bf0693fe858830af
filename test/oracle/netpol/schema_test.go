package netpol

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	crvalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	ours "seawall.io/seawall/internal/netpol"
)

// definition is a CustomResourceDefinition as the API server holds objects
// against it.
type definition struct {
	structural *schema.Structural
	schema     crvalidation.SchemaValidator
	rules      *cel.Validator
}

// definitions reads those of a version of network-policy-api, by kind.
func definitions(t *testing.T, version string, out map[string]*definition) {
	t.Helper()
	const module = "sigs.k8s.io/network-policy-api"
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module+"@"+version)
	cmd.Dir = t.TempDir() // outside of any module
	text, err := cmd.Output()
	var found struct{ Dir string }
	if err != nil || json.Unmarshal(text, &found) != nil {
		t.Skipf("%s@%s cannot be had: %v %s", module, version, err, text)
	}
	files, err := filepath.Glob(filepath.Join(found.Dir, "config/crd/experimental/policy.*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no definitions in %s: %v", found.Dir, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(text, &crd); err != nil {
			t.Fatal(err)
		}
		if len(crd.Spec.Versions) != 1 {
			t.Fatalf("%s has %d versions", name, len(crd.Spec.Versions))
		}
		var props apiextensions.JSONSchemaProps
		if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, &props, nil); err != nil {
			t.Fatal(err)
		}
		d := &definition{}
		if d.structural, err = schema.NewStructural(&props); err != nil {
			t.Fatal(err)
		}
		if d.schema, _, err = crvalidation.NewSchemaValidator(&props); err != nil {
			t.Fatal(err)
		}
		d.rules = cel.NewValidator(d.structural, true, celconfig.PerCallLimit)
		out[crd.Spec.Names.Kind] = d
	}
}

// refuses says why the API server would refuse an object that kubectl sends, with
// fields that are not known being errors.
func (d *definition) refuses(t *testing.T, object map[string]any) (problems []string, unknown []string) {
	t.Helper()
	unknown = pruning.PruneWithOptions(object, d.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	defaulting.PruneNonNullableNullsWithoutDefaults(object, d.structural)
	defaulting.Default(object, d.structural)
	errs := crvalidation.ValidateCustomResource(nil, object, d.schema)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, d.structural, object)...)
	if len(errs) == 0 && d.rules != nil { // as the API server, which does not ask rules about what is malformed
		byRules, _ := d.rules.Validate(t.Context(), nil, d.structural, object, nil, celconfig.RuntimeCELCostBudget)
		errs = append(errs, byRules...)
	}
	for _, err := range errs {
		problems = append(problems, err.Error())
	}
	return problems, unknown
}

// meaningless finds what the schemas let pass and no network plugin can make
// sense of. It reads an object that is valid.
func meaningless(v any) string {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			switch fields, _ := inner.(map[string]any); key {
			case "namespaces", "nodes", "namespaceSelector", "podSelector":
				text, _ := json.Marshal(inner)
				var selector metav1.LabelSelector
				if err := json.Unmarshal(text, &selector); err != nil {
					return err.Error()
				}
				if _, err := metav1.LabelSelectorAsSelector(&selector); err != nil {
					return err.Error()
				}
				continue
			case "portRange":
				if number(fields["start"]) > number(fields["end"]) {
					return "empty range of ports"
				}
				fallthrough
			case "portNumber":
				if p := fields["protocol"]; p != "TCP" && p != "UDP" && p != "SCTP" {
					return fmt.Sprintf("protocol %v", p)
				}
			case "destinationNamedPort", "namedPort":
				if inner == "" {
					return "port without a name"
				}
			}
			if found := meaningless(inner); found != "" {
				return found
			}
		}
	case []any:
		for _, inner := range v {
			if found := meaningless(inner); found != "" {
				return found
			}
		}
	}
	return ""
}

func number(v any) float64 {
	if i, ok := v.(int64); ok {
		return float64(i)
	}
	return v.(float64)
}

// hasNullLabel says that a selector asks for a label and gives no value: the API
// server drops the label, and the selector selects what nobody asked for.
func hasNullLabel(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			if labels, ok := inner.(map[string]any); ok && key == "matchLabels" && slices.Contains(slices.Collect(maps.Values(labels)), nil) {
				return true
			}
			if hasNullLabel(inner) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, hasNullLabel)
	}
	return false
}

// deniesDomains says that a rule that does not accept names domains: the API's
// documentation reserves them for rules that do.
func deniesDomains(object map[string]any) bool {
	spec, _ := object["spec"].(map[string]any)
	rules, _ := spec["egress"].([]any)
	return slices.ContainsFunc(rules, func(r any) bool {
		rule := r.(map[string]any)
		return rule["action"] != "Accept" && rule["action"] != "Allow" && slices.ContainsFunc(rule["to"].([]any), func(peer any) bool {
			return peer.(map[string]any)["domainNames"] != nil
		})
	})
}

// newerPeer says that the only thing wrong are peers with one field, which is not
// known: by the API's documentation those are of a later version, and the rule
// fails closed.
func newerPeer(kind string, spec any) bool {
	fields, _ := spec.(map[string]any)
	for _, way := range [][2]string{{"ingress", "from"}, {"egress", "to"}} {
		rules, _ := fields[way[0]].([]any)
		for _, r := range rules {
			rule, _ := r.(map[string]any)
			peers, _ := rule[way[1]].([]any)
			for _, p := range peers {
				peer, _ := p.(map[string]any)
				if len(peer) != 1 {
					continue
				}
				for key, v := range peer {
					known := []string{"namespaces", "pods"}
					if way[0] == "egress" {
						known = append(known, "nodes", "networks")
						if kind != "BaselineAdminNetworkPolicy" {
							known = append(known, "domainNames")
						}
					}
					if !slices.Contains(known, key) && v != nil {
						return true
					}
				}
			}
		}
	}
	return false
}

type tree = map[string]any

func (r source) adminSelector() any {
	text, _ := json.Marshal(r.selector())
	var out tree
	_ = json.Unmarshal(text, &out)
	return out
}

func (r source) adminPods() tree {
	return tree{"namespaceSelector": r.adminSelector(), "podSelector": r.adminSelector()}
}

func (r source) adminPeer(kind, way string, named bool) any {
	n := 2
	if way == "egress" && !named {
		if n = 4; kind != "BaselineAdminNetworkPolicy" {
			n = 5
		}
	}
	switch r.IntN(n) {
	case 0:
		return tree{"namespaces": r.adminSelector()}
	case 1:
		return tree{"pods": r.adminPods()}
	case 2:
		return tree{"nodes": r.adminSelector()}
	case 3:
		return tree{"networks": []any{pick(r, blocks...)}}
	}
	return tree{"domainNames": []any{pick(r, "example.com", "*.example.com", "a-b.c_d.org.")}}
}

func (r source) adminPort(kind string, named bool) any {
	number, protocol := pick[int64](r, 1, 80, 443, 65535), pick(r, "TCP", "UDP", "SCTP")
	if kind == "ClusterNetworkPolicy" {
		switch {
		case named && r.chance(40):
			return tree{"destinationNamedPort": "http"}
		case r.chance(40):
			return tree{strings.ToLower(protocol): tree{"destinationPort": tree{"range": tree{"start": number / 2, "end": number}}}}
		}
		return tree{strings.ToLower(protocol): tree{"destinationPort": tree{"number": number}}}
	}
	switch {
	case named && r.chance(40):
		return tree{"namedPort": "http"}
	case r.chance(40):
		return tree{"portRange": tree{"protocol": protocol, "start": (number + 1) / 2, "end": number}}
	}
	return tree{"portNumber": tree{"protocol": protocol, "port": number}}
}

func (r source) adminPolicy(kind string) tree {
	spec := tree{"subject": tree{"pods": r.adminPods()}}
	if r.chance(50) {
		spec["subject"] = tree{"namespaces": r.adminSelector()}
	}
	name, version, ports, allow := "p", "v1alpha1", "ports", "Allow"
	actions := []string{"Deny", "Pass"}
	switch kind {
	case "ClusterNetworkPolicy":
		version, ports, allow = "v1alpha2", "protocols", "Accept"
		spec["tier"] = pick(r, "Admin", "Baseline")
	case "BaselineAdminNetworkPolicy":
		name, actions = pick(r, "default", "default", "default", "other"), actions[:1]
	}
	if kind != "BaselineAdminNetworkPolicy" {
		spec["priority"] = pick[int64](r, 0, 1, 1000)
	}
	for _, way := range []string{"ingress", "egress"} {
		var rules []any
		for range r.IntN(3) {
			named := r.chance(30)
			peers := []any{}
			for range 1 + r.IntN(2) {
				peers = append(peers, r.adminPeer(kind, way, named))
			}
			rule := tree{"action": pick(r, append(actions, allow)...), map[string]string{"ingress": "from", "egress": "to"}[way]: peers}
			if r.chance(60) {
				rule[ports] = []any{r.adminPort(kind, named), r.adminPort(kind, named)}
			}
			if r.chance(20) {
				rule["name"] = "rule"
			}
			rules = append(rules, rule)
		}
		if rules != nil {
			spec[way] = rules
		}
	}
	return tree{"apiVersion": "policy.networking.k8s.io/" + version, "kind": kind, "metadata": tree{"name": name}, "spec": spec}
}

func many(item string, n int) string { return "[" + strings.Repeat(item+",", n-1) + item + "]" }

func networks(n int) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf(`"10.%d.0.0/16"`, i))
	}
	return "[" + strings.Join(out, ",") + "]"
}

const (
	badSelector = `{"matchExpressions":[{"key":"a","operator":"Like"}]}`
	badPods     = `{"podSelector":{}}`
)

var selectors = []string{badSelector, "[]", "{}", "null", `{"matchLabels":{"a b":"c"}}`, `{"matchLabels":{"a":1}}`, `{"matchLabels":{"a":null}}`, `{"matchLabels":[]}`,
	`{"matchExpressions":[{"key":"a","operator":"In","values":[null]}]}`, `{"matchExpressions":[{"key":"a","operator":"Exists","values":"b"}]}`, `{"matchExpressions":[{"operator":"Exists"}]}`,
	`{"matchExpressions":[null]}`, `{"matchExpressions":null}`, `{"matchExpressions":[{"key":"a","operator":"In","values":["b c"]}]}`, `{"sameLabels":["a"]}`, `{"matchExpressions":[{"key":"a","operator":"Exists","op":"In"}]}`}

// adminDamage are values that may stand at a key of the administrator's policies.
var adminDamage = map[string][]string{
	"tier":                 {`"Top"`, `"admin"`, `""`, "1", "null"},
	"priority":             {"-1", "1001", "5.0", "5.5", `"5"`, "null", "1e2", "true", "1000"},
	"subject":              {"{}", "null", `{"namespaces":{},"pods":{"namespaceSelector":{},"podSelector":{}}}`, `{"namespaces":null,"pods":{"namespaceSelector":{},"podSelector":{}}}`, `{"nodes":{}}`, "[]", `{"pods":{}}`, `{"pods":` + badPods + `}`},
	"namespaces":           selectors,
	"nodes":                selectors,
	"namespaceSelector":    selectors,
	"podSelector":          selectors,
	"pods":                 {badPods, "{}", "null", "1", `{"namespaceSelector":{}}`, `{"namespaceSelector":null,"podSelector":{}}`, `{"namespaceSelector":{},"podSelector":{},"x":1}`},
	"action":               {`"Allow"`, `"Accept"`, `"Pass"`, `"Deny"`, `"deny"`, "null", `""`, "1"},
	"name":                 {`"` + strings.Repeat("ä", 100) + `"`, `"` + strings.Repeat("a", 101) + `"`, "1", "null", `""`},
	"from":                 {"[]", "[{}]", "null", "{}", `[null]`, `[{"galaxies":{}}]`, `[{"networks":["10.0.0.0/8"]}]`, `[{"namespaces":{},"galaxies":{}}]`, many(`{"namespaces":{}}`, 26), many(`{"namespaces":{}}`, 101)},
	"to":                   {"[]", "[{}]", "null", `[1]`, `[{"galaxies":{}}]`, `[{"galaxies":null}]`, `[{"domainNames":["a.b"]}]`, `[{"namespaces":{},"nodes":{}}]`, `[{"namespaces":null,"nodes":{}}]`, many(`{"nodes":{}}`, 25), many(`{"nodes":{}}`, 100)},
	"networks":             {"[]", "null", `["10.0.0.0"]`, `["10.0.0.1/8"]`, `["::ffff:10.0.0.0/104"]`, `["fe80::1%eth0/64"]`, `["10.0.0.0/8","10.0.0.0/8"]`, `["10.0.0.0/8","10.0.0.1/8"]`, "[1]", "[null]", networks(25), networks(26), `"10.0.0.0/8"`, `["010.0.0.0/8"]`},
	"domainNames":          {"[]", `["example"]`, `["a..b"]`, `["*"]`, `["a.*.b"]`, `["_a.b"]`, `["a.b_"]`, `["a.b","a.b"]`, `["A.B."]`, `["^.b"]`, "[null]", `[""]`, `["-a.b"]`, `["ä.b"]`},
	"ports":                {"[]", "null", "[{}]", `[null]`, `{}`, many(`{"namedPort":"http"}`, 101), `[{"portNumber":{"port":1},"namedPort":"a"}]`, `[{"portNumber":{"port":1}}]`},
	"protocols":            {"[]", "null", "[{}]", `[{"tcp":{}}]`, `[{"tcp":null}]`, `[{"tcp":{"destinationPort":null}}]`, `[{"icmp":{}}]`, many(`{"destinationNamedPort":"a"}`, 26), `[{"tcp":{"destinationPort":{}}}]`, `[{"tcp":{"sourcePort":{}}}]`, `[{"tcp":{"destinationPort":{"number":1}},"udp":{"destinationPort":{"number":1}}}]`},
	"number":               {"0", "65536", `"http"`, "80.0", "80.5", "null", "-1"},
	"port":                 {"0", "65536", `"http"`, "80.0", "80.5", "null", "-1"},
	"start":                {"0", "65535", "null", `"1"`, "1.0"},
	"end":                  {"0", "1", "65536", "null", "65535.0"},
	"protocol":             {`"ICMP"`, `"tcp"`, "null", `""`, "6"},
	"namedPort":            {`""`, "1", "null", `"a name that no port can have"`},
	"destinationNamedPort": {`""`, "1", "null", `"a name that no port can have"`},
	"range":                {"{}", `{"start":1}`, `{"start":1,"end":2,"step":1}`, "null", `{"start":2,"end":2}`},
	"ingress":              {"[]", "{}", "null", "[null]", "[{}]", many(`{"action":"Deny","from":[{"namespaces":{}}]}`, 26), many(`{"action":"Deny","from":[{"namespaces":{}}]}`, 101)},
	"egress":               {"[]", `"all"`, "null", "[[]]", many(`{"action":"Deny","to":[{"namespaces":{}}]}`, 25), many(`{"action":"Deny","to":[{"namespaces":{}}]}`, 100)},
	"spec":                 {"null", "{}", "[]"},
}

// TestAdminFaultsAreTheAPIServers compares what is wrong with policies of the
// administrator with what the API server refuses by the schemas and rules of
// their definitions, on policies with random damage.
func TestAdminFaultsAreTheAPIServers(t *testing.T) {
	defined := map[string]*definition{}
	definitions(t, "v0.1.7", defined)
	definitions(t, "v0.2.0", defined)
	kinds := []string{"AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"}
	good, bad, senseless, newer, differ := map[string]int{}, map[string]int{}, 0, 0, 0
	for seed := range uint64(15000) {
		r := source{rand.New(rand.NewPCG(seed, 3))}
		kind := kinds[seed%3]
		policy := r.adminPolicy(kind)
		if r.chance(70) {
			r.spoil(policy, adminDamage, 4)
		}
		if spec, ok := policy["spec"].(tree); ok && r.chance(5) {
			spec[pick(r, "Subject", "podSelector", "tier", "priority", "namespace")] = "Admin"
		}
		if r.chance(2) {
			policy["spec"] = json.RawMessage(pick(r, adminDamage["spec"]...))
		}
		text, err := json.Marshal(policy)
		if err != nil {
			t.Fatal(err)
		}
		var object tree
		sent, err := yaml.YAMLToJSON(text) // by kubectl, which makes 80 of 80.0
		if err != nil {
			t.Fatal(err)
		}
		if err := utiljson.Unmarshal(sent, &object); err != nil {
			t.Fatal(err)
		}
		nullLabel := hasNullLabel(object)
		later := newerPeer(kind, object["spec"])
		problems, unknown := defined[kind].refuses(t, object)
		reason := strings.Join(append(problems, unknown...), "; ")
		if reason != "" {
			bad[kind]++
		} else {
			good[kind]++
			switch found := meaningless(object); {
			case nullLabel:
				reason = "a label without a value"
			case found != "":
				reason = found
			case deniesDomains(object):
				reason = "domain names denied"
			}
			if reason != "" {
				senseless++
			}
		}
		policies := ours.Of(snapshot(t, string(text))).Policies()
		if len(policies) != 1 {
			t.Fatalf("%d policies in %s", len(policies), text)
		}
		faults := policies[0].Faults()
		if later && reason != "" {
			newer++
			continue // rules fail closed: package reach's tests
		}
		if (reason != "") != (len(faults) > 0) {
			t.Errorf("seed %d: the API server says %q, got %v\n%s", seed, reason, faults, text)
			if differ++; differ > 8 {
				t.FailNow()
			}
		}
	}
	t.Logf("refused %v, taken %v, of which %d without a meaning; %d with peers of a later version", bad, good, senseless, newer)
	for _, kind := range kinds {
		if good[kind] < 1000 || bad[kind] < 1000 {
			t.Errorf("%s: %d refused and %d taken: too few of one to compare", kind, bad[kind], good[kind])
		}
	}
}
