package evidence

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/respond"
)

// Options of a Store. Dir must be set.
type Options struct {
	Dir string
	// Proc is where /proc of the node is, Logs where the kubelet keeps the logs of
	// pods; the usual places by default. Root is put before paths of the node.
	Proc string
	Logs string
	Root string
	// MaxBundle and MaxFile are bytes before compression, 256 MiB and 64 MiB by
	// default; MaxTime is 20 seconds by default.
	MaxBundle int64
	MaxFile   int64
	MaxTime   time.Duration
	// MaxStore is how many bytes of bundles are kept, 2 GiB by default: the oldest go
	// first.
	MaxStore int64
}

// Store keeps bundles in a folder of the node.
type Store struct {
	o   Options
	key ed25519.PrivateKey
	mu  sync.Mutex

	events func(uid string) []*seawall.Event
}

// NewStore opens a store. The node's key is made with the first.
func NewStore(o Options) (*Store, error) {
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	if o.Logs == "" {
		o.Logs = "/var/log/pods"
	}
	if o.MaxBundle == 0 {
		o.MaxBundle = 256 << 20
	}
	if o.MaxFile == 0 {
		o.MaxFile = 64 << 20
	}
	if o.MaxTime == 0 {
		o.MaxTime = 20 * time.Second
	}
	if o.MaxStore == 0 {
		o.MaxStore = 2 << 30
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder for evidence: %w", err)
	}
	key, err := nodeKey(filepath.Join(o.Dir, "node.key"))
	if err != nil {
		return nil, err
	}
	return &Store{o: o, key: key}, nil
}

func nodeKey(file string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		return key, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the node's key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key; move it aside and a new one is made", file)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is no Ed25519 key", file)
	}
	return ed, nil
}

// Events names the source of a pod's last events, before the first bundle.
func (s *Store) Events(of func(uid string) []*seawall.Event) { s.events = of }

// PublicKey is what bundles are verified with.
func (s *Store) PublicKey() ed25519.PublicKey { return s.key.Public().(ed25519.PublicKey) }

// Collect writes a bundle and returns its name.
func (s *Store) Collect(ctx context.Context, t respond.Target, act *seawall.Act) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.MaxTime)
	defer cancel()
	name := fmt.Sprintf("%s_%s_%s_%s.tar.zst", act.Time.UTC().Format("20060102T150405Z"), t.Namespace, t.Name, act.ID)
	file := filepath.Join(s.o.Dir, name)
	f, err := os.OpenFile(file+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	err = s.write(ctx, f, t, act)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file+".part"))
	}
	if err := os.Rename(file+".part", file); err != nil {
		return "", err
	}
	return name, s.shrink(name)
}

// bundle is one that is being written.
type bundle struct {
	*Store
	ctx      context.Context //nolint:containedctx // a bundle is written within one call
	tar      *tar.Writer
	manifest Manifest
	left     int64
}

func (s *Store) write(ctx context.Context, out io.Writer, t respond.Target, act *seawall.Act) error {
	// The freezer holds the pod: speed matters less than a small node's memory.
	z, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return err
	}
	b := &bundle{Store: s, ctx: ctx, tar: tar.NewWriter(z), left: s.o.MaxBundle, manifest: Manifest{Version: 1, Act: *act, Began: time.Now().UTC()}}
	// What vanishes first comes first: the processes are frozen, but a kubelet whose
	// probes fail ends them.
	for _, step := range []func(respond.Target) error{b.processes, b.lastEvents, b.writable, b.logs} {
		if err := step(t); err != nil {
			return err
		}
	}
	b.manifest.Ended = time.Now().UTC()
	text, err := json.MarshalIndent(b.manifest, "", "  ")
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{manifestName, text}, {signatureName, ed25519.Sign(s.key, text)}} {
		if err := b.tar.WriteHeader(&tar.Header{Name: f.name, Mode: 0o600, Size: int64(len(f.text)), ModTime: b.manifest.Ended, Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		if _, err := b.tar.Write(f.text); err != nil {
			return err
		}
	}
	return errors.Join(b.tar.Close(), z.Close())
}

func (b *bundle) omit(what, reason string) {
	if len(b.manifest.Omitted) < 10_000 {
		b.manifest.Omitted = append(b.manifest.Omitted, Omission{what, reason})
	}
}

// add writes a file whose content is at hand.
func (b *bundle) add(name string, text []byte) error {
	return b.stream(name, "", int64(len(text)), bytes.NewReader(text))
}

// addFile writes a file of the node, as far as it fits. Only errors of writing are
// returned.
func (b *bundle) addFile(name, source string) error {
	f, err := os.OpenFile(source, os.O_RDONLY|oNonblock|oNoatime, 0)
	if err != nil {
		b.omit(source, err.Error())
		return nil
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		b.omit(source, "no regular file")
		return nil
	}
	return b.stream(name, source, info.Size(), f)
}

func (b *bundle) stream(name, source string, size int64, r io.Reader) error {
	switch {
	case b.ctx.Err() != nil:
		b.omit(name, "the time was up")
		return nil
	case size > b.o.MaxFile:
		b.omit(name, fmt.Sprintf("%d bytes, a file may have %d", size, b.o.MaxFile))
		return nil
	case size > b.left:
		b.omit(name, fmt.Sprintf("%d bytes, the bundle has room for %d", size, b.left))
		return nil
	}
	b.left -= size
	if err := b.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: b.manifest.Began, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	sum := sha256.New()
	// A file that shrinks while it is read is filled up, one that grows is cut: the
	// header is written.
	n, err := io.Copy(io.MultiWriter(b.tar, sum), io.LimitReader(r, size))
	if err != nil && n == 0 {
		b.omit(name, err.Error())
	}
	if n < size {
		if _, err := io.CopyN(io.MultiWriter(b.tar, sum), zeros{}, size-n); err != nil {
			return err
		}
		b.omit(name, fmt.Sprintf("only %d of %d bytes could be read; zeros follow", n, size))
	}
	b.manifest.Files = append(b.manifest.Files, File{Name: name, Size: size, SHA256: hex.EncodeToString(sum.Sum(nil)), Source: source})
	return nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// lastEvents writes the pod's last events, one a line.
func (b *bundle) lastEvents(t respond.Target) error {
	if b.events == nil {
		return nil
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	for _, ev := range b.events(t.UID) {
		c := *ev
		c.Process = maskProcess(ev.Process, 16)
		if err := enc.Encode(&c); err != nil {
			return err
		}
	}
	return b.add("events.jsonl", out.Bytes())
}

// logs writes what the containers printed.
func (b *bundle) logs(t respond.Target) error {
	dir := filepath.Join(b.o.Root, b.o.Logs, t.Namespace+"_"+t.Name+"_"+t.UID)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			b.omit(path, err.Error())
			return nil
		}
		if d.Type().IsRegular() || d.Type()&fs.ModeSymlink != 0 && strings.HasSuffix(path, ".log") {
			return b.addFile("logs/"+strings.TrimPrefix(path, dir+"/"), path)
		}
		return nil
	})
	return err
}

// List names the bundles of the store, newest first, those of a pod where one is
// given.
func (s *Store) List(namespace, pod string) ([]string, error) {
	entries, err := os.ReadDir(s.o.Dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		parts := strings.SplitN(e.Name(), "_", 4)
		if !strings.HasSuffix(e.Name(), ".tar.zst") || len(parts) != 4 || namespace != "" && (parts[1] != namespace || parts[2] != pod) {
			continue
		}
		out = append(out, e.Name())
	}
	slices.Sort(out)
	slices.Reverse(out)
	return out, nil
}

// Open opens a bundle by its name.
func (s *Store) Open(name string) (*os.File, error) {
	if name != filepath.Base(name) || !strings.HasSuffix(name, ".tar.zst") {
		return nil, fmt.Errorf("%q is the name of no bundle", name)
	}
	return os.Open(filepath.Join(s.o.Dir, name))
}

// shrink removes the oldest bundles until the rest fits; the one just written
// stays.
func (s *Store) shrink(keep string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, err := s.List("", "")
	if err != nil {
		return err
	}
	var total int64
	for _, name := range names { // newest first
		info, err := os.Stat(filepath.Join(s.o.Dir, name))
		if err != nil {
			continue
		}
		if total += info.Size(); total > s.o.MaxStore && name != keep {
			if err := os.Remove(filepath.Join(s.o.Dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}
