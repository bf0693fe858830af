package document

import (
	"os"
	"testing"

	"sigs.k8s.io/yaml"
)

func BenchmarkParse(b *testing.B) {
	text, err := os.ReadFile("testdata/manifests/deployment.yaml")
	if err != nil {
		b.Fatal(err)
	}
	p := piece{text: text, line: 1, body: text, bodyLine: 1}
	b.Run("fast", func(b *testing.B) {
		run(b, text, func() bool { return Parse(text, Limits{})[0].Err == nil })
	})
	b.Run("library", func(b *testing.B) {
		run(b, text, func() bool {
			r := reader{limits: Limits{}.orDefault(), left: defaultNodes}
			_, err := r.readLibrary(p)
			return err == nil
		})
	})
	b.Run("sigs", func(b *testing.B) {
		run(b, text, func() bool {
			var v any
			return yaml.Unmarshal(text, &v) == nil
		})
	})
}

func BenchmarkParseJSON(b *testing.B) {
	manifest, err := os.ReadFile("testdata/manifests/deployment.yaml")
	if err != nil {
		b.Fatal(err)
	}
	text := Parse(manifest, Limits{})[0].Root.AppendJSON(nil)
	run(b, text, func() bool {
		_, err := ParseJSON(text, Limits{})
		return err == nil
	})
}

func run(b *testing.B, text []byte, parse func() bool) {
	b.Helper()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if !parse() {
			b.Fatal("the text could not be read")
		}
	}
}
