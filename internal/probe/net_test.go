package probe

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"seawall.io/seawall"
)

// netHooks are what these tests need: the others would only add to the noise.
var netHooks = []string{"process", "net", "net-unix", "dns"}

// mine returns the events of this process with a kind, of those that came until one
// of them is what is asked for.
func mine(t *testing.T, p *Probe, last func(*seawall.Event) bool) []*seawall.Event {
	t.Helper()
	ours := func(ev *seawall.Event) bool {
		return ev.Process != nil && ev.Process.PID == uint32(os.Getpid())
	}
	_, all := until(t, p, func(ev *seawall.Event) bool { return ours(ev) && last(ev) })
	return slices.DeleteFunc(all, func(ev *seawall.Event) bool { return !ours(ev) })
}

func find(events []*seawall.Event, kind seawall.EventKind, is func(*seawall.Socket) bool) *seawall.Event {
	for _, ev := range events {
		if ev.Kind == kind && ev.Socket != nil && is(ev.Socket) {
			return ev
		}
	}
	return nil
}

func logSockets(t *testing.T, events []*seawall.Event) {
	t.Helper()
	for _, ev := range events {
		if ev.Socket != nil {
			t.Logf("%s count %d %+v", ev.Kind, ev.Count, *ev.Socket)
		}
	}
}

func port(a net.Addr) uint16 { return netip.MustParseAddrPort(a.String()).Port() }

func TestTCP(t *testing.T) {
	p := open(t, Options{Hooks: netHooks})
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			l, err := net.Listen("tcp", address)
			if err != nil {
				t.Skip("no such address here: ", err)
			}
			defer l.Close()
			server := netip.MustParseAddrPort(l.Addr().String())
			done := make(chan error, 1)
			go func() {
				c, err := l.Accept()
				if err != nil {
					done <- err
					return
				}
				_, err = io.ReadFull(c, make([]byte, 5))
				_, werr := c.Write([]byte("good evening"))
				done <- errors.Join(err, werr, c.Close())
			}()
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			client := netip.MustParseAddrPort(c.LocalAddr().String())
			fmt.Fprint(c, "hello")
			if got, err := io.ReadAll(c); err != nil || string(got) != "good evening" {
				t.Fatal(string(got), err)
			}
			if err := errors.Join(c.Close(), <-done); err != nil {
				t.Fatal(err)
			}
			var left, right bool
			all := mine(t, p, func(ev *seawall.Event) bool {
				if ev.Kind == seawall.EventClose {
					left = left || ev.Socket.Local == server
					right = right || ev.Socket.Remote == server
				}
				return left && right
			})
			if ev := find(all, seawall.EventListen, func(s *seawall.Socket) bool { return s.Local == server && s.Protocol == "tcp" }); ev == nil {
				t.Error("no listen")
			}
			connect := find(all, seawall.EventConnect, func(s *seawall.Socket) bool { return s.Remote == server && s.Local.Addr() == client.Addr() })
			if connect == nil {
				t.Error("no connect")
			} else if connect.Process.Comm == "" || connect.Process.Start == 0 || connect.Process.NS.Net == 0 || connect.Process.Parent == nil || connect.Socket.Cookie == 0 {
				t.Errorf("%+v %+v", connect.Process, connect.Socket)
			}
			if ev := find(all, seawall.EventAccept, func(s *seawall.Socket) bool { return s.Local == server && s.Remote == client }); ev == nil {
				t.Error("no accept")
			}
			ev := find(all, seawall.EventClose, func(s *seawall.Socket) bool { return s.Remote == server })
			if ev == nil || ev.Socket.BytesSent != 5 || ev.Socket.BytesReceived != 12 || ev.Socket.Result != 0 || ev.Socket.Cookie != connect.Socket.Cookie {
				t.Errorf("close of the client: %+v", ev)
			}
			ev = find(all, seawall.EventClose, func(s *seawall.Socket) bool { return s.Local == server })
			if ev == nil || ev.Socket.BytesSent != 12 || ev.Socket.BytesReceived != 5 || ev.Socket.Remote != client {
				t.Errorf("close of the server: %+v", ev)
			}
			if t.Failed() {
				logSockets(t, all)
			}
		})
	}
}

// TestAdopted takes connections on a listener that is older than the sensor.
func TestAdopted(t *testing.T) {
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	l, err := plain.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	old, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p := open(t, Options{Hooks: netHooks})
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all := mine(t, p, func(ev *seawall.Event) bool {
		return ev.Kind == seawall.EventAccept && ev.Socket.Local.String() == l.Addr().String()
	})
	if ev := find(all, seawall.EventAccept, func(s *seawall.Socket) bool { return s.Local.String() == l.Addr().String() }); ev.Process.Start == 0 || ev.Process.Comm == "" {
		t.Errorf("%+v", ev.Process)
	}
	if err := old.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	old.Close()
	mine(t, p, func(ev *seawall.Event) bool {
		return ev.Kind == seawall.EventClose && ev.Socket.Local.String() == old.LocalAddr().String()
	})
}

func TestRefused(t *testing.T) {
	p := open(t, Options{Hooks: netHooks})
	// The port was free a moment ago.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := netip.MustParseAddrPort(l.Addr().String())
	l.Close()
	if _, err := net.Dial("tcp", server.String()); !errors.Is(err, unix.ECONNREFUSED) {
		t.Fatal(err)
	}
	all := mine(t, p, func(ev *seawall.Event) bool {
		return ev.Kind == seawall.EventClose && ev.Socket.Remote == server
	})
	if find(all, seawall.EventConnect, func(s *seawall.Socket) bool { return s.Remote == server }) == nil {
		t.Error("no connect")
	}
	if ev := find(all, seawall.EventClose, func(s *seawall.Socket) bool { return s.Remote == server }); ev.Socket.Result != -int64(unix.ECONNREFUSED) {
		t.Errorf("%+v", ev.Socket)
	}
}

func TestDatagrams(t *testing.T) {
	p := open(t, Options{Hooks: netHooks})
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			server, err := net.ListenPacket("udp", address)
			if err != nil {
				t.Skip("no such address here: ", err)
			}
			defer server.Close()
			to := netip.MustParseAddrPort(server.LocalAddr().String())
			client, err := net.ListenPacket("udp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			for range 100 {
				if _, err := client.WriteTo([]byte("x"), server.LocalAddr()); err != nil {
					t.Fatal(err)
				}
			}
			connected, err := net.Dial("udp", to.String())
			if err != nil {
				t.Fatal(err)
			}
			defer connected.Close()
			all := mine(t, p, func(ev *seawall.Event) bool {
				return ev.Kind == seawall.EventConnect && ev.Socket.Remote == to
			})
			bind := find(all, seawall.EventBind, func(s *seawall.Socket) bool { return s.Local == to && s.Protocol == "udp" })
			send := find(all, seawall.EventSend, func(s *seawall.Socket) bool { return s.Remote == to && s.Protocol == "udp" })
			if bind == nil || send == nil {
				t.Errorf("bind %+v, send %+v", bind, send)
				logSockets(t, all)
			} else if send.Socket.Local.Port() != port(client.LocalAddr()) {
				t.Errorf("send %+v", send.Socket)
			}
			sends := 0
			for _, ev := range all {
				if ev.Kind == seawall.EventSend && ev.Socket.Remote == to {
					sends++
				}
			}
			if sends > 3 { // one a second
				t.Errorf("%d events of 100 equal sends", sends)
			}
		})
	}
}

func TestRawSocket(t *testing.T) {
	p := open(t, Options{Hooks: netHooks})
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	if err != nil {
		t.Skip(err)
	}
	unix.Close(fd)
	mine(t, p, func(ev *seawall.Event) bool { return ev.Kind == seawall.EventSock && ev.Socket.Protocol == "raw" })
}

func TestUnixSocket(t *testing.T) {
	p := open(t, Options{Hooks: netHooks})
	if p.hooks["net-unix"] == nil {
		t.Skip(p.gatesOf("net-unix"))
	}
	path := filepath.Join(t.TempDir(), "s")
	abstract := fmt.Sprintf("@seawall-test-%d", os.Getpid())
	for _, name := range []string{path, abstract} {
		l, err := net.Listen("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := net.Dial("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		mine(t, p, func(ev *seawall.Event) bool {
			return ev.Kind == seawall.EventConnect && ev.Socket.Protocol == "unix" && ev.Socket.Path == name
		})
	}
}

// settle detaches the hooks, reads what is left, and checks that every event is
// accounted for.
func settle(t *testing.T, p *Probe, kinds ...seawall.EventKind) Ledger {
	t.Helper()
	for _, h := range p.Coverage().Hooks {
		if err := p.Detach(h); err != nil {
			t.Fatal(err)
		}
	}
	for more := true; more; {
		more = false
		if err := p.Poll(func(*seawall.Event) { more = true }); err != nil {
			t.Fatal(err)
		}
	}
	ledger, err := p.Ledger()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		c := ledger.Kinds[k]
		t.Logf("%s: %+v", k, c)
		if c.Attempts != c.Delivered+c.Lost+c.Folded+c.Filtered {
			t.Errorf("%s does not add up: %+v", k, c)
		}
		if c.Read != c.Delivered {
			t.Errorf("%s: %d delivered, %d read", k, c.Delivered, c.Read)
		}
	}
	return ledger
}

// Several threads connect while nobody reads a ring that is too small: what was
// folded, delivered and lost must be all there was.
func TestConnectStorm(t *testing.T) {
	const ports, rounds, workers = 200, 50, 4
	p := open(t, Options{Hooks: netHooks, RingBytes: [ringCount]uint32{RingNet: 64 << 10}})
	var listeners []net.Listener
	for range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		listeners = append(listeners, l)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range rounds * ports / workers {
				c, err := net.Dial("tcp", listeners[i%ports].Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
		})
	}
	wg.Wait()
	ledger := settle(t, p, seawall.EventConnect, seawall.EventAccept, seawall.EventClose, seawall.EventListen)
	if n := ledger.Kinds[seawall.EventConnect].Attempts; n < ports*rounds {
		t.Errorf("%d connects were counted of %d", n, ports*rounds)
	}
	lost := ledger.Kinds[seawall.EventConnect].Lost + ledger.Kinds[seawall.EventAccept].Lost + ledger.Kinds[seawall.EventClose].Lost + ledger.Kinds[seawall.EventListen].Lost
	var named uint64
	for _, l := range ledger.Lost {
		named += l.Count
	}
	if lost == 0 || named < lost {
		t.Errorf("%d were lost of a ring that is too small, of %d the cgroup is known", lost, named)
	}
}

// unsafeBytes copies b to where a record may lie.
func unsafeBytes(room []uint64, b []byte) []byte {
	out := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(room))), len(room)*8)
	return out[:copy(out, b)]
}
