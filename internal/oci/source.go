package oci

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Kind is where an image comes from.
type Kind string

// The kinds, spelled as the prefix of a source.
const (
	RegistryKind   Kind = "registry"
	LayoutKind     Kind = "oci"
	ArchiveKind    Kind = "archive"
	RootfsKind     Kind = "rootfs"
	ContainerdKind Kind = "containerd"
)

// Source names an image and where it lies.
type Source struct {
	Kind Kind
	// Path is the folder or file of a layout, archive or root file system; "-" is
	// standard input.
	Path string
	// Name is the reference in a registry or in containerd. In a layout or archive
	// that holds several images it chooses one: a tag, a full name, or a digest
	// with @ before it.
	Name string
}

// String is the source as ParseSource reads it; images in registries are without
// prefix.
func (s Source) String() string {
	switch {
	case s.Kind == RegistryKind:
		return s.Name
	case s.Kind == ContainerdKind:
		return string(s.Kind) + ":" + s.Name
	case s.Name == "":
		return string(s.Kind) + ":" + s.Path
	case strings.HasPrefix(s.Name, "@"):
		return string(s.Kind) + ":" + s.Path + s.Name
	}
	return string(s.Kind) + ":" + s.Path + ":" + s.Name
}

// ParseSource reads what a user writes:
//
//	nginx:1.27  ghcr.io/org/app@sha256:...   in a registry
//	registry:REF                             the same, said aloud
//	oci:PATH[:NAME|@DIGEST]                  an OCI layout, a folder or a tar file
//	archive:FILE[:NAME|@DIGEST]              what docker save wrote; - is standard input
//	rootfs:DIR                               a root file system in a folder
//	containerd:REF                           in containerd's store on this machine
//
// A path that exists is taken whole before a name is split off it.
func ParseSource(s string) (Source, error) {
	prefix, rest, found := strings.Cut(s, ":")
	kind := Kind(prefix)
	switch kind {
	case LayoutKind, ArchiveKind, RootfsKind, ContainerdKind, RegistryKind:
		// A colon that begins a tag belongs to a repository of that name.
		if found && rest == "" {
			return Source{}, fmt.Errorf("image source %q names nothing after the colon", s)
		}
	default:
		found = false
	}
	switch {
	case !found && s == "":
		return Source{}, errors.New("the image source is empty")
	case !found:
		return Source{Kind: RegistryKind, Name: s}, nil
	case kind == RegistryKind || kind == ContainerdKind:
		return Source{Kind: kind, Name: rest}, nil
	case kind == RootfsKind:
		return Source{Kind: kind, Path: rest}, nil
	}
	path, name := splitPath(rest)
	return Source{Kind: kind, Path: path, Name: name}, nil
}

// splitPath takes the name or digest off a path.
func splitPath(s string) (path, name string) {
	if _, err := os.Lstat(s); err == nil {
		return s, ""
	}
	if i := strings.LastIndex(s, "@sha"); i > 0 {
		return s[:i], s[i:]
	}
	// Names hold colons and slashes themselves: the shortest path that exists is
	// the path.
	for i := 1; i < len(s); i++ {
		if s[i] != ':' {
			continue
		}
		if _, err := os.Lstat(s[:i]); err == nil || s[:i] == "-" {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
