package vuln_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/vuln"
)

func below(fixed string) []vuln.Range { return []vuln.Range{{Introduced: "0", Fixed: fixed}} }

func deb(name, version, sourceName, sourceVersion string) inventory.Package {
	return inventory.Package{
		Type: inventory.Deb, Name: name, Version: version, Arch: "amd64",
		Source: inventory.Source{Name: sourceName, Version: sourceVersion}, Path: "var/lib/dpkg/status",
	}
}

func rpm(name, version, module string) inventory.Package {
	return inventory.Package{
		Type: inventory.RPM, Name: name, Version: version, Module: module,
		Source: inventory.Source{Name: name, Version: version}, Path: "var/lib/rpm/rpmdb.sqlite",
	}
}

// lines writes a result down, one line for each package that was judged.
func lines(r vuln.Result) []string {
	var out []string
	for i := range r.Matches {
		v := &r.Matches[i].Vulnerability
		line := fmt.Sprintf("%s %s %s -> %s %s", v.ID, v.Package, v.Installed, v.Fixed, v.Status)
		if v.Reach != "" {
			line += " " + v.Reach
		}
		out = append(out, line)
	}
	for i := range r.NotAffected {
		x := &r.NotAffected[i]
		out = append(out, fmt.Sprintf("not %s %s %s: %s", x.Vulnerability.ID, x.Vulnerability.Package, x.Vulnerability.Installed, x.Reason))
	}
	for _, p := range r.ByDistro {
		out = append(out, "distro decides "+p.Name)
	}
	for _, g := range r.NotEvaluated {
		for _, p := range g.Packages {
			out = append(out, fmt.Sprintf("unknown %s %s: %s", p.Name, p.Version, g.Reason))
		}
	}
	slices.Sort(out)
	return out
}

func TestJudge(t *testing.T) {
	t.Parallel()
	bookworm := &inventory.Distro{ID: "debian", Version: "12.5", Codename: "bookworm"}
	alma9 := &inventory.Distro{ID: "almalinux", Version: "9.4"}
	for _, test := range []struct {
		name       string
		advisories []vuln.Advisory
		distro     *inventory.Distro
		packages   []inventory.Package
		options    vuln.Options
		want       []string
	}{
		{
			name:       "source package, once for all binaries",
			advisories: []vuln.Advisory{{ID: "DEBIAN-CVE-2024-5535", Upstream: []string{"CVE-2024-5535"}, Source: "debian", Ecosystem: "Debian:12", Package: "openssl", Ranges: below("3.0.15-1~deb12u1")}},
			distro:     bookworm,
			packages: []inventory.Package{
				deb("libssl3", "3.0.14-1~deb12u2", "openssl", "3.0.14-1~deb12u2"),
				deb("openssl", "3.0.14-1~deb12u2", "openssl", "3.0.14-1~deb12u2"),
			},
			want: []string{"CVE-2024-5535 openssl 3.0.14-1~deb12u2 -> 3.0.15-1~deb12u1 fixed"},
		},
		{
			name:       "the source's version counts, not the binary's",
			advisories: []vuln.Advisory{{ID: "CVE-2024-1", Ecosystem: "Debian:12", Package: "gcc-defaults", Ranges: below("1.203")}},
			distro:     bookworm,
			packages:   []inventory.Package{deb("gcc", "4:12.2.0-3", "gcc-defaults", "1.203")},
		},
		{
			name:       "one advisory that mends two flaws is two findings",
			advisories: []vuln.Advisory{{ID: "DSA-1-1", Upstream: []string{"CVE-2024-1", "CVE-2024-2"}, Ecosystem: "Debian:12", Package: "curl", Ranges: below("2")}},
			distro:     bookworm,
			packages:   []inventory.Package{deb("curl", "1", "curl", "1")},
			want:       []string{"CVE-2024-1 curl 1 -> 2 fixed", "CVE-2024-2 curl 1 -> 2 fixed"},
		},
		{
			name: "the last release before the first flaw, and a flaw without a fix",
			advisories: []vuln.Advisory{
				{ID: "GHSA-a", Ecosystem: "npm", Package: "ws", Ranges: []vuln.Range{{Introduced: "2.0.0", Fixed: "3.3.1"}}},
				{ID: "GHSA-b", Ecosystem: "npm", Package: "ws", Ranges: []vuln.Range{{}}},
				{ID: "GHSA-c", Ecosystem: "npm", Package: "ws", Ranges: []vuln.Range{{Introduced: "0", LastAffected: "1.9.9"}}},
				{ID: "GHSA-d", Ecosystem: "npm", Package: "ws", Versions: []string{"1.9.9"}},
				{ID: "GHSA-e", Ecosystem: "npm", Package: "ws"},
			},
			packages: []inventory.Package{{Type: inventory.NPM, Name: "ws", Version: "1.9.9"}},
			want:     []string{"GHSA-b ws 1.9.9 ->  affected", "GHSA-c ws 1.9.9 ->  affected", "GHSA-d ws 1.9.9 ->  affected"},
		},
		{
			name: "names of one flaw",
			advisories: []vuln.Advisory{
				{ID: "GHSA-1", Aliases: []string{"CVE-2021-1"}, Source: "ghsa", Ecosystem: "PyPI", Package: "jinja2", Ranges: below("2.11.3")},
				{ID: "PYSEC-1", Aliases: []string{"GHSA-1"}, Source: "pypa", Ecosystem: "PyPI", Package: "jinja2", Ranges: below("2.11.4")},
				{ID: "OTHER-1", Source: "other", Ecosystem: "PyPI", Package: "jinja2", Ranges: below("2.11.3")},
				{ID: "BRIDGE-1", Aliases: []string{"OTHER-1", "PYSEC-1"}, Source: "bridge", Ecosystem: "PyPI", Package: "jinja2", Ranges: below("1")},
			},
			packages: []inventory.Package{{Type: inventory.PyPI, Name: "jinja2", Version: "2.10"}},
			want:     []string{"CVE-2021-1 jinja2 2.10 -> 2.11.4 fixed"},
		},
		{
			name:       "the fix of the branch that is installed",
			advisories: []vuln.Advisory{{ID: "GO-1", Ecosystem: "Go", Package: "stdlib", Ranges: []vuln.Range{{Introduced: "0", Fixed: "1.21.8"}, {Introduced: "1.22.0-0", Fixed: "1.22.1"}}}},
			packages:   []inventory.Package{{Type: inventory.Go, Name: "stdlib", Version: "1.22.0"}, {Type: inventory.Go, Name: "stdlib", Version: "1.21.5"}, {Type: inventory.Go, Name: "stdlib", Version: "1.21.8"}},
			want:       []string{"GO-1 stdlib 1.21.5 -> 1.21.8 fixed", "GO-1 stdlib 1.22.0 -> 1.22.1 fixed"},
		},
		{
			name:       "working trees and toolchains",
			advisories: []vuln.Advisory{{ID: "GO-1", Ecosystem: "Go", Package: "example.com/app", Ranges: below("1.2.0")}, {ID: "GO-2", Ecosystem: "Go", Package: "toolchain", Ranges: below("1.30.0")}},
			packages: []inventory.Package{
				{Type: inventory.Go, Name: "example.com/app", Version: "0.0.0-20240101000000-abcdefabcdef", Go: &inventory.GoModule{Main: true}},
				{Type: inventory.Go, Name: "example.com/app", Go: &inventory.GoModule{Main: true}, Path: "b"},
				{Type: inventory.Go, Name: "example.com/app", Version: "0.0.0-20240101000000-abcdefabcdef", Go: &inventory.GoModule{}, Path: "c"},
				{Type: inventory.Go, Name: "stdlib", Version: "1.21.5"},
			},
			want: []string{
				"GO-1 example.com/app 0.0.0-20240101000000-abcdefabcdef -> 1.2.0 fixed",
				"unknown example.com/app 0.0.0-20240101000000-abcdefabcdef: main module built from a working tree: its version is not known",
				"unknown example.com/app : main module built from a working tree: its version is not known",
			},
		},
		{
			name: "what a distribution's package brought",
			advisories: []vuln.Advisory{
				{ID: "GHSA-1", Ecosystem: "PyPI", Package: "requests", Ranges: below("9")},
				{ID: "CVE-1", Ecosystem: "Debian:12", Package: "x", Ranges: below("1")},
			},
			distro: bookworm,
			packages: []inventory.Package{
				deb("python3-requests", "2.28.1+dfsg-1", "requests", "2.28.1+dfsg-1"),
				deb("docker-ce", "5:24.0.7-1~debian.12~bookworm", "docker-ce", "5:24.0.7-1~debian.12~bookworm"),
				{Type: inventory.PyPI, Name: "requests", Version: "2.28.1", Owner: "python3-requests", Path: "a"},
				{Type: inventory.PyPI, Name: "requests", Version: "2.28.1", Owner: "docker-ce", Path: "b"},
				{Type: inventory.PyPI, Name: "requests", Version: "2.28.1", Path: "c"},
			},
			want: []string{
				"GHSA-1 requests 2.28.1 -> 9 fixed", "GHSA-1 requests 2.28.1 -> 9 fixed", "distro decides requests",
				"unknown docker-ce 5:24.0.7-1~debian.12~bookworm: built by Docker, on which the database has no data",
			},
		},
		{
			name:       "the distribution decides nothing where the database does not know it",
			advisories: []vuln.Advisory{{ID: "GHSA-1", Ecosystem: "PyPI", Package: "requests", Ranges: below("9")}},
			distro:     bookworm,
			packages: []inventory.Package{
				deb("python3-requests", "2.28.1+dfsg-1", "requests", "2.28.1+dfsg-1"),
				{Type: inventory.PyPI, Name: "requests", Version: "2.28.1", Owner: "python3-requests", Path: "a"},
			},
			want: []string{"GHSA-1 requests 2.28.1 -> 9 fixed", "unknown python3-requests 2.28.1+dfsg-1: the database has no data on it"},
		},
		{
			name:       "unknown is not pass",
			advisories: []vuln.Advisory{{ID: "GHSA-1", Ecosystem: "PyPI", Package: "a", Ranges: below("not a version")}, {ID: "M", Ecosystem: "Maven", Package: "g:a", Ranges: below("2")}},
			distro:     &inventory.Distro{ID: "slackware", Version: "15"},
			packages: []inventory.Package{
				{Type: inventory.PyPI, Name: "a", Version: "1.0"},
				{Type: inventory.PyPI, Name: "b", Version: "^1.0"},
				{Type: inventory.PyPI, Name: "c"},
				{Type: inventory.Conda, Name: "d", Version: "1"},
				{Type: inventory.Cargo, Name: "e", Version: "1"},
				{Type: inventory.Maven, Name: "a", Version: "1", Evidence: inventory.Guessed},
				deb("f", "1", "f", "1"),
			},
			want: []string{
				`unknown a 1.0: advisory GHSA-1: pypi version "not a version": *`,
				"unknown a 1: the jar does not tell its group",
				`unknown b ^1.0: malformed version: pypi version "^1.0": *`,
				"unknown c : no version is known",
				"unknown d 1: no feed speaks of packages of this kind",
				"unknown e 1: the database has no data on it",
				"unknown f 1: distribution not known to any feed: slackware 15",
			},
		},
		{
			name: "backports are judged where they come from",
			advisories: []vuln.Advisory{
				{ID: "CVE-1", Ecosystem: "Debian:12", Package: "git", Ranges: below("1:2.39.5-0+deb12u1")},
				{ID: "CVE-2", Ecosystem: "Debian:13", Package: "git", Ranges: below("1:2.47.0-1")},
				{ID: "CVE-3", Ecosystem: "Debian:13", Package: "git", Ranges: below("1:2.45.2-1")},
			},
			distro:   bookworm,
			packages: []inventory.Package{deb("git", "1:2.45.2-1~bpo12+1", "git", "1:2.45.2-1~bpo12+1")},
			want:     []string{"CVE-2 git 1:2.45.2-1~bpo12+1 -> 1:2.47.0-1 fixed"},
		},
		{
			name: "statuses of the vendor",
			advisories: []vuln.Advisory{
				{ID: "CVE-1", Ecosystem: "Debian:12", Package: "a", Ranges: []vuln.Range{{}}, Status: "wont-fix"},
				{ID: "CVE-2", Ecosystem: "Debian:12", Package: "a", Ranges: []vuln.Range{{}}, Status: "not-affected"},
				{ID: "CVE-3", Ecosystem: "Debian:12", Package: "a", Ranges: []vuln.Range{{}}, Status: "deferred"},
				{ID: "DSA-3", Upstream: []string{"CVE-3", "CVE-4"}, Ecosystem: "Debian:12", Package: "a", Ranges: below("2"), Status: ""},
			},
			distro:   bookworm,
			packages: []inventory.Package{deb("a", "1", "a", "1")},
			want:     []string{"CVE-1 a 1 ->  wont-fix", "CVE-3 a 1 -> 2 fixed", "CVE-4 a 1 -> 2 fixed", "not CVE-2 a 1: vendor"},
		},
		{
			name: "binaries by name, of one module stream",
			advisories: []vuln.Advisory{
				{ID: "ALSA-1", Upstream: []string{"CVE-1"}, Ecosystem: "AlmaLinux:9", Package: "nodejs", Ranges: below("1:20.8.1-1.module_el9.3.0+1+a")},
				{ID: "ALSA-2", Upstream: []string{"CVE-1"}, Ecosystem: "AlmaLinux:9", Package: "nodejs", Ranges: below("1:18.18.2-2.module_el9.2.0+43+b")},
				{ID: "ALSA-3", Upstream: []string{"CVE-3"}, Ecosystem: "AlmaLinux:9", Package: "nodejs", Ranges: below("1:99.0.0-1.el9_0")},
				{ID: "ALSA-4", Upstream: []string{"CVE-4"}, Ecosystem: "AlmaLinux:9", Package: "nodejs", Ranges: below("1:18.99.0-1.module_el9"), Module: "nodejs:20"},
				{ID: "CVE-6", Ecosystem: "AlmaLinux:9", Package: "nodejs", Ranges: []vuln.Range{{}}},
				{ID: "CVE-7", Ecosystem: "AlmaLinux:9", Package: "nodejs", Ranges: []vuln.Range{{}}, Module: "nodejs:18"},
				{ID: "CVE-8", Ecosystem: "AlmaLinux:9", Package: "bind", Ranges: []vuln.Range{{}}, Module: "bind:1"},
				{ID: "CVE-9", Ecosystem: "AlmaLinux:9", Package: "bind", Ranges: []vuln.Range{{}}, Status: "wont-fix"},
				{ID: "ALSA-5", Upstream: []string{"CVE-5"}, Ecosystem: "AlmaLinux:9", Package: "bind-libs", Ranges: below("32:9.16.23-18.el9")},
			},
			distro: alma9,
			packages: []inventory.Package{
				rpm("nodejs", "1:18.17.1-1.module_el9.2.0+36+c", "nodejs:18:9020020230825"),
				{Type: inventory.RPM, Name: "bind-libs", Version: "32:9.16.23-11.el9", Source: inventory.Source{Name: "bind", Version: "32:9.16.23-11.el9"}},
				{Type: inventory.RPM, Name: "bind-utils", Version: "32:9.16.23-11.el9", Source: inventory.Source{Name: "bind", Version: "32:9.16.23-11.el9"}},
				{Type: inventory.RPM, Name: "bind-extras", Version: "32:9.16.23-11.el9", Source: inventory.Source{Name: "bind", Version: "32:9.16.23-11.el9"}, Vendor: "ACME"},
			},
			want: []string{
				"CVE-1 nodejs 1:18.17.1-1.module_el9.2.0+36+c -> 1:18.18.2-2.module_el9.2.0+43+b fixed",
				"CVE-5 bind 32:9.16.23-11.el9 -> 32:9.16.23-18.el9 fixed",
				"CVE-7 nodejs 1:18.17.1-1.module_el9.2.0+36+c ->  affected",
				"CVE-9 bind 32:9.16.23-11.el9 ->  wont-fix",
				"unknown bind-extras 32:9.16.23-11.el9: built by ACME, on which the database has no data",
			},
		},
		{
			name: "Ubuntu, not subscribed",
			advisories: []vuln.Advisory{
				{ID: "UBUNTU-CVE-2024-1", Upstream: []string{"CVE-2024-1"}, Ecosystem: "Ubuntu:20.04:LTS", Package: "zip", Ranges: []vuln.Range{{}}},
				{ID: "UBUNTU-CVE-2024-1", Upstream: []string{"CVE-2024-1"}, Ecosystem: "Ubuntu:Pro:20.04:LTS", Package: "zip", Ranges: below("3.0-11+esm1")},
			},
			distro:   &inventory.Distro{ID: "ubuntu", Version: "20.04"},
			packages: []inventory.Package{deb("zip", "3.0-11build1", "zip", "3.0-11build1")},
			want:     []string{"CVE-2024-1 zip 3.0-11build1 ->  affected"},
		},
		{
			name: "Ubuntu Pro",
			advisories: []vuln.Advisory{
				{ID: "UBUNTU-CVE-2024-1", Upstream: []string{"CVE-2024-1"}, Ecosystem: "Ubuntu:20.04:LTS", Package: "zip", Ranges: []vuln.Range{{}}},
				{ID: "UBUNTU-CVE-2024-2", Upstream: []string{"CVE-2024-2"}, Ecosystem: "Ubuntu:20.04:LTS", Package: "zip", Ranges: []vuln.Range{{}}},
				{ID: "UBUNTU-CVE-2024-1", Upstream: []string{"CVE-2024-1"}, Ecosystem: "Ubuntu:Pro:20.04:LTS", Package: "zip", Ranges: below("3.0-11+esm1")},
			},
			distro:   &inventory.Distro{ID: "ubuntu", Version: "20.04"},
			packages: []inventory.Package{deb("zip", "3.0-11+esm1", "zip", "3.0-11+esm1")},
			want:     []string{"CVE-2024-2 zip 3.0-11+esm1 ->  affected"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := vuln.Judge(inventory.Inventory{Distro: test.distro, Packages: test.packages}, newMemory(test.advisories...), test.options)
			got := lines(r)
			for i, want := range test.want {
				// The rest of the line is another package's wording.
				if start, open := strings.CutSuffix(want, "*"); open && i < len(got) && strings.HasPrefix(got[i], start) {
					got[i] = want
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			apart := 0
			for _, g := range r.NotEvaluated {
				if !strings.HasPrefix(g.Reason, "advisory ") {
					apart += len(g.Packages)
				}
			}
			if all := r.Evaluated + len(r.ByDistro) + apart; all != len(test.packages) {
				t.Errorf("%d of %d packages are accounted for", all, len(test.packages))
			}
		})
	}
}

func TestFindingSaysWhatIsKnown(t *testing.T) {
	t.Parallel()
	db := newMemory(
		vuln.Advisory{ID: "GHSA-jfh8-c2jp-5v3q", Aliases: []string{"CVE-2021-44228"}, Source: "ghsa", Ecosystem: "Maven", Package: "org.apache.logging.log4j:log4j-core", Ranges: []vuln.Range{{Introduced: "2.13.0", Fixed: "2.15.0"}}, Severity: seawall.Critical, CWEs: []string{"CWE-502"}, CVSS: []string{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"}},
		vuln.Advisory{ID: "OSV-1", Aliases: []string{"CVE-2021-44228"}, Source: "other", Ecosystem: "Maven", Package: "org.apache.logging.log4j:log4j-core", Ranges: below("2.14.99"), Severity: seawall.Low},
	)
	db.extra["CVE-2021-44228"] = vuln.Extra{EPSS: 0.97, KEV: "2021-12-10", RCE: true, CWEs: []string{"CWE-20"}, Severity: seawall.High}
	r := vuln.Judge(inventory.Inventory{Packages: []inventory.Package{{
		Type: inventory.Maven, Name: "org.apache.logging.log4j:log4j-core", Version: "2.14.1", Path: "app/log4j-core-2.14.1.jar",
	}}}, db, vuln.Options{})
	if len(r.Matches) != 1 {
		t.Fatalf("got %d matches, want 1", len(r.Matches))
	}
	want := seawall.Vulnerability{
		ID: "CVE-2021-44228", Aliases: []string{"GHSA-jfh8-c2jp-5v3q", "OSV-1"}, Package: "org.apache.logging.log4j:log4j-core",
		PURL: "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1", Installed: "2.14.1", Fixed: "2.15.0", Status: "fixed",
		Severity: seawall.Critical, CVSS: 10, Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H",
		EPSS: 0.97, KEV: "2021-12-10", CWEs: []string{"CWE-20", "CWE-502"}, Sources: []string{"ghsa", "other"}, Path: "app/log4j-core-2.14.1.jar",
	}
	if diff := cmp.Diff(want, r.Matches[0].Vulnerability); diff != "" {
		t.Errorf("finding (-want +got):\n%s", diff)
	}
	const why = "exploited, listed by CISA on 2021-12-10; critical; EPSS 97 %; runs code from the network; fixed in 2.15.0"
	if got := r.Matches[0].Priority.String(); got != why {
		t.Errorf("priority\n got %s\nwant %s", got, why)
	}
}

func TestGoEvidence(t *testing.T) {
	t.Parallel()
	advisory := vuln.Advisory{ID: "GO-1", Aliases: []string{"CVE-1"}, Source: "go", Ecosystem: "Go", Package: "golang.org/x/net", Ranges: below("9.0.0"), Imports: []vuln.Import{
		{Path: "golang.org/x/net/http2", Symbols: []string{"Server.ServeConn", "ConfigureServer"}},
	}}
	github := vuln.Advisory{ID: "GHSA-1", Aliases: []string{"CVE-1"}, Source: "ghsa", Ecosystem: "Go", Package: "golang.org/x/net", Ranges: below("9.0.0")}
	windows := advisory
	windows.Imports = []vuln.Import{{Path: "golang.org/x/net/http2", GOOS: []string{"windows"}}}
	power := advisory
	power.Imports = []vuln.Import{{Path: "golang.org/x/net/http2", GOARCH: []string{"ppc64", "ppc64le"}}}
	whole := advisory
	whole.Imports = []vuln.Import{{Path: "golang.org/x/net/http2"}}

	for _, test := range []struct {
		name       string
		advisories []vuln.Advisory
		module     inventory.GoModule
		want       string
		symbols    []string
	}{
		{"function", []vuln.Advisory{advisory}, inventory.GoModule{Known: true, Functions: []string{"golang.org/x/net/http2.(*Server).ServeConn", "golang.org/x/net/http2.foo"}}, "CVE-1 golang.org/x/net 0.10.0 -> 9.0.0 fixed function", []string{"golang.org/x/net/http2.Server.ServeConn"}},
		{"other parts of the package", []vuln.Advisory{advisory}, inventory.GoModule{Known: true, Functions: []string{"golang.org/x/net/http2.foo"}}, "CVE-1 golang.org/x/net 0.10.0 -> 9.0.0 fixed package", nil},
		{"another package that begins alike", []vuln.Advisory{advisory}, inventory.GoModule{Known: true, Functions: []string{"golang.org/x/net/http2/hpack.ConfigureServer"}}, "not CVE-1 golang.org/x/net 0.10.0: absent", nil},
		{"evidence holds for all names", []vuln.Advisory{github, advisory}, inventory.GoModule{Known: true}, "not CVE-1 golang.org/x/net 0.10.0: absent", nil},
		{"functions not known", []vuln.Advisory{advisory}, inventory.GoModule{GOOS: "linux", GOARCH: "amd64"}, "CVE-1 golang.org/x/net 0.10.0 -> 9.0.0 fixed", nil},
		{"no names of functions", []vuln.Advisory{github}, inventory.GoModule{Known: true}, "CVE-1 golang.org/x/net 0.10.0 -> 9.0.0 fixed", nil},
		{"Windows only, for Linux", []vuln.Advisory{windows, github}, inventory.GoModule{GOOS: "linux", GOARCH: "amd64"}, "not CVE-1 golang.org/x/net 0.10.0: platform", nil},
		{"Windows only, for Windows", []vuln.Advisory{windows}, inventory.GoModule{GOOS: "windows", GOARCH: "amd64"}, "CVE-1 golang.org/x/net 0.10.0 -> 9.0.0 fixed", nil},
		{"Windows only, platform not known", []vuln.Advisory{windows}, inventory.GoModule{}, "CVE-1 golang.org/x/net 0.10.0 -> 9.0.0 fixed", nil},
		{"POWER only", []vuln.Advisory{power}, inventory.GoModule{GOOS: "linux", GOARCH: "amd64"}, "not CVE-1 golang.org/x/net 0.10.0: platform", nil},
		{"whole package", []vuln.Advisory{whole}, inventory.GoModule{Known: true, Functions: []string{"golang.org/x/net/http2.foo"}}, "CVE-1 golang.org/x/net 0.10.0 -> 9.0.0 fixed function", []string{"golang.org/x/net/http2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := vuln.Judge(inventory.Inventory{Packages: []inventory.Package{{
				Type: inventory.Go, Name: "golang.org/x/net", Version: "0.10.0", Path: "app", Go: &test.module,
			}}}, newMemory(test.advisories...), vuln.Options{})
			if diff := cmp.Diff([]string{test.want}, lines(r)); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if len(r.Matches) == 1 {
				if diff := cmp.Diff(test.symbols, r.Matches[0].Vulnerability.Symbols); diff != "" {
					t.Errorf("symbols (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestJudgeHasNoOrder holds the same packages in several orders, and the order
// of the result to be that of Less.
func TestJudgeHasNoOrder(t *testing.T) {
	t.Parallel()
	db := newMemory()
	for i := range 60 {
		name := fmt.Sprintf("p%d", i%20)
		db.add(vuln.Advisory{ID: fmt.Sprintf("GHSA-%d", i), Source: "ghsa", Ecosystem: "npm", Package: name, Ranges: below("2.0.0"), Severity: seawall.Severity(i % 5)})
		db.add(vuln.Advisory{ID: fmt.Sprintf("CVE-%d", i), Source: "debian", Ecosystem: "Debian:12", Package: name, Ranges: below("2"), Status: "deferred"})
	}
	var packages []inventory.Package
	for i := range 40 {
		packages = append(packages,
			inventory.Package{Type: inventory.NPM, Name: fmt.Sprintf("p%d", i/2), Version: "1.0.0", Path: strconv.Itoa(i)},
			deb(fmt.Sprintf("lib%d", i), "1", fmt.Sprintf("p%d", i/2), "1"))
	}
	judge := func(packages []inventory.Package) vuln.Result {
		return vuln.Judge(inventory.Inventory{Distro: &inventory.Distro{ID: "debian", Version: "12"}, Packages: packages}, db, vuln.Options{})
	}
	want := judge(packages)
	if !slices.IsSortedFunc(want.Matches, func(a, b vuln.Match) int {
		if vuln.Less(&a, &b) {
			return -1
		}
		return 1
	}) {
		t.Error("the matches are not in the order of Less, or it is not total")
	}
	if len(want.Matches) != 60*2+60 {
		t.Errorf("got %d matches, want 180", len(want.Matches))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		shuffled := slices.Clone(packages)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if diff := cmp.Diff(want, judge(shuffled)); diff != "" {
			t.Fatalf("another order, another result (-want +got):\n%s", diff)
		}
	}
}

func TestLess(t *testing.T) {
	t.Parallel()
	// From the most to the least urgent.
	order := []vuln.Match{
		{Vulnerability: seawall.Vulnerability{ID: "exploited", Severity: seawall.Low, KEV: "2024-01-01"}},
		{Vulnerability: seawall.Vulnerability{ID: "critical, linked", Severity: seawall.Critical, Reach: "function"}},
		{Vulnerability: seawall.Vulnerability{ID: "critical, likely", Severity: seawall.Critical, EPSS: 0.5}},
		{Vulnerability: seawall.Vulnerability{ID: "critical, to fix", Severity: seawall.Critical, Fixed: "2"}},
		{Vulnerability: seawall.Vulnerability{ID: "critical", Severity: seawall.Critical}},
		{Vulnerability: seawall.Vulnerability{ID: "low", Severity: seawall.Low}},
		{Vulnerability: seawall.Vulnerability{ID: "unknown"}},
		{Vulnerability: seawall.Vulnerability{ID: "not there", Severity: seawall.Critical, Reach: "package", KEV: "2024-01-01"}},
		{Vulnerability: seawall.Vulnerability{ID: "settled", Severity: seawall.Critical, KEV: "2024-01-01", VEX: &seawall.VEX{Status: "not_affected"}}},
	}
	for i := range order {
		order[i].Priority = vuln.Rank(&order[i].Vulnerability, false)
	}
	for i := range order {
		for j := range order {
			if got, want := vuln.Less(&order[i], &order[j]), i < j; got != want {
				t.Errorf("Less(%q, %q) = %t", order[i].Vulnerability.ID, order[j].Vulnerability.ID, got)
			}
		}
	}
}

func TestEcosystems(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		distro inventory.Distro
		want   string // the first
	}{
		{inventory.Distro{ID: "debian", Version: "12.5"}, "Debian:12"},
		{inventory.Distro{ID: "debian", Version: "trixie/sid"}, "Debian:13"},
		{inventory.Distro{ID: "debian", Codename: "forky"}, "Debian:14"},
		{inventory.Distro{ID: "debian", Codename: "sid"}, "Debian:sid"},
		{inventory.Distro{ID: "debian"}, ""},
		{inventory.Distro{ID: "ubuntu", Version: "24.04"}, "Ubuntu:24.04:LTS"},
		{inventory.Distro{ID: "ubuntu", Version: "23.04"}, "Ubuntu:23.04"},
		{inventory.Distro{ID: "ubuntu", Version: "24.10"}, "Ubuntu:24.10"},
		{inventory.Distro{ID: "alpine", Version: "3.20.3"}, "Alpine:v3.20"},
		{inventory.Distro{ID: "alpine", Version: "3.21_alpha20240807"}, "Alpine:edge"},
		{inventory.Distro{ID: "wolfi", Version: "20230201"}, "Wolfi"},
		{inventory.Distro{ID: "chainguard", Version: "20230214"}, "Chainguard"},
		{inventory.Distro{ID: "almalinux", Version: "9.4"}, "AlmaLinux:9"},
		{inventory.Distro{ID: "rocky", Version: "8.10"}, "Rocky Linux:8"},
		{inventory.Distro{ID: "rhel", Version: "9.4"}, "Red Hat:9"},
		{inventory.Distro{ID: "amzn", Version: "2023"}, "Amazon Linux:2023"},
		{inventory.Distro{ID: "ol", Version: "9.3"}, "Oracle Linux:9"},
		{inventory.Distro{ID: "photon", Version: "5.0"}, "Photon OS:5.0"},
		{inventory.Distro{ID: "azurelinux", Version: "3.0.20240824"}, "Azure Linux:3"},
		{inventory.Distro{ID: "opensuse-leap", Version: "15.6"}, "openSUSE:Leap 15.6"},
		{inventory.Distro{ID: "sles", Version: "15.5"}, "SUSE:Linux Enterprise Server 15 SP5"},
		{inventory.Distro{ID: "linuxmint", Version: "21", Like: []string{"ubuntu"}}, ""},
		{inventory.Distro{}, ""},
	} {
		got := ""
		if names := vuln.Ecosystems(test.distro); len(names) > 0 {
			got = names[0]
		}
		if got != test.want {
			t.Errorf("%+v: got %q, want %q", test.distro, got, test.want)
		}
	}
}

func TestEndOfLife(t *testing.T) {
	t.Parallel()
	bullseye := vuln.Release{Product: "debian", Cycle: "11", EOL: "2024-08-14", LTS: "2026-08-31", ExtendedEOL: "2031-06-30"}
	for _, test := range []struct {
		release vuln.Release
		today   string
		want    vuln.Support
	}{
		{bullseye, "2024-08-04", vuln.Support{Phase: vuln.Supported, Until: "2024-08-14", Days: 10}},
		{bullseye, "2024-08-14", vuln.Support{Phase: vuln.Supported, Until: "2024-08-14"}},
		{bullseye, "2024-08-15", vuln.Support{Phase: vuln.Limited, Until: "2026-08-31", Days: 746}},
		{bullseye, "2026-09-01", vuln.Support{Phase: vuln.Paid, Until: "2031-06-30", Days: 1763}},
		{bullseye, "2031-07-01", vuln.Support{Phase: vuln.Ended, Until: "2031-06-30", Days: -1}},
		{vuln.Release{EOL: "2022-11-01"}, "2022-11-02", vuln.Support{Phase: vuln.Ended, Until: "2022-11-01", Days: -1}},
		{vuln.Release{}, "2024-01-01", vuln.Support{Phase: vuln.Unknown}},
		{bullseye, "yesterday", vuln.Support{Phase: vuln.Unknown}},
	} {
		if got := vuln.EndOfLife(test.release, test.today); got != test.want {
			t.Errorf("%+v on %s: got %+v, want %+v", test.release, test.today, got, test.want)
		}
	}
}
