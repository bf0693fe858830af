package slimming

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/manifest"
	"seawall.io/seawall/internal/slim"
)

// imageRoots are the commands that the image's configuration names.
func (r *Result) imageRoots() []slim.Root {
	if r.Scan.Image == nil {
		return nil
	}
	c := &r.Scan.Image.Config
	var out []slim.Root
	if argv := slices.Concat(c.Entrypoint, c.Cmd); len(argv) > 0 {
		out = append(out, slim.Root{Argv: argv, Why: "the image's command"})
	}
	if c.Healthcheck != nil && len(c.Healthcheck.Test) > 1 {
		switch test := c.Healthcheck.Test; test[0] {
		case "CMD":
			out = append(out, slim.Root{Argv: test[1:], Why: "the image's health check"})
		case "CMD-SHELL":
			out = append(out, slim.Root{Shell: test[1], Why: "the image's health check"})
		}
	}
	return out
}

// podRoots are the commands that containers of the image run as manifests say.
func (r *Result) podRoots(targets []string) ([]slim.Root, error) {
	var out []slim.Root
	var others []string
	found := 0
	for _, target := range targets {
		objects, err := objects(target)
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			for _, t := range cluster.PodTemplates(o) {
				for i := range t.Containers {
					c := &t.Containers[i]
					if !r.runs(c.Image()) {
						others = append(others, c.Image())
						continue
					}
					found++
					out = append(out, r.containerRoots(o, c)...)
				}
			}
		}
	}
	if len(targets) > 0 && found == 0 {
		slices.Sort(others)
		return nil, fmt.Errorf("no container of %s runs %s, only %s: the repository's name has to be the same",
			strings.Join(targets, ", "), strings.Join(r.names(), " or "), strings.Join(slices.Compact(others), ", "))
	}
	return out, nil
}

func objects(target string) ([]*cluster.Object, error) {
	info, err := os.Stat(target)
	if err != nil {
		return nil, fmt.Errorf("reading manifests: %w", err)
	}
	files := []string{target}
	if info.IsDir() {
		tree, err := manifest.Walk(target, nil)
		if err != nil {
			return nil, fmt.Errorf("reading manifests: %w", err)
		}
		files = nil
		for _, f := range tree.Files {
			files = append(files, f.Name)
		}
	}
	var out []*cluster.Object
	for _, name := range files {
		f := manifest.Read(name)
		for _, hole := range f.Incomplete {
			return nil, fmt.Errorf("%s:%d: %s", name, hole.Location.Line, hole.Reason)
		}
		out = append(out, f.Objects...)
	}
	return out, nil
}

// names are the repositories that the image is known by.
func (r *Result) names() []string {
	var out []string
	if img := r.Scan.Image; img != nil && img.Name != "" {
		out = append(out, repository(img.Name))
	}
	if r.source.Name != "" {
		out = append(out, repository(r.source.Name))
	}
	if len(out) == 0 {
		out = append(out, r.source.String())
	}
	return slices.Compact(out)
}

// runs says that a container's image is this one, whatever its tag.
func (r *Result) runs(image string) bool {
	want := repository(image)
	return slices.ContainsFunc(r.names(), func(name string) bool {
		return want == name || strings.HasSuffix(want, "/"+name) || strings.HasSuffix(name, "/"+want)
	})
}

// repository takes tag, digest and Docker Hub's names off a reference.
func repository(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		ref = ref[:i]
	}
	ref = strings.TrimPrefix(strings.TrimPrefix(ref, "index."), "docker.io/")
	return strings.TrimPrefix(ref, "library/")
}

// containerRoots are the commands of one container.
func (r *Result) containerRoots(o *cluster.Object, c *cluster.Container) []slim.Root {
	of := " of the container " + c.Name() + " in " + o.Kind + "/" + o.Name
	var out []slim.Root
	add := func(argv []string, what string) {
		if len(argv) > 0 {
			out = append(out, slim.Root{Argv: argv, Why: what + of})
		}
	}
	command, args := texts(c.Root.Get("command")), texts(c.Root.Get("args"))
	if img := r.Scan.Image; img != nil && (len(command) > 0 || len(args) > 0) {
		entrypoint, cmd := img.Config.Entrypoint, img.Config.Cmd
		if len(command) > 0 { // it takes the place of both
			entrypoint, cmd = command, nil
		}
		if len(args) > 0 {
			cmd = args
		}
		add(slices.Concat(entrypoint, cmd), "the command")
	}
	for _, p := range []struct{ key, what string }{
		{"livenessProbe", "the liveness probe"}, {"readinessProbe", "the readiness probe"}, {"startupProbe", "the startup probe"},
	} {
		add(texts(c.Root.At(p.key, "exec", "command")), p.what)
	}
	for _, h := range []struct{ key, what string }{{"postStart", "the postStart hook"}, {"preStop", "the preStop hook"}} {
		add(texts(c.Root.At("lifecycle", h.key, "exec", "command")), h.what)
	}
	return out
}

func texts(n *document.Node) []string {
	var out []string
	for _, item := range n.List() {
		out = append(out, item.Str())
	}
	return out
}
