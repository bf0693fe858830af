// Package host asks whether this machine can run a lab cluster, and says what
// to install if it cannot. It changes nothing.
package host

import (
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

// ErrNotRoot is returned by Root to anyone else.
var ErrNotRoot = errors.New("a cluster needs root (network and mount namespaces, cgroups): run this as root or with sudo -E")

// Root reports whether the effective user uid is root.
func Root(uid int) error {
	if uid != 0 {
		return ErrNotRoot
	}
	return nil
}

// Machine is where to look for programs.
type Machine struct {
	// FindProgram returns the path of a program, like exec.LookPath.
	FindProgram func(name string) (string, error)
	// Directories in which CNI plugins may lie, best first.
	CNIPlugins []string
	// Busybox is the path of the busybox to put into an image.
	Busybox string
}

// Local is this machine.
func Local() Machine {
	return Machine{
		FindProgram: exec.LookPath,
		CNIPlugins:  []string{"/usr/lib/cni", "/opt/cni/bin"},
		Busybox:     "/bin/busybox",
	}
}

// Tools is what a cluster uses of the machine beyond the programs the lab
// builds itself.
type Tools struct {
	CNIPlugins string // directory
	Busybox    string // path of a static busybox
}

// MissingError names the packages that are not installed.
type MissingError struct {
	Packages []string
	Details  []string // one per thing that was not found
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("missing %s\ninstall it with: apt-get install -y --no-install-recommends %s",
		strings.Join(e.Details, ", "), strings.Join(e.Packages, " "))
}

// Tools finds all a cluster needs on m. The error is a *MissingError that
// names everything that is absent, not only the first.
func (m Machine) Tools() (Tools, error) {
	var (
		found   Tools
		missing MissingError
	)
	lacks := func(pkg, detail string) {
		missing.Details = append(missing.Details, detail)
		if !slices.Contains(missing.Packages, pkg) {
			missing.Packages = append(missing.Packages, pkg)
		}
	}
	for _, want := range []struct{ program, pkg string }{
		{"containerd", "containerd"},
		{"containerd-shim-runc-v2", "containerd"},
		{"ctr", "containerd"},
		{"runc", "runc"},
		{"ip", "iproute2"},
		{"nft", "nftables"},
		{"conntrack", "conntrack"},
		{"iptables", "iptables"}, // of the CNI plugin for host ports
		{"nsenter", "util-linux"},
		{"unshare", "util-linux"},
		{"mount", "mount"},
	} {
		if _, err := m.FindProgram(want.program); err != nil {
			lacks(want.pkg, want.program)
		}
	}
	if found.CNIPlugins = m.cniPlugins(); found.CNIPlugins == "" {
		lacks("containernetworking-plugins", "CNI plugins in "+strings.Join(m.CNIPlugins, " or "))
	}
	static, err := isStatic(m.Busybox)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		lacks("busybox-static", m.Busybox)
	case err != nil:
		return Tools{}, err
	case !static:
		lacks("busybox-static", "a "+m.Busybox+" that is linked statically")
	}
	found.Busybox = m.Busybox
	if len(missing.Packages) > 0 {
		return Tools{}, &missing
	}
	return found, nil
}

func (m Machine) cniPlugins() string {
	complete := func(dir string) bool {
		for _, plugin := range []string{"bridge", "host-local", "loopback", "portmap"} {
			if _, err := os.Stat(filepath.Join(dir, plugin)); err != nil {
				return false
			}
		}
		return true
	}
	if i := slices.IndexFunc(m.CNIPlugins, complete); i >= 0 {
		return m.CNIPlugins[i]
	}
	return ""
}

// isStatic reports whether the program needs no dynamic linker, and so runs in
// an image that holds nothing else.
func isStatic(program string) (bool, error) {
	file, err := elf.Open(program)
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", program, err)
	}
	defer file.Close()
	return !slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }), nil
}
