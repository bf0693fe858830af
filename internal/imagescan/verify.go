package imagescan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/oci"
	"seawall.io/seawall/internal/signature"
)

// Verify looks up who vouches for an image and judges it by the policy. The
// signatures of the manifest count, and those of the index that it is listed in.
// bundles are files that lie elsewhere than beside the image.
func Verify(ctx context.Context, img *oci.Image, p *signature.Policy, bundles []*signature.Candidate) *signature.Verdict {
	var worst *signature.Verdict
	for _, digest := range []string{img.Digest, img.IndexDigest} {
		if digest == "" {
			continue
		}
		found, failures, incomplete := candidates(ctx, img, digest)
		v := signature.Verify(digest, append(found, bundles...), failures, incomplete, p)
		if v.Status == signature.Verified {
			return v
		}
		if worst == nil || graver(v.Status) > graver(worst.Status) {
			worst = v
		}
	}
	if worst == nil {
		return &signature.Verdict{
			Status: signature.Unknown,
			Reason: "the image has no manifest that a signature could be of: it was saved by an older docker",
		}
	}
	return worst
}

// graver orders the statuses of an image that is not verified: what is there and
// does not verify says more than that nothing was found.
func graver(s signature.Status) int {
	return slices.Index([]signature.Status{signature.Unsigned, signature.Unknown, signature.Untrusted}, s)
}

// candidates reads the signatures and attestations beside an image. incomplete
// says why there may be more.
func candidates(ctx context.Context, img *oci.Image, digest string) (found []*signature.Candidate, failures []signature.Failure, incomplete error) {
	artifacts, err := img.Referrers(ctx, digest)
	if err != nil {
		incomplete = err
	}
	for i := range artifacts {
		a := &artifacts[i]
		for _, layer := range a.Manifest.Layers {
			if !signature.Wanted(layer.MediaType) {
				continue
			}
			blob, err := a.Blob(ctx, layer, signature.MaxBlob)
			if err != nil {
				incomplete = err
				continue
			}
			c, err := signature.Parse(string(layer.Digest), layer.MediaType, layer.Annotations, blob)
			if err != nil {
				failures = append(failures, signature.Failure{Source: string(layer.Digest), Reason: err.Error()})
				continue
			}
			found = append(found, c)
		}
	}
	return found, failures, incomplete
}

// Signed turns a verdict into what the checks see.
func Signed(v *signature.Verdict) *image.Signature {
	s := &image.Signature{Verdict: string(v.Status), Why: v.Reason}
	for i := range v.By {
		s.By = append(s.By, Signer(&v.By[i]))
	}
	if v.Status == signature.Untrusted {
		var why []string
		for _, f := range v.Failures[:min(len(v.Failures), 3)] {
			why = append(why, f.Source+": "+f.Reason)
		}
		s.Why = strings.Join(why, "; ")
	}
	return s
}

// Signer names who made a proof.
func Signer(p *signature.Proof) string {
	who := "key " + p.Key
	if p.Key == "" {
		who = fmt.Sprintf("%s (%s)", p.Identity, p.Issuer)
	}
	if p.Statement != nil {
		who += ", attesting " + p.Statement.Predicate
	}
	return who
}
