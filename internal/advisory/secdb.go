package advisory

import (
	"maps"
	"slices"
	"strings"

	"seawall.io/seawall/internal/vuln"
)

// secDB is the security database of Alpine, Wolfi and Chainguard.
type secDB struct {
	DistroVersion string         `json:"distroversion"`
	RepoName      string         `json:"reponame"`
	URLPrefix     string         `json:"urlprefix"`
	APKURL        string         `json:"apkurl"`
	Packages      []secDBPackage `json:"packages"`
}

type secDBPackage struct {
	Pkg struct {
		Name string `json:"name"`
		// Versions, and under each the flaws that it mends. 0 holds those that the
		// package never had.
		SecFixes map[string][]string `json:"secfixes"`
	} `json:"pkg"`
}

func (b *builder) secdb(f *feed) error {
	return each(f.decoder(), b.secDB, func(err error) { b.leaveOut("malformed: "+cut(err.Error(), 200), "") })
}

func (b *builder) secDB(s *secDB) error {
	ecosystem, source := secDBEcosystem(s)
	if ecosystem == "" {
		b.leaveOut("distribution is not known: "+cut(s.URLPrefix+s.APKURL, 80), s.RepoName)
		return nil
	}
	// The claims of a flaw on all packages make one record.
	records := map[string]*record{}
	for i := range s.Packages {
		p := &s.Packages[i].Pkg
		for _, fixed := range sortedKeys(p.SecFixes) {
			for _, line := range p.SecFixes[fixed] {
				flaws := flawNames(line)
				if len(flaws) == 0 {
					b.leaveOut("no ID of a flaw", line)
				}
				for _, names := range flaws {
					r := records[names[0]]
					if r == nil {
						r = &record{}
						r.ID, r.Source = names[0], source
						records[names[0]] = r
					}
					for _, alias := range names[1:] {
						if len(r.Aliases) < named && !slices.Contains(r.Aliases, alias) {
							r.Aliases = append(r.Aliases, alias)
						}
					}
					c := claim{Ecosystem: ecosystem, Package: p.Name, Ranges: []vuln.Range{{Fixed: fixed}}}
					if fixed == "0" {
						c.Ranges[0].Fixed, c.Status = "", "not-affected"
					}
					r.Claims = append(r.Claims, c)
				}
			}
		}
	}
	for _, key := range sortedKeys(records) {
		r := records[key]
		r.Claims = together(r.Claims)
		if err := b.add(r); err != nil {
			return err
		}
	}
	return nil
}

// secDBEcosystem tells whose database it is: Alpine's name a release, the others
// are known by their address.
func secDBEcosystem(s *secDB) (ecosystem, source string) {
	address := s.URLPrefix + " " + s.APKURL
	switch {
	case strings.Contains(address, "packages.wolfi.dev"):
		return "Wolfi", "wolfi"
	case strings.Contains(address, "packages.cgr.dev"):
		return "Chainguard", "chainguard"
	case strings.HasPrefix(s.DistroVersion, "edge"):
		return "Alpine:edge", "alpine"
	case strings.HasPrefix(s.DistroVersion, "v"):
		return "Alpine:" + s.DistroVersion, "alpine"
	}
	return "", ""
}

// flawNames reads the flaws off a line such as "XSA-300 CVE-2019-1234 (+
// regression)": of each all its names, its CVE first. Several CVEs are several
// flaws; other names are aliases where there is one CVE, and where there is none.
func flawNames(line string) [][]string {
	var cves, rest []string
	for _, word := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t,;()+", r) }) {
		prefix, number, _ := strings.Cut(word, "-")
		switch {
		case len(word) > maxID || len(cves)+len(rest) == maxList/8:
		case isCVE(word):
			cves = append(cves, word)
		case prefix == "GHSA" && number != "",
			prefix != "" && strings.ToUpper(prefix) == prefix && strings.ContainsAny(number, "0123456789"):
			rest = append(rest, word)
		}
	}
	switch {
	case len(cves) == 1:
		return [][]string{append(cves, rest...)}
	case len(cves) == 0 && len(rest) > 0:
		return [][]string{rest}
	}
	var each [][]string
	for _, id := range cves {
		each = append(each, []string{id})
	}
	return each
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
