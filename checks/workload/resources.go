package workloadchecks

import (
	"fmt"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// minPodResources is the Kubernetes minor version from which on spec.resources
// of a pod bounds its containers together (PodLevelResources, beta in 1.34).
const minPodResources = 34

// resourceMissing reports containers that run without a request or limit for a
// resource. Parameters:
//
//	resource   cpu, memory, ephemeral-storage
//	of         requests, limits, or both
//
// What a LimitRange among the objects supplies counts, and so does what the pod
// has as a whole.
func resourceMissing(in *check.Input) {
	resource, _ := in.Params["resource"].(string)
	of, _ := in.Params["of"].(string)
	ranges := limitRanges(in.Snapshot)
	for _, t := range in.Snapshot.Templates() {
		var pod *document.Node
		if in.Minor >= minPodResources && resource != "ephemeral-storage" {
			pod = t.Spec().Get("resources")
		}
		defaults := ranges[t.Namespace()]
		for i := range t.Containers {
			c := &t.Containers[i]
			if c.Type != cluster.Main && c.Type != cluster.Sidecar {
				continue
			}
			own, name := c.Root.Get("resources"), strings.Replace(resource, "cpu", "CPU", 1)
			limit := has(own, "limits", resource) || has(pod, "limits", resource) || defaults.limits[resource]
			request := has(own, "limits", resource) || has(own, "requests", resource) ||
				has(pod, "limits", resource) || has(pod, "requests", resource) || defaults.requests[resource]
			var message string
			switch {
			case of == "limits" && !limit:
				message = fmt.Sprintf("no %s limit", name)
			case of == "requests" && !request:
				message = fmt.Sprintf("no %s request, and no limit that it would default to", name)
			case of == "both" && !limit && !request:
				message = fmt.Sprintf("neither %s request nor limit", name)
			case of == "both" && !limit:
				message = fmt.Sprintf("no %s limit", name)
			default:
				continue
			}
			in.Report(check.Hit{
				Object: t.Object, Path: c.Path + ".resources", Container: c.Name(), Image: c.Image(), Message: message,
			})
		}
	}
}

func has(resources *document.Node, of, resource string) bool {
	return !resources.At(of, resource).IsNull()
}

// supplied are the resources for which a namespace's LimitRanges give a
// container a limit, or a request, where it has none.
type supplied struct{ limits, requests map[string]bool }

// limitRanges reads the LimitRanges by namespace, with the defaults that the API
// server puts into them: default from max, defaultRequest from default or min
// (SetDefaults_LimitRangeItem).
func limitRanges(s *cluster.Snapshot) map[string]supplied {
	type key struct{}
	return cluster.Derive(s, key{}, func() map[string]supplied {
		out := map[string]supplied{}
		for _, o := range s.Kind("LimitRange") {
			if o.Group() != "" {
				continue
			}
			ns := namespace(o)
			if out[ns].limits == nil {
				out[ns] = supplied{map[string]bool{}, map[string]bool{}}
			}
			for _, item := range o.Root.At("spec", "limits").List() {
				if item.Get("type").Str() != "Container" {
					continue
				}
				for _, from := range [...]string{"default", "max"} {
					for _, f := range item.Get(from).Map() {
						out[ns].limits[f.Key], out[ns].requests[f.Key] = true, true
					}
				}
				for _, from := range [...]string{"defaultRequest", "min"} {
					for _, f := range item.Get(from).Map() {
						out[ns].requests[f.Key] = true
					}
				}
			}
		}
		return out
	})
}

// namespace is where an object of a namespaced kind goes.
func namespace(o *cluster.Object) string {
	if o.Namespace == "" {
		return "default"
	}
	return o.Namespace
}
