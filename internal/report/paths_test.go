package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/report"
)

// attackPaths are two paths that share their end, one of which rests on something
// unknown, and names that mean harm.
func attackPaths() []seawall.Path {
	node := func(kind, name string) seawall.PathNode {
		return seawall.PathNode{Kind: kind, Name: name, Selector: kind + ":" + name}
	}
	object := func(kind, name string, line int, path string) seawall.PathEvidence {
		return seawall.PathEvidence{
			Subject:  seawall.Subject{Object: &seawall.Object{Kind: kind, Namespace: "shop", Name: name}},
			Location: seawall.Location{File: "deploy/rbac.yaml", Line: line, Column: 3, Path: path},
		}
	}
	internet, web, account, admin := node("internet", "the internet"), node("workload", "shop/Deployment/web"), node("serviceaccount", "service account shop/web"), node("cluster-admin", "cluster-admin")
	evil := node("user", `<script>"\`+"\x1b[31m")
	token := seawall.PathStep{Primitive: "S02", Title: "use the token in the pod", Technique: "T1528", Audit: "requests of the account from the pod", Likelihood: 1, From: web, To: account}
	grant := seawall.PathStep{
		Primitive: "P01", Title: "hold every permission", Technique: "T1078.001", Audit: "every request", Likelihood: 1, From: account, To: admin,
		Text:     "ClusterRoleBinding web lets ServiceAccount shop/web * on *",
		Evidence: []seawall.PathEvidence{object("ClusterRoleBinding", "web", 12, "subjects[0]"), object("ClusterRole", "web", 3, "rules[0]")},
		Changes:  []string{"delete ClusterRoleBinding web"},
	}
	exploit := seawall.PathStep{
		Primitive: "P53", Title: "exploit a service over the network", Technique: "T1190", Audit: "nothing", Likelihood: 0.05, From: internet, To: web,
		Conditions: []seawall.PathCondition{{Text: "what listens there has a flaw", Holds: "unknown"}},
	}
	act := seawall.PathStep{
		Primitive: "P20", Title: "act as another identity", Technique: "T1134", Audit: "requests with impersonatedUser", Likelihood: 0.7, From: evil, To: account,
		Conditions: []seawall.PathCondition{{Text: "the namespace is not guarded", Holds: "yes"}},
	}
	return []seawall.Path{
		{
			ID: "aa01", Goal: "cluster-admin", Severity: seawall.High, Risk: 0.21, Likelihood: 0.7, From: evil, To: admin,
			Steps: []seawall.PathStep{act, grant}, Also: []string{"all Secrets"},
		},
		{
			ID: "aa02", Goal: "cluster-admin", Severity: seawall.High, Risk: 0.05, Likelihood: 0.05, From: internet, To: admin,
			Steps: []seawall.PathStep{exploit, token, grant}, Covers: []seawall.PathCover{{ID: "aa03", From: web}},
		},
	}
}

func attackReport() *seawall.Paths {
	paths := attackPaths()
	return &seawall.Paths{
		Version: "v0.1.0", Targets: []string{"deploy"}, Total: 9, Paths: paths,
		Goals: []seawall.PathGoal{{Name: "cluster-admin", Impact: 1, Paths: 9, Entries: 10}, {Name: "a node", Impact: 0.8}},
		Cuts: []seawall.PathCut{
			{
				Goal: "cluster-admin", Cost: 1, Least: true, Removes: 10, Verified: true,
				Changes: []seawall.PathChange{{
					Text: "delete ClusterRoleBinding web", Delete: true, Cost: 1,
					Object: &seawall.Object{Kind: "ClusterRoleBinding", Name: "web"}, Location: &seawall.Location{File: "deploy/rbac.yaml", Line: 8, Column: 1},
				}},
			},
			{Goal: "a node", Changes: []seawall.PathChange{}, Fixed: paths[1].Steps[:1], Remaining: paths[1:]},
		},
		Granted: []string{"group platform"}, Unknown: []string{"whether the API server lets anonymous requests in"},
		Coverage: seawall.Coverage{Documents: 4, Objects: 5, Incomplete: []seawall.Incomplete{{Location: seawall.Location{File: "broken.yaml", Line: 3}, Reason: "did not find expected key"}}},
		Warnings: []string{"an old snapshot"},
	}
}

func writePaths(t testing.TB, format string, r *seawall.Paths, o report.Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := report.WritePaths(&b, format, r, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPathsGolden(t *testing.T) {
	whatIf := attackReport()
	whatIf.WhatIf = &seawall.PathChanges{
		Changes: []string{"replace RoleBinding/shop/dev"}, Before: 1, After: 2,
		Opened: whatIf.Paths[:1], Closed: whatIf.Paths[1:], Moved: []seawall.PathMove{{Path: whatIf.Paths[1], Before: 0.1}},
	}
	for name, r := range map[string]*seawall.Paths{"paths": attackReport(), "whatif": whatIf, "nopaths": {}} {
		for _, format := range report.PathFormats() {
			extensions := map[string]string{"table": "txt"}
			ext := extensions[format]
			if ext == "" {
				ext = format
			}
			t.Run(name+"/"+format, func(t *testing.T) {
				got := writePaths(t, format, r, report.Options{})
				if again := writePaths(t, format, r, report.Options{}); !bytes.Equal(got, again) {
					t.Error("two runs differ")
				}
				golden(t, name+"."+ext, got)
				if bytes.ContainsAny(got, "\x1b") || format != "json" && bytes.Contains(got, []byte("<script>\"")) && format != "table" && format != "dot" {
					t.Error("a name got through as it is")
				}
			})
		}
	}
	if err := report.WritePaths(io.Discard, "pdf", attackReport(), report.Options{}); err == nil {
		t.Error("an unknown format was written")
	}
}

func TestPathsJSON(t *testing.T) {
	var back seawall.Paths
	if err := json.Unmarshal(writePaths(t, "json", attackReport(), report.Options{}), &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Paths) != 2 || back.Paths[1].Steps[0].Conditions[0].Holds != "unknown" || !back.Cuts[0].Changes[0].Delete {
		t.Errorf("read back: %+v", back)
	}
}

// TestDrawing wants well-formed XML, no box over another, and steps that lead to
// the right where paths do not go in circles.
func TestDrawing(t *testing.T) {
	node := func(i int) seawall.PathNode {
		return seawall.PathNode{Kind: "workload", Name: fmt.Sprint("w", i), Selector: fmt.Sprint("workload:w", i)}
	}
	step := func(a, b int) seawall.PathStep {
		return seawall.PathStep{Title: "go", Likelihood: 0.5, From: node(a), To: node(b)}
	}
	for name, hops := range map[string][][]int{
		"one":    {{0, 1}},
		"fan":    {{0, 9}, {1, 9}, {2, 9}, {3, 4, 9}, {5, 4, 6, 9}},
		"circle": {{0, 1, 2}, {2, 1, 0}, {3, 2, 1}},
		"long":   {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, {0, 12}},
		"many":   manyHops(300),
	} {
		t.Run(name, func(t *testing.T) {
			var paths []seawall.Path
			for _, list := range hops {
				p := seawall.Path{From: node(list[0]), To: node(list[len(list)-1])}
				for i := 1; i < len(list); i++ {
					p.Steps = append(p.Steps, step(list[i-1], list[i]))
				}
				paths = append(paths, p)
			}
			svg := writePaths(t, "svg", &seawall.Paths{Total: len(paths), Paths: paths}, report.Options{})
			type box struct{ x, y, w, h float64 }
			var boxes []box
			for dec := xml.NewDecoder(bytes.NewReader(svg)); ; {
				token, err := dec.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				e, ok := token.(xml.StartElement)
				if !ok || e.Name.Local != "rect" {
					continue
				}
				var b box
				for _, a := range e.Attr {
					for name, to := range map[string]*float64{"x": &b.x, "y": &b.y, "width": &b.w, "height": &b.h} {
						if a.Name.Local == name {
							fmt.Sscan(a.Value, to)
						}
					}
				}
				boxes = append(boxes, b)
			}
			if len(boxes) == 0 {
				t.Fatal("nothing is drawn")
			}
			for i, a := range boxes {
				for _, b := range boxes[:i] {
					if a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h {
						t.Errorf("box %+v lies over %+v", a, b)
					}
				}
			}
			if name == "many" && !strings.Contains(string(svg), "of 300 attack paths") {
				t.Error("it is not said that some are left out")
			}
		})
	}
}

func manyHops(n int) [][]int {
	var out [][]int
	for i := range n {
		out = append(out, []int{3 + i, 1 + i%2, 0})
	}
	return out
}

// TestDrawnLabels wants no two labels of lines that cross in one place.
func TestDrawnLabels(t *testing.T) {
	var paths []seawall.Path
	for _, from := range []string{"a", "b"} {
		for _, to := range []string{"c", "d"} {
			x, y := seawall.PathNode{Name: from, Selector: from}, seawall.PathNode{Name: to, Selector: to}
			paths = append(paths, seawall.Path{From: x, To: y, Steps: []seawall.PathStep{{Title: "use the token in the pod", From: x, To: y}}})
		}
	}
	svg := writePaths(t, "svg", &seawall.Paths{Total: len(paths), Paths: paths}, report.Options{})
	type place struct{ x, y float64 }
	var places []place
	for _, m := range regexp.MustCompile(`class="label" x="([0-9.]+)" y="([0-9.]+)"`).FindAllSubmatch(svg, -1) {
		var p place
		if _, err := fmt.Sscan(string(m[1])+" "+string(m[2]), &p.x, &p.y); err != nil {
			t.Fatal(err)
		}
		for _, other := range places {
			if math.Abs(p.x-other.x) < 100 && math.Abs(p.y-other.y) < 11 {
				t.Errorf("labels at %v and %v overlap", p, other)
			}
		}
		places = append(places, p)
	}
	if len(places) != 4 {
		t.Errorf("%d labels, want 4", len(places))
	}
}
