package dockerfile

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	ours "seawall.io/seawall/internal/dockerfile"
)

// corpus returns the Dockerfiles that BuildKit's own tests read, those that it
// must refuse among them.
func corpus(t *testing.T) map[string][]byte {
	t.Helper()
	dir := moduleDir(t)
	out := map[string][]byte{}
	for _, pattern := range []string{"testfiles/*/Dockerfile", "testfiles-negative/*/Dockerfile", "testfile-line/Dockerfile"} {
		names, err := filepath.Glob(filepath.Join(dir, "frontend", "dockerfile", "parser", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			out[strings.TrimPrefix(name, dir)] = text
		}
	}
	if len(out) < 30 {
		t.Fatalf("got %d Dockerfiles, want more than 30", len(out))
	}
	return out
}

// TestBuildKit holds that we accept what BuildKit accepts, and read the same
// instructions on the same lines with the same text.
func TestBuildKit(t *testing.T) {
	t.Parallel()
	accepted := 0
	for name, text := range corpus(t) {
		for _, variant := range [][]byte{text, bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")), append([]byte("\ufeff"), text...)} {
			if compare(t, name, variant) {
				accepted++
			}
		}
	}
	t.Logf("%d files that BuildKit accepts are read alike", accepted)
	if accepted < 50 {
		t.Errorf("got %d accepted files, want more than 50", accepted)
	}
}

func compare(t *testing.T, name string, text []byte) bool {
	t.Helper()
	theirs, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return false
	}
	if _, _, err := instructions.Parse(theirs.AST, nil); err != nil {
		return false
	}
	f, err := ours.Parse("Dockerfile", text)
	if err != nil {
		t.Errorf("%s: BuildKit accepts it, we say: %v\n%s", name, err, text)
		return false
	}
	type row struct {
		keyword, text string
		line          int
	}
	var got, want []row
	for _, in := range f.Root.Get("instructions").List() {
		got = append(got, row{in.Get("keyword").Str(), in.Get("text").Str(), int(in.Pos.Line)})
	}
	for _, n := range theirs.AST.Children {
		want = append(want, row{strings.ToUpper(n.Value), strings.ToValidUTF8(strings.TrimSpace(n.Original), "\ufffd"), n.StartLine})
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n%+v\nwant\n%+v", name, got, want)
		return false
	}
	return true
}

// FuzzBuildKit does the same for whatever the fuzzer finds.
func FuzzBuildKit(f *testing.F) {
	f.Add([]byte("FROM a AS b\nRUN <<EOF\nx\nEOF\nCOPY --from=b [\"a\", \"b\"]\n"))
	f.Add([]byte("# escape=`\nFROM a\nRUN x `\n # y\n z\nENV a=b c=\"d e\"\n"))
	f.Add([]byte("FROM a\nRUN <<\"00\n"))
	f.Fuzz(func(t *testing.T, text []byte) { compare(t, "fuzz", text) })
}
