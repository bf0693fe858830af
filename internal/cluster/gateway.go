package cluster

import (
	"strings"

	"seawall.io/seawall/internal/document"
)

const gatewayGroup = "gateway.networking.k8s.io"

var routeKinds = [...]string{"HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"}

// addRoutes follows the routes of the Gateway API that are attached to a
// Gateway. A route whose parent is a Service steers traffic within the mesh.
func (x *ExposureIndex) addRoutes(s *Snapshot) {
	grants := referenceGrants(s)
	for _, kind := range routeKinds {
		for _, o := range s.Kind(kind) {
			if o.Group() != gatewayGroup || !isAttached(s, o) {
				continue
			}
			for i, rule := range o.Root.At("spec", "rules").List() {
				path := document.Index("spec.rules", i)
				for j, ref := range rule.Get("backendRefs").List() {
					x.leadRoute(s, grants, o, ref, document.Index(path+".backendRefs", j))
				}
				for j, f := range rule.Get("filters").List() {
					if ref := f.At("requestMirror", "backendRef"); ref != nil {
						x.leadRoute(s, grants, o, ref, document.Index(path+".filters", j)+".requestMirror.backendRef")
					}
				}
			}
		}
	}
}

func (x *ExposureIndex) leadRoute(s *Snapshot, grants map[grant]bool, o *Object, ref *document.Node, path string) {
	if ref.Get("group").Str() != "" || ref.Get("kind").Str() != "" && ref.Get("kind").Str() != "Service" {
		return
	}
	ns, name := orDefault(ref.Get("namespace").Str()), ref.Get("name").Str()
	if ref.Get("namespace").Str() == "" {
		ns = namespaceOf(o)
	}
	if ns != namespaceOf(o) && s.Whole {
		g := grant{o.Kind, namespaceOf(o), ns, ""}
		named := g
		named.name = name
		if !grants[g] && !grants[named] {
			return
		}
	}
	x.lead(ns, name, Way{Through: GatewayRoute, Object: o, Path: path})
}

// isAttached says that a route has a Gateway, or a set of listeners, for a
// parent that takes it.
func isAttached(s *Snapshot, o *Object) bool {
	for _, ref := range o.Root.At("spec", "parentRefs").List() {
		group, kind := ref.Get("group"), ref.Get("kind").Str()
		if group != nil && group.Str() != gatewayGroup && group.Str() != "gateway.networking.x-k8s.io" {
			continue
		}
		if kind == "ListenerSet" || kind == "XListenerSet" {
			return true
		}
		if kind != "" && kind != "Gateway" {
			continue
		}
		ns := ref.Get("namespace").Str()
		if ns == "" {
			ns = o.Namespace
		}
		gw := s.Get(gatewayGroup, "Gateway", ns, ref.Get("name").Str())
		if gw == nil && !s.Whole || gw != nil && takes(s, gw, ref, o) {
			return true
		}
	}
	return false
}

// takes says whether some listener of a Gateway that the reference means allows
// routes of the namespace.
func takes(s *Snapshot, gw *Object, ref *document.Node, route *Object) bool {
	section := ref.Get("sectionName").Str()
	port, hasPort := ref.Get("port").Int()
	for _, l := range gw.Root.At("spec", "listeners").List() {
		if section != "" && l.Get("name").Str() != section {
			continue
		}
		if p, _ := l.Get("port").Int(); hasPort && p != port {
			continue
		}
		if allowsNamespace(s, gw, l.At("allowedRoutes", "namespaces"), route) {
			return true
		}
	}
	return false
}

func allowsNamespace(s *Snapshot, gw *Object, n *document.Node, route *Object) bool {
	switch n.Get("from").Str() {
	case "All":
		return true
	case "Selector":
		ns := s.Get("", "Namespace", "", namespaceOf(route))
		if ns == nil {
			return !s.Whole
		}
		sel, err := LabelSelector(n.Get("selector"))
		return err == nil && sel.Matches(ns.Root.At("metadata", "labels"))
	case "None":
		return false
	}
	return namespaceOf(gw) == namespaceOf(route) // Same is the default
}

// grant permits routes of a kind in one namespace to refer to Services in
// another, all of them where name is empty.
type grant struct{ kind, from, to, name string }

func referenceGrants(s *Snapshot) map[grant]bool {
	out := map[grant]bool{}
	for _, o := range s.Kind("ReferenceGrant") {
		if o.Group() != gatewayGroup {
			continue
		}
		for _, from := range o.Root.At("spec", "from").List() {
			if from.Get("group").Str() != gatewayGroup {
				continue
			}
			for _, to := range o.Root.At("spec", "to").List() {
				if to.Get("group").Str() == "" && to.Get("kind").Str() == "Service" {
					out[grant{from.Get("kind").Str(), from.Get("namespace").Str(), namespaceOf(o), to.Get("name").Str()}] = true
				}
			}
		}
	}
	return out
}

const istioGroup = "networking.istio.io"

// addVirtualServices follows Istio's VirtualServices that are bound to a
// gateway. One without gateways, or with "mesh" alone, steers traffic within
// the mesh.
func (x *ExposureIndex) addVirtualServices(s *Snapshot) {
	for _, o := range s.Kind("VirtualService") {
		if o.Group() != istioGroup || !hasGateway(o.Root.At("spec", "gateways")) {
			continue
		}
		x.leadVirtual(s, o, o, true)
	}
}

// hasGateway says that a list of gateways names one that is not the mesh.
func hasGateway(n *document.Node) bool {
	for _, g := range n.List() {
		if g.Str() != "" && g.Str() != "mesh" {
			return true
		}
	}
	return false
}

// leadVirtual adds the destinations of a VirtualService. entry is the one that
// is bound to the gateway: o itself, or one that delegates to o.
func (x *ExposureIndex) leadVirtual(s *Snapshot, entry, o *Object, follow bool) {
	for _, proto := range [...]string{"http", "tls", "tcp"} {
		for i, route := range o.Root.At("spec", proto).List() {
			if o == entry && !reachesGateway(route) {
				continue
			}
			path := document.Index("spec."+proto, i)
			for j, to := range route.Get("route").List() {
				x.leadHost(entry, o, to.At("destination", "host").Str(), document.Index(path+".route", j)+".destination.host")
			}
			x.leadHost(entry, o, route.At("mirror", "host").Str(), path+".mirror.host")
			for j, m := range route.Get("mirrors").List() {
				x.leadHost(entry, o, m.At("destination", "host").Str(), document.Index(path+".mirrors", j)+".destination.host")
			}
			if d := route.Get("delegate"); d != nil && follow {
				ns := d.Get("namespace").Str()
				if ns == "" {
					ns = o.Namespace
				}
				if to := s.Get(istioGroup, "VirtualService", ns, d.Get("name").Str()); to != nil {
					x.leadVirtual(s, entry, to, false)
				}
			}
		}
	}
}

// reachesGateway says that a route's matches do not confine it to the mesh.
func reachesGateway(route *document.Node) bool {
	matches := route.Get("match").List()
	for _, m := range matches {
		if g := m.Get("gateways"); g.Len() == 0 || hasGateway(g) {
			return true
		}
	}
	return len(matches) == 0
}

// leadHost adds the Service that a host names: web, web.shop, web.shop.svc or
// web.shop.svc.cluster.local. A short name is of the namespace of the
// VirtualService in which it stands.
func (x *ExposureIndex) leadHost(entry, o *Object, host, path string) {
	if host == "" {
		return
	}
	name, rest, dotted := strings.Cut(host, ".")
	ns := o.Namespace
	if dotted {
		ns, rest, _ = strings.Cut(rest, ".")
		if rest != "" && rest != "svc" && !strings.HasPrefix(rest, "svc.") {
			return
		}
	}
	w := Way{Through: IstioGateway, Object: entry, Path: path}
	if o != entry {
		w.Path = "spec.gateways"
	}
	x.lead(ns, name, w)
}
