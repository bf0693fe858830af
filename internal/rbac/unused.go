package rbac

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// few is how many names a remark lists.
const few = 3

// duplicates remarks on bindings that give nothing that another does not give
// already: the same role to the same subjects at the same place, or a RoleBinding
// to subjects that have the ClusterRole in the whole cluster.
func (r *review) duplicates() {
	type grant struct {
		role string // a ClusterRole
		who  principal
	}
	everywhere := map[grant]*Binding{}
	same := map[string][]*Binding{}
	var keys []string
	for _, b := range r.model.Bindings {
		if len(b.Subjects) == 0 {
			continue
		}
		key := b.key()
		if same[key] == nil {
			keys = append(keys, key)
		}
		same[key] = append(same[key], b)
		for _, s := range b.Subjects {
			if who, ok := s.key(); ok && b.Cluster() {
				everywhere[grant{b.RoleName, who}] = b
			}
		}
	}
	for _, key := range keys {
		r.twins(same[key])
	}
	for _, b := range r.model.Bindings {
		if b.Cluster() || b.Object == nil || isShipped(b.Object) || b.RoleKind != ClusterRoleKind || len(b.Subjects) == 0 {
			continue
		}
		var by *Binding
		all := !slices.ContainsFunc(b.Subjects, func(s Subject) bool {
			who, ok := s.key()
			by = everywhere[grant{b.RoleName, who}]
			return !ok || by == nil
		})
		if all {
			r.remark(DuplicateBinding, b.Object, "", "its subjects have %s in the whole cluster already, by %s", b.RoleRef(), by)
		}
	}
}

// key is equal for bindings that give the same to the same.
func (b *Binding) key() string {
	who := make([]string, 0, len(b.Subjects))
	for _, s := range b.Subjects {
		p, ok := s.key()
		who = append(who, fmt.Sprintf("%v %v %q %q", ok, p.group, p.name, s))
	}
	slices.Sort(who)
	return fmt.Sprintf("%q %q %q %q", b.Namespace, b.RoleKind, b.RoleName, slices.Compact(who))
}

// twins remarks on bindings that are the same but for the name. Files may hold
// one binding several times.
func (r *review) twins(bindings []*Binding) {
	first := slices.IndexFunc(bindings, func(b *Binding) bool { return b.Object != nil && !isShipped(b.Object) })
	if first < 0 {
		return
	}
	b := bindings[first]
	seen := map[string]bool{b.Name: true}
	var others []string
	for _, other := range bindings {
		if !seen[other.Name] {
			seen[other.Name] = true
			others = append(others, other.Name)
		}
	}
	if len(others) == 0 {
		return
	}
	what := "one more " + b.Kind + " binds"
	if len(others) > 1 {
		what = fmt.Sprintf("%d more %ss bind", len(others), b.Kind)
	}
	r.remark(DuplicateBinding, b.Object, "", "%s %s to the same subjects: %s", what, b.RoleRef(), some(others))
}

// some names the first few.
func some(names []string) string {
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}

// unbound remarks on roles that nobody is bound to, directly or through a role
// that gathers them. Files may bring a role for others to bind, so that it takes
// a cluster to say so.
func (r *review) unbound() {
	if !r.bindingsListed || !listed(r.snapshot, clusterRoles) {
		r.leave(UnboundRole, "that a role is bound to nobody shows only where all bindings of a cluster were read")
		return
	}
	used := map[*Role]bool{}
	var use func(*Role)
	index := indexLabels(r.model.Roles)
	use = func(role *Role) {
		if used[role] {
			return
		}
		used[role] = true
		for _, sel := range role.selectors {
			for _, from := range index.selected(sel) {
				use(from)
			}
		}
	}
	for _, role := range r.model.Roles {
		if len(r.model.byRole[role]) > 0 || role.Object != nil && isShipped(role.Object) {
			use(role)
		}
	}
	for _, role := range r.model.Roles {
		if !used[role] && role.Object != nil {
			r.remark(UnboundRole, role.Object, "", "no binding refers to it")
		}
	}
}

type account struct{ namespace, name string }

// unusedAccounts remarks on service accounts that a binding names and that
// nothing in a whole cluster uses: no pod or template of one, no object that
// names a serviceAccountName, no token Secret.
func (r *review) unusedAccounts() {
	if !r.snapshot.Whole {
		r.leave(UnusedAccount, "that nothing uses a service account shows only where all of a cluster was read")
		return
	}
	used := r.accountsInUse()
	first := map[account]*Binding{}
	var bound []account
	for _, b := range r.model.Bindings {
		if b.Object == nil || isShipped(b.Object) || b.Role == nil || len(b.Role.Rules) == 0 {
			continue
		}
		for _, s := range b.Subjects {
			namespace, name, ok := s.Account()
			if a := (account{namespace, name}); ok && first[a] == nil {
				first[a] = b
				bound = append(bound, a)
			}
		}
	}
	slices.SortFunc(bound, func(a, b account) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
	})
	for _, a := range bound {
		o := r.snapshot.Get("", "ServiceAccount", a.namespace, a.name)
		if o != nil && !used[a] {
			r.remark(UnusedAccount, o, "", "no pod, workload or token Secret uses it, but it holds rights, by %s: delete the binding, or the account", first[a])
		}
	}
}

func (r *review) accountsInUse() map[account]bool {
	used := map[account]bool{}
	for _, o := range r.snapshot.Objects {
		switch {
		case o.Group() == "" && o.Kind == "Secret":
			if name := o.Annotation("kubernetes.io/service-account.name"); name != "" {
				used[account{namespaceOf(o), name}] = true
			}
		case strings.Contains(o.Group(), ".") && !strings.HasSuffix(o.Group(), ".k8s.io"):
			// An operator's kind may name an account without embedding a pod.
			for _, name := range accountNames(o.Root, nil) {
				used[account{namespaceOf(o), name}] = true
			}
		}
		for _, t := range cluster.PodTemplates(o) {
			used[account{t.Namespace(), t.ServiceAccount()}] = true
		}
	}
	return used
}

// accountNames collects what stands under the names that fields for service
// accounts have.
func accountNames(n *document.Node, out []string) []string {
	for _, f := range n.Map() {
		key := strings.ToLower(f.Key)
		if strings.Contains(key, "serviceaccount") {
			for _, v := range []*document.Node{f.Value, f.Value.Get("name")} {
				if v.Kind() == document.String {
					out = append(out, v.Str())
				}
			}
		}
		out = accountNames(f.Value, out)
	}
	for _, item := range n.List() {
		out = accountNames(item, out)
	}
	return out
}
