package lang

import (
	"fmt"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"seawall.io/seawall/internal/inventory"
)

// parseGoMod reads the requirements of go.mod, with replacements in their place.
// Since Go 1.17 these are all modules that a build needs; builds may choose
// newer ones only if a workspace asks for them. The go and toolchain lines are
// the least that the code needs, not what it is built with, so that the standard
// library is told by binaries only.
func parseGoMod(f inventory.File, facts *inventory.Facts) error {
	file, err := modfile.Parse("go.mod", text(f.Body), nil)
	if err != nil {
		// Directives of later versions of Go are let pass, those of the main module
		// with them.
		lax, laxErr := modfile.ParseLax("go.mod", text(f.Body), nil)
		if laxErr != nil {
			return fmt.Errorf("reading go.mod: %w", laxErr)
		}
		file = lax
		facts.Problems = append(facts.Problems, clip("replacements are not regarded: "+err.Error()))
	}
	replaced := make(map[module.Version]module.Version, len(file.Replace))
	for _, r := range file.Replace {
		replaced[r.Old] = r.New
	}
	l := newListing(f, facts, inventory.Go, inventory.Declared)
	defer l.close()
	for _, r := range file.Require {
		mod := r.Mod
		if with, ok := replaced[mod]; ok {
			mod = with
		} else if with, ok := replaced[module.Version{Path: mod.Path}]; ok {
			mod = with
		}
		if mod.Version == "" {
			continue // a folder of the project
		}
		l.add(inventory.Package{Name: mod.Path, Version: strings.TrimPrefix(mod.Version, "v"), Line: r.Syntax.Start.Line})
	}
	return nil
}
