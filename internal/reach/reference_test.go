package reach_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/reach"
)

// The reference below follows the texts of the APIs word by word, one connection
// at a time, with yes and no only. It shares no code with the package. What the
// APIs leave open is a bit of a world: an answer is certain if it is the same in
// all worlds.

type world struct {
	blocksMatchPods, blocksMatchNodes bool
	hostIsolated, hostLabelled        bool
	ownNode                           bool // the source is the destination's own node
	selfOpen                          bool
	order                             []int // in which policies of equal priority are taken
}

type (
	tSelector struct {
		labels map[string]string
		key    string // with op and values, an expression; empty for none
		op     string
		values []string
	}
	tPeer struct {
		namespaces, pods *tSelector
		cidr             string
		except           []string
		networks         []string
		unknown          bool
	}
	tPort struct {
		protocol, name string
		first, last    int // 0 for a whole protocol
	}
	tRule struct {
		action string
		peers  []tPeer
		ports  []tPort
	}
	tPolicy struct {
		kind, namespace, name, tier string
		priority                    int
		namespaces, pods            *tSelector
		types                       []string
		rules                       map[string][]tRule // by direction
	}
	tPod struct {
		namespace, name string
		labels          map[string]string
		addrs           []netip.Addr
		host            bool
		ports           []tPort
	}
	tCluster struct {
		namespaces map[string]map[string]string
		pods       []*tPod
		policies   []*tPolicy
	}
)

func (s *tSelector) matches(labels map[string]string) bool {
	for k, v := range s.labels {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	if s.key == "" {
		return true
	}
	v, ok := labels[s.key]
	switch s.op {
	case "In":
		return ok && slices.Contains(s.values, v)
	case "NotIn":
		return !ok || !slices.Contains(s.values, v)
	case "Exists":
		return ok
	}
	return !ok
}

func (c *tCluster) selects(namespaces, pods *tSelector, p *tPod) bool {
	return (namespaces == nil || namespaces.matches(c.namespaces[p.namespace])) && (pods == nil || pods.matches(p.labels))
}

// tEnd is one end of a connection: a pod, or an address.
type tEnd struct {
	pod  *tPod
	addr netip.Addr
}

func (p *tPolicy) admin() bool { return p.kind != "NetworkPolicy" }

func (c *tCluster) isPeer(w world, p *tPolicy, r *tPeer, e tEnd) bool {
	contains := func(cidr string, addrs []netip.Addr) bool {
		return slices.ContainsFunc(addrs, netip.MustParsePrefix(cidr).Contains)
	}
	addrs, blocks := []netip.Addr{e.addr}, true
	if e.pod != nil {
		addrs, blocks = e.pod.addrs, w.blocksMatchPods
		if e.pod.host {
			blocks = w.blocksMatchNodes
		}
	}
	switch {
	case r.cidr != "":
		return blocks && contains(r.cidr, addrs) && !slices.ContainsFunc(r.except, func(x string) bool { return contains(x, addrs) })
	case len(r.networks) > 0:
		return slices.ContainsFunc(r.networks, func(n string) bool { return contains(n, addrs) })
	case e.pod == nil || e.pod.host && (p.admin() || !w.hostLabelled):
		return false
	case r.namespaces == nil:
		return e.pod.namespace == p.namespace && r.pods.matches(e.pod.labels)
	}
	return c.selects(r.namespaces, r.pods, e.pod)
}

func (r *tRule) onPort(to tEnd, protocol string, port int) bool {
	if len(r.ports) == 0 {
		return true
	}
	return slices.ContainsFunc(r.ports, func(x tPort) bool {
		switch {
		case x.name != "":
			return to.pod != nil && slices.ContainsFunc(to.pod.ports, func(d tPort) bool {
				return d.name == x.name && d.protocol == protocol && d.first == port && (x.protocol == "" || x.protocol == protocol)
			})
		case x.protocol != protocol:
			return false
		}
		return x.first == 0 || x.first <= port && port <= x.last
	})
}

// rule says what a rule does with a connection: its action, or nothing.
func (c *tCluster) rule(w world, p *tPolicy, r *tRule, other, to tEnd, protocol string, port int) string {
	if slices.ContainsFunc(r.peers, func(x tPeer) bool { return x.unknown }) {
		if r.action == "Allow" {
			return ""
		}
		return "Deny"
	}
	hit := len(r.peers) == 0 || slices.ContainsFunc(r.peers, func(x tPeer) bool { return c.isPeer(w, p, &x, other) })
	if hit && r.onPort(to, protocol, port) {
		return r.action
	}
	return ""
}

// direction says whether the policies of one end let a connection pass.
func (c *tCluster) direction(w world, direction string, self, other, to tEnd, protocol string, port int) bool {
	if self.pod == nil {
		return true
	}
	if direction == "ingress" && other.pod != nil && other.pod.host && w.ownNode {
		return true
	}
	tier := func(name string) string {
		var list []int
		for _, i := range w.order {
			if self.pod == other.pod {
				break // a pod's traffic to itself is none of the administrator's
			}
			if p := c.policies[i]; p.tier == name && !self.pod.host && c.selects(p.namespaces, p.pods, self.pod) {
				list = append(list, i)
			}
		}
		slices.SortStableFunc(list, func(a, b int) int { return c.policies[a].priority - c.policies[b].priority })
		for _, i := range list {
			p := c.policies[i]
			for j := range p.rules[direction] {
				if action := c.rule(w, p, &p.rules[direction][j], other, to, protocol, port); action != "" {
					return action
				}
			}
		}
		return ""
	}
	switch tier("Admin") {
	case "Allow":
		return true
	case "Deny":
		return false
	}
	isolated := false
	for _, p := range c.policies {
		if p.admin() || p.namespace != self.pod.namespace || !p.pods.matches(self.pod.labels) || self.pod.host && !w.hostIsolated {
			continue
		}
		types := p.types
		if len(types) == 0 {
			if types = []string{"ingress"}; len(p.rules["egress"]) > 0 {
				types = []string{"ingress", "egress"}
			}
		}
		if !slices.Contains(types, direction) {
			continue
		}
		isolated = true
		for j := range p.rules[direction] {
			if c.rule(w, p, &p.rules[direction][j], other, to, protocol, port) != "" {
				return true
			}
		}
	}
	return !isolated && tier("Baseline") != "Deny"
}

func (c *tCluster) connects(w world, from, to tEnd, protocol string, port int) bool {
	if from.pod != nil && from.pod == to.pod && w.selfOpen {
		return true
	}
	return c.direction(w, "egress", from, to, to, protocol, port) && c.direction(w, "ingress", to, from, to, protocol, port)
}

// worlds are all that are left for a network plugin: its bits are set, those that
// belong to no plugin go through all values.
func (c *tCluster) worlds(cni string) []world {
	var out []world
	orders := permutations(len(c.policies), func(a, b int) bool {
		p, q := c.policies[a], c.policies[b]
		return p.admin() && q.admin() && p.tier == q.tier && p.priority == q.priority
	})
	for bits := range 64 {
		on := func(i int) bool { return bits&(1<<i) != 0 }
		w := world{on(0), on(1), on(2), on(3), on(4), on(5), nil}
		switch cni {
		case "kube-network-policies":
			if !w.blocksMatchPods || !w.blocksMatchNodes || w.hostIsolated || w.hostLabelled {
				continue
			}
		case "terway":
			if w.blocksMatchPods || w.blocksMatchNodes || w.hostIsolated || w.hostLabelled {
				continue
			}
		}
		for _, w.order = range orders {
			out = append(out, w)
		}
	}
	return out
}

// permutations returns the orders of 0 to n-1 in which those that are free to
// change places do. There are few such.
func permutations(n int, free func(a, b int) bool) [][]int {
	first := make([]int, n)
	for i := range first {
		first[i] = i
	}
	seen := map[string]bool{fmt.Sprint(first): true}
	out := [][]int{first}
	for i := 0; i < len(out) && len(out) < 24; i++ {
		for a := range n {
			for b := a + 1; b < n; b++ {
				if free(out[i][a], out[i][b]) {
					next := slices.Clone(out[i])
					next[a], next[b] = next[b], next[a]
					if key := fmt.Sprint(next); !seen[key] {
						seen[key] = true
						out = append(out, next)
					}
				}
			}
		}
	}
	return out
}

// The generator draws clusters from few names, so that selectors, ports and
// ranges meet often.

type source struct{ *rand.Rand }

func (r source) chance(percent int) bool { return r.IntN(100) < percent }

func pick[T any](r source, list ...T) T { return list[r.IntN(len(list))] }

func (r source) labels() map[string]string {
	out := map[string]string{}
	for _, k := range []string{"app", "tier"} {
		if r.chance(70) {
			out[k] = pick(r, "a", "b", "c")
		}
	}
	return out
}

func (r source) selector() *tSelector {
	s := &tSelector{labels: map[string]string{}}
	if r.chance(60) {
		s.labels[pick(r, "app", "tier")] = pick(r, "a", "b", "c")
	}
	if r.chance(30) {
		s.key, s.op = pick(r, "app", "tier"), pick(r, "In", "NotIn", "Exists", "DoesNotExist")
		if s.op == "In" || s.op == "NotIn" {
			s.values = slices.Compact([]string{pick(r, "a", "b"), "c"})
		}
	}
	return s
}

var tBlocks = []string{
	"10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/30", "10.2.0.1/32", "0.0.0.0/0", "192.168.0.0/16", "1.2.3.0/24",
	"::/0", "fd00::/8", "fd00:1::/64", "2001:4860::/32",
}

func (r source) peer(direction string, admin bool) tPeer {
	switch {
	case admin && r.chance(6):
		return tPeer{unknown: true}
	case admin && direction == "egress" && r.chance(30):
		return tPeer{networks: []string{pick(r, tBlocks...)}}
	case admin:
		return tPeer{namespaces: r.selector(), pods: r.selector()}
	case r.chance(30):
		p := tPeer{cidr: pick(r, tBlocks...)}
		for _, x := range tBlocks {
			block, except := netip.MustParsePrefix(p.cidr), netip.MustParsePrefix(x)
			if block.Contains(except.Addr()) && block.Bits() < except.Bits() && r.chance(30) {
				p.except = append(p.except, x)
			}
		}
		return p
	}
	p := tPeer{pods: r.selector()}
	if r.chance(50) {
		p.namespaces = r.selector()
	}
	return p
}

func (r source) port(admin bool) tPort {
	p := tPort{protocol: pick(r, "TCP", "TCP", "UDP", "SCTP")}
	switch {
	case r.chance(25):
		if p.name = pick(r, "http", "dns"); admin {
			p.protocol = ""
		}
	case r.chance(30):
		p.first = pick(r, 79, 80, 443)
		p.last = p.first + r.IntN(3) + 1
	case r.chance(80):
		p.first = pick(r, 80, 81, 443, 8080)
		p.last = p.first
	}
	return p
}

func (r source) rules(direction string, admin bool) []tRule {
	var out []tRule
	for range r.IntN(3) {
		rule := tRule{action: "Allow"}
		if admin {
			rule.action = pick(r, "Allow", "Deny", "Deny", "Pass")
		}
		for range r.IntN(3) {
			rule.peers = append(rule.peers, r.peer(direction, admin))
		}
		if r.chance(15) {
			rule.peers = append(rule.peers, tPeer{namespaces: &tSelector{}, pods: &tSelector{}})
		}
		if admin && len(rule.peers) == 0 {
			rule.peers = append(rule.peers, tPeer{namespaces: &tSelector{}, pods: &tSelector{}})
		}
		// The API allows no names of ports beside networks.
		networks := slices.ContainsFunc(rule.peers, func(p tPeer) bool { return len(p.networks) > 0 })
		for range r.IntN(3) {
			if p := r.port(admin); p.name == "" || !networks {
				rule.ports = append(rule.ports, p)
			}
		}
		out = append(out, rule)
	}
	return out
}

func (r source) cluster() *tCluster {
	c := &tCluster{namespaces: map[string]map[string]string{}}
	names := []string{"n1", "n2", "n3"}
	for _, n := range names {
		c.namespaces[n] = r.labels()
	}
	for i := range 2 + r.IntN(5) {
		p := &tPod{namespace: pick(r, names...), name: fmt.Sprint("p", i), labels: r.labels(), host: r.chance(12)}
		switch {
		case p.host:
			p.addrs = []netip.Addr{netip.MustParseAddr("192.168.0.1")}
		case r.chance(70):
			p.addrs = []netip.Addr{netip.AddrFrom4([4]byte{10, byte(1 + r.IntN(2)), 0, byte(1 + i)})}
		default:
			p.addrs = []netip.Addr{netip.MustParseAddr(fmt.Sprintf("fd00:%d::%d", 1+r.IntN(2), i+1))}
		}
		for _, port := range []tPort{{"TCP", "http", 80, 0}, {"TCP", "http", 8080, 0}, {"UDP", "dns", 443, 0}, {"TCP", "dns", 443, 0}} {
			if r.chance(30) && !slices.ContainsFunc(p.ports, func(o tPort) bool { return o.name == port.name && o.protocol == port.protocol }) {
				p.ports = append(p.ports, port)
			}
		}
		c.pods = append(c.pods, p)
	}
	for i := range r.IntN(5) {
		p := &tPolicy{kind: "NetworkPolicy", namespace: pick(r, names...), name: fmt.Sprint("np", i), pods: r.selector(), rules: map[string][]tRule{}}
		for _, d := range []string{"ingress", "egress"} {
			p.rules[d] = r.rules(d, false)
			if r.chance(40) {
				p.types = append(p.types, d)
			}
		}
		c.policies = append(c.policies, p)
	}
	admins := r.IntN(4)
	if r.chance(50) {
		admins = 2 + r.IntN(2) // several that hold for the same pods
	}
	for i := range admins {
		p := &tPolicy{
			kind: pick(r, "ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy"), name: fmt.Sprint("cnp", i), tier: "Admin",
			priority: r.IntN(3), namespaces: r.selector(), pods: r.selector(), rules: map[string][]tRule{},
		}
		if r.chance(60) {
			p.namespaces, p.pods = &tSelector{}, &tSelector{}
		}
		if p.kind == "BaselineAdminNetworkPolicy" {
			if slices.ContainsFunc(c.policies, func(o *tPolicy) bool { return o.kind == p.kind }) {
				continue // there is one of a cluster
			}
			p.name, p.priority = "default", 0
		}
		if p.kind == "BaselineAdminNetworkPolicy" || p.kind == "ClusterNetworkPolicy" && r.chance(40) {
			p.tier = "Baseline"
		}
		for _, d := range []string{"ingress", "egress"} {
			p.rules[d] = r.rules(d, true)
			for i := range p.rules[d] {
				if p.kind == "BaselineAdminNetworkPolicy" && p.rules[d][i].action == "Pass" {
					p.rules[d][i].action = "Deny" // it has no next tier
				}
			}
		}
		c.policies = append(c.policies, p)
	}
	return c
}

// The cluster as manifests.

type object = map[string]any

func (s *tSelector) json() any {
	if s == nil {
		return nil
	}
	out := object{}
	if len(s.labels) > 0 {
		out["matchLabels"] = s.labels
	}
	if s.key != "" {
		e := object{"key": s.key, "operator": s.op}
		if len(s.values) > 0 {
			e["values"] = s.values
		}
		out["matchExpressions"] = []any{e}
	}
	return out
}

func (p *tPeer) json(admin bool) any {
	switch {
	case p.unknown:
		return object{"galaxies": object{}}
	case p.cidr != "":
		block := object{"cidr": p.cidr}
		if len(p.except) > 0 {
			block["except"] = p.except
		}
		return object{"ipBlock": block}
	case len(p.networks) > 0:
		return object{"networks": p.networks}
	case admin:
		return object{"pods": object{"namespaceSelector": p.namespaces.json(), "podSelector": p.pods.json()}}
	}
	out := object{"podSelector": p.pods.json()}
	if p.namespaces != nil {
		out["namespaceSelector"] = p.namespaces.json()
	}
	return out
}

func (p *tPort) json(kind string) any {
	switch kind {
	case "NetworkPolicy":
		out := object{"protocol": p.protocol}
		switch {
		case p.name != "":
			out["port"] = p.name
		case p.first > 0:
			if out["port"] = p.first; p.last > p.first {
				out["endPort"] = p.last
			}
		}
		return out
	case "ClusterNetworkPolicy":
		match := object{}
		switch {
		case p.name != "":
			return object{"destinationNamedPort": p.name}
		case p.first > 0 && p.last > p.first:
			match["destinationPort"] = object{"range": object{"start": p.first, "end": p.last}}
		case p.first > 0:
			match["destinationPort"] = object{"number": p.first}
		default: // the API has no other word for all ports of a protocol
			match["destinationPort"] = object{"range": object{"start": 1, "end": 65535}}
		}
		return object{strings.ToLower(p.protocol): match}
	}
	switch {
	case p.name != "":
		return object{"namedPort": p.name}
	case p.first == 0:
		return object{"portRange": object{"protocol": p.protocol, "start": 1, "end": 65535}}
	case p.last > p.first:
		return object{"portRange": object{"protocol": p.protocol, "start": p.first, "end": p.last}}
	}
	return object{"portNumber": object{"protocol": p.protocol, "port": p.first}}
}

func (p *tPolicy) json() object {
	spec := object{}
	for d, rules := range p.rules {
		peers := map[string]string{"ingress": "from", "egress": "to"}[d]
		var list []any
		for _, r := range rules {
			rule := object{}
			for _, x := range r.peers {
				rule[peers] = append(items(rule[peers]), x.json(p.admin()))
			}
			ports := "ports"
			if p.kind == "ClusterNetworkPolicy" {
				ports = "protocols"
			}
			for _, x := range r.ports {
				rule[ports] = append(items(rule[ports]), x.json(p.kind))
			}
			if p.admin() {
				if rule["action"] = r.action; r.action == "Allow" && p.kind == "ClusterNetworkPolicy" {
					rule["action"] = "Accept"
				}
			}
			list = append(list, rule)
		}
		if list != nil {
			spec[d] = list
		}
	}
	if !p.admin() {
		spec["podSelector"] = p.pods.json()
		for _, d := range p.types {
			spec["policyTypes"] = append(items(spec["policyTypes"]), strings.ToUpper(d[:1])+d[1:])
		}
		return object{"apiVersion": "networking.k8s.io/v1", "kind": p.kind, "metadata": object{"name": p.name, "namespace": p.namespace}, "spec": spec}
	}
	spec["subject"] = object{"pods": object{"namespaceSelector": p.namespaces.json(), "podSelector": p.pods.json()}}
	version := "v1alpha1"
	if p.kind == "ClusterNetworkPolicy" {
		spec["tier"], version = p.tier, "v1alpha2"
	}
	if p.kind != "BaselineAdminNetworkPolicy" {
		spec["priority"] = p.priority
	}
	return object{"apiVersion": "policy.networking.k8s.io/" + version, "kind": p.kind, "metadata": object{"name": p.name}, "spec": spec}
}

func items(v any) []any {
	list, _ := v.([]any)
	return list
}

// manifests returns the cluster as a stream of JSON, without the namespaces that
// hidden names.
func (c *tCluster) manifests(t testing.TB, hidden ...string) string {
	t.Helper()
	var out strings.Builder
	enc := json.NewEncoder(&out)
	write := func(o object) {
		if err := enc.Encode(o); err != nil {
			t.Fatal(err)
		}
		out.WriteString("---\n")
	}
	for _, name := range slices.Sorted(maps.Keys(c.namespaces)) {
		if !slices.Contains(hidden, name) {
			write(object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": name, "labels": c.namespaces[name]}})
		}
	}
	for _, p := range c.pods {
		var ports []any
		for _, x := range p.ports {
			ports = append(ports, object{"name": x.name, "containerPort": x.first, "protocol": x.protocol})
		}
		write(object{
			"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": p.name, "namespace": p.namespace, "labels": p.labels},
			"spec":   object{"hostNetwork": p.host, "containers": []any{object{"name": "c", "ports": ports}}},
			"status": object{"podIP": p.addrs[0].String()},
		})
	}
	write(object{"apiVersion": "v1", "kind": "Node", "metadata": object{"name": "n"}, "status": object{"addresses": []any{object{"type": "InternalIP", "address": "192.168.0.1"}}}})
	for _, p := range c.policies {
		write(p.json())
	}
	return out.String()
}

var (
	tPorts     = []int{79, 80, 81, 82, 443, 444, 8080, 9}
	tAddresses = []string{"1.2.3.4", "8.8.8.8", "10.1.0.2", "10.200.0.1", "2001:4860::8888", "fd00:1::99"}
)

func (c *tCluster) ends(t testing.TB, s *cluster.Snapshot) (ends []tEnd, peers []reach.Peer) {
	t.Helper()
	for _, p := range c.pods {
		ends = append(ends, tEnd{pod: p})
		peers = append(peers, peer(t, s, p.namespace+"/"+p.name))
	}
	for _, a := range tAddresses {
		addr := netip.MustParseAddr(a)
		ends = append(ends, tEnd{addr: addr})
		peers = append(peers, reach.Addresses(netip.PrefixFrom(addr, addr.BitLen())))
	}
	return ends, peers
}

// TestReference holds the package against the reference on random clusters. An
// answer that is certain must be that of all worlds. One that depends must be
// another in some world, but for the few cases in which several doubts cancel
// each other out, which the package does not see through.
func TestReference(t *testing.T) {
	clusters := 400
	if testing.Short() {
		clusters = 60
	}
	for _, cni := range []string{"", "kube-network-policies", "terway"} {
		t.Run("cni="+cni, func(t *testing.T) {
			plugin, err := reach.Plugin(cni)
			if err != nil {
				t.Fatal(err)
			}
			plugin.EnforcesAdmin, plugin.EnforcesCluster = reach.Allowed, reach.Allowed // what the plugins really do is not the question
			asked, open, needless := 0, 0, 0
			for seed := range clusters {
				r := source{rand.New(rand.NewPCG(uint64(seed), 7))}
				c := r.cluster()
				text := c.manifests(t)
				s := snapshot(t, true, text)
				m := reach.With(s, plugin)
				worlds := c.worlds(cni)
				ends, peers := c.ends(t, s)
				for i := range ends {
					for j := range ends {
						if ends[i].pod == nil && ends[j].pod == nil {
							continue
						}
						for _, protocol := range []reach.Protocol{reach.TCP, reach.UDP, reach.SCTP} {
							port := reach.Port{Protocol: protocol, Number: uint16(pick(r, tPorts...))}
							got := m.Answer(peers[i], peers[j], port)
							can, cannot := 0, 0
							for _, w := range worlds {
								if c.connects(w, ends[i], ends[j], protocol.String(), int(port.Number)) {
									can++
								} else {
									cannot++
								}
							}
							asked++
							certain := can == 0 || cannot == 0
							switch {
							case got == reach.Allowed && cannot > 0, got == reach.Denied && can > 0, got == reach.Unknown, got == reach.Partly:
								t.Fatalf("seed %d, %s to %s, %s: got %s; allowed in %d worlds, denied in %d\n%v\n%s", seed, peers[i], peers[j], port, got, can, cannot, m.Connect(peers[i], peers[j], port).Reasons, text)
							case got == reach.Depends && certain:
								needless++
							case got == reach.Depends:
								open++
							}
						}
					}
				}
			}
			t.Logf("%d questions; %d depend, %d of them needlessly", asked, open+needless, needless)
			if needless*20 > open+needless {
				t.Errorf("%d of %d doubts are needless", needless, open+needless)
			}
		})
	}
}

// TestForgetting takes the labels of a namespace away: answers may become
// unknown, but never others.
func TestForgetting(t *testing.T) {
	unknown := 0
	for seed := range 300 {
		r := source{rand.New(rand.NewPCG(uint64(seed), 8))}
		c := r.cluster()
		plugin, err := reach.Plugin("kube-network-policies")
		if err != nil {
			t.Fatal(err)
		}
		plugin.EnforcesAdmin = reach.Allowed
		full, part := snapshot(t, true, c.manifests(t)), snapshot(t, false, c.manifests(t, "n1", "n2"))
		before, after := reach.With(full, plugin), reach.With(part, plugin)
		_, peers := c.ends(t, full)
		_, same := c.ends(t, part)
		for i := range peers {
			for j := range peers {
				port := reach.Port{Number: uint16(pick(r, tPorts...))}
				was, is := before.Answer(peers[i], peers[j], port), after.Answer(same[i], same[j], port)
				if is == reach.Unknown {
					unknown++
				} else if is != was {
					t.Fatalf("seed %d, %s to %s, %s: got %s, with the labels it is %s\n%s", seed, peers[i], peers[j], port, is, was, c.manifests(t))
				}
			}
		}
	}
	if unknown == 0 {
		t.Error("nothing became unknown: the test forgets nothing")
	}
}

// TestParallel asks one model from many goroutines; it is for the race detector.
func TestParallel(t *testing.T) {
	r := source{rand.New(rand.NewPCG(3, 10))}
	c := r.cluster()
	s := snapshot(t, true, c.manifests(t))
	m := reach.Of(s)
	_, peers := c.ends(t, s)
	alone := cluster.PodTemplates(&cluster.Object{Object: s.Templates()[0].Object.Object, Root: s.Templates()[0].Object.Root})
	peers = append(peers, reach.Pod(&alone[0]), reach.Internet(), reach.Node())
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for _, from := range peers {
				for _, to := range peers {
					port := reach.Port{Number: 80}
					if a, v := m.Answer(from, to, port), m.Connect(from, to, port); a != v.Answer {
						t.Errorf("%s to %s: Answer says %s, Connect %s", from, to, a, v.Answer)
					}
				}
			}
		})
	}
	group.Wait()
}

// TestMatrixIsConnect holds rows of the matrix against questions one by one, and
// those about templates with a class against those about pods without one.
func TestMatrixIsConnect(t *testing.T) {
	for seed := range 200 {
		r := source{rand.New(rand.NewPCG(uint64(seed), 9))}
		c := r.cluster()
		s := snapshot(t, true, c.manifests(t))
		m := reach.Of(s)
		x := m.Matrix()
		templates := s.Templates()
		for i := range templates {
			from, _ := m.Class(&templates[i])
			row := x.Row(from)
			alone := cluster.PodTemplates(&cluster.Object{Object: templates[i].Object.Object, Root: templates[i].Object.Root})[0]
			for j := range templates {
				if i == j {
					continue
				}
				to, _ := m.Class(&templates[j])
				want := row[to].String()
				if got := m.Ports(reach.Pod(&templates[i]), reach.Pod(&templates[j])).String(); got != want {
					t.Fatalf("seed %d, %s to %s: got %s, matrix has %s", seed, templates[i].Object.Name, templates[j].Object.Name, got, want)
				}
				if got := m.Ports(reach.Pod(&alone), reach.Pod(&templates[j])).String(); got != want {
					t.Fatalf("seed %d, %s to %s: got %s without class, %s with it", seed, templates[i].Object.Name, templates[j].Object.Name, got, want)
				}
				if got := m.Ports(reach.Pod(&templates[j]), reach.Pod(&alone)).String(); got != m.Ports(reach.Pod(&templates[j]), reach.Pod(&templates[i])).String() {
					t.Fatalf("seed %d, %s to %s: got %s to a pod without class", seed, templates[j].Object.Name, templates[i].Object.Name, got)
				}
			}
		}
	}
}
