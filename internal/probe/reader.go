package probe

import (
	"sync/atomic"

	"seawall.io/seawall"
)

// reader counts what came out of the rings.
type reader struct {
	kinds [64]atomic.Uint64
	gaps  atomic.Uint64
}

func (r *reader) read(ev *seawall.Event) {
	r.kinds[ev.Kind].Add(1)
}
