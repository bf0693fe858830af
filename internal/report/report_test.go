package report_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/report"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// extension gives each format's golden file a name that editors know.
func extension(format string) string {
	switch format {
	case "table":
		return "txt"
	case "json":
		return "json"
	case "sarif":
		return "sarif.json"
	case "junit":
		return "xml"
	case "markdown":
		return "md"
	case "html":
		return "html"
	default:
		return format + ".yaml"
	}
}

// TestGolden writes the fixtures in every format. Read the files to see what
// the formats look like.
func TestGolden(t *testing.T) {
	for name, r := range map[string]*seawall.Report{"shop": shop(), "clean": nothingFound(), "partial": partial(), "empty": {}} {
		for _, format := range report.Formats() {
			t.Run(name+"/"+format, func(t *testing.T) {
				got := write(t, format, r, options())
				golden(t, name+"."+extension(format), got)
			})
		}
	}
	t.Run("color", func(t *testing.T) {
		o := options()
		o.Color, o.Width = true, 72
		golden(t, "shop-color-72.txt", write(t, "table", shop(), o))
	})
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (run with -update to write it)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; run with -update to accept):\n%s", name, diff)
	}
}

func write(t testing.TB, format string, r *seawall.Report, o report.Options) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := report.Write(&out, format, r, o); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestDeterministic writes every format twice; maps must not show.
func TestDeterministic(t *testing.T) {
	for _, format := range report.Formats() {
		for name, fixture := range map[string]func() *seawall.Report{"shop": shop, "images": images} {
			first := write(t, format, fixture(), options())
			for range 5 {
				if !bytes.Equal(first, write(t, format, fixture(), options())) {
					t.Fatalf("%s of %s: two runs differ", format, name)
				}
			}
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	err := report.Write(&bytes.Buffer{}, "xlsx", shop(), report.Options{})
	if err == nil || !strings.Contains(err.Error(), "use table, json") {
		t.Errorf("got %v, want an error that lists the formats", err)
	}
}

// TestWriterFails checks that no format swallows an error of the writer.
func TestWriterFails(t *testing.T) {
	for _, format := range report.Formats() {
		if err := report.Write(full{}, format, shop(), options()); !errors.Is(err, errFull) {
			t.Errorf("%s: got %v, want %v", format, err, errFull)
		}
	}
}

var errFull = errors.New("disk full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

// TestNothingDropped looks for every standing finding and every suppressed one
// in every format.
func TestNothingDropped(t *testing.T) {
	r := &seawall.Report{}
	for i := range 400 {
		f := seawall.Finding{
			ID:       fmt.Sprintf("id-%04d", i),
			Rule:     &seawall.Rule{Check: fmt.Sprintf("check-%d", i%7), Title: "Title"},
			Severity: seawall.Severity(1 + i%4),
			Subject:  seawall.Subject{Object: &seawall.Object{Kind: "Pod", APIVersion: "v1", Namespace: fmt.Sprintf("ns%d", i%3), Name: fmt.Sprintf("pod%d", i%11)}},
			Location: seawall.Location{File: "all.yaml", Line: 1000 + i},
			Message:  "same message",
		}
		if i%10 == 0 {
			f.Suppressed = &seawall.Suppression{Reason: "accepted", By: "file"}
		}
		f.Known = i%10 == 1
		r.Findings = append(r.Findings, &f)
		r.Summary.Add(&f)
	}
	for _, format := range report.Formats() {
		out := string(write(t, format, r, report.Options{MarkdownLimit: -1}))
		for i := range r.Findings {
			line := strconv.Itoa(r.Findings[i].Location.Line)
			if !strings.Contains(out, line) {
				t.Errorf("%s: no trace of finding %d at line %s", format, i, line)
				break
			}
		}
	}
}

// TestHostile puts what attacks terminals, browsers and Markdown into every
// string of a report.
func TestHostile(t *testing.T) {
	attacks := []string{
		"\x1b[2J\x1b]0;owned\x07", "\u009b31m", "a\rb", "\u202egnp.exe", "\x00", "\x7f", "bad\xff\xfeutf8", "\u2028",
		"<script>alert(1)</script>", "</style><script>x</script>", "javascript:alert(1)", `" onmouseover="x`,
		"](http://evil.example) ![x](http://evil.example/x.png)", "| a | b |", "`code` ``` fence", "@everyone #1 GH-1",
		"<!-- -->", "]]>", "%s%n", "--- \n- apiVersion: v1", "{{ .x }}", "<details>", "a: b # c",
	}
	for _, attack := range attacks {
		r := hostile(attack)
		for _, format := range report.Formats() {
			o := report.Options{
				Source: func(string, int) (string, bool) { return attack, true },
				Doc:    func(string) (string, string) { return attack, attack },
			}
			out := write(t, format, r, o)
			if bad := firstBad(out, format); bad != "" {
				t.Errorf("%s with %q lets %s through", format, attack, bad)
			}
		}
	}
}

// firstBad names what must not be in the raw bytes of a format. JSON and SARIF
// are for programs: there, only what JSON itself escapes is looked for.
func firstBad(out []byte, format string) string {
	machine := format == "json" || format == "sarif"
	for _, r := range string(out) {
		switch {
		case r == '\n':
		case r < ' ', !machine && (r >= 0x7f && r < 0xa0 || r == '\u202e' || r == '\u2028'):
			return fmt.Sprintf("character %U", r)
		}
	}
	text := string(out)
	var banned []string
	switch format {
	case "html":
		// The script of the page itself is the last element.
		text = text[:strings.LastIndex(text, "<script>")]
		banned = []string{"<script", ` onmouseover="`, `href="javascript:`, "href=\"http", "<img", "<!--"}
	case "markdown":
		text = withoutCode(text)
		banned = []string{"<script", "<!--", "</style", "http://", "\n---", "\n- apiVersion", "@everyone", "#1", "GH-1"}
	}
	for _, bad := range banned {
		if strings.Contains(text, bad) {
			return bad
		}
	}
	return ""
}

// withoutCode drops code spans the way CommonMark finds them: from a run of
// backquotes to the next run of the same length.
func withoutCode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] == '\\' && i+1 < len(s) {
			b.WriteString(s[i : i+2])
			i += 2
			continue
		}
		n := runLength(s[i:])
		if n == 0 {
			b.WriteByte(s[i])
			i++
			continue
		}
		end := i + n
		for end < len(s) {
			m := runLength(s[end:])
			if m == n {
				break
			}
			end += max(m, 1)
		}
		if end == len(s) { // no end: the marks are text
			b.WriteString(s[i : i+n])
			i += n
			continue
		}
		i = end + n
	}
	return b.String()
}

func runLength(s string) int { return len(s) - len(strings.TrimLeft(s, "`")) }

func hostile(s string) *seawall.Report {
	f := seawall.Finding{
		ID:       s,
		Rule:     &seawall.Rule{Check: s, Title: s, Phase: seawall.Phase(s), Layer: seawall.Layer(s), Remediation: s, Refs: []string{s, "cis:" + s}},
		Severity: seawall.High,
		Subject:  seawall.Subject{Object: &seawall.Object{Cluster: s, Kind: s, APIVersion: s, Namespace: s, Name: s}, Container: s, Image: s},
		Location: seawall.Location{File: s, Line: 3, Path: s, Value: &seawall.ChartValue{Path: s, File: s, Line: 4}}, Message: s,
		Fix: []seawall.PatchOp{{Op: s, Path: s, Value: map[string]any{s: s}}},
	}
	g := f
	g.Suppressed = &seawall.Suppression{Reason: s, Expires: s, By: s}
	h := f
	h.Location = seawall.Location{Path: s}
	k, l, m := hostileFlaw(s, f.Subject.Name, 0), hostileFlaw(s, s, 3), hostileFlaw(s, s, 0)
	m.Suppressed = g.Suppressed
	return &seawall.Report{
		Version: s, Targets: []string{s}, Findings: []*seawall.Finding{&f, &g, &h, k, l, m}, Warnings: []string{s},
		Coverage: seawall.Coverage{
			Evaluated: map[string]int{s: 1}, Unexamined: map[string]int{s: 2},
			Incomplete:   []seawall.Incomplete{{Location: seawall.Location{File: s}, Check: s, Reason: s}},
			NotEvaluated: []seawall.Incomplete{{Location: seawall.Location{File: s}, Check: s, Reason: s}},
			Skipped:      []seawall.Skipped{{File: s, Reason: s}},
			Images:       []seawall.ImageCoverage{{Name: s, Digest: s, Platform: s, Distro: s, NotAffected: 1, Size: -1}},
			Database:     &seawall.DatabaseCoverage{File: s, Built: s, AgeDays: 7, Gaps: []string{s}},
		},
		Frameworks: []seawall.Framework{{ID: s, Title: s, Controls: []seawall.Control{{ID: s, Title: s, Status: s, Reason: s}}}},
	}
}

func hostileFlaw(s, name string, line int) *seawall.Finding {
	f := flawFinding(name, line, &seawall.Vulnerability{
		ID: s, Aliases: []string{s}, Package: s, PURL: s, Binaries: []string{s, s}, Installed: s, Fixed: s, Status: s, Reach: "function", Symbols: []string{s},
		Severity: seawall.Severity(9), CVSS: -1, Vector: s, EPSS: 7, KEV: s, CWEs: []string{s}, Sources: []string{s}, Layer: s, Path: s,
		VEX: &seawall.VEX{Status: s, Justification: s, Statement: s, Source: s},
	})
	f.Severity = seawall.High
	return f
}

func options() report.Options {
	lines := map[string]string{
		"deploy/web.yaml:21":   "            privileged: true",
		"deploy/web.yaml:34":   "            privileged: true   # the proxy, too",
		"deploy/web.yaml:12":   "      hostNetwork: true",
		"deploy/web.yaml:18":   "          image: registry.example.com/shop/web:latest",
		"deploy/web.yaml:60":   "        - name: run\thostPath: {path: /var/run}",
		"build/Dockerfile:3":   "ADD https://example.com/install.sh /tmp/install.sh",
		"rbac/cluster.yaml:14": `      verbs: ["*"]`,
	}
	return report.Options{
		Width: 100,
		Now:   time.Date(2027, 1, 2, 3, 4, 5, 6, time.UTC),
		Dir:   "/src/repo",
		Source: func(file string, line int) (string, bool) {
			text, ok := lines[fmt.Sprintf("%s:%d", file, line)]
			return text, ok
		},
		Doc: func(check string) (string, string) {
			if check != "privileged-container" {
				return "", ""
			}
			return "A privileged container has **every** right of the node: it can load kernel modules,\nread `/dev` and leave its namespaces.\n\n- it shares the node's devices\n- it keeps all capabilities",
				"Remove `securityContext.privileged`, and add only the capabilities that are needed:\n\n```yaml\nsecurityContext:\n  capabilities: {add: [NET_BIND_SERVICE]}\n```\n\nSee [the standard](https://kubernetes.io/docs/concepts/security/pod-security-standards/)."
		},
	}
}

func nothingFound() *seawall.Report {
	return &seawall.Report{
		Version: "v0.1.0", Targets: []string{"deploy"}, Findings: []*seawall.Finding{},
		Coverage: seawall.Coverage{Documents: 4, Objects: 5, Evaluated: map[string]int{"apps/v1/Deployment": 2, "v1/Service": 2}, Unexamined: map[string]int{"example.com/v1/Widget": 1}},
	}
}

func partial() *seawall.Report {
	r := nothingFound()
	r.Coverage.Incomplete = []seawall.Incomplete{
		{Location: seawall.Location{File: "deploy/broken.yaml", Line: 3}, Reason: "did not find expected key"},
		{Location: seawall.Location{File: "deploy/web.yaml"}, Check: "image-signature", Reason: "registry.example.com does not answer"},
	}
	return r
}

// shop is a realistic report with one of everything.
func shop() *seawall.Report {
	web := seawall.Subject{Object: &seawall.Object{Kind: "Deployment", APIVersion: "apps/v1", Namespace: "shop", Name: "web"}}
	in := func(s seawall.Subject, c string) seawall.Subject { s.Container = c; return s }
	at := func(line, col int, path string) seawall.Location {
		return seawall.Location{File: "deploy/web.yaml", Line: line, Column: col, Path: path}
	}
	long := strings.Repeat("a-very-long-name-", 12) + "end"
	findings := []*seawall.Finding{
		{
			ID:       "2f1c",
			Rule:     &seawall.Rule{Check: "image-tag-latest", Title: "Image tag can move", Phase: seawall.Build, Layer: seawall.ContainerLayer, Remediation: "pin the image by digest", Refs: []string{"cis:5.5.1", "nsa:image-scanning"}},
			Severity: seawall.Medium,
			Subject:  in(web, "web"), Location: at(18, 18, "spec.template.spec.containers[0].image"), Message: `image "registry.example.com/shop/web:latest" has a tag that can move`,
		},
		{
			ID:       "9a00",
			Rule:     &seawall.Rule{Check: "privileged-container", Title: "Container is privileged", Phase: seawall.Deploy, Layer: seawall.ContainerLayer, Remediation: "remove securityContext.privileged or set it to false", Refs: []string{"pss:baseline/privileged", "cis:5.2.2", "mitre:T1611"}},
			Severity: seawall.Critical,
			Subject:  in(web, "web"), Location: at(21, 25, "spec.template.spec.containers[0].securityContext.privileged"), Message: `container "web" is privileged`,
			Fix: []seawall.PatchOp{{Op: "replace", Path: "/spec/template/spec/containers/0/securityContext/privileged", Value: false}},
		},
		{
			ID:       "9a01",
			Rule:     &seawall.Rule{Check: "privileged-container", Title: "Container is privileged", Phase: seawall.Deploy, Layer: seawall.ContainerLayer, Remediation: "remove securityContext.privileged or set it to false", Refs: []string{"pss:baseline/privileged", "cis:5.2.2", "mitre:T1611"}},
			Severity: seawall.Critical,
			Subject:  in(web, "proxy"), Location: at(34, 25, "spec.template.spec.containers[1].securityContext.privileged"), Message: `container "proxy" is privileged`,
			Fix: []seawall.PatchOp{{Op: "replace", Path: "/spec/template/spec/containers/1/securityContext/privileged", Value: false}},
		},
		{
			ID:       "51aa",
			Rule:     &seawall.Rule{Check: "host-network", Title: "Pod shares the node's network", Phase: seawall.Deploy, Layer: seawall.ContainerLayer, Remediation: "remove hostNetwork", Refs: []string{"pss:baseline/hostNetwork"}},
			Severity: seawall.High,
			Subject:  web, Location: at(12, 7, "spec.template.spec.hostNetwork"), Message: "the pod uses the network of the node",
			Fix: []seawall.PatchOp{{Op: "remove", Path: "/spec/template/spec/hostNetwork"}},

			Suppressed: &seawall.Suppression{Reason: "the ingress must see client addresses", Expires: "2027-01-31", By: "annotation"},
		},
		{
			ID:       "77b1",
			Rule:     &seawall.Rule{Check: "rbac-wildcard", Title: "Role grants everything", Phase: seawall.Deploy, Layer: seawall.ClusterLayer, Remediation: "name the verbs and resources that are used", Refs: []string{"cis:5.1.3"}},
			Severity: seawall.High,
			Subject:  seawall.Subject{Object: &seawall.Object{Kind: "ClusterRole", APIVersion: "rbac.authorization.k8s.io/v1", Name: "ops"}},
			Location: seawall.Location{File: "rbac/cluster.yaml", Line: 14, Column: 7, Path: "rules[0].verbs"}, Message: "rule 1 grants every verb on every resource",
		},
		{
			ID:       "c0de",
			Rule:     &seawall.Rule{Check: "dockerfile-add-remote", Title: "ADD fetches a file without a checksum", Phase: seawall.Build, Layer: seawall.CodeLayer, Remediation: "add --checksum=sha256:... or copy the file from the build context"},
			Severity: seawall.Medium,
			Subject:  seawall.Subject{Object: &seawall.Object{}}, Location: seawall.Location{File: "build/Dockerfile", Line: 3}, Message: "ADD fetches https://example.com/install.sh without --checksum",
		},
		{
			ID:       "1b2c",
			Rule:     &seawall.Rule{Check: "image-vulnerability", Title: "Image has a known vulnerability", Phase: seawall.Build, Layer: seawall.ContainerLayer, Remediation: "rebuild on a base image with openssl 3.0.11-2"},
			Severity: seawall.Critical,
			Subject:  seawall.Subject{Object: &seawall.Object{}, Image: "registry.example.com/shop/web@sha256:0123456789abcdef"}, Message: "openssl 3.0.11-1 has CVE-2027-0001, fixed in 3.0.11-2",
		},
		{
			ID:       "feed",
			Rule:     &seawall.Rule{Check: "anonymous-access", Title: "Anonymous users may read secrets", Phase: seawall.Runtime, Layer: seawall.ClusterLayer},
			Severity: seawall.Low,
			Subject:  seawall.Subject{Object: &seawall.Object{Cluster: "prod-eu", Kind: "ClusterRoleBinding", APIVersion: "rbac.authorization.k8s.io/v1", Name: "system:anonymous/ünïcode-日本語"}},
			Location: seawall.Location{Path: "subjects[0]"}, Message: "system:anonymous is bound to “view” — naïve <b>bold</b> & \x1b[31mred\x1b[0m \u202eevil",
		},
		{
			ID:       "10e6",
			Rule:     &seawall.Rule{Check: "service-account-token", Title: "Token is mounted though nothing uses it", Phase: seawall.Deploy, Layer: seawall.ContainerLayer, Remediation: "set automountServiceAccountToken to false"},
			Severity: seawall.Low,
			Subject:  seawall.Subject{Object: &seawall.Object{Kind: "StatefulSet", APIVersion: "apps/v1", Namespace: long, Name: long}},
			Location: seawall.Location{
				File: "charts/" + long + "/templates/50% done/web set.yaml", Line: 7, Column: 3, Path: "spec.template.spec",
				Value: &seawall.ChartValue{Path: "serviceAccount.automount", File: "charts/x/values.yaml", Line: 31},
			}, Message: "the pod mounts a service account token: " + long,
			Fix: []seawall.PatchOp{{Op: "add", Path: "/spec/template/spec/automountServiceAccountToken", Value: map[string]any{"b": []any{int64(1), 2.5, nil, "x"}, "a": true}}},
		},
		{
			ID:       "5e7e",
			Rule:     &seawall.Rule{Check: "run-as-root", Title: "Container may run as root", Phase: seawall.Deploy, Layer: seawall.ContainerLayer, Remediation: "set runAsNonRoot to true"},
			Severity: seawall.High,
			Subject:  in(web, "migrate"), Location: at(60, 9, "spec.template.spec.initContainers[0]"), Message: "the container may run as root",
			Suppressed: &seawall.Suppression{Reason: "", By: "file"},
		},
	}
	findings = append(findings, &seawall.Finding{
		ID:       "01d5",
		Rule:     &seawall.Rule{Check: "host-pid", Title: "Pod sees the node's processes", Phase: seawall.Deploy, Layer: seawall.ContainerLayer, Remediation: "remove hostPID"},
		Severity: seawall.High,
		Subject:  seawall.Subject{Object: &seawall.Object{Kind: "DaemonSet", APIVersion: "apps/v1", Namespace: "shop", Name: "agent"}}, Location: seawall.Location{File: "deploy/agent.yaml", Line: 11, Column: 7, Path: "spec.template.spec.hostPID"},
		Message: "the pod sees the processes of the node", Known: true,
	})
	for i := range 9 {
		findings = append(findings, &seawall.Finding{
			ID:       fmt.Sprintf("b%03d", i),
			Rule:     &seawall.Rule{Check: "run-as-root", Title: "Container may run as root", Phase: seawall.Deploy, Layer: seawall.ContainerLayer, Remediation: "set runAsNonRoot to true", Refs: []string{"pss:restricted/runAsNonRoot"}},
			Severity: seawall.High,
			Subject:  in(web, fmt.Sprintf("worker-%d", i)), Location: at(60+10*i, 9, fmt.Sprintf("spec.template.spec.containers[%d]", i+2)),
			Message: "the container may run as root",
			Fix:     []seawall.PatchOp{{Op: "add", Path: fmt.Sprintf("/spec/template/spec/containers/%d/securityContext/runAsNonRoot", i+2), Value: true}},
		})
	}
	for i, path := range map[int]*seawall.AttackPath{
		4: {ID: "aa02", Entry: "the internet", Goal: "cluster-admin", Risk: 0.05},
		8: {ID: "aa01", Entry: "user ann", Goal: "cluster-admin", Risk: 0.21},
	} {
		findings[i].AttackPath = path
	}
	r := &seawall.Report{
		AttackPaths: &seawall.AttackPaths{Findings: 2, Total: 9, Paths: attackPaths()},
		Version:     "v0.1.0", Targets: []string{"deploy", "rbac", "image:registry.example.com/shop/web"}, Findings: findings,
		Coverage: seawall.Coverage{
			Documents: 14, Objects: 17,
			Evaluated:  map[string]int{"apps/v1/Deployment": 3, "apps/v1/StatefulSet": 1, "v1/Service": 2, "rbac.authorization.k8s.io/v1/ClusterRole": 7},
			Unexamined: map[string]int{"example.com/v1/Widget": 3, "monitoring.example.com/v1/ServiceMonitor": 1},
			Incomplete: []seawall.Incomplete{
				{Location: seawall.Location{File: "deploy/broken.yaml", Line: 3, Column: 5}, Reason: "did not find expected key"},
				{Location: seawall.Location{File: "deploy/web.yaml", Line: 18}, Check: "image-signature", Reason: "registry.example.com does not answer: dial tcp: i/o timeout"},
			},
			NotEvaluated: []seawall.Incomplete{
				{Location: seawall.Location{File: "deploy/web.yaml", Line: 18}, Check: "image-vulnerability", Reason: "needs the result of an image scan"},
				{Location: seawall.Location{File: "deploy/db.yaml", Line: 9}, Check: "image-vulnerability", Reason: "needs the result of an image scan"},
			},
			Skipped: []seawall.Skipped{{File: ".github/workflows/ci.yaml", Reason: "a GitHub Actions workflow"}},
		},
		Frameworks: []seawall.Framework{{
			ID: "cis", Title: "CIS Kubernetes Benchmark", Controls: []seawall.Control{
				{ID: "5.1.3", Title: "Minimize wildcard use in Roles and ClusterRoles", Checks: []string{"rbac-wildcard"}, Passed: 6, Failed: 1, Status: "failed"},
				{ID: "5.2.2", Title: "Minimize the admission of privileged containers", Checks: []string{"privileged-container"}, Passed: 3, Failed: 1, NotEvaluated: 1, Status: "failed"},
				{ID: "5.2.4", Title: "Minimize the admission of containers wishing to share the host IPC namespace", Checks: []string{"host-ipc"}, Passed: 4, Status: "passed"},
				{ID: "1.1.1", Title: "Ensure that the API server pod specification file permissions are set to 600", Status: "not-evaluated", Reason: "needs a node: run seawall scan node"},
			},
		}},
		Warnings: []string{"exceptions.yaml:4: the exception for host-pid matched nothing", "the exception for host-ipc expired on 2026-12-31"},
	}
	for i := range r.Findings {
		r.Summary.Add(r.Findings[i])
	}
	return r
}

// nameless is a finding that says nothing.
func nameless() *seawall.Finding {
	return &seawall.Finding{Rule: &seawall.Rule{}, Subject: seawall.Subject{Object: &seawall.Object{}}}
}
