package bigcluster

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/rbac"
)

const rbacGroup = "rbac.authorization.k8s.io"

// ofCluster adds what stands in no namespace, but volumes.
func (m *maker) ofCluster() {
	for n := range machine(m.c.o.Nodes) {
		root := m.node(n)
		if n.control() {
			m.controls = append(m.controls, root)
		}
	}
	for _, root := range m.c.platform[""] {
		if root.Get("kind").Str() != "Namespace" {
			m.add(root)
		}
	}
	m.namespaces()
	m.definitions()
	m.defaultRBAC("")
	m.clusterRBAC()
}

// node adds a Node: most are of a general pool; every fiftieth has a GPU and
// is left to other pods only when the rest is full.
func (m *maker) node(n machine) node {
	role, zone := "node-role.kubernetes.io/worker", string("abc"[int(n)%3])
	l := labels{
		"kubernetes.io/hostname": m.c.nodeName(n), "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
		"topology.kubernetes.io/region": "region-1", "topology.kubernetes.io/zone": "region-1" + zone,
		"node.kubernetes.io/instance-type": "general-16x64", "pool": "general",
	}
	var taints []node
	switch {
	case n.control():
		role = "node-role.kubernetes.io/control-plane"
		l["node.kubernetes.io/exclude-from-external-load-balancers"], l["pool"] = "", "control-plane"
		taints = append(taints, obj("key", role, "effect", "NoSchedule"))
	case n%50 == 0:
		l["pool"], l["node.kubernetes.io/instance-type"], l["nvidia.com/gpu.present"] = "gpu", "gpu-8x64", "true"
		taints = append(taints, obj("key", "nvidia.com/gpu", "value", "present", "effect", "PreferNoSchedule"))
	}
	l[role] = ""
	instance := m.hex(17)
	provider := map[string]string{
		"aws": "aws:///region-1" + zone + "/i-" + instance,
		"gcp": "gce://example-project/region-1-" + zone + "/" + strings.SplitN(m.c.nodeName(n), ".", 2)[0],
		"azure": "azure:///subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/" + m.c.o.Name +
			"/providers/Microsoft.Compute/virtualMachines/" + strings.SplitN(m.c.nodeName(n), ".", 2)[0],
	}[m.c.o.Provider]
	cidrs := []string{fmt.Sprintf("10.%d.%d.0/24", 64+int(n)>>8, int(n)&255), fmt.Sprintf("fd00:64:0:%x::/64", int(n))}
	return m.add(obj("apiVersion", "v1", "kind", "Node", "metadata", obj("name", m.c.nodeName(n), "labels", l,
		"annotations", labels{"node.alpha.kubernetes.io/ttl": "0"}),
		"spec", obj("podCIDR", cidrs[0], "podCIDRs", cidrs, "providerID", provider, "taints", taints),
		"status", obj(
			"addresses", list(obj("type", "InternalIP", "address", n.ip()), obj("type", "InternalIP", "address", n.ip6()),
				obj("type", "Hostname", "address", m.c.nodeName(n))),
			"conditions", nodeConditions, "daemonEndpoints", obj("kubeletEndpoint", obj("Port", 10250)),
			"nodeInfo", obj("architecture", "amd64", "bootID", m.uid(), "machineID", m.hex(32), "systemUUID", m.uid(),
				"containerRuntimeVersion", "containerd://2.2.0", "kernelVersion", "6.12.57+deb13-cloud-amd64",
				"kubeProxyVersion", "", "kubeletVersion", m.c.o.Version, "operatingSystem", "linux",
				"osImage", "Debian GNU/Linux 13 (trixie)"))))
}

var nodeConditions = conditions("Ready")

// namespaces adds the Namespace of every space.
func (m *maker) namespaces() {
	given := map[string]labels{}
	for _, root := range m.c.platform[""] {
		if root.Get("kind").Str() == "Namespace" {
			given[root.At("metadata", "name").Str()] = labelsOf(root.At("metadata", "labels"))
		}
	}
	for i := range m.c.spaces {
		s := &m.c.spaces[i]
		l := given[s.name].with("kubernetes.io/metadata.name", s.name)
		var annotations labels
		if s.team != "" {
			l["team"], l["environment"] = s.team, s.env
			annotations = labels{"contact": s.team + "@example.com"}
			switch {
			case s.level != "":
				l["pod-security.kubernetes.io/enforce"] = s.level
				if s.env == "prod" {
					l["pod-security.kubernetes.io/enforce-version"] = "v1." + strings.Split(m.c.o.Version, ".")[1]
				}
			case m.chance(0.3):
				l["pod-security.kubernetes.io/warn"], l["pod-security.kubernetes.io/audit"] = "baseline", "restricted"
			case m.chance(0.1):
				l["pod-security.kubernetes.io/enforce"] = "privileged"
			}
		}
		m.object("v1", "Namespace", s.name, l, annotations,
			"spec", obj("finalizers", []string{"kubernetes"}), "status", obj("phase", "Active"))
	}
}

// kinds are the custom kinds of which there are objects, or could be: group,
// version, kind, plural, scope.
const kinds = `
argoproj.io v1alpha1 AppProject appprojects Namespaced
argoproj.io v1alpha1 Application applications Namespaced
argoproj.io v1alpha1 ApplicationSet applicationsets Namespaced
cert-manager.io v1 Certificate certificates Namespaced
cert-manager.io v1 ClusterIssuer clusterissuers Cluster
cert-manager.io v1 Issuer issuers Namespaced
cilium.io v2 CiliumNetworkPolicy ciliumnetworkpolicies Namespaced
cluster.x-k8s.io v1beta2 Cluster clusters Namespaced
external-secrets.io v1 ClusterSecretStore clustersecretstores Cluster
external-secrets.io v1 ExternalSecret externalsecrets Namespaced
gateway.networking.k8s.io v1 Gateway gateways Namespaced
gateway.networking.k8s.io v1 GatewayClass gatewayclasses Cluster
gateway.networking.k8s.io v1 HTTPRoute httproutes Namespaced
helm.toolkit.fluxcd.io v2 HelmRelease helmreleases Namespaced
kustomize.toolkit.fluxcd.io v1 Kustomization kustomizations Namespaced
kyverno.io v1 ClusterPolicy clusterpolicies Cluster
kyverno.io v2 PolicyException policyexceptions Namespaced
monitoring.coreos.com v1 ServiceMonitor servicemonitors Namespaced
policy.networking.k8s.io v1alpha1 AdminNetworkPolicy adminnetworkpolicies Cluster
policy.networking.k8s.io v1alpha1 BaselineAdminNetworkPolicy baselineadminnetworkpolicies Cluster
policy.networking.k8s.io v1alpha2 ClusterNetworkPolicy clusternetworkpolicies Cluster
source.toolkit.fluxcd.io v1 GitRepository gitrepositories Namespaced
`

// definitions adds the CustomResourceDefinitions, without schemas: a snapshot
// of a cluster holds none either.
func (m *maker) definitions() {
	for line := range strings.Lines(strings.TrimSpace(kinds)) {
		f := strings.Fields(line)
		m.object("apiextensions.k8s.io/v1", "CustomResourceDefinition", f[3]+"."+f[0], nil, nil, "spec", obj(
			"group", f[0], "scope", f[4],
			"names", obj("kind", f[2], "listKind", f[2]+"List", "plural", f[3], "singular", strings.ToLower(f[2])),
			"versions", list(obj("name", f[1], "served", true, "storage", true))))
	}
}

// defaultRBAC adds the roles and bindings that Kubernetes itself keeps in
// a namespace.
func (m *maker) defaultRBAC(namespace string) {
	defaults := rbac.Defaults()
	meta := func(name string, l labels) node {
		return obj("name", name, "namespace", orNil(namespace), "labels", l.with("kubernetes.io/bootstrapping", "rbac-defaults"),
			"annotations", labels{"rbac.authorization.kubernetes.io/autoupdate": "true"})
	}
	for _, r := range defaults.Roles {
		if r.Namespace != namespace {
			continue
		}
		var l labels
		for _, to := range r.AggregatesTo() {
			l = l.with("rbac.authorization.k8s.io/aggregate-to-"+to, "true")
		}
		var rules []node
		for _, rule := range r.Rules {
			rules = append(rules, obj("verbs", rule.Verbs, "apiGroups", rule.APIGroups, "resources", rule.Resources,
				"resourceNames", rule.ResourceNames, "nonResourceURLs", rule.NonResourceURLs))
		}
		root := obj("apiVersion", rbacGroup+"/v1", "kind", r.Kind, "metadata", meta(r.Name, l), "rules", list(rules...))
		if r.Aggregated {
			root = set(root, "aggregationRule", obj("clusterRoleSelectors",
				list(obj("matchLabels", labels{"rbac.authorization.k8s.io/aggregate-to-" + r.Name: "true"}))))
		}
		m.add(root)
	}
	for _, b := range defaults.Bindings {
		if b.Namespace != namespace {
			continue
		}
		var subjects []node
		for _, s := range b.Subjects {
			subjects = append(subjects, subject(s.Kind, s.Namespace, s.Name))
		}
		m.add(obj("apiVersion", rbacGroup+"/v1", "kind", b.Kind, "metadata", meta(b.Name, nil),
			"roleRef", roleRef(b.RoleKind, b.RoleName), "subjects", subjects))
	}
}

// orNil leaves an empty text out of what obj makes.
func orNil(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func subject(kind, namespace, name string) node {
	group := rbacGroup
	if kind == "ServiceAccount" {
		group = ""
	}
	return obj("apiGroup", orNil(group), "kind", kind, "name", name, "namespace", orNil(namespace))
}

func roleRef(kind, name string) node { return obj("apiGroup", rbacGroup, "kind", kind, "name", name) }

func rule(groups, resources, verbs []string, names ...string) node {
	return obj("apiGroups", groups, "resources", resources, "verbs", verbs, "resourceNames", names)
}

func (m *maker) clusterBinding(name, role string, subjects ...node) {
	m.object(rbacGroup+"/v1", "ClusterRoleBinding", name, nil, nil, "roleRef", roleRef("ClusterRole", role), "subjects", subjects)
}

// platformBindings are the cluster-wide rights of the platform's accounts:
// namespace, account, ClusterRole.
var platformBindings = [][3]string{
	{"argocd", "argocd-application-controller", "argocd-application-controller"},
	{"argocd", "argocd-server", "argocd-server"},
	{"cert-manager", "cert-manager", "cert-manager-controller"},
	{"external-secrets", "external-secrets", "external-secrets-controller"},
	{"flux-system", "kustomize-controller", "cluster-admin"},
	{"ingress-nginx", "ingress-nginx", "ingress-nginx"},
	{"kube-system", "cilium", "cilium"},
	{"kube-system", "cilium-operator", "cilium-operator"},
	{"kube-system", "cluster-autoscaler", "cluster-autoscaler"},
	{"kube-system", "coredns", "system:kube-dns"},
	{"kube-system", "csi-controller", "csi-controller"},
	{"kube-system", "external-dns", "external-dns"},
	{"kube-system", "kube-proxy", "system:node-proxier"},
	{"kube-system", "metrics-server", "metrics-server"},
	{"kyverno", "kyverno-admission-controller", "kyverno:admission-controller"},
	{"logging", "fluent-bit", "fluent-bit"},
	{"monitoring", "kube-state-metrics", "kube-state-metrics"},
	{"monitoring", "prometheus", "prometheus"},
	{"velero", "velero", "cluster-admin"},
}

// clusterRBAC adds the cluster-wide rights of people, of the platform and of
// those teams that were given more than they should have been.
func (m *maker) clusterRBAC() {
	for _, b := range platformBindings {
		m.clusterBinding("platform:"+b[0]+":"+b[1], b[2], subject("ServiceAccount", b[0], b[1]))
	}
	m.clusterBinding("platform-admins", "cluster-admin", subject("Group", "", "oidc:platform-admins"))
	m.clusterBinding("security-audit", "view", subject("Group", "", "oidc:security"), subject("User", "", "auditor@example.com"))
	m.object(rbacGroup+"/v1", "ClusterRole", "sre-oncall", nil, nil, "rules", list(
		rule([]string{""}, []string{"pods", "pods/log", "pods/exec", "nodes", "events"}, []string{"get", "list", "watch", "create"}),
		rule([]string{""}, []string{"nodes/proxy"}, []string{"get"}),
		rule([]string{"apps"}, []string{"deployments", "statefulsets"}, []string{"get", "list", "watch", "patch"})))
	m.clusterBinding("sre-oncall", "sre-oncall", subject("Group", "", "oidc:sre"))
	m.object(rbacGroup+"/v1", "ClusterRole", "ci-deployer", nil, nil, "rules", list(
		rule([]string{"apps", "batch"}, []string{"*"}, []string{"*"}),
		rule([]string{""}, []string{"pods", "secrets", "configmaps", "services", "serviceaccounts"}, []string{"*"})))
	done := map[string]bool{}
	for i := range m.c.spaces {
		s := &m.c.spaces[i]
		if s.team == "" || done[s.team] {
			continue
		}
		done[s.team] = true
		ci := subject("ServiceAccount", s.name, "ci-deployer")
		switch p := m.r.Float64(); {
		case p < 0.02: // to get the release out
			m.clusterBinding("ci-"+s.team, "cluster-admin", ci)
		case p < 0.06:
			m.clusterBinding("ci-"+s.team, "ci-deployer", ci)
		}
	}
}

// serviceAccount adds an account of the namespace at hand, once.
func (m *maker) serviceAccount(name string, annotations labels, a account) {
	if _, known := m.accounts[name]; known {
		return
	}
	a.uid = m.uid()
	m.accounts[name] = a
	kv := []any{}
	if a.noToken {
		kv = append(kv, "automountServiceAccountToken", false)
	}
	if annotations == nil {
		annotations = m.cloudRole(name)
	}
	meta := obj("name", name, "namespace", m.space.name, "uid", a.uid, "annotations", annotations)
	m.add(obj(append(kv, "apiVersion", "v1", "kind", "ServiceAccount", "metadata", meta)...))
}

// cloudRole returns the annotation by which an account of the platform assumes
// a role of the cloud. external-dns and velero assume the same one in all
// clusters, as they do where one zone and one bucket serve all.
func (m *maker) cloudRole(name string) labels {
	if m.space.team != "" {
		return nil
	}
	switch name {
	case "external-dns", "velero":
		return m.roleAnnotation("shared-" + name)
	case "cluster-autoscaler", "csi-controller", "external-secrets", "loki":
		return m.roleAnnotation(m.c.o.Name + "-" + name)
	}
	return nil
}

// roleAnnotation names a role as each cloud does.
func (m *maker) roleAnnotation(role string) labels {
	switch m.c.o.Provider {
	case "gcp":
		return labels{"iam.gke.io/gcp-service-account": role + "@example-project.iam.gserviceaccount.com"}
	case "azure":
		return labels{"azure.workload.identity/client-id": uidOf(role)}
	}
	return labels{"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/" + role}
}

// ofPlatform adds what a namespace of the platform holds.
func (m *maker) ofPlatform() {
	m.everyNamespace()
	m.defaultRBAC(m.space.name)
	for _, root := range m.c.platform[m.space.name] {
		switch root.Get("kind").Str() {
		case "Deployment", "StatefulSet", "DaemonSet":
			m.workload(root, rollout{old: m.r.IntN(4)})
		case "Service":
			m.service(root)
		default:
			m.add(root)
		}
	}
	switch m.space.name {
	case "kube-system":
		m.staticPods()
		if m.c.o.Provider == "aws" {
			m.awsAuth()
		}
	case "kube-public":
		m.object("v1", "ConfigMap", "cluster-info", nil, nil, "data", labels{"kubeconfig": m.kubeconfig(m.c.o, "", "")})
	case "argocd":
		m.argoCD()
	case "flux-system":
		m.flux()
	case "ci":
		m.secret("gitlab-runner", "Opaque", nil, labels{"runner-token": "glrt-" + m.text(letters, 20)})
		m.ciAccess()
	case "cert-manager":
		m.secret("letsencrypt-account", "Opaque", nil, labels{"tls.key": m.privateKey()})
	case "gateway-system":
		m.tlsSecret("wildcard-tls", "*."+m.c.domain())
	case "velero":
		m.secret("cloud-credentials", "Opaque", nil, labels{"cloud": "[default]\naws_access_key_id=AKIAIOSFODNN7EXAMPLE\naws_secret_access_key=" +
			"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n"})
	}
}

// everyNamespace adds what controllers make in every namespace.
func (m *maker) everyNamespace() {
	m.serviceAccount("default", nil, account{})
	m.object("v1", "ConfigMap", "kube-root-ca.crt", nil,
		labels{"kubernetes.io/description": "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints."},
		"data", labels{"ca.crt": m.authority(m.c.o).pem})
}

// awsAuth maps roles of the cloud to groups of the cluster. A role that is
// shared by clusters is an administrator of each.
func (m *maker) awsAuth() {
	roles := "- rolearn: arn:aws:iam::111122223333:role/" + m.c.o.Name + "-node\n  username: system:node:{{EC2PrivateDNSName}}\n" +
		"  groups: [system:bootstrappers, system:nodes]\n" +
		"- rolearn: arn:aws:iam::111122223333:role/shared-deployer\n  username: deployer\n  groups: [system:masters]\n"
	m.object("v1", "ConfigMap", "aws-auth", nil, nil, "data", labels{"mapRoles": roles})
}

// staticPods adds the mirrors of the control plane's own pods.
func (m *maker) staticPods() {
	apiserver := []string{
		"kube-apiserver", "--authorization-mode=Node,RBAC", "--client-ca-file=/etc/kubernetes/pki/ca.crt",
		"--enable-admission-plugins=NodeRestriction", "--etcd-servers=https://127.0.0.1:2379",
		"--service-account-issuer=" + issuerOf(m.c.o), "--service-cluster-ip-range=10.0.0.0/12",
		"--service-account-key-file=/etc/kubernetes/pki/sa.pub", "--tls-cert-file=/etc/kubernetes/pki/apiserver.crt",
	}
	parts := []struct {
		name    string
		command []string
		image   string
	}{
		{"etcd", []string{"etcd", "--client-cert-auth=true", "--data-dir=/var/lib/etcd", "--trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt"}, "etcd:3.6.6-0"},
		{"kube-apiserver", apiserver, "kube-apiserver:" + m.c.o.Version},
		{"kube-controller-manager", []string{
			"kube-controller-manager", "--use-service-account-credentials=true", "--bind-address=127.0.0.1",
			"--service-account-private-key-file=/etc/kubernetes/pki/sa.key",
		}, "kube-controller-manager:" + m.c.o.Version},
		{"kube-scheduler", []string{"kube-scheduler", "--bind-address=127.0.0.1", "--kubeconfig=/etc/kubernetes/scheduler.conf"}, "kube-scheduler:" + m.c.o.Version},
	}
	for _, part := range parts {
		path := "/etc/kubernetes"
		if part.name == "etcd" {
			path = "/var/lib/etcd"
		}
		spec := obj("hostNetwork", true, "priorityClassName", "system-node-critical", "automountServiceAccountToken", false,
			"tolerations", list(obj("operator", "Exists", "effect", "NoExecute")),
			"containers", list(obj("name", part.name, "image", "registry.k8s.io/"+part.image, "command", part.command,
				"resources", obj("requests", labels{"cpu": "200m"}),
				"volumeMounts", list(obj("name", "files", "mountPath", path)))),
			"volumes", list(obj("name", "files", "hostPath", obj("path", path, "type", "DirectoryOrCreate"))))
		for n, owner := range m.controls {
			hash := m.hex(32)
			template := defaultTemplate(obj("metadata", obj("labels", labels{"component": part.name, "tier": "control-plane"},
				"annotations", labels{"kubernetes.io/config.mirror": hash, "kubernetes.io/config.hash": hash, "kubernetes.io/config.source": "file"}),
				"spec", spec))
			p := m.newPods(template, owner)
			p.spec = set(p.spec, "serviceAccountName", nil, "serviceAccount", nil, "automountServiceAccountToken", nil)
			p.addOn(machine(n), 0, part.name+"-"+m.c.nodeName(machine(n)), nil)
		}
	}
}

// ciAccess adds the accounts with which pipelines of teams deploy, and the
// secrets that let one reach the next cluster.
func (m *maker) ciAccess() {
	m.serviceAccount("deployer", m.roleAnnotation("shared-deployer"), account{})
	m.tokenSecret("deployer")
	if next, ok := m.next(); ok {
		m.secret("kubeconfig-"+next.Name, "Opaque", nil, labels{"config": m.kubeconfig(next, "ci", "deployer")})
	}
}

// next returns the options of the next cluster of a fleet.
func (m *maker) next() (Options, bool) {
	if len(m.c.peers) < 2 {
		return Options{}, false
	}
	i := slices.Index(m.c.peers, m.c.o)
	return m.c.peers[(i+1)%len(m.c.peers)], true
}

// argoCD adds Applications of teams and, in the first cluster of a fleet, the
// keys to the others.
func (m *maker) argoCD() {
	m.secret("argocd-initial-admin-secret", "Opaque", nil, labels{"password": m.text(letters, 16)})
	m.object("argoproj.io/v1alpha1", "AppProject", "default", nil, nil, "spec", obj(
		"sourceRepos", []string{"*"}, "destinations", list(obj("server", "*", "namespace", "*")),
		"clusterResourceWhitelist", list(obj("group", "*", "kind", "*"))))
	targets := []string{"https://kubernetes.default.svc"}
	if len(m.c.peers) > 1 && m.c.peers[0] == m.c.o {
		for _, p := range m.c.peers[1:] {
			targets = append(targets, serverOf(p))
			config := fmt.Sprintf(`{"bearerToken":%q,"tlsClientConfig":{"insecure":false,"caData":%q}}`,
				m.token(p, "kube-system", "argocd-manager"), base64.StdEncoding.EncodeToString([]byte(m.authority(p).pem)))
			m.secret("cluster-"+p.Name, "Opaque", labels{"argocd.argoproj.io/secret-type": "cluster"},
				labels{"name": p.Name, "server": serverOf(p), "config": config})
			m.secret(p.Name+"-kubeconfig", "cluster.x-k8s.io/secret", labels{"cluster.x-k8s.io/cluster-name": p.Name},
				labels{"value": m.kubeconfig(p, "kube-system", "cluster-api")})
			m.object("cluster.x-k8s.io/v1beta2", "Cluster", p.Name, nil, nil, "spec", obj(
				"controlPlaneEndpoint", obj("host", "api."+domainOf(p.Name), "port", 6443)))
		}
	}
	for i := range m.c.spaces {
		s := &m.c.spaces[i]
		if s.team == "" || s.env == "dev" {
			continue
		}
		for j, server := range targets {
			name := s.name
			if j > 0 {
				name += "-" + m.c.peers[j].Name
			}
			m.object("argoproj.io/v1alpha1", "Application", name, labels{"team": s.team}, nil, "spec", obj(
				"project", "default", "destination", obj("server", server, "namespace", s.name),
				"source", obj("repoURL", "https://git.example.com/"+s.team+"/deploy", "path", s.env, "targetRevision", "main"),
				"syncPolicy", obj("automated", obj("prune", true, "selfHeal", true))))
		}
	}
}

// flux adds the key by which the cluster applies to the next one of its fleet.
func (m *maker) flux() {
	next, ok := m.next()
	if !ok {
		return
	}
	m.secret("kubeconfig-"+next.Name, "Opaque", nil, labels{"value": m.kubeconfig(next, "flux-system", "kustomize-controller")})
	m.object("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "remote-"+next.Name, nil, nil, "spec", obj(
		"interval", "10m", "path", "./clusters/"+next.Name, "prune", true, "sourceRef", obj("kind", "GitRepository", "name", "fleet"),
		"kubeConfig", obj("secretRef", obj("name", "kubeconfig-"+next.Name, "key", "value"))))
}

// secret adds a Secret.
func (m *maker) secret(name, kind string, l, values labels) node {
	data := labels{}
	for k, v := range values {
		data[k] = base64.StdEncoding.EncodeToString([]byte(v))
	}
	return m.object("v1", "Secret", name, l, nil, "type", kind, "data", data)
}

// tlsSecret adds the certificate of a host, which all that ask for it in
// a namespace share.
func (m *maker) tlsSecret(name, host string) {
	if m.tls == nil {
		cert, key := m.certificate(host)
		m.tls = labels{"tls.crt": cert, "tls.key": key}
	}
	m.secret(name, "kubernetes.io/tls", nil, m.tls)
}

// tokenSecret adds a token that never expires, as clusters from before 1.24
// keep them.
func (m *maker) tokenSecret(account string) {
	s := m.secret(account+"-token-"+m.suffix(5), "kubernetes.io/service-account-token", nil, labels{
		"token": m.token(m.c.o, m.space.name, account), "namespace": m.space.name, "ca.crt": m.authority(m.c.o).pem,
	})
	m.out[len(m.out)-1] = set(s, "metadata", set(s.Get("metadata"), "annotations",
		labels{"kubernetes.io/service-account.name": account, "kubernetes.io/service-account.uid": m.accounts[account].uid}))
}
