package detect

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/cel"

	"seawall.io/seawall/internal/document"
)

// Exceptions are matches that somebody accepted: they raise no alert, and are
// counted.
type Exceptions struct{ entries []*exception }

// exception is one of them. Empty conditions hold for all.
type exception struct {
	check     string // with * for any run of characters, as the next three
	namespace string
	workload  string // kind/name
	container string
	reason    string
	expires   string // YYYY-MM-DD, last day included
	match     *expression
	where     string // for warnings
}

// ParseExceptions reads a file of exceptions, in the format that those on objects
// have, with conditions on where an event is from:
//
//	exceptions:
//	  - check: port-scan
//	    namespace: monitoring
//	    workload: Deployment/prometheus
//	    container: prometheus
//	    match: process.exe == "/bin/prometheus"
//	    reason: it asks everything that has a port
//	    expires: 2027-01-31
//
// check and reason are required; match sees the event as checks do. name is used in
// errors.
func ParseExceptions(name string, text []byte) (*Exceptions, error) {
	env, err := newEnv()
	if err != nil {
		return nil, err
	}
	out := &Exceptions{}
	for _, d := range document.Parse(text, document.Limits{}) {
		switch {
		case d.Err != nil:
			return nil, fmt.Errorf("%s:%d: %s", name, max(d.Err.Line, 1), d.Err.Msg)
		case d.Root.IsNull():
			continue
		case d.Root.Kind() != document.Map:
			return nil, fmt.Errorf("%s:%d: want a mapping with the key exceptions", name, d.Root.Pos.Line)
		}
		for _, f := range d.Root.Map() {
			if f.Key != "exceptions" || (!f.Value.IsNull() && f.Value.Kind() != document.List) {
				return nil, fmt.Errorf("%s:%d: key %q: want exceptions, a list", name, f.Pos.Line, f.Key)
			}
			for _, item := range f.Value.List() {
				x, err := parseException(env, item)
				if err != nil {
					return nil, fmt.Errorf("%s:%d: %w", name, item.Pos.Line, err)
				}
				x.where = fmt.Sprintf("%s:%d", name, item.Pos.Line)
				out.entries = append(out.entries, x)
			}
		}
	}
	return out, nil
}

func parseException(env *cel.Env, item *document.Node) (*exception, error) {
	x := &exception{}
	match := ""
	fields := map[string]*string{
		"check": &x.check, "namespace": &x.namespace, "workload": &x.workload, "container": &x.container,
		"reason": &x.reason, "expires": &x.expires, "match": &match,
	}
	if item.Kind() != document.Map {
		return nil, fmt.Errorf("want a mapping with check and reason")
	}
	for _, f := range item.Map() {
		dst := fields[f.Key]
		switch {
		case dst == nil:
			return nil, fmt.Errorf("unknown key %q: want check, namespace, workload, container, match, reason, expires", f.Key)
		case f.Value.Kind() != document.String:
			return nil, fmt.Errorf("%s: want a string", f.Key)
		}
		*dst = f.Value.Str()
	}
	switch _, err := time.Parse(time.DateOnly, x.expires); {
	case x.check == "":
		return nil, fmt.Errorf("an exception must name its check")
	case strings.TrimSpace(x.reason) == "":
		return nil, fmt.Errorf("an exception for %s must give a reason", x.check)
	case x.expires != "" && err != nil:
		return nil, fmt.Errorf("expires %q: want a date, YYYY-MM-DD", x.expires)
	}
	for _, glob := range []string{x.check, x.namespace, x.workload, x.container} {
		if _, err := path.Match(glob, ""); err != nil {
			return nil, fmt.Errorf("%q: %w: use a name, or * for any run of characters", glob, err)
		}
	}
	if match != "" {
		var err error
		if x.match, err = compileExpression(env, &rule{}, match, cel.BoolType); err != nil {
			return nil, fmt.Errorf("match: %w", err)
		}
	}
	return x, nil
}

// accept says whether an exception is about the event of a frame. What cannot be
// decided accepts nothing.
func (x *Exceptions) accept(f *frame, id string) bool {
	return x != nil && slices.ContainsFunc(x.entries, func(e *exception) bool { return e.accepts(f, id) })
}

func (e *exception) accepts(f *frame, id string) bool {
	ev := f.event
	if !glob(e.check, id) {
		return false
	}
	if e.namespace != "" && (ev.Pod == nil || !glob(e.namespace, ev.Pod.Namespace)) {
		return false
	}
	if e.workload != "" && (ev.Pod == nil || !glob(e.workload, ev.Pod.Workload.String())) {
		return false
	}
	if e.container != "" && (ev.Container == nil || !glob(e.container, ev.Container.Name)) {
		return false
	}
	if e.expires != "" && ev.Time.UTC().Format(time.DateOnly) > e.expires {
		return false
	}
	if e.match == nil {
		return true
	}
	yes, err := e.match.judge(f, false)
	return err == nil && yes
}

func glob(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

// Warnings name the exceptions that have expired on a day, YYYY-MM-DD, and those
// for no check that there is. Sorted.
func (x *Exceptions) Warnings(checks []string, today string) []string {
	var out []string
	for _, e := range x.entries {
		switch {
		case e.expires != "" && e.expires < today:
			out = append(out, fmt.Sprintf("%s: the exception for %s expired on %s: see to the cause, or renew it", e.where, e.check, e.expires))
		case !slices.ContainsFunc(checks, func(id string) bool { return glob(e.check, id) }):
			out = append(out, fmt.Sprintf("%s: no runtime check is called %s: `seawall check list` names them all", e.where, e.check))
		}
	}
	slices.Sort(out)
	return out
}
