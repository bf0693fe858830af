package workloadchecks

import (
	"fmt"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// mounts lists the volumes of the kind in the parameter kind (Secret,
// ConfigMap, PersistentVolumeClaim) that a container mounts.
func mounts(in *check.Input) {
	kind, _ := in.Params["kind"].(string)
	for _, t := range in.Snapshot.Templates() {
		volumes := t.Spec().Get("volumes").List()
		for i, v := range volumes {
			names := sources(kind, v)
			if len(names) == 0 {
				continue
			}
			if where := mountedAt(&t, v.Get("name").Str()); where != "" {
				in.Report(check.Hit{
					Object: t.Object, Path: document.Index(t.SpecPath+".volumes", i), Cause: v.Get("name").Str(),
					Message: fmt.Sprintf("mounts %s %s %s", kind, strings.Join(names, ", "), where),
				})
			}
		}
		if kind != "PersistentVolumeClaim" || t.Object.Kind != "StatefulSet" {
			continue
		}
		for i, c := range t.Object.Root.At("spec", "volumeClaimTemplates").List() {
			name := c.At("metadata", "name").Str()
			if where := mountedAt(&t, name); where != "" {
				in.Report(check.Hit{
					Object: t.Object, Path: document.Index("spec.volumeClaimTemplates", i), Cause: name,
					Message: fmt.Sprintf("mounts %s %s-%s-N %s", kind, name, t.Object.Name, where),
				})
			}
		}
	}
}

// sources names the objects of a kind that a volume shows.
func sources(kind string, v *document.Node) []string {
	var out []string
	add := func(n *document.Node) {
		if n.Str() != "" {
			out = append(out, n.Str())
		}
	}
	switch kind {
	case "Secret":
		add(v.At("secret", "secretName"))
		for _, s := range v.At("projected", "sources").List() {
			add(s.At("secret", "name"))
		}
	case "ConfigMap":
		add(v.At("configMap", "name"))
		for _, s := range v.At("projected", "sources").List() {
			add(s.At("configMap", "name"))
		}
	case "PersistentVolumeClaim":
		add(v.At("persistentVolumeClaim", "claimName"))
	}
	return out
}

// mountedAt says where containers mount a volume: at /etc/tls in container
// "app". "" where none does.
func mountedAt(t *cluster.PodTemplate, volume string) string {
	var out []string
	for i := range t.Containers {
		c := &t.Containers[i]
		for _, m := range c.Root.Get("volumeMounts").List() {
			if m.Get("name").Str() == volume {
				out = append(out, fmt.Sprintf("at %s in container %q", m.Get("mountPath").Str(), c.Name()))
			}
		}
		for _, m := range c.Root.Get("volumeDevices").List() {
			if m.Get("name").Str() == volume {
				out = append(out, fmt.Sprintf("as device %s in container %q", m.Get("devicePath").Str(), c.Name()))
			}
		}
	}
	return strings.Join(out, ", ")
}

// exposed reports workloads that are reached from outside the cluster through
// one of the ways in the parameter through.
func exposed(in *check.Input) {
	through := in.Strings("through")
	x := cluster.Exposures(in.Snapshot)
	for _, t := range in.Snapshot.Templates() {
		var ways []string
		for _, w := range x.Ways(&t) {
			for _, want := range through {
				if string(w.Through) == want {
					ways = append(ways, w.String())
				}
			}
		}
		if len(ways) == 0 {
			continue
		}
		in.Report(check.Hit{
			Object: t.Object, Path: document.Key(t.Path, "metadata") + ".labels",
			Message: "reached through " + strings.Join(ways, ", "),
		})
	}
}
