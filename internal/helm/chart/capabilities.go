package chart

import (
	"runtime"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

// Versions that templates see when nobody names a cluster, as the Helm in
// go.mod has them. A test holds them against go.mod and Helm.
const (
	helmVersion = "v4.3"
	kubeVersion = "v1.37"
)

// apiVersions are those of every API that Kubernetes' client library has, and
// those of CustomResourceDefinitions: what Helm takes a plain cluster to serve.
const apiVersions = `
v1 admissionregistration.k8s.io/v1 admissionregistration.k8s.io/v1alpha1 admissionregistration.k8s.io/v1beta1
internal.apiserver.k8s.io/v1alpha1 apps/v1 apps/v1beta1 apps/v1beta2 authentication.k8s.io/v1
authentication.k8s.io/v1alpha1 authentication.k8s.io/v1beta1 authorization.k8s.io/v1
authorization.k8s.io/v1beta1 autoscaling/v1 autoscaling/v2 batch/v1 batch/v1beta1 certificates.k8s.io/v1
certificates.k8s.io/v1beta1 certificates.k8s.io/v1alpha1 coordination.k8s.io/v1alpha2
coordination.k8s.io/v1beta1 coordination.k8s.io/v1 discovery.k8s.io/v1 discovery.k8s.io/v1beta1
events.k8s.io/v1 events.k8s.io/v1beta1 extensions/v1beta1 flowcontrol.apiserver.k8s.io/v1
flowcontrol.apiserver.k8s.io/v1beta1 flowcontrol.apiserver.k8s.io/v1beta2
flowcontrol.apiserver.k8s.io/v1beta3 lifecycle.k8s.io/v1alpha1 networking.k8s.io/v1 networking.k8s.io/v1beta1
node.k8s.io/v1 node.k8s.io/v1alpha1 node.k8s.io/v1beta1 policy/v1 policy/v1beta1 rbac.authorization.k8s.io/v1
rbac.authorization.k8s.io/v1beta1 rbac.authorization.k8s.io/v1alpha1 resource.k8s.io/v1
resource.k8s.io/v1beta2 resource.k8s.io/v1beta1 resource.k8s.io/v1alpha3 scheduling.k8s.io/v1alpha3
scheduling.k8s.io/v1beta1 scheduling.k8s.io/v1 storage.k8s.io/v1beta1 storage.k8s.io/v1
storage.k8s.io/v1alpha1 storagemigration.k8s.io/v1 storagemigration.k8s.io/v1beta1
apiextensions.k8s.io/v1beta1 apiextensions.k8s.io/v1
`

// Capabilities is what templates learn of Helm and the cluster.
type Capabilities struct {
	KubeVersion KubeVersion
	APIVersions VersionSet
	HelmVersion BuildInfo
}

// BuildInfo is what templates learn of Helm.
type BuildInfo struct {
	Version           string
	GitCommit         string
	GitTreeState      string
	GoVersion         string
	KubeClientVersion string
}

// KubeVersion is the version of the cluster.
type KubeVersion struct {
	Version string // in full: v1.33.4-gke.1245000
	Major   string
	Minor   string

	plain string // v1.33.4
}

// String returns the version without what comes after the three numbers.
func (k *KubeVersion) String() string {
	if k.plain != "" {
		return k.plain
	}
	return k.Version
}

// GitVersion returns the version in full. Older charts use it.
func (k *KubeVersion) GitVersion() string { return k.Version }

// ParseKubeVersion reads 1.34 or v1.34.2-gke.1.
func ParseKubeVersion(text string) (KubeVersion, error) {
	v, err := version.ParseGeneric(text)
	if err != nil {
		return KubeVersion{}, err
	}
	return KubeVersion{
		Version: "v" + strings.TrimPrefix(text, "v"),
		Major:   strconv.FormatUint(uint64(v.Major()), 10),
		Minor:   strconv.FormatUint(uint64(v.Minor()), 10),
		plain:   "v" + v.String(),
	}, nil
}

// VersionSet are the versions of APIs that the cluster has.
type VersionSet []string

// Has says whether a version, such as apps/v1, is there.
func (s VersionSet) Has(apiVersion string) bool { return slices.Contains(s, apiVersion) }

// DefaultCapabilities returns those of a plain cluster of the version that Helm
// was made for.
func DefaultCapabilities() *Capabilities {
	kube, err := ParseKubeVersion(kubeVersion + ".0")
	if err != nil {
		panic(err) // a constant
	}
	return &Capabilities{
		KubeVersion: kube,
		APIVersions: strings.Fields(apiVersions),
		HelmVersion: BuildInfo{Version: helmVersion, GoVersion: runtime.Version(), KubeClientVersion: kubeVersion},
	}
}
