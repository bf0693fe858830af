package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"
)

// api is the little of a client that the lab needs while it waits.
type api struct {
	server string
	client *http.Client
}

func (c *cluster) newAPI() (*api, error) {
	pair, err := tls.LoadX509KeyPair(c.pki("admin.crt"), c.pki("admin.key"))
	if err != nil {
		return nil, fmt.Errorf("reading the administrator's credentials: %w", err)
	}
	ca, err := os.ReadFile(c.pki("ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("reading the authority: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &api{c.plan.Server(), &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{
			Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12,
		}},
	}}, nil
}

func (a *api) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.server+path, nil)
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", path, err)
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", path, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", path, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking for %s: %s: %s", path, response.Status, strings.TrimSpace(string(body)))
	}
	return body, nil
}

func (a *api) exists(path string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := a.get(ctx, path)
		return err
	}
}

// nodeReady returns nil if the node is ready, and otherwise what it lacks.
func (a *api) nodeReady(ctx context.Context, node string) error {
	body, err := a.get(ctx, "/api/v1/nodes/"+node)
	if err != nil {
		return err
	}
	return ready(body)
}

func ready(node []byte) error {
	var parsed struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := json.Unmarshal(node, &parsed); err != nil {
		return fmt.Errorf("reading a node: %w", err)
	}
	for _, condition := range parsed.Status.Conditions {
		if condition.Type != "Ready" {
			continue
		}
		if condition.Status == "True" {
			return nil
		}
		return fmt.Errorf("not ready: %s", condition.Message)
	}
	return errors.New("not ready: its kubelet has not reported yet")
}

// resolves returns nil if the DNS server knows the name and gives the address.
func resolves(ctx context.Context, server netip.Addr, name string, want netip.Addr) error {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, netip.AddrPortFrom(server, 53).String())
	}}
	// A question that came too early gets no answer, and the resolver would
	// wait five seconds before it asks again.
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	got, err := resolver.LookupHost(ctx, name)
	if err != nil {
		return fmt.Errorf("resolving: %w", err)
	}
	if len(got) != 1 || got[0] != want.String() {
		return fmt.Errorf("%s is %q, want %s", name, got, want)
	}
	return nil
}
