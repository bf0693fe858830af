package advisory

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	_ "embed" // releases.json
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/version"
	"seawall.io/seawall/internal/vuln/cvss"
)

// Input is one feed that goes into a database.
type Input struct {
	// Path is a file or folder: JSON, JSON lines or CSV, plain or compressed by
	// gzip or zstd; a zip or tar of such files; a folder of any of them.
	Path string
	// Name, URL, Licence and Modified are noted in the database. The name is the
	// file's if it is empty.
	Name, URL, Licence string
	Modified           time.Time
	// Missing is why the feed could not be had; there is no path then, and the
	// database says what it lacks.
	Missing string
}

// Options say how a database is built.
type Options struct {
	// Built is the time that the database is given.
	Built time.Time
	// Key signs the database; without one it is unsigned.
	Key ed25519.PrivateKey
	// NoProse leaves out summaries, details and references, which are most of a
	// file's size and no part of matching.
	NoProse bool
}

// Build reads feeds and writes a database to a path, over one that may be there:
// the file appears as a whole or not at all. What cannot be read of a feed is a
// gap in the database and not an error; an error says that there is no database.
//
// Memory holds what is needed for matching, some three times the size of that
// part of the file, and of the feeds one document at a time.
func Build(ctx context.Context, inputs []Input, path string, o Options) (Status, error) {
	b, err := newBuilder(o)
	if err != nil {
		return Status{}, err
	}
	defer b.close()
	for _, in := range inputs {
		if err := b.input(ctx, in); err != nil {
			return Status{}, err
		}
	}
	if err := b.write(path); err != nil {
		return Status{}, fmt.Errorf("writing %s: %w", path, err)
	}
	db, err := Open(path)
	if err != nil {
		return Status{}, err
	}
	defer db.Close() //nolint:errcheck // only read
	return db.Status(), nil
}

// builder gathers a database.
type builder struct {
	options  Options
	shards   map[string]*shard // by family
	prose    map[string]*proseWriter
	extras   extras
	releases releases
	status   Status
	source   *Source // that is being read
	serial   uint32  // of the last record
}

// lifetimes are dates of support that vendors have published, a start for those
// who have no feed of them; the feeds of a database stand before them. Where a
// vendor names but a month, it is the month's last day. They are facts of
// our own collection and may be copied (CC0-1.0).
//
//go:embed releases.json
var lifetimes []byte

func newBuilder(o Options) (*builder, error) {
	b := &builder{
		options: o, shards: map[string]*shard{}, prose: map[string]*proseWriter{}, extras: extras{}, releases: releases{},
		status: Status{Ecosystems: map[string]int{}}, source: &Source{Name: "releases", Licence: licenceCC0, Formats: []string{formatLifetime.name}},
	}
	left := int64(maxFeed)
	if err := b.lifetimes(&feed{ctx: context.Background(), r: bytes.NewReader(lifetimes), total: &left}); err != nil {
		return nil, err
	}
	b.status.Sources = append(b.status.Sources, *b.source)
	return b, nil
}

func (b *builder) close() {
	for _, w := range b.prose {
		w.close()
	}
}

// fatal is an error that ends building, other than those of feeds.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

func (b *builder) input(ctx context.Context, in Input) error {
	s := Source{Name: in.Name, URL: in.URL, Licence: in.Licence, Modified: in.Modified.UTC()}
	if in.Modified.IsZero() {
		s.Modified = time.Time{}
	}
	if s.Name == "" {
		s.Name = strings.TrimSuffix(filepath.Base(in.Path), filepath.Ext(in.Path))
	}
	if in.Missing != "" {
		b.gap(s.Name, in.Missing)
		return nil
	}
	b.source = &s
	err := b.read(ctx, in.Path)
	if f := (fatal{}); errors.As(err, &f) {
		return f.error
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		b.gap(s.Name, err.Error())
	}
	slices.SortFunc(s.LeftOut, func(a, b LeftOut) int { return strings.Compare(a.Reason, b.Reason) })
	b.status.Sources = append(b.status.Sources, s)
	return nil
}

func (b *builder) gap(source, reason string) {
	b.status.Gaps = append(b.status.Gaps, Gap{Source: source, Reason: reason})
}

// What a database repeats of what was left out: IDs for each reason, and reasons.
const (
	named      = 20
	maxReasons = 100
)

func (b *builder) leaveOut(reason, id string) {
	i := slices.IndexFunc(b.source.LeftOut, func(l LeftOut) bool { return l.Reason == reason })
	if i < 0 && len(b.source.LeftOut) >= maxReasons {
		reason = "for other reasons"
		i = slices.IndexFunc(b.source.LeftOut, func(l LeftOut) bool { return l.Reason == reason })
	}
	if i < 0 {
		i = len(b.source.LeftOut)
		b.source.LeftOut = append(b.source.LeftOut, LeftOut{Reason: reason})
	}
	l := &b.source.LeftOut[i]
	l.Count++
	if id = cut(id, 80); len(l.IDs) < named && id != "" && !slices.Contains(l.IDs, id) {
		l.IDs = append(l.IDs, id)
	}
}

// format notes which formats a source turned out to have.
func (b *builder) format(name string) {
	if !slices.Contains(b.source.Formats, name) {
		b.source.Formats = append(b.source.Formats, name)
	}
}

// The bounds of one record. No feed comes near them.
const (
	maxID     = 256
	maxString = 4096
	maxClaims = 1 << 18
)

// add takes a record in. It is left out where it makes no claim that could be
// matched.
func (b *builder) add(r *record) error {
	switch {
	case r.ID == "" || len(r.ID) > maxID:
		b.leaveOut("no ID, or one that is too long", r.ID)
		return nil
	case len(r.Claims) > maxClaims:
		b.leaveOut("too many packages", r.ID)
		return nil
	}
	b.serial++
	taken := false
	for i := range r.Claims {
		c := &r.Claims[i]
		if why := b.unusable(c); why != "" {
			b.leaveOut(why, r.ID)
			continue
		}
		name := family(c.Ecosystem)
		s := b.shards[name]
		if s == nil {
			s = newShard()
			b.shards[name] = s
		}
		if err := s.add(r, c, b.serial); err != nil {
			return fatal{fmt.Errorf("%s: %w", name, err)}
		}
		if err := b.describe(name, r); err != nil {
			return fatal{err}
		}
		taken = true
	}
	if !taken {
		return nil
	}
	b.source.Records++
	if runsCode(r.CVSS, r.CWEs) {
		b.extras.of(oneFlaw(r)).RCE = true
	}
	return nil
}

// oneFlaw is the name under which what is known of a record's flaw is asked for:
// its CVE if it has one, else its ID.
func oneFlaw(r *record) string {
	for _, names := range [][]string{{r.ID}, r.Aliases, r.Upstream} {
		for _, name := range names {
			if isCVE(name) {
				return name
			}
		}
	}
	return r.ID
}

func (b *builder) unusable(c *claim) string {
	name := family(c.Ecosystem)
	switch _, ok := version.For(c.Ecosystem); {
	case c.Package == "" || len(c.Package) > maxString:
		return "no name of a package"
	case !ok || len(name) > maxName || len(c.Ecosystem) > maxID:
		return "ecosystem is not one whose versions are known: " + cut(name, maxName)
	case len(c.Ranges) == 0 && len(c.Versions) == 0:
		return "no usable ranges or versions"
	}
	if _, ok := b.shards[name]; !ok && len(b.shards) == maxSections/4 {
		return "too many ecosystems"
	}
	return ""
}

// describe keeps the prose of a record with those of its family.
func (b *builder) describe(family string, r *record) error {
	if b.options.NoProse {
		return nil
	}
	w := b.prose[family]
	if w == nil {
		var err error
		if w, err = newProseWriter(); err != nil {
			return err
		}
		b.prose[family] = w
	}
	return w.add(r.ID, &r.Prose)
}

// write writes the file beside its place and renames it.
func (b *builder) write(path string) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tmp.Close()           //nolint:errcheck // the first error tells more
			os.Remove(tmp.Name()) //nolint:errcheck // likewise
		}
	}()
	if err := b.writeTo(tmp); err != nil {
		return err
	}
	return publish(tmp, path)
}

// publish makes a finished file durable and gives it its name.
func publish(f *os.File, path string) error {
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

type content struct {
	kind  kind
	name  string
	parts parts
	raw   []byte // of meta, in place of parts
}

func (b *builder) contents() ([]content, error) {
	var out []content
	for _, name := range slices.Sorted(maps.Keys(b.shards)) {
		out = append(out, content{kind: kindMatch, name: name, parts: b.shards[name].encode(b.status.Ecosystems)})
	}
	x, err := b.extras.encode()
	if err != nil {
		return nil, err
	}
	out = append(out, content{kind: kindExtra, parts: x}, content{kind: kindReleases, parts: b.releases.encode()})
	for _, name := range slices.Sorted(maps.Keys(b.prose)) {
		p, err := b.prose[name].encode()
		if err != nil {
			return nil, err
		}
		out = append(out, content{kind: kindProse, name: name, parts: p})
	}
	meta, err := json.Marshal(struct { // what the head says is not said twice
		Sources    []Source       `json:"sources"`
		Ecosystems map[string]int `json:"ecosystems"`
		Gaps       []Gap          `json:"gaps,omitempty"`
	}{b.status.Sources, b.status.Ecosystems, b.status.Gaps})
	return append([]content{{kind: kindMeta, raw: meta}}, out...), err
}

func (b *builder) writeTo(f *os.File) error {
	contents, err := b.contents()
	if err != nil {
		return err
	}
	h := &head{built: b.options.Built.UTC()}
	at := align(headLength(len(contents)))
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := w.Write(make([]byte, at)); err != nil {
		return err
	}
	for _, c := range contents {
		sum := sha256.New()
		counted := &counter{w: io.MultiWriter(w, sum)}
		if c.kind == kindMeta {
			_, err = counted.Write(c.raw)
		} else {
			err = c.parts.write(counted)
		}
		s := section{kind: c.kind, name: c.name, offset: at, length: counted.n}
		if err != nil {
			return fmt.Errorf("%s: %w", &s, err)
		}
		sum.Sum(s.sum[:0])
		h.sections = append(h.sections, s)
		at = align(at + counted.n)
		if _, err := w.Write(make([]byte, at-s.offset-s.length)); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	h.file = at
	_, err = f.WriteAt(h.encode(b.options.Key), 0)
	return err
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// severity reads the words that feeds have for severity.
func severity(word string) seawall.Severity {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "critical":
		return seawall.Critical
	case "high", "important":
		return seawall.High
	case "medium", "moderate":
		return seawall.Medium
	case "low", "negligible", "minor", "unimportant":
		return seawall.Low
	}
	return seawall.None
}

// vectors keeps those of some CVSS vectors that are well formed, each once.
func vectors(all []string) []string {
	var kept []string
	for _, v := range bounded(all) {
		if _, err := cvss.Score(v); err == nil && !slices.Contains(kept, v) {
			kept = append(kept, v)
		}
	}
	return kept
}
