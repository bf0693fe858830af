package binary

import (
	"bytes"
	"compress/zlib"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"seawall.io/seawall/internal/inventory"
)

// Limits on cargo-auditable's data, which is some KB in practice.
const (
	maxAuditable = 1 << 20 // compressed
	maxCrates    = 8 << 20 // inflated, the limit of cargo-auditable's own reader
)

// readAuditable reads what cargo-auditable noted: zlib data of a JSON document
// that names the crates (https://github.com/rust-secure-code/cargo-auditable,
// PARSING.md). Crates that only build scripts need are not in the program and
// are left out. Crates of the program's own workspace are not: some of them are
// published, and have advisories.
func readAuditable(b []byte, path string) ([]inventory.Package, error) {
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("inflating: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(z, maxCrates+1))
	if err != nil {
		return nil, fmt.Errorf("inflating: %w", err)
	}
	if len(text) > maxCrates {
		return nil, fmt.Errorf("more than %d bytes when inflated", maxCrates)
	}
	var doc struct {
		Packages []struct {
			Name, Version, Kind string
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("its JSON: %w", err)
	}
	if len(doc.Packages) == 0 {
		return nil, errors.New("it names no crates")
	}
	var out []inventory.Package
	for _, c := range doc.Packages {
		if c.Kind == "build" || c.Name == "" {
			continue
		}
		out = append(out, inventory.Package{
			Type: inventory.Cargo, Name: c.Name, Version: c.Version, Path: path,
		})
	}
	return out, nil
}
