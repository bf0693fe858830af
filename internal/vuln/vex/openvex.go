package vex

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// openVEX is a document of OpenVEX 0.0.1 to 0.2. Its version is not read: the
// specification wants a number and its own examples write a string.
type openVEX struct {
	ID         string             `json:"@id"`
	Author     string             `json:"author"`
	Timestamp  string             `json:"timestamp"`
	Updated    string             `json:"last_updated"`
	Statements []openVEXStatement `json:"statements"`
}

type openVEXStatement struct {
	Vulnerability openVEXVulnerability `json:"vulnerability"`
	Timestamp     string               `json:"timestamp"`
	Updated       string               `json:"last_updated"`
	Products      []openVEXProduct     `json:"products"`
	// Parts stand beside the products in 0.0.1.
	Parts         []openVEXProduct `json:"subcomponents"`
	Status        string           `json:"status"`
	Justification string           `json:"justification"`
	Impact        string           `json:"impact_statement"`
	Action        string           `json:"action_statement"`
	Notes         string           `json:"status_notes"`
}

// openVEXVulnerability is a string in 0.0.1.
type openVEXVulnerability struct {
	ID      string   `json:"@id"`
	Name    string   `json:"name"`
	Aliases []string `json:"aliases"`
}

func (v *openVEXVulnerability) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &v.Name)
	}
	type plain openVEXVulnerability
	return json.Unmarshal(data, (*plain)(v))
}

// openVEXProduct is a string in 0.0.1.
type openVEXProduct struct {
	ID          string            `json:"@id"`
	Identifiers map[string]string `json:"identifiers"`
	Hashes      map[string]string `json:"hashes"`
	Parts       []openVEXProduct  `json:"subcomponents"`
}

func (p *openVEXProduct) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &p.ID)
	}
	type plain openVEXProduct
	return json.Unmarshal(data, (*plain)(p))
}

func parseOpenVEX(data []byte) (Document, error) {
	var in openVEX
	if err := json.Unmarshal(data, &in); err != nil {
		return Document{}, fmt.Errorf("OpenVEX: %w", err)
	}
	d := Document{Format: "OpenVEX", ID: in.ID, Author: in.Author}
	for i := range in.Statements {
		s := &in.Statements[i]
		// The name of a flaw may stand in its IRI alone.
		ids := names(append([]string{s.Vulnerability.Name, last(s.Vulnerability.ID)}, s.Vulnerability.Aliases...)...)
		status := Status(s.Status)
		switch status {
		case NotAffected, Affected, Fixed, UnderInvestigation:
		default:
			d.problem("statement %d: status %q is none of OpenVEX", i+1, s.Status)
			continue
		}
		if len(ids) == 0 || len(s.Products) == 0 {
			d.problem("statement %d: it names no vulnerability or no product", i+1)
			continue
		}
		out := Statement{
			IDs: ids, Status: status, Justification: s.Justification, Text: first(s.Impact, s.Action, s.Notes),
			Time: moment(s.Updated, s.Timestamp, in.Updated, in.Timestamp),
		}
		shared := openProducts(s.Parts)
		for j := range s.Products {
			p := s.Products[j].product()
			p.Parts = append(p.Parts, shared...)
			out.Products = append(out.Products, p)
		}
		d.Statements = append(d.Statements, out)
	}
	return d, nil
}

func openProducts(in []openVEXProduct) []Product {
	var out []Product
	for i := range in {
		out = append(out, in[i].product())
	}
	return out
}

func (p *openVEXProduct) product() Product {
	ids := []string{p.ID}
	for _, kind := range slices.Sorted(maps.Keys(p.Identifiers)) {
		if strings.HasPrefix(kind, "purl") {
			ids = append(ids, p.Identifiers[kind])
		}
	}
	for _, algorithm := range slices.Sorted(maps.Keys(p.Hashes)) {
		if strings.EqualFold(strings.ReplaceAll(algorithm, "-", ""), "sha256") {
			ids = append(ids, "sha256:"+strings.ToLower(p.Hashes[algorithm]))
		}
	}
	return Product{IDs: names(ids...), Parts: openProducts(p.Parts)}
}

// last is the last part of an IRI's path.
func last(iri string) string { return iri[strings.LastIndexAny(iri, "/#:")+1:] }

// first is the first text that says something.
func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// names keeps each name once, and no empty one.
func names(all ...string) []string {
	var kept []string
	seen := map[string]bool{"": true}
	for _, name := range all {
		if !seen[name] {
			seen[name] = true
			kept = append(kept, name)
		}
	}
	return kept
}
