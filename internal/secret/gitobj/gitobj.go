// Package gitobj reads the object files of git, loose ones and packs, for
// whoever searches what a repository has ever held. It is no git: it reads no
// references and no index, checks no signatures, and takes the objects as they
// come. It knows repositories that name objects by SHA-1.
//
// What it reads may be made to harm: sizes, depths and the work for one pack are
// bounded by Limits, and an object that breaks them is told and left out.
package gitobj

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // git names objects so
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Kind is the type of an object.
type Kind uint8

// The types of objects, as packs number them.
const (
	Commit Kind = 1
	Tree   Kind = 2
	Blob   Kind = 3
	Tag    Kind = 4

	offsetDelta Kind = 6
	refDelta    Kind = 7
)

// String returns git's word.
func (k Kind) String() string {
	switch k {
	case Commit:
		return "commit"
	case Tree:
		return "tree"
	case Blob:
		return "blob"
	case Tag:
		return "tag"
	default:
		return "type " + strconv.Itoa(int(k))
	}
}

// ID is the name of an object: the SHA-1 of its header and content.
type ID [20]byte

// String returns 40 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Object is one object. Its Body is valid until the next one is asked for.
type Object struct {
	Kind Kind
	ID   ID
	Body []byte
	// Base is an object of the same pack, handed over before, that this one is kept
	// as a change to. Changed are then the parts of Body that are not in it, in
	// order, and without length the places where parts of it meet anew. Base is
	// zero where that is not known: all of Body is new.
	Base    ID
	Changed []Span
}

// Span is a part of an object, in bytes.
type Span struct{ Start, End int }

// Limits bound what reading may take. The zero value is good.
type Limits struct {
	// Object is the size in bytes beyond which an object is left out, 0 means
	// 16 MiB. Larger files hold no text that people write.
	Object int64
	// Total is how many bytes all objects of a pack may have together, bases of
	// deltas counted each time they are read; 0 means 4 GiB.
	Total int64
}

const (
	defaultObject = 16 << 20
	defaultTotal  = 4 << 30
	maxDepth      = 4095 // what git itself allows
	cacheBytes    = 64 << 20
)

func (l Limits) object() int64 {
	if l.Object > 0 {
		return l.Object
	}
	return defaultObject
}

func (l Limits) total() int64 {
	if l.Total > 0 {
		return l.Total
	}
	return defaultTotal
}

// ErrTooLarge is the error of an object beyond Limits.Object, and of a pack
// beyond Limits.Total.
var ErrTooLarge = errors.New("too large")

// Loose reads a file of .git/objects/xx: type, size and content, compressed.
func Loose(file []byte, l Limits) (Object, error) {
	r, err := zlib.NewReader(bytes.NewReader(file))
	if err != nil {
		return Object{}, fmt.Errorf("reading a loose object: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(r, l.object()+64))
	if err != nil {
		return Object{}, fmt.Errorf("reading a loose object: %w", err)
	}
	head, _, ok := bytes.Cut(raw[:min(len(raw), 64)], []byte{0})
	if !ok {
		return Object{}, errors.New("reading a loose object: no header")
	}
	word, size, _ := bytes.Cut(head, []byte(" "))
	body := raw[len(head)+1:]
	n, err := strconv.ParseInt(string(size), 10, 64)
	switch {
	case err != nil:
		return Object{}, fmt.Errorf("reading a loose object: size %q is no number", size)
	case n > l.object():
		return Object{}, fmt.Errorf("reading a loose object of %d bytes: %w", n, ErrTooLarge)
	case n != int64(len(body)):
		return Object{}, fmt.Errorf("reading a loose object: it has %d bytes and says %d", len(body), n)
	}
	for k := Commit; k <= Tag; k++ {
		if string(word) == k.String() {
			return Object{Kind: k, ID: nameOf(k, body), Body: body}, nil
		}
	}
	return Object{}, fmt.Errorf("reading a loose object: unknown type %q", word)
}

func nameOf(k Kind, body []byte) ID {
	h := sha1.New() //nolint:gosec // git names objects so
	h.Write(fmt.Appendf(nil, "%s %d\x00", k, len(body)))
	h.Write(body)
	return ID(h.Sum(nil))
}
