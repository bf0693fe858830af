package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/netpol"
	"seawall.io/seawall/internal/reach"
)

func newNet(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "net",
		Short: "Say who can connect to whom by the network policies, and why",
		Long: `Say who can connect to whom by the network policies, and why.

NetworkPolicy, ClusterNetworkPolicy, AdminNetworkPolicy and
BaselineAdminNetworkPolicy are read. Answers are allowed, denied, partly (some
addresses of several), depends (the APIs leave it to the network plugin: name it
with --cni) and unknown (something that decides was not read).`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newNetReach(env), newNetMatrix(env), newNetExposure(env), newNetGenerate(env), newNetVerify(env))
	return cmd
}

// netFlags are those of all questions about the network.
type netFlags struct {
	questionFlags
	cni string
}

func (n *netFlags) register(cmd *cobra.Command) {
	n.questionFlags.register(cmd.Flags())
	cmd.Flags().StringVar(&n.cni, "cni", "", "the network plugin, such as calico, cilium or flannel (default: the one whose DaemonSet is there)")
}

// netReading is what answers about the network rest on.
type netReading struct {
	*reading
	models []*reach.Model
	of     map[*reach.Model]*cluster.Snapshot
}

func (n *netFlags) read(ctx context.Context, env *Env, formats ...string) (*netReading, error) {
	plugin, err := reach.Plugin(n.cni)
	if err != nil {
		return nil, fmt.Errorf("--cni: %w", err)
	}
	read, err := n.questionFlags.read(ctx, env, formats...)
	if err != nil {
		return nil, err
	}
	r := &netReading{reading: read, of: map[*reach.Model]*cluster.Snapshot{}}
	for _, s := range r.snapshots {
		m := reach.Of(s)
		if n.cni != "" {
			m = reach.With(s, plugin)
		}
		r.models = append(r.models, m)
		r.of[m] = s
		r.noteModel(m)
	}
	return r, nil
}

// noteModel says what an answer rests on beside the policies.
func (r *netReading) noteModel(m *reach.Model) {
	add := func(format string, args ...any) { r.note(fmt.Sprintf(format, args...)) }
	cni := m.CNI()
	switch {
	case len(m.Policies().Policies()) == 0:
		add("no network policy was read: everything is allowed")
	case cni.Name == "":
		add("the network plugin is not known: it is taken to enforce all policies; name it with --cni")
	case cni.Enforces == reach.Denied:
		add("%s enforces no network policies: those that are there have no effect%s", cni.Name, seenBy(cni))
	default:
		add("network plugin: %s%s", cni.Name, seenBy(cni))
	}
	if !isCluster(r.of[m]) {
		add("read from files: policies and pods that are elsewhere are not in the answer")
	}
}

func seenBy(cni reach.CNI) string {
	if cni.From == "" {
		return ""
	}
	return " (" + cni.From + ")"
}

// unread counts policies that could not be judged as holes, those that count
// accepts.
func (r *netReading) unread(m *reach.Model, count func(*netpol.Policy) bool) {
	for _, p := range m.Problems() {
		switch {
		case p.Policy != nil && !count(p.Policy):
		case p.Unread:
			hole := seawall.Incomplete{Reason: p.Text}
			if p.Policy != nil {
				hole = seawall.Incomplete{Location: p.Policy.Object.Locate(p.Path), Reason: reach.PolicyName(p.Policy) + ": " + p.Text}
			}
			r.holes = append(r.holes, hole)
		default:
			r.notes = append(r.notes, reach.PolicyName(p.Policy)+" "+p.Text)
		}
	}
}

// netReason is a reach.Reason in output.
type netReason struct {
	Direction string            `json:"direction"`
	Policy    *netPolicy        `json:"policy,omitempty"`
	Path      string            `json:"path,omitempty"`
	Location  *seawall.Location `json:"location,omitempty"`
	Text      string            `json:"text"`
}

type netPolicy struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
}

func netReasons(list []reach.Reason) []netReason {
	out := []netReason{}
	for _, r := range list {
		n := netReason{Direction: r.Direction.String(), Path: r.Path, Text: r.Text}
		if r.Policy != nil {
			o := r.Policy.Object
			n.Policy = &netPolicy{o.APIVersion, o.Kind, o.Namespace, o.Name}
			if loc := o.Locate(r.Path); loc.File != "" {
				n.Location = &loc
			}
		}
		out = append(out, n)
	}
	return out
}

// reasonLine is a reason for people, with the place where its policy stands.
func reasonLine(r reach.Reason) string {
	if r.Policy == nil {
		return r.String()
	}
	loc := r.Policy.Object.Locate(r.Path)
	if loc.File == "" {
		return r.String()
	}
	return fmt.Sprintf("%s (%s:%d)", r, loc.File, loc.Line)
}

// netPorts are ports by answer, those that are denied left out.
type netPorts struct {
	Allowed []netRange `json:"allowed,omitempty"`
	Partly  []netRange `json:"partly,omitempty"`
	Depends []netRange `json:"depends,omitempty"`
	Unknown []netRange `json:"unknown,omitempty"`
}

type netRange struct {
	Protocol string `json:"protocol"`
	First    uint16 `json:"first"`
	Last     uint16 `json:"last"`
}

func portsOf(p *reach.Ports) netPorts {
	var out netPorts
	for _, r := range p.Ranges() {
		n := netRange{r.Protocol.String(), r.First, r.Last}
		switch r.Answer {
		case reach.Allowed:
			out.Allowed = append(out.Allowed, n)
		case reach.Partly:
			out.Partly = append(out.Partly, n)
		case reach.Depends:
			out.Depends = append(out.Depends, n)
		case reach.Unknown:
			out.Unknown = append(out.Unknown, n)
		case reach.Denied:
		}
	}
	return out
}
