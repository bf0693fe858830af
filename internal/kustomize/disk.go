package kustomize

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// safeDisk is the file system that the library sees: read-only, limited, and
// with kustomizations changed on the way in. Each of them loses what would
// make the library fetch or run something, and is told to note where its
// resources come from.
type safeDisk struct {
	filesys.FileSystem
	ctx context.Context //nolint:containedctx // the library has no way to hand one through

	mu      sync.Mutex
	left    int64
	dropped []dropped
}

// dropped is an entry that was taken out of a kustomization.
type dropped struct {
	file, entry, reason string
}

var errReadOnly = errors.New("scanning writes no files")

// Create refuses to write.
func (*safeDisk) Create(string) (filesys.File, error) { return nil, errReadOnly }

// Mkdir refuses to write.
func (*safeDisk) Mkdir(string) error { return errReadOnly }

// MkdirAll refuses to write.
func (*safeDisk) MkdirAll(string) error { return errReadOnly }

// RemoveAll refuses to write.
func (*safeDisk) RemoveAll(string) error { return errReadOnly }

// WriteFile refuses to write.
func (*safeDisk) WriteFile(string, []byte) error { return errReadOnly }

// ReadFile reads a file, a kustomization in the form that is safe to build.
func (d *safeDisk) ReadFile(path string) ([]byte, error) {
	if err := d.ctx.Err(); err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil {
		if !info.Mode().IsRegular() && !info.IsDir() {
			return nil, fmt.Errorf("%s is no regular file", path)
		}
		d.mu.Lock()
		d.left -= info.Size()
		over := d.left < 0
		d.mu.Unlock()
		if over {
			return nil, errors.New("the files of the kustomization are larger than what is read at most: scan its parts one by one")
		}
	}
	text, err := d.FileSystem.ReadFile(path)
	if err != nil || !isKustomizationName(filepath.Base(path)) {
		return text, err
	}
	return d.clean(path, text), nil
}

func isKustomizationName(base string) bool {
	return slices.Contains(konfig.RecognizedKustomizationFileNames(), base)
}

// kustomizationFile returns the path of the kustomization in dir, or "".
func kustomizationFile(dir string) string {
	for _, base := range konfig.RecognizedKustomizationFileNames() {
		path := filepath.Join(dir, base)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// clean returns a kustomization without the parts that cannot be built here.
// What cannot be parsed is returned as it is, for the library to say why.
func (d *safeDisk) clean(path string, text []byte) []byte {
	var k map[string]any
	if err := yaml.Unmarshal(text, &k); err != nil || k == nil {
		return text
	}
	canonical(k, "resources", "bases", "components", "crds", "configurations", "patchesStrategicMerge",
		"generators", "transformers", "validators", "patches", "patchesJson6902", "replacements",
		"configMapGenerator", "secretGenerator", "helmCharts", "helmChartInflationGenerator", "helmGlobals",
		"openapi", "buildMetadata", "imageTags", "images", "commonLabels", "labels")
	c := cleaner{disk: d, file: path, dir: filepath.Dir(path)}
	for _, field := range []string{"resources", "bases", "components"} {
		c.list(k, field, c.local)
	}
	for _, field := range []string{"crds", "configurations"} {
		c.list(k, field, c.notRemote)
	}
	c.list(k, "patchesStrategicMerge", func(entry string) bool {
		return strings.ContainsAny(entry, "\n{") || c.local(entry)
	})
	for _, field := range []string{"generators", "transformers", "validators"} {
		c.list(k, field, c.builtin)
	}
	for _, field := range []string{"patches", "patchesJson6902", "replacements"} {
		c.entries(k, field, "path")
	}
	for _, field := range []string{"configMapGenerator", "secretGenerator"} {
		c.generators(k, field)
	}
	c.charts(k)
	if openapi, ok := k["openapi"].(map[string]any); ok {
		canonical(openapi, "path")
		if path, _ := openapi["path"].(string); !c.notRemote(path) {
			delete(k, "openapi")
		}
	}
	k["buildMetadata"] = tracked(k["buildMetadata"])
	modernise(k)
	out, err := yaml.Marshal(k)
	if err != nil {
		return text
	}
	return out
}

// canonical renames keys that differ from names in case only. The library
// reads them all the same, so they must be seen here too.
func canonical(m map[string]any, names ...string) {
	for key, v := range m {
		for _, name := range names {
			if key == name || !strings.EqualFold(key, name) {
				continue
			}
			delete(m, key)
			list, ok := v.([]any)
			if before, both := m[name].([]any); ok && both {
				v = slices.Concat(before, list)
			}
			m[name] = v
		}
	}
}

// modernise moves deprecated fields to where they mean the same, since the
// library complains about them on standard error.
func modernise(k map[string]any) {
	for old, now := range map[string]string{"bases": "resources", "imageTags": "images"} {
		if list, ok := k[old].([]any); ok {
			before, _ := k[now].([]any)
			k[now] = append(before, list...)
			delete(k, old)
		}
	}
	if pairs, ok := k["commonLabels"].(map[string]any); ok && len(pairs) > 0 && k["labels"] == nil {
		k["labels"] = []any{map[string]any{"pairs": pairs, "includeSelectors": true}}
		delete(k, "commonLabels")
	}
	list, ok := k["patchesStrategicMerge"].([]any)
	if !ok {
		return
	}
	patches := make([]any, 0, len(list))
	for _, v := range list {
		entry, _ := v.(string)
		key := "path"
		if strings.ContainsAny(entry, "\n{") {
			key = "patch"
		}
		patches = append(patches, map[string]any{key: entry})
	}
	others, _ := k["patches"].([]any)
	k["patches"] = append(patches, others...) // in the order in which they would run
	delete(k, "patchesStrategicMerge")
}

func tracked(old any) []any {
	out := []any{types.OriginAnnotations, types.TransformerAnnotations}
	list, _ := old.([]any)
	for _, o := range list {
		if !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	return out
}

// cleaner takes entries out of one kustomization.
type cleaner struct {
	disk      *safeDisk
	file, dir string
}

func (c cleaner) drop(entry, reason string) bool {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	d := dropped{file: c.file, entry: entry, reason: reason}
	if !slices.Contains(c.disk.dropped, d) { // the library reads some files twice
		c.disk.dropped = append(c.disk.dropped, d)
	}
	return false
}

// list keeps the strings of a list that keep accepts.
func (c cleaner) list(k map[string]any, field string, keep func(string) bool) {
	list, ok := k[field].([]any)
	if !ok {
		return
	}
	list = slices.DeleteFunc(list, func(v any) bool {
		s, ok := v.(string)
		return ok && !keep(s)
	})
	if k[field] = list; len(list) == 0 {
		delete(k, field)
	}
}

// local keeps what exists on disk.
func (c cleaner) local(entry string) bool {
	if !c.notRemote(entry) {
		return false
	}
	if _, err := os.Stat(c.path(entry)); err != nil {
		return c.drop(entry, fmt.Sprintf("%s does not exist and was left out: correct the path in the kustomization", entry))
	}
	return true
}

func (c cleaner) path(entry string) string {
	if filepath.IsAbs(entry) {
		return entry
	}
	return filepath.Join(c.dir, filepath.FromSlash(entry))
}

func (c cleaner) notRemote(entry string) bool {
	if !isRemote(entry) {
		return true
	}
	return c.drop(entry, fmt.Sprintf("%s is remote and was left out, since scanning fetches nothing: build it with `kubectl kustomize` where there is a network, and scan the result", entry))
}

// isRemote says whether the library would take an entry for a URL or for a git
// repository. It errs on the side of remote.
func isRemote(entry string) bool {
	if strings.ContainsAny(entry, "\n{") {
		return false // inline YAML
	}
	return regexp.MustCompile(`(?i)^\s*(git::|https?://|ssh://|file://|git://|github\.com[:/]|[a-z][a-z0-9-]*@)`).MatchString(entry)
}

// builtin keeps generators, transformers and validators that need no plugin
// and nothing remote.
func (c cleaner) builtin(entry string) bool {
	if strings.Contains(entry, "\n") {
		return c.builtinText(entry, []byte(entry))
	}
	if !c.local(entry) {
		return false
	}
	path := c.path(entry)
	files := []string{path}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		files = Referenced(path)
	}
	for _, file := range files {
		if isKustomizationName(filepath.Base(file)) {
			continue // cleaned when it is read
		}
		text, err := c.disk.FileSystem.ReadFile(file)
		if err != nil {
			return c.drop(entry, fmt.Sprintf("%s cannot be read and was left out: %v", entry, err))
		}
		if !c.builtinText(entry, text) {
			return false
		}
	}
	return true
}

func (c cleaner) builtinText(entry string, text []byte) bool {
	shown, _, _ := strings.Cut(strings.TrimSpace(entry), "\n")
	for part := range bytes.SplitSeq(text, []byte("\n---")) {
		var config map[string]any
		if yaml.Unmarshal(part, &config) != nil || config == nil {
			continue // the library says what is wrong
		}
		kind, _ := config["kind"].(string)
		if config["apiVersion"] != "builtin" || strings.HasPrefix(kind, "HelmChart") {
			return c.drop(shown, fmt.Sprintf("%s needs the plugin %s and was left out, since scanning runs no programs: build it with kustomize and scan the result", shown, kind))
		}
		if remote := remoteWithin(config, false); remote != "" {
			return c.notRemote(remote)
		}
	}
	return true
}

// remoteWithin returns a file that a tree names and that is remote. loads says
// that the strings of the tree name files.
func remoteWithin(v any, loads bool) string {
	switch x := v.(type) {
	case string:
		_, file, found := strings.Cut(x, "=")
		if loads && (isRemote(x) || (found && isRemote(file))) {
			return x
		}
	case []any:
		for _, item := range x {
			if s := remoteWithin(item, loads); s != "" {
				return s
			}
		}
	case map[string]any:
		for key, item := range x {
			names := slices.ContainsFunc([]string{"path", "paths", "files", "envs", "env"}, func(n string) bool { return strings.EqualFold(n, key) })
			if s := remoteWithin(item, loads || names); s != "" {
				return s
			}
		}
	}
	return ""
}

// entries drops the maps of a list whose key names something remote.
func (c cleaner) entries(k map[string]any, field, key string) {
	list, ok := k[field].([]any)
	if !ok {
		return
	}
	k[field] = slices.DeleteFunc(list, func(v any) bool {
		m, _ := v.(map[string]any)
		canonical(m, key)
		path, _ := m[key].(string)
		return path != "" && !c.local(path)
	})
}

// generators drops the remote files of configMapGenerator and secretGenerator.
func (c cleaner) generators(k map[string]any, field string) {
	list, _ := k[field].([]any)
	for _, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			continue
		}
		canonical(m, "files", "envs", "env")
		for _, key := range []string{"files", "envs"} {
			c.list(m, key, func(entry string) bool {
				if _, file, ok := strings.Cut(entry, "="); ok {
					return c.local(file)
				}
				return c.local(entry)
			})
		}
		if env, _ := m["env"].(string); env != "" && !c.local(env) {
			delete(m, "env")
		}
	}
}

// charts drops Helm charts, which kustomize renders by running helm.
func (c cleaner) charts(k map[string]any) {
	for _, field := range []string{"helmCharts", "helmChartInflationGenerator"} {
		list, _ := k[field].([]any)
		for _, v := range list {
			m, _ := v.(map[string]any)
			name, _ := m["name"].(string)
			if name == "" {
				name, _ = m["chartName"].(string)
			}
			c.drop(name, fmt.Sprintf("Helm chart %s was left out, since scanning runs no programs: scan the chart itself with its values, or build with `kustomize build --enable-helm` and scan the result", name))
		}
		delete(k, field)
	}
	delete(k, "helmGlobals")
}
