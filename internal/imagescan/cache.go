package imagescan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"seawall.io/seawall/internal/image"
)

// cacheBytes is how much the cache may hold; the layers that were not used for
// the longest time go first.
const cacheBytes = 1 << 30

// cache keeps what was read of layers, by diffID and by what was looked for. A
// layer that cannot be kept or read again is read from the image: the cache
// never fails a scan. Any number of processes may use a folder.
type cache struct{ dir, key string }

func newCache(o *Options) *cache {
	if o.Cache == "" {
		return nil
	}
	var about strings.Builder
	fmt.Fprintf(&about, "%d %t %t %t\n", image.Format, o.NoSecrets, o.VerifyFiles, len(o.Malware.SHA256) > 0)
	for _, p := range slices.Concat(parsers(), pastParsers(o), o.Parsers) {
		about.WriteString(p.Name + "\n")
	}
	sum := sha256.Sum256([]byte(about.String()))
	return &cache{dir: o.Cache, key: hex.EncodeToString(sum[:8])}
}

func (c *cache) file(diffID string) string {
	name := strings.NewReplacer(":", "-", "/", "-", "..", "-").Replace(diffID)
	return filepath.Join(c.dir, name+"-"+c.key+".zst")
}

func (c *cache) get(diffID string) *image.Layer {
	if c == nil || diffID == "" {
		return nil
	}
	name := c.file(diffID)
	packed, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	// What was written here is at most a few hundred MB; more is damage.
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
	if err != nil {
		return nil
	}
	defer d.Close()
	data, err := d.DecodeAll(packed, nil)
	if err != nil {
		return nil
	}
	l, err := image.Decode(data)
	if err != nil {
		return nil
	}
	l.DiffID = diffID
	now := time.Now()
	_ = os.Chtimes(name, now, now) // it only decides what goes first
	return l
}

func (c *cache) put(diffID string, l *image.Layer) {
	if c == nil || diffID == "" {
		return
	}
	data, err := l.Encode()
	if err != nil || os.MkdirAll(c.dir, 0o700) != nil {
		return
	}
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return
	}
	packed := e.EncodeAll(data, nil)
	_ = e.Close()
	f, err := os.CreateTemp(c.dir, ".new-*")
	if err != nil {
		return
	}
	_, err = f.Write(packed)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), c.file(diffID))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return
	}
	c.prune()
}

// prune removes the layers that were not used for the longest time.
func (c *cache) prune() {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	type kept struct {
		name string
		used time.Time
		size int64
	}
	var all []kept
	var total int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			all = append(all, kept{filepath.Join(c.dir, e.Name()), info.ModTime(), info.Size()})
			total += info.Size()
		}
	}
	slices.SortFunc(all, func(a, b kept) int { return a.used.Compare(b.used) })
	for _, k := range all {
		if total <= cacheBytes {
			return
		}
		if os.Remove(k.name) == nil {
			total -= k.size
		}
	}
}
