package version

import "slices"

// mavenKind is what a part of a Maven version is.
type mavenKind uint8

const (
	mavenWord mavenKind = iota
	// mavenList begins a list that is nested in the one before. Nothing but its
	// end can follow a nested list, so that a tree of lists is a flat row.
	mavenList
	mavenNumber
)

type mavenPart struct {
	kind mavenKind
	rank int8   // of a word
	text string // digits without leading zeros, or a word without a known rank
}

// Ranks of words. A release has none of them or one that means nothing.
const (
	mavenAlpha = iota
	mavenBeta
	mavenMilestone
	mavenRC
	mavenSnapshot
	mavenRelease
	mavenSP
	mavenOther
)

// mavenWords are small letters; a, b and m count only before a digit.
//
//nolint:gochecknoglobals // constant table
var mavenWords = []struct {
	word string
	rank int8
}{
	{"alpha", mavenAlpha},
	{"beta", mavenBeta},
	{"milestone", mavenMilestone},
	{"rc", mavenRC},
	{"cr", mavenRC},
	{"snapshot", mavenSnapshot},
	{"ga", mavenRelease},
	{"final", mavenRelease},
	{"release", mavenRelease},
	{"", mavenRelease},
	{"sp", mavenSP},
}

func compareMaven(a, b string) (int, error) {
	// Most versions fit: what does not is put on the heap by append.
	var x, y [16]mavenPart
	p, reason := parseMaven(x[:0], a)
	if reason != "" {
		return 0, &malformed{Maven, a, reason}
	}
	q, reason := parseMaven(y[:0], b)
	if reason != "" {
		return 0, &malformed{Maven, b, reason}
	}
	for i := range max(len(p), len(q)) {
		var c int
		switch {
		case i >= len(p):
			c = -q[i].compareNothing()
		case i >= len(q):
			c = p[i].compareNothing()
		default:
			c = p[i].compare(q[i])
		}
		if c != 0 {
			return c, nil
		}
	}
	return 0, nil
}

// parseMaven appends the parts of a version. ComparableVersion itself takes any
// text; characters that no repository has in a path are refused here, as they
// come of properties that were not filled in.
func parseMaven(parts []mavenPart, v string) (_ []mavenPart, reason string) {
	if v == "" {
		return parts, "it is empty"
	}
	start := 0
	for i := range len(v) {
		c := v[i]
		if !isAlnum(c) && c != '.' && c != '-' && c != '_' && c != '+' && c != '~' {
			return parts, "only letters, digits and .-_+~ may stand in it"
		}
		if c == '.' || c == '-' {
			if i == start {
				parts = append(parts, mavenPart{kind: mavenNumber})
			} else {
				parts = append(parts, mavenItem(v[start:i], false))
			}
			start = i + 1
			if c == '-' {
				parts = append(parts, mavenPart{kind: mavenList})
			}
			continue
		}
		if i == start || isDigit(c) == isDigit(v[i-1]) {
			continue
		}
		// Between digits and letters stands an unwritten hyphen, and one before a
		// word that digits follow: 1.0.x1 is 1.0-x-1.
		if isDigit(c) && filled(parts) {
			parts = append(parts, mavenPart{kind: mavenList})
		}
		parts = append(parts, mavenItem(v[start:i], isDigit(c)), mavenPart{kind: mavenList})
		start = i
	}
	if start < len(v) {
		if !isDigit(v[len(v)-1]) && filled(parts) {
			parts = append(parts, mavenPart{kind: mavenList})
		}
		parts = append(parts, mavenItem(v[start:], false))
	}
	return normalizeMaven(parts), ""
}

// filled says that the innermost list has parts.
func filled(parts []mavenPart) bool {
	return len(parts) > 0 && parts[len(parts)-1].kind != mavenList
}

func mavenItem(s string, digitFollows bool) mavenPart {
	if isDigit(s[0]) {
		return mavenPart{kind: mavenNumber, text: trimZeros(s)}
	}
	if digitFollows && len(s) == 1 {
		switch lower(s[0]) {
		case 'a':
			return mavenPart{rank: mavenAlpha}
		case 'b':
			return mavenPart{rank: mavenBeta}
		case 'm':
			return mavenPart{rank: mavenMilestone}
		}
	}
	for _, w := range mavenWords {
		if len(w.word) == len(s) && compareFold(w.word, s) == 0 {
			return mavenPart{rank: w.rank}
		}
	}
	return mavenPart{rank: mavenOther, text: s}
}

// normalizeMaven takes away, in place, what means nothing at the end of each
// list: zeros, words for a release, empty lists.
func normalizeMaven(parts []mavenPart) []mavenPart {
	kept := len(parts) // parts[kept:] is what stays of the parts behind p
	end := true
	for _, p := range slices.Backward(parts) {
		switch {
		case p.kind == mavenList:
			end = true
			if kept == len(parts) {
				continue
			}
		case end && p.nothing():
			continue
		default:
			end = false
		}
		kept--
		parts[kept] = p
	}
	return parts[kept:]
}

func (p mavenPart) nothing() bool {
	return p.kind == mavenNumber && p.text == "" || p.kind == mavenWord && p.rank == mavenRelease
}

// compareNothing compares a part with the end of the other version. The parts
// of a list are asked one by one.
func (p mavenPart) compareNothing() int {
	switch p.kind {
	case mavenNumber:
		return len(p.text)
	case mavenWord:
		return int(p.rank) - mavenRelease
	case mavenList:
	}
	return 0
}

// compare ranks words before lists, and lists before numbers.
func (p mavenPart) compare(q mavenPart) int {
	if p.kind != q.kind {
		return int(p.kind) - int(q.kind)
	}
	switch {
	case p.kind == mavenNumber:
		return compareNumbers(p.text, q.text)
	case p.rank != q.rank:
		return int(p.rank) - int(q.rank)
	}
	return compareFold(p.text, q.text)
}
