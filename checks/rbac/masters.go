package rbacchecks

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/rbac"
)

// masters reports what puts somebody into group system:masters: bindings other
// than the default one, certificate signing requests, and client certificates
// in kubeconfig files.
func masters(in *check.Input) {
	shipped := rbac.Defaults()
	for _, b := range rbac.Of(in.Snapshot).Bindings {
		if b.Object == nil || b.Name == "cluster-admin" && b.Cluster() {
			continue
		}
		if b.Malformed != "" {
			unresolved(in, b)
			continue
		}
		for i, s := range b.Subjects {
			if s.Kind == rbac.GroupKind && s.Name == rbac.Masters && !isDefault(shipped, b, s) {
				in.Report(check.Hit{
					Object: b.Object, Path: document.Index("subjects", i), Cause: s.String(),
					Message: fmt.Sprintf("%s bound to %s %s", s, b.RoleRef(), where(b)),
				})
			}
		}
	}
	for _, o := range in.Snapshot.Kind("CertificateSigningRequest") {
		if o.Group() == "certificates.k8s.io" && requestsMasters(o.Root.At("spec", "request").Str()) {
			in.Report(check.Hit{
				Object: o, Path: "spec.request",
				Message: "the request is for a certificate of organization system:masters",
			})
		}
	}
	for _, o := range in.Snapshot.Kind("Config") {
		if o.APIVersion == "v1" {
			reportKubeconfig(in, o)
		}
	}
}

func reportKubeconfig(in *check.Input, o *cluster.Object) {
	for i, user := range o.Root.Get("users").List() {
		if certifiesMasters(user.At("user", "client-certificate-data").Str()) {
			in.Report(check.Hit{
				Object: o, Path: document.Index("users", i) + ".user.client-certificate-data", Cause: user.Get("name").Str(),
				Message: fmt.Sprintf("the client certificate of user %q is of organization system:masters", user.Get("name").Str()),
			})
		}
	}
}

// requestsMasters reads a PEM certificate request in base64.
func requestsMasters(text string) bool {
	der, ok := decodePEM(text)
	if !ok {
		return false
	}
	req, err := x509.ParseCertificateRequest(der)
	return err == nil && slices.Contains(req.Subject.Organization, rbac.Masters)
}

// certifiesMasters reads a PEM certificate in base64.
func certifiesMasters(text string) bool {
	der, ok := decodePEM(text)
	if !ok {
		return false
	}
	cert, err := x509.ParseCertificate(der)
	return err == nil && slices.Contains(cert.Subject.Organization, rbac.Masters)
}

func decodePEM(text string) (der []byte, ok bool) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, false
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, false
	}
	return block.Bytes, true
}
