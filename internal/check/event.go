package check

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
)

// RuntimeTopic is the folder whose rules judge events.
const RuntimeTopic = "runtime"

// The limits of what a rule on events may remember.
const (
	MaxSteps  = 4
	MaxCount  = 1000
	MaxWithin = time.Hour
)

// Step is an event that must have come before the one that a rule judges.
type Step struct {
	Match []string
	When  string
	Deny  string // empty: any event of these kinds
	// As is the name under which later steps and the rule see the event.
	As string
	// Within is how long before the next step it may lie; the rule's where not given.
	Within time.Duration
}

// By is what a rule's counts and sequences belong to.
type By string

// What counts and sequences belong to.
const (
	ByProcess   By = "process"
	ByTree      By = "tree"
	ByContainer By = "container"
	ByPod       By = "pod"
	ByNode      By = "node"
)

// Responses are what a rule may suggest to do, the mildest first.
func Responses() []string { return []string{"evidence", "cut", "freeze", "isolate"} }

// OnEvents says whether the rule judges events of a node, and not objects.
func (r *Rule) OnEvents() bool { return r.events }

// Kinds returns the kinds of event that a rule or step names.
func Kinds(match []string) ([]seawall.EventKind, error) {
	out := make([]seawall.EventKind, 0, len(match))
	for _, name := range match {
		var k seawall.EventKind
		if err := k.UnmarshalText([]byte(name)); err != nil {
			return nil, fmt.Errorf("%w: want one of %v", err, seawall.EventKinds())
		}
		if slices.Contains(out, k) {
			return nil, fmt.Errorf("%s is named twice", name)
		}
		out = append(out, k)
	}
	return out, nil
}

// namesEvents says whether a match outside the folder of runtime checks is one on
// events. Both objects and events have a kind container; there it is the object.
func namesEvents(match []string) bool {
	for _, name := range match {
		var k seawall.EventKind
		if name == "container" || k.UnmarshalText([]byte(name)) != nil {
			return false
		}
	}
	return true
}

// setEventField reads a field that only rules on events have. known is false for
// all other fields.
func (r *Rule) setEventField(key string, v *document.Node) (known bool, err error) {
	switch key {
	case "by":
		r.By = By(v.Str())
		if !slices.Contains([]By{ByProcess, ByTree, ByContainer, ByPod, ByNode}, r.By) {
			return true, fmt.Errorf("%q: want process, tree, container, pod or node", v.Str())
		}
	case "count":
		n, ok := v.Int()
		if !ok || n < 2 || n > MaxCount {
			return true, fmt.Errorf("want a number from 2 to %d", MaxCount)
		}
		r.Count = int(n)
	case "within":
		r.Within, err = within(v)
	case "distinct":
		if r.Distinct = v.Str(); r.Distinct == "" {
			return true, fmt.Errorf("want a CEL expression that yields a string or a number")
		}
	case "respond":
		if r.Respond = v.Str(); !slices.Contains(Responses(), r.Respond) {
			return true, fmt.Errorf("%q: want one of %v", v.Str(), Responses())
		}
	case "after":
		r.After, err = parseSteps(v)
	default:
		return false, nil
	}
	return true, err
}

func within(v *document.Node) (time.Duration, error) {
	d, err := time.ParseDuration(v.Str())
	if err != nil || d <= 0 || d > MaxWithin {
		return 0, fmt.Errorf("want a duration such as 10s, at most %v", MaxWithin)
	}
	return d, nil
}

func parseSteps(v *document.Node) ([]Step, error) {
	if v.Kind() != document.List || v.Len() == 0 || v.Len() > MaxSteps {
		return nil, fmt.Errorf("want a list of 1 to %d of {match, deny, as}", MaxSteps)
	}
	out := make([]Step, 0, v.Len())
	for _, item := range v.List() {
		s, err := parseStep(item)
		if err != nil {
			return nil, fmt.Errorf("line %d of the part: %w", item.Pos.Line, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// stepName leaves out what CEL and the variables of events have taken.
var stepName = regexp.MustCompile(`^[a-z][a-zA-Z0-9]*$`)

func parseStep(item *document.Node) (Step, error) {
	var s Step
	if item.Kind() != document.Map {
		return s, fmt.Errorf("want {match, deny, as}")
	}
	for _, f := range item.Map() {
		var err error
		switch f.Key {
		case "match":
			if s.Match, err = stringList(f.Value); err == nil {
				_, err = Kinds(s.Match)
			}
		case "within":
			s.Within, err = within(f.Value)
		case "when", "deny", "as":
			if f.Value.Kind() != document.String {
				err = fmt.Errorf("want a string")
			}
			*map[string]*string{"when": &s.When, "deny": &s.Deny, "as": &s.As}[f.Key] = f.Value.Str()
		default:
			err = fmt.Errorf("unknown field: want match, when, deny, as, within")
		}
		if err != nil {
			return s, fmt.Errorf("%s: %w", f.Key, err)
		}
	}
	switch {
	case len(s.Match) == 0:
		return s, fmt.Errorf("match is missing")
	case s.As != "" && !stepName.MatchString(s.As):
		return s, fmt.Errorf("as: %q: want a name of letters and digits that begins with a small letter", s.As)
	}
	return s, nil
}

// fieldUse says whether a rule has a field.
type fieldUse struct {
	name string
	set  bool
}

// completeEvents fills in what follows from other fields of a rule on events, and
// refuses what does not fit together.
func (r *Rule) completeEvents() error {
	if _, err := Kinds(r.Match); err != nil {
		return fmt.Errorf("match: %w", err)
	}
	for _, f := range []fieldUse{
		{"each", r.Each != ""},
		{"at", r.At != ""},
		{"fix", len(r.Patches) > 0},
		{"func", r.Func != ""},
		{"needs", r.Needs != ""},
		{"whole", r.Whole},
		{"conceal", r.Conceal},
	} {
		if f.set {
			return fmt.Errorf("%s: a check on events has no such field", f.name)
		}
	}
	switch remembers := r.Count > 0 || len(r.After) > 0; {
	case r.Deny == "":
		return fmt.Errorf("deny is missing")
	case r.Message == "":
		return fmt.Errorf("message is missing")
	case remembers && r.By == "":
		return fmt.Errorf("by is missing: process, tree, container, pod or node")
	case remembers && r.Within == 0:
		return fmt.Errorf("within is missing: how long count or after look back, such as 10s")
	case !remembers && (r.By != "" || r.Within != 0):
		return fmt.Errorf("by and within say something of count and after only")
	case r.Distinct != "" && r.Count == 0:
		return fmt.Errorf("distinct without count")
	case r.Phase != "" && r.Phase != seawall.Runtime:
		return fmt.Errorf("phase %q: checks on events are of the phase runtime", r.Phase)
	}
	names := map[string]bool{}
	for i := range r.After {
		s := &r.After[i]
		if names[s.As] && s.As != "" {
			return fmt.Errorf("after: two steps are called %s", s.As)
		}
		names[s.As] = true
		if s.Within == 0 {
			s.Within = r.Within
		}
	}
	r.Phase, r.Needs = seawall.Runtime, "the events of a node, which seawall-agent sees"
	if r.Layer == "" {
		r.Layer = seawall.ContainerLayer
	}
	return nil
}

// refuseEventFields says which field of a rule on objects only rules on events
// have.
func (r *Rule) refuseEventFields() error {
	for _, f := range []fieldUse{
		{"by", r.By != ""},
		{"count", r.Count > 0},
		{"distinct", r.Distinct != ""},
		{"within", r.Within != 0},
		{"after", len(r.After) > 0},
		{"respond", r.Respond != ""},
	} {
		if f.set {
			return fmt.Errorf("%s: only checks on events have it, and match names none: it takes %v", f.name, seawall.EventKinds())
		}
	}
	return nil
}
