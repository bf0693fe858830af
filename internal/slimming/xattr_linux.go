package slimming

import (
	"archive/tar"
	"syscall"
)

// addCapability adds the capabilities of a program in a folder, which no tar
// header of the file system's has.
func addCapability(h *tar.Header, file string) {
	var buf [64]byte // struct vfs_ns_cap_data has 24 bytes
	n, err := syscall.Getxattr(file, "security.capability", buf[:])
	if err != nil || n <= 0 {
		return
	}
	if h.PAXRecords == nil {
		h.PAXRecords = map[string]string{}
	}
	h.PAXRecords[xattr+"security.capability"] = string(buf[:n])
}
