//go:build vulndata

package vuln_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/version"
	"seawall.io/seawall/internal/vuln"
)

// label is one judgement that people made on a match of a scanner.
type label struct {
	Image   string `json:"image"`
	Package string `json:"pkg"`
	Version string `json:"ver"`
	ID      string `json:"id"`
	CVE     string `json:"cve"`
	Label   string `json:"label"`
}

// tally counts the labels of one kind of package.
type tally struct {
	truths, truthData, found     int // labelled true: all, those with an advisory on that package and flaw, those reported
	falses, falseData, falseHits int // labelled false: likewise
}

// TestAccuracy holds the matching to labels that people gave, and the numbers to
// those that docs/accuracy.md publishes. SEAWALL_UPDATE=1 writes them.
func TestAccuracy(t *testing.T) {
	t.Parallel()
	db := everything(t)
	var labels []label
	readLines(t, filepath.Join(vulndata(t), "labels-anchore.jsonl.gz"), func(line []byte) {
		var l label
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		labels = append(labels, l)
	})
	told := newTelling(db, labels)
	tallies := map[string]*tally{}
	for i := range labels {
		l := &labels[i]
		truth := l.Label == "TP"
		if !truth && l.Label != "FP" {
			continue
		}
		kind, subjects := told.subjects(l)
		of := tallies[kind]
		if of == nil {
			of = &tally{}
			tallies[kind] = of
		}
		data, hit := len(subjects) > 0, false
		for _, inv := range subjects {
			r := vuln.Judge(inv, db, vuln.Options{})
			hit = hit || slices.ContainsFunc(r.Matches, func(m vuln.Match) bool {
				v := &m.Vulnerability
				return v.ID == l.ID || v.ID == l.CVE || slices.Contains(v.Aliases, l.ID) || l.CVE != "" && slices.Contains(v.Aliases, l.CVE)
			})
		}
		if truth {
			of.truths++
			of.truthData += count(data)
			of.found += count(hit)
		} else {
			of.falses++
			of.falseData += count(data)
			of.falseHits += count(hit)
		}
		if truth && !hit {
			for _, inv := range subjects {
				holdsStill(t, db, l, &inv.Packages[0], inv.Distro)
			}
		}
		if data && hit != truth {
			t.Logf("%s %s: %s %s %s in %s", kind, l.Label, l.ID, l.Package, l.Version, l.Image)
		}
	}
	if len(tallies) == 0 {
		t.Fatal("no labels")
	}
	publish(t, "labels", table(tallies))
}

// holdsStill fails where an advisory on the label's flaw holds for its version
// by the plain reading of OSV and yet nothing was found. Builds of modules are
// no answer to packages outside of one.
func holdsStill(t *testing.T, db *memory, l *label, p *inventory.Package, d *inventory.Distro) {
	t.Helper()
	ecosystem := vuln.Ecosystem(p.Type)
	if d != nil {
		ecosystem = vuln.Ecosystems(*d)[0]
	}
	order, _ := version.For(ecosystem)
	for _, a := range db.advisories[ecosystem+"\x00"+p.Name] {
		if names := append(append([]string{a.ID}, a.Aliases...), a.Upstream...); !slices.Contains(names, l.ID) && !slices.Contains(names, l.CVE) {
			continue
		}
		affected := slices.Contains(a.Versions, p.Version)
		for _, r := range a.Ranges {
			in, err := version.Affected(order, p.Version, r.Introduced, r.Fixed, r.LastAffected)
			affected = affected || in && err == nil && !strings.Contains(r.Fixed, ".module")
		}
		if affected {
			t.Errorf("%s holds for %s %s, and nothing was found", a.ID, p.Name, p.Version)
		}
	}
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func table(tallies map[string]*tally) string {
	var b strings.Builder
	b.WriteString("| packages | labelled true | with data | found | recall | labelled false | with data | reported |\n")
	b.WriteString("|---|--:|--:|--:|--:|--:|--:|--:|\n")
	all := tally{}
	row := func(name string, t *tally) {
		recall := ""
		if t.truthData > 0 {
			recall = fmt.Sprintf("%.1f %%", 100*float64(t.found)/float64(t.truthData))
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %s | %d | %d | %d |\n", name, t.truths, t.truthData, t.found, recall, t.falses, t.falseData, t.falseHits)
	}
	for _, kind := range slices.Sorted(maps.Keys(tallies)) {
		t := tallies[kind]
		row(kind, t)
		all.truths, all.truthData, all.found = all.truths+t.truths, all.truthData+t.truthData, all.found+t.found
		all.falses, all.falseData, all.falseHits = all.falses+t.falses, all.falseData+t.falseData, all.falseHits+t.falseHits
	}
	row("all", &all)
	return b.String()
}

// publish holds a table to the one between the marks in docs/accuracy.md.
func publish(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("..", "..", "docs", "accuracy.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	open, end := "<!-- "+name+" -->\n", "<!-- end -->"
	before, rest, ok := strings.Cut(string(page), open)
	old, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no table %q", path, name)
	}
	if os.Getenv("SEAWALL_UPDATE") != "" {
		if err := os.WriteFile(path, []byte(before+open+got+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := gocmp.Diff(old, got); diff != "" {
		t.Errorf("%s is not what was measured (-page +measured):\n%s", path, diff)
	}
}

// telling tells what a label leaves out. Labels name a package by its bare name
// and version: not its kind, not its source package, not the group of a jar,
// and not the release of the distribution.
type telling struct {
	releases map[string]string   // image -> Debian's release, by the marks in versions
	about    map[string][]string // name and ID -> ecosystem and full name
}

func newTelling(db *memory, labels []label) *telling {
	t := &telling{releases: map[string]string{}, about: map[string][]string{}}
	votes := map[string]map[string]int{}
	for i := range labels {
		if m := debianMark.FindStringSubmatch(labels[i].Version); m != nil {
			if votes[labels[i].Image] == nil {
				votes[labels[i].Image] = map[string]int{}
			}
			votes[labels[i].Image][m[1]]++
		}
	}
	for image, of := range votes {
		t.releases[image] = slices.MaxFunc(slices.Sorted(maps.Keys(of)), func(a, b string) int { return cmp.Compare(of[a], of[b]) })
	}
	for _, advisories := range db.advisories {
		for i := range advisories {
			a := &advisories[i]
			name := a.Package
			if a.Ecosystem == "Maven" {
				name = name[strings.LastIndexByte(name, ':')+1:]
			}
			for _, id := range append(append([]string{a.ID}, a.Aliases...), a.Upstream...) {
				for _, name := range []string{a.Package, name} {
					key := name + "\x00" + id
					if full := a.Ecosystem + "\x00" + a.Package; !slices.Contains(t.about[key], full) {
						t.about[key] = append(t.about[key], full)
					}
				}
			}
		}
	}
	return t
}

var (
	debianMark = regexp.MustCompile(`deb(\d+)u\d`)
	rpmMark    = regexp.MustCompile(`[.+_]el(\d+)`)
	debMark    = regexp.MustCompile(`^(\d+:)?\d[^-]*-\d[\w.+~]*$`)
	apkMark    = regexp.MustCompile(`-r\d+$`)
)

// subjects are the packages that a label may mean and on which the database has
// an advisory with that flaw, each as an inventory; none where it has no data.
func (t *telling) subjects(l *label) (kind string, subjects []inventory.Inventory) {
	var ecosystems map[string]*inventory.Distro // the distributions asked, nil for languages
	switch el := rpmMark.FindStringSubmatch(l.Version); {
	case strings.Contains(l.Version, ".module"):
		return "rpm modules (stream not told)", nil
	case el != nil && strings.Contains(l.Image, "/almalinux@"):
		kind, ecosystems = "AlmaLinux", map[string]*inventory.Distro{"AlmaLinux:" + el[1]: {ID: "almalinux", Version: el[1]}}
	case el != nil:
		kind, ecosystems = "other Enterprise Linux, by AlmaLinux", map[string]*inventory.Distro{"AlmaLinux:" + el[1]: {ID: "almalinux", Version: el[1]}}
	case apkMark.MatchString(l.Version):
		return "apk (release not told)", nil
	case strings.Contains(l.Version, ".amzn") || strings.Contains(l.Version, ".cm") || strings.Contains(l.Image, "/suse/"):
		return "rpm of others", nil
	case strings.Contains(l.Version, "ubuntu") || strings.Contains(l.Image, "/ubuntu@"):
		return "Ubuntu", nil
	case debianMark.MatchString(l.Version) || debMark.MatchString(l.Version) && t.releases[l.Image] != "":
		kind = "Debian"
		release := t.releases[l.Image]
		ecosystems = map[string]*inventory.Distro{"Debian:" + release: {ID: "debian", Version: release}}
	default:
		kind = "languages"
	}
	var named []string
	for _, id := range []string{l.ID, l.CVE} {
		named = append(named, t.about[l.Package+"\x00"+id]...)
	}
	slices.Sort(named)
	for _, full := range slices.Compact(named) {
		ecosystem, name, _ := strings.Cut(full, "\x00")
		p := inventory.Package{Name: name, Version: l.Version, Path: "label"}
		distro := ecosystems[ecosystem]
		switch {
		case ecosystems == nil:
			if p.Type = kindOf(ecosystem); p.Type == "" {
				continue
			}
			p.Version = strings.TrimPrefix(strings.TrimPrefix(p.Version, "go"), "v")
			if kind == "languages" {
				kind = ecosystem
			}
		case distro == nil:
			continue
		case kind == "Debian":
			p.Type = inventory.Deb
		default:
			p.Type = inventory.RPM
		}
		subjects = append(subjects, inventory.Inventory{Distro: distro, Packages: []inventory.Package{p}})
	}
	if kind == "languages" {
		kind = "languages, kind not told"
	}
	return kind, subjects
}

// kindOf is the kind of a language's packages.
func kindOf(ecosystem string) inventory.Type {
	for _, t := range []inventory.Type{
		inventory.Go, inventory.NPM, inventory.PyPI, inventory.Maven, inventory.Cargo, inventory.Gem, inventory.Composer, inventory.NuGet,
	} {
		if vuln.Ecosystem(t) == ecosystem {
			return t
		}
	}
	return ""
}

// TestAllDebianChangelogs is TestDebianChangelogs with all records.
func TestAllDebianChangelogs(t *testing.T) {
	t.Parallel()
	changelogs(t, filepath.Join(vulndata(t), "facts-only", "osv-debian-changelog.jsonl.gz"))
}

// TestPlatforms holds real records to say nothing of flaws on other platforms
// than a binary's, which scanners that read no platforms do.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	db := newMemory()
	here := map[string]bool{} // flaws of the standard library that Linux on amd64 has
	readRecords(t, filepath.Join(vulndata(t), "osv-go.jsonl.gz"), func(r *record) {
		for _, a := range r.advisories("go") {
			db.add(a)
			for _, i := range a.Imports {
				if a.Package == "stdlib" && (i.GOOS == nil || slices.Contains(i.GOOS, "linux")) && (i.GOARCH == nil || slices.Contains(i.GOARCH, "amd64")) {
					here[a.ID] = true
				}
			}
		}
	})
	for _, v := range []string{"1.16.2", "1.18.1", "1.21.5", "1.22.0"} {
		r := vuln.Judge(inventory.Inventory{Packages: []inventory.Package{{
			Type: inventory.Go, Name: "stdlib", Version: v, Path: "app", Go: &inventory.GoModule{GOOS: "linux", GOARCH: "amd64"},
		}}}, db, vuln.Options{})
		if len(r.Matches) == 0 || len(r.NotAffected) == 0 {
			t.Errorf("%s: %d findings and %d on other platforms, want some of both", v, len(r.Matches), len(r.NotAffected))
		}
		record := func(v *seawall.Vulnerability) bool {
			return here[v.ID] || slices.ContainsFunc(v.Aliases, func(id string) bool { return here[id] })
		}
		for i := range r.Matches {
			if !record(&r.Matches[i].Vulnerability) {
				t.Errorf("%s: %s is not on linux/amd64", v, r.Matches[i].Vulnerability.ID)
			}
		}
		for i := range r.NotAffected {
			if x := &r.NotAffected[i]; x.Reason != vuln.ByPlatform || record(&x.Vulnerability) {
				t.Errorf("%s: %s was excluded as %s: %s", v, x.Vulnerability.ID, x.Reason, x.Detail)
			}
		}
	}
}

// vulndata is the folder of real records that SEAWALL_VULNDATA names.
func vulndata(tb testing.TB) string {
	tb.Helper()
	folder := os.Getenv("SEAWALL_VULNDATA")
	if folder == "" {
		tb.Fatal("SEAWALL_VULNDATA must name a folder of OSV records")
	}
	return folder
}

// everything is a database of all OSV records of the folder.
func everything(tb testing.TB) *memory {
	tb.Helper()
	folder := vulndata(tb)
	var files []string
	for _, pattern := range []string{"osv-*.jsonl.gz", "facts-only/osv-*.jsonl.gz"} {
		found, err := filepath.Glob(filepath.Join(folder, filepath.FromSlash(pattern)))
		if err != nil {
			tb.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		tb.Fatalf("no osv-*.jsonl.gz in %s", folder)
	}
	slices.Sort(files)
	db := newMemory()
	for _, file := range files {
		source := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "osv-"), ".jsonl.gz")
		readRecords(tb, file, func(r *record) {
			for _, a := range r.advisories(source) {
				db.add(a)
			}
		})
	}
	return db
}
