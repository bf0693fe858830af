package report_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/report"
)

// TestSARIFSchema holds the output against the schema of the standard.
func TestSARIFSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("testdata/schema/sarif-schema-2.1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*seawall.Report{
		"shop": shop(), "clean": nothingFound(), "partial": partial(), "empty": {}, "hostile": hostile("\x1b]0;\xff<x>](y)"),
		"nameless": {Findings: []*seawall.Finding{nameless()}},
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(write(t, "sarif", r, options())))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(doc); err != nil {
				t.Error(err)
			}
		})
	}
}

type sarifLog struct {
	Runs []struct {
		Tool struct {
			Driver struct {
				Rules []struct {
					ID   string
					Help struct{ Text, Markdown string }
					// DefaultConfiguration and Properties are what GitHub ranks by.
					DefaultConfiguration struct{ Level string }
					Properties           map[string]any
				}
			}
		}
		Invocations []struct {
			ExecutionSuccessful        bool
			ToolExecutionNotifications []struct{ Level string }
		}
		Results []struct {
			RuleID              string
			RuleIndex           int
			BaselineState       string
			PartialFingerprints map[string]string
			Suppressions        []struct{ Kind, Justification string }
			Locations           []struct {
				PhysicalLocation struct {
					ArtifactLocation struct{ URI, URIBaseID string }
					Region           struct{ StartLine int }
				}
			}
		}
	}
}

// TestSARIFCodeScanning checks what GitHub wants beyond the schema.
func TestSARIFCodeScanning(t *testing.T) {
	var log sarifLog
	if err := json.Unmarshal(write(t, "sarif", shop(), options()), &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	if run.Invocations[0].ExecutionSuccessful {
		t.Error("a run with incomplete inputs says that it succeeded")
	}
	if len(run.Results) != len(shop().Findings) {
		t.Errorf("got %d results, want %d", len(run.Results), len(shop().Findings))
	}
	for i, res := range run.Results {
		f := shop().Findings[i]
		if got := run.Tool.Driver.Rules[res.RuleIndex].ID; got != f.Check || res.RuleID != f.Check {
			t.Errorf("result %d: rule %s at index of %s, want %s", i, res.RuleID, got, f.Check)
		}
		if res.PartialFingerprints["seawall/v1"] != f.ID {
			t.Errorf("result %d: fingerprints %v, want %s", i, res.PartialFingerprints, f.ID)
		}
		if len(res.Locations) != 1 || res.Locations[0].PhysicalLocation.Region.StartLine < 1 {
			t.Errorf("result %d: locations %+v, want one with a line", i, res.Locations)
			continue
		}
		uri := res.Locations[0].PhysicalLocation.ArtifactLocation.URI
		u, err := url.Parse(uri)
		if err != nil || uri == "" || u.IsAbs() || strings.HasPrefix(uri, "/") || strings.ContainsAny(uri, " \\") {
			t.Errorf("result %d: address %q is not a relative URI (%v)", i, uri, err)
		}
		if (f.Suppressed != nil) != (len(res.Suppressions) == 1) {
			t.Errorf("result %d: suppressions %+v, want those of %+v", i, res.Suppressions, f.Suppressed)
		}
		if f.Known != (res.BaselineState == "unchanged") {
			t.Errorf("result %d: baseline state %q for known %t", i, res.BaselineState, f.Known)
		}
	}
	for _, rule := range run.Tool.Driver.Rules {
		if rule.Properties["security-severity"] == nil || rule.Help.Text == "" || rule.DefaultConfiguration.Level == "" {
			t.Errorf("rule %s lacks severity, help or level: %+v", rule.ID, rule)
		}
		if tags := rule.Properties["tags"].([]any); len(tags) > 20 {
			t.Errorf("rule %s has %d tags, GitHub takes 20", rule.ID, len(tags))
		}
	}
}

func TestSARIFAddress(t *testing.T) {
	tests := []struct {
		name, file, dir, want, base string
	}{
		{"relative", "deploy/web.yaml", "", "deploy/web.yaml", "%SRCROOT%"},
		{"dot", "./a/../b.yaml", "", "b.yaml", "%SRCROOT%"},
		{"encoded", "50% done/ü #1?.yaml", "", "50%25%20done/%C3%BC%20%231%3F.yaml", "%SRCROOT%"},
		{"scheme", "a:b/c.yaml", "", "a%3Ab/c.yaml", "%SRCROOT%"},
		{"below-the-directory", "/src/repo/x/y.yaml", "/src/repo/", "x/y.yaml", "%SRCROOT%"},
		{"elsewhere", "/etc/x y", "/src/repo", "file:///etc/x%20y", ""},
		{"up", "../other/x.yaml", "/src/repo", "file:///src/other/x.yaml", ""},
		{"up-and-back", "../repo/x.yaml", "/src/repo", "x.yaml", "%SRCROOT%"},
		{"similar-prefix", "/src/repository/x.yaml", "/src/repo", "file:///src/repository/x.yaml", ""},
		{"windows", "C:/src/x.yaml", "", "file:///C%3A/src/x.yaml", ""},
		{"windows-below", "C:/src/x.yaml", "C:/src", "x.yaml", "%SRCROOT%"},
		{"root", "/x.yaml", "/", "x.yaml", "%SRCROOT%"},
		{"standard-input", "-", "/src", "-", "%SRCROOT%"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &seawall.Report{Findings: []*seawall.Finding{{Rule: &seawall.Rule{Check: "c"}, Subject: seawall.Subject{Object: &seawall.Object{}}, Location: seawall.Location{File: tt.file, Line: 2}}}}
			var log sarifLog
			if err := json.Unmarshal(write(t, "sarif", r, report.Options{Dir: tt.dir}), &log); err != nil {
				t.Fatal(err)
			}
			got := log.Runs[0].Results[0].Locations[0].PhysicalLocation.ArtifactLocation
			if diff := cmp.Diff([]string{tt.want, tt.base}, []string{got.URI, got.URIBaseID}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
