package netpol

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	defaults "k8s.io/kubernetes/pkg/apis/networking/v1"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/reach"
)

var cases = flag.Int("cases", 40000, "how many random connections are compared")

type source struct{ *rand.Rand }

func (r source) chance(percent int) bool { return r.IntN(100) < percent }

func pick[T any](r source, list ...T) T { return list[r.IntN(len(list))] }

// labels draws from four keys. Selectors ask for ring with NotIn only, and for
// zone with an empty value only, so that what Cyclonus makes of either can be
// told apart from everything else.
func (r source) labels() map[string]string {
	out := map[string]string{}
	for _, k := range []string{"app", "tier"} {
		if r.chance(70) {
			out[k] = pick(r, "a", "b", "c")
		}
	}
	if r.chance(70) {
		out["ring"] = pick(r, "a", "b")
	}
	if r.chance(80) {
		out["zone"] = pick(r, "", "x")
	}
	return out
}

func (r source) selector() metav1.LabelSelector {
	s := metav1.LabelSelector{}
	if r.chance(50) {
		s.MatchLabels = map[string]string{pick(r, "app", "tier"): pick(r, "a", "b", "c")}
	} else if r.chance(10) {
		s.MatchLabels = map[string]string{"zone": ""}
	}
	if r.chance(30) {
		e := metav1.LabelSelectorRequirement{Key: pick(r, "app", "tier")}
		switch e.Operator = pick(r, metav1.LabelSelectorOpIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist, metav1.LabelSelectorOpNotIn); e.Operator {
		case metav1.LabelSelectorOpIn:
			e.Values = slices.Compact([]string{pick(r, "a", "b"), "c"})
		case metav1.LabelSelectorOpNotIn:
			e.Key, e.Values = "ring", []string{"a"}
		case metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist:
		}
		s.MatchExpressions = append(s.MatchExpressions, e)
	}
	return s
}

var blocks = []string{"10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/30", "10.2.0.1/32", "0.0.0.0/0", "1.2.3.0/24", "::/0", "fd00::/8", "fd00:1::/64", "2001:4860::/32"}

func (r source) peer() networkingv1.NetworkPolicyPeer {
	if r.chance(30) {
		b := &networkingv1.IPBlock{CIDR: pick(r, blocks...)}
		for _, x := range blocks {
			block, except := netip.MustParsePrefix(b.CIDR), netip.MustParsePrefix(x)
			if block.Contains(except.Addr()) && block.Bits() < except.Bits() && r.chance(30) {
				b.Except = append(b.Except, x)
			}
		}
		return networkingv1.NetworkPolicyPeer{IPBlock: b}
	}
	pods, namespaces := r.selector(), r.selector()
	switch r.IntN(3) {
	case 0:
		return networkingv1.NetworkPolicyPeer{PodSelector: &pods}
	case 1:
		return networkingv1.NetworkPolicyPeer{NamespaceSelector: &namespaces}
	}
	return networkingv1.NetworkPolicyPeer{PodSelector: &pods, NamespaceSelector: &namespaces}
}

func (r source) port() networkingv1.NetworkPolicyPort {
	var p networkingv1.NetworkPolicyPort
	if r.chance(80) {
		protocol := pick(r, corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
		p.Protocol = &protocol
	}
	switch {
	case r.chance(25):
		name := intstr.FromString(pick(r, "http", "dns"))
		p.Port = &name
	case r.chance(30):
		first := intstr.FromInt32(pick[int32](r, 79, 80, 443))
		end := first.IntVal + r.Int32N(3)
		p.Port, p.EndPort = &first, &end
	case r.chance(80):
		number := intstr.FromInt32(pick[int32](r, 80, 81, 443, 8080))
		p.Port = &number
	}
	return p
}

func (r source) policy(i int) *networkingv1.NetworkPolicy {
	p := &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("np", i), Namespace: pick(r, "n1", "n2", "n3")},
	}
	p.Spec.PodSelector = r.selector()
	for range r.IntN(3) {
		var rule networkingv1.NetworkPolicyIngressRule
		for range r.IntN(3) {
			rule.From = append(rule.From, r.peer())
		}
		for range r.IntN(3) {
			rule.Ports = append(rule.Ports, r.port())
		}
		p.Spec.Ingress = append(p.Spec.Ingress, rule)
	}
	for range r.IntN(3) {
		var rule networkingv1.NetworkPolicyEgressRule
		for range r.IntN(3) {
			rule.To = append(rule.To, r.peer())
		}
		for range r.IntN(3) {
			rule.Ports = append(rule.Ports, r.port())
		}
		p.Spec.Egress = append(p.Spec.Egress, rule)
	}
	for _, t := range []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress} {
		if r.chance(40) {
			p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, t)
		}
	}
	return p
}

// end is a pod, or an address.
type end struct {
	pod    *corev1.Pod
	labels map[string]string // of the namespace
	addr   string
}

func (r source) pod(i int) *corev1.Pod {
	p := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("p", i), Namespace: pick(r, "n1", "n2", "n3"), Labels: r.labels()},
	}
	p.Spec.HostNetwork = r.chance(8)
	c := corev1.Container{Name: "c"}
	if r.chance(50) {
		c.Ports = append(c.Ports, corev1.ContainerPort{Name: "http", ContainerPort: pick[int32](r, 80, 8080), Protocol: corev1.ProtocolTCP})
	}
	if r.chance(50) {
		c.Ports = append(c.Ports, corev1.ContainerPort{Name: "dns", ContainerPort: 443, Protocol: corev1.ProtocolUDP})
	}
	p.Spec.Containers = []corev1.Container{c}
	p.Status.PodIP = fmt.Sprintf("10.%d.0.%d", 1+r.IntN(2), i+1)
	if r.chance(30) {
		p.Status.PodIP = fmt.Sprintf("fd00:%d::%d", 1+r.IntN(2), i+1)
	}
	return p
}

// traffic is a connection as Cyclonus has it. adapt changes labels before it
// sees them.
func traffic(from, to end, port reach.Port, adapt func(map[string]string) map[string]string) *matcher.Traffic {
	peer := func(e end) *matcher.TrafficPeer {
		if e.pod == nil {
			return &matcher.TrafficPeer{IP: e.addr}
		}
		return &matcher.TrafficPeer{IP: e.addr, Internal: &matcher.InternalPeer{
			PodLabels: adapt(e.pod.Labels), NamespaceLabels: adapt(e.labels), Namespace: e.pod.Namespace,
		}}
	}
	t := &matcher.Traffic{Source: peer(from), Destination: peer(to), ResolvedPort: int(port.Number), Protocol: corev1.Protocol(port.Protocol.String())}
	if to.pod != nil {
		for _, p := range to.pod.Spec.Containers[0].Ports {
			if p.ContainerPort == int32(port.Number) && p.Protocol == t.Protocol {
				t.ResolvedPortName = p.Name
			}
		}
	}
	return t
}

func same(labels map[string]string) map[string]string { return labels }

// filled gives keys that are absent a value that no selector asks for.
func filled(keys ...string) func(map[string]string) map[string]string {
	return func(labels map[string]string) map[string]string {
		out := maps.Clone(labels)
		for _, k := range keys {
			if _, ok := out[k]; !ok {
				out[k] = "none"
			}
		}
		return out
	}
}

// TestCyclonus compares random policies. Every difference must be of one of these
// classes; all others fail the test:
//
//   - NotIn and a label that is not there. Kubernetes' selectors match then
//     (k8s.io/apimachinery/pkg/labels, Requirement.Matches), those of Cyclonus do
//     not. The difference must vanish once Cyclonus is shown a label of another
//     value in its place.
//   - An empty value in matchLabels and a label that is not there. Cyclonus takes
//     the two for the same; Kubernetes' selectors want the label. It must vanish in
//     the same way.
//   - A pod and itself. Cyclonus asks the policies; whether plugins do is not
//     uniform, so that reach says that it depends.
//   - A pod on the host's network. Cyclonus knows of none and takes it for another
//     pod, while NetworkPolicy leaves it undefined: the plugins do not isolate it,
//     see its traffic as that of its node, and always let a node reach its pods.
//     Cyclonus must agree once it is told of an address in place of the pod.
//
// Where it is not known whether ipBlocks match pods, reach must either agree or
// say that it depends; and it must agree where no ipBlock is in the policies.
func TestCyclonus(t *testing.T) {
	plugin, err := reach.Plugin("calico") // whose ipBlocks match pods, as those of Cyclonus do
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := reach.Plugin("")
	if err != nil {
		t.Fatal(err)
	}
	var compared, notIn, emptyValue, self, host, open int
	for seed := uint64(0); compared < *cases; seed++ {
		r := source{rand.New(rand.NewPCG(seed, 1))}
		namespaces := map[string]map[string]string{"n1": r.labels(), "n2": r.labels(), "n3": r.labels()}
		var text strings.Builder
		write := func(v any) {
			if err := json.NewEncoder(&text).Encode(v); err != nil {
				t.Fatal(err)
			}
			text.WriteString("---\n")
		}
		for _, name := range []string{"n1", "n2", "n3"} {
			write(&corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: name, Labels: namespaces[name]}})
		}
		var ends []end
		for i := range 3 + r.IntN(4) {
			pod := r.pod(i)
			write(pod)
			ends = append(ends, end{pod, namespaces[pod.Namespace], pod.Status.PodIP})
		}
		for _, addr := range []string{"1.2.3.4", "8.8.8.8", "10.200.0.1", "2001:4860::8888", "fd00:1::99"} {
			ends = append(ends, end{addr: addr})
		}
		var policies []*networkingv1.NetworkPolicy
		for i := range 1 + r.IntN(4) {
			p := r.policy(i)
			write(p) // as a user writes it, before the API server's defaults
			defaults.SetDefaults_NetworkPolicy(p)
			for _, port := range ports(p) {
				defaults.SetDefaults_NetworkPolicyPort(port)
			}
			policies = append(policies, p)
		}
		theirs := matcher.BuildNetworkPolicies(seed%2 == 0, policies)
		s := snapshot(t, text.String())
		ours, doubtful := reach.With(s, plugin), reach.With(s, unknown)
		templates := s.Templates()
		peer := func(i int) reach.Peer {
			if ends[i].pod != nil {
				return reach.Pod(&templates[i])
			}
			addr := netip.MustParseAddr(ends[i].addr)
			return reach.Addresses(netip.PrefixFrom(addr, addr.BitLen()))
		}
		for i := range ends {
			for j := range ends {
				if ends[i].pod == nil && ends[j].pod == nil {
					continue
				}
				port := reach.Port{Protocol: pick(r, reach.TCP, reach.TCP, reach.UDP, reach.SCTP), Number: pick[uint16](r, 79, 80, 81, 82, 443, 8080, 9)}
				compared++
				answer, maybe := ours.Answer(peer(i), peer(j), port), doubtful.Answer(peer(i), peer(j), port)
				asks := func(adapt func(map[string]string) map[string]string) reach.Answer {
					if theirs.IsTrafficAllowed(traffic(ends[i], ends[j], port, adapt)).IsAllowed() {
						return reach.Allowed
					}
					return reach.Denied
				}
				isHost := func(e end) bool { return e.pod != nil && e.pod.Spec.HostNetwork }
				hosts := isHost(ends[i]) || isHost(ends[j])
				switch want := asks(filled("ring", "zone")); {
				case !hosts && i != j && maybe != want && (maybe != reach.Depends || !strings.Contains(text.String(), "ipBlock")):
					t.Fatalf("seed %d, %s to %s, %s, plugin not known: got %s, Cyclonus has %s\n%s", seed, peer(i), peer(j), port, maybe, want, text.String())
				case !hosts && i != j && maybe != want:
					open++
				}
				switch {
				case hosts:
					if answer != asks(same) {
						host++
					}
					if want := asHost(theirs, traffic(ends[i], ends[j], port, filled("ring", "zone")), isHost(ends[i]), isHost(ends[j])); i != j && answer != want {
						t.Fatalf("seed %d, %s to %s, %s, on the host's network: got %s, want %s\n%s", seed, peer(i), peer(j), port, answer, want, text.String())
					}
				case i == j:
					if answer != asks(same) {
						if self++; answer != reach.Depends && answer != asks(filled("ring", "zone")) {
							t.Fatalf("seed %d, %s to itself: got %s", seed, peer(i), answer)
						}
					}
				case answer == asks(same):
				case answer == asks(filled("ring")):
					notIn++
				case answer == asks(filled("zone")):
					emptyValue++
				case answer == asks(filled("ring", "zone")):
					notIn, emptyValue = notIn+1, emptyValue+1
				default:
					t.Fatalf("seed %d, %s to %s, %s: got %s, Cyclonus has %s\n%v\n%s", seed, peer(i), peer(j), port, answer, asks(same), ours.Connect(peer(i), peer(j), port).Reasons, text.String())
				}
			}
		}
	}
	t.Logf("%d connections; differences: %d NotIn without label, %d empty value without label, %d a pod to itself, %d on the host's network; %d depend on the plugin", compared, notIn, emptyValue, self, host, open)
	for name, n := range map[string]int{"NotIn": notIn, "empty value": emptyValue, "itself": self, "host's network": host, "plugin": open} {
		if n == 0 {
			t.Errorf("no difference of class %q: the test does not look for it any more", name)
		}
	}
}

// asHost asks Cyclonus about a pod on the host's network as about the address of
// its node. Whether a node other than a pod's own is let in depends.
func asHost(theirs *matcher.Policy, t *matcher.Traffic, from, to bool) reach.Answer {
	if from {
		t.Source.Internal = nil
	}
	if to {
		t.Destination.Internal = nil
	}
	switch r := theirs.IsTrafficAllowed(t); {
	case r.IsAllowed():
		return reach.Allowed
	case from && r.Egress.IsAllowed():
		return reach.Depends
	}
	return reach.Denied
}

func ports(p *networkingv1.NetworkPolicy) []*networkingv1.NetworkPolicyPort {
	var out []*networkingv1.NetworkPolicyPort
	for i := range p.Spec.Ingress {
		for j := range p.Spec.Ingress[i].Ports {
			out = append(out, &p.Spec.Ingress[i].Ports[j])
		}
	}
	for i := range p.Spec.Egress {
		for j := range p.Spec.Egress[i].Ports {
			out = append(out, &p.Spec.Egress[i].Ports[j])
		}
	}
	return out
}

func snapshot(t *testing.T, text string) *cluster.Snapshot {
	t.Helper()
	var objects []*cluster.Object
	for _, d := range document.Parse([]byte(text), document.Limits{}) {
		if d.Err != nil {
			t.Fatal(d.Err)
		}
		if o, ok := cluster.New(d.Root); ok {
			objects = append(objects, o)
		}
	}
	s := cluster.NewSnapshot(objects)
	s.Whole = true
	return s
}
