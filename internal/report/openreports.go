package report

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"seawall.io/seawall"
)

const (
	// maxObject bounds the bytes of one object. etcd takes 1.5 MB, but kubectl
	// apply keeps a copy in an annotation, and those end at 256 KiB.
	maxObject = 200_000
	// maxProperty bounds one string of a result; longer ones end in an ellipsis.
	maxProperty = 4096
)

// dialect is what tells the two report APIs apart. Their results are alike.
type dialect struct {
	apiVersion  string
	kind        string // of a namespace
	clusterKind string
	topSource   bool // the source stands at the object, not at each result
}

// writeOpenReports writes Report and ClusterReport objects of openreports.io,
// the successor of the API that [writePolicyReports] serves.
func writeOpenReports(w *sink, r *seawall.Report, o *Options) error {
	d := dialect{"openreports.io/v1alpha1", "Report", "ClusterReport", true}
	return writeReportObjects(w, r, o, d)
}

// writePolicyReports writes PolicyReport and ClusterPolicyReport objects of
// wgpolicyk8s.io, which many clusters and viewers still know only.
func writePolicyReports(w *sink, r *seawall.Report, o *Options) error {
	d := dialect{"wgpolicyk8s.io/v1alpha2", "PolicyReport", "ClusterPolicyReport", false}
	return writeReportObjects(w, r, o, d)
}

// outcome is one result of a report object.
type outcome struct {
	policy, rule, category string
	severity               seawall.Severity
	result                 string // pass, fail, warn, skip or error
	message                string
	subject                *seawall.Subject
	path                   string
	properties             map[string]string
}

// writeReportObjects writes a stream of objects: the cluster's first, then one
// for each namespace, then one for each framework. Each is cut into numbered
// objects where it would grow too large.
func writeReportObjects(w *sink, r *seawall.Report, o *Options, d dialect) error {
	byNamespace := map[string][]outcome{"": coverageOutcomes(r)}
	for i := range r.Findings {
		f := r.Findings[i]
		ns := f.Subject.Namespace
		if !isLabel(ns) {
			ns = "" // no such namespace can exist: a template, or no object
		}
		byNamespace[ns] = append(byNamespace[ns], findingOutcome(f))
	}
	y := &objectWriter{w: w, d: d, version: clean(r.Version), now: o.Now}
	for _, ns := range slices.Sorted(maps.Keys(byNamespace)) {
		y.objects("seawall", ns, byNamespace[ns])
	}
	for i := range r.Frameworks {
		f := &r.Frameworks[i]
		y.objects("seawall-framework-"+dnsLabel(f.ID), "", frameworkOutcomes(f))
	}
	return nil
}

func findingOutcome(f *seawall.Finding) outcome {
	p := map[string]string{}
	set := func(k, v string) {
		if v != "" {
			p[k] = truncate(clean(v), maxProperty)
		}
	}
	set("id", f.ID)
	set("phase", string(f.Phase))
	set("cluster", f.Subject.Cluster)
	set("container", f.Subject.Container)
	set("image", f.Subject.Image)
	set("location", f.Location.String())
	set("path", f.Location.Path)
	set("chartValue", chartValue(&f.Location))
	set("remediation", f.Remediation)
	set("refs", strings.Join(f.Refs, ","))
	if f.Known {
		set("known", "true")
	}
	out := outcome{
		policy: f.Check, rule: f.Title, category: string(f.Layer), severity: f.Severity, result: "fail",
		message: f.Message, path: f.Location.Path, properties: p,
	}
	if f.Subject.Kind != "" {
		out.subject = &f.Subject
	}
	if v := f.Vulnerability; v != nil {
		out.rule, out.path = v.ID, ""
		delete(p, "path") // a number in a list says nothing
		setFlaw(v, set)
	}
	if s := f.Suppressed; s != nil {
		out.result = "skip"
		set("suppressedReason", s.Reason)
		set("suppressedUntil", s.Expires)
		set("suppressedBy", s.By)
	}
	return out
}

// setFlaw adds what is known of a vulnerability to a result's properties.
func setFlaw(v *seawall.Vulnerability, set func(k, value string)) {
	set("vulnerability", v.ID)
	set("aliases", strings.Join(v.Aliases, ","))
	set("package", v.Package)
	set("packages", strings.Join(v.Binaries, ","))
	set("purl", v.PURL)
	set("packagePath", v.Path)
	set("installedVersion", v.Installed)
	set("fixedVersion", v.Fixed)
	set("status", v.Status)
	set("reach", v.Reach)
	set("cvssVector", v.Vector)
	set("kev", v.KEV)
	set("imageLayer", v.Layer)
	set("link", advisoryLink(v.ID))
	if v.CVSS > 0 {
		set("cvss", strconv.FormatFloat(v.CVSS, 'f', 1, 64))
	}
	if v.EPSS > 0 {
		set("epss", strconv.FormatFloat(v.EPSS, 'f', -1, 64))
	}
	if v.RCE {
		set("rce", "true")
	}
}

// coverageOutcomes are errors for what could not be evaluated, skips for what no
// check applies to, and warnings of the vulnerability database.
func coverageOutcomes(r *seawall.Report) []outcome {
	var out []outcome
	for i := range r.Coverage.Incomplete {
		out = append(out, lackOutcome(&r.Coverage.Incomplete[i], "error"))
	}
	for i := range r.Coverage.NotEvaluated {
		out = append(out, lackOutcome(&r.Coverage.NotEvaluated[i], "skip"))
	}
	for _, k := range kinds(r.Coverage.Unexamined, fullKind) {
		out = append(out, outcome{
			policy: "seawall-coverage", rule: "unexamined kind", result: "skip",
			message: fmt.Sprintf("no check applies to %s of kind %s", number(k.Count, "object"), k.Name),
		})
	}
	return append(out, databaseOutcomes(r.Coverage.Database)...)
}

// databaseOutcomes are warnings of a vulnerability database that is old or lacks
// sources.
func databaseOutcomes(d *seawall.DatabaseCoverage) []outcome {
	var out []outcome
	for _, warning := range databaseWarnings(d) {
		out = append(out, outcome{
			policy: "seawall-coverage", rule: "vulnerability database", result: "warn", message: warning,
			properties: map[string]string{"database": truncate(databaseFacts(d), maxProperty)},
		})
	}
	return out
}

func lackOutcome(in *seawall.Incomplete, result string) outcome {
	out := outcome{policy: in.Check, rule: "not evaluated", result: result, message: in.Reason}
	if out.policy == "" {
		out.policy = "seawall-coverage"
	}
	if where := in.Location.String(); where != "" {
		out.properties = map[string]string{"location": truncate(clean(where), maxProperty)}
	}
	return out
}

func frameworkOutcomes(f *seawall.Framework) []outcome {
	out := make([]outcome, 0, len(f.Controls))
	for i := range f.Controls {
		c := &f.Controls[i]
		result := "skip"
		switch c.Status {
		case "passed":
			result = "pass"
		case "failed":
			result = "fail"
		}
		message := c.Title
		if c.Reason != "" {
			message += ": " + c.Reason
		}
		p := map[string]string{"passed": itoa(c.Passed), "failed": itoa(c.Failed), "notEvaluated": itoa(c.NotEvaluated)}
		if len(c.Checks) > 0 {
			p["checks"] = truncate(clean(strings.Join(c.Checks, ",")), maxProperty)
		}
		out = append(out, outcome{policy: f.ID, rule: c.ID, category: f.Title, result: result, message: message, properties: p})
	}
	return out
}

// objectWriter writes report objects as YAML documents.
type objectWriter struct {
	w       *sink
	d       dialect
	version string
	now     time.Time
}

// objects writes the results of one scope, as many objects as they need, and
// one where there are none.
func (y *objectWriter) objects(name, namespace string, list []outcome) {
	var (
		body  strings.Builder
		count = map[string]int{}
		part  = 1
	)
	flush := func() {
		full := name
		if part > 1 {
			full = fmt.Sprintf("%s-%d", name, part)
		}
		y.object(full, namespace, count, body.String())
		body.Reset()
		clear(count)
		part++
	}
	for i := range list {
		text := y.result(&list[i])
		if body.Len() > 0 && body.Len()+len(text) > maxObject {
			flush()
		}
		body.WriteString(text)
		count[list[i].result]++
	}
	flush()
}

func (y *objectWriter) object(name, namespace string, count map[string]int, results string) {
	kind := y.d.clusterKind
	if namespace != "" {
		kind = y.d.kind
	}
	y.w.printf("---\napiVersion: %s\nkind: %s\nmetadata:\n  name: %s\n", y.d.apiVersion, kind, name)
	if namespace != "" {
		y.w.printf("  namespace: %s\n", scalar(namespace))
	}
	y.w.str("  labels:\n    app.kubernetes.io/managed-by: seawall\n")
	if y.version != "" {
		y.w.printf("  annotations:\n    seawall.io/version: %s\n", scalar(y.version))
	}
	if y.d.topSource {
		y.w.str("source: seawall\n")
	}
	y.w.printf("summary:\n  pass: %d\n  fail: %d\n  warn: %d\n  error: %d\n  skip: %d\n",
		count["pass"], count["fail"], count["warn"], count["error"], count["skip"])
	if results != "" {
		y.w.str("results:\n")
		y.w.str(results)
	}
}

func (y *objectWriter) result(r *outcome) string {
	var b strings.Builder
	field := func(indent, name, value string) {
		if value != "" {
			b.WriteString(indent + name + ": " + scalar(truncate(clean(value), maxProperty)) + "\n")
		}
	}
	policy := r.policy
	if policy == "" {
		policy = "seawall" // the one field that the API requires
	}
	field("- ", "policy", policy)
	if !y.d.topSource {
		field("  ", "source", "seawall")
	}
	field("  ", "rule", r.rule)
	field("  ", "category", r.category)
	if r.severity > seawall.None {
		field("  ", "severity", r.severity.String())
	}
	field("  ", "result", r.result)
	if r.result == "fail" {
		b.WriteString("  scored: true\n")
	}
	if !y.now.IsZero() {
		fmt.Fprintf(&b, "  timestamp:\n    seconds: %d\n    nanos: %d\n", y.now.Unix(), y.now.Nanosecond())
	}
	field("  ", "message", r.message)
	if s := r.subject; s != nil {
		b.WriteString("  resources:\n")
		field("  - ", "kind", s.Kind)
		field("    ", "apiVersion", s.APIVersion)
		field("    ", "namespace", s.Namespace)
		field("    ", "name", s.Name)
		field("    ", "fieldPath", r.path)
	}
	if len(r.properties) > 0 {
		b.WriteString("  properties:\n")
	}
	for _, k := range slices.Sorted(maps.Keys(r.properties)) {
		fmt.Fprintf(&b, "    %s: %s\n", k, scalar(r.properties[k]))
	}
	return b.String()
}

// scalar writes clean text as a YAML scalar: bare where no YAML version could
// read it as anything but a string, else as a JSON string, which YAML reads
// the same.
func scalar(s string) string {
	if !bare(s) {
		return string(appendString(nil, s))
	}
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "y", "n", "null":
		return `"` + s + `"`
	}
	return s
}

// bare wants a letter, then letters, digits and what slugs and paths hold.
func bare(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && !strings.ContainsRune("-./_", rune(c))) {
			return false
		}
	}
	return s != ""
}

// isLabel reports whether s may name a namespace (RFC 1123).
func isLabel(s string) bool { return s != "" && len(s) <= 63 && s == dnsName(s) }

// dnsLabel makes a valid part of a name of s, short enough to be joined.
func dnsLabel(s string) string {
	name := dnsName(s)
	if name = strings.TrimRight(name[:min(len(name), 40)], "-"); name == "" {
		return "x"
	}
	return name
}

// dnsName lowers s and puts - for what a name cannot hold.
func dnsName(s string) string {
	out := []byte(strings.ToLower(s))
	for i, c := range out {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			out[i] = '-'
		}
	}
	return strings.Trim(string(out), "-")
}
