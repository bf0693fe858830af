package version

import "strings"

// deb is a version of a Debian package in its three parts.
type deb struct{ epoch, upstream, revision string }

// parseDeb refuses what dpkg --validate-version refuses, and says why.
func parseDeb(v string) (p deb, reason string) {
	v = strings.Trim(v, " \t\n\v\f\r")
	if v == "" {
		return p, "it is empty"
	}
	if epoch, rest, ok := strings.Cut(v, ":"); ok {
		if epoch == "" || !allDigits(epoch) {
			return p, "the epoch is not a number"
		}
		if compareNumbers(epoch, "2147483647") > 0 {
			return p, "the epoch is above 2147483647"
		}
		if rest == "" {
			return p, "nothing follows the epoch"
		}
		p.epoch, v = epoch, rest
	}
	p.upstream = v
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		p.upstream, p.revision = v[:i], v[i+1:]
		if p.revision == "" {
			return p, "the revision is empty"
		}
	}
	if p.upstream == "" || !isDigit(p.upstream[0]) {
		return p, "the upstream version does not start with a digit"
	}
	for i := range len(p.upstream) {
		switch c := p.upstream[i]; {
		case isAlnum(c), c == '.', c == '+', c == '~', c == '-', c == ':':
		default:
			return p, "only letters, digits and .+~:- may stand in it"
		}
	}
	for i := range len(p.revision) {
		switch c := p.revision[i]; {
		case isAlnum(c), c == '.', c == '+', c == '~':
		default:
			return p, "only letters, digits and .+~ may stand in the revision"
		}
	}
	return p, ""
}

func (p deb) compare(q deb) int {
	if c := compareNumbers(p.epoch, q.epoch); c != 0 {
		return c
	}
	if c := compareDebPart(p.upstream, q.upstream); c != 0 {
		return c
	}
	return compareDebPart(p.revision, q.revision)
}

// compareDebPart compares text and numbers by turns. A missing revision counts
// as 0, which is what the empty string compares equal to.
func compareDebPart(a, b string) int {
	for a != "" || b != "" {
		i, j := 0, 0
		for i < len(a) && !isDigit(a[i]) || j < len(b) && !isDigit(b[j]) {
			if c := debWeight(a, i) - debWeight(b, j); c != 0 {
				return c
			}
			i++
			j++
		}
		var x, y string
		x, a = cutDigits(a[min(i, len(a)):])
		y, b = cutDigits(b[min(j, len(b)):])
		if c := compareNumbers(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// debWeight ranks what stands at s[i]: tilde, then the end and digits, then
// letters, then all else.
func debWeight(s string, i int) int {
	switch {
	case i >= len(s) || isDigit(s[i]):
		return 0
	case s[i] == '~':
		return -1
	case isAlpha(s[i]):
		return int(s[i])
	}
	return int(s[i]) + 256
}
