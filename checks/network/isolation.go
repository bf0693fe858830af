package networkchecks

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/netpol"
)

// notIsolated reports pod templates that no policy isolates in one direction, or
// in both. The parameter exempt names namespaces that are left out.
func notIsolated(in *check.Input) {
	s := in.Snapshot
	if s.Whole && netpol.Unlisted(s, "networkpolicies") {
		in.Unknown(nil, "network policies could not be listed: it is not known which pods they isolate")
		return
	}
	exempt := in.Strings("exempt")
	m := netpol.Of(s)
	for _, p := range m.Policies() {
		for _, f := range p.Faults() {
			in.Unknown(p.Object, fmt.Sprintf("the policy cannot be applied, so it is taken for none: %s: %v", f.Path, f.Err))
		}
	}
	templates := s.Templates()
	for i := range templates {
		t := &templates[i]
		if slices.Contains(exempt, t.Namespace()) || onHost(t) || t.Object.Kind == "PodTemplate" {
			continue
		}
		var missing []string
		for _, d := range [...]netpol.Direction{netpol.Ingress, netpol.Egress} {
			if !m.Isolated(t, d) {
				missing = append(missing, d.String())
			}
		}
		if len(missing) > 0 {
			in.Report(check.Hit{
				Object: t.Object, Path: t.SpecPath,
				Message: fmt.Sprintf("no policy selects the pods for %s", strings.Join(missing, " or ")),
			})
		}
	}
}

// onHost says that pods use the network of their node, where policies do not
// hold.
func onHost(t *cluster.PodTemplate) bool {
	host, _ := t.Spec().Get("hostNetwork").Bool()
	return host
}
