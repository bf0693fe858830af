package ospkg

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// releaseFiles are older than os-release, or say more than it does. Their order
// is their precedence.
//
//nolint:gochecknoglobals // a constant table
var releaseFiles = []string{
	"etc/alpine-release", "etc/rocky-release", "etc/almalinux-release", "etc/oracle-release", "etc/centos-release",
	"etc/fedora-release", "etc/redhat-release", "etc/system-release", "etc/lsb-release", "etc/debian_version",
}

// maxField is the longest text that is taken from a release file, in bytes.
const maxField = 256

// parseOSRelease reads os-release(5).
func parseOSRelease(f inventory.File, facts *inventory.Facts) error {
	d := inventory.Distro{Path: f.Path}
	err := assignments(f.Body, func(key, value string) {
		switch key {
		case "ID":
			d.ID = strings.ToLower(value)
		case "ID_LIKE":
			d.Like = strings.Fields(strings.ToLower(value))
		case "VERSION_ID":
			d.Version = value
		case "VERSION_CODENAME":
			d.Codename = value
		case "PRETTY_NAME":
			d.Name = value
		}
	})
	if d.ID == "" {
		// The manual's default for it is linux, of which nothing is known either.
		return errors.Join(err, errors.New("it does not say which distribution it is (no ID)"))
	}
	facts.Distro = &d
	return err
}

// assignments reads lines of KEY=value as a shell would, without expanding
// anything. Of a key that is set twice the last value counts.
func assignments(body []byte, set func(key, value string)) error {
	return lines(body, func(n int, line []byte) error {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			return nil
		}
		key, value, ok := bytes.Cut(line, []byte("="))
		if !ok {
			return fmt.Errorf("line %d: neither a comment nor KEY=value", n)
		}
		text := unquote(value)
		set(string(key), text[:min(len(text), maxField)])
		return nil
	})
}

// unquote takes one shell word apart: "a \"b\"", 'a b', a\ b.
func unquote(word []byte) string {
	var out strings.Builder
	quote := byte(0)
	for i := 0; i < len(word); i++ {
		c := word[i]
		switch {
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote && quote != 0:
			quote = 0
		case c == '\\' && quote != '\'' && i+1 < len(word):
			i++
			out.WriteByte(word[i])
		case quote == 0 && (c == ' ' || c == '\t' || c == '#'):
			return out.String()
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// parseRelease reads the files of one line that came before os-release.
func parseRelease(f inventory.File, facts *inventory.Facts) error {
	name := path.Base(f.Path)
	if name == "lsb-release" {
		return parseLSB(f, facts)
	}
	first, _, _ := bytes.Cut(bytes.TrimSpace(f.Body), []byte("\n"))
	line := string(bytes.TrimSpace(first[:min(len(first), maxField)]))
	if line == "" {
		return errors.New("it holds nothing but white space")
	}
	d := inventory.Distro{Path: f.Path}
	switch name {
	case "debian_version":
		d.ID, d.Version = "debian", line
		if codename, ok := strings.CutSuffix(line, "/sid"); ok {
			d.Codename = codename
		}
	case "alpine-release":
		d.ID, d.Version = "alpine", line
	default:
		if d = redhatLike(line); d.ID == "" {
			return fmt.Errorf("a distribution that is not known: %q", line)
		}
		d.Path = f.Path
	}
	facts.Distro = &d
	return nil
}

func parseLSB(f inventory.File, facts *inventory.Facts) error {
	d := inventory.Distro{Path: f.Path}
	err := assignments(f.Body, func(key, value string) {
		switch key {
		case "DISTRIB_ID":
			d.ID = strings.ToLower(value)
		case "DISTRIB_RELEASE":
			d.Version = value
		case "DISTRIB_CODENAME":
			d.Codename = value
		case "DISTRIB_DESCRIPTION":
			d.Name = value
		}
	})
	if d.ID != "" { // on the Red Hat family it holds LSB_VERSION alone
		facts.Distro = &d
	}
	return err
}

// redhatLike reads "CentOS Linux release 7.9.2009 (Core)". The name is an ID of
// os-release, or none.
func redhatLike(line string) inventory.Distro {
	name, rest, ok := strings.Cut(line, " release ")
	if !ok {
		return inventory.Distro{}
	}
	d := inventory.Distro{Name: line}
	d.Version, rest, _ = strings.Cut(rest, " ")
	if open := strings.IndexByte(rest, '('); open >= 0 {
		d.Codename, _, _ = strings.Cut(rest[open+1:], ")")
	}
	lower := strings.ToLower(name)
	for _, known := range []struct{ text, id string }{
		{"red hat", "rhel"},
		{"centos", "centos"},
		{"almalinux", "almalinux"},
		{"rocky", "rocky"},
		{"oracle", "ol"},
		{"enterprise linux", "ol"},
		{"fedora", "fedora"},
		{"amazon", "amzn"},
		{"scientific", "scientific"},
	} {
		if strings.Contains(lower, known.text) {
			d.ID = known.id
			break
		}
	}
	return d
}

// Decide tells the distribution of a root file system from all files that name
// one; nil if none does. os-release comes first, /etc's before /usr/lib's, then
// the files of single families. Where another file of the same distribution is
// more precise about the release (12.7 in debian_version, 12 in os-release),
// its version is taken, and debian_version's trixie/sid where os-release names
// no version.
func Decide(found []inventory.Distro) *inventory.Distro {
	order := append([]string{"etc/os-release", "usr/lib/os-release"}, releaseFiles...)
	rank := func(d *inventory.Distro) int {
		if i := slices.Index(order, d.Path); i >= 0 {
			return i
		}
		return len(order)
	}
	var best *inventory.Distro
	for i := range found {
		if d := &found[i]; d.ID != "" && (best == nil || rank(d) < rank(best)) {
			best = d
		}
	}
	if best == nil {
		return nil
	}
	decided := *best
	for i := range found {
		d := &found[i]
		if d.ID != best.ID || d == best || d.Version == "" {
			continue
		}
		if decided.Version == "" || strings.HasPrefix(d.Version, decided.Version+".") {
			decided.Version = d.Version
		}
		if decided.Codename == "" && d.ID == "debian" {
			decided.Codename = d.Codename
		}
	}
	return &decided
}
