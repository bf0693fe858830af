package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	yamlv2 "go.yaml.in/yaml/v2"
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
// purpose: it takes the last of equal keys, and stops reading behind the value
// of a document, so that the rest goes unseen.
func stricter(doc Doc) bool {
	if strings.Contains(doc.Err.Msg, "already defined") || strings.Contains(doc.Err.Msg, "after a ... line") {
		return true
	}
	dec := yamlv2.NewDecoder(bytes.NewReader(doc.Text))
	var v any
	return dec.Decode(&v) == nil && !errors.Is(dec.Decode(&v), io.EOF)
}

// compareWithSigs fails if sigs.k8s.io/yaml reads a document differently.
func compareWithSigs(tb testing.TB, name string, doc Doc) {
	tb.Helper()
	if len(doc.Text) == 0 || doc.Err != nil && stricter(doc) {
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
		}
	})
	t.Logf("compared %d documents", docs)
}

// difference describes the first place where two trees differ, and is empty
// if they do not. It is for trees that are too large for package cmp.
func difference(path string, got, want *Node) string {
	if got == nil || want == nil {
		if got == want {
			return ""
		}
		return fmt.Sprintf("%q: got %v, want %v", path, got, want)
	}
	if got.Pos != want.Pos || got.Kind() != want.Kind() || got.Len() != want.Len() || got.Len() == 0 && !Equal(got, want) {
		return fmt.Sprintf("%q: got %s at %v, want %s at %v", path, got.AppendJSON(nil), got.Pos, want.AppendJSON(nil), want.Pos)
	}
	for i, item := range got.List() {
		if diff := difference(Index(path, i), item, want.List()[i]); diff != "" {
			return diff
		}
	}
	for i, f := range got.Map() {
		w := want.Map()[i]
		if f.Key != w.Key || f.Pos != w.Pos {
			return fmt.Sprintf("%q: got key %q at %v, want %q at %v", path, f.Key, f.Pos, w.Key, w.Pos)
		}
		if diff := difference(Key(path, f.Key), f.Value, w.Value); diff != "" {
			return diff
		}
	}
	return ""
}

// pieces cuts a stream into its documents.
func pieces(text []byte) (out []piece) {
	s := splitter{text: text, line: 1, dashes: -1, dots: -1}
	s.skipByteOrderMark()
	for {
		p, ok := s.next()
		if !ok {
			return out
		}
		if p.err == nil {
			out = append(out, p)
		}
	}
}

// readBoth reads one document on the fast path and with the library.
func readBoth(p piece) (fast *Node, accepted bool, slow *Node, err *Error) {
	limits := Limits{}.orDefault()
	r := reader{limits: limits, left: limits.Nodes}
	fast, accepted = r.readFast(p)
	r = reader{limits: limits, left: limits.Nodes}
	if err = badEncoding(p.text, p.line); err != nil {
		return fast, accepted, nil, err
	}
	slow, err = r.readLibrary(p)
	return fast, accepted, slow, err
}

// comparePaths fails if the fast path accepts a document that the library
// reads differently, and says whether it accepts it and whether it can be read at all.
func comparePaths(tb testing.TB, name string, p piece) (accepted, readable bool) {
	tb.Helper()
	fast, accepted, slow, err := readBoth(p)
	switch {
	case !accepted:
	case err != nil:
		tb.Errorf("%s: the fast path read %.200s, the library has the error %v", name, fast.AppendJSON(nil), err)
	default:
		if diff := difference("", fast, slow); diff != "" {
			tb.Errorf("%s: the fast path differs from the library at %s", name, diff)
		}
	}
	return accepted, err == nil
}

func TestFastPathAgreesWithLibrary(t *testing.T) {
	var docs, readable, accepted int
	manifests(t, func(name string, text []byte) {
		for _, p := range pieces(text) {
			fast, ok := comparePaths(t, name, p)
			docs++
			if ok {
				readable++
			}
			if fast {
				accepted++
			}
		}
	})
	t.Logf("the fast path took %d of %d documents; %d can be read", accepted, docs, readable)
}
