package advisory

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// The bounds of what is read of a feed. Compressed feeds are attackers' work as
// much as others, so that what comes out is counted, not what goes in.
const (
	maxDocument = 128 << 20 // one JSON value; the largest VEX document of Red Hat has some 30 MB
	maxMember   = 256 << 20 // one file of an archive
	maxFeed     = 64 << 30  // all of a feed; that of npm has 2 GB
	nesting     = 3         // a zip in a zip in a gzip
)

// read reads a feed from a file or a folder.
func (b *builder) read(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	left := int64(maxFeed)
	if !info.IsDir() {
		return b.file(ctx, path, &left)
	}
	var problems []error
	failed := 0
	err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.Type().IsRegular() || strings.HasPrefix(entry.Name(), ".") || !isFeed(entry.Name()) {
			return nil
		}
		if err := b.file(ctx, name, &left); errors.As(err, &fatal{}) || ctx.Err() != nil {
			return err
		} else if err != nil {
			if failed++; len(problems) < named {
				problems = append(problems, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return several(problems, failed)
}

func several(problems []error, failed int) error {
	if extra := failed - len(problems); extra > 0 {
		problems = append(problems, fmt.Errorf("%d more files could not be read", extra))
	}
	return errors.Join(problems...)
}

// isFeed tells files that may be feeds by their name, so that a folder may hold
// a README, notes and hashes beside them.
func isFeed(name string) bool {
	for _, compressed := range []string{".gz", ".zst"} {
		name = strings.TrimSuffix(name, compressed)
	}
	switch filepath.Ext(name) {
	case ".json", ".jsonl", ".ndjson", ".csv", ".zip", ".tar", ".tgz":
		return true
	}
	return false
}

func (b *builder) file(ctx context.Context, path string, left *int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := b.stream(ctx, io.NewSectionReader(f, 0, info.Size()), filepath.Base(path), left, 0); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return nil
}

// stream reads a feed that can be read again.
func (b *builder) stream(ctx context.Context, r *io.SectionReader, name string, left *int64, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	start := make([]byte, 262)
	n, err := r.ReadAt(start, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	start = start[:n]
	if depth > nesting {
		return errors.New("archives are nested too deep")
	}
	switch {
	case bytes.HasPrefix(start, []byte("PK\x03\x04")), bytes.HasPrefix(start, []byte("PK\x05\x06")):
		return b.zip(ctx, r, left, depth)
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		return b.unpacked(ctx, left, depth, func() (io.ReadCloser, error) { return gzip.NewReader(rewound(r)) })
	case bytes.HasPrefix(start, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return b.unpacked(ctx, left, depth, func() (io.ReadCloser, error) {
			d, err := zstd.NewReader(rewound(r), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
			if err != nil {
				return nil, err
			}
			return d.IOReadCloser(), nil
		})
	case isTar(start):
		return b.tar(ctx, rewound(r), left, depth)
	}
	return b.text(ctx, func() (io.ReadCloser, error) { return io.NopCloser(rewound(r)), nil }, name, left)
}

func rewound(r *io.SectionReader) io.Reader { return io.NewSectionReader(r, 0, r.Size()) }

func isTar(start []byte) bool { return len(start) >= 262 && string(start[257:262]) == "ustar" }

// unpacked reads what a compressed stream holds: text as it comes, of a tar file
// by file.
func (b *builder) unpacked(ctx context.Context, left *int64, depth int, open func() (io.ReadCloser, error)) error {
	r, err := open()
	if err != nil {
		return err
	}
	start := make([]byte, 262)
	n, err := io.ReadFull(r, start)
	r.Close() //nolint:errcheck // only read
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if !isTar(start[:n]) {
		return b.text(ctx, open, "", left)
	}
	if r, err = open(); err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read
	return b.tar(ctx, r, left, depth)
}

// zip reads the files of a zip, each on its own: one that is damaged does not
// take the others with it.
func (b *builder) zip(ctx context.Context, r *io.SectionReader, left *int64, depth int) error {
	archive, err := zip.NewReader(r, r.Size())
	if err != nil {
		return err
	}
	var problems []error
	failed := 0
	for _, f := range archive.File {
		if !isFeed(f.Name) {
			continue
		}
		err := func() error {
			body, err := f.Open()
			if err != nil {
				return err
			}
			defer body.Close() //nolint:errcheck // only read
			return b.member(ctx, body, f.Name, left, depth)
		}()
		if errors.As(err, &fatal{}) || ctx.Err() != nil {
			return err
		}
		if err != nil {
			if failed++; len(problems) < named {
				problems = append(problems, fmt.Errorf("%s: %w", f.Name, err))
			}
		}
	}
	return several(problems, failed)
}

func (b *builder) tar(ctx context.Context, r io.Reader, left *int64, depth int) error {
	archive := tar.NewReader(r)
	var problems []error
	failed := 0
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return several(problems, failed)
		} else if err != nil {
			return errors.Join(several(problems, failed), err)
		}
		if h.Typeflag != tar.TypeReg || !isFeed(h.Name) {
			continue
		}
		if err := b.member(ctx, archive, h.Name, left, depth); errors.As(err, &fatal{}) || ctx.Err() != nil {
			return err
		} else if err != nil {
			if failed++; len(problems) < named {
				problems = append(problems, fmt.Errorf("%s: %w", h.Name, err))
			}
		}
	}
}

// member reads a file of an archive into memory.
func (b *builder) member(ctx context.Context, r io.Reader, name string, left *int64, depth int) error {
	body, err := io.ReadAll(io.LimitReader(r, min(maxMember, *left)+1))
	if err != nil {
		return err
	}
	if int64(len(body)) > min(maxMember, *left) {
		return fmt.Errorf("has more than %d bytes", min(maxMember, *left))
	}
	*left -= int64(len(body))
	return b.stream(ctx, io.NewSectionReader(bytes.NewReader(body), 0, int64(len(body))), filepath.Base(name), left, depth+1)
}

// text reads JSON or CSV, whose format is told first.
func (b *builder) text(ctx context.Context, open func() (io.ReadCloser, error), name string, left *int64) error {
	r, err := open()
	if err != nil {
		return err
	}
	f, err := tell(r)
	r.Close() //nolint:errcheck // only read
	if err != nil {
		return err
	}
	b.format(f.name)
	if r, err = open(); err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read
	return f.read(b, &feed{ctx: ctx, name: name, r: r, total: left})
}

// feed is a text that is being read. Reading fails when the context ends, when
// one document is too long, and when the whole feed is.
type feed struct {
	ctx   context.Context //nolint:containedctx // reading is what it ends
	name  string          // of the file, where it has one
	r     io.Reader
	total *int64
	left  int64
}

func (f *feed) Read(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	if f.left <= 0 {
		return 0, fmt.Errorf("one document has more than %d bytes", maxDocument)
	}
	if *f.total <= 0 {
		return 0, fmt.Errorf("the feed has more than %d bytes", int64(maxFeed))
	}
	n, err := f.r.Read(p[:min(int64(len(p)), f.left, *f.total)])
	f.left -= int64(n)
	*f.total -= int64(n)
	return n, err
}

// decoder reads JSON off a feed. What was read since the last call of next
// counts as one document.
type decoder struct {
	*json.Decoder

	feed *feed
}

func (f *feed) decoder() *decoder {
	f.left = maxDocument
	return &decoder{json.NewDecoder(f), f}
}

func (d *decoder) next() { d.feed.left = maxDocument }

// each decodes the values of a stream one after the other. Values of another
// shape than expected are passed over with what then says.
func each[T any](d *decoder, use func(*T) error, malformed func(error)) error {
	for {
		d.next()
		v := new(T)
		err := d.Decode(v)
		if kind := (*json.UnmarshalTypeError)(nil); errors.As(err, &kind) {
			malformed(err)
			continue
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("at byte %d: %w", d.InputOffset(), err)
		}
		if err := use(v); err != nil {
			return err
		}
	}
}

// format is a format of feeds.
type format struct {
	name string
	read func(*builder, *feed) error
}

//nolint:gochecknoglobals // constant table
var (
	formatOSV      = format{"OSV", (*builder).osv}
	formatTracker  = format{"Debian security tracker", (*builder).tracker}
	formatSecDB    = format{"secdb", (*builder).secdb}
	formatCSAF     = format{"CSAF", (*builder).csaf}
	formatKEV      = format{"KEV", (*builder).kev}
	formatEPSS     = format{"EPSS", (*builder).epss}
	formatSeverity = format{"CVE severity", (*builder).severities}
	formatLifetime = format{"lifetimes", (*builder).lifetimes}
)

// maxTold is how many bytes are read to tell a format.
const maxTold = 64 << 20

// tell tells the format of a text by its first keys.
func tell(r io.Reader) (format, error) {
	text := bufio.NewReaderSize(io.LimitReader(r, maxTold), 64<<10)
	start, err := text.Peek(1024)
	if len(start) == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			return format{}, errors.New("it is empty")
		}
		return format{}, err
	}
	start = bytes.TrimLeft(start, "\ufeff \t\r\n")
	switch {
	case bytes.HasPrefix(start, []byte("#model_version")), bytes.HasPrefix(start, []byte("cve,epss")):
		return formatEPSS, nil
	case bytes.HasPrefix(start, []byte("<")):
		return format{}, fmt.Errorf("it is a page, not a feed: %.60q", start)
	case !bytes.HasPrefix(start, []byte("{")) && !bytes.HasPrefix(start, []byte("[")):
		return format{}, fmt.Errorf("its format is not known: it begins with %.60q", start)
	}
	d := json.NewDecoder(text)
	opening, err := d.Token()
	if err != nil {
		return format{}, err
	}
	if opening == json.Delim('[') {
		return formatLifetime, nil
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return format{}, err
		}
		switch key {
		case "affected", "modified", "published", "withdrawn", "aliases", "upstream", "related", "details":
			return formatOSV, nil
		case "cvss", "ssvc", "cwe", "score":
			return formatSeverity, nil
		case "document":
			return formatCSAF, nil
		case "catalogVersion", "dateReleased":
			return formatKEV, nil
		case "distroversion", "urlprefix", "apkurl", "reponame":
			return formatSecDB, nil
		case "result":
			return formatLifetime, nil
		}
		if f, ok, err := tellByValue(d); ok || err != nil {
			return f, err
		}
	}
	return format{}, errors.New("its format is not known: no key of its first value tells")
}

// tellByValue reads a value. Two formats have keys that are names of packages
// and products: they are told by what stands under them.
func tellByValue(d *json.Decoder) (format, bool, error) {
	t, err := d.Token()
	if err != nil {
		return format{}, false, err
	}
	opened := 0
	if _, ok := t.(json.Delim); ok {
		opened++
	}
	for first := true; opened > 0; first = false {
		next, err := d.Token()
		if err != nil {
			return format{}, false, err
		}
		if first {
			key, isKey := next.(string)
			if t == json.Delim('{') && isKey && (strings.HasPrefix(key, "CVE-") || strings.HasPrefix(key, "TEMP-")) {
				return formatTracker, true, nil
			}
			if t == json.Delim('[') && next == json.Delim('{') {
				if inner, err := d.Token(); err != nil {
					return format{}, false, err
				} else if inner == "cycle" {
					return formatLifetime, true, nil
				} else if inner == json.Delim('}') {
					continue
				}
			}
		}
		switch next {
		case json.Delim('{'), json.Delim('['):
			opened++
		case json.Delim('}'), json.Delim(']'):
			opened--
		}
	}
	return format{}, false, nil
}
