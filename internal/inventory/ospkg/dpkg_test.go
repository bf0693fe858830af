package ospkg

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"seawall.io/seawall/internal/inventory"
)

// read gives a file to the parser that wants it, as an image's reader does.
func read(t *testing.T, path string, body string) (inventory.Facts, error) {
	t.Helper()
	var facts inventory.Facts
	var err error
	wanted := 0
	for _, p := range Parsers() {
		if !p.Wants(path, 0o644, int64(len(body))) {
			continue
		}
		wanted++
		err = p.Parse(inventory.File{Path: path, Mode: 0o644, Size: int64(len(body)), Body: []byte(body)}, &facts)
	}
	if wanted != 1 {
		t.Fatalf("%s: wanted by %d parsers, want 1", path, wanted)
	}
	return facts, err
}

// mustRead is read for what is well formed.
func mustRead(t *testing.T, path string, body string) inventory.Facts {
	t.Helper()
	facts, err := read(t, path, body)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return facts
}

// command runs a program that a test compares with, and skips the test where
// there is none.
func command(t *testing.T, debian, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("no %s here (Debian package %s)", name, debian)
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

const status = `Package: libstdc++6
Status: install ok installed
Priority: optional
Section: libs
Installed-Size: 2637
Maintainer: Debian GCC Maintainers <debian-gcc@lists.debian.org>
Architecture: amd64
Multi-Arch: same
Source: gcc-12
Version: 12.2.0-14+deb12u1
Depends: gcc-12-base (= 12.2.0-14+deb12u1), libc6 (>= 2.36), libgcc-s1 (>= 4.2)
Description: GNU Standard C++ Library v3
 This package contains an additional runtime library for C++ programs
 .
 Package: not-a-package
Homepage: http://gcc.gnu.org/

Package: bash
Essential: yes
Status: install ok installed
Maintainer: Matthias Klose <doko@debian.org>
Architecture: amd64
Source: bash (5.2.15-2)
Version: 5.2.15-2+b8
Depends: base-files (>= 2.1.12), mail-transport-agent | mailx,
 gone | libc6:amd64 (>= 2.36) [amd64] <!nocheck>
Pre-Depends: libc6 (>= 2.36)
Conffiles:
 /etc/bash.bashrc 89269e1298235f1b12b4c16e4065ad0d
 /etc/skel/.profile newconffile
 /etc/old f4e81ade7d6f9fb342541152d08e7a97 obsolete

Package: removed
Status: deinstall ok config-files
Version: 1.0
Architecture: all

package: exim4
status: install ok half-configured
version: 1:4.96-15
architecture: all
origin: Example
priority: required
provides: mail-transport-agent, default-mta (= 1)

Package: purged
Status: purge ok not-installed

Package: libc6
Status: install ok installed
Source: glibc
Version: 2.36-9
Architecture: amd64`

func TestStatus(t *testing.T) {
	facts := mustRead(t, "var/lib/dpkg/status", status)
	want := []inventory.Package{
		{
			Type: inventory.Deb, Name: "libstdc++6", Version: "12.2.0-14+deb12u1", Arch: "amd64",
			Source: inventory.Source{Name: "gcc-12", Version: "12.2.0-14+deb12u1"},
			Vendor: "lists.debian.org", Size: 2637 << 10, Depends: []string{"gcc-12-base", "libc6", "libgcc-s1"},
		},
		{
			Type: inventory.Deb, Name: "bash", Version: "5.2.15-2+b8", Arch: "amd64",
			Source: inventory.Source{Name: "bash", Version: "5.2.15-2"},
			Vendor: "debian.org", Essential: true, Depends: []string{"base-files", "exim4", "libc6"},
		},
		{
			Type: inventory.Deb, Name: "exim4", Version: "1:4.96-15", Arch: "all",
			Source: inventory.Source{Name: "exim4", Version: "1:4.96-15"},
			Vendor: "Example", Essential: true,
		},
		{
			Type: inventory.Deb, Name: "libc6", Version: "2.36-9", Arch: "amd64",
			Source: inventory.Source{Name: "glibc", Version: "2.36-9"},
		},
	}
	for i := range want {
		want[i].Path = "var/lib/dpkg/status"
	}
	if diff := cmp.Diff(want, facts.Packages); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
	owned := []inventory.Ownership{{Type: inventory.Deb, Package: "bash", Arch: "amd64", Files: []inventory.OwnedFile{
		{Path: "etc/bash.bashrc", MD5: "89269e1298235f1b12b4c16e4065ad0d", Config: true},
		{Path: "etc/skel/.profile", Config: true},
	}}}
	if diff := cmp.Diff(owned, facts.Owned); diff != "" {
		t.Errorf("owned (-want +got):\n%s", diff)
	}
}

func TestStatusOfDistroless(t *testing.T) {
	facts := mustRead(t, "var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a-0+deb12u1\nArchitecture: all\nMaintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>\n")
	want := []inventory.Package{{
		Type: inventory.Deb, Name: "tzdata", Version: "2024a-0+deb12u1", Arch: "all", Vendor: "lists.debian.org",
		Source: inventory.Source{Name: "tzdata", Version: "2024a-0+deb12u1"}, Path: "var/lib/dpkg/status.d/tzdata",
	}}
	if diff := cmp.Diff(want, facts.Packages); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStatusIsReadOnAfterDamage(t *testing.T) {
	facts, err := read(t, "var/lib/dpkg/status", "Package: a\nrubbish\nVersion: 1\n\nPackage: b\nVersion: 2\n")
	if err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("error %v, want one that names line 2", err)
	}
	if len(facts.Packages) != 2 || facts.Packages[0].Version != "1" || facts.Packages[1].Version != "2" {
		t.Errorf("packages %+v, want a 1 and b 2", facts.Packages)
	}
}

func TestInfo(t *testing.T) {
	tests := []struct {
		path, body string
		want       inventory.Ownership
	}{
		{
			"var/lib/dpkg/info/libc6:amd64.list",
			"/.\n/etc\n/etc/ld.so.conf.d\n/etc/ld.so.conf.d/x86_64-linux-gnu.conf\n/lib\n/lib/a b\n/lib/x\n/lib/x.d\n/lib64\n/usr\n/usr/share\n/usr/share/doc\n/usr/share/doc/libc6\n",
			inventory.Ownership{Package: "libc6", Arch: "amd64", Files: []inventory.OwnedFile{
				{Path: "etc/ld.so.conf.d/x86_64-linux-gnu.conf"},
				{Path: "lib/a b"},
				{Path: "lib/x"},
				{Path: "lib/x.d"},
				{Path: "lib64"},
				{Path: "usr/share/doc/libc6"},
			}},
		},
		{
			"var/lib/dpkg/status.d/libssl3.md5sums",
			"6c4f3ab1f9ab9ee1e1a9e1b7eef2d4f0  usr/lib/x86_64-linux-gnu/libssl.so.3\n0123456789abcdef0123456789abcdef  ./usr/share/doc/lib ssl\n",
			inventory.Ownership{Package: "libssl3", Files: []inventory.OwnedFile{
				{Path: "usr/lib/x86_64-linux-gnu/libssl.so.3", MD5: "6c4f3ab1f9ab9ee1e1a9e1b7eef2d4f0"},
				{Path: "usr/share/doc/lib ssl", MD5: "0123456789abcdef0123456789abcdef"},
			}},
		},
		{
			"var/lib/dpkg/info/cron.conffiles",
			"/etc/crontab\nremove-on-upgrade /etc/gone\n/etc/../etc//pam.d/cron\n",
			inventory.Ownership{Package: "cron", Files: []inventory.OwnedFile{
				{Path: "etc/crontab", Config: true},
				{Path: "etc/pam.d/cron", Config: true},
			}},
		},
	}
	for _, tt := range tests {
		t.Run(filepath.Base(tt.path), func(t *testing.T) {
			tt.want.Type = inventory.Deb
			got := mustRead(t, tt.path, tt.body)
			if diff := cmp.Diff([]inventory.Ownership{tt.want}, got.Owned); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, err := read(t, "var/lib/dpkg/info/x.md5sums", "0123456789ABCDEF0123456789abcdef  a\n\nnothing\n"); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("error %v, want one that names line 1", err)
	}
}

// TestStatusIsAsDpkgQuerySays compares this machine's packages, field by field.
func TestStatusIsAsDpkgQuerySays(t *testing.T) {
	const list = "${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\t${Installed-Size}\t${Essential}\t${Priority}\t${Protected}\t${Maintainer}\n"
	admin := snapshot(t)
	out := command(t, "dpkg", "dpkg-query", "--admindir", admin, "-W", "-f", list)
	body, err := os.ReadFile(filepath.Join(admin, "status"))
	if err != nil {
		t.Fatal(err)
	}
	var want []inventory.Package
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if f[0] == "config-files" || f[0] == "not-installed" {
			continue
		}
		size, _ := strconv.ParseInt(f[6], 10, 64)
		_, vendor, _ := strings.Cut(f[10], "@")
		want = append(want, inventory.Package{
			Type: inventory.Deb, Name: f[1], Version: f[2], Arch: f[3], Source: inventory.Source{Name: f[4], Version: f[5]},
			Size: size << 10, Essential: f[7] == "yes" || f[8] == "required" || f[9] == "yes", Vendor: strings.ToLower(strings.TrimSuffix(vendor, ">")),
			Path: "var/lib/dpkg/status",
		})
	}
	facts := mustRead(t, "var/lib/dpkg/status", string(body))
	byName := cmpopts.SortSlices(func(a, b inventory.Package) bool { return a.Name+a.Arch < b.Name+b.Arch })
	if diff := cmp.Diff(want, facts.Packages, byName, cmpopts.IgnoreFields(inventory.Package{}, "Depends")); diff != "" {
		t.Errorf("%d packages (-dpkg-query +got):\n%s", len(want), diff)
	}
	t.Logf("%d packages compared", len(want))
}

// TestOwnersAreAsDpkgSays asks for the owner of each file that this machine's
// dpkg lists, by the place where the file really is.
func TestOwnersAreAsDpkgSays(t *testing.T) {
	admin := snapshot(t)
	packages, owned := readAll(t, admin)
	places := map[string]string{}
	resolve := func(dir string) string {
		if at, ok := places[dir]; ok {
			return at
		}
		places[dir] = dir
		if at, err := filepath.EvalSymlinks("/" + dir); err == nil {
			places[dir] = at[1:]
		}
		return places[dir]
	}
	owners := NewOwners(packages, owned, resolve)
	var names []string
	for line := range strings.Lines(command(t, "dpkg", "dpkg-query", "--admindir", admin, "-W", "-f", "${binary:Package} ${db:Status-Status}\n")) {
		if name, state, _ := strings.Cut(strings.TrimSpace(line), " "); state == "installed" {
			names = append(names, name)
		}
	}
	lists := command(t, "dpkg", "dpkg-query", append([]string{"--admindir", admin, "-L"}, names...)...)
	compared, moved := 0, 0
	for i, list := range strings.Split(lists, "\n\n") {
		name, _, _ := strings.Cut(names[i], ":")
		paths := strings.Split(strings.TrimSpace(list), "\n")
		for i, path := range paths {
			if !strings.HasPrefix(path, "/") {
				continue // a word on the path before
			}
			if i+1 < len(paths) && strings.HasPrefix(paths[i+1], "diverted by") {
				_, path, _ = strings.Cut(paths[i+1], " to: ")
			}
			if info, err := os.Stat(path); err != nil || info.IsDir() {
				continue
			}
			at := filepath.Join(resolve(filepath.Dir(path[1:])), filepath.Base(path))
			compared++
			if at != path[1:] {
				moved++
			}
			got := "nobody"
			if i, ok := owners.Package(at); ok {
				got = packages[i].Name
			}
			// One file may be in packages of several architectures under one name.
			if got != name {
				t.Errorf("%s: owned by %s, want %s", at, got, name)
			}
		}
	}
	if compared < 1000 {
		t.Errorf("only %d files compared", compared)
	}
	t.Logf("%d files, %d of them not where dpkg says", compared, moved)
}

// snapshot copies dpkg's databases of this machine, which may be installing
// packages while a test runs.
func snapshot(t testing.TB) (admin string) {
	t.Helper()
	const live = "/var/lib/dpkg"
	admin = t.TempDir()
	files, _ := filepath.Glob(live + "/info/*")
	for _, file := range append(files, live+"/status", live+"/diversions") {
		switch filepath.Ext(file) {
		case ".list", ".md5sums", ".conffiles":
		default:
			if base := filepath.Base(file); base != "status" && base != "diversions" && base != "format" {
				continue
			}
		}
		body, err := os.ReadFile(file)
		if err != nil {
			if filepath.Base(file) == "status" {
				t.Skipf("no database of dpkg here: %v", err)
			}
			continue
		}
		to := filepath.Join(admin, strings.TrimPrefix(file, live))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return admin
}

// readAll reads what snapshot has copied, and this machine's copyright files.
func readAll(t testing.TB, admin string) (packages []inventory.Package, owned []inventory.Ownership) {
	t.Helper()
	var facts inventory.Facts
	parsers := Parsers()
	parse := func(file, path string) {
		for _, p := range parsers {
			if !p.Wants(path, 0o644, 1) {
				continue
			}
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Parse(inventory.File{Path: path, Body: body}, &facts); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	databases, _ := filepath.Glob(admin + "/*")
	infos, _ := filepath.Glob(admin + "/info/*")
	for _, file := range append(databases, infos...) {
		parse(file, "var/lib/dpkg"+strings.TrimPrefix(file, admin))
	}
	docs, _ := filepath.Glob("/usr/share/doc/*/copyright")
	for _, file := range docs {
		parse(file, file[1:])
	}
	return facts.Packages, facts.Owned
}

func BenchmarkDpkgStatus(b *testing.B) {
	body, err := os.ReadFile("/var/lib/dpkg/status")
	if err != nil {
		b.Skipf("no status of dpkg here: %v", err)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var facts inventory.Facts
		if err := parseStatus(inventory.File{Path: "var/lib/dpkg/status", Body: body}, &facts); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOwners(b *testing.B) {
	packages, owned := readAll(b, snapshot(b))
	b.ReportAllocs()
	for b.Loop() {
		NewOwners(packages, owned, nil)
	}
}
