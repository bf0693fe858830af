package isolation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// quota is what bounds the namespace's share of the cluster.
func (v *viewer) quota(ns string, _ *cluster.Object) Row {
	var quotas, limits []Evidence
	bounds := map[string]bool{}
	for _, o := range v.snap.Kind("ResourceQuota") {
		if inNamespace(o) == ns && o.Group() == "" {
			quotas = append(quotas, Evidence{o, "spec.hard"})
			for _, f := range o.Root.At("spec", "hard").Map() {
				bounds[f.Key] = true
			}
		}
	}
	for _, o := range v.snap.Kind("LimitRange") {
		if inNamespace(o) == ns && o.Group() == "" {
			limits = append(limits, Evidence{o, "spec.limits"})
		}
	}
	compute := slices.ContainsFunc(slices.Collect(maps.Keys(bounds)), func(k string) bool {
		return strings.HasSuffix(k, "cpu") || strings.HasSuffix(k, "memory")
	})
	switch {
	case compute && len(limits) > 0:
		return row("quota", Good, "a quota bounds "+few(slices.Sorted(maps.Keys(bounds)))+", and a LimitRange gives defaults", append(quotas, limits...)...)
	case compute:
		return row("quota", Good, "a quota bounds "+few(slices.Sorted(maps.Keys(bounds))), quotas...)
	case len(quotas) > 0:
		return row("quota", Weak, "a quota bounds "+few(slices.Sorted(maps.Keys(bounds)))+", but neither CPU nor memory", quotas...)
	case len(limits) > 0:
		return row("quota", Weak, "a LimitRange bounds each pod; nothing bounds all of them", limits...)
	}
	return row("quota", Open, "nothing bounds what it takes of the cluster")
}

// hostAccess are workloads that share something with their node.
func (v *viewer) hostAccess(ns string, _ *cluster.Object) Row {
	var names []string
	var evidence []Evidence
	for _, t := range v.templates[ns] {
		for _, h := range hostAccess(t) {
			names = append(names, fmt.Sprintf("%s/%s (%s)", t.Object.Kind, t.Object.Name, h.what))
			evidence = append(evidence, Evidence{t.Object, h.path})
		}
	}
	if len(names) == 0 {
		return row("host-access", Good, "no workload shares anything with its node")
	}
	return row("host-access", Weak, "share with their node: "+few(distinct(names)), evidence...)
}

type access struct {
	what, path string
	// takes says that it is enough to take the node.
	takes bool
}

func hostAccess(t *cluster.PodTemplate) []access {
	var out []access
	spec := t.Spec()
	for _, key := range []string{"hostNetwork", "hostPID", "hostIPC"} {
		if on, _ := spec.Get(key).Bool(); on {
			out = append(out, access{key, document.Key(t.SpecPath, key), key == "hostPID"})
		}
	}
	for i, vol := range spec.At("volumes").List() {
		if n := vol.At("hostPath", "path"); n != nil {
			out = append(out, access{"hostPath " + n.Str(), document.Index(document.Key(t.SpecPath, "volumes"), i), true})
		}
	}
	for i := range t.Containers {
		c := &t.Containers[i]
		if on, _ := c.Root.At("securityContext", "privileged").Bool(); on {
			out = append(out, access{"privileged", c.Path + ".securityContext.privileged", true})
		}
		for j, p := range c.Root.At("ports").List() {
			if n, ok := p.Get("hostPort").Int(); ok && n > 0 {
				out = append(out, access{fmt.Sprintf("hostPort %d", n), document.Index(c.Path+".ports", j) + ".hostPort", false})
			}
		}
	}
	return out
}

// findNeighbours finds which pods run on which nodes, in the snapshot of a live
// cluster.
func (v *viewer) findNeighbours() {
	v.nodes, v.escapable = map[string]map[string]bool{}, map[string]map[string]*cluster.Object{}
	for _, o := range v.snap.Kind("Pod") {
		node := o.Root.At("spec", "nodeName").Str()
		if node == "" || o.Group() != "" {
			continue
		}
		ns := inNamespace(o)
		if v.nodes[ns] == nil {
			v.nodes[ns] = map[string]bool{}
		}
		v.nodes[ns][node] = true
		for _, t := range cluster.PodTemplates(o) {
			if slices.ContainsFunc(hostAccess(&t), func(a access) bool { return a.takes }) {
				if v.escapable[node] == nil {
					v.escapable[node] = map[string]*cluster.Object{}
				}
				v.escapable[node][ns] = o
			}
		}
	}
}

// neighbours are pods of other namespaces, on the same nodes, from which the node
// may be taken.
func (v *viewer) neighbours(ns string, _ *cluster.Object) Row {
	if len(v.nodes[ns]) == 0 {
		return row("neighbours", Unknown, "no pod shows on which node it runs")
	}
	others := map[string]Evidence{}
	for _, node := range slices.Sorted(maps.Keys(v.nodes[ns])) {
		for other, pod := range v.escapable[node] {
			if _, known := others[other]; !known && other != ns && !system(other) {
				others[other] = Evidence{pod, "spec"}
			}
		}
	}
	if len(others) == 0 {
		return row("neighbours", Good, "no pod of another team on its nodes has the means to take the node")
	}
	var evidence []Evidence
	names := slices.Sorted(maps.Keys(others))
	for _, n := range names {
		evidence = append(evidence, others[n])
	}
	return row("neighbours", Weak, "on its nodes run pods with access to the node, of "+few(names), evidence...)
}

// references are objects that let other namespaces in, or fetch from them.
func (v *viewer) references(ns string, o *cluster.Object) Row {
	var names []string
	var evidence []Evidence
	for _, kind := range []string{"ReferenceGrant", "SecretStore", "ClusterSecretStore", "PolicyException"} {
		for _, r := range v.snap.Kind(kind) {
			switch {
			case kind == "ReferenceGrant" && r.Namespace == ns:
				for _, f := range r.Root.At("spec", "from").List() {
					names = append(names, fmt.Sprintf("ReferenceGrant %s (from %s)", r.Name, f.At("namespace").Str()))
				}
			case kind == "SecretStore" && r.Namespace == ns && other(r.Root.At("spec", "provider", "kubernetes", "remoteNamespace").Str(), ns):
				names = append(names, "SecretStore "+r.Name+" (reads "+r.Root.At("spec", "provider", "kubernetes", "remoteNamespace").Str()+")")
			case kind == "ClusterSecretStore" && r.Root.At("spec", "provider", "kubernetes", "remoteNamespace").Str() == ns:
				names = append(names, "ClusterSecretStore "+r.Name+" (read by all namespaces)")
			case kind == "PolicyException" && r.Namespace == ns:
				names = append(names, "PolicyException "+r.Name)
			default:
				continue
			}
			evidence = append(evidence, Evidence{r, "spec"})
		}
	}
	for _, w := range v.exempt(ns, o) {
		names = append(names, w.Object.Name+" does not look at it")
		evidence = append(evidence, w)
	}
	if len(names) == 0 {
		return row("references", Good, "nothing lets other namespaces in")
	}
	return row("references", Weak, "lets others in, or is exempt: "+few(distinct(names)), evidence...)
}

func other(name, ns string) bool { return name != "" && name != ns }

// exempt are the validating webhooks that leave the namespace out by its labels.
func (v *viewer) exempt(ns string, o *cluster.Object) []Evidence {
	if o == nil || system(ns) {
		return nil
	}
	var out []Evidence
	for _, config := range v.snap.Kind("ValidatingWebhookConfiguration") {
		for i, hook := range config.Root.At("webhooks").List() {
			n := hook.At("namespaceSelector")
			if n.Len() == 0 {
				continue
			}
			sel, err := cluster.LabelSelector(n)
			if err == nil && !sel.Matches(namespaceLabels(o)) {
				out = append(out, Evidence{config, document.Index("webhooks", i) + ".namespaceSelector"})
				break
			}
		}
	}
	return out
}

// namespaceLabels are those of a namespace with the one that the API server gives.
func namespaceLabels(o *cluster.Object) *document.Node {
	const name = "kubernetes.io/metadata.name"
	fields := []document.Field{{Key: name, Value: document.NewString(document.Pos{}, o.Name)}}
	for _, f := range o.Root.At("metadata", "labels").Map() {
		if f.Key != name {
			fields = append(fields, f)
		}
	}
	return document.NewMap(document.Pos{}, fields)
}
