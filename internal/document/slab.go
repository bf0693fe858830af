package document

// slab hands out nodes, and room for fields and items, from large
// allocations.
type slab struct {
	freeNodes  []Node
	freeFields []Field
	freeItems  []*Node
}

const slabSize = 64

func (s *slab) node() *Node {
	if len(s.freeNodes) == 0 {
		s.freeNodes = make([]Node, slabSize)
	}
	n := &s.freeNodes[0]
	s.freeNodes = s.freeNodes[1:]
	return n
}

func (s *slab) fields(n int) []Field {
	if n > len(s.freeFields) {
		s.freeFields = make([]Field, max(n, slabSize))
	}
	out := s.freeFields[:n:n]
	s.freeFields = s.freeFields[n:]
	return out
}

func (s *slab) items(n int) []*Node {
	if n > len(s.freeItems) {
		s.freeItems = make([]*Node, max(n, slabSize))
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

// newBuilder prepares for a text of so many bytes.
func newBuilder(_ int) builder {
	return builder{}
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
