package cluster

import (
	"path/filepath"

	"seawall.io/seawall/test/lab/internal/config"
	"seawall.io/seawall/test/lab/internal/toolchain"
)

// The control plane runs in the network of the first node, but not in its
// mounts: it has no business with containers.

const etcdURL = "https://127.0.0.1:2379"

func (c *cluster) program(name string) string { return filepath.Join(c.options.Programs, name) }

func (c *cluster) startEtcd() error {
	return c.start("etcd", inNetwork(c.Node(1)), c.program(toolchain.Etcd),
		"--data-dir", c.state("etcd"),
		"--listen-client-urls", etcdURL,
		"--advertise-client-urls", etcdURL,
		"--listen-peer-urls", "http://127.0.0.1:2380",
		"--cert-file", c.pki("etcd.crt"),
		"--key-file", c.pki("etcd.key"),
		"--client-cert-auth",
		"--trusted-ca-file", c.pki("ca.crt"),
		"--unsafe-no-fsync", // the data is thrown away with the cluster
	)
}

func (c *cluster) startAPIServer() error {
	argv := []string{
		c.program(toolchain.APIServer),
		"--advertise-address", c.plan.Node(1).String(),
		"--allow-privileged",
		"--authorization-mode", "Node,RBAC",
		"--client-ca-file", c.pki("ca.crt"),
		"--enable-admission-plugins", "NodeRestriction",
		"--etcd-cafile", c.pki("ca.crt"),
		"--etcd-certfile", c.pki("etcd.crt"),
		"--etcd-keyfile", c.pki("etcd.key"),
		"--etcd-servers", etcdURL,
		"--kubelet-certificate-authority", c.pki("ca.crt"),
		"--kubelet-client-certificate", c.pki("apiserver-kubelet.crt"),
		"--kubelet-client-key", c.pki("apiserver-kubelet.key"),
		// By default a node is called by its name, which nothing resolves.
		"--kubelet-preferred-address-types", "InternalIP",
		"--proxy-client-cert-file", c.pki("front-proxy.crt"),
		"--proxy-client-key-file", c.pki("front-proxy.key"),
		"--requestheader-allowed-names", "front-proxy-client",
		"--requestheader-client-ca-file", c.pki("ca.crt"),
		"--requestheader-extra-headers-prefix", "X-Remote-Extra-",
		"--requestheader-group-headers", "X-Remote-Group",
		"--requestheader-username-headers", "X-Remote-User",
		"--secure-port", "6443",
		"--service-account-issuer", "https://kubernetes.default.svc." + domain,
		"--service-account-key-file", c.pki("service-account.pub"),
		"--service-account-signing-key-file", c.pki("service-account.key"),
		"--service-cluster-ip-range", c.plan.Services().String(),
		"--tls-cert-file", c.pki("apiserver.crt"),
		"--tls-private-key-file", c.pki("apiserver.key"),
	}
	// Last, so that they win.
	argv = append(argv, c.options.APIServerFlags...)
	return c.start("apiserver", inNetwork(c.Node(1)), argv...)
}

func (c *cluster) startControllers() error {
	err := c.start("controller-manager", inNetwork(c.Node(1)), c.program(toolchain.ControllerManager),
		"--bind-address", "127.0.0.1",
		"--cluster-signing-cert-file", c.pki("ca.crt"),
		"--cluster-signing-key-file", c.pki("ca.key"),
		"--kubeconfig", c.pki("controller-manager.conf"),
		// Each controller asks for a token before any of them starts; at the
		// default rate this alone takes four seconds.
		"--kube-api-burst", "400",
		"--kube-api-qps", "200",
		"--leader-elect=false", // there is but one
		"--root-ca-file", c.pki("ca.crt"),
		"--service-account-private-key-file", c.pki("service-account.key"),
		"--use-service-account-credentials",
	)
	if err != nil {
		return err
	}
	return c.start("scheduler", inNetwork(c.Node(1)), c.program(toolchain.Scheduler),
		"--bind-address", "127.0.0.1",
		"--kubeconfig", c.pki("scheduler.conf"),
		"--leader-elect=false",
	)
}

// startDNS runs CoreDNS as a daemon and not as a pod: it then needs no image,
// and pods may be judged by tests without it among them.
func (c *cluster) startDNS() error {
	corefile := config.CoreDNS{Address: c.plan.Node(1).String(), Kubeconfig: c.pki("coredns.conf")}.Encode()
	if err := writeFile(c.state("Corefile"), corefile); err != nil {
		return err
	}
	return c.start("coredns", inNetwork(c.Node(1)), c.program(toolchain.CoreDNS), "-conf", c.state("Corefile"))
}
