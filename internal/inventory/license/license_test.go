package license_test

import (
	"strings"
	"testing"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/inventory/license"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	deny := license.Policy{Deny: []string{"AGPL-*", "gpl-3.0*", "*-NC-*", "Beerware"}}
	allow := license.Policy{Deny: []string{"MIT-0"}, Allow: []string{"MIT*", "Apache-2.0", "Our-Own", "GPL-2.0-only WITH Classpath-exception-2.0"}}
	for _, test := range []struct {
		policy license.Policy
		text   string
		want   license.Verdict
	}{
		{deny, "MIT", license.Allowed},
		{deny, "AGPL-3.0-or-later", license.Denied},
		{deny, "agplv3+", license.Denied},
		{deny, "GPL-2+", license.Allowed},
		{deny, "GPL-3", license.Denied},
		{deny, "LGPL-3.0-only", license.Allowed},
		{deny, "CC-BY-NC-4.0", license.Denied},
		{deny, "Beerware", license.Denied},
		{deny, "MIT OR AGPL-3.0-only", license.Allowed},
		{deny, "MIT AND AGPL-3.0-only", license.Denied},
		{deny, "AGPL-3.0-only OR Nonsense", license.Unknown},
		{deny, "MIT AND Nonsense", license.Unknown},
		{deny, "AGPL-3.0-only AND Nonsense", license.Denied},
		{deny, "(MIT or AGPL-3.0-only) and (ISC)", license.Allowed},
		{deny, "MIT OR ISC AND AGPL-3.0-only", license.Allowed},
		{deny, "GPL-3.0-only WITH GCC-exception-3.1", license.Denied},
		{deny, "Apache-2.0 WITH LLVM-exception", license.Allowed},
		{deny, "Apache-2.0+", license.Allowed},
		{deny, "Expat", license.Allowed},
		{deny, "Apache License, Version 2.0", license.Allowed},
		{deny, "SEE LICENSE IN LICENSE.txt", license.Unknown},
		{deny, "NOASSERTION", license.Unknown},
		{deny, "LicenseRef-scancode-x", license.Unknown},
		{deny, "", license.Unknown},
		{deny, "MIT OR", license.Unknown},
		{deny, "(MIT", license.Unknown},
		{deny, "MIT) OR (ISC", license.Unknown},
		{deny, strings.Repeat("(", 100) + "MIT" + strings.Repeat(")", 100), license.Unknown},
		{deny, strings.Repeat("MIT AND ", 1000) + "MIT", license.Unknown},
		{allow, "MIT", license.Allowed},
		{allow, "MIT-0", license.Denied},
		{allow, "ISC", license.Denied},
		{allow, "our-own", license.Allowed},
		{allow, "Somebody-Elses", license.Unknown},
		{allow, "GPL-2.0-only", license.Denied},
		{allow, "GPL-2.0 WITH Classpath-exception-2.0", license.Allowed},
		{license.Policy{}, "AGPL-3.0-only", license.Allowed},
	} {
		if got := test.policy.Judge(test.text); got != test.want {
			t.Errorf("%q with %v: got %d, want %d", test.text, test.policy, got, test.want)
		}
	}
}

func TestOf(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]inventory.Package{
		"":                          {Type: inventory.NPM},
		"MIT":                       {Type: inventory.NPM, Licenses: []string{"MIT"}},
		"GPL-2+ AND (MIT or ISC)":   {Type: inventory.Deb, Licenses: []string{"GPL-2+", "MIT or ISC"}},
		"GPL-2.0-or-later OR MIT":   {Type: inventory.Composer, Licenses: []string{"GPL-2.0-or-later", "MIT"}},
		"SEE LICENSE IN LICENSE.md": {Type: inventory.NPM, Licenses: []string{"SEE LICENSE IN LICENSE.md"}},
	} {
		if got := license.Of(&p); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func FuzzJudge(f *testing.F) {
	f.Add("MIT OR (GPL-2.0+ AND x)", "AGPL-*")
	f.Add("GPL-2.0 WITH Classpath-exception-2.0", "*-*-*")
	f.Fuzz(func(t *testing.T, text, pattern string) {
		deny := license.Policy{Deny: []string{pattern}}
		if v := deny.Judge(text); v > license.Denied {
			t.Errorf("verdict %d", v)
		}
		everything := license.Policy{Deny: []string{"*"}}
		if v := everything.Judge(text); strings.TrimSpace(text) != "" && len(text) <= 4096 && v == license.Allowed {
			t.Errorf("%q is allowed though all is denied", text)
		}
	})
}
