package version

import "strings"

// rpm is a version of an RPM package in its three parts.
type rpm struct{ epoch, version, release string }

// parseRPM splits [epoch:]version[-release] as rpm does, which itself refuses
// nothing; the characters are those that rpmbuild lets into the two parts.
func parseRPM(v string) (p rpm, reason string) {
	digits, rest := cutDigits(v)
	if strings.HasPrefix(rest, ":") {
		p.epoch, v = digits, rest[1:]
	}
	p.version = v
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		p.version, p.release = v[:i], v[i+1:]
		if p.release == "" {
			return p, "the release is empty"
		}
	}
	if p.version == "" {
		return p, "it is empty"
	}
	for i := range len(v) {
		switch c := v[i]; {
		case isAlnum(c), c == '.', c == '_', c == '+', c == '~', c == '^', c == '-':
		default:
			return p, "only letters, digits and ._+~^- may stand in it"
		}
	}
	return p, ""
}

func (p rpm) compare(q rpm) int {
	if c := compareNumbers(p.epoch, q.epoch); c != 0 {
		return c
	}
	if c := compareRPMPart(p.version, q.version); c != 0 {
		return c
	}
	if p.release == "" || q.release == "" {
		return len(p.release) - len(q.release)
	}
	return compareRPMPart(p.release, q.release)
}

// compareRPMPart compares the runs of letters and of digits of two strings by
// turns; what stands between the runs does not count, but for ~, which comes
// before the end, and ^, which comes after the end and before all else.
func compareRPMPart(a, b string) int {
	for {
		a, b = skipRPMSeparators(a), skipRPMSeparators(b)
		x, y := rpmMark(a), rpmMark(b)
		if x != y {
			return x - y
		}
		switch x {
		case rpmEnd:
			return 0
		case rpmTilde, rpmCaret:
			a, b = a[1:], b[1:]
			continue
		}
		var s, t string
		if isDigit(a[0]) {
			s, a = cutDigits(a)
			t, b = cutDigits(b)
			if t == "" {
				return 1 // numbers come after letters
			}
			if c := compareNumbers(s, t); c != 0 {
				return c
			}
			continue
		}
		s, a = cutLetters(a)
		t, b = cutLetters(b)
		if t == "" {
			return -1
		}
		if c := strings.Compare(s, t); c != 0 {
			return c
		}
	}
}

// What can stand at a place of an RPM version, in the order of rank.
const (
	rpmTilde = iota
	rpmEnd
	rpmCaret
	rpmRun
)

func rpmMark(s string) int {
	switch {
	case s == "":
		return rpmEnd
	case s[0] == '~':
		return rpmTilde
	case s[0] == '^':
		return rpmCaret
	}
	return rpmRun
}

func skipRPMSeparators(s string) string {
	i := 0
	for i < len(s) && !isAlnum(s[i]) && s[i] != '~' && s[i] != '^' {
		i++
	}
	return s[i:]
}

func cutLetters(s string) (letters, rest string) {
	i := 0
	for i < len(s) && isAlpha(s[i]) {
		i++
	}
	return s[:i], s[i:]
}
