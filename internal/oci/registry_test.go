package oci

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// serve starts a registry on loopback that wrap may make misbehave, and returns
// its host.
func serve(t testing.TB, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	h := registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true))
	var handler atomic.Pointer[http.Handler]
	handler.Store(&h)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wrap != nil && r.Method == http.MethodGet && r.Header.Get("X-Push") == "" && r.UserAgent() != "push" {
			wrap(h).ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func push(t testing.TB, ref string, what any) {
	t.Helper()
	r, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	switch w := what.(type) {
	case v1.Image:
		err = remote.Write(r, w, remote.WithTransport(pusher{}))
	case v1.ImageIndex:
		err = remote.WriteIndex(r, w, remote.WithTransport(pusher{}))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// pusher marks its requests, so that a misbehaving registry takes them.
type pusher struct{}

func (pusher) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Push", "1")
	return http.DefaultTransport.RoundTrip(r)
}

func registryOptions() Options { return Options{Registry: Registry{wait: time.Millisecond}} }

func openRef(t testing.TB, ref string, o Options) (*Image, error) {
	t.Helper()
	img, err := Open(t.Context(), Source{Kind: RegistryKind, Name: ref}, o)
	if err == nil {
		t.Cleanup(func() { img.Close() })
	}
	return img, err
}

// noise returns bytes that do not compress.
func noise(n int) string {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

func TestRegistry(t *testing.T) {
	host := serve(t, nil)
	layer := tarOf(t, "etc/passwd", "root:x:0:0\n")
	amd, arm := imageOf(t, "amd64", layer), imageOf(t, "arm64", layer)
	attestation := mutate.ConfigMediaType(imageOf(t, "unknown", []byte(`{"predicateType":"https://spdx.dev/Document"}`)), "application/vnd.oci.image.config.v1+json")
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}},
		mutate.IndexAddendum{Add: amd, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: attestation, Descriptor: v1.Descriptor{
			Platform:    &v1.Platform{OS: "unknown", Architecture: "unknown"},
			Annotations: map[string]string{annotationReferenceType: "attestation-manifest", annotationReferenceDigest: digestOf(t, amd)},
		}})
	push(t, host+"/team/app:1", index)
	img, err := openRef(t, host+"/team/app:1", registryOptions())
	if err != nil {
		t.Fatal(err)
	}
	if img.Digest != digestOf(t, amd) || img.IndexDigest != digestOf(t, index) || img.Name != host+"/team/app:1" {
		t.Errorf("image is %s of %s, called %s", img.Digest, img.IndexDigest, img.Name)
	}
	if !slices.Equal(img.Platforms, []string{"linux/arm64", "linux/amd64"}) {
		t.Errorf("platforms: %q", img.Platforms)
	}
	if got := contents(t, img); len(got) != 1 || !bytes.Equal(got[0], layer) {
		t.Error("the layer differs")
	}
	if len(img.Attestations) != 1 || img.Attestations[0].Digest != Digest(digestOf(t, attestation)) {
		t.Fatalf("attestations: %+v", img.Attestations)
	}
	statements, err := img.Statements(t.Context(), img.Attestations[0], func(string) bool { return true })
	if err != nil || len(statements) != 1 {
		t.Errorf("statements: %v %v", statements, err)
	}
	for ref, want := range map[string]error{
		host + "/team/app:none":                              ErrNotFound,
		host + "/team/app@sha256:" + strings.Repeat("0", 64): ErrNotFound,
		host + "/other/app:1":                                ErrNotFound,
		host + "/team/app@" + digestOf(t, arm):               nil,
		host + "/team/app:1@" + digestOf(t, index):           nil,
	} {
		if _, err := openRef(t, ref, registryOptions()); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", ref, err, want)
		}
	}
	o := registryOptions()
	o.Platform = "linux/s390x"
	if _, err := openRef(t, host+"/team/app:1", o); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "linux/arm64, linux/amd64") {
		t.Errorf("platform that is missing: %v", err)
	}
}

// keys is a keychain of one entry.
type keys map[string]Credential

func (k keys) Credential(_ context.Context, repository string) (Credential, error) {
	return k[repository], nil
}

func TestRegistryAuth(t *testing.T) {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:pass"))
	var host string
	wraps := map[string]func(http.Handler) http.Handler{
		"basic": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != basic {
					w.Header().Set("Www-Authenticate", `Basic realm="here"`)
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				h.ServeHTTP(w, r)
			})
		},
		"token": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/token":
					if r.Header.Get("Authorization") != basic || r.URL.Query().Get("scope") != "repository:app:pull" {
						w.WriteHeader(http.StatusUnauthorized)
						return
					}
					fmt.Fprint(w, `{"token":"secret-token"}`)
				case r.Header.Get("Authorization") != "Bearer secret-token":
					w.Header().Set("Www-Authenticate", `Bearer realm="http://`+host+`/token",service="test"`)
					w.WriteHeader(http.StatusUnauthorized)
				default:
					h.ServeHTTP(w, r)
				}
			})
		},
	}
	img := imageOf(t, "amd64", tarOf(t, "a", "b"))
	for kind, wrap := range wraps {
		t.Run(kind, func(t *testing.T) {
			host = serve(t, wrap)
			push(t, host+"/app:1", img)
			o := registryOptions()
			if _, err := openRef(t, host+"/app:1", o); !errors.Is(err, ErrDenied) {
				t.Errorf("without credentials: %v", err)
			}
			o.Registry.Keychain = keys{host + "/app": {Username: "user", Password: "wrong"}}
			if _, err := openRef(t, host+"/app:1", o); !errors.Is(err, ErrDenied) || strings.Contains(err.Error(), "wrong") {
				t.Errorf("with wrong credentials: %v", err)
			}
			o.Registry.Keychain = Keychains{keys{}, keys{host + "/app": {Username: "user", Password: "pass"}}}
			got, err := openRef(t, host+"/app:1", o)
			if err != nil {
				t.Fatal(err)
			}
			contents(t, got)
		})
	}
}

func TestRegistryMirrors(t *testing.T) {
	img := imageOf(t, "amd64", tarOf(t, "a", "b"))
	mirror, origin := serve(t, nil), serve(t, nil)
	push(t, mirror+"/proxy/app:1", img)
	push(t, origin+"/only/here:1", img)
	o := registryOptions()
	o.Registry.Mirrors = map[string][]string{
		origin: {"127.0.0.1:1/dead", "http://" + mirror + "/proxy"},
	}
	for _, ref := range []string{origin + "/app:1", origin + "/only/here:1", origin + "/app@" + digestOf(t, img)} {
		got, err := openRef(t, ref, o)
		if err != nil {
			t.Fatal(err)
		}
		contents(t, got)
		if !strings.HasPrefix(got.Name, origin+"/") {
			t.Errorf("name: %s", got.Name)
		}
	}
	_, err := openRef(t, origin+"/nowhere:1", o)
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "127.0.0.1:1/dead") {
		t.Errorf("missing everywhere: %v", err)
	}
}

// cut ends answers with a layer after n bytes, as long as there are more to come.
func cut(h http.Handler, n int, ranges bool, requests *atomic.Int32) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			h.ServeHTTP(w, r)
			return
		}
		requests.Add(1)
		from, plain := 0, r.Clone(r.Context())
		if s := r.Header.Get("Range"); s != "" && ranges {
			from, _ = strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(s, "bytes="), "-"))
		}
		plain.Header.Del("Range")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, plain)
		body := rec.Body.Bytes()
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)-from))
		if from > 0 {
			w.WriteHeader(http.StatusPartialContent)
		} else {
			w.WriteHeader(rec.Code)
		}
		if body = body[from:]; len(body) > n {
			w.Write(body[:n])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler) // cuts the connection
		}
		w.Write(body)
	})
}

func TestRegistryCutConnections(t *testing.T) {
	layer := tarOf(t, "noise", noise(1<<20))
	img := imageOf(t, "amd64", layer)
	for _, c := range []struct {
		name   string
		bytes  int
		ranges bool
		works  bool
	}{
		{"resumed", 150_000, true, true},
		{"from the start again", 600_000, false, false},
		{"nothing comes", 0, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var requests atomic.Int32
			host := serve(t, func(h http.Handler) http.Handler { return cut(h, c.bytes, c.ranges, &requests) })
			push(t, host+"/app:1", img)
			// The configuration is a blob as well, and smaller.
			got, err := openRef(t, host+"/app:1", registryOptions())
			if c.bytes == 0 {
				if err == nil {
					t.Error("a registry that sends nothing sent an image")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			s, err := got.Layers[0].Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			data, err := io.ReadAll(s)
			if c.works && (err != nil || !bytes.Equal(data, layer)) {
				t.Errorf("after %d requests: %v", requests.Load(), err)
			}
			if !c.works && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("cut off: %v", err)
			}
			if n := requests.Load(); n > 20 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestRegistryMisbehaves(t *testing.T) {
	img := imageOf(t, "amd64", tarOf(t, "noise", noise(10_000)))
	answer := func(part string, with http.HandlerFunc) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, part) {
					with(w, r)
					return
				}
				h.ServeHTTP(w, r)
			})
		}
	}
	wrongLayer := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			body := rec.Body.Bytes()
			if len(body) > 5000 {
				body[5000] ^= 1
			}
			w.Write(body)
		})
	}
	var busy atomic.Int32
	for _, c := range []struct {
		name string
		wrap func(http.Handler) http.Handler
		want string
	}{
		{"huge manifest", answer("/manifests/", func(w http.ResponseWriter, _ *http.Request) {
			w.Write(bytes.Repeat([]byte(" "), 5<<20))
		}), "more than 4194304 bytes"},
		{"no JSON", answer("/manifests/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }), "not JSON"},
		{"schema 1", answer("/manifests/", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", typeDockerSchema1+"+prettyjws")
			fmt.Fprint(w, `{"schemaVersion":1,"fsLayers":[]}`)
		}), "schema 1"},
		{"redirect to the cloud's metadata", answer("/blobs/", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data", http.StatusTemporaryRedirect)
		}), "link-local"},
		{"redirect without TLS", answer("/blobs/", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://registry.invalid/blob", http.StatusTemporaryRedirect)
		}), "without TLS"},
		{"redirect for ever", answer("/blobs/", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}), "more than five times"},
		{"rate limit", answer("/manifests/", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}`)
		}), "TOOMANYREQUESTS"},
		{"busy twice", func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/manifests/") && busy.Add(1) <= 2 {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				h.ServeHTTP(w, r)
			})
		}, ""},
		{"other layer", wrongLayer, "the layer as it is stored has the digest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := serve(t, c.wrap)
			push(t, host+"/app:1", img)
			err := func() error {
				got, err := openRef(t, host+"/app:1", registryOptions())
				if err != nil {
					return err
				}
				s, err := got.Layers[0].Open(t.Context())
				if err != nil {
					return err
				}
				defer s.Close()
				_, err = io.Copy(io.Discard, s)
				return err
			}()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestPrivateRegistriesNeedTLS(t *testing.T) {
	g := guard{insecure: []string{"registry.corp"}}
	r, err := http.NewRequest(http.MethodGet, "http://10.0.0.1/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.RoundTrip(r); err == nil || !strings.Contains(err.Error(), "without TLS") { //nolint:bodyclose // there is no answer
		t.Errorf("a private address without TLS: %v", err)
	}
	for host, want := range map[string]bool{
		"localhost:5000": true, "127.0.0.1:5000": true, "[::1]:5000": true, "registry.corp": true, "registry.corp:5000": true,
		"10.0.0.1:5000": false, "registry.local": false, "docker.io": false, "localhost.evil.com": false,
	} {
		if g.mayBeInsecure(host) != want {
			t.Errorf("%s: %v", host, !want)
		}
	}
}

func TestKeychain(t *testing.T) {
	enc := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	config := `{"auths":{
		"https://index.docker.io/v1/":{"auth":"` + enc("hub:p1") + `"},
		"*.azurecr.io":{"username":"az","password":"p2"},
		"ghcr.io/org":{"auth":"` + enc("org:p:3") + `"},
		"ghcr.io":{"auth":"` + enc("all:p4") + `"},
		"ghcr.io/org/app":{"identitytoken":"tok"},
		"empty.io":{}
	},"credHelpers":{"ecr.aws":"ecr"},"credsStore":"desktop"}`
	k, err := parseDockerConfig([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	k.run = func(_ context.Context, helper, server string) ([]byte, error) {
		switch helper + " " + server {
		case "ecr ecr.aws":
			return []byte(`{"Username":"AWS","Secret":"p5"}`), nil
		case "desktop quay.io":
			return []byte(`{"Username":"<token>","Secret":"p6"}`), nil
		}
		return nil, nil
	}
	for repository, want := range map[string]Credential{
		"docker.io/library/nginx": {Username: "hub", Password: "p1"},
		"x.azurecr.io/app":        {Username: "az", Password: "p2"},
		"x.y.azurecr.io/app":      {},
		"ghcr.io/org/other":       {Username: "org", Password: "p:3"},
		"ghcr.io/organisation/x":  {Username: "all", Password: "p4"},
		"ghcr.io/org/app":         {IdentityToken: "tok"},
		"ecr.aws/app":             {Username: "AWS", Password: "p5"},
		"quay.io/app":             {IdentityToken: "p6"},
		"evil-ghcr.io/org":        {},
	} {
		if got, err := k.Credential(t.Context(), repository); err != nil || got != want {
			t.Errorf("%s: %+v %v, want %+v", repository, got, err, want)
		}
	}
	// Secrets of a cluster do not run programs here.
	k2, err := DockerConfigJSON([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k2.Credential(t.Context(), "ecr.aws/app"); err != nil || got != (Credential{}) {
		t.Errorf("helper of a secret: %+v %v", got, err)
	}
	old, err := DockerConfigJSON([]byte(`{"quay.io":{"auth":"` + enc("q:r") + `"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := old.Credential(t.Context(), "quay.io/a"); got.Password != "r" {
		t.Errorf(".dockercfg: %+v", got)
	}
	if _, err := DockerConfigJSON([]byte(`{"auths":{"a":{"auth":"s3cr3t!"}}}`)); err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("not base64: %v", err)
	}
}

func TestCredentialHelper(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\nread server\nif [ \"$server\" = known.io ]; then echo '{\"Username\":\"u\",\"Secret\":\"s\"}'; else echo 'credentials not found in native keychain'; exit 1; fi\n"
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-test"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"credsStore":"test","credHelpers":{"bad.io":"../evil"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("REGISTRY_AUTH_FILE", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	k, err := DockerConfig("")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Credential(t.Context(), "known.io/app"); err != nil || got != (Credential{Username: "u", Password: "s"}) {
		t.Errorf("known: %+v %v", got, err)
	}
	if got, err := k.Credential(t.Context(), "unknown.io/app"); err != nil || got != (Credential{}) {
		t.Errorf("unknown: %+v %v", got, err)
	}
	if _, err := k.Credential(t.Context(), "bad.io/app"); err == nil || !strings.Contains(err.Error(), "no name of a credential helper") {
		t.Errorf("a helper with a path: %v", err)
	}
}
