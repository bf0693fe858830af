package document

import (
	"bytes"
	"hash/maphash"
	"strings"
	"sync"
)

// Shared reads many JSON texts that have much in common, such as the objects of a
// cluster: the pods of a workload repeat its template, and each other. A list or
// map whose text was read before is not read again but shared. The positions of
// what is shared are those of its first occurrence: they are for texts in which
// nobody looks for places. Unlike with [ParseJSON], nodes keep no text alive.
//
// It is safe for many goroutines, each with a [SharedReader] of its own.
type Shared struct {
	// Two hashes with keys of their own, made for this process, tell texts apart:
	// keeping the texts would cost what sharing saves.
	seeds  [2]maphash.Seed
	shards [64]sharedShard
}

type sharedShard struct {
	mu    sync.Mutex
	known map[[2]uint64]sharedValue
}

type sharedValue struct {
	node *Node
	// nodes counts the values in it, and wide the bytes that continue a code point.
	nodes, wide int
}

// What is worth looking up: below the parts of an object that are unique, and of
// a size, in bytes, at which a lookup costs less than it saves.
const (
	sharedFrom, sharedTo    = 2, 6 // lists and maps around it
	sharedLeast, sharedMost = 48, 64 << 10
)

// NewShared returns a Shared that has read nothing.
func NewShared() *Shared {
	s := &Shared{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	for i := range s.shards {
		s.shards[i].known = map[[2]uint64]sharedValue{}
	}
	return s
}

// SharedReader reads texts, one after the other.
type SharedReader struct {
	shared *Shared
	build  builder
	// keys are those of maps, of which few texts have any that others have not.
	keys map[string]string
}

// Reader returns a reader for one goroutine.
func (s *Shared) Reader() *SharedReader { return &SharedReader{shared: s, keys: map[string]string{}} }

// ParseJSON is the function of this name, but for positions and for what the
// nodes share.
func (r *SharedReader) ParseJSON(text []byte, l Limits) (*Node, error) {
	l = l.orDefault()
	if err := l.tooLarge(text); err != nil {
		return nil, err
	}
	r.build.openFields, r.build.openItems = r.build.openFields[:0], r.build.openItems[:0]
	p := &jsonParser{text: text, line: 1, limits: l, left: l.Nodes, build: r.build, shared: r}
	root, err := p.whole()
	r.build = p.build
	return root, err
}

func (s *Shared) shard(k [2]uint64) *sharedShard { return &s.shards[k[0]%uint64(len(s.shards))] }

func (s *Shared) sum(text []byte) [2]uint64 {
	return [2]uint64{maphash.Bytes(s.seeds[0], text), maphash.Bytes(s.seeds[1], text)}
}

func (s *Shared) find(k [2]uint64) (sharedValue, bool) {
	shard := s.shard(k)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	v, ok := shard.known[k]
	return v, ok
}

func (s *Shared) keep(k [2]uint64, v sharedValue) {
	shard := s.shard(k)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.known[k] = v
}

// key returns a key that keeps no text alive.
func (r *SharedReader) key(text string) string {
	if k, ok := r.keys[text]; ok {
		return k
	}
	k := strings.Clone(text)
	r.keys[k] = k
	return k
}

// known reads a list or map that was read before; it returns nil, and the sum to
// keep it by, for one that was not. The sum is zero for one that is not to be kept.
func (p *jsonParser) known(depth int) (n *Node, sum [2]uint64) {
	if p.shared == nil || depth < sharedFrom || depth > sharedTo {
		return nil, sum
	}
	size := enclosed(p.text[p.i:])
	if size < sharedLeast || size > sharedMost {
		return nil, sum
	}
	sum = p.shared.shared.sum(p.text[p.i : p.i+size])
	v, ok := p.shared.shared.find(sum)
	if !ok || v.nodes > p.left {
		return nil, sum
	}
	p.left -= v.nodes
	p.wide += v.wide
	p.i += size
	return v.node, sum
}

// enclosed is how many bytes a list or map takes, 0 if it does not end. What is
// malformed in it shows when it is read.
func enclosed(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case '\n':
			return 0 // lines would be counted wrongly
		case '"':
			for i++; ; i++ {
				end := bytes.IndexByte(text[min(i, len(text)):], '"')
				if end < 0 {
					return 0
				}
				i += end
				if !escapedAt(text, i) {
					break
				}
			}
		}
	}
	return 0
}

// escapedAt says that an odd number of backslashes stands before a place.
func escapedAt(text []byte, i int) bool {
	n := 0
	for n < i && text[i-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}
