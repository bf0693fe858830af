package oci

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"seawall.io/seawall/internal/oci/gunzip"
)

// firstGiB is how much a layer may unpack to before its ratio is looked at.
const firstGiB = 1 << 30

// maxWindow is the most memory that a zstd frame may ask for, in bytes; zstd
// itself wants to be asked before it goes beyond.
const maxWindow = 128 << 20

// Stream is the uncompressed tar of a layer. Read returns io.EOF only after all
// stored bytes and all uncompressed bytes were checked against their digests.
// It takes some 1 MiB of memory, and up to 128 MiB more for zstd layers that ask
// for it.
type Stream struct {
	raw      io.ReadCloser
	stored   *ahead
	plain    *ahead
	unpacked *unpacker
	closed   sync.Once
	err      error // of Close
}

func newStream(ctx context.Context, raw io.ReadCloser, l *Layer) *Stream {
	s := &Stream{raw: raw}
	u := &unpacker{layer: l}
	counted := &counter{r: raw, n: &u.stored}
	var source io.Reader = counted
	if l.Digest != "" {
		source = newVerifier(counted, Descriptor{Digest: Digest(l.Digest), Size: l.Size})
	}
	s.stored = newAhead(ctx, source)
	u.r = bufio.NewReaderSize(s.stored, 64<<10)
	s.unpacked = u
	s.plain = newAhead(ctx, u)
	return s
}

func (s *Stream) Read(p []byte) (int, error) { return s.plain.Read(p) }

// Warnings are oddities that runtimes put up with, complete once Read returned
// io.EOF.
func (s *Stream) Warnings() []string {
	s.unpacked.mu.Lock()
	defer s.unpacked.mu.Unlock()
	return s.unpacked.warnings
}

// Close ends the stream. Before the end was read it verifies nothing.
func (s *Stream) Close() error {
	s.closed.Do(func() {
		s.plain.stop()
		s.stored.stop()
		s.err = s.raw.Close()
		s.stored.wait()
		s.plain.wait()
		s.unpacked.release()
	})
	return s.err
}

// counter counts bytes for who looks on from another goroutine.
type counter struct {
	r io.Reader
	n *atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err //nolint:wrapcheck // a reader passes on what it reads
}

// unpacker uncompresses a layer, whatever its media type says, and verifies what
// comes out. It is read by one goroutine.
type unpacker struct {
	layer  *Layer
	r      *bufio.Reader // the stored bytes
	stored atomic.Int64  // bytes read of them
	from   io.Reader     // the uncompressed bytes, set by the first Read
	zstd   *zstd.Decoder
	hash   hash.Hash // nil where the stored bytes' digest says all
	size   int64
	err    error

	mu       sync.Mutex
	warnings []string
}

func (u *unpacker) warn(format string, args ...any) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.warnings = append(u.warnings, fmt.Sprintf(format, args...))
}

func (u *unpacker) release() {
	if u.zstd != nil {
		u.zstd.Close()
	}
}

func (u *unpacker) Read(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	if u.from == nil {
		if u.err = u.begin(); u.err != nil {
			return 0, u.err
		}
	}
	n, err := u.from.Read(p)
	if u.hash != nil {
		u.hash.Write(p[:n])
	}
	u.size += int64(n)
	u.err = u.bound(int64(n))
	if u.err == nil && err != nil {
		u.err = u.end(err)
	}
	return n, u.err
}

// begin tells the compression by the first bytes.
func (u *unpacker) begin() error {
	compression, err := u.detect()
	if err != nil {
		return err
	}
	if id := Digest(u.layer.DiffID); id != "" && (compression != "" || u.layer.DiffID != u.layer.Digest) {
		u.hash = id.hash()
	}
	switch compression {
	case "":
		u.from = u.r
	case "gzip":
		z, err := gunzip.NewReader(u.r)
		if err != nil {
			return u.broken(err)
		}
		u.from = &members{u: u, z: z}
	case "zstd":
		u.zstd, err = zstd.NewReader(u.r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return u.broken(err)
		}
		u.from = u.zstd
	default:
		return fmt.Errorf("layer %s is compressed with %s: %w", u.layer.name(), compression, ErrUnsupported)
	}
	return nil
}

// ustar is where a tar says that it is one; a tar's first file may have any name,
// also one that looks like compressed data.
const ustar = 257

func (u *unpacker) detect() (string, error) {
	head, err := u.r.Peek(ustar + 5)
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("layer %s: %w", u.layer.name(), err)
	}
	return compression(head), nil
}

// compression names the format that data begins in, nothing if it is a tar or
// not known.
func compression(head []byte) string {
	if len(head) >= ustar+5 && string(head[ustar:ustar+5]) == "ustar" {
		return ""
	}
	for _, m := range []struct{ magic, name string }{
		{"\x1f\x8b", "gzip"},
		{"\x28\xb5\x2f\xfd", "zstd"},
		{"\xfd7zXZ\x00", "xz"},
		{"BZh", "bzip2"},
		{"\x04\x22\x4d\x18", "lz4"},
	} {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.name
		}
	}
	if len(head) >= 4 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18" {
		return "zstd" // a skippable frame in front
	}
	return ""
}

// bound enforces the limits on uncompressed bytes.
func (u *unpacker) bound(n int64) error {
	l, limits := u.layer, u.layer.limits
	switch total := l.total.Add(n); {
	case u.size > limits.Layer:
		return fmt.Errorf("layer %s has more than %d bytes uncompressed: %w", l.name(), limits.Layer, ErrLimit)
	case total > limits.Total:
		return fmt.Errorf("layer %s: the image's layers have more than %d bytes uncompressed: %w", l.name(), limits.Total, ErrLimit)
	case u.size > firstGiB && u.size/limits.Ratio > u.stored.Load():
		return fmt.Errorf("layer %s becomes more than %d times larger: %w", l.name(), limits.Ratio, ErrLimit)
	}
	return nil
}

// end verifies, once the uncompressed bytes came to their end.
func (u *unpacker) end(err error) error {
	if err != io.EOF { //nolint:errorlint // decompressors return it unwrapped
		if u.zstd == nil || u.size == 0 || !errors.Is(err, zstd.ErrMagicMismatch) {
			return u.broken(err)
		}
		u.warn("layer %s has bytes after its end that are not zstd", u.layer.name())
	}
	// Read to the end of the stored bytes, where their digest is checked.
	if _, err := io.Copy(io.Discard, u.r); err != nil {
		return u.named(err, "the layer as it is stored")
	}
	if u.hash != nil {
		if err := Digest(u.layer.DiffID).matches(u.hash); err != nil {
			return u.named(err, "the uncompressed layer")
		}
	}
	return io.EOF
}

// broken is an error of decompression. What is stored may be at fault, which its
// digest tells.
func (u *unpacker) broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	var wrong *DigestError
	if _, rest := io.Copy(io.Discard, u.r); errors.As(rest, &wrong) && !errors.As(err, new(*DigestError)) {
		wrong.What = "the layer as it is stored"
		err = fmt.Errorf("%w; %w", err, rest)
	}
	return u.named(err, "the layer as it is stored")
}

func (u *unpacker) named(err error, what string) error {
	var wrong *DigestError
	if errors.As(err, &wrong) && wrong.What == "" {
		wrong.What = what
	}
	return fmt.Errorf("layer %s: %w", u.layer.name(), err)
}

// members reads gzip members one after the other and puts up with what follows
// the last, as runtimes do.
type members struct {
	u *unpacker
	z *gunzip.Reader
}

func (m *members) Read(p []byte) (int, error) {
	for {
		n, err := m.z.Read(p)
		if err != io.EOF || n > 0 { //nolint:errorlint // gzip returns it unwrapped
			if err == io.EOF { //nolint:errorlint // likewise; the next Read goes on
				err = nil
			}
			return n, err //nolint:wrapcheck // unpacker wraps
		}
		head, err := m.u.r.Peek(2)
		if len(head) == 2 && head[0] == 0x1f && head[1] == 0x8b {
			if err = m.z.Reset(m.u.r); err == nil {
				continue
			}
			return 0, err //nolint:wrapcheck // unpacker wraps
		}
		if len(head) == 0 {
			return 0, err //nolint:wrapcheck // unpacker wraps
		}
		skipped, err := io.Copy(io.Discard, m.u.r)
		if err != nil {
			return 0, err //nolint:wrapcheck // unpacker wraps
		}
		m.u.warn("layer %s has %d bytes after its end that are not gzip", m.u.layer.name(), skipped)
		return 0, io.EOF
	}
}
