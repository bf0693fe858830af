package configchecks

import (
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
)

// noSecretStore reports a whole cluster that keeps Secrets and has neither an
// external store for them nor encryption by a KMS, once, on the namespace
// kube-system or else the first.
func noSecretStore(in *check.Input) {
	s := in.Snapshot
	if !s.Whole || !keepsSecrets(s) {
		return
	}
	for _, o := range s.Objects {
		if isSecretStore(o) || isKMS(o) {
			return
		}
	}
	if where := s.SystemNamespace(); where != nil {
		in.Report(check.Hit{Object: where, Path: "metadata.name"})
	}
}

// keepsSecrets says that there are Secrets of applications.
func keepsSecrets(s *cluster.Snapshot) bool {
	for _, o := range s.Kind("Secret") {
		if kind := o.Root.Get("type").Str(); o.Group() == "" && (kind == "" || kind == "Opaque") {
			return true
		}
	}
	return false
}

// isSecretStore tells objects that only stand where Secrets come from outside:
// those of External Secrets, Sealed Secrets, the Secrets Store CSI driver,
// Vault's operator, and the injectors of Vault and 1Password.
func isSecretStore(o *cluster.Object) bool {
	switch g := o.Group(); g {
	case "external-secrets.io", "generators.external-secrets.io", "kubernetes-client.io", "bitnami.com", "secrets.hashicorp.com",
		"secrets-store.csi.x-k8s.io", "onepassword.com", "secrets.doppler.com", "secrets.infisical.com", "akeyless.io", "isindir.github.com":
		return true
	case "storage.k8s.io":
		return o.Kind == "CSIDriver" && o.Name == "secrets-store.csi.k8s.io"
	case "apiextensions.k8s.io":
		return strings.HasSuffix(o.Name, ".external-secrets.io") || o.Name == "sealedsecrets.bitnami.com" ||
			o.Name == "secretproviderclasses.secrets-store.csi.x-k8s.io" || strings.HasSuffix(o.Name, ".secrets.hashicorp.com")
	case "admissionregistration.k8s.io":
		return o.Kind == "MutatingWebhookConfiguration" && strings.Contains(o.Name, "vault")
	}
	return false
}

// isKMS tells a configuration of encryption at rest that asks a KMS.
func isKMS(o *cluster.Object) bool {
	if o.Kind != "EncryptionConfiguration" {
		return false
	}
	for _, r := range o.Root.Get("resources").List() {
		for _, p := range r.Get("providers").List() {
			if p.Get("kms") != nil {
				return true
			}
		}
	}
	return false
}
