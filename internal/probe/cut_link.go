package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// LinkCut is a network interface that nothing passes.
type LinkCut struct {
	Ifindex int `json:"ifindex"`
	// Packets were dropped since, in both directions.
	Packets uint64 `json:"packets"`
}

// linkPrograms are those of bpf/cut_link.bpf.c.
var linkPrograms = []string{"link_in", "link_out"}

// watchedLink is an interface that our programs are attached to.
type watchedLink struct{ links []link.Link }

// WatchLink prepares an interface of the node's, such as [HostLinks] finds, to be cut
// by one write instead of the milliseconds that attaching takes. It needs Linux 6.6.
func (p *Probe) WatchLink(ifindex int) error {
	if err := p.gatesOf("cut-link"); err != nil {
		return err
	}
	p.gates.mu.Lock()
	defer p.gates.mu.Unlock()
	return p.watchLink(ifindex)
}

func (p *Probe) watchLink(ifindex int) error {
	if p.gates.links[ifindex] != nil {
		return nil
	}
	if err := p.maps["link_cuts"].Update(uint32(ifindex), cutLinkLinkCut{}, ebpf.UpdateNoExist); err != nil && !errors.Is(err, ebpf.ErrKeyExist) { //nolint:gosec // the kernel's indices are positive
		return fmt.Errorf("counting for the interface %d: %w", ifindex, err)
	}
	w := &watchedLink{}
	for _, name := range linkPrograms {
		prog := p.hook("cut-link").coll.Programs[name]
		attach := ebpf.AttachTCXIngress
		if name == "link_out" {
			attach = ebpf.AttachTCXEgress
		}
		l, err := p.linkPinned(pinName(name, ifindex), prog, func() (link.Link, error) {
			// Before those of a CNI, which may send a packet on without asking further.
			return link.AttachTCX(link.TCXOptions{Interface: ifindex, Program: prog, Attach: attach, Anchor: link.Head()})
		})
		if err != nil {
			return errors.Join(fmt.Errorf("watching the interface %d: %w", ifindex, err), p.dropLink(ifindex, w))
		}
		w.links = append(w.links, l)
	}
	if p.gates.links == nil {
		p.gates.links = map[int]*watchedLink{}
	}
	p.gates.links[ifindex] = w
	return nil
}

// UnwatchLink ends what WatchLink and CutLink did to an interface.
func (p *Probe) UnwatchLink(ifindex int) error {
	if err := p.gatesOf("cut-link"); err != nil {
		return err
	}
	p.gates.mu.Lock()
	defer p.gates.mu.Unlock()
	w := p.gates.links[ifindex]
	if w == nil {
		return nil
	}
	delete(p.gates.links, ifindex)
	return p.dropLink(ifindex, w)
}

// dropLink takes our programs off an interface that may be gone.
func (p *Probe) dropLink(ifindex int, w *watchedLink) error {
	var errs []error
	for _, l := range w.links {
		errs = append(errs, l.Close())
	}
	if p.options.Pins != "" {
		for _, name := range linkPrograms {
			errs = append(errs, ignoreMissing(os.Remove(filepath.Join(p.options.Pins, pinName(name, ifindex))))) //nolint:gosec // the directory is the operator's to choose
		}
	}
	errs = append(errs, ignoreMissing(p.maps["link_cuts"].Delete(uint32(ifindex)))) //nolint:gosec // the kernel's indices are positive
	return errors.Join(errs...)
}

// closeLinks lets go of the interfaces: where they are pinned nothing else changes.
func (p *Probe) closeLinks() error {
	p.gates.mu.Lock()
	defer p.gates.mu.Unlock()
	var errs []error
	for _, w := range p.gates.links {
		for _, l := range w.links {
			errs = append(errs, l.Close())
		}
	}
	p.gates.links = nil
	return errors.Join(errs...)
}

// CutLink stops all that passes an interface of the node's. It stays so where
// [Options].Pins is set.
func (p *Probe) CutLink(ifindex int) error {
	if err := p.gatesOf("cut-link"); err != nil {
		return err
	}
	p.gates.mu.Lock()
	defer p.gates.mu.Unlock()
	if err := p.watchLink(ifindex); err != nil {
		return err
	}
	return p.setLink(ifindex, 1)
}

// ReleaseLink ends what CutLink did; the interface remains watched.
func (p *Probe) ReleaseLink(ifindex int) error {
	if err := p.gatesOf("cut-link"); err != nil {
		return err
	}
	p.gates.mu.Lock()
	defer p.gates.mu.Unlock()
	if p.gates.links[ifindex] == nil {
		return nil
	}
	return p.setLink(ifindex, 0)
}

func (p *Probe) setLink(ifindex int, cut uint64) error {
	if err := p.maps["link_cuts"].Put(uint32(ifindex), cutLinkLinkCut{Cut: cut}); err != nil { //nolint:gosec // the kernel's indices are positive
		return fmt.Errorf("cutting the interface %d: %w", ifindex, err)
	}
	return nil
}

// LinkCuts lists the interfaces that are cut, those that an earlier sensor left
// included.
func (p *Probe) LinkCuts() ([]LinkCut, error) {
	if err := p.gatesOf("cut-link"); err != nil {
		return nil, err
	}
	p.gates.mu.Lock()
	defer p.gates.mu.Unlock()
	var out []LinkCut
	var ifindex uint32
	var c cutLinkLinkCut
	it := p.maps["link_cuts"].Iterate()
	for it.Next(&ifindex, &c) {
		if c.Cut != 0 {
			out = append(out, LinkCut{Ifindex: int(ifindex), Packets: c.Drops})
		}
	}
	slices.SortFunc(out, func(a, b LinkCut) int { return a.Ifindex - b.Ifindex })
	return out, it.Err()
}

// adoptLinks takes over the interfaces that an earlier sensor watched. Those that
// are gone are forgotten.
func (p *Probe) adoptLinks() error {
	known, err := p.pinnedLinks()
	if err != nil {
		return err
	}
	var errs []error
	for _, ifindex := range known {
		if err := p.watchLink(ifindex); err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// HostLinks returns the node's ends of the veth pairs that lead into the network
// namespace of a process, by their index. It asks the kernel in both namespaces:
// files below /proc/PID/root are the process's to forge. A process in the node's own
// namespace is an error.
func HostLinks(pid int) ([]int, error) {
	here, err := vethPeers()
	if err != nil {
		return nil, fmt.Errorf("listing the node's interfaces: %w", err)
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, fmt.Errorf("opening the network namespace of process %d: %w", pid, err)
	}
	defer ns.Close() //nolint:errcheck // nothing was written
	var own, theirs unix.Stat_t
	if err := errors.Join(unix.Stat("/proc/thread-self/ns/net", &own), unix.Fstat(int(ns.Fd()), &theirs)); err != nil {
		return nil, err
	}
	if own.Ino == theirs.Ino {
		return nil, fmt.Errorf("process %d is in the node's own network namespace: its interfaces are the node's", pid)
	}
	var there map[int]int
	done := make(chan error)
	go func() {
		// The thread is never unlocked, so it ends with this function, and nothing
		// else ever runs in that namespace.
		runtime.LockOSThread()
		err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			there, err = vethPeers()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		return nil, fmt.Errorf("listing the interfaces of process %d: %w", pid, err)
	}
	var out []int
	for inside, peer := range there {
		if here[peer] == inside {
			out = append(out, peer)
		}
	}
	slices.Sort(out)
	return out, nil
}

// vethPeers returns the interfaces of the thread's network namespace that have
// another end, and the index of that where it is.
func vethPeers() (map[int]int, error) {
	answer, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return nil, err
	}
	messages, err := syscall.ParseNetlinkMessage(answer)
	if err != nil {
		return nil, err
	}
	out := map[int]int{}
	for i := range messages {
		m := &messages[i]
		if m.Header.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg {
			continue
		}
		index := int(binary.NativeEndian.Uint32(m.Data[4:])) // ifi_index
		attrs, err := syscall.ParseNetlinkRouteAttr(m)
		if err != nil {
			return nil, err
		}
		for _, a := range attrs {
			if a.Attr.Type == unix.IFLA_LINK && len(a.Value) >= 4 {
				if peer := int(binary.NativeEndian.Uint32(a.Value)); peer != index && peer != 0 {
					out[index] = peer
				}
			}
		}
	}
	return out, nil
}
