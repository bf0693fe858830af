package ospkg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Berkeley DB's pages and what they hold (db_page.h).
const (
	bdbHashMagic  = 0x061561
	bdbBTreeMagic = 0x053162
	bdbPageHead   = 26

	bdbUnsortedHash = 2
	bdbOverflow     = 7
	bdbHash         = 13

	bdbKeyData = 1
	bdbOffPage = 3
)

// bdbBlobs reads a Berkeley DB hash table, which rpm used until RHEL 8: keys of
// four bytes lead to headers, large ones of which stand in a chain of pages of
// their own. It looks at every page for keys and does not hash, so that damage
// to one bucket leaves the others. Numbers are in the byte order of the machine
// that wrote them.
func bdbBlobs(database []byte, yield func(blob []byte) error) error {
	db, err := openBDB(database)
	if err != nil {
		return err
	}
	for number := 1; number < len(db.used); number++ {
		page := db.at(number)
		if kind := page[25]; kind != bdbHash && kind != bdbUnsortedHash {
			continue
		}
		if err := db.items(page, yield); err != nil {
			return err
		}
	}
	return db.damage
}

type bdb struct {
	body  []byte
	order binary.ByteOrder
	page  int // bytes of a page
	// used marks overflow pages that have been read: none is part of two values.
	used []bool
	// value holds a value that is spread over pages.
	value  []byte
	damage error // the first
}

func openBDB(body []byte) (*bdb, error) {
	if len(body) < 72 {
		return nil, errors.New("not a Berkeley DB")
	}
	db := &bdb{body: body, order: binary.LittleEndian}
	magic := db.order.Uint32(body[12:])
	if magic > 0xffffff { // no magic number is so large: the bytes are the other way round
		db.order = binary.BigEndian
		magic = db.order.Uint32(body[12:])
	}
	switch {
	case magic == bdbBTreeMagic:
		return nil, errors.New("a Berkeley DB b-tree: rpm's packages are in a hash table")
	case magic != bdbHashMagic:
		return nil, errors.New("not a Berkeley DB")
	case body[24] != 0:
		return nil, errors.New("an encrypted Berkeley DB")
	}
	size := db.order.Uint32(body[20:])
	if size < 512 || size > 65536 || size&(size-1) != 0 {
		return nil, fmt.Errorf("pages of %d bytes, which no Berkeley DB has", size)
	}
	db.page = int(size)
	db.used = make([]bool, len(body)/db.page)
	if last := db.order.Uint32(body[32:]); int64(last) >= int64(len(db.used)) {
		db.complain(fmt.Errorf("it is cut: %d of %d pages are there", len(db.used), int64(last)+1))
	}
	return db, nil
}

func (db *bdb) complain(err error) {
	if db.damage == nil {
		db.damage = err
	}
}

func (db *bdb) at(number int) []byte { return db.body[number*db.page : (number+1)*db.page] }

// items reads the pairs of a page. The places of keys and values follow its head
// in turn; each item ends where the one before it begins, the first at the end of
// the page.
func (db *bdb) items(page []byte, yield func(blob []byte) error) error {
	count := int(db.order.Uint16(page[20:]))
	place := func(i int) int {
		if i < 0 {
			return len(page)
		}
		return int(db.order.Uint16(page[bdbPageHead+2*i:]))
	}
	if bdbPageHead+2*count > len(page) {
		db.complain(fmt.Errorf("%d items do not fit in a page", count))
		return nil
	}
	for i := 0; i+1 < count; i += 2 {
		start, middle, end := place(i+1), place(i), place(i-1)
		if start < bdbPageHead+2*count || start >= middle || middle >= end || end > len(page) {
			db.complain(errors.New("the items of a page overlap"))
			return nil
		}
		key, value := page[middle:end], page[start:middle]
		if len(key) == 5 && db.order.Uint32(key[1:]) == 0 {
			continue // the number that the next package gets
		}
		switch {
		case value[0] == bdbKeyData:
			value = value[1:]
		case value[0] == bdbOffPage && len(value) >= 12:
			value = db.chain(db.order.Uint32(value[4:]), db.order.Uint32(value[8:]))
		default:
			db.complain(fmt.Errorf("an item of a kind that rpm does not write: %d", value[0]))
			continue
		}
		if value == nil {
			continue
		}
		if err := yield(value); err != nil {
			return err
		}
	}
	return nil
}

// chain returns a value that stands on pages of its own.
func (db *bdb) chain(number, size uint32) []byte {
	if int64(size) > int64(len(db.body)) {
		db.complain(fmt.Errorf("a value of %d bytes in a file of %d", size, len(db.body)))
		return nil
	}
	db.value = slices.Grow(db.value[:0], int(size))
	for len(db.value) < int(size) {
		if number == 0 || int64(number) >= int64(len(db.used)) || db.used[number] {
			db.complain(fmt.Errorf("a value leads to page %d, which is not there or part of another one", number))
			return nil
		}
		db.used[number] = true
		page := db.at(int(number))
		length := int(db.order.Uint16(page[22:]))
		if page[25] != bdbOverflow || length == 0 || bdbPageHead+length > len(page) {
			db.complain(fmt.Errorf("page %d is not the rest of a value", number))
			return nil
		}
		db.value = append(db.value, page[bdbPageHead:bdbPageHead+length]...)
		number = db.order.Uint32(page[16:])
	}
	return db.value[:size]
}
