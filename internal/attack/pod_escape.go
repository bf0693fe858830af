package attack

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/patch"
	"seawall.io/seawall/internal/rbac"
)

// way is one means by which a process leaves its container for the node.
type way struct {
	text       string
	evidence   []Evidence
	likelihood float64
	conditions []Condition
	checks     []string
	changes    []int
}

// escapes adds P50: from a workload to the nodes that its pods run on.
func (b *builder) escapes(v int32, t *cluster.PodTemplate) {
	ways := b.ways(t)
	if len(ways) == 0 {
		return
	}
	nodes, unsure := b.where(v, t)
	for _, w := range ways {
		s := Step{
			Primitive: escape, Text: w.text, Evidence: w.evidence, Likelihood: w.likelihood,
			Conditions: slices.Concat(w.conditions, unsure), Checks: w.checks, Changes: w.changes,
		}
		if len(unsure) > 0 {
			s.Likelihood *= 0.5
		}
		i := b.step(s)
		for _, n := range nodes {
			b.edge(v, n, i)
		}
	}
}

// ways are all means that the containers of a template have.
func (b *builder) ways(t *cluster.PodTemplate) []way {
	e := escapist{b: b, t: t, users: b.ownUsers(t)}
	for i := range t.Containers {
		c := &t.Containers[i]
		e.c, e.root = c, runsAsRoot(t, c)
		e.context = c.Root.Get("securityContext")
		e.path = document.Key(c.Path, "securityContext")
		if e.windows() {
			continue
		}
		if e.users != Yes {
			e.privileged()
			e.capabilities()
		}
		e.hostPaths()
	}
	return e.out
}

// escapist looks for ways out of the containers of one template.
type escapist struct {
	b       *builder
	t       *cluster.PodTemplate
	c       *cluster.Container
	context *document.Node // the container's
	path    string         // of it
	root    Answer
	users   Answer // whether the pod has a user namespace of its own
	space   *route // by which the container makes one, nil until asked for
	out     []way
}

// ownUsers says whether a pod has a user namespace of its own, in which root is
// nobody on the node. Before 1.33 the field does nothing unless a feature gate is
// on; from then on a node that cannot do it refuses the pod.
func (b *builder) ownUsers(t *cluster.PodTemplate) Answer {
	if shared, ok := t.Spec().Get("hostUsers").Bool(); !ok || shared {
		return No
	}
	if b.minor() < 33 {
		return Unknown
	}
	return Yes
}

// runsAsRoot says whether a container's process is root. Where no field says so
// the image does.
func runsAsRoot(t *cluster.PodTemplate, c *cluster.Container) Answer {
	own, pod := c.Root.Get("securityContext"), t.Spec().Get("securityContext")
	for _, n := range []*document.Node{own, pod} {
		if uid, ok := n.Get("runAsUser").Int(); ok {
			if uid == 0 {
				return Yes
			}
			return No
		}
	}
	for _, n := range []*document.Node{own, pod} {
		if non, ok := n.Get("runAsNonRoot").Bool(); ok {
			if non {
				return No
			}
			break
		}
	}
	return Unknown
}

// add takes a way over, less likely where the process is not known to be root and
// where the pod may have a user namespace.
func (e *escapist) add(w way) {
	w.text = "container " + e.c.Name() + " " + w.text
	switch e.root {
	case No:
		w.likelihood *= 0.3
		w.conditions = append(w.conditions, Condition{Text: "a program in the container makes its user root"})
	case Unknown:
		w.likelihood *= 0.95
		w.conditions = append(w.conditions, Condition{Text: "the user of the image is root"})
	case Yes:
	}
	if e.c.Type == cluster.Init {
		w.likelihood *= 0.2
		w.conditions = append(w.conditions, Condition{Text: "it runs what the attacker brings, when the pod starts anew: an init container ends before the others begin"})
	}
	if e.users == Unknown {
		w.likelihood *= 0.5
		w.conditions = append(w.conditions, Condition{Text: "the feature gate UserNamespacesSupport is off, so that hostUsers: false does nothing"})
	}
	if systemNamespace(e.t.Namespace()) {
		w.changes = nil
	}
	e.out = append(e.out, w)
}

func (e *escapist) at(field string) Evidence {
	return Evidence{e.t.Object, document.Key(e.path, field)}
}

// windows says that the container is one that runs on the Windows node itself.
func (e *escapist) windows() bool {
	at := Evidence{e.t.Object, e.path + ".windowsOptions.hostProcess"}
	on, set := e.context.At("windowsOptions", "hostProcess").Bool()
	if !set {
		on, _ = e.t.Spec().At("securityContext", "windowsOptions", "hostProcess").Bool()
		at.Path = e.t.SpecPath + ".securityContext.windowsOptions.hostProcess"
	}
	if on {
		w := way{
			text: "container " + e.c.Name() + " is a process of the Windows node", evidence: []Evidence{at}, likelihood: 0.95,
			checks: []string{"windows-host-process"},
		}
		if !systemNamespace(e.t.Namespace()) {
			w.changes = []int{e.b.change(e.t.Object, at.Path, Change{
				Text: "run no Windows host process in " + templateName(e.t), Ops: patch.Set(e.t.Object.Root, at.Path, false), Cost: 3,
			})}
		}
		e.out = append(e.out, w)
	}
	return on
}

func (e *escapist) privileged() {
	if on, _ := e.context.Get("privileged").Bool(); !on {
		return
	}
	at := e.at("privileged")
	e.add(way{
		text: "is privileged", evidence: []Evidence{at}, likelihood: 0.95,
		checks: []string{"privileged-container", "host-pid-with-privileged"},
		changes: []int{e.b.change(e.t.Object, at.Path, Change{
			Text: "run container " + e.c.Name() + " of " + templateName(e.t) + " unprivileged",
			Ops:  patch.Set(e.t.Object.Root, at.Path, false), Cost: 2,
		})},
	})
}

// leaving is a capability that leads to the node.
type leaving struct {
	likelihood float64
	checks     []string
	condition  string
}

// leavings are the capabilities that alone lead to the node. Others that Pod
// Security refuses (NET_ADMIN, SYS_TIME) harm, but do not.
var leavings = map[string]leaving{
	"ALL":             {0.9, []string{"dangerous-capability-added", "capability-beyond-default-set"}, ""},
	"SYS_ADMIN":       {0.75, []string{"capability-sys-admin", "dangerous-capability-added"}, ""},
	"SYS_MODULE":      {0.85, []string{"capability-sys-module", "dangerous-capability-added"}, ""},
	"DAC_READ_SEARCH": {0.6, []string{"dangerous-capability-added"}, ""},
	"SYS_RAWIO":       {0.3, []string{"dangerous-capability-added"}, "the kernel gives access to memory or ports"},
	"BPF":             {0.3, []string{"dangerous-capability-added"}, "the container can load programs that read kernel memory: it has CAP_PERFMON, or the kernel asks for no more"},
	"SYS_BOOT":        {0.1, []string{"dangerous-capability-added"}, "the kernel lets another be loaded"},
}

// capabilities looks at those that are added. A process that is not root and
// cannot become it has none of them.
func (e *escapist) capabilities() {
	if on, _ := e.context.Get("privileged").Bool(); on {
		return
	}
	if gains, ok := e.context.Get("allowPrivilegeEscalation").Bool(); ok && !gains && e.root == No {
		return
	}
	added := e.context.At("capabilities", "add")
	hostPID, _ := e.t.Spec().Get("hostPID").Bool()
	for i, n := range added.List() {
		name := capability(n.Str())
		p, ok := leavings[name]
		w := way{text: "has the capability " + name, likelihood: p.likelihood, checks: p.checks}
		if p.condition != "" {
			w.conditions = []Condition{{Text: p.condition}}
		}
		at := Evidence{e.t.Object, document.Index(e.path+".capabilities.add", i)}
		w.evidence = []Evidence{at}
		w.changes = []int{e.withoutCapabilities(added)}
		if name == "SYS_PTRACE" && hostPID {
			ok = true
			pid := document.Key(e.t.SpecPath, "hostPID")
			w.text, w.likelihood = "sees the processes of the node and may trace them", 0.9
			w.checks = []string{"host-pid-with-ptrace", "host-pid", "dangerous-capability-added"}
			w.evidence = append(w.evidence, Evidence{e.t.Object, pid})
			w.changes = append(w.changes, e.b.change(e.t.Object, pid, Change{
				Text: "give " + templateName(e.t) + " a process namespace of its own", Ops: patch.Set(e.t.Object.Root, pid, false), Cost: 2,
			}))
		}
		if ok {
			e.add(w)
		}
	}
}

func capability(name string) string { return strings.TrimPrefix(strings.ToUpper(name), "CAP_") }

// withoutCapabilities is the change that leaves the harmless ones, for all that
// the container adds at once.
func (e *escapist) withoutCapabilities(added *document.Node) int {
	rest := []any{}
	for _, n := range added.List() {
		if name := capability(n.Str()); leavings[name].likelihood == 0 && name != "SYS_PTRACE" {
			rest = append(rest, n.Str())
		}
	}
	at := e.path + ".capabilities.add"
	return e.b.change(e.t.Object, at, Change{
		Text: "add no capability that leads to the node to container " + e.c.Name() + " of " + templateName(e.t),
		Ops:  []seawall.PatchOp{{Op: "replace", Path: document.Pointer(at), Value: rest}}, Cost: 2,
	})
}

// hostPaths looks at the directories and sockets of the node that the container
// sees.
func (e *escapist) hostPaths() {
	for j, m := range e.c.Root.Get("volumeMounts").List() {
		name := m.Get("name").Str()
		for i, volume := range e.t.Spec().Get("volumes").List() {
			if volume.Get("name").Str() != name || name == "" {
				continue
			}
			at := Evidence{e.t.Object, document.Index(document.Key(e.t.SpecPath, "volumes"), i)}
			evidence := []Evidence{at}
			dir := volume.At("hostPath", "path").Str()
			ownReadOnly := false
			if pv := e.b.hostVolume(e.t.Namespace(), volume.At("persistentVolumeClaim", "claimName").Str()); pv != nil {
				dir = cmp.Or(pv.Root.At("spec", "hostPath", "path").Str(), pv.Root.At("spec", "local", "path").Str())
				ownReadOnly, _ = volume.At("persistentVolumeClaim", "readOnly").Bool()
				evidence = append(evidence, Evidence{pv, "spec"})
			}
			if dir == "" {
				continue
			}
			if sub := m.Get("subPath").Str(); sub != "" {
				dir = path.Join(dir, sub)
			}
			readOnly, _ := m.Get("readOnly").Bool()
			mount := Evidence{e.t.Object, document.Index(document.Key(e.c.Path, "volumeMounts"), j)}
			e.hostPath(path.Clean(dir), readOnly || ownReadOnly, append(evidence, mount), i)
		}
	}
}

// hostVolume is the PersistentVolume of a claim that lies on the node, nil for
// any other.
func (b *builder) hostVolume(ns, claim string) *cluster.Object {
	if claim == "" {
		return nil
	}
	type key struct{}
	byClaim := cluster.Derive(b.snap, key{}, func() map[[2]string]*cluster.Object {
		out := map[[2]string]*cluster.Object{}
		for _, pv := range b.snap.Kind("PersistentVolume") {
			if spec := pv.Root.Get("spec"); spec.Get("hostPath") != nil || spec.Get("local") != nil {
				ref := spec.Get("claimRef")
				out[[2]string{cmp.Or(ref.Get("namespace").Str(), "default"), ref.Get("name").Str()}] = pv
				out[[2]string{"", pv.Name}] = pv
			}
		}
		for _, pvc := range b.snap.Kind("PersistentVolumeClaim") {
			if pv := out[[2]string{"", pvc.Root.At("spec", "volumeName").Str()}]; pv != nil && pv.Name != "" {
				out[[2]string{cmp.Or(pvc.Namespace, "default"), pvc.Name}] = pv
			}
		}
		return out
	})
	return byClaim[[2]string{ns, claim}]
}

// hostDir is what a directory of the node is worth.
type hostDir struct {
	path string
	// below says that every directory in it is worth the same.
	below bool
	// write and read are the likelihoods for a mount that can be written and for
	// one that cannot, 0 for one that leads nowhere.
	write, read float64
	// socket says that who reaches it commands the container runtime, whether the
	// mount is read-only or not.
	socket bool
	check  string
}

// hostDirs are the places by which nodes are taken; the first that fits counts.
// The whole of the node's file tree and the directories above a place are worth
// what the place is. Reading is worth something where keys and tokens lie.
var hostDirs = []hostDir{
	{path: "/", write: 0.95, read: 0.8, check: "hostpath-sensitive-directory"},
	{path: "/var/run/docker.sock", socket: true, check: "hostpath-runtime-socket"},
	{path: "/run/docker.sock", socket: true, check: "hostpath-runtime-socket"},
	{path: "/run/containerd", below: true, socket: true, check: "hostpath-runtime-socket"},
	{path: "/var/run/containerd", below: true, socket: true, check: "hostpath-runtime-socket"},
	{path: "/run/k3s", below: true, socket: true, check: "hostpath-runtime-socket"},
	{path: "/run/crio", below: true, socket: true, check: "hostpath-runtime-socket"},
	{path: "/var/run/crio", below: true, socket: true, check: "hostpath-runtime-socket"},
	{path: "/run/cri-dockerd.sock", socket: true, check: "hostpath-runtime-socket"},
	{path: "/var/run/cri-dockerd.sock", socket: true, check: "hostpath-runtime-socket"},
	{path: "/run/podman", below: true, socket: true, check: "hostpath-runtime-socket"},
	{path: "/run", socket: true, check: "hostpath-runtime-socket"},
	{path: "/var/run", socket: true, check: "hostpath-runtime-socket"},
	{path: "/etc", write: 0.9, read: 0.6, check: "hostpath-sensitive-directory"},
	{path: "/etc/kubernetes", write: 0.9, read: 0.6, check: "hostpath-sensitive-directory"},
	{path: "/etc/kubernetes/manifests", below: true, write: 0.9, check: "hostpath-static-pod-dir"},
	{path: "/etc/kubernetes/pki", below: true, write: 0.8, read: 0.6, check: "hostpath-sensitive-directory"},
	{path: "/etc/kubernetes/kubelet.conf", write: 0.6, read: 0.6, check: "hostpath-sensitive-directory"},
	{path: "/etc/kubernetes/admin.conf", write: 0.8, read: 0.8, check: "hostpath-sensitive-directory"},
	{path: "/etc/cron.d", below: true, write: 0.9, check: "hostpath-sensitive-directory"},
	{path: "/etc/systemd", below: true, write: 0.85, check: "hostpath-sensitive-directory"},
	{path: "/etc/cni", below: true, write: 0.7, check: "hostpath-sensitive-directory"},
	{path: "/etc/ssh", below: true, write: 0.6, read: 0.1, check: "hostpath-sensitive-directory"},
	{path: "/etc/rancher", below: true, write: 0.8, read: 0.6, check: "hostpath-sensitive-directory"},
	{path: "/root", below: true, write: 0.85, read: 0.4, check: "hostpath-sensitive-directory"},
	{path: "/home", below: true, write: 0.6, read: 0.2, check: "hostpath-sensitive-directory"},
	{path: "/var", write: 0.9, read: 0.7, check: "hostpath-sensitive-directory"},
	{path: "/var/lib", write: 0.9, read: 0.7, check: "hostpath-sensitive-directory"},
	{path: "/var/lib/kubelet", write: 0.9, read: 0.7, check: "hostpath-kubelet-tokens"},
	{path: "/var/lib/kubelet/pods", below: true, write: 0.85, read: 0.6, check: "hostpath-kubelet-tokens"},
	{path: "/var/lib/kubelet/pki", below: true, write: 0.7, read: 0.7, check: "hostpath-kubelet-tokens"},
	{path: "/var/lib/docker", below: true, write: 0.85, read: 0.3, check: "hostpath-sensitive-directory"},
	{path: "/var/lib/containerd", below: true, write: 0.85, read: 0.3, check: "hostpath-sensitive-directory"},
	{path: "/var/lib/containers", below: true, write: 0.85, read: 0.3, check: "hostpath-sensitive-directory"},
	{path: "/var/lib/rancher", below: true, write: 0.85, read: 0.5, check: "hostpath-sensitive-directory"},
	{path: "/var/lib/etcd", below: true, write: 0.9, read: 0.9, check: "hostpath-sensitive-directory"},
	{path: "/var/spool/cron", below: true, write: 0.9, check: "hostpath-sensitive-directory"},
	{path: "/proc", write: 0.8, check: "hostpath-proc"},
	{path: "/proc/sys", below: true, write: 0.8, check: "hostpath-proc"},
	{path: "/sys", write: 0.4, check: "hostpath-sensitive-directory"},
	{path: "/sys/fs/cgroup", below: true, write: 0.4, check: "hostpath-sensitive-directory"},
	{path: "/sys/kernel", write: 0.4, check: "hostpath-sensitive-directory"},
	{path: "/boot", below: true, write: 0.6, check: "hostpath-sensitive-directory"},
	{path: "/usr", write: 0.85, check: "hostpath-sensitive-directory"},
	{path: "/usr/bin", below: true, write: 0.85, check: "hostpath-sensitive-directory"},
	{path: "/usr/sbin", below: true, write: 0.85, check: "hostpath-sensitive-directory"},
	{path: "/usr/local", write: 0.7, check: "hostpath-sensitive-directory"},
	{path: "/usr/local/bin", below: true, write: 0.7, check: "hostpath-sensitive-directory"},
	{path: "/bin", below: true, write: 0.85, check: "hostpath-sensitive-directory"},
	{path: "/sbin", below: true, write: 0.85, check: "hostpath-sensitive-directory"},
	{path: "/lib", write: 0.85, check: "hostpath-sensitive-directory"},
	{path: "/lib64", write: 0.85, check: "hostpath-sensitive-directory"},
	{path: "/lib/modules", below: true, write: 0.6, check: "hostpath-sensitive-directory"},
	{path: "/lib/systemd", below: true, write: 0.85, check: "hostpath-sensitive-directory"},
	{path: "/opt", write: 0.6, check: "hostpath-sensitive-directory"},
	{path: "/opt/cni", below: true, write: 0.7, check: "hostpath-sensitive-directory"},
}

func findHostDir(dir string) (hostDir, bool) {
	if strings.HasSuffix(dir, ".sock") && strings.HasPrefix(path.Base(dir), "containerd") ||
		slices.Contains([]string{"docker.sock", "crio.sock", "cri-dockerd.sock", "dockershim.sock", "podman.sock"}, path.Base(dir)) {
		return hostDir{path: dir, socket: true, check: "hostpath-runtime-socket"}, true
	}
	for _, d := range hostDirs {
		if d.path == dir || d.below && strings.HasPrefix(dir, d.path+"/") {
			return d, true
		}
	}
	return hostDir{}, false
}

func (e *escapist) hostPath(dir string, readOnly bool, evidence []Evidence, volume int) {
	w := way{text: "can write " + dir + " of the node", evidence: evidence, checks: []string{"hostpath-volume"}}
	d, known := findHostDir(dir)
	switch {
	case dir == "/var/log" || strings.HasPrefix(dir, "/var/log/"):
		if readOnly || !e.readsLogs(&w) {
			return
		}
		w.checks = append(w.checks, "hostpath-var-log-with-logs-read", "hostpath-writable")
	case !known:
		return
	case d.socket:
		w.text, w.likelihood = "commands the container runtime by "+dir, 0.95
		w.checks = append(w.checks, d.check)
	case readOnly:
		w.text, w.likelihood = "can read "+dir+" of the node", d.read
		w.checks = append(w.checks, d.check)
	default:
		w.likelihood = d.write
		w.checks = append(w.checks, d.check, "hostpath-writable")
	}
	if w.likelihood == 0 {
		return
	}
	at := document.Index(document.Key(e.t.SpecPath, "volumes"), volume)
	host := document.Key(at, "hostPath")
	if n, _ := e.t.Object.Root.Find(host); n != nil {
		w.changes = []int{e.b.change(e.t.Object, host, Change{
			Text: "give " + templateName(e.t) + " an empty directory in place of the node's " + n.Get("path").Str(),
			Ops: []seawall.PatchOp{
				{Op: "remove", Path: document.Pointer(host)},
				{Op: "add", Path: document.Pointer(document.Key(at, "emptyDir")), Value: map[string]any{}},
			},
			Cost: 2,
		})}
	}
	e.add(w)
}

// readsLogs says whether links that the container lays in /var/log can be followed:
// the kubelet serves what they lead to, to who may read logs. The pod's own account
// may be one; another that an attacker holds can only be guessed at.
func (e *escapist) readsLogs(w *way) bool {
	id := rbac.Account(e.t.Namespace(), e.t.ServiceAccount())
	for _, a := range []rbac.Attributes{
		{Verb: "get", Resource: "nodes", Subresource: "log"},
		{Verb: "get", Resource: "nodes", Subresource: "proxy"},
		{Verb: "get", Resource: "pods", Subresource: "log", Namespace: e.t.Namespace()},
	} {
		d := e.b.rbac.Decide(id, a)
		if !d.Allowed {
			continue
		}
		w.likelihood = 0.5
		w.conditions = append(w.conditions, Condition{Text: "the account of the pod may " + a.Verb + " " + a.Resource + "/" + a.Subresource, Holds: Yes})
		w.evidence = append(w.evidence, evidenceOf(d.Grant)...)
		return true
	}
	if e.b.snap.Whole {
		return false
	}
	w.likelihood = 0.1
	w.conditions = append(w.conditions, Condition{Text: "the attacker may read logs of the node or of pods: no binding among the objects lets the pod's account"})
	return true
}
