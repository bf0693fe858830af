package advisory

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/vuln"
)

// DB is an open database. It implements [vuln.Database]; what cannot be read of
// a damaged file is missing from the answers and stands in [DB.Err].
type DB struct {
	path     string
	head     *head
	status   Status
	match    map[string]*table // by family
	prose    []*table
	extras   *table // nil if there are none
	releases *table
	unmap    func() error
	failed   atomic.Pointer[error]
}

// Status is what a database says of itself.
type Status struct {
	Path string `json:"path,omitempty"`
	// Format is the version of the file's format.
	Format int `json:"format"`
	// Built is when it was built.
	Built time.Time `json:"built"`
	// Size is the file's, in bytes; Match is that of the part that matching needs.
	Size  int64 `json:"size"`
	Match int64 `json:"match"`
	// KeyID names the key that signed, in hexadecimal; it is empty for unsigned
	// databases. Verified says that one of the keys given to [Open] did.
	KeyID    string `json:"keyID,omitempty"`
	Verified bool   `json:"verified"`
	// Sources are the feeds, in the order in which they were given.
	Sources []Source `json:"sources"`
	// Ecosystems counts advisories, one for each package that they name.
	Ecosystems map[string]int `json:"ecosystems"`
	// Gaps are feeds that were asked for and are missing, or could not be read
	// to their end.
	Gaps []Gap `json:"gaps,omitempty"`
}

// Age is how old the database is.
func (s *Status) Age(now time.Time) time.Duration { return now.Sub(s.Built) }

// Source is a feed that went into a database.
type Source struct {
	Name     string    `json:"name"`
	URL      string    `json:"url,omitempty"`
	Licence  string    `json:"licence,omitempty"`
	Modified time.Time `json:"modified,omitzero"` // when it was fetched, or changed if that is known
	Formats  []string  `json:"formats,omitempty"` // as told by its content
	// Records counts what was taken in, each record once however many packages it
	// names.
	Records int `json:"records"`
	// LeftOut are the records that were not, by reason.
	LeftOut []LeftOut `json:"leftOut,omitempty"`
}

// LeftOut is why records of a feed are not in the database.
type LeftOut struct {
	Reason string   `json:"reason"`
	Count  int      `json:"count"`
	IDs    []string `json:"ids,omitempty"` // the first few
}

// Gap is a feed that is missing from a database, as a whole or in part.
type Gap struct {
	Source string `json:"source"`
	Reason string `json:"reason"`
}

// Open opens a database. It takes far less than a millisecond, whatever the
// size, as nothing is read but the head and what the database says of itself.
//
// With keys, the signature must be of one of them; then all of the file is read
// and held against its hashes, some 1.5 GB a second.
//
// A file that is replaced by renaming another over it, as [Build] and [Update]
// do, stays as it was for those who have it open. It must not be written to or
// cut in place: the program would be killed when it reads what is gone.
func Open(path string, keys ...ed25519.PublicKey) (*DB, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read; the mapping stays
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: it is no regular file", path, ErrFormat)
	}
	if info.Size() < headFixed || info.Size() > min(maxFile, math.MaxInt) {
		return nil, fmt.Errorf("%s: %w: it has %d bytes", path, ErrFormat, info.Size())
	}
	b, unmap, err := mapFile(f, int(info.Size()))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	db, err := open(b, keys)
	if err != nil {
		unmap() //nolint:errcheck // the first error tells more
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	db.path, db.status.Path, db.unmap = path, path, unmap
	return db, nil
}

// open reads a database that lies in memory.
func open(b []byte, keys []ed25519.PublicKey) (*DB, error) {
	h, err := decodeHead(b)
	if err != nil {
		return nil, err
	}
	if h.file != int64(len(b)) {
		return nil, corrupt("it has %d of %d bytes", len(b), h.file)
	}
	if len(keys) > 0 {
		if err := h.verify(b, keys); err != nil {
			return nil, err
		}
		if err := h.check(b); err != nil {
			return nil, err
		}
	}
	db := &DB{head: h, match: map[string]*table{}}
	for i := range h.sections {
		if err := db.section(&h.sections[i], b); err != nil {
			return nil, fmt.Errorf("%s: %w", &h.sections[i], err)
		}
	}
	s := &db.status
	s.Path, s.KeyID = "", "" // not for the file to say
	s.Format, s.Built, s.Size, s.Verified = formatVersion, h.built, h.file, len(keys) > 0
	if h.keyID != [8]byte{} {
		s.KeyID = hex.EncodeToString(h.keyID[:])
	}
	return db, nil
}

// check holds all sections against their hashes, and wants zeros between them.
func (h *head) check(b []byte) error {
	at := headLength(len(h.sections))
	for i := range h.sections {
		s := &h.sections[i]
		if !zero(b[at:s.offset]) {
			return corrupt("there are bytes between its sections")
		}
		at = s.offset + s.length
		if sha256.Sum256(b[s.offset:at]) != s.sum {
			return fmt.Errorf("%s: %w", s, corrupt("the hash is wrong"))
		}
	}
	if !zero(b[at:]) {
		return corrupt("there are bytes after its sections")
	}
	return nil
}

func zero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

const maxMeta = 64 << 20

func (db *DB) section(s *section, b []byte) error {
	content := b[s.offset : s.offset+s.length]
	if s.kind == kindMeta {
		if len(content) > maxMeta {
			return corrupt("%d bytes", len(content))
		}
		if err := json.Unmarshal(content, &db.status); err != nil {
			return corrupt("%v", err)
		}
		return nil
	}
	if s.kind > kindProse {
		return nil // of a later program, which says by the version whether this one may pass it by
	}
	t, err := openTable(content)
	if err != nil {
		return err
	}
	switch s.kind {
	case kindMatch:
		db.match[s.name] = t
		db.status.Match += s.length
	case kindExtra:
		db.extras = t
		db.status.Match += s.length
	case kindReleases:
		db.releases = t
	case kindProse:
		db.prose = append(db.prose, t)
	case kindMeta:
	}
	return nil
}

// Close gives the mapping back. Strings that came from the database lie in it:
// none may be used afterwards. A program that keeps findings leaves a database
// open; what nobody reads takes no memory.
func (db *DB) Close() error {
	if db.unmap == nil {
		return nil
	}
	unmap := db.unmap
	db.unmap = nil
	db.match, db.prose, db.extras, db.releases = nil, nil, nil, nil
	return unmap()
}

// Status is what the database says of itself. Its slices and maps may not be
// changed.
func (db *DB) Status() Status { return db.status }

// Err is the first error that a lookup met, nil if all was well. Whoever asks a
// database asks for this at the end: an answer that could not be read is not
// there.
func (db *DB) Err() error {
	if err := db.failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (db *DB) fail(what string, err error) {
	if err != nil {
		err = fmt.Errorf("%s: %s: %w", db.path, what, err)
		db.failed.CompareAndSwap(nil, &err)
	}
}

// family is the part of an ecosystem's name that says which section holds it.
func family(ecosystem string) string {
	name, _, _ := strings.Cut(ecosystem, ":")
	return name
}

// Advisories implements [vuln.Database]. The order is that of IDs.
func (db *DB) Advisories(ecosystem, name string, yield func(*vuln.Advisory) bool) {
	if t := db.match[family(ecosystem)]; t != nil {
		db.fail(ecosystem, t.advisories(ecosystem, name, yield))
	}
}

// Extra implements [vuln.Database].
func (db *DB) Extra(id string) (vuln.Extra, bool) {
	if db.extras == nil {
		return vuln.Extra{}, false
	}
	x, ok, err := db.extras.extra(id)
	db.fail(id, err)
	return x, ok
}

// Covers implements [vuln.Database].
func (db *DB) Covers(ecosystem string) bool { return db.status.Ecosystems[ecosystem] > 0 }

// Release implements [vuln.Database].
func (db *DB) Release(distro inventory.Distro) (vuln.Release, bool) {
	if db.releases == nil {
		return vuln.Release{}, false
	}
	r, ok, err := db.releases.release(distro)
	db.fail(distro.ID, err)
	return r, ok
}

// Prose finds what there is to read of an advisory by its ID or, as the prose of
// a CVE may stand with an advisory that has another, by any of those given, the
// first that has any.
func (db *DB) Prose(ids ...string) (Prose, bool, error) {
	for _, id := range ids {
		for _, t := range db.prose {
			if p, ok, err := t.prose(id); ok || err != nil {
				return p, ok, err
			}
		}
	}
	return Prose{}, false, nil
}

var _ vuln.Database = (*DB)(nil)
