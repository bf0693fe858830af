package netgen

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/netpol"
	"seawall.io/seawall/internal/reach"
)

// The label by which policies that this package wrote are known again.
const (
	managedKey   = "app.kubernetes.io/managed-by"
	managedValue = "seawall"
)

// policy is a NetworkPolicy that is to be written.
type policy struct {
	namespace, name string
	bare            bool // without the field namespace
	comment         string
	subject         *group // nil is all pods
	types           []netpol.Direction
	rules           [2][]rule
}

// rule allows connections with peers, any where there are none.
type rule struct {
	comments []string
	peers    []peer
	ports    []reach.Port
}

// peer is pods or addresses.
type peer struct {
	pods      *group
	namespace string // of pods elsewhere
	block     netip.Prefix
	except    []netip.Prefix
}

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParsePrefix(t)
	}
	return out
}

// public is the addresses of the internet: those of private networks, of
// carriers' (RFC 6598) and of nodes' own links, the metadata services of clouds
// among them, are left out.
func public() []peer {
	return []peer{
		{block: netip.MustParsePrefix("0.0.0.0/0"), except: prefixes("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")},
		{block: netip.MustParsePrefix("2000::/3")},
	}
}

// peersOf says an end in the words of a policy; open says that no words tell it,
// so that the rule has to be for everyone.
func (g *generation) peersOf(e End, in string) (list []peer, open bool) {
	switch e.Kind {
	case Pods:
		if onHost(e.Pods) {
			return nil, true
		}
		p := peer{pods: g.groups.group(e.Pods)}
		if p.pods.namespace != in {
			p.namespace = p.pods.namespace
		}
		return []peer{p}, false
	case External:
		return public(), false
	case Anywhere:
		return []peer{{block: netip.MustParsePrefix("0.0.0.0/0")}, {block: netip.MustParsePrefix("::/0")}}, false
	case Address:
		return []peer{{block: e.Range}}, false
	case APIServer:
		addrs, _, onNodes := g.model.APIServerAt()
		if len(addrs) == 0 || onNodes && g.model.CNI().MatchesNodes != reach.Allowed {
			return nil, true
		}
		for _, a := range addrs {
			list = append(list, peer{block: netip.PrefixFrom(a, a.BitLen())})
		}
		return list, false
	case Anyone, Node:
	}
	return nil, true
}

// index finds the needs of each group, those that policies are asked for.
func (g *generation) index() {
	for d := range g.needs {
		g.needs[d] = map[*group][]*Need{}
	}
	for _, n := range g.declared.Needs {
		for d, own := range [...]End{netpol.Ingress: n.To, netpol.Egress: n.From} {
			if n.Use == Probe || own.Kind != Pods {
				continue
			}
			if grp := g.groups.of[placeOf(own.Pods)]; grp != nil {
				g.needs[d][grp] = append(g.needs[d][grp], n)
			}
		}
	}
}

// rulesFor makes the rules of a group in one direction, one for each peer. skip
// leaves needs out that another policy covers.
func (g *generation) rulesFor(grp *group, d netpol.Direction, skip func(*Need) bool) []rule {
	type entry struct {
		rule
		needs []*Need
	}
	byPeer := map[string]*entry{}
	for _, n := range g.needs[d][grp] {
		other := n.From
		if d == netpol.Egress {
			other = n.To
		}
		if skip(n) {
			continue
		}
		peers, _ := g.peersOf(other, grp.namespace)
		key := string(appendPeers(nil, peers, 0))
		e := byPeer[key]
		if e == nil {
			e = &entry{rule: rule{peers: peers}}
			byPeer[key] = e
		}
		if !slices.Contains(e.ports, n.Port) {
			e.ports = append(e.ports, n.Port)
		}
		e.needs = append(e.needs, n)
	}
	var out []rule
	for _, key := range slices.Sorted(maps.Keys(byPeer)) {
		e := byPeer[key]
		slices.SortFunc(e.ports, func(a, b reach.Port) int {
			return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Number, b.Number))
		})
		e.comments = comments(e.needs, d)
		out = append(out, e.rule)
	}
	return out
}

// comments say why a rule is there: the other end, and what declares it.
func comments(needs []*Need, d netpol.Direction) []string {
	const most = 3
	var out []string
	said := map[string]int{}
	for _, n := range needs {
		other := "from " + n.From.String()
		if d == netpol.Egress {
			other = "to " + n.To.String()
		}
		for _, e := range n.Evidence {
			line := fmt.Sprintf("%s, %s: %s", other, n.Use, e)
			if n.Likely {
				line += ", likely"
			}
			if said[line]++; said[line] == 1 {
				out = append(out, line)
			}
		}
	}
	if len(out) > most {
		out = append(out[:most:most], fmt.Sprintf("and %d more", len(out)-most))
	}
	return out
}

// YAML returns the policy with its comments.
func (p *policy) YAML() []byte {
	b := appendComment(nil, "", p.comment)
	b = append(b, "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: "+scalar(p.name)+"\n"...)
	if !p.bare {
		b = append(b, "  namespace: "+scalar(p.namespace)+"\n"...)
	}
	b = append(b, "  labels:\n    "+managedKey+": "+managedValue+"\nspec:\n"...)
	b = appendSelector(b, "podSelector", p.subject, 2)
	b = append(b, "  policyTypes:\n"...)
	for _, d := range p.types {
		b = append(b, "    - "+typeName(d)+"\n"...)
	}
	for _, d := range p.types {
		if len(p.rules[d]) == 0 {
			continue
		}
		b = append(b, "  "+d.String()+":\n"...)
		for _, r := range p.rules[d] {
			for _, c := range r.comments {
				b = appendComment(b, "    ", c)
			}
			lead := "    - "
			if len(r.peers) > 0 {
				b = append(b, lead+peersField(d)+":\n"...)
				b = appendPeers(b, r.peers, 8)
				lead = "      "
			}
			b = append(b, lead+"ports:\n"...)
			for _, port := range r.ports {
				b = append(b, fmt.Sprintf("        - protocol: %s\n          port: %d\n", port.Protocol, port.Number)...)
			}
		}
	}
	return b
}

func typeName(d netpol.Direction) string {
	if d == netpol.Egress {
		return "Egress"
	}
	return "Ingress"
}

func peersField(d netpol.Direction) string {
	if d == netpol.Egress {
		return "to"
	}
	return "from"
}

func appendPeers(b []byte, peers []peer, indent int) []byte {
	pad := strings.Repeat(" ", indent)
	for _, p := range peers {
		switch {
		case p.pods == nil:
			b = append(b, pad+"- ipBlock:\n"+pad+"    cidr: "+scalar(p.block.String())+"\n"...)
			if len(p.except) > 0 {
				b = append(b, pad+"    except:\n"...)
				for _, x := range p.except {
					b = append(b, pad+"      - "+scalar(x.String())+"\n"...)
				}
			}
			continue
		case p.namespace != "":
			b = append(b, pad+"- namespaceSelector:\n"+pad+"    matchLabels:\n"+pad+"      kubernetes.io/metadata.name: "+scalar(p.namespace)+"\n"...)
			b = appendSelector(b, "podSelector", p.pods, indent+2)
		default:
			b = appendSelector(b, "- podSelector", p.pods, indent)
		}
	}
	return b
}

func appendSelector(b []byte, field string, g *group, indent int) []byte {
	pad := strings.Repeat(" ", indent)
	if g == nil || len(g.labels) == 0 && len(g.absent) == 0 {
		return append(b, pad+field+": {}\n"...)
	}
	b = append(b, pad+field+":\n"...)
	if strings.HasPrefix(field, "- ") {
		pad += "  "
	}
	if len(g.labels) > 0 {
		b = append(b, pad+"  matchLabels:\n"...)
		for _, k := range slices.Sorted(maps.Keys(g.labels)) {
			b = append(b, pad+"    "+scalar(k)+": "+scalar(g.labels[k])+"\n"...)
		}
	}
	if len(g.absent) > 0 {
		b = append(b, pad+"  matchExpressions:\n"...)
		for _, k := range slices.Sorted(slices.Values(g.absent)) {
			b = append(b, pad+"    - key: "+scalar(k)+"\n"+pad+"      operator: DoesNotExist\n"...)
		}
	}
	return b
}

var plain = regexp.MustCompile(`^[a-z]([a-z0-9./-]*[a-z0-9])?$`)

// scalar writes a string so that YAML 1.1 reads it as one.
func scalar(s string) string {
	switch s {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return strconv.Quote(s)
	}
	if plain.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

// appendComment writes a comment on one line, whatever the manifests put in it.
func appendComment(b []byte, indent, text string) []byte {
	const most = 240
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "..."
	}
	return append(b, indent+"# "+text+"\n"...)
}

var dnsName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,200}[a-z0-9])?$`)

// nameFor names the policy of a group, as no other policy of its namespace is.
func nameFor(grp *group, taken map[string]bool) string {
	first := grp.pods[0].Object
	name := strings.TrimRight(first.Name, "-.") // what comes before a generated one
	base := "allow-" + name
	if !dnsName.MatchString(name) {
		base = "allow-" + strings.ToLower(first.Kind)
	}
	return unique(base, taken)
}

func unique(base string, taken map[string]bool) string {
	name := base
	for i := 2; taken[name]; i++ {
		name = base + "-" + strconv.Itoa(i)
	}
	taken[name] = true
	return name
}

// isOurs says that a policy was written by this package before: it is replaced.
func isOurs(o *cluster.Object) bool {
	return netpol.IsNetworkPolicy(o) && o.Root.At("metadata", "labels", managedKey).Str() == managedValue
}
