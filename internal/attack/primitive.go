package attack

// Primitive is one way of turning something held into something else.
type Primitive struct {
	// ID names it for good: P06. Those that only join two views of one thing,
	// such as a pod and its service account, begin with an S.
	ID    string
	Title string
	// Technique is that of MITRE ATT&CK, containers matrix where it has it.
	Technique string
	// Likelihood is the chance, 0 to 1, that who can take the step does so with
	// success: 1 where one request does it, less where it needs luck, time, a
	// certain environment, or something that is guarded otherwise.
	Likelihood float64
	// Audit says how the API server's audit log, or what else, would show it.
	Audit string
	// Checks report what makes the step possible.
	Checks []string
}

// The primitives. The numbers are those of Seawall's documentation of attack
// paths; a number whose meaning needs no step of its own is left out.
var (
	wildcard        = primitive("P01", "hold every permission", "T1078.001", 1, "every request, as the identity", "rbac-cluster-admin-binding", "rbac-role-wildcard-all", "workload-sa-cluster-admin")
	createPod       = primitive("P02", "make a pod", "T1610", 0.95, "create pods", "rbac-pod-create")
	createWorkload  = primitive("P03", "make or change a workload", "T1610", 0.95, "create, update or patch of the workload", "rbac-workload-update", "rbac-pod-create")
	podToNode       = primitive("P04", "make a pod that owns its node", "T1611", 0.9, "create pods with the fields that give the node")
	patchImage      = primitive("P05", "replace the image of a running pod", "T1610", 0.8, "patch or update pods")
	execute         = primitive("P06", "run a command in a pod", "T1609", 0.95, "create or get pods/exec or pods/attach", "rbac-pod-exec", "rbac-pod-attach")
	ephemeral       = primitive("P07", "add an ephemeral container", "T1610", 0.9, "patch pods/ephemeralcontainers", "rbac-pod-ephemeral-container")
	portForward     = primitive("P08", "reach a port past the network policies", "T1090", 0.3, "create pods/portforward, get pods/proxy or services/proxy", "rbac-pod-portforward")
	readLogs        = primitive("P09", "find a credential in logs", "T1552", 0.05, "get pods/log")
	nodesProxy      = primitive("P10", "run commands through a kubelet", "T1609", 0.9, "get nodes/proxy once; what the kubelet then does is in no audit log", "rbac-node-proxy")
	kubeletFiles    = primitive("P11", "read files or memory through a kubelet", "T1005", 0.15, "get nodes/log, nodes/checkpoint and the like")
	readSecrets     = primitive("P12", "read Secrets", "T1552.007", 1, "get, list or watch secrets", "rbac-secrets-read-cluster", "rbac-secrets-read-namespace", "rbac-secrets-get-unnamed")
	guessSecret     = primitive("P13", "guess the name of a token Secret", "T1110", 0.02, "many get secrets that are answered 404", "rbac-secrets-get-unnamed")
	mintTokenSecret = primitive("P14", "have a token Secret filled", "T1528", 0.95, "create secrets of type service-account-token", "rbac-secrets-write")
	requestToken    = primitive("P15", "request a token", "T1528", 1, "create serviceaccounts/token", "rbac-sa-token-create")
	escalate        = primitive("P16", "add permissions to a role of one's own", "T1098", 1, "update or patch of the role", "rbac-escalate")
	bind            = primitive("P17", "bind oneself to a role", "T1098", 1, "create rolebindings or clusterrolebindings", "rbac-bind", "rbac-extend-own-binding")
	aggregate       = primitive("P19", "add rules to a role by label", "T1098", 0.5, "create or patch clusterroles with an aggregation label", "rbac-manage-rbac-objects")
	impersonate     = primitive("P20", "act as another identity", "T1134", 1, "requests with impersonatedUser", "rbac-impersonate")
	constrained     = primitive("P21", "act as another identity for some verbs", "T1134", 0.7, "requests with impersonatedUser", "rbac-impersonate")
	approveCert     = primitive("P22", "approve a client certificate of one's own", "T1649", 0.9, "create certificatesigningrequests, update its approval", "rbac-approve-csr")
	signCert        = primitive("P23", "sign a client certificate of one's own", "T1649", 0.9, "update certificatesigningrequests/status", "rbac-approve-csr")
	bootstrapToken  = primitive("P24", "make a bootstrap token and join as a node", "T1136", 0.7, "create secrets in kube-system, then certificatesigningrequests of a bootstrapper")
	nodeCredential  = primitive("P25", "take what the pods of a node hold", "T1552.001", 0.95, "nothing, or requests as the accounts of other pods from one address")
	pullPods        = primitive("P26", "pull pods onto a node", "T1496", 0.4, "update nodes, create pods/eviction, delete pods", "rbac-node-status-write", "rbac-steal-pods")
	bindPod         = primitive("P27", "place a pod on a node", "T1610", 0.5, "create pods/binding")
	mutatingWebhook = primitive("P28", "change what others create", "T1546", 0.9, "create or update mutatingwebhookconfigurations", "rbac-manage-webhooks")
	validateWebhook = primitive("P29", "read what others create", "T1557", 0.8, "create or update validatingwebhookconfigurations", "rbac-manage-webhooks")
	mutatingPolicy  = primitive("P30", "change what others create, by policy", "T1546", 0.9, "create mutatingadmissionpolicies and their bindings", "rbac-manage-admission-policies")
	weakenGuard     = primitive("P31", "weaken what guards admission", "T1562.001", 0.8, "update or delete of the policy, binding, parameter or webhook", "rbac-manage-admission-policies", "rbac-manage-webhooks")
	relabel         = primitive("P32", "relabel a namespace", "T1562.001", 0.9, "patch namespaces", "rbac-patch-namespace")
	hostVolume      = primitive("P33", "reach files of a node by a volume", "T1611", 0.85, "create persistentvolumes", "rbac-create-persistentvolume")
	storageClass    = primitive("P34", "reach files of a node by a storage class", "T1611", 0.3, "create storageclasses")
	volumeSnapshot  = primitive("P35", "read volumes by a snapshot", "T1005", 0.4, "create volumesnapshots and persistentvolumeclaims")
	aggregatedAPI   = primitive("P36", "answer for a part of the API", "T1557", 0.6, "create or update apiservices")
	conversion      = primitive("P37", "read and change custom resources", "T1557", 0.4, "update customresourcedefinitions")
	serviceTraffic  = primitive("P38", "take over the traffic of a Service", "T1557", 0.3, "update services, endpoints, endpointslices, pods/status", "rbac-service-status-write", "rbac-network-objects-write", "rbac-pod-status-write")
	trustConfig     = primitive("P39", "change what components trust", "T1556", 0.7, "update of the ConfigMap in kube-system", "rbac-coredns-config-write", "rbac-configmap-write")
	awsAuth         = primitive("P40", "map a cloud identity to system:masters", "T1098", 0.9, "update configmaps aws-auth", "rbac-aws-auth-write")
	cloudIdentity   = primitive("P41", "act as the cloud identity of a service account", "T1078.004", 0.9, "the cloud's own log: sign-in by web identity", "sa-cloud-iam-role")
	metadata        = primitive("P42", "ask the instance metadata service", "T1552.005", 0.7, "the cloud's own log: use of a node's role by a pod")
	gitOps          = primitive("P43", "let a GitOps controller apply it", "T1072", 0.9, "create or patch of the custom resource; then requests of the controller")
	pipeline        = primitive("P44", "let a pipeline run it", "T1072", 0.9, "create of the custom resource; then pods by the controller")
	operator        = primitive("P45", "let an operator do it", "T1072", 0.7, "create of the custom resource; then requests of the operator")
	useSCC          = primitive("P46", "use a security context constraint", "T1611", 0.9, "create pods with the fields that it admits")
	anybody         = primitive("P47", "be anybody", "T1078", 0.6, "requests of system:anonymous or of any account", "rbac-anonymous-binding", "rbac-authenticated-group-binding")
	claimSubject    = primitive("P48", "make the subject of a binding that waits for it", "T1136", 0.8, "create of the service account or namespace")
	debugEndpoint   = primitive("P49", "read debug endpoints", "T1613", 0.1, "get of the URL")
	escape          = primitive("P50", "leave the container for the node", "T1611", 0.9, "nothing; the runtime sees processes and files on the node")
	controlPlane    = primitive("P51", "take the keys of the control plane", "T1552.004", 1, "nothing")
	imageTrust      = primitive("P52", "put code into an image that is pulled", "T1525", 0.3, "the registry's own log")
	networkReach    = primitive("P53", "exploit a service over the network", "T1190", 0.05, "nothing; the runtime sees the connection and what follows")

	// Steps that join two views of one thing.
	member       = primitive("S01", "is in the group", "", 1, "nothing")
	mountedToken = primitive("S02", "use the token in the pod", "T1528", 1, "requests of the service account from the pod", "sa-token-automount", "sa-token-mounted-with-binding")
	mounted      = primitive("S03", "read what the pod is given", "T1552.007", 1, "nothing", "workload-mounts-secret", "secret-as-env")
	within       = primitive("S04", "it is part of it", "", 1, "nothing")
	tokenSecret  = primitive("S05", "use the token in the Secret", "T1528", 1, "requests of the service account")
	signIn       = primitive("S07", "sign in to the cluster with it", "T1078.004", 1, "requests of the identity that it is mapped to")
	credential   = primitive("S08", "use the credentials in the Secret", "T1552.001", 0.95, "the log of whatever takes them")
	sharedTrust  = primitive("S09", "use what the clusters both trust", "T1550", 0.8, "requests in the other cluster")
	all          = primitive("S06", "it includes everything", "", 1, "nothing")
)

func primitive(id, title, technique string, likelihood float64, audit string, checks ...string) *Primitive {
	return &Primitive{ID: id, Title: title, Technique: technique, Likelihood: likelihood, Audit: audit, Checks: checks}
}
