package seawall_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "seawall.io/seawall"

// Layers of the house, lowest first; docs/architecture.md draws them. A package
// may import those of its own layer only where layered says so, and those of
// lower layers.
var (
	nouns   = []string{""}
	engines = []string{
		"document", "cluster", "redact", "credential", "secret", "patch", "rbac", "netpol", "check", "vap", "exception",
		"dockerfile", "inventory", "version", "vuln", "sbom", "image", "slim",
		"reach", "netgen", "attack", "isolation",
		"process", "profile", "detect",
	}
	adapters = []string{"manifest", "helm", "kustomize", "kube", "snapshotfile", "report", "oci", "advisory", "signature", "probe", "cri", "procfs", "spool", "kubeapi", "agents"}
	services = []string{"scan", "repair", "imagescan", "slimming", "respond", "evidence", "agent"}
	surface  = []string{"cli"}
)

type goPackage struct {
	ImportPath string
	Name       string
	Doc        string
	Standard   bool
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Name,Doc,Standard,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// layer returns the number of a package's layer, -1 for one that has none.
func layer(importPath string) int {
	name, ours := strings.CutPrefix(importPath, module)
	name = strings.TrimPrefix(name, "/")
	if !ours {
		return -1
	}
	switch {
	case slices.Contains(nouns, name):
		return 0
	case strings.HasPrefix(name, "internal/"):
		name = strings.TrimPrefix(name, "internal/")
		for i, names := range [][]string{engines, adapters, services, surface} {
			if slices.Contains(names, strings.Split(name, "/")[0]) {
				return i + 1
			}
		}
	case name == "checks", strings.HasPrefix(name, "checks/"):
		return 1
	case strings.HasPrefix(name, "cmd/"):
		return 5
	case strings.HasPrefix(name, "test/"):
		return 6
	}
	return -1
}

// TestLayers holds imports to point downwards: adapters never know one another,
// engines know no adapter, and the nouns know nothing but the standard library.
func TestLayers(t *testing.T) {
	for _, p := range packages(t) {
		from := layer(p.ImportPath)
		if from < 0 {
			t.Errorf("%s is in no layer: give it one here and in docs/architecture.md", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if !strings.HasPrefix(imported, module) {
				if from == 0 && strings.Contains(strings.Split(imported, "/")[0], ".") {
					t.Errorf("the root package imports %s: it imports the standard library only", imported)
				}
				continue
			}
			to := layer(imported)
			switch {
			case to > from:
				t.Errorf("%s imports %s, which is above it", p.ImportPath, imported)
			case to == from && from == 2 && !sameParent(p.ImportPath, imported):
				t.Errorf("%s imports %s: adapters do not know one another", p.ImportPath, imported)
			}
		}
	}
}

func sameParent(a, b string) bool { return strings.HasPrefix(b, a+"/") || path.Dir(a) == b }

// TestPackages wants a comment on every package, and names that say something.
func TestPackages(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && p.Name != "main" && !strings.HasPrefix(p.ImportPath, module+"/test/") {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
		if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "misc", "base", "core", "shared"}, p.Name) {
			t.Errorf("%s: the name says nothing", p.ImportPath)
		}
	}
}
