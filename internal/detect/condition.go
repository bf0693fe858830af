package detect

import (
	"github.com/google/cel-go/cel"

	"seawall.io/seawall"
)

// Condition is a condition on events in the language of checks, for those who
// choose events. It is for one goroutine.
type Condition struct {
	expr  *expression
	frame frame
}

// ParseCondition compiles a condition.
func ParseCondition(text string) (*Condition, error) {
	env, err := newEnv()
	if err != nil {
		return nil, err
	}
	r := &rule{}
	expr, err := compileExpression(env, r, text, cel.BoolType)
	if err != nil {
		return nil, err
	}
	return &Condition{expr: expr, frame: frame{rule: r}}, nil
}

// Holds says whether the condition is true of an event. One that yields an error,
// such as an index beyond a list's end, is not.
func (c *Condition) Holds(ev *seawall.Event) bool {
	c.frame.event, c.frame.joinedOf = ev, nil
	yes, err := c.expr.judge(&c.frame, false)
	return err == nil && yes
}
