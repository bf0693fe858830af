package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384 and crypto.SHA512
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// minRSA is the least bits of an RSA key; with fewer anybody may have it.
const minRSA = 2048

// Key is a public key that is trusted.
type Key struct {
	// Name is what verdicts call the key: its file, most likely.
	Name   string
	public crypto.PublicKey
}

// ParseKey reads a public key in PEM: ECDSA of P-256, P-384 and P-521, RSA of at
// least 2048 bits, or Ed25519. A certificate is no key: who trusts a key says so.
func ParseKey(name string, data []byte) (*Key, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("key %s is not PEM", name)
	}
	var public crypto.PublicKey
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return nil, fmt.Errorf("key %s is a %.40q and no public key", name, block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", name, err)
	}
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P224() {
			return nil, fmt.Errorf("key %s is of the curve P-224, which is too short", name)
		}
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSA {
			return nil, fmt.Errorf("key %s has %d bits, at least %d are asked for", name, k.N.BitLen(), minRSA)
		}
	case ed25519.PublicKey:
	default:
		return nil, fmt.Errorf("key %s is of a kind that signs no images: %T", name, public)
	}
	return &Key{Name: name, public: public}, nil
}

// errSignature says no more: there is nothing to say of a signature but that.
var errSignature = errors.New("the signature is not by this key")

// verify checks a signature over message. Signers hash with SHA-256, and newer
// ones with the hash that fits the key; for RSA there are two paddings.
func (k *Key) verify(message, sig []byte) error {
	if public, ok := k.public.(ed25519.PublicKey); ok {
		// Some signers hash first (Ed25519ph), which transparency logs need.
		if ed25519.Verify(public, message, sig) ||
			ed25519.VerifyWithOptions(public, sum(crypto.SHA512, message), sig, &ed25519.Options{Hash: crypto.SHA512}) == nil {
			return nil
		}
		return errSignature
	}
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		digest := sum(h, message)
		switch public := k.public.(type) {
		case *ecdsa.PublicKey:
			if ecdsa.VerifyASN1(public, digest, sig) {
				return nil
			}
		case *rsa.PublicKey:
			if rsa.VerifyPKCS1v15(public, h, digest, sig) == nil || rsa.VerifyPSS(public, h, digest, sig, nil) == nil {
				return nil
			}
		}
	}
	return errSignature
}

func sum(h crypto.Hash, message []byte) []byte {
	s := h.New()
	s.Write(message)
	return s.Sum(nil)
}

// signer finds the trusted key that made a signature.
func (p *Policy) signer(message, sig []byte) (*Key, error) {
	if len(p.Keys) == 0 {
		return nil, errors.New("it is signed with a key, and no key is trusted")
	}
	for _, k := range p.Keys {
		if k.verify(message, sig) == nil {
			return k, nil
		}
	}
	if len(p.Keys) == 1 {
		return nil, fmt.Errorf("it is not signed with the key %s", p.Keys[0].Name)
	}
	return nil, fmt.Errorf("it is signed with none of the %d keys that are trusted", len(p.Keys))
}
