package workloadchecks

import (
	"fmt"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/patch"
)

// labelValues reports labels, of objects and of the pods that they embed, whose
// values the API server refuses. A live cluster has none.
func labelValues(in *check.Input) {
	if in.Snapshot.Whole {
		return
	}
	for _, o := range in.Snapshot.Objects {
		checkLabels(in, o, "metadata.labels", o.Root.At("metadata", "labels"))
		for _, t := range cluster.PodTemplates(o) {
			if t.Path != "" {
				checkLabels(in, o, t.Path+".metadata.labels", t.Root.At("metadata", "labels"))
			}
		}
	}
}

func checkLabels(in *check.Input, o *cluster.Object, path string, labels *document.Node) {
	for _, f := range labels.Map() {
		hit := check.Hit{Object: o, Path: document.Key(path, f.Key)}
		switch v := f.Value; {
		case v.IsNull():
			continue
		case v.Kind() == document.Int:
			text := string(v.AppendJSON(nil))
			hit.Message = fmt.Sprintf("the value of %s is no string: write %q", f.Key, text)
			hit.Fix = patch.Set(o.Root, hit.Path, text)
		case v.Kind() != document.String:
			hit.Message = fmt.Sprintf("the value of %s is no string", f.Key)
		case len(v.Str()) > 63:
			hit.Message = fmt.Sprintf("the value of %s has %d characters: at most 63", f.Key, len(v.Str()))
		case !isLabelValue(v.Str()):
			hit.Message = fmt.Sprintf("the value %q of %s: letters, digits, -, _ and . only, and a letter or digit at both ends", v.Str(), f.Key)
		default:
			continue
		}
		in.Report(hit)
	}
}

// isLabelValue is validation.IsValidLabelValue of k8s.io/apimachinery, without
// the length.
func isLabelValue(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case (c == '-' || c == '_' || c == '.') && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return true
}

// keysSorted reports each mapping whose keys do not stand in alphabetical
// order, at the first key that is out of place. A live object has no order.
func keysSorted(in *check.Input) {
	if in.Snapshot.Whole {
		return
	}
	for _, o := range in.Snapshot.Objects {
		unsorted(in, o, o.Root, "")
	}
}

func unsorted(in *check.Input, o *cluster.Object, n *document.Node, path string) {
	for i, f := range n.Map() {
		if i > 0 && f.Key < n.Map()[i-1].Key {
			in.Report(check.Hit{
				Object: o, Path: document.Key(path, f.Key),
				Message: fmt.Sprintf("%s stands after %s", f.Key, n.Map()[i-1].Key),
			})
			break
		}
	}
	for _, f := range n.Map() {
		unsorted(in, o, f.Value, document.Key(path, f.Key))
	}
	for i, item := range n.List() {
		unsorted(in, o, item, document.Index(path, i))
	}
}
