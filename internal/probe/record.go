package probe

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"seawall.io/seawall"
)

// header begins every record: struct header of bpf/event.h.
type header = processHeader

// as looks at a record as one of the programs' structures. The rings' records begin
// at multiples of eight bytes in memory that the reader owns, which is what the
// structures need; a record that is too short is an error.
func as[T any](raw []byte) (*T, error) {
	var t T
	if uintptr(len(raw)) < unsafe.Sizeof(t) {
		return nil, fmt.Errorf("a record of %d bytes came where %T takes %d: the programs are of another version", len(raw), t, unsafe.Sizeof(t))
	}
	return (*T)(unsafe.Pointer(unsafe.SliceData(raw))), nil // its length was just tested
}

// decoder turns records into events.
type decoder struct {
	decoded map[seawall.EventKind]func(*header, []byte, *seawall.Event) error
}

func (d *decoder) init() {
	d.decoded = map[seawall.EventKind]func(*header, []byte, *seawall.Event) error{
		seawall.EventExec:       decodeExec,
		seawall.EventFork:       decodeFork,
		seawall.EventExit:       decodeExit,
		seawall.EventComm:       decodeComm,
		seawall.EventContainer:  decodeCgroup,
		seawall.EventConnect:    decodeConnect,
		seawall.EventListen:     decodeSocket,
		seawall.EventAccept:     decodeSocket,
		seawall.EventBind:       decodeSocket,
		seawall.EventSend:       decodeSend,
		seawall.EventSock:       decodeSocket,
		seawall.EventClose:      decodeSocket,
		seawall.EventDNS:        decodeDNS,
		seawall.EventTLS:        decodeTLS,
		seawall.EventVerdict:    decodeVerdict,
		seawall.EventCall:       decodeCall,
		seawall.EventCreds:      decodeCreds,
		seawall.EventNamespace:  decodeNamespace,
		seawall.EventCapability: decodeCapability,
		seawall.EventSyscall:    decodeSyscall,
		seawall.EventDenied:     decodeSyscall,
		seawall.EventTamper:     decodeGuard,
	}
	for k := seawall.EventOpen; k <= seawall.EventMount; k++ {
		d.decoded[k] = decodeFile
	}
}

// event decodes one record. The event keeps nothing of it.
func (d *decoder) event(raw []byte) (*seawall.Event, error) {
	h, err := as[header](raw)
	if err != nil {
		return nil, err
	}
	kind := seawall.EventKind(h.Kind) //nolint:gosec // a kind that is too large is in no table
	decode := d.decoded[kind]
	if decode == nil || h.Kind > 0xff {
		return nil, fmt.Errorf("a record of kind %d: the programs are of another version", h.Kind)
	}
	ev := &seawall.Event{Kind: kind, Boot: h.Time, Seq: h.Seq, Count: uint64(h.Count), Process: decodeProcess(h)}
	return ev, decode(h, raw, ev)
}

// decodeProcess returns what a header says of the process.
func decodeProcess(h *header) *seawall.Process {
	p := &seawall.Process{
		PID: h.Pid, Start: h.Start, NSPID: h.Nspid, Comm: cstring(h.Comm[:]),
		UID: h.Uid, EUID: h.Euid, GID: h.Gid, Caps: seawall.Caps(h.Caps), Cgroup: h.Cgroup,
		NS: &seawall.Namespaces{Mnt: h.MntNs, Net: h.NetNs, PID: h.PidNs, User: h.UserNs},
	}
	if h.Tid != h.Pid {
		p.TID = h.Tid
	}
	if h.Ppid != 0 {
		p.Parent = &seawall.Process{PID: h.Ppid, Start: h.ParentStart}
	}
	return p
}

func decodeExec(_ *header, raw []byte, ev *seawall.Event) error {
	r, err := as[processExec](raw)
	if err != nil {
		return err
	}
	p := ev.Process
	p.Program = decodeTraits(&r.Program)
	p.Exe, _ = decodePath(&r.Exe)
	p.Cwd, _ = decodePath(&r.Cwd)
	if p.Program.Memfd {
		// The walk has no root to end at: the name is what memfd_create was given.
		p.Exe = strings.TrimPrefix(p.Exe, "/")
	}
	p.NS.UTS, p.NS.IPC, p.NS.Cgroup = r.UtsNs, r.IpcNs, r.CgroupNs
	p.TTY = r.Tty != 0
	for i, s := range r.Stdio {
		p.Stdio[i] = seawall.Stdio(s)
	}
	args := r.Args[:min(int(r.ArgLen), len(r.Args))]
	p.Args = decodeStrings(args)
	if r.ArgBytes > uint64(len(args)) {
		p.ArgsBytes = r.ArgBytes
	}
	ev.File = &seawall.File{Path: p.Exe, Traits: p.Program, Truncated: r.Exe.Truncated != 0}
	ev.Exec = &seawall.Exec{Script: cstring(r.Script[:]), Env: tellingNames(r.Env[:min(int(r.EnvLen), len(r.Env))])}
	return nil
}

func decodeFork(_ *header, raw []byte, ev *seawall.Event) error {
	r, err := as[processFork](raw)
	if err != nil {
		return err
	}
	// The header is the parent's; the event is of the child.
	parent := ev.Process
	child := *parent
	child.PID, child.TID, child.Start, child.NSPID, child.Cgroup = r.ChildPid, 0, r.ChildStart, r.ChildNspid, r.ChildCgroup
	ns := *parent.NS
	ns.User = r.ChildUserNs
	child.NS = &ns
	child.Parent = parent
	ev.Process = &child
	return nil
}

func decodeExit(_ *header, raw []byte, ev *seawall.Event) error {
	r, err := as[processExit](raw)
	if err != nil {
		return err
	}
	ev.Exit = &seawall.Exit{Code: int(r.Code>>8) & 0xff, Signal: int(r.Code & 0x7f)}
	return nil
}

func decodeComm(_ *header, raw []byte, ev *seawall.Event) error {
	r, err := as[processComm](raw)
	if err != nil {
		return err
	}
	ev.Process.Comm = cstring(r.Name[:])
	return nil
}

func decodeTraits(t *processTraits) seawall.FileTraits {
	return seawall.FileTraits{
		Inode: t.Inode, Dev: t.Dev, FS: seawall.FileSystemName(t.Magic), Mode: t.Mode, UID: t.Uid,
		Upper: t.Flags&1 != 0, Modified: t.Flags&3 == 3, Memfd: t.Flags&4 != 0, Deleted: t.Flags&8 != 0, Volume: t.Flags&16 != 0,
		SetUID: t.Mode&0o4000 != 0, SetGID: t.Mode&0o2000 != 0,
	}
}

// decodePath joins the names that a walk from the file to the root found. whole is
// false where the path is longer than what the record holds: it then begins with
// what is known, without a slash.
func decodePath(p *processPathname) (path string, whole bool) {
	names := bytes.Split(bytes.TrimSuffix(p.Names[:min(int(p.Len), len(p.Names))], []byte{0}), []byte{0})
	slices.Reverse(names)
	joined := string(bytes.Join(names, []byte("/")))
	if p.Truncated != 0 {
		return joined, false
	}
	return "/" + joined, true
}

// decodeStrings splits what execve was given. A last string without an end was cut.
func decodeStrings(b []byte) []string {
	if len(b) == 0 {
		return nil
	}
	return strings.Split(string(bytes.TrimSuffix(b, []byte{0})), "\x00")
}

// telling are variables that change how programs are loaded, what they keep of
// themselves, or whom they talk to.
var telling = []string{
	"LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "LD_DEBUG", "HISTFILE", "HISTSIZE", "HISTFILESIZE", "BASH_ENV", "ENV", "PROMPT_COMMAND",
	"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "PYTHONSTARTUP", "PYTHONPATH", "PERL5OPT", "NODE_OPTIONS",
	"JAVA_TOOL_OPTIONS", "GCONV_PATH", "GLIBC_TUNABLES", "SSH_CONNECTION", "KUBECONFIG",
}

// tellingNames returns which of them an environment has, never their values.
func tellingNames(env []byte) []string {
	var out []string
	for len(env) > 0 {
		entry, rest, whole := bytes.Cut(env, []byte{0})
		name, _, ok := bytes.Cut(entry, []byte("="))
		if ok {
			for _, t := range telling {
				if string(name) == t {
					out = append(out, t)
				}
			}
		}
		if !whole {
			break
		}
		env = rest
	}
	return out
}

func cstring(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

func decodeCgroup(_ *header, raw []byte, ev *seawall.Event) error {
	r, err := as[cgroupCgroupEvent](raw)
	if err != nil {
		return err
	}
	ev.Cgroup = &seawall.Cgroup{ID: r.Id, Path: string(r.Path[:min(int(r.Len), len(r.Path))]), Removed: r.Made == 0}
	return nil
}
