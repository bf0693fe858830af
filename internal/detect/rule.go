package detect

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
)

// rule is a compiled check.
type rule struct {
	*check.Rule
	shared   *seawall.Rule // of all its alerts
	severity seawall.Severity
	params   *object  // nil where it has none
	names    []string // of the steps, parallel to them
	steps    []step
	when     *expression // nil: always
	deny     *expression
	distinct *expression // nil: every match counts
	message  []piece
	within   uint64 // nanoseconds

	trails int // that have come to the last step
	stats  RuleStats
	last   error // the last that could not be decided
}

// step is a compiled step of a sequence.
type step struct {
	kinds      []seawall.EventKind
	when, deny *expression // nil: always
	within     uint64      // nanoseconds until the next step
	join       *join       // with the next step, or the judgement; may be nil
}

// piece is a piece of a message: text, or an expression's value.
type piece struct {
	text string
	expr *expression
}

// object returns a type of objects by its name, nil of what is none.
func (r *rule) object(name string) *object {
	if name == "seawall.params" {
		return r.params
	}
	return objects[name]
}

// compile prepares a rule. Errors name the file and the line.
func compile(env *cel.Env, source *check.Rule) (*rule, error) {
	r := &rule{
		Rule:     source,
		severity: source.Severity,
		within:   uint64(source.Within), //nolint:gosec // the parser refuses negative ones
		shared: &seawall.Rule{
			Check: source.ID, Title: source.Title, Phase: source.Phase, Layer: source.Layer,
			Remediation: source.Remediation(), Refs: source.Refs,
		},
	}
	var err error
	if len(source.Params) > 0 {
		if env, r.params, err = withParams(env, source.Params); err != nil {
			return nil, source.Broken("params", err)
		}
	}
	for i, s := range source.After {
		if env, err = r.addStep(env, i, s); err != nil {
			return nil, err
		}
	}
	bools := []struct {
		field, text string
		dst         **expression
	}{{"when", source.When, &r.when}, {"deny", source.Deny, &r.deny}}
	for _, b := range bools {
		if b.text == "" {
			continue
		}
		if *b.dst, err = compileExpression(env, r, b.text, cel.BoolType); err != nil {
			return nil, source.Broken(b.field, err)
		}
	}
	for i := range r.steps {
		next := r.deny
		if i+1 < len(r.steps) {
			next = r.steps[i+1].deny
		}
		r.steps[i].join = joinOn(next, r, r.names[i])
	}
	if source.Distinct != "" {
		if r.distinct, err = compileExpression(env, r, source.Distinct, cel.StringType, cel.IntType); err != nil {
			return nil, source.Broken("distinct", err)
		}
	}
	for part, err := range check.Message(source.Message) {
		p := piece{text: part.Text}
		if err == nil && part.Expr {
			p.expr, err = compileExpression(env, r, part.Text)
		}
		if err != nil {
			return nil, source.Broken("message", err)
		}
		r.message = append(r.message, p)
	}
	return r, nil
}

// addStep compiles a step and returns the environment of what comes after it.
func (r *rule) addStep(env *cel.Env, i int, s check.Step) (*cel.Env, error) {
	fieldName := func(name string) string { return fmt.Sprintf("after[%d].%s", i, name) }
	kinds, err := check.Kinds(s.Match)
	if err != nil {
		return nil, r.Broken(fieldName("match"), err)
	}
	out := step{kinds: kinds, within: uint64(s.Within)} //nolint:gosec // the parser refuses negative ones
	if s.When != "" {
		if out.when, err = compileExpression(env, r, s.When, cel.BoolType); err != nil {
			return nil, r.Broken(fieldName("when"), err)
		}
	}
	if s.Deny != "" {
		if out.deny, err = compileExpression(env, r, s.Deny, cel.BoolType); err != nil {
			return nil, r.Broken(fieldName("deny"), err)
		}
	}
	r.steps, r.names = append(r.steps, out), append(r.names, s.As)
	if s.As == "" {
		return env, nil
	}
	if _, taken := objects["seawall.event"].fields[s.As]; taken || s.As == "params" {
		return nil, r.Broken(fieldName("as"), fmt.Errorf("%s is a variable already: take another name", s.As))
	}
	if env, err = env.Extend(cel.Variable(s.As, objectType("event"))); err != nil {
		return nil, r.Broken(fieldName("as"), err)
	}
	return env, nil
}

// The sizes of messages, in bytes: of one value, and of all.
const (
	maxPiece   = 256
	maxMessage = 2048
)

// say makes the message of a match. What is not printable is escaped, so that
// nobody's arguments write on an operator's terminal.
func (r *rule) say(f *frame) string {
	var b strings.Builder
	for _, p := range r.message {
		if p.expr == nil {
			b.WriteString(p.text)
			continue
		}
		s, err := p.expr.text(f)
		if err != nil {
			s = "?"
		}
		b.WriteString(printable(s, maxPiece))
	}
	return shorten(b.String(), maxMessage)
}

// printable escapes what has no face: control characters, broken UTF-8, and what
// changes the direction of text.
func printable(s string, limit int) string {
	s = shorten(s, limit)
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !unicode.IsPrint(r):
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// shorten cuts a text to a number of bytes, between runes.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "..."
}

// celText returns a value of cel-go as people read it.
func celText(v ref.Val) string {
	if l, ok := v.(traits.Lister); ok {
		var items []string
		for it := l.Iterator(); it.HasNext() == types.True; {
			items = append(items, celText(it.Next()))
		}
		return strings.Join(items, ", ")
	}
	if s, ok := v.ConvertToType(types.StringType).(types.String); ok {
		return string(s)
	}
	return fmt.Sprint(v.Value())
}

// usesKind says whether a step is about a kind of event.
func (s *step) usesKind(k seawall.EventKind) bool { return slices.Contains(s.kinds, k) }
