package admissionchecks

import (
	"slices"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// noImagePolicy reports a whole cluster in which nothing asks who made an image
// before it runs, once, on the namespace kube-system or else the first.
func noImagePolicy(in *check.Input) {
	s := in.Snapshot
	if !s.Whole || slices.ContainsFunc(s.Objects, verifiesImages) {
		return
	}
	if where := s.SystemNamespace(); where != nil {
		in.Report(check.Hit{Object: where, Path: "metadata.name"})
	}
}

// verifiesImages tells what asks for the signatures of images at admission.
func verifiesImages(o *cluster.Object) bool {
	switch g := o.Group(); g {
	case "policy.sigstore.dev": // policy-controller
		return o.Kind == "ClusterImagePolicy"
	case "config.ratify.deislabs.io", "config.ratify.dev", "portieris.cloud.ibm.com", "securityenforcement.admission.cloud.ibm.com":
		return true
	case "policies.kyverno.io":
		return strings.HasSuffix(o.Kind, "ImageValidatingPolicy") || strings.HasSuffix(o.Kind, "ImageVerificationPolicy")
	case "kyverno.io":
		return verifiesByKyverno(o)
	case "policies.kubewarden.io":
		return strings.Contains(o.Root.At("spec", "module").Str(), "verify-image-signatures")
	case "admissionregistration.k8s.io":
		return strings.Contains(o.Name, "connaisseur") || strings.Contains(o.Name, "binauthz") || strings.Contains(o.Name, "binaryauthorization")
	case "apiserver.config.k8s.io":
		return o.Kind == "AdmissionConfiguration" && slices.ContainsFunc(o.Root.Get("plugins").List(), func(p *document.Node) bool {
			return p.Get("name").Str() == "ImagePolicyWebhook"
		})
	case "":
		return o.Kind == "Pod" && asksWebhook(o)
	}
	return false
}

// verifiesByKyverno tells policies with verifyImages that refuse. Its action is
// that of the rule, or else of the policy, or else Audit.
func verifiesByKyverno(o *cluster.Object) bool {
	spec := o.Root.Get("spec")
	for _, r := range spec.Get("rules").List() {
		for _, v := range r.Get("verifyImages").List() {
			action := v.Get("failureAction").Str()
			if action == "" {
				action = spec.Get("validationFailureAction").Str()
			}
			if strings.EqualFold(action, "Enforce") {
				return true
			}
		}
	}
	return false
}

// asksWebhook tells an API server with the plugin ImagePolicyWebhook.
func asksWebhook(o *cluster.Object) bool {
	for _, t := range cluster.PodTemplates(o) {
		for i := range t.Containers {
			c := &t.Containers[i]
			for _, a := range slices.Concat(texts(c.Root.Get("command")), texts(c.Root.Get("args"))) {
				if list, ok := strings.CutPrefix(a, "--enable-admission-plugins="); ok && slices.Contains(strings.Split(list, ","), "ImagePolicyWebhook") {
					return true
				}
			}
		}
	}
	return false
}
