package slimming_test

import (
	"archive/tar"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/oci"
	"seawall.io/seawall/internal/slim"
	"seawall.io/seawall/internal/slimming"
)

// reduce writes an image of one layer, reduces it and returns the packages that
// the reduced image says it has, with what it holds.
func reduce(t *testing.T, headers ...*tar.Header) ([]inventory.Package, map[string]*tar.Header) {
	t.Helper()
	full := filepath.Join(t.TempDir(), "full.tar")
	f, err := os.Create(full)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const config = `{"os": "linux", "architecture": "amd64", "config": {"Cmd": ["/usr/bin/app"]}}`
	if _, err := oci.Write(f, oci.New{Config: json.RawMessage(config), Layers: []oci.Part{{Tar: layer(t, headers...)}}}); err != nil {
		t.Fatal(err)
	}
	r := analyse(t, oci.Source{Kind: oci.ArchiveKind, Path: full}, slimming.Options{Level: slim.Tight})
	to := filepath.Join(t.TempDir(), "slim.tar")
	if _, err := r.Archive(t.Context(), to, slimming.Output{}); err != nil {
		t.Fatal(err)
	}
	src := oci.Source{Kind: oci.ArchiveKind, Path: to}
	again := analyse(t, src, slimming.Options{Level: slim.Tight})
	_, got := entries(t, src)
	return again.Scan.Inventory.Packages, got
}

func identities(packages []inventory.Package) []string {
	var out []string
	for _, p := range packages {
		out = append(out, p.Name+" "+p.Version+" "+p.Source.Name+" "+p.Source.Version)
	}
	return out
}

func TestAPK(t *testing.T) {
	const installed = "P:app\nV:1.0-r0\nA:x86_64\no:app-src\nF:usr/bin\nR:app\n\nP:other\nV:2-r1\nA:x86_64\nF:usr/bin\nR:other\n\n"
	packages, got := reduce(t, file("bin/sh", script), file("usr/bin/app", script), file("usr/bin/other", script), file("lib/apk/db/installed", installed), file("etc/os-release", "ID=alpine\nVERSION_ID=3.20.3\n"))
	if want := []string{"app 1.0-r0 app-src 1.0-r0"}; !slices.Equal(identities(packages), want) {
		t.Errorf("packages %q, want %q", identities(packages), want)
	}
	if got["usr/bin/other"] != nil || got["usr/bin/app"] == nil {
		t.Error("the wrong program went")
	}
}

// TestRPM cuts a database of rpm's own making.
func TestRPM(t *testing.T) {
	for _, program := range []string{"rpm", "rpmbuild"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s (Debian package rpm)", program)
		}
	}
	const spec = `
Name: app
Epoch: 3
Version: 1.2
Release: 4.el9
Summary: s
License: MIT
BuildArch: noarch
%description
d
%package other
Summary: s
%description other
d
%install
mkdir -p %{buildroot}/usr/bin
touch %{buildroot}/usr/bin/app %{buildroot}/usr/bin/other
%files
/usr/bin/app
%files other
/usr/bin/other
`
	dir := t.TempDir()
	name := filepath.Join(dir, "app.spec")
	if err := os.WriteFile(name, []byte(spec), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	run("rpmbuild", "-bb", "--quiet", "--define", "_topdir "+dir, "--define", "_binary_payload w0.gzdio", name)
	built, err := filepath.Glob(filepath.Join(dir, "RPMS", "*", "*.rpm"))
	if err != nil || len(built) != 2 {
		t.Fatalf("%q, %v", built, err)
	}
	db := filepath.Join(dir, "db")
	run("rpm", "--dbpath", db, "--initdb")
	run(append([]string{"rpm", "--dbpath", db, "-i", "--justdb", "--nodeps", "--nosignature", "--force-debian"}, built...)...)
	files, err := filepath.Glob(filepath.Join(db, "rpmdb.sqlite*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%q, %v", files, err)
	}
	headers := []*tar.Header{file("bin/sh", script), file("usr/bin/app", script), file("usr/bin/other", script), file("etc/os-release", "ID=rocky\nVERSION_ID=9.4\n")}
	for _, f := range files {
		body, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		h := file("var/lib/rpm/"+filepath.Base(f), "")
		h.Size, h.PAXRecords["text"] = int64(len(body)), string(body)
		headers = append(headers, h)
	}
	packages, got := reduce(t, headers...)
	if want := []string{"app 3:1.2-4.el9 app 3:1.2-4.el9"}; !slices.Equal(identities(packages), want) {
		t.Errorf("packages %q, want %q", identities(packages), want)
	}
	if got["usr/bin/other"] != nil || got["var/lib/rpm/rpmdb.sqlite"] != nil || got["var/lib/rpmmanifest/container-manifest-2"] == nil {
		t.Error("rpm's database is not what it should be")
	}
}
