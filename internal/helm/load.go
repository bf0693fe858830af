package helm

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	"helm.sh/helm/v4/pkg/ignore"
	"sigs.k8s.io/yaml"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/helm/chart"
)

const (
	maxChartBytes = 100 << 20 // as Helm's own loader
	maxChartFiles = 20_000
	maxNesting    = 16 // archives within archives, charts by file:// within charts
)

// loadedChart is a chart with the names of the files that it was read from.
type loadedChart struct {
	chart *chart.Chart
	// names maps the first byte of a file's content to the file's name. Helm
	// copies charts and renames aliases but never copies file contents, so the
	// address is what survives.
	names map[*byte]string
	dir   string // how the user named the chart
	holes []seawall.Incomplete
}

// name returns the name that the user knows a file of the chart by.
func (l *loadedChart) name(f *chart.File) string {
	if len(f.Data) > 0 {
		if name := l.names[&f.Data[0]]; name != "" {
			return name
		}
	}
	return path.Join(l.dir, f.Name)
}

// fileName returns the name of one of a chart's files, "" when it has none of
// that name.
func (l *loadedChart) fileName(c *chart.Chart, file string) string {
	for _, f := range c.Raw {
		if f.Name == file {
			return l.name(f)
		}
	}
	return ""
}

// missing reports enabled dependencies that are not in charts/. It is to be
// called after conditions and tags were applied.
func (l *loadedChart) missing() []seawall.Incomplete {
	out := slices.Clone(l.holes)
	var walk func(c *chart.Chart)
	walk = func(c *chart.Chart) {
		for _, want := range c.Metadata.Dependencies {
			has := slices.ContainsFunc(c.Dependencies(), func(d *chart.Chart) bool { return d.Name() == want.Name })
			if has {
				continue
			}
			file := l.fileName(c, chartFile)
			out = append(out, seawall.Incomplete{
				Location: seawall.Location{File: file},
				Reason: fmt.Sprintf("dependency %s %s of chart %s is not in charts/ and was not rendered: run `helm dependency build %s` first",
					want.Name, want.Version, c.Name(), path.Dir(file)),
			})
		}
		for _, d := range c.Dependencies() {
			walk(d)
		}
	}
	walk(l.chart)
	return out
}

// load reads the chart at path on disk, which the user calls name.
func load(path, name string) (*loadedChart, error) {
	l := &loadedChart{names: make(map[*byte]string), dir: name}
	files, err := l.read(path, name, 0)
	if err != nil {
		return nil, fmt.Errorf("reading chart %s: %w", name, err)
	}
	l.chart, err = chart.Load(files)
	if err != nil {
		return nil, fmt.Errorf("reading chart %s: %w: correct it, `helm lint %s` names the place", name, err, name)
	}
	return l, nil
}

// read returns the files of the chart at disk, those of archived and of local
// sub-charts included.
func (l *loadedChart) read(disk, name string, depth int) ([]*archive.BufferedFile, error) {
	info, err := os.Stat(disk)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		text, err := os.ReadFile(disk)
		if err != nil {
			return nil, err
		}
		return l.unpack(text, name, depth)
	}
	files, err := readDir(disk)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(files, func(f *archive.BufferedFile) bool { return f.Name == chartFile }) {
		return nil, errors.New("there is no Chart.yaml: name the directory that holds it")
	}
	files, err = l.finish(files, name, depth)
	if err != nil {
		return nil, err
	}
	return l.addLocal(files, disk, name, depth)
}

// unpack reads a chart archive.
func (l *loadedChart) unpack(text []byte, name string, depth int) ([]*archive.BufferedFile, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("%s: archives nest deeper than %d levels", name, maxNesting)
	}
	files, err := archive.LoadArchiveFiles(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("unpacking %s: %w", name, err)
	}
	if len(files) > maxChartFiles {
		return nil, fmt.Errorf("%s holds more than %d files", name, maxChartFiles)
	}
	return l.finish(files, name, depth)
}

// finish names files and replaces the archives in charts/ by what they hold.
func (l *loadedChart) finish(files []*archive.BufferedFile, name string, depth int) ([]*archive.BufferedFile, error) {
	out := make([]*archive.BufferedFile, 0, len(files))
	for _, f := range files {
		full := path.Join(name, f.Name)
		if isSubArchive(f.Name) {
			inner, err := l.unpack(f.Data, full, depth+1)
			if err != nil {
				return nil, err
			}
			dir := strings.TrimSuffix(f.Name, ".tgz")
			for _, in := range inner {
				in.Name = path.Join(dir, in.Name)
			}
			out = append(out, inner...)
			continue
		}
		if path.Base(f.Name) == chartFile {
			f.Data = asV2(f.Data)
		}
		if len(f.Data) > 0 {
			l.names[&f.Data[0]] = full
		}
		out = append(out, f)
	}
	return out, nil
}

// isSubArchive says whether a file of a chart is a packed sub-chart of it or
// of one of its sub-charts.
func isSubArchive(name string) bool {
	return strings.HasSuffix(name, ".tgz") && path.Base(path.Dir(name)) == "charts" &&
		!strings.HasPrefix(path.Base(name), "_") && !strings.HasPrefix(path.Base(name), ".")
}

// asV2 lets a chart of apiVersion v3 be loaded. Version 3 of the format is an
// experiment inside Helm; what differs does not touch rendering.
func asV2(text []byte) []byte {
	return regexp.MustCompile(`(?m)^apiVersion:[ \t]*["']?v3["']?[ \t]*(#.*)?\r?$`).ReplaceAll(text, []byte("apiVersion: v2"))
}

// addLocal adds the dependencies that Chart.yaml names by file:// and that
// are not in charts/ yet, as `helm dependency build` would.
func (l *loadedChart) addLocal(files []*archive.BufferedFile, disk, name string, depth int) ([]*archive.BufferedFile, error) {
	if depth >= maxNesting {
		return files, nil
	}
	present := subchartNames(files)
	for _, dep := range declared(files) {
		dir, ok := strings.CutPrefix(dep.Repository, "file://")
		if !ok || present[dep.Name] || !filepath.IsLocal(dep.Name) {
			continue
		}
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(disk, filepath.FromSlash(dir))
		}
		if !IsChart(dir) {
			continue // reported as missing
		}
		shown := path.Clean(path.Join(name, strings.TrimPrefix(dep.Repository, "file://")))
		inner, err := l.read(dir, shown, depth+1)
		if err != nil {
			l.holes = append(l.holes, seawall.Incomplete{
				Location: seawall.Location{File: path.Join(name, chartFile)},
				Reason:   fmt.Sprintf("reading dependency %s from %s: %v", dep.Name, dep.Repository, err),
			})
			continue
		}
		present[dep.Name] = true
		for _, in := range inner {
			in.Name = path.Join("charts", dep.Name, in.Name)
		}
		files = append(files, inner...)
	}
	return files, nil
}

// declared returns the dependencies of Chart.yaml or requirements.yaml.
func declared(files []*archive.BufferedFile) []*chart.Dependency {
	var out []*chart.Dependency
	for _, f := range files {
		if f.Name != chartFile && f.Name != "requirements.yaml" {
			continue
		}
		var meta chart.Metadata
		if yaml.Unmarshal(f.Data, &meta) == nil { // Helm's loader reports what is wrong
			out = append(out, meta.Dependencies...)
		}
	}
	return slices.DeleteFunc(out, func(d *chart.Dependency) bool { return d == nil })
}

// subchartNames returns the names of the charts directly in charts/.
func subchartNames(files []*archive.BufferedFile) map[string]bool {
	names := make(map[string]bool)
	for _, f := range files {
		if path.Base(f.Name) != chartFile || strings.Count(f.Name, "/") != 2 || !strings.HasPrefix(f.Name, "charts/") {
			continue
		}
		var meta chart.Metadata
		if yaml.Unmarshal(f.Data, &meta) == nil {
			names[meta.Name] = true
		}
	}
	return names
}

// readDir reads the files of a chart directory that .helmignore lets through.
// Symbolic links are followed as Helm does, but not out of reason: a link to a
// directory that holds it ends at the limit on files.
func readDir(dir string) ([]*archive.BufferedFile, error) {
	rules := ignore.Empty()
	if r, err := ignore.ParseFile(filepath.Join(dir, ignore.HelmIgnore)); err == nil {
		rules = r
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading %s: %w", ignore.HelmIgnore, err)
	}
	rules.AddDefaults()
	w := dirWalk{rules: rules, left: maxChartBytes}
	if err := w.walk(dir, "", 0); err != nil {
		return nil, err
	}
	return w.files, nil
}

type dirWalk struct {
	rules *ignore.Rules
	files []*archive.BufferedFile
	left  int64
}

func (w *dirWalk) walk(disk, name string, depth int) error {
	if depth > 2*maxNesting {
		return fmt.Errorf("%s: directories nest too deep", name)
	}
	entries, err := os.ReadDir(disk)
	if err != nil {
		return err
	}
	for _, e := range entries {
		full, inner := filepath.Join(disk, e.Name()), path.Join(name, e.Name())
		info, err := os.Stat(full)
		if err != nil {
			return fmt.Errorf("%s: %w", inner, err)
		}
		if w.rules.Ignore(inner, info) {
			continue
		}
		if info.IsDir() {
			if err := w.walk(full, inner, depth+1); err != nil {
				return err
			}
			continue
		}
		if err := w.file(full, inner, info); err != nil {
			return err
		}
	}
	return nil
}

func (w *dirWalk) file(disk, name string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file: remove it or list it in .helmignore", name)
	}
	if w.left -= info.Size(); w.left < 0 || len(w.files) >= maxChartFiles {
		return fmt.Errorf("the chart holds more than %d MiB or %d files: list what it does not need in .helmignore",
			maxChartBytes>>20, maxChartFiles)
	}
	text, err := os.ReadFile(disk)
	if err != nil {
		return err
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	w.files = append(w.files, &archive.BufferedFile{Name: name, ModTime: info.ModTime(), Data: text})
	return nil
}
