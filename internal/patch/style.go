package patch

import (
	"encoding/json"
	"strings"
)

// isJSON says whether a whole document is JSON.
func isJSON(text []byte) bool { return json.Valid(text) }

// blockStyleAt returns how to indent what is new in, or below, n: as the values
// nearest to n are, and otherwise as most of the document.
func (l *layout) blockStyleAt(n *node) blockStyle {
	near := census{layout: l}
	for p := n; p != nil && (near.step == nil || near.dash == nil); p = p.parent {
		near.entries(p)
	}
	if l.usual == nil {
		l.usual = &census{layout: l}
		l.usual.tree(l.root)
	}
	return blockStyle{
		step: firstSet(near.step, l.usual.steps.most(), 2),
		dash: firstSet(near.dash, l.usual.dashes.most(), 0),
	}
}

// firstSet returns the first of found and counted that is not -1, or usual.
func firstSet(found *int, counted, usual int) int {
	switch {
	case found != nil:
		return *found
	case counted >= 0:
		return counted
	}
	return usual
}

// census collects how far values are indented below their keys.
type census struct {
	*layout
	steps, dashes tally
	// step and dash are what was met first.
	step, dash *int
}

// tally counts indentations by width.
type tally [17]int

// most returns the most frequent width, the smallest of several, -1 of none.
func (t *tally) most() int {
	best := -1
	for width, n := range t {
		if n > 0 && (best < 0 || n > t[best]) {
			best = width
		}
	}
	return best
}

func (c *census) tree(n *node) {
	if !n.flow {
		c.entries(n)
	}
	for i := range n.entries {
		c.tree(n.entries[i].value)
	}
}

// entries looks at the values below the keys of n.
func (c *census) entries(n *node) {
	if n.kind != mapping || n.flow || n.odd {
		return
	}
	for i := range n.entries {
		v := n.entries[i].value
		if v.flow || len(v.entries) == 0 {
			continue
		}
		width := c.column(v.body) - c.column(n.entries[i].key.start)
		switch {
		case width < 0 || width >= len(c.steps):
		case v.kind == sequence:
			c.dashes[width]++
			if c.dash == nil {
				c.dash = &width
			}
		case width > 0:
			c.steps[width]++
			if c.step == nil {
				c.step = &width
			}
		}
	}
}

// flowStyleIn returns how to write what is new in the flow map or list n.
func (l *layout) flowStyleIn(n *node) flowStyle {
	s := flowStyle{json: l.json || quotesKeys(n), colon: ": ", comma: ", ", newline: l.newline}
	if colon := l.colonOf(n, l.root); s.json && colon != "" {
		s.colon = colon
	}
	if comma := l.commaOf(n, l.root); comma != "" {
		s.comma = comma
	} else if s.colon == ":" {
		s.comma = ","
	}
	if s.json && l.ownLines(n) {
		s.unit = l.unit(n)
	}
	return s
}

func quotesKeys(n *node) bool {
	if n.kind != mapping || len(n.entries) == 0 {
		return false
	}
	for i := range n.entries {
		if n.entries[i].key.kind != double {
			return false
		}
	}
	return true
}

// ownLines says whether the first entry of n, in braces or brackets, stands on
// a line of its own.
func (l *layout) ownLines(n *node) bool {
	return len(n.entries) > 0 && l.line(n.entries[0].start()) != l.line(n.body)
}

// unit returns the indentation of n's entries relative to the line on which n
// begins.
func (l *layout) unit(n *node) string {
	outer, inner := l.indentation(n.body), l.indentation(n.entries[0].start())
	if unit, ok := strings.CutPrefix(inner, outer); ok && unit != "" {
		return unit
	}
	return "  "
}

// indentation returns the white space with which an offset's line begins.
func (l *layout) indentation(p int) string {
	from := l.lineStart(p)
	to := from
	for to < p && (l.text[to] == ' ' || l.text[to] == '\t') {
		to++
	}
	return string(l.text[from:to])
}

// colonOf returns the text between a key and a value in one of the given maps,
// or below it.
func (l *layout) colonOf(nodes ...*node) string {
	for _, n := range nodes {
		for i := range n.entries {
			e := &n.entries[i]
			if n.flow && e.key != nil && e.mark >= 0 && e.value.start > e.mark {
				if gap := string(l.text[e.mark:e.value.start]); gap == ":" || gap == ": " {
					return gap
				}
			}
			if gap := l.colonOf(e.value); gap != "" {
				return gap
			}
		}
	}
	return ""
}

// commaOf returns the text between two entries on one line in one of the given
// maps and lists, or below it.
func (l *layout) commaOf(nodes ...*node) string {
	for _, n := range nodes {
		for i := range n.entries {
			e := &n.entries[i]
			if n.flow && i > 0 {
				gap := string(l.text[n.entries[i-1].value.end:e.start()])
				if gap == "," || gap == ", " {
					return gap
				}
			}
			if gap := l.commaOf(e.value); gap != "" {
				return gap
			}
		}
	}
	return ""
}
