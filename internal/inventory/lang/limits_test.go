package lang_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestHostile reads files that are made to cost much. Each has to be read, or
// refused, with memory and time of the order of its size; the test binary's own
// limits catch what is not.
func TestHostile(t *testing.T) {
	const size = 1 << 18
	deep := func(s string) string { return strings.Repeat(s, size/len(s)) }
	many := func(format string, count int) string {
		var b strings.Builder
		for i := range count {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for _, test := range []struct{ name, path, body, want string }{
		{"toml-lists", "Cargo.lock", "a = " + deep("["), "values nest deeper than 64"},
		{"toml-tables", "Cargo.lock", "a = " + deep("{a="), "values nest deeper than 64"},
		{"toml-key", "Cargo.lock", deep("a.") + "a = 1", "a key has more than 16 parts"},
		{"toml-many-tables", "Cargo.lock", many("[t%d]\na.b.c.d = 1\n", 20_000), ""},
		{"toml-many-keys", "Cargo.lock", many("k%d = 1\n", 50_000), ""},
		{"toml-open-string", "Cargo.lock", "a = \"\"\"" + deep("\"\"\\\n"), "a string is not closed"},
		{"json-deep", "package-lock.json", deep("["), "reading JSON"},
		{"json-nested-v1", "package-lock.json", deep(`{"dependencies":{"a":`), "reading JSON"},
		{"json-installed", "node_modules/a/package.json", `{"name":` + deep("["), "the text ends too early"},
		{"json-escapes", "node_modules/a/package.json", `{"name":"` + deep(`\`), "the text ends too early"},
		{"json-quotes", "node_modules/a/package.json", `{"x":"` + deep(`\"`), "the text ends too early"},
		{"yaml-deep", "pnpm-lock.yaml", deep("- "), "reading YAML"},
		{"xml-deep", "pom.xml", deep("<a>"), "more than 200000 elements, or deeper than 64"},
		{"xml-many", "pom.xml", "<a>" + strings.Repeat("<b/>", 200_001), "more than 200000 elements, or deeper than 64"},
		{"xml-properties", "pom.xml", "<p><properties><a>${a}${a}</a></properties><dependencies><dependency><groupId>g</groupId>" +
			"<artifactId>a</artifactId><version>${a}</version></dependency></dependencies></p>", "g:a"},
		{"bun-way", "bun.lock", `{"workspaces":{"":{"dependencies":{"a":""}}},"packages":{"` + deep("a/") +
			`":["a@1.0.0","",{"dependencies":{"b":"","c":""}}]}}`, ""},
		{"bun-comments", "bun.lock", deep("/* */"), "reading JSON"},
		{"yarn", "yarn.lock", many("a%d:\n  version 1\n", 110_000), "beyond the first 100000"},
		{"gems", "Gemfile.lock", "GEM\n" + many("    a%d (1)\n", 110_000), "beyond the first 100000"},
		{"requirements", "requirements.txt", many("a%d>1\n", 50_000), "without an exact version, and not judged: a0, a1, a2"},
		{"continued", "requirements.txt", deep("\\\n"), ""},
		{"licences", "a.egg-info", "Name: a\nVersion: 1\n" + deep("Classifier: License :: x\n"), ""},
		{"ruby", "specifications/a.gemspec", "s.licenses = [" + deep(`"x" `), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			facts, wanted, err := read(test.path, []byte(test.body))
			got := fmt.Sprint(facts.Problems, err)
			if !wanted || !strings.Contains(got, test.want) || len(got) > 2000 || len(facts.Packages) > 100_000 {
				t.Errorf("wanted %v, %d packages, got %.200s, want %s", wanted, len(facts.Packages), got, test.want)
			}
			for _, p := range facts.Packages {
				if len(p.Licenses) > 20 {
					t.Errorf("%d licences", len(p.Licenses))
				}
			}
		})
	}
}
