// Package servicechecks holds the Go functions of the checks on Services,
// Ingresses and routes in this folder. Who reaches a Service from outside is
// package cluster's to say.
package servicechecks

import "seawall.io/seawall/internal/check"

// Funcs returns the functions by the names that checks use.
func Funcs() map[string]check.Func {
	return map[string]check.Func{
		"ingressDangling":         ingressDangling,
		"routeDangling":           routeDangling,
		"serviceDangling":         serviceDangling,
		"serviceLoadBalancer":     loadBalancer,
		"serviceMonitorDangling":  monitorDangling,
		"servicePortNames":        portNames,
		"serviceSensitiveExposed": sensitiveExposed,
		"serviceUnauthenticated":  unauthenticated,
	}
}
