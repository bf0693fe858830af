package attack

import (
	"cmp"
	_ "embed" // the table of flaws
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/patch"
)

//go:embed nodeflaws.tsv
var nodeFlawTable string

// nodeFlaw is a row of nodeflaws.tsv, which says what the columns mean.
type nodeFlaw struct {
	id         string
	software   string
	needs      []string
	introduced release
	fixed      []release
	likelihood float64
}

// release is a version as nodes tell it: three numbers, and what follows them.
type release struct {
	major, minor, patch int
	rest                string
}

var releaseForm = regexp.MustCompile(`^v?(\d{1,6})(?:\.(\d{1,6}))?(?:\.(\d{1,6}))?(.*)$`)

// parseRelease reads a version. One before a release, 6.8.0-rc1, is older than it.
func parseRelease(text string) (release, bool) {
	m := releaseForm.FindStringSubmatch(text)
	if m == nil {
		return release{}, false
	}
	var n [3]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // at most six digits, or none
	}
	v := release{n[0], n[1], n[2], m[4]}
	for _, before := range []string{"-rc", "-beta", "-alpha"} {
		if v.patch == 0 && strings.HasPrefix(v.rest, before) {
			v.patch = -1
		}
	}
	return v, true
}

func (v release) compare(w release) int {
	return cmp.Or(cmp.Compare(v.major, w.major), cmp.Compare(v.minor, w.minor), cmp.Compare(v.patch, w.patch))
}

// flawed says whether a version has the flaw: a branch that never had the fix
// keeps it.
func (f *nodeFlaw) flawed(v release) bool {
	if v.compare(f.introduced) < 0 {
		return false
	}
	last := release{}
	for _, fix := range f.fixed {
		if v.major == fix.major && v.minor == fix.minor {
			return v.compare(fix) < 0
		}
		if fix.compare(last) > 0 {
			last = fix
		}
	}
	return v.compare(last) < 0
}

func (f *nodeFlaw) need(what string) bool { return slices.Contains(f.needs, what) }

// nodeFlaws are the rows of the table. A test reads each.
var nodeFlaws = sync.OnceValue(func() []nodeFlaw {
	var out []nodeFlaw
	for line := range strings.Lines(nodeFlawTable) {
		cell := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if strings.HasPrefix(line, "#") || len(cell) < 6 {
			continue
		}
		f := nodeFlaw{id: cell[0], software: cell[1]}
		if cell[2] != "-" {
			f.needs = strings.Split(cell[2], ",")
		}
		f.introduced, _ = parseRelease(cell[3])
		for text := range strings.SplitSeq(cell[4], ",") {
			if v, ok := parseRelease(text); ok {
				f.fixed = append(f.fixed, v)
			}
		}
		f.likelihood, _ = strconv.ParseFloat(cell[5], 64)
		out = append(out, f)
	}
	return out
})

// platform is nodes with one kernel and one container runtime.
type platform struct {
	nodes []int32
	parts []component
}

// component is the kernel or the container runtime of a platform.
type component struct {
	software string
	name     string   // with its version, as nodes write it
	at       Evidence // of the first node
	flaws    []*nodeFlaw
	alike    []flawGroup
	// unless is what speaks for the flaws being fixed under the same version, and
	// times what that leaves of the likelihood.
	unless []Condition
	times  float64
}

// flawGroup is flaws of a component that need the same.
type flawGroup struct {
	*nodeFlaw // the likeliest to be exploited
	ids       []string
}

// platforms are the nodes with a flaw that is known, in the order of the nodes.
// Node.status tells no version of runc: what needs one goes by that of the runtime
// above it.
func (b *builder) platforms() []*platform {
	if b.kinds != nil {
		return b.kinds
	}
	b.kinds = []*platform{}
	byName := map[string]*platform{}
	untold := 0
	for _, n := range b.placed.all {
		o := b.g.Vertices[n].Object
		if o == nil {
			continue
		}
		info := o.Root.At("status", "nodeInfo")
		kernel, runtime := info.Get("kernelVersion").Str(), info.Get("containerRuntimeVersion").Str()
		if info.Get("operatingSystem").Str() == "windows" {
			continue // its kernel and its escapes are others
		}
		_, version, _ := strings.Cut(runtime, "://")
		_, known := parseRelease(kernel)
		if _, ok := parseRelease(version); !ok || !known {
			untold++
		}
		p := byName[kernel+" "+runtime]
		if p == nil {
			p = &platform{parts: components(o, kernel, runtime)}
			if byName[kernel+" "+runtime] = p; len(p.parts) > 0 {
				b.kinds = append(b.kinds, p)
			}
		}
		p.nodes = append(p.nodes, n)
	}
	if untold > 0 {
		b.unknown(fmt.Sprintf("flaws of the kernel and of the container runtime: the status of %d nodes does not tell their versions", untold))
	}
	return b.kinds
}

// components are those of a node that have a flaw that is known.
func components(node *cluster.Object, kernel, runtime string) []component {
	var out []component
	if c, ok := linuxOf(kernel); ok {
		c.at = Evidence{node, "status.nodeInfo.kernelVersion"}
		out = append(out, c)
	}
	if c, ok := runtimeOf(runtime); ok {
		c.at = Evidence{node, "status.nodeInfo.containerRuntimeVersion"}
		out = append(out, c)
	}
	return out
}

// upstream are the ends of kernel versions of distributions that take the stable
// releases over as they are, so that the number tells what is fixed. Others keep a
// version for years and fix flaws under it.
var upstream = regexp.MustCompile(`^(\+|-(talos|flatcar|linuxkit|lts|arch\d).*|.*amzn\d.*|.*\.(cm2|azl3))$`)

// linuxOf is a kernel, ok false if it has no flaw that is known.
func linuxOf(text string) (component, bool) {
	v, _ := parseRelease(text)
	c := component{software: "linux", name: "Linux " + text, times: 1}
	switch {
	case v.rest == "" || v.patch < 0:
	case upstream.MatchString(v.rest):
		c.times, c.unless = 0.7, []Condition{{Text: "the distribution has not fixed it apart from the stable release " + text}}
	default:
		c.times = 0.02
		c.unless = []Condition{{Text: "the distribution has not fixed it: " + text + " is a kernel whose flaws may be fixed by the distribution under the same number"}}
	}
	return c.known(text)
}

// runtimeOf is a container runtime: containerd://1.7.12.
func runtimeOf(text string) (component, bool) {
	software, version, _ := strings.Cut(text, "://")
	c := component{
		software: software, name: software + " " + version, times: 0.7,
		unless: []Condition{{Text: "whoever packaged " + software + " " + version + " has not fixed it under the same number"}},
	}
	return c.known(version)
}

// known adds the flaws that a version has.
func (c component) known(version string) (component, bool) {
	v, ok := parseRelease(version)
	if !ok {
		return c, false
	}
	rows := nodeFlaws()
	for i := range rows {
		if f := &rows[i]; f.software == c.software && f.flawed(v) {
			c.flaws = append(c.flaws, f)
		}
	}
	for _, f := range c.flaws {
		i := slices.IndexFunc(c.alike, func(g flawGroup) bool { return slices.Equal(g.needs, f.needs) })
		if i < 0 {
			c.alike = append(c.alike, flawGroup{nodeFlaw: f, ids: []string{f.id}})
			continue
		}
		g := &c.alike[i]
		g.ids = append(g.ids, f.id)
		if f.likelihood > g.likelihood {
			g.nodeFlaw = f
		}
	}
	return c, len(c.flaws) > 0
}

// nodeFlaws adds P50 by flaws of the kernel and of the container runtime of the
// nodes that the pods of a template run on, or may come to run on.
func (b *builder) nodeFlaws(v int32, t *cluster.PodTemplate) {
	platforms := b.platforms()
	if len(platforms) == 0 || b.sandboxed(t) {
		return
	}
	on := b.placed.of[v]
	for _, p := range platforms {
		nodes, times := onPlatform(on, p.nodes), 1.0
		var unsure []Condition
		switch {
		case len(on) == 0:
			nodes, times = []int32{b.flawedNodes(p)}, 0.5
			unsure = []Condition{{Text: "a pod of it comes to run on such a node: none does now that the snapshot shows"}}
		case len(nodes) == 0:
			continue
		}
		for i := range p.parts {
			for _, s := range b.exploits(t, &p.parts[i]) {
				s.Likelihood *= times
				s.Conditions = append(s.Conditions, unsure...)
				step := b.step(s)
				for _, n := range nodes {
					b.edge(v, n, step)
				}
			}
		}
	}
}

// onPlatform are the nodes of a workload that are of a platform.
func onPlatform(of, platform []int32) []int32 {
	var out []int32
	for _, n := range of {
		if slices.Contains(platform, n) {
			out = append(out, n)
		}
	}
	return out
}

// sandboxed says that the pods of a template have a kernel of their own: by a
// runtime class whose handler, or else whose name, is that of gVisor or Kata.
func (b *builder) sandboxed(t *cluster.PodTemplate) bool {
	name := t.Spec().Get("runtimeClassName").Str()
	if name == "" {
		return false
	}
	if o := b.snap.Get("node.k8s.io", "RuntimeClass", "", name); o != nil {
		name = o.Root.Get("handler").Str()
	}
	return slices.ContainsFunc([]string{"runsc", "gvisor", "kata"}, func(s string) bool { return strings.Contains(name, s) })
}

// route is one way for a container to make use of a flaw.
type route struct {
	ids        []string
	name       string // tells routes of one container apart, which have different changes
	text       string
	likelihood float64
	conditions []Condition
	evidence   Evidence
	changes    []int
}

// exploits are the steps that the containers of a template have by the flaws of a
// component: one for each container and route, since each has its own change.
func (b *builder) exploits(t *cluster.PodTemplate, c *component) []Step {
	var out []Step
	e := escapist{b: b, t: t, users: b.ownUsers(t)}
	for i := range t.Containers {
		if t.Containers[i].Type == cluster.Init {
			continue
		}
		e.c, e.root = &t.Containers[i], runsAsRoot(t, &t.Containers[i])
		e.context = e.c.Root.Get("securityContext")
		e.path = document.Key(e.c.Path, "securityContext")
		e.space = nil
		var found []route
		for i := range c.alike {
			for _, r := range e.routes(&c.alike[i], c) {
				at := slices.IndexFunc(found, func(have route) bool { return have.name == r.name })
				switch {
				case at < 0:
					found = append(found, r)
				case r.likelihood > found[at].likelihood:
					r.ids = slices.Concat(found[at].ids, r.ids)
					found[at] = r
				default:
					found[at].ids = slices.Concat(found[at].ids, r.ids)
				}
			}
		}
		for _, r := range found {
			slices.Sort(r.ids)
			s := Step{
				Primitive: escape, Likelihood: r.likelihood * c.times, Evidence: []Evidence{c.at, r.evidence},
				Text:       "container " + e.c.Name() + " " + r.text + " " + c.name + " of the node, which has " + strings.Join(r.ids, ", "),
				Conditions: slices.Concat(c.unless, r.conditions),
			}
			if !systemNamespace(t.Namespace()) {
				s.Changes = r.changes
			}
			out = append(out, s)
		}
	}
	return out
}

// routes are the ways in which the container can make use of a flaw: none where
// something that it needs is known to be missing.
func (e *escapist) routes(f *flawGroup, c *component) []route {
	r := route{ids: slices.Clone(f.ids), name: "any", text: "can attack", likelihood: f.likelihood, evidence: Evidence{e.t.Object, e.t.SpecPath}}
	if f.need("mount") {
		r.likelihood *= 0.5
		r.conditions = append(r.conditions, Condition{Text: "neither AppArmor nor SELinux keeps it from mounting file systems"})
	}
	switch {
	case f.need("maker"):
		return nil // who makes the pod: madeFlaws
	case f.need("host-root"):
		return e.hostNetworkRoute(r)
	case f.need("exec"):
		if e.root == No || e.users == Yes {
			return nil
		}
		r.name, r.likelihood = "exec", r.likelihood*0.5
		r.conditions = append(r.conditions, Condition{Text: "somebody starts a process in the container, as kubectl exec and probes do"}, ofRunc(c))
		return []route{r}
	}
	for _, name := range []string{"NET_RAW", "NET_ADMIN", "SYS_ADMIN"} {
		if f.need(name) {
			return slices.Concat(e.capabilityRoute(r, name, c), e.namespaceRoute(r))
		}
	}
	return []route{r}
}

func ofRunc(c *component) Condition {
	return Condition{Text: "runc is as old as " + c.name + ": nodes do not tell its version"}
}

// hostNetworkRoute is that of root on the network of the node, where sockets
// without a file are the node's.
func (e *escapist) hostNetworkRoute(r route) []route {
	if on, _ := e.t.Spec().Get("hostNetwork").Bool(); !on || e.root == No || e.users == Yes {
		return nil
	}
	at := document.Key(e.t.SpecPath, "hostNetwork")
	r.name, r.text, r.evidence = "host network", "is on the network of the node and can attack", Evidence{e.t.Object, at}
	r.conditions = append(r.conditions, e.rootCondition(&r.likelihood)...)
	r.changes = []int{e.b.change(e.t.Object, at, Change{
		Text: "give " + templateName(e.t) + " a network of its own", Ops: patch.Set(e.t.Object.Root, at, false), Cost: 3,
	})}
	return []route{r}
}

// rootCondition is what remains to be known of a container whose process has to be
// root.
func (e *escapist) rootCondition(likelihood *float64) []Condition {
	switch e.root {
	case No:
		*likelihood *= 0.3
		return []Condition{{Text: "a program in the container makes its user root"}}
	case Unknown:
		*likelihood *= 0.95
		return []Condition{{Text: "the user of the image is root"}}
	case Yes:
	}
	return nil
}

// capabilityRoute is that of a container which has the capability itself. A
// process that is not root and cannot become it has none; NET_RAW is among those
// that containers have by default, but for CRI-O's.
func (e *escapist) capabilityRoute(r route, name string, c *component) []route {
	if gains, ok := e.context.Get("allowPrivilegeEscalation").Bool(); ok && !gains && e.root == No {
		return nil
	}
	lists := e.context.Get("capabilities")
	named := func(list string, all bool) bool {
		return slices.ContainsFunc(texts(lists.Get(list)), func(s string) bool {
			s = capability(s)
			return s == name || all && s == "ALL"
		})
	}
	at := e.path + ".capabilities"
	r.name, r.text = name, "has the capability "+name+" and can attack"
	r.conditions = slices.Concat(r.conditions, e.rootCondition(&r.likelihood))
	switch {
	case named("add", true):
		r.evidence = e.at("capabilities")
		if named("add", false) {
			rest := []any{}
			for _, s := range texts(lists.Get("add")) {
				if capability(s) != name {
					rest = append(rest, s)
				}
			}
			r.changes = []int{e.b.change(e.t.Object, at+".add "+name, Change{
				Text: "do not add the capability " + name + " to container " + e.c.Name() + " of " + templateName(e.t),
				Ops:  patch.Set(e.t.Object.Root, at+".add", rest), Cost: 2,
			})}
		}
	case name == "NET_RAW" && !named("drop", true):
		if e.b.runsOn(c, "cri-o") {
			return nil
		}
		r.evidence = Evidence{e.t.Object, e.path}
		drop := []any{}
		for _, s := range texts(lists.Get("drop")) {
			drop = append(drop, s)
		}
		r.changes = []int{e.b.change(e.t.Object, at+".drop "+name, Change{
			Text: "drop the capability " + name + " of container " + e.c.Name() + " of " + templateName(e.t),
			Ops:  patch.Set(e.t.Object.Root, at+".drop", append(drop, name)), Cost: 1,
		})}
	default:
		return nil
	}
	return []route{r}
}

// runsOn says that the node which a component stands for has a container runtime.
func (b *builder) runsOn(c *component, software string) bool {
	return strings.HasPrefix(c.at.Object.Root.At("status", "nodeInfo", "containerRuntimeVersion").Str(), software+"://")
}

// namespaceRoute is that of a process which makes a user namespace, in which it has
// all capabilities. The runtime's own seccomp profile keeps it from that.
func (e *escapist) namespaceRoute(r route) []route {
	if e.space == nil {
		e.space = e.userNamespace()
	}
	if e.space.likelihood == 0 {
		return nil
	}
	r.name, r.text, r.evidence, r.changes = "user namespace", "may make a user namespace and attack", e.space.evidence, e.space.changes
	r.likelihood *= e.space.likelihood
	r.conditions = slices.Concat(r.conditions, e.space.conditions)
	return []route{r}
}

// userNamespace is what such a process needs, found once for a container; its
// likelihood is 0 where nothing lets it make one.
func (e *escapist) userNamespace() *route {
	confined, at, c, times := e.seccomp()
	if confined == Yes {
		return &route{}
	}
	path := e.path + ".seccompProfile"
	return &route{
		likelihood: 0.8 * times, evidence: at,
		conditions: []Condition{c, {Text: "the kernel lets processes without privileges make user namespaces"}},
		changes: []int{e.b.change(e.t.Object, path, Change{
			Text: "give container " + e.c.Name() + " of " + templateName(e.t) + " the seccomp profile of the runtime",
			Ops:  patch.Set(e.t.Object.Root, path, map[string]any{"type": "RuntimeDefault"}), Cost: 1,
		})},
	}
}

// seccomp says whether a seccomp profile keeps a container from making user
// namespaces, by what, and what remains to be known.
func (e *escapist) seccomp() (confined Answer, at Evidence, c Condition, times float64) {
	kind, profile := "", ""
	at = Evidence{e.t.Object, e.path}
	for _, owner := range []struct {
		context *document.Node
		path    string
	}{{e.context, e.path}, {e.t.Spec().Get("securityContext"), document.Key(e.t.SpecPath, "securityContext")}} {
		if p := owner.context.Get("seccompProfile"); p.Get("type").Str() != "" {
			kind, profile = p.Get("type").Str(), p.Get("localhostProfile").Str()
			at.Path = document.Key(owner.path, "seccompProfile")
			break
		}
	}
	if kind == "" && e.b.minor() < 27 { // annotations mean nothing since then
		annotations := e.t.Root.At("metadata", "annotations")
		value := cmp.Or(annotations.Get("container.seccomp.security.alpha.kubernetes.io/"+e.c.Name()).Str(), annotations.Get("seccomp.security.alpha.kubernetes.io/pod").Str())
		switch rest, local := strings.CutPrefix(value, "localhost/"); {
		case local:
			kind, profile = "Localhost", rest
		case value == "runtime/default" || value == "docker/default":
			kind = "RuntimeDefault"
		case value == "unconfined":
			kind = "Unconfined"
		}
	}
	switch kind {
	case "RuntimeDefault":
		return Yes, at, c, 0
	case "Unconfined":
		return No, at, Condition{Text: "no seccomp profile confines it", Holds: Yes}, 1
	case "Localhost":
		return Unknown, at, Condition{Text: "the seccomp profile " + profile + " on the node lets it make user namespaces"}, 0.3
	}
	if e.b.seccompDefault() {
		return Yes, at, c, 0
	}
	return Unknown, at, Condition{Text: "the node runs containers without a seccomp profile where the pod names none, as it does by default"}, 0.8
}

// seccompDefault says that the configuration by which kubeadm joins nodes confines
// containers for which no profile is named.
func (b *builder) seccompDefault() bool {
	type key struct{}
	return cluster.Derive(b.snap, key{}, func() bool {
		o := b.snap.Get("", "ConfigMap", "kube-system", "kubelet-config")
		if o == nil {
			return false
		}
		for _, doc := range document.Parse([]byte(o.Root.At("data", "kubelet").Str()), document.Limits{}) {
			if on, _ := doc.Root.Get("seccompDefault").Bool(); doc.Err == nil && on {
				return true
			}
		}
		return false
	})
}

// madeFlaws adds P50 for who makes pods: flaws of the container runtime that the
// image, or fields of the pod that no Pod Security level looks at, make use of.
func (b *builder) madeFlaws(v int32) {
	for _, p := range b.platforms() {
		for i := range p.parts {
			c := &p.parts[i]
			s := Step{Primitive: escape, Evidence: []Evidence{c.at}}
			var ids []string
			for _, f := range c.flaws {
				if !f.need("maker") {
					continue
				}
				ids = append(ids, f.id)
				if l := f.likelihood * c.times; l > s.Likelihood {
					s.Likelihood, s.Conditions = l, slices.Clip(c.unless)
					if f.need("runc") {
						s.Likelihood *= 0.8
						s.Conditions = append(s.Conditions, ofRunc(c))
					}
				}
			}
			if len(ids) == 0 {
				continue
			}
			s.Text = fmt.Sprintf("an image or a pod of one's choice can attack %s of the node, which has %s", c.name, strings.Join(ids, ", "))
			b.edge(v, b.flawedNodes(p), b.alike(s))
		}
	}
}

// flawedNodes is root on a node of a platform that one chooses.
func (b *builder) flawedNodes(p *platform) int32 {
	if len(p.nodes) == 1 {
		return p.nodes[0]
	}
	names := make([]string, len(p.parts))
	for i := range p.parts {
		names[i] = p.parts[i].name
	}
	name := "flawed:" + strings.Join(names, " and ")
	if v := b.have(Power, "", name); v >= 0 {
		return v
	}
	v := b.power(name, "")
	for _, n := range p.nodes {
		b.always(all, v, n)
	}
	return v
}
