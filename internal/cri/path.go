package cri

import (
	"strings"
)

// Runtime is the program that made a container's control group, as far as its name
// says.
type Runtime string

// The runtimes that name their groups. Others, and all of them with the cgroupfs
// driver, use the bare identifier.
const (
	Containerd Runtime = "containerd"
	CRIO       Runtime = "cri-o"
	Docker     Runtime = "docker"
	Podman     Runtime = "podman"
)

// Place is where a control group stands: what its path alone says.
type Place struct {
	// PodUID is that of the pod, "" for containers that Kubernetes knows nothing of.
	PodUID string
	// ContainerID is set within containers. Groups of a pod without it belong to the
	// pod as a whole, or to a Monitor, which is a process of the node.
	ContainerID string
	Runtime     Runtime
	// Monitor is set for the runtime's monitor of a container (conmon).
	Monitor bool
	// Container is the path of the container's own group. It is shorter than the path
	// that was asked for where that lies inside the container.
	Container string
}

// ParseCgroup reads the path of a control group, below the root of the hierarchy.
// It knows the layouts of the cgroupfs and systemd drivers with any prefix (the
// kubelet's cgroupRoot, a node that is itself a container), and of runtimes that
// use one driver's names with the other.
//
// The outermost pod counts, and the first container below it: what a container
// makes inside its own group cannot pass it off as another. Where there is no pod
// it is the outermost container.
func ParseCgroup(path string) Place {
	var p Place
	// Without a pod the first container is kept in case none comes.
	var outer Place
	at, level := 0, ""
	for at < len(path) {
		for at < len(path) && path[at] == '/' {
			at++
		}
		end := at + strings.IndexByte(path[at:]+"/", '/')
		name := path[at:end]
		if name == "" {
			break
		}
		above := level
		level = name
		at = end

		if uid, rest, ok := podOf(name, above); ok && p.PodUID == "" {
			p.PodUID = uid
			if rest != "" { // slice:runtime:id in one name
				if id, runtime, ok := containerOf(rest); ok {
					p.ContainerID, p.Runtime, p.Container = id, runtime, path[:end]
					return p
				}
			}
			continue
		}
		id, runtime, ok := containerOf(name)
		switch {
		case !ok:
			if p.PodUID != "" && monitors(name) {
				p.Monitor = true
				return p
			}
		case p.PodUID != "":
			p.ContainerID, p.Runtime, p.Container = id, runtime, path[:end]
			return p
		case outer.ContainerID == "":
			outer = Place{ContainerID: id, Runtime: runtime, Container: path[:end]}
		}
	}
	if p.PodUID == "" {
		return outer
	}
	return p
}

// podOf returns the UID of the pod whose group has a name, below a group of another
// name:
//
//	pod1234...                                  below kubepods, burstable, besteffort
//	kubepods-burstable-pod1234_...slice         anywhere, with any prefix
//	kubepods-pod1234_...slice:cri-containerd:5678...
//
// The last is what a runtime with the cgroupfs driver makes of a kubelet with
// systemd's; what follows the pod is returned as well.
func podOf(name, above string) (uid, rest string, ok bool) {
	if uid, ok = strings.CutPrefix(name, "pod"); ok {
		switch above {
		case "kubepods", "burstable", "besteffort", "guaranteed":
			return uid, "", isName(uid)
		}
		return "", "", false
	}
	slice, rest, _ := strings.Cut(name, ":")
	slice, ok = strings.CutSuffix(slice, ".slice")
	if !ok {
		return "", "", false
	}
	before, uid, ok := strings.Cut(slice, "-pod")
	if !ok {
		return "", "", false
	}
	for _, class := range []string{"-burstable", "-besteffort"} {
		before = strings.TrimSuffix(before, class)
	}
	if before != "kubepods" && !strings.HasSuffix(before, "-kubepods") {
		return "", "", false
	}
	uid = strings.ReplaceAll(uid, "_", "-")
	return uid, rest, isName(uid)
}

// isName says whether a text can be the UID of a pod. That of a static pod may be
// any that its manifest states.
func isName(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return s != ""
}

var prefixes = []struct {
	prefix  string
	runtime Runtime
}{
	{"cri-containerd", Containerd}, {"crio", CRIO}, {"docker", Docker}, {"libpod", Podman}, {"nerdctl", Containerd},
}

// containerOf returns the identifier in the name of a container's group: bare, with
// the runtime before it, with .scope behind it.
func containerOf(name string) (id string, runtime Runtime, ok bool) {
	if _, rest, ok := strings.Cut(name, ".slice:"); ok {
		name = rest
	}
	name = strings.TrimSuffix(name, ".scope")
	for _, p := range prefixes {
		rest, ok := strings.CutPrefix(name, p.prefix)
		if ok && len(rest) == 1+idLength && (rest[0] == '-' || rest[0] == ':') && isID(rest[1:]) {
			return rest[1:], p.runtime, true
		}
	}
	return name, "", isID(name)
}

const idLength = 64

func isID(s string) bool {
	if len(s) != idLength {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// monitors says whether a group is that of a runtime's monitor of a container.
func monitors(name string) bool {
	return strings.HasPrefix(name, "crio-conmon-") || strings.HasPrefix(name, "libpod-conmon-")
}
