package attack

import (
	"cmp"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// someNode stands for the nodes where no object tells them apart, as in files,
// and someControlPlane for those of the control plane among them.
const (
	someNode         = "some node"
	someControlPlane = "some control plane node"
)

// placement is where pods run.
type placement struct {
	// all are the nodes that are known by name, in the order of their names.
	all []int32
	// of are the nodes that the pods of a workload run on, and pods one such pod
	// for each.
	of   map[int32][]int32
	pods map[int32][]*cluster.Object
}

// place adds the nodes, what runs on them (P25), and what those of the control
// plane hold (P51).
func (b *builder) place() {
	b.placed = placement{of: map[int32][]int32{}, pods: map[int32][]*cluster.Object{}}
	for _, o := range b.snap.Kind("Node") {
		if o.Group() == "" {
			b.g.Vertices[b.node(o.Name)].Object = o
		}
	}
	for _, o := range b.snap.Kind("Pod") {
		name := o.Root.At("spec", "nodeName").Str()
		if o.Group() != "" || name == "" || over(o) {
			continue
		}
		v := b.workloadOf(o)
		if n := b.node(name); v >= 0 && !slices.Contains(b.placed.of[v], n) {
			b.placed.of[v] = append(b.placed.of[v], n)
			b.placed.pods[v] = append(b.placed.pods[v], o)
		}
	}
	slices.SortFunc(b.placed.all, func(x, y int32) int { return strings.Compare(b.g.Vertices[x].Name, b.g.Vertices[y].Name) })
	b.nodePods()
	b.controlPlanes()
}

// node is the vertex of a node by name.
func (b *builder) node(name string) int32 {
	if v := b.have(Node, "", name); v >= 0 {
		return v
	}
	v := b.vertex(Node, "", name)
	b.placed.all = append(b.placed.all, v)
	return v
}

// over says that a pod has ended and holds nothing any more.
func over(pod *cluster.Object) bool {
	switch pod.Root.At("status", "phase").Str() {
	case "Succeeded", "Failed":
		return true
	}
	return false
}

// workloadOf is the vertex of what a pod was made from, -1 if there is none.
func (b *builder) workloadOf(pod *cluster.Object) int32 {
	ns := cmp.Or(pod.Namespace, "default")
	for o, i := pod, 0; o != nil && i < 8; o, i = b.snap.Controller(o), i+1 {
		if v := b.have(Workload, ns, o.Kind+"/"+o.Name); v >= 0 {
			return v
		}
	}
	return -1
}

// nodes is root on any node that one chooses, as who writes the nodeName of a pod
// does.
func (b *builder) nodes() int32 {
	if len(b.placed.all) == 1 {
		return b.placed.all[0]
	}
	if v := b.have(Power, "", "nodes"); v >= 0 {
		return v
	}
	v := b.power("nodes", "")
	for _, n := range b.placed.all {
		b.always(all, v, n)
	}
	if len(b.placed.all) == 0 {
		b.always(all, v, b.vertex(Node, "", someNode))
		b.edge(v, b.someControlPlane(), b.step(Step{Primitive: all, Likelihood: 0.5, Conditions: []Condition{hasControlPlane}}))
	}
	return v
}

var hasControlPlane = Condition{Text: "the cluster has nodes of the control plane that pods may run on: a managed one has none"}

// someControlPlane stands for the nodes of the control plane of a cluster that
// shows no nodes.
func (b *builder) someControlPlane() int32 {
	if v := b.have(Node, "", someControlPlane); v >= 0 {
		return v
	}
	v := b.vertex(Node, "", someControlPlane)
	b.always(controlPlane, v, b.admin())
	return v
}

// where is the nodes that the pods of a template run on, with a condition where
// that is not certain.
func (b *builder) where(v int32, t *cluster.PodTemplate) ([]int32, []Condition) {
	if on := b.placed.of[v]; len(on) > 0 {
		return on, nil
	}
	if len(b.placed.all) > 0 {
		return []int32{b.nodes()}, []Condition{{Text: "a pod of it runs: none does now that the snapshot shows"}}
	}
	if name := t.Spec().Get("nodeName").Str(); name != "" {
		return []int32{b.node(name)}, nil
	}
	if choosesControlPlane(t.Spec()) {
		return []int32{b.someControlPlane()}, []Condition{hasControlPlane}
	}
	return []int32{b.vertex(Node, "", someNode)}, nil
}

// controlPlaneRoles are the labels by which kubeadm and distributions mark nodes
// of the control plane.
var controlPlaneRoles = []string{
	"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master", "node-role.kubernetes.io/etcd",
	"node-role.kubernetes.io/controlplane",
}

func choosesControlPlane(spec *document.Node) bool {
	for _, role := range controlPlaneRoles {
		if spec.At("nodeSelector", role) != nil {
			return true
		}
	}
	terms := spec.At("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
	for _, t := range terms.List() {
		for _, e := range t.Get("matchExpressions").List() {
			if slices.Contains(controlPlaneRoles, e.Get("key").Str()) && (e.Get("operator").Str() == "Exists" || e.Get("operator").Str() == "In") {
				return true
			}
		}
	}
	return false
}

// nodePods adds what root on a node gives of the pods there: their tokens, their
// volumes, and the Secrets that the kubelet may read for them.
func (b *builder) nodePods() {
	templates := b.snap.Templates()
	if len(templates) == 0 {
		return
	}
	b.pulled = map[int32]map[int32]bool{}
	var loose int32 = -1
	for i := range templates {
		t := &templates[i]
		v := b.have(Workload, t.Namespace(), t.Object.Kind+"/"+t.Object.Name)
		for j, n := range b.placed.of[v] {
			b.edge(n, v, b.step(Step{Primitive: nodeCredential, Evidence: []Evidence{{b.placed.pods[v][j], "spec.nodeName"}}}))
			b.pullSecrets(n, t)
		}
		if len(b.placed.of[v]) > 0 || b.snap.Whole && t.Object.Kind != "CronJob" {
			continue
		}
		if loose < 0 {
			loose = b.loosePods()
		}
		b.edge(loose, v, b.step(Step{
			Primitive: nodeCredential, Likelihood: 0.5, Evidence: []Evidence{{t.Object, document.Key(t.SpecPath, "nodeName")}},
			Conditions: []Condition{{Text: "a pod of it runs on the same node"}},
		}))
		b.pullSecrets(loose, t)
	}
}

// loosePods stands for the pods of which nobody knows where they run.
func (b *builder) loosePods() int32 {
	if len(b.placed.all) == 0 {
		return b.vertex(Node, "", someNode)
	}
	v := b.power("loose-pods", "")
	for _, n := range b.placed.all {
		b.always(within, n, v)
	}
	return v
}

// pullSecrets adds the Secrets by which a kubelet pulls the images of a pod. No
// process in the pod sees them.
func (b *builder) pullSecrets(node int32, t *cluster.PodTemplate) {
	for _, ref := range b.pullers(t) {
		secret := b.secretVertex(t.Namespace(), ref.name)
		if secret < 0 || b.pulled[node][secret] {
			continue
		}
		if b.pulled[node] == nil {
			b.pulled[node] = map[int32]bool{}
		}
		b.pulled[node][secret] = true
		b.edge(node, secret, b.step(Step{
			Primitive: nodeCredential, Text: "the kubelet reads it to pull images", Evidence: []Evidence{ref.evidence},
		}))
	}
}

// controlPlanes adds that root on a node of the control plane has its keys: of the
// certificate authority, of service account tokens, of etcd. A managed cluster
// shows no such node.
func (b *builder) controlPlanes() {
	for _, n := range b.placed.all {
		if ev, ok := b.controls(n); ok {
			b.edge(n, b.admin(), b.step(Step{Primitive: controlPlane, Evidence: ev}))
		}
	}
}

// controls says whether a node is one of the control plane, and by what.
func (b *builder) controls(node int32) ([]Evidence, bool) {
	o := b.g.Vertices[node].Object
	if o != nil {
		labels := o.Root.At("metadata", "labels")
		for _, role := range controlPlaneRoles {
			if labels.Get(role) != nil {
				return []Evidence{{o, document.Key("metadata.labels", role)}}, true
			}
		}
	}
	for _, pod := range b.apiServers() {
		if pod.Root.At("spec", "nodeName").Str() == b.g.Vertices[node].Name {
			return []Evidence{{pod, "spec.nodeName"}}, true
		}
	}
	return nil, false
}

// apiServers are the static pods of the API server and of etcd.
func (b *builder) apiServers() []*cluster.Object {
	type key struct{}
	return cluster.Derive(b.snap, key{}, func() []*cluster.Object {
		var out []*cluster.Object
		for _, o := range b.snap.Kind("Pod") {
			component := o.Root.At("metadata", "labels", "component").Str()
			if o.Namespace == "kube-system" && (component == "kube-apiserver" || component == "etcd") {
				out = append(out, o)
			}
		}
		return out
	})
}
