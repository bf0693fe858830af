package isolation

import (
	"cmp"
	"fmt"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/netpol"
	"seawall.io/seawall/internal/reach"
)

func (v *viewer) ingress(ns string, _ *cluster.Object) Row { return v.denied(ns, netpol.Ingress) }
func (v *viewer) egress(ns string, _ *cluster.Object) Row  { return v.denied(ns, netpol.Egress) }

// denied is whether all pods of the namespace are isolated in a direction.
func (v *viewer) denied(ns string, d netpol.Direction) Row {
	aspect := d.String()
	if netpol.Unlisted(v.snap, "networkpolicies") {
		return row(aspect, Unknown, "the network policies could not be listed")
	}
	model := netpol.Of(v.snap)
	var evidence []Evidence
	for _, p := range model.Policies() {
		if p.Object.Namespace == ns && netpol.IsNetworkPolicy(p.Object) && p.Isolates(d) && p.Object.Root.At("spec", "podSelector").Len() == 0 {
			evidence = append(evidence, Evidence{p.Object, "spec.podSelector"})
		}
	}
	if len(evidence) > 0 {
		return row(aspect, Good, "a policy selects all pods: what no policy allows is denied", evidence...)
	}
	var open []string
	templates := v.templates[ns]
	for _, t := range templates {
		if !model.Isolated(t, d) {
			open = append(open, t.Object.Kind+"/"+t.Object.Name)
		}
	}
	switch {
	case len(templates) == 0:
		return row(aspect, Open, "no default: a new pod may connect at will")
	case len(open) == 0:
		return row(aspect, Weak, "policies select every workload there is, but none selects all pods: a new one may connect at will")
	case len(open) < len(templates):
		return row(aspect, Weak, fmt.Sprintf("no policy isolates %d of %d workloads: %s", len(open), len(templates), few(distinct(open))))
	}
	return row(aspect, Open, "no policy isolates any workload")
}

// enforcement is whether the network plugin makes policies true.
func (v *viewer) enforcement(string, *cluster.Object) Row {
	cni := v.reach.CNI()
	switch {
	case cni.Name == "":
		return row("enforcement", Unknown, "which network plugin the cluster has is not known: policies may have no effect")
	case cni.Enforces == reach.Denied:
		return row("enforcement", Open, cni.Name+" enforces no policy: "+cni.From)
	case cni.Enforces == reach.Allowed:
		return row("enforcement", Good, cni.Name+" enforces policies: "+cni.From)
	}
	return row("enforcement", Unknown, cni.Name+" may or may not enforce policies: "+cni.From)
}

func (v *viewer) metadata(ns string, _ *cluster.Object) Row {
	return v.exit(ns, "metadata", "metadata", "the metadata service of the node's cloud")
}

func (v *viewer) apiServer(ns string, _ *cluster.Object) Row {
	return v.exit(ns, "api-server", "apiserver", "the API server")
}

// exit is whether pods may connect to something outside.
func (v *viewer) exit(ns, aspect, to, name string) Row {
	var allowed, doubtful []string
	for _, t := range v.templates[ns] {
		for _, e := range v.exits(t) {
			if e.To != to {
				continue
			}
			who := t.Object.Kind + "/" + t.Object.Name
			switch e.Answer {
			case reach.Denied:
			case reach.Allowed, reach.Partly:
				allowed = append(allowed, who)
			default:
				doubtful = append(doubtful, who)
			}
		}
	}
	n := len(v.templates[ns])
	switch {
	case n == 0:
		return row(aspect, Unknown, "it has no workload")
	case len(allowed) == n && n > 1:
		return row(aspect, Open, "all workloads may connect to "+name)
	case len(allowed) > 0:
		return row(aspect, Weak, fmt.Sprintf("may connect to %s: %s", name, few(distinct(allowed))))
	case len(doubtful) > 0:
		return row(aspect, Unknown, fmt.Sprintf("may be able to connect to %s: %s", name, few(distinct(doubtful))))
	}
	return row(aspect, Good, "no workload may connect to "+name)
}

// exits is what pods reach outside. Pods of a class reach the same.
func (v *viewer) exits(t *cluster.PodTemplate) []reach.Exit {
	class, ok := v.reach.Class(t)
	if !ok {
		return v.reach.Outside(t).Exits
	}
	out, ok := v.outside[class]
	if !ok {
		out = v.reach.Outside(t).Exits
		v.outside[class] = out
	}
	return out
}

// services are the ways in from outside the cluster.
func (v *viewer) services(ns string, _ *cluster.Object) Row {
	var names []string
	var evidence []Evidence
	for _, e := range cluster.Exposures(v.snap).Services() {
		svc := e.Service
		if inNamespace(svc) != ns {
			continue
		}
		for _, w := range e.Ways {
			switch w.Through {
			case cluster.LoadBalancer, cluster.NodePort, cluster.ExternalIPs:
				names = append(names, fmt.Sprintf("%s (%s)", svc.Name, w.Through))
				evidence = append(evidence, Evidence{w.Object, w.Path})
			default:
			}
		}
	}
	if len(names) == 0 {
		return row("services", Good, "no Service is reached from outside past an ingress")
	}
	return row("services", Weak, "reached from outside: "+few(distinct(names)), evidence...)
}

// inNamespace is where an object stands.
func inNamespace(o *cluster.Object) string { return cmp.Or(o.Namespace, "default") }
