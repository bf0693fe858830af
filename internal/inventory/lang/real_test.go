package lang_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/inventory"
)

// example reads a real lock file of testdata/example under the name that its
// package manager gives it.
func example(tb testing.TB, file, name string) []inventory.Package {
	tb.Helper()
	body, err := os.ReadFile("testdata/example/" + file)
	if err != nil {
		tb.Fatal(err)
	}
	facts, wanted, err := read(name, body)
	if err != nil || !wanted || len(facts.Problems) > 0 || len(facts.Packages) < 60 {
		tb.Fatalf("%s: %d packages, wanted %v, problems %q, error %v", file, len(facts.Packages), wanted, facts.Problems, err)
	}
	lines := strings.Split(string(body), "\n")
	for _, p := range facts.Packages {
		// The alias of a real name is the only one that its line need not hold.
		if line := lines[p.Line-1]; !strings.Contains(line, p.Name) && p.Name != "ws" && p.Name != "is-number" {
			tb.Errorf("%s:%d: %s is not on the line %q", file, p.Line, p.Name, line)
		}
	}
	return facts.Packages
}

// releases returns sorted name@version, with a mark on those for development.
func releases(packages []inventory.Package, dev bool) []string {
	all := make([]string, 0, len(packages))
	for _, p := range packages {
		s := p.Name + "@" + p.Version
		if dev && p.Dev {
			s += " dev"
		}
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

// TestVersionsOfFormatsAgree holds the lock files that tools of different ages
// wrote of the same project against each other.
func TestVersionsOfFormatsAgree(t *testing.T) {
	npm := releases(example(t, "package-lock.v3.json", "package-lock.json"), true)
	for _, file := range []string{"package-lock.v1.json", "package-lock.v2.json"} {
		if diff := cmp.Diff(releases(example(t, file, "package-lock.json"), true), npm); diff != "" {
			t.Errorf("%s got -, version 3 want +:\n%s", file, diff)
		}
	}
	// pnpm 9 tells what is for development by the graph only.
	pnpm := releases(example(t, "pnpm9.yaml", "pnpm-lock.yaml"), true)
	for _, file := range []string{"pnpm5.yaml", "pnpm6.yaml"} {
		if diff := cmp.Diff(releases(example(t, file, "pnpm-lock.yaml"), true), pnpm); diff != "" {
			t.Errorf("%s got -, version 9 want +:\n%s", file, diff)
		}
	}
	// Yarn 4 adds what fsevents would be built with.
	yarn4 := releases(example(t, "yarn4.lock", "yarn.lock"), false)
	for _, release := range releases(example(t, "yarn1.lock", "yarn.lock"), false) {
		if !slices.Contains(yarn4, release) {
			t.Errorf("%s is in the lock file of Yarn 1, not in that of Yarn 4", release)
		}
	}
	// All of them resolve what the project asks for.
	for _, want := range []string{
		"lodash@4.17.4", "lodash@4.17.15", "express@4.16.0", "ws@7.4.0", "is-number@7.0.0",
		"@babel/code-frame@7.0.0", "handlebars@4.0.11", "minimist@1.2.0 dev",
	} {
		for tool, got := range map[string][]string{"npm": npm, "pnpm": pnpm, "yarn": yarn4} {
			want := want
			if tool == "yarn" {
				want = strings.TrimSuffix(want, " dev")
			}
			if !slices.Contains(got, want) {
				t.Errorf("%s: no %s", tool, want)
			}
		}
	}
}

// TestNPMAgrees holds the lock files of npm against what npm itself reads.
func TestNPMAgrees(t *testing.T) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("npm is not installed")
	}
	for _, file := range []string{"package-lock.v1.json", "package-lock.v2.json", "package-lock.v3.json"} {
		t.Run(file, func(t *testing.T) {
			folder := t.TempDir()
			for from, to := range map[string]string{file: "package-lock.json", "package.json": "package.json"} {
				body, err := os.ReadFile("testdata/example/" + from)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(folder, to), body, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for folder, manifest := range map[string]string{
				filepath.Join(folder, "tool"):            `{"name":"tool","version":"0.1.0"}`,
				filepath.Join(folder, "packages", "web"): `{"name":"web","version":"0.2.0","dependencies":{"handlebars":"4.0.11","lodash":"4.17.15"}}`,
			} {
				if err := os.MkdirAll(folder, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(folder, "package.json"), []byte(manifest), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			command := exec.CommandContext(t.Context(), npm, "ls", "--all", "--json", "--package-lock-only", "--offline")
			command.Dir = folder
			out, _ := command.Output() // npm complains of links that are not made
			var root npmNode
			if err := json.Unmarshal(out, &root); err != nil {
				t.Fatalf("npm ls: %v\n%s", err, out)
			}
			want := make(map[string]bool)
			root.walk(want)
			got := make(map[string]bool)
			for _, release := range releases(example(t, file, "package-lock.json"), false) {
				got[release] = true
			}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("got -, npm +:\n%s", diff)
			}
		})
	}
}

// npmNode is a package in what npm ls writes.
type npmNode struct {
	Version      string             `json:"version"`
	Resolved     string             `json:"resolved"`
	Dependencies map[string]npmNode `json:"dependencies"`
}

func (n npmNode) walk(into map[string]bool) {
	for name, d := range n.Dependencies {
		// npm ls names aliases as the project does.
		switch name {
		case "old-ws":
			name = "ws"
		case "bundler-free":
			name = "is-number"
		}
		if d.Version != "" && !strings.HasPrefix(d.Resolved, "file:") {
			into[name+"@"+d.Version] = true
		}
		d.walk(into)
	}
}

// TestDebianPython reads the metadata of the Python packages that Debian
// installed on this machine, and holds it against Python's own reader of them.
func TestDebianPython(t *testing.T) {
	python := "/usr/bin/python3"
	if _, err := os.Stat(python); err != nil {
		t.Skip("Debian's python3 is not installed")
	}
	const script = `
import importlib.metadata as m, json
print(json.dumps([[d.metadata["Name"], d.version] for d in m.distributions(path=["/usr/lib/python3/dist-packages"])]))`
	out, err := exec.CommandContext(t.Context(), python, "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want [][2]string
	if err := json.Unmarshal(out, &want); err != nil {
		t.Fatal(err)
	}
	if len(want) == 0 {
		t.Skip("no Python packages of Debian are installed")
	}
	got := make(map[string]bool)
	for _, pattern := range []string{"*.dist-info/METADATA", "*.egg-info/PKG-INFO", "*.egg-info"} {
		files, err := filepath.Glob("/usr/lib/python3/dist-packages/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				continue // a folder
			}
			facts, wanted, err := read(strings.TrimPrefix(file, "/"), body)
			if err != nil || !wanted {
				t.Errorf("%s: wanted %v, error %v", file, wanted, err)
			}
			for _, p := range facts.Packages {
				got[p.Name+" "+p.Version] = true
			}
		}
	}
	normal := strings.NewReplacer("_", "-", ".", "-")
	known := make(map[string]bool)
	for _, p := range want {
		known[strings.ToLower(normal.Replace(p[0]))+" "+p[1]] = true
	}
	if diff := cmp.Diff(got, known); diff != "" {
		t.Errorf("got -, Python +:\n%s", diff)
	}
}

// TestUTF16 reads requirements as PowerShell writes them.
func TestUTF16(t *testing.T) {
	for name, body := range map[string]string{
		"little": "\xff\xfed\x00=\x00=\x001\x00\r\x00\n\x00",
		"big":    "\xfe\xff\x00d\x00=\x00=\x001\x00\r\x00\n",
		"utf8":   "\xef\xbb\xbfd==1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			facts, _, err := read("requirements.txt", []byte(body))
			if err != nil || len(facts.Packages) != 1 || facts.Packages[0].Name != "d" || facts.Packages[0].Version != "1" {
				t.Errorf("got %+v, %v, want d 1", facts, err)
			}
		})
	}
}
