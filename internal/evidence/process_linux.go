package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/respond"
	"seawall.io/seawall/internal/secret"
)

const (
	oNonblock = unix.O_NONBLOCK // a FIFO must not hold up the rest
	oNoatime  = unix.O_NOATIME
)

// Process is what is kept of one process.
type Process struct {
	PID       uint32            `json:"pid"`
	NSPID     uint32            `json:"nspid,omitempty"`
	PPID      uint32            `json:"ppid"`
	Comm      string            `json:"comm"`
	State     string            `json:"state"`
	Exe       string            `json:"exe"`
	SHA256    string            `json:"sha256,omitempty"`
	Args      []string          `json:"args"`
	Cwd       string            `json:"cwd"`
	Root      string            `json:"root"`
	Env       map[string]string `json:"env"` // values are fingerprints
	Status    map[string]string `json:"status"`
	Cgroup    string            `json:"cgroup"`
	Open      []OpenFile        `json:"open"`
	Maps      []string          `json:"maps"`
	Container string            `json:"container,omitempty"`
}

// OpenFile is a file descriptor.
type OpenFile struct {
	FD     int    `json:"fd"`
	Target string `json:"target"`
	Info   string `json:"info,omitempty"`
}

// maxProcesses and maxMaps bound what is kept of a pod and of a process.
const (
	maxProcesses = 2000
	maxMaps      = 5000
	maxFDs       = 2000
)

// processes writes processes.json, the sockets of each network namespace, and the
// programs, each once.
func (b *bundle) processes(t respond.Target) error {
	pids := b.pids(t.Dir)
	var all []Process
	kept := map[string]bool{}    // programs, by hash
	network := map[string]bool{} // network namespaces
	for _, pid := range pids {
		if b.ctx.Err() != nil || len(all) >= maxProcesses {
			b.omit(fmt.Sprintf("%d processes", len(pids)-len(all)), "the time was up, or there are too many")
			break
		}
		p := b.process(pid)
		for _, c := range t.Containers {
			if strings.Contains(p.Cgroup, c.ID) {
				p.Container = c.Name
			}
		}
		exe := filepath.Join(b.o.Proc, strconv.Itoa(pid), "exe")
		if sum, err := hash(exe, b.o.MaxFile); err != nil {
			b.omit(exe+" ("+p.Exe+")", err.Error())
		} else {
			p.SHA256 = sum
			if !kept[sum] {
				kept[sum] = true
				// Through /proc also a program that has no name any more is there.
				if err := b.addFile("programs/"+sum, exe); err != nil {
					return err
				}
			}
		}
		if ns, err := os.Readlink(filepath.Join(b.o.Proc, strconv.Itoa(pid), "ns/net")); err == nil && !network[ns] {
			network[ns] = true
			for _, table := range []string{"tcp", "tcp6", "udp", "udp6", "raw", "raw6", "packet", "unix", "route", "arp"} {
				if text, err := os.ReadFile(filepath.Join(b.o.Proc, strconv.Itoa(pid), "net", table)); err == nil {
					if err := b.add("network/"+strings.Trim(ns, "net:[]")+"/"+table, text); err != nil {
						return err
					}
				}
			}
		}
		all = append(all, p)
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return b.add("processes.json", text)
}

// pids are those of a cgroup and of all below it.
func (b *bundle) pids(dir string) []int {
	var out []int
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			b.omit(path, err.Error())
			return nil
		}
		if d.Name() != "cgroup.procs" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			b.omit(path, err.Error())
			return nil
		}
		for field := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
				out = append(out, pid)
			}
		}
		return nil
	})
	if err != nil {
		b.omit(dir, err.Error())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (b *bundle) process(pid int) Process {
	dir := filepath.Join(b.o.Proc, strconv.Itoa(pid))
	read := func(name string, limit int64) []byte {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			b.omit(filepath.Join(dir, name), err.Error())
			return nil
		}
		defer f.Close() //nolint:errcheck // it was only read
		text, err := io.ReadAll(io.LimitReader(f, limit))
		if err != nil {
			b.omit(filepath.Join(dir, name), err.Error())
		}
		return text
	}
	link := func(name string) string {
		target, err := os.Readlink(filepath.Join(dir, name))
		if err != nil {
			b.omit(filepath.Join(dir, name), err.Error())
		}
		return target
	}
	p := Process{
		PID: uint32(pid), Exe: link("exe"), Cwd: link("cwd"), Root: link("root"), Env: map[string]string{}, Status: map[string]string{}, //nolint:gosec // a PID
		Args: maskArgs(split(read("cmdline", 2<<20))), Cgroup: string(bytes.TrimSpace(read("cgroup", 64<<10))),
	}
	for _, entry := range split(read("environ", 1<<20)) {
		name, value, _ := strings.Cut(entry, "=")
		if !telling(name) {
			value = fingerprint(value)
		}
		p.Env[name] = value
	}
	for line := range strings.Lines(string(read("status", 64<<10))) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch name {
		case "Name":
			p.Comm = value
		case "State":
			p.State = value
		case "PPid":
			p.PPID = number(value)
		case "NSpid":
			ids := strings.Fields(value)
			p.NSPID = number(ids[max(len(ids)-1, 0)])
		case "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "VmRSS", "Threads", "TracerPid":
			p.Status[name] = value
		}
	}
	for line := range strings.Lines(string(read("maps", 8<<20))) {
		if len(p.Maps) == maxMaps {
			b.omit(filepath.Join(dir, "maps"), fmt.Sprintf("lines beyond %d", maxMaps))
			break
		}
		p.Maps = append(p.Maps, strings.TrimSpace(line))
	}
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		b.omit(filepath.Join(dir, "fd"), err.Error())
	}
	for _, fd := range fds {
		n, err := strconv.Atoi(fd.Name())
		if err != nil {
			continue
		}
		if len(p.Open) == maxFDs {
			b.omit(filepath.Join(dir, "fd"), fmt.Sprintf("files beyond %d", maxFDs))
			break
		}
		info, _ := os.ReadFile(filepath.Join(dir, "fdinfo", fd.Name())) // it may be closed by now
		p.Open = append(p.Open, OpenFile{n, link("fd/" + fd.Name()), strings.Join(strings.Fields(string(info[:min(len(info), 300)])), " ")})
	}
	slices.SortFunc(p.Open, func(a, b OpenFile) int { return a.FD - b.FD })
	return p
}

func split(b []byte) []string {
	if len(b) == 0 {
		return nil
	}
	return strings.Split(string(bytes.TrimSuffix(b, []byte{0})), "\x00")
}

func number(s string) uint32 {
	n, _ := strconv.ParseUint(s, 10, 32)
	return uint32(n)
}

// telling says whether a variable's value is for investigators: it changes what
// programs are run or loaded, and is no place for credentials.
func telling(name string) bool {
	switch name {
	case "PATH", "HOME", "PWD", "OLDPWD", "SHLVL", "SHELL", "USER", "TERM", "HOSTNAME", "HISTFILE", "HISTSIZE", "TZ", "LANG":
		return true
	}
	return strings.HasPrefix(name, "LD_") || strings.HasPrefix(name, "KUBERNETES_")
}

// fingerprint stands for a value: equal values have equal ones.
func fingerprint(value string) string {
	if value == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(value))
	return fmt.Sprintf("sha256:%s, %d bytes", hex.EncodeToString(sum[:6]), len(value))
}

// maskArgs replaces arguments that hold a credential.
func maskArgs(args []string) []string {
	out := slices.Clone(args)
	for i, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		switch {
		case ok:
			if _, is := secret.ScanNamed(strings.TrimLeft(name, "-"), value); is {
				out[i] = name + "=" + fingerprint(value)
			}
		case i > 0 && strings.HasPrefix(args[i-1], "-"):
			if _, is := secret.ScanNamed(strings.TrimLeft(args[i-1], "-"), arg); is {
				out[i] = fingerprint(arg)
			}
		}
		if out[i] != arg {
			continue
		}
		if hits, _ := secret.Scan("argument", []byte(arg), secret.Options{}); len(hits) > 0 {
			out[i] = fingerprint(arg)
		}
	}
	return out
}

// maskProcess masks the arguments of a process and of its ancestors.
func maskProcess(p *seawall.Process, depth int) *seawall.Process {
	if p == nil || depth == 0 {
		return nil
	}
	c := *p
	c.Args = maskArgs(p.Args)
	c.Parent = maskProcess(p.Parent, depth-1)
	return &c
}

func hash(file string, limit int64) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // it was only read
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(f, limit+1))
	if err != nil {
		return "", err
	}
	if n > limit {
		return "", fmt.Errorf("larger than %d bytes", limit)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
