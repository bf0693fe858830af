package kube

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// serviceProxy is an API server of which only the proxy for Services works. It
// proxies as the real one does: the account's credentials come off, TLS is not
// verified, and what cannot be reached is a Status.
type serviceProxy struct {
	backends map[string]string // name:port to the address behind it

	mu     sync.Mutex
	asked  []string // METHOD name:port path
	tokens []string // that came through to a backend
}

func (p *serviceProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.Path, "/api/v1/namespaces/shop/services/")
	target, path, proxied := strings.Cut(rest, "/proxy")
	scheme, port, _ := strings.Cut(target, ":")
	if !ok || !proxied {
		refuse(w, http.StatusNotFound, "NotFound", "the server could not find the requested resource")
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+port+" "+path)
	p.mu.Unlock()
	if strings.HasPrefix(port, "secret:") {
		refuse(w, http.StatusForbidden, "Forbidden", `services "https:secret:" is forbidden: User "ada" cannot get resource "services/proxy" in API group "" in the namespace "shop"`)
		return
	}
	address := p.backends[port]
	if address == "" {
		refuse(w, http.StatusServiceUnavailable, "ServiceUnavailable", `no endpoints available for service "`+target+`"`)
		return
	}
	r.Header.Del("Authorization")
	r.URL.Path = path
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: scheme, Host: address})
	proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
		refuse(w, http.StatusServiceUnavailable, "ServiceUnavailable", "error trying to reach service: "+err.Error())
	}
	proxy.ServeHTTP(w, r)
}

// listen starts a backend that answers by function.
func (p *serviceProxy) listen(t *testing.T, port string, start func(*httptest.Server), answer http.HandlerFunc) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.Header.Get("Authorization"); token != "" {
			p.mu.Lock()
			p.tokens = append(p.tokens, token)
			p.mu.Unlock()
		}
		answer(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	start(server)
	t.Cleanup(server.Close)
	p.backends[port] = server.Listener.Addr().String()
}

// talk starts a backend that says something to whoever connects.
func (p *serviceProxy) talk(t *testing.T, port, says string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, says)
			conn.Read(make([]byte, 4096))
			conn.Close()
		}
	}()
	p.backends[port] = l.Addr().String()
}

// paths answers some paths as JSON, and all others with 404.
func paths(answers map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, ok := answers[r.URL.RequestURI()]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		io.WriteString(w, body)
	}
}

// probed asks Services, given as name:port with an optional name of the port,
// and returns a line for each port.
func (p *serviceProxy) probed(t *testing.T, o ProbeOptions, ports ...string) []string {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	c, err := Connect(Options{Kubeconfig: kubeconfig(t, server.URL, ""), Version: "v0.1.0"})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, port := range ports {
		parts := append(strings.Split(port, ":"), "")
		fmt.Fprintf(&text, "apiVersion: v1\nkind: Service\nmetadata: {name: %s, namespace: shop}\nspec: {ports: [{port: %s, name: %q}]}\n---\n", parts[0], parts[1], parts[2])
	}
	snap := c.Probe(t.Context(), snapshotOf(t, text.String()), o)
	var out []string
	for _, o := range snap.Kind("Probe") {
		if o.Cluster != "lab" || o.Namespace != "shop" {
			t.Errorf("the result is of %s in cluster %q", o.Subject(), o.Cluster)
		}
		for _, a := range o.Root.Get("answers").List() {
			line := []string{o.Name + ":"}
			for _, key := range []string{"verdict", "product", "path", "gain", "reason"} {
				if v := a.Get(key).Str(); v != "" {
					line = append(line, v)
				}
			}
			out = append(out, strings.Join(line, " "))
		}
	}
	return out
}

func snapshotOf(t *testing.T, text string) *cluster.Snapshot {
	t.Helper()
	var objects []*cluster.Object
	for _, d := range document.Parse([]byte(text), document.Limits{}) {
		if d.Err != nil {
			t.Fatal(d.Err)
		}
		if o, ok := cluster.New(d.Root); ok {
			objects = append(objects, o)
		}
	}
	return cluster.NewSnapshot(objects)
}

func plain(s *httptest.Server)   { s.Start() }
func overTLS(s *httptest.Server) { s.StartTLS() }

func mutual(s *httptest.Server) {
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
}

func TestProbe(t *testing.T) {
	p := &serviceProxy{backends: map[string]string{}}
	const searchRoot = `{"name": "a", "tagline": "You Know, for Search"}`
	p.listen(t, "search:9200", plain, paths(map[string]string{"/": searchRoot, "/_cat/indices?format=json&h=health": "[]"}))
	p.listen(t, "guarded:9200", plain, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	p.listen(t, "shop:80", plain, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<h1>Welcome</h1>") })
	p.listen(t, "list:9200", plain, paths(map[string]string{"/": "[]", "/_cat/indices?format=json&h=health": "[]"}))
	p.listen(t, "ray:8265", overTLS, paths(map[string]string{"/": "{}", "/api/version": `{"ray_version": "2.9"}`}))
	p.listen(t, "metrics:9090", plain, paths(map[string]string{"/api/v1/status/config": `{"status":"success","data":{"yaml":""}}`}))
	p.listen(t, "keys:2379", mutual, paths(nil))
	p.listen(t, "graphs:3000", plain, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) })
	p.listen(t, "pages:80", plain, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, `<form><input type="password"></form>`)
	})
	p.listen(t, "half:5984", plain, paths(map[string]string{"/": `{"couchdb":"Welcome"}`}))
	p.talk(t, "speaks:25", "220 mail ready\r\n")
	got := p.probed(t, ProbeOptions{}, "search:9200", "guarded:9200", "shop:80", "list:9200", "ray:8265", "metrics:9090",
		"keys:2379", "graphs:3000", "pages:80", "half:5984", "speaks:25", "secret:80", "empty:80")
	want := []string{
		"empty: unknown no pod is ready behind it",
		"graphs: closed / leads to a login",
		"guarded: closed / answers 401 Unauthorized",
		"half: unknown CouchDB it is CouchDB, and neither serves nor refuses what was asked for",
		"keys: closed asks for a client's certificate",
		"list: ordinary /",
		"metrics: open Prometheus /api/v1/status/config insight",
		"pages: closed / shows a login",
		"ray: open Ray dashboard /api/version control",
		"search: open Elasticsearch /_cat/indices?format=json&h=health data",
		"secret: unknown the account may not ask through the API server: it needs the verb get on services/proxy",
		"shop: ordinary /",
		"speaks: unknown it does not speak HTTP",
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("want (-) and got (+):\n%s", diff)
	}
	for _, asked := range p.asked {
		if !strings.HasPrefix(asked, "GET ") {
			t.Errorf("%s: only GET reads", asked)
		}
	}
	if len(p.tokens) > 0 {
		t.Errorf("a backend saw credentials: %q", p.tokens)
	}
}

// TestProbeFollowsNothing has a Service that sends who asks to another host,
// which would get the token of the kubeconfig.
func TestProbeFollowsNothing(t *testing.T) {
	var visits []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		visits = append(visits, r.URL.Path+" "+r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	p := &serviceProxy{backends: map[string]string{}}
	p.listen(t, "lure:80", plain, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) })
	if got := p.probed(t, ProbeOptions{}, "lure:80"); !slices.Equal(got, []string{"lure: ordinary /"}) {
		t.Errorf("got %q", got)
	}
	if len(visits) > 0 {
		t.Errorf("a redirect was followed: %q", visits)
	}
}

// TestProbeIsBounded holds a probe to few questions for a port, a little of each
// answer, and an end.
func TestProbeIsBounded(t *testing.T) {
	p := &serviceProxy{backends: map[string]string{}}
	p.listen(t, "docker-jupyter-argo-consul-kibana-solr-flink-nats:80", plain, paths(map[string]string{"/": "{}"}))
	p.listen(t, "endless:80", plain, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("a", 4096)); err != nil {
				return
			}
		}
	})
	p.listen(t, "silent:80", plain, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	got := p.probed(t, ProbeOptions{Answer: 200 * time.Millisecond}, "docker-jupyter-argo-consul-kibana-solr-flink-nats:80", "endless:80", "silent:80")
	want := []string{
		"docker-jupyter-argo-consul-kibana-solr-flink-nats: ordinary /",
		"endless: ordinary /", "silent: unknown no answer in time",
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("want (-) and got (+):\n%s", diff)
	}
	n := 0
	for _, asked := range p.asked {
		if strings.Contains(asked, "docker-") {
			n++
		}
	}
	if n != 6 {
		t.Errorf("one port was asked %d times, want 6", n)
	}
	late := p.probed(t, ProbeOptions{Limit: time.Nanosecond}, "endless:80")
	if want := []string{"endless: unknown the time for probing was up"}; !slices.Equal(late, want) {
		t.Errorf("got %q, want %q", late, want)
	}
}

// TestProxyFailure tells what the API server says of itself from what a Service
// says, and what each of its words means. The texts are those of Kubernetes 1.36
// and of Go's HTTP client in it.
func TestProxyFailure(t *testing.T) {
	status := func(message, kind string) string {
		return fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":%q,"details":{"kind":%q},"code":503}`, message, kind)
	}
	for _, tt := range []struct {
		name string
		code int
		body string
		want string
	}{
		{"page", 200, "hello", "answer"},
		{"own-error-page", 500, "<h1>broken</h1>", "answer"},
		{"api-server-behind", 403, status(`forbidden: User \"system:anonymous\" cannot get path \"/\"`, ""), "answer"},
		{"forbidden", 403, status(`services "web" is forbidden: User "ada" cannot get resource "services/proxy"`, "services"), "failure"},
		{"nobody", 503, status(`no endpoints available for service "web"`, ""), "failure"},
		{"tls", 503, status(`error trying to reach service: net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x15\x03\x01\x00\x02\x02P"`, ""), "failure scheme foreign"},
		{"no-tls", 503, status("error trying to reach service: http: server gave HTTP response to HTTPS client", ""), "failure scheme"},
		{"certificate", 503, status("error trying to reach service: remote error: tls: certificate required", ""), "failure certificate"},
		{"another-protocol", 503, status("error trying to reach service: EOF", ""), "failure foreign"},
		{"protected-mode", 503, status(`error trying to reach service: net/http: HTTP/1.x transport connection broken: malformed HTTP status code "Redis"`, ""), "failure foreign denied"},
		{"protected-mode-early", 503, status("error trying to reach service: readLoopPeekFailLocked: %!w(<nil>)", ""), "failure foreign denied reset"},
		{"reset", 503, status("error trying to reach service: read tcp 10.0.0.1:1->10.0.0.2:2: read: connection reset by peer", ""), "failure foreign reset"},
		{"refused", 503, status("error trying to reach service: dial tcp 10.0.0.2:80: connect: connection refused", ""), "failure"},
		{"without-status", 503, "error trying to reach service: EOF", "failure foreign"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := []string{"answer"}
			if e := proxyFailure(tt.code, []byte(tt.body)); e != nil {
				got[0] = "failure"
				for _, is := range []struct {
					word string
					yes  bool
				}{
					{"scheme", e.wrongScheme()},
					{"certificate", e.wantsCertificate()},
					{"foreign", e.foreign()},
					{"denied", e.denied()},
					{"reset", e.reset()},
				} {
					if is.yes {
						got = append(got, is.word)
					}
				}
			}
			if got := strings.Join(got, " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
