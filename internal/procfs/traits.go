package procfs

import (
	"fmt"
	"os"
	"syscall"

	"seawall.io/seawall"
)

// Types of file systems, as statfs(2) has them.
const (
	procMagic    = 0x9fa0
	cgroup2Magic = 0x63677270
	cgroup1Magic = 0x27e0eb
)

// traits tells what is known of a file. Whether it lies in a container's writable
// layer is not to be seen from outside the kernel.
func traits(path string) (seawall.FileTraits, error) {
	info, err := os.Stat(path)
	if err != nil {
		return seawall.FileTraits{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return seawall.FileTraits{}, fmt.Errorf("stat of %s says nothing", path)
	}
	t := seawall.FileTraits{
		Inode: st.Ino, Dev: device(st.Dev), Mode: st.Mode, UID: st.Uid,
		SetUID: st.Mode&syscall.S_ISUID != 0, SetGID: st.Mode&syscall.S_ISGID != 0,
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(path, &fs); err != nil {
		return t, err
	}
	t.FS = seawall.FileSystemName(uint32(fs.Type)) //nolint:gosec // these numbers have 32 bits
	return t, nil
}

// device turns the number of a device as stat(2) has it into that of the kernel's
// own structures and events: 12 bits major, 20 bits minor.
func device(dev uint64) uint32 {
	major := dev>>8&0xfff | dev>>32&^0xfff
	minor := dev&0xff | dev>>12&^0xff
	return uint32(major<<20 | minor&0xfffff) //nolint:gosec // 32 bits by the masks
}
