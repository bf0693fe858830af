package config

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

func TestEncode(t *testing.T) {
	odd := `/home/a "quoted": #name/x`
	tests := []struct {
		name string
		in   interface{ Encode() ([]byte, error) }
		want map[string]any // path, dots between keys: value
	}{
		{
			"kubeconfig",
			Kubeconfig{Cluster: "c", Server: "https://10.0.0.1:6443", CA: []byte("ca"), User: "admin", Cert: []byte("cert"), Key: []byte("key")},
			map[string]any{
				"kind":                      "Config",
				"current-context":           "c",
				"clusters.0.cluster.server": "https://10.0.0.1:6443",
				"clusters.0.cluster.certificate-authority-data": base64.StdEncoding.EncodeToString([]byte("ca")),
				"users.0.user.client-certificate-data":          base64.StdEncoding.EncodeToString([]byte("cert")),
				"users.0.user.client-key-data":                  base64.StdEncoding.EncodeToString([]byte("key")),
				"contexts.0.context.user":                       "admin",
			},
		},
		{
			"kubelet",
			Kubelet{CAFile: odd, CgroupRoot: "/c-node1", ContainerdSocket: "/run/containerd/containerd.sock", ClusterDNS: "10.77.0.11"},
			map[string]any{
				"kind":                             "KubeletConfiguration",
				"authentication.x509.clientCAFile": odd,
				"authentication.anonymous.enabled": false,
				"cgroupRoot":                       "/c-node1",
				"failCgroupV1":                     false,
				"containerRuntimeEndpoint":         "unix:///run/containerd/containerd.sock",
				"clusterDNS.0":                     "10.77.0.11",
			},
		},
		{
			"kube-proxy",
			KubeProxy{Kubeconfig: odd, Node: "c-node1", ClusterCIDR: "10.128.0.0/16"},
			map[string]any{
				"kind":                        "KubeProxyConfiguration",
				"mode":                        "nftables",
				"clientConnection.kubeconfig": odd,
				"hostnameOverride":            "c-node1",
				"conntrack.maxPerCore":        0.0,
			},
		},
		{
			"cni",
			CNI{Network: "c", Subnet: "10.128.1.0/24"},
			map[string]any{
				"name":                             "c",
				"plugins.0.type":                   "bridge",
				"plugins.0.ipam.ranges.0.0.subnet": "10.128.1.0/24",
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out, err := test.in.Encode()
			if err != nil {
				t.Fatal(err)
			}
			var document any
			if err := json.Unmarshal(out, &document); err != nil {
				t.Fatalf("%v in\n%s", err, out)
			}
			for path, want := range test.want {
				if got := lookup(document, strings.Split(path, ".")); got != want {
					t.Errorf("%s is %#v, want %#v", path, got, want)
				}
			}
		})
	}
}

func TestText(t *testing.T) {
	containerd := string(Containerd{PauseImage: "p:1", CNIPlugins: "/usr/lib/cni"}.Encode())
	for _, want := range []string{`sandbox_image = "p:1"`, `bin_dir = "/usr/lib/cni"`, "restrict_oom_score_adj = true"} {
		if !strings.Contains(containerd, want) {
			t.Errorf("containerd's configuration lacks %s:\n%s", want, containerd)
		}
	}
	corefile := string(CoreDNS{Address: "10.77.0.11", Kubeconfig: "/k"}.Encode())
	for _, want := range []string{"bind 10.77.0.11", `kubeconfig "/k"`} {
		if !strings.Contains(corefile, want) {
			t.Errorf("the Corefile lacks %s:\n%s", want, corefile)
		}
	}
}

// lookup follows path through objects and, by number, lists.
func lookup(value any, path []string) any {
	for _, key := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[key]
		case []any:
			var i int
			if json.Unmarshal([]byte(key), &i) != nil || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}
