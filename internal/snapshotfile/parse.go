package snapshotfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// chunkBytes is how much text is parsed in one go: enough that handing it over
// costs nothing, little enough that all processors have work.
const chunkBytes = 256 << 10

// chunk is some lines of an entry.
type chunk struct {
	entry   int
	line    int // of its first, from 1
	text    []byte
	objects []*cluster.Object
	err     error
}

// parser parses chunks on all processors and remembers their order.
type parser struct {
	cluster string
	limits  Limits
	values  int64 // of Limits.Values, not yet used
	shared  *document.Shared

	chunks []*chunk // all, in the order of the file
	work   chan *chunk
	group  sync.WaitGroup
	failed atomic.Bool // a chunk has an error, so that no more are needed
}

// errStopped ends reading after a chunk could not be parsed.
var errStopped = errors.New("stopped")

func newParser(name string, l Limits) *parser {
	workers := runtime.GOMAXPROCS(0)
	p := &parser{cluster: name, limits: l, values: l.Values, shared: document.NewShared(), work: make(chan *chunk, workers)}
	for range workers {
		p.group.Go(func() {
			r := p.shared.Reader()
			for c := range p.work {
				p.parse(r, c)
				c.text = nil
			}
		})
	}
	return p
}

// wait ends the work and returns the objects in the order of the file, and how
// many each entry has; or the first error in the file.
func (p *parser) wait(entries []manifestEntry) (objects []*cluster.Object, counts []int, err error) {
	close(p.work)
	p.group.Wait()
	total := 0
	for _, c := range p.chunks {
		if c.err != nil {
			return nil, nil, damaged(entries[c.entry].Name, c.err)
		}
		total += len(c.objects)
	}
	counts = make([]int, len(entries))
	objects = make([]*cluster.Object, 0, total)
	for _, c := range p.chunks {
		objects = append(objects, c.objects...)
		counts[c.entry] += len(c.objects)
	}
	return objects, counts, nil
}

// readEntry cuts an entry of some size into chunks of whole lines and hands
// them over.
func (p *parser) readEntry(r io.Reader, entry int, size int64) error {
	line := 1
	var rest []byte // the begin of a line
	for size > 0 {
		if p.failed.Load() {
			return errStopped
		}
		// A long line at least doubles the room each time.
		more := min(size, int64(max(chunkBytes, len(rest))))
		text := make([]byte, int64(len(rest))+more)
		copy(text, rest)
		if _, err := io.ReadFull(r, text[len(rest):]); err != nil {
			return err
		}
		size -= more
		end := bytes.LastIndexByte(text, '\n') + 1
		rest = text[end:]
		if end > 0 {
			if err := p.hand(&chunk{entry: entry, line: line, text: text[:end]}); err != nil {
				return err
			}
			line += bytes.Count(text[:end], []byte{'\n'})
		}
		if len(rest) > p.limits.Object {
			return fmt.Errorf("line %d: %w", line, limitError{"bytes in one object", int64(p.limits.Object)})
		}
	}
	if len(rest) > 0 {
		return fmt.Errorf("line %d does not end", line)
	}
	return nil
}

// hand counts the values of a chunk and gives it to a worker. Each value but
// the first of a list or map stands behind a comma, so that commas and opening
// brackets bound their number before any memory is spent on them.
func (p *parser) hand(c *chunk) error {
	for _, b := range [...]byte{',', '[', '{'} {
		p.values -= int64(bytes.Count(c.text, []byte{b}))
	}
	if p.values < 0 {
		return limitError{"values", p.limits.Values}
	}
	p.chunks = append(p.chunks, c)
	p.work <- c
	return nil
}

func (p *parser) parse(r *document.SharedReader, c *chunk) {
	if p.failed.Load() {
		return
	}
	line := c.line
	c.objects = make([]*cluster.Object, 0, bytes.Count(c.text, []byte{'\n'}))
	for text := range bytes.Lines(c.text) {
		o, err := p.object(r, text)
		if err != nil {
			c.err = fmt.Errorf("line %d: %w", line, err)
			p.failed.Store(true)
			return
		}
		c.objects = append(c.objects, o)
		line++
	}
}

func (p *parser) object(r *document.SharedReader, text []byte) (*cluster.Object, error) {
	root, err := r.ParseJSON(text, document.Limits{Bytes: int64(len(text))})
	if err != nil {
		if at, ok := errors.AsType[*document.Error](err); ok { // its line is that of text, always 1
			return nil, fmt.Errorf("column %d: %s", at.Column, at.Msg)
		}
		return nil, err
	}
	o, ok := cluster.New(root)
	if !ok {
		return nil, errors.New("this is no Kubernetes object: apiVersion or kind is missing")
	}
	o.Cluster = p.cluster
	return o, nil
}
