package advisory

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/vuln"
)

// A document of CSAF 2.0, an advisory or VEX, as Red Hat writes them
// (https://docs.oasis-open.org/csaf/csaf/v2.0).
type csafDocument struct {
	Document struct {
		Category  string                `json:"category"`
		Title     string                `json:"title"`
		Severity  struct{ Text string } `json:"aggregate_severity"`
		Publisher struct {
			Namespace string `json:"namespace"`
		} `json:"publisher"`
		References []csafReference `json:"references"`
		Tracking   struct {
			ID      string `json:"id"`
			Status  string `json:"status"`
			Initial string `json:"initial_release_date"`
			Current string `json:"current_release_date"`
		} `json:"tracking"`
	} `json:"document"`
	ProductTree struct {
		Branches      []csafBranch       `json:"branches"`
		Relationships []csafRelationship `json:"relationships"`
	} `json:"product_tree"`
	Vulnerabilities []csafVulnerability `json:"vulnerabilities"`
}

type csafReference struct {
	Category string `json:"category"`
	URL      string `json:"url"`
}

type csafBranch struct {
	Branches []csafBranch `json:"branches"`
	Product  *csafProduct `json:"product"`
}

type csafProduct struct {
	ID     string `json:"product_id"`
	Helper struct {
		CPE  string `json:"cpe"`
		PURL string `json:"purl"`
	} `json:"product_identification_helper"`
}

// csafRelationship puts a component into a platform, and calls that a product.
type csafRelationship struct {
	Component string      `json:"product_reference"`
	Platform  string      `json:"relates_to_product_reference"`
	Product   csafProduct `json:"full_product_name"`
}

type csafVulnerability struct {
	CVE   string `json:"cve"`
	Title string `json:"title"`
	CWE   struct {
		ID string `json:"id"`
	} `json:"cwe"`
	Notes []struct {
		Category string `json:"category"`
		Text     string `json:"text"`
	} `json:"notes"`
	Status struct {
		Fixed              []string `json:"fixed"`
		FirstFixed         []string `json:"first_fixed"`
		Affected           []string `json:"known_affected"`
		NotAffected        []string `json:"known_not_affected"`
		UnderInvestigation []string `json:"under_investigation"`
	} `json:"product_status"`
	Remediations []struct {
		Category string   `json:"category"`
		Details  string   `json:"details"`
		Products []string `json:"product_ids"`
	} `json:"remediations"`
	Scores []struct {
		V2 csafScore `json:"cvss_v2"`
		V3 csafScore `json:"cvss_v3"`
		V4 csafScore `json:"cvss_v4"`
	} `json:"scores"`
	Threats []struct {
		Category string `json:"category"`
		Details  string `json:"details"`
	} `json:"threats"`
	References []csafReference `json:"references"`
}

type csafScore struct {
	Vector string `json:"vectorString"`
}

func (b *builder) csaf(f *feed) error {
	return each(f.decoder(), b.csafDocument, func(err error) { b.leaveOut("malformed: "+cut(err.Error(), 200), "") })
}

func (b *builder) csafDocument(d *csafDocument) error {
	id := d.Document.Tracking.ID
	switch {
	case !strings.Contains(d.Document.Publisher.Namespace, "redhat.com"):
		b.leaveOut("CSAF of others than Red Hat is not read", id)
		return nil
	case strings.HasPrefix(strings.ToLower(d.Document.Title), "withdrawn"):
		b.leaveOut("withdrawn", id)
		return nil
	}
	products := csafProducts(d)
	for i := range d.Vulnerabilities {
		v := &d.Vulnerabilities[i]
		r := csafRecord(d, v)
		claims, elsewhere := csafClaims(v, products)
		r.Claims = claims
		if elsewhere > 0 && len(r.Claims) == 0 {
			b.leaveOut("no package of a main release of RHEL", cmp.Or(v.CVE, id))
			continue
		}
		if err := b.add(r); err != nil {
			return err
		}
	}
	return nil
}

func csafRecord(d *csafDocument, v *csafVulnerability) *record {
	r := &record{}
	r.ID, r.Source = d.Document.Tracking.ID, "redhat"
	if v.CVE != "" && v.CVE != r.ID {
		r.Upstream = []string{v.CVE}
	}
	r.Modified = day(d.Document.Tracking.Current)
	r.Published = day(d.Document.Tracking.Initial)
	r.CWEs = cweIDs([]string{v.CWE.ID})
	var scores []string
	for _, s := range v.Scores {
		scores = append(scores, s.V4.Vector, s.V3.Vector, s.V2.Vector)
	}
	r.CVSS = vectors(scores)
	for _, t := range v.Threats {
		if t.Category == "impact" {
			r.Severity = max(r.Severity, severity(t.Details))
		}
	}
	if r.Severity == seawall.None {
		r.Severity = severity(d.Document.Severity.Text)
	}
	r.Summary = cmp.Or(v.Title, d.Document.Title)
	for _, n := range v.Notes {
		if n.Category == "description" && r.Details == "" {
			r.Details = n.Text
		}
	}
	for _, kind := range []string{"self", ""} {
		for _, ref := range append(slices.Clip(d.Document.References), v.References...) {
			if (ref.Category == "self") == (kind == "self") && ref.URL != "" && len(r.References) < 100 && !slices.Contains(r.References, ref.URL) {
				r.References = append(r.References, ref.URL)
			}
		}
	}
	return r
}

// csafPlace is what a product ID comes down to: a package in a release.
type csafPlace struct {
	ecosystem, name, module string
	version                 string // with epoch and release; empty where the whole package is meant
}

// maxDepth bounds nested branches and relationships: a package in a module in a
// repository in a product.
const maxDepth = 16

func csafProducts(d *csafDocument) func(id string) (csafPlace, bool) {
	leaves := map[string]*csafProduct{}
	var walk func(branches []csafBranch, depth int)
	walk = func(branches []csafBranch, depth int) {
		for i := range branches {
			if p := branches[i].Product; p != nil {
				leaves[p.ID] = p
			}
			if depth < maxDepth {
				walk(branches[i].Branches, depth+1)
			}
		}
	}
	walk(d.ProductTree.Branches, 0)
	relations := map[string]*csafRelationship{}
	for i := range d.ProductTree.Relationships {
		r := &d.ProductTree.Relationships[i]
		relations[r.Product.ID] = r
	}
	var resolve func(id string, into *csafPlace, depth int)
	resolve = func(id string, into *csafPlace, depth int) {
		if depth == 0 {
			return
		}
		if p := leaves[id]; p != nil {
			into.take(p)
		}
		if r := relations[id]; r != nil {
			into.take(&r.Product)
			resolve(r.Component, into, depth-1)
			resolve(r.Platform, into, depth-1)
		}
	}
	return func(id string) (csafPlace, bool) {
		var p csafPlace
		resolve(id, &p, 8)
		return p, p.ecosystem != "" && p.name != ""
	}
}

// take adds what a product's identifiers tell.
func (p *csafPlace) take(product *csafProduct) {
	if major := rhel(product.Helper.CPE); major != "" {
		p.ecosystem = "Red Hat:" + major
	}
	rest, ok := strings.CutPrefix(product.Helper.PURL, "pkg:")
	if !ok {
		return
	}
	rest, query, _ := strings.Cut(rest, "?")
	path, version, _ := strings.Cut(rest, "@")
	name := path[strings.LastIndexByte(path, '/')+1:]
	qualifiers, err := url.ParseQuery(query)
	if version, err1 := url.PathUnescape(version); err == nil && err1 == nil {
		switch {
		case strings.HasPrefix(path, "rpmmod/"):
			stream, _, _ := strings.Cut(version, ":")
			p.module = name + ":" + stream
		case strings.HasPrefix(path, "rpm/"):
			p.name = name
			if version != "" {
				if epoch := qualifiers.Get("epoch"); epoch != "" && epoch != "0" {
					version = epoch + ":" + version
				}
				p.version = version
			}
			if module := qualifiers.Get("rpmmod"); module != "" {
				parts := strings.SplitN(module, ":", 3)
				p.module = strings.Join(parts[:min(2, len(parts))], ":")
			}
		}
	}
}

// rhel is the major release of a CPE of Red Hat Enterprise Linux itself, and
// empty for other products and for streams that branch off it and have fixes of
// their own (EUS, AUS, E4S, TUS).
func rhel(cpe string) string {
	for _, prefix := range []string{"cpe:/o:redhat:enterprise_linux:", "cpe:/a:redhat:enterprise_linux:"} {
		if rest, ok := strings.CutPrefix(cpe, prefix); ok {
			release, _, _ := strings.Cut(rest, ":")
			major, _, _ := strings.Cut(release, ".")
			for _, c := range major {
				if c < '0' || c > '9' {
					return ""
				}
			}
			return cut(major, 3)
		}
	}
	return ""
}

// csafClaims turns the statuses of products into claims; elsewhere counts the
// products that are no packages of a main release of RHEL.
func csafClaims(v *csafVulnerability, products func(string) (csafPlace, bool)) (claims []claim, elsewhere int) {
	seen := map[csafPlace]bool{}
	add := func(ids []string, status func(id string) string, fixed bool) {
		for _, id := range ids {
			p, ok := products(id)
			if !ok || fixed && p.version == "" {
				elsewhere++
				continue
			}
			if !fixed {
				p.version = ""
			}
			if strings.HasSuffix(p.name, "-debuginfo") || strings.HasSuffix(p.name, "-debugsource") || seen[p] {
				continue
			}
			seen[p] = true
			claims = append(claims, claim{
				Ecosystem: p.ecosystem, Package: p.name, Module: p.module, Status: status(id), Ranges: []vuln.Range{{Fixed: p.version}},
			})
		}
	}
	always := func(status string) func(string) string { return func(string) string { return status } }
	add(append(slices.Clip(v.Status.Fixed), v.Status.FirstFixed...), always(""), true)
	add(v.Status.Affected, csafRemedy(v), false)
	add(v.Status.NotAffected, always("not-affected"), false)
	add(v.Status.UnderInvestigation, always("unknown"), false)
	return together(claims), elsewhere
}

// csafRemedy tells what Red Hat means to do for affected products.
func csafRemedy(v *csafVulnerability) func(id string) string {
	remedies := map[string]string{}
	for _, r := range v.Remediations {
		var status string
		switch details := strings.ToLower(r.Details); {
		case r.Category == "no_fix_planned", strings.HasPrefix(details, "will not fix"), strings.HasPrefix(details, "out of support"):
			status = "wont-fix"
		case strings.HasPrefix(details, "fix deferred"):
			status = "deferred"
		case r.Category == "none_available":
			status = "affected"
		default:
			continue
		}
		for _, id := range r.Products {
			if remedies[id] != "wont-fix" {
				remedies[id] = status
			}
		}
	}
	return func(id string) string {
		if s := remedies[id]; s != "affected" {
			return s
		}
		return ""
	}
}
