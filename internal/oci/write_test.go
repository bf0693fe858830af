package oci

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func TestWrite(t *testing.T) {
	base, top := tarOf(t, "etc/passwd", "root"), tarOf(t, "app", noise(100_000))
	config := `{"os":"linux","architecture":"arm64","config":{"User":"7","X-Unknown":1},"history":[{"created_by":"old"}],"rootfs":{"type":"layers","diff_ids":[]}}`
	write := func() ([]byte, string) {
		var out bytes.Buffer
		digest, err := Write(&out, New{Name: "example.com/app:slim", Config: []byte(config), Layers: []Part{
			{Tar: bytes.NewReader(base), CreatedBy: "FROM"}, {Tar: bytes.NewReader(top)}, {Tar: bytes.NewReader(base)},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return out.Bytes(), digest
	}
	data, digest := write()
	if again, _ := write(); !bytes.Equal(data, again) {
		t.Error("the same image makes other bytes")
	}
	file := filepath.Join(t.TempDir(), "out.tar")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	// Another implementation finds it sound.
	tag := name.MustParseReference("example.com/app:slim").(name.Tag)
	img, err := tarball.ImageFromPath(file, &tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
	for _, source := range []string{"archive:" + file + ":example.com/app:slim", "oci:" + file + ":slim", "archive:" + file + "@" + digest} {
		src, err := ParseSource(source)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Open(t.Context(), src, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer got.Close()
		if c := contents(t, got); len(c) != 3 || !bytes.Equal(c[1], top) || !bytes.Equal(c[2], base) {
			t.Errorf("%s: layers differ", source)
		}
		if got.Digest != digest || got.Config.User != "7" || got.Platform != "linux/arm64" || len(got.Config.History) != 3 || !strings.Contains(string(got.RawConfig), "X-Unknown") {
			t.Errorf("%s: %s %+v", source, got.Digest, got.Config)
		}
	}
}

func TestReferrers(t *testing.T) {
	host := serve(t, nil)
	img := imageOf(t, "amd64", tarOf(t, "a", "b"))
	push(t, host+"/app:1", img)
	ref, err := name.ParseReference(host + "/app:1")
	if err != nil {
		t.Fatal(err)
	}
	d, err := remote.Get(ref, remote.WithTransport(pusher{}))
	if err != nil {
		t.Fatal(err)
	}
	sbom := mutate.Subject(mutate.ConfigMediaType(imageOf(t, "amd64", []byte(`{"sbom":true}`)), "application/spdx+json"), v1.Descriptor{
		MediaType: d.MediaType, Digest: d.Digest, Size: d.Size,
	}).(v1.Image)
	push(t, host+"/app:sbom", sbom)
	signature := imageOf(t, "amd64", []byte(`{"critical":{}}`))
	push(t, host+"/app:"+tagOf(Digest(d.Digest.String()))+".sig", signature)
	got, err := openRef(t, host+"/app:1", registryOptions())
	if err != nil {
		t.Fatal(err)
	}
	found, err := got.Referrers(t.Context(), got.Digest)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, a := range found {
		kinds = append(kinds, a.Found+" "+a.Digest)
		if data, err := a.Blob(t.Context(), a.Manifest.Layers[0], 1<<20); err != nil || len(data) == 0 {
			t.Errorf("%s: %v", a.Digest, err)
		}
		if _, err := a.Blob(t.Context(), a.Manifest.Layers[0], 3); !errors.Is(err, ErrLimit) {
			t.Errorf("a limit of three bytes: %v", err)
		}
	}
	if want := []string{"referrers " + digestOf(t, sbom), "sig " + digestOf(t, signature)}; !slices.Equal(kinds, want) {
		t.Errorf("found %q, want %q", kinds, want)
	}
	if found, err := got.Referrers(t.Context(), string(DigestOf([]byte("x")))); err != nil || len(found) != 0 {
		t.Errorf("of another digest: %v %v", found, err)
	}
}

func TestWalkDir(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	for _, d := range []string{"etc", "proc/1", "usr/lib"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"etc/os-release": "ID=x\n", "proc/1/maps": "kernel", "usr/lib/a": "a"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"lib": "usr/lib", "out": outside, "etc/abs": "/etc/shadow"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(dir, "usr/lib/a"), filepath.Join(dir, "usr/lib/b")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	skipped, err := WalkDir(t.Context(), dir, func(h *tar.Header, open func() (io.ReadCloser, error)) error {
		line := string(h.Typeflag) + " " + h.Name
		if h.Linkname != "" {
			line += " -> " + strings.ReplaceAll(h.Linkname, outside, "OUTSIDE")
		}
		if h.Typeflag == tar.TypeReg {
			r, err := open()
			if err != nil {
				return err
			}
			defer r.Close()
			data, err := io.ReadAll(r)
			if err != nil {
				return err
			}
			line += " " + string(data)
		}
		got = append(got, line)
		return nil
	})
	if err != nil || len(skipped) != 0 {
		t.Fatal(err, skipped)
	}
	want := []string{
		"5 etc/", "2 etc/abs -> /etc/shadow", "0 etc/os-release ID=x\n", "2 lib -> usr/lib", "2 out -> OUTSIDE", "6 pipe",
		"5 proc/", "5 usr/", "5 usr/lib/", "0 usr/lib/a a", "1 usr/lib/b -> usr/lib/a",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	stop := errors.New("enough")
	if _, err := WalkDir(t.Context(), dir, func(*tar.Header, func() (io.ReadCloser, error)) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of the visitor: %v", err)
	}
	// A file that another took the place of is not read.
	_, err = WalkDir(t.Context(), dir, func(h *tar.Header, open func() (io.ReadCloser, error)) error {
		if h.Name != "etc/os-release" {
			return nil
		}
		os.Remove(filepath.Join(dir, h.Name))
		os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, h.Name))
		if r, err := open(); err == nil {
			r.Close()
			t.Error("a link out of the folder was followed")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
