package dockerfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"seawall.io/seawall/internal/document"
)

// instruction is one instruction of the file.
type instruction struct {
	keyword string // upper case
	// line is the instruction without the breaks of its lines, and here what its
	// here-documents hold.
	line joined
	here []heredoc
	// start and end are where it stands in the file, without the last line break.
	start, end int
	// flags are the words that begin with --, args is where in line the rest
	// begins. words is the rest taken apart as the instruction has it, json where
	// it is written as a JSON list.
	flags []flag
	args  int
	words []word
	json  bool
	// trigger is what an ONBUILD holds.
	trigger *instruction
}

// flag is a --name=value.
type flag struct{ name, value string }

func (in *instruction) flag(name string) string {
	for _, f := range in.flags {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

// rest returns the arguments after the flags as they are written.
func (in *instruction) rest() string { return in.line.text[in.args:] }

// word is an argument, with where in the joined line it stands; from is -1 for
// one out of JSON.
type word struct {
	text     string
	from, to int
}

// heredoc is a here-document.
type heredoc struct {
	name    string
	body    string
	offset  int // of the body in the file
	foreign bool
	expand  bool
	chomp   bool
}

// joined is text whose pieces stand in different places of the file.
type joined struct {
	text   string
	pieces []piece
}

// piece says that the text from at on stands from offset on in the file.
type piece struct{ at, offset int }

// offset returns where in the file the text at i stands.
func (j *joined) offset(i int) int {
	n := sort.Search(len(j.pieces), func(k int) bool { return j.pieces[k].at > i })
	if n == 0 {
		return 0
	}
	p := j.pieces[n-1]
	return p.offset + i - p.at
}

// part returns the text from i on.
func (j *joined) part(i int) joined {
	out := joined{text: j.text[i:]}
	n := sort.Search(len(j.pieces), func(k int) bool { return j.pieces[k].at > i })
	if n > 0 {
		p := j.pieces[n-1]
		out.pieces = append(out.pieces, piece{0, p.offset + i - p.at})
	}
	for _, p := range j.pieces[n:] {
		out.pieces = append(out.pieces, piece{p.at - i, p.offset})
	}
	return out
}

// source is a file taken apart.
type source struct {
	text         []byte
	lineStarts   []int
	escape       byte
	instructions []*instruction
	next         int // offset of the next line
	// here remembers the last place that was asked for: places of one long line are
	// asked for in their order.
	here struct{ line, offset, column int }
}

// keywords are the instructions that BuildKit knows.
//
//nolint:gochecknoglobals // a constant table
var keywords = []string{
	"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
	"MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
}

// read takes a file apart into instructions.
func read(text []byte) (*source, error) {
	s := &source{text: text, escape: '\\', lineStarts: []int{0}}
	for i, c := range text {
		if c == '\n' {
			s.lineStarts = append(s.lineStarts, i+1)
		}
		if i-s.lineStarts[len(s.lineStarts)-1] >= maxLine {
			return nil, s.errorAt(i, "a line longer than %d KiB, which BuildKit refuses", maxLine>>10)
		}
	}
	if bytes.HasPrefix(text, []byte("\ufeff")) {
		s.next = len("\ufeff")
		s.lineStarts[0] = s.next
	}
	if err := s.directives(); err != nil {
		return nil, err
	}
	for {
		in, err := s.instruction()
		if err != nil {
			return nil, err
		}
		if in == nil {
			break
		}
		if len(s.instructions) == MaxInstructions {
			return nil, s.errorAt(in.start, "more than %d instructions", MaxInstructions)
		}
		s.instructions = append(s.instructions, in)
	}
	if len(s.instructions) == 0 {
		return nil, s.errorAt(0, "no instruction: a Dockerfile begins with FROM")
	}
	return s, nil
}

func (s *source) errorAt(offset int, format string, args ...any) error {
	return &Error{int(s.pos(offset).Line), fmt.Sprintf(format, args...)}
}

// pos returns line and column of an offset.
func (s *source) pos(offset int) document.Pos {
	line := max(sort.SearchInts(s.lineStarts, offset+1), 1)
	from, column := s.lineStarts[line-1], 1
	if s.here.line == line && s.here.offset <= offset {
		from, column = s.here.offset, s.here.column
	}
	to := max(from, min(offset, len(s.text)))
	column += utf8.RuneCount(s.text[from:to])
	s.here.line, s.here.offset, s.here.column = line, to, column
	return document.Pos{Line: int32(line), Column: int32(column)} //nolint:gosec // bounded by MaxBytes
}

// physical returns the next line without its line break.
func (s *source) physical() (line string, offset int, ok bool) {
	if s.next >= len(s.text) {
		return "", 0, false
	}
	offset = s.next
	end := bytes.IndexByte(s.text[offset:], '\n')
	if end < 0 {
		s.next = len(s.text)
	} else {
		s.next = offset + end + 1
	}
	return strings.TrimRight(string(s.text[offset:s.next]), "\r\n"), offset, true
}

var directive = regexp.MustCompile(`^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$`)

// directives reads the comments at the very top that are settings.
func (s *source) directives() error {
	for start := s.next; ; start = s.next {
		line, offset, ok := s.physical()
		m := directive.FindStringSubmatch(strings.TrimLeftFunc(line, unicode.IsSpace))
		if !ok || m == nil || !slices.Contains([]string{"syntax", "escape", "check"}, strings.ToLower(m[1])) {
			s.next = start
			return nil
		}
		if strings.EqualFold(m[1], "escape") {
			if m[2] != "`" && m[2] != `\` {
				return s.errorAt(offset, "the escape character must be \\ or `")
			}
			s.escape = m[2][0]
		}
	}
}

// instruction reads the next instruction; nil at the end.
func (s *source) instruction() (*instruction, error) {
	var in *instruction
	for {
		raw, offset, ok := s.physical()
		if !ok {
			break
		}
		line := raw
		if in == nil {
			line = strings.TrimLeftFunc(raw, unicode.IsSpace)
			offset += len(raw) - len(line)
		}
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "#") || (trimmed == "" && (in != nil || s.next < len(s.text))) {
			continue
		}
		if trimmed == "" {
			break
		}
		line, goesOn := s.cutContinuation(line)
		if in == nil {
			if goesOn && line == "" {
				// A mark that joins nothing to what follows.
				in = &instruction{start: offset}
				in.end = offset + len(strings.TrimRight(raw, " \t"))
				continue
			}
			in = &instruction{start: offset}
		}
		in.line.pieces = append(in.line.pieces, piece{len(in.line.text), offset})
		in.line.text += line
		in.end = offset + len(line)
		if !goesOn {
			break
		}
	}
	if in == nil || strings.TrimSpace(in.line.text) == "" {
		return nil, nil
	}
	return in, s.takeApart(in)
}

// cutContinuation cuts the mark at the end of a line that says that it goes on.
func (s *source) cutContinuation(line string) (string, bool) {
	cut := strings.TrimRight(line, " \t")
	n := len(cut)
	if n == 0 || cut[n-1] != s.escape || (n > 1 && cut[n-2] == s.escape) {
		return line, false
	}
	return cut[:n-1], true
}

// takeApart reads keyword, flags and arguments.
func (s *source) takeApart(in *instruction) error {
	text := in.line.text
	trimmed := strings.TrimLeftFunc(text, unicode.IsSpace)
	from := len(text) - len(trimmed)
	end := strings.IndexAny(trimmed, "\t\v\f\r ")
	if end < 0 {
		end = len(trimmed)
	}
	in.keyword = strings.ToUpper(trimmed[:end])
	if !slices.Contains(keywords, in.keyword) {
		return s.errorAt(in.start, "unknown instruction %.40q", in.keyword)
	}
	in.args = from + end
	in.flagsOf(s.escape)
	for in.args < len(text) && unicode.IsSpace(rune(text[in.args])) {
		in.args++
	}
	in.line.text = strings.TrimRightFunc(text, unicode.IsSpace)
	in.args = min(in.args, len(in.line.text))
	if in.rest() == "" && in.keyword != "CMD" && in.keyword != "ENTRYPOINT" && in.keyword != "RUN" {
		return s.errorAt(in.start, "%s needs an argument", in.keyword)
	}
	if in.keyword == "ONBUILD" {
		return s.onbuild(in)
	}
	if err := s.arguments(in); err != nil {
		return err
	}
	return s.heredocs(in)
}

// onbuild reads the instruction in an ONBUILD, which takes the here-documents.
func (s *source) onbuild(in *instruction) error {
	in.trigger = &instruction{start: in.line.offset(in.args), line: in.line.part(in.args)}
	switch keyword, _, _ := strings.Cut(strings.ToUpper(in.rest()), " "); keyword {
	case "ONBUILD", "FROM", "MAINTAINER":
		return s.errorAt(in.start, "ONBUILD cannot hold %s", keyword)
	}
	err := s.takeApart(in.trigger)
	in.end = max(in.end, in.trigger.end)
	return err
}

// flagsOf reads the words after the keyword that begin with --.
func (in *instruction) flagsOf(escape byte) {
	if in.keyword == "ONBUILD" {
		return
	}
	for {
		rest := in.line.text[in.args:]
		trimmed := strings.TrimLeftFunc(rest, unicode.IsSpace)
		at := in.args + len(rest) - len(trimmed)
		if !strings.HasPrefix(trimmed, "--") {
			return
		}
		w := nextWord(in.line.text, at, escape)
		in.args = w.to
		text := unquote(w.text, escape)
		if text == "--" {
			return
		}
		name, value, _ := strings.Cut(strings.TrimPrefix(text, "--"), "=")
		in.flags = append(in.flags, flag{strings.ToLower(name), value})
	}
}

// jsonForm says which instructions may be written as a JSON list.
func jsonForm(keyword string) bool {
	switch keyword {
	case "ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME", "HEALTHCHECK":
		return true
	}
	return false
}

// arguments takes the rest of the line apart as the instruction has it.
func (s *source) arguments(in *instruction) error {
	rest := in.rest()
	if jsonForm(in.keyword) && strings.HasPrefix(rest, "[") {
		var list []any
		if json.Unmarshal([]byte(rest), &list) == nil {
			for _, item := range list {
				text, ok := item.(string)
				if !ok {
					return s.errorAt(in.start, "%s: only strings in double quotes may stand in its JSON list", in.keyword)
				}
				in.words = append(in.words, word{text, -1, -1})
			}
			in.json = true
			return nil
		}
	}
	switch in.keyword {
	case "RUN", "CMD", "ENTRYPOINT", "MAINTAINER", "STOPSIGNAL", "USER", "WORKDIR", "SHELL", "HEALTHCHECK":
		if rest != "" {
			in.words = []word{{rest, in.args, len(in.line.text)}}
		}
	case "ENV", "LABEL", "ARG":
		in.words = wordsOf(in.line.text, in.args, s.escape)
	default:
		for at := in.args; ; {
			for at < len(in.line.text) && isBlank(in.line.text[at]) {
				at++
			}
			if at >= len(in.line.text) {
				break
			}
			from := at
			for at < len(in.line.text) && !isBlank(in.line.text[at]) {
				at++
			}
			in.words = append(in.words, word{in.line.text[from:at], from, at})
		}
	}
	return nil
}

func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

var heredocStart = regexp.MustCompile(`^(\d*)<<(-?)\s*([^<]*)$`)

// heredocs reads the here-documents that the arguments announce.
func (s *source) heredocs(in *instruction) error {
	if in.json || !slices.Contains([]string{"RUN", "COPY", "ADD"}, in.keyword) || !strings.Contains(in.line.text, "<<") || openQuote(in.line.text, '\\') {
		return nil // BuildKit looks for none in a line that leaves a quote open
	}
	for _, w := range wordsOf(in.line.text, 0, '\\') {
		m := heredocStart.FindStringSubmatch(w.text)
		if m == nil || m[3] == "" {
			continue
		}
		name := unquote(m[3], '\\')
		if name == "" || strings.ContainsAny(name, " \t") && name == m[3] {
			continue
		}
		h := heredoc{name: name, offset: s.next, expand: name == m[3], chomp: m[2] == "-", foreign: m[1] != "" && m[1] != "0"}
		for {
			line, offset, ok := s.physical()
			if !ok {
				return s.errorAt(in.start, "no line %.40q ends the here-document", name)
			}
			end := line
			if h.chomp {
				end = strings.TrimLeft(line, "\t")
			}
			in.end = offset + len(line)
			if end == name {
				h.body = string(s.text[h.offset:offset])
				break
			}
		}
		in.here = append(in.here, h)
	}
	return nil
}

// wordsOf cuts text from an offset on into words; quotes keep blanks together
// and stay.
func wordsOf(text string, from int, escape byte) []word {
	var out []word
	for {
		for from < len(text) && isBlank(text[from]) {
			from++
		}
		if from >= len(text) {
			return out
		}
		w := nextWord(text, from, escape)
		out = append(out, w)
		from = w.to
	}
}

// openQuote says whether a quote is still open at the end of a text.
func openQuote(text string, escape byte) bool {
	quote := byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == escape && quote != '\'':
			i++
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote:
			quote = 0
		}
	}
	return quote != 0
}

// nextWord returns the word that begins at an offset.
func nextWord(text string, from int, escape byte) word {
	quote := byte(0)
	i := from
	for ; i < len(text); i++ {
		c := text[i]
		switch {
		case quote == 0 && isBlank(c):
			return word{text[from:i], from, i}
		case c == escape && quote != '\'':
			i++
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote:
			quote = 0
		}
	}
	return word{text[from:], from, len(text)}
}

// unquote takes quotes and escapes away.
func unquote(text string, escape byte) string {
	if !strings.ContainsAny(text, `"'`+string(escape)) {
		return text
	}
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == escape && quote != '\'' && i+1 < len(text):
			i++
			if quote == '"' && !strings.ContainsRune("\"$"+string(escape), rune(text[i])) {
				b.WriteByte(c)
			}
			b.WriteByte(text[i])
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote && quote != 0:
			quote = 0
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
