package bigcluster_test

import (
	"testing"

	"seawall.io/seawall/test/bigcluster"
)

// FuzzNew asks for clusters of any shape: one that is planned has exactly the
// pods, nodes and namespaces that were asked for, each name once, and no node
// with more pods than it takes.
func FuzzNew(f *testing.F) {
	f.Add(uint64(0), 300, 3, 6, "v1.36.3", "aws")
	f.Add(uint64(1), 120, 1, 4, "v1.20.0", "gcp")
	f.Add(uint64(2), 400, 200, 30, "v1.36.10", "azure")
	f.Add(uint64(3), -1, 70_000, 4, "1", "")
	f.Fuzz(func(t *testing.T, seed uint64, pods, namespaces, nodes int, version, provider string) {
		if pods > 600 || namespaces > 600 || nodes > 60 || pods == 0 || namespaces == 0 || nodes == 0 {
			return // too large for a fuzz test, or a default
		}
		c, err := bigcluster.New(bigcluster.Options{
			Seed: seed, Pods: pods, Namespaces: namespaces, Nodes: nodes, Version: version, Provider: provider,
		})
		if err != nil {
			return
		}
		got, names, onNode := map[string]int{}, map[string]bool{}, map[string]int{}
		for o := range c.Objects() {
			if name := o.String() + o.APIVersion; names[name] {
				t.Errorf("%s is there twice", name)
			} else {
				names[name] = true
			}
			switch {
			case o.Kind == "Pod":
				onNode[o.Root.At("spec", "nodeName").Str()]++
			case o.Kind == "Namespace" && o.Labels()["team"] == "":
				continue
			}
			got[o.Kind]++
		}
		if got["Pod"] != pods || got["Node"] != nodes || got["Namespace"] != namespaces {
			t.Errorf("got %d pods on %d nodes in %d namespaces, want %d, %d and %d",
				got["Pod"], got["Node"], got["Namespace"], pods, nodes, namespaces)
		}
		for node, n := range onNode {
			if n > 110 {
				t.Errorf("%s runs %d pods", node, n)
			}
		}
	})
}
