package oci

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"go.etcd.io/bbolt"
)

const (
	containerdRoot      = "/var/lib/containerd"
	containerdNamespace = "k8s.io"
	containerdContent   = "io.containerd.content.v1.content"
	containerdMetadata  = "io.containerd.metadata.v1.bolt/meta.db"
	// maxMetadata is the largest database that is copied; a node with thousands of
	// images has some 100 MiB.
	maxMetadata = 4 << 30
)

// openContainerd reads an image where containerd keeps it. The files are read
// and not its socket: to read them takes less than to command the runtime, which
// is to own the machine, and it works while containerd does not.
//
// The name is that of an image as containerd has it, as users shorten it, a
// manifest's digest, or the ID that the kubelet reports.
func openContainerd(ctx context.Context, src Source, want *Platform, o Options) (*Image, error) {
	root, namespace := cmp.Or(o.Containerd, containerdRoot), cmp.Or(o.Namespace, containerdNamespace)
	store, err := os.OpenRoot(filepath.Join(root, containerdContent))
	if err != nil {
		return nil, fmt.Errorf("containerd's content: %w", err)
	}
	img, err := readContainerd(ctx, folder{store}, root, namespace, src.Name, want, o)
	if err != nil {
		store.Close() //nolint:errcheck // it was only read
		return nil, err
	}
	img.close = store.Close
	return img, nil
}

func readContainerd(ctx context.Context, store folder, root, namespace, name string, want *Platform, o Options) (*Image, error) {
	images, err := containerdImages(ctx, filepath.Join(root, containerdMetadata), namespace, o.TempDir)
	if err != nil {
		return nil, err
	}
	found, err := chooseStored(images, name)
	if err != nil {
		return nil, fmt.Errorf("containerd's namespace %s: %w", namespace, err)
	}
	r := resolver{content: kept{store}, platform: want, limits: o.Limits}
	if want == nil {
		// A node has pulled what it runs, and nothing for other machines.
		r.platform = &Platform{OS: runtime.GOOS, Arch: runtime.GOARCH}
	}
	img, err := r.image(ctx, found.target)
	if err != nil && want == nil {
		r.platform = nil
		if other, oerr := r.image(ctx, found.target); oerr == nil {
			img, err = other, nil
		}
	}
	if err != nil {
		return nil, err
	}
	img.Name = found.name
	return img, nil
}

// kept is containerd's content, where layers may be missing.
type kept struct{ folder }

func (k kept) blob(ctx context.Context, d Descriptor) (io.ReadCloser, error) {
	r, err := k.folder.blob(ctx, d)
	if errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("%w: containerd does not keep it, as where discard_unpacked_layers is set or the image is of another platform", err)
	}
	return r, err
}

// stored is an image as containerd's database has it.
type stored struct {
	name   string
	target Descriptor
}

// chooseStored finds an image by name, by digest or by ID.
func chooseStored(images []stored, want string) (*stored, error) {
	names := []string{want}
	digest := ""
	if strings.HasPrefix(want, "sha256:") {
		digest = want
	} else if ref, err := name.ParseReference(want); err == nil {
		names = append(names, fullName(ref, want))
		if d, ok := ref.(name.Digest); ok {
			digest = d.DigestStr()
		}
	}
	for _, n := range names {
		for i := range images {
			if images[i].name == n && (digest == "" || string(images[i].target.Digest) == digest || images[i].name == digest) {
				return &images[i], nil
			}
		}
	}
	for i := range images {
		if digest != "" && string(images[i].target.Digest) == digest {
			return &images[i], nil
		}
	}
	return nil, fmt.Errorf("no image %q: %w", want, ErrNotFound)
}

// ContainerdImages lists the names of the images in containerd's store, sorted,
// without those that repeat an image under its ID or digest.
func ContainerdImages(ctx context.Context, o Options) ([]string, error) {
	root, namespace := cmp.Or(o.Containerd, containerdRoot), cmp.Or(o.Namespace, containerdNamespace)
	images, err := containerdImages(ctx, filepath.Join(root, containerdMetadata), namespace, o.TempDir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, i := range images {
		if !strings.Contains(i.name, "sha256:") {
			names = append(names, i.name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// containerdImages reads the images of a namespace from the database.
func containerdImages(ctx context.Context, file, namespace, temp string) (images []stored, err error) {
	db, err := openBolt(ctx, file, temp)
	if err != nil {
		return nil, fmt.Errorf("containerd's database: %w", err)
	}
	defer db.Close() //nolint:errcheck // it was only read
	// The library trusts its file; a broken one makes it panic.
	defer func() {
		if broken := recover(); broken != nil {
			images, err = nil, fmt.Errorf("containerd's database is broken: %v", broken)
		}
	}()
	err = db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("v1"))
		for _, name := range []string{namespace, "images"} {
			if b == nil {
				break
			}
			b = b.Bucket([]byte(name))
		}
		if b == nil {
			return nil // nothing was pulled into this namespace
		}
		return b.ForEachBucket(func(key []byte) error {
			i := stored{name: string(key)}
			if target := b.Bucket(key).Bucket([]byte("target")); target != nil {
				i.target.MediaType = string(target.Get([]byte("mediatype")))
				i.target.Digest = Digest(target.Get([]byte("digest")))
				i.target.Size, _ = binary.Varint(target.Get([]byte("size")))
			}
			images = append(images, i)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("containerd's database: %w", err)
	}
	return images, nil
}

// openBolt opens a copy of a database that another program holds the lock of. A
// copy is sound if no transaction was committed meanwhile: a transaction never
// writes to pages that the one before it uses, but for the two at the front that
// say which transaction is the last.
func openBolt(ctx context.Context, file, temp string) (*bbolt.DB, error) {
	for range 20 {
		clone, err := copyOnce(ctx, file, temp)
		if err != nil {
			return nil, err
		}
		if clone == nil {
			continue
		}
		db, err := bbolt.Open(file, 0o600, &bbolt.Options{
			ReadOnly: true,
			OpenFile: func(string, int, fs.FileMode) (*os.File, error) { return clone, nil },
		})
		if err != nil {
			clone.Close()   //nolint:errcheck // it was only read
			return nil, err //nolint:wrapcheck // says what is wrong
		}
		return db, nil
	}
	return nil, errors.New("it changes all the time")
}

// metaPages is how many bytes say which transaction is the last, for pages of up
// to 64 KiB.
const metaPages = 2 * 64 << 10

// copyOnce copies the file to one without a name. It returns nothing if the file
// changed meanwhile.
func copyOnce(ctx context.Context, file, temp string) (*os.File, error) {
	from, err := os.Open(file)
	if err != nil {
		return nil, err //nolint:wrapcheck // names the file
	}
	defer from.Close() //nolint:errcheck // it was only read
	before := make([]byte, metaPages)
	n, err := from.ReadAt(before, 0)
	if err != nil && err != io.EOF { //nolint:errorlint // os returns it unwrapped
		return nil, err //nolint:wrapcheck // names the file
	}
	clone, err := os.CreateTemp(temp, "seawall-containerd-*")
	if err != nil {
		return nil, err //nolint:wrapcheck // names the file
	}
	os.Remove(clone.Name()) //nolint:errcheck // see spool
	size, err := io.Copy(clone, io.LimitReader(from, maxMetadata+1))
	if err == nil && size > maxMetadata {
		err = fmt.Errorf("it has more than %d bytes: %w", int64(maxMetadata), ErrLimit)
	}
	after := make([]byte, metaPages)
	if err == nil {
		_, err = from.ReadAt(after, 0)
		if err == io.EOF { //nolint:errorlint // as above
			err = nil
		}
	}
	if err == nil && bytes.Equal(before[:n], after[:n]) && ctx.Err() == nil {
		return clone, nil
	}
	clone.Close() //nolint:errcheck // nobody will read it
	if err == nil {
		err = ctx.Err()
	}
	return nil, err //nolint:wrapcheck // names the file
}
