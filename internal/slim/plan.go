package slim

import (
	"cmp"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/inventory"
)

// sizes are what stays and goes of something.
type sizes struct {
	kept, removed           int64
	keptFiles, removedFiles int
	active                  bool // something of it is run or loaded
	classes                 map[string]bool
	junk                    map[string]bool
}

func (s *sizes) add(size int64, stays bool) {
	if stays {
		s.kept += size
		s.keptFiles++
		return
	}
	s.removed += size
	s.removedFiles++
}

// accounts sums up.
type accounts struct {
	*analysis

	plan      *Plan
	packages  map[string]*sizes // of the distribution
	leftovers map[string]*Item
	modules   map[string]*sizes // folders of npm packages
	rest      map[string]*sizes // what no package brought, by folder
	seen      map[string]bool   // by the profile
}

func (a *analysis) plan() *Plan {
	p := &Plan{
		Level: a.in.Level, Roots: a.in.Roots, Unresolved: a.unresolved, Notes: a.notes, Judged: a.in.Judged, kept: a.kept,
		Items: []Item{}, Packages: []Verdict{},
	}
	c := accounts{
		analysis: a, plan: p, packages: map[string]*sizes{}, leftovers: map[string]*Item{}, modules: map[string]*sizes{}, rest: map[string]*sizes{},
		seen: map[string]bool{},
	}
	if a.in.Profile != nil {
		for _, q := range slices.Concat(a.in.Profile.Executed, a.in.Profile.Opened) {
			if f, _, ok := a.follow(q); ok {
				c.seen[f.Path()] = true
			}
		}
	}
	for i, q := range a.paths {
		switch f := a.files[i]; f.Kind() {
		case image.Regular:
			c.file(q, f)
		case image.Symlink:
			if owner := a.in.Owner(q); owner != "" {
				at(c.packages, owner).add(0, a.kept[q] != nil)
			}
		default:
		}
	}
	c.verdicts()
	c.items()
	p.Waste = a.waste()
	p.Advice = a.advice(p)
	return p
}

func at(m map[string]*sizes, key string) *sizes {
	s := m[key]
	if s == nil {
		s = &sizes{classes: map[string]bool{}, junk: map[string]bool{}}
		m[key] = s
	}
	return s
}

// file counts one file.
func (c *accounts) file(p string, f image.File) {
	k := c.kept[p]
	size := f.Size()
	if f.Linked() {
		size = 0
	} else {
		c.plan.Before.Files++
		c.plan.Before.Bytes += size
		if k != nil {
			c.plan.After.Files++
			c.plan.After.Bytes += size
			if c.in.Profile != nil && !c.seen[p] {
				c.plan.Unobserved.Files++
				c.plan.Unobserved.Bytes += size
			}
		}
	}
	c.tool(p, f, k)
	owner, what := c.in.Owner(p), c.junk(p)
	if k == nil && what != "" && (owner == "" || c.reachedOrChained(owner)) {
		c.leftover(p, what, size)
	}
	if pkg := packageOf(p); pkg != "" && owner == "" {
		at(c.modules, pkg).add(size, k != nil)
		return
	}
	if owner == "" {
		if k == nil && what == "" {
			at(c.rest, folder(p)).add(size, false)
		}
		return
	}
	s := at(c.packages, owner)
	s.active = s.active || k != nil && k.active
	if k == nil && what != "" && c.reachedOrChained(owner) {
		return // counted with what is left over
	}
	s.add(size, k != nil)
	if k == nil {
		if class := image.ToolClass(p); class != "" && f.Mode()&0o111 != 0 {
			s.classes[class] = true
		}
		if f.Mode()&fs.ModeSetuid != 0 {
			s.classes["setuid"] = true
		}
	}
}

func (c *accounts) reachedOrChained(owner string) bool {
	_, reached := c.reached[owner]
	_, chained := c.chained[owner]
	return reached || chained
}

// folder is the folder under which files that no package brought are summed up.
func folder(p string) string {
	parts := strings.SplitN(p, "/", 5)
	return strings.Join(parts[:min(len(parts)-1, 3)], "/")
}

func (c *accounts) leftover(p, what string, size int64) {
	dir, _, _ := image.Leftover(p)
	item := c.leftovers[dir]
	if item == nil {
		item = &Item{Kind: "leftover", Name: "/" + dir, Why: what, Confidence: Static}
		c.leftovers[dir] = item
	}
	item.Files++
	item.Bytes += size
}

// tool lists a program that intruders like.
func (c *accounts) tool(p string, f image.File, k *kept) {
	class := ""
	if f.Mode()&0o111 != 0 {
		class = image.ToolClass(p)
	}
	if f.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 && f.Mode()&0o111 != 0 {
		class = strings.TrimPrefix(class+", setuid", ", ")
	}
	if class == "" {
		return
	}
	t := Tool{Path: p, Class: class, Kept: k != nil}
	if k != nil {
		t.Why = k.why
	}
	c.plan.Tools = append(c.plan.Tools, t)
}

// verdicts says what becomes of each package, and counts flaws.
func (c *accounts) verdicts() {
	flaws := map[string][]string{} // of a package, IDs
	gone := map[string]bool{}
	for i := range c.in.Packages {
		p := &c.in.Packages[i]
		v := Verdict{Type: p.Type, Name: p.Name, Version: p.Version, Path: p.Path}
		if p.Type.OS() {
			c.distribution(&v)
		} else {
			c.ofLanguage(p, &v)
		}
		gone[packageKey(p)] = v.State == Unneeded
		c.plan.Packages = append(c.plan.Packages, v)
		c.plan.Before.Packages++
		if v.State != Unneeded {
			c.plan.After.Packages++
		}
	}
	for i := range c.in.Matches {
		m := &c.in.Matches[i]
		c.plan.Before.Vulnerabilities++
		keys := []string{packageKey(m.Package)}
		if m.Package.Type.OS() && len(m.Vulnerability.Binaries) > 0 {
			keys = nil
			for _, b := range m.Vulnerability.Binaries {
				keys = append(keys, string(m.Package.Type)+" "+b)
			}
		}
		stays := false
		for _, k := range keys {
			stays = stays || !gone[k]
			flaws[k] = append(flaws[k], m.Vulnerability.ID)
		}
		if stays {
			c.plan.After.Vulnerabilities++
		}
	}
	for i := range c.plan.Packages {
		v := &c.plan.Packages[i]
		ids := flaws[packageKey(&inventory.Package{Type: v.Type, Name: v.Name, Version: v.Version, Path: v.Path})]
		v.Vulnerabilities = len(ids)
		if v.State == Unneeded || v.State == Partly && v.Removed > 0 {
			c.item(v, ids)
		}
	}
}

// packageKey tells packages apart: of a distribution by name.
func packageKey(p *inventory.Package) string {
	if p.Type.OS() {
		return string(p.Type) + " " + p.Name
	}
	return string(p.Type) + " " + p.Name + " " + p.Version + " " + p.Path
}

// distribution judges a package of the distribution by its files.
func (c *accounts) distribution(v *Verdict) {
	s := at(c.packages, v.Name)
	v.Kept, v.Removed = s.kept, s.removed
	by, active := c.reached[v.Name]
	why, chained := c.chained[v.Name]
	switch {
	case !c.recorded:
		v.State, v.Why = Needed, "nothing tells which files it has"
	case active && s.removedFiles > 0:
		v.State, v.Why = Partly, by+" is needed, the files that go are not"
	case active:
		v.State, v.Why = Needed, c.kept[by].why
	case chained && s.keptFiles > 0:
		v.State, v.Why = Needed, why
	case chained:
		v.State, v.Why = Data, why // it has no files
	case s.keptFiles > 0:
		v.State, v.Why = Data, "only data that other programs may read"
	default:
		v.State, v.Why = Unneeded, "nothing that runs leads to a file of it"
	}
}

// ofLanguage judges a package of a language by the file that told of it.
func (c *accounts) ofLanguage(p *inventory.Package, v *Verdict) {
	v.State, v.Why = Needed, "its files stay"
	if dir := packageOf(p.Path); dir != "" && path.Base(p.Path) == "package.json" {
		s := at(c.modules, dir)
		v.Kept, v.Removed = s.kept, s.removed
	}
	if c.kept[p.Path] == nil {
		v.State, v.Why = Unneeded, "nothing that runs requires it"
		if p.Owner != "" {
			v.Why = "it belongs to the package " + p.Owner
		}
	}
}

// item lists a package that goes, or the part of one.
func (c *accounts) item(v *Verdict, ids []string) {
	it := Item{Kind: "package", Name: v.Name, Version: v.Version, Bytes: v.Removed, Vulnerabilities: len(ids), IDs: slices.Sorted(slices.Values(ids)), Why: v.Why, Confidence: c.confidence()}
	switch {
	case v.Type.OS():
		s := at(c.packages, v.Name)
		it.Files, it.Classes = s.removedFiles, slices.Sorted(maps.Keys(s.classes))
		if v.State == Partly {
			it.Kind, it.Vulnerabilities, it.IDs = "part", 0, nil
		}
	default:
		it.Kind = "module"
		if dir := packageOf(v.Path); dir != "" {
			it.Files = at(c.modules, dir).removedFiles
		}
		if it.Files == 0 && len(ids) == 0 {
			return
		}
	}
	for i := range c.in.Packages {
		if p := &c.in.Packages[i]; p.Type == v.Type && p.Name == v.Name {
			it.Layer = p.Layer
			break
		}
	}
	c.plan.Items = append(c.plan.Items, it)
}

func (c *accounts) confidence() Confidence {
	if c.in.Profile != nil {
		return Observed // what was used stays, see observed
	}
	return Static
}

// items adds what is no package, and ranks.
func (c *accounts) items() {
	for _, it := range c.leftovers {
		it.Confidence = c.confidence()
		c.plan.Items = append(c.plan.Items, *it)
	}
	for dir, s := range c.rest {
		why := "no package brought it, and nothing leads to it"
		if database(dir) {
			why = "what the package manager remembers"
		}
		c.plan.Items = append(c.plan.Items, Item{Kind: "leftover", Name: "/" + dir, Files: s.removedFiles, Bytes: s.removed, Why: why, Confidence: c.confidence()})
	}
	slices.SortFunc(c.plan.Items, func(x, y Item) int {
		return cmp.Or(cmp.Compare(y.Bytes, x.Bytes), cmp.Compare(y.Vulnerabilities, x.Vulnerabilities), strings.Compare(x.Name, y.Name))
	})
	slices.SortFunc(c.plan.Tools, func(x, y Tool) int { return strings.Compare(x.Path, y.Path) })
	slices.SortFunc(c.plan.Packages, func(x, y Verdict) int {
		return cmp.Or(strings.Compare(string(x.Type), string(y.Type)), strings.Compare(x.Name, y.Name), strings.Compare(x.Path, y.Path))
	})
}

// waste sums up what layers hold and others hide.
func (a *analysis) waste() []Waste {
	type sum struct {
		Waste

		by      map[int]int64
		largest int64
	}
	layers := map[int]*sum{}
	for h := range a.tree.Hidden() {
		s := layers[h.Layer]
		if s == nil {
			s = &sum{by: map[int]int64{}, largest: -1}
			s.Layer = h.Layer
			if h.Layer < len(a.in.Layers) {
				s.CreatedBy = a.in.Layers[h.Layer].CreatedBy
			}
			layers[h.Layer] = s
		}
		s.Bytes += h.Size
		s.Files++
		s.by[h.By] += h.Size
		if h.Size > s.largest {
			s.largest, s.Largest = h.Size, h.Path
		}
	}
	var out []Waste
	for _, s := range layers {
		best := int64(-1)
		for _, by := range slices.Sorted(maps.Keys(s.by)) {
			if s.by[by] > best {
				best, s.By = s.by[by], by
			}
		}
		out = append(out, s.Waste)
	}
	slices.SortFunc(out, func(x, y Waste) int { return cmp.Or(cmp.Compare(y.Bytes, x.Bytes), x.Layer-y.Layer) })
	return out
}
