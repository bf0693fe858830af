package imagescan_test

import (
	"os"
	"testing"

	"seawall.io/seawall/internal/imagescan"
	"seawall.io/seawall/internal/oci"
	"seawall.io/seawall/test/images"
)

// BenchmarkScan scans the archive that SEAWALL_BENCH_IMAGE names, or a small
// image made here.
func BenchmarkScan(b *testing.B) {
	src := oci.Source{Kind: oci.ArchiveKind, Path: os.Getenv("SEAWALL_BENCH_IMAGE")}
	if src.Path == "" {
		img, err := images.Debian()
		if err != nil {
			b.Fatal(err)
		}
		src = write(b, img)
	}
	for name, change := range map[string]func(*imagescan.Options){
		"secrets":    func(*imagescan.Options) {},
		"no-secrets": func(o *imagescan.Options) { o.NoSecrets = true },
		"cached":     func(o *imagescan.Options) { o.Cache = b.TempDir() },
	} {
		b.Run(name, func(b *testing.B) {
			o := options(b)
			change(&o)
			if o.Cache != "" {
				scan(b, src, o)
			}
			b.ReportAllocs()
			for b.Loop() {
				r, err := imagescan.Scan(b.Context(), src, o)
				if err != nil {
					b.Fatal(err)
				}
				if err := r.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
