package slimming

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/oci"
)

// Labels of a reduced image.
const (
	labelFrom  = "seawall.io/slimmed-from"
	labelLevel = "seawall.io/slim-level"
)

// Output says what to write.
type Output struct {
	// Name of the reduced image; empty derives it from the image's own.
	Name string
	// Latest is the last time that a file may have; later ones are written with it.
	// The zero time leaves all as they are.
	Latest time.Time
	// TempDir is where contents are put by, the system's by default.
	TempDir string
}

// maxRecord bounds a database that is rewritten in memory, in bytes.
const maxRecord = 256 << 20

// Archive writes the reduced image to a file that is an OCI layout and an archive
// as docker load reads it, reads it again and checks it. The file appears only if
// all is well. It returns the digest of the image's manifest.
func (r *Result) Archive(ctx context.Context, file string, o Output) (string, error) {
	made, digest, err := r.make(ctx, filepath.Dir(file), o)
	if err != nil {
		return "", err
	}
	if err := os.Rename(made, file); err != nil {
		return "", errors.Join(fmt.Errorf("putting the image in its place: %w", err), os.Remove(made))
	}
	return digest, nil
}

// Layout writes the reduced image to a folder as an OCI layout. The folder has to
// be empty, or not to be there.
func (r *Result) Layout(ctx context.Context, dir string, o Output) (string, error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return "", fmt.Errorf("the folder %s is not empty: name another, or empty it", dir)
	}
	made, digest, err := r.make(ctx, filepath.Dir(filepath.Clean(dir)), o)
	if err != nil {
		return "", err
	}
	err = unpack(made, dir)
	return digest, errors.Join(err, os.Remove(made))
}

// make writes the image beside its place and checks it.
func (r *Result) make(ctx context.Context, dir string, o Output) (file, digest string, err error) {
	f, err := os.CreateTemp(dir, ".seawall-slim-*.tar")
	if err != nil {
		return "", "", fmt.Errorf("writing the image: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name()) //nolint:errcheck // the error that led here counts
		}
	}()
	if digest, err = r.Write(ctx, f, o); err != nil {
		f.Close() //nolint:errcheck // the other error counts
		return "", "", err
	}
	if err = f.Chmod(0o644); err != nil {
		return "", "", errors.Join(err, f.Close())
	}
	if err = f.Close(); err != nil {
		return "", "", fmt.Errorf("writing the image: %w", err)
	}
	return f.Name(), digest, r.Verify(ctx, oci.Source{Kind: oci.ArchiveKind, Path: f.Name()})
}

// unpack writes the files of a layout in a tar to a folder.
func unpack(file, dir string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("writing the layout: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	tr := tar.NewReader(f)
	for {
		h, err := tr.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("writing the layout: %w", err)
		case h.Name == "manifest.json":
			continue // docker's, and no part of a layout
		}
		to := filepath.Join(dir, filepath.FromSlash(path.Clean("/"+h.Name)))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil { //nolint:gosec // images are for others to read
			return fmt.Errorf("writing the layout: %w", err)
		}
		if err := writeFile(to, tr); err != nil {
			return fmt.Errorf("writing the layout: %w", err)
		}
	}
}

func writeFile(name string, from io.Reader) error {
	f, err := os.Create(name)
	if err != nil {
		return err //nolint:wrapcheck // it names the file
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}

// Write writes the reduced image as one layer, and returns the digest of its
// manifest. The same image makes the same bytes.
func (r *Result) Write(ctx context.Context, w io.Writer, o Output) (string, error) {
	c, err := r.gather(ctx, o.TempDir)
	if err != nil {
		return "", fmt.Errorf("reading %s again: %w", r.source, err)
	}
	defer c.Close() //nolint:errcheck // nobody will read it
	config, err := r.config()
	if err != nil {
		return "", err
	}
	if o.Name == "" {
		o.Name = r.slimName()
	}
	layer, to := io.Pipe()
	done := make(chan struct{})
	go func() { // it ends when the layer was read, or is closed below
		defer close(done)
		to.CloseWithError(c.tar(to, o.Latest))
	}()
	digest, err := oci.Write(w, oci.New{
		Name: o.Name, Config: config, TempDir: o.TempDir,
		Layers: []oci.Part{{Tar: layer, CreatedBy: "seawall image slim --level " + string(r.Plan.Level), Comment: "from " + r.from()}},
	})
	layer.Close() //nolint:errcheck // it never fails
	<-done
	if err != nil {
		return "", fmt.Errorf("writing the image: %w", err)
	}
	return digest, nil
}

// from names the image that the reduced one was made of.
func (r *Result) from() string {
	if img := r.Scan.Image; img != nil {
		if img.Digest != "" {
			return img.Digest
		}
		return img.ID
	}
	return r.source.String()
}

// slimName is the image's name with -slim after the tag.
func (r *Result) slimName() string {
	if r.Scan.Image == nil || r.Scan.Image.Name == "" {
		return "localhost/image:slim"
	}
	name, _, _ := strings.Cut(r.Scan.Image.Name, "@")
	if strings.LastIndexByte(name, ':') <= strings.LastIndexByte(name, '/') {
		name += ":latest"
	}
	return name + "-slim"
}

// config is the image's configuration with two labels more.
func (r *Result) config() (json.RawMessage, error) {
	config, inner := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	labels := map[string]string{}
	if img := r.Scan.Image; img != nil {
		labels[labelFrom] = ""
		if err := json.Unmarshal(img.RawConfig, &config); err != nil {
			return nil, fmt.Errorf("the image's configuration: %w", err)
		}
		if raw := config["config"]; len(raw) > 0 {
			if err := json.Unmarshal(raw, &inner); err != nil {
				return nil, fmt.Errorf("the image's configuration: %w", err)
			}
		}
		if raw := inner["Labels"]; len(raw) > 0 {
			if err := json.Unmarshal(raw, &labels); err != nil {
				return nil, fmt.Errorf("the labels of the image's configuration: %w", err)
			}
		}
	}
	if labels == nil {
		labels = map[string]string{}
	}
	labels[labelFrom], labels[labelLevel] = r.from(), string(r.Plan.Level)
	set := func(m map[string]json.RawMessage, key string, v any) error {
		data, err := json.Marshal(v)
		m[key] = data
		return err //nolint:wrapcheck // strings and maps of them
	}
	err := set(inner, "Labels", labels)
	if r.Scan.Image == nil { // a folder says nothing of itself
		err = errors.Join(err, set(config, "os", "linux"), set(config, "architecture", r.architecture()), set(inner, "Cmd", r.roots[0].Argv))
	}
	if inner == nil {
		inner = map[string]json.RawMessage{}
	}
	err = errors.Join(err, set(config, "config", inner))
	data, merr := json.Marshal(config)
	return data, errors.Join(err, merr)
}

// architecture is that of the programs in a folder, as Go spells it.
func (r *Result) architecture() string {
	for f := range r.Scan.Tree.All() {
		if f.Kind() != image.Regular || !r.Plan.Runs(f.Path()) || f.Facts() == nil || f.Facts().ELF == nil {
			continue
		}
		return f.Facts().ELF.Machine
	}
	return "amd64"
}

// tar writes the layer.
func (c *contents) tar(w io.Writer, latest time.Time) error {
	out := tar.NewWriter(w)
	x := c.result.records()
	for _, p := range c.names() {
		if err := c.entry(out, p, x, latest); err != nil {
			return fmt.Errorf("/%s: %w", p, err)
		}
	}
	if list := c.result.rpm(); len(list) > 0 {
		for _, dir := range []string{"var/", "var/lib/", "var/lib/rpmmanifest/"} {
			if c.paths[strings.Trim(dir, "/")] == nil {
				if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: latest}); err != nil {
					return err //nolint:wrapcheck // the caller names the image
				}
			}
		}
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: rpmManifest, Mode: 0o644, Size: int64(len(list)), ModTime: latest}); err != nil {
			return err //nolint:wrapcheck // the caller names the image
		}
		if _, err := out.Write(list); err != nil {
			return err //nolint:wrapcheck // the caller names the image
		}
	}
	return out.Close() //nolint:wrapcheck // the caller names the image
}

// entry writes one path.
func (c *contents) entry(out *tar.Writer, p string, x *records, latest time.Time) error {
	w := c.paths[p]
	if w == nil { // a folder that no layer says anything of
		return out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: p + "/", Mode: 0o755, ModTime: latest}) //nolint:wrapcheck // the caller names the path
	}
	h := trimmed(w.header, p)
	if p == "" {
		h.Name = "./"
	}
	if h.Typeflag != tar.TypeReg {
		clamp(h, latest)
		return out.WriteHeader(h) //nolint:wrapcheck // the caller names the path
	}
	body := c.bodies[w.inode]
	if body == nil || body.offset < 0 {
		return errors.New("its content is not where it was before: the image changed while it was read")
	}
	if body.path != "" {
		// The owner is set anew at each name, which takes capabilities away: the link
		// says all that the file does.
		h = c.merged(body.header, p)
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, body.path, 0
		clamp(h, latest)
		return out.WriteHeader(h) //nolint:wrapcheck // the caller names the path
	}
	body.path = p
	h = c.merged(body.header, p)
	h.Typeflag = tar.TypeReg
	h.Size = body.header.Size
	clamp(h, latest)
	from := io.Reader(io.NewSectionReader(c.spool, body.offset, h.Size))
	if x.rewrites(p) && h.Size <= maxRecord {
		old, err := io.ReadAll(from)
		if err != nil {
			return err //nolint:wrapcheck // the caller names the path
		}
		text := x.rewrite(p, old)
		h.Size, from = int64(len(text)), bytes.NewReader(text)
	}
	if err := out.WriteHeader(h); err != nil {
		return err //nolint:wrapcheck // the caller names the path
	}
	_, err := io.Copy(out, from)
	return err //nolint:wrapcheck // the caller names the path
}

// merged is the header of a regular file with the permissions and the owner that
// the merged tree gives it: hard links may have changed them.
func (c *contents) merged(h *tar.Header, p string) *tar.Header {
	out := trimmed(h, p)
	f, ok := c.result.Scan.Tree.Lstat(p)
	if !ok {
		return out
	}
	m := f.Mode()
	out.Mode = int64(m.Perm())
	for _, bit := range []struct {
		mode fs.FileMode
		tar  int64
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&bit.mode != 0 {
			out.Mode |= bit.tar
		}
	}
	out.Uid, out.Gid = f.Owner()
	return out
}

func clamp(h *tar.Header, latest time.Time) {
	if !latest.IsZero() && h.ModTime.After(latest) {
		h.ModTime = latest
	}
}

// Verify reads a reduced image and says what its commands lack that they had.
func (r *Result) Verify(ctx context.Context, src oci.Source) error {
	o := r.options
	o.Scan.Database, o.Scan.Cache, o.Manifests = nil, "", nil
	o.Run = nil
	slimmed, err := analyseWith(ctx, src, o, r.roots)
	if err != nil {
		return fmt.Errorf("reading the reduced image: %w", err)
	}
	defer slimmed.Close() //nolint:errcheck // it was only read
	var faults []string
	for _, u := range slimmed.Plan.Unresolved {
		if !slices.Contains(r.Plan.Unresolved, u) {
			faults = append(faults, fmt.Sprintf("/%s lacks %s", u.Path, u.Name))
		}
	}
	before := map[string]bool{}
	for i := range r.Scan.Inventory.Packages {
		before[key(&r.Scan.Inventory.Packages[i])] = true
	}
	for i := range slimmed.Scan.Inventory.Packages {
		if k := key(&slimmed.Scan.Inventory.Packages[i]); !before[k] {
			faults = append(faults, "the package "+k+" was not there before")
		}
	}
	for p := range r.Plan.Paths() {
		f, ok := slimmed.Scan.Tree.Lstat(p)
		if !ok {
			faults = append(faults, "/"+p+" is not in it")
			continue
		}
		was, _ := r.Scan.Tree.Lstat(p)
		if f.Kind() != was.Kind() || f.Mode() != was.Mode() || f.Link() != was.Link() || r.Plan.Runs(p) && f.Size() != was.Size() {
			faults = append(faults, "/"+p+" is not what it was")
		}
	}
	if n := len(faults); n > 0 {
		return fmt.Errorf("the reduced image is not complete, and was not written: %s (%d in all): this is a fault in Seawall", strings.Join(faults[:min(n, 5)], "; "), n)
	}
	return nil
}

func key(p *inventory.Package) string { return string(p.Type) + " " + p.Name + " " + p.Version }
