package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/netpol"
	"seawall.io/seawall/internal/reach"
)

// exposureAnswer is what one workload has to do with the world outside.
type exposureAnswer struct {
	answerSource
	CNI      string          `json:"cni,omitempty"`
	Workload string          `json:"workload"`
	Ingress  []exposureEntry `json:"ingress"`
	Egress   []exposureExit  `json:"egress"`
}

type exposureEntry struct {
	Through  string       `json:"through"`
	Object   string       `json:"object"`
	Service  string       `json:"service,omitempty"`
	Internal bool         `json:"internal,omitempty"`
	From     string       `json:"from,omitempty"`
	Listen   uint16       `json:"listen,omitempty"`
	Port     uint16       `json:"port"`
	Protocol string       `json:"protocol"`
	Answer   reach.Answer `json:"answer"`
	Reasons  []netReason  `json:"reasons"`

	parts []reach.Part
}

type exposureExit struct {
	To       string       `json:"to"`
	Peer     string       `json:"peer"`
	Port     uint16       `json:"port"`
	Protocol string       `json:"protocol"`
	Answer   reach.Answer `json:"answer"`
	Ports    netPorts     `json:"ports"`
	Reasons  []netReason  `json:"reasons"`

	parts []reach.Part
}

func newNetExposure(env *Env) *cobra.Command {
	var n netFlags
	var namespace string
	cmd := &cobra.Command{
		Use:   "exposure [WORKLOAD...]",
		Short: "Show what reaches workloads from outside the cluster, and what they reach there",
		Long: `Show by which ways traffic from outside the cluster reaches workloads (Services of
type LoadBalancer and NodePort, externalIPs, Ingresses, routes of the Gateway API
and of Istio, hostPort, hostNetwork), and whether network policies let it pass;
and what the workloads reach of the internet, the metadata service of clouds
(169.254.169.254), the API server and the cluster's name service.

Behind an Ingress or a Gateway it is the ingress controller that connects to the
pods; it is told by its labels.

Exit code: 0; 2 the command or the job failed; 3 something could not be read (0
with --allow-incomplete).`,
		Example: "  seawall net exposure -t deploy/\n  seawall net exposure shop/deploy/web --cni calico",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := n.read(cmd.Context(), env)
			if err != nil {
				return err
			}
			answers := []*exposureAnswer{}
			for _, m := range r.models {
				r.unread(m, func(*netpol.Policy) bool { return true })
				chosen, err := r.workloads(m, args, namespace)
				if err != nil {
					return err
				}
				for _, t := range chosen {
					answers = append(answers, r.exposure(m, t, n.output == "json"))
				}
			}
			if len(answers) == 0 {
				return fmt.Errorf("no workload was read from %s", strings.Join(n.targets, ", "))
			}
			return n.finish(env, r.reading, struct {
				answerHead
				Workloads []*exposureAnswer `json:"workloads"`
			}{n.head(r.holes, r.notes), answers}, exposureTable(answers))
		},
	}
	n.register(cmd)
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "", "show the workloads of this namespace only")
	return cmd
}

// workloads are those that the user names, or all.
func (r *netReading) workloads(m *reach.Model, names []string, namespace string) ([]*cluster.PodTemplate, error) {
	var out []*cluster.PodTemplate
	for _, name := range names {
		t, err := m.Find(name)
		if err != nil {
			return nil, err //nolint:wrapcheck // it names the workload
		}
		for _, p := range t.Peers {
			if p.Template() == nil {
				return nil, fmt.Errorf("%q is no workload", name)
			}
			out = append(out, p.Template())
		}
	}
	if len(names) > 0 {
		return out, nil
	}
	templates := r.of[m].Templates()
	for i := range templates {
		if namespace == "" || templates[i].Namespace() == namespace {
			out = append(out, &templates[i])
		}
	}
	return out, nil
}

// exposure asks about one workload. Reasons are only told in full, since in a
// large cluster they are the most of the answer.
func (r *netReading) exposure(m *reach.Model, t *cluster.PodTemplate, full bool) *exposureAnswer {
	reasons := func(v *reach.Verdict) []netReason {
		if !full {
			return nil
		}
		return netReasons(v.Reasons)
	}
	a := &exposureAnswer{
		answerSource: sourceOf(r.of[m]), CNI: m.CNI().Name, Workload: reach.Pod(t).String(),
		Ingress: []exposureEntry{}, Egress: []exposureExit{},
	}
	o := m.Outside(t)
	for _, e := range o.Entries {
		entry := exposureEntry{
			Through: string(e.Through), Object: objectName(e.Object), Internal: e.Internal, From: e.From, Listen: e.Listen,
			Port: e.Port.Number, Protocol: e.Port.Protocol.String(), Answer: e.Answer, Reasons: reasons(&e.Verdict),
			parts: e.Parts,
		}
		if e.Service != nil {
			entry.Service = e.Service.Name
		}
		a.Ingress = append(a.Ingress, entry)
	}
	for _, e := range o.Exits {
		a.Egress = append(a.Egress, exposureExit{
			To: e.To, Peer: e.Peer.String(), Port: e.Port.Number, Protocol: e.Port.Protocol.String(),
			Answer: e.Answer, Ports: portsOf(e.Ports), Reasons: reasons(&e.Verdict), parts: e.Parts,
		})
	}
	return a
}

func objectName(o *cluster.Object) string {
	name := o.Kind + " " + o.Name
	if o.Namespace != "" {
		name = o.Kind + " " + o.Namespace + "/" + o.Name
	}
	return name
}

// inParts tells what makes an answer partly so.
func inParts(parts []reach.Part) string {
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "\n    %s: %s", p.Answer, p.Short())
	}
	return b.String()
}

func exposureTable(answers []*exposureAnswer) string {
	var b strings.Builder
	bySource(&b, answers, func(a *exposureAnswer) {
		fmt.Fprintln(&b, a.Workload)
		if len(a.Ingress) == 0 {
			fmt.Fprintln(&b, "  from outside: no way leads here")
		}
		for _, e := range a.Ingress {
			fmt.Fprintf(&b, "  from outside: %s through %s", e.Answer, e.Object)
			if e.Through != "Ingress" && e.Through != "Gateway" && e.Through != "Istio" {
				fmt.Fprintf(&b, " (%s)", e.Through)
			}
			if e.Internal {
				fmt.Fprint(&b, " (private network)")
			}
			if e.Listen > 0 {
				fmt.Fprintf(&b, " at %d", e.Listen)
			}
			fmt.Fprintf(&b, ", to %d/%s, from %s%s\n", e.Port, e.Protocol, e.From, inParts(e.parts))
		}
		for _, e := range a.Egress {
			peer := ""
			if e.Peer != e.To {
				peer = " (" + e.Peer + ")"
			}
			fmt.Fprintf(&b, "  to %s%s: %s at %d/%s%s\n", e.To, peer, e.Answer, e.Port, e.Protocol, inParts(e.parts))
		}
	})
	return b.String()
}
