package probe

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seawall.io/seawall"
)

// storms are what the sensor costs most, each a number of acts of one kind.
func storms(b *testing.B) map[string]func(n int) {
	b.Helper()
	file := filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }))
	b.Cleanup(server.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	run := func(name string, args ...string) {
		if err := exec.CommandContext(b.Context(), name, args...).Run(); err != nil {
			b.Error(err)
		}
	}
	return map[string]func(n int){
		"exec": func(n int) {
			for range n {
				run("/bin/true")
			}
		},
		"fork": func(n int) {
			run("/bin/sh", "-c", fmt.Sprintf("i=0; while [ $i -lt %d ]; do (:); i=$((i+1)); done", n*4))
		},
		"open": func(n int) {
			for range n * 200 {
				f, err := os.Open(file)
				if err != nil {
					b.Error(err)
					return
				}
				_ = f.Close()
			}
		},
		"connect": func(n int) {
			for range n * 10 {
				c, err := net.Dial("tcp", listener.Addr().String())
				if err != nil {
					b.Error(err)
					return
				}
				_ = c.(*net.TCPConn).SetLinger(0)
				_ = c.Close()
			}
		},
		"http": func(n int) {
			for range n * 20 {
				r, err := server.Client().Get(server.URL)
				if err != nil {
					b.Error(err)
					return
				}
				_ = r.Body.Close()
			}
		},
	}
}

// cpu is the time that this process and its ended children have spent, that of the
// sensor's own reading included.
func cpu() time.Duration {
	var sum int64
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var r unix.Rusage
		if unix.Getrusage(who, &r) == nil {
			sum += r.Utime.Nano() + r.Stime.Nano()
		}
	}
	return time.Duration(sum)
}

// BenchmarkStorm measures storms with the sensor and without, turn by turn, so that
// what else the machine does weighs on both. The figure is the median of the ratios
// of neighbours, in CPU time with the reading included ("ratio") and in elapsed time.
//
//	go test -run '^$' -bench Storm -benchtime 11x ./internal/probe
func BenchmarkStorm(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("loading eBPF programs takes root")
	}
	acts := storms(b)
	for _, name := range sortedKeys(acts) {
		b.Run(name, func(b *testing.B) {
			act := acts[name]
			measure := func(with bool) (spent, elapsed float64) {
				stop, done := make(chan struct{}), make(chan struct{})
				if with {
					p, err := Open(Options{})
					if err != nil {
						b.Fatal(err)
					}
					defer p.Close()
					go func() {
						defer close(done)
						for tick := time.NewTicker(10 * time.Millisecond); ; {
							select {
							case <-stop:
								return
							case <-tick.C:
							}
							_ = p.Poll(func(*seawall.Event) {}) // a benchmark of what is read, not of what it says
						}
					}()
				} else {
					close(done)
				}
				runtime.GC() // what loading left is not the storm's
				began, used := time.Now(), cpu()
				act(300)
				spent, elapsed = float64(cpu()-used), float64(time.Since(began))
				close(stop)
				<-done
				return spent, elapsed
			}
			measure(false)
			var spent, elapsed []float64
			for i := range b.N {
				first := i%2 == 0
				s1, e1 := measure(first)
				s2, e2 := measure(!first)
				if !first {
					s1, e1, s2, e2 = s2, e2, s1, e1
				}
				spent, elapsed = append(spent, s1/s2), append(elapsed, e1/e2)
			}
			slices.Sort(spent)
			slices.Sort(elapsed)
			b.ReportMetric(spent[len(spent)/2], "ratio")
			b.ReportMetric(elapsed[len(elapsed)/2], "elapsed-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkPoll measures reading: one operation is one event of a ring, handed out.
func BenchmarkPoll(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("loading eBPF programs takes root")
	}
	o := Options{Hooks: []string{"process"}, Off: []seawall.EventKind{seawall.EventExec, seawall.EventComm}}
	o.RingBytes[RingLife] = 64 << 20
	p, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	read := 0
	b.ReportAllocs()
	for read < b.N {
		b.StopTimer()
		n := strconv.Itoa(min(b.N, 20000) / 2)
		if err := exec.CommandContext(b.Context(), "/bin/sh", "-c", "i=0; while [ $i -lt "+n+" ]; do (:); i=$((i+1)); done").Run(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		for before := -1; before != read; {
			before = read
			if err := p.Poll(func(*seawall.Event) { read++ }); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.StopTimer()
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "RssAnon:" {
				if kb, err := strconv.ParseFloat(f[1], 64); err == nil {
					b.ReportMetric(kb/1024, "MB-anon")
				}
			}
		}
	}
}
