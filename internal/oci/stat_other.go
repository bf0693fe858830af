//go:build !unix

package oci

import "io/fs"

const nonblock = 0

// identify knows nothing here: every file is its own.
func identify(fs.FileInfo) inode { return inode{links: 1} }
