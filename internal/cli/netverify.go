package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/netgen"
	"seawall.io/seawall/internal/netpol"
	"seawall.io/seawall/internal/reach"
	"seawall.io/seawall/internal/scan"
)

// verifyAnswer is what `net verify` says of a change of policies.
type verifyAnswer struct {
	answerHead
	Changes []netChange `json:"changes"`
	// Broken are declared connections that the change denies, Doubtful those that
	// are no longer sure.
	Broken   []netDoubt `json:"broken"`
	Doubtful []netDoubt `json:"doubtful"`
}

type netChange struct {
	From     []string     `json:"from"`
	To       []string     `json:"to"`
	Protocol string       `json:"protocol"`
	First    uint16       `json:"first"`
	Last     uint16       `json:"last"`
	Before   reach.Answer `json:"before"`
	After    reach.Answer `json:"after"`
}

func newNetVerify(env *Env) *cobra.Command {
	var n netFlags
	var with, without []string
	var denyNew bool
	var dns string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Say what a change of network policies would newly allow, and newly break",
		Long: `Say what a change of network policies would newly allow, and newly deny.

--with names files of policies that would be applied: they are added, or take the
place of those of the same kind, namespace and name. --without names policies
that would be deleted, as KIND/NAMESPACE/NAME, or KIND/NAME for the whole
cluster's. Nothing is applied.

Exit code: 0 done; 1 a connection that the manifests declare would break, or,
with --deny-new, one would be newly allowed; 2 the command or the job failed; 3
something could not be read, or whether a declared connection holds is in doubt
(0 with --allow-incomplete).`,
		Example: "  seawall net generate -t deploy/ > policies.yaml\n  seawall net verify -t cluster --with policies.yaml\n  seawall net verify -t deploy/ --without NetworkPolicy/shop/allow-all",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(with)+len(without) == 0 {
				return errors.New("nothing would change: name policies with --with FILE or --without KIND/NAMESPACE/NAME")
			}
			r, before, err := n.readOne(cmd.Context(), env)
			if err != nil {
				return err
			}
			a, err := n.alteration(cmd.Context(), env, with, without)
			if err != nil {
				return err
			}
			after, err := a.Apply(r.of[before])
			if err != nil {
				return err //nolint:wrapcheck // it names the policy
			}
			m := reach.With(after, before.CNI())
			c := netgen.Compare(before, m, r.of[before], dns)
			r.notes = append(r.notes, c.Declared.Notes...)
			return n.verified(env, r, m, c, denyNew)
		},
	}
	n.register(cmd)
	f := cmd.Flags()
	f.StringArrayVar(&with, "with", nil, "file or folder of policies that would be applied (repeatable)")
	f.StringArrayVar(&without, "without", nil, "policy that would be deleted, as KIND/NAMESPACE/NAME (repeatable)")
	f.BoolVar(&denyNew, "deny-new", false, "exit with 1 if anything is newly allowed")
	f.StringVar(&dns, "dns-namespace", "", "the namespace of the name service (default: kube-system)")
	return cmd
}

// alteration reads the policies that would be put and taken away. What cannot be
// read of them cannot be judged, so that it is an error.
func (n *netFlags) alteration(ctx context.Context, env *Env, with, without []string) (*netgen.Alteration, error) {
	a := &netgen.Alteration{}
	for _, text := range without {
		parts := strings.Split(text, "/")
		o := seawall.Object{Kind: parts[0]}
		switch len(parts) {
		case 2:
			o.Name = parts[1]
		case 3:
			o.Namespace, o.Name = parts[1], parts[2]
		default:
			return nil, fmt.Errorf("--without %q: want KIND/NAMESPACE/NAME, such as NetworkPolicy/shop/web", text)
		}
		a.Without = append(a.Without, o)
	}
	if len(with) == 0 {
		return a, nil
	}
	read, err := scan.Read(ctx, *n.target(env, with))
	if err != nil {
		return nil, fmt.Errorf("--with: %w", err)
	}
	for _, hole := range read.Coverage.Incomplete {
		return nil, fmt.Errorf("--with: %s: %s", hole.Location, hole.Reason)
	}
	for _, s := range read.Snapshots {
		for _, p := range netpol.Of(s).Policies() {
			for _, f := range p.Faults() {
				return nil, fmt.Errorf("--with: %s: %s: %s: %w", p.Object.Locate(f.Path), reach.PolicyName(p), f.Path, f.Err)
			}
			if p.Err != nil {
				return nil, fmt.Errorf("--with: %s: %s: its selector: %w", p.Object.Locate(p.Path), reach.PolicyName(p), p.Err)
			}
		}
		a.Put = append(a.Put, s.Objects...)
	}
	return a, nil
}

func (n *netFlags) verified(env *Env, r *netReading, after *reach.Model, c *netgen.Comparison, denyNew bool) error {
	r.unread(after, func(*netpol.Policy) bool { return true })
	for _, b := range c.Doubtful {
		r.holes = append(r.holes, seawall.Incomplete{Reason: fmt.Sprintf("%s was allowed, and is %s: %s", b.Need, b.Answer, b.Why)})
	}
	answer := &verifyAnswer{answerHead: n.head(r.holes, r.notes), Changes: []netChange{}, Broken: doubtsOf(c.Broken), Doubtful: doubtsOf(c.Doubtful)}
	text := ""
	if n.output == "json" {
		for d := range c.All() {
			for _, x := range d.Changes {
				answer.Changes = append(answer.Changes, netChange{d.From, d.To, x.Protocol.String(), x.First, x.Last, x.Before, x.After})
			}
		}
	} else {
		text = verifyTable(c)
	}
	err := n.finish(env, r.reading, answer, text)
	if len(c.Broken) > 0 || denyNew && c.Opens() {
		return &exitError{code: exitFindings}
	}
	return err
}

func doubtsOf(list []netgen.Broken) []netDoubt {
	out := []netDoubt{}
	for _, b := range list {
		before := b.Before
		out = append(out, netDoubt{needOf(b.Need), &before, b.Answer, b.Why})
	}
	return out
}

func verifyTable(c *netgen.Comparison) string {
	var b strings.Builder
	some := false
	list := func(title string, want func(*netgen.Change) bool, answers bool) {
		lines := changeLines(c.All(), want, answers)
		some = some || len(lines) > 0
		if len(lines) > 0 {
			fmt.Fprintf(&b, "%s:\n  %s\n", title, strings.Join(lines, "\n  "))
		}
	}
	list("newly allowed", func(x *netgen.Change) bool { return x.Opens() && x.After == reach.Allowed }, false)
	list("newly denied", func(x *netgen.Change) bool { return x.Closes() && x.Before == reach.Allowed }, false)
	list("changed in part, or in doubt", func(x *netgen.Change) bool {
		return (!x.Opens() || x.After != reach.Allowed) && (!x.Closes() || x.Before != reach.Allowed)
	}, true)
	if !some {
		b.WriteString("no connection changes\n")
	}
	if len(c.Broken) > 0 {
		b.WriteString("declared connections that would break:\n")
	}
	for _, x := range c.Broken {
		fmt.Fprintf(&b, "  %s (%s)\n", x.Need, x.Need.Use)
		for _, e := range x.Need.Evidence {
			fmt.Fprintf(&b, "    declared by %s\n", e)
		}
		fmt.Fprintf(&b, "    %s\n", x.Why)
	}
	return b.String()
}

// changeLines folds changes, which are in the order of their ends: one line for each
// source, answer and set of ports.
func changeLines(all iter.Seq[netgen.Difference], want func(*netgen.Change) bool, answers bool) []string {
	type key struct{ from, ports string }
	type line struct {
		from, to []string
		ports    string
	}
	var lines []*line
	at := map[key]*line{}
	known := map[*netgen.Change][]string{} // by the first of those that ends share
	var from []string
	source := ""
	for d := range all {
		texts, ok := known[&d.Changes[0]]
		if !ok {
			texts = portTexts(d.Changes, want, answers)
			known[&d.Changes[0]] = texts
		}
		if !sameNames(from, d.From) {
			from, source = d.From, strings.Join(d.From, ", ")
		}
		for _, text := range texts {
			l := at[key{source, text}]
			if l == nil {
				l = &line{from: from, ports: text}
				at[key{source, text}] = l
				lines = append(lines, l)
			}
			l.to = append(l.to, d.To...)
		}
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = fmt.Sprintf("%s -> %s: %s", shortNames(l.from), shortNames(l.to), l.ports)
	}
	return out
}

// sameNames is slices.Equal, at once for one list and itself.
func sameNames(a, b []string) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}

// portTexts lists the ports of changes, with answers one list for each before and
// after.
func portTexts(changes []netgen.Change, want func(*netgen.Change) bool, answers bool) []string {
	type turn struct{ before, after reach.Answer }
	var turns []turn
	ports := map[turn][]reach.Range{}
	for i := range changes {
		x := &changes[i]
		if !want(x) {
			continue
		}
		var t turn
		if answers {
			t = turn{x.Before, x.After}
		}
		if ports[t] == nil {
			turns = append(turns, t)
		}
		ports[t] = append(ports[t], reach.Range{Protocol: x.Protocol, First: x.First, Last: x.Last})
	}
	out := make([]string, len(turns))
	for i, t := range turns {
		if out[i] = mostPorts(ports[t]); answers {
			out[i] += fmt.Sprintf(" (%s -> %s)", t.before, t.after)
		}
	}
	return out
}

// mostPorts lists ports, or those that are missing where these are fewer.
func mostPorts(list []reach.Range) string {
	var missing []reach.Range
	for _, p := range [...]reach.Protocol{reach.TCP, reach.UDP, reach.SCTP} {
		next := 1
		for _, r := range list {
			if r.Protocol != p {
				continue
			}
			if int(r.First) > next {
				missing = append(missing, reach.Range{Protocol: p, First: uint16(next), Last: r.First - 1})
			}
			next = int(r.Last) + 1
		}
		if next <= 65535 {
			missing = append(missing, reach.Range{Protocol: p, First: uint16(next), Last: 65535})
		}
	}
	if len(missing) > 0 && len(missing) < len(list) {
		return "all but " + rangeList(missing)
	}
	return rangeList(list)
}
