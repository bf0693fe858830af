package vap

import (
	"maps"
	"strings"
	"sync"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// review is one object as the API server would be asked to admit it.
type review struct {
	object *cluster.Object // what findings are about
	pod    *cluster.PodTemplate
	labels *document.Node // of what is judged
	res    resource
	name   string // empty where the API server makes one up
	ns     string // of a Namespace its own name, as the API server has it

	once sync.Once
	// root is what is judged, as the API server shows it to policies.
	root map[string]any
}

// reviews returns what the API server would be asked about, were all objects of
// a snapshot created: each object, and the pods that workloads will make. What
// another object of the snapshot controls is judged with that one.
func reviews(s *cluster.Snapshot) []*review {
	type key struct{}
	return cluster.Derive(s, key{}, func() []*review {
		known := newResources(s.Objects)
		var out []*review
		for _, o := range s.Objects {
			if s.Controller(o) != nil {
				continue
			}
			if r := newReview(known, o); !r.res.excluded() {
				out = append(out, r)
			}
			if o.Kind == "Pod" || o.Kind == "PodTemplate" {
				continue
			}
			templates := cluster.PodTemplates(o)
			for i := range templates {
				out = append(out, podReview(o, &templates[i]))
			}
		}
		return out
	})
}

func newReview(known resources, o *cluster.Object) *review {
	r := &review{
		object: o, res: known.of(o), ns: o.Namespace,
		labels: o.Root.At("metadata", "labels"), name: o.Root.At("metadata", "name").Str(),
	}
	switch {
	case r.res.group == "" && r.res.name == "namespaces":
		r.ns = r.name
	case !r.res.namespaced:
		r.ns = ""
	case r.ns == "":
		r.ns = "default"
	}
	return r
}

// podReview makes the review of the pod that a template will become. Its name
// is made up by a controller, and so has none here.
func podReview(o *cluster.Object, t *cluster.PodTemplate) *review {
	return &review{
		object: o, pod: t, labels: t.Root.At("metadata", "labels"), ns: t.Namespace(),
		res: resource{version: "v1", name: "pods", kind: "Pod", namespaced: true, versions: []string{"v1"}, alike: true},
	}
}

// shown returns the object as policies see it in a version.
func (r *review) shown(version string) map[string]any {
	r.once.Do(func() {
		if r.pod != nil {
			r.root = servedPod(r.object, r.pod)
		} else {
			r.root = served(r)
		}
	})
	if version == r.res.version {
		return r.root
	}
	out := maps.Clone(r.root)
	out["apiVersion"] = r.res.group + "/" + version
	return out
}

// locate turns a path in what is judged into one in the object.
func (r *review) locate(path string) string {
	switch {
	case r.pod == nil:
		return path
	case r.pod.Path != "":
		return strings.TrimSuffix(r.pod.Path+"."+path, ".")
	}
	// A pod spec that stands without a template around it.
	if rest, ok := strings.CutPrefix(path, "spec"); ok {
		return r.pod.SpecPath + rest
	}
	return r.pod.SpecPath
}
