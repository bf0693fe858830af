package sbom

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/inventory/purl"
)

// component is what both formats tell of a package, whoever wrote it.
type component struct {
	name, version string // for complaints
	purl          string
	path          string
	licenses      []string
	properties    []property
	sourceInfo    string // of SPDX, in words
	layer         string // the digest of the layer, as trivy tells
}

// describe is how a package is shown in a document.
func describe(p *inventory.Package, d *inventory.Distro) component {
	visible := *p
	visible.Name, visible.Version, visible.Arch = shown(p.Name), shown(p.Version), shown(p.Arch)
	visible.Source = inventory.Source{Name: shown(p.Source.Name), Version: shown(p.Source.Version)}
	if d != nil {
		d = &inventory.Distro{ID: shown(d.ID), Version: shown(d.Version)}
	}
	c := component{name: cmp.Or(visible.Name, "unknown"), version: visible.Version, path: shown(p.Path)}
	if visible.Name != "" && p.Type != "" {
		c.purl = purl.Of(&visible, d).String()
	}
	for _, l := range p.Licenses {
		if l != "" {
			c.licenses = append(c.licenses, shown(l))
		}
	}
	return c
}

// sourceWords names a source package that is not the package's own.
func sourceWords(p *inventory.Package) string {
	if p.Source.Name == "" || p.Source == (inventory.Source{Name: p.Name, Version: p.Version}) {
		return ""
	}
	return strings.TrimSpace(builtFrom + shown(p.Source.Name) + " " + shown(p.Source.Version))
}

// builtFrom begins the words in which we, as trivy, name the source package.
const builtFrom = "built package from: "

// propertiesOf gives what must be written beside the fields of a component for pack
// to make p of it.
func propertiesOf(p *inventory.Package, c *component) []property {
	guess, _, err := c.guess()
	out := packageDifference(p, &guess)
	if err != nil && p.Type == guess.Type {
		out = append(out, property{ours, string(p.Type)})
	}
	return out
}

// ours is the property that says that a component is a package, whatever its
// package URL.
const ours = prefix + "type"

var errNoURL = errors.New("it has no package URL")

// guess makes a package of the format's own fields, and of what other tools add
// to them. The distribution is the one that the package URL names, if it does.
func (c *component) guess() (p inventory.Package, d *inventory.Distro, err error) {
	if p, d, err = fromURL(c.purl); err != nil {
		p = inventory.Package{}
	}
	p.Path, p.Licenses = c.path, c.licenses
	c.foreign(&p)
	return p, d, err
}

// pack makes a package of a component. Our properties come last: they know best.
func (c *component) pack() (inventory.Package, *inventory.Distro, error) {
	p, d, err := c.guess()
	if err != nil && !slices.ContainsFunc(c.properties, func(q property) bool { return q.Name == ours || q.Name == ours+binary }) {
		return p, nil, err
	}
	for _, q := range c.properties {
		if err := applyPackage(&p, q); err != nil {
			return p, nil, err
		}
	}
	return p, d, nil
}

// fromURL makes a package of its URL.
func fromURL(text string) (p inventory.Package, d *inventory.Distro, err error) {
	if text == "" {
		return p, nil, errNoURL
	}
	u, err := purl.Parse(text)
	if err != nil {
		return p, nil, err
	}
	p = inventory.Package{Type: inventory.Type(u.Type), Name: u.Name, Version: u.Version}
	switch p.Type {
	case inventory.Deb, inventory.APK, inventory.RPM:
		return p, fromDistribution(&p, u), nil
	case inventory.Maven:
		if u.Namespace != "" {
			p.Name = u.Namespace + ":" + u.Name
		}
	case inventory.Go:
		p.Name = joined(u)
		p.Version = strings.TrimPrefix(u.Version, "v")
		if p.Name == "stdlib" {
			p.Version = strings.TrimPrefix(p.Version, "go")
		}
	case inventory.NPM, inventory.Composer:
		p.Name = joined(u)
	case inventory.PyPI:
		p.Name = normalPyPI(u.Name)
	case inventory.NuGet:
		p.Name = strings.ToLower(u.Name)
	case inventory.Conda, inventory.Cargo, inventory.Gem:
	default:
		return p, nil, fmt.Errorf("packages of type %s are not judged", u.Type)
	}
	return p, nil, nil
}

func joined(u purl.PURL) string {
	if u.Namespace == "" {
		return u.Name
	}
	return u.Namespace + "/" + u.Name
}

// normalPyPI is the name as PEP 503 writes it: runs of .-_ are one hyphen.
func normalPyPI(name string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(name) {
		if r == '.' || r == '-' || r == '_' {
			gap = true
			continue
		}
		if gap {
			b.WriteByte('-')
			gap = false
		}
		b.WriteRune(r)
	}
	if gap {
		b.WriteByte('-')
	}
	return b.String()
}

// fromDistribution reads the qualifiers that packages of distributions have.
func fromDistribution(p *inventory.Package, u purl.PURL) *inventory.Distro {
	p.Arch = u.Qualifiers["arch"]
	if epoch := u.Qualifiers["epoch"]; epoch != "" && !strings.Contains(p.Version, ":") {
		p.Version = epoch + ":" + p.Version
	}
	p.Source = inventory.Source{Name: p.Name, Version: p.Version}
	if upstream := u.Qualifiers["upstream"]; upstream != "" {
		p.Source = source(p, upstream)
	}
	return distroOf(u)
}

// source reads the name of a source package, with or without @version, or of a
// source rpm.
func source(p *inventory.Package, text string) inventory.Source {
	if base, ok := strings.CutSuffix(text, ".src.rpm"); ok {
		release := strings.LastIndexByte(base, '-')
		if release > 0 {
			if version := strings.LastIndexByte(base[:release], '-'); version > 0 {
				return inventory.Source{Name: base[:version], Version: withEpoch(p, base[version+1:])}
			}
		}
	}
	name, version, _ := strings.Cut(text, "@")
	return inventory.Source{Name: name, Version: cmp.Or(version, p.Version)}
}

// withEpoch gives the version of a source rpm, which the name of its file leaves
// incomplete, the epoch of the package that was built from it.
func withEpoch(p *inventory.Package, version string) string {
	if epoch, _, ok := strings.Cut(p.Version, ":"); ok && p.Type == inventory.RPM && !strings.Contains(version, ":") {
		return epoch + ":" + version
	}
	return version
}

// distroOf is the distribution that a package URL speaks of: debian-12 or
// alpine-3.20.3 in the qualifier, else the namespace and a code name.
func distroOf(u purl.PURL) *inventory.Distro {
	text := u.Qualifiers["distro"]
	if text == "" || u.Namespace == "" {
		return nil
	}
	at := strings.LastIndexByte(text, '-')
	switch {
	case at > 0 && at+1 < len(text) && '0' <= text[at+1] && text[at+1] <= '9':
		return &inventory.Distro{ID: text[:at], Version: text[at+1:]}
	case '0' <= text[0] && text[0] <= '9':
		return &inventory.Distro{ID: osID(u.Namespace), Version: text}
	}
	return &inventory.Distro{ID: osID(u.Namespace), Codename: text}
}

// osID is os-release's ID for the namespace of a package URL.
func osID(namespace string) string {
	switch namespace {
	case "redhat":
		return "rhel"
	case "amazon":
		return "amzn"
	case "oracle":
		return "ol"
	case "suse":
		return "sles"
	}
	return namespace
}

// foreign reads what trivy and syft put into properties and words.
func (c *component) foreign(p *inventory.Package) {
	trivy := map[string]string{}
	for _, q := range c.properties {
		if name, ok := strings.CutPrefix(q.Name, "aquasecurity:trivy:"); ok {
			trivy[name] = q.Value
		}
		switch q.Name {
		case "syft:location:0:path":
			p.Path = cmp.Or(p.Path, strings.TrimPrefix(q.Value, "/"))
		case "syft:metadata:modularityLabel", "aquasecurity:trivy:Modularitylabel":
			p.Module = q.Value
		case "aquasecurity:trivy:FilePath":
			p.Path = cmp.Or(p.Path, strings.TrimPrefix(q.Value, "/"))
		}
		if q.Value == "" || !p.Type.OS() {
			continue
		}
		switch q.Name {
		case "syft:metadata:source", "syft:metadata:originPackage":
			p.Source.Name = q.Value
		case "syft:metadata:sourceVersion":
			p.Source.Version = q.Value
		case "syft:metadata:sourceRpm":
			p.Source = source(p, q.Value)
		}
	}
	if !p.Type.OS() {
		return
	}
	if words, ok := strings.CutPrefix(c.sourceInfo, builtFrom); ok {
		name, version, _ := strings.Cut(words, " ")
		p.Source = inventory.Source{Name: name, Version: withEpoch(p, cmp.Or(version, p.Version))}
	}
	if name := trivy["SrcName"]; name != "" {
		p.Source.Name = name
	}
	if version := trivy["SrcVersion"]; version != "" {
		if epoch := trivy["SrcEpoch"]; epoch != "" && epoch != "0" {
			version = epoch + ":" + version
		}
		if release := trivy["SrcRelease"]; release != "" {
			version += "-" + release
		}
		p.Source.Version = version
	}
}
