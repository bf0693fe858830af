package patch

import (
	"errors"
	"fmt"
	"strings"

	"seawall.io/seawall"
)

// Why an operation is refused. Each comes wrapped in a *Refusal.
var (
	// ErrShared: an alias or a merge key makes the value appear in more than
	// one place.
	ErrShared = errors.New("the value is shared")
	// ErrConflict: two fixes want different values in one place.
	ErrConflict = errors.New("two fixes disagree")
	// ErrPath: the place does not exist, or cannot.
	ErrPath = errors.New("no such place")
	// ErrLayout: the text is written in a way that cannot be changed safely.
	ErrLayout = errors.New("this layout cannot be changed automatically")
	// ErrValue: the value of the operation is not one of JSON.
	ErrValue = errors.New("not a JSON value")
	// ErrVerify: the new text did not read as it should. It is discarded.
	ErrVerify = errors.New("the changed text does not read as intended, so it was discarded: make the change by hand")
)

// Refusal says which operations were not carried out, and why.
type Refusal struct {
	// Doc is the number of the document, counted from 0.
	Doc int
	// Fix is the number of the call of Edit.Add that brought the operations,
	// counted from 0.
	Fix int
	// Line is where in the file the obstacle stands; 0 is unknown.
	Line int
	// Ops are the operations that were refused.
	Ops []seawall.PatchOp
	Err error
}

// Error returns where, what and why.
func (r *Refusal) Error() string {
	var b strings.Builder
	if r.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", r.Line)
	} else {
		fmt.Fprintf(&b, "document %d: ", r.Doc+1)
	}
	for i, op := range r.Ops {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(op.Op + " " + op.Path)
	}
	if len(r.Ops) > 0 {
		b.WriteString(": ")
	}
	b.WriteString(r.Err.Error())
	return b.String()
}

// Unwrap returns the reason.
func (r *Refusal) Unwrap() error { return r.Err }

// asRefusal returns err as the refusal that it is.
func asRefusal(err error) *Refusal {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r
	}
	return &Refusal{Err: err}
}
