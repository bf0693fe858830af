package bigcluster

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// app is one application of a team.
type app struct {
	name, kind string // the kind of the workload
	role       string // api, web, worker, db, cache, cron
	image      string
	port       int
	account    string // "" is the namespace's default
	secret     string // "" where it needs none
	config     string
	replicas   int
}

func (a *app) labels(s *space) labels {
	return labels{
		"app.kubernetes.io/name": a.name, "app.kubernetes.io/component": a.role,
		"app.kubernetes.io/part-of": s.team, "team": s.team,
	}
}

func (a *app) selector() labels { return labels{"app.kubernetes.io/name": a.name} }

// ofTeam adds what a team keeps in a namespace: applications until the pods
// that the namespace is to have are there, and what stands around them.
func (m *maker) ofTeam() {
	s := m.space
	m.everyNamespace()
	m.teamRBAC()
	m.secret("registry", "kubernetes.io/dockerconfigjson", nil,
		labels{".dockerconfigjson": m.dockerConfig("registry.example.com", "robot$"+s.team)})
	if s.env != "dev" || m.chance(0.3) {
		m.limits()
	}
	isolated := m.chance(map[string]float64{"prod": 0.5, "staging": 0.4, "dev": 0.25}[s.env])
	if isolated {
		m.isolate()
	}
	for left := s.pods; left > 0; {
		a := m.newApp(left)
		left -= a.pods()
		m.app(a)
		if isolated && m.chance(0.45) {
			m.allow(a)
		}
	}
}

// pods is how many pods an app has, those that have ended included.
func (a *app) pods() int { return a.replicas }

const words = `account admin archive audit batch cache calendar callback catalog checkout cleanup config consumer cron
	dashboard digest discovery dispatch document email enrichment event export feature feed fetch file filter form
	hook image import index ingest invoice job key ledger limit lookup mail match media merge message metric monitor
	notify offer order parser partner pdf picker planner poller preview price profile proxy publish query queue quota
	rank rate reader receipt recorder reminder render replay report resolver review rule scheduler score search
	session setting signup sink snapshot stock storage stream summary sync tag task template thumbnail token tracker
	transform upload user validation view watcher webhook workflow writer`

var wordList = strings.Fields(words)

// name returns a name that the namespace does not have yet.
func (m *maker) name(role string) string {
	base := pick(m, wordList...) + "-" + role
	name := base
	for i := 2; m.used[name]; i++ {
		name = fmt.Sprintf("%s-%d", base, i)
	}
	m.used[name] = true
	return name
}

// newApp draws an app of at most left pods.
func (m *maker) newApp(left int) *app {
	s := m.space
	a := &app{kind: "Deployment", replicas: 1, port: 8080}
	switch p := m.r.Float64(); {
	case p < 0.38:
		a.role = "api"
	case p < 0.55:
		a.role = "worker"
	case p < 0.70:
		a.role = "web"
	case p < 0.79:
		a.role, a.kind, a.image, a.port = "db", "StatefulSet", "docker.io/library/postgres:17.6", 5432
		if m.chance(0.3) {
			a.image, a.port = "docker.io/library/mysql:8.4", 3306
		}
	case p < 0.84:
		a.role, a.kind, a.image, a.port = "cache", "StatefulSet", "docker.io/library/redis:8.2", 6379
	case p < 0.95:
		a.role, a.kind, a.replicas = "cron", "CronJob", 1+m.r.IntN(3) // Jobs that ended
	case p < 0.985:
		a.role, a.kind = "job", "Job"
	default:
		a.role, a.kind = "debug", "Pod"
	}
	a.name = m.name(a.role)
	if a.image == "" {
		a.image = "registry.example.com/" + s.team + "/" + a.name + m.tag()
	}
	switch {
	case a.kind == "StatefulSet":
		a.replicas = pick(m, 1, 1, 2, 3)
	case a.kind == "Deployment" && s.env == "prod":
		a.replicas = min(40, 2+int(-3*math.Log(1-m.r.Float64())))
	case a.kind == "Deployment":
		a.replicas = pick(m, 1, 1, 1, 2)
	}
	a.replicas = min(a.replicas, left)
	if m.chance(0.6) {
		a.account = a.name
	}
	if m.chance(0.5) || a.role == "db" {
		a.secret = a.name
	}
	if m.chance(0.5) {
		a.config = a.name
	}
	return a
}

// tag ends the name of an image: most have a version, some a digest, a few
// float.
func (m *maker) tag() string {
	switch p := m.r.Float64(); {
	case p < 0.12:
		return "@sha256:" + m.hex(64)
	case p < 0.19:
		return ":latest"
	}
	return fmt.Sprintf(":%d.%d.%d", 1+m.r.IntN(4), m.r.IntN(30), m.r.IntN(20))
}

// app adds an application with what it needs.
func (m *maker) app(a *app) {
	s := m.space
	l := a.labels(s)
	if a.account != "" {
		m.appAccount(a)
	}
	if a.secret != "" {
		m.secret(a.secret, "Opaque", l, m.secretValues(a))
	}
	if a.config != "" {
		m.object("v1", "ConfigMap", a.config, l, nil, "data", m.settings(a))
	}
	template := obj("metadata", obj("labels", l, "annotations", m.podAnnotations(a)), "spec", m.podSpec(a))
	meta := obj("name", a.name, "namespace", s.name, "labels", l)
	root := obj("apiVersion", "apps/v1", "kind", a.kind, "metadata", meta)
	spec := obj("replicas", a.replicas, "selector", obj("matchLabels", a.selector()), "template", template)
	o := rollout{failed: m.chance(0.1)}
	switch a.kind {
	case "Deployment":
		o.old = m.r.IntN(4)
		root = set(root, "spec", spec)
	case "StatefulSet":
		claim := obj("metadata", obj("name", "data"), "spec", obj("accessModes", []string{"ReadWriteOnce"},
			"storageClassName", pick(m, "standard", "fast"), "resources", obj("requests", labels{"storage": pick(m, "10Gi", "50Gi", "200Gi")})))
		root = set(root, "spec", set(spec, "serviceName", a.name, "volumeClaimTemplates", list(claim)))
	case "CronJob":
		o.jobs = a.replicas
		root = set(root, "apiVersion", "batch/v1", "spec", obj("schedule", fmt.Sprintf("%d %d * * *", m.r.IntN(60), m.r.IntN(24)),
			"jobTemplate", obj("spec", obj("template", template))))
	case "Job":
		root = set(root, "apiVersion", "batch/v1", "spec", obj("template", template))
	case "Pod":
		template = defaultTemplate(template)
		root = set(template, "apiVersion", "v1", "kind", "Pod", "metadata", meta)
	}
	m.workload(root, o)
	m.around(a, l)
}

// around adds what leads to an application and what keeps it up.
func (m *maker) around(a *app, l labels) {
	s := m.space
	meta := obj("name", a.name, "namespace", s.name, "labels", l)
	port := list(obj("name", "main", "port", 80, "protocol", "TCP", "targetPort", "main"))
	served := a.kind == "StatefulSet" || a.kind == "Deployment" && a.role != "worker"
	if served {
		spec := obj("selector", a.selector(), "ports", port)
		switch p := m.r.Float64(); {
		case a.kind == "StatefulSet":
			spec = set(spec, "clusterIP", "None", "ports", list(obj("name", "main", "port", a.port, "protocol", "TCP", "targetPort", "main")))
		case p < 0.02:
			spec = set(spec, "type", "NodePort")
		case p < 0.05:
			spec = set(spec, "type", "LoadBalancer")
			if m.chance(0.5) {
				meta = set(meta, "annotations", labels{"service.beta.kubernetes.io/aws-load-balancer-internal": "true"})
			}
		}
		m.service(obj("apiVersion", "v1", "kind", "Service", "metadata", meta, "spec", spec))
	}
	if a.kind == "Deployment" && (a.role == "web" || a.role == "api" && m.chance(0.15)) {
		m.route(a, l)
	}
	if a.kind == "Deployment" && s.env == "prod" && a.replicas > 1 {
		m.object("policy/v1", "PodDisruptionBudget", a.name, l, nil,
			"spec", obj("maxUnavailable", 1, "selector", obj("matchLabels", a.selector())))
		if m.chance(0.5) {
			target := obj("type", "Utilization", "averageUtilization", 70)
			m.object("autoscaling/v2", "HorizontalPodAutoscaler", a.name, l, nil, "spec", obj(
				"minReplicas", 2, "maxReplicas", 2*a.replicas+2,
				"scaleTargetRef", obj("apiVersion", "apps/v1", "kind", "Deployment", "name", a.name),
				"metrics", list(obj("type", "Resource", "resource", obj("name", "cpu", "target", target)))))
		}
	}
}

// route makes an application reachable from outside.
func (m *maker) route(a *app, l labels) {
	host := a.name + "." + m.space.name + "." + m.c.domain()
	if m.chance(0.2) {
		m.object("gateway.networking.k8s.io/v1", "HTTPRoute", a.name, l, nil, "spec", obj(
			"parentRefs", list(obj("name", "public", "namespace", "gateway-system")), "hostnames", []string{host},
			"rules", list(obj("matches", list(obj("path", obj("type", "PathPrefix", "value", "/"))),
				"backendRefs", list(obj("name", a.name, "port", 80))))))
		return
	}
	backend := obj("service", obj("name", a.name, "port", obj("number", 80)))
	spec := obj("ingressClassName", "nginx", "rules", list(obj("host", host, "http", obj("paths",
		list(obj("path", "/", "pathType", "Prefix", "backend", backend))))))
	annotations := labels{}
	if m.chance(0.8) {
		tls, wildcard := a.name+"-tls", "*."+m.space.name+"."+m.c.domain()
		annotations["cert-manager.io/cluster-issuer"] = "letsencrypt"
		spec = set(spec, "tls", list(obj("hosts", []string{host}, "secretName", tls)))
		m.tlsSecret(tls, wildcard)
		m.object("cert-manager.io/v1", "Certificate", tls, l, nil, "spec", obj("secretName", tls, "dnsNames", []string{wildcard},
			"issuerRef", obj("kind", "ClusterIssuer", "name", "letsencrypt")))
	}
	m.object("networking.k8s.io/v1", "Ingress", a.name, l, annotations, "spec", spec,
		"status", obj("loadBalancer", obj("ingress", list(obj("ip", "203.0.113.1")))))
}

func (m *maker) podAnnotations(a *app) labels {
	if a.kind != "Deployment" || !m.chance(0.4) {
		return nil
	}
	return labels{"prometheus.io/scrape": "true", "prometheus.io/port": strconv.Itoa(a.port)}
}

// podSpec makes a pod spec: hardened as the namespace wants it, or as well as
// teams do where it wants nothing.
func (m *maker) podSpec(a *app) node {
	s := m.space
	image := a.image
	c := []any{
		"name", a.role, "image", image, "env", m.environment(a), "envFrom", m.envFrom(a),
		"resources", m.resources(),
	}
	var pod []any
	var mounts, volumes []node
	if a.account != "" {
		pod = append(pod, "serviceAccountName", a.account)
	}
	if strings.HasPrefix(image, "registry.example.com/") {
		pod = append(pod, "imagePullSecrets", list(obj("name", "registry")))
	}
	switch a.kind {
	case "Deployment", "StatefulSet":
		c = append(c, "ports", list(obj("name", "main", "containerPort", a.port, "protocol", "TCP")))
		if m.chance(0.7) {
			probe := obj("tcpSocket", obj("port", "main"), "periodSeconds", 10, "timeoutSeconds", 1, "successThreshold", 1, "failureThreshold", 3)
			c = append(c, "readinessProbe", probe, "livenessProbe", probe)
		}
	case "CronJob", "Job":
		pod = append(pod, "restartPolicy", "Never")
	case "Pod":
		c = append(c, "command", []string{"sleep", "infinity"})
	}
	if a.kind == "StatefulSet" {
		mounts = append(mounts, obj("name", "data", "mountPath", "/var/lib/"+a.role))
	}
	if m.chance(0.35) {
		mounts = append(mounts, obj("name", "tmp", "mountPath", "/tmp"))
		volumes = append(volumes, obj("name", "tmp", "emptyDir", obj()))
	}
	if a.config != "" && m.chance(0.4) {
		mounts = append(mounts, obj("name", "config", "mountPath", "/etc/"+a.role))
		volumes = append(volumes, obj("name", "config", "configMap", obj("name", a.config, "defaultMode", 420)))
	}
	c, pod = m.harden(a, c, pod)
	if s.level == "" {
		f := m.flaws()
		c, pod = append(c, f.container...), append(pod, f.pod...)
		mounts, volumes = append(mounts, f.mounts...), append(volumes, f.volumes...)
		if f.security != nil {
			c = append(without(c, "securityContext"), "securityContext", f.security)
		}
	}
	c = append(c, "volumeMounts", mounts)
	containers := []node{obj(c...)}
	if a.kind == "Deployment" && m.chance(0.12) {
		containers = append(containers, obj("name", "proxy", "image", "docker.io/envoyproxy/envoy:v1.36.2",
			"securityContext", hardened, "resources", obj("requests", labels{"cpu": "10m", "memory": "64Mi"}, "limits", labels{"memory": "128Mi"})))
	}
	if a.kind == "Deployment" && m.chance(0.1) {
		pod = append(pod, "initContainers", list(obj("name", "migrate", "image", image, "args", []string{"migrate"}, "securityContext", hardened)))
	}
	if m.chance(0.12) {
		pod = append(pod, "automountServiceAccountToken", false)
	}
	return obj(append(pod, "containers", containers, "volumes", volumes)...)
}

// without returns keys and values in turn without a key.
func without(kv []any, key string) []any {
	for i := 0; i < len(kv); i += 2 {
		if kv[i] == key {
			return append(kv[:i:i], kv[i+2:]...)
		}
	}
	return kv
}

// hardened is what the level restricted wants of each container.
var hardened = obj("allowPrivilegeEscalation", false, "runAsNonRoot", true, "capabilities", obj("drop", []string{"ALL"}),
	"seccompProfile", obj("type", "RuntimeDefault"))

func (m *maker) harden(a *app, c, pod []any) (container, spec []any) {
	user := 10001
	if a.kind == "StatefulSet" {
		user = 999
	}
	switch p := m.r.Float64(); {
	case m.space.level == "restricted" || p < 0.3:
		sc := set(hardened, "runAsUser", user)
		if m.chance(0.4) {
			sc = set(sc, "readOnlyRootFilesystem", true)
		}
		return append(c, "securityContext", sc), append(pod, "securityContext",
			obj("runAsNonRoot", true, "fsGroup", user, "seccompProfile", obj("type", "RuntimeDefault")))
	case p < 0.6:
		return append(c, "securityContext", obj("allowPrivilegeEscalation", false)), append(pod, "securityContext", obj("runAsUser", user))
	}
	return c, pod
}

// flaws is what a workload has that Pod Security's baseline refuses.
type flaws struct {
	container, pod  []any
	mounts, volumes []node
	security        node
}

// flaws draws them for a namespace that refuses nothing; a bit less than half
// of all are such, so that the shares of all workloads are about half of those
// here.
func (m *maker) flaws() flaws {
	var f flaws
	if m.chance(0.022) {
		f.security = obj("privileged", true)
	} else if m.chance(0.02) {
		f.security = obj("capabilities", obj("add", []string{pick(m, "NET_ADMIN", "SYS_PTRACE", "SYS_ADMIN", "NET_RAW")}))
	}
	if m.chance(0.067) {
		path := pick(m, "/data/cache", "/mnt/models", "/opt/agent", "/etc/localtime", "/etc/localtime", "/etc/ssl/certs", "/var/log", "/var/log",
			"/var/log", "/sys/class/net", "/run/containerd/containerd.sock", "/")
		f.mounts = append(f.mounts, obj("name", "host", "mountPath", "/host", "readOnly", m.chance(0.5)))
		f.volumes = append(f.volumes, obj("name", "host", "hostPath", obj("path", path, "type", "")))
	}
	if m.chance(0.01) {
		f.pod = append(f.pod, "hostPID", true)
	}
	return f
}

func (m *maker) resources() node {
	request := labels{"cpu": pick(m, "50m", "100m", "250m", "500m"), "memory": pick(m, "64Mi", "128Mi", "256Mi", "1Gi")}
	switch p := m.r.Float64(); {
	case p < 0.15:
		return nil
	case p < 0.35:
		return obj("requests", request)
	case p < 0.45:
		return obj("requests", request, "limits", request)
	}
	return obj("requests", request, "limits", labels{"memory": pick(m, "1Gi", "2Gi")})
}

func (m *maker) environment(a *app) node {
	env := []node{
		obj("name", "ENVIRONMENT", "value", m.space.env), obj("name", "LOG_LEVEL", "value", pick(m, "info", "debug", "warn")),
		obj("name", "POD_NAME", "valueFrom", obj("fieldRef", obj("apiVersion", "v1", "fieldPath", "metadata.name"))),
	}
	if a.secret != "" {
		env = append(env, obj("name", "DB_PASSWORD", "valueFrom", obj("secretKeyRef", obj("name", a.secret, "key", "password"))))
	} else if m.chance(0.04) {
		env = append(env, obj("name", "DB_PASSWORD", "value", m.text(letters, 14)))
	}
	return list(env...)
}

func (m *maker) envFrom(a *app) []node {
	if a.config == "" {
		return nil
	}
	return []node{obj("configMapRef", obj("name", a.config))}
}

func (m *maker) secretValues(a *app) labels {
	v := labels{"username": "app", "password": m.text(letters, 20)}
	switch {
	case m.chance(0.1):
		v["api-key"] = "example_" + m.text(letters, 32)
	case m.chance(0.05):
		v["aws_access_key_id"], v["aws_secret_access_key"] = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	}
	if a.role == "api" {
		v["url"] = "postgres://app@" + a.name + "." + m.space.name + ".svc:5432/app"
	}
	return v
}

func (m *maker) settings(a *app) labels {
	v := labels{
		"HTTP_PORT": strconv.Itoa(a.port), "CACHE_TTL": pick(m, "30s", "5m", "1h"), "FEATURES": pick(m, "a,b", "a", "b,c"),
		"UPSTREAM": "http://" + pick(m, wordList...) + "-api." + m.space.team + "-prod.svc:80",
	}
	if m.chance(0.03) {
		v["SMTP_PASSWORD"] = m.text(letters, 16)
	}
	return v
}

// limits adds the quota and the default limits of a namespace.
func (m *maker) limits() {
	hard := labels{"pods": strconv.Itoa(2*m.space.pods + 20), "requests.cpu": strconv.Itoa(m.space.pods + 10), "requests.memory": strconv.Itoa(2*m.space.pods+20) + "Gi"}
	m.object("v1", "ResourceQuota", "team", nil, nil, "spec", obj("hard", hard), "status", obj("hard", hard, "used", labels{"pods": strconv.Itoa(m.space.pods)}))
	if m.chance(0.7) {
		m.object("v1", "LimitRange", "defaults", nil, nil, "spec", obj("limits", list(obj("type", "Container",
			"default", labels{"memory": "512Mi"}, "defaultRequest", labels{"cpu": "50m", "memory": "128Mi"}))))
	}
}

func (m *maker) networkPolicy(name string, spec node) {
	m.object("networking.k8s.io/v1", "NetworkPolicy", name, nil, nil, "spec", spec)
}

func namespaceNamed(name string) node {
	return obj("namespaceSelector", obj("matchLabels", labels{"kubernetes.io/metadata.name": name}))
}

// isolate adds what every namespace that begins with a default deny has.
func (m *maker) isolate() {
	types := []string{"Ingress"}
	if m.chance(0.6) {
		types = append(types, "Egress")
		dns := func(protocol string) node { return obj("protocol", protocol, "port", 53) }
		m.networkPolicy("allow-dns", obj("podSelector", obj(), "policyTypes", []string{"Egress"}, "egress", list(obj(
			"to", list(set(namespaceNamed("kube-system"), "podSelector", obj("matchLabels", labels{"k8s-app": "kube-dns"}))),
			"ports", list(dns("UDP"), dns("TCP"))))))
		if m.chance(0.5) {
			m.networkPolicy("allow-egress", obj("podSelector", obj(), "policyTypes", []string{"Egress"}, "egress", list(
				obj("to", list(obj("podSelector", obj()))),
				obj("to", list(obj("ipBlock", obj("cidr", "0.0.0.0/0", "except", []string{"169.254.169.254/32", "10.0.0.0/8"}))),
					"ports", list(obj("protocol", "TCP", "port", 443))))))
		}
	}
	m.networkPolicy("default-deny", obj("podSelector", obj(), "policyTypes", types))
	m.networkPolicy("allow-monitoring", obj("podSelector", obj(), "policyTypes", []string{"Ingress"},
		"ingress", list(obj("from", list(namespaceNamed("monitoring"))))))
}

// allow adds the policy that lets those reach an app who need it.
func (m *maker) allow(a *app) {
	if a.kind != "Deployment" && a.kind != "StatefulSet" {
		return
	}
	s := m.space
	inside := obj("podSelector", obj("matchLabels", labels{"app.kubernetes.io/part-of": s.team}))
	from := []node{inside}
	switch {
	case a.role == "web":
		from = []node{namespaceNamed("ingress-nginx"), namespaceNamed("gateway-system")}
	case a.role == "api" && m.chance(0.4):
		other := m.c.spaces[m.r.IntN(len(m.c.spaces))]
		from = append(from, set(namespaceNamed(other.name), "podSelector", obj("matchExpressions",
			list(obj("key", "app.kubernetes.io/component", "operator", "In", "values", []string{"web", "api"})))))
	case a.role == "api" && m.chance(0.1):
		from = append(from, obj("ipBlock", obj("cidr", "192.0.2.0/24")))
	}
	m.networkPolicy(a.name, obj("podSelector", obj("matchLabels", a.selector()), "policyTypes", []string{"Ingress"},
		"ingress", list(obj("from", from, "ports", list(obj("protocol", "TCP", "port", "main"))))))
}

// teamRBAC binds the team's groups to the roles of Kubernetes, and gives its
// pipeline an account.
func (m *maker) teamRBAC() {
	s := m.space
	bind := func(name, kind, role string, subjects ...node) {
		m.object(rbacGroup+"/v1", "RoleBinding", name, nil, nil, "roleRef", roleRef(kind, role), "subjects", subjects)
	}
	group := func(who string) node { return subject("Group", "", "oidc:"+s.team+":"+who) }
	developers := map[string]string{"prod": "view", "staging": "edit", "dev": "admin"}[s.env]
	bind("team-admins", "ClusterRole", "admin", group("admins"))
	bind("team-developers", "ClusterRole", developers, group("developers"))
	bind("team-viewers", "ClusterRole", "view", group("viewers"), subject("Group", "", "oidc:support"))
	m.serviceAccount("ci-deployer", nil, account{})
	if m.chance(0.3) {
		m.tokenSecret("ci-deployer")
	}
	m.object(rbacGroup+"/v1", "Role", "ci-deployer", nil, nil, "rules", list(
		rule([]string{"apps", "batch"}, []string{"deployments", "statefulsets", "jobs", "cronjobs"}, []string{"get", "list", "create", "update", "patch", "delete"}),
		rule([]string{""}, []string{"secrets", "configmaps", "services"}, []string{"get", "list", "create", "update", "patch"}),
		rule([]string{""}, []string{"pods", "pods/log"}, []string{"get", "list", "watch", "create", "delete"})))
	bind("ci-deployer", "Role", "ci-deployer", subject("ServiceAccount", s.name, "ci-deployer"), subject("ServiceAccount", "ci", "deployer"))
	if m.chance(0.05) { // the default account was given what one app needed
		bind("default-edit", "ClusterRole", "edit", subject("ServiceAccount", s.name, "default"))
	}
}

// appAccount adds an app's own account, sometimes with rights in the cluster or
// in the cloud.
func (m *maker) appAccount(a *app) {
	s := m.space
	var annotations labels
	switch p := m.r.Float64(); {
	case p < 0.01:
		annotations = m.roleAnnotation("shared-artifacts")
	case p < 0.12:
		annotations = m.roleAnnotation(m.c.o.Name + "-" + s.name + "-" + a.name)
	}
	m.serviceAccount(a.account, annotations, account{noToken: m.chance(0.15)})
	if !m.chance(0.15) {
		return
	}
	read := []string{"get", "list", "watch"}
	rules := list(rule([]string{""}, []string{"configmaps"}, read))
	switch p := m.r.Float64(); {
	case p < 0.2:
		rules = list(rule([]string{""}, []string{"secrets"}, read))
	case p < 0.3:
		rules = list(rule([]string{""}, []string{"pods", "pods/exec"}, []string{"get", "list", "create"}))
	case p < 0.5:
		rules = list(rule([]string{""}, []string{"configmaps", "secrets"}, []string{"get"}, a.name))
	case p < 0.7:
		rules = list(rule([]string{"coordination.k8s.io"}, []string{"leases"}, []string{"get", "create", "update"}))
	}
	m.object(rbacGroup+"/v1", "Role", a.name, nil, nil, "rules", rules)
	m.object(rbacGroup+"/v1", "RoleBinding", a.name, nil, nil, "roleRef", roleRef("Role", a.name),
		"subjects", list(subject("ServiceAccount", s.name, a.account)))
}
