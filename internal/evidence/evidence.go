// Package evidence keeps what a frozen pod shows: its processes with their
// arguments, memory maps, open files and sockets, the programs they run with
// hashes, what was written into its containers, its logs and its last events. A
// bundle is a zstd-compressed tar; its manifest names each file with its SHA-256
// and is signed with the node's key, so that what is looked at later is what was
// there.
//
// Values of environment variables, and what looks like a credential in arguments,
// are left out: a fingerprint stands for them. Files are kept as they are, and may
// hold secrets of the workload: a bundle is for those who investigate.
//
// A bundle is bounded, in bytes and in time. What did not fit is named in it.
package evidence

import (
	"archive/tar"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"

	"seawall.io/seawall"
)

// Manifest says what a bundle holds. Its bytes are signed as they stand in it.
type Manifest struct {
	Version int         `json:"version"`
	Act     seawall.Act `json:"act"`
	Began   time.Time   `json:"began"`
	Ended   time.Time   `json:"ended"`
	Files   []File      `json:"files"`
	// Omitted is what could not be kept, and why.
	Omitted []Omission `json:"omitted,omitempty"`
}

// File is one file of a bundle.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	// Source is where it comes from: a path of the node.
	Source string `json:"source,omitempty"`
}

// Omission is something that is not in a bundle.
type Omission struct {
	What   string `json:"what"`
	Reason string `json:"reason"`
}

// names of the first and the last files of a bundle.
const (
	manifestName  = "manifest.json"
	signatureName = "manifest.sig"
)

// Verify reads a bundle and compares it with its manifest, and that with the
// signature. It hands each file to f, which may be nil.
func Verify(r io.Reader, key ed25519.PublicKey, f func(name string, body []byte) error) (*Manifest, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	sums := map[string]string{}
	var text, sig []byte
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading the bundle: %w", err)
		}
		body, err := io.ReadAll(io.LimitReader(tr, 1<<30))
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", h.Name, err)
		}
		switch h.Name {
		case manifestName:
			text = body
		case signatureName:
			sig = body
		default:
			sum := sha256.Sum256(body)
			if sums[h.Name] != "" {
				return nil, fmt.Errorf("%s is in the bundle twice", h.Name)
			}
			sums[h.Name] = hex.EncodeToString(sum[:])
		}
		if f != nil {
			if err := f(h.Name, body); err != nil {
				return nil, err
			}
		}
	}
	if !ed25519.Verify(key, text, sig) {
		return nil, errors.New("the manifest's signature is not of this key: the bundle is not what the node wrote")
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	for _, file := range m.Files {
		if sums[file.Name] != file.SHA256 {
			return nil, fmt.Errorf("%s is not what the manifest says", file.Name)
		}
		delete(sums, file.Name)
	}
	for name := range sums {
		return nil, fmt.Errorf("%s is in the bundle and not in its manifest", name)
	}
	return &m, nil
}
