package vm

import (
	"os"
	"path/filepath"
	"testing"
)

// The guest runs the kernel it was asked for, on this machine's files, and what it changes stays its own.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("booting a kernel takes some ten seconds")
	}
	for _, k := range []Kernel{Linux6_1, Linux6_12} {
		t.Run(string(k), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "it's")
			if err := os.WriteFile(file, []byte("of the machine\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			res := Run(t, k, WithBPF, "/bin/sh", "-c", `uname -r | cut -d . -f 1,2; cat "$0"; rm "$0"; ls "$0" 2>/dev/null; exit 7`, file)
			if want := string(k) + "\nof the machine\n"; string(res.Output) != want || res.Code != 7 {
				t.Errorf("got exit code %d and %q, want 7 and %q", res.Code, res.Output, want)
			}
			if _, err := os.Stat(file); err != nil {
				t.Error("what the guest did reached the machine: ", err)
			}
		})
	}
}

func TestByNumber(t *testing.T) {
	for _, names := range [][2]string{
		{"linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-56-cloud-amd64"},
		{"linux-image-6.12.100+deb12-cloud-amd64", "linux-image-6.12.117+deb12-cloud-amd64"},
		{"linux-image-6.12.117+deb12-cloud-amd64", "linux-image-6.12.117+deb12-cloud-amd64-unsigned"},
	} {
		if byNumber(names[0], names[1]) >= 0 || byNumber(names[1], names[0]) <= 0 || byNumber(names[0], names[0]) != 0 {
			t.Errorf("%s is not before %s", names[0], names[1])
		}
	}
}

func TestRead(t *testing.T) {
	for _, test := range []struct {
		name, console, output string
		code                  int
		bad                   bool
	}{
		{name: "ended", console: "boot\n" + begin + "\nhello\n" + end + "3\nrest", output: "hello\n", code: 3},
		{name: "panic", console: "boot\n" + begin + "\nhello\nKernel panic", bad: true},
		{name: "never", console: "boot\n", bad: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			res, err := Result{Console: []byte(test.console)}.read()
			if (err != nil) != test.bad || string(res.Output) != test.output || res.Code != test.code {
				t.Errorf("%q %d %v", res.Output, res.Code, err)
			}
		})
	}
}
