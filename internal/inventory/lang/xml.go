package lang

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"seawall.io/seawall/internal/inventory"
)

// Limits of an XML text, far beyond any manifest.
const (
	xmlDepth    = 64
	xmlElements = 200_000
)

// element is an element of XML, without namespaces: manifests use but one.
type element struct {
	name string
	attr []xml.Attr
	text string // trimmed; of an element with children, what stands around them
	line int
	kids []*element
}

// parseXML reads the outermost element of a file. Entities that the file defines
// are refused by encoding/xml, so that nothing grows.
func parseXML(f inventory.File) (*element, error) {
	d := xml.NewDecoder(bytes.NewReader(text(f.Body)))
	d.CharsetReader = charset
	top := &element{}
	open := []*element{top}
	for count := 0; ; {
		line, _ := d.InputPos() // of what begins with the next token
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading XML: %w", err)
		}
		at := open[len(open)-1]
		switch token := token.(type) {
		case xml.StartElement:
			if count++; count > xmlElements || len(open) > xmlDepth {
				return nil, fmt.Errorf("reading XML: line %d: more than %d elements, or deeper than %d", line, xmlElements, xmlDepth)
			}
			kid := &element{name: token.Name.Local, attr: token.Copy().Attr, line: line}
			at.kids = append(at.kids, kid)
			open = append(open, kid)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if s := strings.TrimSpace(string(token)); at.text == "" {
				at.text = s
			}
		}
	}
	if len(top.kids) == 0 {
		return nil, errNoElement
	}
	return top.kids[0], nil
}

var errNoElement = errors.New("reading XML: no element")

// get returns the first child of a name. It takes nil, and returns nil if there
// is none.
func (e *element) get(name string) *element {
	if e != nil {
		for _, kid := range e.kids {
			if kid.name == name {
				return kid
			}
		}
	}
	return nil
}

// all returns the children of a name.
func (e *element) all(name string) []*element {
	var found []*element
	if e != nil {
		for _, kid := range e.kids {
			if kid.name == name {
				found = append(found, kid)
			}
		}
	}
	return found
}

// value returns the text of the first child of a name.
func (e *element) value(name string) string {
	if kid := e.get(name); kid != nil {
		return kid.text
	}
	return ""
}

// attribute returns an attribute, whose name may differ in case as MSBuild
// allows.
func (e *element) attribute(name string) string {
	for _, a := range e.attr {
		if strings.EqualFold(a.Name.Local, name) {
			return a.Value
		}
	}
	return ""
}

// charset reads the encodings in which the names that matter here are ASCII.
// text has turned UTF-16 into UTF-8 before.
func charset(label string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "utf-16", "us-ascii", "ascii":
		return in, nil
	case "iso-8859-1", "iso-8859-15", "windows-1252", "latin1", "cp1252":
		all, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		runes := make([]rune, len(all))
		for i, c := range all {
			runes[i] = rune(c)
		}
		return strings.NewReader(string(runes)), nil
	}
	return nil, fmt.Errorf("unknown encoding %q", clip(label))
}
