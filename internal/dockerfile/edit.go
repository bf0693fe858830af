package dockerfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/patch"
)

// Edit collects fixes of one Dockerfile and carries them out together, as
// patch.Edit does for YAML: all of them speak of the tree as it was. The zero
// Edit is empty and ready to use.
//
// Not every place of the tree stands in the file as it is, so these operations
// are known and all others are refused:
//
//	add     /commands/N/options/-        an option after the command's action
//	add     /commands/N/then/-           a command after it, with &&
//	replace /commands/N/name             another program
//	replace /instructions/N/keyword      another keyword
//	replace /instructions/N/destination  of WORKDIR, COPY and ADD
//	replace /instructions/N/text         the whole instruction
//	remove  /instructions/N/text         likewise, with its lines
//
// Everything around stays as it is, comments and layout too. A result is
// returned only after it has been read again: the instructions that no fix
// touches must be what they were.
type Edit struct{ fixes [][]seawall.PatchOp }

// Add plans a fix, which is all or nothing. A Dockerfile is one document, so doc
// must be 0.
func (e *Edit) Add(doc int, ops ...seawall.PatchOp) error {
	e.fixes = append(e.fixes, ops)
	if doc != 0 {
		return e.refusal(len(e.fixes)-1, fmt.Errorf("%w: a Dockerfile is one document", patch.ErrPath))
	}
	return nil
}

func (e *Edit) refusal(fix int, err error) *patch.Refusal {
	return &patch.Refusal{Fix: fix, Ops: e.fixes[fix], Err: err}
}

// Apply returns text with all fixes carried out but those that it refuses.
func (e *Edit) Apply(text []byte) ([]byte, []*patch.Refusal) {
	f, err := Parse("", text)
	if err != nil {
		return text, []*patch.Refusal{{Fix: -1, Err: fmt.Errorf("%w: %w", patch.ErrLayout, err)}}
	}
	w := rewriter{File: f}
	var refused []*patch.Refusal
	for i, ops := range e.fixes {
		if err := w.plan(ops); err != nil {
			refused = append(refused, e.refusal(i, err))
		}
	}
	out, err := w.rewrite()
	if err != nil {
		for i := range e.fixes {
			if !slices.ContainsFunc(refused, func(r *patch.Refusal) bool { return r.Fix == i }) {
				refused = append(refused, e.refusal(i, err))
			}
		}
		return text, refused
	}
	return out, refused
}

// change replaces a part of the text.
type change struct {
	span
	text string
	// in is the instruction that it changes; it is gone afterwards where removes is
	// set, and has this keyword where keyword is.
	in      *instruction
	keyword string
	removes bool
}

// rewriter collects the changes of one file.
type rewriter struct {
	*File
	changes []change
}

// plan takes over the operations of a fix if all of them are possible beside
// those planned before.
func (w *rewriter) plan(ops []seawall.PatchOp) error {
	before := len(w.changes)
	for _, op := range ops {
		c, err := w.change(op)
		if err == nil {
			err = w.add(c)
		}
		if err != nil {
			w.changes = w.changes[:before]
			return err
		}
	}
	return nil
}

// add adds a change, once, if it goes together with the others.
func (w *rewriter) add(c change) error {
	for _, other := range w.changes {
		if other == c {
			return nil
		}
		if other.overlaps(c.span) {
			return fmt.Errorf("%w about %.40q", patch.ErrConflict, w.text[c.from:c.to])
		}
	}
	w.changes = append(w.changes, c)
	return nil
}

// overlaps says whether two parts have text in common, or one begins inside of
// the other.
func (s span) overlaps(other span) bool {
	if s.from == s.to || other.from == other.to {
		return s.from < other.from && other.from < s.to || other.from < s.from && s.from < other.to
	}
	return s.from < other.to && other.from < s.to
}

// change finds the text that an operation is about.
func (w *rewriter) change(op seawall.PatchOp) (change, error) {
	value, isText := op.Value.(string)
	if op.Op != "remove" && (!isText || strings.ContainsAny(value, "\r\n")) {
		return change{}, fmt.Errorf("%w: want text of one line", patch.ErrValue)
	}
	steps := strings.Split(strings.TrimPrefix(op.Path, "/"), "/")
	n := -1
	if len(steps) > 2 {
		if i, err := strconv.Atoi(steps[1]); err == nil {
			n = i
		}
	}
	switch {
	case steps[0] == "commands" && n >= 0 && n < len(w.commands):
		return w.commandChange(w.commands[n], op.Op+" "+strings.Join(steps[2:], "/"), value)
	case steps[0] == "instructions" && n >= 0 && n < len(w.instructions):
		return w.instructionChange(w.instructions[n], op.Op+" "+strings.Join(steps[2:], "/"), value)
	}
	return change{}, fmt.Errorf("%w: %s", patch.ErrPath, op.Path)
}

func (w *rewriter) commandChange(c *command, what, value string) (change, error) {
	if !c.plain {
		return change{}, fmt.Errorf("%w: the command stands in quotes or in a variable", patch.ErrLayout)
	}
	out := change{in: c.in}
	switch what {
	case "add options/-":
		at := c.nameAt.to
		if c.action != "" {
			at = c.actionAt.to
		}
		out.span, out.text = span{at, at}, " "+value
	case "add then/-":
		if !c.chained {
			return change{}, fmt.Errorf("%w: what follows the command depends on more than its success", patch.ErrLayout)
		}
		out.span, out.text = span{c.end, c.end}, " && "+value
	case "replace name":
		if string(w.text[c.nameAt.from:c.nameAt.to]) != c.name {
			return change{}, fmt.Errorf("%w: the program is named by its path", patch.ErrLayout)
		}
		out.span, out.text = c.nameAt, value
	default:
		return change{}, fmt.Errorf("%w: %s", patch.ErrPath, what)
	}
	return out, nil
}

func (w *rewriter) instructionChange(in *instruction, what, value string) (change, error) {
	out := change{in: in, text: value}
	switch what {
	case "replace keyword":
		out.span, out.keyword = span{in.start, in.start + len(in.keyword)}, strings.ToUpper(value)
	case "replace destination":
		if in.json || len(in.words) == 0 {
			return change{}, fmt.Errorf("%w: a list in JSON", patch.ErrLayout)
		}
		last := in.words[len(in.words)-1]
		if strings.ContainsAny(last.text, "$\"'`\\") {
			return change{}, fmt.Errorf("%w: it holds a variable or quotes", patch.ErrLayout)
		}
		from, to := in.line.offset(last.from), in.line.offset(last.to-1)+1
		if to-from != last.to-last.from {
			return change{}, fmt.Errorf("%w: it spans lines", patch.ErrLayout)
		}
		out.span = span{from, to}
	case "replace text":
		keyword, _, _ := strings.Cut(value, " ")
		out.span, out.keyword = span{in.start, in.end}, strings.ToUpper(keyword)
	case "remove text":
		out.span, out.removes = w.lines(in), true
	default:
		return change{}, fmt.Errorf("%w: %s", patch.ErrPath, what)
	}
	return out, nil
}

// lines returns the whole lines that an instruction stands on.
func (w *rewriter) lines(in *instruction) span {
	s := span{in.start, in.end}
	for s.from > 0 && (w.text[s.from-1] == ' ' || w.text[s.from-1] == '\t') {
		s.from--
	}
	for s.to < len(w.text) && w.text[s.to] != '\n' {
		s.to++
	}
	if s.to < len(w.text) {
		s.to++
	}
	return s
}

// rewrite carries the changes out, and reads the result again.
func (w *rewriter) rewrite() ([]byte, error) {
	if len(w.changes) == 0 {
		return w.text, nil
	}
	slices.SortStableFunc(w.changes, func(a, b change) int { return a.from - b.from })
	var out []byte
	last := 0
	for _, c := range w.changes {
		out = append(append(out, w.text[last:c.from]...), c.text...)
		last = c.to
	}
	out = append(out, w.text[last:]...)
	after, err := Parse("", out)
	if err != nil || !w.agrees(after) {
		return nil, patch.ErrVerify
	}
	return out, nil
}

// agrees says whether a changed file is what the changes were to make of it: the
// same instructions in the same order, but for those removed, with the same text
// where nothing was to change.
func (w *rewriter) agrees(after *File) bool {
	if len(after.Holes) > len(w.Holes) || len(after.commands) < len(w.commands) {
		return false
	}
	removed, touched, keywords := map[*instruction]bool{}, map[*instruction]bool{}, map[*instruction]string{}
	for _, c := range w.changes {
		touched[c.in], removed[c.in] = true, removed[c.in] || c.removes
		if c.keyword != "" {
			keywords[c.in] = c.keyword
		}
	}
	i := 0
	for _, before := range w.instructions {
		if removed[before] {
			continue
		}
		if i >= len(after.instructions) {
			return false
		}
		now := after.instructions[i]
		keyword := before.keyword
		if keywords[before] != "" {
			keyword = keywords[before]
		}
		if now.keyword != keyword || !touched[before] && now.line.text != before.line.text || len(now.here) != len(before.here) {
			return false
		}
		i++
	}
	return i == len(after.instructions)
}
