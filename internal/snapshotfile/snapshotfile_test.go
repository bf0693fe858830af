package snapshotfile

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

var about = Meta{Cluster: "lab", Time: time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC), Seawall: "v0.1.0"}

func TestRoundTrip(t *testing.T) {
	in := shop(t)
	got, m, err := Read(bytes.NewReader(pack(t, in)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(describe(in), describe(got)); diff != "" {
		t.Errorf("snapshot (-written +read):\n%s", diff)
	}
	if diff := cmp.Diff(about, m); diff != "" {
		t.Errorf("meta (-written +read):\n%s", diff)
	}
	if o := got.Get("apps", "Deployment", "shop", "web"); o == nil || o.Cluster != "lab" {
		t.Errorf("got %+v, want the deployment, of cluster lab", o)
	}
}

// TestClusterOfObjects leaves the name of the cluster to the objects.
func TestClusterOfObjects(t *testing.T) {
	in := object(t, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}`)
	in.Cluster = "prod"
	var b bytes.Buffer
	if err := Write(&b, cluster.NewSnapshot([]*cluster.Object{in}), Meta{}); err != nil {
		t.Fatal(err)
	}
	got, m, err := Read(&b, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Cluster != "prod" || got.Objects[0].Cluster != "prod" {
		t.Errorf("got the clusters %q and %q, want prod", m.Cluster, got.Objects[0].Cluster)
	}
}

func TestRoundTripOfNothing(t *testing.T) {
	got, _, err := Read(bytes.NewReader(pack(t, cluster.NewSnapshot(nil))), Limits{})
	if err != nil || len(got.Objects) != 0 {
		t.Errorf("got %v, %v; want an empty snapshot", got, err)
	}
}

// TestRoundTripOfValues holds reading against writing for values that are easy
// to get wrong.
func TestRoundTripOfValues(t *testing.T) {
	in := object(t, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a\nb":"<\u2028\"\\ \u0000 é 😀","z":"","y":null},`+
		`"n":[0,-1,9223372036854775807,1.5,1e300,true,false,null,[],{}]}`)
	got, _, err := Read(bytes.NewReader(pack(t, cluster.NewSnapshot([]*cluster.Object{in}))), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in.Root.Value(), got.Objects[0].Root.Value()); diff != "" {
		t.Errorf("value (-written +read):\n%s", diff)
	}
}

func TestWriteIsDeterministic(t *testing.T) {
	in := shop(t)
	want := pack(t, in)
	for range 5 {
		objects := slices.Clone(in.Objects)
		rand.Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
		mixed := cluster.NewSnapshot(objects)
		mixed.Version, mixed.Whole, mixed.Incomplete = in.Version, in.Whole, in.Incomplete
		if !bytes.Equal(want, pack(t, mixed)) {
			t.Fatal("the same objects in another order make another file")
		}
	}
}

func TestEntryNames(t *testing.T) {
	want := []string{
		"manifest.json", "objects/core/v1/Namespace.jsonl", "objects/core/v1/Pod.jsonl",
		"objects/apps/v1/Deployment.jsonl",
	}
	if diff := cmp.Diff(want, entryNames(t, unpack(t, pack(t, shop(t))))); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	hostile := map[kindOf]string{
		{"core", "v1", "Pod"}:           "objects/%core/v1/Pod.jsonl",
		{"..", "..", ".."}:              "objects/%2E%2E/%2E%2E/%2E%2E.jsonl",
		{"a/../b", "", "x\x00"}:         "objects/a%2F..%2Fb/%/x%00.jsonl",
		{"", "v1", "../../etc/passwd"}:  "objects/core/v1/..%2F..%2Fetc%2Fpasswd.jsonl",
		{"%core", "v1", "Pod"}:          "objects/%25core/v1/Pod.jsonl",
		{"example.com", "v1", "Wi dge"}: "objects/example.com/v1/Wi%20dge.jsonl",
	}
	for k, want := range hostile {
		if got := k.entryName(); got != want {
			t.Errorf("%q: got %s, want %s", k, got, want)
		}
	}
}

func TestNoSecretValues(t *testing.T) {
	const plain, encoded = "hunter2-plain", "aHVudGVyMi1wbGFpbg=="
	objects := []*cluster.Object{
		object(t, `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a","namespace":"shop",`+
			`"managedFields":[{"fieldsV1":{"f:data":{"`+plain+`":{}}}}],"labels":{"p":"`+plain+`"},`+
			`"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":{\"p\":\"`+encoded+`\"}}",`+
			`"kapp.k14s.io/original":"`+plain+`","note":"was `+plain+` once","token":"`+encoded+`"}},`+
			`"data":{"p":"`+encoded+`"},"stringData":{"p":"`+plain+`"},"status":{"p":"`+plain+`"}}`),
		object(t, `{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Secret","data":{"p":"`+encoded+`"}}]}`),
		object(t, `{"apiVersion":"v1","kind":"SecretList","items":[{"data":{"p":"`+encoded+`"}}]}`),
		object(t, `{"apiVersion":"template.openshift.io/v1","kind":"Template","objects":[{"apiVersion":"v1","kind":"Secret","stringData":{"p":"`+plain+`"}}]}`),
		object(t, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","annotations":`+
			`{"kubectl.kubernetes.io/last-applied-configuration":"`+plain+`"},"managedFields":[{"v":"`+plain+`"}]}}`),
	}
	text := unpack(t, pack(t, cluster.NewSnapshot(objects)))
	for _, secret := range []string{plain, encoded, plain[:8], encoded[:10]} {
		if i := bytes.Index(text, []byte(secret)); i >= 0 {
			t.Errorf("the file has %q in %q", secret, text[max(0, i-80):i+40])
		}
	}
	if n := bytes.Count(text, []byte("seawall:redacted length=13")); n < 5 {
		t.Errorf("got %d markers, want one for each value:\n%s", n, text)
	}
}

func TestWriteRefusesWhatCannotBeReadAgain(t *testing.T) {
	o := object(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}`)
	for _, change := range []func(*cluster.Object){
		func(o *cluster.Object) { o.Object = &seawall.Object{APIVersion: "v1", Kind: "Other", Name: "a"} },
		func(o *cluster.Object) { o.Root = nil },
	} {
		broken := *o
		change(&broken)
		if err := Write(io.Discard, cluster.NewSnapshot([]*cluster.Object{&broken}), about); err == nil {
			t.Errorf("wrote %+v without an error", broken)
		}
	}
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cluster.tar.zst")
	for range 2 { // the second replaces the first
		if err := WriteFile(path, shop(t), about); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v; want mode 0600", info.Mode(), err)
	}
	if _, _, err := ReadFile(path, Limits{}); err != nil {
		t.Error(err)
	}
}

func TestWriteFileKeepsTheOldOneOnError(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "cluster.tar.zst")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := cluster.NewSnapshot([]*cluster.Object{{Object: &seawall.Object{Kind: "Pod"}}})
	if err := WriteFile(path, broken, about); err == nil || !strings.Contains(err.Error(), "writing snapshot "+path) {
		t.Errorf("got error %v, want one that names the file", err)
	}
	if text, err := os.ReadFile(path); string(text) != "old" || err != nil {
		t.Errorf("got %q, %v; want the old file", text, err)
	}
	if files, err := os.ReadDir(dir); len(files) != 1 || err != nil {
		t.Errorf("got %v, %v; want no file left over", files, err)
	}
}

func TestReadFileErrors(t *testing.T) {
	_, _, err := ReadFile(filepath.Join(t.TempDir(), "gone"), Limits{})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want os.ErrNotExist", err)
	}
}

// shop is a small snapshot, in the order of a file.
func shop(t testing.TB) *cluster.Snapshot {
	t.Helper()
	s := cluster.NewSnapshot([]*cluster.Object{
		object(t, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}`),
		object(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"bank","name":"b"}}`),
		object(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"shop","name":"a"},"spec":{"containers":[{"name":"c","image":"i"}]}}`),
		object(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"shop","name":"b"}}`),
		object(t, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"namespace":"shop","name":"web"},"spec":{"replicas":3}}`),
	})
	s.Version, s.Whole = "v1.36.3", true
	s.Incomplete = []seawall.Incomplete{{Reason: "list secrets: forbidden"}}
	return s
}

func object(t testing.TB, text string) *cluster.Object {
	t.Helper()
	root, err := document.ParseJSON([]byte(text), document.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	o, ok := cluster.New(root)
	if !ok {
		t.Fatalf("%s is no object", text)
	}
	return o
}

// describe returns all that a snapshot promises to keep.
func describe(s *cluster.Snapshot) []string {
	out := []string{fmt.Sprintf("%s %v %v", s.Version, s.Whole, s.Incomplete)}
	for _, o := range s.Objects {
		out = append(out, fmt.Sprintf("%s %s %s %s", o.GVK(), o.Namespace, o.Name, o.Root.AppendJSON(nil)))
	}
	return out
}

func pack(t testing.TB, s *cluster.Snapshot) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, s, about); err != nil {
		t.Fatalf("writing: %v", err)
	}
	return b.Bytes()
}

func unpack(t testing.TB, file []byte) []byte {
	t.Helper()
	z, err := zstd.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func entryNames(t *testing.T, text []byte) []string {
	t.Helper()
	var out []string
	for r := tar.NewReader(bytes.NewReader(text)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, h.Name)
	}
}
