package probe

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// kernelVersion returns 6, 18 for 6.18.44-fc.
func kernelVersion(release string) (major, minor int) {
	head, rest, _ := strings.Cut(release, ".")
	major, _ = strconv.Atoi(head)
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	minor, _ = strconv.Atoi(rest[:end])
	return major, minor
}

// overlayLower tells the programs how overlayfs remembers the image's own file
// behind its inode: a pointer to that inode before 6.5, an ovl_entry since.
// overlayfs is often a module, whose types the programs' relocation does not see.
func overlayLower() uint32 {
	if major, minor := kernelVersion(kernelRelease()); major > 6 || major == 6 && minor >= 5 {
		return 2
	}
	return 1
}
