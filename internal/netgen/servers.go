package netgen

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/rbac"
	"seawall.io/seawall/internal/reach"
)

const systemNamespace = "kube-system"

// entries finds the ways by which traffic from outside the cluster comes in.
func (d *declaring) entries() {
	for _, e := range d.services.Services() {
		for _, w := range e.Ways {
			for _, t := range e.Templates {
				if d.isPod(t) && !onHost(t) {
					d.enter(e, w, t)
				}
			}
		}
	}
	for _, t := range d.pods {
		if !onHost(t) {
			d.hostPorts(t)
		}
	}
}

// enter adds the connections of one way: from the pods that take traffic in,
// where they are known. Who stands behind a load balancer or node port is hidden
// by the addresses of nodes on most plugins.
func (d *declaring) enter(e *cluster.Exposure, w cluster.Way, t *cluster.PodTemplate) {
	why := Evidence{w.Object, w.Path, string(w.Through)}
	from := []End{{Kind: Anyone}}
	target := &reach.Target{Name: namespaceOf(e.Service) + "/" + e.Service.Name, Service: e.Service}
	ports := d.model.Declared(target, reach.Pod(t))
	switch w.Through {
	case cluster.LoadBalancer, cluster.NodePort, cluster.ExternalIPs:
	case cluster.Ingress, cluster.GatewayRoute, cluster.IstioGateway:
		why.Text = "backend"
		if controllers := d.model.Controllers(); len(controllers) > 0 {
			from = nil
			for _, c := range controllers {
				from = append(from, End{Pods: c})
			}
		}
		if asked := portsBeside(w.Object.Root.Get("spec"), e.Service.Name); len(asked) > 0 {
			ports = nil
			for _, text := range asked {
				p, err := d.model.Port(target, reach.Pod(t), text)
				if err != nil {
					d.gap(why, "%v", err)
					continue
				}
				ports = append(ports, p)
			}
		}
	}
	if len(ports) == 0 {
		d.gap(why, "no port of Service %s leads to one of %s", target.Name, reach.Pod(t))
	}
	for _, f := range from {
		for _, p := range ports {
			d.add(Need{From: f, To: End{Pods: t}, Port: p, Use: Entry, Evidence: []Evidence{why}})
		}
	}
}

// portsBeside returns the ports that stand beside the name of a Service in an
// Ingress or route of whatever API: none where one of the places names no port,
// since it then means all.
func portsBeside(n *document.Node, service string) []string {
	var out []string
	all := false
	var walk func(n *document.Node)
	walk = func(n *document.Node) {
		if cmp.Or(n.Get("serviceName").Str(), n.Get("name").Str()) == service {
			port := n.Get("port")
			if port == nil {
				port = n.Get("servicePort")
			}
			if port.Kind() == document.Map {
				if number := port.Get("number"); number != nil {
					port = number
				} else {
					port = port.Get("name")
				}
			}
			text := port.Str()
			if number, ok := port.Int(); ok {
				text = strconv.FormatInt(number, 10)
			}
			all = all || text == ""
			if !slices.Contains(out, text) {
				out = append(out, text)
			}
		}
		for _, f := range n.Map() {
			walk(f.Value)
		}
		for _, item := range n.List() {
			walk(item)
		}
	}
	walk(n)
	if all {
		return nil
	}
	return out
}

func (d *declaring) hostPorts(t *cluster.PodTemplate) {
	for i := range t.Containers {
		c := &t.Containers[i]
		for j, n := range c.Root.Get("ports").List() {
			host, _ := n.Get("hostPort").Int()
			if p, ok := containerPort(n); ok && host > 0 {
				why := Evidence{t.Object, document.Index(c.Path+".ports", j), "hostPort"}
				d.add(Need{From: End{Kind: Anyone}, To: End{Pods: t}, Port: p, Use: Entry, Evidence: []Evidence{why}})
			}
		}
	}
}

func containerPort(n *document.Node) (reach.Port, bool) {
	number, _ := n.Get("containerPort").Int()
	proto, err := reach.ParseProtocol(n.Get("protocol").Str())
	return reach.Port{Protocol: proto, Number: uint16(number)}, err == nil && number > 0 && number < 1<<16 //nolint:gosec // ok says that it fits
}

// nodeCache is the address of the name service's cache on each node (KEP-1024).
var nodeCache = netip.MustParsePrefix("169.254.20.10/32")

// names adds the look-up of names: by UDP and, for long answers, TCP.
func (d *declaring) names(namespace string) {
	servers := d.nameServers(namespace)
	cached := !d.snapshot.Whole || d.snapshot.Get("apps", "DaemonSet", namespace, "node-local-dns") != nil
	for _, t := range d.pods {
		policy := t.Spec().Get("dnsPolicy").Str()
		why := []Evidence{{t.Object, document.Key(t.SpecPath, "dnsPolicy"), "dnsPolicy " + cmp.Or(policy, "ClusterFirst")}}
		switch {
		case onHost(t):
			continue
		case policy == "Default":
			// Those of the node, which may have any address.
			d.look(t, End{Kind: Anywhere}, 53, why)
			continue
		case policy != "None":
			for _, s := range servers {
				d.add(Need{From: End{Pods: t}, To: End{Pods: s.pods}, Port: s.port, Use: DNS, Evidence: why})
			}
			if cached {
				d.look(t, End{Kind: Address, Range: nodeCache}, 53, why)
			}
		}
		for _, n := range t.Spec().At("dnsConfig", "nameservers").List() {
			if a, err := netip.ParseAddr(n.Str()); err == nil {
				d.look(t, End{Kind: Address, Range: netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())}, 53, why)
			}
		}
	}
}

func (d *declaring) look(t *cluster.PodTemplate, to End, port uint16, why []Evidence) {
	for _, proto := range [...]reach.Protocol{reach.UDP, reach.TCP} {
		d.add(Need{From: End{Pods: t}, To: to, Port: reach.Port{Protocol: proto, Number: port}, Use: DNS, Evidence: why})
	}
}

// server is a port of pods.
type server struct {
	pods *cluster.PodTemplate
	port reach.Port
}

// nameServers returns the pods of the name service with their ports. Where they
// were not read, as in files, they are what every cluster has: pods with the
// label k8s-app: kube-dns.
func (d *declaring) nameServers(namespace string) []server {
	var out []server
	add := func(t *cluster.PodTemplate, p reach.Port) {
		if s := (server{t, p}); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, t := range d.pods {
		labels := t.Root.At("metadata", "labels")
		if t.Namespace() != namespace && labels.Get("dns.operator.openshift.io/daemonset-dns") == nil || onHost(t) {
			continue
		}
		serves := labels.Get("k8s-app").Str() == "kube-dns" || labels.Get("dns.operator.openshift.io/daemonset-dns") != nil
		for _, e := range d.services.Of(t) {
			if name := e.Service.Name; !serves && name != "kube-dns" && name != "coredns" && name != "dns-default" {
				continue
			}
			target := &reach.Target{Name: e.Service.Name, Service: e.Service}
			for _, text := range [...]string{"53/udp", "53"} {
				if p, err := d.model.Port(target, reach.Pod(t), text); err == nil {
					add(t, p)
				}
			}
		}
		if serves && !slices.ContainsFunc(out, func(s server) bool { return s.pods == t }) {
			add(t, reach.Port{Protocol: reach.UDP, Number: 53})
			add(t, reach.Port{Protocol: reach.TCP, Number: 53})
		}
	}
	if len(out) == 0 {
		t := standIn(namespace, "kube-dns", map[string]string{"k8s-app": "kube-dns"})
		d.out.standIns = append(d.out.standIns, t)
		add(t, reach.Port{Protocol: reach.UDP, Number: 53})
		add(t, reach.Port{Protocol: reach.TCP, Number: 53})
		d.note("the name service was not read: it is taken to be the pods with k8s-app=kube-dns in namespace %s, on port 53", namespace)
	}
	return out
}

// standIn makes a template of pods that were not read, and are known by their
// labels all the same.
func standIn(namespace, name string, labels map[string]string) *cluster.PodTemplate {
	set := map[string]any{}
	for k, v := range labels {
		set[k] = v
	}
	o, _ := cluster.New(document.FromValue(map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": name, "namespace": namespace, "labels": set},
		"spec":     map[string]any{"containers": []any{map[string]any{"name": name}}},
	}))
	return &cluster.PodTemplates(o)[0]
}

// extensions adds the calls of the API server to webhooks and aggregated APIs.
// They come from a node of the control plane, from a tunnel, or from an agent of
// the provider: no label tells these, so that anyone may connect.
func (d *declaring) extensions() {
	call := func(o *cluster.Object, n *document.Node, path string) {
		if n.IsNull() || n.Get("name").Str() == "" {
			return // by URL: outside the cluster
		}
		why := Evidence{o, path, "service"}
		e := d.services.Service(n.Get("namespace").Str(), n.Get("name").Str())
		if e == nil || len(e.Templates) == 0 {
			if o.Kind != "APIService" || d.snapshot.Whole {
				d.gap(why, "the API server calls Service %s/%s, behind which no pods were read", n.Get("namespace").Str(), n.Get("name").Str())
			}
			return
		}
		port := uint16(443)
		if p, ok := n.Get("port").Int(); ok && p > 0 && p < 1<<16 {
			port = uint16(p)
		}
		for _, t := range e.Templates {
			if onHost(t) || !d.isPod(t) {
				continue
			}
			for _, p := range d.ports(why, e, t, port, false) {
				d.add(Need{From: End{Kind: Anyone}, To: End{Pods: t}, Port: p, Use: Webhook, Evidence: []Evidence{why}})
			}
		}
	}
	for _, kind := range [...]string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"} {
		for _, o := range d.snapshot.Kind(kind) {
			for i, w := range o.Root.Get("webhooks").List() {
				call(o, w.At("clientConfig", "service"), document.Index("webhooks", i)+".clientConfig.service")
			}
		}
	}
	for _, o := range d.snapshot.Kind("CustomResourceDefinition") {
		call(o, o.Root.At("spec", "conversion", "webhook", "clientConfig", "service"), "spec.conversion.webhook.clientConfig.service")
		call(o, o.Root.At("spec", "conversion", "webhookClientConfig", "service"), "spec.conversion.webhookClientConfig.service")
	}
	for _, o := range d.snapshot.Kind("APIService") {
		call(o, o.Root.At("spec", "service"), "spec.service")
	}
}

// members adds the connections among the pods of a StatefulSet of several
// replicas whose Service is its own: that is what the names of its pods are for.
func (d *declaring) members() {
	for _, t := range d.pods {
		if t.Object.Kind != "StatefulSet" || onHost(t) {
			continue
		}
		spec := t.Object.Root.Get("spec")
		e := d.services.Service(t.Namespace(), spec.Get("serviceName").Str())
		if n, _ := spec.Get("replicas").Int(); n < 2 || e == nil || !slices.Contains(d.services.Of(t), e) {
			continue
		}
		why := []Evidence{{t.Object, "spec.serviceName", "serviceName"}}
		ports := d.model.Declared(&reach.Target{Name: e.Service.Name, Service: e.Service}, reach.Pod(t))
		for _, p := range append(ports, d.model.Declared(&reach.Target{}, reach.Pod(t))...) {
			d.add(Need{From: End{Pods: t}, To: End{Pods: t}, Port: p, Use: Members, Likely: true, Evidence: why})
		}
	}
}

// askers adds the connections to the API server of pods that hold a token of an
// account which some binding names.
func (d *declaring) askers() {
	model := rbac.Of(d.snapshot)
	for _, t := range d.pods {
		if onHost(t) || !d.holdsToken(t) {
			continue
		}
		ns, account := t.Namespace(), t.ServiceAccount()
		for _, b := range model.AllBindingsFor(rbac.Account(ns, account)) {
			subject, _ := b.Applies(rbac.Account(ns, account))
			_, _, is := subject.Account()
			if of, group := subject.AccountGroup(); b.Object != nil && (is || group && of == ns) {
				d.askAPI(t, Evidence{b.Object, "subjects", "subject ServiceAccount " + account}, true)
			}
		}
	}
}

func (d *declaring) holdsToken(t *cluster.PodTemplate) bool {
	for _, v := range t.Spec().Get("volumes").List() {
		for _, p := range v.At("projected", "sources").List() {
			if token := p.Get("serviceAccountToken"); token != nil && token.Get("audience").Str() == "" {
				return true
			}
		}
	}
	if on, set := t.Spec().Get("automountServiceAccountToken").Bool(); set {
		return on
	}
	if sa := d.snapshot.Get("", "ServiceAccount", t.Object.Namespace, t.ServiceAccount()); sa != nil {
		if on, set := sa.Root.Get("automountServiceAccountToken").Bool(); set {
			return on
		}
	}
	return true
}

// askAPI adds a connection to the API server: behind its Service, at the ports
// that its endpoints have. Where these were not read, they are the two that API
// servers commonly have.
func (d *declaring) askAPI(t *cluster.PodTemplate, why Evidence, likely bool) {
	_, ports, _ := d.model.APIServerAt()
	if len(ports) == 0 {
		ports = []uint16{443, 6443}
		d.note("the endpoints of the API server were not read: ports 443 and 6443 are allowed to every address; a cluster or its snapshot as target narrows that")
	}
	for _, p := range ports {
		d.add(Need{From: End{Pods: t}, To: End{Kind: APIServer}, Port: reach.Port{Number: p}, Use: API, Likely: likely, Evidence: []Evidence{why}})
	}
}

// probes adds those of the kubelet, which need no policy.
func (d *declaring) probes() {
	for _, t := range d.pods {
		if onHost(t) {
			continue
		}
		for i := range t.Containers {
			c := &t.Containers[i]
			for _, kind := range [...]string{"livenessProbe", "readinessProbe", "startupProbe"} {
				for _, how := range [...]string{"httpGet", "tcpSocket", "grpc"} {
					port := c.Root.At(kind, how, "port")
					if p, ok := portOf(c, port); ok {
						why := Evidence{t.Object, c.Path + "." + kind, kind}
						d.add(Need{From: End{Kind: Node}, To: End{Pods: t}, Port: p, Use: Probe, Evidence: []Evidence{why}})
					}
				}
			}
		}
	}
}

// portOf reads a port of a container by number or name.
func portOf(c *cluster.Container, n *document.Node) (reach.Port, bool) {
	if number, ok := n.Int(); ok && number > 0 && number < 1<<16 {
		return reach.Port{Number: uint16(number)}, true
	}
	for _, p := range c.Root.Get("ports").List() {
		if name := n.Str(); name != "" && p.Get("name").Str() == name {
			return containerPort(p)
		}
	}
	number, err := strconv.ParseUint(strings.TrimSpace(n.Str()), 10, 16)
	return reach.Port{Number: uint16(number)}, err == nil && number > 0
}
