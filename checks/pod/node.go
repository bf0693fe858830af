package podchecks

import (
	"fmt"
	"path"

	"k8s.io/apimachinery/pkg/util/version"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/rbac"
)

// subPath reports mounts with a subPath where a node's kubelet has
// CVE-2021-25741.
func subPath(in *check.Input) {
	node, kubelet := vulnerableNode(in.Snapshot)
	if node == "" {
		return
	}
	templates := in.Snapshot.Templates()
	for i := range templates {
		t := &templates[i]
		for j := range t.Containers {
			c := &t.Containers[j]
			for k, m := range c.Root.Get("volumeMounts").List() {
				for _, field := range [...]string{"subPath", "subPathExpr"} {
					if m.Get(field).Str() == "" {
						continue
					}
					in.Report(check.Hit{
						Object: t.Object, Container: c.Name(), Image: c.Image(),
						Path:    document.Key(document.Index(document.Key(c.Path, "volumeMounts"), k), field),
						Message: fmt.Sprintf("%s is used, and node %s runs kubelet %s with CVE-2021-25741", field, node, kubelet),
					})
				}
			}
		}
	}
}

// vulnerableNode returns the first node whose kubelet follows links out of a
// subPath volume (kubernetes/kubernetes#104980).
func vulnerableNode(s *cluster.Snapshot) (name, kubelet string) {
	for _, o := range s.Kind("Node") {
		text := o.Root.At("status", "nodeInfo", "kubeletVersion").Str()
		v, err := version.ParseGeneric(text)
		if err != nil || v.Major() != 1 {
			continue
		}
		fixed, affected := map[uint]uint{19: 15, 20: 11, 21: 5, 22: 2}[v.Minor()]
		if v.Minor() < 19 || affected && v.Patch() < fixed {
			return o.Name, text
		}
	}
	return "", ""
}

// kubeletLogs reports containers that can put links into the node's log
// directory and read through them what the kubelet, as root, finds there.
func kubeletLogs(in *check.Input) {
	model := rbac.Of(in.Snapshot)
	templates := in.Snapshot.Templates()
	for i := range templates {
		t := &templates[i]
		volumes := logVolumes(t)
		if len(volumes) == 0 {
			continue
		}
		b := readsLogs(model, t)
		if b == nil {
			continue
		}
		for j := range t.Containers {
			c := &t.Containers[j]
			if !maybeRoot(c, t) {
				continue
			}
			for k, m := range c.Root.Get("volumeMounts").List() {
				if readOnly, _ := m.Get("readOnly").Bool(); readOnly || volumes[m.Get("name").Str()] == "" {
					continue
				}
				in.Report(check.Hit{
					Object: t.Object, Container: c.Name(), Image: c.Image(),
					Path: document.Index(document.Key(c.Path, "volumeMounts"), k),
					Message: fmt.Sprintf("the node's %s is mounted writable, and %s lets service account %s read pod logs",
						volumes[m.Get("name").Str()], b, t.ServiceAccount()),
				})
			}
		}
	}
}

// logVolumes returns the volumes that hold the node's log directory, with
// their paths.
func logVolumes(t *cluster.PodTemplate) map[string]string {
	var out map[string]string
	for _, v := range t.Spec().Get("volumes").List() {
		at := v.At("hostPath", "path").Str()
		if at == "" {
			continue
		}
		switch at = path.Clean("/" + at); at {
		case "/", "/var", "/var/log":
			if out == nil {
				out = map[string]string{}
			}
			out[v.Get("name").Str()] = at
		}
	}
	return out
}

// readsLogs returns a binding by which the pods' account may read logs of pods
// somewhere.
func readsLogs(model *rbac.Model, t *cluster.PodTemplate) *rbac.Binding {
	for _, b := range model.AllBindingsFor(rbac.Account(t.Namespace(), t.ServiceAccount())) {
		if b.Role == nil {
			continue
		}
		for _, rule := range b.Role.Rules {
			if rule.Grants("get", "", "pods/log") {
				return b
			}
		}
	}
	return nil
}

// maybeRoot says that nothing keeps the container from running as UID 0.
func maybeRoot(c *cluster.Container, t *cluster.PodTemplate) bool {
	if v, _ := inherited(c, t, "runAsNonRoot").Bool(); v {
		return false
	}
	uid, set := inherited(c, t, "runAsUser").Int()
	return !set || uid == 0
}

func inherited(c *cluster.Container, t *cluster.PodTemplate, field string) *document.Node {
	if v := c.Root.At("securityContext", field); !v.IsNull() {
		return v
	}
	return t.Spec().At("securityContext", field)
}
