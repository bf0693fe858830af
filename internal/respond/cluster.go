package respond

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/kubeapi"
)

// The label and annotations of a contained pod.
const (
	LabelIsolated      = "seawall.io/isolated"
	annotationBy       = "seawall.io/isolated-by"
	annotationAt       = "seawall.io/isolated-at"
	annotationReason   = "seawall.io/reason"
	annotationOwner    = "seawall.io/owner"
	annotationLabels   = "seawall.io/labels"
	isolatedPolicyName = "seawall-isolated"
)

// Run does the cluster's part of every act that lacks it, tries again what failed,
// and returns when ctx ends.
func (r *Responder) Run(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	wait := map[string]time.Time{}
	tries := map[string]int{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, c := range r.unfinished() {
			uid := c.Act.Pod.UID
			if r.now().Before(wait[uid]) || !r.begin(uid) {
				continue
			}
			if r.contained(uid) == c { // nobody released it meanwhile
				before := len(c.Act.Steps)
				done := r.detach(ctx, c)
				if done {
					r.change(func() { c.Act.State = seawall.ActDone })
					delete(tries, uid)
					delete(wait, uid)
				} else {
					tries[uid]++
					wait[uid] = r.now().Add(min(time.Second<<min(tries[uid], 5), 30*time.Second))
					if tries[uid] < 20 && c.Detached {
						wait[uid] = r.now() // a replacement is on its way: look often at first
					}
				}
				if done || len(c.Act.Steps) != before || tries[uid] == 1 {
					r.remember(c)
					r.record(c.Act)
				}
			}
			r.end(uid)
		}
	}
}

func (r *Responder) unfinished() []*contained {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*contained
	for _, c := range r.held {
		if c.Act.State == seawall.ActRunning {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b *contained) int { return strings.Compare(a.Act.ID, b.Act.ID) })
	return out
}

// detach takes the pod from its Services and its controller and waits for the
// replacement. It says whether there is nothing left to do.
func (r *Responder) detach(ctx context.Context, c *contained) bool {
	pod := c.Act.Pod
	if !done(c.Act, "policy") {
		r.step(c.Act, "policy", func() (string, error) {
			return "", r.o.Cluster.CreateNetworkPolicy(ctx, pod.Namespace, isolatedPolicy(pod.Namespace))
		})
	}
	if !c.Detached {
		if !r.step(c.Act, "labels", func() (string, error) { return r.takeLabels(ctx, c) }) {
			return false
		}
	}
	if !done(c.Act, "policy") {
		return false
	}
	if !replaceable(c.Owner) {
		return true
	}
	return r.step(c.Act, "replacement", func() (string, error) { return r.replacement(ctx, c) })
}

func done(act *seawall.Act, name string) bool {
	s := act.Step(name)
	return s != nil && s.Done
}

// replaceable says whether a controller starts another pod once this one has lost
// its labels.
func replaceable(owner string) bool {
	kind, _, _ := strings.Cut(owner, "/")
	return kind == "ReplicaSet" || kind == "ReplicationController" || kind == "DaemonSet"
}

// keepsLabels says whether a pod must keep its labels: its Job would count it as
// failed, and the mirror of a static pod cannot be changed.
func keepsLabels(pod *kubeapi.Pod) bool {
	owner, _ := pod.Controller()
	return owner.Kind == "Job" || pod.Metadata.Annotations["kubernetes.io/config.mirror"] != ""
}

// takeLabels marks the pod as isolated and takes its other labels away, so that no
// selector finds it. The labels stay in an annotation.
func (r *Responder) takeLabels(ctx context.Context, c *contained) (string, error) {
	act := c.Act
	pod, err := r.o.Cluster.Pod(ctx, act.Pod.Namespace, act.Pod.Name)
	if kubeapi.IsNotFound(err) || err == nil && pod.Noun().UID != act.Pod.UID {
		c.Detached = true
		return "the pod is no longer there", nil
	}
	if err != nil {
		return "", err
	}
	owner, _ := pod.Controller()
	c.Owner = strings.Trim(owner.Kind+"/"+owner.Name, "/")
	if pod.Metadata.Labels[LabelIsolated] == "" {
		c.Labels = pod.Metadata.Labels
	}
	c.Before, err = r.names(ctx, pod, c.Labels)
	if err != nil {
		return "", err
	}
	labels := map[string]any{LabelIsolated: "true"}
	detail := "taken away; the controller " + c.Owner + " starts another"
	switch {
	case c.Owner == "":
		detail = "taken away; no controller starts another"
	case owner.Kind == "StatefulSet":
		detail = "taken away; " + c.Owner + " starts another once the pod is deleted"
	case !replaceable(c.Owner):
		detail = "taken away; whether " + c.Owner + " starts another is its own affair"
	}
	if keepsLabels(pod) {
		detail = "kept: " + c.Owner + " counts its pods by them"
		if c.Owner == "" || pod.Metadata.Annotations["kubernetes.io/config.mirror"] != "" {
			detail = "kept: this is the mirror of a static pod"
		}
	} else {
		for name := range pod.Metadata.Labels {
			if name != LabelIsolated {
				labels[name] = nil
			}
		}
	}
	text, err := json.Marshal(c.Labels)
	if err != nil {
		return "", err
	}
	_, err = r.o.Cluster.PatchPod(ctx, act.Pod.Namespace, act.Pod.Name, map[string]any{"metadata": map[string]any{
		"resourceVersion": pod.Metadata.ResourceVersion,
		"labels":          labels,
		"annotations": map[string]any{
			annotationBy: act.By, annotationAt: act.Time.UTC().Format(time.RFC3339), annotationReason: act.Reason, annotationOwner: c.Owner,
			annotationLabels: string(text),
		},
	}})
	if err != nil {
		return "", err
	}
	c.Detached = true
	return detail, nil
}

// names returns the pods of the same controller.
func (r *Responder) names(ctx context.Context, pod *kubeapi.Pod, labels map[string]string) ([]string, error) {
	owner, ok := pod.Controller()
	if !ok {
		return nil, nil
	}
	siblings, err := r.o.Cluster.Pods(ctx, pod.Metadata.Namespace, selector(labels))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, p := range siblings {
		if o, ok := p.Controller(); ok && o.UID == owner.UID {
			out = append(out, p.Metadata.Name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// selector asks for exactly these labels, but for those that tell replicas of one
// controller apart.
func selector(labels map[string]string) string {
	var parts []string
	for name, value := range labels {
		switch name {
		case "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index", LabelIsolated:
			continue
		}
		parts = append(parts, name+"="+value)
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// replacement looks for a ready pod of the same controller that was not there
// before, and says whether it runs the same images.
func (r *Responder) replacement(ctx context.Context, c *contained) (string, error) {
	siblings, err := r.o.Cluster.Pods(ctx, c.Act.Pod.Namespace, selector(c.Labels))
	if err != nil {
		return "", err
	}
	var waiting string
	for _, p := range siblings {
		owner, _ := p.Controller()
		if owner.Kind+"/"+owner.Name != c.Owner || slices.Contains(c.Before, p.Metadata.Name) {
			continue
		}
		if !p.Ready() {
			waiting = p.Metadata.Name
			continue
		}
		return p.Metadata.Name + " is ready" + sameImages(c.Containers, p), nil
	}
	if waiting != "" {
		return "", fmt.Errorf("%s is not ready yet", waiting)
	}
	return "", fmt.Errorf("%s has not started another pod yet", c.Owner)
}

// sameImages compares digests: a replacement from another image is no clean copy.
func sameImages(before []*seawall.Container, p *kubeapi.Pod) string {
	var differ []string
	compared := 0
	for _, s := range p.Status.ContainerStatuses {
		for _, c := range before {
			if c.Name != s.Name || c.Digest == "" {
				continue
			}
			compared++
			if _, digest, ok := strings.Cut(s.ImageID, "@"); !ok && s.ImageID != c.Digest || ok && digest != c.Digest {
				differ = append(differ, c.Name)
			}
		}
	}
	switch {
	case compared == 0:
		return "; its image's digest is not known"
	case len(differ) > 0:
		return "; OF ANOTHER IMAGE: " + strings.Join(differ, ", ")
	}
	return ", of the same image"
}

// restoreLabels gives the pod back what was taken.
func (r *Responder) restoreLabels(ctx context.Context, c *contained) error {
	labels := map[string]any{LabelIsolated: nil}
	for name, value := range c.Labels {
		labels[name] = value
	}
	_, err := r.o.Cluster.PatchPod(ctx, c.Act.Pod.Namespace, c.Act.Pod.Name, map[string]any{"metadata": map[string]any{
		"labels": labels,
		"annotations": map[string]any{
			annotationBy: nil, annotationAt: nil, annotationReason: nil, annotationOwner: nil, annotationLabels: nil,
		},
	}})
	if kubeapi.IsNotFound(err) {
		return nil
	}
	return err
}

// isolatedPolicy denies contained pods of a namespace everything: the second line,
// for the case that the node's own cut were lifted.
func isolatedPolicy(namespace string) any {
	return map[string]any{
		"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
		"metadata": map[string]any{"name": isolatedPolicyName, "namespace": namespace, "labels": map[string]any{"app.kubernetes.io/managed-by": "seawall"}},
		"spec": map[string]any{
			"podSelector": map[string]any{"matchLabels": map[string]any{LabelIsolated: "true"}},
			"policyTypes": []string{"Ingress", "Egress"},
		},
	}
}

// proposals are what a person may do next.
func proposals(t Target, act *seawall.Act) []string {
	in := " -n " + t.Namespace
	out := []string{"seawall evidence " + t.Name + in, "seawall release " + t.Name + in}
	switch t.Workload.Kind {
	case "StatefulSet":
		out = append(out, "kubectl delete pod "+t.Name+in+" --grace-period=0  # the StatefulSet starts it anew, with the same volumes")
	case "Job":
		out = append(out, "kubectl delete pod "+t.Name+in+" --grace-period=0  # the Job tries again, within its backoffLimit")
	case "Node":
		out = append(out, "move the pod's file out of the kubelet's staticPodPath on "+act.Node)
	}
	if act.Node != "" && (t.HostPID || t.HostNetwork) {
		out = append(out, "kubectl cordon "+act.Node, "kubectl taint node "+act.Node+" seawall.io/suspect=true:NoSchedule",
			"kubectl drain "+act.Node+" --ignore-daemonsets  # the pod shared the node's namespaces")
	}
	return out
}
