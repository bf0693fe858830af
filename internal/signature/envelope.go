package signature

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

const (
	payloadInToto       = "application/vnd.in-toto+json"
	predicateCosignSign = "https://sigstore.dev/cosign/sign/v1"
	maxSignatures       = 64
)

// envelope is DSSE (https://github.com/secure-systems-lab/dsse).
type envelope struct {
	PayloadType string `json:"payloadType"`
	Payload     string `json:"payload"`
	Signatures  []struct {
		Sig string `json:"sig"`
	} `json:"signatures"`
}

// Statement is what an attestation says, as in-toto has it.
type Statement struct {
	// Predicate is the type: https://slsa.dev/provenance/v1 and the like.
	Predicate string
	// Body is the predicate itself.
	Body json.RawMessage
	// Builder and SourceRepository are what provenance of SLSA 0.1, 0.2 and 1
	// names: who built, and from which repository, as a URL without git+ before
	// and the revision after it. They are empty in other statements.
	Builder, SourceRepository string
}

func (s *Statement) provenance() bool {
	return strings.HasPrefix(s.Predicate, "https://slsa.dev/provenance/")
}

// encoding is what DSSE signs.
func encoding(payloadType string, payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}

func (c *Candidate) verifyEnvelope(digest string, p *Policy) (*Proof, error) {
	var e envelope
	if err := json.Unmarshal(c.payload, &e); err != nil {
		return nil, fmt.Errorf("the envelope is not as it should be: %w", err)
	}
	payload, err := decode(e.Payload)
	if err != nil {
		return nil, fmt.Errorf("the envelope's payload: %w", err)
	}
	if n := len(e.Signatures); n == 0 || n > maxSignatures {
		return nil, fmt.Errorf("the envelope has %d signatures, 1 to %d are read", n, maxSignatures)
	}
	if e.PayloadType != payloadInToto {
		return nil, fmt.Errorf("the envelope holds a %.200q and no statement of in-toto", e.PayloadType)
	}
	proof := &Proof{Source: c.Source}
	if len(c.certificate) > 0 {
		entity, err := c.asBundle()
		if err != nil {
			return nil, err
		}
		if err := p.verifyEntity(entity, overImage(digest), proof); err != nil {
			return nil, err
		}
	} else if err := p.verifyEnvelopeByKey(c, &e, payload, proof); err != nil {
		return nil, err
	}
	if proof.Statement, err = readStatement(payload, digest); err != nil {
		return nil, err
	}
	return proof, nil
}

// verifyEnvelopeByKey needs one of the envelope's signatures.
func (p *Policy) verifyEnvelopeByKey(c *Candidate, e *envelope, payload []byte, proof *Proof) error {
	message := encoding(e.PayloadType, payload)
	var last error
	for _, s := range e.Signatures {
		sig, err := decode(s.Sig)
		if err != nil {
			last = fmt.Errorf("the envelope's signature: %w", err)
			continue
		}
		key, err := p.signer(message, sig)
		if err != nil {
			last = err
			continue
		}
		proof.Key = key.Name
		proof.Logged, err = p.logged(c, key)
		return err
	}
	return last
}

// decode reads base64, of both alphabets as DSSE allows.
func decode(text string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		data, err = base64.URLEncoding.DecodeString(text)
	}
	if err != nil {
		return nil, errors.New("it is not base64")
	}
	return data, nil
}

// readStatement checks that a statement is about the image.
func readStatement(payload []byte, digest string) (*Statement, error) {
	var s struct {
		Type    string `json:"_type"`
		Subject []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
	}
	if err := json.Unmarshal(payload, &s); err != nil {
		return nil, fmt.Errorf("the statement is not as it should be: %w", err)
	}
	if !strings.HasPrefix(s.Type, "https://in-toto.io/Statement/v") {
		return nil, fmt.Errorf("%.200q is no statement of in-toto", s.Type)
	}
	about := false
	for _, subject := range s.Subject {
		about = about || "sha256:"+subject.Digest["sha256"] == digest
	}
	if !about {
		return nil, errors.New("the statement is about another image")
	}
	out := &Statement{Predicate: s.PredicateType, Body: s.Predicate}
	if out.provenance() {
		if err := out.readProvenance(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// readProvenance finds who built from where. The fields of all versions are read
// at once, for no two of them mean different things by one name.
func (s *Statement) readProvenance() error {
	type material struct {
		URI string `json:"uri"`
	}
	var p struct {
		Builder    struct{ ID string } `json:"builder"` // 0.1, 0.2
		Invocation struct {
			ConfigSource material `json:"configSource"`
		} `json:"invocation"` // 0.2
		Materials  []material `json:"materials"` // 0.1, 0.2
		RunDetails struct {
			Builder struct{ ID string } `json:"builder"`
		} `json:"runDetails"` // 1
		BuildDefinition struct {
			ExternalParameters struct {
				Workflow struct {
					Repository string `json:"repository"`
				} `json:"workflow"`
				Source json.RawMessage `json:"source"`
			} `json:"externalParameters"`
			ResolvedDependencies []material `json:"resolvedDependencies"`
		} `json:"buildDefinition"` // 1
	}
	if len(s.Body) == 0 {
		return errors.New("the provenance is empty")
	}
	if err := json.Unmarshal(s.Body, &p); err != nil {
		return fmt.Errorf("the provenance is not as it should be: %w", err)
	}
	s.Builder = p.Builder.ID
	if s.Builder == "" {
		s.Builder = p.RunDetails.Builder.ID
	}
	var source string
	if json.Unmarshal(p.BuildDefinition.ExternalParameters.Source, &source) != nil {
		source = "" // an object in some builds
	}
	candidates := []string{p.Invocation.ConfigSource.URI, p.BuildDefinition.ExternalParameters.Workflow.Repository, source}
	for _, m := range append(p.Materials, p.BuildDefinition.ResolvedDependencies...) {
		if strings.HasPrefix(m.URI, "git+") {
			candidates = append(candidates, m.URI)
		}
	}
	for _, c := range candidates {
		if c != "" {
			s.SourceRepository = repository(c)
			return nil
		}
	}
	return nil
}

// repository takes git+ and the revision off a source's address. The revision
// follows an @ after the last slash of the path: github.com/org/app@refs/heads/x.
func repository(uri string) string {
	uri = strings.TrimPrefix(uri, "git+")
	uri, _, _ = strings.Cut(uri, "#")
	scheme, rest, found := strings.Cut(uri, "://")
	if !found {
		scheme, rest = "", uri
	}
	host, path, _ := strings.Cut(rest, "/")
	path, _, _ = strings.Cut(path, "@")
	path = strings.TrimSuffix(path, ".git")
	if scheme != "" {
		host = scheme + "://" + host
	}
	if path == "" {
		return host
	}
	return host + "/" + path
}
