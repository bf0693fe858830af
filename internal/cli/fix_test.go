package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"seawall.io/seawall/internal/repair"
)

// TestFixRefusesFilesChangedMeanwhile: of several files none is written if one
// of them is not what was examined.
func TestFixRefusesFilesChangedMeanwhile(t *testing.T) {
	tests := []struct {
		name string
		file repair.File
		want string
	}{
		{"changed", repair.File{Name: "b.yaml", Before: []byte("old"), After: []byte("new")}, "changing b.yaml: somebody else changed it meanwhile: run the command again"},
		{"gone", repair.File{Name: "c.yaml", Before: []byte("old"), After: []byte("new")}, "changing c.yaml: "},
		{"appeared", repair.File{Name: "b.yaml", New: true, After: []byte("new")}, "writing b.yaml: it exists already: move it away"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			for _, name := range []string{"a.yaml", "b.yaml"} {
				if err := os.WriteFile(name, []byte("now"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			first := repair.File{Name: "a.yaml", Before: []byte("now"), After: []byte("new")}
			err := showOrWrite(&Env{Stdout: &bytes.Buffer{}}, &repair.Result{Files: []repair.File{first, tt.file}}, false)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			for _, name := range []string{"a.yaml", "b.yaml"} {
				if text, err := os.ReadFile(name); string(text) != "now" {
					t.Errorf("%s was written: %s, %v", name, text, err)
				}
			}
		})
	}
}
