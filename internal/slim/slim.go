// Package slim tells which files of an image are needed to run it and why, and
// what the others cost. It follows what can be read without running anything:
// from the commands of the image and of the pods that run it over interpreters,
// libraries, scripts and the modules of languages.
//
// What it cannot prove to be unneeded is kept, and said to be so in the notes of
// the plan: a script that evaluates a text, a program that starts others. At the
// level [Safe] a package of which anything is reached stays whole with all that
// it depends on; at [Tight] programs and libraries that nothing leads to go as
// well. It reads no files and changes nothing: package slimming does both.
package slim

import (
	"iter"
	"maps"
	"slices"

	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/vuln"
)

// Level is how much is taken away.
type Level string

// The levels.
const (
	Safe  Level = "safe"
	Tight Level = "tight"
)

// Confidence is what speaks for a file being unneeded.
type Confidence string

const (
	// Static means that nothing that can be read leads to it.
	Static Confidence = "static"
	// Observed means that it was not used either while the profile was taken.
	Observed Confidence = "observed"
)

// Input is what a plan is made of.
type Input struct {
	// Tree has been read with the parser of package inventory/script.
	Tree     *image.Tree
	Packages []inventory.Package
	// Owner tells the distribution package of a path, "" for none.
	Owner func(path string) string
	// Matches are the known flaws; Judged says that a database was asked.
	Matches []vuln.Match
	Judged  bool
	Roots   []Root
	// Env and WorkDir are the image's.
	Env     []string
	WorkDir string
	Layers  []Layer
	// Keep are files and folders that the user wants kept, with * for any part of a
	// name, and names of programs.
	Keep    []string
	Profile *Profile
	Level   Level
}

// Layer is one layer of the image: its digest and the instruction that made it.
type Layer struct {
	Digest    string `json:"digest"`
	CreatedBy string `json:"createdBy,omitempty"`
}

// Root is one command that has to work in the reduced image.
type Root struct {
	// Argv is the command as exec takes it. Shell is a text for the shell instead.
	Argv  []string `json:"argv,omitempty"`
	Shell string   `json:"shell,omitempty"`
	// Why says where the command comes from: the image's command, a probe.
	Why string `json:"why"`
}

// Plan says what stays and what goes.
type Plan struct {
	Level Level  `json:"level"`
	Roots []Root `json:"roots"`
	// Unresolved are roots and libraries that the image itself lacks.
	Unresolved []Unresolved `json:"unresolved,omitempty"`
	// Notes say where something was kept because it is chosen at run time.
	Notes []Note `json:"notes,omitempty"`
	// Before and After count regular files, hard links once.
	Before Total `json:"before"`
	After  Total `json:"after"`
	Judged bool  `json:"judged"`
	// Items are what goes, the dearest first.
	Items []Item `json:"items"`
	// Packages are all packages, with what becomes of each.
	Packages []Verdict `json:"packages"`
	// Tools are programs of a class that intruders like, and programs that run as
	// their owner, with the reason where one stays.
	Tools []Tool `json:"tools,omitempty"`
	// Waste is what layers hold and later layers hide.
	Waste []Waste `json:"waste,omitempty"`
	// Advice is for the Dockerfile.
	Advice []string `json:"advice,omitempty"`
	// Unobserved are kept files that a profile did not see used.
	Unobserved Total `json:"unobserved,omitzero"`

	kept map[string]*kept
}

// Total counts.
type Total struct {
	Files           int   `json:"files"`
	Bytes           int64 `json:"bytes"`
	Packages        int   `json:"packages"`
	Vulnerabilities int   `json:"vulnerabilities"`
}

// Note is something that keeps the plan from being sure.
type Note struct {
	Path string `json:"path,omitempty"`
	Text string `json:"text"`
}

// Unresolved is something that is asked for and not there.
type Unresolved struct {
	Path string `json:"path,omitempty"` // of the file that asks
	Name string `json:"name"`
	Root bool   `json:"root,omitempty"`
}

// Item is a group of files that go.
type Item struct {
	// Kind is package, part (of a package that stays), leftover or module.
	Kind            string     `json:"kind"`
	Name            string     `json:"name"`
	Version         string     `json:"version,omitempty"`
	Files           int        `json:"files"`
	Bytes           int64      `json:"bytes"`
	Vulnerabilities int        `json:"vulnerabilities"`
	IDs             []string   `json:"ids,omitempty"`
	Classes         []string   `json:"classes,omitempty"`
	Why             string     `json:"why"`
	Confidence      Confidence `json:"confidence"`
	Layer           int        `json:"layer"`
}

// State is what becomes of a package.
type State string

// The states. Data are packages of which only files of the keep-lists stay.
const (
	Needed   State = "needed"
	Partly   State = "partly"
	Data     State = "data"
	Unneeded State = "unneeded"
)

// Verdict is what becomes of one package.
type Verdict struct {
	Type    inventory.Type `json:"type"`
	Name    string         `json:"name"`
	Version string         `json:"version,omitempty"`
	Path    string         `json:"path,omitempty"`
	State   State          `json:"state"`
	// Kept and Removed are bytes of the package's files.
	Kept            int64  `json:"kept"`
	Removed         int64  `json:"removed"`
	Vulnerabilities int    `json:"vulnerabilities"`
	Why             string `json:"why,omitempty"`
}

// Tool is a program that an intruder likes to find.
type Tool struct {
	Path  string `json:"path"`
	Class string `json:"class"`
	Kept  bool   `json:"kept"`
	Why   string `json:"why,omitempty"` // it is kept
}

// Waste is what one layer wastes.
type Waste struct {
	Layer     int    `json:"layer"`
	CreatedBy string `json:"createdBy,omitempty"`
	By        int    `json:"by"` // the layer that hides most of it
	Bytes     int64  `json:"bytes"`
	Files     int    `json:"files"`
	Largest   string `json:"largest"` // path of the largest file
}

// Profile is what was seen of containers of the image while they ran. It is the
// JSON that --profile reads.
type Profile struct {
	Version int `json:"version"` // 1
	// Image is the digest or reference of the image that ran.
	Image string `json:"image,omitempty"`
	// Pods and Days say how much was watched.
	Pods int     `json:"pods,omitempty"`
	Days float64 `json:"days,omitempty"`
	// Executed and Opened are absolute paths.
	Executed []string `json:"executed"`
	Opened   []string `json:"opened"`
}

// Step is one file of the chain that keeps another.
type Step struct {
	Path string `json:"path,omitempty"`
	Why  string `json:"why"`
}

// Keeps says whether a path stays. Directories stay where anything below them
// does.
func (p *Plan) Keeps(path string) bool { return path == "" || p.kept[path] != nil }

// Paths yields every path that stays, in order.
func (p *Plan) Paths() iter.Seq[string] {
	return slices.Values(slices.Sorted(maps.Keys(p.kept)))
}

// Runs says whether a path stays to be run or loaded, and not merely to be read.
func (p *Plan) Runs(path string) bool { return p.kept[path] != nil && p.kept[path].active }

// Why returns the chain that keeps a path, from the path to a root; nil where it
// goes.
func (p *Plan) Why(path string) []Step {
	var out []Step
	seen := map[string]bool{}
	for at := path; !seen[at]; {
		seen[at] = true
		k := p.kept[at]
		if k == nil {
			break
		}
		out = append(out, Step{at, k.why})
		if k.by == "" {
			break
		}
		at = k.by
	}
	return out
}

// Analyse makes a plan.
func Analyse(in Input) *Plan {
	if in.Level == "" {
		in.Level = Safe
	}
	if in.Owner == nil {
		in.Owner = func(string) string { return "" }
	}
	a := newAnalysis(&in)
	a.base()
	a.roots()
	a.wanted()
	a.observed()
	a.run()
	a.packages()
	a.unowned()
	a.records()
	a.directories()
	a.dangling()
	return a.plan()
}
