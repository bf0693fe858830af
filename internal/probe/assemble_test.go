package probe

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Assembled programs run on this machine, need no privilege, and say how their last call went.
func TestAssemble(t *testing.T) {
	for _, test := range []struct {
		name  string
		calls []call
		want  unix.Errno
	}{
		{name: "nothing"},
		{name: "well", calls: []call{{unix.SYS_GETPID, nil}}},
		{name: "no-such-file", calls: []call{{unix.SYS_OPENAT, []any{^uint64(99), "/no/such/file", unix.O_RDONLY}}}, want: unix.ENOENT},
		{name: "last-counts", calls: []call{{unix.SYS_CLOSE, []any{99}}, {unix.SYS_OPENAT, []any{^uint64(99), "/", unix.O_RDONLY}}}},
		{name: "descriptor", calls: []call{{unix.SYS_CLOSE, []any{99}}}, want: unix.EBADF},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := assemble(test.calls)
			if _, err := elf.NewFile(bytes.NewReader(text)); err != nil {
				t.Fatal(err)
			}
			program := filepath.Join(t.TempDir(), "program")
			if err := os.WriteFile(program, text, 0o700); err != nil {
				t.Fatal(err)
			}
			err := exec.CommandContext(t.Context(), program).Run()
			for errors.Is(err, unix.ETXTBSY) { // another test forked while it was written
				err = exec.CommandContext(t.Context(), program).Run()
			}
			got := 0
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				got = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if got != int(test.want) {
				t.Errorf("exit code %d, want %d", got, test.want)
			}
		})
	}
}
