package patch

import (
	"fmt"
	"strings"
	"testing"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/document"
)

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels:
    app: web
spec:
  replicas: 2
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      # Needed for the node exporter.
      hostNetwork: true
      containers:
      - name: web
        image: nginx:1.27
        ports:
        - containerPort: 80
        securityContext:
          privileged: true # todo
        volumeMounts:
        - name: data
          mountPath: /data
      volumes:
      - name: data
        emptyDir: {}
`

// hardening is what a scan proposes for a deployment.
func hardening(root *document.Node, at string) []seawall.PatchOp {
	pod := at + "spec.template.spec"
	c := pod + ".containers[0]"
	var ops []seawall.PatchOp
	ops = append(ops, Remove(root, pod+".hostNetwork")...)
	ops = append(ops, Set(root, pod+".automountServiceAccountToken", false)...)
	ops = append(ops, Set(root, c+".securityContext.privileged", false)...)
	ops = append(ops, Set(root, c+".securityContext.capabilities.drop[0]", "ALL")...)
	ops = append(ops, Set(root, c+".resources.limits.memory", "128Mi")...)
	return ops
}

func BenchmarkApply(b *testing.B) {
	text := []byte(deployment)
	ops := hardening(document.Parse(text, document.Limits{})[0].Root, "")
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Apply(text, 0, ops); err != nil {
			b.Fatal(err)
		}
	}
}

// list returns a List of n deployments in one document.
func list(n int) []byte {
	item := "- " + strings.ReplaceAll(strings.TrimSuffix(deployment, "\n"), "\n", "\n  ") + "\n"
	return []byte("apiVersion: v1\nkind: List\nitems:\n" + strings.Repeat(item, n))
}

func BenchmarkEditList(b *testing.B) {
	text := list(200)
	root := document.Parse(text, document.Limits{})[0].Root
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		var e Edit
		for i := range 200 {
			for _, op := range hardening(root, fmt.Sprintf("items[%d].", i)) {
				if err := e.Add(0, op); err != nil {
					b.Fatal(err)
				}
			}
		}
		if _, refused := e.Apply(text); len(refused) > 0 {
			b.Fatal(refused)
		}
	}
}

// TestEditList changes all objects of a list, in which some are shared.
func TestEditList(t *testing.T) {
	text := list(40)
	single := document.Parse([]byte(deployment), document.Limits{})[0]
	alone, err := Apply([]byte(deployment), 0, hardening(single.Root, ""))
	if err != nil {
		t.Fatal(err)
	}
	root := document.Parse(text, document.Limits{})[0].Root
	var e Edit
	for i := range 40 {
		if err := e.Add(0, hardening(root, fmt.Sprintf("items[%d].", i))...); err != nil {
			t.Fatal(err)
		}
	}
	got, refused := e.Apply(text)
	if len(refused) > 0 {
		t.Fatal(refused)
	}
	item := "- " + strings.ReplaceAll(strings.TrimSuffix(string(alone), "\n"), "\n", "\n  ") + "\n"
	if want := "apiVersion: v1\nkind: List\nitems:\n" + strings.Repeat(item, 40); string(got) != want {
		t.Errorf("got %s", Diff("list", []byte(want), got))
	}
}
