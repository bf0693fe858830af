package workloadchecks

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

// crdKind is a kind that a CustomResourceDefinition defines.
type crdKind struct{ group, kind string }

// customKind holds the schemas of a custom kind by version.
type customKind struct {
	versions map[string]*document.Node
	// keeps says that the API server keeps fields which no schema names.
	keeps bool

	patterns map[string]*regexp.Regexp
}

// customKinds reads the CustomResourceDefinitions of a snapshot.
func customKinds(s *cluster.Snapshot) map[crdKind]*customKind {
	out := map[crdKind]*customKind{}
	for _, o := range s.Kind("CustomResourceDefinition") {
		if o.Group() != "apiextensions.k8s.io" {
			continue
		}
		spec := o.Root.Get("spec")
		c := &customKind{versions: map[string]*document.Node{}, patterns: map[string]*regexp.Regexp{}}
		c.keeps = o.APIVersion == "apiextensions.k8s.io/v1beta1"
		if keep, set := spec.Get("preserveUnknownFields").Bool(); set {
			c.keeps = keep
		}
		common := spec.At("validation", "openAPIV3Schema")
		for _, version := range spec.Get("versions").List() {
			schema := version.At("schema", "openAPIV3Schema")
			if schema == nil {
				schema = common
			}
			if served, set := version.Get("served").Bool(); served || !set {
				c.versions[version.Get("name").Str()] = schema
			}
		}
		if version := spec.Get("version").Str(); version != "" && len(c.versions) == 0 {
			c.versions[version] = common
		}
		out[crdKind{spec.Get("group").Str(), spec.At("names", "kind").Str()}] = c
	}
	return out
}

// custom compares an object with the schema of its kind. Rules in CEL and
// formats are not judged.
func (v *validator) custom(c *customKind, version string) {
	schema, served := c.versions[version]
	if !served {
		v.problem("apiVersion", "the CustomResourceDefinition of %s serves no version %s", v.o.Kind, version)
		return
	}
	w := &customWalk{v: v, c: c, strict: !c.keeps}
	w.walk(schema, v.o.Root, "", true)
}

// customWalk is one way through an object beside its schema.
type customWalk struct {
	v      *validator
	c      *customKind
	strict bool // unknown fields are problems
	// probing counts problems instead of reporting them, for anyOf and the like.
	probing bool
	found   int
}

func (w *customWalk) problem(path, format string, args ...any) {
	w.found++
	if !w.probing {
		w.v.problem(path, "%s", within(path)+fmt.Sprintf(format, args...))
	}
}

// accepts says whether a value meets a schema that only restricts it.
func (w *customWalk) accepts(schema, n *document.Node) bool {
	probe := &customWalk{v: w.v, c: w.c, probing: true}
	probe.walk(schema, n, "", false)
	return probe.found == 0
}

func flag(schema *document.Node, key string) bool {
	is, _ := schema.Get(key).Bool()
	return is
}

// walk compares one value. root says that apiVersion, kind and metadata go
// without saying.
func (w *customWalk) walk(schema, n *document.Node, path string, root bool) {
	if schema.IsNull() || n.IsNull() {
		return
	}
	if flag(schema, "x-kubernetes-int-or-string") {
		if n.Kind() != document.Int && n.Kind() != document.String {
			w.problem(path, "want a whole number or a string, is %s", describe(n))
			return
		}
	} else if want := schema.Get("type").Str(); want != "" && !isType(want, n) {
		w.problem(path, "want %s, is %s", article(want), describe(n))
		return
	}
	w.restrict(schema, n, path)
	switch n.Kind() {
	case document.Map:
		w.properties(schema, n, path, root || flag(schema, "x-kubernetes-embedded-resource"))
	case document.List:
		items := schema.Get("items")
		for i, item := range n.List() {
			w.walk(items, item, document.Index(path, i), false)
		}
		w.count(schema, int64(len(n.List())), "Items", path, "items")
	case document.String:
		w.count(schema, int64(utf8.RuneCountInString(n.Str())), "Length", path, "characters")
		w.pattern(schema, n, path)
	case document.Int, document.Float:
		w.bounds(schema, n, path)
	case document.Bool, document.Null:
	}
}

func (w *customWalk) properties(schema, n *document.Node, path string, isObject bool) {
	properties, additional := schema.Get("properties"), schema.Get("additionalProperties")
	allowed, isBool := additional.Bool()
	strict := w.strict && properties.Len() > 0 && additional == nil && !flag(schema, "x-kubernetes-preserve-unknown-fields") ||
		w.strict && isBool && !allowed
	for _, f := range n.Map() {
		at := document.Key(path, f.Key)
		switch property := properties.Get(f.Key); {
		case isObject && (f.Key == "apiVersion" || f.Key == "kind" || f.Key == "metadata"):
		case path == "" && f.Key == "status":
		case property != nil:
			w.walk(property, f.Value, at, false)
		case additional != nil && additional.Kind() == document.Map:
			w.walk(additional, f.Value, at, false)
		case strict:
			w.problem(at, "unknown field")
		}
	}
	for _, name := range schema.Get("required").List() {
		if n.Get(name.Str()).IsNull() && (path != "" || name.Str() != "status") && properties.Get(name.Str()).Get("default") == nil {
			w.problem(path, "%s is missing", name.Str())
		}
	}
	w.count(schema, int64(len(n.Map())), "Properties", path, "entries")
}

// restrict judges enum, allOf, anyOf, oneOf and not.
func (w *customWalk) restrict(schema, n *document.Node, path string) {
	if enum := schema.Get("enum").List(); len(enum) > 0 {
		value := n.Value()
		if !slices.ContainsFunc(enum, func(e *document.Node) bool { return reflect.DeepEqual(e.Value(), value) }) {
			names := make([]string, len(enum))
			for i, e := range enum {
				names[i] = plainText(e)
			}
			w.problem(path, "want one of %s, is %s", strings.Join(names, ", "), describe(n))
		}
	}
	for _, s := range schema.Get("allOf").List() {
		if !w.accepts(s, n) {
			w.problem(path, "does not meet all conditions (allOf) of the schema")
			break
		}
	}
	if list := schema.Get("anyOf").List(); len(list) > 0 && w.matches(list, n) == 0 {
		w.problem(path, "meets none of the conditions (anyOf) of the schema")
	}
	if list := schema.Get("oneOf").List(); len(list) > 0 {
		if hits := w.matches(list, n); hits != 1 {
			w.problem(path, "meets %d of the conditions (oneOf) of the schema, want one", hits)
		}
	}
	if not := schema.Get("not"); !not.IsNull() && w.accepts(not, n) {
		w.problem(path, "meets the condition that the schema excludes (not)")
	}
}

func (w *customWalk) matches(list []*document.Node, n *document.Node) int {
	hits := 0
	for _, s := range list {
		if w.accepts(s, n) {
			hits++
		}
	}
	return hits
}

// count judges minItems and maxItems, minLength and maxLength, and so on.
func (w *customWalk) count(schema *document.Node, have int64, what, path, unit string) {
	if least, ok := schema.Get("min" + what).Int(); ok && have < least {
		w.problem(path, "has %d %s, want %d at least", have, unit, least)
	}
	if most, ok := schema.Get("max" + what).Int(); ok && have > most {
		w.problem(path, "has %d %s, want %d at most", have, unit, most)
	}
}

// pattern judges a pattern. One that Go cannot compile is left alone.
func (w *customWalk) pattern(schema, n *document.Node, path string) {
	text := schema.Get("pattern").Str()
	if text == "" {
		return
	}
	re, done := w.c.patterns[text]
	if !done {
		re, _ = regexp.Compile(text) // nil: not judged
		w.c.patterns[text] = re
	}
	if re != nil && !re.MatchString(n.Str()) {
		w.problem(path, "%s does not match %s", describe(n), text)
	}
}

func (w *customWalk) bounds(schema, n *document.Node, path string) {
	have := numeric(n)
	if least := schema.Get("minimum"); !least.IsNull() {
		if have < numeric(least) || flag(schema, "exclusiveMinimum") && have == numeric(least) {
			w.problem(path, "%s is below the minimum %s", plainText(n), plainText(least))
		}
	}
	if most := schema.Get("maximum"); !most.IsNull() {
		if have > numeric(most) || flag(schema, "exclusiveMaximum") && have == numeric(most) {
			w.problem(path, "%s is above the maximum %s", plainText(n), plainText(most))
		}
	}
}

func numeric(n *document.Node) float64 {
	if i, ok := n.Int(); ok {
		return float64(i)
	}
	f, _ := n.Float()
	return f
}

// isType compares with a type of OpenAPI.
func isType(want string, n *document.Node) bool {
	switch want {
	case "object":
		return n.Kind() == document.Map
	case "array":
		return n.Kind() == document.List
	case "string":
		return n.Kind() == document.String
	case "boolean":
		return n.Kind() == document.Bool
	case "integer":
		f, isFloat := n.Float()
		return n.Kind() == document.Int || isFloat && f == math.Trunc(f)
	case "number":
		return n.Kind() == document.Int || n.Kind() == document.Float
	}
	return true
}

func article(typ string) string {
	switch typ {
	case "object":
		return "a mapping"
	case "array":
		return "a list"
	case "boolean":
		return "true or false"
	case "integer":
		return "a whole number"
	}
	return fmt.Sprintf("a %s", typ)
}
