package config

// Kubelet is the part of a kubelet's configuration that differs by node.
type Kubelet struct {
	CAFile, CertFile, KeyFile string
	CgroupRoot                string // each kubelet deletes what it does not know below its root
	ContainerdSocket          string
	ClusterDNS                string // address
	ManifestDir               string // static pods
	VolumePluginDir           string
}

// Encode returns the file for kubelet --config.
func (k Kubelet) Encode() ([]byte, error) {
	return encode("the kubelet's configuration", object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",
		"authentication": object{
			"anonymous": object{"enabled": false},
			"webhook":   object{"enabled": true},
			"x509":      object{"clientCAFile": k.CAFile},
		},
		"authorization":            object{"mode": "Webhook"},
		"tlsCertFile":              k.CertFile,
		"tlsPrivateKeyFile":        k.KeyFile,
		"readOnlyPort":             0,
		"containerRuntimeEndpoint": "unix://" + k.ContainerdSocket,
		"cgroupDriver":             "cgroupfs",
		"cgroupRoot":               k.CgroupRoot,
		// Many build machines still mount the first version of cgroups.
		"failCgroupV1": false,
		"failSwapOn":   false,
		// The node's cgroup has no limit of its own: the machine is shared.
		"enforceNodeAllocatable": []string{},
		"clusterDNS":             []string{k.ClusterDNS},
		"clusterDomain":          "cluster.local",
		// Pods must not inherit name servers that only this machine reaches.
		"resolvConf":      "",
		"staticPodPath":   k.ManifestDir,
		"volumePluginDir": k.VolumePluginDir,
		// A disk that is nearly full is no reason to evict the pods of a test,
		// and no image may be collected: there is nowhere to pull it from.
		"evictionHard":                object{"nodefs.available": "1%", "imagefs.available": "1%"},
		"imageGCHighThresholdPercent": 100,
	})
}
