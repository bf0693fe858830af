package workloadchecks

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// meta judges name and namespace of an object of Kubernetes' own kinds.
func (v *validator) meta(o *cluster.Object) {
	if strings.HasSuffix(o.Kind, "Review") || strings.HasSuffix(o.Kind, "List") || strings.HasSuffix(o.Kind, "Options") || o.Kind == "Status" {
		return
	}
	meta := o.Root.Get("metadata")
	name := meta.Get("name").Str()
	if ns := meta.Get("namespace").Str(); ns != "" && !isLabel(ns) {
		v.problem("metadata.namespace", "%q is no name of a namespace: lower-case letters, digits and dashes, at most 63", ns)
	}
	switch {
	case name == "":
		if meta.Get("generateName").Str() == "" && meta.Get("name").IsNull() {
			v.problem("metadata", "name is missing")
		}
	case o.Group() == "rbac.authorization.k8s.io":
		if name == "." || name == ".." || strings.ContainsAny(name, "/%") {
			v.problem("metadata.name", "%q is no name: it must not be . or .. nor have / or %% in it", name)
		}
	case o.Kind == "Namespace" || o.Kind == "Service":
		if !isLabel(name) {
			v.problem("metadata.name", "%q is no name of a %s: lower-case letters, digits and dashes, at most 63", name, o.Kind)
		}
	case !isSubdomain(name):
		v.problem("metadata.name", "%q is no name: lower-case letters, digits, dashes and dots, a letter or digit at both ends", name)
	}
	for _, of := range [...]string{"labels", "annotations"} {
		for _, f := range meta.Get(of).Map() {
			if !isKey(f.Key) {
				v.problem(document.Key("metadata."+of, f.Key), "%q is no key of %s: a name of at most 63, after a domain and a slash if any", f.Key, of)
			}
		}
	}
}

// isLabel is validation.IsDNS1123Label.
func isLabel(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '-' && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return true
}

// isSubdomain is validation.IsDNS1123Subdomain.
func isSubdomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if len(part) > 63 {
			return len(validation.IsDNS1123Subdomain(s)) == 0
		}
		if !isLabel(part) {
			return false
		}
	}
	return true
}

// isKey is validation.IsQualifiedName, lower-cased as annotations are.
func isKey(s string) bool {
	domain, name, found := strings.Cut(s, "/")
	if !found {
		domain, name = "", s
	}
	if found && !isSubdomain(strings.ToLower(domain)) {
		return false
	}
	return name != "" && len(name) <= 63 && isLabelValue(name)
}

// values judges what types alone do not say, for the fields that people get
// wrong most.
func (v *validator) values(o *cluster.Object) {
	for _, t := range cluster.PodTemplates(o) {
		v.pod(&t)
	}
	switch {
	case o.Kind == "Service" && o.Group() == "":
		v.service(o)
	case o.Kind == "CronJob":
		v.schedule(o)
	}
}

func (v *validator) pod(t *cluster.PodTemplate) {
	volumes := map[string]bool{}
	for i, vol := range t.Spec().Get("volumes").List() {
		name := vol.Get("name").Str()
		if name != "" && volumes[name] {
			v.problem(document.Index(t.SpecPath+".volumes", i), "there is another volume %q", name)
		}
		volumes[name] = true
	}
	for _, c := range t.Object.Root.At("spec", "volumeClaimTemplates").List() {
		volumes[c.At("metadata", "name").Str()] = true
	}
	if list := t.Spec().Get("containers"); list != nil && list.Kind() == document.List && len(list.List()) == 0 {
		v.problem(t.SpecPath+".containers", "containers is empty")
	}
	names := map[string]bool{}
	for i := range t.Containers {
		v.container(&t.Containers[i], names, volumes)
	}
}

func (v *validator) container(c *cluster.Container, names, volumes map[string]bool) {
	name := c.Name()
	switch {
	case name == "":
	case names[name]:
		v.problem(c.Path+".name", "there is another container %q", name)
	case !isLabel(name):
		v.problem(c.Path+".name", "%q is no name of a container: lower-case letters, digits and dashes, at most 63", name)
	}
	names[name] = true
	if c.Image() == "" && c.Root.Get("image").IsNull() {
		v.problem(c.Path, "image is missing")
	}
	for i, m := range c.Root.Get("volumeMounts").List() {
		if vol := m.Get("name").Str(); vol != "" && !volumes[vol] {
			v.problem(document.Index(c.Path+".volumeMounts", i)+".name", "there is no volume %q", vol)
		}
	}
	limits := c.Root.At("resources", "limits")
	for _, r := range c.Root.At("resources", "requests").Map() {
		limit := limits.Get(r.Key)
		if limit == nil || !exceeds(r.Value, limit) {
			continue
		}
		v.problem(document.Key(c.Path+".resources.requests", r.Key), "the request %s is above the limit %s", plainText(r.Value), plainText(limit))
	}
	for _, probe := range [...]string{"livenessProbe", "readinessProbe", "startupProbe"} {
		p := c.Root.Get(probe)
		if p.IsNull() {
			continue
		}
		handlers := 0
		for _, h := range [...]string{"httpGet", "tcpSocket", "exec", "grpc"} {
			if !p.Get(h).IsNull() {
				handlers++
			}
		}
		if handlers != 1 {
			v.problem(c.Path+"."+probe, "want one of httpGet, tcpSocket, exec and grpc, has %d", handlers)
		}
	}
}

func plainText(n *document.Node) string {
	if n.Kind() == document.String {
		return n.Str()
	}
	return string(n.AppendJSON(nil))
}

// exceeds compares two quantities; what is none is told elsewhere.
func exceeds(a, b *document.Node) bool {
	if document.Equal(a, b) {
		return false
	}
	x, err := resource.ParseQuantity(plainText(a))
	if err != nil {
		return false
	}
	y, err := resource.ParseQuantity(plainText(b))
	return err == nil && x.Cmp(y) > 0
}

func (v *validator) service(o *cluster.Object) {
	ports := o.Root.At("spec", "ports").List()
	names := map[string]bool{}
	for i, p := range ports {
		path := document.Index("spec.ports", i)
		if n, ok := p.Get("port").Int(); ok && (n < 1 || n > 65535) {
			v.problem(path+".port", "%d is no port: 1 to 65535", n)
		}
		name := p.Get("name").Str()
		if name == "" && len(ports) > 1 {
			v.problem(path, "name is missing: every port of several needs one")
		} else if names[name] {
			v.problem(path+".name", "there is another port %q", name)
		}
		names[name] = true
	}
	if kind := o.Root.At("spec", "type").Str(); len(ports) == 0 && kind != "ExternalName" && o.Root.At("spec", "clusterIP").Str() != "None" {
		v.problem("spec", "ports is missing")
	}
}

// schedule judges the form of a CronJob's schedule: five fields, or @ and a
// word.
func (v *validator) schedule(o *cluster.Object) {
	text := strings.TrimSpace(o.Root.At("spec", "schedule").Str())
	if text == "" {
		return
	}
	if problem := scheduleProblem(text); problem != "" {
		v.problem("spec.schedule", "%q is no schedule: %s", text, problem)
	}
}

func scheduleProblem(text string) string {
	if strings.HasPrefix(text, "@") {
		switch strings.Fields(text)[0] {
		case "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly", "@every":
			return ""
		}
		return "want @yearly, @monthly, @weekly, @daily or @hourly"
	}
	if strings.HasPrefix(text, "TZ=") || strings.HasPrefix(text, "CRON_TZ=") {
		return "the time zone belongs in spec.timeZone"
	}
	fields := strings.Fields(text)
	if len(fields) != 5 {
		return fmt.Sprintf("want 5 fields, has %d", len(fields))
	}
	for _, f := range fields {
		if strings.Trim(f, "0123456789*/,-?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "" {
			return fmt.Sprintf("%q is no field of one", f)
		}
	}
	return ""
}
