package document

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// manifests calls f for all manifests in testdata, and for those below the
// directory that SEAWALL_CORPUS names.
func manifests(tb testing.TB, f func(name string, text []byte)) {
	tb.Helper()
	for _, root := range []string{"testdata/manifests", os.Getenv("SEAWALL_CORPUS")} {
		if root == "" {
			continue
		}
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			switch filepath.Ext(path) {
			case ".yaml", ".yml", ".json":
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				f(path, text)
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// decoded reads JSON for comparison: all numbers as float64.
func decoded(tb testing.TB, text []byte) any {
	tb.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		tb.Fatalf("%v in %.200s", err, text)
	}
	return v
}

// stricter says whether an error is one that sigs.k8s.io/yaml does not have on
// purpose: it takes the last of equal keys.
func stricter(err *Error) bool {
	return strings.Contains(err.Msg, "already defined")
}

// compareWithSigs fails if sigs.k8s.io/yaml reads a document differently.
func compareWithSigs(tb testing.TB, name string, doc Doc) {
	tb.Helper()
	if len(doc.Text) == 0 || doc.Err != nil && stricter(doc.Err) {
		return
	}
	want, err := yaml.YAMLToJSON(bytes.TrimPrefix(doc.Text, []byte("\ufeff")))
	switch {
	case err != nil && doc.Err != nil:
	case err != nil:
		tb.Errorf("%s:%d: read %.200s, want the error %v", name, doc.Start, doc.Root.AppendJSON(nil), err)
	case doc.Err != nil:
		tb.Errorf("%s:%d: got the error %v, want none", name, doc.Start, doc.Err)
	default:
		if diff := cmp.Diff(decoded(tb, want), decoded(tb, doc.Root.AppendJSON(nil))); diff != "" {
			tb.Errorf("%s:%d: differs from sigs.k8s.io/yaml (-want +got):\n%s", name, doc.Start, diff)
		}
	}
}

func TestParseAgreesWithSigs(t *testing.T) {
	docs := 0
	manifests(t, func(name string, text []byte) {
		for _, doc := range Parse(text, Limits{}) {
			docs++
			compareWithSigs(t, name, doc)
			if doc.Err != nil {
				t.Logf("%s: %v", name, doc.Err)
			}
		}
	})
	t.Logf("compared %d documents", docs)
}
