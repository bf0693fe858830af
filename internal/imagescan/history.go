package imagescan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"seawall.io/seawall/internal/secret"
	"seawall.io/seawall/internal/secret/gitobj"
	"seawall.io/seawall/internal/secret/history"
)

// The bounds of searching one repository. What lies beyond is told.
const (
	// historyTime is how long reading the objects of a repository may take.
	historyTime = 2 * time.Minute
	// historyBytes is what the objects of one pack may have together; compressed
	// they are some thirty times smaller.
	historyBytes = 64 << 30
	// maxLoose is how many loose objects are read: git packs them when they are
	// more than 6700.
	maxLoose = 200_000
	// maxNamed is how many unreadable objects are told one by one.
	maxNamed = 3
)

// historian searches the repository that a folder is the root of.
type historian struct {
	tree    *SourceTree
	ctx     context.Context //nolint:containedctx // of the one call of searchHistory
	until   time.Time
	root    string // of the repository: what problems are told of
	objects string
	found   history.Repository
	broken  int
}

// searchHistory looks for credentials in what the git repository with the given
// root keeps of its past, and leaves those to the caller that the working tree
// has too. A folder that is no such root has none. Alternates, objects that lie
// in other repositories, are not followed.
func (s *SourceTree) searchHistory(ctx context.Context, root string, o *SourceOptions) ([]placedHit, error) {
	if o.NoSecrets || o.NoHistory {
		return nil, nil
	}
	dir, objects, err := repository(root)
	if err != nil {
		s.hole(dir, "its history was not searched for credentials: "+err.Error())
		return nil, nil
	}
	if objects == "" || o.Once != nil && !o.Once(objects) {
		return nil, nil
	}
	limit := o.HistoryTime
	if limit == 0 {
		limit = historyTime
	}
	h := &historian{tree: s, ctx: ctx, until: time.Now().Add(limit), root: dir, objects: objects}
	h.found.Wants = func(name string) bool { return wantsPast(name, o.Exclude) }
	err = h.packs()
	if err == nil {
		err = h.loose()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var out []placedHit
	for _, hit := range h.found.Hits() {
		place := dir // of objects without a name, or with one that no file has
		if filepath.IsLocal(filepath.FromSlash(hit.File)) {
			place = filepath.Join(root, hit.File)
		}
		out = append(out, placedHit{hit, filepath.ToSlash(place)})
	}
	h.tell(err, limit)
	return out, nil
}

// placedHit is a credential of the past, and the file that is told to hold it.
type placedHit struct {
	secret.Hit
	place string
}

// repository returns the place that makes a folder a repository, and the folder
// of its objects, "" if it is none.
func repository(root string) (dir, objects string, err error) {
	if isDir(root) != nil { // a target may be a file
		return root, "", nil
	}
	dir = filepath.Join(root, ".git")
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist): // perhaps a bare one
		for _, name := range []string{"HEAD", "refs", "objects"} {
			if _, err := os.Lstat(filepath.Join(root, name)); err != nil {
				return root, "", nil //nolint:nilerr // it is no repository
			}
		}
		dir = root
	case err != nil:
		return dir, "", errors.Unwrap(err)
	case info.Mode().IsRegular(): // a worktree's or submodule's pointer
		elsewhere, err := pointer(dir, "gitdir: ")
		if err != nil {
			return dir, "", err
		}
		common, err := pointer(filepath.Join(elsewhere, "commondir"), "")
		if errors.Is(err, fs.ErrNotExist) {
			common, err = elsewhere, nil
		}
		if err != nil {
			return dir, "", err
		}
		return dir, filepath.Join(common, "objects"), isDir(filepath.Join(common, "objects"))
	case !info.IsDir():
		return dir, "", errors.New("it is a symbolic link, and those are not followed")
	}
	objects = filepath.Join(dir, "objects")
	return dir, objects, isDir(objects)
}

// pointer reads a file that holds a path, relative to its own folder.
func pointer(file, prefix string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Base(file), errors.Unwrap(err))
	}
	defer f.Close() //nolint:errcheck // nothing was written
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Base(file), err)
	}
	to, ok := strings.CutPrefix(strings.TrimSpace(string(text)), prefix)
	if !ok || to == "" || strings.ContainsAny(to, "\x00\n") {
		return "", fmt.Errorf("%s does not say where the repository is", filepath.Base(file))
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(filepath.Dir(file), to)
	}
	return to, nil
}

func isDir(name string) error {
	info, err := os.Lstat(name)
	switch {
	case err != nil:
		return fmt.Errorf("the folder of its objects: %w", errors.Unwrap(err))
	case !info.IsDir():
		return errors.New("the folder of its objects is something else, or a symbolic link")
	}
	return nil
}

// wantsPast says whether a path of the past is of those that are searched today.
func wantsPast(name string, exclude []string) bool {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return true // no file of a working tree: nothing excludes it
	}
	for at := name; at != "."; at = path.Dir(at) {
		if excluded(".", filepath.FromSlash(at), exclude) || at != name && otherProjects[path.Base(at)] {
			return false
		}
	}
	return true
}

var errTime = errors.New("out of time")

func (h *historian) limits() gitobj.Limits {
	return gitobj.Limits{Object: history.MaxObject, Total: historyBytes}
}

func (h *historian) late() error {
	if h.ctx.Err() != nil {
		return h.ctx.Err()
	}
	if time.Now().After(h.until) {
		return errTime
	}
	return nil
}

// packs reads all packs, in the order of their names.
func (h *historian) packs() error {
	entries, err := os.ReadDir(filepath.Join(h.objects, "pack"))
	if err != nil {
		return nil //nolint:nilerr // a repository may have none
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".pack" || !e.Type().IsRegular() {
			continue
		}
		if err := h.pack(filepath.Join(h.objects, "pack", e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (h *historian) pack(name string) error {
	f, err := os.Open(name)
	if err != nil {
		h.unreadable(name, errors.Unwrap(err))
		return nil
	}
	defer f.Close() //nolint:errcheck // nothing was written
	info, err := f.Stat()
	if err != nil {
		h.unreadable(name, err)
		return nil
	}
	for o, err := range gitobj.Pack(f, info.Size(), h.limits()) {
		if late := h.late(); late != nil {
			return late
		}
		h.take(name, o, err)
	}
	return nil
}

// take takes an object over, or notes that it could not be read.
func (h *historian) take(name string, o gitobj.Object, err error) {
	switch {
	case err == nil:
		h.found.Add(o)
	case errors.Is(err, gitobj.ErrTooLarge):
		h.found.Large++
	case errors.Is(err, fs.ErrNotExist): // git has packed it meanwhile
	default:
		h.unreadable(name, err)
	}
}

// loose reads the objects that are no part of a pack: those that name others
// first.
func (h *historian) loose() error {
	names, err := filepath.Glob(filepath.Join(escapeGlob(h.objects), "[0-9a-f][0-9a-f]", strings.Repeat("[0-9a-f]", 38)))
	if err != nil {
		return nil //nolint:nilerr // the pattern is well formed
	}
	if len(names) > maxLoose {
		h.tree.hole(h.root, fmt.Sprintf("it has %d loose objects: only %d were searched for credentials", len(names), maxLoose))
		names = names[:maxLoose]
	}
	var blobs []string
	for _, name := range names {
		if late := h.late(); late != nil {
			return late
		}
		switch o, err := h.read(name); {
		case err == nil && o.Kind == gitobj.Blob:
			blobs = append(blobs, name)
		default:
			h.take(name, o, err)
		}
	}
	for _, name := range blobs {
		if late := h.late(); late != nil {
			return late
		}
		o, err := h.read(name)
		h.take(name, o, err)
	}
	return nil
}

func escapeGlob(name string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(name)
}

func (h *historian) read(name string) (gitobj.Object, error) {
	info, err := os.Lstat(name)
	switch {
	case err != nil:
		return gitobj.Object{}, errors.Unwrap(err)
	case !info.Mode().IsRegular():
		return gitobj.Object{}, errors.New("it is no regular file")
	case info.Size() > history.MaxObject:
		return gitobj.Object{}, gitobj.ErrTooLarge
	}
	body, err := os.ReadFile(name)
	if err != nil {
		return gitobj.Object{}, errors.Unwrap(err)
	}
	return gitobj.Loose(body, h.limits()) //nolint:wrapcheck // it says what it read
}

// unreadable tells of an object or pack that cannot be read, unless many were.
func (h *historian) unreadable(name string, err error) {
	if h.broken++; h.broken <= maxNamed {
		h.tree.hole(name, fmt.Sprintf("not searched for credentials: %v", err))
	}
}

// tell says what of the history was not searched.
func (h *historian) tell(err error, limit time.Duration) {
	if more := h.broken - maxNamed; more > 0 {
		h.tree.hole(h.root, fmt.Sprintf("%d more objects could not be read and were not searched for credentials", more))
	}
	if errors.Is(err, errTime) {
		h.tree.hole(h.root, fmt.Sprintf("searching its history for credentials was ended after %s: %d versions of files were searched", limit, h.found.Searched))
	}
	if h.found.Cut {
		h.tree.hole(h.root, "its history holds more that looks like credentials than is told")
	}
	if h.found.Large > 0 {
		h.tree.skip(h.root, fmt.Sprintf("%d objects of the history, each of more than %d MiB, were not searched for credentials", h.found.Large, history.MaxObject>>20))
	}
}
