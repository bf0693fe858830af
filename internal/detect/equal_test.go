package detect_test

import (
	"encoding/json"
	"testing"

	"seawall.io/seawall"
	"seawall.io/seawall/checks"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/detect"
)

// runtimeRules are Seawall's own.
func runtimeRules(t testing.TB) []*check.Rule {
	t.Helper()
	all, err := checks.Rules()
	if err != nil {
		t.Fatal(err)
	}
	var out []*check.Rule
	for _, r := range all {
		if r.OnEvents() {
			out = append(out, r)
		}
	}
	return out
}

// languageRules use every part of the language that closures know.
func languageRules(t testing.TB) []*check.Rule {
	t.Helper()
	expressions := []string{
		`process.args[1] == "-c" || process.args.size() == 0`,
		`size(process.args) > 1 && process.args[0] != process.args[1]`,
		`process.args.exists(a, a.startsWith("-")) && !process.args.all(a, a.size() > 1)`,
		`process.args.filter(a, a.contains("/")).map(a, a + "x").exists(a, a.endsWith("x"))`,
		`process.ancestors.exists(p, p.name in ["sh", "bash"] || p.pid == 1)`,
		`process.parent.parent.exe == process.exe || process.parent.present`,
		`"SYS_ADMIN" in process.caps || "NET_RAW" in creds.gained`,
		`process.caps.exists(c, c == "SYS_ADMIN")`,
		`net.remote.ip == "10.0.0.1" || net.remote.ip != net.local.ip || "::1" == net.remote.ip`,
		`net.remote.ip in ["8.8.8.8", "::1", "x"] || net.remote.ip.startsWith("10.")`,
		`net.remote.ip in container.resolvers || net.remote.ip + "" == ""`,
		`container.mounts.exists(m, m.host.startsWith("/") && !m.readOnly)`,
		`pod.labels["app"] == "web" || "a" in pod.labels`,
		`"a" in exec.values && exec.values["a"] != ""`,
		`call.args[0] > 1 && call.args[3] < 100 || 3 in call.args`,
		`process.cmdline.matches("^[a-z/]+ -") || process.cmdline.lowerAscii().contains("bin")`,
		`has(process.exe) && has(process.parent) && !has(container.id) || has(pod.labels)`,
		`process == process.parent || call.target == process`,
		`(process.uid == 0 ? process.name : process.comm) == "sh"`,
		`process.pid + 1 > process.gid && process.exe < process.cwd`,
		`string(process.pid) + process.exe == "1" || process.stdio[0] == "socket"`,
		`params.words.exists(w, file.path.contains(w)) || file.name in params.words || params.num == file.inode`,
		`file.path.matches(params.pattern) || file.dir == "/tmp"`,
		`dns.domain.endsWith("com") || dns.longest > 10 || dns.answers.exists(a, a == dns.name)`,
		`process.exe.substring(1) == "a" || process.exe.split("/").size() > 2 || process.pid % 2 == 0`,
		`[process.name, process.comm].exists(n, n == "sh") || process.name in [process.comm, "x"]`,
		`process.args[99] == "" && file.path == "never"`,
		`pod.workload.kind == "Deployment" && pod.workload.name != "" || profile.ready && !profile.known`,
		`container.age > 5 || file.newMode == 493 || tls.alpn.exists(a, a == "h2")`,
		`["com", "a", ""].exists(d, dns.name.endsWith("." + d) || process.exe.startsWith(d + "/bin")) || file.path.endsWith(process.name + process.args[1])`,
		`process.tool in ["sh", "nc"] || process.parent.tool == "bash" || process.ancestors.exists(p, p.tool == process.tool)`,
		`process.nspid == process.pid || file.path.startsWith("/proc/" + string(process.nspid) + "/")`,
		`namespaces.exists(n, n != "user") || "mnt" in namespaces || namespaces.size() > 1`,
		`params.words.exists(w, process.exe.endsWith("/" + w) || w == process.name || file.path.contains(w + "/"))`,
		`params.words.exists(w, net.remote.ip.startsWith(w)) || ["a", "::1"].exists(w, net.remote.ip == w || process.args[0] == w)`,
		`["/a", "/"].exists(w, (kind == "open" ? file.path : process.args[2]).startsWith(w)) || [].exists(w, process.args[3] == w)`,
		`process.args.exists(a, params.words.exists(w, a.startsWith(w) || [w].exists(v, a == v)))`,
		`process.name.matches("^(sh|bash|busybox)[0-9.]*$") || file.path.matches("(^|/)etc/(g?shadow-?|passwd)$") || process.exe.matches("^/(bin|usr/s?bin)/[^/]+$")`,
		`cidr("10.0.0.0/8").containsIP("10.0.0.1") && net.protocol == "tcp"`,
	}
	var out []*check.Rule
	for i, x := range expressions {
		kinds, _ := json.Marshal([]string{"exec", "open", "connect", "dns", "call", "creds"})
		deny, _ := json.Marshal(x)
		text := "# T\n\nWhy.\n\nFix: it.\n\n-- check.yaml --\nid: x" + string(rune('a'+i/26)) + string(rune('a'+i%26)) + "\nseverity: low\nmatch: " + string(kinds) +
			"\nparams: {words: [sh, etc, tmp], num: 77, pattern: '^/etc'}\ndeny: " + string(deny) +
			"\nmessage: '{process.exe} {process.args} {net.remote.ip} {process.caps} {pod.labels} {process.uid}'\n" +
			"-- pass/a.jsonl --\n" + `{"kind":"exec","process":{"pid":10,"start":5,"exe":"/bin/sh","args":["sh","-c","x"],"uid":0,"euid":0,"gid":0,"parent":{"pid":1,"start":1,"uid":0,"euid":0,"gid":0}},"container":{"id":"c1","name":"app"}}` + "\n"
		r, err := check.ParseRule("checks/runtime/x.txtar", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// TestClosuresAgree judges examples, damaged examples and events at random by
// closures and by cel-go's interpreter. They must raise the same alerts, with the
// same words, and leave the same undecided.
func TestClosuresAgree(t *testing.T) {
	const events = 500
	for i, r := range append(runtimeRules(t), languageRules(t)...) {
		t.Run(r.ID, func(t *testing.T) {
			t.Parallel()
			stream := newGenerator(uint64(i), r).stream(t, r, events)
			fast, slow := run(t, r, stream, false), run(t, r, stream, true)
			for j := range fast.alerts {
				if j >= len(slow.alerts) || fast.alerts[j] != slow.alerts[j] {
					t.Fatalf("event %d: closures say\n%s\nthe interpreter\n%s", j, fast.alerts[j], slow.alerts[j])
				}
			}
			if f, s := fast.stats.Rules[0], slow.stats.Rules[0]; f.Undecided != s.Undecided || f.Matched != s.Matched || f.Error != s.Error {
				t.Errorf("closures %+v, interpreter %+v", f, s)
			}
			t.Logf("%d matches, %d undecided, %d asked of cel-go", fast.stats.Rules[0].Matched, fast.stats.Rules[0].Undecided, fast.stats.Interpreted)
		})
	}
}

type ran struct {
	alerts []string // of each event, as JSON
	stats  detect.Stats
}

func run(t *testing.T, r *check.Rule, stream []*seawall.Event, interpreter bool) ran {
	t.Helper()
	// Closures also find sequences by what they are joined on, and so forget others.
	const many = 1 << 20
	e, err := detect.New([]*check.Rule{r}, detect.Options{
		On: []string{r.ID}, Interpreter: interpreter,
		Limits: detect.Limits{Entries: many, ContainerEntries: many, ScopeEntries: many, JoinedEntries: many},
	})
	if err != nil {
		t.Fatal(err)
	}
	var out ran
	for _, ev := range stream {
		text, err := json.Marshal(e.Observe(ev))
		if err != nil {
			t.Fatal(err)
		}
		out.alerts = append(out.alerts, string(text))
	}
	out.stats = e.Stats()
	return out
}
