package imagechecks

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/inventory/license"
)

// imageLicense reports the licences in an image that must not be used, each with
// its packages.
func imageLicense(in *check.Input) {
	for _, img := range imagesOf(in.Snapshot).all {
		if slices.Contains(in.Snapshot.Beside, img.object) {
			continue // it is judged with its own snapshot
		}
		judgeLicenses(in, img.object)
	}
}

// dependencyLicense does the same for what lock files ask for.
func dependencyLicense(in *check.Input) {
	for _, o := range in.Snapshot.Kind("SourceFile") {
		if o.Group() == "seawall.io" {
			judgeLicenses(in, o)
		}
	}
}

// judgeLicenses judges each item of an object's list of licences. What states no
// licence, or one that is not known, is not evaluated.
func judgeLicenses(in *check.Input, o *cluster.Object) {
	policy := license.Policy{Deny: in.Strings("deny"), Allow: in.Strings("allow")}
	var unknown []string
	for i, item := range o.Root.Get("licenses").List() {
		packages := []string{item.Get("package").Str()}
		if list := item.Get("packages").List(); len(list) > 0 {
			packages = packages[:0]
			for _, p := range list {
				packages = append(packages, p.Str())
			}
		}
		stated := item.Get("license").Str()
		switch policy.Judge(stated) {
		case license.Denied:
			in.Report(check.Hit{
				Object: o, Path: fmt.Sprintf("licenses[%d]", i), Same: stated + " " + strings.Join(packages, " "),
				Message: fmt.Sprintf("%s, which must not be used, is the licence of %s", stated, some(packages)),
			})
		case license.Unknown:
			unknown = append(unknown, packages...)
		case license.Allowed:
		}
	}
	if len(unknown) > 0 {
		in.Unmet(fmt.Sprintf("%s: %d of its packages state no licence that is known: %s", o.Name, len(unknown), some(unknown)))
	}
}

// some names the first of a list and counts the rest.
func some(list []string) string {
	const named = 5
	text := strings.Join(list[:min(len(list), named)], ", ")
	if n := len(list) - named; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}
