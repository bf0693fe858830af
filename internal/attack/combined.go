package attack

import (
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/rbac"
)

// part is one of several permissions that lead to something together.
type part uint8

const (
	none part = iota
	makesSecret
	readsSecret
	makesPod
	makesAccount
	makesToken
	escalatesRole
	escalatesClusterRole
	changesRole
	changesClusterRole
	makesClusterRole
	bindsRole
	bindsClusterRole
	makesBinding
	makesClusterBinding
	changesBinding
	changesClusterBinding
	actsAsUser
	actsAsAccount
	actsAsGroup
	actsAsAccountFor
	actsAsUserFor
	asksCert
	approvesCert
	approvesFor
	writesCert
	signsFor
	writesNodeStatus
	evicts
	makesMutation
	bindsMutation
	weakens
	excepts
	relabels
	makesNamespace
	makesVolume
	makesClass
	makesSnapshot
	makesContent
	usesConstraint
	usesPodPolicy
	parts // how many there are
)

// partOf is a permission that is a part.
type partOf struct {
	part
	permission
}

// makers are the permissions to make a workload, and so a pod.
var makers = []permission{
	may("create", "", "pods", "replicationcontrollers"),
	may("create", "apps", "deployments", "daemonsets", "statefulsets", "replicasets"),
	may("create", "batch", "jobs", "cronjobs"),
}

func partsOf() []partOf {
	out := []partOf{
		{makesSecret, may("create", "", "secrets")},
		{readsSecret, may("get,list,watch,patch", "", "secrets")},
		{makesAccount, may("create", "", "serviceaccounts")},
		{makesToken, may("create", "", "serviceaccounts/token")},
		{escalatesRole, may("escalate", rbacGroup, "roles")},
		{escalatesClusterRole, may("escalate", rbacGroup, "clusterroles")},
		{changesRole, may("patch,update", rbacGroup, "roles")},
		{changesClusterRole, may("patch,update", rbacGroup, "clusterroles")},
		{makesClusterRole, may("create", rbacGroup, "clusterroles")},
		{bindsRole, may("bind", rbacGroup, "roles")},
		{bindsClusterRole, may("bind", rbacGroup, "clusterroles")},
		{makesBinding, may("create", rbacGroup, "rolebindings")},
		{makesClusterBinding, may("create", rbacGroup, "clusterrolebindings")},
		{changesBinding, may("patch,update", rbacGroup, "rolebindings")},
		{changesClusterBinding, may("patch,update", rbacGroup, "clusterrolebindings")},
		{actsAsUser, may("impersonate", "", "users")},
		{actsAsAccount, may("impersonate", "", "serviceaccounts")},
		{actsAsGroup, may("impersonate", "", "groups")},
		{actsAsAccountFor, may("impersonate:serviceaccount", "authentication.k8s.io", "serviceaccounts")},
		{actsAsUserFor, may("impersonate:user-info", "authentication.k8s.io", "users")},
		{asksCert, may("create", certs, "certificatesigningrequests")},
		{approvesCert, may("patch,update", certs, "certificatesigningrequests/approval")},
		{approvesFor, may("approve", certs, "signers")},
		{writesCert, may("patch,update", certs, "certificatesigningrequests/status")},
		{signsFor, may("sign", certs, "signers")},
		{writesNodeStatus, may("patch,update", "", "nodes/status")},
		{evicts, may("create", "", "pods/eviction")},
		{evicts, may("delete,deletecollection", "", "pods")},
		{makesMutation, may("create", admission, "mutatingadmissionpolicies")},
		{bindsMutation, may("create", admission, "mutatingadmissionpolicybindings")},
		{excepts, may("create,patch,update", "kyverno.io", "policyexceptions")},
		{excepts, may("create,patch,update", "policies.kyverno.io", "policyexceptions")},
		{relabels, may("patch,update", "", "namespaces")},
		{makesNamespace, may("create", "", "namespaces")},
		{makesVolume, may("create", "", "persistentvolumes")},
		{makesClass, may("create", "storage.k8s.io", "storageclasses")},
		{makesSnapshot, may("create", "snapshot.storage.k8s.io", "volumesnapshots")},
		{makesContent, may("create", "snapshot.storage.k8s.io", "volumesnapshotcontents")},
		{usesConstraint, may("use", "security.openshift.io", "securitycontextconstraints")},
		{usesPodPolicy, may("use", "policy", "podsecuritypolicies")},
		{usesPodPolicy, may("use", "extensions", "podsecuritypolicies")},
	}
	for _, p := range makers {
		out = append(out, partOf{makesPod, p})
	}
	for _, k := range guardKinds {
		out = append(out, partOf{weakens, may("patch,update,delete", k.group, k.resource)})
	}
	return out
}

// held is what the bindings of one subject give.
type held struct {
	of     [parts]map[string][]grant // by namespace
	bound  []*bound
	spaces []string // namespaces in which some part is granted
	wide   bool     // some part is granted everywhere
}

func (x *held) add(matches []match, by *bound, ns string) {
	for _, m := range matches {
		if m.part == none {
			continue
		}
		if x.of[m.part] == nil {
			x.of[m.part] = map[string][]grant{}
		}
		x.of[m.part][ns] = append(x.of[m.part][ns], grant{bound: by, rule: m.rule, what: m.what, namespace: ns})
	}
	if ns == "" {
		x.wide = true
	} else {
		x.spaces = append(x.spaces, ns)
	}
}

// holdings are what an identity holds: by its own bindings and by those of the
// groups that it is certain to be in, which it shares with others.
type holdings struct {
	sources []*held
	spaces  []string // namespaces to look at, sorted
}

// combinations adds what the permissions of one identity lead to together. An
// identity that has no part by a binding of its own is left out: its groups are
// identities too.
func (b *builder) combinations() {
	for v := range b.g.Vertices {
		v := int32(v)
		if own := b.heldBy(v); own.wide || len(own.spaces) > 0 {
			b.combine(v, b.holdingsOf(v))
		}
	}
}

// heldBy is what a subject holds by its own bindings, found once. One that grants
// everything everywhere leads there by itself, and is no part of anything.
func (b *builder) heldBy(v int32) *held {
	if x := b.own[v]; x != nil {
		return x
	}
	x := &held{}
	for _, y := range b.holds[v] {
		if !b.gives(y.Binding) {
			continue
		}
		x.bound = append(x.bound, y)
		matches := b.matches(y.Role)
		if (y.Namespace != "" || whole(y.Role) == nil) && slices.ContainsFunc(matches, func(m match) bool { return m.part != none }) {
			x.add(matches, y, y.Namespace)
		}
	}
	slices.Sort(x.spaces)
	x.spaces = slices.Compact(x.spaces)
	b.own[v] = x
	return x
}

// holdingsOf collects what an identity holds. Where only its groups hold parts in
// a namespace they lead there by themselves, unless it adds one of its own.
func (b *builder) holdingsOf(v int32) *holdings {
	own := b.heldBy(v)
	h := &holdings{sources: []*held{own}, spaces: own.spaces}
	for _, group := range b.memberships[v] {
		x := b.heldBy(group)
		h.sources = append(h.sources, x)
		if own.wide {
			h.spaces = append(slices.Clip(h.spaces), x.spaces...)
		}
	}
	if own.wide {
		slices.Sort(h.spaces)
		h.spaces = slices.Compact(h.spaces)
	}
	return h
}

// ofRole is what somebody would hold who came to be bound to a role.
func (b *builder) ofRole(in scope) *holdings {
	x := &held{}
	x.add(b.matches(in.role), nil, in.namespace)
	return &holdings{sources: []*held{x}, spaces: x.spaces}
}

// bound are all bindings by which the identity holds anything.
func (h *holdings) bound(each func(*bound)) {
	for _, x := range h.sources {
		for _, y := range x.bound {
			each(y)
		}
	}
}

// has says that a part is granted at all.
func (h *holdings) has(p part) bool {
	return slices.ContainsFunc(h.sources, func(x *held) bool { return len(x.of[p]) > 0 })
}

// maxGrants is how many grants of one permission are told apart. Nobody will be
// told to revoke more than that to remove one step.
const maxGrants = 16

// in returns the grants of a part that hold in a namespace, or everywhere where
// that is empty, and that a condition takes: of more than maxGrants not all.
func (h *holdings) in(ns string, p part, take func(*grant) bool) []grant {
	var out []grant
	h.each(ns, p, func(g *grant) bool {
		if take(g) && (len(out) == 0 || out[len(out)-1].bound != g.bound) {
			out = append(out, *g)
		}
		return len(out) <= maxGrants
	})
	return out
}

// all returns all grants of a part that hold in a namespace.
func (h *holdings) all(ns string, p part) []grant {
	var out []grant
	h.each(ns, p, func(g *grant) bool {
		out = append(out, *g)
		return true
	})
	return out
}

// anywhere returns all grants of a part, wherever they hold, the cluster's first.
func (h *holdings) anywhere(p part) []grant {
	out := h.all("", p)
	for _, x := range h.sources {
		for _, ns := range x.spaces {
			out = append(out, x.of[p][ns]...)
		}
	}
	return out
}

func (h *holdings) each(ns string, p part, f func(*grant) bool) {
	for _, x := range h.sources {
		lists := [2][]grant{x.of[p][""]}
		if ns != "" {
			lists[1] = x.of[p][ns]
		}
		for _, list := range lists {
			for i := range list {
				if !f(&list[i]) {
					return
				}
			}
		}
	}
}

// whatever takes all grants: the object may be any, or one of a name that the
// attacker chooses.
func whatever(*grant) bool { return true }

// unnamed takes grants that no name restricts: what is to be made has none yet.
func unnamed(g *grant) bool { return g.rule.Unnamed() }

// naming takes grants that allow something to the object of a name.
func naming(name string) func(*grant) bool {
	return func(g *grant) bool { return g.rule.Unnamed() || g.rule.Named(name) }
}

// both adds a step that needs several permissions, each of which may be granted
// more than once. Whoever removes all grants of one of them removes all steps.
type both struct {
	*Primitive
	needs      [][]grant
	conditions []Condition
	likelihood float64
	endless    bool // each permission is granted more often than is told apart
}

// lead adds an edge for each grant of that permission which is granted the least
// often, so that a cut has to remove them all.
func (b *builder) lead(v, to int32, x both) {
	if to < 0 || slices.ContainsFunc(x.needs, func(n []grant) bool { return len(n) == 0 }) {
		return
	}
	needs := make([][]grant, len(x.needs))
	least := 0
	for i, list := range x.needs {
		needs[i] = distinct(list)
		if len(needs[i]) < len(needs[least]) {
			least = i
		}
	}
	if len(needs[least]) > maxGrants {
		needs[least] = needs[least][:1]
		x.endless = true
	}
	for i := range needs[least] {
		s := Step{Primitive: x.Primitive, Conditions: x.conditions, Likelihood: x.likelihood}
		said := saying{}
		for j, list := range needs {
			g := &list[0]
			if j == least {
				g = &list[i]
			}
			for _, e := range g.evidence() {
				if !slices.Contains(s.Evidence, e) {
					s.Evidence = append(s.Evidence, e)
				}
			}
			said.add(g)
			if g.bound != nil && (j == least || len(list) == 1) && !x.endless {
				for _, c := range b.revoke(g.bound) {
					if !slices.Contains(s.Changes, c) {
						s.Changes = append(s.Changes, c)
					}
				}
			}
		}
		s.Text = said.String()
		b.edge(v, to, b.step(s))
	}
}

// saying puts what several grants give into words: once for each binding.
type saying struct {
	by   []string
	what [][]string
}

func (s *saying) add(g *grant) {
	by := g.by()
	i := slices.Index(s.by, by)
	if i < 0 {
		s.by, s.what = append(s.by, by), append(s.what, []string{g.what})
		return
	}
	if !slices.Contains(s.what[i], g.what) {
		s.what[i] = append(s.what[i], g.what)
	}
}

func (s *saying) String() string {
	out := make([]string, len(s.by))
	for i, by := range s.by {
		out[i] = by + " " + strings.Join(s.what[i], " and ")
	}
	return strings.Join(out, "; ")
}

// distinct leaves one grant for each subject of a binding.
func distinct(list []grant) []grant {
	var out []grant
	for _, g := range list {
		if !slices.ContainsFunc(out, func(have grant) bool { return have.bound == g.bound }) {
			out = append(out, g)
		}
	}
	return out
}

// combine adds what an identity comes to by what it holds together.
func (b *builder) combine(v int32, h *holdings) {
	b.everywhere(v, h)
	b.ownRoles(v, h)
	b.bindings(v, h)
	b.impersonation(v, h)
	b.constrained(v, h)
	b.certificates(v, h)
	for _, ns := range append([]string{""}, h.spaces...) {
		b.within(v, h, ns)
	}
	b.relabelling(v, h)
}

// here says that a combination is new in a namespace: one of the grants holds
// only there. What holds everywhere is found everywhere at once.
func here(ns string, needs ...[]grant) bool {
	if slices.ContainsFunc(needs, func(n []grant) bool { return len(n) == 0 }) {
		return false
	}
	return ns == "" || slices.ContainsFunc(needs, func(n []grant) bool {
		return !slices.ContainsFunc(n, func(g grant) bool { return g.namespace == "" })
	})
}

// everywhere is what is about objects in no namespace.
func (b *builder) everywhere(v int32, h *holdings) {
	if conditions, ok := b.mutatingPolicies(nil); ok { // P30
		b.lead(v, b.lazy(h, makesMutation, (*builder).changeAdmission), both{
			Primitive: mutatingPolicy, conditions: conditions,
			needs: [][]grant{h.in("", makesMutation, unnamed), h.in("", bindsMutation, unnamed)},
		})
	}
}

// lazy makes a power only for those who hold a part of it.
func (b *builder) lazy(h *holdings, p part, power func(*builder) int32) int32 {
	if !h.has(p) {
		return -1
	}
	return power(b)
}

// within is what is about objects in a namespace.
func (b *builder) within(v int32, h *holdings, ns string) {
	pods := h.in(ns, makesPod, unnamed)
	// P14. The name of the Secret is the attacker's choice, and so may be one that
	// he may read.
	if secret, read := h.in(ns, makesSecret, unnamed), h.in(ns, readsSecret, whatever); here(ns, secret, read) {
		b.lead(v, b.tokens(ns), both{Primitive: mintTokenSecret, needs: [][]grant{secret, read}})
	}
	b.claims(v, h, ns, pods)
	if status, evict := h.in("", writesNodeStatus, whatever), h.in(ns, evicts, whatever); here(ns, status, evict) { // P26
		b.lead(v, b.pull(ns), both{Primitive: pullPods, needs: [][]grant{status, evict}})
	}
	if len(pods) == 0 {
		return
	}
	// P33. A pod may bring a claim of its own (an ephemeral volume), whatever its
	// maker may do with claims.
	if volume := h.in("", makesVolume, unnamed); here(ns, volume, pods) {
		b.lead(v, b.nodes(), both{Primitive: hostVolume, needs: [][]grant{volume, pods}})
	}
	if class := h.in("", makesClass, unnamed); here(ns, class, pods) { // P34
		if conditions, ok := b.hostPathProvisioner(); ok {
			b.lead(v, b.nodes(), both{Primitive: storageClass, needs: [][]grant{class, pods}, conditions: conditions})
		}
	}
	// P35. A snapshot of a claim in one's own namespace shows what a pod there can
	// mount anyway; content that names another's does not.
	if content, snapshot := h.in("", makesContent, unnamed), h.in(ns, makesSnapshot, unnamed); here(ns, content, snapshot, pods) {
		if conditions, ok := b.there("VolumeSnapshotClass"); ok {
			b.lead(v, b.power("read-volumes", ""), both{Primitive: volumeSnapshot, needs: [][]grant{content, snapshot, pods}, conditions: conditions})
		}
	}
	b.weakening(v, h, ns, pods)
	b.admitted(v, h, ns, pods)
}

// claims is P48: making the account that a binding waits for, and a way to be it.
func (b *builder) claims(v int32, h *holdings, ns string, pods []grant) {
	account := h.in(ns, makesAccount, unnamed)
	if len(account) == 0 {
		return
	}
	for _, vacant := range b.waiting(ns) {
		name := b.g.Vertices[vacant].Name
		for _, way := range [][][]grant{
			{account, pods}, {account, h.in(ns, makesToken, naming(name))}, {account, h.in(ns, makesSecret, unnamed), h.in(ns, readsSecret, whatever)},
		} {
			if here(ns, way...) {
				b.lead(v, vacant, both{Primitive: claimSubject, needs: way})
			}
		}
	}
}

// waiting are the accounts of a namespace, or of all, that are bound and do not
// exist.
func (b *builder) waiting(ns string) []int32 {
	if b.dangle == nil {
		b.dangle = map[string][]int32{}
		for i := range b.g.Vertices {
			v := int32(i)
			if x := &b.g.Vertices[i]; x.Kind == ServiceAccount && x.Cluster == b.cluster && b.dangling(v) {
				b.dangle[x.Namespace] = append(b.dangle[x.Namespace], v)
				b.dangle[""] = append(b.dangle[""], v)
			}
		}
	}
	return b.dangle[ns]
}

// hostPathProvisioner says whether the cluster has a provisioner that puts
// volumes where their storage class says.
func (b *builder) hostPathProvisioner() ([]Condition, bool) {
	for _, name := range []string{"local-path-provisioner", "hostpath-provisioner"} {
		if found := b.called(name); len(found) > 0 {
			return []Condition{{Text: templateName(found[0]) + " puts volumes where a storage class says", Holds: Yes}}, true
		}
	}
	return []Condition{{Text: "a provisioner runs that puts volumes where a storage class says"}}, !b.snap.Whole
}

// ownRoles is P16: adding permissions to a role that one is bound to. An
// aggregated role takes them from any that has its label, be it one that the
// attacker makes or one that he may change, label and all (P19). Either takes the
// verb escalate: without it a role can be given only what its writer holds.
func (b *builder) ownRoles(v int32, h *holdings) {
	if !h.has(escalatesRole) && !h.has(escalatesClusterRole) {
		return
	}
	h.bound(func(x *bound) {
		r, ns := x.Role, x.Namespace
		if ns == "" && whole(r) != nil {
			return
		}
		mine := []grant{{bound: x, what: "hold " + r.String(), namespace: ns}}
		lead := func(p *Primitive, needs ...[]grant) {
			if here("", needs...) {
				b.lead(v, b.holder(scope{b.everything, ns}), both{Primitive: p, needs: needs})
			}
		}
		if r.Kind == rbac.RoleKind {
			lead(escalate, h.in(ns, escalatesRole, naming(r.Name)), h.in(ns, changesRole, naming(r.Name)), mine)
			return
		}
		lead(escalate, h.in("", escalatesClusterRole, naming(r.Name)), h.in("", changesClusterRole, naming(r.Name)), mine)
		if !r.Aggregated {
			return
		}
		lead(aggregate, h.in("", escalatesClusterRole, unnamed), h.in("", makesClusterRole, unnamed), mine)
		b.named(h.all("", escalatesClusterRole), rbac.ClusterRoleKind, "", func(source *rbac.Role, g []grant) {
			if source != r && !source.Aggregated {
				lead(aggregate, g, h.in("", changesClusterRole, naming(source.Name)), mine)
			}
		})
	})
}

// bindings is P17: binding oneself to a role, for which one needs the verb bind on
// it. Without that verb the API server allows only what one holds already (P18),
// which leads nowhere.
func (b *builder) bindings(v int32, h *holdings) {
	if !h.has(bindsRole) && !h.has(bindsClusterRole) {
		return
	}
	lead := func(to int32, needs ...[]grant) { b.lead(v, to, both{Primitive: bind, needs: needs}) }
	if binding := h.in("", makesClusterBinding, unnamed); len(binding) > 0 {
		lead(b.lazy(h, bindsClusterRole, (*builder).admin), binding, h.in("", bindsClusterRole, unnamed))
		b.named(h.all("", bindsClusterRole), rbac.ClusterRoleKind, "", func(r *rbac.Role, g []grant) {
			lead(b.holder(scope{r, ""}), binding, g)
		})
	}
	for _, ns := range append([]string{""}, h.spaces...) {
		binding := h.in(ns, makesBinding, unnamed)
		if roles := h.all(ns, bindsClusterRole); here(ns, binding, roles) {
			if unrestricted := h.in(ns, bindsClusterRole, unnamed); len(unrestricted) > 0 {
				lead(b.heldIn(b.everything, ns), binding, unrestricted)
			}
			b.named(roles, rbac.ClusterRoleKind, "", func(r *rbac.Role, g []grant) { lead(b.heldIn(r, ns), binding, g) })
		}
		if roles := h.all(ns, bindsRole); here(ns, binding, roles) {
			if unrestricted := h.in(ns, bindsRole, unnamed); len(unrestricted) > 0 {
				lead(b.anyRole(ns), binding, unrestricted)
			}
			for _, one := range b.spaces(ns) {
				b.named(roles, rbac.RoleKind, one, func(r *rbac.Role, g []grant) { lead(b.holder(scope{r, one}), binding, g) })
			}
		}
	}
	b.rebinding(v, h)
}

// spaces is one namespace, or all where it is empty.
func (b *builder) spaces(ns string) []string {
	if ns != "" {
		return []string{ns}
	}
	return b.namespaces()
}

// named calls each for the roles that grants name, with all grants that allow
// something to them.
func (b *builder) named(grants []grant, kind, ns string, each func(*rbac.Role, []grant)) {
	done := map[string]bool{}
	for i := range grants {
		for _, name := range grants[i].rule.ResourceNames {
			if r := b.rbac.Role(kind, ns, name); r != nil && !done[name] {
				done[name] = true
				each(r, slices.DeleteFunc(slices.Clone(grants), func(g grant) bool { return !naming(name)(&g) }))
			}
		}
	}
}

// anyRole is being bound to the Roles of a namespace, or of all.
func (b *builder) anyRole(ns string) int32 {
	return b.spread("bound-to-roles", ns, func(v int32, ns string) {
		for _, r := range b.rolesOf(ns) {
			b.always(within, v, b.holder(scope{r, ns}))
		}
	})
}

// rolesOf are the Roles of a namespace.
func (b *builder) rolesOf(ns string) []*rbac.Role {
	if b.roles == nil {
		b.roles = map[string][]*rbac.Role{}
		for _, r := range b.rbac.Roles {
			if r.Kind == rbac.RoleKind {
				b.roles[r.Namespace] = append(b.roles[r.Namespace], r)
			}
		}
	}
	return b.roles[ns]
}

// heldIn is the place of whoever is bound to a role in a namespace, or in each.
func (b *builder) heldIn(r *rbac.Role, ns string) int32 {
	if ns != "" {
		return b.holder(scope{r, ns})
	}
	if whole(r) != nil {
		r = b.everything
	}
	return b.spread("bound-to:"+r.Kind+"/"+r.Name, "", func(v int32, ns string) {
		b.always(within, v, b.holder(scope{r, ns}))
	})
}

// rebinding is P17 by a binding that is there: its subjects can be changed, its
// role cannot.
func (b *builder) rebinding(v int32, h *holdings) {
	for _, way := range []struct {
		change, bind part
		kind, role   string
	}{
		{changesClusterBinding, bindsClusterRole, rbac.ClusterRoleBindingKind, rbac.ClusterRoleKind},
		{changesBinding, bindsClusterRole, rbac.RoleBindingKind, rbac.ClusterRoleKind},
		{changesBinding, bindsRole, rbac.RoleBindingKind, rbac.RoleKind},
	} {
		if !h.has(way.change) || !h.has(way.bind) {
			continue
		}
		spaces := append([]string{""}, h.spaces...)
		if way.kind == rbac.ClusterRoleBindingKind {
			spaces = spaces[:1]
		}
		for _, ns := range spaces {
			change, bound := h.in(ns, way.change, unnamed), h.in(ns, way.bind, unnamed)
			if here(ns, change, bound) {
				b.lead(v, b.anyBinding(way.kind, way.role, ns), both{Primitive: bind, needs: [][]grant{change, bound}})
			}
		}
		for _, x := range b.bindingsNamed(h.anywhere(way.change), h.anywhere(way.bind), way.kind, way.role) {
			if x.Role != nil && x.Role.Kind == way.role {
				b.lead(v, b.holder(scope{x.Role, x.Namespace}), both{Primitive: bind, needs: [][]grant{
					h.in(x.Namespace, way.change, naming(x.Name)), h.in(x.Namespace, way.bind, naming(x.Role.Name)),
				}})
			}
		}
	}
}

// anyBinding is being a subject of any binding of a kind to a kind of role.
func (b *builder) anyBinding(kind, role, ns string) int32 {
	name := "rebind:" + kind + "/" + role
	leads := func(v int32, ns string) {
		for _, x := range b.rbac.Bindings {
			if x.Kind == kind && x.Namespace == ns && x.Role != nil && x.Role.Kind == role {
				b.always(within, v, b.holder(scope{x.Role, ns}))
			}
		}
	}
	if kind == rbac.ClusterRoleBindingKind {
		return b.once(name, func(v int32) { leads(v, "") })
	}
	return b.spread(name, ns, leads)
}

// bindingsNamed are the bindings of a kind that grants name, or that bind a role
// which grants name.
func (b *builder) bindingsNamed(change, bound []grant, kind, role string) []*rbac.Binding {
	var out []*rbac.Binding
	add := func(x *rbac.Binding) {
		if x != nil && x.Kind == kind && !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	for _, g := range change {
		for _, name := range g.rule.ResourceNames {
			if kind == rbac.ClusterRoleBindingKind {
				add(b.rbac.Binding(kind, "", name))
				continue
			}
			for _, ns := range b.spaces(g.namespace) {
				add(b.rbac.Binding(kind, ns, name))
			}
		}
	}
	for _, g := range bound {
		spaces := []string{""}
		if role == rbac.RoleKind {
			spaces = b.spaces(g.namespace)
		}
		for _, name := range g.rule.ResourceNames {
			for _, ns := range spaces {
				for _, x := range b.rbac.BindingsOf(b.rbac.Role(role, ns, name)) {
					add(x)
				}
			}
		}
	}
	return out
}

// certificates is P22 and P23: a client certificate of one's own. Only the signer
// for clients gives one of any name; that for kubelets gives one of a node.
func (b *builder) certificates(v int32, h *holdings) {
	ask := h.in("", asksCert, unnamed)
	if len(ask) == 0 {
		return
	}
	for _, signer := range []struct {
		name string
		to   func(*builder) int32
	}{
		{"kubernetes.io/kube-apiserver-client", (*builder).anyIdentity},
		{"kubernetes.io/kube-apiserver-client-kubelet", (*builder).kubeletIdentity},
	} {
		domain := func(g *grant) bool {
			return g.rule.Unnamed() || g.rule.Named(signer.name) || g.rule.Named("kubernetes.io/*")
		}
		if b.eks() == Yes && signer.name == "kubernetes.io/kube-apiserver-client" {
			continue // the signer of EKS leaves such requests alone
		}
		b.lead(v, b.lazy(h, approvesFor, signer.to), both{Primitive: approveCert, needs: [][]grant{
			ask, h.in("", approvesCert, whatever), h.in("", approvesFor, domain),
		}})
		b.lead(v, b.lazy(h, signsFor, signer.to), both{
			Primitive: signCert, likelihood: 0.1,
			conditions: []Condition{{Text: "the holder has the key of an authority that the API server trusts: the permission is to hand out what that signed"}},
			needs:      [][]grant{ask, h.in("", writesCert, whatever), h.in("", signsFor, domain)},
		})
	}
}

// relabelling is P32: taking the Pod Security level from a namespace in which one
// may make pods, or making a namespace that has none.
func (b *builder) relabelling(v int32, h *holdings) {
	if !h.has(makesPod) {
		return
	}
	spaces := slices.Clone(h.spaces)
	for _, g := range h.anywhere(relabels) {
		spaces = append(spaces, g.rule.ResourceNames...)
		if g.namespace == "" && g.rule.Unnamed() {
			spaces = append(spaces, b.namespaces()...)
		}
	}
	slices.Sort(spaces)
	for _, ns := range slices.Compact(spaces) {
		label := h.in(ns, relabels, naming(ns))
		if pods := h.in(ns, makesPod, unnamed); len(label) > 0 && len(pods) > 0 && b.enforced(ns) {
			b.lead(v, b.past("the level of Pod Security", ns, levelGuard), both{Primitive: relabel, needs: [][]grant{label, pods}})
		}
	}
	if ns, pods := h.in("", makesNamespace, unnamed), h.in("", makesPod, unnamed); len(ns) > 0 && len(pods) > 0 {
		b.lead(v, b.past("the level of Pod Security", "", levelGuard), both{Primitive: relabel, needs: [][]grant{ns, pods}})
	}
}

// enforced says that a namespace has a level of Pod Security to lose, as far as
// the objects show.
func (b *builder) enforced(ns string) bool {
	o := b.object("Namespace", "", ns)
	return o != nil && o.Root.At("metadata", "labels", enforceLabel).Str() != "" && o.Root.At("metadata", "labels", enforceLabel).Str() != "privileged"
}

// past is making pods of a namespace, or of all, with a guard out of the way.
func (b *builder) past(what, ns string, guard guards) int32 {
	return b.spread("past-"+what, ns, func(v int32, ns string) { b.podPowerPast(v, ns, guard) })
}

// admitted is P46: pods by a security context constraint, or a PodSecurityPolicy,
// that lets them have their node.
func (b *builder) admitted(v int32, h *holdings, ns string, pods []grant) {
	use := h.in(ns, usesConstraint, func(g *grant) bool { return b.opens(g.rule) })
	if here(ns, use, pods) {
		b.lead(v, b.nodes(), both{Primitive: useSCC, needs: [][]grant{use, pods}})
	}
	b.listedBy(v, func(o *cluster.Object, path string) {
		one := Step{Primitive: useSCC, Evidence: []Evidence{{o, path}}, Text: "SecurityContextConstraints " + o.Name + " names it; " + pods[0].String()}
		one.Evidence = append(one.Evidence, pods[0].evidence()...)
		one.Changes = []int{b.unlist(o, path)}
		b.edge(v, b.nodes(), b.step(one))
	})
	if b.minor() >= 25 { // PodSecurityPolicy is gone since 1.25
		return
	}
	use = h.in(ns, usesPodPolicy, func(g *grant) bool { return b.opensPolicy(g.rule) })
	if here(ns, use, pods) {
		b.lead(v, b.nodes(), both{Primitive: useSCC, needs: [][]grant{use, pods}})
	}
}

// openConstraints are the constraints of OpenShift itself that give the node.
var openConstraints = []string{"privileged", "hostaccess", "hostmount-anyuid", "node-exporter", "hostmount-anyuid-v2"}

// opens says whether a rule to use security context constraints takes one by
// which a pod can have its node. There are none but on OpenShift.
func (b *builder) opens(r *rbac.Rule) bool {
	list := b.snap.Kind("SecurityContextConstraints")
	if len(list) == 0 {
		return !b.snap.Whole && !r.Unnamed() && slices.ContainsFunc(openConstraints, r.Named)
	}
	return slices.ContainsFunc(list, func(o *cluster.Object) bool {
		return (r.Unnamed() || r.Named(o.Name)) && opening(o)
	})
}

// opening says whether a security context constraint lets a pod have its node.
func opening(o *cluster.Object) bool {
	return truth(o, "allowPrivilegedContainer") || truth(o, "allowHostDirVolumePlugin") || truth(o, "allowHostPID")
}

// listedBy calls each for the open constraints that name an identity, or a group that
// it is certain to be in, themselves: OpenShift heeds that as it does RBAC.
func (b *builder) listedBy(identity int32, each func(o *cluster.Object, path string)) {
	if b.snap.Kind("SecurityContextConstraints") == nil {
		return
	}
	names := []string{b.subjectName(identity)}
	groups := certainGroups(b.g.Vertices[identity].Key)
	if b.g.Vertices[identity].Kind == Group {
		groups = append(groups, b.g.Vertices[identity].Name)
	}
	for _, o := range b.snap.Kind("SecurityContextConstraints") {
		if !opening(o) {
			continue
		}
		for _, list := range []struct {
			key   string
			names []string
		}{{"users", names}, {"groups", groups}} {
			for i, n := range o.Root.Get(list.key).List() {
				if n.Str() != "" && slices.Contains(list.names, n.Str()) {
					each(o, document.Index(list.key, i))
				}
			}
		}
	}
}

// unlist is the change that takes somebody out of a constraint.
func (b *builder) unlist(o *cluster.Object, path string) int {
	n, _ := o.Root.Find(path)
	return b.change(o, path, Change{
		Text: "remove " + n.Str() + " from SecurityContextConstraints " + o.Name,
		Ops:  []seawall.PatchOp{{Op: "remove", Path: document.Pointer(path)}}, Cost: 1,
	})
}

// subjectName is the name that the API server knows a user or an account by.
func (b *builder) subjectName(v int32) string {
	switch x := &b.g.Vertices[v]; x.Kind {
	case User:
		return x.Name
	case ServiceAccount:
		return rbac.Account(x.Namespace, x.Name).User
	default:
		return ""
	}
}

// opensPolicy is that for a PodSecurityPolicy.
func (b *builder) opensPolicy(r *rbac.Rule) bool {
	return slices.ContainsFunc(b.snap.Kind("PodSecurityPolicy"), func(o *cluster.Object) bool {
		spec := o.Root.Get("spec")
		privileged, _ := spec.Get("privileged").Bool()
		pid, _ := spec.Get("hostPID").Bool()
		volumes := texts(spec.Get("volumes"))
		return (r.Unnamed() || r.Named(o.Name)) &&
			(privileged || pid || slices.Contains(volumes, "*") || slices.Contains(volumes, "hostPath"))
	})
}

func truth(o *cluster.Object, key string) bool {
	v, _ := o.Root.Get(key).Bool()
	return v
}

// constraintsOfAccounts adds P46 by an account: who makes a pod may run it as any
// account of the namespace, and what that may use admits the pod.
func (b *builder) constraintsOfAccounts(v int32, ns string) {
	for _, a := range b.vertices(ServiceAccount, ns) {
		if b.dangling(a) {
			continue
		}
		b.listedBy(a, func(o *cluster.Object, path string) {
			b.edge(v, b.nodes(), b.step(Step{
				Primitive: useSCC, Evidence: []Evidence{{o, path}}, Text: "SecurityContextConstraints " + o.Name + " names " + b.subjectName(a) + " or its group",
				Changes: []int{b.unlist(o, path)},
			}))
		})
		h := b.constraintsOf(a)
		if h == nil {
			continue
		}
		use := h.in(ns, usesConstraint, func(g *grant) bool { return b.opens(g.rule) })
		if b.minor() < 25 {
			use = append(use, h.in(ns, usesPodPolicy, func(g *grant) bool { return b.opensPolicy(g.rule) })...)
		}
		if len(use) > 0 {
			b.lead(v, b.nodes(), both{Primitive: useSCC, needs: [][]grant{use}})
		}
	}
}

// constraintsOf is what an account holds, nil if no binding lets it use a
// constraint.
func (b *builder) constraintsOf(account int32) *holdings {
	uses := func(x *bound) bool {
		return b.gives(x.Binding) && slices.ContainsFunc(b.matches(x.Role), func(m match) bool {
			return m.part == usesConstraint || m.part == usesPodPolicy
		})
	}
	for _, who := range append([]int32{account}, b.memberships[account]...) {
		if slices.ContainsFunc(b.holds[who], uses) {
			return b.holdingsOf(account)
		}
	}
	return nil
}
