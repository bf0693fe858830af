package version

import "strings"

func compareGem(a, b string) (int, error) {
	x, reason := parseGem(a)
	if reason != "" {
		return 0, &malformed{RubyGems, a, reason}
	}
	y, reason := parseGem(b)
	if reason != "" {
		return 0, &malformed{RubyGems, b, reason}
	}
	for {
		s, t := x.next(), y.next()
		if s == "" && t == "" {
			return 0, nil
		}
		if c := compareSegments(s, t); c != 0 {
			return c, nil
		}
	}
}

// compareSegments ranks words before numbers. A missing segment counts as zero.
func compareSegments(a, b string) int {
	switch x, y := allDigits(a), allDigits(b); {
	case x && y:
		return compareNumbers(a, b)
	case x:
		return 1
	case y:
		return -1
	}
	return strings.Compare(a, b)
}

// gemLexer walks over the segments of a version, numbers and words, and leaves
// out the zeros that do not count: those at the end, and those just before the
// first word.
type gemLexer struct {
	rest string
	word bool // a word was met
	// counted is how much of rest was left where a zero was last found to count:
	// up to there all zeros do.
	counted int
}

// parseGem refuses what Gem::Version refuses, and the empty version, which
// Gem::Version takes for 0.
func parseGem(v string) (l gemLexer, reason string) {
	v = strings.Trim(v, " \t\n\v\f\r")
	if v == "" {
		return l, "it is empty"
	}
	head, tail, hyphen := strings.Cut(v, "-")
	switch n := span(head, isDigit); {
	case n == 0:
		return l, "it does not start with a digit"
	case n < len(head) && head[n] != '.':
		return l, "the first part is not a number"
	case !validLabels(head), hyphen && !validLabels(tail):
		return l, "a part is empty or has characters other than letters and digits"
	}
	return gemLexer{rest: v, counted: len(v)}, ""
}

// next is the next segment that counts; at the end it is empty.
func (l *gemLexer) next() string {
	for {
		s := l.segment()
		switch {
		case s == "", !allDigits(s):
			l.word = true
			return s
		case trimZeros(s) != "", len(l.rest) >= l.counted:
			return s
		}
		ahead := *l
		before := ahead.rest
		t := ahead.segment()
		for t != "" && trimZeros(t) == "" {
			before = ahead.rest
			t = ahead.segment()
		}
		if t != "" && (l.word || allDigits(t)) {
			l.counted = len(before)
			return s
		}
		l.rest = before
	}
}

// segment cuts the next run of digits or letters off; a hyphen stands for the
// word pre.
func (l *gemLexer) segment() string {
	l.rest = strings.TrimLeft(l.rest, ".")
	if l.rest == "" {
		return ""
	}
	if l.rest[0] == '-' {
		l.rest = l.rest[1:]
		return "pre"
	}
	is := isAlpha
	if isDigit(l.rest[0]) {
		is = isDigit
	}
	n := span(l.rest, is)
	s := l.rest[:n]
	l.rest = l.rest[n:]
	return s
}
