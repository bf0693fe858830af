package rbacchecks

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/rbac"
)

// accountRights lists, for each service account that a pod template uses, the
// bindings that give it something beyond what every account has, and reports
// an API server that does not ask RBAC at all.
func accountRights(in *check.Input) {
	m := rbac.Of(in.Snapshot)
	seen := map[rbac.Subject]bool{}
	templates := in.Snapshot.Templates()
	for i := range templates {
		t := &templates[i]
		s := rbac.Subject{Kind: rbac.ServiceAccountKind, Namespace: t.Namespace(), Name: t.ServiceAccount()}
		if !seen[s] {
			seen[s] = true
			reportRights(in, m, s, t)
		}
		reportNoRBAC(in, t)
	}
}

func reportRights(in *check.Input, m *rbac.Model, s rbac.Subject, t *cluster.PodTemplate) {
	var by []string
	for _, b := range m.AllBindingsFor(s.Identity()) {
		if b.Object == nil || rbac.SystemName(b.Name) || unresolved(in, b) {
			continue
		}
		by = append(by, fmt.Sprintf("%s (%s)", b, b.Role))
	}
	if len(by) == 0 {
		return
	}
	o := in.Snapshot.Get("", "ServiceAccount", s.Namespace, s.Name)
	path := "metadata.name"
	if o == nil {
		o, path = t.Object, t.SpecPath+".serviceAccountName"
	}
	in.Report(check.Hit{
		Object: o, Path: path, Cause: s.String(),
		Message: fmt.Sprintf("%s, used by %s, holds %s", s, t.Object.Subject(), list(by, ", ")),
	})
}

// reportNoRBAC reports a kube-apiserver whose flags leave RBAC out. A file that
// --authorization-config names is not read here.
func reportNoRBAC(in *check.Input, t *cluster.PodTemplate) {
	for i := range t.Containers {
		c := &t.Containers[i]
		flags := slices.Concat(texts(c.Root.Get("command")), texts(c.Root.Get("args")))
		if len(flags) == 0 || !strings.HasSuffix(flags[0], "kube-apiserver") {
			continue
		}
		modes, given := flagValue(flags, "--authorization-mode")
		_, file := flagValue(flags, "--authorization-config")
		if file || slices.Contains(strings.Split(modes, ","), "RBAC") {
			continue
		}
		if !given {
			modes = "AlwaysAllow, the default"
		}
		in.Report(check.Hit{
			Object: t.Object, Path: c.Path, Container: c.Name(), Cause: "no RBAC",
			Message: fmt.Sprintf("RBAC is off: the API server authorizes by %s, so that roles and bindings mean nothing", modes),
		})
	}
}

func texts(n *document.Node) []string {
	var out []string
	for _, v := range n.List() {
		out = append(out, v.Str())
	}
	return out
}

// flagValue finds --name=value or --name value.
func flagValue(flags []string, name string) (value string, given bool) {
	for i, f := range flags {
		if v, ok := strings.CutPrefix(f, name+"="); ok {
			return v, true
		}
		if f == name && i+1 < len(flags) {
			return flags[i+1], true
		}
	}
	return "", false
}

// nodePods lists, for each node, the pods on it whose tokens, Secrets and
// volumes its identity reaches. The Node authorizer grants that, not RBAC.
func nodePods(in *check.Input) {
	pods := podsByNode(in.Snapshot)
	for _, node := range in.Snapshot.Kind("Node") {
		if node.Group() != "" || len(pods[node.Name]) == 0 {
			continue
		}
		in.Report(check.Hit{
			Object: node, Path: "metadata.name",
			Message: fmt.Sprintf("reaches %d pods, which run as %s", len(pods[node.Name]),
				names(accountsOf(pods[node.Name]))),
		})
	}
}

func podsByNode(s *cluster.Snapshot) map[string][]*cluster.Object {
	out := map[string][]*cluster.Object{}
	for _, pod := range s.Kind("Pod") {
		if node := pod.Root.At("spec", "nodeName").Str(); node != "" && pod.Group() == "" {
			out[node] = append(out[node], pod)
		}
	}
	return out
}

// accountsOf returns the service accounts of pods, sorted, each once.
func accountsOf(pods []*cluster.Object) []rbac.Subject {
	set := map[rbac.Subject]bool{}
	for _, pod := range pods {
		for _, t := range cluster.PodTemplates(pod) {
			set[rbac.Subject{Kind: rbac.ServiceAccountKind, Namespace: t.Namespace(), Name: t.ServiceAccount()}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(set), func(a, b rbac.Subject) int { return strings.Compare(a.String(), b.String()) })
}
