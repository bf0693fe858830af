// Package respond contains compromised pods: it cuts their network and freezes
// their processes in the kernel, keeps the evidence, lets Services and the
// controller let go of them, and waits for the replacement; and it takes all that
// back. Every step is recorded, before and after.
//
// What happens on the node needs nobody else. What needs the API server is tried
// again until it works, also by the agent's next life: the pod stays cut and frozen
// meanwhile.
//
// # What becomes of the pod
//
//   - of a ReplicaSet (Deployment), ReplicationController or DaemonSet: without its
//     labels the controller lets go of it and starts another at once;
//   - of a StatefulSet: the name is the identity, so there is a replacement only
//     once the pod is deleted. It stays, cut and frozen, and the deletion is proposed;
//   - of a Job: its labels stay, since the Job would take a pod that left as one that
//     failed; deletion is proposed, after which the Job tries again within its limit;
//   - bare pods: nothing replaces them, which the record says;
//   - static pods: the kubelet made them from a file, and the API server holds a
//     mirror only; moving the file is proposed.
package respond

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/kubeapi"
)

// Target is a pod as its node knows it.
type Target struct {
	*seawall.Pod
	// Cgroup is that of the pod, which holds those of its containers, also of such as
	// start later; Dir is its directory.
	Cgroup     uint64
	Dir        string
	Containers []*seawall.Container
	// Links are the indexes of the node's ends of the pod's network; none where it has
	// no network of its own.
	Links []int
}

// Kernel is what cuts, which package probe does.
type Kernel interface {
	// Cut stops all traffic of a cgroup and of those below it.
	Cut(cgroup uint64) error
	Release(cgroup uint64) error
	// CutLink stops all frames of a network interface.
	CutLink(index int) error
	ReleaseLink(index int) error
}

// Freezer stops and continues processes, which package procfs does.
type Freezer interface {
	Freeze(t Target) error
	Thaw(t Target) error
}

// Evidence keeps what a frozen pod shows.
type Evidence interface {
	// Collect writes the evidence of a pod to the store and names it.
	Collect(ctx context.Context, t Target, act *seawall.Act) (name string, err error)
}

// Cluster is what package kubeapi does.
type Cluster interface {
	Pod(ctx context.Context, namespace, name string) (*kubeapi.Pod, error)
	Pods(ctx context.Context, namespace, selector string) ([]*kubeapi.Pod, error)
	PatchPod(ctx context.Context, namespace, name string, patch any) (*kubeapi.Pod, error)
	CreateNetworkPolicy(ctx context.Context, namespace string, policy any) error
}

// Options of a Responder. Kernel, Freezer and Record must be set.
type Options struct {
	Node     string
	Kernel   Kernel
	Freezer  Freezer
	Evidence Evidence // nil keeps none
	Cluster  Cluster  // nil where there is no API server
	Budget   Budget
	// Record keeps an act. It is called with each change of it, and must not keep a
	// reference.
	Record func(*seawall.Act)
	// State is the folder that remembers which pods are contained.
	State string
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Responder contains pods of one node. It is safe for many goroutines.
type Responder struct {
	o    Options
	mu   sync.Mutex
	busy map[string]bool // pods that are being acted on, by UID
	held map[string]*contained
	past budgetLedger
}

// contained is a pod that is cut and frozen, as the state folder has it.
type contained struct {
	Act        *seawall.Act         `json:"act"`
	Cgroup     uint64               `json:"cgroup"`
	Dir        string               `json:"dir"`
	Links      []int                `json:"links,omitempty"`
	Containers []*seawall.Container `json:"containers,omitempty"`
	// Labels are those that the pod had; Detached says that they were taken away.
	Labels   map[string]string `json:"labels,omitempty"`
	Detached bool              `json:"detached,omitempty"`
	Owner    string            `json:"owner,omitempty"`
	// Automatic acts count against the budget, of the agent's next life as well.
	Automatic bool `json:"automatic,omitempty"`
	// Before are the names of pods that were there before the replacement.
	Before []string `json:"before,omitempty"`
}

func (c *contained) target() Target {
	return Target{Pod: c.Act.Pod, Cgroup: c.Cgroup, Dir: c.Dir, Links: c.Links, Containers: c.Containers}
}

// Request asks for an act.
type Request struct {
	By       string
	Reason   string
	Alert    string
	Incident string
	// Automatic requests come from a check, and are held against the budget.
	Automatic bool
	Severity  seawall.Severity
	// Keep leaves the pod with its Services and its controller: nothing replaces it.
	Keep bool
}

// ErrBusy says that a pod is being acted on already.
var ErrBusy = errors.New("the pod is being acted on already")

// Contain cuts, freezes and replaces a pod. It returns once the node's part is
// done; [Responder.Run] does the cluster's. An act that is over budget is recorded
// as held, and nothing is done. The network is cut first of all: before anything is
// recorded, and whatever else fails.
func (r *Responder) Contain(ctx context.Context, t Target, q Request) (*seawall.Act, error) {
	if !r.begin(t.UID) {
		return nil, ErrBusy
	}
	defer r.end(t.UID)
	if c := r.contained(t.UID); c != nil {
		return r.copied(c), nil
	}
	act := &seawall.Act{
		ID: actID(seawall.Contain, t.UID, r.now()), Kind: seawall.Contain, Time: r.now(), Node: r.o.Node, Pod: t.Pod, By: q.By, Reason: q.Reason,
		Alert: q.Alert, Incident: q.Incident, State: seawall.ActRunning,
	}
	if q.Automatic {
		if why := r.overBudget(ctx, t, q); why != "" {
			act.State, act.Held = seawall.ActHeld, why
			act.Proposals = []string{fmt.Sprintf("seawall isolate %s -n %s --reason %q", t.Name, t.Namespace, q.Reason)}
			r.record(act)
			return act, nil
		}
	}
	c := &contained{Act: act, Cgroup: t.Cgroup, Dir: t.Dir, Links: t.Links, Containers: t.Containers, Labels: t.Labels, Automatic: q.Automatic}
	cut := r.step(act, "cut", func() (string, error) { return r.cut(t) })
	frozen := r.step(act, "freeze", func() (string, error) { return "", r.o.Freezer.Freeze(t) })
	r.remember(c)
	r.record(act)
	if r.o.Evidence != nil {
		r.step(act, "evidence", func() (string, error) { return r.o.Evidence.Collect(ctx, t, act) })
		r.record(act)
	}
	r.change(func() { act.Proposals = proposals(t, act) })
	switch {
	case q.Keep:
		r.change(func() {
			act.Steps = append(act.Steps, seawall.ActStep{Name: "labels", Time: r.now(), Done: true, Detail: "kept, as asked: nothing replaces the pod"})
			act.State = seawall.ActDone
		})
	case r.o.Cluster == nil:
		r.change(func() {
			act.Steps = append(act.Steps, seawall.ActStep{Name: "labels", Time: r.now(), Error: "there is no API server to ask"})
			act.State = seawall.ActDone
		})
	}
	r.remember(c)
	r.record(act)
	if !cut && !frozen {
		return act, fmt.Errorf("pod %s/%s could neither be cut off nor frozen: %s; %s", t.Namespace, t.Name, act.Step("cut").Error, act.Step("freeze").Error)
	}
	return act, nil
}

func (r *Responder) cut(t Target) (string, error) {
	err := r.o.Kernel.Cut(t.Cgroup)
	if t.HostNetwork {
		return "raw packets are not cut: the pod is on the node's network", err
	}
	if len(t.Links) == 0 {
		return "raw packets are not cut: the node's ends of the pod's network were not found", err
	}
	// The pod's own sockets are cut already; this stops frames that bypass them.
	for _, link := range t.Links {
		if linkErr := r.o.Kernel.CutLink(link); linkErr != nil {
			return "raw packets are not cut: " + linkErr.Error(), err
		}
	}
	return "", err
}

// Release takes everything back: the pod runs, talks, and has its labels again.
func (r *Responder) Release(ctx context.Context, t Target, q Request) (*seawall.Act, error) {
	if !r.begin(t.UID) {
		return nil, ErrBusy
	}
	defer r.end(t.UID)
	c := r.contained(t.UID)
	if c == nil {
		return nil, fmt.Errorf("pod %s/%s is not contained on this node", t.Namespace, t.Name)
	}
	act := &seawall.Act{
		ID: actID(seawall.Release, t.UID, r.now()), Kind: seawall.Release, Time: r.now(), Node: r.o.Node, Pod: t.Pod, By: q.By, Reason: q.Reason,
		State: seawall.ActRunning,
	}
	r.record(act)
	ok := true
	if c.Detached && r.o.Cluster != nil {
		// Its labels first: what runs again must be under somebody's control.
		ok = r.step(act, "labels", func() (string, error) { return "", r.restoreLabels(ctx, c) })
	}
	ok = r.step(act, "thaw", func() (string, error) { return "", r.o.Freezer.Thaw(c.target()) }) && ok
	ok = r.step(act, "uncut", func() (string, error) {
		err := r.o.Kernel.Release(c.Cgroup)
		for _, link := range c.Links {
			err = errors.Join(err, r.o.Kernel.ReleaseLink(link))
		}
		return "", err
	}) && ok
	if !ok {
		r.record(act)
		return act, fmt.Errorf("pod %s/%s is not wholly released: ask again", t.Namespace, t.Name)
	}
	r.change(func() {
		act.State = seawall.ActDone
		c.Act.State = seawall.ActUndone
	})
	r.forget(c)
	r.record(c.Act)
	r.record(act)
	return act, nil
}

// Gone says that a pod no longer exists: there is nothing left to hold.
func (r *Responder) Gone(uid string) {
	if c := r.contained(uid); c != nil {
		if err := r.o.Kernel.Release(c.Cgroup); err == nil {
			r.forget(c)
		}
	}
}

// step carries out one step and records how it went.
func (r *Responder) step(act *seawall.Act, name string, f func() (string, error)) bool {
	began, clock := r.now(), time.Now()
	detail, err := f()
	s := seawall.ActStep{Name: name, Time: began, Took: time.Since(clock), Done: err == nil, Detail: detail}
	if err != nil {
		s.Error = err.Error()
	}
	r.change(func() {
		if last := act.Step(name); last != nil && !last.Done {
			*last = s // tried again
		} else {
			act.Steps = append(act.Steps, s)
		}
	})
	return err == nil
}

// change makes a change to an act, which others may be reading.
func (r *Responder) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *Responder) copied(c *contained) *seawall.Act {
	r.mu.Lock()
	defer r.mu.Unlock()
	act := *c.Act
	act.Steps = slices.Clone(act.Steps)
	return &act
}

// record hands out a copy of an act.
func (r *Responder) record(act *seawall.Act) {
	c := *act
	c.Steps = slices.Clone(act.Steps)
	r.o.Record(&c)
}

func (r *Responder) begin(uid string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy[uid] {
		return false
	}
	r.busy[uid] = true
	return true
}

func (r *Responder) end(uid string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, uid)
}

func (r *Responder) contained(uid string) *contained {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held[uid]
}

func (r *Responder) now() time.Time {
	if r.o.Now != nil {
		return r.o.Now()
	}
	return time.Now().UTC()
}
