package version_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/osv-scalibr/semantic"
	apk "github.com/knqyf263/go-apk-version"
	"golang.org/x/mod/semver"
	"seawall.io/seawall/internal/version"
)

var (
	corpus = flag.String("versions", "../../../internal/version/testdata/versions", "folder with versions, one file `ORDER.txt` for each order")
	count  = flag.Int("pairs", 20000, "how many pairs of each order are compared")
	seed   = flag.Uint64("seed", 1, "of the choice of pairs")
)

func versions(t *testing.T, o version.Order) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(*corpus, o.String()+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

// slips are put into versions, so that neighbours are compared that nobody
// published.
var slips = []string{".", "-", "~", "^", "_", "+", "0", "1", "9", "00", ".0", ".1", "-1", "-r1", "a", "b", "rc1", "-alpha.1", ".beta", "_p1", "post1", "1:", "-SNAPSHOT"}

func slip(r *rand.Rand, v string) string {
	i := r.IntN(len(v) + 1)
	s := slips[r.IntN(len(slips))]
	switch r.IntN(3) {
	case 0:
		return v[:i] + s + v[i:]
	case 1:
		return v + s
	}
	return v[:i] + v[min(i+1, len(v)):]
}

// except says where scalibr's order is not the ecosystem's own. The tests of
// package version hold the same versions against the ecosystem's tool.
type except struct {
	why  string
	is   *regexp.Regexp // matches either version
	a, b string         // an example
}

var hyphens = except{"a label that is a number behind a hyphen is none to semver.org", regexp.MustCompile(`[-.]-`), "1.0.0-0", "1.0.0--0"}

var orders = []struct {
	order     version.Order
	ecosystem string
	// published keeps to versions that were published, where scalibr and the
	// ecosystem's tool part on too much that nobody ever wrote.
	published bool
	// normal is what the tool makes of a version before it compares, and scalibr
	// does not.
	normal func(string) string
	except []except
}{
	{order: version.Deb, ecosystem: "Debian"},
	{order: version.RPM, ecosystem: "AlmaLinux", except: []except{
		{"rpm splits at the last hyphen, scalibr at the first", regexp.MustCompile(`-.*-`), "1-1-1", "1-1.1"},
	}},
	{order: version.APK, ecosystem: "Alpine", except: []except{
		{"a number that is missing is not 0 to apk", regexp.MustCompile(`\.0+([a-z_~-]|$)`), "1.2-r0", "1.2.0-r0"},
		{"a suffix without a number does not have number 0", regexp.MustCompile(`_[a-z]+([^0-9a-z]|$)`), "1.2_rc", "1.2_rc0"},
		{"apk orders by hashes", regexp.MustCompile(`~`), "1.2~1", "1.2~2"},
	}},
	{order: version.SemVer, ecosystem: "crates.io", except: []except{hyphens}},
	{order: version.NPM, ecosystem: "npm", except: []except{
		hyphens,
		{"node-semver takes a lone hyphen for a label", regexp.MustCompile(`-($|\+)`), "1.2.3-", "1.2.3"},
	}},
	{order: version.Go, ecosystem: "Go", except: []except{
		hyphens,
		{"releases of Go are written 1.22rc1", regexp.MustCompile(`^[0-9.]+[a-z]`), "1.22rc1", "1.22.0-rc.1"},
	}},
	{order: version.PyPI, ecosystem: "PyPI"},
	{order: version.Maven, ecosystem: "Maven", published: true, except: []except{
		{"zeros before a word do not count, also behind a dot", regexp.MustCompile(`(^|\.)0\.?[A-Za-z]`), "8.0.0-RC3", "8.0.0.M2"},
	}},
	{order: version.RubyGems, ecosystem: "RubyGems", except: []except{
		{"Gem::Version reads a hyphen as .pre.", regexp.MustCompile(`-`), "1.0-1", "1.0.pre.1"},
		{"Gem::Version takes 00 for 0", regexp.MustCompile(`00`), "1.0.a", "1.00.a"},
	}},
	{order: version.Packagist, ecosystem: "Packagist", published: true, normal: fourNumbers},
	{order: version.NuGet, ecosystem: "NuGet", except: []except{hyphens}},
}

// numbers are those that a version of Composer begins with.
var numbers = regexp.MustCompile(`^v?[0-9]+(\.[0-9]+)*`)

// fourNumbers appends zeros to the numbers, as Composer does.
func fourNumbers(v string) string {
	n := numbers.FindString(v)
	return n + strings.Repeat(".0", max(0, 3-strings.Count(n, "."))) + v[len(n):]
}

func TestScalibrAgrees(t *testing.T) {
	for _, tt := range orders {
		t.Run(tt.order.String(), func(t *testing.T) {
			v := versions(t, tt.order)
			r := rand.New(rand.NewPCG(*seed, uint64(tt.order)))
			compared, excused := 0, make([]int, len(tt.except))
			for i := range *count {
				a, b := v[r.IntN(len(v))], v[r.IntN(len(v))]
				switch {
				case tt.published, i%3 == 0:
				case i%3 == 1:
					b = slip(r, a)
				default:
					a = slip(r, a)
					b = slip(r, a)
				}
				got, err := tt.order.Compare(a, b)
				if err != nil {
					continue // scalibr gives an answer to nearly any text
				}
				compared++
				want, err := scalibr(tt.ecosystem, tt.normal, a, b)
				if err == nil && sign(got) == want {
					continue
				}
				if e := excuse(tt.except, a, b); e >= 0 {
					excused[e]++
					continue
				}
				t.Errorf("%s %q ? %q: got %d, scalibr %d, %v", tt.order, a, b, sign(got), want, err)
			}
			if compared < *count/4 {
				t.Errorf("only %d of %d pairs were compared", compared, *count)
			}
			t.Logf("%d pairs, excused %v", compared, excused)
		})
	}
}

func excuse(list []except, a, b string) int {
	for i, e := range list {
		if e.is.MatchString(a) || e.is.MatchString(b) {
			return i
		}
	}
	return -1
}

// The exceptions are real: scalibr still decides the examples otherwise.
func TestExceptions(t *testing.T) {
	for _, tt := range orders {
		for _, e := range tt.except {
			got, err := tt.order.Compare(e.a, e.b)
			if err != nil {
				t.Error(err)
			}
			want, err := scalibr(tt.ecosystem, tt.normal, e.a, e.b)
			if err == nil && want == sign(got) {
				t.Errorf("%s %q ? %q: both say %d: the exception is not needed (%s)", tt.order, e.a, e.b, want, e.why)
			}
		}
	}
}

func scalibr(ecosystem string, normal func(string) string, a, b string) (int, error) {
	if normal != nil {
		a, b = normal(a), normal(b)
	}
	x, err := semantic.Parse(a, ecosystem)
	if err != nil {
		return 0, err
	}
	return x.CompareStr(b)
}

func sign(c int) int {
	switch {
	case c < 0:
		return -1
	case c > 0:
		return 1
	}
	return 0
}

// Go's own library is the judge of Go modules.
func TestModSemverAgrees(t *testing.T) {
	v := versions(t, version.Go)
	r := rand.New(rand.NewPCG(*seed, 7))
	compared := 0
	for i := range *count {
		a, b := v[r.IntN(len(v))], v[r.IntN(len(v))]
		if i%2 == 1 {
			b = slip(r, a)
		}
		if !semver.IsValid("v"+a) || !semver.IsValid("v"+b) {
			continue
		}
		compared++
		got, err := version.Go.Compare(a, "v"+b)
		if want := semver.Compare("v"+a, "v"+b); err != nil || sign(got) != want {
			t.Errorf("%q ? %q: got %d, %v, want %d", a, b, sign(got), err, want)
		}
	}
	if compared < *count/4 {
		t.Errorf("only %d of %d pairs were compared", compared, *count)
	}
}

// apk-tools 2 in Go. From 3 on, apk compares numbers with leading zeros as text
// of their own, has hashes, and lets no digits follow the letter.
func TestAPK2Agrees(t *testing.T) {
	v := versions(t, version.APK)
	r := rand.New(rand.NewPCG(*seed, 8))
	later := regexp.MustCompile(`~|\.0[0-9]|[0-9][a-z][0-9]`)
	compared := 0
	for i := range *count {
		a, b := v[r.IntN(len(v))], v[r.IntN(len(v))]
		if i%2 == 1 {
			a = slip(r, a)
			b = slip(r, a)
		}
		x, err := apk.NewVersion(a)
		if err != nil {
			continue
		}
		y, err := apk.NewVersion(b)
		if err != nil || later.MatchString(a) || later.MatchString(b) {
			continue
		}
		got, err := version.APK.Compare(a, b)
		if err != nil {
			continue
		}
		compared++
		if want := x.Compare(y); sign(got) != want {
			t.Errorf("%q ? %q: got %d, want %d", a, b, sign(got), want)
		}
	}
	if compared < *count/4 {
		t.Errorf("only %d of %d pairs were compared", compared, *count)
	}
}
