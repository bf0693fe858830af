// Package scan is the service behind `seawall scan`: it reads targets through
// the adapters, judges what they hold by the chosen checks, and makes the
// report. It changes nothing.
package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/exception"
	"seawall.io/seawall/internal/helm"
	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/internal/kube"
)

// Options say what to scan, by which checks, and how.
type Options struct {
	Version string // of Seawall, for the report
	Targets []string
	Stdin   io.Reader

	Rules  []*check.Rule
	Funcs  map[string]check.Func
	Choice Choice
	// Params changes parameters of checks: ID, name, value.
	Params map[string]map[string]any
	// Minor is the Kubernetes minor version to judge for; 0 takes the version of
	// the cluster scanned, or else the newest known.
	Minor int

	// Exceptions accepts findings; nil accepts those with inline exceptions only.
	Exceptions *exception.List
	// Today, as YYYY-MM-DD, decides which exceptions have expired.
	Today string

	// Exclude leaves out files and folders below the targets, as manifest.Walk
	// takes it.
	Exclude []string

	// Overlay holds texts to read in place of files, by name, and files that do
	// not exist yet.
	Overlay map[string][]byte

	Helm        helm.Options
	Kube        kube.Options
	AllContexts bool
	Namespace   string
	// DefaultNamespace is that of the objects of files that name none; empty leaves
	// them as they are, which everything reads as default, and says so.
	DefaultNamespace string
	// Probe asks the ports of Services in live clusters, as kube.Client.Probe says.
	Probe bool

	// Image says how images and source files are scanned. WorkloadImages scans the
	// images that workloads run, too; ManifestsOnly leaves lock files and
	// credentials beside manifests alone.
	Image          imagescan.Options
	WorkloadImages bool
	ManifestsOnly  bool
	// PullSecrets uses the image pull secrets that workloads name to get their
	// images: it reads those Secrets of a live cluster.
	PullSecrets bool

	// Paths marks the findings that lie on attack paths.
	Paths bool

	// Progress is told what is being done; nil is not told.
	Progress func(stage string, done, total int)
}

// ErrNothing says that the targets hold nothing to examine.
var ErrNothing = errors.New("nothing to scan")

// Result is a report with what the report itself does not carry.
type Result struct {
	*seawall.Report
	// Objects holds the object of each finding, in the same order.
	Objects []*cluster.Object
	// Checks are the IDs of the checks that ran.
	Checks []string
	// Images are the scanned images, in the order of the targets.
	Images []*imagescan.Result
	// Dependencies counts the packages that lock files and manifests of source
	// trees name.
	Dependencies int

	sources *sources
	// conceal are the checks whose lines are not repeated.
	conceal map[string]bool
}

// Run scans. The report is complete even where parts of the input are broken:
// those stand in its coverage. An error means that the job could not be done.
func Run(ctx context.Context, o Options) (*Result, error) {
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	rules, err := o.Choice.choose(o.Rules)
	if err != nil {
		return nil, err
	}
	o.Image.Licenses = slices.ContainsFunc(rules, func(r *check.Rule) bool { return r.ID == "dependency-license" })
	snaps, found, report, err := read(ctx, &o)
	if err != nil {
		return nil, err
	}
	if report.Coverage.Documents == 0 && report.Coverage.Objects == 0 &&
		len(report.Coverage.Incomplete) == 0 && len(report.Coverage.Skipped) == 0 {
		return nil, fmt.Errorf("%w: no YAML or JSON file, chart or kustomization in %s", ErrNothing, strings.Join(o.Targets, ", "))
	}
	result := &Result{Report: report, Checks: ids(rules), Images: found.scanned, Dependencies: found.dependencies, sources: newSources(snaps), conceal: map[string]bool{}}
	for _, r := range rules {
		result.conceal[r.ID] = r.Conceal
	}
	var graph func([]run) *attack.Graph
	if o.Paths {
		var wait func()
		graph, wait = result.graph(snaps)
		defer wait() // also where judging fails
	}
	for _, snap := range snaps {
		if err := judgeSnapshot(ctx, &o, rules, snap, result); err != nil {
			return nil, err
		}
	}
	result.uses(snaps)
	report.Coverage.NotEvaluated = distinctHoles(append(unmet(rules), report.Coverage.NotEvaluated...))
	acceptance := exception.Acceptance{
		List: o.Exceptions, Today: o.Today, Text: result.sources.text,
		Checks: result.Checks, Known: ids(o.Rules), Partial: o.Namespace != "",
	}
	for _, snap := range snaps {
		acceptance.Objects = append(acceptance.Objects, snap.Objects...)
	}
	result.distinct()
	report.Warnings = append(report.Warnings, acceptance.Apply(report.Findings, result.Objects)...)
	if text := withoutNamespace(report.Coverage.WithoutNamespace); text != "" && namesNamespace(found.objects) {
		report.Warnings = append(report.Warnings, text)
	}
	if o.Paths {
		o.Progress("looking for attack paths", 0, 0)
		result.paths(snaps, graph)
	}
	report.Frameworks = tally(o.Choice.Frameworks, rules, snaps, report)
	result.drop(o.Choice.Severity)
	for i := range report.Findings {
		report.Summary.Add(report.Findings[i])
	}
	return result, nil
}

func ids(rules []*check.Rule) []string {
	out := make([]string, len(rules))
	for i, r := range rules {
		out[i] = r.ID
	}
	return out
}

// unmet lists the rules that need more than objects and have no function that
// would know whether it is there.
func unmet(rules []*check.Rule) []seawall.Incomplete {
	var out []seawall.Incomplete
	for _, r := range rules {
		if r.Needs != "" && r.Func == "" {
			out = append(out, seawall.Incomplete{Check: r.ID, Reason: "needs " + r.Needs})
		}
	}
	return out
}

// distinctHoles drops repetitions: several snapshots may lack the same.
func distinctHoles(holes []seawall.Incomplete) []seawall.Incomplete {
	seen := map[seawall.Incomplete]bool{}
	return slices.DeleteFunc(holes, func(h seawall.Incomplete) bool {
		dup := seen[h]
		seen[h] = true
		return dup
	})
}

// chunk is how many objects one task judges: enough to be worth handing out,
// few enough to keep all cores busy to the end.
const chunk = 64

// judgeSnapshot judges all objects of a snapshot, on all cores, and adds to the
// report in an order that does not depend on which core was faster.
func judgeSnapshot(ctx context.Context, o *Options, rules []*check.Rule, snap *cluster.Snapshot, result *Result) error {
	minor := o.Minor
	if minor == 0 {
		minor = cluster.Minor(snap.Version)
	}
	set, err := check.NewSet(rules, check.Options{Minor: minor, Params: o.Params, Funcs: o.Funcs})
	if err != nil {
		return err //nolint:wrapcheck // it names the check already
	}
	embeds := embedding(snap)
	examined := make([]bool, len(snap.Objects))
	chunks := (len(snap.Objects) + chunk - 1) / chunk
	funcs := set.Funcs()
	var done atomic.Int64
	// The functions come first to run, being the longest, and last in the report.
	err = result.gather(ctx, chunks+len(funcs), func(i int, out *check.Result) {
		if i >= chunks {
			set.Across(funcs[i-chunks], snap, out)
			return
		}
		end := min((i+1)*chunk, len(snap.Objects))
		for j := i * chunk; j < end; j++ {
			obj := snap.Objects[j]
			// A pod is judged, and counts as examined, with its workload.
			examined[j] = snap.Represented(obj) || set.Object(obj, embeds[obj], out)
		}
		o.Progress("judging", int(done.Add(int64(end-i*chunk))), len(snap.Objects))
	})
	if err != nil {
		return err
	}
	count(rules, snap, examined, embeds, &result.Coverage)
	return nil
}

// gather runs n tasks on all cores, the last one first, and takes their results
// over in the order of their numbers.
func (r *Result) gather(ctx context.Context, n int, task func(i int, out *check.Result)) error {
	parts := make([]check.Result, n)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := n - 1; i >= 0; i-- {
		group.Go(func() error {
			task(i, &parts[i])
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("judging: %w", err)
	}
	total := 0
	for i := range parts {
		total += len(parts[i].Findings)
	}
	r.Findings, r.Objects = slices.Grow(r.Findings, total), slices.Grow(r.Objects, total)
	seen := map[seawall.Incomplete]bool{}
	for i := range parts {
		r.take(&parts[i], seen)
	}
	return nil
}

// take moves the results of one task into the report.
func (r *Result) take(part *check.Result, seen map[seawall.Incomplete]bool) {
	r.Findings = append(r.Findings, part.Findings...)
	r.Objects = append(r.Objects, part.Objects...)
	for _, hole := range part.Incomplete {
		if !seen[hole] {
			seen[hole] = true
			r.Coverage.Incomplete = append(r.Coverage.Incomplete, hole)
		}
	}
	r.Coverage.NotEvaluated = append(r.Coverage.NotEvaluated, part.NotEvaluated...)
	*part = check.Result{}
}

// count fills in which kinds were examined and which were not.
func count(rules []*check.Rule, snap *cluster.Snapshot, examined []bool, embeds map[*cluster.Object][]cluster.PodTemplate, c *seawall.Coverage) {
	if c.Evaluated == nil {
		c.Evaluated, c.Unexamined = map[string]int{}, map[string]int{}
	}
	var across []*check.Rule
	for _, r := range rules {
		// What is asked of every object says nothing about any kind.
		if r.Func != "" && !slices.Contains(r.Match, "*") {
			across = append(across, r)
		}
	}
	byKind := map[string]bool{}
	for i, obj := range snap.Objects {
		gvk := obj.GVK()
		yes := examined[i]
		if !yes {
			kind := fmt.Sprint(gvk, len(embeds[obj]) > 0)
			known, ok := byKind[kind]
			if !ok {
				known = slices.ContainsFunc(across, func(r *check.Rule) bool { return r.Examines(obj, len(embeds[obj]) > 0) })
				byKind[kind] = known
			}
			yes = known
		}
		if yes {
			c.Evaluated[gvk]++
		} else {
			c.Unexamined[gvk]++
		}
	}
}
