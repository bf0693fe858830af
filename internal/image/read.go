package image

import (
	"archive/tar"
	"bytes"
	"crypto/md5" //nolint:gosec // dpkg's databases hold MD5 sums and no others
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"
	"unsafe"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/secret"
)

// Default limits of a Reader.
const (
	// MaxBody is the largest content that is held in memory, in bytes, whatever a
	// parser would take.
	MaxBody = 96 << 20
	// MaxEntries is how many paths of one layer are kept; at some fifty bytes each
	// they are the memory that a hostile image could ask for.
	MaxEntries = 3_500_000
	// maxProblems is how many problems of a layer are told one by one.
	maxProblems = 1000
)

// head is how much of each file is looked at to tell what it is.
const head = 512

// Reader reads layers. The zero value reads names and sizes only. It may be
// used by one goroutine at a time; its fields may be shared.
type Reader struct {
	// Parsers are given the files that they want.
	Parsers []inventory.Parser
	// ELF reads the facts of an ELF file as it streams by.
	ELF func(r io.Reader, size int64, path string, facts *inventory.Facts) error
	// WantSecrets chooses the files that Secrets searches.
	WantSecrets func(path string, mode fs.FileMode, size int64) bool
	// Secrets says, beside what it found, whether there was more than it tells.
	Secrets func(path string, body []byte) (hits []secret.Hit, more bool)
	// Hash chooses files whose MD5 and SHA-256 sums become facts; those of files with
	// secrets do anyway.
	Hash func(path string, mode fs.FileMode, size int64) bool
	// MaxBody and MaxEntries replace the defaults where they are not 0.
	MaxBody    int64
	MaxEntries int

	layer *Layer
	body  []byte
	first [head]byte
	facts inventory.Facts
	// last is the directory that the last path stood in.
	last    string
	lastDir uint32
	torn    bool // paths were replaced by others of the same layer
	dropped int
}

// Read reads a layer from an uncompressed tar stream. Where the stream breaks
// off the layer as far as it was read is returned beside the error.
func (r *Reader) Read(stream io.Reader) (*Layer, error) {
	r.Begin()
	tr := tar.NewReader(stream)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			// What follows the end of the archive is read too, for the digests.
			_, err = io.Copy(io.Discard, stream)
			return r.End(), err //nolint:wrapcheck // the caller's own stream
		}
		if err != nil {
			err = fmt.Errorf("the layer's tar breaks off after %d paths: %w", r.layer.tree.count-1, err)
			return r.End(), err
		}
		if err := r.Add(h, tr); err != nil {
			return r.End(), err
		}
	}
}

// Begin starts a layer whose entries are given one by one.
func (r *Reader) Begin() {
	r.layer = &Layer{tree: newStore()}
	r.layer.tree.own(owner{})
	r.last, r.lastDir, r.torn, r.dropped = "", 0, false, 0
}

// End returns the layer.
func (r *Reader) End() *Layer {
	if r.dropped > 0 {
		r.layer.Problems = append(r.layer.Problems, problem("", "%d more problems of this layer are not listed", r.dropped))
	}
	l := r.layer
	r.layer = nil
	if r.torn {
		for id := uint32(1); id < l.tree.count; id++ { // children come after their parents
			if n := l.tree.node(id); n.flags&removed != 0 || l.tree.node(n.parent).flags&removed != 0 {
				n.kind, n.extra, n.flags = None, 0, removed
			}
		}
	}
	return l
}

func (r *Reader) complain(path, format string, args ...any) {
	if len(r.layer.Problems) >= maxProblems {
		r.dropped++
		return
	}
	r.layer.Problems = append(r.layer.Problems, problem(path, format, args...))
}

const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
	auxPrefix      = ".wh..wh." // AUFS' own files
)

// Add takes one entry over. content is read as far as it is wanted; a hard link
// may have a size and content too, those of the file. An error means that content
// could not be read, and ends the layer.
func (r *Reader) Add(h *tar.Header, content io.Reader) error {
	path := clean(h.Name)
	if path != strings.Trim(h.Name, "/") && strings.Contains(h.Name, "..") {
		r.complain(h.Name, "the path leads out of the root or through a parent: taken as /%s", path)
	}
	dir, name := split(path)
	kind := kindOf(h.Typeflag)
	switch {
	case kind == None:
		return nil // headers for other entries, which archive/tar has applied
	case len(name) > maxName || strings.IndexByte(path, 0) >= 0:
		r.complain(path[:min(len(path), 200)], "a name of %d bytes, or with a NUL in it, is left out", len(name))
		return nil
	case path == "":
		if kind == Dir {
			root := r.layer.tree.node(0)
			root.mode, root.owner, root.flags = mode(h), r.owner(h), root.flags&^implied
		}
		return nil
	case r.full():
		return nil
	}
	at, ok := r.dir(dir)
	if !ok {
		return nil
	}
	if strings.HasPrefix(name, whiteoutPrefix) {
		r.whiteout(at, name)
		return nil
	}
	n := node{kind: kind, mode: mode(h), owner: r.owner(h)}
	switch kind {
	case Regular:
		n.size = max(h.Size, 0)
		r.layer.Files++
		r.layer.Bytes += n.size
		var err error
		if n.extra, err = r.content(path, n.fileMode(), n.size, content); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	case hardlink:
		return r.link(at, name, n, h, content)
	case Symlink:
		n.extra = r.keepLink(h.Linkname)
	case None, Dir, Device, Pipe:
	}
	r.put(at, name, n)
	return nil
}

// keepLink keeps what a link holds, and returns 1 + its index.
func (r *Reader) keepLink(target string) uint32 {
	r.layer.tree.links = append(r.layer.tree.links, strings.Clone(target))
	return uint32(len(r.layer.tree.links))
}

// link makes a hard link the file that its target is at this moment. One to what
// this layer does not have is left to Merge.
func (r *Reader) link(dir uint32, name string, n node, h *tar.Header, content io.Reader) error {
	if err := r.linked(h, content); err != nil {
		return fmt.Errorf("%s: %w", clean(h.Name), err)
	}
	target, ok := r.find(h.Linkname)
	if at, there := r.layer.tree.child(dir, []byte(name)); ok && there && at == target {
		r.complain(clean(h.Name), "a hard link to itself")
		return nil
	}
	to := r.layer.tree.node(target)
	switch {
	case !ok || to.kind == Dir || to.kind == hardlink || to.kind == None && to.flags&whiteout == 0:
		n.extra = r.keepLink(h.Linkname)
		r.put(dir, name, n)
		return nil
	case to.kind == None: // the device that stands for a whiteout
		n.flags = whiteout
	case to.kind != Symlink: // one file: permissions and owner are those of whoever came last
		to.mode, to.owner = n.mode, n.owner
	}
	n.kind, n.size, n.extra = to.kind, to.size, to.extra
	if n.kind == Regular {
		n.flags = linked
	}
	id := r.put(dir, name, n)
	if n.kind == Regular {
		r.layer.joins = append(r.layer.joins, join{id, target})
	}
	return nil
}

// linked looks after a hard link that has a name which a parser wants, and whose
// target has none. A folder gives the content with the link, and what it tells is
// kept with the target; a tar does not, and that is said.
func (r *Reader) linked(h *tar.Header, content io.Reader) error {
	path, target := clean(h.Name), clean(h.Linkname)
	m := fs.FileMode(mode(h)) & fs.ModePerm
	if !slices.ContainsFunc(r.Parsers, func(p inventory.Parser) bool { return p.Wants(path, m, 1) && !p.Wants(target, m, 1) }) {
		return nil
	}
	id, ok := r.find(target)
	if h.Size == 0 || !ok || r.layer.tree.node(id).kind != Regular {
		r.complain(path, "it is a hard link to %s, under which name it was not read", target)
		return nil
	}
	at, err := r.content(path, m, h.Size, content)
	if at == 0 || err != nil {
		return err
	}
	n := r.layer.tree.node(id)
	if n.extra == 0 {
		n.extra = at
		return nil
	}
	have, more := &r.layer.facts[n.extra-1], &r.layer.facts[at-1]
	have.Packages = append(have.Packages, more.Packages...)
	have.Owned = append(have.Owned, more.Owned...)
	r.layer.facts = r.layer.facts[:at-1]
	return nil
}

// find looks a path up in the layer as it was read so far.
func (r *Reader) find(path string) (uint32, bool) {
	dir, name := split(clean(path))
	at, ok := r.walk(dir, false)
	if !ok || name == "" {
		return 0, false
	}
	return r.layer.tree.child(at, []byte(name))
}

func kindOf(flag byte) Kind {
	switch flag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont, '\x00':
		return Regular
	case tar.TypeDir:
		return Dir
	case tar.TypeSymlink:
		return Symlink
	case tar.TypeLink:
		return hardlink
	case tar.TypeChar, tar.TypeBlock:
		return Device
	case tar.TypeFifo:
		return Pipe
	}
	return None
}

func mode(h *tar.Header) uint16 { return uint16(h.Mode & 0o7777) }

func (r *Reader) owner(h *tar.Header) uint16 {
	number := func(id int) uint32 { return uint32(min(max(id, 0), math.MaxUint32)) }
	return r.layer.tree.own(owner{number(h.Uid), number(h.Gid)})
}

// full says that no more paths are kept, and complains once.
func (r *Reader) full() bool {
	limit := MaxEntries
	if r.MaxEntries > 0 {
		limit = r.MaxEntries
	}
	if int(r.layer.tree.count) < limit {
		return false
	}
	if n := len(r.layer.Problems); n == 0 || !strings.HasPrefix(r.layer.Problems[n-1].Reason, "more than") {
		r.layer.Problems = append(r.layer.Problems, problem("", "more than %d paths in one layer: the rest is not examined", limit))
	}
	return true
}

// dir returns the node of a directory, which it makes where no entry did.
func (r *Reader) dir(path string) (uint32, bool) {
	if path == r.last {
		return r.lastDir, true
	}
	at, ok := r.walk(path, true)
	if ok {
		r.last, r.lastDir = strings.Clone(path), at
	}
	return at, ok
}

// maxLinks is over how many links containerd lets a path of a layer lead.
const maxLinks = 255

// walk follows a directory's path over the links of the layer. Where one leads to
// what is not there, directories are made if they may be.
func (r *Reader) walk(path string, create bool) (uint32, bool) {
	s := r.layer.tree
	var at uint32
	links := 0
	for rest := path; rest != ""; {
		part, below, _ := strings.Cut(rest, "/")
		if len(part) > maxName {
			r.complain(path[:min(len(path), 200)], "a directory's name of %d bytes: what is in it is left out", len(part))
			return 0, false
		}
		name := unsafe.Slice(unsafe.StringData(part), len(part)) // the store copies what it keeps
		id, ok := s.child(at, name)
		if !ok && !create {
			return 0, false
		}
		if !ok {
			id = s.make(at, name, node{kind: Dir, mode: 0o755, flags: implied})
		}
		n := s.node(id)
		if n.kind == Symlink {
			links++
			if to := s.target(id, below); links <= maxLinks && len(to) <= maxName {
				at, rest = 0, to
				continue
			}
		}
		if n.kind != Dir {
			if !create {
				return 0, false
			}
			id = r.makeDir(at, id)
		}
		at, rest = id, below
	}
	return at, true
}

// target tells where a path leads that goes over a link. Dots in the link are
// taken by its text, as containerd does, since what it names need not be there.
func (s *store) target(link uint32, below string) string {
	to := s.links[s.node(link).extra-1]
	if len(to) > maxName {
		return to
	}
	if !strings.HasPrefix(to, "/") {
		to = s.path(s.node(link).parent) + "/" + to
	}
	return clean(to + "/" + below)
}

// makeDir puts a directory in the place of something that a layer puts files
// below. Containerd refuses such a layer.
func (r *Reader) makeDir(parent, id uint32) uint32 {
	s := r.layer.tree
	dir := node{kind: Dir, mode: 0o755, flags: implied}
	switch old := s.node(id); {
	case old.flags&whiteout != 0:
		dir.flags |= opaque // of the lower layers' directory nothing is left
	case old.kind != None:
		r.complain(s.path(id), "a layer puts files below it as if it were a directory")
	}
	return r.put(parent, string(s.name(id)), dir)
}

// whiteout removes what lower layers have. What the layer itself has stays, as
// the specification of images says, though containerd refuses a whiteout that
// comes after it.
func (r *Reader) whiteout(dir uint32, name string) {
	s := r.layer.tree
	switch {
	case name == opaqueName:
		s.node(dir).flags |= opaque
		return
	case strings.HasPrefix(name, auxPrefix):
		return
	}
	gone := name[len(whiteoutPrefix):]
	if gone == "" || gone == "." || gone == ".." {
		return
	}
	switch id, ok := s.child(dir, []byte(gone)); {
	case !ok || s.node(id).kind == None:
		r.put(dir, gone, node{kind: None, flags: whiteout})
	case s.node(id).kind == Dir:
		s.node(id).flags |= opaque
	}
}

// put writes an entry and returns its node; a later one of the same name wins.
func (r *Reader) put(dir uint32, name string, n node) uint32 {
	s := r.layer.tree
	id, ok := s.child(dir, []byte(name))
	if !ok {
		return s.make(dir, []byte(name), n)
	}
	old := s.node(id)
	switch {
	case old.kind == Dir && n.kind == Dir:
		old.mode, old.owner, old.flags = n.mode, n.owner, old.flags&^implied
		return id
	case old.kind == None:
		n.parent, n.name, n.nameLen = old.parent, old.name, old.nameLen
		*old = n
		return id
	}
	// What was there goes, with all that is below it, but for other links to it:
	// it gives its name away, and its node to nobody.
	old.kind, old.extra, old.flags, old.nameLen = None, 0, removed, 0
	r.torn = true
	r.last, r.lastDir = "", 0
	return s.make(dir, []byte(name), n)
}

// content reads what is wanted of a file and returns 1 + the index of its facts.
func (r *Reader) content(path string, m fs.FileMode, size int64, content io.Reader) (uint32, error) {
	r.facts = inventory.Facts{}
	if err := r.look(path, m, size, content); err != nil {
		return 0, err
	}
	for _, reason := range r.facts.Problems {
		r.complain(path, "%s", reason)
	}
	r.facts.Problems = nil
	if r.facts.Zero() {
		return 0, nil
	}
	for i := range r.facts.Packages {
		if p := &r.facts.Packages[i]; p.Path == "" {
			p.Path = strings.Clone(path)
		}
	}
	r.layer.facts = append(r.layer.facts, r.facts)
	return uint32(len(r.layer.facts)), nil
}

func (r *Reader) look(path string, m fs.FileMode, size int64, content io.Reader) error {
	if size == 0 {
		return nil
	}
	var sums []hash.Hash
	if r.Hash != nil && r.Hash(path, m, size) {
		sums = []hash.Hash{md5.New(), sha256.New()} //nolint:gosec // see the import
		content = io.TeeReader(content, io.MultiWriter(sums[0], sums[1]))
	}
	first := r.first[:min(size, head)]
	if _, err := io.ReadFull(content, first); err != nil {
		return fmt.Errorf("its content breaks off: %w", noEOF(err))
	}
	if bytes.HasPrefix(first, []byte("#!")) {
		line, _, _ := bytes.Cut(first[2:min(len(first), 258)], []byte("\n"))
		r.facts.Shebang = strings.TrimSpace(string(line))
	}
	var err error
	switch wanted, secrets := r.wanted(path, m, size), r.WantSecrets != nil && r.WantSecrets(path, m, size); {
	case len(wanted) > 0 || secrets:
		err = r.parse(path, m, size, first, content, wanted, secrets)
	case r.ELF != nil && bytes.HasPrefix(first, []byte("\x7fELF")):
		err = r.elf(path, size, io.MultiReader(bytes.NewReader(first), content))
	}
	if err != nil {
		return err
	}
	if sums != nil {
		if _, err := io.Copy(io.Discard, content); err != nil {
			return fmt.Errorf("its content breaks off: %w", noEOF(err))
		}
		r.facts.MD5, r.facts.SHA256 = hex.EncodeToString(sums[0].Sum(nil)), hex.EncodeToString(sums[1].Sum(nil))
	}
	return nil
}

// wanted returns the parsers that want a file.
func (r *Reader) wanted(path string, m fs.FileMode, size int64) []*inventory.Parser {
	var out []*inventory.Parser
	for i := range r.Parsers {
		if p := &r.Parsers[i]; p.Wants(path, m, size) {
			out = append(out, p)
		}
	}
	return out
}

// parse holds a file's content in memory and gives it to all that want it.
func (r *Reader) parse(path string, m fs.FileMode, size int64, first []byte, content io.Reader, wanted []*inventory.Parser, secrets bool) error {
	limit := int64(MaxBody)
	if r.MaxBody > 0 {
		limit = r.MaxBody
	}
	wanted = slices.DeleteFunc(wanted, func(p *inventory.Parser) bool {
		if size <= min(p.Limit, limit) {
			return false
		}
		r.complain(path, "%d bytes are more than the %d that are read of such a file", size, min(p.Limit, limit))
		return true
	})
	secrets = secrets && size <= limit
	if len(wanted) == 0 && !secrets {
		return nil
	}
	if int64(cap(r.body)) < size {
		r.body = nil // let it go before the larger one comes
		r.body = make([]byte, size+size/8)
	}
	body := r.body[:size]
	copy(body, first)
	if _, err := io.ReadFull(content, body[len(first):]); err != nil {
		return fmt.Errorf("its content breaks off: %w", noEOF(err))
	}
	f := inventory.File{Path: path, Mode: m, Size: size, Body: body}
	for _, p := range wanted {
		if err := p.Parse(f, &r.facts); err != nil {
			r.complain(path, "%s: %v", p.Name, err)
		}
	}
	if r.ELF != nil && bytes.HasPrefix(first, []byte("\x7fELF")) {
		if err := r.elf(path, size, bytes.NewReader(body)); err != nil {
			return err
		}
	}
	if secrets {
		hits, more := r.Secrets(path, body)
		if len(hits) > 0 { // so that a file that its package brought can be told
			sum5, sum256 := md5.Sum(body), sha256.Sum256(body) //nolint:gosec // see the import
			r.facts.MD5, r.facts.SHA256 = hex.EncodeToString(sum5[:]), hex.EncodeToString(sum256[:])
		}
		if r.facts.Secrets = append(r.facts.Secrets, hits...); more {
			r.complain(path, "it holds more that looks like credentials than the %d that are told", len(hits))
		}
	}
	if cap(r.body) > 8<<20 {
		r.body = nil // one large file shall not cost its memory for the whole layer
	}
	return nil
}

// elf reads an ELF file's facts. Only errors of the stream end the layer.
func (r *Reader) elf(path string, size int64, content io.Reader) error {
	watched := &watch{r: content}
	err := r.ELF(watched, size, path, &r.facts)
	if watched.err != nil {
		return fmt.Errorf("its content breaks off: %w", noEOF(watched.err))
	}
	if err != nil {
		r.complain(path, "ELF: %v", err)
	}
	return nil
}

// watch remembers whether a stream broke, so that a malformed file and a broken
// layer are told apart.
type watch struct {
	r   io.Reader
	err error
}

func (w *watch) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err //nolint:wrapcheck // a reader passes errors on as they are
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Empty is a layer that holds nothing, in the place of one that cannot be read.
func Empty() *Layer {
	r := Reader{}
	r.Begin()
	return r.End()
}
