package agent

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/probe"
)

// enforcer remembers what groups are held to.
type enforcer struct {
	mu    sync.Mutex
	held  map[uint64]probe.Policy
	peers map[uint64]*probe.PeerRules
}

func (e *enforcer) Prove(context.Context, ...probe.Rule) (probe.Standing, error) {
	return e.Tier(), nil
}
func (*enforcer) Tier() probe.Standing { return probe.Standing{Tier: probe.SignalTier} }
func (e *enforcer) Enforce(cgroup uint64, p probe.Policy) (probe.Enforced, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held[cgroup] = p
	return probe.Enforced{}, nil
}

func (e *enforcer) Unenforce(cgroup uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.held, cgroup)
	return nil
}

func (e *enforcer) Peers(cgroup uint64, r *probe.PeerRules) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.peers[cgroup] = r
	return nil
}

func TestHold(t *testing.T) {
	e := &enforcer{held: map[uint64]probe.Policy{}, peers: map[uint64]*probe.PeerRules{}}
	r := start(t, func(o *Options) { o.Enforcer = e })
	close(r.ready)
	pod := func() *seawall.Pod { return &seawall.Pod{Namespace: "shop", Name: "web-1", UID: podUID} }
	r.modes.setNamespaces(func(m map[string]Mode) { m["shop"] = Prevent })
	r.modes.pod(podUID, pod())
	r.container()
	for r.events.Load() < 2 {
	}
	deny := func() []probe.Rule {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.held[group-1].Deny
	}
	if !slices.Contains(deny(), probe.ForeignExec) || slices.Contains(deny(), probe.VolumeExec) {
		t.Fatalf("held to %v when its group was made", deny())
	}
	r.prevent.annotated(podUID, `{"allow":["ptrace"],"deny":["volume-exec"],"capabilities":["NET_RAW"],"peers":{"denyOthers":true}}`)
	r.modes.pod(podUID, pod())
	if d := deny(); slices.Contains(d, probe.Ptrace) || !slices.Contains(d, probe.VolumeExec) || !slices.Contains(d, probe.Capability) || !e.peers[group-1].DenyOthers {
		t.Errorf("with the annotation it is held to %v", d)
	}
	r.prevent.annotated(podUID, `{"alow":[]}`)
	r.modes.pod(podUID, pod())
	if d := deny(); !slices.Contains(d, probe.Ptrace) {
		t.Errorf("an annotation that cannot be read takes the default away: %v", d)
	}
	if s, _ := r.Status(); !strings.Contains(s.Problems["prevent shop/web-1"], "alow") || s.Held != 1 || s.Tier.Tier != probe.SignalTier {
		t.Errorf("%+v", s)
	}
	r.modes.setNamespaces(func(m map[string]Mode) { m["shop"] = AlertOnly })
	if deny() != nil || e.peers[group-1] != nil {
		t.Error("still held in a namespace that only alerts")
	}
}
