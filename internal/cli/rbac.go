package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
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

// readRBAC reads the targets. Only what concerns may have been a part of the
// answer that could not be read.
func (q *questionFlags) readRBAC(ctx context.Context, env *Env, concerns func(seawall.Incomplete) bool) (*reading, error) {
	r, err := q.read(ctx, env)
	if err != nil {
		return nil, err
	}
	// What holds nothing is a cluster that could not be reached, which a hole says.
	r.snapshots = slices.DeleteFunc(r.snapshots, func(s *cluster.Snapshot) bool { return len(s.Objects) == 0 })
	if len(r.snapshots) == 0 {
		return nil, fmt.Errorf("nothing could be read of %s: %s", strings.Join(q.targets, ", "), holeText(r.holes[0]))
	}
	r.holes = slices.DeleteFunc(r.holes, func(hole seawall.Incomplete) bool { return !concerns(hole) })
	if len(r.holes) > 0 {
		r.note("at least this: not all could be read")
	}
	r.note(lowerBound)
	if slices.ContainsFunc(r.snapshots, func(s *cluster.Snapshot) bool { return !isCluster(s) }) {
		r.note(fromFiles)
	}
	return r, nil
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
