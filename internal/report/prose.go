package report

import "strings"

// block is one paragraph, list or code block of a check's help. Help is
// Markdown; what HTML needs of it is parsed here so that the template, not this
// code, writes every tag.
type block struct {
	Code  string   // of a fenced block
	Items [][]span // of a list
	Text  []span   // of a paragraph
}

// span is a run of text in one style.
type span struct {
	Text   string
	Style  string // "", code, strong or link
	Target string // of a link
}

// prose parses the part of Markdown that checks are written in: paragraphs,
// lists with - or *, fenced code, `code`, **strong** and [links](https://...).
// Anything else stays as it was written.
func prose(markdown string) []block {
	var (
		out  []block
		text []string
	)
	endText := func() {
		if len(text) > 0 {
			out = append(out, block{Text: spans(strings.Join(text, " "))})
			text = nil
		}
	}
	lines := strings.Split(markdown, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		switch {
		case strings.HasPrefix(line, "```"):
			endText()
			var code []string
			for i++; i < len(lines) && !strings.HasPrefix(strings.TrimSpace(lines[i]), "```"); i++ {
				code = append(code, cleanCode(lines[i]))
			}
			out = append(out, block{Code: strings.Join(code, "\n")})
		case line == "":
			endText()
		case strings.HasPrefix(line, "- "), strings.HasPrefix(line, "* "):
			endText()
			var items []string
			i, items = listItems(lines, i)
			b := block{}
			for _, item := range items {
				b.Items = append(b.Items, spans(item))
			}
			out = append(out, b)
		default:
			text = append(text, strings.TrimLeft(line, "# "))
		}
	}
	endText()
	return out
}

// cleanCode cleans a line of code and keeps its indent.
func cleanCode(line string) string {
	return clean(strings.ReplaceAll(strings.TrimRight(line, "\r"), "\t", "    "))
}

// listItems reads the list that starts at line i and returns its last line.
func listItems(lines []string, i int) (int, []string) {
	var items []string
	for ; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		switch {
		case strings.HasPrefix(line, "- "), strings.HasPrefix(line, "* "):
			items = append(items, line[2:])
		case line == "" || strings.HasPrefix(line, "```"):
			return i - 1, items
		default:
			items[len(items)-1] += " " + line
		}
	}
	return i - 1, items
}

// spans parses one paragraph.
func spans(s string) []span {
	s = clean(s)
	var out []span
	plain := 0 // where the run of plain text starts
	emit := func(at, end int, sp span) {
		if at > plain {
			out = append(out, span{Text: s[plain:at]})
		}
		out = append(out, sp)
		plain = end
	}
	for i := 0; i < len(s); {
		rest := s[i:]
		if body, n := between(rest, "`", "`"); n > 0 {
			emit(i, i+n, span{Text: body, Style: "code"})
			i += n
			continue
		}
		if body, n := between(rest, "**", "**"); n > 0 {
			emit(i, i+n, span{Text: body, Style: "strong"})
			i += n
			continue
		}
		if sp, n := link(rest); n > 0 {
			emit(i, i+n, sp)
			i += n
			continue
		}
		i++
	}
	if plain < len(s) {
		out = append(out, span{Text: s[plain:]})
	}
	return out
}

// between returns the text that s starts with between two marks, and how many
// bytes it takes with them.
func between(s, before, after string) (string, int) {
	rest, ok := strings.CutPrefix(s, before)
	if !ok {
		return "", 0
	}
	body, _, ok := strings.Cut(rest, after)
	if !ok || body == "" {
		return "", 0
	}
	return body, len(before) + len(body) + len(after)
}

// link reads [text](https://...). Other schemes stay text.
func link(s string) (span, int) {
	text, n := between(s, "[", "](")
	if n == 0 || strings.ContainsAny(text, "[]") {
		return span{}, 0
	}
	target, _, ok := strings.Cut(s[n:], ")")
	if !ok || !strings.HasPrefix(target, "https://") || strings.ContainsAny(target, " \"<>") {
		return span{}, 0
	}
	return span{Text: text, Style: "link", Target: target}, n + len(target) + 1
}
