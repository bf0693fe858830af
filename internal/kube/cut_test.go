package kube

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCut(t *testing.T) {
	c := &cut{}
	c.drop("metadata", "managedFields")
	c.only([]string{"phase", "list"}, "status")
	c.drop("status", "list", "x")
	tests := []struct{ name, in, want string }{
		{"nothing", `{"a":1}`, `{"a":1}`},
		{"no-object", `"metadata"`, `"metadata"`},
		{"first", `{"metadata":{"managedFields":[{"a":"]}\\"}],"name":"a"}}`, `{"metadata":{"name":"a"}}`},
		{"last", `{"metadata":{"name":"a","managedFields":[]},"b":"}"}`, `{"metadata":{"name":"a"},"b":"}"}`},
		{"only-one", `{"metadata":{"managedFields":"\""}}`, `{"metadata":{}}`},
		{"spaces", " { \"metadata\" : { \"managedFields\" : [ 1 , {} ] , \"n\" : null } , \"z\" : [ ] } ", `{"metadata":{"n":null},"z":[ ]}`},
		{"kept-fields", `{"status":{"phase":"Running","conditions":[{}],"other":true}}`, `{"status":{"phase":"Running"}}`},
		{"through-lists", `{"status":{"list":[{"x":1,"y":2},{"y":3},4,[{"x":5}]]}}`, `{"status":{"list":[{"y":2},{"y":3},4,[{}]]}}`},
		{"a-list-where-a-map-is-expected", `{"metadata":[{"managedFields":1,"b":2}]}`, `{"metadata":[{"b":2}]}`},
		{"the-same-name-elsewhere", `{"managedFields":1,"spec":{"managedFields":2}}`, `{"managedFields":1,"spec":{"managedFields":2}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, string(c.apply(nil, []byte(tt.in)))); diff != "" {
				t.Errorf("apply (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzCut holds the cut on text against one on decoded values.
func FuzzCut(f *testing.F) {
	f.Add([]byte(`{"metadata":{"managedFields":[1,"]"],"name":"a\""},"status":{"phase":1,"x":[{"a":{}}]}}`))
	f.Add([]byte(` [ {"metadata" : {"managedFields":{} }} , -1.5e3 ] `))
	c := &cut{}
	c.drop("metadata", "managedFields")
	c.only([]string{"phase"}, "status")
	f.Fuzz(func(t *testing.T, text []byte) {
		if !json.Valid(text) || bytes.Contains(text, []byte(`\`)) {
			return
		}
		var want, got any
		if err := json.Unmarshal(text, &want); err != nil {
			return
		}
		out := c.apply(nil, text)
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("apply(%s) = %s: %v", text, out, err)
		}
		if diff := cmp.Diff(slowCut(want, c), got); diff != "" {
			t.Errorf("apply(%s) (-want +got):\n%s", text, diff)
		}
	})
}

func slowCut(v any, c *cut) any {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			var sub *cut
			if c != nil {
				sub = c.fields[key]
			}
			if (sub != nil && sub.whole) || (c != nil && c.kept != nil && !c.kept[key]) {
				delete(v, key)
			} else {
				v[key] = slowCut(inner, sub)
			}
		}
	case []any:
		for i := range v {
			v[i] = slowCut(v[i], c)
		}
	}
	return v
}
