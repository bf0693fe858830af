package gitobj

import (
	"bytes"
	"strings"
)

// Names gathers from commits and trees where objects stand in a repository.
// Packs as git writes them have commits and trees before the rest, so that one
// pass over a pack knows most names. The zero value is ready.
type Names struct {
	places  map[ID]place
	commits map[ID]ID // by the tree of each
}

// place is where an object was first seen.
type place struct {
	tree ID
	name string
}

const (
	maxNames = 1 << 20
	maxPath  = 64 // folders, and those in a circle that no honest tree has
)

// Add takes what a commit or a tree tells. Other objects, and what is malformed
// in a tree, tell nothing. At most 1048576 places are kept.
func (n *Names) Add(o Object) {
	if n.places == nil {
		n.places, n.commits = map[ID]place{}, map[ID]ID{}
	}
	switch o.Kind {
	case Commit:
		line, _, _ := bytes.Cut(o.Body, []byte("\n"))
		tree, ok := ParseID(bytes.TrimPrefix(line, []byte("tree ")))
		if _, known := n.commits[tree]; ok && !known && len(n.commits) < maxNames {
			n.commits[tree] = o.ID
		}
	case Tree:
		for body := o.Body; len(n.places) < maxNames; {
			head, rest, ok := bytes.Cut(body, []byte{0})
			_, name, named := bytes.Cut(head, []byte(" "))
			if !ok || !named || len(rest) < len(ID{}) {
				return
			}
			id := ID(rest[:len(ID{})])
			if _, known := n.places[id]; !known {
				n.places[id] = place{o.ID, string(name)}
			}
			body = rest[len(ID{}):]
		}
	default:
	}
}

// ParseID reads 40 hexadecimal digits in lower case.
func ParseID[T string | []byte](text T) (id ID, ok bool) {
	if len(text) != 2*len(id) {
		return id, false
	}
	for i := range id {
		high, low := strings.IndexByte(digits, text[2*i]), strings.IndexByte(digits, text[2*i+1])
		if high < 0 || low < 0 {
			return id, false
		}
		id[i] = byte(high<<4 | low) //nolint:gosec // each is less than 16
	}
	return id, true
}

const digits = "0123456789abcdef"

// Of returns a path that an object has, as far as it is known, and the commit
// whose tree holds it there, zero if none does directly. An object may have had
// other paths in other commits too.
func (n *Names) Of(id ID) (path string, commit ID) {
	for range maxPath {
		p, ok := n.places[id]
		if !ok {
			break
		}
		if path != "" {
			path = "/" + path
		}
		path = p.name + path
		id = p.tree
	}
	return path, n.commits[id]
}
