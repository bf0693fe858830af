package workloadchecks

import (
	"encoding/json"
	goflag "flag"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
)

var update = goflag.Bool("update", false, "write schema_types.tsv")

const typesHead = `# The kinds of Kubernetes' API and the fields of their Go types, separated by tabs:
#   kinds   GROUP/VERSION   PACKAGE   KIND...
#   struct  PACKAGE.TYPE    FIELD:TYPE...
# A type that begins with a dot is of the same package.
#
# Made from the types that k8s.io/client-go and k8s.io/apiextensions-apiserver
# in go.mod register, by
#   go test ./checks/workload -run TestTypes -update
`

// TestTypesAreThoseOfGo compares the table with the Go types.
func TestTypesAreThoseOfGo(t *testing.T) {
	w := typeWriter{structs: map[string]string{}}
	kinds := map[string][]string{}
	for gvk, typ := range goKinds(t) {
		if gvk.Version == runtime.APIVersionInternal {
			continue
		}
		if typ.Name() != gvk.Kind {
			t.Errorf("%s is of type %s", gvk, typ)
		}
		key := gvk.GroupVersion().String() + "\t" + typ.PkgPath()
		kinds[key] = append(kinds[key], gvk.Kind)
		w.typ(typ)
	}
	var b strings.Builder
	b.WriteString(typesHead)
	for _, key := range slices.Sorted(maps.Keys(kinds)) {
		slices.Sort(kinds[key])
		b.WriteString("kinds\t" + key + "\t" + strings.Join(kinds[key], " ") + "\n")
	}
	for _, name := range slices.Sorted(maps.Keys(w.structs)) {
		b.WriteString("struct\t" + name + "\t" + w.structs[name] + "\n")
	}
	if *update {
		if err := os.WriteFile("schema_types.tsv", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(typeTable, b.String()); diff != "" {
		t.Errorf("schema_types.tsv differs from the Go types, run with -update\n%s", diff)
	}
}

func goKinds(t *testing.T) map[schema.GroupVersionKind]reflect.Type {
	t.Helper()
	kinds := maps.Clone(scheme.Scheme.AllKnownTypes())
	maps.DeleteFunc(kinds, func(gvk schema.GroupVersionKind, _ reflect.Type) bool { return gvk.Group == apiextensionsv1.GroupName }) // as another test may have added them
	kinds[apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition")] = reflect.TypeFor[apiextensionsv1.CustomResourceDefinition]()
	kinds[apiextensionsv1beta1.SchemeGroupVersion.WithKind("CustomResourceDefinition")] = reflect.TypeFor[apiextensionsv1beta1.CustomResourceDefinition]()
	return kinds
}

// typeWriter writes the types that are reached.
type typeWriter struct{ structs map[string]string }

func (w typeWriter) typ(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[resource.Quantity]():
		return "quantity"
	case reflect.TypeFor[intstr.IntOrString]():
		return "intOrString"
	case reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.MicroTime]():
		return "time"
	case reflect.TypeFor[metav1.Duration]():
		return "duration"
	case reflect.TypeFor[runtime.RawExtension]():
		return "object"
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return "any"
	}
	switch t.Kind() {
	case reflect.Struct:
		return w.structure(t)
	case reflect.Map:
		return "{}" + w.typ(t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "[]" + w.typ(t.Elem())
	case reflect.String:
		if t.PkgPath() != "" {
			return "string=" + goName(t)
		}
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Int32:
		return "int32"
	case reflect.Int64, reflect.Int:
		return "int64"
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "uint"
	case reflect.Float32, reflect.Float64:
		return "float"
	default:
		return "any"
	}
}

func goName(t reflect.Type) string { return t.PkgPath() + "." + t.Name() }

func (w typeWriter) structure(t reflect.Type) string {
	name := goName(t)
	if _, known := w.structs[name]; known {
		return name
	}
	w.structs[name] = "" // types may hold themselves
	fields := map[string]string{}
	w.fields(fields, t)
	var list []string
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		list = append(list, field+":"+strings.Replace(fields[field], t.PkgPath()+".", ".", 1))
	}
	w.structs[name] = strings.Join(list, " ")
	return name
}

// fields adds the fields of a struct, those of embedded ones as its own.
func (w typeWriter) fields(to map[string]string, t reflect.Type) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "":
			inner := f.Type
			for inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			w.fields(to, inner)
		case name != "" && f.IsExported():
			to[name] = w.typ(f.Type)
		}
	}
}
