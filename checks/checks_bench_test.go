package checks_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"seawall.io/seawall/checks"
	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// workload is a Deployment as careful people write it: most rules find nothing
// in it, which is the usual case.
const workload = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  labels: {app.kubernetes.io/name: web, app.kubernetes.io/part-of: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app.kubernetes.io/name: web}}
  template:
    metadata:
      labels: {app.kubernetes.io/name: web}
      annotations: {prometheus.io/scrape: "true"}
    spec:
      serviceAccountName: web
      automountServiceAccountToken: false
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        fsGroup: 10001
        seccompProfile: {type: RuntimeDefault}
      containers:
        - name: app
          image: registry.example.com/shop/web:1.4.2@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
          imagePullPolicy: IfNotPresent
          command: [/bin/server]
          args: [--listen=:8080, --config=/etc/web/config.yaml]
          ports: [{name: http, containerPort: 8080}, {name: metrics, containerPort: 9090}]
          env:
            - {name: LEVEL, value: info}
            - {name: REGION, value: eu-west-1}
            - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
            - {name: CACHE, valueFrom: {configMapKeyRef: {name: web, key: cache}}}
          resources:
            requests: {cpu: 100m, memory: 128Mi}
            limits: {memory: 128Mi}
          livenessProbe: {httpGet: {path: /live, port: http}}
          readinessProbe: {httpGet: {path: /ready, port: http}}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          volumeMounts:
            - {name: config, mountPath: /etc/web, readOnly: true}
            - {name: tmp, mountPath: /tmp}
        - name: proxy
          image: registry.example.com/shop/proxy:2.0.1@sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210
          ports: [{name: https, containerPort: 8443}]
          resources:
            requests: {cpu: 50m, memory: 64Mi}
            limits: {memory: 64Mi}
          livenessProbe: {tcpSocket: {port: https}}
          readinessProbe: {tcpSocket: {port: https}}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {drop: [ALL]}
          volumeMounts:
            - {name: tls, mountPath: /etc/tls, readOnly: true}
      volumes:
        - {name: config, configMap: {name: web}}
        - {name: tls, secret: {secretName: web-tls}}
        - {name: tmp, emptyDir: {}}
`

// BenchmarkRules judges one Deployment by all rules that need no other object,
// and says with -v which rules take longest.
func BenchmarkRules(b *testing.B) {
	all, err := checks.Rules()
	if err != nil {
		b.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(r *check.Rule) bool { return r.Deny == "" })
	o, _ := cluster.New(document.Parse([]byte(workload), document.Limits{})[0].Root)
	templates := cluster.PodTemplates(o)
	judge := func(rules ...*check.Rule) func() {
		set, err := check.NewSet(rules, check.Options{})
		if err != nil {
			b.Fatal(err)
		}
		return func() {
			var out check.Result
			if set.Object(o, templates, &out); len(out.Incomplete) > 0 {
				b.Fatal(out.Incomplete[0])
			}
		}
	}
	object := judge(all...)
	object()
	b.ReportAllocs()
	for b.Loop() {
		object()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(all)), "ns/rule")

	type cost struct {
		id   string
		time time.Duration
	}
	costs := make([]cost, 0, len(all))
	for _, r := range all {
		one := judge(r)
		one()
		const rounds = 2000
		start := time.Now()
		for range rounds {
			one()
		}
		costs = append(costs, cost{r.ID, time.Since(start) / rounds})
	}
	slices.SortFunc(costs, func(x, y cost) int { return cmp.Compare(y.time, x.time) })
	for _, c := range costs[:min(10, len(costs))] {
		b.Logf("%8v %s", c.time, c.id)
	}
}
