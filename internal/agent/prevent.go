package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/probe"
)

// AnnotationPrevent is the annotation of a pod that changes what it is kept from:
// a [Prevention] as JSON.
const AnnotationPrevent = "seawall.io/prevent"

// Prevention is what a pod is kept from in namespaces with the mode prevent or
// contain, as a difference from [DefaultPolicy].
type Prevention struct {
	// Allow takes rules away, Deny adds them, Audit has them reported only.
	Allow []probe.Rule `json:"allow,omitempty"`
	Deny  []probe.Rule `json:"deny,omitempty"`
	Audit []probe.Rule `json:"audit,omitempty"`
	// Capabilities must not be used, though the container has them.
	Capabilities seawall.Caps `json:"capabilities,omitempty"`
	// Peers are whom the pod may reach.
	Peers *probe.PeerRules `json:"peers,omitempty"`
}

// DefaultPolicy is what a container has no need of in general: programs and
// libraries that are not of its image, debugging others, mounting, changing the
// kernel, leaving its control group. Programs of the image that were changed, and
// those of volumes, are reported.
func DefaultPolicy() probe.Policy {
	return probe.Policy{
		Deny:  []probe.Rule{probe.ForeignExec, probe.ForeignMap, probe.Ptrace, probe.Mount, probe.Module, probe.BPF, probe.CgroupWrite},
		Audit: []probe.Rule{probe.ModifiedExec, probe.VolumeExec},
	}
}

// policy is the default with the differences of a pod.
func (p *Prevention) policy() probe.Policy {
	out := DefaultPolicy()
	if p == nil {
		return out
	}
	drop := func(rules, gone []probe.Rule) []probe.Rule {
		return slices.DeleteFunc(rules, func(r probe.Rule) bool { return slices.Contains(gone, r) })
	}
	out.Deny = append(drop(drop(out.Deny, p.Allow), p.Audit), p.Deny...)
	out.Audit = append(drop(drop(out.Audit, p.Allow), p.Deny), p.Audit...)
	if p.Capabilities != 0 {
		out.Capabilities = p.Capabilities
		out.Deny = append(out.Deny, probe.Capability)
	}
	slices.Sort(out.Deny)
	slices.Sort(out.Audit)
	out.Deny, out.Audit = slices.Compact(out.Deny), slices.Compact(out.Audit)
	return out
}

// parsePrevention reads the annotation of a pod; nil where there is none.
func parsePrevention(text string) (*Prevention, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no difference from the default
	}
	var p Prevention
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return nil, fmt.Errorf("annotation %s: %w", AnnotationPrevent, err)
	}
	return &p, nil
}

// Enforcer keeps control groups from what policies deny, which package probe does.
type Enforcer interface {
	Prove(ctx context.Context, rules ...probe.Rule) (probe.Standing, error)
	Tier() probe.Standing
	Enforce(cgroup uint64, p probe.Policy) (probe.Enforced, error)
	Unenforce(cgroup uint64) error
	Peers(cgroup uint64, r *probe.PeerRules) error
}

// prevention knows what pods are to be kept from, and what they are.
type prevention struct {
	mu    sync.Mutex
	asked map[string]string // annotations, by the pod's UID
	held  map[uint64]string // by the pod's group: the policy, as text
	peers map[uint64]bool   // groups that have rules on peers
}

// annotated notes what a pod says of itself.
func (p *prevention) annotated(uid, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked == nil {
		p.asked = map[string]string{}
	}
	if text == "" {
		delete(p.asked, uid)
		return
	}
	p.asked[uid] = text
}

// hold brings the policy of a pod's group in line with the mode of its namespace
// and the pod's annotation. It is called whenever one of the three is news: when
// the group is made, which is before anything runs in it, the API server has
// usually told of the pod already.
func (a *Agent) hold(uid string) {
	if a.o.Enforcer == nil {
		return
	}
	group := a.pods.groupOf(uid)
	pod := a.modes.Pod(uid)
	if group == 0 || pod == nil {
		return
	}
	a.prevent.mu.Lock()
	defer a.prevent.mu.Unlock()
	if a.prevent.held == nil {
		a.prevent.held, a.prevent.peers = map[uint64]string{}, map[uint64]bool{}
	}
	name := pod.Namespace + "/" + pod.Name
	if m := a.mode(pod); m != Prevent && m != ContainPods {
		a.letGo(group, name)
		return
	}
	own, err := parsePrevention(a.prevent.asked[uid])
	if err != nil {
		// The default holds all the same.
		a.problem("prevent "+name, err.Error())
	}
	policy := own.policy()
	policy.Running = a.pods.started(uid)
	text := fmt.Sprint(policy, own)
	if a.prevent.held[group] == text {
		return
	}
	enforced, err := a.o.Enforcer.Enforce(group, policy)
	if err == nil && own != nil && own.Peers != nil {
		if err = a.o.Enforcer.Peers(group, own.Peers); err == nil {
			a.prevent.peers[group] = true
		}
	}
	if err != nil {
		a.problem("prevent "+name, "the pod is kept from nothing: "+err.Error())
		return
	}
	if own != nil || a.prevent.asked[uid] == "" {
		a.problem("prevent "+name, "")
	}
	a.prevent.held[group] = text
	if len(enforced.Refused) > 0 {
		a.problem("prevent", fmt.Sprintf("this node holds pods to some rules only (%d refused, the first: %s: %s)", len(enforced.Refused), enforced.Refused[0].Rule, enforced.Refused[0].Reason))
	}
}

// letGo takes the policy of a group away; the caller holds the lock.
func (a *Agent) letGo(group uint64, name string) {
	if _, held := a.prevent.held[group]; held {
		if err := a.o.Enforcer.Unenforce(group); err != nil {
			a.problem("prevent "+name, "the pod is still kept from what it may do now: "+err.Error())
			return
		}
		delete(a.prevent.held, group)
	}
	if a.prevent.peers[group] {
		if err := a.o.Enforcer.Peers(group, nil); err != nil {
			a.problem("prevent "+name, "the pod is still kept from peers: "+err.Error())
			return
		}
		delete(a.prevent.peers, group)
	}
}

// gone forgets a pod's group.
func (a *Agent) groupGone(group uint64) {
	if a.o.Enforcer == nil {
		return
	}
	a.prevent.mu.Lock()
	defer a.prevent.mu.Unlock()
	a.letGo(group, "that is gone")
}

// proveEvery is how often is tried whether what is to be prevented is.
const proveEvery = 10 * time.Minute

// prove finds out what this node can prevent, at the start and again and again: a
// kernel may take programs and never ask them.
func (a *Agent) prove(ctx context.Context) {
	tick := time.NewTicker(proveEvery)
	defer tick.Stop()
	for {
		standing, err := a.o.Enforcer.Prove(ctx, probe.Rules()...)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			a.problem("canary", "what this node can prevent is not known: "+err.Error())
		case standing.Tier == probe.DetectOnly:
			a.problem("canary", "nothing can be prevented on this node: see its tier")
		default:
			a.problem("canary", "")
		}
		// What holds may be more or less than before.
		a.prevent.mu.Lock()
		clear(a.prevent.held)
		a.prevent.mu.Unlock()
		for _, uid := range a.pods.uids() {
			a.hold(uid)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// mode is what may be done with a pod.
func (a *Agent) mode(pod *seawall.Pod) Mode {
	if pod.Mode != "" {
		return Mode(pod.Mode)
	}
	return a.modes.of(pod.Namespace)
}

// groupOf returns the group of a pod, 0 where it has none.
func (p *pods) groupOf(uid string) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.byID[uid]; s != nil {
		return s.group.ID
	}
	return 0
}

// started says whether all containers of a pod that there are have started: none of
// its processes is the runtime's any more, which must still mount and change users.
func (p *pods) started(uid string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.byID[uid]
	if s == nil || len(s.containers) == 0 || len(s.containers) < len(s.groups) {
		return false
	}
	for _, c := range s.containers {
		if c.Started.IsZero() || c.PID == 0 {
			return false
		}
	}
	return true
}

// uids returns all pods, sorted.
func (p *pods) uids() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.byID))
}
