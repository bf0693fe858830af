package kustomize

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// pathStep is one step of a path through an object: a key or an index.
type pathStep struct {
	key     string
	index   int
	isIndex bool
}

// String returns the key, or the index in decimal.
func (s pathStep) String() string {
	if s.isIndex {
		return strconv.Itoa(s.index)
	}
	return s.key
}

// in follows the step, and returns where what it leads to stands.
func (s pathStep) in(n *document.Node) (*document.Node, document.Pos) {
	if s.isIndex {
		if list := n.List(); s.index >= 0 && s.index < len(list) {
			return list[s.index], list[s.index].Pos
		}
		return nil, document.Pos{}
	}
	return n.Get(s.key), keyPos(n, s.key)
}

// steps splits a path such as spec.containers[0].image.
func steps(path string) []pathStep {
	var out []pathStep
	for path != "" {
		parent, last, index := document.Parent(path)
		if len(parent) >= len(path) {
			return nil
		}
		s := pathStep{key: last, isIndex: index}
		if index {
			s.index, _ = strconv.Atoi(last)
		}
		out = append(out, s)
		path = parent
	}
	slices.Reverse(out)
	return out
}

func walk(n *document.Node, path []pathStep) *document.Node {
	for _, s := range path {
		n, _ = s.in(n)
	}
	return n
}

func lastKey(path []pathStep) string {
	for _, s := range slices.Backward(path) {
		if !s.isIndex {
			return s.key
		}
	}
	return ""
}

// scalar says whether a value has no parts. An absent value has none either,
// but nothing equals it, so that it is looked for by its parents.
func scalar(n *document.Node) bool {
	return n == nil || (n.Kind() != document.Map && n.Kind() != document.List)
}

func same(a, b *document.Node) bool {
	return a != nil && b != nil && bytes.Equal(a.AppendJSON(nil), b.AppendJSON(nil))
}

// match is how much of a path another tree has.
type match struct {
	node  *document.Node
	pos   document.Pos
	depth int
}

// correspond follows a path of the final object through another version of
// it. Items of lists are told by what names them, since a merge may move them.
func correspond(final, other *document.Node, path []pathStep) match {
	m := match{node: other}
	if other == nil {
		return m
	}
	m.pos = other.Pos
	for _, s := range path {
		var next *document.Node
		pos := document.Pos{}
		item, _ := s.in(final)
		if s.isIndex && final != nil {
			next = counterpart(item, m.node, s.index)
			if next != nil {
				pos = next.Pos
			}
		} else {
			next, pos = s.in(m.node)
		}
		if next == nil {
			return m
		}
		m = match{node: next, pos: pos, depth: m.depth + 1}
		final = item
	}
	return m
}

// counterpart finds the item of a list that a final item was made from.
func counterpart(item, list *document.Node, index int) *document.Node {
	if item != nil && item.Kind() == document.Map {
		for _, key := range []string{"name", "containerPort", "mountPath", "devicePath", "ip", "key", "host", "port", "topologyKey"} {
			id := item.Get(key)
			if id == nil {
				continue
			}
			for _, other := range list.List() {
				if same(other.Get(key), id) {
					return other
				}
			}
			return nil
		}
	}
	if item != nil && scalar(item) {
		for _, other := range list.List() {
			if same(other, item) {
				return other
			}
		}
	}
	if items := list.List(); index < len(items) {
		return items[index]
	}
	return nil
}

// findObject finds the object that a final object was made from, whose name
// may have got a prefix, a suffix or both, and whose namespace may be new.
func findObject(f *parsedFile, o *cluster.Object) *document.Node {
	if f == nil {
		return nil
	}
	var best *document.Node
	bestScore := 0
	for _, d := range f.docs {
		roots := []*document.Node{d.Root}
		if items := d.Root.Get("items"); items != nil && strings.HasSuffix(d.Root.Get("kind").Str(), "List") {
			roots = items.List()
		}
		for _, root := range roots {
			if score := likeness(root, o); score > bestScore {
				best, bestScore = root, score
			}
		}
	}
	return best
}

// likeness is 0 for an object that o cannot have been made from.
func likeness(root *document.Node, o *cluster.Object) int {
	name := root.At("metadata", "name").Str()
	if root.Get("kind").Str() != o.Kind {
		return 0
	}
	score := 1
	switch {
	case name == o.Name:
		score = 10_000
	case name != "" && strings.Contains(o.Name, name):
		score = 100 + len(name)
	}
	if root.Get("apiVersion").Str() == o.APIVersion {
		score += 20_000
	}
	if root.At("metadata", "namespace").Str() == o.Namespace {
		score += 10
	}
	return score
}
