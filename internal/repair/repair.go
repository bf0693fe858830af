// Package repair is the service behind `seawall fix`: it carries out the fixes
// that findings bring, in the text of the files, and scans again until nothing
// more can be fixed. It writes nothing: the caller shows the files or writes
// them.
package repair

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/dockerfile"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/patch"
	"seawall.io/seawall/internal/scan"
)

// File is one file that changes.
type File struct {
	Name          string
	Before, After []byte
	// New says that the file does not exist yet.
	New bool
	// Fixed are the findings that the change removes.
	Fixed []*seawall.Finding
}

// Left is a finding that was not fixed, and why.
type Left struct {
	Finding seawall.Finding
	Reason  string
}

// Result is what can be changed.
type Result struct {
	Files []File
	// Left are the findings that have a fix which could not be carried out here.
	Left []Left
	// Unfixable counts the findings that no mechanical fix removes.
	Unfixable int
	// Report is that of the scan after all changes.
	Report *seawall.Report
}

// maxPasses bounds how often a changed file is scanned and changed again: a fix
// may make room for another one, never for many.
const maxPasses = 5

// Run plans all changes.
func Run(ctx context.Context, o scan.Options) (*Result, error) {
	r := &repairer{options: o, files: map[string]*File{}, refused: map[string]string{}, denies: map[string]string{}}
	r.options.Overlay = map[string][]byte{}
	first, err := scan.Run(ctx, r.options)
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what it was doing
	}
	last := first
	for range maxPasses {
		if !r.pass(last) {
			break
		}
		if last, err = scan.Run(ctx, r.options); err != nil {
			return nil, fmt.Errorf("scanning the changed files: %w", err)
		}
	}
	return r.result(first, last), nil
}

// repairer is one run.
type repairer struct {
	options scan.Options
	files   map[string]*File
	refused map[string]string // finding ID and place: why not
	denies  map[string]string // likewise: the file of policies that answers it
}

// pass applies the fixes of one scan and reports whether anything changed.
func (r *repairer) pass(s *scan.Result) bool {
	edits := map[string]*edit{}
	for i := range s.Findings {
		f, o := s.Findings[i], s.Objects[i]
		if f.Suppressed != nil || len(f.Fix) == 0 || o.Text == nil || r.refused[key(f)] != "" {
			continue
		}
		e := edits[o.File]
		if e == nil {
			e = &edit{editor: editorOf(o), text: o.Text}
			edits[o.File] = e
		}
		e.findings = append(e.findings, f)
		if err := e.Add(o.Doc, below(o.Prefix, f.Fix)...); err != nil {
			r.refuse(f, err)
		}
	}
	changed := false
	for name, e := range edits {
		after, refused := e.Apply(e.text)
		for _, no := range refused {
			if no.Fix >= 0 && no.Fix < len(e.findings) {
				r.refuse(e.findings[no.Fix], no)
			}
		}
		if string(after) == string(e.text) {
			continue
		}
		if r.files[name] == nil {
			r.files[name] = &File{Name: name, Before: e.text}
		}
		r.files[name].After = after
		r.options.Overlay[name] = after
		changed = true
	}
	return r.denyByDefault(s) || changed
}

// editor carries fixes out in the text of one file.
type editor interface {
	Add(doc int, ops ...seawall.PatchOp) error
	Apply(text []byte) ([]byte, []*patch.Refusal)
}

// editorOf returns the editor for the file in which an object stands.
func editorOf(o *cluster.Object) editor {
	if o.GVK() == "seawall.io/v1/Dockerfile" {
		return &dockerfile.Edit{}
	}
	return &patch.Edit{}
}

// edit is the change of one file, with the finding of each fix added.
type edit struct {
	editor
	text     []byte
	findings []*seawall.Finding
}

func (r *repairer) refuse(f *seawall.Finding, err error) { r.refused[key(f)] = err.Error() }

// key tells findings apart within one run, those of equal objects in two files
// too.
func key(f *seawall.Finding) string { return f.ID + "\x00" + f.Location.File }

// below moves operations on an object to where the object stands in its
// document.
func below(prefix string, ops []seawall.PatchOp) []seawall.PatchOp {
	if prefix == "" {
		return ops
	}
	out := slices.Clone(ops)
	for i := range out {
		out[i].Path = document.Pointer(prefix) + out[i].Path
	}
	return out
}

// result compares the first scan with the last.
func (r *repairer) result(first, last *scan.Result) *Result {
	out := &Result{Report: last.Report}
	still := map[string]bool{}
	for i := range last.Findings {
		still[key(last.Findings[i])] = true
	}
	for i := range first.Findings {
		f, o := first.Findings[i], first.Objects[i]
		switch {
		case f.Suppressed != nil:
		case !still[key(f)]:
			name := o.File
			if deny := r.denies[key(f)]; deny != "" {
				name = deny
			}
			if file := r.files[name]; file != nil {
				file.Fixed = append(file.Fixed, f)
			}
		case len(f.Fix) == 0 && r.refused[key(f)] == "":
			out.Unfixable++
		default:
			out.Left = append(out.Left, Left{*f, r.whyNot(f, o)})
		}
	}
	for _, f := range r.files {
		out.Files = append(out.Files, *f)
	}
	slices.SortFunc(out.Files, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// whyNot says why a finding with a fix is still there.
func (r *repairer) whyNot(f *seawall.Finding, o *cluster.Object) string {
	switch {
	case r.refused[key(f)] != "":
		return r.refused[key(f)]
	case f.Location.Value != nil:
		v := f.Location.Value
		where := ""
		if v.File != "" {
			where = " (" + seawall.Location{File: v.File, Line: v.Line}.String() + ")"
		}
		if to, ok := wanted(f); ok {
			return fmt.Sprintf("made from a chart: set the value %s%s to %s", v.Path, where, to)
		}
		return fmt.Sprintf("made from a chart: change the value %s%s", v.Path, where)
	case o.File == "":
		return "a live object: change the manifest that it was made from"
	case o.Text == nil:
		return "made by a template or kustomization: change " + strings.TrimSpace(f.Location.String())
	}
	return "the change did not remove the finding: make it by hand"
}

// wanted returns, as JSON, what the fix puts where the finding stands, if the
// chart's value is all of that and not a part of it, as a tag is of an image.
func wanted(f *seawall.Finding) (string, bool) {
	_, field, _ := document.Parent(f.Location.Path)
	if _, name, _ := document.Parent(f.Location.Value.Path); name != field {
		return "", false
	}
	for _, op := range f.Fix {
		below, ok := strings.CutPrefix(document.Pointer(f.Location.Path), op.Path)
		if !ok || op.Op == "remove" {
			continue
		}
		value := op.Value
		for key := range strings.SplitSeq(strings.TrimPrefix(below, "/"), "/") {
			if m, nested := value.(map[string]any); nested && key != "" {
				value = m[key]
			}
		}
		if text, err := json.Marshal(value); err == nil && value != nil {
			return string(text), true
		}
	}
	return "", false
}
