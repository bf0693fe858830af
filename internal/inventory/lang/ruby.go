package lang

import (
	"io/fs"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// installedGem wants the specifications that RubyGems writes for installed gems
// and that Ruby brings for its default gems.
func installedGem(path string, _ fs.FileMode, _ int64) bool {
	return strings.HasSuffix(path, ".gemspec") &&
		(strings.HasPrefix(path, "specifications/") || strings.Contains(path, "/specifications/"))
}

// parseGemspec reads a generated specification. It is Ruby, but written by
// RubyGems with one statement on each line, after a comment for its own use:
//
//	# stub: nokogiri 1.13.10 x86_64-linux lib
//
// Specifications that people wrote and that compute their version tell nothing.
func parseGemspec(f inventory.File, facts *inventory.Facts) error {
	p := inventory.Package{Type: inventory.Gem, Path: f.Path}
	for line := range strings.Lines(string(text(f.Body))) {
		line = strings.TrimSpace(line)
		if stub, ok := strings.CutPrefix(line, "# stub: "); ok && p.Name == "" {
			if words := strings.Fields(stub); len(words) >= 2 {
				p.Name, p.Version = words[0], words[1]
			}
			continue
		}
		left, right, ok := strings.Cut(line, " = ")
		if !ok {
			continue
		}
		switch left {
		case "s.name":
			if p.Name == "" {
				p.Name = strings.Join(rubyStrings(right), "")
			}
		case "s.version":
			if p.Version == "" {
				p.Version = strings.Join(rubyStrings(right), "")
			}
		case "s.license", "s.licenses":
			p.Licenses = rubyStrings(right)
		}
	}
	if p.Name != "" && p.Version != "" {
		addInstalled(p, facts)
	}
	return nil
}

// rubyStrings returns the quoted strings of "x".freeze, %q{x}, ["x", "y"] or
// Gem::Version.new("x").
func rubyStrings(s string) []string {
	if inside, ok := strings.CutPrefix(s, "%q{"); ok {
		inside, _, _ = strings.Cut(inside, "}")
		return word(inside)
	}
	var all []string
	for {
		i := strings.IndexAny(s, `"'`)
		if i < 0 {
			return all
		}
		one, rest, ok := strings.Cut(s[i+1:], s[i:i+1])
		if !ok {
			return all
		}
		all = append(all, one)
		s = rest
	}
}

// parseGemfileLock reads Gemfile.lock: sections by where gems come from, in each
// of them four spaces before a gem and six before what it asks for.
//
//	GEM
//	  remote: https://rubygems.org/
//	  specs:
//	    nokogiri (1.13.10-x86_64-linux)
//	      racc (~> 1.4)
func parseGemfileLock(f inventory.File, facts *inventory.Facts) error {
	l := newListing(f, facts, inventory.Gem, inventory.Locked)
	defer l.close()
	section, number := "", 0
	for line := range strings.Lines(string(text(f.Body))) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if line != "" && line[0] != ' ' {
			section = line
			continue
		}
		spec, ok := strings.CutPrefix(line, "    ")
		if !ok || strings.HasPrefix(spec, " ") {
			continue
		}
		name, version, ok := strings.Cut(strings.TrimSuffix(spec, ")"), " (")
		if !ok {
			continue
		}
		version, _, _ = strings.Cut(version, "-") // the platform
		p := inventory.Package{Name: name, Version: version, Line: number}
		switch section {
		case "GEM":
			l.addFrom(registry, p)
		case "GIT":
			l.addFrom(elsewhere, p)
		}
	}
	return nil
}
