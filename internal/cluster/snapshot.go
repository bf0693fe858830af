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
	// Beside holds objects that were scanned with these and are judged elsewhere:
	// the images that workloads run.
	Beside []*Object
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
	return s.Get(groupOf(apiVersion), kind, o.Namespace, name)
}

// maxOwners bounds how far controllers are followed upwards. The longest chain
// of Kubernetes itself, CronJob to Job to Pod, has two.
const maxOwners = 8

// Represented says whether another object of the snapshot stands for o: an
// owner, near or far, whose pod template o was made from. A controller that
// embeds no pod (an operator's own kind, a Node) stands for nothing, and
// neither do owners that own each other, as only a forged manifest has them.
func (s *Snapshot) Represented(o *Object) bool {
	owner := s.Controller(o)
	if owner == nil {
		return false
	}
	embeds, stands := s.embeds(), false
	for range maxOwners {
		if owner == nil {
			return stands
		}
		stands = stands || embeds(owner)
		owner = s.Controller(owner)
	}
	return false
}

// embeds tells whether an object embeds a pod, and remembers it: the pods of
// one workload ask for the same one.
func (s *Snapshot) embeds() func(*Object) bool {
	type key struct{}
	known := Derive(s, key{}, func() *sync.Map { return &sync.Map{} })
	return func(o *Object) bool {
		yes, ok := known.Load(o)
		if !ok {
			yes = len(PodTemplates(o)) > 0
			known.Store(o, yes)
		}
		return yes == true
	}
}

// Templates returns the pod templates of all objects that no other object of
// the snapshot stands for: a pod is represented by its workload.
func (s *Snapshot) Templates() []PodTemplate {
	type key struct{}
	return Derive(s, key{}, func() []PodTemplate {
		var out []PodTemplate
		for _, o := range s.Objects {
			if !s.Represented(o) {
				out = append(out, PodTemplates(o)...)
			}
		}
		return out
	})
}

// SystemNamespace returns the Namespace kube-system, or the first where it is
// not among the objects: findings about a cluster as a whole stand there. nil
// without any Namespace.
func (s *Snapshot) SystemNamespace() *Object {
	var first *Object
	for _, o := range s.Kind("Namespace") {
		if o.Group() != "" {
			continue
		}
		if o.Name == "kube-system" {
			return o
		}
		if first == nil {
			first = o
		}
	}
	return first
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
	return d.value.(T) // only this function stores it, under a key of one type
}
