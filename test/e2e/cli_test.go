package e2e

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cli"
)

// outcome is what a command did.
type outcome struct {
	code           int
	stdout, stderr string
}

// seawallCommand runs a command as users do, with a clock that stands still.
func seawallCommand(t *testing.T, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Run(t.Context(), &cli.Env{
		Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
		Getenv: func(string) string { return "" },
		Now:    func() time.Time { return time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC) },
	}, args)
	return outcome{code, stdout.String(), stderr.String()}
}

// scan scans and returns the report. A failure of the command itself is fatal.
func scan(t *testing.T, args ...string) (*seawall.Report, outcome) {
	t.Helper()
	out := seawallCommand(t, append([]string{"scan", "-o", "json"}, args...)...)
	if out.code == 2 {
		t.Fatalf("seawall scan %q: %s", args, out.stderr)
	}
	var r seawall.Report
	if err := json.Unmarshal([]byte(out.stdout), &r); err != nil {
		t.Fatalf("seawall scan %q: %v\n%s", args, err, out.stdout)
	}
	return &r, out
}
