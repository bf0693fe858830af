package ospkg

import (
	"slices"
	"strings"
)

// providers leads from what is provided (a package's own name, a library, a
// program, a virtual package) to the name of the package that brings it.
type providers map[string]string

// add notes that a package brings something. The first one that does is kept.
func (p providers) add(what []byte, by string) {
	if _, taken := p[string(what)]; !taken && len(what) > 0 {
		p[string(what)] = by
	}
}

// own notes a package under its own name, which no other one can provide better.
func (p providers) own(name string) { p[name] = name }

// dependencies sorts names, each one once, without the package's own.
func dependencies(names []string, self string) []string {
	slices.SortFunc(names, strings.Compare)
	names = slices.Compact(names)
	names = slices.DeleteFunc(names, func(n string) bool { return n == "" || n == self })
	if len(names) == 0 {
		return nil
	}
	return slices.Clip(names)
}
