package rbacchecks

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
)

// grants reports every binding that gives somebody outside the control plane
// one of the permissions that the parameters describe:
//
//	anyOf        the permissions, of which one suffices; see need
//	scope        cluster: ClusterRoleBindings only; namespace: RoleBindings only
//	namespaces   RoleBindings count in these namespaces only
//	privileged   true adds the namespaces in which some service account can do
//	             anything in the whole cluster
//	exceptRoles  ClusterRoles whose bindings another check reports
func grants(in *check.Input) {
	q, err := readQuery(in.Params)
	if err != nil {
		in.Unknown(nil, "parameters of the check: "+err.Error())
		return
	}
	q.report(in)
}

// need is one permission that a question is about. Verbs, groups and resources
// are alternatives; "*" asks for a literal "*".
type need struct {
	groups, resources, verbs []string
	// scope is cluster where only a ClusterRoleBinding gives the permission:
	// requests for cluster-scoped resources have no namespace, so that a
	// RoleBinding never applies to them.
	scope string
	// names are those to which a rule may be restricted and still count;
	// anyName takes any restriction. Without either, a rule with resourceNames
	// does not count: it speaks of objects that somebody chose.
	names   []string
	anyName bool
	// before is the Kubernetes minor version from which on the permission no
	// longer has the effect; 0 is none.
	before int
	// severity replaces the check's.
	severity seawall.Severity
	// with are permissions that the same subject must hold too, by whatever
	// binding, in the same namespace.
	with []need
}

// query is what the parameters of a check ask for.
type query struct {
	scope       string
	namespaces  []string
	privileged  bool
	exceptRoles []string
	anyOf       []need
	// onlyNamed leaves out rules without resourceNames.
	onlyNamed bool

	in    *check.Input
	model *rbac.Model
	// byRole remembers what a role yields, whoever is bound to it.
	byRole map[*rbac.Role][]match
	// byNeed and byHolder remember what gives, and who holds, a permission of
	// with.
	byNeed   map[roleNeed]*match
	byHolder map[holder]*rbac.Binding
	// powerful are the namespaces that privileged adds.
	powerful map[string]bool
}

type roleNeed struct {
	role *rbac.Role
	need *need
}

// holder is a subject in the whole cluster, or anywhere.
type holder struct {
	subject  rbac.Subject
	need     *need
	anywhere bool
}

// match is what one rule gives of one need.
type match struct {
	need             *need
	rule             *rbac.Rule
	verbs, resources []string
}

func (q *query) report(in *check.Input) {
	q.in, q.model = in, rbac.Of(in.Snapshot)
	q.byRole = map[*rbac.Role][]match{}
	q.byNeed = map[roleNeed]*match{}
	q.byHolder = map[holder]*rbac.Binding{}
	for _, b := range q.model.Bindings {
		if b.Object == nil || !q.concerns(b) {
			continue
		}
		subjects := concerned(b)
		if b.Malformed == "" && len(subjects) == 0 || unresolved(in, b) {
			continue
		}
		q.judge(b, subjects)
	}
}

// concerns says whether the question is about bindings like this one.
func (q *query) concerns(b *rbac.Binding) bool {
	if !inScope(q.scope, b) || b.RoleKind == rbac.ClusterRoleKind && slices.Contains(q.exceptRoles, b.RoleName) {
		return false
	}
	if b.Cluster() || len(q.namespaces) == 0 && !q.privileged {
		return true
	}
	return slices.Contains(q.namespaces, b.Namespace) || q.privileged && q.isPowerful(b.Namespace)
}

func inScope(scope string, b *rbac.Binding) bool {
	switch scope {
	case "cluster":
		return b.Cluster()
	case "namespace":
		return !b.Cluster()
	}
	return true
}

// judge reports a binding if its role has what is asked for.
func (q *query) judge(b *rbac.Binding, subjects []rbac.Subject) {
	var hit []match
	var who []rbac.Subject
	notes := map[string]bool{}
	for _, m := range q.matches(b.Role) {
		if !inScope(m.need.scope, b) {
			continue
		}
		holders := q.holders(b, subjects, m.need.with, notes)
		if len(holders) == 0 {
			continue
		}
		hit = append(hit, m)
		for _, s := range holders {
			if !slices.Contains(who, s) {
				who = append(who, s)
			}
		}
	}
	if len(hit) == 0 {
		return
	}
	q.in.Report(check.Hit{
		Object: b.Object, Path: "roleRef", Severity: severityOf(hit),
		Message: sentence(b, who, hit) + remarks(notes),
	})
}

// severityOf is the check's own severity as soon as one match leaves it so.
func severityOf(hit []match) seawall.Severity {
	out := seawall.None
	for _, m := range hit {
		if m.need.severity == seawall.None {
			return seawall.None
		}
		out = max(out, m.need.severity)
	}
	return out
}

// matches returns what the rules of a role give.
func (q *query) matches(r *rbac.Role) []match {
	if found, ok := q.byRole[r]; ok {
		return found
	}
	var out []match
	for i := range q.anyOf {
		for _, rule := range r.Rules {
			if m, ok := q.anyOf[i].matches(rule, q.in); ok && q.counts(rule) {
				out = append(out, m)
			}
		}
	}
	q.byRole[r] = out
	return out
}

// matches says which of the verbs and resources of the need a rule gives.
func (n *need) matches(rule *rbac.Rule, in *check.Input) (match, bool) {
	m := match{need: n, rule: rule}
	if !n.allowsNames(rule) || n.before > 0 && minor(in) >= n.before {
		return m, false
	}
	for _, verb := range n.verbs {
		for _, group := range n.groups {
			for _, resource := range n.resources {
				if rule.Grants(verb, group, resource) {
					m.add(verb, resource)
				}
			}
		}
	}
	return m, len(m.verbs) > 0
}

func (m *match) add(verb, resource string) {
	if !slices.Contains(m.verbs, verb) {
		m.verbs = append(m.verbs, verb)
	}
	if !slices.Contains(m.resources, resource) {
		m.resources = append(m.resources, resource)
	}
}

func (n *need) allowsNames(rule *rbac.Rule) bool {
	return rule.Unnamed() || n.anyName || slices.ContainsFunc(n.names, rule.Named)
}

// holders returns the subjects that hold all of with too. notes collects what
// that is, and by which other bindings they do.
func (q *query) holders(b *rbac.Binding, subjects []rbac.Subject, with []need, notes map[string]bool) []rbac.Subject {
	if len(with) == 0 {
		return subjects
	}
	var out []rbac.Subject
	for _, s := range subjects {
		var also []string
		for i := range with {
			note, ok := q.heldBy(s, b, &with[i])
			if !ok {
				break
			}
			also = append(also, note)
		}
		if len(also) < len(with) {
			continue
		}
		out = append(out, s)
		for _, note := range also {
			notes[note] = true
		}
	}
	return out
}

// heldBy says by what a subject of b holds a permission where b grants; by b
// itself if that gives it.
func (q *query) heldBy(s rbac.Subject, b *rbac.Binding, n *need) (note string, ok bool) {
	if m := q.gives(b, n); m != nil {
		return m.phrase(b.Role), true
	}
	other := q.giver(holder{s, n, b.Cluster()})
	if other == nil && !b.Cluster() {
		other = q.first(q.model.BindingsIn(s.Identity(), b.Namespace), n)
	}
	if other == nil {
		return "", false
	}
	return fmt.Sprintf("%s by %s", q.gives(other, n).phrase(b.Role), other), true
}

// giver returns a binding by which somebody holds a permission, nil if there
// is none.
func (q *query) giver(h holder) *rbac.Binding {
	if b, known := q.byHolder[h]; known {
		return b
	}
	bindings := q.model.BindingsIn(h.subject.Identity(), "")
	if h.anywhere {
		bindings = q.model.AllBindingsFor(h.subject.Identity())
	}
	b := q.first(bindings, h.need)
	q.byHolder[h] = b
	return b
}

func (q *query) first(bindings []*rbac.Binding, n *need) *rbac.Binding {
	for _, b := range bindings {
		if q.gives(b, n) != nil {
			return b
		}
	}
	return nil
}

// gives says by what, if at all, a binding gives a permission.
func (q *query) gives(b *rbac.Binding, n *need) *match {
	if b.Role == nil || !inScope(n.scope, b) {
		return nil
	}
	key := roleNeed{b.Role, n}
	m, known := q.byNeed[key]
	if !known {
		for _, rule := range b.Role.Rules {
			if found, ok := n.matches(rule, q.in); ok {
				m = &found
				break
			}
		}
		q.byNeed[key] = m
	}
	return m
}

// isPowerful says whether a namespace has a service account that can do
// anything in the whole cluster.
func (q *query) isPowerful(namespace string) bool {
	if q.powerful == nil {
		q.powerful = map[string]bool{}
		for _, b := range q.model.Bindings {
			if b.Cluster() && b.Role != nil && slices.ContainsFunc(b.Role.Rules, doesAnything) {
				for _, s := range b.Subjects {
					if ns, _, ok := s.Account(); ok {
						q.powerful[ns] = true
					}
				}
			}
		}
	}
	return q.powerful[namespace]
}

// doesAnything says that a rule gives every verb on every resource of the core
// group at least, which has Secrets, Pods and service account tokens.
func doesAnything(r *rbac.Rule) bool { return r.Unnamed() && r.Grants("*", "", "*") }

// minor is the minor version to judge for: the cluster's own where it is known.
func minor(in *check.Input) int {
	parts := strings.SplitN(strings.TrimPrefix(in.Snapshot.Version, "v"), ".", 3)
	if len(parts) > 1 {
		n := 0
		if _, err := fmt.Sscanf(parts[1], "%d", &n); err == nil {
			return n
		}
	}
	return in.Minor
}

// concerned returns the subjects of a binding outside the control plane. Users
// and groups that Kubernetes and kubeadm name are left out, and so are, where
// the binding itself has such a name, the accounts of kube-system.
func concerned(b *rbac.Binding) []rbac.Subject {
	shipped := rbac.SystemName(b.Name)
	var out []rbac.Subject
	for _, s := range b.Subjects {
		ns, _, account := s.Account()
		if s.System() || shipped && account && ns == "kube-system" {
			continue
		}
		out = append(out, s)
	}
	return out
}

// unresolved reports a binding of which it cannot be known what it grants.
func unresolved(in *check.Input, b *rbac.Binding) bool {
	reason := ""
	switch {
	case b.Malformed != "":
		reason = fmt.Sprintf("%s is malformed: %s", b, b.Malformed)
	case b.Role == nil && partial(in.Snapshot):
		reason = fmt.Sprintf("what %s grants is unknown: %s is not among the objects", b, b.RoleRef())
	case b.Role != nil && b.Role.Malformed != "":
		reason = fmt.Sprintf("what %s grants is unknown: %s is malformed: %s", b, b.Role, b.Role.Malformed)
	default:
		return b.Role == nil
	}
	in.Unknown(b.Object, reason)
	return true
}

// partial says that an object which is not in the snapshot may exist all the
// same.
func partial(s *cluster.Snapshot) bool { return !s.Whole || len(s.Incomplete) > 0 }
