package kube

// cut says which parts of a JSON value to leave out. Lists are looked through:
// the cut of a list is that of each of its items. A nil cut leaves nothing out.
type cut struct {
	whole  bool // leave the value out
	fields map[string]*cut
	kept   map[string]bool // unless nil, other fields are left out
}

// drop leaves out what stands at a path.
func (c *cut) drop(path ...string) { c.at(path).whole = true }

// only leaves out all fields but some of the map at a path.
func (c *cut) only(fields []string, path ...string) {
	at := c.at(path)
	at.kept = make(map[string]bool, len(fields))
	for _, f := range fields {
		at.kept[f] = true
	}
}

func (c *cut) at(path []string) *cut {
	for _, key := range path {
		next := c.fields[key]
		if next == nil {
			next = &cut{}
			if c.fields == nil {
				c.fields = make(map[string]*cut)
			}
			c.fields[key] = next
		}
		c = next
	}
	return c
}

// apply appends src, which must be one valid JSON value, to dst without what
// the cut leaves out. It works on the text so that nothing of what is left out
// is ever parsed or kept in memory. Keys are compared as they are written: one
// with needless escapes is not found, and stays.
func (c *cut) apply(dst, src []byte) []byte {
	s := cutter{src: src, dst: dst}
	s.value(c)
	return s.dst
}

type cutter struct {
	src, dst []byte
	i        int
}

// value copies the value at i.
func (s *cutter) value(c *cut) {
	s.space()
	switch {
	case c != nil && s.at('{'):
		s.object(c)
	case c != nil && s.at('['):
		s.list(c)
	default:
		start := s.i
		s.skip()
		s.dst = append(s.dst, s.src[start:s.i]...)
	}
}

func (s *cutter) object(c *cut) {
	s.copyByte()
	for first := true; s.next('}'); {
		start := s.i
		s.skipString()
		key := s.src[start:s.i]
		s.space()
		s.i++ // the colon
		inner := c.fields[string(key[1:len(key)-1])]
		if (inner != nil && inner.whole) || (c.kept != nil && !c.kept[string(key[1:len(key)-1])]) {
			s.skip()
			continue
		}
		if !first {
			s.dst = append(s.dst, ',')
		}
		first = false
		s.dst = append(append(s.dst, key...), ':')
		s.value(inner)
	}
	s.copyByte()
}

func (s *cutter) list(c *cut) {
	s.copyByte()
	for first := true; s.next(']'); first = false {
		if !first {
			s.dst = append(s.dst, ',')
		}
		s.value(c)
	}
	s.copyByte()
}

// next moves to the next member of an object or a list, and says whether there
// is one before its end.
func (s *cutter) next(end byte) bool {
	s.space()
	if s.at(',') {
		s.i++
		s.space()
	}
	return s.i < len(s.src) && s.src[s.i] != end
}

func (s *cutter) at(b byte) bool { return s.i < len(s.src) && s.src[s.i] == b }

func (s *cutter) copyByte() {
	if s.i < len(s.src) {
		s.dst = append(s.dst, s.src[s.i])
	}
	s.i++
}

// skip moves behind the value at i.
func (s *cutter) skip() {
	s.space()
	for depth := 0; s.i < len(s.src); {
		switch s.src[s.i] {
		case '"':
			s.skipString()
		case '{', '[':
			depth++
			s.i++
			continue
		case '}', ']':
			depth--
			s.i++
		case ',', ':', ' ', '\t', '\r', '\n':
			s.i++
			continue
		default:
			s.skipWord()
		}
		if depth <= 0 {
			return
		}
	}
}

func (s *cutter) skipString() {
	for s.i++; s.i < len(s.src); s.i++ {
		switch s.src[s.i] {
		case '\\':
			s.i++
		case '"':
			s.i++
			return
		}
	}
	s.i = len(s.src)
}

// skipWord moves behind a number, true, false or null.
func (s *cutter) skipWord() {
	for ; s.i < len(s.src); s.i++ {
		switch s.src[s.i] {
		case ',', '}', ']', ' ', '\t', '\r', '\n':
			return
		}
	}
}

func (s *cutter) space() {
	for s.i < len(s.src) {
		switch s.src[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}
