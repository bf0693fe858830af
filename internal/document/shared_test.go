package document_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"seawall.io/seawall/internal/document"
)

// TestShared reads texts that repeat each other, on several goroutines, and holds
// them to what ParseJSON reads.
func TestShared(t *testing.T) {
	container := `{"name":"c","image":"registry.example.com/shop/web:1","env":[{"name":"A","value":"ü\"]}"},{"name":"B","value":"\\"}]}`
	var texts []string
	for i := range 200 {
		texts = append(texts, fmt.Sprintf(`{"kind":"Pod","metadata":{"name":"p%d","labels":{"app":"web","tier":"front","team":"shop-%d"}},"spec":{"containers":[%s,%s]}}`, i, i%3, container, strings.Replace(container, `"c"`, fmt.Sprintf(`"c%d"`, i%5), 1)))
	}
	s := document.NewShared()
	var group sync.WaitGroup
	roots := make([]*document.Node, len(texts))
	for g := range 4 {
		group.Go(func() {
			r := s.Reader()
			for i := g; i < len(texts); i += 4 {
				text := []byte(texts[i])
				root, err := r.ParseJSON(text, document.Limits{})
				if err != nil {
					t.Error(err)
				}
				for j := range text { // nothing may refer to the text
					text[j] = 'x'
				}
				roots[i] = root
			}
		})
	}
	group.Wait()
	for i, text := range texts {
		want, err := document.ParseJSON([]byte(text), document.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if !document.Equal(roots[i], want) {
			t.Fatalf("got %s, want %s", roots[i].AppendJSON(nil), text)
		}
	}
	last := func(i int) *document.Node { return roots[i].At("spec", "containers").List()[0] }
	if last(100) != last(196) {
		t.Error("equal containers are not shared")
	}
}

func TestSharedLimits(t *testing.T) {
	r := document.NewShared().Reader()
	text := []byte(`{"a":{"b":["` + strings.Repeat(`x","`, 100) + `"]}}`)
	for i := range 3 { // the second time all is known
		if _, err := r.ParseJSON(text, document.Limits{Nodes: 50}); err == nil {
			t.Errorf("round %d: more than 50 values are read", i)
		}
		if _, err := r.ParseJSON(text, document.Limits{Nodes: 200}); err != nil {
			t.Errorf("round %d: %v", i, err)
		}
	}
}

func FuzzShared(f *testing.F) {
	f.Add([]byte(`{"a":{"b":{"c":[1,2,3,"long enough to be looked up, by far"]}}}`))
	f.Add([]byte(`{"a":{"b":["é\\",{"c":"\"]}, long enough to be looked up, by far"}]}}`))
	f.Add([]byte(`{"a":{"b":[}]aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`))
	f.Fuzz(func(t *testing.T, text []byte) {
		want, wantErr := document.ParseJSON(text, document.Limits{})
		r := document.NewShared().Reader()
		for i := range 2 {
			got, err := r.ParseJSON(append([]byte(nil), text...), document.Limits{})
			if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
				t.Fatalf("round %d: got error %v, want %v", i, err, wantErr)
			}
			if err == nil && !document.Equal(got, want) {
				t.Fatalf("round %d: got %s", i, got.AppendJSON(nil))
			}
		}
	})
}
