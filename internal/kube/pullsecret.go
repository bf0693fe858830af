package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// PullSecret returns what an image pull secret holds: a docker configuration, in
// the form of .dockerconfigjson or, before it, .dockercfg. It is the one read of a
// Secret's value there is, for a caller whom the user told to use it, and needs
// the permission to get the Secret.
func (c *Client) PullSecret(ctx context.Context, namespace, name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, max(c.timeout, time.Second))
	defer cancel()
	body, err := c.rest.Get().AbsPath("/api/v1/namespaces", namespace, "secrets", name).
		SetHeader("Accept", "application/json").Do(ctx).Raw()
	if err != nil {
		return nil, fmt.Errorf("reading image pull secret %s/%s: %w", namespace, name, err)
	}
	var secret struct {
		Type string
		Data map[string][]byte
	}
	if err := json.Unmarshal(body, &secret); err != nil {
		return nil, fmt.Errorf("reading image pull secret %s/%s: %w", namespace, name, err)
	}
	for _, key := range []string{".dockerconfigjson", ".dockercfg"} {
		if v, ok := secret.Data[key]; ok {
			return v, nil
		}
	}
	return nil, fmt.Errorf("image pull secret %s/%s is of type %q: want kubernetes.io/dockerconfigjson", namespace, name, secret.Type)
}
