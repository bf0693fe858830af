package agent

import (
	"time"

	"seawall.io/seawall"
)

// tellLosses reports, once a second, what was lost between the sensor and the spool.
// What the kernel lost the sensor reports itself; followers of events who are too slow
// hear of it themselves.
func (a *Agent) tellLosses(now uint64) {
	if now-a.lossesTold < 1e9 {
		return
	}
	a.lossesTold = now
	for i, l := range []struct {
		class, reason string
		count         uint64
	}{
		{"agent", "the agent's own events came faster than it takes them", a.ownLost.Load()},
		{"spool", "alerts, incidents and acts came faster than the disk takes them", a.writer.dropped()},
	} {
		if n := l.count - a.lossCounts[i]; n > 0 {
			a.lossCounts[i] = l.count
			a.take(&seawall.Event{Kind: seawall.EventLoss, Time: time.Now(), Boot: now, Count: n, Loss: &seawall.Loss{Class: l.class, Count: n, Reason: l.reason}})
		}
	}
}
