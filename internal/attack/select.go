package attack

import (
	"fmt"
	"slices"
	"strings"
)

// Selector is how commands and JSON name a vertex: workload:shop/Deployment/web,
// user:ann, internet, cluster-admin. Where there are several clusters, @ and the
// name of the cluster follow.
func (g *Graph) Selector(v int) string {
	x := &g.Vertices[v]
	text := x.plain()
	if x.Cluster >= 0 && len(g.Clusters) > 1 {
		text += "@" + g.Clusters[x.Cluster]
	}
	return text
}

// plain is a selector without the cluster.
func (x *Vertex) plain() string {
	switch {
	case x.Kind == Internet, x.Kind == Admin:
		return x.Kind.String()
	case x.Namespace == "":
		return x.Kind.String() + ":" + x.Name
	}
	return x.Kind.String() + ":" + x.Namespace + "/" + x.Name
}

// selects says whether a selector names a vertex: as Selector writes it, or
// without its cluster, which is then any, or its kind alone, which is all of them.
func (g *Graph) selects(text string, v int) bool {
	x := &g.Vertices[v]
	plain := x.plain()
	switch {
	case text == plain, text == x.Kind.String():
		return true
	case x.Cluster < 0:
		return false
	case x.Kind == Admin && text == plain+":"+g.Clusters[x.Cluster]:
		return true
	}
	return text == plain+"@"+g.Clusters[x.Cluster]
}

// Select returns the vertices that a selector names. That of a kind alone may name
// none; of anything else that is not in the graph the error names what is like it.
func (g *Graph) Select(text string) ([]int, error) {
	name, rest, named := strings.Cut(text, ":")
	kind, ok := ParseKind(name)
	if bare, _, _ := strings.Cut(name, "@"); !ok {
		kind, ok = ParseKind(bare)
		ok = ok && (kind == Internet || kind == Admin)
	}
	if !ok {
		return nil, fmt.Errorf("%q: no kind is called %q: use %s", text, name, strings.Join(kindNames[:], ", "))
	}
	if named && rest == "" {
		return nil, fmt.Errorf("%q names nothing: leave out the colon for all of the kind", text)
	}
	var out []int
	for v := range g.Vertices {
		if g.Vertices[v].Kind == kind && g.selects(text, v) {
			out = append(out, v)
		}
	}
	if len(out) == 0 && text != name {
		return nil, fmt.Errorf("%q is not in what was read%s", text, g.near(kind, text))
	}
	return out, nil
}

// maxNear is how many names are suggested at most.
const maxNear = 5

// near ends an error about something that is not in the graph with what is like
// it: names that differ in one place, else those that have a part of it.
func (g *Graph) near(kind Kind, text string) string {
	var slips, parts []string
	last := strings.ToLower(text[strings.LastIndexAny(text, "/:")+1:])
	for v := range g.Vertices {
		if g.Vertices[v].Kind != kind {
			continue
		}
		switch name := g.Selector(v); {
		case slip(name, text):
			slips = append(slips, name)
		case last != "" && strings.Contains(strings.ToLower(name), last):
			parts = append(parts, name)
		}
	}
	if len(slips) == 0 {
		slips = parts
	}
	if len(slips) == 0 {
		return fmt.Sprintf(": --from %s and --to %[1]s take all of the kind", kind)
	}
	slices.Sort(slips)
	return ": did you mean " + strings.Join(slips[:min(len(slips), maxNear)], ", ") + "?"
}

// slip says that two names differ in one place, by two letters at most.
func slip(a, b string) bool {
	short := min(len(a), len(b))
	head := 0
	for head < short && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < short-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	return max(len(a), len(b))-head-tail <= 2
}
