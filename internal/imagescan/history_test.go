package imagescan_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/internal/oci"
)

// token is of GitHub's form, put together here so that nobody takes this file
// for one that holds it.
var token = "ghp_" + "a0B1c2D3e4F5g6H7i8J9k0L1m2N3o4" + "0LjHg7"

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
	return strings.TrimSpace(string(out))
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// pastRepository has a token in the past of prod/a.env, a password that is still
// in b.env, and both in a folder that is left out.
func pastRepository(t *testing.T) (dir, commit string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "shop")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "init", "-q", ".")
	put(t, dir, "prod/a.env", "# settings\nGITHUB="+token+"\n")
	put(t, dir, "b.env", "PASSWORD=Zx9q-Lm4vT\n")
	put(t, dir, "left/out.env", "PASSWORD=Qw8r-Nk5uS\n")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "one")
	commit = git(t, dir, "rev-parse", "HEAD")
	put(t, dir, "prod/a.env", "# settings\nGITHUB=\n")
	git(t, dir, "rm", "-q", "-r", "left")
	git(t, dir, "commit", "-q", "-a", "-m", "two")
	return dir, commit
}

// secrets lists what a scan of a source tree found, and what it could not read.
func secrets(t *testing.T, root string, o imagescan.SourceOptions) (found, holes []string) {
	t.Helper()
	tree, err := imagescan.Sources(t.Context(), root, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range tree.Objects {
		name, _ := filepath.Rel(root, object.File)
		for _, item := range object.Root.Get("secrets").List() {
			found = append(found, strings.TrimSpace(name+" "+item.Get("rule").Str()+" "+item.Get("commit").Str()))
			if past := item.Get("object").Str() != ""; past == (item.Pos.Line > 0) {
				t.Errorf("%s: line %d of the file for what is of the past: %v", name, item.Pos.Line, past)
			}
		}
	}
	for _, i := range tree.Incomplete {
		holes = append(holes, i.Reason)
	}
	return found, holes
}

func TestHistory(t *testing.T) {
	dir, commit := pastRepository(t)
	want := []string{"b.env password", "left/out.env password " + commit, "prod/a.env github-token " + commit}
	without := want[:1]
	check := func(name, root string, o imagescan.SourceOptions, want []string) {
		t.Helper()
		if got, holes := secrets(t, root, o); !slices.Equal(got, want) || len(holes) > 0 {
			t.Errorf("%s: got %v, want %v; not read: %v", name, got, want, holes)
		}
	}
	check("loose", dir, imagescan.SourceOptions{}, want)
	check("excluded", dir, imagescan.SourceOptions{Exclude: []string{"left"}}, []string{want[0], want[2]})
	check("no history", dir, imagescan.SourceOptions{Options: imagescan.Options{NoHistory: true}}, without)
	check("no secrets", dir, imagescan.SourceOptions{Options: imagescan.Options{NoSecrets: true}}, nil)
	check("below the root", filepath.Join(dir, "prod"), imagescan.SourceOptions{}, nil)
	check("a file", filepath.Join(dir, "b.env"), imagescan.SourceOptions{}, []string{". password"})

	tree := filepath.Join(filepath.Dir(dir), "tree")
	git(t, dir, "worktree", "add", "-q", "--detach", tree)
	check("worktree", tree, imagescan.SourceOptions{}, want)

	git(t, dir, "gc", "-q")
	check("packed", dir, imagescan.SourceOptions{}, want)

	bare := filepath.Join(filepath.Dir(dir), "shop.git")
	git(t, dir, "clone", "-q", "--bare", dir, bare)
	if got, holes := secrets(t, bare, imagescan.SourceOptions{}); len(got) != 3 || len(holes) > 0 {
		t.Errorf("bare: got %v; not read: %v", got, holes)
	}
}

// TestHistoryHoles has repositories of which not all can be read.
func TestHistoryHoles(t *testing.T) {
	check := func(name, root string, o imagescan.SourceOptions, want string) {
		t.Helper()
		_, holes := secrets(t, root, o)
		if len(holes) != 1 || !strings.Contains(holes[0], want) {
			t.Errorf("%s: got %q, want %q", name, holes, want)
		}
	}
	dir, _ := pastRepository(t)
	check("no time", dir, imagescan.SourceOptions{HistoryTime: time.Nanosecond}, "was ended after 1ns")

	objects, _ := filepath.Glob(filepath.Join(dir, ".git/objects/??/*"))
	if err := os.Chmod(objects[0], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(objects[0], []byte("no object"), 0o644); err != nil {
		t.Fatal(err)
	}
	check("broken object", dir, imagescan.SourceOptions{}, "reading a loose object")

	for name, text := range map[string]string{"nowhere": "gitdir: /does/not/exist\n", "something": "hello\n", "much": "gitdir: " + strings.Repeat("a", 5000)} {
		root := t.TempDir()
		put(t, root, ".git", text)
		check("a pointer to "+name, root, imagescan.SourceOptions{}, "its history was not searched")
	}
	root := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, ".git"), filepath.Join(root, ".git")); err != nil {
		t.Fatal(err)
	}
	check("a symbolic link", root, imagescan.SourceOptions{}, "symbolic link")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := imagescan.Sources(ctx, dir, imagescan.SourceOptions{}); err == nil {
		t.Error("cancelled: got no error")
	}
}

// TestHistoryInImages has repositories that somebody copied into an image.
func TestHistoryInImages(t *testing.T) {
	dir, commit := pastRepository(t)
	scan := func(o imagescan.Options) (got []string) {
		t.Helper()
		r, err := imagescan.Scan(t.Context(), oci.Source{Kind: oci.RootfsKind, Path: filepath.Dir(dir)}, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range r.Description.Secrets {
			got = append(got, strings.TrimSpace(strings.Join([]string{filepath.Ext(c.Path), c.Rule, c.File, c.Commit}, " ")))
		}
		slices.Sort(got)
		return got
	}
	today := ".env password"
	if got, want := scan(imagescan.Options{}), []string{today, "github-token", "password"}; !slices.Equal(got, want) {
		t.Errorf("loose: got %q, want %q", got, want)
	}
	git(t, dir, "gc", "-q")
	want := []string{today, ".pack github-token prod/a.env " + commit, ".pack password left/out.env " + commit}
	if got := scan(imagescan.Options{}); !slices.Equal(got, want) {
		t.Errorf("packed: got %q, want %q", got, want)
	}
	if got := scan(imagescan.Options{NoHistory: true}); !slices.Equal(got, want[:1]) {
		t.Errorf("no history: got %q", got)
	}
}
