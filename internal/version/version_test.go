package version_test

import (
	"errors"
	goversion "go/version"
	"math/rand/v2"
	"strings"
	"testing"

	"seawall.io/seawall/internal/version"
)

// orders are all there are.
var orders = []version.Order{
	version.Deb, version.RPM, version.APK, version.SemVer, version.NPM, version.Go, version.PyPI,
	version.Maven, version.RubyGems, version.Packagist, version.NuGet,
}

// Each line goes from the oldest to the newest; = joins versions of equal rank.
var ascending = []struct {
	order version.Order
	line  string
}{
	// deb-version(7)
	{version.Deb, "1~~ 1~~a 1~ 1=1-0=0:1=01 1-0.0 1-1 1a 1+ 1.0 1.0-1 1.0-1+b1 1.0-1+deb12u1 1.0-1.1 1.0.0 1:0.1"},
	{version.Deb, "3.0.15-1~deb12u1 3.0.15-1 3.0.15-1ubuntu1 3.0.15-1ubuntu1.2 3.0.15-2~bpo12+1 3.0.15-2"},
	// rpm-version(7)
	{version.RPM, "1.0~beta1 1.0~rc1 1.0 1.0-1=0:1.0-1 1.0^20210501 1.0.a=1.0a 1.0.1 1.0.1a 1.1 1:0.1"},
	{version.RPM, "1.8.0-1.el9 1.8.0-1.el9_2 1.8.0-1.el9_2.1 1.8.0-2.el9 1.8.0-10.el9=1.8.0-010.el9 1.8.00.1-1"},
	{version.RPM, "0:2.34-60.el9 2.34-60.el9_2.7 2.34-100.el9"},
	// apk-package(5)
	{version.APK, "1.02.3=01.02.3 1.2_alpha 1.2_alpha2 1.2_beta 1.2_pre 1.2_rc1 1.2 1.2_git20200101 1.2_p1 1.2a 1.2.0 1.2.05 1.2.1"},
	{version.APK, "3.0.8-r0 3.0.8-r3 3.0.8-r10 3.0.8~1f 3.0.8~2e-r1 3.0.8_p0 3.0.8b"},
	// semver.org, section 11
	{version.SemVer, "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0=1=1.0=v1.0.0=1.0.0+build 1.0.1"},
	{version.SemVer, "0.99999999999999999999.0 0.100000000000000000000.0"},
	{version.NPM, "1.2.3-beta=1.2.3beta=v1.2.3-beta==1.2.3-beta 1.2.3=01.02.03 1.2.4-0 1.2.4"},
	// The Go vulnerability database writes 1.22.0-0 and 1.22.0-rc.1.
	{version.Go, "1.21.13 1.22.0-0 1.22beta1 go1.22rc1=1.22rc1=1.22.0-rc.1 1.22rc2 1.22=1.22.0=go1.22.0=v1.22.0=go1.22.0-custom go1.22.1"},
	{version.Go, "0.0.0-20170915032832-14c0d48ead0c v0.0.0-20190308221718-c2843e01d9a2 0.0.1 0.1.0+incompatible=0.1.0"},
	// PEP 440
	{version.PyPI, "1.dev0 1.0.dev456 1.0a1 1.0a2.dev456 1.0a12.dev456 1.0a12 1.0b1.dev456 1.0b2 1.0b2.post345.dev456 1.0b2.post345 1.0rc1.dev456 1.0rc1=1.0c1=1.0-preview.1 1.0=1=1.0.0=v1.0 1.0+abc.5 1.0+abc.7 1.0+5 1.0.post456.dev34 1.0.post456=1.0-456 1.1.dev1 1!0.1"},
	// Maven's version order specification
	{version.Maven, "1.alpha.1 1-alpha-1=1a1 1-beta-1=1b1 1-milestone-1=1m1 1-rc=1-cr 1-snapshot 1=1.0=1-0=1.ga=1-final=1.0.0-RELEASE 1-sp 1-abc 1-1 1.1"},
	{version.Maven, "2.14.0-rc1 2.14.0 2.14.1 2.15.0 2.17.1"},
	{version.Maven, "5.0.0.Beta1 5.0.0.CR1 5.0.0.Final 5.0.0.SP1 5.0.1.Final"},
	{version.RubyGems, "1.0.a1 1.0.a.2 1.0.b1 1.0.rc1 1.0=1=1.0.0 1.0.1.pre=1.0.1.pre.0 1.0.1-1=1.0.1.pre.1 1.0.1 1.10"},
	{version.Packagist, "1.0.x-dev 1.1-dev 1.1-alpha=1.1a 1.1-alpha2 1.1-beta2=1.1b2 1.1-RC1-dev 1.1-RC1 1.1=v1.1.0.0=1.1-stable=1.1@dev=1.1+7 1.1-p1=1.1-patch1=1.1pl1 1.1.x-dev 2024-01-31=2024:01:31 20240131"},
	{version.NuGet, "1.0.0-alpha=1.0-ALPHA 1.0.0-alpha.2 1.0.0-alpha.10 1.0.0=1=1.0.0.0=1.0.0+git 1.0.0.1 1.0.1"},
}

func TestOrder(t *testing.T) {
	for _, tt := range ascending {
		var groups [][]string
		for word := range strings.FieldsSeq(tt.line) {
			groups = append(groups, split(word))
		}
		for i, g := range groups {
			for j, h := range groups {
				for _, a := range g {
					for _, b := range h {
						c, err := tt.order.Compare(a, b)
						if err != nil {
							t.Error(err)
						} else if sign(c) != sign(i-j) {
							t.Errorf("%s: %s ? %s: got %d, want %d", tt.order, a, b, sign(c), sign(i-j))
						}
					}
				}
			}
		}
	}
}

// split cuts at =, where two of them stand for one that is part of a version.
func split(s string) []string {
	parts := strings.Split(strings.ReplaceAll(s, "==", "\x00"), "=")
	for i, p := range parts {
		if v, rest, ok := strings.Cut(p, "\x00"); ok {
			parts[i] = v
			parts = append(parts, "="+rest)
		}
	}
	return parts
}

func TestMalformed(t *testing.T) {
	tests := []struct {
		order version.Order
		in    string
		want  string
	}{
		{version.Deb, "", "deb version \"\": it is empty"},
		{version.Deb, "unknown", "does not start with a digit"},
		{version.Deb, "a:1", "the epoch is not a number"},
		{version.Deb, ":1", "the epoch is not a number"},
		{version.Deb, "99999999999:1", "the epoch is above 2147483647"},
		{version.Deb, "1:", "nothing follows the epoch"},
		{version.Deb, "1-", "the revision is empty"},
		{version.Deb, "1_2", "only letters, digits and .+~:- may stand in it"},
		{version.Deb, "1:2-3-4_5", "only letters, digits and .+~ may stand in the revision"},
		{version.RPM, "1:", "it is empty"},
		{version.RPM, "1-", "the release is empty"},
		{version.RPM, "(none)", "only letters, digits and ._+~^- may stand in it"},
		{version.APK, "", "a number is missing"},
		{version.APK, "1.", "a number is missing"},
		{version.APK, "1.2-r", "a number is missing"},
		{version.APK, "1.2_foo", "the suffix is none of alpha"},
		{version.APK, "1.2~xyz", "no hexadecimal digits follow ~"},
		{version.APK, "1.2-3", "it is not of the form"},
		{version.APK, "1.2-r1.3", "it is not of the form"},
		{version.SemVer, "", "it is empty"},
		{version.SemVer, "1.x", "a number is missing"},
		{version.SemVer, "1.2.3.4", "it has too many numbers"},
		{version.SemVer, "1.2.3beta", "it is not of the form"},
		{version.SemVer, "1.2.3-", "a label is empty"},
		{version.SemVer, "1.2.3-a..b", "a label is empty"},
		{version.SemVer, "1.2.3+", "the build metadata is malformed"},
		{version.Go, "(devel)", "a number is missing"},
		{version.Go, "devel go1.22-abcdef", "a number is missing"},
		{version.PyPI, "2004d", "PEP 440"},
		{version.PyPI, "1.0+", "the local version is malformed"},
		{version.PyPI, "beta", "it does not begin with a number"},
		{version.Maven, "", "it is empty"},
		{version.Maven, "${project.version}", "may stand in it"},
		{version.RubyGems, "", "it is empty"},
		{version.RubyGems, "a1", "it does not start with a digit"},
		{version.RubyGems, "1a", "the first part is not a number"},
		{version.RubyGems, "1..2", "a part is empty"},
		{version.Packagist, "@dev", "it is empty"},
		{version.Packagist, "dev-main", "it is a branch"},
		{version.Packagist, "1.2.3.4.5", "it is not of the form"},
		{version.Packagist, "1.2+", "the build metadata is malformed"},
		{version.NuGet, "1.2.3.4.5", "it has too many numbers"},
		{version.Order(0), "1", "there is no order to compare in"},
		{version.Order(200), "1", "there is no order to compare in"},
		{version.Deb, strings.Repeat("x", 1000), strings.Repeat("x", 80) + "...\""},
	}
	for _, tt := range tests {
		err := tt.order.Valid(tt.in)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: got %v, want an error with %q", tt.order, tt.in, err, tt.want)
			continue
		}
		if !errors.Is(err, version.ErrMalformed) {
			t.Errorf("%v is not ErrMalformed", err)
		}
		// A malformed version is named on either side.
		for _, p := range []pair{{tt.in, "1"}, {"1", tt.in}} {
			if _, err := tt.order.Compare(p.a, p.b); err == nil {
				t.Errorf("%s %q ? %q: got no error", tt.order, p.a, p.b)
			}
		}
	}
}

func TestFor(t *testing.T) {
	tests := map[string]version.Order{
		"Debian:12": version.Deb, "Debian": version.Deb, "Ubuntu:24.04:LTS": version.Deb, "Ubuntu:Pro:18.04:LTS": version.Deb,
		"Alpine:v3.20": version.APK, "Wolfi": version.APK, "Chainguard": version.APK,
		"AlmaLinux:9": version.RPM, "Rocky Linux:9": version.RPM, "Red Hat:enterprise_linux:9::baseos": version.RPM,
		"SUSE:Linux Enterprise Server 15 SP5": version.RPM, "openSUSE:Leap 15.6": version.RPM, "Photon OS:5.0": version.RPM,
		"Amazon Linux:2023": version.RPM, "Oracle Linux:9": version.RPM, "Azure Linux:3": version.RPM,
		"npm": version.NPM, "PyPI": version.PyPI, "Go": version.Go, "Maven": version.Maven, "crates.io": version.SemVer,
		"RubyGems": version.RubyGems, "Packagist": version.Packagist, "NuGet": version.NuGet, "Bitnami": version.SemVer,
	}
	for ecosystem, want := range tests {
		if got, ok := version.For(ecosystem); !ok || got != want {
			t.Errorf("For(%q): got %s, %v, want %s", ecosystem, got, ok, want)
		}
	}
	for _, ecosystem := range []string{"", "debian", "Hackage", "Debianish:12", ":12"} {
		if got, ok := version.For(ecosystem); ok {
			t.Errorf("For(%q): got %s, want none", ecosystem, got)
		}
	}
}

func TestAffected(t *testing.T) {
	tests := []struct {
		order                            version.Order
		version, introduced, fixed, last string
		want                             bool
		err                              string
	}{
		{order: version.Deb, version: "3.0.15-1~deb12u1", introduced: "0", fixed: "3.0.15-1", want: true},
		{order: version.Deb, version: "3.0.15-1", introduced: "0", fixed: "3.0.15-1"},
		{order: version.Deb, version: "0~git", introduced: "0", want: true},
		{order: version.Deb, version: "1", fixed: "0"},
		{order: version.NPM, version: "1.2.3", want: true},
		{order: version.NPM, version: "1.2.3", introduced: "1.2.4"},
		{order: version.NPM, version: "1.2.3", introduced: "1.2.3", last: "1.2.3", want: true},
		{order: version.NPM, version: "1.2.4", introduced: "1.2.3", last: "1.2.3"},
		{order: version.NPM, version: "latest", err: `npm version "latest": a number is missing`},
		{order: version.NPM, version: "1.2.4", fixed: "soon", err: `npm version "soon": a number is missing`},
		{order: version.NPM, version: "1.2.4", introduced: "then", err: `npm version "then": a number is missing`},
		{order: version.NPM, version: "1.2.4", last: "ever", err: `npm version "ever": a number is missing`},
	}
	for _, tt := range tests {
		got, err := version.Affected(tt.order, tt.version, tt.introduced, tt.fixed, tt.last)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("%+v: got %v, %v", tt, got, err)
		}
	}
}

// The versions that advisories name are nearly all well formed: what is not is
// told here, so that a parser that grows too strict is noticed.
func TestSamplesAreValid(t *testing.T) {
	most := map[version.Order]int{version.APK: 6, version.Maven: 1, version.PyPI: 25, version.NPM: 3, version.Packagist: 3, version.NuGet: 2}
	for _, o := range orders {
		var bad []string
		for _, v := range samples(t, o) {
			if o.Valid(v) != nil {
				bad = append(bad, v)
			}
		}
		if len(bad) > most[o] {
			t.Errorf("%s: %d malformed, want at most %d: %q", o, len(bad), most[o], bad)
		}
	}
}

func TestGoAgreesWithGo(t *testing.T) {
	// go1.21 and go1.21.0, a language and a release, are left out: go/version keeps
	// them apart, advisories do not.
	releases := []string{
		"1", "1.0.3", "1.4", "1.10beta1", "1.20", "1.20.1", "1.21rc2", "1.21.0", "1.21.5", "1.22rc1", "1.22beta3", "1.100.2",
	}
	for _, a := range releases {
		for _, b := range releases {
			want := goversion.Compare("go"+a, "go"+b)
			for _, p := range []pair{{a, b}, {"go" + a, b}, {a, "go" + b}} {
				if c, err := version.Go.Compare(p.a, p.b); err != nil || sign(c) != want {
					t.Errorf("%s ? %s: got %d, %v, want %d", p.a, p.b, sign(c), err, want)
				}
			}
		}
	}
}

// Order is total: swapping turns the answer round, and no three versions chase
// each other's tails.
func TestTotal(t *testing.T) {
	for _, o := range orders {
		v := samples(t, o)
		r := rand.New(rand.NewPCG(*seed, 99))
		for range 20000 {
			a := v[r.IntN(len(v))]
			b, c := mutate(r, a), mutate(r, v[r.IntN(len(v))])
			if r.IntN(2) == 0 {
				c = mutate(r, b)
			}
			total(t, o, a, b, c)
		}
	}
}

// total fails the test if the order of three versions contradicts itself. Of
// Maven only two at a time are asked of: ComparableVersion does run in circles
// (1.Final < 1.x-beta1 < 1.Final-beta1 < 1.Final), and we follow it there.
func total(t *testing.T, o version.Order, a, b, c string) {
	t.Helper()
	v := [3]string{a, b, c}
	var m [3][3]int
	for i, a := range v {
		for j, b := range v {
			got, err := o.Compare(a, b)
			if valid := o.Valid(a) == nil && o.Valid(b) == nil; valid != (err == nil) {
				t.Fatalf("%s %q ? %q: got %v, but valid is %v", o, a, b, err, valid)
			}
			if err != nil {
				return
			}
			m[i][j] = sign(got)
		}
	}
	for i := range v {
		for j := range v {
			if m[i][j] != -m[j][i] {
				t.Errorf("%s %q ? %q: %d one way, %d the other", o, v[i], v[j], m[i][j], m[j][i])
			}
			for k := range v {
				if o == version.Maven {
					continue
				}
				if m[i][j] <= 0 && m[j][k] <= 0 && m[i][k] > 0 || m[i][j] == 0 && m[i][k] != m[j][k] {
					t.Errorf("%s: %q ? %q is %d, %q ? %q is %d, but %q ? %q is %d",
						o, v[i], v[j], m[i][j], v[j], v[k], m[j][k], v[i], v[k], m[i][k])
				}
			}
		}
	}
}

func FuzzCompare(f *testing.F) {
	for _, tt := range ascending {
		words := strings.FieldsFunc(tt.line, func(r rune) bool { return r == ' ' || r == '=' })
		for i := range len(words) - 2 {
			f.Add(uint8(tt.order), words[i], words[i+1], words[i+2])
		}
	}
	f.Fuzz(func(t *testing.T, o uint8, a, b, c string) {
		total(t, orders[int(o)%len(orders)], a, b, c)
	})
}

func BenchmarkCompare(b *testing.B) {
	for _, o := range orders {
		var good []string
		for _, v := range samples(b, o) {
			if o.Valid(v) == nil {
				good = append(good, v)
			}
		}
		b.Run(o.String(), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := o.Compare(good[i%len(good)], good[(i+1)%len(good)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Versions of common length cost no memory.
func TestNoAllocations(t *testing.T) {
	for _, tt := range ascending {
		words := strings.FieldsFunc(tt.line, func(r rune) bool { return r == ' ' || r == '=' })
		a, b := words[0], words[len(words)-1]
		if n := testing.AllocsPerRun(100, func() { _, _ = tt.order.Compare(a, b) }); n != 0 {
			t.Errorf("%s %q ? %q: %v allocations", tt.order, a, b, n)
		}
	}
}
