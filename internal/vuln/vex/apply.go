package vex

import (
	"cmp"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/inventory/purl"
	"seawall.io/seawall/internal/vuln"
)

// Subject is what was scanned, as statements may name it.
type Subject struct {
	// Digests are those of the image: of its index, its manifest, its
	// configuration; sha256:...
	Digests []string
	// Reference is the image's name as the registry has it, without digest:
	// ghcr.io/org/app:1.2. Empty for what is no image.
	Reference string
	// Names are other names of it: a package URL, an IRI of the user's choice.
	Names []string
}

// Source is a document with the name under which findings refer to it.
type Source struct {
	Name     string
	Document Document
}

// Apply marks the findings of a result by what the documents state on them, and
// puts them in order again: a finding that is not affected or fixed, as a
// statement says, is settled, and stays in the result behind all others. Of
// several statements on a finding the latest counts; of those of one moment, or
// of none, the one that comes last. It returns the number of findings that
// were marked.
func Apply(r *vuln.Result, about Subject, sources []Source) int {
	rules := index(sources)
	s := newSubject(about)
	marked := 0
	for i := range r.Matches {
		m := &r.Matches[i]
		rule := rules.latest(newInstalled(m), s)
		if rule == nil {
			continue
		}
		marked++
		v := &m.Vulnerability
		v.VEX = &seawall.VEX{
			Status: string(rule.Status), Justification: rule.Justification, Statement: rule.Text, Source: rule.source,
		}
		if rule.Status.settles() {
			v.Status = "not-affected"
		}
		m.Priority = vuln.Rank(v, m.RCE)
	}
	slices.SortFunc(r.Matches, func(a, b vuln.Match) int {
		if vuln.Less(&a, &b) {
			return -1
		}
		if vuln.Less(&b, &a) {
			return 1
		}
		return 0
	})
	return marked
}

// rule is a statement in its place among all.
type rule struct {
	*Statement

	source string
	order  int
}

// rules are the statements by the names of flaws, in upper case.
type rules map[string][]*rule

func index(sources []Source) rules {
	all := rules{}
	order := 0
	for i := range sources {
		statements := sources[i].Document.Statements
		for j := range statements {
			r := &rule{Statement: &statements[j], source: sources[i].Name, order: order}
			order++
			for _, id := range r.IDs {
				id = strings.ToUpper(id)
				all[id] = append(all[id], r)
			}
		}
	}
	return all
}

// latest is the statement that counts for a finding, or nil.
func (all rules) latest(p *installed, about *subject) *rule {
	var best *rule
	consider := func(id string) {
		for _, r := range all[strings.ToUpper(id)] {
			if best != nil && cmp.Or(r.Time.Compare(best.Time), cmp.Compare(r.order, best.order)) <= 0 {
				continue
			}
			if about.speaks(r.Statement, p) {
				best = r
			}
		}
	}
	consider(p.flaw.ID)
	for _, id := range p.flaw.Aliases {
		consider(id)
	}
	return best
}

// subject is a Subject made ready.
type subject struct {
	Subject

	repository, tag string // ghcr.io/org/app and 1.2
}

func newSubject(s Subject) *subject {
	out := &subject{Subject: s, repository: s.Reference}
	name := s.Reference[strings.LastIndexByte(s.Reference, '/')+1:]
	if base, tag, ok := strings.Cut(name, ":"); ok {
		out.repository, out.tag = strings.TrimSuffix(s.Reference, name)+base, tag
	}
	return out
}

// speaks tells whether a statement is about a finding. A finding on a source
// package stands for several binaries: a statement that names only some of them
// leaves it as it is.
func (s *subject) speaks(of *Statement, about *installed) bool {
	for _, name := range about.names {
		if !slices.ContainsFunc(of.Products, func(p Product) bool { return s.covers(&p, about, name) }) {
			return false
		}
	}
	return true
}

// covers tells whether a product holds a package of a finding: it is the
// scanned image, with the package among its parts where parts are named, or it
// is the package itself.
func (s *subject) covers(p *Product, about *installed, name string) bool {
	if len(p.Parts) == 0 {
		return s.is(p) || about.is(p, name)
	}
	return s.is(p) && slices.ContainsFunc(p.Parts, func(part Product) bool { return about.is(&part, name) })
}

// is tells whether a product is what was scanned.
func (s *subject) is(p *Product) bool {
	for _, id := range p.IDs {
		if slices.Contains(s.Names, id) || slices.Contains(s.Digests, strings.ToLower(id)) {
			return true
		}
		if s.Reference != "" && id == s.Reference {
			return true
		}
	}
	return slices.ContainsFunc(p.parsed, func(u purl.PURL) bool { return (u.Type == "oci" || u.Type == "docker") && s.isImage(u) })
}

// isImage compares the scanned image with the package URL of one. A digest
// decides alone. Without one the name must be the same, and the tag where one
// is given: with repository_url the whole name, which may or may not repeat the
// last part of it, else the last part only, which is all that such a URL holds.
func (s *subject) isImage(u purl.PURL) bool {
	version := u.Version
	if strings.HasPrefix(strings.ToLower(version), "sha256:") {
		return slices.Contains(s.Digests, strings.ToLower(version))
	}
	if tag := cmp.Or(u.Qualifiers["tag"], version); tag != "" && tag != s.tag {
		return false
	}
	if s.repository == "" {
		return false
	}
	name := u.Name
	if u.Type == "docker" && u.Namespace != "" {
		name = u.Namespace + "/" + u.Name
	}
	if url := strings.TrimSuffix(trimScheme(u.Qualifiers["repository_url"]), "/"); url != "" {
		return familiar(url) == familiar(s.repository) || familiar(url+"/"+name) == familiar(s.repository)
	}
	return s.repository == name || strings.HasSuffix(s.repository, "/"+name)
}

func trimScheme(url string) string {
	_, rest, ok := strings.Cut(url, "://")
	if ok {
		return rest
	}
	return url
}

// familiar takes away what is written for Docker Hub or left out.
func familiar(repository string) string {
	for _, host := range []string{"index.docker.io/", "docker.io/", "registry-1.docker.io/"} {
		if rest, ok := strings.CutPrefix(repository, host); ok {
			return strings.TrimPrefix(rest, "library/")
		}
	}
	return repository
}

// installed is the package of a finding, as products are compared with it.
type installed struct {
	flaw  *seawall.Vulnerability
	purl  purl.PURL
	names []string // of the binaries that the finding stands for
	os    bool
}

func newInstalled(m *vuln.Match) *installed {
	p := &installed{flaw: &m.Vulnerability, names: m.Vulnerability.Binaries, os: m.Package.Type.OS()}
	if len(p.names) == 0 {
		p.names = []string{m.Package.Name}
	}
	// One that cannot be parsed is no product's.
	p.purl, _ = purl.Parse(m.Vulnerability.PURL)
	return p
}

// is tells whether a product is the package of that name, or the source package
// that it was built from.
func (p *installed) is(product *Product, name string) bool {
	return slices.ContainsFunc(product.parsed, func(u purl.PURL) bool { return p.matches(u, name) })
}

// matches compares a statement's package URL with the installed package's. What
// the statement leaves out may be anything; what it says must be so. Only the
// namespace of a language's package must be there: it is part of the name.
func (p *installed) matches(u purl.PURL, name string) bool {
	own := p.purl
	switch {
	case u.Type != own.Type, u.Subpath != "" && u.Subpath != own.Subpath:
		return false
	case p.os:
		return (u.Namespace == "" || u.Namespace == own.Namespace) && (u.Name == name || u.Name == p.flaw.Package) &&
			(sameVersion(u, own) || u.Version == p.flaw.Installed) && sameBuild(u, own)
	case u.Type == "golang":
		// The specification wants lower case, Go tells cases apart, and documents do
		// either.
		return strings.EqualFold(u.Namespace, own.Namespace) && strings.EqualFold(u.Name, own.Name) && sameVersion(u, own)
	}
	return u.Namespace == own.Namespace && u.Name == own.Name && sameVersion(u, own)
}

// sameBuild compares the architecture and the release of the distribution.
func sameBuild(u, own purl.PURL) bool {
	arch, distro := u.Qualifiers["arch"], u.Qualifiers["distro"]
	if arch != "" && arch != "source" && arch != own.Qualifiers["arch"] {
		return false
	}
	have := own.Qualifiers["distro"]
	return distro == "" || have == "" || have == distro || strings.HasPrefix(have, distro+".")
}

func sameVersion(u, own purl.PURL) bool {
	if u.Version == "" {
		return true
	}
	if u.Type == "golang" {
		return strings.TrimPrefix(u.Version, "v") == strings.TrimPrefix(own.Version, "v")
	}
	if u.Version == own.Version {
		epoch := u.Qualifiers["epoch"]
		return epoch == "" || epoch == own.Qualifiers["epoch"] || epoch == "0" && own.Qualifiers["epoch"] == ""
	}
	// An epoch written into the version of an rpm.
	return own.Qualifiers["epoch"] != "" && u.Version == own.Qualifiers["epoch"]+":"+own.Version
}
