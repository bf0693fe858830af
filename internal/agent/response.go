package agent

import (
	"context"
	"errors"
	"fmt"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/respond"
)

// response is a pod to contain.
type response struct {
	target respond.Target
	asked  respond.Request
}

// answer contains the pod of an alert, where the check asks for it and the
// namespace allows it.
func (a *Agent) answer(alert *seawall.Alert) {
	ev := alert.Event
	if a.responder == nil || ev == nil || ev.Pod == nil || a.mode(ev.Pod) != ContainPods || alert.Respond != "isolate" {
		return
	}
	t, ok := a.target(ev.Pod.Namespace, ev.Pod.Name)
	if !ok || t.UID != ev.Pod.UID {
		a.problem("respond", fmt.Sprintf("pod %s/%s was to be contained for %s, and is not on this node any more", ev.Pod.Namespace, ev.Pod.Name, alert.Check))
		return
	}
	t.Pod = ev.Pod
	r := response{t, respond.Request{
		By: "check " + alert.Check, Reason: alert.Message, Alert: alert.ID, Incident: alert.Incident, Automatic: true, Severity: alert.Severity,
	}}
	select {
	case a.responses <- r:
	default:
		// More pods are waiting to be contained than a budget would allow.
		a.problem("respond", "more containments were asked for at once than can wait: "+ev.Pod.Namespace+"/"+ev.Pod.Name+" was left out")
	}
}

// respondLoop contains pods, several at a time: evidence takes seconds, and the next
// attacker is not to wait for it.
func (a *Agent) respondLoop(ctx context.Context) {
	slots := make(chan struct{}, 4)
	for {
		select {
		case <-ctx.Done():
			for range cap(slots) {
				slots <- struct{}{}
			}
			return
		case r := <-a.responses:
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				_, _ = a.contain(context.WithoutCancel(ctx), r.target, r.asked) // it is logged, and in the act
			}()
		}
	}
}

func (a *Agent) contain(ctx context.Context, t respond.Target, q respond.Request) (*seawall.Act, error) {
	act, err := a.responder.Contain(ctx, t, q)
	switch {
	case errors.Is(err, respond.ErrBusy):
		return nil, err
	case err != nil:
		a.log.Error("containing a pod", "pod", t.Namespace+"/"+t.Name, "error", err)
	case act.State == seawall.ActHeld:
		a.log.Warn("a containment waits for approval", "pod", t.Namespace+"/"+t.Name, "why", act.Held)
	default:
		a.log.Warn("contained a pod", "pod", t.Namespace+"/"+t.Name, "by", q.By, "reason", q.Reason)
	}
	return act, err
}
