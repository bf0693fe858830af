package attack_test

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// FuzzBuild makes graphs of whatever objects there are: two clusters of the same,
// one whole and one of files. Nothing in them may break it, likelihoods are
// likelihoods, and what is cut is gone.
func FuzzBuild(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range a.Files {
			if strings.HasSuffix(part.Name, ".yaml") {
				f.Add(string(part.Data))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		var snaps []*cluster.Snapshot
		for _, whole := range []bool{true, false} {
			var objects []*cluster.Object
			for _, doc := range document.Parse([]byte(text), document.Limits{Nodes: 5000}) {
				if o, ok := cluster.New(doc.Root); doc.Err == nil && ok {
					objects = append(objects, o)
				}
			}
			s := cluster.NewSnapshot(objects)
			s.Whole = whole
			snaps = append(snaps, s)
		}
		g := attack.Build(snaps, attack.Options{})
		for i := range g.Steps {
			s := &g.Steps[i]
			if s.Likelihood < 0 || s.Likelihood > 1 {
				t.Errorf("%s %s: likelihood %v", s.ID, s.Text, s.Likelihood)
			}
			for _, c := range s.Conditions {
				if c.Holds == attack.No {
					t.Errorf("%s %s: %s does not hold", s.ID, s.Text, c.Text)
				}
			}
			for _, e := range s.Evidence {
				if e.Object == nil {
					t.Errorf("%s %s: evidence without an object", s.ID, s.Text)
				}
			}
		}
		g.Paths(g.Entries(), g.Goals())
	})
}
