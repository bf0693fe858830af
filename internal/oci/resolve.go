package oci

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
)

// maxDepth bounds indexes within indexes; a digest cannot contain itself, but a
// long chain can be made.
const maxDepth = 8

// resolver turns a descriptor into an image by reading a content store.
type resolver struct {
	content  content
	platform *Platform
	limits   Limits
}

// image reads what the descriptor points to.
func (r *resolver) image(ctx context.Context, root Descriptor) (*Image, error) {
	raw, err := fetch(ctx, r.content, root, r.limits.Manifest)
	if err != nil {
		return nil, err
	}
	return r.fromDocument(ctx, root, raw)
}

// fromDocument is given the bytes of a verified manifest or index.
func (r *resolver) fromDocument(ctx context.Context, d Descriptor, raw []byte) (*Image, error) {
	img := &Image{content: r.content, limits: r.limits}
	var beside []Descriptor // all that the indexes name
	for depth := 0; ; depth++ {
		doc, err := parseDocument(raw, d.MediaType)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Digest, err)
		}
		if !doc.index {
			img.Digest, img.RawManifest = string(d.Digest), raw
			img.attest(beside)
			return img, r.configure(ctx, img, doc)
		}
		if depth == maxDepth {
			return nil, fmt.Errorf("%s: more than %d indexes within each other: %w", d.Digest, maxDepth, ErrLimit)
		}
		if img.IndexDigest == "" {
			img.IndexDigest = string(d.Digest)
		}
		next, err := r.descend(img, doc.Manifests)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Digest, err)
		}
		beside = append(beside, doc.Manifests...)
		if raw, err = fetch(ctx, r.content, *next, r.limits.Manifest); err != nil {
			return nil, err
		}
		d = *next
	}
}

// descend chooses in an index and notes what there was to choose from.
func (r *resolver) descend(img *Image, manifests []Descriptor) (*Descriptor, error) {
	next, err := choose(manifests, r.platform)
	if p := platforms(manifests); p != nil {
		img.Platforms = p
	}
	return next, err
}

// configure reads the configuration that the manifest names and fills in the
// layers.
func (r *resolver) configure(ctx context.Context, img *Image, doc *document) error {
	switch doc.Config.MediaType {
	case typeConfig, typeDockerConfig, "":
	default:
		kind := doc.Config.MediaType
		if doc.ArtifactType != "" {
			kind = doc.ArtifactType
		}
		return fmt.Errorf("%s is an artifact of type %.200q and no image: %w", img.Digest, kind, ErrUnsupported)
	}
	raw, err := fetch(ctx, r.content, doc.Config, r.limits.Config)
	if err != nil {
		return fmt.Errorf("image configuration: %w", err)
	}
	if err := img.configure(raw, doc.Config.Digest); err != nil {
		return err
	}
	if err := img.serves(r.platform); err != nil {
		return err
	}
	if len(doc.Layers) != len(img.Config.DiffIDs) {
		return fmt.Errorf("%s: the manifest names %d layers and the configuration %d", img.Digest, len(doc.Layers), len(img.Config.DiffIDs))
	}
	total := new(atomic.Int64)
	for i, d := range doc.Layers {
		img.Layers = append(img.Layers, Layer{
			Digest: string(d.Digest), DiffID: img.Config.DiffIDs[i], MediaType: d.MediaType, Size: d.Size, Foreign: foreign(d.MediaType),
			open:   func(ctx context.Context) (io.ReadCloser, error) { return r.content.blob(ctx, d) },
			limits: r.limits, total: total,
		})
	}
	return nil
}

// configure takes over a verified configuration.
func (i *Image) configure(raw []byte, d Digest) error {
	c, err := ParseConfig(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", d, err)
	}
	i.ID, i.RawConfig, i.Config = string(d), bytes.Clone(raw), *c
	i.Platform = c.platform().String()
	if c.OS == "" || c.Arch == "" {
		i.Warnings = append(i.Warnings, "the image configuration does not name a platform")
		i.Platform = "unknown/unknown"
	}
	return nil
}

func (c *Config) platform() Platform {
	return Platform{OS: c.OS, Arch: c.Arch, Variant: c.Variant, OSVersion: c.OSVersion}.normal()
}

// attest takes over the attestations of this image among what stands beside it.
func (i *Image) attest(beside []Descriptor) {
	for _, d := range beside {
		if subject := d.Annotations[annotationReferenceDigest]; d.attestation() && subject == i.Digest {
			i.Attestations = append(i.Attestations, Attestation{Descriptor: d, Subject: subject})
		}
	}
}

// Attestation is a manifest of in-toto statements about an image, as BuildKit
// writes it. It is not signed.
type Attestation struct {
	Descriptor
	// Subject is the digest of the image's manifest.
	Subject string
}

// Statement is one in-toto statement of an attestation.
type Statement struct {
	// Predicate is the type: https://spdx.dev/Document,
	// https://slsa.dev/provenance/v0.2 and the like.
	Predicate string
	Digest    string
	Data      []byte
}

// maxStatement bounds one statement; SBOMs of large images have some 20 MiB.
const maxStatement = 128 << 20

// Statements reads an attestation's statements whose predicate type is wanted,
// of at most 128 MiB each, at most 32.
func (i *Image) Statements(ctx context.Context, a Attestation, wanted func(predicate string) bool) ([]Statement, error) {
	raw, err := fetch(ctx, i.content, a.Descriptor, i.limits.Manifest)
	if err != nil {
		return nil, fmt.Errorf("attestation: %w", err)
	}
	doc, err := parseDocument(raw, a.MediaType)
	if err != nil {
		return nil, fmt.Errorf("attestation %s: %w", a.Digest, err)
	}
	var out []Statement
	for _, d := range doc.Layers {
		predicate := d.Annotations[annotationPredicate]
		if !wanted(predicate) {
			continue
		}
		if len(out) == 32 {
			return out, fmt.Errorf("attestation %s: more than 32 statements: %w", a.Digest, ErrLimit)
		}
		data, err := fetch(ctx, i.content, d, maxStatement)
		if err != nil {
			return out, fmt.Errorf("attestation %s: %w", a.Digest, err)
		}
		out = append(out, Statement{Predicate: predicate, Digest: string(d.Digest), Data: data})
	}
	return out, nil
}
