package toolchain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func recipe() Recipe {
	return Recipe{
		GoMod: []byte("module m\n\ngo 1.26.0\n\nrequire (\n\tk8s.io/kubernetes v1.36.3\n)\n"),
		Pause: []byte("package main\n\nfunc main() {}\n"),
	}
}

func TestKubernetesVersion(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"block", "module m\nrequire (\n\tk8s.io/kubernetes v1.36.3 // indirect\n)\n", "v1.36.3"},
		{"line", "module m\nrequire k8s.io/kubernetes v1.40.0\n", "v1.40.0"},
		{"absent", "module m\ntool k8s.io/kubernetes/cmd/kubelet\n", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Recipe{GoMod: []byte(test.in)}.KubernetesVersion()
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestKeyDependsOnEverything(t *testing.T) {
	key := func(r Recipe, goVersion, arch string) string {
		t.Helper()
		k, err := r.key(goVersion, arch)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	base := key(recipe(), "go1.26.8", "amd64")
	if again := key(recipe(), "go1.26.8", "amd64"); again != base {
		t.Fatalf("the key of the same recipe is %s, then %s", base, again)
	}
	if want := "kubernetes-v1.36.3-go1.26.8-"; !strings.HasPrefix(base, want) {
		t.Errorf("key %s, want one that begins %s", base, want)
	}
	sum, pause := recipe(), recipe()
	sum.GoSum = []byte("changed")
	pause.Pause = append(pause.Pause, '\n')
	for name, other := range map[string]string{
		"go-version":   key(recipe(), "go1.26.9", "amd64"),
		"architecture": key(recipe(), "go1.26.8", "arm64"),
		"go-sum":       key(sum, "go1.26.8", "amd64"),
		"pause":        key(pause, "go1.26.8", "amd64"),
	} {
		if other == base {
			t.Errorf("%s does not change the key", name)
		}
	}
}

func TestBuildOfOneProgram(t *testing.T) {
	source, dir := t.TempDir(), t.TempDir()
	r := recipe()
	if err := r.unpack(source); err != nil {
		t.Fatal(err)
	}
	todo, err := missing(dir)
	if err != nil || len(todo) != len(programs()) {
		t.Fatalf("an empty cache misses %v, %v, want all of %v", todo, err, programs())
	}
	if err := (Builder{Recipe: r}).build(t.Context(), source, dir, program{Pause, "./pause"}); err != nil {
		t.Fatal(err)
	}
	if todo, err = missing(dir); err != nil || len(todo) != len(programs())-1 {
		t.Errorf("after building one, missing %v, %v", todo, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("unfinished files stay: %q", left)
	}

	if err := os.WriteFile(filepath.Join(source, "pause", "main.go"), []byte("package main\n\nfunc main() { x }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	err = (Builder{Recipe: r}).build(t.Context(), source, t.TempDir(), program{Pause, "./pause"})
	if err == nil || !strings.Contains(err.Error(), "undefined: x") {
		t.Errorf("error %v, want the compiler's words", err)
	}
}
