package configchecks

import (
	"fmt"
	"slices"

	"seawall.io/seawall/internal/check"
)

// volumeClass reports PersistentVolumes of a StorageClass that does not say that
// it encrypts. The parameter encrypting names provisioners that always do. A
// class that is not there is not judged: the name may be a mere mark.
func volumeClass(in *check.Input) {
	encrypting := in.Strings("encrypting")
	for _, o := range in.Snapshot.Kind("PersistentVolume") {
		name := o.Root.At("spec", "storageClassName").Str()
		class := in.Snapshot.Get("storage.k8s.io", "StorageClass", "", name)
		if o.Group() != "" || name == "" || class == nil {
			continue
		}
		provisioner := class.Root.Get("provisioner").Str()
		parameters := class.Root.Get("parameters")
		if slices.Contains(encrypting, provisioner) || parameters.Get("encrypted").Str() == "true" || parameters.Get("secure").Str() == "true" {
			continue
		}
		in.Report(check.Hit{
			Object: o, Path: "spec.storageClassName",
			Message: fmt.Sprintf("StorageClass %s (%s) does not say that it encrypts", name, provisioner),
		})
	}
}
