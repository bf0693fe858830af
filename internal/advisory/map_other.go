//go:build !unix || solaris || aix

package advisory

import (
	"io"
	"os"
)

// mapFile reads n bytes of a file, where mapping is not to be had.
func mapFile(f *os.File, n int) ([]byte, func() error, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(f, b)
	return b, func() error { return nil }, err
}

// lockFile does nothing where there are no locks: whoever updates a database
// twice at once there loads it twice.
func lockFile(*os.File) error { return nil }
