package attack_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/cluster"
)

// TestExample holds the example cluster to the table in its README: each path that
// is there, by its primitives, and each that only looks like one.
func TestExample(t *testing.T) {
	var text strings.Builder
	files, err := filepath.Glob("../../examples/paths/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("the example: %v %v", files, err)
	}
	for _, name := range files {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString("---\n")
		text.Write(file)
	}
	g := attack.Build([]*cluster.Snapshot{snapshot(t, text.String())}, attack.Options{})
	readme, err := os.ReadFile("../../examples/paths/README.md")
	if err != nil {
		t.Fatal(err)
	}
	there, looks := 0, 0
	for line := range strings.Lines(string(readme)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 || !strings.HasPrefix(strings.TrimSpace(cells[0]), "`") {
			continue
		}
		cell := func(i int) string { return strings.Trim(strings.TrimSpace(cells[i]), "`") }
		want := cell(2)
		if want == "none" {
			want = ""
			looks++
		} else {
			there++
		}
		if got := primitives(t, g, cell(0), cell(1)); got != want {
			t.Errorf("%s to %s: got %q, want %q", cell(0), cell(1), got, want)
		}
	}
	if there < 8 || looks < 8 {
		t.Errorf("the table has %d paths and %d that look like one", there, looks)
	}
}

// primitives are those of the likeliest path between what two selectors name.
func primitives(t *testing.T, g *attack.Graph, from, to string) string {
	t.Helper()
	entry, err := g.Select(from)
	if err != nil {
		t.Fatal(err)
	}
	goal, err := g.Select(to)
	if err != nil {
		t.Fatal(err)
	}
	paths := g.Paths([]attack.Entry{{Vertex: entry[0], Likelihood: 1}}, []attack.Goal{{Impact: 1, Vertices: goal}})
	if len(paths) == 0 {
		return ""
	}
	var ids []string
	for _, h := range paths[0].Hops {
		ids = append(ids, g.Steps[h.Step].ID)
	}
	return strings.Join(ids, " ")
}
