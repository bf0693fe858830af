package check

import (
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// target is what a rule is judged on at one moment. It is the activation of
// the rule's expressions: cel-go asks it for variables by name.
type target struct {
	minor     int64
	params    *document.Node
	object    *cluster.Object
	pod       *cluster.PodTemplate
	container *cluster.Container
	item      *document.Node
	// path is that of what is judged: the object, template, container or item.
	path string
	// paths joins paths; it belongs to the set.
	paths *paths
	// image is taken apart when first asked for.
	image   *document.Node
	imageOf *cluster.Container
	// vars are the variables of loops in scope, and steps the turns taken, of the
	// fast path.
	vars  [maxFastVars]fastValue
	steps int
}

// ResolveName implements cel.Activation.
func (t *target) ResolveName(name string) (any, bool) {
	switch name {
	case "object":
		return value(t.object.Root), true
	case "pod":
		if t.pod != nil {
			return value(t.pod.Root), true
		}
	case "container":
		if t.container != nil {
			return value(t.container.Root), true
		}
	case "containerType":
		if t.container != nil {
			return types.String(t.container.Type), true
		}
	case "eff":
		if t.container != nil {
			return effValue{t.container.Root.Get("securityContext"), t.pod.Spec().Get("securityContext")}, true
		}
	case "item":
		return value(t.item), t.item != nil
	case "image":
		if n := t.imageParts(); n != nil {
			return value(n), true
		}
	case "minor":
		return types.Int(t.minor), true
	case "params":
		return value(t.params), true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (t *target) Parent() cel.Activation { return nil }

func (t *target) imageParts() *document.Node {
	if t.container == nil {
		return nil
	}
	if t.imageOf != t.container {
		t.image, t.imageOf = imageNode(ParseImage(t.container.Image())), t.container
	}
	return t.image
}

// Image is an image reference taken apart.
type Image struct{ Registry, Repository, Tag, Digest string }

// ParseImage takes an image reference apart as the container runtimes do
// (github.com/distribution/reference): the first part is a registry only if it
// has a dot, a colon or a capital letter in it or is localhost; without one it
// is docker.io, and a single name lives under library/. What is absent stays "".
func ParseImage(ref string) Image {
	var img Image
	ref, img.Digest, _ = strings.Cut(strings.TrimSpace(ref), "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref, img.Tag = ref[:i], ref[i+1:]
	}
	first, rest, hasSlash := strings.Cut(ref, "/")
	switch {
	case hasSlash && (strings.ContainsAny(first, ".:") || first == "localhost" || first != strings.ToLower(first)):
		img.Registry, img.Repository = first, rest
	case ref != "":
		img.Registry, img.Repository = "docker.io", ref
	}
	if img.Registry == "index.docker.io" {
		img.Registry = "docker.io"
	}
	if img.Registry == "docker.io" && !strings.Contains(img.Repository, "/") {
		img.Repository = "library/" + img.Repository
	}
	return img
}

// Name writes the reference in full, so that nginx and
// docker.io/library/nginx:latest are one: with the digest where it has one, else
// with the tag.
func (img Image) Name() string {
	switch {
	case img.Digest != "":
		return img.Registry + "/" + img.Repository + "@" + img.Digest
	case img.Tag == "":
		return img.Registry + "/" + img.Repository + ":latest"
	}
	return img.Registry + "/" + img.Repository + ":" + img.Tag
}

func imageNode(img Image) *document.Node {
	str := func(s string) *document.Node { return document.NewString(document.Pos{}, s) }
	return document.NewMap(document.Pos{}, []document.Field{
		{Key: "registry", Value: str(img.Registry)},
		{Key: "repository", Value: str(img.Repository)},
		{Key: "tag", Value: str(img.Tag)},
		{Key: "digest", Value: str(img.Digest)},
	})
}
