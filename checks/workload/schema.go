package workloadchecks

import (
	_ "embed"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"seawall.io/seawall/internal/check"
	"seawall.io/seawall/internal/cluster"
	"seawall.io/seawall/internal/document"
)

//go:embed schema.tsv
var schemaTable string

// schemaInvalid reports what the API server would refuse of an object, or drop
// from it: fields that its type does not have, values of another type, values
// that are missing or not among those allowed. Objects of Kubernetes' own kinds
// are compared with the types of the API, custom resources with the schemas
// of the CustomResourceDefinitions among the objects. A live cluster has
// validated its objects itself.
func schemaInvalid(in *check.Input) {
	if in.Snapshot.Whole {
		return
	}
	v, err := newValidator(in)
	if err != nil {
		in.Unknown(nil, err.Error())
		return
	}
	for _, o := range in.Snapshot.Objects {
		// What SOPS has encrypted is another object until it is decrypted.
		if o.Cluster == "" && o.Root.At("sops", "mac") == nil {
			v.object(o)
		}
	}
}

// maxProblems is how many problems of one object are told.
const maxProblems = 20

// validator compares objects with types. It is used by one goroutine.
type validator struct {
	*apiTypes
	lifecycle map[string]lifecycle
	crds      map[crdKind]*customKind

	report func(check.Hit)
	o      *cluster.Object
	count  int // of the problems of o
}

func newValidator(in *check.Input) (*validator, error) {
	table, err := readLifecycles()
	if err != nil {
		return nil, err
	}
	types, err := readTypes()
	if err != nil {
		return nil, err
	}
	v := &validator{apiTypes: types, report: in.Report, lifecycle: table, crds: customKinds(in.Snapshot)}
	for i, line := range strings.Split(schemaTable, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 3 {
			return nil, fmt.Errorf("schema.tsv:%d: want 3 columns, have %d", i+1, len(f))
		}
		if f[0] == "enum" {
			v.enums[f[1]] = strings.Split(f[2], ",")
		} else {
			v.required[f[1]] = strings.Split(f[2], ",")
		}
	}
	return v, nil
}

// problem reports one thing that is wrong at path.
func (v *validator) problem(path, format string, args ...any) {
	if v.count++; v.count > maxProblems {
		return
	}
	message := fmt.Sprintf(format, args...)
	v.report(check.Hit{Object: v.o, Path: path, Message: message, Cause: message})
}

func (v *validator) object(o *cluster.Object) {
	v.o, v.count = o, 0
	typ := v.kind(o.APIVersion, o.Kind)
	switch {
	case typ != "":
		v.walk(v.shape(typ), o.Root, "")
		v.meta(o)
		v.values(o)
	case v.groups[o.Group()]:
		// What is gone from the API is for deprecated-api-version to report.
		if _, gone := v.lifecycle[o.GVK()]; !gone {
			v.problem("kind", "Kubernetes has no kind %s in %s", o.Kind, o.APIVersion)
		}
	default:
		if c := v.crds[crdKind{o.Group(), o.Kind}]; c != nil {
			v.custom(c, strings.TrimPrefix(o.APIVersion, o.Group()+"/"))
		}
	}
}

// walk compares a value with a shape. null is an absent value everywhere.
func (v *validator) walk(s *shape, n *document.Node, path string) {
	if n.IsNull() {
		return
	}
	ok, want := true, ""
	switch s.form {
	case anything:
	case structure:
		if ok, want = n.Kind() == document.Map, "a mapping"; ok {
			v.fields(s, n, path)
		}
	case mapping:
		if ok, want = n.Kind() == document.Map, "a mapping"; ok {
			for _, f := range n.Map() {
				if s.elem.scalar() && s.elem.fits(f.Value) {
					continue
				}
				v.walk(s.elem, f.Value, document.Key(path, f.Key))
			}
		}
	case list:
		if ok, want = n.Kind() == document.List, "a list"; ok {
			for i, item := range n.List() {
				if s.elem.scalar() && s.elem.fits(item) {
					continue
				}
				v.walk(s.elem, item, document.Index(path, i))
			}
		}
	case object:
		ok, want = n.Kind() == document.Map, "a mapping"
	default:
		ok, want = s.fits(n), s.wants(n)
	}
	if !ok {
		v.problem(path, "%s: want %s, is %s", lastOf(path), want, s.describe(n))
	}
}

// describe shows a value that a shape does not take. What was to be a string or
// bytes may be a password, so that only its type is told.
func (s *shape) describe(n *document.Node) string {
	switch {
	case s.form == binary && n.Kind() == document.String:
		return "something else"
	case s.form == text && (n.Kind() == document.Int || n.Kind() == document.Float):
		return "a number: put it in quotes"
	case s.form == text && n.Kind() == document.Bool:
		return "true or false: put it in quotes"
	}
	return describe(n)
}

func (s *shape) scalar() bool {
	return s.form != anything && s.form != structure && s.form != mapping && s.form != list && s.form != object
}

// fits says whether a value is what a scalar shape demands.
func (s *shape) fits(n *document.Node) bool {
	switch s.form {
	case text:
		return n.Kind() == document.String && (s.enum == nil || n.Str() == "" || slices.Contains(s.enum, n.Str()))
	case boolean:
		return n.Kind() == document.Bool
	case integral:
		i, isInt := n.Int()
		return isInt && i >= s.low && i <= s.top
	case decimal:
		return n.Kind() == document.Int || n.Kind() == document.Float
	case binary:
		if n.Kind() == document.List { // of numbers: encoding/json takes that too
			return !slices.ContainsFunc(n.List(), func(b *document.Node) bool { i, ok := b.Int(); return !b.IsNull() && (!ok || i < 0 || i > 255) })
		}
		return n.Kind() == document.String && isBase64(n.Str())
	case intOrString:
		i, isInt := n.Int()
		return n.Kind() == document.String || isInt && i >= math.MinInt32 && i <= math.MaxInt32
	case quantity:
		return isQuantity(n)
	case moment:
		_, err := time.Parse(time.RFC3339, n.Str())
		return err == nil
	case duration:
		_, err := time.ParseDuration(n.Str())
		return err == nil
	case anything, structure, mapping, list, object:
	}
	return true
}

// wants says what a scalar shape demands, of a value that is not it.
func (s *shape) wants(n *document.Node) string {
	switch s.form {
	case text:
		if n.Kind() == document.String {
			return "one of " + strings.Join(s.enum, ", ")
		}
		return "a string"
	case boolean:
		return "true or false"
	case integral:
		if n.Kind() == document.Int {
			return fmt.Sprintf("a number between %d and %d", s.low, s.top)
		}
		return "a whole number"
	case decimal:
		return "a number"
	case binary:
		return "base64"
	case quantity:
		return "a quantity such as 500m or 1Gi"
	case intOrString:
		return "a whole number or a string"
	case moment:
		return "a time such as 2006-01-02T15:04:05Z"
	case duration:
		return "a duration such as 10s"
	case anything, structure, mapping, list, object:
	}
	return ""
}

// fields compares the entries of a mapping with the fields of a struct.
func (v *validator) fields(s *shape, n *document.Node, path string) {
	for _, f := range n.Map() {
		field, known := s.fields[f.Key]
		switch {
		case !known:
			v.problem(document.Key(path, f.Key), "unknown field %q%s", f.Key, s.meant(f.Key))
		case path == "" && f.Key == "status":
			// Written by controllers; what stands in a manifest is ignored.
		case field.scalar() && field.fits(f.Value):
		default:
			v.walk(field, f.Value, document.Key(path, f.Key))
		}
	}
	for _, name := range s.required {
		if !n.Get(name).IsNull() {
			continue
		}
		v.problem(path, "%s%s is missing", within(path), name)
	}
}

// meant suggests a field for one that does not exist: the one that differs in
// upper and lower case, or by a letter.
func (s *shape) meant(key string) string {
	best := ""
	for name := range s.fields {
		if strings.EqualFold(name, key) {
			return ": is " + name + " meant?"
		}
		if nearly(name, key) && (best == "" || name < best) {
			best = name
		}
	}
	if best == "" {
		return ""
	}
	return ": is " + best + " meant?"
}

// nearly says that two words of some length differ by one letter that is
// changed, missing or added, or by two neighbours that are swapped.
func nearly(a, b string) bool {
	if len(a) < 4 || len(b) < 3 || len(a)-len(b) > 1 || len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	a, b = a[i:], b[i:]
	switch {
	case len(a) > len(b):
		return a[1:] == b
	case len(b) > len(a):
		return b[1:] == a
	case len(a) > 1 && a[0] == b[1] && a[1] == b[0]:
		return a[2:] == b[2:]
	}
	return len(a) > 0 && a[1:] == b[1:]
}

// lastOf is the end of a path as messages show it: image, args[1].
func lastOf(path string) string {
	parent, last, index := document.Parent(path)
	if index {
		return lastOf(parent) + "[" + last + "]"
	}
	return last
}

// within begins a message about something that is missing at path.
func within(path string) string {
	if path == "" {
		return ""
	}
	return lastOf(path) + ": "
}

// describe shows a value as a message does.
func describe(n *document.Node) string {
	switch n.Kind() {
	case document.Map:
		return "a mapping"
	case document.List:
		return "a list"
	case document.String:
		if len(n.Str()) > 40 {
			return fmt.Sprintf("%q...", n.Str()[:40])
		}
		return fmt.Sprintf("%q", n.Str())
	case document.Bool, document.Int, document.Float, document.Null:
	}
	return string(n.AppendJSON(nil))
}

// isQuantity takes the usual forms without the parser.
func isQuantity(n *document.Node) bool {
	switch n.Kind() {
	case document.Int, document.Float:
		return true
	case document.String:
	default:
		return false
	}
	text, digits := n.Str(), 0
	for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		digits++
	}
	if digits > 0 && digits < 16 {
		switch text[digits:] {
		case "", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti":
			return true
		}
	}
	_, err := resource.ParseQuantity(text)
	return err == nil
}

// isBase64 is what encoding/base64 takes: line breaks are ignored, and the
// padding is complete.
func isBase64(s string) bool {
	length, padding := 0, 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '\n' || c == '\r':
			continue
		case c == '=':
			padding++
		case padding > 0:
			return false
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '+', c == '/':
		default:
			return false
		}
		length++
	}
	return length%4 == 0 && padding <= 2
}
