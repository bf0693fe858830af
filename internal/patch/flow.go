package patch

import (
	"bytes"
)

// createInFlow adds an entry before entry i of a map or list in braces or
// brackets that has others. Name is "" for an item.
func (l *layout) createInFlow(n *node, i int, name string, value any) ([]change, error) {
	style := l.flowStyleIn(n)
	near := &n.entries[max(i-1, 0)]
	indent := l.indentation(near.start())
	text := style.value(value, indent)
	if n.kind == mapping {
		text = style.entry(name, value, indent)
	}
	apart := l.ownLines(n)
	separator := style.comma
	if apart {
		separator = "," + l.newline + indent
	}
	switch {
	case i == 0:
		return []change{{near.start(), near.start(), text + separator}}, nil
	case i < len(n.entries):
		return []change{{n.entries[i].start(), n.entries[i].start(), text + separator}}, nil
	}
	return l.appendToFlow(n, text, separator, indent, apart), nil
}

// appendToFlow adds text after the last entry. Comments stay on the lines of
// the entries that they are about.
func (l *layout) appendToFlow(n *node, text, separator, indent string, apart bool) []change {
	end := n.entries[len(n.entries)-1].value.end
	if !apart || l.line(end) == l.line(n.end) {
		return []change{{end, end, separator + text}}
	}
	comma := l.skipBlank(end)
	if l.text[comma] == ',' {
		at := l.lineEnd(comma)
		return []change{{at, at, l.newline + indent + text + ","}}
	}
	at := l.lineEnd(end)
	return []change{{end, end, ","}, {at, at, l.newline + indent + text}}
}

// putInFlow gives n, inside braces or brackets, another value.
func (l *layout) putInFlow(n *node, value any) []change {
	e := &n.parent.entries[n.index]
	style := l.flowStyleIn(n.parent)
	text := style.value(value, l.indentation(e.start()))
	if s, ok := value.(string); ok && !style.json {
		text = stringScalar(s, n.kind, true)
	}
	switch {
	case n.start < n.end:
		return []change{{n.start, n.end, text}}
	case e.mark < 0:
		return []change{{e.key.end, e.key.end, ": " + text}}
	}
	return []change{{e.mark + 1, e.mark + 1, " " + text}}
}

// dropFromFlow removes an entry from braces or brackets.
func (l *layout) dropFromFlow(n *node) []change {
	p, i := n.parent, n.index
	e := &p.entries[i]
	switch last := i == len(p.entries)-1; {
	case last && i == 0:
		return []change{{p.body + 1, p.end - 1, ""}}
	case i == 0:
		return []change{{e.start(), p.entries[1].start(), ""}}
	case !bytes.ContainsRune(l.text[p.entries[i-1].value.end:e.start()], '#'):
		return []change{{p.entries[i-1].value.end, max(n.end, e.mark+1), ""}}
	case last:
		end := n.end
		if comma := l.skipBlank(end); l.text[comma] == ',' {
			end = comma + 1
		}
		return []change{{e.start(), end, ""}}
	}
	return []change{{e.start(), p.entries[i+1].start(), ""}}
}
