package secret

import (
	"bytes"
	"regexp"
	"strings"
)

// nameWords are what a name must hold to promise a credential.
//
//nolint:gochecknoglobals // a table
var nameWords = []string{"pass", "pwd", "token", "secret", "key", "jwt", "credential"}

// assignment judges the name around a keyword and the value that follows it.
// Names of no interest, which are most, cost a few comparisons.
func (s *scan) assignment(start, end int) {
	from, to := start, end
	for from > 0 && start-from < maxName && isNameByte(s.body[from-1]) {
		from--
	}
	for to < len(s.body) && to-end < maxName && isNameByte(s.body[to]) {
		to++
	}
	s.seen = to
	if from > 0 && s.body[from-1] == ':' {
		return // a part of a path such as arn:aws:secretsmanager:...:secret:name
	}
	vs, ve, quoted := s.value(to, isFirstArgument(s.body, from))
	if !s.spend(max(ve-vs, 0)) || ve-vs < minSecret || !quoted && s.kind == codeFile {
		return
	}
	value := s.body[vs:ve]
	if !mayBeSecret(value) {
		return
	}
	name := strings.Trim(string(s.body[from:to]), "-.")
	k := s.f.judge(name, string(value), s.kind, quoted)
	if k == nil {
		return
	}
	m := match{kind: k, start: vs, end: ve, name: name, proof: silent}
	if k.generic && (s.kind == proseFile || isComment(string(lineStart(s.body, from)))) {
		m.proof = refuted // it shows how the thing is written
	}
	s.add(m)
}

// isFirstArgument says that the text at a place, in quotes, is the first argument
// of a call.
func isFirstArgument(body []byte, at int) bool {
	if at == 0 || body[at-1] != '"' && body[at-1] != '\'' {
		return false
	}
	for at--; at > 0 && body[at-1] == ' '; at-- {
	}
	return at > 0 && body[at-1] == '('
}

// lineStart returns the first bytes of the line that a place is in, as far as
// they are near.
func lineStart(body []byte, at int) []byte {
	head := body[max(0, at-maxValue):at]
	head = head[bytes.LastIndexByte(head, '\n')+1:]
	return bytes.TrimLeft(head, " \t")
}

// minSecret is the least length of a value that a file is reported for.
const minSecret = 6

func isNameByte(c byte) bool { return isWord(c) || c == '-' || c == '.' }

// value returns where the value behind a name stands: behind =, :, =>, := and
// XML's >, with or without quotes, or behind the comma of a call. Without a
// value start and end are the same.
func (s *scan) value(at int, called bool) (start, end int, quoted bool) {
	body := s.body
	at = skip(body, at, "\\\"']", 3)
	at = skip(body, at, " \t", 24)
	if at+1 >= len(body) {
		return 0, 0, false
	}
	comma := false
	switch c, next := body[at], body[at+1]; {
	case c == '=' && next == '>', c == ':' && next == '=':
		at += 2
	case c == '=' && next != '=' && next != '~', c == ':' && next != ':', c == '>':
		at++
	case c == ',' && called:
		at++
		comma = true
	default:
		return 0, 0, false
	}
	at = skip(body, at, " \t", 24)
	at = skip(body, at, "\\", 1)
	if at >= len(body) {
		return 0, 0, false
	}
	limit := min(len(body), at+maxValue+1)
	if q := body[at]; q == '"' || q == '\'' || q == '`' {
		for i := at + 1; i < limit; i++ {
			switch body[i] {
			case q:
				if body[i-1] == '\\' {
					i--
				}
				return at + 1, i, true
			case '\n':
				return 0, 0, false
			}
		}
		s.spend(maxValue)
		return 0, 0, false
	}
	if comma {
		return 0, 0, false
	}
	for i := at; i < limit; i++ {
		switch c := body[i]; {
		case c == '(' || c == '[' || c == '{' || c == ')' || c == ']' || c == '}':
			return 0, 0, false // code
		case c <= ' ' || c == ',' || c == ';' || c == '"' || c == '\'' || c == '<' || c == '>' || c == '&' || c == '`':
			return at, i, false
		}
	}
	if limit == len(body) {
		return at, limit, false
	}
	s.spend(maxValue) // read for nothing
	return 0, 0, false
}

func skip(body []byte, at int, signs string, most int) int {
	for range most {
		if at >= len(body) || strings.IndexByte(signs, body[at]) < 0 {
			break
		}
		at++
	}
	return at
}

// mayBeSecret refuses, without looking at the name, what no generated secret and
// no good password is: texts with blanks, and words of small letters.
func mayBeSecret(value []byte) bool {
	other := false
	for _, c := range value {
		if c <= ' ' || c >= 0x7f {
			return false
		}
		other = other || c < 'a' || c > 'z'
	}
	return other
}

// judge returns the kind of a value that stands under a name in a file, nil for
// none. It is stricter than what judges the values of configuration, where the
// names are all that there is: in files there is much that is named so.
func (f *finder) judge(name, value string, in fileKind, quoted bool) *Kind {
	promise := nameKind(name)
	if promise == "" {
		return nil
	}
	// First: base64 may begin with a slash, as a path does.
	if k := f.ofVendor(name, value); k != nil {
		return k
	}
	if isPlaceholder(value) || isTypeWord(value) || !quoted && identifier.MatchString(value) {
		return nil
	}
	switch {
	case isHash(value):
		return f.slugs["password-hash"]
	case promise == "password":
		if isPassword(value, in) {
			return f.slugs["password"]
		}
		return nil
	}
	if len(value) < 16 || strings.ContainsAny(value, "\\#[]{}()<>") || !looksRandom(value) || entropy([]byte(value)) < 3.3 ||
		isUUID(value) || isDigest(value) || isName(value) {
		return nil
	}
	return f.slugs[promise]
}

// ofVendor returns the kind whose vendor the name speaks of, if the value has
// its form.
func (f *finder) ofVendor(name, value string) *Kind {
	for _, word := range words(name) {
		for _, k := range f.vendors[word] {
			k.once.Do(func() { k.expr = regexp.MustCompile(`^(?:` + k.form + `)$`) })
			if k.expr.MatchString(value) && k.plausible([]byte(value)) {
				return k
			}
		}
	}
	return nil
}

// isPassword tells a password from what else stands under its name. Files of
// configuration hold what is used; in programs and documentation it takes more
// to believe it.
func isPassword(value string, in fileKind) bool {
	if isReference(value) || nameLike.MatchString(value) && len(value) > 24 {
		return false
	}
	lower, upper, digit, sign := 0, 0, 0, 0
	for i := range len(value) {
		switch c := value[i]; {
		case c >= 'a' && c <= 'z':
			lower++
		case c >= 'A' && c <= 'Z':
			upper++
		case c >= '0' && c <= '9':
			digit++
		default:
			sign++
		}
	}
	if strings.ContainsAny(value, "(){}<>\\ ") || strings.Contains(value, "%s") || strings.Contains(value, "://") {
		return false
	}
	if in == configFile {
		return digit > 0 && lower+upper > 0 && !isUUID(value)
	}
	return len(value) >= 8 && digit > 0 && lower > 0 && (upper > 0 || sign > 0) && looksRandom(value) && sign*3 < len(value)
}

//nolint:gochecknoglobals // compiled once, never changed
var wholeUUID = regexp.MustCompile(`^` + uuid + `$`)

func isUUID(value string) bool { return wholeUUID.MatchString(value) }

// isName tells names that a person made up from what a generator made: their
// letters stand in long runs, with few numbers between.
func isName(value string) bool {
	runs, letters, numbers := 0, 0, 0
	last := byte(0)
	for i := range len(value) {
		c := value[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			letters++
			upper, before := c <= 'Z', last <= 'Z'
			if !isAlnum(last) || last <= '9' || upper && !before {
				runs++
			}
		case c >= '0' && c <= '9':
			if last < '0' || last > '9' {
				numbers++
			}
		}
		last = c
	}
	return numbers <= 2 && runs > 0 && letters >= 4*runs
}

// isDigest tells checksums that say so: sha256-..., sha512:....
func isDigest(value string) bool {
	algorithm, _, ok := strings.Cut(value, "-")
	if !ok {
		algorithm, _, ok = strings.Cut(value, ":")
	}
	return ok && (strings.HasPrefix(algorithm, "sha") || algorithm == "md5")
}
