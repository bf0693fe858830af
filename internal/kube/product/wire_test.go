package product

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// reply is a connection whose other side has said everything already.
type reply struct {
	io.Reader
	said bytes.Buffer
}

func (r *reply) Write(p []byte) (int, error) { return r.said.Write(p) }

func called(t testing.TB, name string) *Protocol {
	t.Helper()
	for i := range protocols {
		if protocols[i].Name == name {
			return &protocols[i]
		}
	}
	t.Fatalf("no protocol %s", name)
	return nil
}

// mongoAnswer is an OP_MSG with a document.
func mongoAnswer(doc string) string {
	doc += "\x00"
	doc = string(binary.LittleEndian.AppendUint32(nil, uint32(len(doc)+4))) + doc
	var out []byte
	for _, n := range []uint32{uint32(21 + len(doc)), 7, 1, 2013, 0} {
		out = binary.LittleEndian.AppendUint32(out, n)
	}
	return string(out) + "\x00" + doc
}

// kafkaAnswer is an answer to request 1.
func kafkaAnswer(body string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))) + "\x00\x00\x00\x01" + body
}

func TestGreet(t *testing.T) {
	const (
		ok       = "\x01ok\x00\x00\x00\x00\x00\x00\x00\xf0\x3f"
		notOK    = "\x01ok\x00\x00\x00\x00\x00\x00\x00\x00\x00"
		array    = "\x04databases\x00\x05\x00\x00\x00\x00"
		errmsg   = "\x02errmsg\x00\x03\x00\x00\x00no\x00"
		code13   = "\x10code\x00\x0d\x00\x00\x00"
		versions = "\x00\x00\x00\x00\x00\x01\x00\x03\x00\x00\x00\x09" // metadata from 0 to 9
	)
	for _, tt := range []struct{ name, protocol, says, want string }{
		{"open", "Redis", "+PONG\r\n:3\r\n", "open DBSIZE"},
		{"sentinel", "Redis", "+PONG\r\n-ERR unknown command 'DBSIZE'\r\n", "open PING"},
		{"password", "Redis", "-NOAUTH Authentication required.\r\n", "closed PING"},
		{"no-rights", "Redis", "+PONG\r\n-NOPERM this user has no permissions\r\n", "closed DBSIZE"},
		{"web-server", "Redis", "HTTP/1.1 400 Bad Request\r\n", "foreign"},
		{"silent", "Redis", "", "EOF"},
		{"open", "memcached", "VERSION 1.6.18\r\n", "open version"},
		{"sasl", "memcached", "CLIENT_ERROR unauthenticated\r\n", "closed version"},
		{"open", "MongoDB", mongoAnswer(array + ok), "open listDatabases"},
		{"password", "MongoDB", mongoAnswer(notOK + errmsg + code13), "closed listDatabases"},
		{"huge", "MongoDB", "\xff\xff\xff\x7f" + strings.Repeat("\x00", 8) + "\xdd\x07\x00\x00\x00\x00\x00\x00\x00", "foreign"},
		{"trust", "PostgreSQL", "R\x00\x00\x00\x08\x00\x00\x00\x00", "open startup message"},
		{"scram", "PostgreSQL", "R\x00\x00\x00\x17\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00", "closed startup message"},
		{"no-entry", "PostgreSQL", "E\x00\x00\x00\x20SFATAL\x00C28000\x00", "closed startup message"},
		{"greeting", "MySQL", "\x4a\x00\x00\x00\x0a8.0.36\x00", "untried"},
		{"open", "ZooKeeper", "Zookeeper version: 3.8.0\nLatency: 0\n", "open srvr"},
		{"not-allowed", "ZooKeeper", "srvr is not executed because it is not in the whitelist.\n", "unknown"},
		{"open", "NATS", `INFO {"server_id":"A","max_payload":1}` + "\r\n", "open INFO"},
		{"password", "NATS", `INFO {"server_id":"A","auth_required":true}` + "\r\n", "closed INFO"},
		{"certificate", "NATS", `INFO {"server_id":"A","tls_verify":true}` + "\r\n", "closed INFO"},
		{"open", "Kafka", kafkaAnswer(versions) + kafkaAnswer("\x00\x00\x00\x00\x00\x00"), "open metadata"},
		{"sasl", "Kafka", kafkaAnswer(versions), "closed metadata"},
		{"other", "Kafka", "HTTP/1.1 400 Bad Request\r\n\r\n", "foreign"},
	} {
		t.Run(tt.protocol+"/"+tt.name, func(t *testing.T) {
			r, err := called(t, tt.protocol).Greet(&reply{Reader: strings.NewReader(tt.says)})
			got := strings.TrimSpace(fmt.Sprintf("%s %s", r.Verdict, r.Path))
			switch {
			case errors.Is(err, ErrForeign):
				got = "foreign"
			case errors.Is(err, ErrUntried):
				got = "untried"
			case err != nil:
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if err == nil && r.Product != tt.protocol {
				t.Errorf("the product is %q", r.Product)
			}
			if r.Verdict == Open && (r.Evidence == "" || r.Gain == "") {
				t.Errorf("open without evidence or gain: %+v", r)
			}
		})
	}
}

// TestGreetRedis talks to a real Redis (Debian: redis-server), with a password
// and without.
func TestGreetRedis(t *testing.T) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("needs redis-server (Debian package redis-server)")
	}
	for _, tt := range []struct {
		name string
		args []string
		want Verdict
	}{
		{"open", nil, Open},
		{"password", []string{"--requirepass", "x"}, Closed},
		{"no-rights", []string{"--user", "default", "on", "nopass", "-@all", "+ping"}, Closed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			address := l.Addr().String()
			l.Close()
			_, port, _ := net.SplitHostPort(address)
			cmd := exec.CommandContext(t.Context(), program, append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()}, tt.args...)...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()
			var conn net.Conn
			for range 100 {
				if conn, err = net.Dial("tcp", address); err == nil {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			r, err := called(t, "Redis").Greet(conn)
			if err != nil || r.Verdict != tt.want {
				t.Errorf("got %+v, %v, want %s", r, err, tt.want)
			}
		})
	}
}

// FuzzGreet answers every protocol with anything: the probe must not fail, and
// must not say of what it does not understand that it is open.
func FuzzGreet(f *testing.F) {
	for _, seed := range []string{
		"+PONG\r\n:1\r\n", "VERSION 1\r\n", mongoAnswer("\x01ok\x00\x00\x00\x00\x00\x00\x00\xf0\x3f"), "R\x00\x00\x00\x08\x00\x00\x00\x00",
		"J\x00\x00\x00\x0a8.0\x00", "Zookeeper version: 3\n", `INFO {"server_id":"A"}` + "\r\n",
		kafkaAnswer("\x00\x00\x00\x00\x00\x01\x00\x03\x00\x00\x00\x09") + kafkaAnswer("\x00\x00\x00\x00"), "HTTP/1.1 400 Bad Request\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, says []byte) {
		for i := range protocols {
			r, err := protocols[i].Greet(&reply{Reader: bytes.NewReader(says)})
			if err == nil && r.Verdict == "" {
				t.Errorf("%s: no verdict and no error", protocols[i].Name)
			}
			if r.Verdict == Open && bytes.HasPrefix(says, []byte("HTTP/")) {
				t.Errorf("%s: took a web server for its own", protocols[i].Name)
			}
		}
	})
}
