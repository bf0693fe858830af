package cluster

import (
	"sync"

	"seawall.io/seawall"
)

// Snapshot is all objects of one moment, with indexes. It is read-only once
// made, and safe for many goroutines.
type Snapshot struct {
	// Objects are in the order in which they were read.
	Objects []*Object
	// Version is the API server's version, such as v1.36.3; empty for files.
	Version string
	// Whole says that the objects are all that a cluster has (but for what
	// Incomplete names), so that an absent object is known to be absent. It is
	// false for files: what they do not hold may exist elsewhere.
	Whole bool
	// Incomplete names what could not be read: a list that was refused.
	Incomplete []seawall.Incomplete

	byKind map[string][]*Object
	byID   map[identity]*Object

	mu      sync.Mutex
	derived map[any]*derivation
}

type identity struct{ group, kind, namespace, name string }

type derivation struct {
	once  sync.Once
	value any
}

// NewSnapshot indexes objects.
func NewSnapshot(objects []*Object) *Snapshot {
	s := &Snapshot{
		Objects: objects,
		byKind:  make(map[string][]*Object),
		byID:    make(map[identity]*Object, len(objects)),
		derived: make(map[any]*derivation),
	}
	for _, o := range objects {
		s.byKind[o.Kind] = append(s.byKind[o.Kind], o)
		id := identity{o.Group(), o.Kind, o.Namespace, o.Name}
		if _, dup := s.byID[id]; !dup {
			s.byID[id] = o
		}
	}
	return s
}

// Kind returns all objects of a kind, of whatever group, in reading order.
func (s *Snapshot) Kind(kind string) []*Object { return s.byKind[kind] }

// Get returns one object or nil. group is "" for the core group.
func (s *Snapshot) Get(group, kind, namespace, name string) *Object {
	return s.byID[identity{group, kind, namespace, name}]
}

// Controller returns the object that owns o as its controller, if it is in the
// snapshot.
func (s *Snapshot) Controller(o *Object) *Object {
	apiVersion, kind, name, ok := o.ControllerOwner()
	if !ok {
		return nil
	}
	owner := Object{APIVersion: apiVersion}
	return s.Get(owner.Group(), kind, o.Namespace, name)
}

// Templates returns the pod templates of all objects that no other object of
// the snapshot controls: a pod is represented by its workload.
func (s *Snapshot) Templates() []PodTemplate {
	type key struct{}
	return Derive(s, key{}, func() []PodTemplate {
		var out []PodTemplate
		for _, o := range s.Objects {
			if s.Controller(o) == nil {
				out = append(out, PodTemplates(o)...)
			}
		}
		return out
	})
}

// Derive returns the value that build makes from a snapshot, made once for
// each key and snapshot. Packages use an unexported key type of their own, as
// with context values. build may itself derive under other keys.
func Derive[T any](s *Snapshot, key any, build func() T) T {
	s.mu.Lock()
	d := s.derived[key]
	if d == nil {
		d = &derivation{}
		s.derived[key] = d
	}
	s.mu.Unlock()
	d.once.Do(func() { d.value = build() })
	return d.value.(T) //nolint:errcheck,forcetypeassert // only this function stores it, under a key of one type
}
