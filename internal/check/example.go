package check

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/dockerfile"
	"seawall.io/seawall/internal/document"
)

// Outcome judges an example by one rule of the set and returns its findings
// one a line, as .want parts have them: LINE:COLUMN SEVERITY SUBJECT: MESSAGE.
// What could not be judged has a line too.
func (s *Set) Outcome(id string, e *Example) (string, error) {
	out, err := s.Example(id, e)
	if err != nil {
		return "", err
	}
	lines := make([]string, 0, len(out.Findings)+len(out.Incomplete))
	for i := range out.Findings {
		if out.Findings[i].Suppressed != nil {
			continue // the check itself knows what settles it
		}
		lines = append(lines, outcomeLine(out.Findings[i]))
	}
	for _, hole := range out.Incomplete {
		lines = append(lines, fmt.Sprintf("unknown %s: %s", hole.Location.Path, hole.Reason))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n"), nil
}

// Example judges an example by the one rule of a set.
func (s *Set) Example(id string, e *Example) (Result, error) {
	snap, err := e.snapshot()
	if err != nil {
		return Result{}, err
	}
	if s, err = s.withMarks(id, e); err != nil {
		return Result{}, err
	}
	out := Result{minor: e.minor()}
	for _, o := range snap.Objects {
		if !snap.Represented(o) {
			s.Object(o, cluster.PodTemplates(o), &out)
		}
	}
	s.Across(id, snap, &out)
	return out, nil
}

// The marks that the comment lines before an example may have: wholeMark where
// it is to be judged as a whole cluster, minorMark and a number where for that
// minor version of Kubernetes and not for the newest, paramsMark and a YAML
// mapping where with these parameters.
const (
	wholeMark  = "# whole"
	minorMark  = "# minor "
	paramsMark = "# params "
)

// mark returns what follows a mark on its line.
func (e *Example) mark(mark string) (rest string, found bool) {
	for line := range strings.Lines(string(e.Text)) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		if rest, found = strings.CutPrefix(line, mark); found {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}

func (e *Example) minor() int64 {
	text, _ := e.mark(minorMark)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// withMarks returns the set that judges an example: another one where the
// example has parameters of its own.
func (s *Set) withMarks(id string, e *Example) (*Set, error) {
	text, found := e.mark(paramsMark)
	if !found {
		return s, nil
	}
	docs := document.Parse([]byte(text), document.Limits{})
	if len(docs) != 1 || docs[0].Err != nil {
		return nil, fmt.Errorf("%s: want a YAML mapping after %q", e.Name, paramsMark)
	}
	params, ok := docs[0].Root.Value().(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: want a YAML mapping after %q", e.Name, paramsMark)
	}
	out := &Set{minor: s.minor, interpreter: s.interpreter, byKind: map[string][]*active{}}
	for _, a := range s.rules {
		if a.ID != id {
			continue
		}
		r, err := a.WithParams(params)
		if err != nil {
			return nil, err
		}
		out.add(newActive(r, a.fn))
	}
	return out, nil
}

func (e *Example) snapshot() (*cluster.Snapshot, error) {
	if dockerfile.IsName(e.Name) {
		return e.dockerfile()
	}
	var objects []*cluster.Object
	for i, d := range document.Parse(e.Text, document.Limits{}) {
		if d.Err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name, d.Err)
		}
		if d.Root == nil {
			continue
		}
		o, ok := cluster.New(d.Root)
		if !ok {
			return nil, fmt.Errorf("%s: line %d: a document without apiVersion or kind", e.Name, d.Start)
		}
		o.File, o.Text, o.Doc = e.Name, e.Text, i
		objects = append(objects, o)
	}
	if len(objects) == 0 {
		return nil, fmt.Errorf("%s: no objects", e.Name)
	}
	snap := cluster.NewSnapshot(objects)
	_, snap.Whole = e.mark(wholeMark)
	return snap, nil
}

// dockerfile is the snapshot of an example that is a Dockerfile.
func (e *Example) dockerfile() (*cluster.Snapshot, error) {
	f, err := dockerfile.Parse(e.Name, e.Text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Name, err)
	}
	o, _ := cluster.New(f.Root)
	o.File, o.Text = e.Name, e.Text
	return cluster.NewSnapshot([]*cluster.Object{o}), nil
}

func outcomeLine(f *seawall.Finding) string {
	container := ""
	if f.Subject.Container != "" {
		container = fmt.Sprintf(" container %q", f.Subject.Container)
	}
	return fmt.Sprintf("%d:%d %s %s%s: %s", f.Location.Line, f.Location.Column, f.Severity, f.Subject, container, f.Message)
}
