package probe

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
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
			return Ring(r), true
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

// ring reads one ring buffer, in place. What was read stays in the ring until it is
// done with, so that whoever comes after a reader that was killed finds it again.
type ring struct {
	consumer, producer *uint64 // positions in bytes, ever growing
	data               []byte  // the ring, twice in a row
	memory             [2][]byte

	clear uint64  // a time, in ns since boot, up to which everything was read
	next  uint64  // where the first record lies that was not read
	taken []taken // records that were read, from the first that is not done with
	head  int     // how many of taken are done with, and no longer counted in begun
	begun uint64  // number of taken[head]
}

// taken is a record that was read.
type taken struct {
	end  uint64 // its position's end
	done bool
}

// The bits of a record's first word that are not its length (linux/bpf.h).
const (
	ringBusy      = 1 << 31
	ringDiscarded = 1 << 30
	ringHeader    = 8
)

func newRing(p *Probe, r Ring) (*ring, error) {
	out, err := mapRing(p.maps["ring_"+r.String()])
	if err != nil {
		return nil, fmt.Errorf("reading the ring %s: %w", r, err)
	}
	return out, nil
}

// mapRing maps a ring buffer: one page that the reader writes its position to, one
// with the kernel's position, and the data twice, so that no record is torn.
func mapRing(m *ebpf.Map) (*ring, error) {
	page := os.Getpagesize()
	own, err := unix.Mmap(m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	rest, err := unix.Mmap(m.FD(), int64(page), page+2*int(m.MaxEntries()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(err, unix.Munmap(own))
	}
	r := &ring{
		consumer: (*uint64)(unsafe.Pointer(unsafe.SliceData(own))),  // the position is what the page begins with
		producer: (*uint64)(unsafe.Pointer(unsafe.SliceData(rest))), // likewise
		data:     rest[page:], memory: [2][]byte{own, rest},
	}
	r.next = atomic.LoadUint64(r.consumer)
	return r, nil
}

// drain hands each record that lies in the ring to f, at most limit of them, with the
// number that done wants. The record is f's until then. What it says is how it ended.
func (r *ring) drain(limit int, f func(raw []byte, number uint64)) drained {
	end := atomic.LoadUint64(r.producer)
	mask := uint64(len(r.data)/2 - 1) //nolint:gosec // a ring is not empty
	for range limit {
		if r.next >= end {
			return atEnd
		}
		at := r.next & mask
		word := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[at])))
		if word&ringBusy != 0 {
			return atBusy // it is being written; what is behind it comes after it
		}
		n := uint64(word &^ uint32(ringDiscarded))
		r.next += ringHeader + (n+7)&^7
		number := r.begun + uint64(len(r.taken)-r.head) //nolint:gosec // the head is inside
		r.taken = append(r.taken, taken{end: r.next})
		if word&ringDiscarded != 0 {
			r.done(number)
			continue
		}
		f(r.data[at+ringHeader:at+ringHeader+n:at+ringHeader+n], number)
	}
	return atLimit
}

// drained says how reading a ring ended.
type drained uint8

const (
	atEnd drained = iota
	atBusy
	atLimit
)

// done gives a record's room back, once all before it are done with as well.
func (r *ring) done(number uint64) {
	r.taken[r.head+int(number-r.begun)].done = true //nolint:gosec // it is one of those that were handed out
	before := r.head
	for r.head < len(r.taken) && r.taken[r.head].done {
		r.head++
	}
	if r.head == before {
		return
	}
	atomic.StoreUint64(r.consumer, r.taken[r.head-1].end)
	r.begun += uint64(r.head - before) //nolint:gosec // it grew
	if r.head == len(r.taken) {
		r.taken, r.head = r.taken[:0], 0
	}
}

// crowded says that less than half of the ring is free.
func (r *ring) crowded() bool {
	return atomic.LoadUint64(r.producer)-atomic.LoadUint64(r.consumer) > uint64(len(r.data)/4)
}

// Close unmaps the ring, once.
func (r *ring) Close() error {
	var errs []error
	for i, m := range r.memory {
		if m != nil {
			errs = append(errs, unix.Munmap(m))
		}
		r.memory[i] = nil
	}
	return errors.Join(errs...)
}
