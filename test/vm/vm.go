// Package vm runs a test's program under other kernels than the machine's own: it
// boots one of Debian's in QEMU, by software emulation, with the machine's own root
// directory, which the guest may change as it likes since its changes stay in
// its memory. The guest has no network. A boot takes some ten seconds.
//
// It takes root, qemu-system-x86 (virtiofsd comes with it), busybox-static, and apt to fetch a kernel
// with, once: they are kept in the user's cache directory. Tests skip where one is missing.
package vm

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Kernel is a series of kernels: 6.1. The newest that apt offers is taken.
type Kernel string

// The series that Debian 12 has. Debian never had a kernel 5.15.
const (
	Linux6_1  Kernel = "6.1"
	Linux6_12 Kernel = "6.12"
)

// What the kernel is told of security modules.
const (
	WithBPF    = "lsm=lockdown,capability,landlock,yama,apparmor,bpf"
	WithoutBPF = "lsm=lockdown,capability,landlock,yama,apparmor"
)

// Result is what became of the program.
type Result struct {
	Output []byte // standard output and error
	Code   int    // as the shell has it: 128 and the signal where one ended it
	// Console is all that came from the guest, what its kernel said as well.
	Console []byte
}

// Run boots a kernel with more words on its command line, runs a program of this
// machine as root, and returns what it wrote. It skips the test where the machine cannot,
// and fails it where the guest does not get as far as the program's end.
func Run(tb testing.TB, k Kernel, cmdline, program string, args ...string) Result {
	tb.Helper()
	m, err := find(tb.Context(), k)
	if err != nil {
		tb.Skipf("running a test under Linux %s: %v", k, err)
	}
	began := time.Now()
	res, err := m.run(tb.Context(), tb.TempDir(), cmdline, append([]string{program}, args...))
	if err != nil {
		tb.Fatalf("%s: %v\n%s", m.release, err, res.Console)
	}
	tb.Logf("%s %s: %s", m.release, cmdline, time.Since(began).Round(time.Second/10))
	return res
}

// Test compiles the tests of a package (a path as go test takes it), runs them under a kernel, and
// fails where they do. They are run verbosely: what they skipped is in the log.
func Test(tb testing.TB, k Kernel, cmdline, pkg string, args ...string) Result {
	tb.Helper()
	if testing.Short() {
		tb.Skip("booting a kernel takes some ten seconds")
	}
	program := filepath.Join(tb.TempDir(), "tests")
	build := exec.CommandContext(tb.Context(), "go", "test", "-c", "-o", program, pkg) //nolint:gosec // a package of the caller's
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("compiling the tests of %s: %v\n%s", pkg, err, out)
	}
	res := Run(tb, k, cmdline, program, append([]string{"-test.v"}, args...)...)
	tb.Logf("%s", res.Output)
	if res.Code != 0 {
		tb.Errorf("the tests ended with %d under Linux %s", res.Code, k)
	}
	if bytes.Contains(res.Output, []byte("testing: warning: no tests to run")) {
		tb.Error("no test was run")
	}
	return res
}

// machine is what it takes to boot.
type machine struct {
	release                          string
	image                            string // the kernel
	modules                          string // directory
	qemu, virtiofsd, busybox, unpack string // programs
}

func find(ctx context.Context, k Kernel) (*machine, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("sharing the root directory with the guest takes root")
	}
	if runtime.GOARCH != "amd64" {
		return nil, errors.New("only amd64 kernels are known")
	}
	m := &machine{}
	for _, p := range []struct {
		path  *string
		name  string
		from  string
		other []string
	}{
		{&m.qemu, "qemu-system-x86_64", "qemu-system-x86", nil},
		{&m.virtiofsd, "virtiofsd", "qemu-system-x86 or virtiofsd", []string{"/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"}},
		{&m.busybox, "busybox", "busybox-static", nil},
		{&m.unpack, "xz", "xz-utils", nil},
	} {
		for _, name := range append([]string{p.name}, p.other...) {
			if path, err := exec.LookPath(name); err == nil {
				*p.path = path
				break
			}
		}
		if *p.path == "" {
			return nil, fmt.Errorf("there is no %s: install the package %s", p.name, p.from)
		}
	}
	dir, err := fetch(ctx, k)
	if err != nil {
		return nil, err
	}
	images, err := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return nil, fmt.Errorf("%s holds %d kernels where one is wanted: remove that directory, to have it fetched again", dir, len(images))
	}
	m.image = images[0]
	m.release = strings.TrimPrefix(filepath.Base(m.image), "vmlinuz-")
	m.modules = filepath.Join(dir, "lib", "modules", m.release)
	return m, nil
}

const memory = "2048M"

func (m *machine) run(ctx context.Context, dir, cmdline string, command []string) (Result, error) {
	// A little before the test's own end, so that it can still say what it saw.
	ctx, cancel := context.WithTimeout(ctx, 8*time.Minute)
	defer cancel()
	initrd := filepath.Join(dir, "initrd")
	if err := m.writeInitrd(ctx, initrd, command); err != nil {
		return Result{}, fmt.Errorf("making what the guest boots: %w", err)
	}
	// virtiofsd takes a socket that listens already, so that nobody has to wait for it.
	socket := filepath.Join(dir, "fs")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		return Result{}, fmt.Errorf("making a socket for virtiofsd: %w", err)
	}
	defer l.Close() //nolint:errcheck // nothing was written
	file, err := l.File()
	if err != nil {
		return Result{}, err
	}
	defer file.Close()                                                                                                                             //nolint:errcheck // nothing was written
	fs := exec.CommandContext(ctx, m.virtiofsd, "--fd=3", "-o", "source=/", "-o", "sandbox=chroot", "-o", "cache=always", "--rlimit-nofile=15000") //nolint:gosec // a program that was looked up
	fs.ExtraFiles = []*os.File{file}
	var said bytes.Buffer
	fs.Stderr = &said
	if err := fs.Start(); err != nil {
		return Result{}, fmt.Errorf("starting virtiofsd: %w", err)
	}
	defer func() {
		_ = fs.Process.Kill() // it ends with the guest, where there was one
		_ = fs.Wait()
	}()
	guest := exec.CommandContext(ctx, m.qemu, //nolint:gosec // a program that was looked up
		"-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", memory, "-nographic", "-nic", "none", "-no-reboot",
		"-object", "memory-backend-memfd,id=mem,share=on,size="+memory, "-numa", "node,memdev=mem",
		"-chardev", "socket,id=fs,path="+socket, "-device", "vhost-user-fs-pci,chardev=fs,tag=host",
		"-kernel", m.image, "-initrd", initrd,
		"-append", "console=ttyS0 quiet panic=-1 mitigations=off "+cmdline)
	out, err := guest.CombinedOutput()
	res := Result{Console: bytes.ReplaceAll(out, []byte("\r\n"), []byte("\n"))}
	switch {
	case ctx.Err() != nil:
		return res, fmt.Errorf("the guest did not end in time: %w", ctx.Err())
	case err != nil:
		return res, fmt.Errorf("qemu: %w\n%s", err, said.Bytes())
	}
	return res.read()
}

// The lines around the program's output. A program that writes them itself fools its own test only.
const (
	begin = "::vm begin"
	end   = "::vm end "
)

func (r Result) read() (Result, error) {
	_, rest, ok := bytes.Cut(r.Console, []byte(begin+"\n"))
	i := bytes.LastIndex(rest, []byte(end))
	if !ok || i < 0 {
		return r, errors.New("the guest did not get as far as the program's end")
	}
	r.Output = rest[:i]
	code, _, _ := bytes.Cut(rest[i+len(end):], []byte("\n"))
	var err error
	if r.Code, err = strconv.Atoi(string(code)); err != nil {
		return r, fmt.Errorf("reading the program's exit code: %w", err)
	}
	return r, nil
}

// fetch returns the directory with a kernel's package, unpacked; what is not there yet comes from apt.
func fetch(ctx context.Context, k Kernel) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "seawall", "vm", string(k))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	name, err := offered(ctx, k)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)                                                //nolint:errcheck // a cache
	download := exec.CommandContext(ctx, "apt-get", "download", "-q", name) //nolint:gosec // a name that apt-cache gave
	download.Dir = work
	if out, err := download.CombinedOutput(); err != nil {
		return "", fmt.Errorf("apt-get download %s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil || len(debs) != 1 {
		return "", fmt.Errorf("apt-get download %s brought %d packages", name, len(debs))
	}
	root := filepath.Join(work, "root")
	if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", debs[0], root).CombinedOutput(); err != nil { //nolint:gosec // a file that was just made
		return "", fmt.Errorf("dpkg-deb -x %s: %w: %s", debs[0], err, bytes.TrimSpace(out))
	}
	if err := os.Rename(root, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err // somebody else may have been faster
	}
	return dir, nil
}

// offered returns the newest package of a series that apt knows.
func offered(ctx context.Context, k Kernel) (string, error) {
	pattern := `^linux-image-` + strings.ReplaceAll(string(k), ".", `\.`) + `\.[0-9].*-cloud-amd64(-unsigned)?$`
	out, err := exec.CommandContext(ctx, "apt-cache", "search", "--names-only", pattern).Output() //nolint:gosec // arguments of ours
	if err != nil {
		return "", fmt.Errorf("asking apt for kernels: %w", err)
	}
	var best string
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		if name, _, _ := strings.Cut(s.Text(), " "); best == "" || byNumber(best, name) < 0 {
			best = name
		}
	}
	if best == "" {
		return "", fmt.Errorf("apt offers no linux-image-%s.*-cloud-amd64", k)
	}
	return best, nil
}

// byNumber compares names, runs of digits in them as numbers.
func byNumber(a, b string) int {
	for a != "" && b != "" {
		i, j := digits(a), digits(b)
		if i > 0 && j > 0 {
			x, _ := strconv.ParseUint(a[:i], 10, 64) // digits that do not fit do not occur in versions
			y, _ := strconv.ParseUint(b[:j], 10, 64)
			if x != y {
				return cmp.Compare(x, y)
			}
			a, b = a[i:], b[j:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
