// Package config writes the configuration files of a lab cluster's programs.
// It turns values into text and touches neither disk nor network.
//
// What Kubernetes reads as YAML is written as JSON, which every YAML reader
// accepts: nothing needs quoting by hand, whatever a path contains.
package config

import (
	"encoding/json"
	"fmt"
)

// object is a JSON object whose keys the reader of the file defines.
type object = map[string]any

func encode(what string, o any) ([]byte, error) {
	out, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", what, err)
	}
	return append(out, '\n'), nil
}
