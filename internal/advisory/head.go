package advisory

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"time"
)

// The head's layout, in bytes:
//
//	0   8  magic
//	8   4  version of the format
//	12  4  length of the head, signature included
//	16  8  length of the file
//	24  8  time of building, seconds since 1970
//	32  8  key id, zeros if unsigned
//	40  4  number of sections
//	44  4  CRC-32C of the head but for this field and the signature
//	48     table of sections, tableEntry bytes each
//	       signature, 64 bytes
const (
	formatVersion = 1
	headFixed     = 48
	tableEntry    = 96
	maxSections   = 512
	maxHead       = headFixed + maxSections*tableEntry + ed25519.SignatureSize
	maxFile       = 1 << 36
	alignment     = 8

	// signedPrefix keeps a signature on a database from being taken for one on
	// anything else.
	signedPrefix = "seawall vulnerability database\n"
)

//nolint:gochecknoglobals // constant tables
var (
	magic      = []byte("SEAWALL\x1a")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// kind says what a section holds.
type kind uint8

const (
	kindMeta kind = iota + 1
	kindMatch
	kindExtra
	kindReleases
	kindProse
)

var kindNames = [...]string{kindMeta: "meta", kindMatch: "match", kindExtra: "extra", kindReleases: "releases", kindProse: "prose"} //nolint:gochecknoglobals // constant table

func (k kind) String() string {
	if k >= kindMeta && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// section is an entry of the table: kind (1 byte), length of the name (1), name
// (46), offset (8), length (8), SHA-256 (32).
type section struct {
	kind           kind
	name           string // the family for match and prose, else empty
	offset, length int64
	sum            [sha256.Size]byte
}

const maxName = 46

func (s *section) String() string {
	if s.name == "" {
		return "section " + s.kind.String()
	}
	return "section " + s.kind.String() + " of " + s.name
}

// head is the begin of a file.
type head struct {
	file      int64
	built     time.Time
	keyID     [8]byte
	sections  []section
	signature [ed25519.SignatureSize]byte
}

func headLength(sections int) int64 {
	return headFixed + int64(sections)*tableEntry + ed25519.SignatureSize
}

func align(n int64) int64 { return (n + alignment - 1) &^ (alignment - 1) }

// encode writes the head, signed if there is a key.
func (h *head) encode(key ed25519.PrivateKey) []byte {
	h.keyID = [8]byte{}
	if key != nil {
		h.keyID = keyID(key.Public().(ed25519.PublicKey))
	}
	b := make([]byte, headFixed, headLength(len(h.sections)))
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], formatVersion)
	binary.LittleEndian.PutUint32(b[12:], uint32(headLength(len(h.sections)))) //nolint:gosec // at most maxHead
	binary.LittleEndian.PutUint64(b[16:], uint64(h.file))                      //nolint:gosec // not negative
	binary.LittleEndian.PutUint64(b[24:], uint64(h.built.Unix()))              //nolint:gosec // read back alike
	copy(b[32:40], h.keyID[:])
	binary.LittleEndian.PutUint32(b[40:], uint32(len(h.sections))) //nolint:gosec // at most maxSections
	for i := range h.sections {
		s := &h.sections[i]
		var entry [tableEntry]byte
		entry[0], entry[1] = byte(s.kind), byte(len(s.name)) //nolint:gosec // at most maxName
		copy(entry[2:2+maxName], s.name)
		binary.LittleEndian.PutUint64(entry[48:], uint64(s.offset)) //nolint:gosec // not negative
		binary.LittleEndian.PutUint64(entry[56:], uint64(s.length)) //nolint:gosec // not negative
		copy(entry[64:], s.sum[:])
		b = append(b, entry[:]...)
	}
	binary.LittleEndian.PutUint32(b[44:], headSum(b))
	if key != nil {
		copy(h.signature[:], ed25519.Sign(key, append([]byte(signedPrefix), b...)))
	}
	return append(b, h.signature[:]...)
}

// headSum is the checksum of a head without its signature.
func headSum(b []byte) uint32 {
	sum := crc32.Update(0, castagnoli, b[:44])
	return crc32.Update(sum, castagnoli, b[headFixed:])
}

// decodeHead reads the head at the begin of b, which may be longer or, if it is
// shorter, lacks what the error says. The table is checked to be in order, in
// the file and without overlaps.
func decodeHead(b []byte) (*head, error) {
	switch {
	case len(b) < len(magic) || !bytes.Equal(b[:len(magic)], magic):
		return nil, fmt.Errorf("%w: it begins with %q", ErrFormat, b[:min(len(b), 16)])
	case len(b) < headFixed:
		return nil, corrupt("%d bytes are less than a head", len(b))
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != formatVersion {
		return nil, fmt.Errorf("%w: its format is version %d, this program reads version %d", ErrFormat, v, formatVersion)
	}
	n := binary.LittleEndian.Uint32(b[40:])
	if n > maxSections || int64(binary.LittleEndian.Uint32(b[12:])) != headLength(int(n)) {
		return nil, corrupt("the head's length does not fit its %d sections", n)
	}
	length := headLength(int(n))
	if int64(len(b)) < length {
		return nil, corrupt("the head ends after %d of %d bytes", len(b), length)
	}
	signed := b[:length-ed25519.SignatureSize]
	if headSum(signed) != binary.LittleEndian.Uint32(b[44:]) {
		return nil, corrupt("the head's checksum is wrong")
	}
	file := binary.LittleEndian.Uint64(b[16:])
	if file > maxFile {
		return nil, corrupt("a file of %d bytes", file)
	}
	h := &head{
		file: int64(file), sections: make([]section, n),
		built: time.Unix(int64(binary.LittleEndian.Uint64(b[24:])), 0).UTC(), //nolint:gosec // any value is a time
	}
	copy(h.keyID[:], b[32:40])
	copy(h.signature[:], b[length-ed25519.SignatureSize:length])
	at := align(length)
	for i := range h.sections {
		entry := b[headFixed+i*tableEntry:][:tableEntry]
		s := &h.sections[i]
		offset, size := binary.LittleEndian.Uint64(entry[48:]), binary.LittleEndian.Uint64(entry[56:])
		if entry[1] > maxName || offset != uint64(at) || size > uint64(h.file) || offset+size > uint64(h.file) { //nolint:gosec // at and file are not negative
			return nil, corrupt("section %d is out of place", i)
		}
		s.kind, s.name = kind(entry[0]), string(entry[2:2+entry[1]])
		s.offset, s.length = int64(offset), int64(size) //nolint:gosec // at most file
		copy(s.sum[:], entry[64:])
		at = align(s.offset + s.length)
	}
	if at != align(h.file) || at-h.file >= alignment {
		return nil, corrupt("the file goes on after its sections")
	}
	return h, nil
}

// verify checks the signature; raw is the head's bytes.
func (h *head) verify(raw []byte, keys []ed25519.PublicKey) error {
	if h.keyID == [8]byte{} {
		return fmt.Errorf("%w: the database is not signed", ErrSignature)
	}
	signed := append([]byte(signedPrefix), raw[:headLength(len(h.sections))-ed25519.SignatureSize]...)
	for _, key := range keys {
		if keyID(key) == h.keyID && ed25519.Verify(key, signed, h.signature[:]) {
			return nil
		}
	}
	return fmt.Errorf("%w: it is of key %s, which is none of those trusted, or the head was changed", ErrSignature, hex.EncodeToString(h.keyID[:]))
}

// keyID is the first eight bytes of the SHA-256 of a key.
func keyID(key ed25519.PublicKey) (id [8]byte) {
	sum := sha256.Sum256(key)
	copy(id[:], sum[:])
	return id
}
