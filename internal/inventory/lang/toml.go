package lang

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/inventory"
)

// Limits of a TOML text. No lock file comes near the first two.
const (
	tomlDepth = 64        // of lists and inline tables within each other
	tomlParts = 16        // of one dotted key
	tomlNodes = 1_000_000 // values
)

// parseTOML reads TOML 1.1 into a tree that knows lines; columns are not told.
// It is a reader of our own because the tree is bounded: libraries hold the
// whole dotted name of every key, so that a small file fills the memory.
//
// It takes all that is TOML, and some that is not: a table that was closed may be
// opened again. Dates are strings.
func parseTOML(f inventory.File) (*document.Node, error) {
	p := &tomlParser{
		in:   string(text(f.Body)),
		line: 1,
		root: &tomlValue{kind: document.Map},
		at:   make(map[slot]*tomlValue),
	}
	if !utf8.ValidString(p.in) {
		return nil, errors.New("reading TOML: not UTF-8")
	}
	if err := p.document(); err != nil {
		return nil, fmt.Errorf("reading TOML: line %d: %w", p.line, err)
	}
	return p.root.node(), nil
}

// tomlValue is a value in the making: any line may still add to a table.
type tomlValue struct {
	kind   document.Kind
	line   int32
	scalar *document.Node
	fields []tomlField
	items  []*tomlValue
}

type tomlField struct {
	key   string
	line  int32
	value *tomlValue
}

// node returns the value once it is whole. It goes as deep as dotted keys within
// nested values do, which tomlParts and tomlDepth bound.
func (v *tomlValue) node() *document.Node {
	pos := document.Pos{Line: v.line}
	switch v.kind {
	case document.Map:
		fields := make([]document.Field, len(v.fields))
		for i, f := range v.fields {
			fields[i] = document.Field{Key: f.key, Pos: document.Pos{Line: f.line}, Value: f.value.node()}
		}
		return document.NewMap(pos, fields)
	case document.List:
		items := make([]*document.Node, len(v.items))
		for i, item := range v.items {
			items[i] = item.node()
		}
		return document.NewList(pos, items)
	case document.Null, document.Bool, document.Int, document.Float, document.String:
	}
	return v.scalar
}

type tomlParser struct {
	in    string
	i     int
	line  int32
	depth int
	nodes int
	root  *tomlValue
	// at finds the entries of all tables, which would take quadratic time by
	// looking through their fields.
	at map[slot]*tomlValue
}

// slot is a key of a table.
type slot struct {
	table *tomlValue
	key   string
}

func (p *tomlParser) document() error {
	table := p.root
	for {
		p.blank()
		if p.i == len(p.in) {
			return nil
		}
		var err error
		switch {
		case p.take("[["):
			table, err = p.header("]]", p.appendTable)
		case p.take("["):
			table, err = p.header("]", p.descend)
		default:
			err = p.entry(table)
		}
		if err == nil {
			err = p.endOfLine()
		}
		if err != nil {
			return err
		}
	}
}

// header reads the name of a table up to its closing brackets, and opens it.
func (p *tomlParser) header(closing string, open func(*tomlValue, string) (*tomlValue, error)) (*tomlValue, error) {
	parts, err := p.key()
	if err != nil {
		return nil, err
	}
	if !p.take(closing) {
		return nil, fmt.Errorf("expected %s after the name of a table", closing)
	}
	return p.follow(p.root, parts, open)
}

// follow descends along all parts of a key but the last, which it gives to last.
func (p *tomlParser) follow(table *tomlValue, parts []string, last func(*tomlValue, string) (*tomlValue, error)) (_ *tomlValue, err error) {
	for _, part := range parts[:len(parts)-1] {
		if table, err = p.descend(table, part); err != nil {
			return nil, err
		}
	}
	return last(table, parts[len(parts)-1])
}

// descend goes into the table at a key, or the last of a list of tables, and
// makes it if it is not there.
func (p *tomlParser) descend(table *tomlValue, key string) (*tomlValue, error) {
	next, ok := p.at[slot{table, key}]
	if !ok {
		var err error
		if next, err = p.node(document.Map); err != nil {
			return nil, err
		}
		return next, p.set(table, key, next)
	}
	if n := len(next.items); n > 0 {
		next = next.items[n-1]
	}
	if next.kind != document.Map {
		return nil, fmt.Errorf("%q is no table", clip(key))
	}
	return next, nil
}

// appendTable adds a table to the list at a key.
func (p *tomlParser) appendTable(table *tomlValue, key string) (*tomlValue, error) {
	list, ok := p.at[slot{table, key}]
	if !ok {
		var err error
		if list, err = p.node(document.List); err != nil {
			return nil, err
		}
		if err := p.set(table, key, list); err != nil {
			return nil, err
		}
	}
	if list.kind != document.List {
		return nil, fmt.Errorf("%q is no list of tables", clip(key))
	}
	item, err := p.node(document.Map)
	if err != nil {
		return nil, err
	}
	list.items = append(list.items, item)
	return item, nil
}

// set adds an entry to a table.
func (p *tomlParser) set(table *tomlValue, key string, value *tomlValue) error {
	if _, ok := p.at[slot{table, key}]; ok {
		return fmt.Errorf("key %q is given twice", clip(key))
	}
	p.at[slot{table, key}] = value
	table.fields = append(table.fields, tomlField{key, p.line, value})
	return nil
}

// entry reads key = value.
func (p *tomlParser) entry(table *tomlValue) error {
	parts, err := p.key()
	if err != nil {
		return err
	}
	if !p.take("=") {
		return errors.New("expected = after a key")
	}
	_, err = p.follow(table, parts, func(table *tomlValue, key string) (*tomlValue, error) {
		line := p.line
		value, err := p.value()
		if err != nil {
			return nil, err
		}
		if err := p.set(table, key, value); err != nil {
			return nil, err
		}
		table.fields[len(table.fields)-1].line = line
		return value, nil
	})
	return err
}

// key reads a dotted key, with white space around it.
func (p *tomlParser) key() ([]string, error) {
	var parts []string
	for {
		p.spaces()
		part, err := p.keyPart()
		if err != nil {
			return nil, err
		}
		if parts = append(parts, part); len(parts) > tomlParts {
			return nil, fmt.Errorf("a key has more than %d parts", tomlParts)
		}
		p.spaces()
		if !p.take(".") {
			return parts, nil
		}
	}
}

func (p *tomlParser) keyPart() (string, error) {
	switch p.peek() {
	case '"':
		p.i++
		return p.basic()
	case '\'':
		p.i++
		return p.literal()
	}
	start := p.i
	for c := p.peek(); isLetter(c) || isDigit(c) || c == '-' || c == '_'; c = p.peek() {
		p.i++
	}
	if p.i == start {
		return "", errors.New("expected a key")
	}
	return p.in[start:p.i], nil
}

func (p *tomlParser) value() (*tomlValue, error) {
	p.spaces()
	v, err := p.node(document.String)
	if err != nil {
		return nil, err
	}
	var text string
	switch {
	case p.take(`"""`):
		text, err = p.basicLines()
	case p.take(`'''`):
		text, err = p.literalLines()
	case p.take(`"`):
		text, err = p.basic()
	case p.take(`'`):
		text, err = p.literal()
	case p.take("["):
		v.kind = document.List
		return v, p.nested("]", func() error {
			item, err := p.value()
			v.items = append(v.items, item)
			return err
		})
	case p.take("{"):
		v.kind = document.Map
		return v, p.nested("}", func() error { return p.entry(v) })
	default:
		v.scalar, err = p.bare()
		v.kind = v.scalar.Kind()
		return v, err
	}
	v.scalar = document.NewString(document.Pos{Line: v.line}, text)
	return v, err
}

// nested reads what stands in a list or an inline table, separated by commas.
func (p *tomlParser) nested(closing string, item func() error) error {
	if p.depth++; p.depth > tomlDepth {
		return fmt.Errorf("values nest deeper than %d", tomlDepth)
	}
	defer func() { p.depth-- }()
	for {
		p.blank()
		if p.take(closing) {
			return nil
		}
		if err := item(); err != nil {
			return err
		}
		p.blank()
		if !p.take(",") && !strings.HasPrefix(p.in[p.i:], closing) {
			return fmt.Errorf("expected a comma or %s", closing)
		}
	}
}

// bare reads a boolean, number or date.
func (p *tomlParser) bare() (*document.Node, error) {
	pos := document.Pos{Line: p.line}
	start := p.i
	for c := p.peek(); isLetter(c) || isDigit(c) || strings.IndexByte("+-_.:", c) >= 0; c = p.peek() {
		p.i++
		// 2024-01-02 03:04:05 is one value.
		if p.i-start == len("2024-01-02") && p.in[start+4] == '-' && p.peek() == ' ' && p.i+1 < len(p.in) && isDigit(p.in[p.i+1]) {
			p.i++
		}
	}
	word := p.in[start:p.i]
	switch digits := strings.TrimLeft(word, "+-"); {
	case word == "true" || word == "false":
		return document.NewBool(pos, word == "true"), nil
	case digits == "inf" || digits == "nan":
		return document.NewFloat(pos, 0), nil
	case digits == "" || !isDigit(digits[0]):
		return nil, fmt.Errorf("expected a value, found %q", clip(word))
	case strings.Contains(word, ":") || len(word) > 4 && word[4] == '-':
		return document.NewString(pos, word), nil
	}
	number, err := strconv.ParseInt(word, 0, 64)
	if err != nil {
		return document.NewFloat(pos, 0), nil // no lock file says anything by a fraction
	}
	return document.NewInt(pos, number), nil
}

// basic reads the rest of a "string".
func (p *tomlParser) basic() (string, error) {
	end := strings.IndexAny(p.in[p.i:], "\"\\\n")
	if end >= 0 && p.in[p.i+end] == '"' {
		s := p.in[p.i : p.i+end]
		p.i += end + 1
		return s, nil
	}
	var b strings.Builder
	for p.i < len(p.in) {
		switch c := p.in[p.i]; c {
		case '"':
			p.i++
			return b.String(), nil
		case '\n':
			return "", errOpenString
		case '\\':
			if err := p.escape(&b); err != nil {
				return "", err
			}
		default:
			b.WriteByte(c)
			p.i++
		}
	}
	return "", errOpenString
}

// basicLines reads the rest of a string between three double quotes.
func (p *tomlParser) basicLines() (string, error) {
	p.firstNewline()
	var b strings.Builder
	for p.i < len(p.in) {
		switch c := p.in[p.i]; c {
		case '"':
			if quotes := p.quotes('"'); quotes >= 3 {
				b.WriteString(p.in[p.i : p.i+quotes-3])
				p.i += quotes
				return b.String(), nil
			}
			b.WriteByte(c)
			p.i++
		case '\\':
			if rest := strings.TrimLeft(p.in[p.i+1:], " \t\r"); strings.HasPrefix(rest, "\n") {
				p.i = len(p.in) - len(rest)
				p.newlines()
				continue
			}
			if err := p.escape(&b); err != nil {
				return "", err
			}
		default:
			if c == '\n' {
				p.line++
			}
			b.WriteByte(c)
			p.i++
		}
	}
	return "", errOpenString
}

// literal reads the rest of a 'string'.
func (p *tomlParser) literal() (string, error) {
	end := strings.IndexAny(p.in[p.i:], "'\n")
	if end < 0 || p.in[p.i+end] == '\n' {
		return "", errOpenString
	}
	s := p.in[p.i : p.i+end]
	p.i += end + 1
	return s, nil
}

// literalLines reads the rest of a string between three single quotes.
func (p *tomlParser) literalLines() (string, error) {
	p.firstNewline()
	end := strings.Index(p.in[p.i:], "'''")
	if end < 0 {
		return "", errOpenString
	}
	start := p.i
	p.i += end
	quotes := p.quotes('\'')
	s := p.in[start : p.i+quotes-3]
	p.i += quotes
	p.line += int32(strings.Count(s, "\n")) //nolint:gosec // less than the file's size, which is bounded
	return s, nil
}

// quotes counts the quotes at the current place: up to two of them belong to the
// string that the last three close.
func (p *tomlParser) quotes(quote byte) int {
	n := 0
	for n < 5 && p.i+n < len(p.in) && p.in[p.i+n] == quote {
		n++
	}
	return n
}

// escape reads one escape sequence of a basic string.
func (p *tomlParser) escape(b *strings.Builder) error {
	p.i++
	c := p.peek()
	p.i++
	size := 0
	switch c {
	case 'b':
		b.WriteByte('\b')
	case 't':
		b.WriteByte('\t')
	case 'n':
		b.WriteByte('\n')
	case 'f':
		b.WriteByte('\f')
	case 'r':
		b.WriteByte('\r')
	case 'e':
		b.WriteByte(0x1b)
	case '"', '\\':
		b.WriteByte(c)
	case 'x':
		size = 2
	case 'u':
		size = 4
	case 'U':
		size = 8
	default:
		return errEscape
	}
	if size == 0 {
		return nil
	}
	if p.i+size > len(p.in) {
		return errEscape
	}
	code, err := strconv.ParseUint(p.in[p.i:p.i+size], 16, 31)
	if err != nil || !utf8.ValidRune(rune(code)) {
		return errEscape
	}
	b.WriteRune(rune(code))
	p.i += size
	return nil
}

var (
	errOpenString = errors.New("a string is not closed")
	errEscape     = errors.New("a string has an unknown escape")
)

func (p *tomlParser) node(kind document.Kind) (*tomlValue, error) {
	if p.nodes++; p.nodes > tomlNodes {
		return nil, fmt.Errorf("more than %d values", tomlNodes)
	}
	return &tomlValue{kind: kind, line: p.line}, nil
}

// peek returns the byte at the current place, 0 at the end.
func (p *tomlParser) peek() byte {
	if p.i < len(p.in) {
		return p.in[p.i]
	}
	return 0
}

func (p *tomlParser) take(s string) bool {
	if !strings.HasPrefix(p.in[p.i:], s) {
		return false
	}
	p.i += len(s)
	return true
}

func (p *tomlParser) spaces() {
	for c := p.peek(); c == ' ' || c == '\t'; c = p.peek() {
		p.i++
	}
}

// newlines passes over white space with newlines.
func (p *tomlParser) newlines() {
	for {
		switch p.peek() {
		case ' ', '\t', '\r':
		case '\n':
			p.line++
		default:
			return
		}
		p.i++
	}
}

// blank passes over white space, newlines and comments.
func (p *tomlParser) blank() {
	for p.newlines(); p.peek() == '#'; p.newlines() {
		p.comment()
	}
}

func (p *tomlParser) comment() {
	if end := strings.IndexByte(p.in[p.i:], '\n'); end >= 0 {
		p.i += end
	} else {
		p.i = len(p.in)
	}
}

func (p *tomlParser) endOfLine() error {
	p.spaces()
	if p.peek() == '#' {
		p.comment()
	}
	p.take("\r")
	if p.i < len(p.in) && p.peek() != '\n' {
		return errors.New("expected the end of the line")
	}
	return nil
}

// firstNewline passes over a newline right after the opening quotes.
func (p *tomlParser) firstNewline() {
	if p.take("\n") || p.take("\r\n") {
		p.line++
	}
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
