package document

import (
	"strings"
	"unicode/utf8"
)

// fastParser reads the YAML that manifests are written in: block and flow
// collections, plain, quoted and block scalars, comments. It gives up on
// anything else, and on anything in doubt, so that the library decides; it
// must never read a document differently from the library.
type fastParser struct {
	cursor
	text  string
	ascii bool
	// column is that of the token at i once nextLine has found one, counted
	// from 0; -1 at the end of the text.
	column int
	// comments is set if nextLine passed a comment.
	comments bool
	gaveUp   bool
	depth    int // of the limits
	left     int
	build    *builder
}

// cursor is the part of a fastParser that changes when it looks ahead.
type cursor struct {
	i         int
	line      int32
	lineStart int // offset of the current line
	// wide counts the bytes between lineStart and wideEnd that continue a code
	// point.
	wide, wideEnd int
}

// readFast reads a document and reports false if it needs the library.
func (r *reader) readFast(p piece) (*Node, bool) {
	if p.directives || p.inline {
		return nil, false
	}
	ascii, ok := onlyText(p.text)
	if !ok {
		return nil, false
	}
	f := fastParser{
		cursor: cursor{line: p.line},
		text:   view(p.text),
		ascii:  ascii,
		depth:  r.limits.Depth,
		left:   r.left,
		build:  &r.build,
	}
	r.build.reset(p.text)
	f.nextLine()
	if f.column < 0 {
		return nil, !f.gaveUp
	}
	root := f.block(-1, 0)
	if f.column >= 0 || f.gaveUp {
		return nil, false
	}
	r.left = f.left
	return root, true
}

// onlyText says whether a text has only characters that YAML allows
// unescaped, \n as its only line break, and whether it is ASCII.
func onlyText(text []byte) (ascii, ok bool) {
	ascii = true
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c < 0x7f || c == '\n' || c == '\t' {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			return false, false
		}
		ascii = false
		r, size := utf8.DecodeRune(text[i:])
		if !isPrintable(r, size) {
			return false, false
		}
		i += size
	}
	return ascii, true
}

// isPrintable is false for what YAML forbids, takes for a line break, or
// ignores.
func isPrintable(r rune, size int) bool {
	switch {
	case r == utf8.RuneError && size == 1, r < 0xa0:
		return false
	case r == 0x2028, r == 0x2029, r == 0xfeff, r == 0xfffe, r == 0xffff:
		return false
	}
	return true
}

// giveUp ends the parse: nothing is left to read, so that all loops end.
func (p *fastParser) giveUp() {
	p.gaveUp = true
	p.i, p.column = len(p.text), -1
}

// pos returns the position of the offset at, which is on the current line.
func (p *fastParser) pos(at int) Pos {
	column := at - p.lineStart + 1
	if !p.ascii {
		column -= p.wideBefore(at)
	}
	return Pos{Line: p.line, Column: int32(column)} //nolint:gosec // bounded by Limits.Bytes
}

func (p *fastParser) wideBefore(at int) int {
	if p.wideEnd < p.lineStart || p.wideEnd > at {
		p.wide, p.wideEnd = 0, p.lineStart
	}
	for ; p.wideEnd < at; p.wideEnd++ {
		if !utf8.RuneStart(p.text[p.wideEnd]) {
			p.wide++
		}
	}
	return p.wide
}

// node returns a node at pos, a null until it is set.
func (p *fastParser) node(pos Pos) *Node {
	if p.left--; p.left < 0 {
		p.giveUp()
	}
	n := p.build.node()
	n.Pos = pos
	return n
}

// at returns the byte at offset i; a line break at the end of the text, as
// YAML treats both alike.
func (p *fastParser) at(i int) byte {
	if i < len(p.text) {
		return p.text[i]
	}
	return '\n'
}

func isBlankOrBreak(c byte) bool { return c == ' ' || c == '\n' || c == '\t' }

// isDash says whether a list item begins at i.
func (p *fastParser) isDash() bool {
	return p.at(p.i) == '-' && isBlankOrBreak(p.at(p.i+1))
}

func (p *fastParser) spaces() {
	for p.i < len(p.text) && p.text[p.i] == ' ' {
		p.i++
	}
}

// lineBreak moves past the line break at i.
func (p *fastParser) lineBreak() {
	p.i++
	p.line++
	p.lineStart = p.i
}

// atLineEnd skips spaces and says whether nothing but a comment is left on the
// line.
func (p *fastParser) atLineEnd() bool {
	p.spaces()
	if p.i >= len(p.text) || p.text[p.i] == '\n' {
		return true
	}
	return p.text[p.i] == '#' && p.i > 0 && p.text[p.i-1] == ' '
}

// endLine moves to the first token of the lines below. It gives up if
// something else than a comment is left on this line.
func (p *fastParser) endLine() {
	if p.gaveUp || !p.atLineEnd() {
		p.giveUp()
		return
	}
	comment := p.at(p.i) == '#'
	p.skipComment()
	if p.i < len(p.text) {
		p.lineBreak()
	}
	p.nextLine()
	p.comments = p.comments || comment
}

func (p *fastParser) skipComment() {
	if n := strings.IndexByte(p.text[p.i:], '\n'); n >= 0 {
		p.i += n
	} else {
		p.i = len(p.text)
	}
}

// nextLine moves from the start of a line to the first token at or below it.
func (p *fastParser) nextLine() {
	p.comments = false
	for {
		p.spaces()
		if p.i >= len(p.text) {
			p.column = -1
			return
		}
		switch p.text[p.i] {
		case '#':
			p.comments = true
			p.skipComment()
			if p.i < len(p.text) {
				p.lineBreak()
			}
		case '\n':
			p.lineBreak()
		case '\t':
			p.giveUp()
			return
		default:
			p.column = p.i - p.lineStart
			return
		}
	}
}

// block reads the value at i, which may be a block collection. Lines that
// belong to it are indented deeper than the column parent. Afterwards the
// parser is at the next token in the lines below.
func (p *fastParser) block(parent, depth int) *Node {
	if p.isDash() {
		return p.list(p.column, depth)
	}
	if f, ok := p.key(); ok {
		return p.mapping(f, p.column, depth)
	}
	return p.inline(parent, depth)
}

// list reads a block list whose dashes stand in the given column.
func (p *fastParser) list(column, depth int) *Node {
	n := p.node(p.pos(p.i))
	if depth >= p.depth {
		p.giveUp()
		return n
	}
	mark := p.build.beginList()
	for {
		p.i++
		end := p.i
		if p.atLineEnd() {
			p.build.item(p.below(column, depth, p.pos(end)))
		} else {
			p.column = p.i - p.lineStart
			p.build.item(p.block(column, depth+1))
		}
		if p.column != column || !p.isDash() {
			break
		}
	}
	if p.column > column {
		p.giveUp()
	}
	n.setList(p.build.endList(mark))
	return n
}

// below reads the value of a dash or a key that has none on its own line. It
// is null, and stands at empty, if no deeper line follows.
func (p *fastParser) below(column, depth int, empty Pos) *Node {
	p.endLine()
	if p.column > column {
		return p.block(column, depth+1)
	}
	return p.node(empty)
}

// mapping reads a block map whose keys stand in the given column, from behind
// the colon of its first key.
func (p *fastParser) mapping(f Field, column, depth int) *Node {
	n := p.node(f.Pos)
	if depth >= p.depth {
		p.giveUp()
		return n
	}
	mark := p.build.beginMap()
	for ok := true; ok; {
		f.Value = p.mapValue(column, depth)
		p.build.field(f)
		if p.column != column {
			break
		}
		f, ok = p.key()
		if !ok {
			p.giveUp()
		}
	}
	if p.column > column {
		p.giveUp()
	}
	p.endMap(n, mark)
	return n
}

// endMap gives a map its fields. The library words the error about a key that
// occurs twice.
func (p *fastParser) endMap(n *Node, mark int) {
	fields, again, _ := p.build.endMap(mark)
	if again != nil {
		p.giveUp()
	}
	n.setMap(fields)
}

// mapValue reads the value behind the colon of a key.
func (p *fastParser) mapValue(column, depth int) *Node {
	end := p.i
	if !p.atLineEnd() {
		return p.inline(column, depth+1)
	}
	empty := p.pos(end)
	p.endLine()
	switch {
	case p.column > column:
		return p.block(column, depth+1)
	case p.column == column && p.isDash():
		// A list may stand in the column of its key.
		return p.list(column, depth+1)
	}
	return p.node(empty)
}

// maxKey keeps away from the limit of 1,024 characters that the library has
// for a key on one line.
const maxKey = 1000

// key reads a key and its colon. If there is none at i it reports false and
// does not move.
func (p *fastParser) key() (Field, bool) {
	before := p.cursor
	f := Field{Pos: p.pos(p.i)}
	c := p.at(p.i)
	if c == '"' || c == '\'' {
		f.Key = p.quoted()
		p.spaces()
	} else {
		end := p.plainEnd()
		if p.at(end) != ':' || !startsPlain(c, p.at(p.i+1)) || !p.plainKey(strings.TrimRight(p.text[p.i:end], " "), &f) {
			return f, false
		}
		p.i = end
	}
	if p.line != before.line || p.i-before.i > maxKey || p.at(p.i) != ':' || !isBlankOrBreak(p.at(p.i+1)) {
		if !p.gaveUp {
			p.cursor = before
		}
		return f, false
	}
	p.i++
	return f, true
}

// plainKey gives a field the JSON form of an unquoted key. It reports false
// for null and for a merge.
func (p *fastParser) plainKey(text string, f *Field) bool {
	if text == "<<" {
		return false
	}
	var ok bool
	f.Key, ok = keyText(resolvePlain(text))
	return ok
}

// startsPlain says whether a plain scalar may begin with c.
func startsPlain(c, next byte) bool {
	switch c {
	case '-':
		return !isBlankOrBreak(next)
	case '?', ':', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`', ' ', '\n', '\t':
		return false
	}
	return true
}

// plainStop marks the bytes at which plainEnd looks twice.
var plainStop = [256]bool{':': true, '#': true, '\n': true, '\t': true}

// plainEnd returns where the plain scalar at i ends on this line: at a line
// break, at the space before a comment, or at a colon that makes it a key.
func (p *fastParser) plainEnd() int {
	text := p.text
	for i := p.i; i < len(text); i++ {
		if !plainStop[text[i]] {
			continue
		}
		switch text[i] {
		case '\n', '\t':
			return i
		case ':':
			if isBlankOrBreak(p.at(i + 1)) {
				return i
			}
		case '#':
			if i > 0 && text[i-1] == ' ' {
				return i
			}
		}
	}
	return len(text)
}

// inline reads a value that is no block collection.
func (p *fastParser) inline(parent, depth int) *Node {
	switch c := p.at(p.i); {
	case c == '"', c == '\'':
		n := p.node(p.pos(p.i))
		n.setString(p.quoted())
		p.endLine()
		return n
	case c == '[', c == '{':
		n := p.flow(depth)
		p.endLine()
		return n
	case c == '|', c == '>':
		return p.blockScalar(parent)
	case startsPlain(c, p.at(p.i+1)):
		return p.plain(parent)
	}
	p.giveUp()
	return nil
}

// plain reads a plain scalar that may go on in the lines below.
func (p *fastParser) plain(parent int) *Node {
	n := p.node(p.pos(p.i))
	line := p.line
	text := p.plainLine()
	if p.continues(parent) {
		text = p.plainLines(text, line, parent)
	}
	s := resolvePlain(text).asJSON()
	if !s.finite() {
		p.giveUp()
	}
	n.setScalar(s)
	return n
}

// continues says whether the token in the lines below belongs to the plain
// scalar just read. A comment ends the scalar.
func (p *fastParser) continues(parent int) bool {
	return p.column > parent && !p.comments && !p.gaveUp
}

// plainLine reads one line of a plain scalar and moves to the next token.
func (p *fastParser) plainLine() string {
	end := p.plainEnd()
	text := strings.TrimRight(p.text[p.i:end], " ")
	p.i = end
	if c := p.at(end); c == ':' || c == '\t' {
		p.giveUp()
		return ""
	}
	p.endLine()
	return text
}

// plainLines joins the first line of a plain scalar, which is the line above,
// with those that follow.
func (p *fastParser) plainLines(first string, above int32, parent int) string {
	out := append(make([]byte, 0, 2*len(first)+64), first...)
	for p.continues(parent) {
		out = appendBreaks(out, int(p.line-above))
		above = p.line
		out = append(out, p.plainLine()...)
	}
	return view(out)
}

// appendBreaks folds line breaks: one is a space, more are all but one.
func appendBreaks(out []byte, n int) []byte {
	if n == 1 {
		return append(out, ' ')
	}
	for range n - 1 {
		out = append(out, '\n')
	}
	return out
}
