// Package netgen writes the network policies that manifests ask for without
// saying so. It finds the connections that they declare, makes for each
// namespace a default deny with what allows these and nothing else, and proves
// by simulation, with package reach, that the policies do that. It also compares
// two sets of policies by what each lets through.
//
// What is declared is a lower bound of what is needed: an address that a program
// has built in, or reads from a Secret, is in no manifest. The package reads no
// values of Secrets, and applies nothing.
package netgen

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/reach"
)

// EndKind says what one end of a connection is.
type EndKind uint8

// The kinds of end. Anyone stands for clients that no policy can tell, External
// for public addresses, and Anywhere for all addresses.
const (
	Pods EndKind = iota
	Anyone
	External
	Anywhere
	APIServer
	Address
	Node
)

// End is one end of a connection.
type End struct {
	Kind EndKind
	// Pods are those of one template.
	Pods *cluster.PodTemplate
	// Range is that of an Address.
	Range netip.Prefix
}

// String names the end: shop/Deployment/web, 10.0.0.0/8, anyone.
func (e End) String() string {
	switch e.Kind {
	case Pods:
		return reach.Pod(e.Pods).String()
	case Address:
		return reach.Addresses(e.Range).String()
	case Anyone, External, Anywhere, APIServer, Node:
	}
	return [...]string{Anyone: "anyone", External: "internet", Anywhere: "any address", APIServer: "apiserver", Node: "node"}[e.Kind]
}

// onHost says that the end is pods which have the addresses of nodes.
func (e End) onHost() bool { return e.Kind == Pods && onHost(e.Pods) }

// peers are what stands for the end in a simulation.
func (e End) peers() []reach.Peer {
	switch e.Kind {
	case Pods:
		return []reach.Peer{reach.Pod(e.Pods)}
	case Address:
		return []reach.Peer{reach.Addresses(e.Range)}
	case APIServer:
		return []reach.Peer{reach.APIServer()}
	case Node:
		return []reach.Peer{reach.Node()}
	case Anyone:
		return []reach.Peer{reach.Internet(), reach.Node()}
	case External, Anywhere:
	}
	return []reach.Peer{reach.Internet()}
}

// Use says what a connection is for.
type Use string

// The uses.
const (
	Client  Use = "client"  // a workload that names a Service, or a host
	Entry   Use = "entry"   // traffic from outside the cluster
	DNS     Use = "dns"     // look-up of names
	Webhook Use = "webhook" // the API server calls an extension of it
	Metrics Use = "metrics" // Prometheus
	Members Use = "members" // pods of one StatefulSet
	API     Use = "api"     // a workload that may ask the API server something
	Probe   Use = "probe"   // the kubelet: from the pod's own node, which no policy stops
)

// Evidence is a place in the manifests that declares a connection.
type Evidence struct {
	Object *cluster.Object
	Path   string
	Text   string
}

// String says what stands where: env DB_HOST of Deployment shop/web (web.yaml:12).
func (e Evidence) String() string {
	text := e.Text
	if e.Object == nil {
		return text
	}
	name := e.Object.Name
	if e.Object.Namespace != "" {
		name = e.Object.Namespace + "/" + name
	}
	text += " of " + e.Object.Kind + " " + name
	if loc := e.Object.Locate(e.Path); loc.File != "" {
		text += fmt.Sprintf(" (%s:%d)", loc.File, loc.Line)
	}
	return text
}

// Need is a connection that manifests declare. Port is that of the pods.
type Need struct {
	From, To End
	Port     reach.Port
	Use      Use
	// Likely says that the evidence allows for another meaning.
	Likely   bool
	Evidence []Evidence
}

// String says the connection: shop/Deployment/web -> shop/StatefulSet/db:5432/TCP.
func (n *Need) String() string { return fmt.Sprintf("%s -> %s:%s", n.From, n.To, n.Port) }

// Gap is a connection that is declared, but not well enough to allow it.
type Gap struct {
	Evidence
	Reason string
}

// Incomplete is the gap as coverage has it.
func (g Gap) Incomplete() seawall.Incomplete {
	out := seawall.Incomplete{Reason: g.Reason}
	if g.Object != nil {
		out.Location = g.Object.Locate(g.Path)
		out.Reason = g.Object.Kind + " " + g.Object.Name + ": " + g.Reason
	}
	return out
}

// Declared is what the manifests of a snapshot declare.
type Declared struct {
	Needs []*Need
	// Gaps are connections that are left out, and Notes what the needs rest on.
	Gaps  []Gap
	Notes []string

	// standIns are pods that were not read, and whose labels are known.
	standIns []*cluster.PodTemplate
}

// declaring collects what a snapshot declares.
type declaring struct {
	snapshot *cluster.Snapshot
	model    *reach.Model
	services *cluster.ExposureIndex
	// pods are the templates that pods are made from: those of built-in kinds.
	pods  []*cluster.PodTemplate
	needs map[needKey]*Need
	out   Declared
}

// Needs returns the connections that the manifests of a model's snapshot
// declare, in the order of their names. dnsNamespace is where the name service
// runs: kube-system where it is empty.
func Needs(m *reach.Model, s *cluster.Snapshot, dnsNamespace string) *Declared {
	d := &declaring{snapshot: s, model: m, services: cluster.Exposures(s), needs: map[needKey]*Need{}}
	d.findPods()
	d.clients()
	d.entries()
	d.names(cmp.Or(dnsNamespace, systemNamespace))
	d.extensions()
	d.metrics()
	d.members()
	d.askers()
	d.probes()
	slices.SortStableFunc(d.out.Needs, func(a, b *Need) int {
		return cmp.Or(cmp.Compare(a.From.String(), b.From.String()), cmp.Compare(a.To.String(), b.To.String()),
			cmp.Compare(a.Port.Protocol, b.Port.Protocol), cmp.Compare(a.Port.Number, b.Port.Number), cmp.Compare(a.Use, b.Use))
	})
	slices.Sort(d.out.Notes)
	d.out.Notes = slices.Compact(d.out.Notes)
	return &d.out
}

// findPods keeps the pods whose labels are known before they run.
func (d *declaring) findPods() {
	templates := d.snapshot.Templates()
	for i := range templates {
		t := &templates[i]
		switch {
		case t.Object.Kind == "PodTemplate":
		case t.Object.Group() != "" && !slices.Contains([]string{"apps", "batch", "extensions"}, t.Object.Group()):
			d.gap(Evidence{t.Object, t.SpecPath, ""}, "an operator makes its pods: their labels are not known; ask the cluster that they run in")
		default:
			if d.possible(t, t.Object) {
				d.pods = append(d.pods, t)
			}
		}
	}
}

// possible says whether the API server would take pods of a template, and names
// the gap with the object that they come from if not.
func (d *declaring) possible(t *cluster.PodTemplate, from *cluster.Object) bool {
	err := badLabel(t)
	if problems := validation.IsDNS1123Label(t.Namespace()); err == nil && len(problems) > 0 {
		err = fmt.Errorf("namespace %q: %s", t.Namespace(), problems[0])
	}
	if err != nil {
		d.gap(Evidence{from, "metadata", ""}, "the API server refuses its pods: %v", err)
	}
	return err == nil
}

// badLabel says why no pod can have the labels of a template. What is no string
// is no label either.
func badLabel(t *cluster.PodTemplate) error {
	labels := t.Root.At("metadata", "labels")
	for _, f := range labels.Map() {
		problems := validation.IsQualifiedName(f.Key)
		if problems == nil {
			problems = validation.IsValidLabelValue(f.Value.Str())
		}
		if f.Value.Kind() != document.String {
			problems = []string{"the value must be a string"}
		}
		if len(problems) > 0 {
			return fmt.Errorf("label %q: %s", f.Key, problems[0])
		}
	}
	return nil
}

// needKey tells needs apart. Files may hold several objects of one name.
type needKey struct {
	from, to endKey
	port     reach.Port
	use      Use
}

type endKey struct {
	kind EndKind
	pods place
	at   netip.Prefix
}

func (e End) key() endKey {
	k := endKey{kind: e.Kind, at: e.Range}
	if e.Kind == Pods {
		k.pods = placeOf(e.Pods)
	}
	return k
}

// add adds a need, or evidence to one that is there.
func (d *declaring) add(n Need) {
	if n.From.onHost() && n.To.onHost() {
		return // nodes among themselves
	}
	key := needKey{n.From.key(), n.To.key(), n.Port, n.Use}
	have := d.needs[key]
	if have == nil {
		d.needs[key] = &n
		d.out.Needs = append(d.out.Needs, &n)
		return
	}
	have.Likely = have.Likely && n.Likely
	for _, e := range n.Evidence {
		if !slices.Contains(have.Evidence, e) {
			have.Evidence = append(have.Evidence, e)
		}
	}
}

func (d *declaring) gap(e Evidence, format string, args ...any) {
	g := Gap{e, fmt.Sprintf(format, args...)}
	if !slices.Contains(d.out.Gaps, g) {
		d.out.Gaps = append(d.out.Gaps, g)
	}
}

func (d *declaring) note(format string, args ...any) {
	d.out.Notes = append(d.out.Notes, fmt.Sprintf(format, args...))
}

func onHost(t *cluster.PodTemplate) bool {
	host, _ := t.Spec().Get("hostNetwork").Bool()
	return host
}

func namespaceOf(o *cluster.Object) string { return cmp.Or(o.Namespace, "default") }
