package check

import (
	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
)

// Func is a check that looks across objects. It reports each offence that it
// finds through in, in a deterministic order, and returns. It must not keep in.
type Func func(in *Input)

// Input is what a Func works on.
type Input struct {
	Snapshot *cluster.Snapshot
	// Params are the check's parameters: its file's, changed by the user's
	// configuration. Values are as encoding/json decodes them, with int64.
	Params map[string]any
	// Minor is the Kubernetes minor version to judge for.
	Minor int

	rule  *active
	out   *Result
	holes []seawall.Incomplete
}

// Hit is one offence against a check.
type Hit struct {
	// Object is what the finding is about.
	Object *cluster.Object
	// Path leads from the object to the cause: roleRef, spec.rules[0].host.
	Path string
	// Container names the container, where one is at fault.
	Container string
	// Image is the image at fault, where one is.
	Image string
	// Message says what is wrong with this one. Empty takes the rule's.
	Message string
	// Cause tells apart two offences of one object at one path, so that each
	// keeps an ID of its own. Leave it empty where path and container do.
	Cause string
	// Same, when set, is what the finding's ID rests on in place of Path, for lists
	// whose order says nothing.
	Same string
	// Severity, when set, replaces the rule's.
	Severity seawall.Severity
	// Fix removes the offence: JSON patch operations on Object.
	Fix []seawall.PatchOp
	// Suppressed is set where what the check knows settles the offence.
	Suppressed *seawall.Suppression
	// Vulnerability is set where the offence is a known flaw in a package.
	Vulnerability *seawall.Vulnerability
}

// Report adds an offence. What a workload made has the workload's mistakes:
// they are reported once, with the workload.
func (in *Input) Report(h Hit) {
	if !in.Snapshot.Represented(h.Object) {
		in.out.hit(in.rule, &h)
	}
}

// Unknown says that the check could not be judged for o, or at all when o is
// nil, and why. What is unknown is never counted as passed.
func (in *Input) Unknown(o *cluster.Object, reason string) {
	hole := seawall.Incomplete{Reason: reason, Check: in.rule.ID}
	if o != nil {
		hole.Location = o.Locate("metadata.name")
	}
	in.holes = append(in.holes, hole)
}

// Unmet says that what the rule needs beyond objects is not there, or not for
// all of them: the rule is reported as not evaluated, and what there was of it
// stands.
func (in *Input) Unmet(reason string) {
	in.out.NotEvaluated = append(in.out.NotEvaluated, seawall.Incomplete{Check: in.rule.ID, Reason: reason})
}

// Strings returns a parameter that is a list of strings.
func (in *Input) Strings(name string) []string {
	list, _ := in.Params[name].([]any)
	out := make([]string, 0, len(list))
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// Int returns a parameter that is a number, fallback when it is not set.
func (in *Input) Int(name string, fallback int) int {
	switch v := in.Params[name].(type) {
	case int64:
		return int(v)
	case float64:
		return int(v)
	}
	return fallback
}
