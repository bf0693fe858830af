package ospkg

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/inventory"
)

// installed is written after apk's documentation (apk-package(5), and the wiki
// on the format of its index).
const installed = `C:Q1ABi2gGC0Yl9bdsO6Gm1wMLx5Kz0=
P:musl
V:1.2.5-r0
A:x86_64
S:406933
I:667648
T:the musl c library (libc) implementation
U:https://musl.libc.org/
L:MIT
o:musl
m:Timo Teräs <timo.teras@iki.fi>
t:1710105205
c:7a7d5d4e0ac8b9b0ad7f1fcc0b1e8bc8c4fbb9e0
p:so:libc.musl-x86_64.so.1=1
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755
Z:Q1YZ4vH3rV0+1n6SkG8yP0qXBdwUk=
R:libc.musl-x86_64.so.1
a:0:0:777
Z:Q17yJ3JFNypA4mxhJJr0ou6CzsJVI=

C:Q1gQ/L3UBnSjgkFWEHQaUkUDubqdI=
P:busybox-binsh
V:1.36.1-r29
A:x86_64
S:1545
I:8192
o:busybox
m:Sören Tempel <soeren+alpine@soeren-tempel.net>
L:GPL-2.0-only
D:busybox=1.36.1-r29
p:/bin/sh cmd:sh=1.36.1-r29
r:busybox-initscripts
F:bin
R:sh
a:0:0:777
Z:Q1pcfTfDNEbNKQc2s1tia7da05M8Q=

P:busybox
V:1.36.1-r29
A:x86_64
I:1000000
o:busybox
D:so:libc.musl-x86_64.so.1 !uclibc-utils nobody>=2 so:nobody.so.1
F:
F:etc
R:securetty
F:etc/busybox-paths.d
R:busybox
p:cmd:busybox

P:ssl_client
V:1.36.1-r29
A:x86_64
o:busybox
D:/bin/sh so:libc.musl-x86_64.so.1 busybox~1.36
`

func TestAPK(t *testing.T) {
	const path = "lib/apk/db/installed"
	facts := mustRead(t, path, installed)
	busybox := inventory.Source{Name: "busybox", Version: "1.36.1-r29"}
	want := []inventory.Package{
		{Name: "musl", Version: "1.2.5-r0", Source: inventory.Source{Name: "musl", Version: "1.2.5-r0"}, Licenses: []string{"MIT"}, Vendor: "iki.fi", Size: 667648},
		{Name: "busybox-binsh", Version: "1.36.1-r29", Source: busybox, Licenses: []string{"GPL-2.0-only"}, Vendor: "soeren-tempel.net", Size: 8192, Depends: []string{"busybox"}},
		{Name: "busybox", Version: "1.36.1-r29", Source: busybox, Size: 1000000, Depends: []string{"musl", "nobody"}},
		{Name: "ssl_client", Version: "1.36.1-r29", Source: busybox, Depends: []string{"busybox", "busybox-binsh", "musl"}},
	}
	for i := range want {
		want[i].Type, want[i].Arch, want[i].Path = inventory.APK, "x86_64", path
	}
	if diff := cmp.Diff(want, facts.Packages); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
	owned := []inventory.Ownership{
		{Package: "musl", Files: []inventory.OwnedFile{{Path: "lib/ld-musl-x86_64.so.1"}, {Path: "lib/libc.musl-x86_64.so.1"}}},
		{Package: "busybox-binsh", Files: []inventory.OwnedFile{{Path: "bin/sh"}}},
		{Package: "busybox", Files: []inventory.OwnedFile{{Path: "etc/securetty"}, {Path: "etc/busybox-paths.d/busybox"}}},
	}
	for i := range owned {
		owned[i].Type, owned[i].Arch = inventory.APK, "x86_64"
	}
	if diff := cmp.Diff(owned, facts.Owned); diff != "" {
		t.Errorf("owned (-want +got):\n%s", diff)
	}
}

func TestAPKIsReadOnAfterDamage(t *testing.T) {
	facts, err := read(t, "usr/lib/apk/db/installed", "P:a\nrubbish\nV:1\n\nP:b\nV:2")
	if err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("error %v, want one that names line 2", err)
	}
	if len(facts.Packages) != 2 || facts.Packages[1].Version != "2" {
		t.Errorf("packages %+v, want a 1 and b 2", facts.Packages)
	}
}
