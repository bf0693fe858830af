package attack

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/patch"
)

// Change is something done to one object that removes steps: a patch of it, its
// deletion, or a new object.
type Change struct {
	// Text says what to do: remove Group:devs from RoleBinding shop/dev.
	Text    string
	Cluster int
	// Object is what is changed or deleted, nil where something is made.
	Object *cluster.Object
	// Ops are the changes, relative to the whole object. None means deletion.
	Ops []seawall.PatchOp
	// New is the object to make.
	New *document.Node
	// Cost is how much is given up by it: 1 for what nobody should miss, more
	// for what others may rely on. A cut has the least sum of costs.
	Cost int
}

// changeKey finds a change that was named before: by the object and what it is
// about in it.
type changeKey struct {
	object *cluster.Object
	about  string
}

// change adds a change, once for each object and what it is about.
func (b *builder) change(o *cluster.Object, about string, c Change) int {
	k := changeKey{o, about}
	if i, ok := b.changes[k]; ok {
		return i
	}
	c.Cluster, c.Object, c.Cost = b.cluster, o, max(c.Cost, 1)
	b.g.Changes = append(b.g.Changes, c)
	b.changes[k] = len(b.g.Changes) - 1
	return len(b.g.Changes) - 1
}

// Apply returns the clusters of the graph with some of its changes made.
func (g *Graph) Apply(changes []int) ([]*cluster.Snapshot, error) {
	of := make([][]*Change, len(g.snaps))
	for _, i := range changes {
		c := &g.Changes[i]
		of[c.Cluster] = append(of[c.Cluster], c)
	}
	out := slices.Clone(g.snaps)
	for i, list := range of {
		if len(list) == 0 {
			continue
		}
		s, err := changed(g.snaps[i], list)
		if err != nil {
			return nil, err
		}
		out[i] = s
	}
	return out, nil
}

func changed(s *cluster.Snapshot, list []*Change) (*cluster.Snapshot, error) {
	ops, gone := map[*cluster.Object][]seawall.PatchOp{}, map[*cluster.Object]bool{}
	var made []*cluster.Object
	for _, c := range list {
		switch {
		case c.New != nil:
			o, ok := cluster.New(c.New)
			if !ok {
				return nil, fmt.Errorf("%s: what is to be made is no Kubernetes object", c.Text)
			}
			o.Cluster = nameOf(s)
			made = append(made, o)
		case len(c.Ops) == 0:
			gone[c.Object] = true
		default:
			ops[c.Object] = append(ops[c.Object], c.Ops...)
		}
	}
	objects := make([]*cluster.Object, 0, len(s.Objects)+len(made))
	for _, o := range s.Objects {
		switch {
		case gone[o]:
		case len(ops[o]) > 0:
			root, err := patch.Node(o.Root, Together(ops[o]))
			if err != nil {
				return nil, fmt.Errorf("changing %s: %w", o.Object, err)
			}
			n, ok := cluster.New(root)
			if !ok {
				return nil, fmt.Errorf("changing %s leaves no Kubernetes object", o.Object)
			}
			n.Cluster, n.File, n.Place, n.Text, n.Doc, n.Prefix = o.Cluster, o.File, o.Place, o.Text, o.Doc, o.Prefix
			objects = append(objects, n)
		default:
			objects = append(objects, o)
		}
	}
	return rest(s, append(objects, made...)), nil
}

// rest is a snapshot with other objects.
func rest(s *cluster.Snapshot, objects []*cluster.Object) *cluster.Snapshot {
	out := cluster.NewSnapshot(objects)
	out.Version, out.Whole, out.Beside, out.Incomplete = s.Version, s.Whole, s.Beside, s.Incomplete
	return out
}

// Together puts the operations of several changes, each of which speaks of the
// object as it is, into an order in which they can be done one after the other:
// what is set first, then what moves the items of lists, from the last item to the
// first. What two changes want alike is done once.
func Together(ops []seawall.PatchOp) []seawall.PatchOp {
	var set, move []seawall.PatchOp
	for _, op := range ops {
		to := &set
		if op.Op == "remove" || op.Op == "add" && isIndex(op.Path[strings.LastIndexByte(op.Path, '/')+1:]) {
			to = &move
		}
		if !slices.ContainsFunc(*to, func(have seawall.PatchOp) bool { return reflect.DeepEqual(have, op) }) {
			*to = append(*to, op)
		}
	}
	slices.SortStableFunc(move, func(a, b seawall.PatchOp) int {
		return cmp.Or(comparePointers(b.Path, a.Path), cmp.Compare(b.Op, a.Op)) // remove before add
	})
	return append(set, move...)
}

func isIndex(step string) bool {
	return step != "" && strings.Trim(step, "0123456789") == ""
}

// comparePointers orders JSON pointers by their steps, indexes by number, and what
// is below a value after it.
func comparePointers(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "/"), strings.Split(b, "/"), func(x, y string) int {
		if isIndex(x) && isIndex(y) {
			return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y))
		}
		return cmp.Compare(x, y)
	})
}

// Changed is the graph of what the clusters would be with some changes made.
func (g *Graph) Changed(changes []int) (*Graph, error) {
	snaps, err := g.Apply(changes)
	if err != nil {
		return nil, err
	}
	return build(snaps, g.options, g), nil
}
