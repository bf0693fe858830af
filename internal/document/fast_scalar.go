package document

import (
	"strings"
	"unicode/utf8"
)

// quoted reads the string at the quote at i. Most are a part of the text; only
// one with an escape or a line break is a copy.
func (p *fastParser) quoted() string {
	quote := p.text[p.i]
	p.i++
	for i := p.i; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == quote && quote == '\'' && p.at(i+1) == '\'', c == '\\' && quote == '"', c == '\n':
			return p.unescape(quote)
		case c == quote:
			s := p.text[p.i:i]
			p.i = i + 1
			return s
		}
	}
	p.giveUp()
	return ""
}

// unescape reads the quoted string that begins at i.
func (p *fastParser) unescape(quote byte) string {
	var out []byte
	for p.i < len(p.text) {
		switch c := p.text[p.i]; {
		case c == quote && quote == '\'' && p.at(p.i+1) == '\'':
			out = append(out, c)
			p.i += 2
		case c == quote:
			p.i++
			return view(out)
		case c == '\\' && quote == '"':
			out = p.escape(out)
		case c == ' ', c == '\n', c == '\t':
			out = p.quotedBlanks(out)
		default:
			out = append(out, c)
			p.i++
		}
	}
	p.giveUp()
	return ""
}

// quotedBlanks reads the blanks at i, and folds them if they have line breaks.
func (p *fastParser) quotedBlanks(out []byte) []byte {
	start, breaks := p.i, 0
	for p.i < len(p.text) && isBlankOrBreak(p.text[p.i]) {
		if p.text[p.i] == '\n' {
			breaks++
			p.lineBreak()
		} else {
			p.i++
		}
	}
	if breaks == 0 {
		return append(out, p.text[start:p.i]...)
	}
	return appendBreaks(out, breaks)
}

// escape reads the escape sequence at i. It gives up on an escaped line break,
// and on those that are errors.
func (p *fastParser) escape(out []byte) []byte {
	c := p.at(p.i + 1)
	p.i += 2
	switch c {
	case 'n':
		return append(out, '\n')
	case 't':
		return append(out, '\t')
	case 'r':
		return append(out, '\r')
	case '"', '\\', '\'', ' ':
		return append(out, c)
	case '0':
		return append(out, 0)
	case 'x':
		return p.hexEscape(out, 2)
	case 'u':
		return p.hexEscape(out, 4)
	case 'U':
		return p.hexEscape(out, 8)
	}
	p.giveUp()
	return out
}

func (p *fastParser) hexEscape(out []byte, digits int) []byte {
	var r int64
	for range digits {
		d, ok := hexDigit(p.at(p.i))
		if !ok {
			p.giveUp()
			return out
		}
		r = r<<4 | int64(d)
		p.i++
	}
	if r > utf8.MaxRune || !utf8.ValidRune(rune(r)) {
		p.giveUp()
		return out
	}
	return utf8.AppendRune(out, rune(r))
}

// blockHeader is what follows the | or > of a block scalar.
type blockHeader struct {
	folded bool
	chomp  byte // '-', '+' or 0
	indent int  // 0 if the first line decides
}

func (p *fastParser) blockHeader() (h blockHeader, ok bool) {
	h.folded = p.text[p.i] == '>'
	p.i++
	for range 2 {
		switch c := p.at(p.i); {
		case (c == '-' || c == '+') && h.chomp == 0:
			h.chomp = c
			p.i++
		case c >= '1' && c <= '9' && h.indent == 0:
			h.indent = int(c - '0')
			p.i++
		}
	}
	if !p.atLineEnd() {
		return h, false
	}
	p.skipComment()
	if p.i < len(p.text) {
		p.lineBreak()
	}
	return h, true
}

// blockScalar reads a literal or folded scalar whose lines are indented deeper
// than the column parent.
func (p *fastParser) blockScalar(parent int) *Node {
	n := p.node(p.pos(p.i))
	h, ok := p.blockHeader()
	if !ok {
		p.giveUp()
		return n
	}
	indent := max(parent, 0) + h.indent
	if h.indent == 0 {
		if indent, ok = p.blockIndent(parent); !ok {
			p.giveUp()
			return n
		}
	}
	n.setString(p.blockText(h, indent))
	p.nextLine()
	return n
}

// blockIndent returns the indentation of a block scalar, that of its first
// line with text. It reports false if blank lines above that are indented
// deeper, or if there is no such line.
func (p *fastParser) blockIndent(parent int) (indent int, ok bool) {
	deepest := 0
	for i := p.i; i < len(p.text); i++ {
		start := i
		for i < len(p.text) && p.text[i] == ' ' {
			i++
		}
		if i < len(p.text) && p.text[i] != '\n' {
			indent = i - start
			return indent, p.text[i] != '\t' && indent > parent && indent > 0 && deepest <= indent
		}
		deepest = max(deepest, i-start)
	}
	return 0, false
}

// blockText reads the lines of a block scalar. What it does with breaks and
// leading blanks follows the library to the letter, for where the two
// editions of YAML differ, the library follows neither.
func (p *fastParser) blockText(h blockHeader, indent int) string {
	var out []byte
	breaks := p.blockBreaks(indent)
	ended, leadingBlank := false, false // of the line above
	for p.i-p.lineStart == indent && p.i < len(p.text) {
		blank := p.text[p.i] == ' ' || p.text[p.i] == '\t'
		switch {
		case h.folded && !leadingBlank && !blank && ended:
			if breaks == 0 {
				out = append(out, ' ')
			}
		case ended:
			out = append(out, '\n')
		}
		out = appendNewlines(out, breaks)
		leadingBlank = blank
		if out == nil {
			out = make([]byte, 0, p.blockSize(indent))
		}
		start := p.i
		p.skipComment()
		out = append(out, p.text[start:p.i]...)
		if ended = p.i < len(p.text); ended {
			p.lineBreak()
		}
		breaks = p.blockBreaks(indent)
	}
	if p.i < len(p.text) {
		p.i = p.lineStart
	}
	if ended && h.chomp != '-' {
		out = append(out, '\n')
	}
	if h.chomp == '+' {
		out = appendNewlines(out, breaks)
	}
	return view(out)
}

func appendNewlines(out []byte, n int) []byte {
	for range n {
		out = append(out, '\n')
	}
	return out
}

// blockBreaks skips blank lines, counts them, and skips the indentation of the
// line after them.
func (p *fastParser) blockBreaks(indent int) (breaks int) {
	for {
		for p.i < len(p.text) && p.text[p.i] == ' ' && p.i-p.lineStart < indent {
			p.i++
		}
		if p.i >= len(p.text) {
			return breaks
		}
		switch p.text[p.i] {
		case '\n':
			breaks++
			p.lineBreak()
		case '\t':
			if p.i-p.lineStart < indent {
				p.giveUp()
			}
			return breaks
		default:
			return breaks
		}
	}
}

// blockSize is about how long the text of the block scalar at i is: up to the
// next line with less indentation.
func (p *fastParser) blockSize(indent int) int {
	outer := "\n" + strings.Repeat(" ", indent)
	size := 0
	for line := range strings.Lines(p.text[p.i:]) {
		if size > 0 && line != "\n" && !strings.HasPrefix(line, outer[1:]) {
			break
		}
		size += max(len(line)-indent, 1)
	}
	return size + indent
}
