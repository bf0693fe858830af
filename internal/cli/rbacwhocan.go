package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
)

func newWhoCan(env *Env) *cobra.Command {
	var (
		q         questionFlags
		namespace string
		anywhere  bool
	)
	cmd := &cobra.Command{
		Use:   "who-can VERB RESOURCE[.GROUP][/SUBRESOURCE]|PATH [NAME]",
		Short: "List who may do something, and by which binding and role",
		Long: `List who may do something, and by which binding and role.

RESOURCE is understood as kubectl does: in the plural, the singular or short, also
of CustomResourceDefinitions that are read. PATH is a URL outside of the resource
API, such as /metrics. * asks for all verbs or all resources at once.

Without --namespace the question is about the whole cluster, and who may do it in
single namespaces only is not listed; --all-namespaces lists them too.`,
		Example: `  seawall rbac who-can get secrets -n shop
  seawall rbac who-can create pods/exec -A
  seawall rbac who-can get secret db-password -n shop --target snapshot:prod.tar.zst
  seawall rbac who-can get /metrics -t deploy/`,
		Args: cobra.RangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			if anywhere && namespace != "" {
				return fmt.Errorf("--all-namespaces and --namespace exclude each other")
			}
			read, err := q.readRBAC(cmd.Context(), env, rbac.Concerns)
			if err != nil {
				return err
			}
			name := ""
			if len(args) > 2 {
				name = args[2]
			}
			answer, err := whoCan(read, args[0], args[1], name, namespace, anywhere)
			if err != nil {
				return err
			}
			answer.answerHead = q.head(read.holes, read.notes)
			return q.finish(env, read, answer, answer.table())
		},
	}
	f := cmd.Flags()
	q.register(f)
	f.StringVarP(&namespace, "namespace", "n", "", "ask about this namespace")
	f.BoolVarP(&anywhere, "all-namespaces", "A", false, "list those too who may do it in single namespaces only")
	return cmd
}

// whoCanAnswer is the JSON of who-can.
type whoCanAnswer struct {
	answerHead
	Question whoCanQuestion `json:"question"`
	Clusters []whoCanIn     `json:"clusters"`
}

// whoCanQuestion is the request, as the authorizer would get it.
type whoCanQuestion struct {
	Verb          string `json:"verb"`
	Group         string `json:"group,omitempty"`
	Resource      string `json:"resource,omitempty"`
	Subresource   string `json:"subresource,omitempty"`
	Name          string `json:"name,omitempty"`
	Namespace     string `json:"namespace,omitempty"`
	AllNamespaces bool   `json:"allNamespaces,omitempty"`
	Path          string `json:"path,omitempty"`
	text          string
}

type whoCanIn struct {
	answerSource
	Subjects []whoCanSubject `json:"subjects"`
	// Elsewhere counts subjects that may do it in single namespaces only, and
	// Named those that may for objects of particular names only, where that was
	// not asked.
	Elsewhere int `json:"inSingleNamespaces,omitempty"`
	Named     int `json:"forNamesOnly,omitempty"`
}

type whoCanSubject struct {
	rbac.Subject
	Grants []rbacGrant `json:"grants"`
}

func whoCan(read *reading, verb, what, name, namespace string, anywhere bool) (*whoCanAnswer, error) {
	a := &whoCanAnswer{Clusters: []whoCanIn{}}
	for _, s := range read.snapshots {
		q, err := rbac.Ask(s, verb, what, name, namespace)
		if err != nil {
			return nil, err //nolint:wrapcheck // it says what to type
		}
		for _, n := range q.Notes {
			read.note(n)
		}
		if s.Whole && q.Namespace != "" && s.Get("", "Namespace", "", q.Namespace) == nil {
			read.note(fmt.Sprintf("namespace %s does not exist: this is who could if it did", q.Namespace))
		}
		a.Question = whoCanQuestion{
			Verb: q.Verb, Group: q.Group, Resource: q.Attributes.Resource, Subresource: q.Subresource,
			Name: q.Name, Namespace: q.Namespace, AllNamespaces: anywhere, Path: q.Path, text: q.String(),
		}
		if anywhere {
			a.Question.text += ", in any namespace"
		} else if q.Namespace == "" && q.Namespaced() {
			a.Question.text += " in the whole cluster"
		}
		a.Clusters = append(a.Clusters, whoCanOf(s, q, anywhere))
	}
	return a, nil
}

func whoCanOf(s *cluster.Snapshot, q *rbac.Question, anywhere bool) whoCanIn {
	m := rbac.Of(s)
	out := whoCanIn{answerSource: sourceOf(s), Subjects: bySubject(m.WhoCan(q.Attributes))}
	reached := out.Subjects
	if q.Namespace == "" && q.Namespaced() {
		reached = bySubject(m.WhoCanAnywhere(q.Attributes))
		if anywhere {
			out.Subjects = reached
		}
		out.Elsewhere = len(reached) - len(out.Subjects)
	}
	if q.Path == "" && q.CarriesName() && q.Name == "" {
		some := slices.DeleteFunc(m.WhoCanSome(q.Attributes), func(g rbac.Grant) bool {
			return !q.Namespaced() && !g.Binding.Cluster() // where it allows nothing
		})
		out.Named = len(bySubject(some)) - len(reached)
	}
	return out
}

// bySubject gathers grants by whom they are to, sorted.
func bySubject(grants []rbac.Grant) []whoCanSubject {
	at := map[rbac.Subject]int{}
	seen := map[grantKey]bool{}
	out := []whoCanSubject{}
	for _, g := range grants {
		i, known := at[g.Subject]
		if !known {
			i = len(out)
			at[g.Subject] = i
			out = append(out, whoCanSubject{Subject: g.Subject})
		}
		grant := grantOf(g)
		if k := grant.key(g.Subject); !seen[k] {
			seen[k] = true
			out[i].Grants = append(out[i].Grants, grant)
		}
	}
	for _, s := range out {
		slices.SortStableFunc(s.Grants, func(a, b rbacGrant) int {
			return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Binding.Name, b.Binding.Name))
		})
	}
	slices.SortFunc(out, func(a, b whoCanSubject) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}

func (a *whoCanAnswer) table() string {
	var b strings.Builder
	w := &b
	for i, c := range a.Clusters {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "who can %s (%s):\n\n", a.Question.text, c.answerSource)
		rows := [][]string{{"SUBJECT", "WHERE", "BINDING", "ROLE"}}
		for _, s := range c.Subjects {
			for _, g := range s.Grants {
				rows = append(rows, []string{s.String(), whereText(g.Namespace), g.Binding.String(), g.roleText()})
			}
		}
		if len(rows) == 1 {
			rows = [][]string{{"nobody, by RBAC"}}
		}
		alignedRows(w, rows)
		fmt.Fprintln(w)
		if c.Elsewhere > 0 {
			fmt.Fprintf(w, "note: %d more in single namespaces: --all-namespaces lists them\n", c.Elsewhere)
		}
		if c.Named > 0 {
			fmt.Fprintf(w, "note: %d more for objects of particular names only: give a NAME\n", c.Named)
		}
	}
	return b.String()
}
