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

// knowledge is what follows from an object not being in the snapshot.
type knowledge uint8

const (
	certain knowledge = iota // it does not exist
	unread                   // the cluster was not read as a whole
	unsaid                   // it may come from elsewhere than these files
)

// absence says what follows from an object of a core kind not being in the
// snapshot. Files that hold one of the kind for the namespace are taken to hold
// all.
func absence(in *check.Input, kind, namespace string) knowledge {
	switch {
	case in.Snapshot.Whole && len(in.Snapshot.Incomplete) > 0:
		return unread
	case in.Snapshot.Whole:
		return certain
	}
	for _, o := range in.Snapshot.Kind(kind) {
		if o.Group() == "" && (o.Namespace == namespace || o.Namespace == "" && namespace == "default") {
			return certain
		}
	}
	return unsaid
}
