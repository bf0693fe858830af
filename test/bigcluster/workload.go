package bigcluster

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// machine is a node of the cluster: which one says all about it.
type machine int

func (n machine) control() bool { return n < controlPlanes }

func (c *Cluster) nodeName(n machine) string {
	if n.control() {
		return fmt.Sprintf("cp-%d.%s.internal", n, c.o.Name)
	}
	return fmt.Sprintf("worker-%05d.%s.internal", int(n)-controlPlanes, c.o.Name)
}

func (n machine) ip() string  { return fmt.Sprintf("172.16.%d.%d", int(n)/200, 10+int(n)%200) }
func (n machine) ip6() string { return fmt.Sprintf("fd00:16::%x", 10+int(n)) }

// podIP returns the address of a slot, from 0, of the node's range of pods.
func (n machine) podIP(slot int) string {
	return fmt.Sprintf("10.%d.%d.%d", 64+int(n)>>8, int(n)&255, 2+slot)
}

func (n machine) podIP6(slot int) string { return fmt.Sprintf("fd00:64:0:%x::%x", int(n), 2+slot) }

// place returns the worker on which the next pod runs, and its slot. Workers
// fill evenly, and neighbours in the list of pods run apart.
func (m *maker) place() (machine, int) {
	workers := m.c.o.Nodes - controlPlanes
	round, i := m.placed/workers, m.placed%workers
	m.placed++
	return machine(controlPlanes + (i+round*7919)%workers), len(m.c.agents) + round
}

// account is what pods must know of a ServiceAccount.
type account struct {
	noToken bool
	uid     string
}

// group is the pods of one workload, for the Services before them.
type group struct {
	labels labels
	ports  map[string]int
	pods   []placed
}

type placed struct {
	name, uid, ip string
	node          machine
}

// rollout is what the controllers are to make of a workload.
type rollout struct {
	old    int // ReplicaSets of former revisions
	jobs   int // Jobs that a CronJob left behind
	failed bool
}

// workload adds a workload and all that its controllers make of it.
func (m *maker) workload(root node, o rollout) {
	kind := root.Get("kind").Str()
	switch kind {
	case "CronJob":
		m.cronJob(root, o)
		return
	case "Job":
		m.job(root, nil, o.failed)
		return
	case "Pod":
		p := m.newPods(root, nil)
		p.add(root.At("metadata", "name").Str(), nil)
		m.groups = append(m.groups, p.group)
		return
	}
	spec := root.Get("spec")
	template := defaultTemplate(spec.Get("template"))
	spec = set(spec, "template", template)
	replicas64, _ := spec.Get("replicas").Int()
	replicas := int(replicas64)
	switch kind {
	case "Deployment":
		spec = orDefault(spec, "revisionHistoryLimit", 10, "progressDeadlineSeconds", 600,
			"strategy", obj("type", "RollingUpdate", "rollingUpdate", obj("maxSurge", "25%", "maxUnavailable", "25%")))
		root = m.add(set(root, "spec", spec, "status", obj("replicas", replicas, "readyReplicas", replicas)))
		m.replicaSets(root, template, replicas, o.old)
	case "StatefulSet":
		spec = orDefault(spec, "podManagementPolicy", "OrderedReady", "revisionHistoryLimit", 10,
			"updateStrategy", obj("type", "RollingUpdate", "rollingUpdate", obj("partition", 0)))
		root = m.add(set(root, "spec", spec, "status", obj("replicas", replicas, "readyReplicas", replicas)))
		m.statefulPods(root, template, replicas)
	case "DaemonSet":
		n := m.c.o.Nodes
		spec = orDefault(spec, "revisionHistoryLimit", 10,
			"updateStrategy", obj("type", "RollingUpdate", "rollingUpdate", obj("maxSurge", 0, "maxUnavailable", 1)))
		root = m.add(set(root, "spec", spec, "status", obj("currentNumberScheduled", n, "numberMisscheduled", 0,
			"desiredNumberScheduled", n, "numberReady", n)))
		m.daemonPods(root, template)
	default:
		panic("bigcluster: no workload: " + kind)
	}
}

func (m *maker) replicaSets(deployment, template node, replicas, old int) {
	name := deployment.At("metadata", "name").Str()
	for i := range old + 1 {
		count := 0
		if i == old {
			count = replicas
		}
		hash := m.suffix(10)
		template := withLabels(template, "pod-template-hash", hash)
		match := labelsOf(deployment.At("spec", "selector", "matchLabels")).with("pod-template-hash", hash)
		meta := obj("name", name+"-"+hash, "namespace", m.space.name, "labels", template.At("metadata", "labels"),
			"annotations", labels{"deployment.kubernetes.io/revision": strconv.Itoa(i + 1)},
			"ownerReferences", list(ownerOf(deployment)))
		rs := m.add(obj("apiVersion", "apps/v1", "kind", "ReplicaSet", "metadata", meta,
			"spec", obj("replicas", count, "selector", obj("matchLabels", match), "template", template),
			"status", obj("replicas", count, "readyReplicas", count)))
		if i < old {
			continue
		}
		p := m.newPods(template, rs)
		for range replicas {
			p.add(name+"-"+hash+"-"+m.suffix(5), nil)
		}
		m.groups = append(m.groups, p.group)
	}
}

func (m *maker) statefulPods(set, template node, replicas int) {
	name := set.At("metadata", "name").Str()
	template = withLabels(template, "controller-revision-hash", name+"-"+m.suffix(10))
	p := m.newPods(template, set)
	claims := set.At("spec", "volumeClaimTemplates").List()
	for i := range replicas {
		pod := fmt.Sprintf("%s-%d", name, i)
		var volumes []node
		for _, c := range claims {
			volume := c.At("metadata", "name").Str()
			claim := volume + "-" + pod
			m.claim(claim, c.Get("spec"), labelsOf(set.At("spec", "selector", "matchLabels")))
			volumes = append(volumes, obj("name", volume, "persistentVolumeClaim", obj("claimName", claim)))
		}
		p.add(pod, labels{"statefulset.kubernetes.io/pod-name": pod, "apps.kubernetes.io/pod-index": strconv.Itoa(i)}, volumes...)
	}
	m.groups = append(m.groups, p.group)
}

// claim adds a claim and the volume that is bound to it. Names of volumes count
// up, as those of kinds come sorted.
func (m *maker) claim(name string, spec node, l labels) {
	m.claims++
	uid := fmt.Sprintf("%04x%04x%s", m.index, m.claims, m.uid()[8:])
	volume := "pvc-" + uid
	class, storage := spec.Get("storageClassName"), spec.At("resources", "requests", "storage")
	spec = orDefault(set(spec, "volumeName", volume), "volumeMode", "Filesystem")
	m.add(obj("apiVersion", "v1", "kind", "PersistentVolumeClaim",
		"metadata", obj("name", name, "namespace", m.space.name, "uid", uid, "labels", l), "spec", spec, "status", obj("phase", "Bound")))
	m.add(obj("apiVersion", "v1", "kind", "PersistentVolume", "metadata", obj("name", volume),
		"spec", obj("accessModes", spec.Get("accessModes"), "capacity", obj("storage", storage),
			"storageClassName", class, "persistentVolumeReclaimPolicy", "Delete", "volumeMode", "Filesystem",
			"claimRef", obj("apiVersion", "v1", "kind", "PersistentVolumeClaim", "name", name, "namespace", m.space.name, "uid", uid),
			"csi", obj("driver", "csi.example.com", "fsType", "ext4", "volumeHandle", "vol-"+m.hex(17))),
		"status", obj("phase", "Bound")))
}

func (m *maker) daemonPods(set, template node) {
	name := set.At("metadata", "name").Str()
	template = withLabels(template, "controller-revision-hash", m.suffix(10), "pod-template-generation", "1")
	p := m.newPods(template, set)
	slot := max(0, slices.Index(m.c.agents, name))
	for n := range machine(m.c.o.Nodes) {
		p.addOn(n, slot, name+"-"+m.suffix(5), nil)
	}
	m.groups = append(m.groups, p.group)
}

func (m *maker) cronJob(root node, o rollout) {
	spec := root.Get("spec")
	job := spec.At("jobTemplate", "spec")
	template := defaultTemplate(job.Get("template"))
	job = set(job, "template", template)
	spec = orDefault(set(spec, "jobTemplate", obj("spec", job)), "concurrencyPolicy", "Allow", "suspend", false,
		"successfulJobsHistoryLimit", 3, "failedJobsHistoryLimit", 1)
	last := Time.Add(-time.Duration(m.r.IntN(3600)) * time.Second).Truncate(time.Minute)
	root = m.add(set(root, "spec", spec, "status", obj("lastScheduleTime", last.Format(time.RFC3339))))
	name := root.At("metadata", "name").Str()
	for i := range o.jobs {
		at := last.Add(time.Duration(i+1-o.jobs) * 24 * time.Hour)
		meta := obj("name", fmt.Sprintf("%s-%d", name, at.Unix()/60), "namespace", m.space.name,
			"labels", root.At("metadata", "labels"), "creationTimestamp", at.Format(time.RFC3339))
		m.job(obj("apiVersion", "batch/v1", "kind", "Job", "metadata", meta, "spec", job), root, false)
	}
}

// job adds a Job that has ended, and its pod.
func (m *maker) job(root, owner node, failed bool) {
	uid, name := m.uid(), root.At("metadata", "name").Str()
	own := []string{
		"batch.kubernetes.io/controller-uid", uid, "batch.kubernetes.io/job-name", name,
		"controller-uid", uid, "job-name", name,
	}
	spec := root.Get("spec")
	template := withLabels(defaultTemplate(spec.Get("template")), own...)
	spec = orDefault(set(spec, "template", template, "selector", obj("matchLabels", labels{own[0]: uid})),
		"parallelism", 1, "completions", 1, "backoffLimit", 6, "completionMode", "NonIndexed", "suspend", false)
	start := root.At("metadata", "creationTimestamp").Str()
	if start == "" {
		start = m.ago(2*day, 0)
	}
	meta := set(root.Get("metadata"), "uid", uid, "creationTimestamp", start)
	if owner != nil {
		meta = set(meta, "ownerReferences", list(ownerOf(owner)))
	}
	count := "succeeded"
	if failed {
		count = "failed"
	}
	root = m.add(set(root, "metadata", meta, "spec", spec, "status", obj(count, 1, "startTime", start)))
	p := m.newPods(template, root)
	p.phase, p.start = "Succeeded", start
	if failed {
		p.phase = "Failed"
	}
	p.add(name+"-"+m.suffix(5), nil)
}

func ownerOf(root node) node {
	return obj("apiVersion", root.Get("apiVersion"), "kind", root.Get("kind"), "name", root.At("metadata", "name"),
		"uid", root.At("metadata", "uid"), "controller", true, "blockOwnerDeletion", true)
}

func withLabels(template node, kv ...string) node {
	l := labelsOf(template.At("metadata", "labels")).with(kv...)
	return set(template, "metadata", set(template.Get("metadata"), "labels", l))
}

// defaultTemplate returns a pod template with what the API server fills in.
func defaultTemplate(template node) node {
	spec := template.Get("spec")
	for _, field := range []string{"initContainers", "containers"} {
		var out []node
		for _, c := range spec.Get(field).List() {
			pull := "IfNotPresent"
			if strings.HasSuffix(c.Get("image").Str(), ":latest") {
				pull = "Always"
			}
			out = append(out, orDefault(c, "imagePullPolicy", pull, "resources", obj(),
				"terminationMessagePath", "/dev/termination-log", "terminationMessagePolicy", "File"))
		}
		spec = set(spec, field, out)
	}
	if name := spec.Get("serviceAccountName"); name != nil {
		spec = set(spec, "serviceAccount", name)
	}
	spec = orDefault(spec, "restartPolicy", "Always", "dnsPolicy", "ClusterFirst", "schedulerName", "default-scheduler",
		"securityContext", obj(), "terminationGracePeriodSeconds", 30)
	return set(template, "spec", spec)
}

// pods makes the pods of one template.
type pods struct {
	m         *maker
	owner     node
	labels    labels
	labelNode node

	annotations node
	spec        node
	host        bool
	phase       string
	start       string // when they began; "" is some time of the last month
	containers  []running
	qos         string
	group       group
}

// running is a container of a running pod.
type running struct{ name, image, id string }

var (
	always = list(
		obj("key", "node.kubernetes.io/not-ready", "operator", "Exists", "effect", "NoExecute", "tolerationSeconds", 300),
		obj("key", "node.kubernetes.io/unreachable", "operator", "Exists", "effect", "NoExecute", "tolerationSeconds", 300))
	ready   = conditions("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
	serving = obj("ready", true, "serving", true, "terminating", false)
)

// conditions returns conditions that all hold.
func conditions(types ...string) node {
	var out []node
	for _, t := range types {
		out = append(out, obj("type", t, "status", "True", "lastTransitionTime", "2026-09-01T00:00:00Z"))
	}
	return list(out...)
}

// newPods prepares the pods of a template as admission plugins change them:
// the default account, its token, tolerations, priority.
func (m *maker) newPods(template, owner node) *pods {
	spec := template.Get("spec")
	name := spec.Get("serviceAccountName").Str()
	if name == "" {
		name = "default"
	}
	if _, known := m.accounts[name]; !known {
		m.serviceAccount(name, nil, account{})
	}
	priority := map[string]int{"system-node-critical": 2000001000, "system-cluster-critical": 2000000000}[spec.Get("priorityClassName").Str()]
	spec = orDefault(spec, "enableServiceLinks", true, "preemptionPolicy", "PreemptLowerPriority", "priority", priority,
		"tolerations", always)
	spec = set(spec, "serviceAccountName", name, "serviceAccount", name)
	token := !m.accounts[name].noToken
	if on, said := spec.Get("automountServiceAccountToken").Bool(); said {
		token = on
	}
	if token {
		spec = m.mountToken(spec)
	}
	p := &pods{m: m, owner: owner, labels: labelsOf(template.At("metadata", "labels")), spec: spec, phase: "Running", qos: qosOf(spec)}
	p.labelNode, p.annotations = value(p.labels), template.At("metadata", "annotations")
	p.host, _ = spec.Get("hostNetwork").Bool()
	p.group = group{labels: p.labels, ports: map[string]int{}}
	for _, c := range spec.Get("containers").List() {
		image := c.Get("image").Str()
		p.containers = append(p.containers, running{c.Get("name").Str(), image, m.imageID(image)})
		for _, port := range c.Get("ports").List() {
			n, _ := port.Get("containerPort").Int()
			p.group.ports[port.Get("name").Str()] = int(n)
		}
	}
	return p
}

// mountToken mounts the account's token into all containers, as the
// ServiceAccount admission plugin does.
func (m *maker) mountToken(spec node) node {
	name := "kube-api-access-" + m.suffix(5)
	mount := obj("name", name, "mountPath", "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly", true)
	for _, field := range []string{"initContainers", "containers"} {
		var out []node
		for _, c := range spec.Get(field).List() {
			out = append(out, set(c, "volumeMounts", append(slices.Clone(c.Get("volumeMounts").List()), mount)))
		}
		spec = set(spec, field, out)
	}
	item := func(key, path string) node { return list(obj("key", key, "path", path)) }
	volume := obj("name", name, "projected", obj("defaultMode", 420, "sources", list(
		obj("serviceAccountToken", obj("expirationSeconds", 3607, "path", "token")),
		obj("configMap", obj("name", "kube-root-ca.crt", "items", item("ca.crt", "ca.crt"))),
		obj("downwardAPI", obj("items", list(obj("path", "namespace", "fieldRef", obj("apiVersion", "v1", "fieldPath", "metadata.namespace"))))))))
	return set(spec, "volumes", append(slices.Clone(spec.Get("volumes").List()), volume))
}

// imageID returns the digest that a runtime would report for an image.
func (m *maker) imageID(image string) string {
	if id, ok := m.images[image]; ok {
		return id
	}
	id := image
	if !strings.Contains(image, "@") {
		if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
			id = image[:i]
		}
		id += fmt.Sprintf("@sha256:%x", sha256.Sum256([]byte(image)))
	}
	m.images[image] = id
	return id
}

// qosOf returns the class of a pod by what its containers ask for.
func qosOf(spec node) string {
	some, all := false, true
	for _, field := range []string{"initContainers", "containers"} {
		for _, c := range spec.Get(field).List() {
			requests, limits := labelsOf(c.At("resources", "requests")), labelsOf(c.At("resources", "limits"))
			some = some || len(requests)+len(limits) > 0
			all = all && len(limits) == 2 && maps.Equal(requests, limits)
		}
	}
	switch {
	case !some:
		return "BestEffort"
	case all:
		return "Guaranteed"
	}
	return "Burstable"
}

// add adds a pod on the next worker.
func (p *pods) add(name string, more labels, volumes ...node) {
	n, slot := p.m.place()
	p.addOn(n, slot, name, more, volumes...)
}

func (p *pods) addOn(n machine, slot int, name string, more labels, volumes ...node) {
	m := p.m
	uid, l := m.uid(), p.labelNode
	if len(more) > 0 {
		l = value(merged(p.labels, more))
	}
	start := p.start
	if start == "" {
		start = m.ago(30*day, 0)
	}
	meta := []any{"name", name, "namespace", m.space.name, "uid", uid, "labels", l, "creationTimestamp", start}
	if p.owner != nil {
		meta = append(meta, "ownerReferences", list(ownerOf(p.owner)))
		if kind := p.owner.Get("kind").Str(); kind != "StatefulSet" && kind != "Node" {
			meta = append(meta, "generateName", p.owner.At("metadata", "name").Str()+"-")
		}
	}
	meta = append(meta, "annotations", p.annotations)
	spec := set(p.spec, "nodeName", m.c.nodeName(n))
	if len(volumes) > 0 {
		spec = set(spec, "volumes", append(volumes, p.spec.Get("volumes").List()...))
	}
	ip, ip6 := n.podIP(slot), n.podIP6(slot)
	if p.host {
		ip, ip6 = n.ip(), n.ip6()
	}
	m.add(obj("apiVersion", "v1", "kind", "Pod", "metadata", obj(meta...), "spec", spec, "status", p.status(n, start, ip, ip6)))
	if p.phase == "Running" {
		p.group.pods = append(p.group.pods, placed{name, uid, ip, n})
	}
}

func merged(a, b labels) labels {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

func (p *pods) status(n machine, start, ip, ip6 string) node {
	m := p.m
	state := obj("running", obj("startedAt", start))
	running := p.phase == "Running"
	if !running {
		code, reason := 0, "Completed"
		if p.phase == "Failed" {
			code, reason = 1, "Error"
		}
		state = obj("terminated", obj("exitCode", code, "reason", reason, "startedAt", start, "finishedAt", start))
	}
	statuses := make([]node, 0, len(p.containers))
	for _, c := range p.containers {
		statuses = append(statuses, obj("name", c.name, "image", c.image, "imageID", c.id, "containerID", "containerd://"+m.hex(64),
			"ready", running, "started", running, "restartCount", restarts(m), "state", state))
	}
	status := []any{
		"phase", p.phase, "hostIP", n.ip(), "hostIPs", list(obj("ip", n.ip()), obj("ip", n.ip6())),
		"podIP", ip, "podIPs", list(obj("ip", ip), obj("ip", ip6)), "qosClass", p.qos, "startTime", start, "containerStatuses", statuses,
	}
	if running {
		status = append(status, "conditions", ready)
	}
	return obj(status...)
}

// restarts returns how often a container began anew: mostly never.
func restarts(m *maker) int {
	if m.chance(0.85) {
		return 0
	}
	return 1 + m.r.IntN(12)
}

// service adds a Service; its addresses are made when all pods are there.
func (m *maker) service(root node) {
	m.services++
	spec := root.Get("spec")
	kind := spec.Get("type").Str()
	if kind == "" {
		kind = "ClusterIP"
	}
	if kind != "ClusterIP" && m.nodePorts+spec.Get("ports").Len() > 2768 {
		kind = "ClusterIP" // the range 30000 to 32767 is full, as in a real cluster
	}
	name := root.At("metadata", "name").Str()
	n := m.services + 10
	ip := fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255)
	switch {
	case m.space.name == "default" && name == "kubernetes":
		ip = "10.0.0.1"
	case name == "kube-dns":
		ip = "10.0.0.10"
	case spec.Get("clusterIP") != nil:
		ip = "None"
	}
	spec = orDefault(set(spec, "type", kind, "clusterIP", ip, "clusterIPs", []string{ip}), "ipFamilies", []string{"IPv4"},
		"ipFamilyPolicy", "SingleStack", "internalTrafficPolicy", "Cluster", "sessionAffinity", "None")
	status := obj("loadBalancer", obj())
	if kind != "ClusterIP" {
		spec = orDefault(spec, "externalTrafficPolicy", "Cluster")
		var ports []node
		for _, p := range spec.Get("ports").List() {
			ports = append(ports, set(p, "nodePort", 30000+m.nodePorts))
			m.nodePorts++
		}
		spec = set(spec, "ports", ports)
		if kind == "LoadBalancer" {
			spec = orDefault(spec, "allocateLoadBalancerNodePorts", true)
			if policy := spec.Get("externalTrafficPolicy").Str(); policy == "Local" {
				spec = set(spec, "healthCheckNodePort", 30000+m.nodePorts)
				m.nodePorts++
			}
			status = obj("loadBalancer", obj("ingress", list(obj("ip", fmt.Sprintf("203.0.113.%d", n%250+1)))))
		}
	}
	m.exposed = append(m.exposed, m.add(set(root, "spec", spec, "status", status)))
}

// afterWorkloads adds what is made when the pods are there.
func (m *maker) afterWorkloads() {
	for _, s := range m.exposed {
		selector := labelsOf(s.At("spec", "selector"))
		if len(selector) == 0 {
			continue
		}
		for i := range m.groups {
			if g := &m.groups[i]; selects(selector, g.labels) {
				m.endpointSlices(s, g)
			}
		}
	}
}

func selects(selector, l labels) bool {
	for k, v := range selector {
		if l[k] != v {
			return false
		}
	}
	return true
}

// endpointSlices adds the addresses of a Service, a hundred to a slice.
func (m *maker) endpointSlices(s node, g *group) {
	name := s.At("metadata", "name").Str()
	var ports []node
	for _, p := range s.At("spec", "ports").List() {
		target := p.Get("targetPort")
		n, isNumber := target.Int()
		if !isNumber {
			named, ok := g.ports[target.Str()]
			if !ok {
				panic(fmt.Sprintf("bigcluster: Service %s/%s: its pods have no port %s", m.space.name, name, target.Str()))
			}
			n = int64(named)
		}
		ports = append(ports, obj("name", p.Get("name"), "protocol", p.Get("protocol"), "port", int(n)))
	}
	for chunk := range slices.Chunk(g.pods, 100) {
		var endpoints []node
		for _, p := range chunk {
			endpoints = append(endpoints, obj("addresses", []string{p.ip}, "nodeName", m.c.nodeName(p.node),
				"conditions", serving, "targetRef", obj("kind", "Pod", "namespace", m.space.name, "name", p.name, "uid", p.uid)))
		}
		meta := obj("name", name+"-"+m.suffix(5), "namespace", m.space.name, "generateName", name+"-",
			"labels", labels{"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
			"ownerReferences", list(ownerOf(s)))
		m.add(obj("apiVersion", "discovery.k8s.io/v1", "kind", "EndpointSlice", "metadata", meta,
			"addressType", "IPv4", "ports", ports, "endpoints", endpoints))
	}
}
