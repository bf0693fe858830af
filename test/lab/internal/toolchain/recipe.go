// Package toolchain builds the programs of a cluster from the Go modules that
// the lab's go.mod pins, and keeps them in a cache. Nothing is downloaded but
// Go modules, through the user's ordinary module proxy.
package toolchain

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Names of the programs in the directory that Build returns.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kubelet           = "kubelet"
	KubeProxy         = "kube-proxy"
	Kubectl           = "kubectl"
	CoreDNS           = "coredns"
	Pause             = "pause"
)

// kubernetes is the module whose version is the cluster's.
const kubernetes = "k8s.io/kubernetes"

// program is one thing to build.
type program struct {
	name string // of the file
	pkg  string // to build
}

// programs lists everything, small ones first, so that a broken set-up shows
// early; what they share is compiled once.
func programs() []program {
	return []program{
		{Pause, "./pause"},
		{Etcd, "go.etcd.io/etcd/server/v3"},
		{Kubectl, kubernetes + "/cmd/kubectl"},
		{KubeProxy, kubernetes + "/cmd/kube-proxy"},
		{Scheduler, kubernetes + "/cmd/kube-scheduler"},
		{Kubelet, kubernetes + "/cmd/kubelet"},
		{APIServer, kubernetes + "/cmd/kube-apiserver"},
		{ControllerManager, kubernetes + "/cmd/kube-controller-manager"},
		{CoreDNS, "github.com/coredns/coredns"},
	}
}

// Recipe is all that decides what the programs will be, except for the Go
// version. Being text, it can be built wherever the lab runs, with or without
// its source tree.
type Recipe struct {
	GoMod, GoSum []byte
	Pause        []byte // source of the pause program
}

// KubernetesVersion is the pinned version, such as "v1.36.3".
func (r Recipe) KubernetesVersion() (string, error) {
	lines := bufio.NewScanner(bytes.NewReader(r.GoMod))
	for lines.Scan() {
		fields := strings.Fields(strings.TrimPrefix(lines.Text(), "require "))
		if len(fields) >= 2 && fields[0] == kubernetes && strings.HasPrefix(fields[1], "v") {
			return fields[1], nil
		}
	}
	return "", fmt.Errorf("go.mod of the lab requires no version of %s", kubernetes)
}

// key names the cache directory of r's programs.
func (r Recipe) key(goVersion, goArch string) (string, error) {
	version, err := r.KubernetesVersion()
	if err != nil {
		return "", err
	}
	flags, err := r.flags()
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	fmt.Fprintf(hash, "%s %s %q\n", goVersion, goArch, flags)
	for _, part := range [][]byte{r.GoMod, r.GoSum, r.Pause} {
		fmt.Fprintf(hash, "%d\n", len(part))
		hash.Write(part)
	}
	return fmt.Sprintf("kubernetes-%s-%s-%s", version, goVersion, hex.EncodeToString(hash.Sum(nil))[:12]), nil
}

// flags are those of go build. Upstream stamps its version in through the
// linker; without it, the programs would call themselves v0.0.0-master.
func (r Recipe) flags() ([]string, error) {
	version, err := r.KubernetesVersion()
	if err != nil {
		return nil, err
	}
	major, minor := "", ""
	if parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3); len(parts) == 3 {
		major, minor = parts[0], parts[1]
	}
	link := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, v := range []struct{ name, value string }{
			{"gitVersion", version}, {"gitMajor", major}, {"gitMinor", minor}, {"gitTreeState", "clean"},
		} {
			link = append(link, "-X", pkg+"."+v.name+"="+v.value)
		}
	}
	return []string{"-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=" + strings.Join(link, " ")}, nil
}
