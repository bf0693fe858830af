// Package cluster holds the objects of one moment of a cluster, or of the
// files that are to become one, with the indexes that questions across objects
// need. It reads nothing itself: the adapters fill it.
package cluster

import (
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
)

// Object is one Kubernetes object.
type Object struct {
	// Object is the object's name, which findings share. Its Cluster is that which
	// the object was read from, empty for files.
	*seawall.Object
	// File is where the object stands, as the user named it and with /; empty
	// for a live object.
	File string
	// Root is the whole object.
	Root *document.Node
	// Place, when set, says where the value at path really stands, for objects
	// that were rendered from somewhere else (a Helm template, a kustomization).
	// pos is the place of the value in the rendered text.
	Place func(path string, pos document.Pos) seawall.Location
	// Text is the whole text of File, for inline comments and for showing lines;
	// nil where the object was not read from File as it stands.
	Text []byte
	// Doc is the number of the document in File, from 0, and Prefix the path from
	// the document to the object: empty, or items[2] in a List.
	Doc    int
	Prefix string
}

// New reads the identity of an object from its tree. ok is false when the tree
// has no apiVersion or no kind, that is, when it is no Kubernetes object.
func New(root *document.Node) (o *Object, ok bool) {
	meta := root.Get("metadata")
	o = &Object{
		Object: &seawall.Object{
			APIVersion: root.Get("apiVersion").Str(),
			Kind:       root.Get("kind").Str(),
			Namespace:  meta.Get("namespace").Str(),
			Name:       meta.Get("name").Str(),
		},
		Root: root,
	}
	if o.Name == "" {
		o.Name = meta.Get("generateName").Str()
	}
	return o, o.APIVersion != "" && o.Kind != ""
}

// Group returns the API group: "" for the core group.
func (o *Object) Group() string { return groupOf(o.APIVersion) }

func groupOf(apiVersion string) string {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return group
}

// GVK returns apiVersion/Kind, the form in which coverage counts objects.
func (o *Object) GVK() string { return o.APIVersion + "/" + o.Kind }

// Locate returns the place of the value at path, or of the deepest part of the
// path that exists.
func (o *Object) Locate(path string) seawall.Location {
	n, pos := o.Root.Find(path)
	if n != nil && pos == (document.Pos{}) {
		pos = n.Pos // of a tree that only knows where its values stand
	}
	if o.Place != nil {
		loc := o.Place(path, pos)
		loc.Path = path
		return loc
	}
	loc := seawall.Location{File: o.File, Path: path}
	if o.File != "" {
		loc.Line, loc.Column = int(pos.Line), int(pos.Column)
	}
	return loc
}

// Subject names the object in findings.
func (o *Object) Subject() seawall.Subject {
	s := seawall.Subject{Object: o.Object}
	if o.Kind == "Image" && o.APIVersion == "seawall.io/v1" {
		s.Image = o.Name
	}
	return s
}

// Labels returns metadata.labels as a map; nil when there are none.
func (o *Object) Labels() map[string]string { return stringMap(o.Root.At("metadata", "labels")) }

// Annotation returns one of metadata.annotations.
func (o *Object) Annotation(key string) string {
	return o.Root.At("metadata", "annotations").Get(key).Str()
}

// ControllerOwner returns the owner reference that is marked as controller.
func (o *Object) ControllerOwner() (apiVersion, kind, name string, ok bool) {
	for _, ref := range o.Root.At("metadata", "ownerReferences").List() {
		if is, _ := ref.Get("controller").Bool(); is {
			return ref.Get("apiVersion").Str(), ref.Get("kind").Str(), ref.Get("name").Str(), true
		}
	}
	return "", "", "", false
}

func stringMap(n *document.Node) map[string]string {
	if n.Kind() != document.Map {
		return nil
	}
	out := make(map[string]string, len(n.Map()))
	for _, f := range n.Map() {
		out[f.Key] = f.Value.Str()
	}
	return out
}
