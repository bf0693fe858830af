package ospkg

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Tags of rpm's headers (rpmtag.h).
const (
	tagName            = 1000
	tagVersion         = 1001
	tagRelease         = 1002
	tagEpoch           = 1003
	tagSize            = 1009
	tagVendor          = 1011
	tagLicense         = 1014
	tagArch            = 1022
	tagOldFileNames    = 1027
	tagFileStates      = 1029
	tagFileModes       = 1030
	tagFileDigests     = 1035
	tagFileFlags       = 1037
	tagSourceRPM       = 1044
	tagFileVerifyFlags = 1045
	tagProvideName     = 1047
	tagRequireName     = 1049
	tagDirIndexes      = 1116
	tagBaseNames       = 1117
	tagDirNames        = 1118
	tagLongSize        = 5009
	tagFileDigestAlgo  = 5011
	tagModularityLabel = 5096
)

// Kinds of values.
const (
	kindChar = iota + 1
	kindInt8
	kindInt16
	kindInt32
	kindInt64
	kindString
	kindBinary
	kindStrings
	kindI18N
)

const indexSize = 16 // bytes of an entry: tag, kind, offset, count

// header is what rpm knows of a package: an index of tags, and a store of values
// that it points into. All numbers are big-endian.
type header struct {
	index []byte
	store []byte
}

// readHeader splits a header as a database holds it: without the magic number
// that begins one in a file.
func readHeader(blob []byte) (header, error) {
	if len(blob) < 8 {
		return header{}, errCut
	}
	entries, size := int64(binary.BigEndian.Uint32(blob)), int64(binary.BigEndian.Uint32(blob[4:]))
	blob = blob[8:]
	if entries*indexSize+size > int64(len(blob)) {
		return header{}, fmt.Errorf("%d tags with %d bytes of values do not fit in %d bytes", entries, size, len(blob))
	}
	index, store := blob[:entries*indexSize], blob[entries*indexSize:]
	return header{index: index, store: store[:size]}, nil
}

// find returns the kind of a tag's value, how many it has, and the store from
// there on; a count of 0 if the header has no such tag.
func (h *header) find(tag uint32) (kind uint32, values []byte, count int) {
	for at := 0; at+indexSize <= len(h.index); at += indexSize {
		e := h.index[at:]
		if binary.BigEndian.Uint32(e) != tag {
			continue
		}
		offset, n := binary.BigEndian.Uint32(e[8:]), binary.BigEndian.Uint32(e[12:])
		if int64(offset) >= int64(len(h.store)) {
			return 0, nil, 0
		}
		values = h.store[offset:]
		return binary.BigEndian.Uint32(e[4:]), values, int(min(int64(n), int64(len(values))))
	}
	return 0, nil, 0
}

// text returns a tag's only or first string.
func (h *header) text(tag uint32) []byte {
	t := h.texts(tag)
	return t.next()
}

// texts returns a tag's strings; none if it has other values.
func (h *header) texts(tag uint32) texts {
	switch kind, values, count := h.find(tag); kind {
	case kindString, kindStrings, kindI18N:
		return texts{rest: values, left: count}
	}
	return texts{}
}

// number returns a tag's only or first number; 0 if it has none, or one that is
// larger than any that is meant.
func (h *header) number(tag uint32) int64 {
	n := h.numbers(tag)
	return max(n.next(0), 0)
}

// numbers returns a tag's numbers; none if it has other values.
func (h *header) numbers(tag uint32) numbers {
	kind, values, count := h.find(tag)
	var width int
	switch kind {
	case kindChar, kindInt8:
		width = 1
	case kindInt16:
		width = 2
	case kindInt32:
		width = 4
	case kindInt64:
		width = 8
	default:
		return numbers{}
	}
	return numbers{rest: values[:min(count*width, len(values))], width: width}
}

// texts walks over strings that each end with a NUL.
type texts struct {
	rest []byte
	left int
}

func (t *texts) more() bool { return t.left > 0 && len(t.rest) > 0 }

// next returns the next string, nil after the last one.
func (t *texts) next() []byte {
	if !t.more() {
		return nil
	}
	t.left--
	var s []byte
	s, t.rest, _ = bytes.Cut(t.rest, []byte{0})
	return s
}

// numbers walks over numbers of one width.
type numbers struct {
	rest  []byte
	width int
}

// next returns the next number, or another one after the last.
func (n *numbers) next(otherwise int64) int64 {
	if n.width == 0 || len(n.rest) < n.width {
		return otherwise
	}
	var v uint64
	for _, b := range n.rest[:n.width] {
		v = v<<8 | uint64(b)
	}
	n.rest = n.rest[n.width:]
	return int64(v) // what does not fit is negative, and no number that is meant
}
