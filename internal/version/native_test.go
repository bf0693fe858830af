package version_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"seawall.io/seawall/internal/version"
)

// Flags for runs by hand: all versions of a corpus instead of the samples, more
// pairs, other pairs.
var (
	corpus = flag.String("versions", "testdata/versions", "folder with versions, one file `ORDER.txt` for each order")
	count  = flag.Int("pairs", 2000, "how many pairs each tool is asked about")
	seed   = flag.Uint64("seed", 1, "of the choice of pairs")
)

// samples reads the versions of one order.
func samples(tb testing.TB, o version.Order) []string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(*corpus, o.String()+".txt"))
	if err != nil {
		tb.Fatal(err)
	}
	v := strings.Fields(string(b))
	if len(v) < 50 {
		tb.Fatalf("%d versions of %s are too few to test with", len(v), o)
	}
	return v
}

type pair struct{ a, b string }

// pairs are real versions side by side: any two, a version and its neighbour, a
// version and one that differs by a slip of the pen.
func pairs(tb testing.TB, o version.Order, n int) []pair {
	tb.Helper()
	v := samples(tb, o)
	r := rand.New(rand.NewPCG(*seed, uint64(o)))
	out := make([]pair, 0, n)
	for len(out) < n {
		i := r.IntN(len(v))
		a := v[i]
		switch len(out) % 4 {
		case 0:
			out = append(out, pair{a, v[(i+1)%len(v)]})
		case 1:
			out = append(out, pair{v[r.IntN(len(v))], a})
		case 2:
			out = append(out, pair{a, mutate(r, a)})
		default:
			b := mutate(r, mutate(r, a))
			out = append(out, pair{b, mutate(r, b)})
		}
	}
	return out
}

// slips are what mutate puts into versions: what means something in some order.
var slips = []string{
	".", "-", "+", "~", "^", "_", "!", ":", "0", "1", "9", "00", "10", "007", ".0", ".0.0", "-0", "-1", "-r1", "1:", "0:", "~~",
	"a", "b", "m", "p", "r", "x", "Z", "rc", "RC1", "rc.1", "alpha", "-alpha.2", "beta", "-beta1", "_p1", "_git2", "pre", "post1", ".post", "dev", ".dev0",
	"-SNAPSHOT", "-sp", "final", "ga", ".x-dev", "+local.1", "~deb12u1", "^git1", "1!", "~1f",
}

func mutate(r *rand.Rand, v string) string {
	i := r.IntN(len(v) + 1)
	s := slips[r.IntN(len(slips))]
	switch r.IntN(4) {
	case 0:
		v = v[:i] + s + v[i:]
	case 1:
		v += s
	case 2:
		v = v[:i] + v[min(i+1, len(v)):]
	default:
		v = v[:i] + s + v[min(i+1, len(v)):]
	}
	if v == "" || v[0] == '-' {
		return "1" + v
	}
	return v
}

// ask gives the pairs to a tool, one a line with a tab between, and reads a line
// for each: -1, 0, 1, or ! where the tool takes one of the two for malformed.
func ask(t *testing.T, p []pair, name string, args ...string) []string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
	var in strings.Builder
	for _, p := range p {
		fmt.Fprintf(&in, "%s\t%s\n", p.a, p.b)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(in.String())
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		if strings.Contains(complaint.String(), "library is not installed") {
			t.Skip(complaint.String())
		}
		t.Fatalf("%s: %v\n%s", name, err, complaint.String())
	}
	answers := strings.Fields(string(out))
	if len(answers) != len(p) {
		t.Fatalf("%s gave %d answers to %d questions\n%s", name, len(answers), len(p), complaint.String())
	}
	return answers
}

// judge holds Compare against the answers of a tool. except says why a pair is
// judged differently on purpose.
func judge(t *testing.T, o version.Order, p []pair, answers []string, except func(pair) string) {
	t.Helper()
	ordered, apart := 0, 0
	for i, p := range p {
		c, err := o.Compare(p.a, p.b)
		got := strconv.Itoa(sign(c))
		if err != nil {
			got = "!"
		} else {
			ordered++
		}
		if got == answers[i] {
			continue
		}
		if except != nil && except(p) != "" {
			apart++
			continue
		}
		t.Errorf("%s %q ? %q: got %s (%v), want %s", o, p.a, p.b, got, err, answers[i])
	}
	if ordered < len(p)/4 {
		t.Errorf("only %d of %d pairs were ordered: the others prove nothing", ordered, len(p))
	}
	t.Logf("%d pairs, %d ordered, %d different on purpose", len(p), ordered, apart)
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

func TestDebAgreesWithDpkg(t *testing.T) {
	p := pairs(t, version.Deb, *count/2) // three processes for each
	judge(t, version.Deb, p, ask(t, p, "sh", "-c", `
command -v dpkg >/dev/null || { echo "dpkg: library is not installed" >&2; exit 1; }
while IFS='	' read -r a b; do
	if ! dpkg --validate-version "$a" 2>/dev/null || ! dpkg --validate-version "$b" 2>/dev/null; then echo '!'
	elif dpkg --compare-versions "$a" lt "$b"; then echo -1
	elif dpkg --compare-versions "$a" eq "$b"; then echo 0
	else echo 1; fi
done`), func(p pair) string {
		if p.a[0] == '+' || p.b[0] == '+' {
			return "dpkg takes +1: for an epoch, as strtol does; deb-version(7) does not"
		}
		return ""
	})
}

func TestRPMAgreesWithRPM(t *testing.T) {
	p := pairs(t, version.RPM, *count)
	answers := ask(t, p, "rpm", "--eval", `%{lua:
for line in io.lines() do
	local a, b = line:match("^(.-)\t(.*)$")
	print(rpm.vercmp(a, b) .. "\n")
end}`)
	judge(t, version.RPM, p, answers, func(p pair) string {
		if version.RPM.Valid(p.a) != nil || version.RPM.Valid(p.b) != nil {
			return "rpm.vercmp refuses nothing; rpmbuild and the docs do"
		}
		return ""
	})
}

func TestNPMAgreesWithNodeSemver(t *testing.T) {
	p := pairs(t, version.NPM, *count)
	answers := ask(t, p, "node", "-e", `
let semver
for (const at of ['/usr/share/nodejs/semver', 'semver', '/usr/lib/node_modules/npm/node_modules/semver', '/usr/share/nodejs/npm/node_modules/semver']) {
	try { semver = require(at); break } catch {}
}
if (!semver) { console.error('semver: library is not installed'); process.exit(1) }
for (const line of require('fs').readFileSync(0, 'utf8').trimEnd().split('\n')) {
	const [a, b] = line.split('\t').map(v => semver.parse(v, {loose: true}))
	console.log(a && b ? a.compare(b) : '!')
}`)
	judge(t, version.NPM, p, answers, func(p pair) string {
		for _, v := range [...]string{p.a, p.b} {
			if partial(v) {
				return "advisories leave out minor and patch numbers"
			}
			if err := version.NPM.Valid(v); err != nil && strings.Contains(err.Error(), "too many numbers") {
				return "node-semver reads 1.2.03.4 as 1.2.0-3.4: that is nobody's version"
			}
		}
		return ""
	})
}

// partial says that the numbers of a version are fewer than three.
func partial(v string) bool {
	v = strings.TrimLeft(v, "v=")
	for range 2 {
		n := strings.IndexFunc(v, func(r rune) bool { return r < '0' || r > '9' })
		if n <= 0 || v[n] != '.' {
			return true
		}
		v = v[n+1:]
	}
	return v == "" || v[0] < '0' || v[0] > '9'
}

func TestPyPIAgreesWithPackaging(t *testing.T) {
	p := pairs(t, version.PyPI, *count)
	python := "/usr/bin/python3" // Debian's, before one of the user's own without the library
	if _, err := os.Stat(python); err != nil {
		python = "python3"
	}
	judge(t, version.PyPI, p, ask(t, p, python, "-c", `
import sys
try:
	from packaging.version import Version, InvalidVersion
except ImportError:
	try:
		from pip._vendor.packaging.version import Version, InvalidVersion
	except ImportError:
		sys.exit("packaging: library is not installed")
for line in sys.stdin:
	try:
		a, b = map(Version, line.rstrip("\n").split("\t"))
		print((a > b) - (a < b))
	except InvalidVersion:
		print("!")
`), nil)
}

func TestMavenAgreesWithComparableVersion(t *testing.T) {
	jar := "/usr/share/java/maven-artifact-3.x.jar"
	if _, err := os.Stat(jar); err != nil {
		t.Skip("libmaven3-core-java is not installed")
	}
	if _, err := exec.LookPath("java"); err != nil {
		t.Skip("java is not installed")
	}
	// The class prints each version that it is called with, and how the one before
	// compares to it.
	p := pairs(t, version.Maven, *count)
	for i := range p {
		if p[i].a == "" || p[i].b == "" {
			t.Fatal("an empty version cannot be asked about")
		}
	}
	var answers []string
	for start := 0; start < len(p); start += 1000 {
		args := []string{
			"-cp", jar + ":/usr/share/java/commons-lang3.jar",
			"org.apache.maven.artifact.versioning.ComparableVersion",
		}
		part := p[start:min(start+1000, len(p))]
		for _, p := range part {
			args = append(args, p.a, p.b)
		}
		out, err := exec.CommandContext(t.Context(), "java", args...).Output()
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		for line := range strings.Lines(string(out)) {
			words := strings.Fields(line)
			if !strings.HasPrefix(line, " ") || len(words) != 3 {
				continue
			}
			if asked%2 == 0 {
				switch words[1] {
				case "<":
					answers = append(answers, "-1")
				case "==":
					answers = append(answers, "0")
				case ">":
					answers = append(answers, "1")
				default:
					t.Fatalf("ComparableVersion says %q", line)
				}
			}
			asked++
		}
	}
	if len(answers) != len(p) {
		t.Fatalf("%d answers to %d questions", len(answers), len(p))
	}
	judge(t, version.Maven, p, answers, func(p pair) string {
		if version.Maven.Valid(p.a) != nil || version.Maven.Valid(p.b) != nil {
			return "ComparableVersion takes any text"
		}
		return ""
	})
}

func TestGemAgreesWithRuby(t *testing.T) {
	p := pairs(t, version.RubyGems, *count)
	judge(t, version.RubyGems, p, ask(t, p, "ruby", "-e", `
STDIN.each_line(chomp: true) do |line|
	a, b = line.split("\t")
	puts Gem::Version.correct?(a) && Gem::Version.correct?(b) ? Gem::Version.new(a) <=> Gem::Version.new(b) : "!"
end`), nil)
}

func TestPackagistAgreesWithComposer(t *testing.T) {
	p := pairs(t, version.Packagist, *count)
	judge(t, version.Packagist, p, ask(t, p, "php", "-r", `
$autoload = '/usr/share/php/Composer/Semver/autoload.php';
if (!file_exists($autoload)) { fwrite(STDERR, "composer/semver: library is not installed"); exit(1); }
require $autoload;
$parser = new Composer\Semver\VersionParser;
while (($line = fgets(STDIN)) !== false) {
	try {
		[$a, $b] = array_map([$parser, 'normalize'], explode("\t", rtrim($line, "\n")));
		$branch = strpos($a, 'dev-') === 0 || strpos($b, 'dev-') === 0;
		echo $branch ? '!' : version_compare($a, $b), "\n";
	} catch (UnexpectedValueException $e) {
		echo "!\n";
	}
}`), nil)
}
