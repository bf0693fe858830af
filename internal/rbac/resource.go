package rbac

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// Resource is a collection of objects of the API, as requests name it.
type Resource struct {
	Group, Name    string
	Singular, Kind string
	Short          []string
	Namespaced     bool
	// Virtual says that there are no objects: the authorizer is asked about it
	// when somebody impersonates or signs.
	Virtual bool
}

// String names the resource as kubectl does: pods, deployments.apps.
func (r Resource) String() string {
	if r.Group == "" {
		return r.Name
	}
	return r.Name + "." + r.Group
}

// resourcesTable is what Kubernetes itself serves, one resource a line.
// TestResourcesAreThoseOfKubernetes makes it.
//
//go:embed resources.txt
var resourcesTable string

// virtual resources are those of impersonation and of signing certificates.
var virtual = []Resource{
	{Name: "users", Virtual: true},
	{Name: "groups", Virtual: true},
	{Group: "authentication.k8s.io", Name: "uids", Virtual: true},
	{Group: "authentication.k8s.io", Name: "userextras", Virtual: true},
	{Group: "certificates.k8s.io", Name: "signers", Virtual: true},
}

// shipped are the resources of Kubernetes, the core group first, as kubectl
// prefers it.
var shipped = sync.OnceValue(func() []Resource {
	var out []Resource
	for line := range strings.Lines(resourcesTable) {
		f := strings.Fields(line)
		if f[0] == "#" {
			continue
		}
		r := Resource{Singular: f[1], Kind: f[2], Namespaced: f[3] == "namespaced"}
		r.Name, r.Group, _ = strings.Cut(f[0], ".")
		if len(f) > 4 {
			r.Short = strings.Split(f[4], ",")
		}
		out = append(out, r)
	}
	return slices.Concat(out, virtual)
})

// Resources returns the resources that are known: those of Kubernetes itself,
// and those of the CustomResourceDefinitions of a snapshot.
func Resources(s *cluster.Snapshot) []Resource {
	type key struct{}
	return cluster.Derive(s, key{}, func() []Resource {
		out := slices.Clone(shipped())
		for _, crd := range s.Kind("CustomResourceDefinition") {
			if r, ok := custom(crd); ok && !slices.ContainsFunc(out, func(o Resource) bool { return o.Group == r.Group && o.Name == r.Name }) {
				out = append(out, r)
			}
		}
		return out
	})
}

// custom reads a CustomResourceDefinition. kubectl takes the singular of one
// that names none to be its kind in lower case, as the API server does.
func custom(crd *cluster.Object) (r Resource, ok bool) {
	spec := crd.Root.Get("spec")
	names := spec.Get("names")
	r = Resource{
		Group: spec.Get("group").Str(), Name: names.Get("plural").Str(),
		Singular: names.Get("singular").Str(), Kind: names.Get("kind").Str(),
		Namespaced: spec.Get("scope").Str() == "Namespaced",
	}
	if r.Singular == "" {
		r.Singular = strings.ToLower(r.Kind)
	}
	for _, n := range names.Get("shortNames").List() {
		if n.Kind() == document.String {
			r.Short = append(r.Short, n.Str())
		}
	}
	return r, crd.Group() == "apiextensions.k8s.io" && r.Group != "" && r.Name != ""
}

// find returns the resources that somebody may mean by a name: pods, po, Pod,
// deployments.apps, deploy.v1.apps. A name with a dot is of that group.
func find(all []Resource, text string) []Resource {
	name, group, dotted := strings.Cut(strings.ToLower(text), ".")
	if version, rest, more := strings.Cut(group, "."); dotted && more && isVersion(version) {
		group = rest
	}
	var exact, short []Resource
	for _, r := range all {
		if dotted && r.Group != group {
			continue
		}
		switch {
		case name == r.Name, name == r.Singular && name != "":
			exact = append(exact, r)
		case slices.Contains(r.Short, name):
			short = append(short, r)
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return short
}

// isVersion says whether a part of a resource's name is a version: v1, v2beta1.
func isVersion(text string) bool {
	digits, is := strings.CutPrefix(text, "v")
	return is && digits != "" && digits[0] >= '0' && digits[0] <= '9'
}
