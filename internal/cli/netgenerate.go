package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/netgen"
	"seawall.io/seawall/internal/netpol"
	"seawall.io/seawall/internal/reach"
)

// generateAnswer is the set of policies that `net generate` writes as JSON.
type generateAnswer struct {
	answerHead
	Namespaces []string          `json:"namespaces"`
	Policies   []json.RawMessage `json:"policies"`
	Needs      []declaredNeed    `json:"needs"`
	Unproven   []netDoubt        `json:"unproven"`
	Beyond     []netBeyond       `json:"alreadyAllowed"`
	Replaced   []netPolicy       `json:"replaced"`
}

// declaredNeed is a connection that manifests declare.
type declaredNeed struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Port     uint16 `json:"port"`
	Protocol string `json:"protocol"`
	Use      string `json:"use"`
	// Likely says that the evidence allows for another meaning.
	Likely   bool          `json:"likely,omitempty"`
	Evidence []netEvidence `json:"evidence"`
}

type netEvidence struct {
	Object   *seawall.Object   `json:"object"`
	Location *seawall.Location `json:"location,omitempty"`
	Text     string            `json:"text"`
}

// netDoubt is a need with what the simulation says of it.
type netDoubt struct {
	declaredNeed
	Before *reach.Answer `json:"before,omitempty"`
	Answer reach.Answer  `json:"answer"`
	Why    string        `json:"why"`
}

type netBeyond struct {
	From  string     `json:"from"`
	To    string     `json:"to"`
	Ports []netRange `json:"ports"`
}

func newNetGenerate(env *Env) *cobra.Command {
	var n netFlags
	var o netgen.Options
	egress := true
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Write the network policies that the manifests need, proven by simulation",
		Long: `Write the network policies that the manifests need.

For each namespace that is a default deny, and what allows the connections that
manifests declare: the Services and hosts that variables, arguments and
ConfigMaps name, ways in from outside, look-up of names, webhooks, metrics,
members of a StatefulSet, and the API server for accounts with a binding. Ports
are those of the pods, and labels those that last. Each rule says what it is for.

The set is simulated before it is printed: each declared connection must be
allowed, and no other among pods. Policies that are there stay in force beside
it; what they allow beyond is told. Nothing is applied.

Exit code: 0 done; 2 the command failed, or the set did not pass; 3 the set is
printed, but some connection could not be read, allowed or proven (0 with
--allow-incomplete).`,
		Example: "  seawall net generate -t deploy/ > policies.yaml\n  seawall net generate -t cluster -n shop --egress=false",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n.output != "yaml" && n.output != "json" {
				return fmt.Errorf("--output %q: want yaml or json", n.output)
			}
			r, m, err := n.readOne(cmd.Context(), env, "yaml")
			if err != nil {
				return err
			}
			o.OpenEgress = !egress
			set, err := netgen.Generate(m, r.of[m], o)
			if err != nil {
				return err //nolint:wrapcheck // it says what did not pass
			}
			return n.generated(env, r, m, set)
		},
	}
	n.register(cmd)
	f := cmd.Flags()
	n.output, f.Lookup("output").DefValue, f.Lookup("output").Usage = "yaml", "yaml", "yaml or json"
	f.StringSliceVarP(&o.Namespaces, "namespace", "n", nil, "write policies for this namespace only (repeatable; default: all with workloads but the cluster's own)")
	f.BoolVar(&egress, "egress", true, "restrict what pods connect to, too")
	f.StringVar(&o.DNSNamespace, "dns-namespace", "", "the namespace of the name service (default: kube-system)")
	return cmd
}

// readOne reads targets that are one cluster, or files.
func (n *netFlags) readOne(ctx context.Context, env *Env, formats ...string) (*netReading, *reach.Model, error) {
	r, err := n.read(ctx, env, formats...)
	if err != nil {
		return nil, nil, err
	}
	switch len(r.models) {
	case 0:
		return nil, nil, errors.New("no objects were read: name a target with --target")
	case 1:
		return r, r.models[0], nil
	}
	return nil, nil, errors.New("policies are for one cluster at a time: name one with --target")
}

// generated writes a set, and beside it what it leaves open.
func (n *netFlags) generated(env *Env, r *netReading, m *reach.Model, set *netgen.Result) error {
	r.unread(m, func(*netpol.Policy) bool { return true })
	r.notes = slices.Concat(r.warnings, set.Notes)
	for _, g := range set.Gaps {
		r.holes = append(r.holes, g.Incomplete())
	}
	for _, d := range set.Unproven {
		r.holes = append(r.holes, seawall.Incomplete{Reason: fmt.Sprintf("%s is not proven: %s: %s", d.Need, d.Answer, d.Why)})
	}
	if n.output == "json" {
		answer := &generateAnswer{
			answerHead: n.head(r.holes, r.notes), Namespaces: set.Namespaces, Policies: []json.RawMessage{}, Needs: needsOf(set.Needs),
			Unproven: []netDoubt{}, Beyond: []netBeyond{}, Replaced: []netPolicy{},
		}
		for _, p := range set.Policies {
			answer.Policies = append(answer.Policies, p.Root.AppendJSON(nil))
		}
		for _, d := range set.Unproven {
			answer.Unproven = append(answer.Unproven, netDoubt{needOf(d.Need), nil, d.Answer, d.Why})
		}
		for _, b := range set.Beyond {
			answer.Beyond = append(answer.Beyond, netBeyond{b.From, b.To, rangesOf(b.Ports)})
		}
		for _, o := range set.Replaced {
			answer.Replaced = append(answer.Replaced, netPolicy{o.APIVersion, o.Kind, o.Namespace, o.Name})
		}
		return n.finish(env, r.reading, answer, "")
	}
	n.beside(env, r, set)
	return n.finish(env, r.reading, nil, string(set.YAML))
}

// beside tells what does not go into YAML.
func (n *netFlags) beside(env *Env, r *netReading, set *netgen.Result) {
	var b strings.Builder
	if !n.quiet {
		for _, note := range r.notes {
			fmt.Fprintf(&b, "note: %s\n", note)
		}
	}
	const most = 20
	for i, p := range set.Beyond {
		if i == most {
			fmt.Fprintf(&b, "already allowed: %d more: -o json lists them\n", len(set.Beyond)-most)
			break
		}
		fmt.Fprintf(&b, "already allowed, and not declared: %s -> %s: %s\n", p.From, p.To, rangeList(p.Ports))
	}
	for _, hole := range r.holes {
		fmt.Fprintf(&b, "not in it: %s\n", holeText(hole))
	}
	io.WriteString(env.Stderr, b.String()) //nolint:errcheck // the set is what counts
}

func needsOf(list []*netgen.Need) []declaredNeed {
	out := []declaredNeed{}
	for _, n := range list {
		out = append(out, needOf(n))
	}
	return out
}

func needOf(n *netgen.Need) declaredNeed {
	out := declaredNeed{
		From: n.From.String(), To: n.To.String(), Port: n.Port.Number, Protocol: n.Port.Protocol.String(),
		Use: string(n.Use), Likely: n.Likely, Evidence: []netEvidence{},
	}
	for _, e := range n.Evidence {
		out.Evidence = append(out.Evidence, evidenceOf(e.Object, e.Path, e.Text))
	}
	return out
}

func evidenceOf(o *cluster.Object, path, text string) netEvidence {
	e := netEvidence{Object: o.Object, Text: text}
	if loc := o.Locate(path); loc.File != "" {
		e.Location = &loc
	}
	return e
}

func rangesOf(list []reach.Range) []netRange {
	out := []netRange{}
	for _, r := range list {
		out = append(out, netRange{r.Protocol.String(), r.First, r.Last})
	}
	return out
}

// rangeList lists ranges for people: TCP 80, 8000-8100; UDP.
func rangeList(list []reach.Range) string {
	var parts []string
	whole := 0
	last := ""
	for _, r := range list {
		text := fmt.Sprintf("%d-%d", r.First, r.Last)
		switch {
		case r.First == r.Last:
			text = strconv.Itoa(int(r.First))
		case r.First == 1 && r.Last == 65535:
			text = ""
			whole++
		}
		if proto := r.Protocol.String(); proto == last {
			parts[len(parts)-1] += ", " + text
		} else {
			parts = append(parts, strings.TrimSpace(proto+" "+text))
			last = proto
		}
	}
	if whole == 3 {
		return "all"
	}
	return strings.Join(parts, "; ")
}
