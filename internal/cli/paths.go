package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/repair"
	"seawall.io/seawall/internal/report"
	"seawall.io/seawall/internal/scan"
)

// pathFlags are those of `seawall paths`.
type pathFlags struct {
	targetFlags
	from, to        []string
	limit           int
	whatIf, without []string
	cut             bool
	noCut           bool
	outputs         []string
	fixDir          string
	diff            bool
	failOn          string
	cni             string
	allowIncomplete bool
	// identities makes paths begin where RBAC does: at people, groups and service
	// accounts, whether or not a pod has their token.
	identities bool
}

func newPaths(env *Env) *cobra.Command {
	var p pathFlags
	cmd := &cobra.Command{
		Use:   "paths [TARGET...]",
		Short: "Find attack paths, and the least that must change to close them",
		Long: `Find attack paths: how an attacker comes from where he stands to what he is after,
step by step, with the evidence, and the smallest set of changes that closes them.

A TARGET is a file or folder, - for standard input, cluster or cluster:CONTEXT
for a live cluster (read only), or snapshot:FILE; cluster is the default. Several
clusters make one graph.

Paths begin by default on the internet, at people and groups that are not
cluster-admin anyway, in the pods of workloads, and at service accounts whose
token no pod has; they lead to cluster-admin, nodes, all Secrets, cloud principals
and other clusters. --from and --to take
` + pathSelectors + `,
or a kind alone for all of it.

The changes of each cut are made to the objects, and the paths are looked for
anew, before it is called verified.

Exit code: 0 no path at or above --fail-on; 1 at least one (with --what-if: at
least one that the change opens); 2 the command or the job failed; 3 no such path,
but something could not be read (0 with --allow-incomplete).`,
		Example: `  seawall paths deploy/
  seawall paths snapshot:cluster.tar.zst --from workload:shop/Deployment/web --to cluster-admin
  seawall paths deploy/ --diff | patch -p1
  seawall paths cluster --what-if new-role.yaml --without ClusterRoleBinding/old`,
		RunE: func(cmd *cobra.Command, targets []string) error { return p.run(cmd.Context(), env, targets) },
	}
	p.flags(cmd)
	return cmd
}

func newRBACPaths(env *Env) *cobra.Command {
	p := pathFlags{identities: true}
	cmd := &cobra.Command{
		Use:   "paths [TARGET...]",
		Short: "Find how people, groups and service accounts become more than they are",
		Long: `Find how people, groups and service accounts become more than they are: the attack
paths that begin at each identity to which something is granted.`,
		Example: `  seawall rbac paths --to cluster-admin
  seawall rbac paths deploy/ --from serviceaccount:ci/deployer`,
		RunE: func(cmd *cobra.Command, targets []string) error { return p.run(cmd.Context(), env, targets) },
	}
	p.flags(cmd)
	return cmd
}

func (p *pathFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	p.register(f)
	f.StringArrayVar(&p.from, "from", nil, "where paths begin (repeatable)")
	f.StringArrayVar(&p.to, "to", nil, "what they lead to (repeatable)")
	f.IntVar(&p.limit, "limit", 20, "how many paths to tell, worst first; 0 tells all")
	f.StringArrayVar(&p.whatIf, "what-if", nil, "tell what paths the objects in this file or folder would open and close; a document with \"$patch: delete\" removes its object (repeatable)")
	f.StringArrayVar(&p.without, "without", nil, "tell what paths removing this object would open and close: Kind/namespace/name, or Kind/name (repeatable)")
	f.BoolVar(&p.cut, "cut", true, "find the smallest set of changes that closes the paths to each goal")
	f.BoolVar(&p.noCut, "no-cut", false, "do not look for changes")
	f.StringArrayVarP(&p.outputs, "output", "o", []string{"table"}, "FORMAT or FORMAT=FILE: "+strings.Join(report.PathFormats(), ", ")+" (repeatable)")
	f.StringVar(&p.fixDir, "fix", "", "write the changes of the cuts to this folder: changes.diff for files, changes.sh with kubectl commands for clusters, new objects")
	f.BoolVar(&p.diff, "diff", false, "print the changes of the cuts and nothing else: a unified diff for files, kubectl commands for clusters")
	f.StringVar(&p.failOn, "fail-on", "high", "exit with 1 on a path at or above this risk: critical (0.3), high (0.03), medium (0.003), low, none, or a number from 0 to 1")
	f.StringVar(&p.cni, "cni", "", "network plugin to reckon with, where it cannot be seen")
	f.BoolVar(&p.allowIncomplete, "allow-incomplete", false, "exit with 0 even if something could not be read")
	cmd.MarkFlagsMutuallyExclusive("cut", "no-cut")
}

const pathSelectors = "internet, user:ann,\ngroup:devs, serviceaccount:shop/web, workload:shop/Deployment/web, node:NAME,\nsecret:shop/db, cloud:ARN, cluster-admin, cluster-admin:CLUSTER, outside:NAME"

func (p *pathFlags) run(ctx context.Context, env *Env, targets []string) error {
	if len(targets) == 0 {
		targets = []string{"cluster"}
	}
	threshold, err := parseRisk(p.failOn)
	if err != nil {
		return err
	}
	outputs, err := parseOutputs(p.outputs, report.PathFormats())
	if err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	if (p.diff || p.fixDir != "") && (p.noCut || !p.cut) {
		return errors.New("--diff and --fix write the changes of the cuts: leave out --no-cut")
	}
	if p.limit < 0 {
		return fmt.Errorf("--limit %d: want a number of paths, or 0 for all", p.limit)
	}
	saveMemory(env, targets)
	o := *p.target(env, targets)
	read, err := scan.Read(ctx, o)
	if err != nil {
		return err //nolint:wrapcheck // the service says what it was doing
	}
	g := attack.Build(read.Snapshots, attack.Options{CNI: p.cni})
	before, err := p.question(g)
	if err != nil {
		return err
	}
	now, q := g, before
	var changes *seawall.PathChanges
	if len(p.whatIf)+len(p.without) > 0 {
		if now, q, changes, err = p.alter(ctx, &o, g, before); err != nil {
			return err
		}
	}
	r, cuts := now.Report(q)
	r.Version, r.Targets, r.WhatIf = Version(), targets, changes
	r.Coverage, r.Warnings = read.Coverage, read.Warnings
	if r.WhatIf != nil {
		r.WhatIf.Changes = nonNil(r.WhatIf.Changes)
	}
	if p.diff || p.fixDir != "" {
		var all []int
		for i := range cuts {
			all = append(all, cuts[i].Changes...)
		}
		if err := p.fix(env, repair.Cut(now, all)); err != nil {
			return err
		}
	}
	if !p.diff {
		if err := p.write(ctx, env, outputs, r); err != nil {
			return err
		}
	}
	return p.verdict(r, threshold)
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// question is what the flags ask of a graph.
func (p *pathFlags) question(g *attack.Graph) (attack.Question, error) {
	q := attack.Question{Entries: g.Entries(), Goals: g.Goals(), Limit: p.limit, Cut: p.cut && !p.noCut}
	if p.identities {
		q.Entries = g.Identities()
	}
	if len(p.from) > 0 {
		q.Entries = nil
	}
	if len(p.to) > 0 {
		q.Goals = nil
	}
	for _, text := range p.from {
		found, err := g.Select(text)
		if err != nil {
			return q, fmt.Errorf("--from %w", err)
		}
		for _, v := range found {
			q.Entries = append(q.Entries, attack.Entry{Vertex: v, Likelihood: 1})
		}
	}
	for _, text := range p.to {
		found, err := g.Select(text)
		if err != nil {
			return q, fmt.Errorf("--to %w", err)
		}
		if goal := (attack.Goal{Name: text, Impact: 1, Vertices: found}); len(found) > 0 {
			if len(found) == 1 {
				goal.Name = g.Name(found[0])
			}
			q.Goals = append(q.Goals, goal)
		}
	}
	return q, nil
}

// alter makes the changes that the flags ask about.
func (p *pathFlags) alter(ctx context.Context, o *scan.Options, g *attack.Graph, before attack.Question) (*attack.Graph, attack.Question, *seawall.PathChanges, error) {
	a := attack.Alteration{Gone: slices.Clone(p.without)}
	if len(p.whatIf) > 0 {
		plan := *o
		plan.Targets = p.whatIf
		read, err := scan.Read(ctx, plan)
		if err != nil {
			return nil, before, nil, fmt.Errorf("--what-if: %w", err)
		}
		if holes := read.Coverage.Incomplete; len(holes) > 0 {
			return nil, before, nil, fmt.Errorf("--what-if: %s: %s", holes[0].Location, holes[0].Reason)
		}
		for _, s := range read.Snapshots {
			for _, object := range s.Objects {
				if object.Root.Get("$patch").Str() == "delete" {
					a.Gone = append(a.Gone, identity(object))
				} else {
					a.Put = append(a.Put, object)
				}
			}
		}
	}
	after, done, err := g.Alter(a)
	if err != nil {
		return nil, before, nil, err //nolint:wrapcheck // it says which object
	}
	q, err := p.question(after)
	if err != nil {
		return nil, before, nil, fmt.Errorf("after the change: %w", err)
	}
	changes := attack.Compare(g, after, before, q)
	changes.Changes = done
	return after, q, changes, nil
}

// identity names an object as --without does.
func identity(o *cluster.Object) string {
	parts := []string{o.Kind, o.Namespace, o.Name}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "/")
}

func (p *pathFlags) write(ctx context.Context, env *Env, outputs []output, r *seawall.Paths) error {
	for _, out := range outputs {
		if err := ctx.Err(); err != nil {
			return err //nolint:wrapcheck // the user interrupted
		}
		opts := report.Options{}
		if out.file == "" {
			opts.Color = env.StdoutTerminal && env.Getenv("NO_COLOR") == ""
			opts.Width = env.Width
		}
		if err := writeTo(env, out.file, func(w io.Writer) error {
			return report.WritePaths(w, out.format, r, opts)
		}); err != nil {
			return err
		}
	}
	return nil
}

// fix prints the changes, or writes them to a folder.
func (p *pathFlags) fix(env *Env, plan *repair.Plan) error {
	commands := ""
	if len(plan.Commands) > 0 {
		commands = strings.Join(plan.Commands, "\n") + "\n"
	}
	for _, left := range plan.Left {
		fmt.Fprintf(env.Stderr, "not in the patch: %s\n", left) //nolint:errcheck // the patch is what counts
	}
	if p.diff {
		if _, err := fmt.Fprintf(env.Stdout, "%s%s", plan.Diff(), commands); err != nil {
			return fmt.Errorf("writing the diff: %w", err)
		}
	}
	if p.fixDir == "" {
		return nil
	}
	if err := os.MkdirAll(p.fixDir, 0o750); err != nil {
		return fmt.Errorf("--fix: %w", err)
	}
	files := map[string]string{"changes.sh": commands}
	changed := &repair.Plan{}
	for i := range plan.Files {
		if f := &plan.Files[i]; f.New {
			files[f.Name] = string(f.After)
		} else {
			changed.Files = append(changed.Files, *f)
		}
	}
	files["changes.diff"] = string(changed.Diff())
	names := make([]string, 0, len(files))
	for name, text := range files {
		if text != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		file := filepath.Join(p.fixDir, name)
		if err := writeFile(file, func(w io.Writer) error {
			_, err := io.WriteString(w, files[name])
			return err //nolint:wrapcheck // writeFile names the file
		}); err != nil {
			return err
		}
		fmt.Fprintf(env.Stderr, "%s: written\n", filepath.ToSlash(file)) //nolint:errcheck // the file is what counts
	}
	return nil
}

// parseRisk reads a word for a risk, or the risk itself. That of none is above all.
func parseRisk(text string) (float64, error) {
	if risk, err := strconv.ParseFloat(text, 64); err == nil && risk >= 0 && risk <= 1 {
		return risk, nil
	}
	s, err := seawall.ParseSeverity(text)
	if err != nil {
		return 0, fmt.Errorf("--fail-on %q: want critical, high, medium, low, none or a number from 0 to 1", text)
	}
	if s == seawall.None {
		return 2, nil
	}
	return seawall.SeverityRisk(s) //nolint:wrapcheck // no other word has none
}

// verdict turns a report into the exit code. The worst path comes first.
func (p *pathFlags) verdict(r *seawall.Paths, threshold float64) error {
	judged := r.Paths
	if r.WhatIf != nil {
		judged = r.WhatIf.Opened
	}
	if r.Total > 0 && len(judged) > 0 && judged[0].Risk >= threshold {
		return &exitError{code: exitFindings}
	}
	if len(r.Coverage.Incomplete) > 0 && !p.allowIncomplete {
		return &exitError{code: exitIncomplete}
	}
	return nil
}
