// Package podchecks answers the questions about pods that one object cannot:
// which account a pod has and what that may do, whether what it refers to
// exists, which Services and Namespaces stand around it. Each function serves
// the check whose file names it; none guesses from files what only a cluster
// shows.
package podchecks

import (
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
)

// Funcs returns the functions by the names that the checks' files use.
func Funcs() map[string]check.Func {
	return map[string]check.Func{
		"podDefaultAccount":       defaultAccount,
		"podEnvReferences":        envReferences,
		"podKubeletLogs":          kubeletLogs,
		"podMissingAccount":       missingAccount,
		"podSandbox":              sandbox,
		"podSSHPort":              sshPort,
		"podSubPath":              subPath,
		"podTokenMounted":         tokenMounted,
		"podTokenWithPermissions": tokenWithPermissions,
	}
}

// lookup returns an object of the core group in the namespace of a pod
// template: what names no namespace is taken to be in the default one.
func lookup(in *check.Input, kind string, t *cluster.PodTemplate, name string) *cluster.Object {
	if o := in.Snapshot.Get("", kind, t.Object.Namespace, name); o != nil {
		return o
	}
	if t.Namespace() != "default" {
		return nil
	}
	if o := in.Snapshot.Get("", kind, "default", name); o != nil {
		return o
	}
	return in.Snapshot.Get("", kind, "", name)
}

// holdsKind says whether the snapshot has an object of a core kind in a
// namespace. Files that hold one are taken to hold those of its kind.
func holdsKind(in *check.Input, kind, namespace string) bool {
	for _, o := range in.Snapshot.Kind(kind) {
		if o.Group() == "" && (o.Namespace == namespace || o.Namespace == "" && namespace == "default") {
			return true
		}
	}
	return false
}
