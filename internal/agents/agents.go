// Package agents talks to the agents of nodes: to that of this machine over its
// unix socket, to those of a cluster by running `seawall-agent api` in their pods,
// so that the API server's own rules decide who may. No agent listens on a network.
package agents

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"seawall.io/seawall"
)

// SocketPath is where an agent listens on its node.
const SocketPath = "/run/seawall/agent.sock"

// Agent is one agent.
type Agent struct {
	// Node is its node's name; empty for that of this machine.
	Node string
	call func(ctx context.Context, method, path string, body []byte, out io.Writer) error
}

// Local is the agent that listens on a unix socket of this machine.
func Local(socket string) *Agent {
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
	return &Agent{call: func(ctx context.Context, method, path string, body []byte, out io.Writer) error {
		req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, bytes.NewReader(body))
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			var op *net.OpError
			if errors.As(err, &op) && op.Op == "dial" {
				return fmt.Errorf("no agent answers on %s (%w): start seawall-agent, or name a cluster with --context", socket, op.Err)
			}
			return err
		}
		defer resp.Body.Close() //nolint:errcheck // it was read to its end
		if resp.StatusCode >= 300 {
			text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what there is of it is shown
			return refusal(text)
		}
		_, err = io.Copy(out, resp.Body)
		return err
	}}
}

// Remote is the agent of a node whose program run runs: with arguments and standard
// input, until it ends.
func Remote(node string, run func(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) error) *Agent {
	return &Agent{Node: node, call: func(ctx context.Context, method, path string, body []byte, out io.Writer) error {
		var errs bytes.Buffer
		if err := run(ctx, []string{"seawall-agent", "api", method, path}, bytes.NewReader(body), out, &errs); err != nil {
			if errs.Len() > 0 {
				return fmt.Errorf("the agent of node %s: %w", node, refusal(errs.Bytes()))
			}
			return fmt.Errorf("asking the agent of node %s: %w", node, err)
		}
		return nil
	}}
}

// refusal is what an agent says when it does not do what it was asked.
func refusal(text []byte) error {
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(text, &said) == nil && said.Error != "" {
		return errors.New(said.Error)
	}
	return errors.New(strings.TrimSpace(string(text)))
}

// Call makes one request and copies the answer to out. It is what `seawall-agent
// api` does.
func (a *Agent) Call(ctx context.Context, method, path string, body []byte, out io.Writer) error {
	return a.call(ctx, method, path, body, out)
}

// Filter chooses events: those of which every field that is set fits.
type Filter struct {
	Kinds                     []string
	Namespace, Pod, Container string
	Where                     string // CEL, as in checks
}

func (f Filter) query() string {
	q := url.Values{"kind": f.Kinds}
	for name, value := range map[string]string{"namespace": f.Namespace, "pod": f.Pod, "container": f.Container, "where": f.Where} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q.Encode()
}

// Entry is one thing of an agent's spool.
type Entry struct {
	Seq   uint64          `json:"seq"`
	Time  time.Time       `json:"time"`
	Kind  string          `json:"kind"` // alert, incident, act
	ID    string          `json:"id"`
	Value json.RawMessage `json:"value"`
}

// Events follows events until ctx ends.
func (a *Agent) Events(ctx context.Context, f Filter, each func(*seawall.Event) error) error {
	return lines(ctx, a, "/v1/events?"+f.query(), each)
}

// Entries reads alerts, incidents and acts, all kinds where none is named; with
// follow also those to come, until ctx ends.
func (a *Agent) Entries(ctx context.Context, kinds []string, from uint64, follow bool, each func(*Entry) error) error {
	q := url.Values{"kind": kinds, "from": {strconv.FormatUint(from, 10)}}
	if follow {
		q.Set("follow", "1")
	}
	return lines(ctx, a, "/v1/entries?"+q.Encode(), each)
}

// lines decodes a stream of JSON values as they come.
func lines[T any](ctx context.Context, a *Agent, path string, each func(*T) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := a.call(ctx, http.MethodGet, path, nil, w)
		w.CloseWithError(err)
		done <- err
	}()
	dec := json.NewDecoder(r)
	var failed error
	for {
		v := new(T)
		if err := dec.Decode(v); err != nil {
			if !errors.Is(err, io.EOF) {
				failed = err
			}
			break
		}
		if failed = each(v); failed != nil {
			break
		}
	}
	cancel()
	r.CloseWithError(context.Canceled)
	err := <-done
	switch {
	case failed != nil && !errors.Is(failed, context.Canceled):
		return failed
	case errors.Is(err, context.Canceled), errors.Is(err, io.ErrClosedPipe):
		return nil
	}
	return err
}

// ActRequest asks for an act on a pod.
type ActRequest struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	By        string `json:"by"`
	Reason    string `json:"reason"`
	Keep      bool   `json:"keep,omitempty"`
}

// Isolate cuts a pod off and freezes it; Release takes that back; Collect keeps its
// evidence.
func (a *Agent) Isolate(ctx context.Context, q ActRequest) (*seawall.Act, error) {
	return a.act(ctx, "/v1/isolate", q)
}

// Release lets a pod run again.
func (a *Agent) Release(ctx context.Context, q ActRequest) (*seawall.Act, error) {
	return a.act(ctx, "/v1/release", q)
}

// Collect keeps the evidence of a pod on its node; the step names the bundle.
func (a *Agent) Collect(ctx context.Context, q ActRequest) (*seawall.Act, error) {
	return a.act(ctx, "/v1/evidence", q)
}

func (a *Agent) act(ctx context.Context, path string, q ActRequest) (*seawall.Act, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := a.call(ctx, http.MethodPost, path, body, &out); err != nil {
		return nil, err
	}
	var act seawall.Act
	if err := json.Unmarshal(out.Bytes(), &act); err != nil {
		return nil, fmt.Errorf("reading the agent's answer: %w", err)
	}
	return &act, nil
}

// Bundles names the evidence that an agent keeps of a pod, newest first.
func (a *Agent) Bundles(ctx context.Context, namespace, pod string) ([]string, error) {
	var out bytes.Buffer
	q := url.Values{"list": {""}, "namespace": {namespace}, "pod": {pod}}
	if err := a.call(ctx, http.MethodPost, "/v1/evidence?"+q.Encode(), nil, &out); err != nil {
		return nil, err
	}
	var names []string
	return names, json.Unmarshal(out.Bytes(), &names)
}

// Bundle copies one to out.
func (a *Agent) Bundle(ctx context.Context, name string, out io.Writer) error {
	return a.call(ctx, http.MethodPost, "/v1/evidence?"+url.Values{"name": {name}}.Encode(), nil, out)
}

// Status returns what an agent says of itself, as JSON.
func (a *Agent) Status(ctx context.Context) (json.RawMessage, error) {
	var out bytes.Buffer
	err := a.call(ctx, http.MethodGet, "/v1/status", nil, &out)
	return out.Bytes(), err
}
