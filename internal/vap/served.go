package vap

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	apiresource "k8s.io/apimachinery/pkg/api/resource"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// The API server shows policies an object after it has filled in defaults, put
// quantities into their normal form, dropped what is empty, and let its own
// admission plugins change pods (k8s.io/kubernetes/pkg/apis/*/v1/defaults.go).
// This file does as much for the kinds and fields that people write policies
// about. Objects of other kinds are shown as written, without their nulls.

type object = map[string]any

// served returns the object of a review as policies see it.
func served(r *review) object {
	root, _ := withoutNulls(r.object.Root).(object)
	if root == nil {
		root = object{}
	}
	meta := child(root, "metadata")
	if r.res.namespaced {
		meta["namespace"] = r.ns
	}
	if r.res.group == "" && r.res.name == "namespaces" {
		serveNamespace(root, r.name)
	}
	dropEmpty(meta, "labels", "annotations", "finalizers", "ownerReferences")
	spec, _ := root["spec"].(object)
	switch r.res.group {
	case "":
		serveCore(r.res.kind, root, spec)
	case "apps", "batch":
		serveWorkload(r.res.kind, spec)
	case "networking.k8s.io":
		if r.res.kind == "NetworkPolicy" {
			serveNetworkPolicy(spec)
		}
	case "autoscaling":
		setDefault(spec, "minReplicas", int64(1))
	case "rbac.authorization.k8s.io":
		serveBinding(root)
	}
	return root
}

func serveNamespace(root object, name string) {
	if name != "" {
		child(child(root, "metadata"), "labels")[nameLabel] = name
	}
	setDefault(child(root, "spec"), "finalizers", []any{"kubernetes"})
	setDefault(child(root, "status"), "phase", "Active")
}

// servedNamespace returns a namespace as policies see it in namespaceObject.
func servedNamespace(o *cluster.Object) object {
	root, _ := withoutNulls(o.Root).(object)
	serveNamespace(root, o.Name)
	delete(root, "apiVersion")
	delete(root, "kind")
	return root
}

// withoutNulls returns a tree as maps and lists, without the entries that are
// null: the API server takes those for absent.
func withoutNulls(n *document.Node) any {
	switch {
	case n.IsNull():
		return nil
	case n.Kind() == document.Map:
		out := make(object, len(n.Map()))
		for _, f := range n.Map() {
			if !f.Value.IsNull() {
				out[f.Key] = withoutNulls(f.Value)
			}
		}
		return out
	case n.Kind() == document.List:
		out := make([]any, len(n.List()))
		for i, item := range n.List() {
			out[i] = withoutNulls(item)
		}
		return out
	}
	return n.Value()
}

// child returns the map at a key, made where there is none.
func child(of object, key string) object {
	m, ok := of[key].(object)
	if !ok {
		m = object{}
		of[key] = m
	}
	return m
}

// setDefault sets a field that is absent. It takes a nil map for one that is
// not there to be filled.
func setDefault(m object, key string, v any) {
	if m != nil && m[key] == nil {
		m[key] = v
	}
}

// dropEmpty drops fields that are empty or false: those that the API omits
// when it writes them.
func dropEmpty(m object, keys ...string) {
	for _, key := range keys {
		switch v := m[key].(type) {
		case object:
			if len(v) == 0 {
				delete(m, key)
			}
		case []any:
			if len(v) == 0 {
				delete(m, key)
			}
		case string:
			if v == "" {
				delete(m, key)
			}
		case bool:
			if !v {
				delete(m, key)
			}
		case int64:
			if v == 0 {
				delete(m, key)
			}
		}
	}
}

// items returns the maps in a list.
func items(m object, key string) []object {
	list, _ := m[key].([]any)
	out := make([]object, 0, len(list))
	for _, v := range list {
		if o, ok := v.(object); ok {
			out = append(out, o)
		}
	}
	return out
}

func serveCore(kind string, root, spec object) {
	switch kind {
	case "Pod":
		servePodSpec(spec)
		admitPod(spec)
		child(root, "status")["phase"] = "Pending"
	case "ReplicationController":
		setDefault(spec, "replicas", int64(1))
		serveTemplate(spec)
	case "PodTemplate":
		template, _ := root["template"].(object)
		inner, _ := template["spec"].(object)
		servePodSpec(inner)
	case "Service":
		serveService(spec)
	case "Secret":
		serveSecret(root)
	case "ConfigMap":
		dropEmpty(root, "data", "binaryData")
	case "ServiceAccount":
		dropEmpty(root, "secrets", "imagePullSecrets")
	case "PersistentVolumeClaim":
		setDefault(spec, "volumeMode", "Filesystem")
		serveQuantities(spec["resources"])
	case "ResourceQuota":
		normalize(spec["hard"])
	}
}

func serveWorkload(kind string, spec object) {
	if spec == nil {
		return
	}
	switch kind {
	case "Deployment":
		setDefault(spec, "replicas", int64(1))
		setDefault(spec, "revisionHistoryLimit", int64(10))
		setDefault(spec, "progressDeadlineSeconds", int64(600))
		strategy := child(spec, "strategy")
		setDefault(strategy, "type", "RollingUpdate")
		if strategy["type"] == "RollingUpdate" {
			rolling := child(strategy, "rollingUpdate")
			setDefault(rolling, "maxUnavailable", "25%")
			setDefault(rolling, "maxSurge", "25%")
		}
		dropEmpty(spec, "paused", "minReadySeconds")
	case "ReplicaSet":
		setDefault(spec, "replicas", int64(1))
	case "StatefulSet":
		setDefault(spec, "replicas", int64(1))
		setDefault(spec, "revisionHistoryLimit", int64(10))
		setDefault(spec, "podManagementPolicy", "OrderedReady")
		strategy := child(spec, "updateStrategy")
		setDefault(strategy, "type", "RollingUpdate")
		if strategy["type"] == "RollingUpdate" {
			setDefault(child(strategy, "rollingUpdate"), "partition", int64(0))
		}
		retention := child(spec, "persistentVolumeClaimRetentionPolicy")
		setDefault(retention, "whenDeleted", "Retain")
		setDefault(retention, "whenScaled", "Retain")
		for _, claim := range items(spec, "volumeClaimTemplates") {
			inner := child(claim, "spec")
			setDefault(claim, "apiVersion", "v1")
			setDefault(claim, "kind", "PersistentVolumeClaim")
			setDefault(inner, "volumeMode", "Filesystem")
			serveQuantities(inner["resources"])
		}
	case "DaemonSet":
		setDefault(spec, "revisionHistoryLimit", int64(10))
		strategy := child(spec, "updateStrategy")
		setDefault(strategy, "type", "RollingUpdate")
		if strategy["type"] == "RollingUpdate" {
			rolling := child(strategy, "rollingUpdate")
			setDefault(rolling, "maxUnavailable", int64(1))
			setDefault(rolling, "maxSurge", int64(0))
		}
	case "Job":
		serveJob(spec)
	case "CronJob":
		setDefault(spec, "concurrencyPolicy", "Allow")
		setDefault(spec, "suspend", false)
		setDefault(spec, "successfulJobsHistoryLimit", int64(3))
		setDefault(spec, "failedJobsHistoryLimit", int64(1))
		template, _ := spec["jobTemplate"].(object)
		job, _ := template["spec"].(object)
		serveTemplate(job)
		return
	default:
		return
	}
	serveTemplate(spec)
}

// serveJob fills in a Job. The template inside of a CronJob gets none of this.
func serveJob(spec object) {
	if spec["completions"] == nil && spec["parallelism"] == nil {
		spec["completions"] = int64(1)
	}
	setDefault(spec, "parallelism", int64(1))
	setDefault(spec, "backoffLimit", int64(6))
	setDefault(spec, "completionMode", "NonIndexed")
	setDefault(spec, "suspend", false)
	if spec["podFailurePolicy"] != nil {
		setDefault(spec, "podReplacementPolicy", "Failed")
	}
	setDefault(spec, "podReplacementPolicy", "TerminatingOrFailed")
}

func serveTemplate(spec object) {
	template, _ := spec["template"].(object)
	if meta, ok := template["metadata"].(object); ok {
		dropEmpty(meta, "labels", "annotations")
	}
	inner, _ := template["spec"].(object)
	servePodSpec(inner)
}

// servePodSpec fills in the spec of a pod or of a template.
func servePodSpec(spec object) {
	if spec == nil {
		return
	}
	setDefault(spec, "restartPolicy", "Always")
	setDefault(spec, "dnsPolicy", "ClusterFirst")
	setDefault(spec, "schedulerName", "default-scheduler")
	setDefault(spec, "terminationGracePeriodSeconds", int64(30))
	setDefault(spec, "securityContext", object{})
	if spec["serviceAccountName"] == nil && spec["serviceAccount"] != nil {
		spec["serviceAccountName"] = spec["serviceAccount"]
	}
	if name := spec["serviceAccountName"]; name != nil {
		spec["serviceAccount"] = name
	}
	host, _ := spec["hostNetwork"].(bool)
	dropEmpty(spec, "hostNetwork", "hostPID", "hostIPC", "nodeName", "nodeSelector", "initContainers",
		"ephemeralContainers", "volumes", "tolerations", "imagePullSecrets", "hostAliases", "hostname", "subdomain",
		"serviceAccountName", "serviceAccount", "priorityClassName", "topologySpreadConstraints")
	for _, list := range [...]string{"initContainers", "containers", "ephemeralContainers"} {
		for _, c := range items(spec, list) {
			serveContainer(c, host)
		}
	}
	for _, v := range items(spec, "volumes") {
		serveVolume(v)
	}
}

func serveContainer(c object, hostNetwork bool) {
	setDefault(c, "terminationMessagePath", "/dev/termination-log")
	setDefault(c, "terminationMessagePolicy", "File")
	image, _ := c["image"].(string)
	policy := "IfNotPresent"
	if img := check.ParseImage(image); img.Digest == "" && (img.Tag == "" || img.Tag == "latest") {
		policy = "Always"
	}
	setDefault(c, "imagePullPolicy", policy)
	setDefault(c, "resources", object{})
	serveQuantities(c["resources"])
	for _, p := range items(c, "ports") {
		setDefault(p, "protocol", "TCP")
		if hostNetwork {
			setDefault(p, "hostPort", p["containerPort"])
		}
		dropEmpty(p, "hostPort", "hostIP", "name")
	}
	for _, probe := range [...]string{"livenessProbe", "readinessProbe", "startupProbe"} {
		p, _ := c[probe].(object)
		setDefault(p, "timeoutSeconds", int64(1))
		setDefault(p, "periodSeconds", int64(10))
		setDefault(p, "successThreshold", int64(1))
		setDefault(p, "failureThreshold", int64(3))
		get, _ := p["httpGet"].(object)
		setDefault(get, "scheme", "HTTP")
		setDefault(get, "path", "/")
		dropEmpty(p, "initialDelaySeconds")
	}
	for _, e := range items(c, "env") {
		dropEmpty(e, "value")
		from, _ := e["valueFrom"].(object)
		ref, _ := from["fieldRef"].(object)
		setDefault(ref, "apiVersion", "v1")
	}
	for _, m := range items(c, "volumeMounts") {
		dropEmpty(m, "readOnly", "subPath", "subPathExpr")
	}
	if sc, ok := c["securityContext"].(object); ok {
		if caps, ok := sc["capabilities"].(object); ok {
			dropEmpty(caps, "add", "drop")
		}
	}
	dropEmpty(c, "command", "args", "env", "envFrom", "ports", "volumeMounts", "volumeDevices", "stdin", "stdinOnce", "tty", "workingDir", "image")
}

func serveVolume(v object) {
	if len(v) == 1 { // the name alone
		v["emptyDir"] = object{}
	}
	mode := int64(0o644)
	for _, source := range [...]string{"secret", "configMap", "downwardAPI", "projected"} {
		m, _ := v[source].(object)
		setDefault(m, "defaultMode", mode)
		for _, s := range items(m, "sources") {
			token, _ := s["serviceAccountToken"].(object)
			setDefault(token, "expirationSeconds", int64(3600))
		}
	}
	path, _ := v["hostPath"].(object)
	setDefault(path, "type", "")
	if dir, ok := v["emptyDir"].(object); ok && dir["sizeLimit"] != nil {
		dir["sizeLimit"] = quantity(dir["sizeLimit"])
	}
}

// admitPod does what defaulting and the admission plugins of the API server do
// to pods alone, and not to templates: requests from limits, the account and
// its token, priority and tolerations.
func admitPod(spec object) {
	if spec == nil {
		return
	}
	setDefault(spec, "enableServiceLinks", true)
	for _, list := range [...]string{"initContainers", "containers"} {
		for _, c := range items(spec, list) {
			resources, _ := c["resources"].(object)
			limits, _ := resources["limits"].(object)
			if len(limits) == 0 {
				continue
			}
			requests := child(resources, "requests")
			for name, q := range limits {
				setDefault(requests, name, q)
			}
		}
	}
	setDefault(spec, "serviceAccountName", "default")
	spec["serviceAccount"] = spec["serviceAccountName"]
	setDefault(spec, "preemptionPolicy", "PreemptLowerPriority")
	if spec["priorityClassName"] == nil {
		setDefault(spec, "priority", int64(0))
	}
	list, _ := spec["tolerations"].([]any)
	for _, key := range [...]string{"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"} {
		tolerated := slices.ContainsFunc(list, func(v any) bool {
			t, _ := v.(object)
			return (t["key"] == key || t["key"] == nil) && (t["effect"] == "NoExecute" || t["effect"] == nil)
		})
		if !tolerated {
			list = append(list, object{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": int64(300)})
		}
	}
	spec["tolerations"] = list
	if mount, given := spec["automountServiceAccountToken"].(bool); mount || !given {
		mountToken(spec)
	}
}

// tokenPath is where the token of the service account goes.
const tokenPath = "/var/run/secrets/kubernetes.io/serviceaccount" //nolint:gosec // a path, no secret

// mountToken mounts the token in each container that has nothing there yet. The
// API server ends the volume's name with five random characters.
func mountToken(spec object) {
	const name = "kube-api-access-00000"
	needed := false
	for _, list := range [...]string{"initContainers", "containers"} {
		for _, c := range items(spec, list) {
			mounts, _ := c["volumeMounts"].([]any)
			if slices.ContainsFunc(mounts, func(v any) bool { m, _ := v.(object); return m["mountPath"] == tokenPath }) {
				continue
			}
			c["volumeMounts"] = append(mounts, object{"name": name, "readOnly": true, "mountPath": tokenPath})
			needed = true
		}
	}
	if !needed {
		return
	}
	volumes, _ := spec["volumes"].([]any)
	field := object{"apiVersion": "v1", "fieldPath": "metadata.namespace"}
	spec["volumes"] = append(volumes, object{"name": name, "projected": object{
		"defaultMode": int64(0o644),
		"sources": []any{
			object{"serviceAccountToken": object{"expirationSeconds": int64(3607), "path": "token"}},
			object{"configMap": object{"name": "kube-root-ca.crt", "items": []any{object{"key": "ca.crt", "path": "ca.crt"}}}},
			object{"downwardAPI": object{"items": []any{object{"path": "namespace", "fieldRef": field}}}},
		},
	}})
}

// servedPod makes the pod that a template will become.
func servedPod(o *cluster.Object, t *cluster.PodTemplate) object {
	meta, _ := withoutNulls(t.Root.Get("metadata")).(object)
	if meta == nil {
		meta = object{}
	}
	dropEmpty(meta, "labels", "annotations")
	meta["namespace"], meta["generateName"] = t.Namespace(), strings.TrimSuffix(o.Name, "-")+"-"
	delete(meta, "name")
	spec, _ := withoutNulls(t.Spec()).(object)
	root := object{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": object{"phase": "Pending"}}
	servePodSpec(spec)
	admitPod(spec)
	return root
}

func serveService(spec object) {
	if spec == nil {
		return
	}
	setDefault(spec, "type", "ClusterIP")
	setDefault(spec, "sessionAffinity", "None")
	for _, p := range items(spec, "ports") {
		setDefault(p, "protocol", "TCP")
		if p["targetPort"] == nil || p["targetPort"] == int64(0) || p["targetPort"] == "" {
			p["targetPort"] = p["port"]
		}
		dropEmpty(p, "nodePort", "name")
	}
	if spec["type"] == "ExternalName" {
		return
	}
	setDefault(spec, "internalTrafficPolicy", "Cluster")
	if spec["type"] == "NodePort" || spec["type"] == "LoadBalancer" {
		setDefault(spec, "externalTrafficPolicy", "Cluster")
	}
	if spec["type"] == "LoadBalancer" {
		setDefault(spec, "allocateLoadBalancerNodePorts", true)
	}
	dropEmpty(spec, "selector", "externalIPs", "loadBalancerSourceRanges", "loadBalancerIP", "publishNotReadyAddresses")
}

func serveSecret(root object) {
	setDefault(root, "type", "Opaque")
	plain, _ := root["stringData"].(object)
	if len(plain) > 0 {
		data := child(root, "data")
		for k, v := range plain {
			if s, ok := v.(string); ok {
				data[k] = base64.StdEncoding.EncodeToString([]byte(s))
			}
		}
	}
	delete(root, "stringData")
	dropEmpty(root, "data")
}

func serveNetworkPolicy(spec object) {
	if spec == nil {
		return
	}
	if spec["policyTypes"] == nil {
		policies := []any{"Ingress"}
		if egress, _ := spec["egress"].([]any); len(egress) > 0 {
			policies = append(policies, "Egress")
		}
		spec["policyTypes"] = policies
	}
	setDefault(spec, "podSelector", object{})
	dropEmpty(spec, "ingress", "egress")
	for _, direction := range [...]string{"ingress", "egress"} {
		for _, rule := range items(spec, direction) {
			dropEmpty(rule, "from", "to", "ports")
			for _, p := range items(rule, "ports") {
				setDefault(p, "protocol", "TCP")
			}
		}
	}
}

func serveBinding(root object) {
	if ref, ok := root["roleRef"].(object); ok {
		setDefault(ref, "apiGroup", "rbac.authorization.k8s.io")
	}
	for _, s := range items(root, "subjects") {
		if s["kind"] != "ServiceAccount" {
			setDefault(s, "apiGroup", "rbac.authorization.k8s.io")
		}
	}
	dropEmpty(root, "subjects")
}

// serveQuantities puts limits and requests into their normal form.
func serveQuantities(v any) {
	resources, _ := v.(object)
	for _, list := range [...]string{"limits", "requests"} {
		normalize(resources[list])
	}
	dropEmpty(resources, "limits", "requests", "claims")
}

func normalize(v any) {
	m, _ := v.(object)
	for _, name := range slices.Collect(maps.Keys(m)) {
		m[name] = quantity(m[name])
	}
}

// quantity returns a quantity as the API server writes it: 1000m is 1.
func quantity(v any) any {
	text, ok := v.(string)
	if !ok {
		text = string(document.FromValue(v).AppendJSON(nil))
	}
	q, err := apiresource.ParseQuantity(text)
	if err != nil {
		return v
	}
	return q.String()
}
