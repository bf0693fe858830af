package cri

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/probe"
	"seawall.io/seawall/internal/process"
	"seawall.io/seawall/internal/procfs"
	"seawall.io/seawall/test/images"
)

// machine is a containerd of the test's own, and the control groups that its pods
// are put into.
type machine struct {
	*Client
	images  runtime.ImageServiceClient
	dir     string
	cmd     *exec.Cmd
	proc    *procfs.FS
	cgroups *procfs.Cgroups
	root    string // the group above all pods
}

const testImage, pauseImage = "docker.io/test/busybox:1", "registry.k8s.io/pause:3.6"

// containerd starts one, or skips the test where it cannot.
func containerd(t *testing.T) *machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("starting containers needs root")
	}
	for _, program := range []string{"containerd", "runc", "ctr", "busybox"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	proc, err := procfs.Open("/proc")
	if err != nil {
		t.Skip(err)
	}
	cgroups, err := procfs.OpenCgroups("/sys/fs/cgroup", proc)
	if err != nil {
		t.Skip(err)
	}
	m := &machine{dir: t.TempDir(), proc: proc, cgroups: cgroups, root: fmt.Sprintf("/seawall-cri-%d", os.Getpid())}
	config := fmt.Sprintf(`version = 2
root = %q
state = %q
[grpc]
  address = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = %q
`, m.dir+"/root", m.dir+"/state", m.dir+"/c.sock", pauseImage, m.dir+"/cni", m.dir+"/runc")
	if err := os.WriteFile(m.dir+"/config.toml", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.clean(t) })
	m.start(t)
	if m.Client, err = Dial(m.dir + "/c.sock"); err != nil {
		t.Fatal(err)
	}
	m.images = runtime.NewImageServiceClient(m.conn)
	m.answers(t)
	name, version, err := m.Version(t.Context())
	if err != nil || name != "containerd" {
		t.Fatalf("%s %s: %v", name, version, err)
	}
	t.Logf("%s %s, %s control groups", name, version, cgroups.Layout)
	m.load(t)
	return m
}

func (m *machine) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(m.dir+"/log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	m.cmd = exec.Command("containerd", "-c", m.dir+"/config.toml") // outlives t.Context, for clean
	m.cmd.Stdout, m.cmd.Stderr = log, log
	if err := m.cmd.Start(); err != nil {
		t.Skip(err)
	}
}

func (m *machine) kill() {
	m.cmd.Process.Kill()
	m.cmd.Wait()
}

// answers waits until containerd does.
func (m *machine) answers(t *testing.T) {
	t.Helper()
	for until := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := m.Running(t.Context()); err == nil {
			return
		} else if time.Now().After(until) {
			log, _ := os.ReadFile(m.dir + "/log")
			t.Skipf("containerd does not work here: %v\n%s", err, log)
		}
	}
}

// load makes two images from busybox and nothing else.
func (m *machine) load(t *testing.T) {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	entries := []images.Entry{images.Dir("bin"), images.Dir("proc"), images.Dir("etc"), images.Dir("tmp"), images.Program("bin/busybox", program)}
	for _, name := range []string{"sh", "sleep", "true"} {
		entries = append(entries, images.Symlink("bin/"+name, "busybox"))
	}
	layer, err := images.NewLayer(images.Entries(entries...), images.None)
	if err != nil {
		t.Fatal(err)
	}
	for tag, command := range map[string][]string{testImage: {"/bin/sh"}, pauseImage: {"/bin/sleep", "100000"}} {
		img, err := images.New(v1.Config{Entrypoint: command}, layer)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "image.tar")
		if err := images.WriteArchive(file, tag, img); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "ctr", "-a", m.dir+"/c.sock", "-n", "k8s.io", "images", "import", file).CombinedOutput()
		if err != nil {
			t.Skipf("busybox cannot be made an image: %v: %s", err, out)
		}
		for { // until the CRI plugin has noticed
			r, err := m.images.ImageStatus(t.Context(), &runtime.ImageStatusRequest{Image: &runtime.ImageSpec{Image: tag}})
			if err != nil {
				t.Fatal(err)
			}
			if r.GetImage() != nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// clean ends all that the test started, whatever state it is in.
func (m *machine) clean(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if m.Client != nil {
		if l, err := m.cri.ListPodSandbox(ctx, &runtime.ListPodSandboxRequest{}); err == nil {
			for _, s := range l.GetItems() {
				m.cri.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: s.GetId()})
				m.cri.RemovePodSandbox(ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: s.GetId()})
			}
		}
		m.Close()
	}
	if _, err := m.cgroups.ID(m.root); err == nil {
		if _, err := m.cgroups.Kill(ctx, seawall.Cgroup{Path: m.root}); err != nil {
			t.Error(err)
		}
	}
	m.kill()
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	lines := strings.Split(string(mounts), "\n")
	slices.Reverse(lines)
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], m.dir) {
			syscall.Unmount(fields[4], syscall.MNT_DETACH)
		}
	}
	hierarchies, _ := filepath.Glob("/sys/fs/cgroup/*" + m.root)
	for _, dir := range append(hierarchies, "/sys/fs/cgroup"+m.root) {
		var dirs []string
		filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, p)
			}
			return nil
		})
		slices.Reverse(dirs)
		for _, d := range dirs {
			if err := os.Remove(d); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("left behind: %v", err)
			}
		}
	}
}

// pod is a pod whose group is watched, as the agent watches all by the kernel's
// events.
type pod struct {
	m        *machine
	config   *runtime.PodSandboxConfig
	id       string
	path     string
	resolver *Resolver
	made     chan seawall.Cgroup
}

func (m *machine) pod(t *testing.T, name, uid string, privileged bool, r *Resolver) *pod {
	t.Helper()
	p := &pod{m: m, path: m.root + "/kubepods/burstable/pod" + uid, resolver: r, made: make(chan seawall.Cgroup, 1000)}
	if err := os.MkdirAll(filepath.Join(m.cgroups.Root, p.path), 0o755); err != nil { // as the kubelet does
		t.Fatal(err)
	}
	p.watch(t)
	p.config = &runtime.PodSandboxConfig{
		Metadata:     &runtime.PodSandboxMetadata{Name: name, Namespace: "shop", Uid: uid},
		LogDirectory: m.dir + "/logs",
		DnsConfig:    &runtime.DNSConfig{Servers: []string{"10.96.0.10", "fd00::a"}},
		Labels: map[string]string{
			"app": "web", "io.kubernetes.pod.name": name, "io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.uid": uid,
		},
		Linux: &runtime.LinuxPodSandboxConfig{
			CgroupParent: p.path,
			SecurityContext: &runtime.LinuxSandboxSecurityContext{
				NamespaceOptions: &runtime.NamespaceOption{Network: runtime.NamespaceMode_NODE}, Privileged: privileged,
			},
		},
	}
	s, err := m.cri.RunPodSandbox(t.Context(), &runtime.RunPodSandboxRequest{Config: p.config})
	if err != nil {
		t.Skipf("pods cannot be started here: %v", err)
	}
	p.id = s.GetPodSandboxId()
	return p
}

// watch tells the resolver of groups in the pod's as they are made and removed.
func (p *pod) watch(t *testing.T) {
	t.Helper()
	dir := filepath.Join(p.m.cgroups.Root, p.path)
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := syscall.InotifyAddWatch(fd, dir, syscall.IN_CREATE|syscall.IN_DELETE|syscall.IN_ONLYDIR); err != nil {
		t.Fatal(err)
	}
	notify := os.NewFile(uintptr(fd), "inotify")
	done := make(chan struct{})
	t.Cleanup(func() {
		notify.Close()
		<-done
	})
	go func() {
		defer close(done)
		ids := map[string]uint64{}
		buffer := make([]byte, 1<<16)
		for {
			n, err := notify.Read(buffer)
			if err != nil {
				return
			}
			for at := 0; at+syscall.SizeofInotifyEvent <= n; {
				e := (*syscall.InotifyEvent)(unsafe.Pointer(&buffer[at])) // the kernel's layout
				at += syscall.SizeofInotifyEvent
				name := strings.TrimRight(string(buffer[at:at+int(e.Len)]), "\x00")
				at += int(e.Len)
				g := seawall.Cgroup{ID: ids[name], Path: path.Join(p.path, name)}
				if e.Mask&syscall.IN_DELETE != 0 {
					p.resolver.Remove(g)
					continue
				}
				if g.ID, err = p.m.cgroups.ID(g.Path); err != nil {
					continue // it is gone already
				}
				ids[name] = g.ID
				p.resolver.Add(g)
				p.made <- g
			}
		}
	}()
}

// group waits for the next group that is made.
func (p *pod) group(t *testing.T) seawall.Cgroup {
	t.Helper()
	select {
	case g := <-p.made:
		return g
	case <-time.After(30 * time.Second):
		t.Fatal("no control group was made")
	}
	return seawall.Cgroup{}
}

// run starts a container in a pod.
func (p *pod) run(ctx context.Context, name string, change func(*runtime.ContainerConfig), command ...string) (string, error) {
	config := &runtime.ContainerConfig{
		Metadata: &runtime.ContainerMetadata{Name: name},
		Image:    &runtime.ImageSpec{Image: testImage},
		Command:  command,
		LogPath:  name + ".log",
		Labels: map[string]string{
			"io.kubernetes.container.name": name, "io.kubernetes.pod.name": p.config.GetMetadata().GetName(),
			"io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.uid": p.config.GetMetadata().GetUid(),
		},
		Linux: &runtime.LinuxContainerConfig{SecurityContext: &runtime.LinuxContainerSecurityContext{
			NamespaceOptions: &runtime.NamespaceOption{Network: runtime.NamespaceMode_NODE, Pid: runtime.NamespaceMode_CONTAINER},
		}},
	}
	if change != nil {
		change(config)
	}
	c, err := p.m.cri.CreateContainer(ctx, &runtime.CreateContainerRequest{PodSandboxId: p.id, Config: config, SandboxConfig: p.config})
	if err != nil {
		return "", err
	}
	_, err = p.m.cri.StartContainer(ctx, &runtime.StartContainerRequest{ContainerId: c.GetContainerId()})
	return c.GetContainerId(), err
}

// until waits for a state of a group.
func until(t *testing.T, r *Resolver, cgroup uint64, is func(*State) bool) *State {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(500 * time.Microsecond) {
		s := r.Lookup(cgroup)
		if s != nil && is(s) {
			return s
		}
		if time.Now().After(end) {
			shown, _ := json.Marshal(s)
			t.Fatalf("group %d remains %s", cgroup, shown)
		}
	}
}

func started(s *State) bool { return s.Identity == seawall.Resolved && s.Container.PID != 0 }

// TestContainerd identifies the containers of a real runtime.
func TestContainerd(t *testing.T) {
	m := containerd(t)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	r := NewResolver(m.Client, nil, log, nil)
	t.Cleanup(r.Close)
	r.Namespaces = m.proc.Namespaces
	p := m.pod(t, "web-1", uid, false, r)
	sandbox := until(t, r, p.group(t).ID, started)
	if !sandbox.Container.Sandbox || sandbox.Container.ID != p.id || sandbox.Pod.Name != "web-1" || sandbox.Pod.Namespace != "shop" ||
		sandbox.Pod.UID != uid || !sandbox.Pod.HostNetwork || sandbox.Pod.HostPID || len(sandbox.Pod.Labels) != 1 || sandbox.Pod.Labels["app"] != "web" {
		t.Errorf("the sandbox: %+v of %+v", sandbox.Container, sandbox.Pod)
	}
	t.Logf("sandbox resolved in %v", sandbox.Took)

	t.Run("container", func(t *testing.T) {
		id, err := p.run(t.Context(), "app", func(c *runtime.ContainerConfig) {
			c.Mounts = []*runtime.Mount{{ContainerPath: "/data", HostPath: m.dir + "/data", Readonly: true}}
			c.Linux.SecurityContext.Capabilities = &runtime.Capability{DropCapabilities: []string{"ALL"}, AddCapabilities: []string{"NET_RAW"}}
		}, "/bin/sleep", "1000")
		if err != nil {
			t.Fatal(err)
		}
		g := p.group(t)
		s := until(t, r, g.ID, started)
		t.Logf("resolved in %v", s.Took)
		c := s.Container
		if c.ID != id || c.Name != "app" || c.Image != testImage || !strings.HasPrefix(c.Digest, "sha256:") || c.Privileged || c.Sandbox || c.Started.IsZero() {
			t.Errorf("%+v", c)
		}
		if names := c.Caps.Names(); !slices.Equal(names, []string{"NET_RAW"}) {
			t.Errorf("capabilities: %v", names)
		}
		if want := []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("fd00::a")}; !slices.Equal(c.Resolvers, want) {
			t.Errorf("resolvers: %v", c.Resolvers)
		}
		if want := (seawall.ContainerMount{Path: "/data", Host: m.dir + "/data", ReadOnly: true}); !slices.Contains(c.Mounts, want) {
			t.Errorf("mounts: %+v", c.Mounts)
		}
		if s.Pod.Name != "web-1" || s.Pod.UID != uid || s.Pod.Labels["app"] != "web" {
			t.Errorf("pod: %+v", s.Pod)
		}
		if of, err := m.proc.Namespaces(uint32(os.Getpid())); err != nil || c.NS == nil || c.NS.Mnt == of.Mnt || c.NS.PID == of.PID || c.NS.Net != of.Net {
			t.Errorf("namespaces: %+v, the node's %+v, %v", c.NS, of, err)
		}
		// The process that the runtime names is in the group that was seen.
		if of, err := m.cgroups.Of(c.PID); err != nil || of != g {
			t.Errorf("process %d is in %+v, want %+v: %v", c.PID, of, g, err)
		}
		if ids, err := m.Running(t.Context()); err != nil || !slices.Contains(ids, id) || !slices.Contains(ids, p.id) {
			t.Errorf("running: %v, %v", ids, err)
		}
	})

	t.Run("privileged", func(t *testing.T) {
		p := m.pod(t, "root-1", static, true, r)
		until(t, r, p.group(t).ID, started)
		if _, err := p.run(t.Context(), "root", func(c *runtime.ContainerConfig) { c.Linux.SecurityContext.Privileged = true }, "/bin/sleep", "1000"); err != nil {
			t.Fatal(err)
		}
		s := until(t, r, p.group(t).ID, started)
		if s.Pod.UID != static || !s.Container.Privileged || !s.Container.Caps.Has("SYS_ADMIN") {
			t.Errorf("%+v", s.Container)
		}
	})

	t.Run("short", func(t *testing.T) {
		const n = 50
		var group errgroup.Group
		group.SetLimit(4)
		for i := range n {
			group.Go(func() error {
				id, err := p.run(t.Context(), "short-"+strconv.Itoa(i), nil, "/bin/true")
				if err != nil {
					return err
				}
				for {
					s, err := m.cri.ContainerStatus(t.Context(), &runtime.ContainerStatusRequest{ContainerId: id})
					if err != nil {
						return err
					}
					if s.GetStatus().GetState() == runtime.ContainerState_CONTAINER_EXITED {
						break
					}
					time.Sleep(time.Millisecond)
				}
				_, err = m.cri.RemoveContainer(t.Context(), &runtime.RemoveContainerRequest{ContainerId: id})
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		var took []time.Duration
		for range n {
			s := until(t, r, p.group(t).ID, func(s *State) bool { return s.Identity != seawall.Pending })
			if s.Identity != seawall.Resolved || !strings.HasPrefix(s.Container.Name, "short-") || s.Pod.Name != "web-1" {
				t.Errorf("%s: %+v", s.Identity, s.Container)
			}
			took = append(took, s.Took)
		}
		slices.Sort(took)
		t.Logf("%d containers resolved in %v to %v, median %v", n, took[0], took[n-1], took[n/2])
	})

	t.Run("entry", func(t *testing.T) {
		sensor, err := probe.Open(probe.Options{Hooks: []string{"process"}})
		if err != nil {
			t.Skip(err)
		}
		defer sensor.Close()
		table := process.New(process.Options{Container: r.Container})
		list, err := m.proc.List(m.cgroups)
		if err != nil {
			t.Fatal(err)
		}
		table.Sync(list.At, list.Processes)
		listed := map[string]string{}
		for _, p := range table.Live() {
			if s := r.Lookup(p.Cgroup); s != nil && s.Container != nil {
				listed[s.Container.Name] = p.Entry
			}
		}
		if listed["app"] != "init" || listed[""] != "init" {
			t.Errorf("of the listed processes: %v", listed)
		}

		id, err := p.run(t.Context(), "server", nil, "/bin/sh", "-c", "(/bin/true; :); exec /bin/sleep 1000")
		if err != nil {
			t.Fatal(err)
		}
		g := p.group(t)
		if out, err := m.cri.ExecSync(t.Context(), &runtime.ExecSyncRequest{ContainerId: id, Cmd: []string{"/bin/sh", "-c", "/bin/true; /bin/sleep 0"}, Timeout: 30}); err != nil || out.GetExitCode() != 0 {
			t.Fatal(out, err)
		}
		got := map[string]bool{}
		want := map[string]bool{
			"exec init /bin/sh -c (/bin/true; :); exec /bin/sleep 1000": true, // what the container was made for
			"exec  /bin/true":                              true, // which both run
			"exec init /bin/sleep 1000":                    true, // what its first process became
			"exec exec /bin/sh -c /bin/true; /bin/sleep 0": true, // what was put into it, and became the next
			"exec exec /bin/sleep 0":                       true,
		}
		for end := time.Now().Add(20 * time.Second); !got["exec exec /bin/sleep 0"]; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the last program was not seen, only %v", got)
			}
			err := sensor.Poll(func(ev *seawall.Event) {
				table.Observe(ev)
				if ev.Process == nil || ev.Kind != seawall.EventExec {
					return
				}
				if c, _ := r.Container(ev.Process.Cgroup); c == g.ID {
					got[fmt.Sprintf("%s %s %s", ev.Kind, ev.Process.Entry, strings.Join(ev.Process.Args, " "))] = true
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("restart", func(t *testing.T) {
		all, err := m.cgroups.Walk()
		if err != nil {
			t.Fatal(err)
		}
		app := slices.IndexFunc(all, func(g seawall.Cgroup) bool {
			return strings.HasPrefix(g.Path, p.path+"/") && r.Lookup(g.ID).Container.Name == "app"
		})
		if app < 0 {
			t.Fatal("the container is gone")
		}
		known := r.Lookup(all[app].ID)
		m.kill()
		fresh := NewResolver(m.Client, nil, log, nil) // as an agent that starts now
		defer fresh.Close()
		fresh.Sync(time.Now(), all)
		s := until(t, fresh, all[app].ID, func(s *State) bool { return s.Identity == seawall.Unidentified })
		if s.Container.ID != known.Container.ID || s.Pod.UID != uid {
			t.Errorf("while containerd is away: %+v of %+v", s.Container, s.Pod)
		}
		if got := r.Lookup(all[app].ID); got != known {
			t.Error("what was known before is forgotten")
		}
		m.start(t)
		s = until(t, fresh, all[app].ID, started)
		if s.Container.Name != "app" || s.Container.PID != known.Container.PID || s.Pod.Name != "web-1" {
			t.Errorf("when containerd is back: %+v of %+v", s.Container, s.Pod)
		}
		m.answers(t)
		if _, err := p.run(t.Context(), "after", nil, "/bin/sleep", "1000"); err != nil {
			t.Fatal(err)
		}
		if s := until(t, r, p.group(t).ID, started); s.Container.Name != "after" {
			t.Errorf("a container after the restart: %+v", s.Container)
		}
		if s := fresh.Stats(); s.Late == 0 || s.Unavailable == 0 || s.Pending != 0 {
			t.Errorf("%+v", s)
		}
	})
	if s := r.Stats(); s.Unidentified != 0 || s.Pending != 0 || s.Mismatched != 0 || s.Unknown != 0 {
		t.Errorf("in the end: %+v", s)
	} else {
		t.Logf("in the end: %+v", s)
	}
}

func TestFind(t *testing.T) {
	if _, err := Find(t.TempDir()); err == nil || !strings.Contains(err.Error(), "name its socket") {
		t.Errorf("nothing listens: %v", err)
	}
}

// TestNobodyListens asks where no runtime is.
func TestNobodyListens(t *testing.T) {
	c, err := Dial(t.TempDir() + "/none.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Container(t.Context(), one); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "none.sock") {
		t.Errorf("got %v", err)
	}
}
