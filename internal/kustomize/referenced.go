package kustomize

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// maxReferenced bounds the files that Referenced follows.
const maxReferenced = 20_000

// Referenced returns the local files that the kustomization in dir uses, and
// those that its bases and components use: resources, patches, generators'
// inputs, and the kustomization files of the bases themselves. A directory
// whose kustomization file is among them needs no build of its own, and a
// file that is among them is no manifest to be scanned by itself. The paths
// begin with dir, are clean and in order; the kustomization of dir is not
// among them.
func Referenced(dir string) []string {
	r := references{seen: make(map[string]bool), dirs: make(map[string]bool)}
	r.kustomization(dir)
	return slices.Sorted(func(yield func(string) bool) {
		for path := range r.seen {
			if !yield(path) {
				return
			}
		}
	})
}

type references struct {
	seen map[string]bool // files
	dirs map[string]bool
}

// kustomization follows all entries of the kustomization in dir.
func (r *references) kustomization(dir string) {
	dir = filepath.Clean(dir)
	file := kustomizationFile(dir)
	if file == "" || r.dirs[dir] || len(r.seen) > maxReferenced {
		return
	}
	r.dirs[dir] = true
	text, err := os.ReadFile(file)
	if err != nil {
		return
	}
	var k map[string]any
	if yaml.Unmarshal(text, &k) != nil {
		return
	}
	for _, field := range []string{
		"resources", "bases", "components", "crds", "configurations",
		"patchesStrategicMerge", "generators", "transformers", "validators",
	} {
		r.strings(dir, k[field])
	}
	for _, field := range []string{"patches", "patchesJson6902", "replacements"} {
		r.within(dir, k[field], "path")
	}
	for _, field := range []string{"configMapGenerator", "secretGenerator"} {
		r.within(dir, k[field], "files", "envs", "env")
	}
	r.within(dir, k["helmCharts"], "valuesFile", "additionalValuesFiles")
	r.within(dir, []any{k["openapi"]}, "path")
}

func (r *references) strings(dir string, list any) {
	items, _ := list.([]any)
	for _, v := range items {
		if s, ok := v.(string); ok {
			r.entry(dir, s)
		}
	}
}

// within follows the strings, or lists of strings, under keys of each map of a
// list.
func (r *references) within(dir string, list any, keys ...string) {
	items, _ := list.([]any)
	for _, v := range items {
		m, _ := v.(map[string]any)
		for _, key := range keys {
			if s, ok := m[key].(string); ok {
				r.entry(dir, s)
			}
			r.strings(dir, m[key])
		}
	}
}

func (r *references) entry(dir, entry string) {
	if entry == "" || isRemote(entry) || strings.ContainsAny(entry, "\n{") {
		return
	}
	path := entry
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, filepath.FromSlash(entry))
	}
	info, err := os.Stat(path)
	if err != nil {
		if _, file, ok := strings.Cut(entry, "="); ok { // key=file of a generator
			r.entry(dir, file)
		}
		return
	}
	if !info.IsDir() {
		r.seen[path] = true
		return
	}
	if file := kustomizationFile(path); file != "" {
		r.seen[file] = true
		r.kustomization(path)
	}
}
