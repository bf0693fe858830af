package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/isolation"
	"seawall.io/seawall/internal/scan"
)

// namespacesFlags are those of the command namespaces.
type namespacesFlags struct {
	targetFlags
	namespace, from, to string
	output              string
	system              bool
	allowIncomplete     bool
}

func newNamespaces(env *Env) *cobra.Command {
	var n namespacesFlags
	cmd := &cobra.Command{
		Use:   "namespaces [TARGET...]",
		Short: "Tell what separates each namespace from the others",
		Long: `Tell what separates each namespace from the others: what Pod Security enforces and
who may relabel the namespace, default deny and whether it is enforced, ways to
the metadata service and the API server, quotas, subjects that are bound across
namespaces, access to nodes; and from which namespaces an attacker comes to which.

Without a TARGET the current cluster is asked. --namespace shows one with its
evidence, --from with --to the likeliest path between two.`,
		Example: `  seawall namespaces
  seawall namespaces snapshot:cluster.tar.zst --namespace shop
  seawall namespaces deploy/ --from shop --to payments`,
		RunE: func(cmd *cobra.Command, targets []string) error {
			if err := oneOf(n.output, []string{"table", "json"}); err != nil {
				return err
			}
			if (n.from == "") != (n.to == "") {
				return fmt.Errorf("--from and --to go together: name both namespaces")
			}
			if len(targets) == 0 {
				targets = []string{"cluster"}
			}
			read, err := scan.Read(cmd.Context(), *n.target(env, targets))
			if err != nil {
				return err //nolint:wrapcheck // it names the target
			}
			return n.answer(env, targets, read)
		},
	}
	f := cmd.Flags()
	n.register(f)
	f.StringVarP(&n.namespace, "namespace", "n", "", "show this namespace with all that tells of it")
	f.StringVar(&n.from, "from", "", "with --to: show the likeliest path from the pods of this namespace")
	f.StringVar(&n.to, "to", "", "with --from: the namespace that the path leads to")
	f.BoolVar(&n.system, "system", false, "list the namespaces of Kubernetes itself, too")
	f.StringVarP(&n.output, "output", "o", "table", "table or json")
	f.BoolVar(&n.allowIncomplete, "allow-incomplete", false, "exit with 0 even if something could not be read")
	return cmd
}

// namespacesAnswer is the JSON of the command.
type namespacesAnswer struct {
	Version    string               `json:"version"`
	Targets    []string             `json:"targets"`
	Namespaces []namespaceView      `json:"namespaces,omitempty"`
	Witness    *seawall.Path        `json:"witness,omitempty"`
	Separate   *bool                `json:"separate,omitempty"`
	Unknown    []string             `json:"unknown,omitempty"`
	Incomplete []seawall.Incomplete `json:"incomplete,omitempty"`
	Notes      []string             `json:"notes,omitempty"`
}

type namespaceView struct {
	Cluster   string          `json:"cluster,omitempty"`
	Name      string          `json:"name"`
	System    bool            `json:"system,omitempty"`
	Aspects   []namespaceRow  `json:"aspects"`
	Reaches   []string        `json:"reaches"`
	ReachedBy []string        `json:"reachedBy"`
	view      *isolation.View // for the table
}

type namespaceRow struct {
	Aspect   string              `json:"aspect"`
	State    isolation.State     `json:"state"`
	Text     string              `json:"text"`
	Evidence []namespaceEvidence `json:"evidence,omitempty"`
}

type namespaceEvidence struct {
	Object   string           `json:"object"`
	Location seawall.Location `json:"location"`
}

func (n *namespacesFlags) answer(env *Env, targets []string, read *scan.Reading) error {
	g := attack.Build(read.Snapshots, attack.Options{})
	answer := namespacesAnswer{Version: Version(), Targets: targets, Unknown: g.Unknown, Incomplete: read.Coverage.Incomplete, Notes: read.Warnings}
	found, witness := n.namespace == "", n.from != ""
	known := map[string]bool{}
	for i, s := range read.Snapshots {
		separation := g.Separate(i)
		for _, ns := range separation.Namespaces {
			known[ns] = true
		}
		if witness {
			if p, goals, ok := separation.Witness(n.from, n.to); ok && answer.Witness == nil {
				described := g.Describe(&p, goals)
				answer.Witness = &described
			}
			continue
		}
		for _, v := range isolation.Of(s, separation) {
			known[v.Namespace] = true
			if n.namespace == v.Namespace || n.namespace == "" && (n.system || !v.System) {
				found = true
				answer.Namespaces = append(answer.Namespaces, viewOf(g.Clusters[i], &v))
			}
		}
	}
	for _, name := range []string{n.namespace, n.from, n.to} {
		if name != "" && !known[name] {
			return fmt.Errorf("no namespace %q in %s: there are %s", name, strings.Join(targets, ", "), strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	if !found {
		return fmt.Errorf("no object is in namespace %q", n.namespace)
	}
	if witness {
		separate := answer.Witness == nil
		answer.Separate = &separate
	}
	if err := n.write(env, &answer); err != nil {
		return err
	}
	if len(answer.Incomplete) > 0 && !n.allowIncomplete {
		return &exitError{code: exitIncomplete}
	}
	return nil
}

func viewOf(cluster string, v *isolation.View) namespaceView {
	out := namespaceView{Cluster: cluster, Name: v.Namespace, System: v.System, view: v, Reaches: []string{}, ReachedBy: []string{}}
	out.Reaches = append(out.Reaches, v.Reaches...)
	out.ReachedBy = append(out.ReachedBy, v.ReachedBy...)
	for _, r := range v.Rows {
		row := namespaceRow{Aspect: r.Aspect, State: r.State, Text: r.Text}
		for _, e := range r.Evidence {
			row.Evidence = append(row.Evidence, namespaceEvidence{e.Object.Subject().String(), e.Object.Locate(e.Path)})
		}
		out.Aspects = append(out.Aspects, row)
	}
	return out
}

func (n *namespacesFlags) write(env *Env, a *namespacesAnswer) error {
	if n.output == "json" {
		return writeJSON(env, a)
	}
	var b strings.Builder
	switch {
	case a.Separate != nil:
		n.writeWitness(&b, a)
	case n.namespace != "":
		for i := range a.Namespaces {
			writeNamespace(&b, &a.Namespaces[i])
		}
	default:
		if err := writeNamespaces(&b, a.Namespaces); err != nil {
			return err
		}
	}
	for _, u := range a.Unknown {
		fmt.Fprintf(&b, "not known: %s\n", u)
	}
	b.WriteString(remarks(a.Notes, a.Incomplete))
	if _, err := io.WriteString(env.Stdout, b.String()); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}

func (n *namespacesFlags) writeWitness(b *strings.Builder, a *namespacesAnswer) {
	if a.Witness == nil {
		fmt.Fprintf(b, "No path leads from the pods of %s to anything of %s.\n", n.from, n.to)
		return
	}
	fmt.Fprintf(b, "From %s to %s in %d steps, likelihood %.2f:\n", n.from, n.to, len(a.Witness.Steps), a.Witness.Likelihood)
	for i, s := range a.Witness.Steps {
		if i == 0 {
			fmt.Fprintf(b, "     %s\n", s.From.Name)
		}
		fmt.Fprintf(b, "  %d. %s [%s] => %s\n", i+1, s.Title, s.Primitive, s.To.Name)
		if s.Text != "" {
			fmt.Fprintf(b, "     %s\n", s.Text)
		}
	}
}

var stateMarks = map[isolation.State]string{isolation.Good: "+", isolation.Weak: "!", isolation.Open: "X", isolation.Unknown: "?"}

// writeNamespaces is one line for each namespace, the least separate first.
func writeNamespaces(b *strings.Builder, views []namespaceView) error {
	views = slices.Clone(views)
	open := func(v *namespaceView) (n int) {
		for _, r := range v.Aspects {
			switch r.State {
			case isolation.Open:
				n += 2
			case isolation.Weak:
				n++
			default:
			}
		}
		return n
	}
	slices.SortStableFunc(views, func(x, y namespaceView) int {
		return cmp.Or(len(y.Reaches)-len(x.Reaches), open(&y)-open(&x))
	})
	several := slices.ContainsFunc(views, func(v namespaceView) bool { return v.Cluster != views[0].Cluster })
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "NAMESPACE\tREACHES\tREACHED BY") //nolint:errcheck // a builder takes all
	for i := range isolation.Aspects {
		fmt.Fprintf(w, "\t%c", 'a'+i) //nolint:errcheck // a builder takes all
	}
	fmt.Fprintln(w) //nolint:errcheck // a builder takes all
	for i := range views {
		v := &views[i]
		name := v.Name
		if several {
			name = v.Cluster + "/" + name
		}
		fmt.Fprintf(w, "%s\t%d\t%d", name, len(v.Reaches), len(v.ReachedBy)) //nolint:errcheck // a builder takes all
		for _, r := range v.Aspects {
			fmt.Fprintf(w, "\t%s", stateMarks[r.State]) //nolint:errcheck // a builder takes all
		}
		fmt.Fprintln(w) //nolint:errcheck // a builder takes all
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	b.WriteString("\n+ good  ! weak  X open  ? not known\n")
	for i, aspect := range isolation.Aspects {
		end := "\n"
		if i%3 != 2 {
			end = strings.Repeat(" ", max(1, 24-len(aspect)))
		}
		fmt.Fprintf(b, "%c %s%s", 'a'+i, aspect, end)
	}
	b.WriteString("\n`--namespace NAME` says why, `--from A --to B` how an attacker comes from one to the other.\n")
	return nil
}

// writeNamespace is one namespace with its evidence.
func writeNamespace(b *strings.Builder, v *namespaceView) {
	const shown = 3
	b.WriteString(v.Name)
	if v.Cluster != "" {
		b.WriteString(" of " + v.Cluster)
	}
	b.WriteString("\n")
	for _, r := range v.Aspects {
		fmt.Fprintf(b, "  %s %-22s %s\n", stateMarks[r.State], r.Aspect, r.Text)
		for i, e := range r.Evidence {
			if i == shown {
				fmt.Fprintf(b, "    %-22s and %d more\n", "", len(r.Evidence)-shown)
				break
			}
			at := e.Object
			if e.Location.File != "" {
				at = e.Location.String() + " " + at
			}
			if e.Location.Path != "" {
				at += " " + e.Location.Path
			}
			fmt.Fprintf(b, "    %-22s at %s\n", "", at)
		}
	}
	if len(v.Reaches) > 0 {
		fmt.Fprintf(b, "  an attacker in its pods comes to %s\n", strings.Join(v.Reaches, ", "))
	} else {
		b.WriteString("  no path leads from its pods to another namespace\n")
	}
	if len(v.ReachedBy) > 0 {
		fmt.Fprintf(b, "  one in the pods of %s comes here\n", strings.Join(v.ReachedBy, ", "))
	}
}
