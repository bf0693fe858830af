package attack

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/redact"
)

// registryPrefix begins the names of registries among what is Outside.
const registryPrefix = "registry "

// images adds P52: who holds the credentials of a registry may be able to push
// there, and workloads that pull a tag run what it then is. A registry is in the
// graph where a Secret leads to it, for each of the organizations in it whose
// images are pulled with that Secret.
func (b *builder) images() {
	known := map[string]int32{}
	templates := b.snap.Templates()
	for i := range templates {
		t := &templates[i]
		for _, p := range b.pullers(t) {
			secret := b.secretVertex(t.Namespace(), p.name)
			if secret < 0 {
				continue
			}
			hosts := registryHosts(b.g.Vertices[secret].Object)
			for j := range t.Containers {
				place, host := imagePlace(t.Containers[j].Image())
				if place == "" || len(hosts) > 0 && !slices.Contains(hosts, host) {
					continue
				}
				to, ok := known[place]
				if !ok {
					to = b.g.vertex(Key{Kind: Outside, Cluster: None, Name: registryPrefix + place})
					known[place] = to
				}
				b.push(secret, to, p.evidence, place)
			}
		}
	}
	if len(known) == 0 {
		return
	}
	for i := range templates {
		b.pulls(&templates[i], known)
	}
}

// registryHosts are those that a pull Secret is for, nil where its value tells
// nothing.
func registryHosts(secret *cluster.Object) []string {
	if secret == nil {
		return nil
	}
	for field, key := range map[string]string{"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"} {
		if secret.Root.Get("type").Str() != field {
			continue
		}
		if facts, ok := redact.FactsOf(secret.Root.At("data", key).Str(), true); ok {
			return facts.Hosts
		}
		if facts, ok := redact.FactsOf(secret.Root.At("stringData", key).Str(), false); ok {
			return facts.Hosts
		}
	}
	return nil
}

// imagePlace is the registry and organization of an image, with the host alone;
// empty for what only the registry itself publishes.
func imagePlace(image string) (place, host string) {
	if image == "" {
		return "", ""
	}
	ref := check.ParseImage(image)
	host = cmp.Or(ref.Registry, "docker.io")
	organization, _, nested := strings.Cut(ref.Repository, "/")
	switch {
	case organization == "library":
		return "", ""
	case !nested:
		return host, host
	}
	return host + "/" + organization, host
}

// push adds, once for each Secret and place, that its credentials may push.
func (b *builder) push(secret, to int32, ev Evidence, place string) {
	k := [2]int32{secret, to}
	if b.pushes[k] {
		return
	}
	if b.pushes == nil {
		b.pushes = map[[2]int32]bool{}
	}
	b.pushes[k] = true
	b.edge(secret, to, b.step(Step{
		Primitive: credential, Likelihood: 0.2, Evidence: []Evidence{ev}, Text: "images of " + place + " are pulled with it",
		Conditions: []Condition{{Text: "its credentials may push too"}},
	}))
}

// pulls adds that a workload pulls tags from places that a Secret leads to. An
// image by digest is what it is.
func (b *builder) pulls(t *cluster.PodTemplate, known map[string]int32) {
	for i := range t.Containers {
		c := &t.Containers[i]
		place, _ := imagePlace(c.Image())
		from, ok := known[place]
		if !ok || check.ParseImage(c.Image()).Digest != "" {
			continue
		}
		s := Step{
			Primitive: imageTrust, Likelihood: 0.3, Evidence: []Evidence{{t.Object, document.Key(c.Path, "image")}},
			Text:   fmt.Sprintf("container %s runs %s, whatever that is by then", c.Name(), c.Image()),
			Checks: []string{"image-not-digest-pinned", "image-tag-latest"},
		}
		if policy := c.Root.Get("imagePullPolicy").Str(); policy != "Always" {
			s.Likelihood = 0.2
			s.Conditions = []Condition{{Text: "a pod of it comes to a node that does not have the image"}}
		}
		b.edge(from, b.workloadVertex(t), b.step(s))
	}
}
