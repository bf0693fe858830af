// Package binary tells what compiled programs hold: what an ELF file says of
// itself and needs, which Go modules and functions are linked into a Go binary,
// stripped or not, and which crates cargo-auditable noted in a Rust binary.
//
// It works on bytes in memory (Parsers) or on a stream that goes by once
// (Stream). Both read the same few ranges with the same code, so that they tell
// the same. It does not disassemble, does not run anything, and does not guess
// what a packed or obfuscated program holds: it says that it cannot tell.
package binary

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// MaxFile is the size in bytes beyond which files are not read in memory. Stream
// has no such limit.
const MaxFile = 256 << 20

// Parsers returns the reader of compiled programs. Callers that read files as
// streams use Stream in its place.
func Parsers() []inventory.Parser {
	return []inventory.Parser{{
		Name:  "binary/1",
		Wants: wants,
		Limit: MaxFile,
		Parse: parse,
	}}
}

// wants chooses what may be a program: what is executable, named like a library,
// or not named as anything else is. Go binaries without the x bit are among the
// last (they are copied into images by build tools that lose modes).
func wants(name string, mode fs.FileMode, size int64) bool {
	if size < 64 || !mode.IsRegular() {
		return false
	}
	base := path.Base(name)
	switch ext := strings.ToLower(path.Ext(base)); ext {
	case ".sh", ".py", ".pl", ".rb", ".js", ".txt", ".md", ".h", ".c", ".json", ".yaml", ".yml", ".html", ".xml", ".conf":
		return false
	case ".so", ".exe", ".elf", ".bin", ".node", ".ko", ".o", ".dylib", ".dll":
		return true
	case "":
		return true
	}
	return mode.Perm()&0o111 != 0 || strings.Contains(base, ".so.")
}

func parse(f inventory.File, facts *inventory.Facts) error {
	switch {
	case bytes.HasPrefix(f.Body, []byte(elfMagic)):
		v := &view{size: uint64(len(f.Body)), spans: []span{{0, f.Body}}}
		h, err := readHeader(f.Body, v.size)
		if err != nil {
			return err
		}
		m := scanBody(h, f.Body)
		tell(h, v, m, f.Path, facts)
	case isPE(f.Body), isMachO(f.Body):
		return foreign(f.Body, f.Path, facts)
	}
	return nil
}

// tell adds all that a file's header, ranges and marks give away.
func tell(h *header, v *view, m *marks, name string, facts *inventory.Facts) {
	facts.ELF = describe(h, v, m)
	complain := func(format string, args ...any) {
		facts.Problems = append(facts.Problems, fmt.Sprintf(format, args...))
	}
	if facts.ELF.Packed != "" {
		complain("packed with %s: what is linked into it cannot be told", facts.ELF.Packed)
		return
	}
	if m.auditableAt != nowhere {
		crates, err := readAuditable(v.from(m.auditableAt, maxAuditable), name)
		facts.Packages = append(facts.Packages, crates...)
		if err != nil {
			complain("crates noted by cargo-auditable: %v", err)
		}
	}
	if !m.isGo() {
		return
	}
	info, err := readBuildInfo(h, v, m)
	if errors.Is(err, errNoBuildInfo) {
		complain("a Go binary without build information: its modules are not known")
	} else if err != nil {
		complain("Go build information: %v", err)
	}
	if info == nil {
		return
	}
	modules := info.packages(name)
	if v.lacks != "" {
		complain("the functions of this Go binary are not known: %s", v.lacks)
	} else if err := linkFunctions(h, v, info, modules); err != nil {
		complain("Go function table: %v", err)
	}
	facts.Packages = append(facts.Packages, modules...)
}
