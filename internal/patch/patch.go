// Package patch applies the JSON patch operations of findings to the text of
// YAML and JSON files, for people who keep these files in a repository: a
// change touches the lines it is about and leaves comments, order, quoting,
// indentation, blank lines and line endings elsewhere as they are.
//
// # Where a change goes
//
// A new key follows the last sibling with a value of one line, or all siblings
// where there is none, where the map is a whole object (its keys include
// apiVersion or kind) or where it is written in flow style. A new item follows
// the item before it. Missing parents are made: maps, or a list for the step
// "-". A parent that is null counts as missing. What is new is written in block
// style with the indentation of the map around it, and in flow or JSON style
// below a parent of that style. Strings are quoted where YAML 1.1 would read
// something else, and a string that replaces a quoted one keeps its quotes.
//
// Comments that stand directly above a key or item, in its column and without
// a blank line between, belong to it and are removed with it, and so are
// comments directly below that are indented deeper. All others stay. The
// comment at the top of a document belongs to the document. A map or list that
// loses its last entry becomes {} or [].
//
// # What is refused
//
// A value that an alias repeats, or that a merge key brings, because the change
// would show in other places: see [ErrShared]. A key that a merge key brings
// can be replaced, though: it is written next to the merge key, which it
// overrides. Layouts that the package does not know how to change: see
// [ErrLayout].
//
// Whatever the layout, a result is returned only after it has been read again:
// the changed document must have the value that the operations ask for, computed
// from the old value without regard to its text, and all other documents must
// be what they were. Helm templates are text that is not yet YAML, and are not
// for this package: change the value of the chart instead.
package patch

import (
	"bytes"
	"fmt"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
)

// Apply returns text with ops applied, one after the other as RFC 6902 has it,
// to document doc of the stream, counted from 0 as document.Parse does. Parents
// that an add lacks are made. With an error, which is a *Refusal, it returns text
// as it was.
func Apply(text []byte, doc int, ops []seawall.PatchOp) ([]byte, error) {
	s := newStream(text)
	if err := s.edit(doc, ops); err != nil {
		return text, err
	}
	return s.join()
}

// stream is a text with the new texts of some of its documents.
type stream struct {
	text   []byte
	docs   []document.Doc
	edited map[int]*editor
}

func newStream(text []byte) *stream {
	return &stream{
		text:   text,
		docs:   document.Parse(text, document.Limits{}),
		edited: map[int]*editor{},
	}
}

// edit applies ops to one document, all or none of them.
func (s *stream) edit(doc int, ops []seawall.PatchOp) error {
	e, err := s.open(doc)
	if err != nil {
		return &Refusal{Doc: doc, Ops: ops, Err: err}
	}
	if r := e.edit(ops); r != nil {
		r.Doc = doc
		return r
	}
	s.edited[doc] = e
	return nil
}

// open returns an editor of a document.
func (s *stream) open(doc int) (*editor, error) {
	if doc < 0 || doc >= len(s.docs) {
		return nil, fmt.Errorf("%w: the text has %d documents", ErrPath, len(s.docs))
	}
	d := &s.docs[doc]
	if d.Err != nil {
		return nil, fmt.Errorf("%w: it cannot be read: %w", ErrLayout, d.Err)
	}
	if d.Root == nil {
		return nil, fmt.Errorf("%w: the document is empty", ErrPath)
	}
	return &editor{text: d.Text, start: d.Start, value: d.Root.Value(), newline: newlineOf(d.Text, s.text)}, nil
}

// newlineOf returns the line ending of a document, that of the file where the
// document is a single line.
func newlineOf(doc, file []byte) string {
	for _, text := range [][]byte{doc, file} {
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			if i > 0 && text[i-1] == '\r' {
				return "\r\n"
			}
			return "\n"
		}
	}
	return "\n"
}

// join puts the stream together again and verifies the whole of it.
func (s *stream) join() ([]byte, error) {
	var out []byte
	last := 0
	for i := range s.docs {
		e := s.edited[i]
		if e == nil {
			continue
		}
		from, err := offsetIn(s.text, s.docs[i].Text)
		if err != nil {
			return s.text, &Refusal{Doc: i, Err: err}
		}
		out = append(append(out, s.text[last:from]...), e.text...)
		last = from + len(s.docs[i].Text)
	}
	out = append(out, s.text[last:]...)
	if err := s.verify(out); err != nil {
		return s.text, err
	}
	return out, nil
}

// offsetIn returns where part begins in text, of which it is a slice.
func offsetIn(text, part []byte) (int, error) {
	from := cap(text) - cap(part)
	if len(part) == 0 || from < 0 || from+len(part) > len(text) || &text[from] != &part[0] {
		return 0, fmt.Errorf("%w: the document is not a part of the text", ErrLayout)
	}
	return from, nil
}

// verify reads the new text and compares all documents with what they should
// be.
func (s *stream) verify(out []byte) error {
	after := document.Parse(out, document.Limits{})
	if len(after) != len(s.docs) {
		return &Refusal{Err: fmt.Errorf("%w: the new text has %d documents instead of %d", ErrVerify, len(after), len(s.docs))}
	}
	for i := range after {
		if err := s.verifyDoc(i, &after[i]); err != nil {
			return &Refusal{Doc: i, Line: int(s.docs[i].Start), Err: err}
		}
	}
	return nil
}

func (s *stream) verifyDoc(i int, after *document.Doc) error {
	if e := s.edited[i]; e != nil {
		return e.compare(after)
	}
	before := &s.docs[i]
	if !bytes.Equal(before.Text, after.Text) || !document.Equal(before.Root, after.Root) || (before.Err == nil) != (after.Err == nil) {
		return fmt.Errorf("%w: a change elsewhere would change this document", ErrVerify)
	}
	return nil
}

// Node returns what an object is after operations, without regard to any text.
// The result has no positions.
func Node(root *document.Node, ops []seawall.PatchOp) (*document.Node, error) {
	value := root.Value()
	for _, op := range ops {
		var err error
		if value, err = reference(value, op); err != nil {
			return nil, err
		}
	}
	return document.FromValue(value), nil
}
