package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/gobwas/glob"
	"github.com/spf13/cobra"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/agents"
)

// alertsFlags are those of the command alerts.
type alertsFlags struct {
	agentFlags
	follow          bool
	severity        string
	check           string
	ofNamespace     string
	incidents, acts bool
	format          string
	matches         glob.Glob
	least           seawall.Severity
	latest          map[string]*seawall.Incident
	lines           []timed
}

// timed is a line that waits to be sorted with those of other nodes.
type timed struct {
	at   string
	text string
}

func newAlerts(env *Env) *cobra.Command {
	var a alertsFlags
	cmd := &cobra.Command{
		Use:   "alerts",
		Short: "Show what runtime checks found, and follow what they find",
		Long: `Show the alerts that the agents keep, oldest first, and with --follow those to come.
--incidents shows them grouped by attack, with what happened when; --acts what
Seawall did about it. Agents keep 64 MiB of all three on each node.`,
		Example: `  seawall alerts -f --severity high
  seawall alerts --incidents -n shop
  seawall alerts --acts -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.run(cmd.Context(), env) },
	}
	f := cmd.Flags()
	a.register(f)
	a.registerNode(f)
	f.BoolVarP(&a.follow, "follow", "f", false, "go on with those to come, until interrupted")
	f.StringVar(&a.severity, "severity", "low", "the least severity to show: critical, high, medium or low")
	f.StringVar(&a.check, "check", "*", "checks to show, with * for any run of characters")
	f.StringVarP(&a.ofNamespace, "namespace", "n", "", "those of pods of this namespace")
	f.BoolVar(&a.incidents, "incidents", false, "show incidents instead of single alerts")
	f.BoolVar(&a.acts, "acts", false, "show what Seawall did: containments, releases, evidence")
	f.StringVarP(&a.format, "output", "o", "table", "table or json")
	cmd.MarkFlagsMutuallyExclusive("incidents", "acts")
	return cmd
}

func (a *alertsFlags) run(ctx context.Context, env *Env) error {
	if err := oneOf(a.format, []string{"table", "json"}); err != nil {
		return err
	}
	var err error
	if a.least, err = seawall.ParseSeverity(a.severity); err != nil {
		return fmt.Errorf("--severity: %w", err)
	}
	if a.matches, err = glob.Compile(a.check); err != nil {
		return fmt.Errorf("--check %q: %w", a.check, err)
	}
	found, notes, err := a.all(ctx)
	if err != nil {
		return err
	}
	for _, n := range notes {
		fmt.Fprintf(env.Stderr, "seawall: %s\n", n) //nolint:errcheck // nowhere is left to report it
	}
	kind := "alert"
	switch {
	case a.incidents:
		kind = "incident"
	case a.acts:
		kind = "act"
	}
	a.latest = map[string]*seawall.Incident{}
	errs := each(ctx, found, func(ctx context.Context, g *agents.Agent, f func(*agents.Entry) error) error {
		return g.Entries(ctx, []string{kind}, 0, a.follow, f)
	}, func(_ *agents.Agent, e *agents.Entry) error { return a.take(env, e) })
	if err := a.finish(env); err != nil {
		return err
	}
	return failures(env, found, errs)
}

// take shows an entry, or keeps it until all are there.
func (a *alertsFlags) take(env *Env, e *agents.Entry) error {
	text := ""
	switch e.Kind {
	case "alert":
		var alert seawall.Alert
		if err := json.Unmarshal(e.Value, &alert); err != nil {
			return fmt.Errorf("reading alert %s: %w", e.ID, err)
		}
		if !a.shows(alert.Severity, alert.Event.Pod) || !a.matches.Match(alert.Check) {
			return nil
		}
		text = alertText(&alert)
	case "incident":
		var i seawall.Incident
		if err := json.Unmarshal(e.Value, &i); err != nil {
			return fmt.Errorf("reading incident %s: %w", e.ID, err)
		}
		if !a.shows(i.Severity, i.Pod) {
			return nil
		}
		if !a.follow {
			a.latest[i.ID] = &i // the last state of each is what counts
			return nil
		}
		text = incidentText(&i)
	case "act":
		var act seawall.Act
		if err := json.Unmarshal(e.Value, &act); err != nil {
			return fmt.Errorf("reading act %s: %w", e.ID, err)
		}
		if a.ofNamespace != "" && (act.Pod == nil || act.Pod.Namespace != a.ofNamespace) {
			return nil
		}
		text = actText(&act)
	}
	if a.format == "json" {
		text = string(e.Value)
	}
	if a.follow {
		_, err := fmt.Fprintln(env.Stdout, text)
		return err
	}
	a.lines = append(a.lines, timed{e.Time.UTC().Format("2006-01-02T15:04:05.000000000"), text})
	return nil
}

func (a *alertsFlags) shows(s seawall.Severity, pod *seawall.Pod) bool {
	return s >= a.least && (a.ofNamespace == "" || pod != nil && pod.Namespace == a.ofNamespace)
}

// finish writes what was kept, oldest first.
func (a *alertsFlags) finish(env *Env) error {
	for _, i := range a.latest {
		text := incidentText(i)
		if a.format == "json" {
			b, err := json.Marshal(i)
			if err != nil {
				return err
			}
			text = string(b)
		}
		a.lines = append(a.lines, timed{i.First.UTC().Format("2006-01-02T15:04:05.000000000"), text})
	}
	slices.SortStableFunc(a.lines, func(x, y timed) int { return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.text, y.text)) })
	for _, l := range a.lines {
		if _, err := fmt.Fprintln(env.Stdout, l.text); err != nil {
			return err
		}
	}
	if len(a.lines) == 0 && !a.follow && a.format == "table" {
		fmt.Fprintln(env.Stderr, "nothing to show") //nolint:errcheck // nowhere is left to report it
	}
	return nil
}

func alertText(a *seawall.Alert) string {
	times := ""
	if a.Count > 1 {
		times = fmt.Sprintf(" (%d times)", a.Count)
	}
	text := fmt.Sprintf("%s %-8s %-32s %s  %s%s", a.Time.Local().Format("2006-01-02 15:04:05"), a.Severity, a.Check, place(a.Event.Pod, a.Event.Container, a.Node), shown(a.Message), times)
	if from := chain(a.Event.Process, 4); from != "" {
		text += "\n    " + from
	}
	return text
}

func incidentText(i *seawall.Incident) string {
	var b strings.Builder
	state := ""
	if i.Closed {
		state = ", over"
	}
	fmt.Fprintf(&b, "%s incident %s in %s: %d alerts since %s%s\n", strings.ToUpper(i.Severity.String()), i.ID, place(i.Pod, i.Container, i.Node), i.Alerts,
		i.First.Local().Format("2006-01-02 15:04:05"), state)
	fmt.Fprintf(&b, "  checks: %s\n", strings.Join(i.Checks, ", "))
	if i.Root != nil {
		fmt.Fprintf(&b, "  from:   %s\n", chain(i.Root, 4))
	}
	for _, t := range i.Timeline {
		what := t.Check
		if t.Act != "" {
			what = "Seawall: " + t.Act
		}
		fmt.Fprintf(&b, "  %s  %-30s %s\n", t.Time.Local().Format("15:04:05.000"), what, shown(t.Text))
	}
	if i.Dropped > 0 {
		fmt.Fprintf(&b, "  and %d more\n", i.Dropped)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// actText is an act with its steps.
func actText(a *seawall.Act) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s of %s: %s, asked for by %s", a.Time.Local().Format("2006-01-02 15:04:05"), a.Kind, place(a.Pod, nil, a.Node), a.State, shown(a.By))
	if a.Reason != "" {
		fmt.Fprintf(&b, " (%s)", shown(a.Reason))
	}
	if a.Held != "" {
		fmt.Fprintf(&b, "\n  not done: %s", a.Held)
	}
	for _, s := range a.Steps {
		state := "done"
		if !s.Done {
			state = "FAILED"
		}
		fmt.Fprintf(&b, "\n  %-12s %-6s %8s", s.Name, state, s.Took.Round(10_000))
		for _, text := range []string{s.Detail, s.Error} {
			if text != "" {
				fmt.Fprintf(&b, "  %s", shown(text))
			}
		}
	}
	if len(a.Proposals) > 0 && a.State != seawall.ActUndone {
		fmt.Fprintf(&b, "\n  next:\n    %s", strings.Join(a.Proposals, "\n    "))
	}
	return b.String()
}
