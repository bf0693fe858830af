package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
)

func newCan(env *Env) *cobra.Command {
	var (
		q        questionFlags
		asGroups []string
		gains    bool
	)
	cmd := &cobra.Command{
		Use:   "can SUBJECT",
		Short: "List all that somebody may do, and by which binding and role",
		Long: `List all that somebody may do, and by which binding and role.

SUBJECT is User:NAME, Group:NAME, ServiceAccount:NAMESPACE/NAME, or the long name
of a service account, system:serviceaccount:NAMESPACE:NAME. The groups that
Kubernetes gives to everybody of that sort count; which others a person is in, no
cluster knows: add them with --as-group.

--groups lists instead what each of the groups gives beyond what SUBJECT has by
its own name.`,
		Example: `  seawall rbac can ServiceAccount:shop/web
  seawall rbac can User:alice --as-group devs --groups -t snapshot:prod.tar.zst`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			subject, err := rbac.ParseSubject(args[0])
			if err != nil {
				return err //nolint:wrapcheck // it says what to type
			}
			if slices.Contains(asGroups, "") {
				return fmt.Errorf("--as-group is empty: name a group, such as devs")
			}
			read, err := q.readRBAC(cmd.Context(), env, rbac.Concerns)
			if err != nil {
				return err
			}
			answer := can(read, subject, asGroups, gains)
			answer.answerHead = q.head(read.holes, read.notes)
			return q.finish(env, read, answer, answer.table())
		},
	}
	f := cmd.Flags()
	q.register(f)
	f.StringArrayVar(&asGroups, "as-group", nil, "a group that SUBJECT is in (repeatable)")
	f.BoolVar(&gains, "groups", false, "list what each group adds to what SUBJECT has by its own name")
	return cmd
}

// canAnswer is the JSON of can.
type canAnswer struct {
	answerHead
	Subject rbac.Subject `json:"subject"`
	User    string       `json:"user,omitempty"`
	Groups  []string     `json:"groups"`
	// Superuser says that no authorizer is asked.
	Superuser bool    `json:"superuser,omitempty"`
	Clusters  []canIn `json:"clusters"`
	gains     bool
}

type canIn struct {
	answerSource
	Permissions []canPermission `json:"permissions,omitempty"`
	Gains       []canGain       `json:"gains,omitempty"`
}

type canPermission struct {
	rbacGrant
	// Subject is the one of the binding's that means who was asked about.
	Subject rbac.Subject `json:"subject"`
	// Idle says why it allows nothing.
	Idle string `json:"idle,omitempty"`
}

type canGain struct {
	Group     string      `json:"group"`
	Namespace string      `json:"namespace,omitempty"`
	Rules     []rbac.Rule `json:"rules"`
}

func can(read *reading, subject rbac.Subject, asGroups []string, gains bool) *canAnswer {
	id := subject.Identity()
	for _, g := range asGroups {
		if !slices.Contains(id.Groups, g) {
			id.Groups = append(id.Groups, g)
		}
	}
	a := &canAnswer{
		Subject: subject, User: id.User, Groups: id.Groups, Superuser: slices.Contains(id.Groups, rbac.Masters),
		Clusters: []canIn{}, gains: gains,
	}
	for _, s := range read.snapshots {
		m := rbac.Of(s)
		in := canIn{answerSource: sourceOf(s)}
		if gains {
			for _, g := range m.Gains(s, id, subject) {
				in.Gains = append(in.Gains, canGain(g))
			}
		} else {
			in.Permissions = permissions(m.Permissions(s, id))
		}
		read.note(unknownSubject(s, m, subject))
		a.Clusters = append(a.Clusters, in)
	}
	return a
}

func permissions(all []rbac.Permission) []canPermission {
	seen := map[grantKey]bool{}
	var out []canPermission
	for _, p := range all {
		grant := grantOf(p.Grant)
		if k := grant.key(p.Subject); !seen[k] {
			seen[k] = true
			out = append(out, canPermission{grant, p.Subject, p.Idle})
		}
	}
	return out
}

// unknownSubject says that the subject may be a slip of the user.
func unknownSubject(s *cluster.Snapshot, m *rbac.Model, subject rbac.Subject) string {
	namespace, name, account := subject.Account()
	if account && s.Whole && s.Get("", "ServiceAccount", namespace, name) == nil {
		return fmt.Sprintf("service account %s/%s does not exist: this is what it would have", namespace, name)
	}
	own := rbac.Identity{User: subject.Identity().User}
	if subject.Kind == rbac.GroupKind {
		own = rbac.Identity{Groups: []string{subject.Name}}
	}
	if len(m.AllBindingsFor(own)) == 0 {
		return fmt.Sprintf("no binding names %s: what it has, it has by its groups", subject)
	}
	return ""
}

func (a *canAnswer) table() string {
	var b strings.Builder
	w := &b
	for i, c := range a.Clusters {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s in groups %s (%s):\n", a.Subject, strings.Join(a.Groups, ", "), c.answerSource)
		if a.Superuser {
			fmt.Fprintf(w, "\nmay do everything: of group %s, no authorizer is asked\n", rbac.Masters)
		}
		write := c.permissions
		if a.gains {
			write = c.gained
		}
		write(w)
		fmt.Fprintln(w)
	}
	return b.String()
}

func (c *canIn) permissions(w *strings.Builder) {
	var rows [][]string
	idle := 0
	last := "-"
	flush := func() {
		if len(rows) > 0 {
			fmt.Fprintf(w, "\n%s\n", whereText(last))
			alignedRows(w, slices.Insert(rows, 0, []string{"  MAY", "BINDING", "ROLE", "AS"}))
		}
		rows = nil
	}
	for _, p := range c.Permissions {
		if p.Idle != "" {
			idle++
			continue
		}
		if p.Namespace != last {
			flush()
			last = p.Namespace
		}
		rows = append(rows, []string{"  " + p.Rule.String(), p.Binding.String(), p.roleText(), p.Subject.String()})
	}
	flush()
	if idle == len(c.Permissions) {
		fmt.Fprintln(w, "\nnothing, by RBAC")
	}
	if idle > 0 {
		fmt.Fprintf(w, "\n%d more of its rules allow nothing where they are bound: -o json says why\n", idle)
	}
}

func (c *canIn) gained(w *strings.Builder) {
	var rows [][]string
	for _, g := range c.Gains {
		for i := range g.Rules {
			rows = append(rows, []string{"  " + g.Group, whereText(g.Namespace), g.Rules[i].String()})
		}
	}
	fmt.Fprintln(w)
	if len(rows) == 0 {
		w.WriteString("the groups add nothing\n")
		return
	}
	alignedRows(w, slices.Insert(rows, 0, []string{"  GROUP", "WHERE", "ADDS"}))
}
