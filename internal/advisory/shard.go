package advisory

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"slices"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/vuln"
)

// A match section holds what is known of the packages of one family of
// ecosystems. Its areas are these; packages, records and claims begin with their
// length, numbers in them are uvarints, and strings are their place among texts.
const (
	areaSlots    = iota // 4 bytes each, a power of two: a hash table of packages by ecosystem and name with linear probing; 0 is free, else a package's place + 1
	areaPackages        // ecosystem, name, and for each advisory the places of its record and claim
	areaRecords         // what an advisory says of the flaw, the same for all packages
	areaClaims          // what it says of packages: versions, status, symbols
	areaTexts           // strings, each once
	areas
)

// record is an advisory as a feed has it, for all packages that it names.
type record struct {
	vuln.Advisory // but for Ecosystem, Package, Ranges, Versions, Imports, Status, Module

	Claims []claim
	Prose
}

// claim is what a record says of one package.
type claim struct {
	Ecosystem, Package string
	Ranges             []vuln.Range
	Versions           []string
	Imports            []vuln.Import
	Status, Module     string
	// Severity and CVSS stand before those of the record where they are given.
	Severity seawall.Severity
	CVSS     []string
}

// arena holds byte strings, each once and behind its length.
type arena struct {
	buf   []byte
	index map[uint64]uint32 // by hash, moved on by one as long as the place is another's
	seed  maphash.Seed
	err   error
}

func newArena() *arena { return &arena{index: map[uint64]uint32{}, seed: maphash.MakeSeed()} }

// put returns the place of a byte string.
func (a *arena) put(b []byte) uint32 {
	for h := maphash.Bytes(a.seed, b); ; h++ {
		at, ok := a.index[h]
		if !ok {
			at = uint32(len(a.buf)) //nolint:gosec // at most maxArea
			if len(a.buf)+len(b)+binary.MaxVarintLen32 > maxArea {
				a.err = errTooBig
				return 0
			}
			a.buf = binary.AppendUvarint(a.buf, uint64(len(b)))
			a.buf = append(a.buf, b...)
			a.index[h] = at
			return at
		}
		if bytes.Equal(a.at(at), b) {
			return at
		}
	}
}

func (a *arena) at(place uint32) []byte {
	n, w := binary.Uvarint(a.buf[place:])
	return a.buf[int(place)+w:][:n]
}

// shard gathers a match section.
type shard struct {
	strings, records, claims *arena
	names                    map[[2]uint32]uint32 // ecosystem and name to the number of the package
	packages                 [][2]uint32
	entries                  []entry
	known                    map[uint32]identity // by place of the record
	scratch                  []byte
}

// entry says that a record makes a claim on a package. What was read together
// has one number.
type entry struct{ pkg, record, claim, serial uint32 }

// identity tells two versions of one record from two records.
type identity struct {
	name         string // ID, source, upstream: as encoded
	id, modified uint32
}

func newShard() *shard {
	s := &shard{
		strings: newArena(), records: newArena(), claims: newArena(),
		names: map[[2]uint32]uint32{}, known: map[uint32]identity{},
	}
	s.strings.put(nil) // the empty string is at 0
	return s
}

func (s *shard) ref(b []byte, text string) []byte {
	s.scratch = append(s.scratch[:0], text...)
	return binary.AppendUvarint(b, uint64(s.strings.put(s.scratch)))
}

func (s *shard) refs(b []byte, texts []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(texts)))
	for _, text := range texts {
		b = s.ref(b, text)
	}
	return b
}

// add takes a claim of a record in.
func (s *shard) add(r *record, c *claim, serial uint32) error {
	b := s.ref(nil, r.ID)
	b = s.ref(b, r.Source)
	b = s.refs(b, r.Upstream)
	name := string(b)
	b = s.ref(b, r.Modified)
	b = binary.AppendUvarint(b, uint64(r.Severity))
	b = s.refs(b, r.Aliases)
	b = s.refs(b, r.CVSS)
	b = s.refs(b, r.CWEs)
	at := s.records.put(b)
	if _, ok := s.known[at]; !ok {
		s.known[at] = identity{
			name: name, id: s.strings.put([]byte(r.ID)), modified: s.strings.put([]byte(r.Modified)),
		}
	}
	key := [2]uint32{s.strings.put([]byte(c.Ecosystem)), s.strings.put([]byte(c.Package))}
	pkg, ok := s.names[key]
	if !ok {
		pkg = uint32(len(s.packages)) //nolint:gosec // fewer than strings
		s.names[key] = pkg
		s.packages = append(s.packages, key)
	}
	s.entries = append(s.entries, entry{pkg, at, s.claims.put(s.claim(c)), serial})
	return errors.Join(s.strings.err, s.records.err, s.claims.err)
}

func (s *shard) claim(c *claim) []byte {
	b := s.ref(nil, c.Status)
	b = s.ref(b, c.Module)
	b = binary.AppendUvarint(b, uint64(c.Severity))
	b = s.refs(b, c.CVSS)
	b = binary.AppendUvarint(b, uint64(len(c.Ranges)))
	for _, r := range c.Ranges {
		b = s.ref(b, r.Introduced)
		b = s.ref(b, r.Fixed)
		b = s.ref(b, r.LastAffected)
	}
	b = s.refs(b, c.Versions)
	b = binary.AppendUvarint(b, uint64(len(c.Imports)))
	for i := range c.Imports {
		b = s.ref(b, c.Imports[i].Path)
		b = s.refs(b, c.Imports[i].Symbols)
		b = s.refs(b, c.Imports[i].GOOS)
		b = s.refs(b, c.Imports[i].GOARCH)
	}
	return b
}

// settle orders the entries by package and ID, and leaves out what was given
// twice: of two versions of one record the one that was modified later holds,
// and of two of one day that which was read later.
func (s *shard) settle() {
	slices.SortStableFunc(s.entries, func(a, b entry) int {
		return cmp.Or(
			cmp.Compare(a.pkg, b.pkg),
			bytes.Compare(s.strings.at(s.known[a.record].id), s.strings.at(s.known[b.record].id)),
			cmp.Compare(s.known[a.record].name, s.known[b.record].name),
			bytes.Compare(s.strings.at(s.known[b.record].modified), s.strings.at(s.known[a.record].modified)),
			cmp.Compare(b.serial, a.serial),
		)
	})
	kept := s.entries[:0]
	for _, e := range s.entries {
		if n := len(kept); n > 0 && kept[n-1].pkg == e.pkg && kept[n-1].serial != e.serial &&
			s.known[kept[n-1].record].name == s.known[e.record].name {
			continue
		}
		kept = append(kept, e)
	}
	s.entries = kept
}

// encode closes the section. counts tells how many advisories each ecosystem
// has.
func (s *shard) encode(counts map[string]int) parts {
	s.settle()
	slots := 1
	for slots < len(s.packages)*5/4+1 {
		slots *= 2
	}
	table := make([]uint32, slots)
	var packages, b []byte
	for from := 0; from < len(s.entries); {
		pkg := s.entries[from].pkg
		to := from
		for to < len(s.entries) && s.entries[to].pkg == pkg {
			to++
		}
		ecosystem, name := s.strings.at(s.packages[pkg][0]), s.strings.at(s.packages[pkg][1])
		counts[string(ecosystem)] += to - from
		b = binary.AppendUvarint(b[:0], uint64(s.packages[pkg][0]))
		b = binary.AppendUvarint(b, uint64(s.packages[pkg][1]))
		b = binary.AppendUvarint(b, uint64(to-from))
		for _, e := range s.entries[from:to] {
			b = binary.AppendUvarint(b, uint64(e.record))
			b = binary.AppendUvarint(b, uint64(e.claim))
		}
		at := hash(string(ecosystem), string(name)) & uint64(slots-1) //nolint:gosec // positive
		for table[at] != 0 {
			at = (at + 1) & uint64(slots-1) //nolint:gosec // positive
		}
		table[at] = uint32(len(packages)) + 1 //nolint:gosec // checked when it is written
		packages = binary.AppendUvarint(packages, uint64(len(b)))
		packages = append(packages, b...)
		from = to
	}
	slotBytes := make([]byte, 0, 4*slots)
	for _, at := range table {
		slotBytes = binary.LittleEndian.AppendUint32(slotBytes, at)
	}
	return parts{
		inMemory(slotBytes), inMemory(packages), inMemory(s.records.buf), inMemory(s.claims.buf), inMemory(s.strings.buf),
	}
}

// hash spreads packages over slots: FNV-1a with its halves folded.
func hash(ecosystem, name string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(ecosystem) {
		h = (h ^ uint64(ecosystem[i])) * prime
	}
	h = (h ^ 0xff) * prime
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * prime
	}
	return h ^ h>>32
}
