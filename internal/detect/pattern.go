package detect

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// pattern is a regular expression with texts that tell cheaply of nearly all that is
// tried that it does not match: looking for a text is some ten times faster than
// Go's regular expressions.
type pattern struct {
	re *regexp.Regexp
	// Every match begins with one of starts, ends with one of ends, and holds one of
	// each of need; where a list is empty nothing is known.
	starts, ends []string
	need         [][]string // the shortest list first
}

func newPattern(text string) (*pattern, error) {
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller leaves it to cel-go
	}
	p := &pattern{re: re}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return p, nil //nolint:nilerr // the expression works without what it would tell
	}
	tree = tree.Simplify()
	subs := []*syntax.Regexp{tree}
	if tree.Op == syntax.OpConcat {
		subs = tree.Sub
	}
	for _, sub := range subs {
		if n := needed(sub); n != nil {
			p.need = append(p.need, n)
		}
	}
	slices.SortStableFunc(p.need, func(a, b []string) int { return len(a) - len(b) })
	if last := len(subs) - 1; last > 0 {
		if subs[0].Op == syntax.OpBeginText {
			p.starts = spelt(subs[1])
		}
		if subs[last].Op == syntax.OpEndText {
			p.ends = spelt(subs[last-1])
		}
	}
	return p, nil
}

func (p *pattern) matches(s string) bool {
	if !among(p.starts, s, strings.HasPrefix) || !among(p.ends, s, strings.HasSuffix) {
		return false
	}
	for _, texts := range p.need {
		if !among(texts, s, strings.Contains) {
			return false
		}
	}
	return p.re.MatchString(s)
}

// among says whether one of the texts passes; where there are none, all does.
func among(texts []string, s string, test func(s, text string) bool) bool {
	for _, text := range texts {
		if test(s, text) {
			return true
		}
	}
	return len(texts) == 0
}

// spelt returns all texts that an expression matches, nil where they are too many or
// not known.
func spelt(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []string{""}
	case syntax.OpLiteral:
		return needed(re)
	case syntax.OpCapture:
		return spelt(re.Sub[0])
	case syntax.OpQuest:
		if all := spelt(re.Sub[0]); all != nil {
			return append([]string{""}, all...)
		}
	case syntax.OpCharClass:
		var all []string
		for i := 0; i+1 < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if len(all) == maxNeeded || r == utf8.RuneError {
					return nil
				}
				all = append(all, string(r))
			}
		}
		return all
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			each := spelt(sub)
			if each == nil || len(all)+len(each) > maxNeeded {
				return nil
			}
			all = append(all, each...)
		}
		return all
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range re.Sub {
			each := spelt(sub)
			if each == nil || len(all)*len(each) > maxNeeded {
				return nil
			}
			var longer []string
			for _, a := range all {
				for _, b := range each {
					longer = append(longer, a+b)
				}
			}
			all = longer
		}
		return all
	default:
	}
	return nil
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
			if n := needed(sub); telling(n, best) {
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

// telling says whether texts are better to look for than others: longer or, where
// they are long enough, fewer.
func telling(texts, others []string) bool {
	const enough = 4 // bytes
	a, b := min(shortest(texts), enough), min(shortest(others), enough)
	return a > b || a == b && a > 0 && len(texts) < len(others)
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
