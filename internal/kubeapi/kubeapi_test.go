package kubeapi

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"seawall.io/seawall"
)

// server answers requests in turn by a function, over TLS.
func server(t *testing.T, f http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewTLSServer(f)
	t.Cleanup(s.Close)
	dir := t.TempDir()
	write(t, dir, "ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	write(t, dir, "token", "t0ken\n")
	c, err := New(s.URL, dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFollow(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	turn := 0
	c := server(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		turn++
		n := turn
		asked = append(asked, r.URL.Query().Get("resourceVersion")+" "+r.URL.Query().Get("fieldSelector")+" "+r.Header.Get("Authorization"))
		mu.Unlock()
		pod := func(name, version string) string {
			return fmt.Sprintf(`{"metadata":{"name":%q,"namespace":"shop","uid":"u-%s","resourceVersion":%q}}`, name, name, version)
		}
		switch n {
		case 1: // the first page of a list
			fmt.Fprintf(w, `{"metadata":{"resourceVersion":"5","continue":"more"},"items":[%s]}`, pod("a", "1"))
		case 2:
			if r.URL.Query().Get("continue") != "more" {
				t.Error("the second page was not asked for")
			}
			fmt.Fprintf(w, `{"metadata":{"resourceVersion":"6"},"items":[%s]}`, pod("b", "2"))
		case 3: // a watch that ends
			fmt.Fprintf(w, `{"type":"ADDED","object":%s}`+"\n", pod("c", "7"))
			fmt.Fprint(w, `{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}`+"\n")
		case 4: // goes on from there, and is too old
			fmt.Fprintf(w, `{"type":"DELETED","object":%s}`+"\n", pod("a", "10"))
			fmt.Fprint(w, `{"type":"ERROR","object":{"code":410,"reason":"Expired","message":"too old"}}`+"\n")
		case 5: // so it is listed anew
			fmt.Fprintf(w, `{"metadata":{"resourceVersion":"20"},"items":[%s]}`, pod("c", "7"))
		default:
			<-r.Context().Done()
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []string
	syncs := 0
	c.FollowPods(ctx, "n1", func(all []*Pod) {
		syncs++
		for _, p := range all {
			got = append(got, "sync "+p.Metadata.Name)
		}
		if syncs == 2 {
			cancel()
		}
	}, func(ch Change[*Pod]) {
		got = append(got, fmt.Sprint(ch.Object.Metadata.Name, " ", ch.Gone))
	}, func(err error) { got = append(got, err.Error()) })
	want := "sync a|sync b|c false|a true|the API server answers 410: too old|sync c"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	mu.Lock()
	defer mu.Unlock()
	if asked[0] != " spec.nodeName=n1 Bearer t0ken" || !strings.HasPrefix(asked[2], "6 ") || !strings.HasPrefix(asked[3], "9 ") {
		t.Errorf("%q", asked)
	}
}

func TestErrors(t *testing.T) {
	answers := map[string]func(http.ResponseWriter){
		"/api/v1/namespaces/n/pods/gone": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"reason":"NotFound","message":"pods \"gone\" not found"}`)
		},
		"/api/v1/namespaces/n/pods/odd":    func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError); fmt.Fprint(w, "<html>") },
		"/api/v1/namespaces/n/pods/broken": func(w http.ResponseWriter) { fmt.Fprint(w, `{"metadata":`) },
		"/apis/networking.k8s.io/v1/namespaces/n/networkpolicies": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, `{"reason":"AlreadyExists"}`)
		},
	}
	c := server(t, func(w http.ResponseWriter, r *http.Request) { answers[r.URL.Path](w) })
	if _, err := c.Pod(t.Context(), "n", "gone"); !IsNotFound(err) || !strings.Contains(err.Error(), "not found") {
		t.Error(err)
	}
	if _, err := c.Pod(t.Context(), "n", "odd"); err == nil || IsNotFound(err) || !strings.Contains(err.Error(), "500") {
		t.Error(err)
	}
	if _, err := c.Pod(t.Context(), "n", "broken"); err == nil || !strings.Contains(err.Error(), "/pods/broken") {
		t.Error(err)
	}
	if err := c.CreateNetworkPolicy(t.Context(), "n", map[string]any{}); err != nil {
		t.Error("a policy that is there already is no error: ", err)
	}
}

func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	if _, err := New("http://api", dir); err == nil || !strings.Contains(err.Error(), "only https") {
		t.Error(err)
	}
	if _, err := New("https://api", dir); err == nil {
		t.Error("without an authority")
	}
	write(t, dir, "ca.crt", "no certificate")
	if _, err := New("https://api", dir); err == nil || !strings.Contains(err.Error(), "holds no certificate") {
		t.Error(err)
	}
	// A server with another authority gets no token.
	c := server(t, func(http.ResponseWriter, *http.Request) {})
	other := server(t, func(http.ResponseWriter, *http.Request) { t.Error("the token was sent to a stranger") })
	c.base = other.base
	c.http.Transport.(*http.Transport).TLSClientConfig.RootCAs = nil
	if _, err := c.Pod(t.Context(), "n", "p"); err == nil {
		t.Error("a stranger was believed")
	}
}

func TestPatchSendsWhatIsMeant(t *testing.T) {
	var body map[string]any
	var kind string
	c := server(t, func(w http.ResponseWriter, r *http.Request) {
		kind = r.Method + " " + r.Header.Get("Content-Type")
		_ = json.NewDecoder(r.Body).Decode(&body)
		fmt.Fprint(w, `{}`)
	})
	if _, err := c.PatchPod(t.Context(), "n", "p", map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": nil}}}); err != nil {
		t.Fatal(err)
	}
	if text, _ := json.Marshal(body); string(text) != `{"metadata":{"labels":{"app":null}}}` || kind != "PATCH application/merge-patch+json" {
		t.Errorf("%s %s", kind, text)
	}
}

func TestWorkload(t *testing.T) {
	for _, test := range []struct {
		owner, hash string
		want        seawall.Workload
	}{
		{`{"kind":"ReplicaSet","name":"web-5d9f","controller":true}`, "5d9f", seawall.Workload{Kind: "Deployment", Name: "web"}},
		{`{"kind":"ReplicaSet","name":"web-5d9f","controller":true}`, "", seawall.Workload{Kind: "ReplicaSet", Name: "web-5d9f"}},
		{`{"kind":"ReplicaSet","name":"web-5d9f","controller":true}`, "other", seawall.Workload{Kind: "ReplicaSet", Name: "web-5d9f"}},
		{`{"kind":"StatefulSet","name":"db","controller":true}`, "", seawall.Workload{Kind: "StatefulSet", Name: "db"}},
		{`{"kind":"Foo","name":"x"}`, "", seawall.Workload{Kind: "Pod", Name: "p"}},
	} {
		var p Pod
		text := fmt.Sprintf(`{"metadata":{"name":"p","labels":{"pod-template-hash":%q},"ownerReferences":[%s]}}`, test.hash, test.owner)
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		if got := p.Workload(); got != test.want {
			t.Errorf("%s: %v, want %v", text, got, test.want)
		}
	}
}
