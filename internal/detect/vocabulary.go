package detect

import (
	"cmp"
	"net/netip"
	"path"
	"strings"
	"time"

	"github.com/google/cel-go/cel"

	"seawall.io/seawall"
)

// A check sees an event through objects with fields, each of a type that is known
// before there is an event. The tables in this file are all of it: cel-go checks
// expressions against them, and both ways of evaluating read values through them.

// field is a field of an object.
type field struct {
	name string
	typ  *cel.Type
	get  func(f *frame, o any) value // o points to the object, and may be a nil pointer
}

// object is a type of object.
type object struct {
	name   string
	fields map[string]field
	names  []string
}

func newObject(name string, fields ...field) *object {
	out := &object{name: name, fields: map[string]field{}}
	for _, f := range fields {
		out.fields[f.name] = f
		out.names = append(out.names, f.name)
	}
	return out
}

func objectType(name string) *cel.Type { return cel.ObjectType("seawall." + name) }

// property makes a field of a part of an event. Where the part is absent its
// value is zero.
func property[T any](name string, typ *cel.Type, zero value, get func(*frame, *T) value) field {
	return field{name, typ, func(f *frame, o any) value {
		if p, _ := o.(*T); p != nil {
			return get(f, p)
		}
		return zero
	}}
}

// The commonest kinds of field read without a detour.

func text[T any](name string, get func(*T) string) field {
	return field{name, cel.StringType, func(_ *frame, o any) value {
		p, _ := o.(*T)
		if p == nil {
			return value{kind: kindString}
		}
		return value{kind: kindString, s: get(p)}
	}}
}

func number[T any, N ~int | ~int64 | ~uint32 | ~uint64](name string, get func(*T) N) field {
	return field{name, cel.IntType, func(_ *frame, o any) value {
		p, _ := o.(*T)
		if p == nil {
			return value{kind: kindInt}
		}
		return value{kind: kindInt, i: int64(get(p))}
	}}
}

func flag[T any](name string, get func(*T) bool) field {
	return field{name, cel.BoolType, func(_ *frame, o any) value {
		p, _ := o.(*T)
		return truth(p != nil && get(p))
	}}
}

// present is true where the part is there.
func present[T any]() field { return flag("present", func(*T) bool { return true }) }

func part[T, U any](name, typ string, get func(*T) *U) field {
	return field{name, objectType(typ), func(_ *frame, o any) value {
		p, _ := o.(*T)
		if p == nil {
			return value{kind: kindObject, o: (*U)(nil)}
		}
		return value{kind: kindObject, o: get(p)}
	}}
}

func items[T, L any](name string, item *cel.Type, get func(*T) *L) field {
	return property(name, cel.ListType(item), value{kind: kindList, o: new([]value)}, func(_ *frame, p *T) value {
		return value{kind: kindList, o: get(p)}
	})
}

func texts[T any](name string, get func(*T) *[]string) field { return items(name, cel.StringType, get) }

func caps[T any](name string, get func(*T) seawall.Caps) field {
	return property(name, cel.ListType(cel.StringType), value{kind: kindCaps}, func(_ *frame, p *T) value {
		return value{kind: kindCaps, i: int64(get(p))} //nolint:gosec // a set of bits
	})
}

func mapping[T any](name string, get func(*T) *map[string]string) field {
	return property(name, cel.MapType(cel.StringType, cel.StringType), value{kind: kindMap, o: new(map[string]string)}, func(_ *frame, p *T) value {
		return value{kind: kindMap, o: get(p)}
	})
}

// objects are all types of objects by their names.
var objects = func() map[string]*object {
	out := map[string]*object{}
	for _, o := range []*object{
		eventObject(), processObject(), programObject(), fileObject(), execObject(), exitObject(),
		netObject(), endpointObject(), dnsObject(), tlsObject(), callObject(), credsObject(),
		containerObject(), mountObject(), podObject(), workloadObject(), profileObject(),
		verdictObject(), lossObject(),
	} {
		out["seawall."+o.name] = o
	}
	return out
}()

func eventObject() *object {
	type E = seawall.Event
	return newObject(
		"event",
		text("kind", func(e *E) string { return e.Kind.String() }),
		number("count", repeats),
		text("node", func(e *E) string { return e.Node }),
		text("identity", func(e *E) string { return string(e.Identity) }),
		part("process", "process", func(e *E) *seawall.Process { return e.Process }),
		part("container", "container", func(e *E) *seawall.Container { return e.Container }),
		part("pod", "pod", func(e *E) *seawall.Pod { return e.Pod }),
		part("file", "file", func(e *E) *seawall.File { return e.File }),
		part("exec", "exec", func(e *E) *seawall.Exec { return e.Exec }),
		part("exit", "exit", func(e *E) *seawall.Exit { return e.Exit }),
		part("net", "net", func(e *E) *seawall.Socket { return e.Socket }),
		part("dns", "dns", func(e *E) *seawall.DNS { return e.DNS }),
		part("tls", "tls", func(e *E) *seawall.TLS { return e.TLS }),
		part("call", "call", func(e *E) *seawall.Call { return e.Call }),
		text("capability", func(e *E) string { return e.Capability }),
		texts("syscalls", func(e *E) *[]string { return &e.Syscalls }),
		part("creds", "creds", func(e *E) *seawall.CredChange { return e.Creds }),
		texts("namespaces", func(e *E) *[]string { return &e.Namespaces }),
		part("verdict", "verdict", func(e *E) *seawall.Verdict { return e.Verdict }),
		part("loss", "loss", func(e *E) *seawall.Loss { return e.Loss }),
		part("profile", "profile", func(e *E) *seawall.ProfileMatch { return e.Profile }),
	)
}

// repeats is how many equal events an event stands for.
func repeats(e *seawall.Event) uint64 { return max(e.Count, 1) }

func processObject() *object {
	type P = seawall.Process
	return newObject(
		"process",
		present[P](),
		number("pid", func(p *P) uint32 { return p.PID }),
		number("nspid", ownPID),
		text("comm", func(p *P) string { return p.Comm }),
		text("exe", func(p *P) string { return p.Exe }),
		text("name", programName),
		text("tool", tool),
		texts("args", func(p *P) *[]string { return &p.Args }),
		property("cmdline", cel.StringType, value{kind: kindString}, func(f *frame, p *P) value {
			return value{kind: kindString, s: f.commandLine(p)}
		}),
		text("cwd", func(p *P) string { return p.Cwd }),
		number("uid", func(p *P) uint32 { return p.UID }),
		number("euid", func(p *P) uint32 { return p.EUID }),
		number("gid", func(p *P) uint32 { return p.GID }),
		caps("caps", func(p *P) seawall.Caps { return p.Caps }),
		flag("tty", func(p *P) bool { return p.TTY }),
		items("stdio", cel.StringType, func(p *P) *[3]seawall.Stdio { return &p.Stdio }),
		text("entry", func(p *P) string { return p.Entry }),
		part("program", "program", func(p *P) *seawall.FileTraits { return &p.Program }),
		part("parent", "process", func(p *P) *P { return p.Parent }),
		items("ancestors", objectType("process"), func(p *P) *chain { return (*chain)(p) }),
	)
}

// programName is the last part of the program's path, or what the process calls
// itself where the path is not known.
func programName(p *seawall.Process) string {
	if p.Exe == "" {
		return p.Comm
	}
	return baseName(p.Exe)
}

// tool is the program's name or, of a program that is many tools in one, the name
// that its arguments call: what a shell of busybox runs within itself is told by
// comm only.
func tool(p *seawall.Process) string {
	name := programName(p)
	if !manyTools(name) {
		return name
	}
	if len(p.Args) == 0 {
		return cmp.Or(p.Comm, name)
	}
	called := strings.TrimPrefix(baseName(p.Args[0]), "-") // as login shells are called
	if manyTools(called) && len(p.Args) > 1 && !strings.HasPrefix(p.Args[1], "-") {
		called = baseName(p.Args[1])
	}
	return cmp.Or(called, name)
}

// manyTools tells programs that do what the name says by which they are called:
// busybox, busybox.static and busybox-extras, toybox, coreutils.
func manyTools(name string) bool {
	for _, many := range [...]string{"busybox", "toybox", "coreutils"} {
		if rest, found := strings.CutPrefix(name, many); found {
			return rest == "" || rest[0] == '.' || rest[0] == '-'
		}
	}
	return false
}

// ownPID is the PID that the process has in its own namespace, and so in the /proc
// that it sees; its PID on the node where no other is known.
func ownPID(p *seawall.Process) uint32 { return cmp.Or(p.NSPID, p.PID) }

func baseName(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// maxCommandLine bounds what cmdline holds, in bytes.
const maxCommandLine = 64 << 10

// commandLine joins the arguments. Several checks ask for that of one event.
func (f *frame) commandLine(p *seawall.Process) string {
	if len(p.Args) == 1 {
		return clip(p.Args[0], maxCommandLine)
	}
	if len(p.Args) == 0 {
		return ""
	}
	if f.joinedOf == p {
		return f.joined
	}
	var b strings.Builder
	for i, arg := range p.Args {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(clip(arg, maxCommandLine-b.Len()))
		if b.Len() >= maxCommandLine {
			break
		}
	}
	f.joinedOf, f.joined = p, b.String()
	return f.joined
}

func clip(s string, n int) string { return s[:min(len(s), max(n, 0))] }

func traitFields[T any](traits func(*T) *seawall.FileTraits) []field {
	return []field{
		number("inode", func(p *T) uint64 { return traits(p).Inode }),
		number("dev", func(p *T) uint32 { return traits(p).Dev }),
		text("fs", func(p *T) string { return traits(p).FS }),
		number("mode", func(p *T) uint32 { return traits(p).Mode }),
		number("uid", func(p *T) uint32 { return traits(p).UID }),
		flag("upper", func(p *T) bool { return traits(p).Upper }),
		flag("modified", func(p *T) bool { return traits(p).Modified }),
		flag("memfd", func(p *T) bool { return traits(p).Memfd }),
		flag("deleted", func(p *T) bool { return traits(p).Deleted }),
		flag("setuid", func(p *T) bool { return traits(p).SetUID }),
		flag("setgid", func(p *T) bool { return traits(p).SetGID }),
		flag("volume", func(p *T) bool { return traits(p).Volume }),
	}
}

func programObject() *object {
	return newObject("program", traitFields(func(t *seawall.FileTraits) *seawall.FileTraits { return t })...)
}

// Bits of open(2) and chmod(2).
const (
	openAccess    = 0o3
	openCreate    = 0o100
	openTruncate  = 0o1000
	modeSetUID    = 0o4000
	modeSetGID    = 0o2000
	modeExecute   = 0o111
	modeOthersPut = 0o002
)

func fileObject() *object {
	type F = seawall.File
	return newObject("file", append(
		traitFields(func(f *F) *seawall.FileTraits { return &f.Traits }),
		present[F](),
		text("path", func(f *F) string { return f.Path }),
		text("name", func(f *F) string { return baseName(f.Path) }),
		text("dir", func(f *F) string { return folder(f.Path) }),
		text("to", func(f *F) string { return f.To }),
		number("flags", func(f *F) uint32 { return f.Flags }),
		flag("write", func(f *F) bool { return f.Flags&openAccess != 0 || f.Created || f.Flags&openTruncate != 0 }),
		flag("created", func(f *F) bool { return f.Created }),
		flag("truncate", func(f *F) bool { return f.Flags&openTruncate != 0 }),
		flag("truncated", func(f *F) bool { return f.Truncated }),
		number("newMode", func(f *F) uint32 { return f.NewMode }),
		flag("chmodx", func(f *F) bool { return f.NewMode&modeExecute != 0 }),
		flag("chmodSetuid", func(f *F) bool { return f.NewMode&modeSetUID != 0 }),
		flag("chmodSetgid", func(f *F) bool { return f.NewMode&modeSetGID != 0 }),
		flag("chmodOthersWrite", func(f *F) bool { return f.NewMode&modeOthersPut != 0 }),
		text("type", func(f *F) string { return f.Type }),
		text("source", func(f *F) string { return f.Source }),
		number("result", func(f *F) int64 { return f.Result }),
	)...)
}

// folder is the path without its last part: / of /a, empty of a bare name.
func folder(name string) string {
	i := strings.LastIndexByte(name, '/')
	if i == 0 {
		return "/"
	}
	return name[:max(i, 0)]
}

func execObject() *object {
	type X = seawall.Exec
	return newObject(
		"exec",
		present[X](),
		text("script", func(x *X) string { return x.Script }),
		texts("env", func(x *X) *[]string { return &x.Env }),
		mapping("values", func(x *X) *map[string]string { return &x.Values }),
	)
}

func exitObject() *object {
	type X = seawall.Exit
	return newObject(
		"exit",
		present[X](),
		number("code", func(x *X) int { return x.Code }),
		number("signal", func(x *X) int { return x.Signal }),
	)
}

func netObject() *object {
	type S = seawall.Socket
	return newObject(
		"net",
		present[S](),
		text("protocol", func(s *S) string { return s.Protocol }),
		part("local", "endpoint", func(s *S) *netip.AddrPort { return &s.Local }),
		part("remote", "endpoint", func(s *S) *netip.AddrPort { return &s.Remote }),
		text("path", func(s *S) string { return s.Path }),
		text("name", func(s *S) string { return s.Name }),
		flag("loopback", func(s *S) bool { return s.Remote.Addr().Unmap().IsLoopback() }),
		flag("private", func(s *S) bool { return private(s.Remote.Addr()) }),
		number("result", func(s *S) int64 { return s.Result }),
		number("bytesSent", func(s *S) uint64 { return s.BytesSent }),
		number("bytesReceived", func(s *S) uint64 { return s.BytesReceived }),
		text("payload", func(s *S) string { return s.Payload }),
	)
}

// sharedSpace is for carriers and, often, for pods (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// private says whether an address is not of the internet: RFC 1918 and 6598, ULA,
// link-local, loopback, or unspecified.
func private(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || sharedSpace.Contains(a)
}

func endpointObject() *object {
	type A = netip.AddrPort
	return newObject(
		"endpoint",
		flag("present", (*A).IsValid),
		property("ip", cel.StringType, value{kind: kindString}, func(_ *frame, a *A) value {
			if !a.IsValid() {
				return value{kind: kindString}
			}
			return value{kind: kindAddr, o: a}
		}),
		number("port", func(a *A) uint32 { return uint32(a.Port()) }),
		flag("loopback", func(a *A) bool { return a.Addr().Unmap().IsLoopback() }),
		flag("private", func(a *A) bool { return private(a.Addr()) }),
		flag("any", func(a *A) bool { return a.Addr().Unmap().IsUnspecified() }),
	)
}

func dnsObject() *object {
	type D = seawall.DNS
	return newObject(
		"dns",
		present[D](),
		text("name", func(d *D) string { return d.Name }),
		text("domain", func(d *D) string { return domain(d.Name) }),
		number("longest", func(d *D) int { return longestLabel(d.Name) }),
		text("type", func(d *D) string { return d.Type }),
		flag("response", func(d *D) bool { return d.Response }),
		text("rcode", func(d *D) string { return d.RCode }),
		texts("answers", func(d *D) *[]string { return &d.Answers }),
		part("server", "endpoint", func(d *D) *netip.AddrPort { return &d.Server }),
		flag("foreign", func(d *D) bool { return d.Foreign }),
	)
}

// domain is the last two labels of a name.
func domain(name string) string {
	name = strings.TrimSuffix(name, ".")
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		return name[strings.LastIndexByte(name[:i], '.')+1:]
	}
	return name
}

func longestLabel(name string) int {
	longest := 0
	for label := range strings.SplitSeq(name, ".") {
		longest = max(longest, len(label))
	}
	return longest
}

func tlsObject() *object {
	type T = seawall.TLS
	return newObject(
		"tls",
		present[T](),
		text("serverName", func(t *T) string { return t.ServerName }),
		part("remote", "endpoint", func(t *T) *netip.AddrPort { return &t.Remote }),
		texts("alpn", func(t *T) *[]string { return &t.ALPN }),
	)
}

func callObject() *object {
	type C = seawall.Call
	return newObject(
		"call",
		present[C](),
		text("name", func(c *C) string { return c.Name }),
		items("args", cel.IntType, func(c *C) *[4]uint64 { return &c.Args }),
		text("op", func(c *C) string { return c.Op }),
		number("result", func(c *C) int64 { return c.Result }),
		flag("denied", func(c *C) bool { return c.Denied }),
		part("target", "process", func(c *C) *seawall.Process { return c.Target }),
	)
}

func credsObject() *object {
	type C = seawall.CredChange
	return newObject(
		"creds",
		present[C](),
		number("oldUid", func(c *C) uint32 { return c.OldUID }),
		number("oldEuid", func(c *C) uint32 { return c.OldEUID }),
		number("newUid", func(c *C) uint32 { return c.NewUID }),
		number("newEuid", func(c *C) uint32 { return c.NewEUID }),
		caps("oldCaps", func(c *C) seawall.Caps { return c.OldCaps }),
		caps("newCaps", func(c *C) seawall.Caps { return c.NewCaps }),
		caps("gained", func(c *C) seawall.Caps { return c.NewCaps &^ c.OldCaps }),
	)
}

func containerObject() *object {
	type C = seawall.Container
	return newObject(
		"container",
		present[C](),
		text("id", func(c *C) string { return c.ID }),
		text("name", func(c *C) string { return c.Name }),
		text("image", func(c *C) string { return c.Image }),
		text("digest", func(c *C) string { return c.Digest }),
		flag("privileged", func(c *C) bool { return c.Privileged }),
		flag("sandbox", func(c *C) bool { return c.Sandbox }),
		caps("caps", func(c *C) seawall.Caps { return c.Caps }),
		property("age", cel.IntType, value{kind: kindInt}, func(f *frame, c *C) value {
			return value{kind: kindInt, i: age(c, f.event.Time)}
		}),
		items("resolvers", cel.StringType, func(c *C) *[]netip.Addr { return &c.Resolvers }),
		items("mounts", objectType("mount"), func(c *C) *[]seawall.ContainerMount { return &c.Mounts }),
	)
}

// age is how many seconds a container had run, 0 where nobody knows.
func age(c *seawall.Container, now time.Time) int64 {
	if c.Started.IsZero() || now.Before(c.Started) {
		return 0
	}
	return int64(now.Sub(c.Started) / time.Second)
}

func mountObject() *object {
	type M = seawall.ContainerMount
	return newObject(
		"mount",
		text("path", func(m *M) string { return m.Path }),
		text("host", func(m *M) string { return path.Clean(m.Host) }),
		flag("readOnly", func(m *M) bool { return m.ReadOnly }),
	)
}

func podObject() *object {
	type P = seawall.Pod
	return newObject(
		"pod",
		present[P](),
		text("namespace", func(p *P) string { return p.Namespace }),
		text("name", func(p *P) string { return p.Name }),
		mapping("labels", func(p *P) *map[string]string { return &p.Labels }),
		part("workload", "workload", func(p *P) *seawall.Workload { return &p.Workload }),
		text("serviceAccount", func(p *P) string { return p.ServiceAccount }),
		flag("hostNetwork", func(p *P) bool { return p.HostNetwork }),
		flag("hostPID", func(p *P) bool { return p.HostPID }),
		texts("ip", func(p *P) *[]string { return &p.IP }),
		text("mode", func(p *P) string { return p.Mode }),
	)
}

func workloadObject() *object {
	type W = seawall.Workload
	return newObject(
		"workload",
		text("kind", func(w *W) string { return w.Kind }),
		text("name", func(w *W) string { return w.Name }),
	)
}

func profileObject() *object {
	type P = seawall.ProfileMatch
	return newObject(
		"profile",
		present[P](),
		flag("ready", func(p *P) bool { return p.Ready }),
		flag("known", func(p *P) bool { return p.Known }),
	)
}

func verdictObject() *object {
	type V = seawall.Verdict
	return newObject(
		"verdict",
		present[V](),
		text("rule", func(v *V) string { return v.Rule }),
		text("tier", func(v *V) string { return v.Tier }),
		text("action", func(v *V) string { return v.Action }),
		text("target", func(v *V) string { return v.Target }),
	)
}

func lossObject() *object {
	type L = seawall.Loss
	return newObject(
		"loss",
		present[L](),
		text("class", func(l *L) string { return l.Class }),
		number("count", func(l *L) uint64 { return l.Count }),
		text("reason", func(l *L) string { return l.Reason }),
	)
}
