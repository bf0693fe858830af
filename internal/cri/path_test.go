package cri

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	uid    = "0b1f6c2e-7a4d-4f0e-9c53-5d1f2a3b4c5d"
	static = "5d2b8a3c9e7f41d6a0b1c2d3e4f50617" // the hash of a manifest
)

var (
	scored = strings.ReplaceAll(uid, "-", "_")
	one    = strings.Repeat("0123456789abcdef", 4)
	two    = strings.Repeat("fedcba9876543210", 4)
)

func TestParseCgroup(t *testing.T) {
	pod := "/kubepods/burstable/pod" + uid
	slice := "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + scored + ".slice"
	for _, c := range []struct {
		name, path string
		want       Place
	}{
		{"root", "/", Place{}},
		{"empty", "", Place{}},
		{"service", "/system.slice/containerd.service", Place{}},
		{"user", "/user.slice/user-1000.slice/session-3.scope", Place{}},
		{"kubelet", "/kubepods", Place{}},
		{"class", "/kubepods.slice/kubepods-burstable.slice", Place{}},

		{"cgroupfs", pod + "/" + one, Place{uid, one, "", false, pod + "/" + one}},
		{"cgroupfs guaranteed", "/kubepods/pod" + uid + "/" + one, Place{uid, one, "", false, "/kubepods/pod" + uid + "/" + one}},
		{"cgroupfs pod", pod, Place{PodUID: uid}},
		{"cgroupfs static", "/kubepods/burstable/pod" + static + "/" + one, Place{static, one, "", false, "/kubepods/burstable/pod" + static + "/" + one}},
		{"cgroupfs root", "/custom/kubepods/besteffort/pod" + uid + "/" + one, Place{uid, one, "", false, "/custom/kubepods/besteffort/pod" + uid + "/" + one}},
		{"cgroupfs crio", pod + "/crio-" + one, Place{uid, one, CRIO, false, pod + "/crio-" + one}},
		{"cgroupfs crio monitor", pod + "/crio-conmon-" + one, Place{PodUID: uid, Monitor: true}},

		{"systemd", slice + "/cri-containerd-" + one + ".scope", Place{uid, one, Containerd, false, slice + "/cri-containerd-" + one + ".scope"}},
		{"systemd pod", slice, Place{PodUID: uid}},
		{
			"systemd guaranteed", "/kubepods.slice/kubepods-pod" + scored + ".slice/cri-containerd-" + one + ".scope",
			Place{uid, one, Containerd, false, "/kubepods.slice/kubepods-pod" + scored + ".slice/cri-containerd-" + one + ".scope"},
		},
		{
			"systemd static", "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + static + ".slice/crio-" + one + ".scope",
			Place{static, one, CRIO, false, "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + static + ".slice/crio-" + one + ".scope"},
		},
		{"systemd crio nested", slice + "/crio-" + one + ".scope/container", Place{uid, one, CRIO, false, slice + "/crio-" + one + ".scope"}},
		{"systemd crio monitor", slice + "/crio-conmon-" + one + ".scope", Place{PodUID: uid, Monitor: true}},
		{"systemd docker", slice + "/docker-" + one + ".scope", Place{uid, one, Docker, false, slice + "/docker-" + one + ".scope"}},
		{
			"systemd root", "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" + scored + ".slice/cri-containerd-" + one + ".scope",
			Place{uid, one, Containerd, false, "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod" + scored + ".slice/cri-containerd-" + one + ".scope"},
		},
		{
			"drivers mixed", "/system.slice/containerd.service/kubepods-burstable-pod" + scored + ".slice:cri-containerd:" + one,
			Place{uid, one, Containerd, false, "/system.slice/containerd.service/kubepods-burstable-pod" + scored + ".slice:cri-containerd:" + one},
		},

		{"nested", pod + "/" + one + "/init.scope", Place{uid, one, "", false, pod + "/" + one}},
		{"docker in pod", pod + "/" + one + "/docker/" + two, Place{uid, one, "", false, pod + "/" + one}},
		{"pod in pod", pod + "/" + one + "/kubelet/kubepods/pod" + static + "/" + two, Place{uid, one, "", false, pod + "/" + one}},
		{
			"node is a container", "/docker/" + two + "/kubelet/kubepods/besteffort/pod" + uid + "/" + one,
			Place{uid, one, "", false, "/docker/" + two + "/kubelet/kubepods/besteffort/pod" + uid + "/" + one},
		},
		{
			"node is a scope", "/system.slice/docker-" + two + ".scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" + scored + ".slice/cri-containerd-" + one + ".scope/x",
			Place{uid, one, Containerd, false, "/system.slice/docker-" + two + ".scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" + scored + ".slice/cri-containerd-" + one + ".scope"},
		},

		{"docker", "/docker/" + one, Place{ContainerID: one, Container: "/docker/" + one}},
		{"docker scope", "/system.slice/docker-" + one + ".scope", Place{"", one, Docker, false, "/system.slice/docker-" + one + ".scope"}},
		{"docker mixed", "/system.slice/docker.service/system.slice:docker:" + one, Place{"", one, Docker, false, "/system.slice/docker.service/system.slice:docker:" + one}},
		{"podman", "/machine.slice/libpod-" + one + ".scope/container", Place{"", one, Podman, false, "/machine.slice/libpod-" + one + ".scope"}},
		{"podman monitor", "/machine.slice/libpod-conmon-" + one + ".scope", Place{}},

		{"not kubepods", "/other/pod" + uid + "/" + one, Place{ContainerID: one, Container: "/other/pod" + uid + "/" + one}},
		{"short", pod + "/" + one[:63], Place{PodUID: uid}},
		{"upper case", pod + "/" + strings.ToUpper(one), Place{PodUID: uid}},
		{"no uid", "/kubepods/pod/" + one, Place{ContainerID: one, Container: "/kubepods/pod/" + one}},
		{"newline", "/kubepods/poda\nb/" + one, Place{ContainerID: one, Container: "/kubepods/poda\nb/" + one}},
		{"slashes", "//kubepods//pod" + uid + "//" + one + "/", Place{uid, one, "", false, "//kubepods//pod" + uid + "//" + one}},
	} {
		if diff := cmp.Diff(c.want, ParseCgroup(c.path)); diff != "" {
			t.Errorf("%s: %s: %s", c.name, c.path, diff)
		}
	}
}

// FuzzParseCgroup: whatever lies below a container's group is that container.
func FuzzParseCgroup(f *testing.F) {
	f.Add("/kubepods/burstable/pod"+uid+"/"+one, "init.scope")
	f.Add("/kubepods.slice/kubepods-pod"+scored+".slice/crio-"+one+".scope", "container")
	f.Add("/kubepods-pod"+scored+".slice:cri-containerd:"+one, "/kubepods/pod1/"+two)
	f.Add("/docker/"+two, "kubepods/pod1/"+one)
	f.Fuzz(func(t *testing.T, path, below string) {
		p := ParseCgroup(path)
		if p.ContainerID == "" {
			if p.Container != "" || p.Runtime != "" {
				t.Errorf("%q: %+v", path, p)
			}
			return
		}
		if !isID(p.ContainerID) || !strings.HasPrefix(path, p.Container) || !strings.HasSuffix(strings.TrimSuffix(p.Container, ".scope"), p.ContainerID) {
			t.Errorf("%q: %+v", path, p)
		}
		if again := ParseCgroup(p.Container); again != p {
			t.Errorf("%q: its container's path says %+v, not %+v", path, again, p)
		}
		if p.PodUID != "" {
			if inner := ParseCgroup(p.Container + "/" + below); inner != p {
				t.Errorf("%q below %q: %+v, want %+v", below, p.Container, inner, p)
			}
		}
	})
}
