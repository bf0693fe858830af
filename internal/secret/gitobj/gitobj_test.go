package gitobj_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"seawall.io/seawall/internal/secret/gitobj"
)

// git runs git in a folder, or skips the test where there is none.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v: %s", args, err, out)
	}
	return string(out)
}

// repository makes one with files that change a little in each commit.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, "init", "-q", ".")
	r := rand.New(rand.NewPCG(1, 2))
	lines := make([]string, 400)
	for i := range lines {
		lines[i] = fmt.Sprintf("line %d of a file: %d", i, r.Uint64())
	}
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		lines[r.IntN(len(lines))] = fmt.Sprintf("changed in %d", i)
		for _, f := range []struct{ name, text string }{
			{"a/b/changing.txt", strings.Join(lines, "\n")}, {fmt.Sprintf("new%d", i), strconv.Itoa(i)}, {"empty", ""},
		} {
			if err := os.WriteFile(filepath.Join(dir, f.name), []byte(f.text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		git(t, dir, "add", ".")
		git(t, dir, "commit", "-q", "-m", strconv.Itoa(i))
	}
	git(t, dir, "tag", "-a", "-m", "a tag", "v1")
	return dir
}

// objects returns what git says that there is: type and size by name.
func objects(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(git(t, dir, "cat-file", "--batch-all-objects", "--batch-check")) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		out[name] = rest
	}
	return out
}

func readPack(t *testing.T, file string, each func(gitobj.Object)) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for o, err := range gitobj.Pack(f, info.Size(), gitobj.Limits{}) {
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		each(o)
	}
}

// compare holds what was read to what git has. Names are the SHA-1 of what was
// read, so that equal names are equal contents.
func compare(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, what := range want {
		if got[name] != what {
			t.Errorf("%s: got %q, want %q", name, got[name], what)
		}
	}
	if len(got) != len(want) || len(got) == 0 {
		t.Errorf("got %d objects, want %d", len(got), len(want))
	}
}

func TestLoose(t *testing.T) {
	dir := repository(t)
	got := map[string]string{}
	files, _ := filepath.Glob(filepath.Join(dir, ".git/objects/??/*"))
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		o, err := gitobj.Loose(body, gitobj.Limits{})
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		got[o.ID.String()] = fmt.Sprint(o.Kind, " ", len(o.Body))
	}
	compare(t, got, objects(t, dir))
}

func TestPack(t *testing.T) {
	dir := repository(t)
	want := objects(t, dir)
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"offsets", []string{"-c", "repack.useDeltaBaseOffset=true", "repack", "-q", "-a", "-d", "-f", "--depth=50"}},
		{"names", []string{"-c", "repack.useDeltaBaseOffset=false", "repack", "-q", "-a", "-d", "-f", "--depth=50"}},
		{"deep", []string{"repack", "-q", "-a", "-d", "-f", "--depth=500", "--window=500"}},
		{"whole", []string{"repack", "-q", "-a", "-d", "-f", "--depth=0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			git(t, dir, tt.args...)
			files, _ := filepath.Glob(filepath.Join(dir, ".git/objects/pack/*.pack"))
			got := map[string]string{}
			var names gitobj.Names
			var blobs []gitobj.ID
			bodies, changes := map[gitobj.ID]string{}, 0
			for _, file := range files {
				readPack(t, file, func(o gitobj.Object) {
					bodies[o.ID] = string(o.Body)
					checkChanges(t, o, bodies)
					changes += len(o.Changed)
					got[o.ID.String()] = fmt.Sprint(o.Kind, " ", len(o.Body))
					names.Add(o)
					if o.Kind == gitobj.Blob {
						blobs = append(blobs, o.ID)
					}
				})
			}
			compare(t, got, want)
			if changes == 0 && tt.name != "whole" {
				t.Error("no object is told as a change to another")
			}
			for _, id := range blobs {
				path, _ := names.Of(id)
				if path != "a/b/changing.txt" && path != "empty" && !strings.HasPrefix(path, "new") {
					t.Errorf("%s: got path %q", id, path)
				}
			}
			head := strings.TrimSpace(git(t, dir, "rev-parse", "HEAD:new29"))
			for _, id := range blobs {
				if _, commit := names.Of(id); id.String() == head && commit.String() != strings.TrimSpace(git(t, dir, "rev-parse", "HEAD")) {
					t.Errorf("new29: got commit %s, want HEAD", commit)
				}
			}
		})
	}
}

// TestPackFetched reads packs as a fetch leaves them: bases that the sender knew
// the receiver to have are named, and stand at the end.
func TestPackFetched(t *testing.T) {
	from, dir := repository(t), t.TempDir()
	git(t, from, "branch", "old", "HEAD~25")
	git(t, from, "repack", "-q", "-a", "-d", "-f", "--depth=50")
	git(t, dir, "init", "-q", ".")
	for _, ref := range []string{"old", "HEAD~12:refs/heads/middle", "HEAD:refs/heads/new"} {
		if before, after, ok := strings.Cut(ref, ":"); ok {
			ref = strings.TrimSpace(git(t, from, "rev-parse", before)) + ":" + after
		}
		git(t, dir, "-c", "fetch.unpackLimit=1", "-c", "protocol.file.allow=always", "fetch", "-q", "file://"+from, ref)
	}
	files, _ := filepath.Glob(filepath.Join(dir, ".git/objects/pack/*.pack"))
	if len(files) != 3 {
		t.Fatalf("got %d packs, want 3", len(files))
	}
	got := map[string]string{}
	for _, file := range files {
		bodies := map[gitobj.ID]string{}
		readPack(t, file, func(o gitobj.Object) {
			bodies[o.ID] = string(o.Body)
			checkChanges(t, o, bodies)
			got[o.ID.String()] = fmt.Sprint(o.Kind, " ", len(o.Body))
		})
	}
	compare(t, got, objects(t, dir))
}

// checkChanges holds that what an object has beside its changes is in its base.
func checkChanges(t *testing.T, o gitobj.Object, bodies map[gitobj.ID]string) {
	t.Helper()
	if o.Base == (gitobj.ID{}) {
		if o.Changed != nil {
			t.Errorf("%s has changes to no base", o.ID)
		}
		return
	}
	base, known := bodies[o.Base]
	if !known {
		t.Fatalf("%s is a change to %s, which has not come", o.ID, o.Base)
	}
	at := 0
	for _, c := range append(o.Changed, gitobj.Span{Start: len(o.Body), End: len(o.Body)}) {
		if c.Start < at || c.End < c.Start || c.End > len(o.Body) {
			t.Fatalf("%s: changes %v", o.ID, o.Changed)
		}
		if old := string(o.Body[at:c.Start]); !strings.Contains(base, old) {
			t.Errorf("%s: %q is new and not told so", o.ID, old)
		}
		at = c.End
	}
}

func TestPackRefuses(t *testing.T) {
	dir := repository(t)
	git(t, dir, "repack", "-q", "-a", "-d", "-f")
	files, _ := filepath.Glob(filepath.Join(dir, ".git/objects/pack/*.pack"))
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	read := func(body []byte, l gitobj.Limits) (n int, last error) {
		for _, err := range gitobj.Pack(bytes.NewReader(body), int64(len(body)), l) {
			if err != nil {
				last = err
			} else {
				n++
			}
		}
		return n, last
	}
	all, err := read(whole, gitobj.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := read(whole[:len(whole)/2], gitobj.Limits{}); err == nil || n == 0 || n >= all {
		t.Errorf("half a pack: got %d objects of %d and error %v", n, all, err)
	}
	if n, err := read(whole, gitobj.Limits{Object: 1000}); !errors.Is(err, gitobj.ErrTooLarge) || n == 0 || n >= all {
		t.Errorf("objects of 1000 bytes: got %d objects of %d and error %v", n, all, err)
	}
	if n, err := read(whole, gitobj.Limits{Total: 20000}); !errors.Is(err, gitobj.ErrTooLarge) || n == 0 || n >= all {
		t.Errorf("20000 bytes in all: got %d objects of %d and error %v", n, all, err)
	}
	if _, err := read([]byte("PACK but no more"), gitobj.Limits{}); err == nil {
		t.Error("a text: got no error")
	}
	if _, err := read(nil, gitobj.Limits{}); err == nil {
		t.Error("nothing: got no error")
	}
}

func FuzzPack(f *testing.F) {
	f.Add([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01\x33x\x9ccdb\x06\x00\x00\x0e\x00\x07aaaaaaaaaaaaaaaaaaaa"))
	f.Add([]byte("PACK\x00\x00\x00\x02\xff\xff\xff\xff\x63\x01x\x9c"))
	f.Fuzz(func(t *testing.T, body []byte) {
		var names gitobj.Names
		n := 0
		for o, err := range gitobj.Pack(bytes.NewReader(body), int64(len(body)), gitobj.Limits{Object: 1 << 16, Total: 1 << 20}) {
			if n++; n > len(body)+2 {
				t.Fatalf("%d objects in %d bytes", n, len(body))
			}
			if err == nil {
				names.Add(o)
				names.Of(o.ID)
			}
		}
	})
}

func FuzzLoose(f *testing.F) {
	f.Add([]byte("x\x9cK\xca\xc9OR0`\x00\x00\x07\x0f\x01\xad"))
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := gitobj.Loose(body, gitobj.Limits{Object: 1 << 16})
		if err == nil && (o.Kind < gitobj.Commit || o.Kind > gitobj.Tag || len(o.Body) > 1<<16) {
			t.Errorf("got %s of %d bytes", o.Kind, len(o.Body))
		}
	})
}
