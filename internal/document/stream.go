package document

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Doc is one document of a stream.
type Doc struct {
	// Root is nil for an empty document and for one with Err.
	Root *Node
	// Start is the line of the file, counted from 1, on which Text begins.
	Start int32
	// Text is the part of the input that holds the document, without the line
	// of its --- unless the document begins on that line. It is not a copy.
	Text []byte
	// Err says why this document could not be read. The other documents of the
	// stream are read all the same.
	Err *Error
}

// Error says why, and where, a text could not be read. Line and Column count
// from 1 in the whole file; 0 is unknown.
type Error struct {
	Line, Column int
	Msg          string
}

// Error returns "line 3: what is wrong".
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Msg
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Msg)
}

// Limits bound what reading one text may cost. A zero field stands for its
// default.
type Limits struct {
	// Bytes is the largest text that is read at all: 32 MiB by default.
	Bytes int64
	// Depth is how deep lists and maps may nest: 256 by default.
	Depth int
	// Nodes is how many values all documents of the text may have together,
	// 2,000,000 by default. A value reached through an alias counts every time.
	Nodes int
}

const (
	defaultBytes = 32 << 20
	defaultDepth = 256
	defaultNodes = 2_000_000
)

func (l Limits) orDefault() Limits {
	if l.Bytes <= 0 {
		l.Bytes = defaultBytes
	}
	if l.Depth <= 0 {
		l.Depth = defaultDepth
	}
	if l.Nodes <= 0 {
		l.Nodes = defaultNodes
	}
	return l
}

func (l Limits) tooLarge(text []byte) *Error {
	if int64(len(text)) <= l.Bytes {
		return nil
	}
	return &Error{Msg: fmt.Sprintf("the text has %d bytes, the limit is %d: split it into smaller files", len(text), l.Bytes)}
}

func tooManyNodes(limit int) string {
	return fmt.Sprintf("more than %d values, counting each use of an alias: split the file", limit)
}

func tooDeep(limit int) string {
	return fmt.Sprintf("lists and maps nest deeper than %d levels", limit)
}

// Parse reads a YAML stream, or JSON values one after the other, the way the
// Kubernetes tool chain does. Lines are those of the whole text, columns count
// code points as editors do. The nodes keep text alive and must not see it
// change.
//
// A document whose first character is { or [ is read as JSON; if it is not
// JSON, YAML decides.
func Parse(text []byte, l Limits) []Doc {
	l = l.orDefault()
	if err := l.tooLarge(text); err != nil {
		return []Doc{{Start: 1, Err: err}}
	}
	if err := utf16Mark(text); err != nil {
		return []Doc{{Start: 1, Text: text, Err: err}}
	}
	r := reader{limits: l, left: l.Nodes}
	s := splitter{text: text, line: 1, dashes: -1, dots: -1}
	s.skipByteOrderMark()
	for {
		p, ok := s.next()
		if !ok || r.left < 0 {
			return r.docs
		}
		r.read(p)
	}
}

// utf16Mark refuses UTF-16, which YAML allows but no Kubernetes tool splits
// into documents.
func utf16Mark(text []byte) *Error {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return &Error{Line: 1, Column: 1, Msg: "the text is UTF-16: save it as UTF-8"}
	}
	return nil
}

// reader reads the pieces of one stream.
type reader struct {
	limits Limits
	left   int // what remains of limits.Nodes
	docs   []Doc
	build  builder
}

// read appends the documents of one piece: one, or several if it is made of
// JSON values.
func (r *reader) read(p piece) {
	doc := Doc{Start: p.bodyLine, Text: p.body}
	r.left-- // an empty document costs as much as a value
	switch {
	case r.left < 0:
		doc.Err = &Error{Line: int(p.line), Msg: tooManyNodes(r.limits.Nodes)}
	case p.err != nil:
		doc.Err = p.err
	case isBlank(p.body) && !p.directives:
	default:
		if r.readJSON(p) {
			return
		}
		doc.Root, doc.Err = r.readYAML(p)
	}
	r.docs = append(r.docs, doc)
}

func (r *reader) readYAML(p piece) (*Node, *Error) {
	if root, ok := r.readFast(p); ok {
		return root, nil
	}
	if err := badEncoding(p.text, p.line); err != nil {
		return nil, err
	}
	return r.readLibrary(p)
}

// readJSON reads a piece that is JSON, and reports false, having done nothing,
// if it is not.
func (r *reader) readJSON(p piece) bool {
	if p.directives || !startsJSON(p.body) {
		return false
	}
	return r.jsonDocs(p)
}

// badEncoding tells of the first byte that no text file has.
func badEncoding(text []byte, line int32) *Error {
	zero := bytes.IndexByte(text, 0)
	if zero < 0 && utf8.Valid(text) {
		return nil
	}
	at, msg := zero, "a NUL byte: this is not a text file"
	if bad := invalidUTF8(text); bad >= 0 && (zero < 0 || bad < zero) {
		at, msg = bad, "invalid UTF-8: save the file as UTF-8"
	}
	pos := position(text, at, line)
	return &Error{Line: int(pos.Line), Column: int(pos.Column), Msg: msg}
}

func invalidUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// position returns where text[at] stands if text begins on the given line.
func position(text []byte, at int, line int32) Pos {
	before := text[:at]
	start := bytes.LastIndexByte(before, '\n') + 1
	return Pos{
		Line:   line + count(before, '\n'),
		Column: int32(utf8.RuneCount(before[start:])) + 1, //nolint:gosec // bounded by Limits.Bytes
	}
}

func count(text []byte, c byte) int32 {
	return int32(bytes.Count(text, []byte{c})) //nolint:gosec // bounded by Limits.Bytes
}

// piece is the part of a stream that holds one YAML document.
type piece struct {
	// text is all that a YAML parser must see: directives, and the line of the
	// --- if the document begins there. line is its first line.
	text []byte
	line int32
	// body is text without directives and a --- line of its own.
	body     []byte
	bodyLine int32
	// directives is set if text has lines such as %YAML 1.1.
	directives bool
	// inline is set if the document begins on the line of its ---.
	inline bool
	err    *Error
}

// splitter cuts a stream at its --- and ... lines. These count wherever they
// stand at the start of a line, block scalars and quotes notwithstanding, so
// no parsing is needed. Only \n ends a line here, as in kubectl.
type splitter struct {
	text []byte
	pos  int
	line int32 // of pos
	// dashes and dots are the offsets of the next --- and ... line; -1 when not
	// yet looked for, len(text) when there is none.
	dashes, dots int
	// ended is set after a ... line, where only a --- may begin a document.
	ended bool
}

func (s *splitter) skipByteOrderMark() {
	if bytes.HasPrefix(s.text, []byte("\xef\xbb\xbf")) {
		s.pos = 3
	}
}

// next returns the next piece. Blank text outside of documents is none.
func (s *splitter) next() (piece, bool) {
	for s.pos < len(s.text) {
		start, line := s.pos, s.line
		marker := s.marker(start)
		prologue := s.text[start:marker]
		switch directives, content := inspectPrologue(prologue); {
		case content && s.ended:
			s.moveTo(marker)
			return piece{body: prologue, bodyLine: line, err: &Error{
				Line: int(line), Msg: "text after a ... line needs a --- line before it",
			}}, true
		case content:
			s.moveTo(marker)
			return piece{text: prologue, line: line, body: prologue, bodyLine: line, directives: directives}, true
		case marker == len(s.text) || s.text[marker] == '.':
			s.moveTo(marker)
			s.skipMarker()
			if directives {
				return piece{body: prologue, bodyLine: line, err: &Error{
					Line: int(line), Msg: "a % directive needs a --- line after it",
				}}, true
			}
		default:
			return s.explicit(start, line, marker, directives), true
		}
	}
	return piece{}, false
}

// explicit returns the document that the --- at marker begins. Its directives
// start at from, if it has any.
func (s *splitter) explicit(from int, line int32, marker int, directives bool) piece {
	s.moveTo(marker)
	p := piece{line: line, bodyLine: s.line, directives: directives}
	if !directives {
		from, p.line = marker, s.line
	}
	body := marker
	rest := s.text[marker+3 : s.lineEnd(marker)]
	s.skipMarker()
	if isBlank(rest) {
		body, p.bodyLine = s.pos, s.line
		if !directives {
			from, p.line = body, s.line
		}
	} else {
		p.inline = true
	}
	end := len(s.text)
	if s.pos < len(s.text) {
		end = s.marker(s.pos)
	}
	s.moveTo(end)
	if end < len(s.text) && s.text[end] == '.' {
		s.skipMarker()
		s.ended = true
	} else {
		s.ended = false
	}
	p.text, p.body = s.text[from:end], s.text[body:end]
	return p
}

func (s *splitter) moveTo(pos int) {
	s.line += count(s.text[s.pos:pos], '\n')
	s.pos = pos
}

// skipMarker moves past the line at pos, if there is one.
func (s *splitter) skipMarker() {
	if s.pos == len(s.text) {
		return
	}
	s.ended = s.text[s.pos] == '.'
	end := s.lineEnd(s.pos)
	if end < len(s.text) {
		end++
	}
	s.moveTo(end)
}

func (s *splitter) lineEnd(pos int) int {
	if n := bytes.IndexByte(s.text[pos:], '\n'); n >= 0 {
		return pos + n
	}
	return len(s.text)
}

// marker returns the offset of the first --- or ... line at or after pos,
// which is the start of a line.
func (s *splitter) marker(pos int) int {
	if s.dashes < pos {
		s.dashes = nextMarker(s.text, pos, "\n---")
	}
	if s.dots < pos {
		s.dots = nextMarker(s.text, pos, "\n...")
	}
	return min(s.dashes, s.dots)
}

func nextMarker(text []byte, pos int, marker string) int {
	if isMarker(text[pos:], marker[1:]) {
		return pos
	}
	for {
		n := bytes.Index(text[pos:], []byte(marker))
		if n < 0 {
			return len(text)
		}
		pos += n + 1
		if isMarker(text[pos:], marker[1:]) {
			return pos
		}
	}
}

func isMarker(line []byte, marker string) bool {
	if len(line) < 3 || string(line[:3]) != marker {
		return false
	}
	if len(line) == 3 {
		return true
	}
	switch line[3] {
	case ' ', '\t', '\r', '\n':
		return true
	}
	return false
}

// inspectPrologue looks at what stands before a --- line: whether there are
// directives, and whether there is anything but directives and comments.
func inspectPrologue(text []byte) (directives, content bool) {
	for len(text) > 0 {
		line := text
		if n := bytes.IndexByte(text, '\n'); n >= 0 {
			line, text = text[:n], text[n+1:]
		} else {
			text = nil
		}
		switch {
		case len(line) > 0 && line[0] == '%':
			directives = true
		case !isBlankLine(line):
			return directives, true
		}
	}
	return directives, false
}

// isBlank says whether text has nothing but white space and comments.
func isBlank(text []byte) bool {
	directives, content := inspectPrologue(text)
	return !directives && !content
}

func isBlankLine(line []byte) bool {
	for _, c := range line {
		switch c {
		case ' ', '\t', '\r':
		case '#':
			return true
		default:
			return false
		}
	}
	return true
}
