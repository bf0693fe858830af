package check

import (
	"fmt"

	"seawall.io/seawall/internal/document"
)

// Framework is a benchmark as a view over the checks.
type Framework struct {
	ID       string
	Title    string
	Version  string
	Source   string
	Controls []Control
}

// Control is one demand of a framework.
type Control struct {
	ID    string
	Title string
	// Checks decide the control. Where none can, Reason says why.
	Checks []string
	Reason string
}

// ParseFramework reads a framework's file. name is used in errors.
func ParseFramework(name string, text []byte) (*Framework, error) {
	docs := document.Parse(text, document.Limits{})
	if len(docs) != 1 || docs[0].Err != nil || docs[0].Root == nil {
		if len(docs) == 1 && docs[0].Err != nil {
			return nil, fmt.Errorf("%s: %w", name, docs[0].Err)
		}
		return nil, fmt.Errorf("%s: want one YAML document", name)
	}
	f := &Framework{}
	for _, field := range docs[0].Root.Map() {
		v := field.Value
		switch field.Key {
		case "id":
			f.ID = v.Str()
		case "title":
			f.Title = v.Str()
		case "version":
			f.Version = v.Str()
		case "source":
			f.Source = v.Str()
		case "controls":
			for _, item := range v.List() {
				c, err := parseControl(item)
				if err != nil {
					return nil, fmt.Errorf("%s: line %d: %w", name, item.Pos.Line, err)
				}
				f.Controls = append(f.Controls, c)
			}
		default:
			return nil, fmt.Errorf("%s: line %d: unknown field %q", name, field.Pos.Line, field.Key)
		}
	}
	if f.ID == "" || f.Title == "" || len(f.Controls) == 0 {
		return nil, fmt.Errorf("%s: want id, title and controls", name)
	}
	return f, nil
}

func parseControl(item *document.Node) (Control, error) {
	var c Control
	for _, field := range item.Map() {
		switch field.Key {
		case "id":
			c.ID = field.Value.Str()
		case "title":
			c.Title = field.Value.Str()
		case "reason":
			c.Reason = field.Value.Str()
		case "checks":
			list, err := stringList(field.Value)
			if err != nil {
				return c, fmt.Errorf("checks: %w", err)
			}
			c.Checks = list
		default:
			return c, fmt.Errorf("unknown field %q", field.Key)
		}
	}
	if c.ID == "" || c.Title == "" {
		return c, fmt.Errorf("want id and title, both strings (quote numbers)")
	}
	if len(c.Checks) == 0 && c.Reason == "" {
		return c, fmt.Errorf("control %s: want checks, or a reason why none decides it", c.ID)
	}
	return c, nil
}
