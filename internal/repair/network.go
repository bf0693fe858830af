package repair

import (
	"bytes"
	"os"
	"path"
	"slices"
	"strings"
	"text/template"

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
		f, o := &s.Findings[i], s.Objects[i]
		if f.Suppressed != nil || o.Text == nil || !slices.Contains(isolation, f.Check) {
			continue
		}
		namespace := o.Namespace
		if o.Kind == "Namespace" {
			namespace = o.Name
		}
		name := path.Join(path.Dir(o.File), strings.TrimSuffix("default-deny-"+namespace, "-")+".yaml")
		if r.files[name] != nil {
			continue
		}
		if _, err := os.Lstat(name); err == nil {
			r.refused[key(f)] = "the default-deny policies would go to " + name + ", which exists: add them by hand"
			continue
		}
		var text bytes.Buffer
		if err := denyTemplate.Execute(&text, namespace); err != nil {
			r.refuse(f, err)
			continue
		}
		r.files[name] = &File{Name: name, New: true, After: text.Bytes()}
		r.options.Overlay[name] = text.Bytes()
		planned = true
	}
	return planned
}
