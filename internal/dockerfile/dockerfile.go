// Package dockerfile reads Dockerfiles into trees that the checks judge as they
// judge Kubernetes objects: stages, instructions, the commands that RUN
// instructions run, variables and ports, each with its line. [Edit] carries the
// operations of fixes back into the text.
//
// It reads what BuildKit reads: continuation lines with comments between them,
// here-documents, the escape directive, JSON forms, stages that build on stages,
// and variables with their defaults. Shell scripts are parsed, not searched. What
// it cannot read it names in [File.Holes]; it runs nothing, and fetches nothing.
package dockerfile

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strings"

	"seawall.io/seawall/internal/document"
)

// Limits on what is read. A Dockerfile comes from strangers.
const (
	// MaxBytes is the size of the largest file, MaxInstructions how many
	// instructions it may have.
	MaxBytes        = 1 << 20
	MaxInstructions = 5000
	// maxLine is how many bytes a line may have.
	maxLine = 64 << 10
	// maxItems is how many variables, inputs and ports each are listed.
	maxItems = 5000
	// maxScript is the size of the largest script, in bytes, and maxNesting how
	// deep it may be nested: the parser of scripts is recursive.
	maxScript  = 64 << 10
	maxNesting = 200
	// maxCommands is how many commands of one file are listed.
	maxCommands = 5000
	// maxFollowing is how many of the commands after a command it knows.
	maxFollowing = 200
	// maxExpanded is the length of the longest value that variables make.
	maxExpanded = 8 << 10
)

// File is a Dockerfile that has been read.
type File struct {
	// Root is the whole file as an object of the kind Dockerfile.
	Root *document.Node
	// Holes are parts that could not be read.
	Holes []Hole
	// Foreign are parts in languages that the checks do not know, such as scripts
	// for PowerShell.
	Foreign []Hole

	text         []byte
	instructions []*instruction
	commands     []*command
}

// Hole is a part of a file that was not examined.
type Hole struct {
	Line   int // from 1
	Reason string
}

// Error says why a text is no Dockerfile.
type Error struct {
	Line int // from 1
	Msg  string
}

// Error returns line and reason.
func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Msg) }

// Parse reads a Dockerfile. name becomes the name of the object. An error is an
// *Error.
func Parse(name string, text []byte) (*File, error) {
	if len(text) > MaxBytes {
		return nil, &Error{1, fmt.Sprintf("larger than %d KiB: no Dockerfile that BuildKit would build is", MaxBytes>>10)}
	}
	s, err := read(text)
	if err != nil {
		return nil, err
	}
	f := &File{text: text, instructions: s.instructions}
	b := newBuilder(f, s)
	if err := b.stages(); err != nil {
		return nil, err
	}
	f.Root = b.tree(name)
	if len(b.declared) >= maxItems || len(b.ports) >= maxItems {
		f.Holes = append(f.Holes, Hole{1, fmt.Sprintf("more than %d variables or ports: the rest is not examined", maxItems)})
	}
	return f, nil
}

// IsName says whether a file is called as Dockerfiles are: Dockerfile,
// Containerfile, one of these with a suffix after a dot or dash, or anything that
// ends in .dockerfile or .containerfile.
func IsName(name string) bool {
	base := strings.ToLower(path.Base(strings.ReplaceAll(name, `\`, "/")))
	if strings.HasSuffix(base, ".dockerignore") || strings.HasSuffix(base, ".containerignore") {
		return false
	}
	switch path.Ext(base) {
	case ".dockerfile", ".containerfile":
		return true
	case ".md", ".go", ".py", ".js", ".ts", ".sh", ".yaml", ".yml", ".json", ".txt", ".tpl", ".tmpl", ".j2", ".in", ".template", ".erb":
		return false // about Dockerfiles, or one that something else writes
	}
	for _, stem := range []string{"dockerfile", "containerfile"} {
		rest, ok := strings.CutPrefix(base, stem)
		// Dockerfile-prod is one, dockerfile-notes.doc is about them.
		if ok && (rest == "" || rest[0] == '.' || (rest[0] == '-' || rest[0] == '_') && !strings.Contains(rest, ".")) {
			return true
		}
	}
	return false
}

var firstInstruction = regexp.MustCompile(`(?i)^(FROM\s+(--platform=\S+\s+)?[^\s:=]\S*(\s+AS\s+\S+)?|ARG\s+\w+(=.*)?)\s*$`)

// Is says whether a text without a name looks like a Dockerfile: its first line
// that is neither empty nor a comment is a FROM or an ARG.
func Is(text []byte) bool {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	for line := range bytes.Lines(text[:min(len(text), 64<<10)]) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		return firstInstruction.Match(line)
	}
	return false
}
