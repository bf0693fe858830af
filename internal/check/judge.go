package check

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/patch"
)

// Result is what judging yielded.
type Result struct {
	Findings []*seawall.Finding
	// Objects holds the object of each finding, in the same order.
	Objects    []*cluster.Object
	Incomplete []seawall.Incomplete
	// NotEvaluated names rules that need more than they were given.
	NotEvaluated []seawall.Incomplete

	minor int64 // of an example, in place of the set's
	slab  []seawall.Finding
}

// slabSize is how many findings are allocated at once: as many as fill 8 KiB.
const slabSize = 44

// add adds a finding of a rule about an object and returns it to be filled in.
func (r *Result) add(a *active, o *cluster.Object) *seawall.Finding {
	if len(r.slab) == cap(r.slab) {
		r.slab = make([]seawall.Finding, 0, slabSize)
	}
	r.slab = append(r.slab, seawall.Finding{Rule: a.shared, Severity: a.Severity, Subject: o.Subject()})
	f := &r.slab[len(r.slab)-1]
	r.Findings = append(r.Findings, f)
	r.Objects = append(r.Objects, o)
	return f
}

// Object judges one object by all rules that need no other object. templates
// are the pod templates in it. It reports whether any rule examined the object
// at all. Objects that others represent are not for it.
func (s *Set) Object(o *cluster.Object, templates []cluster.PodTemplate, out *Result) (examined bool) {
	t := target{minor: s.minor, object: o, paths: &s.paths}
	if out.minor != 0 {
		t.minor = out.minor
	}
	for _, key := range kindKeys(o) {
		if key == "" {
			continue
		}
		for _, a := range s.byKind[key] {
			examined = true
			s.judge(a, &t, o.Root, "", out)
		}
	}
	for _, a := range s.everything {
		s.judge(a, &t, o.Root, "", out)
	}
	for i := range templates {
		tmpl := &templates[i]
		t.pod = tmpl
		malformed(tmpl, out)
		examined = examined || len(s.pods)+len(s.containers) > 0
		for _, a := range s.pods {
			s.judge(a, &t, tmpl.Root, tmpl.Path, out)
		}
		for j := range tmpl.Containers {
			c := &tmpl.Containers[j]
			t.container = c
			for _, a := range s.containers {
				s.judge(a, &t, c.Root, c.Path, out)
			}
		}
		t.pod, t.container = nil, nil
	}
	return examined
}

// judge judges one rule on root, which stands at path in the object.
func (s *Set) judge(a *active, t *target, root *document.Node, path string, out *Result) {
	prog, err := s.program(a)
	if err != nil {
		out.Incomplete = append(out.Incomplete, seawall.Incomplete{
			Location: seawall.Location{File: a.File}, Check: a.ID, Reason: err.Error(),
		})
		return
	}
	t.params, t.path, t.item = a.params, path, nil
	if a.Each == "" {
		s.decide(a, prog, t, out)
		return
	}
	list, _ := root.Find(a.Each)
	base := join(t.base(a.Each))
	if !list.IsNull() && list.Kind() != document.List {
		t.path = base
		out.Incomplete = append(out.Incomplete, unjudged(a, t, fmt.Errorf("%s is no list", a.Each)))
		return
	}
	for i, item := range list.List() {
		t.item, t.path = item, document.Index(base, i)
		s.decide(a, prog, t, out)
	}
}

// decide evaluates a rule on the target and adds a finding for each offence.
func (s *Set) decide(a *active, prog *program, t *target, out *Result) {
	if prog.when != nil {
		v, err := prog.when.eval(t)
		if err != nil {
			out.Incomplete = append(out.Incomplete, unjudged(a, t, err))
			return
		}
		if v != types.True {
			return
		}
	}
	v, err := prog.deny.eval(t)
	if err != nil {
		out.Incomplete = append(out.Incomplete, unjudged(a, t, err))
		return
	}
	switch v := v.(type) {
	case types.Bool:
		if v {
			out.finding(a, prog, t, "")
		}
	case traits.Lister:
		for it := v.Iterator(); it.HasNext() == types.True; {
			out.finding(a, prog, t, text(it.Next()))
		}
	default:
		out.Incomplete = append(out.Incomplete, unjudged(a, t, fmt.Errorf("deny yields %s, want bool or a list", v.Type().TypeName())))
	}
}

func unjudged(a *active, t *target, err error) seawall.Incomplete {
	hint := "is a field of another type than the API has?"
	if strings.Contains(err.Error(), "cost limit exceeded") {
		hint = "the rule may cost no more here than Kubernetes allows: let its loops see less"
	}
	return seawall.Incomplete{Location: holeAt(t.object, t.path), Check: a.ID, Reason: fmt.Sprintf(
		"check %s could not be judged on %s: %v: %s", a.ID, t.object.Subject(), err, hint)}
}

// holeAt is the place of what cannot be judged; live objects are named.
func holeAt(o *cluster.Object, path string) seawall.Location {
	loc := o.Locate(path)
	if loc.File == "" {
		loc.Path = o.Subject().String() + ": " + loc.Path
	}
	return loc
}

// malformed accounts for what should be containers and is something else.
func malformed(t *cluster.PodTemplate, out *Result) {
	for _, path := range t.Malformed {
		want := "want a list of containers"
		switch {
		case strings.HasSuffix(path, "]"):
			want = "want a container, which is a mapping"
		case path == t.SpecPath:
			want = "want the spec of a pod, which is a mapping"
		}
		out.Incomplete = append(out.Incomplete, seawall.Incomplete{
			Location: holeAt(t.Object, path), Reason: fmt.Sprintf("%s of %s cannot be judged: %s", path, t.Object.Subject(), want),
		})
	}
}

// finding adds the finding of one offence.
func (r *Result) finding(a *active, prog *program, t *target, offender string) {
	path := causePath(a, t, offender)
	f := r.add(a, t.object)
	if t.container != nil {
		f.Subject.Container, f.Subject.Image = t.container.Name(), t.container.Image()
	}
	f.Location = t.object.Locate(path)
	f.Message = message(prog.message, t, offender)
	f.Fix = fixes(a, prog, t)
	why := cause(t, path)
	if offender != "" {
		why = withoutIndexes(why)
	}
	f.ID = fingerprint(f, why, offender)
}

// causePath is the path of the offence in the object: of several that the rule
// names, the first that exists there, or else the first.
func causePath(a *active, t *target, offender string) string {
	first := ""
	for i, at := range a.at {
		path, found := t.where(at, offender)
		if found {
			return path
		}
		if i == 0 {
			first = path
		}
	}
	return first
}

// where resolves one path of a rule, and says whether anything stands there.
func (t *target) where(at, offender string) (path string, found bool) {
	base, at := t.base(at)
	before, after, starred := strings.Cut(at, "[*]")
	if !starred {
		path = t.paths.join(base, at)
		n, _ := t.object.Root.Find(path)
		return path, n != nil
	}
	listPath := join(base, before)
	list, _ := t.object.Root.Find(listPath)
	if list.Get(offender) != nil {
		return join(document.Key(listPath, offender), strings.TrimPrefix(after, ".")), true
	}
	for i, item := range list.List() {
		if text(value(item)) == offender || item.Get("name").Str() == offender {
			return join(document.Index(listPath, i), strings.TrimPrefix(after, ".")), true
		}
	}
	return listPath, false
}

// base resolves the pod: and object: prefixes of a path in a rule.
func (t *target) base(at string) (base, rest string) {
	if rest, ok := strings.CutPrefix(at, "pod:"); ok && t.pod != nil {
		if inSpec, ok := strings.CutPrefix(rest, "spec"); ok && t.pod.Path == "" {
			return t.pod.SpecPath, strings.TrimPrefix(inSpec, ".")
		}
		return t.pod.Path, rest
	}
	if rest, ok := strings.CutPrefix(at, "object:"); ok {
		return "", rest
	}
	// A rule on a pod template that was made up around a bare spec.
	if t.pod != nil && t.container == nil && t.item == nil && t.pod.Path == "" {
		if rest, ok := strings.CutPrefix(at, "spec"); ok {
			return t.pod.SpecPath, strings.TrimPrefix(rest, ".")
		}
	}
	return t.path, at
}

func join(base, rest string) string {
	switch {
	case rest == "":
		return base
	case base == "" || rest[0] == '[':
		return base + rest
	}
	return base + "." + rest
}

func message(segments []segment, t *target, offender string) string {
	if len(segments) == 1 && segments[0].expr == nil {
		return strings.ReplaceAll(segments[0].text, "%s", offender)
	}
	var b strings.Builder
	for _, s := range segments {
		if s.expr == nil {
			b.WriteString(strings.ReplaceAll(s.text, "%s", offender))
			continue
		}
		v, err := s.expr.eval(t)
		if err != nil {
			// The offence stands whether or not its message can be made.
			b.WriteString("?")
			continue
		}
		b.WriteString(text(v))
	}
	return b.String()
}

// text is a value as a message shows it.
func text(v ref.Val) string {
	switch v := v.(type) {
	case types.String:
		return string(v)
	case types.Int:
		return strconv.FormatInt(int64(v), 10)
	case types.Bool:
		return strconv.FormatBool(bool(v))
	case types.Null:
		return "null"
	}
	if l, ok := v.(traits.Lister); ok {
		var parts []string
		for it := l.Iterator(); it.HasNext() == types.True; {
			parts = append(parts, text(it.Next()))
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(v.Value())
}

// fixes turns a rule's patches into operations on the whole object. A patch
// whose value cannot be made is left out with all others of the rule: half a
// fix is none. One whose condition does not hold is left out alone.
func fixes(a *active, prog *program, t *target) []seawall.PatchOp {
	var ops []seawall.PatchOp
	for i, p := range a.Patches {
		if prog.guards[i] != nil {
			v, err := prog.guards[i].eval(t)
			if err != nil {
				return nil
			}
			if v != types.True {
				continue
			}
		}
		base, rest := t.base(p.Path)
		path := t.paths.join(base, rest)
		if p.Op == "remove" {
			ops = extend(ops, patch.Remove(t.object.Root, path))
			continue
		}
		v := p.Value
		if prog.patches[i] != nil {
			var err error
			if v, err = patchValue(prog.patches[i], t); err != nil {
				return nil
			}
		}
		ops = extend(ops, a.set(t.object.Root, prog, i, path, v))
	}
	return ops
}

// set returns the operations that put value at path, shared with other findings
// where the value is the rule's constant.
func (a *active) set(root *document.Node, prog *program, i int, path string, value any) []seawall.PatchOp {
	if prog.patches[i] != nil {
		return patch.Set(root, path, value)
	}
	return a.fixes.set(root, i, path, value)
}

// extend appends without writing to what others share.
func extend(ops, more []seawall.PatchOp) []seawall.PatchOp {
	if len(ops) == 0 {
		return slices.Clip(more)
	}
	return append(ops, more...)
}

func patchValue(prog *code, t *target) (any, error) {
	v, err := prog.eval(t)
	if err != nil {
		return nil, err
	}
	return jsonValue(v), nil
}

// jsonValue returns a CEL value as encoding/json would decode it.
func jsonValue(v ref.Val) any {
	switch v := v.(type) {
	case types.String:
		return string(v)
	case types.Int:
		return int64(v)
	case types.Double:
		return float64(v)
	case types.Bool:
		return bool(v)
	case *mapValue:
		return v.Value()
	case *listValue:
		return v.Value()
	case traits.Lister:
		out := []any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			out = append(out, jsonValue(it.Next()))
		}
		return out
	case traits.Mapper:
		out := map[string]any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			k := it.Next()
			out[text(k)] = jsonValue(v.Get(k))
		}
		return out
	}
	return nil
}

// cause is the path with the indexes of containers and named items replaced by
// their names, so that a finding keeps its ID when a list is reordered.
func cause(t *target, path string) string {
	base := ""
	if t.container != nil {
		base = t.container.Path
		path = strings.TrimPrefix(path, base)
		if strings.Contains(t.pod.SpecPath, "[") {
			// One of several templates, whose containers may have equal names.
			path = t.pod.SpecPath + path
		}
	}
	if t.item != nil {
		name := t.item.Get("name").Str()
		if name == "" {
			name = t.item.Str()
		}
		if t.object.Group() == "seawall.io" {
			// What scans describe is told apart by the place in the image, and by the
			// fingerprint of what stands there, whatever else the list holds.
			name = t.item.Get("path").Str() + "#" + t.item.Get("fingerprint").Str()
			if key := t.item.Get("key").Str(); key != "" {
				return key // of a Dockerfile, whose items know what tells them apart
			}
		}
		if name != "" {
			if i := strings.LastIndexByte(t.path, '['); i >= 0 {
				return strings.TrimPrefix(t.path[:i], base) + "=" + name
			}
		}
	}
	return path
}

// withoutIndexes turns a[1].b into a[].b.
func withoutIndexes(path string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(path, "[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteByte('[')
		path = strings.TrimLeft(after, "0123456789")
	}
}

// fingerprint is the ID of a finding: 80 bits of a hash over what it is about,
// never over where it stands.
func fingerprint(f *seawall.Finding, cause, offender string) string {
	group, _, found := strings.Cut(f.Subject.APIVersion, "/")
	if !found {
		group = ""
	}
	var buf [256]byte
	b := buf[:0]
	for _, part := range [...]string{
		f.Check, f.Subject.Cluster, group, f.Subject.Kind, f.Subject.Namespace,
		f.Subject.Name, f.Subject.Container, cause, offender,
	} {
		b = append(b, part...)
		b = append(b, 0)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:10])
}

// Funcs returns the IDs of the rules that need the whole snapshot.
func (s *Set) Funcs() []string {
	out := make([]string, len(s.funcs))
	for i, a := range s.funcs {
		out[i] = a.ID
	}
	return out
}

// Across judges one rule that needs the whole snapshot.
func (s *Set) Across(id string, snap *cluster.Snapshot, out *Result) {
	for _, a := range s.funcs {
		if a.ID != id {
			continue
		}
		in := &Input{Snapshot: snap, Params: a.Params, Minor: int(s.minor), rule: a, out: out}
		if out.minor != 0 {
			in.Minor = int(out.minor)
		}
		a.fn(in)
		out.Incomplete = append(out.Incomplete, in.holes...)
		return
	}
}

// hit makes the finding of an offence that a function reported.
func (r *Result) hit(a *active, h *Hit) {
	f := r.add(a, h.Object)
	f.Subject.Container = h.Container
	if h.Image != "" {
		f.Subject.Image = h.Image
	}
	f.Location = h.Object.Locate(h.Path)
	f.Message, f.Fix = h.Message, h.Fix
	if f.Message == "" {
		f.Message = a.Message
	}
	if h.Severity != seawall.None {
		f.Severity = h.Severity
	}
	f.Vulnerability, f.Suppressed = h.Vulnerability, h.Suppressed
	f.ID = fingerprint(f, h.cause(), h.Cause)
}

// containerIndex finds where in a path a container stands.
var containerIndex = regexp.MustCompile(`(^|\.)(containers|initContainers|ephemeralContainers|steps|sidecars)\[\d+\]`)

// cause is the path of a hit without the index of the container, whose name is
// in the subject, so that the finding keeps its ID when containers are
// reordered.
func (h *Hit) cause() string {
	if h.Same != "" {
		return h.Same
	}
	if h.Container == "" {
		return h.Path
	}
	at := containerIndex.FindStringIndex(h.Path)
	if at == nil {
		return h.Path
	}
	return h.Path[:at[0]] + h.Path[at[1]:]
}

// Examines says whether the rule looks at the object, which embeds pods or does
// not.
func (r *Rule) Examines(o *cluster.Object, embedsPods bool) bool {
	if r.Whole && o.File != "" {
		return false
	}
	if r.Scope() != ScopeObject {
		return embedsPods
	}
	keys := kindKeys(o)
	for _, kind := range r.Match {
		if kind == "*" || kind == keys[0] || kind == keys[1] {
			return true
		}
	}
	return false
}
