package cri

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"seawall.io/seawall"
)

// server answers as runtimes do that cannot be run in a test.
type server struct {
	runtime.UnimplementedRuntimeServiceServer
	container *runtime.ContainerStatusResponse
	sandbox   *runtime.PodSandboxStatusResponse
	err       error
}

func (s *server) ContainerStatus(_ context.Context, r *runtime.ContainerStatusRequest) (*runtime.ContainerStatusResponse, error) {
	if !r.GetVerbose() {
		return nil, errors.New("not asked to be verbose")
	}
	return s.container, s.err
}

func (s *server) PodSandboxStatus(context.Context, *runtime.PodSandboxStatusRequest) (*runtime.PodSandboxStatusResponse, error) {
	return s.sandbox, s.err
}

func (s *server) ListContainers(context.Context, *runtime.ListContainersRequest) (*runtime.ListContainersResponse, error) {
	return &runtime.ListContainersResponse{Containers: []*runtime.Container{{Id: one, PodSandboxId: two}}}, s.err
}

func serve(t *testing.T, s runtime.RuntimeServiceServer) *Client {
	t.Helper()
	socket := t.TempDir() + "/cri.sock"
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	runtime.RegisterRuntimeServiceServer(g, s)
	go g.Serve(l)
	t.Cleanup(g.Stop)
	c, err := Dial("unix://" + socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func containerStatus() *runtime.ContainerStatus {
	return &runtime.ContainerStatus{
		Id: one, Metadata: &runtime.ContainerMetadata{Name: "k8s_web"}, State: runtime.ContainerState_CONTAINER_RUNNING, StartedAt: 1_700_000_000_000_000_000,
		Image: &runtime.ImageSpec{Image: "sha256:aa", UserSpecifiedImage: "quay.io/shop/web:1"}, ImageRef: "quay.io/shop/web@sha256:bb", ImageId: two,
		Labels: map[string]string{labelContainer: "web", labelPod: "web-1", labelNamespace: "shop", labelUID: uid},
		Mounts: []*runtime.Mount{{ContainerPath: "/var/run/docker.sock", HostPath: "/run/docker.sock"}},
	}
}

func TestDescriptions(t *testing.T) {
	want := seawall.Container{
		ID: one, Name: "web", Image: "quay.io/shop/web:1", Digest: "sha256:bb", Started: time.Unix(1_700_000_000, 0).UTC(), PID: 4711,
		Privileged: true, Caps: 1<<13 | 1<<21, Mounts: []seawall.ContainerMount{{Path: "/var/run/docker.sock", Host: "/run/docker.sock"}},
	}
	for name, c := range map[string]struct {
		info   string
		change func(*runtime.ContainerStatus, *Description)
	}{
		"containerd": {`{"sandboxID":"` + two + `","pid":4711,"removing":false,"snapshotKey":"x","config":{"metadata":{"name":"web"},"linux":{"security_context":{"privileged":true}}},"runtimeSpec":{"process":{"capabilities":{"bounding":["CAP_NET_RAW","CAP_SYS_ADMIN"],"effective":[]}}}}`, nil},
		"CRI-O":      {`{"sandboxID":"` + two + `","pid":4711,"privileged":true,"runtimeSpec":{"process":{"capabilities":{"bounding":["CAP_NET_RAW","CAP_SYS_ADMIN"]}}}}`, nil},
		"cri-dockerd": {"", func(_ *runtime.ContainerStatus, d *Description) {
			d.Container.PID, d.Container.Privileged, d.Container.Caps = 0, false, 0
		}},
		"never pulled": {"", func(s *runtime.ContainerStatus, d *Description) {
			s.ImageRef, s.ImageId = "sha256:cc", "sha256:cc"
			d.Container.Digest, d.Container.PID, d.Container.Privileged, d.Container.Caps = "sha256:cc", 0, false, 0
		}},
		"ended, unnamed": {`{"sandboxID":"` + two + `"}`, func(s *runtime.ContainerStatus, d *Description) {
			s.State, s.StartedAt, s.Labels, s.ImageRef, s.Image.UserSpecifiedImage = runtime.ContainerState_CONTAINER_EXITED, 0, nil, "", ""
			d.Ended, d.Pod, d.Container.Name, d.Container.Image, d.Container.Started = true, seawall.Pod{}, "k8s_web", "sha256:aa", time.Time{}
			d.Container.Digest, d.Container.PID, d.Container.Privileged, d.Container.Caps = "sha256:"+two, 0, false, 0
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := containerStatus()
			wanted := &Description{Container: want, Pod: seawall.Pod{Namespace: "shop", Name: "web-1", UID: uid}, Sandbox: two}
			if c.change != nil {
				c.change(s, wanted)
			}
			r := &runtime.ContainerStatusResponse{Status: s}
			if c.info != "" {
				r.Info = map[string]string{"info": c.info}
			}
			got, err := serve(t, &server{container: r}).Container(t.Context(), one)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wanted, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDescribeSandbox(t *testing.T) {
	r := &runtime.PodSandboxStatusResponse{
		Status: &runtime.PodSandboxStatus{
			Id: two, Metadata: &runtime.PodSandboxMetadata{Name: "web-1", Namespace: "shop", Uid: uid}, State: runtime.PodSandboxState_SANDBOX_READY,
			Network: &runtime.PodSandboxNetworkStatus{Ip: "10.0.0.5", AdditionalIps: []*runtime.PodIP{{Ip: "fd00::5"}}},
			Linux:   &runtime.LinuxPodSandboxStatus{Namespaces: &runtime.Namespace{Options: &runtime.NamespaceOption{Network: runtime.NamespaceMode_NODE, Pid: runtime.NamespaceMode_NODE}}},
			Labels:  map[string]string{"app": "web", "io.kubernetes.pod.uid": uid, "app.kubernetes.io/name": "shop"},
		},
		Info: map[string]string{"info": `{"pid":99,"image":"pause:3","config":{"dns_config":{"servers":["10.96.0.10","not one","fd00::a"]}}}`},
	}
	got, err := serve(t, &server{sandbox: r}).Sandbox(t.Context(), two)
	if err != nil {
		t.Fatal(err)
	}
	want := &Description{
		Container: seawall.Container{ID: two, Image: "pause:3", PID: 99, Sandbox: true, Resolvers: []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("fd00::a")}},
		Pod: seawall.Pod{
			Namespace: "shop", Name: "web-1", UID: uid, HostNetwork: true, HostPID: true, IP: []string{"10.0.0.5", "fd00::5"},
			Labels: map[string]string{"app": "web", "app.kubernetes.io/name": "shop"},
		},
		Sandbox: two,
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
}

func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		server runtime.RuntimeServiceServer
		is     error
		says   string
	}{
		"unknown":           {&server{err: status.Error(codes.NotFound, "no")}, ErrNotFound, one},
		"unknown to docker": {&server{err: status.Error(codes.Unknown, "Error: No such container: "+one)}, ErrNotFound, one},
		"busy":              {&server{err: status.Error(codes.ResourceExhausted, "slow down")}, ErrUnavailable, "slow down"},
		"broken":            {&server{err: status.Error(codes.Internal, "database is locked")}, nil, "database is locked"},
		"old":               {&runtime.UnimplementedRuntimeServiceServer{}, nil, "does not speak CRI v1"},
		"no JSON":           {&server{container: &runtime.ContainerStatusResponse{Status: containerStatus(), Info: map[string]string{"info": "{"}}}, nil, "verbose"},
	} {
		_, err := serve(t, c.server).Container(t.Context(), one)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "cri.sock") ||
			errors.Is(err, ErrNotFound) != errors.Is(c.is, ErrNotFound) || errors.Is(err, ErrUnavailable) != errors.Is(c.is, ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
