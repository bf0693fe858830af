package vuln

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/version"
)

// Options are choices that the files of an image do not tell.
type Options struct {
	// Pro says that the system is subscribed to Ubuntu Pro and gets its fixes.
	// Packages whose version shows that they came from there are judged so anyway.
	Pro bool
}

// Judge holds the packages of an inventory against a database.
//
// Packages of a distribution are judged by its own advisories, one finding for
// each source package and flaw. Packages of languages are judged by their
// ecosystem's, one finding for each place and flaw, but those that a
// distribution's package brought are left to the distribution where the
// database covers it. The result is the same for any order of the packages,
// and its pointers are into inv.Packages.
func Judge(inv inventory.Inventory, db Database, o Options) Result {
	j := judge{db: db, options: o, covers: map[string]bool{}, gaps: map[gapKey][]*inventory.Package{}}
	if inv.Distro != nil {
		j.distro = *inv.Distro
		j.home = Ecosystems(j.distro)
	}
	j.sort(inv.Packages)
	j.distribution()
	j.languages()
	return j.result()
}

// judge is the state of one judgement.
type judge struct {
	db      Database
	options Options
	distro  inventory.Distro
	home    []string // ecosystems of the distribution
	covers  map[string]bool
	os      []*inventory.Package
	others  []*inventory.Package
	gaps    map[gapKey][]*inventory.Package
	out     Result
	merger  merger
}

type gapKey struct{ ecosystem, reason string }

// sort parts the packages into those of the distribution and others, each in
// an order in which what is judged together stands together.
func (j *judge) sort(packages []inventory.Package) {
	for i := range packages {
		if p := &packages[i]; p.Type.OS() {
			j.os = append(j.os, p)
		} else {
			j.others = append(j.others, p)
		}
	}
	slices.SortFunc(j.os, func(a, b *inventory.Package) int {
		an, av := source(a)
		bn, bv := source(b)
		if c := strings.Compare(an, bn); c != 0 {
			return c
		}
		return cmp.Or(strings.Compare(av, bv), byPlace(a, b))
	})
	slices.SortFunc(j.others, byPlace)
}

func byPlace(a, b *inventory.Package) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	return cmp.Or(strings.Compare(a.Version, b.Version),
		strings.Compare(string(a.Type), string(b.Type)), strings.Compare(a.Path, b.Path),
		strings.Compare(a.Arch, b.Arch), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Layer, b.Layer))
}

// source is the source package, of which advisories speak.
func source(p *inventory.Package) (name, version string) {
	return cmp.Or(p.Source.Name, p.Name), cmp.Or(p.Source.Version, p.Version)
}

// subject is what one finding is about: the binaries of a source package, or
// one package of a language.
type subject struct {
	ecosystems []string // those that the database covers, at least one
	order      version.Order
	name       string
	version    string // as it is compared
	installed  string // as it is shown
	packages   []*inventory.Package
}

func (j *judge) covered(ecosystem string) bool {
	yes, asked := j.covers[ecosystem]
	if !asked {
		yes = j.db.Covers(ecosystem)
		j.covers[ecosystem] = yes
	}
	return yes
}

// chosen keeps the ecosystems that the database covers.
func (j *judge) chosen(ecosystems []string) []string {
	var kept []string
	for _, e := range ecosystems {
		if j.covered(e) {
			kept = append(kept, e)
		}
	}
	return kept
}

func (j *judge) skip(ecosystem, reason string, packages ...*inventory.Package) {
	key := gapKey{ecosystem, reason}
	j.gaps[key] = append(j.gaps[key], packages...)
}

// distribution judges the packages of the distribution.
func (j *judge) distribution() {
	home := j.chosen(j.home)
	run := make([]*inventory.Package, 0, 8)
	for i := 0; i < len(j.os); {
		name, installed := source(j.os[i])
		run = run[:0]
		for ; i < len(j.os); i++ {
			if n, v := source(j.os[i]); n != name || v != installed {
				break
			}
			if j.native(j.os[i]) {
				run = append(run, j.os[i])
			}
		}
		if len(run) == 0 {
			continue
		}
		s := subject{ecosystems: home, name: name, version: installed, installed: installed, packages: run}
		if origin, ecosystem, ok := backport(installed); ok && j.distro.ID == "debian" {
			s.version, s.ecosystems = origin, j.chosen([]string{ecosystem})
			if len(s.ecosystems) == 0 {
				j.skip(ecosystem, "backport of a release on which the database has no data", run...)
				continue
			}
		}
		if len(s.ecosystems) == 0 {
			j.uncovered(run)
			continue
		}
		order, ok := version.For(s.ecosystems[0])
		if !ok || order.String() != string(run[0].Type) {
			j.skip(s.ecosystems[0], "package of kind "+string(run[0].Type)+" in a distribution of another", run...)
			continue
		}
		s.order = order
		j.judge(&s)
	}
}

// native tells whether the distribution's advisories speak of a package, and
// files it under its gap where not.
func (j *judge) native(p *inventory.Package) bool {
	builder, yes := foreign(&j.distro, p)
	if yes {
		j.skip(cmp.Or(j.first(), string(p.Type)), "built by "+builder+", on which the database has no data", p)
	}
	return !yes
}

func (j *judge) first() string {
	if len(j.home) == 0 {
		return ""
	}
	return j.home[0]
}

// uncovered files packages under the reason for which the distribution cannot
// be judged.
func (j *judge) uncovered(packages []*inventory.Package) {
	switch {
	case j.distro.ID == "":
		j.skip(string(packages[0].Type), "distribution unknown: no os-release or the like was found", packages...)
	case len(j.home) == 0:
		j.skip(string(packages[0].Type), strings.TrimSpace("distribution not known to any feed: "+j.distro.ID+" "+j.distro.Version), packages...)
	default:
		j.skip(j.home[0], "the database has no data on it", packages...)
	}
}

// languages judges the packages of languages.
func (j *judge) languages() {
	native := j.owners()
	for i := 0; i < len(j.others); {
		p, from := j.others[i], i
		for i < len(j.others) && same(p, j.others[i]) {
			i++
		}
		run := j.others[from:i:i]
		ecosystem := Ecosystem(p.Type)
		switch {
		case p.Owner != "" && native[p.Owner]:
			j.out.ByDistro = append(j.out.ByDistro, run...)
		case ecosystem == "":
			j.skip(string(p.Type), "no feed speaks of packages of this kind", run...)
		case !j.covered(ecosystem):
			j.skip(ecosystem, "the database has no data on it", run...)
		case p.Go != nil && p.Go.Main && (p.Version == "" || strings.HasPrefix(p.Version, "0.0.0-")):
			j.skip(ecosystem, "main module built from a working tree: its version is not known", run...)
		case p.Version == "":
			j.skip(ecosystem, "no version is known", run...)
		case p.Type == inventory.Maven && !strings.Contains(p.Name, ":"):
			j.skip(ecosystem, "the jar does not tell its group", run...)
		default:
			order, ok := version.For(ecosystem)
			if !ok {
				j.skip(ecosystem, "no order of versions is known", run...)
				continue
			}
			j.judge(&subject{
				ecosystems: []string{ecosystem}, order: order, packages: run,
				name: p.Name, version: p.Version, installed: p.Version,
			})
		}
	}
}

// same tells whether two packages are one package told of twice.
func same(a, b *inventory.Package) bool {
	return a.Name == b.Name && a.Version == b.Version && a.Type == b.Type && a.Path == b.Path && a.Owner == b.Owner
}

// owners are the packages of the distribution that its advisories decide on.
func (j *judge) owners() map[string]bool {
	if len(j.chosen(j.home)) == 0 {
		return nil
	}
	owners := make(map[string]bool, len(j.os))
	for _, p := range j.os {
		if _, yes := foreign(&j.distro, p); !yes {
			owners[p.Name] = true
		}
	}
	return owners
}

// claim is an advisory that holds for a version.
type claim struct {
	Advisory

	name     string // the name it was found by
	version  string
	packages []*inventory.Package
}

// judge holds one subject against its ecosystems.
func (j *judge) judge(s *subject) {
	if err := s.order.Valid(s.version); err != nil {
		j.skip(s.ecosystems[0], "malformed version: "+err.Error(), s.packages...)
		return
	}
	j.out.Evaluated += len(s.packages)
	var claims []claim
	if pro := ubuntuPro(j.distro); pro != "" && (j.options.Pro || fromPro(s.version)) && j.covered(pro) && s.packages[0].Type == inventory.Deb {
		claims = j.subscribed(claims, s, pro)
	} else {
		for _, e := range s.ecosystems {
			claims = j.claims(claims, s, e, s.name, s.version, s.packages, nil)
			if s.order == version.RPM {
				claims = j.binaries(claims, s, e)
			}
		}
	}
	if len(claims) != 0 {
		j.conclude(s, claims)
	}
}

// subscribed takes what Ubuntu says to subscribers, and what it says to all only
// of flaws on which it has nothing more to say to subscribers.
func (j *judge) subscribed(claims []claim, s *subject, pro string) []claim {
	told := map[string]bool{}
	j.db.Advisories(pro, s.name, func(a *Advisory) bool {
		told[a.ID] = true
		return true
	})
	claims = j.claims(claims, s, pro, s.name, s.version, s.packages, nil)
	for _, e := range s.ecosystems {
		claims = j.claims(claims, s, e, s.name, s.version, s.packages, told)
	}
	return claims
}

// binaries asks for the binary packages by name: some feeds of rpm distributions
// (AlmaLinux) name those, others (Rocky Linux, SUSE) the source.
func (j *judge) binaries(claims []claim, s *subject, ecosystem string) []claim {
	for from := 0; from < len(s.packages); {
		p, to := s.packages[from], from+1
		for to < len(s.packages) && s.packages[to].Name == p.Name && s.packages[to].Version == p.Version {
			to++
		}
		if p.Name != s.name {
			if err := s.order.Valid(p.Version); err != nil {
				j.skip(ecosystem, "malformed version: "+err.Error(), s.packages[from:to]...)
			} else {
				claims = j.claims(claims, s, ecosystem, p.Name, p.Version, s.packages[from:to:to], nil)
			}
		}
		from = to
	}
	return claims
}

// claims adds the advisories of an ecosystem that hold for a version.
func (j *judge) claims(into []claim, s *subject, ecosystem, name, v string, packages []*inventory.Package, except map[string]bool) []claim {
	j.db.Advisories(ecosystem, name, func(a *Advisory) bool {
		if except[a.ID] || !sameModule(packages[0], a) {
			return true
		}
		hit, err := affects(s.order, a, v)
		if err != nil {
			j.skip(ecosystem, fmt.Sprintf("advisory %s: %v", a.ID, err), packages...)
		}
		if hit {
			into = append(into, claim{Advisory: keep(a), name: name, version: v, packages: packages})
		}
		return true
	})
	return into
}

// keep copies what belongs to the database.
func keep(a *Advisory) Advisory {
	kept := *a
	kept.Aliases = slices.Clone(a.Aliases)
	kept.Upstream = slices.Clone(a.Upstream)
	kept.Ranges = slices.Clone(a.Ranges)
	kept.Versions = slices.Clone(a.Versions)
	kept.CVSS = slices.Clone(a.CVSS)
	kept.CWEs = slices.Clone(a.CWEs)
	kept.Imports = slices.Clone(a.Imports)
	for i := range kept.Imports {
		m := &kept.Imports[i]
		m.Symbols, m.GOOS, m.GOARCH = slices.Clone(m.Symbols), slices.Clone(m.GOOS), slices.Clone(m.GOARCH)
	}
	return kept
}

// result puts what was found in its order.
func (j *judge) result() Result {
	for key, packages := range j.gaps {
		slices.SortFunc(packages, byPlace)
		j.out.NotEvaluated = append(j.out.NotEvaluated, Gap{key.ecosystem, key.reason, slices.Compact(packages)})
	}
	slices.SortFunc(j.out.NotEvaluated, func(a, b Gap) int {
		return cmp.Or(strings.Compare(a.Ecosystem, b.Ecosystem), strings.Compare(a.Reason, b.Reason))
	})
	slices.SortFunc(j.out.Matches, func(a, b Match) int { return compare(&a, &b) })
	slices.SortFunc(j.out.NotAffected, func(a, b Exclusion) int {
		return cmp.Or(byPlace(a.Package, b.Package), strings.Compare(a.Vulnerability.ID, b.Vulnerability.ID))
	})
	return j.out
}
