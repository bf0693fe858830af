package netgen

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/reach"
)

// setting is a text that pods are given: a variable, an argument, or a file.
type setting struct {
	Evidence
	name, value string
	// file says that the text is a script or a file, in which an address may be
	// an example: only Services that there are count.
	file bool
	// vars are the variables beside it, by name.
	vars map[string]string
}

// clients finds what workloads name in their settings.
func (d *declaring) clients() {
	for _, t := range d.pods {
		for _, s := range d.settings(t) {
			d.read(t, s)
		}
	}
}

// settings returns what the pods of a template are given to read.
func (d *declaring) settings(t *cluster.PodTemplate) []*setting {
	var out []*setting
	for i := range t.Containers {
		if c := &t.Containers[i]; c.Type != cluster.Ephemeral {
			out = append(out, d.variables(t, c)...)
			out = append(out, arguments(t, c)...)
		}
	}
	for _, v := range t.Spec().Get("volumes").List() {
		out = append(out, d.files(t, v.At("configMap", "name").Str())...)
		for _, p := range v.At("projected", "sources").List() {
			out = append(out, d.files(t, p.At("configMap", "name").Str())...)
		}
	}
	return out
}

func (d *declaring) variables(t *cluster.PodTemplate, c *cluster.Container) []*setting {
	var out []*setting
	vars := map[string]string{}
	for _, from := range c.Root.Get("envFrom").List() {
		cm := d.snapshot.Get("", "ConfigMap", t.Object.Namespace, from.At("configMapRef", "name").Str())
		if cm == nil {
			continue
		}
		for _, f := range cm.Root.Get("data").Map() {
			name := from.Get("prefix").Str() + f.Key
			out = append(out, &setting{Evidence{cm, document.Key("data", f.Key), f.Key}, name, f.Value.Str(), multiline(f.Value.Str()), vars})
		}
	}
	for i, e := range c.Root.Get("env").List() {
		name := e.Get("name").Str()
		s := &setting{Evidence{t.Object, document.Index(c.Path+".env", i), "env " + name}, name, e.Get("value").Str(), false, vars}
		if ref := e.At("valueFrom", "configMapKeyRef"); ref != nil {
			if cm := d.snapshot.Get("", "ConfigMap", t.Object.Namespace, ref.Get("name").Str()); cm != nil {
				key := ref.Get("key").Str()
				s.Evidence, s.value = Evidence{cm, document.Key("data", key), key}, cm.Root.At("data", key).Str()
			}
		}
		if e.At("valueFrom", "secretKeyRef") != nil && namesAddress(name) {
			d.note("env %s of %s comes from a Secret, whose values are not read: what it names is not allowed unless something else says so", name, reach.Pod(t))
		}
		s.file = multiline(s.value)
		out = append(out, s)
	}
	for _, s := range out { // the later of two of a name holds, as in a pod
		s.value = expand(s.value, vars)
		vars[s.name] = s.value
	}
	return out
}

// arguments reads a container's command and args, a flag with what follows it.
func arguments(t *cluster.PodTemplate, c *cluster.Container) []*setting {
	var out []*setting
	for _, field := range [...]string{"command", "args"} {
		flag := ""
		for i, a := range c.Root.Get(field).List() {
			text := a.Str()
			s := &setting{Evidence{t.Object, document.Index(c.Path+"."+field, i), field}, flag, text, multiline(text) || strings.Contains(text, " "), nil}
			flag = ""
			if name, value, found := strings.Cut(text, "="); found && strings.HasPrefix(name, "-") {
				s.name, s.value = name, value
			} else if strings.HasPrefix(text, "-") {
				flag = text
			}
			if s.name != "" {
				s.Text = field + " " + s.name
			}
			out = append(out, s)
		}
	}
	return out
}

// files returns the texts of a ConfigMap that is mounted.
func (d *declaring) files(t *cluster.PodTemplate, name string) []*setting {
	cm := d.snapshot.Get("", "ConfigMap", t.Object.Namespace, name)
	if cm == nil || name == "" {
		return nil
	}
	var out []*setting
	for _, f := range cm.Root.Get("data").Map() {
		out = append(out, &setting{Evidence{cm, document.Key("data", f.Key), f.Key}, f.Key, f.Value.Str(), true, nil})
	}
	return out
}

func multiline(s string) bool { return strings.Contains(strings.TrimSpace(s), "\n") }

var variable = regexp.MustCompile(`\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)`)

// maxText is how much of one text is read, in bytes: variables may multiply, and
// ConfigMaps hold whole sites.
const maxText = 1 << 20

// expand puts in variables as the kubelet does, those that come before.
func expand(s string, vars map[string]string) string {
	if !strings.Contains(s, "$(") {
		return s
	}
	out := variable.ReplaceAllStringFunc(s, func(m string) string {
		if v, ok := vars[m[2:len(m)-1]]; ok && len(v) < 4096 {
			return v
		}
		return m
	})
	return out[:min(len(out), maxText)]
}

var reference = regexp.MustCompile(`(?:\b([a-zA-Z][a-zA-Z0-9+-]*)://)?(?:[^/@]+@)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?)\.?(?::([0-9]{1,5})\b)?`)

// schemes are those of connections, with the port that goes without saying.
var schemes = map[string]uint16{
	"http": 80, "https": 443, "ws": 80, "wss": 443, "grpc": 0, "grpcs": 0, "tcp": 0, "udp": 0, "tls": 0, "postgres": 5432, "postgresql": 5432,
	"mysql": 3306, "mariadb": 3306, "redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671, "mongodb": 27017, "nats": 4222, "kafka": 9092,
	"ldap": 389, "ldaps": 636, "smtp": 25, "smtps": 465, "ssh": 22, "ftp": 21, "memcached": 11211, "mqtt": 1883, "mqtts": 8883, "sqlserver": 1433,
	"clickhouse": 9000, "elasticsearch": 9200, "cassandra": 9042, "etcd": 2379,
}

// addressWords are in the names of settings that hold addresses.
var addressWords = []string{
	"HOST", "ADDR", "URL", "URI", "ENDPOINT", "SERVER", "SERVICE", "BROKER", "NODES", "PEERS", "DSN", "UPSTREAM", "BACKEND", "TARGET",
	"CONNECT", "DATABASE", "PROXY", "BOOTSTRAP", "SEED", "JOIN",
}

// otherWords are in the names of settings whose addresses nobody connects to.
var otherWords = []string{"NO_PROXY", "NOPROXY", "CORS", "ALLOWED", "ORIGIN", "AUDIENCE", "PUBLIC", "LISTEN", "BIND", "ADVERTISE"}

func namesAddress(name string) bool { return hasWord(name, addressWords) && !hasWord(name, otherWords) }

func hasWord(name string, words []string) bool {
	name = strings.ReplaceAll(strings.ToUpper(name), "-", "_")
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(name, w) })
}

// named is a host that a setting names.
type named struct {
	text         string
	scheme, host string
	port         uint16 // 0 where none is said
	udp          bool
	// alone says that the setting is one whose name says that it is an address, and
	// holds nothing else.
	alone bool
}

// read finds the hosts that a setting names.
func (d *declaring) read(t *cluster.PodTemplate, s *setting) {
	if hasWord(s.name, otherWords) && !s.file {
		return
	}
	text := s.value[:min(len(s.value), maxText)]
	for line := range strings.Lines(text) {
		if s.file && (strings.HasPrefix(strings.TrimSpace(line), "#") || strings.HasPrefix(strings.TrimSpace(line), "//")) {
			continue
		}
		for _, word := range strings.FieldsFunc(line, separates) {
			if len(word) > maxWord {
				continue
			}
			for _, n := range names(word) {
				n.alone = namesAddress(s.name) && (n.text == strings.TrimSpace(line) || strings.Contains(line, ","))
				if n.port == 0 && n.scheme == "" {
					n.port = pairedPort(s)
				}
				d.resolve(t, s, n)
			}
		}
	}
}

// maxWord is the longest word that may hold an address, in bytes: finding one
// costs the square of it.
const maxWord = 512

func separates(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("\"'<>(),;", r) }

// names returns the hosts in a word.
func names(word string) []named {
	var out []named
	for _, at := range reference.FindAllStringSubmatchIndex(word, -1) {
		group := func(i int) string {
			if at[2*i] < 0 {
				return ""
			}
			return word[at[2*i]:at[2*i+1]]
		}
		n := named{text: word[at[0]:at[1]], scheme: strings.ToLower(group(1)), host: strings.ToLower(strings.Trim(group(2), "[]"))}
		if n.scheme == "" && at[0] > 0 && strings.ContainsRune("/._-$%{\\", rune(word[at[0]-1])) {
			continue // a piece of a path, or of a word
		}
		if port, err := strconv.ParseUint(group(3), 10, 16); err == nil {
			n.port = uint16(port)
		}
		n.udp = n.scheme == "udp"
		out = append(out, n)
	}
	return out
}

// pairedPort returns the port that stands beside a host: DB_PORT beside DB_HOST.
func pairedPort(s *setting) uint16 {
	name := strings.ToUpper(s.name)
	for _, end := range [...]string{"HOSTNAME", "HOST", "ADDRESS", "ADDR", "SERVER"} {
		if stem, ok := strings.CutSuffix(name, end); ok {
			for k, v := range s.vars {
				if strings.ToUpper(k) == stem+"PORT" {
					port, _ := strconv.ParseUint(v, 10, 16)
					return uint16(port)
				}
			}
		}
	}
	return 0
}

// resolve turns a name into connections. A name of which nothing says that it is
// an address is none, unless a Service has it.
func (d *declaring) resolve(t *cluster.PodTemplate, s *setting, n named) {
	if addr, err := netip.ParseAddr(n.host); err == nil {
		d.resolveAddress(t, s, n, addr.Unmap())
		return
	}
	if n.host == "localhost" || !strings.ContainsAny(n.host, "abcdefghijklmnopqrstuvwxyz") {
		return
	}
	_, known := schemes[n.scheme]
	said := known || n.port != 0 || n.alone
	namespace, service, sure := serviceName(n.host, t.Namespace())
	if namespace == "default" && service == "kubernetes" && (said || sure) && n.host != "kubernetes" {
		d.askAPI(t, s.Evidence, false)
		return
	}
	for _, at := range d.candidates(n.host, t.Namespace()) {
		if e := d.services.Service(at[0], at[1]); e != nil && (said || sure || strings.Contains(n.host, ".") && !s.file) {
			d.connect(t, s, n, e)
			return
		}
	}
	switch {
	case s.file, !known && (!n.alone || n.port == 0) && !sure:
	case sure:
		d.gap(s.Evidence, "it names Service %s/%s, which was not read", namespace, service)
	case !strings.Contains(n.host, "."):
		d.gap(s.Evidence, "it names %s, and no Service %s/%s was read", n.host, t.Namespace(), n.host)
	default:
		d.leave(t, s, n, End{Kind: External})
	}
}

// serviceName reads the long form of a Service's name; sure is false for names
// that may be others.
func serviceName(host, own string) (namespace, service string, sure bool) {
	labels := strings.Split(host, ".")
	if at := slices.Index(labels, "svc"); at >= 2 {
		return labels[at-1], labels[at-2], true
	}
	if len(labels) == 2 {
		return labels[1], labels[0], false
	}
	return own, labels[0], false
}

// candidates are the Services that a host may be: db, db.shop, db.shop.svc, and
// with the name of a pod before: db-0.db.
func (*declaring) candidates(host, own string) [][2]string {
	labels := strings.Split(host, ".")
	if at := slices.Index(labels, "svc"); at >= 2 {
		return [][2]string{{labels[at-1], labels[at-2]}}
	}
	switch len(labels) {
	case 1:
		return [][2]string{{own, labels[0]}}
	case 2:
		return [][2]string{{labels[1], labels[0]}, {own, labels[1]}}
	case 3:
		return [][2]string{{labels[2], labels[1]}}
	}
	return nil
}

func (d *declaring) resolveAddress(t *cluster.PodTemplate, s *setting, n named, addr netip.Addr) {
	if addr.IsLoopback() || addr.IsUnspecified() || addr.IsMulticast() || s.file || n.scheme == "" && !n.alone {
		return
	}
	for _, e := range d.services.Services() {
		for _, ip := range append(e.Service.Root.At("spec", "clusterIPs").List(), e.Service.Root.At("spec", "clusterIP")) {
			if ip.Str() == addr.String() {
				d.connect(t, s, n, e)
				return
			}
		}
	}
	d.leave(t, s, n, End{Kind: Address, Range: netip.PrefixFrom(addr, addr.BitLen())})
}

// leave adds a connection to something outside.
func (d *declaring) leave(t *cluster.PodTemplate, s *setting, n named, to End) {
	port := cmp.Or(n.port, schemes[n.scheme])
	if port == 0 {
		d.gap(s.Evidence, "it names %s without a port", n.host)
		return
	}
	e := s.Evidence
	e.Text += " names " + n.host
	d.add(Need{From: End{Pods: t}, To: to, Port: protocolOf(n).at(port), Use: Client, Likely: true, Evidence: []Evidence{e}})
}

type protocol reach.Protocol

func (p protocol) at(port uint16) reach.Port {
	return reach.Port{Protocol: reach.Protocol(p), Number: port}
}

func protocolOf(n named) protocol {
	if n.udp {
		return protocol(reach.UDP)
	}
	return protocol(reach.TCP)
}

// connect adds a connection to a Service.
func (d *declaring) connect(t *cluster.PodTemplate, s *setting, n named, e *cluster.Exposure) {
	spec := e.Service.Root.Get("spec")
	if host := spec.Get("externalName").Str(); spec.Get("type").Str() == "ExternalName" {
		d.follow(t, s, n, e, strings.ToLower(strings.TrimSuffix(host, ".")))
		return
	}
	if len(e.Templates) == 0 {
		d.connectEndpoints(t, s, n, e)
		return
	}
	asked := n.port
	if def := schemes[n.scheme]; asked == 0 && def != 0 && d.hasPort(e, def) {
		asked = def
	}
	for _, to := range e.Templates {
		if !d.isPod(to) {
			continue // a gap of its own
		}
		ports := d.ports(s.Evidence, e, to, asked, spec.Get("clusterIP").Str() == "None")
		for _, p := range ports {
			likely := s.file || asked == 0 && len(ports) > 1
			d.add(Need{From: End{Pods: t}, To: End{Pods: to}, Port: p, Use: Client, Likely: likely, Evidence: []Evidence{s.Evidence}})
		}
	}
}

func (d *declaring) isPod(t *cluster.PodTemplate) bool {
	return slices.ContainsFunc(d.pods, func(p *cluster.PodTemplate) bool { return p.Object == t.Object && p.SpecPath == t.SpecPath })
}

func (*declaring) hasPort(e *cluster.Exposure, port uint16) bool {
	return slices.ContainsFunc(e.Service.Root.At("spec", "ports").List(), func(n *document.Node) bool {
		p, _ := n.Get("port").Int()
		return p == int64(port)
	})
}

// ports returns the ports of pods behind a Service that a client means: the
// target of the port that it names, or, where it names none, of all. A headless
// Service translates nothing: clients connect to the port that they name.
func (d *declaring) ports(why Evidence, e *cluster.Exposure, to *cluster.PodTemplate, asked uint16, headless bool) []reach.Port {
	target := &reach.Target{Name: namespaceOf(e.Service) + "/" + e.Service.Name, Service: e.Service}
	switch {
	case asked == 0:
		out := d.model.Declared(target, reach.Pod(to))
		if len(out) == 0 {
			d.gap(why, "Service %s has no port that leads to one of %s", target.Name, reach.Pod(to))
		}
		return out
	case headless && !d.hasPort(e, asked):
		return []reach.Port{{Number: asked}}
	}
	var out []reach.Port
	var first error
	for _, proto := range [...]string{"", "/udp", "/sctp"} {
		p, err := d.model.Port(target, reach.Pod(to), strconv.Itoa(int(asked))+proto)
		if err == nil {
			if headless {
				p.Number = asked
			}
			out = append(out, p)
		} else if first == nil {
			first = err
		}
	}
	if len(out) == 0 {
		d.gap(why, "%v", first)
	}
	return out
}

// follow goes on to the host that a Service of type ExternalName names.
func (d *declaring) follow(t *cluster.PodTemplate, s *setting, n named, e *cluster.Exposure, host string) {
	why := *s
	why.Text += " (Service " + e.Service.Name + " is " + host + ")"
	namespace, service, sure := serviceName(host, namespaceOf(e.Service))
	if sure {
		next := d.services.Service(namespace, service)
		switch {
		case namespace == "default" && service == "kubernetes":
			d.askAPI(t, why.Evidence, false)
		case next == nil || next.Service.Root.At("spec", "type").Str() == "ExternalName":
			d.gap(why.Evidence, "the Service stands for %s, which is no Service with pods that was read", host)
		default:
			d.connect(t, &why, n, next)
		}
		return
	}
	n.host = host
	to := End{Kind: External}
	if addr, err := netip.ParseAddr(host); err == nil {
		to = End{Kind: Address, Range: netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())}
	}
	if n.port == 0 && schemes[n.scheme] == 0 {
		for _, p := range e.Service.Root.At("spec", "ports").List() {
			if number, _ := p.Get("port").Int(); number > 0 && number < 1<<16 {
				n.port = uint16(number)
				d.leave(t, &why, n, to)
			}
		}
		if n.port != 0 {
			return
		}
	}
	d.leave(t, &why, n, to)
}

// connectEndpoints adds connections to the addresses behind a Service that
// selects no pods.
func (d *declaring) connectEndpoints(t *cluster.PodTemplate, s *setting, n named, e *cluster.Exposure) {
	name := namespaceOf(e.Service) + "/" + e.Service.Name
	if e.Service.Root.At("spec", "selector").Len() > 0 {
		d.gap(s.Evidence, "it names Service %s, behind which no pods were read", name)
		return
	}
	addrs, ports := reach.Endpoints(d.snapshot, e.Service.Namespace, e.Service.Name)
	if len(addrs) == 0 || len(ports) == 0 {
		d.gap(s.Evidence, "it names Service %s, which selects no pods, and no endpoints of it were read", name)
	}
	for _, a := range addrs {
		for _, p := range ports {
			d.add(Need{
				From: End{Pods: t}, To: End{Kind: Address, Range: netip.PrefixFrom(a, a.BitLen())},
				Port: protocolOf(n).at(p), Use: Client, Likely: true, Evidence: []Evidence{s.Evidence},
			})
		}
	}
}
