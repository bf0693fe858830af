package vex

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"seawall.io/seawall/internal/inventory/purl"
	"seawall.io/seawall/internal/vuln"
)

// Origin is what a written document says of itself.
type Origin struct {
	// ID is the document's IRI in OpenVEX, and the serial number
	// (urn:uuid:...) in CycloneDX.
	ID     string
	Author string
	Time   time.Time
	// Product is the package URL of the image or application that was scanned.
	// Without one the statements are on the packages alone.
	Product string
}

// finding is one statement to write.
type finding struct {
	id, purl      string
	aliases       []string
	status        Status
	justification string
	text          string
}

// findings are the statements that the evidence of a result allows: on flaws
// that packages do not have, and those that documents made before. Flaws that
// stand are not spoken of: to say that a product is affected is its vendor's to
// decide.
//
// A package URL names no place. Where one binary lacks the flawed code and
// another with the same module has it, nothing is stated.
func findings(r *vuln.Result) []finding {
	type key struct{ id, purl string }
	standing := map[key]bool{}
	var out []finding
	for i := range r.Matches {
		v := &r.Matches[i].Vulnerability
		f := finding{id: v.ID, purl: v.PURL, aliases: v.Aliases}
		switch {
		case v.VEX != nil:
			f.status, f.justification, f.text = Status(v.VEX.Status), v.VEX.Justification, v.VEX.Statement
		case v.Reach == "package":
			f.status, f.justification = NotAffected, "vulnerable_code_not_in_execute_path"
			f.text = "No flawed function is linked into the binary, only other parts of the package."
		}
		if f.status != NotAffected && f.status != Fixed {
			standing[key{v.ID, v.PURL}] = true
		}
		if f.status != "" {
			out = append(out, f)
		}
	}
	for i := range r.NotAffected {
		x := &r.NotAffected[i]
		f := finding{id: x.Vulnerability.ID, purl: x.Vulnerability.PURL, aliases: x.Vulnerability.Aliases, status: NotAffected, text: sentence(x.Detail)}
		if x.Reason != vuln.ByVendor {
			f.justification = "vulnerable_code_not_present"
		}
		out = append(out, f)
	}
	out = slices.DeleteFunc(out, func(f finding) bool {
		return f.purl == "" || standing[key{f.id, f.purl}] && (f.status == NotAffected || f.status == Fixed)
	})
	slices.SortStableFunc(out, func(a, b finding) int {
		return cmp.Or(strings.Compare(a.id, b.id), strings.Compare(a.purl, b.purl))
	})
	return slices.CompactFunc(out, func(a, b finding) bool { return a.id == b.id && a.purl == b.purl })
}

func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

type writtenProduct struct {
	ID    string           `json:"@id"`
	Parts []writtenProduct `json:"subcomponents,omitempty"`
}

type writtenVulnerability struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases,omitempty"`
}

type writtenStatement struct {
	Vulnerability writtenVulnerability `json:"vulnerability"`
	Products      []writtenProduct     `json:"products"`
	Status        Status               `json:"status"`
	Justification string               `json:"justification,omitempty"`
	Impact        string               `json:"impact_statement,omitempty"`
	Action        string               `json:"action_statement,omitempty"`
}

// OpenVEX writes an OpenVEX 0.2.0 document of what a result proves. The same
// result and origin give the same bytes.
func OpenVEX(r *vuln.Result, o Origin) ([]byte, error) {
	statements := []writtenStatement{}
	for _, f := range findings(r) {
		s := writtenStatement{
			Vulnerability: writtenVulnerability{f.id, f.aliases},
			Products:      []writtenProduct{{ID: f.purl}}, Status: f.status,
		}
		if o.Product != "" {
			s.Products = []writtenProduct{{ID: o.Product, Parts: s.Products}}
		}
		switch f.status {
		case NotAffected:
			// One of the two must be there; words of other formats go into the text.
			s.Impact = f.text
			if slices.Contains(openVEXJustifications, f.justification) {
				s.Justification = f.justification
			} else {
				s.Impact = cmp.Or(f.text, f.justification, "The product is not affected.")
			}
		case Affected:
			s.Action = cmp.Or(f.text, "No action is known.")
		case Fixed, UnderInvestigation:
		}
		statements = append(statements, s)
	}
	return marshal(struct {
		Context    string             `json:"@context"`
		ID         string             `json:"@id"`
		Author     string             `json:"author"`
		Timestamp  string             `json:"timestamp"`
		Version    int                `json:"version"`
		Tooling    string             `json:"tooling"`
		Statements []writtenStatement `json:"statements"`
	}{"https://openvex.dev/ns/v0.2.0", o.ID, o.Author, o.Time.UTC().Format(time.RFC3339), 1, "seawall", statements})
}

var openVEXJustifications = []string{ //nolint:gochecknoglobals // a constant table
	"component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path",
	"vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist",
}

type (
	writtenPart struct {
		Type    string `json:"type"`
		Ref     string `json:"bom-ref"`
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
		PURL    string `json:"purl"`
	}
	writtenAnalysis struct {
		State         string `json:"state"`
		Justification string `json:"justification,omitempty"`
		Detail        string `json:"detail,omitempty"`
	}
	writtenRef struct {
		Ref string `json:"ref"`
	}
	writtenFlaw struct {
		ID       string          `json:"id"`
		Analysis writtenAnalysis `json:"analysis"`
		Affects  []writtenRef    `json:"affects"`
	}
	writtenMetadata struct {
		Timestamp string          `json:"timestamp"`
		Authors   []cycloneDXName `json:"authors,omitempty"`
		Component *writtenPart    `json:"component,omitempty"`
	}
)

// CycloneDX writes a CycloneDX 1.6 document of what a result proves, with the
// packages that it speaks of as components. The same result and origin give
// the same bytes.
func CycloneDX(r *vuln.Result, o Origin) ([]byte, error) {
	parts, flaws := []writtenPart{}, []writtenFlaw{}
	seen := map[string]bool{}
	for _, f := range findings(r) {
		if !seen[f.purl] {
			seen[f.purl] = true
			parts = append(parts, component("library", f.purl))
		}
		flaws = append(flaws, writtenFlaw{ID: f.id, Affects: []writtenRef{{f.purl}}, Analysis: writtenAnalysis{
			State: cycloneDXState[f.status], Justification: cycloneDXJustification(f.justification), Detail: f.text,
		}})
	}
	slices.SortFunc(parts, func(a, b writtenPart) int { return strings.Compare(a.Ref, b.Ref) })
	metadata := writtenMetadata{Timestamp: o.Time.UTC().Format(time.RFC3339)}
	if o.Author != "" {
		metadata.Authors = []cycloneDXName{{o.Author}}
	}
	if o.Product != "" {
		kind := "application"
		if strings.HasPrefix(o.Product, "pkg:oci/") || strings.HasPrefix(o.Product, "pkg:docker/") {
			kind = "container"
		}
		whole := component(kind, o.Product)
		metadata.Component = &whole
	}
	return marshal(struct {
		Format   string          `json:"bomFormat"`
		Spec     string          `json:"specVersion"`
		Serial   string          `json:"serialNumber,omitempty"`
		Version  int             `json:"version"`
		Metadata writtenMetadata `json:"metadata"`
		Parts    []writtenPart   `json:"components"`
		Flaws    []writtenFlaw   `json:"vulnerabilities"`
	}{"CycloneDX", "1.6", o.ID, 1, metadata, parts, flaws})
}

var cycloneDXState = map[Status]string{ //nolint:gochecknoglobals // a constant table
	NotAffected: "not_affected", Fixed: "resolved", Affected: "exploitable", UnderInvestigation: "in_triage",
}

// cycloneDXJustification gives CycloneDX's word, or none where it has none.
func cycloneDXJustification(word string) string {
	switch word {
	case "vulnerable_code_not_present", "component_not_present":
		return "code_not_present"
	case "vulnerable_code_not_in_execute_path":
		return "code_not_reachable"
	case "inline_mitigations_already_exist":
		return "protected_by_mitigating_control"
	case "code_not_present", "code_not_reachable", "requires_configuration", "requires_dependency",
		"requires_environment", "protected_by_compiler", "protected_at_runtime", "protected_at_perimeter",
		"protected_by_mitigating_control":
		return word
	}
	return ""
}

// component names a part by its package URL; the name is what it says.
func component(kind, id string) writtenPart {
	part := writtenPart{Type: kind, Ref: id, Name: id, PURL: id}
	if u, err := purl.Parse(id); err == nil {
		part.Name, part.Version = strings.TrimPrefix(u.Namespace+"/"+u.Name, "/"), u.Version
	}
	return part
}

func marshal(document any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false) // package URLs hold &
	e.SetIndent("", "  ")
	if err := e.Encode(document); err != nil {
		return nil, fmt.Errorf("writing VEX document: %w", err)
	}
	return out.Bytes(), nil
}
