package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"seawall.io/seawall/internal/check"
)

func newExplain(env *Env) *cobra.Command {
	var dirs []string
	cmd := &cobra.Command{
		Use:     "explain CHECK",
		Short:   "Say what a check looks for, why, and how to fix what it finds",
		Example: "  seawall explain privileged-container",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := configure(env, cmd, nil); err != nil {
				return err
			}
			rules, _, err := loadChecks(dirs)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(rules, func(r *check.Rule) bool { return r.ID == args[0] })
			if i < 0 {
				return fmt.Errorf("no check is called %q%s", args[0], check.Similar(rules, args[0]))
			}
			explain(env.Stdout, rules[i])
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&dirs, "checks", nil, "a folder of your own checks (repeatable)")
	return cmd
}

func explain(w io.Writer, r *check.Rule) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", r.ID, strings.Repeat("=", len(r.ID)))
	fmt.Fprintf(&b, "%s (%s)\n\n%s\n\nFix: %s\n\n", r.Title, r.Severity, r.Why, r.Fix)
	fmt.Fprintf(&b, "Looks at:   %s\n", strings.Join(r.Match, ", "))
	fmt.Fprintf(&b, "Phase:      %s\n", r.Phase)
	if r.Off {
		b.WriteString("Default:    off; runs when --check, a framework or seawall.yaml asks for it\n")
	}
	if r.Needs != "" {
		fmt.Fprintf(&b, "Needs:      %s\n", r.Needs)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Params)) {
		fmt.Fprintf(&b, "Parameter:  %s = %v\n", name, r.Params[name])
	}
	if len(r.Refs) > 0 {
		fmt.Fprintf(&b, "References: %s\n", strings.Join(r.Refs, ", "))
	}
	if r.OnEvents() {
		explainEvents(&b, r)
	}
	if r.Deny != "" {
		fmt.Fprintf(&b, "Rule:       %s\n", strings.ReplaceAll(r.Deny, "\n", "\n            "))
	}
	for _, e := range r.Examples {
		verdict := "Passes"
		if e.Fail {
			verdict = "Fails"
		}
		fmt.Fprintf(&b, "\n%s (%s):\n\n%s\n", verdict, e.Name, indent(string(e.Text)))
	}
	io.WriteString(w, b.String()) //nolint:errcheck // standard output has no one to tell
}

// explainEvents says what a check on events looks back on.
func explainEvents(b *strings.Builder, r *check.Rule) {
	for _, s := range r.After {
		fmt.Fprintf(b, "After:      %s within %v", strings.Join(s.Match, ", "), s.Within)
		if s.As != "" {
			fmt.Fprintf(b, ", as %s", s.As)
		}
		for _, condition := range []string{s.When, s.Deny} {
			if condition != "" {
				fmt.Fprintf(b, ": %s", condition)
			}
		}
		b.WriteByte('\n')
	}
	if r.Count > 0 {
		what := "times"
		if r.Distinct != "" {
			what = "different values of " + r.Distinct
		}
		fmt.Fprintf(b, "Counts:     %d %s within %v\n", r.Count, what, r.Within)
	}
	if r.By != "" {
		fmt.Fprintf(b, "By:         %s\n", r.By)
	}
	if r.Respond != "" {
		fmt.Fprintf(b, "Response:   %s, in namespaces that allow it\n", r.Respond)
	}
	if r.When != "" {
		fmt.Fprintf(b, "When:       %s\n", strings.ReplaceAll(r.When, "\n", "\n            "))
	}
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}
