package rbacchecks

import (
	"slices"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
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
