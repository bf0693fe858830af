package sbom

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"seawall.io/seawall/internal/inventory"
)

// rootRef is what the document is of, packageRef begins those of its packages.
const (
	rootRef    = "root"
	packageRef = "package-"
)

func encodeCycloneDX(doc *Document) ([]byte, error) {
	c := contentOf(doc)
	c.digest = "" // unless the format has a place for it
	root := &cdx.Component{BOMRef: rootRef, Type: cdx.ComponentTypeApplication, Name: cmp.Or(c.name, "unknown")}
	c.name = root.Name
	if x, ok := sha256Of(doc.Digest); ok {
		c.digest = doc.Digest
		root.Type = cdx.ComponentTypeContainer
		root.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: x}}
	}
	tool := cdx.Component{Type: cdx.ComponentTypeApplication, Name: cmp.Or(c.tool, "seawall"), Version: c.toolVersion}
	c.tool = tool.Name
	if c.distro != nil {
		c.distro.ID = cmp.Or(c.distro.ID, "unknown")
	}
	c.finish(doc)

	components := make([]cdx.Component, 0, len(c.components)+1)
	if d := c.distro; d != nil {
		components = append(components, cdx.Component{
			BOMRef: "distro", Type: cdx.ComponentTypeOS, Name: d.ID, Version: d.Version, Description: d.Name,
		})
	}
	edges := make([]cdx.Dependency, 0, len(c.components)+1)
	all := make([]string, len(c.components))
	depends := dependencies(doc.Inventory.Packages)
	for i := range c.components {
		all[i] = packageRef + strconv.Itoa(i)
		components = append(components, c.components[i].cycloneDX(all[i]))
		if len(depends[i]) == 0 {
			continue
		}
		on := make([]string, len(depends[i]))
		for k, j := range depends[i] {
			on[k] = packageRef + strconv.Itoa(j)
		}
		edges = append(edges, cdx.Dependency{Ref: all[i], Dependencies: &on})
	}
	edges = append(edges, cdx.Dependency{Ref: rootRef, Dependencies: &all})

	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Timestamp:  c.created,
		Tools:      &cdx.ToolsChoice{Components: &[]cdx.Component{tool}},
		Component:  root,
		Properties: cycloneDXProperties(c.properties),
	}
	bom.Components = &components
	bom.Dependencies = &edges
	data, err := json.Marshal(bom)
	if err != nil {
		return nil, err
	}
	bom.SerialNumber = "urn:uuid:" + identity(data)
	var out bytes.Buffer
	err = cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(bom, cdx.SpecVersion1_6)
	return out.Bytes(), err
}

func (c *component) cycloneDX(ref string) cdx.Component {
	out := cdx.Component{
		BOMRef: ref, Type: cdx.ComponentTypeLibrary, Name: c.name, Version: c.version,
		PackageURL: c.purl, Properties: cycloneDXProperties(c.properties),
	}
	if c.path != "" {
		out.Evidence = &cdx.Evidence{Occurrences: &[]cdx.EvidenceOccurrence{{Location: c.path}}}
	}
	if len(c.licenses) == 1 && isExpression(c.licenses[0]) && !isID(c.licenses[0]) {
		out.Licenses = &cdx.Licenses{{Expression: c.licenses[0]}}
		return out
	}
	var licenses cdx.Licenses
	for _, l := range c.licenses {
		if isID(l) {
			licenses = append(licenses, cdx.LicenseChoice{License: &cdx.License{ID: l}})
		} else {
			licenses = append(licenses, cdx.LicenseChoice{License: &cdx.License{Name: l}})
		}
	}
	if len(licenses) > 0 {
		out.Licenses = &licenses
	}
	return out
}

func cycloneDXProperties(list []property) *[]cdx.Property {
	if len(list) == 0 {
		return nil
	}
	out := make([]cdx.Property, len(list))
	for i, p := range list {
		out[i] = cdx.Property(p)
	}
	return &out
}

// cycloneDXFile is what is read of a document: less than the library has types
// for, so that what other tools write elsewhere cannot fail.
type cycloneDXFile struct {
	Metadata struct {
		Timestamp  string             `json:"timestamp"`
		Tools      json.RawMessage    `json:"tools"` // a list until 1.4, an object since
		Component  cycloneDXComponent `json:"component"`
		Properties []property         `json:"properties"`
	} `json:"metadata"`
	Components []cycloneDXComponent `json:"components"`
}

type cycloneDXComponent struct {
	Type        string `json:"type"`
	Group       string `json:"group"`
	Name        string `json:"name"`
	Version     string `json:"version"`
	Description string `json:"description"`
	PURL        string `json:"purl"`
	Hashes      []struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	} `json:"hashes"`
	Licenses []struct {
		License struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"license"`
		Expression string `json:"expression"`
	} `json:"licenses"`
	Properties []property `json:"properties"`
	Evidence   struct {
		Occurrences []struct {
			Location string `json:"location"`
		} `json:"occurrences"`
	} `json:"evidence"`
	Components []cycloneDXComponent `json:"components"`
}

func decodeCycloneDX(data []byte) (Document, error) {
	var file cycloneDXFile
	if err := json.Unmarshal(data, &file); err != nil {
		return Document{}, fmt.Errorf("reading CycloneDX: %w", err)
	}
	root := file.Metadata.Component
	c := content{name: root.Name, created: file.Metadata.Timestamp, properties: file.Metadata.Properties}
	for _, h := range root.Hashes {
		if h.Algorithm == string(cdx.HashAlgoSHA256) {
			c.digest = "sha256:" + h.Content
		}
	}
	for _, p := range root.Properties {
		switch p.Name {
		case "aquasecurity:trivy:DiffID":
			c.layers = append(c.layers, p.Value)
		case "aquasecurity:trivy:RepoDigest":
			_, c.digest, _ = strings.Cut(p.Value, "@")
		}
	}
	c.tool, c.toolVersion = cycloneDXTool(file.Metadata.Tools)
	c.collect(root.Components)
	c.collect(file.Components)
	doc, err := c.document()
	if err != nil {
		return doc, fmt.Errorf("reading CycloneDX: %w", err)
	}
	return doc, nil
}

// collect takes components and those nested in them, in the order of the file.
func (c *content) collect(list []cycloneDXComponent) {
	for i := range list {
		in := &list[i]
		switch {
		case in.Type == string(cdx.ComponentTypeOS):
			c.found(in.distro())
		case in.PURL != "" || in.Type == string(cdx.ComponentTypeLibrary) || in.Type == string(cdx.ComponentTypeFramework):
			c.components = append(c.components, in.component())
		}
		c.collect(in.Components)
	}
}

func (in *cycloneDXComponent) distro() *inventory.Distro {
	d := &inventory.Distro{ID: in.Name, Version: in.Version, Name: in.Description}
	for _, p := range in.Properties {
		switch {
		case p.Name == "syft:distro:versionCodename":
			d.Codename = p.Value
		case strings.HasPrefix(p.Name, "syft:distro:idLike:"):
			d.Like = append(d.Like, p.Value)
		}
	}
	return d
}

func (in *cycloneDXComponent) component() component {
	c := component{name: in.Name, version: in.Version, purl: in.PURL, properties: in.Properties}
	if in.Group != "" {
		c.name = in.Group + "/" + in.Name
	}
	for _, p := range in.Properties {
		if p.Name == "aquasecurity:trivy:LayerDiffID" {
			c.layer = p.Value
		}
	}
	if o := in.Evidence.Occurrences; len(o) > 0 {
		c.path = strings.TrimPrefix(o[0].Location, "/")
	}
	for _, l := range in.Licenses {
		if text := cmp.Or(l.Expression, l.License.ID, l.License.Name); text != "" {
			c.licenses = append(c.licenses, text)
		}
	}
	return c
}

// cycloneDXTool is the first tool that a document names.
func cycloneDXTool(data json.RawMessage) (name, version string) {
	type tool struct{ Name, Version string }
	var list []tool
	if json.Unmarshal(data, &list) != nil {
		var object struct{ Components []tool }
		if json.Unmarshal(data, &object) != nil {
			return "", ""
		}
		list = object.Components
	}
	if len(list) == 0 {
		return "", ""
	}
	return list[0].Name, list[0].Version
}
