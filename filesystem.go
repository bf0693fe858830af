package seawall

import "fmt"

// FileSystemName names a type of file system by the number that statfs(2) has for it,
// as events do: overlay, tmpfs. A number that the table does not know is written in
// hexadecimal; 0 is none.
func FileSystemName(magic uint32) string {
	switch magic {
	case 0:
		return ""
	case 0x794c7630:
		return "overlay"
	case 0x01021994:
		return "tmpfs"
	case 0x858458f6:
		return "ramfs"
	case 0xef53:
		return "ext4"
	case 0x58465342:
		return "xfs"
	case 0x9123683e:
		return "btrfs"
	case 0x2fc12fc1:
		return "zfs"
	case 0x73717368:
		return "squashfs"
	case 0xe0f5e1e2:
		return "erofs"
	case 0x6969:
		return "nfs"
	case 0x65735546:
		return "fuse"
	case 0x9fa0:
		return "proc"
	case 0x62656572:
		return "sysfs"
	case 0x63677270:
		return "cgroup2"
	case 0x27e0eb:
		return "cgroup"
	case 0x6e736673:
		return "nsfs"
	case 0xcafe4a11:
		return "bpf"
	case 0x74726163:
		return "tracefs"
	case 0x64626720:
		return "debugfs"
	case 0x1cd1:
		return "devpts"
	case 0x50495045:
		return "pipe"
	case 0x534f434b:
		return "socket"
	case 0x19800202:
		return "mqueue"
	case 0x958458f6:
		return "hugetlbfs"
	}
	return fmt.Sprintf("%#x", magic)
}
