package ospkg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"seawall.io/seawall/internal/inventory"
)

// sqliteBlobs reads the column blob of the table Packages of an SQLite database,
// in the order of its keys. It knows of SQLite's format
// (https://www.sqlite.org/fileformat2.html) what that takes: the b-trees of
// tables, and values that run over to other pages.
//
// It reads the database alone. What was written last may still be in the
// write-ahead log beside it, of which [parseWAL] speaks.
func sqliteBlobs(database []byte, yield func(blob []byte) error) error {
	db, err := openSQLite(database)
	if err != nil {
		return err
	}
	root, err := db.rootOf("Packages")
	if err != nil {
		return err
	}
	err = db.walk(root, func(row []byte) error {
		kind, value, ok := column(row, 1)
		if !ok || kind < sqliteBlob || kind%2 != 0 {
			db.complain(errors.New("a row of the table Packages holds no blob"))
			return nil
		}
		return yield(value)
	})
	return errors.Join(db.damage, err)
}

// Kinds of values (serial types): from 12 on blobs have even ones, and texts odd
// ones; their length is in the number.
const sqliteBlob = 12

// Kinds of b-tree pages.
const (
	sqliteInterior = 0x05
	sqliteLeaf     = 0x0d
)

type sqlite struct {
	body   []byte
	page   int // bytes of a page
	usable int // those of them that hold content
	// used marks pages that have been read. No page is part of two things, so this
	// bounds the work, whatever the pages point to.
	used []bool
	// row holds a row that is spread over pages.
	row []byte
	// damage is the first that was found; what is not damaged is read.
	damage error
}

func openSQLite(body []byte) (*sqlite, error) {
	if len(body) < 100 || !bytes.HasPrefix(body, []byte("SQLite format 3\x00")) {
		return nil, errors.New("not an SQLite database")
	}
	page := int(binary.BigEndian.Uint16(body[16:]))
	if page == 1 {
		page = 65536
	}
	usable := page - int(body[20])
	switch encoding := binary.BigEndian.Uint32(body[56:]); {
	case page < 512 || page&(page-1) != 0 || usable < 480:
		return nil, fmt.Errorf("pages of %d bytes, %d of them reserved: no SQLite database has such", page, body[20])
	case body[19] > 2:
		return nil, fmt.Errorf("a version of SQLite's format that is not known: %d", body[19])
	case encoding > 1:
		return nil, errors.New("its texts are in UTF-16, which rpm never writes")
	}
	db := &sqlite{body: body, page: page, usable: usable, used: make([]bool, len(body)/page+1)}
	if pages := int(binary.BigEndian.Uint32(body[28:])); pages > len(body)/page {
		db.complain(fmt.Errorf("it is cut: %d of %d pages are there", len(body)/page, pages))
	}
	return db, nil
}

func (db *sqlite) complain(err error) {
	if db.damage == nil {
		db.damage = err
	}
}

// take returns a page by its number, counted from 1, and marks it as used.
func (db *sqlite) take(number uint32) []byte {
	switch {
	case number == 0 || int(number) >= len(db.used):
		db.complain(fmt.Errorf("page %d is not there", number))
		return nil
	case db.used[number]:
		db.complain(fmt.Errorf("page %d is used twice", number))
		return nil
	}
	db.used[number] = true
	start := (int(number) - 1) * db.page
	return db.body[start : start+db.usable]
}

// rootOf finds the first page of a table in the schema, which is the table on
// page 1: type, name, tbl_name, rootpage, sql.
func (db *sqlite) rootOf(table string) (root uint32, err error) {
	found := errors.New("found")
	err = db.walk(1, func(row []byte) error {
		_, kind, _ := column(row, 0)
		_, name, _ := column(row, 1)
		if string(kind) != "table" || string(name) != table {
			return nil
		}
		_, number, _ := column(row, 3)
		for _, b := range number[:min(len(number), 4)] {
			root = root<<8 | uint32(b)
		}
		return found
	})
	if !errors.Is(err, found) {
		return 0, errors.Join(db.damage, fmt.Errorf("it has no table %s", table))
	}
	return root, nil
}

// walk calls yield with each row of a table in the order of the keys, until yield
// returns an error. A row holds during the call only.
func (db *sqlite) walk(root uint32, yield func(row []byte) error) error {
	for todo := []uint32{root}; len(todo) > 0; {
		number := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		page := db.take(number)
		if page == nil {
			continue
		}
		head := 0
		if number == 1 {
			head = 100 // the header of the database
		}
		cells := int(binary.BigEndian.Uint16(page[head+3:]))
		switch page[head] {
		case sqliteInterior:
			first := len(todo)
			for at := range db.cells(page, head+12, cells) {
				if at+4 <= len(page) {
					todo = append(todo, binary.BigEndian.Uint32(page[at:]))
				}
			}
			todo = append(todo, binary.BigEndian.Uint32(page[head+8:]))
			slices.Reverse(todo[first:]) // the first child is taken next
		case sqliteLeaf:
			for at := range db.cells(page, head+8, cells) {
				row := db.payload(page[min(at, len(page)):])
				if row == nil {
					continue
				}
				if err := yield(row); err != nil {
					return err
				}
			}
		default:
			db.complain(fmt.Errorf("page %d is no page of a table", number))
		}
	}
	return nil
}

// cells walks over the places of a page's cells.
func (db *sqlite) cells(page []byte, pointers, count int) func(yield func(at int) bool) {
	return func(yield func(at int) bool) {
		for i := range count {
			p := pointers + 2*i
			if p+2 > len(page) {
				db.complain(fmt.Errorf("%d cells do not fit in a page", count))
				return
			}
			if !yield(int(binary.BigEndian.Uint16(page[p:]))) {
				return
			}
		}
	}
}

// payload returns the row of a leaf's cell: its length, its key, and as much of
// it as the page may hold, the rest in a chain of other pages.
func (db *sqlite) payload(cell []byte) []byte {
	length, n := varint(cell)
	_, m := varint(cell[n:])
	if n == 0 || m == 0 || length > uint64(len(db.body)) {
		db.complain(fmt.Errorf("a row of %d bytes, or one without a key", length))
		return nil
	}
	cell = cell[n+m:]
	size := int(length) //nolint:gosec // at most the size of the database
	local := db.local(size)
	if local > len(cell) || local < size && local+4 > len(cell) {
		db.complain(errors.New("a row that ends beyond its page"))
		return nil
	}
	if local == size {
		return cell[:size]
	}
	db.row = append(slices.Grow(db.row[:0], size), cell[:local]...)
	for next := binary.BigEndian.Uint32(cell[local:]); len(db.row) < size; {
		page := db.take(next)
		if page == nil {
			return nil
		}
		next = binary.BigEndian.Uint32(page)
		db.row = append(db.row, page[4:min(len(page), 4+size-len(db.row))]...)
	}
	return db.row
}

// local is how many bytes of a row stand in the cell itself.
func (db *sqlite) local(size int) int {
	most := db.usable - 35
	if size <= most {
		return size
	}
	least := (db.usable-12)*32/255 - 23
	if n := least + (size-least)%(db.usable-4); n <= most {
		return n
	}
	return least
}

// column returns the kind and the bytes of a value of a row.
func column(row []byte, index int) (kind uint64, value []byte, ok bool) {
	size, n := varint(row)
	if n == 0 || size > uint64(len(row)) || size < uint64(n) { //nolint:gosec // n is at most 9
		return 0, nil, false
	}
	kinds, values := row[n:size], row[size:]
	for ; ; index-- {
		kind, n = varint(kinds)
		width := widthOf(kind)
		if n == 0 || width > uint64(len(values)) {
			return 0, nil, false
		}
		if index == 0 {
			return kind, values[:width], true
		}
		kinds, values = kinds[n:], values[width:]
	}
}

func widthOf(kind uint64) uint64 {
	switch {
	case kind >= sqliteBlob:
		return (kind - sqliteBlob) / 2
	case kind == 5:
		return 6
	case kind == 6 || kind == 7:
		return 8
	case kind >= 8:
		return 0 // the numbers 0 and 1
	}
	return kind // 0 is NULL, 1 to 4 are integers of as many bytes
}

// varint reads a number of one to nine bytes, the highest first; the length is 0
// if it is cut.
func varint(b []byte) (v uint64, length int) {
	for i, c := range b[:min(len(b), 9)] {
		if i == 8 {
			return v<<8 | uint64(c), 9
		}
		v = v<<7 | uint64(c&0x7f)
		if c < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}

// parseWAL looks at the write-ahead log of rpm's database. rpm empties it when it
// is done; one with pages in it was left by an rpm that was stopped, or copied
// while it ran. The pages would have to be put into the database, which is
// another file, so all that can be said is that they are not.
func parseWAL(f inventory.File, facts *inventory.Facts) error {
	const head, frameHead = 32, 24
	b := f.Body
	if len(b) < head {
		return errCut
	}
	if magic := binary.BigEndian.Uint32(b); magic&^1 != 0x377f0682 {
		return fmt.Errorf("not a write-ahead log of SQLite: it begins with %#08x", magic)
	}
	page, salts := int(binary.BigEndian.Uint32(b[8:])), b[16:24]
	if page < 512 || page > 65536 || page&(page-1) != 0 {
		return fmt.Errorf("pages of %d bytes, which no SQLite database has", page)
	}
	pages, committed := 0, 0
	for at := head; at+frameHead+page <= len(b) && bytes.Equal(b[at+8:at+16], salts); at += frameHead + page {
		pages++
		if binary.BigEndian.Uint32(b[at+4:]) != 0 { // the last page of a transaction
			committed = pages
		}
	}
	if committed > 0 {
		facts.Problems = append(facts.Problems, fmt.Sprintf(
			"rpm left %d pages here that may not be in rpmdb.sqlite: packages that were installed or removed last may be missing or told in vain", committed))
	}
	return nil
}
