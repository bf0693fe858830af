package probe

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf/ringbuf"
)

// Ring is one of the ring buffers that events travel in, numbered as in
// bpf/event.h. Each has room of its own, so that a storm in one costs no other.
type Ring uint8

// The rings.
const (
	RingExec Ring = iota // exec
	RingLife             // fork, exit, comm
	RingFile
	RingNet
	RingPriv
	RingDNS
	RingNode // containers, verdicts, losses, and what the sensor says of itself
	ringCount
)

var ringNames = [ringCount]string{"exec", "life", "file", "net", "priv", "dns", "node"}

// String returns the ring's name.
func (r Ring) String() string {
	if r < ringCount {
		return ringNames[r]
	}
	return fmt.Sprintf("ring-%d", uint8(r))
}

func ringByMap(name string) (Ring, bool) {
	for r, n := range ringNames {
		if name == "ring_"+n {
			return Ring(r), true //nolint:gosec // bounded by the length of the table
		}
	}
	return 0, false
}

// ringSizes are bytes, powers of two. A record of exec takes some 10 KiB, of the
// others 200 to 1,700 bytes.
var ringSizes = [ringCount]uint32{4 << 20, 1 << 20, 4 << 20, 2 << 20, 1 << 20, 1 << 20, 256 << 10}

func (p *Probe) ringSize(r Ring) uint32 {
	if n := p.options.RingBytes[r]; n != 0 {
		return n
	}
	return ringSizes[r]
}

// ring reads one ring buffer.
type ring struct {
	*ringbuf.Reader
	rec ringbuf.Record
}

func newRing(p *Probe, r Ring) (*ring, error) {
	reader, err := ringbuf.NewReader(p.maps["ring_"+r.String()])
	if err != nil {
		return nil, fmt.Errorf("reading the ring %s: %w", r, err)
	}
	// The deadline has passed: a read returns what there is and never waits.
	reader.SetDeadline(time.Unix(1, 0))
	return &ring{Reader: reader}, nil
}

// drain hands each record that lies in the ring to f, at most limit of them. The
// record is f's until it returns.
func (r *ring) drain(limit int, f func(raw []byte)) error {
	for range limit {
		if r.AvailableBytes() == 0 {
			return nil
		}
		switch err := r.ReadInto(&r.rec); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
		f(r.rec.RawSample)
	}
	return nil
}
