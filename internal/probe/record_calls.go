package probe

import (
	"fmt"
	"strings"

	"seawall.io/seawall"
)

func decodeCall(h *header, raw []byte, ev *seawall.Event) error {
	if u, err := as[uringUringEvent](raw); err == nil && u.Call == ^uint32(0) {
		ev.Call = &seawall.Call{Name: "io_uring", Args: [4]uint64{uint64(u.Opcode)}, Op: wordOf(uringOps, uint64(u.Opcode))}
		return nil
	}
	r, err := as[callsCallEvent](raw)
	if err != nil {
		return err
	}
	name := syscalls().name(r.Call)
	c := &seawall.Call{Name: name, Args: [4]uint64(r.Args[:4]), Result: r.Result}
	c.Op = operation(name, r.Args[:], cstring(r.Text[:]))
	ev.Call = c
	if r.Target == 0 || int(r.Target) > len(r.Args) {
		return nil
	}
	// A process is named as its caller sees it: only the node's own namespace numbers
	// as the node does.
	if pid := int32(r.Args[r.Target-1]); pid > 0 { //nolint:gosec // a pid_t
		c.Target = &seawall.Process{NSPID: uint32(pid), NS: &seawall.Namespaces{PID: h.PidNs}}
		if h.PidNs == firstPIDNamespace {
			c.Target.PID = uint32(pid)
		}
	}
	return nil
}

// firstPIDNamespace is the inode number of the namespace that the kernel starts with
// (PROC_PID_INIT_INO).
const firstPIDNamespace = 0xeffffffc

func decodeCreds(_ *header, raw []byte, ev *seawall.Event) error {
	r, err := as[credsCredsEvent](raw)
	if err != nil {
		return err
	}
	p := ev.Process
	ev.Creds = &seawall.CredChange{
		OldUID: r.OldUid, OldEUID: r.OldEuid, NewUID: p.UID, NewEUID: p.EUID, OldCaps: seawall.Caps(r.OldCaps), NewCaps: p.Caps,
	}
	if r.Call != 0 {
		ev.Call = &seawall.Call{Name: syscalls().name(r.Call)}
	}
	return nil
}

func decodeNamespace(_ *header, raw []byte, ev *seawall.Event) error {
	r, err := as[credsNsEvent](raw)
	if err != nil {
		return err
	}
	ev.Process.NS.Cgroup = r.CgroupNs
	for i, name := range [...]string{"mnt", "pid", "net", "user", "cgroup"} {
		if r.Strange&(1<<i) != 0 {
			ev.Namespaces = append(ev.Namespaces, name)
		}
	}
	return nil
}

func decodeCapability(_ *header, raw []byte, ev *seawall.Event) error {
	r, err := as[capabilityCapabilityEvent](raw)
	if err != nil {
		return err
	}
	name := seawall.CapabilityName(int(r.Capability))
	if !strings.HasPrefix(name, "CAP_") {
		name = "CAP_" + name
	}
	ev.Capability = name
	return nil
}

func decodeSyscall(_ *header, raw []byte, ev *seawall.Event) error {
	r, err := as[syscallsSyscallEvent](raw)
	if err != nil {
		return err
	}
	name := syscalls().name(r.Call)
	if ev.Kind == seawall.EventDenied {
		ev.Call = &seawall.Call{Name: name, Result: r.Result, Denied: true}
		return nil
	}
	ev.Syscalls = []string{name}
	return nil
}

// operation says in words what the arguments of a call ask for.
func operation(name string, args []uint64, text string) string {
	switch name {
	case "ptrace":
		return wordOf(ptraceOps, args[0])
	case "bpf":
		return wordOf(bpfOps, args[0])
	case "keyctl":
		return wordOf(keyctlOps, args[0])
	case "prctl":
		return wordOf(prctlOps, args[0])
	case "unshare", "clone", "clone3":
		return namespaceWords(args[0])
	case "setns":
		return namespaceWords(args[1])
	case "reboot":
		return wordOf(rebootOps, args[2])
	case "personality":
		if args[0]&0x0040000 != 0 {
			return "ADDR_NO_RANDOMIZE"
		}
	case "sethostname", "setdomainname":
		// The name's length is an argument: nothing ends it.
		if n := args[1]; n < uint64(len(text)) {
			return text[:n]
		}
	}
	return text
}

func wordOf(words map[uint64]string, n uint64) string {
	if w, ok := words[n]; ok {
		return w
	}
	return fmt.Sprintf("%#x", n)
}

// namespaceWords are the CLONE_NEW flags of a set, joined by |.
func namespaceWords(flags uint64) string {
	var out []string
	for _, f := range [...]struct {
		bit  uint64
		name string
	}{
		{0x80, "CLONE_NEWTIME"},
		{0x20000, "CLONE_NEWNS"},
		{0x2000000, "CLONE_NEWCGROUP"},
		{0x4000000, "CLONE_NEWUTS"},
		{0x8000000, "CLONE_NEWIPC"},
		{0x10000000, "CLONE_NEWUSER"},
		{0x20000000, "CLONE_NEWPID"},
		{0x40000000, "CLONE_NEWNET"},
	} {
		if flags&f.bit != 0 {
			out = append(out, f.name)
		}
	}
	return strings.Join(out, "|")
}

// What the first argument of some calls means: linux/ptrace.h, linux/bpf.h,
// linux/keyctl.h, linux/prctl.h, linux/reboot.h and linux/io_uring.h.
var (
	ptraceOps = map[uint64]string{
		0: "PTRACE_TRACEME", 1: "PTRACE_PEEKTEXT", 2: "PTRACE_PEEKDATA", 3: "PTRACE_PEEKUSER", 4: "PTRACE_POKETEXT", 5: "PTRACE_POKEDATA",
		6: "PTRACE_POKEUSER", 7: "PTRACE_CONT", 8: "PTRACE_KILL", 9: "PTRACE_SINGLESTEP", 12: "PTRACE_GETREGS", 13: "PTRACE_SETREGS",
		16: "PTRACE_ATTACH", 17: "PTRACE_DETACH", 24: "PTRACE_SYSCALL", 0x4200: "PTRACE_SETOPTIONS", 0x4201: "PTRACE_GETEVENTMSG",
		0x4202: "PTRACE_GETSIGINFO", 0x4203: "PTRACE_SETSIGINFO", 0x4204: "PTRACE_GETREGSET", 0x4205: "PTRACE_SETREGSET",
		0x4206: "PTRACE_SEIZE", 0x4207: "PTRACE_INTERRUPT", 0x4208: "PTRACE_LISTEN", 0x4209: "PTRACE_PEEKSIGINFO",
		0x420a: "PTRACE_GETSIGMASK", 0x420b: "PTRACE_SETSIGMASK", 0x420e: "PTRACE_GET_SYSCALL_INFO",
	}
	bpfOps = map[uint64]string{
		0: "BPF_MAP_CREATE", 1: "BPF_MAP_LOOKUP_ELEM", 2: "BPF_MAP_UPDATE_ELEM", 3: "BPF_MAP_DELETE_ELEM", 4: "BPF_MAP_GET_NEXT_KEY",
		5: "BPF_PROG_LOAD", 6: "BPF_OBJ_PIN", 7: "BPF_OBJ_GET", 8: "BPF_PROG_ATTACH", 9: "BPF_PROG_DETACH", 10: "BPF_PROG_TEST_RUN",
		11: "BPF_PROG_GET_NEXT_ID", 12: "BPF_MAP_GET_NEXT_ID", 13: "BPF_PROG_GET_FD_BY_ID", 14: "BPF_MAP_GET_FD_BY_ID",
		15: "BPF_OBJ_GET_INFO_BY_FD", 16: "BPF_PROG_QUERY", 17: "BPF_RAW_TRACEPOINT_OPEN", 18: "BPF_BTF_LOAD", 19: "BPF_BTF_GET_FD_BY_ID",
		20: "BPF_TASK_FD_QUERY", 21: "BPF_MAP_LOOKUP_AND_DELETE_ELEM", 22: "BPF_MAP_FREEZE", 23: "BPF_BTF_GET_NEXT_ID",
		24: "BPF_MAP_LOOKUP_BATCH", 25: "BPF_MAP_LOOKUP_AND_DELETE_BATCH", 26: "BPF_MAP_UPDATE_BATCH", 27: "BPF_MAP_DELETE_BATCH",
		28: "BPF_LINK_CREATE", 29: "BPF_LINK_UPDATE", 30: "BPF_LINK_GET_FD_BY_ID", 31: "BPF_LINK_GET_NEXT_ID", 32: "BPF_ENABLE_STATS",
		33: "BPF_ITER_CREATE", 34: "BPF_LINK_DETACH", 35: "BPF_PROG_BIND_MAP", 36: "BPF_TOKEN_CREATE",
	}
	keyctlOps = map[uint64]string{
		0: "KEYCTL_GET_KEYRING_ID", 1: "KEYCTL_JOIN_SESSION_KEYRING", 2: "KEYCTL_UPDATE", 3: "KEYCTL_REVOKE", 4: "KEYCTL_CHOWN",
		5: "KEYCTL_SETPERM", 6: "KEYCTL_DESCRIBE", 7: "KEYCTL_CLEAR", 8: "KEYCTL_LINK", 9: "KEYCTL_UNLINK", 10: "KEYCTL_SEARCH",
		11: "KEYCTL_READ", 12: "KEYCTL_INSTANTIATE", 13: "KEYCTL_NEGATE", 14: "KEYCTL_SET_REQKEY_KEYRING", 15: "KEYCTL_SET_TIMEOUT",
		16: "KEYCTL_ASSUME_AUTHORITY", 17: "KEYCTL_GET_SECURITY", 18: "KEYCTL_SESSION_TO_PARENT", 21: "KEYCTL_INVALIDATE",
		22: "KEYCTL_GET_PERSISTENT", 29: "KEYCTL_RESTRICT_KEYRING", 30: "KEYCTL_MOVE", 31: "KEYCTL_CAPABILITIES",
	}
	prctlOps = map[uint64]string{
		4: "PR_SET_DUMPABLE", 22: "PR_SET_SECCOMP", 28: "PR_SET_SECUREBITS", 35: "PR_SET_MM", 47: "PR_CAP_AMBIENT", 0x59616d61: "PR_SET_PTRACER",
	}
	rebootOps = map[uint64]string{
		0: "LINUX_REBOOT_CMD_CAD_OFF", 0x89abcdef: "LINUX_REBOOT_CMD_CAD_ON", 0x1234567: "LINUX_REBOOT_CMD_RESTART", 0xcdef0123: "LINUX_REBOOT_CMD_HALT",
		0x4321fedc: "LINUX_REBOOT_CMD_POWER_OFF", 0xa1b2c3d4: "LINUX_REBOOT_CMD_RESTART2", 0xd000fce2: "LINUX_REBOOT_CMD_SW_SUSPEND", 0x45584543: "LINUX_REBOOT_CMD_KEXEC",
	}
	uringOps = map[uint64]string{
		0: "NOP", 1: "READV", 2: "WRITEV", 3: "FSYNC", 4: "READ_FIXED", 5: "WRITE_FIXED", 6: "POLL_ADD", 7: "POLL_REMOVE", 8: "SYNC_FILE_RANGE",
		9: "SENDMSG", 10: "RECVMSG", 11: "TIMEOUT", 12: "TIMEOUT_REMOVE", 13: "ACCEPT", 14: "ASYNC_CANCEL", 15: "LINK_TIMEOUT", 16: "CONNECT",
		17: "FALLOCATE", 18: "OPENAT", 19: "CLOSE", 20: "FILES_UPDATE", 21: "STATX", 22: "READ", 23: "WRITE", 24: "FADVISE", 25: "MADVISE",
		26: "SEND", 27: "RECV", 28: "OPENAT2", 29: "EPOLL_CTL", 30: "SPLICE", 31: "PROVIDE_BUFFERS", 32: "REMOVE_BUFFERS", 33: "TEE",
		34: "SHUTDOWN", 35: "RENAMEAT", 36: "UNLINKAT", 37: "MKDIRAT", 38: "SYMLINKAT", 39: "LINKAT", 40: "MSG_RING", 41: "FSETXATTR",
		42: "SETXATTR", 43: "FGETXATTR", 44: "GETXATTR", 45: "SOCKET", 46: "URING_CMD", 47: "SEND_ZC", 48: "SENDMSG_ZC", 49: "READ_MULTISHOT",
		50: "WAITID", 51: "FUTEX_WAIT", 52: "FUTEX_WAKE", 53: "FUTEX_WAITV", 54: "FIXED_FD_INSTALL", 55: "FTRUNCATE", 56: "BIND", 57: "LISTEN",
		58: "RECV_ZC", 59: "EPOLL_WAIT", 60: "READV_FIXED", 61: "WRITEV_FIXED", 62: "PIPE",
	}
)
