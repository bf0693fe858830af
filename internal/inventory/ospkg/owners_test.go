package ospkg

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/inventory"
)

func TestOwners(t *testing.T) {
	packages := []inventory.Package{
		{Type: inventory.NPM, Name: "bash"},
		{Type: inventory.Deb, Name: "bash", Arch: "amd64"},
		{Type: inventory.Deb, Name: "libc6", Arch: "i386"},
		{Type: inventory.Deb, Name: "libc6", Arch: "amd64"},
		{Type: inventory.Deb, Name: "dash", Arch: "amd64"},
		{Type: inventory.Deb, Name: "busybox", Arch: "amd64"},
	}
	owned := []inventory.Ownership{
		{Type: inventory.Deb, Package: "bash", Files: []inventory.OwnedFile{{Path: "bin/bash"}, {Path: "etc/bash.bashrc"}}},
		{Type: inventory.Deb, Package: "bash", Files: []inventory.OwnedFile{{Path: "etc/bash.bashrc", Config: true}}},
		{Type: inventory.Deb, Package: "bash", Arch: "amd64", Files: []inventory.OwnedFile{{Path: "etc/bash.bashrc", MD5: "m", Config: true}}},
		{Type: inventory.Deb, Package: "bash", Files: []inventory.OwnedFile{{Path: "bin/bash", MD5: "b"}}},
		{Type: inventory.Deb, Package: "libc6", Arch: "amd64", Files: []inventory.OwnedFile{{Path: "lib64/ld.so"}, {Path: "usr/share/doc/libc6/copyright"}}},
		{Type: inventory.Deb, Package: "libc6", Arch: "i386", Files: []inventory.OwnedFile{{Path: "usr/share/doc/libc6/copyright"}, {Path: "initrd"}}},
		{Type: inventory.Deb, Package: "removed", Files: []inventory.OwnedFile{{Path: "etc/left"}}},
		{Type: inventory.Deb, Package: "dash", Files: []inventory.OwnedFile{{Path: "bin/sh"}}, Diversions: []inventory.Diversion{{From: "bin/sh", To: "bin/sh.distrib"}}},
		{Type: inventory.Deb, Package: "busybox", Files: []inventory.OwnedFile{{Path: "bin/sh"}}},
	}
	merged := func(dir string) string {
		for _, top := range []string{"bin", "lib64"} {
			if dir == top || strings.HasPrefix(dir, top+"/") {
				return "usr/" + dir
			}
		}
		return dir
	}
	want := map[string]int{
		"bin/bash": 1, "etc/bash.bashrc": 1, "lib64/ld.so": 3, "usr/share/doc/libc6/copyright": 3, "initrd": 2,
		"bin/sh": 4, "bin/sh.distrib": 5,
	}
	for _, tt := range []struct {
		name string
		real func(string) string
	}{{"as written", nil}, {"merged usr", merged}} {
		t.Run(tt.name, func(t *testing.T) {
			owners := NewOwners(packages, owned, tt.real)
			place := func(path string) string {
				if tt.real == nil {
					return path
				}
				return tt.real(path)
			}
			all := map[string]int{}
			for path, pkg := range want {
				all[place(path)] = pkg
				if got, ok := owners.Package(place(path)); !ok || got != pkg {
					t.Errorf("%s: owned by %d, %v; want %d", place(path), got, ok, pkg)
				}
			}
			got := map[string]int{}
			for pkg, file := range owners.All() {
				got[file.Path] = pkg
			}
			if diff := cmp.Diff(all, got); diff != "" {
				t.Errorf("all (-want +got):\n%s", diff)
			}
			for _, path := range []string{"", "bin", "etc/left", "usr/bin/bas", "bash", "/bin/bash"} {
				if pkg, ok := owners.Package(path); ok {
					t.Errorf("%q: owned by %d, want nobody", path, pkg)
				}
			}
			bashrc, _ := owners.File("etc/bash.bashrc")
			if diff := cmp.Diff(inventory.OwnedFile{Path: "etc/bash.bashrc", MD5: "m", Config: true}, bashrc); diff != "" {
				t.Errorf("bashrc (-want +got):\n%s", diff)
			}
			if bash, _ := owners.File(place("bin/bash")); bash.MD5 != "b" || bash.Path != place("bin/bash") {
				t.Errorf("bash is %+v, want it with its sum at %s", bash, place("bin/bash"))
			}
		})
	}
	if owned[8].Files[0].Path != "bin/sh" {
		t.Error("the ownership that was given has changed")
	}
	if _, ok := new(Owners).Package("bin/bash"); ok {
		t.Error("the zero value knows of a file")
	}
}

func TestDiversions(t *testing.T) {
	facts := mustRead(t, "var/lib/dpkg/diversions", "/bin/sh\n/bin/sh.distrib\ndash\n/usr/bin/x\n/usr/bin/x.real\n:\n/usr/share/man/man1/sh.1.gz\n/usr/share/man/man1/sh.distrib.1.gz\ndash\n")
	want := []inventory.Ownership{
		{Type: inventory.Deb, Package: "dash", Diversions: []inventory.Diversion{
			{From: "bin/sh", To: "bin/sh.distrib"},
			{From: "usr/share/man/man1/sh.1.gz", To: "usr/share/man/man1/sh.distrib.1.gz"},
		}},
		{Type: inventory.Deb, Package: "", Diversions: []inventory.Diversion{{From: "usr/bin/x", To: "usr/bin/x.real"}}},
	}
	if diff := cmp.Diff(want, facts.Owned); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := read(t, "var/lib/dpkg/diversions", "/bin/sh\n/bin/sh.distrib\n"); err == nil {
		t.Error("no error on two lines")
	}
}

func TestLicenses(t *testing.T) {
	files := map[string]string{
		"usr/share/doc/gcc-12-base/copyright": "Some text.\nOn Debian systems it is in `/usr/share/common-licenses/GPL-3'.\nSee /usr/share/common-licenses/GPL-2, and\n/usr/share/common-licenses/LGPL-2.1.\n",
		"usr/share/doc/zlib1g/copyright":      "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: Zlib\n\nFiles: debian/*\nlicense:  GPL-2+ or Expat\n\nLicense: Zlib\n text that says License: none\n See /usr/share/common-licenses/GPL-2\n",
		"usr/share/doc/silent/copyright":      "It is free.\n",
	}
	var owned []inventory.Ownership
	for _, path := range slices.Sorted(maps.Keys(files)) {
		facts := mustRead(t, path, files[path])
		owned = append(owned, facts.Owned...)
	}
	gcc := inventory.Source{Name: "gcc-12", Version: "1"}
	packages := []inventory.Package{
		{Type: inventory.Deb, Name: "libstdc++6", Source: gcc},
		{Type: inventory.Deb, Name: "gcc-12-base", Source: gcc},
		{Type: inventory.Deb, Name: "zlib1g"},
		{Type: inventory.Deb, Name: "silent", Source: inventory.Source{Name: "silent"}},
		{Type: inventory.RPM, Name: "zlib1g", Licenses: []string{"own"}},
	}
	AddLicenses(packages, owned)
	want := [][]string{{"GPL-2", "GPL-3", "LGPL-2.1"}, {"GPL-2", "GPL-3", "LGPL-2.1"}, {"GPL-2+ or Expat", "Zlib"}, nil, {"own"}}
	for i, p := range packages {
		if diff := cmp.Diff(want[i], p.Licenses); diff != "" {
			t.Errorf("%s (-want +got):\n%s", p.Name, diff)
		}
	}
}
