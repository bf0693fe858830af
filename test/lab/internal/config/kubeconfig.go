package config

// Kubeconfig is how one user reaches one cluster.
type Kubeconfig struct {
	Cluster string // name of the cluster and of the context
	Server  string // URL of the API server
	CA      []byte // PEM
	User    string
	Cert    []byte // PEM
	Key     []byte // PEM
}

// Encode returns the file. The credentials are within, so that it can be moved.
func (k Kubeconfig) Encode() ([]byte, error) {
	return encode("the kubeconfig of "+k.User, object{
		"apiVersion": "v1",
		"kind":       "Config",
		"clusters": []object{{
			"name": k.Cluster,
			// A []byte becomes base64, which is what these fields hold.
			"cluster": object{"server": k.Server, "certificate-authority-data": k.CA},
		}},
		"users": []object{{
			"name": k.User,
			"user": object{"client-certificate-data": k.Cert, "client-key-data": k.Key},
		}},
		"contexts": []object{{
			"name":    k.Cluster,
			"context": object{"cluster": k.Cluster, "user": k.User},
		}},
		"current-context": k.Cluster,
	})
}
