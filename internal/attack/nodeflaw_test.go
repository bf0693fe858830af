package attack

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// TestNodeFlawTable reads each row of the table as strictly as nothing at run time
// has to.
func TestNodeFlawTable(t *testing.T) {
	needs := map[string]bool{
		"NET_RAW": true, "NET_ADMIN": true, "SYS_ADMIN": true, "mount": true, "host-root": true,
		"exec": true, "maker": true, "runc": true,
	}
	rows := 0
	seen := map[string]bool{}
	for line := range strings.Lines(nodeFlawTable) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		rows++
		cell := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(cell) != 8 {
			t.Errorf("%d columns in %q", len(cell), line)
			continue
		}
		if k := cell[0] + cell[1]; seen[k] {
			t.Errorf("%s of %s twice", cell[0], cell[1])
		} else {
			seen[k] = true
		}
		if !strings.HasPrefix(cell[0], "CVE-") || cell[7] == "" || cell[6] != "kev" && cell[6] != "exploit" && cell[6] != "advisory" {
			t.Errorf("identifier, source or what is known of %q", line)
		}
	}
	flaws := nodeFlaws()
	if len(flaws) != rows || rows < 20 {
		t.Fatalf("%d rows, %d flaws", rows, len(flaws))
	}
	for i := range flaws {
		f := &flaws[i]
		for _, need := range f.needs {
			if !needs[need] {
				t.Errorf("%s needs %q", f.id, need)
			}
		}
		if f.likelihood <= 0 || f.likelihood > 0.9 {
			t.Errorf("%s: likelihood %g", f.id, f.likelihood)
		}
		for j, v := range f.fixed {
			if j > 0 && f.fixed[j-1].compare(v) >= 0 || v.rest != "" || v.compare(f.introduced) <= 0 {
				t.Errorf("%s: fixed versions are not in order", f.id)
			}
			if before := (release{v.major, v.minor, v.patch - 1, ""}); f.flawed(v) || before.compare(f.introduced) >= 0 && !f.flawed(before) {
				t.Errorf("%s: %v has the flaw, or the version before it has not", f.id, v)
			}
		}
		if last := f.fixed[len(f.fixed)-1]; f.flawed(release{last.major, last.minor + 1, 0, ""}) || f.flawed(release{last.major + 1, 0, 0, ""}) {
			t.Errorf("%s: a later branch has the flaw", f.id)
		}
	}
}

func TestFlawsOfPlatforms(t *testing.T) {
	has := func(c component, ok bool, id string) bool {
		for _, f := range c.flaws {
			if ok && f.id == id {
				return true
			}
		}
		return false
	}
	const pipe, nft = "CVE-2022-0847", "CVE-2024-1086"
	for _, x := range []struct {
		kernel, id string
		want       bool
		times      float64
	}{
		{"5.7.19", pipe, false, 1}, // before the flaw was made
		{"5.8", pipe, true, 1},
		{"5.10.101", pipe, true, 1},
		{"5.10.102", pipe, false, 1},
		{"5.14.21", pipe, true, 1}, // a branch that ended before the fix
		{"5.17.0", pipe, false, 1},
		{"6.1.75-talos", nft, true, 0.7},
		{"6.1.76-talos", nft, false, 0.7},
		{"5.15.148.2-2.cm2", nft, true, 0.7},
		{"5.15.146+", nft, true, 0.7}, // Container-Optimized OS
		{"5.10.209-198.812.amzn2.x86_64", nft, true, 0.7},
		{"5.14.0-427.el9.x86_64", nft, true, 0.02},
		{"6.1.0-18-amd64", nft, true, 0.02},
		{"5.15.0-1053-azure", nft, true, 0.02},
		{"6.8.0-45-generic", nft, false, 0.02},
		{"6.8.0-rc1", nft, false, 1},
	} {
		c, ok := linuxOf(x.kernel)
		if got := has(c, ok, x.id); got != x.want || c.times != x.times {
			t.Errorf("%s has %s: got %v at %g, want %v at %g", x.kernel, x.id, got, c.times, x.want, x.times)
		}
	}
	for _, x := range []struct {
		runtime, id string
		want        bool
	}{
		{"containerd://1.3.8", "CVE-2020-15257", true},
		{"containerd://1.4.0", "CVE-2020-15257", true},
		{"containerd://1.4.3-k3s1", "CVE-2020-15257", false},
		{"containerd://1.7.12", "CVE-2024-21626", true},
		{"containerd://1.7.13", "CVE-2024-21626", false},
		{"containerd://2.2.0-rc.1", "CVE-2025-31133", true},
		{"containerd://2.2.0", "CVE-2025-31133", false},
		{"cri-o://1.18.4", "CVE-2022-0811", false},
		{"cri-o://1.22.2", "CVE-2022-0811", true},
		{"docker://18.6.1", "CVE-2019-5736", true},
		{"docker://20.10.7", "CVE-2019-5736", false},
		{"", "CVE-2019-5736", false},
		{"containerd://unknown", "CVE-2020-15257", false},
	} {
		c, ok := runtimeOf(x.runtime)
		if got := has(c, ok, x.id); got != x.want {
			t.Errorf("%s has %s: got %v", x.runtime, x.id, got)
		}
	}
}

// TestHardeningHelps makes pods at random and hardens them: what is stricter in one
// field never gives a node that the pod did not have, nor a likelier way to it.
func TestHardeningHelps(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	kernels := []string{"4.4.10", "4.19.100", "5.4.50", "5.7.19", "5.10.80", "5.15.20", "5.15.60", "6.1.20", "6.6.1-talos", "5.15.0-91-generic"}
	likeliest := func(kernel, runtime, pod, container string) float64 {
		text := fmt.Sprintf(`
apiVersion: v1
kind: Node
metadata: {name: n}
status: {nodeInfo: {kernelVersion: %q, containerRuntimeVersion: %q}}
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: s}
spec: {nodeName: n, automountServiceAccountToken: false, %s containers: [{name: c, image: a, securityContext: {%s}}]}
`, kernel, runtime, pod, container)
		var objects []*cluster.Object
		for _, doc := range document.Parse([]byte(text), document.Limits{}) {
			o, ok := cluster.New(doc.Root)
			if doc.Err != nil || !ok {
				t.Fatal(text, doc.Err)
			}
			objects = append(objects, o)
		}
		s := cluster.NewSnapshot(objects)
		s.Whole = true
		g := Build([]*cluster.Snapshot{s}, Options{})
		best := 0.0
		for _, e := range g.edges {
			if g.Vertices[e.from].Kind == Workload && g.Vertices[e.to].Kind == Node {
				best = max(best, g.Steps[e.step].likelihood())
			}
		}
		return best
	}
	found := 0
	for range 400 {
		kernel, runtime := kernels[r.IntN(len(kernels))], pick("containerd://1.3.4", "containerd://2.2.0", "cri-o://1.31.0", "docker://18.6.1")
		pod := pick("", "hostNetwork: true,", "hostUsers: false,")
		profile := pick("", "seccompProfile: {type: Unconfined},", "seccompProfile: {type: Localhost, localhostProfile: x},")
		user := pick("", "runAsUser: 0,")
		added := pick("", "NET_ADMIN", "NET_RAW", "NET_ADMIN, SYS_PTRACE")
		container := profile + user + "capabilities: {add: [" + added + "]}"
		before := likeliest(kernel, runtime, pod, container)
		if before > 0 {
			found++
		}
		for name, after := range map[string]float64{
			"seccomp":      likeliest(kernel, runtime, pod, "seccompProfile: {type: RuntimeDefault},"+user+"capabilities: {add: ["+added+"]}"),
			"capabilities": likeliest(kernel, runtime, pod, profile+user+"capabilities: {drop: [ALL]}"),
			"user":         likeliest(kernel, runtime, pod, profile+"runAsUser: 1000, allowPrivilegeEscalation: false, capabilities: {add: ["+added+"]}"),
			"network":      likeliest(kernel, runtime, "", container),
			"sandbox":      likeliest(kernel, runtime, pod+"runtimeClassName: gvisor,", container),
		} {
			if after > before && (name != "network" || pod != "hostUsers: false,") {
				t.Errorf("%s on %s %s with %s %s: %g, was %g", name, kernel, runtime, pod, container, after, before)
			}
			if name == "sandbox" && after > 0 {
				t.Errorf("a kernel of its own on %s %s with %s %s: %g", kernel, runtime, pod, container, after)
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d of the pods reach their node", found)
	}
}

func FuzzRelease(f *testing.F) {
	for _, s := range []string{"5.15.0-91-generic", "6.12.57+deb13-amd64", "v1.7.12", "10.0.20348", "6.8.0-rc1", "", "4294967296.1", "5."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, ok := parseRelease(s)
		if ok && (v.major < 0 || v.minor < 0 || v.patch < -1 || v.compare(v) != 0) {
			t.Errorf("%q is %v", s, v)
		}
		linuxOf(s)
		runtimeOf(s)
	})
}
