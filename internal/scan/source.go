package scan

import (
	"os"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/manifest"
)

// sources gives the texts of files: those that were read as they stand, and
// templates, which are read again when somebody asks.
type sources struct{ texts map[string][]byte }

func newSources(snaps []*cluster.Snapshot) *sources {
	s := &sources{texts: map[string][]byte{}}
	for _, snap := range snaps {
		for _, o := range snap.Objects {
			if o.Text != nil {
				s.texts[o.File] = o.Text
			}
		}
	}
	return s
}

func (s *sources) text(file string) []byte {
	if text, known := s.texts[file]; known {
		return text
	}
	var text []byte
	if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Size() <= manifest.MaxFileBytes {
		if text, err = os.ReadFile(file); err != nil {
			text = nil
		}
	}
	s.texts[file] = text
	return text
}

// Source returns the text of a line of a file in the report, counted from 1. A
// line that a check found a credential on is not repeated: reports travel.
func (r *Result) Source() func(file string, line int) (string, bool) {
	lines := map[string][]string{}
	type place struct {
		file string
		line int
	}
	hidden := map[place]bool{}
	for _, f := range r.Findings {
		if r.conceal[f.Check] {
			hidden[place{f.Location.File, f.Location.Line}] = true
		}
	}
	return func(file string, line int) (string, bool) {
		if hidden[place{file, line}] {
			return "(the line is not shown: it holds a credential)", true
		}
		split, known := lines[file]
		if !known {
			split = splitLines(r.sources.text(file))
			lines[file] = split
		}
		if line < 1 || line > len(split) {
			return "", false
		}
		return split[line-1], true
	}
}

func splitLines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	return strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
}
