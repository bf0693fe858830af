package history_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"seawall.io/seawall/internal/secret"
	"seawall.io/seawall/internal/secret/gitobj"
	"seawall.io/seawall/internal/secret/history"
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
	return strings.TrimSpace(string(out))
}

// token is of GitHub's form, with the checksum that makes it whole. It is put
// together here so that nobody takes this file for one that holds it.
var token = "ghp_" + "a0B1c2D3e4F5g6H7i8J9k0L1m2N3o4" + "0LjHg7"

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func commit(t *testing.T, dir string) string {
	t.Helper()
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "x")
	return git(t, dir, "rev-parse", "HEAD")
}

// search reads the packs of a repository, and holds the short way of looking at
// changes against looking at every object as a whole.
func search(t *testing.T, dir string, r *history.Repository) []secret.Hit {
	t.Helper()
	packs, _ := filepath.Glob(filepath.Join(dir, ".git/objects/pack/*.pack"))
	if len(packs) == 0 {
		t.Fatal("no packs")
	}
	whole := history.Repository{Wants: r.Wants}
	for _, p := range packs {
		body, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for o, err := range gitobj.Pack(bytes.NewReader(body), int64(len(body)), gitobj.Limits{}) {
			if err != nil {
				t.Fatal(err)
			}
			r.Add(o)
			o.Base, o.Changed = gitobj.ID{}, nil
			whole.Add(o)
		}
	}
	if got, want := r.Hits(), whole.Hits(); !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	return r.Hits()
}

// TestHits has credentials that came and went in a large file of many versions,
// so that git keeps them as changes.
func TestHits(t *testing.T) {
	dir := t.TempDir()
	git(t, dir, "init", "-q", ".")
	lines := make([]string, 3000)
	for i := range lines {
		lines[i] = fmt.Sprintf("setting_%d = %d", i, i*i)
	}
	commits := map[int]string{}
	for i := range 12 {
		lines[i*200] = fmt.Sprintf("changed = %d", i)
		switch i {
		case 4:
			lines[1500] = "github = " + token
		case 5:
			lines[1500] = "github = none"
		case 7:
			lines[2900] = "password = hunter2-Zx9q!Lm"
		case 9:
			lines[2900] = "password = ${PASSWORD}"
		}
		write(t, dir, "etc/app.conf", strings.Join(lines, "\n"))
		write(t, dir, "etc/copy-of-app.conf", strings.Join(lines, "\n")+"\n#")
		commits[i] = commit(t, dir)
	}
	git(t, dir, "repack", "-q", "-a", "-d", "-f", "--depth=50", "--window=50")
	var r history.Repository
	got := map[string]string{}
	for _, h := range search(t, dir, &r) {
		got[h.Rule] = fmt.Sprintf("%s:%d %s", h.File, h.Line, h.Commit)
		if text := git(t, dir, "cat-file", "-p", h.Object); !strings.Contains(strings.Split(text, "\n")[h.Line-1], "= ") {
			t.Errorf("%s: line %d of %s is something else", h.Rule, h.Line, h.Object)
		}
	}
	if len(got) != 2 || !strings.HasSuffix(got["github-token"], ":1501 "+commits[4]) || !strings.Contains(got["github-token"], "app.conf") {
		t.Errorf("got %v; the token is in line 1501 of %s", got, commits[4])
	}
	if r.Searched < 24 || r.Cut || r.Large != 0 {
		t.Errorf("searched %d, large %d, cut %v", r.Searched, r.Large, r.Cut)
	}
}

func TestLeftOut(t *testing.T) {
	dir := t.TempDir()
	git(t, dir, "init", "-q", ".")
	write(t, dir, "vendor/a.env", "GITHUB_TOKEN="+token)
	write(t, dir, "large.env", strings.Repeat("a = 1\n", history.MaxObject/6+1)+"GITHUB_TOKEN="+token)
	commit(t, dir)
	git(t, dir, "repack", "-q", "-a", "-d")
	r := history.Repository{Wants: func(name string) bool { return !strings.HasPrefix(name, "vendor/") }}
	if got := search(t, dir, &r); len(got) > 0 || r.Large != 1 {
		t.Errorf("got %v, %d large", got, r.Large)
	}
}

// TestNameless has objects that no tree names until later, and one that none
// ever does.
func TestNameless(t *testing.T) {
	text := []byte("GITHUB_TOKEN=" + token)
	blob := gitobj.Object{Kind: gitobj.Blob, ID: gitobj.ID{1}, Body: text}
	tree := gitobj.Object{Kind: gitobj.Tree, ID: gitobj.ID{2}, Body: append([]byte("100644 a_test.go\x00"), blob.ID[:]...)}
	commit := gitobj.Object{Kind: gitobj.Commit, ID: gitobj.ID{3}, Body: fmt.Appendf(nil, "tree %s\nauthor a\n", tree.ID)}
	for _, test := range []struct {
		name         string
		objects      []gitobj.Object
		wants        func(string) bool
		file, commit string
		example      bool
		found        int
	}{
		{name: "never", objects: []gitobj.Object{blob}, found: 1},
		{name: "late", objects: []gitobj.Object{blob, tree, commit}, found: 1, file: "a_test.go", commit: commit.ID.String(), example: true},
		{name: "no-commit", objects: []gitobj.Object{tree, blob}, found: 1, file: "a_test.go", example: true},
		{name: "left-out", objects: []gitobj.Object{blob, tree}, wants: func(name string) bool { return name != "a_test.go" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := history.Repository{Wants: test.wants}
			for _, o := range test.objects {
				o.Body = bytes.Clone(o.Body)
				r.Add(o)
				clear(o.Body) // it is valid no longer
			}
			for range 2 { // asking twice changes nothing
				got := r.Hits()
				if len(got) != test.found || test.found > 0 &&
					(got[0].File != test.file || got[0].Commit != test.commit || got[0].Example != test.example || got[0].Object != blob.ID.String()) {
					t.Errorf("got %+v", got)
				}
			}
		})
	}
}
