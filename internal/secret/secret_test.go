package secret_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"seawall.io/seawall/internal/secret"
)

// What scanners of repositories look for is put together here, so that this file
// holds none.
var (
	glpat = "glpat" + "-aB3dE5fG7hJ9kL1mN3pQ"
	begin = "-----BEGIN RSA " + "PRIVATE KEY-----\n"
	jwt   = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiJzaG9wIn0.aB3dE5fG7hJ9kL1mN3pQ"
	end   = "-----END RSA " + "PRIVATE KEY-----\n"
	lines = strings.Repeat("MIIEpAIBAAKCAQEAx7Vd2s9QhT4rWz8LkP0m\n", 8)
)

func rules(hits []secret.Hit) []string {
	var out []string
	for _, h := range hits {
		name := h.Rule
		if h.Example {
			name += "?"
		}
		out = append(out, fmt.Sprintf("%d:%d %s", h.Line, h.Column, name))
	}
	return out
}

func TestScan(t *testing.T) {
	for _, tt := range []struct {
		name, path, text string
		want             []string
	}{
		{"place", "x.yaml", "a: b\n  token = " + glpat + "\n", []string{"2:11 gitlab-token"}},
		{"first byte", "x", glpat, []string{"1:1 gitlab-token"}},
		{"two in a line", "x", glpat + " " + glpat, []string{"1:1 gitlab-token", "1:28 gitlab-token"}},
		{"escaped newline", "x.json", `{"a":"b\n` + glpat + `"}`, []string{"1:10 gitlab-token"}},
		{"percent", "x", "url?token%3D" + glpat, []string{"1:13 gitlab-token"}},
		{"in a word", "x", "x" + glpat, nil},
		{"key", "k.pem", begin + lines + end, []string{"1:1 private-key"}},
		{"key of a YAML block", "k.yaml", "key: |\n  " + strings.ReplaceAll(begin+lines+end, "\n", "\n  "), []string{"2:3 private-key"}},
		{"key of JSON", "k.json", `{"k":"` + strings.ReplaceAll(begin+lines+end, "\n", `\n`) + `"}`, []string{"1:7 private-key"}},
		{"key of a program", "k.js", "var k = \"" + strings.ReplaceAll(begin+lines+end, "\n", "\\n\" +\n  \"") + "\";\n", []string{"1:10 private-key"}},
		{"key cut off", "k.pem", begin + lines, []string{"1:1 private-key"}},
		{"key of a documentation", "k.md", begin + "MIIEpAIBAAKCAQEAx7Vd2s9QhT4rWz8LkP0mYYzzTTaawwxx...\n" + end, nil},
		{"old encryption", "k.pem", begin + "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,8F14E45F\n\n" + lines + end, []string{"1:1 encrypted-private-key"}},
		{"public key", "k.pem", "-----BEGIN PUBLIC KEY-----\n" + lines + "-----END PUBLIC KEY-----\n", nil},
		{"in tests", "src/tests/k.pem", begin + lines + end, []string{"1:1 private-key?"}},
		{"env", "app/.env", "DB_PASSWORD=hunter2!\n# OLD_PASSWORD=hunter3!\n", []string{"1:13 password", "2:16 password?"}},
		{"yaml", "config.yaml", "db:\n  password: s3cretPass\n", []string{"2:13 password"}},
		{"call", "wp-config.php", "define( 'DB_PASSWORD', 'h8sD93kf!x' );\n", []string{"1:25 password"}},
		{"XML", "settings.xml", "<password>hunter2!</password>\n", []string{"1:11 password"}},
		{"escaped JSON", "x.json", `{"a":"{\"apiKey\":\"9aF3kQ2mZ8xW1pLr\"}"}`, []string{"1:21 api-key"}},
		{"code", "app.py", "password = os.environ['DB_PASSWORD1']\nif token == 'A1b2C3d4E5f6G7h8': pass\n", nil},
		{"word of a name", "a.go", `clientSecret := "oauth2ClientSecretValue"`, nil},
		{"placeholders", ".env", "TOKEN=xxxxxxxxxxxxxxxx1\nPASSWORD=changeme1\nA_SECRET=${SECRET_1}\nB_SECRET={{ .Values.s1 }}\nC_TOKEN=<token1>\nD_TOKEN=your-token-1234567\n", nil},
		{"lock file", "package-lock.json", `"integrity": "sha512-aB3dE5fG7hJ9kL1mN3pQaB3dE5fG7hJ9kL1mN3pQaB3dE5fG7hJ9kL1mN3pQaB3dE5fG7hJ9kL1mN3pQ=="` + "\n", nil},
		{"digest", "x.yaml", "token: sha256:8f14e45fceea167a5a36dedd4bea2543\nimage: a@sha256:8f14e45fceea167a5a36dedd4bea2543\n", nil},
		{"uuid", "x.yaml", "token: 8f14e45f-ceea-167a-5a36-dedd4bea2543\n", nil},
		{"sequence", "x.yaml", "token: 0123456789abcdefghij\n", nil},
		{"ARN", "x.json", "arn:aws:secretsmanager:eu-west-1:1234:secret:shop-db-aB3dE5fG7\n", nil},
		{"user:password", "x.md", "postgres://user:password@host/db https://a:b@\n", nil},
		{"address with template", "x", "http://{user}:{password}@{host}/ http://u:${P}@h/ http://{}:{}@{}:{}/\n", nil},
		{"JWT without signature", "x", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzaG9wIn0.aB3dE5fG7hJ9kL1mN3pQ", nil},
		{"locked login", "etc/shadow", "bin:*:19000::::::\nme:!$6$abcdefgh$12345678901234567890:1::::::\nyou::1::::::\n", nil},
		{"empty", "x", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hits, more := secret.Scan(tt.path, []byte(tt.text), secret.Options{})
			if got := rules(hits); !slices.Equal(got, tt.want) || more {
				t.Errorf("got %q more=%t, want %q", got, more, tt.want)
			}
		})
	}
}

func TestScanFingerprint(t *testing.T) {
	hits, _ := secret.Scan("x", []byte("a "+glpat+"\n"), secret.Options{})
	sum := sha256.Sum256([]byte(glpat))
	if want := hex.EncodeToString(sum[:8]); len(hits) != 1 || hits[0].Fingerprint != want {
		t.Errorf("got %+v, want fingerprint %s", hits, want)
	}
	// A key is the same whatever the file makes of its lines.
	pem, _ := secret.Scan("k.pem", []byte(begin+lines+end), secret.Options{})
	json, _ := secret.Scan("k.json", []byte(`{"k":"`+strings.ReplaceAll(begin+lines+end, "\n", `\n`)+`"}`), secret.Options{})
	if pem[0].Fingerprint != json[0].Fingerprint {
		t.Errorf("got fingerprints %s and %s of the same key", pem[0].Fingerprint, json[0].Fingerprint)
	}
}

func TestScanUTF16(t *testing.T) {
	text := "a: b\r\ntoken=" + glpat + "\r\n"
	for _, order := range []string{"little", "big"} {
		var body []byte
		for _, u := range append([]uint16{0xfeff}, utf16.Encode([]rune(text))...) {
			if order == "little" {
				body = append(body, byte(u), byte(u>>8))
			} else {
				body = append(body, byte(u>>8), byte(u))
			}
		}
		hits, _ := secret.Scan("appsettings.ini", body, secret.Options{})
		if got := rules(hits); !slices.Equal(got, []string{"2:13 gitlab-token"}) {
			t.Errorf("%s: got %q", order, got)
		}
	}
}

// TestScanBinary wants only what is proven from files that are no text.
func TestScanBinary(t *testing.T) {
	body := append([]byte("\x7fELF\x00\x00"), glpat+"\n"+begin+lines+end+"password=hunter2!\n"...)
	if hits, _ := secret.Scan("bin/app", body, secret.Options{}); len(hits) > 0 {
		t.Errorf("got %+v, want none", hits)
	}
	body = append(body, jwt...)
	if hits, _ := secret.Scan("bin/app", body, secret.Options{}); len(hits) != 1 || hits[0].Rule != "json-web-token" || !hits[0].Verified {
		t.Errorf("got %+v, want the token that is proven", hits)
	}
}

func TestScanLimits(t *testing.T) {
	many := strings.Repeat(glpat+"\n", 300)
	if hits, more := secret.Scan("x", []byte(many), secret.Options{}); len(hits) != 100 || !more {
		t.Errorf("got %d hits more=%t, want 100 and more", len(hits), more)
	}
	if hits, more := secret.Scan("x", []byte(many), secret.Options{MaxHits: 7}); len(hits) != 7 || !more {
		t.Errorf("got %d hits more=%t, want 7 and more", len(hits), more)
	}
	// Forms that begin everywhere and never end.
	for _, part := range []string{"xoxb-", "-----BEGIN PRIVATE KEY-----", "eyJ", "a://b:", "key=", "glpat-", "PuTTY-User-Key-File-", `"private_key""client_email"`, "eyJ.", "AKIA", "sk-a-"} {
		body := bytes.Repeat([]byte(part), (1<<20)/len(part))
		hits, more := secret.Scan("x", body, secret.Options{})
		if len(hits) > 100 {
			t.Errorf("%q over and over: got %d hits more=%t", part, len(hits), more)
		}
	}
}

func TestScanNamed(t *testing.T) {
	for _, tt := range []struct{ name, value, want, under string }{
		{"API_TOKEN", "8f14e45fceea167a5a36dedd4bea2543", "token", "API_TOKEN"},
		{"DB_PASSWORD", "shop", "password", "DB_PASSWORD"},
		{"X", glpat, "gitlab-token", "X"},
		{"AWS_SECRET_ACCESS_KEY", "/Jal" + "rXUtnFEMI/K7MDENG/bPxRfiCYzQ1234567a", "aws-secret-access-key", "AWS_SECRET_ACCESS_KEY"},
		{"DD_API_KEY", "8f14e45fceea167a5a36dedd4bea2543", "datadog-key", "DD_API_KEY"},
		{"history", "RUN curl -H 'PRIVATE-TOKEN: " + glpat + "' https://gitlab/", "gitlab-token", "history"},
		{"config", "a: b\npassword: hunter2\n", "password", "password"},
		{"GPG_KEY", "A035C8C19219BA821ECEA86B64E628F8D684696D", "", ""},
		{"PYTHON_SHA256", "8f14e45fceea167a5a36dedd4bea25438f14e45fceea167a5a36dedd4bea2543", "", ""},
		{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "", ""},
		{"PASSWORD", "${DB_PASSWORD}", "", ""},
		{"TOKEN_FILE", "/run/secrets/token1", "", ""},
		{"", "", "", ""},
	} {
		hit, ok := secret.ScanNamed(tt.name, tt.value)
		if hit.Rule != tt.want || hit.Name != tt.under || ok != (tt.want != "") {
			t.Errorf("%s=%s: got %+v %t, want %q under %q", tt.name, tt.value, hit, ok, tt.want, tt.under)
		}
	}
}

func TestWants(t *testing.T) {
	for _, tt := range []struct {
		path string
		mode fs.FileMode
		size int64
		want bool
	}{
		{"app/.env", 0o644, 100, true},
		{"app/config", 0o644, secret.Limit, true},
		{"app/config", 0o644, secret.Limit + 1, false},
		{"app/config", 0o644, 0, false},
		{"app/config", fs.ModeSymlink | 0o777, 100, false},
		{"app/folder", fs.ModeDir | 0o755, 4096, false},
		{"usr/share/doc/a/examples/key.pem", 0o644, 1700, true},
		{"app/node_modules/a/test/key.pem", 0o644, 1700, true},
		{"usr/share/locale/de/LC_MESSAGES/a.mo", 0o644, 1700, false},
		{"usr/lib/libssl.so", 0o755, 1 << 20, false},
		{"app/logo.PNG", 0o644, 1700, false},
		{"src/.git/objects/ab/cdef", 0o444, 200, false},
		{"usr/bin/app", 0o755, 1 << 20, true},
	} {
		if got := secret.Wants(tt.path, tt.mode, tt.size); got != tt.want {
			t.Errorf("%s %s %d: got %t, want %t", tt.path, tt.mode, tt.size, got, tt.want)
		}
	}
}

// TestScanKeepsSecrets wants nothing of what was found in what is told.
func TestScanKeepsSecrets(t *testing.T) {
	hits, _ := secret.Scan("x", []byte("token: "+glpat+"\npassword: hunter2!\nurl: http://u:h8sD93kf@h/\n"), secret.Options{})
	if len(hits) != 3 {
		t.Fatalf("got %+v, want 3 hits", hits)
	}
	if text := fmt.Sprintf("%+v", hits); strings.Contains(text, glpat) || strings.Contains(text, "hunter2") || strings.Contains(text, "h8sD93kf") {
		t.Errorf("a hit holds the value: %s", text)
	}
}

func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		glpat, begin + lines + end, "password = \"hunter2!\"", "postgres://a:b1c2d3@h/", "\xff\xfea\x00b\x00", "root:$6$abcdefgh$12345678901234:1:",
		jwt, "machine a login b password c", "PuTTY-User-Key-File-3: a\nPrivate-Lines: 1\n",
		`{"private_key":"-----BEGIN PRIVATE KEY-----\nAAAA","client_email":""}`, "1234567890:AA" + glpat + glpat, "age-secret-key-1", "nsec1qqqq",
	} {
		f.Add("etc/shadow", []byte(seed))
		f.Add("a.go", []byte(seed))
		f.Add(".netrc", []byte(seed))
		f.Add("x", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, path string, body []byte) {
		hits, _ := secret.Scan(path, body, secret.Options{})
		again, _ := secret.Scan(path, body, secret.Options{})
		if !slices.Equal(hits, again) {
			t.Fatalf("got %+v, then %+v", hits, again)
		}
		lines := bytes.Count(body, []byte("\n")) + 1
		for _, h := range hits {
			if h.Line < 1 || h.Line > lines || h.Column < 1 || h.Column > len(body) || len(h.Fingerprint) != 16 || h.Rule == "" || len(h.Name) > 200 {
				t.Fatalf("got %+v in %d bytes of %d lines", h, len(body), lines)
			}
		}
		secret.ScanNamed(path, string(body))
	})
}

func BenchmarkScan(b *testing.B) {
	text := strings.Repeat("The quick brown fox jumps over the lazy dog, and the risk of the task is that it asks.\nfunc (s *Server) Serve(ctx context.Context, key string) error {\n\ttoken := s.next()\n\treturn fmt.Errorf(\"serving %s: %w\", key, err)\n}\n", 5000)
	minified := strings.Repeat("!function(e,t){var n=e.key,r=t.token;for(var o=0;o<n.length;o++){r(n[o],{key:o,value:t[o]})}return e.default=r}(a,b),", 9000)
	binary := bytes.Repeat([]byte("\x7fELF\x00\x01\x02\x48\x8b\x05\x12\x34\x00\x00\xe8\xff\xffruntime.goexit\x00"), 30000)
	for _, tt := range []struct {
		name string
		body []byte
	}{{"text", []byte(text)}, {"minified", []byte(minified)}, {"binary", binary}} {
		b.Run(tt.name, func(b *testing.B) {
			b.SetBytes(int64(len(tt.body)))
			b.ReportAllocs()
			for b.Loop() {
				secret.Scan("a.js", tt.body, secret.Options{})
			}
		})
		b.Run(tt.name+"/count", func(b *testing.B) { // what reading alone costs
			b.SetBytes(int64(len(tt.body)))
			for b.Loop() {
				bytes.Count(tt.body, []byte("\n"))
			}
		})
	}
}
