// Package purl writes and reads package URLs (ECMA-427,
// https://github.com/package-url/purl-spec), and names packages of an
// inventory by them. It is for whatever speaks of packages to other tools: VEX
// documents, bills of materials, findings.
package purl

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// PURL is a package URL, taken apart and decoded.
type PURL struct {
	Type      string // lower case
	Namespace string // its segments joined by /
	Name      string
	Version   string
	// Qualifiers have keys in lower case; those without a value are left out.
	Qualifiers map[string]string
	Subpath    string
}

// Limit is the length in bytes beyond which no text is read as a package URL.
const Limit = 8192

var errScheme = errors.New("the scheme pkg is missing")

// Parse reads a package URL. Errors name what is malformed.
func Parse(text string) (PURL, error) {
	p, err := parse(text)
	if err != nil {
		if len(text) > 80 {
			text = text[:80] + "..."
		}
		return PURL{}, fmt.Errorf("package URL %q: %w", text, err)
	}
	return p, nil
}

// parse takes the parts off from the right, as the specification says.
func parse(text string) (PURL, error) {
	var p PURL
	if len(text) > Limit {
		return p, fmt.Errorf("longer than %d bytes", Limit)
	}
	if len(text) < 4 || !strings.EqualFold(text[:4], "pkg:") {
		return p, errScheme
	}
	rest := strings.TrimLeft(text[4:], "/")
	var err error
	if at := strings.LastIndexByte(rest, '#'); at >= 0 {
		if p.Subpath, err = segments(rest[at+1:]); err != nil {
			return p, fmt.Errorf("subpath: %w", err)
		}
		rest = rest[:at]
	}
	if at := strings.LastIndexByte(rest, '?'); at >= 0 {
		if p.Qualifiers, err = qualifiers(rest[at+1:]); err != nil {
			return p, err
		}
		rest = rest[:at]
	}
	kind, rest, found := strings.Cut(rest, "/")
	if p.Type = strings.ToLower(kind); !found || !validType(p.Type) {
		return p, fmt.Errorf("type %q is malformed", kind)
	}
	rest = strings.Trim(rest, "/")
	// A version begins at the last @. That of a scope (@babel/core) begins a folder
	// of the path, and people forget to encode it.
	at := strings.LastIndexByte(rest, '@')
	scope := at >= 0 && (at == 0 || rest[at-1] == '/') && strings.Contains(rest[at:], "/")
	if at >= 0 && !scope {
		if p.Version, err = url.PathUnescape(rest[at+1:]); err != nil {
			return p, fmt.Errorf("version: %w", err)
		}
		rest = strings.TrimRight(rest[:at], "/")
	}
	name := rest
	if at := strings.LastIndexByte(rest, '/'); at >= 0 {
		if p.Namespace, err = segments(rest[:at]); err != nil {
			return p, fmt.Errorf("namespace: %w", err)
		}
		name = rest[at+1:]
	}
	if p.Name, err = url.PathUnescape(name); err != nil {
		return p, fmt.Errorf("name: %w", err)
	}
	if p.Name == "" {
		return p, errors.New("the name is missing")
	}
	p.normalise()
	return p, nil
}

const (
	letters = "abcdefghijklmnopqrstuvwxyz"
	digits  = "0123456789"
)

// validType lets a plus pass, which editions of the specification before
// ECMA-427 allowed.
func validType(kind string) bool {
	return strings.IndexAny(kind, letters) == 0 && strings.Trim(kind, letters+digits+".-+") == ""
}

func validKey(key string) bool {
	return strings.IndexAny(key, letters) == 0 && strings.Trim(key, letters+digits+".-_") == ""
}

// segments decodes a path, without those that are empty or lead elsewhere.
func segments(path string) (string, error) {
	var kept []string
	for part := range strings.SplitSeq(path, "/") {
		decoded, err := url.PathUnescape(part)
		if err != nil {
			return "", err
		}
		if decoded != "" && decoded != "." && decoded != ".." {
			kept = append(kept, decoded)
		}
	}
	return strings.Join(kept, "/"), nil
}

// qualifiers reads pairs of key and value. A key without a value is as none. A
// slash in a value need not be encoded to be understood, but is when written:
// only separators and colons stand as they are (ECMA-427, 5.4 and 5.6.6).
func qualifiers(text string) (map[string]string, error) {
	found := map[string]string{}
	for pair := range strings.SplitSeq(text, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		if key = strings.ToLower(key); !validKey(key) {
			return nil, fmt.Errorf("qualifier %q: a key has letters, digits, dots, dashes and underscores, and begins with a letter", key)
		}
		decoded, err := url.PathUnescape(value)
		if err != nil {
			return nil, fmt.Errorf("qualifier %q: %w", key, err)
		}
		if decoded == "" {
			continue
		}
		if _, twice := found[key]; twice {
			return nil, fmt.Errorf("qualifier %q stands there twice", key)
		}
		found[key] = decoded
	}
	if len(found) == 0 {
		return nil, nil //nolint:nilnil // no qualifiers is what it says
	}
	return found, nil
}

// normalise applies the rules of the types that have some.
func (p *PURL) normalise() {
	switch p.Type {
	case "pypi":
		p.Name = strings.ReplaceAll(strings.ToLower(p.Name), "_", "-")
	case "deb", "apk", "composer", "github", "bitbucket", "oci":
		p.Namespace, p.Name = strings.ToLower(p.Namespace), strings.ToLower(p.Name)
	case "rpm":
		p.Namespace = strings.ToLower(p.Namespace)
	}
}

// String writes the package URL in its canonical form.
func (p PURL) String() string {
	var b strings.Builder
	b.WriteString("pkg:")
	b.WriteString(p.Type)
	b.WriteByte('/')
	if p.Namespace != "" {
		writePath(&b, p.Namespace)
		b.WriteByte('/')
	}
	write(&b, p.Name)
	if p.Version != "" {
		b.WriteByte('@')
		write(&b, p.Version)
	}
	separator := byte('?')
	for _, key := range slices.Sorted(maps.Keys(p.Qualifiers)) {
		if p.Qualifiers[key] == "" {
			continue
		}
		b.WriteByte(separator)
		b.WriteString(key)
		b.WriteByte('=')
		write(&b, p.Qualifiers[key])
		separator = '&'
	}
	if p.Subpath != "" {
		b.WriteByte('#')
		writePath(&b, p.Subpath)
	}
	return b.String()
}

func writePath(b *strings.Builder, path string) {
	for i, part := range strings.Split(path, "/") {
		if i > 0 {
			b.WriteByte('/')
		}
		write(b, part)
	}
}

// write encodes all but what the specification lets stand.
func write(b *strings.Builder, text string) {
	const hexadecimal = "0123456789ABCDEF"
	for i := range len(text) {
		c := text[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(".-_~:", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexadecimal[c>>4])
		b.WriteByte(hexadecimal[c&15])
	}
}

// Of names a package of an inventory. The distribution, which may be zero,
// gives the namespace of its packages.
func Of(p *inventory.Package, d *inventory.Distro) PURL {
	u := PURL{Type: string(p.Type), Name: p.Name, Version: p.Version}
	switch p.Type {
	case inventory.Deb, inventory.APK, inventory.RPM:
		u.distribution(p, d)
	case inventory.Maven:
		if group, artifact, ok := strings.Cut(p.Name, ":"); ok {
			u.Namespace, u.Name = group, artifact
		}
	case inventory.Go, inventory.NPM, inventory.Composer:
		if at := strings.LastIndexByte(p.Name, '/'); at > 0 {
			u.Namespace, u.Name = p.Name[:at], p.Name[at+1:]
		}
		if p.Type == inventory.Go && p.Name != "stdlib" && u.Version != "" {
			u.Version = "v" + u.Version
		}
	case inventory.PyPI, inventory.Conda, inventory.Cargo, inventory.Gem, inventory.NuGet:
	}
	u.normalise()
	return u
}

func (p *PURL) distribution(from *inventory.Package, d *inventory.Distro) {
	p.Qualifiers = map[string]string{}
	set := func(key, value string) {
		if value != "" {
			p.Qualifiers[key] = value
		}
	}
	set("arch", from.Arch)
	if d != nil && d.ID != "" {
		p.Namespace = namespace(d.ID)
		if release := strings.TrimSuffix(d.ID+"-"+d.Version, "-"); d.Version != "" {
			set("distro", release)
		}
	}
	if from.Type == inventory.RPM {
		if epoch, version, ok := strings.Cut(from.Version, ":"); ok {
			p.Version = version
			if epoch != "0" {
				set("epoch", epoch)
			}
		}
	}
	if from.Source.Name != "" && (from.Source.Name != from.Name || from.Source.Version != from.Version) {
		upstream := from.Source.Name
		if from.Source.Version != from.Version && from.Source.Version != "" {
			upstream += "@" + from.Source.Version
		}
		set("upstream", upstream)
	}
}

// namespace is the vendor that the specification names for a distribution.
func namespace(id string) string {
	switch id {
	case "rhel":
		return "redhat"
	case "opensuse-leap", "opensuse-tumbleweed":
		return "opensuse"
	case "sles":
		return "suse"
	case "amzn":
		return "amazon"
	case "ol":
		return "oracle"
	}
	return id
}
