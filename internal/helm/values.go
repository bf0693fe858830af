package helm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"helm.sh/helm/v4/pkg/strvals"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/helm/chart"
)

// values are the values of a chart and of its sub-charts, with the texts that
// they were read from.
type values struct {
	top   chart.Values // what templates see as the root: Values, Release, ...
	files []valuesFile // given by the user, the last strongest
	set   map[string]any
	holes []seawall.Incomplete
}

// valuesFile is a text that sets values. It is parsed with positions when a
// finding asks for a place in it.
type valuesFile struct {
	name string
	docs func() []document.Doc
}

func newValuesFile(name string, text []byte) valuesFile {
	return valuesFile{name: name, docs: sync.OnceValue(func() []document.Doc {
		return document.Parse(text, document.Limits{})
	})}
}

// loadValues merges the user's values into those of the chart, and settles
// which sub-charts take part. It changes the loaded chart.
func loadValues(l *loadedChart, opts Options) (*values, error) {
	v := &values{}
	given, err := v.read(opts)
	if err != nil {
		return nil, err
	}
	if err := l.chart.Settle(given); err != nil {
		return nil, fmt.Errorf("settling the dependencies of chart %s: %w: check the conditions and import-values in its Chart.yaml", l.dir, err)
	}
	caps, err := capabilities(opts)
	if err != nil {
		return nil, err
	}
	merged, err := l.chart.Coalesce(given)
	if err != nil {
		return nil, fmt.Errorf("merging the values of chart %s: %w", l.dir, err)
	}
	v.top = chart.Values{
		"Values":       merged,
		"Capabilities": caps,
		"Release": map[string]any{
			"Name": opts.ReleaseName, "Namespace": opts.Namespace, "Revision": 1,
			"IsInstall": true, "IsUpgrade": false, "Service": "Helm",
		},
	}
	if err := v.validate(l, l.chart, merged); err != nil {
		return nil, err
	}
	v.checkVersion(l, caps)
	return v, nil
}

// read merges values files and assignments, as helm's command line does.
func (v *values) read(opts Options) (map[string]any, error) {
	given := map[string]any{}
	for _, path := range opts.Values {
		name := opts.Name(path)
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading values file %s: %w", name, err)
		}
		one, err := chart.ReadValues(text)
		if err != nil {
			return nil, fmt.Errorf("reading values file %s: %w", name, err)
		}
		given = chart.Override(given, one)
		v.files = append(v.files, newValuesFile(name, text))
	}
	v.set = map[string]any{}
	for _, into := range []map[string]any{given, v.set} {
		for _, s := range opts.Set {
			if err := strvals.ParseInto(s, into); err != nil {
				return nil, fmt.Errorf("reading --set %s: %w: write path.to.value=new", s, err)
			}
		}
		for _, s := range opts.SetString {
			if err := strvals.ParseIntoString(s, into); err != nil {
				return nil, fmt.Errorf("reading --set-string %s: %w: write path.to.value=new", s, err)
			}
		}
	}
	return given, nil
}

func capabilities(opts Options) (*chart.Capabilities, error) {
	caps := chart.DefaultCapabilities()
	caps.APIVersions = append(caps.APIVersions, opts.APIVersions...)
	if opts.KubeVersion != "" {
		kv, err := chart.ParseKubeVersion(opts.KubeVersion)
		if err != nil {
			return nil, fmt.Errorf("reading the Kubernetes version %q: %w: write 1.34 or v1.34.2", opts.KubeVersion, err)
		}
		caps.KubeVersion = kv
	}
	return caps, nil
}

// checkVersion reports a chart that Helm would refuse to install on the
// cluster's version. Its templates are rendered all the same.
func (v *values) checkVersion(l *loadedChart, caps *chart.Capabilities) {
	want := l.chart.Metadata.KubeVersion
	if want == "" || chart.InRange(want, caps.KubeVersion.String()) {
		return
	}
	v.holes = append(v.holes, seawall.Incomplete{
		Location: seawall.Location{File: l.fileName(l.chart, chartFile)},
		Reason: fmt.Sprintf("the chart is for Kubernetes %s and was rendered for %s: give the version of the cluster with --kube-version",
			want, caps.KubeVersion.String()),
	})
}

// validate checks values against the schemas of a chart and its sub-charts.
// Schemas that refer elsewhere are not fetched.
func (v *values) validate(l *loadedChart, c *chart.Chart, vals map[string]any) error {
	if c.Schema != nil {
		name := l.fileName(c, "values.schema.json")
		err := validateSchema(c.Schema, vals)
		var invalid *jsonschema.ValidationError
		switch {
		case errors.As(err, &invalid):
			return fmt.Errorf("the values of chart %s do not meet %s:%s: correct them in the values file or with --set",
				c.FullPath(), name, schemaFaults(invalid))
		case err != nil:
			v.holes = append(v.holes, seawall.Incomplete{
				Location: seawall.Location{File: name},
				Reason:   fmt.Sprintf("the values were not validated: %v", err),
			})
		}
	}
	for _, d := range c.Dependencies() {
		if sub, ok := vals[d.Name()].(map[string]any); ok {
			if err := v.validate(l, d, sub); err != nil {
				return err
			}
		}
	}
	return nil
}

// offline refuses to load what a schema refers to.
type offline struct{}

// Load returns an error.
func (offline) Load(url string) (any, error) {
	return nil, fmt.Errorf("the schema refers to %s, which is not fetched: put what it needs into the schema itself", url)
}

func validateSchema(schema []byte, vals map[string]any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the schema cannot be used: %v", r)
		}
	}()
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return fmt.Errorf("the schema is no JSON: %w", err)
	}
	const url = "file:///values.schema.json"
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(offline{})
	if err := compiler.AddResource(url, tree); err != nil {
		return fmt.Errorf("the schema cannot be used: %w", err)
	}
	compiled, err := compiler.Compile(url)
	if err != nil {
		return err
	}
	return compiled.Validate(chart.Values(vals).AsMap())
}

// schemaFaults lists what is wrong, one line each, without the schema's URL.
func schemaFaults(err *jsonschema.ValidationError) string {
	_, rest, found := strings.Cut(err.Error(), "\n")
	if !found {
		return " " + err.Error()
	}
	return "\n" + rest
}

// find returns the place that decides the value at path, a path from the root
// of all values: where it is set, else where the closest of its parents is. scope names the sub-charts from the root chart to the one
// whose template uses the value.
func (p *program) find(scope *scope, path valuePath) seawall.ChartValue {
	out := seawall.ChartValue{Path: path.set()}
	if v, ok := lookup(p.values.set, path); ok {
		if _, part := v.(map[string]any); !part {
			return out // set on the command line
		}
	}
	type candidate struct {
		file valuesFile
		path valuePath
	}
	var order []candidate
	for _, f := range slices.Backward(p.values.files) {
		order = append(order, candidate{f, path})
	}
	for _, s := range scope.fromRoot() {
		if rel, ok := s.relative(path); ok && s.defaults.docs != nil {
			order = append(order, candidate{s.defaults, rel})
		}
	}
	least := len(path) + 1
	for _, c := range order {
		depth, pos := deepest(c.file.docs(), c.path)
		if lacks := len(c.path) - depth; depth > 0 && lacks < least {
			least, out.File, out.Line = lacks, c.file.name, int(pos.Line)
		}
		if least == 0 {
			break
		}
	}
	return out
}

// deepest returns how many steps of a path exist in the last document that
// has most of them, and where the last of them stands.
func deepest(docs []document.Doc, path valuePath) (steps int, pos document.Pos) {
	for _, doc := range slices.Backward(docs) {
		n := doc.Root
		for i, step := range path {
			var at document.Pos
			if n, at = step.in(n); n == nil {
				break
			}
			if i+1 > steps {
				steps, pos = i+1, at
			}
		}
	}
	return steps, pos
}

// valuePath leads from the root of values to one of them.
type valuePath []valueStep

// valueStep is a key of a map or an index of a list. nth is set for an
// iteration whose range may go over a list or, in the order of its keys, over
// a map.
type valueStep struct {
	key   string
	index int
	kind  stepKind
}

type stepKind uint8

const (
	stepKey stepKind = iota
	stepIndex
	stepNth
)

func (s valueStep) in(n *document.Node) (*document.Node, document.Pos) {
	if n == nil {
		return nil, document.Pos{}
	}
	if s.kind == stepKey {
		for _, f := range n.Map() {
			if f.Key == s.key {
				return f.Value, f.Pos
			}
		}
		return nil, document.Pos{}
	}
	if s.index < 0 || s.index >= len(n.List()) {
		return nil, document.Pos{}
	}
	return n.List()[s.index], n.List()[s.index].Pos
}

// set returns the path as --set takes it.
func (p valuePath) set() string {
	var b strings.Builder
	for i, s := range p {
		if s.kind != stepKey {
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
			continue
		}
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(strings.NewReplacer(`\`, `\\`, ".", `\.`, ",", `\,`, "=", `\=`, "[", `\[`).Replace(s.key))
	}
	return b.String()
}

// lookup returns the value at path and whether there is one.
func lookup(v any, path valuePath) (any, bool) {
	for _, s := range path {
		switch m := v.(type) {
		case map[string]any:
			next, ok := m[s.key]
			if !ok || s.kind != stepKey {
				return nil, false
			}
			v = next
		case chart.Values:
			next, ok := m[s.key]
			if !ok || s.kind != stepKey {
				return nil, false
			}
			v = next
		case []any:
			if s.kind == stepKey || s.index < 0 || s.index >= len(m) {
				return nil, false
			}
			v = m[s.index]
		default:
			return nil, false
		}
	}
	return v, true
}
