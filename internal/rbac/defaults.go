package rbac

import (
	_ "embed"
	"encoding/json"
	"maps"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
)

// DefaultsVersion is the version of Kubernetes that bootstrap.jsonl is of.
const DefaultsVersion = "v1.36.3"

// bootstrap is the default RBAC objects, one a line. bootstrap_test.go makes it
// from Kubernetes' own test data (see the head of the file).
//
//go:embed bootstrap.jsonl
var bootstrap string

// bootstrapObject is one line of bootstrap.jsonl.
type bootstrapObject struct {
	Kind      string            `json:"kind"`
	Namespace string            `json:"namespace,omitempty"`
	Name      string            `json:"name"`
	Labels    map[string]string `json:"labels,omitempty"`
	// Aggregate are the matchLabels of an aggregationRule, one set for each
	// selector.
	Aggregate []map[string]string `json:"aggregate,omitempty"`
	Rules     []Rule              `json:"rules,omitempty"`
	RoleKind  string              `json:"roleKind,omitempty"`
	RoleName  string              `json:"roleName,omitempty"`
	Subjects  []Subject           `json:"subjects,omitempty"`
}

// bootstrapLabel marks the objects that Kubernetes makes itself.
const bootstrapLabel = "kubernetes.io/bootstrapping"

type defaults struct {
	roles    []*Role
	bindings []*Binding
}

// bootstrapObjects is bootstrap.jsonl decoded, a constant that costs a
// millisecond to make and is therefore made once, when first asked for.
var bootstrapObjects = sync.OnceValue(func() []bootstrapObject {
	var out []bootstrapObject
	for line := range strings.Lines(bootstrap) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var o bootstrapObject
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			panic("rbac: bootstrap.jsonl: " + err.Error()) // embedded, and read by every test
		}
		out = append(out, o)
	}
	return out
})

// readDefaults makes the defaults anew, since resolve fills them in.
func readDefaults() defaults {
	var d defaults
	objects := bootstrapObjects()
	for i := range objects {
		d.add(&objects[i])
	}
	return d
}

func (d *defaults) add(o *bootstrapObject) {
	if o.RoleName != "" {
		d.bindings = append(d.bindings, &Binding{
			Kind: o.Kind, Namespace: o.Namespace, Name: o.Name,
			RoleKind: o.RoleKind, RoleName: o.RoleName, Subjects: o.Subjects,
		})
		return
	}
	r := &Role{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, labels: labels.Set{bootstrapLabel: "rbac-defaults"}}
	maps.Copy(r.labels, o.Labels)
	for i, rule := range o.Rules {
		rule.Origin, rule.Index = r, i
		r.own = append(r.own, &rule)
	}
	r.Rules = r.own
	for _, set := range o.Aggregate {
		r.selectors = append(r.selectors, labels.SelectorFromSet(set))
	}
	r.Aggregated = len(r.selectors) > 0
	d.roles = append(d.roles, r)
}
