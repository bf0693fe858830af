package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxReferrers bounds the artifacts that are read for one image.
const maxReferrers = 256

// Artifact is a manifest that speaks of an image: a signature, an attestation.
type Artifact struct {
	Digest string
	// Type is the artifact type, or the configuration's media type where there is
	// none.
	Type string
	// Found says how the artifact belongs to the image: "referrers" by the
	// registry's list or its stand-in tag, or the ending of the tag that cosign
	// gives it: "sig", "att", "sbom".
	Found    string
	Manifest Manifest
	Raw      []byte

	content content
}

// Blob reads and verifies a blob of the artifact, of at most limit bytes.
func (a *Artifact) Blob(ctx context.Context, d Descriptor, limit int64) ([]byte, error) {
	return fetch(ctx, a.content, d, limit)
}

// referrer is content that can be asked what speaks of a digest.
type referrer interface {
	// referrers lists manifests by descriptor, with how each was found.
	referrers(ctx context.Context, subject Digest) (found []reference, err error)
}

type reference struct {
	Descriptor
	how string
}

// Referrers reads what speaks of a digest, the image's own or its index's: by
// the referrers API of OCI 1.1, by its stand-in tag, and by the tags of cosign.
// It works for registries, layouts and archives that hold a layout; elsewhere
// nothing is found. An error means that it is not known whether there is more;
// what was found stands. At most 256 artifacts are read.
func (i *Image) Referrers(ctx context.Context, digest string) ([]Artifact, error) {
	subject := Digest(digest)
	if err := subject.validate(); err != nil {
		return nil, err
	}
	from, ok := i.content.(referrer)
	if !ok {
		return nil, nil
	}
	found, err := from.referrers(ctx, subject)
	errs := []error{err}
	seen := map[Digest]bool{}
	var out []Artifact
	for _, ref := range found {
		if seen[ref.Digest] {
			continue
		}
		seen[ref.Digest] = true
		if len(out) == maxReferrers {
			errs = append(errs, fmt.Errorf("more than %d artifacts speak of %s: %w", maxReferrers, digest, ErrLimit))
			break
		}
		a, err := readArtifact(ctx, i.content, ref, i.limits)
		if err != nil {
			errs = append(errs, fmt.Errorf("artifact %s: %w", ref.Digest, err))
			continue
		}
		// Who is found through the API must speak of the image itself; cosign's
		// tags say it by their name.
		if ref.how == "referrers" && (a.Manifest.Subject == nil || a.Manifest.Subject.Digest != subject) {
			errs = append(errs, fmt.Errorf("artifact %s is listed for %s and speaks of something else", ref.Digest, digest))
			continue
		}
		out = append(out, *a)
	}
	return out, errors.Join(errs...)
}

func readArtifact(ctx context.Context, c content, ref reference, limits Limits) (*Artifact, error) {
	raw, err := fetch(ctx, c, ref.Descriptor, limits.Manifest)
	if err != nil {
		return nil, err
	}
	doc, err := parseDocument(raw, ref.MediaType)
	if err != nil {
		return nil, err
	}
	if doc.index {
		return nil, fmt.Errorf("it is an index: %w", ErrUnsupported)
	}
	a := &Artifact{
		Digest: string(ref.Digest), Type: doc.ArtifactType, Found: ref.how,
		Manifest: doc.Manifest, Raw: raw, content: c,
	}
	if a.Type == "" {
		a.Type = doc.Config.MediaType
	}
	return a, nil
}

// cosignTags are what follows the digest in tags of cosign.
func cosignTags() []string { return []string{"sig", "att", "sbom"} }

// tagOf is the digest as a tag: sha256-HEX.
func tagOf(d Digest) string { return strings.Replace(string(d), ":", "-", 1) }

func (r *repository) referrers(ctx context.Context, subject Digest) ([]reference, error) {
	var found []reference
	var errs []error
	listed, err := r.listed(ctx, subject)
	if err != nil {
		errs = append(errs, err)
	}
	for _, d := range listed {
		found = append(found, reference{d, "referrers"})
	}
	for _, ending := range cosignTags() {
		_, d, err := r.manifest(ctx, tagOf(subject)+"."+ending)
		switch {
		case err == nil:
			found = append(found, reference{d, ending})
		case !errors.Is(err, ErrNotFound):
			errs = append(errs, err)
		}
	}
	return found, errors.Join(errs...)
}

// listed asks the referrers API, and for the stand-in tag where a registry has
// none.
func (r *repository) listed(ctx context.Context, subject Digest) ([]Descriptor, error) {
	var raw []byte
	err := r.each(ctx, func(p *place) error {
		resp, err := r.get(ctx, p, "referrers/"+string(subject), http.Header{"Accept": {typeIndex}})
		if err != nil {
			return err
		}
		defer resp.Body.Close() //nolint:errcheck // it was only read
		raw, err = io.ReadAll(io.LimitReader(resp.Body, r.limits.Manifest+1))
		if err == nil && int64(len(raw)) > r.limits.Manifest {
			err = fmt.Errorf("the list has more than %d bytes: %w", r.limits.Manifest, ErrLimit)
		}
		if err == nil && !json.Valid(raw) {
			err = fmt.Errorf("%w: the registry answers with no list", ErrNotFound) // a page for people
		}
		if err != nil {
			return fmt.Errorf("referrers of %s: %w", subject, err)
		}
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		raw, _, err = r.manifest(ctx, tagOf(subject))
		if errors.Is(err, ErrNotFound) {
			return nil, nil
		}
	}
	if err != nil {
		return nil, err
	}
	doc, err := parseDocument(raw, "")
	if err != nil {
		return nil, fmt.Errorf("referrers of %s: %w", subject, err)
	}
	return doc.Manifests, nil
}

func (f folder) referrers(ctx context.Context, subject Digest) ([]reference, error) {
	return layoutReferrers(ctx, f, subject)
}

func (t *tarFile) referrers(ctx context.Context, subject Digest) ([]reference, error) {
	if _, err := t.find("index.json"); err != nil {
		return nil, nil //nolint:nilerr // older archives hold nothing but images
	}
	return layoutReferrers(ctx, t, subject)
}

// layoutReferrers looks through a layout's index: for tags as registries have
// them, and for manifests that name the subject.
func layoutReferrers(ctx context.Context, f files, subject Digest) ([]reference, error) {
	limits := Limits{}.withDefaults()
	index, err := layoutIndex(f, limits)
	if err != nil {
		return nil, err
	}
	var found []reference
	for _, d := range index.Manifests {
		name := layoutName(&d)
		how := ""
		for _, ending := range cosignTags() {
			if strings.HasSuffix(name, tagOf(subject)+"."+ending) {
				how = ending
			}
		}
		if how == "" && d.Digest != subject && !isIndex(d.MediaType) && !d.attestation() {
			if a, err := readArtifact(ctx, f, reference{d, ""}, limits); err == nil && a.Manifest.Subject != nil && a.Manifest.Subject.Digest == subject {
				how = "referrers"
			}
		}
		if how != "" {
			found = append(found, reference{d, how})
		}
	}
	return found, nil
}
