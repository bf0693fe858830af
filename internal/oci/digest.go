package oci

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"
)

// Digest is an algorithm and a hash in lower case hexadecimal, sha256:e3b0....
type Digest string

// DigestOf returns the SHA-256 digest of data.
func DigestOf(data []byte) Digest {
	sum := sha256.Sum256(data)
	return Digest("sha256:" + hex.EncodeToString(sum[:]))
}

func (d Digest) split() (algorithm, sum string) {
	algorithm, sum, _ = strings.Cut(string(d), ":")
	return algorithm, sum
}

func (d Digest) sum() string {
	_, sum := d.split()
	return sum
}

// validate makes sure that the digest can be computed, and used as the name of a
// file.
func (d Digest) validate() error {
	algorithm, sum := d.split()
	want := 0
	switch algorithm {
	case "sha256":
		want = sha256.Size
	case "sha512":
		want = sha512.Size
	}
	if want == 0 || len(sum) != 2*want || strings.Trim(sum, "0123456789abcdef") != "" {
		return fmt.Errorf("%.90q is no digest of SHA-256 or SHA-512", string(d))
	}
	return nil
}

func (d Digest) hash() hash.Hash {
	if strings.HasPrefix(string(d), "sha512:") {
		return sha512.New()
	}
	return sha256.New()
}

func (d Digest) matches(h hash.Hash) error {
	_, want := d.split()
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		algorithm, _ := d.split()
		return &DigestError{Want: d, Got: Digest(algorithm + ":" + got)}
	}
	return nil
}

func (d Digest) verify(data []byte) error {
	h := d.hash()
	h.Write(data)
	return d.matches(h)
}

// DigestError says that bytes are not those that were asked for.
type DigestError struct {
	// What names the bytes: "the layer as it is stored", "the uncompressed layer".
	What      string
	Want, Got Digest
}

func (e *DigestError) Error() string {
	what := e.What
	if what == "" {
		what = "the content"
	}
	return fmt.Sprintf("%s has the digest %s and should have %s", what, e.Got, e.Want)
}

// verifier checks the digest of what is read through it, at the end.
type verifier struct {
	r    io.Reader
	hash hash.Hash
	want Digest
	left int64 // bytes that may still come, by the descriptor
}

// newVerifier bounds the reader by the stated size as well.
func newVerifier(r io.Reader, d Descriptor) *verifier {
	return &verifier{r: r, hash: d.Digest.hash(), want: d.Digest, left: d.Size}
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	if v.left -= int64(n); v.left < 0 {
		return n, fmt.Errorf("%s has more bytes than the manifest says", v.want)
	}
	if err == io.EOF {
		if verr := v.want.matches(v.hash); verr != nil {
			return n, verr
		}
	}
	return n, err //nolint:wrapcheck // a reader passes on what it reads
}
