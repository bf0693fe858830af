package patch

import (
	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
)

// Set returns the operations that put value at path of root: replace where
// something stands there, otherwise one add of the highest part of the path
// that is missing, with the rest nested in it.
func Set(root *document.Node, path string, value any) []seawall.PatchOp {
	if n, _ := root.Find(path); n != nil {
		return []seawall.PatchOp{{Op: "replace", Path: document.Pointer(path), Value: value}}
	}
	for {
		parent, last, index := document.Parent(path)
		if index {
			// An item of a list that is not there cannot be made up.
			return nil
		}
		n, _ := root.Find(parent)
		if parent == "" || n != nil {
			if n.IsNull() || n.Len() == 0 && parent != "" {
				return []seawall.PatchOp{{Op: "replace", Path: document.Pointer(parent), Value: map[string]any{last: value}}}
			}
			return []seawall.PatchOp{{Op: "add", Path: document.Pointer(path), Value: value}}
		}
		value = map[string]any{last: value}
		path = parent
	}
}

// Remove returns the operations that take away what stands at path, none where
// nothing does.
func Remove(root *document.Node, path string) []seawall.PatchOp {
	if n, _ := root.Find(path); n == nil {
		return nil
	}
	return []seawall.PatchOp{{Op: "remove", Path: document.Pointer(path)}}
}
