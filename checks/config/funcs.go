// Package configchecks holds the Go functions of the checks on ConfigMaps,
// Secrets and volumes in this folder. What they find in a text is never
// repeated in a message.
package configchecks

import "seawall.io/seawall/internal/check"

// Funcs returns the functions by the names that checks use.
func Funcs() map[string]check.Func {
	return map[string]check.Func{
		"configCredential":    credentials,
		"configNoSecretStore": noSecretStore,
		"configPersonalData":  personalData,
		"configVolumeClass":   volumeClass,
	}
}
