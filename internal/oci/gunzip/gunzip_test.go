package gunzip

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"testing/iotest"

	klauspost "github.com/klauspost/compress/gzip"
)

// members unpacks all members of a file.
func members(r *bufio.Reader) ([]byte, error) {
	z, err := NewReader(r)
	if err != nil {
		return nil, err
	}
	var out []byte
	for {
		more, err := io.ReadAll(z)
		if out = append(out, more...); err != nil {
			return out, err
		}
		if _, err := r.Peek(1); err != nil {
			return out, nil //nolint:nilerr // the end
		}
		if err := z.Reset(r); err != nil {
			return out, err
		}
	}
}

func standard(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// compare unpacks with the standard library and in several ways with this
// package.
func compare(t *testing.T, packed []byte) {
	t.Helper()
	want, wantErr := standard(packed)
	for name, r := range map[string]*bufio.Reader{
		"whole": bufio.NewReaderSize(bytes.NewReader(packed), 64<<10),
		"small": bufio.NewReaderSize(bytes.NewReader(packed), 16),
		"bytes": bufio.NewReaderSize(iotest.OneByteReader(bytes.NewReader(packed)), 300),
		"odd":   bufio.NewReaderSize(iotest.HalfReader(bytes.NewReader(packed)), 37),
	} {
		got, err := members(r)
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("%s: got error %v, want %v", name, err, wantErr)
		}
		// What comes before an error is told as far as both can.
		n := min(len(got), len(want))
		if !bytes.Equal(got[:n], want[:n]) || err == nil && len(got) != len(want) {
			t.Fatalf("%s: got %d bytes that differ from %d", name, len(got), len(want))
		}
	}
}

func pack(t testing.TB, level int, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	if level > 9 { // another packer's choices
		w, err = klauspost.NewWriterLevel(&b, level-10)
	} else {
		w, err = gzip.NewWriterLevel(&b, level)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// levels are those of both packers.
var levels = []int{gzip.HuffmanOnly, gzip.NoCompression, 1, 2, 6, 9, 10, 11, 13, 19, 10 + klauspost.HuffmanOnly}

// samples are texts, programs, noise and repetitions of many periods.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300<<10)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	out := map[string][]byte{"empty": nil, "one": {7}, "noise": noise, "zeros": make([]byte, 1<<20)}
	var periods []byte
	for p := 1; p < 70; p++ {
		for range 40 {
			periods = append(periods, noise[:p]...)
		}
	}
	out["periods"] = periods
	far := append(bytes.Clone(noise[:window]), noise[:window]...) // matches that reach back as far as can be
	out["far"] = append(far, noise[:window+1]...)
	skewed := make([]byte, 200<<10) // codes of 15 bits
	for i := range skewed {
		skewed[i] = byte(bitsOf(rnd.Uint64()))
	}
	out["skewed"] = skewed
	source, err := os.ReadFile("gunzip.go")
	if err != nil {
		t.Fatal(err)
	}
	out["source"] = bytes.Repeat(source, 9)
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	out["program"] = program[:min(len(program), 3<<20)]
	return out
}

// bitsOf is small with a probability that doubles with each step.
func bitsOf(v uint64) int {
	n := 0
	for ; v&1 == 1 && n < 40; v >>= 1 {
		n++
	}
	return n * 5
}

func TestSamples(t *testing.T) {
	for name, data := range samples(t) {
		for _, level := range levels {
			packed := pack(t, level, data)
			got, err := members(bufio.NewReader(bytes.NewReader(packed)))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s at level %d: got %d bytes, %v, want %d", name, level, len(got), err, len(data))
			}
		}
		if len(data) < 400<<10 {
			compare(t, append(pack(t, 6, data), pack(t, 1, data)...))
		}
	}
}

// TestBroken cuts files off at every byte, and changes every bit.
func TestBroken(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	data := make([]byte, 300)
	for i := range data {
		data[i] = "abcdefgh"[bitsOf(rnd.Uint64())/5%8]
	}
	for _, level := range []int{gzip.HuffmanOnly, 0, 1, 9} {
		packed := pack(t, level, data)
		for i := range packed {
			compare(t, packed[:i])
			for bit := range 8 {
				changed := bytes.Clone(packed)
				changed[i] ^= 1 << bit
				if i == 3 && bit >= 5 {
					continue // reserved flags, which the standard library ignores as well
				}
				compare(t, changed)
			}
		}
	}
}

// TestStopsAtTheEnd wants what follows a member to be left in the reader.
func TestStopsAtTheEnd(t *testing.T) {
	for _, level := range levels {
		packed := pack(t, level, []byte("some text, some text"))
		r := bufio.NewReader(bytes.NewReader(append(packed, "and the rest"...)))
		z, err := NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(z); err != nil || string(got) != "some text, some text" {
			t.Fatalf("got %q, %v", got, err)
		}
		if rest, err := io.ReadAll(r); err != nil || string(rest) != "and the rest" {
			t.Errorf("level %d: got %q, %v", level, rest, err)
		}
	}
}

func TestErrors(t *testing.T) {
	packed := pack(t, 6, []byte("text"))
	wrong := bytes.Clone(packed)
	wrong[len(wrong)-8]++
	broken := errors.New("the disk is gone")
	for _, c := range []struct {
		name string
		r    io.Reader
		want error
	}{
		{"nothing", bytes.NewReader(nil), io.EOF},
		{"no gzip", bytes.NewReader(make([]byte, 20)), ErrHeader},
		{"cut", bytes.NewReader(packed[:14]), io.ErrUnexpectedEOF},
		{"cut header", bytes.NewReader(packed[:5]), io.ErrUnexpectedEOF},
		{"cut trailer", bytes.NewReader(packed[:len(packed)-1]), io.ErrUnexpectedEOF},
		{"checksum", bytes.NewReader(wrong), ErrChecksum},
		{"reader", io.MultiReader(bytes.NewReader(packed[:14]), iotest.ErrReader(broken)), broken},
	} {
		if _, err := members(bufio.NewReader(c.r)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// TestHeader reads all that a header can hold.
func TestHeader(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Name, w.Comment, w.Extra = "name", "comment", []byte("extra")
	if _, err := w.Write([]byte("text")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range b.Len() {
		compare(t, b.Bytes()[:i])
	}
	compare(t, b.Bytes())
}

// FuzzAgreesWithTheStandardLibrary unpacks what comes, and what comes packed.
func FuzzAgreesWithTheStandardLibrary(f *testing.F) {
	for _, level := range []int{0, 1, 6, gzip.HuffmanOnly} {
		packed := pack(f, level, []byte("abcabcabcabc, some text, some text and what comes after it"))
		f.Add(packed[10 : len(packed)-8])
	}
	f.Add([]byte{5, 0xc0, 0x81, 0, 0, 0, 0, 0, 0x90, 0xff, 0x6b, 4, 0x20, 4}) // a dynamic block
	f.Fuzz(func(t *testing.T, deflated []byte) {
		head := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}
		packed := append(append(head, deflated...), 0, 0, 0, 0, 0, 0, 0, 0)
		want, wantErr := standard(packed)
		r := bufio.NewReaderSize(bytes.NewReader(packed), 64)
		got, err := members(r)
		if (err != nil) != (wantErr != nil) || errors.Is(err, ErrChecksum) != errors.Is(wantErr, gzip.ErrChecksum) {
			t.Fatalf("got error %v, want %v", err, wantErr)
		}
		if n := min(len(got), len(want)); !bytes.Equal(got[:n], want[:n]) || errors.Is(err, ErrChecksum) && len(got) != len(want) {
			t.Fatalf("got %d bytes that differ from %d", len(got), len(want))
		}
		for _, level := range []int{1, 6, 11} {
			if got, err := members(bufio.NewReader(bytes.NewReader(pack(t, level, deflated)))); err != nil || !bytes.Equal(got, deflated) {
				t.Fatalf("level %d: got %d bytes, %v, want %d", level, len(got), err, len(deflated))
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	data := samples(b)["program"]
	packed := pack(b, 6, data)
	for name, unpack := range map[string]func(r *bufio.Reader) (io.Reader, error){
		"seawall":   func(r *bufio.Reader) (io.Reader, error) { return NewReader(r) },
		"klauspost": func(r *bufio.Reader) (io.Reader, error) { return klauspost.NewReader(r) },
		"standard":  func(r *bufio.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			buf := make([]byte, 256<<10)
			for b.Loop() {
				z, err := unpack(bufio.NewReaderSize(bytes.NewReader(packed), 64<<10))
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = z.Read(buf)
				}
				if err != io.EOF { //nolint:errorlint // readers return it unwrapped
					b.Fatal(err)
				}
			}
		})
	}
}
