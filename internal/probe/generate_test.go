package probe

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestGenerated makes the objects anew from bpf/ and compares them with those that
// are committed, so that what runs in the kernel is what is read in review. Another
// clang makes other bytes: it takes the one of Debian 12.
func TestGenerated(t *testing.T) {
	if testing.Short() {
		t.Skip("compiling all programs takes a while")
	}
	version, err := exec.CommandContext(t.Context(), "clang", "--version").Output()
	if err != nil {
		t.Skip("clang is not installed: ", err)
	}
	if !strings.Contains(string(version), "version 14.") {
		line, _, _ := strings.Cut(string(version), "\n")
		t.Skip("the objects are made with clang 14, this is ", line)
	}
	if _, err := os.Stat("/usr/include/bpf/bpf_helpers.h"); err != nil {
		t.Skip("libbpf-dev is not installed: ", err)
	}
	root := t.TempDir()
	for _, file := range []string{"go.mod", "go.sum", "tools/go.mod", "tools/go.sum", "internal/probe/doc.go"} {
		copyFile(t, filepath.Join("../..", file), filepath.Join(root, file))
	}
	sources, err := filepath.Glob("../../bpf/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range sources {
		copyFile(t, file, filepath.Join(root, "bpf", filepath.Base(file)))
	}
	cmd := exec.CommandContext(t.Context(), "go", "generate", "./internal/probe")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	made, err := filepath.Glob(filepath.Join(root, "internal/probe/*_bpfel.*"))
	if err != nil || len(made) < 10 {
		t.Fatalf("%d files were made: %v", len(made), err)
	}
	for _, file := range made {
		if !bytes.Equal(readFile(t, file), readFile(t, filepath.Base(file))) {
			t.Errorf("%s is not what its source makes: run go generate ./internal/probe", filepath.Base(file))
		}
	}
	committed, err := filepath.Glob("*_bpfel.*")
	if err != nil || len(committed) != len(made) {
		t.Errorf("%d files are committed, %d were made", len(committed), len(made))
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, readFile(t, from), 0o600); err != nil {
		t.Fatal(err)
	}
}
