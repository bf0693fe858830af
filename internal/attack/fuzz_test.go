package attack_test

import (
	"path/filepath"
	"reflect"
	"testing"

	"golang.org/x/tools/txtar"

	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// FuzzBuild makes graphs of whatever is an object at all, as two clusters that may
// lead to one another: none may bring it down, and the same objects give the same
// graph.
func FuzzBuild(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range a.Files {
			if filepath.Ext(part.Name) == ".yaml" && len(part.Data) < 20_000 {
				f.Add(part.Data, true)
				f.Add(part.Data, false)
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, whole bool) {
		var objects []*cluster.Object
		for _, doc := range document.Parse(text, document.Limits{Bytes: 100_000, Nodes: 5_000}) {
			if doc.Err != nil {
				continue
			}
			if o, ok := cluster.New(doc.Root); ok {
				objects = append(objects, o)
			}
		}
		var graphs [2]*attack.Graph
		for i := range graphs {
			s, other := cluster.NewSnapshot(objects), cluster.NewSnapshot(objects)
			s.Whole = whole
			graphs[i] = attack.Build([]*cluster.Snapshot{s, other}, attack.Options{})
		}
		one, two := graphs[0], graphs[1]
		if len(one.Vertices) != len(two.Vertices) || one.Edges() != two.Edges() || !reflect.DeepEqual(one.Unknown, two.Unknown) {
			t.Fatalf("two graphs of the same objects differ: %d and %d vertices, %d and %d edges", len(one.Vertices), len(two.Vertices), one.Edges(), two.Edges())
		}
		for i := range one.Vertices {
			if one.Vertices[i].Key != two.Vertices[i].Key {
				t.Fatalf("vertex %d is %+v and %+v", i, one.Vertices[i].Key, two.Vertices[i].Key)
			}
			a, b := one.From(i), two.From(i)
			if !reflect.DeepEqual(a, b) {
				t.Fatalf("the steps from %s differ", one.Name(i))
			}
			for j := range a {
				if one.Steps[a[j].Step].Text != two.Steps[b[j].Step].Text {
					t.Fatalf("%q and %q", one.Steps[a[j].Step].Text, two.Steps[b[j].Step].Text)
				}
			}
		}
	})
}
