package document

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	yamlv2 "go.yaml.in/yaml/v2"
	"go.yaml.in/yaml/v3"
)

// readLibrary reads a document with go.yaml.in/yaml/v3, which knows positions
// and all of YAML, and gives its values the types of YAML 1.1 as
// sigs.k8s.io/yaml does.
func (r *reader) readLibrary(p piece) (*Node, *Error) {
	if likelyNodes(p.text) > r.left {
		return nil, &Error{Line: int(p.bodyLine), Msg: tooManyNodes(r.limits.Nodes)}
	}
	tree, err := decodeLibrary(p.text)
	if err != nil {
		return nil, libraryError(err, p.line)
	}
	if tree == nil {
		return nil, nil
	}
	c := converter{
		text:   p.text,
		limits: r.limits,
		left:   r.left,
		offset: p.line - 1,
		shared: map[*yaml.Node]subtree{}, scalars: map[*yaml.Node]scalar{},
		line: 1, column: 1, bangs: -1,
	}
	root, err := c.convert(tree, 0)
	if err != nil {
		var e *Error
		errors.As(err, &e)
		return nil, e
	}
	if err := checkSyntax(p.text); err != nil {
		return nil, libraryError(err, p.line)
	}
	r.left = c.left
	return root.node, nil
}

// likelyNodes is an upper bound, near enough, of the values in a text. The
// library has no limit of its own and needs several hundred bytes for each.
func likelyNodes(text []byte) int {
	if len(text) < defaultNodes {
		return 0
	}
	n := 0
	for _, c := range []string{",", "[", "{", "- ", "-\n", ": ", ":\n", "? "} {
		n += bytes.Count(text, []byte(c))
	}
	return n
}

// decodeLibrary returns the only document of text, nil if it has none.
func decodeLibrary(text []byte) (tree *yaml.Node, err error) {
	defer recoverTo(&err)
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := dec.Decode(&more); err == nil {
		return nil, errors.New("yaml: did not find expected <document start>")
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(doc.Content) != 1 {
		return nil, nil
	}
	return doc.Content[0], nil
}

// recoverTo turns a panic into an error: version 3 of the library panics when
// its comment scanner is confused.
func recoverTo(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("yaml: %v", v)
	}
}

// checkSyntax returns what go.yaml.in/yaml/v2, which sigs.k8s.io/yaml uses,
// has against a text. It is stricter than version 3 about tabs near comments.
func checkSyntax(text []byte) (err error) {
	defer recoverTo(&err)
	var nothing struct{}
	err = yamlv2.Unmarshal(text, &nothing)
	if _, ok := errors.AsType[*yamlv2.TypeError](err); ok {
		return nil
	}
	return err
}

// libraryError takes "yaml: line 3: what is wrong" apart.
func libraryError(err error, line int32) *Error {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	at := int(line)
	if rest, ok := strings.CutPrefix(msg, "line "); ok {
		if number, what, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				at, msg = at+n-1, what
			}
		}
	}
	if msg == "did not find expected <document start>" {
		msg = "the document goes on after its value, which Kubernetes ignores: remove the rest or put a --- line before it"
	}
	if strings.Contains(msg, "found character that cannot start any token") {
		msg += ": a tab indents the line, or a value begins with @ or ` and needs quotes"
	}
	return &Error{Line: at, Msg: msg}
}

// converter turns the library's tree into Nodes.
type converter struct {
	text   []byte
	limits Limits
	left   int   // how many nodes may still be made
	offset int32 // lines of the file before text
	// shared holds the values that have an anchor; one without a node is being
	// read.
	shared map[*yaml.Node]subtree
	// scalars holds those of them that are scalars, for aliases used as keys.
	scalars map[*yaml.Node]scalar
	slab    slab
	// at is an offset in text, where line and column are those of the library.
	at, line, column int
	// bangs counts the ! in text; -1 is not yet counted.
	bangs int
}

// subtree is a value with what it costs to use it.
type subtree struct {
	node   *Node
	nodes  int
	height int
}

func (c *converter) fail(n *yaml.Node, format string, args ...any) error {
	return &Error{Line: int(c.pos(n).Line), Column: n.Column, Msg: fmt.Sprintf(format, args...)}
}

func (c *converter) pos(n *yaml.Node) Pos {
	return Pos{Line: int32(n.Line) + c.offset, Column: int32(n.Column)} //nolint:gosec // bounded by Limits.Bytes
}

// convert reads one value that stands below depth lists and maps.
func (c *converter) convert(n *yaml.Node, depth int) (subtree, error) {
	if n.Kind == yaml.AliasNode {
		return c.alias(n, depth)
	}
	if n.Anchor != "" {
		c.shared[n] = subtree{}
	}
	t, err := c.fresh(n, depth)
	if err == nil && n.Anchor != "" {
		c.shared[n] = t
	}
	return t, err
}

func (c *converter) alias(n *yaml.Node, depth int) (subtree, error) {
	t, seen := c.shared[n.Alias]
	switch {
	case !seen:
		// Only a value below a key, which Kubernetes refuses, is not seen.
		return t, c.fail(n, "the anchor of *%s stands in a mapping key", n.Value)
	case t.node == nil:
		return t, c.fail(n, "the value of &%s contains itself", n.Value)
	case depth+t.height > c.limits.Depth:
		return t, c.fail(n, "%s", tooDeep(c.limits.Depth))
	}
	return t, c.spend(n, t.nodes)
}

func (c *converter) spend(n *yaml.Node, nodes int) error {
	c.left -= nodes
	if c.left < 0 {
		return c.fail(n, "%s", tooManyNodes(c.limits.Nodes))
	}
	return nil
}

func (c *converter) fresh(n *yaml.Node, depth int) (subtree, error) {
	before := c.left
	if err := c.spend(n, 1); err != nil {
		return subtree{}, err
	}
	if n.Kind == yaml.ScalarNode {
		node, err := c.scalar(n)
		return subtree{node: node, nodes: 1}, err
	}
	if depth >= c.limits.Depth {
		return subtree{}, c.fail(n, "%s", tooDeep(c.limits.Depth))
	}
	node := c.slab.node()
	node.Pos = c.pos(n)
	var height int
	var err error
	if n.Kind == yaml.SequenceNode {
		height, err = c.list(node, n, depth+1)
	} else {
		height, err = c.mapping(node, n, depth+1)
	}
	return subtree{node: node, nodes: before - c.left, height: height + 1}, err
}

func (c *converter) scalar(n *yaml.Node) (*Node, error) {
	s, err := c.resolve(n)
	if err != nil {
		return nil, err
	}
	if !s.finite() {
		return nil, c.fail(n, "%s is no number that JSON can hold: quote it", n.Value)
	}
	s = s.asJSON()
	node := c.slab.node()
	node.Pos = c.pos(n)
	node.setScalar(s)
	return node, nil
}

const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// resolve gives a scalar its type.
func (c *converter) resolve(n *yaml.Node) (scalar, error) {
	if n.Anchor == "" {
		return c.resolveFresh(n)
	}
	if s, ok := c.scalars[n]; ok {
		return s, nil
	}
	s, err := c.resolveFresh(n)
	c.scalars[n] = s
	return s, err
}

func (c *converter) resolveFresh(n *yaml.Node) (scalar, error) {
	switch {
	case n.Style&yaml.TaggedStyle != 0:
		s, err := resolveTagged(n.Tag, n.Value)
		if err != nil {
			return s, c.fail(n, "%v", err)
		}
		return s, nil
	case n.Style&quoted != 0, c.nonSpecific(n):
		return scalar{kind: String, text: n.Value}, nil
	default:
		return resolvePlain(n.Value), nil
	}
}

// nonSpecific says whether a plain scalar has the tag "!", which makes it a
// string and of which the library's tree does not tell.
func (c *converter) nonSpecific(n *yaml.Node) bool {
	if c.bangs < 0 {
		c.bangs = bytes.Count(c.text, []byte("!"))
	}
	if c.bangs == 0 {
		return false
	}
	c.seek(n)
	rest := c.text[c.at:]
	if len(rest) > 0 && rest[0] == '&' {
		rest = bytes.TrimLeft(rest[1:], "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz-")
		rest = bytes.TrimLeft(rest, " \t\r\n")
	}
	if len(rest) == 0 || rest[0] != '!' {
		return false
	}
	return len(rest) == 1 || bytes.IndexByte([]byte(" \t\r\n,[]{}"), rest[1]) >= 0
}

// seek moves c.at to a node. Nodes are asked for in the order of the text, so
// that all calls together read it once.
func (c *converter) seek(n *yaml.Node) {
	if n.Line < c.line || n.Line == c.line && n.Column < c.column {
		c.at, c.line, c.column = 0, 1, 1
	}
	for c.at < len(c.text) && (c.line < n.Line || c.column < n.Column) {
		r, size := utf8.DecodeRune(c.text[c.at:])
		c.at += size
		switch {
		case r == '\r' && c.at < len(c.text) && c.text[c.at] == '\n':
		case r == '\n', r == '\r', r == 0x85, r == 0x2028, r == 0x2029:
			c.line++
			c.column = 1
		default:
			c.column++
		}
	}
}

func (c *converter) list(node *Node, n *yaml.Node, depth int) (height int, err error) {
	items := c.slab.items(len(n.Content))
	for i, item := range n.Content {
		t, err := c.convert(item, depth)
		if err != nil {
			return 0, err
		}
		items[i] = t.node
		height = max(height, t.height)
	}
	node.setList(items)
	return height, nil
}

func (c *converter) mapping(node *Node, n *yaml.Node, depth int) (height int, err error) {
	m := mapping{fields: c.slab.fields(len(n.Content) / 2)[:0], seen: make(map[string]entry, len(n.Content)/2)}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if isMerge(key) {
			h, err := c.merge(&m, value, depth)
			if err != nil {
				return 0, err
			}
			height = max(height, h)
			continue
		}
		field := Field{Pos: c.pos(key)}
		if field.Key, err = c.key(key); err != nil {
			return 0, err
		}
		t, err := c.convert(value, depth)
		if err != nil {
			return 0, err
		}
		field.Value = t.node
		height = max(height, t.height)
		if err := m.set(field, false); err != nil {
			return 0, err
		}
	}
	node.setMap(m.fields)
	return height, nil
}

// mapping is a map in the making.
type mapping struct {
	fields []Field
	seen   map[string]entry
}

// entry says where a key stands in a map, and whether a merge put it there.
type entry struct {
	index  int
	merged bool
}

// set adds a field to a map. What a merge brings and what is written replace
// each other, the later one wins, as in sigs.k8s.io/yaml.
func (m *mapping) set(f Field, merged bool) error {
	old, found := m.seen[f.Key]
	switch {
	case !found:
		m.seen[f.Key] = entry{index: len(m.fields), merged: merged}
		m.fields = append(m.fields, f)
		return nil
	case !merged && !old.merged:
		return duplicateKey(f, m.fields[old.index])
	}
	m.fields[old.index] = f
	m.seen[f.Key] = entry{index: old.index, merged: old.merged && merged}
	return nil
}

func duplicateKey(again, first Field) *Error {
	return &Error{
		Line:   int(again.Pos.Line),
		Column: int(again.Pos.Column),
		Msg:    fmt.Sprintf("mapping key %q already defined at line %d", again.Key, first.Pos.Line),
	}
}

func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Value == "<<" && key.Tag == "!!merge"
}

// merge adds the entries of the map, or the maps, that << names.
func (c *converter) merge(m *mapping, value *yaml.Node, depth int) (height int, err error) {
	sources := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		sources = value.Content
	}
	merged := make([]subtree, len(sources))
	for i, source := range sources {
		if source.Kind != yaml.MappingNode && (source.Kind != yaml.AliasNode || source.Alias.Kind != yaml.MappingNode) {
			return 0, c.fail(source, "<< takes a map or a list of maps")
		}
		// The merged map stands in place of node, not below it.
		if merged[i], err = c.convert(source, depth-1); err != nil {
			return 0, err
		}
		height = max(height, merged[i].height-1)
	}
	// Backwards, as the first map of a list takes precedence.
	for _, t := range slices.Backward(merged) {
		for _, f := range t.node.Map() {
			if err := m.set(f, true); err != nil {
				return 0, err
			}
		}
	}
	return height, nil
}

// key returns the text of a mapping key, which may be an alias of a scalar.
func (c *converter) key(n *yaml.Node) (string, error) {
	source := n
	if n.Kind == yaml.AliasNode {
		source = n.Alias
	}
	if source.Kind != yaml.ScalarNode {
		return "", c.fail(n, "a mapping key must not be a list or a map")
	}
	if n.Anchor != "" {
		// A key with an anchor may be used as a value.
		if _, err := c.convert(n, 0); err != nil {
			return "", err
		}
	}
	s, err := c.resolve(source)
	if err != nil {
		return "", err
	}
	text, ok := keyText(s)
	if !ok {
		return "", c.fail(n, "a mapping key must not be null or beyond 63 bits: quote it")
	}
	return text, nil
}
