package product

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// Protocol is one that is not HTTP, and a product that speaks it.
type Protocol struct {
	// Name is the product's.
	Name  string
	ports []int64
	names []string
	greet func(w *wire) (Result, error)
	// Loopback says that the product treats those of its own host apart, so that an
	// answer there says nothing of what it asks of others.
	Loopback bool
	// Protected says that the product may turn strangers away as soon as they
	// connect, and those of its own host not.
	Protected bool
}

// ErrForeign says that a port speaks another protocol than it was taken to.
var ErrForeign = errors.New("it does not speak the protocol that its number or name suggests")

// ErrUntried says that nothing but a login would tell.
var ErrUntried = errors.New("who may log in shows only by trying, which a probe does not")

// Suggested returns the protocol that the number of a port, its name or its
// application protocol suggests; nil is HTTP.
func Suggested(h Hint) *Protocol {
	for i := range protocols {
		if p := &protocols[i]; h.suggests(p.ports, nil) || named(h.Names, p.names) {
			return p
		}
	}
	return nil
}

// Greet says what the protocol begins with on a connection, or a question that
// only reads, and tells by the answer. Reading ends after 64 KiB; how long it
// may take is the connection's to say. The error is that of the connection,
// [ErrForeign] or [ErrUntried].
func (p *Protocol) Greet(conn io.ReadWriter) (Result, error) {
	w := &wire{Writer: conn, Reader: bufio.NewReader(io.LimitReader(conn, maxWire))}
	r, err := p.greet(w)
	if err != nil {
		return Result{}, err
	}
	r.Product = p.Name
	return r, nil
}

// maxWire bounds, in bytes, what is read of a connection.
const maxWire = 64 << 10

//nolint:gochecknoglobals // a table, never changed
var protocols = []Protocol{
	{Name: "Redis", ports: []int64{6379, 6380, 26379}, names: []string{"redis", "valkey"}, greet: redis, Protected: true},
	{Name: "memcached", ports: []int64{11211}, names: []string{"memcache"}, greet: memcached},
	{Name: "MongoDB", ports: []int64{27017, 27018, 27019}, names: []string{"mongo"}, greet: mongoDB},
	{Name: "PostgreSQL", ports: []int64{5432}, names: []string{"postgres", "pgsql"}, greet: postgreSQL, Loopback: true},
	{Name: "MySQL", ports: []int64{3306}, names: []string{"mysql", "mariadb"}, greet: mySQL},
	{Name: "ZooKeeper", ports: []int64{2181}, names: []string{"zookeeper"}, greet: zooKeeper},
	{Name: "NATS", ports: []int64{4222}, names: []string{"nats-client"}, greet: nats},
	{Name: "Kafka", ports: []int64{9092}, names: []string{"kafka"}, greet: kafka},
}

// wire is a connection on which little is said.
type wire struct {
	io.Writer
	*bufio.Reader
}

func (w *wire) say(text string) error {
	_, err := io.WriteString(w, text)
	return err //nolint:wrapcheck // the connection's, as Greet promises
}

// line says something and reads one line. What ends before is foreign.
func (w *wire) line(say string) (string, error) {
	if err := w.say(say); err != nil {
		return "", err
	}
	text, err := w.ReadString('\n')
	if err != nil && text == "" {
		return "", err //nolint:wrapcheck // the connection's, as Greet promises
	}
	return strings.TrimRight(text, "\r\n"), nil
}

func refuses(path, reason string) Result {
	return Result{Verdict: Closed, Path: path, Reason: reason}
}

// redis asks for a sign of life, and then for the number of keys, which a user
// without rights does not get.
func redis(w *wire) (Result, error) {
	for _, command := range [...]string{"PING", "DBSIZE"} {
		answer, err := w.line(command + "\r\n")
		switch {
		case err != nil:
			return Result{}, err
		case strings.HasPrefix(answer, "-NOAUTH"), strings.HasPrefix(answer, "-NOPERM"), strings.HasPrefix(answer, "-WRONGPASS"):
			return refuses(command, "asks for a password"), nil
		case strings.HasPrefix(answer, "-DENIED"):
			return refuses(command, "is in protected mode"), nil
		case command == "DBSIZE" && strings.HasPrefix(answer, ":"):
			return Result{Verdict: Open, Path: command, Gain: Data, Evidence: "gives its keys to whoever comes"}, nil
		case command == "DBSIZE" && strings.HasPrefix(answer, "-"): // a sentinel has no keys
			return Result{Verdict: Open, Path: "PING", Gain: Insight, Evidence: "takes commands from whoever comes"}, nil
		case !strings.HasPrefix(answer, "+PONG"):
			return Result{}, ErrForeign
		}
	}
	return Result{}, ErrForeign
}

func memcached(w *wire) (Result, error) {
	answer, err := w.line("version\r\n")
	switch {
	case err != nil:
		return Result{}, err
	case strings.HasPrefix(answer, "VERSION "):
		return Result{Verdict: Open, Path: "version", Gain: Data, Evidence: "gives what it caches to whoever comes"}, nil
	case strings.HasPrefix(answer, "CLIENT_ERROR unauthenticated"):
		return refuses("version", "asks for a password"), nil
	}
	return Result{}, ErrForeign
}

// zooKeeper sends one of its four-letter words, the only one that is permitted
// by default. Whether nodes have lists of who may read them does not show.
func zooKeeper(w *wire) (Result, error) {
	answer, err := w.line("srvr")
	switch {
	case err != nil:
		return Result{}, err
	case strings.HasPrefix(answer, "Zookeeper version:"):
		return Result{Verdict: Open, Path: "srvr", Gain: Insight, Evidence: "tells its state, and opens sessions, for whoever comes; only lists on its nodes would guard them"}, nil
	case strings.Contains(answer, "not in the whitelist"):
		return unknown("it tells nothing: its four-letter words are off"), nil
	}
	return Result{}, ErrForeign
}

// nats listens: the server speaks first.
func nats(w *wire) (Result, error) {
	answer, err := w.line("")
	if err != nil {
		return Result{}, err
	}
	text, ok := strings.CutPrefix(answer, "INFO ")
	var info struct {
		ServerID string `json:"server_id"`
		Auth     bool   `json:"auth_required"`
		TLS      bool   `json:"tls_verify"`
	}
	if !ok || json.Unmarshal([]byte(text), &info) != nil || info.ServerID == "" {
		return Result{}, ErrForeign
	}
	switch {
	case info.Auth:
		return refuses("INFO", "asks for a password or token"), nil
	case info.TLS:
		return refuses("INFO", "asks for a client's certificate"), nil
	}
	return Result{Verdict: Open, Path: "INFO", Gain: Data, Evidence: "lets whoever comes publish and subscribe"}, nil
}

// mySQL listens to the greeting, and leaves it at that: an empty password would
// be a try.
func mySQL(w *wire) (Result, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(w.Reader, head); err != nil {
		return Result{}, err //nolint:wrapcheck // the connection's, as Greet promises
	}
	if head[3] != 0 || head[4] != 10 { // packet 0, protocol 10
		return Result{}, ErrForeign
	}
	return Result{}, ErrUntried
}

// postgreSQL begins a session of the user postgres up to where a password would
// be due (PostgreSQL, "Message Formats": StartupMessage and Authentication*).
func postgreSQL(w *wire) (Result, error) {
	const path = "startup message"
	body := "\x00\x03\x00\x00user\x00postgres\x00database\x00postgres\x00\x00"
	size := binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)) //nolint:gosec // a constant
	if err := w.say(string(size) + body); err != nil {
		return Result{}, err
	}
	head := make([]byte, 9)
	if _, err := io.ReadFull(w.Reader, head); err != nil {
		return Result{}, err //nolint:wrapcheck // the connection's, as Greet promises
	}
	switch kind := binary.BigEndian.Uint32(head[5:]); {
	case head[0] == 'E':
		return refuses(path, "refuses the user postgres"), nil
	case head[0] != 'R':
		return Result{}, ErrForeign
	case kind != 0:
		return refuses(path, "asks for a password"), nil
	}
	w.say("X\x00\x00\x00\x04") //nolint:errcheck // a farewell
	return Result{Verdict: Open, Path: path, Gain: Data, Evidence: "lets the user postgres in without a password"}, nil
}

// mongoDB asks for the names of the databases (MongoDB wire protocol: OP_MSG).
func mongoDB(w *wire) (Result, error) {
	const (
		path    = "listDatabases"
		opMsg   = 2013
		headLen = 16
	)
	var doc []byte
	doc = append(append(doc, 0x10), "listDatabases\x00\x01\x00\x00\x00"...)
	doc = append(append(doc, 0x08), "nameOnly\x00\x01"...)
	doc = append(append(doc, 0x02), "$db\x00\x06\x00\x00\x00admin\x00\x00"...)
	le := binary.LittleEndian
	msg := le.AppendUint32(nil, uint32(headLen+4+1+4+len(doc))) //nolint:gosec // a constant
	for _, n := range [...]uint32{1, 0, opMsg, 0} {             // request, answer to, kind, flags
		msg = le.AppendUint32(msg, n)
	}
	msg = le.AppendUint32(append(msg, 0), uint32(4+len(doc))) //nolint:gosec // a constant
	if err := w.say(string(append(msg, doc...))); err != nil {
		return Result{}, err
	}
	head := make([]byte, headLen+4+1)
	if _, err := io.ReadFull(w.Reader, head); err != nil {
		return Result{}, err //nolint:wrapcheck // the connection's, as Greet promises
	}
	size := int64(le.Uint32(head))
	if le.Uint32(head[12:]) != opMsg || head[20] != 0 || size < int64(len(head))+5 || size > maxWire {
		return Result{}, ErrForeign
	}
	body := make([]byte, size-int64(len(head)))
	if _, err := io.ReadFull(w.Reader, body); err != nil {
		return Result{}, err //nolint:wrapcheck // the connection's, as Greet promises
	}
	switch answer := numbersOf(body); {
	case answer["ok"] == 1:
		return Result{Verdict: Open, Path: path, Gain: Data, Evidence: "lists its databases"}, nil
	case answer["code"] == 13 || answer["code"] == 18: // Unauthorized, AuthenticationFailed
		return refuses(path, "asks for a password"), nil
	case answer["code"] != 0:
		return unknown(fmt.Sprintf("it answers with its error %g", answer["code"])), nil
	}
	return Result{}, ErrForeign
}

// numbersOf returns the numbers at the top of a BSON document (bsonspec.org), as
// far as it can be read.
func numbersOf(doc []byte) map[string]float64 {
	out := map[string]float64{}
	le := binary.LittleEndian
	for rest := doc[min(4, len(doc)):]; len(rest) > 1 && rest[0] != 0; {
		kind := rest[0]
		end := bytes.IndexByte(rest[1:], 0)
		if end < 0 {
			return out
		}
		name := string(rest[1 : 1+end])
		rest = rest[end+2:]
		size := -1
		switch kind {
		case 0x01, 0x09, 0x11, 0x12: // double, date, timestamp, int64
			size = 8
		case 0x10: // int32
			size = 4
		case 0x08: // boolean
			size = 1
		case 0x07: // ObjectId
			size = 12
		case 0x0a: // null
			size = 0
		case 0x02, 0x03, 0x04, 0x05: // string, document, array, binary: with their size
			if len(rest) < 4 {
				return out
			}
			n := int64(le.Uint32(rest))
			switch kind {
			case 0x02:
				n += 4
			case 0x05:
				n += 5
			}
			if n <= int64(len(rest)) {
				size = int(n)
			}
		}
		if size < 0 || size > len(rest) {
			return out
		}
		switch kind {
		case 0x01:
			out[name] = math.Float64frombits(le.Uint64(rest))
		case 0x10:
			out[name] = float64(int32(le.Uint32(rest))) //nolint:gosec // the bits of an int32
		}
		rest = rest[size:]
	}
	return out
}

// kafka asks which requests there are, as everybody may, and then for the list of
// brokers, which one that wants a login (SASL) does not give: it hangs up.
func kafka(w *wire) (Result, error) {
	const (
		path        = "metadata"
		metadata    = 3
		apiVersions = 18
	)
	answer, err := kafkaAsk(w, apiVersions, 0, nil)
	if err != nil {
		return Result{}, err
	}
	if len(answer) < 6 || binary.BigEndian.Uint16(answer) != 0 {
		return Result{}, ErrForeign
	}
	first, last := int16(-1), int16(-1)
	for list := answer[6:]; len(list) >= 6; list = list[6:] {
		if binary.BigEndian.Uint16(list) == metadata {
			first, last = int16(binary.BigEndian.Uint16(list[2:])), int16(binary.BigEndian.Uint16(list[4:])) //nolint:gosec // as it is written
		}
	}
	version := max(first, 1)
	switch {
	case first < 0 || last < 1:
		return Result{}, ErrForeign
	case version > 8: // from there on messages have another form
		return unknown("it wants a newer protocol than the probe speaks"), nil
	}
	body := []byte{0, 0, 0, 0} // no topics
	if version >= 4 {
		body = append(body, 0) // make none
	}
	if version == 8 {
		body = append(body, 0, 0)
	}
	answer, err = kafkaAsk(w, metadata, version, body)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return refuses(path, "hangs up without a login"), nil
	case err != nil:
		return Result{}, err
	case len(answer) < 4:
		return Result{}, ErrForeign
	}
	return Result{Verdict: Open, Path: path, Gain: Data, Evidence: "describes itself to whoever comes; only access lists would guard its topics"}, nil
}

// kafkaAsk sends one request and returns the answer without its header.
func kafkaAsk(w *wire, kind, version int16, body []byte) ([]byte, error) {
	const client = "seawall"
	be := binary.BigEndian
	msg := be.AppendUint16(nil, uint16(kind))   //nolint:gosec // one of two constants
	msg = be.AppendUint16(msg, uint16(version)) //nolint:gosec // from 0 to 8
	msg = be.AppendUint32(msg, 1)               // the number of the request
	msg = be.AppendUint16(msg, uint16(len(client)))
	msg = append(append(msg, client...), body...)
	if err := w.say(string(be.AppendUint32(nil, uint32(len(msg)))) + string(msg)); err != nil { //nolint:gosec // small
		return nil, err
	}
	head := make([]byte, 8)
	if _, err := io.ReadFull(w.Reader, head); err != nil {
		return nil, err //nolint:wrapcheck // the connection's, as Greet promises
	}
	size := int64(be.Uint32(head)) - 4
	if size < 0 || size > maxWire || be.Uint32(head[4:]) != 1 {
		return nil, ErrForeign
	}
	answer := make([]byte, size)
	if _, err := io.ReadFull(w.Reader, answer); err != nil {
		return nil, err //nolint:wrapcheck // the connection's, as Greet promises
	}
	return answer, nil
}
