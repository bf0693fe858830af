package kube

import "seawall.io/seawall/internal/redact"

// keptStatus says which fields of the status of a resource are kept. The
// status of all others is dropped: it repeats the spec or changes by the
// second, and is a third of what a cluster answers.
var keptStatus = map[string][]string{
	// imageID is what really runs; the addresses and conditions tell where and
	// whether.
	"pods": {
		"phase", "conditions", "hostIP", "hostIPs", "podIP", "podIPs", "qosClass", "startTime",
		"containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses",
	},
	// Without images, which lists every image that the node has pulled.
	"nodes":                  {"addresses", "nodeInfo", "conditions", "daemonEndpoints", "runtimeHandlers", "features"},
	"services":               {"loadBalancer", "conditions"},
	"namespaces":             {"phase", "conditions"},
	"persistentvolumes":      {"phase"},
	"persistentvolumeclaims": {"phase"},
	"resourcequotas":         {"hard", "used"},

	"deployments.apps":  {"replicas", "readyReplicas"},
	"statefulsets.apps": {"replicas", "readyReplicas"},
	"replicasets.apps":  {"replicas", "readyReplicas"},
	"daemonsets.apps":   {"desiredNumberScheduled", "numberReady"},
	"jobs.batch":        {"active", "succeeded", "failed", "startTime", "completionTime"},
	"cronjobs.batch":    {"lastScheduleTime", "lastSuccessfulTime"},

	"ingresses.networking.k8s.io":                    {"loadBalancer"},
	"gateways.gateway.networking.k8s.io":             {"addresses"},
	"apiservices.apiregistration.k8s.io":             {"conditions"},
	"certificatesigningrequests.certificates.k8s.io": {"conditions"},
}

// droppedFields are heavy fields outside of status, as paths through maps and
// lists.
var droppedFields = map[string][][]string{
	// A third of a small cluster's bytes; no check judges the fields of others'
	// schemas.
	"customresourcedefinitions.apiextensions.k8s.io": {
		{"spec", "versions", "schema"},
		{"spec", "versions", "additionalPrinterColumns"},
		{"spec", "validation"},
	},
	// What a container last wrote before it died: 4 KiB each, of any content.
	"pods": {
		{"status", "containerStatuses", "lastState"},
		{"status", "initContainerStatuses", "lastState"},
		{"status", "ephemeralContainerStatuses", "lastState"},
		{"status", "containerStatuses", "state", "terminated", "message"},
		{"status", "initContainerStatuses", "state", "terminated", "message"},
		{"status", "ephemeralContainerStatuses", "state", "terminated", "message"},
	},
}

// cutFor returns what is cut from the items of a resource before they are
// parsed: who manages which field, the copies of applied objects, and what the
// tables of this file say.
func cutFor(r resource) *cut {
	root := &cut{}
	root.drop("metadata", "managedFields")
	for _, a := range redact.AppliedCopies() {
		root.drop("metadata", "annotations", a)
	}
	if kept := keptStatus[r.String()]; len(kept) > 0 {
		root.only(kept, "status")
	} else {
		root.drop("status")
	}
	for _, path := range droppedFields[r.String()] {
		root.drop(path...)
	}
	return root
}
