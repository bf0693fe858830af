// Package spool keeps what the agent has to say on disk: alerts, incidents and
// acts, in the order in which they came, until somebody has taken them and for as
// long as there is room. What is in it survives the agent's death at any moment and
// the node's, since each batch is on the disk before Put returns.
//
// Room is bounded. When it is used up the oldest entries go, those that were taken
// first; entries that nobody took and that had to go are counted.
package spool

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Entry is one thing that was said.
type Entry struct {
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time"`
	// Kind is alert, incident or act.
	Kind string `json:"kind"`
	// ID is the entry's own: an entry whose ID is there already is not put twice.
	ID    string          `json:"id"`
	Value json.RawMessage `json:"value"`
}

// Options bound a spool.
type Options struct {
	// MaxBytes of entries; 0 is 64 MiB.
	MaxBytes int64
}

// Stats counts what a spool holds.
type Stats struct {
	Entries int    `json:"entries"`
	Bytes   int64  `json:"bytes"`
	First   uint64 `json:"first"` // the oldest sequence number that is there
	Next    uint64 `json:"next"`  // the one that the next entry gets
	Taken   uint64 `json:"taken"` // entries up to here were taken
	// Dropped entries had to make room before anybody took them.
	Dropped uint64 `json:"dropped"`
	// Damaged names the file that an unreadable spool was moved to when this one was
	// opened.
	Damaged string `json:"damaged,omitempty"`
}

// Spool is an open spool. It is safe for many goroutines.
type Spool struct {
	db  *bolt.DB
	max int64

	mu    sync.Mutex
	stats Stats
	news  chan struct{} // closed when something is put
}

var (
	bucketEntries = []byte("entries") // sequence number: entry
	bucketIDs     = []byte("ids")     // kind and ID: sequence number
	bucketState   = []byte("state")

	keyTaken   = []byte("taken")
	keyDropped = []byte("dropped")
)

// Open opens the spool in a file, or makes it. A file that is damaged is moved
// aside, not deleted, and a new one begun: a node that was cut off in the middle of
// a write must not be without an agent. A file that another agent holds is an error
// after two seconds.
func Open(file string, o Options) (*Spool, error) {
	s := &Spool{max: o.MaxBytes, news: make(chan struct{})}
	if s.max == 0 {
		s.max = 64 << 20
	}
	db, err := bolt.Open(file, 0o600, &bolt.Options{Timeout: 2 * time.Second, FreelistType: bolt.FreelistMapType})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("the spool %s is in use: does another agent run?", file)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("opening the spool: %w", err)
	case err != nil:
		aside := fmt.Sprintf("%s.damaged-%d", file, time.Now().Unix())
		if renamed := os.Rename(file, aside); renamed != nil { //nolint:gosec // the file is the caller's
			return nil, fmt.Errorf("opening the spool: %w", errors.Join(err, renamed))
		}
		if db, err = bolt.Open(file, 0o600, &bolt.Options{Timeout: 2 * time.Second}); err != nil {
			return nil, fmt.Errorf("making a spool: %w", err)
		}
		s.stats.Damaged = aside
	}
	s.db = db
	if err := db.Update(s.load); err != nil {
		return nil, errors.Join(fmt.Errorf("reading the spool %s: %w", file, err), db.Close())
	}
	return s, nil
}

// load makes the buckets and counts what is there.
func (s *Spool) load(tx *bolt.Tx) error {
	for _, name := range [][]byte{bucketEntries, bucketIDs, bucketState} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	entries := tx.Bucket(bucketEntries)
	s.stats.Next = entries.Sequence() + 1
	s.stats.First = s.stats.Next
	if k, _ := entries.Cursor().First(); k != nil {
		s.stats.First = binary.BigEndian.Uint64(k)
	}
	s.stats.Taken, s.stats.Dropped = number(tx, keyTaken), number(tx, keyDropped)
	return entries.ForEach(func(_, v []byte) error {
		s.stats.Entries++
		s.stats.Bytes += int64(len(v))
		return nil
	})
}

func number(tx *bolt.Tx, key []byte) uint64 {
	if v := tx.Bucket(bucketState).Get(key); len(v) == 8 {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

func key(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// Put adds entries, all or none; their Seq is set. Those whose kind and ID are
// there already are left out. When it returns without an error they are on disk.
func (s *Spool) Put(entries ...*Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	after := s.stats
	err := s.db.Update(func(tx *bolt.Tx) error {
		after = s.stats
		b, ids := tx.Bucket(bucketEntries), tx.Bucket(bucketIDs)
		for _, e := range entries {
			id := []byte(e.Kind + "/" + e.ID)
			if v := ids.Get(id); v != nil {
				e.Seq = binary.BigEndian.Uint64(v)
				continue
			}
			seq, err := b.NextSequence()
			if err != nil {
				return err
			}
			e.Seq = seq
			text, err := json.Marshal(e)
			if err != nil {
				return err
			}
			if int64(len(text)) > s.max {
				return fmt.Errorf("%s %s takes %d bytes, the spool holds %d", e.Kind, e.ID, len(text), s.max)
			}
			if err := errors.Join(b.Put(key(seq), text), ids.Put(id, key(seq))); err != nil {
				return err
			}
			after.Entries++
			after.Bytes += int64(len(text))
			after.Next = seq + 1
		}
		return s.shrink(tx, &after)
	})
	if err != nil {
		return fmt.Errorf("writing to the spool: %w", err)
	}
	s.stats = after
	close(s.news)
	s.news = make(chan struct{})
	return nil
}

// shrink drops the oldest entries until the rest fits.
func (s *Spool) shrink(tx *bolt.Tx, st *Stats) error {
	b, ids := tx.Bucket(bucketEntries), tx.Bucket(bucketIDs)
	for c := b.Cursor(); st.Bytes > s.max; {
		k, v := c.First()
		if k == nil {
			break
		}
		var e Entry
		if err := json.Unmarshal(v, &e); err == nil {
			if err := ids.Delete([]byte(e.Kind + "/" + e.ID)); err != nil {
				return err
			}
		}
		if binary.BigEndian.Uint64(k) > st.Taken {
			st.Dropped++
		}
		st.Bytes -= int64(len(v))
		st.Entries--
		if err := c.Delete(); err != nil {
			return err
		}
	}
	st.First = st.Next
	if k, _ := b.Cursor().First(); k != nil {
		st.First = binary.BigEndian.Uint64(k)
	}
	return tx.Bucket(bucketState).Put(keyDropped, key(st.Dropped))
}

// Read hands f the entries from a sequence number on, oldest first, at most limit
// of them; 0 is all. An error of f ends the reading and is returned.
func (s *Spool) Read(from uint64, limit int, f func(Entry) error) error {
	return s.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketEntries).Cursor()
		n := 0
		for k, v := c.Seek(key(from)); k != nil && (limit == 0 || n < limit); k, v = c.Next() {
			var e Entry
			if err := json.Unmarshal(v, &e); err != nil {
				return fmt.Errorf("entry %d of the spool: %w", binary.BigEndian.Uint64(k), err)
			}
			if err := f(e); err != nil {
				return err
			}
			n++
		}
		return nil
	})
}

// News returns a channel that is closed when something is put after the call.
func (s *Spool) News() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.news
}

// Take records that entries up to a sequence number are in other hands.
func (s *Spool) Take(upTo uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if upTo <= s.stats.Taken {
		return nil
	}
	if upTo >= s.stats.Next {
		return fmt.Errorf("entry %d cannot have been taken: the newest is %d", upTo, s.stats.Next-1)
	}
	if err := s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketState).Put(keyTaken, key(upTo)) }); err != nil {
		return fmt.Errorf("writing to the spool: %w", err)
	}
	s.stats.Taken = upTo
	return nil
}

// Stats returns what the spool holds.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Close closes the file.
func (s *Spool) Close() error { return s.db.Close() }
