package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"seawall.io/seawall/internal/snapshotfile"
)

func TestRun(t *testing.T) {
	out := filepath.Join(t.TempDir(), "c.tar.zst")
	tests := []struct {
		name string
		args []string
		want []string // clusters in the files
	}{
		{"one", []string{"-pods", "200", "-nodes", "5", "-name", "lab"}, []string{"lab"}},
		{"fleet", []string{"--clusters", "2", "-pods", "200", "-nodes", "5"}, []string{"prod-1", "prod-2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if err := run(append(tt.args, "-o", out), &stdout, &stderr); err != nil {
				t.Fatal(err)
			}
			var got []string
			for file := range strings.FieldsSeq(stdout.String()) {
				s, meta, err := snapshotfile.ReadFile(file, snapshotfile.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				if n := len(s.Kind("Pod")); n != 200 {
					t.Errorf("%s: got %d pods, want 200", file, n)
				}
				got = append(got, meta.Cluster)
			}
			if strings.Join(got, " ") != strings.Join(tt.want, " ") {
				t.Errorf("got files of the clusters %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRunErrors(t *testing.T) {
	tests := []struct{ args, want string }{
		{"-pods 0", "-pods 0: want a positive number"},
		{"-clusters -2", "-clusters -2: want a positive number"},
		{"-pods 10", "ask for more pods, or fewer nodes"},
		{"x", `unexpected argument "x"`},
		{"-kubernetes latest", `version "latest"`},
		{"-bogus", "flag provided but not defined"},
		{"-pods 200 -nodes 5 -o /nonexistent/c.tar.zst", "writing cluster prod"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			err := run(strings.Fields(tt.args), &stdout, &stderr)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
		})
	}
	var stdout, stderr bytes.Buffer
	if err := run([]string{"-help"}, &stdout, &stderr); err == nil || !strings.Contains(stderr.String(), "one for every 60 pods") {
		t.Errorf("help: %v, %s", err, stderr.String())
	}
}
