// Package runtime holds the checks on what happens on nodes. The agent takes them
// from here, since it has no use for the other checks and what those need.
package runtime

import (
	"embed"
	"fmt"
	"io/fs"

	"seawall.io/seawall/internal/check"
)

//go:embed *.txtar
var files embed.FS

// Rules returns the checks on events, sorted by ID.
func Rules() ([]*check.Rule, error) {
	names, err := fs.Glob(files, "*.txtar")
	if err != nil {
		return nil, fmt.Errorf("listing the runtime checks: %w", err)
	}
	out := make([]*check.Rule, 0, len(names))
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading the runtime check %s: %w", name, err)
		}
		r, err := check.ParseRule("checks/runtime/"+name, text)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}
