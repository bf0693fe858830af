package servicechecks

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// loadBalancer reports Services of type LoadBalancer, and those that are open to
// the whole Internet as medium.
func loadBalancer(in *check.Input) {
	for _, e := range cluster.Exposures(in.Snapshot).Services() {
		for _, w := range e.Ways {
			if w.Through != cluster.LoadBalancer {
				continue
			}
			h := check.Hit{Object: e.Service, Path: w.Path}
			switch {
			case w.Internal:
				h.Message = "published through an internal load balancer"
			case restricted(e.Service.Root):
				h.Message = "published through a load balancer to the addresses of loadBalancerSourceRanges"
			default:
				h.Severity = seawall.Medium
				h.Message = "published through a load balancer to every address: it is not internal, and no loadBalancerSourceRanges narrow it"
			}
			in.Report(h)
		}
	}
}

// sourceRanges is the annotation that came before the field, and still counts.
const sourceRanges = "service.beta.kubernetes.io/load-balancer-source-ranges"

func restricted(svc *document.Node) bool {
	var ranges []string
	for _, r := range svc.At("spec", "loadBalancerSourceRanges").List() {
		ranges = append(ranges, r.Str())
	}
	if len(ranges) == 0 {
		if text := strings.TrimSpace(svc.At("metadata", "annotations").Get(sourceRanges).Str()); text != "" {
			ranges = strings.Split(text, ",")
		}
	}
	isAll := func(r string) bool { return strings.HasSuffix(strings.TrimSpace(r), "/0") }
	return len(ranges) > 0 && !slices.ContainsFunc(ranges, isAll)
}

// sensitiveExposed reports Services that lead from outside to workloads whose
// name or image is one of the parameter names.
func sensitiveExposed(in *check.Input) {
	names := in.Strings("names")
	for _, e := range cluster.Exposures(in.Snapshot).Services() {
		if !e.External() {
			continue
		}
		for _, t := range e.Templates {
			what := sensitive(names, t)
			if what == "" {
				continue
			}
			w := e.Ways[0]
			in.Report(check.Hit{
				Object: w.Object, Path: w.Path, Cause: e.Service.Name,
				Message: fmt.Sprintf("leads from outside the cluster to %s, which is %s, through %s", t.Object.Subject(), what, w),
			})
			break
		}
	}
}

// sensitive returns the name that a workload goes by: its own, that of its
// label app.kubernetes.io/name, or that of an image.
func sensitive(names []string, t *cluster.PodTemplate) string {
	labels := t.Root.At("metadata", "labels")
	for _, name := range names {
		own := strings.ToLower(t.Object.Name)
		if called(name, own) || labels.Get("app.kubernetes.io/name").Str() == name {
			return name
		}
		for i := range t.Containers {
			if t.Containers[i].Type != cluster.Main {
				continue
			}
			repository := check.ParseImage(t.Containers[i].Image()).Repository
			last := repository[strings.LastIndexByte(repository, '/')+1:]
			if called(name, last) {
				return name
			}
		}
	}
	return ""
}

// called says whether something is called name, or a name that begins with it,
// or one that ends with it where it is long enough to mean something there.
func called(name, own string) bool {
	return own == name || strings.HasPrefix(own, name+"-") || len(name) >= 5 && strings.HasSuffix(own, "-"+name)
}

// portNames reports the names of ports that break the rules which Kubernetes has
// for them (IsValidPortName of k8s.io/apimachinery).
func portNames(in *check.Input) {
	for _, e := range cluster.Exposures(in.Snapshot).Services() {
		for i, p := range e.Service.Root.At("spec", "ports").List() {
			reportPortName(in, e.Service, "", document.Index("spec.ports", i)+".targetPort", p.Get("targetPort"))
		}
	}
	templates := in.Snapshot.Templates()
	for i := range templates {
		t := &templates[i]
		for j := range t.Containers {
			c := &t.Containers[j]
			for k, p := range c.Root.Get("ports").List() {
				reportPortName(in, t.Object, c.Name(), document.Index(c.Path+".ports", k)+".name", p.Get("name"))
			}
		}
	}
}

func reportPortName(in *check.Input, o *cluster.Object, container, path string, n *document.Node) {
	if n.Kind() != document.String || n.Str() == "" {
		return
	}
	if fault := portNameFault(n.Str()); fault != "" {
		in.Report(check.Hit{Object: o, Path: path, Container: container, Message: fmt.Sprintf("port name %q %s", n.Str(), fault)})
	}
}

//nolint:gochecknoglobals // compiled once, never changed
var (
	portSigns  = regexp.MustCompile(`^[-a-z0-9]+$`)
	portLetter = regexp.MustCompile(`[a-z]`)
)

func portNameFault(name string) string {
	switch {
	case len(name) > 15:
		return "is longer than 15 characters"
	case !portSigns.MatchString(name):
		return "has other characters than a-z, 0-9 and -"
	case !portLetter.MatchString(name):
		return "has no letter"
	case strings.Contains(name, "--"):
		return "has two hyphens in a row"
	case name[0] == '-' || name[len(name)-1] == '-':
		return "begins or ends with a hyphen"
	}
	return ""
}
