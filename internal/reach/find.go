package reach

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// ErrNotFound says that a snapshot has no pods of a name.
var ErrNotFound = errors.New("not found")

// Target is what a user names as one end of a connection.
type Target struct {
	Name string
	// Peers are one, or what stands behind a Service.
	Peers []Peer
	// Service is set where the target is one.
	Service *cluster.Object
}

// kinds are short names of kinds, as kubectl has them.
var kinds = map[string]string{
	"po": "Pod", "pod": "Pod", "pods": "Pod", "deploy": "Deployment", "deployment": "Deployment", "deployments": "Deployment",
	"sts": "StatefulSet", "statefulset": "StatefulSet", "statefulsets": "StatefulSet", "ds": "DaemonSet", "daemonset": "DaemonSet", "daemonsets": "DaemonSet",
	"rs": "ReplicaSet", "replicaset": "ReplicaSet", "rc": "ReplicationController", "job": "Job", "jobs": "Job", "cj": "CronJob", "cronjob": "CronJob", "cronjobs": "CronJob",
	"svc": "Service", "service": "Service", "services": "Service",
}

const wanted = "want namespace/name or namespace/kind/name of pods, a workload or a Service, an address, a range such as 10.0.0.0/8, internet, metadata, apiserver or node"

// Find returns what a name means: namespace/name of a pod or workload,
// namespace/kind/name (a Service too), an address or range of addresses,
// internet, metadata, apiserver or node. An address of a pod, a node or a
// Service is that pod, node or Service.
func (m *Model) Find(name string) (*Target, error) {
	one := func(p Peer) (*Target, error) { return &Target{Name: name, Peers: []Peer{p}}, nil }
	switch name {
	case "internet":
		return one(Internet())
	case "metadata":
		return one(Metadata())
	case "apiserver":
		return one(APIServer())
	case "node":
		return one(Node())
	}
	if addr, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return m.findAddress(name, addr.Unmap())
	}
	if prefix, err := netip.ParsePrefix(name); err == nil {
		return one(Addresses(prefix.Masked()))
	}
	parts := strings.Split(name, "/")
	if _, err := netip.ParseAddr(parts[0]); err == nil {
		return nil, fmt.Errorf("%q is no range of addresses such as 10.0.0.0/8 or fd00::/8", name)
	}
	switch len(parts) {
	case 2:
		return m.findPods(name, parts[0], "", parts[1])
	case 3:
		kind, known := kinds[strings.ToLower(parts[1])]
		if !known {
			kind = parts[1]
		}
		if kind == "Service" {
			return m.findService(name, parts[0], parts[2])
		}
		return m.findPods(name, parts[0], kind, parts[2])
	}
	return nil, fmt.Errorf("%q: %s", name, wanted)
}

func (m *Model) findAddress(name string, addr netip.Addr) (*Target, error) {
	for _, o := range m.snapshot.Kind("Pod") {
		if host, _ := o.Root.At("spec", "hostNetwork").Bool(); !host && o.Group() == "" && slices.Contains(podAddrs(o), addr) {
			if t := cluster.PodTemplates(o); len(t) > 0 {
				return &Target{Name: name, Peers: []Peer{Pod(&t[0])}}, nil
			}
		}
	}
	for _, o := range m.snapshot.Kind("Service") {
		ips := append([]*document.Node{o.Root.At("spec", "clusterIP")}, o.Root.At("spec", "clusterIPs").List()...)
		if o.Group() == "" && slices.ContainsFunc(ips, func(n *document.Node) bool { return n.Str() == addr.String() }) {
			return m.findService(name, o.Namespace, o.Name)
		}
	}
	if m.isNode(addr) {
		return &Target{Name: name, Peers: []Peer{{kind: nodePeer, name: name, spans: []span{{addr, addr}}}}}, nil
	}
	return &Target{Name: name, Peers: []Peer{Addresses(netip.PrefixFrom(addr, addr.BitLen()))}}, nil
}

// findPods finds a pod, also one that a workload owns, or a workload.
func (m *Model) findPods(name, namespace, kind, object string) (*Target, error) {
	if kind == "" || kind == "Pod" {
		o := m.snapshot.Get("", "Pod", namespace, object)
		if o == nil && namespace == "default" {
			o = m.snapshot.Get("", "Pod", "", object)
		}
		if o != nil {
			if t := cluster.PodTemplates(o); len(t) > 0 {
				return &Target{Name: name, Peers: []Peer{Pod(&t[0])}}, nil
			}
		}
	}
	var found []Peer
	seen := map[string]bool{}
	for _, p := range m.pods {
		o := p.template.Object
		if p.namespace == namespace && o.Name == object && (kind == "" || strings.EqualFold(o.Kind, kind)) {
			found = append(found, Pod(p.template))
			seen[o.Kind] = true
		}
	}
	switch {
	case len(seen) > 1:
		return nil, fmt.Errorf("%q is several: say which, as in %s/%s/%s: there are a %s", name, namespace, slices.Sorted(maps.Keys(seen))[0], object,
			strings.Join(slices.Sorted(maps.Keys(seen)), " and a "))
	case len(found) > 0:
		return &Target{Name: name, Peers: found}, nil
	case kind == "" && cluster.Exposures(m.snapshot).Service(namespace, object) != nil:
		return m.findService(name, namespace, object)
	}
	return nil, fmt.Errorf("%q: %w%s", name, ErrNotFound, m.near(namespace, object))
}

// near names the pods of the namespace, or the namespaces.
func (m *Model) near(namespace, object string) string {
	var names, namespaces []string
	for _, p := range m.pods {
		namespaces = append(namespaces, p.namespace)
		if p.namespace == namespace {
			names = append(names, nameOf(p.template))
		} else if p.template.Object.Name == object {
			return "; did you mean " + nameOf(p.template) + "?"
		}
	}
	list := names
	if len(list) == 0 {
		list = namespaces
	}
	slices.Sort(list)
	if list = slices.Compact(list); len(list) > 8 {
		list = append(list[:8:8], "...")
	}
	switch {
	case len(names) > 0:
		return "; there are " + strings.Join(list, ", ")
	case len(namespaces) > 0:
		return "; there are pods in " + strings.Join(list, ", ")
	}
	return "; no pods were read"
}

// findService finds what stands behind a Service: pods, or the addresses of its
// endpoints.
func (m *Model) findService(name, namespace, service string) (*Target, error) {
	e := cluster.Exposures(m.snapshot).Service(namespace, service)
	if e == nil {
		return nil, fmt.Errorf("%q: Service %w%s", name, ErrNotFound, m.near(namespace, service))
	}
	t := &Target{Name: name, Service: e.Service}
	for _, template := range e.Templates {
		behind := Pod(template)
		behind.service = true
		t.Peers = append(t.Peers, behind)
	}
	spec := e.Service.Root.Get("spec")
	switch {
	case len(t.Peers) > 0:
	case spec.Get("type").Str() == "ExternalName":
		t.Peers = []Peer{{kind: clientPeer, name: spec.Get("externalName").Str()}}
	case namespace == "default" && service == "kubernetes":
		t.Peers = []Peer{APIServer()}
	case spec.Get("selector").Len() > 0:
		return nil, fmt.Errorf("%q: none of the pods that were read stands behind the Service: if an operator makes them, ask a cluster that runs", name)
	default:
		addrs, _ := endpointsOf(m.snapshot, namespace, service)
		for _, a := range addrs {
			behind, err := m.findAddress(a.String(), a)
			if err != nil {
				return nil, err
			}
			t.Peers = append(t.Peers, behind.Peers...)
		}
		if len(addrs) == 0 {
			return nil, fmt.Errorf("%q: the Service selects no pods, and no endpoints of it were read", name)
		}
	}
	return t, nil
}

// SplitPort splits the port off what a user names: shop/web:80/udp,
// [fd00::1]:443, 10.0.0.0/8:53/udp.
func SplitPort(s string) (name, port string) {
	if _, err := netip.ParseAddr(s); err == nil {
		return s, ""
	}
	if _, err := netip.ParsePrefix(s); err == nil {
		return s, ""
	}
	at := strings.LastIndexByte(s, ':')
	if at < 0 || strings.HasSuffix(s, "]") {
		return s, ""
	}
	name, port = s[:at], s[at+1:]
	if inner, ok := strings.CutPrefix(name, "["); ok {
		name = strings.Replace(inner, "]", "", 1)
	}
	return name, port
}

// Port reads a port as a user names it: a number or a name, with /udp or /sctp
// where it is not TCP. With a Service it is the Service's port, and what is
// returned is that of the pods behind it.
func (m *Model) Port(t *Target, p Peer, text string) (Port, error) {
	number, protocolName, _ := strings.Cut(text, "/")
	protocol, err := ParseProtocol(protocolName)
	if err != nil {
		return Port{}, fmt.Errorf("port %q: %w", text, err)
	}
	pod := &pod{}
	if p.template != nil {
		pod = m.podOf(p.template)
	}
	if t.Service != nil && t.Service.Root.At("spec", "type").Str() != "ExternalName" {
		return servicePortOf(t, pod, number, protocol)
	}
	if n, err := strconv.ParseUint(number, 10, 16); err == nil && n > 0 {
		return Port{protocol, uint16(n)}, nil
	}
	for _, n := range pod.names {
		if number != "" && n.name == number && (protocolName == "" || n.port.Protocol == protocol) {
			return n.port, nil
		}
	}
	return Port{}, fmt.Errorf("port %q: want a number from 1 to 65535, or the name of a port of the pods%s", text, declared(pod))
}

func declared(p *pod) string {
	var list []string
	for _, n := range p.names {
		list = append(list, strings.TrimPrefix(n.name+" "+n.port.String(), " "))
	}
	if len(list) == 0 {
		return ""
	}
	return ": " + strings.Join(list, ", ")
}

func servicePortOf(t *Target, p *pod, text string, protocol Protocol) (Port, error) {
	var known []string
	for i, n := range t.Service.Root.At("spec", "ports").List() {
		number, _ := n.Get("port").Int()
		known = append(known, strings.TrimPrefix(n.Get("name").Str()+" "+strconv.FormatInt(number, 10), " "))
		of, err := ParseProtocol(n.Get("protocol").Str())
		if err != nil || text == "" || text != strconv.FormatInt(number, 10) && text != n.Get("name").Str() || of != protocol && text != n.Get("name").Str() {
			continue
		}
		sp, ok := servicePortAt(t.Service, p, i)
		if !ok || !sp.known {
			return Port{}, fmt.Errorf("port %s of Service %s leads to %q, which no container of the pods has", text, t.Name, n.Get("targetPort").Str())
		}
		return sp.target, nil
	}
	return Port{}, fmt.Errorf("port %s/%s: Service %s has none such: it has %s", text, protocol, t.Name, strings.Join(known, ", "))
}

// Declared returns the ports that somebody is meant to connect to: those of a
// Service, or those that the containers declare.
func (m *Model) Declared(t *Target, p Peer) []Port {
	var out []Port
	add := func(port Port) {
		if !slices.Contains(out, port) {
			out = append(out, port)
		}
	}
	pod := &pod{}
	if p.template != nil {
		pod = m.podOf(p.template)
	}
	if t.Service != nil {
		for _, sp := range servicePorts(t.Service, pod) {
			if sp.known {
				add(sp.target)
			}
		}
		return out
	}
	for _, n := range pod.names {
		add(n.port)
	}
	if p.kind == apiServerPeer {
		for _, n := range m.apiPorts {
			add(Port{TCP, n})
		}
	}
	return out
}
