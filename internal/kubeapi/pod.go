package kubeapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"seawall.io/seawall"
)

// Pod is what the agent reads of a pod.
type Pod struct {
	Metadata struct {
		Name              string            `json:"name"`
		Namespace         string            `json:"namespace"`
		UID               string            `json:"uid"`
		ResourceVersion   string            `json:"resourceVersion"`
		Labels            map[string]string `json:"labels"`
		Annotations       map[string]string `json:"annotations"`
		OwnerReferences   []Owner           `json:"ownerReferences"`
		DeletionTimestamp string            `json:"deletionTimestamp"`
		CreationTimestamp string            `json:"creationTimestamp"`
	} `json:"metadata"`
	Spec struct {
		NodeName           string `json:"nodeName"`
		ServiceAccountName string `json:"serviceAccountName"`
		HostNetwork        bool   `json:"hostNetwork"`
		HostPID            bool   `json:"hostPID"`
	} `json:"spec"`
	Status struct {
		Phase  string `json:"phase"`
		PodIPs []struct {
			IP string `json:"ip"`
		} `json:"podIPs"`
		Conditions []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"conditions"`
		ContainerStatuses []ContainerStatus `json:"containerStatuses"`
	} `json:"status"`
}

// Owner is one of the objects that a pod belongs to.
type Owner struct {
	APIVersion         string `json:"apiVersion"`
	Kind               string `json:"kind"`
	Name               string `json:"name"`
	UID                string `json:"uid"`
	Controller         bool   `json:"controller,omitempty"`
	BlockOwnerDeletion bool   `json:"blockOwnerDeletion,omitempty"`
}

// ContainerStatus is how one container of a pod does.
type ContainerStatus struct {
	Name        string `json:"name"`
	ContainerID string `json:"containerID"` // containerd://...
	ImageID     string `json:"imageID"`
	Ready       bool   `json:"ready"`
}

// Ready says whether the pod is.
func (p *Pod) Ready() bool {
	for _, c := range p.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True"
		}
	}
	return false
}

// Controller returns the owner that manages the pod.
func (p *Pod) Controller() (Owner, bool) {
	for _, o := range p.Metadata.OwnerReferences {
		if o.Controller {
			return o, true
		}
	}
	return Owner{}, false
}

// Workload names what the pod is a replica of. A ReplicaSet that a Deployment made
// bears that one's name and the hash in the pod's label pod-template-hash, by which
// the Deployment is known without asking for the ReplicaSet.
func (p *Pod) Workload() seawall.Workload {
	owner, ok := p.Controller()
	if !ok {
		return seawall.Workload{Kind: "Pod", Name: p.Metadata.Name}
	}
	if hash := p.Metadata.Labels["pod-template-hash"]; owner.Kind == "ReplicaSet" && hash != "" {
		if name, ok := strings.CutSuffix(owner.Name, "-"+hash); ok {
			return seawall.Workload{Kind: "Deployment", Name: name}
		}
	}
	return seawall.Workload{Kind: owner.Kind, Name: owner.Name}
}

// Noun returns the pod as events have it. Its mode is that of its namespace, which
// the pod does not know.
func (p *Pod) Noun() *seawall.Pod {
	out := &seawall.Pod{
		Namespace: p.Metadata.Namespace, Name: p.Metadata.Name, UID: p.Metadata.UID, Labels: p.Metadata.Labels, Workload: p.Workload(),
		ServiceAccount: p.Spec.ServiceAccountName, HostNetwork: p.Spec.HostNetwork, HostPID: p.Spec.HostPID,
	}
	for _, ip := range p.Status.PodIPs {
		out.IP = append(out.IP, ip.IP)
	}
	// A static pod's object is a mirror: the node knows the pod by this hash.
	if hash := p.Metadata.Annotations["kubernetes.io/config.hash"]; hash != "" && p.Metadata.Annotations["kubernetes.io/config.mirror"] != "" {
		out.UID = hash
	}
	return out
}

// FollowPods follows the pods of a node until ctx ends.
func (c *Client) FollowPods(ctx context.Context, node string, synced func([]*Pod), changed func(Change[*Pod]), failed func(error)) {
	follow(ctx, c, "/api/v1/pods", url.Values{"fieldSelector": {"spec.nodeName=" + node}}, synced, changed, failed)
}

// Pods lists pods of a namespace that a label selector picks.
func (c *Client) Pods(ctx context.Context, namespace, selector string) ([]*Pod, error) {
	var list struct {
		Items []*Pod `json:"items"`
	}
	err := c.do(ctx, http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods", url.Values{"labelSelector": {selector}, "limit": {"500"}}, "", nil, &list)
	return list.Items, err
}

// Pod reads one pod.
func (c *Client) Pod(ctx context.Context, namespace, name string) (*Pod, error) {
	var pod Pod
	if err := c.do(ctx, http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods/"+name, nil, "", nil, &pod); err != nil {
		return nil, err
	}
	return &pod, nil
}

// PatchPod changes a pod by a JSON merge patch (RFC 7386). With the pod's
// resourceVersion in the patch, a pod that changed meanwhile is a conflict.
func (c *Client) PatchPod(ctx context.Context, namespace, name string, patch any) (*Pod, error) {
	var pod Pod
	err := c.do(ctx, http.MethodPatch, "/api/v1/namespaces/"+namespace+"/pods/"+name, nil, "application/merge-patch+json", patch, &pod)
	return &pod, err
}

// Namespace is what the agent reads of a namespace.
type Namespace struct {
	Metadata struct {
		Name        string            `json:"name"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
}

// FollowNamespaces follows all namespaces until ctx ends.
func (c *Client) FollowNamespaces(ctx context.Context, synced func([]*Namespace), changed func(Change[*Namespace]), failed func(error)) {
	follow(ctx, c, "/api/v1/namespaces", nil, synced, changed, failed)
}

// CreateNetworkPolicy makes a policy. One of that name that exists already is left
// as it is.
func (c *Client) CreateNetworkPolicy(ctx context.Context, namespace string, policy any) error {
	err := c.do(ctx, http.MethodPost, "/apis/networking.k8s.io/v1/namespaces/"+namespace+"/networkpolicies", nil, "application/json", policy, nil)
	var e *Error
	if errors.As(err, &e) && e.Reason == "AlreadyExists" {
		return nil
	}
	return err
}

// CreateEvent records an event of the namespace of what it is about.
func (c *Client) CreateEvent(ctx context.Context, namespace string, event any) error {
	return c.do(ctx, http.MethodPost, "/api/v1/namespaces/"+namespace+"/events", nil, "application/json", event, nil)
}
