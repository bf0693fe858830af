// Package chart holds Helm charts in memory for the templates' engine: what
// files a chart is made of, which of its sub-charts take part, and what values
// each of them gets. It does as Helm 4 does, null for null; tests and fuzzing
// hold it against Helm's own packages, which are not linked because they bring
// the Go types of every Kubernetes API along. It reads no disk and no network.
package chart

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	"sigs.k8s.io/yaml"
)

// Files of a chart that have a meaning of their own.
const (
	metadataFile     = "Chart.yaml"
	lockFile         = "Chart.lock"
	valuesFile       = "values.yaml"
	schemaFile       = "values.schema.json"
	requirementsFile = "requirements.yaml" // of apiVersion v1
	requirementsLock = "requirements.lock"
)

// Chart is a chart with its sub-charts.
type Chart struct {
	Raw       []*File // all files
	Templates []*File // those in templates/
	Files     []*File // those that templates read through .Files, and crds/
	Metadata  *Metadata
	Values    map[string]any // its defaults
	Schema    []byte         // values.schema.json

	parent *Chart
	subs   []*Chart
}

// File is a file of a chart, named from the chart's directory.
type File struct {
	Name string
	Data []byte
}

// Metadata is Chart.yaml.
type Metadata struct {
	Name         string            `json:"name,omitempty"`
	Home         string            `json:"home,omitempty"`
	Sources      []string          `json:"sources,omitempty"`
	Version      string            `json:"version,omitempty"`
	Description  string            `json:"description,omitempty"`
	Keywords     []string          `json:"keywords,omitempty"`
	Maintainers  []*Maintainer     `json:"maintainers,omitempty"`
	Icon         string            `json:"icon,omitempty"`
	APIVersion   string            `json:"apiVersion,omitempty"`
	Condition    string            `json:"condition,omitempty"`
	Tags         string            `json:"tags,omitempty"`
	AppVersion   string            `json:"appVersion,omitempty"`
	Deprecated   bool              `json:"deprecated,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	KubeVersion  string            `json:"kubeVersion,omitempty"`
	Dependencies []*Dependency     `json:"dependencies,omitempty"`
	Type         string            `json:"type,omitempty"`
}

// Maintainer is a person in Chart.yaml.
type Maintainer struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
	URL   string `json:"url,omitempty"`
}

// Dependency is a sub-chart as Chart.yaml asks for it.
type Dependency struct {
	Name         string   `json:"name"`
	Version      string   `json:"version,omitempty"`
	Repository   string   `json:"repository"`
	Condition    string   `json:"condition,omitempty"`
	Tags         []string `json:"tags,omitempty"`
	Enabled      bool     `json:"enabled,omitempty"`
	ImportValues []any    `json:"import-values,omitempty"`
	Alias        string   `json:"alias,omitempty"`
}

// Load puts a chart together from its files. Archives in charts/ must have
// been replaced by what they hold.
func Load(files []*archive.BufferedFile) (*Chart, error) {
	c := &Chart{}
	for _, f := range files {
		c.Raw = append(c.Raw, &File{Name: f.Name, Data: f.Data})
		if f.Name != metadataFile {
			continue
		}
		if c.Metadata == nil {
			c.Metadata = &Metadata{}
		}
		if err := yaml.Unmarshal(f.Data, c.Metadata); err != nil {
			return nil, fmt.Errorf("cannot load Chart.yaml: %w", err)
		}
		if c.Metadata.APIVersion == "" {
			c.Metadata.APIVersion = "v1" // Helm 2 did not ask for it
		}
	}
	if c.Metadata == nil {
		return nil, errors.New("there is no Chart.yaml")
	}
	inner := make(map[string][]*archive.BufferedFile)
	for _, f := range c.Raw {
		if sub, ok := strings.CutPrefix(f.Name, "charts/"); ok && path.Ext(f.Name) != ".prov" {
			dir, rest, _ := strings.Cut(sub, "/")
			inner[dir] = append(inner[dir], &archive.BufferedFile{Name: rest, Data: f.Data})
			continue
		}
		if err := c.add(f); err != nil {
			return nil, err
		}
	}
	if err := c.Metadata.validate(); err != nil {
		return nil, err
	}
	dirs := make([]string, 0, len(inner))
	for dir := range inner {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	for _, dir := range dirs {
		if dir == "" || dir[0] == '_' || dir[0] == '.' {
			continue
		}
		// A file that stands in charts/ itself is no sub-chart.
		sub, err := Load(slices.DeleteFunc(inner[dir], func(f *archive.BufferedFile) bool { return f.Name == "" }))
		if err != nil {
			return nil, fmt.Errorf("error unpacking subchart %s in %s: %w", dir, c.Name(), err)
		}
		c.adopt(sub)
	}
	return c, nil
}

// add files a file that belongs to the chart itself.
func (c *Chart) add(f *File) error {
	var err error
	switch {
	case f.Name == metadataFile:
	case f.Name == lockFile:
		return readLock(f)
	case f.Name == valuesFile:
		if c.Values, err = ReadValues(f.Data); err != nil {
			return fmt.Errorf("cannot load values.yaml: %w", err)
		}
	case f.Name == schemaFile:
		c.Schema = f.Data
	case f.Name == requirementsFile || f.Name == requirementsLock:
		if f.Name == requirementsLock {
			err = readLock(f)
		} else if err = yaml.Unmarshal(f.Data, c.Metadata); err != nil {
			err = fmt.Errorf("cannot load requirements.yaml: %w", err)
		}
		if c.Metadata.APIVersion == "v1" {
			c.Files = append(c.Files, f)
		}
		return err
	case strings.HasPrefix(f.Name, "templates/"):
		c.Templates = append(c.Templates, f)
	default:
		c.Files = append(c.Files, f)
	}
	return nil
}

// readLock only says whether Helm could read a lock, which it demands.
func readLock(f *File) error {
	var lock struct {
		Generated    time.Time     `json:"generated"`
		Digest       string        `json:"digest"`
		Dependencies []*Dependency `json:"dependencies"`
	}
	if err := yaml.Unmarshal(f.Data, &lock); err != nil {
		return fmt.Errorf("cannot load %s: %w", f.Name, err)
	}
	return nil
}

// Name returns the name of the chart, or the alias that its parent gives it.
func (c *Chart) Name() string { return c.Metadata.Name }

// Dependencies returns the sub-charts.
func (c *Chart) Dependencies() []*Chart { return c.subs }

// IsRoot says that the chart is nobody's sub-chart.
func (c *Chart) IsRoot() bool { return c.parent == nil }

// IsLibrary says that the chart only defines templates for others.
func (c *Chart) IsLibrary() bool { return strings.EqualFold(c.Metadata.Type, "library") }

// FullPath returns the path by which templates know the chart:
// shop/charts/store.
func (c *Chart) FullPath() string {
	if c.parent == nil {
		return c.Name()
	}
	return c.parent.FullPath() + "/charts/" + c.Name()
}

// CRDs returns the manifests in crds/ of the chart and its sub-charts.
func (c *Chart) CRDs() []*File {
	var out []*File
	for _, f := range c.Files {
		switch strings.ToLower(path.Ext(f.Name)) {
		case ".yaml", ".yml", ".json":
			if strings.HasPrefix(f.Name, "crds/") {
				out = append(out, f)
			}
		}
	}
	for _, sub := range c.subs {
		out = append(out, sub.CRDs()...)
	}
	return out
}

func (c *Chart) adopt(subs ...*Chart) {
	for _, sub := range subs {
		sub.parent = c
		c.subs = append(c.subs, sub)
	}
}

func (c *Chart) has(name string) bool {
	return slices.ContainsFunc(c.subs, func(sub *Chart) bool { return sub.Name() == name })
}

// Map returns the metadata as templates see it in .Chart.
func (m *Metadata) Map() map[string]any {
	maintainers := make([]any, len(m.Maintainers))
	for i, p := range m.Maintainers {
		maintainers[i] = map[string]any{"Name": p.Name, "Email": p.Email, "URL": p.URL}
	}
	dependencies := make([]any, len(m.Dependencies))
	for i, d := range m.Dependencies {
		dependencies[i] = map[string]any{
			"Name": d.Name, "Version": d.Version, "Repository": d.Repository, "Condition": d.Condition,
			"Tags": list(d.Tags), "Enabled": d.Enabled, "ImportValues": list(d.ImportValues), "Alias": d.Alias,
		}
	}
	return map[string]any{
		"Name": m.Name, "Home": m.Home, "Sources": list(m.Sources), "Version": m.Version, "Description": m.Description,
		"Keywords": list(m.Keywords), "Maintainers": maintainers, "Icon": m.Icon, "APIVersion": m.APIVersion,
		"Condition": m.Condition, "Tags": m.Tags, "AppVersion": m.AppVersion, "Deprecated": m.Deprecated,
		"Annotations": m.Annotations, "KubeVersion": m.KubeVersion, "Dependencies": dependencies, "Type": m.Type,
	}
}

func list[T any](from []T) []any {
	out := make([]any, len(from))
	for i, v := range from {
		out[i] = v
	}
	return out
}

var aliasForm = regexp.MustCompile("^[a-zA-Z0-9_-]+$")

// validate refuses what Helm refuses, and cleans texts as it does.
func (m *Metadata) validate() error {
	clean(&m.Name, &m.Description, &m.Home, &m.Icon, &m.Condition, &m.Tags, &m.AppVersion, &m.KubeVersion)
	for i := range m.Sources {
		clean(&m.Sources[i])
	}
	for i := range m.Keywords {
		clean(&m.Keywords[i])
	}
	switch {
	case m.Name == "":
		return errors.New("the name is missing in Chart.yaml")
	case m.Name == "." || m.Name == ".." || m.Name != filepath.Base(m.Name):
		return fmt.Errorf("the name %q in Chart.yaml is invalid", m.Name)
	case m.Version == "":
		return errors.New("the version is missing in Chart.yaml")
	case m.Type != "" && m.Type != "application" && m.Type != "library":
		return fmt.Errorf("the type %q in Chart.yaml is neither application nor library", m.Type)
	}
	if _, err := semver.NewVersion(m.Version); err != nil {
		return fmt.Errorf("the version %q in Chart.yaml is invalid: %w", m.Version, err)
	}
	for _, p := range m.Maintainers {
		if p == nil {
			return errors.New("maintainers in Chart.yaml holds an empty entry")
		}
		clean(&p.Name, &p.Email, &p.URL)
	}
	seen := make(map[string]bool)
	for _, d := range m.Dependencies {
		if err := d.validate(); err != nil {
			return err
		}
		name := d.Name
		if d.Alias != "" {
			name = d.Alias
		}
		if seen[name] {
			return fmt.Errorf("more than one dependency in Chart.yaml has the name or alias %q", name)
		}
		seen[name] = true
	}
	return nil
}

func (d *Dependency) validate() error {
	if d == nil {
		return errors.New("dependencies in Chart.yaml holds an empty entry")
	}
	clean(&d.Name, &d.Version, &d.Repository, &d.Condition)
	for i := range d.Tags {
		clean(&d.Tags[i])
	}
	if d.Alias != "" && !aliasForm.MatchString(d.Alias) {
		return fmt.Errorf("the alias of dependency %q in Chart.yaml holds characters that are not allowed", d.Name)
	}
	return nil
}

// clean makes blanks of all white space and drops what cannot be printed.
func clean(texts ...*string) {
	for _, s := range texts {
		*s = strings.Map(func(r rune) rune {
			switch {
			case unicode.IsSpace(r):
				return ' '
			case unicode.IsPrint(r):
				return r
			}
			return -1
		}, *s)
	}
}

// InRange says that a version meets a constraint such as ^1.2. One that cannot
// be read does not.
func InRange(constraint, version string) bool {
	v, err := semver.NewVersion(version)
	if err != nil {
		return false
	}
	c, err := semver.NewConstraint(constraint)
	return err == nil && c.Check(v)
}
