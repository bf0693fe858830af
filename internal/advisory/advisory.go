// Package advisory is the vulnerability database: one file, built from the feeds
// of those who publish flaws, opened by mapping it into memory, and asked as
// [vuln.Database] by any number of goroutines and processes at once.
//
// [Build] reads feeds from files and folders, telling each format by its content:
// OSV, Debian's security tracker, the secdb of Alpine, Wolfi and Chainguard,
// CSAF and VEX of Red Hat, CISA's KEV and vulnrichment, EPSS, and dates of
// support. [Fetch] brings the feeds from their official addresses. [Open] opens
// a database, [Update] brings a newer one, of which it loads only what changed.
//
// # The file
//
// All numbers are little endian. A file is a head, then sections in the order of
// the head's table, each at a multiple of eight bytes, with zeros between.
//
//	head      magic, version, sizes, time of building, key id
//	          table: of each section its kind, name, place, length and SHA-256
//	          Ed25519 signature over all of the head before it; zeros if unsigned
//	meta      JSON: sources, counts, what is missing
//	match     one for each family of ecosystems (Debian, npm): what matching needs
//	extra     EPSS, KEV, CVSS and CWEs of CVEs, by number
//	releases  until when releases of distributions are supported
//	prose     one for each family, compressed: summaries, details, references
//
// As the head holds the hashes of all sections, its signature speaks for the
// whole file, and it is all that an update needs to know what changed. Sections
// stand alone: none refers to another.
//
// # Trust
//
// Whatever bytes a file holds, reading it neither panics nor runs off. Each
// lookup checks the checksum of what it reads. That finds rot; only a signature
// finds intent. An unsigned database opens all the same, and [Status] says so.
package advisory

import (
	"errors"
	"fmt"
)

// The errors that callers tell apart.
var (
	// ErrFormat is in errors on files that are no database, or of another version.
	ErrFormat = errors.New("not a database of this version")
	// ErrCorrupt is in errors on databases whose content contradicts itself.
	ErrCorrupt = errors.New("database is damaged")
	// ErrSignature is in errors on databases that are not signed by the given key.
	ErrSignature = errors.New("signature does not hold")
)

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
}
