package binary_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/semver"
	"golang.org/x/vuln/scan"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/inventory/binary"
)

var records = flag.String("osv", "testdata/osv.jsonl.gz", "`file` with records of the Go vulnerability database, one on each line")

// record is what is read of an OSV record.
type record struct {
	ID       string `json:"id"`
	Modified string `json:"modified"`
	Affected []struct {
		Package struct{ Name string }
		Ranges  []struct {
			Events []struct{ Introduced, Fixed string }
		}
		Specific struct {
			Imports []struct {
				Path                  string
				Symbols, GOOS, GOARCH []string
			}
		} `json:"ecosystem_specific"`
	}
}

// database writes a folder that govulncheck reads, and returns the records.
func database(t *testing.T) (dir string, all []record) {
	t.Helper()
	f, err := os.Open(*records)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	write := func(name string, body []byte) {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o750), os.WriteFile(name, body, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	type vuln struct {
		ID       string `json:"id"`
		Modified string `json:"modified"`
	}
	modules := map[string][]vuln{}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
		write("ID/"+r.ID+".json", bytes.Clone(lines.Bytes()))
		for _, a := range r.Affected {
			if v := modules[a.Package.Name]; len(v) == 0 || v[len(v)-1].ID != r.ID {
				modules[a.Package.Name] = append(v, vuln{r.ID, "2024-01-01T00:00:00Z"})
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	type module struct {
		Path  string `json:"path"`
		Vulns []vuln `json:"vulns"`
	}
	var index []module
	for path, vulns := range modules {
		index = append(index, module{path, vulns})
	}
	slices.SortFunc(index, func(a, b module) int { return strings.Compare(a.Path, b.Path) })
	list, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	write("index/modules.json", list)
	write("index/db.json", []byte(`{"modified":"2024-01-01T00:00:00Z"}`))
	return dir, all
}

// found is a set of "ID package symbol".
type found map[string]bool

// govulncheck returns the findings of symbols and the modules of a binary.
func govulncheck(t *testing.T, db, path string) (symbols, modules found) {
	t.Helper()
	var out bytes.Buffer
	cmd := scan.Command(t.Context(), "-mode=binary", "-format=json", "-db=file://"+db, path)
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	symbols, modules = found{}, found{}
	for dec := json.NewDecoder(&out); ; {
		var m struct {
			SBOM *struct {
				GoVersion string `json:"go_version"`
				Modules   []struct{ Path, Version string }
			}
			Finding *struct {
				OSV   string
				Trace []struct{ Package, Function, Receiver string }
			}
		}
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return symbols, modules
		} else if err != nil {
			t.Fatal(err)
		}
		if m.SBOM != nil {
			for _, s := range m.SBOM.Modules {
				version := strings.TrimPrefix(strings.TrimPrefix(s.Version, "v"), "go")
				modules[s.Path+" "+strings.TrimPrefix(version, "(devel)")] = true
			}
		}
		if f := m.Finding; f != nil && f.Trace[0].Function != "" {
			s := f.Trace[0].Function
			if r := strings.TrimPrefix(f.Trace[0].Receiver, "*"); r != "" {
				s = r + "." + s
			}
			symbols[f.OSV+" "+f.Trace[0].Package+" "+s] = true
		}
	}
}

// ours matches the records with what seawall reads.
func ours(t *testing.T, all []record, path string) (symbols, modules found) {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var facts inventory.Facts
	if err := binary.Stream(bytes.NewReader(body), int64(len(body)), path, &facts); err != nil {
		t.Fatal(err)
	}
	if len(facts.Problems) > 0 {
		t.Errorf("problems %q", facts.Problems)
	}
	symbols, modules = found{}, found{}
	for _, p := range facts.Packages {
		if !p.Go.Known {
			t.Errorf("%s: functions are not known", p.Name)
		}
		modules[p.Name+" "+p.Version] = true
		for _, r := range all {
			for _, a := range r.Affected {
				for _, i := range a.Specific.Imports {
					if a.Package.Name != p.Name || !affects(a.Ranges, p.Version) ||
						len(i.GOOS) > 0 && !slices.Contains(i.GOOS, p.Go.GOOS) || len(i.GOARCH) > 0 && !slices.Contains(i.GOARCH, p.Go.GOARCH) {
						continue
					}
					for _, s := range i.Symbols {
						if binary.Linked(p.Go.Functions, i.Path, s) {
							symbols[r.ID+" "+i.Path+" "+s] = true
						}
					}
				}
			}
		}
	}
	return symbols, modules
}

func affects(ranges []struct {
	Events []struct{ Introduced, Fixed string }
}, version string,
) bool {
	in := false
	for _, r := range ranges {
		for _, e := range r.Events {
			switch {
			case e.Introduced == "0" || e.Introduced != "" && semver.Compare("v"+version, "v"+e.Introduced) >= 0:
				in = true
			case e.Fixed != "" && semver.Compare("v"+version, "v"+e.Fixed) >= 0:
				in = false
			}
		}
		if in {
			return true
		}
	}
	return false
}

const (
	goMod = `module example.com/old

go 1.19

require (
	github.com/dgrijalva/jwt-go v3.2.0+incompatible
	github.com/gin-gonic/gin v1.6.3
	golang.org/x/crypto v0.14.0
	golang.org/x/net v0.10.0
	golang.org/x/text v0.9.0
	gopkg.in/yaml.v2 v2.2.7
)
`
	server = `package main

import (
	"fmt"
	"net/http"
	"os"

	"github.com/dgrijalva/jwt-go"
	"github.com/gin-gonic/gin"
	"golang.org/x/net/html"
	"gopkg.in/yaml.v2"
)

func main() {
	var v map[string]any
	fmt.Println(yaml.Unmarshal([]byte(os.Args[0]), &v))
	_, err := jwt.Parse(os.Args[0], func(*jwt.Token) (any, error) { return nil, nil })
	fmt.Println(html.EscapeString(os.Args[0]), err)
	r := gin.New()
	r.Static("/", "/srv")
	fmt.Println(r.Run(), http.ListenAndServe(":1", nil))
}
`
	client = `package main

import (
	"archive/zip"
	"fmt"
	"go/parser"
	"go/token"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/net/html"
	"golang.org/x/text/language"
)

func main() {
	fmt.Println(zip.OpenReader(os.Args[0]))
	fmt.Println(html.Parse(os.Stdin))
	fmt.Println(language.ParseAcceptLanguage(os.Args[0]))
	fmt.Println(ssh.Dial("tcp", os.Args[0], nil))
	fmt.Println(parser.ParseExpr(token.Lookup(os.Args[0]).String()))
}
`
)

func TestGovulncheck(t *testing.T) {
	db, all := database(t)
	for _, source := range []struct{ name, text string }{{"server", server}, {"client", client}} {
		dir := t.TempDir()
		if err := errors.Join(os.WriteFile(filepath.Join(dir, "go.mod"), []byte(goMod), 0o600),
			os.WriteFile(filepath.Join(dir, "main.go"), []byte(source.text), 0o600)); err != nil {
			t.Fatal(err)
		}
		run := func(toolchain string, args ...string) ([]byte, error) {
			cmd := exec.CommandContext(t.Context(), "go", args...)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=-mod=mod", "GOTOOLCHAIN="+toolchain)
			return cmd.CombinedOutput()
		}
		if b, err := run("local", "list", "-deps", "./..."); err != nil {
			t.Skipf("needs a Go module proxy: %v\n%s", err, b)
		}
		for _, toolchain := range []string{"local", "go1.21.5", "go1.19.13"} {
			t.Run(source.name+"-"+toolchain, func(t *testing.T) {
				if b, err := run(toolchain, "version"); err != nil {
					t.Skipf("needs the toolchain %s from a proxy: %s", toolchain, b)
				}
				plain, stripped := filepath.Join(dir, "plain"), filepath.Join(dir, "stripped")
				for out, flags := range map[string]string{plain: "", stripped: "-s -w"} {
					if b, err := run(toolchain, "build", "-trimpath", "-ldflags="+flags, "-o", out, "."); err != nil {
						t.Fatalf("%v\n%s", err, b)
					}
				}
				wantSymbols, wantModules := govulncheck(t, db, plain)
				for _, path := range []string{plain, stripped} {
					symbols, modules := ours(t, all, path)
					differ(t, filepath.Base(path)+" modules", wantModules, modules)
					differ(t, filepath.Base(path)+" symbols", wantSymbols, shown(symbols))
				}
				t.Logf("%d modules, %d vulnerable symbols", len(wantModules), len(wantSymbols))
			})
		}
	}
}

// shown leaves out what govulncheck does not show: symbols that are not exported,
// where the same vulnerability has some that are.
func shown(all found) found {
	exported := func(s string) bool { // by the method's name, whatever its receiver
		return token.IsExported(s[strings.LastIndexAny(s, " .")+1:])
	}
	has := found{}
	for s := range all {
		if id, _, _ := strings.Cut(s, " "); exported(s) {
			has[id] = true
		}
	}
	out := found{}
	for s := range all {
		if id, _, _ := strings.Cut(s, " "); exported(s) || !has[id] {
			out[s] = true
		}
	}
	return out
}

func differ(t *testing.T, what string, want, got found) {
	t.Helper()
	for s := range want {
		if !got[s] {
			t.Errorf("%s: govulncheck alone: %s", what, s)
		}
	}
	for s := range got {
		if !want[s] {
			t.Errorf("%s: seawall alone: %s", what, s)
		}
	}
}
