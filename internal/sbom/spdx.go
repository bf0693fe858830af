package sbom

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"

	"seawall.io/seawall/internal/inventory"
)

const (
	noAssertion = "NOASSERTION"
	rootID      = "Root"
	// The schema has an underscore in its word for operating systems, the
	// specification's prose and trivy a hyphen.
	purposeOS      = "OPERATING_SYSTEM"
	purposeOSProse = "OPERATING-SYSTEM"
	packageID      = "Package-"
	// annotated begins the comments of annotations that hold our properties.
	annotated = prefix + "properties "
)

var errNoTime = errors.New("SPDX asks for the time of creation")

func encodeSPDX(doc *Document) ([]byte, error) {
	if doc.Created.IsZero() {
		return nil, errNoTime
	}
	c := contentOf(doc)
	c.name = cmp.Or(c.name, "unknown")
	c.digest = "" // unless the format has a place for it
	root := &spdx.Package{
		PackageName: c.name, PackageSPDXIdentifier: rootID, PrimaryPackagePurpose: "APPLICATION",
		PackageDownloadLocation: noAssertion, PackageCopyrightText: noAssertion,
		PackageLicenseConcluded: noAssertion, PackageLicenseDeclared: noAssertion,
	}
	if x, ok := sha256Of(doc.Digest); ok {
		c.digest = doc.Digest
		root.PrimaryPackagePurpose = "CONTAINER"
		root.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: x}}
	}
	// The name of a tool and its version are one word in SPDX.
	creator := cmp.Or(c.tool, "seawall")
	if c.toolVersion != "" {
		creator += "-" + c.toolVersion
	}
	c.tool, c.toolVersion = spdxTool([]string{"Tool: " + creator})
	if c.distro != nil {
		c.distro.ID = cmp.Or(c.distro.ID, "unknown")
	}
	licenses := licenseRefs{}
	for i := range c.components {
		c.components[i].sourceInfo = sourceWords(&doc.Inventory.Packages[i])
		// A reader sees one expression, whatever it was made of.
		if text := licenses.expression(c.components[i].licenses); text != noAssertion {
			c.components[i].licenses = []string{text}
		}
	}
	c.finish(doc)

	annotate := func(list []property) []*spdx.Annotation {
		if len(list) == 0 {
			return nil
		}
		text, err := json.Marshal(list)
		if err != nil {
			panic(err) // strings can always be written
		}
		return []*spdx.Annotation{{
			Annotator:      common.Annotator{AnnotatorType: "Tool", Annotator: creator},
			AnnotationDate: c.created, AnnotationType: "OTHER", AnnotationComment: annotated + string(text),
		}}
	}
	out := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT", DocumentName: c.name,
		CreationInfo: &spdx.CreationInfo{Created: c.created, Creators: []common.Creator{{CreatorType: "Tool", Creator: creator}}},
		Annotations:  annotate(c.properties),
		Packages:     []*spdx.Package{root},
	}
	out.Relationships = append(out.Relationships, relate("DOCUMENT", common.TypeRelationshipDescribe, rootID))
	if d := c.distro; d != nil {
		out.Packages = append(out.Packages, &spdx.Package{
			PackageName: d.ID, PackageVersion: d.Version, PackageDescription: d.Name, PackageSPDXIdentifier: "Distro",
			PrimaryPackagePurpose: purposeOS, PackageDownloadLocation: noAssertion,
			PackageCopyrightText: noAssertion, PackageLicenseConcluded: noAssertion, PackageLicenseDeclared: noAssertion,
		})
		out.Relationships = append(out.Relationships, relate(rootID, common.TypeRelationshipContains, "Distro"))
	}
	depends := dependencies(doc.Inventory.Packages)
	for i := range c.components {
		id := packageID + strconv.Itoa(i)
		p := c.components[i].spdx()
		p.PackageSPDXIdentifier = common.ElementID(id)
		for _, a := range annotate(c.components[i].properties) {
			p.Annotations = append(p.Annotations, *a)
		}
		out.Packages = append(out.Packages, p)
		out.Relationships = append(out.Relationships, relate(rootID, common.TypeRelationshipContains, id))
		for _, j := range depends[i] {
			out.Relationships = append(out.Relationships, relate(id, common.TypeRelationshipDependsOn, packageID+strconv.Itoa(j)))
		}
	}
	out.OtherLicenses = licenses.list()
	data, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	out.DocumentNamespace = "https://seawall.io/spdx/" + identity(data)
	var text bytes.Buffer
	err = spdxjson.Write(out, &text, spdxjson.Indent("  "), spdxjson.EscapeHTML(false))
	return text.Bytes(), err
}

func relate(from, how, to string) *spdx.Relationship {
	return &spdx.Relationship{
		RefA: common.DocElementID{ElementRefID: common.ElementID(from)}, Relationship: how,
		RefB: common.DocElementID{ElementRefID: common.ElementID(to)},
	}
}

func (c *component) spdx() *spdx.Package {
	declared := noAssertion
	if len(c.licenses) > 0 {
		declared = c.licenses[0]
	}
	p := &spdx.Package{
		PackageName: c.name, PackageVersion: c.version, PackageFileName: c.path, PackageSourceInfo: c.sourceInfo,
		PackageDownloadLocation: noAssertion, PackageCopyrightText: noAssertion,
		PackageLicenseConcluded: noAssertion, PackageLicenseDeclared: declared,
		PrimaryPackagePurpose: "LIBRARY",
	}
	if c.purl != "" {
		p.PackageExternalReferences = []*spdx.PackageExternalReference{{
			Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: c.purl,
		}}
	}
	return p
}

// licenseRefs numbers the licences that SPDX has no identifiers for.
type licenseRefs map[string]int

// expression joins licences by AND. What it makes is for other tools: we read
// the list of our properties.
func (r licenseRefs) expression(list []string) string {
	if len(list) == 0 {
		return noAssertion
	}
	terms := make([]string, len(list))
	for i, l := range list {
		switch {
		case isID(l):
			terms[i] = l
		case isExpression(l):
			terms[i] = l
			if len(list) > 1 {
				terms[i] = "(" + l + ")"
			}
		default:
			if _, ok := r[l]; !ok {
				r[l] = len(r) + 1
			}
			terms[i] = licenseRef(r[l])
		}
	}
	return strings.Join(terms, " AND ")
}

func licenseRef(n int) string { return "LicenseRef-" + strconv.Itoa(n) }

func (r licenseRefs) list() []*spdx.OtherLicense {
	out := make([]*spdx.OtherLicense, len(r))
	for text, n := range r {
		out[n-1] = &spdx.OtherLicense{LicenseIdentifier: licenseRef(n), LicenseName: text, ExtractedText: text}
	}
	return out
}

// spdxFile is what is read of a document: less than the library has types for,
// which refuses a whole document for a supplier without a colon.
type spdxFile struct {
	Name         string `json:"name"`
	CreationInfo struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	} `json:"creationInfo"`
	Packages      []spdxPackage    `json:"packages"`
	Annotations   []spdxAnnotation `json:"annotations"`
	Describes     []string         `json:"documentDescribes"`
	Relationships []struct {
		From string `json:"spdxElementId"`
		How  string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	} `json:"relationships"`
}

type spdxPackage struct {
	ID          string `json:"SPDXID"`
	Name        string `json:"name"`
	Version     string `json:"versionInfo"`
	Description string `json:"description"`
	FileName    string `json:"packageFileName"`
	SourceInfo  string `json:"sourceInfo"`
	Declared    string `json:"licenseDeclared"`
	Purpose     string `json:"primaryPackagePurpose"`
	Checksums   []struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	} `json:"checksums"`
	References []struct {
		Type    string `json:"referenceType"`
		Locator string `json:"referenceLocator"`
	} `json:"externalRefs"`
	Annotations []spdxAnnotation `json:"annotations"`
}

type spdxAnnotation struct {
	Comment string `json:"comment"`
}

func decodeSPDX(data []byte) (Document, error) {
	var file spdxFile
	if err := json.Unmarshal(data, &file); err != nil {
		return Document{}, fmt.Errorf("reading SPDX: %w", err)
	}
	c := content{name: file.Name, created: file.CreationInfo.Created}
	c.tool, c.toolVersion = spdxTool(file.CreationInfo.Creators)
	var err error
	if c.properties, err = annotations(file.Annotations); err != nil {
		return Document{}, fmt.Errorf("reading SPDX: %w", err)
	}
	described := map[string]bool{}
	for _, id := range file.Describes {
		described[id] = true
	}
	for _, r := range file.Relationships {
		if r.From == "SPDXRef-DOCUMENT" && r.How == common.TypeRelationshipDescribe {
			described[r.To] = true
		}
	}
	for i := range file.Packages {
		p := &file.Packages[i]
		in := component{name: p.Name, version: p.Version, path: strings.TrimPrefix(p.FileName, "/"), sourceInfo: p.SourceInfo}
		for _, r := range p.References {
			if r.Type == common.TypePackageManagerPURL {
				in.purl = cmp.Or(in.purl, r.Locator)
			}
		}
		switch {
		case p.Purpose == purposeOS, p.Purpose == purposeOSProse:
			c.found(&inventory.Distro{ID: p.Name, Version: p.Version, Name: p.Description})
			continue
		case described[p.ID] && (in.purl == "" || strings.HasPrefix(in.purl, "pkg:oci/")):
			for _, sum := range p.Checksums {
				if sum.Algorithm == string(common.SHA256) && p.Purpose == "CONTAINER" {
					c.digest = "sha256:" + sum.Value
				}
			}
			continue // what the document is of
		case in.purl == "" && p.Purpose != "LIBRARY" && p.Purpose != "" && p.Purpose != "FRAMEWORK":
			continue // files, sources and applications that hold packages
		}
		if p.Declared != "" && p.Declared != noAssertion && p.Declared != "NONE" {
			in.licenses = []string{p.Declared}
		}
		if in.properties, err = annotations(p.Annotations); err != nil {
			return Document{}, fmt.Errorf("reading SPDX: package %.80q: %w", p.Name, err)
		}
		c.components = append(c.components, in)
	}
	doc, err := c.document()
	if err != nil {
		return doc, fmt.Errorf("reading SPDX: %w", err)
	}
	return doc, nil
}

// annotations gives the properties in annotations of ours.
func annotations(list []spdxAnnotation) ([]property, error) {
	var out []property
	for _, a := range list {
		text, ok := strings.CutPrefix(a.Comment, annotated)
		if !ok {
			continue
		}
		var more []property
		if err := json.Unmarshal([]byte(text), &more); err != nil {
			return nil, fmt.Errorf("annotation: %w", err)
		}
		out = append(out, more...)
	}
	return out, nil
}

// spdxTool is the first tool among the creators, its version cut off.
func spdxTool(creators []string) (name, version string) {
	for _, c := range creators {
		tool, ok := strings.CutPrefix(c, "Tool:")
		if !ok {
			continue
		}
		tool = strings.TrimSpace(tool)
		if at := strings.LastIndexByte(tool, '-'); at > 0 {
			return tool[:at], tool[at+1:]
		}
		return tool, ""
	}
	return "", ""
}
