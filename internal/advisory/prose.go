package advisory

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Prose is what people read of an advisory.
type Prose struct {
	Summary   string // one line
	Details   string // Markdown mostly
	Published string // day, YYYY-MM-DD
	// References are addresses, the advisory itself first where the feed names it.
	References []string
}

// A prose section holds the prose of one family. Its areas:.
const (
	areaIndex  = iota // hash of the ID (8 bytes), number of the chunk (4), place in it (4); by hash
	areaStarts        // where each chunk begins among chunks, 4 bytes each, and where the last one ends
	areaChunks        // zstd frames; uncompressed: entries, all strings in them behind their length
)

const (
	chunkSize  = 64 << 10
	indexEntry = 16
	// maxEntry bounds the prose of one advisory, in bytes; longer details are cut.
	maxEntry = 256 << 10
	maxChunk = chunkSize + 2*maxEntry
)

// proseWriter gathers the prose of a family. Compressed chunks wait in a file,
// as all of them would take much more memory than the rest of a database.
type proseWriter struct {
	spool   *os.File
	buffer  *bufio.Writer
	encoder *zstd.Encoder
	chunk   []byte
	starts  []uint32
	size    int
	index   []proseEntry
	seen    map[uint64]struct{}
}

type proseEntry struct {
	hash         uint64
	chunk, place uint32
}

func newProseWriter() (*proseWriter, error) {
	spool, err := os.CreateTemp("", "seawall-prose-*")
	if err != nil {
		return nil, err
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithWindowSize(256<<10))
	if err != nil {
		return nil, err
	}
	return &proseWriter{spool: spool, buffer: bufio.NewWriter(spool), encoder: encoder, seen: map[uint64]struct{}{}}, nil
}

func (w *proseWriter) close() {
	w.spool.Close()           //nolint:errcheck // a spool that is thrown away
	os.Remove(w.spool.Name()) //nolint:errcheck // in the folder for what may be left behind
}

// add takes the prose of an ID in, of several the first.
func (w *proseWriter) add(id string, p *Prose) error {
	h := hash("", id)
	if _, ok := w.seen[h]; ok || p.Summary == "" && p.Details == "" && len(p.References) == 0 {
		return nil
	}
	w.seen[h] = struct{}{}
	w.index = append(w.index, proseEntry{h, uint32(len(w.starts)), uint32(len(w.chunk))}) //nolint:gosec // bounded by maxArea and maxChunk
	from := len(w.chunk)
	for _, text := range []string{id, p.Published, p.Summary, p.Details} {
		w.chunk = appendText(w.chunk, cut(text, maxEntry/4))
	}
	for _, address := range p.References {
		if len(w.chunk)-from+len(address) > maxEntry {
			break
		}
		w.chunk = appendText(w.chunk, address)
	}
	w.chunk = appendText(w.chunk, "")
	if len(w.chunk) >= chunkSize {
		return w.flush()
	}
	return nil
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// cut shortens a text to a number of bytes, at the begin of a character.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && text[n]&0xc0 == 0x80 {
		n--
	}
	return text[:n]
}

func (w *proseWriter) flush() error {
	frame := w.encoder.EncodeAll(w.chunk, nil)
	w.chunk = w.chunk[:0]
	w.starts = append(w.starts, uint32(w.size)) //nolint:gosec // checked here
	if w.size += len(frame); w.size > maxArea {
		return errTooBig
	}
	_, err := w.buffer.Write(frame)
	return err
}

func (w *proseWriter) encode() (parts, error) {
	if len(w.chunk) > 0 {
		if err := w.flush(); err != nil {
			return parts{}, err
		}
	}
	if err := w.buffer.Flush(); err != nil {
		return parts{}, err
	}
	slices.SortFunc(w.index, func(a, b proseEntry) int { return cmp.Compare(a.hash, b.hash) })
	var index, starts []byte
	for _, e := range w.index {
		index = binary.LittleEndian.AppendUint64(index, e.hash)
		index = binary.LittleEndian.AppendUint32(index, e.chunk)
		index = binary.LittleEndian.AppendUint32(index, e.place)
	}
	for _, at := range append(w.starts, uint32(w.size)) { //nolint:gosec // checked by flush
		starts = binary.LittleEndian.AppendUint32(starts, at)
	}
	return parts{areaIndex: inMemory(index), areaStarts: inMemory(starts), areaChunks: {w.spool, int64(w.size)}}, nil
}

// unpack makes decoders of chunks; they may be used by several goroutines.
var unpack = sync.OnceValues(func() (*zstd.Decoder, error) { //nolint:gochecknoglobals // holds no state
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxChunk))
})

// prose finds the prose of an ID in a prose section.
func (t *table) prose(id string) (Prose, bool, error) {
	want := hash("", id)
	n := t.areas[areaIndex].size() / indexEntry
	low, high := uint64(0), n
	for low < high {
		middle := (low + high) / 2
		b, err := t.bytes(middle*indexEntry, indexEntry)
		if err != nil {
			return Prose{}, false, err
		}
		if binary.LittleEndian.Uint64(b) < want {
			low = middle + 1
		} else {
			high = middle
		}
	}
	for ; low < n; low++ {
		b, err := t.bytes(low*indexEntry, indexEntry)
		if err != nil || binary.LittleEndian.Uint64(b) != want {
			return Prose{}, false, err
		}
		p, name, err := t.entry(binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:]))
		if err != nil || name == id {
			return p, err == nil, err
		}
	}
	return Prose{}, false, nil
}

// entry reads the entry at a place of a chunk, with its ID.
func (t *table) entry(chunk, place uint32) (p Prose, id string, err error) {
	starts := t.areas[areaStarts]
	if uint64(chunk)*4+8 > starts.size() {
		return p, "", corrupt("there is no chunk %d", chunk)
	}
	b, err := t.bytes(starts.from+uint64(chunk)*4, 8)
	if err != nil {
		return p, "", err
	}
	from, to := uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[4:]))
	if from > to || to > t.areas[areaChunks].size() {
		return p, "", corrupt("chunk %d lies outside", chunk)
	}
	frame, err := t.bytes(t.areas[areaChunks].from+from, to-from)
	if err != nil {
		return p, "", err
	}
	decoder, err := unpack()
	if err != nil {
		return p, "", err
	}
	text, err := decoder.DecodeAll(frame, nil)
	if err != nil {
		return p, "", corrupt("chunk %d: %v", chunk, err)
	}
	if uint64(place) > uint64(len(text)) {
		return p, "", corrupt("there is no entry at %d of chunk %d", place, chunk)
	}
	text = text[place:]
	for _, into := range []*string{&id, &p.Published, &p.Summary, &p.Details} {
		if *into, text, err = nextText(text); err != nil {
			return Prose{}, "", fmt.Errorf("chunk %d: %w", chunk, err)
		}
	}
	for {
		var address string
		if address, text, err = nextText(text); err != nil || address == "" {
			return p, id, err
		}
		p.References = append(p.References, address)
	}
}

func nextText(b []byte) (string, []byte, error) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b[w:])) {
		return "", nil, corrupt("an entry ends early: %w", io.ErrUnexpectedEOF)
	}
	return string(b[w:][:n]), b[uint64(w)+n:], nil
}
