package dockerfile

import (
	"os/exec"
	"strings"
	"testing"
)

// moduleDir returns where the source of BuildKit lies.
func moduleDir(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/moby/buildkit").Output()
	if err != nil {
		t.Fatalf("finding github.com/moby/buildkit: %v", err)
	}
	return strings.TrimSpace(string(out))
}
