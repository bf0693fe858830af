package credential

import (
	"regexp"
	"strings"
)

// isDocument says that a value is a text with names and values of its own.
func isDocument(value string) bool {
	return strings.ContainsRune(value, '\n') || strings.HasPrefix(value, "{") || strings.HasPrefix(value, "[") ||
		strings.HasPrefix(value, "<") || strings.Count(value, "=") > 1 && strings.ContainsAny(value, ";& ")
}

//nolint:gochecknoglobals // compiled once, never changed
var (
	// assignment is a line of YAML, of properties, of INI, of a shell.
	assignment = regexp.MustCompile(`^\s*(?:- )?(?:export\s+|set\s+|ENV\s+)?["']?([A-Za-z_][A-Za-z0-9_.\-]*)["']?\s*(?:=>|:=|=|:)\s*(.*?)\s*,?\s*$`)
	// pair is an entry of JSON in the middle of a line.
	pair = regexp.MustCompile(`["']([A-Za-z_][A-Za-z0-9_.\-]*)["']\s*[:=]\s*"((?:[^"\\]|\\.)*)"`)
	// element is XML's.
	element = regexp.MustCompile(`<([A-Za-z_][A-Za-z0-9_.\-]*)>([^<>\n]+)</`)
	// setting is a part of a connection string: Server=db;Password=abc.
	setting = regexp.MustCompile(`(?:^|[;&\s])([A-Za-z_][A-Za-z0-9_]*)\s*=\s*([^;&\s"']+)`)
)

// within searches a text for names and values.
func within(text string) (kind string, ok bool) {
	for range maxLines {
		line, rest, more := strings.Cut(text, "\n")
		if kind, ok := inLine(strings.TrimSuffix(line, "\r")); ok {
			return kind, true
		}
		if !more {
			break
		}
		text = rest
	}
	return "", false
}

func inLine(line string) (kind string, ok bool) {
	if !strings.ContainsAny(line, "=:>") || !speaksOfOne(line) || isComment(line) {
		return "", false
	}
	if m := assignment.FindStringSubmatch(line); m != nil {
		value, quoted := unquote(m[2])
		if kind := named(m[1], value, quoted); kind != "" {
			return kind, true
		}
	}
	for _, m := range pair.FindAllStringSubmatch(line, -1) {
		if kind := named(m[1], m[2], true); kind != "" {
			return kind, true
		}
	}
	for _, m := range element.FindAllStringSubmatch(line, -1) {
		if kind := named(m[1], strings.TrimSpace(m[2]), true); kind != "" {
			return kind, true
		}
	}
	if strings.Count(line, "=") > 1 {
		for _, m := range setting.FindAllStringSubmatch(line, -1) {
			if kind := named(m[1], m[2], false); kind != "" {
				return kind, true
			}
		}
	}
	return "", false
}

// speaksOfOne says that a line has a word in it without which no name in it can
// promise a credential. Few lines have.
func speaksOfOne(line string) bool {
	line = strings.ToLower(line)
	for _, word := range [...]string{"pass", "key", "token", "secret", "pwd", "jwt", "credential"} {
		if strings.Contains(line, word) {
			return true
		}
	}
	return false
}

func isComment(line string) bool {
	line = strings.TrimSpace(line)
	for _, mark := range [...]string{"#", "//", ";", "--", "*", "<!--", "%", "REM "} {
		if strings.HasPrefix(line, mark) {
			return true
		}
	}
	return false
}

// named is byName for a name within a text, which may be code: what is not
// quoted and looks like code or like the name of a variable is no value.
func named(key, value string, quoted bool) string {
	if isTypeWord(value) || strings.ContainsAny(value, "()[]{}<>|\\,") && !quoted {
		return ""
	}
	if !quoted && identifier.MatchString(value) && nameKind(value) != "" {
		return ""
	}
	kind := byName(key, value)
	if kind == "" {
		return ""
	}
	if len(key) > 64 {
		key = key[:64]
	}
	return kind + ", under " + key
}

//nolint:gochecknoglobals // compiled once, never changed
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z_.]*;?$`)

// isTypeWord tells the values that schemas, forms and code give to a field that
// is to hold a credential.
func isTypeWord(value string) bool {
	switch strings.ToLower(strings.TrimSuffix(value, ";")) {
	case "string", "str", "text", "varchar", "object", "any", "bytes", "int", "bool", "boolean", "password", "passwd", "pass",
		"token", "secret", "credentials", "bearer", "basic", "plain", "hidden", "optional", "required", "self", "this":
		return true
	}
	return false
}

// unquote takes quotes, and a comment behind the value, away.
func unquote(value string) (text string, quoted bool) {
	if value == "" {
		return "", false
	}
	if q := value[0]; q == '"' || q == '\'' {
		if end := strings.IndexByte(value[1:], q); end >= 0 {
			return value[1 : end+1], true
		}
	}
	if i := strings.Index(value, " #"); i >= 0 {
		value = value[:i]
	}
	return strings.TrimSpace(strings.TrimSuffix(value, ";")), false
}
