package check

import (
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/cel/environment"

	"seawall.io/seawall/internal/cluster"
)

// NewestMinor is the newest Kubernetes minor version whose rules Seawall
// knows: 1.37.
const NewestMinor = 37

// variables are what a rule's CEL sees; docs/adding-a-check.md explains each.
var variables = []struct {
	name string
	typ  *cel.Type
}{
	{"object", cel.DynType},
	{"pod", cel.DynType},
	{"container", cel.DynType},
	{"containerType", cel.StringType},
	{"eff", cel.DynType},
	{"item", cel.DynType},
	{"image", cel.MapType(cel.StringType, cel.StringType)},
	{"minor", cel.IntType},
	{"params", cel.DynType},
}

// newEnv returns Kubernetes' own CEL environment with a rule's variables, or
// with only those that names lists.
func newEnv(names ...string) (*cel.Env, error) {
	opts := make([]cel.EnvOption, 0, len(variables)+1)
	for _, v := range variables {
		if len(names) == 0 || slices.Contains(names, v.name) {
			opts = append(opts, cel.Variable(v.name, v.typ))
		}
	}
	return Environment(opts...)
}

// Environment returns Kubernetes' own CEL environment, with the one function that
// rules have beyond it, extended by options.
func Environment(opts ...cel.EnvOption) (*cel.Env, error) {
	opts = append(opts, pathFunction())
	base := environment.MustBaseEnvSet(version.MajorMinor(1, NewestMinor))
	set, err := base.Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions:        opts,
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the CEL environment: %w", err)
	}
	return set.StoredExpressionsEnv(), nil
}

// cleanPath is the one function that rules have beyond those of Kubernetes. It
// yields the shortest name of an absolute path on a Linux node: //, /. and /..
// are resolved, a trailing / is cut, and /var/run, which is a link there, is
// /run. The API server refuses .. in paths of the node, so that in an admission
// policy "/" + path.split("/").filter(s, s != "" && s != ".").join("/") does as
// much.
const cleanPath = "cleanPath"

func pathFunction() cel.EnvOption {
	return cel.Function(cleanPath, cel.Overload("cleanPath_string", []*cel.Type{cel.StringType}, cel.StringType,
		cel.UnaryBinding(func(v ref.Val) ref.Val {
			text, ok := v.(types.String)
			if !ok {
				return types.MaybeNoSuchOverloadErr(v)
			}
			return types.String(nodePath(string(text)))
		})))
}

func nodePath(p string) string {
	p = path.Clean("/" + p)
	if p == "/var/run" || strings.HasPrefix(p, "/var/run/") {
		return strings.TrimPrefix(p, "/var")
	}
	return p
}

// program is a compiled rule.
type program struct {
	when    *code // nil: always
	deny    *code
	message []segment
	patches []*code // parallel to Rule.Patches; nil where Value is used
	guards  []*code // likewise; nil where the patch has no condition
}

// interpretOnly takes the fast path out of a program.
func (p *program) interpretOnly() {
	for _, c := range append([]*code{p.when, p.deny}, append(p.patches, p.guards...)...) {
		if c != nil {
			c.fast = nil
		}
	}
	for i := range p.message {
		if p.message[i].expr != nil {
			p.message[i].expr.fast = nil
		}
	}
}

// code is a compiled expression. Most are only ever run on the fast path, so
// cel-go plans its own program when it is first asked.
type code struct {
	fast fastFunc // nil where the fast path does not know the expression
	env  *cel.Env
	ast  *cel.Ast
	once sync.Once
	prog cel.Program
	err  error
}

// eval evaluates an expression on a target.
func (c *code) eval(t *target) (ref.Val, error) {
	if c.fast != nil {
		t.steps = 0
		if v := c.fast(t).val(); v != nil {
			return v, nil
		}
	}
	return c.slow(t)
}

// slow evaluates an expression by cel-go.
func (c *code) slow(t *target) (ref.Val, error) {
	c.once.Do(func() { c.prog, c.err = c.env.Program(c.ast) })
	if c.err != nil {
		return nil, c.err
	}
	v, _, err := c.prog.Eval(t)
	return v, err //nolint:wrapcheck // the caller says what was judged
}

// segment is a piece of a message: text, or an expression's value.
type segment struct {
	text string
	expr *code
}

// compile prepares a rule's expressions. Errors name the file and the line.
func compile(env *cel.Env, r *Rule) (*program, error) {
	p := &program{}
	var err error
	if r.When != "" {
		if p.when, err = expression(env, r.When, cel.BoolType); err != nil {
			return nil, r.Broken("when", err)
		}
	}
	if p.deny, err = expression(env, r.Deny, cel.BoolType, cel.ListType(cel.StringType), cel.ListType(cel.DynType)); err != nil {
		return nil, r.Broken("deny", err)
	}
	if p.message, err = compileMessage(env, r.Message); err != nil {
		return nil, r.Broken("message", err)
	}
	p.patches, p.guards = make([]*code, len(r.Patches)), make([]*code, len(r.Patches))
	for i, patch := range r.Patches {
		if patch.When != "" {
			if p.guards[i], err = expression(env, patch.When, cel.BoolType); err != nil {
				return nil, r.Broken(fmt.Sprintf("fix[%d].when", i), err)
			}
		}
		if patch.Expr == "" {
			continue
		}
		if p.patches[i], err = expression(env, patch.Expr); err != nil {
			return nil, r.Broken(fmt.Sprintf("fix[%d].expr", i), err)
		}
	}
	return p, nil
}

// Broken says where in the rule's file a field, such as deny or after[0].deny, is
// wrong.
func (r *Rule) Broken(field string, err error) error {
	line := 1
	if syntax, ok := errors.AsType[*syntaxError](err); ok {
		line = syntax.line
	}
	return fmt.Errorf("%s: %s: %w", r.at(field, line), field, err)
}

// syntaxError is what is wrong with an expression, and on which of its lines.
type syntaxError struct {
	line int
	msg  string
}

func (e *syntaxError) Error() string { return e.msg }

// syntaxErrorOf takes the first issue of an expression, and shows its line
// with a mark below the place.
func syntaxErrorOf(text string, issues *cel.Issues) error {
	first := issues.Errors()[0]
	line, column := max(first.Location.Line(), 1), first.Location.Column()
	msg := "does not compile: " + first.Message
	if lines := strings.Split(text, "\n"); line <= len(lines) && column >= 0 {
		msg += "\n    " + strings.ReplaceAll(lines[line-1], "\t", " ") + "\n    " + strings.Repeat(" ", column) + "^"
	}
	return &syntaxError{line, msg}
}

// Checked parses and checks an expression that must yield one of the types, or
// anything where none is given.
func Checked(env *cel.Env, text string, want ...*cel.Type) (*cel.Ast, error) {
	ast, issues := env.Compile(text)
	if issues != nil && issues.Err() != nil {
		return nil, syntaxErrorOf(text, issues)
	}
	got := ast.OutputType()
	ok := len(want) == 0 || got.IsExactType(types.DynType)
	for _, w := range want {
		ok = ok || got.IsExactType(w)
	}
	if !ok {
		return nil, fmt.Errorf("yields %s, want %s", got, want[0])
	}
	return ast, nil
}

func expression(env *cel.Env, text string, want ...*cel.Type) (*code, error) {
	ast, err := Checked(env, text, want...)
	if err != nil {
		return nil, err
	}
	return &code{fast: compileFast(ast), env: env, ast: ast}, nil
}

func compileMessage(env *cel.Env, text string) ([]segment, error) {
	var out []segment
	for part, err := range Message(text) {
		if err != nil {
			return nil, err
		}
		if !part.Expr {
			out = append(out, segment{text: part.Text})
			continue
		}
		expr, err := expression(env, part.Text)
		if err != nil {
			return nil, err
		}
		out = append(out, segment{expr: expr})
	}
	return out, nil
}

// MessagePart is a piece of a message: text as it stands, or a CEL expression.
type MessagePart struct {
	Text string
	Expr bool
}

// Message cuts a message at its {expressions}.
func Message(text string) iter.Seq2[MessagePart, error] {
	return func(yield func(MessagePart, error) bool) {
		for text != "" {
			open := strings.IndexByte(text, '{')
			if open < 0 {
				yield(MessagePart{Text: text}, nil)
				return
			}
			if open > 0 && !yield(MessagePart{Text: text[:open]}, nil) {
				return
			}
			end := matchingBrace(text[open:])
			if end < 0 {
				yield(MessagePart{}, errors.New("a { without its }"))
				return
			}
			if !yield(MessagePart{Text: text[open+1 : open+end], Expr: true}, nil) {
				return
			}
			text = text[open+end+1:]
		}
	}
}

func matchingBrace(text string) int {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// Matcher compiles conditions on objects, such as those of exceptions. The zero
// Matcher is ready to use, by one goroutine at a time.
type Matcher struct{ env *cel.Env }

// Compile compiles a condition. It sees the variable object and yields a bool.
func (m *Matcher) Compile(expr string) (*Match, error) {
	if m.env == nil {
		env, err := newEnv("object")
		if err != nil {
			return nil, err
		}
		m.env = env
	}
	prog, err := expression(m.env, expr, cel.BoolType)
	if err != nil {
		return nil, err
	}
	return &Match{prog}, nil
}

// Match is a condition on an object.
type Match struct{ prog *code }

// Matches says whether the condition holds for an object. An expression that
// meets an absent field is an error, and so no match.
func (m *Match) Matches(o *cluster.Object) (bool, error) {
	v, err := m.prog.eval(&target{minor: NewestMinor, object: o})
	if err != nil {
		return false, fmt.Errorf("judging match on %s: %w", o.Subject(), err)
	}
	return v == types.True, nil
}
