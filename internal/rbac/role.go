package rbac

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// The kinds of role.
const (
	RoleKind        = "Role"
	ClusterRoleKind = "ClusterRole"
)

// group is the API group of roles and bindings.
const group = "rbac.authorization.k8s.io"

// aggregateLabel is the prefix of the labels by which a ClusterRole adds its
// rules to admin, edit and view.
const aggregateLabel = group + "/aggregate-to-"

// Role is a Role or a ClusterRole with its effective rules.
type Role struct {
	// Object is nil for a default role that the snapshot does not hold.
	Object    *cluster.Object
	Kind      string
	Namespace string // "" for a ClusterRole
	Name      string
	// Rules are what the role grants, those that an aggregated ClusterRole
	// gathers included, each once.
	Rules []*Rule
	// Aggregated says that the role gathers the rules of others.
	Aggregated bool
	// Malformed says why the API server would refuse the role; its Rules are
	// then empty, and what it was to grant is unknown.
	Malformed string

	own       []*Rule
	labels    labels.Set
	selectors []labels.Selector
}

// String names the role for people: ClusterRole "edit".
func (r *Role) String() string { return r.Kind + ` "` + r.Name + `"` }

// AggregatesTo returns the built-in roles (admin, edit, view) to which a
// ClusterRole adds its rules by label.
func (r *Role) AggregatesTo() []string {
	if r.Kind != ClusterRoleKind {
		return nil
	}
	var out []string
	for key, value := range r.labels {
		if to, ok := strings.CutPrefix(key, aggregateLabel); ok && value == "true" {
			out = append(out, to)
		}
	}
	slices.Sort(out)
	return out
}

// Allows says whether one of the role's rules allows a request, leaving aside
// where the role is bound, and returns the first that does.
func (r *Role) Allows(a Attributes) (*Rule, bool) {
	for _, rule := range r.Rules {
		if rule.Allows(a) {
			return rule, true
		}
	}
	return nil, false
}

// defaultNamespace is where an object of a namespaced kind goes that names no
// namespace.
const defaultNamespace = "default"

func namespaceOf(o *cluster.Object) string {
	if o.Namespace == "" {
		return defaultNamespace
	}
	return o.Namespace
}

// decodeRole reads a role. ok is false for objects of another API group.
func decodeRole(o *cluster.Object) (r *Role, ok bool) {
	if o.Group() != group {
		return nil, false
	}
	r = &Role{Object: o, Kind: o.Kind, Name: o.Name, labels: o.Labels()}
	if o.Kind == RoleKind {
		r.Namespace = namespaceOf(o)
	}
	d := decoder{}
	d.labels(o.Root.At("metadata", "labels"))
	r.own = d.rules(o.Root.Get("rules"))
	if o.Kind == ClusterRoleKind {
		r.selectors = d.aggregation(o.Root.Get("aggregationRule"))
		r.Aggregated = len(r.selectors) > 0
	}
	r.Malformed = d.problem
	if r.Malformed != "" {
		r.own, r.selectors = nil, nil
	}
	for i, rule := range r.own {
		rule.Origin, rule.Index = r, i
	}
	r.Rules = r.own
	return r, true
}

// decoder reads typed values out of a tree and remembers the first that is not
// of the type that the API server demands.
type decoder struct{ problem string }

func (d *decoder) refuse(path, want string) {
	if d.problem == "" {
		d.problem = path + " is not " + want
	}
}

func (d *decoder) list(n *document.Node, path string) []*document.Node {
	if n.IsNull() {
		return nil
	}
	if n.Kind() != document.List {
		d.refuse(path, "a list")
	}
	return n.List()
}

func (d *decoder) text(n *document.Node, path string) string {
	if n.IsNull() {
		return ""
	}
	if n.Kind() != document.String {
		d.refuse(path, "a string")
	}
	return n.Str()
}

func (d *decoder) texts(n *document.Node, path string) []string {
	list := d.list(n, path)
	if len(list) == 0 {
		return nil
	}
	out := make([]string, len(list))
	for i, v := range list {
		if v.Kind() != document.String {
			d.refuse(document.Index(path, i), "a string")
		}
		out[i] = v.Str()
	}
	return out
}

// object refuses what is no map. The API server takes null for an empty one.
func (d *decoder) object(n *document.Node, path string) *document.Node {
	if !n.IsNull() && n.Kind() != document.Map {
		d.refuse(path, "a map")
	}
	return n
}

// labels refuses what is no map of strings, such as a bare true or 1.
func (d *decoder) labels(n *document.Node) {
	d.object(n, "metadata.labels")
	for _, f := range n.Map() {
		d.text(f.Value, document.Key("metadata.labels", f.Key))
	}
}

func (d *decoder) rules(n *document.Node) []*Rule {
	list := d.list(n, "rules")
	out := make([]*Rule, 0, len(list))
	for i, v := range list {
		path := document.Index("rules", i)
		d.object(v, path)
		out = append(out, &Rule{
			Verbs:           d.texts(v.Get("verbs"), path+".verbs"),
			APIGroups:       d.texts(v.Get("apiGroups"), path+".apiGroups"),
			Resources:       d.texts(v.Get("resources"), path+".resources"),
			ResourceNames:   d.texts(v.Get("resourceNames"), path+".resourceNames"),
			NonResourceURLs: d.texts(v.Get("nonResourceURLs"), path+".nonResourceURLs"),
		})
	}
	return out
}

func (d *decoder) aggregation(n *document.Node) []labels.Selector {
	if n.IsNull() {
		return nil
	}
	path := "aggregationRule.clusterRoleSelectors"
	var out []labels.Selector
	for i, v := range d.list(n.Get("clusterRoleSelectors"), path) {
		out = append(out, d.selector(v, document.Index(path, i)))
	}
	if len(out) == 0 {
		d.refuse(path, "a list of one selector or more")
	}
	return out
}

// selector reads a LabelSelector. One without requirements selects everything.
func (d *decoder) selector(n *document.Node, path string) labels.Selector {
	sel := labels.NewSelector()
	d.object(n, path)
	for _, f := range d.object(n.Get("matchLabels"), path+".matchLabels").Map() {
		value := d.text(f.Value, document.Key(path+".matchLabels", f.Key))
		sel = d.require(sel, path, f.Key, selection.Equals, []string{value})
	}
	for i, e := range d.list(n.Get("matchExpressions"), path+".matchExpressions") {
		at := document.Index(path+".matchExpressions", i)
		d.object(e, at)
		op, known := operators[d.text(e.Get("operator"), at+".operator")]
		if !known {
			d.refuse(at+".operator", "In, NotIn, Exists or DoesNotExist")
			continue
		}
		sel = d.require(sel, at, d.text(e.Get("key"), at+".key"), op, d.texts(e.Get("values"), at+".values"))
	}
	return sel
}

var operators = map[string]selection.Operator{
	"In": selection.In, "NotIn": selection.NotIn,
	"Exists": selection.Exists, "DoesNotExist": selection.DoesNotExist,
}

func (d *decoder) require(sel labels.Selector, path, key string, op selection.Operator, values []string) labels.Selector {
	req, err := labels.NewRequirement(key, op, values)
	if err != nil {
		d.refuse(path, "a label selector ("+err.Error()+")")
		return sel
	}
	return sel.Add(*req)
}

// aggregate fills the rules of aggregated ClusterRoles, as the controller in
// kube-controller-manager does (pkg/controller/clusterroleaggregation): the
// union over all ClusterRoles that any selector takes, which may themselves be
// aggregated. A role's own rules are kept: those of a live role are such a
// union already, and those in a file are in force until the controller runs.
func aggregate(roles []*Role) {
	index := indexLabels(roles)
	for _, r := range roles {
		if len(r.selectors) > 0 {
			r.Rules = gather(r, index)
		}
	}
}

// labelIndex finds the ClusterRoles that carry a label.
type labelIndex struct {
	all     []*Role
	byLabel map[[2]string][]*Role
}

func indexLabels(roles []*Role) *labelIndex {
	index := &labelIndex{byLabel: map[[2]string][]*Role{}}
	for _, r := range roles {
		if r.Kind != ClusterRoleKind {
			continue
		}
		index.all = append(index.all, r)
		for k, v := range r.labels {
			index.byLabel[[2]string{k, v}] = append(index.byLabel[[2]string{k, v}], r)
		}
	}
	return index
}

// selected returns the roles that a selector takes.
func (x *labelIndex) selected(sel labels.Selector) []*Role {
	candidates := x.all
	if reqs, _ := sel.Requirements(); len(reqs) > 0 && reqs[0].Operator() == selection.Equals {
		candidates = x.byLabel[[2]string{reqs[0].Key(), reqs[0].ValuesUnsorted()[0]}]
	}
	var out []*Role
	for _, r := range candidates {
		if sel.Matches(r.labels) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *Role) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// gather returns the rules of a role and of all that it takes, directly or
// through others, each once.
func gather(root *Role, index *labelIndex) []*Rule {
	var out []*Rule
	seenRule := map[string]bool{}
	seenRole := map[*Role]bool{}
	var visit func(r *Role)
	visit = func(r *Role) {
		if seenRole[r] {
			return
		}
		seenRole[r] = true
		for _, rule := range r.own {
			if k := rule.key(); !seenRule[k] {
				seenRule[k] = true
				out = append(out, rule)
			}
		}
		for _, sel := range r.selectors {
			for _, from := range index.selected(sel) {
				visit(from)
			}
		}
	}
	visit(root)
	return out
}
