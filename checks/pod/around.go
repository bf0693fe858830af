package podchecks

import (
	"fmt"
	"slices"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// sshPort reports containers that name SSH's port, and pods to which a Service
// sends connections for it.
func sshPort(in *check.Input) {
	templates := in.Snapshot.Templates()
	for i := range templates {
		t := &templates[i]
		for j := range t.Containers {
			c := &t.Containers[j]
			for k, p := range c.Root.Get("ports").List() {
				if n, _ := p.Get("containerPort").Int(); n != 22 || !isTCP(p) {
					continue
				}
				in.Report(check.Hit{
					Object: t.Object, Container: c.Name(), Image: c.Image(), Message: "containerPort is 22",
					Path: document.Key(document.Index(document.Key(c.Path, "ports"), k), "containerPort"),
				})
			}
		}
	}
	for _, svc := range in.Snapshot.Kind("Service") {
		if svc.Group() != "" {
			continue
		}
		selected := in.Snapshot.Selected(svc.Namespace, cluster.MapSelector(svc.Root.At("spec", "selector")))
		for _, p := range svc.Root.At("spec", "ports").List() {
			port, isSSH := sshPortOf(p)
			if !isSSH {
				continue
			}
			for _, t := range selected {
				in.Report(check.Hit{
					Object: t.Object, Path: t.SpecPath, Cause: "Service " + svc.Name,
					Message: fmt.Sprintf("Service %s sends port %d here", svc.Name, port),
				})
			}
		}
	}
}

// sshPortOf returns a Service's port if it or its target is one of SSH's.
func sshPortOf(p *document.Node) (port int64, ssh bool) {
	port, _ = p.Get("port").Int()
	target, _ := p.Get("targetPort").Int()
	return port, isTCP(p) && (port == 22 || port == 2222 || target == 22 || target == 2222)
}

func isTCP(p *document.Node) bool {
	protocol := p.Get("protocol").Str()
	return protocol == "" || protocol == "TCP"
}

// sandbox reports pods that are labelled as untrusted, or whose namespace is,
// and that no sandbox runtime runs.
func sandbox(in *check.Input) {
	key, _ := in.Params["label"].(string)
	value, _ := in.Params["value"].(string)
	classes := in.Strings("runtimeClasses")
	templates := in.Snapshot.Templates()
	for i := range templates {
		t := &templates[i]
		where := ""
		if ns := in.Snapshot.Get("", "Namespace", "", t.Namespace()); ns != nil && hasLabel(ns.Labels(), key, value) {
			where = "namespace " + ns.Name
		}
		if hasLabel(t.Labels(), key, value) {
			where = "the pod"
		}
		class := t.Spec().Get("runtimeClassName").Str()
		if where == "" || slices.Contains(classes, class) {
			continue
		}
		if class == "" {
			class = "none"
		}
		in.Report(check.Hit{
			Object: t.Object, Path: document.Key(t.SpecPath, "runtimeClassName"),
			Message: fmt.Sprintf("%s is labelled %s=%s, and the runtime class is %s", where, key, value, class),
		})
	}
}

func hasLabel(labels map[string]string, key, value string) bool {
	v, found := labels[key]
	return found && v == value
}
