package workloadchecks

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
)

// tagVersion reads the version at the start of an image's tag: v1.8.3,
// 1.8.3-alpine, 1.8. ok is false where the tag is none.
func tagVersion(tag string) (v *version.Version, ok bool) {
	tag, _, _ = strings.Cut(tag, "-")
	tag, _, _ = strings.Cut(tag, "_")
	v, err := version.ParseGeneric(tag)
	return v, err == nil
}

func older(v *version.Version, than string) bool { return v.LessThan(version.MustParseGeneric(than)) }

// ingressSnippets reports ingress-nginx controllers that take snippets of
// configuration from annotations. Up to 1.0.0 (and 0.49.0) nothing turns that
// off; before 1.9.0 it is on unless the controller's ConfigMap says otherwise,
// from then on it is off unless it does.
func ingressSnippets(in *check.Input) {
	for _, t := range in.Snapshot.Templates() {
		for i := range t.Containers {
			c := &t.Containers[i]
			img := check.ParseImage(c.Image())
			if !strings.Contains(img.Repository, "ingress-nginx/controller") &&
				!strings.HasSuffix(img.Repository, "kubernetes-ingress-controller/nginx-ingress-controller") {
				continue
			}
			v, ok := tagVersion(img.Tag)
			if !ok {
				continue
			}
			message := snippets(in, &t, c, v)
			if message == "" {
				continue
			}
			in.Report(check.Hit{
				Object: t.Object, Path: c.Path + ".image", Container: c.Name(), Image: c.Image(),
				Message: fmt.Sprintf("controller %s %s", img.Tag, message),
			})
		}
	}
}

const snippetsKey = "allow-snippet-annotations"

func snippets(in *check.Input, t *cluster.PodTemplate, c *cluster.Container, v *version.Version) string {
	if older(v, "0.49.1") || !older(v, "1.0.0") && older(v, "1.0.1") {
		return "cannot be told to refuse snippet annotations"
	}
	namespace, name := configMapOf(t, c)
	var config *cluster.Object
	if name != "" {
		if config = in.Snapshot.Get("", "ConfigMap", namespace, name); config == nil && namespace == "default" {
			config = in.Snapshot.Get("", "ConfigMap", "", name)
		}
	}
	set := ""
	if config != nil {
		set = config.Root.At("data", snippetsKey).Str()
	}
	onByDefault := older(v, "1.9.0")
	switch {
	case set == "true":
		return fmt.Sprintf("takes snippet annotations: ConfigMap %s says %s: \"true\"", name, snippetsKey)
	case set != "" || !onByDefault:
		return ""
	case config == nil && name != "" && !in.Snapshot.Whole:
		in.Unknown(t.Object, fmt.Sprintf("whether snippet annotations are refused stands in ConfigMap %s/%s, which is not among the files", namespace, name))
		return ""
	}
	return "takes snippet annotations unless a ConfigMap forbids it, and none does"
}

// configMapOf finds the ConfigMap that the controller's argument names.
func configMapOf(t *cluster.PodTemplate, c *cluster.Container) (namespace, name string) {
	words := slices.Concat(c.Root.Get("command").List(), c.Root.Get("args").List())
	for i, w := range words {
		arg := strings.TrimLeft(w.Str(), "-")
		value, found := strings.CutPrefix(arg, "configmap=")
		if !found && arg == "configmap" && i+1 < len(words) {
			value, found = words[i+1].Str(), true
		}
		if found {
			namespace, name, _ = strings.Cut(value, "/")
			if strings.HasPrefix(namespace, "$(") {
				namespace = t.Namespace()
			}
			return namespace, name
		}
	}
	return "", ""
}

// kyvernoSignatures reports Kyverno 1.8.3 and 1.8.4 where policies verify
// images. In files, whose policies may stand elsewhere, they are taken to.
func kyvernoSignatures(in *check.Input) {
	verifies := !in.Snapshot.Whole
	for _, kind := range [...]string{"ClusterPolicy", "Policy"} {
		for _, o := range in.Snapshot.Kind(kind) {
			if o.Group() != "kyverno.io" {
				continue
			}
			for _, rule := range o.Root.At("spec", "rules").List() {
				verifies = verifies || rule.Get("verifyImages").Len() > 0
			}
		}
	}
	if !verifies {
		return
	}
	for _, t := range in.Snapshot.Templates() {
		for i := range t.Containers {
			c := &t.Containers[i]
			img := check.ParseImage(c.Image())
			if img.Repository != "kyverno" && !strings.HasSuffix(img.Repository, "/kyverno") {
				continue
			}
			if v, ok := tagVersion(img.Tag); ok && !older(v, "1.8.3") && older(v, "1.8.5") {
				in.Report(check.Hit{
					Object: t.Object, Path: c.Path + ".image", Container: c.Name(), Image: c.Image(),
					Message: fmt.Sprintf("Kyverno %s accepts images without a valid signature", img.Tag),
				})
			}
		}
	}
}
