package probe

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"seawall.io/seawall"
)

// rare says when a rare system call is reported, and which of its arguments, by
// place from 1, are a text and the process it acts on.
type rare struct {
	when         rareWhen
	text, target uint8
}

type rareWhen uint8

// When a call is reported, as in bpf/calls.bpf.c.
const (
	always rareWhen = iota + 1
	forNamespaces
	forNamespacesAt
	forSomeOptions
	atAgent
	asCreds
	asCredsToo
	unlessQuery
	afterEntering
	ofBPF
)

// rareCalls are the calls that the calls hook looks at.
func rareCalls() map[string]rare {
	return map[string]rare{
		"ptrace": {always, 0, 2}, "process_vm_readv": {always, 0, 1}, "process_vm_writev": {always, 0, 1}, "pidfd_getfd": {when: always},
		"kcmp": {always, 0, 1}, "perf_event_open": {always, 0, 2}, "userfaultfd": {when: always},
		"bpf": {when: ofBPF}, "init_module": {when: always}, "finit_module": {when: always}, "delete_module": {when: always, text: 1},
		"kexec_load": {when: always}, "kexec_file_load": {when: always},
		"keyctl": {when: always}, "add_key": {when: always, text: 2}, "request_key": {when: always, text: 2},
		"io_uring_setup": {when: always}, "open_by_handle_at": {when: always}, "memfd_create": {when: always, text: 1},
		"fanotify_init": {when: always}, "modify_ldt": {when: always}, "vm86": {when: always}, "vm86old": {when: always},
		"iopl": {when: always}, "ioperm": {when: always}, "personality": {when: unlessQuery}, "prctl": {when: forSomeOptions},
		"unshare": {when: afterEntering}, "setns": {when: afterEntering}, "clone": {when: forNamespaces}, "clone3": {when: forNamespacesAt},
		"swapon": {when: always, text: 1}, "swapoff": {when: always, text: 1}, "sethostname": {when: always, text: 1}, "setdomainname": {when: always, text: 1},
		"settimeofday": {when: always}, "clock_settime": {when: always}, "clock_settime64": {when: always},
		"reboot": {when: always}, "acct": {when: always, text: 1}, "quotactl": {when: always}, "quotactl_fd": {when: always}, "syslog": {when: always},
		"kill": {atAgent, 0, 1}, "tkill": {atAgent, 0, 1}, "tgkill": {atAgent, 0, 1}, "rt_sigqueueinfo": {atAgent, 0, 1}, "rt_tgsigqueueinfo": {atAgent, 0, 1},
		"prlimit64": {atAgent, 0, 1}, "sched_setaffinity": {atAgent, 0, 1}, "sched_setscheduler": {atAgent, 0, 1},
		"setuid": {when: asCreds}, "setgid": {when: asCreds}, "setreuid": {when: asCreds}, "setregid": {when: asCreds},
		"setresuid": {when: asCreds}, "setresgid": {when: asCreds}, "setuid32": {when: asCreds}, "setgid32": {when: asCreds},
		"setreuid32": {when: asCreds}, "setregid32": {when: asCreds}, "setresuid32": {when: asCreds}, "setresgid32": {when: asCreds},
		"capset": {when: asCredsToo},
	}
}

// callTable is what the programs look rare calls up in.
func callTable() [callPlaces]uint64 {
	var out [callPlaces]uint64
	for name, r := range rareCalls() {
		for _, place := range syscalls().places[name] {
			out[place] = uint64(r.when) | uint64(r.text)<<8 | uint64(r.target)<<16
		}
	}
	return out
}

// namespaceOf returns the inode number of a namespace of a process, 0 where /proc
// does not say.
func namespaceOf(pid, kind string) uint32 {
	to, err := os.Readlink("/proc/" + pid + "/ns/" + kind)
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(to, "[")
	n, err := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// SetNamespaces says in which namespaces the processes of a cgroup are at home: one
// that is found in others is reported once. Where it is not called, those of the
// first program that a container runs are taken, if [Probe.Watch] said in time that
// the cgroup is a container's.
func (p *Probe) SetNamespaces(cgroup uint64, ns seawall.Namespaces) error {
	m := p.maps["homes"]
	if m == nil {
		return fmt.Errorf("namespaces are not watched: see Coverage")
	}
	return m.Put(cgroup, credsNamespaces{Mnt: ns.Mnt, Pid: ns.PID, Net: ns.Net, User: ns.User, Cgroup: ns.Cgroup})
}
