/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What the programs say of files: their paths, and where they come from. */
#pragma once

#include "event.h"

/* Names from the file upwards, each ended by a zero byte: internal/probe joins them
 * the other way round. PATH_SPACE is what they may take, NAME_SPACE the longest name. */
#define PATH_SPACE 1024
#define NAME_SPACE 256
#define PATH_DEPTH 40

struct pathname {
	u16 len;
	u8 truncated;
	u8 detached; /* the walk ended elsewhere than at the task's root */
	u32 pad;
	u8 names[PATH_SPACE + NAME_SPACE];
};

/* Set by the loader: how overlayfs keeps what it knows of the image's own file.
 * 0: unknown, 1: a pointer to the lower inode, 2: an ovl_entry (6.5 and later). */
const volatile u32 overlay_lower = 0;

#define TRAIT_UPPER 1
#define TRAIT_LOWER 2
#define TRAIT_MEMFD 4
#define TRAIT_DELETED 8
#define TRAIT_VOLUME 16 /* on another mount than the task's root */

struct traits {
	u64 inode;
	u32 dev;
	u32 magic;
	u32 mode;
	u32 uid;
	u32 flags;
	u32 rdev;
};

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
	return (struct mount *)((void *)mnt - bpf_core_field_offset(struct mount, mnt));
}

/* Writes the path of a dentry in the root of task t. It is a walk up the kernel's
 * own tree: no string of the process is read, so nothing can change it in between. */
static __noinline int write_path(struct pathname *out, struct task_struct *t, struct vfsmount *vfs, struct dentry *d)
{
	struct dentry *root = NULL;
	struct vfsmount *root_mnt = NULL;
	struct fs_struct *fs = BPF_CORE_READ(t, fs);
	if (fs) {
		root = BPF_CORE_READ(fs, root.dentry);
		root_mnt = BPF_CORE_READ(fs, root.mnt);
	}
	struct mount *m = mount_of(vfs);
	out->truncated = 1;
	out->detached = 0;
	out->pad = 0;
	/* The length lives in the record: the verifier knows nothing of what is read back
	 * from there, so all ways through one round look alike to it and it follows one. */
	volatile u16 *space = &out->len;
	*space = 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < PATH_DEPTH; i++) {
		if (d == root && vfs == root_mnt) {
			out->truncated = 0;
			break;
		}
		struct dentry *parent = BPF_CORE_READ(d, d_parent);
		struct dentry *top = BPF_CORE_READ(vfs, mnt_root);
		if (d == top || d == parent) {
			struct mount *up = BPF_CORE_READ(m, mnt_parent);
			if (up == m || d != top) {
				out->truncated = 0;
				out->detached = root != NULL;
				/* A file in memory hangs below nothing; it has a name. */
				if (d != top && *space == 0) {
					long n = bpf_probe_read_kernel_str(out->names, NAME_SPACE, BPF_CORE_READ(d, d_name.name));
					*space = n > 0 ? n : 0;
				}
				break;
			}
			d = BPF_CORE_READ(m, mnt_mountpoint);
			m = up;
			vfs = (struct vfsmount *)((void *)m + bpf_core_field_offset(struct mount, mnt));
			continue;
		}
		u32 len = *space;
		if (len > PATH_SPACE - 1)
			break;
		long n = bpf_probe_read_kernel_str(&out->names[len & (PATH_SPACE - 1)], NAME_SPACE, BPF_CORE_READ(d, d_name.name));
		if (n <= 0)
			break;
		*space = len + n;
		d = parent;
	}
	return 0;
}

static __always_inline void write_traits(struct traits *out, struct task_struct *t, struct vfsmount *mnt, struct dentry *d, struct inode *inode)
{
	struct super_block *sb = BPF_CORE_READ(inode, i_sb);
	out->inode = BPF_CORE_READ(inode, i_ino);
	out->dev = BPF_CORE_READ(sb, s_dev);
	out->magic = BPF_CORE_READ(sb, s_magic);
	out->mode = BPF_CORE_READ(inode, i_mode);
	out->uid = BPF_CORE_READ(inode, i_uid.val);
	out->rdev = BPF_CORE_READ(inode, i_rdev);
	u32 flags = 0;
	if (BPF_CORE_READ(inode, i_nlink) == 0)
		flags |= TRAIT_DELETED;
	struct fs_struct *fs = BPF_CORE_READ(t, fs);
	if (fs && mnt && BPF_CORE_READ(fs, root.mnt) != mnt)
		flags |= TRAIT_VOLUME;
	if (out->magic == OVERLAYFS_SUPER_MAGIC) {
		/* struct ovl_inode goes on right behind its inode: __upperdentry, then
		 * what leads to the lower file. */
		u64 behind[2] = {};
		bpf_probe_read_kernel(behind, sizeof(behind), (void *)inode + bpf_core_type_size(struct inode));
		if (behind[0])
			flags |= TRAIT_UPPER;
		if (overlay_lower == 1 && behind[1])
			flags |= TRAIT_LOWER;
		if (overlay_lower == 2 && behind[1]) {
			u32 n = 0;
			bpf_probe_read_kernel(&n, sizeof(n), (void *)behind[1]);
			if (n)
				flags |= TRAIT_LOWER;
		}
	} else if (out->magic == TMPFS_MAGIC && (flags & TRAIT_DELETED)) {
		char name[8] = {};
		bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(d, d_name.name));
		if (name[0] == 'm' && name[1] == 'e' && name[2] == 'm' && name[3] == 'f' && name[4] == 'd' && name[5] == ':')
			flags |= TRAIT_MEMFD;
	}
	out->flags = flags;
}
