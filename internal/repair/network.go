package repair

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/scan"
)

// isolation are the checks whose findings a default-deny policy answers.
var isolation = []string{"namespace-without-networkpolicy", "pod-without-networkpolicy"}

// denyTemplate denies all traffic of a namespace but name look-ups. What the
// workloads need beyond must be added before it is applied.
var denyTemplate = template.Must(template.New("deny").Parse(`# Denies all traffic of the pods in this namespace but the look-up of names.
# Add a policy for each connection that they need before you apply this.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny
{{- if .}}
  namespace: {{.}}
{{- end}}
spec:
  podSelector: {}
  policyTypes:
    - Ingress
    - Egress
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: allow-dns
{{- if .}}
  namespace: {{.}}
{{- end}}
spec:
  podSelector: {}
  policyTypes:
    - Egress
  egress:
    - to:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: kube-system
          podSelector:
            matchLabels:
              k8s-app: kube-dns
      ports:
        - protocol: UDP
          port: 53
        - protocol: TCP
          port: 53
`))

// denyByDefault plans a file with default-deny policies for each namespace
// whose pods no policy isolates, beside the first file that uses the namespace.
// It reports whether it planned any.
func (r *repairer) denyByDefault(s *scan.Result) bool {
	planned := false
	for i := range s.Findings {
		f, o := s.Findings[i], s.Objects[i]
		if f.Suppressed != nil || o.Text == nil || !slices.Contains(isolation, f.Check) {
			continue
		}
		namespace := o.Namespace
		if o.Kind == "Namespace" {
			namespace = o.Name
		}
		if namespace != "" && !dnsLabel.MatchString(namespace) {
			r.refused[key(f)] = fmt.Sprintf("%q is no name of a namespace", namespace)
			continue
		}
		name := denyFile(o.File, namespace)
		r.denies[key(f)] = name
		if r.files[name] != nil {
			continue
		}
		if _, err := os.Lstat(name); err == nil {
			r.refused[key(f)] = "the default-deny policies would go to " + name + ", which exists: add them by hand"
			continue
		}
		var text bytes.Buffer
		if err := denyTemplate.Execute(&text, scalar(namespace)); err != nil {
			r.refuse(f, err)
			continue
		}
		r.files[name] = &File{Name: name, New: true, After: text.Bytes()}
		r.options.Overlay[name] = text.Bytes()
		planned = true
	}
	return planned
}

// dnsLabel is what the API server takes as the name of a namespace. Here it
// becomes part of a file's name.
var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// denyFile is the file for the default-deny policies of a namespace, beside one
// that uses it.
func denyFile(beside, namespace string) string {
	return path.Join(path.Dir(beside), strings.TrimSuffix("default-deny-"+namespace, "-")+".yaml")
}

// scalar is a name as YAML writes it: quoted where it would be something else
// than text, such as 123 or on.
func scalar(name string) string {
	docs := document.Parse([]byte(name), document.Limits{})
	if len(docs) == 1 && docs[0].Err == nil && docs[0].Root.Str() != name {
		return strconv.Quote(name)
	}
	return name
}
