package bigcluster_test

import (
	"io"
	"testing"

	"seawall.io/seawall/test/bigcluster"
)

// BenchmarkObjects makes the objects of 30,000 pods, BenchmarkWrite the file.
func BenchmarkObjects(b *testing.B) {
	c := plan(b, bigcluster.Options{})
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for range c.Objects() {
			n++
		}
		b.ReportMetric(float64(n), "objects")
	}
}

func BenchmarkWrite(b *testing.B) {
	c := plan(b, bigcluster.Options{})
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Write(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func plan(tb testing.TB, o bigcluster.Options) *bigcluster.Cluster {
	tb.Helper()
	c, err := bigcluster.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}
