package kustomize

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/resource"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// parsedFile is a file of the user with positions.
type parsedFile struct {
	path string // absolute
	docs []document.Doc
}

// node returns the first document that holds something.
func (f *parsedFile) node() *document.Node {
	if f == nil {
		return nil
	}
	for _, d := range f.docs {
		if !d.Root.IsNull() {
			return d.Root
		}
	}
	return nil
}

// lineOf returns the line on which a string stands as a value, 0 for none.
func (f *parsedFile) lineOf(entry string) int {
	var line int32
	var walk func(n *document.Node)
	walk = func(n *document.Node) {
		if n == nil || line != 0 {
			return
		}
		if n.Kind() == document.String && strings.HasPrefix(strings.TrimSpace(n.Str()), entry) {
			line = n.Pos.Line
		}
		for _, f := range n.Map() {
			walk(f.Value)
		}
		for _, item := range n.List() {
			walk(item)
		}
	}
	for _, d := range f.docs {
		walk(d.Root)
	}
	return int(line)
}

// parse reads a file once. It returns nil for one that cannot be read.
func (b *build) parse(abs string) *parsedFile {
	b.filesMu.Lock()
	defer b.filesMu.Unlock()
	if f, ok := b.files[abs]; ok {
		return f
	}
	var f *parsedFile
	if info, err := os.Stat(abs); err == nil && info.Mode().IsRegular() && info.Size() <= b.opts.Bytes {
		if text, err := os.ReadFile(abs); err == nil {
			f = &parsedFile{path: abs, docs: document.Parse(text, document.Limits{})}
		}
	}
	b.files[abs] = f
	return f
}

// change is a step of the build that changed an object.
type change struct {
	file string // the kustomization that asks for it, absolute
	kind string // the transformer
}

// placer finds the places that decide the fields of one object.
type placer struct {
	build   *build
	object  *cluster.Object
	origin  *resource.Origin
	changes []change // the last one first

	once   sync.Once
	source *parsedFile
	root   *document.Node // the object as it stands in source
}

// file returns the file that the object as a whole comes from.
func (p *placer) file() string {
	switch {
	case p.origin == nil:
	case p.origin.Path != "":
		return p.build.name(p.build.abs(p.origin.Path))
	case p.origin.ConfiguredIn != "":
		return p.build.name(p.build.abs(p.origin.ConfiguredIn))
	}
	return p.build.name(kustomizationFile(p.build.root))
}

func (p *placer) prepare() {
	if p.origin == nil || p.origin.Path == "" {
		return
	}
	p.source = p.build.parse(p.build.abs(p.origin.Path))
	p.root = findObject(p.source, p.object)
}

// place is the object's Place.
func (p *placer) place(field string, _ document.Pos) seawall.Location {
	p.once.Do(p.prepare)
	loc := p.find(steps(field))
	loc.Path = field
	return loc
}

func (p *placer) find(path []pathStep) seawall.Location {
	want := walk(p.object.Root, path)
	for want == nil && len(path) > 0 { // a missing field is where its parent is
		path = path[:len(path)-1]
		want = walk(p.object.Root, path)
	}
	at := correspond(p.object.Root, p.root, path)
	if p.root != nil && at.depth == len(path) && (!scalar(want) || same(want, at.node)) {
		return p.at(p.source, at.pos)
	}
	for _, c := range p.changes {
		if f, pos, ok := p.changed(c, path, want); ok {
			return p.at(f, pos)
		}
	}
	if p.root != nil && at.depth < len(path) {
		// Set by a patch, and changed again since: a name that got a prefix.
		for _, c := range p.changes {
			if f := p.build.parse(c.file); f != nil && strings.HasPrefix(c.kind, "Patch") {
				if pf, pos, ok := p.patched(f, f.node(), path, nil); ok {
					return p.at(pf, pos)
				}
			}
		}
	}
	if p.root != nil {
		return p.at(p.source, at.pos)
	}
	return p.generated()
}

func (p *placer) at(f *parsedFile, pos document.Pos) seawall.Location {
	return seawall.Location{File: p.build.name(f.path), Line: int(pos.Line), Column: int(pos.Column)}
}

// generated returns the place of the generator that made the object.
func (p *placer) generated() seawall.Location {
	loc := seawall.Location{File: p.file()}
	if p.origin == nil || p.origin.ConfiguredIn == "" {
		return loc
	}
	f := p.build.parse(p.build.abs(p.origin.ConfiguredIn))
	if f == nil {
		return loc
	}
	k := f.node()
	loc.Line = 1
	best := 0
	for _, field := range []string{"configMapGenerator", "secretGenerator"} {
		if strings.EqualFold(strings.TrimSuffix(field, "Generator"), p.object.Kind) {
			for _, item := range k.Get(field).List() {
				if name := item.Get("name"); strings.Contains(p.object.Name, name.Str()) && len(name.Str()) > best {
					best = len(name.Str())
					loc.Line, loc.Column = int(item.Pos.Line), int(item.Pos.Column)
				}
			}
		}
	}
	return loc
}

// changed looks for the place at which one step of the build set a field.
func (p *placer) changed(c change, path []pathStep, want *document.Node) (*parsedFile, document.Pos, bool) {
	f := p.build.parse(c.file)
	k := f.node()
	if k == nil {
		return nil, document.Pos{}, false
	}
	none := document.Pos{}
	last := lastKey(path)
	var pos document.Pos
	switch {
	case strings.HasPrefix(c.kind, "Patch"):
		return p.patched(f, k, path, want)
	case c.kind == "ImageTagTransformer" && last == "image":
		pos = imageEntry(k, want.Str())
	case c.kind == "ReplicaCountTransformer" && last == "replicas":
		pos = p.namedEntry(k.Get("replicas"), "count")
	case c.kind == "NamespaceTransformer" && last == "namespace":
		pos = keyPos(k, "namespace")
	case c.kind == "PrefixTransformer" && last == "name" && strings.HasPrefix(want.Str(), k.Get("namePrefix").Str()):
		pos = keyPos(k, "namePrefix")
	case c.kind == "SuffixTransformer" && last == "name" && strings.HasSuffix(want.Str(), k.Get("nameSuffix").Str()):
		pos = keyPos(k, "nameSuffix")
	case c.kind == "LabelTransformer":
		pos = pairPos(k, last, want)
	case c.kind == "AnnotationsTransformer":
		if v := k.Get("commonAnnotations").Get(last); same(v, want) {
			pos = keyPos(k.Get("commonAnnotations"), last)
		}
	case c.kind == "ReplacementTransformer" && scalar(want):
		pos = p.replacement(k, path)
	}
	return f, pos, pos != none
}

func keyPos(n *document.Node, key string) document.Pos {
	for _, f := range n.Map() {
		if f.Key == key {
			return f.Pos
		}
	}
	return document.Pos{}
}

// imageEntry returns the entry of images that made an image what it is.
func imageEntry(k *document.Node, image string) document.Pos {
	for _, field := range []string{"images", "imageTags"} {
		for _, item := range k.Get(field).List() {
			name := item.Get("name").Str()
			if v := item.Get("newName"); v != nil {
				name = v.Str()
			}
			if name == "" || !strings.HasPrefix(image, name) || len(image) > len(name) && !strings.ContainsAny(image[len(name):len(name)+1], ":@") {
				continue
			}
			for _, key := range []string{"digest", "newTag", "newName"} {
				if pos := keyPos(item, key); pos.Line != 0 {
					return pos
				}
			}
		}
	}
	return document.Pos{}
}

// namedEntry returns the place of key in the item whose name is part of the
// object's.
func (p *placer) namedEntry(list *document.Node, key string) document.Pos {
	for _, item := range list.List() {
		if name := item.Get("name").Str(); name != "" && strings.Contains(p.object.Name, name) {
			return keyPos(item, key)
		}
	}
	return document.Pos{}
}

// pairPos returns the place of a label in labels or commonLabels.
func pairPos(k *document.Node, key string, want *document.Node) document.Pos {
	for _, item := range k.Get("labels").List() {
		if v := item.Get("pairs").Get(key); v != nil && same(v, want) {
			return keyPos(item.Get("pairs"), key)
		}
	}
	if v := k.Get("commonLabels").Get(key); v != nil && same(v, want) {
		return keyPos(k.Get("commonLabels"), key)
	}
	return document.Pos{}
}

// replacement returns the replacement whose target has a field path that ends
// in the field's key.
func (p *placer) replacement(k *document.Node, path []pathStep) document.Pos {
	last := lastKey(path)
	for _, item := range k.Get("replacements").List() {
		for _, target := range item.Get("targets").List() {
			if kind := target.At("select", "kind").Str(); kind != "" && kind != p.object.Kind {
				continue
			}
			for _, field := range target.Get("fieldPaths").List() {
				if field.Str() == last || strings.HasSuffix(field.Str(), "."+last) {
					return field.Pos
				}
			}
		}
	}
	return document.Pos{}
}

// patched looks for the patch of a kustomization that set a field to what is
// wanted, or to anything when that is nil. The last patch that does so wins.
func (p *placer) patched(f *parsedFile, k *document.Node, path []pathStep, want *document.Node) (*parsedFile, document.Pos, bool) {
	var entries []*document.Node
	for _, field := range []string{"patchesStrategicMerge", "patches", "patchesJson6902"} {
		entries = append(entries, k.Get(field).List()...)
	}
	for _, e := range slices.Backward(entries) {
		inline, file := e.Get("patch"), e.Get("path").Str()
		if e.Kind() == document.String {
			inline, file = e, ""
			if !strings.ContainsAny(e.Str(), "\n{") {
				inline, file = nil, e.Str()
			}
		}
		if kind := e.At("target", "kind").Str(); kind != "" && kind != p.object.Kind {
			continue
		}
		if inline != nil {
			if _, ok := p.setBy(document.Parse([]byte(inline.Str()), document.Limits{}), path, want); ok {
				return f, inline.Pos, true
			}
			continue
		}
		pf := p.build.parse(filepath.Join(filepath.Dir(f.path), filepath.FromSlash(file)))
		if pf == nil {
			continue
		}
		if pos, ok := p.setBy(pf.docs, path, want); ok {
			return pf, pos, true
		}
	}
	return nil, document.Pos{}, false
}

// setBy says whether the documents of a patch set a field, and where.
func (p *placer) setBy(docs []document.Doc, field []pathStep, want *document.Node) (document.Pos, bool) {
	for _, d := range slices.Backward(docs) {
		if d.Root == nil {
			continue
		}
		if d.Root.Kind() == document.List {
			if pos, ok := operation(d.Root, p.object.Root, field, want); ok {
				return pos, true
			}
			continue
		}
		if kind := d.Root.Get("kind").Str(); kind != "" && kind != p.object.Kind {
			continue
		}
		at := correspond(p.object.Root, d.Root, field)
		if at.depth == len(field) && settles(want, at.node) {
			return at.pos, true
		}
	}
	return document.Pos{}, false
}

// operation returns the last operation of a JSON patch that wrote a field or
// what holds it.
func operation(ops, object *document.Node, field []pathStep, want *document.Node) (document.Pos, bool) {
	for _, op := range slices.Backward(ops.List()) {
		if name := op.Get("op").Str(); name != "add" && name != "replace" && name != "copy" && name != "move" {
			continue
		}
		n, ok := pointerPrefix(op.Get("path").Str(), object, field)
		if !ok {
			continue
		}
		value, pos := op.Get("value"), op.Pos
		for _, s := range field[n:] {
			next, at := s.in(value)
			if next == nil {
				break
			}
			value, pos = next, at
		}
		if value == nil || settles(want, value) {
			return pos, true
		}
	}
	return document.Pos{}, false
}

// settles says whether a value in a patch makes a field what it is. A map or a
// list is only ever made in part.
func settles(want, value *document.Node) bool {
	return want == nil || !scalar(want) || same(want, value)
}

// pointerPrefix says how many steps of a field a JSON pointer covers; ok is
// false when it leads elsewhere.
func pointerPrefix(pointer string, object *document.Node, field []pathStep) (n int, ok bool) {
	parts := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	if len(parts) > len(field) {
		return 0, false
	}
	for i, part := range parts {
		part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		list := walk(object, field[:i])
		if part == "-" && field[i].isIndex && list.Len() == field[i].index+1 {
			continue
		}
		if part != field[i].String() {
			return 0, false
		}
	}
	return len(parts), true
}
