package lang

import (
	"bytes"
	"fmt"
	"strings"

	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/inventory"
)

// parseBunBinary says that the binary lock file of Bun cannot be read. It has no
// description but Bun's source, and Bun writes text since version 1.2.
func parseBunBinary(_ inventory.File, facts *inventory.Facts) error {
	facts.Problems = append(facts.Problems,
		"the binary lock file of Bun is not read; write bun.lock by: bun install --save-text-lockfile --frozen-lockfile --lockfile-only")
	return nil
}

// parseBun reads bun.lock. An entry is a list that begins with name@version:
//
//	"express/debug": ["debug@2.6.9", "", { "dependencies": { "ms": "2.0.0" } }, "sha512-..."],
func parseBun(f inventory.File, facts *inventory.Facts) error {
	root, err := document.ParseJSON(plainJSON(text(f.Body)), document.Limits{Bytes: lockLimit})
	if err != nil {
		return fmt.Errorf("reading JSON: %w", err)
	}
	l := newListing(f, facts, inventory.NPM, inventory.Locked)
	defer l.close()
	packages := root.Get("packages").Map()
	only := bunDevelopment(root.Get("workspaces"), packages)
	for _, p := range packages {
		items := p.Value.List()
		if len(items) == 0 {
			continue
		}
		name, version := splitSpec(items[0].Str())
		from := originOf(version)
		if from == registry && strings.Contains(version, "/") {
			from = elsewhere
		}
		l.addFrom(from, inventory.Package{Name: name, Version: version, Dev: only[p.Key], Line: int(p.Pos.Line)})
	}
	return nil
}

// bunKey is the length of a key in bytes beyond which no folders above it are
// looked through, which takes the square of its length.
const bunKey = 500

// bunDevelopment returns the keys of what only development needs. A key is the
// way to the package in node_modules, so that what a package asks for is looked
// up in its own folder first and then in those above.
func bunDevelopment(workspaces *document.Node, packages []document.Field) map[string]bool {
	asks := make(map[string][]string, len(packages))
	for _, p := range packages {
		asks[p.Key] = nil
		for _, item := range p.Value.List() {
			if item.Kind() == document.Map {
				asks[p.Key] = bunAsks(item, inUse[:]...)
			}
		}
	}
	resolve := func(from, name string) string {
		if len(from) > bunKey {
			return name
		}
		for {
			key := name
			if from != "" {
				key = from + "/" + name
			}
			if _, ok := asks[key]; ok || from == "" {
				return key
			}
			from = from[:max(0, strings.LastIndexByte(from, '/'))]
		}
	}
	var use, development []string
	for _, w := range workspaces.Map() {
		own := w.Value.Get("name").Str() // a workspace's own copies lie under its name
		for _, name := range bunAsks(w.Value, inUse[:]...) {
			use = append(use, resolve(own, name))
		}
		for _, name := range bunAsks(w.Value, "devDependencies") {
			development = append(development, resolve(own, name))
		}
	}
	return developmentOnly(use, development, func(key string) []string {
		next := make([]string, len(asks[key]))
		for i, name := range asks[key] {
			next[i] = resolve(key, name)
		}
		return next
	})
}

// inUse are the kinds of dependencies that count outside development.
//
//nolint:gochecknoglobals // a table
var inUse = [...]string{"dependencies", "optionalDependencies", "peerDependencies"}

func bunAsks(n *document.Node, kinds ...string) []string {
	var names []string
	for _, kind := range kinds {
		for _, d := range n.Get(kind).Map() {
			names = append(names, d.Key)
		}
	}
	return names
}

// plainJSON returns JSON with comments and trailing commas as plain JSON, with
// spaces in their place so that lines and columns stay.
func plainJSON(in []byte) []byte {
	out := bytes.Clone(in)
	comma := -1 // of the last comma that no value has followed yet
	for i := 0; i < len(out); i++ {
		switch c := out[i]; c {
		case ' ', '\t', '\n', '\r':
		case '"':
			comma = -1
			for i++; i < len(out) && out[i] != '"'; i++ {
				if out[i] == '\\' {
					i++
				}
			}
		case '/':
			end := commentEnd(out[i:])
			for j := i; j < i+end; j++ {
				if out[j] != '\n' {
					out[j] = ' '
				}
			}
			i += max(end, 1) - 1
		case ',':
			comma = i
		case '}', ']':
			if comma >= 0 {
				out[comma] = ' '
			}
			comma = -1
		default:
			comma = -1
		}
	}
	return out
}

// commentEnd returns the length of the comment that a text begins with, 0 if it
// is none.
func commentEnd(b []byte) int {
	var end int
	switch {
	case bytes.HasPrefix(b, []byte("//")):
		end = bytes.IndexByte(b, '\n')
	case bytes.HasPrefix(b, []byte("/*")):
		if end = bytes.Index(b[2:], []byte("*/")); end >= 0 {
			end += 4
		}
	default:
		return 0
	}
	if end < 0 {
		return len(b)
	}
	return end
}
