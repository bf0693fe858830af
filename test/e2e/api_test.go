package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"seawall.io/seawall/internal/document"
)

// api is an API server, asked over plain HTTP: the tests are about what it
// answers, not about a client library.
type api struct {
	http *http.Client
	base string

	mu    sync.Mutex
	kinds map[string]kind // by apiVersion/Kind
}

// kind says where objects of a kind are.
type kind struct {
	resource   string
	namespaced bool
}

func connect(kubeconfig string) (*api, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	client.Timeout = 30 * time.Second
	return &api{http: client, base: strings.TrimSuffix(config.Host, "/")}, nil
}

// answer is what the API server says to a request.
type answer struct {
	code     int
	body     []byte
	warnings []string
}

func (a answer) ok() bool { return a.code/100 == 2 }

// message is the reason of a refusal.
func (a answer) message() string {
	var status struct{ Message string }
	if json.Unmarshal(a.body, &status) != nil || status.Message == "" {
		return string(a.body)
	}
	return status.Message
}

func (a *api) do(ctx context.Context, method, path, contentType string, body []byte) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept", "application/json")
	if strings.HasSuffix(path, discoveryQuery) {
		req.Header.Set("Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
		req.URL.RawQuery = ""
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	out := answer{code: resp.StatusCode, body: text}
	for _, h := range resp.Header.Values("Warning") {
		out.warnings = append(out.warnings, warning(h))
	}
	return out, nil
}

// warning takes the text out of a header: 299 - "text".
func warning(header string) string {
	_, text, _ := strings.Cut(header, `"`)
	text = strings.TrimSuffix(text, `"`)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(text)
}

func (a *api) call(t *testing.T, method, path, contentType string, body []byte) answer {
	t.Helper()
	out, err := a.do(t.Context(), method, path, contentType, body)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// discoveryQuery asks for everything that is served, in one answer.
const discoveryQuery = "?discovery"

// discover learns all kinds again.
func (a *api) discover(t *testing.T) {
	t.Helper()
	kinds := map[string]kind{}
	for _, root := range []string{"/api", "/apis"} {
		out := a.call(t, http.MethodGet, root+discoveryQuery, "", nil)
		var list struct {
			Items []struct {
				Metadata struct{ Name string }
				Versions []struct {
					Version   string
					Resources []struct {
						Resource     string
						Scope        string
						ResponseKind struct{ Kind string }
					}
				}
			}
		}
		if err := json.Unmarshal(out.body, &list); err != nil || !out.ok() {
			t.Fatalf("discovery of %s: %d %v", root, out.code, err)
		}
		for _, g := range list.Items {
			for _, v := range g.Versions {
				for _, r := range v.Resources {
					gv := strings.TrimPrefix(g.Metadata.Name+"/"+v.Version, "/")
					kinds[gv+"/"+r.ResponseKind.Kind] = kind{r.Resource, r.Scope == "Namespaced"}
				}
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kinds = kinds
}

// kindOf returns where objects of a kind are; false where the server has none.
func (a *api) kindOf(t *testing.T, apiVersion, name string) (kind, bool) {
	t.Helper()
	a.mu.Lock()
	known := a.kinds != nil
	a.mu.Unlock()
	if !known {
		a.discover(t)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	k, ok := a.kinds[apiVersion+"/"+name]
	return k, ok
}

// path returns where an object's kind is listed and created.
func (a *api) path(t *testing.T, root *document.Node) (path string, namespace string) {
	t.Helper()
	apiVersion, name := root.Get("apiVersion").Str(), root.Get("kind").Str()
	k, ok := a.kindOf(t, apiVersion, name)
	if !ok {
		t.Fatalf("the API server has no %s %s", apiVersion, name)
	}
	path = "/apis/" + apiVersion
	if !strings.Contains(apiVersion, "/") {
		path = "/api/" + apiVersion
	}
	if k.namespaced {
		if namespace = root.At("metadata", "namespace").Str(); namespace == "" {
			namespace = "default"
		}
		path += "/namespaces/" + namespace
	}
	return path + "/" + k.resource, namespace
}

// create asks to create an object, in earnest or as a dry run.
func (a *api) create(t *testing.T, root *document.Node, dryRun bool) answer {
	t.Helper()
	path, _ := a.path(t, root)
	query := url.Values{"fieldValidation": {"Ignore"}}
	if dryRun {
		query.Set("dryRun", "All")
	}
	return a.call(t, http.MethodPost, path+"?"+query.Encode(), "application/json", root.AppendJSON(nil))
}

// apply creates an object, or changes it to what is given.
func (a *api) apply(t *testing.T, root *document.Node) answer {
	t.Helper()
	path, _ := a.path(t, root)
	path += "/" + url.PathEscape(root.At("metadata", "name").Str()) + "?fieldManager=seawall-e2e&force=true"
	return a.call(t, http.MethodPatch, path, "application/apply-patch+yaml", root.AppendJSON(nil))
}

// mustApply applies all objects of a text. Namespaces are waited for: nothing
// can run in one before it has a service account.
func (a *api) mustApply(t *testing.T, text []byte) {
	t.Helper()
	for _, root := range parse(t, text) {
		out := a.apply(t, root)
		if !out.ok() {
			t.Fatalf("applying %s %s: %s", root.Get("kind").Str(), root.At("metadata", "name").Str(), out.message())
		}
		switch root.Get("kind").Str() {
		case "Namespace":
			a.awaitAccount(t, root.At("metadata", "name").Str())
		case "CustomResourceDefinition":
			a.awaitKind(t, root)
		}
	}
}

// remove deletes an object, also when the test is over.
func (a *api) remove(t *testing.T, root *document.Node) {
	t.Helper()
	path, _ := a.path(t, root)
	out, err := a.do(context.WithoutCancel(t.Context()), http.MethodDelete, path+"/"+url.PathEscape(root.At("metadata", "name").Str()), "", nil)
	if err != nil || !out.ok() {
		t.Errorf("deleting %s: %v %s", path, err, out.message())
	}
}

func (a *api) awaitAccount(t *testing.T, namespace string) {
	t.Helper()
	eventually(t, "namespace "+namespace+" has a service account", func() bool {
		return a.call(t, http.MethodGet, "/api/v1/namespaces/"+namespace+"/serviceaccounts/default", "", nil).ok()
	})
}

// awaitKind waits until the kind of a CustomResourceDefinition is served.
func (a *api) awaitKind(t *testing.T, crd *document.Node) {
	t.Helper()
	spec := crd.Get("spec")
	version := spec.Get("group").Str() + "/" + spec.Get("versions").List()[0].Get("name").Str()
	eventually(t, spec.At("names", "kind").Str()+" is served", func() bool {
		a.discover(t)
		_, ok := a.kindOf(t, version, spec.At("names", "kind").Str())
		return ok && a.call(t, http.MethodGet, "/apis/"+version+"/"+spec.At("names", "plural").Str(), "", nil).ok()
	})
}

// get reads one object.
func (a *api) get(t *testing.T, path string) *document.Node {
	t.Helper()
	out := a.call(t, http.MethodGet, path, "", nil)
	if !out.ok() {
		t.Fatalf("GET %s: %s", path, out.message())
	}
	root, err := document.ParseJSON(out.body, document.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// parse reads the objects of a text.
func parse(t *testing.T, text []byte) []*document.Node {
	t.Helper()
	var out []*document.Node
	for _, d := range document.Parse(text, document.Limits{}) {
		if d.Err != nil {
			t.Fatal(d.Err)
		}
		if d.Root != nil {
			out = append(out, d.Root)
		}
	}
	return out
}

// namespace returns the text of a namespace with labels.
func namespace(name string, labels map[string]string) []byte {
	text, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Namespace",
		"metadata": map[string]any{"name": name, "labels": labels},
	})
	if err != nil {
		panic(fmt.Sprintf("strings do not marshal: %v", err))
	}
	return text
}
