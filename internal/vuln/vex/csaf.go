package vex

import (
	"encoding/json"
	"fmt"
	"strings"
)

// csaf is what is read of a CSAF 2.0 document.
type csaf struct {
	Document struct {
		Publisher struct {
			Name string `json:"name"`
		} `json:"publisher"`
		Tracking struct {
			ID      string `json:"id"`
			Current string `json:"current_release_date"`
			Initial string `json:"initial_release_date"`
		} `json:"tracking"`
	} `json:"document"`
	Tree struct {
		Branches      []csafBranch  `json:"branches"`
		Products      []csafProduct `json:"full_product_names"`
		Relationships []struct {
			Product  csafProduct `json:"full_product_name"`
			Part     string      `json:"product_reference"`
			Whole    string      `json:"relates_to_product_reference"`
			Category string      `json:"category"`
		} `json:"relationships"`
		Groups []struct {
			ID       string   `json:"group_id"`
			Products []string `json:"product_ids"`
		} `json:"product_groups"`
	} `json:"product_tree"`
	Vulnerabilities []csafVulnerability `json:"vulnerabilities"`
}

type csafBranch struct {
	Branches []csafBranch `json:"branches"`
	Product  *csafProduct `json:"product"`
}

type csafProduct struct {
	ID     string `json:"product_id"`
	Helper struct {
		PURL   string   `json:"purl"`
		PURLs  []string `json:"purls"`
		Hashes []struct {
			Files []struct {
				Algorithm string `json:"algorithm"`
				Value     string `json:"value"`
			} `json:"file_hashes"`
		} `json:"hashes"`
	} `json:"product_identification_helper"`
}

type csafVulnerability struct {
	CVE string `json:"cve"`
	IDs []struct {
		Text string `json:"text"`
	} `json:"ids"`
	Status map[string][]string `json:"product_status"`
	Flags  []csafNote          `json:"flags"`
	// Threats of category impact say why a product is not affected; remediations
	// what to do.
	Threats      []csafNote `json:"threats"`
	Remediations []csafNote `json:"remediations"`
}

type csafNote struct {
	Label    string   `json:"label"`
	Category string   `json:"category"`
	Details  string   `json:"details"`
	Products []string `json:"product_ids"`
	Groups   []string `json:"group_ids"`
}

// csafStatuses are read in this order: a product under two statuses, which CSAF
// forbids, keeps the graver one as the later statement. The status recommended
// says nothing of the flaw.
var csafStatuses = []struct { //nolint:gochecknoglobals // a constant table
	key    string
	status Status
}{
	{"known_not_affected", NotAffected},
	{"fixed", Fixed},
	{"first_fixed", Fixed},
	{"under_investigation", UnderInvestigation},
	{"known_affected", Affected},
	{"first_affected", Affected},
	{"last_affected", Affected},
}

func parseCSAF(data []byte) (Document, error) {
	var in csaf
	if err := json.Unmarshal(data, &in); err != nil {
		return Document{}, fmt.Errorf("CSAF: %w", err)
	}
	tracking := in.Document.Tracking
	d := Document{Format: "CSAF", ID: tracking.ID, Author: in.Document.Publisher.Name}
	products := in.products()
	groups := map[string][]string{}
	for _, g := range in.Tree.Groups {
		groups[g.ID] = g.Products
	}
	for i := range in.Vulnerabilities {
		v := &in.Vulnerabilities[i]
		ids := []string{v.CVE}
		for _, id := range v.IDs {
			ids = append(ids, id.Text)
		}
		if ids = names(ids...); len(ids) == 0 {
			d.problem("vulnerability %d has no name", i+1)
			continue
		}
		labels, texts := v.notes(groups)
		for _, kind := range csafStatuses {
			// Products with the same words become one statement, so that it names all
			// binaries of a source package.
			alike := map[[2]string]int{}
			for _, id := range v.Status[kind.key] {
				product, known := products[id]
				if !known {
					d.problem("%s: product %q has no package URL or hash in the product tree", ids[0], id)
					continue
				}
				words := [2]string{labels[id], texts[id]}
				at, begun := alike[words]
				if !begun {
					at = len(d.Statements)
					alike[words] = at
					d.Statements = append(d.Statements, Statement{
						IDs: ids, Status: kind.status, Justification: words[0], Text: words[1],
						Time: moment(tracking.Current, tracking.Initial),
					})
				}
				d.Statements[at].Products = append(d.Statements[at].Products, product)
			}
		}
	}
	return d, nil
}

// products are those of the tree that can be told, by their ID in the document.
// A product within another, in a relationship, is a part of that where that has
// a package URL of its own (an image); else it is told by its own alone, as
// vendors of distributions name packages within a platform.
func (c *csaf) products() map[string]Product {
	known := map[string]Product{}
	add := func(p *csafProduct) {
		if ids := p.identifiers(); len(ids) > 0 {
			known[p.ID] = Product{IDs: ids}
		}
	}
	var walk func(branches []csafBranch)
	walk = func(branches []csafBranch) {
		for i := range branches {
			if p := branches[i].Product; p != nil {
				add(p)
			}
			walk(branches[i].Branches)
		}
	}
	walk(c.Tree.Branches)
	for i := range c.Tree.Products {
		add(&c.Tree.Products[i])
	}
	for i := range c.Tree.Relationships {
		r := &c.Tree.Relationships[i]
		add(&r.Product)
		if _, done := known[r.Product.ID]; done {
			continue
		}
		part, ok := known[r.Part]
		if !ok {
			continue
		}
		if whole, ok := known[r.Whole]; ok && len(whole.Parts) == 0 {
			part = Product{IDs: whole.IDs, Parts: []Product{part}}
		}
		known[r.Product.ID] = part
	}
	return known
}

func (p *csafProduct) identifiers() []string {
	ids := append([]string{p.Helper.PURL}, p.Helper.PURLs...)
	for _, h := range p.Helper.Hashes {
		for _, f := range h.Files {
			if strings.EqualFold(f.Algorithm, "sha256") {
				ids = append(ids, "sha256:"+strings.ToLower(f.Value))
			}
		}
	}
	return names(ids...)
}

// notes are the justifications and texts on products, by their ID.
func (v *csafVulnerability) notes(groups map[string][]string) (labels, texts map[string]string) {
	labels, texts = map[string]string{}, map[string]string{}
	each := func(n *csafNote, set func(product string)) {
		for _, id := range n.Products {
			set(id)
		}
		for _, g := range n.Groups {
			for _, id := range groups[g] {
				set(id)
			}
		}
	}
	for i := range v.Flags {
		each(&v.Flags[i], func(id string) { labels[id] = v.Flags[i].Label })
	}
	for i := range v.Remediations {
		each(&v.Remediations[i], func(id string) { texts[id] = v.Remediations[i].Details })
	}
	for i := range v.Threats {
		if v.Threats[i].Category == "impact" {
			each(&v.Threats[i], func(id string) { texts[id] = v.Threats[i].Details })
		}
	}
	return labels, texts
}
