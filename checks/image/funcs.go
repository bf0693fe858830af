// Package imagechecks answers the questions about images that one object cannot:
// which known flaws an image has, and which workloads that are open to the
// outside run one. An image is an object of the kind Image, which an image scan
// makes (internal/image.Description).
package imagechecks

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
)

// Funcs returns the functions by the names that the checks' files use.
func Funcs() map[string]check.Func {
	return map[string]check.Func{
		"dependencyVulnerability": dependency,
		"dependencyLicense":       dependencyLicense,
		"imageLicense":            imageLicense,
		"imageVulnerability":      vulnerability,
		"imageCriticalExposed":    criticalExposed,
		"imageRCEExposed":         rceExposed,
		"imageTooMany":            tooMany,
		"imageSignatureMissing":   signatureMissing,
		"imageSignatureUntrusted": signatureUntrusted,
	}
}

// images holds the Image objects of a snapshot by digest and by name.
type images struct {
	byDigest, byName map[string]*scanned
	all              []*scanned
}

// scanned is one image with its flaws, read once.
type scanned struct {
	object          *cluster.Object
	vulnerabilities []seawall.Vulnerability
	judged          bool
}

type imagesKey struct{}

func imagesOf(s *cluster.Snapshot) *images {
	return cluster.Derive(s, imagesKey{}, func() *images {
		x := &images{byDigest: map[string]*scanned{}, byName: map[string]*scanned{}}
		for _, o := range slices.Concat(s.Kind("Image"), s.Beside) {
			if o.Group() != "seawall.io" || o.Kind != "Image" {
				continue
			}
			img := &scanned{object: o, judged: true}
			if judged, ok := o.Root.Get("judged").Bool(); ok {
				img.judged = judged
			}
			text := o.Root.Get("vulnerabilities").AppendJSON(nil)
			if err := json.Unmarshal(text, &img.vulnerabilities); err != nil {
				img.judged = false
			}
			x.all = append(x.all, img)
			if d := o.Root.Get("digest").Str(); d != "" {
				x.byDigest[d] = img
			}
			x.byName[fullName(o.Name)] = img
			if ref := o.Root.Get("reference").Str(); ref != "" {
				x.byName[fullName(ref)] = img
			}
		}
		return x
	})
}

// of finds the scan of the image that a container runs.
func (x *images) of(ref string) *scanned {
	if img := check.ParseImage(ref); img.Digest != "" {
		if found := x.byDigest[img.Digest]; found != nil {
			return found
		}
	}
	return x.byName[fullName(ref)]
}

// fullName writes a reference in full, so that nginx and
// docker.io/library/nginx:latest are one.
func fullName(ref string) string {
	for _, prefix := range []string{"image:", "containerd:"} {
		ref = strings.TrimPrefix(ref, prefix)
	}
	return check.ParseImage(ref).Name()
}

// counts says that a flaw is one of the image, not one that evidence rules out.
func counts(v *seawall.Vulnerability) bool { return ruledOut(v) == nil }

// ruledOut says what settles a flaw, nil where nothing does.
func ruledOut(v *seawall.Vulnerability) *seawall.Suppression {
	switch {
	case v.VEX != nil && (v.VEX.Status == "not_affected" || v.VEX.Status == "fixed"):
		why := strings.TrimSpace(strings.ReplaceAll(v.VEX.Status+" "+v.VEX.Justification, "_", " "))
		if v.VEX.Statement != "" {
			why += ": " + v.VEX.Statement
		}
		return &seawall.Suppression{Reason: why + " (" + v.VEX.Source + ")", By: "vex"}
	case v.Excluded != "":
		return &seawall.Suppression{Reason: v.Excluded, By: "evidence"}
	case v.Status == "not-affected":
		return &seawall.Suppression{Reason: "the source says that it is not affected", By: "evidence"}
	}
	return nil
}

// vulnerability reports each flaw of each image with the severity of its source.
func vulnerability(in *check.Input) {
	for _, img := range imagesOf(in.Snapshot).all {
		if slices.Contains(in.Snapshot.Beside, img.object) {
			continue // it is judged with its own snapshot
		}
		report(in, img.object, img.vulnerabilities)
	}
}

// dependency reports each flaw of what a lock file or manifest asks for.
func dependency(in *check.Input) {
	for _, o := range in.Snapshot.Kind("SourceFile") {
		if o.Group() != "seawall.io" {
			continue
		}
		var flaws []seawall.Vulnerability
		if err := json.Unmarshal(o.Root.Get("vulnerabilities").AppendJSON(nil), &flaws); err != nil {
			in.Unknown(o, "its vulnerabilities cannot be read: "+err.Error())
			continue
		}
		report(in, o, flaws)
	}
}

// report reports each flaw with the severity of its source. What is settled is
// reported as suppressed.
func report(in *check.Input, o *cluster.Object, flaws []seawall.Vulnerability) {
	for i := range flaws {
		v := &flaws[i]
		path := fmt.Sprintf("vulnerabilities[%d]", i)
		in.Report(check.Hit{
			Object: o, Path: path, Message: describe(v), Severity: max(v.Severity, seawall.Low), Vulnerability: v,
			Suppressed: ruledOut(v),
			Same:       v.ID + " " + v.Package + " " + v.Installed + " " + v.Path,
		})
	}
}

// describe says in one line what is flawed and what is known of it.
func describe(v *seawall.Vulnerability) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s has %s", v.Package, v.Installed, v.ID)
	switch {
	case v.Fixed != "":
		fmt.Fprintf(&b, ", fixed in %s", v.Fixed)
	case v.Status == "wont-fix":
		b.WriteString(", which will not be fixed")
	case v.Status == "deferred":
		b.WriteString(", whose fix is put off")
	default:
		b.WriteString(", not fixed yet")
	}
	if v.KEV != "" {
		b.WriteString("; it is being exploited")
	}
	if v.EPSS >= 0.1 {
		fmt.Fprintf(&b, "; %.0f %% likely to be exploited within 30 days", v.EPSS*100)
	}
	if v.Severity == seawall.None {
		b.WriteString("; its source gives no severity")
	}
	switch v.Reach {
	case "function":
		fmt.Fprintf(&b, "; the flawed code is in the binary (%s)", strings.Join(v.Symbols[:min(len(v.Symbols), 3)], ", "))
	case "package":
		b.WriteString("; of the flawed package only other parts are in the binary")
	}
	return b.String()
}
