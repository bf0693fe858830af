//go:build !race

package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"seawall.io/seawall/internal/oci"
	"seawall.io/seawall/internal/slim"
	"seawall.io/seawall/internal/slimming"
)

// TestSlimImagesRun reduces images that are made of Debian packages of this
// machine, and starts what is left in containerd: services have to answer.
func TestSlimImagesRun(t *testing.T) {
	c := startContainerd(t)
	for _, tt := range []struct {
		name     string
		packages []string
		files    map[string]string // executable where they begin with #!
		config   map[string]any
		url      string
		want     string
		gone     []string // paths that may not stay
	}{
		{
			name: "node", packages: []string{"nodejs"},
			files: map[string]string{
				"app/server.js":                   "const greet = require('greet');\nrequire('http').createServer((_, res) => res.end(greet('node'))).listen(PORT, '127.0.0.1');\n",
				"app/package.json":                `{"name": "app", "dependencies": {"greet": "1.0.0"}, "devDependencies": {"unused": "1.0.0"}}`,
				"app/node_modules/greet/index.js": "module.exports = (who) => `hello from ${who}`;\n", "app/node_modules/greet/package.json": `{"name": "greet", "version": "1.0.0"}`,
				"app/node_modules/unused/index.js": "module.exports = 1;\n", "app/node_modules/unused/package.json": `{"name": "unused", "version": "1.0.0"}`,
			},
			config: map[string]any{"Cmd": []string{"node", "server.js"}, "WorkingDir": "/app", "User": "65534"},
			want:   "hello from node", gone: []string{"usr/bin/perl", "usr/bin/dpkg", "bin/su", "app/node_modules/unused/index.js", "var/lib/apt/lists/package-list"},
		},
		{
			name: "node-behind-a-script", packages: []string{"nodejs"},
			files: map[string]string{
				"entrypoint.sh": "#!/bin/sh\nset -e\necho \"window.name = 'script'\" | sed 's/window/exports/' > /tmp/settings.js\nexec \"$@\"\n",
				"app/server.js": "const who = require('/tmp/settings.js').name;\nrequire('http').createServer((_, res) => res.end('hello from ' + who)).listen(PORT, '127.0.0.1');\n",
			},
			config: map[string]any{"Entrypoint": []string{"/entrypoint.sh"}, "Cmd": []string{"node", "/app/server.js"}},
			want:   "hello from script", gone: []string{"usr/bin/perl", "usr/bin/dpkg", "usr/bin/tar"},
		},
		{
			name: "python", packages: []string{"python3"},
			files:  map[string]string{"srv/index.html": "hello from python"},
			config: map[string]any{"Cmd": []string{"python3", "-m", "http.server", "PORT", "--bind", "127.0.0.1", "--directory", "/srv"}},
			want:   "hello from python", gone: []string{"usr/bin/perl", "usr/bin/dpkg"},
		},
		{
			name: "static-go", packages: []string{"bash"},
			files:  map[string]string{"server": ""},
			config: map[string]any{"Entrypoint": []string{"/server", "127.0.0.1:PORT"}},
			want:   "hello from go", gone: []string{"usr/bin/bash", "usr/bin/perl", "bin/sh"},
		},
	} {
		for _, level := range []slim.Level{slim.Safe, slim.Tight} {
			t.Run(tt.name+"/"+string(level), func(t *testing.T) {
				for _, p := range tt.packages {
					if _, err := run(time.Minute, "dpkg-query", "-L", p); err != nil {
						t.Skipf("needs the Debian package %s", p)
					}
				}
				port := freePort(t)
				files := map[string]string{"var/lib/apt/lists/package-list": strings.Repeat("x", 100_000), "etc/passwd": "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/usr/sbin/nologin\n", "etc/group": "root:x:0:\nnogroup:x:65534:\n"}
				for name, text := range tt.files {
					files[name] = strings.ReplaceAll(text, "PORT", port)
				}
				if _, ok := files["server"]; ok {
					files["server"] = goServer(t)
				}
				config, err := json.Marshal(tt.config)
				if err != nil {
					t.Fatal(err)
				}
				full := filepath.Join(t.TempDir(), "full.tar")
				debianImage(t, full, tt.packages, files, bytes.ReplaceAll(config, []byte("PORT"), []byte(port)))

				r, err := slimming.Analyse(t.Context(), oci.Source{Kind: oci.ArchiveKind, Path: full}, slimming.Options{Level: level})
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				if u := r.Plan.Unresolved; len(u) > 0 {
					t.Errorf("the image lacks %v", u)
				}
				for _, p := range tt.gone {
					if f, ok := r.Scan.Tree.Stat(p); ok && r.Plan.Keeps(f.Path()) {
						t.Errorf("/%s stays: %v", p, r.Plan.Why(f.Path()))
					}
				}
				reduced := filepath.Join(t.TempDir(), "slim.tar")
				if _, err := r.Archive(t.Context(), reduced, slimming.Output{Name: "seawall.test/" + tt.name + ":" + string(level)}); err != nil {
					t.Fatal(err)
				}
				t.Logf("%d files, %s; reduced to %d files, %s", r.Plan.Before.Files, slim.Bytes(r.Plan.Before.Bytes), r.Plan.After.Files, slim.Bytes(r.Plan.After.Bytes))
				if r.Plan.After.Bytes*4 > r.Plan.Before.Bytes*3 {
					t.Errorf("%s of %s stay: want a quarter less at least", slim.Bytes(r.Plan.After.Bytes), slim.Bytes(r.Plan.Before.Bytes))
				}
				c.serve(t, reduced, "seawall.test/"+tt.name+":"+string(level), "http://127.0.0.1:"+port+"/", tt.want)
			})
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// goServer builds a static program that answers, and returns it.
func goServer(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source := "package main\n\nimport (\n\t\"io\"\n\t\"net/http\"\n\t\"os\"\n)\n\nfunc main() {\n\thttp.HandleFunc(\"/\", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, \"hello from go\") })\n\tpanic(http.ListenAndServe(os.Args[1], nil))\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "server"), filepath.Join(dir, "main.go"))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(dir, "server"))
	if err != nil {
		t.Fatal(err)
	}
	return string(program)
}

// debianImage writes an image of two layers: the files of Debian packages of this
// machine, of all that they depend on and of the essential ones; and files.
func debianImage(t *testing.T, file string, packages []string, files map[string]string, config []byte) {
	t.Helper()
	var base, app bytes.Buffer
	debianLayer(t, &base, packages)
	w := tar.NewWriter(&app)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text := files[name]
		mode := int64(0o644)
		if strings.HasPrefix(text, "#!") || strings.HasPrefix(text, "\x7fELF") {
			mode = 0o755
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(text)), ModTime: time.Unix(1e9, 0)}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, text)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	_, err = oci.Write(out, oci.New{
		Name: "seawall.test/full:1", Config: fmt.Appendf(nil, `{"os": "linux", "architecture": %q, "config": %s}`, runtime.GOARCH, config),
		Layers: []oci.Part{{Tar: &base, CreatedBy: "RUN debootstrap"}, {Tar: &app, CreatedBy: "COPY . /"}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// debianLayer writes the files of packages, with the database that tells of them.
func debianLayer(t *testing.T, to io.Writer, packages []string) {
	t.Helper()
	status, err := os.ReadFile("/var/lib/dpkg/status")
	if err != nil {
		t.Skip("needs Debian: ", err)
	}
	paragraphs, depends, essential := map[string]string{}, map[string][]string{}, []string(nil)
	for paragraph := range strings.SplitSeq(string(status), "\n\n") {
		name, wants := "", []string(nil)
		isEssential, installed := false, false
		for line := range strings.Lines(paragraph) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			switch key {
			case "Package":
				name = value
			case "Essential":
				isEssential = value == "yes"
			case "Status":
				installed = strings.HasSuffix(value, " installed")
			case "Depends", "Pre-Depends":
				for clause := range strings.SplitSeq(value, ",") {
					for choice := range strings.SplitSeq(clause, "|") {
						word, _, _ := strings.Cut(strings.TrimSpace(choice), " ")
						word, _, _ = strings.Cut(word, ":")
						wants = append(wants, word)
					}
				}
			}
		}
		if name == "" || !installed {
			continue
		}
		paragraphs[name], depends[name] = paragraph, wants
		if isEssential {
			essential = append(essential, name)
		}
	}
	var chosen []string
	for stack := slices.Concat(essential, packages); len(stack) > 0; {
		name := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if paragraphs[name] == "" || slices.Contains(chosen, name) {
			continue
		}
		chosen = append(chosen, name)
		stack = append(stack, depends[name]...)
	}
	slices.Sort(chosen)

	w := tar.NewWriter(to)
	written := map[string]bool{}
	add := func(path string) {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return // excluded on this machine, as documentation often is
		}
		path = filepath.Join(dir, filepath.Base(path))
		info, err := os.Lstat(path)
		if err != nil || written[path] || path == "/" {
			return
		}
		written[path] = true
		link := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			link, _ = os.Readlink(path)
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return
		}
		if h.Name = strings.TrimPrefix(path, "/"); info.IsDir() {
			h.Name += "/"
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if info.Mode().IsRegular() {
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := io.Copy(w, f); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, link := range []string{"/bin", "/sbin", "/lib", "/lib64", "/etc/os-release"} {
		add(link)
	}
	var kept strings.Builder
	for _, name := range chosen {
		list, err := run(time.Minute, "dpkg-query", "-L", name)
		if err != nil {
			t.Fatal(err)
		}
		for path := range strings.Lines(list) {
			add(strings.TrimSpace(path))
		}
		kept.WriteString(paragraphs[name] + "\n\n")
		lists, _ := filepath.Glob("/var/lib/dpkg/info/" + name + "*.list")
		for _, l := range lists {
			add(l)
		}
	}
	for _, dir := range []string{"/tmp", "/proc", "/sys", "/dev", "/run"} {
		mode := int64(0o755)
		if dir == "/tmp" {
			mode = 0o1777
		}
		if !written[dir] {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: mode}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "var/lib/dpkg/status", Mode: 0o644, Size: int64(kept.Len())}); err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, kept.String())
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// daemon is a containerd of the test's own.
type daemon struct{ socket string }

// startContainerd starts one that knows nothing of Kubernetes, and ends it.
func startContainerd(t *testing.T) daemon {
	t.Helper()
	switch {
	case testing.Short():
		t.Skip("-short: containers take a minute")
	case runtime.GOOS != "linux" || os.Geteuid() != 0:
		t.Skip("containers need Linux and root")
	}
	for _, name := range []string{"containerd", "runc", "ctr"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s: install the Debian packages containerd and runc", name)
		}
	}
	dir, err := os.MkdirTemp("", "seawall-slim-") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	config := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = %q\n", dir+"/root", dir+"/state", dir+"/c.sock")
	if err := os.WriteFile(dir+"/config.toml", []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "containerd", "--config", dir+"/config.toml", "--log-level", "warn")
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("containerd: %s", log.String())
		}
	})
	c := daemon{dir + "/c.sock"}
	eventually(t, "containerd answers", func() bool {
		_, err := c.ctr("version")
		return err == nil
	})
	return c
}

func (c daemon) ctr(args ...string) (string, error) {
	return run(2*time.Minute, "ctr", append([]string{"--address", c.socket, "--namespace", "seawall-slim"}, args...)...)
}

// serve starts an image's command and waits for the answer.
func (c daemon) serve(t *testing.T, file, name, url, want string) {
	t.Helper()
	if _, err := c.ctr("images", "import", file); err != nil {
		t.Fatal(err)
	}
	id := strings.NewReplacer("/", "-", ":", "-", ".", "-").Replace(name)
	ctx, cancel := context.WithCancel(context.Background())
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, "ctr", "--address", c.socket, "--namespace", "seawall-slim", "run", "--rm", "--net-host", name, id)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	defer func() {
		_, _ = c.ctr("task", "kill", "--signal", "KILL", id)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
		}
		cancel()
		<-ended
		_, _ = c.ctr("container", "rm", id)
		_, _ = c.ctr("images", "rm", "--sync", name)
	}()
	deadline := time.Now().Add(time.Minute)
	for {
		got, err := httpAnswer(url)
		if err == nil {
			if got != want {
				t.Errorf("%s answers %q, want %q", name, got, want)
			}
			return
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", name, output.String())
		case <-time.After(200 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer: %v", name, err)
		}
	}
}

func httpAnswer(url string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	return string(body), err
}
