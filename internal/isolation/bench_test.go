package isolation_test

import (
	"testing"

	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/isolation"
	"seawall.io/seawall/test/bigcluster"
)

// BenchmarkOf looks at the namespaces of a cluster of 5,000 pods. The graph is
// built beforehand.
func BenchmarkOf(b *testing.B) {
	c, err := bigcluster.New(bigcluster.Options{Pods: 5000})
	if err != nil {
		b.Fatal(err)
	}
	s := c.Snapshot()
	separation := attack.Build([]*cluster.Snapshot{s}, attack.Options{}).Separate(0)
	for b.Loop() {
		if len(isolation.Of(s, separation)) == 0 {
			b.Fatal("no namespace")
		}
	}
}
