package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The media types that are told apart.
const (
	typeIndex          = "application/vnd.oci.image.index.v1+json"
	typeManifest       = "application/vnd.oci.image.manifest.v1+json"
	typeConfig         = "application/vnd.oci.image.config.v1+json"
	typeLayer          = "application/vnd.oci.image.layer.v1.tar"
	typeEmpty          = "application/vnd.oci.empty.v1+json"
	typeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerConfig   = "application/vnd.docker.container.image.v1+json"
	typeDockerSchema1  = "application/vnd.docker.distribution.manifest.v1"
)

// Annotations that say what a descriptor is.
const (
	annotationRefName         = "org.opencontainers.image.ref.name"
	annotationContainerdName  = "io.containerd.image.name"
	annotationReferenceType   = "vnd.docker.reference.type"
	annotationReferenceDigest = "vnd.docker.reference.digest"
	annotationPredicate       = "in-toto.io/predicate-type"
)

// maxDescriptors bounds the descriptors of one index or manifest: more layers
// than any runtime can mount, more platforms than there are.
const maxDescriptors = 4096

// Descriptor points to a blob.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       Digest            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     *Platform         `json:"platform,omitempty"`
}

// check makes sure that the descriptor can be used.
func (d *Descriptor) check(what string) error {
	if err := d.Digest.validate(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if d.Size < 0 {
		return fmt.Errorf("%s: %s has a size of %d", what, d.Digest, d.Size)
	}
	return nil
}

// attestation says whether BuildKit put the manifest beside an image, and for
// which.
func (d *Descriptor) attestation() bool {
	return d.Annotations[annotationReferenceType] == "attestation-manifest"
}

// artifact says that the manifest is surely no image's. Some writers give images
// the type of their configuration.
func (d *Descriptor) artifact() bool {
	return d.ArtifactType != "" && d.ArtifactType != typeConfig && d.ArtifactType != typeDockerConfig
}

// Manifest is what an image or another artifact is made of.
type Manifest struct {
	MediaType    string            `json:"mediaType,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Config       Descriptor        `json:"config"`
	Layers       []Descriptor      `json:"layers"`
	Subject      *Descriptor       `json:"subject,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// document is a manifest or an index; which of them shows when it is read.
type document struct {
	SchemaVersion int `json:"schemaVersion"`
	Manifest
	Manifests []Descriptor `json:"manifests"`

	index bool
}

// parseDocument reads a manifest or an index. mediaType is what the descriptor
// or the registry said, and may be empty.
func parseDocument(data []byte, mediaType string) (*document, error) {
	// The same bytes must not be one thing to one reader and another to the next
	// (CVE-2021-41190): whoever has both kinds of lists is refused.
	var shape struct {
		Manifests, Layers, Config, FSLayers json.RawMessage
	}
	if err := json.Unmarshal(data, &shape); err != nil {
		return nil, fmt.Errorf("the manifest is not JSON as it should be: %w", err)
	}
	var doc document
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("the manifest is not as it should be: %w", err)
	}
	if doc.SchemaVersion == 1 || shape.FSLayers != nil || strings.HasPrefix(mediaType, typeDockerSchema1) || strings.HasPrefix(doc.MediaType, typeDockerSchema1) {
		return nil, fmt.Errorf("the manifest is of schema 1, which registries stopped to serve: push the image again with a current client: %w", ErrUnsupported)
	}
	doc.index = shape.Manifests != nil
	if doc.index && (shape.Layers != nil || shape.Config != nil) {
		return nil, errors.New("the document is a manifest and an index at once")
	}
	for _, t := range []string{mediaType, doc.MediaType} {
		if isIndex(t) && !doc.index || isManifest(t) && doc.index {
			return nil, fmt.Errorf("the document says that it is a %s and is not", t)
		}
	}
	if !doc.index && shape.Config == nil {
		return nil, errors.New("the document is neither a manifest nor an index")
	}
	if n := max(len(doc.Manifests), len(doc.Layers)); n > maxDescriptors {
		return nil, fmt.Errorf("the manifest names %d blobs, at most %d are read: %w", n, maxDescriptors, ErrLimit)
	}
	for i := range doc.Manifests {
		if err := doc.Manifests[i].check("index"); err != nil {
			return nil, err
		}
	}
	for i := range doc.Layers {
		if err := doc.Layers[i].check("layer of the manifest"); err != nil {
			return nil, err
		}
	}
	if !doc.index {
		if err := doc.Config.check("configuration of the manifest"); err != nil {
			return nil, err
		}
	}
	return &doc, nil
}

func isIndex(mediaType string) bool {
	return mediaType == typeIndex || mediaType == typeDockerList
}

func isManifest(mediaType string) bool {
	return mediaType == typeManifest || mediaType == typeDockerManifest
}

// foreign says that layers of the type may not be passed on.
func foreign(mediaType string) bool {
	return strings.Contains(mediaType, ".nondistributable.") || strings.Contains(mediaType, ".foreign.")
}

// Config is what an image says of itself, in OCI's and docker's spelling alike.
type Config struct {
	OS, Arch, Variant, OSVersion string
	Created                      time.Time
	Author                       string
	User                         string
	Env                          []string
	Entrypoint, Cmd, Shell       []string
	WorkingDir, StopSignal       string
	ExposedPorts, Volumes        []string // sorted
	Labels                       map[string]string
	Healthcheck                  *Healthcheck
	OnBuild                      []string
	History                      []History
	// DiffIDs are the digests of the uncompressed layers, from the base.
	DiffIDs []string
}

// Healthcheck is docker's; Kubernetes does not run it.
type Healthcheck struct {
	// Test begins with NONE, CMD or CMD-SHELL.
	Test                           []string
	Interval, Timeout, StartPeriod time.Duration
	Retries                        int
}

// History is one step of the build.
type History struct {
	Created                    time.Time
	CreatedBy, Comment, Author string
	// EmptyLayer steps changed the configuration only.
	EmptyLayer bool
}

// words is a list that some builders write as one string.
type words []string

func (w *words) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*w = nil
		if one != "" {
			*w = words{one}
		}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(w)) //nolint:wrapcheck // the caller wraps
}

// ParseConfig reads an image configuration.
func ParseConfig(data []byte) (*Config, error) {
	var raw struct {
		OS           string  `json:"os"`
		Architecture string  `json:"architecture"`
		Variant      string  `json:"variant"`
		OSVersion    string  `json:"os.version"`
		Created      instant `json:"created"`
		Author       string  `json:"author"`
		Config       struct {
			User         string
			Env          []string
			Entrypoint   words
			Cmd          words
			Shell        words
			WorkingDir   string
			StopSignal   string
			ExposedPorts map[string]any
			Volumes      map[string]any
			Labels       map[string]string
			OnBuild      []string
			Healthcheck  *Healthcheck
		} `json:"config"`
		RootFS struct {
			Type    string   `json:"type"`
			DiffIDs []Digest `json:"diff_ids"`
		} `json:"rootfs"`
		History []struct {
			Created    instant `json:"created"`
			CreatedBy  string  `json:"created_by"`
			Author     string  `json:"author"`
			Comment    string  `json:"comment"`
			EmptyLayer bool    `json:"empty_layer"`
		} `json:"history"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("the image configuration is not as it should be: %w", err)
	}
	if n := len(raw.RootFS.DiffIDs); n > maxDescriptors {
		return nil, fmt.Errorf("the image configuration names %d layers, at most %d are read: %w", n, maxDescriptors, ErrLimit)
	}
	c := &Config{
		OS: raw.OS, Arch: raw.Architecture, Variant: raw.Variant, OSVersion: raw.OSVersion,
		Created: raw.Created.Time, Author: raw.Author, User: raw.Config.User, Env: raw.Config.Env,
		Entrypoint: raw.Config.Entrypoint, Cmd: raw.Config.Cmd, Shell: raw.Config.Shell,
		WorkingDir: raw.Config.WorkingDir, StopSignal: raw.Config.StopSignal,
		ExposedPorts: slices.Sorted(maps.Keys(raw.Config.ExposedPorts)), Volumes: slices.Sorted(maps.Keys(raw.Config.Volumes)),
		Labels: raw.Config.Labels, OnBuild: raw.Config.OnBuild, Healthcheck: raw.Config.Healthcheck,
	}
	for i, d := range raw.RootFS.DiffIDs {
		if err := d.validate(); err != nil {
			return nil, fmt.Errorf("the image configuration's layer %d: %w", i, err)
		}
		c.DiffIDs = append(c.DiffIDs, string(d))
	}
	for _, h := range raw.History {
		c.History = append(c.History, History{
			Created: h.Created.Time, CreatedBy: h.CreatedBy, Comment: h.Comment, Author: h.Author, EmptyLayer: h.EmptyLayer,
		})
	}
	return c, nil
}
