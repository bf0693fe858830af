package check

import (
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/cel/environment"
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

// newEnv returns Kubernetes' own CEL environment with a rule's variables.
func newEnv() (*cel.Env, error) {
	opts := make([]cel.EnvOption, 0, len(variables))
	for _, v := range variables {
		opts = append(opts, cel.Variable(v.name, v.typ))
	}
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

// program is a compiled rule.
type program struct {
	when    cel.Program // nil: always
	deny    cel.Program
	message []segment
	patches []cel.Program // parallel to Rule.Patches; nil where Value is used
}

// segment is a piece of a message: text, or an expression's value.
type segment struct {
	text string
	expr cel.Program
}

// compile prepares a rule's expressions. Errors name the field, and the line
// and column in the expression.
func compile(env *cel.Env, r *Rule) (*program, error) {
	p := &program{}
	var err error
	if r.When != "" {
		if p.when, err = expression(env, "when", r.When, cel.BoolType); err != nil {
			return nil, err
		}
	}
	if p.deny, err = expression(env, "deny", r.Deny, cel.BoolType, cel.ListType(cel.StringType), cel.ListType(cel.DynType)); err != nil {
		return nil, err
	}
	if p.message, err = compileMessage(env, r.Message); err != nil {
		return nil, err
	}
	p.patches = make([]cel.Program, len(r.Patches))
	for i, patch := range r.Patches {
		if patch.Expr == "" {
			continue
		}
		if p.patches[i], err = expression(env, "fix", patch.Expr); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func expression(env *cel.Env, field, text string, want ...*cel.Type) (cel.Program, error) {
	ast, issues := env.Compile(text)
	if issues != nil && issues.Err() != nil {
		return nil, fmt.Errorf("%s does not compile: %w", field, issues.Err())
	}
	got := ast.OutputType()
	ok := len(want) == 0 || got.IsExactType(types.DynType)
	for _, w := range want {
		ok = ok || got.IsExactType(w)
	}
	if !ok {
		return nil, fmt.Errorf("%s yields %s, want %s", field, got, want[0])
	}
	prog, err := env.Program(ast)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	return prog, nil
}

// compileMessage cuts a message at its {expressions}.
func compileMessage(env *cel.Env, text string) ([]segment, error) {
	var out []segment
	for text != "" {
		open := strings.IndexByte(text, '{')
		if open < 0 {
			return append(out, segment{text: text}), nil
		}
		if open > 0 {
			out = append(out, segment{text: text[:open]})
		}
		end := matchingBrace(text[open:])
		if end < 0 {
			return nil, fmt.Errorf("message: { without }")
		}
		expr, err := expression(env, "message", text[open+1:open+end])
		if err != nil {
			return nil, err
		}
		out = append(out, segment{expr: expr})
		text = text[open+end+1:]
	}
	return out, nil
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
