package cluster

import (
	"fmt"
	"time"

	"seawall.io/seawall/test/lab/internal/config"
	"seawall.io/seawall/test/lab/internal/pki"
)

// domain is the cluster's DNS domain.
const domain = "cluster.local"

// masters is the group that may do everything, whatever RBAC says.
const masters = "system:masters"

// createCredentials writes keys, certificates and kubeconfigs of all
// components, and of the kubelets.
func (c *cluster) createCredentials() error {
	authority, err := pki.NewAuthority(c.Name+"-ca", time.Now())
	if err != nil {
		return fmt.Errorf("creating credentials: %w", err)
	}
	ca, err := authority.Pair()
	if err != nil {
		return fmt.Errorf("creating credentials: %w", err)
	}
	if err := c.writePair("ca", ca); err != nil {
		return err
	}
	if err := c.createSigningKey(); err != nil {
		return err
	}
	for _, component := range c.components() {
		pair, err := authority.Issue(component.subject)
		if err != nil {
			return fmt.Errorf("creating credentials: %w", err)
		}
		if err := c.writePair(component.file, pair); err != nil {
			return err
		}
		if component.kubeconfig == "" {
			continue
		}
		kubeconfig, err := config.Kubeconfig{
			Cluster: c.Name, Server: c.plan.Server(), CA: ca.Cert,
			User: component.subject.Name, Cert: pair.Cert, Key: pair.Key,
		}.Encode()
		if err != nil {
			return err
		}
		if err := writeFile(component.kubeconfig, kubeconfig); err != nil {
			return err
		}
	}
	return nil
}

// component is a holder of a certificate.
type component struct {
	file       string // of certificate and key
	subject    pki.Subject
	kubeconfig string // path, for clients of the API server
}

func (c *cluster) components() []component {
	all := []component{
		{file: "etcd", subject: pki.Subject{Name: "etcd", Hosts: []string{"localhost", "127.0.0.1"}}},
		{file: "apiserver", subject: pki.Subject{Name: "kube-apiserver", Hosts: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + domain,
			"127.0.0.1", c.plan.APIService().String(), c.plan.Node(1).String(),
		}}},
		{file: "apiserver-kubelet", subject: pki.Subject{Name: "kube-apiserver-kubelet-client", Group: masters}},
		{file: "front-proxy", subject: pki.Subject{Name: "front-proxy-client"}},
		{"admin", pki.Subject{Name: "admin", Group: masters}, c.Kubeconfig()},
		{"controller-manager", pki.Subject{Name: "system:kube-controller-manager"}, c.pki("controller-manager.conf")},
		{"scheduler", pki.Subject{Name: "system:kube-scheduler"}, c.pki("scheduler.conf")},
		{"proxy", pki.Subject{Name: "system:kube-proxy"}, c.pki("proxy.conf")},
		{"coredns", pki.Subject{Name: "coredns", Group: masters}, c.pki("coredns.conf")},
	}
	for i := range c.nodes() {
		file := kubeletFile(i)
		all = append(all, component{file, pki.Subject{
			Name: "system:node:" + c.Node(i), Group: "system:nodes",
			// Without its address, the API server refuses the kubelet that it
			// asks for logs and for exec.
			Hosts: []string{c.Node(i), c.plan.Node(i).String()},
		}, c.pki(file + ".conf")})
	}
	return all
}

func kubeletFile(i int) string { return fmt.Sprintf("kubelet%d", i) }

func (c *cluster) createSigningKey() error {
	private, public, err := pki.SigningKey()
	if err != nil {
		return fmt.Errorf("creating credentials: %w", err)
	}
	if err := writeFile(c.pki("service-account.key"), private); err != nil {
		return err
	}
	return writeFile(c.pki("service-account.pub"), public)
}

func (c *cluster) writePair(file string, pair pki.Pair) error {
	if err := writeFile(c.pki(file+".crt"), pair.Cert); err != nil {
		return err
	}
	return writeFile(c.pki(file+".key"), pair.Key)
}
