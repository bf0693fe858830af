package document

import "bytes"

// slab hands out nodes, and room for fields and items, from large
// allocations. The documents of a stream share what is left of them.
type slab struct {
	freeNodes  []Node
	freeFields []Field
	freeItems  []*Node
	// What was allocated of each so far, and is expected to be needed.
	nodeRoom, fieldRoom, itemRoom room
}

// expect prepares for one more document, of so many lines and dashes: most
// lines of a manifest are one field and one node, and those with a dash are
// one item and have one node more.
func (s *slab) expect(lines, dashes int) {
	s.nodeRoom.want += lines + dashes + lines/8
	s.fieldRoom.want += lines
	s.itemRoom.want += dashes
}

func (s *slab) node() *Node {
	if len(s.freeNodes) == 0 {
		s.freeNodes = make([]Node, s.nodeRoom.next(1))
	}
	n := &s.freeNodes[0]
	s.freeNodes = s.freeNodes[1:]
	return n
}

func (s *slab) fields(n int) []Field {
	if n > len(s.freeFields) {
		s.freeFields = make([]Field, s.fieldRoom.next(n))
	}
	out := s.freeFields[:n:n]
	s.freeFields = s.freeFields[n:]
	return out
}

func (s *slab) items(n int) []*Node {
	if n > len(s.freeItems) {
		s.freeItems = make([]*Node, s.itemRoom.next(n))
	}
	out := s.freeItems[:n:n]
	s.freeItems = s.freeItems[n:]
	return out
}

// room decides how much to allocate at once.
type room struct {
	want, made int
}

const (
	minChunk = 8
	maxChunk = 4096
)

// next returns what is still expected, a quarter more than there is when that
// was too little, and at least atLeast.
func (r *room) next(atLeast int) int {
	n := max(r.want-r.made, r.made/4)
	n = max(min(max(n, minChunk), maxChunk), atLeast)
	r.made += n
	return n
}

// builder collects the children of lists and maps whose length is not known
// when they begin. Open lists and maps share one stack of each.
type builder struct {
	slab
	openFields []Field
	openItems  []*Node
}

// reset forgets open lists and maps, and prepares for a document.
func (b *builder) reset(text []byte) {
	if b.openFields == nil {
		b.openFields, b.openItems = make([]Field, 0, 32), make([]*Node, 0, 16)
	}
	b.openFields, b.openItems = b.openFields[:0], b.openItems[:0]
	b.expect(bytes.Count(text, []byte("\n")), bytes.Count(text, []byte("- ")))
}

func (b *builder) beginMap() (mark int)  { return len(b.openFields) }
func (b *builder) beginList() (mark int) { return len(b.openItems) }
func (b *builder) field(f Field)         { b.openFields = append(b.openFields, f) }
func (b *builder) item(n *Node)          { b.openItems = append(b.openItems, n) }

func (b *builder) endList(mark int) []*Node {
	out := b.items(len(b.openItems) - mark)
	copy(out, b.openItems[mark:])
	b.openItems = b.openItems[:mark]
	return out
}

// endMap returns the fields since mark, and the first one whose key occurs
// before it, with that earlier one.
func (b *builder) endMap(mark int) (out []Field, again, first *Field) {
	out = b.fields(len(b.openFields) - mark)
	copy(out, b.openFields[mark:])
	b.openFields = b.openFields[:mark]
	again, first = duplicate(out)
	return out, again, first
}

// fewFields is up to where comparing all pairs of keys is faster than a map.
const fewFields = 16

func duplicate(fields []Field) (again, first *Field) {
	if len(fields) > fewFields {
		return duplicateOfMany(fields)
	}
	for i := range fields {
		for j := range i {
			if fields[i].Key == fields[j].Key {
				return &fields[i], &fields[j]
			}
		}
	}
	return nil, nil
}

func duplicateOfMany(fields []Field) (again, first *Field) {
	seen := make(map[string]*Field, len(fields))
	for i := range fields {
		f := &fields[i]
		if old := seen[f.Key]; old != nil {
			return f, old
		}
		seen[f.Key] = f
	}
	return nil, nil
}
