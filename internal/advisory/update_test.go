package advisory

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// server serves one file with a fault.
type server struct {
	mu       sync.Mutex
	content  []byte
	etag     string
	cut      int  // bytes after which a response breaks off; 0 for none
	refuse   int  // how many requests are answered by 503 first
	noRange  bool // ranges are not known
	page     bool // all is a page of a proxy
	stall    int  // how many responses stop after their first byte
	flip     int  // place of a byte that is sent wrong; 0 for none
	requests []string
	sent     int
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Header.Get("Range"))
	if s.refuse > 0 {
		s.refuse--
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	}
	if s.page {
		io.WriteString(w, "<!DOCTYPE html><title>Sign in to the network</title>"+strings.Repeat(" ", 200))
		return
	}
	if s.noRange {
		r.Header.Del("Range")
	}
	if s.etag != "" {
		w.Header().Set("ETag", s.etag)
	}
	content := s.content
	if s.flip > 0 {
		content = bytes.Clone(content)
		content[s.flip] ^= 1
	}
	limit := -1
	if s.cut > 0 {
		limit = s.cut
	}
	if s.stall > 0 {
		s.stall--
		limit = 1
		defer func() {
			w.(http.Flusher).Flush()
			s.mu.Unlock()
			<-r.Context().Done()
			s.mu.Lock()
		}()
	}
	http.ServeContent(&breaking{w, &s.sent, limit, s.stall >= 0 && limit == 1}, r, "", time.Unix(1_700_000_000, 0), bytes.NewReader(content))
}

// breaking is a response that breaks off.
type breaking struct {
	http.ResponseWriter

	sent  *int
	limit int
	stall bool
}

func (b *breaking) Write(p []byte) (int, error) {
	if b.limit < 0 {
		*b.sent += len(p)
		return b.ResponseWriter.Write(p)
	}
	n := min(len(p), b.limit)
	b.limit -= n
	*b.sent += n
	if n > 0 {
		b.ResponseWriter.Write(p[:n])
	}
	if b.limit > 0 {
		return n, nil
	}
	if b.stall {
		return n, errors.New("stalled")
	}
	b.ResponseWriter.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func serve(t *testing.T, s *server) string {
	t.Helper()
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	return web.URL + "/seawall.db"
}

func quick() Transfer {
	return Transfer{Wait: time.Millisecond, Idle: 20 * time.Second, Attempts: 3}
}

// generations are two databases signed by one key, an hour apart, of which only
// what is known of npm differs.
func generations(t *testing.T) (first, second []byte, keys []ed25519.PublicKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.db")
	var out [][]byte
	for i, fixed := range []string{"1.0.0", "2.0.0"} {
		inputs := []Input{{Path: "testdata/osv-rust.jsonl.gz"}, {Path: "testdata/osv-pypi.jsonl.gz"}, literal(t, "npm.json", fmt.Sprintf(oneRecord, "2024-01-01T00:00:00Z", "s", fixed))}
		inputs[2].Name = "npm"
		if _, err := Build(t.Context(), inputs, path, Options{Built: someTime.Add(time.Duration(i) * time.Hour), Key: private}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out[0], out[1], []ed25519.PublicKey{public}
}

func TestUpdate(t *testing.T) {
	first, second, keys := generations(t)
	for _, c := range []struct {
		name   string
		server *server
		want   string // in the error
	}{
		{"good", &server{}, ""},
		{"busy", &server{refuse: 2}, ""},
		{"too busy", &server{refuse: 100}, "given up after 3 attempts: the server says 503"},
		{"cut", &server{cut: 20_000}, ""},
		{"no ranges", &server{noRange: true}, ""},
		{"no ranges and cut after the head", &server{noRange: true, cut: 3_000}, "given up"},
		{"stalled", &server{stall: 1}, ""},
		{"page", &server{page: true}, `begins with "<!DOCTYPE html>`},
		{"wrong byte in the head", &server{flip: 60}, "checksum is wrong"},
		{"wrong byte in a section", &server{flip: len(second) / 2}, "does not have the hash"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := c.server
			s.content = second
			path := filepath.Join(t.TempDir(), "seawall.db")
			if err := os.WriteFile(path, first, 0o600); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(c.name, "wrong byte in a s") {
				os.Remove(path) // so that all sections are loaded
			}
			transfer := quick()
			if s.stall > 0 {
				transfer.Idle = 200 * time.Millisecond
			}
			done, err := Update(t.Context(), serve(t, s), path, UpdateOptions{Keys: keys, Transfer: transfer})
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want an error with %q", err, c.want)
				}
				if got, err := os.ReadFile(path); err == nil && !bytes.Equal(got, first) {
					t.Error("the database in place was changed")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, second) {
				t.Errorf("the new database is not in place: %v", err)
			}
			if _, err := os.Stat(path + ".part"); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the part is left behind: %v", err)
			}
			if c.name == "good" && (done.Loaded > int64(len(second))/2 || done.Kept < int64(len(second))/2) {
				t.Errorf("of %d bytes, %d were loaded and %d kept", len(second), done.Loaded, done.Kept)
			}
			if done, err = Update(t.Context(), serve(t, &server{content: second}), path, UpdateOptions{Keys: keys, Transfer: quick()}); err != nil || !done.Unchanged {
				t.Errorf("again: %+v, %v", done, err)
			}
		})
	}
}

// TestUpdateGoesOn breaks an update off for good and starts another.
func TestUpdateGoesOn(t *testing.T) {
	_, second, keys := generations(t)
	path := filepath.Join(t.TempDir(), "seawall.db")
	s := &server{content: second, noRange: true, cut: len(second) * 2 / 3}
	address := serve(t, s)
	transfer := quick()
	transfer.Attempts = 1
	if _, err := Update(t.Context(), address, path, UpdateOptions{Keys: keys, Transfer: transfer}); err == nil {
		t.Fatal("a source that breaks off is no error")
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a database is in place: %v", err)
	}
	// What lies there is not trusted: a byte of it is changed.
	part, err := os.OpenFile(path+".part", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.WriteAt([]byte{0xff}, int64(len(second)/3)); err != nil {
		t.Fatal(err)
	}
	part.Close()
	s.mu.Lock()
	s.cut, s.noRange, s.sent = 0, false, 0
	s.mu.Unlock()
	done, err := Update(t.Context(), address, path, UpdateOptions{Keys: keys, Transfer: quick()})
	if err != nil {
		t.Fatal(err)
	}
	if done.Kept == 0 {
		t.Error("nothing was kept of what was there")
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, second) {
		t.Error("the new database is not right")
	}
}

func TestUpdateRefuses(t *testing.T) {
	first, second, keys := generations(t)
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "seawall.db")
	source := filepath.Join(t.TempDir(), "mirror.db")
	put := func(path string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(path, second)
	put(source, first)
	if _, err := Update(t.Context(), source, path, UpdateOptions{Keys: keys}); !errors.Is(err, ErrOlder) {
		t.Errorf("an older one: %v", err)
	}
	if _, err := Update(t.Context(), source, path, UpdateOptions{Keys: keys, Older: true}); err != nil {
		t.Errorf("an older one that is asked for: %v", err)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, first) {
		t.Error("the older one is not in place")
	}
	put(source, second)
	if _, err := Update(t.Context(), source, path, UpdateOptions{Keys: []ed25519.PublicKey{other}}); !errors.Is(err, ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	if _, err := Update(t.Context(), source, path, UpdateOptions{}); !errors.Is(err, ErrSignature) {
		t.Errorf("no key: %v", err)
	}
	if _, err := Update(t.Context(), source, path, UpdateOptions{Unsigned: true}); err != nil {
		t.Errorf("no key wanted: %v", err)
	}
	if _, err := Update(t.Context(), filepath.Join(t.TempDir(), "none"), path, UpdateOptions{Keys: keys}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no source: %v", err)
	}
	for _, address := range []string{"http://db.example.org/seawall.db", "ftp://db.example.org/x"} {
		if _, err := Update(t.Context(), address, path, UpdateOptions{Keys: keys}); !errors.Is(err, errPermanent) {
			t.Errorf("%s: %v", address, err)
		}
	}
	redirect := httptest.NewServer(http.RedirectHandler("http://db.example.org/seawall.db", http.StatusFound))
	defer redirect.Close()
	if _, err := Update(t.Context(), redirect.URL, path, UpdateOptions{Keys: keys, Transfer: quick()}); err == nil || !strings.Contains(err.Error(), "not encrypted") {
		t.Errorf("a redirect to http: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Update(ctx, serve(t, &server{content: second}), filepath.Join(t.TempDir(), "x"), UpdateOptions{Keys: keys, Transfer: quick()}); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
}

// TestUpdateMends replaces a database in place that is damaged, from the same one.
func TestUpdateMends(t *testing.T) {
	first, _, keys := generations(t)
	path := filepath.Join(t.TempDir(), "seawall.db")
	damaged := bytes.Clone(first)
	damaged[len(damaged)/2] ^= 1
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	done, err := Update(t.Context(), serve(t, &server{content: first}), path, UpdateOptions{Keys: keys, Transfer: quick()})
	if err != nil || done.Unchanged {
		t.Errorf("%+v, %v", done, err)
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, first) {
		t.Error("it is not mended")
	}
}

func TestFetch(t *testing.T) {
	record := []byte(fmt.Sprintf(oneRecord, "2024-01-01T00:00:00Z", strings.Repeat("long ", 4000), "1.2.3"))
	good := &server{content: record, etag: `"1"`}
	cut := &server{content: record, etag: `"1"`, cut: 9_000}
	weak := &server{content: record, etag: `W/"1"`, cut: 9_000}
	page := &server{page: true}
	busy := &server{content: record, refuse: 1}
	latest := http.NewServeMux()
	latest.HandleFunc("/vex/latest.txt", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "vex-2026.jsonl\n") })
	latest.Handle("/vex/vex-2026.jsonl", busy)
	web := httptest.NewServer(latest)
	defer web.Close()
	feeds := []Feed{
		{Name: "good", URL: serve(t, good) + ".json", Licence: "MIT"},
		{Name: "cut", URL: serve(t, cut) + ".json"},
		{Name: "weak", URL: serve(t, weak) + ".json"},
		{Name: "page", URL: serve(t, page) + ".json"},
		{Name: "latest", URL: web.URL + "/vex/latest.txt", Latest: true},
		{Name: "gone", URL: web.URL + "/gone.json"},
	}
	folder := t.TempDir()
	inputs, err := Fetch(t.Context(), feeds, folder, quick())
	if err != nil || len(inputs) != len(feeds) {
		t.Fatal(err, len(inputs))
	}
	for i, want := range []string{"", "", "unexpected EOF", "what came is no feed", "", "404"} {
		in := inputs[i]
		if want != "" && !strings.Contains(in.Missing, want) || want == "" && in.Missing != "" {
			t.Errorf("%s: missing %q, want %q", in.Name, in.Missing, want)
		}
		if want == "" {
			if got, err := os.ReadFile(in.Path); err != nil || !bytes.Equal(got, record) {
				t.Errorf("%s: %d of %d bytes, %v", in.Name, len(got), len(record), err)
			}
			if in.Modified.Unix() != 1_700_000_000 {
				t.Errorf("%s: modified %v", in.Name, in.Modified)
			}
		}
	}
	if !slices.Contains(cut.requests, "bytes=9000-") {
		t.Errorf("what was cut off did not go on: %q", cut.requests)
	}
	// Again: nothing is loaded that is there, and what changed is.
	good.sent = 0
	if inputs, err = Fetch(t.Context(), feeds[:1], folder, quick()); err != nil || inputs[0].Path == "" || good.sent != 0 {
		t.Errorf("again: %+v, %v, %d bytes", inputs, err, good.sent)
	}
	good.mu.Lock()
	good.content, good.etag = slices.Concat(record, []byte("\n")), `"2"`
	good.mu.Unlock()
	if inputs, err = Fetch(t.Context(), feeds[:1], folder, quick()); err != nil || inputs[0].Missing != "" {
		t.Fatal(inputs, err)
	}
	if got, _ := os.ReadFile(inputs[0].Path); len(got) != len(record)+1 {
		t.Errorf("the changed feed is not there: %d bytes", len(got))
	}
	db, status := build(t, inputs...)
	if len(ask(db, "npm", "a")) != 1 || status.Sources[1].Licence != "MIT" {
		t.Errorf("the feed was not read: %+v", status.Sources)
	}
}

// TestFetchStartsAnew has a part of a file that the server changed, and one that
// is longer than what the server has.
func TestFetchStartsAnew(t *testing.T) {
	record := []byte(fmt.Sprintf(oneRecord, "2024-01-01T00:00:00Z", "s", "1.2.3"))
	for etag, length := range map[string]int{`"old"`: 100, `"1"`: 100_000} {
		folder := t.TempDir()
		address := serve(t, &server{content: record, etag: `"1"`})
		path := filepath.Join(folder, "f.db")
		if err := os.WriteFile(path+".part", make([]byte, length), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := writeValidator(path+".part.json", validator{URL: address, ETag: etag}); err != nil {
			t.Fatal(err)
		}
		inputs, err := Fetch(t.Context(), []Feed{{Name: "f", URL: address}}, folder, quick())
		if err != nil || inputs[0].Missing != "" {
			t.Fatalf("%s: %v %v", etag, inputs, err)
		}
		if got, _ := os.ReadFile(inputs[0].Path); !bytes.Equal(got, record) {
			t.Errorf("%s: %q", etag, got)
		}
	}
}

func TestFeeds(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Feeds() {
		if seen[f.Name] || f.Licence == "" || !strings.HasPrefix(f.URL, "https://") {
			t.Errorf("%+v: named twice, without a licence, or not encrypted", f)
		}
		seen[f.Name] = true
	}
}
