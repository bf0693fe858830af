package binary

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/inventory"
)

// build compiles a package of this module and returns the binary.
func build(t testing.TB, pkg string, env []string, flags ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "prog")
	args := append([]string{"build", "-o", out}, flags...)
	cmd := exec.CommandContext(t.Context(), "go", append(args, pkg)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Env = append(cmd.Env, env...)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, b)
	}
	body, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func module(t *testing.T, facts inventory.Facts, name string) *inventory.Package {
	t.Helper()
	for i := range facts.Packages {
		if facts.Packages[i].Name == name {
			return &facts.Packages[i]
		}
	}
	t.Fatalf("no module %s", name)
	return nil
}

const yamlModule = "go.yaml.in/yaml/v3"

func TestGoBinaries(t *testing.T) {
	tests := []struct {
		name   string
		env    []string
		flags  []string
		goos   string
		goarch string
		noTree bool // inlined functions are not found
		noELF  bool
	}{
		{name: "plain", goos: "linux", goarch: "amd64"},
		{name: "stripped", flags: []string{"-trimpath", "-ldflags=-s -w -buildid="}, goos: "linux", goarch: "amd64"},
		{name: "pie", flags: []string{"-buildmode=pie", "-ldflags=-s -w"}, goos: "linux", goarch: "amd64"},
		{name: "arm64-pie", env: []string{"GOARCH=arm64"}, flags: []string{"-buildmode=pie"}, goos: "linux", goarch: "arm64"},
		{name: "386", env: []string{"GOARCH=386"}, goos: "linux", goarch: "386"},
		{name: "s390x-big-endian", env: []string{"GOARCH=s390x"}, goos: "linux", goarch: "s390x"},
		{name: "windows", env: []string{"GOOS=windows"}, goos: "windows", goarch: "amd64", noELF: true, noTree: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if testing.Short() && tt.env != nil {
				t.Skip("builds the standard library for another system")
			}
			env := append([]string{"GOOS=linux", "GOARCH=amd64"}, tt.env...)
			body := build(t, "./testdata/prog", env, tt.flags...)
			facts := factsOf(t, "app/prog", body)
			if len(facts.Problems) > 0 {
				t.Errorf("problems %q", facts.Problems)
			}
			if d := cmp.Diff(modulesOf(t, body), spelled(facts.Packages)); d != "" {
				t.Errorf("modules (-buildinfo +got)\n%s", d)
			}
			for _, p := range facts.Packages {
				if p.Type != inventory.Go || p.Go.GOOS != tt.goos || p.Go.GOARCH != tt.goarch || p.Go.Known == tt.noTree || p.Path != "app/prog" {
					t.Errorf("%s: %s, %s/%s, known %v, %s", p.Name, p.Type, p.Go.GOOS, p.Go.GOARCH, p.Go.Known, p.Path)
				}
				if !slices.IsSorted(p.Go.Functions) {
					t.Errorf("%s: functions are not sorted", p.Name)
				}
			}
			yaml := module(t, facts, yamlModule).Go.Functions
			std := module(t, facts, "stdlib").Go.Functions
			main := module(t, facts, "seawall.io/seawall")
			const prog = "seawall.io/seawall/internal/inventory/binary/testdata/prog"
			symbols := []struct {
				functions   []string
				pkg, symbol string
				want        bool
			}{
				{yaml, yamlModule, "Unmarshal", !tt.noTree},
				{yaml, yamlModule, "decoder.unmarshal", true},
				{yaml, yamlModule, "Marshal", false},
				{yaml, yamlModule, "Encoder.Encode", false},
				{yaml, "go.yaml.in/yaml", "Unmarshal", false},
				{std, "fmt", "Println", !tt.noTree},
				{std, "fmt", "Fprintln", true},
				{std, "net/http", "", false},
				{std, "slices", "SortedFunc", true},
				{std, "slices", "MinFunc", false},
				{main.Go.Functions, prog, "main", true},
				{main.Go.Functions, prog, "server.Handle", true},
				{main.Go.Functions, prog, "small", !tt.noTree},
			}
			for _, s := range symbols {
				if got := Linked(s.functions, s.pkg, s.symbol); got != s.want {
					t.Errorf("Linked(%s, %s) = %v", s.pkg, s.symbol, got)
				}
			}
			if !main.Go.Main {
				t.Error("the main module is not marked")
			}
			if tt.noELF {
				return
			}
			if isELF, isGo := Head(body[:4096]); !isELF || !isGo {
				t.Errorf("Head: %v, %v", isELF, isGo)
			}
			var streamed inventory.Facts
			if err := new(Reader).pieces(bytes.NewReader(body), uint64(len(body)), "app/prog", &streamed); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(facts, streamed); d != "" {
				t.Errorf("in memory (-) and streamed (+) differ:\n%s", d)
			}
		})
	}
}

// modulesOf reads the modules with the standard library.
func modulesOf(t *testing.T, body []byte) []string {
	t.Helper()
	bi, err := buildinfo.Read(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	out := []string{"stdlib " + strings.TrimPrefix(bi.GoVersion, "go")}
	for _, m := range append([]*debug.Module{&bi.Main}, bi.Deps...) {
		if m.Replace != nil {
			m = m.Replace
		}
		out = append(out, m.Path+" "+moduleVersion(m.Version))
	}
	return out
}

func spelled(packages []inventory.Package) []string {
	var out []string
	for _, p := range packages {
		out = append(out, p.Name+" "+p.Version)
	}
	return out
}

func TestStdVersion(t *testing.T) {
	tests := []struct{ in, want string }{
		{"go1.21.5", "1.21.5"},
		{"go1.21.5 X:boringcrypto", "1.21.5"},
		{"go1.20", "1.20.0"},
		{"go1.22rc1", "1.22.0-rc.1"},
		{"go1.18.3b7", "1.18.3"},
		{"go1.22.1 (Red Hat 1.22.1-1.el9)", "1.22.1"},
		{"go1.25-devel_abcdef Tue", ""},
		{"devel go1.22-1cb1f2 Mon Jan", ""},
		{"unknown", ""},
	}
	for _, tt := range tests {
		if got := stdVersion(tt.in); got != tt.want {
			t.Errorf("stdVersion(%s) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestModules(t *testing.T) {
	const list = "path\texample.com/a/cmd/a\nmod\texample.com/a\tv0.0.0-20240101000000-abcdefabcdef+dirty\t\n" +
		"dep\texample.com/b\tv1.2.3\th1:x=\ndep\texample.com/c\tv1.0.0\n=>\texample.com/fork/c\tv1.0.1\th1:y=\n" +
		"dep\texample.com/d\tv1.0.0\n=>\t./d\t\t\ndep\texample.com/e\tv2.0.0+incompatible\th1:z=\nbuild\tGOOS=linux\n"
	info, err := parseBuildInfo("go1.22.1", strings.Repeat("x", 16)+list+strings.Repeat("y", 16))
	if err != nil {
		t.Fatal(err)
	}
	packages := info.packages("p")
	want := []string{"stdlib 1.22.1", "example.com/a ", "example.com/b 1.2.3", "example.com/fork/c 1.0.1", "example.com/d ", "example.com/e 2.0.0+incompatible"}
	if d := cmp.Diff(want, spelled(packages)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if got := packages[3].Go.Replaced; got != "example.com/c" {
		t.Errorf("replaced %q", got)
	}
	owners := map[string]int{"example.com/a": 1, "example.com/b": 2, "example.com/c": 3, "example.com/d": 4, "stdlib": 0}
	for _, tt := range []struct {
		path   string
		module int
		spelt  string
	}{
		{"main", 1, "example.com/a/cmd/a"},
		{"example.com/b", 2, "example.com/b"},
		{"example.com/bb", -1, ""},
		{"example.com/c/sub%2ev1", 3, "example.com/fork/c/sub%2ev1"},
		{"vendor/golang.org/x/net/http2/hpack", 0, "vendor/golang.org/x/net/http2/hpack"},
		{"net/http", 0, "net/http"},
	} {
		if got := owner(tt.path, owners, info, packages); got != (target{tt.module, tt.spelt}) {
			t.Errorf("owner(%s) = %v", tt.path, got)
		}
	}
}

func TestLinked(t *testing.T) {
	functions := []string{
		"example.com/x%2ey.Dial.func1",
		"example.com/x%2ey.Only[...].func2.1",
		"example.com/x.(*Map[...]).Load",
		"example.com/x.(*T).Close-fm",
		"example.com/x.(*T).serve.gowrap1",
		"example.com/x.DialContext",
		"example.com/x.Pair[go.shape.int,go.shape.[]string]",
		"example.com/x.Value.String",
		"example.com/x.init.0",
	}
	slices.Sort(functions)
	tests := []struct {
		pkg, symbol string
		want        bool
	}{
		{"example.com/x.y", "Dial", true},
		{"example.com/x.y", "Only", true},
		{"example.com/x.y", "Dia", false},
		{"example.com/x", "Dial", false},
		{"example.com/x", "DialContext", true},
		{"example.com/x", "Map.Load", true},
		{"example.com/x", "Map.LoadAll", false},
		{"example.com/x", "T.Close", true},
		{"example.com/x", "T.serve", true},
		{"example.com/x", "T", false},
		{"example.com/x", "Value", false},
		{"example.com/x", "Value.String", true},
		{"example.com/x", "Pair", true},
		{"example.com/x", "init", true},
		{"example.com/x", "", true},
		{"example.com", "", false},
		{"example.com/z", "", false},
	}
	for _, tt := range tests {
		if got := Linked(functions, tt.pkg, tt.symbol); got != tt.want {
			t.Errorf("Linked(%s, %q) = %v", tt.pkg, tt.symbol, got)
		}
	}
}

func TestEscapePath(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"gopkg.in/yaml.v3", "gopkg.in/yaml%2ev3"},
		{"gopkg.in/a.b/c", "gopkg.in/a.b/c"},
		{"net/http", "net/http"},
		{"a.b", "a%2eb"},
		{"x/é%", "x/%c3%a9%25"},
	} {
		if got := escapePath(tt.in); got != tt.want {
			t.Errorf("escapePath(%s) = %s, want %s", tt.in, got, tt.want)
		}
		if got := unescapePath(tt.want); got != tt.in {
			t.Errorf("unescapePath(%s) = %s, want %s", tt.want, got, tt.in)
		}
	}
}
