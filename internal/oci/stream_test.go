package oci

import (
	"bytes"
	stdgzip "compress/gzip"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := stdgzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstded(t testing.TB, data []byte) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return enc.EncodeAll(data, nil)
}

// memoryLayer is a layer of which stored is what a source holds.
func memoryLayer(stored, plain []byte, limits Limits) *Layer {
	return &Layer{
		Digest: string(DigestOf(stored)), DiffID: string(DigestOf(plain)), Size: int64(len(stored)),
		limits: limits.withDefaults(), total: new(atomic.Int64),
		open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(stored)), nil },
	}
}

func readLayer(t testing.TB, l *Layer) (data []byte, warnings []string, err error) {
	t.Helper()
	s, err := l.Open(t.Context())
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	data, err = io.ReadAll(s)
	return data, s.Warnings(), err
}

func TestStreamUnpacks(t *testing.T) {
	plain := tarOf(t, "BZh91", strings.Repeat("seawall ", 100_000), "b", noise(300_000))
	half := len(plain) / 2
	skippable := "\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
	for name, c := range map[string]struct{ stored, warning string }{
		"plain":                      {string(plain), ""},
		"gzip":                       {string(gzipped(t, plain)), ""},
		"zstd":                       {string(zstded(t, plain)), ""},
		"gzip of two members":        {string(gzipped(t, plain[:half])) + string(gzipped(t, plain[half:])), ""},
		"gzip with an empty member":  {string(gzipped(t, nil)) + string(gzipped(t, plain)) + string(gzipped(t, nil)), ""},
		"zstd of two frames":         {string(zstded(t, plain[:half])) + string(zstded(t, plain[half:])), ""},
		"zstd with skippable frames": {skippable + string(zstded(t, plain)) + skippable, ""},
		"gzip with garbage after it": {string(gzipped(t, plain)) + strings.Repeat("garbage", 100_000), "has 700000 bytes after its end that are not gzip"},
		"gzip with zeros after it":   {string(gzipped(t, plain)) + strings.Repeat("\x00", 1000), "has 1000 bytes after its end"},
		"zstd with garbage after it": {string(zstded(t, plain)) + "garbage and more", "that are not zstd"},
	} {
		t.Run(name, func(t *testing.T) {
			data, warnings, err := readLayer(t, memoryLayer([]byte(c.stored), plain, Limits{}))
			if err != nil || !bytes.Equal(data, plain) {
				t.Fatalf("%d bytes, want %d: %v", len(data), len(plain), err)
			}
			if got := strings.Join(warnings, "; "); !strings.Contains(got, c.warning) || c.warning == "" && got != "" {
				t.Errorf("warnings: %q, want %q", got, c.warning)
			}
		})
	}
	if data, _, err := readLayer(t, memoryLayer(nil, nil, Limits{})); err != nil || len(data) != 0 {
		t.Errorf("nothing at all: %d bytes, %v", len(data), err)
	}
}

func TestStreamRefuses(t *testing.T) {
	plain := tarOf(t, "zeros", strings.Repeat("\x00", 4<<20))
	gz, zst := gzipped(t, plain), zstded(t, plain)
	change := func(f func(l *Layer)) *Layer {
		l := memoryLayer(gz, plain, Limits{})
		f(l)
		return l
	}
	other := string(DigestOf([]byte("other")))
	for name, c := range map[string]struct {
		layer *Layer
		want  string
		kind  error
	}{
		"other stored bytes":   {change(func(l *Layer) { l.Digest = other }), "the layer as it is stored has the digest", nil},
		"other content":        {change(func(l *Layer) { l.DiffID = other }), "the uncompressed layer has the digest", nil},
		"fewer bytes stated":   {change(func(l *Layer) { l.Size = 10 }), "more bytes than the manifest says", nil},
		"cut gzip":             {memoryLayer(gz[:len(gz)-9], plain, Limits{}), "unexpected EOF", io.ErrUnexpectedEOF},
		"cut gzip header":      {memoryLayer(gz[:5], plain, Limits{}), "unexpected EOF", io.ErrUnexpectedEOF},
		"cut zstd":             {memoryLayer(zst[:len(zst)-5], plain, Limits{}), "unexpected EOF", io.ErrUnexpectedEOF},
		"cut tar":              {memoryLayer(plain[:1000], plain, Limits{}), "the uncompressed layer has the digest", nil},
		"xz":                   {memoryLayer([]byte("\xfd7zXZ\x00..."), plain, Limits{}), "compressed with xz", ErrUnsupported},
		"large layer":          {memoryLayer(gz, plain, Limits{Layer: 1 << 20}), "more than 1048576 bytes uncompressed", ErrLimit},
		"large image":          {memoryLayer(zst, plain, Limits{Total: 1 << 20}), "the image's layers", ErrLimit},
		"zstd window too wide": {memoryLayer([]byte("\x28\xb5\x2f\xfd\x00\xff\x01\x00\x00"), plain, Limits{}), "window size", nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := readLayer(t, c.layer)
			if err == nil || !strings.Contains(err.Error(), c.want) || c.kind != nil && !errors.Is(err, c.kind) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// endless is a stream of zeros, compressed by about 32,000 to 1.
func TestStreamStopsBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks more than a GiB")
	}
	var stored bytes.Buffer
	enc, err := zstd.NewWriter(&stored, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(enc, zeros{}, firstGiB+64<<20); err != nil {
		t.Fatal(err)
	}
	enc.Close()
	l := memoryLayer(stored.Bytes(), nil, Limits{})
	l.DiffID = "" // hashing a GiB proves nothing here
	s, err := l.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := io.Copy(io.Discard, s); !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "2000 times larger") {
		t.Errorf("%d bytes became more than a GiB: %v", stored.Len(), err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestStreamClosedEarly(t *testing.T) {
	plain := tarOf(t, "noise", noise(4<<20))
	for _, stored := range [][]byte{plain, gzipped(t, plain), zstded(t, plain)} {
		s, err := memoryLayer(stored, plain, Limits{}).Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(s, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadAll(s); err == nil {
			t.Error("a closed stream came to its verified end")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := memoryLayer(plain, plain, Limits{}).Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cancel()
	if _, err := io.ReadAll(s); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// FuzzStream holds unpacking to the standard library, where that can read what
// is stored, and to the digests.
func FuzzStream(f *testing.F) {
	plain := []byte(strings.Repeat("content ", 100))
	gz := gzipped(f, plain)
	for _, seed := range [][]byte{
		plain, gz, zstded(f, plain), gz[:len(gz)-3], append(bytes.Clone(gz), gz...), append(bytes.Clone(gz), "garbage"...),
		[]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"), []byte("\xfd7zXZ\x00"), []byte("BZh9"), []byte("\x1f\x8b"),
		{},
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, stored []byte) {
		l := memoryLayer(stored, nil, Limits{Layer: 1 << 20})
		l.DiffID = ""
		data, _, err := readLayer(t, l)
		if len(data) > 1<<20+aheadSize {
			t.Fatalf("%d bytes came through a limit of 1 MiB", len(data))
		}
		if z, zerr := stdgzip.NewReader(bytes.NewReader(stored)); zerr == nil {
			want, zerr := io.ReadAll(io.LimitReader(z, 1<<20))
			if zerr == nil && len(want) < 1<<20 && (err != nil || !bytes.Equal(data, want)) {
				t.Fatalf("%d bytes and %v, the standard library has %d", len(data), err, len(want))
			}
		}
		if err != nil {
			return
		}
		// With the right diffID it reads again, with another it does not.
		l.DiffID = string(DigestOf(data))
		if _, _, err := readLayer(t, l); err != nil {
			t.Fatalf("with its own diffID: %v", err)
		}
		l.DiffID = string(DigestOf(append(data, 1)))
		if _, _, err := readLayer(t, l); err == nil {
			t.Fatal("another diffID was taken")
		}
	})
}

// BenchmarkStream reads a layer of 100 MiB that compresses as programs do, to
// verified digests; the others are what there is to compare: unpacking alone.
func BenchmarkStream(b *testing.B) {
	plain := benchmarkTar(b)
	for name, stored := range map[string][]byte{"plain": plain, "gzip": gzipped(b, plain), "zstd": zstded(b, plain)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				s, err := memoryLayer(stored, plain, Limits{}).Open(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, s); err != nil {
					b.Fatal(err)
				}
				s.Close()
			}
		})
	}
	stored := gzipped(b, plain)
	b.Run("standard gunzip without digests", func(b *testing.B) {
		b.SetBytes(int64(len(plain)))
		for b.Loop() {
			z, err := stdgzip.NewReader(bytes.NewReader(stored))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, z); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// benchmarkTar has 100 MiB of which two thirds repeat.
func benchmarkTar(b *testing.B) []byte {
	b.Helper()
	words := strings.Fields("the layer of an image is a tar file with programs and texts that repeat themselves now and then")
	var text strings.Builder
	random := noise(4 << 20)
	for i := 0; text.Len() < 100<<20; i++ {
		at := (i * 7919) % (len(random) - 64)
		for _, c := range []byte(random[at : at+12]) {
			text.WriteString(words[int(c)%len(words)])
		}
		text.WriteString(random[at : at+24])
	}
	return tarOf(b, "content", text.String())
}
