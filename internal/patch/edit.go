package patch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
)

// Edit collects fixes for the documents of one file and carries them out
// together. Unlike the operations of Apply, all of them speak of the document
// as it was: the index of an item is the one before any other item was removed.
// The zero Edit is empty and ready to use.
//
// Fixes may want the same thing: equal operations are done once, and maps that
// several add in one place are put together. Where an add makes a parent, what
// others set below it becomes part of it. Everything else that two fixes want
// differently is a conflict.
type Edit struct {
	fixes []fix
	plans map[int][]planned
}

type fix struct {
	doc int
	ops []seawall.PatchOp
}

// Add plans a fix of one document, counted from 0. If it disagrees with one
// planned before, it is not planned, and the error is a *Refusal that wraps
// ErrConflict. A fix is all or nothing.
func (e *Edit) Add(doc int, ops ...seawall.PatchOp) error {
	plan, err := merge(e.plans[doc], ops)
	e.fixes = append(e.fixes, fix{doc, ops})
	if err != nil {
		e.fixes[len(e.fixes)-1].ops = nil
		return &Refusal{Doc: doc, Fix: len(e.fixes) - 1, Ops: ops, Err: err}
	}
	if e.plans == nil {
		e.plans = map[int][]planned{}
	}
	e.plans[doc] = plan
	return nil
}

// Apply returns text with all fixes carried out but those that it refuses. A
// fix that has to be refused does not hinder the others.
func (e *Edit) Apply(text []byte) ([]byte, []*Refusal) {
	s := newStream(text)
	var refused []*Refusal
	for _, doc := range slices.Sorted(maps.Keys(e.plans)) {
		if err := s.edit(doc, s.order(doc, e.plans[doc])); err != nil {
			refused = append(refused, e.applyEach(s, doc)...)
		}
	}
	out, err := s.join()
	if err != nil {
		return out, append(refused, asRefusal(err))
	}
	return out, refused
}

// applyEach carries out the fixes of a document that are possible, where not
// all of them are.
func (e *Edit) applyEach(s *stream, doc int) []*Refusal {
	possible, refused := e.possible(s, doc)
	var plan []planned
	for _, i := range possible {
		// What could be merged before can be merged without those refused.
		plan, _ = merge(plan, e.fixes[i].ops)
	}
	if s.edit(doc, s.order(doc, plan)) == nil {
		return refused
	}
	plan = nil
	for _, i := range possible {
		longer, err := merge(plan, e.fixes[i].ops)
		if err == nil {
			err = s.edit(doc, s.order(doc, longer))
		}
		if err != nil {
			refused = append(refused, e.refusal(i, err))
			continue
		}
		plan = longer
	}
	return refused
}

// possible tells the fixes of a document that can be carried out alone from
// those that cannot.
func (e *Edit) possible(s *stream, doc int) (possible []int, refused []*Refusal) {
	original, err := s.open(doc)
	if err == nil {
		_, err = original.read()
	}
	for i, f := range e.fixes {
		if f.doc != doc || len(f.ops) == 0 {
			continue
		}
		err := err
		if err == nil {
			err = original.try(f.ops)
		}
		if err != nil {
			refused = append(refused, e.refusal(i, err))
			continue
		}
		possible = append(possible, i)
	}
	return possible, refused
}

// try says why operations cannot be carried out.
func (e *editor) try(ops []seawall.PatchOp) error {
	for _, op := range ops {
		fork := *e
		if r := fork.apply(op); r != nil {
			return r
		}
	}
	return nil
}

func (e *Edit) refusal(i int, err error) *Refusal {
	r := asRefusal(err)
	return &Refusal{Doc: e.fixes[i].doc, Fix: i, Line: r.Line, Ops: e.fixes[i].ops, Err: r.Err}
}

// order returns operations that speak of the document as it was in an order in
// which none moves the place of a later one: items are appended after values
// are set, and inserted and removed last, from the end.
func (s *stream) order(doc int, plan []planned) []seawall.PatchOp {
	var root *document.Node
	if doc >= 0 && doc < len(s.docs) {
		root = s.docs[doc].Root
	}
	var set, appended, moving []planned
	for _, op := range plan {
		switch {
		case len(op.steps) == 0 || op.Op == opReplace:
			set = append(set, op)
		case op.steps[len(op.steps)-1] == "-":
			appended = append(appended, op)
		case inList(root, op.steps):
			moving = append(moving, op)
		default:
			set = append(set, op)
		}
	}
	slices.SortStableFunc(moving, func(a, b planned) int {
		return slices.CompareFunc(b.steps, a.steps, compareSteps)
	})
	out := make([]seawall.PatchOp, 0, len(plan))
	for _, op := range slices.Concat(set, appended, moving) {
		out = append(out, op.PatchOp)
	}
	return out
}

// inList says whether a path leads to an item of a list.
func inList(n *document.Node, steps []string) bool {
	for _, s := range steps[:len(steps)-1] {
		if n.Kind() != document.List {
			n = n.Get(s)
			continue
		}
		i, err := itemIndex(s, len(n.List()), false)
		if err != nil {
			return false
		}
		n = n.List()[i]
	}
	return n != nil && n.Kind() == document.List
}

// compareSteps orders indexes by number and everything else by text.
func compareSteps(a, b string) int {
	i, errI := strconv.Atoi(a)
	j, errJ := strconv.Atoi(b)
	if errI == nil && errJ == nil {
		return cmp.Compare(i, j)
	}
	return cmp.Compare(a, b)
}

// planned is an operation with its path taken apart and a normal value.
type planned struct {
	seawall.PatchOp
	steps []string
}

func parsePlanned(op seawall.PatchOp) (planned, error) {
	steps, err := splitPointer(op.Path)
	if err == nil && op.Op != opRemove {
		op.Value, err = normal(op.Value)
	}
	return planned{op, steps}, err
}

// merge returns plan with ops added. What plan holds stays as it is.
func merge(plan []planned, ops []seawall.PatchOp) ([]planned, error) {
	for _, op := range ops {
		p, err := parsePlanned(op)
		if err != nil {
			return nil, err
		}
		if plan, err = mergeOne(plan, p); err != nil {
			return nil, err
		}
	}
	return plan, nil
}

// mergeOne puts one operation together with those it overlaps.
func mergeOne(plan []planned, op planned) ([]planned, error) {
	if !slices.ContainsFunc(plan, func(old planned) bool { return related(old.steps, op.steps) }) {
		return append(plan, op), nil
	}
	var out []planned
	for _, old := range plan {
		upper, lower := old, op
		if isAbove(op.steps, old.steps) {
			upper, lower = op, old
		}
		if !related(old.steps, op.steps) || separate(upper, lower) {
			out = append(out, old)
			continue
		}
		both, err := absorb(upper, lower)
		if err != nil {
			return nil, err
		}
		op = both
	}
	return append(out, op), nil
}

// related says whether one path is the other or leads to it.
func related(a, b []string) bool { return isAbove(a, b) || isAbove(b, a) }

// isAbove says whether a path is the other or leads to it.
func isAbove(a, b []string) bool { return len(a) <= len(b) && slices.Equal(a, b[:len(a)]) }

// separate says whether operations with one path speak of different things:
// two items to append.
func separate(a, b planned) bool {
	return len(a.steps) > 0 && a.steps[len(a.steps)-1] == "-" &&
		(len(a.steps) != len(b.steps) || !same(a.Value, b.Value))
}

// absorb returns the operation that does what both ask for, where upper's path
// is that of lower or leads to it.
func absorb(upper, lower planned) (planned, error) {
	rest := lower.steps[len(upper.steps):]
	switch {
	case upper.Op == opRemove && lower.Op == opRemove:
		return upper, nil
	case upper.Op == opRemove:
		return upper, fmt.Errorf("%w: one removes %s, another sets %s", ErrConflict, upper.Path, lower.Path)
	case lower.Op == opRemove:
		return upper, fmt.Errorf("%w: one sets %s, another removes %s", ErrConflict, upper.Path, lower.Path)
	}
	exact := upper.Op == opReplace || (len(rest) == 0 && lower.Op == opReplace)
	value, ok := absorbValue(upper.Value, rest, lower.Value, exact)
	if !ok {
		return upper, fmt.Errorf("%w: one sets %s to %s, another %s to %s",
			ErrConflict, upper.Path, inJSON(upper.Value), lower.Path, inJSON(lower.Value))
	}
	upper.Value = value
	if len(rest) == 0 && lower.Op == opReplace {
		upper.Op = opReplace
	}
	return upper, nil
}

func inJSON(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(out)
}

// absorbValue returns v with another value set below it, and reports false if v
// already says otherwise there or, when it is exact, nothing.
func absorbValue(v any, steps []string, other any, exact bool) (any, bool) {
	if len(steps) == 0 {
		return union(v, other, exact)
	}
	step, rest := steps[0], steps[1:]
	switch n := v.(type) {
	case nil:
		return nest(steps, other), !exact
	case map[string]any:
		child, found := n[step]
		if !found && exact {
			return nil, false
		}
		if !found {
			child = nest(rest, other)
		} else {
			var ok bool
			if child, ok = absorbValue(child, rest, other, exact); !ok {
				return nil, false
			}
		}
		out := maps.Clone(n)
		out[step] = child
		return out, true
	case []any:
		if step == "-" && len(rest) == 0 {
			has := slices.ContainsFunc(n, func(item any) bool { return same(item, other) })
			if has || exact {
				return n, has
			}
			return append(slices.Clone(n), other), true
		}
	}
	return nil, false
}

// union puts two values together: maps key by key unless exact.
func union(a, b any, exact bool) (any, bool) {
	x, ok := a.(map[string]any)
	y, okToo := b.(map[string]any)
	if !ok || !okToo || exact {
		return a, same(a, b)
	}
	out := maps.Clone(x)
	for k, v := range y {
		if old, found := out[k]; found {
			if v, ok = union(old, v, false); !ok {
				return nil, false
			}
		}
		out[k] = v
	}
	return out, true
}
