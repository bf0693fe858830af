package advisory

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/vuln"
)

// small builds a database of a few records and returns its bytes.
func small(tb testing.TB, key ed25519.PrivateKey) []byte {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "small.db")
	_, err := Build(tb.Context(), []Input{
		{Path: "testdata/osv-ghsa-selected.jsonl.gz"}, {Path: "testdata/tracker.json"}, {Path: "testdata/epss.csv"}, {Path: "testdata/osv-rust.jsonl.gz"},
	}, path, Options{Built: someTime, Key: key})
	if err != nil {
		tb.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// everything asks a database for whatever there is in it.
func everything(db *DB) (found int) {
	for ecosystem := range db.status.Ecosystems {
		for _, name := range []string{"lodash", "ws", "openssl", "zlib", "hyper", "no-such"} {
			db.Advisories(ecosystem, name, func(a *vuln.Advisory) bool { found++; return a.ID != "stop" })
		}
	}
	for _, id := range []string{"CVE-2021-44228", "CVE-2023-0001", "GHSA-35jh-r3h4-6jhm", "CVE-1999-0001"} {
		if _, ok := db.Extra(id); ok {
			found++
		}
		if _, ok, err := db.Prose(id); ok && err == nil {
			found++
		}
	}
	if _, ok := db.Release(inventory.Distro{ID: "debian", Version: "12"}); ok {
		found++
	}
	return found
}

func TestSignature(t *testing.T) {
	private, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	_, next, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := ParsePublicKeys(append(next, public...))
	if err != nil || len(trusted) != 2 {
		t.Fatal(err, len(trusted))
	}
	signed := small(t, key)
	db, err := open(signed, trusted)
	if err != nil {
		t.Fatal(err)
	}
	if s := db.Status(); !s.Verified || len(s.KeyID) != 16 || !s.Built.Equal(someTime) {
		t.Errorf("status: %+v", s)
	}
	if db, err = open(signed, nil); err != nil || db.Status().Verified || db.Status().KeyID == "" {
		t.Errorf("opened without a key: %v", err)
	}
	if _, err := open(signed, trusted[:1]); !errors.Is(err, ErrSignature) {
		t.Errorf("with another key: %v", err)
	}
	unsigned := small(t, nil)
	if _, err := open(unsigned, trusted); !errors.Is(err, ErrSignature) {
		t.Errorf("unsigned: %v", err)
	}
	if db, err = open(unsigned, nil); err != nil || db.Status().KeyID != "" {
		t.Errorf("unsigned, opened without a key: %v", err)
	}
	// A head that is made to fit a changed section has no signature.
	forged := bytes.Clone(signed)
	h, err := decodeHead(forged)
	if err != nil {
		t.Fatal(err)
	}
	s := &h.sections[1]
	forged[s.offset+s.length-1] ^= 1
	s.sum = sha256.Sum256(forged[s.offset : s.offset+s.length])
	stolen := h.signature
	raw := h.encode(nil)
	copy(raw[32:40], signed[32:40])
	binary.LittleEndian.PutUint32(raw[44:], headSum(raw[:len(raw)-ed25519.SignatureSize]))
	copy(raw[len(raw)-ed25519.SignatureSize:], stolen[:])
	copy(forged, raw)
	if _, err := open(forged, trusted); !errors.Is(err, ErrSignature) {
		t.Errorf("forged: %v", err)
	}
}

// TestEveryByte changes each byte of a signed file in turn: with a key none goes
// unnoticed.
func TestEveryByte(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	good := small(t, key)
	keys := []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}
	if _, err := open(good, keys); err != nil {
		t.Fatal(err)
	}
	step := 1 + len(good)/500
	for i := 0; i < len(good); i += step {
		good[i] ^= 0x40
		if _, err := open(good, keys); err == nil {
			t.Fatalf("byte %d of %d was changed and nobody noticed", i, len(good))
		}
		good[i] ^= 0x40
	}
	for n := 0; n < len(good); n += step {
		if _, err := open(good[:n], nil); err == nil {
			t.Fatalf("a file cut to %d bytes is opened", n)
		}
	}
	if _, err := open(append(good, make([]byte, 8)...), nil); err == nil {
		t.Error("a file with eight bytes more is opened")
	}
}

// TestRot changes bytes of a file that is read without a key: answers are right
// or there is an error.
func TestRot(t *testing.T) {
	good := small(t, nil)
	db, err := open(good, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := everything(db)
	if want < 10 {
		t.Fatalf("only %d answers", want)
	}
	noticed := 0
	for i := int(headLength(len(db.head.sections))); i < len(good); i += 1 + len(good)/700 {
		good[i] ^= 0x01
		if db, err := open(good, nil); err != nil {
			noticed++
		} else if got := everything(db); db.Err() != nil {
			noticed++
		} else if got != want && !inProse(db, i) && !inMeta(db, i) {
			t.Errorf("byte %d: %d answers of %d, and no error", i, got, want)
		}
		good[i] ^= 0x01
	}
	if noticed == 0 {
		t.Error("no change was noticed")
	}
}

// Errors of prose are returned, and not kept; what meta says is for people.
func inProse(db *DB, at int) bool { return in(db, at, kindProse) }
func inMeta(db *DB, at int) bool  { return in(db, at, kindMeta) }

func in(db *DB, at int, k kind) bool {
	for _, s := range db.head.sections {
		if s.kind == k && int64(at) >= s.offset && int64(at) < s.offset+s.length {
			return true
		}
	}
	return false
}

func TestOpenRefuses(t *testing.T) {
	folder := t.TempDir()
	page := filepath.Join(folder, "page.db")
	if err := os.WriteFile(page, bytes.Repeat([]byte("<html>"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(folder, "newer.db")
	b := small(t, nil)
	b[8]++
	if err := os.WriteFile(newer, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{page, newer, folder, os.DevNull} {
		if _, err := Open(path); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := Open(filepath.Join(folder, "none.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestParallel reads from many goroutines, for the race detector, and from
// within an answer.
func TestParallel(t *testing.T) {
	db, _ := build(t, Input{Path: "testdata"})
	all := names(t, db)
	want := 0
	for _, n := range all {
		want += len(ask(db, n[0], n[1]))
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			got := 0
			for _, n := range all {
				db.Advisories(n[0], n[1], func(a *vuln.Advisory) bool {
					id := a.ID
					db.Advisories("npm", "ws", func(*vuln.Advisory) bool { return true })
					if a.ID != id {
						t.Errorf("%s became %s by a lookup within", id, a.ID)
					}
					got++
					return true
				})
			}
			if got != want {
				t.Errorf("got %d of %d", got, want)
			}
		})
	}
	group.Wait()
}

// TestHeap wants lookups to take next to nothing from the heap, whatever they find.
func TestHeap(t *testing.T) {
	db, _ := build(t, Input{Path: "testdata"})
	db.Advisories("npm", "ws", func(*vuln.Advisory) bool { return true })
	if n := testing.AllocsPerRun(100, func() {
		db.Advisories("npm", "ws", func(*vuln.Advisory) bool { return true })
	}); n > 8 {
		t.Errorf("%v allocations a lookup", n)
	}
}

// FuzzOpen reads files with sound heads, whose sections are the fuzzer's.
func FuzzOpen(f *testing.F) {
	good := small(f, nil)
	f.Add(good)
	f.Add(good[:headFixed])
	f.Fuzz(func(_ *testing.T, b []byte) {
		if db, err := open(b, nil); err == nil {
			everything(db)
		}
	})
}

// FuzzTable reads sections whose checksums are right whatever they hold.
func FuzzTable(f *testing.F) {
	db, err := open(small(f, nil), nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, t := range append([]*table{db.extras, db.releases, db.match["npm"], db.match["Debian"]}, db.prose...) {
		f.Add(t.body, t.areas[0].size(), t.areas[1].size(), t.areas[2].size(), t.areas[3].size())
	}
	f.Fuzz(func(t *testing.T, body []byte, a, b, c, d uint64) {
		var p parts
		left := uint64(len(body))
		for i, n := range []uint64{a, b, c, d, left} {
			n = min(n, left)
			p[i] = inMemory(body[uint64(len(body))-left:][:n])
			left -= n
		}
		var section bytes.Buffer
		if err := p.write(&section); err != nil {
			t.Fatal(err)
		}
		table, err := openTable(section.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"ws", "lodash", ""} {
			_ = table.advisories("npm", name, func(*vuln.Advisory) bool { return true })
		}
		_, _, _ = table.extra("CVE-2023-0001")
		_, _, _ = table.release(inventory.Distro{ID: "debian", Version: "12"})
		_, _, _ = table.prose("GHSA-35jh-r3h4-6jhm")
		// What a hash table would lead to, without having to hit a slot.
		for place := range min(table.areas[areaPackages].size(), 64) {
			if c, err := table.cursor(areaPackages, place); err == nil {
				_, _, n := c.text(), c.text(), c.count()
				r := &reading{budget: 1 << 16}
				for range min(n, 16) {
					_ = r.read(table, c.number(), c.number())
				}
			}
		}
		for place := range min(table.areas[areaIndex].size(), 64) {
			_, _, _ = table.entry(uint32(place), 0)
		}
	})
}
