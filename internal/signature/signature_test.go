package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"
)

var (
	image = "sha256:" + strings.Repeat("ab", 32) //nolint:gochecknoglobals // constant
	other = "sha256:" + strings.Repeat("cd", 32) //nolint:gochecknoglobals // constant
)

func payloadOf(digest string) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"example.com/app"},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":{"env":"prod"}}`, digest)
}

func statementOf(digest, predicateType, predicate string) []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{"sha256":%q}}],"predicateType":%q,"predicate":%s}`,
		strings.TrimPrefix(digest, "sha256:"), predicateType, predicate)
}

const (
	slsa1 = `{"buildDefinition":{"buildType":"t","externalParameters":{"workflow":{"repository":"https://github.com/org/app","ref":"refs/heads/main"}}},"runDetails":{"builder":{"id":"https://github.com/slsa/gen@refs/tags/v2"}}}`
	slsa0 = `{"builder":{"id":"https://cloudbuild/x"},"invocation":{"configSource":{"uri":"git+https://user@github.com/org/app.git@refs/tags/v1"}}}`
)

func ecdsaKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func pemKey(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func trust(t testing.TB, name string, public crypto.PublicKey) *Key {
	t.Helper()
	k, err := ParseKey(name, pemKey(t, public))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, k crypto.Signer, message []byte, h crypto.Hash) []byte {
	t.Helper()
	digest := message
	if h != 0 {
		digest = sum(h, message)
	}
	sig, err := k.Sign(rand.Reader, digest, h)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func simple(t testing.TB, payload, sig []byte, more map[string]string) *Candidate {
	t.Helper()
	annotations := map[string]string{annotationSignature: base64.StdEncoding.EncodeToString(sig)}
	maps.Copy(annotations, more)
	c, err := Parse("sig", typeSimpleSigning, annotations, payload)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// envelopeOf returns a DSSE envelope that is signed with the key.
func envelopeOf(t testing.TB, k crypto.Signer, statement []byte) *Candidate {
	t.Helper()
	sig := sign(t, k, encoding(payloadInToto, statement), crypto.SHA256)
	data, err := json.Marshal(map[string]any{
		"payloadType": payloadInToto, "payload": statement, "signatures": []map[string]any{{"sig": sig}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse("att", typeEnvelope, nil, data)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// judge says what a policy makes of one candidate: the status, and why not.
func judge(c *Candidate, p *Policy) (status Status, reason string, v *Verdict) {
	v = Verify(image, []*Candidate{c}, nil, nil, p)
	if len(v.Failures) > 0 {
		reason = v.Failures[0].Reason
	}
	return v.Status, reason, v
}

func TestKeys(t *testing.T) {
	p256 := ecdsaKey(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	payload := payloadOf(image)
	pss, err := rsaKey.Sign(rand.Reader, sum(crypto.SHA256, payload), &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthAuto})
	if err != nil {
		t.Fatal(err)
	}
	prehashed, err := ed.Sign(rand.Reader, sum(crypto.SHA512, payload), &ed25519.Options{Hash: crypto.SHA512})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key crypto.Signer
		sig []byte
	}{
		"P-256":             {p256, sign(t, p256, payload, crypto.SHA256)},
		"P-384 as cosign":   {p384, sign(t, p384, payload, crypto.SHA256)},
		"P-384 as Sigstore": {p384, sign(t, p384, payload, crypto.SHA384)},
		"RSA PKCS 1":        {rsaKey, sign(t, rsaKey, payload, crypto.SHA256)},
		"RSA PSS":           {rsaKey, pss},
		"Ed25519":           {ed, sign(t, ed, payload, 0)},
		"Ed25519ph":         {ed, prehashed},
	} {
		t.Run(name, func(t *testing.T) {
			p := &Policy{Keys: []*Key{trust(t, "wrong.pub", ecdsaKey(t).Public()), trust(t, "right.pub", c.key.Public())}}
			status, reason, v := judge(simple(t, payload, c.sig, nil), p)
			if status != Verified || v.By[0].Key != "right.pub" || v.By[0].Logged || v.By[0].Annotations["env"] != "prod" {
				t.Errorf("%s: %s %+v", status, reason, v.By)
			}
			changed := append([]byte{}, c.sig...)
			changed[len(changed)-1] ^= 1
			if status, reason, _ := judge(simple(t, payload, changed, nil), p); status != Untrusted || !strings.Contains(reason, "none of the 2 keys") {
				t.Errorf("changed signature: %s %s", status, reason)
			}
			if status, _, _ := judge(simple(t, append(payload, ' '), c.sig, nil), p); status != Untrusted {
				t.Errorf("changed payload: %s", status)
			}
		})
	}
}

func TestParseKeyRefuses(t *testing.T) {
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(ecdsaKey(t))
	if err != nil {
		t.Fatal(err)
	}
	// A modulus of 1024 bits; that it is no product of primes does not matter.
	short := rsa.PublicKey{E: 65537, N: ecdsaKey(t).X}
	for want, data := range map[string][]byte{
		"is not PEM":     []byte("key"),
		"P-224":          pemKey(t, p224.Public()),
		"no public key":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		"at least 2048":  pemKey(t, &short),
		"key k: asn1: s": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}),
	} {
		if _, err := ParseKey("k", data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestSimpleSigningByKey(t *testing.T) {
	k := ecdsaKey(t)
	trusted := []*Key{trust(t, "k.pub", k.Public())}
	signed := func(payload string) *Candidate {
		return simple(t, []byte(payload), sign(t, k, []byte(payload), crypto.SHA256), nil)
	}
	good := signed(string(payloadOf(image)))
	for name, c := range map[string]struct {
		candidate *Candidate
		policy    Policy
		want      string // why not
	}{
		"sound":              {good, Policy{Keys: trusted}, ""},
		"annotation":         {good, Policy{Keys: trusted, Annotations: map[string]string{"env": "prod"}}, ""},
		"other annotation":   {good, Policy{Keys: trusted, Annotations: map[string]string{"env": "test"}}, `annotation env is "prod"`},
		"missing annotation": {good, Policy{Keys: trusted, Annotations: map[string]string{"x": ""}}, "annotation x"},
		"attestation wanted": {good, Policy{Keys: trusted, Predicate: Provenance}, "no attestation"},
		"log wanted":         {good, Policy{Keys: trusted, RequireLog: true}, "no proof that it was entered"},
		"nobody trusted":     {good, Policy{}, "trusts nobody"},
		"identities only":    {good, Policy{Identities: []Identity{{Issuer: "i", Subject: "s"}}}, "no key is trusted"},
		"other image":        {signed(string(payloadOf(other))), Policy{Keys: trusted}, "another image"},
		"no image":           {signed(`{"critical":{"type":"cosign container image signature"}}`), Policy{Keys: trusted}, "names no image"},
		"something else":     {signed(`{"critical":{"type":"atomic"}}`), Policy{Keys: trusted}, "no signature of an image"},
		"no JSON":            {signed(`x`), Policy{Keys: trusted}, "not as it should be"},
	} {
		t.Run(name, func(t *testing.T) {
			status, reason, _ := judge(c.candidate, &c.policy)
			if (status == Verified) != (c.want == "") || !strings.Contains(reason, c.want) {
				t.Errorf("%s %q, want %q", status, reason, c.want)
			}
		})
	}
}

func TestVerdicts(t *testing.T) {
	k := ecdsaKey(t)
	good := simple(t, payloadOf(image), sign(t, k, payloadOf(image), crypto.SHA256), nil)
	bad := simple(t, payloadOf(image), []byte("x"), nil)
	p := &Policy{Keys: []*Key{trust(t, "k", k.Public())}}
	cut := errors.New("the registry cannot be reached")
	malformed := []Failure{{"x", "malformed"}}
	for _, c := range []struct {
		candidates []*Candidate
		failures   []Failure
		incomplete error
		want       Status
	}{
		{nil, nil, nil, Unsigned},
		{nil, nil, cut, Unknown},
		{nil, malformed, nil, Untrusted},
		{[]*Candidate{bad}, nil, nil, Untrusted},
		{[]*Candidate{bad}, nil, cut, Unknown},
		{[]*Candidate{bad, good}, malformed, cut, Verified},
	} {
		v := Verify(image, c.candidates, c.failures, c.incomplete, p)
		if v.Status != c.want || (v.Reason != "") != (c.want == Unknown) {
			t.Errorf("%d candidates, %v, %v: %s %q, want %s", len(c.candidates), c.failures, c.incomplete, v.Status, v.Reason, c.want)
		}
	}
	if v := Verify("sha512:00", []*Candidate{good}, nil, nil, p); v.Status != Untrusted {
		t.Errorf("another algorithm: %s", v.Status)
	}
}

func TestAttestationsByKey(t *testing.T) {
	k := ecdsaKey(t)
	keys := []*Key{trust(t, "k.pub", k.Public())}
	v1, v02 := "https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"
	for name, c := range map[string]struct {
		statement []byte
		policy    Policy
		want      string
	}{
		"provenance 1":     {statementOf(image, v1, slsa1), Policy{Keys: keys, Predicate: Provenance, Builder: "https://github.com/slsa/gen@*", SourceRepository: "https://github.com/org/app"}, ""},
		"provenance 0.2":   {statementOf(image, v02, slsa0), Policy{Keys: keys, Predicate: v02, Builder: "https://cloudbuild/x", SourceRepository: "https://user@github.com/org/app"}, ""},
		"other builder":    {statementOf(image, v1, slsa1), Policy{Keys: keys, Predicate: v1, Builder: "https://github.com/slsa/gen"}, "it was built by"},
		"other repository": {statementOf(image, v1, slsa1), Policy{Keys: keys, Predicate: v1, SourceRepository: "https://github.com/org/ap"}, "it was built from"},
		"other predicate":  {statementOf(image, "https://spdx.dev/Document", `{}`), Policy{Keys: keys, Predicate: Provenance}, "of type"},
		"empty provenance": {statementOf(image, v1, `"x"`), Policy{Keys: keys, Predicate: Provenance}, "not as it should be"},
		"other image":      {statementOf(other, v1, slsa1), Policy{Keys: keys, Predicate: Provenance}, "another image"},
		"no signature":     {statementOf(image, v1, slsa1), Policy{Keys: keys}, "no signature"},
		"signature of 3":   {statementOf(image, predicateCosignSign, `{}`), Policy{Keys: keys}, ""},
		"other key":        {statementOf(image, v1, slsa1), Policy{Keys: []*Key{trust(t, "o", ecdsaKey(t).Public())}, Predicate: Provenance}, "not signed with the key o"},
		"no statement":     {[]byte(`{"_type":"x"}`), Policy{Keys: keys, Predicate: Provenance}, "no statement"},
	} {
		t.Run(name, func(t *testing.T) {
			status, reason, _ := judge(envelopeOf(t, k, c.statement), &c.policy)
			if (status == Verified) != (c.want == "") || !strings.Contains(reason, c.want) {
				t.Errorf("%s %q, want %q", status, reason, c.want)
			}
		})
	}
}

const (
	workflow = "https://github.com/org/app/.github/workflows/release.yml@refs/tags/v1"
	issuer   = "https://token.actions.githubusercontent.com"
)

// trustedRoot is the file that trusts a Sigstore of the test, with its
// certificate transparency logs or without.
func trustedRoot(t testing.TB, s *ca.VirtualSigstore, ct bool) *Root {
	t.Helper()
	ctLogs := map[string]*root.TransparencyLog{}
	if ct {
		ctLogs = rawIDs(t, s.CTLogs())
	}
	r, err := root.NewTrustedRoot(root.TrustedRootMediaType01, s.FulcioCertificateAuthorities(), ctLogs, s.TimestampingAuthorities(), rawIDs(t, s.RekorLogs()))
	if err != nil {
		t.Fatal(err)
	}
	data, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := ParseRoot(data)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// rawIDs gives logs their IDs in bytes, as the file has them.
func rawIDs(t testing.TB, logs map[string]*root.TransparencyLog) map[string]*root.TransparencyLog {
	t.Helper()
	for id, log := range logs {
		raw, err := hex.DecodeString(id)
		if err != nil {
			t.Fatal(err)
		}
		log.ID = raw
	}
	return logs
}

func virtual(t testing.TB) *ca.VirtualSigstore {
	t.Helper()
	s, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// beside is how cosign keeps the certificate and the log's promise.
func beside(t testing.TB, s *ca.VirtualSigstore, e verify.SignedEntity) map[string]string {
	t.Helper()
	content, err := e.VerificationContent()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := e.TlogEntries()
	if err != nil {
		t.Fatal(err)
	}
	entry := entries[0].TransparencyLogEntry()
	promise, err := s.RekorSignPayload(tlog.RekorPayload{
		Body: entries[0].Body(), IntegratedTime: entry.IntegratedTime, LogIndex: entry.LogIndex, LogID: hex.EncodeToString(entry.LogId.KeyId),
	})
	if err != nil {
		t.Fatal(err)
	}
	log, err := json.Marshal(map[string]any{
		"SignedEntryTimestamp": promise,
		"Payload": map[string]any{
			"body": entry.CanonicalizedBody, "integratedTime": entry.IntegratedTime, "logIndex": entry.LogIndex, "logID": hex.EncodeToString(entry.LogId.KeyId),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		annotationCertificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: content.Certificate().Raw})),
		annotationBundle:      string(log),
	}
}

// keyless returns a simple signature by an identity.
func keyless(t testing.TB, s *ca.VirtualSigstore, payload []byte, at time.Time) *Candidate {
	t.Helper()
	e, err := s.SignAtTime(workflow, issuer, payload, at)
	if err != nil {
		t.Fatal(err)
	}
	content, err := e.SignatureContent()
	if err != nil {
		t.Fatal(err)
	}
	return simple(t, payload, content.Signature(), beside(t, s, e))
}

func TestKeyless(t *testing.T) {
	s := virtual(t)
	trusted, elsewhere := trustedRoot(t, s, false), trustedRoot(t, virtual(t), false)
	exact := []Identity{{Issuer: issuer, Subject: workflow}}
	now := time.Now().Add(5 * time.Minute)
	good := keyless(t, s, payloadOf(image), now)
	unlogged := *good
	unlogged.log = nil
	moved := *good
	log := *good.log
	log.Payload.IntegratedTime++
	moved.log = &log
	swapped := *good
	swapped.certificate = keyless(t, s, payloadOf(image), now).certificate
	for name, c := range map[string]struct {
		candidate *Candidate
		policy    Policy
		want      string
	}{
		"sound":                   {good, Policy{Root: trusted, Identities: exact}, ""},
		"by patterns":             {good, Policy{Root: trusted, Identities: []Identity{{IssuerPattern: `https://token\..*`, SubjectPattern: `https://github\.com/org/.*`}}}, ""},
		"second identity":         {good, Policy{Root: trusted, Identities: append([]Identity{{Issuer: "x", Subject: "y"}}, exact...)}, ""},
		"part of the subject":     {good, Policy{Root: trusted, Identities: []Identity{{Issuer: issuer, SubjectPattern: `github\.com/org`}}}, "identity"},
		"other issuer":            {good, Policy{Root: trusted, Identities: []Identity{{Issuer: "https://accounts.example.com", Subject: workflow}}}, "identity"},
		"issuer alone":            {good, Policy{Root: trusted, Identities: []Identity{{Issuer: issuer}}}, "needs an issuer and a subject"},
		"pattern that is none":    {good, Policy{Root: trusted, Identities: []Identity{{Issuer: issuer, SubjectPattern: "("}}}, "the subject's pattern"},
		"other root":              {good, Policy{Root: elsewhere, Identities: exact}, "log inclusion"},
		"no root":                 {good, Policy{Identities: exact}, "no trusted root"},
		"keys only":               {good, Policy{Root: trusted, Keys: []*Key{trust(t, "k", ecdsaKey(t).Public())}}, "no identity is trusted"},
		"transparency of no log":  {good, Policy{Root: trustedRoot(t, s, true), Identities: exact}, "signed certificate timestamp"},
		"not logged":              {&unlogged, Policy{Root: trusted, Identities: exact}, "log"},
		"other time in the log":   {&moved, Policy{Root: trusted, Identities: exact}, "log"},
		"certificate of another":  {&swapped, Policy{Root: trusted, Identities: exact}, "verif"},
		"signed after it ran out": {keyless(t, s, payloadOf(image), time.Now().Add(55*time.Minute)), Policy{Root: trusted, Identities: exact}, "certificate"},
		"other image":             {keyless(t, s, payloadOf(other), now), Policy{Root: trusted, Identities: exact}, "another image"},
	} {
		t.Run(name, func(t *testing.T) {
			status, reason, v := judge(c.candidate, &c.policy)
			if (status == Verified) != (c.want == "") || !strings.Contains(reason, c.want) {
				t.Fatalf("%s %q, want %q", status, reason, c.want)
			}
			if status == Verified && (v.By[0].Identity != workflow || v.By[0].Issuer != issuer || !v.By[0].Logged) {
				t.Errorf("by %+v", v.By[0])
			}
		})
	}
}

func TestKeylessAttestation(t *testing.T) {
	s := virtual(t)
	statement := statementOf(image, "https://slsa.dev/provenance/v1", slsa1)
	e, err := s.AttestAtTime(workflow, issuer, statement, time.Now().Add(5*time.Minute), true)
	if err != nil {
		t.Fatal(err)
	}
	content, err := e.SignatureContent()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(content.EnvelopeContent().RawEnvelope())
	if err != nil {
		t.Fatal(err)
	}
	att, err := Parse("att", typeEnvelope, beside(t, s, e), raw)
	if err != nil {
		t.Fatal(err)
	}
	verification, err := e.VerificationContent()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := e.TlogEntries()
	if err != nil {
		t.Fatal(err)
	}
	data, err := protojson.Marshal(entries[0].TransparencyLogEntry())
	if err != nil {
		t.Fatal(err)
	}
	entry := map[string]any{}
	if err := json.Unmarshal(data, &entry); err != nil {
		t.Fatal(err)
	}
	entry["kindVersion"] = map[string]string{"kind": att.log.kind, "version": att.log.version}
	entry["inclusionPromise"] = map[string]any{"signedEntryTimestamp": att.log.SignedEntryTimestamp}
	file, err := json.Marshal(map[string]any{
		"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": map[string]any{
			"certificate": map[string]any{"rawBytes": verification.Certificate().Raw}, "tlogEntries": []any{entry},
		},
		"dsseEnvelope": json.RawMessage(raw),
	})
	if err != nil {
		t.Fatal(err)
	}
	bundled, err := ParseFile("bundle", file)
	if err != nil {
		t.Fatal(err)
	}
	p := &Policy{
		Root: trustedRoot(t, s, false), Identities: []Identity{{Issuer: issuer, Subject: workflow}},
		Predicate: Provenance, SourceRepository: "https://github.com/org/app",
	}
	for name, c := range map[string]*Candidate{"attestation": att, "bundle": bundled} {
		t.Run(name, func(t *testing.T) {
			status, reason, v := judge(c, p)
			if status != Verified || v.By[0].Statement.Builder != "https://github.com/slsa/gen@refs/tags/v2" || v.By[0].Identity != workflow {
				t.Fatalf("%s %s", status, reason)
			}
			if v := Verify(other, []*Candidate{c}, nil, nil, p); v.Status != Untrusted {
				t.Errorf("for another image: %s", v.Status)
			}
		})
	}
}

// TestLoggedKey proves by Rekor's promise when a signature by key was made.
func TestLoggedKey(t *testing.T) {
	s, k := virtual(t), ecdsaKey(t)
	payload := payloadOf(image)
	sig := sign(t, k, payload, crypto.SHA256)
	id, err := s.RekorLogID()
	if err != nil {
		t.Fatal(err)
	}
	entry := func(sig []byte, public crypto.PublicKey) map[string]string {
		body := fmt.Appendf(nil, `{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":"%x"}},"signature":{"content":%q,"publicKey":{"content":%q}}}}`,
			sum(crypto.SHA256, payload), base64.StdEncoding.EncodeToString(sig), base64.StdEncoding.EncodeToString(pemKey(t, public)))
		at := time.Now().Unix()
		promise, err := s.RekorSignPayload(tlog.RekorPayload{Body: base64.StdEncoding.EncodeToString(body), IntegratedTime: at, LogIndex: 7, LogID: id})
		if err != nil {
			t.Fatal(err)
		}
		log, err := json.Marshal(map[string]any{
			"SignedEntryTimestamp": promise, "Payload": map[string]any{"body": body, "integratedTime": at, "logIndex": 7, "logID": id},
		})
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{annotationBundle: string(log)}
	}
	good := entry(sig, k.Public())
	keys := []*Key{trust(t, "k.pub", k.Public())}
	for name, c := range map[string]struct {
		beside map[string]string
		root   *Root
		logged bool
	}{
		"sound":             {good, trustedRoot(t, s, false), true},
		"nothing beside":    {nil, trustedRoot(t, s, false), false},
		"no root":           {good, nil, false},
		"other log":         {good, trustedRoot(t, virtual(t), false), false},
		"other signature":   {entry(sign(t, k, []byte("x"), crypto.SHA256), k.Public()), trustedRoot(t, s, false), false},
		"other key's entry": {entry(sig, ecdsaKey(t).Public()), trustedRoot(t, s, false), false},
	} {
		t.Run(name, func(t *testing.T) {
			candidate := simple(t, payload, sig, c.beside)
			p := &Policy{Keys: keys, Root: c.root}
			if status, reason, v := judge(candidate, p); status != Verified || v.By[0].Logged != c.logged {
				t.Fatalf("%s %s, logged should be %v", status, reason, c.logged)
			}
			p.RequireLog = true
			if status, reason, _ := judge(candidate, p); (status == Verified) != c.logged {
				t.Errorf("with a log asked for: %s %s", status, reason)
			}
		})
	}
}

func TestKeyedBundle(t *testing.T) {
	k := ecdsaKey(t)
	inner := envelopeOf(t, k, statementOf(image, predicateCosignSign, `{}`))
	file := fmt.Appendf(nil, `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"x"}},"dsseEnvelope":%s}`, inner.payload)
	c, err := ParseFile("bundle", file)
	if err != nil {
		t.Fatal(err)
	}
	p := &Policy{Keys: []*Key{trust(t, "k.pub", k.Public())}}
	if status, reason, v := judge(c, p); status != Verified || v.By[0].Key != "k.pub" {
		t.Errorf("%s %s", status, reason)
	}
	if v := Verify(other, []*Candidate{c}, nil, nil, p); v.Status != Untrusted {
		t.Errorf("for another image: %s", v.Status)
	}
	p.Keys = []*Key{trust(t, "o.pub", ecdsaKey(t).Public())}
	if status, reason, _ := judge(c, p); status != Untrusted || !strings.Contains(reason, "o.pub") {
		t.Errorf("by another key: %s %s", status, reason)
	}
}

func FuzzParse(f *testing.F) {
	k := ecdsaKey(f)
	digest := sha256.Sum256([]byte("x"))
	env := envelopeOf(f, k, statementOf(image, "https://slsa.dev/provenance/v1", slsa1))
	s := virtual(f)
	less := keyless(f, s, payloadOf(image), time.Now().Add(5*time.Minute))
	bundled, err := less.bundleJSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(typeEnvelope, env.payload, "", "")
	f.Add(typeSimpleSigning, payloadOf(image), string(less.certificate), `{"Payload":{"body":"e30="}}`)
	f.Add(typeBundlePrefix, bundled, "", "")
	f.Add(typeBundlePrefix, []byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{}}`), "", "")
	p := &Policy{
		Keys: []*Key{trust(f, "k", ecdsaKey(f).Public())}, Root: trustedRoot(f, virtual(f), false),
		Identities: []Identity{{IssuerPattern: ".*", SubjectPattern: ".*"}}, Predicate: Provenance,
	}
	f.Fuzz(func(t *testing.T, mediaType string, blob []byte, certificate, log string) {
		annotations := map[string]string{
			annotationSignature: base64.StdEncoding.EncodeToString(digest[:]), annotationCertificate: certificate, annotationBundle: log,
		}
		for _, parse := range []func() (*Candidate, error){
			func() (*Candidate, error) { return Parse("x", mediaType, annotations, blob) },
			func() (*Candidate, error) { return ParseFile("x", blob) },
		} {
			c, err := parse()
			if err != nil {
				continue
			}
			// Nobody whom the policy trusts has signed anything here.
			if v := Verify(image, []*Candidate{c}, nil, nil, p); v.Status != Untrusted {
				t.Fatalf("%s by %+v", v.Status, v.By)
			}
		}
	})
}
