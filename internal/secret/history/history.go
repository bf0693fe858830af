// Package history finds credentials in what a git repository keeps of its past:
// every version of every file that was ever committed, also on branches that
// nobody looks at. It is for scans of source trees and of images that brought a
// repository along. It takes objects one by one and knows nothing of where they
// lie; package gitobj reads them.
//
// Most objects are small changes to others. Of those only the surroundings of
// what changed are looked at, and the whole object where they look as if they
// held something.
package history

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"seawall.io/seawall/internal/secret"
	"seawall.io/seawall/internal/secret/gitobj"
)

// Repository searches the objects of one repository. The zero value is ready.
type Repository struct {
	// Wants leaves files out by their path; nil leaves none out. It is not asked
	// for objects whose path is not known.
	Wants func(path string) bool
	// Searched counts the versions of files that were looked at, Large those that
	// were left out for their size.
	Searched, Large int
	// Cut says that some file held more than is told of it.
	Cut bool

	names gitobj.Names
	found map[key]secret.Hit
	// nameless are objects whose path is not known yet: it decides how they are
	// read. held is how many bytes they have.
	nameless []gitobj.Object
	held     int
}

// key tells credentials apart: one that stands in a hundred versions of a file
// is one.
type key struct{ rule, fingerprint string }

// MaxHits is how many credentials of one repository are told.
const MaxHits = 10_000

// MaxObject is the size in bytes beyond which versions of files are not
// searched: that of files in a source tree.
const MaxObject = secret.Limit

// maxHeld is how many bytes of objects wait for their path. More are searched
// without.
const maxHeld = 64 << 20

// Add takes one object. Paths come from trees and commits, which should come
// before what they name, as they do in packs.
func (r *Repository) Add(o gitobj.Object) {
	switch o.Kind {
	case gitobj.Commit, gitobj.Tree:
		r.names.Add(o)
	case gitobj.Blob:
		r.blob(o)
	default:
	}
}

func (r *Repository) blob(o gitobj.Object) {
	if len(o.Body) > MaxObject {
		r.Large++
		return
	}
	name, _ := r.names.Of(o.ID)
	if name == "" && r.held+len(o.Body) <= maxHeld {
		r.held += len(o.Body)
		r.nameless = append(r.nameless, gitobj.Object{Kind: o.Kind, ID: o.ID, Body: bytes.Clone(o.Body)})
		return
	}
	r.search(o)
}

// search looks at an object by the path that is known of it now.
func (r *Repository) search(o gitobj.Object) {
	name, commit := r.names.Of(o.ID)
	if name != "" && !r.wants(name, len(o.Body)) {
		return
	}
	r.Searched++
	if r.asBefore(o, name) {
		return
	}
	hits, more := secret.Scan(name, o.Body, secret.Options{})
	r.Cut = r.Cut || more
	for _, h := range hits {
		r.add(h, o.ID, name, commit)
	}
}

func (r *Repository) wants(name string, size int) bool {
	return secret.Wants(name, 0, int64(size)) && (r.Wants == nil || r.Wants(name))
}

func (r *Repository) add(h secret.Hit, id gitobj.ID, name string, commit gitobj.ID) {
	k := key{h.Rule, h.Fingerprint}
	old, known := r.found[k]
	switch {
	case known && (!old.Example || h.Example): // a real place tells more than an example's
		return
	case !known && len(r.found) >= MaxHits:
		r.Cut = true
		return
	}
	if r.found == nil {
		r.found = map[key]secret.Hit{}
	}
	h.Object, h.File = id.String(), name
	if commit != (gitobj.ID{}) {
		h.Commit = commit.String()
	}
	r.found[k] = h
}

// The surroundings of a change, in bytes: more than any form takes (2048), and
// more than a name and a value.
const margin = 4 << 10

// asBefore says that nothing new stands in an object that is a change to one
// that was searched in the same way.
func (r *Repository) asBefore(o gitobj.Object, name string) bool {
	if o.Base == (gitobj.ID{}) || len(o.Body) < 4*margin || utf16(o.Body) || name == "" {
		return false
	}
	// Where a file stands decides how it is read.
	if base, _ := r.names.Of(o.Base); base != name {
		return false
	}
	for i := 0; i < len(o.Changed); {
		start, end := around(o.Body, o.Changed[i])
		for i++; i < len(o.Changed) && o.Changed[i].Start-margin <= end; i++ {
			_, end = around(o.Body, o.Changed[i])
		}
		if end-start > len(o.Body)/2 {
			return false
		}
		if hits, more := secret.Scan(name, o.Body[start:end], secret.Options{MaxHits: 1}); len(hits) > 0 || more {
			return false
		}
	}
	return true
}

// around is a change with its surroundings, in whole lines where lines are of a
// usual length.
func around(body []byte, c gitobj.Span) (start, end int) {
	start, end = max(0, c.Start-margin), min(len(body), c.End+margin)
	if i := bytes.IndexByte(body[start:c.Start], '\n'); i >= 0 && start > 0 {
		start += i + 1
	}
	if i := bytes.LastIndexByte(body[c.End:end], '\n'); i >= 0 && end < len(body) {
		end = c.End + i + 1
	}
	return start, end
}

func utf16(body []byte) bool {
	return bytes.HasPrefix(body, []byte{0xff, 0xfe}) || bytes.HasPrefix(body, []byte{0xfe, 0xff})
}

// Hits returns what was found, each credential once, sorted by path and place.
func (r *Repository) Hits() []secret.Hit {
	for _, o := range r.nameless {
		r.search(o)
	}
	r.nameless, r.held = nil, 0
	out := slices.Collect(maps.Values(r.found))
	slices.SortFunc(out, func(a, b secret.Hit) int {
		for _, c := range [...]int{strings.Compare(a.File, b.File), strings.Compare(a.Object, b.Object), a.Line - b.Line, a.Column - b.Column} {
			if c != 0 {
				return c
			}
		}
		return strings.Compare(a.Rule, b.Rule)
	})
	return out
}
