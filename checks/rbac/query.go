package rbacchecks

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"seawall.io/seawall"
)

// readQuery reads the parameters of a check that uses grants. Names that it
// does not know are errors: a misspelt one would make the check pass.
func readQuery(params map[string]any) (*query, error) {
	q := &query{}
	p := fields{values: params}
	p.text("scope", &q.scope)
	p.texts("namespaces", &q.namespaces)
	p.flag("privileged", &q.privileged)
	p.texts("exceptRoles", &q.exceptRoles)
	q.anyOf = p.needs("anyOf")
	p.finish()
	if p.err == nil && len(q.anyOf) == 0 {
		p.err = fmt.Errorf("anyOf names no permission")
	}
	return q, p.err
}

// fields takes typed values out of a map and remembers the first error.
type fields struct {
	values map[string]any
	taken  []string
	err    error
}

// take returns a value if it is there.
func (f *fields) take(name string) (any, bool) {
	f.taken = append(f.taken, name)
	v, ok := f.values[name]
	return v, ok
}

func (f *fields) refuse(name, want string) {
	if f.err == nil {
		f.err = fmt.Errorf("%s: want %s", name, want)
	}
}

func (f *fields) text(name string, to *string) {
	if v, ok := f.take(name); ok {
		if *to, ok = v.(string); !ok {
			f.refuse(name, "a string")
		}
	}
}

func (f *fields) flag(name string, to *bool) {
	if v, ok := f.take(name); ok {
		if *to, ok = v.(bool); !ok {
			f.refuse(name, "true or false")
		}
	}
}

func (f *fields) number(name string, to *int) {
	if v, ok := f.take(name); ok {
		n, isInt := v.(int64)
		if !isInt {
			f.refuse(name, "a number")
		}
		*to = int(n)
	}
}

func (f *fields) texts(name string, to *[]string) {
	v, ok := f.take(name)
	if !ok {
		return
	}
	items, isList := v.([]any)
	if !isList {
		f.refuse(name, "a list")
	}
	for _, item := range items {
		s, isText := item.(string)
		if !isText {
			f.refuse(name, "a list of strings")
		}
		*to = append(*to, s)
	}
}

func (f *fields) needs(name string) []need {
	v, ok := f.take(name)
	if !ok {
		return nil
	}
	items, isList := v.([]any)
	if !isList {
		f.refuse(name, "a list")
	}
	out := make([]need, len(items))
	for i, item := range items {
		m, isMap := item.(map[string]any)
		if !isMap {
			f.refuse(name, "a list of permissions")
			continue
		}
		f.need(fmt.Sprintf("%s[%d]", name, i), m, &out[i])
	}
	return out
}

func (f *fields) need(at string, values map[string]any, n *need) {
	p := fields{values: values}
	severity := ""
	p.texts("groups", &n.groups)
	p.texts("resources", &n.resources)
	p.texts("verbs", &n.verbs)
	p.text("scope", &n.scope)
	p.texts("names", &n.names)
	p.flag("anyName", &n.anyName)
	p.number("before", &n.before)
	p.text("severity", &severity)
	n.with = p.needs("with")
	p.finish()
	if severity != "" && p.err == nil {
		n.severity, p.err = seawall.ParseSeverity(severity)
	}
	if len(n.groups) == 0 || len(n.resources) == 0 || len(n.verbs) == 0 {
		p.refuse("groups, resources and verbs", "at least one of each")
	}
	if p.err != nil && f.err == nil {
		f.err = fmt.Errorf("%s: %w", at, p.err)
	}
}

// finish refuses values that nothing took.
func (f *fields) finish() {
	for _, name := range slices.Sorted(maps.Keys(f.values)) {
		if !slices.Contains(f.taken, name) && f.err == nil {
			f.err = fmt.Errorf("%s: no such parameter: there are %s", name, strings.Join(f.taken, ", "))
		}
	}
}
