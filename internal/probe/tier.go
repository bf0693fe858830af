package probe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Tier is a way to keep a process from doing something.
type Tier string

// The tiers, best first.
const (
	// LSM: a security module of our own refuses. It takes a kernel with bpf in lsm=.
	LSM Tier = "lsm"
	// FmodRet: the kernel's questions to its security modules are answered for them.
	FmodRet Tier = "fmod_ret"
	// SignalTier: what was run is killed before its first instruction. Nothing but rules on what
	// is run can be held that way, and of a script only the interpreter is seen.
	SignalTier Tier = "signal"
	// DetectOnly: nothing is prevented.
	DetectOnly Tier = ""
)

func tierOf(n uint32) Tier {
	return [...]Tier{DetectOnly, LSM, FmodRet, SignalTier}[min(n, 3)]
}

// Standing is what a node can prevent, as far as it was seen to.
type Standing struct {
	Tier Tier `json:"tier"`
	// Proven are the rules that a canary was held to, and the report of which arrived.
	Proven []Rule `json:"proven,omitempty"`
	// Unproven are those that were tried in vain.
	Unproven []RefusedRule `json:"unproven,omitempty"`
	// Fanotify says that the signal tier is completed by [Probe.Guard]; NoFanotify why not.
	Fanotify   bool   `json:"fanotify,omitempty"`
	NoFanotify string `json:"noFanotify,omitempty"`
	// Refused are the better tiers, and why they are not used.
	Refused []RefusedTier `json:"refused,omitempty"`
}

// RefusedTier is a tier that does not work here.
type RefusedTier struct {
	Tier   Tier   `json:"tier"`
	Reason string `json:"reason"`
}

func (s Standing) reason(r Rule) string {
	for _, u := range s.Unproven {
		if u.Rule == r {
			return u.Reason
		}
	}
	if s.Tier == DetectOnly {
		reasons := make([]string, 0, len(s.Refused))
		for _, t := range s.Refused {
			reasons = append(reasons, string(t.Tier)+": "+t.Reason)
		}
		if len(reasons) > 0 {
			return "nothing is prevented on this node: " + strings.Join(reasons, "; ")
		}
	}
	return "it was not seen at work yet"
}

// execRules are those that every tier has.
var execRules = []Rule{ForeignExec, ModifiedExec, VolumeExec}

// programsOf names the programs that a rule takes, in the tiers that refuse.
var programsOf = [ruleCount][]string{
	ForeignExec: {"check_exec"}, ModifiedExec: {"check_exec"}, VolumeExec: {"check_exec"},
	ForeignMap: {"check_mmap", "check_mprotect"},
	Ptrace:     {"check_ptrace"},
	Mount:      {"check_mount", "check_move_mount", "check_new_mount", "check_umount"},
	Module:     {"check_read", "check_load"},
	BPF:        {"check_bpf"},
	Capability: {"check_capable"},
	File:       {"check_open"}, CgroupWrite: {"check_open"},
	Signal: {"check_kill"},
}

// Tier returns what [Probe.Prove] found last.
func (p *Probe) Tier() Standing {
	p.enforce.mu.Lock()
	defer p.enforce.mu.Unlock()
	s := p.enforce.standing
	s.Proven, s.Unproven, s.Refused = slices.Clone(s.Proven), slices.Clone(s.Unproven), slices.Clone(s.Refused)
	return s
}

// Prove finds out what this node can prevent: it has a process of its own, in a
// cgroup of its own, break each rule, and takes a tier for working if that process was kept
// from it and the report arrived. A program that the kernel accepted proves nothing: without bpf in
// lsm= a kernel attaches security modules and never asks them.
//
// The first tier to hold foreign-exec is taken; rules that it does not hold are said so, whatever
// the tier promises. None given means those on what is run. Somebody must call [Probe.Poll] meanwhile. To be called when the
// sensor starts and every few minutes: it takes some 10 ms, and policies in force stay so.
func (p *Probe) Prove(ctx context.Context, rules ...Rule) (Standing, error) {
	e := &p.enforce
	e.proving.Lock()
	defer e.proving.Unlock()
	if p.maps["policies"] == nil {
		return Standing{}, errors.New("this kernel does not keep policies: see the sensor's coverage")
	}
	if len(rules) == 0 {
		rules = execRules
	}
	rules = slices.Compact(slices.Sorted(slices.Values(slices.Concat([]Rule{ForeignExec}, rules))))
	c, err := p.newCanary()
	if err != nil {
		s := Standing{Refused: []RefusedTier{{Tier: LSM, Reason: "no canary: " + err.Error()}, {Tier: FmodRet, Reason: "no canary"}, {Tier: SignalTier, Reason: "no canary"}}}
		p.setStanding(s)
		return s, fmt.Errorf("making a canary: %w", err)
	}
	defer c.close()
	var s Standing
	for _, tier := range []Tier{LSM, FmodRet, SignalTier} {
		err := p.hold(ctx, c, tier, ForeignExec)
		if ctx.Err() != nil {
			return p.Tier(), ctx.Err()
		}
		if err == nil {
			s.Tier = tier
			break
		}
		s.Refused = append(s.Refused, RefusedTier{Tier: tier, Reason: err.Error()})
	}
	for _, r := range rules {
		switch {
		case s.Tier == DetectOnly:
		case r == ForeignExec: // seen just now
			s.Proven = append(s.Proven, r)
		default:
			if err := p.hold(ctx, c, s.Tier, r); err != nil {
				s.Unproven = append(s.Unproven, RefusedRule{Rule: r, Reason: err.Error()})
			} else {
				s.Proven = append(s.Proven, r)
			}
		}
		if ctx.Err() != nil {
			return p.Tier(), ctx.Err()
		}
	}
	if s.Tier == SignalTier {
		if err := c.proveGuard(ctx); err != nil {
			s.NoFanotify = err.Error()
		} else {
			s.Fanotify = true
		}
	}
	p.setStanding(s)
	return s, nil
}

// setStanding makes what was found known, and detaches what is of another tier. Where nothing was
// seen to work all stays: it may be the canary that is in trouble, and what was held is to stay held.
func (p *Probe) setStanding(s Standing) {
	e := &p.enforce
	e.mu.Lock()
	defer e.mu.Unlock()
	e.standing = s
	if s.Tier == DetectOnly {
		return
	}
	for name, a := range e.programs {
		if tier, _, ok := strings.Cut(name, "/"); ok && Tier(tier) != s.Tier {
			_ = a.close() // what enforces nothing does no harm if it stays
			delete(e.programs, name)
		}
	}
}

// hold attaches what a rule takes, and lets the canary break it.
func (p *Probe) hold(ctx context.Context, c *canary, tier Tier, r Rule) error {
	programs := programsOf[r]
	if tier == SignalTier {
		if !slices.Contains(execRules, r) {
			return errors.New("processes can only be killed for what they run here, not be refused anything")
		}
		programs = []string{"kill_exec"}
	}
	for _, name := range []string{"arm_exec", "arm_fork"} {
		if err := p.attachEnforce("", name); err != nil {
			return err
		}
	}
	for _, name := range programs {
		if err := p.attachEnforce(tier, name); err != nil {
			return err
		}
	}
	return c.prove(ctx, tier, r)
}

// attachEnforce attaches one program of a tier, those of no tier being needed by several.
func (p *Probe) attachEnforce(tier Tier, program string) error {
	e := &p.enforce
	e.mu.Lock()
	defer e.mu.Unlock()
	name := program
	if tier != "" {
		name = string(tier) + "/" + program
	}
	if e.programs[name] != nil {
		return nil
	}
	h := hook{
		name: name, pinned: enforceMaps, load: func() (*ebpf.CollectionSpec, error) { return e.spec(tier) },
		rodata: map[string]any{"overlay_lower": overlayLower(), "node_mnt_ns": p.options.NodeMounts, "agent_pid": uint32(os.Getpid())}, //nolint:gosec // small
		programs: func(*ebpf.CollectionSpec) []string {
			return []string{program}
		},
		attach: func(_ string, prog *ebpf.Program) ([]link.Link, error) {
			var l link.Link
			var err error
			if tier == LSM {
				l, err = link.AttachLSM(link.LSMOptions{Program: prog})
			} else {
				l, err = link.AttachTracing(link.TracingOptions{Program: prog})
			}
			if err != nil {
				return nil, err
			}
			return []link.Link{l}, nil
		},
	}
	a, err := p.start(h)
	if err != nil {
		return fmt.Errorf("%s: %w", program, explain(err))
	}
	e.programs[name] = a
	return nil
}

// spec returns the programs of a tier, which are read once.
func (e *enforcer) spec(tier Tier) (*ebpf.CollectionSpec, error) {
	if e.specs[tier] == nil {
		spec, err := map[Tier]func() (*ebpf.CollectionSpec, error){
			LSM: loadEnforceLSM, FmodRet: loadEnforceFmod, SignalTier: loadEnforceSignal, DetectOnly: loadEnforceArm,
		}[tier]()
		if err != nil {
			return nil, err
		}
		e.specs[tier] = spec
	}
	return e.specs[tier].Copy(), nil
}

// recursions counts the runs of enforcing programs that the kernel left out.
func (p *Probe) recursions() uint64 {
	p.enforce.mu.Lock()
	defer p.enforce.mu.Unlock()
	var n uint64
	for a := range maps.Values(p.enforce.programs) {
		for _, prog := range a.coll.Programs {
			if info, err := prog.Stats(); err == nil {
				n += info.RecursionMisses
			}
		}
	}
	return n
}
