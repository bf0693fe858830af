// Package helm renders Helm charts into objects whose findings point back to
// the template line that wrote a field and to the chart value that decides it.
// Package chart settles sub-charts and values as Helm does; here the templates
// run: with deadlines and limits, one template's failure leaving the others
// standing, and nothing that reaches for a network, a cluster or a random
// number. It never writes, and never fetches a missing dependency.
package helm

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// Options say how a chart is to be rendered. The zero value renders what
// `helm template` does without flags.
type Options struct {
	// Values are values files, the last one strongest; Set and SetString are
	// assignments as --set and --set-string take them, stronger than any file.
	Values    []string
	Set       []string
	SetString []string
	// ReleaseName is release-name by default, Namespace is default.
	ReleaseName string
	Namespace   string
	// KubeVersion is what templates see as the cluster's version, by default
	// the one that Helm's library was built for. APIVersions are added to those
	// that a plain cluster has.
	KubeVersion string
	APIVersions []string
	// Name turns the path of a file into the name that the user knows it by.
	// By default it is the path with / between its parts.
	Name func(path string) string
	// Timeout bounds the rendering: a minute by default.
	Timeout time.Duration
	// OutputBytes bounds all text that the chart's templates write, text
	// written by included templates counted again: 64 MiB by default.
	OutputBytes int
}

// Result is what a chart renders to.
type Result struct {
	// Objects are in the order of the templates; custom resource definitions
	// from crds/ come first. Hooks are among them.
	Objects []*cluster.Object
	// Documents counts the YAML documents that hold something.
	Documents int
	// Incomplete says what could not be rendered, and why.
	Incomplete []seawall.Incomplete
	// Skipped names charts that render nothing by design.
	Skipped []seawall.Skipped
}

const (
	defaultTimeout     = time.Minute
	defaultOutputBytes = 64 << 20
	chartFile          = "Chart.yaml"
)

func (o Options) orDefault() Options {
	o.ReleaseName = cmp.Or(o.ReleaseName, "release-name")
	o.Namespace = cmp.Or(o.Namespace, "default")
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	o.OutputBytes = cmp.Or(o.OutputBytes, defaultOutputBytes)
	if o.Name == nil {
		o.Name = filepath.ToSlash
	}
	return o
}

// IsChart says whether dir is the directory of a chart.
func IsChart(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, chartFile))
	return err == nil && info.Mode().IsRegular()
}

// IsTestHook says whether an object is a test of the chart, which `helm test`
// creates on demand and `helm install` does not.
func IsTestHook(o *cluster.Object) bool {
	for hook := range strings.SplitSeq(o.Annotation("helm.sh/hook"), ",") {
		if hook = strings.TrimSpace(hook); hook == "test" || hook == "test-success" || hook == "test-failure" {
			return true
		}
	}
	return false
}

// Render renders the chart in a directory or a .tgz archive. An error says
// that nothing could be rendered; what is wrong with parts of the chart is in
// the result.
func Render(ctx context.Context, path string, opts Options) (res Result, err error) {
	opts = opts.orDefault()
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("rendering chart %s: internal error: %v: please report it with the chart", opts.Name(path), r)
		}
	}()
	loaded, err := load(path, opts.Name(path))
	if err != nil {
		return res, err
	}
	if loaded.chart.IsLibrary() {
		res.Skipped = append(res.Skipped, seawall.Skipped{
			File:   loaded.fileName(loaded.chart, chartFile),
			Reason: "a library chart renders nothing by itself: scan the charts that depend on it",
		})
		return res, nil
	}
	vals, err := loadValues(loaded, opts)
	if err != nil {
		return res, err
	}
	res.Incomplete = append(res.Incomplete, loaded.missing()...)
	res.Incomplete = append(res.Incomplete, vals.holes...)

	p := newProgram(loaded, vals, opts)
	p.addCRDs(&res)
	p.run(ctx, &res)
	if err := ctx.Err(); errors.Is(err, context.Canceled) {
		return res, fmt.Errorf("rendering chart %s: %w", opts.Name(path), err)
	}
	return res, nil
}

// addCRDs adds the objects of crds/, which Helm installs as they are.
func (p *program) addCRDs(res *Result) {
	for _, crd := range p.loaded.chart.CRDs() {
		p.addObjects(res, crd.Data, p.loaded.name(crd), nil)
	}
}

// run renders all templates and reads what they wrote.
func (p *program) run(ctx context.Context, res *Result) {
	for _, src := range p.sources {
		if src.parseErr != nil {
			res.Incomplete = append(res.Incomplete, p.hole(src, src.parseErr))
		}
	}
	r := p.newRun(ctx, nil)
	outs := make(map[*source]string, len(p.sources))
	for _, src := range p.sources {
		if !src.runs() {
			continue
		}
		out, err := r.execute(src)
		if err == nil {
			outs[src] = out
			continue
		}
		src.failed = true
		res.Incomplete = append(res.Incomplete, p.hole(src, err))
		if ctx.Err() != nil || errors.Is(err, errBudget) {
			p.stop(res, src, ctx.Err())
			break
		}
	}
	for _, src := range slices.Backward(p.sources) { // by depth and name, the reverse of the order of running
		p.read(res, src, outs[src])
	}
}

// stop names the templates that were never reached.
func (p *program) stop(res *Result, last *source, cause error) {
	why := "the chart wrote more than the limit"
	if cause != nil {
		why = "the time for this chart was used up"
	}
	for _, src := range p.sources[slices.Index(p.sources, last)+1:] {
		if src.runs() {
			src.failed = true
			res.Incomplete = append(res.Incomplete, seawall.Incomplete{
				Location: seawall.Location{File: src.name},
				Reason:   "not rendered: " + why + " in " + last.name,
			})
		}
	}
}

// read adds the objects in what one template wrote.
func (p *program) read(res *Result, src *source, out string) {
	if strings.EqualFold(filepath.Base(src.file), "NOTES.txt") || strings.TrimSpace(out) == "" {
		return
	}
	tr := &tracer{program: p, src: src, clean: out}
	p.addObjects(res, []byte(out), src.name, tr)
}

// addObjects parses rendered text. Without a tracer the text is the file.
func (p *program) addObjects(res *Result, text []byte, name string, tr *tracer) {
	for i, doc := range document.Parse(text, document.Limits{}) {
		if doc.Err != nil {
			loc := seawall.Location{File: name, Line: doc.Err.Line, Column: doc.Err.Column}
			if tr != nil {
				loc = tr.placePos(document.Pos{Line: int32(doc.Err.Line), Column: int32(max(1, doc.Err.Column))}) //nolint:gosec // lines of a text of 32 MiB
			}
			res.Documents++
			res.Incomplete = append(res.Incomplete, seawall.Incomplete{
				Location: loc,
				Reason:   "rendered to YAML that cannot be read: " + doc.Err.Msg + renderedLine(text, doc.Err.Line, tr),
			})
			continue
		}
		if doc.Root.IsNull() {
			continue
		}
		res.Documents++
		for _, o := range p.objects(res, doc.Root, name, tr) {
			o.File, o.Doc = name, i
			if tr == nil {
				o.Text = text
			} else {
				o.Place = tr.placer(o)
			}
			res.Objects = append(res.Objects, o)
		}
	}
}

// objects returns the objects of a document, those of a List one by one.
func (p *program) objects(res *Result, root *document.Node, name string, tr *tracer) []*cluster.Object {
	roots, list := []*document.Node{root}, false
	if items := root.Get("items"); items != nil && strings.HasSuffix(root.Get("kind").Str(), "List") {
		roots, list = items.List(), true
	}
	var out []*cluster.Object
	for i, root := range roots {
		if o, ok := cluster.New(root); ok {
			if list {
				o.Prefix = document.Index("items", i)
			}
			out = append(out, o)
			continue
		}
		loc := seawall.Location{File: name}
		if root != nil {
			loc.Line, loc.Column = int(root.Pos.Line), int(root.Pos.Column)
			if tr != nil {
				loc = tr.placePos(root.Pos)
			}
		}
		res.Incomplete = append(res.Incomplete, seawall.Incomplete{
			Location: loc,
			Reason:   "rendered to a document without apiVersion or kind, which Kubernetes refuses",
		})
	}
	return out
}

// renderedLine quotes the line at fault, unless it may hold a secret.
func renderedLine(text []byte, line int, tr *tracer) string {
	if tr == nil || line < 1 || bytes.Contains(text, []byte("Secret")) {
		return ""
	}
	lines := bytes.SplitN(text, []byte("\n"), line+1)
	if line > len(lines) {
		return ""
	}
	return fmt.Sprintf(" (the rendered line is %q)", bytes.TrimSpace(lines[line-1][:min(len(lines[line-1]), 120)]))
}
