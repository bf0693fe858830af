// Package signature verifies who vouches for an image: signatures and
// attestations of cosign, made with keys or, keyless, with certificates that
// Fulcio issued for an identity, in all forms in which they lie beside images:
// simple signing payloads, DSSE envelopes, and bundles of Sigstore.
//
// Nothing is asked over the network. What is trusted is given by the caller:
// public keys, and a trusted root of Sigstore as its file trusted_root.json. That
// a signature was entered in a transparency log is proved by what lies beside the
// signature, not by asking the log.
package signature

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Status is what is known of who vouches for an image.
type Status string

// The statuses.
const (
	// Verified: a signature or attestation that the policy asks for is sound.
	Verified Status = "verified"
	// Unsigned: the image was looked up, and nothing is there.
	Unsigned Status = "unsigned"
	// Untrusted: there is something, and none of it is sound and by whom the policy
	// trusts.
	Untrusted Status = "untrusted"
	// Unknown: it could not be found out whether there is something.
	Unknown Status = "unknown"
)

// Verdict says who vouches for an image.
type Verdict struct {
	Status Status
	// By lists all that verified, in the order in which it was found.
	By []Proof
	// Failures say why each of the others did not verify.
	Failures []Failure
	// Reason is set for Unknown.
	Reason string
}

// Proof is one signature or attestation that verified.
type Proof struct {
	// Source is the candidate's.
	Source string
	// Key is the name of the key that verified, empty where a certificate did.
	Key string
	// Identity and Issuer are of the certificate: who signed, an address or the URI
	// of a workflow, and who says so.
	Identity, Issuer string
	// Logged says that a transparency log proves when this was signed.
	Logged bool
	// Annotations are what the signer added to a simple signature.
	Annotations map[string]string
	// Statement is what an attestation says, nil for signatures.
	Statement *Statement
}

// Failure is one candidate that did not verify.
type Failure struct {
	Source string
	Reason string
}

// Policy says who is trusted. With neither keys nor identities nothing verifies.
type Policy struct {
	Keys []*Key
	// Identities are trusted to sign with certificates that Root vouches for.
	Identities []Identity
	Root       *Root
	// RequireLog refuses signatures by key that no transparency log of Root
	// proves. Certificates always need the proof: they are valid for minutes.
	RequireLog bool
	// Annotations must be in a simple signature, with these values.
	Annotations map[string]string
	// Predicate is the type of attestation that must be there; empty means that a
	// signature must be there. Provenance stands for all of SLSA's.
	Predicate string
	// Builder and SourceRepository are compared with what provenance says, by
	// whole values; a value that ends in * is compared up to there.
	Builder, SourceRepository string
}

// Provenance as a Policy's Predicate asks for provenance of any version.
const Provenance = "provenance"

// Media types of what lies beside images.
const (
	typeSimpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"
	typeEnvelope      = "application/vnd.dsse.envelope.v1+json"
	typeBundlePrefix  = "application/vnd.dev.sigstore.bundle"
)

// Annotations in which cosign keeps what belongs to a payload.
const (
	annotationSignature   = "dev.cosignproject.cosign/signature"
	annotationCertificate = "dev.sigstore.cosign/certificate"
	annotationBundle      = "dev.sigstore.cosign/bundle"
)

// MaxBlob is the largest blob, in bytes, that Parse takes. Attested SBOMs are
// large.
const MaxBlob = 64 << 20

// Candidate is a signature or attestation that is yet to be verified.
type Candidate struct {
	// Source says where it was found, for the verdict: a digest or a file.
	Source string

	kind        string // one of the media types
	payload     []byte // the blob
	signature   []byte // of a simple signing payload
	certificate []byte // PEM
	log         *logEntry
}

// Wanted says whether blobs of the media type are candidates.
func Wanted(mediaType string) bool {
	return mediaType == typeSimpleSigning || mediaType == typeEnvelope || strings.HasPrefix(mediaType, typeBundlePrefix)
}

// Parse reads a candidate from a blob beside an image and the annotations of its
// descriptor. An error says what is malformed, and is a failure of the candidate
// for who gives a verdict.
func Parse(source, mediaType string, annotations map[string]string, blob []byte) (*Candidate, error) {
	if len(blob) > MaxBlob {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(blob), MaxBlob)
	}
	c := &Candidate{Source: source, payload: blob, certificate: []byte(annotations[annotationCertificate])}
	switch {
	case strings.HasPrefix(mediaType, typeBundlePrefix):
		c.kind = typeBundlePrefix
		return c, nil
	case mediaType == typeEnvelope:
		c.kind = typeEnvelope
	case mediaType == typeSimpleSigning:
		c.kind = typeSimpleSigning
		sig, err := base64.StdEncoding.DecodeString(annotations[annotationSignature])
		if err != nil || len(sig) == 0 {
			return nil, errors.New("the annotation with the signature is not there or not base64")
		}
		c.signature = sig
	default:
		return nil, fmt.Errorf("media type %.200q is no signature's", mediaType)
	}
	if text := annotations[annotationBundle]; text != "" {
		log, err := parseLogEntry([]byte(text))
		if err != nil {
			return nil, err
		}
		c.log = log
	}
	return c, nil
}

// ParseFile reads a candidate from a file beside which nothing else lies: a
// bundle of Sigstore or a DSSE envelope, told by what is in it.
func ParseFile(source string, data []byte) (*Candidate, error) {
	var shape struct {
		MediaType   string `json:"mediaType"`
		PayloadType string `json:"payloadType"`
	}
	if len(data) > MaxBlob {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(data), MaxBlob)
	}
	if err := json.Unmarshal(data, &shape); err != nil {
		return nil, fmt.Errorf("this is no JSON as bundles are: %w", err)
	}
	switch {
	case strings.HasPrefix(shape.MediaType, typeBundlePrefix):
		return Parse(source, shape.MediaType, nil, data)
	case shape.PayloadType != "":
		return Parse(source, typeEnvelope, nil, data)
	}
	return nil, errors.New("this is neither a Sigstore bundle nor a DSSE envelope")
}

// Verify judges the candidates that were found for an image with the digest of
// the image's manifest or index, sha256:.... incomplete is why there might be
// more candidates than these, nil if there are not; failures are of candidates
// that could not be parsed.
//
// One candidate that the policy accepts is enough, whatever else lies there:
// anybody who may push can add what does not verify.
func Verify(digest string, candidates []*Candidate, failures []Failure, incomplete error, p *Policy) *Verdict {
	v := &Verdict{Failures: slices.Clone(failures)}
	for _, c := range candidates {
		proof, err := c.verify(digest, p)
		if err == nil {
			err = p.accepts(proof)
		}
		if err != nil {
			v.Failures = append(v.Failures, Failure{c.Source, err.Error()})
			continue
		}
		v.By = append(v.By, *proof)
	}
	switch {
	case len(v.By) > 0:
		v.Status = Verified
	case incomplete != nil:
		v.Status, v.Reason = Unknown, incomplete.Error()
	case len(v.Failures) > 0:
		v.Status = Untrusted
	default:
		v.Status = Unsigned
	}
	return v
}

func (c *Candidate) verify(digest string, p *Policy) (*Proof, error) {
	algorithm, _, _ := strings.Cut(digest, ":")
	if algorithm != "sha256" {
		return nil, fmt.Errorf("images with a digest of %q cannot be verified", algorithm)
	}
	if len(p.Keys) == 0 && len(p.Identities) == 0 {
		return nil, errors.New("the policy trusts nobody: no key and no identity is given")
	}
	switch c.kind {
	case typeSimpleSigning:
		return c.verifySimple(digest, p)
	case typeEnvelope:
		return c.verifyEnvelope(digest, p)
	}
	return c.verifyBundle(digest, p)
}

// accepts checks what a sound proof says against what is asked for.
func (p *Policy) accepts(proof *Proof) error {
	if p.RequireLog && !proof.Logged {
		return errors.New("no transparency log proves the signature")
	}
	if p.Predicate == "" {
		if proof.Statement != nil && proof.Statement.Predicate != predicateCosignSign {
			return fmt.Errorf("this is an attestation of type %.200q and no signature", proof.Statement.Predicate)
		}
		for _, key := range slices.Sorted(maps.Keys(p.Annotations)) {
			if have, ok := proof.Annotations[key]; !ok || have != p.Annotations[key] {
				return fmt.Errorf("annotation %s is %.200q and should be %q", key, have, p.Annotations[key])
			}
		}
		return nil
	}
	s := proof.Statement
	switch {
	case s == nil:
		return errors.New("this is a signature and no attestation")
	case p.Predicate == Provenance && !s.provenance(), p.Predicate != Provenance && s.Predicate != p.Predicate:
		return fmt.Errorf("the attestation is of type %.200q", s.Predicate)
	case p.Builder != "" && !like(p.Builder, s.Builder):
		return fmt.Errorf("it was built by %.200q", s.Builder)
	case p.SourceRepository != "" && !like(p.SourceRepository, s.SourceRepository):
		return fmt.Errorf("it was built from %.200q", s.SourceRepository)
	}
	return nil
}

// like compares with a pattern that may end in *.
func like(pattern, value string) bool {
	if start, found := strings.CutSuffix(pattern, "*"); found {
		return strings.HasPrefix(value, start)
	}
	return pattern == value
}
