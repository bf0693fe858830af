// Package sbom writes an inventory as a bill of materials and reads bills of
// materials as an inventory: CycloneDX 1.6 and SPDX 2.3 in JSON. It is for
// whoever hands an inventory on and wants to judge it later: what is written
// here and read back is the same inventory, down to source packages, owners and
// linked functions, so that an image and its bill have the same findings. Bills
// of other tools are read as far as they tell; what cannot be used is named.
//
// It does not read XML, tag-value files or SPDX 3.
package sbom

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"seawall.io/seawall/internal/inventory"
)

// Format is a format of bills of materials.
type Format uint8

// The formats that are written and read.
const (
	CycloneDX Format = iota + 1 // 1.6 is written; all versions in JSON are read
	SPDX                        // 2.3 is written; 2.2 and 2.3 are read
)

// String is cyclonedx-json or spdx-json.
func (f Format) String() string {
	switch f {
	case CycloneDX:
		return "cyclonedx-json"
	case SPDX:
		return "spdx-json"
	}
	return "unknown"
}

// Document is a bill of materials.
type Document struct {
	// Name is what the inventory was taken of: an image's reference, a folder.
	Name string
	// Digest of the image (sha256:...), empty for what is none.
	Digest string
	// Layers are the digests of the layers of the image, from the lowest.
	Layers []string
	// Created is the time to write into the document; where builds are to be
	// reproduced, SOURCE_DATE_EPOCH. SPDX demands one. Whole seconds are kept.
	Created time.Time
	// Tool and ToolVersion say who made the document.
	Tool, ToolVersion string
	Inventory         inventory.Inventory

	// Problems say what of a document that was read could not be used: the
	// packages in question are not in the inventory, and not known to be fine.
	// They are not written.
	Problems []string
}

// Sentinels for documents that Read refuses as a whole.
var (
	// ErrFormat says that data is in no format that Read knows.
	ErrFormat = errors.New("not a bill of materials in JSON (CycloneDX, or SPDX 2)")
	// ErrXML says that data is XML.
	ErrXML = errors.New("bills of materials in XML are not read: convert it to JSON")
)

// Write writes a document. The same document is written the same way each time.
// Text that is not valid UTF-8 is kept for Read, and shown with U+FFFD.
func Write(w io.Writer, format Format, doc Document) error {
	var (
		data []byte
		err  error
	)
	switch format {
	case CycloneDX:
		data, err = encodeCycloneDX(&doc)
	case SPDX:
		data, err = encodeSPDX(&doc)
	default:
		return fmt.Errorf("writing a bill of materials: there is no format %d", format)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", format, err)
	}
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("writing %s: %w", format, err)
	}
	return nil
}

// Read reads a document, or the one inside an in-toto statement. The caller
// bounds the size of data; memory and time are linear in it. Lists that are
// empty come back as nil.
func Read(data []byte) (Document, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("<")) {
		return Document{}, ErrXML
	}
	var head struct {
		BOMFormat     string          `json:"bomFormat"`
		SPDXVersion   string          `json:"spdxVersion"`
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return Document{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if head.PredicateType != "" && len(head.Predicate) > 0 {
		data = head.Predicate
		head.BOMFormat, head.SPDXVersion = "", ""
		if err := json.Unmarshal(data, &head); err != nil {
			return Document{}, fmt.Errorf("predicate: %w: %w", ErrFormat, err)
		}
	}
	switch {
	case head.BOMFormat == "CycloneDX":
		return decodeCycloneDX(data)
	case head.SPDXVersion == "SPDX-2.2", head.SPDXVersion == "SPDX-2.3":
		return decodeSPDX(data)
	case head.SPDXVersion != "":
		return Document{}, fmt.Errorf("%w: %.40q is another version", ErrFormat, head.SPDXVersion)
	}
	return Document{}, ErrFormat
}
