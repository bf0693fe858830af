package detect_test

import (
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

// quiet is an engine of at least 80 rules: where there are fewer, they are taken
// again under other names.
func quiet(b *testing.B) *detect.Engine {
	b.Helper()
	own := runtimeRules(b)
	var rules []*check.Rule
	for i := 0; len(rules) < max(80, len(own)); i++ {
		r := *own[i%len(own)]
		r.Off = false
		if i >= len(own) {
			r.ID += "-" + string(rune('a'+i/len(own)%26)) + string(rune('a'+i%26))
		}
		rules = append(rules, &r)
	}
	e, err := detect.New(rules, detect.Options{})
	if err != nil {
		b.Fatal(err)
	}
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
	i := 0
	for b.Loop() {
		e.Observe(events[i%len(events)])
		i++
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
