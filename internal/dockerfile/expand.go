package dockerfile

import "strings"

// lookup returns the value of a variable.
type lookup func(name string) (value string, known bool)

// expand puts the values of variables into a text of the Dockerfile, takes quotes
// away, and says whether all of them are known; those that are not stay as they
// are written.
func expand(text string, escape byte, get lookup) (out string, resolved bool) {
	if !strings.ContainsAny(text, `$"'`+string(escape)) {
		return text, true
	}
	e := expander{text: text, escape: escape, get: get, resolved: true}
	e.run()
	if e.out.Len() > maxExpanded {
		return text, false
	}
	return e.out.String(), e.resolved
}

type expander struct {
	text     string
	escape   byte
	get      lookup
	out      strings.Builder
	resolved bool
}

func (e *expander) run() {
	quote := byte(0)
	for i := 0; i < len(e.text) && e.out.Len() <= maxExpanded; i++ {
		c := e.text[i]
		switch {
		case c == e.escape && quote != '\'' && i+1 < len(e.text):
			i++
			if quote == '"' && !strings.ContainsRune("\"$"+string(e.escape), rune(e.text[i])) {
				e.out.WriteByte(c)
			}
			e.out.WriteByte(e.text[i])
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		case c == '$' && quote != '\'':
			i += e.variable(e.text[i:]) - 1
		default:
			e.out.WriteByte(c)
		}
	}
}

// variable writes the value of the variable that text begins with, and returns
// how much of text names it.
func (e *expander) variable(text string) int {
	if strings.HasPrefix(text, "${") {
		end := closingBrace(text)
		if end < 0 {
			e.keep(text)
			return len(text)
		}
		e.braced(text[:end+1])
		return end + 1
	}
	n := 1 + nameLength(text[1:])
	if n == 1 {
		e.out.WriteByte('$')
		return 1
	}
	if v, known := e.get(text[1:n]); known {
		e.out.WriteString(v)
	} else {
		e.keep(text[:n])
	}
	return n
}

// braced writes the value of a ${name} or ${name:-word}.
func (e *expander) braced(text string) {
	inner := text[2 : len(text)-1]
	n := nameLength(inner)
	name, rest := inner[:n], inner[n:]
	v, known := e.get(name)
	colon := strings.HasPrefix(rest, ":")
	operator := strings.TrimPrefix(rest, ":")
	switch {
	case name == "":
		e.keep(text)
	case rest == "" && known:
		e.out.WriteString(v)
	case strings.HasPrefix(operator, "-"):
		if known && (v != "" || !colon) {
			e.out.WriteString(v)
			return
		}
		e.nested(operator[1:])
	case strings.HasPrefix(operator, "+"):
		if known && (v != "" || !colon) {
			e.nested(operator[1:])
		}
	case strings.HasPrefix(operator, "?") && known:
		e.out.WriteString(v)
	default:
		e.keep(text)
	}
}

// nested writes the word of a ${name:-word}. Each is shorter than what it stands
// in, and a text of MaxBytes in which braces are nested is cut by the limit on
// values: deeper than that nothing is followed.
func (e *expander) nested(text string) {
	if strings.Count(text, "${") > maxNesting {
		e.keep(text)
		return
	}
	v, resolved := expand(text, e.escape, e.get)
	e.out.WriteString(v)
	e.resolved = e.resolved && resolved
}

func (e *expander) keep(text string) {
	e.out.WriteString(text)
	e.resolved = false
}

// closingBrace returns where the } of a ${ stands, -1 without one.
func closingBrace(text string) int {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func nameLength(text string) int {
	n := 0
	for n < len(text) && (text[n] == '_' || text[n] >= 'a' && text[n] <= 'z' || text[n] >= 'A' && text[n] <= 'Z' || n > 0 && text[n] >= '0' && text[n] <= '9') {
		n++
	}
	return n
}
