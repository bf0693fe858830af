package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"seawall.io/seawall/test/lab/internal/config"
	"seawall.io/seawall/test/lab/internal/images"
	"seawall.io/seawall/test/lab/internal/toolchain"
)

// Names of a node's daemons.
func containerdOf(i int) string { return fmt.Sprintf("containerd%d", i) }
func kubeletOf(i int) string    { return fmt.Sprintf("kubelet%d", i) }
func proxyOf(i int) string      { return fmt.Sprintf("proxy%d", i) }

// configureNode writes the configuration of everything that runs on node i.
func (c *cluster) configureNode(i int) error {
	cni, err := config.CNI{Network: c.Name, Subnet: c.plan.NodePods(i).String()}.Encode()
	if err != nil {
		return err
	}
	kubelet, err := config.Kubelet{
		CAFile:           c.pki("ca.crt"),
		CertFile:         c.pki(kubeletFile(i) + ".crt"),
		KeyFile:          c.pki(kubeletFile(i) + ".key"),
		CgroupRoot:       "/" + c.Node(i),
		ContainerdSocket: "/run/containerd/containerd.sock",
		ClusterDNS:       c.plan.Node(1).String(),
		ManifestDir:      c.nodeState(i, "manifests"),
		VolumePluginDir:  c.nodeState(i, "volume-plugins"),
	}.Encode()
	if err != nil {
		return err
	}
	proxy, err := config.KubeProxy{
		Kubeconfig:  c.pki("proxy.conf"),
		Node:        c.Node(i),
		ClusterCIDR: c.plan.Pods().String(),
	}.Encode()
	if err != nil {
		return err
	}
	containerd := config.Containerd{PauseImage: images.Pause, CNIPlugins: c.options.Tools.CNIPlugins}.Encode()
	for name, content := range map[string][]byte{
		c.nodeState(i, "cni", "10-lab.conflist"): cni,
		c.nodeState(i, "containerd.toml"):        containerd,
		c.nodeState(i, "kubelet.yaml"):           kubelet,
		c.nodeState(i, "proxy.yaml"):             proxy,
	} {
		if err := writeFile(name, content); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(c.nodeState(i, "manifests"), 0o755); err != nil {
		return fmt.Errorf("configuring node %d: %w", i, err)
	}
	return nil
}

func (c *cluster) startContainerd(i int) error {
	return c.start(containerdOf(i), c.inNode(i), "containerd", "--config", c.nodeState(i, "containerd.toml"))
}

// awaitContainerd waits until containerd of node i takes connections, which it
// does once its plugins are loaded.
func (c *cluster) awaitContainerd(ctx context.Context, i int) error {
	return c.await(ctx, fmt.Sprintf("containerd of node %d", i), 30*time.Second, []string{containerdOf(i)},
		func(ctx context.Context) error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.ContainerdSocket(i))
			if err != nil {
				return fmt.Errorf("connecting: %w", err)
			}
			return conn.Close()
		})
}

func (c *cluster) startKubelet(i int) error {
	err := c.start(kubeletOf(i), c.inNode(i), c.program(toolchain.Kubelet),
		"--config", c.nodeState(i, "kubelet.yaml"),
		"--kubeconfig", c.pki(kubeletFile(i)+".conf"),
		"--hostname-override", c.Node(i),
		"--node-ip", c.plan.Node(i).String(),
	)
	if err != nil {
		return err
	}
	return c.start(proxyOf(i), c.inNode(i), c.program(toolchain.KubeProxy), "--config", c.nodeState(i, "proxy.yaml"))
}

// load imports an image archive on node i.
func (l Layout) load(ctx context.Context, i int, archive io.Reader) error {
	// Through standard input, as some directories of the machine are hidden
	// on the node.
	argv := append(l.inNode(i), "ctr", "--namespace", "k8s.io", "images", "import", "-")
	if err := runWith(ctx, archive, argv...); err != nil {
		return fmt.Errorf("importing images on node %d: %w", i, err)
	}
	return nil
}

// Load imports the image archive file, in the format of docker save or as a
// tar of an OCI layout, on every node of the cluster.
func (l Layout) Load(ctx context.Context, file string) (err error) {
	record, err := l.Record()
	if err != nil {
		return err
	}
	archive, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("loading images: %w", err)
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	for i := 1; i <= record.Nodes; i++ {
		if _, err := archive.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("loading images: %w", err)
		}
		if err := l.load(ctx, i, archive); err != nil {
			return err
		}
	}
	return nil
}
