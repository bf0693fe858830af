package scan

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/rbac"
)

// unplaced returns the objects of files that live in a namespace and name none:
// whoever applies them says which it is, as kubectl apply --namespace does.
func unplaced(objects []*cluster.Object) []*cluster.Object {
	var definitions []*cluster.Object
	for _, o := range objects {
		if o.Kind == "CustomResourceDefinition" {
			definitions = append(definitions, o)
		}
	}
	type kind struct{ group, name string }
	namespaced := map[kind]bool{}
	for _, r := range rbac.Resources(cluster.NewSnapshot(definitions)) {
		namespaced[kind{r.Group, r.Kind}] = r.Namespaced
	}
	var out []*cluster.Object
	for _, o := range objects {
		if o.Namespace != "" || o.Name == "" || o.Group() == ownGroup {
			continue
		}
		is, known := namespaced[kind{o.Group(), o.Kind}]
		if is || !known && !namedForCluster(o.Kind) {
			out = append(out, o)
		}
	}
	return out
}

// ownGroup is that of images, source files and Dockerfiles, which are judged as
// objects.
const ownGroup = "seawall.io"

// namedForCluster says that a kind whose definition is not among the files is by
// its name one of the whole cluster: ClusterIssuer, GlobalNetworkPolicy,
// GatewayClass. Most others live in namespaces.
func namedForCluster(kind string) bool {
	return strings.HasPrefix(kind, "Cluster") || strings.HasPrefix(kind, "Global") || strings.HasSuffix(kind, "Class")
}

// place puts the objects of files that name no namespace into the one that the
// user named. Without, they stay as they are, which everything reads as default.
func (r *reader) place() error {
	namespace := r.options.DefaultNamespace
	if namespace != "" && len(validation.IsDNS1123Label(namespace)) > 0 {
		return fmt.Errorf("--default-namespace %q: want the name of a namespace: up to 63 of a-z, 0-9 and -", namespace)
	}
	objects := unplaced(r.objects)
	for _, o := range objects {
		o.Namespace = namespace
	}
	if namespace == "" {
		r.coverage.WithoutNamespace = len(objects)
	}
	return nil
}

// withoutNamespace says for people that objects were taken for those of default.
func withoutNamespace(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "1 object of the files names no namespace and is read as one of default: --default-namespace names another"
	}
	return fmt.Sprintf("%d objects of the files name no namespace and are read as those of default: --default-namespace names another", n)
}

// namesNamespace says that some object lives in another namespace than default,
// or binds an account that does, so that taking the others for objects of default
// may tear apart what belongs together.
func namesNamespace(objects []*cluster.Object) bool {
	other := func(namespace string) bool { return namespace != "" && namespace != "default" }
	return slices.ContainsFunc(objects, func(o *cluster.Object) bool {
		if other(o.Namespace) {
			return true
		}
		for _, subject := range o.Root.Get("subjects").List() {
			if subject.Get("kind").Str() == "ServiceAccount" && other(subject.Get("namespace").Str()) {
				return true
			}
		}
		return false
	})
}
