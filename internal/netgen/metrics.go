package netgen

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/netpol"
	"seawall.io/seawall/internal/reach"
)

// metrics adds the connections of Prometheus to what it is told to scrape.
func (d *declaring) metrics() {
	scrapers := d.scrapers()
	for _, w := range d.scraped() {
		taken := false
		for _, from := range scrapers {
			if d.takes(from.object, w.why.Object) {
				taken = true
				d.add(Need{From: End{Pods: from.pods}, To: End{Pods: w.pods}, Port: w.port, Use: Metrics, Evidence: []Evidence{w.why}})
			}
		}
		if !taken {
			d.gap(w.why, "no Prometheus that selects it was read, so that scraping is not allowed: read its manifests along")
		}
	}
}

// scraper is pods of Prometheus, with the object of its operator that they are
// made from, if any.
type scraper struct {
	pods   *cluster.PodTemplate
	object *cluster.Object
}

// takes says whether a Prometheus reads what a monitor, or an annotation, says.
// The operator's asks for monitors by their labels and namespaces: without a
// selector for none, without one for namespaces in its own. It knows no
// annotations.
func (d *declaring) takes(prometheus, why *cluster.Object) bool {
	if prometheus == nil {
		return true
	}
	field := map[string]string{"ServiceMonitor": "serviceMonitor", "PodMonitor": "podMonitor"}[why.Kind]
	spec := prometheus.Root.Get("spec")
	sel, err := cluster.LabelSelector(spec.Get(field + "Selector"))
	if field == "" || err != nil || !sel.Matches(why.Root.At("metadata", "labels")) {
		return false
	}
	namespaces := spec.Get(field + "NamespaceSelector")
	if namespaces.IsNull() {
		return namespaceOf(why) == namespaceOf(prometheus)
	}
	sel, err = cluster.LabelSelector(namespaces)
	return err == nil && d.model.Policies().InNamespace(sel, namespaceOf(why)) != netpol.No
}

// scrapers returns the pods of Prometheus. Those that its operator will make are
// known by the labels that it gives them.
func (d *declaring) scrapers() []scraper {
	var out []scraper
	for _, t := range d.pods {
		labels := t.Root.At("metadata", "labels")
		name := labels.Get("app.kubernetes.io/name").Str()
		plain := name == "" && labels.Get("app").Str() == "prometheus" && labels.Get("component").Str() != "alertmanager"
		if (name == "prometheus" || name == "prometheus-agent" || plain) && !strings.Contains(t.Object.Kind, "Job") {
			out = append(out, scraper{t, nil})
		}
	}
	for _, kind := range [...]string{"Prometheus", "PrometheusAgent"} {
		for _, o := range d.snapshot.Kind(kind) {
			if o.Group() != "monitoring.coreos.com" {
				continue
			}
			at := slices.IndexFunc(out, func(s scraper) bool {
				return s.pods.Namespace() == namespaceOf(o) && s.pods.Labels()["operator.prometheus.io/name"] == o.Name
			})
			if at >= 0 {
				out[at].object = o
			} else {
				name := map[string]string{"Prometheus": "prometheus", "PrometheusAgent": "prometheus-agent"}[kind]
				t := standIn(namespaceOf(o), "prometheus-"+o.Name, map[string]string{
					"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "prometheus-operator", "operator.prometheus.io/name": o.Name,
				})
				if d.possible(t, o) {
					out = append(out, scraper{t, o})
					d.out.standIns = append(d.out.standIns, t)
				}
			}
		}
	}
	return out
}

// scrape is a port that Prometheus is told to ask.
type scrape struct {
	pods *cluster.PodTemplate
	port reach.Port
	why  Evidence
}

func (d *declaring) scraped() []scrape {
	var out []scrape
	add := func(t *cluster.PodTemplate, why Evidence, ports []reach.Port) {
		for _, p := range ports {
			out = append(out, scrape{t, p, why})
		}
	}
	for _, t := range d.pods {
		if onHost(t) {
			continue
		}
		annotations := t.Root.At("metadata", "annotations")
		if isTrue(annotations.Get(scrapeKey)) {
			path := document.Key(strings.TrimPrefix(t.Path+".metadata.annotations", "."), scrapeKey)
			add(t, Evidence{t.Object, path, "annotation " + scrapeKey}, d.annotated(t, annotations))
		}
		for _, e := range d.services.Of(t) {
			annotations := e.Service.Root.At("metadata", "annotations")
			if !isTrue(annotations.Get(scrapeKey)) {
				continue
			}
			ports := d.annotated(t, annotations)
			if annotations.Get(scrapePort) == nil {
				ports = d.model.Declared(&reach.Target{Service: e.Service}, reach.Pod(t))
			}
			add(t, Evidence{e.Service, document.Key("metadata.annotations", scrapeKey), "annotation " + scrapeKey}, ports)
		}
	}
	for _, o := range d.snapshot.Kind("PodMonitor") {
		d.monitored(o, "podMetricsEndpoints", func(sel cluster.Selector, namespace string, n *document.Node, why Evidence) {
			for _, t := range d.snapshot.Selected(namespace, sel) {
				if d.isPod(t) && !onHost(t) {
					add(t, why, d.monitorPorts(t, nil, n, why))
				}
			}
		})
	}
	for _, o := range d.snapshot.Kind("ServiceMonitor") {
		d.monitored(o, "endpoints", func(sel cluster.Selector, namespace string, n *document.Node, why Evidence) {
			for _, e := range d.services.Services() {
				if namespaceOf(e.Service) != namespace || !sel.Matches(e.Service.Root.At("metadata", "labels")) {
					continue
				}
				for _, t := range e.Templates {
					if d.isPod(t) && !onHost(t) {
						add(t, why, d.monitorPorts(t, e.Service, n, why))
					}
				}
			}
		})
	}
	return out
}

const (
	scrapeKey  = "prometheus.io/scrape"
	scrapePort = "prometheus.io/port"
)

func isTrue(n *document.Node) bool {
	b, _ := n.Bool()
	return b || strings.EqualFold(n.Str(), "true")
}

// annotated returns the port that annotations name, or all that the pods declare.
func (d *declaring) annotated(t *cluster.PodTemplate, annotations *document.Node) []reach.Port {
	if n := annotations.Get(scrapePort); n != nil {
		for i := range t.Containers {
			if p, ok := portOf(&t.Containers[i], n); ok {
				return []reach.Port{p}
			}
		}
	}
	return d.model.Declared(&reach.Target{}, reach.Pod(t))
}

// monitored calls each for the endpoints of a monitor of the Prometheus operator
// and the namespaces in which it selects.
func (d *declaring) monitored(o *cluster.Object, field string, each func(sel cluster.Selector, namespace string, endpoint *document.Node, why Evidence)) {
	if o.Group() != "monitoring.coreos.com" {
		return
	}
	spec := o.Root.Get("spec")
	sel, err := cluster.LabelSelector(spec.Get("selector"))
	if err != nil {
		d.gap(Evidence{o, "spec.selector", ""}, "its selector cannot be read: %v", err)
		return
	}
	namespaces := []string{namespaceOf(o)}
	if all, _ := spec.At("namespaceSelector", "any").Bool(); all {
		namespaces = nil
		for _, t := range d.pods {
			if !slices.Contains(namespaces, t.Namespace()) {
				namespaces = append(namespaces, t.Namespace())
			}
		}
	} else if names := spec.At("namespaceSelector", "matchNames").List(); len(names) > 0 {
		namespaces = nil
		for _, n := range names {
			namespaces = append(namespaces, n.Str())
		}
	}
	for i, n := range spec.Get(field).List() {
		for _, ns := range namespaces {
			each(sel, ns, n, Evidence{o, document.Index("spec."+field, i), "endpoint"})
		}
	}
}

// monitorPorts returns the port of an endpoint of a monitor: by the name that it
// has in the Service or the pod, or by what it is in the pod.
func (d *declaring) monitorPorts(t *cluster.PodTemplate, service *cluster.Object, n *document.Node, why Evidence) []reach.Port {
	name := n.Get("port").Str()
	var err error
	var p reach.Port
	if name != "" && service != nil {
		p, err = d.model.Port(&reach.Target{Name: namespaceOf(service) + "/" + service.Name, Service: service}, reach.Pod(t), name)
		if err == nil {
			return []reach.Port{p}
		}
	}
	for _, field := range [...]string{"port", "portNumber", "targetPort"} {
		if field == "port" && service != nil {
			continue
		}
		for i := range t.Containers {
			if p, ok := portOf(&t.Containers[i], n.Get(field)); ok {
				return []reach.Port{p}
			}
		}
	}
	if err == nil {
		err = fmt.Errorf("%s has no port %q", reach.Pod(t), name)
	}
	d.gap(why, "%v", err)
	return nil
}
