package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/rbac"
)

func newReview(env *Env) *cobra.Command {
	var q questionFlags
	cmd := &cobra.Command{
		Use:   "review",
		Short: "List roles and bindings that grant nothing, are unused, or give more than their name says",
		Long: `List roles and bindings that grant nothing, are unused, or give more than their
name says. What Kubernetes itself ships is left out.

That nobody is bound to a role, and that nothing uses a service account, is said
of whole clusters only: files may bring what others use. The exit code does not
depend on what is found; ` + "`seawall scan`" + ` judges.`,
		Example: `  seawall rbac review
  seawall rbac review -t deploy/ -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			read, err := q.readRBAC(cmd.Context(), env, func(seawall.Incomplete) bool { return true })
			if err != nil {
				return err
			}
			answer := review(read)
			answer.answerHead = q.head(read.holes, read.notes)
			return q.finish(env, read, answer, answer.table())
		},
	}
	q.register(cmd.Flags())
	return cmd
}

// reviewAnswer is the JSON of review.
type reviewAnswer struct {
	answerHead
	Clusters []reviewIn `json:"clusters"`
}

type reviewIn struct {
	answerSource
	Remarks  []reviewRemark   `json:"remarks"`
	Unjudged []reviewUnjudged `json:"unjudged,omitempty"`
}

type reviewRemark struct {
	Kind     rbac.RemarkKind   `json:"kind"`
	Object   rbacObject        `json:"object"`
	Location *seawall.Location `json:"location,omitempty"`
	Message  string            `json:"message"`
}

type reviewUnjudged struct {
	Kind   rbac.RemarkKind `json:"kind"`
	Reason string          `json:"reason"`
}

func review(read *reading) *reviewAnswer {
	a := &reviewAnswer{Clusters: []reviewIn{}}
	for _, s := range read.snapshots {
		in := reviewIn{answerSource: sourceOf(s), Remarks: []reviewRemark{}}
		remarks, unjudged := rbac.Of(s).Review(s)
		for _, r := range remarks {
			out := reviewRemark{Kind: r.Kind, Object: rbacObject{r.Object.Kind, r.Object.Namespace, r.Object.Name}, Message: r.Message}
			if at := r.Object.Locate(r.Path); at != (seawall.Location{}) {
				out.Location = &at
			}
			in.Remarks = append(in.Remarks, out)
		}
		for _, u := range unjudged {
			in.Unjudged = append(in.Unjudged, reviewUnjudged(u))
		}
		a.Clusters = append(a.Clusters, in)
	}
	return a
}

func (a *reviewAnswer) table() string {
	var b strings.Builder
	w := &b
	for i, c := range a.Clusters {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s: %d remarks\n\n", c.answerSource, len(c.Remarks))
		var rows [][]string
		for _, r := range c.Remarks {
			object := r.Object.String()
			if r.Location != nil && r.Location.File != "" {
				object += fmt.Sprintf(" (%s:%d)", r.Location.File, r.Location.Line)
			}
			rows = append(rows, []string{string(r.Kind), object, r.Message})
		}
		if len(rows) > 0 {
			alignedRows(w, append([][]string{{"KIND", "OBJECT", "REMARK"}}, rows...))
			fmt.Fprintln(w)
		}
		for _, u := range c.Unjudged {
			fmt.Fprintf(w, "not judged: %s: %s\n", u.Kind, u.Reason)
		}
	}
	return b.String()
}
