package oci

import (
	"fmt"
	"slices"
	"strings"
)

// Platform is what an image runs on.
type Platform struct {
	OS        string `json:"os"`
	Arch      string `json:"architecture"`
	Variant   string `json:"variant,omitempty"`
	OSVersion string `json:"os.version,omitempty"`
}

// ParsePlatform reads os/arch or os/arch/variant; the empty text is no platform.
func ParsePlatform(s string) (*Platform, error) {
	if s == "" {
		return nil, nil //nolint:nilnil // no platform is asked for
	}
	parts := strings.Split(strings.ToLower(s), "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return nil, fmt.Errorf("platform %q: write os/arch or os/arch/variant, linux/arm64 for example", s)
	}
	p := Platform{OS: parts[0], Arch: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	p = p.normal()
	return &p, nil
}

// String is os/arch or os/arch/variant.
func (p Platform) String() string {
	s := p.OS + "/" + p.Arch
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// normal spells the platform as Go does, without variants that say nothing.
func (p Platform) normal() Platform {
	switch p.Arch {
	case "x86_64", "x86-64":
		p.Arch = "amd64"
	case "aarch64":
		p.Arch = "arm64"
	case "armhf":
		p.Arch, p.Variant = "arm", "v7"
	case "i386":
		p.Arch = "386"
	}
	switch {
	case p.Arch == "amd64" && p.Variant == "v1", p.Arch == "arm64" && (p.Variant == "v8" || p.Variant == "8"):
		p.Variant = ""
	case p.Arch == "arm" && p.Variant != "" && !strings.HasPrefix(p.Variant, "v"):
		p.Variant = "v" + p.Variant
	}
	return p
}

// fit says how well an image for p serves who asks for want: 0 not at all, else
// more is better. A variant that is asked for is also served by a lower one of
// the same architecture, as runtimes have it; where none is asked for, the
// plainest is best.
func (p Platform) fit(want Platform) int {
	p, want = p.normal(), want.normal()
	if p.OS != want.OS || p.Arch != want.Arch {
		return 0
	}
	have, ask := rank(p.Variant), rank(want.Variant)
	switch {
	case p.Variant == want.Variant:
		return 1000
	case want.Variant == "":
		return 500 - have
	case have < ask:
		return 1 + have
	}
	return 0
}

// rank orders the variants of an architecture, v5 below v6; none is 0.
func rank(variant string) int {
	n := 0
	for _, c := range []byte(strings.TrimPrefix(variant, "v")) {
		if c < '0' || c > '9' || n > 10 {
			return 100
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// choose picks the manifest for a platform among those of an index.
func choose(manifests []Descriptor, want *Platform) (*Descriptor, error) {
	var images []*Descriptor
	for i := range manifests {
		if d := &manifests[i]; !d.attestation() && (d.Platform == nil || d.Platform.OS != "unknown") {
			images = append(images, d)
		}
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("the index names no image: %w", ErrNotFound)
	}
	wanted := []Platform{{OS: "linux", Arch: "amd64"}, {OS: "linux", Arch: "arm64"}}
	if want != nil {
		wanted = []Platform{*want}
	}
	for _, w := range wanted {
		var best *Descriptor
		score := 0
		for _, d := range images {
			if d.Platform == nil {
				continue
			}
			if s := d.Platform.fit(w); s > score {
				best, score = d, s
			}
		}
		if best != nil {
			return best, nil
		}
	}
	if len(images) == 1 && (want == nil || images[0].Platform == nil) {
		return images[0], nil
	}
	have := strings.Join(platforms(manifests), ", ")
	if want == nil {
		return nil, fmt.Errorf("the image is for several platforms, name one of them: %s", have)
	}
	return nil, fmt.Errorf("there is no image for %s, but for %s: %w", want, have, ErrNotFound)
}

// platforms lists what an index offers.
func platforms(manifests []Descriptor) []string {
	var out []string
	for i := range manifests {
		if p := manifests[i].Platform; p != nil && !manifests[i].attestation() && p.OS != "unknown" {
			if s := p.normal().String(); !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}
