// Package kubeapi makes the few requests that the agent has for the Kubernetes API
// server: it follows the pods of one node and the modes of namespaces, and does
// what a response to an attack asks for. It is for the agent, whose list of
// dependencies is kept short; everything else uses package kube.
//
// It works with a pod's own account. Requests end after 10 seconds, and nothing
// that the agent does waits for the API server: without it, identities lack labels
// and responses stop at the node's edge, which their record says.
package kubeapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// AccountDir is where Kubernetes puts the credentials of a pod's account.
const AccountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// Client talks to one API server. It is safe for many goroutines.
type Client struct {
	base  *url.URL
	http  *http.Client
	token token
}

// token is reread from its file each minute: the kubelet renews it.
type token struct {
	file string
	mu   sync.Mutex
	text string
	read time.Time
}

func (t *token) get() (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.text != "" && time.Since(t.read) < time.Minute {
		return t.text, nil
	}
	b, err := os.ReadFile(t.file)
	if err != nil {
		if t.text != "" {
			return t.text, nil // the old one may still hold
		}
		return "", fmt.Errorf("reading the token of the pod's account: %w", err)
	}
	t.text, t.read = strings.TrimSpace(string(b)), time.Now()
	return t.text, nil
}

// InPod returns a client with the credentials that Kubernetes gives a pod.
func InPod() (*Client, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod, or its service links are off")
	}
	return New("https://"+net.JoinHostPort(host, port), AccountDir)
}

// New returns a client of the server at a URL with the ca.crt and token of a folder.
func New(server, dir string) (*Client, error) {
	base, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("the API server's address: %w", err)
	}
	if base.Scheme != "https" {
		return nil, fmt.Errorf("the API server's address %s: only https is spoken, since every request carries a token", server)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority of the API server: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", filepath.Join(dir, "ca.crt"))
	}
	return &Client{
		base: base,
		http: &http.Client{Transport: &http.Transport{
			TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			ResponseHeaderTimeout: 10 * time.Second,
			ForceAttemptHTTP2:     true,
			IdleConnTimeout:       2 * time.Minute,
			MaxIdleConnsPerHost:   2,
		}},
		token: token{file: filepath.Join(dir, "token")},
	}, nil
}

// Error is an answer of the API server that is not a success.
type Error struct {
	Code    int    // of HTTP
	Reason  string // NotFound, Forbidden, Conflict
	Message string
}

func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("the API server answers %d %s", e.Code, http.StatusText(e.Code))
	}
	return fmt.Sprintf("the API server answers %d: %s", e.Code, e.Message)
}

// IsNotFound says whether an error means that the object is not there.
func IsNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == http.StatusNotFound
}

// maxAnswer bounds what is read of one answer that is no stream: 64 MiB.
const maxAnswer = 64 << 20

// do makes one request and decodes the answer into out, unless that is nil.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, contentType string, body any, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	resp, err := c.open(ctx, method, path, query, contentType, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("reading the answer to %s %s: %w", method, path, err)
	}
	return nil
}

// open makes a request and returns its answer where that is a success.
func (c *Client) open(ctx context.Context, method, path string, query url.Values, contentType string, body any) (*http.Response, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	u := *c.base
	u.Path = path
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	tok, err := c.token.get()
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+tok)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "seawall-agent")
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the API server: %w", err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	failed := &Error{Code: resp.StatusCode}
	var status struct {
		Reason  string `json:"reason"`
		Message string `json:"message"`
	}
	if json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&status) == nil {
		failed.Reason, failed.Message = status.Reason, status.Message
	}
	return nil, failed
}
