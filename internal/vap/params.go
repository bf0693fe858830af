package vap

import (
	"errors"
	"fmt"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// paramRef says which objects are the parameters of a binding.
type paramRef struct {
	name, namespace string
	selector        cluster.Selector
	deny            bool // parameterNotFoundAction: Deny
}

func parseParamRef(n *document.Node) (*paramRef, error) {
	if n.IsNull() {
		return nil, nil //nolint:nilnil // a binding may have none
	}
	ref := &paramRef{name: n.Get("name").Str(), namespace: n.Get("namespace").Str()}
	hasSelector := !n.Get("selector").IsNull()
	switch {
	case ref.name != "" && hasSelector:
		return nil, errors.New("name and selector exclude each other: remove one")
	case ref.name == "" && !hasSelector:
		return nil, errors.New("want a name or a selector")
	}
	var err error
	if ref.selector, err = cluster.LabelSelector(n.Get("selector")); err != nil {
		return nil, fmt.Errorf("selector: %w", err)
	}
	switch action := n.Get("parameterNotFoundAction").Str(); action {
	case "Allow":
	case "Deny":
		ref.deny = true
	default:
		return nil, fmt.Errorf("parameterNotFoundAction %q: want Allow or Deny", action)
	}
	return ref, nil
}

// params returns the parameters of a binding for a review: one nil where it
// has none. err says that the API server cannot find out either, and so fails
// as the policy's failurePolicy says; reason that a scan cannot know.
func (p *policy) params(s *cluster.Snapshot, b *binding, r *review) (list []*document.Node, reason string, err error) {
	ref := b.params
	if p.paramKind.kind == "" || ref == nil {
		return []*document.Node{nil}, "", nil
	}
	namespaced := p.paramsNamespaced(s)
	ns := ref.namespace
	switch {
	case !namespaced && ns != "":
		return nil, "", errors.New("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
	case namespaced && ns == "":
		if ns = r.ns; ns == "" {
			return nil, "", errors.New("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
		}
	}
	seen := map[string]bool{}
	ofKind := 0
	for _, objects := range [...][]*cluster.Object{p.own, s.Kind(p.paramKind.kind)} {
		for _, o := range objects {
			if o.Group() != p.paramKind.group || o.Kind != p.paramKind.kind {
				continue
			}
			ofKind++
			at := o.Namespace
			if namespaced && at == "" {
				at = "default"
			}
			if seen[at+"/"+o.Name] || (namespaced && at != ns) {
				continue
			}
			if o.Name == ref.name || (ref.name == "" && ref.selector.Matches(o.Root.At("metadata", "labels"))) {
				seen[at+"/"+o.Name] = true
				list = append(list, o.Root)
			}
		}
	}
	if len(list) > 0 {
		return list, "", nil
	}
	// Where a whole cluster is known, or the folder of checks brings parameters
	// of the kind and so stands for all, what is not there does not exist.
	known := s.Whole || (!ref.deny && ofKind > 0)
	if !known {
		which := strings.TrimSpace(p.paramKind.kind + " " + ref.name)
		if namespaced {
			which += " in namespace " + ns
		}
		return nil, fmt.Sprintf("its parameters, %s, are not among what is scanned: add them to the folder of checks", which), nil
	}
	if ref.deny {
		return nil, "", errors.New("no params found for policy binding with `Deny` parameterNotFoundAction")
	}
	return nil, "", nil
}

// paramsNamespaced says whether the kind of the parameters has namespaces: by
// its definition, or else by the objects of the kind.
func (p *policy) paramsNamespaced(s *cluster.Snapshot) bool {
	if r, known := p.ownResources[p.paramKind]; known {
		return r.namespaced
	}
	type key struct{}
	all := cluster.Derive(s, key{}, func() resources { return newResources(s.Objects) })
	if r, known := all[p.paramKind]; known {
		return r.namespaced
	}
	for _, objects := range [...][]*cluster.Object{p.own, s.Kind(p.paramKind.kind)} {
		for _, o := range objects {
			if o.Group() == p.paramKind.group && o.Kind == p.paramKind.kind && o.Namespace != "" {
				return true
			}
		}
	}
	return false
}
