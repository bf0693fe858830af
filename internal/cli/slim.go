package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"seawall.io/seawall/internal/slim"
	"seawall.io/seawall/internal/slimming"
)

// slimFlags are those of seawall image slim beside those that every scan has.
type slimFlags struct {
	level     string
	run       []string
	keep      []string
	manifests []string
	profile   string
	output    string
	write     []string
	name      string
	why       []string
	all       bool
}

func newImageSlim(env *Env) *cobra.Command {
	var i imageFlags
	var s slimFlags
	cmd := &cobra.Command{
		Use:   "slim REF",
		Short: "Tell what an image does not need and why, and write it without",
		Long: `Tell what an image does not need, why, and what that costs in bytes and known
vulnerabilities; write the image without it.

` + imageRefs + `

Nothing is run. From the image's command and health check, and from the commands,
probes and hooks of the pods in --manifest, it follows interpreters, libraries,
scripts and modules. What cannot be proven to be unneeded stays, and the notes say
why. --level safe keeps packages of which anything is reached whole, with all that
they depend on; --level tight drops programs and libraries that nothing leads to.

What --write writes is read again and checked: every command still has all that it
needs. docs/slim.md tells how it works and what to try where it keeps too much.`,
		Example: `  seawall image slim nginx:1.27
  seawall image slim archive:app.tar --manifest deploy/ --write archive:app-slim.tar
  seawall image slim oci:build/layout --why /usr/bin/perl
  seawall image slim rootfs:/srv/root --run "python3 -m http.server" -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runSlim(cmd, env, &i, &s, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&s.level, "level", string(slim.Safe), "how much goes: safe or tight")
	f.StringArrayVar(&s.run, "run", nil, "command that has to work beside the image's own (repeatable)")
	f.StringSliceVar(&s.keep, "keep", nil, "file, folder or program to keep; * stands for any part of a name (repeatable)")
	f.StringSliceVar(&s.manifests, "manifest", nil, "file or folder with the pods that run the image: their commands, probes and hooks have to work (repeatable)")
	f.StringVar(&s.profile, "profile", "", "JSON file with the files that were seen in use")
	f.StringVarP(&s.output, "output", "o", "table", "table or json")
	f.StringArrayVar(&s.write, "write", nil, "write the reduced image: archive:FILE, oci:DIR, or dockerfile:DIR for a Dockerfile that makes it (repeatable)")
	f.StringVar(&s.name, "name", "", "name of the reduced image (default: the image's own, with -slim at the end of the tag)")
	f.StringSliceVar(&s.why, "why", nil, "tell what keeps a path, and nothing else (repeatable)")
	f.BoolVar(&s.all, "all", false, "list all that goes and all notes, not just the first")
	i.register(f)
	return cmd
}

func runSlim(cmd *cobra.Command, env *Env, i *imageFlags, s *slimFlags, ref string) error {
	if s.level != string(slim.Safe) && s.level != string(slim.Tight) {
		return fmt.Errorf("--level %q: want safe or tight", s.level)
	}
	if s.output != "table" && s.output != "json" {
		return fmt.Errorf("--output %q: want table or json", s.output)
	}
	src, err := source(ref)
	if err != nil {
		return err
	}
	o, open, err := i.options(env)
	if err != nil {
		return err
	}
	defer open.close()
	r, err := slimming.Analyse(cmd.Context(), src, slimming.Options{
		Scan: o, Level: slim.Level(s.level), Run: s.run, Keep: s.keep, Manifests: s.manifests, Profile: s.profile,
	})
	if err != nil {
		return err //nolint:wrapcheck // it names the image
	}
	defer r.Close() //nolint:errcheck // it was only read
	if len(s.why) > 0 {
		return printWhy(env.Stdout, r.Plan, s.why)
	}
	outputs, err := slimOutputs(s.write)
	if err != nil {
		return err
	}
	if s.output == "json" {
		enc := json.NewEncoder(env.Stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(r.Plan)
	} else {
		err = printPlan(env.Stdout, r, s.all)
	}
	if err != nil {
		return fmt.Errorf("writing the plan: %w", err)
	}
	if err := incomplete(env, r.Scan); err != nil {
		if len(outputs) > 0 {
			return fmt.Errorf("nothing was written: parts of the image could not be read: %w", err)
		}
		return err
	}
	return writeSlim(cmd.Context(), env, r, s, outputs)
}

// slimOutput is one value of --write.
type slimOutput struct{ kind, path string }

func slimOutputs(flags []string) ([]slimOutput, error) {
	var out []slimOutput
	for _, text := range flags {
		kind, path, ok := strings.Cut(text, ":")
		if !ok || path == "" || !slices.Contains([]string{"archive", "oci", "dockerfile"}, kind) {
			return nil, fmt.Errorf("--write %q: want archive:FILE, oci:DIR or dockerfile:DIR", text)
		}
		out = append(out, slimOutput{kind, path})
	}
	return out, nil
}

// writeSlim writes the reduced image, and says on standard error what it is.
func writeSlim(ctx context.Context, env *Env, r *slimming.Result, s *slimFlags, outputs []slimOutput) error {
	o := slimming.Output{Name: s.name}
	if env.Getenv("SOURCE_DATE_EPOCH") != "" {
		var err error
		if o.Latest, err = epoch(env); err != nil {
			return err
		}
	}
	for _, to := range outputs {
		var what string
		var err error
		switch to.kind {
		case "archive":
			what, err = r.Archive(ctx, to.path, o)
		case "oci":
			what, err = r.Layout(ctx, to.path, o)
		default:
			what, err = "Dockerfile", r.Dockerfile(to.path)
		}
		if err != nil {
			return err //nolint:wrapcheck // it says what was being written
		}
		fmt.Fprintf(env.Stderr, "wrote %s:%s (%s)\n", to.kind, to.path, what) //nolint:errcheck // the exit code says it too
	}
	return nil
}

// printWhy writes the chain that keeps each path.
func printWhy(w io.Writer, p *slim.Plan, paths []string) error {
	out := bufio.NewWriter(w)
	for _, path := range paths {
		steps := p.Why(strings.Trim(path, "/"))
		if len(steps) == 0 {
			fmt.Fprintf(out, "%s goes, or is not there\n", path)
		}
		for n, step := range steps {
			fmt.Fprintf(out, "%s/%s: %s\n", strings.Repeat("  ", n), step.Path, step.Why)
		}
	}
	return out.Flush() //nolint:wrapcheck // standard output's own
}

// How many lines of the list of what goes, and of notes, are shown without --all.
const (
	mostItems = 25
	mostNotes = 10
)

// printPlan writes the plan for people.
func printPlan(w io.Writer, r *slimming.Result, all bool) error {
	p := r.Plan
	out := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	line := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) } //nolint:errcheck // Flush tells
	line("%s, level %s", r.Scan.Name(), p.Level)
	line("")
	line("\tfiles\tbytes\tpackages\tvulnerabilities")
	for _, row := range []struct {
		name string
		slim.Total
	}{{"now", p.Before}, {"reduced", p.After}} {
		line("%s\t%d\t%s\t%d\t%s", row.name, row.Files, slim.Bytes(row.Bytes), row.Packages, flaws(p, row.Vulnerabilities))
	}
	line("")
	line("BYTES\tFLAWS\tWHAT GOES\tWHY\tSURE")
	for n, it := range p.Items {
		if n == mostItems && !all {
			rest := slim.Total{}
			for _, it := range p.Items[n:] {
				rest.Bytes += it.Bytes
				rest.Vulnerabilities += it.Vulnerabilities
			}
			line("%s\t%s\t%d more (--all)\t\t", slim.Bytes(rest.Bytes), flaws(p, rest.Vulnerabilities), len(p.Items)-n)
			break
		}
		line("%s\t%s\t%s\t%s\t%s", slim.Bytes(it.Bytes), flaws(p, it.Vulnerabilities), itemName(&it), it.Why, it.Confidence)
	}
	section := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		line("")
		line("%s", title)
		for _, l := range lines {
			line("  %s", l)
		}
	}
	section("Risky programs that stay:", stayingTools(p))
	var notes, missing []string
	for _, n := range p.Notes {
		notes = append(notes, strings.TrimPrefix("/"+n.Path+": ", "/: ")+n.Text)
	}
	if n := len(notes) - mostNotes; n > 0 && !all {
		notes = append(notes[:mostNotes], fmt.Sprintf("%d more (--all)", n))
	}
	section("Not sure, and kept for it:", notes)
	for _, u := range p.Unresolved {
		if u.Root {
			missing = append(missing, u.Name+": a command that the image does not have")
			continue
		}
		missing = append(missing, "/"+u.Path+" asks for "+u.Name)
	}
	section("Missing in the image itself:", missing)
	section("For the Dockerfile:", p.Advice)
	section("Warnings:", r.Warnings)
	return out.Flush() //nolint:wrapcheck // standard output's own
}

func flaws(p *slim.Plan, n int) string {
	if !p.Judged {
		return "?"
	}
	return strconv.Itoa(n)
}

func itemName(it *slim.Item) string {
	name := it.Kind + " " + it.Name
	if it.Version != "" {
		name += " " + it.Version
	}
	if len(it.Classes) > 0 {
		name += " (" + strings.Join(it.Classes, ", ") + ")"
	}
	return name
}

func stayingTools(p *slim.Plan) []string {
	var out []string
	for _, t := range p.Tools {
		if t.Kept {
			out = append(out, fmt.Sprintf("/%s (%s): %s", t.Path, t.Class, t.Why))
		}
	}
	return out
}
