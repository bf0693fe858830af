package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// FuzzConfig: no text makes the reader of seawall.yaml panic, and what it
// refuses it refuses with file and line.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		"fail-on: high\ndisable: [host-pid]\nenable: a\nparameters: {a: {b: [1]}}\nchecks: own\nquiet: yes\n",
		"disable: [[a]]", "parameters: 5", "parameters: {a: b}", "quiet: perhaps", "- a", "a", "fail-on: [a]", "output: [json, table]", "help: true", "a: b\n---\nc: d", "exclude: {a: b}", "set: null",
	} {
		f.Add([]byte(seed))
	}
	env := &Env{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}, Getenv: func(string) string { return "" }, Now: time.Now}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := &config{file: "seawall.yaml", origins: map[string]string{}}
		flags := newScan(env).Flags()
		if err := c.read(flags, newScan(env).Flags(), text); err != nil && !strings.HasPrefix(err.Error(), "seawall.yaml:") {
			t.Errorf("the error names no line: %v", err)
		}
	})
}
