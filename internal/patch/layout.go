package patch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// kind is how a value is written.
type kind uint8

const (
	plain   kind = iota // a scalar without quotes, also one of no characters
	single              // 'quoted'
	double              // "quoted"
	literal             // a block scalar, | or >
	alias               // *name
	mapping
	sequence
)

// node is a value with the bytes that it takes up.
type node struct {
	kind kind
	// flow is set for a map or list in braces or brackets.
	flow bool
	// start is where the value begins, body where it begins after its anchor
	// and tag, and end the offset after its last byte. A value of no characters
	// has body == end.
	start, body, end int
	// header is the end of a block scalar's | or > with its indicators.
	header  int
	entries []entry
	parent  *node
	index   int // among the parent's entries
	// anchor and again are set if an alias repeats the value: the anchor's name
	// and the offset of the first alias.
	anchor string
	again  int
	// odd is set for a map with a key that is written after a question mark.
	odd bool
}

// entry is a key and its value, or an item.
type entry struct {
	key   *node // nil for an item
	name  string
	merge bool // the key is <<
	// mark is the offset of the colon after the key, or of the dash before the
	// item; -1 if there is none, which happens in flow style only.
	mark  int
	value *node
}

// start is where the entry begins: its key, its dash or its value.
func (e *entry) start() int {
	switch {
	case e.key != nil:
		return e.key.start
	case e.mark >= 0:
		return e.mark
	}
	return e.value.start
}

// layout is a document with the places of all its values.
type layout struct {
	text  []byte
	first int   // line of the file on which text begins
	lines []int // offsets of line starts
	root  *node
	json  bool
	// newline is what to end new lines with.
	newline string
	// usual is how the whole document indents, nil until it is asked for.
	usual *census
}

// newLayout reads the text of one document, which begins on the given line of
// its file.
func newLayout(text []byte, first int, newline string) (*layout, error) {
	tree, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLayout, err)
	}
	l := &layout{text: text, first: first, lines: lineStarts(text), newline: newline, json: isJSON(text)}
	b := builder{layout: l, again: map[*yaml.Node]*yaml.Node{}}
	b.findAliases(tree)
	l.root, err = b.build(tree, -1)
	return l, err
}

// decode reads text with the library that knows where values begin.
func decode(text []byte) (tree *yaml.Node, err error) {
	defer func() {
		if v := recover(); v != nil {
			tree, err = nil, fmt.Errorf("yaml: %v", v)
		}
	}()
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(doc.Content) != 1 {
		return nil, errors.New("the document is empty")
	}
	return doc.Content[0], nil
}

// lineStarts finds what the library counts as lines.
func lineStarts(text []byte) []int {
	lines := []int{0}
	for i := 0; i < len(text); {
		n := breakAt(text, i)
		i += max(n, 1)
		if n > 0 {
			lines = append(lines, i)
		}
	}
	return lines
}

// breakAt returns the length of the line break at text[i], 0 if there is none.
func breakAt(text []byte, i int) int {
	switch text[i] {
	case '\n':
		return 1
	case '\r':
		if i+1 < len(text) && text[i+1] == '\n' {
			return 2
		}
		return 1
	case 0xC2:
		if bytes.HasPrefix(text[i:], []byte("\u0085")) {
			return 2
		}
	case 0xE2:
		if bytes.HasPrefix(text[i:], []byte("\u2028")) || bytes.HasPrefix(text[i:], []byte("\u2029")) {
			return 3
		}
	}
	return 0
}

// line returns the index of the line that an offset is on.
func (l *layout) line(p int) int {
	return sort.Search(len(l.lines), func(i int) bool { return l.lines[i] > p }) - 1
}

// fileLine returns the line of the file, counted from 1, that an offset is on.
func (l *layout) fileLine(p int) int { return l.first + l.line(p) }

// lineStart returns where the line of an offset begins.
func (l *layout) lineStart(p int) int { return l.lines[l.line(p)] }

// nextLine returns where the line after that of an offset begins.
func (l *layout) nextLine(p int) int {
	if i := l.line(p) + 1; i < len(l.lines) {
		return l.lines[i]
	}
	return len(l.text)
}

// lineEnd returns the end of an offset's line, without its line break.
func (l *layout) lineEnd(p int) int {
	for p < len(l.text) && breakAt(l.text, p) == 0 {
		p++
	}
	return p
}

// column counts the bytes before an offset on its line.
func (l *layout) column(p int) int { return p - l.lineStart(p) }

// skipBlank returns the first offset from p on that is neither white space nor
// part of a comment.
func (l *layout) skipBlank(p int) int {
	for p < len(l.text) {
		switch c := l.text[p]; {
		case c == ' ' || c == '\t':
			p++
		case c == '#' && (p == 0 || isSpace(l.text[p-1])):
			p = l.lineEnd(p)
		case breakAt(l.text, p) > 0:
			p += breakAt(l.text, p)
		default:
			return p
		}
	}
	return p
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// builder makes nodes of the library's tree, which knows only where values
// begin.
type builder struct {
	*layout
	again map[*yaml.Node]*yaml.Node // first alias of a value
}

func (b *builder) findAliases(n *yaml.Node) {
	if n.Kind == yaml.AliasNode && b.again[n.Alias] == nil {
		b.again[n.Alias] = n
	}
	for _, c := range n.Content {
		b.findAliases(c)
	}
}

func (b *builder) offset(n *yaml.Node) (int, error) {
	if n.Line < 1 || n.Line > len(b.lines) {
		return 0, b.lost(0, "a value")
	}
	p := b.lines[n.Line-1]
	for range n.Column - 1 {
		if p >= len(b.text) {
			return 0, b.lost(p, "a value")
		}
		_, size := utf8.DecodeRune(b.text[p:])
		p += size
	}
	return p, nil
}

// lost tells that the text is not what the library's tree promises.
func (l *layout) lost(p int, what string) error {
	return &located{at: p, err: fmt.Errorf("%w: the end of %s was not found", ErrLayout, what)}
}

// located is an error with an offset in the document.
type located struct {
	at  int
	err error
}

func (e *located) Error() string { return e.err.Error() }
func (e *located) Unwrap() error { return e.err }

// build makes the node of a value that stands in a block collection of the
// given column, -1 for none.
func (b *builder) build(n *yaml.Node, column int) (*node, error) {
	p, err := b.offset(n)
	if err != nil {
		return nil, err
	}
	return b.buildAt(n, p, column)
}

func (b *builder) buildAt(n *yaml.Node, p, column int) (*node, error) {
	out := &node{start: p, body: p}
	if n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		out.body = b.skipProperties(p)
	}
	if a := b.again[n]; a != nil {
		out.anchor = n.Anchor
		out.again, _ = b.offset(a)
	}
	var err error
	if out.body >= len(b.text) && n.Kind != yaml.ScalarNode {
		return nil, b.lost(p, "a value")
	}
	switch n.Kind {
	case yaml.AliasNode:
		out.kind, out.end = alias, out.body+1+len(n.Value)
	case yaml.ScalarNode:
		err = b.scalar(out, n, column)
	case yaml.MappingNode, yaml.SequenceNode:
		err = b.collection(out, n)
	case yaml.DocumentNode:
	default:
		err = b.lost(p, "a value")
	}
	if err == nil && (out.end > len(b.text) || out.end < out.body) {
		err = b.lost(p, "a value")
	}
	return out, err
}

// skipProperties returns the offset after an anchor and a tag at p and the
// blanks that follow them.
func (b *builder) skipProperties(p int) int {
	for p < len(b.text) && (b.text[p] == '&' || b.text[p] == '!') {
		p = b.skipBlank(b.propertyEnd(p))
	}
	return p
}

func (b *builder) propertyEnd(p int) int {
	for p < len(b.text) && !isSpace(b.text[p]) && !strings.ContainsRune(",[]{}", rune(b.text[p])) {
		p++
	}
	return p
}

func (b *builder) scalar(out *node, n *yaml.Node, column int) error {
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		out.kind, out.end = double, b.quoteEnd(out.body, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		out.kind, out.end = single, b.quoteEnd(out.body, '\'')
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		out.kind = literal
		b.blockScalar(out, column)
	case n.Value == "":
		b.noText(out)
	default:
		out.end = b.plainEnd(out.body, n.Value)
	}
	if out.end < 0 {
		return b.lost(out.start, "a string")
	}
	return nil
}

// noText places a value of no characters: after its anchor and tag, if any.
func (b *builder) noText(out *node) {
	end := out.start
	for p := out.start; p < len(b.text) && (b.text[p] == '&' || b.text[p] == '!'); p = b.skipBlank(end) {
		end = b.propertyEnd(p)
	}
	out.body, out.end = end, end
}

// quoteEnd returns the offset after the quoted string at p, -1 if there is
// none.
func (b *builder) quoteEnd(p int, quote byte) int {
	if p >= len(b.text) || b.text[p] != quote {
		return -1
	}
	for p++; p < len(b.text); p++ {
		switch {
		case b.text[p] == '\\' && quote == '"':
			p++
		case b.text[p] != quote:
		case quote == '\'' && p+1 < len(b.text) && b.text[p+1] == quote:
			p++
		default:
			return p + 1
		}
	}
	return -1
}

// plainEnd returns the offset after the unquoted scalar at p, whose line
// breaks the library has folded.
func (b *builder) plainEnd(p int, value string) int {
	words := strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' })
	for i, w := range words {
		for i > 0 && p < len(b.text) {
			n := breakAt(b.text, p)
			if b.text[p] == ' ' || b.text[p] == '\t' {
				n = 1
			}
			if n == 0 {
				break
			}
			p += n
		}
		if !bytes.HasPrefix(b.text[min(p, len(b.text)):], []byte(w)) {
			return -1
		}
		p += len(w)
	}
	return p
}

// blockScalar finds the end of a block scalar inside a block collection of the
// given column: its last line with text or, if it ends with |+, its last blank
// line.
func (b *builder) blockScalar(out *node, column int) {
	p := out.body
	keep, indent := false, -1
	for p < len(b.text) && !isSpace(b.text[p]) {
		switch c := b.text[p]; {
		case c == '+':
			keep = true
		case c >= '1' && c <= '9':
			indent = max(column, 0) + int(c-'0')
		}
		p++
	}
	out.header, out.end = p, p
	for at := b.nextLine(p); at < len(b.text); at = b.nextLine(at) {
		end := b.lineEnd(at)
		text := at + leadingSpaces(b.text[at:end])
		switch {
		case text == end && !keep:
			continue
		case text == end:
		case indent < 0 && text-at <= column:
			return
		case indent < 0:
			indent = text - at
		case text-at < indent:
			return
		}
		out.end = end
	}
}

func leadingSpaces(line []byte) int {
	n := 0
	for n < len(line) && line[n] == ' ' {
		n++
	}
	return n
}

func (b *builder) collection(out *node, n *yaml.Node) error {
	out.kind = sequence
	if n.Kind == yaml.MappingNode {
		out.kind = mapping
	}
	out.flow = n.Style&yaml.FlowStyle != 0
	if !out.flow {
		return b.block(out, n)
	}
	if open := b.text[out.body]; open != '{' && open != '[' {
		// [a: b] holds a map without braces.
		out.odd = true
	}
	return b.flow(out, n)
}

func (b *builder) block(out *node, n *yaml.Node) error {
	p := out.body
	column := b.column(p)
	for i := 0; i < len(n.Content); i++ {
		e := entry{mark: p}
		if out.kind == mapping {
			if err := b.key(&e, n.Content[i], column); err != nil {
				return err
			}
			out.odd = out.odd || b.column(e.key.start) != column
			i++
		} else {
			e.mark = b.skipBlank(p)
			if e.mark >= len(b.text) || b.text[e.mark] != '-' {
				return b.lost(p, "an item")
			}
		}
		if e.mark < 0 {
			return b.lost(p, "a key")
		}
		if err := b.value(&e, n.Content[i], column); err != nil {
			return err
		}
		p = out.add(e)
	}
	out.end = p
	return nil
}

// add appends an entry and returns where it ends.
func (n *node) add(e entry) int {
	e.value.parent, e.value.index = n, len(n.entries)
	n.entries = append(n.entries, e)
	return e.value.end
}

// key reads a key and finds its colon.
func (b *builder) key(e *entry, n *yaml.Node, column int) error {
	var err error
	if e.key, err = b.build(n, column); err != nil {
		return err
	}
	e.name, e.merge = n.Value, n.Tag == "!!merge"
	e.mark = b.skipBlank(e.key.end)
	if e.mark >= len(b.text) || b.text[e.mark] != ':' {
		e.mark = -1
	}
	return nil
}

// value reads the value of an entry. Where the library places a value of no
// characters varies, so that it is placed after its mark.
func (b *builder) value(e *entry, n *yaml.Node, column int) error {
	var err error
	none := n.Kind == yaml.ScalarNode && n.Value == "" && n.Anchor == "" &&
		n.Style&^yaml.FlowStyle == 0
	if !none {
		e.value, err = b.build(n, column)
		return err
	}
	p := e.mark + 1
	switch {
	case e.mark < 0 && e.key == nil:
		return b.lost(0, "an empty item")
	case e.mark < 0:
		p = e.key.end
	}
	e.value = &node{start: p, body: p, end: p}
	return nil
}

func (b *builder) flow(out *node, n *yaml.Node) error {
	p := out.body + 1
	for i := 0; i < len(n.Content); i++ {
		e := entry{mark: -1}
		if out.kind == mapping {
			if err := b.key(&e, n.Content[i], -1); err != nil {
				return err
			}
			p = e.key.end
			i++
		}
		if err := b.value(&e, n.Content[i], -1); err != nil {
			return err
		}
		p = max(p, out.add(e))
	}
	if out.odd {
		out.end = p
		return nil
	}
	p = b.skipBlank(p)
	if p < len(b.text) && b.text[p] == ',' {
		p = b.skipBlank(p + 1)
	}
	if p >= len(b.text) || b.text[p] != b.text[out.body]+2 {
		return b.lost(out.start, "a map or list")
	}
	out.end = p + 1
	return nil
}
