package scan

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/kube"
	"seawall.io/seawall/internal/oci"
)

// pullKeys are the credentials that workloads name for their images, by the image
// as they write it.
type pullKeys map[string]oci.Keychains

// pullSecrets reads the image pull secrets that pods and their service accounts
// name, when asked to. One that cannot be read is named: its images are then
// asked for without.
func (r *reader) pullSecrets(ctx context.Context) pullKeys {
	if !r.options.PullSecrets {
		return nil
	}
	keys := pullKeys{}
	for _, s := range r.snaps {
		r.pullSecretsOf(ctx, s, r.clients[s], keys)
	}
	if len(r.objects) > 0 {
		r.pullSecretsOf(ctx, cluster.NewSnapshot(r.objects), nil, keys)
	}
	return keys
}

// pullSecretsOf asks the cluster, or the Secrets among the objects where there is
// none to ask.
func (r *reader) pullSecretsOf(ctx context.Context, s *cluster.Snapshot, client *kube.Client, keys pullKeys) {
	type secret struct{ namespace, name string }
	known := map[secret]oci.Keychain{}
	for _, t := range s.Templates() {
		named := t.Spec().At("imagePullSecrets").List()
		if account := s.Get("", "ServiceAccount", t.Namespace(), t.ServiceAccount()); account != nil && len(named) == 0 {
			// The ServiceAccount admission plugin adds them only to a pod without.
			named = account.Root.At("imagePullSecrets").List()
		}
		for _, n := range named {
			id := secret{t.Namespace(), n.At("name").Str()}
			if id.name == "" {
				continue
			}
			chain, ok := known[id]
			if !ok {
				var err error
				if chain, err = pullSecret(ctx, s, client, id.namespace, id.name); err != nil {
					r.coverage.Incomplete = append(r.coverage.Incomplete, seawall.Incomplete{
						Location: seawall.Location{Path: id.namespace + "/" + id.name}, Reason: err.Error(),
					})
				}
				known[id] = chain
			}
			if chain == nil {
				continue
			}
			for i := range t.Containers {
				ref := t.Containers[i].Image()
				keys[ref] = append(keys[ref], chain)
			}
		}
	}
}

func pullSecret(ctx context.Context, s *cluster.Snapshot, client *kube.Client, namespace, name string) (oci.Keychain, error) {
	var data []byte
	var err error
	if client != nil {
		data, err = client.PullSecret(ctx, namespace, name)
	} else {
		data, err = pullSecretAmong(s, namespace, name)
	}
	if err != nil {
		return nil, err
	}
	chain, err := oci.DockerConfigJSON(data)
	if err != nil {
		return nil, fmt.Errorf("image pull secret %s/%s: %w", namespace, name, err)
	}
	return chain, nil
}

// pullSecretAmong takes the value from a Secret in a file.
func pullSecretAmong(s *cluster.Snapshot, namespace, name string) ([]byte, error) {
	o := s.Get("", "Secret", namespace, name)
	if o == nil {
		return nil, fmt.Errorf("image pull secret %s/%s is not among the objects", namespace, name)
	}
	text := func(part string) *document.Node {
		for _, key := range []string{".dockerconfigjson", ".dockercfg"} {
			if n := o.Root.At(part, key); n != nil {
				return n
			}
		}
		return nil
	}
	if n := text("stringData"); n != nil {
		return []byte(n.Str()), nil
	}
	n := text("data")
	if n == nil {
		return nil, fmt.Errorf("image pull secret %s/%s holds no .dockerconfigjson", namespace, name)
	}
	data, err := base64.StdEncoding.DecodeString(n.Str())
	if err != nil {
		return nil, errors.New("image pull secret " + namespace + "/" + name + " has no value here: snapshots keep none")
	}
	return data, nil
}
