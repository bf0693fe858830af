package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func entry(n int) *Entry {
	return &Entry{Kind: "alert", ID: strconv.Itoa(n), Time: time.Unix(int64(n), 0).UTC(), Value: json.RawMessage(strconv.Quote(strings.Repeat("x", 100)))}
}

func open(t *testing.T, file string, o Options) *Spool {
	t.Helper()
	s, err := Open(file, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func read(t *testing.T, s *Spool, from uint64, limit int) []string {
	t.Helper()
	var out []string
	if err := s.Read(from, limit, func(e Entry) error { out = append(out, fmt.Sprint(e.Seq, ":", e.ID)); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOrderAndDuplicates(t *testing.T) {
	file := filepath.Join(t.TempDir(), "spool")
	s := open(t, file, Options{})
	news := s.News()
	if err := s.Put(entry(1), entry(2)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-news:
	default:
		t.Error("nobody was told of news")
	}
	if err := s.Put(entry(2), entry(3)); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(read(t, s, 0, 0), " "); got != "1:1 2:2 3:3" {
		t.Error(got)
	}
	if got := strings.Join(read(t, s, 2, 1), " "); got != "2:2" {
		t.Error(got)
	}
	if err := s.Take(2); err != nil {
		t.Fatal(err)
	}
	if err := s.Take(9); err == nil {
		t.Error("took what is not there")
	}
	before := s.Stats()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, file, Options{})
	if s.Stats() != before {
		t.Errorf("%+v after opening again, %+v before", s.Stats(), before)
	}
}

func TestRoomIsBounded(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "spool"), Options{MaxBytes: 10_000})
	for n := range 200 {
		if err := s.Put(entry(n)); err != nil {
			t.Fatal(err)
		}
		if n == 10 {
			if err := s.Take(5); err != nil {
				t.Fatal(err)
			}
		}
	}
	st := s.Stats()
	if st.Bytes > 10_000 || st.Entries < 30 || st.First != 200-uint64(st.Entries)+1 {
		t.Errorf("%+v", st)
	}
	// All that is gone but the five that were taken was dropped.
	if want := st.First - 1 - 5; st.Dropped != want {
		t.Errorf("%d dropped, want %d", st.Dropped, want)
	}
	if err := s.Put(&Entry{Kind: "alert", ID: "huge", Value: json.RawMessage(strconv.Quote(strings.Repeat("x", 20_000)))}); err == nil {
		t.Error("an entry larger than the spool was taken")
	}
	if after := s.Stats(); after != st {
		t.Errorf("a refused entry changed the spool: %+v", after)
	}
}

func TestDamagedFileIsKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "spool")
	if err := os.WriteFile(file, []byte(strings.Repeat("no database ", 2000)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, file, Options{})
	aside := s.Stats().Damaged
	if text, err := os.ReadFile(aside); err != nil || !strings.HasPrefix(string(text), "no database") {
		t.Errorf("the damaged file is not at %q: %v", aside, err)
	}
	if err := s.Put(entry(1)); err != nil {
		t.Error(err)
	}
	if _, err := Open(file, Options{}); err == nil || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("opened twice: %v", err)
	}
}

// TestKill puts entries from a process that is killed in the middle of it: every
// entry that it was told is safe must be there, and the spool must open.
func TestKill(t *testing.T) {
	if file := os.Getenv("SPOOL_TEST_FILE"); file != "" {
		s, err := Open(file, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for n := range 100_000 {
			if err := s.Put(entry(n)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(os.Stdout, n)
		}
		return
	}
	file := filepath.Join(t.TempDir(), "spool")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKill$")
	cmd.Env = append(os.Environ(), "SPOOL_TEST_FILE="+file)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := -1
	for {
		var n int
		if _, err := fmt.Fscanln(out, &n); err != nil {
			break
		}
		if last = n; n == 50 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) {
		t.Fatal("it was not killed: ", err)
	}
	s := open(t, file, Options{})
	if got := len(read(t, s, 0, 0)); got < last+1 {
		t.Errorf("%d entries are there, %d were said to be", got, last+1)
	}
	if st := s.Stats(); st.Damaged != "" {
		t.Errorf("%+v", st)
	}
}
