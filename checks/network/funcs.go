// Package networkchecks holds the Go functions of the checks on network policies
// in this folder. Which pods a policy selects is package netpol's to say; here
// it is decided what of that is worth a finding.
package networkchecks

import "seawall.io/seawall/internal/check"

// Funcs returns the functions by the names that checks use.
func Funcs() map[string]check.Func {
	return map[string]check.Func{
		"networkAllowAll":     allowAll,
		"networkAnyPeer":      anyPeer,
		"networkDangling":     dangling,
		"networkDanglingPeer": danglingPeer,
		"networkNotIsolated":  notIsolated,
		"networkPlugin":       plugin,
	}
}
