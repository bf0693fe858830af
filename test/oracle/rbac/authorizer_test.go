package rbac

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/union"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install" // the types that legacyscheme decodes
	"k8s.io/kubernetes/pkg/registry/rbac/validation"
	theirs "k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	ours "seawall.io/seawall/internal/rbac"
	"seawall.io/seawall/internal/snapshotfile"
)

// read reads a stream as Seawall does.
func read(t *testing.T, text string) *cluster.Snapshot {
	t.Helper()
	var objects []*cluster.Object
	for _, d := range document.Parse([]byte(text), document.Limits{}) {
		if d.Err != nil {
			t.Fatalf("%v in\n%s", d.Err, text)
		}
		if o, ok := cluster.New(d.Root); ok {
			objects = append(objects, o)
		}
	}
	return cluster.NewSnapshot(objects)
}

// state is what an API server has stored.
type state struct {
	roles               []*rbacv1.Role
	bindings            []*rbacv1.RoleBinding
	clusterRoles        []*rbacv1.ClusterRole
	clusterRoleBindings []*rbacv1.ClusterRoleBinding
}

// store decodes objects as the API server does, and leaves out those that it
// cannot.
func store(objects []*cluster.Object) (s state, refused int) {
	for _, o := range objects {
		if o.Group() != rbacv1.GroupName {
			continue
		}
		decoded, _, err := legacyscheme.Codecs.UniversalDeserializer().Decode(o.Root.AppendJSON(nil), nil, nil)
		if err != nil || !aggregates(decoded) {
			refused++
			continue
		}
		s.add(decoded)
	}
	return s, refused
}

// aggregates says that an aggregation rule, if there is one, is as the API
// server's validation wants it. Its other demands do not matter here: a rule
// without verbs and the like may be stored nowhere, and grants nothing.
func aggregates(o runtime.Object) bool {
	r, is := o.(*rbacv1.ClusterRole)
	if !is || r.AggregationRule == nil {
		return true
	}
	for i := range r.AggregationRule.ClusterRoleSelectors {
		if _, err := metav1.LabelSelectorAsSelector(&r.AggregationRule.ClusterRoleSelectors[i]); err != nil {
			return false
		}
	}
	return len(r.AggregationRule.ClusterRoleSelectors) > 0
}

func (s *state) add(o runtime.Object) {
	switch o := o.(type) {
	case *rbacv1.Role:
		o.Namespace = orDefault(o.Namespace)
		s.roles = append(s.roles, o)
	case *rbacv1.RoleBinding:
		o.Namespace = orDefault(o.Namespace)
		s.bindings = append(s.bindings, o)
	case *rbacv1.ClusterRole:
		s.clusterRoles = append(s.clusterRoles, o)
	case *rbacv1.ClusterRoleBinding:
		s.clusterRoleBindings = append(s.clusterRoleBindings, o)
	}
}

func orDefault(namespace string) string {
	if namespace == "" {
		return "default"
	}
	return namespace
}

// shipped adds Kubernetes' own policy where the names are free, as the API
// server does at start.
func (s *state) shipped() {
	has := func(o metav1.Object) bool {
		same := func(other metav1.Object) bool {
			return other.GetName() == o.GetName() && other.GetNamespace() == o.GetNamespace()
		}
		switch o.(type) {
		case *rbacv1.Role:
			return slices.ContainsFunc(s.roles, func(r *rbacv1.Role) bool { return same(r) })
		case *rbacv1.RoleBinding:
			return slices.ContainsFunc(s.bindings, func(b *rbacv1.RoleBinding) bool { return same(b) })
		case *rbacv1.ClusterRole:
			return slices.ContainsFunc(s.clusterRoles, func(r *rbacv1.ClusterRole) bool { return same(r) })
		default:
			return slices.ContainsFunc(s.clusterRoleBindings, func(b *rbacv1.ClusterRoleBinding) bool { return same(b) })
		}
	}
	add := func(o interface {
		metav1.Object
		runtime.Object
	}) {
		if !has(o) {
			s.add(o)
		}
	}
	for _, r := range slices.Concat(bootstrappolicy.ClusterRoles(), bootstrappolicy.ControllerRoles()) {
		add(r.DeepCopy())
	}
	for _, b := range slices.Concat(bootstrappolicy.ClusterRoleBindings(), bootstrappolicy.ControllerRoleBindings()) {
		add(b.DeepCopy())
	}
	for namespace, roles := range bootstrappolicy.NamespaceRoles() {
		for _, r := range roles {
			r := r.DeepCopy()
			r.Namespace = namespace
			add(r)
		}
	}
	for namespace, bindings := range bootstrappolicy.NamespaceRoleBindings() {
		for _, b := range bindings {
			b := b.DeepCopy()
			b.Namespace = namespace
			add(b)
		}
	}
}

// judge answers as an API server with this state does.
type judge struct {
	authorizer authorizer.Authorizer
	rules      *validation.DefaultRuleResolver
	who        *theirs.SubjectAccessEvaluator
}

func (s *state) judge() judge {
	_, static := validation.NewTestRuleResolver(s.roles, s.bindings, s.clusterRoles, s.clusterRoleBindings)
	return judge{
		authorizer: union.New(
			authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup),
			theirs.New(static, static, static, static),
		),
		rules: validation.NewDefaultRuleResolver(static, static, static, static),
		who:   theirs.NewSubjectAccessEvaluator(static, static, static, static, ""),
	}
}

func record(id ours.Identity, a ours.Attributes) authorizer.AttributesRecord {
	return authorizer.AttributesRecord{
		User: &user.DefaultInfo{Name: id.User, Groups: id.Groups}, Verb: a.Verb,
		ResourceRequest: a.Path == "", Path: a.Path, Namespace: a.Namespace,
		APIGroup: a.Group, Resource: a.Resource, Subresource: a.Subresource, Name: a.Name,
	}
}

func (j judge) allows(t *testing.T, id ours.Identity, a ours.Attributes) bool {
	t.Helper()
	decision, _, _ := j.authorizer.Authorize(t.Context(), record(id, a)) // its error names missing roles
	return decision == authorizer.DecisionAllow
}

// tally counts what was compared.
type tally struct{ requests, allowed, refused int }

// compare puts one request to both, in each way that there is to put it.
func (n *tally) compare(t *testing.T, m *ours.Model, j judge, id ours.Identity, a ours.Attributes, dump func() string) {
	t.Helper()
	n.requests++
	want := j.allows(t, id, a)
	if want {
		n.allowed++
	}
	if got := m.Decide(id, a).Allowed; got != want {
		t.Fatalf("%+v doing %+v: got %v, Kubernetes says %v, with\n%s", id, a, got, want, dump())
	}
	if n.requests%8 != 0 { // the other ways are slow
		return
	}
	if diff := cmp.Diff(j.subjects(t, a), whoCan(m, a)); diff != "" {
		t.Fatalf("who can %+v (-Kubernetes +ours):\n%s\nwith\n%s", a, diff, dump())
	}
	if diff := cmp.Diff(j.grants(id, a.Namespace), grants(t, m, id, a.Namespace)); diff != "" {
		t.Fatalf("rules of %+v in %q (-Kubernetes +ours):\n%s\nwith\n%s", id, a.Namespace, diff, dump())
	}
}

// subjects returns who can do it, but for system:masters, as sorted text.
// Subjects that mean nobody, which Kubernetes hands on as they stand, are left
// out.
func (j judge) subjects(t *testing.T, a ours.Attributes) []string {
	t.Helper()
	everywhere := a
	everywhere.Namespace = ""
	ask := func(a ours.Attributes) []rbacv1.Subject {
		out, _ := j.who.AllowedSubjects(t.Context(), record(ours.Identity{}, a)) // its error names missing roles
		return out[1:]                                                           // system:masters
	}
	cluster, all := ask(everywhere), ask(a)
	var out []string
	for i, s := range all {
		namespace := ""
		if i >= len(cluster) {
			namespace = a.Namespace
		}
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		switch {
		case s.Kind == rbacv1.ServiceAccountKind && namespace != "":
			out = append(out, s.Kind+" "+namespace+"/"+s.Name)
		case s.Kind == rbacv1.UserKind, s.Kind == rbacv1.GroupKind:
			out = append(out, s.Kind+" "+s.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func whoCan(m *ours.Model, a ours.Attributes) []string {
	var out []string
	for _, g := range m.WhoCan(a) {
		out = append(out, g.Subject.String())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (j judge) grants(id ours.Identity, namespace string) []string {
	rules, _ := j.rules.RulesFor(context.Background(), &user.DefaultInfo{Name: id.User, Groups: id.Groups}, namespace) // its error names missing roles
	var out []string
	for _, r := range rules {
		out = append(out, text(ours.Rule{
			Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames, NonResourceURLs: r.NonResourceURLs,
		}))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func grants(t *testing.T, m *ours.Model, id ours.Identity, namespace string) []string {
	t.Helper()
	var out []string
	for _, g := range m.GrantsFor(id, namespace) {
		out = append(out, text(*g.Rule))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func text(r ours.Rule) string {
	out, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	return string(out)
}

// TestLiveCluster holds the model of a cluster as it stands, whose aggregated
// roles grant what the server has stored and nothing else.
func TestLiveCluster(t *testing.T) {
	t.Parallel()
	var n tally
	for seed := range uint64(1500) {
		w := world{rand.New(rand.NewPCG(seed, 1))}
		text := yaml(w.objects(true))
		snap := read(t, text)
		snap.Whole = true
		stored, refused := store(snap.Objects)
		n.refused += refused
		m, j := ours.Of(snap), stored.judge()
		for range 80 {
			n.compare(t, m, j, w.identity(), w.attributes(), func() string { return text })
		}
	}
	n.report(t, 120_000, 200)
}

// TestFiles holds the model of files: Kubernetes' own policy is there, and the
// aggregation controller has run.
func TestFiles(t *testing.T) {
	t.Parallel()
	var n tally
	controller := startAggregation(t)
	for seed := range uint64(125) {
		w := world{rand.New(rand.NewPCG(seed, 2))}
		text := yaml(w.objects(false))
		snap := read(t, text)
		stored, refused := store(snap.Objects)
		n.refused += refused
		stored.shipped()
		stored.clusterRoles = controller.settle(t, stored.clusterRoles)
		m, j := ours.Of(snap), stored.judge()
		for range 160 {
			n.compare(t, m, j, w.identity(), w.attributes(), func() string { return text })
		}
	}
	n.report(t, 20_000, 25)
}

// TestOwnRules holds that an aggregated role in a file that has rules of its
// own, which are in force until the controller has run, is never said to grant
// less than before or after that.
func TestOwnRules(t *testing.T) {
	t.Parallel()
	controller := startAggregation(t)
	more := 0
	for seed := range uint64(50) {
		w := world{rand.New(rand.NewPCG(seed, 3))}
		text := yaml(w.objects(true))
		snap := read(t, text)
		stored, _ := store(snap.Objects)
		stored.shipped()
		before := stored.judge()
		after := stored
		after.clusterRoles = controller.settle(t, stored.clusterRoles)
		then := after.judge()
		m := ours.Of(snap)
		for range 80 {
			id, a := w.identity(), w.attributes()
			got, want := m.Decide(id, a).Allowed, before.allows(t, id, a) || then.allows(t, id, a)
			if want && !got {
				t.Fatalf("%+v doing %+v: got no, Kubernetes says yes, with\n%s", id, a, text)
			}
			if got && !want {
				more++
			}
		}
	}
	if more > 40 { // of 4,000: what the controller grants on its way only
		t.Errorf("%d requests are allowed that neither state allows", more)
	}
}

func (n *tally) report(t *testing.T, requests, refused int) {
	t.Helper()
	t.Logf("%d requests, %d of them allowed; the API server refuses %d objects", n.requests, n.allowed, n.refused)
	if n.requests < requests || n.allowed < n.requests/10 || n.allowed > n.requests*9/10 || n.refused < refused {
		t.Error("too few of one sort to compare")
	}
}

// TestDefaultPolicy puts requests that are about the default roles to them,
// for everybody whom they name.
func TestDefaultPolicy(t *testing.T) {
	t.Parallel()
	var stored state
	stored.shipped()
	stored.clusterRoles = startAggregation(t).settle(t, stored.clusterRoles)
	var n tally
	n.real(t, ours.Defaults(), stored.judge(), 20_000, "the default policy")
	n.report(t, 20_000, 0)
}

// TestSnapshot does so for the roles and bindings that a real API server had
// stored.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	snap, _, err := snapshotfile.ReadFile("testdata/cluster.tar.zst", snapshotfile.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	stored, refused := store(snap.Objects)
	if !snap.Whole || refused > 0 || len(stored.clusterRoles) < 70 || len(stored.bindings) < 10 {
		t.Fatalf("whole %v, %d objects refused, %d ClusterRoles, %d RoleBindings", snap.Whole, refused, len(stored.clusterRoles), len(stored.bindings))
	}
	var n tally
	n.real(t, ours.Of(snap), stored.judge(), 20_000, "the snapshot")
	n.report(t, 20_000, 0)
}

// TestExampleRoles does so for the roles in the repository that people wrote:
// the example shop and the examples of all checks on RBAC.
func TestExampleRoles(t *testing.T) {
	t.Parallel()
	var texts []string
	for _, pattern := range []string{"../../../examples/shop/*.yaml", "../../../examples/shop/*/*.yaml"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(text))
		}
	}
	names, err := filepath.Glob("../../../checks/rbac/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if strings.HasSuffix(f.Name, ".yaml") && f.Name != "check.yaml" {
				texts = append(texts, string(f.Data))
			}
		}
	}
	controller := startAggregation(t)
	var alone state
	alone.shipped()
	filled := controller.settle(t, alone.clusterRoles)
	var n tally
	roles := 0
	for _, text := range texts {
		snap := read(t, text)
		stored, refused := store(snap.Objects)
		n.refused += refused
		if len(stored.bindings)+len(stored.clusterRoleBindings) == 0 || repeats(stored) {
			continue
		}
		roles += len(stored.roles) + len(stored.clusterRoles)
		if slices.ContainsFunc(stored.clusterRoles, aggregated) {
			stored.shipped()
			stored.clusterRoles = controller.settle(t, stored.clusterRoles)
		} else {
			stored.shipped()
			for i, r := range stored.clusterRoles {
				if at := slices.IndexFunc(filled, func(f *rbacv1.ClusterRole) bool { return f.Name == r.Name && aggregated(r) }); at >= 0 {
					stored.clusterRoles[i] = filled[at]
				}
			}
		}
		n.real(t, ours.Of(snap), stored.judge(), 200, text)
	}
	t.Logf("%d roles of %d texts", roles, len(texts))
	n.report(t, 20_000, 0)
}

// aggregated says that a role may have a part in aggregation, which takes the
// controller a while.
func aggregated(r *rbacv1.ClusterRole) bool { return len(r.Labels) > 0 || r.AggregationRule != nil }

// repeats says that two objects have one name, of which an API server has one.
func repeats(s state) bool {
	seen := map[string]bool{}
	twice := false
	add := func(kind, namespace, name string) {
		key := kind + " " + namespace + "/" + name
		twice = twice || seen[key]
		seen[key] = true
	}
	for _, o := range s.roles {
		add("Role", o.Namespace, o.Name)
	}
	for _, o := range s.clusterRoles {
		add("ClusterRole", "", o.Name)
	}
	for _, o := range s.bindings {
		add("RoleBinding", o.Namespace, o.Name)
	}
	for _, o := range s.clusterRoleBindings {
		add("ClusterRoleBinding", "", o.Name)
	}
	return twice
}

// real puts requests made of the words of a model's own rules to it.
func (n *tally) real(t *testing.T, m *ours.Model, j judge, requests int, what string) {
	t.Helper()
	w := world{rand.New(rand.NewPCG(uint64(requests), 4))}
	var rules []*ours.Rule
	for _, r := range m.Roles {
		rules = append(rules, r.Rules...)
	}
	for range requests {
		// Half of the requests are of somebody who has the rule.
		rule := rules[w.IntN(len(rules))]
		b := m.Bindings[w.IntN(len(m.Bindings))]
		if b.Role != nil && len(b.Role.Rules) > 0 && w.IntN(2) == 0 {
			rule = b.Role.Rules[w.IntN(len(b.Role.Rules))]
		}
		id := w.identity()
		if len(b.Subjects) > 0 {
			id = b.Subjects[w.IntN(len(b.Subjects))].Identity()
		}
		if id.User == "" {
			id.User = "somebody"
		}
		n.compare(t, m, j, id, w.about(rule, b.Namespace), func() string { return what })
	}
}

// about makes a request that a rule might allow.
func (w world) about(r *ours.Rule, namespace string) ours.Attributes {
	word := func(list []string, other ...string) string {
		if len(list) > 0 && w.IntN(8) > 0 {
			return list[w.IntN(len(list))]
		}
		return w.pick(other...)
	}
	verb := word(r.Verbs, "get", "list", "create", "escalate")
	if len(r.NonResourceURLs) > 0 && w.IntN(4) > 0 {
		return ours.Attributes{Verb: verb, Path: strings.ReplaceAll(word(r.NonResourceURLs, "/"), "*", w.pick("", "x"))}
	}
	a := ours.Attributes{Verb: verb, Group: word(r.APIGroups, "", "apps"), Name: word(r.ResourceNames, "", "x")}
	a.Resource, a.Subresource, _ = strings.Cut(word(r.Resources, "pods", "nodes", "pods/exec"), "/")
	if w.IntN(3) > 0 {
		a.Namespace = word([]string{namespace}, "", "kube-system", "other")
	}
	return a
}
