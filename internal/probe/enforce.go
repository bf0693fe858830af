package probe

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"seawall.io/seawall"
)

// Rule is something that containers can be kept from.
type Rule uint8

// The rules, numbered as in bpf/enforce.h.
const (
	// ForeignExec is to run what is not of the image: a file that was made in the
	// container, one in memory (memfd_create), one that has no name any more. Files of
	// images are told by overlayfs: where a container's root is anything else they look
	// like those of volumes.
	ForeignExec Rule = iota
	// ModifiedExec is to run a file of the image that was changed, or only touched,
	// since.
	ModifiedExec
	// VolumeExec is to run a file of a volume or of any other mount.
	VolumeExec
	// ForeignMap is to load code from what is not of the image: a library, a plugin, a
	// program through the loader. What interpreters read is text to the kernel.
	ForeignMap
	// Ptrace is to attach to another process, or to read or write its memory.
	Ptrace
	// Mount is to mount, move and unmount file systems.
	Mount
	// Module is to load a kernel module, or another kernel.
	Module
	// BPF is the system call bpf.
	BPF
	// Capability is to use one of [Policy].Capabilities. What the kernel does in
	// another's name is left alone, and with it what io_uring does for a registered personality.
	Capability
	// File is to open one of [Policy].Files. What is open already stays so.
	File
	// CgroupWrite is to write to control groups, and so to leave the one that a policy is for.
	CgroupWrite
	// Signal is to send the agent a signal.
	Signal
	ruleCount
)

var ruleNames = [ruleCount]string{
	"foreign-exec", "modified-exec", "volume-exec", "foreign-map", "ptrace", "mount", "module", "bpf", "capability", "file", "cgroup-write", "signal",
}

// Rules returns every rule.
func Rules() []Rule {
	out := make([]Rule, ruleCount)
	for i := range out {
		out[i] = Rule(i)
	}
	return out
}

// String returns the rule as verdicts have it.
func (r Rule) String() string {
	if r < ruleCount {
		return ruleNames[r]
	}
	return fmt.Sprintf("rule-%d", uint8(r))
}

// MarshalText implements encoding.TextMarshaler.
func (r Rule) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Rule) UnmarshalText(text []byte) error {
	i := slices.Index(ruleNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is no rule: there are %s", text, strings.Join(ruleNames[:], ", "))
	}
	*r = Rule(i) //nolint:gosec // bounded by the number of rules
	return nil
}

// FileID names a file as the kernel does, and as [seawall.FileTraits] of events have
// it. What stat(2) says is the same but for files of an overlay whose layers lie on more than one
// file system.
type FileID struct {
	Dev   uint32 `json:"dev"`
	Inode uint64 `json:"inode"`
}

// Policy says what a cgroup, and all below it, is kept from.
type Policy struct {
	Deny []Rule `json:"deny,omitempty"`
	// Audit rules are reported and nothing more. One that is denied too is denied.
	Audit        []Rule       `json:"audit,omitempty"`
	Capabilities seawall.Caps `json:"capabilities,omitempty"`
	Files        []FileID     `json:"files,omitempty"`
	// Running holds every process that is there already to all rules. Without it those
	// on what is run and loaded go for all, the others for what is run from now on: a runtime that is
	// about to start a container mounts, and changes users, in the container's cgroup.
	Running bool `json:"running,omitempty"`
}

// Enforced is what became of a policy.
type Enforced struct {
	Tier Tier `json:"tier"`
	// Held are the rules that the canary saw at work.
	Held []Rule `json:"held"`
	// Refused are the others, each with the reason.
	Refused []RefusedRule `json:"refused,omitempty"`
}

// RefusedRule is a rule that this node does not hold anybody to.
type RefusedRule struct {
	Rule   Rule   `json:"rule"`
	Reason string `json:"reason"`
}

// enforcer holds policies and what carries them out.
type enforcer struct {
	mu       sync.Mutex // of the policies and of standing
	lists    uint64
	standing Standing
	programs map[string]*attached // by tier and program
	specs    map[Tier]*ebpf.CollectionSpec
	guard    *guard

	proving  sync.Mutex // one canary at a time
	canary   atomic.Uint64
	verdicts chan *seawall.Event
}

// enforceMaps are those of bpf/enforce.h that its collections share.
var enforceMaps = []string{"policies", "policy_levels", "denied_files", "armed", "verdict_budgets"}

// prepareEnforce makes the maps for policies, so that nothing needs to be made later.
func (p *Probe) prepareEnforce() error {
	p.enforce.programs, p.enforce.specs = map[string]*attached{}, map[Tier]*ebpf.CollectionSpec{}
	p.enforce.verdicts = make(chan *seawall.Event, 64)
	spec, err := loadEnforceSignal()
	if err != nil {
		return err
	}
	if _, err := p.shared(spec, enforceMaps); err != nil {
		return err
	}
	if p.rings[RingNode] == nil {
		p.rings[RingNode], err = newRing(p, RingNode)
	}
	return err
}

// Enforce holds a cgroup to a policy, in place of the one it had. The rules that are held are
// those that [Probe.Prove] saw at work: what others were asked for is returned as
// refused, and the rest holds. Of several policies above a process the nearest counts.
func (p *Probe) Enforce(cgroup uint64, policy Policy) (Enforced, error) {
	e := &p.enforce
	e.mu.Lock()
	defer e.mu.Unlock()
	out := Enforced{Tier: e.standing.Tier}
	var value enforceSignalPolicy
	for _, r := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(policy.Deny, policy.Audit)))) {
		if !slices.Contains(e.standing.Proven, r) {
			out.Refused = append(out.Refused, RefusedRule{Rule: r, Reason: e.standing.reason(r)})
			continue
		}
		out.Held = append(out.Held, r)
		if slices.Contains(policy.Deny, r) {
			value.Deny |= 1 << r
		} else {
			value.Audit |= 1 << r
		}
	}
	value.Caps = uint64(policy.Capabilities)
	if policy.Running {
		value.Since = bootTime()
	}
	path, err := p.cgroupPath(cgroup)
	if err != nil {
		return Enforced{}, err
	}
	level := strings.Count(path, "/")
	switch {
	case path == "/":
		return Enforced{}, fmt.Errorf("the cgroup %d is that of the whole node: name a container's or a pod's", cgroup)
	case level >= maxPolicyLevel:
		return Enforced{}, fmt.Errorf("the cgroup %s is %d levels deep: policies reach as far as %d", path, level, maxPolicyLevel-1)
	}
	// The new list comes before the policy that points to it, the old one goes after it.
	var old enforceSignalPolicy
	had := p.maps["policies"].Lookup(cgroup, &old) == nil
	if len(policy.Files) > 0 {
		e.lists++
		value.List = cgroup<<16 | e.lists&0xffff
		for _, f := range policy.Files {
			if err := p.maps["denied_files"].Put(enforceSignalDeniedFile{List: value.List, Inode: f.Inode, Dev: f.Dev}, uint32(level)); err != nil { //nolint:gosec // tested above
				return Enforced{}, errors.Join(fmt.Errorf("denying the file %d of device %d: %w", f.Inode, f.Dev, err), p.dropList(value.List))
			}
		}
	}
	if err := p.addLevel(level); err != nil {
		return Enforced{}, err
	}
	if err := p.maps["policies"].Put(cgroup, value); err != nil {
		return Enforced{}, fmt.Errorf("setting the policy of the cgroup %s: %w", path, err)
	}
	if had && old.List != 0 {
		return out, p.dropList(old.List)
	}
	return out, nil
}

// maxPolicyLevel is POLICY_LEVELS of bpf/enforce.h.
const maxPolicyLevel = 32

// Unenforce takes the policy of a cgroup away; the cgroup may be gone. There being none is no error.
func (p *Probe) Unenforce(cgroup uint64) error {
	e := &p.enforce
	e.mu.Lock()
	defer e.mu.Unlock()
	var old enforceSignalPolicy
	if err := p.maps["policies"].Lookup(cgroup, &old); errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("reading the policy of the cgroup %d: %w", cgroup, err)
	}
	if err := p.maps["policies"].Delete(cgroup); err != nil {
		return fmt.Errorf("removing the policy of the cgroup %d: %w", cgroup, err)
	}
	if old.List != 0 {
		return p.dropList(old.List)
	}
	return nil
}

// addLevel has the programs look for policies at a level. Levels stay: a kubelet puts all pods
// at the same few.
func (p *Probe) addLevel(level int) error {
	var levels uint64
	if err := p.maps["policy_levels"].Lookup(uint32(0), &levels); err != nil {
		return fmt.Errorf("reading the levels of policies: %w", err)
	}
	if levels&(1<<level) != 0 {
		return nil
	}
	if err := p.maps["policy_levels"].Put(uint32(0), levels|1<<level); err != nil {
		return fmt.Errorf("setting the levels of policies: %w", err)
	}
	return nil
}

func (p *Probe) dropList(list uint64) error {
	var gone []enforceSignalDeniedFile
	var key enforceSignalDeniedFile
	var level uint32
	it := p.maps["denied_files"].Iterate()
	for it.Next(&key, &level) {
		if key.List == list {
			gone = append(gone, key)
		}
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("reading the denied files: %w", err)
	}
	for _, key := range gone {
		if err := p.maps["denied_files"].Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("forgetting a denied file: %w", err)
		}
	}
	return nil
}

// closeEnforce detaches what enforces.
func (p *Probe) closeEnforce() error {
	p.enforce.mu.Lock()
	g := p.enforce.guard
	p.enforce.guard = nil
	p.enforce.mu.Unlock()
	errs := []error{g.close()} // it may be asking for a policy
	p.enforce.mu.Lock()
	defer p.enforce.mu.Unlock()
	for _, name := range sortedKeys(p.enforce.programs) {
		errs = append(errs, p.enforce.programs[name].close())
	}
	clear(p.enforce.programs)
	p.enforce.standing = Standing{}
	return errors.Join(errs...)
}

var verdictActions = [...]string{"", "denied", "audited", "killed"}

// decodeEnforced decodes struct enforced of bpf/enforce.h.
func decodeEnforced(raw []byte, ev *seawall.Event) error {
	r, err := as[enforceSignalEnforced](raw)
	if err != nil {
		return err
	}
	rule := Rule(min(r.Rule, uint32(ruleCount)))
	v := &seawall.Verdict{Rule: rule.String(), Tier: string(tierOf(r.Tier))}
	if int(r.Action) < len(verdictActions) {
		v.Action = verdictActions[r.Action]
	}
	ev.Verdict = v
	if r.File.Inode != 0 {
		path, whole := decodePath((*processPathname)(&r.Path))
		traits := decodeTraits((*processTraits)(&r.File))
		if traits.Memfd {
			path = strings.TrimPrefix(path, "/")
		}
		ev.File = &seawall.File{Path: path, Traits: traits, Truncated: !whole}
		v.Target = path
		return nil
	}
	switch rule { //nolint:exhaustive // the others have a file, or nothing to name
	case Capability:
		v.Target = seawall.CapabilityName(int(r.Value)) //nolint:gosec // a small number
		ev.Capability = v.Target
	case Ptrace:
		v.Target = fmt.Sprintf("process %d", r.Value)
	case BPF:
		v.Target = fmt.Sprintf("command %d", r.Value)
	case Signal:
		v.Target = unix.SignalName(unix.Signal(r.Value)) //nolint:gosec // a small number
	}
	return nil
}

// hear keeps the canary's verdicts from the sensor's user.
func (e *enforcer) hear(ev *seawall.Event) bool {
	id := e.canary.Load()
	if id == 0 || ev.Kind != seawall.EventVerdict || ev.Process.Cgroup != id {
		return false
	}
	select {
	case e.verdicts <- ev:
	default: // many more than the canary can cause
	}
	return true
}
