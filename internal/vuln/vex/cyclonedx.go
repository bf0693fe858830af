package vex

import (
	"encoding/json"
	"fmt"
	"strings"
)

// cycloneDX is what is read of a CycloneDX document, 1.4 and later.
type cycloneDX struct {
	Serial   string `json:"serialNumber"`
	Metadata struct {
		Timestamp string          `json:"timestamp"`
		Component *cycloneDXPart  `json:"component"`
		Authors   []cycloneDXName `json:"authors"`
		Supplier  *cycloneDXName  `json:"supplier"`
	} `json:"metadata"`
	Components      []cycloneDXPart `json:"components"`
	Vulnerabilities []struct {
		ID         string `json:"id"`
		References []struct {
			ID string `json:"id"`
		} `json:"references"`
		Published string             `json:"published"`
		Updated   string             `json:"updated"`
		Analysis  *cycloneDXAnalysis `json:"analysis"`
		Affects   []struct {
			Ref string `json:"ref"`
		} `json:"affects"`
	} `json:"vulnerabilities"`
}

type cycloneDXName struct {
	Name string `json:"name"`
}

type cycloneDXPart struct {
	Ref        string          `json:"bom-ref"`
	PURL       string          `json:"purl"`
	Components []cycloneDXPart `json:"components"`
	Hashes     []struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	} `json:"hashes"`
}

type cycloneDXAnalysis struct {
	State         string   `json:"state"`
	Justification string   `json:"justification"`
	Response      []string `json:"response"`
	Detail        string   `json:"detail"`
	FirstIssued   string   `json:"firstIssued"`
	LastUpdated   string   `json:"lastUpdated"`
}

func parseCycloneDX(data []byte) (Document, error) {
	var in cycloneDX
	if err := json.Unmarshal(data, &in); err != nil {
		return Document{}, fmt.Errorf("CycloneDX: %w", err)
	}
	d := Document{Format: "CycloneDX", ID: in.Serial}
	if in.Metadata.Supplier != nil {
		d.Author = in.Metadata.Supplier.Name
	} else if len(in.Metadata.Authors) > 0 {
		d.Author = in.Metadata.Authors[0].Name
	}
	products := in.products()
	for i := range in.Vulnerabilities {
		v := &in.Vulnerabilities[i]
		if v.Analysis == nil || v.Analysis.State == "" {
			continue // a list of findings without a word on them is no VEX
		}
		status, ok := cycloneDXStates[v.Analysis.State]
		if !ok || v.ID == "" {
			d.problem("vulnerability %d (%s): state %q is none of CycloneDX", i+1, v.ID, v.Analysis.State)
			continue
		}
		ids := []string{v.ID}
		for _, r := range v.References {
			ids = append(ids, r.ID)
		}
		s := Statement{
			IDs: names(ids...), Status: status, Justification: v.Analysis.Justification,
			Text: first(v.Analysis.Detail, strings.Join(v.Analysis.Response, ", ")),
			Time: moment(v.Analysis.LastUpdated, v.Analysis.FirstIssued, v.Updated, v.Published, in.Metadata.Timestamp),
		}
		if v.Analysis.State == "false_positive" && s.Justification == "" {
			s.Justification = "false_positive"
		}
		for _, a := range v.Affects {
			if p, ok := product(products, a.Ref); ok {
				s.Products = append(s.Products, p)
			} else {
				d.problem("%s: component %q is not in the document and is no package URL", v.ID, a.Ref)
			}
		}
		if len(s.Products) > 0 {
			d.Statements = append(d.Statements, s)
		}
	}
	return d, nil
}

var cycloneDXStates = map[string]Status{ //nolint:gochecknoglobals // a constant table
	"not_affected": NotAffected, "false_positive": NotAffected,
	"resolved": Fixed, "resolved_with_pedigree": Fixed,
	"exploitable": Affected, "in_triage": UnderInvestigation,
}

// products are the components of the document by their reference. Where the
// document is about a product that can be told (an image), its components are
// parts of that and of no other.
func (c *cycloneDX) products() map[string]Product {
	known := map[string]Product{}
	whole := Product{}
	if root := c.Metadata.Component; root != nil {
		whole.IDs = root.identifiers()
		if root.Ref != "" && len(whole.IDs) > 0 {
			known[root.Ref] = whole
		}
	}
	var walk func(parts []cycloneDXPart)
	walk = func(parts []cycloneDXPart) {
		for i := range parts {
			p := Product{IDs: parts[i].identifiers()}
			if parts[i].Ref != "" && len(p.IDs) > 0 {
				if len(whole.IDs) > 0 {
					p = Product{IDs: whole.IDs, Parts: []Product{p}}
				}
				known[parts[i].Ref] = p
			}
			walk(parts[i].Components)
		}
	}
	walk(c.Components)
	return known
}

func (p *cycloneDXPart) identifiers() []string {
	ids := []string{p.PURL}
	for _, h := range p.Hashes {
		if h.Algorithm == "SHA-256" {
			ids = append(ids, "sha256:"+strings.ToLower(h.Content))
		}
	}
	return names(ids...)
}

// product finds what a reference means: a component of the document, one of
// another document (urn:cdx:serial/version#ref), or a package URL.
func product(known map[string]Product, ref string) (Product, bool) {
	if p, ok := known[ref]; ok {
		return p, true
	}
	if strings.HasPrefix(ref, "urn:cdx:") {
		_, ref, _ = strings.Cut(ref, "#")
		if p, ok := known[ref]; ok {
			return p, true
		}
	}
	if strings.HasPrefix(ref, "pkg:") {
		return Product{IDs: []string{ref}}, true
	}
	return Product{}, false
}
