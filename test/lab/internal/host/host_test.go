package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRoot(t *testing.T) {
	if err := Root(0); err != nil {
		t.Errorf("root is refused: %v", err)
	}
	if err := Root(1000); !errors.Is(err, ErrNotRoot) {
		t.Errorf("user 1000 gets %v, want %v", err, ErrNotRoot)
	}
}

func TestToolsOfAnEmptyMachine(t *testing.T) {
	empty := Machine{
		FindProgram: func(string) (string, error) { return "", fs.ErrNotExist },
		CNIPlugins:  []string{t.TempDir()},
		Busybox:     filepath.Join(t.TempDir(), "busybox"),
	}
	_, err := empty.Tools()
	var missing *MissingError
	if !errors.As(err, &missing) {
		t.Fatalf("error %v, want a *MissingError", err)
	}
	for _, pkg := range []string{"containerd", "runc", "containernetworking-plugins", "iproute2", "nftables", "conntrack", "busybox-static"} {
		if !slices.Contains(missing.Packages, pkg) {
			t.Errorf("packages %q lack %s", missing.Packages, pkg)
		}
	}
	if got := missing.Packages; len(slices.Compact(slices.Sorted(slices.Values(got)))) != len(got) {
		t.Errorf("packages %q name one twice", got)
	}
	if want := "apt-get install -y --no-install-recommends containerd runc"; !strings.Contains(err.Error(), want) {
		t.Errorf("error does not say how to go on, want %q in:\n%s", want, err)
	}
}

func TestToolsOfACompleteMachine(t *testing.T) {
	// This test binary may be linked either way, so the static program is
	// written by hand: a header without program segments.
	plugins, busybox := t.TempDir(), filepath.Join(t.TempDir(), "busybox")
	for _, plugin := range []string{"bridge", "host-local", "loopback", "portmap"} {
		write(t, filepath.Join(plugins, plugin), nil)
	}
	write(t, busybox, staticELF())
	complete := Machine{
		FindProgram: func(name string) (string, error) { return "/usr/bin/" + name, nil },
		CNIPlugins:  []string{t.TempDir(), plugins},
		Busybox:     busybox,
	}
	got, err := complete.Tools()
	if err != nil {
		t.Fatal(err)
	}
	if want := (Tools{CNIPlugins: plugins, Busybox: busybox}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// staticELF returns the smallest file that debug/elf reads as a 64-bit program.
func staticELF() []byte {
	header := make([]byte, 64)
	copy(header, "\x7fELF\x02\x01\x01")
	header[16] = 2  // executable
	header[18] = 62 // x86-64
	header[20] = 1  // version
	header[52] = 64 // size of this header
	header[54] = 56 // size of a program header, of which there are none
	header[58] = 64 // size of a section header, of which there are none
	return header
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o755); err != nil {
		t.Fatal(err)
	}
}
