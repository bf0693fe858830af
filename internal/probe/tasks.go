package probe

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"seawall.io/seawall"
)

// Processes returns the processes that run now, by PID, as the kernel has them: the
// exact time of their start, the program's file, namespaces, capabilities and cgroup.
// Arguments and environment are theirs to tell, and not among it.
//
// Who opens the sensor first and then asks misses nobody: what starts or ends in
// between comes as an event too. Processes outside the caller's PID namespace are
// not listed.
func (p *Probe) Processes() ([]*seawall.Process, error) {
	list, _, err := processes()
	return list, err
}

// processes needs nothing of a sensor: the program has maps of its own. home is the
// node's first mount namespace, where the kernel's own threads live; 0 where the
// caller's PID namespace does not show them.
func processes() (list []*seawall.Process, home uint32, err error) {
	spec, err := loadTasks()
	if err != nil {
		return nil, 0, fmt.Errorf("reading the programs of tasks: %w", err)
	}
	if err := spec.Variables["overlay_lower"].Set(overlayLower()); err != nil {
		return nil, 0, err
	}
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		return nil, 0, fmt.Errorf("listing processes: %w", explain(err))
	}
	defer coll.Close()
	it, err := link.AttachIter(link.IterOptions{Program: coll.Programs["on_task"]})
	if err != nil {
		return nil, 0, fmt.Errorf("listing processes: %w", explain(err))
	}
	defer func() { err = cmp.Or(err, it.Close()) }()
	r, err := it.Open()
	if err != nil {
		return nil, 0, fmt.Errorf("listing processes: %w", err)
	}
	defer func() { err = cmp.Or(err, r.Close()) }()
	raw := make([]byte, unsafe.Sizeof(tasksTask{}))
	for {
		switch _, err := io.ReadFull(r, raw); err {
		case nil:
		case io.EOF:
			slices.SortFunc(list, func(a, b *seawall.Process) int { return cmp.Compare(a.PID, b.PID) })
			return list, home, nil
		default:
			return nil, 0, fmt.Errorf("listing processes: %w", err)
		}
		task, err := as[tasksTask](raw)
		if err != nil {
			return nil, 0, err
		}
		switch {
		case task.Kernel == 0:
			list = append(list, decodeTask(task))
		case task.H.Pid == 2: // kthreadd; others may live in namespaces of their own
			home = task.H.MntNs
		}
	}
}

func decodeTask(r *tasksTask) *seawall.Process {
	p := decodeProcess((*header)(&r.H))
	p.Program = decodeTraits((*processTraits)(&r.Program))
	p.Exe, _ = decodePath((*processPathname)(&r.Exe))
	if r.Exe.Len == 0 {
		p.Exe = ""
	}
	if p.Program.Memfd {
		p.Exe = strings.TrimPrefix(p.Exe, "/")
	}
	p.Cwd, _ = decodePath((*processPathname)(&r.Cwd))
	p.NS.UTS, p.NS.IPC, p.NS.Cgroup = r.UtsNs, r.IpcNs, r.CgroupNs
	p.TTY = r.Tty != 0
	return p
}
