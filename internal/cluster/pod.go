package cluster

import (
	"strings"

	"seawall.io/seawall/internal/document"
)

// PodTemplate is a pod, or the template of one inside a workload.
type PodTemplate struct {
	Object *Object
	// Root has metadata and spec, as a Pod does.
	Root *document.Node
	// Path leads from the object to Root; empty for a Pod itself. Where a kind
	// embeds a bare pod spec, Root is made up around it and Path is empty.
	Path string
	// SpecPath leads from the object to the pod spec.
	SpecPath string
	// Containers are all containers: init, sidecar and ephemeral ones too.
	Containers []Container
	// Malformed are the paths, from the object, where containers should stand and
	// something of another type does.
	Malformed []string
}

// ContainerType says in which role a container runs.
type ContainerType string

// The roles. A Sidecar is an init container with restartPolicy Always.
const (
	Main      ContainerType = "container"
	Init      ContainerType = "init"
	Sidecar   ContainerType = "sidecar"
	Ephemeral ContainerType = "ephemeral"
)

// Container is one container of a pod template.
type Container struct {
	Root *document.Node
	Path string // from the object: spec.template.spec.containers[0]
	Type ContainerType
}

// Name returns the container's name.
func (c *Container) Name() string { return c.Root.Get("name").Str() }

// Image returns the image reference as written.
func (c *Container) Image() string { return c.Root.Get("image").Str() }

// Spec returns the pod spec.
func (t *PodTemplate) Spec() *document.Node { return t.Root.Get("spec") }

// Labels returns the labels that the pods carry.
func (t *PodTemplate) Labels() map[string]string { return stringMap(t.Root.At("metadata", "labels")) }

// ServiceAccount returns the account that the pods run as: "default" when none
// is named, as the ServiceAccount admission plugin does.
func (t *PodTemplate) ServiceAccount() string {
	spec := t.Spec()
	if name := spec.Get("serviceAccountName").Str(); name != "" {
		return name
	}
	if name := spec.Get("serviceAccount").Str(); name != "" {
		return name
	}
	return "default"
}

// Namespace returns the namespace of the pods, "default" when the object names
// none, as the API server would put it.
func (t *PodTemplate) Namespace() string {
	if t.Object.Namespace == "" {
		return "default"
	}
	return t.Object.Namespace
}

// templatePaths are the places of pod templates in the kinds that everybody
// knows. Other kinds are searched by shape.
var templatePaths = map[string][]string{
	"Pod":                   {""},
	"PodTemplate":           {"template"},
	"ReplicationController": {"spec.template"},
	"ReplicaSet":            {"spec.template"},
	"Deployment":            {"spec.template"},
	"StatefulSet":           {"spec.template"},
	"DaemonSet":             {"spec.template"},
	"Job":                   {"spec.template"},
	"CronJob":               {"spec.jobTemplate.spec.template"},
}

// usualPath is a step, and an item of it, below a path of the kinds that
// everybody knows.
type usualPath struct {
	base, key string
	index     int // -1 for none
}

// usualItems is how many containers of a list have their path ready.
const usualItems = 8

// usualPaths are the paths of pod specs and containers in templatePaths, made
// once: a scan asks for the same few for every workload.
var usualPaths = makeUsualPaths()

func makeUsualPaths() map[usualPath]string {
	out := map[usualPath]string{}
	for _, paths := range templatePaths {
		for _, path := range paths {
			spec := document.Key(path, "spec")
			out[usualPath{path, "spec", -1}] = spec
			for _, list := range containerLists {
				for i := range usualItems {
					out[usualPath{spec, list.key, i}] = document.Index(document.Key(spec, list.key), i)
				}
			}
		}
	}
	return out
}

// pathOf returns base.key, or base.key[index].
func pathOf(base, key string, index int) string {
	if path, usual := usualPaths[usualPath{base, key, index}]; usual {
		return path
	}
	path := document.Key(base, key)
	if index >= 0 {
		path = document.Index(path, index)
	}
	return path
}

// builtinGroups are the API groups, "" the core one, whose kinds templatePaths
// speaks of.
var builtinGroups = map[string]bool{"": true, "apps": true, "batch": true, "extensions": true}

// PodTemplates returns the pod templates that an object embeds. Kinds of
// Kubernetes itself are read where their API puts the template; all others are
// searched for a value of that shape, wherever it stands.
func PodTemplates(o *Object) []PodTemplate {
	if builtinGroups[o.Group()] {
		paths, known := templatePaths[o.Kind]
		if !known {
			return nil
		}
		for _, path := range paths {
			node, _ := o.Root.Find(path)
			if node.Get("spec") != nil {
				return []PodTemplate{newTemplate(o, path, node)}
			}
		}
		return nil
	}
	if noTemplates(o) {
		return nil
	}
	var out []PodTemplate
	findTemplates(o, o.Root, "", 0, &out)
	return out
}

// noTemplates says that an object cannot embed pods although parts of it look
// as if: a schema, a policy, a role.
func noTemplates(o *Object) bool {
	switch g := o.Group(); g {
	case "apiextensions.k8s.io", "rbac.authorization.k8s.io", "admissionregistration.k8s.io", "policy", "networking.k8s.io", "kyverno.io":
		return true
	default:
		return strings.HasSuffix(g, ".gatekeeper.sh") || strings.HasSuffix(g, ".kyverno.io") || g == "policies.kubewarden.io"
	}
}

// maxTemplateDepth bounds the search for embedded templates; the deepest known
// kind (Argo Workflow, KubeVirt data volumes) needs 9.
const maxTemplateDepth = 12

func findTemplates(o *Object, n *document.Node, path string, depth int, out *[]PodTemplate) {
	if n == nil || depth > maxTemplateDepth {
		return
	}
	switch n.Kind() {
	case document.Map:
		if depth > 0 && isPodSpec(n.Get("spec")) {
			*out = append(*out, newTemplate(o, path, n))
			return
		}
		if depth > 0 && ((isPodSpec(n) && hasImage(n.Get("containers"))) || isStepSpec(n) || isArgoTemplate(o, n)) {
			*out = append(*out, bareTemplate(o, path, n))
			return
		}
		for _, f := range n.Map() {
			if depth == 0 && (f.Key == "status" || f.Key == "metadata") {
				continue
			}
			findTemplates(o, f.Value, document.Key(path, f.Key), depth+1, out)
		}
	case document.List:
		for i, v := range n.List() {
			findTemplates(o, v, document.Index(path, i), depth+1, out)
		}
	case document.Null, document.Bool, document.Int, document.Float, document.String:
	}
}

// isPodSpec tells a pod spec by its shape: a list of containers, each a map
// with a name or an image. Operators' templates may leave the image to the
// operator. Where no metadata can stand beside the spec an image is asked for
// too: observations of containers (usage, profiles) look the same but for it.
func isPodSpec(n *document.Node) bool {
	return isContainerList(n.Get("containers"))
}

// isStepSpec tells a Tekton TaskSpec, whose containers are called steps.
func isStepSpec(n *document.Node) bool {
	steps := n.Get("steps")
	return isContainerList(steps) && hasImage(steps)
}

// soleContainers are the fields in which a template of an Argo Workflow holds
// its one container.
var soleContainers = [...]string{"container", "script"}

// isArgoTemplate tells a template of an Argo Workflow that runs a container.
func isArgoTemplate(o *Object, n *document.Node) bool {
	if o.Group() != "argoproj.io" {
		return false
	}
	for _, key := range soleContainers {
		if n.Get(key).Get("image") != nil {
			return true
		}
	}
	return false
}

func hasImage(containers *document.Node) bool {
	for _, c := range containers.List() {
		if c.Get("image") != nil {
			return true
		}
	}
	return false
}

func isContainerList(n *document.Node) bool {
	list := n.List()
	for _, c := range list {
		if c.Kind() != document.Map || (c.Get("image") == nil && c.Get("name") == nil) {
			return false
		}
	}
	return len(list) > 0
}

// containerLists are the fields that hold containers, with the role of each.
// steps and sidecars are Tekton's.
var containerLists = [...]struct {
	key string
	typ ContainerType
}{
	{"containers", Main},
	{"initContainers", Init},
	{"ephemeralContainers", Ephemeral},
	{"steps", Main},
	{"sidecars", Sidecar},
}

func newTemplate(o *Object, path string, root *document.Node) PodTemplate {
	t := PodTemplate{Object: o, Root: root, Path: path, SpecPath: pathOf(path, "spec", -1)}
	t.addContainers()
	return t
}

// bareTemplate wraps a pod spec that stands without metadata around it.
func bareTemplate(o *Object, path string, spec *document.Node) PodTemplate {
	root := document.NewMap(spec.Pos, []document.Field{{Key: "spec", Pos: spec.Pos, Value: spec}})
	t := PodTemplate{Object: o, SpecPath: path, Root: root}
	t.addContainers()
	return t
}

func (t *PodTemplate) addContainers() {
	spec := t.Spec()
	if spec.Kind() != document.Map {
		t.Malformed = append(t.Malformed, t.SpecPath)
		return
	}
	total := 0
	for _, l := range containerLists {
		total += spec.Get(l.key).Len()
	}
	t.Containers = make([]Container, 0, total)
	for _, l := range containerLists {
		field := spec.Get(l.key)
		if field.IsNull() {
			continue
		}
		if field.Kind() != document.List {
			t.Malformed = append(t.Malformed, pathOf(t.SpecPath, l.key, -1))
			continue
		}
		for i, c := range field.List() {
			if c.Kind() != document.Map {
				t.Malformed = append(t.Malformed, pathOf(t.SpecPath, l.key, i))
				continue
			}
			typ := l.typ
			if typ == Init && c.Get("restartPolicy").Str() == "Always" {
				typ = Sidecar
			}
			t.Containers = append(t.Containers, Container{Root: c, Type: typ, Path: pathOf(t.SpecPath, l.key, i)})
		}
	}
	if !isArgoTemplate(t.Object, spec) {
		return
	}
	for _, key := range soleContainers {
		if c := spec.Get(key); c.Get("image") != nil {
			t.Containers = append(t.Containers, Container{Root: c, Type: Main, Path: document.Key(t.SpecPath, key)})
		}
	}
}
