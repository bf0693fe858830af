package imagechecks

import (
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
)

// eachScanned calls yield for each container whose image was scanned, and says
// of all others that they could not be judged.
func eachScanned(in *check.Input, wanted func(t *cluster.PodTemplate) bool, yield func(t *cluster.PodTemplate, c *cluster.Container, img *scanned)) {
	x := imagesOf(in.Snapshot)
	var missing []string
	templates := in.Snapshot.Templates()
	for i := range templates {
		t := &templates[i]
		if !wanted(t) {
			continue
		}
		for j := range t.Containers {
			c := &t.Containers[j]
			if c.Image() == "" {
				continue
			}
			if img := x.of(c.Image()); img != nil && img.judged {
				yield(t, c, img)
			} else {
				missing = append(missing, c.Image())
			}
		}
	}
	if len(missing) == 0 {
		return
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	more := ""
	if n := len(missing) - 3; n > 0 {
		missing, more = missing[:3], fmt.Sprintf(" and %d more", n)
	}
	in.Unmet("needs an image scan of " + strings.Join(missing, ", ") + more + ": scan the images together with the workloads, or give --images")
}

// count returns how many flaws of an image match, each counted once, and the
// first three of them.
func count(img *scanned, match func(v *seawall.Vulnerability) bool) (n int, first string) {
	var names []string
	seen := map[string]bool{} // a flaw counts once, wherever copies of the package lie
	for i := range img.vulnerabilities {
		v := &img.vulnerabilities[i]
		name := v.ID + " in " + v.Package
		if seen[name] || !counts(v) || !match(v) {
			continue
		}
		seen[name] = true
		if n++; n <= 3 {
			names = append(names, name)
		}
	}
	if n > 3 {
		return n, strings.Join(names, ", ") + fmt.Sprintf(" and %d more", n-3)
	}
	return n, strings.Join(names, ", ")
}

// exposed reports containers of workloads that are reached from outside and
// whose image has flaws of a kind.
func exposed(in *check.Input, what string, match func(v *seawall.Vulnerability) bool) {
	ways := cluster.Exposures(in.Snapshot)
	eachScanned(in, func(t *cluster.PodTemplate) bool { return len(ways.Ways(t)) > 0 }, func(t *cluster.PodTemplate, c *cluster.Container, img *scanned) {
		n, first := count(img, match)
		if n == 0 {
			return
		}
		in.Report(check.Hit{
			Object: t.Object, Path: c.Path + ".image", Container: c.Name(), Image: c.Image(),
			Message: fmt.Sprintf("%s of the image: %s; reached from outside through %s", what, first, ways.Ways(t)[0]),
		})
	})
}

func criticalExposed(in *check.Input) {
	exposed(in, "critical vulnerabilities", func(v *seawall.Vulnerability) bool { return v.Severity == seawall.Critical })
}

func rceExposed(in *check.Input) {
	exposed(in, "vulnerabilities that run an attacker's code", func(v *seawall.Vulnerability) bool { return v.RCE })
}

// tooMany reports images with more critical or high flaws than the parameters
// allow.
func tooMany(in *check.Input) {
	critical, high := in.Int("critical", 5), in.Int("high", 10)
	all := func(*cluster.PodTemplate) bool { return true }
	eachScanned(in, all, func(t *cluster.PodTemplate, c *cluster.Container, img *scanned) {
		c1, _ := count(img, func(v *seawall.Vulnerability) bool { return v.Severity == seawall.Critical })
		h, _ := count(img, func(v *seawall.Vulnerability) bool { return v.Severity == seawall.High })
		if c1 <= critical && h <= high {
			return
		}
		in.Report(check.Hit{
			Object: t.Object, Path: c.Path + ".image", Container: c.Name(), Image: c.Image(),
			Message: fmt.Sprintf("the image has %d critical and %d high vulnerabilities: at most %d and %d are allowed", c1, h, critical, high),
		})
	})
}

// verdicts calls yield for each image whose signatures were looked at, and says
// so where none was.
func verdicts(in *check.Input, yield func(img *scanned, verdict string)) {
	if len(in.Snapshot.Beside) > 0 {
		return // they are judged with their own snapshot
	}
	all := imagesOf(in.Snapshot).all
	asked := 0
	for _, img := range all {
		if v := img.object.Root.At("signature", "verdict").Str(); v != "" && v != "unknown" {
			asked++
			yield(img, v)
		}
	}
	if asked == len(all) && asked > 0 {
		return
	}
	in.Unmet(fmt.Sprintf("needs the signatures of images and the keys that are trusted: of %d scanned images %d were verified; give --verify-key or --verify-identity with image targets", len(all), asked))
}

func signatureMissing(in *check.Input) {
	verdicts(in, func(img *scanned, verdict string) {
		if verdict == "unsigned" {
			in.Report(check.Hit{Object: img.object, Path: "signature.verdict", Image: img.object.Name, Message: "the image has no signature"})
		}
	})
}

func signatureUntrusted(in *check.Input) {
	verdicts(in, func(img *scanned, verdict string) {
		if verdict == "untrusted" {
			why := img.object.Root.At("signature", "why").Str()
			in.Report(check.Hit{
				Object: img.object, Path: "signature.verdict", Image: img.object.Name,
				Message: "no signature of the image verifies with a trusted key or identity: " + why,
			})
		}
	})
}
