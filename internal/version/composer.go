package version

import "strings"

// composer is a version as Composer normalises it, in its parts.
type composer struct {
	numbers string // digits between any of .:- and, of branches, x
	pad     string // what stands for numbers that are missing, and
	padding int    // how many are
	word    composerRank
	level   string // numbers behind the word, between . or -
	dev     bool
}

// composerRank is the rank of a part as PHP's version_compare has it.
type composerRank uint8

const (
	composerDev composerRank = iota
	composerAlpha
	composerBeta
	composerRC
	composerEnd // nothing more follows
	composerNumber
	composerPatch
)

// composerWords holds longer words before those that they begin with.
//
//nolint:gochecknoglobals // constant table
var composerWords = []struct {
	word string
	rank composerRank
}{
	{"stable", composerEnd},
	{"beta", composerBeta},
	{"b", composerBeta},
	{"rc", composerRC},
	{"alpha", composerAlpha},
	{"a", composerAlpha},
	{"patch", composerPatch},
	{"pl", composerPatch},
	{"p", composerPatch},
}

// composerX is what Composer puts for the x of a branch.
const composerX = "9999999"

func comparePackagist(a, b string) (int, error) {
	x, reason := parsePackagist(a)
	if reason != "" {
		return 0, &malformed{Packagist, a, reason}
	}
	y, reason := parsePackagist(b)
	if reason != "" {
		return 0, &malformed{Packagist, b, reason}
	}
	for {
		p, s := x.next()
		q, t := y.next()
		switch {
		case p != q:
			return int(p) - int(q), nil
		case p == composerEnd:
			return 0, nil
		}
		if c := compareNumbers(s, t); c != 0 {
			return c, nil
		}
	}
}

// next takes the first part off, and gives the digits of a number.
func (p *composer) next() (rank composerRank, number string) {
	switch {
	case p.numbers != "":
		n := strings.IndexAny(p.numbers, ".:-")
		if n < 0 {
			number, p.numbers = p.numbers, ""
		} else {
			number, p.numbers = p.numbers[:n], p.numbers[n+1:]
		}
		if !isDigit(number[0]) {
			number = composerX
		}
		return composerNumber, number
	case p.padding > 0:
		p.padding--
		return composerNumber, p.pad
	case p.word != composerEnd:
		rank, p.word = p.word, composerEnd
		return rank, ""
	case p.level != "":
		number, p.level = cutDigits(strings.TrimLeft(p.level, ".-"))
		return composerNumber, number
	case p.dev:
		p.dev = false
		return composerDev, ""
	}
	return composerEnd, ""
}

func parsePackagist(v string) (p composer, reason string) {
	v = strings.Trim(v, " \t\n\r\v\x00")
	v = cutStability(v)
	if v == "" {
		return p, "it is empty"
	}
	if _, ok := cutFold(v, "dev-"); ok || v == "master" || v == "trunk" || v == "default" {
		return p, "it is a branch, which has no place in the order"
	}
	if head, build, ok := strings.Cut(v, "+"); ok {
		if head == "" || build == "" || strings.ContainsAny(v, " \t\n\r\v\f") || strings.Contains(head, ",") {
			return p, "the build metadata is malformed"
		}
		v = head
	}
	v, _ = cutFold(v, "v")
	if p.plain(v) || p.date(v) || p.branch(v) {
		return p, ""
	}
	return p, "it is not of the form 1.2.3.4-beta5"
}

// cutStability takes the stability flag of a requirement (@beta) away.
func cutStability(v string) string {
	i := strings.LastIndexByte(v, '@')
	if i < 0 {
		return v
	}
	for _, word := range [...]string{"stable", "rc", "beta", "alpha", "dev"} {
		if compareFold(v[i+1:], word) == 0 {
			return v[:i]
		}
	}
	return v
}

// plain reads up to four numbers, of which the first has up to five digits.
func (p *composer) plain(v string) bool {
	n := span(v, isDigit)
	if n == 0 || n > 5 {
		return false
	}
	count := 1
	for count < 4 && n+1 < len(v) && v[n] == '.' && isDigit(v[n+1]) {
		n += 1 + span(v[n+1:], isDigit)
		count++
	}
	p.numbers, p.pad, p.padding = v[:n], "0", 4-count
	return p.modifiers(v[n:])
}

// date reads numbers that begin with a year: 20240131, 2024-01-31, 2024.01.31.12.
func (p *composer) date(v string) bool {
	n := span(v, func(c byte) bool { return isDigit(c) || c == '.' || c == ':' || c == '-' })
	if n > 0 && (v[n-1] == '.' || v[n-1] == '-') {
		n-- // it belongs to what follows
	}
	if !isDate(v[:n]) {
		return false
	}
	p.numbers, p.padding = v[:n], 0
	return p.modifiers(v[n:])
}

// isDate tells whether four digits are followed by one to six pairs and perhaps
// by one to three digits more, each with or without a separator before it.
func isDate(s string) bool {
	if span(s, isDigit) < 4 {
		return false
	}
	pairs := 0
	for s = s[4:]; ; {
		n := span(s, isDigit)
		if n == len(s) {
			// The last digits are pairs, or pairs and one to three more.
			p := pairs + n/2
			return p >= 1 && p <= 6 || n >= 2 && p-1 >= 1 && p-1 <= 6
		}
		if n%2 != 0 || n+1 == len(s) || !isDigit(s[n+1]) {
			return false
		}
		pairs += n / 2
		s = s[n+1:]
	}
}

// modifiers reads what follows the numbers: -beta2, -RC1-dev, p3.
func (p *composer) modifiers(s string) bool {
	p.word, p.level, p.dev = composerEnd, "", false
	if s != "" && (s[0] == '.' || s[0] == '_' || s[0] == '-') {
		s = s[1:]
	}
	stable := false
	for _, w := range composerWords {
		rest, ok := cutFold(s, w.word)
		if !ok {
			continue
		}
		n := 0
		for {
			m := n
			if m < len(rest) && (rest[m] == '.' || rest[m] == '-') {
				m++
			}
			digits := span(rest[m:], isDigit)
			if digits == 0 {
				break
			}
			n = m + digits
		}
		stable = w.rank == composerEnd
		p.word, p.level, s = w.rank, rest[:n], rest[n:]
		break
	}
	if s != "" {
		if s[0] == '.' || s[0] == '-' {
			s = s[1:]
		}
		if compareFold(s, "dev") != 0 {
			return false
		}
		p.dev = true
	}
	if stable {
		p.level, p.dev = "", false
	}
	return true
}

// branch reads the names of numbered branches: 1.x-dev, 2.3.x-dev.
func (p *composer) branch(v string) bool {
	if len(v) < len("1dev") || compareFold(v[len(v)-3:], "dev") != 0 {
		return false
	}
	v = v[:len(v)-3]
	if end := v[len(v)-1]; end == '.' || end == '-' {
		v = v[:len(v)-1]
	}
	n := span(v, isDigit)
	if n == 0 {
		return false
	}
	count := 1
	for n < len(v) {
		if v[n] != '.' || n+1 == len(v) || count == 4 {
			return false
		}
		n++
		if v[n] == 'x' || v[n] == 'X' || v[n] == '*' {
			n++
		} else if digits := span(v[n:], isDigit); digits > 0 {
			n += digits
		} else {
			return false
		}
		count++
	}
	*p = composer{numbers: v, pad: composerX, padding: 4 - count, word: composerEnd, dev: true}
	return true
}
