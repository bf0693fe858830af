//go:build !race

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"seawall.io/seawall"
	"seawall.io/seawall/test/images"
)

// long says whether tests may take a minute.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: it takes a minute")
	}
}

// database builds one that knows the flaws of the small test images.
func database(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range images.Advisories() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db := filepath.Join(t.TempDir(), "seawall.db")
	if out := seawallCommand(t, "db", "build", "-o", db, dir); out.code != 0 {
		t.Fatalf("seawall db build: exit %d: %s", out.code, out.stderr)
	}
	return db
}

// archive saves an image as docker does.
func archive(t *testing.T, img v1.Image, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "image.tar")
	if err := images.WriteArchive(file, "example.org/app:1", img); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestImageReportsDoNotDependOnTheCache scans one image without a cache, with an
// empty one and with a full one, and at the same time over one database.
func TestImageReportsDoNotDependOnTheCache(t *testing.T) {
	db := database(t)
	img, err := images.Debian()
	file := archive(t, img, err)
	cache := t.TempDir()
	args := []string{"image", "scan", "archive:" + file, "--db", db, "--quiet", "-o", "json"}
	want := seawallCommand(t, append(args, "--no-layer-cache")...)
	if want.code != 1 || !strings.Contains(want.stdout, "CVE-2024-10007") {
		t.Fatalf("exit %d: %s %s", want.code, want.stdout, want.stderr)
	}
	for range 2 {
		if got := seawallCommand(t, append(args, "--layer-cache", cache)...); got.stdout != want.stdout || got.code != want.code {
			t.Errorf("exit %d, want %d, and %d bytes that differ from %d", got.code, want.code, len(got.stdout), len(want.stdout))
		}
	}
	entries, err := os.ReadDir(cache)
	if err != nil || len(entries) != 3 {
		t.Errorf("the cache holds %d files, want one for each of 3 layers (%v)", len(entries), err)
	}
	var all sync.WaitGroup
	outcomes := make([]outcome, 4)
	for i := range outcomes {
		all.Go(func() { outcomes[i] = seawallCommand(t, append(args, "--layer-cache", filepath.Join(cache, "new"))...) })
	}
	all.Wait()
	for i, got := range outcomes {
		if got.stdout != want.stdout || got.code != want.code {
			t.Errorf("scan %d of 4 at once: exit %d, %d bytes, want %d and %d: %s", i, got.code, len(got.stdout), want.code, len(want.stdout), got.stderr)
		}
	}
}

// TestImagesShareLayersInTheCache scans two images on one base: the base is kept
// once, and what each adds is told of that one alone.
func TestImagesShareLayersInTheCache(t *testing.T) {
	db, cache := database(t), t.TempDir()
	base, err := images.Debian()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := base.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"lodash", "minimist"} {
		own, err := images.NewLayer(images.Entries(images.File("srv/node_modules/"+name+"/package.json", `{"name":"`+name+`","version":"1.0.0"}`)), images.Gzip)
		if err != nil {
			t.Fatal(err)
		}
		img, err := images.New(v1.Config{User: "1000"}, append(slices.Clone(layers), own)...)
		args := []string{"image", "scan", "archive:" + archive(t, img, err), "--db", db, "--quiet", "-o", "json"}
		want := seawallCommand(t, append(args, "--no-layer-cache")...)
		got := seawallCommand(t, append(args, "--layer-cache", cache)...)
		if got.stdout != want.stdout || got.code != want.code || !strings.Contains(got.stdout, "srv/node_modules/"+name) {
			t.Errorf("%s: exit %d, want %d; with the cache\n%.2000s\nwithout\n%.2000s", name, got.code, want.code, got.stdout, want.stdout)
		}
		kept, err := os.ReadDir(cache)
		if err != nil || len(kept) != len(layers)+1+i {
			t.Errorf("%s: the cache holds %d layers, want %d (%v)", name, len(kept), len(layers)+1+i, err)
		}
	}
}

// TestBrokenImageIsNoPass scans an image of which one layer is cut off: what was
// read has no flaws, and the exit code says that this is not all.
func TestBrokenImageIsNoPass(t *testing.T) {
	db := database(t)
	whole, err := images.NewLayer(images.Entries(images.File("etc/hosts", "127.0.0.1 localhost\n")), images.Gzip)
	if err != nil {
		t.Fatal(err)
	}
	cut, err := images.NewLayer(images.Entries(images.Zeros("zeros", 1<<20)), images.Gzip)
	if err != nil {
		t.Fatal(err)
	}
	cut.Seal(cut.Stored[:len(cut.Stored)/2])
	config := v1.Config{User: "1000", Entrypoint: []string{"/app"}}
	for _, tt := range []struct {
		name   string
		layers []v1.Layer
		code   int
	}{{"whole", []v1.Layer{whole}, 0}, {"cut", []v1.Layer{whole, cut}, 3}} {
		t.Run(tt.name, func(t *testing.T) {
			img, err := images.New(config, tt.layers...)
			args := []string{"image", "scan", "archive:" + archive(t, img, err), "--db", db, "--no-layer-cache", "-o", "json"}
			out := seawallCommand(t, append(args, "--fail-on", "critical")...)
			if out.code != tt.code {
				t.Errorf("exit %d, want %d: %s", out.code, tt.code, out.stdout)
			}
			if tt.code == 3 && !strings.Contains(out.stdout, "layer 2 of 2") {
				t.Errorf("the report does not name the layer: %s", out.stdout)
			}
			if out := seawallCommand(t, append(args, "--fail-on", "critical", "--allow-incomplete")...); out.code != 0 {
				t.Errorf("with --allow-incomplete: exit %d, want 0", out.code)
			}
		})
	}
}

// TestImagesOfRPM scans images whose packages rpm installed, with its database in each
// of its forms, and asks rpm what there is.
func TestImagesOfRPM(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("rpm installs packages below a folder for root alone")
	}
	for _, program := range images.RPMPrograms() {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s here (Debian packages rpm and db-util)", program)
		}
	}
	db := database(t)
	for _, form := range []images.RPMForm{images.RPMSQLite, images.RPMBerkeleyDB, images.RPMNative} {
		t.Run(string(form), func(t *testing.T) {
			img, root, err := images.RPM(t.Context(), t.TempDir(), form)
			file := "archive:" + archive(t, img, err)
			query := exec.CommandContext(t.Context(), "rpm", "--root", root, "--dbpath", "/var/lib/rpm", "-qa", "--qf", "%{NAME} %{EVR} %{ARCH}\n")
			said, err := query.Output()
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Split(strings.TrimSpace(string(said)), "\n")
			slices.Sort(want)
			if got := rpmsOf(t, file); !slices.Equal(got, want) || len(got) != 3 {
				t.Errorf("packages %q\nrpm says %q", got, want)
			}
			out := seawallCommand(t, "image", "scan", file, "--db", db, "--no-layer-cache", "--verify-files", "-o", "json")
			var r seawall.Report
			if err := json.Unmarshal([]byte(out.stdout), &r); err != nil {
				t.Fatalf("%v: %s", err, out.stderr)
			}
			if got, want := flaws(&r), []string{"CVE-2024-10013 openssl 1:3.0.7-24.el9"}; !slices.Equal(got, want) {
				t.Errorf("flaws %q, want %q", got, want)
			}
			for _, f := range r.Findings {
				if strings.Contains(f.Check, "modified") || strings.Contains(f.Check, "unknown") {
					t.Errorf("%s: %s", f.Check, f.Message)
				}
			}
			if out.code != 1 || len(r.Coverage.Incomplete) > 0 {
				t.Errorf("exit %d, incomplete %v", out.code, r.Coverage.Incomplete)
			}
		})
	}
}

// rpmsOf lists an image's packages as rpm's query does.
func rpmsOf(t *testing.T, file string) []string {
	t.Helper()
	out := seawallCommand(t, "image", "sbom", file, "--no-layer-cache")
	var bill struct {
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal([]byte(out.stdout), &bill); err != nil {
		t.Fatalf("exit %d: %v: %s", out.code, err, out.stderr)
	}
	var all []string
	for _, c := range bill.Components {
		if !strings.HasPrefix(c.PURL, "pkg:rpm/") {
			continue
		}
		u, err := url.Parse(c.PURL)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s %s %s", c.Name, c.Version, u.Query().Get("arch")))
	}
	slices.Sort(all)
	return all
}

// flaws lists what is not suppressed.
func flaws(r *seawall.Report) []string {
	var out []string
	for _, f := range r.Findings {
		if v := f.Vulnerability; v != nil && f.Suppressed == nil {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", v.ID, v.Package, v.Installed, v.Reach)))
		}
	}
	slices.Sort(out)
	return out
}

// TestImagesOfGoPrograms scans a program twice: stripping hides nothing of what is
// linked into it.
func TestImagesOfGoPrograms(t *testing.T) {
	db := database(t)
	for _, stripped := range []bool{false, true} {
		t.Run(fmt.Sprintf("stripped=%t", stripped), func(t *testing.T) {
			img, err := images.GoProgram(t.Context(), t.TempDir(), stripped)
			r, out := scan(t, "archive:"+archive(t, img, err), "--db", db, "--no-layer-cache")
			installed := strings.TrimPrefix(runtime.Version(), "go")
			want := []string{"GO-2024-10015 stdlib " + installed + " function", "GO-2024-10016 stdlib " + installed + " package"}
			if got := flaws(r); !slices.Equal(got, want) {
				t.Errorf("flaws %q, want %q (%s)", got, want, out.stderr)
			}
			absent := func(f *seawall.Finding) bool {
				return f.Vulnerability != nil && f.Vulnerability.ID == "GO-2024-10017" && f.Suppressed != nil
			}
			if !slices.ContainsFunc(r.Findings, absent) {
				t.Errorf("the flaw of a package that is not linked in is not among what is suppressed: %s", out.stdout)
			}
		})
	}
}

// TestMillionsOfFiles scans an image of three million files in 256 MB, all that
// the process takes.
func TestMillionsOfFiles(t *testing.T) {
	long(t)
	l, err := images.NewLayer(images.Many(3_000_000), images.Gzip)
	if err != nil {
		t.Fatal(err)
	}
	img, err := images.New(v1.Config{User: "1000"}, l)
	file := archive(t, img, err)
	program := filepath.Join(t.TempDir(), "seawall")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "seawall.io/seawall/cmd/seawall")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	var stdout bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "image", "scan", "archive:"+file, "--no-layer-cache", "--allow-incomplete", "--fail-on", "none", "-o", "json")
	cmd.Stdout = &stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var peak int
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("seawall image scan: %v: %s", err, stdout.String())
			}
			running = false
		case <-time.After(10 * time.Millisecond):
			peak = max(peak, highWater(cmd.Process.Pid))
		}
	}
	t.Logf("peak %d MB, CPU %v", peak>>10, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	if !strings.Contains(stdout.String(), `"files":3000000`) {
		t.Errorf("the report does not count the files: %.500s", stdout.String())
	}
	if peak == 0 || peak > 256<<10 {
		t.Errorf("the process took %d MB, want at most 256", peak>>10)
	}
}

// highWater returns the most memory in KiB that a process had so far, 0 where
// that is not known (any more).
func highWater(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			return n
		}
	}
	return 0
}
