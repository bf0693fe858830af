package respond

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"seawall.io/seawall"
)

// Budget bounds what Seawall does of its own accord, so that an attacker cannot make
// it take a service down by looking guilty everywhere. What a person asks for is not
// bounded. The zero value takes the defaults.
type Budget struct {
	// Window is what the counts below are of; 10 minutes by default.
	Window time.Duration
	// PerWorkload is how many pods of one workload a node may contain in a window; 1
	// by default. PerNode is how many of all; 3 by default.
	PerWorkload int
	PerNode     int
	// LastReady allows to contain the last ready pod of a workload.
	LastReady bool
	// Approve holds every automatic act until somebody approves it, in the
	// namespaces that it names; "*" is all.
	Approve []string
}

// Exempt namespaces are never contained automatically: the cluster's own, and
// Seawall's.
var Exempt = []string{"kube-system", "kube-public", "kube-node-lease", "seawall-system"}

// budgetLedger remembers automatic acts.
type budgetLedger struct {
	mu   sync.Mutex
	acts []pastAct
}

type pastAct struct {
	at       time.Time
	workload string
}

// overBudget says why an automatic act is not to be done, and counts one that is.
func (r *Responder) overBudget(ctx context.Context, t Target, q Request) string {
	b := r.o.Budget
	window := cmp.Or(b.Window, 10*time.Minute)
	for _, ns := range Exempt {
		if t.Namespace == ns {
			return "namespace " + ns + " is exempt from automatic containment"
		}
	}
	for _, ns := range b.Approve {
		if ns == "*" || ns == t.Namespace {
			return "automatic containment takes approval in namespace " + t.Namespace
		}
	}
	if !b.LastReady {
		if why := r.lastReady(ctx, t, q); why != "" {
			return why
		}
	}
	r.past.mu.Lock()
	defer r.past.mu.Unlock()
	now := r.now()
	keep := r.past.acts[:0]
	for _, a := range r.past.acts {
		if now.Sub(a.at) < window {
			keep = append(keep, a)
		}
	}
	r.past.acts = keep
	workload := t.Namespace + "/" + t.Workload.String()
	same := 0
	for _, a := range keep {
		if a.workload == workload {
			same++
		}
	}
	if limit := cmp.Or(b.PerWorkload, 1); same >= limit {
		return fmt.Sprintf("%d pods of %s were contained on this node within %s, the most that is done without approval", same, workload, window)
	}
	if limit := cmp.Or(b.PerNode, 3); len(keep) >= limit {
		return fmt.Sprintf("%d pods were contained on this node within %s, the most that is done without approval", len(keep), window)
	}
	r.past.acts = append(r.past.acts, pastAct{now, workload})
	return ""
}

// lastReady says whether nothing would be left of the workload. Without the API
// server that is not known; a critical alert is then answered all the same, since
// the counts of the budget still hold.
func (r *Responder) lastReady(ctx context.Context, t Target, q Request) string {
	unknown := func(why string) string {
		if q.Severity == seawall.Critical {
			return ""
		}
		return "whether other replicas are ready is not known: " + why
	}
	if r.o.Cluster == nil {
		return unknown("there is no API server to ask")
	}
	// A second is what an answer may take: an attacker does not wait.
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	pods, err := r.o.Cluster.Pods(ctx, t.Namespace, selector(t.Labels))
	if err != nil {
		return unknown(err.Error())
	}
	others := 0
	for _, p := range pods {
		if p.Metadata.Name != t.Name && p.Workload() == t.Workload && p.Ready() {
			others++
		}
	}
	switch {
	case others > 0:
		return ""
	case t.Workload.Kind == "Pod" || t.Workload.Kind == "Job" || t.Workload.Kind == "DaemonSet":
		return "" // it has no replicas that could serve in its place
	}
	return "no other pod of " + t.Workload.String() + " is ready"
}
