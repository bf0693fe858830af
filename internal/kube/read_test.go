package kube

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/cluster"
)

func pods(names ...string) fakeResource {
	return fakeResource{resource{"", "v1", "pods", "Pod", true}, namespaced("shop", names...)}
}

func namespaces(names ...string) fakeResource {
	var items []string
	for _, n := range names {
		items = append(items, fmt.Sprintf(`{"metadata":{"name":%q},"status":{"phase":"Active"}}`, n))
	}
	return fakeResource{resource{"", "v1", "namespaces", "Namespace", false}, items}
}

func deployments(items ...string) fakeResource {
	return fakeResource{resource{"apps", "v1", "deployments", "Deployment", true}, items}
}

func namespaced(namespace string, names ...string) []string {
	var items []string
	for _, n := range names {
		items = append(items, fmt.Sprintf(`{"metadata":{"name":%q,"namespace":%q}}`, n, namespace))
	}
	return items
}

func TestRead(t *testing.T) {
	f := &fakeServer{resources: []fakeResource{
		pods("a"), namespaces("shop"),
		deployments(`{"metadata":{"name":"web","namespace":"shop","managedFields":[{"manager":"kubectl"}],` +
			`"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}","a":"b"}},` +
			`"spec":{"replicas":3},"status":{"replicas":3,"conditions":[{}]}}`),
		{resource{"apps", "v1beta1", "deployments", "Deployment", true}, nil},
		{resource{"apps", "v1beta1", "scales", "Scale", true}, namespaced("shop", "old")},
		{resource{"", "v1", "events", "Event", true}, namespaced("shop", "e")},
		{resource{"metrics.k8s.io", "v1beta1", "pods", "PodMetrics", true}, namespaced("shop", "m")},
		{resource{"example.com", "v1", "widgets", "Widget", false}, []string{
			`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w"},"spec":{"a":1},"status":{"b":2}}`,
		}},
		{resource{"", "v1", "secrets", "Secret", true}, []string{
			`{"metadata":{"name":"s","namespace":"shop","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"hunter2"}},` +
				`"data":{"password":"aHVudGVyMg=="},"type":"Opaque"}`,
		}},
	}}
	c := f.connect(t)
	got := read(t, c, ReadOptions{})

	want := []string{
		`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"},"status":{"phase":"Active"}}`,
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"shop"}}`,
		`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"shop","annotations":{}},"data":{"password":"seawall:redacted length=7 hmac=X"},"type":"Opaque"}`,
		`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop","annotations":{"a":"b"}},"spec":{"replicas":3},"status":{"replicas":3}}`,
		`{"apiVersion":"apps/v1beta1","kind":"Scale","metadata":{"name":"old","namespace":"shop"}}`,
		`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w"},"spec":{"a":1}}`,
	}
	if diff := cmp.Diff(want, texts(got.Objects)); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	if got.Version != "v1.36.3" || !got.Whole || len(got.Incomplete) > 0 {
		t.Errorf("got version %q, whole %v, incomplete %v; want v1.36.3, true, none", got.Version, got.Whole, got.Incomplete)
	}
	if o := got.Get("apps", "Deployment", "shop", "web"); o == nil || o.Cluster != "lab" {
		t.Errorf("got %+v, want the deployment of cluster lab", o)
	}
	for _, path := range []string{"/api/v1/events", "/apis/metrics.k8s.io/v1beta1/pods", "/apis/apps/v1beta1/deployments"} {
		if r := f.asked(path); len(r) > 0 {
			t.Errorf("the client asked for %v", r)
		}
	}
	if !f.agents["seawall/v0.1.0"] || len(f.agents) != 1 {
		t.Errorf("user agents %v, want only seawall/v0.1.0", f.agents)
	}
}

func TestReadPages(t *testing.T) {
	f := &fakeServer{resources: []fakeResource{pods("a", "b", "c", "d", "e")}}
	var last Progress
	got := read(t, f.connect(t), ReadOptions{Progress: func(p Progress) { last = p }})
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "e"}, names(got.Objects)); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	want := []string{"/api/v1/pods?limit=500", "/api/v1/pods?continue=2&limit=500", "/api/v1/pods?continue=4&limit=500"}
	if diff := cmp.Diff(want, f.asked("/api/v1/pods")); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Progress{Resource: "pods", Objects: 5, Done: 1, Total: 1}, last); diff != "" {
		t.Errorf("last progress (-want +got):\n%s", diff)
	}
}

func TestReadExpiredToken(t *testing.T) {
	page := func(next string, names ...string) string {
		return fmt.Sprintf(`{"kind":"PodList","apiVersion":"v1","metadata":{"continue":%q},"items":[%s]}`,
			next, strings.Join(namespaced("shop", names...), ","))
	}
	tests := []struct {
		name   string
		token  string // the token that the 410 brings
		always bool   // answer every token with 410
		want   []string
		reason string
	}{
		{"goes-on", "fresh", false, []string{"a", "b", "c"}, ""},
		{"starts-again", "", false, []string{"a", "b", "c"}, ""},
		{"starts-again-only-once", "", true, []string{"a", "b"}, "list pods: after 2 objects: expired: the token is too old"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var expired atomic.Int32
			f := &fakeServer{resources: []fakeResource{pods()}, answers: map[string]http.HandlerFunc{
				"/api/v1/pods": func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					token := r.URL.Query().Get("continue")
					switch {
					case token == "":
						fmt.Fprint(w, page("old", "a", "b"))
					case token == "old" && (tt.always || expired.Add(1) == 1):
						w.WriteHeader(http.StatusGone)
						fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","metadata":{"continue":%q},"status":"Failure",`+
							`"reason":"Expired","message":"the token is too old","code":410}`, tt.token)
					default:
						fmt.Fprint(w, page("", "c"))
					}
				},
			}}
			got := read(t, f.connect(t), ReadOptions{})
			if diff := cmp.Diff(tt.want, names(got.Objects)); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.reason, strings.Join(reasons(got), "\n")); diff != "" {
				t.Errorf("incomplete (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadIncomplete(t *testing.T) {
	var stumbled atomic.Int32
	tests := []struct {
		name   string
		answer http.HandlerFunc // to the list of deployments
		want   string
	}{
		{"forbidden", forbid, `list deployments.apps: forbidden: User "ada" cannot list it at the cluster scope`},
		{"missing", func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, http.StatusNotFound, "NotFound", "the server could not find the requested resource")
		}, "list deployments.apps: not found: the server could not find the requested resource"},
		{"no-list-allowed", func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "the server does not allow this method on the requested resource")
		}, "list deployments.apps: the server does not allow this method on the requested resource"},
		{"timed-out", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "list deployments.apps: timed out"},
		{"timed-out-midway", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"kind":"DeploymentList","items":[`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "list deployments.apps: timed out"},
		{"html", text("text/html", "<html>please sign in</html>"), "list deployments.apps: malformed answer: invalid character '<' looking for beginning of value"},
		{"no-list", text("application/json", `{"kind":"Status","status":"Success"}`), `list deployments.apps: malformed answer: the answer is a "Status" without items`},
		{"items-no-list", text("application/json", `{"items":{}}`), "list deployments.apps: malformed answer: items is no list"},
		{"array", text("application/json", `[]`), "list deployments.apps: malformed answer: [ where { should stand"},
		{"truncated", text("application/json", `{"kind":"DeploymentList","items":[{"metadata":{"na`), "list deployments.apps: malformed answer: unexpected EOF"},
		{
			"one-bad-item", text("application/json", `{"kind":"DeploymentList","items":[{"metadata":{"name":"web","name":"x"}},5]}`),
			`list deployments.apps: an item could not be read: line 1: ` + "\n" + `list deployments.apps: an item could not be read: an item is no object`,
		},
		{
			"token-without-end", text("application/json", `{"metadata":{"continue":"x"},"items":[]}`),
			"list deployments.apps: malformed answer: the server repeats its continue token",
		},
		{"server-error", func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, http.StatusInternalServerError, "InternalError", "etcdserver: no leader")
		}, "list deployments.apps: etcdserver: no leader"},
		{"server-stumbles", func(w http.ResponseWriter, _ *http.Request) {
			if stumbled.Add(1) == 1 {
				refuse(w, http.StatusInternalServerError, "InternalError", "etcdserver: leader changed")
				return
			}
			fmt.Fprint(w, `{"items":null}`)
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := &fakeServer{
				resources: []fakeResource{pods("a"), deployments()},
				answers: map[string]http.HandlerFunc{
					"/apis/apps/v1/deployments":                 tt.answer,
					"/apis/apps/v1/namespaces/shop/deployments": forbid,
				},
			}
			c := f.connect(t)
			c.timeout = 300 * time.Millisecond
			got := read(t, c, ReadOptions{})
			if diff := cmp.Diff([]string{"a"}, names(got.Objects)); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			all := strings.Join(reasons(got), "\n")
			if i := strings.Index(all, "line 1: "); i >= 0 { // the parser's own words
				end := i + strings.Index(all[i:], "\n")
				all = all[:i+len("line 1: ")] + all[end:]
			}
			if diff := cmp.Diff(tt.want, all); diff != "" {
				t.Errorf("incomplete (-want +got):\n%s", diff)
			}
			if whole := tt.want == ""; got.Whole != whole {
				t.Errorf("whole is %v, want %v", got.Whole, whole)
			}
		})
	}
}

func TestReadDiscovery(t *testing.T) {
	for _, unaggregated := range []bool{false, true} {
		t.Run(fmt.Sprintf("unaggregated=%v", unaggregated), func(t *testing.T) {
			f := &fakeServer{
				resources:    []fakeResource{pods("a"), deployments(namespaced("shop", "web")...)},
				stale:        []string{"down.example.com/v1", "metrics.k8s.io/v1beta1"},
				unaggregated: unaggregated,
			}
			got := read(t, f.connect(t), ReadOptions{})
			if diff := cmp.Diff([]string{"a", "web"}, names(got.Objects)); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			want := "discover down.example.com/v1: the server behind this APIService does not answer: `kubectl get apiservices` says why"
			if unaggregated {
				want = "discover down.example.com/v1: the server is currently unable to handle the request"
			}
			if diff := cmp.Diff([]string{want}, reasons(got)); diff != "" {
				t.Errorf("incomplete (-want +got):\n%s", diff)
			}
			if got.Whole {
				t.Error("whole is true, want false")
			}
		})
	}
}

func TestReadNamespace(t *testing.T) {
	shop := func() *fakeServer {
		return &fakeServer{
			resources: []fakeResource{
				namespaces("shop", "bank"), deployments(append(namespaced("shop", "web"), namespaced("bank", "vault")...)...),
				{resource{"rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", false}, []string{`{"metadata":{"name":"view"}}`}},
			},
			answers: make(map[string]http.HandlerFunc),
		}
	}
	t.Run("one", func(t *testing.T) {
		f := shop()
		got := read(t, f.connect(t), ReadOptions{Namespace: "shop"})
		if diff := cmp.Diff([]string{"bank", "shop", "web", "view"}, names(got.Objects)); diff != "" {
			t.Errorf("objects (-want +got):\n%s", diff)
		}
		if got.Whole || len(got.Incomplete) > 0 {
			t.Errorf("whole %v, incomplete %v; want false and none", got.Whole, got.Incomplete)
		}
		if r := f.asked("/apis/apps/v1/deployments"); len(r) > 0 {
			t.Errorf("the client asked for %v", r)
		}
	})
	t.Run("refused", func(t *testing.T) {
		f := shop()
		f.answers["/apis/apps/v1/namespaces/shop/deployments"] = forbid
		f.answers["/api/v1/namespaces"] = forbid
		f.answers["/api/v1/namespaces/shop"] = text("application/json", `{"metadata":{"name":"shop"},"status":{"phase":"Active","x":1}}`)
		got := read(t, f.connect(t), ReadOptions{Namespace: "shop"})
		if diff := cmp.Diff([]string{"shop", "view"}, names(got.Objects)); diff != "" {
			t.Errorf("objects (-want +got):\n%s", diff)
		}
		want := []string{
			`list namespaces but shop: forbidden: User "ada" cannot list it at the cluster scope`,
			`list deployments.apps in namespace shop: forbidden: User "ada" cannot list it at the cluster scope`,
		}
		if diff := cmp.Diff(want, reasons(got)); diff != "" {
			t.Errorf("incomplete (-want +got):\n%s", diff)
		}
	})
	for _, listed := range []bool{true, false} {
		t.Run(fmt.Sprintf("unknown-listed=%v", listed), func(t *testing.T) {
			f := shop()
			if !listed {
				f.answers["/api/v1/namespaces"] = forbid
			}
			_, err := f.connect(t).Read(t.Context(), ReadOptions{Namespace: "shpo"})
			wantError(t, err, `cluster lab has no namespace "shpo": check --namespace`)
		})
	}
}

func TestReadByNamespaceWhereTheClusterIsRefused(t *testing.T) {
	resources := []fakeResource{
		namespaces("bank", "shop", "shut"),
		deployments(append(namespaced("shop", "web"), namespaced("bank", "vault")...)...),
	}
	const refusal = `forbidden: User "ada" cannot list it at the cluster scope`
	tests := []struct {
		name   string
		forbid []string
		want   []string
		reason string
	}{
		{"all", nil, []string{"bank", "shop", "shut", "vault", "web"}, ""},
		{
			"some",
			[]string{"/apis/apps/v1/namespaces/shut/deployments", "/apis/apps/v1/namespaces/bank/deployments"},
			[]string{"bank", "shop", "shut", "web"},
			"list deployments.apps in 2 of 3 namespaces (bank, shut): " + refusal,
		},
		{
			"namespaces-unknown",
			[]string{"/api/v1/namespaces"},
			[]string{"web"},
			"list namespaces: " + refusal + "\nlist deployments.apps outside of namespace shop: " + refusal,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeServer{resources: resources, answers: map[string]http.HandlerFunc{"/apis/apps/v1/deployments": forbid}}
			for _, path := range tt.forbid {
				f.answers[path] = forbid
			}
			got := read(t, f.connect(t), ReadOptions{})
			if diff := cmp.Diff(tt.want, names(got.Objects)); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.reason, strings.Join(reasons(got), "\n")); diff != "" {
				t.Errorf("incomplete (-want +got):\n%s", diff)
			}
			if whole := tt.reason == ""; got.Whole != whole {
				t.Errorf("whole is %v, want %v", got.Whole, whole)
			}
		})
	}
}

func TestReadByNamespaceIsBounded(t *testing.T) {
	var spaces, items []string
	for i := range maxNamespaceLists + 10 {
		ns := fmt.Sprintf("ns-%04d", i)
		spaces, items = append(spaces, ns), append(items, namespaced(ns, "web")...)
	}
	f := &fakeServer{
		resources: []fakeResource{namespaces(spaces...), deployments(items...)}, pageItems: 10_000,
		answers: map[string]http.HandlerFunc{"/apis/apps/v1/deployments": forbid},
	}
	c := f.connect(t)
	unthrottled(t, c)
	got := read(t, c, ReadOptions{})
	if n := len(got.Kind("Deployment")); n != maxNamespaceLists {
		t.Errorf("read %d deployments, want %d", n, maxNamespaceLists)
	}
	if r := reasons(got); len(r) != 1 || !strings.Contains(r[0], "list deployments.apps in 10 more namespaces: not tried") {
		t.Errorf("incomplete %q, want the 10 namespaces that were not tried", r)
	}
}

func TestReadSilentServer(t *testing.T) {
	f := &fakeServer{answers: make(map[string]http.HandlerFunc)}
	for i := range 40 {
		r := resource{"example.com", "v1", fmt.Sprintf("widgets%02d", i), "Widget", false}
		f.resources = append(f.resources, fakeResource{resource: r})
		f.answers[r.path("")] = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	}
	f.resources = append(f.resources, pods("a"))
	c := f.connect(t)
	c.timeout = 200 * time.Millisecond
	got := read(t, c, ReadOptions{})
	untried := 0
	for _, r := range reasons(got) {
		if strings.Contains(r, "not tried: the server has stopped answering") {
			untried++
		}
	}
	if len(got.Incomplete) != 40 || untried < 30 {
		t.Errorf("%d lists incomplete, %d of them not tried; want 40, at least 30", len(got.Incomplete), untried)
	}
}

func TestReadNothing(t *testing.T) {
	forbidAll := map[string]http.HandlerFunc{"/api/v1/pods": forbid, "/api/v1/namespaces/shop/pods": forbid}
	unauthorized := func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusUnauthorized, "Unauthorized", "Unauthorized")
	}
	tests := []struct {
		name    string
		answers map[string]http.HandlerFunc
		want    string
	}{
		{"refused", forbidAll, "forbidden: User \"ada\" cannot list it at the cluster scope: the account may not read anything: bind it"},
		{"expired", map[string]http.HandlerFunc{"/version": unauthorized}, "unauthorized: Unauthorized: the credentials were refused, a token or certificate may have expired: sign in again"},
		{"silent", map[string]http.HandlerFunc{"/version": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }}, "timed out: the server does not answer: connect to its network"},
		{"a-web-page", map[string]http.HandlerFunc{"/version": text("text/html", "<html>")}, "this is no Kubernetes API server"},
		{"discovery-refused", map[string]http.HandlerFunc{"/version": forbid, "/api": forbid, "/apis": forbid}, "the account may not read anything"},
		{"serves-nothing", map[string]http.HandlerFunc{"/api": text("application/json", `{"versions":["v2"]}`), "/apis": text("application/json", `{"groups":[]}`)}, "serves no resources that can be listed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeServer{resources: []fakeResource{pods("a")}, answers: tt.answers}
			c := f.connect(t)
			c.timeout = 300 * time.Millisecond
			_, err := c.Read(t.Context(), ReadOptions{})
			wantError(t, err, "reading cluster lab at http://", tt.want)
		})
	}
}

func TestReadCannotConnect(t *testing.T) {
	tls := httptest.NewTLSServer(&fakeServer{})
	defer tls.Close()
	plain := httptest.NewServer(&fakeServer{})
	defer plain.Close()
	gone := httptest.NewServer(&fakeServer{})
	gone.Close()
	tests := []struct{ name, server, extra, want string }{
		{"refused", gone.URL, "", "nothing listens there: start the cluster"},
		{"unknown-authority", tls.URL, "", "the kubeconfig has another certificate authority than the server"},
		{"no-tls", strings.Replace(plain.URL, "http:", "https:", 1), "", "correct the server address"},
		{"unknown-name", "http://seawall.invalid", "", "the server's name is not known"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Connect(Options{Kubeconfig: kubeconfig(t, tt.server, tt.extra), Timeout: 5 * time.Second})
			if err != nil {
				t.Fatalf("connecting: %v", err)
			}
			_, err = c.Read(t.Context(), ReadOptions{})
			wantError(t, err, "reading cluster lab at", tt.want)
		})
	}
}

func TestReadCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := &fakeServer{resources: []fakeResource{pods("a"), deployments()}, answers: map[string]http.HandlerFunc{
		"/api/v1/pods": func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		},
	}}
	_, err := f.connect(t).Read(ctx, ReadOptions{})
	wantError(t, err, "reading cluster lab: context canceled")
}

func read(t *testing.T, c *Client, o ReadOptions) *cluster.Snapshot {
	t.Helper()
	s, err := c.Read(t.Context(), o)
	if err != nil {
		t.Fatalf("reading: %v", err)
	}
	return s
}

func reasons(s *cluster.Snapshot) []string {
	var out []string
	for _, i := range s.Incomplete {
		out = append(out, i.Reason)
	}
	return out
}

func names(objects []*cluster.Object) []string {
	var out []string
	for _, o := range objects {
		out = append(out, o.Name)
	}
	return out
}

// texts returns objects as JSON, with X for fingerprints.
func texts(objects []*cluster.Object) []string {
	var out []string
	for _, o := range objects {
		text := string(o.Root.AppendJSON(nil))
		if i := strings.Index(text, "hmac="); i >= 0 {
			text = text[:i+5] + "X" + text[i+5+16:]
		}
		out = append(out, text)
	}
	return out
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want one with %q", parts)
	}
	if i := slices.IndexFunc(parts, func(p string) bool { return !strings.Contains(err.Error(), p) }); i >= 0 {
		t.Errorf("got error %q, want one with %q", err, parts[i])
	}
}
