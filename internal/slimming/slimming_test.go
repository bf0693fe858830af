package slimming_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/internal/oci"
	"seawall.io/seawall/internal/slim"
	"seawall.io/seawall/internal/slimming"
)

const script = "#!/bin/sh\ntrue\n"

func file(name, text string) *tar.Header {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(1_600_000_000, 0), Uid: 12, Gid: 34, PAXRecords: map[string]string{"text": text}}
	if strings.HasPrefix(text, "#!") {
		h.Mode = 0o755
	}
	return h
}

// layer writes headers; what a file holds stands in its records under "text".
func layer(t *testing.T, headers ...*tar.Header) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		out := *h
		text := out.PAXRecords["text"]
		out.PAXRecords = maps.Clone(out.PAXRecords)
		delete(out.PAXRecords, "text")
		if err := w.WriteHeader(&out); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

const config = `{"os": "linux", "architecture": "amd64", "created": "2026-01-02T03:04:05Z", "author": "me", "unknown": {"to": "us"},
	"config": {"Entrypoint": ["/bin/app"], "Cmd": ["--serve"], "Env": ["PATH=/bin", "A=b"], "User": "12", "WorkingDir": "/work", "Labels": {"mine": "yes"}, "ExposedPorts": {"80/tcp": {}},
		"Healthcheck": {"Test": ["CMD", "/bin/healthy"]}, "StopSignal": "SIGINT"}}`

// sample writes an image of two layers with all kinds of files.
func sample(t *testing.T) string {
	t.Helper()
	status := "Package: app\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\nPackage: perl\nStatus: install ok installed\nVersion: 5\nArchitecture: all\n\n"
	capable := file("bin/app", script)
	capable.PAXRecords["SCHILY.xattr.security.capability"] = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	suid := file("bin/healthy", script)
	suid.Mode = 0o4755
	fine := file("bin/late", script)
	fine.ModTime, fine.Format = time.Unix(1_600_000_000, 123_456_789), tar.FormatPAX
	base := layer(t,
		&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777},
		&tar.Header{Typeflag: tar.TypeDir, Name: "work/", Mode: 0o750, Uid: 12, Gid: 34},
		&tar.Header{Typeflag: tar.TypeDir, Name: "var/lib/app/", Mode: 0o700, Uid: 12},
		capable, suid, fine, file("bin/sh", script), file("bin/perl", script),
		&tar.Header{Typeflag: tar.TypeLink, Name: "bin/perl5", Linkname: "bin/perl", Mode: 0o755, Uid: 12, Gid: 34},
		&tar.Header{Typeflag: tar.TypeLink, Name: "bin/app-again", Linkname: "bin/app", Mode: 0o755, Uid: 12, Gid: 34},
		&tar.Header{Typeflag: tar.TypeLink, Name: "data/from-perl", Linkname: "bin/perl", Mode: 0o755, Uid: 12, Gid: 34}, // stays, and what it is a link of does not
		&tar.Header{Typeflag: tar.TypeSymlink, Name: "usr/bin", Linkname: "../bin"},
		file("usr/bin/more", script), // over the link
		&tar.Header{Typeflag: tar.TypeChar, Name: "data/null", Devmajor: 1, Devminor: 3, Mode: 0o666},
		&tar.Header{Typeflag: tar.TypeFifo, Name: "data/pipe", Mode: 0o600},
		file("data/replaced", "old"), file("data/removed", "secret"), file("var/lib/apt/lists/x", strings.Repeat("x", 5000)),
		file("etc/os-release", "ID=debian\nVERSION_ID=12\n"),
		file("var/lib/dpkg/status", status),
		file("var/lib/dpkg/info/app.list", "/.\n/bin\n/bin/app\n/bin/app-again\n/bin/gone\n"), file("var/lib/dpkg/info/app.postinst", script),
		file("var/lib/dpkg/info/perl.list", "/.\n/bin\n/bin/perl\n/bin/perl5\n"),
	)
	upper := layer(t, file("data/replaced", "new"), file("data/.wh.removed", ""))
	name := filepath.Join(t.TempDir(), "full.tar")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := oci.Write(f, oci.New{Name: "example.com/shop/app:1", Config: json.RawMessage(config), Layers: []oci.Part{{Tar: base, CreatedBy: "RUN base"}, {Tar: upper, CreatedBy: "COPY . ."}}}); err != nil {
		t.Fatal(err)
	}
	return name
}

func analyse(t *testing.T, src oci.Source, o slimming.Options) *slimming.Result {
	t.Helper()
	r, err := slimming.Analyse(t.Context(), src, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// entries reads the layers of an image.
func entries(t *testing.T, src oci.Source) (*oci.Image, map[string]*tar.Header) {
	t.Helper()
	img, err := oci.Open(t.Context(), src, oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { img.Close() })
	out := map[string]*tar.Header{}
	for i := range img.Layers {
		stream, err := img.Layers[i].Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tr := tar.NewReader(stream)
		for {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(tr)
			if err != nil {
				t.Fatal(err)
			}
			if h.PAXRecords == nil {
				h.PAXRecords = map[string]string{}
			}
			h.PAXRecords["text"] = string(body)
			out[h.Name] = h
		}
		stream.Close()
	}
	return img, out
}

func TestWrite(t *testing.T) {
	r := analyse(t, oci.Source{Kind: oci.ArchiveKind, Path: sample(t)}, slimming.Options{Keep: []string{"/usr/bin/more"}})
	dir := t.TempDir()
	to := filepath.Join(dir, "slim.tar")
	if _, err := r.Archive(t.Context(), to, slimming.Output{}); err != nil {
		t.Fatal(err)
	}
	img, got := entries(t, oci.Source{Kind: oci.ArchiveKind, Path: to})

	for _, tt := range []struct {
		path string
		want tar.Header
		text string
	}{
		{"tmp/", tar.Header{Typeflag: tar.TypeDir, Mode: 0o1777}, ""},
		{"work/", tar.Header{Typeflag: tar.TypeDir, Mode: 0o750, Uid: 12, Gid: 34}, ""},
		{"var/lib/app/", tar.Header{Typeflag: tar.TypeDir, Mode: 0o700, Uid: 12}, ""},
		{"bin/app", tar.Header{Typeflag: tar.TypeReg, Mode: 0o755, Uid: 12, Gid: 34}, script},
		{"bin/healthy", tar.Header{Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 12, Gid: 34}, script},
		{"bin/app-again", tar.Header{Typeflag: tar.TypeLink, Mode: 0o755, Uid: 12, Gid: 34, Linkname: "bin/app"}, ""},
		{"data/from-perl", tar.Header{Typeflag: tar.TypeReg, Mode: 0o755, Uid: 12, Gid: 34}, script},
		{"usr/bin", tar.Header{Typeflag: tar.TypeSymlink, Mode: 0, Linkname: "../bin"}, ""},
		{"data/null", tar.Header{Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3}, ""},
		{"data/pipe", tar.Header{Typeflag: tar.TypeFifo, Mode: 0o600}, ""},
		{"data/replaced", tar.Header{Typeflag: tar.TypeReg, Mode: 0o644, Uid: 12, Gid: 34}, "new"},
		{"bin/more", tar.Header{Typeflag: tar.TypeReg, Mode: 0o755, Uid: 12, Gid: 34}, script},
		{"var/lib/dpkg/status", tar.Header{Typeflag: tar.TypeReg, Mode: 0o644, Uid: 12, Gid: 34}, "Package: app\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n"},
		{"var/lib/dpkg/info/app.list", tar.Header{Typeflag: tar.TypeReg, Mode: 0o644, Uid: 12, Gid: 34}, "/.\n/bin\n/bin/app\n/bin/app-again\n"},
	} {
		h := got[tt.path]
		if h == nil {
			t.Errorf("%s is not there", tt.path)
			continue
		}
		if h.Typeflag != tt.want.Typeflag || h.Mode != tt.want.Mode || h.Uid != tt.want.Uid || h.Gid != tt.want.Gid || h.Linkname != tt.want.Linkname || h.Devmajor != tt.want.Devmajor || h.Devminor != tt.want.Devminor || h.PAXRecords["text"] != tt.text {
			t.Errorf("%s is %c mode %o of %d:%d, link %q, %q\nwant %c mode %o of %d:%d, link %q, %q", tt.path, h.Typeflag, h.Mode, h.Uid, h.Gid, h.Linkname, h.PAXRecords["text"],
				tt.want.Typeflag, tt.want.Mode, tt.want.Uid, tt.want.Gid, tt.want.Linkname, tt.text)
		}
	}
	if got["bin/app"].PAXRecords["SCHILY.xattr.security.capability"] == "" {
		t.Error("the capabilities of bin/app are lost")
	}
	if at := got["bin/late"].ModTime; at.UnixNano() != 1_600_000_000_123_456_789 {
		t.Errorf("the time of bin/late is %v", at)
	}
	for _, gone := range []string{"bin/perl", "bin/perl5", "data/removed", "var/lib/apt/lists/x", "var/lib/dpkg/info/perl.list", "var/lib/dpkg/info/app.postinst"} {
		if got[gone] != nil {
			t.Errorf("%s is still there", gone)
		}
	}
	c := img.Config
	if len(img.Layers) != 1 || c.User != "12" || c.WorkingDir != "/work" || !slices.Equal(c.Entrypoint, []string{"/bin/app"}) || !slices.Equal(c.Env, []string{"PATH=/bin", "A=b"}) || c.Author != "me" || c.StopSignal != "SIGINT" {
		t.Errorf("the configuration is %+v", c)
	}
	if c.Labels["mine"] != "yes" || c.Labels["seawall.io/slimmed-from"] != r.Scan.Image.Digest {
		t.Errorf("the labels are %v", c.Labels)
	}
	if !bytes.Contains(img.RawConfig, []byte(`"unknown":{"to":"us"}`)) {
		t.Error("what Seawall does not know of the configuration is lost")
	}
	if img.Name != "example.com/shop/app:1-slim" {
		t.Errorf("the image is called %q", img.Name)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".seawall*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestWriteTwice wants the same bytes, as an archive and in a folder.
func TestWriteTwice(t *testing.T) {
	o := slimming.Output{Latest: time.Unix(1_500_000_000, 0)}
	image := sample(t)
	var digests []string
	dir := t.TempDir()
	for i := range 2 {
		r := analyse(t, oci.Source{Kind: oci.ArchiveKind, Path: image}, slimming.Options{})
		var b bytes.Buffer
		digest, err := r.Write(t.Context(), &b, o)
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest, string(rune('a'+i)))
		if i == 1 {
			if digest, err = r.Layout(t.Context(), filepath.Join(dir, "layout"), o); err != nil || digest != digests[0] {
				t.Errorf("the layout is %s, %v; want %s", digest, err, digests[0])
			}
			if _, err := r.Layout(t.Context(), filepath.Join(dir, "layout"), o); err == nil {
				t.Error("a folder that is not empty is written over")
			}
		}
	}
	if digests[0] != digests[2] {
		t.Errorf("%s and %s", digests[0], digests[2])
	}
	_, got := entries(t, oci.Source{Kind: oci.LayoutKind, Path: filepath.Join(dir, "layout")})
	for name, h := range got {
		if h.ModTime.After(o.Latest) {
			t.Errorf("%s is of %v", name, h.ModTime)
		}
	}
}

// TestVerify holds an image against a plan that it does not fulfil.
func TestVerify(t *testing.T) {
	r := analyse(t, oci.Source{Kind: oci.ArchiveKind, Path: sample(t)}, slimming.Options{})
	name := filepath.Join(t.TempDir(), "broken.tar")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := oci.Write(f, oci.New{Config: json.RawMessage(config), Layers: []oci.Part{{Tar: layer(t, file("bin/app", script))}}}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	err = r.Verify(t.Context(), oci.Source{Kind: oci.ArchiveKind, Path: name})
	if err == nil || !strings.Contains(err.Error(), "lacks /bin/sh") || !strings.Contains(err.Error(), "lacks /bin/healthy") {
		t.Errorf("got %v", err)
	}
}

func TestManifest(t *testing.T) {
	write := func(text string) string {
		name := filepath.Join(t.TempDir(), "pod.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	const pod = `apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
  - name: c
    image: IMAGE
    args: [--other]
    livenessProbe: {exec: {command: [perl, -e, "1"]}}
    lifecycle: {preStop: {exec: {command: ["/bin/more"]}}}
`
	src := oci.Source{Kind: oci.ArchiveKind, Path: sample(t)}
	for _, image := range []string{"example.com/shop/app:9", "shop/app@sha256:" + strings.Repeat("a", 64)} {
		r := analyse(t, src, slimming.Options{Manifests: []string{write(strings.ReplaceAll(pod, "IMAGE", image))}})
		var why []string
		for _, root := range r.Plan.Roots {
			why = append(why, root.Why)
		}
		want := []string{
			"the image's command", "the image's health check", "the command of the container c in Pod/p",
			"the liveness probe of the container c in Pod/p", "the preStop hook of the container c in Pod/p",
		}
		if !slices.Equal(why, want) {
			t.Errorf("roots %q\nwant %q", why, want)
		}
		if !r.Plan.Keeps("bin/perl") {
			t.Error("what the probe runs goes")
		}
	}
	_, err := slimming.Analyse(t.Context(), src, slimming.Options{Manifests: []string{write(strings.ReplaceAll(pod, "IMAGE", "nginx"))}})
	if err == nil || !strings.Contains(err.Error(), "only nginx") {
		t.Errorf("a manifest of another image: %v", err)
	}
}

func TestProfile(t *testing.T) {
	src := oci.Source{Kind: oci.ArchiveKind, Path: sample(t)}
	for _, tt := range []struct{ name, text, want string }{
		{"used", `{"version": 1, "pods": 2, "days": 3, "executed": ["/usr/bin/perl"], "opened": []}`, ""},
		{"empty", `{"version": 1}`, "was anything watched"},
		{"newer", `{"version": 2, "executed": ["/x"]}`, "version 1 is known"},
		{"malformed", `{`, "unexpected end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "profile.json")
			if err := os.WriteFile(name, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := slimming.Analyse(t.Context(), src, slimming.Options{Profile: name})
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if !r.Plan.Keeps("bin/perl") || r.Plan.Unobserved.Files == 0 || r.Plan.Items[0].Confidence != slim.Observed {
				t.Errorf("%+v, %+v", r.Plan.Unobserved, r.Plan.Items)
			}
		})
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"bin/app": script, "bin/sh": script, "etc/os-release": "ID=debian\n"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	src := oci.Source{Kind: oci.RootfsKind, Path: dir}
	if _, err := slimming.Analyse(t.Context(), src, slimming.Options{}); !errors.Is(err, slimming.ErrNoCommand) {
		t.Errorf("without a command: %v", err)
	}
	r := analyse(t, src, slimming.Options{Run: []string{"app --x"}, Scan: imagescan.Options{}})
	to := filepath.Join(t.TempDir(), "slim.tar")
	if _, err := r.Archive(t.Context(), to, slimming.Output{}); err != nil {
		t.Fatal(err)
	}
	img, got := entries(t, oci.Source{Kind: oci.ArchiveKind, Path: to})
	if !slices.Equal(img.Config.Cmd, []string{"app", "--x"}) || got["bin/app"] == nil || got["bin/sh"] == nil {
		t.Errorf("command %q, entries %v", img.Config.Cmd, slices.Sorted(maps.Keys(got)))
	}
}

func TestDockerfile(t *testing.T) {
	r := analyse(t, oci.Source{Kind: oci.ArchiveKind, Path: sample(t)}, slimming.Options{})
	dir := t.TempDir()
	if err := r.Dockerfile(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"FROM example.com/shop/app:1 AS full", "FROM scratch", "COPY --from=full /seawall-slim/ /", `ENV A="b"`, `ENTRYPOINT ["/bin/app"]`, `CMD ["--serve"]`, "USER 12", "WORKDIR /work", `HEALTHCHECK CMD ["/bin/healthy"]`, "EXPOSE 80/tcp"} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
	list, err := os.ReadFile(filepath.Join(dir, "keep.txt"))
	if err != nil || !strings.Contains(string(list), "./bin/app\n") || strings.Contains(string(list), "./bin/perl\n") {
		t.Errorf("keep.txt: %v\n%s", err, list)
	}
}
