package e2e

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"seawall.io/seawall/test/images"
)

// The images that the tests of the runtime phase put onto the nodes.
const (
	agentImage  = "seawall.test/agent:1"
	victimImage = "seawall.test/victim:1"
)

// agentArchive is an image with the agent and nothing else, as docs/runtime.md says.
func agentArchive(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "seawall-agent")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "seawall.io/seawall/cmd/seawall-agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the agent: %v\n%s", err, out)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	return saved(t, agentImage, v1.Config{Entrypoint: []string{"/usr/bin/seawall-agent"}}, images.Entries(images.Program("usr/bin/seawall-agent", content)))
}

// victimArchive is an image as attackers like it: busybox, bash and Python, with the
// machine's own libraries.
func victimArchive(t *testing.T) string {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs busybox (Debian package busybox-static)")
	}
	applets, err := exec.CommandContext(t.Context(), busybox, "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	shell := []images.Entry{images.Dir("tmp"), images.Dir("root"), images.Dir("var/log"), images.Dir("etc/cron.d"), images.Dir("dev"), images.Dir("usr/bin"), images.Dir("usr/sbin"), images.Dir("home/app")}
	shell[0].Mode = 0o1777
	content, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	shell = append(shell, images.Program("bin/busybox", content))
	for name := range strings.FieldsSeq(string(applets)) {
		if name != "busybox" && name != "bash" {
			shell = append(shell, images.Symlink("bin/"+name, "busybox"))
		}
	}
	for path, text := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n", "etc/group": "root:x:0:\napp:x:1000:\n",
		"etc/shadow": "root:*:19000:0:99999:7:::\n", "var/log/auth.log": strings.Repeat("started\n", 1000), "root/.bash_history": "ls\n",
		"root/.ssh/authorized_keys": "", "etc/crontab": "", "etc/sudoers": "root ALL=(ALL) ALL\n",
	} {
		e := images.File(path, text)
		if path == "etc/shadow" {
			e.Mode = 0o640
		}
		shell = append(shell, e)
	}
	slices.SortFunc(shell, func(a, b images.Entry) int { return strings.Compare(a.Name, b.Name) })
	bash, python := machineProgram(t, "bash"), machineProgram(t, "python3")
	library := filepath.Join("/usr/lib", filepath.Base(python))
	return saved(t, victimImage, v1.Config{Env: []string{"PATH=/usr/sbin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1"}, Cmd: []string{"sleep", "1000000"}},
		images.Entries(shell...), machineFiles(t, []string{bash, python}, library))
}

// machineProgram is a program of the machine's own packages, links resolved.
func machineProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(filepath.Join("/usr/bin", name))
	if err != nil {
		t.Skipf("needs %s (Debian package %s): %v", name, name, err)
	}
	return path
}

// saved writes an image of layers as docker does.
func saved(t *testing.T, tag string, config v1.Config, layers ...images.Content) string {
	t.Helper()
	var all []v1.Layer
	for _, content := range layers {
		l, err := images.NewLayer(content, images.None)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	img, err := images.New(config, all...)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "image.tar")
	if err := images.WriteArchive(file, tag, img); err != nil {
		t.Fatal(err)
	}
	return file
}

// machineFiles is a layer with programs of this machine, a folder of what they need,
// and the libraries that they and it load.
func machineFiles(t *testing.T, programs []string, folder string) images.Content {
	t.Helper()
	want := map[string]bool{}
	var objects []string
	add := func(path string) {
		if !want[path] {
			want[path] = true
			if info, err := os.Stat(path); err == nil && (info.Mode()&0o111 != 0 || strings.HasSuffix(path, ".so")) {
				objects = append(objects, path)
			}
		}
	}
	for _, p := range programs {
		add(p)
	}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{"test", "__pycache__", "idlelib", "tkinter", "ensurepip", "lib2to3", "pydoc_data", "dist-packages"}, d.Name()) {
			return filepath.SkipDir
		}
		if d.Type().IsRegular() {
			add(path)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ldd", objects...).Output()
	if err != nil && len(out) == 0 {
		t.Fatalf("ldd: %v", err)
	}
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "/") && !strings.HasSuffix(word, ":") {
			add(word)
		}
	}
	links := map[string]string{"bin/bash": programs[0], "usr/bin/python3": programs[1]}
	return func(w *tar.Writer) error {
		for _, path := range sortedKeys(want) {
			content, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("reading %s: %w", path, err)
			}
			info, err := os.Stat(path)
			if err != nil {
				return fmt.Errorf("reading %s: %w", path, err)
			}
			h := tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(path, "/"), Mode: int64(info.Mode().Perm()), Size: int64(len(content)), ModTime: images.Made()}
			if err := w.WriteHeader(&h); err != nil {
				return err
			}
			if _, err := w.Write(content); err != nil {
				return err
			}
		}
		for _, name := range sortedKeys(links) {
			if "/"+name == links[name] {
				continue
			}
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: links[name], Mode: 0o777, ModTime: images.Made()}); err != nil {
				return err
			}
		}
		return nil
	}
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// loadImages puts archives onto all nodes.
func loadImages(t *testing.T, files ...string) {
	t.Helper()
	for _, file := range files {
		if _, err := run(2*time.Minute, shared.bin, "--name", labName, "load", file); err != nil {
			t.Fatal(err)
		}
	}
}
