package detect

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestPatternNeeds(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{`^(xmrig|kinsing)`, []string{"xmrig", "kinsing"}},
		{`minexmr|minergate|nanopool`, []string{"mine", "nanopool"}},
		{`id_rsa|\.pem$|password`, []string{"id_rsa", ".pem", "password"}},
		{`^/proc/[0-9]+/environ$`, []string{"/environ"}},
		{`(abc)+x*`, []string{"abc"}},
		{`(?i)stratum`, nil},
		{`a*|b`, nil},
		{`.*`, nil},
		{``, nil},
		{`x{2,3}y?`, []string{"x"}},
		{"\ufffd", nil},
	}
	for _, tt := range tests {
		p, err := newPattern(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(p.need, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.text, p.need, tt.want)
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
	for range 3000 {
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
