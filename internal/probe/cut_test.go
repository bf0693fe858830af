package probe

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seawall.io/seawall"
)

// The frames that packet sockets send here: an ethertype for experiments.
const etherTest = 0x88b5

// TestHelper is no test: it is the program that the tests here run in containers
// of their own. It does what it is told, line by line.
func TestHelper(t *testing.T) {
	if os.Getenv("SEAWALL_TEST_HELPER") == "" {
		return // run by other tests
	}
	in, out := os.NewFile(3, "in"), os.NewFile(4, "out")
	h := helper{}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if err := h.do(strings.Fields(lines.Text())); err != nil {
			fmt.Fprintln(out, strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Fprintln(out, "ok")
		}
	}
}

type helper struct {
	stream net.Conn
	keep   []io.Closer
}

const patience = 2 * time.Second

func echo(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("ping")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 4))
	return err
}

func (h *helper) do(words []string) error {
	switch words[0] {
	case "dial": // NETWORK ADDRESS
		c, err := net.DialTimeout(words[1], words[2], patience)
		if err != nil {
			return err
		}
		defer c.Close()
		return echo(c)
	case "open": // ADDRESS, of a stream that is kept
		c, err := net.DialTimeout("tcp", words[1], patience)
		if err != nil {
			return err
		}
		h.stream = c
		return echo(c)
	case "ping": // on that stream
		return echo(h.stream)
	case "send": // ADDRESS: a datagram without connect
		c, err := net.ListenPacket("udp", ":0")
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(words[1])))
		return err
	case "listen": // ADDRESS
		l, err := serve(words[1])
		h.keep = append(h.keep, l)
		return err
	case "socket": // of IP
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	case "frames": // N, past IP
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		eth0, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		frame := append([]byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01"), etherTest>>8, etherTest&0xff)
		frame = append(frame, make([]byte, 50)...)
		for range 10 {
			if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: eth0.Index, Halen: 6}); err != nil {
				return err
			}
		}
		return nil
	case "agent": // PINS CGROUP IFINDEX: cuts, and waits to be killed
		var cgroup uint64
		var ifindex int
		if _, err := fmt.Sscan(words[2], &cgroup); err != nil {
			return err
		}
		if _, err := fmt.Sscan(words[3], &ifindex); err != nil {
			return err
		}
		p, err := Open(Options{Hooks: cutHooks, Pins: words[1]})
		if err != nil {
			return err
		}
		h.keep = append(h.keep, p)
		return errors.Join(p.Cut(cgroup), p.CutLink(ifindex))
	}
	return fmt.Errorf("what is %q?", words)
}

// serve echoes what comes over TCP and UDP.
func serve(address string) (io.Closer, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c) }()
		}
	}()
	u, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = u.WriteTo(b[:n], from)
		}
	}()
	return closers{l, u}, nil
}

type closers []io.Closer

func (c closers) Close() error {
	var errs []error
	for _, x := range c {
		errs = append(errs, x.Close())
	}
	return errors.Join(errs...)
}

// container is a helper in a cgroup and network of its own.
type container struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	cgroup uint64 // the outermost of its own
}

var cutHooks = []string{"process", "cut", "cut-unix", "cut-link"}

func run(t *testing.T, dir string, clone uintptr) *container {
	t.Helper()
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelper$", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), "SEAWALL_TEST_HELPER=1", "GORACE=")
	cmd.ExtraFiles = []*os.File{inRead, outWrite}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: clone}
	if dir != "" {
		d, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(d.Fd())
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	inRead.Close()
	outWrite.Close()
	c := &container{t: t, cmd: cmd, in: inWrite, out: bufio.NewScanner(outRead)}
	t.Cleanup(func() { c.kill(); inWrite.Close(); outRead.Close() })
	return c
}

func (c *container) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

func (c *container) do(words ...string) error {
	c.t.Helper()
	fmt.Fprintln(c.in, strings.Join(words, " "))
	if !c.out.Scan() {
		c.t.Fatalf("%s: the helper is gone: %v", words, c.out.Err())
	}
	if c.out.Text() == "ok" {
		return nil
	}
	return errors.New(c.out.Text())
}

// cgroupDir makes a cgroup below the default hierarchy's root, to be removed when
// what runs in it was killed.
func cgroupDir(t *testing.T) string {
	t.Helper()
	root, err := new(Probe).cgroupRoot()
	if err != nil {
		t.Skip(err)
	}
	dir, err := os.MkdirTemp(root, "seawall-test-") //nolint:usetesting // it must be a cgroup
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "nested"), 0o755)
	}
	if err != nil {
		t.Skip("no cgroup can be made: ", err)
	}
	t.Cleanup(func() {
		for range 100 {
			_ = os.Remove(filepath.Join(dir, "nested"))
			if err = os.Remove(dir); err == nil || errors.Is(err, os.ErrNotExist) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Error(err)
	})
	return dir
}

func cgroupID(t *testing.T, dir string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}

// node moves the test's thread into a network namespace of its own, which stands
// for the node's.
func node(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces take root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip(err)
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip("no network namespace can be made: ", err)
	}
	ip(t, "link", "set", "lo", "up")
}

func addVeth(t *testing.T, a, b string) {
	t.Helper()
	if out, err := exec.Command("ip", "link", "add", a, "type", "veth", "peer", "name", b).CombinedOutput(); err != nil {
		t.Skipf("no veth pair can be made: %v: %s", err, out)
	}
}

// inCgroup runs a helper in a cgroup below one of its own.
func inCgroup(t *testing.T, clone uintptr) *container {
	t.Helper()
	dir := cgroupDir(t)
	c := run(t, filepath.Join(dir, "nested"), clone)
	c.cgroup = cgroupID(t, dir)
	return c
}

// pod runs a helper in a cgroup and network of its own, 10.83.N.2 and fd83:N::2,
// and returns the node's end of its veth pair. The node is .1.
func pod(t *testing.T, n int) (*container, int) {
	t.Helper()
	c := inCgroup(t, unix.CLONE_NEWNET)
	host, peer := fmt.Sprintf("swtest%d", n), fmt.Sprintf("swpeer%d", n)
	pid := strconv.Itoa(c.cmd.Process.Pid)
	addVeth(t, host, peer)
	ip(t, "link", "set", peer, "netns", pid)
	ip(t, "addr", "add", fmt.Sprintf("10.83.%d.1/24", n), "dev", host)
	ip(t, "-6", "addr", "add", fmt.Sprintf("fd83:%d::1/64", n), "dev", host, "nodad")
	ip(t, "link", "set", host, "up")
	inside := func(args ...string) {
		t.Helper()
		out, err := exec.Command("nsenter", append([]string{"-t", pid, "-n", "ip"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
	}
	inside("link", "set", peer, "name", "eth0")
	inside("link", "set", "lo", "up")
	inside("addr", "add", fmt.Sprintf("10.83.%d.2/24", n), "dev", "eth0")
	inside("-6", "addr", "add", fmt.Sprintf("fd83:%d::2/64", n), "dev", "eth0", "nodad")
	inside("link", "set", "eth0", "up")
	// Routes of IPv6 come a moment after the addresses.
	ready := func(send func() error) {
		t.Helper()
		var err error
		for range 500 {
			if err = send(); err == nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatal(err)
	}
	ready(func() error { return c.do("send", fmt.Sprintf("[fd83:%d::1]:9", n)) })
	ready(func() error {
		u, err := net.Dial("udp", fmt.Sprintf("[fd83:%d::2]:9", n))
		if err == nil {
			err = u.Close()
		}
		return err
	})
	i, err := net.InterfaceByName(host)
	if err != nil {
		t.Fatal(err)
	}
	links, err := HostLinks(c.cmd.Process.Pid)
	if err != nil || !slices.Equal(links, []int{i.Index}) {
		t.Fatalf("the links of the pod: %v %v, want %d", links, err, i.Index)
	}
	return c, i.Index
}

// arrivals counts the frames that come out of the node's end of a pair.
func arrivals(t *testing.T, ifindex int) func() int {
	t.Helper()
	const protocol = etherTest>>8 | etherTest&0xff<<8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: ifindex}); err != nil {
		t.Fatal(err)
	}
	return func() int {
		n := 0
		for b := make([]byte, 100); ; n++ {
			if _, _, err := unix.Recvfrom(fd, b, 0); err != nil {
				return n
			}
		}
	}
}

// openCut opens the sensor for isolation, or skips where the kernel has not what
// one of the hooks that are needed takes.
func openCut(t *testing.T, pins string, needs ...string) *Probe {
	t.Helper()
	p := open(t, Options{Hooks: cutHooks, Pins: pins})
	for _, m := range p.Coverage().Missing {
		if !slices.Contains(needs, m.Hook) {
			continue
		}
		if major, minor := kernelVersion(kernelRelease()); m.Hook == "cut-link" && (major < 6 || major == 6 && minor < 6) {
			t.Skip(m.Reason)
		}
		t.Fatal(m)
	}
	return p
}

// pinDir is a directory for pins, removed with all that is in it.
func pinDir(t *testing.T) string {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/bpf", &st); err != nil || st.Type != unix.BPF_FS_MAGIC {
		t.Skip("no bpf file system is mounted at /sys/fs/bpf")
	}
	dir := fmt.Sprintf("/sys/fs/bpf/seawall-test-%d", os.Getpid())
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestCut cuts a container by an agent that is then killed, and releases it by
// another.
func TestCut(t *testing.T) {
	node(t)
	attacker, link := pod(t, 1)
	bystander, _ := pod(t, 2)
	for _, address := range []string{"10.83.1.1:80", "[fd83:1::1]:80", "10.83.1.1:53", "[fd83:1::1]:53", "10.83.2.1:80", "[fd83:2::1]:80"} {
		s, err := serve(address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
	}
	if err := attacker.do("listen", ":8080"); err != nil {
		t.Fatal(err)
	}
	inbound := func() error {
		c, err := net.DialTimeout("tcp", "10.83.1.2:8080", patience)
		if err != nil {
			return err
		}
		defer c.Close()
		return echo(c)
	}
	arrived := arrivals(t, link)
	outbound := [][]string{
		{"ping"},
		{"dial", "tcp", "10.83.1.1:80"},
		{"dial", "tcp", "[fd83:1::1]:80"},
		{"dial", "udp", "10.83.1.1:53"},
		{"dial", "udp", "[fd83:1::1]:53"},
		{"dial", "tcp", "10.83.1.1:53"},
		{"dial", "tcp", "127.0.0.1:8080"},
		{"send", "10.83.1.1:80"},
		{"send", "[fd83:1::1]:80"},
		{"socket"},
	}
	// cut says whether the attacker is: all that it tries must come out the same.
	check := func(when string, cut bool) {
		t.Helper()
		for _, words := range outbound {
			if err := attacker.do(words...); (err != nil) != cut {
				t.Errorf("%s, %s: %v", when, words, err)
			}
		}
		if err := inbound(); (err != nil) != cut {
			t.Errorf("%s, inbound: %v", when, err)
		}
		if err := attacker.do("frames"); err != nil {
			t.Fatal(err)
		}
		want := 10
		if cut {
			want = 0
		}
		if n := arrived(); n != want {
			t.Errorf("%s: %d frames came through, want %d", when, n, want)
		}
		for _, words := range [][]string{{"ping"}, {"dial", "tcp", "10.83.2.1:80"}, {"dial", "udp", "[fd83:2::1]:80"}} {
			if err := bystander.do(words...); err != nil {
				t.Errorf("%s, bystander %s: %v", when, words, err)
			}
		}
	}
	if err := errors.Join(attacker.do("open", "10.83.1.1:80"), bystander.do("open", "10.83.2.1:80")); err != nil {
		t.Fatal(err)
	}
	check("before", false)

	pins := pinDir(t)
	openCut(t, "", "cut", "cut-link") // skips where this cannot be
	agent := run(t, "", 0)
	if err := agent.do("agent", pins, strconv.FormatUint(attacker.cgroup, 10), strconv.Itoa(link)); err != nil {
		t.Fatal(err)
	}
	check("cut", true)
	agent.kill()
	check("after the agent was killed", true)

	p := openCut(t, pins, "cut", "cut-link")
	check("taken over by another", true)
	cuts, err := p.Cuts()
	if err != nil || len(cuts) != 1 || cuts[0].Cgroup != attacker.cgroup || cuts[0].Packets == 0 {
		t.Errorf("%+v %v", cuts, err)
	}
	links, err := p.LinkCuts()
	if err != nil || len(links) != 1 || links[0].Ifindex != link || links[0].Packets < 10 {
		t.Errorf("%+v %v", links, err)
	}
	if err := errors.Join(p.Release(attacker.cgroup), p.ReleaseLink(link)); err != nil {
		t.Fatal(err)
	}
	// The stream that was cut may have been given up.
	if err := attacker.do("open", "10.83.1.1:80"); err != nil {
		t.Fatal(err)
	}
	check("released", false)
	if cuts, err := p.Cuts(); err != nil || len(cuts) != 0 {
		t.Errorf("%+v %v", cuts, err)
	}

	// Each program was attached once, whoever came and went.
	pinned, err := os.ReadDir(pins)
	if err != nil {
		t.Fatal(err)
	}
	var programs []string
	for _, e := range pinned {
		if name := e.Name(); strings.HasPrefix(name, "cut_") || strings.HasPrefix(name, "link_") && name != "link_cuts" {
			programs = append(programs, name)
		}
	}
	want := len(p.hooks["cut"].coll.Programs) + len(linkPrograms)
	if a := p.hooks["cut-unix"]; a != nil {
		want += len(a.coll.Programs)
	}
	if len(programs) != want {
		t.Errorf("%v are pinned", programs)
	}
	if err := p.UnwatchLink(link); err != nil {
		t.Error(err)
	}
}

// TestCutSockets cuts what reaches others without any interface but the loopback.
func TestCutSockets(t *testing.T) {
	node(t)
	attacker, bystander := inCgroup(t, 0), inCgroup(t, 0)
	for _, address := range []string{"127.0.0.1:80", "[::1]:80", "127.0.0.1:53"} {
		s, err := serve(address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
	}
	p := openCut(t, "", "cut")
	check := func(when string, c *container, cut bool) {
		t.Helper()
		for _, words := range [][]string{
			{"ping"},
			{"dial", "tcp", "127.0.0.1:80"},
			{"dial", "tcp", "[::1]:80"},
			{"dial", "udp", "127.0.0.1:53"},
			{"dial", "udp", "[::1]:80"},
			{"send", "127.0.0.1:80"},
			{"send", "[::1]:80"},
			{"socket"},
		} {
			if err := c.do(words...); (err != nil) != cut {
				t.Errorf("%s, %s: %v", when, words, err)
			}
		}
	}
	for _, c := range []*container{attacker, bystander} {
		if err := c.do("open", "127.0.0.1:80"); err != nil {
			t.Fatal(err)
		}
		check("before", c, false)
	}
	if err := p.Cut(attacker.cgroup); err != nil {
		t.Fatal(err)
	}
	check("cut", attacker, true)
	check("cut", bystander, false)
	if err := errors.Join(p.Release(attacker.cgroup), attacker.do("open", "127.0.0.1:80")); err != nil {
		t.Fatal(err)
	}
	check("released", attacker, false)
}

func TestCutVerdict(t *testing.T) {
	node(t)
	attacker := inCgroup(t, 0)
	p := openCut(t, "", "cut")
	if err := p.Cut(attacker.cgroup); err != nil {
		t.Fatal(err)
	}
	if attacker.do("dial", "udp", "127.0.0.1:80") == nil {
		t.Error("connected")
	}
	ev, _ := until(t, p, func(ev *seawall.Event) bool { return ev.Verdict != nil })
	if ev.Verdict.Rule != "cut" || ev.Verdict.Action != "denied" || ev.Verdict.Tier != "cgroup" || ev.Process.PID != uint32(attacker.cmd.Process.Pid) || ev.Process.Cgroup == attacker.cgroup {
		t.Errorf("%+v %+v", ev.Verdict, ev.Process)
	}
	if err := p.Cut(rootCgroup(t)); err == nil || !strings.Contains(err.Error(), "whole node") {
		t.Errorf("the root was cut: %v", err)
	}
	if err := p.Cut(1 << 50); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("a cgroup that is not there was cut: %v", err)
	}
	if err := p.Release(1 << 50); err != nil {
		t.Error(err)
	}
}

func rootCgroup(t *testing.T) uint64 {
	t.Helper()
	root, err := new(Probe).cgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	return cgroupID(t, root)
}

func TestUnixCut(t *testing.T) {
	node(t)
	p := openCut(t, "", "cut")
	if err := p.gatesOf("cut-unix"); err != nil {
		t.Skip(err)
	}
	attacker := inCgroup(t, 0)
	path := filepath.Join(t.TempDir(), "daemon.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c) }()
		}
	}()
	if err := attacker.do("dial", "unix", path); err != nil {
		t.Fatal(err)
	}
	if err := p.Cut(attacker.cgroup); err != nil {
		t.Fatal(err)
	}
	if attacker.do("dial", "unix", path) == nil {
		t.Error("a container that is cut reached a unix socket")
	}
}

func TestPeers(t *testing.T) {
	node(t)
	client := inCgroup(t, 0)
	p := openCut(t, "", "cut")
	ip(t, "addr", "add", "10.83.1.1/32", "dev", "lo")
	for _, address := range []string{"10.83.1.1:80", "[::1]:80", "10.83.1.1:53"} {
		s, err := serve(address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
	}
	all4, all6 := netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")
	one := netip.MustParsePrefix("10.83.1.1/32")
	for _, test := range []struct {
		name  string
		rules *PeerRules
		// what is refused
		tcp80, udp80, udp53, six bool
	}{
		{name: "none"},
		{name: "deny others", rules: &PeerRules{DenyOthers: true}, tcp80: true, udp80: true, udp53: true, six: true},
		{name: "only DNS", rules: &PeerRules{Rules: []PeerRule{{Prefix: one, Protocol: "udp", Port: 53}}, DenyOthers: true}, tcp80: true, udp80: true, six: true},
		{name: "all but TCP 80", rules: &PeerRules{Rules: []PeerRule{{Prefix: all4, Protocol: "tcp", Port: 80, Deny: true}}}, tcp80: true},
		{name: "no IPv6", rules: &PeerRules{Rules: []PeerRule{{Prefix: all6, Deny: true}, {Prefix: all4}}}, six: true},
		{name: "longest prefix", rules: &PeerRules{Rules: []PeerRule{{Prefix: all4, Protocol: "tcp", Port: 80, Deny: true}, {Prefix: one}}}},
		{name: "port before protocol", rules: &PeerRules{Rules: []PeerRule{{Prefix: one, Deny: true}, {Prefix: one, Protocol: "udp", Deny: true}, {Prefix: one, Protocol: "udp", Port: 53}}}, tcp80: true, udp80: true},
		{name: "lifted"},
	} {
		if err := p.Peers(client.cgroup, test.rules); err != nil {
			t.Fatal(err)
		}
		for _, try := range []struct {
			network, to string
			denied      bool
		}{{"tcp", "10.83.1.1:80", test.tcp80}, {"udp", "10.83.1.1:80", test.udp80}, {"udp", "10.83.1.1:53", test.udp53}, {"tcp", "[::1]:80", test.six}, {"tcp", "[::ffff:10.83.1.1]:80", test.tcp80}} {
			if err := client.do("dial", try.network, try.to); (err != nil) != try.denied {
				t.Errorf("%s, %s %s: %v", test.name, try.network, try.to, err)
			}
		}
		if err := client.do("send", "10.83.1.1:53"); (err != nil) != test.udp53 {
			t.Errorf("%s, send: %v", test.name, err)
		}
	}
	if err := p.Peers(client.cgroup, &PeerRules{DenyOthers: true, Audit: true}); err != nil {
		t.Fatal(err)
	}
	if err := client.do("dial", "tcp", "10.83.1.1:80"); err != nil {
		t.Errorf("an audit denied: %v", err)
	}
	ev, _ := until(t, p, func(ev *seawall.Event) bool { return ev.Verdict != nil && ev.Verdict.Action == "audited" })
	if ev.Verdict.Rule != "peers" || ev.Verdict.Target != "tcp 10.83.1.1:80" {
		t.Errorf("%+v", ev.Verdict)
	}
	if err := p.Peers(client.cgroup, nil); err != nil {
		t.Error(err)
	}
	// The last list is swept by the next change.
	if err := p.Peers(client.cgroup, &PeerRules{}); err != nil {
		t.Error(err)
	}
	var k cutPeerKey
	var v cutPeerValue
	if p.maps["peers"].Iterate().Next(&k, &v) {
		t.Errorf("left over: %+v", k)
	}
	for _, rule := range []PeerRule{{}, {Prefix: all4, Port: 80}, {Prefix: all4, Protocol: "icmp"}} {
		if err := p.Peers(client.cgroup, &PeerRules{Rules: []PeerRule{rule}}); err == nil {
			t.Errorf("%+v was taken", rule)
		}
	}
}

// TestDeadLink takes over pins of an interface that is gone meanwhile.
func TestDeadLink(t *testing.T) {
	node(t)
	pins := pinDir(t)
	p := openCut(t, pins, "cut-link")
	addVeth(t, "swdead0", "swdead1")
	i, err := net.InterfaceByName("swdead0")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.CutLink(i.Index); err != nil {
		t.Fatal(err)
	}
	ip(t, "link", "del", "swdead0")
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = openCut(t, pins, "cut-link")
	if links, err := p.LinkCuts(); err != nil || len(links) != 0 {
		t.Errorf("%+v %v", links, err)
	}
	if known, err := p.pinnedLinks(); err != nil || len(known) != 0 {
		t.Errorf("%v %v", known, err)
	}
	if err := p.CutLink(i.Index); !errors.Is(err, unix.ENODEV) {
		t.Errorf("an interface that is gone was cut: %v", err)
	}
}

// BenchmarkCut measures a cut and its release: finding the cgroup and two writes,
// then two more.
func BenchmarkCut(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("loading eBPF programs takes root")
	}
	root, err := new(Probe).cgroupRoot()
	if err != nil {
		b.Skip(err)
	}
	dir := filepath.Join(root, fmt.Sprintf("seawall-bench-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		b.Skip(err)
	}
	defer os.Remove(dir)
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		b.Fatal(err)
	}
	p, err := Open(Options{Hooks: cutHooks})
	if err != nil {
		b.Skip(err)
	}
	defer p.Close()
	for b.Loop() {
		if err := p.Cut(st.Ino); err != nil {
			b.Fatal(err)
		}
		if err := p.Release(st.Ino); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzPeerRule(f *testing.F) {
	f.Add([]byte{10, 0, 0, 0}, 8, uint16(80))
	f.Add(make([]byte, 16), 0, uint16(0))
	f.Fuzz(func(t *testing.T, address []byte, bits int, port uint16) {
		a, ok := netip.AddrFromSlice(address)
		if !ok {
			return
		}
		prefix := netip.PrefixFrom(a, bits)
		k, v, err := PeerRule{Prefix: prefix, Protocol: "tcp", Port: port}.entry(1)
		if (err == nil) != prefix.IsValid() {
			t.Fatalf("%s: %v", prefix, err)
		}
		if err != nil {
			return
		}
		if k.Prefix > peerKeyBits+128 || k.Prefix != peerKeyBits+v.Bits {
			t.Errorf("%+v %+v", k, v)
		}
		if back := netip.AddrFrom16(k.Address.Bytes).Unmap(); back.Is4() == a.Unmap().Is4() && back != prefix.Masked().Addr().Unmap() && a.Is4() {
			t.Errorf("%s became %s", prefix, back)
		}
		var wire [2]byte
		binary.NativeEndian.PutUint16(wire[:], k.Port)
		if binary.BigEndian.Uint16(wire[:]) != port {
			t.Errorf("port %d became %v", port, wire)
		}
	})
}
