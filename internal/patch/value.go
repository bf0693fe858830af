package patch

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"seawall.io/seawall"
)

// The names of the operations.
const (
	opAdd     = "add"
	opReplace = "replace"
	opRemove  = "remove"
)

// splitPointer returns the steps of a JSON pointer (RFC 6901).
func splitPointer(pointer string) ([]string, error) {
	if pointer == "" {
		return nil, nil
	}
	if pointer[0] != '/' {
		return nil, fmt.Errorf("%w: a JSON pointer begins with /, %q does not", ErrPath, pointer)
	}
	steps := strings.Split(pointer[1:], "/")
	for i, s := range steps {
		steps[i] = strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
	}
	return steps, nil
}

// joinPointer is the reverse of splitPointer.
func joinPointer(steps []string) string {
	var b strings.Builder
	for _, s := range steps {
		b.WriteByte('/')
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1"))
	}
	return b.String()
}

// itemIndex reads a step into a list of n items. The step "-", and n itself,
// are the place after the last item, for an add only.
func itemIndex(step string, n int, add bool) (int, error) {
	if step == "-" && add {
		return n, nil
	}
	i, err := strconv.Atoi(step)
	if err != nil || i < 0 || strconv.Itoa(i) != step {
		return 0, fmt.Errorf("%w: %q is not an index of a list", ErrPath, step)
	}
	if i > n || (i == n && !add) {
		return 0, fmt.Errorf("%w: the list has %d items, there is no item %s", ErrPath, n, step)
	}
	return i, nil
}

// normal returns a value as document.Node.Value would: integers as int64, also
// those that encoding/json decoded as float64.
func normal(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, int64:
		return v, nil
	case int:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case float64:
		return normalFloat(v)
	case string:
		if !utf8.ValidString(v) {
			return nil, fmt.Errorf("%w: the string %q is not UTF-8", ErrValue, v)
		}
		return v, nil
	case []string:
		out := make([]any, len(v))
		for i := range v {
			out[i] = v[i]
		}
		return normal(out)
	case []any:
		out := make([]any, len(v))
		var err error
		for i := range v {
			if out[i], err = normal(v[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		return normalMap(v)
	}
	return nil, fmt.Errorf("%w: %T", ErrValue, v)
}

func normalFloat(f float64) (any, error) {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return nil, fmt.Errorf("%w: %v", ErrValue, f)
	case f == math.Trunc(f) && math.Abs(f) < 1<<53:
		return int64(f), nil
	}
	return f, nil
}

func normalMap(m map[string]any) (any, error) {
	out := make(map[string]any, len(m))
	for k, v := range m {
		if !utf8.ValidString(k) {
			return nil, fmt.Errorf("%w: the key %q is not UTF-8", ErrValue, k)
		}
		n, err := normal(v)
		if err != nil {
			return nil, err
		}
		out[k] = n
	}
	return out, nil
}

// same compares values. An integer equals the float of the same number.
func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, same)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, same)
	case int64:
		f, ok := b.(float64)
		return a == b || (ok && float64(a) == f)
	case float64:
		i, ok := b.(int64)
		return a == b || (ok && float64(i) == a)
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}

// reference returns the value that an operation turns root into. It is what
// the edited text is held against, so it knows nothing of text and shares no
// code with the editor. It copies what it changes.
func reference(root any, op seawall.PatchOp) (any, error) {
	steps, err := splitPointer(op.Path)
	if err != nil {
		return nil, err
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("%w: %s of the whole document", ErrPath, op.Op)
	}
	switch op.Op {
	case opAdd:
		v, err := normal(op.Value)
		if err != nil {
			return nil, err
		}
		return referenceAdd(root, steps, v)
	case opReplace:
		v, err := normal(op.Value)
		if err != nil {
			return nil, err
		}
		return referenceChange(root, steps, func(any) (any, bool) { return v, true })
	case opRemove:
		return referenceChange(root, steps, func(any) (any, bool) { return nil, false })
	}
	return nil, fmt.Errorf("%w: the operation %q is none of add, replace and remove", ErrPath, op.Op)
}

func referenceAdd(n any, steps []string, v any) (any, error) {
	if len(steps) == 0 {
		return v, nil
	}
	step, rest := steps[0], steps[1:]
	switch n := n.(type) {
	case nil:
		return nest(steps, v), nil
	case map[string]any:
		child, err := referenceAdd(n[step], rest, v)
		if err != nil {
			return nil, err
		}
		out := maps.Clone(n)
		out[step] = child
		return out, nil
	case []any:
		i, err := itemIndex(step, len(n), len(rest) == 0)
		if err != nil {
			return nil, err
		}
		if len(rest) == 0 {
			return slices.Insert(slices.Clone(n), i, v), nil
		}
		out := slices.Clone(n)
		out[i], err = referenceAdd(n[i], rest, v)
		return out, err
	}
	return nil, fmt.Errorf("%w: %v has no entries", ErrPath, n)
}

// nest wraps v into the maps and lists that steps lead through.
func nest(steps []string, v any) any {
	for _, step := range slices.Backward(steps) {
		if step == "-" {
			v = []any{v}
		} else {
			v = map[string]any{step: v}
		}
	}
	return v
}

// referenceChange replaces an existing value by what change returns, or drops
// it when that reports false.
func referenceChange(n any, steps []string, change func(any) (any, bool)) (any, error) {
	step, rest := steps[0], steps[1:]
	switch n := n.(type) {
	case map[string]any:
		child, found := n[step]
		if !found {
			return nil, fmt.Errorf("%w: there is no key %q", ErrPath, step)
		}
		keep := true
		if len(rest) == 0 {
			child, keep = change(child)
		} else {
			var err error
			if child, err = referenceChange(child, rest, change); err != nil {
				return nil, err
			}
		}
		out := maps.Clone(n)
		if keep {
			out[step] = child
		} else {
			delete(out, step)
		}
		return out, nil
	case []any:
		i, err := itemIndex(step, len(n), false)
		if err != nil {
			return nil, err
		}
		child, keep := n[i], true
		if len(rest) == 0 {
			child, keep = change(child)
		} else if child, err = referenceChange(child, rest, change); err != nil {
			return nil, err
		}
		if !keep {
			return slices.Delete(slices.Clone(n), i, i+1), nil
		}
		out := slices.Clone(n)
		out[i] = child
		return out, nil
	}
	return nil, fmt.Errorf("%w: %v has no entry %q", ErrPath, n, step)
}
