package document

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// ParseJSON reads one JSON value. Unlike encoding/json it refuses keys that
// occur twice and invalid UTF-8. The nodes keep text alive and must not see it
// change.
func ParseJSON(text []byte, l Limits) (*Node, error) {
	l = l.orDefault()
	if err := l.tooLarge(text); err != nil {
		return nil, err
	}
	return newJSONParser(text, 1, l, l.Nodes).whole()
}

// whole reads a text that is one value.
func (p *jsonParser) whole() (*Node, error) {
	root := p.value(0)
	p.space()
	if p.err == nil && p.i < len(p.text) {
		p.fail("unexpected text after the JSON value")
	}
	if p.err != nil {
		return nil, p.err
	}
	return root, nil
}

// startsJSON says whether the first character of a document is { or [.
func startsJSON(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && (text[0] == '{' || text[0] == '[')
}

// jsonDocs appends the JSON values of which a piece is made, one document for
// each. It reports false, and appends nothing, if YAML should decide.
func (r *reader) jsonDocs(piece piece) bool {
	p := newJSONParser(piece.body, piece.bodyLine, r.limits, r.left)
	var docs []Doc
	for len(docs) == 0 || startsJSON(p.text[p.i:]) {
		start, line := p.i, p.line
		root := p.value(0)
		doc := Doc{Root: root, Start: line, Text: p.text[start:p.i]}
		if p.err != nil {
			if len(docs) == 0 && !p.refused {
				return false
			}
			doc.Root, doc.Text, doc.Err = nil, p.text[start:], p.err
			r.docs = append(append(r.docs, docs...), doc)
			return true
		}
		docs = append(docs, doc)
	}
	p.space()
	if p.i < len(p.text) {
		return false
	}
	r.docs = append(r.docs, docs...)
	r.left = p.left
	return true
}

// jsonParser reads JSON values by recursive descent. After an error its
// methods return at once.
type jsonParser struct {
	text      []byte
	i         int
	line      int32
	lineStart int // offset of the current line
	wide      int // bytes of the current line that continue a code point
	limits    Limits
	left      int
	build     builder
	shared    *SharedReader // nil where each value is to have its place
	err       *Error
	// refused is set if text is JSON, but beyond a limit or ambiguous, so that
	// reading it as YAML would not help.
	refused bool
}

func newJSONParser(text []byte, line int32, l Limits, left int) *jsonParser {
	p := &jsonParser{text: text, line: line, limits: l, left: left}
	p.build.expect(len(text)/16, 0)
	return p
}

func (p *jsonParser) fail(format string, args ...any) {
	if p.err == nil {
		pos := p.pos()
		p.err = &Error{Line: int(pos.Line), Column: int(pos.Column), Msg: fmt.Sprintf(format, args...)}
	}
}

func (p *jsonParser) refuse(format string, args ...any) {
	p.fail(format, args...)
	p.refused = true
}

// unexpected fails at the current character.
func (p *jsonParser) unexpected(want string) {
	if p.i >= len(p.text) {
		p.fail("the JSON text ends where %s is expected", want)
		return
	}
	r, _ := utf8.DecodeRune(p.text[p.i:])
	p.fail("invalid JSON: %q where %s is expected", r, want)
}

func (p *jsonParser) pos() Pos {
	return Pos{Line: p.line, Column: int32(p.i - p.lineStart - p.wide + 1)} //nolint:gosec // bounded by Limits.Bytes
}

func (p *jsonParser) space() {
	for ; p.i < len(p.text); p.i++ {
		switch p.text[p.i] {
		case ' ', '\t', '\r':
		case '\n':
			p.line++
			p.lineStart, p.wide = p.i+1, 0
		default:
			return
		}
	}
}

// peek skips white space and returns the next character, 0 at the end.
func (p *jsonParser) peek() byte {
	p.space()
	if p.i < len(p.text) {
		return p.text[p.i]
	}
	return 0
}

// node returns a node at the current character, a null until it is set; nil
// beyond the limit.
func (p *jsonParser) node() *Node {
	if p.left--; p.left < 0 {
		p.refuse("%s", tooManyNodes(p.limits.Nodes))
		return nil
	}
	n := p.build.node()
	n.Pos = p.pos()
	return n
}

// value reads one value that stands below depth lists and maps; nil after an
// error.
func (p *jsonParser) value(depth int) *Node {
	c := p.peek()
	var n *Node
	switch {
	case c == '{' || c == '[':
		n = p.collection(c, depth)
	case c == '"':
		if n = p.node(); n != nil {
			text := p.str()
			if p.shared != nil {
				text = strings.Clone(text)
			}
			n.setString(text)
		}
	case c == '-' || c >= '0' && c <= '9':
		n = p.number()
	case c == 't':
		n = p.word("true", boolScalar(true))
	case c == 'f':
		n = p.word("false", boolScalar(false))
	case c == 'n':
		n = p.word("null", scalar{kind: Null})
	default:
		p.unexpected("a value")
	}
	if p.err != nil {
		return nil
	}
	return n
}

func (p *jsonParser) word(word string, value scalar) *Node {
	n := p.node()
	if n == nil {
		return nil
	}
	if !bytes.HasPrefix(p.text[p.i:], []byte(word)) {
		p.unexpected("a value")
		return nil
	}
	p.i += len(word)
	n.setScalar(value)
	return n
}

func (p *jsonParser) collection(open byte, depth int) *Node {
	if depth >= p.limits.Depth {
		p.refuse("%s", tooDeep(p.limits.Depth))
		return nil
	}
	same, sum := p.known(depth)
	if same != nil {
		return same
	}
	left, wide := p.left, p.wide
	n := p.node()
	if n == nil {
		return nil
	}
	p.i++
	if open == '{' {
		p.object(n, depth+1)
	} else {
		p.array(n, depth+1)
	}
	if p.err == nil && sum != [2]uint64{} {
		p.shared.shared.keep(sum, sharedValue{n, left - p.left, p.wide - wide})
	}
	return n
}

func (p *jsonParser) array(n *Node, depth int) {
	mark := p.build.beginList()
	if p.peek() == ']' {
		p.i++
		n.setList(p.build.endList(mark))
		return
	}
	for {
		item := p.value(depth)
		if p.err != nil {
			return
		}
		p.build.item(item)
		if !p.more(']') {
			break
		}
	}
	n.setList(p.build.endList(mark))
}

func (p *jsonParser) object(n *Node, depth int) {
	mark := p.build.beginMap()
	if p.peek() == '}' {
		p.i++
		fields, _, _ := p.build.endMap(mark)
		n.setMap(fields)
		return
	}
	for {
		f, ok := p.field(depth)
		if !ok {
			return
		}
		p.build.field(f)
		if !p.more('}') {
			break
		}
	}
	if p.err != nil {
		return
	}
	fields, again, first := p.build.endMap(mark)
	if again != nil {
		p.err, p.refused = duplicateKey(*again, *first), true
	}
	n.setMap(fields)
}

func (p *jsonParser) field(depth int) (f Field, ok bool) {
	if p.peek() != '"' {
		p.unexpected("a key in double quotes")
		return f, false
	}
	f.Pos = p.pos()
	f.Key = p.str()
	if p.shared != nil {
		f.Key = p.shared.key(f.Key)
	}
	if p.err == nil && p.peek() != ':' {
		p.unexpected("a colon")
	}
	if p.err != nil {
		return f, false
	}
	p.i++
	f.Value = p.value(depth)
	return f, p.err == nil
}

// more reads the comma or the bracket after an element, and says whether
// another element follows.
func (p *jsonParser) more(closing byte) bool {
	switch p.peek() {
	case ',':
		p.i++
		return true
	case closing:
		p.i++
	default:
		p.unexpected("a comma or " + string(rune(closing)))
	}
	return false
}

func (p *jsonParser) number() *Node {
	n := p.node()
	if n == nil {
		return nil
	}
	start := p.i
	isInt, ok := p.scanNumber()
	if !ok {
		p.unexpected("a digit")
		return nil
	}
	text := view(p.text[start:p.i])
	if isInt {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			n.setScalar(intScalar(i))
			return n
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		p.fail("the number %s is too large", text)
		return nil
	}
	n.setScalar(floatScalar(f))
	return n
}

// scanNumber moves past -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)? and says
// whether it is an integer.
func (p *jsonParser) scanNumber() (isInt, ok bool) {
	if p.at('-') {
		p.i++
	}
	if p.at('0') {
		p.i++
	} else if !p.digits() {
		return false, false
	}
	isInt = true
	if p.at('.') {
		isInt = false
		p.i++
		if !p.digits() {
			return false, false
		}
	}
	if p.at('e') || p.at('E') {
		isInt = false
		p.i++
		if p.at('-') || p.at('+') {
			p.i++
		}
		if !p.digits() {
			return false, false
		}
	}
	return isInt, true
}

func (p *jsonParser) at(c byte) bool { return p.i < len(p.text) && p.text[p.i] == c }

func (p *jsonParser) digits() bool {
	start := p.i
	for p.i < len(p.text) && p.text[p.i] >= '0' && p.text[p.i] <= '9' {
		p.i++
	}
	return p.i > start
}

// str reads the string at the current quote. Without escapes it is a part of
// the text, not a copy.
func (p *jsonParser) str() string {
	p.i++
	start := p.i
	for p.i < len(p.text) {
		switch c := p.text[p.i]; {
		case c == '"':
			s := view(p.text[start:p.i])
			p.i++
			return s
		case c == '\\':
			return p.escaped(start)
		case c < ' ':
			p.unexpected("a character that needs no escape")
			return ""
		case c < utf8.RuneSelf:
			p.i++
		default:
			if !p.rune() {
				return ""
			}
		}
	}
	p.unexpected("a closing quote")
	return ""
}

// rune moves past a code point of several bytes.
func (p *jsonParser) rune() bool {
	r, size := utf8.DecodeRune(p.text[p.i:])
	if r == utf8.RuneError && size == 1 {
		p.fail("invalid UTF-8")
		return false
	}
	p.i += size
	p.wide += size - 1
	return true
}

// escaped reads the rest of a string that begins at start and has its first
// backslash at the current character.
func (p *jsonParser) escaped(start int) string {
	out := append(make([]byte, 0, 2*(p.i-start)+16), p.text[start:p.i]...)
	for p.i < len(p.text) {
		switch c := p.text[p.i]; {
		case c == '"':
			p.i++
			return view(out)
		case c == '\\':
			r, ok := p.escape()
			if !ok {
				p.fail("invalid escape in a JSON string")
				return ""
			}
			out = utf8.AppendRune(out, r)
		case c < ' ':
			p.unexpected("a character that needs no escape")
			return ""
		case c < utf8.RuneSelf:
			out = append(out, c)
			p.i++
		default:
			from := p.i
			if !p.rune() {
				return ""
			}
			out = append(out, p.text[from:p.i]...)
		}
	}
	p.unexpected("a closing quote")
	return ""
}

// escape reads one escape sequence. Half a surrogate pair becomes U+FFFD, as
// in encoding/json.
func (p *jsonParser) escape() (rune, bool) {
	if p.i+1 >= len(p.text) {
		return 0, false
	}
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	c := p.text[p.i+1]
	if k := bytes.IndexByte([]byte(from), c); k >= 0 {
		p.i += 2
		return rune(to[k]), true
	}
	r, ok := hex4(p.text[p.i:])
	if !ok {
		return 0, false
	}
	p.i += 6
	if !utf16.IsSurrogate(r) {
		return r, true
	}
	if low, ok := hex4(p.text[p.i:]); ok {
		if r := utf16.DecodeRune(r, low); r != utf8.RuneError {
			p.i += 6
			return r, true
		}
	}
	return utf8.RuneError, true
}

// hex4 reads \u and four hexadecimal digits.
func hex4(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range text[2:6] {
		d, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		r = r<<4 | d
	}
	return r, true
}

func hexDigit(c byte) (rune, bool) {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0'), true
	case c >= 'a' && c <= 'f':
		return rune(c-'a') + 10, true
	case c >= 'A' && c <= 'F':
		return rune(c-'A') + 10, true
	}
	return 0, false
}
