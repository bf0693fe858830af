// Package vex reads and writes VEX: what a vendor or user states on a flaw in a
// product. It reads OpenVEX, the VEX profile of CSAF 2.0 and CycloneDX, applies
// statements to the findings of a scan, and writes OpenVEX and CycloneDX from
// the evidence of one. Statements never remove a finding: they mark it.
//
// It does not check who signed a document.
package vex

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"seawall.io/seawall/internal/inventory/purl"
)

// Limit is the size in bytes beyond which a document is refused.
const Limit = 64 << 20

// Status is OpenVEX's word on a flaw in a product.
type Status string

// The statuses.
const (
	NotAffected        Status = "not_affected"
	Affected           Status = "affected"
	Fixed              Status = "fixed"
	UnderInvestigation Status = "under_investigation"
)

// settles says that the status takes the finding off the list of what to do.
func (s Status) settles() bool { return s == NotAffected || s == Fixed }

// Document is a VEX document of any format.
type Document struct {
	Format     string // OpenVEX, CSAF, CycloneDX
	ID         string
	Author     string
	Statements []Statement
	// Problems name the statements that could not be used, and why.
	Problems []string
}

// Statement is one statement on one flaw in some products.
type Statement struct {
	// IDs are all names of the flaw.
	IDs           []string
	Products      []Product
	Status        Status
	Justification string // the format's own word
	Text          string // why, or what to do, in the author's words
	// Time is when the statement was made or last changed; zero where no time is
	// given.
	Time time.Time
}

// Product is what a statement is about.
type Product struct {
	// IDs are its identifiers, any of which tells it: package URLs, digests
	// (sha256:...), names.
	IDs []string
	// Parts are the components in it that the statement is about; without any the
	// statement is about all of the product.
	Parts []Product

	parsed []purl.PURL // of IDs, where they are package URLs
}

// Parse reads a document; its format is told by its content. The error says
// that the document is none, or not readable at all; single statements that are
// not usable become Problems.
func Parse(data []byte) (Document, error) {
	if len(data) > Limit {
		return Document{}, fmt.Errorf("VEX document of %d bytes: more than %d", len(data), Limit)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	var probe struct {
		Context   json.RawMessage `json:"@context"`
		BOMFormat string          `json:"bomFormat"`
		Document  *struct {
			Category string `json:"category"`
		} `json:"document"`
	}
	if err := json.Unmarshal(data, &probe); err != nil {
		return Document{}, fmt.Errorf("reading VEX document: %w", err)
	}
	var d Document
	var err error
	switch {
	case bytes.Contains(probe.Context, []byte("openvex")):
		d, err = parseOpenVEX(data)
	case probe.BOMFormat == "CycloneDX":
		d, err = parseCycloneDX(data)
	case probe.Document != nil && strings.HasPrefix(strings.ToLower(probe.Document.Category), "csaf_"):
		d, err = parseCSAF(data)
	default:
		return Document{}, errors.New("reading VEX document: it is neither OpenVEX (@context), CSAF (document.category) nor CycloneDX (bomFormat)")
	}
	if err != nil {
		return Document{}, fmt.Errorf("reading VEX document: %w", err)
	}
	for i := range d.Statements {
		prepare(d.Statements[i].Products)
	}
	return d, nil
}

// prepare parses the package URLs of products, once.
func prepare(products []Product) {
	for i := range products {
		p := &products[i]
		for _, id := range p.IDs {
			if u, err := purl.Parse(id); err == nil {
				p.parsed = append(p.parsed, u)
			}
		}
		prepare(p.Parts)
	}
}

// problem notes a statement that cannot be used; their number is bounded.
func (d *Document) problem(format string, args ...any) {
	const most = 100
	switch {
	case len(d.Problems) < most:
		d.Problems = append(d.Problems, fmt.Sprintf(format, args...))
	case len(d.Problems) == most:
		d.Problems = append(d.Problems, "and more")
	}
}

// moment reads a time; one that is malformed counts as none.
func moment(texts ...string) time.Time {
	for _, text := range texts {
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			return t
		}
	}
	return time.Time{}
}
