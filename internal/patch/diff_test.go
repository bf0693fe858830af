package patch

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	for _, tt := range []struct{ name, before, after, want string }{
		{"equal", "a\n", "a\n", ""},
		{"insert", "1\n2\n3\n4\n5\n6\n7\n8\n", "1\n2\n3\n4\nx\n5\n6\n7\n8\n", "--- a/f\n+++ b/f\n@@ -2,6 +2,7 @@\n 2\n 3\n 4\n+x\n 5\n 6\n 7\n"},
		{"replace-first", "a\nb\n", "x\nb\n", "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-a\n+x\n b\n"},
		{"from-nothing", "", "a\n", "--- a/f\n+++ b/f\n@@ -0,0 +1 @@\n+a\n"},
		{"to-nothing", "a\n", "", "--- a/f\n+++ b/f\n@@ -1 +0,0 @@\n-a\n"},
		{"no-newline", "a\nb", "a\nb\n", "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"},
		{"crlf", "a\r\nb\r\n", "a\r\nc\r\n", "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\r\n"},
		{
			"two-hunks", "x\n1\n2\n3\n4\n5\n6\n7\nx\n", "y\n1\n2\n3\n4\n5\n6\n7\ny\n",
			"--- a/f\n+++ b/f\n@@ -1,4 +1,4 @@\n-x\n+y\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-x\n+y\n",
		},
		{
			"one-hunk", "x\n1\n2\n3\n4\n5\n6\nx\n", "y\n1\n2\n3\n4\n5\n6\ny\n",
			"--- a/f\n+++ b/f\n@@ -1,8 +1,8 @@\n-x\n+y\n 1\n 2\n 3\n 4\n 5\n 6\n-x\n+y\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, string(Diff("f", []byte(tt.before), []byte(tt.after)))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestDiffApplies turns random texts into each other by their diffs.
func TestDiffApplies(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	text := func() []byte {
		var b strings.Builder
		for range r.IntN(40) {
			fmt.Fprintln(&b, r.IntN(4))
		}
		return []byte(strings.TrimSuffix(b.String(), strings.Repeat("\n", r.IntN(2))))
	}
	for range 3000 {
		before, after := text(), text()
		if got := applyDiff(t, before, Diff("f", before, after)); !bytes.Equal(got, after) {
			t.Fatalf("got %q, want %q from %q by\n%s", got, after, before, Diff("f", before, after))
		}
	}
}

// applyDiff is what patch does.
func applyDiff(t *testing.T, text, diff []byte) []byte {
	t.Helper()
	if len(diff) == 0 {
		return text
	}
	lines := splitLines(text)
	var out []string
	at := 0
	sign := byte(' ')
	for _, l := range splitLines(diff)[2:] {
		switch l[0] {
		case '@':
			var from, n int
			if _, err := fmt.Sscanf(l, "@@ -%d,%d ", &from, &n); err != nil || n > 0 {
				from--
			}
			out = append(out, lines[at:from]...)
			at = from
		case '-', ' ':
			if strings.TrimSuffix(lines[at], "\n") != strings.TrimSuffix(l[1:], "\n") {
				t.Fatalf("line %d is %q, the diff says %q", at+1, lines[at], l)
			}
			at++
			if l[0] == ' ' {
				out = append(out, l[1:])
			}
		case '+':
			out = append(out, l[1:])
		case '\\':
			if sign != '-' {
				out[len(out)-1] = strings.TrimSuffix(out[len(out)-1], "\n")
			}
		}
		sign = l[0]
	}
	return []byte(strings.Join(append(out, lines[at:]...), ""))
}
