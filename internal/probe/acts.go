package probe

import (
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// actHooks are those for what processes do to files, and what takes privilege.
func actHooks() []hook {
	host := hostMnt()
	return []hook{
		// Before file, which leaves to it what it sees.
		{
			name: "file-open", sees: "files that are opened through io_uring", load: loadFileOpen, rings: []Ring{RingFile, RingPriv},
			rodata: map[string]any{"overlay_lower": overlayLower(), "host_mnt": host}, prepare: watchDefaults,
		},
		{
			name: "file", sees: "files that are opened, changed, mapped executable and mounted", load: loadFile, rings: []Ring{RingFile, RingPriv},
			rodata: map[string]any{"overlay_lower": overlayLower(), "host_mnt": host},
			adapt: func(p *Probe, spec *ebpf.CollectionSpec) error {
				return spec.Variables["acts"].Set(actTable(p.hooks["file-open"] == nil))
			},
			prepare: watchDefaults,
		},
		{
			name: "creds", sees: "credentials that a process did not ask for, and namespaces that are not its container's", load: loadCreds, rings: []Ring{RingPriv},
			rodata: map[string]any{"host_mnt": host},
		},
		{
			name: "calls", sees: "rare system calls: ptrace, bpf, modules, namespaces, keys", load: loadCalls, rings: []Ring{RingPriv},
			rodata: map[string]any{
				"calls": callTable(), "host_mnt": host, "host_pid_ns": namespaceOf("self", "pid"),
			},
		},
		{
			name: "capability", sees: "capabilities that are used", load: loadCapability, rings: []Ring{RingPriv},
			rodata: map[string]any{"host_mnt": host}, programs: capabilityVariant,
		},
		{name: "uring", sees: "what is asked of io_uring", load: loadUring, rings: []Ring{RingPriv}, programs: uringVariant},
		{
			name: "syscalls", sees: "which system calls are made, and which seccomp refuses", load: loadSyscalls, rings: []Ring{RingPriv},
			rodata: map[string]any{"host_mnt": host}, learning: true,
		},
	}
}

func watchDefaults(c *ebpf.Collection) error { return watchFiles(c.Maps["watched"], WatchedFiles()) }

// hostMnt is the node's own mount namespace, 0 where the node's processes are not to be
// seen: what runtimes do on their way into a container then counts as the container's.
var hostMnt = sync.OnceValue(func() uint32 {
	if _, home, err := processes(); err == nil && home != 0 {
		return home
	}
	return namespaceOf("1", "mnt")
})

// tracepoint returns what programs at a tracepoint are given, nil where the running
// kernel has no such tracepoint.
func tracepoint(name string) *btf.FuncProto {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return nil
	}
	var t *btf.Typedef
	if kernel.TypeByName("btf_trace_"+name, &t) != nil {
		return nil
	}
	pointer, ok := t.Type.(*btf.Pointer)
	if !ok {
		return nil
	}
	proto, _ := pointer.Target.(*btf.FuncProto)
	return proto
}

func capabilityVariant(*ebpf.CollectionSpec) []string {
	if tracepoint("cap_capable") != nil {
		return []string{"on_capable"}
	}
	return []string{"on_security_capable"}
}

// uringVariant picks by name and by the number of arguments, of which the first is
// the program's own.
func uringVariant(spec *ebpf.CollectionSpec) []string {
	if tracepoint("io_uring_submit_req") != nil {
		return []string{"on_uring_req"}
	}
	if proto := tracepoint("io_uring_submit_sqe"); proto != nil && len(proto.Params) > 3 {
		return []string{"on_uring_sqe_old"}
	}
	return slices.DeleteFunc(sortedKeys(spec.Programs), func(n string) bool { return n != "on_uring_sqe" })
}
