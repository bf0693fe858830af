package kube

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeServer speaks as much of the Kubernetes API as reading needs.
type fakeServer struct {
	resources []fakeResource
	// answers take the place of what the server would answer at a path.
	answers map[string]http.HandlerFunc
	// stale are groups (group/version) whose APIService is down.
	stale []string
	// unaggregated makes discovery that of servers before 1.26.
	unaggregated bool
	// pageItems is how many items a page has: 2 by default.
	pageItems int

	mu       sync.Mutex
	requests []string // paths with their queries
	agents   map[string]bool
}

type fakeResource struct {
	resource
	items []string // as the server lists them, without apiVersion and kind
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r.URL.RequestURI())
	if f.agents == nil {
		f.agents = make(map[string]bool)
	}
	f.agents[r.UserAgent()] = true
	f.mu.Unlock()
	if r.Method != http.MethodGet {
		refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", r.Method+" is not reading")
		return
	}
	if answer := f.answers[r.URL.Path]; answer != nil {
		answer(w, r)
		return
	}
	switch parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/"); {
	case r.URL.Path == "/version":
		write(w, map[string]string{"gitVersion": "v1.36.3"})
	case r.URL.Path == "/api" || r.URL.Path == "/apis":
		f.discovery(w, r)
	case parts[0] == "api" && len(parts) == 2:
		f.resourceList(w, "", parts[1])
	case parts[0] == "apis" && len(parts) == 3:
		f.resourceList(w, parts[1], parts[2])
	default:
		f.list(w, r)
	}
}

func (f *fakeServer) list(w http.ResponseWriter, r *http.Request) {
	for _, res := range f.resources {
		dir, rest, _ := strings.Cut(r.URL.Path, "/namespaces/")
		namespace, name, _ := strings.Cut(rest, "/")
		switch {
		case r.URL.Path == res.path(""):
			f.page(w, r, res, res.items)
			return
		case res.namespaced && dir+"/"+name == res.path("") && namespace != "":
			here := fmt.Sprintf("%q:%q", "namespace", namespace)
			items := slices.DeleteFunc(slices.Clone(res.items), func(item string) bool { return !strings.Contains(item, here) })
			f.page(w, r, res, items)
			return
		}
	}
	refuse(w, http.StatusNotFound, "NotFound", "the server could not find the requested resource")
}

func (f *fakeServer) page(w http.ResponseWriter, r *http.Request, res fakeResource, items []string) {
	size := f.pageItems
	if size == 0 {
		size = 2
	}
	start, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	end := min(start+size, len(items))
	next := ""
	if end < len(items) {
		next = strconv.Itoa(end)
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"kind":%q,"apiVersion":%q,"metadata":{"resourceVersion":"7","continue":%q},"items":[%s]}`+"\n",
		res.kind+"List", res.apiVersion(), next, strings.Join(items[start:end], ","))
}

func (f *fakeServer) discovery(w http.ResponseWriter, r *http.Request) {
	core := r.URL.Path == "/api"
	var order []string
	groups := make(map[string][]string) // versions in order
	for _, res := range f.resources {
		if (res.group == "") != core {
			continue
		}
		if groups[res.group] == nil {
			order = append(order, res.group)
		}
		if !slices.Contains(groups[res.group], res.version) {
			groups[res.group] = append(groups[res.group], res.version)
		}
	}
	for _, gv := range f.stale {
		if group, version, _ := strings.Cut(gv, "/"); !core {
			order = append(order, group)
			groups[group] = []string{version}
		}
	}
	switch {
	case f.unaggregated && core:
		write(w, map[string]any{"kind": "APIVersions", "versions": groups[""]})
	case f.unaggregated:
		var list []any
		for _, g := range order {
			var versions []any
			for _, v := range groups[g] {
				versions = append(versions, map[string]string{"groupVersion": g + "/" + v, "version": v})
			}
			list = append(list, map[string]any{"name": g, "versions": versions, "preferredVersion": versions[0]})
		}
		write(w, map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": list})
	default:
		f.aggregated(w, order, groups)
	}
}

func (f *fakeServer) aggregated(w http.ResponseWriter, order []string, groups map[string][]string) {
	var list []any
	for _, g := range order {
		var versions []any
		for _, v := range groups[g] {
			var resources []any
			for _, res := range f.resources {
				if res.group != g || res.version != v {
					continue
				}
				scope := "Cluster"
				if res.namespaced {
					scope = "Namespaced"
				}
				resources = append(resources, map[string]any{
					"resource": res.name, "scope": scope, "verbs": []string{"get", "list"},
					"responseKind": map[string]string{"group": g, "version": v, "kind": res.kind},
					"subresources": []any{map[string]any{"subresource": "status", "verbs": []string{"get"}}},
				})
			}
			freshness := "Current"
			if slices.Contains(f.stale, g+"/"+v) {
				freshness = "Stale"
			}
			resources = append(resources, map[string]any{ // one that cannot be listed
				"resource": "reviews", "scope": "Cluster", "verbs": []string{"create"},
				"responseKind": map[string]string{"group": g, "version": v, "kind": "Review"},
			})
			versions = append(versions, map[string]any{"version": v, "freshness": freshness, "resources": resources})
		}
		list = append(list, map[string]any{"metadata": map[string]string{"name": g}, "versions": versions})
	}
	w.Header().Set("Content-Type", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
	json.NewEncoder(w).Encode(map[string]any{"kind": "APIGroupDiscoveryList", "items": list})
}

func (f *fakeServer) resourceList(w http.ResponseWriter, group, version string) {
	if slices.Contains(f.stale, group+"/"+version) {
		refuse(w, http.StatusServiceUnavailable, "ServiceUnavailable", "the server is currently unable to handle the request")
		return
	}
	resources := []any{map[string]any{"name": "pods/log", "kind": "Pod", "verbs": []string{"get", "list"}}}
	for _, res := range f.resources {
		if res.group == group && res.version == version {
			resources = append(resources, map[string]any{
				"name": res.name, "kind": res.kind, "namespaced": res.namespaced, "verbs": []string{"list"},
			})
		}
	}
	write(w, map[string]any{"kind": "APIResourceList", "resources": resources})
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// refuse answers with a Status, as the API server does.
func refuse(w http.ResponseWriter, code int, why, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]any{
		"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{},
		"status": "Failure", "message": message, "reason": why, "code": code,
	})
}

func forbid(w http.ResponseWriter, _ *http.Request) {
	refuse(w, http.StatusForbidden, "Forbidden", `things is forbidden: User "ada" cannot list it at the cluster scope`)
}

func text(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		fmt.Fprint(w, body)
	}
}

// connect starts the server and returns a client for it.
func (f *fakeServer) connect(t *testing.T) *Client {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	c, err := Connect(Options{Kubeconfig: kubeconfig(t, server.URL, ""), Version: "v0.1.0", Timeout: 5 * time.Second})
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	return c
}

// asked returns the requests for a path, with their queries.
func (f *fakeServer) asked(path string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, r := range f.requests {
		if p, _, _ := strings.Cut(r, "?"); p == path {
			out = append(out, r)
		}
	}
	return out
}

// kubeconfig writes a file with the context lab for a server, and another
// context for nothing. extra is more YAML for the cluster of lab.
func kubeconfig(t *testing.T, server, extra string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: lab
clusters:
- name: lab
  cluster:
    server: %s
%s
users:
- name: ada
  user:
    token: abc
contexts:
- name: lab
  context: {cluster: lab, user: ada, namespace: shop}
- name: other
  context: {cluster: gone, user: ada}
`, server, extra)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
