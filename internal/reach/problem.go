package reach

import (
	"slices"

	"seawall.io/seawall/internal/netpol"
)

// Problem is something in the policies that makes answers uncertain.
type Problem struct {
	// Policy is nil for what concerns all answers.
	Policy *netpol.Policy
	Path   string
	Text   string
	// Unread says that a part of the input could not be judged. Otherwise the policy
	// was understood, and leaves something to chance.
	Unread bool
}

// Problems are policies with faults, policies in languages that are not read,
// policies that were not listed, and policies of the administrator of equal
// priority that hold for the same pods.
func (m *Model) Problems() []Problem {
	var out []Problem
	if m.unlisted != "" {
		out = append(out, Problem{Text: m.unlisted + " could not be listed: every answer may be another", Unread: true})
	}
	equal := m.equalPriorities()
	for _, p := range m.compiled {
		for _, f := range p.Faults() {
			out = append(out, Problem{p.Policy, f.Path, f.Path + ": " + f.Err.Error(), true})
		}
		switch {
		case p.Understood() || !m.speaks(p):
		case p.Err != nil:
			out = append(out, Problem{p.Policy, p.Path, "its selector cannot be read: " + p.Err.Error(), true})
		default:
			out = append(out, Problem{p.Policy, p.Path, "its rules are not read: answers for its pods are unknown", true})
		}
		if other := equal[p]; other != nil {
			out = append(out, Problem{
				p.Policy, "spec.priority",
				"has the priority of " + PolicyName(other.Policy) + ", and both hold for some pods: where both match, which decides is undefined", false,
			})
		}
	}
	return out
}

// equalPriorities returns for policies the first other of the same priority that
// holds for some of the same pods.
func (m *Model) equalPriorities() map[*policy]*policy {
	out := map[*policy]*policy{}
	for _, c := range m.classes {
		for _, p := range c.profiles {
			for _, list := range [...][]applied{p.tiers[netpol.AdminTier], p.tiers[netpol.BaselineTier]} {
				for i, a := range list {
					first := slices.IndexFunc(list, func(b applied) bool { return b.Priority() == a.Priority() })
					if first < i && out[a.policy] == nil {
						out[a.policy] = list[first].policy
					}
				}
			}
		}
	}
	return out
}
