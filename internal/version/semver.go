package version

import "strings"

// semver is a version of numbers and labels. Build metadata is not in it, as it
// does not count.
type semver struct {
	numbers [4]string // missing ones are empty, and count as zero
	// pre holds the labels of a version before the release, without the hyphen.
	pre string
	// release marks the form of Go releases, 1.22rc1, whose label ends where its
	// number begins.
	release bool
	fold    bool // capitals count as small letters
}

const semverForm = "it is not of the form 1.2.3-pre.4+build"

func (o Order) compareSemver(a, b string) (int, error) {
	x, reason := o.parseSemver(a)
	if reason != "" {
		return 0, &malformed{o, a, reason}
	}
	y, reason := o.parseSemver(b)
	if reason != "" {
		return 0, &malformed{o, b, reason}
	}
	return x.compare(&y), nil
}

func (o Order) parseSemver(v string) (p semver, reason string) {
	var rest string
	parts := 3
	switch o {
	case NPM:
		rest = strings.Trim(strings.TrimLeft(v, "v= \t\n\r"), " \t\n\r")
	case Go:
		if release, ok := strings.CutPrefix(v, "go"); ok {
			// Whoever builds Go adds words of their own: go1.22.1-custom, go1.22.1 X:boringcrypto.
			if i := strings.IndexAny(release, "- +"); i >= 0 {
				release = release[:i]
			}
			rest = release
		} else {
			rest = strings.TrimPrefix(v, "v")
		}
	case NuGet:
		parts, p.fold = 4, true
		rest = strings.TrimSpace(v)
		rest = strings.TrimPrefix(rest, "v")
	default:
		rest = strings.TrimPrefix(v, "v")
	}
	if rest == "" {
		return p, "it is empty"
	}
	for i := range parts {
		p.numbers[i], rest = cutDigits(rest)
		if p.numbers[i] == "" {
			return p, "a number is missing"
		}
		if rest == "" {
			return p, ""
		}
		if rest[0] != '.' {
			break
		}
		if i == parts-1 {
			return p, "it has too many numbers"
		}
		rest = rest[1:]
	}
	return p, p.labels(o, rest)
}

// labels reads what follows the numbers.
func (p *semver) labels(o Order, rest string) (reason string) {
	rest, build, hasBuild := strings.Cut(rest, "+")
	if hasBuild && !validLabels(build) {
		return "the build metadata is malformed"
	}
	switch {
	case rest == "":
		return ""
	case o == NPM && (rest == "-" || strings.HasPrefix(rest, "-.")):
		p.pre = rest // the hyphen may be missing, and so is a label here
	case rest[0] == '-':
		p.pre = rest[1:]
	case o == NPM && isAlpha(rest[0]):
		p.pre = rest
	case o == Go && isLower(rest[0]):
		p.pre, p.release = rest, true
	default:
		return semverForm
	}
	if !validLabels(p.pre) {
		return "a label is empty or has characters other than letters, digits and -"
	}
	return ""
}

func validLabels(s string) bool {
	empty := true
	for i := range len(s) {
		switch c := s[i]; {
		case isAlnum(c), c == '-':
			empty = false
		case c == '.' && !empty:
			empty = true
		default:
			return false
		}
	}
	return !empty
}

func (p *semver) compare(q *semver) int {
	for i := range p.numbers {
		if c := compareNumbers(p.numbers[i], q.numbers[i]); c != 0 {
			return c
		}
	}
	if p.pre == "" || q.pre == "" {
		return len(q.pre) - len(p.pre) // the release comes after what precedes it
	}
	a, b := p.pre, q.pre
	for a != "" && b != "" {
		var x, y string
		x, a = cutLabel(a, p.release)
		y, b = cutLabel(b, q.release)
		if c := compareLabels(x, y, p.fold); c != 0 {
			return c
		}
	}
	return len(a) - len(b)
}

func cutLabel(s string, release bool) (label, rest string) {
	for i := range len(s) {
		if s[i] == '.' {
			return s[:i], s[i+1:]
		}
		if release && i > 0 && isDigit(s[i]) && !isDigit(s[i-1]) {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// compareLabels ranks numbers by value, before labels that are none.
func compareLabels(a, b string, fold bool) int {
	switch x, y := allDigits(a), allDigits(b); {
	case x && y:
		return compareNumbers(a, b)
	case x:
		return -1
	case y:
		return 1
	case fold:
		return compareFold(a, b)
	}
	return strings.Compare(a, b)
}
