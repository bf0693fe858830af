package snapshotfile

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"seawall.io/seawall/internal/cluster"
)

// file is one entry of a tar that a test makes by hand.
type file struct {
	name, text string
	change     func(*tar.Header)
}

// manifestOf returns a manifest that announces the files.
func manifestOf(files ...file) file {
	m := manifest{Format: format, Cluster: "lab"}
	for _, f := range files {
		n := strings.Count(f.text, "\n")
		m.Entries = append(m.Entries, manifestEntry{f.name, n})
		m.Objects += n
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return file{name: manifestName, text: string(text)}
}

func tarOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.text)), Mode: 0o600}
		if f.change != nil {
			f.change(h)
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte(f.text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func compress(t testing.TB, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadErrors(t *testing.T) {
	pod := file{name: "objects/core/v1/Pod.jsonl", text: `{"apiVersion":"v1","kind":"Pod"}` + "\n"}
	with := func(text string) file { return file{name: pod.name, text: text} }
	whole := pack(t, shop(t))
	tests := []struct {
		name   string
		in     []byte
		limits Limits
		want   string
	}{
		{"empty", nil, Limits{}, "the file is empty"},
		{"no-zstd", []byte("PK\x03\x04 and more"), Limits{}, "this is no snapshot file"},
		{"short", []byte("a"), Limits{}, "this is no snapshot file"},
		{"no-tar", compress(t, []byte(strings.Repeat("x", 2000))), Limits{}, "manifest.json: "},
		{"another-tar", compress(t, tarOf(t, file{name: "etc/passwd"})), Limits{}, `manifest.json: it is not the first entry, "etc/passwd" is`},
		{"bad-manifest", compress(t, tarOf(t, file{name: manifestName, text: "{"})), Limits{}, "manifest.json: "},
		{"no-format", compress(t, tarOf(t, file{name: manifestName, text: "{}"})), Limits{}, "manifest.json: it does not say which format"},
		{"newer-format", compress(t, tarOf(t, file{name: manifestName, text: `{"format":2,"entries":"otherwise"}`})), Limits{}, "the file has format 2, this program reads format 1: use a newer seawall"},
		{"truncated", whole[:len(whole)-20], Limits{}, "ends too early"},
		{"only-magic", whole[:4], Limits{}, "manifest.json: the file ends too early"},
		{"missing-entry", compress(t, tarOf(t, manifestOf(pod))), Limits{}, "Pod.jsonl: it is missing"},
		{"other-entry", compress(t, tarOf(t, manifestOf(pod), file{name: "../../etc/passwd"})), Limits{}, `Pod.jsonl: "../../etc/passwd" stands in its place`},
		{"surplus-entry", compress(t, tarOf(t, manifestOf(pod), pod, file{name: "../x"})), Limits{}, "../x: the manifest does not name it"},
		{"second-manifest", compress(t, tarOf(t, manifestOf(), manifestOf())), Limits{}, "manifest.json: the manifest does not name it"},
		{"link", compress(t, tarOf(t, manifestOf(with("")), file{name: pod.name, change: func(h *tar.Header) {
			h.Typeflag, h.Linkname = tar.TypeSymlink, "/etc/passwd"
		}})), Limits{}, "stands in its place"},
		{"fewer-objects", compress(t, tarOf(t, manifestOf(with(pod.text+pod.text)), pod)), Limits{}, "Pod.jsonl: it has 1 objects, the manifest promises 2"},
		{"more-objects", compress(t, tarOf(t, manifestOf(pod), with(pod.text+pod.text))), Limits{}, "Pod.jsonl: it has 2 objects, the manifest promises 1"},
		{"garbage-line", compress(t, tarOf(t, manifestOf(with(pod.text+"x\n")), with(pod.text+"x\n"))), Limits{}, "Pod.jsonl: line 2: column 1: "},
		{"empty-line", compress(t, tarOf(t, manifestOf(with("\n")), with("\n"))), Limits{}, "Pod.jsonl: line 1: "},
		{"no-object", compress(t, tarOf(t, manifestOf(with("{}\n")), with("{}\n"))), Limits{}, "Pod.jsonl: line 1: this is no Kubernetes object"},
		{"line-without-end", compress(t, tarOf(t, manifestOf(with("{}\n")), with("{}"))), Limits{}, "Pod.jsonl: line 1 does not end"},
		{"too-large", whole, Limits{Bytes: 3000}, "more than 3000 bytes: if the file can be trusted, take the snapshot of one --namespace"},
		{"too-many-entries", whole, Limits{Entries: 2}, "manifest.json: it names 3 entries, the limit is 2"},
		{"too-many-values", whole, Limits{Values: 20}, "objects/core/v1/Pod.jsonl: more than 20 values"},
		{"too-large-object", whole, Limits{Object: 1}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _, err := Read(bytes.NewReader(tt.in), tt.limits)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got error %v, want none", err)
			case tt.want != "" && err == nil:
				t.Errorf("got %d objects and no error, want %q", len(s.Objects), tt.want)
			case tt.want != "" && !strings.Contains(err.Error(), tt.want):
				t.Errorf("got error %q, want %q", err, tt.want)
			}
		})
	}
}

// TestReadTruncatedAnywhere cuts a file at every place.
func TestReadTruncatedAnywhere(t *testing.T) {
	whole := pack(t, shop(t))
	for n := range whole {
		if s, _, err := Read(bytes.NewReader(whole[:n]), Limits{}); err == nil {
			t.Errorf("%d of %d bytes: got %d objects and no error", n, len(whole), len(s.Objects))
		}
	}
	text := unpack(t, whole)
	trailer := 1024
	for n := range len(text) - trailer - 512 {
		if _, _, err := readTar(bytes.NewReader(text[:n]), Limits{}.orDefault()); err == nil {
			t.Errorf("%d of %d bytes of tar: got no error", n, len(text))
		}
	}
}

func TestReadDamagedAnywhere(t *testing.T) {
	whole := pack(t, shop(t))
	want := describe(shop(t))
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x10
		s, _, err := Read(bytes.NewReader(bad), Limits{})
		if err == nil && fmt.Sprint(describe(s)) != fmt.Sprint(want) {
			t.Errorf("byte %d: got another snapshot and no error", i)
		}
	}
}

func TestReadBombs(t *testing.T) {
	zeros := compress(t, make([]byte, 64<<20))
	if len(zeros) > 100<<10 {
		t.Fatalf("the bomb has %d bytes", len(zeros))
	}
	head := tarOf(t, manifestOf(file{name: "a", text: "\n"}))
	head = head[:len(head)-1024]
	var lie bytes.Buffer
	if err := tar.NewWriter(&lie).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 1 << 40}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		in   []byte
		want string
	}{
		{"behind-the-end", append(compress(t, tarOf(t, manifestOf())), zeros...), "the end: more than 1048576 bytes"},
		{"nested-lists", compress(t, append(bytes.Clone(head), tarOf(t, file{
			name: "a", text: strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\n",
		})...)), "a: more than 100 values"},
		{"long-line", compress(t, append(bytes.Clone(head), tarOf(t, file{name: "a", text: strings.Repeat("x", 700<<10)})...)), "a: line 1: more than 65536 bytes in one object"},
		{"header-that-lies", compress(t, append(bytes.Clone(head), lie.Bytes()...)), "a: the file ends too early"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := Read(bytes.NewReader(tt.in), Limits{Bytes: 1 << 20, Values: 100, Object: 64 << 10})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestReadManyChunks(t *testing.T) {
	var objects []*cluster.Object
	for i := range 500 {
		size := 10
		if i%50 == 0 {
			size = 3 * chunkBytes // longer than a chunk
		}
		objects = append(objects, object(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c%03d"},"data":{"a":%q}}`,
			i, strings.Repeat("x", size+i*37))))
	}
	in := cluster.NewSnapshot(objects)
	got, _, err := Read(bytes.NewReader(pack(t, in)), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range got.Objects {
		if o.Name != objects[i].Name || o.Root.At("data", "a").Str() != objects[i].Root.At("data", "a").Str() {
			t.Fatalf("object %d is %s, want %s", i, o.Name, objects[i].Name)
		}
	}
	if len(got.Objects) != len(objects) {
		t.Errorf("got %d objects, want %d", len(got.Objects), len(objects))
	}
}

// FuzzRead reads files as they come from outside. Use -fuzzminimizetime=1x
// with both fuzz tests: which lines run differs from run to run, since chunks
// are parsed in parallel, and minimizing would not end.
func FuzzRead(f *testing.F) {
	f.Add(pack(f, shop(f)))
	f.Add(pack(f, cluster.NewSnapshot(nil)))
	f.Fuzz(func(t *testing.T, in []byte) {
		s, m, err := Read(bytes.NewReader(in), Limits{Bytes: 1 << 20, Values: 10_000, Entries: 10})
		rewrite(t, s, m, err)
	})
}

// FuzzReadTar reads what is inside of the zstd, which changes of single bytes
// seldom get past.
func FuzzReadTar(f *testing.F) {
	f.Add(unpack(f, pack(f, shop(f))))
	f.Add(tarOf(f, manifestOf(file{name: "a", text: "{}\n"}), file{name: "a", text: "{}\n"}))
	f.Fuzz(func(t *testing.T, in []byte) {
		s, m, err := readTar(bytes.NewReader(in), Limits{Bytes: 1 << 20, Values: 10_000, Entries: 10}.orDefault())
		rewrite(t, s, m, err)
	})
}

// rewrite writes what was read, and reads it once more.
func rewrite(t *testing.T, s *cluster.Snapshot, m Meta, err error) {
	t.Helper()
	if err != nil {
		return
	}
	var b bytes.Buffer
	if err := Write(&b, s, m); err != nil {
		t.Fatalf("writing what was read: %v", err)
	}
	if _, _, err := Read(&b, Limits{}); err != nil {
		t.Fatalf("reading what was written: %v", err)
	}
}

// workloads is a cluster of n Deployments of 2 kB each.
func workloads(b *testing.B, n int) *cluster.Snapshot {
	b.Helper()
	objects := make([]*cluster.Object, 0, n)
	for i := range n {
		var env strings.Builder
		for j := range 12 {
			fmt.Fprintf(&env, `,{"name":"SETTING_%02d","value":"value %d of workload %d"}`, j, j*7919, i)
		}
		objects = append(objects, object(b, fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web-%05d",`+
			`"namespace":"ns-%03d","uid":"8f1c9a52-6b0e-4c1f-9d3e-%012d","labels":{"app.kubernetes.io/name":"web-%05d","tier":"front"},`+
			`"annotations":{"deployment.kubernetes.io/revision":"3"},"creationTimestamp":"2026-01-02T03:04:05Z"},"spec":{"replicas":3,`+
			`"selector":{"matchLabels":{"app":"web-%05d"}},"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":"25%%","maxUnavailable":1}},`+
			`"template":{"metadata":{"labels":{"app":"web-%05d"}},"spec":{"serviceAccountName":"web","containers":[{"name":"web",`+
			`"image":"registry.example.com/shop/web:v1.%d","ports":[{"containerPort":8080,"protocol":"TCP"}],"env":[{"name":"A","value":"b"}%s],`+
			`"resources":{"limits":{"cpu":"500m","memory":"256Mi"},"requests":{"cpu":"100m","memory":"128Mi"}},`+
			`"securityContext":{"runAsNonRoot":true,"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}},`+
			`"livenessProbe":{"httpGet":{"path":"/healthz","port":8080},"periodSeconds":10},"volumeMounts":[{"name":"c","mountPath":"/etc/web"}]}],`+
			`"volumes":[{"name":"c","configMap":{"name":"web-%05d"}}]}}},"status":{"replicas":3,"readyReplicas":3}}`,
			i, i%200, i, i, i, i, i%50, env.String(), i)))
	}
	return cluster.NewSnapshot(objects)
}

func BenchmarkRead(b *testing.B) {
	packed := pack(b, workloads(b, 20_000))
	b.SetBytes(int64(len(unpack(b, packed))))
	b.ReportMetric(float64(len(packed)), "file-bytes")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Read(bytes.NewReader(packed), Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	s := workloads(b, 20_000)
	b.SetBytes(int64(len(unpack(b, pack(b, s)))))
	b.ReportAllocs()
	for b.Loop() {
		pack(b, s)
	}
}
