package document

import "strings"

// flow reads a value between brackets or braces, and what is in it.
func (p *fastParser) flow(depth int) *Node {
	if depth >= p.depth {
		p.giveUp()
		return nil
	}
	if p.at(p.i) == '[' {
		return p.flowList(depth)
	}
	return p.flowMap(depth)
}

func (p *fastParser) flowList(depth int) *Node {
	n := p.node(p.pos(p.i))
	mark := p.build.beginList()
	for more := p.flowBegin(']'); more; more = p.flowMore(']') {
		p.build.item(p.flowValue(depth + 1))
	}
	n.setList(p.build.endList(mark))
	return n
}

func (p *fastParser) flowMap(depth int) *Node {
	n := p.node(p.pos(p.i))
	mark := p.build.beginMap()
	for more := p.flowBegin('}'); more; more = p.flowMore('}') {
		f := p.flowKey()
		p.flowSpace()
		f.Value = p.flowValue(depth + 1)
		p.build.field(f)
	}
	p.endMap(n, mark)
	return n
}

// flowBegin moves past an opening bracket, and past the closing one if nothing
// is between them, in which case it reports false.
func (p *fastParser) flowBegin(closing byte) bool {
	p.i++
	p.flowSpace()
	if p.at(p.i) == closing {
		p.i++
		return false
	}
	return !p.gaveUp
}

// flowSpace skips white space, line breaks and comments.
func (p *fastParser) flowSpace() {
	for p.atLineEnd() && !p.gaveUp {
		if p.i >= len(p.text) {
			p.giveUp()
			return
		}
		p.skipComment()
		if p.i < len(p.text) {
			p.lineBreak()
		}
	}
}

// flowMore reads the comma or the bracket after an element, and says whether
// another element follows.
func (p *fastParser) flowMore(closing byte) bool {
	p.flowSpace()
	switch p.at(p.i) {
	case ',':
		p.i++
		p.flowSpace()
		return !p.gaveUp
	case closing:
		p.i++
	default:
		p.giveUp()
	}
	return false
}

// flowKey reads a key and its colon, which stand on one line.
func (p *fastParser) flowKey() Field {
	f := Field{Pos: p.pos(p.i)}
	start, line := p.i, p.line
	c := p.at(p.i)
	if c == '"' || c == '\'' {
		f.Key = p.quoted()
	} else if text, ok := p.flowPlain(); !ok || !isBlankOrBreak(p.at(p.i+1)) || !p.plainKey(text, &f) {
		p.giveUp()
	}
	p.spaces()
	if p.line != line || p.i-start > maxKey || p.at(p.i) != ':' {
		p.giveUp()
		return f
	}
	p.i++
	return f
}

func (p *fastParser) flowValue(depth int) *Node {
	pos := p.pos(p.i)
	switch p.at(p.i) {
	case '[', '{':
		return p.flow(depth)
	case '"', '\'':
		n := p.node(pos)
		n.setString(p.quoted())
		return n
	}
	n := p.node(pos)
	text, ok := p.flowPlain()
	s := resolvePlain(text).asJSON()
	if !ok || !s.finite() {
		p.giveUp()
	}
	n.setScalar(s)
	return n
}

// flowPlain reads a plain scalar up to the indicator that ends it.
func (p *fastParser) flowPlain() (text string, ok bool) {
	c, next := p.at(p.i), p.at(p.i+1)
	if !startsPlain(c, next) || c == '-' && strings.IndexByte(",[]{}?:", next) >= 0 {
		return "", false
	}
	start := p.i
	for ; p.i < len(p.text); p.i++ {
		switch p.text[p.i] {
		case ',', ']', '}', '\n':
			return strings.TrimRight(p.text[start:p.i], " "), true
		case '[', '{', '?', '\t':
			return "", false
		case ':':
			if isBlankOrBreak(p.at(p.i + 1)) {
				return strings.TrimRight(p.text[start:p.i], " "), true
			}
		case '#':
			if p.text[p.i-1] == ' ' {
				return strings.TrimRight(p.text[start:p.i], " "), true
			}
		}
	}
	return "", false
}
