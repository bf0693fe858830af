package agent

import (
	"context"
	"sync"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/kubeapi"
)

// LabelMode is the label by which a namespace chooses its mode.
const LabelMode = "seawall.io/runtime"

// modes knows the mode of each namespace, and what the API server says of pods. It
// is what the resolver asks.
type modes struct {
	mu         sync.RWMutex
	fallback   Mode
	namespaces map[string]Mode
	pods       map[string]*seawall.Pod // by UID, with their mode
	told       func(uid string)
}

// Pod implements cri.PodSource.
func (m *modes) Pod(uid string) *seawall.Pod {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.pods[uid]
}

func (m *modes) mode(namespace string) Mode {
	if mode, ok := m.namespaces[namespace]; ok {
		return mode
	}
	return m.fallback
}

// of returns the mode of a namespace.
func (m *modes) of(namespace string) Mode {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mode(namespace)
}

// pod notes what the API server says of a pod; nil that it is gone.
func (m *modes) pod(uid string, p *seawall.Pod) {
	m.mu.Lock()
	if m.pods == nil {
		m.pods = map[string]*seawall.Pod{}
	}
	if p == nil {
		delete(m.pods, uid)
	} else {
		p.Mode = string(m.mode(p.Namespace))
		m.pods[uid] = p
	}
	m.mu.Unlock()
	if p != nil {
		m.told(uid)
	}
}

func (m *modes) setNamespaces(change func(map[string]Mode)) {
	m.mu.Lock()
	if m.namespaces == nil {
		m.namespaces = map[string]Mode{}
	}
	change(m.namespaces)
	var changed []string
	for uid, p := range m.pods {
		if mode := string(m.mode(p.Namespace)); mode != p.Mode {
			c := *p // events have the old one
			c.Mode = mode
			m.pods[uid] = &c
			changed = append(changed, uid)
		}
	}
	m.mu.Unlock()
	for _, uid := range changed {
		m.told(uid)
	}
}

func (a *Agent) followPods(ctx context.Context) {
	known := map[string]bool{}
	a.o.Cluster.FollowPods(ctx, a.o.Node,
		func(all []*kubeapi.Pod) {
			a.problem("pods", "")
			now := map[string]bool{}
			for _, p := range all {
				noun := p.Noun()
				now[noun.UID] = true
				a.prevent.annotated(noun.UID, p.Metadata.Annotations[AnnotationPrevent])
				a.modes.pod(noun.UID, noun)
			}
			for uid := range known {
				if !now[uid] {
					a.podGone(uid)
				}
			}
			known = now
		},
		func(c kubeapi.Change[*kubeapi.Pod]) {
			noun := c.Object.Noun()
			if c.Gone {
				delete(known, noun.UID)
				a.podGone(noun.UID)
				return
			}
			known[noun.UID] = true
			a.prevent.annotated(noun.UID, c.Object.Metadata.Annotations[AnnotationPrevent])
			a.modes.pod(noun.UID, noun)
		},
		func(err error) { a.problem("pods", "labels and owners of pods are not known: "+err.Error()) })
}

func (a *Agent) podGone(uid string) {
	a.prevent.annotated(uid, "")
	a.modes.pod(uid, nil)
	if a.responder != nil {
		a.responder.Gone(uid)
	}
}

func (a *Agent) followNamespaces(ctx context.Context) {
	set := func(modes map[string]Mode, ns *kubeapi.Namespace) {
		name, label := ns.Metadata.Name, ns.Metadata.Labels[LabelMode]
		if label == "" {
			delete(modes, name)
			return
		}
		mode, err := ParseMode(label)
		if err != nil {
			// A label that says nothing must not switch anything on, nor judging off.
			a.problem("namespace "+name, LabelMode+": "+err.Error())
			mode = AlertOnly
		} else {
			a.problem("namespace "+name, "")
		}
		modes[name] = mode
	}
	a.o.Cluster.FollowNamespaces(ctx,
		func(all []*kubeapi.Namespace) {
			a.problem("namespaces", "")
			a.modes.setNamespaces(func(modes map[string]Mode) {
				clear(modes)
				for _, ns := range all {
					set(modes, ns)
				}
			})
		},
		func(c kubeapi.Change[*kubeapi.Namespace]) {
			a.modes.setNamespaces(func(modes map[string]Mode) {
				if c.Gone {
					delete(modes, c.Object.Metadata.Name)
					return
				}
				set(modes, c.Object)
			})
		},
		func(err error) { a.problem("namespaces", "modes of namespaces are not known: "+err.Error()) })
}
