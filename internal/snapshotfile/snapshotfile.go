// Package snapshotfile keeps a cluster's state in a file, so that every command
// can read it later, elsewhere and without access to the cluster. The file is
// named cluster.tar.zst by custom: a tar, compressed by zstd, of
//
//	manifest.json                       what the snapshot is; see Meta
//	objects/GROUP/VERSION/KIND.jsonl    the objects of one kind, one to a line
//
// with "core" for the group of Pods. `tar --zstd -xOf cluster.tar.zst
// objects/apps/v1/Deployment.jsonl` prints the Deployments. The same snapshot
// makes the same bytes: kinds are sorted by group, version and name, objects by
// namespace and name, and the only time in the file is Meta.Time.
//
// The values of Secrets are never in the file, nor the annotations and managed
// fields that may repeat them: package kube takes them away when it reads a
// cluster, and Write takes away what is left. Values of ConfigMaps and of
// environment variables are in the file, so that checks can look for
// credentials in them; keep the file as you keep access to the cluster.
//
// Reading trusts nothing in the file. Names of entries never become paths.
package snapshotfile

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
)

// Meta is what a snapshot file says about itself besides its objects.
type Meta struct {
	// Cluster is the name that the objects get as Object.Cluster: empty stands
	// for the one that they have.
	Cluster string
	// Time is when the cluster was read.
	Time time.Time
	// Seawall is the version of the program that wrote the file.
	Seawall string
}

// format is the version of the file's format that this package writes, and the
// only one that it reads.
const format = 1

const manifestName = "manifest.json"

// manifest is the first entry.
type manifest struct {
	Format        int                  `json:"format"`
	Seawall       string               `json:"seawall,omitempty"`
	Cluster       string               `json:"cluster"`
	ServerVersion string               `json:"serverVersion,omitempty"`
	Time          time.Time            `json:"time"`
	Whole         bool                 `json:"whole"`
	Objects       int                  `json:"objects"`
	Entries       []manifestEntry      `json:"entries"`
	Incomplete    []seawall.Incomplete `json:"incomplete,omitempty"`
}

// manifestEntry announces one of the following entries.
type manifestEntry struct {
	Name    string `json:"name"`
	Objects int    `json:"objects"`
}

// kindOf is the kind of which an entry holds the objects.
type kindOf struct{ group, version, kind string }

func kind(o *cluster.Object) kindOf {
	group := o.Group()
	return kindOf{group, strings.TrimPrefix(o.APIVersion, group+"/"), o.Kind}
}

func (k kindOf) compare(other kindOf) int {
	return cmp.Or(cmp.Compare(k.group, other.group), cmp.Compare(k.version, other.version), cmp.Compare(k.kind, other.kind))
}

// entryName returns the name of a kind's entry, different for each kind and
// harmless to those who unpack the file with tar.
func (k kindOf) entryName() string {
	group := segment(k.group)
	switch k.group {
	case "":
		group = "core"
	case "core": // somebody's own
		group = "%core"
	}
	return "objects/" + group + "/" + segment(k.version) + "/" + segment(k.kind) + ".jsonl"
}

// segment escapes what has a meaning in a path. Nothing else gives a lone %.
func segment(text string) string {
	if text == "" {
		return "%"
	}
	if strings.Trim(text, ".") == "" {
		return strings.ReplaceAll(text, ".", "%2E")
	}
	return url.PathEscape(text)
}

// sorted returns the objects in the order of the file.
func sorted(objects []*cluster.Object) []*cluster.Object {
	out := slices.Clone(objects)
	slices.SortStableFunc(out, func(a, b *cluster.Object) int {
		if a.APIVersion != b.APIVersion || a.Kind != b.Kind {
			return kind(a).compare(kind(b))
		}
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out
}
