package cluster

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/document"
)

// Selector is a label selector, ready to match. The zero Selector selects
// nothing, as an absent one does.
type Selector struct {
	something    bool
	requirements []requirement
}

// requirement is one condition. matchLabels and In with one value are equality.
type requirement struct {
	key    string
	op     operator
	values []string
}

type operator uint8

const (
	opIn operator = iota
	opNotIn
	opExists
	opAbsent
)

// LabelSelector reads a metav1.LabelSelector. An absent one selects nothing, an
// empty one everything. One that the API server would refuse is an error, and
// selects nothing.
func LabelSelector(n *document.Node) (Selector, error) {
	if n.IsNull() {
		return Selector{}, nil
	}
	if n.Kind() != document.Map {
		return Selector{}, fmt.Errorf("a selector must be a mapping")
	}
	s := Selector{something: true}
	if err := s.addLabels(n.Get("matchLabels")); err != nil {
		return Selector{}, err
	}
	list := n.Get("matchExpressions")
	if !list.IsNull() && list.Kind() != document.List {
		return Selector{}, fmt.Errorf("matchExpressions must be a list")
	}
	for i, e := range list.List() {
		r, err := readRequirement(e)
		if err != nil {
			return Selector{}, fmt.Errorf("matchExpressions[%d]: %w", i, err)
		}
		s.requirements = append(s.requirements, r)
	}
	return s, nil
}

// MapSelector reads the plain mapping by which Services and
// ReplicationControllers select. One that is absent, empty or of another type
// selects nothing.
func MapSelector(n *document.Node) Selector {
	s := Selector{something: n.Len() > 0}
	if err := s.addLabels(n); err != nil {
		return Selector{}
	}
	return s
}

func (s *Selector) addLabels(n *document.Node) error {
	if n.IsNull() {
		return nil
	}
	if n.Kind() != document.Map {
		return fmt.Errorf("labels must be a mapping")
	}
	for _, f := range n.Map() {
		// A null label is the empty one, as encoding/json decodes it.
		if !f.Value.IsNull() && f.Value.Kind() != document.String {
			return fmt.Errorf("the value of label %q must be a string", f.Key)
		}
		s.requirements = append(s.requirements, requirement{key: f.Key, op: opIn, values: []string{f.Value.Str()}})
	}
	return nil
}

func readRequirement(n *document.Node) (requirement, error) {
	r := requirement{key: n.Get("key").Str()}
	if r.key == "" {
		return r, fmt.Errorf("key is missing")
	}
	for _, v := range n.Get("values").List() {
		if v.Kind() != document.String {
			return r, fmt.Errorf("values must be strings")
		}
		r.values = append(r.values, v.Str())
	}
	wantsValues := false
	switch name := n.Get("operator").Str(); name {
	case "In":
		r.op, wantsValues = opIn, true
	case "NotIn":
		r.op, wantsValues = opNotIn, true
	case "Exists":
		r.op = opExists
	case "DoesNotExist":
		r.op = opAbsent
	default:
		return r, fmt.Errorf("operator %q: want In, NotIn, Exists or DoesNotExist", name)
	}
	switch {
	case wantsValues && len(r.values) == 0:
		return r, fmt.Errorf("values are missing")
	case !wantsValues && len(r.values) > 0:
		return r, fmt.Errorf("values must be absent with %s", n.Get("operator").Str())
	}
	return r, nil
}

// Nothing says that the selector can select nothing, whatever the labels.
func (s Selector) Nothing() bool { return !s.something }

// Everything says that the selector selects whatever there is.
func (s Selector) Everything() bool { return s.something && len(s.requirements) == 0 }

// Matches says whether the selector selects an object with these labels, which
// may be absent.
func (s Selector) Matches(labels *document.Node) bool {
	if !s.something {
		return false
	}
	for i := range s.requirements {
		if !s.requirements[i].matches(labels) {
			return false
		}
	}
	return true
}

// Equalities returns the labels that an object must have, with the one value
// that each must have: what matchLabels say, and In with a single value.
func (s Selector) Equalities() map[string]string {
	out := map[string]string{}
	for _, r := range s.requirements {
		if r.op == opIn && len(r.values) == 1 {
			out[r.key] = r.values[0]
		}
	}
	return out
}

// Only returns the part of a selector that asks for keys which keep accepts, and
// whether that is all of it. An object that the part does not select, the whole
// does not either.
func (s Selector) Only(keep func(key string) bool) (part Selector, whole bool) {
	part = Selector{something: s.something}
	for _, r := range s.requirements {
		if keep(r.key) {
			part.requirements = append(part.requirements, r)
		}
	}
	return part, len(part.requirements) == len(s.requirements)
}

func (r *requirement) matches(labels *document.Node) bool {
	v := labels.Get(r.key)
	switch r.op {
	case opIn:
		return v != nil && slices.Contains(r.values, v.Str())
	case opNotIn:
		return v == nil || !slices.Contains(r.values, v.Str())
	case opExists:
		return v != nil
	case opAbsent:
	}
	return v == nil
}

// Labels that controllers add to the pods that they make, beyond those of the
// template. A selector may name them: a Service for one member of a StatefulSet
// usually does.
const (
	podNameLabel  = "statefulset.kubernetes.io/pod-name"
	podIndexLabel = "apps.kubernetes.io/pod-index"
)

// MatchesPods says whether the selector selects pods of a template, some at
// least. The pod-name and pod-index labels that a StatefulSet gives its pods
// count; hashes and other labels whose values nobody can know before do not.
func (s Selector) MatchesPods(t *PodTemplate) bool {
	if !s.something {
		return false
	}
	labels := t.Root.At("metadata", "labels")
	member := t.Object.Kind == "StatefulSet"
	for i := range s.requirements {
		r := &s.requirements[i]
		if r.matches(labels) || member && r.matchesMember(t.Object.Name) {
			continue
		}
		return false
	}
	return true
}

// matchesMember says whether a requirement on a label that the StatefulSet
// controller gives is met by a pod of the set.
func (r *requirement) matchesMember(set string) bool {
	switch {
	case r.key != podNameLabel && r.key != podIndexLabel:
		return false
	case r.op == opExists, r.op == opNotIn:
		return true
	case r.op == opAbsent:
		return false
	}
	return slices.ContainsFunc(r.values, func(v string) bool {
		if r.key == podNameLabel {
			var ok bool
			if v, ok = strings.CutPrefix(v, set+"-"); !ok {
				return false
			}
		}
		return v != "" && strings.Trim(v, "0123456789") == ""
	})
}

// templateIndex finds pod templates by namespace and labels.
type templateIndex struct {
	templates   []PodTemplate
	byNamespace map[string][]int
	byLabel     map[placedLabel][]int
}

type placedLabel struct{ namespace, key, value string }

// Selected returns the pod templates of a namespace ("" is default) that a
// selector selects, in the order of Templates. It costs about as much as the
// rarest label that the selector asks for occurs.
func (s *Snapshot) Selected(namespace string, sel Selector) []*PodTemplate {
	if sel.Nothing() {
		return nil
	}
	if namespace == "" {
		namespace = "default"
	}
	x := s.templateIndex()
	var out []*PodTemplate
	for _, i := range x.candidates(namespace, sel) {
		if t := &x.templates[i]; sel.MatchesPods(t) {
			out = append(out, t)
		}
	}
	return out
}

func (s *Snapshot) templateIndex() *templateIndex {
	type key struct{}
	return Derive(s, key{}, func() *templateIndex {
		x := &templateIndex{templates: s.Templates(), byNamespace: map[string][]int{}, byLabel: map[placedLabel][]int{}}
		for i := range x.templates {
			t := &x.templates[i]
			ns := t.Namespace()
			x.byNamespace[ns] = append(x.byNamespace[ns], i)
			for _, f := range t.Root.At("metadata", "labels").Map() {
				l := placedLabel{ns, f.Key, f.Value.Str()}
				x.byLabel[l] = append(x.byLabel[l], i)
			}
		}
		return x
	})
}

// candidates returns the shortest list of templates that holds all which the
// selector can match.
func (x *templateIndex) candidates(namespace string, sel Selector) []int {
	best := x.byNamespace[namespace]
	for _, r := range sel.requirements {
		if r.op != opIn || len(r.values) != 1 || r.key == podNameLabel || r.key == podIndexLabel {
			continue
		}
		if list := x.byLabel[placedLabel{namespace, r.key, r.values[0]}]; len(list) < len(best) {
			best = list
		}
	}
	return best
}
