package attack

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/patch"
	"seawall.io/seawall/internal/vap"
)

// guards are what may keep pods that give their node from being made. Who can put
// one out of the way has the others against him still.
type guards uint8

const (
	levelGuard  guards = 1 << iota // the Pod Security level of the namespace
	policyGuard                    // admission policies and webhooks
)

// podPower adds P04 to a vertex that stands for making pods of one's choice in a
// namespace: root on any node, as far as Pod Security and admission let such pods
// be. Who may add ephemeral containers of any shape has the same.
func (b *builder) podPower(v int32, ns string) { b.podPowerPast(v, ns, 0) }

// podPowerPast is podPower of who has put some guards out of the way.
func (b *builder) podPowerPast(v int32, ns string, past guards) {
	k := admissionKey{ns, past}
	step, ok := b.admissions[k]
	if !ok {
		step = -1
		if g := b.admission(ns, past); !g.closed {
			step = b.step(Step{
				Primitive: podToNode, Likelihood: g.likelihood, Conditions: g.conditions, Evidence: g.evidence, Changes: g.changes,
				Text:   "a pod with the means to leave its container is admitted in namespace " + ns,
				Checks: []string{"namespace-psa-below-baseline", "no-active-pod-policy"},
			})
		}
		if b.admissions == nil {
			b.admissions = map[admissionKey]int32{}
		}
		b.admissions[k] = step
	}
	if step >= 0 {
		b.edge(v, b.nodes(), step)
	}
}

type admissionKey struct {
	namespace string
	past      guards
}

// admittance is what would become of a pod that owns its node.
type admittance struct {
	closed     bool // it is refused, whatever the means
	likelihood float64
	conditions []Condition
	evidence   []Evidence
	changes    []int
}

// admission evaluates what would decide about such a pod: the level of Pod
// Security, security context constraints, policies, webhooks.
func (b *builder) admission(ns string, past guards) admittance {
	g := admittance{likelihood: podToNode.Likelihood}
	if past&levelGuard == 0 {
		b.podSecurity(&g, ns)
	}
	if b.hasConstraints() {
		g.closed = true // a pod needs one that its account or maker may use: P46
	}
	if past&policyGuard == 0 && !g.closed {
		b.policies(&g, ns)
		b.webhooks(&g, ns)
	}
	return g
}

// unsure notes a condition that nobody can decide from the objects.
func (g *admittance) unsure(times float64, format string, args ...any) {
	g.likelihood *= times
	g.conditions = append(g.conditions, Condition{Text: fmt.Sprintf(format, args...)})
}

func (g *admittance) holds(format string, args ...any) {
	g.conditions = append(g.conditions, Condition{Text: fmt.Sprintf(format, args...), Holds: Yes})
}

const enforceLabel = "pod-security.kubernetes.io/enforce"

// podSecurity reads the level that a namespace enforces. baseline and restricted
// have forbidden all that gives the node since their first version, so that the
// version which is enforced makes no difference.
func (b *builder) podSecurity(g *admittance, ns string) {
	if b.minor() < 23 {
		g.holds("Kubernetes 1.%d enforces no Pod Security level by default", b.minor())
		if len(b.snap.Kind("PodSecurityPolicy")) > 0 {
			g.unsure(0.4, "a PodSecurityPolicy that the pod's account may use admits it")
		}
		return
	}
	o := b.snap.Get("", "Namespace", "", ns)
	config := b.podSecurityConfig()
	if slices.Contains(config.exempt, ns) {
		g.holds("the configuration of the API server exempts namespace %s from Pod Security", ns)
		return
	}
	path := document.Key("metadata.labels", enforceLabel)
	level := config.level
	if o != nil {
		g.evidence = append(g.evidence, Evidence{o, path})
		if n := o.Root.At("metadata", "labels", enforceLabel); n != nil {
			level, config.unseen = n.Str(), false
		}
	}
	switch level {
	case "baseline", "restricted":
		g.closed = !config.exemptsOthers
		g.unsure(0.2, "the attacker is a user, or uses a runtime class, that the configuration of the API server exempts")
		return
	case "", "privileged":
	default:
		g.unsure(0.1, "namespace %s enforces the Pod Security level %q, which does not exist: the API server takes it for restricted", ns, level)
		return
	}
	switch {
	case o == nil && !b.snap.Whole:
		g.unsure(0.6, "namespace %s enforces no Pod Security level: it is not among the objects", ns)
	case config.unseen:
		g.unsure(0.6, "the file that --admission-control-config-file of the API server names enforces no level by default")
	default:
		g.holds("namespace %s enforces no Pod Security level", ns)
	}
	if c, ok := b.enforceBaseline(ns, o); ok {
		g.changes = append(g.changes, c)
	}
}

// enforceBaseline is the change that labels a namespace. It costs as much more as
// there are workloads in it that the level refuses.
func (b *builder) enforceBaseline(ns string, o *cluster.Object) (int, bool) {
	if systemNamespace(ns) {
		return 0, false
	}
	cost := 1
	for _, t := range b.templatesIn(ns) {
		if belowBaseline(t) {
			cost += 2
		}
	}
	c := Change{Text: "enforce the Pod Security level baseline in namespace " + ns, Cost: cost}
	if o != nil {
		c.Ops = patch.Set(o.Root, document.Key("metadata.labels", enforceLabel), "baseline")
		return b.change(o, enforceLabel, c), len(c.Ops) > 0
	}
	if b.snap.Whole {
		return 0, false
	}
	c.New = document.FromValue(map[string]any{
		"apiVersion": "v1", "kind": "Namespace",
		"metadata": map[string]any{"name": ns, "labels": map[string]any{enforceLabel: "baseline"}},
	})
	return b.change(nil, enforceLabel+" "+ns, c), true
}

// belowBaseline says that a template has what the level baseline refuses, as far
// as that is what leads to nodes.
func belowBaseline(t *cluster.PodTemplate) bool {
	spec := t.Spec()
	for _, field := range []string{"hostNetwork", "hostPID", "hostIPC"} {
		if on, _ := spec.Get(field).Bool(); on {
			return true
		}
	}
	if slices.ContainsFunc(spec.Get("volumes").List(), func(n *document.Node) bool { return n.Get("hostPath") != nil }) {
		return true
	}
	return slices.ContainsFunc(t.Containers, func(c cluster.Container) bool {
		context := c.Root.Get("securityContext")
		on, _ := context.Get("privileged").Bool()
		process, _ := context.At("windowsOptions", "hostProcess").Bool()
		return on || process || slices.ContainsFunc(context.At("capabilities", "add").List(), func(n *document.Node) bool {
			return leavings[capability(n.Str())].likelihood > 0
		})
	})
}

// podSecurityConfig is what the API server's own configuration says of Pod
// Security.
type podSecurityConfig struct {
	level  string   // enforced where no label does
	exempt []string // namespaces
	// exemptsOthers says that users or runtime classes are exempt.
	exemptsOthers bool
	// unseen says that there is a configuration which is not among the objects.
	unseen bool
}

func (b *builder) podSecurityConfig() podSecurityConfig {
	type key struct{}
	return cluster.Derive(b.snap, key{}, func() podSecurityConfig {
		var out podSecurityConfig
		seen := false
		read := func(n *document.Node) {
			seen = true
			out.level = n.At("defaults", "enforce").Str()
			for _, name := range n.At("exemptions", "namespaces").List() {
				out.exempt = append(out.exempt, name.Str())
			}
			out.exemptsOthers = n.At("exemptions", "usernames").Len() > 0 || n.At("exemptions", "runtimeClasses").Len() > 0
		}
		for _, o := range b.snap.Kind("PodSecurityConfiguration") {
			read(o.Root)
		}
		for _, o := range b.snap.Kind("AdmissionConfiguration") {
			for _, plugin := range o.Root.Get("plugins").List() {
				if plugin.Get("name").Str() == "PodSecurity" {
					read(plugin.Get("configuration"))
				}
			}
		}
		out.unseen = !seen && slices.ContainsFunc(b.apiServers(), func(o *cluster.Object) bool {
			return flagOf(o, "--admission-control-config-file") != ""
		})
		return out
	})
}

// flagOf is the value of a flag of a pod's first container that has it.
func flagOf(pod *cluster.Object, flag string) string {
	for _, t := range cluster.PodTemplates(pod) {
		for i := range t.Containers {
			for _, field := range []string{"command", "args"} {
				for _, n := range t.Containers[i].Root.Get(field).List() {
					if value, ok := strings.CutPrefix(n.Str(), flag+"="); ok {
						return value
					}
				}
			}
		}
	}
	return ""
}

// hasConstraints says that OpenShift's security context constraints decide about
// pods.
func (b *builder) hasConstraints() bool {
	return slices.ContainsFunc(b.snap.Kind("SecurityContextConstraints"), func(o *cluster.Object) bool {
		return o.Group() == "security.openshift.io"
	})
}

// trial is a pod that is made up to see what policies say of it.
type trial struct {
	name string
	spec map[string]any
}

// trials are a pod that the level restricted admits and, after it, some that have
// one means each to take their node.
func trials(image string, windows bool) []trial {
	make1 := func(name string, change func(spec, context map[string]any)) trial {
		context := map[string]any{
			"allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 10001, "runAsGroup": 10001, "readOnlyRootFilesystem": true,
			"capabilities": map[string]any{"drop": []any{"ALL"}}, "seccompProfile": map[string]any{"type": "RuntimeDefault"},
		}
		quantities := map[string]any{"cpu": "10m", "memory": "16Mi"}
		spec := map[string]any{
			"automountServiceAccountToken": false,
			"containers": []any{map[string]any{
				"name": "trial", "image": image, "imagePullPolicy": "Always", "securityContext": context,
				"resources": map[string]any{"requests": quantities, "limits": quantities},
			}},
		}
		change(spec, context)
		return trial{"seawall-trial-" + name, spec}
	}
	asRoot := func(context map[string]any) {
		context["runAsNonRoot"], context["runAsUser"], context["runAsGroup"], context["allowPrivilegeEscalation"] = false, 0, 0, true
	}
	out := []trial{
		make1("harmless", func(_, _ map[string]any) {}),
		make1("privileged", func(_, context map[string]any) {
			asRoot(context)
			context["privileged"] = true
		}),
		make1("host-path", func(spec, context map[string]any) {
			asRoot(context)
			spec["volumes"] = []any{map[string]any{"name": "node", "hostPath": map[string]any{"path": "/"}}}
			c := spec["containers"].([]any)[0].(map[string]any)
			c["volumeMounts"] = []any{map[string]any{"name": "node", "mountPath": "/node"}}
		}),
		make1("sys-admin", func(_, context map[string]any) {
			asRoot(context)
			context["capabilities"] = map[string]any{"drop": []any{"ALL"}, "add": []any{"SYS_ADMIN"}}
		}),
		make1("host-pid", func(spec, context map[string]any) {
			asRoot(context)
			spec["hostPID"] = true
			context["capabilities"] = map[string]any{"drop": []any{"ALL"}, "add": []any{"SYS_PTRACE"}}
		}),
	}
	if windows {
		out = append(out, make1("host-process", func(spec, context map[string]any) {
			clear(context)
			spec["hostNetwork"] = true
			context["windowsOptions"] = map[string]any{"hostProcess": true, "runAsUserName": `NT AUTHORITY\SYSTEM`}
		}))
	}
	return out
}

// admissionPolicy is a ValidatingAdmissionPolicy, ready to be asked.
type admissionPolicy struct {
	object *cluster.Object
	set    *check.Set
	err    error
}

// admissionPolicies are those of a snapshot that are about pods and bound so that
// they deny.
func (b *builder) admissionPolicies() []admissionPolicy {
	type key struct{}
	return cluster.Derive(b.snap, key{}, func() []admissionPolicy {
		bound := map[string][]vap.File{}
		for _, o := range b.snap.Kind("ValidatingAdmissionPolicyBinding") {
			if has(o.Root.At("spec", "validationActions"), "Deny") {
				name := o.Root.At("spec", "policyName").Str()
				bound[name] = append(bound[name], vap.File{Name: "binding.json", Text: o.Root.AppendJSON(nil)})
			}
		}
		var out []admissionPolicy
		for _, o := range b.snap.Kind("ValidatingAdmissionPolicy") {
			if len(bound[o.Name]) == 0 || !aboutPods(o.Root.At("spec", "matchConstraints", "resourceRules")) {
				continue
			}
			p := admissionPolicy{object: o}
			rules, funcs, err := vap.Parse(append(bound[o.Name], vap.File{Name: "policy.json", Text: o.Root.AppendJSON(nil)}))
			if err == nil {
				p.set, err = check.NewSet(rules, check.Options{Minor: b.minor(), Funcs: funcs})
			}
			p.err = err
			out = append(out, p)
		}
		return out
	})
}

// aboutPods says whether rules of admission match the creation of pods.
func aboutPods(rules *document.Node) bool {
	return slices.ContainsFunc(rules.List(), func(r *document.Node) bool {
		groups, resources, operations := r.Get("apiGroups"), r.Get("resources"), r.Get("operations")
		return (has(groups, "") || has(groups, "*")) && (has(resources, "pods") || has(resources, "*") || has(resources, "*/*")) &&
			(operations == nil || has(operations, "CREATE") || has(operations, "*"))
	})
}

func has(list *document.Node, want string) bool {
	return slices.ContainsFunc(list.List(), func(n *document.Node) bool { return n.Kind() == document.String && n.Str() == want })
}

// policies asks the cluster's ValidatingAdmissionPolicies about pods that own
// their nodes. What denies the harmless pod too, for a label that it lacks, says
// nothing about the others.
func (b *builder) policies(g *admittance, ns string) {
	policies := b.admissionPolicies()
	if len(policies) == 0 {
		return
	}
	pods := trials(b.imageIn(ns), b.hasWindows())
	denied := make([]*cluster.Object, len(pods)) // by which policy, for certain
	unclear := make([]string, len(pods))
	for _, p := range policies {
		no, unknown := b.try(p, ns, pods)
		for i := range pods {
			switch {
			case no[i] && !no[0]:
				denied[i] = p.object
			case no[i] || unknown[i]:
				unclear[i] = p.object.Name
			}
		}
	}
	best := -1
	for i := 1; i < len(pods); i++ {
		if denied[i] == nil && (best < 0 || unclear[best] != "" && unclear[i] == "") {
			best = i
		}
	}
	switch {
	case best < 0:
		g.closed = true
	case unclear[best] != "":
		g.unsure(0.4, "ValidatingAdmissionPolicy %s admits it", unclear[best])
	default:
		g.holds("the ValidatingAdmissionPolicies that are bound admit %s", strings.TrimPrefix(pods[best].name, "seawall-trial-"))
	}
}

// try asks one policy about pods: which of them it denies, and of which it cannot
// be told.
func (b *builder) try(p admissionPolicy, ns string, pods []trial) (denied, unknown []bool) {
	denied, unknown = make([]bool, len(pods)), make([]bool, len(pods))
	if p.err != nil {
		for i := range unknown {
			unknown[i] = true
		}
		return denied, unknown
	}
	var objects []*cluster.Object
	if o := b.snap.Get("", "Namespace", "", ns); o != nil {
		objects = append(objects, o)
	}
	param := p.object.Root.At("spec", "paramKind", "kind").Str()
	objects = append(objects, b.snap.Kind("CustomResourceDefinition")...)
	if param != "" {
		objects = append(objects, b.snap.Kind(param)...)
	}
	index := map[string]int{}
	for i, pod := range pods {
		root := document.FromValue(map[string]any{
			"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": pod.name, "namespace": ns}, "spec": pod.spec,
		})
		o, _ := cluster.New(root)
		index[pod.name] = i
		objects = append(objects, o)
	}
	s := cluster.NewSnapshot(objects)
	s.Version, s.Whole = b.snap.Version, b.snap.Whole
	var out check.Result
	for _, id := range p.set.Funcs() {
		p.set.Across(id, s, &out)
	}
	for _, o := range out.Objects {
		if i, ok := index[o.Name]; ok && o.Kind == "Pod" {
			denied[i] = true
		}
	}
	for _, hole := range out.Incomplete {
		for name, i := range index {
			unknown[i] = unknown[i] || strings.Contains(hole.Reason, name)
		}
	}
	for i := range unknown {
		unknown[i] = unknown[i] || len(out.NotEvaluated) > 0
	}
	return denied, unknown
}

// imageIn is an image that a namespace runs already, which policies on registries
// admit.
func (b *builder) imageIn(ns string) string {
	for _, t := range b.templatesIn(ns) {
		if len(t.Containers) > 0 && t.Containers[0].Image() != "" {
			return t.Containers[0].Image()
		}
	}
	return "registry.k8s.io/pause:3.10"
}

func (b *builder) hasWindows() bool {
	return slices.ContainsFunc(b.snap.Kind("Node"), func(o *cluster.Object) bool {
		return o.Root.At("metadata", "labels", "kubernetes.io/os").Str() == "windows"
	})
}

// webhooks notes the policy engines and webhooks that are asked about pods in a
// namespace: what they answer cannot be known here.
func (b *builder) webhooks(g *admittance, ns string) {
	labels := b.namespaceLabels(ns)
	asked := ""
	for _, o := range b.snap.Kind("ValidatingWebhookConfiguration") {
		for _, w := range o.Root.Get("webhooks").List() {
			// Who makes the pod chooses its labels, and so may step around a webhook
			// that selects by them.
			if aboutPods(w.Get("rules")) && w.Get("objectSelector").Len() == 0 && selects(w.Get("namespaceSelector"), labels) {
				asked = cmp.Or(asked, fmt.Sprintf("webhook %s of ValidatingWebhookConfiguration %s", w.Get("name").Str(), o.Name))
			}
		}
	}
	if engine := b.policyEngine(ns, labels); engine != "" {
		g.unsure(0.15, "%s admits it, or the namespace or attacker is exempt", engine)
	} else if asked != "" {
		g.unsure(0.6, "%s admits it", asked)
	}
	if !b.snap.Whole && asked == "" && len(g.conditions) == 0 {
		g.unsure(0.9, "no admission policy or webhook refuses it: there is none among the objects")
	}
}

// namespaceLabels are the labels of a namespace, with the one that the API server
// gives each.
func (b *builder) namespaceLabels(ns string) *document.Node {
	fields := []document.Field{{Key: "kubernetes.io/metadata.name", Value: document.NewString(document.Pos{}, ns)}}
	if o := b.snap.Get("", "Namespace", "", ns); o != nil {
		for _, f := range o.Root.At("metadata", "labels").Map() {
			if f.Key != fields[0].Key {
				fields = append(fields, f)
			}
		}
	}
	return document.NewMap(document.Pos{}, fields)
}

// selects says whether a selector, whose absence means everything, selects labels.
func selects(selector, labels *document.Node) bool {
	if selector.Len() == 0 {
		return true
	}
	sel, err := cluster.LabelSelector(selector)
	return err == nil && sel.Matches(labels)
}

// policyEngine names a policy of Kyverno, Gatekeeper or Kubewarden that refuses
// pods for what they may do in a namespace, as far as it can be told.
func (b *builder) policyEngine(ns string, labels *document.Node) string {
	for _, o := range b.enginePolicies() {
		spec := o.Root.Get("spec")
		switch {
		case o.Namespace != "" && o.Namespace != ns:
			continue
		case o.Group() == "constraints.gatekeeper.sh":
			match := spec.Get("match")
			if only := match.Get("namespaces"); only.Len() > 0 && !globs(only, ns) || globs(match.Get("excludedNamespaces"), ns) ||
				!selects(match.Get("namespaceSelector"), labels) {
				continue
			}
		case o.Group() == "policies.kubewarden.io" && !selects(spec.Get("namespaceSelector"), labels):
			continue
		}
		return o.Kind + " " + o.Name
	}
	return ""
}

// globs says whether a name matches one of Gatekeeper's patterns, which have * at
// their ends.
func globs(patterns *document.Node, name string) bool {
	return slices.ContainsFunc(patterns.List(), func(n *document.Node) bool {
		p := n.Str()
		bare := strings.Trim(p, "*")
		switch {
		case strings.HasPrefix(p, "*") && strings.HasSuffix(p, "*"):
			return strings.Contains(name, bare)
		case strings.HasPrefix(p, "*"):
			return strings.HasSuffix(name, bare)
		case strings.HasSuffix(p, "*"):
			return strings.HasPrefix(name, bare)
		}
		return p == name
	})
}

// enginePolicies are the policies of engines that refuse, and that speak of what
// makes a pod dangerous.
func (b *builder) enginePolicies() []*cluster.Object {
	type key struct{}
	return cluster.Derive(b.snap, key{}, func() []*cluster.Object {
		var out []*cluster.Object
		for _, o := range b.snap.Objects {
			spec, refuses := o.Root.Get("spec"), false
			switch group := o.Group(); {
			case group == "kyverno.io" && (o.Kind == "ClusterPolicy" || o.Kind == "Policy"):
				refuses = strings.EqualFold(spec.Get("validationFailureAction").Str(), "Enforce") ||
					slices.ContainsFunc(spec.Get("rules").List(), func(n *document.Node) bool {
						return strings.EqualFold(n.At("validate", "failureAction").Str(), "Enforce")
					})
			case group == "policies.kyverno.io" && strings.HasSuffix(o.Kind, "ValidatingPolicy"):
				actions := spec.Get("validationActions")
				refuses = actions == nil || has(actions, "Deny")
			case group == "constraints.gatekeeper.sh" && strings.HasPrefix(o.Kind, "K8sPSP"):
				action := spec.Get("enforcementAction").Str()
				if action == "" || action == "deny" {
					out = append(out, o)
				}
			case group == "policies.kubewarden.io" && strings.HasSuffix(o.Kind, "AdmissionPolicy"):
				mode := spec.Get("mode").Str()
				refuses = (mode == "" || mode == "protect") && aboutPods(spec.Get("rules"))
			}
			if refuses && speaksOfDanger(spec) {
				out = append(out, o)
			}
		}
		return out
	})
}

func speaksOfDanger(spec *document.Node) bool {
	text := string(spec.AppendJSON(nil))
	return slices.ContainsFunc([]string{"podSecurity", "rivileged", "hostPath", "hostPID", "capabilities"}, func(word string) bool {
		return strings.Contains(text, word)
	})
}
