package detect

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// pattern is a regular expression with the texts of which every match holds one.
// Nearly all of what is tried holds none, and looking for a text is some ten times
// faster than Go's regular expressions.
type pattern struct {
	re   *regexp.Regexp
	need []string // empty where nothing is known
}

func newPattern(text string) (*pattern, error) {
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller leaves it to cel-go
	}
	p := &pattern{re: re}
	if tree, err := syntax.Parse(text, syntax.Perl); err == nil {
		p.need = needed(tree.Simplify())
	}
	return p, nil
}

func (p *pattern) matches(s string) bool {
	if len(p.need) == 0 {
		return p.re.MatchString(s)
	}
	for _, text := range p.need {
		if strings.Contains(s, text) {
			return p.re.MatchString(s)
		}
	}
	return false
}

// maxNeeded is how many texts are looked for at most.
const maxNeeded = 40

// needed returns texts of which every match of an expression holds one, nil where
// there are none to name.
func needed(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		text := string(re.Rune)
		// Broken UTF-8 matches the replacement character.
		if re.Flags&syntax.FoldCase != 0 || strings.ContainsRune(text, utf8.RuneError) {
			return nil
		}
		return []string{text}
	case syntax.OpCapture, syntax.OpPlus:
		return needed(re.Sub[0])
	case syntax.OpConcat:
		var best []string
		for _, sub := range re.Sub {
			if n := needed(sub); shortest(n) > shortest(best) {
				best = n
			}
		}
		return best
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			n := needed(sub)
			if n == nil || len(all)+len(n) > maxNeeded {
				return nil
			}
			all = append(all, n...)
		}
		return all
	default:
		return nil
	}
}

// shortest returns the length of the shortest text, in bytes; 0 where there is
// none.
func shortest(texts []string) int {
	out := 0
	for i, t := range texts {
		if i == 0 || len(t) < out {
			out = len(t)
		}
	}
	return out
}
