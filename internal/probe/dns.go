package probe

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"unsafe"

	"golang.org/x/net/dns/dnsmessage"

	"seawall.io/seawall"
)

// The flags of a packet, as in bpf/dns.bpf.c.
const (
	packetIn    = 1
	packetSSH   = 4
	packetHTTP  = 8
	packetJSON  = 16
	packetSOCKS = 32
)

// maxAnswers bounds what is kept of one DNS message: many times what fits in the
// packet that DNS over UDP began with.
const maxAnswers = 64

// sizeOf is the size of a record without what follows it.
func sizeOf[T any]() uint32 {
	var t T
	return uint32(unsafe.Sizeof(t)) //nolint:gosec // records take a few KiB
}

// decodePacket returns the head of a record with a packet, and what was copied of
// the payload.
func decodePacket(raw []byte) (*dnsPacket, []byte, *seawall.Socket, error) {
	r, err := as[dnsPacket](raw)
	if err != nil {
		return nil, nil, nil, err
	}
	e, err := as[netEndpoints](raw)
	if err != nil {
		return nil, nil, nil, err
	}
	data := raw[sizeOf[dnsPacket]():]
	return r, data[:min(int(r.Len), len(data))], decodeEndpoints(e), nil
}

func decodeDNS(_ *header, raw []byte, ev *seawall.Event) error {
	r, data, s, err := decodePacket(raw)
	if err != nil {
		return err
	}
	if s.Protocol == "tcp" && len(data) > 2 && int(binary.BigEndian.Uint16(data)) >= min(len(data)-2, 12) {
		data = data[2:]
	}
	dns, _ := parseDNS(data)
	dns.Server, dns.Response = s.Remote, r.Flags&packetIn != 0
	ev.DNS, ev.Socket = dns, s
	return nil
}

// malformed stands in place of an answer's code for what is no DNS message: somebody
// else's traffic on port 53.
const malformed = "malformed"

// parseDNS reads a message as far as it was copied. addrs are the addresses that it
// gives for the name, over however many aliases.
func parseDNS(data []byte) (_ *seawall.DNS, addrs []netip.Addr) {
	var p dnsmessage.Parser
	h, err := p.Start(data)
	if err != nil {
		return &seawall.DNS{RCode: malformed}, nil
	}
	q, err := p.Question()
	if err != nil {
		return &seawall.DNS{RCode: malformed}, nil
	}
	out := &seawall.DNS{Name: hostName(q.Name), Type: strings.TrimPrefix(q.Type.String(), "Type")}
	if !h.Response {
		return out, nil
	}
	out.RCode = responseCode(h.RCode)
	if p.SkipAllQuestions() != nil {
		return out, nil
	}
	for range maxAnswers {
		a, err := p.Answer()
		if err != nil {
			break // the end, or where the copy was cut
		}
		switch body := a.Body.(type) {
		case *dnsmessage.AResource:
			addrs = append(addrs, netip.AddrFrom4(body.A))
			out.Answers = append(out.Answers, addrs[len(addrs)-1].String())
		case *dnsmessage.AAAAResource:
			addrs = append(addrs, netip.AddrFrom16(body.AAAA).Unmap())
			out.Answers = append(out.Answers, addrs[len(addrs)-1].String())
		case *dnsmessage.CNAMEResource:
			out.Answers = append(out.Answers, hostName(body.CNAME))
		case *dnsmessage.PTRResource:
			out.Answers = append(out.Answers, hostName(body.PTR))
		case *dnsmessage.NSResource:
			out.Answers = append(out.Answers, hostName(body.NS))
		case *dnsmessage.MXResource:
			out.Answers = append(out.Answers, hostName(body.MX))
		case *dnsmessage.SRVResource:
			out.Answers = append(out.Answers, hostName(body.Target))
		case *dnsmessage.TXTResource:
			out.Answers = append(out.Answers, strings.Join(body.TXT, ""))
		}
	}
	return out, addrs
}

// hostName returns a name without the dot at its end, as people write it.
func hostName(n dnsmessage.Name) string {
	s := n.String()
	if s == "." {
		return s
	}
	return strings.ToLower(strings.TrimSuffix(s, "."))
}

// responseCode names a code as RFC 2929 does.
func responseCode(c dnsmessage.RCode) string {
	switch c {
	case dnsmessage.RCodeSuccess:
		return "NOERROR"
	case dnsmessage.RCodeFormatError:
		return "FORMERR"
	case dnsmessage.RCodeServerFailure:
		return "SERVFAIL"
	case dnsmessage.RCodeNameError:
		return "NXDOMAIN"
	case dnsmessage.RCodeNotImplemented:
		return "NOTIMP"
	case dnsmessage.RCodeRefused:
		return "REFUSED"
	}
	return strings.TrimPrefix(c.String(), "RCode")
}

// decodeSend reads send: of a datagram, or what a client of TCP said first.
func decodeSend(h *header, raw []byte, ev *seawall.Event) error {
	if h.Size == sizeOf[netSocketEvent]() {
		return decodeSocket(h, raw, ev)
	}
	r, data, s, err := decodePacket(raw)
	if err != nil {
		return err
	}
	ev.Socket = s
	switch r.Flags {
	case packetSSH:
		s.Payload = "ssh"
	case packetHTTP:
		s.Payload = "http"
	case packetSOCKS:
		s.Payload = "socks"
	case packetJSON:
		s.Payload = "json"
		if isStratum(string(data)) {
			s.Payload = "stratum"
		}
	}
	return nil
}

// isStratum tells how miners talk to their pool: JSON-RPC with the methods
// mining.subscribe, mining.authorize and so on, eth_submitLogin, or login as Monero's
// pools have it.
func isStratum(json string) bool {
	_, after, ok := strings.Cut(json, `"method"`)
	if !ok {
		return false
	}
	method := strings.TrimLeft(after, ": \t")
	return strings.HasPrefix(method, `"mining.`) || strings.HasPrefix(method, `"login"`) || strings.HasPrefix(method, `"eth_submitLogin"`)
}
