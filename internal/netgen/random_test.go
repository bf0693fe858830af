package netgen_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/netgen"
	"seawall.io/seawall/internal/reach"
)

// TestRandom makes clusters whose connections are known by how they were made,
// and wants the policies to allow these and nothing else: asked of reach here,
// pair by pair and port by port, not by what Generate says of itself. Labels are
// few, so that selectors of workloads hold for others too.
func TestRandom(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 7))
		const workloads = 7
		type workload struct{ ns, name, labels string }
		var list []workload
		var texts []string
		ports := [...]int{80, 5432, 9090} // of every pod; Services listen 1000 above
		want := map[string]bool{}
		seen := map[string]int{}
		same := map[int]int{} // workloads whose pods no selector can tell apart
		for i := range workloads {
			w := workload{fmt.Sprintf("n%d", r.IntN(2)), fmt.Sprintf("w%d", i), ""}
			for _, k := range []string{"a", "b", "c"} {
				if r.IntN(2) == 0 {
					w.labels += fmt.Sprintf("%s: v%d, ", k, r.IntN(2))
				}
			}
			key := w.ns + "/" + w.labels
			if first, ok := seen[key]; ok {
				same[i] = first
			} else {
				seen[key], same[i] = i, i
			}
			list = append(list, w)
		}
		for i, w := range list {
			var env []string
			for j, to := range list {
				if r.IntN(4) == 0 {
					p := ports[r.IntN(len(ports))]
					env = append(env, fmt.Sprintf(`{name: P%d, value: "tcp://%s.%s:%d"}`, j, to.name, to.ns, p+1000))
					want[fmt.Sprint(same[i], " ", j, " ", p)] = true
				}
			}
			texts = append(texts, fmt.Sprintf("apiVersion: v1\nkind: ReplicationController\nmetadata: {name: %s, namespace: %s}\nspec: {template: {metadata: {labels: {%s}}, spec: {dnsPolicy: %s, containers: [{name: c, env: [%s]}]}}}",
				w.name, w.ns, strings.TrimSuffix(w.labels, ", "), []string{"None", "ClusterFirst"}[r.IntN(2)], strings.Join(env, ", ")))
			// A Service selects by the labels too: others may stand behind it.
			if w.labels != "" {
				texts = append(texts, service(w.ns+"/"+w.name, fmt.Sprintf("selector: {%s}, ports: [{name: a, port: 1080, targetPort: 80}, {name: b, port: 6432, targetPort: 5432}, {name: c, port: 10090, targetPort: 9090}]", strings.TrimSuffix(w.labels, ", "))))
			}
		}
		s := snapshot(t, texts...)
		set, err := netgen.Generate(reach.Of(s), s, netgen.Options{})
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(texts, "\n---\n"))
		}
		// Who stands behind the Service that a client names.
		behind := map[string]bool{}
		for _, e := range cluster.Exposures(s).Services() {
			for _, to := range e.Templates {
				behind[e.Service.Name+" "+to.Object.Name] = true
			}
		}
		read, err := netgen.Read(set.YAML)
		if err != nil {
			t.Fatal(err)
		}
		m := reach.Of(cluster.NewSnapshot(append(s.Objects, read...)))
		templates := s.Templates()
		for i := range list {
			for j := range list {
				got := m.Ports(reach.Pod(&templates[i]), reach.Pod(&templates[j]))
				for _, x := range got.Ranges() {
					if x.First != x.Last || x.Protocol != reach.TCP || !slices.Contains(ports[:], int(x.First)) {
						t.Fatalf("seed %d: %s -> %s: %s, which nothing needs\n%s\n---\n%s", seed, list[i].name, list[j].name, got, strings.Join(texts, "\n---\n"), set.YAML)
					}
				}
				for _, port := range ports {
					need := reach.Denied
					for named := range list {
						// A pod with the labels of j is as good as j.
						for twin := range list {
							if same[twin] == same[j] && want[fmt.Sprint(same[i], " ", named, " ", port)] && behind[list[named].name+" "+list[twin].name] {
								need = reach.Allowed
							}
						}
					}
					if answer := got.At(reach.Port{Number: uint16(port)}); answer != need {
						t.Fatalf("seed %d: %s -> %s:%d is %s, want %s\n%s\n---\n%s", seed, list[i].name, list[j].name, port, answer, need, strings.Join(texts, "\n---\n"), set.YAML)
					}
				}
			}
		}
	}
}

// TestAlike wants the same bytes from the same objects in another order of maps.
func TestAlike(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "mixed.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var first []byte
	for range 8 {
		s := snapshot(t, string(text))
		set := generate(t, s, netgen.Options{})
		if first == nil {
			first = set.YAML
		}
		if !bytes.Equal(first, set.YAML) {
			t.Fatal("two runs differ")
		}
	}
}

// FuzzGenerate feeds any manifests. Whatever they are, a set that is given must
// read back, and hold all needs that the simulation does not doubt.
func FuzzGenerate(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		objects, err := netgen.Read([]byte(text))
		if err != nil || len(objects) > 50 {
			return
		}
		s := cluster.NewSnapshot(objects)
		set, err := netgen.Generate(reach.Of(s), s, netgen.Options{})
		if err != nil {
			if strings.Contains(err.Error(), netgen.ErrUnverified.Error()) {
				t.Fatalf("%v\n%s", err, text)
			}
			return
		}
		if again, err := netgen.Read(set.YAML); err != nil || len(again) != len(set.Policies) {
			t.Fatalf("%d of %d policies read back, %v:\n%s", len(again), len(set.Policies), err, set.YAML)
		}
	})
}
