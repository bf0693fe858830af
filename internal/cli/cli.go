// Package cli is the command line: one file for each command. It reads flags,
// environment and configuration, calls the services, and turns what they
// return into output and an exit code. Nothing else writes to the terminal.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// The exit codes that users and tests rely on.
const (
	exitDone       = 0
	exitFindings   = 1
	exitUsage      = 2
	exitIncomplete = 3
)

// Env is the world outside the command.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Now            func() time.Time
	// Terminal says whether Stdout and Stderr are terminals, and Width how many
	// columns the terminal has, 0 when it is unknown.
	StdoutTerminal, StderrTerminal bool
	Width                          int
}

// System returns the world of this process, and takes standard error from all
// others: libraries write to it past every option (kustomize does for fields
// that it calls deprecated), in words that are no use to a user of Seawall.
func System() *Env {
	env := &Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.Getenv, Now: time.Now,
		StdoutTerminal: isTerminal(os.Stdout), StderrTerminal: isTerminal(os.Stderr),
		Width: columns(os.Getenv("COLUMNS")),
	}
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stderr = null
	}
	log.SetOutput(io.Discard)
	return env
}

// exitError carries an exit code past cobra, with an error to print or without.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// Run runs one command and returns its exit code.
func Run(ctx context.Context, env *Env, args []string) int {
	root := newRoot(env)
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		exit = &exitError{exitUsage, err}
	}
	if exit.err != nil {
		fmt.Fprintf(env.Stderr, "seawall: %v\n", exit.err) //nolint:errcheck // nowhere is left to report it
	}
	return exit.code
}

func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:           "seawall",
		Short:         "Secure Kubernetes over the whole life of a container",
		Version:       Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("seawall {{.Version}}\n")
	root.AddCommand(
		newScan(env), newPaths(env), newFix(env), newImage(env), newRBAC(env), newNet(env), newNamespaces(env), newEvents(env), newAlerts(env), newReplay(env), newIsolate(env), newRelease(env), newEvidence(env), newDB(env), newSnapshot(env), newExplain(env), newCheck(env), newFrameworks(env),
	)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: `%s --help` lists the flags", err, cmd.CommandPath())
	})
	return root
}

// knownCommand refuses what is no command, and names those that look like it.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	hint := fmt.Sprintf("`%s --help` lists the commands", cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, ", ") + "?"
	}
	return fmt.Errorf("unknown command %q: %s", args[0], hint)
}

// version is set by the linker in releases.
var version string //nolint:gochecknoglobals // the linker can set nothing else

// Version returns the version of this build: that of the release, else of the
// module, else "devel".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && !strings.HasSuffix(f.Name(), "null")
}

func columns(env string) int {
	n := 0
	if _, err := fmt.Sscanf(env, "%d", &n); err != nil || n < 20 {
		return 0
	}
	return n
}
