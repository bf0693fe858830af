package check_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"seawall.io/seawall/internal/check"
)

// TestParseImage holds to what github.com/distribution/reference makes of a
// name (ParseNormalizedNamed), but that an absent tag stays absent.
func TestParseImage(t *testing.T) {
	const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	tests := []struct {
		in   string
		want check.Image
	}{
		{"nginx", check.Image{"docker.io", "library/nginx", "", ""}},
		{"nginx:1.27", check.Image{"docker.io", "library/nginx", "1.27", ""}},
		{"nginx@" + digest, check.Image{"docker.io", "library/nginx", "", digest}},
		{"nginx:1.27@" + digest, check.Image{"docker.io", "library/nginx", "1.27", digest}},
		{"shop/web:1", check.Image{"docker.io", "shop/web", "1", ""}},
		{"docker.io/nginx", check.Image{"docker.io", "library/nginx", "", ""}},
		{"index.docker.io/nginx:1", check.Image{"docker.io", "library/nginx", "1", ""}},
		{"index.docker.io/shop/web", check.Image{"docker.io", "shop/web", "", ""}},
		{"localhost/web", check.Image{"localhost", "web", "", ""}},
		{"localhost:5000/web:2", check.Image{"localhost:5000", "web", "2", ""}},
		{"localhost:5000", check.Image{"docker.io", "library/localhost", "5000", ""}},
		{"registry:5000/web", check.Image{"registry:5000", "web", "", ""}},
		{"registry/web", check.Image{"docker.io", "registry/web", "", ""}},
		{"Registry/web", check.Image{"Registry", "web", "", ""}},
		{"ghcr.io/a/b/c:v1@" + digest, check.Image{"ghcr.io", "a/b/c", "v1", digest}},
		{"registry.k8s.io/pause:3.10", check.Image{"registry.k8s.io", "pause", "3.10", ""}},
		{"127.0.0.1/web", check.Image{"127.0.0.1", "web", "", ""}},
		{"[::1]:5000/web:1", check.Image{"[::1]:5000", "web", "1", ""}},
		{"", check.Image{}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, check.ParseImage(tt.in)); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", tt.in, diff)
		}
	}
}
