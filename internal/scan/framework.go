package scan

import (
	"fmt"
	"slices"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
)

// tally sees a report through frameworks: for each control the objects that
// passed, that failed and that could not be judged.
func tally(frameworks []check.Framework, rules []*check.Rule, snaps []*cluster.Snapshot, r *seawall.Report) []seawall.Framework {
	if len(frameworks) == 0 {
		return nil
	}
	byID := make(map[string]*check.Rule, len(rules))
	for _, rule := range rules {
		byID[rule.ID] = rule
	}
	failed := map[string]map[seawall.Object]bool{}
	for i := range r.Findings {
		f := r.Findings[i]
		if f.Suppressed != nil {
			continue
		}
		if failed[f.Check] == nil {
			failed[f.Check] = map[seawall.Object]bool{}
		}
		failed[f.Check][*f.Subject.Object] = true
	}
	unjudged, unread := map[string]int{}, 0
	for _, hole := range slices.Concat(r.Coverage.Incomplete, r.Coverage.NotEvaluated) {
		if hole.Check == "" {
			unread++
		} else {
			unjudged[hole.Check]++
		}
	}
	var out []seawall.Framework
	for _, f := range frameworks {
		view := seawall.Framework{ID: f.ID, Title: f.Title}
		for _, c := range f.Controls {
			control := seawall.Control{ID: c.ID, Title: c.Title, Checks: c.Checks, Reason: c.Reason}
			judge(&control, byID, snaps, failed, unjudged, unread)
			view.Controls = append(view.Controls, control)
		}
		out = append(out, view)
	}
	return out
}

func judge(c *seawall.Control, rules map[string]*check.Rule, snaps []*cluster.Snapshot,
	failed map[string]map[seawall.Object]bool, unjudged map[string]int, unread int,
) {
	bad := map[seawall.Object]bool{}
	var deciding []*check.Rule
	for _, id := range c.Checks {
		for s := range failed[id] {
			bad[s] = true
		}
		c.NotEvaluated += unjudged[id]
		if r := rules[id]; r != nil {
			deciding = append(deciding, r)
		} else {
			c.NotEvaluated++
			c.Reason = fmt.Sprintf("check %s did not run", id)
		}
	}
	examined := 0
	for _, snap := range snaps {
		examined += countExamined(deciding, snap)
	}
	c.Failed = len(bad)
	c.Passed = max(0, examined-c.Failed)
	if len(c.Checks) > 0 {
		c.NotEvaluated += unread
	}
	switch {
	case c.Failed > 0:
		c.Status = "failed"
	case len(c.Checks) == 0, c.NotEvaluated > 0:
		c.Status = "not-evaluated"
	case examined == 0:
		c.Status = "not-evaluated"
		c.Reason = "nothing that was scanned falls under this control"
	default:
		c.Status = "passed"
	}
	if c.Status == "not-evaluated" && c.Reason == "" {
		c.Reason = "some input could not be read or judged: see what is incomplete"
	}
}

// countExamined counts the objects that at least one of the rules examines.
func countExamined(rules []*check.Rule, snap *cluster.Snapshot) int {
	embeds := embedding(snap)
	n := 0
	for _, o := range snap.Objects {
		for _, r := range rules {
			if r.Examines(o, len(embeds[o]) > 0) {
				n++
				break
			}
		}
	}
	return n
}

// embedding returns the pod templates to judge by object.
func embedding(snap *cluster.Snapshot) map[*cluster.Object][]cluster.PodTemplate {
	type key struct{}
	return cluster.Derive(snap, key{}, func() map[*cluster.Object][]cluster.PodTemplate {
		out := map[*cluster.Object][]cluster.PodTemplate{}
		for _, t := range snap.Templates() {
			out[t.Object] = append(out[t.Object], t)
		}
		return out
	})
}
