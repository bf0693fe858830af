package report

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"seawall.io/seawall"
)

// maxTags is how many tags of a rule GitHub code scanning accepts.
const maxTags = 20

// The types below are the part of SARIF 2.1.0 that Seawall writes; fields are
// named as in the standard.
type (
	sarifText struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifDriver struct {
		Name            string      `json:"name"`
		Version         string      `json:"version,omitempty"`
		SemanticVersion string      `json:"semanticVersion,omitempty"`
		InformationURI  string      `json:"informationUri"`
		Rules           []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID                   string         `json:"id"`
		Name                 string         `json:"name,omitempty"`
		ShortDescription     sarifText      `json:"shortDescription"`
		FullDescription      sarifText      `json:"fullDescription"`
		HelpURI              string         `json:"helpUri,omitempty"`
		Help                 sarifText      `json:"help"`
		DefaultConfiguration sarifLevel     `json:"defaultConfiguration"`
		Properties           sarifRuleProps `json:"properties"`
	}
	sarifLevel struct {
		Level string `json:"level"`
	}
	sarifRuleProps struct {
		SecuritySeverity string   `json:"security-severity,omitempty"`
		Tags             []string `json:"tags"`
	}
	sarifInvocation struct {
		ExecutionSuccessful bool                `json:"executionSuccessful"`
		EndTimeUTC          string              `json:"endTimeUtc,omitempty"`
		Execution           []sarifNotification `json:"toolExecutionNotifications,omitempty"`
		Configuration       []sarifNotification `json:"toolConfigurationNotifications,omitempty"`
	}
	sarifNotification struct {
		Level          string          `json:"level"`
		Message        sarifText       `json:"message"`
		Locations      []sarifLocation `json:"locations,omitempty"`
		AssociatedRule *sarifRuleRef   `json:"associatedRule,omitempty"`
	}
	sarifRuleRef struct {
		ID string `json:"id"`
	}
	sarifResult struct {
		RuleID              string             `json:"ruleId"`
		RuleIndex           int                `json:"ruleIndex"`
		Level               string             `json:"level"`
		BaselineState       string             `json:"baselineState,omitempty"`
		Message             sarifText          `json:"message"`
		Locations           []sarifLocation    `json:"locations"`
		RelatedLocations    []sarifLocation    `json:"relatedLocations,omitempty"`
		PartialFingerprints map[string]string  `json:"partialFingerprints,omitempty"`
		Suppressions        []sarifSuppression `json:"suppressions,omitempty"`
		Properties          sarifResultProps   `json:"properties"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
		Message  *sarifText     `json:"message,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI       string `json:"uri"`
		URIBaseID string `json:"uriBaseId,omitempty"`
	}
	sarifRegion struct {
		StartLine   int        `json:"startLine"`
		StartColumn int        `json:"startColumn,omitempty"`
		Snippet     *sarifText `json:"snippet,omitempty"`
	}
	sarifLogical struct {
		Name               string `json:"name,omitempty"`
		FullyQualifiedName string `json:"fullyQualifiedName"`
		Kind               string `json:"kind"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Status        string `json:"status"`
		Justification string `json:"justification"`
	}
	sarifResultProps struct {
		Severity  string            `json:"severity"`
		Phase     seawall.Phase     `json:"phase,omitempty"`
		Layer     seawall.Layer     `json:"layer,omitempty"`
		Container string            `json:"container,omitempty"`
		Image     string            `json:"image,omitempty"`
		Fix       []seawall.PatchOp `json:"fix,omitempty"`
		Refs      []string          `json:"refs,omitempty"`
		// Vulnerability is all that is known of a flaw.
		Vulnerability *seawall.Vulnerability `json:"vulnerability,omitempty"`
		AttackPath    *seawall.AttackPath    `json:"attackPath,omitempty"`
	}
	sarifRunProps struct {
		Targets  []string         `json:"targets"`
		Coverage seawall.Coverage `json:"coverage"`
		Summary  seawall.Summary  `json:"summary"`
	}
)

// writeSARIF writes one run, within the rules that GitHub code scanning adds
// to the standard: every result has a physical location with a relative,
// encoded address, and a rule at most 20 tags. A check is a rule, and so is each
// known vulnerability. GitHub takes at most 25,000 results and as many rules of an
// upload; nothing is dropped here to meet that.
func writeSARIF(w *sink, r *seawall.Report, o *Options) error {
	rules, index := sarifRules(r.Findings, o)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	w.str(`{"$schema":"https://json.schemastore.org/sarif-2.1.0.json","version":"2.1.0","runs":[{"tool":{"driver":`)
	if err := enc.Encode(sarifDriver{
		Name: "Seawall", Version: clean(r.Version), SemanticVersion: strings.TrimPrefix(clean(r.Version), "v"),
		InformationURI: "https://seawall.io", Rules: rules,
	}); err != nil {
		return err
	}
	w.str(`},"invocations":[`)
	if err := enc.Encode(sarifInvocationOf(r, o)); err != nil {
		return err
	}
	w.str(`],"originalUriBaseIds":{"%SRCROOT%":{"description":{"text":"The directory that the scan was started in."}}},"results":[`)
	for i := range r.Findings {
		if i > 0 {
			w.str(",")
		}
		f := r.Findings[i]
		if err := enc.Encode(sarifResultOf(f, index[ruleOf(f)], o)); err != nil {
			return err
		}
	}
	w.str(`],"properties":`)
	props := sarifRunProps{Targets: append([]string{}, r.Targets...), Coverage: r.Coverage, Summary: r.Summary}
	if err := enc.Encode(props); err != nil {
		return err
	}
	w.str("}]}\n")
	return nil
}

// ruleOf names the rule of a finding: its check, or, of a known vulnerability,
// that: GitHub takes severity, tags and help from the rule, and they differ.
func ruleOf(f *seawall.Finding) string {
	if f.Vulnerability != nil && f.Vulnerability.ID != "" {
		return f.Vulnerability.ID
	}
	return f.Check
}

// sarifRules describes every check that found something and every vulnerability
// that was found, in the order of their names, and where each stands.
func sarifRules(findings []*seawall.Finding, o *Options) ([]sarifRule, map[string]int) {
	type rule struct {
		worst    seawall.Severity
		refs     []string
		findings []*seawall.Finding
	}
	found := map[string]*rule{}
	for _, f := range findings {
		id := ruleOf(f)
		c := found[id]
		if c == nil {
			c = &rule{}
			found[id] = c
		}
		c.findings = append(c.findings, f)
		c.worst = max(c.worst, f.Severity)
		for _, ref := range f.Refs {
			if !slices.Contains(c.refs, ref) {
				c.refs = append(c.refs, ref)
			}
		}
	}
	rules := make([]sarifRule, 0, len(found))
	index := make(map[string]int, len(found))
	for _, id := range slices.Sorted(maps.Keys(found)) {
		c := found[id]
		index[id] = len(rules)
		if c.findings[0].Vulnerability != nil {
			rules = append(rules, sarifFlawRule(id, c.worst, c.findings, c.refs))
			continue
		}
		rules = append(rules, sarifRuleOf(c.findings[0], c.worst, c.refs, o))
	}
	return rules, index
}

func sarifRuleOf(f *seawall.Finding, worst seawall.Severity, refs []string, o *Options) sarifRule {
	title := clean(f.Title)
	if title == "" {
		title = clean(f.Check)
	}
	why, fix := o.doc(f.Check)
	full := title
	if why != "" {
		full, _, _ = strings.Cut(why, "\n\n")
	}
	return sarifRule{
		ID: f.Check, Name: pascal(f.Check),
		ShortDescription:     sarifText{Text: title},
		FullDescription:      sarifText{Text: truncate(clean(full), 1000)},
		Help:                 sarifHelp(title, why, fix, f.Remediation),
		DefaultConfiguration: sarifLevel{levelOf(worst)},
		Properties:           sarifRuleProps{SecuritySeverity: securitySeverity(worst), Tags: sarifTags(refs)},
	}
}

// sarifTags are the tags of a rule, as many as GitHub takes.
func sarifTags(lists ...[]string) []string {
	tags := []string{"security"}
	for _, ref := range slices.Concat(lists...) {
		if tag := clean(ref); tag != "" && len(tags) < maxTags && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags
}

func sarifHelp(title, why, fix, remediation string) sarifText {
	if why == "" {
		why = title
	}
	if fix == "" {
		fix = clean(remediation)
	}
	text, markdown := why, "# "+markdownText(title)+"\n\n"+why
	if fix != "" {
		text += "\n\nFix: " + fix
		markdown += "\n\n**Fix:** " + fix
	}
	return sarifText{Text: text, Markdown: markdown}
}

// pascal turns privileged-container into PrivilegedContainer.
func pascal(slug string) string {
	var b strings.Builder
	up := true
	for _, r := range slug {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			up = true
		case up:
			b.WriteRune(unicode.ToUpper(r))
			up = false
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func levelOf(s seawall.Severity) string {
	switch s {
	case seawall.Critical, seawall.High:
		return "error"
	case seawall.Medium:
		return "warning"
	default:
		return "note"
	}
}

// securitySeverity gives the middle of the range that GitHub reads as the same
// word: over 9.0 is critical, 7.0 high, 4.0 medium.
func securitySeverity(s seawall.Severity) string {
	switch s {
	case seawall.Critical:
		return "9.5"
	case seawall.High:
		return "8.0"
	case seawall.Medium:
		return "5.5"
	case seawall.Low:
		return "3.0"
	default:
		return ""
	}
}

func sarifInvocationOf(r *seawall.Report, o *Options) sarifInvocation {
	in := sarifInvocation{ExecutionSuccessful: len(r.Coverage.Incomplete) == 0}
	if !o.Now.IsZero() {
		in.EndTimeUTC = o.Now.UTC().Format(time.RFC3339)
	}
	for i := range r.Coverage.Incomplete {
		in.Execution = append(in.Execution, sarifNotificationOf(&r.Coverage.Incomplete[i], "error", o))
	}
	for i := range r.Coverage.NotEvaluated {
		in.Execution = append(in.Execution, sarifNotificationOf(&r.Coverage.NotEvaluated[i], "note", o))
	}
	for _, w := range r.Warnings {
		in.Configuration = append(in.Configuration, sarifNotification{Level: "warning", Message: sarifText{Text: sarifPlain(w)}})
	}
	return in
}

func sarifNotificationOf(c *seawall.Incomplete, level string, o *Options) sarifNotification {
	n := sarifNotification{Level: level, Message: sarifText{Text: "not evaluated: " + sarifPlain(c.Reason)}}
	if c.Location.File != "" {
		n.Locations = []sarifLocation{{Physical: sarifPhysicalOf(c.Location, o)}}
	}
	if c.Check != "" {
		n.AssociatedRule = &sarifRuleRef{c.Check}
	}
	return n
}

// sarifPlain keeps text from being read as a link: viewers turn [a](b) in
// plain messages into one.
func sarifPlain(s string) string { return strings.ReplaceAll(clean(s), "](", "] (") }

func sarifResultOf(f *seawall.Finding, rule int, o *Options) sarifResult {
	message := sarifPlain(f.Message)
	if message == "" {
		message = sarifPlain(f.Title)
	}
	if f.Remediation != "" {
		message += "\nFix: " + sarifPlain(f.Remediation)
	}
	res := sarifResult{
		RuleID: ruleOf(f), RuleIndex: rule, Level: levelOf(f.Severity), Message: sarifText{Text: message},
		Locations: []sarifLocation{sarifLocationOf(f, o)},
		Properties: sarifResultProps{
			Severity: f.Severity.String(), Phase: f.Phase, Layer: f.Layer,
			Container: f.Subject.Container, Image: f.Subject.Image, Fix: f.Fix, Refs: f.Refs,
			Vulnerability: f.Vulnerability, AttackPath: f.AttackPath,
		},
	}
	if f.Known {
		res.BaselineState = "unchanged"
	}
	if v := f.Location.Value; v != nil && v.File != "" {
		res.RelatedLocations = []sarifLocation{{
			Physical: sarifPhysicalOf(seawall.Location{File: v.File, Line: v.Line}, o),
			Message:  &sarifText{Text: sarifPlain(chartValue(&f.Location))},
		}}
	}
	if f.ID != "" {
		res.PartialFingerprints = map[string]string{"seawall/v1": f.ID}
		if f.Location.File == "" || ownObject(&f.Subject, "Image") {
			// GitHub follows an alert by a hash of the lines around it, which
			// it can only take itself where there is a file.
			res.PartialFingerprints["primaryLocationLineHash"] = f.ID
		}
	}
	if f.Suppressed != nil {
		res.Suppressions = []sarifSuppression{sarifSuppressionOf(f.Suppressed)}
	}
	return res
}

func sarifSuppressionOf(s *seawall.Suppression) sarifSuppression {
	kind := "inSource"
	if s.By != "annotation" && s.By != "comment" {
		kind = "external"
	}
	return sarifSuppression{Kind: kind, Status: "accepted", Justification: suppressedWhy(s)}
}

func sarifLocationOf(f *seawall.Finding, o *Options) sarifLocation {
	loc := sarifLocation{}
	if f.Location.File != "" && !ownObject(&f.Subject, "Image") {
		loc.Physical = sarifPhysicalOf(f.Location, o)
	} else {
		loc.Physical = sarifPhysical{
			Artifact: sarifArtifact{URI: standIn(f)},
			Region:   &sarifRegion{StartLine: 1},
		}
	}
	if text := o.source(f.Location); text != "" {
		loc.Physical.Region.Snippet = &sarifText{Text: clean(text)}
	}
	object := f.Subject.String()
	if object != "" && f.Subject.Cluster != "" {
		object = f.Subject.Cluster + "/" + object
	}
	if object != "" {
		loc.Logical = append(loc.Logical, sarifLogical{Name: clean(f.Subject.Name), FullyQualifiedName: clean(object), Kind: "resource"})
	}
	if v := f.Vulnerability; v != nil {
		loc.Logical = append(loc.Logical, sarifLogical{Name: clean(v.Package), FullyQualifiedName: clean(cmp.Or(v.PURL, v.Package+"@"+v.Installed)), Kind: "module"})
	} else if f.Location.Path != "" {
		loc.Logical = append(loc.Logical, sarifLogical{FullyQualifiedName: clean(strings.TrimPrefix(object+"#"+f.Location.Path, "#")), Kind: "property"})
	}
	return loc
}

// standIn is the address of a finding that has no file of the sources: GitHub
// refuses a whole upload for one result without. It reads like a path, is the
// same for the same object, and does not pretend to lie under the root of the
// sources: a file of an image stands below the image's name.
func standIn(f *seawall.Finding) string {
	s := &f.Subject
	parts := []string{"cluster"}
	switch {
	case ownObject(s, "Image"):
		parts = append([]string{"image"}, strings.Split(s.Name, "/")...)
		if f.Vulnerability != nil {
			parts = append(parts, strings.Split(f.Vulnerability.Path, "/")...)
		}
	case s.Kind != "":
		parts = append(parts, s.Cluster, s.Namespace, s.Kind, s.Name)
	case s.Image != "":
		parts = append([]string{"image"}, strings.Split(s.Image, "/")...)
	}
	parts = slices.DeleteFunc(parts, func(p string) bool { return p == "" || p == "." || p == ".." })
	return encodePath(parts)
}

func sarifPhysicalOf(l seawall.Location, o *Options) sarifPhysical {
	return sarifPhysical{
		Artifact: artifact(l.File, o.Dir),
		Region:   &sarifRegion{StartLine: max(1, l.Line), StartColumn: max(0, l.Column)},
	}
}

// artifact turns a file name into an address: relative to the root of the
// sources where it lies below, else absolute.
func artifact(file, dir string) sarifArtifact {
	name := path.Clean(file)
	if dir != "" && !isAbs(name) && (name == ".." || strings.HasPrefix(name, "../")) {
		name = path.Join(dir, name)
	}
	if dir != "" {
		if rel, ok := strings.CutPrefix(name, strings.TrimSuffix(path.Clean(dir), "/")+"/"); ok {
			name = rel
		}
	}
	if isAbs(name) {
		return sarifArtifact{URI: "file:///" + encodePath(strings.Split(strings.TrimPrefix(name, "/"), "/"))}
	}
	return sarifArtifact{URI: encodePath(strings.Split(name, "/")), URIBaseID: "%SRCROOT%"}
}

// isAbs knows the absolute names of Unix and, as C:/dir, of Windows.
func isAbs(name string) bool {
	return strings.HasPrefix(name, "/") || len(name) > 2 && name[1] == ':' && name[2] == '/'
}

// encodePath joins parts of a path to a URI reference. A colon is encoded too:
// in the first part it would read as a scheme.
func encodePath(parts []string) string {
	out := make([]string, len(parts))
	for i, p := range parts {
		out[i] = strings.ReplaceAll(url.PathEscape(p), ":", "%3A")
	}
	return strings.Join(out, "/")
}
