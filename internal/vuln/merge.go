package vuln

import (
	"cmp"
	"slices"
	"strings"
)

// merger brings together the claims that are about one flaw under several
// names. Names are joined by union-find: two records are one flaw when a chain
// of aliases leads from one to the other.
type merger struct {
	index  map[string]int
	names  []string
	parent []int
}

// flaw is one flaw of a subject.
type flaw struct {
	id     string
	others []string // its other names, and the advisories that mend it with others; sorted
	claims []*claim
}

// flaws sorts claims by the flaw that they are about. The order is that of the
// IDs. bridges calls yield for the names of each record of the same package
// that holds for other versions only: it may still tell that two names are one.
func (m *merger) flaws(claims []claim, bridges func(yield func(names []string))) []flaw {
	if m.index == nil {
		m.index = map[string]int{}
	}
	clear(m.index)
	m.names, m.parent = m.names[:0], m.parent[:0]

	type mention struct{ node, claim int }
	var mentions []mention
	for i := range claims {
		for node := range m.about(&claims[i].Advisory) {
			mentions = append(mentions, mention{node, i})
		}
	}
	if bridges != nil && len(mentions) > 1 {
		bridges(func(names []string) { m.join(names...) })
	}
	byRoot := map[int]*flaw{}
	for _, at := range mentions {
		root := m.find(at.node)
		f := byRoot[root]
		if f == nil {
			f = &flaw{}
			byRoot[root] = f
		}
		if c := &claims[at.claim]; !slices.Contains(f.claims, c) {
			f.claims = append(f.claims, c)
			if !single(&c.Advisory) {
				f.others = append(append(f.others, c.ID), c.Aliases...)
			}
		}
	}
	for node, name := range m.names {
		if f := byRoot[m.find(node)]; f != nil {
			f.others = append(f.others, name)
			if f.id == "" || cmp.Or(cmp.Compare(fame(name), fame(f.id)), strings.Compare(name, f.id)) < 0 {
				f.id = name
			}
		}
	}
	flaws := make([]flaw, 0, len(byRoot))
	for _, f := range byRoot {
		slices.Sort(f.others)
		f.others = slices.DeleteFunc(slices.Compact(f.others), func(name string) bool { return name == f.id })
		flaws = append(flaws, *f)
	}
	slices.SortFunc(flaws, func(a, b flaw) int { return strings.Compare(a.id, b.id) })
	return flaws
}

// about yields a node for each flaw that an advisory is about.
func (m *merger) about(a *Advisory) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		if single(a) {
			yield(m.join(named(a)...))
			return
		}
		for _, upstream := range a.Upstream {
			if !yield(m.join(upstream)) {
				return
			}
		}
	}
}

// single says that the advisory's ID names a flaw rather than a release of
// fixes.
func single(a *Advisory) bool {
	return len(a.Upstream) == 0 || len(a.Upstream) == 1 && strings.HasSuffix(a.ID, "-"+a.Upstream[0])
}

// named are all names of the one flaw of an advisory. Records that convert a
// CVE (DEBIAN-CVE-2024-1) name it even where they do not say so.
func named(a *Advisory) []string {
	names := append(append([]string{a.ID}, a.Aliases...), a.Upstream...)
	if at := strings.Index(a.ID, "-CVE-"); at > 0 {
		names = append(names, a.ID[at+1:])
	}
	return names
}

// join makes names one and returns a node of them.
func (m *merger) join(names ...string) int {
	first := -1
	for _, name := range names {
		node, ok := m.index[name]
		if !ok {
			node = len(m.parent)
			m.index[name] = node
			m.names = append(m.names, name)
			m.parent = append(m.parent, node)
		}
		if first < 0 {
			first = node
			continue
		}
		m.parent[m.find(node)] = m.find(first)
	}
	return first
}

func (m *merger) find(node int) int {
	for m.parent[node] != node {
		m.parent[node] = m.parent[m.parent[node]]
		node = m.parent[node]
	}
	return node
}

// fame ranks names: a flaw is reported under its first CVE, else the first of
// GitHub's names, else the first of all.
func fame(id string) int {
	switch {
	case strings.HasPrefix(id, "CVE-"):
		return 0
	case strings.HasPrefix(id, "GHSA-"):
		return 1
	}
	return 2
}
