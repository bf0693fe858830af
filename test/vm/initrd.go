package vm

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// wanted are the modules that lead to the root directory. Those that a kernel has built in
// are no files.
var wanted = []string{"virtio_pci", "virtiofs", "overlay"}

// writeInitrd writes what the kernel starts with: busybox, modules, and a script that puts
// a writable layer in memory over the machine's root and runs the command there.
func (m *machine) writeInitrd(ctx context.Context, path string, command []string) error {
	var a archive
	for _, dir := range []string{"bin", "dev", "proc", "sys", "modules", "host", "mem", "root"} {
		a.add(dir, fs.ModeDir|0o755, nil)
	}
	busybox, err := os.ReadFile(m.busybox)
	if err != nil {
		return err
	}
	a.add("bin/busybox", 0o755, busybox)
	order, err := m.addModules(ctx, &a)
	if err != nil {
		return err
	}
	a.add("init", 0o755, []byte(initScript(order)))
	a.add("run", 0o755, []byte(runScript(command)))
	a.end()
	return os.WriteFile(path, a.Bytes(), 0o600)
}

func initScript(modules []string) string {
	var load strings.Builder
	for _, name := range modules {
		fmt.Fprintf(&load, "b insmod /modules/%s\n", name)
	}
	return `#!/bin/busybox sh
b() { /bin/busybox "$@" || echo "::vm failed: $*"; }
b mount -t proc proc /proc
b mount -t sysfs sys /sys
b mount -t devtmpfs dev /dev
` + load.String() + `b mount -t virtiofs -o ro host /host
b mount -t tmpfs mem /mem
b mkdir /mem/upper /mem/work
b mount -t overlay -o lowerdir=/host,upperdir=/mem/upper,workdir=/mem/work root /root
b cp /run /root/.vm-run
for d in proc sys dev; do b mount --move /$d /root/$d; done
exec /bin/busybox switch_root -c /dev/console /root /bin/sh /.vm-run
`
}

func runScript(command []string) string {
	quoted := make([]string, len(command))
	for i, word := range command {
		quoted[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	// /run is in memory, and so is what tests make for themselves: an overlay must not have
	// more than two others below it.
	return `mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mkdir /run/tmp
mount -t cgroup2 cgroup /sys/fs/cgroup
for c in $(cat /sys/fs/cgroup/cgroup.controllers); do echo +$c >/sys/fs/cgroup/cgroup.subtree_control; done
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs trace /sys/kernel/tracing
mount -t securityfs security /sys/kernel/security 2>/dev/null
ip link set lo up
hostname vm
cd /
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/run/tmp GOTRACEBACK=all SEAWALL_VM=1
echo '` + begin + `'
` + strings.Join(quoted, " ") + ` </dev/null
code=$?
echo "` + end + `$code"
sync
echo b >/proc/sysrq-trigger
sleep 60
`
}

// addModules puts the wanted modules and what they depend on into the archive, and returns the
// order to load them in.
func (m *machine) addModules(ctx context.Context, a *archive) ([]string, error) {
	files := map[string]string{} // by name
	err := filepath.WalkDir(m.modules, func(path string, d fs.DirEntry, err error) error {
		if name, _, ok := strings.Cut(filepath.Base(path), ".ko"); ok && err == nil && d.Type().IsRegular() {
			files[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s holds no modules", m.modules)
	}
	var order []string
	var add func(name string) error
	add = func(name string) error {
		path, ok := files[name]
		if !ok || slices.Contains(order, name) {
			return nil // built in, or there already
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".xz") {
			if text, err = exec.CommandContext(ctx, m.unpack, "-dc", path).Output(); err != nil { //nolint:gosec // a program that was looked up
				return fmt.Errorf("unpacking %s: %w", path, err)
			}
		}
		deps, err := dependencies(text)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, dep := range deps {
			if err := add(dep); err != nil {
				return err
			}
		}
		order = append(order, name)
		a.add("modules/"+name, 0o644, text)
		return nil
	}
	for _, name := range wanted {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// dependencies returns the modules that one says it needs.
func dependencies(module []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return nil, err
	}
	s := f.Section(".modinfo")
	if s == nil {
		return nil, errors.New("it says nothing of itself: no section .modinfo")
	}
	info, err := s.Data()
	if err != nil {
		return nil, err
	}
	for line := range strings.SplitSeq(string(info), "\x00") {
		if names, ok := strings.CutPrefix(line, "depends="); ok && names != "" {
			return strings.Split(strings.ReplaceAll(names, "-", "_"), ","), nil
		}
	}
	return nil, nil
}

// archive is a cpio archive in the format that the kernel takes, newc.
type archive struct {
	bytes.Buffer
	inode int
}

func (a *archive) add(name string, mode fs.FileMode, content []byte) {
	const directory, regular = 0o040000, 0o100000
	bits := regular | int(mode.Perm())
	if mode.IsDir() {
		bits = directory | int(mode.Perm())
	}
	a.inode++
	a.entry(name, a.inode, bits, content)
}

func (a *archive) end() { a.entry("TRAILER!!!", 0, 0, nil) }

func (a *archive) entry(name string, inode, mode int, content []byte) {
	// magic inode mode uid gid links mtime size (device, node: major, minor) name length, check
	_, _ = fmt.Fprintf(a, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0)
	a.WriteString(name)
	a.WriteByte(0)
	a.align()
	a.Write(content)
	a.align()
}

func (a *archive) align() {
	for a.Len()%4 != 0 {
		a.WriteByte(0)
	}
}
