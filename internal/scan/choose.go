package scan

import (
	"fmt"
	"path"
	"slices"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
)

// Choice says which checks run.
type Choice struct {
	// Globs name checks by ID; a * stands for any run of characters. Checks that
	// are off by default run when a glob names them.
	Globs []string
	// Severity leaves out checks below it.
	Severity seawall.Severity
	// Frameworks restrict the checks to those that decide a control of one.
	Frameworks []check.Framework
	// Enable and Disable name checks by glob too: those to run though they are
	// off by default, and those not to run at all.
	Enable, Disable []string
}

// choose returns the rules that run, in the order given.
func (c *Choice) choose(rules []*check.Rule) ([]*check.Rule, error) {
	for _, glob := range c.Globs {
		if err := Named(rules, glob); err != nil {
			return nil, err
		}
	}
	inFramework := map[string]bool{}
	for _, f := range c.Frameworks {
		for _, control := range f.Controls {
			for _, id := range control.Checks {
				inFramework[id] = true
			}
		}
	}
	var out []*check.Rule
	for _, r := range rules {
		// A scan sees no events: checks on them are left out, and where they were
		// named the report says so.
		if r.OnEvents() && len(c.Globs) == 0 {
			continue
		}
		if c.runs(r, inFramework) {
			out = append(out, r)
		}
	}
	return out, nil
}

func (c *Choice) runs(r *check.Rule, inFramework map[string]bool) bool {
	switch {
	case r.Severity < c.Severity, among(c.Disable, r.ID):
		return false
	case len(c.Frameworks) > 0 && !inFramework[r.ID]:
		return false
	case len(c.Globs) > 0:
		return among(c.Globs, r.ID)
	}
	return !r.Off || len(c.Frameworks) > 0 || among(c.Enable, r.ID)
}

func among(globs []string, id string) bool {
	return slices.ContainsFunc(globs, func(g string) bool { return matches(g, id) })
}

func matches(glob, id string) bool {
	ok, err := path.Match(glob, id)
	return err == nil && ok
}

// Named refuses a name that no check has: a typo must not switch a check off.
func Named(rules []*check.Rule, glob string) error {
	if _, err := path.Match(glob, ""); err != nil {
		return fmt.Errorf("check %q: %w: use a name, or * for any run of characters", glob, err)
	}
	for _, r := range rules {
		if matches(glob, r.ID) {
			return nil
		}
	}
	return fmt.Errorf("no check is called %q%s", glob, check.Similar(rules, glob))
}
