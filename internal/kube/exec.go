package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/klog/v2"
)

// PodPlace is where a pod runs.
type PodPlace struct {
	Namespace, Name, Node string
	Ready                 bool
}

// Places lists the pods of a namespace that a label selector picks; an empty
// namespace is all of them.
func (c *Client) Places(ctx context.Context, namespace, selector string) ([]PodPlace, error) {
	path := "/api/v1/pods"
	if namespace != "" {
		path = "/api/v1/namespaces/" + namespace + "/pods"
	}
	text, err := c.rest.Get().AbsPath(path).SetHeader("Accept", "application/json").Param("labelSelector", selector).Timeout(c.timeout).DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the pods %s of cluster %s: %w", selector, c.name, err)
	}
	var list corev1.PodList
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("listing the pods %s of cluster %s: %w", selector, c.name, err)
	}
	var out []PodPlace
	for i := range list.Items {
		out = append(out, place(&list.Items[i]))
	}
	return out, nil
}

// Place says where one pod runs.
func (c *Client) Place(ctx context.Context, namespace, name string) (PodPlace, error) {
	text, err := c.rest.Get().AbsPath("/api/v1/namespaces/"+namespace+"/pods/"+name).SetHeader("Accept", "application/json").Timeout(c.timeout).DoRaw(ctx)
	if err != nil {
		return PodPlace{}, fmt.Errorf("reading pod %s/%s of cluster %s: %w", namespace, name, c.name, err)
	}
	var pod corev1.Pod
	if err := json.Unmarshal(text, &pod); err != nil {
		return PodPlace{}, fmt.Errorf("reading pod %s/%s of cluster %s: %w", namespace, name, c.name, err)
	}
	return place(&pod), nil
}

func place(p *corev1.Pod) PodPlace {
	out := PodPlace{Namespace: p.Namespace, Name: p.Name, Node: p.Spec.NodeName}
	for _, cond := range p.Status.Conditions {
		if cond.Type == corev1.PodReady {
			out.Ready = cond.Status == corev1.ConditionTrue
		}
	}
	return out
}

// Exec runs a program in a container of a pod until it ends or ctx does, for those
// commands that talk to Seawall's own pods. in, out and errs may be nil.
func (c *Client) Exec(ctx context.Context, namespace, pod, container string, command []string, in io.Reader, out, errs io.Writer) error {
	ctx = klog.NewContext(ctx, klog.Logger{}) // client-go's remarks are not for the user
	req := c.rest.Post().AbsPath("/api/v1/namespaces/"+namespace+"/pods/"+pod+"/exec").Param("container", container)
	for _, arg := range command {
		req = req.Param("command", arg)
	}
	for name, wanted := range map[string]bool{"stdin": in != nil, "stdout": out != nil, "stderr": errs != nil} {
		if wanted {
			req = req.Param(name, "true")
		}
	}
	u := req.URL()
	ws, err := remotecommand.NewWebSocketExecutor(c.config, "GET", u.String())
	if err != nil {
		return err
	}
	spdy, err := remotecommand.NewSPDYExecutor(c.config, "POST", u)
	if err != nil {
		return err
	}
	// API servers before 1.30, and some proxies, do not speak WebSocket.
	exec, err := remotecommand.NewFallbackExecutor(ws, spdy, func(error) bool { return true })
	if err != nil {
		return err
	}
	return exec.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: in, Stdout: out, Stderr: errs})
}
