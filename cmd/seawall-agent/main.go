//go:build linux

// Command seawall-agent is what runs on every node: see package agent.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	runtimechecks "seawall.io/seawall/checks/runtime"
	"seawall.io/seawall/internal/agent"
	"seawall.io/seawall/internal/agents"
	"seawall.io/seawall/internal/cri"
	"seawall.io/seawall/internal/detect"
	"seawall.io/seawall/internal/evidence"
	"seawall.io/seawall/internal/kubeapi"
	"seawall.io/seawall/internal/probe"
	"seawall.io/seawall/internal/procfs"
	"seawall.io/seawall/internal/profile"
	"seawall.io/seawall/internal/respond"
)

// version is set by the linker in releases.
var version = "devel" //nolint:gochecknoglobals // the linker can set nothing else

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "seawall-agent: %v\n", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "api" {
		return api(ctx, args[1:])
	}
	return serve(ctx, args)
}

// api makes one request of the agent of this node, for who comes by exec: METHOD
// PATH, the body on standard input. A refusal goes to standard error.
func api(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("seawall-agent api", flag.ContinueOnError)
	socket := flags.String("socket", agents.SocketPath, "the agent's socket")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 2 {
		return errors.New("want METHOD PATH, such as GET /v1/status")
	}
	var body []byte
	if flags.Arg(0) != "GET" {
		var err error
		if body, err = io.ReadAll(io.LimitReader(os.Stdin, 1<<20)); err != nil {
			return err
		}
	}
	return agents.Local(*socket).Call(ctx, flags.Arg(0), flags.Arg(1), body, os.Stdout)
}

// settings are what the flags say.
type settings struct {
	node, state, socket, runtime, host, cgroups, mode, bpffs, exceptions string
	noCluster                                                            bool
	server, account                                                      string
	learn                                                                time.Duration
	approve                                                              string
	perWorkload, perNode                                                 int
	syscalls                                                             bool
}

func serve(ctx context.Context, args []string) error {
	var s settings
	flags := flag.NewFlagSet("seawall-agent", flag.ContinueOnError)
	flags.StringVar(&s.node, "node", os.Getenv("NODE_NAME"), "name of the node in the cluster (default: $NODE_NAME, else the host's name)")
	flags.StringVar(&s.state, "state", "/var/lib/seawall", "folder for what must survive the agent")
	flags.StringVar(&s.socket, "socket", agents.SocketPath, "unix socket to answer on")
	flags.StringVar(&s.runtime, "runtime", "", "socket of the container runtime (default: the first of containerd's, CRI-O's and cri-dockerd's that there is)")
	flags.StringVar(&s.host, "host", "/", "where the node's root is mounted, for sockets, logs and layers; parent is the root of the process that started the agent, where nodes share a machine")
	flags.StringVar(&s.cgroups, "cgroup-root", "", "the part of the control groups that is the node's, where nodes share a kernel (kind, k3d): what happens outside is left to others")
	flags.StringVar(&s.mode, "mode", string(agent.AlertOnly), "what to do in namespaces without the label "+agent.LabelMode+": observe, alert, prevent or contain")
	flags.StringVar(&s.bpffs, "pins", "/sys/fs/bpf/seawall", "folder of a bpf file system for what must outlive the agent")
	flags.StringVar(&s.exceptions, "exceptions", "", "file of exceptions for runtime checks")
	flags.BoolVar(&s.noCluster, "no-cluster", false, "do without the API server: identities come from the runtime alone, and responses stop at the node")
	flags.StringVar(&s.server, "apiserver", "", "address of the API server (default: that of the pod)")
	flags.StringVar(&s.account, "account", kubeapi.AccountDir, "folder with the ca.crt and token of the agent's account")
	flags.DurationVar(&s.learn, "learn", 10*time.Minute, "how long nothing new must come until a workload counts as known")
	flags.BoolVar(&s.syscalls, "syscalls", false, "record the system calls of containers until they count as known; every call of the node is then some 0.2 µs slower")
	flags.StringVar(&s.approve, "approve", "", "namespaces, separated by commas, whose automatic containments wait for approval; * is all")
	flags.IntVar(&s.perWorkload, "contain-per-workload", 1, "how many pods of one workload are contained of the agent's own accord within 10 minutes")
	flags.IntVar(&s.perNode, "contain-per-node", 3, "how many pods of the node are contained of the agent's own accord within 10 minutes")
	uninstall := flags.Bool("uninstall", false, "remove all that agents left in the kernel, isolation of pods included, print it, and exit")
	showVersion := flags.Bool("version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if *showVersion {
		_, err := fmt.Fprintln(os.Stdout, versionText())
		return err
	}
	if *uninstall {
		removed, err := probe.Uninstall(s.bpffs)
		for _, pin := range removed {
			if _, err := fmt.Fprintln(os.Stdout, "removed", pin); err != nil {
				return err
			}
		}
		if err == nil && len(removed) == 0 {
			_, err = fmt.Fprintln(os.Stdout, "nothing is pinned in", s.bpffs)
		}
		return err
	}
	return start(ctx, &s)
}

func versionText() string {
	if info, ok := debug.ReadBuildInfo(); ok && version == "devel" && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return version
}

func start(ctx context.Context, s *settings) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if s.node == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("--node is not set, and the host has no name: %w", err)
		}
		s.node = host
	}
	if s.host == "parent" {
		s.host = fmt.Sprintf("/proc/%d/root", os.Getppid())
	}
	if err := enterNodeCgroups(); err != nil {
		log.Warn("groups of other processes may not be told", "error", err)
	}
	if s.perWorkload < 1 || s.perNode < 1 {
		return errors.New("--contain-per-workload and --contain-per-node take 1 or more; --mode=alert contains nothing")
	}
	mode, err := agent.ParseMode(s.mode)
	if err != nil {
		return fmt.Errorf("--mode: %w", err)
	}
	rules, err := runtimechecks.Rules()
	if err != nil {
		return err
	}
	o := agent.Options{
		Node: s.node, Version: versionText(), Rules: rules, Mode: mode, State: s.state, Syscalls: s.syscalls, CgroupRoot: s.cgroups, Log: log, Links: probe.HostLinks,
		Profile: profile.Options{Quiet: s.learn}, Budget: respond.Budget{Approve: strings.FieldsFunc(s.approve, func(r rune) bool { return r == ',' }), PerWorkload: s.perWorkload, PerNode: s.perNode},
	}
	if s.exceptions != "" {
		text, err := os.ReadFile(s.exceptions)
		if err != nil {
			return fmt.Errorf("reading exceptions: %w", err)
		}
		if o.Detect.Exceptions, err = detect.ParseExceptions(s.exceptions, text); err != nil {
			return err
		}
	}
	if o.Proc, err = procfs.Open("/proc"); err != nil {
		return err
	}
	if o.Cgroups, err = procfs.OpenCgroups("/sys/fs/cgroup", o.Proc); err != nil {
		return err
	}
	if s.runtime == "" {
		if s.runtime, err = cri.Find(s.host); err != nil {
			log.Warn("no container runtime", "error", err)
		}
	}
	client, err := cri.Dial(s.runtime)
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // it only asked
	o.Runtime = client
	if !s.noCluster {
		if s.server != "" {
			o.Cluster, err = kubeapi.New(s.server, s.account)
		} else {
			o.Cluster, err = kubeapi.InPod()
		}
		if err != nil {
			return fmt.Errorf("%w; --no-cluster does without the API server", err)
		}
	}
	sensor, err := probe.Open(probe.Options{Pins: s.bpffs})
	if err != nil {
		return err
	}
	defer sensor.Close() //nolint:errcheck // the kernel closes what is left
	o.Sensor, o.Kernel, o.Enforcer = sensor, sensor, sensor
	for _, m := range sensor.Coverage().Missing {
		log.Warn("not seen", "what", m.Sees, "hook", m.Hook, "reason", m.Reason)
	}
	o.Evidence, err = evidence.NewStore(evidence.Options{Dir: filepath.Join(s.state, "evidence"), Root: s.host})
	if err != nil {
		return err
	}
	a, err := agent.New(o)
	if err != nil {
		return err
	}
	serving := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		err := a.Serve(ctx, s.socket)
		if err != nil {
			cancel()
		}
		serving <- err
	}()
	log.Info("watching", "node", s.node, "kernel", sensor.Coverage().Kernel, "hooks", sensor.Coverage().Hooks, "mode", s.mode)
	err = a.Run(ctx)
	cancel()
	return errors.Join(err, <-serving, a.Close())
}
