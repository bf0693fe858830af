package cli

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progressEvery is how often the progress line is drawn anew.
const progressEvery = 100 * time.Millisecond

// progress draws one line of progress on a terminal. It shows nothing for work
// that is done within half a second, and wipes the line when all is done.
func progress(w io.Writer) func(stage string, done, total int) {
	var mu sync.Mutex
	start := time.Now()
	last := start.Add(500*time.Millisecond - progressEvery)
	shown := false
	return func(stage string, done, total int) {
		mu.Lock()
		defer mu.Unlock()
		if total > 0 && done >= total {
			if shown {
				fmt.Fprint(w, "\r\033[K") //nolint:errcheck // progress is a courtesy
				shown = false
			}
			return
		}
		now := time.Now()
		if now.Sub(last) < progressEvery {
			return
		}
		last, shown = now, true
		if total > 0 {
			fmt.Fprintf(w, "\r\033[K%s: %d of %d", stage, done, total) //nolint:errcheck // progress is a courtesy
		} else {
			fmt.Fprintf(w, "\r\033[K%s: %d", stage, done) //nolint:errcheck // progress is a courtesy
		}
	}
}
