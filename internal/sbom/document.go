package sbom

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"seawall.io/seawall/internal/inventory"
)

// version is the property that every document of ours has.
const (
	version      = prefix + "version"
	firstVersion = "1"
)

// content is what both formats tell of a document, whoever wrote it.
type content struct {
	name, digest      string
	layers            []string
	created           string
	tool, toolVersion string
	distro            *inventory.Distro // as the format's own fields have it
	components        []component
	properties        []property // of the document
	problems          []string
}

// found takes a distribution that a document names. The packages of a second one
// cannot be told from those of the first, which is said.
func (c *content) found(d *inventory.Distro) {
	switch {
	case c.distro == nil:
		c.distro = d
	case c.distro.ID != d.ID || c.distro.Version != d.Version:
		c.problems = append(c.problems, fmt.Sprintf("there is a second distribution, %.80q: all packages are judged as those of the first", d.ID+" "+d.Version))
	}
}

// guess makes a document, without packages, of the format's own fields.
func (c *content) guess() Document {
	d := Document{Name: c.name, Digest: c.digest, Layers: c.layers, Tool: c.tool, ToolVersion: c.toolVersion}
	if t, err := time.Parse(time.RFC3339, c.created); err == nil {
		d.Created = t.UTC()
	}
	return d
}

// contentOf is how a document is shown. Its components have no properties yet.
func contentOf(doc *Document) content {
	c := content{
		name: shown(doc.Name), digest: shown(doc.Digest),
		tool: shown(doc.Tool), toolVersion: shown(doc.ToolVersion),
	}
	if !doc.Created.IsZero() {
		c.created = doc.Created.UTC().Format(time.RFC3339)
	}
	if d := doc.Inventory.Distro; d != nil {
		c.distro = &inventory.Distro{ID: shown(d.ID), Version: shown(d.Version), Name: shown(d.Name)}
	}
	for i := range doc.Inventory.Packages {
		c.components = append(c.components, describe(&doc.Inventory.Packages[i], doc.Inventory.Distro))
	}
	return c
}

// finish adds the properties that make up for what the formats have no fields
// for.
func (c *content) finish(doc *Document) {
	guess := c.guess()
	c.properties = append([]property{{version, firstVersion}}, difference(documentFields, doc, &guess)...)
	if d := doc.Inventory.Distro; d != nil {
		c.properties = append(c.properties, difference(distroFields, d, c.distro)...)
	}
	for i := range c.components {
		c.components[i].properties = propertiesOf(&doc.Inventory.Packages[i], &c.components[i])
	}
}

// document makes a document of what was read.
func (c *content) document() (Document, error) {
	doc := c.guess()
	mine := false
	d := c.distro
	for _, p := range c.properties {
		mine = mine || p.Name == version
		if d != nil {
			if err := apply(distroFields, d, p); err != nil {
				return doc, err
			}
		}
		if err := apply(documentFields, &doc, p); err != nil {
			return doc, err
		}
	}
	doc.Problems = c.problems
	layers := make(map[string]int, len(doc.Layers))
	for i, digest := range doc.Layers {
		layers[digest] = i
	}
	problem := func(at int, err error) {
		name := c.components[at].name
		if v := c.components[at].version; v != "" {
			name += " " + v
		}
		doc.Problems = append(doc.Problems, fmt.Sprintf("component %.120q is left out: %v", name, err))
	}
	for i := range c.components {
		p, from, err := c.components[i].pack()
		if err != nil {
			problem(i, err)
			continue
		}
		if d == nil && !mine {
			d = from
		}
		if at, ok := layers[c.components[i].layer]; ok && !mine {
			p.Layer = at
		}
		doc.Inventory.Packages = append(doc.Inventory.Packages, p)
	}
	doc.Inventory.Distro = d
	return doc, nil
}

// dependencies gives for each package the indexes of the packages that it
// depends on by name, each once, in the order of its list.
func dependencies(packages []inventory.Package) [][]int {
	type key struct {
		kind inventory.Type
		name string
	}
	first := make(map[key]int, len(packages))
	for i := range packages {
		k := key{packages[i].Type, packages[i].Name}
		if _, ok := first[k]; !ok {
			first[k] = i
		}
	}
	out := make([][]int, len(packages))
	for i := range packages {
		seen := map[int]bool{i: true}
		for _, name := range packages[i].Depends {
			if j, ok := first[key{packages[i].Type, name}]; ok && !seen[j] {
				seen[j] = true
				out[i] = append(out[i], j)
			}
		}
	}
	return out
}

// identity is a UUID made of a document's bytes, so that the same document has
// the same one.
func identity(data []byte) string {
	sum := sha256.Sum256(data)
	sum[6] = sum[6]&0x0f | 0x80 // version 8: made as the maker likes
	sum[8] = sum[8]&0x3f | 0x80
	x := hex.EncodeToString(sum[:16])
	return strings.Join([]string{x[:8], x[8:12], x[12:16], x[16:20], x[20:]}, "-")
}

// sha256Of cuts the hexadecimal digits out of a digest with SHA-256.
func sha256Of(digest string) (string, bool) {
	x, ok := strings.CutPrefix(digest, "sha256:")
	if _, err := hex.DecodeString(x); !ok || err != nil || len(x) != 2*sha256.Size || x != strings.ToLower(x) {
		return "", false
	}
	return x, true
}
