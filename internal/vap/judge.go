package vap

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/common/types"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/document"
)

// judge judges all objects by the policy.
func (p *policy) judge(in *check.Input) {
	for _, r := range reviews(in.Snapshot) {
		v := verdict{policy: p, in: in, review: r}
		v.judge()
		v.report()
	}
}

// verdict is what a policy says of one object.
type verdict struct {
	policy *policy
	in     *check.Input
	review *review
	// version is the one that the policy's rules ask for.
	version  string
	offences []offence
}

// offence is one way in which the object violates the policy.
type offence struct {
	binding *binding
	message string
	path    string // in what is judged
	cause   string
	// config says that the API server could not judge: it denies then, whatever
	// the binding's actions.
	config bool
}

func (v *verdict) judge() {
	p, r := v.policy, v.review
	version, yes, reason := p.constraints.chosen(v.in.Snapshot, r)
	if reason != "" {
		v.unknown(reason)
		return
	}
	if !yes {
		return
	}
	v.version = version
	for i := range p.bindings {
		b := &p.bindings[i]
		_, yes, reason := b.constraints.chosen(v.in.Snapshot, r)
		switch {
		case reason != "":
			v.unknown(reason)
		case yes:
			v.bound(b)
		}
	}
}

// bound judges the object by the policy with one of its bindings.
func (v *verdict) bound(b *binding) {
	params, reason, err := v.policy.params(v.in.Snapshot, b, v.review)
	switch {
	case reason != "":
		v.unknown(reason)
		return
	case err != nil:
		v.fail(offence{binding: b, message: "failed to configure binding: " + err.Error(), cause: "binding", config: true})
		return
	case len(params) > 0 && v.version != v.review.res.version && !v.review.res.alike:
		v.unknown(fmt.Sprintf("it asks for version %s of the object, which reads differently: write the object in that version", v.version))
		return
	}
	for _, param := range params {
		v.evaluate(b, param)
	}
}

// fail adds an offence that the failurePolicy may forgive.
func (v *verdict) fail(o offence) {
	if !v.policy.ignore {
		v.offences = append(v.offences, o)
	}
}

func (v *verdict) unknown(reason string) {
	v.in.Unknown(v.review.object, fmt.Sprintf("policy %s could not be judged on %s: %s",
		v.policy.object.Name, v.review.object.Subject(), reason))
}

// failure sorts an error of an evaluation: what a scan cannot know is unknown,
// all else is what the API server would meet too.
func (v *verdict) failure(o offence, a *activation, err error) {
	if a.hidden != "" {
		v.unknown(a.hidden)
		return
	}
	o.message = err.Error()
	v.fail(o)
}

// evaluate judges the object with one set of parameters.
func (v *verdict) evaluate(b *binding, params *document.Node) {
	p := v.policy
	if !v.conditions(b, params) {
		return
	}
	a := newActivation(v, params, budget)
	for i := range p.validations {
		val := &p.validations[i]
		o := offence{binding: b, path: val.path, cause: val.text}
		out, err := a.eval(val.code)
		switch {
		case errors.Is(err, errBudget):
			v.failure(o, a, err)
			return
		case err != nil:
			v.failure(o, a, fmt.Errorf("expression '%s' resulted in error: %w", val.text, err))
		case out != types.True:
			o.message = v.message(val, params, a.budget)
			v.offences = append(v.offences, o)
		}
	}
	v.audit(b, params)
}

// conditions says whether all match conditions hold. One that does not hold
// counts for more than one that cannot be evaluated.
func (v *verdict) conditions(b *binding, params *document.Node) bool {
	if len(v.policy.conditions) == 0 {
		return true
	}
	a := newActivation(v, params, conditionBudget)
	a.noNamespace = true
	var failed []string
	for _, c := range v.policy.conditions {
		out, err := a.eval(c)
		switch {
		case errors.Is(err, errBudget):
			v.failure(offence{binding: b, cause: "condition"}, a, err)
			return false
		case err != nil:
			failed = append(failed, fmt.Sprintf("expression '%s' resulted in error: %v", c.text, err))
		case out != types.True:
			return false
		}
	}
	if len(failed) == 0 {
		return true
	}
	err := errors.New(failed[0])
	if len(failed) > 1 {
		err = errors.New("[" + strings.Join(failed, ", ") + "]")
	}
	v.failure(offence{binding: b, cause: "condition"}, a, err)
	return false
}

// audit evaluates the audit annotations: the API server denies where one cannot
// be evaluated.
func (v *verdict) audit(b *binding, params *document.Node) {
	if len(v.policy.annotations) == 0 {
		return
	}
	a := newActivation(v, params, budget)
	for _, c := range v.policy.annotations {
		if _, err := a.eval(c); err != nil {
			v.failure(offence{binding: b, path: c.path, cause: c.text, config: true}, a,
				fmt.Errorf("expression '%s' resulted in error: %w", c.text, err))
			if errors.Is(err, errBudget) {
				return
			}
		}
	}
}

// maxMessage is how long a message that an expression makes may be.
const maxMessage = 5 << 10

// message says what is wrong: by the messageExpression, else the message, else
// the expression that failed.
func (v *verdict) message(val *validation, params *document.Node, left int64) string {
	if val.dynamic != nil {
		a := newActivation(v, params, left)
		if out, err := a.eval(val.dynamic); err == nil {
			s, _ := out.(types.String)
			text := strings.TrimSpace(string(s))
			if text != "" && len(text) <= maxMessage && !strings.Contains(text, "\n") {
				return text
			}
		}
	}
	if val.message != "" {
		return val.message
	}
	return "failed expression: " + val.text
}

// report reports each offence once, as the sternest of the bindings has it.
func (v *verdict) report() {
	slices.SortStableFunc(v.offences, func(a, b offence) int { return cmp.Compare(a.sternness(), b.sternness()) })
	type same struct{ cause, message string }
	seen := map[same]bool{}
	times := map[string]int{}
	for _, o := range v.offences {
		id := same{o.cause, o.message}
		if seen[id] {
			continue
		}
		seen[id] = true
		cause := o.cause
		if n := times[o.cause]; n > 0 { // with other parameters
			cause += "\x00" + o.message
		}
		times[o.cause]++
		hit := check.Hit{Object: v.review.object, Path: v.review.locate(o.path), Message: o.message, Cause: cause}
		if v.review.pod != nil {
			hit.Cause += "\x00" + v.review.pod.SpecPath
		}
		severity := seawall.High
		if o.sternness() > 0 {
			hit.Message += " (the API server admits it: " + strings.ToLower(strings.Join(o.binding.actions, ", ")) + " only)"
			severity = seawall.Medium
		}
		if !v.policy.rated {
			hit.Severity = severity
		}
		v.in.Report(hit)
	}
}

// sternness is 0 for an offence that is denied, 1 for one that is warned of, 2
// for one that only the audit log has.
func (o *offence) sternness() int {
	switch {
	case o.config, slices.Contains(o.binding.actions, "Deny"):
		return 0
	case slices.Contains(o.binding.actions, "Warn"):
		return 1
	}
	return 2
}
