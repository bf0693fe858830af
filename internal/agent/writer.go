package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/spool"
)

// writer puts entries into the spool in batches, off the way of the events. While
// the disk does not take them they wait in memory, as many as fit.
type writer struct {
	agent *Agent
	mu    sync.Mutex
	queue []*spool.Entry
	lost  uint64
	woken chan struct{}
}

// maxQueued is how many entries wait for the disk at most.
const maxQueued = 16384

func newWriter(a *Agent) *writer { return &writer{agent: a, woken: make(chan struct{}, 1)} }

func (w *writer) put(kind, id string, at time.Time, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		w.agent.problem("spool", fmt.Sprintf("%s %s cannot be written: %v", kind, id, err))
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) >= maxQueued {
		w.lost++
		return
	}
	w.queue = append(w.queue, &spool.Entry{Kind: kind, ID: id, Time: at, Value: text})
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

func (w *writer) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.woken:
		}
		if err := w.flush(); err != nil {
			w.agent.problem("spool", err.Error())
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
			select {
			case w.woken <- struct{}{}:
			default:
			}
			continue
		}
		w.agent.problem("spool", "")
	}
}

// flush writes what is queued. What cannot be written stays queued.
func (w *writer) flush() error {
	w.mu.Lock()
	batch := w.queue
	w.queue = nil
	w.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	if err := w.agent.spool.Put(batch...); err != nil {
		w.mu.Lock()
		w.queue = append(batch, w.queue...)
		w.mu.Unlock()
		return err
	}
	return nil
}

func (w *writer) dropped() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// incidentEntry tells the states of one incident apart.
func incidentEntry(i *seawall.Incident) string {
	return fmt.Sprintf("%s.%d.%t", i.ID, i.Alerts, i.Closed)
}
