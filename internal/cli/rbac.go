package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
	"seawall.io/seawall/internal/scan"
)

func newRBAC(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rbac",
		Short: "Say who may do what, and which roles and bindings are of no use",
		Long: `Say who may do what, and which roles and bindings are of no use.

The answers are those of Kubernetes' RBAC authorizer. Of files, aggregated roles
are put together and the default roles are taken to be there.`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newWhoCan(env), newCan(env), newReview(env), newRBACPaths(env))
	return cmd
}

// What is to be said of every answer.
const (
	lowerBound = "RBAC alone: what a webhook, the Node authorizer or a cloud's IAM allows comes on top, and members of group system:masters may do everything"
	fromFiles  = "read from files: roles and bindings that are elsewhere are not in the answer; the defaults of Kubernetes " + rbac.DefaultsVersion + " are"
)

// rbacReading is what an answer rests on.
type rbacReading struct {
	*scan.Reading
	clusters []*cluster.Snapshot
	notes    []string
	holes    []seawall.Incomplete
}

// readRBAC reads the targets. Only what concerns may have been a part of the
// answer that could not be read.
func (q *questionFlags) readRBAC(ctx context.Context, env *Env, concerns func(seawall.Incomplete) bool) (*rbacReading, error) {
	if q.output != "table" && q.output != "json" {
		return nil, fmt.Errorf("--output %q: want table or json", q.output)
	}
	read, err := scan.Read(ctx, q.options(env))
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the target
	}
	r := &rbacReading{Reading: read, notes: []string{lowerBound}}
	for _, hole := range read.Coverage.Incomplete {
		if concerns(hole) {
			r.holes = append(r.holes, hole)
		}
	}
	for _, s := range read.Snapshots {
		if len(s.Objects) == 0 {
			continue // a cluster that could not be reached, which a hole says
		}
		r.clusters = append(r.clusters, s)
		if !isCluster(s) {
			r.note(fromFiles)
		}
	}
	if len(r.clusters) == 0 {
		return nil, fmt.Errorf("nothing could be read of %s: %s", strings.Join(q.targets, ", "), holeText(read.Coverage.Incomplete[0]))
	}
	if !q.quiet {
		for _, w := range read.Warnings {
			fmt.Fprintf(env.Stderr, "warning: %s\n", w) //nolint:errcheck // the answer is what counts
		}
	}
	return r, nil
}

// note adds what is to be said of the answer, once.
func (r *rbacReading) note(text string) {
	if text != "" && !slices.Contains(r.notes, text) {
		r.notes = append(r.notes, text)
	}
}

// isCluster says that a snapshot is of a cluster and not of files.
func isCluster(s *cluster.Snapshot) bool { return s.Whole || s.Version != "" }

// finish writes the answer and turns what it rests on into the exit code.
func (q *questionFlags) finish(env *Env, r *rbacReading, answer any, table func(*strings.Builder)) error {
	if q.output == "json" {
		if err := writeJSON(env, answer); err != nil {
			return err
		}
	} else {
		var b strings.Builder
		table(&b)
		r.remarks(&b)
		if _, err := io.WriteString(env.Stdout, b.String()); err != nil {
			return fmt.Errorf("writing the answer: %w", err)
		}
	}
	return q.verdict(&seawall.Coverage{Incomplete: r.holes})
}

// remarks writes for people what is to be said of an answer.
func (r *rbacReading) remarks(w *strings.Builder) {
	for _, n := range r.notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	if len(r.holes) > 0 {
		fmt.Fprintln(w, "at least this: not all could be read")
	}
	for _, hole := range r.holes {
		fmt.Fprintf(w, "  %s\n", holeText(hole))
	}
}

// holeText says for people what could not be read, and where.
func holeText(hole seawall.Incomplete) string {
	switch at := hole.Location; {
	case at.File != "" && at.Line > 0:
		return fmt.Sprintf("%s:%d: %s", at.File, at.Line, hole.Reason)
	case at.File != "":
		return at.File + ": " + hole.Reason
	}
	return hole.Reason
}

// rbacSource names what an answer is about: a cluster, or all files together.
type rbacSource struct {
	Cluster string `json:"cluster,omitempty"`
	Source  string `json:"source"` // cluster or files
}

func sourceOf(s *cluster.Snapshot) rbacSource {
	out := rbacSource{Source: "files"}
	if isCluster(s) {
		out.Source = "cluster"
	}
	for _, o := range s.Objects {
		if o.Cluster != "" {
			out.Cluster = o.Cluster
			break
		}
	}
	return out
}

// String is the heading of the source's part of an answer.
func (s rbacSource) String() string {
	if s.Cluster == "" {
		return s.Source
	}
	return s.Source + " " + s.Cluster
}

// rbacObject names a role, a binding or a service account.
type rbacObject struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

func (o rbacObject) String() string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

func bindingName(b *rbac.Binding) rbacObject { return rbacObject{b.Kind, b.Namespace, b.Name} }
func roleName(r *rbac.Role) rbacObject       { return rbacObject{r.Kind, r.Namespace, r.Name} }

// rbacGrant is one rule of one binding.
type rbacGrant struct {
	// Namespace is where it holds, and absent for the whole cluster.
	Namespace string     `json:"namespace,omitempty"`
	Binding   rbacObject `json:"binding"`
	Role      rbacObject `json:"role"`
	// From is the role that an aggregated one has the rule from.
	From *rbacObject `json:"from,omitempty"`
	Rule *rbac.Rule  `json:"rule"`
}

func grantOf(g rbac.Grant) rbacGrant {
	out := rbacGrant{Namespace: g.Namespace(), Binding: bindingName(g.Binding), Role: roleName(g.Role), Rule: g.Rule}
	if g.Rule.Origin != nil && g.Rule.Origin != g.Role {
		from := roleName(g.Rule.Origin)
		out.From = &from
	}
	return out
}

// grantKey is equal for grants of bindings and roles of the same names: files
// may hold one binding several times.
type grantKey struct {
	binding, role rbacObject
	rule          *rbac.Rule
	subject       rbac.Subject
}

func (g rbacGrant) key(subject rbac.Subject) grantKey {
	return grantKey{g.Binding, g.Role, g.Rule, subject}
}

// roleText names the role of a grant, and the one that its rule comes from.
func (g rbacGrant) roleText() string {
	if g.From == nil {
		return g.Role.String()
	}
	return g.Role.String() + ", from " + g.From.Name
}

func whereText(namespace string) string {
	if namespace == "" {
		return "whole cluster"
	}
	return "namespace " + namespace
}

// alignedRows writes rows of text under each other.
func alignedRows(w *strings.Builder, rows [][]string) {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t")) //nolint:errcheck // a Builder takes everything
	}
	t.Flush() //nolint:errcheck // a Builder takes everything
	for line := range strings.Lines(b.String()) {
		w.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
}
