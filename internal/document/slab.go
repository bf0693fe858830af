package document

import "bytes"

// slab hands out nodes, and room for fields and items, from large
// allocations. Documents share what is left of them.
type slab struct {
	freeNodes  []Node
	freeFields []Field
	freeItems  []*Node
	// chunk is how many nodes to allocate at once.
	chunk int
}

const (
	minChunk = 16
	maxChunk = 4096
)

// expect sets the size of allocations for a document of so many lines and
// dashes: most lines of a manifest are one field and one node, and those with
// a dash have one node more.
func (s *slab) expect(lines, dashes int) {
	s.chunk = min(max(lines+dashes, minChunk), maxChunk)
}

func (s *slab) node() *Node {
	if len(s.freeNodes) == 0 {
		s.freeNodes = make([]Node, max(s.chunk, minChunk))
		s.chunk = max(s.chunk/4, minChunk)
	}
	n := &s.freeNodes[0]
	s.freeNodes = s.freeNodes[1:]
	return n
}

func (s *slab) fields(n int) []Field {
	if n > len(s.freeFields) {
		s.freeFields = make([]Field, max(n, s.chunk*3/4, minChunk))
	}
	out := s.freeFields[:n:n]
	s.freeFields = s.freeFields[n:]
	return out
}

func (s *slab) items(n int) []*Node {
	if n > len(s.freeItems) {
		s.freeItems = make([]*Node, max(n, s.chunk/8, minChunk))
	}
	out := s.freeItems[:n:n]
	s.freeItems = s.freeItems[n:]
	return out
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
