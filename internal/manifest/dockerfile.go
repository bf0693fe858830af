package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/dockerfile"
	"seawall.io/seawall/internal/document"
)

// isDockerfile tells Dockerfiles by name, and what has no name that tells, as
// standard input, by content.
func isDockerfile(name string, text []byte) bool {
	if dockerfile.IsName(name) {
		return true
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".yaml", ".yml", ".json":
		return false
	}
	return dockerfile.Is(text)
}

// dockerfile reads a Dockerfile.
func (f *File) dockerfile(text []byte) {
	parsed, err := dockerfile.Parse(f.Name, text)
	if err != nil {
		f.noDockerfile(text, err)
		return
	}
	o, _ := cluster.New(parsed.Root)
	o.File, o.Text = f.Name, text
	f.Objects = append(f.Objects, o)
	f.Documents++
	for _, h := range parsed.Holes {
		f.incomplete(document.Pos{Line: int32(h.Line)}, "%s", h.Reason) //nolint:gosec // bounded by the size limit
	}
	for _, h := range parsed.Foreign {
		f.Skipped = append(f.Skipped, seawall.Skipped{File: f.Name, Reason: fmt.Sprintf("line %d: %s", h.Line, h.Reason)})
	}
}

// noDockerfile accounts for a file that is called as Dockerfiles are and is none.
func (f *File) noDockerfile(text []byte, err error) {
	if isTemplate(text) || bytes.Contains(text, []byte("<%")) {
		f.Skipped = append(f.Skipped, seawall.Skipped{File: f.Name, Reason: "a template of a Dockerfile: scan what it becomes"})
		return
	}
	pos, reason := document.Pos{}, err.Error()
	if broken, ok := errors.AsType[*dockerfile.Error](err); ok {
		pos.Line, reason = int32(broken.Line), broken.Msg //nolint:gosec // bounded by the size limit
	}
	f.incomplete(pos, "no Dockerfile that can be built: %s", reason)
}
