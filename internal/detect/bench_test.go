package detect_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/detect"
)

// A busy node as measured: files and processes most of all, then connections.
func mixture(tb testing.TB) []*seawall.Event {
	tb.Helper()
	var out []*seawall.Event
	parse := func(n int, text string) {
		for range n {
			ev, err := detect.ParseEvent([]byte(text))
			if err != nil {
				tb.Fatal(err)
			}
			out = append(out, ev)
		}
	}
	const where = `,"container":{"id":"0123456789abcdef","name":"app","image":"registry.example/shop/web:1.2","started":"2026-11-21T10:00:00Z","caps":["CHOWN","SETUID","NET_BIND_SERVICE"]},"pod":{"namespace":"shop","name":"web-5f7d-x","uid":"u1","labels":{"app":"web"},"workload":{"kind":"Deployment","name":"web"},"ip":["10.244.1.7"]},"identity":"resolved","profile":{"ready":true,"known":true}}`
	const who = `"process":{"pid":4711,"start":991,"comm":"node","exe":"/usr/local/bin/node","args":["node","--max-old-space-size=512","/app/server.js"],"cwd":"/app","uid":1000,"euid":1000,"gid":1000,"program":{"inode":9100,"dev":66,"fs":"overlay","mode":33261},"cgroup":77,"stdio":["null","pipe","pipe"],"parent":{"pid":4700,"start":990,"comm":"tini","exe":"/sbin/tini","args":["tini","--","node"],"uid":1000,"euid":1000,"gid":1000,"entry":"init","cgroup":77}}`
	parse(20, `{"kind":"exec",`+who+`,"file":{"path":"/usr/local/bin/node","inode":9100,"dev":66},"exec":{"env":[]}`+where)
	parse(20, `{"kind":"fork",`+who+where)
	parse(20, `{"kind":"exit",`+who+`,"exit":{"code":0}`+where)
	parse(40, `{"kind":"open",`+who+`,"file":{"path":"/app/node_modules/express/lib/router.js","inode":9200,"dev":66,"fs":"overlay"}`+where)
	parse(15, `{"kind":"write",`+who+`,"file":{"path":"/app/log/access.log","inode":9300,"dev":66,"flags":1025}`+where)
	parse(20, `{"kind":"connect",`+who+`,"socket":{"protocol":"tcp","local":"10.244.1.7:40112","remote":"10.96.0.12:5432","cookie":5}`+where)
	parse(10, `{"kind":"accept",`+who+`,"socket":{"protocol":"tcp","local":"10.244.1.7:8080","remote":"10.244.2.9:53122"}`+where)
	parse(10, `{"kind":"close",`+who+`,"socket":{"protocol":"tcp","remote":"10.96.0.12:5432","bytesSent":912,"bytesReceived":18000}`+where)
	parse(5, `{"kind":"dns",`+who+`,"dns":{"name":"db.shop.svc.cluster.local","type":"A"}`+where)
	for i, ev := range out {
		ev.Boot = uint64(i+1) * 10_000
	}
	return out
}

// typical are conditions of the kinds that checks have, by kinds of events.
var typical = map[string][]string{
	"exec": {
		`process.program.upper`, `process.program.memfd || process.program.deleted`, `process.program.volume`, `process.program.fs == "tmpfs"`,
		`process.stdio.exists(s, s == "socket") && process.name in ["sh", "bash", "dash"]`, `process.tty && process.name in ["sh", "bash", "dash", "ash"]`,
		`process.name in ["nc", "ncat", "socat"] && process.cmdline.contains("-e")`, `process.name in ["python", "perl", "php"] && process.args.exists(a, a == "-c")`,
		`process.name in ["gcc", "cc", "ld", "make", "go"]`, `process.name in ["apt", "apt-get", "yum", "dnf", "apk", "pip", "npm"]`,
		`process.name in ["kubectl", "crictl", "helm", "ctr"]`, `process.name.matches("^(xmrig|kdevtmpfsi|kinsing|minerd)")`,
		`process.cmdline.contains("stratum+tcp") || process.cmdline.contains("--donate-level")`, `process.name in ["useradd", "usermod", "passwd", "groupadd"]`,
		`process.name in ["sudo", "pkexec", "su"] && process.uid != 0`, `process.ancestors.exists(p, p.name in ["nginx", "apache2", "httpd", "postgres", "mysqld"]) && process.name in ["sh", "bash"]`,
		`process.comm != process.name && process.comm.startsWith("kworker")`, `exec.env.exists(e, e == "LD_PRELOAD" || e == "LD_AUDIT")`,
		`process.name in ["nmap", "masscan", "zmap"]`, `process.name in ["scp", "rsync", "sftp"]`, `process.name in ["find", "grep"] && process.cmdline.matches("id_rsa|\\.pem|password")`,
		`process.entry == "exec"`, `process.program.setuid && process.uid != 0`, `profile.ready && !profile.known`, `process.name == "tar" && process.entry == "exec"`,
		`process.exe.startsWith("/tmp/") || process.exe.startsWith("/dev/shm/") || process.exe.startsWith("/var/tmp/")`,
		`process.exe.endsWith("/ld-linux-x86-64.so.2") && process.args.size() > 1`, `process.name in ["base64", "xxd", "openssl"] && process.stdio[1] == "pipe"`,
		`process.name in ["chisel", "frpc", "ngrok", "cloudflared"]`, `process.name in ["shred", "wipe", "srm"]`,
	},
	"open": {
		`file.path in ["/etc/shadow", "/etc/gshadow"]`, `file.path.startsWith("/var/run/secrets/kubernetes.io") && profile.ready && !profile.known`,
		`file.path.contains("/.ssh/") || file.name.startsWith("id_rsa")`, `file.path.contains("/.aws/") || file.path.contains("/gcloud/") || file.path.contains("/.azure/")`,
		`file.path.matches("^/proc/[0-9]+/environ$")`, `file.path.startsWith("/proc/") && file.name == "mem"`, `file.path in ["/proc/kcore", "/dev/mem", "/dev/kmem"]`,
		`["/etc/kubernetes/pki", "/var/lib/etcd", "/etc/kubernetes/admin.conf"].exists(p, file.path.startsWith(p))`, `file.path.endsWith("containerd.sock") || file.path.endsWith("docker.sock")`,
		`file.path.startsWith("/dev/sd") || file.path.startsWith("/dev/nvme")`, `profile.ready && !profile.known && file.path.startsWith("/etc/")`,
	},
	"write": {
		`file.path.startsWith("/etc/cron")`, `file.path == "/etc/ld.so.preload"`, `file.path.endsWith("authorized_keys")`, `file.path in ["/etc/passwd", "/etc/sudoers", "/etc/group"]`,
		`file.name in [".bashrc", ".profile", ".bash_profile", ".zshrc"]`, `["/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/", "/lib/"].exists(p, file.path.startsWith(p))`,
		`file.name.startsWith(".") && file.created`, `file.path.startsWith("/proc/sys/")`, `file.truncate && file.path.startsWith("/var/log/")`, `file.name == "release_agent"`,
	},
	"connect": {
		`net.remote.ip in ["169.254.169.254", "fd00:ec2::254"]`, `net.remote.port in [10250, 10255, 2379]`, `!net.private && profile.ready && !profile.known`,
		`net.remote.port in [3333, 4444, 5555, 7777, 14444]`, `net.protocol == "unix" && net.path.endsWith("containerd.sock")`, `net.name.matches("(minexmr|nanopool|supportxmr)")`,
		`net.remote.port == 22 && process.name != "ssh"`,
	},
	"dns": {`dns.longest > 50`, `dns.name.matches("(minexmr|nanopool|supportxmr|2miners)")`, `dns.foreign`, `dns.domain in ["onion.to", "ngrok.io"]`},
}

// quiet is an engine of Seawall's own rules, with typical ones where those are few.
func quiet(b *testing.B) *detect.Engine {
	b.Helper()
	rules := runtimeRules(b)
	few := len(rules) < 80
	for kind, all := range typical {
		if !few {
			break
		}
		for i, deny := range all {
			text, _ := json.Marshal(deny)
			rules = append(rules, ruleOf(b, fmt.Sprintf("id: %s-%d\nmatch: %s\nwhen: container.present\nmessage: m\ndeny: %s", kind, i, kind, text)))
		}
	}
	rules = append(rules,
		ruleOf(b, "id: forks\nmatch: fork\ndeny: 'true'\nmessage: m\nby: container\ncount: 1000\nwithin: 1s"),
		ruleOf(b, "id: renames\nmatch: rename\ndeny: 'true'\nmessage: m\nby: process\ncount: 100\nwithin: 10s"),
		ruleOf(b, "id: names\nmatch: dns\ndeny: dns.longest > 30\nmessage: m\nby: container\ncount: 20\nwithin: 1m\ndistinct: dns.name"))
	e, err := detect.New(rules, detect.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d rules", len(e.Checks()))
	return e
}

// BenchmarkObserve judges one event of the mixture by 80 rules and more.
func BenchmarkObserve(b *testing.B) {
	e, events := quiet(b), mixture(b)
	for _, ev := range events {
		if a := e.Observe(ev); len(a) > 0 {
			b.Logf("the mixture is not quiet: %s: %s", a[0].Check, a[0].Message)
		}
	}
	b.ReportAllocs()
	i := uint64(0)
	for b.Loop() {
		ev := events[i%uint64(len(events))]
		i++
		ev.Boot = i * 100_000 // ten thousand events a second
		e.Observe(ev)
	}
	b.ReportMetric(float64(e.Stats().Interpreted), "interpreted")
}

// BenchmarkNew compiles all rules.
func BenchmarkNew(b *testing.B) {
	rules := runtimeRules(b)
	for b.Loop() {
		if _, err := detect.New(rules, detect.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestNoAllocation: an event that no check is about costs no memory, but where a
// check makes a text out of others.
func TestNoAllocation(t *testing.T) {
	var rules []*check.Rule
	for _, r := range runtimeRules(t) {
		if !strings.Contains(r.When+r.Deny, `+ " "`) {
			rules = append(rules, r)
		}
	}
	e := engineOf(t, detect.Options{}, rules...)
	seen := map[seawall.EventKind]bool{}
	for _, ev := range mixture(t) {
		// Command lines are joined, and connections counted: those cost some.
		if seen[ev.Kind] || ev.Kind == seawall.EventExec || ev.Kind == seawall.EventConnect {
			continue
		}
		seen[ev.Kind] = true
		if n := testing.AllocsPerRun(100, func() { e.Observe(ev) }); n > 0 {
			t.Errorf("%s: %v allocations", ev.Kind, n)
		}
	}
}
