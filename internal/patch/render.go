package patch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// blockStyle is how a document indents.
type blockStyle struct {
	// step is how far a map stands to the right of the key it belongs to, dash
	// how far a list does.
	step, dash int
}

// entryLines renders a key in the given column with its value.
func (s blockStyle) entryLines(key string, v any, column int) []string {
	head := spaces(column) + scalar(key, plain, false) + ":"
	if !isBlock(v) {
		return []string{head + " " + scalar(v, plain, false)}
	}
	return append([]string{head}, s.lines(v, s.childColumn(v, column))...)
}

// childColumn returns where the value of a key in the given column begins.
func (s blockStyle) childColumn(v any, column int) int {
	if _, list := v.([]any); list {
		return column + s.dash
	}
	return column + s.step
}

// lines renders a map or list that has entries.
func (s blockStyle) lines(v any, column int) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		for _, k := range sortedKeys(v) {
			out = append(out, s.entryLines(k, v[k], column)...)
		}
	case []any:
		for _, item := range v {
			out = append(out, s.itemLines(item, column, 2)...)
		}
	}
	return out
}

// itemLines renders an item whose dash is in the given column, with its value
// gap columns further right.
func (s blockStyle) itemLines(v any, column, gap int) []string {
	head := spaces(column) + "-" + spaces(gap-1)
	if !isBlock(v) {
		return []string{head + scalar(v, plain, false)}
	}
	lines := s.lines(v, column+gap)
	lines[0] = head + lines[0][column+gap:]
	return lines
}

func spaces(n int) string { return strings.Repeat(" ", n) }

// isBlock says whether a value takes lines of its own in block style.
func isBlock(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return len(v) > 0
	case []any:
		return len(v) > 0
	}
	return false
}

// sortedKeys returns the keys in order, but a name first, as people write it.
func sortedKeys(m map[string]any) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if (a == "name") != (b == "name") {
			if a == "name" {
				return -1
			}
			return 1
		}
		return cmp.Compare(a, b)
	})
}

// flowStyle is how a map or list in braces or brackets is written.
type flowStyle struct {
	json         bool
	colon, comma string // ": " and ", " or shorter
	// unit is one level of indentation where each entry has a line of its own;
	// "" where all are on one line.
	unit    string
	newline string
}

// value renders a value on a line that indent begins.
func (s flowStyle) value(v any, indent string) string {
	var parts []string
	brackets := "[]"
	switch v := v.(type) {
	case map[string]any:
		brackets = "{}"
		for _, k := range sortedKeys(v) {
			parts = append(parts, s.entry(k, v[k], indent+s.unit))
		}
	case []any:
		for _, item := range v {
			parts = append(parts, s.value(item, indent+s.unit))
		}
	default:
		return s.scalar(v)
	}
	switch {
	case len(parts) == 0:
		return brackets
	case s.unit == "":
		return brackets[:1] + strings.Join(parts, s.comma) + brackets[1:]
	}
	inner := s.newline + indent + s.unit
	return brackets[:1] + inner + strings.Join(parts, ","+inner) + s.newline + indent + brackets[1:]
}

func (s flowStyle) entry(key string, v any, indent string) string {
	return s.scalar(key) + s.colon + s.value(v, indent)
}

func (s flowStyle) scalar(v any) string {
	if text, ok := v.(string); ok && s.json {
		return quoted(text)
	}
	return scalar(v, plain, true)
}

// scalar renders a value on one line: also an empty map or list. A string is
// quoted as asked for, or if it must be.
func scalar(v any, quotes kind, flow bool) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		out, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(out)
	case string:
		return stringScalar(v, quotes, flow)
	case map[string]any:
		return "{}"
	case []any:
		return "[]"
	}
	return fmt.Sprint(v)
}

func stringScalar(s string, quotes kind, flow bool) string {
	switch {
	case quotes == single && strings.IndexFunc(s, unquotable) < 0:
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	case quotes == double, !plainSafe(s, flow):
		return quoted(s)
	}
	return s
}

// unquotable says whether a character needs an escape, which only double
// quotes have.
func unquotable(r rune) bool {
	return r < ' ' || (r >= 0x7f && r <= 0xa0) || r == 0x2028 || r == 0x2029 || r == 0xfeff ||
		r&0xfffe == 0xfffe || (r > 0xffff && !unicode.IsPrint(r))
}

// quoted returns s in double quotes, as both YAML and JSON take it.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r <= 0xffff && unquotable(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// plainSafe says whether YAML reads s, without quotes, as the same string. It
// errs on the side of quotes.
func plainSafe(s string, flow bool) bool {
	if s == "" || !plainStart(s) || readsAsOther(s) || strings.HasSuffix(s, " ") {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case isAlphanumeric(c), strings.IndexByte("_-./@+=()$%", c) >= 0:
		case c == ' ' && s[i+1] != '#':
		case c == ',' && !flow:
		case c == ':' && !flow && i+1 < len(s) && s[i+1] != ' ':
		default:
			return false
		}
	}
	return true
}

// plainStart says whether s begins like a word, a path, a number or a flag.
func plainStart(s string) bool {
	switch s[0] {
	case '-':
		word := strings.TrimPrefix(s[1:], "-")
		return word != "" && isAlphanumeric(word[0])
	case '/', '_', '.':
		return len(s) > 1 && !strings.HasPrefix(s, "...")
	}
	return isAlphanumeric(s[0])
}

func isAlphanumeric(c byte) bool {
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
}

// readsAsOther says whether s without quotes may be a null, a boolean, a
// number or a date to a YAML 1.1 parser.
func readsAsOther(s string) bool {
	switch strings.ToLower(strings.TrimLeft(s, "+-.")) {
	case "", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "inf", "nan", "infinity":
		return true
	}
	digits := strings.TrimLeft(s, "+-.")
	if digits == "" || digits[0] < '0' || digits[0] > '9' {
		return false
	}
	return strings.Trim(digits, "0123456789_.,:+-abcdefABCDEFxXoO") == "" || isDate(digits)
}

// isDate says whether s begins like 2006-01-02.
func isDate(s string) bool {
	year, rest, ok := strings.Cut(s, "-")
	if !ok || len(year) != 4 || strings.Trim(year, "0123456789") != "" {
		return false
	}
	month, _, ok := strings.Cut(rest, "-")
	return ok && len(month) <= 2 && strings.Trim(month, "0123456789") == ""
}
