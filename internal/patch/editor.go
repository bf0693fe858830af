package patch

import (
	"errors"
	"fmt"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
)

// editor changes the text of one document.
type editor struct {
	text  []byte
	start int32 // line of the file on which text begins
	// value is what text must read as, by the reference implementation.
	value   any
	newline string
	// layout is that of text, nil if it is not known yet.
	layout *layout
}

// edit carries out operations, one after the other, and verifies the result.
// After an error the editor is as before.
func (e *editor) edit(ops []seawall.PatchOp) *Refusal {
	if len(ops) > 1 {
		// Reading the text again for each operation is slow in a large document.
		fast := *e
		if fast.editTogether(ops) == nil && fast.verify() == nil {
			*e = fast
			return nil
		}
	}
	sure := *e
	for _, op := range ops {
		if r := sure.apply(op); r != nil {
			return r
		}
	}
	if err := sure.verify(); err != nil {
		return &Refusal{Line: int(e.start), Ops: ops, Err: err}
	}
	*e = sure
	return nil
}

// apply carries out one operation. After an error the editor is of no use.
func (e *editor) apply(op seawall.PatchOp) *Refusal {
	steps, err := e.plan(op)
	for i := 0; err == nil && i < len(steps); i++ {
		err = e.take(steps[i : i+1])
	}
	if err != nil {
		return &Refusal{Line: e.lineOf(err), Ops: []seawall.PatchOp{op}, Err: err}
	}
	return nil
}

// plan breaks an operation down into steps and takes it as done.
func (e *editor) plan(op seawall.PatchOp) ([]step, error) {
	after, err := reference(e.value, op)
	if err != nil {
		return nil, err
	}
	steps, err := e.steps(op)
	e.value = after
	return steps, err
}

// editTogether carries out operations in as few rounds as possible. In a round
// no step changes a map or list in or around the one that another changes.
func (e *editor) editTogether(ops []seawall.PatchOp) error {
	var todo []step
	for _, op := range ops {
		steps, err := e.plan(op)
		if err != nil {
			return err
		}
		todo = append(todo, steps...)
	}
	for len(todo) > 0 {
		var now []step
		now, todo = independent(todo)
		if err := e.take(now); err != nil {
			return err
		}
	}
	return nil
}

// independent divides steps into those that can be taken together and those
// that have to wait for them, in order.
func independent(steps []step) (now, later []step) {
	parents, above := map[string]bool{}, map[string]bool{}
	for _, s := range steps {
		parent := s.path[:max(len(s.path)-1, 0)]
		free := !above[joinPointer(parent)]
		for i := range len(parent) + 1 {
			free = free && !parents[joinPointer(parent[:i])]
		}
		if free {
			now = append(now, s)
		} else {
			later = append(later, s)
		}
		parents[joinPointer(parent)] = true
		for i := range parent {
			above[joinPointer(parent[:i])] = true
		}
	}
	return now, later
}

// take changes the text by steps that do not depend on each other.
func (e *editor) take(steps []step) error {
	l, err := e.read()
	if err != nil {
		return err
	}
	var changes []change
	for _, s := range steps {
		c, err := s.do(l)
		if err != nil {
			return err
		}
		changes = append(changes, c...)
	}
	text, err := splice(e.text, changes)
	if err == nil {
		e.text, e.layout = text, nil
	}
	return err
}

// read returns the layout of the text.
func (e *editor) read() (*layout, error) {
	if e.layout == nil {
		l, err := newLayout(e.text, int(e.start), e.newline)
		if err != nil {
			return nil, err
		}
		e.layout = l
	}
	return e.layout, nil
}

// lineOf returns the line of the file that an error speaks of.
func (e *editor) lineOf(err error) int {
	var at *located
	if e.layout == nil || !errors.As(err, &at) {
		return int(e.start)
	}
	return e.layout.fileLine(at.at)
}

// verify reads the text of the document alone.
func (e *editor) verify() error {
	docs := document.Parse(e.text, document.Limits{})
	if len(docs) != 1 {
		return fmt.Errorf("%w (it reads as %d documents)", ErrVerify, len(docs))
	}
	return e.compare(&docs[0])
}

func (e *editor) compare(d *document.Doc) error {
	if d.Err != nil {
		return fmt.Errorf("%w (%w)", ErrVerify, d.Err)
	}
	if !same(d.Root.Value(), e.value) {
		return ErrVerify
	}
	return nil
}
