package probe

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSyscallTable holds the committed numbers against those of golang.org/x/sys for
// each machine.
func TestSyscallTable(t *testing.T) {
	for name, nr := range map[string]uint32{"openat": unix.SYS_OPENAT, "execve": unix.SYS_EXECVE, "clone3": unix.SYS_CLONE3} {
		if got := syscalls().name(nr); got != name {
			t.Errorf("call %d is %s, want %s", nr, got, name)
		}
	}
	if got := syscalls().name(511); got != "syscall-511" {
		t.Errorf("an unknown call is named %q", got)
	}
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		t.Skip("where golang.org/x/sys lies is not known: ", err)
	}
	rows := map[string][]string{}
	for line := range strings.Lines(syscallsText) {
		if f := strings.Fields(line); len(f) == 5 && !strings.HasPrefix(line, "#") {
			rows[f[0]] = f
		}
	}
	number := regexp.MustCompile(`(?m)^\s*SYS_([A-Z0-9_]+)\s+= (\d+)$`)
	for i, machine := range []string{"amd64", "386", "arm64", "arm"} {
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "unix", "zsysnum_linux_"+machine+".go"))
		if err != nil {
			t.Skip(err)
		}
		n := 0
		for _, m := range number.FindAllStringSubmatch(string(text), -1) {
			name := strings.ToLower(m[1])
			if name == "syscall_mask" {
				continue
			}
			n++
			if row := rows[name]; row == nil || row[i+1] != m[2] {
				t.Errorf("%s of %s is %s, the table has %v", name, machine, m[2], row)
			}
		}
		if n < 300 {
			t.Errorf("only %d calls of %s were compared", n, machine)
		}
	}
}

// TestActsAreCalls finds calls that are misspelt: each must be one of the machine's or
// of its 32-bit programs.
func TestActsAreCalls(t *testing.T) {
	known := func(name string) bool { return strings.Contains(syscallsText, "\n"+name+"\t") }
	for name, a := range acts() {
		if !known(name) {
			t.Errorf("no system call is named %s", name)
		}
		if a.form == 0 {
			t.Errorf("%s has no form", name)
		}
	}
	for name, r := range rareCalls() {
		if !known(name) {
			t.Errorf("no system call is named %s", name)
		}
		if r.when == 0 {
			t.Errorf("%s is never reported", name)
		}
	}
}

func TestWatchedNames(t *testing.T) {
	seen := map[uint64]string{}
	for _, name := range WatchedFiles() {
		h := hashFile(name)
		if other, ok := seen[h]; ok {
			t.Errorf("%s and %s are watched as one", name, other)
		}
		seen[h] = name
	}
	if hashFile("etc/shadow") == hashFile("shadow") || hashFile("a/b") == hashFile("b/a") {
		t.Error("a directory makes no difference")
	}
}
