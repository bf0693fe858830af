package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"
)

func TestIssue(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	ca, err := NewAuthority("test-ca", now)
	if err != nil {
		t.Fatal(err)
	}
	root, err := ca.Pair()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root.Cert) {
		t.Fatal("the authority's own certificate is not PEM")
	}

	tests := []struct {
		name   string
		in     Subject
		verify x509.VerifyOptions
		want   bool
	}{
		{
			"server-by-name",
			Subject{Name: "api", Hosts: []string{"kubernetes", "10.96.0.1"}},
			x509.VerifyOptions{DNSName: "kubernetes"},
			true,
		},
		{
			"server-by-address",
			Subject{Name: "api", Hosts: []string{"kubernetes", "10.96.0.1"}},
			x509.VerifyOptions{DNSName: "10.96.0.1"},
			true,
		},
		{
			"server-of-another-name",
			Subject{Name: "api", Hosts: []string{"kubernetes"}},
			x509.VerifyOptions{DNSName: "etcd"},
			false,
		},
		{
			"client",
			Subject{Name: "admin", Group: "system:masters"},
			x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
			true,
		},
		{
			"client-is-no-server",
			Subject{Name: "admin"},
			x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
			false,
		},
		{
			"expired",
			Subject{Name: "admin"},
			x509.VerifyOptions{
				CurrentTime: now.Add(lifetime + time.Second),
				KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			},
			false,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pair, err := ca.Issue(test.in)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tls.X509KeyPair(pair.Cert, pair.Key); err != nil {
				t.Fatalf("certificate and key do not belong together: %v", err)
			}
			cert := parse(t, pair.Cert)
			if got := cert.Subject.CommonName; got != test.in.Name {
				t.Errorf("common name %q, want %q", got, test.in.Name)
			}
			if test.in.Group != "" && (len(cert.Subject.Organization) != 1 || cert.Subject.Organization[0] != test.in.Group) {
				t.Errorf("organisation %q, want %q", cert.Subject.Organization, test.in.Group)
			}
			options := test.verify
			options.Roots = roots
			if options.CurrentTime.IsZero() {
				options.CurrentTime = now
			}
			_, err = cert.Verify(options)
			if got := err == nil; got != test.want {
				t.Errorf("verified %t (%v), want %t", got, err, test.want)
			}
		})
	}
}

func TestSigningKey(t *testing.T) {
	private, public, err := SigningKey()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(private)
	if block == nil || block.Type != "PRIVATE KEY" {
		t.Fatalf("private key is %v, want a PRIVATE KEY block", block)
	}
	block, _ = pem.Decode(public)
	if block == nil || block.Type != "PUBLIC KEY" {
		t.Fatalf("public key is %v, want a PUBLIC KEY block", block)
	}
	if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		t.Error(err)
	}
}

func parse(t *testing.T, cert []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(cert)
	if block == nil {
		t.Fatal("certificate is not PEM")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
