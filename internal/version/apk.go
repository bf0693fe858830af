package version

import "strings"

// apkPart is the kind of a part of an Alpine version. Their order is that in
// which they may follow each other, and their rank: where one version has a
// part of a kind and the other goes on with a later kind, the first is newer.
type apkPart uint8

const (
	apkFirst    apkPart = iota // the first number
	apkNumber                  // .2
	apkLetter                  // one small letter behind the numbers
	apkSuffix                  // _rc
	apkSuffixNo                // the number behind the suffix
	apkHash                    // ~1f2e, of a commit
	apkRevision                // -r3
	apkEnd
)

// apkLexer walks over the parts of one version.
type apkLexer struct {
	rest string
	kind apkPart
	text string // of the part: digits, letter, hash
	rank int    // of a suffix, below 0 for those that come before the release
}

// next steps to the next part, and gives the reason where none can stand.
func (l *apkLexer) next() (reason string) {
	if l.rest == "" {
		l.kind, l.text = apkEnd, ""
		return ""
	}
	was, c := l.kind, l.rest[0]
	switch {
	case isDigit(c) && was == apkSuffix:
		l.kind = apkSuffixNo
		l.text, l.rest = cutDigits(l.rest)
		return ""
	case isLower(c) && was <= apkNumber:
		l.kind, l.text, l.rest = apkLetter, l.rest[:1], l.rest[1:]
		return ""
	case c == '.' && was <= apkNumber:
		return l.number(apkNumber, l.rest[1:])
	case c == '_' && was <= apkSuffixNo:
		l.kind = apkSuffix
		return l.suffix()
	case c == '~' && was < apkHash:
		l.kind = apkHash
		n := span(l.rest[1:], func(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' })
		if n == 0 {
			return "no hexadecimal digits follow ~"
		}
		l.text, l.rest = l.rest[1:1+n], l.rest[1+n:]
		return ""
	case strings.HasPrefix(l.rest, "-r") && was < apkRevision:
		return l.number(apkRevision, l.rest[2:])
	}
	return "it is not of the form 1.2.3a_rc4~5f-r6"
}

func (l *apkLexer) number(kind apkPart, s string) (reason string) {
	l.kind = kind
	l.text, l.rest = cutDigits(s)
	if l.text == "" {
		return "a number is missing"
	}
	return ""
}

func (l *apkLexer) suffix() (reason string) {
	n := 1
	for n < len(l.rest) && isLower(l.rest[n]) {
		n++
	}
	switch l.rest[1:n] {
	case "alpha":
		l.rank = -4
	case "beta":
		l.rank = -3
	case "pre":
		l.rank = -2
	case "rc":
		l.rank = -1
	case "cvs":
		l.rank = 1
	case "svn":
		l.rank = 2
	case "git":
		l.rank = 3
	case "hg":
		l.rank = 4
	case "p":
		l.rank = 5
	default:
		return "the suffix is none of alpha, beta, pre, rc, cvs, svn, git, hg, p"
	}
	l.text, l.rest = "", l.rest[n:]
	return ""
}

// compare compares two parts of the same kind.
func (l *apkLexer) compare(m *apkLexer) int {
	switch l.kind {
	case apkSuffix:
		return l.rank - m.rank
	case apkNumber:
		// A leading zero makes a fraction of a number: 1.05 comes before 1.1.
		if l.text[0] == '0' || m.text[0] == '0' {
			return strings.Compare(l.text, m.text)
		}
	case apkLetter, apkHash, apkEnd:
		return strings.Compare(l.text, m.text)
	case apkFirst, apkSuffixNo, apkRevision:
	}
	return compareNumbers(l.text, m.text)
}

// valid walks over what is left of a version.
func (l apkLexer) valid() (reason string) {
	for l.kind != apkEnd {
		if reason := l.next(); reason != "" {
			return reason
		}
	}
	return ""
}

// compareAPK decides at the first part in which the two differ, and then makes
// sure that the rest of both is well formed.
func compareAPK(a, b string) (int, error) {
	var l, m apkLexer
	if reason := l.number(apkFirst, a); reason != "" {
		return 0, &malformed{APK, a, reason}
	}
	if reason := m.number(apkFirst, b); reason != "" {
		return 0, &malformed{APK, b, reason}
	}
	c := 0
	for c == 0 {
		if l.kind != m.kind {
			c = l.shorter(&m)
			break
		}
		if c = l.compare(&m); c != 0 || l.kind == apkEnd {
			break
		}
		if reason := l.next(); reason != "" {
			return 0, &malformed{APK, a, reason}
		}
		if reason := m.next(); reason != "" {
			return 0, &malformed{APK, b, reason}
		}
	}
	if reason := l.valid(); reason != "" {
		return 0, &malformed{APK, a, reason}
	}
	if reason := m.valid(); reason != "" {
		return 0, &malformed{APK, b, reason}
	}
	return c, nil
}

// shorter decides between two versions that are equal up to parts of different
// kinds.
func (l *apkLexer) shorter(m *apkLexer) int {
	switch {
	case l.kind == apkSuffix && l.rank < 0:
		return -1
	case m.kind == apkSuffix && m.rank < 0:
		return 1
	}
	return int(m.kind) - int(l.kind)
}
