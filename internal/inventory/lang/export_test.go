package lang

import "seawall.io/seawall/internal/inventory"

// TOML returns what a TOML text says as Go values.
func TOML(body []byte) (any, error) {
	root, err := parseTOML(inventory.File{Body: body})
	return root.Value(), err
}

// PlainJSON is plainJSON.
func PlainJSON(body []byte) []byte { return plainJSON(body) }
