package image

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/inventory"
	"seawall.io/seawall/internal/secret"
)

// Description is what the checks see of an image: an object of the kind Image,
// whose JSON field names are the names that rules use.
type Description struct {
	APIVersion string   `json:"apiVersion"` // seawall.io/v1
	Kind       string   `json:"kind"`       // Image
	Metadata   Metadata `json:"metadata"`
	// Reference is the name that the image itself goes by, where it has one: an
	// archive knows the tag that it was saved from.
	Reference string `json:"reference,omitempty"`
	// Digest is the manifest's, Platform is os/arch.
	Digest   string  `json:"digest,omitempty"`
	Platform string  `json:"platform,omitempty"`
	Config   *Config `json:"config,omitempty"` // nil for a root file system
	Distro   *Distro `json:"distro,omitempty"`
	Base     *Base   `json:"base,omitempty"`
	Layers   []Part  `json:"layers,omitempty"`
	// Files counts regular files and Size their bytes, as a container sees them;
	// Wasted are the bytes that lower layers hold and upper layers hide.
	Files  int   `json:"files"`
	Size   int64 `json:"size"`
	Wasted int64 `json:"wasted"`
	// Packages counts what is installed.
	Packages int     `json:"packages"`
	Foreign  []Alien `json:"foreign,omitempty"`
	// Licenses groups packages by what they state of their licence.
	Licenses []Licensed `json:"licenses,omitempty"`
	Tools    []Tool     `json:"tools,omitempty"`
	Caches   []Cache    `json:"caches,omitempty"`
	Suspects Suspect    `json:"suspects"`
	// Secrets holds what looks like credentials, Vulnerabilities known flaws.
	Secrets         []Credential            `json:"secrets,omitempty"`
	Vulnerabilities []seawall.Vulnerability `json:"vulnerabilities,omitempty"`
	// Judged says that a vulnerability database was asked; without it the absence
	// of vulnerabilities says nothing.
	Judged    bool       `json:"judged"`
	Signature *Signature `json:"signature,omitempty"`
}

// Metadata names the image as the user named it.
type Metadata struct {
	Name string `json:"name"`
}

// Config is how the image is to be run.
type Config struct {
	User       string   `json:"user"`
	Entrypoint []string `json:"entrypoint,omitempty"`
	Cmd        []string `json:"cmd,omitempty"`
	Env        []string `json:"env,omitempty"` // names only: values may be secrets
	Ports      []string `json:"ports,omitempty"`
	Volumes    []string `json:"volumes,omitempty"`
	Labels     []string `json:"labels,omitempty"` // names only
	Shell      []string `json:"shell,omitempty"`
	WorkingDir string   `json:"workingDir,omitempty"`
	Healthy    bool     `json:"healthcheck"`
	Created    string   `json:"created,omitempty"` // RFC 3339
	// Age is in days, -1 where the image does not say when it was made or says
	// that it was long ago to be reproducible.
	Age int `json:"age"`
}

// Distro is the distribution with what is known of its end.
type Distro struct {
	ID      string `json:"id"`
	Version string `json:"version,omitempty"`
	Name    string `json:"name,omitempty"`
	// EndOfLife is the day on which security updates end or ended; Ended says that
	// it has passed. Known is false where no data says.
	EndOfLife string `json:"endOfLife,omitempty"`
	Ended     bool   `json:"ended"`
	Known     bool   `json:"known"`
}

// Base is the image that this one was built from, as its labels or annotations
// name it (org.opencontainers.image.base.*).
type Base struct {
	Name   string `json:"name,omitempty"`
	Digest string `json:"digest,omitempty"`
}

// Part is one layer.
type Part struct {
	Digest    string `json:"digest"` // diffID
	CreatedBy string `json:"createdBy,omitempty"`
	Files     int    `json:"files"`
	Size      int64  `json:"size"` // bytes of its regular files
	Wasted    int64  `json:"wasted"`
}

// Alien is a distribution package that the distribution did not build.
type Alien struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Vendor  string `json:"vendor,omitempty"`
}

// Licensed are the packages of one licence: an SPDX expression or what the
// packages say instead, "" for those that say nothing.
type Licensed struct {
	License  string   `json:"license"`
	Packages []string `json:"packages"` // names with versions
}

// Tool is a program of a class that a running service seldom needs and an
// intruder likes to find.
type Tool struct {
	Class   string `json:"class"`
	Path    string `json:"path"`
	Package string `json:"package,omitempty"`
}

// Cache is a folder of left-overs.
type Cache struct {
	Path  string `json:"path"`
	What  string `json:"what"`
	Files int    `json:"files"`
	Size  int64  `json:"size"`
}

// Suspect lists files that call for a look. Each list is cut at MaxListed, and
// Cut says of which lists that is true.
type Suspect struct {
	Setuid        []Suspicion `json:"setuid,omitempty"`
	WorldWritable []Suspicion `json:"worldWritable,omitempty"`
	Packed        []Suspicion `json:"packed,omitempty"`
	Hidden        []Suspicion `json:"hidden,omitempty"`
	Unowned       []Suspicion `json:"unowned,omitempty"`
	Changed       []Suspicion `json:"changed,omitempty"`
	Malware       []Suspicion `json:"malware,omitempty"`
	Devices       []Suspicion `json:"devices,omitempty"`
	Cut           []string    `json:"cut,omitempty"`
}

// MaxListed is how many files each list of a Suspect names.
const MaxListed = 200

// Suspicion is one file and what is the matter with it.
type Suspicion struct {
	Path    string `json:"path"`
	Mode    string `json:"mode,omitempty"` // as ls writes it
	Package string `json:"package,omitempty"`
	Layer   int    `json:"layer"`
	Why     string `json:"why,omitempty"`
}

// Credential is a secret in a layer, in the configuration or in the history.
type Credential struct {
	Rule        string `json:"rule"`
	Title       string `json:"title"`
	Path        string `json:"path"`
	Line        int    `json:"line,omitempty"`
	Layer       int    `json:"layer"`
	Fingerprint string `json:"fingerprint"`
	Verified    bool   `json:"verified"`
	Name        string `json:"name,omitempty"`
	// Removed says that a later layer hides the file, which stays in the image.
	Removed bool `json:"removed"`
	// Example says that it most likely is one of documentation or a test.
	Example bool `json:"example,omitempty"`
	// Package is the distribution package that owns the file, where the file has the
	// checksum that the package's database names: everybody who has the package has
	// the credential.
	Package string `json:"package,omitempty"`
	// Object, File and Commit are of the git object in Path that holds it, as
	// secret.Hit has them.
	Object string `json:"object,omitempty"`
	File   string `json:"file,omitempty"`
	Commit string `json:"commit,omitempty"`
}

// Signature is the verdict on the image's signatures.
type Signature struct {
	Verdict string   `json:"verdict"` // verified, unsigned, untrusted or unknown
	By      []string `json:"by,omitempty"`
	Why     string   `json:"why,omitempty"`
}

// Owner tells which distribution package owns a path, "" for none, and what it
// says of the file.
type Owner func(path string) (pkg string, file inventory.OwnedFile)

// Describe fills in what the tree shows. owner may be nil, for images without a
// distribution; malware gives names or digests of files that somebody listed.
func (d *Description) Describe(t *Tree, owner Owner, malware Malware) {
	d.Files, d.Size = t.Size()
	for h := range t.Hidden() {
		d.Wasted += h.Size
		if h.Layer < len(d.Layers) {
			d.Layers[h.Layer].Wasted += h.Size
		}
		d.credentials(h.Path, h.Layer, h.Facts, true)
	}
	if owner == nil {
		owner = func(string) (string, inventory.OwnedFile) { return "", inventory.OwnedFile{} }
	}
	s := surveyor{
		d: d, malware: malware, caches: map[string]*Cache{},
		owner: func(path string) string { pkg, _ := owner(path); return pkg },
	}
	for f := range t.All() {
		s.file(f)
		if f.Linked() {
			continue
		}
		first := len(d.Secrets)
		d.credentials(f.Path(), f.Layer(), f.Facts(), false)
		if len(d.Secrets) == first {
			continue
		}
		if pkg, file := owner(f.Path()); asBrought(f.Facts(), &file) {
			for i := range d.Secrets[first:] {
				d.Secrets[first+i].Package = pkg
			}
		}
	}
	d.forgetPast()
	s.finish()
}

// forgetPast leaves out what a git repository holds of the past where a file of
// the image that nobody removed holds it too, and what stands in several of its
// objects but the first.
func (d *Description) forgetPast() {
	type key struct{ rule, fingerprint string }
	told := map[key]bool{}
	for i := range d.Secrets {
		if c := &d.Secrets[i]; c.Object == "" && !c.Removed {
			told[key{c.Rule, c.Fingerprint}] = true
		}
	}
	d.Secrets = slices.DeleteFunc(d.Secrets, func(c Credential) bool {
		k := key{c.Rule, c.Fingerprint}
		if c.Object == "" {
			return false
		}
		known := told[k]
		told[k] = true
		return known
	})
}

// asBrought says that a file has the checksum that its package names. Databases
// that name none, or SHA-1 alone as that of apk, leave it open.
func asBrought(facts *inventory.Facts, file *inventory.OwnedFile) bool {
	switch {
	case file.SHA256 != "":
		return file.SHA256 == facts.SHA256
	case file.MD5 != "":
		return file.MD5 == facts.MD5
	}
	return false
}

// credentials takes over the secrets of one file.
func (d *Description) credentials(path string, layer int, facts *inventory.Facts, removed bool) {
	if facts == nil {
		return
	}
	for _, h := range facts.Secrets {
		d.Secrets = append(d.Secrets, credential(h, path, layer, removed))
	}
}

func credential(h secret.Hit, path string, layer int, removed bool) Credential {
	return Credential{
		Rule: h.Rule, Title: h.Title, Path: path, Line: h.Line, Layer: layer,
		Fingerprint: h.Fingerprint, Verified: h.Verified, Name: h.Name, Removed: removed, Example: h.Example,
		Object: h.Object, File: h.File, Commit: h.Commit,
	}
}

// Named adds a secret that stands in the configuration or the history.
func (d *Description) Named(h secret.Hit, where string) {
	d.Secrets = append(d.Secrets, credential(h, where, 0, false))
}

// Malware is a list of names and digests of files that nobody wants.
type Malware struct {
	// Names are base names of programs, SHA256 digests in hexadecimal; each leads
	// to what it is.
	Names, SHA256 map[string]string
}

// surveyor looks at each file of a tree.
type surveyor struct {
	d       *Description
	owner   func(path string) string
	malware Malware
	caches  map[string]*Cache
}

func (s *surveyor) file(f File) {
	switch f.Kind() {
	case Device:
		if usualDevices[f.Path()] {
			return
		}
		s.list("devices", &s.d.Suspects.Devices, f, f.Path(), "a device node")
		return
	case Regular:
	case Dir:
		if m := f.Mode(); m&0o002 != 0 && m&fs.ModeSticky == 0 {
			s.list("worldWritable", &s.d.Suspects.WorldWritable, f, f.Path(), "everybody may add and remove files")
		}
		return
	case None, Symlink, Pipe, hardlink:
		return
	}
	name, m := f.Path(), f.Mode()
	if m&(fs.ModeSetuid|fs.ModeSetgid) != 0 && m&0o111 != 0 {
		uid, _ := f.Owner()
		s.list("setuid", &s.d.Suspects.Setuid, f, name, setuidWhy(m, uid))
	}
	if m&0o002 != 0 {
		s.list("worldWritable", &s.d.Suspects.WorldWritable, f, name, "everybody may change it")
	}
	if c := cacheOf(name); c != nil {
		have := s.caches[c.prefix]
		if have == nil {
			have = &Cache{Path: c.prefix, What: c.what}
			s.caches[c.prefix] = have
		}
		have.Files++
		have.Size += f.Size()
	}
	facts := f.Facts()
	program := m&0o111 != 0 && facts != nil && (facts.ELF != nil && facts.ELF.SONAME == "" || facts.Shebang != "")
	if class := toolClass(name); class != "" && m&0o111 != 0 {
		s.d.Tools = append(s.d.Tools, Tool{Class: class, Path: name, Package: s.owner(name)})
	}
	if why := hiddenPlace(name); program && why != "" {
		s.list("hidden", &s.d.Suspects.Hidden, f, name, why)
	}
	if facts == nil {
		return
	}
	if facts.ELF != nil && facts.ELF.Packed != "" {
		s.list("packed", &s.d.Suspects.Packed, f, name, "packed with "+facts.ELF.Packed)
	}
	if facts.ELF != nil && facts.ELF.Type != "REL" && s.d.Distro != nil && len(facts.Packages) == 0 && !f.Linked() && s.owner(name) == "" && !withPackage(name) {
		s.list("unowned", &s.d.Suspects.Unowned, f, name, "no package brought it, and it does not say what it was built from")
	}
	if what, ok := s.malware.Names[strings.ToLower(path.Base(name))]; ok && program {
		s.list("malware", &s.d.Suspects.Malware, f, name, what)
	} else if what, ok := s.malware.SHA256[facts.SHA256]; ok && facts.SHA256 != "" {
		s.list("malware", &s.d.Suspects.Malware, f, name, what)
	}
}

// list adds a file to a list that is cut at MaxListed.
func (s *surveyor) list(name string, to *[]Suspicion, f File, path, why string) {
	if len(*to) >= MaxListed {
		if !slices.Contains(s.d.Suspects.Cut, name) {
			s.d.Suspects.Cut = append(s.d.Suspects.Cut, name)
		}
		return
	}
	*to = append(*to, Suspicion{Path: path, Mode: f.Mode().String(), Package: s.owner(path), Layer: f.Layer(), Why: why})
}

func setuidWhy(m fs.FileMode, uid int) string {
	switch {
	case m&fs.ModeSetuid != 0 && uid == 0:
		return "runs as root, whoever starts it"
	case m&fs.ModeSetuid != 0:
		return "runs as its owner, whoever starts it"
	}
	return "runs with its group, whoever starts it"
}

func (s *surveyor) finish() {
	for _, c := range s.caches {
		s.d.Caches = append(s.d.Caches, *c)
	}
	slices.SortFunc(s.d.Caches, func(a, b Cache) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(s.d.Tools, func(a, b Tool) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(s.d.Secrets, func(a, b Credential) int {
		if c := strings.Compare(a.Path, b.Path); c != 0 {
			return c
		}
		if c := a.Layer - b.Layer; c != 0 {
			return c
		}
		return a.Line - b.Line
	})
	x := &s.d.Suspects
	for _, l := range [][]Suspicion{x.Setuid, x.WorldWritable, x.Packed, x.Hidden, x.Unowned, x.Changed, x.Malware, x.Devices} {
		slices.SortFunc(l, func(a, b Suspicion) int { return strings.Compare(a.Path, b.Path) })
	}
}

// Changed lists files whose content is not what their package brought: config
// files apart, for which owned gives no digest. The tree needs to have been read
// with Hash set for the files in question; those without digests are passed by.
func (d *Description) Changed(t *Tree, owned func(yield func(pkg string, file inventory.OwnedFile) bool)) {
	s := surveyor{d: d, owner: func(string) string { return "" }}
	owned(func(pkg string, file inventory.OwnedFile) bool {
		f, ok := t.Stat(file.Path)
		if !ok || f.Kind() != Regular || file.Config {
			return true
		}
		facts := f.Facts()
		if facts == nil || facts.MD5 == "" {
			return true
		}
		if (file.MD5 != "" && file.MD5 != facts.MD5) || (file.SHA256 != "" && file.SHA256 != facts.SHA256) {
			s.list("changed", &d.Suspects.Changed, f, f.Path(), "its content is not what the package "+pkg+" brought")
			if n := len(d.Suspects.Changed); n > 0 {
				d.Suspects.Changed[n-1].Package = pkg
			}
		}
		return true
	})
	s.finish()
}
