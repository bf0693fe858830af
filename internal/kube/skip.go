package kube

// skipped says why a resource is never listed. Keys are resources as kubectl
// names them (leases.coordination.k8s.io), or whole groups with a star. The
// list holds what is heavy or changes by the second and says nothing about how
// the cluster is set up, second copies of what another API serves, and tokens.
//
// EndpointSlices are read: where a Service without selector leads, only they
// say.
var skipped = map[string]string{
	"events":                                    "gone after an hour; says what happened, not how the cluster is set up",
	"events.events.k8s.io":                      "the same events",
	"leases.coordination.k8s.io":                "heartbeats",
	"leasecandidates.coordination.k8s.io":       "heartbeats",
	"componentstatuses":                         "deprecated in 1.19; asks the control plane's health on every list",
	"endpoints":                                 "deprecated in 1.33; endpointslices hold the same",
	"controllerrevisions.apps":                  "old copies of pod templates",
	"*.extensions":                              "a second name of resources in apps, networking.k8s.io and policy until 1.22",
	"*.metrics.k8s.io":                          "measurements",
	"*.custom.metrics.k8s.io":                   "measurements",
	"*.external.metrics.k8s.io":                 "measurements",
	"csistoragecapacities.storage.k8s.io":       "measurements",
	"resourceslices.resource.k8s.io":            "an inventory of devices",
	"storageversions.internal.apiserver.k8s.io": "the API server's own bookkeeping",

	"*.wgpolicyk8s.io":                        "reports of other tools, one for each object",
	"*.openreports.io":                        "reports of other tools, one for each object",
	"*.reports.kyverno.io":                    "reports of other tools, one for each object",
	"*.aquasecurity.github.io":                "reports of other tools, megabytes each",
	"*.spdx.softwarecomposition.kubescape.io": "reports of other tools, megabytes each",

	"ciliumendpoints.cilium.io":                      "state of Cilium, one for each pod",
	"ciliumendpointslices.cilium.io":                 "state of Cilium, one for each pod",
	"ciliumidentities.cilium.io":                     "state of Cilium",
	"ipamblocks.crd.projectcalico.org":               "address bookkeeping of Calico",
	"ipamhandles.crd.projectcalico.org":              "address bookkeeping of Calico, one for each pod",
	"blockaffinities.crd.projectcalico.org":          "address bookkeeping of Calico",
	"probes.seawall.io":                              "results of a probe are Seawall's own to make",
	"packagemanifests.packages.operators.coreos.com": "the catalogue of OLM, a hundred megabytes",

	"images.image.openshift.io":                "the layers of every image ever pulled; pods name theirs",
	"imagetags.image.openshift.io":             "a second view of imagestreams",
	"imagestreamtags.image.openshift.io":       "a second view of imagestreams",
	"projects.project.openshift.io":            "a second view of namespaces",
	"*.authorization.openshift.io":             "a second view of rbac.authorization.k8s.io",
	"oauthaccesstokens.oauth.openshift.io":     "tokens",
	"oauthauthorizetokens.oauth.openshift.io":  "tokens",
	"useroauthaccesstokens.oauth.openshift.io": "tokens",
	"tokens.management.cattle.io":              "tokens",
	"tokens.ext.cattle.io":                     "tokens",
}

// isSkipped says that a resource is not to be listed.
func isSkipped(r resource) bool {
	return skipped[r.String()] != "" || (r.group != "" && isSkippedGroup(r.group))
}

func isSkippedGroup(group string) bool { return skipped["*."+group] != "" }
