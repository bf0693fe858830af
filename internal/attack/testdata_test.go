package attack_test

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/redact"
)

// TestExamples holds the graph of each example cluster in testdata against what
// its author says of it. A part that ends in .yaml is a cluster; whole.yaml and
// those that begin with whole- are all that their cluster has, and cluster names
// follow the last dash. paths has routes, one a line, that must be the likeliest
// from their first vertex to their last; nopaths has FROM -> TO pairs that no path
// may connect; changes, if there, FROM -> TO => the changes that cut them, and steps
// FROM -> TO: the likelihood and conditions of the one step between them. options has
// lines such as kubernetes 1.34.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no examples", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(string(a.Comment)) == "" {
				t.Error("says nothing about what it shows")
			}
			g := exampleGraph(t, a, false)
			for i := range a.Files {
				switch f := &a.Files[i]; f.Name {
				case "paths":
					checkRoutes(t, g, f)
				case "nopaths":
					for line := range lines(f.Data) {
						from, to, _ := strings.Cut(line, " -> ")
						if missing(g, from) && from != "the internet" {
							t.Errorf("%s\n no vertex of the first name", line)
							continue
						}
						if missing(g, to) {
							continue // nothing leads to what is not there
						}
						if got := route(t, g, from, to); got != "" {
							t.Errorf("%s\n got %s", line, got)
						}
					}
				case "changes":
					checkChanges(t, g, f)
				case "steps":
					checkSteps(t, g, f)
				}
			}
		})
	}
}

// TestExamplesRedacted wants the same routes from a snapshot, in which the values of
// Secrets are markers.
func TestExamplesRedacted(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		g := exampleGraph(t, a, true)
		for i := range a.Files {
			if f := &a.Files[i]; f.Name == "paths" {
				checkRoutes(t, g, f)
			}
		}
	}
}

func exampleGraph(t *testing.T, a *txtar.Archive, redacted bool) *attack.Graph {
	t.Helper()
	var o attack.Options
	for _, f := range a.Files {
		if f.Name != "options" {
			continue
		}
		for line := range lines(f.Data) {
			word := strings.Fields(line)
			switch word[0] {
			case "kubernetes":
				o.Minor, _ = strconv.Atoi(strings.TrimPrefix(word[1], "1."))
			case "cni":
				o.CNI = word[1]
			case "flaw": // flaw IMAGE CVE EPSS [kev]
				epss, err := strconv.ParseFloat(word[3], 64)
				if err != nil {
					t.Fatal(err)
				}
				if o.Flaws == nil {
					o.Flaws = map[string][]attack.Flaw{}
				}
				o.Flaws[word[1]] = append(o.Flaws[word[1]], attack.Flaw{ID: word[2], Package: "lib", EPSS: epss, KEV: len(word) > 4})
			default:
				t.Fatalf("unknown option %q", line)
			}
		}
	}
	var snaps []*cluster.Snapshot
	for _, f := range a.Files {
		name, ok := strings.CutSuffix(f.Name, ".yaml")
		if !ok {
			continue
		}
		s := snapshot(t, string(f.Data))
		kind, called, _ := strings.Cut(name, "-")
		s.Whole = kind == "whole"
		for i, o := range s.Objects {
			if redacted {
				o, _ = cluster.New(redact.Redactor{Salt: []byte("0123456789abcdef")}.Object(o.Root))
				s.Objects[i] = o
			}
			o.Cluster = called
		}
		if redacted {
			next := cluster.NewSnapshot(s.Objects)
			next.Whole = s.Whole
			s = next
		}
		snaps = append(snaps, s)
	}
	return attack.Build(snaps, o)
}

func missing(g *attack.Graph, name string) bool {
	for i := range g.Vertices {
		if g.Name(i) == name {
			return false
		}
	}
	return true
}

func checkRoutes(t *testing.T, g *attack.Graph, f *txtar.File) {
	t.Helper()
	for line := range lines(f.Data) {
		hops := strings.Split(line, " > ")
		from, to := hops[0], hops[len(hops)-1]
		if missing(g, from) || missing(g, to) {
			t.Errorf("%s\n no vertex of the first or last name", line)
			continue
		}
		if got := route(t, g, from, to); got != line {
			t.Errorf("got  %s\nwant %s", got, line)
		}
	}
}

// checkChanges cuts one pair, and holds the result against the graph that is built
// anew.
func checkChanges(t *testing.T, g *attack.Graph, f *txtar.File) {
	t.Helper()
	for line := range lines(f.Data) {
		pair, want, _ := strings.Cut(line, " => ")
		from, to, _ := strings.Cut(pair, " -> ")
		entry, goal := vertex(t, g, from), vertex(t, g, to)
		cut := g.Cut([]int{entry}, []int{goal})
		var got []string
		for _, c := range cut.Changes {
			got = append(got, g.Changes[c].Text)
		}
		slices.Sort(got)
		for range cut.Fixed {
			got = append(got, "FIXED")
		}
		if text := strings.Join(got, "; "); text != want {
			t.Errorf("%s\ngot  %s\nwant %s", pair, text, want)
		}
		if len(cut.Fixed) > 0 {
			continue
		}
		left, after, err := g.Check(cut, []attack.Entry{{Vertex: entry, Likelihood: 1}}, []attack.Goal{{Impact: 1, Vertices: []int{goal}}})
		if err != nil {
			t.Error(err)
		}
		if len(left) > 0 {
			t.Errorf("%s: after the changes there is still %s", pair, route(t, after, from, to))
		}
	}
}

// checkSteps holds the likelihood of single steps, and what they rest on.
func checkSteps(t *testing.T, g *attack.Graph, f *txtar.File) {
	t.Helper()
	for line := range lines(f.Data) {
		pair, want, _ := strings.Cut(line, ": ")
		from, to, _ := strings.Cut(pair, " -> ")
		paths := g.Paths([]attack.Entry{{Vertex: vertex(t, g, from), Likelihood: 1}}, []attack.Goal{{Impact: 1, Vertices: []int{vertex(t, g, to)}}})
		if len(paths) != 1 || len(paths[0].Hops) != 1 {
			t.Errorf("%s: not one step: %s", pair, route(t, g, from, to))
			continue
		}
		s := g.Steps[paths[0].Hops[0].Step]
		var conditions []string
		for _, c := range s.Conditions {
			conditions = append(conditions, c.Text+" ("+c.Holds.String()+")")
		}
		got := strings.TrimSpace(strconv.FormatFloat(paths[0].Likelihood, 'f', 2, 64) + " " + strings.Join(conditions, "; "))
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", pair, got, want)
		}
	}
}

// lines yields the lines that are neither empty nor comments.
func lines(text []byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && !yield(line) {
				return
			}
		}
	}
}
