package slimming

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/slim"
)

// rpmManifest is where images without rpm's database list their packages, which
// scanners read (Azure Linux' distroless images have it).
const rpmManifest = "var/lib/rpmmanifest/container-manifest-2"

// records rewrites the databases of package managers so that they speak of what
// stays.
type records struct {
	plan  *slim.Plan
	stays map[string]bool // by kind and name
	real  func(path string) string
}

func (r *Result) records() *records {
	out := &records{plan: r.Plan, stays: map[string]bool{}}
	for _, v := range r.Plan.Packages {
		if v.State != slim.Unneeded {
			out.stays[string(v.Type)+" "+v.Name] = true
		}
	}
	out.real = func(p string) string {
		if f, ok := r.Scan.Tree.Lstat(p); ok {
			return f.Path()
		}
		return p
	}
	return out
}

// rewrites says that a path's content is rewritten. Databases whose manager stays
// are left alone, but for the list of what is installed.
func (x *records) rewrites(p string) bool {
	switch p {
	case "var/lib/dpkg/status", "lib/apk/db/installed", "usr/lib/apk/db/installed":
		return true
	}
	return strings.HasPrefix(p, "var/lib/dpkg/info/") && (strings.HasSuffix(p, ".list") || strings.HasSuffix(p, ".md5sums"))
}

// rewrite returns the new content.
func (x *records) rewrite(p string, body []byte) []byte {
	switch {
	case p == "var/lib/dpkg/status":
		return x.paragraphs(body, "Package: ", inventory.Deb)
	case path.Base(p) == "installed":
		return x.paragraphs(body, "P:", inventory.APK)
	}
	var out bytes.Buffer
	for line := range bytes.Lines(body) {
		name := bytes.TrimSpace(line)
		if strings.HasSuffix(p, ".md5sums") {
			if _, rest, ok := bytes.Cut(name, []byte("  ")); ok {
				name = rest
			}
		}
		if q := strings.Trim(string(name), "/"); q == "." || q == "" || x.plan.Keeps(x.real(q)) {
			out.Write(line)
		}
	}
	return out.Bytes()
}

// paragraphs keeps those of packages that stay.
func (x *records) paragraphs(body []byte, field string, kind inventory.Type) []byte {
	var out bytes.Buffer
	for len(body) > 0 {
		one, rest, _ := bytes.Cut(body, []byte("\n\n"))
		body = bytes.TrimLeft(rest, "\n")
		if len(bytes.TrimSpace(one)) == 0 {
			continue
		}
		name := ""
		for line := range bytes.Lines(one) {
			if value, ok := bytes.CutPrefix(line, []byte(field)); ok {
				name = strings.TrimSpace(string(value))
				break
			}
		}
		if x.stays[string(kind)+" "+name] {
			out.Write(bytes.TrimRight(one, "\n"))
			out.WriteString("\n\n")
		}
	}
	return out.Bytes()
}

// rpm returns the list of the rpm packages that stay, nil where there are none or
// the database itself stays.
func (r *Result) rpm() []byte {
	var out bytes.Buffer
	for i := range r.Scan.Inventory.Packages {
		p := &r.Scan.Inventory.Packages[i]
		if p.Type != inventory.RPM {
			continue
		}
		if r.Plan.Keeps(p.Path) {
			return nil
		}
		if r.state(p) == slim.Unneeded {
			continue
		}
		epoch, version, ok := strings.Cut(p.Version, ":")
		if !ok {
			epoch, version = "0", p.Version
		}
		source := "(none)"
		if p.Source.Name != "" && p.Source.Version != "" {
			_, sv, found := strings.Cut(p.Source.Version, ":")
			if !found {
				sv = p.Source.Version
			}
			source = p.Source.Name + "-" + sv + ".src.rpm"
		}
		vendor := p.Vendor
		if vendor == "" {
			vendor = "(none)"
		}
		fmt.Fprintf(&out, "%s\t%s\t0\t0\t%s\t%s\t%d\t%s\t%s\t%s\n", p.Name, version, vendor, epoch, p.Size, p.Arch, epoch, source)
	}
	return out.Bytes()
}

func (r *Result) state(p *inventory.Package) slim.State {
	for i := range r.Plan.Packages {
		if v := &r.Plan.Packages[i]; v.Type == p.Type && v.Name == p.Name && v.Version == p.Version {
			return v.State
		}
	}
	return slim.Needed
}
