package cluster_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// owned is an object with a pod in it, and owners as KIND/NAME that are its
// controllers.
func owned(apiVersion, kind, name, owner string) string {
	ref := ""
	if owner != "" {
		of, ownerName, _ := strings.Cut(owner, " ")
		i := strings.LastIndexByte(of, '/')
		ref = fmt.Sprintf("ownerReferences: [{apiVersion: %s, kind: %s, name: %s, controller: true}]", of[:i], of[i+1:], ownerName)
	}
	spec := "{template: {spec: {containers: [{name: a, image: x}]}}}"
	if kind == "Pod" {
		spec = "{containers: [{name: a, image: x}]}"
	}
	if kind == "Database" {
		spec = "{size: 3}"
	}
	return fmt.Sprintf("{apiVersion: %s, kind: %s, metadata: {name: %s, namespace: shop, %s}, spec: %s}\n---\n", apiVersion, kind, name, ref, spec)
}

func TestTemplatesStandForWhatTheyMade(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{
			"deployment-replicaset-pod",
			owned("v1", "Pod", "web-1-a", "apps/v1/ReplicaSet web-1") + owned("apps/v1", "ReplicaSet", "web-1", "apps/v1/Deployment web") + owned("apps/v1", "Deployment", "web", ""),
			[]string{"Deployment/shop/web"},
		},
		{
			"owner-is-elsewhere",
			owned("v1", "Pod", "web-1-a", "apps/v1/ReplicaSet web-1"),
			[]string{"Pod/shop/web-1-a"},
		},
		{
			"operators-kind-embeds-no-pod",
			owned("example.com/v1", "Database", "db", "") + owned("apps/v1", "StatefulSet", "db", "example.com/v1/Database db") + owned("v1", "Pod", "db-0", "apps/v1/StatefulSet db"),
			[]string{"StatefulSet/shop/db"},
		},
		{
			"operators-kind-embeds-a-pod",
			owned("example.com/v1", "Cluster", "db", "") + owned("apps/v1", "StatefulSet", "db", "example.com/v1/Cluster db"),
			[]string{"Cluster/shop/db"},
		},
		{
			"operators-kind-between",
			owned("example.com/v1", "Cluster", "db", "") + owned("example.com/v1", "Database", "part", "example.com/v1/Cluster db") + owned("v1", "Pod", "p", "example.com/v1/Database part"),
			[]string{"Cluster/shop/db"},
		},
		{
			"forged-owner-of-itself",
			owned("v1", "Pod", "evil", "v1/Pod evil"),
			[]string{"Pod/shop/evil"},
		},
		{
			"forged-owners-of-each-other",
			owned("v1", "Pod", "a", "v1/Pod b") + owned("v1", "Pod", "b", "v1/Pod a"),
			[]string{"Pod/shop/a", "Pod/shop/b"},
		},
		{
			"same-name-of-another-group",
			owned("apps/v1", "Deployment", "web", "") + owned("v1", "Pod", "p", "example.com/v1/Deployment web"),
			[]string{"Deployment/shop/web", "Pod/shop/p"},
		},
		{
			"owner-of-another-version",
			owned("apps/v1", "ReplicaSet", "web", "") + owned("v1", "Pod", "p", "apps/v1beta2/ReplicaSet web"),
			[]string{"ReplicaSet/shop/web"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			snap := snapshot(t, tt.in)
			var got []string
			for _, tmpl := range snap.Templates() {
				got = append(got, tmpl.Object.Subject().String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error("(-want +got)", diff)
			}
		})
	}
}

func TestDeriveBuildsOnce(t *testing.T) {
	type key struct{}
	snap := cluster.NewSnapshot(nil)
	built := 0
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if got := cluster.Derive(snap, key{}, func() int { built++; return 7 }); got != 7 {
				t.Errorf("got %d, want 7", got)
			}
		})
	}
	group.Wait()
	if built != 1 {
		t.Errorf("built %d times, want once", built)
	}
}

func TestSnapshotFindsObjects(t *testing.T) {
	snap := snapshot(t, "{apiVersion: v1, kind: Service, metadata: {name: a, namespace: shop}}\n---\n{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: a, namespace: shop}}\n---\n{apiVersion: v1, kind: Service, metadata: {name: a, namespace: shop, labels: {second: x}}}\n")
	if got := len(snap.Kind("Service")); got != 3 {
		t.Errorf("got %d Services, want 3", got)
	}
	if got := snap.Get("", "Service", "shop", "a"); got != snap.Objects[0] {
		t.Errorf("got %v, want the first of the core group", got)
	}
	if got := snap.Get("serving.knative.dev", "Service", "shop", "a"); got != snap.Objects[1] {
		t.Errorf("got %v, want that of Knative", got)
	}
	if got := snap.Get("", "Service", "shop", "b"); got != nil {
		t.Errorf("got %v, want none", got)
	}
}

func TestNewReadsIdentity(t *testing.T) {
	tests := []struct {
		name, in, want string
		ok             bool
	}{
		{"named", "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop, generateName: b}}", "Pod/shop/a", true},
		{"generated", "{apiVersion: v1, kind: Pod, metadata: {generateName: b-}}", "Pod/b-", true},
		{"no-metadata", "{apiVersion: v1, kind: Pod}", "Pod", true},
		{"odd-metadata", "{apiVersion: v1, kind: Pod, metadata: [a]}", "Pod", true},
		{"no-kind", "{apiVersion: v1}", "", false},
		{"number-for-version", "{apiVersion: 1, kind: Pod}", "Pod", false},
		{"list", "[a]", "", false},
		{"text", "a", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, ok := cluster.New(document.Parse([]byte(tt.in), document.Limits{})[0].Root)
			if got := o.Subject().String(); got != tt.want || ok != tt.ok {
				t.Errorf("got %q, %v, want %q, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestMinor(t *testing.T) {
	tests := []struct {
		in   string
		want int
	}{
		{"v1.36.3", 36},
		{"1.36", 36},
		{"v1.33.1-gke.100", 33},
		{"v1.29+", 29},
		{"v1.30-alpha.1", 30},
		{"v2.0", 0},
		{"1", 0},
		{"1.", 0},
		{"1.x", 0},
		{"1.3x", 0},
		{"", 0},
		{"1.99999999999999999999", 0},
	}
	for _, tt := range tests {
		if got := cluster.Minor(tt.in); got != tt.want {
			t.Errorf("%q: got %d, want %d", tt.in, got, tt.want)
		}
	}
}
