package bigcluster

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// authority is a cluster's own certificate authority.
type authority struct {
	key  ed25519.PrivateKey
	cert *x509.Certificate
	pem  string
}

// authority returns the authority of a cluster. Those of a fleet know each
// other's.
func (m *maker) authority(o Options) *authority {
	if a := m.authorities[o]; a != nil {
		return a
	}
	a := &authority{key: keyOf(fmt.Sprintf("%s/%d", o.Name, o.Seed))}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubernetes-" + o.Name},
		NotBefore: Time.AddDate(-2, 0, 0), NotAfter: Time.AddDate(8, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	a.pem = sign(a.cert, a.cert, a.key.Public(), a.key)
	m.authorities[o] = a
	return a
}

// keyOf makes a key that anybody can make again: it protects nothing.
func keyOf(seed string) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte("not a secret: " + seed))
	return ed25519.NewKeyFromSeed(sum[:])
}

func sign(cert, parent *x509.Certificate, public any, key ed25519.PrivateKey) string {
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, public, key) // Ed25519 asks for no randomness
	if err != nil {
		panic("bigcluster: signing a certificate: " + err.Error())
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// certificate makes a certificate for a host, by the cluster's own authority.
func (m *maker) certificate(host string) (cert, key string) {
	a := m.authority(m.c.o)
	private := keyOf(m.hex(32))
	cert = sign(&x509.Certificate{
		SerialNumber: big.NewInt(m.r.Int64()), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: Time.AddDate(0, -m.r.IntN(2), -1), NotAfter: Time.AddDate(0, 1+m.r.IntN(12), 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, private.Public(), a.key)
	return cert, pemKey(private)
}

func (m *maker) privateKey() string { return pemKey(keyOf(m.hex(32))) }

func pemKey(key ed25519.PrivateKey) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic("bigcluster: encoding a key: " + err.Error())
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func serverOf(o Options) string { return "https://api." + domainOf(o.Name) + ":6443" }

func issuerOf(o Options) string { return "https://oidc." + domainOf(o.Name) }

// token makes a token of a cluster's account in the form of a JWT, signed
// with the authority's key, which is not the one that signs tokens.
func (m *maker) token(o Options, namespace, account string) string {
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic("bigcluster: encoding a token: " + err.Error())
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := part(map[string]string{"alg": "EdDSA", "kid": "example", "typ": "JWT"}) + "." + part(map[string]any{
		"iss": issuerOf(o), "sub": "system:serviceaccount:" + namespace + ":" + account,
		"aud": []string{issuerOf(o)}, "iat": Time.Add(-24 * time.Hour).Unix(),
	})
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(m.authority(o).key, []byte(text)))
}

// kubeconfig makes one that leads to a cluster: as an account, or without any
// user when account is empty, as kubeadm publishes it.
func (m *maker) kubeconfig(o Options, namespace, account string) string {
	text := "apiVersion: v1\nkind: Config\nclusters:\n- name: " + o.Name + "\n  cluster:\n    server: " + serverOf(o) +
		"\n    certificate-authority-data: " + base64.StdEncoding.EncodeToString([]byte(m.authority(o).pem)) + "\n"
	if account == "" {
		return text
	}
	return text + "users:\n- name: " + account + "\n  user:\n    token: " + m.token(o, namespace, account) +
		"\ncontexts:\n- name: " + o.Name + "\n  context: {cluster: " + o.Name + ", user: " + account + "}\ncurrent-context: " + o.Name + "\n"
}

// dockerConfig makes the pull secret of a registry.
func (m *maker) dockerConfig(registry, user string) string {
	password := m.text(letters, 24)
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	return fmt.Sprintf(`{"auths":{%q:{"username":%q,"password":%q,"auth":%q}}}`, registry, user, password, auth)
}

// uidOf makes an identifier of a name, the same everywhere.
func uidOf(name string) string {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	return sum[:8] + "-" + sum[8:12] + "-4" + sum[13:16] + "-a" + sum[17:20] + "-" + sum[20:32]
}
