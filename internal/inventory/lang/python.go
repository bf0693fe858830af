package lang

import (
	"bytes"
	"io/fs"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// installedPython wants the metadata of installed distributions: of wheels, of
// eggs, and of what setup.py installed as a single file.
func installedPython(path string, _ fs.FileMode, _ int64) bool {
	switch path[strings.LastIndexByte(path, '/')+1:] {
	case "METADATA":
		return strings.HasSuffix(path, ".dist-info/METADATA")
	case "PKG-INFO":
		return strings.HasSuffix(path, ".egg-info/PKG-INFO") || strings.HasSuffix(path, ".egg/EGG-INFO/PKG-INFO")
	}
	return strings.HasSuffix(path, ".egg-info")
}

// parsePythonMetadata reads the head of METADATA or PKG-INFO, which looks like
// that of a mail. Of the ways to state a licence the newest that is used counts:
// an SPDX expression, classifiers, free text if it is but a line.
func parsePythonMetadata(f inventory.File, facts *inventory.Facts) error {
	p := inventory.Package{Type: inventory.PyPI, Path: f.Path}
	var expression, free string
	var classifiers []string
	rest := text(f.Body)
	for len(rest) > 0 {
		var line []byte
		if line, rest, _ = bytes.Cut(rest, []byte{'\n'}); len(bytes.TrimRight(line, "\r")) == 0 {
			break
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			continue
		}
		switch string(line[:colon]) {
		case "Name":
			p.Name = normalPyPI(field(line, colon))
		case "Version":
			p.Version = field(line, colon)
		case "License-Expression":
			expression = field(line, colon)
		case "License":
			if free = field(line, colon); len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t') {
				free = "" // the whole text of a licence
			}
		case "Classifier":
			if words, ok := bytes.CutPrefix(line[colon+1:], []byte(" License :: ")); ok {
				if last := licenceOf(words); last != "OSI Approved" {
					classifiers = append(classifiers, last)
				}
			}
		}
	}
	switch {
	case expression != "":
		p.Licenses = word(expression)
	case len(classifiers) > 0:
		p.Licenses = classifiers
	case free != "UNKNOWN":
		p.Licenses = word(free)
	}
	addInstalled(p, facts)
	return nil
}

// licenceOf returns the last part of a classifier: "OSI Approved :: MIT License".
func licenceOf(words []byte) string {
	if i := bytes.LastIndex(words, []byte(" :: ")); i >= 0 {
		words = words[i+len(" :: "):]
	}
	return string(bytes.TrimSpace(words))
}

// field returns what stands after the colon of a line.
func field(line []byte, colon int) string { return string(bytes.TrimSpace(line[colon+1:])) }

// normalPyPI normalises a name as PEP 503 says: lower case, and each run of
// dots, dashes and underscores one dash.
func normalPyPI(name string) string {
	var b strings.Builder
	run := false
	for i := range len(name) {
		c := name[i]
		if c == '-' || c == '_' || c == '.' {
			run = true
			continue
		}
		if run {
			b.WriteByte('-')
			run = false
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	if run {
		b.WriteByte('-')
	}
	return b.String()
}

// installedConda wants the records of a Conda environment, one for each package.
func installedConda(path string, _ fs.FileMode, _ int64) bool {
	rest, ok := strings.CutSuffix(path, ".json")
	if !ok {
		return false
	}
	i := strings.LastIndexByte(rest, '/')
	return i >= 0 && (rest[:i] == "conda-meta" || strings.HasSuffix(rest[:i], "/conda-meta"))
}

func parseConda(f inventory.File, facts *inventory.Facts) error {
	p := inventory.Package{Type: inventory.Conda, Path: f.Path}
	s := scan{b: text(f.Body)}
	err := s.object(func(key []byte) (err error) {
		switch string(key) {
		case "name":
			p.Name, err = s.str()
		case "version":
			p.Version, err = s.str()
		case "license":
			var license string
			license, err = s.str()
			p.Licenses = word(license)
		default:
			err = s.skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	addInstalled(p, facts)
	return nil
}
