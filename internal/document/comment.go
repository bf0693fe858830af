package document

import (
	"bytes"
	"strings"
)

// Comment is one comment of a YAML text.
type Comment struct {
	// Line counts from 1 in the text given to Comments.
	Line int32
	// Alone is set if nothing else stands on the line.
	Alone bool
	// Text is the comment without its # and without space around it.
	Text string
}

// Comments returns the comments of a YAML text that contain marker. What looks
// like a comment inside a quoted string or a block scalar is none. The text
// need not be valid YAML, and is read by lines, not parsed.
func Comments(text []byte, marker string) []Comment {
	if !bytes.Contains(text, []byte(marker)) {
		return nil
	}
	var out []Comment
	var s commentScanner
	for line := range strings.Lines(view(text)) {
		s.line++
		at := s.scan(strings.TrimRight(line, "\r\n"))
		if at < 0 || !strings.Contains(line[at:], marker) {
			continue
		}
		out = append(out, Comment{
			Line:  s.line,
			Alone: strings.TrimLeft(line[:at], " \t\ufeff") == "",
			Text:  strings.TrimSpace(strings.TrimLeft(line[at:], "#")),
		})
	}
	return out
}

// commentScanner goes through a text by lines and keeps what a line must know
// of those before it.
type commentScanner struct {
	line int32
	// quote is the open quote, 0 outside of quoted strings.
	quote byte
	// inBlock is set after the header of a block scalar. parent is the column
	// of the collection that holds it, indent that of its lines, -1 until the
	// first one is seen.
	inBlock        bool
	parent, indent int
}

// scan returns the offset of the # that starts the comment of a line, -1 if it
// has none.
func (s *commentScanner) scan(line string) int {
	if isMarker([]byte(line), "---") || isMarker([]byte(line), "...") {
		s.quote, s.inBlock = 0, false
	}
	if s.inBlock && s.insideBlock(line) {
		return -1
	}
	at := s.hash(line)
	code := line
	if at >= 0 {
		code = line[:at]
	}
	if s.quote == 0 {
		s.openBlock(code)
	}
	return at
}

// insideBlock says whether the line belongs to the open block scalar, and
// closes it otherwise.
func (s *commentScanner) insideBlock(line string) bool {
	indent := len(line) - len(strings.TrimLeft(line, " "))
	if indent == len(line) {
		return true
	}
	if s.indent < 0 && indent > s.parent {
		s.indent = indent
	}
	if s.indent >= 0 && indent >= s.indent {
		return true
	}
	s.inBlock = false
	return false
}

// hash goes through the quotes of a line and returns the offset of its #.
func (s *commentScanner) hash(line string) int {
	fresh := true // a value may begin here, so that a quote opens a string
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case s.quote != 0:
			i = s.insideQuote(line, i)
			fresh = false
		case c == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t'):
			return i
		case (c == '"' || c == '\'') && fresh:
			s.quote = c
		case c == ' ' || c == '\t':
			fresh = fresh || i > 0 && (line[i-1] == ':' || line[i-1] == '-' || line[i-1] == '?')
		default:
			fresh = c == '[' || c == '{' || c == ','
		}
	}
	return -1
}

// insideQuote handles one character of a quoted string and returns the offset
// of the last one it used.
func (s *commentScanner) insideQuote(line string, i int) int {
	switch {
	case line[i] == '\\' && s.quote == '"':
		return i + 1
	case line[i] != s.quote:
	case s.quote == '\'' && i+1 < len(line) && line[i+1] == '\'':
		return i + 1
	default:
		s.quote = 0
	}
	return i
}

// openBlock looks for the header of a block scalar, such as |- or >2, at the
// end of a line.
func (s *commentScanner) openBlock(code string) {
	code = strings.TrimRight(code, " \t")
	head := strings.TrimRight(code, "+-0123456789")
	if head == "" || len(code)-len(head) > 2 {
		return
	}
	if last := head[len(head)-1]; last != '|' && last != '>' {
		return
	}
	before := head[:len(head)-1]
	if strings.TrimRight(before, " \t") == before && before != "" {
		return
	}
	s.inBlock, s.indent, s.parent = true, -1, blockParent(before)
	if explicit := strings.Trim(code[len(head):], "+-"); explicit != "" {
		s.indent = max(s.parent, 0) + int(explicit[0]-'0')
	}
}

// blockParent returns the column of the innermost collection that a line
// begins or continues: that of the last leading dash, or of the key after it.
func blockParent(before string) int {
	if strings.HasPrefix(before, "---") {
		return -1
	}
	column := 0
	for {
		rest := before[column:]
		column += len(rest) - len(strings.TrimLeft(rest, " "))
		rest = before[column:]
		if !strings.HasPrefix(rest, "- ") {
			return column
		}
		if strings.Trim(rest, "- ") == "" && strings.Count(rest, "-") == 1 {
			return column
		}
		column += 2
	}
}
