package signature

import (
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	sigstore "github.com/sigstore/sigstore/pkg/signature"
)

// Root is what a deployment of Sigstore is trusted by: its certificate
// authorities, transparency logs and clocks.
type Root struct{ material *root.TrustedRoot }

// maxRoot is the largest trusted root that is read; Sigstore's own has 7 KiB.
const maxRoot = 1 << 20

// ParseRoot reads a trusted_root.json. If it names logs of certificate
// transparency, certificates must prove that they were entered in one.
func ParseRoot(data []byte) (*Root, error) {
	if len(data) > maxRoot {
		return nil, fmt.Errorf("the trusted root has %d bytes, at most %d are read", len(data), maxRoot)
	}
	material, err := root.NewTrustedRootFromJSON(data)
	if err != nil {
		return nil, fmt.Errorf("the trusted root is not as it should be: %w", err)
	}
	return &Root{material}, nil
}

// Identity is who is trusted to sign keyless: the subject of a certificate, an
// address of mail or the URI of a workflow, and the issuer who says that it was
// them. Each is given whole or as a regular expression, which must match from
// the beginning to the end; both are needed.
type Identity struct {
	Issuer, IssuerPattern   string
	Subject, SubjectPattern string
}

func (i Identity) matcher() (verify.CertificateIdentity, error) {
	issuer, err := whole(i.IssuerPattern)
	if err != nil {
		return verify.CertificateIdentity{}, fmt.Errorf("the issuer's pattern: %w", err)
	}
	subject, err := whole(i.SubjectPattern)
	if err != nil {
		return verify.CertificateIdentity{}, fmt.Errorf("the subject's pattern: %w", err)
	}
	// An issuer alone would trust everybody whom it knows, and a subject alone
	// whoever runs an issuer.
	if i.Issuer == "" && issuer == "" || i.Subject == "" && subject == "" {
		return verify.CertificateIdentity{}, errors.New("an identity needs an issuer and a subject")
	}
	m, err := verify.NewShortCertificateIdentity(i.Issuer, issuer, i.Subject, subject)
	if err != nil {
		return m, fmt.Errorf("the identity: %w", err)
	}
	return m, nil
}

// whole makes a pattern match from the beginning to the end.
func whole(pattern string) (string, error) {
	if pattern == "" {
		return "", nil
	}
	if _, err := regexp.Compile(pattern); err != nil {
		return "", err //nolint:wrapcheck // says what is wrong
	}
	return "^(?:" + pattern + ")$", nil
}

// overPayload and overImage say what a signature is over.
func overPayload(payload []byte) verify.ArtifactPolicyOption {
	digest := sha256.Sum256(payload)
	return verify.WithArtifactDigest("sha256", digest[:])
}

func overImage(digest string) verify.ArtifactPolicyOption {
	sum, err := hex.DecodeString(strings.TrimPrefix(digest, "sha256:"))
	if err != nil {
		sum = nil // no artifact has this digest
	}
	return verify.WithArtifactDigest("sha256", sum)
}

// verifyEntity verifies a signature that came with a certificate.
func (p *Policy) verifyEntity(b *bundle.Bundle, over verify.ArtifactPolicyOption, proof *Proof) error {
	switch {
	case len(p.Identities) == 0:
		return errors.New("it is signed with a certificate, and no identity is trusted")
	case p.Root == nil:
		return errors.New("it is signed with a certificate, and no trusted root is given")
	}
	var who []verify.PolicyOption
	for _, i := range p.Identities {
		m, err := i.matcher()
		if err != nil {
			return err
		}
		who = append(who, verify.WithCertificateIdentity(m))
	}
	options := []verify.VerifierOption{verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1)}
	if len(p.Root.material.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	v, err := verify.NewVerifier(p.Root.material, options...)
	if err != nil {
		return fmt.Errorf("the trusted root: %w", err)
	}
	result, err := v.Verify(b, verify.NewPolicy(over, who...))
	if err != nil {
		return err //nolint:wrapcheck // says what was not verified
	}
	if result.Signature == nil || result.Signature.Certificate == nil {
		return errors.New("no certificate was verified")
	}
	proof.Identity = result.Signature.Certificate.SubjectAlternativeName
	proof.Issuer = result.Signature.Certificate.Issuer
	proof.Logged = true
	return nil
}

// logged says whether a transparency log proves a signature by key. Where the
// policy does not ask for it, a proof that is not sound is no proof and no
// failure: the key decides.
func (p *Policy) logged(c *Candidate, key *Key) (bool, error) {
	err := func() error {
		if c.log == nil && c.kind != typeBundlePrefix {
			return errors.New("there is no proof that it was entered in a transparency log")
		}
		if p.Root == nil {
			return errors.New("no trusted root is given that names transparency logs")
		}
		b, err := c.asBundle()
		if err != nil {
			return err
		}
		return p.verifyLogged(b, c, key)
	}()
	if err != nil && p.RequireLog {
		return false, err
	}
	return err == nil, nil
}

func (p *Policy) verifyLogged(b *bundle.Bundle, c *Candidate, key *Key) error {
	verifier, err := sigstore.LoadVerifier(key.public, crypto.SHA256)
	if err != nil {
		return fmt.Errorf("key %s: %w", key.Name, err)
	}
	always := root.NewExpiringKey(verifier, time.Time{}, time.Time{})
	keys := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) { return always, nil })
	v, err := verify.NewVerifier(root.TrustedMaterialCollection{p.Root.material, keys}, verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1))
	if err != nil {
		return fmt.Errorf("the trusted root: %w", err)
	}
	over := verify.WithoutArtifactUnsafe() // what an envelope is about is looked at by who asks
	if c.kind == typeSimpleSigning {
		over = overPayload(c.payload)
	}
	_, err = v.Verify(b, verify.NewPolicy(over, verify.WithKey()))
	return err //nolint:wrapcheck // says what was not verified
}

// verifyBundle verifies a bundle of Sigstore, by certificate or by key.
func (c *Candidate) verifyBundle(digest string, p *Policy) (*Proof, error) {
	b, err := c.asBundle()
	if err != nil {
		return nil, err
	}
	content, err := b.VerificationContent()
	if err != nil {
		return nil, fmt.Errorf("the bundle: %w", err)
	}
	signed, err := b.SignatureContent()
	if err != nil {
		return nil, fmt.Errorf("the bundle: %w", err)
	}
	proof := &Proof{Source: c.Source}
	switch holds := signed.EnvelopeContent(); {
	case content.Certificate() != nil:
		if err := p.verifyEntity(b, overImage(digest), proof); err != nil {
			return nil, err
		}
		if holds == nil {
			return proof, nil // a signature over the image's digest
		}
	case holds == nil:
		return nil, errors.New("a bundle that is signed with a key must hold an attestation")
	}
	e, err := b.Envelope()
	if err != nil {
		return nil, fmt.Errorf("the bundle: %w", err)
	}
	raw, err := json.Marshal(e.Envelope)
	if err != nil {
		return nil, fmt.Errorf("the bundle's envelope: %w", err)
	}
	var own envelope
	if err := json.Unmarshal(raw, &own); err != nil {
		return nil, fmt.Errorf("the bundle's envelope: %w", err)
	}
	payload, err := decode(own.Payload)
	if err != nil {
		return nil, fmt.Errorf("the bundle's payload: %w", err)
	}
	if own.PayloadType != payloadInToto {
		return nil, fmt.Errorf("the bundle holds a %.200q and no statement of in-toto", own.PayloadType)
	}
	if content.Certificate() == nil {
		if err := p.verifyEnvelopeByKey(c, &own, payload, proof); err != nil {
			return nil, err
		}
	}
	if proof.Statement, err = readStatement(payload, digest); err != nil {
		return nil, err
	}
	return proof, nil
}

// logEntry is the bundle annotation of cosign: a promise by Rekor to enter a
// signature.
type logEntry struct {
	SignedEntryTimestamp []byte
	Payload              struct {
		Body           []byte `json:"body"`
		IntegratedTime int64  `json:"integratedTime"`
		LogIndex       int64  `json:"logIndex"`
		LogID          string `json:"logID"`
	}
	id            []byte
	kind, version string
}

func parseLogEntry(data []byte) (*logEntry, error) {
	var l logEntry
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, fmt.Errorf("the annotation with the transparency log's entry is not as it should be: %w", err)
	}
	var err error
	if l.id, err = hex.DecodeString(l.Payload.LogID); err != nil {
		return nil, errors.New("the transparency log's ID is not hexadecimal")
	}
	var body struct{ Kind, APIVersion string }
	if err := json.Unmarshal(l.Payload.Body, &body); err != nil {
		return nil, fmt.Errorf("the transparency log's entry is not as it should be: %w", err)
	}
	l.kind, l.version = body.Kind, body.APIVersion
	return &l, nil
}

// asBundle gives a candidate the form of a bundle of Sigstore, in which one
// verifier reads all.
func (c *Candidate) asBundle() (*bundle.Bundle, error) {
	data := c.payload
	if c.kind != typeBundlePrefix {
		var err error
		if data, err = c.bundleJSON(); err != nil {
			return nil, err
		}
	}
	b := new(bundle.Bundle)
	if err := b.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("the bundle is not as it should be: %w", err)
	}
	return b, nil
}

// bundleJSON writes version 0.1 of the format, in which a log's promise is
// enough: it is all that cosign kept.
func (c *Candidate) bundleJSON() ([]byte, error) {
	type object map[string]any
	material := object{"publicKey": object{"hint": ""}}
	if len(c.certificate) > 0 {
		block, _ := pem.Decode(c.certificate)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("the annotation with the certificate is not PEM")
		}
		// The chain beside it is not looked at: the trusted root has its own.
		material = object{"x509CertificateChain": object{"certificates": []object{{"rawBytes": block.Bytes}}}}
	}
	if l := c.log; l != nil {
		material["tlogEntries"] = []object{{
			"logIndex":          strconv.FormatInt(l.Payload.LogIndex, 10),
			"logId":             object{"keyId": l.id},
			"kindVersion":       object{"kind": l.kind, "version": l.version},
			"integratedTime":    strconv.FormatInt(l.Payload.IntegratedTime, 10),
			"inclusionPromise":  object{"signedEntryTimestamp": l.SignedEntryTimestamp},
			"canonicalizedBody": l.Payload.Body,
		}}
	}
	b := object{"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1", "verificationMaterial": material}
	if c.kind == typeEnvelope {
		b["dsseEnvelope"] = json.RawMessage(c.payload)
	} else {
		digest := sha256.Sum256(c.payload)
		b["messageSignature"] = object{
			"messageDigest": object{"algorithm": "SHA2_256", "digest": digest[:]}, "signature": c.signature,
		}
	}
	data, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("the envelope is not as it should be: %w", err)
	}
	return data, nil
}
