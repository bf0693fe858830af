package chart

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// GlobalKey is the key of the values that every sub-chart sees.
const GlobalKey = "global"

// Values are values as templates see them. Templates may call its methods.
type Values map[string]any

// YAML returns the values as YAML.
func (v Values) YAML() (string, error) {
	text, err := yaml.Marshal(v)
	return string(text), err
}

// Encode writes the values as YAML.
func (v Values) Encode(w io.Writer) error {
	text, err := yaml.Marshal(v)
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

// AsMap returns the values as a map, which is never nil.
func (v Values) AsMap() map[string]any {
	if len(v) == 0 {
		return map[string]any{}
	}
	return v
}

// Table returns the map at a path with dots.
func (v Values) Table(path string) (Values, error) {
	for key := range strings.SplitSeq(path, ".") {
		switch inner := v[key].(type) {
		case map[string]any:
			v = inner
		case Values:
			v = inner
		default:
			return Values{}, fmt.Errorf("%q is not a table", key)
		}
	}
	return v, nil
}

// PathValue returns what stands at a path with dots, unless it is a map.
func (v Values) PathValue(path string) (any, error) {
	if path == "" {
		return nil, errors.New("YAML path cannot be empty")
	}
	key := path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		key = path[i+1:]
		var err error
		if v, err = v.Table(path[:i]); err != nil {
			return nil, fmt.Errorf("%q is not a value", key)
		}
	}
	found, ok := v[key]
	if _, table := found.(map[string]any); !ok || table {
		return nil, fmt.Errorf("%q is not a value", key)
	}
	return found, nil
}

// ReadValues reads a values file. Of several documents the later ones are
// stronger.
func ReadValues(text []byte) (map[string]any, error) {
	// Without a line break at the end the reader may lose the last line: helm/helm#32506.
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(slices.Clip(text), '\n')
	}
	values := map[string]any{}
	for docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, err
		}
		one := map[string]any{}
		if err := yaml.Unmarshal(doc, &one); err != nil {
			return nil, err
		}
		values = Override(values, one)
	}
}

// Override returns weak with what strong sets, maps merged.
func Override(weak, strong map[string]any) map[string]any {
	out := make(map[string]any, len(weak))
	maps.Copy(out, weak)
	for key, v := range strong {
		over, ok := v.(map[string]any)
		under, both := out[key].(map[string]any)
		if ok && both {
			v = Override(under, over)
		}
		out[key] = v
	}
	return out
}

// Copy returns a value whose maps and lists are its own.
func Copy(v any) any {
	switch x := v.(type) {
	case map[string]any:
		return copyMap(x)
	case Values:
		return Values(copyMap(x))
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = Copy(x[i])
		}
		return out
	}
	return v
}

func copyMap(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for key, v := range m {
		out[key] = Copy(v)
	}
	return out
}

// Coalesce returns the values of the chart and all its sub-charts: their
// defaults under given. A null in given removes a default.
func (c *Chart) Coalesce(given map[string]any) (Values, error) {
	m := newMerge(dropNulls)
	out := m.copy(given)
	return out, m.chart(c, out)
}

// merge merges values. Helm lets parts of them be shared, so that imports can
// make a map that holds itself; limits end what would go on for ever.
type merge struct {
	nulls nulls
	left  int // maps that may still be visited
	depth int // maps within maps
}

const (
	maxMaps  = 1_000_000
	maxDepth = 10_000
)

var errEndless = errors.New("the values are too many, or hold themselves: look at the import-values in Chart.yaml")

// nulls says what becomes of a null that is set where a default is.
type nulls bool

const (
	dropNulls nulls = false // it removes the default, and itself
	keepNulls nulls = true  // it stays, to remove the default later
)

func newMerge(n nulls) *merge { return &merge{nulls: n, left: maxMaps} }

// enter says whether one more map may be visited.
func (m *merge) enter() bool {
	m.left--
	m.depth++
	if m.depth > maxDepth {
		m.left = -1
	}
	return m.left >= 0
}

func (m *merge) leave() { m.depth-- }

func (m *merge) err() error {
	if m.left < 0 {
		return errEndless
	}
	return nil
}

// copy returns a map that shares nothing with another.
func (m *merge) copy(from map[string]any) map[string]any {
	out := make(map[string]any, len(from))
	if m.enter() {
		for key, v := range from {
			out[key] = m.copyValue(v)
		}
	}
	m.leave()
	return out
}

func (m *merge) copyValue(v any) any {
	switch x := v.(type) {
	case map[string]any:
		return m.copy(x)
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = m.copyValue(x[i])
		}
		return out
	}
	return Copy(v)
}

// chart adds to the values of a chart its defaults, and for each sub-chart what
// it gets. What is set already is stronger.
func (m *merge) chart(c *Chart, set map[string]any) error {
	m.defaults(c, set)
	for _, sub := range c.subs {
		if _, ok := set[sub.Name()]; !ok {
			set[sub.Name()] = map[string]any{}
		}
		own, ok := set[sub.Name()].(map[string]any)
		if !ok {
			return fmt.Errorf("the value %s is %v and not the map that sub-chart %s wants", sub.Name(), set[sub.Name()], sub.Name())
		}
		m.globals(own, set)
		if err := m.chart(sub, own); err != nil {
			return err
		}
	}
	return m.err()
}

func (m *merge) defaults(c *Chart, set map[string]any) {
	for key, v := range m.copy(c.Values) {
		inner, isMap := v.(map[string]any)
		have, isSet := set[key]
		into, both := have.(map[string]any)
		switch {
		case !isSet && m.nulls == keepNulls:
			set[key] = v
		case !isSet:
			if removeNulls(inner); v != nil {
				set[key] = v
			}
		case have == nil && m.nulls == dropNulls:
			delete(set, key)
		case both && isMap:
			// The sub-chart's turn comes later: what is null for it stays until then.
			n := m.nulls || nulls(c.has(key))
			if n == dropNulls {
				removeNulls(inner)
			}
			m.fill(into, inner, n)
		}
	}
}

// globals gives a sub-chart the global values of its parent, which are
// stronger than its own.
func (m *merge) globals(own, parent map[string]any) {
	below := map[string]any{}
	if v, ok := own[GlobalKey]; ok {
		if below, ok = v.(map[string]any); !ok {
			return
		}
	}
	above := map[string]any{}
	if v, ok := parent[GlobalKey]; ok {
		if above, ok = v.(map[string]any); !ok {
			return
		}
	}
	for key, v := range above {
		strong, strongMap := v.(map[string]any)
		weak, isSet := below[key]
		weakMap, isMap := weak.(map[string]any)
		switch {
		case strongMap && isSet && !isMap, !strongMap && isMap:
			// Neither can be merged into the other.
		case strongMap:
			// Not a deep copy: maps within are the parent's, and what the
			// sub-chart adds to them the parent sees as well.
			strong = maps.Clone(strong)
			m.fill(strong, weakMap, keepNulls)
			below[key] = strong
		default:
			below[key] = v
		}
	}
	own[GlobalKey] = below
}

// fill adds to a map what is weaker. A null in set becomes one in weak, too.
func (m *merge) fill(set, weak map[string]any, n nulls) {
	if set == nil || weak == nil {
		return
	}
	if m.enter() {
		for key, v := range weak {
			have, isSet := set[key]
			into, both := have.(map[string]any)
			inner, isMap := v.(map[string]any)
			switch {
			case !isSet:
				set[key] = v
			case have == nil && v != nil && n == dropNulls:
				delete(set, key)
				weak[key] = nil
			case both && isMap:
				m.fill(into, inner, n)
			}
		}
		for key, v := range set {
			if v == nil {
				weak[key] = nil
			}
		}
	}
	m.leave()
}

// removeNulls is for maps that share nothing.
func removeNulls(m map[string]any) {
	for key, v := range m {
		if v == nil {
			delete(m, key)
		} else if inner, ok := v.(map[string]any); ok {
			removeNulls(inner)
		}
	}
}
