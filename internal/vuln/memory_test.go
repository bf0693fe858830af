package vuln_test

import (
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/vuln"
)

// memory is a database of a test's own.
type memory struct {
	advisories map[string][]vuln.Advisory // by ecosystem and name
	extra      map[string]vuln.Extra
	covers     map[string]bool
}

func newMemory(advisories ...vuln.Advisory) *memory {
	m := &memory{advisories: map[string][]vuln.Advisory{}, extra: map[string]vuln.Extra{}, covers: map[string]bool{}}
	for _, a := range advisories {
		m.add(a)
	}
	return m
}

func (m *memory) add(a vuln.Advisory) {
	key := a.Ecosystem + "\x00" + a.Package
	m.advisories[key] = append(m.advisories[key], a)
	m.covers[a.Ecosystem] = true
}

// Advisories lends one advisory for each call and spoils it afterwards, as
// implementations may.
func (m *memory) Advisories(ecosystem, name string, yield func(*vuln.Advisory) bool) {
	var lent vuln.Advisory
	for _, a := range m.advisories[ecosystem+"\x00"+name] {
		lent = a
		lent.Aliases = append([]string(nil), a.Aliases...)
		lent.Ranges = append([]vuln.Range(nil), a.Ranges...)
		if !yield(&lent) {
			return
		}
		for i := range lent.Aliases {
			lent.Aliases[i] = "spoiled"
		}
		clear(lent.Ranges)
		lent = vuln.Advisory{ID: "spoiled"}
	}
}

func (m *memory) Extra(id string) (vuln.Extra, bool) {
	x, ok := m.extra[id]
	return x, ok
}

func (m *memory) Covers(ecosystem string) bool { return m.covers[ecosystem] }

func (m *memory) Release(inventory.Distro) (vuln.Release, bool) { return vuln.Release{}, false }
