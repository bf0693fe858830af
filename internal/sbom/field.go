package sbom

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"seawall.io/seawall/internal/inventory"
)

// Neither format has a place for all that an inventory knows. What a reader of
// the document would not find out from the format's own fields is put into
// properties, and only that: the document is small, and whatever the fields
// become, the properties make up for the difference.

// prefix begins the names of properties of ours.
const prefix = "seawall:"

// binary ends the names of properties whose text is in base64 because it is not
// UTF-8, which JSON cannot carry.
const binary = ":base64"

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// field is one field of a T, with a pointer to it.
type field[T any] struct {
	name string
	of   func(*T) any
}

//nolint:gochecknoglobals // constant tables
var (
	packageFields = []field[inventory.Package]{
		{"type", func(p *inventory.Package) any { return (*string)(&p.Type) }},
		{"name", func(p *inventory.Package) any { return &p.Name }},
		{"version", func(p *inventory.Package) any { return &p.Version }},
		{"arch", func(p *inventory.Package) any { return &p.Arch }},
		{"source:name", func(p *inventory.Package) any { return &p.Source.Name }},
		{"source:version", func(p *inventory.Package) any { return &p.Source.Version }},
		{"vendor", func(p *inventory.Package) any { return &p.Vendor }},
		{"module", func(p *inventory.Package) any { return &p.Module }},
		{"path", func(p *inventory.Package) any { return &p.Path }},
		{"evidence", func(p *inventory.Package) any { return &p.Evidence }},
		{"dev", func(p *inventory.Package) any { return &p.Dev }},
		{"essential", func(p *inventory.Package) any { return &p.Essential }},
		{"licenses", func(p *inventory.Package) any { return &p.Licenses }},
		{"depends", func(p *inventory.Package) any { return &p.Depends }},
		{"line", func(p *inventory.Package) any { return &p.Line }},
		{"size", func(p *inventory.Package) any { return &p.Size }},
		{"layer", func(p *inventory.Package) any { return &p.Layer }},
		{"owner", func(p *inventory.Package) any { return &p.Owner }},
	}
	goFields = []field[inventory.GoModule]{
		{"go:os", func(g *inventory.GoModule) any { return &g.GOOS }},
		{"go:arch", func(g *inventory.GoModule) any { return &g.GOARCH }},
		{"go:main", func(g *inventory.GoModule) any { return &g.Main }},
		{"go:replaced", func(g *inventory.GoModule) any { return &g.Replaced }},
		{"go:functions", func(g *inventory.GoModule) any { return &g.Functions }},
		{"go:known", func(g *inventory.GoModule) any { return &g.Known }},
	}
	distroFields = []field[inventory.Distro]{
		{"distro:id", func(d *inventory.Distro) any { return &d.ID }},
		{"distro:like", func(d *inventory.Distro) any { return &d.Like }},
		{"distro:version", func(d *inventory.Distro) any { return &d.Version }},
		{"distro:codename", func(d *inventory.Distro) any { return &d.Codename }},
		{"distro:name", func(d *inventory.Distro) any { return &d.Name }},
		{"distro:path", func(d *inventory.Distro) any { return &d.Path }},
	}
	documentFields = []field[Document]{
		{"name", func(d *Document) any { return &d.Name }},
		{"digest", func(d *Document) any { return &d.Digest }},
		{"layers", func(d *Document) any { return &d.Layers }},
		{"created", func(d *Document) any { return &d.Created }},
		{"tool", func(d *Document) any { return &d.Tool }},
		{"tool:version", func(d *Document) any { return &d.ToolVersion }},
	}
)

// goModule is the property that says that a package has Go facts at all.
const goModule = prefix + "go"

// difference gives the properties that turn guess into have.
func difference[T any](fields []field[T], have, guess *T) []property {
	var out []property
	for _, f := range fields {
		a, b := encodeField(f.of(have)), encodeField(f.of(guess))
		if a == b {
			continue
		}
		a.Name = prefix + f.name + a.Name
		out = append(out, a)
	}
	return out
}

func packageDifference(have, guess *inventory.Package) []property {
	out := difference(packageFields, have, guess)
	if have.Go == nil {
		return out
	}
	out = append(out, property{goModule, "true"})
	return append(out, difference(goFields, have.Go, new(inventory.GoModule))...)
}

// apply sets the field that a property names. Properties of others, and of
// later versions of ours, are left alone.
func apply[T any](fields []field[T], v *T, p property) error {
	name, ok := strings.CutPrefix(p.Name, prefix)
	if !ok {
		return nil
	}
	name, coded := strings.CutSuffix(name, binary)
	for _, f := range fields {
		if f.name != name {
			continue
		}
		if err := decodeField(f.of(v), p.Value, coded); err != nil {
			return fmt.Errorf("property %s: %w", p.Name, err)
		}
	}
	return nil
}

func applyPackage(v *inventory.Package, p property) error {
	if strings.HasPrefix(p.Name, goModule) {
		if v.Go == nil {
			v.Go = new(inventory.GoModule)
		}
		return apply(goFields, v.Go, p)
	}
	return apply(packageFields, v, p)
}

//nolint:gochecknoglobals // constant table
var evidence = [...]string{
	inventory.Installed: "installed", inventory.Locked: "locked",
	inventory.Declared: "declared", inventory.Guessed: "guessed",
}

// encodeField is the text of a field; its name is what the property's name ends
// with.
func encodeField(at any) property {
	switch v := at.(type) {
	case *string:
		if !utf8.ValidString(*v) {
			return property{binary, base64.StdEncoding.EncodeToString([]byte(*v))}
		}
		return property{"", *v}
	case *bool:
		return property{"", strconv.FormatBool(*v)}
	case *int:
		return property{"", strconv.Itoa(*v)}
	case *int64:
		return property{"", strconv.FormatInt(*v, 10)}
	case *inventory.Evidence:
		if int(*v) < len(evidence) {
			return property{"", evidence[*v]}
		}
		return property{"", strconv.Itoa(int(*v))}
	case *[]string:
		return encodeList(*v)
	case *time.Time:
		if v.IsZero() {
			return property{}
		}
		return property{"", v.UTC().Format(time.RFC3339)}
	}
	panic(fmt.Sprintf("a field of type %T has no text", at)) // the tables above are all there is
}

// encodeList writes a list as JSON.
func encodeList(list []string) property {
	end := ""
	for _, s := range list {
		if !utf8.ValidString(s) {
			end = binary
		}
	}
	if end != "" {
		list = slices.Clone(list)
		for i, s := range list {
			list[i] = base64.StdEncoding.EncodeToString([]byte(s))
		}
	}
	if len(list) == 0 {
		return property{end, "[]"}
	}
	b, err := json.Marshal(list)
	if err != nil {
		panic(err) // strings can always be written
	}
	return property{end, string(b)}
}

func decodeField(at any, text string, coded bool) error {
	var err error
	switch v := at.(type) {
	case *string:
		*v, err = decodeText(text, coded)
	case *bool:
		*v, err = strconv.ParseBool(text)
	case *int:
		*v, err = strconv.Atoi(text)
	case *int64:
		*v, err = strconv.ParseInt(text, 10, 64)
	case *inventory.Evidence:
		*v, err = decodeEvidence(text)
	case *[]string:
		*v, err = decodeList(text, coded)
	case *time.Time:
		if *v = (time.Time{}); text != "" {
			*v, err = time.Parse(time.RFC3339, text)
		}
	}
	return err
}

func decodeText(text string, coded bool) (string, error) {
	if !coded {
		return text, nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	return string(b), err
}

func decodeEvidence(text string) (inventory.Evidence, error) {
	if i := slices.Index(evidence[:], text); i >= 0 {
		return inventory.Evidence(i), nil //nolint:gosec // an index of a table of four
	}
	n, err := strconv.ParseUint(text, 10, 8)
	return inventory.Evidence(n), err
}

func decodeList(text string, coded bool) ([]string, error) {
	var list []string
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, err
	}
	for i := range list {
		s, err := decodeText(list[i], coded)
		if err != nil {
			return nil, err
		}
		list[i] = s
	}
	if len(list) == 0 {
		return nil, nil
	}
	return list, nil
}

// shown is text as a document can show it.
func shown(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
