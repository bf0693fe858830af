package ospkg

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/inventory"
)

// spec describes packages of every kind that the readers tell apart. Its many
// packages make SQLite need inner pages, and the large ones pages to overflow to.
func spec(packages, files int) string {
	var b strings.Builder
	b.WriteString(`
Name: sea
Epoch: 3
Version: 1.2.3
Release: 4.el9
Summary: s
License: MIT AND BSD-3-Clause
Vendor: Example Corp
BuildArch: noarch
ModularityLabel: sea:1.2:920240101:abcdef
Requires: /usr/share/sea/0/f00000, sea-p0001 >= 1, libsea.so.1()(64bit), nobody-has-this, (sea-p0002 or sea-p0003)
Provides: sea-virtual = 1
%description
d
%package libs
Version: 9.9
Summary: s
License: GPL-2.0-or-later
Provides: libsea.so.1()(64bit)
Requires: sea-virtual
%description libs
d
%install
mkdir -p %{buildroot}/etc %{buildroot}/usr/share/sea/empty %{buildroot}/var/log
echo x > %{buildroot}/etc/sea.conf
echo y > %{buildroot}/etc/sea.state
echo y > %{buildroot}/var/log/sea.log
ln -s sea.conf %{buildroot}/etc/sea.link
for d in 0 1 2; do mkdir %{buildroot}/usr/share/sea/$d; done
`)
	fmt.Fprintf(&b, "i=0; while [ $i -lt %d ]; do n=$(printf %%05d $i); echo $n > %%{buildroot}/usr/share/sea/$((i %%%% 3))/f$n; i=$((i+1)); done\n", files)
	b.WriteString(`%files
%config /etc/sea.conf
%verify(not md5 size mtime) /etc/sea.state
%ghost /var/log/sea.log
/etc/sea.link
%dir /usr/share/sea/empty
%files libs
/usr/share/sea/0
/usr/share/sea/1
/usr/share/sea/2
`)
	for i := range packages {
		fmt.Fprintf(&b, "%%package p%04d\nSummary: s\n%%description p%04d\n%s\n%%files p%04d\n", i, i, strings.Repeat("word ", i*3), i)
	}
	return b.String()
}

// rpms builds packages and returns the folder of a database that they are in.
func rpms(t testing.TB, packages, files int) (dir string) {
	t.Helper()
	for _, program := range []string{"rpm", "rpmbuild"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s here (Debian package rpm)", program)
		}
	}
	top := t.TempDir()
	file := filepath.Join(top, "sea.spec")
	if err := os.WriteFile(file, []byte(spec(packages, files)), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "rpmbuild", "-bb", "--quiet", "--define", "_topdir "+top, "--define", "_binary_payload w0.gzdio", file)
	built, _ := filepath.Glob(filepath.Join(top, "RPMS/noarch/*.rpm"))
	dir = filepath.Join(top, "db")
	run(t, "rpm", "--dbpath", dir, "--initdb")
	run(t, "rpm", append([]string{"--dbpath", dir, "-i", "--justdb", "--nodeps", "--nosignature", "--force-debian"}, built...)...)
	return dir
}

func run(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", name, err, out, &stderr)
	}
	return out
}

// expected asks rpm what is in a database, in the order of the packages' numbers.
func expected(t testing.TB, path, dbpath, backend string) (packages []inventory.Package, owned []inventory.Ownership) {
	t.Helper()
	const format = `%{DBINSTANCE}\t%{NAME}\t%{VERSION}-%{RELEASE}\t%{EPOCHNUM}\t%{ARCH}\t%{SOURCERPM}\t%{VENDOR}\t%{LICENSE}\t%{SIZE}\t%{MODULARITYLABEL}\n` +
		`[file\t%{FILENAMES}\t%{FILEDIGESTS}\t%{FILEFLAGS}\t%{FILEMODES}\t%{FILEVERIFYFLAGS}\n]`
	type entry struct {
		number int
		p      inventory.Package
		o      inventory.Ownership
	}
	var all []entry
	for line := range strings.Lines(string(run(t, "rpm", "--define", "_db_backend "+backend, "--dbpath", dbpath, "-qa", "--qf", format))) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		for i := range f {
			if f[i] == "(none)" {
				f[i] = ""
			}
		}
		if f[0] == "file" {
			mode, _ := strconv.Atoi(f[4])
			flags, _ := strconv.Atoi(f[3])
			verify, _ := strconv.Atoi(f[5])
			if mode&fileKinds == fileDir {
				continue
			}
			file := inventory.OwnedFile{Path: f[1][1:], Config: flags&1 != 0}
			if verify&1 != 0 {
				file.SHA256 = f[2]
			}
			o := &all[len(all)-1].o
			o.Files = append(o.Files, file)
			continue
		}
		number, _ := strconv.Atoi(f[0])
		size, _ := strconv.ParseInt(f[8], 10, 64)
		p := inventory.Package{Type: inventory.RPM, Name: f[1], Version: f[2], Arch: f[4], Vendor: f[6], Licenses: []string{f[7]}, Size: size, Module: f[9], Path: path}
		if f[3] != "0" {
			p.Version = f[3] + ":" + p.Version
		}
		all = append(all, entry{number, p, inventory.Ownership{Type: inventory.RPM, Package: p.Name, Arch: p.Arch}})
	}
	slices.SortFunc(all, func(a, b entry) int { return a.number - b.number })
	for i := range all {
		p := &all[i].p
		// All are built from one source, whose epoch rpm does not say.
		p.Source = inventory.Source{Name: "sea", Version: "3:1.2.3-4.el9"}
		switch p.Name {
		case "sea":
			p.Depends = []string{"nobody-has-this", "sea-libs", "sea-p0001"}
		case "sea-libs":
			p.Source.Version = "1.2.3-4.el9"
			p.Depends = []string{"sea"}
		}
		packages = append(packages, *p)
		if len(all[i].o.Files) > 0 {
			owned = append(owned, all[i].o)
		}
	}
	return packages, owned
}

// TestRPMDatabasesAreAsRpmSays reads the same packages from all three kinds of
// databases.
func TestRPMDatabasesAreAsRpmSays(t *testing.T) {
	dir := rpms(t, 60, 1000)
	file := filepath.Join(dir, "rpmdb.sqlite")
	database, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var headers [][]byte
	if err := sqliteBlobs(database, func(b []byte) error { headers = append(headers, bytes.Clone(b)); return nil }); err != nil {
		t.Fatal(err)
	}

	t.Run("sqlite", func(t *testing.T) {
		const path = "var/lib/rpm/rpmdb.sqlite"
		packages, owned := expected(t, path, dir, "sqlite")
		compare(t, path, database, packages, owned)
	})
	// Debian's rpm cannot write the others, but its reader of Berkeley DB is the
	// oracle for what db_load writes.
	for _, order := range []string{"1234", "4321"} {
		t.Run("bdb/"+order, func(t *testing.T) {
			const path = "usr/lib/sysimage/rpm/Packages"
			dir := t.TempDir()
			database := loadBDB(t, filepath.Join(dir, "Packages"), order, headers)
			packages, owned := expected(t, path, dir, "bdb_ro")
			compare(t, path, database, packages, owned)
		})
	}
	t.Run("cut", func(t *testing.T) {
		for end := 0; end < len(database); end += 4096 {
			if _, err := read(t, "var/lib/rpm/rpmdb.sqlite", string(database[:end])); err == nil {
				t.Errorf("no error on %d of %d bytes", end, len(database))
			}
			check(t, "var/lib/rpm/rpmdb.sqlite", database[:end])
		}
	})
	t.Run("ndb", func(t *testing.T) {
		const path = "usr/lib/sysimage/rpm/Packages.db"
		packages, owned := expected(t, path, dir, "sqlite")
		compare(t, path, writeNDB(headers), packages, owned)
	})
}

func compare(t *testing.T, path string, database []byte, packages []inventory.Package, owned []inventory.Ownership) {
	t.Helper()
	facts := mustRead(t, path, string(database))
	slices.SortStableFunc(facts.Packages, func(a, b inventory.Package) int { return strings.Compare(a.Name, b.Name) })
	slices.SortStableFunc(packages, func(a, b inventory.Package) int { return strings.Compare(a.Name, b.Name) })
	if diff := cmp.Diff(packages, facts.Packages); diff != "" {
		t.Errorf("packages (-rpm +got):\n%s", diff)
	}
	slices.SortStableFunc(facts.Owned, func(a, b inventory.Ownership) int { return strings.Compare(a.Package, b.Package) })
	slices.SortStableFunc(owned, func(a, b inventory.Ownership) int { return strings.Compare(a.Package, b.Package) })
	if diff := cmp.Diff(owned, facts.Owned); diff != "" {
		t.Errorf("owned (-rpm +got):\n%s", diff)
	}
	if len(facts.Packages) < 60 || len(facts.Owned) < 2 {
		t.Errorf("only %d packages, %d of them with files", len(facts.Packages), len(facts.Owned))
	}
}

// loadBDB writes headers to a Berkeley DB as rpm did: under numbers from 1, with
// the next number under 0.
func loadBDB(t testing.TB, file, order string, headers [][]byte) []byte {
	t.Helper()
	if _, err := exec.LookPath("db_load"); err != nil {
		t.Skip("no db_load here (Debian package db-util)")
	}
	var text strings.Builder
	fmt.Fprintf(&text, "VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=4096\ndb_lorder=%s\nHEADER=END\n", order)
	number := func(n int) string {
		var b [4]byte
		if order == "4321" {
			binary.BigEndian.PutUint32(b[:], uint32(n))
		} else {
			binary.LittleEndian.PutUint32(b[:], uint32(n))
		}
		return hex.EncodeToString(b[:])
	}
	fmt.Fprintf(&text, " %s\n %s\n", number(0), number(len(headers)+1))
	for i, h := range headers {
		fmt.Fprintf(&text, " %s\n %x\n", number(i+1), h)
	}
	text.WriteString("DATA=END\n")
	cmd := exec.Command("db_load", file)
	cmd.Stdin = strings.NewReader(text.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("db_load: %v\n%s", err, out)
	}
	database, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return database
}

// writeNDB writes headers to a database of rpm's own format, with a slot that was
// freed between them.
func writeNDB(headers [][]byte) []byte {
	pages := (len(headers) + 3 + ndbPage/ndbSlot - 1) / (ndbPage / ndbSlot)
	slots := make([]byte, pages*ndbPage)
	copy(slots, "RpmP")
	put := binary.LittleEndian.PutUint32
	put(slots[12:], uint32(pages))
	put(slots[16:], uint32(len(headers)+1))
	for at := 2 * ndbSlot; at < len(slots); at += ndbSlot {
		copy(slots[at:], "Slot")
	}
	body := bytes.Clone(slots)
	at := 2 * ndbSlot
	for i, h := range headers {
		if i == 1 {
			at += ndbSlot
		}
		put(body[at+4:], uint32(i+1))
		put(body[at+8:], uint32(len(body)/ndbBlock))
		head := make([]byte, ndbBlobHead)
		copy(head, "BlbS")
		put(head[4:], uint32(i+1))
		put(head[12:], uint32(len(h)))
		length := len(body)
		body = append(append(body, head...), h...)
		for (len(body)+12)%ndbBlock != 0 {
			body = append(body, 0)
		}
		tail := make([]byte, 12)
		put(tail[4:], uint32(len(h)))
		copy(tail[8:], "BlbE")
		body = append(body, tail...)
		put(body[at+12:], uint32((len(body)-length)/ndbBlock))
		at += ndbSlot
	}
	return body
}

func TestManifest(t *testing.T) {
	const body = "bash\t5.1.8-4.cm2\t1690000000\t1680000000\tMicrosoft Corporation\t(none)\t7000\tx86_64\t0\tbash-5.1.8-4.cm2.src.rpm\n" +
		"openssl-libs\t1.1.1k-28.cm2\t1690000000\t1680000000\tMicrosoft Corporation\t1\t9000\tx86_64\t1\topenssl-1.1.1k-28.cm2.src.rpm\n" +
		"gpg-pubkey\t3135ce90-5e6fda74\t1\t1\t(none)\t(none)\t0\t(none)\t0\t(none)\n"
	facts := mustRead(t, "var/lib/rpmmanifest/container-manifest-2", body)
	want := []inventory.Package{
		{
			Type: inventory.RPM, Name: "bash", Version: "5.1.8-4.cm2", Arch: "x86_64", Vendor: "Microsoft Corporation", Size: 7000,
			Source: inventory.Source{Name: "bash", Version: "5.1.8-4.cm2"}, Path: "var/lib/rpmmanifest/container-manifest-2",
		},
		{
			Type: inventory.RPM, Name: "openssl-libs", Version: "1:1.1.1k-28.cm2", Arch: "x86_64", Vendor: "Microsoft Corporation", Size: 9000,
			Source: inventory.Source{Name: "openssl", Version: "1:1.1.1k-28.cm2"}, Path: "var/lib/rpmmanifest/container-manifest-2",
		},
	}
	if diff := cmp.Diff(want, facts.Packages); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := read(t, "var/lib/rpmmanifest/container-manifest-2", body+"bash 5.1\n"); err == nil || !strings.Contains(err.Error(), "line 4") {
		t.Errorf("error %v, want one that names line 4", err)
	}
}

func TestSourceOf(t *testing.T) {
	own := inventory.Source{Name: "p", Version: "1:2-3"}
	for file, want := range map[string]inventory.Source{
		"":                                 own,
		"(none)":                           own,
		"nonsense.src.rpm":                 own,
		"-1-2.src.rpm":                     own,
		"a-1-2.src.rpm":                    {Name: "a", Version: "1-2"},
		"p-2-3.src.rpm":                    {Name: "p", Version: "1:2-3"},
		"java-1.8.0-openjdk-1-2.nosrc.rpm": {Name: "java-1.8.0-openjdk", Version: "1-2"},
	} {
		if got := sourceOf(&inventory.Package{Name: "p", Version: "1:2-3"}, file); got != want {
			t.Errorf("sourceOf(%q) = %v, want %v", file, got, want)
		}
	}
}

// TestWAL stops an rpm database as an rpm that is killed leaves it.
func TestWAL(t *testing.T) {
	if _, err := exec.LookPath("sqlite3"); err != nil {
		t.Skip("no sqlite3 here (Debian package sqlite3)")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "rpmdb.sqlite")
	// The log is copied while the connection is open, and so before it is emptied.
	run(t, "sqlite3", file, "PRAGMA journal_mode=WAL", "CREATE TABLE t(x)", ".shell cp "+file+"-wal "+file+"-copy")
	wal, err := os.ReadFile(file + "-copy")
	if err != nil {
		t.Fatal(err)
	}
	facts := mustRead(t, "var/lib/rpm/rpmdb.sqlite-wal", string(wal))
	if len(facts.Problems) != 1 || !strings.Contains(facts.Problems[0], "2 pages") {
		t.Errorf("problems %q, want one of 2 pages", facts.Problems)
	}
	facts = mustRead(t, "var/lib/rpm/rpmdb.sqlite-wal", string(wal[:32]))
	if len(facts.Problems) != 0 {
		t.Errorf("problems %q of an empty log", facts.Problems)
	}
}

func BenchmarkRpmSqlite(b *testing.B) {
	database, err := os.ReadFile(filepath.Join(rpms(b, 400, 20_000), "rpmdb.sqlite"))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(database)))
	b.ReportAllocs()
	parse := parseRPMWith(sqliteBlobs)
	for b.Loop() {
		var facts inventory.Facts
		if err := parse(inventory.File{Path: "var/lib/rpm/rpmdb.sqlite", Body: database}, &facts); err != nil {
			b.Fatal(err)
		}
	}
}
