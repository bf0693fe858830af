// Package slimming is the service behind seawall image slim: it scans an image,
// asks package slim what of it is needed, writes the reduced image and checks
// that what it wrote still has all that its commands need. It starts no
// containers.
package slimming

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/internal/inventory/script"
	"seawall.io/seawall/internal/oci"
	"seawall.io/seawall/internal/slim"
)

// Options say how to reduce an image.
type Options struct {
	Scan imagescan.Options
	// Level is slim.Safe where it is empty.
	Level slim.Level
	// Run are commands that have to work beside the image's own, as a shell takes
	// them.
	Run []string
	// Keep is what the user wants kept; see [slim.Input].
	Keep []string
	// Manifests are files and folders with the pods that run the image.
	Manifests []string
	// Profile is a file with what was seen in use; empty for none.
	Profile string
}

// Result is a plan with the image that it is for.
type Result struct {
	Scan *imagescan.Result
	Plan *slim.Plan
	// Warnings say what the plan could not take into account.
	Warnings []string

	source  oci.Source
	options Options
	roots   []slim.Root
}

// Close lets go of the image.
func (r *Result) Close() error {
	return r.Scan.Close() //nolint:wrapcheck // it names the image
}

// ErrNoCommand is wrapped where neither the image nor the user names a command.
var ErrNoCommand = errors.New("the image names no command to start from")

// Analyse scans an image and plans its reduction.
func Analyse(ctx context.Context, src oci.Source, o Options) (*Result, error) {
	return analyseWith(ctx, src, o, nil)
}

// analyseWith plans with commands that are known already, where roots are given.
func analyseWith(ctx context.Context, src oci.Source, o Options, roots []slim.Root) (*Result, error) {
	o.Scan.NoSecrets = true
	o.Scan.Parsers = script.Parsers()
	scan, err := imagescan.Scan(ctx, src, o.Scan)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the image
	}
	r := &Result{Scan: scan, source: src, options: o, roots: roots}
	if err := r.analyse(); err != nil {
		r.Close() //nolint:errcheck // it was only read
		return nil, err
	}
	return r, nil
}

func (r *Result) analyse() error {
	if r.roots == nil {
		if err := r.findRoots(); err != nil {
			return err
		}
	}
	if len(r.roots) == 0 {
		return fmt.Errorf("%s: %w: name one with --run \"PROGRAM ARGUMENTS\"", r.source, ErrNoCommand)
	}
	in := r.input()
	var err error
	if in.Profile, err = readProfile(r.options.Profile); err != nil {
		return err
	}
	r.Plan = slim.Analyse(in)
	return nil
}

func (r *Result) findRoots() error {
	r.roots = r.imageRoots()
	for _, text := range r.options.Run {
		r.roots = append(r.roots, slim.Root{Argv: strings.Fields(text), Why: "--run " + text})
	}
	more, err := r.podRoots(r.options.Manifests)
	r.roots = append(r.roots, more...)
	return err
}

// input is what the engine is given.
func (r *Result) input() slim.Input {
	in := slim.Input{
		Tree: r.Scan.Tree, Packages: r.Scan.Inventory.Packages, Owner: r.Scan.Owner,
		Matches: r.Scan.Judgement.Matches, Judged: r.Scan.Judged,
		Roots: r.roots, Keep: r.options.Keep, Level: r.options.Level,
	}
	for _, l := range r.Scan.Description.Layers {
		in.Layers = append(in.Layers, slim.Layer{Digest: l.Digest, CreatedBy: l.CreatedBy})
	}
	if img := r.Scan.Image; img != nil {
		in.Env, in.WorkDir = img.Config.Env, img.Config.WorkingDir
	}
	return in
}

// maxProfile bounds the file of a profile, in bytes.
const maxProfile = 64 << 20

func readProfile(file string) (*slim.Profile, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // no profile is an answer
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("reading the profile: %w", err)
	}
	if info.Size() > maxProfile {
		return nil, fmt.Errorf("the profile %s has %d bytes: at most %d are read", file, info.Size(), maxProfile)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the profile: %w", err)
	}
	var p slim.Profile
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("the profile %s: %w", file, err)
	}
	switch {
	case p.Version != 1:
		return nil, fmt.Errorf("the profile %s has version %d: version 1 is known; see docs/slim.md", file, p.Version)
	case len(p.Executed) == 0 && len(p.Opened) == 0:
		return nil, fmt.Errorf("the profile %s names no file: was anything watched?", file)
	}
	return &p, nil
}
