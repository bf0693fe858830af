package attack_test

import (
	"testing"

	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/cluster"
)

// TestProviders holds what depends on who runs the cluster, which its version
// tells.
func TestProviders(t *testing.T) {
	const text = `
apiVersion: v1
kind: ConfigMap
metadata: {name: aws-auth, namespace: kube-system}
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: shop}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {automountServiceAccountToken: false, containers: [{name: c, image: a}]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: all}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{kind: Group, apiGroup: rbac.authorization.k8s.io, name: "system:authenticated"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: mapper}
rules:
- {apiGroups: [""], resources: [configmaps], resourceNames: [aws-auth], verbs: [patch]}
- {apiGroups: [certificates.k8s.io], resources: [certificatesigningrequests, certificatesigningrequests/approval], verbs: [create, update]}
- {apiGroups: [certificates.k8s.io], resources: [signers], resourceNames: [kubernetes.io/kube-apiserver-client], verbs: [approve]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: mapper}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: mapper}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: ann}]
`
	for _, c := range []struct {
		version, from, to string
		want              bool
	}{
		{"v1.33.4-gke.100", "the internet", "Secret shop/db", true}, // any Google account
		{"v1.33.4", "the internet", "Secret shop/db", false},
		{"v1.33.4-eks-1a2b3c", "the internet", "Secret shop/db", false},
		{"v1.33.4-eks-1a2b3c", "user ann", "cluster-admin", true}, // aws-auth
		{"v1.33.4-gke.100", "user ann", "cluster-admin", false},
		{"v1.33.4", "user ann", "a certificate of any name", true},
		{"v1.33.4-eks-1a2b3c", "user ann", "a certificate of any name", false}, // its signer leaves them alone
	} {
		s := snapshot(t, text)
		s.Whole, s.Version = true, c.version
		g := attack.Build([]*cluster.Snapshot{s}, attack.Options{})
		if missing(g, c.to) {
			if c.want {
				t.Errorf("%s: no vertex %q", c.version, c.to)
			}
			continue
		}
		if got := route(t, g, c.from, c.to); (got != "") != c.want {
			t.Errorf("%s: %s -> %s: got %q, want a path: %v", c.version, c.from, c.to, got, c.want)
		}
	}
}
