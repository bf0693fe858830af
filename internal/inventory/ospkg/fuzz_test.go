package ospkg

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"seawall.io/seawall/internal/inventory"
)

// check gives arbitrary bytes to the parser of a path, and holds what it tells
// against what every parser promises.
func check(t *testing.T, path string, body []byte) {
	t.Helper()
	for _, p := range Parsers() {
		if !p.Wants(path, 0o644, int64(len(body))) {
			continue
		}
		var facts inventory.Facts
		before := bytes.Clone(body)
		if err := p.Parse(inventory.File{Path: path, Size: int64(len(body)), Body: body}, &facts); err != nil && err.Error() == "" {
			t.Error("an error that says nothing")
		}
		if !bytes.Equal(before, body) {
			t.Error("the file has changed")
		}
		text := 0
		for _, o := range facts.Owned {
			for _, f := range o.Files {
				text += len(f.Path)
				if strings.HasPrefix(f.Path, "/") || strings.HasPrefix(f.Path, "../") || strings.Contains(f.Path, "/../") {
					t.Errorf("path %q is not within the root", f.Path)
				}
			}
		}
		if most := 8*len(body) + 64<<10; text > most {
			t.Errorf("%d bytes of paths from %d bytes", text, len(body))
		}
		for _, k := range facts.Packages {
			if k.Name == "" || k.Source.Name == "" || k.Path != path {
				t.Errorf("package without a name, a source or a path: %+v", k)
			}
			if k.Size < 0 {
				t.Errorf("size %d", k.Size)
			}
		}
		owners := NewOwners(facts.Packages, facts.Owned, strings.ToLower)
		for i, f := range owners.All() {
			if got, ok := owners.Package(f.Path); !ok || got != i {
				t.Errorf("%q: owned by %d, %v; want %d", f.Path, got, ok, i)
			}
		}
	}
}

func FuzzStatus(f *testing.F) {
	f.Add([]byte(status))
	f.Add([]byte("Package: a\n b\n\n#c\nVersion"))
	f.Add([]byte("Package: a\nSource: (1)\nConffiles:\n / 0123456789abcdef0123456789abcdef\n"))
	f.Fuzz(func(t *testing.T, b []byte) { check(t, "var/lib/dpkg/status", b) })
}

func FuzzInfo(f *testing.F) {
	paths := []string{"var/lib/dpkg/info/a:b.list", "var/lib/dpkg/info/a.md5sums", "var/lib/dpkg/info/a.conffiles", "var/lib/dpkg/diversions", "usr/share/doc/a/copyright"}
	f.Add(0, []byte("/.\n/usr\n/usr/../x\n"))
	f.Add(1, []byte("0123456789abcdef0123456789abcdef  a/b\n"))
	f.Add(2, []byte("/etc/a\nremove-on-upgrade /etc/b\n"))
	f.Add(3, []byte("/a\n/b\n:\n"))
	f.Add(4, []byte("License: a\nsee /usr/share/common-licenses/GPL-2.\n"))
	f.Fuzz(func(t *testing.T, kind int, b []byte) {
		if kind >= 0 && kind < len(paths) {
			check(t, paths[kind], b)
		}
	})
}

func FuzzAPK(f *testing.F) {
	f.Add([]byte(installed))
	f.Add([]byte("P:a\nF:\nR:\nR:..\n"))
	f.Fuzz(func(t *testing.T, b []byte) { check(t, "lib/apk/db/installed", b) })
}

func FuzzRelease(f *testing.F) {
	paths := append([]string{"etc/os-release"}, releaseFiles...)
	f.Add(0, []byte(bookworm))
	f.Add(5, []byte("CentOS Linux release 7.9.2009 (Core)\n"))
	f.Add(9, []byte("DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=\"14.04\"\n"))
	f.Fuzz(func(t *testing.T, kind int, b []byte) {
		if kind >= 0 && kind < len(paths) {
			check(t, paths[kind], b)
		}
	})
}

// FuzzRPM gives arbitrary bytes to the readers of all databases.
func FuzzRPM(f *testing.F) {
	paths := []string{"rpmdb.sqlite", "Packages.db", "Packages", "rpmdb.sqlite-wal"}
	header := smallHeader()
	f.Add(0, smallSQLite(header))
	f.Add(1, writeNDB([][]byte{header, header}))
	f.Add(2, smallBDB(header))
	f.Add(3, []byte("\x37\x7f\x06\x82\x00\x2d\xe2\x18\x00\x00\x02\x00"+strings.Repeat("\x00", 700)))
	f.Fuzz(func(t *testing.T, kind int, b []byte) {
		if kind >= 0 && kind < len(paths) {
			check(t, "var/lib/rpm/"+paths[kind], b)
		}
	})
}

// FuzzRPMHeader puts arbitrary headers into a sound database.
func FuzzRPMHeader(f *testing.F) {
	f.Add(smallHeader())
	f.Fuzz(func(t *testing.T, b []byte) {
		check(t, "var/lib/rpm/Packages.db", writeNDB([][]byte{b, smallHeader()}))
	})
}

// tag is one value of a header.
type tag struct {
	number, kind, count uint32
	value               string
}

func writeHeader(tags ...tag) []byte {
	var index, store []byte
	put := binary.BigEndian.AppendUint32
	for _, t := range tags {
		index = put(put(put(put(index, t.number), t.kind), uint32(len(store))), t.count)
		store = append(store, t.value...)
	}
	return append(append(put(put(nil, uint32(len(tags))), uint32(len(store))), index...), store...)
}

func smallHeader() []byte {
	return writeHeader(
		tag{tagName, kindString, 1, "bash\x00"},
		tag{tagVersion, kindString, 1, "5.1\x00"},
		tag{tagRelease, kindString, 1, "2\x00"},
		tag{tagEpoch, kindInt32, 1, "\x00\x00\x00\x01"},
		tag{tagSize, kindInt32, 1, "\x00\x00\x10\x00"},
		tag{tagSourceRPM, kindString, 1, "bash-5.1-2.src.rpm\x00"},
		tag{tagRequireName, kindStrings, 2, "/bin/sh\x00glibc\x00"},
		tag{tagProvideName, kindStrings, 1, "bash\x00"},
		tag{tagBaseNames, kindStrings, 2, "bash\x00sh\x00"},
		tag{tagDirNames, kindStrings, 2, "/usr/bin/\x00/bin/\x00"},
		tag{tagDirIndexes, kindInt32, 2, "\x00\x00\x00\x00\x00\x00\x00\x01"},
		tag{tagFileModes, kindInt16, 2, "\x81\xed\xa1\xff"},
		tag{tagFileFlags, kindInt32, 2, "\x00\x00\x00\x01\x00\x00\x00\x00"},
	)
}

// smallSQLite is a database of two pages of 512 bytes: the schema, and a table of
// one row, which a third page holds the end of where it is too large.
func smallSQLite(blob []byte) []byte {
	const page = 512
	db := make([]byte, 2*page)
	copy(db, "SQLite format 3\x00")
	db[16], db[19], db[59] = 2, 1, 1
	sql := "CREATE TABLE Packages(hnum INTEGER PRIMARY KEY, blob BLOB)"
	row := []byte{6, 13 + 2*5, 13 + 2*8, 13 + 2*8, 1, byte(13 + 2*len(sql))}
	if row[5] >= 0x80 {
		row = []byte{7, 13 + 2*5, 13 + 2*8, 13 + 2*8, 1, 0x80 | byte((13+2*len(sql))>>7), byte(13+2*len(sql)) & 0x7f}
	}
	row = append(row, "tablePackagesPackages\x02"+sql...)
	cell := append([]byte{byte(len(row)), 1}, row...)
	at := page - len(cell)
	copy(db[at:], cell)
	copy(db[100:], []byte{sqliteLeaf, 0, 0, 0, 1, byte(at >> 8), byte(at), 0, byte(at >> 8), byte(at)})

	kind := 12 + 2*len(blob)
	row = append([]byte{4, 0, 0x80 | byte(kind>>7), byte(kind & 0x7f)}, blob...)
	length := len(row)
	d := sqlite{page: page, usable: page}
	local := d.local(length)
	cell = append([]byte{0x80 | byte(length>>7), byte(length & 0x7f), 1}, row[:local]...)
	if local < length {
		cell = append(cell, 0, 0, 0, 3)
		rest := append([]byte{0, 0, 0, 0}, row[local:]...)
		db = append(db, append(rest, make([]byte, page-len(rest))...)...)
	}
	at = page - len(cell)
	copy(db[page+at:], cell)
	copy(db[page:], []byte{sqliteLeaf, 0, 0, 0, 1, byte(at >> 8), byte(at), 0, byte(at >> 8), byte(at)})
	binary.BigEndian.PutUint32(db[28:], uint32(len(db)/page))
	return db
}

// smallBDB is a database with a header on a page of its own.
func smallBDB(blob []byte) []byte {
	const page = 1024
	db := make([]byte, 3*page)
	order := binary.LittleEndian
	order.PutUint32(db[12:], bdbHashMagic)
	order.PutUint32(db[20:], page)
	order.PutUint32(db[32:], 2)
	hash, over := db[page:2*page], db[2*page:]
	hash[25], over[25] = bdbHash, bdbOverflow
	order.PutUint16(hash[20:], 2)
	order.PutUint16(hash[26:], page-5)
	order.PutUint16(hash[28:], page-5-12)
	copy(hash[page-5:], []byte{bdbKeyData, 1, 0, 0, 0})
	value := hash[page-5-12:]
	value[0] = bdbOffPage
	order.PutUint32(value[4:], 2)
	order.PutUint32(value[8:], uint32(len(blob)))
	order.PutUint16(over[22:], uint16(len(blob)))
	copy(over[26:], blob)
	return db
}

// TestSmallDatabases shows that the seeds of the fuzz tests are sound, and runs
// where there is no rpm.
func TestSmallDatabases(t *testing.T) {
	header := smallHeader()
	large := writeHeader(tag{tagName, kindString, 1, "large\x00"}, tag{tagVendor, kindString, 1, strings.Repeat("v", 600) + "\x00"})
	for name, database := range map[string][]byte{
		"rpmdb.sqlite": smallSQLite(header),
		"Packages.db":  writeNDB([][]byte{header}),
		"Packages":     smallBDB(header),
	} {
		facts := mustRead(t, "var/lib/rpm/"+name, string(database))
		if len(facts.Packages) != 1 || facts.Packages[0].Version != "1:5.1-2" || facts.Packages[0].Source.Version != "1:5.1-2" || facts.Packages[0].Depends[0] != "glibc" {
			t.Errorf("%s: %+v, want bash 1:5.1-2", name, facts.Packages)
		}
		if len(facts.Owned) != 1 || len(facts.Owned[0].Files) != 2 || facts.Owned[0].Files[1].Path != "bin/sh" || !facts.Owned[0].Files[0].Config {
			t.Errorf("%s: %+v, want /usr/bin/bash and /bin/sh", name, facts.Owned)
		}
	}
	facts := mustRead(t, "var/lib/rpm/rpmdb.sqlite", string(smallSQLite(large)))
	if len(facts.Packages) != 1 || len(facts.Packages[0].Vendor) != 600 {
		t.Errorf("%+v, want a package with a vendor of 600 bytes", facts.Packages)
	}
}

// TestHostile reads what is made to cost much or to lead astray. Each has to be
// told.
func TestHostile(t *testing.T) {
	header := smallHeader()
	change := func(database []byte, at int, with ...byte) string {
		copy(database[at:], with)
		return string(database)
	}
	long := strings.Repeat("d", 100_000)
	tests := []struct{ name, path, body, want string }{
		{"a row that leads to its own page", "var/lib/rpm/rpmdb.sqlite", change(smallSQLite(writeHeader(tag{tagName, kindString, 1, strings.Repeat("n", 600)})), 2*512, 0, 0, 0, 3), ""},
		{"a table that is its own child", "var/lib/rpm/rpmdb.sqlite", change(smallSQLite(header), 512, sqliteInterior, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2), "page 2 is used twice"},
		{"a page that is not there", "var/lib/rpm/rpmdb.sqlite", change(smallSQLite(header), 512, sqliteInterior, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 2), "is not there"},
		{"more cells than a page can hold", "var/lib/rpm/rpmdb.sqlite", change(smallSQLite(header), 512, sqliteLeaf, 0, 0, 0xff, 0xff), "holds no blob"},
		{"another page size", "var/lib/rpm/rpmdb.sqlite", change(smallSQLite(header), 16, 0, 3), "pages of 3 bytes"},
		{"half a database", "var/lib/rpm/rpmdb.sqlite", string(smallSQLite(header)[:600]), "cut"},
		{"no table", "var/lib/rpm/rpmdb.sqlite", change(smallSQLite(header), 103, 0, 0), "no table Packages"},
		{"no database", "var/lib/rpm/rpmdb.sqlite", long, "not an SQLite database"},
		{"a slot to nowhere", "var/lib/rpm/Packages.db", change(writeNDB([][]byte{header}), 2*ndbSlot+8, 0xff, 0xff, 0xff, 0xff), "package 1: it stands at"},
		{"slots beyond the end", "var/lib/rpm/Packages.db", change(writeNDB([][]byte{header}), 12, 0xff, 0xff, 0xff, 0xff), "cut"},
		{"a chain that leads to itself", "var/lib/rpm/Packages", change([]byte(change(smallBDB(header), 2*1024-5-12+8, 0xff, 3)), 2*1024+16, 2), "page 2"},
		{"a b-tree", "var/lib/rpm/Packages", change(smallBDB(header), 12, 0x62, 0x31, 0x05), "b-tree"},
		{
			"names far longer than the header", "var/lib/rpm/Packages.db",
			string(writeNDB([][]byte{writeHeader(
				tag{tagName, kindString, 1, "n\x00"}, tag{tagDirNames, kindStrings, 1, long + "\x00"},
				tag{tagBaseNames, kindStrings, 50_000, strings.Repeat("b\x00", 50_000)}, tag{tagDirIndexes, kindInt32, 50_000, strings.Repeat("\x00\x00\x00\x00", 50_000)},
			)})), errPaths.Error(),
		},
		{"a header of values that are not there", "var/lib/rpm/Packages.db", string(writeNDB([][]byte{[]byte("\x00\x00\x00\x01\x00\x00\x00\xff0000000000000000")})), "do not fit"},
		{"names far longer than the database", "lib/apk/db/installed", "P:a\nF:" + long + "\n" + strings.Repeat("R:b\n", 50_000), errPaths.Error()},
		{"packages without end", "lib/apk/db/installed", strings.Repeat("P:a\n\n", maxPackages+1), errPackages.Error()},
		{"packages without end", "var/lib/dpkg/status", strings.Repeat("Package:a\n\n", maxPackages+1), errPackages.Error()},
		{"files without end", "var/lib/dpkg/info/a.list", strings.Repeat("/a\n", maxFiles+2), errFiles.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			facts, err := read(t, tt.path, tt.body)
			if tt.want == "" {
				if err != nil {
					t.Errorf("error %v, want none", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that says %q", err, tt.want)
			}
			if len(facts.Packages) > maxPackages {
				t.Errorf("%d packages", len(facts.Packages))
			}
		})
	}
}

// TestNothingIsReadTwice shows that real databases have no file that two parsers
// want, and that what is beside them is left alone.
func TestNothingIsReadTwice(t *testing.T) {
	for _, path := range []string{"var/lib/dpkg/info/a.list", "var/lib/dpkg/status.d/a.md5sums", "var/lib/dpkg/status.d/a", "usr/share/doc/a/copyright"} {
		if facts, _ := read(t, path, "License: x\n"); facts.ELF != nil { // read fails unless one parser wants the file
			t.Error("an ELF file")
		}
	}
	for _, path := range []string{
		"var/lib/dpkg/status-old", "var/lib/dpkg/info/a.postinst", "var/lib/dpkg/info/a/b.list", "srv/var/lib/dpkg/status",
		"var/lib/rpm/rpmdb.sqlite-shm", "var/lib/rpm/Name", "usr/share/doc/copyright", "usr/share/doc/a/b/copyright", "lib/apk/db/scripts.tar",
	} {
		for _, p := range Parsers() {
			if p.Wants(path, 0o644, 1) {
				t.Errorf("%s is wanted by %s", path, p.Name)
			}
		}
	}
}
