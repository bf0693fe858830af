package reach_test

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/reach"
)

// large is 10,000 pods of 2,000 apps in 100 namespaces, with 2,000 policies: each
// app may be reached by the next one, by monitoring, and on its own by an
// ingress controller; half of the policies restrict egress to the next app, DNS
// and a range of addresses.
func large() string {
	var b strings.Builder
	for n := range 100 {
		fmt.Fprintf(&b, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"ns%d","labels":{"team":"t%d"}}}`+"\n---\n", n, n%10)
	}
	for i := range 10000 {
		n, app := i%100, i/100%20
		fmt.Fprintf(&b, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p%[1]d","namespace":"ns%[2]d","labels":{"app":"a%[3]d","pod":"p%[1]d"}},"spec":{"containers":[{"name":"c","ports":[{"name":"http","containerPort":80%[4]d}]}]},"status":{"podIP":"10.%[5]d.%[6]d.%[7]d"}}`+"\n---\n",
			i, n, app, app%10, n, i>>8&0xff, i&0xff)
	}
	for i := range 2000 {
		n, app := i%100, i/100
		egress := ""
		if i%2 == 0 {
			egress = fmt.Sprintf(`,"egress":[{"to":[{"podSelector":{"matchLabels":{"app":"a%d"}}}],"ports":[{"port":"http"}]},{"to":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"ns0"}},"podSelector":{"matchLabels":{"app":"a0"}}}],"ports":[{"port":53,"protocol":"UDP"}]},{"to":[{"ipBlock":{"cidr":"10.%d.0.0/16"}}]}]`, (app+19)%20, n)
		}
		fmt.Fprintf(&b, `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"np%d","namespace":"ns%d"},"spec":{"podSelector":{"matchLabels":{"app":"a%d"}},"ingress":[{"from":[{"podSelector":{"matchLabels":{"app":"a%d"}}},{"namespaceSelector":{"matchLabels":{"team":"t%d"}},"podSelector":{"matchLabels":{"app":"a1"}}}],"ports":[{"port":"http"},{"port":9000,"endPort":9010}]}]%s}}`+"\n---\n",
			i, n, app, (app+1)%20, n%10, egress)
	}
	return b.String()
}

// apart is 10,000 pods that policies all tell apart: each has a label of its own
// that one of 2,000 policies selects it by, and one that one of them asks for.
func apart() string {
	var b strings.Builder
	for i := range 10000 {
		fmt.Fprintf(&b, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p%[1]d","namespace":"ns%[2]d","labels":{"pod":"p%[1]d"}},"spec":{"containers":[{"name":"c"}]}}`+"\n---\n", i, i%100)
	}
	for i := range 2000 {
		values, peers := make([]string, 5), make([]string, 5)
		for j := range values {
			values[j] = fmt.Sprintf(`"p%d"`, i+j*2000)
			peers[j] = fmt.Sprintf(`{"namespaceSelector":{},"podSelector":{"matchLabels":{"pod":"p%d"}}}`, (i*5+j)%10000)
		}
		fmt.Fprintf(&b, `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"np%d","namespace":"ns%d"},"spec":{"podSelector":{"matchExpressions":[{"key":"pod","operator":"In","values":[%s]}]},"ingress":[{"from":[%s]}]}}`+"\n---\n",
			i, i%100, strings.Join(values, ","), strings.Join(peers, ","))
	}
	return b.String()
}

// BenchmarkMatrix answers for all pairs of 10,000 pods under 2,000 policies, from
// parsed objects.
func BenchmarkMatrix(b *testing.B) {
	for name, text := range map[string]string{"apps": large(), "apart": apart()} {
		b.Run(name, func(b *testing.B) {
			objects := parse(b, text)
			var before, after runtime.MemStats
			classes, allowed := 0, 0
			start := cpu(b)
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				s := cluster.NewSnapshot(objects)
				m := reach.Of(s)
				x := m.Matrix()
				list := m.Classes()
				classes, allowed = len(list), 0
				for from := range list {
					for to, ports := range x.Row(from) {
						if ports.Any() != reach.Denied {
							allowed += len(list[from].Templates) * len(list[to].Templates)
						}
					}
				}
				runtime.ReadMemStats(&after)
			}
			b.ReportMetric((cpu(b)-start).Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(float64(classes), "classes")
			b.ReportMetric(float64(allowed), "pairs")
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/1e6, "MB-allocated")
			b.ReportMetric(float64(after.HeapSys)/1e6, "MB-heap")
		})
	}
}

// cpu returns the processor time that the process has used: on a machine with
// other work it says more than the clock.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkAnswer asks one question, and BenchmarkConnect asks for the reasons
// too, of a model that is ready.
func BenchmarkAnswer(b *testing.B) {
	s := cluster.NewSnapshot(parse(b, large()))
	m := reach.Of(s)
	templates := s.Templates()
	port := reach.Port{Number: 8080}
	for x, i, n := m.Matrix(), 0, len(m.Classes()); i < n; i++ {
		x.Row(i)
	}
	i, start := 0, cpu(b)
	for b.Loop() {
		i++
		m.Answer(reach.Pod(&templates[i%10000]), reach.Pod(&templates[i*7%10000]), port)
	}
	b.ReportMetric(float64((cpu(b)-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

func BenchmarkConnect(b *testing.B) {
	s := cluster.NewSnapshot(parse(b, large()))
	m := reach.Of(s)
	templates := s.Templates()
	port := reach.Port{Number: 8080}
	for x, i, n := m.Matrix(), 0, len(m.Classes()); i < n; i++ {
		x.Row(i)
	}
	i, start := 0, cpu(b)
	for b.Loop() {
		i++
		m.Connect(reach.Pod(&templates[i%10000]), reach.Pod(&templates[i*7%10000]), port)
	}
	b.ReportMetric(float64((cpu(b)-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
}
