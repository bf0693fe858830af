package podchecks

import (
	"fmt"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// envReferences reports environment variables whose Secret or ConfigMap, or
// whose key in it, does not exist. That an object is missing is known of a
// whole cluster, and of files that hold another of its kind for the namespace.
func envReferences(in *check.Input) {
	templates := in.Snapshot.Templates()
	for i := range templates {
		t := &templates[i]
		for j := range t.Containers {
			c := &t.Containers[j]
			for k, e := range c.Root.Get("env").List() {
				from := e.Get("valueFrom")
				path := document.Key(document.Index(document.Key(c.Path, "env"), k), "valueFrom")
				envReference(in, t, c, "Secret", from.Get("secretKeyRef"), document.Key(path, "secretKeyRef"))
				envReference(in, t, c, "ConfigMap", from.Get("configMapKeyRef"), document.Key(path, "configMapKeyRef"))
			}
		}
	}
}

func envReference(in *check.Input, t *cluster.PodTemplate, c *cluster.Container, kind string, ref *document.Node, path string) {
	name, key := ref.Get("name").Str(), ref.Get("key").Str()
	if optional, _ := ref.Get("optional").Bool(); optional || name == "" {
		return
	}
	hit := check.Hit{Object: t.Object, Container: c.Name(), Image: c.Image()}
	if o := lookup(in, kind, t, name); o != nil {
		if key != "" && !hasKey(o, key) {
			hit.Path = document.Key(path, "key")
			hit.Message = fmt.Sprintf("%s %s has no key %s", kind, name, key)
			in.Report(hit)
		}
		return
	}
	switch absence(in, kind, t.Namespace()) {
	case certain:
		hit.Path = document.Key(path, "name")
		hit.Message = fmt.Sprintf("%s %s does not exist in namespace %s", kind, name, t.Namespace())
		in.Report(hit)
	case unread:
		in.Unknown(t.Object, fmt.Sprintf("whether %s %s exists is unknown: not all of the cluster was read", kind, name))
	case unsaid:
	}
}

func hasKey(o *cluster.Object, key string) bool {
	for _, field := range [...]string{"data", "stringData", "binaryData"} {
		if o.Root.Get(field).Get(key) != nil {
			return true
		}
	}
	return false
}
