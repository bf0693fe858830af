package patch

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// createKey adds a key to a map in block style.
func (l *layout) createKey(m *node, name string, value any) ([]change, error) {
	column := l.column(m.entries[0].key.start)
	if err := l.spacesBefore(m.entries[0].key.start); err != nil {
		return nil, err
	}
	after := &m.entries[l.placeForKey(m)]
	lines := l.blockStyleAt(m).entryLines(name, value, column)
	return l.appendLines(after.value, column, lines), nil
}

// spacesBefore refuses tabs and the like, which have no certain width, before
// an offset on its line.
func (l *layout) spacesBefore(p int) error {
	if before := l.text[l.lineStart(p):p]; len(bytes.Trim(before, " -?")) > 0 {
		return &located{at: p, err: fmt.Errorf("%w: the line does not begin with spaces only: indent it with spaces", ErrLayout)}
	}
	return nil
}

// placeForKey returns the index of the entry after which a new key goes.
func (l *layout) placeForKey(m *node) int {
	last := len(m.entries) - 1
	if m.child("apiVersion") != nil || m.child("kind") != nil {
		return last
	}
	for i := last; i >= 0; i-- {
		e := &m.entries[i]
		if l.line(e.start()) == l.line(e.value.end) && e.value.kind != literal {
			return max(i, m.lastMerge())
		}
	}
	return last
}

// lastMerge returns the index of the last merge key, -1 without one. A key has
// to follow it to win over it.
func (n *node) lastMerge() int {
	for i, v := range slices.Backward(n.entries) {
		if v.merge {
			return i
		}
	}
	return -1
}

// createItem adds an item to a list in block style that has others.
func (l *layout) createItem(s *node, i int, value any) ([]change, error) {
	first := &s.entries[0]
	if err := l.spacesBefore(first.mark); err != nil {
		return nil, err
	}
	column := l.column(first.mark)
	gap := 2
	if l.line(first.mark) == l.line(first.value.start) && first.value.start > first.mark+1 {
		gap = first.value.start - first.mark
	}
	lines := l.blockStyleAt(s).itemLines(value, column, gap)
	if i > 0 {
		return l.appendLines(s.entries[i-1].value, column, lines), nil
	}
	if l.indentation(first.mark) == spaces(column) {
		return []change{l.insertLines(l.firstLine(s, 0), lines)}, nil
	}
	text := strings.Join(append(lines, spaces(column)), l.newline)[column:]
	return []change{{first.mark, first.mark, text}}, nil
}

// appendLines puts lines after those of n, which belongs to an entry in the
// given column.
func (l *layout) appendLines(n *node, column int, lines []string) []change {
	out := []change{l.insertLines(l.afterComments(n.end, column), lines)}
	if n = n.lastLeaf(); n.kind == literal && l.lineEnd(n.end) == len(l.text) {
		// The string lacks a line break at its end only because the text does.
		header := strings.TrimRight(string(l.text[n.body:n.header]), "+-") + "-"
		out = append(out, change{n.body, n.header, header})
	}
	return out
}

// lastLeaf returns the value on the last line of n.
func (n *node) lastLeaf() *node {
	for len(n.entries) > 0 && !n.flow {
		n = n.entries[len(n.entries)-1].value
	}
	return n
}

// insertLines puts lines before the line that begins at p, or after the last.
func (l *layout) insertLines(p int, lines []string) change {
	text := strings.Join(lines, l.newline)
	if p == len(l.text) && l.lineStart(p) < p {
		return change{p, p, l.newline + text}
	}
	return change{p, p, text + l.newline}
}

// afterComments returns where the line begins that follows p's and the
// comments right below it that are indented deeper than column.
func (l *layout) afterComments(p, column int) int {
	p = l.nextLine(p)
	for p < len(l.text) && l.isComment(p) && leadingSpaces(l.text[p:]) > column {
		p = l.nextLine(p)
	}
	return p
}

// isComment says whether the line that begins at p is a comment.
func (l *layout) isComment(p int) bool {
	return bytes.HasPrefix(bytes.TrimLeft(l.text[p:l.lineEnd(p)], " "), []byte("#"))
}

// attached returns where the comments begin that stand right above p's line, in
// the column of p and after the offset floor: without any, where p's line
// begins.
func (l *layout) attached(p, floor int) int {
	column := l.column(p)
	at := l.lineStart(p)
	for i := l.line(p) - 1; i > l.line(floor); i-- {
		if above := l.lines[i]; !l.isComment(above) || leadingSpaces(l.text[above:]) != column {
			break
		}
		at = l.lines[i]
	}
	return at
}

// floor returns an offset before all comments that can belong to an entry:
// the end of the entry before it, or the mark of the map or list itself.
func (n *node) floor(i int) (offset int, ok bool) {
	switch {
	case i > 0:
		return n.entries[i-1].value.end, true
	case n.parent == nil:
		return 0, false
	}
	if mark := n.parent.entries[n.index].mark; mark >= 0 {
		return mark, true
	}
	return 0, false
}

// firstLine returns where the lines of an entry begin, its comments included.
// Those at the top of a document are not.
func (l *layout) firstLine(n *node, i int) int {
	p := n.entries[i].start()
	floor, ok := n.floor(i)
	if !ok {
		return l.lineStart(p)
	}
	return l.attached(p, floor)
}

// putInline gives n, in a block map or list, a value that takes one line.
func (l *layout) putInline(n *node, value any) []change {
	text := scalar(value, n.kind, false)
	mark := n.parent.entries[n.index].mark
	switch {
	case n.kind == literal:
		return l.withoutLines(n, change{n.start, n.header, text}, l.nextLine(n.header), l.nextLine(n.end))
	case n.start == n.end:
		return []change{{mark + 1, mark + 1, " " + text}}
	case n.flow || len(n.entries) == 0 || l.line(mark) == l.line(n.body):
		return []change{{n.start, n.end, text}}
	}
	from, to := l.blockLines(n)
	return l.withoutLines(n, change{mark + 1, l.propertiesEnd(n, mark), " " + text}, from, to)
}

// withoutLines returns the change of a line and the removal of the lines from
// and to which n went on.
func (l *layout) withoutLines(n *node, first change, from, to int) []change {
	if n.kind == literal && l.line(n.header) == l.line(n.end) {
		return []change{first}
	}
	return []change{first, {from, to, ""}}
}

// blockLines returns the lines of a block map or list that begins on a line of
// its own.
func (l *layout) blockLines(n *node) (from, to int) {
	return l.firstLine(n, 0), l.afterComments(n.end, l.column(n.body))
}

// propertiesEnd returns the end of the anchor and tag of n, a block map or list
// that begins on a line after its mark; without any, the offset after the mark.
func (l *layout) propertiesEnd(n *node, mark int) int {
	if n.start == n.body {
		return mark + 1
	}
	end := n.start
	for p := n.start; p < n.body; p = l.skipBlank(end) {
		end = p
		for end < n.body && !isSpace(l.text[end]) {
			end++
		}
	}
	return end
}

// putBlock gives n, in a block map or list, a map or list that has entries.
func (l *layout) putBlock(n *node, value any) []change {
	p := n.parent
	if p.kind == sequence {
		return l.putBlockItem(n, value)
	}
	e := &p.entries[n.index]
	style := l.blockStyleAt(p)
	lines := style.lines(value, style.childColumn(value, l.column(e.key.start)))
	switch {
	case n.kind == literal:
		return l.withLines(n, change{e.mark + 1, n.header, ""}, l.nextLine(n.header), l.nextLine(n.end), lines)
	case n.flow || len(n.entries) == 0:
		return []change{{e.mark + 1, n.end, ""}, l.insertLines(l.nextLine(n.end), lines)}
	}
	from, to := l.blockLines(n)
	return l.withLines(n, change{e.mark + 1, l.propertiesEnd(n, e.mark), ""}, from, to, lines)
}

// withLines is withoutLines with lines in place of those removed.
func (l *layout) withLines(n *node, first change, from, to int, lines []string) []change {
	if n.kind == literal && l.line(n.header) == l.line(n.end) {
		return []change{first, l.insertLines(from, lines)}
	}
	c := l.insertLines(to, lines)
	if c.text = strings.Join(lines, l.newline); to < len(l.text) || l.lineStart(to) == to {
		c.text += l.newline
	}
	c.from = from
	return []change{first, c}
}

// putBlockItem is putBlock for an item of a list.
func (l *layout) putBlockItem(n *node, value any) []change {
	mark := n.parent.entries[n.index].mark
	column, gap := l.column(mark), 2
	if n.start < n.end && l.line(mark) == l.line(n.start) {
		gap = n.start - mark
	}
	lines := l.blockStyleAt(n.parent).itemLines(value, column, gap)
	head := lines[0][column+1:]
	oneLine := n.kind != literal && (n.flow || len(n.entries) == 0) && l.line(mark) == l.line(n.end)
	if !oneLine {
		return []change{{mark + 1, n.end, strings.Join(append([]string{head}, lines[1:]...), l.newline)}}
	}
	out := []change{{mark + 1, n.end, head}}
	if len(lines) > 1 {
		out = append(out, l.insertLines(l.nextLine(n.end), lines[1:]))
	}
	return out
}

// dropLines removes an entry of a block map or list that has others.
func (l *layout) dropLines(n *node) []change {
	p := n.parent
	e := &p.entries[n.index]
	to := l.afterComments(n.end, l.column(e.start()))
	if l.indentation(e.start()) == spaces(l.column(e.start())) {
		return []change{{l.firstLine(p, n.index), l.afterKept(p, n.index, to), ""}}
	}
	// The entry stands on the line of a dash: what follows moves up there.
	next := p.entries[n.index+1].start()
	for to < next && (l.text[to] == ' ' || breakAt(l.text, to) > 0) {
		to += max(breakAt(l.text, to), 1)
	}
	return []change{{e.start(), to, ""}}
}

// afterKept returns where the lines end that go with entry i, which end at to:
// blank lines go, too, if they would become part of a |+ before the entry.
func (l *layout) afterKept(p *node, i, to int) int {
	if i == 0 {
		return to
	}
	before := p.entries[i-1].value.lastLeaf()
	if before.kind != literal || !bytes.ContainsRune(l.text[before.body:before.header], '+') {
		return to
	}
	for to < len(l.text) && l.lineEnd(to) == to+leadingSpaces(l.text[to:]) {
		to = l.nextLine(to)
	}
	return to
}

// dropLast makes a block map or list with a single entry an empty one.
func (l *layout) dropLast(p *node) []change {
	var empty any = map[string]any{}
	if p.kind == sequence {
		empty = []any{}
	}
	if p.parent == nil {
		return []change{{p.body, p.end, scalar(empty, plain, false)}}
	}
	return l.putInline(p, empty)
}
