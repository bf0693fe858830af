package cli

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"seawall.io/seawall"
	"seawall.io/seawall/checks"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/detect"
	"seawall.io/seawall/internal/manifest"
)

func newCheck(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "List checks, and test your own",
		Args:  knownCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCheckList(env), newCheckTest(env))
	return cmd
}

func newCheckList(env *Env) *cobra.Command {
	var dirs []string
	var format string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List all checks",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := configure(env, cmd, nil); err != nil {
				return err
			}
			rules, _, err := loadChecks(dirs)
			if err != nil {
				return err
			}
			switch format {
			case "table":
				return listTable(env, rules)
			case "json":
				return listJSON(env, rules)
			}
			return fmt.Errorf("output format %q: want table or json", format)
		},
	}
	cmd.Flags().StringSliceVar(&dirs, "checks", nil, "a folder of your own checks (repeatable)")
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	return cmd
}

func listTable(env *Env, rules []*check.Rule) error {
	w := tabwriter.NewWriter(env.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "SEVERITY\tCHECK\tDEFAULT\tTITLE") //nolint:errcheck // Flush reports it
	for _, r := range rules {
		state := "on"
		if r.Off {
			state = "off"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Severity, r.ID, state, r.Title) //nolint:errcheck // Flush reports it
	}
	return w.Flush() //nolint:wrapcheck // standard output
}

func listJSON(env *Env, rules []*check.Rule) error {
	type row struct {
		ID       string           `json:"id"`
		Title    string           `json:"title"`
		Severity seawall.Severity `json:"severity"`
		Phase    seawall.Phase    `json:"phase"`
		Layer    seawall.Layer    `json:"layer"`
		Match    []string         `json:"match"`
		Default  bool             `json:"default"`
		Refs     []string         `json:"refs,omitempty"`
		Params   map[string]any   `json:"params,omitempty"`
		Needs    string           `json:"needs,omitempty"`
	}
	rows := make([]row, len(rules))
	for i, r := range rules {
		rows[i] = row{r.ID, r.Title, r.Severity, r.Phase, r.Layer, r.Match, !r.Off, r.Refs, r.Params, r.Needs}
	}
	enc := json.NewEncoder(env.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(rows) //nolint:wrapcheck // standard output
}

func newCheckTest(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "test PATH...",
		Short: "Run the examples of your own checks",
		Long: `Run the examples of your own checks: .txtar files, or folders of them.

Each pass/ example must yield no finding, each fail/ example exactly those of the
.want part beside it. Exit code 1 when one does not.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			rules, err := readRules(args)
			if err != nil {
				return err
			}
			failed := 0
			for _, r := range rules {
				failed += testRule(env, r)
			}
			if failed > 0 {
				return &exitError{code: exitFindings}
			}
			return nil
		},
	}
}

func readRules(args []string) ([]*check.Rule, error) {
	var rules []*check.Rule
	seen := map[string]bool{}
	for _, arg := range args {
		err := filepath.WalkDir(arg, func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || (name != arg && filepath.Ext(name) != ".txtar") || seen[manifest.Real(name)] {
				return err
			}
			seen[manifest.Real(name)] = true
			text, err := os.ReadFile(name)
			if err != nil {
				return err //nolint:wrapcheck // wrapped below
			}
			r, err := check.ParseRule(filepath.ToSlash(name), text)
			if err == nil {
				rules = append(rules, r)
			}
			return err //nolint:wrapcheck // it names the file
		})
		if err != nil {
			return nil, fmt.Errorf("reading checks: %w", err)
		}
	}
	if len(rules) == 0 {
		return nil, fmt.Errorf("no .txtar file in %s", strings.Join(args, ", "))
	}
	if _, err := check.NewSet(rules, check.Options{Funcs: checks.Funcs()}); err != nil {
		return nil, err //nolint:wrapcheck // it names the file
	}
	return rules, nil
}

// exampleJudge returns what judges a rule's examples.
func exampleJudge(r *check.Rule) (func(*check.Example) (string, error), error) {
	if r.OnEvents() {
		o := detect.Options{On: []string{r.ID}}
		_, err := detect.New([]*check.Rule{r}, o)
		return func(e *check.Example) (string, error) { return detect.Outcome(r, e, o) }, err
	}
	set, err := check.NewSet([]*check.Rule{r}, check.Options{Funcs: checks.Funcs()})
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the file
	}
	if errs := set.Compile(); len(errs) > 0 {
		return nil, errs[0]
	}
	return func(e *check.Example) (string, error) { return set.Outcome(r.ID, e) }, nil
}

// testRule runs the examples of a rule and returns how many failed.
func testRule(env *Env, r *check.Rule) int {
	say := func(format string, args ...any) {
		fmt.Fprintf(env.Stdout, format+"\n", args...) //nolint:errcheck // standard output has no one to tell
	}
	outcome, err := exampleJudge(r)
	if err != nil {
		say("FAIL %s: %v", r.ID, err)
		return 1
	}
	failed := 0
	for _, kind := range lacking(r) {
		say("FAIL %s: no %s/ example: a rule that no example holds may do anything", r.ID, kind)
		failed++
	}
	for i := range r.Examples {
		e := &r.Examples[i]
		got, err := outcome(e)
		switch {
		case err != nil:
			say("FAIL %s: %v", r.ID, err)
		case !e.Fail && got != "":
			say("FAIL %s: %s: got findings, want none:\n%s", r.ID, e.Name, indent(got))
		case e.Fail && got == "":
			say("FAIL %s: %s: got no finding, want at least one", r.ID, e.Name)
		case e.Fail && got != e.Want:
			say("FAIL %s: %s: got\n%s\n  want\n%s", r.ID, e.Name, indent(got), indent(e.Want))
		default:
			continue
		}
		failed++
	}
	if failed == 0 {
		say("ok   %s: %d examples", r.ID, len(r.Examples))
	}
	return failed
}

// lacking names the kinds of example that a rule has none of. A rule that needs
// more than objects can have none.
func lacking(r *check.Rule) []string {
	if r.Needs != "" && !r.OnEvents() {
		return nil
	}
	var out []string
	for _, kind := range []string{"pass", "fail"} {
		if !slices.ContainsFunc(r.Examples, func(e check.Example) bool { return e.Fail == (kind == "fail") }) {
			out = append(out, kind)
		}
	}
	return out
}
