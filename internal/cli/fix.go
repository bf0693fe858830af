package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"seawall.io/seawall/internal/patch"
	"seawall.io/seawall/internal/repair"
)

func newFix(env *Env) *cobra.Command {
	var s scanFlags
	var diff bool
	cmd := &cobra.Command{
		Use:   "fix PATH...",
		Short: "Patch what scan found in the files, or show the patch",
		Long: `Patch what scan found in the files, or show the patch with --diff.

Comments, order and formatting stay as they are. Each changed file is scanned
again before it is written. Namespaces whose pods no NetworkPolicy isolates get
a file with default-deny policies beside their manifests: add what the workloads
need before you apply it. For charts, the value to change is named.`,
		Example: "  seawall fix --diff deploy/\n  seawall fix deploy/ --check 'capabilities-*'",
		Args:    needTarget,
		RunE: func(cmd *cobra.Command, targets []string) error {
			c, err := configure(env, cmd, targets)
			if err != nil {
				return err
			}
			for _, t := range targets {
				if _, err := os.Stat(t); err != nil {
					return fmt.Errorf("fix changes files, and %q is none: name a file or a folder", t)
				}
			}
			o, err := s.options(env, c, targets)
			if err != nil {
				return err
			}
			o.ManifestsOnly = true // what fix changes are objects
			result, err := repair.Run(cmd.Context(), *o)
			if err != nil {
				return err //nolint:wrapcheck // the service says what it was doing
			}
			if err := showOrWrite(env, result, diff); err != nil {
				return err
			}
			return tellFixes(env, result, diff)
		},
	}
	s.register(cmd.Flags())
	cmd.Flags().BoolVar(&diff, "diff", false, "print the changes as a unified diff and change nothing")
	return cmd
}

func showOrWrite(env *Env, r *repair.Result, diff bool) error {
	if diff {
		for i := range r.Files {
			f := &r.Files[i]
			if _, err := env.Stdout.Write(patch.Diff(f.Name, f.Before, f.After)); err != nil {
				return fmt.Errorf("writing the diff: %w", err)
			}
		}
		return nil
	}
	// Nothing is written unless all can be.
	for i := range r.Files {
		if err := unchanged(&r.Files[i]); err != nil {
			return err
		}
	}
	for i := range r.Files {
		f := &r.Files[i]
		if err := writeFile(f.Name, func(w io.Writer) error {
			_, err := w.Write(f.After)
			return err //nolint:wrapcheck // writeFile names the file
		}); err != nil {
			return err
		}
	}
	return nil
}

// unchanged makes sure that nobody else changed a file since it was read.
func unchanged(f *repair.File) error {
	if f.New {
		if _, err := os.Lstat(f.Name); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("writing %s: it exists already: move it away", f.Name)
		}
		return nil
	}
	now, err := os.ReadFile(f.Name)
	if err != nil {
		return fmt.Errorf("changing %s: %w", f.Name, err)
	}
	if !bytes.Equal(now, f.Before) {
		return fmt.Errorf("changing %s: somebody else changed it meanwhile: run the command again", f.Name)
	}
	return nil
}

// tellFixes says on standard error what was done and what was not.
func tellFixes(env *Env, r *repair.Result, diff bool) error {
	say := func(format string, args ...any) {
		fmt.Fprintf(env.Stderr, format+"\n", args...) //nolint:errcheck // the files are what counts
	}
	would := ""
	if diff {
		would = "would be "
	}
	fixed := 0
	for i := range r.Files {
		f := &r.Files[i]
		fixed += len(f.Fixed)
		if f.New {
			say("%s: %swritten: default-deny network policies; allow what the workloads need before you apply them", f.Name, would)
		} else {
			say("%s: %s %sfixed", f.Name, findings(len(f.Fixed)), would)
		}
	}
	for _, l := range r.Left {
		say("%s: %s: not fixed: %s", l.Finding.Location, l.Finding.Check, l.Reason)
	}
	say("%s %sfixed, %d left that need your hand, %d for which there is no mechanical fix", findings(fixed), would, len(r.Left), r.Unfixable)
	for _, hole := range r.Report.Coverage.Incomplete {
		say("%s: not examined: %s", hole.Location, hole.Reason)
	}
	if len(r.Report.Coverage.Incomplete) > 0 {
		return &exitError{code: exitIncomplete}
	}
	return nil
}

func findings(n int) string {
	if n == 1 {
		return "1 finding"
	}
	return fmt.Sprintf("%d findings", n)
}
