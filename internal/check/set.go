package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// Set is a choice of rules, ready to judge. It is safe for many goroutines.
type Set struct {
	minor int64
	// interpreter leaves out the fast path.
	interpreter bool
	rules       []*active
	// byKind holds rules on whole objects; kinds without a group are Kubernetes'
	// own.
	byKind     map[string][]*active
	everything []*active
	pods       []*active
	containers []*active
	funcs      []*active

	paths paths

	envOnce sync.Once
	env     *cel.Env
	envErr  error
}

// active is a rule with its program, compiled when it is first needed: a scan
// of three files compiles only what those three need.
type active struct {
	*Rule
	shared *seawall.Rule // of all its findings
	fn     Func
	at     []string // the paths that Rule.At names
	params *document.Node
	fixes  fixCache
	once   sync.Once
	prog   *program
	err    error
}

// Options choose how a Set judges.
type Options struct {
	// Minor is the Kubernetes minor version to judge for; 0 is the newest.
	Minor int
	// Params changes parameters: check ID, name, value.
	Params map[string]map[string]any
	// Funcs are the Go functions that rules name.
	Funcs map[string]Func
	// Interpreter judges by cel-go's interpreter alone, without the fast path.
	// Nothing changes but the speed; the tests hold the one against the other.
	Interpreter bool
}

// NewSet makes a set of those of the rules that judge objects. IDs must be unique, and every function that a
// rule names must be there.
func NewSet(rules []*Rule, o Options) (*Set, error) {
	s := &Set{minor: int64(o.Minor), interpreter: o.Interpreter, byKind: map[string][]*active{}}
	if s.minor == 0 {
		s.minor = NewestMinor
	}
	seen := map[string]string{}
	for _, r := range rules {
		if other, dup := seen[r.ID]; dup {
			return nil, fmt.Errorf("%s: check %q is already defined in %s: give it another id", r.at("id", 1), r.ID, other)
		}
		seen[r.ID] = r.File
		if r.OnEvents() {
			continue // package detect judges by it
		}
		r, err := r.WithParams(o.Params[r.ID])
		if err != nil {
			return nil, err
		}
		var fn Func
		if r.Func != "" {
			if fn = o.Funcs[r.Func]; fn == nil {
				return nil, fmt.Errorf("%s: no function is called %q", r.at("func", 1), r.Func)
			}
		}
		s.add(newActive(r, fn))
	}
	return s, nil
}

func newActive(r *Rule, fn Func) *active {
	a := &active{Rule: r, fn: fn, params: document.FromValue(paramsOf(r)), shared: &seawall.Rule{
		Check: r.ID, Title: r.Title, Phase: r.Phase, Layer: r.Layer, Remediation: r.Remediation(), Refs: r.Refs,
	}}
	for path := range strings.SplitSeq(r.At, "|") {
		a.at = append(a.at, strings.TrimSpace(path))
	}
	return a
}

// paramsOf returns a rule's parameters, an empty map where it has none.
func paramsOf(r *Rule) map[string]any {
	if r.Params == nil {
		return map[string]any{}
	}
	return r.Params
}

// WithParams returns the rule with parameters changed, and refuses those that
// the rule does not have.
func (r *Rule) WithParams(changed map[string]any) (*Rule, error) {
	if len(changed) == 0 {
		return r, nil
	}
	out := *r
	out.Params = make(map[string]any, len(r.Params))
	maps.Copy(out.Params, r.Params)
	for _, k := range slices.Sorted(maps.Keys(changed)) {
		if _, known := r.Params[k]; !known {
			return nil, r.noParam(k)
		}
		out.Params[k] = changed[k]
	}
	return &out, nil
}

// TakesParam says why a value cannot be that of a parameter, nil when it can.
func (r *Rule) TakesParam(name string, v any) error {
	fallback, known := r.Params[name]
	if !known {
		return r.noParam(name)
	}
	if want, got := typeName(fallback), typeName(v); want != got && fallback != nil {
		return fmt.Errorf("parameter %s of check %s: want %s, have %s", name, r.ID, want, got)
	}
	return nil
}

func (r *Rule) noParam(name string) error {
	return fmt.Errorf("check %s has no parameter %q: it has %s", r.ID, name, oneOrMore(slices.Sorted(maps.Keys(r.Params))))
}

func oneOrMore(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// typeName names the type of a parameter as a user knows it.
func typeName(v any) string {
	switch v.(type) {
	case bool:
		return "true or false"
	case int64, float64:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	}
	return "nothing"
}

func (s *Set) add(a *active) {
	s.rules = append(s.rules, a)
	switch {
	case a.fn != nil:
		s.funcs = append(s.funcs, a)
	case a.Deny == "":
		// It needs more than objects, and is judged elsewhere or not at all.
	case a.Scope() == ScopePod:
		s.pods = append(s.pods, a)
	case a.Scope() == ScopeContainer:
		s.containers = append(s.containers, a)
	default:
		for _, kind := range a.Match {
			if kind == "*" {
				s.everything = append(s.everything, a)
			} else {
				s.byKind[kind] = append(s.byKind[kind], a)
			}
		}
	}
}

// Compile compiles every rule now and returns all errors, so that a broken
// rule is known before the first object is judged.
func (s *Set) Compile() []error {
	var errs []error
	for _, a := range s.rules {
		if a.Deny == "" {
			continue
		}
		if _, err := s.program(a); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (s *Set) program(a *active) (*program, error) {
	a.once.Do(func() {
		s.envOnce.Do(func() { s.env, s.envErr = newEnv() })
		if a.err = s.envErr; a.err == nil {
			a.prog, a.err = compile(s.env, a.Rule)
			if a.err == nil && s.interpreter {
				a.prog.interpretOnly()
			}
		}
	})
	return a.prog, a.err
}

// kindKeys returns the names under which a kind may be matched: Kind for
// Kubernetes' own, group/Kind for all.
func kindKeys(o *cluster.Object) [2]string {
	g := o.Group()
	keys := [2]string{g + "/" + o.Kind}
	if builtinGroup(g) {
		keys[1] = o.Kind
	}
	return keys
}

func builtinGroup(g string) bool {
	switch g {
	case "", "apps", "batch", "autoscaling", "policy", "extensions":
		return true
	}
	// SIGs own .x-k8s.io; everything under .k8s.io is reviewed as Kubernetes API.
	return strings.HasSuffix(g, ".k8s.io") && !strings.HasSuffix(g, ".x-k8s.io")
}
