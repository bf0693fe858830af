package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean makes text of unknown origin safe to show to people: what a terminal
// or a browser would act on instead of showing, such as escape sequences and
// characters that turn the direction of writing, is spelt out, line ends
// become spaces, and invalid UTF-8 becomes U+FFFD.
func clean(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t' || r == '\r' || r == '\u2028' || r == '\u2029':
			b.WriteByte(' ')
		case !hidden(r):
			b.WriteRune(r) // writes invalid bytes as U+FFFD
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

// hidden reports whether a rune acts rather than shows: controls (Cc), format
// characters (Cf), which include the bidirectional overrides, and the
// noncharacters, which XML and YAML forbid.
func hidden(r rune) bool {
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) ||
		r&0xFFFE == 0xFFFE || r >= 0xFDD0 && r <= 0xFDEF
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// columns is how many cells of a terminal s takes.
func columns(s string) int {
	if plain(s) {
		return len(s)
	}
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r < 0x1100:
		return 1
	case r <= 0x115F, r >= 0x2E80 && r <= 0xA4CF && r != 0x303F, r >= 0xAC00 && r <= 0xD7A3,
		r >= 0xF900 && r <= 0xFAFF, r >= 0xFE30 && r <= 0xFE6F, r >= 0xFF00 && r <= 0xFF60,
		r >= 0xFFE0 && r <= 0xFFE6, r >= 0x1F300 && r <= 0x1FAFF, r >= 0x20000 && r <= 0x3FFFD:
		return 2
	default:
		return 1
	}
}

// fit shortens s to at most width columns, with an ellipsis where it cuts.
func fit(s string, width int) string {
	if columns(s) <= width {
		return s
	}
	n := 0
	for i, r := range s {
		n += runeColumns(r)
		if n > width-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// wrap breaks s at spaces into lines of at most width columns, and breaks
// words that are longer than a line.
func wrap(s string, width int) []string {
	width = max(width, 8)
	var lines []string
	line, used := "", 0
	for word := range strings.FieldsSeq(s) {
		n := columns(word)
		if used > 0 && used+1+n <= width {
			line, used = line+" "+word, used+1+n
			continue
		}
		if used > 0 {
			lines = append(lines, line)
		}
		for n > width {
			head := cut(word, width)
			lines = append(lines, head)
			word = word[len(head):]
			n = columns(word)
		}
		line, used = word, n
	}
	if used > 0 || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// middle shortens s to at most width columns, and keeps both ends: of a path the
// last part tells as much as the first.
func middle(s string, width int) string {
	if columns(s) <= width {
		return s
	}
	head := cut(s, max(width/2, 1))
	tail := s[len(head):]
	for room := width - columns(head) - 1; columns(tail) > room && tail != ""; {
		_, n := utf8.DecodeRuneInString(tail)
		tail = tail[n:]
	}
	return head + "…" + tail
}

// cut returns the longest start of s that fits width columns, at least one rune.
func cut(s string, width int) string {
	n := 0
	for i, r := range s {
		n += runeColumns(r)
		if n > width && i > 0 {
			return s[:i]
		}
	}
	return s
}

// number writes n with its noun: 1 object, 2 objects, 3 vulnerabilities.
func number(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "ity"); ok {
		return fmt.Sprintf("%d %sities", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// truncate cuts s to at most n bytes, at a rune, with an ellipsis.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n -= len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
