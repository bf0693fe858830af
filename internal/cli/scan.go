package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/exception"
	"seawall.io/seawall/internal/report"
	"seawall.io/seawall/internal/scan"
)

// scanFlags are the flags that choose what is scanned and by which checks; scan
// and fix share them.
type scanFlags struct {
	targetFlags
	severity   string
	frameworks []string
	checks     []string // --check
	checkDirs  []string // --checks
	exceptions string
	namespace  string
	pssVersion string
}

func (s *scanFlags) register(f *pflag.FlagSet) {
	s.targetFlags.register(f)
	f.StringVar(&s.severity, "severity", "low", "leave out checks below this severity: critical, high, medium, low")
	f.StringSliceVar(&s.frameworks, "framework", nil, "judge by this framework only (repeatable); `seawall frameworks` lists them")
	f.StringSliceVar(&s.checks, "check", nil, "run only checks with this name, in which * stands for anything (repeatable)")
	f.StringSliceVar(&s.checkDirs, "checks", nil, "a folder of your own checks and ValidatingAdmissionPolicies (repeatable)")
	f.StringVar(&s.exceptions, "exceptions", "", "a file of accepted findings")
	f.StringVarP(&s.namespace, "namespace", "n", "", "examine this namespace only")
	f.StringVar(&s.pssVersion, "pss-version", "", "Kubernetes version to judge for, such as v1.34 (default: the cluster's own, or the newest known)")
}

// options turns flags and configuration into what the service takes.
func (s *scanFlags) options(env *Env, c *config, targets []string) (*scan.Options, error) {
	o := s.target(env, targets)
	o.Params, o.Today = c.params, env.Now().UTC().Format("2006-01-02")
	o.Namespace, o.Helm.Namespace = s.namespace, cmp.Or(s.defaultNS, s.namespace)
	var err error
	if o.Choice.Severity, err = seawall.ParseSeverity(s.severity); err != nil {
		return nil, fmt.Errorf("%s: %w", c.origin("severity"), err)
	}
	if o.Minor, err = parseMinor(s.pssVersion); err != nil {
		return nil, fmt.Errorf("%s: %w", c.origin("pss-version"), err)
	}
	if o.Rules, o.Funcs, err = loadChecks(s.checkDirs); err != nil {
		return nil, err
	}
	if err := c.check(o.Rules); err != nil {
		return nil, err
	}
	if o.Choice.Frameworks, err = chooseFrameworks(s.frameworks); err != nil {
		return nil, err
	}
	o.Choice.Globs, o.Choice.Enable, o.Choice.Disable = s.checks, c.enable, c.disable
	if s.exceptions != "" {
		text, err := os.ReadFile(s.exceptions)
		if err != nil {
			return nil, fmt.Errorf("reading the exceptions: %w", err)
		}
		if o.Exceptions, err = exception.ParseList(filepath.ToSlash(s.exceptions), text); err != nil {
			return nil, err //nolint:wrapcheck // it names the file and the line
		}
	}
	return o, nil
}

func newScan(env *Env) *cobra.Command {
	var (
		s               scanFlags
		images          imageFlags
		outputs         []string
		failOn          string
		baseline        string
		allowIncomplete bool
		probe           bool
		noPaths         bool
	)
	cmd := &cobra.Command{
		Use:   "scan TARGET...",
		Short: "Find what is wrong in manifests, charts, images, source trees and clusters",
		Long: `Find what is wrong in manifests, charts, kustomizations, Dockerfiles, images, source
trees, clusters and snapshots.

A TARGET is a file or folder, - for standard input, cluster or cluster:CONTEXT
for a live cluster (read only), snapshot:FILE, image:REF in a registry, oci:DIR,
archive:FILE as docker save writes it, rootfs:DIR, or sbom:FILE.

Exit code: 0 nothing at or above --fail-on; 1 findings at or above it; 2 the
command or the job failed; 3 nothing at or above it, but something could not be
read or judged (0 with --allow-incomplete).

Flags may also stand in seawall.yaml, looked for from the first target upwards,
and in the environment as SEAWALL_FAIL_ON and so on.`,
		Example: `  seawall scan deploy/
  seawall scan chart/ --set image.tag=v2 -o sarif=seawall.sarif -o table
  seawall scan cluster --framework pss-restricted --namespace shop
  kubectl kustomize prod | seawall scan -`,
		Args: needTarget,
		RunE: func(cmd *cobra.Command, targets []string) error {
			c, err := configure(env, cmd, targets)
			if err != nil {
				return err
			}
			o, err := s.options(env, c, targets)
			if err != nil {
				return err
			}
			threshold, err := seawall.ParseSeverity(failOn)
			if err != nil {
				return fmt.Errorf("%s: %w", c.origin("fail-on"), err)
			}
			out, err := parseOutputs(outputs, report.Formats())
			if err != nil {
				return fmt.Errorf("%s: %w", c.origin("output"), err)
			}
			known, err := readBaseline(baseline)
			if err != nil {
				return err
			}
			var open *opened
			if o.Image, open, err = images.options(env); err != nil {
				return err
			}
			defer open.close()
			o.WorkloadImages, o.PullSecrets, o.Probe = images.images, images.pull, probe
			o.Paths = !noPaths
			saveMemory(env, targets)
			result, err := scan.Run(cmd.Context(), *o)
			if err != nil {
				return err //nolint:wrapcheck // the service says what it was doing
			}
			if asked := len(result.Images) > 0 || result.Dependencies > 0; asked {
				result.Coverage.Database = open.coverage
			}
			known.mark(result, baseline)
			if err := writeReports(cmd.Context(), env, out, result, o); err != nil {
				return err
			}
			return verdict(result.Report, threshold, allowIncomplete)
		},
	}
	f := cmd.Flags()
	s.register(f)
	images.register(f)
	f.StringArrayVarP(&outputs, "output", "o", []string{"table"}, "FORMAT or FORMAT=FILE: "+strings.Join(report.Formats(), ", ")+" (repeatable)")
	f.StringVar(&failOn, "fail-on", "high", "exit with 1 on findings at or above this severity: critical, high, medium, low, none")
	f.StringVar(&baseline, "baseline", "", "a JSON report of an earlier scan: fail only on what is new since")
	f.BoolVar(&probe, "probe", false, "ask the ports of a live cluster's Services whether they answer without authentication (reads only, tries no password)")
	f.BoolVar(&noPaths, "no-paths", false, "do not look for attack paths that findings lie on")
	f.BoolVar(&allowIncomplete, "allow-incomplete", false, "exit with 0 even if something could not be read or judged")
	return cmd
}

func needTarget(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("name a target: a file, a folder, -, cluster or snapshot:FILE")
	}
	return nil
}

// saveMemory trades time for memory: a tenth of each for images and whole
// clusters, of which 20,000 workloads should fit in 1 GiB, and less where files
// are scanned, whose time people wait for. GOGC overrides it.
func saveMemory(env *Env, targets []string) {
	if env.Getenv("GOGC") != "" {
		return
	}
	percent := 50
	for _, t := range targets {
		if _, err := os.Stat(t); err == nil || t == "-" {
			percent = 80
		}
	}
	debug.SetGCPercent(percent)
	if percent == 50 {
		leavePages()
	}
}

// verdict turns a report into the exit code.
func verdict(r *seawall.Report, failOn seawall.Severity, allowIncomplete bool) error {
	if failOn != seawall.None && slices.ContainsFunc(r.Findings, func(f *seawall.Finding) bool {
		return f.Severity >= failOn && f.Suppressed == nil && !f.Known
	}) {
		return &exitError{code: exitFindings}
	}
	if len(r.Coverage.Incomplete) > 0 && !allowIncomplete {
		return &exitError{code: exitIncomplete}
	}
	return nil
}

// output is one place to write a report to.
type output struct{ format, file string }

func parseOutputs(flags, formats []string) ([]output, error) {
	var out []output
	toStdout := 0
	for _, text := range flags {
		format, file, _ := strings.Cut(text, "=")
		if !slices.Contains(formats, format) {
			return nil, fmt.Errorf("format %q: want %s", format, strings.Join(formats, ", "))
		}
		if file == "" || file == "-" {
			file = ""
			if toStdout++; toStdout > 1 {
				return nil, fmt.Errorf("only one report can go to standard output: give the others a file, as in -o sarif=seawall.sarif")
			}
		}
		if slices.ContainsFunc(out, func(other output) bool { return file != "" && other.file == file }) {
			return nil, fmt.Errorf("two reports cannot go to the same file %s", file)
		}
		out = append(out, output{format, file})
	}
	return out, nil
}

func writeReports(ctx context.Context, env *Env, outputs []output, r *scan.Result, o *scan.Options) error {
	docs := map[string][2]string{}
	for _, rule := range o.Rules {
		docs[rule.ID] = [2]string{rule.Why, rule.Fix}
	}
	opts := report.Options{
		Source: r.Source(),
		Doc:    func(check string) (string, string) { return docs[check][0], docs[check][1] },
	}
	if wd, err := os.Getwd(); err == nil {
		opts.Dir = filepath.ToSlash(wd)
	}
	for _, out := range outputs {
		if err := ctx.Err(); err != nil {
			return err //nolint:wrapcheck // the user interrupted
		}
		if out.file == "" {
			opts.Color = env.StdoutTerminal && env.Getenv("NO_COLOR") == ""
			opts.Width = env.Width
			if err := report.Write(env.Stdout, out.format, r.Report, opts); err != nil {
				return err //nolint:wrapcheck // it names the format
			}
			continue
		}
		opts.Color = false
		if err := writeFile(out.file, func(w io.Writer) error {
			return report.Write(w, out.format, r.Report, opts)
		}); err != nil {
			return err
		}
	}
	return nil
}

// writeTo writes to a file, or to standard output where it is named - or not at
// all.
func writeTo(env *Env, file string, write func(io.Writer) error) error {
	if file == "" || file == "-" {
		return write(env.Stdout)
	}
	return writeFile(file, write)
}

// writeFile writes a file whole or not at all. An existing file keeps its mode;
// everybody may read a new one. What is no regular file (a pipe, /dev/stdout) is
// written to as it is.
func writeFile(name string, write func(io.Writer) error) error {
	mode := fs.FileMode(0o644)
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target
	}
	if info, err := os.Stat(name); err == nil {
		if mode = info.Mode().Perm(); !info.Mode().IsRegular() {
			return writeInPlace(name, write)
		}
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return notWritten(name, err)
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // gone already when all went well
	if err := write(tmp); err != nil {
		tmp.Close() //nolint:errcheck // the first error is the one to tell
		return notWritten(name, err)
	}
	if err := tmp.Chmod(mode); err != nil {
		return notWritten(name, err)
	}
	if err := tmp.Close(); err != nil {
		return notWritten(name, err)
	}
	if err := os.Rename(tmp.Name(), name); err != nil {
		return notWritten(name, err)
	}
	return nil
}

func writeInPlace(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return notWritten(name, err)
	}
	err = write(f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return notWritten(name, err)
	}
	return nil
}

// notWritten names the file, and not the temporary one that the error does.
func notWritten(name string, err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err
	}
	return fmt.Errorf("writing %s: %w", name, err)
}

// parseMinor reads v1.34, 1.34, 1.34.2 or latest as a minor version.
func parseMinor(text string) (int, error) {
	if text == "" || text == "latest" {
		return 0, nil
	}
	minor := cluster.Minor(text)
	if minor == 0 {
		return 0, fmt.Errorf("%q: want a Kubernetes version such as v1.34, or latest", text)
	}
	return minor, nil
}
