package seawall

import "fmt"

// AttackPath says of a finding that an attacker can use it on the way to a goal.
type AttackPath struct {
	// ID is that of the worst path through it: see [Path].
	ID string `json:"id"`
	// Entry and Goal are where that path begins and what it leads to, in words.
	Entry string `json:"entry"`
	Goal  string `json:"goal"`
	// Risk is that of the path, 0 to 1.
	Risk float64 `json:"risk"`
}

// AttackPaths is what a scan says of attack paths.
type AttackPaths struct {
	// Findings counts those that lie on a path and are not suppressed.
	Findings int `json:"findings"`
	// Total counts the paths; Paths holds the worst.
	Total int    `json:"total"`
	Paths []Path `json:"paths"`
}

// Paths is what `seawall paths` reports: how attackers come from where they stand
// to what they are after, and the least that must change so that they cannot.
type Paths struct {
	Version string     `json:"version"`
	Targets []string   `json:"targets"`
	Goals   []PathGoal `json:"goals"`
	// Total counts all paths; Paths holds the worst.
	Total int    `json:"total"`
	Paths []Path `json:"paths"`
	// Cuts are for each goal that a path leads to.
	Cuts []PathCut `json:"cuts"`
	// WhatIf is set where the clusters were asked about with changes: all else is
	// then what would be.
	WhatIf *PathChanges `json:"whatIf,omitempty"`
	// Granted are people and groups that hold a goal because a binding says so.
	// They are no entries: that is what the binding is for.
	Granted []string `json:"granted,omitempty"`
	// Unknown names what could not be known, for which paths may be missing.
	Unknown  []string `json:"unknown,omitempty"`
	Coverage Coverage `json:"coverage"`
	Warnings []string `json:"warnings,omitempty"`
}

// PathGoal is something that attackers are after.
type PathGoal struct {
	Name string `json:"name"`
	// Impact ranks goals, 0 to 1.
	Impact float64 `json:"impact"`
	// Paths counts those that lead to it or name it in Also; Entries are the places
	// where an attacker may stand and from which it can be reached.
	Paths   int `json:"paths"`
	Entries int `json:"entries"`
}

// PathNode is something that an attacker holds on the way.
type PathNode struct {
	Kind string `json:"kind"`
	// Name is for people, Selector for --from and --to.
	Name     string    `json:"name"`
	Selector string    `json:"selector"`
	Cluster  string    `json:"cluster,omitempty"`
	Location *Location `json:"location,omitempty"`
}

// Path is the likeliest way from one entry to one goal.
type Path struct {
	// ID is a fingerprint of entry and goal. It stays when the way between them
	// changes.
	ID   string `json:"id"`
	Goal string `json:"goal"`
	// Severity is the word for Risk: see [RiskSeverity].
	Severity Severity `json:"severity"`
	// Likelihood is the chance, 0 to 1, that all steps succeed; Risk is that times
	// the chance that an attacker stands at the entry and the impact of the goal.
	// They rank paths and measure nothing.
	Risk       float64    `json:"risk"`
	Likelihood float64    `json:"likelihood"`
	From       PathNode   `json:"from"`
	To         PathNode   `json:"to"`
	Steps      []PathStep `json:"steps"`
	// Also are other goals that who has reached this one holds too, and of which the
	// entry's own path is no worse.
	Also []string `json:"also,omitempty"`
	// Covers are other entries that lie on the path, with the ID of their own path,
	// which is the rest of this one.
	Covers []PathCover `json:"covers,omitempty"`
}

// PathCover is an entry that lies on the path of another.
type PathCover struct {
	ID   string   `json:"id"`
	From PathNode `json:"from"`
}

// PathStep leads from one thing held to the next.
type PathStep struct {
	// Primitive is the number of the technique in Seawall's documentation.
	Primitive string `json:"primitive"`
	Title     string `json:"title"`
	// Technique is that of MITRE ATT&CK.
	Technique  string          `json:"technique,omitempty"`
	Audit      string          `json:"audit"` // how it would be seen
	Likelihood float64         `json:"likelihood"`
	From       PathNode        `json:"from"`
	To         PathNode        `json:"to"`
	Text       string          `json:"text,omitempty"`
	Evidence   []PathEvidence  `json:"evidence,omitempty"`
	Conditions []PathCondition `json:"conditions,omitempty"`
	// Changes each remove the step alone.
	Changes []string `json:"changes,omitempty"`
}

// PathEvidence is a place that shows why a step can be taken.
type PathEvidence struct {
	Subject  Subject  `json:"subject"`
	Location Location `json:"location"`
}

// PathCondition is something that a step rests on, and whether it is so: yes or
// unknown.
type PathCondition struct {
	Text  string `json:"text"`
	Holds string `json:"holds"`
}

// PathCut is the least that must change so that no path leads to a goal.
type PathCut struct {
	Goal    string       `json:"goal"`
	Changes []PathChange `json:"changes"`
	// Cost is that of all changes, and Least says that it is proven to be the
	// lowest.
	Cost  int  `json:"cost"`
	Least bool `json:"least"`
	// Removes counts the entries that then no longer lead to the goal.
	Removes int `json:"removes"`
	// Fixed are steps that no change of an object removes.
	Fixed []PathStep `json:"fixed,omitempty"`
	// Remaining are the paths that are left.
	Remaining []Path `json:"remaining,omitempty"`
	// Verified says that the changes were made to the objects, and that a graph
	// made of what came out has no path to the goal but by the steps in Fixed.
	Verified bool `json:"verified"`
	// Together says that the changes of the other cuts were made too: in a large
	// graph all are verified at once.
	Together bool `json:"together,omitempty"`
	// Problem says why the changes could not be made.
	Problem string `json:"problem,omitempty"`
}

// PathChange is something done to one object.
type PathChange struct {
	Text     string    `json:"text"`
	Object   *Object   `json:"object,omitempty"`
	Location *Location `json:"location,omitempty"`
	// One of the three: operations relative to the object, its deletion, or an
	// object to make.
	Patch    []PatchOp `json:"patch,omitempty"`
	Delete   bool      `json:"delete,omitempty"`
	Manifest any       `json:"manifest,omitempty"`
	// Cost is how much is given up by it: 1 for what nobody should miss.
	Cost int `json:"cost"`
}

// PathChanges compares the paths of two states.
type PathChanges struct {
	Changes []string   `json:"changes"` // what was changed, in words
	Before  int        `json:"before"`  // paths
	After   int        `json:"after"`
	Opened  []Path     `json:"opened"`
	Closed  []Path     `json:"closed"`
	Moved   []PathMove `json:"moved,omitempty"` // those of another risk
}

// PathMove is a path of which the risk changes.
type PathMove struct {
	Path   Path    `json:"path"` // as it is after the change
	Before float64 `json:"before"`
}

// riskLevels are the least risks of paths that are low, medium, high and
// critical: each level is ten times the one below.
var riskLevels = [...]float64{Low: 0, Medium: 0.003, High: 0.03, Critical: 0.3}

// RiskSeverity is the word for a risk: critical from 0.3, high from 0.03, medium
// from 0.003, and low below. No risk is none.
func RiskSeverity(risk float64) Severity {
	if risk <= 0 {
		return None
	}
	for s := Critical; s > Low; s-- {
		if risk >= riskLevels[s] {
			return s
		}
	}
	return Low
}

// SeverityRisk is the least risk that a word stands for, and an error for none,
// which no path has.
func SeverityRisk(s Severity) (float64, error) {
	if s == None || int(s) >= len(riskLevels) {
		return 0, fmt.Errorf("no risk is %s", s)
	}
	return riskLevels[s], nil
}
