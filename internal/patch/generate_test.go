package patch

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
)

// author writes YAML in all the styles that it can think of.
type author struct {
	*rand.Rand
	strings.Builder
	step, dash int
	newline    string
	anchors    int
	// plainStyle leaves anchors and merge keys out.
	plainStyle bool
}

func newAuthor(seed uint64, plainStyle bool) *author {
	r := rand.New(rand.NewPCG(seed, 1))
	a := &author{Rand: r, step: []int{2, 2, 2, 4, 3, 1}[r.IntN(6)], newline: "\n", plainStyle: plainStyle}
	if a.dash = 0; a.one(2) {
		a.dash = a.step
	}
	if a.one(6) {
		a.newline = "\r\n"
	}
	return a
}

func (a *author) one(n int) bool               { return a.IntN(n) == 0 }
func (a *author) pick(from ...string) string   { return from[a.IntN(len(from))] }
func (a *author) write(parts ...string)        { a.WriteString(strings.Join(parts, "")) }
func (a *author) line(indent int, text string) { a.write(spaces(indent), text, a.newline) }
func (a *author) end()                         { a.write(a.trailing(), a.newline) }
func (a *author) property() string {
	switch {
	case a.plainStyle || !a.one(25):
		return ""
	case a.one(4):
		return " !!map"
	}
	a.anchors++
	return fmt.Sprintf(" &a%d", a.anchors)
}

func (a *author) trailing() string {
	if a.one(6) {
		return a.pick(" ", "  ") + a.pick("# why", "# it's: {odd", `# "`, "#")
	}
	return a.pick("", "", "", "", " ")
}

func (a *author) noise(indent int) {
	for a.one(5) {
		switch a.IntN(4) {
		case 0:
			a.write(a.newline)
		case 1:
			a.line(indent+a.step, "# deeper: comment")
		default:
			a.line(indent, a.pick("# comment", "# - item", "# key: value", "#"))
		}
	}
}

// document writes one document.
func (a *author) document() string {
	a.Reset()
	if a.one(3) {
		a.line(0, "# licence")
	}
	if a.one(8) {
		a.sequence(0, 0, false)
	} else {
		a.mapping(0, 0, false)
	}
	a.noise(0)
	out := a.String()
	if a.one(6) {
		out = strings.TrimSuffix(out, a.newline)
	}
	return out
}

func (a *author) keys(n int) []string {
	all := []string{
		"alpha", "beta", "securityContext", "app.kubernetes.io/name", `"quoted"`, `'single'`, `"on"`, "12", "a b", "é",
		"containers", "name", "kind", "image", "x-y_z",
	}
	a.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:n]
}

// mapping writes a map whose first key goes where the cursor is if inline.
func (a *author) mapping(indent, depth int, inline bool) {
	keys := a.keys(1 + a.IntN(4))
	merged := false
	for i, k := range keys {
		if !inline || i > 0 {
			a.noise(indent)
			if a.anchors > 0 && !merged && a.one(20) {
				merged = true
				a.line(indent, "<<: {merged: 1}")
			}
			a.write(spaces(indent))
		}
		a.write(k, ":")
		a.value(indent, depth, false)
	}
}

func (a *author) sequence(indent, depth int, inline bool) {
	gap := a.pick(" ", " ", " ", "   ")
	for i := range 1 + a.IntN(4) {
		if !inline || i > 0 {
			a.noise(indent)
			a.write(spaces(indent))
		}
		a.write("-")
		if depth < 4 && a.one(2) {
			a.write(gap)
			if a.one(6) {
				a.sequence(indent+1+len(gap), depth+1, true)
			} else {
				a.mapping(indent+1+len(gap), depth+1, true)
			}
			continue
		}
		a.value(indent, depth, true)
	}
}

// value writes what follows the colon or dash of an entry at indent.
func (a *author) value(indent, depth int, item bool) {
	choice := a.IntN(20)
	if depth >= 4 && choice < 7 {
		choice = 10
	}
	switch {
	case choice < 5:
		a.write(a.property())
		a.end()
		a.noise(indent + a.step)
		a.mapping(indent+a.step, depth+1, false)
	case choice < 7:
		a.end()
		dash := a.dash
		if item {
			dash = a.step
		}
		a.sequence(indent+dash, depth+1, false)
	case choice < 10:
		a.write(a.pick(" ", "  ", a.newline+spaces(indent+2)))
		a.flow(depth, indent)
		a.end()
	case choice < 11:
		a.write(" ", a.pick("|", ">", "|-", "|+", ">-", "|"+strconv.Itoa(a.step)), a.trailing(), a.newline)
		a.line(indent+a.step, a.pick("text # not a comment", "key: value", "- item"))
		for range a.IntN(3) {
			a.line(indent+a.step, a.pick("text # not a comment", "# nor this", "- item", "  more"))
			if a.one(4) {
				a.write(a.newline)
			}
		}
	case choice < 12:
		a.write(" ", a.pick("one"+a.newline+spaces(indent+2)+"two", `"one`+a.newline+spaces(indent+1)+`# two"`))
		a.end()
	case choice < 13:
		a.end()
	case choice < 14 && a.anchors > 0:
		a.write(" *a", strconv.Itoa(1+a.IntN(a.anchors)))
		a.end()
	default:
		a.write(a.pick(" ", " ", " ", "  "), a.scalar(false))
		a.end()
	}
}

func (a *author) scalar(flow bool) string {
	if !flow && a.one(5) {
		return a.pick("a, b", "nginx:1.27", "it's", `say "x"`, "http://x/?a=b#c")
	}
	return a.pick("true", "false", "1", "0.5", "web", `"q: {"`, `'it''s'`, "null", "~", `"\"#"`, "1e3", `""`, "-1", "{}", "[]")
}

func (a *author) flow(depth, indent int) {
	open, shut := "{", "}"
	list := a.one(2)
	if list {
		open, shut = "[", "]"
	}
	gap := a.pick("", " ")
	sep := a.pick(", ", ", ", ",")
	if a.one(4) {
		gap = a.newline + spaces(indent+2)
		sep = "," + a.pick("", " # c") + gap
	}
	a.write(open, gap)
	for i, k := range a.keys(1 + a.IntN(3)) {
		if i > 0 {
			a.write(sep)
		}
		if !list {
			a.write(k, ": ")
		}
		if depth < 4 && a.one(4) {
			a.flow(depth+1, indent)
		} else {
			a.write(a.scalar(true))
		}
	}
	a.write(gap, shut)
}

// operation returns an operation somewhere in a value.
func (a *author) operation(v any) seawall.PatchOp {
	var path []string
	for {
		stop := a.one(3)
		switch n := v.(type) {
		case map[string]any:
			keys := sortedKeys(n)
			if stop && a.one(2) || len(keys) == 0 {
				return a.add(append(path, a.pick("new", "securityContext", "on", "a/b")))
			}
			k := keys[a.IntN(len(keys))]
			path, v = append(path, k), n[k]
		case []any:
			if stop && a.one(2) || len(n) == 0 {
				return a.add(append(path, a.pick("-", strconv.Itoa(a.IntN(len(n)+1)))))
			}
			i := a.IntN(len(n))
			path, v = append(path, strconv.Itoa(i)), n[i]
		case nil:
			if a.one(2) {
				return a.add(append(path, "new"))
			}
			return a.change(path)
		default:
			return a.change(path)
		}
		if stop {
			return a.change(path)
		}
	}
}

func (a *author) add(path []string) seawall.PatchOp {
	if a.one(3) {
		path = append(path, a.pick("deep", "-"))
	}
	return add(joinPointer(path), a.any(0))
}

func (a *author) change(path []string) seawall.PatchOp {
	switch a.IntN(3) {
	case 0:
		return remove(joinPointer(path))
	case 1:
		return add(joinPointer(path), a.any(0))
	}
	return replace(joinPointer(path), a.any(0))
}

func (a *author) any(depth int) any {
	n := a.IntN(12)
	switch {
	case n < 2 && depth < 3:
		out := m{}
		for range a.IntN(4) {
			out[a.pick("alpha", "beta", "name", "no", "a: b", "")] = a.any(depth + 1)
		}
		return out
	case n < 4 && depth < 3:
		out := s{}
		for range a.IntN(4) {
			out = append(out, a.any(depth+1))
		}
		return out
	}
	return []any{nil, true, false, int64(7), 0.25, "web", "yes", "a\nb", "# x", "", "0x1", "it's", "'", `\`, "é\t", "- a", "? b"}[a.IntN(17)]
}

// local reports an error if a change touches lines other than those of the
// value that the operation speaks of, the parent it has, and their comments.
func local(before, after []byte, op seawall.PatchOp) error {
	mark := []byte("\ufeff")
	before, after = bytes.TrimPrefix(before, mark), bytes.TrimPrefix(after, mark)
	l, err := newLayout(before, 1, "\n")
	if err != nil {
		return err
	}
	steps, err := splitPointer(op.Path)
	if err != nil {
		return err
	}
	n, target := l.root, 0
	for target < len(steps) && n.kind != alias {
		next := n.child(steps[target])
		if next == nil {
			break
		}
		n, target = next, target+1
	}
	if n.parent != nil {
		n = n.parent
	}
	first, last := l.line(n.start), l.line(l.afterComments(n.end, -1))
	if n.parent != nil && n.parent.entries[n.index].mark >= 0 {
		first = l.line(n.parent.entries[n.index].mark)
	}
	if len(l.lines) != bytes.Count(before, []byte("\n"))+1 {
		return nil // other line breaks, which splitLines does not know
	}
	a, b := splitLines(before), splitLines(after)
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	if same < min(first, len(a)-1) {
		return fmt.Errorf("line %d changed, the value begins on line %d", same+1, first+1)
	}
	same = 0
	for same < min(len(a), len(b)) && a[len(a)-1-same] == b[len(b)-1-same] {
		same++
	}
	if len(a)-same > last+1 {
		return fmt.Errorf("line %d changed, the value ends on line %d", len(a)-same, last+1)
	}
	return nil
}

func TestApplyGenerated(t *testing.T) {
	rounds := uint64(1500)
	if testing.Short() {
		rounds = 400
	}
	applied, refused := 0, 0
	for seed := range rounds {
		a := newAuthor(seed, seed%2 == 0)
		text := []byte(a.document())
		docs := document.Parse(text, document.Limits{})
		if len(docs) != 1 || docs[0].Root == nil {
			continue
		}
		for range 5 {
			op := a.operation(docs[0].Root.Value())
			got, err := Apply(text, 0, []seawall.PatchOp{op})
			switch {
			case errors.Is(err, ErrShared), errors.Is(err, ErrPath):
				continue
			case err != nil:
				if refused++; refused < 20 {
					t.Logf("seed %d: %v\n%v\n%s", seed, err, op, text)
				}
				continue
			}
			applied++
			if err := local(text, got, op); err != nil {
				t.Errorf("seed %d: %v: %v\n%s\n%s", seed, op, err, text, Diff("x", text, got))
			}
		}
	}
	t.Logf("%d applied, %d refused", applied, refused)
	if refused*1000 > applied {
		t.Errorf("%d refused, %d applied, want fewer than one in a thousand", refused, applied)
	}
}
