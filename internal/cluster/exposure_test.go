package cluster_test

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	"seawall.io/seawall/internal/cluster"
)

const shop = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a, image: b}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}}
---
`

// ways lists all ways of a snapshot: SERVICE THROUGH OBJECT PATH.
func ways(s *cluster.Snapshot) string {
	var out []string
	for _, e := range cluster.Exposures(s).Services() {
		for _, w := range e.Ways {
			line := fmt.Sprintf("%s %s %s %s", e.Service.Name, w.Through, w.Object.Name, w.Path)
			if w.Internal {
				line += " internal"
			}
			out = append(out, line)
		}
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

func TestExposures(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		whole            bool
	}{
		{name: "within", text: ``, want: ""},
		{name: "service-types", text: `
apiVersion: v1
kind: Service
metadata: {name: lb, namespace: shop}
spec: {type: LoadBalancer}
---
apiVersion: v1
kind: Service
metadata: {name: private, namespace: shop, annotations: {networking.gke.io/load-balancer-type: Internal}}
spec: {type: LoadBalancer}
---
apiVersion: v1
kind: Service
metadata: {name: np, namespace: shop}
spec: {type: NodePort}
---
apiVersion: v1
kind: Service
metadata: {name: ips, namespace: shop}
spec: {type: ClusterIP, externalIPs: [192.0.2.1]}
---
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: shop}
spec: {type: ExternalName, externalName: example.com, externalIPs: [192.0.2.1]}
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: knative, namespace: shop}
spec: {type: LoadBalancer}
`, want: "ips externalIPs ips spec.externalIPs\nlb LoadBalancer lb spec.type\nnp NodePort np spec.type\nprivate LoadBalancer private spec.type internal"},
		{name: "ingress", text: `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: front, namespace: shop}
spec: {rules: [{http: {paths: [{backend: {service: {name: other}}}, {backend: {service: {name: web}}}]}}]}
`, want: "web Ingress front spec.rules[0].http.paths[1].backend"},
		{name: "default-backend", text: `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: front, namespace: shop}
spec: {defaultBackend: {service: {name: web}}}
`, want: "web Ingress front spec.defaultBackend"},
		{name: "old-ingress", text: `
apiVersion: extensions/v1beta1
kind: Ingress
metadata: {name: front, namespace: shop}
spec: {backend: {serviceName: web}}
`, want: "web Ingress front spec.backend"},
		{name: "ingress-of-another-namespace", text: `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: front, namespace: other}
spec: {defaultBackend: {service: {name: web}}}
`},
		{name: "openshift", text: `
apiVersion: route.openshift.io/v1
kind: Route
metadata: {name: front, namespace: shop}
spec: {to: {kind: Service, name: other}, alternateBackends: [{kind: Service, name: web}]}
`, want: "web Ingress front spec.alternateBackends[0]"},
		{name: "traefik", text: `
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: front, namespace: edge}
spec: {routes: [{services: [{name: web, namespace: shop}, {name: web, namespace: shop, kind: TraefikService}]}]}
`, want: "web Ingress front spec.routes[0].services[0]"},
		{name: "http-route", text: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: front, namespace: shop}
spec: {parentRefs: [{name: gw, namespace: edge}], rules: [{backendRefs: [{name: web, port: 80}]}]}
`, want: "web Gateway front spec.rules[0].backendRefs[0]"},
		{name: "http-route-without-its-gateway", whole: true, text: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: front, namespace: shop}
spec: {parentRefs: [{name: gw, namespace: edge}], rules: [{backendRefs: [{name: web, port: 80}]}]}
`},
		{name: "gateway-of-same-namespace-only", text: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: front, namespace: shop}
spec: {parentRefs: [{name: gw, namespace: edge}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: edge}
spec: {listeners: [{name: http, port: 80}]}
`},
		{name: "gateway-by-selector", whole: true, text: `
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: front, namespace: shop}
spec: {parentRefs: [{name: gw, namespace: edge, sectionName: a}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: back, namespace: shop}
spec: {parentRefs: [{name: gw, namespace: edge, sectionName: b}], rules: [{backendRefs: [{name: web, port: 80}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: edge}
spec:
  listeners:
  - {name: a, port: 80, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {edge: open}}}}}
  - {name: b, port: 80, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {edge: shut}}}}}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {edge: open}}
`, want: "web Gateway front spec.rules[0].backendRefs[0]"},
		{name: "mesh-route", text: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: front, namespace: shop}
spec: {parentRefs: [{group: "", kind: Service, name: web}], rules: [{backendRefs: [{name: web, port: 80}]}]}
`},
		{name: "reference-grant", whole: true, text: `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: granted, namespace: edge}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: web, namespace: shop}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: refused, namespace: edge}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: web, namespace: shop}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: edge}
spec: {listeners: [{name: a, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: g, namespace: shop}
spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: edge}], to: [{group: "", kind: Service}]}
`, want: "web Gateway granted spec.rules[0].backendRefs[0]"},
		{name: "virtual-service", text: `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front, namespace: edge}
spec: {gateways: [mesh, edge/public], http: [{route: [{destination: {host: web.shop.svc.cluster.local}}]}]}
`, want: "web Istio front spec.http[0].route[0].destination.host"},
		{name: "virtual-service-of-the-mesh", text: `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: mesh, namespace: shop}
spec: {gateways: [mesh], http: [{route: [{destination: {host: web}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: none, namespace: shop}
spec: {http: [{route: [{destination: {host: web}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: confined, namespace: shop}
spec: {gateways: [mesh, public], http: [{match: [{gateways: [mesh]}], route: [{destination: {host: web}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: outside, namespace: shop}
spec: {gateways: [public], tls: [{route: [{destination: {host: web.example.com}}]}]}
`},
		{name: "virtual-service-delegates", text: `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front, namespace: edge}
spec: {gateways: [public], http: [{delegate: {name: shop, namespace: shop}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: shop}
spec: {http: [{route: [{destination: {host: web}}]}]}
`, want: "web Istio front spec.gateways"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := snapshot(t, shop+c.text)
			s.Whole = c.whole
			if got := ways(s); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestExposuresOfTemplate(t *testing.T) {
	s := snapshot(t, shop+`
apiVersion: v1
kind: Service
metadata: {name: out, namespace: shop}
spec: {type: NodePort, selector: {app: web}}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {type: NodePort, selector: {app: db}}
`)
	x := cluster.Exposures(s)
	tmpl := s.Templates()[0]
	var got []string
	for _, e := range x.Of(&tmpl) {
		got = append(got, fmt.Sprintf("%s %v %d", e.Service.Name, e.External(), len(e.Templates)))
	}
	if g, want := strings.Join(got, ", "), "web false 1, out true 1"; g != want {
		t.Errorf("got %s, want %s", g, want)
	}
	if w := x.Ways(&tmpl); len(w) != 1 || w[0].String() != "Service out of type NodePort" {
		t.Errorf("got %v", w)
	}
	if x.Service("", "web") != nil || x.Service("shop", "web") == nil {
		t.Error("Service does not heed the namespace")
	}
}

func BenchmarkExposures(b *testing.B) {
	var text strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&text, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: w%d, namespace: n%d}\nspec: {template: {metadata: {labels: {app: w%d, team: a}}, spec: {containers: [{name: a, image: b}]}}}\n---\n", i, i%50, i)
		fmt.Fprintf(&text, "apiVersion: v1\nkind: Service\nmetadata: {name: w%d, namespace: n%d}\nspec: {type: NodePort, selector: {app: w%d, team: a}}\n---\n", i, i%50, i)
	}
	objects := snapshot(b, text.String()).Objects
	b.ResetTimer()
	for b.Loop() {
		cluster.Exposures(cluster.NewSnapshot(objects))
	}
}
