package cluster

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// MaxNodes is how many nodes a cluster can have.
const MaxNodes = 20

// Layout says where the things of a cluster are. All of it follows from the
// name, so that what a crash left behind can be found without any record.
type Layout struct {
	Name  string
	Cache string // state of all clusters and of the built programs
}

// NewLayout checks the name, which becomes part of host names, of paths and of
// cgroups.
func NewLayout(cache, name string) (Layout, error) {
	if !regexp.MustCompile(`^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$`).MatchString(name) {
		return Layout{}, fmt.Errorf("cluster name %q: use up to 31 of a-z, 0-9 and -, with a letter first and no - at the end", name)
	}
	return Layout{Name: name, Cache: cache}, nil
}

// Kubeconfig is the path of the administrator's credentials.
func (l Layout) Kubeconfig() string { return l.state("kubeconfig") }

// Logs is the directory of the daemons' logs.
func (l Layout) Logs() string { return l.state("log") }

// Node is the name of node i, counted from 1.
func (l Layout) Node(i int) string { return fmt.Sprintf("%s-node%d", l.Name, i) }

// ContainerdSocket is the path, on the machine, of containerd of node i.
func (l Layout) ContainerdSocket(i int) string {
	return filepath.Join(l.nodeRun(i), "containerd.sock")
}

func clusters(cache string) string { return filepath.Join(cache, "clusters") }

// state is a path in the directory that holds all the cluster's files.
func (l Layout) state(elem ...string) string {
	return filepath.Join(append([]string{clusters(l.Cache), l.Name}, elem...)...)
}

func (l Layout) lock() string   { return filepath.Join(clusters(l.Cache), l.Name+".lock") }
func (l Layout) record() string { return l.state("cluster.json") }

func (l Layout) pki(file string) string { return l.state("pki", file) }

// nodeState is a path in the directory of node i.
func (l Layout) nodeState(i int, elem ...string) string {
	return l.state(append([]string{fmt.Sprintf("node%d", i)}, elem...)...)
}

// run is a short-lived place with short paths: the name of a socket may not be
// longer than 107 bytes.
func (l Layout) run(elem ...string) string {
	return filepath.Join(append([]string{"/run/seawall-lab", l.Name}, elem...)...)
}

func (l Layout) nodeRun(i int) string { return l.run(fmt.Sprintf("node%d", i)) }

// mountNamespace is the file that keeps the mount namespace of node i.
func (l Layout) mountNamespace(i int) string { return l.run("mnt", fmt.Sprintf("node%d", i)) }

// switchNamespace is the network namespace with the bridge between the nodes.
func (l Layout) switchNamespace() string { return l.Name + "-switch" }

// netnsPath is where `ip netns` keeps the network namespace called name.
func netnsPath(name string) string { return filepath.Join("/run/netns", name) }

// ownsNamespace reports whether the network namespace called name is part of
// the cluster.
func (l Layout) ownsNamespace(name string) bool {
	return name == l.switchNamespace() || l.isNode(name)
}

// isNode reports whether name is that of a node of the cluster, of whatever
// number.
func (l Layout) isNode(name string) bool {
	number, ok := strings.CutPrefix(name, l.Name+"-node")
	if !ok {
		return false
	}
	_, err := strconv.ParseUint(number, 10, 8)
	return err == nil
}

// ParseNode turns "node2", "NAME-node2" or "2" into 2.
func (l Layout) ParseNode(s string) (int, error) {
	number := strings.TrimPrefix(strings.TrimPrefix(s, l.Name+"-"), "node")
	i, err := strconv.Atoi(number)
	if err != nil || i < 1 || i > MaxNodes {
		return 0, fmt.Errorf("node %q: write node1, node2, ...", s)
	}
	return i, nil
}
