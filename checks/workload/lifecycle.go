package workloadchecks

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/patch"
)

//go:embed lifecycle.tsv
var lifecycleTable string

// lifecycle is what became of one kind of one API version. Versions are minor
// ones; 0 is never, or not known.
type lifecycle struct {
	deprecated, removed int
	replacement, kind   string
	same                bool // the replacement takes every field as it is
}

// readLifecycles returns the table by apiVersion/kind.
func readLifecycles() (map[string]lifecycle, error) {
	out := map[string]lifecycle{}
	for i, line := range strings.Split(lifecycleTable, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 8 {
			return nil, fmt.Errorf("lifecycle.tsv:%d: want 8 columns, have %d", i+1, len(f))
		}
		deprecated, err := strconv.Atoi(f[3])
		if err != nil {
			return nil, fmt.Errorf("lifecycle.tsv:%d: %w", i+1, err)
		}
		removed, err := strconv.Atoi(f[4])
		if err != nil {
			return nil, fmt.Errorf("lifecycle.tsv:%d: %w", i+1, err)
		}
		version := strings.TrimPrefix(f[0]+"/"+f[1], "/")
		out[version+"/"+f[2]] = lifecycle{deprecated, removed, f[5], f[6], f[7] == "same"}
	}
	return out, nil
}

// deprecatedVersion reports objects of an API version that is deprecated or
// removed in the version of Kubernetes that is judged for.
func deprecatedVersion(in *check.Input) {
	type key struct{}
	table := cluster.Derive(in.Snapshot, key{}, func() map[string]lifecycle {
		table, err := readLifecycles()
		if err != nil {
			in.Unknown(nil, err.Error())
		}
		return table
	})
	for _, o := range in.Snapshot.Objects {
		life, known := table[o.GVK()]
		// A control plane makes Endpoints for every Service as long as it can.
		if !known || in.Snapshot.Whole && o.Kind == "Endpoints" {
			continue
		}
		var message string
		switch {
		case life.removed > 0 && in.Minor >= life.removed:
			message = fmt.Sprintf("%s of %s was removed in Kubernetes 1.%d", o.Kind, o.APIVersion, life.removed)
		case life.deprecated > 0 && in.Minor >= life.deprecated && life.removed > 0:
			message = fmt.Sprintf("%s of %s is deprecated since Kubernetes 1.%d and removed in 1.%d", o.Kind, o.APIVersion, life.deprecated, life.removed)
		case life.deprecated > 0 && in.Minor >= life.deprecated:
			message = fmt.Sprintf("%s of %s is deprecated since Kubernetes 1.%d", o.Kind, o.APIVersion, life.deprecated)
		default:
			continue
		}
		hit := check.Hit{Object: o, Path: "apiVersion", Message: message + life.successor(o)}
		if life.same {
			hit.Fix = patch.Set(o.Root, "apiVersion", life.replacement)
		}
		in.Report(hit)
	}
}

// successor names the replacement.
func (l lifecycle) successor(o *cluster.Object) string {
	switch {
	case l.replacement == "-":
		return ", without a replacement"
	case l.kind != o.Kind:
		return ": use " + l.kind + " of " + l.replacement
	}
	return ": use " + l.replacement
}
