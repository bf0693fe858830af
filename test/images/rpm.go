package images

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"seawall.io/seawall/internal/oci"
)

// RPMForm is how rpm stores its database.
type RPMForm string

// The forms.
const (
	RPMSQLite     RPMForm = "sqlite" // Fedora 33, Enterprise Linux 9 and later
	RPMBerkeleyDB RPMForm = "bdb"    // those before
	RPMNative     RPMForm = "ndb"    // SUSE
)

// RPMPrograms are what RPM runs; Debian has them in rpm and db-util.
func RPMPrograms() []string { return []string{"rpmbuild", "rpm", "rpmdb", "db_load"} }

// specs are the packages of RPM: two sources, one with an epoch and two packages.
const opensslSpec = `Name: openssl
Epoch: 1
Version: 3.0.7
Release: 24.el9
Summary: made for a test
License: Apache-2.0
Vendor: AlmaLinux
BuildArch: noarch
%description
made for a test
%package libs
Summary: made for a test
%description libs
made for a test
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/usr/lib64 %{buildroot}/etc/pki
printf '#!/bin/sh\n' > %{buildroot}/usr/bin/openssl
printf 'not really a library\n' > %{buildroot}/usr/lib64/libssl.so.3
printf '[default]\n' > %{buildroot}/etc/pki/openssl.cnf
%files
%attr(755,root,root) /usr/bin/openssl
%files libs
/usr/lib64/libssl.so.3
%config /etc/pki/openssl.cnf
`

const curlSpec = `Name: curl
Version: 7.76.1
Release: 26.el9_3.2
Summary: made for a test
License: MIT
Vendor: AlmaLinux
BuildArch: noarch
Requires: openssl-libs
%description
made for a test
%install
mkdir -p %{buildroot}/usr/bin
printf '#!/bin/sh\n' > %{buildroot}/usr/bin/curl
%files
%attr(755,root,root) /usr/bin/curl
`

// RPM is an image in the manner of Enterprise Linux 9, whose packages rpm built
// and installed in a folder below dir, which it returns: there rpm can be asked
// what it knows. It wants root and RPMPrograms.
//
// Debian's rpm writes SQLite alone. Databases of the other forms hold the headers
// that it exports, put there by Berkeley DB's own tool, or here.
func RPM(ctx context.Context, dir string, form RPMForm) (img v1.Image, root string, err error) {
	root = filepath.Join(dir, "root")
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil { //nolint:gosec // everyone in the container reads it
		return nil, "", err //nolint:wrapcheck // names the folder
	}
	l := Large{}
	for name, text := range map[string]string{"openssl": opensslSpec, "curl": curlSpec} {
		spec := filepath.Join(dir, name+".spec")
		if err := os.WriteFile(spec, []byte(text), 0o600); err != nil {
			return nil, "", err //nolint:wrapcheck // names the file
		}
		if err := l.run(ctx, dir, nil, "rpmbuild", "-bb", "--quiet", "--define", "_topdir "+dir, "--define", "_binary_payload w0.gzdio", spec); err != nil {
			return nil, "", err
		}
	}
	built, err := filepath.Glob(filepath.Join(dir, "RPMS/noarch/*.rpm"))
	if err != nil {
		return nil, "", err //nolint:wrapcheck // cannot be: the pattern is right
	}
	at := []string{"--root", root, "--dbpath", "/var/lib/rpm"}
	if err := l.run(ctx, dir, nil, "rpm", append(at, "--initdb")...); err != nil {
		return nil, "", err
	}
	if err := l.run(ctx, dir, nil, "rpm", append(append(at, "-i", "--nodeps", "--nosignature", "--force-debian"), built...)...); err != nil {
		return nil, "", err
	}
	if img, err = rpmImage(ctx, root, form); err != nil {
		return nil, "", fmt.Errorf("an image with a database of rpm as %s: %w", form, err)
	}
	return img, root, nil
}

func rpmImage(ctx context.Context, root string, form RPMForm) (v1.Image, error) {
	const release = "NAME=\"AlmaLinux\"\nVERSION=\"9.3 (Shamrock Pampas Cat)\"\nID=\"almalinux\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.3\"\nPRETTY_NAME=\"AlmaLinux 9.3\"\n"
	files := []Entry{File("etc/os-release", release)}
	if form != RPMSQLite {
		exported, err := exec.CommandContext(ctx, "rpmdb", "--root", root, "--dbpath", "/var/lib/rpm", "--exportdb").Output() //nolint:gosec // the folder is the caller's own
		if err != nil {
			return nil, fmt.Errorf("rpmdb --exportdb: %w", err)
		}
		headers, err := rpmHeaders(exported)
		if err != nil {
			return nil, err
		}
		if form == RPMNative {
			files = append(files, File("usr/lib/sysimage/rpm/Packages.db", string(ndb(headers))))
		} else {
			db, err := berkeleyDB(ctx, headers)
			if err != nil {
				return nil, err
			}
			files = append(files, File("var/lib/rpm/Packages", string(db)))
		}
	}
	tree := func(w *tar.Writer) error {
		_, err := oci.WalkDir(ctx, root, func(h *tar.Header, open func() (io.ReadCloser, error)) error {
			if strings.HasPrefix(h.Name, "var/lib/rpm/rpmdb") && form != RPMSQLite {
				return nil
			}
			return copyEntry(w, h, open)
		})
		return errors.Join(err, Entries(files...)(w))
	}
	layer, err := NewLayer(tree, Gzip)
	if err != nil {
		return nil, err
	}
	return New(v1.Config{User: "1000", Entrypoint: []string{"/usr/bin/curl"}}, layer)
}

// rpmHeaders takes apart what rpmdb --exportdb writes: headers as in a package's
// file, each with a mark and a reserved word before it, which databases leave out.
func rpmHeaders(exported []byte) ([][]byte, error) {
	var out [][]byte
	for rest := exported; len(rest) > 0; {
		if len(rest) < 16 || !bytes.HasPrefix(rest, []byte{0x8e, 0xad, 0xe8, 0x01}) {
			return nil, fmt.Errorf("rpmdb --exportdb: no header at byte %d", len(exported)-len(rest))
		}
		rest = rest[8:]
		size := 8 + 16*int(binary.BigEndian.Uint32(rest)) + int(binary.BigEndian.Uint32(rest[4:]))
		if size > len(rest) {
			return nil, fmt.Errorf("rpmdb --exportdb: it breaks off in header %d", len(out)+1)
		}
		out, rest = append(out, rest[:size]), rest[size:]
	}
	return out, nil
}

// berkeleyDB writes headers as rpm did: a hash from numbers to headers, with the
// last number under 0.
func berkeleyDB(ctx context.Context, headers [][]byte) ([]byte, error) {
	dir, err := os.MkdirTemp("", "seawall-bdb-")
	if err != nil {
		return nil, err //nolint:wrapcheck // names the folder
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is the system's folder for such
	number := func(n int) string { return hex.EncodeToString(little(n)) }
	var text strings.Builder
	fmt.Fprintf(&text, "VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=4096\ndb_lorder=1234\nHEADER=END\n %s\n %s\n", number(0), number(len(headers)))
	for i, h := range headers {
		fmt.Fprintf(&text, " %s\n %x\n", number(i+1), h)
	}
	text.WriteString("DATA=END\n")
	file := filepath.Join(dir, "Packages")
	cmd := exec.CommandContext(ctx, "db_load", file) //nolint:gosec // the file is our own
	cmd.Stdin = strings.NewReader(text.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("db_load: %w: %s", err, out)
	}
	return os.ReadFile(file) //nolint:wrapcheck // names the file
}

// ndb writes headers in rpm's own format (rpm, lib/backend/ndb/rpmpkg.c): a page of
// slots, then blobs with their headers and Adler-32 sums, all in blocks of 16 bytes.
func ndb(headers [][]byte) []byte {
	const page, block = 4096, 16
	db := make([]byte, page)
	copy(db, "RpmP")
	copy(db[8:], little(len(headers)))    // generation
	copy(db[12:], little(1))              // pages of slots
	copy(db[16:], little(len(headers)+1)) // the next package's number
	for at := 2 * block; at < page; at += block {
		copy(db[at:], "Slot")
	}
	for i, h := range headers {
		number := little(i + 1)
		start := len(db)
		db = slices.Concat(db, []byte("BlbS"), number, number, little(len(h)), h) // the second is the generation
		for (len(db)+12)%block != 0 {
			db = append(db, 0)
		}
		sum := binary.LittleEndian.AppendUint32(nil, adler32.Checksum(db[start:]))
		db = slices.Concat(db, sum, little(len(h)), []byte("BlbE"))
		copy(db[(2+i)*block+4:], slices.Concat(number, little(start/block), little((len(db)-start)/block)))
	}
	return db
}

func little(n int) []byte {
	return binary.LittleEndian.AppendUint32(nil, uint32(n)) //nolint:gosec // all are below 2^31
}
