package check

import (
	"bytes"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// Outcome judges an example by one rule of the set and returns its findings
// one a line, as .want parts have them: LINE:COLUMN SEVERITY SUBJECT: MESSAGE.
// What could not be judged is an error.
func (s *Set) Outcome(id string, e *Example) (string, error) {
	snap, err := e.snapshot()
	if err != nil {
		return "", err
	}
	out := Result{minor: e.minor()}
	for _, o := range snap.Objects {
		var templates []cluster.PodTemplate
		if snap.Controller(o) == nil {
			templates = cluster.PodTemplates(o)
		}
		s.Object(o, templates, &out)
	}
	s.Across(id, snap, &out)
	var lines []string
	for i := range out.Findings {
		if f := &out.Findings[i]; f.Check == id {
			lines = append(lines, outcomeLine(f))
		}
	}
	for _, hole := range out.Incomplete {
		lines = append(lines, fmt.Sprintf("unknown %s: %s", hole.Location.Path, hole.Reason))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n"), nil
}

// The marks that the first line of an example may have: wholeMark where it is
// to be judged as a whole cluster, minorMark and a number where for that minor
// version of Kubernetes and not for the newest.
const (
	wholeMark = "# whole"
	minorMark = "# minor "
)

func (e *Example) minor() int64 {
	line, _, _ := strings.Cut(string(e.Text), "\n")
	text, ok := strings.CutPrefix(line, minorMark)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (e *Example) snapshot() (*cluster.Snapshot, error) {
	var objects []*cluster.Object
	for _, d := range document.Parse(e.Text, document.Limits{}) {
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
		o.File = e.Name
		objects = append(objects, o)
	}
	if len(objects) == 0 {
		return nil, fmt.Errorf("%s: no objects", e.Name)
	}
	snap := cluster.NewSnapshot(objects)
	snap.Whole = bytes.HasPrefix(e.Text, []byte(wholeMark))
	return snap, nil
}

func outcomeLine(f *seawall.Finding) string {
	container := ""
	if f.Subject.Container != "" {
		container = fmt.Sprintf(" container %q", f.Subject.Container)
	}
	return fmt.Sprintf("%d:%d %s %s%s: %s", f.Location.Line, f.Location.Column, f.Severity, f.Subject, container, f.Message)
}
