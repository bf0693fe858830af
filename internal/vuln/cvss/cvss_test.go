package cvss_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"seawall.io/seawall/internal/vuln/cvss"
)

// misprinted are published scores that the specification contradicts. Those of
// 3.1 all have a changed scope, where their publisher took the formula of the
// modified impact (environmental score) for that of the impact; one says 0 for
// the modified impact; that of 4.0 rounds 5.05 down.
var misprinted = map[string]float64{
	"CVE-2024-34346": 8.4, "CVE-2024-39690": 8.4, "CVE-2024-45401": 7.5, "CVE-2023-38497": 7.9,
	"CVE-2024-23346": 9.3, "CVE-2024-32465": 7.3, "CVE-2024-38526": 7.2, "CVE-2024-8642": 5.1,
}

// TestPublishedScores holds scores against those that CISA published beside
// their vectors.
func TestPublishedScores(t *testing.T) {
	text, err := os.ReadFile("testdata/scores.tsv")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSpace(line), "\t")
		want, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		if right, ok := misprinted[f[2]]; ok {
			want = right
		}
		if got, err := cvss.Score(f[0]); err != nil || got != want {
			t.Errorf("%s %s: got %v, %v; published is %v", f[2], f[0], got, err, want)
		}
		n++
	}
	if n < 300 {
		t.Errorf("only %d vectors in testdata", n)
	}
}

func TestScore(t *testing.T) {
	for _, c := range []struct {
		vector string
		want   float64
	}{
		// Scores that NVD and the specifications' own examples give.
		{"AV:N/AC:L/Au:N/C:N/I:N/A:C", 7.8},
		{"AV:N/AC:L/Au:N/C:C/I:C/A:C", 10},
		{"(AV:L/AC:H/Au:N/C:C/I:C/A:C)", 6.2},
		{"AV:N/AC:M/Au:N/C:N/I:P/A:N/E:F/RL:OF/RC:C", 4.3},
		{"CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1},
		{"CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8},
		{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10},
		{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H/E:U/RL:O/RC:U", 10},
		{"CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:N/I:N/A:N", 0},
		{"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", 10},
		{"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 9.3},
		{"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/E:U", 9.3},
		{"CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 7.3},
		{"CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 7.7},
	} {
		if got, err := cvss.Score(c.vector); err != nil || got != c.want {
			t.Errorf("%s: got %v, %v; want %v", c.vector, got, err, c.want)
		}
	}
	for _, malformed := range []string{
		"", "CVSS:3.1", "CVSS:3.2/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H",
		"CVSS:3.1/AV:Q/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", "AV:N/AC:L/Au:N/C:N/I:N", "CVSS:4.0/AV:N",
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/E:Z", "AV:" + strings.Repeat("N", 1000),
	} {
		if got, err := cvss.Score(malformed); err == nil {
			t.Errorf("%.60q: got %v, want an error", malformed, got)
		}
	}
}

func TestMetric(t *testing.T) {
	const vector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:L/A:N"
	for name, want := range map[string]string{"AV": "N", "C": "H", "A": "N", "VC": "", "": ""} {
		if got := cvss.Metric(vector, name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func FuzzScore(f *testing.F) {
	f.Add("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/E:U")
	f.Add("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H/E:U/RL:O/RC:U")
	f.Add("CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N")
	f.Add("(AV:L/AC:H/Au:N/C:C/I:C/A:C)")
	f.Fuzz(func(t *testing.T, vector string) {
		score, err := cvss.Score(vector)
		if err == nil && (score < 0 || score > 10) {
			t.Errorf("%q scores %v", vector, score)
		}
		if err == nil && cvss.Version(vector) == "" {
			t.Errorf("%q has a score and no version", vector)
		}
	})
}
