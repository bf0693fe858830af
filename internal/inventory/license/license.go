// Package license judges the licences that packages state by lists of what is
// allowed and what is not. It reads SPDX expressions
// (https://spdx.github.io/spdx-spec/v3.0.1/annexes/spdx-license-expressions/)
// and the short names of distributions. It gives no advice: a text that names no
// licence of the SPDX list is unknown, which is not allowed and not denied.
package license

import (
	_ "embed" // ids.txt
	"regexp"
	"slices"
	"strings"
	"sync"

	"seawall.io/seawall/internal/inventory"
)

// Verdict is what a policy says of a licence.
type Verdict uint8

// The verdicts, in the order in which one prevails where all of several
// licences hold together (AND). Where one may be chosen (OR) it is the reverse.
const (
	Allowed Verdict = iota
	Unknown
	Denied
)

// Policy is what may be used. A pattern is an identifier, or a part of one with
// a star for the rest (AGPL-*); case does not count.
type Policy struct {
	// Deny names what must not be used. Where Allow is not empty all else than what
	// it names must not be used either. Deny prevails.
	Deny, Allow []string
}

// Limits of an expression: no package has one that comes near.
const (
	maxBytes = 4096
	maxDepth = 32
)

// Of is the expression of all that a package states: its list is one of
// licences that hold together, but in Composer's files one to choose from.
func Of(p *inventory.Package) string {
	join := " AND "
	if p.Type == inventory.Composer {
		join = " OR "
	}
	if len(p.Licenses) < 2 {
		return strings.Join(p.Licenses, "")
	}
	parts := make([]string, len(p.Licenses))
	for i, l := range p.Licenses {
		if parts[i] = l; strings.Contains(l, " ") {
			parts[i] = "(" + l + ")"
		}
	}
	return strings.Join(parts, join)
}

// Judge says what the policy says of an expression.
func (p *Policy) Judge(expression string) Verdict {
	if strings.TrimSpace(expression) == "" || len(expression) > maxBytes {
		return Unknown
	}
	r := reader{policy: p, words: split(expression)}
	v, ok := r.either(0)
	if !ok || len(r.words) > 0 {
		return p.word(strings.TrimSpace(expression)) // free text, which a pattern may name
	}
	return v
}

// split makes words of an expression; parentheses are words.
func split(text string) []string {
	return strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(text))
}

// reader reads an expression word by word.
type reader struct {
	policy *Policy
	words  []string
}

func (r *reader) next(word string) bool {
	if len(r.words) == 0 || !strings.EqualFold(r.words[0], word) {
		return false
	}
	r.words = r.words[1:]
	return true
}

// either reads alternatives: the best counts.
func (r *reader) either(depth int) (Verdict, bool) {
	best, ok := r.both(depth)
	for ok && r.next("OR") {
		var v Verdict
		v, ok = r.both(depth)
		best = min(best, v)
	}
	return best, ok
}

// both reads what holds together: the worst counts.
func (r *reader) both(depth int) (Verdict, bool) {
	worst, ok := r.one(depth)
	for ok && r.next("AND") {
		var v Verdict
		v, ok = r.one(depth)
		worst = max(worst, v)
	}
	return worst, ok
}

func (r *reader) one(depth int) (Verdict, bool) {
	if r.next("(") {
		if depth == maxDepth {
			return Unknown, false
		}
		v, ok := r.either(depth + 1)
		return v, ok && r.next(")")
	}
	if len(r.words) == 0 || slices.ContainsFunc([]string{"AND", "OR", "WITH", ")"}, func(w string) bool { return strings.EqualFold(w, r.words[0]) }) {
		return Unknown, false
	}
	word := r.words[0]
	r.words = r.words[1:]
	if !r.next("WITH") {
		return r.policy.word(word), true
	}
	if len(r.words) == 0 {
		return Unknown, false
	}
	exception := r.words[0]
	r.words = r.words[1:]
	// An exception permits more. Who denies a licence by its name denies it with
	// one, too, unless the list of what is allowed has the two together.
	if together := canonical(word) + " WITH " + exception; named(r.policy.Allow, together) && !named(r.policy.Deny, together) {
		return Allowed, true
	}
	return r.policy.word(word), true
}

// word judges one licence.
func (p *Policy) word(text string) Verdict {
	id := canonical(text)
	switch {
	case named(p.Deny, id) || named(p.Deny, text):
		return Denied
	case named(p.Allow, id) || named(p.Allow, text):
		return Allowed
	case !known(id):
		return Unknown
	case len(p.Allow) > 0:
		return Denied
	}
	return Allowed
}

func named(patterns []string, text string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(strings.ToLower(p), strings.ToLower(text)) })
}

// match holds a text against a pattern with stars.
func match(pattern, text string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	if text, star = strings.CutPrefix(text, head); !star {
		return false
	}
	for {
		part, more, another := strings.Cut(rest, "*")
		if !another {
			return strings.HasSuffix(text, part)
		}
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text, rest = text[at+len(part):], more
	}
}

//go:embed ids.txt
var ids string

// list holds the identifiers of the SPDX licence list 3.17 by their lower case.
//
//nolint:gochecknoglobals // read once from a constant table
var list = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	for id := range strings.FieldsSeq(ids) {
		out[strings.ToLower(id)] = id
	}
	return out
})

func known(id string) bool {
	_, ok := list()[strings.ToLower(id)]
	return ok || id == publicDomain
}

const publicDomain = "public-domain"

// others are names that distributions and registries use for licences of the
// list.
//
//nolint:gochecknoglobals // a constant table
var others = map[string]string{
	"expat": "MIT", "mit license": "MIT", "the mit license": "MIT", "apache 2.0": "Apache-2.0", "apache-2": "Apache-2.0", "apache license 2.0": "Apache-2.0",
	"apache license, version 2.0": "Apache-2.0", "the apache software license, version 2.0": "Apache-2.0", "asl 2.0": "Apache-2.0",
	"bsd-2-clauses": "BSD-2-Clause", "bsd-3-clauses": "BSD-3-Clause", "bsd-4-clauses": "BSD-4-Clause", "mplv2.0": "MPL-2.0", "cc0": "CC0-1.0",
	"public domain": publicDomain, "public-domain": publicDomain, "zlib/libpng": "Zlib", "psf": "PSF-2.0", "boost": "BSL-1.0",
}

var gnu = regexp.MustCompile(`^(a|l)?gpl[- ]?v?([1-3])(?:\.([0-9]))?(\+|-only|-or-later)?$`)

// canonical is the identifier of a licence, or the text where it is not known.
func canonical(text string) string {
	low := strings.ToLower(text)
	if id, ok := others[low]; ok {
		return id
	}
	if m := gnu.FindStringSubmatch(low); m != nil {
		minor := m[3]
		if minor == "" {
			minor = "0"
		}
		kind := "-only"
		if m[4] == "+" || m[4] == "-or-later" {
			kind = "-or-later"
		}
		if id, ok := list()[m[1]+"gpl-"+m[2]+"."+minor+kind]; ok {
			return id
		}
	}
	if id, ok := list()[low]; ok {
		return id
	}
	if id, ok := list()[strings.TrimSuffix(low, "+")]; ok {
		return id
	}
	return text
}
