package ospkg

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/osv-scalibr/extractor/filesystem/os/apk/apkutil"
	rpmdb "github.com/knqyf263/go-rpmdb/pkg"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/inventory/ospkg"
)

// sample reads a database of a real distribution, which osv-scalibr's tests hold.
func sample(t *testing.T, name string) []byte {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/google/osv-scalibr").Output()
	if err != nil {
		t.Fatalf("finding osv-scalibr: %v", err)
	}
	body, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "extractor/filesystem/os", name))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func parse(t *testing.T, path string, body []byte) inventory.Facts {
	t.Helper()
	var facts inventory.Facts
	for _, p := range ospkg.Parsers() {
		if p.Wants(path, 0o644, int64(len(body))) {
			if err := p.Parse(inventory.File{Path: path, Size: int64(len(body)), Body: body}, &facts); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	return facts
}

// entry is what both sides tell of a package, in words that can be compared.
type entry struct {
	Name, Version, Arch, Source, Vendor, License, Module string
	Size                                                 int64
	Files                                                []string // path, digest, whether it is for people to change
}

// ours turns facts into entries.
func ours(facts inventory.Facts) []entry {
	var out []entry
	files := map[string][]string{}
	for _, o := range facts.Owned {
		for _, f := range o.Files {
			mark := ""
			if f.Config {
				mark = " config"
			}
			files[o.Package] = append(files[o.Package], "/"+f.Path+" "+f.MD5+f.SHA256+mark)
		}
	}
	for _, p := range facts.Packages {
		_, version, ok := strings.Cut(p.Source.Version, ":")
		if !ok {
			version = p.Source.Version
		}
		out = append(out, entry{
			p.Name, p.Version, p.Arch, p.Source.Name + "-" + version, p.Vendor, strings.Join(p.Licenses, ""), p.Module, p.Size, files[p.Name],
		})
	}
	return sorted(out)
}

func sorted(all []entry) []entry {
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.Name+" "+a.Version, b.Name+" "+b.Version) })
	for i := range all {
		slices.Sort(all[i].Files)
	}
	return all
}

// compare holds ours against another reader's.
func compare(t *testing.T, want, got []entry, least int) {
	t.Helper()
	if diff := cmp.Diff(sorted(want), got); diff != "" {
		t.Errorf("(-other +ours):\n%.4000s", diff)
	}
	files := 0
	for i := range got {
		files += len(got[i].Files)
	}
	t.Logf("%d packages, %d files", len(got), files)
	if len(got) < least {
		t.Errorf("only %d packages", len(got))
	}
}

const (
	kinds  = 0o170000
	folder = 0o040000
)

// file is one of a package as a database has it.
func file(path, digest string, flags, mode, verify, state int) (line string, ok bool) {
	if mode&kinds == folder || state != 0 {
		return "", false
	}
	if verify&1 == 0 {
		digest = ""
	}
	line = path + " " + digest
	if flags&1 != 0 {
		line += " config"
	}
	return line, true
}

// TestRPM compares with rpm itself.
func TestRPM(t *testing.T) {
	if _, err := exec.LookPath("rpm"); err != nil {
		t.Skip("no rpm here (Debian package rpm)")
	}
	for _, tt := range []struct {
		sample, name, backend string
		least                 int
	}{
		{"rpm/testdata/rpmdb.sqlite", "rpmdb.sqlite", "sqlite", 100},
		{"rpm/testdata/Packages", "Packages", "bdb_ro", 100},
		{"rpm/testdata/Packages_epoch", "Packages", "bdb_ro", 1},
	} {
		t.Run(filepath.Base(tt.sample), func(t *testing.T) {
			body := sample(t, tt.sample)
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, tt.name), body, 0o600); err != nil {
				t.Fatal(err)
			}
			compare(t, query(t, dir, tt.backend), ours(parse(t, "var/lib/rpm/"+tt.name, body)), tt.least)
		})
	}
}

// query asks rpm.
func query(t *testing.T, dbpath, backend string) []entry {
	t.Helper()
	const format = `%{NAME}\t%{VERSION}-%{RELEASE}\t%{EPOCHNUM}\t%{ARCH}\t%{SOURCERPM}\t%{VENDOR}\t%{LICENSE}\t%{LONGSIZE}\t%{MODULARITYLABEL}\n` +
		`[file\t%{FILENAMES}\t%{FILEDIGESTS}\t%{FILEFLAGS}\t%{FILEMODES}\t%{FILEVERIFYFLAGS}\t%{FILESTATES}\n]`
	cmd := exec.Command("rpm", "--define", "_db_backend "+backend, "--dbpath", dbpath, "-qa", "--qf", format)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("rpm: %v\n%s", err, &stderr)
	}
	var out []entry
	skip := false
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		for i := range f {
			if f[i] == "(none)" {
				f[i] = ""
			}
		}
		number := func(i int) int {
			n, _ := strconv.Atoi(f[i])
			return n
		}
		if f[0] == "file" {
			if l, ok := file(f[1], f[2], number(3), number(4), number(5), number(6)); ok && !skip {
				last := &out[len(out)-1]
				last.Files = append(last.Files, l)
			}
			continue
		}
		if skip = f[0] == "gpg-pubkey"; skip {
			continue
		}
		out = append(out, entryOf(f[0], f[1], number(2), f[3], f[4], f[5], f[6], f[8], int64(number(7))))
	}
	return out
}

func entryOf(name, version string, epoch int, arch, source, vendor, license, module string, size int64) entry {
	e := entry{Name: name, Version: version, Arch: arch, Vendor: vendor, License: license, Module: module, Size: size}
	if epoch > 0 {
		e.Version = strconv.Itoa(epoch) + ":" + version
	}
	e.Source = strings.TrimSuffix(strings.TrimSuffix(source, ".src.rpm"), ".nosrc.rpm")
	if e.Source == "" {
		e.Source = name + "-" + version
	}
	return e
}

// TestNDB compares with another reader of rpm's own format, which Debian's rpm
// does not read.
func TestNDB(t *testing.T) {
	body := sample(t, "rpm/testdata/Packages.db")
	path := filepath.Join(t.TempDir(), "Packages.db")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := rpmdb.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	packages, err := db.ListPackages()
	if err != nil {
		t.Fatal(err)
	}
	var want []entry
	for _, p := range packages {
		if p.Name == "gpg-pubkey" {
			continue
		}
		epoch := 0
		if p.Epoch != nil {
			epoch = *p.Epoch
		}
		want = append(want, entryOf(p.Name, p.Version+"-"+p.Release, epoch, p.Arch, p.SourceRpm, p.Vendor, p.License, p.Modularitylabel, int64(p.Size)))
	}
	got := ours(parse(t, "usr/lib/sysimage/rpm/Packages.db", body))
	owned := 0
	for i := range got {
		owned += len(got[i].Files)
		got[i].Files = nil // the other reader does not tell modes and flags
	}
	if owned < 1000 {
		t.Errorf("only %d files", owned)
	}
	compare(t, want, got, 100)
}

// TestAPK compares with another reader of apk's database.
func TestAPK(t *testing.T) {
	body := sample(t, "apk/testdata/installed")
	scanner := apkutil.NewScanner(bytes.NewReader(body))
	var want []entry
	for scanner.Scan() {
		var e entry
		dir := ""
		for _, field := range scanner.FullRecord() {
			switch field.Key {
			case "P":
				e.Name = field.Value
			case "V":
				e.Version = field.Value
			case "A":
				e.Arch = field.Value
			case "o":
				e.Source = field.Value
			case "L":
				e.License = field.Value
			case "I":
				e.Size, _ = strconv.ParseInt(field.Value, 10, 64)
			case "m":
				_, address, _ := strings.Cut(field.Value, "@")
				e.Vendor = strings.TrimSuffix(address, ">")
			case "F":
				dir = field.Value
			case "R":
				e.Files = append(e.Files, filepath.Join("/", dir, field.Value)+" ")
			}
		}
		e.Source += "-" + e.Version
		want = append(want, e)
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	compare(t, want, ours(parse(t, "lib/apk/db/installed", body)), 10)
}
