package images

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/gzip"

	"seawall.io/seawall/internal/oci"
)

// Large makes images out of real packages: from Debian by debootstrap and apt,
// which want root, from npm and from the Go module proxy. That takes minutes and
// the network. Everything is kept in Cache and taken from there the next time.
type Large struct {
	// Cache is a folder that keeps images, and the trees they are made of.
	Cache string
	// Log is told what runs; nil tells nobody.
	Log io.Writer
}

// Names are the images that Large can make.
//
//   - goapp: one Go program, built by a toolchain of 2023 from modules of 2020
//   - goapp-symbols: the same with its symbols and debugging information
//   - node: Debian 12, nodejs and imagemagick, 108 npm modules
//   - worker: another application on the layers of node
//   - fat: Debian 11 with compilers, libraries of Python, Ruby and Java,
//     debuggers, made-up credentials, and a layer that removes some of it
func Names() []string { return []string{"goapp", "goapp-symbols", "node", "worker", "fat"} }

// recipes is raised when an image is made in another way, so that none of the old
// way is taken from a cache.
const recipes = "2"

// DefaultCache is the folder for large images in the user's cache folder.
func DefaultCache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("the user's cache folder: %w", err)
	}
	return filepath.Join(dir, "seawall", "test-images", recipes), nil
}

// Archive returns the path of an image as docker saves it.
func (l *Large) Archive(ctx context.Context, image string) (string, error) {
	build := map[string]func(context.Context) (v1.Image, error){
		"goapp":         func(ctx context.Context) (v1.Image, error) { return l.goApp(ctx, "goapp") },
		"goapp-symbols": func(ctx context.Context) (v1.Image, error) { return l.goApp(ctx, "goapp-symbols") },
		"node":          l.node, "worker": l.worker, "fat": l.fat,
	}[image]
	if build == nil {
		return "", fmt.Errorf("no image %q: there are %s", image, strings.Join(Names(), ", "))
	}
	return l.once(image+".tar", func(file string) error {
		img, err := build(ctx)
		if err != nil {
			return err
		}
		return WriteArchive(file, "example.org/"+image+":1", img)
	})
}

// once makes a file or folder of the cache, if it is not there. What was not
// finished never has the name.
func (l *Large) once(name string, build func(path string) error) (string, error) {
	path := filepath.Join(l.Cache, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err //nolint:wrapcheck // names the folder
	}
	unfinished := path + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err //nolint:wrapcheck // names the path
	}
	if err := build(unfinished); err != nil {
		return "", fmt.Errorf("making %s: %w", name, err)
	}
	return path, os.Rename(unfinished, path)
}

// run runs a program in a folder.
func (l *Large) run(ctx context.Context, dir string, env []string, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // the programs and arguments stand below
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = l.Log, l.Log
	if l.Log != nil {
		fmt.Fprintln(l.Log, "+", program, strings.Join(args, " ")) //nolint:errcheck // it only informs
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", program, strings.Join(args, " "), err)
	}
	return nil
}

// debian makes a tree of a suite as it was released: without the suite of
// security updates, so that its packages have known flaws.
func (l *Large) debian(ctx context.Context, suite string) (string, error) {
	return l.once("trees/"+suite, func(dir string) error {
		return l.run(ctx, l.Cache, nil, "debootstrap", "--variant=minbase", "--include=ca-certificates", suite, dir)
	})
}

// with makes a copy of a tree in which packages are installed.
func (l *Large) with(ctx context.Context, name, base string, packages ...string) (string, error) {
	return l.once("trees/"+name, func(dir string) error {
		if err := l.run(ctx, l.Cache, nil, "cp", "-a", base, dir); err != nil {
			return err
		}
		// No daemon of a package may start on this machine.
		policy := filepath.Join(dir, "usr/sbin/policy-rc.d")
		if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o700); err != nil { //nolint:gosec // it has to run
			return err //nolint:wrapcheck // names the file
		}
		// Java asks the kernel about itself while it is installed.
		proc := filepath.Join(dir, "proc")
		if err := l.run(ctx, l.Cache, nil, "mount", "-t", "proc", "proc", proc); err != nil {
			return err
		}
		args := append([]string{dir, "apt-get", "install", "-y", "-q", "--no-install-recommends"}, packages...)
		err := l.run(ctx, l.Cache, []string{"DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"}, "chroot", args...)
		if err == nil { // the packages themselves are no part of an image
			err = l.run(ctx, l.Cache, nil, "chroot", dir, "apt-get", "clean")
		}
		if err := errors.Join(err, l.run(context.WithoutCancel(ctx), l.Cache, nil, "umount", proc)); err != nil {
			return err
		}
		return os.Remove(policy) //nolint:wrapcheck // names the file
	})
}

// layer packs what a tree has and another does not, with gzip as builders do.
// prefix is put before all paths.
func (l *Large) layer(ctx context.Context, name, tree, below, prefix string) (v1.Layer, error) {
	path, err := l.once("layers/"+name+".tar.gz", func(file string) error {
		old := map[string]tar.Header{}
		if below != "" {
			if _, err := oci.WalkDir(ctx, below, func(h *tar.Header, _ func() (io.ReadCloser, error)) error {
				old[h.Name] = *h
				return nil
			}); err != nil {
				return err //nolint:wrapcheck // names the folder
			}
		}
		f, err := os.Create(file)
		if err != nil {
			return err //nolint:wrapcheck // names the file
		}
		defer f.Close() //nolint:errcheck // closing it twice does no harm
		pack := gzip.NewWriter(f)
		w := tar.NewWriter(pack)
		_, err = oci.WalkDir(ctx, tree, func(h *tar.Header, open func() (io.ReadCloser, error)) error {
			if o, ok := old[h.Name]; ok && o.Typeflag == h.Typeflag && o.Mode == h.Mode && o.Size == h.Size && o.Linkname == h.Linkname &&
				(h.Typeflag == tar.TypeDir || o.ModTime.Equal(h.ModTime)) {
				return nil
			}
			h.Name = prefix + h.Name
			if h.Typeflag == tar.TypeLink {
				h.Linkname, h.Size = prefix+h.Linkname, 0
			}
			return copyEntry(w, h, open)
		})
		return errors.Join(err, w.Close(), pack.Close(), f.Close())
	})
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return layer, nil
}

func copyEntry(w *tar.Writer, h *tar.Header, open func() (io.ReadCloser, error)) error {
	h.Format = tar.FormatPAX
	if err := w.WriteHeader(h); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	f, err := open()
	if err != nil {
		return err //nolint:wrapcheck // names the file
	}
	defer f.Close() //nolint:errcheck // nothing was written
	if _, err := io.Copy(w, f); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	return nil
}

func (l *Large) node(ctx context.Context) (v1.Image, error) {
	return l.onNode(ctx, "node-app", `"axios":"0.21.0","express":"4.16.0","handlebars":"4.0.11","js-yaml":"3.12.0","jsonwebtoken":"8.5.0",`+
		`"lodash":"4.17.4","minimist":"1.2.0","node-fetch":"2.6.0","tar":"4.4.0","ws":"7.4.0"`)
}

func (l *Large) worker(ctx context.Context) (v1.Image, error) {
	return l.onNode(ctx, "worker-app", `"async":"2.6.0","moment":"2.18.1","underscore":"1.12.0"`)
}

// onNode puts an application that depends on npm modules on Debian with nodejs.
func (l *Large) onNode(ctx context.Context, name, dependencies string) (v1.Image, error) {
	base, err := l.debian(ctx, "bookworm")
	if err != nil {
		return nil, err
	}
	system, err := l.with(ctx, "node", base, "nodejs", "imagemagick")
	if err != nil {
		return nil, err
	}
	app, err := l.once("trees/"+name, func(dir string) error {
		manifest := `{"name":"app","version":"1.0.0","dependencies":{` + dependencies + `}}`
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // everyone in the container reads it
			return err //nolint:wrapcheck // names the folder
		}
		if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(manifest), 0o644); err != nil { //nolint:gosec // as above
			return err //nolint:wrapcheck // names the file
		}
		return l.run(ctx, dir, nil, "npm", "install", "--ignore-scripts", "--no-audit", "--no-fund")
	})
	if err != nil {
		return nil, err
	}
	return l.stack(ctx, v1.Config{User: "1000", Entrypoint: []string{"node", "/app/server.js"}, WorkingDir: "/app"},
		part{"bookworm", base, "", ""}, part{"node", system, base, ""}, part{name, app, "", "app/"})
}

// part is a layer made of a tree, as far as the tree differs from the one below.
type part struct{ name, tree, below, prefix string }

func (l *Large) stack(ctx context.Context, config v1.Config, parts ...part) (v1.Image, error) {
	var layers []v1.Layer
	for _, p := range parts {
		layer, err := l.layer(ctx, p.name, p.tree, p.below, p.prefix)
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer)
	}
	config.Env = append(config.Env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	return New(config, layers...)
}

func (l *Large) fat(ctx context.Context) (v1.Image, error) {
	base, err := l.debian(ctx, "bullseye")
	if err != nil {
		return nil, err
	}
	system, err := l.with(ctx, "fat", base, "build-essential", "gfortran", "python3-dev", "python3-requests", "python3-flask", "python3-cryptography", "ruby-nokogiri",
		"liblog4j2-java", "libspring-core-java", "gdb", "nmap", "sudo", "git", "curl", "openssh-client")
	if err != nil {
		return nil, err
	}
	config := v1.Config{Cmd: []string{"/bin/bash"}, Env: []string{"API_TOKEN=" + madeUp("fat", 40)}}
	img, err := l.stack(ctx, config, part{"bullseye", base, "", ""}, part{"fat", system, base, ""})
	if err != nil {
		return nil, err
	}
	below, err := img.Layers()
	if err != nil {
		return nil, fmt.Errorf("fat: %w", err)
	}
	planted, err := NewLayer(Entries(
		File("app/.env", "AWS_ACCESS_KEY_ID=AKIA"+strings.ToUpper(madeUp("key", 16))+"\nAWS_SECRET_ACCESS_KEY="+madeUp("secret", 40)+"\n"),
		File("app/.npmrc", "//registry.npmjs.org/:_authToken=npm"+"_"+madeUp("fat npm", 36)+"\n"),
		File("app/.git/config", "[remote \"origin\"]\n\turl = https://build:"+madeUp("git", 20)+"@git.example.com/app.git\n"),
	), Gzip)
	if err != nil {
		return nil, err
	}
	gone, err := NewLayer(Entries(Whiteout("app/.env"), Whiteout("usr/share/doc"), Opaque("var/cache"), File("var/cache/empty", "")), Gzip)
	if err != nil {
		return nil, err
	}
	config.Env = append(config.Env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	return New(config, slices.Concat(below, []v1.Layer{planted, gone})...)
}

func (l *Large) goApp(ctx context.Context, name string) (v1.Image, error) {
	programs, err := l.once("trees/goapp", func(dir string) error {
		files := map[string]string{
			"go.mod": "module example.org/goapp\n\ngo 1.21\n\nrequire (\n\tgithub.com/dgrijalva/jwt-go v3.2.0+incompatible\n\tgithub.com/gin-gonic/gin v1.6.3\n\tgolang.org/x/crypto v0.14.0\n\tgolang.org/x/net v0.10.0\n\tgopkg.in/yaml.v2 v2.2.8\n)\n",
			"main.go": `// Goapp links old modules so that a scanner finds them.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/dgrijalva/jwt-go"
	"github.com/gin-gonic/gin"
	"golang.org/x/crypto/ssh"
	"golang.org/x/net/html"
	"gopkg.in/yaml.v2"
)

func main() {
	r := gin.Default()
	r.GET("/", func(c *gin.Context) {
		var v map[string]any
		_ = yaml.Unmarshal([]byte(c.Query("yaml")), &v)
		node, _ := html.Parse(strings.NewReader(c.Query("html")))
		_, err := ssh.ParsePrivateKey([]byte(c.Query("key")))
		token, _ := jwt.Parse(c.Query("token"), func(*jwt.Token) (any, error) { return []byte("key"), nil })
		c.String(http.StatusOK, fmt.Sprint(v, node, err, token))
	})
	_ = r.Run(os.Args[1])
}
`,
		}
		for name, text := range files {
			if err := os.MkdirAll(dir, fs.ModePerm); err != nil {
				return err //nolint:wrapcheck // names the folder
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil { //nolint:gosec // as above
				return err //nolint:wrapcheck // names the file
			}
		}
		env := []string{"GOTOOLCHAIN=go1.21.5", "CGO_ENABLED=0", "GOFLAGS=-mod=mod", "GOWORK=off"}
		if err := l.run(ctx, dir, env, "go", "mod", "download"); err != nil {
			return err
		}
		if err := l.run(ctx, dir, env, "go", "build", "-trimpath", "-o", "goapp-symbols", "."); err != nil {
			return err
		}
		return l.run(ctx, dir, env, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", "goapp", ".")
	})
	if err != nil {
		return nil, err
	}
	binary, err := os.ReadFile(filepath.Join(programs, name))
	if err != nil {
		return nil, err //nolint:wrapcheck // names the file
	}
	layer, err := NewLayer(Entries(
		File("etc/os-release", "PRETTY_NAME=\"Distroless\"\nID=\"debian\"\nVERSION_ID=\"12\"\n"),
		File("var/lib/dpkg/status.d/tzdata", dpkg("tzdata", "tzdata", "2023c-5")),
		Program("goapp", binary),
	), Gzip)
	if err != nil {
		return nil, err
	}
	return New(v1.Config{User: "65532", Entrypoint: []string{"/goapp", ":8080"}}, layer)
}
