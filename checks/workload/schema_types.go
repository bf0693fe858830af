package workloadchecks

import (
	_ "embed"
	"fmt"
	"math"
	"strings"
)

// typeTable describes the Go types of the API, which would add a fifth to the
// program if they were linked.
//
//go:embed schema_types.tsv
var typeTable string

// apiTypes are the types of the API by their Go names, such as
// k8s.io/api/core/v1.Pod.
type apiTypes struct {
	kinds  map[string][]kindList // by group/version
	groups map[string]bool
	// fields are those of each struct as they stand in the table.
	fields map[string]string
	shapes map[string]*shape

	required map[string][]string // fields of structs
	enums    map[string][]string // values of strings
}

// kindList names the kinds whose types are in one package.
type kindList struct {
	pkg   string
	kinds string // with blanks between them
}

func readTypes() (*apiTypes, error) {
	t := &apiTypes{
		kinds: map[string][]kindList{}, groups: map[string]bool{},
		fields: make(map[string]string, len(typeTable)/150), shapes: map[string]*shape{},
		required: map[string][]string{}, enums: map[string][]string{},
	}
	number := 0
	for line := range strings.Lines(typeTable) {
		number++
		if line[0] == '#' {
			continue
		}
		kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		name, fields, _ := strings.Cut(rest, "\t")
		switch kind {
		case "struct":
			t.fields[name] = fields
		case "kinds":
			pkg, kinds, _ := strings.Cut(fields, "\t")
			t.kinds[name] = append(t.kinds[name], kindList{pkg, kinds})
			group, _, named := strings.Cut(name, "/")
			if !named {
				group = "" // the core API's is v1 alone
			}
			t.groups[group] = true
		default:
			return nil, fmt.Errorf("schema_types.tsv:%d: %q is neither struct nor kinds", number, kind)
		}
	}
	return t, nil
}

// kind returns the type of a kind, "" when the API has none.
func (t *apiTypes) kind(apiVersion, kind string) string {
	for _, l := range t.kinds[apiVersion] {
		for k := range strings.SplitSeq(l.kinds, " ") {
			if k == kind {
				return l.pkg + "." + kind
			}
		}
	}
	return ""
}

// shape is what a Go type demands of a value.
type shape struct {
	form     form
	fields   map[string]*shape
	required []string
	elem     *shape // of a list or map
	low, top int64  // of an int
	enum     []string
}

type form uint8

const (
	anything form = iota
	structure
	mapping
	list
	text
	boolean
	integral
	decimal
	binary      // base64
	quantity    // resource.Quantity
	intOrString // intstr.IntOrString
	moment      // metav1.Time and MicroTime
	duration    // metav1.Duration
	object      // a map of whatever
)

// scalars are the shapes that have a name of their own in the table.
var scalars = map[string]shape{
	"any":         {form: anything},
	"object":      {form: object},
	"string":      {form: text},
	"bool":        {form: boolean},
	"int32":       {form: integral, low: math.MinInt32, top: math.MaxInt32},
	"int64":       {form: integral, low: math.MinInt64, top: math.MaxInt64},
	"uint":        {form: integral, low: 0, top: math.MaxInt64},
	"float":       {form: decimal},
	"bytes":       {form: binary},
	"quantity":    {form: quantity},
	"intOrString": {form: intOrString},
	"time":        {form: moment},
	"duration":    {form: duration},
}

// shape returns the shape of a type, made once. A type is written as [] and its
// elements' type, {} and its values' type, the name of a scalar, the name of a
// struct, or string= and the name of a type of strings.
func (t *apiTypes) shape(of string) *shape {
	if s := t.shapes[of]; s != nil {
		return s
	}
	s := &shape{}
	t.shapes[of] = s
	if elem, ok := strings.CutPrefix(of, "[]"); ok {
		s.form, s.elem = list, t.shape(elem)
		return s
	}
	if elem, ok := strings.CutPrefix(of, "{}"); ok {
		s.form, s.elem = mapping, t.shape(elem)
		return s
	}
	if name, ok := strings.CutPrefix(of, "string="); ok {
		s.form, s.enum = text, t.enums[name]
		return s
	}
	if scalar, ok := scalars[of]; ok {
		*s = scalar
		return s
	}
	s.form, s.fields, s.required = structure, map[string]*shape{}, t.required[of]
	pkg := of[:strings.LastIndexByte(of, '.')]
	for field := range strings.FieldsSeq(t.fields[of]) {
		name, typ, _ := strings.Cut(field, ":")
		s.fields[name] = t.shape(absolute(typ, pkg))
	}
	return s
}

// absolute completes a type's name that begins with a dot, which stands for
// the package it is used in.
func absolute(typ, pkg string) string {
	at := strings.LastIndexAny(typ, "]}=") + 1
	if strings.HasPrefix(typ[at:], ".") {
		return typ[:at] + pkg + typ[at:]
	}
	return typ
}
