package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/transport/spdy"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/kube/product"
)

// overWire asks a port in a protocol that is not HTTP. foreign says that the port
// does not speak it.
func (p *prober) overWire(ctx context.Context, port servicePort, protocol *product.Protocol) (r product.Result, foreign bool) {
	pod, number := p.podBehind(port)
	if pod == "" {
		return unknown("%s: no pod is ready behind it", protocol.Name), false
	}
	if ctx.Err() != nil {
		return unknown("the time for probing was up"), false
	}
	r, err := p.greet(ctx, port.service.Namespace, pod, number, protocol)
	switch {
	case errors.Is(err, product.ErrForeign), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return r, true
	case errors.Is(err, product.ErrUntried):
		return unknown("%s: %v", protocol.Name, err), false
	case err != nil:
		return unknown("%s: %s", protocol.Name, describeForward(err)), false
	case r.Verdict != product.Open:
		return r, false
	case protocol.Loopback:
		return unknown("%s lets its own host in without a password; what it asks of others does not show from there", protocol.Name), false
	}
	return p.confirm(ctx, port, protocol, r), false
}

// confirmations is how often is asked whether others are turned away: a
// connection that is closed at once may end before its reason was read.
const confirmations = 3

// confirm asks through the proxy of the API server whether what is open in the
// pod is so for others: the port may be closed to them, and Redis in protected
// mode turns only them away.
func (p *prober) confirm(ctx context.Context, port servicePort, protocol *product.Protocol, r product.Result) product.Result {
	var err error
	for range confirmations {
		_, err = p.get(ctx, port, "http", "/")
		failure, ok := errors.AsType[*proxyError](err)
		switch {
		case err == nil:
			return r
		case !ok || !failure.foreign():
			return notThrough(r, p.whyNot(ctx, err))
		case !protocol.Protected:
			return r
		case failure.denied():
			return product.Result{Verdict: product.Closed, Product: r.Product, Path: r.Path, Reason: "is in protected mode"}
		case !failure.reset():
			return r
		}
	}
	return notThrough(r, "it hangs up")
}

func notThrough(r product.Result, reason string) product.Result {
	out := unknown("%s answers in its pod without authentication; through the Service: %s", r.Product, reason)
	out.Product = r.Product
	return out
}

// denied says that Redis is in protected mode: the API server, whose HTTP is Go's,
// takes "-DENIED Redis is running in protected mode" for the status line of an
// answer, or stumbles over hearing something before it has asked, as Redis never
// speaks first otherwise.
func (e *proxyError) denied() bool {
	return strings.Contains(e.message, "-DENIED") || strings.Contains(e.message, `malformed HTTP status code "Redis"`) ||
		strings.Contains(e.message, "readLoopPeekFailLocked: %!w(<nil>)")
}

// reset says that a connection ended in a way that may have lost an answer.
func (e *proxyError) reset() bool {
	return strings.Contains(e.message, "connection reset") || strings.Contains(e.message, "broken pipe") ||
		strings.Contains(e.message, "server closed") || strings.Contains(e.message, "readLoopPeekFail")
}

// podBehind returns a ready pod that a port of a Service leads to, and the port of
// the pod; empty where there is none.
func (p *prober) podBehind(port servicePort) (pod string, number int64) {
	for _, slice := range p.slicesOf(port.service) {
		for _, sp := range slice.Root.Get("ports").List() {
			n, ok := sp.Get("port").Int()
			if !ok || sp.Get("name").Str() != port.name {
				continue
			}
			for _, e := range slice.Root.Get("endpoints").List() {
				ready, said := e.At("conditions", "ready").Bool()
				ref := e.Get("targetRef")
				if (ready || !said) && ref.Get("kind").Str() == "Pod" && ref.Get("name").Str() != "" {
					return ref.Get("name").Str(), n
				}
			}
		}
	}
	return "", 0
}

func (p *prober) slicesOf(service *cluster.Object) []*cluster.Object {
	type key struct{}
	type name struct{ namespace, service string }
	index := cluster.Derive(p.snap, key{}, func() map[name][]*cluster.Object {
		out := map[name][]*cluster.Object{}
		for _, o := range p.snap.Kind("EndpointSlice") {
			if s := o.Labels()["kubernetes.io/service-name"]; s != "" && o.Group() == "discovery.k8s.io" {
				out[name{o.Namespace, s}] = append(out[name{o.Namespace, s}], o)
			}
		}
		return out
	})
	return index[name{service.Namespace, service.Name}]
}

// greet forwards one connection to a port of a pod and talks over it.
func (p *prober) greet(ctx context.Context, namespace, pod string, port int64, protocol *product.Protocol) (product.Result, error) {
	// Two answers are waited for: that of the API server and that of the pod.
	ctx, cancel := context.WithTimeout(ctx, 2*p.answer)
	defer cancel()
	type outcome struct {
		result product.Result
		err    error
	}
	// SPDY does not heed the context while it is negotiated.
	done := make(chan outcome, 1)
	go func() {
		r, err := p.talk(ctx, namespace, pod, port, protocol)
		done <- outcome{r, err}
	}()
	select {
	case o := <-done:
		if o.err != nil && ctx.Err() != nil {
			return o.result, errNoAnswer
		}
		return o.result, o.err
	case <-ctx.Done():
		return product.Result{}, errNoAnswer
	}
}

func (p *prober) talk(ctx context.Context, namespace, pod string, port int64, protocol *product.Protocol) (product.Result, error) {
	transport, upgrader, err := spdy.RoundTripperFor(p.config)
	if err != nil {
		return product.Result{}, err //nolint:wrapcheck // it is described
	}
	u := p.rest.Post().AbsPath("/api/v1/namespaces", namespace, "pods", pod, "portforward").URL()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), http.NoBody)
	if err != nil {
		return product.Result{}, err //nolint:wrapcheck // it is described
	}
	client := &http.Client{Transport: transport, CheckRedirect: p.http.CheckRedirect}
	conn, _, err := spdy.Negotiate(upgrader, client, req, "portforward.k8s.io")
	if err != nil {
		return product.Result{}, err //nolint:wrapcheck // it is described
	}
	defer conn.Close()                                      //nolint:errcheck // all was said
	defer context.AfterFunc(ctx, func() { conn.Close() })() //nolint:errcheck // it ends what blocks

	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.FormatInt(port, 10))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	failures, err := conn.CreateStream(headers)
	if err != nil {
		return product.Result{}, err //nolint:wrapcheck // it is described
	}
	if err := failures.Close(); err != nil { // nothing is written to it
		return product.Result{}, err //nolint:wrapcheck // it is described
	}
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := conn.CreateStream(headers)
	if err != nil {
		return product.Result{}, err //nolint:wrapcheck // it is described
	}
	r, err := protocol.Greet(data)
	if errors.Is(err, io.EOF) {
		// The kubelet says on the other stream why there was nothing to read.
		if why, _ := io.ReadAll(io.LimitReader(failures, maxMessage)); len(why) > 0 {
			return r, fmt.Errorf("%w: %s", errForward, why)
		}
	}
	return r, err //nolint:wrapcheck // it is told apart and described
}

var errForward = errors.New("the kubelet could not reach the port")

// describeForward says in words of our own why a pod was not asked.
func describeForward(err error) string {
	text := err.Error()
	switch {
	case errors.Is(err, errNoAnswer):
		return errNoAnswer.Error()
	case errors.Is(err, errForward):
		return errForward.Error()
	case strings.Contains(text, "pods/portforward") || strings.Contains(strings.ToLower(text), "forbidden"):
		return "the account may not forward ports: it needs the verb create on pods/portforward"
	}
	return oneLine(text)
}
