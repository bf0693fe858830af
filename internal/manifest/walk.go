package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/dockerfile"
)

// MaxFileBytes is the size of the largest file that is read. Larger ones are
// reported as incomplete.
const MaxFileBytes = 64 << 20

// maxFolderDepth bounds how deep folders are followed.
const maxFolderDepth = 100

// Place is a file or a folder.
type Place struct {
	// Name is as the user named it, with /.
	Name string
	// Real is absolute and free of symbolic links: two places are one if their
	// real paths are equal.
	Real string
}

// Tree is what a folder holds: files to read, and folders that are one thing
// each.
type Tree struct {
	// Root is the path that was walked, as the user named it.
	Root string
	// Files are the files to read as manifests, sorted by name.
	Files []Place
	// Charts and Kustomizations are folders with a Chart.yaml or a
	// kustomization.yaml. The files of a chart are in no other list; those of a
	// kustomization are, since only it knows which of them it uses.
	Charts         []Place
	Kustomizations []Place
	Incomplete     []seawall.Incomplete
	Skipped        []seawall.Skipped

	exclude []string
}

// Walk lists what is in root, but for what a pattern of exclude matches: a
// file's or folder's name, or its path below root. It follows symbolic links,
// and reports those that lead back to a folder that they stand in. A Chart.yaml
// or kustomization.yaml as root stands for its folder.
func Walk(root string, exclude []string) (*Tree, error) {
	for _, pattern := range exclude {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("exclude %q: %w: use names, and * for any run of characters", pattern, err)
		}
	}
	info, err := os.Stat(root)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", root, err)
	}
	t := &Tree{Root: root, exclude: exclude}
	realPath := Real(root)
	if chart := chartOfTemplates(realPath); chart != "" {
		t.fail(root, "holds templates of a chart, which only render with it: scan "+filepath.ToSlash(chart))
		return t, nil
	}
	folder := Place{filepath.ToSlash(filepath.Dir(root)), filepath.Dir(realPath)}
	switch {
	case info.IsDir():
		t.folder(root, realPath, nil)
	case filepath.Base(root) == chartFile:
		t.Charts = append(t.Charts, folder)
	case IsKustomization(root):
		t.Kustomizations = append(t.Kustomizations, folder)
	default:
		t.Files = append(t.Files, Place{filepath.ToSlash(root), realPath})
	}
	slices.SortFunc(t.Files, func(a, b Place) int { return strings.Compare(a.Name, b.Name) })
	return t, nil
}

// Real returns the absolute path of a file without symbolic links. A file that
// does not exist has the path that it would have.
func Real(name string) string {
	abs, err := filepath.Abs(name)
	if err != nil {
		return filepath.Clean(name)
	}
	realPath, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return abs
	}
	return realPath
}

const chartFile = "Chart.yaml"

// chartOfTemplates returns the folder of the chart whose templates folder a
// path is or stands in, else "".
func chartOfTemplates(realPath string) string {
	for dir := realPath; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		chart := filepath.Dir(dir)
		if filepath.Base(dir) != "templates" {
			continue
		}
		if info, err := os.Stat(filepath.Join(chart, chartFile)); err == nil && info.Mode().IsRegular() {
			return chart
		}
	}
	return ""
}

// folder lists one folder. above are the folders around it.
func (t *Tree) folder(dir, realPath string, above []os.FileInfo) {
	info, err := os.Stat(dir)
	if err != nil {
		t.unreadable(dir, err)
		return
	}
	for _, a := range above {
		if os.SameFile(a, info) {
			t.fail(dir, "a symbolic link that leads back to a folder above it: not followed")
			return
		}
	}
	if len(above) >= maxFolderDepth {
		t.fail(dir, fmt.Sprintf("folders are nested deeper than %d: not followed", maxFolderDepth))
		return
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.unreadable(dir, err)
		return
	}
	here := Place{filepath.ToSlash(dir), realPath}
	if hasFile(entries, chartFile) {
		t.Charts = append(t.Charts, here)
		return
	}
	for _, name := range kustomizationFiles {
		if hasFile(entries, name) {
			t.Kustomizations = append(t.Kustomizations, here)
			break
		}
	}
	above = append(slices.Clip(above), info)
	for _, e := range entries {
		t.entry(filepath.Join(dir, e.Name()), filepath.Join(realPath, e.Name()), e, above)
	}
}

func (t *Tree) entry(name, realPath string, e fs.DirEntry, above []os.FileInfo) {
	if t.excluded(name) {
		t.Skipped = append(t.Skipped, seawall.Skipped{File: filepath.ToSlash(name), Reason: "left out by --exclude"})
		return
	}
	mode := e.Type()
	if mode&fs.ModeSymlink != 0 {
		info, err := os.Stat(name)
		if err != nil {
			if isManifestName(name) {
				t.unreadable(name, err)
			}
			return
		}
		mode, realPath = info.Mode().Type(), Real(name)
	}
	switch {
	case mode.IsDir() && skippedFolders[e.Name()]:
		if e.Name() != ".git" {
			t.Skipped = append(t.Skipped, seawall.Skipped{File: filepath.ToSlash(name), Reason: "a folder of other projects' code"})
		}
	case mode.IsDir():
		t.folder(name, realPath, above)
	case !isManifestName(name):
	case !mode.IsRegular():
		t.fail(name, "no regular file: not read")
	default:
		t.Files = append(t.Files, Place{filepath.ToSlash(name), realPath})
	}
}

func (t *Tree) excluded(name string) bool {
	rel, err := filepath.Rel(t.Root, name)
	if err != nil {
		return false
	}
	rel = filepath.ToSlash(rel)
	for _, pattern := range t.exclude {
		pattern = strings.TrimSuffix(strings.TrimPrefix(pattern, "./"), "/")
		if whole, _ := path.Match(pattern, rel); whole {
			return true
		}
		if last, _ := path.Match(pattern, path.Base(rel)); last {
			return true
		}
	}
	return false
}

// skippedFolders hold what tools put there, never a user's manifests.
var skippedFolders = map[string]bool{".git": true, "node_modules": true}

var kustomizationFiles = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// IsKustomization says whether a file is a kustomization's own.
func IsKustomization(name string) bool {
	return slices.Contains(kustomizationFiles, filepath.Base(name))
}

func hasFile(entries []fs.DirEntry, name string) bool {
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name && !e.IsDir() })
}

func isManifestName(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return dockerfile.IsName(name)
}

func (t *Tree) unreadable(name string, err error) {
	// The name is told already: only the reason is wanted.
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	t.fail(name, fmt.Sprintf("cannot be read: %v", err))
}

func (t *Tree) fail(name, reason string) {
	t.Incomplete = append(t.Incomplete, seawall.Incomplete{
		Location: seawall.Location{File: filepath.ToSlash(name)}, Reason: reason,
	})
}

// Read reads and parses one file.
func Read(name string) File {
	text, err := readBounded(name)
	if err != nil {
		return File{Name: name, Incomplete: []seawall.Incomplete{{
			Location: seawall.Location{File: name}, Reason: err.Error(),
		}}}
	}
	return Parse(name, text)
}

// ReadFrom reads and parses a stream, such as standard input.
func ReadFrom(name string, r io.Reader) File {
	text, err := io.ReadAll(io.LimitReader(r, MaxFileBytes+1))
	if err == nil && len(text) > MaxFileBytes {
		err = errTooLarge()
	}
	if err != nil {
		return File{Name: name, Incomplete: []seawall.Incomplete{{
			Location: seawall.Location{File: name}, Reason: err.Error(),
		}}}
	}
	return Parse(name, text)
}

func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", errors.Unwrap(err))
	}
	defer f.Close() //nolint:errcheck // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	if info.Size() > MaxFileBytes {
		return nil, errTooLarge()
	}
	text := make([]byte, 0, info.Size()+1)
	for {
		n, err := f.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		if errors.Is(err, io.EOF) {
			return text, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot be read: %w", err)
		}
		if len(text) == cap(text) {
			if len(text) > MaxFileBytes {
				return nil, errTooLarge()
			}
			text = append(text, 0)[:len(text)]
		}
	}
}

func errTooLarge() error {
	return fmt.Errorf("larger than %d MiB: split it, or scan the cluster or a snapshot instead of a dump", MaxFileBytes>>20)
}
