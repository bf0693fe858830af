package servicechecks

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// unauthenticated reports ports of Services at which a probe (kube.Client.Probe)
// found a known product that answers without authentication. What a probe could
// not tell, and Services that none asked, are named as not evaluated.
func unauthenticated(in *check.Input) {
	probes := probesOf(in.Snapshot)
	var unasked, untold []string
	for _, e := range cluster.Exposures(in.Snapshot).Services() {
		o := e.Service
		spec := o.Root.Get("spec")
		if spec.Get("type").Str() == "ExternalName" || spec.Get("ports").Len() == 0 {
			continue // it leads out of the cluster, or has no port to ask
		}
		if namespaceOf(o) == "default" && o.Name == "kubernetes" {
			continue // the API server: what strangers may do there, RBAC says
		}
		answers, asked := probes[[2]string{namespaceOf(o), o.Name}]
		if !asked {
			unasked = append(unasked, namespaceOf(o)+"/"+o.Name)
			continue
		}
		for _, a := range answers {
			switch a.Get("verdict").Str() {
			case "open":
				reportOpen(in, e, a)
			case "closed", "ordinary":
			default:
				untold = append(untold, fmt.Sprintf("%s/%s:%s", namespaceOf(o), o.Name, portText(a.Get("port")))+because(a.Get("reason").Str()))
			}
		}
	}
	switch {
	case len(unasked) > 0 && len(probes) == 0:
		in.Unmet("needs an active probe of the Services' ports: scan the cluster with --probe")
	case len(unasked) > 0:
		in.Unmet("needs an active probe of " + someOf(unasked) + " too")
	}
	if len(untold) > 0 {
		in.Unmet("the probe could not tell of " + someOf(untold))
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

// someOf names the first few of a list, and counts the rest.
func someOf(names []string) string {
	const most = 10
	if n := len(names) - most; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n)
	}
	return strings.Join(names, ", ")
}

// probesOf returns the answers that Services gave, by namespace and name.
func probesOf(s *cluster.Snapshot) map[[2]string][]*document.Node {
	out := map[[2]string][]*document.Node{}
	for _, o := range s.Kind("Probe") {
		if o.Group() == "seawall.io" {
			out[[2]string{namespaceOf(o), o.Name}] = o.Root.Get("answers").List()
		}
	}
	return out
}

// reportOpen reports one port. What only tells about the inside weighs less, and
// what can be reached from outside the cluster more.
func reportOpen(in *check.Input, e *cluster.Exposure, a *document.Node) {
	h := check.Hit{Object: e.Service, Path: "spec.ports", Cause: portText(a.Get("port")), Severity: seawall.High}
	number, _ := a.Get("port").Int()
	ports := e.Service.Root.At("spec", "ports").List()
	if i := slices.IndexFunc(ports, func(p *document.Node) bool {
		n, _ := p.Get("port").Int()
		return n == number
	}); i >= 0 {
		h.Path = document.Index("spec.ports", i)
	}
	if a.Get("gain").Str() == "insight" {
		h.Severity = seawall.Medium
	}
	h.Message = fmt.Sprintf("port %d answers without authentication: %s", number, a.Get("product").Str())
	if path := a.Get("path").Str(); path != "" {
		h.Message += " at " + path
	}
	if evidence := a.Get("evidence").Str(); evidence != "" {
		h.Message += ", which " + evidence
	}
	if e.External() {
		h.Severity++
		h.Message += fmt.Sprintf("; reached from outside the cluster through %s", e.Ways[0])
	}
	in.Report(h)
}
