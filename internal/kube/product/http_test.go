package product

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func answer(status int, body string, headers ...string) *Answer {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &Answer{Status: status, Header: h, Body: []byte(body)}
}

// TestTable holds the table to what the package promises of it.
func TestTable(t *testing.T) {
	names := map[string]bool{}
	for _, p := range products {
		if names[p.name] {
			t.Errorf("%s is there twice", p.name)
		}
		names[p.name] = true
		if !slices.Contains([]Gain{Control, Data, Insight}, p.gain) {
			t.Errorf("%s: gain %q", p.name, p.gain)
		}
		if len(p.questions) == 0 || len(p.questions) >= MaxQuestions {
			t.Errorf("%s has %d questions", p.name, len(p.questions))
		}
		if len(p.ports) == 0 && len(p.names) == 0 && len(p.root) == 0 {
			t.Errorf("%s is never asked", p.name)
		}
		if p.weak && len(p.root) == 0 {
			t.Errorf("%s is weak, and nothing at / shows it", p.name)
		}
		for _, name := range p.names {
			if name != strings.ToLower(name) {
				t.Errorf("%s: name %q is not in lower case", p.name, name)
			}
		}
		for _, q := range p.questions {
			if u, err := url.Parse(q.path); err != nil || !strings.HasPrefix(q.path, "/") || u.Fragment != "" {
				t.Errorf("%s: path %q: %v", p.name, q.path, err)
			}
			if q.evidence == "" {
				t.Errorf("%s: %s has no evidence", p.name, q.path)
			}
			empty := answer(http.StatusOK, "", "Content-Type", "application/json")
			page := answer(http.StatusOK, "<html><title>Shop</title>[]{}</html>", "Content-Type", "text/html")
			if q.open.matches(empty) || q.open.matches(page) {
				t.Errorf("%s: %s takes any page for the product", p.name, q.path)
			}
		}
	}
}

func TestHTTP(t *testing.T) {
	const j = "application/json"
	notFound := answer(http.StatusNotFound, "404 page not found", "Content-Type", "text/plain")
	for _, tt := range []struct {
		name    string
		hint    Hint
		answers map[string]*Answer
		verdict Verdict
		product string
	}{
		{"shown-by-root", Hint{Port: 80}, map[string]*Answer{
			"/":                                  answer(200, `{"tagline" : "You Know, for Search"}`, "Content-Type", j),
			"/_cat/indices?format=json&h=health": answer(200, `[{"health":"green"}]`, "Content-Type", j),
		}, Open, "Elasticsearch"},
		{"root-open-data-closed", Hint{Port: 5984}, map[string]*Answer{
			"/":                 answer(200, `{"couchdb":"Welcome","version":"3.3"}`, "Content-Type", j),
			"/_all_dbs?limit=1": answer(401, `{"error":"unauthorized"}`, "Content-Type", j),
		}, Closed, "CouchDB"},
		{"root-closed-api-open", Hint{Port: 9090}, map[string]*Answer{
			"/":                     answer(401, ""),
			"/api/v1/status/config": answer(200, `{"status":"success","data":{"yaml":"global: {}"}}`, "Content-Type", j),
		}, Open, "Prometheus"},
		{"named", Hint{Port: 80, Service: "my-Consul-server"}, map[string]*Answer{
			"/": notFound, "/v1/agent/self": answer(200, `{"Config":{},"Member":{}}`, "Content-Type", j),
		}, Open, "Consul"},
		{"named-port", Hint{Port: 80, Service: "x", Names: []string{"ray-head"}}, map[string]*Answer{
			"/": notFound, "/api/version": answer(200, `{"ray_version":"2"}`, "Content-Type", j),
		}, Open, "Ray dashboard"},
		{"target-port", Hint{Port: 80, Target: 2379}, map[string]*Answer{
			"/": notFound, "/version": answer(200, `{"etcdserver":"3.5.9","etcdcluster":"3.5.0"}`, "Content-Type", j),
		}, Open, "etcd"},
		{"words-in-a-page", Hint{Port: 2379}, map[string]*Answer{
			"/": notFound, "/version": answer(200, `<p>"etcdserver" "etcdcluster"</p>`, "Content-Type", "text/html"),
		}, Ordinary, ""},
		{"words-in-a-refusal", Hint{Port: 2379}, map[string]*Answer{
			"/": notFound, "/version": answer(500, `{"etcdserver":"","etcdcluster":""}`, "Content-Type", j),
		}, Ordinary, ""},
		{"anything-answers-with-a-list", Hint{Port: 9200}, map[string]*Answer{
			"/": answer(200, "[]", "Content-Type", j), "/_cat/indices?format=json&h=health": answer(200, "[]", "Content-Type", j),
		}, Ordinary, ""},
		{"anonymous-api-server", Hint{Port: 443, Service: "kubernetes"}, map[string]*Answer{
			"/":                          answer(403, `{"kind":"Status","message":"forbidden: User \"system:anonymous\" cannot get path \"/\""}`, "Content-Type", j),
			"/api/v1/namespaces?limit=1": answer(403, `{"kind":"Status"}`, "Content-Type", j),
		}, Closed, "Kubernetes API"},
		{"shop", Hint{Port: 80}, map[string]*Answer{"/": answer(200, "<h1>Sale</h1>", "Content-Type", "text/html")}, Ordinary, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := HTTP(tt.hint, func(path string) (*Answer, error) {
				if a := tt.answers[path]; a != nil {
					return a, nil
				}
				return notFound, nil
			})
			if err != nil || r.Verdict != tt.verdict || r.Product != tt.product {
				t.Errorf("got %+v, %v, want %s %q", r, err, tt.verdict, tt.product)
			}
		})
	}
	down := errors.New("down")
	if _, err := HTTP(Hint{}, func(string) (*Answer, error) { return nil, down }); !errors.Is(err, down) {
		t.Errorf("got %v, want the first question's error", err)
	}
}

// FuzzHTTP answers all questions alike with anything.
func FuzzHTTP(f *testing.F) {
	f.Add(200, "application/json", `{"couchdb":"Welcome"}`, "/login", int64(9200), "elastic")
	f.Add(302, "text/html", `<input type="password">`, "/containers/", int64(80), "")
	f.Fuzz(func(t *testing.T, status int, media, body, location string, port int64, name string) {
		asked := 0
		r, err := HTTP(Hint{Port: port, Service: name}, func(string) (*Answer, error) {
			asked++
			return answer(status, body, "Content-Type", media, "Location", location), nil
		})
		if err != nil || r.Verdict == "" || asked > MaxQuestions {
			t.Errorf("%+v, %v after %d questions", r, err, asked)
		}
		if r.Verdict == Open && status != http.StatusOK {
			t.Errorf("open with status %d", status)
		}
	})
}
