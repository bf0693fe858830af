package probe

import (
	"fmt"
	"net/netip"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"seawall.io/seawall"
)

// Sockets' protocols by the numbers of IP.
var protocols = map[uint16]string{
	unix.IPPROTO_ICMP: "icmp", unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp", unix.IPPROTO_DCCP: "dccp",
	unix.IPPROTO_ICMPV6: "icmp", unix.IPPROTO_SCTP: "sctp", unix.IPPROTO_UDPLITE: "udplite", unix.IPPROTO_MPTCP: "mptcp",
}

func decodeEndpoints(e *netEndpoints) *seawall.Socket {
	protocol, ok := protocols[e.Protocol]
	switch {
	case e.Type == unix.SOCK_RAW:
		protocol = "raw"
	case !ok:
		protocol = fmt.Sprintf("ip-%d", e.Protocol)
	}
	return &seawall.Socket{
		Protocol: protocol,
		Cookie:   e.Cookie,
		Local:    decodeAddress(e.Local.Bytes, e.Lport),
		Remote:   decodeAddress(e.Remote.Bytes, e.Rport),
	}
}

// decodeAddress returns the zero value for an end that is not known: neither address
// nor port.
func decodeAddress(b [16]byte, port uint16) netip.AddrPort {
	a := netip.AddrFrom16(b).Unmap()
	if port == 0 && a.IsUnspecified() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, port)
}

// decodeSocket reads connect, listen, accept, bind, send, socket and close.
func decodeSocket(_ *header, raw []byte, ev *seawall.Event) error {
	r, err := as[netSocketEvent](raw)
	if err != nil {
		return err
	}
	e, err := as[netEndpoints](raw)
	if err != nil {
		return err
	}
	ev.Socket = decodeEndpoints(e)
	ev.Socket.BytesSent, ev.Socket.BytesReceived, ev.Socket.Result = r.Sent, r.Received, int64(r.Result)
	return nil
}

// decodeConnect tells connections to unix sockets from those to addresses by the
// size of their records.
func decodeConnect(h *header, raw []byte, ev *seawall.Event) error {
	if h.Size != sizeOf[netUnixUnixEvent]() {
		return decodeSocket(h, raw, ev)
	}
	r, err := as[netUnixUnixEvent](raw)
	if err != nil {
		return err
	}
	ev.Socket = &seawall.Socket{Protocol: "unix", Cookie: r.Cookie, Path: unixPath(r.Path[:min(int(r.Len), len(r.Path))])}
	return nil
}

// unixPath reads sun_path: a path ends at the first zero byte; an abstract name
// begins with one, may hold more, and is as long as it is.
func unixPath(b []byte) string {
	if len(b) > 0 && b[0] == 0 {
		return "@" + strings.ReplaceAll(string(b[1:]), "\x00", "@")
	}
	return cstring(b)
}

// decodeVerdict reads what a gate denied, or would have.
func decodeVerdict(h *header, raw []byte, ev *seawall.Event) error {
	if h.Size == uint32(unsafe.Sizeof(enforceSignalEnforced{})) {
		return decodeEnforced(raw, ev)
	}
	r, err := as[cutVerdict](raw)
	if err != nil {
		return err
	}
	e, err := as[netEndpoints](raw)
	if err != nil {
		return err
	}
	ev.Socket = decodeEndpoints(e)
	ev.Verdict = &seawall.Verdict{Rule: "cut", Tier: "cgroup", Action: "denied", Target: ev.Socket.Protocol}
	if r.Rule == 2 {
		ev.Verdict.Rule = "peers"
	}
	if r.Action == 2 {
		ev.Verdict.Action = "audited"
	}
	if ev.Socket.Remote.IsValid() {
		ev.Verdict.Target += " " + ev.Socket.Remote.String()
	}
	return nil
}
