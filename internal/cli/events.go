package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/agents"
)

func newEvents(env *Env) *cobra.Command {
	var a agentFlags
	var filter agents.Filter
	var format string
	var last time.Duration
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Follow what processes do, as the agents see it",
		Long: `Follow what processes do, live: programs that are run, files, connections, names
that are asked for, privileges that are used. Agents do not keep events; they keep
alerts (seawall alerts) and, with evidence, the last events of a pod.

Without --kind every kind is shown, which on a busy node is much. --where takes a
condition in CEL, in the terms that checks have (docs/adding-a-check.md). As JSON,
one event a line, the output can be kept and judged again (seawall replay).`,
		Example: `  seawall events -n shop --kind exec,connect
  seawall events --where 'process.name == "sh" && container.present'
  seawall events -n shop --pod web-7d4b -o json > web.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(format, []string{"table", "json"}); err != nil {
				return err
			}
			ctx := cmd.Context()
			if last > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, last)
				defer cancel()
			}
			found, notes, err := a.all(ctx)
			if err != nil {
				return err
			}
			for _, n := range notes {
				fmt.Fprintf(env.Stderr, "seawall: %s\n", n) //nolint:errcheck // nowhere is left to report it
			}
			enc := json.NewEncoder(env.Stdout)
			enc.SetEscapeHTML(false)
			errs := each(ctx, found, func(ctx context.Context, g *agents.Agent, f func(*seawall.Event) error) error {
				return g.Events(ctx, filter, f)
			}, func(_ *agents.Agent, ev *seawall.Event) error {
				if format == "json" {
					return enc.Encode(ev)
				}
				_, err := fmt.Fprintln(env.Stdout, eventLine(ev))
				return err
			})
			return failures(env, found, errs)
		},
	}
	f := cmd.Flags()
	a.register(f)
	a.registerNode(f)
	f.StringSliceVar(&filter.Kinds, "kind", nil, "kinds of events: "+kindNames())
	f.StringVarP(&filter.Namespace, "namespace", "n", "", "events of pods of this namespace")
	f.StringVar(&filter.Pod, "pod", "", "events of this pod")
	f.StringVar(&filter.Container, "container", "", "events of containers of this name")
	f.StringVar(&filter.Where, "where", "", "condition in CEL")
	f.DurationVar(&last, "for", 0, "end after this time, such as 30s (default: when interrupted)")
	f.StringVarP(&format, "output", "o", "table", "table or json")
	return cmd
}

func kindNames() string {
	var out []string
	for _, k := range seawall.EventKinds() {
		out = append(out, k.String())
	}
	return strings.Join(out, ", ")
}

// eventLine is an event on one line.
func eventLine(ev *seawall.Event) string {
	times := ""
	if ev.Count > 1 {
		times = fmt.Sprintf(" (%d times)", ev.Count)
	}
	line := fmt.Sprintf("%s %-10s %s  %s%s", ev.Time.Local().Format("15:04:05.000"), ev.Kind, place(ev.Pod, ev.Container, ev.Node), eventText(ev), times)
	if ev.Kind != seawall.EventExec && ev.Process != nil {
		line += "  by " + chain(ev.Process, 1)
	}
	return line
}

// eventText says what happened.
func eventText(ev *seawall.Event) string {
	switch {
	case ev.Kind == seawall.EventExec && ev.Process != nil:
		text := shown(strings.Join(ev.Process.Args, " "))
		if text == "" {
			text = shown(ev.Process.Exe)
		}
		if from := chain(ev.Process.Parent, 2); from != "" {
			text += "  from " + from
		}
		if ev.Process.Program.Memfd || ev.Process.Program.Upper {
			text += "  (not of the image)"
		}
		return text
	case ev.Exit != nil:
		if ev.Exit.Signal != 0 {
			return fmt.Sprintf("killed by signal %d", ev.Exit.Signal)
		}
		return fmt.Sprintf("exit code %d", ev.Exit.Code)
	case ev.Call != nil:
		return strings.TrimSpace(ev.Call.Name + " " + ev.Call.Op)
	case ev.File != nil && ev.File.To != "":
		return shown(ev.File.Path) + " -> " + shown(ev.File.To)
	case ev.File != nil:
		return shown(ev.File.Path)
	case ev.Socket != nil:
		return socketText(ev.Socket)
	case ev.DNS != nil:
		text := ev.DNS.Type + " " + shown(ev.DNS.Name)
		if ev.DNS.Response {
			text += " = " + shown(strings.Join(ev.DNS.Answers, ", ")) + " " + ev.DNS.RCode
		}
		return strings.TrimSpace(text)
	case ev.TLS != nil:
		return shown(ev.TLS.ServerName)
	case ev.Capability != "":
		return ev.Capability
	case len(ev.Syscalls) > 0:
		return strings.Join(ev.Syscalls, " ")
	case ev.Creds != nil:
		return fmt.Sprintf("uid %d to %d", ev.Creds.OldEUID, ev.Creds.NewEUID)
	case ev.Verdict != nil:
		return fmt.Sprintf("%s by %s (%s): %s", ev.Verdict.Action, ev.Verdict.Rule, ev.Verdict.Tier, shown(ev.Verdict.Target))
	case ev.Loss != nil:
		return fmt.Sprintf("%d events of class %s: %s", ev.Loss.Count, ev.Loss.Class, ev.Loss.Reason)
	case ev.Cgroup != nil && ev.Cgroup.Removed:
		return "gone: " + shown(ev.Cgroup.Path)
	case ev.Cgroup != nil:
		return "made: " + shown(ev.Cgroup.Path)
	case ev.Process != nil:
		return chain(ev.Process, 2)
	}
	return ""
}

func socketText(s *seawall.Socket) string {
	end := s.Path
	switch {
	case end != "":
	case s.Remote.IsValid():
		end = s.Remote.String()
	case s.Local.IsValid():
		end = s.Local.String()
	}
	text := s.Protocol + " " + shown(end)
	if s.Name != "" {
		text += " (" + shown(s.Name) + ")"
	}
	if s.Result < 0 {
		text += fmt.Sprintf(" failed (errno %d)", -s.Result)
	}
	return text
}
