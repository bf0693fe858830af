package binary

import (
	"bytes"
	"compress/zlib"
	"io"
	"math"
	"slices"
)

// How many bytes before and after its first byte a mark is judged by. A stream is
// searched in windows that overlap by both, so that it makes no difference where
// it is cut.
const (
	before = 256
	after  = 512
)

const (
	maxLibraries = 256     // names of libraries that are kept
	maxLibrary   = 128     // bytes of each
	maxSnippets  = 1 << 12 // strings kept for the dynamic section, if it comes later
)

// buildInfoMagic starts the build information of Go binaries; it stands at an
// address that 16 divides.
const buildInfoMagic = "\xff Go buildinf:"

// marks is what the strings and tables of a file give away wherever they stand.
type marks struct {
	dlopen      map[string]bool
	rust        bool
	stackCheck  bool // imports the function that broken stack canaries call
	zlib        inflater
	goNote      bool   // has the note with Go's build ID
	auditableAt uint64 // offset of cargo-auditable's data, or nowhere
	buildInfoAt uint64 // offset of Go's build information, or nowhere
}

const nowhere = math.MaxUint64

func newMarks() *marks { return &marks{auditableAt: nowhere, buildInfoAt: nowhere} }

func (m *marks) isGo() bool { return m.goNote || m.buildInfoAt != nowhere }

// libraries returns the names of libraries that were found, sorted.
func (m *marks) libraries() []string {
	names := make([]string, 0, len(m.dlopen))
	for n := range m.dlopen {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// scanBody searches a file that is in memory.
func scanBody(h *header, body []byte) *marks {
	m := newMarks()
	for _, e := range h.readOnly {
		b := body[e.off:e.end]
		m.strings(window{b, e.off, 0, len(b)}, nil)
	}
	for _, e := range h.writable {
		b := body[e.off:e.end]
		m.buildInfo(window{b, e.off, 0, len(b)})
	}
	return m
}

// window is a part of a file in which marks are searched: those whose first byte
// is data[from:to].
type window struct {
	data     []byte
	base     uint64 // of data[0] in the file
	from, to int
}

// offset tells where in the file data[at] is.
func (w window) offset(at int) uint64 { return w.base + uint64(len(w.data[:at])) }

// each calls yield with the place in data of each mark, until it returns false.
func (w window) each(mark string, yield func(at int) bool) {
	pattern := []byte(mark)
	limit := min(w.to+len(pattern)-1, len(w.data))
	for at := w.from; at < limit; {
		i := bytes.Index(w.data[at:limit], pattern)
		if i < 0 || !yield(at+i) {
			return
		}
		at += i + 1
	}
}

// strings searches what is neither written nor, as a rule, executed. keep, if it
// is not nil, is given strings that the dynamic section may speak of.
func (m *marks) strings(w window, keep func(off uint64, s []byte)) {
	w.each(".so", func(at int) bool {
		if name, ok := library(w.data, at); ok && len(m.dlopen) < maxLibraries {
			if m.dlopen == nil {
				m.dlopen = map[string]bool{}
			}
			if !m.dlopen[string(name)] {
				m.dlopen[string(name)] = true
			}
		}
		snippet(w, at, keep)
		return true
	})
	if keep != nil {
		for _, mark := range []string{"$ORIGIN", "/lib"} {
			w.each(mark, func(at int) bool { snippet(w, at, keep); return true })
		}
	}
	if !m.rust {
		w.each("/rustc/", func(at int) bool { m.rust = isHex(w.data[at+7:], 40); return !m.rust })
	}
	if !m.stackCheck {
		w.each("\x00__stack_chk_fail\x00", func(int) bool { m.stackCheck = true; return false })
	}
	// The four ways in which zlib's header is written at its window of 32 KB.
	for _, mark := range []string{"\x78\x01", "\x78\x5e", "\x78\x9c", "\x78\xda"} {
		if m.auditableAt != nowhere {
			return
		}
		w.each(mark, func(at int) bool {
			if m.zlib.auditable(w.data[at:min(at+after, len(w.data))]) {
				m.auditableAt = w.offset(at)
			}
			return m.auditableAt == nowhere
		})
	}
}

// buildInfo searches written data for Go's build information.
func (m *marks) buildInfo(w window) {
	if m.buildInfoAt != nowhere {
		return
	}
	w.each(buildInfoMagic, func(at int) bool {
		if off := w.offset(at); off%16 == 0 {
			m.buildInfoAt = off
		}
		return m.buildInfoAt == nowhere
	})
}

// library returns the name lib*.so* whose .so is at a place.
func library(b []byte, at int) ([]byte, bool) {
	start := at
	for start > 0 && at-start < maxLibrary && nameByte(b[start-1]) {
		start--
	}
	end := at + len(".so")
	for end+1 < len(b) && b[end] == '.' && digit(b[end+1]) && end-at < maxLibrary {
		for end++; end < len(b) && digit(b[end]) && end-at < maxLibrary; end++ {
		}
	}
	name := b[start:end]
	if end < len(b) && nameByte(b[end]) || len(name) >= maxLibrary {
		return nil, false
	}
	return name, bytes.HasPrefix(name, []byte("lib")) && len(name) > len("lib.so")
}

// snippet gives keep the string, from NUL to NUL, that holds a mark.
func snippet(w window, at int, keep func(off uint64, s []byte)) {
	if keep == nil {
		return
	}
	low, high := max(at-before, 0), min(at+after, len(w.data))
	start := low + bytes.LastIndexByte(w.data[low:at], 0) + 1
	if end := bytes.IndexByte(w.data[at:high], 0); end >= 0 {
		keep(w.offset(start), w.data[start:at+end+1])
	}
}

// inflater is a zlib reader that is used again: it takes 40 KB, and chance hits
// are many.
type inflater struct{ z io.ReadCloser }

// auditable says whether zlib data begin like cargo-auditable's.
func (f *inflater) auditable(b []byte) bool {
	// What no deflate block starts with is told cheaply.
	if len(b) < 16 || b[2]&6 == 6 || b[2]&6 == 0 && b[3]^b[5] != 0xff {
		return false
	}
	var err error
	if r, ok := f.z.(zlib.Resetter); ok {
		err = r.Reset(bytes.NewReader(b), nil)
	} else {
		f.z, err = zlib.NewReader(bytes.NewReader(b))
	}
	if err != nil {
		return false
	}
	const start = `{"packages":[`
	var got [len(start)]byte
	n, _ := io.ReadFull(f.z, got[:])
	return n == len(start) && string(got[:]) == start
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || digit(c) || c == '_' || c == '-' || c == '.' || c == '+'
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func isHex(b []byte, n int) bool {
	if len(b) < n {
		return false
	}
	for _, c := range b[:n] {
		if !digit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
