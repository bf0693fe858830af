package servicechecks

import (
	"fmt"
	"slices"
	"strconv"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/netpol"
)

// serviceDangling reports Services whose selector finds no pod.
func serviceDangling(in *check.Input) {
	for _, e := range cluster.Exposures(in.Snapshot).Services() {
		o := e.Service
		spec := o.Root.Get("spec")
		sel := cluster.MapSelector(spec.Get("selector"))
		if spec.Get("type").Str() == "ExternalName" || sel.Nothing() || len(e.Templates) > 0 {
			continue
		}
		if netpol.Finds(in.Snapshot, o.Namespace, sel) == netpol.No {
			in.Report(check.Hit{Object: o, Path: "spec.selector"})
		}
	}
}

// services answers whether the Service of a backend exists.
type services struct {
	whole bool
	index *cluster.ExposureIndex
	// in are the namespaces that have a Service at all.
	in map[string]bool
}

func servicesOf(s *cluster.Snapshot) *services {
	out := &services{whole: s.Whole, index: cluster.Exposures(s), in: map[string]bool{}}
	for _, e := range out.index.Services() {
		out.in[namespaceOf(e.Service)] = true
	}
	return out
}

// fault says what is wrong with a backend: nothing where it is right, or where
// the files hold no Service of the namespace, so that it may well be elsewhere.
func (x *services) fault(namespace, name string, port *document.Node) string {
	if name == "" || !x.whole && !x.in[namespace] {
		return ""
	}
	e := x.index.Service(namespace, name)
	if e == nil {
		return fmt.Sprintf("Service %s/%s does not exist", namespace, name)
	}
	spec := e.Service.Root.Get("spec")
	if port.IsNull() || spec.Get("type").Str() == "ExternalName" && spec.Get("ports").Len() == 0 {
		return ""
	}
	for _, p := range spec.Get("ports").List() {
		if n, ok := port.Int(); ok {
			if have, _ := p.Get("port").Int(); have == n {
				return ""
			}
		} else if p.Get("name").Str() == port.Str() {
			return ""
		}
	}
	return fmt.Sprintf("Service %s/%s has no port %s", namespace, name, portText(port))
}

func portText(port *document.Node) string {
	if n, ok := port.Int(); ok {
		return strconv.FormatInt(n, 10)
	}
	return strconv.Quote(port.Str())
}

// ingressDangling reports backends of Ingresses that do not exist.
func ingressDangling(in *check.Input) {
	x := servicesOf(in.Snapshot)
	in.Snapshot.IngressBackends(func(o *cluster.Object, backend *document.Node, path string) {
		name, port := backend.At("service", "name").Str(), backend.At("service", "port", "number")
		if port == nil {
			port = backend.At("service", "port", "name")
		}
		if old := backend.Get("serviceName").Str(); old != "" {
			name, port = old, backend.Get("servicePort")
		}
		// The AWS load balancer controller reads an action from an annotation.
		if port.Str() == "use-annotation" {
			return
		}
		if fault := x.fault(namespaceOf(o), name, port); fault != "" {
			in.Report(check.Hit{Object: o, Path: path, Message: fault})
		}
	})
}

const gatewayGroup = "gateway.networking.k8s.io"

// routeDangling reports backends of the Gateway API's routes that do not exist,
// and in a whole cluster those of other namespaces that no ReferenceGrant
// permits.
func routeDangling(in *check.Input) {
	x := servicesOf(in.Snapshot)
	grants := grantsOf(in.Snapshot)
	for _, kind := range [...]string{"HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"} {
		for _, o := range in.Snapshot.Kind(kind) {
			if o.Group() != gatewayGroup {
				continue
			}
			eachBackend(o, func(ref *document.Node, path string) {
				ns := namespaceOf(o)
				if other := ref.Get("namespace").Str(); other != "" {
					ns = other
				}
				name := ref.Get("name").Str()
				fault := x.fault(ns, name, ref.Get("port"))
				if fault == "" && ns != namespaceOf(o) && in.Snapshot.Whole && !grants.permit(o.Kind, namespaceOf(o), ns, name) {
					fault = fmt.Sprintf("no ReferenceGrant of namespace %s permits a %s of %s to use Service %s", ns, o.Kind, namespaceOf(o), name)
				}
				if fault != "" {
					in.Report(check.Hit{Object: o, Path: path, Message: fault})
				}
			})
		}
	}
}

// eachBackend calls do for the Services that a route sends traffic to.
func eachBackend(o *cluster.Object, do func(ref *document.Node, path string)) {
	service := func(ref *document.Node, path string) {
		kind := ref.Get("kind").Str()
		if ref != nil && ref.Get("group").Str() == "" && (kind == "" || kind == "Service") {
			do(ref, path)
		}
	}
	for i, rule := range o.Root.At("spec", "rules").List() {
		path := document.Index("spec.rules", i)
		for j, ref := range rule.Get("backendRefs").List() {
			service(ref, document.Index(path+".backendRefs", j))
		}
		for j, f := range rule.Get("filters").List() {
			service(f.At("requestMirror", "backendRef"), document.Index(path+".filters", j)+".requestMirror.backendRef")
		}
	}
}

type grant struct{ fromKind, fromNamespace, toNamespace, toName string }

// grants are the ReferenceGrants to Services. An empty toName is for all.
type grants map[grant]bool

func (g grants) permit(kind, from, to, name string) bool {
	return g[grant{kind, from, to, ""}] || g[grant{kind, from, to, name}]
}

func grantsOf(s *cluster.Snapshot) grants {
	out := grants{}
	for _, o := range s.Kind("ReferenceGrant") {
		if o.Group() != gatewayGroup {
			continue
		}
		for _, from := range o.Root.At("spec", "from").List() {
			for _, to := range o.Root.At("spec", "to").List() {
				if from.Get("group").Str() == gatewayGroup && to.Get("group").Str() == "" && to.Get("kind").Str() == "Service" {
					out[grant{from.Get("kind").Str(), from.Get("namespace").Str(), namespaceOf(o), to.Get("name").Str()}] = true
				}
			}
		}
	}
	return out
}

// monitorDangling reports ServiceMonitors that select no Service. Operators make
// Services too (that of the kubelet), so files are judged only where they hold
// Services of a namespace that is selected.
func monitorDangling(in *check.Input) {
	x := labelsOf(cluster.Exposures(in.Snapshot).Services())
	for _, o := range in.Snapshot.Kind("ServiceMonitor") {
		if o.Group() != "monitoring.coreos.com" {
			continue
		}
		sel, err := cluster.LabelSelector(o.Root.At("spec", "selector"))
		if err != nil || sel.Nothing() || sel.Everything() {
			continue
		}
		if seen, found := x.monitored(o, sel); !found && (seen || in.Snapshot.Whole) {
			in.Report(check.Hit{Object: o, Path: "spec.selector"})
		}
	}
}

// labelled finds Services by the labels that they have themselves.
type labelled struct {
	all     []*cluster.Object
	byLabel map[[2]string][]*cluster.Object
	// in are the namespaces that have a Service.
	in map[string]bool
}

func labelsOf(services []*cluster.Exposure) *labelled {
	x := &labelled{byLabel: map[[2]string][]*cluster.Object{}, in: map[string]bool{}}
	for _, e := range services {
		o := e.Service
		x.all = append(x.all, o)
		x.in[namespaceOf(o)] = true
		for _, f := range o.Root.At("metadata", "labels").Map() {
			l := [2]string{f.Key, f.Value.Str()}
			x.byLabel[l] = append(x.byLabel[l], o)
		}
	}
	return x
}

// monitored says whether there are Services where a ServiceMonitor looks, and
// whether it selects one.
func (x *labelled) monitored(o *cluster.Object, sel cluster.Selector) (seen, found bool) {
	looksAt := map[string]bool{}
	where := o.Root.At("spec", "namespaceSelector")
	every, _ := where.Get("any").Bool()
	for _, n := range where.Get("matchNames").List() {
		looksAt[n.Str()] = true
	}
	if len(looksAt) == 0 {
		looksAt[namespaceOf(o)] = true
	}
	if (every || looksAt["default"]) && sel.Matches(apiServerLabels()) {
		return true, true
	}
	for ns := range x.in {
		seen = seen || every || looksAt[ns]
	}
	if !seen {
		return false, false
	}
	candidates := x.all
	for key, value := range sel.Equalities() {
		if list := x.byLabel[[2]string{key, value}]; len(list) < len(candidates) {
			candidates = list
		}
	}
	return true, slices.ContainsFunc(candidates, func(svc *cluster.Object) bool {
		return (every || looksAt[namespaceOf(svc)]) && sel.Matches(svc.Root.At("metadata", "labels"))
	})
}

// apiServerLabels are those of the Service kubernetes in default, which every API
// server makes for itself.
func apiServerLabels() *document.Node {
	text := func(s string) *document.Node { return document.NewString(document.Pos{}, s) }
	return document.NewMap(document.Pos{}, []document.Field{
		{Key: "component", Value: text("apiserver")}, {Key: "provider", Value: text("kubernetes")},
	})
}

func namespaceOf(o *cluster.Object) string {
	if o.Namespace == "" {
		return "default"
	}
	return o.Namespace
}
