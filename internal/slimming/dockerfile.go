package slimming

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"seawall.io/seawall/internal/slim"
)

// keepList is the file with the paths that stay, beside the Dockerfile.
const keepList = "keep.txt"

// Dockerfile writes to a folder a Dockerfile that makes the reduced image out of
// the full one, and the list of paths that it copies. The full image needs tar, a
// shell and rm for it. Package managers' databases are copied as they are.
func (r *Result) Dockerfile(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // for others to read
		return fmt.Errorf("writing the Dockerfile: %w", err)
	}
	var list bytes.Buffer
	for p := range r.Plan.Paths() {
		if strings.ContainsAny(p, "\n") {
			return fmt.Errorf("writing the Dockerfile: the path %q cannot stand in a list: use --write archive:FILE", p)
		}
		fmt.Fprintf(&list, "./%s\n", p)
	}
	for name, text := range map[string][]byte{keepList: list.Bytes(), "Dockerfile": []byte(r.dockerfile())} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil { //nolint:gosec // for others to read
			return fmt.Errorf("writing the Dockerfile: %w", err)
		}
	}
	return nil
}

func (r *Result) dockerfile() string {
	var b strings.Builder
	from := r.source.String()
	if img := r.Scan.Image; img != nil && img.Name != "" {
		from = img.Name
	}
	fmt.Fprintf(&b, "# Made by seawall image slim --level %s: %s of %s stay.\n", r.Plan.Level, slim.Bytes(r.Plan.After.Bytes), slim.Bytes(r.Plan.Before.Bytes))
	fmt.Fprintf(&b, "FROM %s AS full\nUSER 0\nCOPY %s /seawall-keep.txt\n", from, keepList)
	b.WriteString("RUN mkdir /seawall-slim && \\\n    tar -C / --no-recursion --numeric-owner --xattrs -cf - -T /seawall-keep.txt | tar -C /seawall-slim --numeric-owner --xattrs -xpf -\n\n")
	b.WriteString("FROM scratch\nCOPY --from=full /seawall-slim/ /\n")
	img := r.Scan.Image
	if img == nil {
		return b.String()
	}
	c := &img.Config
	for _, e := range c.Env {
		name, value, _ := strings.Cut(e, "=")
		fmt.Fprintf(&b, "ENV %s=%s\n", name, quote(value))
	}
	for _, port := range c.ExposedPorts {
		fmt.Fprintf(&b, "EXPOSE %s\n", port)
	}
	for _, v := range c.Volumes {
		fmt.Fprintf(&b, "VOLUME %s\n", list([]string{v}))
	}
	for _, line := range []struct{ instruction, value string }{{"WORKDIR", c.WorkingDir}, {"USER", c.User}, {"STOPSIGNAL", c.StopSignal}} {
		if line.value != "" {
			fmt.Fprintf(&b, "%s %s\n", line.instruction, line.value)
		}
	}
	if c.Healthcheck != nil && len(c.Healthcheck.Test) > 1 {
		if h := c.Healthcheck; h.Test[0] == "CMD" {
			fmt.Fprintf(&b, "HEALTHCHECK CMD %s\n", list(h.Test[1:]))
		} else if h.Test[0] == "CMD-SHELL" {
			fmt.Fprintf(&b, "HEALTHCHECK CMD %s\n", h.Test[1])
		}
	}
	if len(c.Entrypoint) > 0 {
		fmt.Fprintf(&b, "ENTRYPOINT %s\n", list(c.Entrypoint))
	}
	if len(c.Cmd) > 0 {
		fmt.Fprintf(&b, "CMD %s\n", list(c.Cmd))
	}
	return b.String()
}

// quote writes a value so that a Dockerfile takes it as it is.
func quote(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "\n", `\n`).Replace(value) + `"`
}

// list writes words in the form in which no shell reads them.
func list(words []string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(words) // strings cannot fail
	return strings.TrimSpace(b.String())
}
