// Package manifest reads Kubernetes objects out of YAML and JSON files,
// folders and streams. It tells manifests from files that only look like them,
// and accounts for each file it is given: read, skipped with the reason, or
// incomplete with the reason.
package manifest

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// File is what one file held.
type File struct {
	// Name is as the user named it, with /.
	Name       string
	Objects    []*cluster.Object
	Documents  int
	Incomplete []seawall.Incomplete
	Skipped    []seawall.Skipped
}

// Parse reads the objects in the text of one file. A Dockerfile is one object.
func Parse(name string, text []byte) File {
	f := File{Name: name}
	if isDockerfile(name, text) {
		f.dockerfile(text)
		return f
	}
	docs := document.Parse(text, document.Limits{Bytes: MaxFileBytes, Nodes: maxNodes})
	var foreign []document.Pos
	for i := range docs {
		d := &docs[i]
		switch {
		case d.Err != nil:
			f.broken(text, d.Err)
			if isTemplate(text) {
				// One template breaks the documents around it too; say it once.
				f.skipOthers(foreign)
				return f
			}
		case d.Root == nil:
		default:
			f.Documents++
			if !f.add(d.Root, text, i, "") {
				foreign = append(foreign, d.Root.Pos)
			}
		}
	}
	f.skipOthers(foreign)
	return f
}

// skipOthers accounts for documents that are no Kubernetes objects: with one
// line for a file that has no objects at all, and one by one beside objects,
// where kubectl would refuse the file.
func (f *File) skipOthers(foreign []document.Pos) {
	if len(foreign) > 0 && len(f.Objects) == 0 && len(f.Incomplete) == 0 {
		f.Skipped = append(f.Skipped, seawall.Skipped{File: f.Name, Reason: foreignKind(f.Name)})
		return
	}
	for _, pos := range foreign {
		f.Skipped = append(f.Skipped, seawall.Skipped{
			File: f.Name, Reason: fmt.Sprintf("line %d: no Kubernetes object: no apiVersion and kind", pos.Line),
		})
	}
}

// add adds the object at root, or the items of a list. It reports whether root
// is a Kubernetes object.
func (f *File) add(root *document.Node, text []byte, doc int, prefix string) bool {
	o, ok := cluster.New(root)
	if !ok {
		return f.addHalf(root)
	}
	items := root.Get("items")
	if o.Kind == "List" && items != nil && !items.IsNull() && items.Kind() != document.List {
		f.incomplete(items.Pos, "the items of this List are no list: they are not examined")
		return true
	}
	if strings.HasSuffix(o.Kind, "List") && items != nil && (items.Kind() == document.List || items.IsNull()) {
		for i, item := range items.List() {
			path := document.Index(document.Key(prefix, "items"), i)
			if !f.add(withType(item, o), text, doc, path) {
				f.incomplete(item.Pos, "item %d of this %s is no Kubernetes object", i, o.Kind)
			}
		}
		return true
	}
	o.File, o.Text, o.Doc, o.Prefix = f.Name, text, doc, prefix
	f.Objects = append(f.Objects, o)
	return true
}

// addHalf accounts for a document that has an apiVersion or a kind but not both,
// or as something else than text. It reports whether it is one.
func (f *File) addHalf(root *document.Node) bool {
	half := root.Get("apiVersion") != nil || root.Get("kind") != nil
	if !half || (root.Get("metadata") == nil && root.Get("spec") == nil) {
		return false
	}
	missing := "kind"
	if root.Get("apiVersion").Str() == "" {
		missing = "apiVersion"
	}
	fault := "has no " + missing
	if root.Get(missing) != nil {
		fault = "its " + missing + " is no text"
	}
	f.incomplete(root.Pos, "this document looks like a Kubernetes object but %s: without it the object is not examined", fault)
	return true
}

// withType gives an item of a typed list (PodList) the apiVersion and kind that
// the API leaves out of its items.
func withType(item *document.Node, list *cluster.Object) *document.Node {
	kind := strings.TrimSuffix(list.Kind, "List")
	if item.Kind() != document.Map || kind == "" || item.Get("kind") != nil {
		return item
	}
	return document.NewMap(item.Pos, append([]document.Field{
		{Key: "apiVersion", Pos: item.Pos, Value: document.NewString(item.Pos, list.APIVersion)},
		{Key: "kind", Pos: item.Pos, Value: document.NewString(item.Pos, kind)},
	}, item.Map()...))
}

// broken accounts for a document that could not be read.
func (f *File) broken(text []byte, err *document.Error) {
	pos := document.Pos{Line: int32(err.Line), Column: int32(err.Column)} //nolint:gosec // bounded by the size limit
	switch {
	case isTemplate(text) && !looksLikeObject(text):
		f.Skipped = append(f.Skipped, seawall.Skipped{File: f.Name, Reason: "a template of something else than Kubernetes objects"})
	case isTemplate(text):
		f.incomplete(pos, "a Go or Helm template outside a chart: scan the folder with its Chart.yaml, or render it and scan the result")
	default:
		f.incomplete(pos, "%s", err.Msg)
	}
}

func (f *File) incomplete(pos document.Pos, format string, args ...any) {
	f.Incomplete = append(f.Incomplete, seawall.Incomplete{
		Location: seawall.Location{File: f.Name, Line: int(pos.Line), Column: int(pos.Column)},
		Reason:   fmt.Sprintf(format, args...),
	})
}

func isTemplate(text []byte) bool { return bytes.Contains(text, []byte("{{")) }

// looksLikeObject says whether a line of the text sets apiVersion or kind.
func looksLikeObject(text []byte) bool {
	for _, key := range []string{"apiVersion:", "kind:"} {
		if bytes.HasPrefix(text, []byte(key)) || bytes.Contains(text, []byte("\n"+key)) {
			return true
		}
	}
	return false
}

// foreignKind names what a file without Kubernetes objects probably is.
func foreignKind(name string) string {
	base := path.Base(name)
	switch {
	case strings.Contains(name, ".github/"):
		return "a GitHub workflow or setting, no Kubernetes object"
	case strings.HasPrefix(base, ".gitlab-ci"), strings.HasPrefix(base, "azure-pipelines"),
		strings.Contains(name, ".circleci/"), base == ".travis.yml", strings.HasPrefix(base, "cloudbuild"):
		return "a CI configuration, no Kubernetes object"
	case strings.HasPrefix(base, "docker-compose"), strings.HasPrefix(base, "compose."):
		return "a Compose file, no Kubernetes object"
	case strings.HasPrefix(base, "values"):
		return "Helm values, no Kubernetes object"
	}
	return "no Kubernetes object: no apiVersion and kind"
}

// maxNodes is how many values one file may hold: enough for a file of
// MaxFileBytes with short values.
const maxNodes = 8_000_000
