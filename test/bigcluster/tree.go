package bigcluster

import (
	"fmt"
	"maps"
	"slices"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// node is short for what everything here is made of. Nodes never change once
// made, so the pods of a workload share all that they have in common.
type node = *document.Node

// labels are labels, selectors, annotations.
type labels map[string]string

// with returns l and more.
func (l labels) with(kv ...string) labels {
	out := maps.Clone(l)
	if out == nil {
		out = labels{}
	}
	for pair := range slices.Chunk(kv, 2) {
		out[pair[0]] = pair[1]
	}
	return out
}

// obj makes a map of keys and values in turn. A value of nil leaves its key
// out.
func obj(kv ...any) node {
	return document.NewMap(document.Pos{}, appendFields(make([]document.Field, 0, len(kv)/2), kv))
}

// appendFields appends the fields of keys and values in turn. Most values are
// scalars, so that room for all is made at once.
func appendFields(fields []document.Field, kv []any) []document.Field {
	scalars := make([]document.Node, 0, len(kv)/2)
	for i := 0; i < len(kv); i += 2 {
		var v node
		switch of := kv[i+1].(type) {
		case string:
			scalars = append(scalars, *document.NewString(document.Pos{}, of))
			v = &scalars[len(scalars)-1]
		case int:
			scalars = append(scalars, *document.NewInt(document.Pos{}, int64(of)))
			v = &scalars[len(scalars)-1]
		default:
			v = value(of)
		}
		if v != nil {
			fields = append(fields, document.Field{Key: kv[i].(string), Value: v})
		}
	}
	return fields
}

func list(items ...node) node { return document.NewList(document.Pos{}, items) }

// value turns a Go value into a node; nil and what is empty but typed to be
// a list or labels is absent.
func value(v any) node {
	switch v := v.(type) {
	case nil:
		return nil
	case node:
		return v
	case string:
		return document.NewString(document.Pos{}, v)
	case int:
		return document.NewInt(document.Pos{}, int64(v))
	case bool:
		return document.NewBool(document.Pos{}, v)
	case []string:
		if len(v) == 0 {
			return nil
		}
		items := make([]node, len(v))
		for i, s := range v {
			items[i] = document.NewString(document.Pos{}, s)
		}
		return list(items...)
	case []node:
		if len(v) == 0 {
			return nil
		}
		return list(v...)
	case labels:
		if len(v) == 0 {
			return nil
		}
		fields := make([]document.Field, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			fields = append(fields, document.Field{Key: k, Value: document.NewString(document.Pos{}, v[k])})
		}
		return document.NewMap(document.Pos{}, fields)
	}
	panic(fmt.Sprintf("bigcluster: a value of type %T in a tree", v))
}

// set returns a map with some keys set anew; a value of nil takes the key away.
func set(n node, kv ...any) node {
	fields := append(make([]document.Field, 0, n.Len()+len(kv)/2), n.Map()...)
	for pair := range slices.Chunk(kv, 2) {
		key, v := pair[0].(string), value(pair[1])
		at := slices.IndexFunc(fields, func(f document.Field) bool { return f.Key == key })
		switch {
		case v == nil && at >= 0:
			fields = slices.Delete(fields, at, at+1)
		case v == nil:
		case at >= 0:
			fields[at].Value = v
		default:
			fields = append(fields, document.Field{Key: key, Value: v})
		}
	}
	return document.NewMap(document.Pos{}, fields)
}

// orDefault returns a map in which the keys stand that it lacks.
func orDefault(n node, kv ...any) node {
	var missing []any
	for pair := range slices.Chunk(kv, 2) {
		if n.Get(pair[0].(string)) == nil {
			missing = append(missing, pair...)
		}
	}
	return set(n, missing...)
}

// labelsOf reads a map of strings back.
func labelsOf(n node) labels {
	out := labels{}
	for _, f := range n.Map() {
		out[f.Key] = f.Value.Str()
	}
	return out
}

// object makes an object of a cluster.
func (c *Cluster) object(root node) *cluster.Object {
	o, ok := cluster.New(root)
	if !ok {
		panic("bigcluster: made what is no object: " + string(root.AppendJSON(nil)))
	}
	o.Cluster = c.o.Name
	return o
}
