package probe

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"seawall.io/seawall"
)

func question(t testing.TB, name string, kind dnsmessage.Type) []byte {
	t.Helper()
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 7, RecursionDesired: true})
	if err := errors.Join(b.StartQuestions(), b.Question(dnsmessage.Question{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET})); err != nil {
		t.Fatal(err)
	}
	out, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// answer replies to a question with an alias and two addresses, or that there is
// no such name where it begins with "no".
func answer(t testing.TB, query []byte) []byte {
	t.Helper()
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	h.Response = true
	missing := q.Name.Data[0] == 'n' && q.Name.Data[1] == 'o'
	if missing {
		h.RCode = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, h)
	b.EnableCompression()
	errs := []error{b.StartQuestions(), b.Question(q), b.StartAnswers()}
	if !missing {
		alias := dnsmessage.MustNewName("alias.example.net.")
		errs = append(errs,
			b.CNAMEResource(dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60}, dnsmessage.CNAMEResource{CNAME: alias}),
			b.AResource(dnsmessage.ResourceHeader{Name: alias, Class: q.Class, TTL: 60}, dnsmessage.AResource{A: [4]byte{127, 83, 0, 9}}),
			b.AResource(dnsmessage.ResourceHeader{Name: alias, Class: q.Class, TTL: 60}, dnsmessage.AResource{A: [4]byte{127, 83, 0, 10}}))
	}
	out, err := b.Finish()
	if err := errors.Join(append(errs, err)...); err != nil {
		t.Error(err)
	}
	return out
}

// nameServer answers on port 53 of an address of the loopback interface.
func nameServer(t *testing.T, address string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("port 53 takes root")
	}
	at := net.JoinHostPort(address, "53")
	udp, err := net.ListenPacket("udp", at)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { udp.Close() })
	tcp, err := net.Listen("tcp", at)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { tcp.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := udp.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = udp.WriteTo(answer(t, b[:n]), from)
		}
	}()
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			var length [2]byte
			if _, err := io.ReadFull(c, length[:]); err == nil {
				b := make([]byte, binary.BigEndian.Uint16(length[:]))
				if _, err := io.ReadFull(c, b); err == nil {
					a := answer(t, b)
					_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
				}
			}
			c.Close()
		}
	}()
	return at
}

func TestDNS(t *testing.T) {
	p := open(t, Options{Hooks: netHooks})
	for _, address := range []string{"127.83.0.1", "::1"} {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(network+address, func(t *testing.T) {
				at := nameServer(t, address)
				c, err := net.Dial(network, at)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
					t.Fatal(err)
				}
				name := network + ".Example.org."
				q := question(t, name, dnsmessage.TypeA)
				if network == "tcp" {
					q = append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...)
				}
				if _, err := c.Write(q); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Read(make([]byte, 1500)); err != nil {
					t.Fatal(err)
				}
				all := mine(t, p, func(ev *seawall.Event) bool { return ev.Kind == seawall.EventDNS && ev.DNS.Response })
				var asked, answered *seawall.Event
				for _, ev := range all {
					switch {
					case ev.DNS == nil:
					case ev.DNS.Response:
						answered = ev
					default:
						asked = ev
					}
				}
				server := netip.MustParseAddrPort(at)
				want := network + ".example.org"
				if asked == nil || asked.DNS.Name != want || asked.DNS.Type != "A" || asked.DNS.Server != server || asked.Process.Start == 0 {
					t.Errorf("question %+v", asked)
				}
				if answered.DNS.Name != want || answered.DNS.RCode != "NOERROR" || answered.DNS.Server != server ||
					!slices.Equal(answered.DNS.Answers, []string{"alias.example.net", "127.83.0.9", "127.83.0.10"}) {
					t.Errorf("answer %+v", answered.DNS)
				}

				// Whoever then connects there is said to connect to the name.
				l, err := net.Listen("tcp", "127.83.0.10:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				d, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				d.Close()
				all = mine(t, p, func(ev *seawall.Event) bool {
					return ev.Kind == seawall.EventConnect && ev.Socket.Remote.String() == l.Addr().String()
				})
				if got := all[len(all)-1]; find(all, seawall.EventConnect, func(s *seawall.Socket) bool { return s.Name == want }) == nil {
					t.Errorf("%+v", got.Socket)
				}
			})
		}
	}
}

// TestDNSWithoutConnect asks as resolvers do that send to one server after the
// other from one socket.
func TestDNSWithoutConnect(t *testing.T) {
	p := open(t, Options{Hooks: netHooks})
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(nameServer(t, "127.83.0.1")))
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, message := range [][]byte{question(t, "no.example.org.", dnsmessage.TypeTXT), []byte("this is no question, but something else that goes to port 53")} {
		if _, err := c.WriteTo(message, to); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	mine(t, p, func(ev *seawall.Event) bool {
		if ev.DNS != nil {
			seen[ev.DNS.Name+" "+ev.DNS.Type+" "+ev.DNS.RCode] = true
		}
		return seen["no.example.org TXT "] && seen["no.example.org TXT NXDOMAIN"] && seen["  malformed"]
	})
}

func TestDNSStorm(t *testing.T) {
	const queries = 20000
	p := open(t, Options{Hooks: netHooks})
	at := nameServer(t, "127.83.0.1")
	c, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	done := make(chan error, 1)
	go func() {
		b := make([]byte, 1500)
		for i := range queries {
			if _, err := c.Write(question(t, fmt.Sprintf("q%d.example.org.", i), dnsmessage.TypeA)); err != nil {
				done <- err
				return
			}
			if _, err := c.Read(b); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	asked, answered := map[string]bool{}, map[string]bool{}
	collect := func(ev *seawall.Event) {
		if ev.DNS == nil || ev.Process.PID != uint32(os.Getpid()) {
			return
		}
		if ev.DNS.Response {
			answered[ev.DNS.Name] = true
		} else {
			asked[ev.DNS.Name] = true
		}
	}
	began := time.Now()
	for running := true; running; time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
		if err := p.Poll(collect); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%.0f questions a second", queries/time.Since(began).Seconds())
	for range 3 {
		if err := p.Poll(collect); err != nil {
			t.Fatal(err)
		}
	}
	ledger := settle(t, p, seawall.EventDNS)
	if lost := int(ledger.Kinds[seawall.EventDNS].Lost); len(asked)+len(answered)+lost < 2*queries {
		t.Errorf("%d questions and %d answers were seen, %d were lost", len(asked), len(answered), lost)
	}
	if n := p.names.cgroups.young; len(n) > maxNameCgroups {
		t.Errorf("names of %d cgroups are kept", len(n))
	}
}

func TestTLS(t *testing.T) {
	p := open(t, Options{Hooks: netHooks})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"pool.example.org"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := tls.Listen("tcp", address, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}})
		if err != nil {
			t.Skip(err)
		}
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err == nil {
				_, _ = io.Copy(c, c)
				c.Close()
			}
		}()
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: "pool.example.org", NextProtos: []string{"h2", "http/1.1"}, InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		all := mine(t, p, func(ev *seawall.Event) bool { return ev.Kind == seawall.EventTLS })
		for _, ev := range all {
			if ev.Kind == seawall.EventTLS && (ev.TLS.ServerName != "pool.example.org" || !slices.Equal(ev.TLS.ALPN, []string{"h2", "http/1.1"}) || ev.TLS.Remote.String() != l.Addr().String()) {
				t.Errorf("%+v", ev.TLS)
			}
		}
	}
}

func TestPayload(t *testing.T) {
	p := open(t, Options{Hooks: netHooks})
	for _, test := range []struct{ sends, want string }{
		{"SSH-2.0-OpenSSH_9.9\r\n", "ssh"},
		{"POST / HTTP/1.1\r\nHost: x\r\n\r\n", "http"},
		{`{"id": 1, "method": "mining.subscribe", "params": []}` + "\n", "stratum"},
		{`{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"4A"}}` + "\n", "stratum"},
		{`{"hello": "world"}` + "\n", "json"},
		{"\x05\x01\x00", ""}, // too short to tell
		{"\x05\x01\x00\x05\x01\x00\x01", "socks"},
		{"EHLO example.org\r\n", ""},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		// Only the first data counts.
		fmt.Fprint(c, test.sends)
		fmt.Fprint(c, "GET / HTTP/1.1\r\n")
		errs := errors.Join(c.(*net.TCPConn).SetLinger(0), c.Close(), l.Close())
		if errs != nil {
			t.Fatal(errs)
		}
		all := mine(t, p, func(ev *seawall.Event) bool {
			return ev.Kind == seawall.EventClose && ev.Socket.Remote.String() == l.Addr().String()
		})
		var words []string
		for _, ev := range all {
			if ev.Kind == seawall.EventSend && ev.Socket.Remote.String() == l.Addr().String() {
				words = append(words, ev.Socket.Payload)
			}
		}
		if got := strings.Join(words, " "); got != test.want {
			t.Errorf("%q: %q, want %q", test.sends, got, test.want)
		}
	}
}

func TestNamesForget(t *testing.T) {
	var n names
	for cgroup := range uint64(3) {
		for i := range 5000 {
			a := netip.AddrFrom4([4]byte{10, byte(cgroup), byte(i >> 8), byte(i)})
			n.see(&seawall.Event{
				Kind: seawall.EventDNS, Process: &seawall.Process{Cgroup: cgroup}, Socket: &seawall.Socket{},
				DNS: &seawall.DNS{Name: a.String(), Type: "A", Response: true, Answers: []string{a.String()}},
			})
		}
		known, _ := n.cgroups.get(cgroup, maxNameCgroups)
		if known.len() > 2*maxNames {
			t.Errorf("%d names are kept", known.len())
		}
	}
	newest := netip.AddrFrom4([4]byte{10, 1, 4999 >> 8, 4999 & 0xff})
	ev := &seawall.Event{Process: &seawall.Process{Cgroup: 1}, Socket: &seawall.Socket{Remote: netip.AddrPortFrom(newest, 1)}}
	if n.see(ev); ev.Socket.Name != newest.String() {
		t.Errorf("%+v", ev.Socket)
	}
	ev.Socket.Name, ev.Process = "", &seawall.Process{Cgroup: 2}
	if n.see(ev); ev.Socket.Name != "" {
		t.Error("one cgroup's names name another's peers")
	}
	n.see(&seawall.Event{Cgroup: &seawall.Cgroup{ID: 1, Removed: true}})
	if _, ok := n.cgroups.get(1, maxNameCgroups); ok {
		t.Error("a cgroup that is gone is remembered")
	}
	for cgroup := range uint64(10 * maxNameCgroups) {
		n.cgroups.put(cgroup, &recent[netip.Addr, string]{}, maxNameCgroups)
	}
	if n.cgroups.len() > 2*maxNameCgroups {
		t.Errorf("%d cgroups are kept", n.cgroups.len())
	}
}

func FuzzDNS(f *testing.F) {
	q := question(f, "www.example.org.", dnsmessage.TypeAAAA)
	f.Add(q)
	f.Add(answer(f, q))
	f.Add(answer(f, question(f, "none.example.org.", dnsmessage.TypeTXT)))
	f.Add([]byte("\x00\x00\x80\x00\x00\x01\x00\x01\x00\x00\x00\x00\xc0\x0c")) // a name that points at itself
	f.Fuzz(func(t *testing.T, data []byte) {
		dns, addrs := parseDNS(data)
		if dns == nil || len(dns.Answers) > maxAnswers || len(addrs) > len(dns.Answers) {
			t.Errorf("%+v", dns)
		}
		if len(dns.Name) > 255 {
			t.Errorf("a name of %d bytes", len(dns.Name))
		}
	})
}

func FuzzHello(f *testing.F) {
	client, server := net.Pipe()
	go func() {
		_ = tls.Client(client, &tls.Config{ServerName: "www.example.org", NextProtos: []string{"h2"}}).Handshake()
	}()
	hello := make([]byte, 4096)
	n, err := server.Read(hello)
	if err != nil {
		f.Fatal(err)
	}
	client.Close()
	hello = hello[:n]
	if h := parseHello(hello); h.ServerName != "www.example.org" || !slices.Equal(h.ALPN, []string{"h2"}) {
		f.Fatalf("%+v", h)
	}
	f.Add(hello)
	f.Add(hello[:n/2])
	f.Add([]byte("\x16\x03\x01\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		h := parseHello(data)
		size := len(h.ServerName)
		for _, a := range h.ALPN {
			size += len(a)
		}
		if size > len(data) || len(h.ALPN) > maxProtocols {
			t.Errorf("%+v of %d bytes", h, len(data))
		}
	})
}

// FuzzRecord hands the decoder anything, as if the programs were of another version.
func FuzzRecord(f *testing.F) {
	for _, kind := range []seawall.EventKind{seawall.EventConnect, seawall.EventSend, seawall.EventDNS, seawall.EventTLS, seawall.EventVerdict} {
		raw := make([]byte, sizeOf[dnsPacket]()+64)
		binary.NativeEndian.PutUint32(raw, uint32(len(raw)))
		raw[4] = byte(kind)
		f.Add(raw)
		f.Add(raw[:sizeOf[netSocketEvent]()])
	}
	var d decoder
	d.init()
	f.Fuzz(func(_ *testing.T, raw []byte) {
		aligned := make([]uint64, len(raw)/8+1)
		_, _ = d.event(unsafeBytes(aligned, raw))
	})
}

func TestUnixPath(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"/run/x.sock\x00", "/run/x.sock"}, {"/run/x.sock", "/run/x.sock"}, {"\x00abstract", "@abstract"}, {"\x00a\x00b", "@a@b"}, {"", ""},
	} {
		if got := unixPath([]byte(test.in)); got != test.want {
			t.Errorf("%q: %q, want %q", test.in, got, test.want)
		}
	}
}

func TestCgroupRoot(t *testing.T) {
	const v1 = "30 24 0:26 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu\n"
	for _, test := range []struct{ mounts, want string }{
		{v1 + "33 24 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup/unified"},
		{"33 24 0:29 /kubepods/x /sys/fs/cgroup rw - cgroup2 none rw\n34 24 0:29 / /host/cgroup rw - cgroup2 none rw\n", "/host/cgroup"},
		{v1, ""},
	} {
		got, err := findCgroupRoot(test.mounts)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%q, %v, want %q", got, err, test.want)
		}
	}
	if got, err := new(Probe).cgroupPath(1 << 60); err == nil && os.Geteuid() == 0 {
		t.Error("a cgroup that is not there is ", got)
	} else if errors.Is(err, unix.EINVAL) {
		t.Error(err)
	}
}
