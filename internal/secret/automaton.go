package secret

// automaton finds every keyword in one pass over a text, whatever the number of
// keywords (Aho and Corasick, 1975, with the failure links resolved into one
// table). It is blind to the case of ASCII letters; who needs case compares
// again. Bytes that no keyword holds share one class, so that the table stays
// small enough for the caches.
type automaton struct {
	class [256]uint8
	// next has a row of 1<<rowBits states for each state.
	next []uint16
	// States from first on end a keyword; ends[s-first] lists which, the longest
	// first.
	first uint16
	ends  [][]uint16
}

// rowBits holds all classes: 26 letters, 10 digits, some signs, all others.
const rowBits = 6

// newAutomaton returns an automaton for keywords, which are told by their index.
// It holds at most 1<<rowBits-1 different folded bytes in all keywords, and
// 65535 states.
func newAutomaton(keywords []string) *automaton {
	a := &automaton{}
	classes := 1
	for _, k := range keywords {
		for i := range len(k) {
			if c := fold(k[i]); a.class[c] == 0 {
				a.class[c] = uint8(classes) // a test counts them
				classes++
			}
		}
	}
	for c := byte('a'); c <= 'z'; c++ {
		a.class[c-'a'+'A'] = a.class[c]
	}

	const width = 1 << rowBits
	type node struct {
		next [width]int
		ends []uint16
	}
	nodes := []node{{}}
	for i, k := range keywords {
		at := 0
		for j := range len(k) {
			c := a.class[k[j]]
			if nodes[at].next[c] == 0 {
				nodes = append(nodes, node{})
				nodes[at].next[c] = len(nodes) - 1
			}
			at = nodes[at].next[c]
		}
		nodes[at].ends = append(nodes[at].ends, uint16(i))
	}

	// Breadth first: a node's failure link is shorter, thus complete already.
	fail := make([]int, len(nodes))
	queue := make([]int, 0, len(nodes))
	for _, to := range nodes[0].next {
		if to != 0 {
			queue = append(queue, to)
		}
	}
	for i := 0; i < len(queue); i++ {
		at := queue[i]
		nodes[at].ends = append(nodes[at].ends, nodes[fail[at]].ends...)
		for c, to := range nodes[at].next {
			if to == 0 {
				nodes[at].next[c] = nodes[fail[at]].next[c]
				continue
			}
			fail[to] = nodes[fail[at]].next[c]
			queue = append(queue, to)
		}
	}

	// Number the states anew: those nearest the root first, which are met most and
	// then lie together, those that end a keyword last.
	number := make([]uint16, len(nodes))
	n := uint16(1)
	for _, at := range queue {
		if len(nodes[at].ends) == 0 {
			number[at] = n
			n++
		}
	}
	a.first = n
	for _, at := range queue {
		if len(nodes[at].ends) > 0 {
			number[at] = n
			a.ends = append(a.ends, nodes[at].ends)
			n++
		}
	}
	a.next = make([]uint16, len(nodes)*width)
	for at := range nodes {
		row := a.next[int(number[at])*width:]
		for c, to := range nodes[at].next {
			row[c] = number[to]
		}
	}
	return a
}

// find calls hit for each keyword in text with the offset behind its last byte,
// until hit returns false.
func (a *automaton) find(text []byte, hit func(keyword, end int) bool) {
	s := uint16(0)
	next, first, class := a.next, a.first, &a.class
	for i, b := range text {
		s = next[int(s)<<rowBits|int(class[b])]
		if s >= first {
			for _, k := range a.ends[s-first] {
				if !hit(int(k), i+1) {
					return
				}
			}
		}
	}
}

func fold(b byte) byte {
	if b >= 'A' && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}
