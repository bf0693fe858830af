package imagescan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/inventory/license"
	"seawall.io/seawall/internal/secret"
	"seawall.io/seawall/internal/vuln"
)

// Labels and annotations that name the base image.
const (
	baseName   = "org.opencontainers.image.base.name"
	baseDigest = "org.opencontainers.image.base.digest"
)

// describe makes the description that the checks judge.
func (r *Result) describe(o *Options) {
	d := &r.Description
	d.APIVersion, d.Kind = "seawall.io/v1", "Image"
	for _, l := range r.layers {
		d.Layers = append(d.Layers, image.Part{Digest: l.digest, CreatedBy: l.createdBy, Files: l.files, Size: l.size})
	}
	d.Packages = len(r.Inventory.Packages)
	d.Licenses = licensed(r.Inventory.Packages)
	if r.Inventory.Distro != nil {
		d.Distro = distro(*r.Inventory.Distro, o)
		d.Foreign = r.foreign()
	}
	if r.Image != nil {
		r.describeConfig(d, o)
	}
	d.Describe(r.Tree, r.owners.of, o.Malware)
	if o.VerifyFiles {
		d.Changed(r.Tree, r.owners.files)
	}
	for _, cut := range d.Suspects.Cut {
		r.hole("", fmt.Sprintf("of the files listed under suspects.%s only the first %d are named", cut, image.MaxListed))
	}
	examples := 0
	for _, c := range d.Secrets {
		if c.Example {
			examples++
		}
	}
	if examples > 0 {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%s: %d credentials that look like examples of documentation or tests are not listed: --check 'image-*secret' lists them", r.Name(), examples))
	}
	d.Judged = r.Judged
	for i := range r.Judgement.Matches {
		d.Vulnerabilities = append(d.Vulnerabilities, r.flaw(&r.Judgement.Matches[i]))
	}
	for i := range r.Judgement.NotAffected {
		e := &r.Judgement.NotAffected[i]
		v := r.flaw(&e.Match)
		v.Excluded = e.Detail
		d.Vulnerabilities = append(d.Vulnerabilities, v)
	}
}

// flaw completes what was found by what only the image knows.
func (r *Result) flaw(m *vuln.Match) seawall.Vulnerability {
	v := m.Vulnerability
	v.RCE = m.RCE
	if l := m.Package.Layer; l >= 0 && l < len(r.layers) {
		v.Layer = r.layers[l].digest
	}
	return v
}

// licensed groups packages by their licences, both in order.
func licensed(packages []inventory.Package) []image.Licensed {
	by := map[string][]string{}
	for i := range packages {
		l := license.Of(&packages[i])
		by[l] = append(by[l], strings.TrimSpace(packages[i].Name+" "+packages[i].Version))
	}
	out := make([]image.Licensed, 0, len(by))
	for _, l := range slices.Sorted(maps.Keys(by)) {
		slices.Sort(by[l])
		out = append(out, image.Licensed{License: l, Packages: slices.Compact(by[l])})
	}
	return out
}

// distro says how long the distribution is supported.
func distro(found inventory.Distro, o *Options) *image.Distro {
	d := &image.Distro{ID: found.ID, Version: found.Version, Name: found.Name}
	if d.Name == "" {
		d.Name = strings.TrimSpace(found.ID + " " + found.Version)
	}
	if o.Database == nil {
		return d
	}
	release, ok := o.Database.Release(found)
	if !ok {
		return d
	}
	s := vuln.EndOfLife(release, o.Today)
	d.Known = s.Phase != vuln.Unknown
	d.Ended = s.Phase == vuln.Ended || s.Phase == vuln.Paid
	d.EndOfLife = max(release.EOL, release.LTS) // days compare as text
	return d
}

func (r *Result) describeConfig(d *image.Description, o *Options) {
	img := r.Image
	d.Reference, d.Digest, d.Platform = img.Name, img.Digest, img.Platform
	c := &img.Config
	d.Config = &image.Config{
		User: c.User, Entrypoint: c.Entrypoint, Cmd: c.Cmd, Ports: c.ExposedPorts, Volumes: c.Volumes,
		Labels: slices.Sorted(maps.Keys(c.Labels)), Shell: c.Shell, WorkingDir: c.WorkingDir,
		Healthy: c.Healthcheck != nil && len(c.Healthcheck.Test) > 0 && c.Healthcheck.Test[0] != "NONE", Age: age(c.Created, o.Today),
	}
	if !c.Created.IsZero() {
		d.Config.Created = c.Created.UTC().Format(time.RFC3339)
	}
	if c.Labels[baseName] != "" || c.Labels[baseDigest] != "" {
		d.Base = &image.Base{Name: c.Labels[baseName], Digest: c.Labels[baseDigest]}
	}
	for _, e := range c.Env {
		name, value, _ := strings.Cut(e, "=")
		d.Config.Env = append(d.Config.Env, name)
		r.named(o, "env "+name, name, value)
	}
	for _, name := range d.Config.Labels {
		r.named(o, "label "+name, name, c.Labels[name])
	}
	for i, h := range c.History {
		if o.NoSecrets {
			break
		}
		hits, _ := secret.Scan("history", []byte(h.CreatedBy), secret.Options{})
		for _, hit := range hits {
			d.Named(hit, fmt.Sprintf("history %d", i+1))
		}
	}
}

// named looks for a credential in a variable or label.
func (r *Result) named(o *Options, where, name, value string) {
	if o.NoSecrets {
		return
	}
	if hit, ok := secret.ScanNamed(name, value); ok {
		hit.Name = name
		r.Description.Named(hit, where)
	}
}

// foreign lists packages that the distribution did not build, as far as their
// vendor tells.
func (r *Result) foreign() []image.Alien {
	var out []image.Alien
	for i := range r.Inventory.Packages {
		p := &r.Inventory.Packages[i]
		if !p.Type.OS() {
			continue
		}
		if builder, yes := vuln.Foreign(*r.Inventory.Distro, p); yes {
			out = append(out, image.Alien{Name: p.Name, Version: p.Version, Vendor: builder})
		}
	}
	slices.SortFunc(out, func(a, b image.Alien) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Object is the image as the checks see it.
func (r *Result) Object() *cluster.Object {
	r.Description.Metadata.Name = r.Name()
	root := document.FromValue(&r.Description)
	o, _ := cluster.New(root)
	o.File = r.Name()
	return o
}

// Coverage says what a result rests on.
func (r *Result) Coverage() seawall.ImageCoverage {
	c := seawall.ImageCoverage{
		Name: r.Name(), Reference: r.Description.Reference, Digest: r.Description.Digest, Platform: r.Description.Platform,
		Layers: len(r.layers), Files: r.Description.Files, Size: r.Description.Size,
		Packages: len(r.Inventory.Packages), NotAffected: len(r.Judgement.NotAffected),
	}
	if d := r.Description.Distro; d != nil {
		c.Distro = d.Name
	}
	return c
}
