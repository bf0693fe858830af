// Package seawall holds the nouns that every part of Seawall speaks: findings,
// the objects they are about, where they stand, and what was and was not
// examined. It imports the standard library only, does no work of its own and
// promises that the JSON of these types changes only by addition.
package seawall

import (
	"fmt"
	"strings"
)

// Severity ranks how bad a finding is. The zero value is no severity at all.
type Severity uint8

// The severities, worst last so that they compare with < and >.
const (
	None Severity = iota
	Low
	Medium
	High
	Critical
)

var severityNames = [...]string{"none", "low", "medium", "high", "critical"}

// String returns the lower-case name.
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return fmt.Sprintf("severity(%d)", uint8(s))
}

// MarshalText writes the lower-case name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name in any case.
func (s *Severity) UnmarshalText(text []byte) error {
	v, err := ParseSeverity(string(text))
	if err != nil {
		return err
	}
	*s = v
	return nil
}

// ParseSeverity reads none, low, medium, high or critical, in any case.
func ParseSeverity(name string) (Severity, error) {
	for i, n := range severityNames {
		if strings.EqualFold(n, name) {
			return Severity(i), nil
		}
	}
	return None, fmt.Errorf("unknown severity %q: use none, low, medium, high or critical", name)
}

// Phase says when in a container's life a check looks.
type Phase string

// The phases.
const (
	Build   Phase = "build"
	Deploy  Phase = "deploy"
	Runtime Phase = "runtime"
)

// Layer is one of the four C's.
type Layer string

// The layers.
const (
	CloudLayer     Layer = "cloud"
	ClusterLayer   Layer = "cluster"
	ContainerLayer Layer = "container"
	CodeLayer      Layer = "code"
)

// Finding is one thing that is wrong with one subject. A scan makes many
// thousands, so what they have in common is shared: see [Rule] and [Object].
type Finding struct {
	// ID is a fingerprint of subject, check and cause. It does not change when
	// lines move, so baselines and exceptions can hold on to it.
	ID string `json:"id"`
	// Rule is never nil.
	*Rule
	Severity Severity `json:"severity"`
	// Known is set when the baseline holds this finding already.
	Known    bool     `json:"known,omitempty"`
	Subject  Subject  `json:"subject"`
	Location Location `json:"location"`
	Message  string   `json:"message"`
	// Fix holds the JSON patch operations, relative to the whole object, that
	// remove the finding. Empty where no safe mechanical fix exists.
	Fix []PatchOp `json:"fix,omitempty"`
	// Suppressed is set when somebody accepted this finding.
	Suppressed *Suppression `json:"suppressed,omitempty"`
	// Vulnerability is set for findings of known flaws in packages.
	Vulnerability *Vulnerability `json:"vulnerability,omitempty"`
	// AttackPath is set for findings that an attacker can use on the way to a goal.
	AttackPath *AttackPath `json:"attackPath,omitempty"`
}

// Rule is what every finding of one check says of the check. The findings share
// one Rule, which nobody changes.
type Rule struct {
	// Check is the slug of the check, as `seawall explain` takes it.
	Check string `json:"check"`
	Title string `json:"title"`
	Phase Phase  `json:"phase,omitempty"`
	Layer Layer  `json:"layer,omitempty"`
	// Remediation is one line; the check's own page has the rest.
	Remediation string   `json:"remediation,omitempty"`
	Refs        []string `json:"refs,omitempty"`
}

// Vulnerability is a known flaw in an installed package, merged over the
// sources that describe it.
type Vulnerability struct {
	// ID is the CVE where there is one, else the first source's ID. Aliases holds
	// all other IDs, sorted.
	ID      string   `json:"id"`
	Aliases []string `json:"aliases,omitempty"`
	// Package is what the advisory names: of distributions the source package.
	Package string `json:"package"`
	PURL    string `json:"purl,omitempty"`
	// Binaries are the installed packages that were built from Package.
	Binaries  []string `json:"binaries,omitempty"`
	Installed string   `json:"installed"`
	// Fixed is the lowest version that is not affected, empty where none is.
	Fixed string `json:"fixed,omitempty"`
	// Status is affected, fixed (a fix is available), wont-fix, deferred,
	// not-affected or unknown.
	Status string `json:"status,omitempty"`
	// Reach says what is known of the vulnerable code in the file: called-for
	// function linked in (function), only other parts of the package (package),
	// or nothing of it (absent). Empty where it cannot be told.
	Reach    string   `json:"reach,omitempty"`
	Symbols  []string `json:"symbols,omitempty"` // vulnerable functions that are linked in
	Severity Severity `json:"severity"`
	// CVSS is the base score, 0 to 10, of the newest version that a source gives;
	// Vector is its vector.
	CVSS   float64 `json:"cvss,omitempty"`
	Vector string  `json:"vector,omitempty"`
	// EPSS is the probability, 0 to 1, of exploitation within 30 days.
	EPSS float64 `json:"epss,omitempty"`
	// KEV is the day (YYYY-MM-DD) CISA listed it as exploited.
	KEV  string   `json:"kev,omitempty"`
	CWEs []string `json:"cwes,omitempty"`
	// RCE says that exploitation runs code of the attacker's choice from the
	// network, as the weakness and the vector tell.
	RCE     bool     `json:"rce,omitempty"`
	Sources []string `json:"sources,omitempty"` // the feeds that say so
	// Layer is the digest (diffID) of the layer that brought the package.
	Layer string `json:"layer,omitempty"`
	Path  string `json:"path,omitempty"`
	// Excluded says in words what rules the flaw out although a version number
	// alone would not: it is not linked in, or of another platform, or the
	// distribution says that its build does not have it.
	Excluded string `json:"excluded,omitempty"`
	// VEX is the statement that changed the status, if one did.
	VEX *VEX `json:"vex,omitempty"`
}

// VEX is what a vendor or user stated on a vulnerability in a product.
type VEX struct {
	Status        string `json:"status"` // OpenVEX: not_affected, affected, fixed, under_investigation
	Justification string `json:"justification,omitempty"`
	Statement     string `json:"statement,omitempty"`
	Source        string `json:"source"` // the document
}

// Subject names the object, and within it the container or image, that a
// finding is about. Compare the Objects that two subjects point to, never the
// subjects: the same name may stand in two places.
type Subject struct {
	_ [0]func() // takes == away

	// Object is never nil. It may name nothing.
	*Object
	Container string `json:"container,omitempty"`
	Image     string `json:"image,omitempty"`
}

// Object is the name of an object. All findings about the object share one,
// which nobody changes. Two objects are the same if their names are equal.
type Object struct {
	Cluster    string `json:"cluster,omitempty"`
	Kind       string `json:"kind,omitempty"`
	APIVersion string `json:"apiVersion,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name,omitempty"`
}

// String returns kind/namespace/name for people, without empty parts.
func (o Object) String() string {
	out := o.Kind
	if o.Namespace != "" {
		out += "/" + o.Namespace
	}
	if o.Name != "" {
		out += "/" + o.Name
	}
	return out
}

// Location is a place in a file, and in the object that stands there. Line and
// Column count from 1; 0 means that the source has no lines (a live cluster).
type Location struct {
	// File is as the user named it, with / between its parts.
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	// Path is the place in the object: spec.containers[0].image.
	Path string `json:"path,omitempty"`
	// Value is the Helm chart value that decides what stands here, if one does.
	Value *ChartValue `json:"value,omitempty"`
}

// ChartValue names a value of a Helm chart and where it is set.
type ChartValue struct {
	Path string `json:"path"` // image.tag, as --set takes it
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

// String returns file:line:column without the parts that are unknown.
func (l Location) String() string {
	switch {
	case l.File == "":
		return l.Path
	case l.Line == 0:
		return l.File
	case l.Column == 0:
		return fmt.Sprintf("%s:%d", l.File, l.Line)
	default:
		return fmt.Sprintf("%s:%d:%d", l.File, l.Line, l.Column)
	}
}

// PatchOp is one operation of a JSON patch (RFC 6902): add, replace or remove.
type PatchOp struct {
	Op   string `json:"op"`
	Path string `json:"path"`
	// Value is absent for remove. It holds what encoding/json would decode:
	// nil, bool, int64, float64, string, []any or map[string]any.
	Value any `json:"value,omitempty"`
}

// Suppression says who accepted a finding, why and until when.
type Suppression struct {
	Reason  string `json:"reason"`
	Expires string `json:"expires,omitempty"` // YYYY-MM-DD, last day included
	By      string `json:"by"`                // annotation, comment or file
}

// Incomplete is something that could not be read or evaluated. It is never
// counted as passed.
type Incomplete struct {
	Location Location `json:"location"`
	// Check is set when one check, rather than an input, could not be judged.
	Check  string `json:"check,omitempty"`
	Reason string `json:"reason"`
}

// Skipped is a file that was looked at and found to be something else than
// what the scan examines, such as a CI workflow.
type Skipped struct {
	File   string `json:"file"`
	Reason string `json:"reason"`
}

// Coverage is the ledger of what a report rests on.
type Coverage struct {
	// Documents counts YAML and JSON documents read; Objects the Kubernetes
	// objects found in them, List items and rendered templates included.
	Documents int `json:"documents"`
	Objects   int `json:"objects"`
	// WithoutNamespace counts the objects of files that name no namespace and are
	// judged as those of default.
	WithoutNamespace int `json:"withoutNamespace,omitempty"`
	// Evaluated counts objects by apiVersion/Kind that at least one check
	// examined; Unexamined those that none did.
	Evaluated  map[string]int `json:"evaluated,omitempty"`
	Unexamined map[string]int `json:"unexamined,omitempty"`
	Incomplete []Incomplete   `json:"incomplete,omitempty"`
	// NotEvaluated names checks that were asked for but need more than the scan
	// was given, such as the result of an image scan. They do not count as
	// passed, nor as input that could not be read.
	NotEvaluated []Incomplete `json:"notEvaluated,omitempty"`
	Skipped      []Skipped    `json:"skipped,omitempty"`
	// Images are the images that were scanned, and Database the vulnerability
	// database that they were held against.
	Images   []ImageCoverage   `json:"images,omitempty"`
	Database *DatabaseCoverage `json:"database,omitempty"`
}

// ImageCoverage says what was read of an image.
type ImageCoverage struct {
	Name string `json:"name"`
	// Reference is the name that the image itself goes by, where it has one.
	Reference string `json:"reference,omitempty"`
	Digest    string `json:"digest,omitempty"`
	Platform  string `json:"platform,omitempty"`
	Distro    string `json:"distro,omitempty"`
	Layers    int    `json:"layers"`
	Files     int    `json:"files"`
	Size      int64  `json:"size"` // bytes of the files that a container sees
	Packages  int    `json:"packages"`
	// NotAffected counts flaws that a version number alone would have held against
	// the image, and that evidence or the vendor's word rules out.
	NotAffected int `json:"notAffected,omitempty"`
	// Workloads are those of the same scan that run the image.
	Workloads []ImageUse `json:"workloads,omitempty"`
}

// ImageUse is a workload that runs an image.
type ImageUse struct {
	Workload  string `json:"workload"` // Deployment/shop/web
	Container string `json:"container"`
	// Exposed names the way from outside to its pods, empty where there is none.
	Exposed string `json:"exposed,omitempty"`
	// Path is the worst attack path through its pods: the internet -> cluster-admin.
	Path string `json:"path,omitempty"`
}

// DatabaseCoverage says how far a vulnerability database can be relied on.
type DatabaseCoverage struct {
	File  string `json:"file"`
	Built string `json:"built"` // RFC 3339
	// AgeDays counts from Built to the day of the scan.
	AgeDays int  `json:"ageDays"`
	Records int  `json:"records"`
	Signed  bool `json:"signed"`
	// Gaps are sources that the database was to hold and does not.
	Gaps []string `json:"gaps,omitempty"`
}

// Summary counts findings that are not suppressed by severity, and those that
// are.
type Summary struct {
	Critical   int `json:"critical"`
	High       int `json:"high"`
	Medium     int `json:"medium"`
	Low        int `json:"low"`
	Suppressed int `json:"suppressed"`
}

// Add counts one finding.
func (s *Summary) Add(f *Finding) {
	if f.Suppressed != nil {
		s.Suppressed++
		return
	}
	switch f.Severity {
	case Critical:
		s.Critical++
	case High:
		s.High++
	case Medium:
		s.Medium++
	case Low:
		s.Low++
	case None:
	}
}

// Control is the verdict on one control of a framework over a whole report.
type Control struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	// Checks are the slugs that decide the control. A control that no check
	// decides is not evaluated, with the reason.
	Checks []string `json:"checks,omitempty"`
	// Passed, Failed and NotEvaluated count objects.
	Passed       int    `json:"passed"`
	Failed       int    `json:"failed"`
	NotEvaluated int    `json:"notEvaluated"`
	Status       string `json:"status"` // passed, failed or not-evaluated
	Reason       string `json:"reason,omitempty"`
}

// Framework is a benchmark seen through the findings of a report.
type Framework struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Controls []Control `json:"controls"`
}

// Report is the whole result of a scan.
type Report struct {
	Version    string      `json:"version"`
	Targets    []string    `json:"targets"`
	Findings   []*Finding  `json:"findings"`
	Coverage   Coverage    `json:"coverage"`
	Frameworks []Framework `json:"frameworks,omitempty"`
	// AttackPaths are those that findings lie on; nil where there are none, or none
	// were looked for.
	AttackPaths *AttackPaths `json:"attackPaths,omitempty"`
	// Warnings are for the user to act on but say nothing about the targets'
	// security: an exception that expired or matched nothing, a baseline entry
	// that is gone.
	Warnings []string `json:"warnings,omitempty"`
	Summary  Summary  `json:"summary"`
}
