package detect

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestPatternTexts(t *testing.T) {
	tests := []struct {
		text         string
		starts, ends []string
		need         [][]string
	}{
		{text: `^(xmrig|kinsing)`, starts: []string{"xmrig", "kinsing"}, need: [][]string{{"xmrig", "kinsing"}}},
		{text: `minexmr|minergate|nanopool`, need: [][]string{{"mine", "nanopool"}}},
		{text: `id_rsa|\.pem$|password`, need: [][]string{{"id_rsa", ".pem", "password"}}},
		{text: `^/proc/[0-9]+/environ$`, starts: []string{"/proc/"}, ends: []string{"/environ"}, need: [][]string{{"/proc/"}, {"/environ"}}},
		{text: `(^|/)etc/(g?shadow)$`, ends: []string{"shadow", "gshadow"}, need: [][]string{{"etc/"}, {"shadow"}}},
		{text: `^a[xy](b|c)?$`, starts: []string{"a"}, ends: []string{"", "b", "c"}, need: [][]string{{"a"}}},
		{text: `^[a-z]+$|x`},
		{text: `(abc)+x*`, need: [][]string{{"abc"}}},
		{text: `(?i)stratum`},
		{text: `a*|b`},
		{text: `.*`},
		{text: ``},
		{text: `x{2,3}y?`, need: [][]string{{"x"}}},
		{text: "\ufffd"},
	}
	for _, tt := range tests {
		p, err := newPattern(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(p.starts, tt.starts) || !slices.Equal(p.ends, tt.ends) || !slices.EqualFunc(p.need, tt.need, slices.Equal) {
			t.Errorf("%s: got %q, %q and %q", tt.text, p.starts, p.ends, p.need)
		}
	}
}

// TestPatternsMatchTheSame makes expressions and texts at random.
func TestPatternsMatchTheSame(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	pick := func(from []string, n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(from[random.IntN(len(from))])
		}
		return b.String()
	}
	parts := []string{"a", "b", "ab", "ba", "(a|b)", "|", "a+", "b*", "(ab)?", "[ab]", ".", "^", "$", "(?i:ab)", "b{1,2}", "\\x{fffd}"}
	found := 0
	for range 10000 {
		text := pick(parts, 1+random.IntN(6))
		p, err := newPattern(text)
		if err != nil {
			continue
		}
		re := regexp.MustCompile(text)
		for range 20 {
			s := pick([]string{"a", "b", "A", "B", "\n", "\xff"}, random.IntN(6))
			if got, want := p.matches(s), re.MatchString(s); got != want {
				t.Fatalf("%q of %q: got %v, want %v", text, s, got, want)
			} else if want {
				found++
			}
		}
	}
	if found == 0 {
		t.Error("nothing ever matched")
	}
}
