package reach

import (
	"fmt"
	"slices"

	"seawall.io/seawall/internal/netpol"
)

// explanation gathers what decides about one port, in the order in which the
// tiers are asked.
type explanation struct {
	m       *Model
	profile *profile
	other   *endpoint
	q       question
	place   uint32
	reasons []Reason
}

// explain says why a profile gives its answer.
func (m *Model) explain(p *profile, other *endpoint, port Port) []Reason {
	x := &explanation{m: m, profile: p, other: other, q: m.about(other), place: port.place()}
	if p.direction == netpol.Ingress {
		x.q.named = p.ports
	}
	switch {
	case m.unlisted != "":
		x.say(nil, "", "%s could not be listed: others than those that were read may decide", m.unlisted)
		return x.reasons
	case len(p.foreign) > 0:
		for _, a := range p.foreign {
			x.say(a.Policy, a.Path, "is in a language whose rules Seawall does not read, so that it may allow or deny this")
		}
		return x.reasons
	}
	if !x.admin(netpol.AdminTier) && !x.network() && !x.admin(netpol.BaselineTier) {
		if len(x.reasons) == 0 {
			x.say(nil, "", "no policy isolates the pods, so that everything is allowed")
		} else {
			x.say(nil, "", "otherwise no policy isolates the pods, so that everything is allowed")
		}
	}
	if x.q.node && p.direction == netpol.Ingress && m.judge(p, x.q).at(x.place) == Depends {
		x.say(nil, "", "a pod's own node always reaches it; whether other nodes do depends on the network plugin")
	}
	if m.cni.Note != "" && len(x.reasons) > 0 && len(p.tiers[netpol.NetworkTier]) > 0 {
		x.say(nil, "", "%s", m.cni.Note)
	}
	return x.reasons
}

func (x *explanation) say(p *netpol.Policy, path, format string, args ...any) {
	x.reasons = append(x.reasons, Reason{Direction: x.profile.direction, Policy: p, Path: path, Text: fmt.Sprintf(format, args...)})
}

// faults says why a policy cannot be relied on.
func (x *explanation) faults(a applied) {
	for _, f := range a.Faults() {
		x.say(a.Policy, f.Path, "would be refused by the API server, so that what holds in its place is not known: %s: %v", f.Path, f.Err)
	}
}

// doubt says why a rule matches for sure or not: "" or " if it matches: ...".
func (x *explanation) doubt(a applied, r *rule) string {
	out := ""
	for _, mt := range r.peers {
		if answer := x.q.match(mt); answer == Depends || answer == Unknown {
			out = " if it matches: " + x.m.why(mt, x.other, answer)
		} else if answer == Allowed {
			out = ""
			break
		}
	}
	if out == "" && a.answer != Allowed {
		out = " if it holds for the pods: the labels that it asks for are not known"
	}
	return out
}

// effective returns the policies that may have an effect, and says of the others
// that they have none. One that surely has is not spoken of.
func (x *explanation) effective(list []applied) []applied {
	var out []applied
	for _, a := range list {
		admin, enforced := a.Tier() != netpol.NetworkTier, x.m.enforces(x.profile, a)
		switch {
		case enforced == Allowed:
		case x.m.cni.Enforces == Denied:
			x.say(a.Policy, a.Path, "is present, not enforced: %s enforces no policies", x.m.cni.Name)
		case admin && enforced == Denied:
			x.say(a.Policy, a.Path, "is present, not enforced: %s knows no %s", x.m.cni.Name, a.Object.Kind)
		case admin:
			x.say(a.Policy, a.Path, "is enforced by some versions of %s only", x.m.cni.Name)
		case enforced == Denied:
			x.say(a.Policy, a.Path, "is present, not enforced: the pods are on the host's network")
		default:
			x.say(a.Policy, a.Path, "may be without effect: the pods are on the host's network, which the API leaves to the network plugin")
		}
		if enforced != Denied {
			out = append(out, a)
		}
	}
	return out
}

// admin explains a tier of the administrator. It returns true where the tier
// decides for sure.
func (x *explanation) admin(tier netpol.Tier) bool {
	list := x.effective(x.profile.tiers[tier])
	for i, a := range list {
		if len(a.Faults()) > 0 {
			x.faults(a)
			return true
		}
		shared := slices.ContainsFunc(list, func(o applied) bool { return o.policy != a.policy && o.Priority() == a.Priority() && x.hits(o) })
		r := x.rulesOf(a, tier, shared)
		last := !slices.ContainsFunc(list[i+1:], func(o applied) bool { return o.Priority() == a.Priority() })
		if r != nil && a.answer.and(x.m.enforces(x.profile, a)) == Allowed && (!shared || last) {
			return r.Action != netpol.Pass
		}
	}
	return false
}

// rulesOf explains the rules of a policy of the administrator that match, up to
// the first that does for sure, which it returns.
func (x *explanation) rulesOf(a applied, tier netpol.Tier, shared bool) *rule {
	verbs := map[netpol.Action]string{netpol.Allow: "allows it", netpol.Deny: "denies it", netpol.Pass: "leaves it to the next tier"}
	for _, r := range a.rules[x.profile.direction] {
		on := x.m.matches(r, x.q).at(x.place)
		if on == Denied {
			continue
		}
		text := fmt.Sprintf("%s by %s (%s tier, priority %d)%s", verbs[r.Action], r.Path, tier, a.Priority(), x.doubt(a, r))
		if r.FailClosed != "" {
			text += ": a kind of peer that is not known, at " + r.FailClosed
		}
		if shared {
			text += "; another policy of that priority matches too, and which of them decides is undefined"
		}
		x.say(a.Policy, r.Path, "%s", text)
		if on == Allowed {
			return r
		}
	}
	return nil
}

func (x *explanation) hits(a applied) bool {
	return slices.ContainsFunc(a.rules[x.profile.direction], func(r *rule) bool { return x.m.matches(r, x.q).at(x.place) != Denied })
}

// network explains the NetworkPolicies. It returns true where they decide.
func (x *explanation) network() bool {
	list := x.effective(x.profile.tiers[netpol.NetworkTier])
	isolated, allowed, doubtful := Denied, false, false
	matches := func(a applied, each func(*rule, Answer)) {
		for _, r := range a.rules[x.profile.direction] {
			if on := x.m.matches(r, x.q).at(x.place).and(a.answer); on != Denied && len(a.Faults()) == 0 {
				each(r, on)
			}
		}
	}
	for _, a := range list {
		isolated = isolated.or(a.answer.and(x.m.enforces(x.profile, a)))
		matches(a, func(r *rule, on Answer) {
			if on == Allowed {
				x.say(a.Policy, r.Path, "allows it by %s", r.Path)
				allowed = true
			}
		})
	}
	for _, a := range list {
		if allowed {
			break // whatever else there is
		}
		x.faults(a)
		doubtful = doubtful || len(a.Faults()) > 0
		matches(a, func(r *rule, _ Answer) {
			x.say(a.Policy, r.Path, "allows it by %s%s", r.Path, x.doubt(a, r))
			doubtful = true
		})
	}
	for _, a := range list {
		switch {
		case allowed || len(a.Faults()) > 0:
		case doubtful:
			x.say(a.Policy, a.Path, "isolates the pods, and no other rule of it allows this")
		default:
			x.say(a.Policy, a.Path, "isolates the pods, and none of its rules allows this")
		}
	}
	return isolated == Allowed
}
