package profile

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"seawall.io/seawall"
)

// behaviour says which class an event belongs to and what it is called there. An
// event that failed shows what was tried, which counts: an attacker's first try
// often does.
func behaviour(ev *seawall.Event) (Class, []string) {
	switch ev.Kind { //nolint:exhaustive // the other kinds are no behaviour of a workload
	case seawall.EventExec:
		parent := ""
		if p := ev.Process.Parent; p != nil && ev.Process.Entry == "" {
			parent = program(p)
		}
		return Programs, []string{program(ev.Process) + " <- " + parent}
	case seawall.EventOpen:
		return Reads, []string{generalPath(ev.File.Path)}
	case seawall.EventWrite, seawall.EventUnlink, seawall.EventChmod, seawall.EventChown, seawall.EventMknod, seawall.EventXattr:
		return Writes, []string{generalPath(ev.File.Path)}
	case seawall.EventRename, seawall.EventLink:
		return Writes, []string{generalPath(ev.File.Path), generalPath(ev.File.To)}
	case seawall.EventSymlink:
		return Writes, []string{generalPath(ev.File.Path)}
	case seawall.EventConnect, seawall.EventSend:
		return Peers, []string{peer(ev.Socket)}
	case seawall.EventListen, seawall.EventBind:
		return Listeners, []string{listener(ev.Socket)}
	case seawall.EventDNS:
		if ev.DNS.Response {
			return "", nil
		}
		return Names, []string{strings.ToLower(ev.DNS.Name)}
	case seawall.EventSyscall:
		return Syscalls, ev.Syscalls
	case seawall.EventCapability:
		return Capabilities, []string{ev.Capability}
	}
	return "", nil
}

// program names what a process runs. One file may be hundreds of programs, told apart
// by the name that they are called by: who was seen to sleep was not seen to be a shell.
func program(p *seawall.Process) string {
	switch path.Base(p.Exe) {
	case "busybox", "toybox", "coreutils":
		args := p.Args
		if len(args) > 1 && path.Base(args[0]) == path.Base(p.Exe) {
			args = args[1:]
		}
		if len(args) > 0 {
			return p.Exe + " " + strings.TrimPrefix(path.Base(args[0]), "-")
		}
	}
	return p.Exe
}

// generalPath takes out of a path what is different each time: process IDs,
// parts that are numbers or long hexadecimal strings, and the times in volumes of
// Secrets.
func generalPath(p string) string {
	parts := strings.Split(p, "/")
	for i, part := range parts {
		switch {
		case isNumber(part), len(part) >= 16 && isHex(part):
			parts[i] = "*"
		case strings.HasPrefix(part, "..20") && isDigits(part[2:], "_."):
			parts[i] = "..*" // a volume of a Secret or ConfigMap, after each change
		}
	}
	return strings.Join(parts, "/")
}

func isNumber(s string) bool { return s != "" && isDigits(s, "") }

// isDigits says whether a text is of digits, and of the others that are named.
func isDigits(s, others string) bool { return strings.Trim(s, "0123456789"+others) == "" }

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdefABCDEF-") == "" }

func peer(s *seawall.Socket) string {
	switch {
	case s.Path != "":
		return s.Protocol + " " + generalPath(s.Path)
	case s.Name != "":
		return fmt.Sprintf("%s %s:%d", s.Protocol, s.Name, s.Remote.Port())
	}
	return fmt.Sprintf("%s %s", s.Protocol, s.Remote)
}

// listener names a port; those that the kernel picks (ip_local_port_range begins at
// 32,768) are one.
func listener(s *seawall.Socket) string {
	switch {
	case s.Path != "":
		return s.Protocol + " " + generalPath(s.Path)
	case s.Local.Port() >= 32768:
		return s.Protocol + " ephemeral"
	}
	return fmt.Sprintf("%s %d", s.Protocol, s.Local.Port())
}

// particular are folders whose files are not alike: that many of them were read
// says nothing of the others.
var particular = []string{"/*", "/etc/*", "/root/*", "/var/run/secrets/*", "/run/secrets/*", "/usr/bin/*", "/usr/sbin/*", "/bin/*", "/sbin/*", "/dev/*", "/proc/*/*", "/proc/self/*"}

// many is how many siblings are enough to take them for one.
const many = 24

// collapse finds the more general item that stands for a name, where the profile
// has learnt one, or makes one when a name would be the 25th of its kind: files of
// one directory, addresses of one port, names below one domain. It makes one while
// the profile learns only, or an attacker could have his own files generalised.
func collapse(class Class, name string, items Items, learn bool) string {
	if items[name] != nil {
		return name
	}
	var general string
	var like func(string) bool
	switch class {
	case Reads, Writes:
		i := strings.LastIndexByte(name, '/')
		if i <= 0 {
			return name
		}
		dir := name[:i+1]
		general = dir + "*"
		like = func(s string) bool { return strings.HasPrefix(s, dir) && !strings.Contains(s[len(dir):], "/") }
		// A directory that stands for its files stands for those below it as well.
		for d := dir; len(d) > 1; d = d[:strings.LastIndexByte(d[:len(d)-1], '/')+1] {
			if items[d+"*"] != nil {
				return d + "*"
			}
		}
	case Peers:
		protocol, rest, _ := strings.Cut(name, " ")
		addr, err := netip.ParseAddrPort(rest)
		if err != nil {
			return name
		}
		general = fmt.Sprintf("%s *:%d", protocol, addr.Port())
		like = func(s string) bool {
			p, rest, _ := strings.Cut(s, " ")
			a, err := netip.ParseAddrPort(rest)
			return err == nil && p == protocol && a.Port() == addr.Port()
		}
	case Names:
		labels := strings.Split(strings.TrimSuffix(name, "."), ".")
		if len(labels) < 3 {
			return name
		}
		domain := "." + strings.Join(labels[len(labels)-2:], ".")
		general = "*" + domain
		like = func(s string) bool { return strings.HasSuffix(strings.TrimSuffix(s, "."), domain) }
	default:
		return name
	}
	if items[general] != nil {
		return general
	}
	if !learn || slices.Contains(particular, general) {
		return name
	}
	n := 0
	for s := range items {
		if like(s) {
			n++
		}
	}
	if n < many {
		return name
	}
	one := &Item{}
	for s, it := range items {
		if like(s) {
			if one.First.IsZero() || it.First.Before(one.First) {
				one.First = it.First
			}
			one.Last = later(one.Last, it.Last)
			one.Count += it.Count
			delete(items, s)
		}
	}
	items[general] = one
	return general
}
