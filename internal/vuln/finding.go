package vuln

import (
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/inventory/purl"
	"seawall.io/seawall/internal/vuln/cvss"
)

// The words of a finding's status; see seawall.Vulnerability.
const (
	statusFixed       = "fixed"
	statusAffected    = "affected"
	statusWontFix     = "wont-fix"
	statusDeferred    = "deferred"
	statusNotAffected = "not-affected"
	statusUnknown     = "unknown"
)

// conclude merges the claims on a subject into findings.
func (j *judge) conclude(s *subject, claims []claim) {
	var bridges func(yield func(names []string))
	if !s.packages[0].Type.OS() {
		bridges = func(yield func(names []string)) {
			for _, e := range s.ecosystems {
				j.db.Advisories(e, s.name, func(a *Advisory) bool {
					if single(a) && len(a.Aliases) > 0 {
						yield(named(a))
					}
					return true
				})
			}
		}
	}
	for _, f := range j.merger.flaws(claims, bridges) {
		j.find(s, &f)
	}
}

// find turns one flaw of a subject into a match or an exclusion.
func (j *judge) find(s *subject, f *flaw) {
	affected := make([]*claim, 0, len(f.claims))
	for _, c := range f.claims {
		if c.Status != statusNotAffected {
			affected = append(affected, c)
		}
	}
	if len(affected) == 0 {
		m := j.match(s, f, f.claims)
		m.Vulnerability.Fixed, m.Vulnerability.Status = "", statusNotAffected
		j.exclude(&m, ByVendor, "stated by "+strings.Join(m.Vulnerability.Sources, ", "))
		return
	}
	m := j.match(s, f, affected)
	if m.Package.Go != nil {
		e := linked(m.Package.Go, affected)
		m.Vulnerability.Reach, m.Vulnerability.Symbols = string(e.reach), e.symbols
		if e.excluded != "" {
			m.Vulnerability.Status = statusNotAffected
			j.exclude(&m, e.excluded, e.detail)
			return
		}
	}
	m.Priority = Rank(&m.Vulnerability, m.RCE)
	j.out.Matches = append(j.out.Matches, m)
}

func (j *judge) exclude(m *Match, why Reason, detail string) {
	m.Priority = Rank(&m.Vulnerability, m.RCE)
	j.out.NotAffected = append(j.out.NotAffected, Exclusion{Match: *m, Reason: why, Detail: detail})
}

// match writes down what the claims say of a flaw.
func (j *judge) match(s *subject, f *flaw, claims []*claim) Match {
	first := claims[0]
	for _, c := range claims {
		if c.name == s.name {
			first = c
			break
		}
	}
	// Binaries of one source may have versions of their own (nodejs and npm), so
	// that a fix is sought among the claims on the version that is shown.
	alike := make([]*claim, 0, len(claims))
	var packages []*inventory.Package
	for _, c := range claims {
		if c.name == first.name {
			alike = append(alike, c)
		}
		packages = append(packages, c.packages...)
	}
	p := j.representative(s, packages)
	v := seawall.Vulnerability{
		ID: f.id, Aliases: f.others, Package: s.name, PURL: purl.Of(p, &j.distro).String(),
		Installed: s.installed, Fixed: fixedIn(s.order, first.version, alike), Path: p.Path,
	}
	if first.name != s.name {
		v.Installed = first.version
	}
	if p.Type.OS() {
		for _, p := range packages {
			v.Binaries = append(v.Binaries, p.Name)
		}
		v.Binaries = unique(v.Binaries)
	}
	v.Status = status(v.Fixed, claims)
	for _, c := range claims {
		v.Sources = append(v.Sources, c.Source)
		v.CWEs = append(v.CWEs, c.CWEs...)
	}
	rce := j.enrich(&v, claims)
	v.Sources, v.CWEs = unique(v.Sources), unique(v.CWEs)
	return Match{Package: p, Vulnerability: v, RCE: rce}
}

// representative is the package of the source's name, else the first.
func (j *judge) representative(s *subject, packages []*inventory.Package) *inventory.Package {
	best := packages[0]
	for _, p := range packages {
		if p.Name == s.name && best.Name != s.name || (p.Name == s.name) == (best.Name == s.name) && byPlace(p, best) < 0 {
			best = p
		}
	}
	return best
}

func unique(words []string) []string {
	slices.Sort(words)
	return slices.Compact(words)
}

// status is that of the claim which says most: that there is a fix, that there
// will be none, that there is none yet.
func status(fixed string, claims []*claim) string {
	if fixed != "" {
		return statusFixed
	}
	best := statusUnknown
	for _, c := range claims {
		s := c.Status
		if s == "" {
			s = statusAffected
		}
		if telling(s) > telling(best) {
			best = s
		}
	}
	return best
}

func telling(status string) int {
	switch status {
	case statusWontFix:
		return 3
	case statusDeferred:
		return 2
	case statusAffected:
		return 1
	}
	return 0
}

// enrich adds severity, CVSS, EPSS, KEV and CWEs.
//
// The severity is the first that is given of: the distribution's own, for its
// packages, or GitHub's, for packages of languages; the highest of the other
// sources that match; what is known of the CVE elsewhere; the CVSS score.
// Exploitation does not raise it: KEV stands beside it.
func (j *judge) enrich(v *seawall.Vulnerability, claims []*claim) (rce bool) {
	var github, others, elsewhere seawall.Severity
	var vectors []string
	for _, c := range claims {
		if c.Source == "ghsa" {
			github = max(github, c.Severity)
		} else {
			others = max(others, c.Severity)
		}
		vectors = append(vectors, c.CVSS...)
	}
	for i := -1; i < len(v.Aliases); i++ {
		id := v.ID
		if i >= 0 {
			id = v.Aliases[i]
		}
		if isRelease(id, claims) {
			continue
		}
		x, ok := j.db.Extra(id)
		if !ok {
			continue
		}
		v.EPSS = max(v.EPSS, x.EPSS)
		if x.KEV != "" && (v.KEV == "" || x.KEV < v.KEV) {
			v.KEV = x.KEV
		}
		vectors = append(vectors, x.CVSS...)
		v.CWEs = append(v.CWEs, x.CWEs...)
		elsewhere = max(elsewhere, x.Severity)
		rce = rce || x.RCE
	}
	v.Vector, v.CVSS = newest(vectors)
	for _, s := range []seawall.Severity{github, others, elsewhere, Rating(v.CVSS)} {
		if s != seawall.None {
			v.Severity = s
			break
		}
	}
	return rce
}

// isRelease says that an ID is of an advisory that mends several flaws, so that
// what is known of it is not known of this one.
func isRelease(id string, claims []*claim) bool {
	return slices.ContainsFunc(claims, func(c *claim) bool { return c.ID == id && !single(&c.Advisory) })
}

// newest chooses the vector of the newest version of CVSS, of several the one
// with the highest score.
func newest(vectors []string) (vector string, highest float64) {
	generation := ""
	for _, candidate := range vectors {
		points, err := cvss.Score(candidate)
		if err != nil {
			continue
		}
		g := cvss.Version(candidate)
		if g > generation || g == generation && (points > highest || points == highest && candidate < vector) {
			generation, vector, highest = g, candidate, points
		}
	}
	return vector, highest
}

// Rating is the severity that CVSS gives a base score, 0 to 10.
func Rating(score float64) seawall.Severity {
	switch {
	case score >= 9:
		return seawall.Critical
	case score >= 7:
		return seawall.High
	case score >= 4:
		return seawall.Medium
	case score > 0:
		return seawall.Low
	}
	return seawall.None
}
