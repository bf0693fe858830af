// Package admissionchecks holds the Go functions of the checks on admission
// control in this folder: webhooks, policies, and what is missing of them.
package admissionchecks

import "seawall.io/seawall/internal/check"

// Funcs returns the functions by the names that checks use.
func Funcs() map[string]check.Func {
	return map[string]check.Func{
		"admissionFailOpen":      failOpen,
		"admissionNoImagePolicy": noImagePolicy,
	}
}
