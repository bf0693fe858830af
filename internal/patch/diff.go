package patch

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// context is how many unchanged lines a diff shows around a change.
const context = 3

// maxChanges bounds the search for the shortest diff, whose cost grows with the
// square of it.
const maxChanges = 3000

// Diff returns the unified diff that turns before into after, as patch and git
// apply take it, with three lines of context. It is empty if they are equal.
func Diff(name string, before, after []byte) []byte {
	if bytes.Equal(before, after) {
		return nil
	}
	a, b := splitLines(before), splitLines(after)
	script := lineScript(a, b)
	name = strings.TrimPrefix(name, "/")
	out := fmt.Appendf(nil, "--- a/%s\n+++ b/%s\n", name, name)
	for len(script) > 0 {
		var hunk []line
		hunk, script = nextHunk(script)
		out = appendHunk(out, hunk)
	}
	return out
}

// splitLines returns the lines of text with their line breaks.
func splitLines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	lines := strings.SplitAfter(string(text), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// line is a line of a diff. Sign is ' ', '-' or '+'; old and new count the
// lines of each text before it.
type line struct {
	sign     byte
	text     string
	old, new int
}

// lineScript returns all lines of both texts in the order of a diff.
func lineScript(a, b []string) []line {
	head := 0
	for head < min(len(a), len(b)) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < min(len(a), len(b))-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var out []line
	add := func(sign byte, text string) {
		l := line{sign: sign, text: text}
		if n := len(out); n > 0 {
			last := out[n-1]
			l.old, l.new = last.old, last.new
			if last.sign != '+' {
				l.old++
			}
			if last.sign != '-' {
				l.new++
			}
		}
		out = append(out, l)
	}
	for _, text := range a[:head] {
		add(' ', text)
	}
	middle(a[head:len(a)-tail], b[head:len(b)-tail], add)
	for _, text := range a[len(a)-tail:] {
		add(' ', text)
	}
	return out
}

// middle emits the shortest script from a to b, after Myers: "An O(ND)
// Difference Algorithm and Its Variations", 1986.
func middle(a, b []string, emit func(sign byte, text string)) {
	trace := furthest(a, b)
	if trace == nil {
		for _, text := range a {
			emit('-', text)
		}
		for _, text := range b {
			emit('+', text)
		}
		return
	}
	type move struct {
		sign byte
		text string
	}
	var back []move
	x, y := len(a), len(b)
	for d, t := range slices.Backward(trace) {
		v, k := t, x-y
		from := k - 1
		if k == -d || (k != d && v[d+k-1] < v[d+k+1]) {
			from = k + 1
		}
		var fromX int
		if d > 0 {
			fromX = v[d+from]
		}
		fromY := fromX - from
		if d == 0 {
			fromY = 0
		}
		for x > fromX && y > fromY {
			x, y = x-1, y-1
			back = append(back, move{' ', a[x]})
		}
		switch {
		case d == 0:
		case x > fromX:
			x--
			back = append(back, move{'-', a[x]})
		default:
			y--
			back = append(back, move{'+', b[y]})
		}
	}
	for _, b := range slices.Backward(back) {
		emit(b.sign, b.text)
	}
}

// furthest returns, for each number d of changed lines up to the one that is
// needed, how far d-1 changes lead on the diagonals -d to d. It returns nil if
// more than maxChanges are needed.
func furthest(a, b []string) [][]int {
	n, m := len(a), len(b)
	v := make([]int, 2*(n+m)+3)
	zero := n + m + 1
	var trace [][]int
	for d := 0; d <= min(n+m, maxChanges); d++ {
		trace = append(trace, append([]int(nil), v[zero-d:zero+d+1]...))
		for k := -d; k <= d; k += 2 {
			x := v[zero+k-1] + 1
			if k == -d || (k != d && v[zero+k-1] < v[zero+k+1]) {
				x = v[zero+k+1]
			}
			for x < n && x-k < m && a[x] == b[x-k] {
				x++
			}
			v[zero+k] = x
			if x >= n && x-k >= m {
				return trace
			}
		}
	}
	return nil
}

// nextHunk cuts the next hunk off a script: changes with no more lines between
// them than twice the context, with their context. It is empty if there are
// none.
func nextHunk(script []line) (hunk, rest []line) {
	first := 0
	for first < len(script) && script[first].sign == ' ' {
		first++
	}
	if first == len(script) {
		return nil, nil
	}
	last := first
	for i := first; i < len(script) && i-last <= 2*context+1; i++ {
		if script[i].sign != ' ' {
			last = i
		}
	}
	end := min(last+1+context, len(script))
	return script[max(first-context, 0):end], script[end:]
}

func appendHunk(out []byte, hunk []line) []byte {
	if len(hunk) == 0 {
		return out
	}
	olds, news := 0, 0
	for _, l := range hunk {
		if l.sign != '+' {
			olds++
		}
		if l.sign != '-' {
			news++
		}
	}
	out = fmt.Appendf(out, "@@ -%s +%s @@\n", span(hunk[0].old, olds), span(hunk[0].new, news))
	for _, l := range hunk {
		out = append(out, l.sign)
		out = append(out, l.text...)
		if !strings.HasSuffix(l.text, "\n") {
			out = append(out, "\n\\ No newline at end of file\n"...)
		}
	}
	return out
}

// span is the range of a hunk header: the first line and how many. An empty
// range names the line before it.
func span(before, n int) string {
	switch n {
	case 0:
		return fmt.Sprintf("%d,0", before)
	case 1:
		return strconv.Itoa(before + 1)
	}
	return fmt.Sprintf("%d,%d", before+1, n)
}
