package signature

import (
	"encoding/json"
	"errors"
	"fmt"
)

// simpleSigning is what cosign signs: the payload names the image, and the
// signature is over the payload's bytes.
type simpleSigning struct {
	Critical struct {
		Identity struct {
			DockerReference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			DockerManifestDigest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	Optional map[string]any `json:"optional"`
}

const typeCosignSignature = "cosign container image signature"

func (c *Candidate) verifySimple(digest string, p *Policy) (*Proof, error) {
	proof := &Proof{Source: c.Source}
	if len(c.certificate) > 0 {
		entity, err := c.asBundle()
		if err != nil {
			return nil, err
		}
		if err := p.verifyEntity(entity, overPayload(c.payload), proof); err != nil {
			return nil, err
		}
	} else {
		key, err := p.signer(c.payload, c.signature)
		if err != nil {
			return nil, err
		}
		proof.Key = key.Name
		if proof.Logged, err = p.logged(c, key); err != nil {
			return nil, err
		}
	}
	// What is signed is looked at once it is known who signed it.
	annotations, err := readSimple(c.payload, digest)
	if err != nil {
		return nil, err
	}
	proof.Annotations = annotations
	return proof, nil
}

// readSimple checks that a payload is about the image.
func readSimple(payload []byte, digest string) (map[string]string, error) {
	var s simpleSigning
	if err := json.Unmarshal(payload, &s); err != nil {
		return nil, fmt.Errorf("the signed payload is not as it should be: %w", err)
	}
	switch have := s.Critical.Image.DockerManifestDigest; {
	case s.Critical.Type != typeCosignSignature:
		return nil, fmt.Errorf("the signed payload is a %.200q and no signature of an image", s.Critical.Type)
	case have == "":
		return nil, errors.New("the signed payload names no image")
	case have != digest:
		return nil, fmt.Errorf("what is signed is another image: %.200s", have)
	}
	annotations := map[string]string{}
	for key, value := range s.Optional {
		if text, ok := value.(string); ok {
			annotations[key] = text
		}
	}
	return annotations, nil
}
