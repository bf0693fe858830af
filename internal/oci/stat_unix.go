//go:build unix

package oci

import (
	"io/fs"
	"syscall"
)

// nonblock keeps a pipe that took a file's place from blocking who opens it.
const nonblock = syscall.O_NONBLOCK

func identify(info fs.FileInfo) inode {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return inode{links: 1}
	}
	// The fields have other sizes on other systems.
	return inode{dev: uint64(st.Dev), ino: st.Ino, links: uint64(st.Nlink)} //nolint:unconvert // see above
}
