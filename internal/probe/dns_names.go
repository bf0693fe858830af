package probe

import (
	"net/netip"

	"seawall.io/seawall"
)

// names remembers what DNS told each cgroup, to name the addresses that it connects
// to. Both its sides are bounded: what was not used for long is forgotten, and a
// container that asks for a great many names forgets its own and nobody else's.
type names struct {
	cgroups recent[uint64, *recent[netip.Addr, string]]
}

const (
	maxNames       = 512  // of one cgroup, at least; twice that at most
	maxNameCgroups = 2048 // with names
)

// see learns from an answer, and names the peer of a connection. Events come in the
// order in which they happened.
func (n *names) see(ev *seawall.Event) {
	if ev.Socket == nil || ev.Process == nil {
		if ev.Cgroup != nil && ev.Cgroup.Removed {
			n.cgroups.forget(ev.Cgroup.ID)
		}
		return
	}
	cgroup := ev.Process.Cgroup
	if ev.DNS != nil {
		if len(ev.DNS.Answers) == 0 || ev.DNS.Name == "" || ev.DNS.Type != "A" && ev.DNS.Type != "AAAA" {
			return
		}
		known, ok := n.cgroups.get(cgroup, maxNameCgroups)
		if !ok {
			known = &recent[netip.Addr, string]{}
			n.cgroups.put(cgroup, known, maxNameCgroups)
		}
		for _, a := range ev.DNS.Answers {
			if addr, err := netip.ParseAddr(a); err == nil {
				known.put(addr, ev.DNS.Name, maxNames)
			}
		}
		return
	}
	if !ev.Socket.Remote.IsValid() {
		return
	}
	if known, ok := n.cgroups.get(cgroup, maxNameCgroups); ok {
		ev.Socket.Name, _ = known.get(ev.Socket.Remote.Addr(), maxNames)
	}
}

// recent is a map that forgets: once half of it is full, what was not used since
// the last time that happened goes.
type recent[K comparable, V any] struct {
	young, old map[K]V
}

func (r *recent[K, V]) get(k K, half int) (V, bool) {
	v, ok := r.young[k]
	if ok {
		return v, true
	}
	if v, ok = r.old[k]; ok {
		r.put(k, v, half)
	}
	return v, ok
}

func (r *recent[K, V]) put(k K, v V, half int) {
	if _, ok := r.young[k]; !ok && len(r.young) >= half {
		r.old, r.young = r.young, nil
	}
	if r.young == nil {
		r.young = map[K]V{}
	}
	r.young[k] = v
}

func (r *recent[K, V]) forget(k K) {
	delete(r.young, k)
	delete(r.old, k)
}

func (r *recent[K, V]) len() int { return len(r.young) + len(r.old) }
