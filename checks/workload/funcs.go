// Package workloadchecks holds the Go functions of the checks on workloads in
// this folder: questions that need several objects, the order of the text, or
// more arithmetic than CEL is good for. It decides what is worth a finding;
// which pods a selector selects and who reaches a Service is package cluster's
// to say, and what an account may do package rbac's.
package workloadchecks

import "seawall.io/seawall/internal/check"

// Funcs returns the functions by the names that checks use.
func Funcs() map[string]check.Func {
	return map[string]check.Func{
		"workloadAntiAffinity":      antiAffinity,
		"workloadBudgetBlocks":      budgetBlocks,
		"workloadBudgetExceedsHPA":  budgetExceedsAutoscaler,
		"workloadBudgetMissing":     budgetMissing,
		"workloadContainerPorts":    containerPorts,
		"workloadDeprecatedVersion": deprecatedVersion,
		"workloadExposed":           exposed,
		"workloadHeadlessService":   headlessService,
		"workloadHPADangling":       autoscalerDangling,
		"workloadHPAStaticReplicas": staticReplicas,
		"workloadIdentity":          identity,
		"workloadIngressSnippets":   ingressSnippets,
		"workloadJobTTL":            jobTTL,
		"workloadKeysSorted":        keysSorted,
		"workloadKyvernoSignatures": kyvernoSignatures,
		"workloadLabelValues":       labelValues,
		"workloadMounts":            mounts,
		"workloadProbePort":         probePort,
		"workloadProbesIdentical":   probesIdentical,
		"workloadResourceMissing":   resourceMissing,
		"workloadSchema":            schemaInvalid,
		"workloadSelectorMismatch":  selectorMismatch,
		"workloadSingleReplica":     singleReplica,
		"workloadTopologySpread":    topologySpread,
	}
}
