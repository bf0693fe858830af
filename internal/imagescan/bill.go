package imagescan

import (
	"fmt"
	"io"
	"time"

	"seawall.io/seawall/internal/image"
	"seawall.io/seawall/internal/oci"
	"seawall.io/seawall/internal/sbom"
)

// FromBill judges what a bill of materials lists as if it had been read from
// the image. Files are not known: only packages are judged.
func FromBill(file string, data []byte, o Options) (*Result, error) {
	doc, err := sbom.Read(data)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller names the file
	}
	r := &Result{Source: oci.Source{Kind: "sbom", Path: file}, Inventory: doc.Inventory}
	for _, digest := range doc.Layers {
		r.layers = append(r.layers, layerInfo{digest: digest})
	}
	for _, p := range doc.Problems {
		r.hole("", p)
	}
	if r.Tree, err = image.Merge(nil); err != nil {
		return nil, err //nolint:wrapcheck // no layers: it cannot fail
	}
	r.judge(&o)
	r.describe(&o)
	r.Description.Digest = doc.Digest
	return r, nil
}

// WriteBill writes the bill of materials of a scanned image. created is the time
// to write into it; version is Seawall's.
func (r *Result) WriteBill(w io.Writer, format sbom.Format, version string, created time.Time) error {
	doc := sbom.Document{
		Name: r.Name(), Digest: r.Description.Digest, Created: created, Tool: "seawall", ToolVersion: version, Inventory: r.Inventory,
	}
	for _, l := range r.layers {
		doc.Layers = append(doc.Layers, l.digest)
	}
	if err := sbom.Write(w, format, doc); err != nil {
		return fmt.Errorf("the bill of materials of %s: %w", r.Name(), err)
	}
	return nil
}
