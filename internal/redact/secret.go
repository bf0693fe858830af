package redact

import (
	"maps"
	"slices"
	"strings"

	"seawall.io/seawall/internal/document"
)

// appliedCopies are annotations that hold a copy of the whole object as a tool
// applied it, or a token.
var appliedCopies = map[string]bool{
	"kubectl.kubernetes.io/last-applied-configuration": true, // kubectl apply
	"kapp.k14s.io/original":                            true, // kapp
	"kapp.k14s.io/original-diff":                       true,
	"kapp.k14s.io/original-diff-full":                  true,
	"objectset.rio.cattle.io/applied":                  true, // Rancher, gzip in base64
	"banzaicloud.com/last-applied":                     true, // operators of Banzai Cloud
	"openshift.io/token-secret.value":                  true, // OpenShift before 4.16: the token itself
}

// AppliedCopies returns the names, sorted, of the annotations that are always
// taken away, for readers that can leave them out earlier.
func AppliedCopies() []string { return slices.Sorted(maps.Keys(appliedCopies)) }

// secretFields are what remains of a Secret, besides data and stringData.
var secretFields = map[string]bool{
	"apiVersion": true, "kind": true, "metadata": true, "type": true, "immutable": true,
}

// secretMetadata is what remains of the metadata of a Secret.
var secretMetadata = map[string]bool{
	"name": true, "generateName": true, "namespace": true, "uid": true, "resourceVersion": true,
	"generation": true, "creationTimestamp": true, "deletionTimestamp": true,
	"deletionGracePeriodSeconds": true, "labels": true, "annotations": true,
	"ownerReferences": true, "finalizers": true,
}

const (
	// longAnnotation is how many bytes an annotation of a Secret may have
	// before it is taken for a value: names, dates and short settings fit,
	// keys and tokens do not.
	longAnnotation = 256
	// shortestValue is how many bytes of a value must stand in an annotation or
	// label to give it away. Shorter ones occur by chance.
	shortestValue = 5
)

// isSecret says of an object of kind Secret whether it is Kubernetes' own, or
// one that forgot its apiVersion. A kind of the same name in another group
// counts when it carries values the same way. What has a name outside of metadata
// and nothing else that objects have only refers to one.
func isSecret(n *document.Node) bool {
	if n.Get("name").Kind() == document.String && n.Get("metadata") == nil && n.Get("data") == nil && n.Get("stringData") == nil {
		return false
	}
	switch n.Get("apiVersion").Str() {
	case "v1", "":
		return true
	}
	return n.Get("data").Map() != nil || n.Get("stringData").Map() != nil
}

// secret returns a Secret with markers for its values. Fields that a Secret
// does not have are dropped, since nobody knows what they hold.
func (r Redactor) secret(n *document.Node) *document.Node {
	values := secretValues(n)
	out := make([]document.Field, 0, len(n.Map()))
	for _, f := range n.Map() {
		switch {
		case f.Key == "data" || f.Key == "stringData":
			if f.Value.IsNull() {
				continue
			}
			f.Value = r.maskAll(f.Value, f.Key == "data", IsArgoCluster(n))
		case f.Key == "metadata":
			f.Value = r.secretMetadata(f.Value, values)
		case !secretFields[f.Key] || f.Value.Len() > 0:
			continue
		}
		out = append(out, f)
	}
	return document.NewMap(n.Pos, out)
}

// maskAll returns a Map with a marker for each value, and nothing of what is
// no Map. argo says that the Secret is a cluster of Argo CD.
func (r Redactor) maskAll(n *document.Node, base64, argo bool) *document.Node {
	out := make([]document.Field, 0, len(n.Map()))
	for _, f := range n.Map() {
		f.Value = r.maskValue(f.Key, f.Value, base64, argo)
		out = append(out, f)
	}
	return document.NewMap(n.Pos, out)
}

// maskValue returns the marker of a value of a Secret, with the facts of it.
func (r Redactor) maskValue(key string, n *document.Node, base64, argo bool) *document.Node {
	masked := r.mask(n, base64)
	if n.Kind() != document.String || masked == n {
		return masked
	}
	facts, ok := FactsOf(n.Str(), base64)
	if argo {
		facts, ok = ArgoFacts(key, n.Str(), base64)
	}
	if !ok {
		return masked
	}
	if text := facts.marked(masked.Str()); IsMarker(text) {
		return document.NewString(n.Pos, text)
	}
	return masked
}

func (r Redactor) mask(n *document.Node, base64 bool) *document.Node {
	switch {
	case n.IsNull():
		return n
	case n.Kind() != document.String:
		return document.NewString(n.Pos, r.marker(n.AppendJSON(nil)))
	case IsMarker(n.Str()):
		return n
	case base64:
		return document.NewString(n.Pos, r.marker(decoded(n.Str())))
	}
	return document.NewString(n.Pos, r.marker([]byte(n.Str())))
}

func (r Redactor) secretMetadata(n *document.Node, values []string) *document.Node {
	out := make([]document.Field, 0, len(n.Map()))
	for _, f := range n.Map() {
		if !secretMetadata[f.Key] {
			continue
		}
		if f.Key == "annotations" || f.Key == "labels" {
			f.Value = r.maskGiveaways(f.Value, values)
		}
		out = append(out, f)
	}
	return document.NewMap(n.Pos, out)
}

// maskGiveaways returns annotations or labels with markers for those that hold
// a value of the Secret or are long enough to.
func (r Redactor) maskGiveaways(n *document.Node, values []string) *document.Node {
	out := make([]document.Field, 0, len(n.Map()))
	for _, f := range n.Map() {
		if appliedCopies[f.Key] {
			continue
		}
		if f.Value.Kind() != document.String || givesAway(f.Value.Str(), values) {
			f.Value = r.mask(f.Value, false)
		}
		out = append(out, f)
	}
	return document.NewMap(n.Pos, out)
}

func givesAway(text string, values []string) bool {
	if len(text) > longAnnotation {
		return true
	}
	for _, v := range values {
		if strings.Contains(text, v) {
			return true
		}
	}
	return false
}

// secretValues returns the values of a Secret as they stand and, of data, as
// they are without base64.
func secretValues(n *document.Node) []string {
	var out []string
	add := func(v string) {
		if len(v) >= shortestValue && len(v) <= longAnnotation && !IsMarker(v) {
			out = append(out, v)
		}
	}
	for _, f := range n.Get("data").Map() {
		text := f.Value.Str()
		add(text)
		if value := string(decoded(text)); value != text {
			add(value)
		}
	}
	for _, f := range n.Get("stringData").Map() {
		add(f.Value.Str())
	}
	return out
}
