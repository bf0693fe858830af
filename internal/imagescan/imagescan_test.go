package imagescan_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"seawall.io/seawall/internal/advisory"
	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/internal/oci"
	"seawall.io/seawall/internal/sbom"
	"seawall.io/seawall/test/images"
)

// small are the images that every test of all sources goes through.
func small(t *testing.T) map[string]v1.Image {
	t.Helper()
	all := map[string]v1.Image{}
	for name, build := range map[string]func() (v1.Image, error){
		"debian": images.Debian, "distroless": images.Distroless, "alpine": images.Alpine,
	} {
		img, err := build()
		if err != nil {
			t.Fatal(err)
		}
		all[name] = img
	}
	return all
}

// database opens one that knows the flaws of the small images.
func database(t testing.TB) *advisory.DB {
	t.Helper()
	dir := t.TempDir()
	for name, text := range images.Advisories() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "seawall.db")
	if _, err := advisory.Build(t.Context(), []advisory.Input{{Path: dir}}, file, advisory.Options{Built: images.Made()}); err != nil {
		t.Fatal(err)
	}
	db, err := advisory.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func options(t testing.TB) imagescan.Options {
	t.Helper()
	return imagescan.Options{Database: database(t), Today: "2024-06-01"}
}

func scan(t testing.TB, src oci.Source, o imagescan.Options) *imagescan.Result {
	t.Helper()
	r, err := imagescan.Scan(t.Context(), src, o)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// write puts an image into a layout.
func write(t testing.TB, img v1.Image) oci.Source {
	t.Helper()
	dir := t.TempDir()
	if err := images.WriteLayout(dir, img); err != nil {
		t.Fatal(err)
	}
	return oci.Source{Kind: oci.LayoutKind, Path: dir}
}

// text is a value as JSON, to compare.
func text(t testing.TB, v any) string {
	t.Helper()
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// flaws lists what was found, one line each: ID, package, version, status, layer.
func flaws(r *imagescan.Result) []string {
	var out []string
	for i := range r.Description.Vulnerabilities {
		v := &r.Description.Vulnerabilities[i]
		out = append(out, fmt.Sprintf("%s %s %s %s fixed=%s %v %.15s", v.ID, v.Package, v.Installed, v.Status, v.Fixed, v.Binaries, v.Layer))
	}
	slices.Sort(out)
	return out
}

// named is flaws without what tells versions and layers.
func named(r *imagescan.Result) []string {
	var out []string
	for i := range r.Description.Vulnerabilities {
		v := &r.Description.Vulnerabilities[i]
		out = append(out, v.ID[len(v.ID)-2:]+" "+v.Package+" "+v.Status)
	}
	slices.Sort(out)
	return out
}

func TestWhatIsFound(t *testing.T) {
	want := map[string][]string{
		// curl and minimist were removed by the last layer, which brought git.
		"debian": {
			"01 openssl fixed", "02 zlib affected", "04 git fixed", "05 lodash fixed",
			"06 requests fixed", "07 org.apache.logging.log4j:log4j-core fixed", "08 rack fixed",
		},
		"distroless": {"01 openssl fixed", "02 zlib affected"},
		"alpine":     {"10 openssl fixed", "11 busybox affected"},
	}
	for name, img := range small(t) {
		t.Run(name, func(t *testing.T) {
			r := scan(t, write(t, img), options(t))
			if d := cmp.Diff(want[name], named(r)); d != "" {
				t.Errorf("flaws (-want +got):\n%s", d)
			}
			if len(r.Incomplete) > 0 {
				t.Errorf("incomplete: %v", r.Incomplete)
			}
			if name != "debian" {
				return
			}
			layer := map[string]int{}
			for _, p := range r.Inventory.Packages {
				layer[p.Name] = p.Layer
			}
			if layer["zlib1g"] != 0 || layer["lodash"] != 1 || layer["git"] != 2 {
				t.Errorf("packages come from layers %v", layer)
			}
			var secrets []string
			for _, s := range r.Description.Secrets {
				secrets = append(secrets, fmt.Sprintf("%s layer %d removed %v", s.Path, s.Layer, s.Removed))
			}
			slices.Sort(secrets)
			if d := cmp.Diff([]string{"app/.npmrc layer 2 removed false", "env API_TOKEN layer 0 removed false", "root/.netrc layer 0 removed true"}, secrets); d != "" {
				t.Errorf("credentials (-want +got):\n%s", d)
			}
		})
	}
}

// TestSourcesAgree reads one image wherever an image can lie.
func TestSourcesAgree(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	for title, img := range small(t) {
		t.Run(title, func(t *testing.T) {
			o := options(t)
			o.OCI.Registry.Insecure = []string{host}
			want := scan(t, write(t, img), o)
			if len(want.Description.Vulnerabilities) == 0 {
				t.Fatal("nothing was found, so there is nothing to compare")
			}
			dir := t.TempDir()
			tag, err := name.ParseReference(host+"/"+title+":1", name.Insecure)
			if err != nil {
				t.Fatal(err)
			}
			if err := remote.Write(tag, img); err != nil {
				t.Fatal(err)
			}
			if err := images.WriteArchive(filepath.Join(dir, "docker.tar"), "example.org/"+title+":1", img); err != nil {
				t.Fatal(err)
			}
			layout := write(t, img)
			if out, err := exec.CommandContext(t.Context(), "tar", "-C", layout.Path, "-cf", filepath.Join(dir, "oci.tar"), ".").CombinedOutput(); err != nil {
				t.Fatalf("tar: %v %s", err, out)
			}
			for _, src := range []oci.Source{
				{Kind: oci.RegistryKind, Name: tag.String()},
				{Kind: oci.ArchiveKind, Path: filepath.Join(dir, "docker.tar")},
				{Kind: oci.ArchiveKind, Path: filepath.Join(dir, "oci.tar")},
				{Kind: oci.LayoutKind, Path: filepath.Join(dir, "oci.tar")},
			} {
				t.Run(string(src.Kind)+"-"+filepath.Base(src.Path), func(t *testing.T) { same(t, want, scan(t, src, o)) })
			}
			t.Run("rootfs", func(t *testing.T) {
				root := t.TempDir()
				if err := images.Unpack(root, img); err != nil {
					t.Fatal(err)
				}
				got := scan(t, oci.Source{Kind: oci.RootfsKind, Path: root}, o)
				if d := cmp.Diff(named(want), named(got)); d != "" {
					t.Errorf("flaws (-image +rootfs):\n%s", d)
				}
				if want.Description.Files != got.Description.Files || want.Description.Size != got.Description.Size {
					t.Errorf("%d files of %d bytes, want %d of %d", got.Description.Files, got.Description.Size, want.Description.Files, want.Description.Size)
				}
			})
			t.Run("containerd", func(t *testing.T) {
				got := o
				got.OCI.Containerd = importContainerd(t, filepath.Join(dir, "docker.tar"))
				same(t, want, scan(t, oci.Source{Kind: oci.ContainerdKind, Name: "example.org/" + title + ":1"}, got))
			})
		})
	}
}

// same compares all but where the image lies.
func same(t *testing.T, want, got *imagescan.Result) {
	t.Helper()
	w, g := want.Description, got.Description
	// Archives of docker store the layers in their own way: the manifest, if there
	// is one, is not the same.
	g.Digest, g.Metadata, g.Reference = w.Digest, w.Metadata, w.Reference
	if d := cmp.Diff(text(t, w), text(t, g)); d != "" {
		t.Errorf("descriptions differ (-want +got):\n%s", d)
	}
	if d := cmp.Diff(text(t, want.Inventory), text(t, got.Inventory)); d != "" {
		t.Errorf("inventories differ (-want +got):\n%s", d)
	}
	if len(got.Incomplete) != len(want.Incomplete) {
		t.Errorf("incomplete: %v", got.Incomplete)
	}
}

// importContainerd starts a containerd of the test's own and gives it an image.
// It returns the root folder.
func importContainerd(t *testing.T, archive string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("containerd wants to be started by root")
	}
	for _, program := range []string{"containerd", "ctr"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("needs the Debian package containerd")
		}
	}
	dir := t.TempDir()
	root, socket, config := filepath.Join(dir, "root"), filepath.Join(dir, "c.sock"), filepath.Join(dir, "config.toml")
	settings := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n", root, dir+"/state", socket)
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
		out, err := ctr("version")
		if err == nil {
			break
		}
		if tries == 150 {
			t.Skipf("containerd does not start here: %s", out)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if out, err := ctr("images", "import", "--no-unpack", archive); err != nil {
		t.Fatalf("ctr images import: %v: %s", err, out)
	}
	return root
}

// TestBillJudgesAsTheImage holds the bill of materials to its promise: what is
// found in it is what is found in the image, layers included.
func TestBillJudgesAsTheImage(t *testing.T) {
	for title, img := range small(t) {
		for _, format := range []sbom.Format{sbom.CycloneDX, sbom.SPDX} {
			t.Run(fmt.Sprintf("%s-%v", title, format), func(t *testing.T) {
				o := options(t)
				want := scan(t, write(t, img), o)
				var bill strings.Builder
				if err := want.WriteBill(&bill, format, "test", images.Made()); err != nil {
					t.Fatal(err)
				}
				got, err := imagescan.FromBill("bill.json", []byte(bill.String()), o)
				if err != nil {
					t.Fatal(err)
				}
				if len(flaws(want)) == 0 {
					t.Fatal("nothing was found, so there is nothing to compare")
				}
				if d := cmp.Diff(flaws(want), flaws(got)); d != "" {
					t.Errorf("flaws (-image +bill):\n%s", d)
				}
				if got.Description.Digest != want.Description.Digest {
					t.Errorf("digest %q, want %q", got.Description.Digest, want.Description.Digest)
				}
			})
		}
	}
}

// TestCachedLayersSayTheSame scans twice with a cache; the second time no layer
// can be read any more.
func TestCachedLayersSayTheSame(t *testing.T) {
	for title, img := range small(t) {
		t.Run(title, func(t *testing.T) {
			o := options(t)
			plain := scan(t, write(t, img), o)
			o.Cache = t.TempDir()
			src := write(t, img)
			first := scan(t, src, o)
			layers, err := img.Layers()
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range layers {
				digest, err := l.Digest()
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Remove(filepath.Join(src.Path, "blobs", "sha256", digest.Hex)); err != nil {
					t.Fatal(err)
				}
			}
			second := scan(t, src, o)
			same(t, plain, first)
			same(t, first, second)
			for _, r := range []*imagescan.Result{first, second} {
				r.Source = plain.Source
			}
			if d := cmp.Diff(bill(t, first), bill(t, second)); d != "" {
				t.Errorf("bills differ (-first +second):\n%s", d)
			}
		})
	}
}

func bill(t *testing.T, r *imagescan.Result) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteBill(&b, sbom.CycloneDX, "test", images.Made()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
