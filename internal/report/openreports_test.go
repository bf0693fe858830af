package report_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/report"
)

// TestReportObjects holds the objects against the definitions of the API, with
// unknown fields forbidden, as an API server does under strict validation.
func TestReportObjects(t *testing.T) {
	for _, format := range []string{"openreports", "policyreport"} {
		namespaced := crdSchema(t, "testdata/schema/openreports.io_reports.yaml", format)
		cluster := crdSchema(t, "testdata/schema/openreports.io_clusterreports.yaml", format)
		for name, r := range map[string]*seawall.Report{
			"shop": shop(), "empty": {}, "partial": partial(), "hostile": hostile("\x1b: \xff\n- x"), "nameless": {Findings: []*seawall.Finding{nameless()}},
		} {
			t.Run(format+"/"+name, func(t *testing.T) {
				seen := map[string]bool{}
				for _, doc := range documents(t, write(t, format, r, options())) {
					schema := cluster
					meta := doc["metadata"].(map[string]any)
					if _, ok := meta["namespace"]; ok {
						schema = namespaced
					}
					if err := schema.Validate(doc); err != nil {
						t.Error(err)
					}
					checkObject(t, doc, format, seen)
				}
			})
		}
	}
}

var validName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

func checkObject(t *testing.T, doc map[string]any, format string, seen map[string]bool) {
	t.Helper()
	meta := doc["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	ns, namespaced := meta["namespace"].(string)
	if !validName.MatchString(name) || namespaced && !validName.MatchString(ns) {
		t.Errorf("object %q in %q is no valid name", name, ns)
	}
	id := fmt.Sprint(doc["kind"], ns, "/", name)
	if seen[id] {
		t.Errorf("two objects are called %s", id)
	}
	seen[id] = true
	want := map[string]string{
		"openreportsfalse": "openreports.io/v1alpha1 ClusterReport", "openreportstrue": "openreports.io/v1alpha1 Report",
		"policyreportfalse": "wgpolicyk8s.io/v1alpha2 ClusterPolicyReport", "policyreporttrue": "wgpolicyk8s.io/v1alpha2 PolicyReport",
	}[fmt.Sprint(format, namespaced)]
	if got := fmt.Sprintf("%s %s", doc["apiVersion"], doc["kind"]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	count := map[string]int{}
	results, _ := doc["results"].([]any)
	for _, res := range results {
		count[res.(map[string]any)["result"].(string)]++
	}
	for result, n := range doc["summary"].(map[string]any) {
		if n != count[result] {
			t.Errorf("%s: summary counts %v %s, there are %d", id, n, result, count[result])
		}
	}
}

// TestReportObjectsSplit wants large reports in objects that fit, nothing lost.
func TestReportObjectsSplit(t *testing.T) {
	r := &seawall.Report{}
	for i := range 2000 {
		r.Findings = append(r.Findings, &seawall.Finding{
			ID:       fmt.Sprint("id", i),
			Rule:     &seawall.Rule{Check: "check"},
			Severity: seawall.High, Message: strings.Repeat("long ", 60),
			Subject: seawall.Subject{Object: &seawall.Object{Kind: "Pod", APIVersion: "v1", Namespace: strings.Repeat("n", 60) + strconv.Itoa(i%2), Name: "p"}},
		})
	}
	out := write(t, "openreports", r, report.Options{})
	results := 0
	docs := documents(t, out)
	for _, doc := range docs {
		list, _ := doc["results"].([]any)
		results += len(list)
	}
	if results != 2000 || len(docs) < 5 {
		t.Errorf("got %d results in %d objects, want 2000 in several", results, len(docs))
	}
	for doc := range bytes.SplitSeq(out, []byte("---\n")) {
		if len(doc) > 256<<10 {
			t.Errorf("an object has %d bytes, more than kubectl apply can hold", len(doc))
		}
	}
}

func documents(t *testing.T, out []byte) []map[string]any {
	t.Helper()
	var docs []map[string]any
	for dec := yaml.NewDecoder(bytes.NewReader(out)); ; {
		var doc map[string]any
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			return docs
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		docs = append(docs, doc)
	}
}

// crdSchema reads the schema of a custom resource definition. The older
// policyreport API has the same results without a source at the object.
func crdSchema(t *testing.T, file, format string) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema map[string]any `yaml:"openAPIV3Schema"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	schema := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	properties := schema["properties"].(map[string]any)
	if format == "policyreport" {
		delete(properties, "source")
		delete(properties, "configuration")
	}
	strict(schema)
	delete(properties["metadata"].(map[string]any), "additionalProperties")
	c := jsonschema.NewCompiler()
	if err := c.AddResource("crd.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("crd.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// strict forbids fields that the schema does not name.
func strict(node any) {
	switch v := node.(type) {
	case map[string]any:
		if _, ok := v["properties"].(map[string]any); ok && v["type"] == "object" {
			v["additionalProperties"] = false
		}
		for _, child := range v {
			strict(child)
		}
	case []any:
		for _, child := range v {
			strict(child)
		}
	}
}
