package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/spf13/pflag"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/agents"
	"seawall.io/seawall/internal/kube"
)

// agentSelector picks the agents' pods, as the chart labels them.
const agentSelector = "app.kubernetes.io/name=seawall-agent"

// agentFlags say which agents a command talks to.
type agentFlags struct {
	socket              string
	kubeconfig, context string
	namespace           string // of Seawall
	node                string
}

func (a *agentFlags) register(f *pflag.FlagSet) {
	f.StringVar(&a.socket, "agent", "", "socket of an agent on this machine (default: "+agents.SocketPath+", where there is one and no cluster is named)")
	f.StringVar(&a.kubeconfig, "kubeconfig", "", "kubeconfig file of the cluster (default: $KUBECONFIG, then ~/.kube/config)")
	f.StringVar(&a.context, "context", "", "context of the kubeconfig")
	f.StringVar(&a.namespace, "seawall-namespace", "seawall-system", "namespace that the agents run in")
}

func (a *agentFlags) registerNode(f *pflag.FlagSet) {
	f.StringVar(&a.node, "node", "", "ask the agent of this node only")
}

// local says whether the agent of this machine is meant.
func (a *agentFlags) local() bool {
	if a.socket != "" {
		return true
	}
	if a.kubeconfig != "" || a.context != "" {
		return false
	}
	_, err := os.Stat(agents.SocketPath)
	return err == nil
}

// all returns the agents that are meant: that of this machine, or those of all
// nodes of the cluster. notes names nodes whose agent is not ready.
func (a *agentFlags) all(ctx context.Context) (found []*agents.Agent, notes []string, err error) {
	if a.local() {
		socket := a.socket
		if socket == "" {
			socket = agents.SocketPath
		}
		return []*agents.Agent{agents.Local(socket)}, nil, nil
	}
	client, err := a.connect()
	if err != nil {
		return nil, nil, err
	}
	places, err := client.Places(ctx, a.namespace, agentSelector)
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // it names the cluster
	}
	for _, p := range places {
		switch {
		case a.node != "" && p.Node != a.node:
		case !p.Ready:
			notes = append(notes, fmt.Sprintf("the agent of node %s is not ready: what happens there is not shown", p.Node))
		default:
			found = append(found, remoteAgent(client, p))
		}
	}
	switch {
	case len(places) == 0:
		return nil, nil, fmt.Errorf("no pod with the label %s runs in namespace %s: install the agent (docs/runtime.md), or name its namespace with --seawall-namespace", agentSelector, a.namespace)
	case len(found) == 0 && a.node != "":
		return nil, nil, fmt.Errorf("node %s has no ready agent", a.node)
	case len(found) == 0:
		return nil, nil, errors.New(strings.Join(notes, "; "))
	}
	return found, notes, nil
}

func (a *agentFlags) connect() (*kube.Client, error) {
	return kube.Connect(kube.Options{Kubeconfig: a.kubeconfig, Context: a.context, Version: Version()}) //nolint:wrapcheck // it says what is wrong
}

func remoteAgent(client *kube.Client, p kube.PodPlace) *agents.Agent {
	return agents.Remote(p.Node, func(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) error {
		return client.Exec(ctx, p.Namespace, p.Name, "agent", args, in, out, errs)
	})
}

// of returns the agent of the node that a pod runs on.
func (a *agentFlags) of(ctx context.Context, namespace, pod string) (*agents.Agent, error) {
	if a.local() {
		found, _, err := a.all(ctx)
		if err != nil {
			return nil, err
		}
		return found[0], nil
	}
	client, err := a.connect()
	if err != nil {
		return nil, err
	}
	at, err := client.Place(ctx, namespace, pod)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the pod
	}
	if at.Node == "" {
		return nil, fmt.Errorf("pod %s/%s runs on no node yet", namespace, pod)
	}
	one := *a
	one.node = at.Node
	found, _, err := one.all(ctx)
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// each asks all agents at once and hands what they send to one function at a time.
// An agent that fails is told of and does not end the others, unless all fail.
func each[T any](ctx context.Context, found []*agents.Agent, ask func(context.Context, *agents.Agent, func(T) error) error, take func(*agents.Agent, T) error) []error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, a := range found {
		wg.Go(func() {
			err := ask(ctx, a, func(v T) error {
				mu.Lock()
				defer mu.Unlock()
				if err := take(a, v); err != nil {
					cancel() // nobody reads any more
					return err
				}
				return nil
			})
			if err != nil && ctx.Err() == nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errs
}

// failures turns what agents said into the end of a command.
func failures(env *Env, found []*agents.Agent, errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	if len(errs) == len(found) {
		return errors.Join(errs...)
	}
	for _, err := range errs {
		fmt.Fprintf(env.Stderr, "seawall: %v\n", err) //nolint:errcheck // nowhere is left to report it
	}
	return &exitError{exitIncomplete, nil}
}

// whoami is whom an act is recorded as asked for by.
func whoami(env *Env) string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		host, err := os.Hostname()
		if err != nil {
			return u.Username
		}
		return u.Username + "@" + host
	}
	return env.Getenv("USER")
}

// shown makes a text safe for a terminal and for one line: what a process calls
// itself may hold anything.
func shown(s string) string {
	for _, r := range s {
		if r == '"' || !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return strconv.Quote(s)
		}
	}
	return s
}

// place names where an event happened: shop/web-1/app, or the node.
func place(pod *seawall.Pod, container *seawall.Container, node string) string {
	switch {
	case pod != nil && container != nil && container.Name != "":
		return shown(pod.Namespace + "/" + pod.Name + "/" + container.Name)
	case pod != nil:
		return shown(pod.Namespace + "/" + pod.Name)
	case container != nil:
		return shown("container " + container.ID[:min(len(container.ID), 12)])
	case node != "":
		return shown("node " + node)
	}
	return "node"
}

// chain names a process and those it comes from.
func chain(p *seawall.Process, most int) string {
	var out []string
	for ; p != nil && len(out) < most; p = p.Parent {
		name := p.Exe
		if name == "" {
			name = p.Comm
		}
		if name == "" {
			break
		}
		out = append(out, fmt.Sprintf("%s[%d]", shown(name), p.PID))
	}
	return strings.Join(out, " < ")
}
