package probe

import (
	"encoding/binary"

	"seawall.io/seawall"
)

func decodeTLS(_ *header, raw []byte, ev *seawall.Event) error {
	_, data, s, err := decodePacket(raw)
	if err != nil {
		return err
	}
	ev.Socket = s
	ev.TLS = parseHello(data)
	ev.TLS.Remote = s.Remote
	return nil
}

// cursor reads what TLS consists of: numbers, and parts that begin with their
// length. What is missing since the packet was cut reads as empty.
type cursor struct{ b []byte }

func (c *cursor) take(n int) []byte {
	n = min(n, len(c.b))
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) byte() int {
	if b := c.take(1); len(b) == 1 {
		return int(b[0])
	}
	return 0
}

func (c *cursor) word() int {
	if b := c.take(2); len(b) == 2 {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

// maxProtocols bounds the application protocols that are kept of one hello.
const maxProtocols = 16

// parseHello reads a ClientHello (RFC 8446, 4.1.2; RFC 6066, 3; RFC 7301) as far
// as the packet holds it: the rest of a longer one is in packets not looked at.
func parseHello(data []byte) *seawall.TLS {
	out := &seawall.TLS{}
	c := cursor{data}
	c.take(3) // record: handshake, version
	c = cursor{c.take(c.word())}
	if c.byte() != 1 { // client_hello
		return out
	}
	c.take(3 + 2 + 32) // length, version, random
	c.take(c.byte())   // session
	c.take(c.word())   // cipher suites
	c.take(c.byte())   // compression
	extensions := cursor{c.take(c.word())}
	for len(extensions.b) >= 4 {
		kind := extensions.word()
		body := cursor{extensions.take(extensions.word())}
		switch kind {
		case 0: // server_name
			list := cursor{body.take(body.word())}
			for len(list.b) >= 3 {
				named := list.byte() == 0 // host_name
				length := list.word()
				name := list.take(length)
				if named && len(name) == length && out.ServerName == "" {
					out.ServerName = string(name)
				}
			}
		case 16: // application_layer_protocol_negotiation
			list := cursor{body.take(body.word())}
			for len(list.b) >= 1 && len(out.ALPN) < maxProtocols {
				length := list.byte()
				if name := list.take(length); length > 0 && len(name) == length {
					out.ALPN = append(out.ALPN, string(name))
				}
			}
		}
	}
	return out
}
