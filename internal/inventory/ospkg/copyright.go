package ospkg

import (
	"bytes"
	"io/fs"
	"slices"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

const docDir = "usr/share/doc/"

// maxLicenses is how many licences of a package are told; the most that a package
// of Debian names are some 120.
const maxLicenses = 200

func copyright(p string, _ fs.FileMode, _ int64) bool {
	name, ok := strings.CutPrefix(p, docDir)
	if !ok {
		return false
	}
	name, ok = strings.CutSuffix(name, "/copyright")
	return ok && name != "" && !strings.Contains(name, "/")
}

// parseCopyright reads the licences of a Debian package in the words of its
// copyright file: the License fields of the machine-readable form, else what the
// text says to be in /usr/share/common-licenses.
func parseCopyright(f inventory.File, facts *inventory.Facts) error {
	licenses := stated(f.Body)
	if len(licenses) == 0 {
		licenses = mentioned(f.Body)
	}
	if len(licenses) == 0 {
		return nil
	}
	name := strings.TrimSuffix(strings.TrimPrefix(f.Path, docDir), "/copyright")
	facts.Owned = append(facts.Owned, inventory.Ownership{Type: inventory.Deb, Package: strings.Clone(name), Licenses: licenses})
	return nil
}

// stated reads the short names in the first lines of License fields.
func stated(body []byte) []string {
	var out set
	for len(body) > 0 {
		var line []byte
		line, body, _ = bytes.Cut(body, []byte("\n"))
		const field = "license:"
		if len(line) > len(field) && line[0]|0x20 == 'l' && bytes.EqualFold(line[:len(field)], []byte(field)) {
			out.add(bytes.TrimSpace(line[len(field):]))
		}
	}
	return out.sorted()
}

// mentioned reads names of files in /usr/share/common-licenses.
func mentioned(body []byte) []string {
	const where = "/usr/share/common-licenses/"
	var out set
	for {
		_, rest, ok := bytes.Cut(body, []byte(where))
		if !ok {
			return out.sorted()
		}
		end := 0
		for end < len(rest) && (isWord(rest[end]) || rest[end] == '.' || rest[end] == '-') {
			end++
		}
		out.add(bytes.TrimRight(rest[:end], ".-"))
		body = rest
	}
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '+'
}

// set holds different short texts, up to maxLicenses of them.
type set map[string]bool

func (s *set) add(text []byte) {
	if len(text) == 0 || len(text) > maxField || len(*s) == maxLicenses || (*s)[string(text)] {
		return
	}
	if *s == nil {
		*s = set{}
	}
	(*s)[string(text)] = true
}

func (s *set) sorted() []string {
	out := make([]string, 0, len(*s))
	for text := range *s {
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

// AddLicenses gives packages the licences that were found apart from their
// database. A package without a copyright file of its own (its documentation is a
// link to that of another) has those of a package from the same source, for
// which Debian writes one such file.
func AddLicenses(packages []inventory.Package, owned []inventory.Ownership) {
	byName := map[string][]string{}
	for i := range owned {
		if o := &owned[i]; o.Type == inventory.Deb && len(o.Licenses) > 0 {
			byName[o.Package] = o.Licenses
		}
	}
	if len(byName) == 0 {
		return
	}
	bySource := map[inventory.Source][]string{}
	for i := range packages {
		p := &packages[i]
		if p.Type != inventory.Deb || len(p.Licenses) > 0 {
			continue
		}
		if p.Licenses = byName[p.Name]; p.Licenses != nil && bySource[p.Source] == nil {
			bySource[p.Source] = p.Licenses
		}
	}
	for i := range packages {
		if p := &packages[i]; p.Type == inventory.Deb && len(p.Licenses) == 0 {
			p.Licenses = bySource[p.Source]
		}
	}
}
