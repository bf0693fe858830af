package vuln

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall"
)

// Priority says how urgent a finding is beside others, and why.
type Priority struct {
	// Score is the sum of the reasons' points. It orders; it measures nothing.
	Score   int
	Reasons []Points
}

// Points are what one fact adds to a priority, or takes from it.
type Points struct {
	Points int
	Why    string
}

// String gives the reasons from the weightiest to the lightest.
func (p Priority) String() string {
	words := make([]string, len(p.Reasons))
	for i, r := range p.Reasons {
		words[i] = r.Why
	}
	return strings.Join(words, "; ")
}

// The points. Exploitation outweighs all other facts together, and evidence
// that the flawed code is not there outweighs even that. A flawed function that
// is linked in weighs as much as the step from one severity to the next.
const (
	pointsSettled  = -2000 // not affected: by VEX, by the vendor, by evidence
	pointsNotThere = -1000
	pointsKEV      = 600
	pointsFunction = 70
	pointsRCE      = 40
	pointsFix      = 20
	pointsEPSS     = 100 // at a probability of 1
)

var pointsSeverity = map[seawall.Severity]int{ //nolint:gochecknoglobals // a constant table
	seawall.Critical: 280, seawall.High: 210, seawall.Medium: 140, seawall.Low: 70,
}

// Rank weighs a finding. In their order of weight: whether it is settled;
// whether the flawed code is in the file; whether it is exploited (KEV); its
// severity; how likely it is to be exploited (EPSS); whether the flawed function
// is linked in; whether it runs the attacker's code; whether there is a fix to
// take.
func Rank(v *seawall.Vulnerability, rce bool) Priority {
	var p Priority
	add := func(points int, why string) {
		if points != 0 {
			p.Score += points
			p.Reasons = append(p.Reasons, Points{points, why})
		}
	}
	switch {
	case v.VEX != nil && settled(v.VEX.Status):
		add(pointsSettled, "VEX of "+v.VEX.Source+" says "+v.VEX.Status)
	case v.Status == statusNotAffected:
		add(pointsSettled, "not affected")
	}
	if v.Reach == string(reachPackage) || v.Reach == string(reachAbsent) {
		add(pointsNotThere, "no flawed function is linked into the binary")
	}
	if v.KEV != "" {
		add(pointsKEV, "exploited, listed by CISA on "+v.KEV)
	}
	add(pointsSeverity[v.Severity], v.Severity.String())
	add(int(v.EPSS*pointsEPSS+0.5), fmt.Sprintf("EPSS %.0f %%", v.EPSS*100))
	if v.Reach == string(reachFunction) {
		add(pointsFunction, "flawed function linked into the binary")
	}
	if rce {
		add(pointsRCE, "runs code from the network")
	}
	if v.Fixed != "" {
		add(pointsFix, "fixed in "+v.Fixed)
	}
	slices.SortStableFunc(p.Reasons, func(a, b Points) int { return cmp.Compare(weight(b), weight(a)) })
	return p
}

func weight(p Points) int { return max(p.Points, -p.Points) }

func settled(status string) bool { return status == "not_affected" || status == "fixed" }

// Less orders matches, the most urgent first. The order is total but for two
// matches of one flaw in one package at one place, and no clock or order of
// input has a part in it.
func Less(a, b *Match) bool { return compare(a, b) < 0 }

func compare(a, b *Match) int {
	v, w := &a.Vulnerability, &b.Vulnerability
	return cmp.Or(
		cmp.Compare(b.Priority.Score, a.Priority.Score),
		cmp.Compare(w.Severity, v.Severity),
		cmp.Compare(w.EPSS, v.EPSS),
		cmp.Compare(w.CVSS, v.CVSS),
		strings.Compare(v.ID, w.ID),
		strings.Compare(v.Package, w.Package),
		strings.Compare(v.Installed, w.Installed),
		strings.Compare(v.Path, w.Path),
		strings.Compare(v.PURL, w.PURL),
	)
}
