// Package progress tells the person who waits what is happening and for how
// long it has been. Results never go this way.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Lines writes one line per message, with the time since it was made. The nil
// pointer is silent.
type Lines struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

// To returns Lines that go to out.
func To(out io.Writer) *Lines {
	return &Lines{out: out, start: time.Now()}
}

// Printf writes a message. An error in writing is not worth stopping for.
func (l *Lines) Printf(format string, args ...any) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, "%7.1fs  %s\n", time.Since(l.start).Seconds(), fmt.Sprintf(format, args...))
}
