package images

import (
	"context"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const goProgram = `// Program parses a URL, and links nothing but what that takes.
package main

import (
	"net/url"
	"os"
)

func main() {
	u, err := url.Parse(os.Args[0])
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString(u.Host)
}
`

// GoProgram is an image of one static Go program, which the go command at hand
// builds in dir out of the standard library alone, with its symbols or stripped of
// them. Advisories name a flaw in a function that it links, one in another function
// of the same package, and one in a package that it does not link.
func GoProgram(ctx context.Context, dir string, stripped bool) (v1.Image, error) {
	for name, text := range map[string]string{"go.mod": "module example.org/program\n\ngo 1.26\n", "main.go": goProgram} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err //nolint:wrapcheck // names the file
		}
	}
	args := []string{"build", "-trimpath", "-o", "program"}
	if stripped {
		args = append(args, "-ldflags=-s -w")
	}
	env := []string{"CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOPROXY=off"}
	if err := new(Large).run(ctx, dir, env, "go", args...); err != nil {
		return nil, err
	}
	binary, err := os.ReadFile(filepath.Join(dir, "program"))
	if err != nil {
		return nil, err //nolint:wrapcheck // names the file
	}
	layer, err := NewLayer(Entries(Program("program", binary)), Gzip)
	if err != nil {
		return nil, err
	}
	return New(v1.Config{User: "65532", Entrypoint: []string{"/program"}}, layer)
}
