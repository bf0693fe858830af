//go:build bootstrap

package rbac

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

var (
	kubernetes = flag.String("kubernetes", "", "source tree of k8s.io/kubernetes at DefaultsVersion, to compare bootstrap.jsonl with")
	update     = flag.Bool("update", false, "with -kubernetes: write bootstrap.jsonl")
)

const bootstrapHead = `# The RBAC objects that Kubernetes ` + DefaultsVersion + ` itself makes at start, one a line, without
# the label kubernetes.io/bootstrapping that all of them carry. Feature gates stand
# at their defaults. Made by
#   go test -tags bootstrap ./internal/rbac -run TestBootstrap -kubernetes DIR -update
# from plugin/pkg/auth/authorizer/rbac/bootstrappolicy/testdata of
# https://github.com/kubernetes/kubernetes, Copyright The Kubernetes Authors,
# licensed under the Apache License, Version 2.0
# (http://www.apache.org/licenses/LICENSE-2.0).
`

// TestBootstrap compares the embedded defaults with Kubernetes' source, where
// -kubernetes says where that is.
func TestBootstrap(t *testing.T) {
	if *kubernetes == "" {
		t.Fatal("name the source tree with -kubernetes DIR")
	}
	dir := filepath.Join(*kubernetes, "plugin/pkg/auth/authorizer/rbac/bootstrappolicy/testdata")
	var out bytes.Buffer
	out.WriteString(bootstrapHead)
	for _, name := range []string{
		"cluster-roles", "controller-roles", "namespace-roles",
		"cluster-role-bindings", "controller-role-bindings", "namespace-role-bindings",
	} {
		text, err := os.ReadFile(filepath.Join(dir, name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range document.Parse(text, document.Limits{}) {
			if doc.Err != nil {
				t.Fatal(name, doc.Err)
			}
			for _, item := range doc.Root.Get("items").List() {
				writeBootstrap(t, &out, item)
			}
		}
	}
	if *update {
		if err := os.WriteFile("bootstrap.jsonl", out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(bootstrap, out.String()); diff != "" {
		t.Errorf("bootstrap.jsonl is not of %s (-have +want):\n%s", DefaultsVersion, diff)
	}
}

func writeBootstrap(t *testing.T, out *bytes.Buffer, item *document.Node) {
	t.Helper()
	object, ok := cluster.New(item)
	if !ok {
		t.Fatal("an item is no object")
	}
	line := bootstrapObject{Kind: object.Kind, Namespace: object.Namespace, Name: object.Name, Labels: object.Labels()}
	delete(line.Labels, bootstrapLabel)
	if strings.HasSuffix(object.Kind, "Binding") {
		b, _ := decodeBinding(object)
		if b.Malformed != "" {
			t.Fatal(object.Name, b.Malformed)
		}
		line.RoleKind, line.RoleName, line.Subjects = b.RoleKind, b.RoleName, b.Subjects
	} else {
		r, _ := decodeRole(object)
		if r.Malformed != "" {
			t.Fatal(object.Name, r.Malformed)
		}
		for _, rule := range r.own {
			line.Rules = append(line.Rules, *rule)
		}
		for _, sel := range item.At("aggregationRule", "clusterRoleSelectors").List() {
			set := map[string]string{}
			for _, f := range sel.Get("matchLabels").Map() {
				set[f.Key] = f.Value.Str()
			}
			line.Aggregate = append(line.Aggregate, set)
		}
	}
	text, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	out.WriteByte('\n')
}
