package redact_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/redact"
)

func TestObject(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{
			"data", `{"apiVersion":"v1","kind":"Secret","type":"Opaque","data":{"password":"aHVudGVyMg=="}}`,
			`{"apiVersion":"v1","kind":"Secret","type":"Opaque","data":{"password":"seawall:redacted length=7"}}`,
		},
		{
			"string-data", `{"apiVersion":"v1","kind":"Secret","stringData":{"password":"hunter2","port":5432,"none":null}}`,
			`{"apiVersion":"v1","kind":"Secret","stringData":{"password":"seawall:redacted length=7","port":"seawall:redacted length=4","none":null}}`,
		},
		{
			"data-that-is-no-map", `{"apiVersion":"v1","kind":"Secret","data":["hunter2"],"stringData":"hunter2"}`,
			`{"apiVersion":"v1","kind":"Secret","data":{},"stringData":{}}`,
		},
		{
			"fields-that-no-secret-has", `{"apiVersion":"v1","kind":"Secret","Data":{"p":"hunter2"},"type":{"p":"hunter2"},"spec":"hunter2"}`,
			`{"apiVersion":"v1","kind":"Secret"}`,
		},
		{
			"references", `{"apiVersion":"v1","kind":"X","spec":{"certificateRefs":[{"kind":"Secret","name":"web-tls"}],"to":{"apiVersion":"v1","kind":"Secret","name":"a","fieldPath":"data"}}}`,
			`{"apiVersion":"v1","kind":"X","spec":{"certificateRefs":[{"kind":"Secret","name":"web-tls"}],"to":{"apiVersion":"v1","kind":"Secret","name":"a","fieldPath":"data"}}}`,
		},
		{
			"no-reference", `{"apiVersion":"v1","kind":"X","spec":{"template":{"kind":"Secret","name":"a","data":{"p":"aHVudGVyMg=="}}}}`,
			`{"apiVersion":"v1","kind":"X","spec":{"template":{"kind":"Secret","data":{"p":"seawall:redacted length=7"}}}}`,
		},
		{
			"annotations",
			`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","managedFields":[{"hunter2":1}],"labels":{"l":"hunter2"},"annotations":{` +
				`"kubectl.kubernetes.io/last-applied-configuration":"hunter2","note":"it is hunter2","enc":"aHVudGVyMg==","kept":"yes","long":"` +
				strings.Repeat("x", 300) + `"}},"data":{"p":"aHVudGVyMg=="}}`,
			`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","labels":{"l":"seawall:redacted length=7"},"annotations":{` +
				`"note":"seawall:redacted length=13","enc":"seawall:redacted length=12","kept":"yes","long":"seawall:redacted length=300"}},` +
				`"data":{"p":"seawall:redacted length=7"}}`,
		},
		{
			"already-redacted", `{"apiVersion":"v1","kind":"Secret","data":{"p":"seawall:redacted length=7 hmac=0123456789abcdef"}}`,
			`{"apiVersion":"v1","kind":"Secret","data":{"p":"seawall:redacted length=7 hmac=0123456789abcdef"}}`,
		},
		{
			"almost-a-marker", `{"apiVersion":"v1","kind":"Secret","stringData":{"p":"seawall:redacted length=7 hunter2"}}`,
			`{"apiVersion":"v1","kind":"Secret","stringData":{"p":"seawall:redacted length=33"}}`,
		},
		{
			"in-a-list", `{"apiVersion":"v1","kind":"List","items":[{"kind":"ConfigMap","data":{"a":"b"}},{"apiVersion":"v1","kind":"Secret","stringData":{"p":"hunter2"}}]}`,
			`{"apiVersion":"v1","kind":"List","items":[{"kind":"ConfigMap","data":{"a":"b"}},{"apiVersion":"v1","kind":"Secret","stringData":{"p":"seawall:redacted length=7"}}]}`,
		},
		{
			"in-a-secret-list", `{"apiVersion":"v1","kind":"SecretList","items":[{"data":{"p":"aHVudGVyMg=="}}]}`,
			`{"apiVersion":"v1","kind":"SecretList","items":[{"data":{"p":"seawall:redacted length=7"}}]}`,
		},
		{
			"embedded", `{"apiVersion":"kubernetes.crossplane.io/v1","kind":"Object","spec":{"manifest":{"apiVersion":"v1","kind":"Secret","data":{"p":"aHVudGVyMg=="}}}}`,
			`{"apiVersion":"kubernetes.crossplane.io/v1","kind":"Object","spec":{"manifest":{"apiVersion":"v1","kind":"Secret","data":{"p":"seawall:redacted length=7"}}}}`,
		},
		{
			"kind-of-another-group", `{"apiVersion":"example.com/v1","kind":"Secret","spec":{"path":"a/b"}}`,
			`{"apiVersion":"example.com/v1","kind":"Secret","spec":{"path":"a/b"}}`,
		},
		{
			"applied-copy-of-any-kind",
			`{"apiVersion":"v1","kind":"Pod","metadata":{"managedFields":[],"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}","a":"b"}}}`,
			`{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{"a":"b"}}}`,
		},
		{
			"config-map-stays", `{"apiVersion":"v1","kind":"ConfigMap","data":{"p":"hunter2"}}`,
			`{"apiVersion":"v1","kind":"ConfigMap","data":{"p":"hunter2"}}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := parse(t, tt.in)
			got := string(redact.Redactor{}.Object(root).AppendJSON(nil))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Object (-want +got):\n%s", diff)
			}
			if before := string(root.AppendJSON(nil)); before != tt.in {
				t.Errorf("the tree itself was changed to %s", before)
			}
		})
	}
}

func TestObjectSharesWhatNeedsNoRedaction(t *testing.T) {
	root := parse(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{"a":"b"}},"spec":{"containers":[{"name":"c"}]}}`)
	if got := (redact.Redactor{}).Object(root); got != root {
		t.Error("got a copy of a tree without anything to redact, want the tree")
	}
}

func TestFingerprints(t *testing.T) {
	text := `{"apiVersion":"v1","kind":"Secret","data":{"a":"aHVudGVyMg==","b":"aHVudGVyMw=="},"stringData":{"c":"hunter2"}}`
	mark := func(salt, field, key string) string {
		out := redact.Redactor{Salt: []byte(salt)}.Object(parse(t, text))
		m := out.At(field, key).Str()
		if !redact.IsMarker(m) || !strings.Contains(m, "hmac=") {
			t.Errorf("got %q, want a marker with a fingerprint", m)
		}
		return m
	}
	a := mark("0123456789abcdef", "data", "a")
	if c := mark("0123456789abcdef", "stringData", "c"); a != c {
		t.Errorf("equal values have the markers %q and %q, want the same", a, c)
	}
	if b := mark("0123456789abcdef", "data", "b"); a == b {
		t.Errorf("different values both have the marker %q", a)
	}
	if other := mark("another salt 123", "data", "a"); a == other {
		t.Errorf("different salts both give the marker %q", a)
	}
}

func parse(t *testing.T, text string) *document.Node {
	t.Helper()
	root, err := document.ParseJSON([]byte(text), document.Limits{})
	if err != nil {
		t.Fatalf("reading %s: %v", text, err)
	}
	return root
}
