package checks_test

import (
	"bytes"
	"flag"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"seawall.io/seawall/checks"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/detect"
)

var update = flag.Bool("update", false, "rewrite the .want parts of the checks' files")

func rules(t *testing.T) []*check.Rule {
	t.Helper()
	all, err := checks.Rules()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestExamples runs every example of every check.
func TestExamples(t *testing.T) {
	for _, r := range rules(t) {
		t.Run(r.ID, func(t *testing.T) {
			t.Parallel()
			got := map[string]string{}
			outcomes := outcomes(t, r)
			for i := range r.Examples {
				e, out := &r.Examples[i], outcomes[i]
				got[e.Name] = out
				switch {
				case e.Fail && out == "":
					t.Errorf("%s: no finding, want at least one", e.Name)
				case !e.Fail && out != "":
					t.Errorf("%s: got findings, want none:\n%s", e.Name, out)
				case e.Fail && out != e.Want && !*update:
					t.Errorf("%s: got\n%s\nwant\n%s", e.Name, out, e.Want)
				}
			}
			if *update {
				rewrite(t, r, got)
			}
		})
	}
}

// outcomes judges the examples of a check.
func outcomes(t *testing.T, r *check.Rule) []string {
	t.Helper()
	judge := func(e *check.Example) (string, error) { return detect.Outcome(r, e, detect.Options{}) }
	if !r.OnEvents() {
		set, err := check.NewSet([]*check.Rule{r}, check.Options{Funcs: checks.Funcs()})
		if err != nil {
			t.Fatal(err)
		}
		if errs := set.Compile(); len(errs) > 0 {
			t.Fatal(errs[0])
		}
		judge = func(e *check.Example) (string, error) { return set.Outcome(r.ID, e) }
	}
	out := make([]string, len(r.Examples))
	for i := range r.Examples {
		var err error
		if out[i], err = judge(&r.Examples[i]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// rewrite puts the outcomes of the failing examples into a check's file.
func rewrite(t *testing.T, r *check.Rule, got map[string]string) {
	t.Helper()
	name := filepath.FromSlash(strings.TrimPrefix(r.File, "checks/"))
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	ar := txtar.Parse(before)
	var files []txtar.File
	for _, f := range ar.Files {
		if strings.HasSuffix(f.Name, ".want") {
			continue
		}
		files = append(files, f)
		if out, ok := got[f.Name]; ok && strings.HasPrefix(f.Name, "fail/") {
			want := strings.TrimSuffix(f.Name, path.Ext(f.Name)) + ".want"
			files = append(files, txtar.File{Name: want, Data: []byte(out + "\n")})
		}
	}
	ar.Files = files
	if after := txtar.Format(ar); !bytes.Equal(before, after) {
		if err := os.WriteFile(name, after, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFilesAreComplete holds every check to what docs/adding-a-check.md asks.
func TestFilesAreComplete(t *testing.T) {
	for _, r := range rules(t) {
		if want := "checks/" + r.Topic + "/" + r.ID + ".txtar"; r.File != want {
			t.Errorf("%s: the check is called %q, so the file must be %s", r.File, r.ID, want)
		}
		if r.Needs != "" && r.Func == "" && !r.OnEvents() {
			continue
		}
		var pass, fail bool
		for _, e := range r.Examples {
			pass, fail = pass || !e.Fail, fail || e.Fail
		}
		if !pass || !fail {
			t.Errorf("%s: want at least one pass/ and one fail/ example", r.File)
		}
	}
}

// TestFuncsAreUsed finds Go functions that no check names. That every named
// one exists is NewSet's to say.
func TestFuncsAreUsed(t *testing.T) {
	used := map[string]bool{}
	for _, r := range rules(t) {
		used[r.Func] = true
	}
	for name := range checks.Funcs() {
		if !used[name] {
			t.Errorf("function %q is named by no check", name)
		}
	}
}
