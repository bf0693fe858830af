package namespacechecks

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/patch"
)

const enforceLabel = "pod-security.kubernetes.io/enforce"

// belowBaseline reports namespaces that enforce neither baseline nor restricted.
func belowBaseline(in *check.Input) { below(in, "baseline", "restricted") }

// belowRestricted reports namespaces that do not enforce restricted.
func belowRestricted(in *check.Input) { below(in, "restricted") }

// below reports namespaces that enforce none of the levels, and that no policy
// engine guards either. The first level is what the fix sets.
func below(in *check.Input, levels ...string) {
	g := guardsOf(in.Snapshot)
	path := document.Key("metadata.labels", enforceLabel)
	unknown := false
	for _, o := range namespaces(in) {
		label := o.Root.At("metadata", "labels").Get(enforceLabel)
		level := label.Str()
		if label == nil {
			level = g.defaultLevel
		}
		if slices.Contains(levels, level) || g.guards(o) {
			continue
		}
		if label == nil && g.configUnseen {
			unknown = true
			continue
		}
		message := fmt.Sprintf("enforces the level %s", level)
		if level == "" {
			message = "has no label " + enforceLabel + ": every pod is admitted"
		}
		h := check.Hit{Object: o, Path: path, Message: message}
		// A namespace without a level goes to baseline first.
		if levels[0] == "baseline" || level == "baseline" {
			h.Fix = patch.Set(o.Root, path, levels[0])
		}
		in.Report(h)
	}
	if unknown {
		in.Unknown(nil, "the API server has an --admission-control-config-file, which may enforce a level where no label does: add the file to what is scanned")
	}
}

// noPodPolicy reports a cluster in which nothing at all decides what pods may
// do, once, on the namespace kube-system or else the first.
func noPodPolicy(in *check.Input) {
	s := in.Snapshot
	if !s.Whole {
		return
	}
	g := guardsOf(s)
	if len(g.engines) > 0 || g.defaultLevel != "" {
		return
	}
	for _, o := range s.Kind("Namespace") {
		if o.Group() != "" {
			continue
		}
		switch o.Root.At("metadata", "labels").Get(enforceLabel).Str() {
		case "baseline", "restricted":
			return
		}
	}
	where := s.SystemNamespace()
	switch {
	case where == nil:
	case g.configUnseen:
		in.Unknown(nil, "the API server has an --admission-control-config-file, which may enforce a level: add the file to what is scanned")
	default:
		in.Report(check.Hit{Object: where, Path: "metadata.name"})
	}
}

// guards are the policy engines of a snapshot, and what the API server's own
// configuration says of namespaces without labels.
type guards struct {
	engines []engine
	// defaultLevel is enforced where a namespace has no label; empty where nothing
	// is known of one.
	defaultLevel string
	// configUnseen says that the API server has a configuration of admission that
	// is not among the objects.
	configUnseen bool
}

// engine is a policy that refuses pods for what they may do.
type engine struct {
	namespace  string // empty for all
	only       []string
	except     []string
	namespaces cluster.Selector
	// narrower, of a binding, must select the namespace too.
	narrower *cluster.Selector
}

func (g *guards) guards(ns *cluster.Object) bool {
	return slices.ContainsFunc(g.engines, func(e engine) bool { return e.covers(ns) })
}

func (e *engine) covers(ns *cluster.Object) bool {
	switch {
	case e.namespace != "" && e.namespace != ns.Name,
		len(e.only) > 0 && !slices.ContainsFunc(e.only, func(p string) bool { return globs(p, ns.Name) }),
		slices.ContainsFunc(e.except, func(p string) bool { return globs(p, ns.Name) }):
		return false
	}
	labels := document.NewMap(document.Pos{}, append([]document.Field{{
		Key: "kubernetes.io/metadata.name", Value: document.NewString(document.Pos{}, ns.Name),
	}}, ns.Root.At("metadata", "labels").Map()...))
	return e.namespaces.Matches(labels) && (e.narrower == nil || e.narrower.Matches(labels))
}

// globs matches the names that Gatekeeper has: with * at one end or both.
func globs(pattern, name string) bool {
	bare := strings.Trim(pattern, "*")
	switch {
	case strings.HasPrefix(pattern, "*") && strings.HasSuffix(pattern, "*"):
		return strings.Contains(name, bare)
	case strings.HasPrefix(pattern, "*"):
		return strings.HasSuffix(name, bare)
	case strings.HasSuffix(pattern, "*"):
		return strings.HasPrefix(name, bare)
	}
	return pattern == name
}

func guardsOf(s *cluster.Snapshot) *guards {
	type key struct{}
	return cluster.Derive(s, key{}, func() *guards {
		g := &guards{}
		bound := denyingBindings(s)
		for _, o := range s.Objects {
			g.addEngine(o, bound)
		}
		g.readConfiguration(s)
		return g
	})
}

func (g *guards) addEngine(o *cluster.Object, bound map[string][]*cluster.Object) {
	spec := o.Root.Get("spec")
	switch group := o.Group(); {
	case group == "admissionregistration.k8s.io" && o.Kind == "ValidatingAdmissionPolicy":
		if !matchesPods(spec.At("matchConstraints", "resourceRules")) || !speaksOfPods(spec) {
			return
		}
		for _, b := range bound[o.Name] {
			// A policy on labelled objects only is one that a pod can step around.
			match, own := spec.Get("matchConstraints"), b.Root.At("spec", "matchResources")
			if match.Get("objectSelector").Len() > 0 || own.Get("objectSelector").Len() > 0 {
				continue
			}
			narrower := selectorOrAll(own.Get("namespaceSelector"))
			g.engines = append(g.engines, engine{
				namespaces: selectorOrAll(match.Get("namespaceSelector")), narrower: &narrower,
			})
		}
	case group == "kyverno.io" && (o.Kind == "ClusterPolicy" || o.Kind == "Policy"):
		if kyvernoEnforces(spec) && speaksOfPods(spec) {
			g.engines = append(g.engines, engine{namespace: o.Namespace, namespaces: selectorOrAll(nil)})
		}
	case group == "policies.kyverno.io" && strings.HasSuffix(o.Kind, "ValidatingPolicy"):
		if actions := spec.Get("validationActions"); (actions == nil || holds(actions, "Deny")) && speaksOfPods(spec) {
			g.engines = append(g.engines, engine{namespace: o.Namespace, namespaces: selectorOrAll(nil)})
		}
	case group == "constraints.gatekeeper.sh" && strings.HasPrefix(o.Kind, "K8sPSP"):
		if action := spec.Get("enforcementAction").Str(); action != "" && action != "deny" {
			return
		}
		match := spec.Get("match")
		g.engines = append(g.engines, engine{
			only: texts(match.Get("namespaces")), except: texts(match.Get("excludedNamespaces")),
			namespaces: selectorOrAll(match.Get("namespaceSelector")),
		})
	case group == "policies.kubewarden.io" && strings.HasPrefix(o.Kind, "ClusterAdmissionPolicy"):
		if mode := spec.Get("mode").Str(); (mode == "" || mode == "protect") && matchesPods(spec.Get("rules")) {
			g.engines = append(g.engines, engine{namespaces: selectorOrAll(spec.Get("namespaceSelector"))})
		}
	case group == "security.openshift.io" && o.Kind == "SecurityContextConstraints":
		g.engines = append(g.engines, engine{namespaces: selectorOrAll(nil)})
	}
}

// selectorOrAll reads a selector whose absence means everything. One that is
// malformed selects nothing.
func selectorOrAll(n *document.Node) cluster.Selector {
	if n.IsNull() {
		n = document.NewMap(document.Pos{}, nil)
	}
	sel, err := cluster.LabelSelector(n)
	if err != nil {
		return cluster.Selector{}
	}
	return sel
}

// denyingBindings returns the bindings of ValidatingAdmissionPolicies that deny,
// by the policy's name.
func denyingBindings(s *cluster.Snapshot) map[string][]*cluster.Object {
	out := map[string][]*cluster.Object{}
	for _, b := range s.Kind("ValidatingAdmissionPolicyBinding") {
		spec := b.Root.Get("spec")
		if holds(spec.Get("validationActions"), "Deny") {
			name := spec.Get("policyName").Str()
			out[name] = append(out[name], b)
		}
	}
	return out
}

// matchesPods says whether rules of admission match the creation of pods.
func matchesPods(rules *document.Node) bool {
	for _, r := range rules.List() {
		group := r.Get("apiGroups")
		resources := r.Get("resources")
		if (holds(group, "") || holds(group, "*")) && (holds(resources, "pods") || holds(resources, "*") || holds(resources, "*/*")) {
			return true
		}
	}
	return false
}

// speaksOfPods says that a policy asks about what makes a pod dangerous, not
// about labels alone.
func speaksOfPods(spec *document.Node) bool {
	text := string(spec.AppendJSON(nil))
	return slices.ContainsFunc([]string{"ecurityContext", "odSecurity", "rivileged", "hostPath", "hostNetwork", "hostPID"}, func(word string) bool {
		return strings.Contains(text, word)
	})
}

// kyvernoEnforces says that a Kyverno policy refuses; its default is to audit.
func kyvernoEnforces(spec *document.Node) bool {
	if strings.EqualFold(spec.Get("validationFailureAction").Str(), "Enforce") {
		return true
	}
	for _, r := range spec.Get("rules").List() {
		if strings.EqualFold(r.At("validate", "failureAction").Str(), "Enforce") {
			return true
		}
	}
	return false
}

// readConfiguration reads the configuration of the PodSecurity plugin where it
// is among the objects, and notes an API server that has one elsewhere.
func (g *guards) readConfiguration(s *cluster.Snapshot) {
	seen := false
	for _, o := range s.Kind("PodSecurityConfiguration") {
		seen = true
		g.defaultLevel = o.Root.At("defaults", "enforce").Str()
	}
	for _, o := range s.Kind("AdmissionConfiguration") {
		seen = true
		for _, p := range o.Root.Get("plugins").List() {
			if p.Get("name").Str() == "PodSecurity" {
				g.defaultLevel = p.At("configuration", "defaults", "enforce").Str()
			}
		}
	}
	if seen || !s.Whole {
		return
	}
	for _, o := range s.Kind("Pod") {
		if o.Namespace != "kube-system" || o.Root.At("metadata", "labels", "component").Str() != "kube-apiserver" {
			continue
		}
		for _, t := range cluster.PodTemplates(o) {
			for i := range t.Containers {
				g.configUnseen = g.configUnseen || slices.ContainsFunc(
					slices.Concat(texts(t.Containers[i].Root.Get("command")), texts(t.Containers[i].Root.Get("args"))),
					func(a string) bool { return strings.HasPrefix(a, "--admission-control-config-file") })
			}
		}
	}
}

func holds(list *document.Node, want string) bool {
	return slices.ContainsFunc(list.List(), func(n *document.Node) bool { return n.Kind() == document.String && n.Str() == want })
}

func texts(n *document.Node) []string {
	var out []string
	for _, v := range n.List() {
		out = append(out, v.Str())
	}
	return out
}
