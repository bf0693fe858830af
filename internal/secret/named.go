package secret

import (
	"bytes"
	"regexp"
	"strings"
)

// maxText is how much of a value is looked at, and maxLines how many lines.
const (
	maxText  = 1 << 20
	maxLines = 20000
)

// ScanNamed says whether a value that stands under a name holds a credential: an
// environment variable, a label, a build argument, the key of a ConfigMap and its
// text. A text of several lines, or of JSON, is searched for names and values
// within; the hit's Name is then the one within, else it is the name given. Only
// the first hit is told. The line and column are those within the value.
//
// It believes names more than Scan does: where somebody set API_TOKEN, the value
// is one unless it is a placeholder or says where the token is.
func ScanNamed(name, value string) (Hit, bool) {
	if len(value) > maxText {
		value = value[:maxText]
	}
	trimmed := strings.TrimSpace(value)
	if trimmed == "" || strings.HasPrefix(trimmed, "seawall:redacted") {
		return Hit{}, false
	}
	s := scan{f: engine(), body: []byte(value), formsOnly: true, limit: 1, work: maxWork*len(value) + spareWork}
	s.f.run(&s)
	if hits := s.hits(); len(hits) > 0 {
		hits[0].Name = clip(name)
		return hits[0], true
	}
	if !isDocument(trimmed) {
		if k := s.f.byName(name, trimmed); k != nil {
			return s.named(k, name, trimmed), true
		}
	}
	if k, key, secret := s.f.within(trimmed); k != nil {
		return s.named(k, key, secret), true
	}
	return Hit{}, false
}

// named returns the hit of a secret under a name, where it first stands.
func (s *scan) named(k *Kind, name, secret string) Hit {
	start := max(0, bytes.Index(s.body, []byte(secret)))
	s.matches = append(s.matches[:0], match{kind: k, start: start, end: start + len(secret), name: clip(name), value: []byte(secret), proof: silent})
	return s.hits()[0]
}

// isUserWord tells the addresses of documentation: user:password@host.
func isUserWord(user, password string) bool {
	user, password = strings.ToLower(user), strings.ToLower(password)
	return (user == "user" || user == "username") && (password == "password" || password == "pass" || password == "pw")
}

// byName returns the kind of a credential that only the name tells, nil for none.
func (f *finder) byName(key, value string) *Kind {
	promise := nameKind(key)
	if promise == "" || strings.ContainsAny(value, " \t") {
		return nil
	}
	if k := f.ofVendor(key, value); k != nil {
		return k
	}
	switch {
	case isPlaceholder(value):
	case promise == "password" && isHash(value):
		return f.slugs["password-hash"]
	case promise == "password" && len(value) >= 3, promise != "password" && looksRandom(value):
		return f.slugs[promise]
	}
	return nil
}

// isHash tells the hash of a password in crypt's form.
func isHash(value string) bool {
	for _, p := range [...]string{"$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$y$", "$apr1$", "$argon2"} {
		if strings.HasPrefix(value, p) {
			return true
		}
	}
	return false
}

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
func (f *finder) within(text string) (k *Kind, name, secret string) {
	for range maxLines {
		line, rest, more := strings.Cut(text, "\n")
		if k, name, secret = f.inLine(strings.TrimSuffix(line, "\r")); k != nil {
			return k, name, secret
		}
		if !more {
			break
		}
		text = rest
	}
	return nil, "", ""
}

func (f *finder) inLine(line string) (k *Kind, name, secret string) {
	if !strings.ContainsAny(line, "=:>") || !speaksOfOne(line) || isComment(line) {
		return nil, "", ""
	}
	if m := assignment.FindStringSubmatch(line); m != nil {
		value, quoted := unquote(m[2])
		if k := f.inText(m[1], value, quoted); k != nil {
			return k, m[1], value
		}
	}
	for _, m := range pair.FindAllStringSubmatch(line, -1) {
		if k := f.inText(m[1], m[2], true); k != nil {
			return k, m[1], m[2]
		}
	}
	for _, m := range element.FindAllStringSubmatch(line, -1) {
		if k := f.inText(m[1], strings.TrimSpace(m[2]), true); k != nil {
			return k, m[1], strings.TrimSpace(m[2])
		}
	}
	if strings.Count(line, "=") > 1 {
		for _, m := range setting.FindAllStringSubmatch(line, -1) {
			if k := f.inText(m[1], m[2], false); k != nil {
				return k, m[1], m[2]
			}
		}
	}
	return nil, "", ""
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

// inText is byName for a name within a text, which may be code: what is not
// quoted and looks like code or like the name of a variable is no value.
func (f *finder) inText(key, value string, quoted bool) *Kind {
	if isTypeWord(value) || strings.ContainsAny(value, "()[]{}<>|\\,") && !quoted {
		return nil
	}
	if !quoted && identifier.MatchString(value) && nameKind(value) != "" {
		return nil
	}
	return f.byName(key, value)
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
