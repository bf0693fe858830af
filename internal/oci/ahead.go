package oci

import (
	"context"
	"io"
	"sync"
)

// Reading ahead takes this much memory for each stage of a stream.
const (
	aheadBuffers = 4
	aheadSize    = 96 << 10
)

// ahead reads from another goroutine, so that reading, unpacking and using a
// layer go on at the same time.
type ahead struct {
	full chan chunk
	free chan []byte
	quit chan struct{}
	done chan struct{}
	once sync.Once

	now  chunk // what Read hands out
	rest []byte
}

type chunk struct {
	data []byte
	err  error
}

func newAhead(ctx context.Context, r io.Reader) *ahead {
	a := &ahead{
		full: make(chan chunk, aheadBuffers), free: make(chan []byte, aheadBuffers),
		quit: make(chan struct{}), done: make(chan struct{}),
	}
	for range aheadBuffers {
		a.free <- nil // made when it is first needed: small layers need one
	}
	go a.run(ctx, r)
	return a
}

func (a *ahead) run(ctx context.Context, r io.Reader) {
	defer close(a.done)
	for {
		var buf []byte
		select {
		case buf = <-a.free:
		case <-a.quit:
			return
		}
		if buf == nil {
			buf = make([]byte, aheadSize)
		}
		c := chunk{data: buf[:cap(buf)]}
		if c.err = ctx.Err(); c.err != nil {
			c.data = c.data[:0]
		} else {
			c.data, c.err = fill(r, c.data)
		}
		a.full <- c // has room for every buffer there is
		if c.err != nil {
			return
		}
	}
}

// fill reads until buf is full or the reader ends.
func fill(r io.Reader, buf []byte) ([]byte, error) {
	n, idle := 0, 0
	for n < len(buf) {
		m, err := r.Read(buf[n:])
		n += m
		if err != nil {
			return buf[:n], err //nolint:wrapcheck // a reader passes on what it reads
		}
		if m > 0 {
			idle = 0
		} else if idle++; idle == 100 {
			return buf[:n], io.ErrNoProgress
		}
	}
	return buf, nil
}

func (a *ahead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.now.err != nil {
			return 0, a.now.err
		}
		if a.now.data != nil {
			a.free <- a.now.data // has room for every buffer there is
			a.now.data = nil
		}
		select {
		case a.now = <-a.full:
		case <-a.quit:
			a.now = chunk{err: io.ErrClosedPipe}
		}
		a.rest = a.now.data
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// stop makes the goroutine end; wait waits until it did. The reader below must
// be closed in between, for it may be blocked in a read.
func (a *ahead) stop() { a.once.Do(func() { close(a.quit) }) }
func (a *ahead) wait() { <-a.done }
