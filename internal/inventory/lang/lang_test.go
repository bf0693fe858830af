package lang_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/inventory/lang"
)

var update = flag.Bool("update", false, "rewrite what the examples want")

// TestExamples reads the files of each archive in testdata and compares what
// they tell with the archive's file "want".
func TestExamples(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, file := range archive.Files {
				if file.Name != "want" {
					tell(&got, file.Name, file.Data)
				}
			}
			last := &archive.Files[len(archive.Files)-1]
			if *update {
				last.Data = []byte(got.String())
				if err := os.WriteFile(name, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(got.String(), string(last.Data)); last.Name != "want" || diff != "" {
				t.Errorf("got - want +, last file %s:\n%s", last.Name, diff)
			}
		})
	}
}

// TestOneParser holds the parsers to wanting each file once.
func TestOneParser(t *testing.T) {
	names := make(map[string]bool)
	for _, p := range lang.Parsers() {
		if names[p.Name] || p.Limit <= 0 {
			t.Errorf("parser %s: name is taken or limit %d is none", p.Name, p.Limit)
		}
		names[p.Name] = true
	}
	for _, path := range []string{
		"package-lock.json", "node_modules/a/package.json", "requirements/pylock.toml", "requirements/requirements.txt",
		"a.egg-info", "a.egg-info/PKG-INFO", "conda-meta/a.json", "vendor/composer/installed.json", "a.deps.json",
	} {
		if got := len(parsersOf(path)); got != 1 {
			t.Errorf("%s: %d parsers want it, want 1", path, got)
		}
	}
}

func parsersOf(path string) []inventory.Parser {
	return slices.DeleteFunc(lang.Parsers(), func(p inventory.Parser) bool { return !p.Wants(path, 0o644, 1000) })
}

// read returns what a file tells.
func read(path string, body []byte) (facts inventory.Facts, wanted bool, err error) {
	parsers := parsersOf(path)
	if len(parsers) == 0 {
		return facts, false, nil
	}
	err = parsers[0].Parse(inventory.File{Path: path, Mode: 0o644, Size: int64(len(body)), Body: body}, &facts)
	return facts, true, err
}

// tell writes what a file tells, one line for each package and problem.
func tell(w *strings.Builder, path string, body []byte) {
	facts, wanted, err := read(path, body)
	if !wanted {
		fmt.Fprintf(w, "%s: not wanted\n", path)
	}
	for _, p := range facts.Packages {
		evidence := map[inventory.Evidence]string{
			inventory.Installed: "installed", inventory.Locked: "locked", inventory.Declared: "declared",
		}[p.Evidence]
		fmt.Fprintf(w, "%s:%d: %s %s %s %s", p.Path, p.Line, p.Type, p.Name, p.Version, evidence)
		if p.Dev {
			w.WriteString(" dev")
		}
		if len(p.Licenses) > 0 {
			fmt.Fprintf(w, " %q", p.Licenses)
		}
		w.WriteString("\n")
	}
	for _, problem := range facts.Problems {
		fmt.Fprintf(w, "%s: problem: %s\n", path, problem)
	}
	if err != nil {
		fmt.Fprintf(w, "%s: error: %v\n", path, err)
	}
}
