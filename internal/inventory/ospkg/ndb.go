package ospkg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Sizes of rpm's own database format, which SUSE uses, in bytes.
const (
	ndbSlot     = 16 // magic, package, block, count of blocks
	ndbPage     = 4096
	ndbBlock    = 16
	ndbBlobHead = 16 // magic, package, generation, length
)

// ndbBlobs reads a database of rpm's own format: pages of slots that say at which
// block each package stands. The first two slots hold the header. All numbers
// are little-endian.
//
// Blobs are read in the order of the slots. The checksums at their ends are not
// compared: rpm makes them against crashes, and a file that somebody means to
// deceive with has the right ones.
func ndbBlobs(database []byte, yield func(blob []byte) error) error {
	if len(database) < 2*ndbSlot || !bytes.HasPrefix(database, []byte("RpmP")) {
		return errors.New("not a database of rpm's own format")
	}
	if version := binary.LittleEndian.Uint32(database[4:]); version != 0 {
		return fmt.Errorf("a version of rpm's own format that is not known: %d", version)
	}
	var damage error
	slots := int64(binary.LittleEndian.Uint32(database[12:])) * ndbPage
	if slots > int64(len(database)) {
		damage = fmt.Errorf("it is cut: %d bytes of slots in a file of %d", slots, len(database))
	}
	left := len(database)
	for at := 2 * ndbSlot; at+ndbSlot <= int(min(slots, int64(len(database)))); at += ndbSlot {
		slot := database[at : at+ndbSlot]
		number := binary.LittleEndian.Uint32(slot[4:])
		if number == 0 {
			continue
		}
		blob, err := ndbBlobOf(database, slot)
		if left -= len(blob); err == nil && left < 0 {
			err = errors.New("it stands where another package stands")
		}
		if err != nil {
			if damage == nil {
				damage = fmt.Errorf("package %d: %w", number, err)
			}
			continue
		}
		if err := yield(blob); err != nil {
			return err
		}
	}
	return damage
}

// ndbBlobOf returns the header that a slot leads to.
func ndbBlobOf(database, slot []byte) ([]byte, error) {
	if !bytes.HasPrefix(slot, []byte("Slot")) {
		return nil, errors.New("its slot is damaged")
	}
	start := int64(binary.LittleEndian.Uint32(slot[8:])) * ndbBlock
	if start+ndbBlobHead > int64(len(database)) {
		return nil, fmt.Errorf("it stands at byte %d of %d", start, len(database))
	}
	head, rest := database[start:start+ndbBlobHead], database[start+ndbBlobHead:]
	length := int64(binary.LittleEndian.Uint32(head[12:]))
	switch {
	case !bytes.HasPrefix(head, []byte("BlbS")) || !bytes.Equal(head[4:8], slot[4:8]):
		return nil, fmt.Errorf("at byte %d is no header of it", start)
	case length > int64(len(rest)):
		return nil, fmt.Errorf("it has %d bytes, of which %d are there", length, len(rest))
	}
	return rest[:length], nil
}
