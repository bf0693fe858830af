package bigcluster_test

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	clientcmd "k8s.io/client-go/tools/clientcmd"
	psa "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/snapshotfile"
	"seawall.io/seawall/test/bigcluster"
)

// small is large enough that every kind of flaw occurs.
var small = bigcluster.Options{Pods: 3000, Seed: 7}

// smallSnapshot is made once: nothing changes it.
var smallSnapshot = sync.OnceValue(func() *cluster.Snapshot {
	c, err := bigcluster.New(small)
	if err != nil {
		panic(err)
	}
	return c.Snapshot()
})

func encode(s *cluster.Snapshot) []byte {
	var out []byte
	for _, o := range s.Objects {
		out = append(o.Root.AppendJSON(out), '\n')
	}
	return out
}

func TestDeterministic(t *testing.T) {
	c := plan(t, small)
	first := encode(smallSnapshot())
	if !bytes.Equal(first, encode(c.Snapshot())) {
		t.Error("the same Options made two different clusters")
	}
	if !bytes.Equal(first, encode(c.Snapshot())) {
		t.Error("the same Cluster made two different ones")
	}
	other := small
	other.Seed++
	if bytes.Equal(first, encode(plan(t, other).Snapshot())) {
		t.Error("another seed made the same cluster")
	}
}

// TestStops leaves a cluster in the midst of it.
func TestStops(t *testing.T) {
	n := 0
	for range plan(t, small).Objects() {
		if n++; n == 1000 {
			break
		}
	}
	if n != 1000 {
		t.Errorf("got %d objects, want to stop at 1000", n)
	}
}

func TestSizes(t *testing.T) {
	tests := []bigcluster.Options{
		{Pods: 200, Nodes: 5},
		{Pods: 1000, Nodes: 40, Namespaces: 1},
		{Pods: 1500, Namespaces: 400, Name: "a", Provider: "gcp"},
		{Pods: 2345, Nodes: 30, Namespaces: 17, Version: "v1.33.1", Provider: "azure"},
	}
	for _, o := range tests {
		t.Run(strconv.Itoa(o.Pods), func(t *testing.T) {
			s := plan(t, o).Snapshot()
			if got := len(s.Kind("Pod")); got != o.Pods {
				t.Errorf("got %d pods, want %d", got, o.Pods)
			}
			if got := len(s.Kind("Node")); o.Nodes > 0 && got != o.Nodes {
				t.Errorf("got %d nodes, want %d", got, o.Nodes)
			}
			teams := 0
			for _, n := range s.Kind("Namespace") {
				if n.Labels()["team"] != "" {
					teams++
				}
			}
			if o.Namespaces > 0 && teams != o.Namespaces {
				t.Errorf("got %d namespaces of teams, want %d", teams, o.Namespaces)
			}
			if o.Version != "" && s.Version != o.Version {
				t.Errorf("got version %s, want %s", s.Version, o.Version)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	tests := []struct {
		name string
		o    bigcluster.Options
		want string
	}{
		{"few-pods", bigcluster.Options{Pods: 50, Nodes: 5}, "the platform and the agents of 5 nodes alone are"},
		{"few-nodes", bigcluster.Options{Pods: 2000, Nodes: 10}, "10 nodes take"},
		{"no-workers", bigcluster.Options{Nodes: 3}, "3 nodes: want 4 to"},
		{"name", bigcluster.Options{Name: "Prod_1"}, `cluster name "Prod_1": want a DNS label`},
		{"version", bigcluster.Options{Version: "1.36"}, `version "1.36": want one such as`},
		{"provider", bigcluster.Options{Provider: "moon"}, `provider "moon": want aws`},
		{"negative", bigcluster.Options{Namespaces: -1}, "-1 namespaces"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := bigcluster.New(tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := bigcluster.Fleet(small, 0); err == nil {
		t.Error("a fleet of no clusters was planned")
	}
}

// typed decodes all objects for which Kubernetes has a Go type, strictly: what
// the type does not have is an error.
func typed(t *testing.T, s *cluster.Snapshot) map[*cluster.Object]runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientscheme.AddToScheme(scheme), apiextensionsv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	d := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	out := map[*cluster.Object]runtime.Object{}
	failed := map[string]bool{}
	for _, o := range s.Objects {
		v, _, err := d.Decode(o.Root.AppendJSON(nil), nil, nil)
		switch {
		case runtime.IsNotRegisteredError(err) && !strings.HasSuffix(o.Group(), "k8s.io"), runtime.IsNotRegisteredError(err) && notOurs[o.Group()]:
		case err != nil && !failed[o.GVK()]:
			failed[o.GVK()] = true // one of each kind says enough
			t.Errorf("%s: %v", o, err)
		case err == nil:
			out[o] = v
		}
	}
	return out
}

// notOurs are groups of k8s.io whose types are in modules that this one does
// not need.
var notOurs = map[string]bool{
	"apiregistration.k8s.io": true, "gateway.networking.k8s.io": true, "policy.networking.k8s.io": true, "cluster.x-k8s.io": true,
}

func TestTypes(t *testing.T) {
	s := smallSnapshot()
	objects := typed(t, s)
	kinds, seen := map[string]bool{}, map[string]bool{}
	for _, o := range s.Objects {
		if objects[o] != nil {
			kinds[o.GVK()] = true
		}
		id := o.GVK() + " " + o.Namespace + "/" + o.Name
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
		uid := o.Root.At("metadata", "uid").Str()
		if len(uid) != 36 || seen[uid] {
			t.Errorf("%s has the uid %q, which is short or another's", id, uid)
		}
		seen[uid] = true
		if o.Kind != "Role" && o.Kind != "RoleBinding" && o.Kind != "ClusterRole" && o.Kind != "ClusterRoleBinding" {
			if errs := validation.IsDNS1123Subdomain(o.Name); len(errs) > 0 {
				t.Errorf("%s: %v", id, errs)
			}
		}
		if o.Kind == "Service" || o.Kind == "Namespace" {
			if errs := validation.IsDNS1035Label(o.Name); len(errs) > 0 {
				t.Errorf("%s: %v", id, errs)
			}
		}
		for k, v := range o.Labels() {
			if errs := append(validation.IsQualifiedName(k), validation.IsValidLabelValue(v)...); len(errs) > 0 {
				t.Errorf("%s: label %s=%s: %v", id, k, v, errs)
			}
		}
	}
	if len(kinds) < 35 {
		t.Errorf("only %d kinds were held against Kubernetes' types: %v", len(kinds), kinds)
	}
	for _, kind := range []string{
		"Application", "Certificate", "Gateway", "HTTPRoute", "Kustomization", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy",
		"ClusterNetworkPolicy", "ValidatingAdmissionPolicy", "MutatingWebhookConfiguration", "CronJob", "DaemonSet", "Ingress",
	} {
		if len(s.Kind(kind)) == 0 {
			t.Errorf("there is no %s", kind)
		}
	}
}

// TestReferences follows every reference between objects.
func TestReferences(t *testing.T) {
	s := smallSnapshot()
	uids := map[string]*cluster.Object{}
	for _, o := range s.Objects {
		uids[o.Root.At("metadata", "uid").Str()] = o
	}
	need := func(from *cluster.Object, group, kind, namespace, name string) *cluster.Object {
		o := s.Get(group, kind, namespace, name)
		if o == nil {
			t.Errorf("%s needs %s %s/%s, which is not there", from, kind, namespace, name)
		}
		return o
	}
	for _, o := range s.Objects {
		if o.Namespace != "" {
			need(o, "", "Namespace", "", o.Namespace)
		}
		for _, ref := range o.Root.At("metadata", "ownerReferences").List() {
			owner := uids[ref.Get("uid").Str()]
			if owner == nil || owner.Name != ref.Get("name").Str() || owner.Kind != ref.Get("kind").Str() || owner.Namespace != "" && owner.Namespace != o.Namespace {
				t.Errorf("%s is owned by %s, which is %v", o, ref.AppendJSON(nil), owner)
				continue
			}
			if o.Kind == "Pod" && owner.Kind != "Node" {
				sel, err := cluster.LabelSelector(owner.Root.At("spec", "selector"))
				if err != nil || !sel.Matches(o.Root.At("metadata", "labels")) {
					t.Errorf("%s is owned by %s, which does not select it: %v", o, owner, err)
				}
			}
		}
	}
	for _, pod := range s.Kind("Pod") {
		spec := pod.Root.Get("spec")
		need(pod, "", "Node", "", spec.Get("nodeName").Str())
		if name := spec.Get("serviceAccountName").Str(); name != "" {
			need(pod, "", "ServiceAccount", pod.Namespace, name)
		}
		if name := spec.Get("priorityClassName").Str(); name != "" {
			need(pod, "scheduling.k8s.io", "PriorityClass", "", name)
		}
		for _, v := range spec.Get("volumes").List() {
			if name := v.At("secret", "secretName").Str(); name != "" {
				need(pod, "", "Secret", pod.Namespace, name)
			}
			if name := v.At("configMap", "name").Str(); name != "" {
				need(pod, "", "ConfigMap", pod.Namespace, name)
			}
			if name := v.At("persistentVolumeClaim", "claimName").Str(); name != "" {
				if claim := need(pod, "", "PersistentVolumeClaim", pod.Namespace, name); claim != nil {
					need(claim, "", "PersistentVolume", "", claim.Root.At("spec", "volumeName").Str())
				}
			}
		}
		for _, ref := range spec.Get("imagePullSecrets").List() {
			need(pod, "", "Secret", pod.Namespace, ref.Get("name").Str())
		}
		for _, c := range spec.Get("containers").List() {
			for _, e := range c.Get("env").List() {
				if ref := e.At("valueFrom", "secretKeyRef"); ref != nil {
					if o := need(pod, "", "Secret", pod.Namespace, ref.Get("name").Str()); o != nil && o.Root.At("data", ref.Get("key").Str()) == nil {
						t.Errorf("%s has no key %s, which %s needs", o, ref.Get("key").Str(), pod)
					}
				}
			}
			for _, e := range c.Get("envFrom").List() {
				need(pod, "", "ConfigMap", pod.Namespace, e.At("configMapRef", "name").Str())
			}
		}
	}
	for _, kind := range []string{"RoleBinding", "ClusterRoleBinding"} {
		for _, b := range s.Kind(kind) {
			role, namespace := b.Root.At("roleRef", "kind").Str(), ""
			if role == "Role" {
				namespace = b.Namespace
			}
			need(b, "rbac.authorization.k8s.io", role, namespace, b.Root.At("roleRef", "name").Str())
			for _, sub := range b.Root.Get("subjects").List() {
				// The accounts of the control plane's own controllers are made
				// by it, and not here.
				if ns := sub.Get("namespace").Str(); sub.Get("kind").Str() == "ServiceAccount" && !strings.HasPrefix(b.Name, "system:") {
					need(b, "", "ServiceAccount", ns, sub.Get("name").Str())
				}
			}
		}
	}
	s.IngressBackends(func(o *cluster.Object, backend *document.Node, _ string) {
		if backend != nil {
			need(o, "", "Service", o.Namespace, backend.At("service", "name").Str())
		}
	})
	for _, c := range s.Kind("CustomResourceDefinition") {
		group, kind := c.Root.At("spec", "group").Str(), c.Root.At("spec", "names", "kind").Str()
		for _, o := range s.Kind(kind) {
			if o.Group() == group && (o.Namespace == "") != (c.Root.At("spec", "scope").Str() == "Cluster") {
				t.Errorf("%s is not of the scope that its definition names", o)
			}
		}
	}
}

// TestCustomKindsDefined wants a definition of everything that is not
// Kubernetes' own.
func TestCustomKindsDefined(t *testing.T) {
	s := smallSnapshot()
	types := typed(t, s)
	defined := map[string]bool{"apiregistration.k8s.io/v1/APIService": true}
	for _, c := range s.Kind("CustomResourceDefinition") {
		for _, v := range c.Root.At("spec", "versions").List() {
			defined[c.Root.At("spec", "group").Str()+"/"+v.Get("name").Str()+"/"+c.Root.At("spec", "names", "kind").Str()] = true
		}
	}
	for _, o := range s.Objects {
		if types[o] == nil && !defined[o.GVK()] {
			t.Errorf("%s has neither a Go type nor a definition", o)
		}
	}
}

// TestNetwork holds addresses apart and inside of their ranges.
func TestNetwork(t *testing.T) {
	s := smallSnapshot()
	nodes, onNode := map[string]*cluster.Object{}, map[string]int{}
	for _, n := range s.Kind("Node") {
		nodes[n.Name] = n
	}
	taken := map[string]string{}
	take := func(o *cluster.Object, address string) {
		if other, ok := taken[address]; ok {
			t.Errorf("%s and %s both have %s", o, other, address)
		}
		taken[address] = o.String()
	}
	for _, pod := range s.Kind("Pod") {
		n := nodes[pod.Root.At("spec", "nodeName").Str()]
		onNode[n.Name]++
		ips := pod.Root.At("status", "podIPs").List()
		if host, _ := pod.Root.At("spec", "hostNetwork").Bool(); host {
			if ips[0].Get("ip").Str() != pod.Root.At("status", "hostIP").Str() {
				t.Errorf("%s is on the host's network with another address", pod)
			}
			continue
		}
		for i, cidr := range n.Root.At("spec", "podCIDRs").List() {
			ip := ips[i].Get("ip").Str()
			take(pod, ip)
			if a, err := netip.ParseAddr(ip); err != nil || !netip.MustParsePrefix(cidr.Str()).Contains(a) {
				t.Errorf("%s has %s, outside of %s: %v", pod, ip, cidr.Str(), err)
			}
		}
	}
	for name, n := range onNode {
		if n > 110 {
			t.Errorf("%s runs %d pods", name, n)
		}
	}
	for _, svc := range s.Kind("Service") {
		if ip := svc.Root.At("spec", "clusterIP").Str(); ip != "None" {
			take(svc, ip)
		}
		for _, p := range svc.Root.At("spec", "ports").List() {
			if n, ok := p.Get("nodePort").Int(); ok {
				take(svc, fmt.Sprint("port ", n))
				if n < 30000 || n > 32767 {
					t.Errorf("%s has the node port %d", svc, n)
				}
			}
		}
	}
	ready := map[string]int{}
	for _, e := range s.Kind("EndpointSlice") {
		ready[e.Namespace+"/"+e.Labels()["kubernetes.io/service-name"]] += e.Root.Get("endpoints").Len()
	}
	pods := map[string][]*cluster.Object{}
	for _, pod := range s.Kind("Pod") {
		pods[pod.Namespace] = append(pods[pod.Namespace], pod)
	}
	for _, svc := range s.Kind("Service") {
		want := 0
		if svc.Root.At("spec", "selector") != nil {
			sel := cluster.MapSelector(svc.Root.At("spec", "selector"))
			for _, pod := range pods[svc.Namespace] {
				if pod.Root.At("status", "phase").Str() == "Running" && sel.Matches(pod.Root.At("metadata", "labels")) {
					want++
				}
			}
			if want == 0 {
				t.Errorf("%s selects no pod", svc)
			}
		}
		if got := ready[svc.Namespace+"/"+svc.Name]; got != want {
			t.Errorf("%s has %d endpoints, want %d", svc, got, want)
		}
	}
}

// TestPodSecurity asks Kubernetes' own evaluator whether each pod could have
// come into its namespace.
func TestPodSecurity(t *testing.T) {
	s := smallSnapshot()
	eval, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	types, levels := typed(t, s), map[psa.Level]int{}
	for _, pod := range s.Kind("Pod") {
		level := psa.Level(s.Get("", "Namespace", "", pod.Namespace).Labels()["pod-security.kubernetes.io/enforce"])
		levels[level]++
		if level == "" || level == psa.LevelPrivileged {
			continue
		}
		p := types[pod].(*corev1.Pod)
		for _, r := range eval.EvaluatePod(psa.LevelVersion{Level: level, Version: psa.LatestVersion()}, &p.ObjectMeta, &p.Spec) {
			if !r.Allowed {
				t.Errorf("%s in a namespace of level %s: %s: %s", pod, level, r.ForbiddenReason, r.ForbiddenDetail)
			}
		}
	}
	for _, l := range []psa.Level{psa.LevelRestricted, psa.LevelBaseline, ""} {
		if levels[l] < 100 {
			t.Errorf("%d pods are in namespaces of level %q, want 100 at least", levels[l], l)
		}
	}
}

// TestProportions counts what clusters in the field have, in teams' workloads.
func TestProportions(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a whole cluster of 30,000 pods")
	}
	s := plan(t, bigcluster.Options{}).Snapshot()
	var n, privileged, hostPath, token, unhardened float64
	for _, tpl := range s.Templates() {
		if s.Get("", "Namespace", "", tpl.Namespace()).Labels()["team"] == "" {
			continue
		}
		n++
		spec := tpl.Spec()
		if slices.ContainsFunc(spec.Get("volumes").List(), func(v *document.Node) bool { return v.Get("hostPath") != nil }) {
			hostPath++
		}
		if slices.ContainsFunc(spec.Get("containers").List(), func(c *document.Node) bool {
			on, _ := c.At("securityContext", "privileged").Bool()
			return on
		}) {
			privileged++
		}
		if spec.Get("containers").List()[0].Get("securityContext") == nil {
			unhardened++
		}
		on, said := spec.Get("automountServiceAccountToken").Bool()
		if account := s.Get("", "ServiceAccount", tpl.Namespace(), tpl.ServiceAccount()); !said {
			on, said = account.Root.Get("automountServiceAccountToken").Bool()
		}
		if on || !said {
			token++
		}
	}
	isolated := map[string]bool{}
	for _, p := range s.Kind("NetworkPolicy") {
		isolated[p.Namespace] = true
	}
	count := func(kind string) float64 { return float64(len(s.Kind(kind))) }
	tests := []struct {
		name          string
		got, min, max float64
	}{
		{"pods", count("Pod"), 30_000, 30_000},
		{"workloads", n, 8_000, 16_000},
		{"objects", float64(len(s.Objects)), 100_000, 160_000},
		{"network policies", count("NetworkPolicy"), 1_700, 2_400},
		{"namespaces with policies", float64(len(isolated)) / count("Namespace"), 0.25, 0.5},
		{"privileged", privileged / n, 0.006, 0.015},
		{"hostPath", hostPath / n, 0.02, 0.045},
		{"token mounted", token / n, 0.7, 0.9},
		{"without securityContext", unhardened / n, 0.2, 0.5},
	}
	for _, tt := range tests {
		if tt.got < tt.min || tt.got > tt.max {
			t.Errorf("%s: got %g, want %g to %g", tt.name, tt.got, tt.min, tt.max)
		}
	}
}

// TestSecrets parses the values by the type of each Secret, without repeating
// any.
func TestSecrets(t *testing.T) {
	s := smallSnapshot()
	types := typed(t, s)
	seen := map[corev1.SecretType]int{}
	for _, o := range s.Kind("Secret") {
		secret := types[o].(*corev1.Secret)
		seen[secret.Type]++
		switch secret.Type {
		case corev1.SecretTypeTLS:
			block, _ := pem.Decode(secret.Data["tls.crt"])
			if block == nil {
				t.Fatalf("%s: no PEM", o)
			}
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil || len(cert.DNSNames) != 1 {
				t.Errorf("%s: %v", o, err)
			}
			block, _ = pem.Decode(secret.Data["tls.key"])
			if _, err := x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
				t.Errorf("%s: %v", o, err)
			}
		case corev1.SecretTypeDockerConfigJson:
			var config struct {
				Auths map[string]struct{ Auth string }
			}
			if err := json.Unmarshal(secret.Data[".dockerconfigjson"], &config); err != nil || config.Auths["registry.example.com"].Auth == "" {
				t.Errorf("%s: %v", o, err)
			}
		case corev1.SecretTypeServiceAccountToken:
			account := s.Get("", "ServiceAccount", o.Namespace, secret.Annotations["kubernetes.io/service-account.name"])
			if account == nil || account.Root.At("metadata", "uid").Str() != secret.Annotations["kubernetes.io/service-account.uid"] {
				t.Errorf("%s is the token of an account that is not there", o)
			}
			part := strings.Split(string(secret.Data["token"]), ".")
			if len(part) != 3 {
				t.Fatalf("%s: no JWT", o)
			}
			text, err := base64.RawURLEncoding.DecodeString(part[1])
			if err != nil || !json.Valid(text) {
				t.Errorf("%s: %v", o, err)
			}
		default: // of any form
		}
	}
	if len(seen) < 4 {
		t.Errorf("got Secrets of the types %v, want four at least", seen)
	}
	for _, o := range s.Kind("ResourceQuota") {
		for _, f := range o.Root.At("spec", "hard").Map() {
			if _, err := resource.ParseQuantity(f.Value.Str()); err != nil {
				t.Errorf("%s: %s: %v", o, f.Key, err)
			}
		}
	}
}

// untar returns what a snapshot file holds, without the head of its manifest,
// in which the two writers differ by name only.
func untar(t *testing.T, packed []byte) map[string]string {
	t.Helper()
	z, err := zstd.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	out := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = fmt.Sprint(h.Mode, h.ModTime.Unix(), " ", string(text))
	}
}

// TestWrite holds the stream to what snapshotfile.Write makes of the same
// objects, and reads it.
func TestWrite(t *testing.T) {
	c := plan(t, small)
	var got, want bytes.Buffer
	if err := c.Write(&got); err != nil {
		t.Fatal(err)
	}
	s := smallSnapshot()
	meta := snapshotfile.Meta{Cluster: c.Name(), Time: bigcluster.Time, Seawall: "bigcluster"}
	if err := snapshotfile.Write(&want, s, meta); err != nil {
		t.Fatal(err)
	}
	a, b := untar(t, got.Bytes()), untar(t, want.Bytes())
	for name := range b {
		if a[name] != b[name] {
			t.Errorf("entry %s differs from what snapshotfile writes", name)
		}
	}
	if len(a) != len(b) {
		t.Errorf("got %d entries, want %d", len(a), len(b))
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Error("the bytes differ from what snapshotfile writes")
	}

	file := filepath.Join(t.TempDir(), "cluster.tar.zst")
	if err := c.WriteFile(file); err != nil {
		t.Fatal(err)
	}
	back, read, err := snapshotfile.ReadFile(file, snapshotfile.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(meta, read); diff != "" {
		t.Errorf("Meta (-want +got):\n%s", diff)
	}
	if len(back.Objects) != len(s.Objects) || back.Version != s.Version || !back.Whole {
		t.Errorf("got %d objects of version %s, whole %t; want %d of %s", len(back.Objects), back.Version, back.Whole, len(s.Objects), s.Version)
	}
	for _, o := range back.Kind("Pod") {
		if want := s.Get("", "Pod", o.Namespace, o.Name); want == nil || !document.Equal(want.Root, o.Root) {
			t.Fatalf("%s is another after reading", o)
		}
	}
}

func TestWriteFileLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := plan(t, bigcluster.Options{Pods: 200, Nodes: 5}).WriteFile(filepath.Join(dir, "none", "x.tar.zst")); err == nil {
		t.Error("a file in a folder that is not there was written")
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestFleet follows the keys from one cluster to the others.
func TestFleet(t *testing.T) {
	fleet, err := bigcluster.Fleet(bigcluster.Options{Name: "eu", Pods: 400, Nodes: 8}, 3)
	if err != nil {
		t.Fatal(err)
	}
	var snaps []*cluster.Snapshot
	servers := map[string]string{} // of each cluster, as it says itself
	for _, c := range fleet {
		s := c.Snapshot()
		snaps = append(snaps, s)
		info := s.Get("", "ConfigMap", "kube-public", "cluster-info").Root.At("data", "kubeconfig").Str()
		servers[c.Name()] = serverIn(t, c.Name(), info)
	}
	roles := map[string]int{}
	for i, s := range snaps {
		next := fleet[(i+1)%3].Name()
		types := typed(t, s)
		for _, key := range [][3]string{{"flux-system", "kubeconfig-" + next, "value"}, {"ci", "kubeconfig-" + next, "config"}} {
			secret := types[s.Get("", "Secret", key[0], key[1])].(*corev1.Secret)
			if got := serverIn(t, next, string(secret.Data[key[2]])); got != servers[next] {
				t.Errorf("%s/%s leads to %s, want %s", key[0], key[1], got, servers[next])
			}
		}
		mine := map[string]bool{}
		for _, a := range s.Kind("ServiceAccount") {
			if role := a.Annotation("eks.amazonaws.com/role-arn"); role != "" && !mine[role] {
				mine[role] = true
				roles[role]++
			}
		}
		clusters := 0
		for _, secret := range s.Kind("Secret") {
			if secret.Labels()["argocd.argoproj.io/secret-type"] == "cluster" {
				clusters++
				v := types[secret].(*corev1.Secret)
				if got := string(v.Data["server"]); got != servers[string(v.Data["name"])] {
					t.Errorf("%s leads to %s", secret, got)
				}
				if !json.Valid(v.Data["config"]) {
					t.Errorf("%s: config is no JSON", secret)
				}
			}
		}
		if want := []int{2, 0, 0}[i]; clusters != want {
			t.Errorf("%s: got %d clusters of ArgoCD, want %d", fleet[i].Name(), clusters, want)
		}
	}
	shared := 0
	for _, n := range roles {
		if n == 3 {
			shared++
		}
	}
	if shared < 3 {
		t.Errorf("got %d roles that all clusters assume, want 3 at least: %v", shared, roles)
	}
	if bytes.Equal(encode(snaps[0]), encode(snaps[1])) {
		t.Error("two clusters of a fleet are the same")
	}
}

// serverIn returns the server of a kubeconfig, read as client-go reads it.
func serverIn(t *testing.T, name, text string) string {
	t.Helper()
	config, err := clientcmd.Load([]byte(text))
	if err != nil || config.Clusters[name] == nil {
		t.Fatalf("kubeconfig of %s: %v", name, err)
	}
	return config.Clusters[name].Server
}
