package repair

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"seawall.io/seawall"
	"seawall.io/seawall/internal/attack"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
	"seawall.io/seawall/internal/patch"
)

// Plan is how changes are carried out: in the files that objects stand in, and by
// commands for those of a live cluster.
type Plan struct {
	Files []File
	// Commands are for a shell: kubectl patch, delete or apply, each with the name
	// of its cluster above, where it has one.
	Commands []string
	// Left are changes for people, with the reason.
	Left []string
}

// Cut plans the changes of a graph, each of which is counted once.
func Cut(g *attack.Graph, changes []int) *Plan {
	c := &cutter{graph: g, plan: &Plan{}, files: map[string]*changedFile{}}
	changes = slices.Compact(slices.Sorted(slices.Values(changes)))
	live := map[*cluster.Object][]*attack.Change{}
	var order []*cluster.Object
	for _, i := range changes {
		switch change := &g.Changes[i]; {
		case change.New != nil:
			c.make(change)
		case change.Object.Text != nil:
			c.inFile(change)
		case change.Object.File != "":
			c.leave(change, "its object is made by a template or kustomization: change that")
		default:
			if live[change.Object] == nil {
				order = append(order, change.Object)
			}
			live[change.Object] = append(live[change.Object], change)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		c.finish(name)
	}
	for _, o := range order {
		c.command(o, live[o])
	}
	return c.plan
}

// cutter makes one plan.
type cutter struct {
	graph *attack.Graph
	plan  *Plan
	files map[string]*changedFile
}

// changedFile is a file with the changes in it.
type changedFile struct {
	edit patch.Edit
	text []byte
	gone []int            // documents that are deleted
	of   []*attack.Change // by the number of the fix
}

func (c *cutter) leave(change *attack.Change, reason string) {
	where := ""
	if change.Object != nil {
		where = change.Object.Locate("").String() + ": "
	}
	c.plan.Left = append(c.plan.Left, where+change.Text+": "+reason)
}

func (c *cutter) inFile(change *attack.Change) {
	o := change.Object
	f := c.files[o.File]
	if f == nil {
		f = &changedFile{text: o.Text}
		c.files[o.File] = f
	}
	ops := change.Ops
	if len(ops) == 0 {
		if o.Prefix == "" {
			f.gone = append(f.gone, o.Doc)
			return
		}
		ops = []seawall.PatchOp{{Op: "remove"}} // the item of a List
	}
	f.of = append(f.of, change)
	if err := f.edit.Add(o.Doc, below(o.Prefix, ops)...); err != nil {
		c.leave(change, err.Error())
	}
}

// finish carries out what is planned for one file.
func (c *cutter) finish(name string) {
	f := c.files[name]
	after, refused := f.edit.Apply(f.text)
	for _, no := range refused {
		if no.Fix >= 0 && no.Fix < len(f.of) {
			c.leave(f.of[no.Fix], no.Error())
		}
	}
	slices.Sort(f.gone)
	for _, doc := range slices.Backward(slices.Compact(f.gone)) {
		less, err := withoutDocument(after, doc)
		if err != nil {
			c.plan.Left = append(c.plan.Left, fmt.Sprintf("%s: delete document %d: %v", name, doc+1, err))
			continue
		}
		after = less
	}
	if !bytes.Equal(after, f.text) {
		c.plan.Files = append(c.plan.Files, File{Name: name, Before: f.text, After: after})
	}
}

// withoutDocument takes one document, counted from 0, out of a stream, with the
// line that divides it from the one before, and leaves the text of all others.
func withoutDocument(text []byte, doc int) ([]byte, error) {
	docs := document.Parse(text, document.Limits{})
	if doc >= len(docs) {
		return nil, fmt.Errorf("the file has %d documents", len(docs))
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	first := func(i int) int { // the line on which a document or its divider stands
		if i >= len(docs) {
			return len(lines)
		}
		at := int(docs[i].Start) - 1
		if at > 0 && bytes.HasPrefix(lines[at-1], []byte("---")) {
			at--
		}
		return at
	}
	begin := first(doc)
	if doc == 0 {
		begin = 0
	}
	after := bytes.Join(slices.Concat(lines[:begin], lines[first(doc+1):]), nil)
	if doc == 0 {
		after = bytes.TrimPrefix(bytes.TrimPrefix(after, []byte("---\n")), []byte("---\r\n"))
	}
	var left []document.Doc
	for _, d := range document.Parse(after, document.Limits{}) {
		if d.Root != nil || d.Err != nil {
			left = append(left, d)
		}
	}
	want := 0
	for i := range docs {
		if i == doc || docs[i].Root == nil && docs[i].Err == nil {
			continue
		}
		if want >= len(left) || !document.Equal(docs[i].Root, left[want].Root) {
			return nil, fmt.Errorf("the other documents would not stay as they are: delete it by hand")
		}
		want++
	}
	if want != len(left) {
		return nil, fmt.Errorf("something of it would stay: delete it by hand")
	}
	return after, nil
}

// make plans a new object: a file of its own, and for a live cluster the command
// that applies it.
func (c *cutter) make(change *attack.Change) {
	o, ok := cluster.New(change.New)
	if !ok {
		c.leave(change, "it is no Kubernetes object")
		return
	}
	text, err := yaml.Marshal(change.New.Value())
	if err != nil {
		c.leave(change, err.Error())
		return
	}
	parts := []string{strings.ToLower(o.Kind), o.Namespace, o.Name}
	name := strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), "-") + ".yaml"
	c.plan.Files = append(c.plan.Files, File{Name: name, After: text, New: true})
	c.plan.Commands = append(c.plan.Commands, c.said(change)+"kubectl apply -f "+quote(name))
}

// said is the text of a change as a comment.
func (c *cutter) said(change *attack.Change) string {
	text := change.Text
	if name := c.graph.Clusters[change.Cluster]; name != "" {
		text += " (cluster " + name + ")"
	}
	return "# " + strings.ReplaceAll(text, "\n", " ") + "\n"
}

// command changes a live object: one patch for all changes of it. Items of lists
// are tested to be what they were, since they are found by their number.
func (c *cutter) command(o *cluster.Object, list []*attack.Change) {
	var text strings.Builder
	var ops []seawall.PatchOp
	for _, change := range list {
		text.WriteString(c.said(change))
		if len(change.Ops) == 0 {
			ops = nil
			break
		}
		ops = append(ops, change.Ops...)
	}
	said, what := text.String(), resourceOf(o)+" "+quote(o.Name)
	if o.Namespace != "" {
		what += " -n " + quote(o.Namespace)
	}
	if len(ops) == 0 {
		c.plan.Commands = append(c.plan.Commands, said+"kubectl delete "+what)
		return
	}
	body, err := json.Marshal(tested(o.Root, attack.Together(ops)))
	if err != nil {
		c.leave(list[0], err.Error())
		return
	}
	c.plan.Commands = append(c.plan.Commands, said+"kubectl patch "+what+" --type=json -p "+quote(string(body)))
}

// tested puts a test before all operations for each list item that one removes or
// replaces.
func tested(root *document.Node, ops []seawall.PatchOp) []seawall.PatchOp {
	var tests []seawall.PatchOp
	for _, op := range ops {
		at := root
		for step := range strings.SplitSeq(strings.TrimPrefix(op.Path, "/"), "/") {
			step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
			if at.Kind() == document.List {
				at, _ = at.Find("[" + step + "]")
				continue
			}
			at = at.Get(step)
		}
		if op.Op != "add" && at != nil && !at.IsNull() {
			tests = append(tests, seawall.PatchOp{Op: "test", Path: op.Path, Value: at.Value()})
		}
	}
	return append(tests, ops...)
}

// resourceOf names a kind for kubectl so that no other group's is meant.
func resourceOf(o *cluster.Object) string {
	kind := strings.ToLower(o.Kind)
	group, version, ok := strings.Cut(o.APIVersion, "/")
	if !ok {
		return kind
	}
	return kind + "." + version + "." + group
}

// quote makes one word of a text for a POSIX shell.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/:") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Diff returns the changes of all files as one unified diff.
func (p *Plan) Diff() []byte {
	var out []byte
	files := slices.SortedStableFunc(slices.Values(p.Files), func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	for i := range files {
		out = append(out, patch.Diff(files[i].Name, files[i].Before, files[i].After)...)
	}
	return out
}
