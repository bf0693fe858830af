package reach

import (
	"net/netip"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
)

// Entry is one way by which traffic from outside the cluster reaches pods.
type Entry struct {
	// Through is one of cluster's, or hostPort or hostNetwork.
	Through cluster.Through
	// Object leads to the pods: a Service, an Ingress, a route, or the workload
	// itself. Service is the one that it leads through, if any.
	Object, Service *cluster.Object
	// Internal says that a load balancer is for the private network only.
	Internal bool
	// From is who connects to the pods: an ingress controller stands before them,
	// and nodes do where they hide the client's address.
	From string
	// Listen is the port that outside clients see, 0 where it is not known, and
	// Port that of the pods.
	Listen uint16
	Port   Port
	Verdict
}

// Ways beyond those of package cluster.
const (
	HostPort    cluster.Through = "hostPort"
	HostNetwork cluster.Through = "hostNetwork"
)

// Exit is what pods reach of something outside.
type Exit struct {
	To    string // internet, metadata, apiserver, dns
	Peer  Peer
	Ports *Ports
	// Port is one that matters there, and Verdict what holds for it.
	Port Port
	Verdict
}

// Outside is the traffic of pods with what is outside the cluster, and with what
// an attacker in a pod asks first: the metadata service and the API server.
type Outside struct {
	Entries []Entry
	Exits   []Exit
}

// Outside returns it for the pods of a template. The name service is among the
// exits since without it, few connections come about.
func (m *Model) Outside(t *cluster.PodTemplate) Outside {
	return Outside{Entries: m.Entries(t), Exits: m.exits(t)}
}

// Entries returns the ways from outside to the pods of a template alone, at a
// fraction of what Outside costs.
func (m *Model) Entries(t *cluster.PodTemplate) []Entry {
	var out []Entry
	p := m.podOf(t)
	for _, e := range cluster.Exposures(m.snapshot).Of(t) {
		for _, w := range e.Ways {
			for _, sp := range servicePorts(e.Service, p) {
				out = append(out, m.enter(t, e.Service, w, sp)...)
			}
		}
	}
	return append(out, m.hostEntries(t, p)...)
}

// servicePort is a port of a Service with what it leads to on a pod.
type servicePort struct {
	port, node uint16
	target     Port
	known      bool
}

// servicePorts resolves the targetPorts of a Service: policies are asked for the
// port of the pod, not for that of the Service.
func servicePorts(service *cluster.Object, p *pod) []servicePort {
	var out []servicePort
	for i := range service.Root.At("spec", "ports").List() {
		if sp, ok := servicePortAt(service, p, i); ok {
			out = append(out, sp)
		}
	}
	return out
}

// servicePortAt resolves one of them; ok is false where it is no port at all.
func servicePortAt(service *cluster.Object, p *pod, i int) (sp servicePort, ok bool) {
	n := service.Root.At("spec", "ports").List()[i]
	number, _ := n.Get("port").Int()
	node, _ := n.Get("nodePort").Int()
	protocol, err := ParseProtocol(n.Get("protocol").Str())
	if err != nil || number < 1 || number > 65535 || node < 0 || node > 65535 {
		return servicePort{}, false
	}
	sp = servicePort{port: uint16(number), node: uint16(node), target: Port{protocol, uint16(number)}, known: true}
	target := n.Get("targetPort")
	if i, ok := target.Int(); ok && i > 0 && i < 1<<16 {
		sp.target.Number = uint16(i)
	} else if name := target.Str(); name != "" {
		at := slices.IndexFunc(p.names, func(np namedPort) bool { return np.name == name && np.port.Protocol == protocol })
		if sp.known = at >= 0; sp.known {
			sp.target = p.names[at].port
		}
	}
	return sp, true
}

// enter returns the entries by one way into a Service and one of its ports.
func (m *Model) enter(t *cluster.PodTemplate, service *cluster.Object, w cluster.Way, sp servicePort) []Entry {
	e := Entry{Through: w.Through, Object: w.Object, Service: service, Internal: w.Internal, Listen: sp.port, Port: sp.target}
	if !sp.known {
		e.Answer = Unknown
		e.Reasons = []Reason{{Text: "the Service's targetPort is a name that no container of the pods has"}}
		return []Entry{e}
	}
	local := service.Root.At("spec", "externalTrafficPolicy").Str() == "Local"
	switch w.Through {
	case cluster.LoadBalancer, cluster.NodePort, cluster.ExternalIPs:
		if w.Through == cluster.NodePort {
			e.Listen = sp.node
		}
		from := Node()
		switch {
		case local && w.Internal:
			from = Peer{kind: clientPeer, name: "clients in the private network"}
		case local:
			from = Internet()
		}
		e.From, e.Verdict = from.String(), m.Connect(from, Pod(t), e.Port)
		return []Entry{e}
	case cluster.Ingress, cluster.GatewayRoute, cluster.IstioGateway:
	}
	e.Listen = 0
	controllers := m.controllers()
	if len(controllers) == 0 {
		from := Peer{kind: strangerPeer, name: "an ingress controller that is not among the pods"}
		e.From, e.Verdict = from.String(), m.Connect(from, Pod(t), e.Port)
		return []Entry{e}
	}
	var out []Entry
	for _, c := range controllers {
		e.From, e.Verdict = Pod(c).String(), m.Connect(Pod(c), Pod(t), e.Port)
		out = append(out, e)
	}
	return out
}

// hostEntries are the ports that pods open on their nodes.
func (m *Model) hostEntries(t *cluster.PodTemplate, p *pod) []Entry {
	var out []Entry
	for i := range t.Containers {
		for _, n := range t.Containers[i].Root.Get("ports").List() {
			number, _ := n.Get("containerPort").Int()
			host, _ := n.Get("hostPort").Int()
			protocol, err := ParseProtocol(n.Get("protocol").Str())
			if err != nil || number < 1 || number > 65535 || host < 0 || host > 65535 || host == 0 && !p.host {
				continue
			}
			e := Entry{Through: HostPort, Object: t.Object, From: Internet().String(), Listen: uint16(host), Port: Port{protocol, uint16(number)}}
			if p.host {
				e.Through, e.Listen = HostNetwork, e.Port.Number
			}
			e.Verdict = m.Connect(Internet(), Pod(t), e.Port)
			out = append(out, e)
		}
	}
	return out
}

// controllerNames tell ingress controllers and gateways by the labels that their
// projects give them.
var controllerNames = []string{
	"ambassador", "apisix", "contour", "emissary-ingress", "envoy", "envoy-gateway", "haproxy-ingress", "ingress-nginx", "istio-ingressgateway",
	"istio-ingress", "kong", "kubernetes-ingress", "nginx-gateway-fabric", "nginx-ingress", "router", "traefik",
}

// controllers returns the pods that take traffic in for others. What does so can
// only be told by its name, or by the label of a Gateway that it serves.
func (m *Model) controllers() []*cluster.PodTemplate {
	type key struct{}
	return cluster.Derive(m.snapshot, key{}, func() []*cluster.PodTemplate {
		var out []*cluster.PodTemplate
		for _, p := range m.pods {
			labels := p.template.Root.At("metadata", "labels")
			name := labels.Get("app.kubernetes.io/name").Str()
			if name == "" {
				name = labels.Get("app").Str()
			}
			component := labels.Get("app.kubernetes.io/component").Str()
			switch {
			case labels.Get("gateway.networking.k8s.io/gateway-name") != nil,
				labels.Get("istio").Str() == "ingressgateway",
				labels.Get("ingresscontroller.operator.openshift.io/deployment-ingresscontroller") != nil,
				slices.Contains(controllerNames, name) && component != "admission-webhook" && component != "default-backend":
				if !strings.Contains(p.template.Object.Kind, "Job") {
					out = append(out, p.template)
				}
			}
		}
		return out
	})
}

// exits asks for what lies outside.
func (m *Model) exits(t *cluster.PodTemplate) []Exit {
	pod := Pod(t)
	exit := func(to string, peer Peer, port Port) Exit {
		return Exit{To: to, Peer: peer, Ports: m.Ports(pod, peer), Port: port, Verdict: m.Connect(pod, peer, port)}
	}
	out := []Exit{exit("internet", Internet(), Port{TCP, 443}), exit("metadata", Metadata(), Port{TCP, 80})}
	ports := m.apiPorts
	if len(ports) == 0 {
		ports = []uint16{6443}
	}
	for _, port := range ports {
		out = append(out, exit("apiserver", APIServer(), Port{TCP, port}))
	}
	for _, dns := range m.nameServers() {
		for _, protocol := range [...]Protocol{UDP, TCP} {
			out = append(out, exit("dns", dns, Port{protocol, 53}))
		}
	}
	return out
}

// nameServers returns the pods of the cluster's name service, and the address of
// the cache on each node where there is one. Names need UDP and TCP.
func (m *Model) nameServers() []Peer {
	type key struct{}
	return cluster.Derive(m.snapshot, key{}, func() []Peer {
		var out []Peer
		for _, p := range m.pods {
			labels := p.template.Root.At("metadata", "labels")
			if labels.Get("k8s-app").Str() == "kube-dns" && p.namespace == "kube-system" || labels.Get("dns.operator.openshift.io/daemonset-dns") != nil {
				out = append(out, Pod(p.template))
			}
		}
		if m.snapshot.Get("apps", "DaemonSet", "kube-system", "node-local-dns") != nil {
			cache := Addresses(netip.MustParsePrefix("169.254.20.10/32"))
			cache.name = "node-local-dns"
			out = append(out, cache)
		}
		return out
	})
}
