package lang

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/inventory"
)

// parseYarn reads yarn.lock: since version 2 it is YAML, before it was a format
// of its own. Neither says what is for development only.
func parseYarn(f inventory.File, facts *inventory.Facts) error {
	l := newListing(f, facts, inventory.NPM, inventory.Locked)
	defer l.close()
	body := text(f.Body)
	if bytes.HasPrefix(body, []byte("__metadata:")) || bytes.Contains(body, []byte("\n__metadata:")) {
		return l.addBerry(body)
	}
	return l.addYarn1(string(body))
}

// addYarn1 reads the entries of version 1:
//
//	"@babel/core@^7.0.0", "@babel/core@^7.1.0":
//	  version "7.1.0"
//	  resolved "https://registry.yarnpkg.com/..."
func (l *listing) addYarn1(body string) error {
	var (
		entry   inventory.Package
		wish    string // what the first of the entry's names asks for
		address string
	)
	flush := func() {
		if entry.Version == "" {
			return
		}
		from := originOf(wish)
		if from == registry {
			from = originOf(address)
		}
		l.addFrom(from, entry)
		entry = inventory.Package{}
	}
	number := 0
	for line := range strings.Lines(body) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] != ' ' {
			flush()
			names, ok := strings.CutSuffix(line, ":")
			if !ok {
				return fmt.Errorf("line %d: expected a name and a colon", number)
			}
			entry = inventory.Package{Line: number}
			entry.Name, wish = splitSpec(yarnWord(names))
			if aliased, ok := strings.CutPrefix(wish, "npm:"); ok {
				if name, version := splitSpec(aliased); version != "" {
					entry.Name = name
				}
				wish = ""
			}
			address = ""
			continue
		}
		if key, value, ok := strings.Cut(strings.TrimPrefix(line, "  "), " "); ok {
			switch key {
			case "version":
				entry.Version = yarnWord(value)
			case "resolved":
				address = yarnWord(value)
			}
		}
	}
	flush()
	return nil
}

// yarnWord returns the first of some words that are separated by commas, each
// quoted if need be.
func yarnWord(s string) string {
	if quoted, err := strconv.QuotedPrefix(s); err == nil {
		if out, err := strconv.Unquote(quoted); err == nil {
			return out
		}
	}
	s, _, _ = strings.Cut(s, ",")
	return strings.TrimSpace(s)
}

// addBerry reads the entries since version 2, whose resolution names the real
// package and where it came from:
//
//	"old-ws@npm:ws@7.4.0":
//	  version: 7.4.0
//	  resolution: "ws@npm:7.4.0"
func (l *listing) addBerry(body []byte) error {
	docs := document.Parse(body, document.Limits{Bytes: lockLimit})
	for _, doc := range docs {
		if doc.Err != nil {
			return fmt.Errorf("reading YAML: %w", doc.Err)
		}
		for _, entry := range doc.Root.Map() {
			if entry.Key == "__metadata" {
				continue
			}
			name, from := splitSpec(entry.Value.Get("resolution").Str())
			if name == "" {
				return fmt.Errorf("line %d: %w", entry.Pos.Line, errNoResolution)
			}
			// A patched package is that of the registry with a few lines changed.
			// Yarn 2 left the registry's name out there.
			if patched, ok := strings.CutPrefix(from, "patch:"); ok {
				_, from = splitSpec(patched)
				from = strings.Replace(from, "npm%3A", "npm:", 1)
				if from != "" && isDigit(from[0]) {
					from = "npm:" + from
				}
			}
			kind := registry
			if !strings.HasPrefix(from, "npm:") {
				kind = versionless(from)
			}
			l.addFrom(kind, inventory.Package{
				Name: name, Version: entry.Value.Get("version").Str(), Line: int(entry.Pos.Line),
			})
		}
	}
	return nil
}

var errNoResolution = errors.New("the entry has no resolution")
