// Package agent is what runs on every node: it reads the sensor's events, finds out
// whose they are, remembers what workloads do, judges, keeps alerts on disk, and
// contains pods where that is allowed. It works without the API server, without the
// container runtime and without anybody who listens; what it then lacks it says.
//
// One goroutine takes the events from the sensor through all steps, in the order in
// which they happened. Nothing on that way waits for a disk or a network: what does
// has a queue of its own, whose length is bounded and whose losses are counted.
package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cri"
	"seawall.io/seawall/internal/detect"
	"seawall.io/seawall/internal/evidence"
	"seawall.io/seawall/internal/kubeapi"
	"seawall.io/seawall/internal/probe"
	"seawall.io/seawall/internal/process"
	"seawall.io/seawall/internal/procfs"
	"seawall.io/seawall/internal/profile"
	"seawall.io/seawall/internal/respond"
	"seawall.io/seawall/internal/spool"
)

// Sensor is where events come from: package probe, or a recording.
type Sensor interface { //nolint:interfacebloat // one thing with one implementation, which tests replace
	Poll(f func(*seawall.Event)) error
	Coverage() probe.Coverage
	Ledger() (probe.Ledger, error)
	// Processes lists those that run, exactly but for their arguments.
	Processes() ([]*seawall.Process, error)
	Watch(cgroup uint64, off []seawall.EventKind, flags probe.Interest) error
	Unwatch(cgroup uint64) error
	SetNamespaces(cgroup uint64, ns seawall.Namespaces) error
	WatchLink(index int) error
	Attach(hook string) error
	Detach(hook string) error
	Learn(cgroup uint64) error
	Unlearn(cgroup uint64) error
	Syscalls(cgroup uint64) (made, denied []string, err error)
}

// Options of an Agent. Sensor, Rules, Runtime and State must be set.
type Options struct {
	Node    string
	Version string // of Seawall
	Sensor  Sensor
	Rules   []*check.Rule
	Detect  detect.Options
	Profile profile.Options
	// Runtime describes containers; Cgroups and Proc are the node's own.
	Runtime cri.Describer
	Cgroups *procfs.Cgroups
	Proc    *procfs.FS
	// CgroupRoot confines the agent to a part of the control groups, where several nodes
	// share a kernel: what happens outside is not the node's. Empty is all.
	CgroupRoot string
	// Links finds the node's ends of the network of a container, by its process.
	Links func(pid int) ([]int, error)
	// Cluster is nil where there is no API server to ask.
	Cluster *kubeapi.Client
	// Kernel and Evidence carry out responses; without Kernel, or Cgroups, none is.
	Kernel   respond.Kernel
	Evidence *evidence.Store
	Budget   respond.Budget
	// Mode is that of namespaces that say nothing themselves; Observe by default.
	Mode Mode
	// Enforcer prevents; without it nothing is prevented.
	Enforcer Enforcer
	// State is the folder for what must survive the agent.
	State string
	// Syscalls records the system calls of containers until their profiles are ready.
	// Every call of the node is then a little slower.
	Syscalls bool
	// Poll is how often the sensor is read; 10 ms by default.
	Poll time.Duration
	Log  *slog.Logger
}

// Mode says what Seawall may do in a namespace. Namespaces choose theirs by the
// label seawall.io/runtime.
type Mode string

// The modes, each with what the one before allows.
const (
	// Observe records what happens, and judges nothing.
	Observe Mode = "observe"
	// AlertOnly judges, and says what it found.
	AlertOnly Mode = "alert"
	// Prevent refuses what the workload's policy denies.
	Prevent Mode = "prevent"
	// ContainPods isolates pods when a check that asks for it fires.
	ContainPods Mode = "contain"
)

// ParseMode reads a mode.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case Observe, AlertOnly, Prevent, ContainPods:
		return m, nil
	}
	return "", fmt.Errorf("mode %q: want observe, alert, prevent or contain", s)
}

// Agent is the agent of one node.
type Agent struct {
	o         Options
	log       *slog.Logger
	processes *process.Table
	profiles  *profile.Book
	engine    *detect.Engine
	incidents detect.Incidents
	spool     *spool.Spool
	responder *respond.Responder
	hub       hub
	writer    *writer
	recent    recent
	resolver  *cri.Resolver
	backlog   *cri.Backlog
	pods      pods
	domain    domain
	group     uint64 // the agent's own control group, 0 where it is not known
	modes     modes
	prevent   prevention
	responses chan response
	began     time.Time

	own     chan *seawall.Event // events that the agent makes itself
	ownLost atomic.Uint64
	polls   atomic.Uint64
	late    atomic.Uint64 // polls that came more than a second after the one before
	events  atomic.Uint64
	foreign atomic.Uint64 // events of other nodes

	lossesTold uint64    // when losses were last looked at, ns since boot
	lossCounts [2]uint64 // what was told of each

	statusMu sync.Mutex
	engineSt detect.Stats
	tableSt  process.Stats
	problems map[string]string // what does not work, by part
}

// New prepares an agent: the state folder, the spool, the checks.
func New(o Options) (*Agent, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Poll == 0 {
		o.Poll = 10 * time.Millisecond
	}
	if o.Mode == "" {
		o.Mode = Observe
	}
	if err := os.MkdirAll(o.State, 0o700); err != nil {
		return nil, fmt.Errorf("making the agent's folder: %w", err)
	}
	o.Detect.Node = o.Node
	engine, err := detect.New(o.Rules, o.Detect)
	if err != nil {
		return nil, err
	}
	sp, err := spool.Open(filepath.Join(o.State, "spool.db"), spool.Options{})
	if err != nil {
		return nil, err
	}
	a := &Agent{
		o: o, log: o.Log, engine: engine, spool: sp, profiles: profile.NewBook(o.Profile), began: time.Now(),
		responses: make(chan response, 64), own: make(chan *seawall.Event, 4096), problems: map[string]string{},
	}
	find := func(uint32) (seawall.Cgroup, error) { return seawall.Cgroup{}, errors.ErrUnsupported }
	if o.Cgroups != nil {
		find = o.Cgroups.Of
		if g, err := o.Cgroups.Of(uint32(os.Getpid())); err == nil { //nolint:gosec // a PID
			a.group = g.ID
		}
	}
	a.domain = newDomain(o.CgroupRoot, find)
	a.resolver = cri.NewResolver(o.Runtime, &a.modes, o.Log, a.described)
	if o.Proc != nil {
		a.resolver.Namespaces = o.Proc.Namespaces
	}
	a.modes.told = func(uid string) {
		a.resolver.PodChanged(uid)
		a.hold(uid)
	}
	a.backlog = cri.NewBacklog(a.resolver)
	a.processes = process.New(process.Options{Container: a.resolver.Container})
	a.writer = newWriter(a)
	if o.Evidence != nil {
		o.Evidence.Events(a.recent.of)
	}
	a.modes.fallback = o.Mode
	if st := sp.Stats(); st.Damaged != "" {
		a.problem("spool", "the spool was damaged; it is kept as "+st.Damaged)
	}
	if err := a.loadProfiles(); err != nil {
		a.problem("profiles", err.Error())
	}
	if o.Kernel != nil && o.Cgroups != nil {
		ro := respond.Options{
			Node: o.Node, Kernel: o.Kernel, Freezer: freezer{o.Cgroups}, Budget: o.Budget, State: filepath.Join(o.State, "contained"),
			Record: func(act *seawall.Act) {
				a.writer.put("act", act.ID+"."+strconv.Itoa(len(act.Steps))+string(act.State), act.Time, act)
			},
		}
		if o.Cluster != nil {
			ro.Cluster = o.Cluster
		}
		if o.Evidence != nil {
			ro.Evidence = o.Evidence
		}
		if a.responder, err = respond.New(ro); err != nil {
			a.problem("contained", err.Error())
		}
	}
	return a, nil
}

// Run works until ctx ends. Only what makes the agent useless ends it earlier.
func (a *Agent) Run(ctx context.Context) error {
	var side sync.WaitGroup
	defer side.Wait()
	side.Go(func() { a.writer.run(ctx) })
	if a.o.Cluster != nil {
		side.Go(func() { a.followPods(ctx) })
		side.Go(func() { a.followNamespaces(ctx) })
	}
	if a.responder != nil {
		if a.o.Cluster != nil {
			side.Go(func() { a.responder.Run(ctx) })
		}
		side.Go(func() { a.respondLoop(ctx) })
	}
	side.Go(func() { a.keepProfiles(ctx) })
	if a.o.Enforcer != nil {
		side.Go(func() { a.prove(ctx) })
	}
	if a.o.Syscalls {
		side.Go(func() { a.learnSyscalls(ctx) })
	}

	// Events are on already: what starts while the lists are read is in both, which the
	// resolver and the table know.
	a.findGroups()
	a.unseen(a.findProcesses)
	tick := time.NewTicker(a.o.Poll)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			a.poll()
			a.deliver(a.engine.Flush())
			return nil
		case <-tick.C:
		}
		if time.Since(last) > time.Second {
			a.late.Add(1)
		}
		last = time.Now()
		a.poll()
	}
}

// poll takes what the sensor has through the pipeline.
func (a *Agent) poll() {
	a.polls.Add(1)
	if err := a.o.Sensor.Poll(a.take); err != nil {
		a.problem("events", "some could not be read: "+err.Error())
	}
	for range len(a.own) {
		a.take(<-a.own)
	}
	a.backlog.Due(time.Now(), a.judge)
	now := bootNow()
	a.deliver(a.engine.Advance(now))
	a.keepIncidents(a.incidents.Advance(now))
	a.tellLosses(now)
	if a.polls.Load()%64 == 0 {
		a.statusMu.Lock()
		a.engineSt, a.tableSt = a.engine.Stats(), a.processes.Stats()
		a.statusMu.Unlock()
	}
}

// unseen does something in which the agent reads more files than there is room for
// events of, since nobody takes them meanwhile: its own reading is not reported.
func (a *Agent) unseen(do func()) {
	if a.group == 0 {
		do()
		return
	}
	flags := probe.OfAgent
	if _, ok := a.resolver.Container(a.group); ok {
		flags |= probe.OfContainer
	}
	if err := a.o.Sensor.Watch(a.group, []seawall.EventKind{seawall.EventOpen}, flags); err != nil {
		a.problem("watch", "the sensor cannot be told of the agent itself: "+err.Error())
	}
	do()
	var err error
	if flags&probe.OfContainer != 0 {
		err = a.o.Sensor.Watch(a.group, nil, flags)
	} else {
		err = a.o.Sensor.Unwatch(a.group)
	}
	if err != nil {
		a.problem("watch", "the sensor cannot be told of the agent itself: "+err.Error())
	}
}

// findProcesses tells of the processes that there are: the kernel knows when they
// started, /proc what they were started with.
func (a *Agent) findProcesses() {
	exact, err := a.o.Sensor.Processes()
	if err != nil {
		a.problem("processes", "those that ran before the agent are known from /proc alone: "+err.Error())
	}
	// Parents first: what a runtime starts is told by what started it.
	slices.SortFunc(exact, func(x, y *seawall.Process) int {
		return cmp.Or(cmp.Compare(x.Start, y.Start), cmp.Compare(x.PID, y.PID))
	})
	for _, p := range exact {
		a.processes.Add(p)
	}
	if a.o.Proc == nil {
		return
	}
	list, err := a.o.Proc.List(a.o.Cgroups)
	if err != nil {
		a.problem("processes", "what ran before the agent is not wholly known: "+err.Error())
		return
	}
	a.processes.Sync(list.At, list.Processes)
	if n := len(list.Skipped); n > 0 {
		a.problem("processes", fmt.Sprintf("of those that ran before the agent %d things could not be read, the first: %s", n, list.Skipped[0]))
	}
}

// problem remembers what does not work, for the status; an empty text takes it back.
func (a *Agent) problem(part, text string) {
	a.statusMu.Lock()
	defer a.statusMu.Unlock()
	if text == "" {
		delete(a.problems, part)
		return
	}
	if a.problems[part] != text {
		a.log.Warn("something does not work", "part", part, "problem", text)
	}
	a.problems[part] = text
}

// Close writes what is left and closes the spool.
func (a *Agent) Close() error {
	a.resolver.Close()
	err := a.writer.flush()
	return errors.Join(err, a.saveProfiles(), a.spool.Close())
}

func (a *Agent) profilesFile() string { return filepath.Join(a.o.State, "profiles.json") }

func (a *Agent) loadProfiles() error {
	text, err := os.ReadFile(a.profilesFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var kept []*profile.Profile
	if err := json.Unmarshal(text, &kept); err != nil {
		return fmt.Errorf("%s: %w; profiles are learnt anew", a.profilesFile(), err)
	}
	a.profiles.Load(kept)
	return nil
}

func (a *Agent) saveProfiles() error {
	text, err := json.Marshal(a.profiles.Profiles())
	if err != nil {
		return err
	}
	file := a.profilesFile()
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func (a *Agent) keepProfiles(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := a.saveProfiles(); err != nil {
				a.problem("profiles", err.Error())
			} else {
				a.problem("profiles", "")
			}
		}
	}
}
