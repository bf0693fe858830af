package cli

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"seawall.io/seawall/internal/netpol"
	"seawall.io/seawall/internal/reach"
)

// reachAnswer is the answer to `net reach` about one port, or, without Port,
// about all of them.
type reachAnswer struct {
	answerSource
	CNI      string        `json:"cni,omitempty"`
	From     string        `json:"from"`
	To       string        `json:"to"`
	Port     uint16        `json:"port,omitempty"`
	Protocol string        `json:"protocol,omitempty"`
	Answer   *reach.Answer `json:"answer,omitempty"`
	Egress   *reach.Answer `json:"egress,omitempty"`
	Ingress  *reach.Answer `json:"ingress,omitempty"`
	Ports    *netPorts     `json:"ports,omitempty"`
	Reasons  []netReason   `json:"reasons,omitempty"`
	Parts    []reachPart   `json:"parts,omitempty"`

	verdict *reach.Verdict
	ports   *reach.Ports
}

type reachPart struct {
	Answer  reach.Answer   `json:"answer"`
	Ranges  []netip.Prefix `json:"ranges"`
	Reasons []netReason    `json:"reasons"`
}

func newNetReach(env *Env) *cobra.Command {
	var n netFlags
	cmd := &cobra.Command{
		Use:   "reach FROM TO[:PORT[/PROTOCOL]]",
		Short: "Say whether FROM can connect to TO, and which policies decide",
		Long: `Say whether FROM can connect to TO, and which policies decide.

FROM and TO are namespace/name of a pod or workload, namespace/kind/name (a
Service too, as shop/svc/web), an address, a range of addresses, internet,
metadata, apiserver or node. Ports are those of the pods; with a Service, the
Service's. Without a port, all ports are told, and the declared ones explained.

Exit code: 0 whatever the answer; 2 the command or the job failed; 3 something
that may decide could not be read (0 with --allow-incomplete).`,
		Example: `  seawall net reach shop/web shop/db:5432 -t deploy/
  seawall net reach shop/deploy/web internet:443 -t snapshot:cluster.tar.zst
  seawall net reach 203.0.113.7 shop/svc/web:80 --cni calico`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("want FROM and TO: `seawall net reach --help` says how they are named")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := n.read(cmd.Context(), env)
			if err != nil {
				return err
			}
			answers, err := r.reach(args[0], args[1])
			if err != nil {
				return err
			}
			return n.finish(env, r.reading, struct {
				answerHead
				Answers []*reachAnswer `json:"answers"`
			}{n.head(r.holes, r.notes), answers}, reachTable(answers))
		},
	}
	n.register(cmd)
	return cmd
}

// reach asks every cluster that has both ends.
func (r *netReading) reach(fromName, toName string) ([]*reachAnswer, error) {
	var out []*reachAnswer
	var missing error
	if name, port := reach.SplitPort(fromName); port != "" {
		return nil, fmt.Errorf("%q: a connection comes from any port: leave out :%s and ask from %s", fromName, port, name)
	}
	name, port := reach.SplitPort(toName)
	for _, m := range r.models {
		from, err := m.Find(fromName)
		var to *reach.Target
		if err == nil {
			to, err = m.Find(name)
		}
		if errors.Is(err, reach.ErrNotFound) && len(r.models) > 1 {
			missing = err
			continue
		}
		if err != nil {
			return nil, err //nolint:wrapcheck // it says what was looked for
		}
		decided := map[*netpol.Policy]bool{}
		for _, a := range from.Peers {
			for _, b := range to.Peers {
				answers, err := r.ask(m, a, b, to, port)
				if err != nil {
					return nil, err
				}
				for _, answer := range answers {
					if answer.verdict != nil && (answer.verdict.Answer == reach.Unknown || answer.verdict.Answer == reach.Partly) {
						for _, reason := range answer.verdict.Reasons {
							decided[reason.Policy] = true
						}
					}
				}
				out = append(out, answers...)
			}
		}
		r.unread(m, func(p *netpol.Policy) bool { return decided[p] })
	}
	if len(out) == 0 {
		return nil, missing
	}
	return out, nil
}

// ask asks about a port, or about all, and then about each that is declared.
func (r *netReading) ask(m *reach.Model, from, to reach.Peer, target *reach.Target, port string) ([]*reachAnswer, error) {
	base := reachAnswer{answerSource: sourceOf(r.of[m]), CNI: m.CNI().Name, From: from.String(), To: to.String()}
	about := func(p reach.Port) *reachAnswer {
		a, v := base, m.Connect(from, to, p)
		a.Port, a.Protocol, a.verdict = p.Number, p.Protocol.String(), &v
		a.Answer, a.Egress, a.Ingress, a.Reasons = &v.Answer, &v.Egress, &v.Ingress, netReasons(v.Reasons)
		for _, part := range v.Parts {
			a.Parts = append(a.Parts, reachPart{part.Answer, part.Ranges, netReasons(part.Reasons)})
		}
		return &a
	}
	if port != "" {
		p, err := m.Port(target, to, port)
		if err != nil {
			return nil, err //nolint:wrapcheck // it names the port
		}
		return []*reachAnswer{about(p)}, nil
	}
	all := base
	all.ports = m.Ports(from, to)
	ports := portsOf(all.ports)
	all.Ports = &ports
	out := []*reachAnswer{&all}
	list := m.Declared(target, to)
	if len(list) == 0 {
		list = []reach.Port{sample(all.ports)}
	}
	// What is not known is explained, wherever it is.
	for _, r := range all.ports.Ranges() {
		first := reach.Port{Protocol: r.Protocol, Number: r.First}
		if r.Answer == reach.Unknown && !slices.ContainsFunc(list, func(p reach.Port) bool { return all.ports.At(p) == reach.Unknown }) {
			list = append(list, first)
		}
	}
	for _, p := range list {
		out = append(out, about(p))
	}
	return out, nil
}

// sample returns a port to explain where none is declared: the first that is
// reached, or any.
func sample(p *reach.Ports) reach.Port {
	for _, r := range p.Ranges() {
		return reach.Port{Protocol: r.Protocol, Number: r.First}
	}
	return reach.Port{Number: 443}
}

func reachTable(answers []*reachAnswer) string {
	var b strings.Builder
	bySource(&b, answers, func(a *reachAnswer) {
		if a.ports != nil {
			fmt.Fprintf(&b, "%s -> %s: %s\n", a.From, a.To, a.ports)
			return
		}
		fmt.Fprintf(&b, "%s -> %s:%d/%s: %s\n", a.From, a.To, a.Port, a.Protocol, a.verdict.Answer)
		if len(a.verdict.Parts) == 0 {
			writeReasons(&b, "  ", a.verdict.Reasons)
			return
		}
		for _, part := range a.verdict.Parts {
			fmt.Fprintf(&b, "  %s: %s\n", part.Answer, part.Short())
			writeReasons(&b, "    ", part.Reasons)
		}
	})
	return b.String()
}

func writeReasons(b *strings.Builder, indent string, list []reach.Reason) {
	for _, r := range list {
		fmt.Fprintf(b, "%s%s\n", indent, reasonLine(r))
	}
}
