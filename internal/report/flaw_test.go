package report_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/report"
)

// flawFinding is what the check of known vulnerabilities reports of an image, or
// of a lock file where a line is given.
func flawFinding(name string, line int, v *seawall.Vulnerability) *seawall.Finding {
	check, kind, title := "image-vulnerability", "Image", "Image holds a package with a known vulnerability"
	if line > 0 {
		check, kind, title = "dependency-vulnerability", "SourceFile", "Dependency has a known vulnerability"
	}
	return &seawall.Finding{
		ID:            fmt.Sprintf("%s-%s-%s-%s-%d", v.ID, v.Package, v.Installed, v.Path, line),
		Rule:          &seawall.Rule{Check: check, Title: title, Phase: seawall.Build, Layer: seawall.ContainerLayer, Remediation: "update the package and rebuild.", Refs: []string{"owasp:K03", "mitre:T1190"}},
		Severity:      max(v.Severity, seawall.Low),
		Subject:       seawall.Subject{Object: &seawall.Object{Kind: kind, APIVersion: "seawall.io/v1", Name: name}},
		Location:      seawall.Location{File: name, Line: line, Path: "vulnerabilities[0]"},
		Message:       v.Package + " " + v.Installed + " has " + v.ID,
		Vulnerability: v,
	}
}

const (
	shopImage = "registry.example.com/shop/web:1.4"
	baseImage = "registry.example.com/base/distroless@sha256:77aa"
	lockFile  = "shop/package-lock.json"
)

// images is a report on two images and a lock file with one of everything that
// can be known of a vulnerability.
func images() *seawall.Report {
	deb := func(id, pkg, binary, installed, fixed, status string, s seawall.Severity) *seawall.Vulnerability {
		return &seawall.Vulnerability{
			ID: id, Package: pkg, PURL: "pkg:deb/debian/" + binary + "@" + installed, Binaries: []string{binary}, Installed: installed,
			Fixed: fixed, Status: status, Severity: s, Path: "var/lib/dpkg/status", Sources: []string{"debian"}, Layer: "sha256:aaaa",
		}
	}
	jar := func(path string) *seawall.Vulnerability {
		return &seawall.Vulnerability{
			ID: "CVE-2021-44228", Aliases: []string{"GHSA-jfh8-c2jp-5v3q"}, Package: "org.apache.logging.log4j:log4j-core",
			PURL: "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1", Installed: "2.14.1", Fixed: "2.15.0", Status: "fixed",
			Severity: seawall.Critical, CVSS: 10, Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", EPSS: 0.9436, KEV: "2021-12-10",
			CWEs: []string{"CWE-20", "CWE-502"}, RCE: true, Sources: []string{"ghsa"}, Path: path, Layer: "sha256:bbbb",
		}
	}
	lowered := deb("CVE-2023-45853", "zlib", "zlib1g", "1:1.2.13.dfsg-1", "", "wont-fix", seawall.Critical)
	lowered.CVSS, lowered.EPSS = 9.8, 0.0123
	expat := deb("CVE-2024-28757", "expat", "libexpat1", "2.5.0-1", "2.5.0-1+deb12u4", "fixed", seawall.High)
	expat.CVSS, expat.EPSS, expat.CWEs = 9.8, 0.002, []string{"CWE-776"}
	linked := &seawall.Vulnerability{
		ID: "CVE-2023-39325", Aliases: []string{"GHSA-4374-p667-p6c8", "GO-2023-2102"}, Package: "golang.org/x/net", PURL: "pkg:golang/golang.org/x/net@v0.10.0",
		Installed: "v0.10.0", Fixed: "0.17.0", Status: "fixed", Reach: "function", Symbols: []string{"Server.ServeConn", "serverConn.serve", "serverConn.upgradeRequest"},
		Severity: seawall.High, CVSS: 7.5, Sources: []string{"go"}, Path: "usr/bin/app",
	}
	elsewhere := *linked
	elsewhere.ID, elsewhere.Aliases, elsewhere.Package, elsewhere.Installed, elsewhere.Fixed = "GO-2022-0493", nil, "golang.org/x/sys", "v0.0.0-20211216021012-1d35b9e2eb4e", "0.0.0-20220412211240-33da011f77ad"
	elsewhere.Reach, elsewhere.Symbols = "package", nil
	doubted := deb("CVE-2022-0001", "linux", "linux-libc-dev", "6.1.4-1", "6.1.5-1", "fixed", seawall.Medium)
	doubted.VEX = &seawall.VEX{Status: "under_investigation", Source: "shop.openvex.json"}
	accepted := deb("CVE-2019-1010022", "glibc", "libc6", "2.36-9", "", "affected", seawall.None)
	findings := []*seawall.Finding{
		flawFinding(shopImage, 0, jar("opt/app/lib/log4j-core-2.14.1.jar")),
		flawFinding(shopImage, 0, jar("opt/app/plugins/log4j-core-2.14.1.jar")),
		flawFinding(shopImage, 0, lowered),
		flawFinding(shopImage, 0, linked),
		flawFinding(shopImage, 0, expat),
		flawFinding(shopImage, 0, doubted),
		flawFinding(shopImage, 0, deb("CVE-2011-3374", "apt", "libapt-pkg6.0", "2.6.1", "", "affected", seawall.Low)),
		flawFinding(shopImage, 0, deb("TEMP-0841856-B18BAF", "bash", "bash", "5.2.15-2", "", "deferred", seawall.None)),
		flawFinding(shopImage, 0, deb("CVE-2022-0563", "util-linux", "bsdutils", "2.38.1-5", "", "affected", seawall.Low)),
		flawFinding(shopImage, 0, &elsewhere),
		flawFinding(shopImage, 0, accepted),
		flawFinding(lockFile, 514, &seawall.Vulnerability{ID: "CVE-2018-3721", Package: "lodash", Installed: "4.17.4", Fixed: "4.17.5", Status: "fixed", Severity: seawall.Low, Path: lockFile}),
		flawFinding(lockFile, 611, &seawall.Vulnerability{ID: "CVE-2021-44906", Package: "minimist", Installed: "1.2.0", Fixed: "1.2.6", Status: "fixed", Severity: seawall.Critical, CVSS: 9.8, Path: lockFile}),
		flawFinding(baseImage, 0, deb("CVE-2024-0001", "base-files", "base-files", "12.4", "", "affected", seawall.Medium)),
	}
	absent := elsewhere
	absent.ID, absent.Reach, absent.Status, absent.Excluded = "GO-2024-0001", "absent", "not-affected", "nothing of golang.org/x/sys/unix is linked into the binary"
	other := absent
	other.ID, other.Excluded = "GO-2024-0002", "the flaw is on windows; the binary is built for linux/amd64"
	for _, v := range []*seawall.Vulnerability{&absent, &other} {
		f := flawFinding(shopImage, 0, v)
		f.Suppressed = &seawall.Suppression{Reason: v.Excluded, By: "evidence"}
		findings = append(findings, f)
	}
	findings[13].Known = true
	findings[10].Suppressed = &seawall.Suppression{Reason: "the attacker would need to run code already", Expires: "2027-06-30", By: "file"}
	root := flawFinding(shopImage, 0, accepted)
	root.ID, root.Check, root.Title, root.Severity = "r00t", "image-user-root", "Image runs as root", seawall.Medium
	root.Location.Path, root.Message, root.Remediation, root.Vulnerability = "config.user", "the image runs as root", "name another user with USER.", nil
	r := &seawall.Report{
		Version: "v0.1.0", Targets: []string{"image:" + shopImage, "image:" + baseImage, "shop"}, Findings: append(findings, root),
		Coverage: seawall.Coverage{
			Objects: 3, Evaluated: map[string]int{"seawall.io/v1/Image": 2, "seawall.io/v1/SourceFile": 1},
			Images: []seawall.ImageCoverage{
				{Name: shopImage, Digest: "sha256:0123", Platform: "linux/amd64", Distro: "Debian GNU/Linux 12 (bookworm)", Layers: 7, Files: 5725, Size: 211_482_321, Packages: 91, NotAffected: 14},
				{Name: baseImage, Digest: "sha256:77aa", Layers: 1, Files: 12, Size: 40_200, Packages: 3},
			},
			Database: &seawall.DatabaseCoverage{
				File: "/var/cache/seawall/seawall.db", Built: "2026-12-24T05:00:00Z", AgeDays: 9, Records: 87049, Signed: true,
				Gaps: []string{"ubuntu: not reachable"},
			},
		},
	}
	for _, f := range r.Findings {
		r.Summary.Add(f)
	}
	return r
}

// bigImage is a report on one image with n vulnerabilities of long names.
func bigImage(n int, fixed bool) *seawall.Report {
	r := &seawall.Report{Targets: []string{"image:big"}, Coverage: seawall.Coverage{Objects: 1, Evaluated: map[string]int{"seawall.io/v1/Image": 1}}}
	for i := range n {
		v := &seawall.Vulnerability{
			ID: fmt.Sprintf("CVE-2026-%05d", i), Package: fmt.Sprintf("example.com/a/very/long/module/path/of/somebody/package%d", i%17),
			Installed: "v0.0.0-20211216021012-1d35b9e2eb4e", Severity: seawall.Severity(1 + i%4), Status: "affected", EPSS: float64(i) / 1000, Path: fmt.Sprintf("usr/bin/tool%d", i%3),
		}
		if fixed {
			v.Fixed, v.Status = "1.2.3-alpha.1.with.a.long.suffix", "fixed"
		}
		r.Findings = append(r.Findings, flawFinding("big", 0, v))
		r.Summary.Add(r.Findings[i])
	}
	return r
}

// TestFlawsGolden writes vulnerabilities in every format.
func TestFlawsGolden(t *testing.T) {
	for _, format := range report.Formats() {
		t.Run(format, func(t *testing.T) {
			golden(t, "images."+extension(format), write(t, format, images(), options()))
		})
	}
	for _, width := range []int{60, 160} {
		t.Run(fmt.Sprintf("table-%d", width), func(t *testing.T) {
			o := options()
			o.Width, o.Color = width, width > 100
			golden(t, fmt.Sprintf("images-%d.txt", width), write(t, "table", images(), o))
		})
	}
}

// TestFlawTableWidth looks for lines that are wider than the terminal.
func TestFlawTableWidth(t *testing.T) {
	for name, r := range map[string]*seawall.Report{"images": images(), "fixed": bigImage(70, true), "open": bigImage(500, false)} {
		for _, width := range []int{60, 80, 100, 140, 200} {
			for line := range strings.Lines(string(write(t, "table", r, report.Options{Width: width}))) {
				if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > width {
					t.Errorf("%s at %d columns: a line of %d: %s", name, width, n, line)
				}
			}
		}
	}
}

// TestFlawTableCounts holds what the table shows and what it says it leaves out
// against what there is.
func TestFlawTableCounts(t *testing.T) {
	tests := []struct {
		name  string
		n     int
		fixed bool
		want  []string
		rows  int
	}{
		{"few", 51, true, []string{"51 vulnerabilities", "all with a fix"}, 51},
		{"many", 500, true, []string{"500 vulnerabilities: 125 critical, 125 high, 125 medium, 125 low; all with a fix", "and 450 more: 75 critical, 125 high, 125 medium, 125 low"}, 50},
		{"unfixed", 500, false, []string{"500 vulnerabilities", "no fix is known", "Without a fix (500)", "CRITICAL  (125)", "and 85 more"}, 4 * 40},
		{"one-unfixed", 1, false, []string{"1 vulnerability: 1 low; no fix is known", "Without a fix (1)"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := string(write(t, "table", bigImage(tt.n, tt.fixed), report.Options{Width: 200}))
			for _, want := range tt.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			if got := strings.Count(out, "CVE-2026-"); got != tt.rows {
				t.Errorf("got %d IDs, want %d", got, tt.rows)
			}
		})
	}
}

// TestFlawOrder checks that the engine's rank decides, whatever order findings
// come in: what is exploited before all, and what is not linked after all.
func TestFlawOrder(t *testing.T) {
	r := images()
	slices.Reverse(r.Findings)
	tests := []struct {
		format string
		want   []string
	}{
		{"table", []string{"CVE-2021-44228", "CVE-2023-39325", "CVE-2024-28757", "CVE-2022-0001", "GO-2022-0493", "Without a fix", "CVE-2023-45853", "CVE-2011-3374"}},
		{"html", []string{"log4j-core", "CVE-2023-39325", "CVE-2023-45853", "CVE-2024-28757", "CVE-2022-0001", "CVE-2011-3374", "GO-2022-0493"}},
	}
	for _, tt := range tests {
		out := string(write(t, tt.format, r, options()))
		for i, id := range tt.want {
			_, rest, ok := strings.Cut(out, id)
			if !ok {
				t.Fatalf("%s: %s does not follow %v", tt.format, id, tt.want[:i])
			}
			out = rest
		}
	}
}

// TestUpgrades checks what the table says is to be updated to which version.
func TestUpgrades(t *testing.T) {
	tests := []struct {
		name, purl string
		fixed      []string
		want       string
	}{
		{"one-version", "pkg:deb/debian/p@1", []string{"1.2-3", "1.2-3"}, "p 1 to 1.2-3 removes 6 medium"},
		{"npm", "pkg:npm/p@1", []string{"4.17.5", "4.17.21", "4.17.11"}, "p 1 to 4.17.21 removes 6 medium"},
		{"deb", "pkg:deb/debian/p@1", []string{"3.0.22-1", "3.0.22-1~deb12u2"}, "p 1 to 3.0.22-1 removes 6 medium"},
		{"go", "pkg:golang/p@v1", []string{"0.9.0", "0.17.0"}, "p 1 to 0.17.0 removes 6 medium"},
		{"no-order", "pkg:generic/p@1", []string{"1", "2"}, "p 1 removes 6 medium"},
		{"malformed", "pkg:npm/p@1", []string{"x y", "2.0.0"}, "p 1 removes 6 medium"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &seawall.Report{}
			for i := range 12 {
				v := &seawall.Vulnerability{ID: fmt.Sprintf("CVE-2027-%04d", i), Package: "p", Installed: "1", PURL: tt.purl, Severity: seawall.Medium, Fixed: tt.fixed[i%len(tt.fixed)]}
				if i >= 6 {
					v.Package, v.Severity = "q", seawall.Low
				}
				r.Findings = append(r.Findings, flawFinding("big", 0, v))
			}
			out := string(write(t, "table", r, report.Options{}))
			if want := "2 updates to do\n    " + tt.want + "\n    q 1"; !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		})
	}
}

// TestFlawsNothingDropped looks for every vulnerability in the formats that are
// to hold all.
func TestFlawsNothingDropped(t *testing.T) {
	r := bigImage(500, true)
	for _, format := range []string{"json", "sarif", "junit", "markdown", "html", "openreports", "policyreport"} {
		out := string(write(t, format, r, report.Options{MarkdownLimit: -1}))
		for _, f := range r.Findings {
			if !strings.Contains(out, f.Vulnerability.ID) {
				t.Errorf("%s: no trace of %s", format, f.Vulnerability.ID)
				break
			}
		}
	}
}

// TestFlawsMarkdownLimit checks that one image with many vulnerabilities fills
// the room that a comment has, and says what it leaves out.
func TestFlawsMarkdownLimit(t *testing.T) {
	r := bigImage(2000, true)
	for _, limit := range []int{0, 3000, 20_000} {
		out := string(write(t, "markdown", r, report.Options{MarkdownLimit: limit}))
		if limit == 0 {
			limit = 60_000
		}
		if len(out) > limit {
			t.Errorf("%d bytes, want at most %d", len(out), limit)
		}
		if len(out) < limit/2 && limit > 3000 {
			t.Errorf("%d bytes of %d are used", len(out), limit)
		}
		rows := strings.Count(out, "/vuln/detail/") - 1 // one in the table on top
		if want := fmt.Sprintf("_%d vulnerabilities left out for want of room", 2000-rows); !strings.Contains(out, want) {
			t.Errorf("limit %d: %d rows, and no %q", limit, rows, want)
		}
	}
}

// TestFlawsSARIF checks the rules of vulnerabilities.
func TestFlawsSARIF(t *testing.T) {
	out := write(t, "sarif", images(), options())
	schema, err := jsonschema.NewCompiler().Compile("testdata/schema/sarif-schema-2.1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(doc); err != nil {
		t.Error(err)
	}
	var log sarifLog
	if err := json.Unmarshal(out, &log); err != nil {
		t.Fatal(err)
	}
	rules := log.Runs[0].Tool.Driver.Rules
	scores := map[string]any{}
	for _, rule := range rules {
		scores[rule.ID] = rule.Properties["security-severity"]
	}
	want := map[string]any{
		"CVE-2021-44228": "10.0", "CVE-2023-39325": "7.5", "CVE-2023-45853": "9.8", "CVE-2021-44906": "9.8",
		"CVE-2024-28757": "8.0", // rated high by the distribution, in spite of its score
		"CVE-2022-0001":  "5.5", "CVE-2011-3374": "3.0", "TEMP-0841856-B18BAF": "3.0", "CVE-2022-0563": "3.0", "GO-2022-0493": "7.5", "GO-2024-0001": "7.5", "GO-2024-0002": "7.5",
		"CVE-2019-1010022": "3.0", "CVE-2018-3721": "3.0", "CVE-2024-0001": "5.5", "image-user-root": "5.5",
	}
	if diff := cmp.Diff(want, scores); diff != "" {
		t.Errorf("security severities (-want +got):\n%s", diff)
	}
	addresses := map[string]bool{}
	for i, res := range log.Runs[0].Results {
		if rules[res.RuleIndex].ID != res.RuleID {
			t.Errorf("result %d: rule %s at the index of %s", i, res.RuleID, rules[res.RuleIndex].ID)
		}
		at := res.Locations[0].PhysicalLocation
		u, err := url.Parse(at.ArtifactLocation.URI)
		if err != nil || u.IsAbs() || u.Path == "" {
			t.Errorf("result %d: address %q is no relative URI (%v)", i, at.ArtifactLocation.URI, err)
		}
		addresses[fmt.Sprintf("%s:%d", at.ArtifactLocation.URI, at.Region.StartLine)] = true
		if lined := at.ArtifactLocation.URIBaseID != ""; lined == (res.PartialFingerprints["primaryLocationLineHash"] != "") {
			t.Errorf("result %d at %s: GitHub cannot follow it, or is told how where it can itself", i, at.ArtifactLocation.URI)
		}
	}
	for _, want := range []string{"image/registry.example.com/shop/web%3A1.4/opt/app/lib/log4j-core-2.14.1.jar:1", "shop/package-lock.json:514", "image/registry.example.com/shop/web%3A1.4:1"} {
		if !addresses[want] {
			t.Errorf("no result at %s; got %v", want, addresses)
		}
	}
}

// TestFlawLinks checks which IDs become links: those of a known form only.
func TestFlawLinks(t *testing.T) {
	tests := []struct{ id, want string }{
		{"CVE-2021-44228", "https://nvd.nist.gov/vuln/detail/CVE-2021-44228"},
		{"GHSA-jfh8-c2jp-5v3q", "https://github.com/advisories/GHSA-jfh8-c2jp-5v3q"},
		{"GO-2023-2102", "https://pkg.go.dev/vuln/GO-2023-2102"},
		{"RUSTSEC-2020-0071", "https://rustsec.org/advisories/RUSTSEC-2020-0071.html"},
		{"PYSEC-2021-1", "https://osv.dev/vulnerability/PYSEC-2021-1"},
		{"DSA-5417-1", "https://security-tracker.debian.org/tracker/DSA-5417-1"},
		{"ALSA-2024:1234", "https://osv.dev/vulnerability/ALSA-2024:1234"},
		{"USN-5417-1", "https://ubuntu.com/security/notices/USN-5417-1"},
		{"RHSA-2024:1234", "https://access.redhat.com/errata/RHSA-2024:1234"},
		{"TEMP-0841856-B18BAF", ""},
		{"CVE-", ""},
		{"CVE-2021-1/../../../x", ""},
		{"CVE-2021-1?x", ""},
		{`CVE-2021-1" onclick="x`, ""},
		{"javascript-x", ""},
		{"CVE-" + strings.Repeat("1", 100), ""},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.id, "/", "_"), func(t *testing.T) {
			v := &seawall.Vulnerability{ID: tt.id, Package: "p", Installed: "1", Fixed: "2"}
			out := string(write(t, "html", &seawall.Report{Findings: []*seawall.Finding{flawFinding("i", 0, v)}}, report.Options{}))
			link := `href="` + tt.want + `"`
			switch {
			case tt.want == "" && strings.Contains(out, `href="http`):
				t.Error("there is a link")
			case tt.want != "" && !strings.Contains(out, link):
				t.Errorf("no %s", link)
			}
		})
	}
}

// TestDatabaseWarnings checks when a database is not good enough.
func TestDatabaseWarnings(t *testing.T) {
	tests := []struct {
		name string
		d    seawall.DatabaseCoverage
		want []string
	}{
		{"fresh", seawall.DatabaseCoverage{AgeDays: 5}, nil},
		{"old", seawall.DatabaseCoverage{AgeDays: 6}, []string{"is 6 days old"}},
		{"gap", seawall.DatabaseCoverage{Gaps: []string{"x: y"}}, []string{"lacks 1 source"}},
		{"both", seawall.DatabaseCoverage{AgeDays: 400, Gaps: []string{"x: y", "z: y"}}, []string{"is 400 days old", "lacks 2 sources"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, format := range []string{"table", "markdown", "html", "junit", "openreports"} {
				out := strings.Join(strings.Fields(string(write(t, format, &seawall.Report{Coverage: seawall.Coverage{Database: &tt.d}}, report.Options{}))), " ")
				for _, want := range tt.want {
					if !strings.Contains(out, want) {
						t.Errorf("%s: no %q", format, want)
					}
				}
				if tt.want == nil && (strings.Contains(out, "days old and") || strings.Contains(out, "lacks")) {
					t.Errorf("%s warns of a good database", format)
				}
			}
		})
	}
}
