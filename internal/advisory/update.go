package advisory

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// UpdateOptions say what an update accepts.
type UpdateOptions struct {
	Transfer

	// Keys are those of which one must have signed the database.
	Keys []ed25519.PublicKey
	// Unsigned accepts any database when there are no keys.
	Unsigned bool
	// Older accepts a database older than the one in place. Else it is refused,
	// as an old one with its valid signature hides what was found since.
	Older bool
}

// Updated is what an update did.
type Updated struct {
	Built time.Time `json:"built"`
	// Unchanged says that the newest database was in place.
	Unchanged bool `json:"unchanged"`
	// Loaded are the bytes that came from the source; Kept those that were taken
	// from the database in place, or were left by an update that was cut off.
	Loaded int64 `json:"loaded"`
	Kept   int64 `json:"kept"`
}

// ErrOlder is in the error on a database that is older than the one in place.
var ErrOlder = errors.New("older than the database in place")

// Update puts the database of a source into place: a URL of https, or a file.
// Sections that did not change since the database in place are taken from there.
// What is loaded lies beside it, as path.part, until all is there, is what the
// signed head says, and takes the name. An update that is cut off goes on from
// there. The database in place holds until the new one is complete.
func Update(ctx context.Context, source, path string, o UpdateOptions) (Updated, error) {
	u := &update{source: source, path: path, options: o}
	defer u.close()
	done, err := u.run(ctx)
	if err != nil {
		return done, fmt.Errorf("updating from %s: %w", source, err)
	}
	return done, nil
}

type update struct {
	source, path string
	options      UpdateOptions
	head         *head
	raw          []byte // of the head
	local        *os.File
	known        *head // of the local database; nil if there is none
	body         io.ReadCloser
	at           int64 // the place in the source at which body stands
	done         Updated
}

func (u *update) close() {
	u.hangUp()
	if u.local != nil {
		u.local.Close() //nolint:errcheck // only read
	}
}

func (u *update) hangUp() {
	if u.body != nil {
		u.body.Close() //nolint:errcheck // only read
		u.body = nil
	}
}

func (u *update) run(ctx context.Context) (Updated, error) {
	if len(u.options.Keys) == 0 && !u.options.Unsigned {
		return u.done, fmt.Errorf("%w: no key to verify with is given", ErrSignature)
	}
	if err := u.readHead(ctx); err != nil {
		return u.done, err
	}
	if len(u.options.Keys) > 0 {
		if err := u.head.verify(u.raw, u.options.Keys); err != nil {
			return u.done, err
		}
	}
	u.done.Built = u.head.built
	same, err := u.compare()
	if err != nil || same {
		u.done.Unchanged = same
		return u.done, err
	}
	part, err := u.begin()
	if part != nil {
		defer part.Close() //nolint:errcheck // closed by publish where it matters
	}
	if err != nil {
		return u.done, err
	}
	for i := range u.head.sections {
		if err := u.section(ctx, part, i); err != nil {
			return u.done, fmt.Errorf("%s: %w", &u.head.sections[i], err)
		}
	}
	if err := part.Truncate(u.head.file); err != nil {
		return u.done, err
	}
	return u.done, publishAs(part, u.path)
}

func publishAs(part *os.File, path string) error {
	if err := publish(part, path); err != nil {
		return err
	}
	// The name is on disk when the folder is; not all systems can be told so.
	if folder, err := os.Open(filepath.Dir(path)); err == nil {
		folder.Sync()  //nolint:errcheck // as the comment says
		folder.Close() //nolint:errcheck // only read
	}
	return nil
}

// readHead reads the head of the source's database.
func (u *update) readHead(ctx context.Context) error {
	return u.persist(ctx, func() error {
		if err := u.seek(ctx, 0, maxHead); err != nil {
			return err
		}
		u.raw = make([]byte, headFixed)
		if n, err := u.readFull(u.raw); err != nil && !isEnd(err) {
			return err
		} else if _, malformed := decodeHead(u.raw[:n]); errors.Is(malformed, ErrFormat) {
			return fmt.Errorf("%w: %w", errPermanent, malformed)
		} else if err != nil {
			return corrupt("it ends after %d bytes", n)
		}
		n := binary.LittleEndian.Uint32(u.raw[40:])
		if n > maxSections {
			return corrupt("a head of %d sections", n)
		}
		u.raw = append(u.raw, make([]byte, headLength(int(n))-headFixed)...)
		if _, err := u.readFull(u.raw[headFixed:]); err != nil {
			return err
		}
		h, err := decodeHead(u.raw)
		u.head = h
		return err
	})
}

// compare looks at the database in place.
func (u *update) compare() (same bool, err error) {
	f, err := os.Open(u.path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	u.local = f
	raw := make([]byte, maxHead)
	n, err := f.ReadAt(raw, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	h, err := decodeHead(raw[:n])
	if err != nil {
		return false, nil //nolint:nilerr // what is damaged is replaced
	}
	u.known = h
	if u.head.built.Before(h.built) && !u.options.Older {
		return false, fmt.Errorf("built %s: %w, of %s", u.head.built.Format(time.RFC3339), ErrOlder, h.built.Format(time.RFC3339))
	}
	if !bytes.Equal(raw[:min(int64(n), headLength(len(h.sections)))], u.raw) {
		return false, nil
	}
	for i := range h.sections {
		if !u.localHas(&h.sections[i]) {
			return false, nil
		}
	}
	return true, nil
}

// localHas says whether a section lies whole in the database in place.
func (u *update) localHas(s *section) bool {
	sum := sha256.New()
	n, err := io.Copy(sum, io.NewSectionReader(u.local, s.offset, s.length))
	return err == nil && n == s.length && bytes.Equal(sum.Sum(nil), s.sum[:])
}

// localCopy is where a section of the new database lies in the one in place.
func (u *update) localCopy(s *section) *section {
	if u.known == nil {
		return nil
	}
	i := slices.IndexFunc(u.known.sections, func(k section) bool { return k.sum == s.sum && k.length == s.length })
	if i < 0 || !u.localHas(&u.known.sections[i]) {
		return nil
	}
	return &u.known.sections[i]
}

// begin opens what an earlier update of the same database left, or begins anew.
func (u *update) begin() (*os.File, error) {
	part, err := os.OpenFile(u.path+".part", os.O_RDWR|os.O_CREATE, 0o644) //nolint:gosec // a database is for everybody to read
	if err != nil {
		return nil, err
	}
	if err := lockFile(part); err != nil {
		return part, fmt.Errorf("another update is under way: %w", err)
	}
	raw := make([]byte, len(u.raw))
	if _, err := part.ReadAt(raw, 0); err != nil || !bytes.Equal(raw, u.raw) {
		if err := part.Truncate(0); err != nil {
			return part, err
		}
		if _, err := part.WriteAt(u.raw, 0); err != nil {
			return part, err
		}
	}
	return part, nil
}

// section completes a section of the part.
func (u *update) section(ctx context.Context, part *os.File, i int) error {
	s := &u.head.sections[i]
	info, err := part.Stat()
	if err != nil {
		return err
	}
	sum := sha256.New()
	got, err := io.Copy(sum, io.NewSectionReader(part, s.offset, min(s.length, max(0, info.Size()-s.offset))))
	if err != nil {
		return err
	}
	u.done.Kept += got
	if got == s.length && bytes.Equal(sum.Sum(nil), s.sum[:]) {
		return nil
	}
	if copied := u.localCopy(s); copied != nil {
		_, err := io.Copy(io.NewOffsetWriter(part, s.offset), io.NewSectionReader(u.local, copied.offset, copied.length))
		u.done.Kept += s.length - got
		return err
	}
	for resumed := got > 0; ; resumed = false {
		if got == s.length { // whole and wrong
			got = 0
		}
		if got == 0 {
			sum.Reset()
			if err := part.Truncate(s.offset); err != nil {
				return err
			}
		}
		err := u.persist(ctx, func() error {
			if err := u.seek(ctx, s.offset+got, u.runEnd(i)); err != nil {
				return err
			}
			n, err := io.Copy(io.MultiWriter(io.NewOffsetWriter(part, s.offset+got), sum), io.LimitReader(u.body, s.length-got))
			got, u.at, u.done.Loaded = got+n, u.at+n, u.done.Loaded+n
			if err == nil && got < s.length {
				err = io.ErrUnexpectedEOF
			}
			return err
		})
		switch {
		case err != nil:
			return err
		case bytes.Equal(sum.Sum(nil), s.sum[:]):
			return nil
		case !resumed:
			// Nothing wrong stays to be resumed.
			return errors.Join(corrupt("what the source sends does not have the hash of its head"), part.Truncate(s.offset))
		}
	}
}

// runEnd is the end of the sections from i on that all have to be loaded, to be
// asked for at once.
func (u *update) runEnd(i int) int64 {
	end := u.head.sections[i].offset + u.head.sections[i].length
	for _, s := range u.head.sections[i+1:] {
		if u.known != nil && slices.ContainsFunc(u.known.sections, func(k section) bool { return k.sum == s.sum }) {
			break
		}
		end = s.offset + s.length
	}
	return end
}

// persist tries again what a bad connection may have broken, each time from
// where it got to.
func (u *update) persist(ctx context.Context, step func() error) error {
	for attempt := 0; ; attempt++ {
		before := u.done.Loaded
		err := step()
		if err == nil || errors.Is(err, errPermanent) || errors.Is(err, ErrFormat) || errors.Is(err, ErrCorrupt) || ctx.Err() != nil || isLocal(err) {
			return err
		}
		u.hangUp()
		if u.done.Loaded > before {
			attempt = 0 // it goes on, if slowly
		}
		if attempt+1 >= u.options.attempts() {
			return fmt.Errorf("given up after %d attempts: %w", attempt+1, err)
		}
		if err := u.options.wait(ctx, attempt); err != nil {
			return err
		}
	}
}

// isLocal says that an error is of a file: trying again does not help.
func isLocal(err error) bool {
	var p *os.PathError
	return errors.As(err, &p)
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func (u *update) readFull(b []byte) (int, error) {
	n, err := io.ReadFull(u.body, b)
	u.at += int64(n)
	u.done.Loaded += int64(n)
	return n, err
}

// seek makes body stand at a place of the source, asking for what is before to.
func (u *update) seek(ctx context.Context, from, to int64) error {
	// A little that is not needed costs less than another request; padding
	// between sections is such.
	const little = 16 << 10
	if u.body != nil && u.at <= from && from-u.at <= little {
		n, err := io.CopyN(io.Discard, u.body, from-u.at)
		if u.at += n; err == nil {
			return nil
		}
	}
	u.hangUp()
	if !strings.Contains(u.source, "://") {
		f, err := os.Open(u.source)
		if err != nil {
			return err
		}
		if _, err := f.Seek(from, io.SeekStart); err != nil {
			f.Close() //nolint:errcheck // the first error tells more
			return err
		}
		u.body, u.at = f, from
		return nil
	}
	response, at, err := u.options.get(ctx, u.source, from, to, nil) //nolint:bodyclose // hangUp closes it
	if err != nil {
		return err
	}
	u.body, u.at = response.Body, at
	n, err := io.CopyN(io.Discard, u.body, from-at) // of a server that does not know ranges
	u.at += n
	return err
}
