package cluster

import (
	"slices"
	"strings"

	"seawall.io/seawall/internal/document"
)

// Exposure is a Service with the pods that it sends traffic to and the ways
// in which traffic from outside the cluster reaches it.
type Exposure struct {
	Service *Object
	// Templates are what the Service selects: none where it has no selector.
	Templates []*PodTemplate
	// Ways are empty for a Service that is reached only from within.
	Ways []Way
}

// Way is one way into a Service from outside the cluster.
type Way struct {
	Through Through
	// Object is the Ingress, route or VirtualService that leads to the Service,
	// or the Service itself, and Path the place in it that does.
	Object *Object
	Path   string
	// Internal says that a load balancer's annotations keep it within the
	// private network of the cloud: outside the cluster, but not public.
	Internal bool
}

// Through says by what kind of object a Service is reached.
type Through string

// The ways in.
const (
	LoadBalancer Through = "LoadBalancer"
	NodePort     Through = "NodePort"
	ExternalIPs  Through = "externalIPs"
	Ingress      Through = "Ingress" // and the ingress kinds of OpenShift, Traefik and Contour
	GatewayRoute Through = "Gateway" // a route of the Gateway API
	IstioGateway Through = "Istio"   // a VirtualService on a gateway
)

// String names the way for people: Ingress shop/web.
func (w Way) String() string {
	if w.Object.Kind == "Service" {
		text := "Service " + w.Object.Name + " of type " + string(w.Through)
		if w.Through == ExternalIPs {
			text = "externalIPs of Service " + w.Object.Name
		}
		if w.Internal {
			text += " (internal load balancer)"
		}
		return text
	}
	return w.Object.Kind + " " + namespaceOf(w.Object) + "/" + w.Object.Name
}

// External says that traffic from outside the cluster reaches the Service.
func (e *Exposure) External() bool { return len(e.Ways) > 0 }

// ExposureIndex holds the Exposures of a snapshot.
type ExposureIndex struct {
	services   []*Exposure
	byName     map[placedName]*Exposure
	byTemplate map[placedTemplate][]*Exposure
}

type (
	placedName     struct{ namespace, name string }
	placedTemplate struct {
		object *Object
		path   string
	}
)

// Exposures returns the index of a snapshot, made once.
//
// What a snapshot of files does not hold is taken to permit: a route to a
// Gateway that is not there counts as attached. In a whole cluster, a Gateway
// must exist, its listeners must allow the namespace of the route, and a
// reference to a Service in another namespace needs a ReferenceGrant.
func Exposures(s *Snapshot) *ExposureIndex {
	type key struct{}
	return Derive(s, key{}, func() *ExposureIndex { return newExposures(s) })
}

// Services returns all Services in reading order.
func (x *ExposureIndex) Services() []*Exposure { return x.services }

// Service returns one Service's, nil where there is none of that name.
func (x *ExposureIndex) Service(namespace, name string) *Exposure {
	return x.byName[placedName{orDefault(namespace), name}]
}

// Of returns the Services that select the pods of a template, in reading order.
func (x *ExposureIndex) Of(t *PodTemplate) []*Exposure {
	return x.byTemplate[placedTemplate{t.Object, t.SpecPath}]
}

// Ways returns all ways from outside to the pods of a template.
func (x *ExposureIndex) Ways(t *PodTemplate) []Way {
	var out []Way
	for _, e := range x.Of(t) {
		out = append(out, e.Ways...)
	}
	return out
}

func newExposures(s *Snapshot) *ExposureIndex {
	x := &ExposureIndex{byName: map[placedName]*Exposure{}, byTemplate: map[placedTemplate][]*Exposure{}}
	for _, o := range s.Kind("Service") {
		name := placedName{namespaceOf(o), o.Name}
		if o.Group() != "" || x.byName[name] != nil {
			continue
		}
		e := &Exposure{Service: o, Ways: serviceWays(o)}
		if o.Root.At("spec", "type").Str() != "ExternalName" {
			e.Templates = s.Selected(o.Namespace, MapSelector(o.Root.At("spec", "selector")))
		}
		x.services = append(x.services, e)
		x.byName[name] = e
		for _, t := range e.Templates {
			at := placedTemplate{t.Object, t.SpecPath}
			x.byTemplate[at] = append(x.byTemplate[at], e)
		}
	}
	x.addIngresses(s)
	x.addRoutes(s)
	x.addVirtualServices(s)
	return x
}

// internalAnnotations are the annotations that keep the load balancer of a
// Service within the private network, each with the values that do; none means
// any but false.
var internalAnnotations = map[string][]string{
	"service.beta.kubernetes.io/azure-load-balancer-internal":            {"true"},
	"service.beta.kubernetes.io/aws-load-balancer-internal":              nil,
	"service.beta.kubernetes.io/aws-load-balancer-scheme":                {"internal"},
	"networking.gke.io/load-balancer-type":                               {"internal"},
	"cloud.google.com/load-balancer-type":                                {"internal"},
	"service.beta.kubernetes.io/openstack-internal-load-balancer":        {"true"},
	"service.beta.kubernetes.io/oci-load-balancer-internal":              {"true"},
	"service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type": {"intranet"},
}

func serviceWays(o *Object) []Way {
	var out []Way
	spec := o.Root.Get("spec")
	switch spec.Get("type").Str() {
	case "LoadBalancer":
		out = append(out, Way{Through: LoadBalancer, Object: o, Path: "spec.type", Internal: isInternal(o)})
	case "NodePort":
		out = append(out, Way{Through: NodePort, Object: o, Path: "spec.type"})
	case "ExternalName":
		return nil
	}
	if spec.Get("externalIPs").Len() > 0 {
		out = append(out, Way{Through: ExternalIPs, Object: o, Path: "spec.externalIPs"})
	}
	return out
}

func isInternal(o *Object) bool {
	for _, f := range o.Root.At("metadata", "annotations").Map() {
		want, known := internalAnnotations[f.Key]
		value := strings.ToLower(f.Value.Str())
		if known && (slices.Contains(want, value) || want == nil && value != "" && value != "false") {
			return true
		}
	}
	return false
}

// lead adds a way to a Service, once for each object.
func (x *ExposureIndex) lead(namespace, name string, w Way) {
	e := x.Service(namespace, name)
	if e == nil {
		return
	}
	for _, have := range e.Ways {
		if have.Object == w.Object && have.Through == w.Through {
			return
		}
	}
	e.Ways = append(e.Ways, w)
}

// IngressBackends calls each for every place of every Ingress where a backend
// may stand, in all versions of the API; backend is nil where none does.
func (s *Snapshot) IngressBackends(each func(o *Object, backend *document.Node, path string)) {
	for _, o := range s.Kind("Ingress") {
		if g := o.Group(); g != "networking.k8s.io" && g != "extensions" {
			continue
		}
		spec := o.Root.Get("spec")
		each(o, spec.Get("defaultBackend"), "spec.defaultBackend")
		each(o, spec.Get("backend"), "spec.backend")
		for i, rule := range spec.Get("rules").List() {
			for j, p := range rule.At("http", "paths").List() {
				each(o, p.Get("backend"), document.Index(document.Index("spec.rules", i)+".http.paths", j)+".backend")
			}
		}
	}
}

// addIngresses follows Ingress, and the kinds that do its work elsewhere:
// OpenShift's Route, Traefik's IngressRoute and Contour's HTTPProxy.
func (x *ExposureIndex) addIngresses(s *Snapshot) {
	s.IngressBackends(func(o *Object, backend *document.Node, path string) {
		name := backend.At("service", "name").Str()
		if name == "" {
			name = backend.Get("serviceName").Str() // extensions/v1beta1, networking.k8s.io/v1beta1
		}
		x.lead(o.Namespace, name, Way{Through: Ingress, Object: o, Path: path})
	})
	for _, o := range s.Kind("Route") {
		if o.Group() == "route.openshift.io" {
			spec := o.Root.Get("spec")
			x.lead(o.Namespace, spec.At("to", "name").Str(), Way{Through: Ingress, Object: o, Path: "spec.to"})
			for i, b := range spec.Get("alternateBackends").List() {
				x.lead(o.Namespace, b.Get("name").Str(), Way{Through: Ingress, Object: o, Path: document.Index("spec.alternateBackends", i)})
			}
		}
	}
	for _, kind := range [...]string{"IngressRoute", "IngressRouteTCP", "IngressRouteUDP", "HTTPProxy"} {
		for _, o := range s.Kind(kind) {
			if g := o.Group(); g == "traefik.io" || g == "traefik.containo.us" || g == "projectcontour.io" {
				x.addRouteServices(o)
			}
		}
	}
}

// addRouteServices follows spec.routes[].services[], as Traefik and Contour have
// it. A Traefik service may stand in another namespace.
func (x *ExposureIndex) addRouteServices(o *Object) {
	for i, route := range o.Root.At("spec", "routes").List() {
		for j, svc := range route.Get("services").List() {
			if kind := svc.Get("kind").Str(); kind != "" && kind != "Service" {
				continue
			}
			ns := svc.Get("namespace").Str()
			if ns == "" {
				ns = o.Namespace
			}
			path := document.Index(document.Index("spec.routes", i)+".services", j)
			x.lead(ns, svc.Get("name").Str(), Way{Through: Ingress, Object: o, Path: path})
		}
	}
}

func namespaceOf(o *Object) string { return orDefault(o.Namespace) }

func orDefault(namespace string) string {
	if namespace == "" {
		return "default"
	}
	return namespace
}
