package oci

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// TestContainerd reads the store of a real containerd, while it runs.
func TestContainerd(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("containerd wants to be started by root")
	}
	for _, program := range []string{"containerd", "ctr"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("needs the Debian package containerd")
		}
	}
	dir := t.TempDir()
	root, socket := filepath.Join(dir, "root"), filepath.Join(dir, "c.sock")
	config := filepath.Join(dir, "config.toml")
	settings := "version = 2\nroot = '" + root + "'\nstate = '" + dir + "/state'\ndisabled_plugins = ['io.containerd.grpc.v1.cri']\n[grpc]\naddress = '" + socket + "'\n"
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	daemon := exec.CommandContext(ctx, "containerd", "--config", config)
	daemon.Cancel = func() error { return daemon.Process.Signal(os.Interrupt) }
	daemon.WaitDelay = 10 * time.Second
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); daemon.Wait() })
	ctr := func(args ...string) ([]byte, error) {
		return exec.CommandContext(ctx, "ctr", append([]string{"--address", socket, "--namespace", "k8s.io"}, args...)...).CombinedOutput()
	}
	for tries := 0; ; tries++ {
		if out, err := ctr("version"); err == nil {
			break
		} else if tries == 100 {
			t.Skipf("containerd does not start here: %s", out)
		}
		time.Sleep(100 * time.Millisecond)
	}
	layer := tarOf(t, "etc/os-release", "ID=alpine\n")
	img := imageOf(t, runtime.GOARCH, layer)
	archive := filepath.Join(dir, "image.tar")
	tag := name.MustParseReference("docker.io/library/app:1").(name.Tag)
	if err := tarball.MultiWriteToFile(archive, map[name.Tag]v1.Image{tag: img}); err != nil {
		t.Fatal(err)
	}
	if out, err := ctr("images", "import", "--no-unpack", archive); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	o := Options{Containerd: root}
	names, err := ContainerdImages(ctx, o)
	if err != nil || !slices.Equal(names, []string{"docker.io/library/app:1"}) {
		t.Fatalf("images: %q %v", names, err)
	}
	list, err := ctr("images", "list")
	if err != nil {
		t.Fatal(err)
	}
	_, digest, _ := strings.Cut(string(list), "sha256:")
	digest = "sha256:" + strings.Fields(digest)[0]
	for _, ref := range []string{"docker.io/library/app:1", "app:1", digest, "app@" + digest} {
		got, err := Open(ctx, Source{Kind: ContainerdKind, Name: ref}, o)
		if err != nil {
			t.Errorf("%s: %v", ref, err)
			continue
		}
		if c := contents(t, got); len(c) != 1 || !bytes.Equal(c[0], layer) {
			t.Errorf("%s: the layer differs", ref)
		}
		if got.Name != "docker.io/library/app:1" || got.Digest != digest {
			t.Errorf("%s: image is %s %s", ref, got.Name, got.Digest)
		}
		got.Close()
	}
	for _, ref := range []string{"app:2", "app", "sha256:" + strings.Repeat("1", 64)} {
		if _, err := Open(ctx, Source{Kind: ContainerdKind, Name: ref}, o); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	// What the runtime threw away is named so.
	blob, err := blobPath(Digest(func() string { l, _ := img.Layers(); d, _ := l[0].DiffID(); return d.String() }()))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Open(ctx, Source{Kind: ContainerdKind, Name: "app:1"}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if got.Layers[0].Digest != got.Layers[0].DiffID {
		blob, _ = blobPath(Digest(got.Layers[0].Digest))
	}
	if err := os.Remove(filepath.Join(root, containerdContent, blob)); err != nil {
		t.Fatal(err)
	}
	if _, err := got.Layers[0].Open(ctx); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "discard_unpacked_layers") {
		t.Errorf("thrown away: %v", err)
	}
}

func TestBrokenContainerdDatabase(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, containerdMetadata)
	for _, dir := range []string{filepath.Dir(file), filepath.Join(root, containerdContent)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, data := range []string{"garbage", strings.Repeat("\x00", 1<<16), noise(1 << 16)} {
		if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ContainerdImages(t.Context(), Options{Containerd: root}); err == nil {
			t.Errorf("%d bytes of garbage were read", len(data))
		}
	}
}
