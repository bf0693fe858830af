package version

import "strings"

// pypi is a version in the parts that PEP 440 gives it.
type pypi struct {
	epoch   string
	release string // 1.2.3
	pre     pypiPart
	post    pypiPart
	dev     pypiPart
	local   string
}

// pypiPart is a part that may be missing: rank 0 says that it is.
type pypiPart struct {
	rank   int
	number string
}

func comparePyPI(a, b string) (int, error) {
	x, reason := parsePyPI(a)
	if reason != "" {
		return 0, &malformed{PyPI, a, reason}
	}
	y, reason := parsePyPI(b)
	if reason != "" {
		return 0, &malformed{PyPI, b, reason}
	}
	return x.compare(&y), nil
}

// The words of PEP 440, longer ones before those that they begin with.
//
//nolint:gochecknoglobals // constant tables
var (
	pypiPre  = []pypiWord{{"alpha", 1}, {"a", 1}, {"beta", 2}, {"b", 2}, {"preview", 3}, {"pre", 3}, {"rc", 3}, {"c", 3}}
	pypiPost = []pypiWord{{"post", 1}, {"rev", 1}, {"r", 1}}
	pypiDev  = []pypiWord{{"dev", 1}}
)

type pypiWord struct {
	word string
	rank int
}

func parsePyPI(v string) (p pypi, reason string) {
	rest := strings.TrimSpace(v)
	if rest != "" && lower(rest[0]) == 'v' {
		rest = rest[1:]
	}
	if digits, behind := cutDigits(rest); digits != "" && strings.HasPrefix(behind, "!") {
		p.epoch, rest = digits, behind[1:]
	}
	n := pypiRelease(rest)
	if n == 0 {
		return p, "it does not begin with a number"
	}
	p.release, rest = rest[:n], rest[n:]
	p.pre, rest = cutPyPIPart(rest, pypiPre)
	if len(rest) > 1 && rest[0] == '-' && isDigit(rest[1]) { // 1.0-1 is 1.0.post1
		p.post.rank = 1
		p.post.number, rest = cutDigits(rest[1:])
	} else {
		p.post, rest = cutPyPIPart(rest, pypiPost)
	}
	p.dev, rest = cutPyPIPart(rest, pypiDev)
	if strings.HasPrefix(rest, "+") {
		p.local, rest = rest[1:], ""
		if !validLocal(p.local) {
			return p, "the local version is malformed"
		}
	}
	if rest != "" {
		return p, "it is not of the form 1!2.3rc4.post5.dev6+local that PEP 440 asks for"
	}
	return p, ""
}

// pypiRelease is the length of the numbers that s begins with.
func pypiRelease(s string) int {
	n := span(s, isDigit)
	for n > 0 && n+1 < len(s) && s[n] == '.' && isDigit(s[n+1]) {
		n += 1 + span(s[n+1:], isDigit)
	}
	return n
}

func cutPyPIPart(s string, words []pypiWord) (pypiPart, string) {
	rest := cutPyPISeparator(s)
	for _, w := range words {
		behind, ok := cutFold(rest, w.word)
		if !ok {
			continue
		}
		digits, end := cutDigits(cutPyPISeparator(behind))
		return pypiPart{w.rank, digits}, end
	}
	return pypiPart{}, s
}

func cutPyPISeparator(s string) string {
	if s != "" && isPyPISeparator(s[0]) {
		return s[1:]
	}
	return s
}

func isPyPISeparator(c byte) bool { return c == '.' || c == '-' || c == '_' }

func validLocal(s string) bool {
	empty := true
	for i := range len(s) {
		switch c := s[i]; {
		case isAlnum(c):
			empty = false
		case isPyPISeparator(c) && !empty:
			empty = true
		default:
			return false
		}
	}
	return !empty
}

func (p *pypi) compare(q *pypi) int {
	if c := compareNumbers(p.epoch, q.epoch); c != 0 {
		return c
	}
	if c := compareReleases(p.release, q.release); c != 0 {
		return c
	}
	if c := p.stage() - q.stage(); c != 0 {
		return c
	}
	if c := compareNumbers(p.pre.number, q.pre.number); c != 0 {
		return c
	}
	if c := p.post.rank - q.post.rank; c != 0 {
		return c
	}
	if c := compareNumbers(p.post.number, q.post.number); c != 0 {
		return c
	}
	if c := q.dev.rank - p.dev.rank; c != 0 {
		return c
	}
	if c := compareNumbers(p.dev.number, q.dev.number); c != 0 {
		return c
	}
	return compareLocal(p.local, q.local)
}

// stage ranks development of a release before its alphas, and the release
// itself behind its candidates.
func (p *pypi) stage() int {
	switch {
	case p.pre.rank != 0:
		return p.pre.rank
	case p.post.rank == 0 && p.dev.rank != 0:
		return 0
	}
	return 4
}

// compareReleases compares numbers between dots; missing ones are zero.
func compareReleases(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = cutDigits(strings.TrimPrefix(a, "."))
		y, b = cutDigits(strings.TrimPrefix(b, "."))
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// compareLocal ranks numbers by value, behind words, and the longer of two that
// are equal so far behind the shorter.
func compareLocal(a, b string) int {
	for a != "" && b != "" {
		var x, y string
		x, a = cutLocal(a)
		y, b = cutLocal(b)
		var c int
		switch m, n := allDigits(x), allDigits(y); {
		case m && n:
			c = compareNumbers(x, y)
		case m:
			c = 1
		case n:
			c = -1
		default:
			c = compareFold(x, y)
		}
		if c != 0 {
			return c
		}
	}
	return len(a) - len(b)
}

func cutLocal(s string) (part, rest string) {
	for i := range len(s) {
		if isPyPISeparator(s[i]) {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
