// Package kube reads a live Kubernetes cluster into a [cluster.Snapshot], for
// every command that takes a cluster as its target. It only lists: it sends no
// request that changes anything, opens no watch and runs nothing in a pod. Only
// [Client.Probe], where it is asked for, talks to what runs in the cluster.
//
// The values of Secrets are replaced by fingerprints (package redact) before
// anything else sees them. Values of ConfigMaps and environment variables are
// kept, because checks look for credentials in them.
//
// What the server refuses, does not have, or does not answer in time is named
// in Snapshot.Incomplete. The tables in skip.go and keep.go say what is not
// asked for and what is thrown away.
package kube

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // the auth providers that a kubeconfig may name, as in kubectl
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Options say which cluster to read. The zero value means the current context
// of the default kubeconfig (KUBECONFIG, else ~/.kube/config) and, where there
// is none, the service account of the pod that Seawall runs in.
type Options struct {
	// Kubeconfig is a file to read instead of the default ones.
	Kubeconfig string
	// Context is used instead of the current one.
	Context string
	// Cluster names the cluster in findings: the name of the context by
	// default, "in-cluster" inside a pod.
	Cluster string
	// Version is Seawall's own, for the user agent.
	Version string
	// Timeout is how long the server may take for one answer (a page of a
	// list): a minute by default.
	Timeout time.Duration
}

const (
	defaultTimeout = time.Minute

	// requestsPerSecond and requestBurst stand in for client-go's 5 and 10,
	// with which a cluster with 100 kinds takes half a minute. The server
	// protects itself by API Priority and Fairness (since 1.20).
	requestsPerSecond = 50
	requestBurst      = 100

	inCluster = "in-cluster"

	// accountNamespace is where the kubelet writes a pod's own namespace, beside
	// the token that rest.InClusterConfig reads.
	accountNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
)

// Client reads one cluster. It is safe for many goroutines.
type Client struct {
	rest *rest.RESTClient
	// config is what rest was made from, for connections of another kind.
	config *rest.Config
	// name is Object.Cluster; context and host, the server's address, are for
	// messages.
	name, context, host string
	// namespace is the one that the context or the service account belongs to;
	// empty when that is unknown.
	namespace string
	timeout   time.Duration
}

// Contexts returns the names of the contexts of a kubeconfig, sorted, and which
// one is current; an empty kubeconfig means the default ones. Without any
// kubeconfig both are empty.
func Contexts(kubeconfig string) (names []string, current string, err error) {
	config, err := loadingRules(kubeconfig).Load()
	if err != nil {
		return nil, "", kubeconfigError(kubeconfig, err)
	}
	return slices.Sorted(maps.Keys(config.Contexts)), config.CurrentContext, nil
}

// Connect prepares to read a cluster. It reads the kubeconfig but does not talk
// to the server yet: that the server answers shows in [Client.Read].
func Connect(o Options) (*Client, error) {
	c := &Client{timeout: o.Timeout}
	config, err := c.configure(o)
	if err != nil {
		return nil, err
	}
	if o.Cluster != "" {
		c.name = o.Cluster
	}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	config.UserAgent = userAgent(o.Version)
	config.QPS, config.Burst = requestsPerSecond, requestBurst
	config.WarningHandler = rest.NoWarnings{}
	config.NegotiatedSerializer = statusSerializer()
	c.config, c.host = config, config.Host
	if c.rest, err = rest.UnversionedRESTClientFor(config); err != nil {
		return nil, fmt.Errorf("preparing to read cluster %s: %w: check its entry in the kubeconfig with `kubectl config view`", c.name, err)
	}
	return c, nil
}

// Name returns what the objects of the cluster carry as Object.Cluster.
func (c *Client) Name() string { return c.name }

// configure finds the cluster that o asks for, and sets the client's name and
// namespace.
func (c *Client) configure(o Options) (*rest.Config, error) {
	rules := loadingRules(o.Kubeconfig)
	config, err := rules.Load()
	if err != nil {
		return nil, kubeconfigError(o.Kubeconfig, err)
	}
	if len(config.Contexts) == 0 && o.Kubeconfig == "" && o.Context == "" {
		return c.configureInCluster(rules)
	}
	name, err := chooseContext(config, rules, o.Context)
	if err != nil {
		return nil, err
	}
	c.name, c.context = name, name
	c.namespace = cmp.Or(config.Contexts[name].Namespace, metav1.NamespaceDefault)
	out, err := clientcmd.NewNonInteractiveClientConfig(*config, name, &clientcmd.ConfigOverrides{}, rules).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading context %s of %s: %w: check it with `kubectl config view --context %s`", name, places(rules), err, name)
	}
	return out, nil
}

func (c *Client) configureInCluster(rules *clientcmd.ClientConfigLoadingRules) (*rest.Config, error) {
	config, err := rest.InClusterConfig()
	switch {
	case errors.Is(err, rest.ErrNotInCluster):
		return nil, fmt.Errorf("no cluster to read: there is no kubeconfig (looked at %s) and this is no pod: name one with --kubeconfig FILE or the variable KUBECONFIG", places(rules))
	case err != nil:
		return nil, fmt.Errorf("reading the service account of this pod: %w: let the pod mount its token (automountServiceAccountToken: true), or name a file with --kubeconfig FILE", err)
	}
	c.name = inCluster
	if namespace, err := os.ReadFile(accountNamespace); err == nil {
		c.namespace = strings.TrimSpace(string(namespace))
	}
	return config, nil
}

// chooseContext returns the context that is asked for, or the current one.
func chooseContext(config *clientcmdapi.Config, rules *clientcmd.ClientConfigLoadingRules, name string) (string, error) {
	known := "it has no contexts"
	if names := slices.Sorted(maps.Keys(config.Contexts)); len(names) > 0 {
		known = "choose one with --context: " + strings.Join(names, ", ")
	}
	if name == "" {
		name = config.CurrentContext
	}
	if name == "" {
		return "", fmt.Errorf("kubeconfig %s has no current context: %s", places(rules), known)
	}
	chosen := config.Contexts[name]
	switch {
	case chosen == nil:
		return "", fmt.Errorf("context %q is not in kubeconfig %s: %s", name, places(rules), known)
	case config.Clusters[chosen.Cluster] == nil:
		return "", fmt.Errorf("context %q names the cluster %q, which is not in kubeconfig %s: add it, or %s", name, chosen.Cluster, places(rules), known)
	case chosen.AuthInfo != "" && config.AuthInfos[chosen.AuthInfo] == nil:
		return "", fmt.Errorf("context %q names the user %q, who is not in kubeconfig %s: add it, or %s", name, chosen.AuthInfo, places(rules), known)
	}
	return name, nil
}

// loadingRules are kubectl's, without its habit of moving files of old places.
func loadingRules(kubeconfig string) *clientcmd.ClientConfigLoadingRules {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.MigrationRules = nil
	rules.WarnIfAllMissing = false
	rules.ExplicitPath = kubeconfig
	return rules
}

func places(rules *clientcmd.ClientConfigLoadingRules) string {
	return strings.Join(rules.GetLoadingPrecedence(), ", ")
}

func kubeconfigError(file string, err error) error {
	if errors.Is(err, fs.ErrNotExist) && file != "" {
		return fmt.Errorf("kubeconfig %s does not exist: check --kubeconfig", file)
	}
	return fmt.Errorf("reading the kubeconfig: %w: check it with `kubectl config view`", err)
}

func userAgent(version string) string {
	if version == "" {
		version = "unknown"
	}
	return "seawall/" + version
}

// statusSerializer decodes the Status with which the server explains a
// refusal; nothing else is decoded by client-go.
func statusSerializer() runtime.NegotiatedSerializer {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	return serializer.NewCodecFactory(scheme).WithoutConversion()
}
