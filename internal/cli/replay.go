package cli

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/gobwas/glob"
	"github.com/spf13/cobra"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/detect"
)

// replayFlags are those of the command replay.
type replayFlags struct {
	dirs       []string
	only       string
	exceptions string
	format     string
	allow      bool
}

// replayAnswer is the JSON of the command.
type replayAnswer struct {
	Version string    `json:"version"`
	Events  uint64    `json:"events"`
	From    time.Time `json:"from,omitzero"`
	To      time.Time `json:"to,omitzero"`
	// Days is how long the recording is.
	Days       float64              `json:"days"`
	Checks     []replayCheck        `json:"checks"`
	Alerts     []*seawall.Alert     `json:"alerts"`
	Incomplete []seawall.Incomplete `json:"incomplete,omitempty"`
}

// replayCheck is what one check made of a recording.
type replayCheck struct {
	Check     string           `json:"check"`
	Severity  seawall.Severity `json:"severity"`
	Alerts    int              `json:"alerts"`
	Matches   uint64           `json:"matches"` // folded repeats included
	PerDay    float64          `json:"perDay"`
	Workloads []string         `json:"workloads,omitempty"`
	Undecided uint64           `json:"undecided,omitempty"`
	Error     string           `json:"error,omitempty"`
}

func newReplay(env *Env) *cobra.Command {
	var r replayFlags
	cmd := &cobra.Command{
		Use:   "replay FILE...",
		Short: "Judge recorded events by changed checks",
		Long: `Judge events that were recorded (seawall events -o json, or events.jsonl of a bundle
of evidence) by the runtime checks, your own ones and changed ones included, and tell
what they find and how many alerts a day that makes. ` + "`-`" + ` is standard input.`,
		Example: `  seawall events --for 24h -o json > day.jsonl
  seawall replay day.jsonl --checks my-checks --check 'my-*'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error { return r.run(env, files) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&r.dirs, "checks", nil, "a folder of your own checks; one that has the ID of a built-in check replaces it (repeatable)")
	f.StringVar(&r.only, "check", "*", "checks to judge by, with * for any run of characters; those that are off by default run when they are named in full")
	f.StringVar(&r.exceptions, "exceptions", "", "file of exceptions (docs/runtime.md)")
	f.StringVarP(&r.format, "output", "o", "table", "table or json")
	f.BoolVar(&r.allow, "allow-incomplete", false, "exit with 0 even if something could not be read or judged")
	return cmd
}

func (r *replayFlags) run(env *Env, files []string) error {
	if err := oneOf(r.format, []string{"table", "json"}); err != nil {
		return err
	}
	rules, err := r.rules()
	if err != nil {
		return err
	}
	o := detect.Options{On: []string{r.only}}
	if r.exceptions != "" {
		text, err := os.ReadFile(r.exceptions)
		if err != nil {
			return fmt.Errorf("reading exceptions: %w", err)
		}
		if o.Exceptions, err = detect.ParseExceptions(r.exceptions, text); err != nil {
			return err //nolint:wrapcheck // it names the file
		}
	}
	engine, err := detect.New(rules, o)
	if err != nil {
		return err //nolint:wrapcheck // it names the checks
	}
	out := replayAnswer{Version: Version(), Alerts: []*seawall.Alert{}}
	for _, file := range files {
		if err := r.file(env, file, engine, &out); err != nil {
			return err
		}
	}
	out.Alerts = append(out.Alerts, engine.Flush()...)
	r.sum(engine, rules, &out)
	if r.format == "json" {
		err = writeJSON(env, &out)
	} else {
		err = out.table(env)
	}
	if err == nil && len(out.Incomplete) > 0 && !r.allow {
		err = &exitError{exitIncomplete, nil}
	}
	return err
}

// rules are the runtime checks that are asked for.
func (r *replayFlags) rules() ([]*check.Rule, error) {
	all, _, err := loadChecks(r.dirs)
	if err != nil {
		return nil, err
	}
	matches, err := glob.Compile(r.only)
	if err != nil {
		return nil, fmt.Errorf("--check %q: %w", r.only, err)
	}
	byID := map[string]*check.Rule{}
	for _, rule := range all {
		if rule.OnEvents() && matches.Match(rule.ID) {
			byID[rule.ID] = rule // a user's own comes later
		}
	}
	if len(byID) == 0 {
		return nil, fmt.Errorf("--check %q names no runtime check%s", r.only, check.Similar(all, r.only))
	}
	var out []*check.Rule
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		out = append(out, byID[id])
	}
	return out, nil
}

func (r *replayFlags) file(env *Env, file string, engine *detect.Engine, out *replayAnswer) error {
	in := env.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("reading recorded events: %w", err)
		}
		defer f.Close() //nolint:errcheck // it was only read
		in = f
	}
	lines := bufio.NewReaderSize(in, 1<<20)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if len(line) > 1 {
			ev, bad := detect.ParseEvent(line)
			if bad != nil {
				// One line that was cut off, at the end of a recording, is no reason to stop.
				out.Incomplete = append(out.Incomplete, seawall.Incomplete{Location: seawall.Location{File: file, Line: n}, Reason: bad.Error()})
				if len(out.Incomplete) > 100 {
					return fmt.Errorf("%s: more than 100 lines are no events; the first is line %d: %s", file, out.Incomplete[0].Location.Line, out.Incomplete[0].Reason)
				}
			} else {
				out.Events++
				if out.From.IsZero() || ev.Time.Before(out.From) {
					out.From = ev.Time
				}
				if ev.Time.After(out.To) {
					out.To = ev.Time
				}
				out.Alerts = append(out.Alerts, engine.Observe(ev)...)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
	}
}

// sum counts by check.
func (r *replayFlags) sum(engine *detect.Engine, rules []*check.Rule, out *replayAnswer) {
	out.Days = out.To.Sub(out.From).Hours() / 24
	alerts := map[string]int{}
	where := map[string]map[string]bool{}
	for _, a := range out.Alerts {
		if a.Count <= 1 {
			alerts[a.Check]++
		}
		if where[a.Check] == nil {
			where[a.Check] = map[string]bool{}
		}
		name := "node"
		if a.Event.Pod != nil {
			name = a.Event.Pod.Namespace + "/" + a.Event.Pod.Workload.String()
		}
		where[a.Check][name] = true
	}
	stats := map[string]detect.RuleStats{}
	for _, s := range engine.Stats().Rules {
		stats[s.Check] = s
	}
	for _, rule := range rules {
		s, judged := stats[rule.ID]
		if !judged {
			continue
		}
		c := replayCheck{
			Check: rule.ID, Severity: rule.Severity, Alerts: alerts[rule.ID], Matches: s.Matched, Workloads: slices.Sorted(maps.Keys(where[rule.ID])),
			Undecided: s.Undecided, Error: s.Error,
		}
		if out.Days > 0 {
			c.PerDay = float64(c.Alerts) / out.Days
		}
		out.Checks = append(out.Checks, c)
		if s.Undecided > 0 {
			out.Incomplete = append(out.Incomplete, seawall.Incomplete{Check: rule.ID, Reason: fmt.Sprintf("%d events could not be judged: %s", s.Undecided, s.Error)})
		}
	}
	slices.SortStableFunc(out.Checks, func(a, b replayCheck) int {
		return cmp.Or(cmp.Compare(b.Alerts, a.Alerts), cmp.Compare(a.Check, b.Check))
	})
}

func (out *replayAnswer) table(env *Env) error {
	for _, a := range out.Alerts {
		fmt.Fprintln(env.Stdout, alertText(a)) //nolint:errcheck // Flush below reports a closed pipe
	}
	w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\n%d events, %.1f hours, %d checks\n", out.Events, out.Days*24, len(out.Checks)) //nolint:errcheck // Flush reports it
	fmt.Fprintln(w, "CHECK\tSEVERITY\tALERTS\tMATCHES\tA DAY\tWORKLOADS")                            //nolint:errcheck // Flush reports it
	for _, c := range out.Checks {
		if c.Alerts == 0 && c.Matches == 0 {
			continue
		}
		perDay := "-"
		if out.Days > 1.0/24 {
			perDay = fmt.Sprintf("%.1f", c.PerDay)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%d\n", c.Check, c.Severity, c.Alerts, c.Matches, perDay, len(c.Workloads)) //nolint:errcheck // Flush reports it
	}
	for _, i := range out.Incomplete {
		fmt.Fprint(w, notRead(i)) //nolint:errcheck // Flush reports it
	}
	return w.Flush()
}
