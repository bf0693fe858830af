// Package cri asks the container runtime of a node what its containers are, and
// says of each control group which container and pod it belongs to. It speaks CRI
// v1 over the runtime's unix socket (containerd, CRI-O, cri-dockerd) and only ever
// asks.
//
// What the runtime does not answer is not made up: a group whose path names a pod
// and a container keeps these two, as unidentified, until the runtime says more.
package cri

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"seawall.io/seawall"
)

// What callers tell apart.
var (
	// ErrNotFound says that the runtime knows no such container.
	ErrNotFound = errors.New("the runtime does not know it")
	// ErrUnavailable says that the runtime does not answer.
	ErrUnavailable = errors.New("the runtime does not answer")
)

// Sockets are where runtimes listen, in the order in which they are looked for.
func Sockets() []string {
	return []string{
		"/run/containerd/containerd.sock",
		"/run/crio/crio.sock",
		"/run/cri-dockerd.sock",
		"/run/k3s/containerd/containerd.sock",
		"/run/k0s/containerd.sock",
		"/var/snap/microk8s/common/run/containerd.sock",
	}
}

// Find returns the first of Sockets that there is below the root of the node, which
// is / or where it is mounted.
func Find(root string) (string, error) {
	for _, s := range Sockets() {
		path := filepath.Join(root, s)
		if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("no container runtime listens at %s below %s: name its socket", strings.Join(Sockets(), ", "), root)
}

// Client asks one runtime. It connects when it is first asked, and anew, within a
// second, when the runtime was away. It may be used by several goroutines.
type Client struct {
	socket string
	conn   *grpc.ClientConn
	cri    runtime.RuntimeServiceClient
}

// Dial returns a client for the runtime at a socket. That nobody listens there
// shows when it is asked.
func Dial(socket string) (*Client, error) {
	path, err := filepath.Abs(strings.TrimPrefix(socket, "unix://"))
	if err != nil {
		return nil, fmt.Errorf("connecting to the container runtime: %w", err)
	}
	conn, err := grpc.NewClient("unix://"+path,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)),
		grpc.WithDisableServiceConfig())
	if err != nil {
		return nil, fmt.Errorf("connecting to the container runtime at %s: %w", path, err)
	}
	return &Client{socket: path, conn: conn, cri: runtime.NewRuntimeServiceClient(conn)}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Version returns the name and version of the runtime.
func (c *Client) Version(ctx context.Context) (name, version string, err error) {
	v, err := c.cri.Version(ctx, &runtime.VersionRequest{})
	if err != nil {
		return "", "", c.failed("asking for its version", err)
	}
	return v.GetRuntimeName(), v.GetRuntimeVersion(), nil
}

// Description is what the runtime says of a container or of the sandbox of a pod.
type Description struct {
	Container seawall.Container
	// Pod holds what the runtime was told: namespace, name, UID, and of a sandbox the
	// labels, addresses and what is shared with the node.
	Pod seawall.Pod
	// Sandbox is the identifier of the pod's sandbox.
	Sandbox string
	// Ended says that it no longer runs.
	Ended bool
}

// Labels by which the kubelet tells runtimes whose container it is.
const (
	labelNamespace = "io.kubernetes.pod.namespace"
	labelPod       = "io.kubernetes.pod.name"
	labelUID       = "io.kubernetes.pod.uid"
	labelContainer = "io.kubernetes.container.name"
)

// Container describes a container. That of a container which has not started yet
// has no PID.
func (c *Client) Container(ctx context.Context, id string) (*Description, error) {
	r, err := c.cri.ContainerStatus(ctx, &runtime.ContainerStatusRequest{ContainerId: id, Verbose: true})
	if err != nil {
		return nil, c.failed("asking for container "+id, err)
	}
	s := r.GetStatus()
	more, err := parseVerbose(r.GetInfo())
	if err != nil {
		return nil, c.failed("asking for container "+id, err)
	}
	labels := s.GetLabels()
	d := &Description{
		Container: seawall.Container{
			ID: s.GetId(), Name: s.GetMetadata().GetName(), Image: imageName(s.GetImage()), Digest: digest(s),
			Started: when(s.GetStartedAt()), PID: more.PID, Privileged: more.privileged(), Caps: more.caps(),
		},
		Pod:     seawall.Pod{Namespace: labels[labelNamespace], Name: labels[labelPod], UID: labels[labelUID]},
		Sandbox: more.SandboxID,
		Ended:   s.GetState() == runtime.ContainerState_CONTAINER_EXITED,
	}
	if name := labels[labelContainer]; name != "" {
		d.Container.Name = name
	}
	for _, m := range s.GetMounts() {
		d.Container.Mounts = append(d.Container.Mounts, seawall.ContainerMount{Path: m.GetContainerPath(), Host: m.GetHostPath(), ReadOnly: m.GetReadonly()})
	}
	if d.Sandbox == "" { // cri-dockerd says nothing more
		l, err := c.cri.ListContainers(ctx, &runtime.ListContainersRequest{Filter: &runtime.ContainerFilter{Id: id}})
		if err != nil {
			return nil, c.failed("asking for the sandbox of container "+id, err)
		}
		for _, found := range l.GetContainers() {
			d.Sandbox = found.GetPodSandboxId()
		}
	}
	return d, nil
}

// Sandbox describes the container that holds the namespaces of a pod, and the pod.
func (c *Client) Sandbox(ctx context.Context, id string) (*Description, error) {
	r, err := c.cri.PodSandboxStatus(ctx, &runtime.PodSandboxStatusRequest{PodSandboxId: id, Verbose: true})
	if err != nil {
		return nil, c.failed("asking for sandbox "+id, err)
	}
	s := r.GetStatus()
	more, err := parseVerbose(r.GetInfo())
	if err != nil {
		return nil, c.failed("asking for sandbox "+id, err)
	}
	options := s.GetLinux().GetNamespaces().GetOptions()
	d := &Description{
		Container: seawall.Container{
			ID: s.GetId(), Image: more.Image, Started: when(s.GetCreatedAt()), PID: more.PID, Sandbox: true,
			Privileged: more.privileged(), Caps: more.caps(), Resolvers: more.resolvers(),
		},
		Pod: seawall.Pod{
			Namespace: s.GetMetadata().GetNamespace(), Name: s.GetMetadata().GetName(), UID: s.GetMetadata().GetUid(),
			HostNetwork: options.GetNetwork() == runtime.NamespaceMode_NODE, HostPID: options.GetPid() == runtime.NamespaceMode_NODE,
		},
		Sandbox: s.GetId(),
		Ended:   s.GetState() == runtime.PodSandboxState_SANDBOX_NOTREADY,
	}
	for name, value := range s.GetLabels() {
		if strings.HasPrefix(name, "io.kubernetes.") {
			continue // the kubelet's own
		}
		if d.Pod.Labels == nil {
			d.Pod.Labels = map[string]string{}
		}
		d.Pod.Labels[name] = value
	}
	if ip := s.GetNetwork().GetIp(); ip != "" {
		d.Pod.IP = append(d.Pod.IP, ip)
	}
	for _, ip := range s.GetNetwork().GetAdditionalIps() {
		d.Pod.IP = append(d.Pod.IP, ip.GetIp())
	}
	return d, nil
}

// Running returns the identifiers of the containers that run, sandboxes included,
// sorted.
func (c *Client) Running(ctx context.Context) ([]string, error) {
	containers, err := c.cri.ListContainers(ctx, &runtime.ListContainersRequest{
		Filter: &runtime.ContainerFilter{State: &runtime.ContainerStateValue{State: runtime.ContainerState_CONTAINER_RUNNING}},
	})
	if err != nil {
		return nil, c.failed("listing containers", err)
	}
	sandboxes, err := c.cri.ListPodSandbox(ctx, &runtime.ListPodSandboxRequest{
		Filter: &runtime.PodSandboxFilter{State: &runtime.PodSandboxStateValue{State: runtime.PodSandboxState_SANDBOX_READY}},
	})
	if err != nil {
		return nil, c.failed("listing sandboxes", err)
	}
	ids := make([]string, 0, len(containers.GetContainers())+len(sandboxes.GetItems()))
	for _, found := range containers.GetContainers() {
		ids = append(ids, found.GetId())
	}
	for _, found := range sandboxes.GetItems() {
		ids = append(ids, found.GetId())
	}
	slices.Sort(ids)
	return ids, nil
}

// failed says what was asked of which runtime, and of which kind the failure is.
func (c *Client) failed(act string, err error) error {
	kind := error(nil)
	switch status.Code(err) {
	case codes.NotFound:
		kind = ErrNotFound
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.ResourceExhausted:
		kind = ErrUnavailable
	case codes.Unimplemented:
		return fmt.Errorf("container runtime at %s: %s: it does not speak CRI v1: containerd 1.6, CRI-O 1.24 and cri-dockerd 0.3 or newer do, with the CRI plugin enabled: %w", c.socket, act, err)
	case codes.Unknown: // cri-dockerd
		if strings.Contains(strings.ToLower(err.Error()), "no such container") {
			kind = ErrNotFound
		}
	default:
	}
	if kind == nil {
		return fmt.Errorf("container runtime at %s: %s: %w", c.socket, act, err)
	}
	return fmt.Errorf("container runtime at %s: %s: %w: %w", c.socket, act, kind, err)
}

// verbose is what runtimes add when asked to be verbose: JSON under the key info,
// of which containerd and CRI-O share most.
type verbose struct {
	SandboxID  string `json:"sandboxID"`
	PID        uint32 `json:"pid"`
	Image      string `json:"image"` // of a sandbox
	Privileged bool   `json:"privileged"`
	Config     struct {
		Linux struct {
			SecurityContext struct {
				Privileged bool `json:"privileged"`
			} `json:"security_context"`
		} `json:"linux"`
		DNS struct {
			Servers []string `json:"servers"`
		} `json:"dns_config"`
	} `json:"config"`
	Spec struct {
		Process struct {
			Capabilities struct {
				Bounding []string `json:"bounding"`
			} `json:"capabilities"`
		} `json:"process"`
	} `json:"runtimeSpec"`
}

func parseVerbose(info map[string]string) (*verbose, error) {
	var v verbose
	text, ok := info["info"]
	if !ok {
		return &v, nil
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, fmt.Errorf("what it adds when asked to be verbose: %w", err)
	}
	return &v, nil
}

func (v *verbose) privileged() bool {
	return v.Privileged || v.Config.Linux.SecurityContext.Privileged
}

func (v *verbose) caps() seawall.Caps {
	var caps seawall.Caps
	for _, name := range v.Spec.Process.Capabilities.Bounding {
		if n := seawall.CapabilityNumber(name); n >= 0 {
			caps |= 1 << n
		}
	}
	return caps
}

func (v *verbose) resolvers() []netip.Addr {
	var out []netip.Addr
	for _, s := range v.Config.DNS.Servers {
		if a, err := netip.ParseAddr(s); err == nil {
			out = append(out, a)
		}
	}
	return out
}

func when(ns int64) time.Time {
	if ns <= 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// imageName is the image as the pod names it, where the runtime keeps that.
func imageName(s *runtime.ImageSpec) string {
	if name := s.GetUserSpecifiedImage(); name != "" {
		return name
	}
	return s.GetImage()
}

// digest is that of the manifest, from a reference like name@sha256:..., or of the
// configuration, which images have that were never pulled.
func digest(s *runtime.ContainerStatus) string {
	for _, ref := range []string{s.GetImageRef(), s.GetImageId()} {
		if _, d, ok := strings.Cut(ref, "@"); ok {
			return d
		}
		if strings.HasPrefix(ref, "sha256:") {
			return ref
		}
	}
	if id := s.GetImageId(); isID(id) { // CRI-O
		return "sha256:" + id
	}
	return ""
}
