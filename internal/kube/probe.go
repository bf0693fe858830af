package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/kube/product"
)

// ProbeOptions bound a probe. The zero value has limits that suit most clusters.
type ProbeOptions struct {
	// Limit is how long all of it may take: 5 minutes by default. Ports that it
	// leaves out are unknown, and say so.
	Limit time.Duration
	// Answer is how long one answer may take: 2 seconds by default.
	Answer time.Duration
	// Progress, when set, is told how many Services were asked. It is called by one
	// goroutine at a time and must not block.
	Progress func(done, total int)
}

const (
	defaultProbeLimit  = 5 * time.Minute
	defaultAnswerLimit = 2 * time.Second
	// probers is how many ports are asked at a time.
	probers = 4
	// maxAnswer bounds, in bytes, what is read of one answer.
	maxAnswer = 64 << 10

	// probeVersion and probeKind are what a result is as an object.
	probeVersion = "seawall.io/v1"
	probeKind    = "Probe"
)

// Probe asks the ports of all Services of a snapshot whether a known product
// answers there without authentication (package product has the questions), and
// returns the snapshot with an object of the kind Probe for each Service.
//
// HTTP goes through the API server's own proxy for Services, so that the way
// into the network of the pods is the server's, not that of this machine: the
// account needs the verb get on services/proxy. The API server takes the account's
// credentials off before it passes a request on. Redirects are never followed:
// whoever answers could send the credentials elsewhere.
//
// A port whose number or name suggests a protocol that is not HTTP is reached by a
// port-forward to a ready pod behind the Service: verb create on pods/portforward.
// No port is opened on this machine. To the pod the probe then seems to come from
// its own host, which is not what others see; so what answers there counts as open
// only where the port answers through the proxy, too, and not at all for products
// that trust their own host ([product.Protocol]).
//
// What is not told is Unknown with the reason: no answer, no right to ask, another
// protocol. Neither way leads to anything but pods: Services in front of nodes or
// of hosts outside are Unknown. Not asked are the API server's own Service,
// Services without ports, and those of type ExternalName, which lead out of the
// cluster.
func (c *Client) Probe(ctx context.Context, snap *cluster.Snapshot, o ProbeOptions) *cluster.Snapshot {
	ctx = klog.NewContext(ctx, klog.Logger{})
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(max(o.Limit, 0), defaultProbeLimit))
	defer cancel()
	p := prober{
		Client: c, snap: snap, answer: cmp.Or(max(o.Answer, 0), defaultAnswerLimit), progress: o.Progress,
		http: &http.Client{
			Transport:     c.rest.Client.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	objects := append(slices.Clone(snap.Objects), p.all(ctx)...)
	sortObjects(objects)
	out := cluster.NewSnapshot(objects)
	out.Version, out.Whole, out.Beside, out.Incomplete = snap.Version, snap.Whole, snap.Beside, snap.Incomplete
	return out
}

// prober is one Probe.
type prober struct {
	*Client
	snap     *cluster.Snapshot
	answer   time.Duration
	http     *http.Client
	progress func(done, total int)

	mu   sync.Mutex // of done
	done int
}

// all asks every Service and returns what came of it.
func (p *prober) all(ctx context.Context) []*cluster.Object {
	var services []*cluster.Object
	for _, o := range p.snap.Kind("Service") {
		spec := o.Root.Get("spec")
		itself := o.Namespace == "default" && o.Name == "kubernetes"
		if o.Group() == "" && !itself && spec.Get("type").Str() != "ExternalName" && spec.Get("ports").Len() > 0 {
			services = append(services, o)
		}
	}
	out := make([]*cluster.Object, len(services))
	var group errgroup.Group
	group.SetLimit(probers)
	for i, o := range services {
		group.Go(func() error {
			out[i] = p.service(ctx, o)
			p.tell(len(services))
			return nil
		})
	}
	group.Wait() //nolint:errcheck // what went wrong is in the results
	return out
}

func (p *prober) tell(total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if p.progress != nil {
		p.progress(p.done, total)
	}
}

// service asks the ports of one Service, one after the other.
func (p *prober) service(ctx context.Context, o *cluster.Object) *cluster.Object {
	var answers []*document.Node
	for _, port := range servicePorts(o) {
		answers = append(answers, resultNode(port, p.port(ctx, port)))
	}
	text := func(s string) *document.Node { return document.NewString(document.Pos{}, s) }
	root := document.NewMap(document.Pos{}, []document.Field{
		{Key: "apiVersion", Value: text(probeVersion)},
		{Key: "kind", Value: text(probeKind)},
		{Key: "metadata", Value: document.NewMap(document.Pos{}, []document.Field{
			{Key: "name", Value: text(o.Name)}, {Key: "namespace", Value: text(o.Namespace)},
		})},
		{Key: "answers", Value: document.NewList(document.Pos{}, answers)},
	})
	out, _ := cluster.New(root)
	out.Cluster = p.name
	return out
}

// servicePort is one port of a Service.
type servicePort struct {
	service  *cluster.Object
	number   int64
	name     string
	protocol string
	hint     product.Hint
	// tls says that names or numbers speak for TLS.
	tls bool
}

func servicePorts(o *cluster.Object) []servicePort {
	var out []servicePort
	for _, n := range o.Root.At("spec", "ports").List() {
		number, _ := n.Get("port").Int()
		target, _ := n.Get("targetPort").Int()
		name, app := n.Get("name").Str(), n.Get("appProtocol").Str()
		named := strings.Contains(name, "https") || strings.Contains(app, "https") || strings.HasPrefix(n.Get("targetPort").Str(), "https")
		out = append(out, servicePort{
			service: o, number: number, name: name, protocol: cmp.Or(n.Get("protocol").Str(), "TCP"),
			hint: product.Hint{Port: number, Target: target, Service: o.Name, Names: []string{name, app}},
			tls:  named || slices.Contains([]int64{443, 6443, 8443, 9443, 10250}, number),
		})
	}
	return out
}

// port asks one port.
func (p *prober) port(ctx context.Context, port servicePort) product.Result {
	if port.protocol != "TCP" {
		return unknown("%s is not asked", port.protocol)
	}
	if protocol := product.Suggested(port.hint); protocol != nil {
		if r, foreign := p.overWire(ctx, port, protocol); !foreign {
			return r
		}
	}
	r, err := p.overHTTP(ctx, port)
	if failure, ok := errors.AsType[*proxyError](err); ok && failure.wantsCertificate() {
		return product.Result{Verdict: product.Closed, Reason: "asks for a client's certificate"}
	}
	if err != nil {
		return unknown("%s", p.whyNot(ctx, err))
	}
	return r
}

func unknown(format string, args ...any) product.Result {
	return product.Result{Verdict: product.Unknown, Reason: fmt.Sprintf(format, args...)}
}

// overHTTP asks a port by HTTP, with or without TLS, and the other way where the
// first one is shown to be wrong.
func (p *prober) overHTTP(ctx context.Context, port servicePort) (product.Result, error) {
	scheme, other := "http", "https"
	if port.tls {
		scheme, other = other, scheme
	}
	r, err := p.overScheme(ctx, port, scheme)
	if failure, ok := errors.AsType[*proxyError](err); ok && failure.wrongScheme() {
		return p.overScheme(ctx, port, other)
	}
	return r, err
}

func (p *prober) overScheme(ctx context.Context, port servicePort, scheme string) (product.Result, error) {
	return product.HTTP(port.hint, func(path string) (*product.Answer, error) { //nolint:wrapcheck // its only error is ours
		a, err := p.get(ctx, port, scheme, path)
		if err == nil && scheme == "http" && a.Status == http.StatusBadRequest && strings.Contains(strings.ToLower(string(a.Body)), "https") {
			return nil, &proxyError{message: plainToTLS}
		}
		return a, err
	})
}

// plainToTLS stands for the words with which servers refuse HTTP where they
// speak TLS (Go: "Client sent an HTTP request to an HTTPS server", nginx: "The
// plain HTTP request was sent to HTTPS port").
const plainToTLS = "HTTP was sent to a port that speaks TLS"

// get asks for one path through the API server's proxy.
func (p *prober) get(ctx context.Context, port servicePort, scheme, path string) (*product.Answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err //nolint:wrapcheck // it is described
	}
	asking, cancel := context.WithTimeout(ctx, p.answer)
	defer cancel()
	path, query, _ := strings.Cut(path, "?")
	u := p.rest.Get().AbsPath("/api/v1/namespaces", port.service.Namespace, "services",
		fmt.Sprintf("%s:%s:%d", scheme, port.service.Name, port.number), "proxy").URL()
	u.Path += path
	u.RawQuery = query
	req, err := http.NewRequestWithContext(asking, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, err //nolint:wrapcheck // it is described
	}
	req.Header.Set("Accept", "*/*")
	resp, err := p.http.Do(req)
	if err != nil {
		return nil, p.lateOr(ctx, err)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	// What came before a limit of bytes or time is enough to tell by.
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil && len(body) == 0 {
		return nil, p.lateOr(ctx, err)
	}
	if failure := proxyFailure(resp.StatusCode, body); failure != nil {
		return nil, failure
	}
	return &product.Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// errNoAnswer is a port that is silent, as one that another protocol is spoken on
// or that a NetworkPolicy closes to the API server.
var errNoAnswer = errors.New("no answer in time")

// lateOr tells the end of one question from that of all.
func (p *prober) lateOr(ctx context.Context, err error) error {
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return errNoAnswer
	}
	return err
}

// proxyError is an answer of the API server itself, in place of the Service's.
type proxyError struct {
	code    int
	message string
}

func (e *proxyError) Error() string { return e.message }

// reach begins what the API server says when the Service did not answer it.
const reach = "error trying to reach service: "

// proxyFailure tells the API server's own words from those of a Service, nil for
// the latter. A Service that forges the former is unknown, which is no pass.
func proxyFailure(code int, body []byte) *proxyError {
	if code < http.StatusBadRequest {
		return nil
	}
	text := strings.TrimSpace(string(body))
	if why, ok := strings.CutPrefix(text, reach); ok { // servers before 1.20 say it without a Status
		return &proxyError{code, why}
	}
	var status struct {
		Kind, Message string
		Details       struct{ Kind string }
	}
	if json.Unmarshal(body, &status) != nil || status.Kind != "Status" {
		return nil
	}
	why, unreached := strings.CutPrefix(status.Message, reach)
	switch {
	case unreached:
	case status.Details.Kind == "services",
		strings.Contains(status.Message, "services/proxy"),
		strings.HasPrefix(status.Message, "no endpoints available for service"),
		strings.HasPrefix(status.Message, "no service port"),
		strings.HasPrefix(status.Message, "address not allowed"),
		code == http.StatusUnauthorized && status.Message == "Unauthorized",
		code == http.StatusTooManyRequests:
	default:
		return nil
	}
	return &proxyError{code, why}
}

func (e *proxyError) wrongScheme() bool {
	return e.message == plainToTLS ||
		strings.Contains(e.message, "server gave HTTP response to HTTPS client") ||
		strings.Contains(e.message, "first record does not look like a TLS handshake") ||
		strings.Contains(e.message, "malformed HTTP response \"\\x15\\x03")
}

// wantsCertificate says that a server asked for a certificate of the client and
// ended the handshake without one: it does ask who is there.
func (e *proxyError) wantsCertificate() bool {
	return strings.Contains(e.message, "remote error: tls: bad certificate") ||
		strings.Contains(e.message, "remote error: tls: certificate required") ||
		strings.Contains(e.message, "remote error: tls: handshake failure")
}

// foreign says that something answered, and not by HTTP.
func (e *proxyError) foreign() bool {
	return strings.Contains(e.message, "malformed HTTP") || strings.HasSuffix(e.message, "EOF") || e.reset()
}

// whyNot says in words of our own why a port gave no answer.
func (p *prober) whyNot(ctx context.Context, err error) string {
	var failure *proxyError
	switch {
	case ctx.Err() != nil:
		return "the time for probing was up"
	case !errors.As(err, &failure):
		if urlErr, ok := errors.AsType[*url.Error](err); ok {
			err = urlErr.Err // without the address
		}
		return oneLine(err.Error())
	case failure.code == http.StatusForbidden:
		return "the account may not ask through the API server: it needs the verb get on services/proxy"
	case failure.code == http.StatusUnauthorized:
		return "the API server refused the credentials"
	case strings.HasPrefix(failure.message, "no endpoints available"):
		return "no pod is ready behind it"
	case failure.foreign():
		return "it does not speak HTTP"
	case strings.Contains(failure.message, "connection refused"):
		return "nothing listens there"
	}
	return "the API server could not reach it: " + oneLine(failure.message)
}

// resultNode writes a result as part of an object.
func resultNode(port servicePort, r product.Result) *document.Node {
	fields := []document.Field{
		{Key: "port", Value: document.NewInt(document.Pos{}, port.number)},
		{Key: "protocol", Value: document.NewString(document.Pos{}, port.protocol)},
	}
	for _, f := range [...]struct{ key, value string }{
		{"verdict", string(r.Verdict)},
		{"product", r.Product},
		{"path", r.Path},
		{"gain", string(r.Gain)},
		{"evidence", r.Evidence},
		{"reason", r.Reason},
	} {
		if f.value != "" {
			fields = append(fields, document.Field{Key: f.key, Value: document.NewString(document.Pos{}, f.value)})
		}
	}
	return document.NewMap(document.Pos{}, fields)
}
