/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Reporting a file that the kernel has found: opened, mapped, or acted on by its
 * descriptor. */
#pragma once

#include "file.h"
#include "fold.h"
#include "seen.h"
#include "syscall.h"

RING(ring_file);
RING(ring_priv);

#define O_WRONLY 1
#define O_RDWR 2
#define O_CREAT 0100
#define O_TRUNC 01000
#define FMODE_WRITE 2
#define FMODE_PATH 0x4000
#define FMODE_CREATED 0x100000
#define PROT_WRITE 2
#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20
#define AT_FDCWD -100
#define PROC_SUPER_MAGIC 0x9fa0

/* How long equal events are one. */
const volatile u64 window_read = 60 * SECOND;
const volatile u64 window_write = 10 * SECOND;

FOLDS(file_folds, 16384);

/* Files whose opening matters even when another process has just done the same:
 * hashes of their name, or of name and directory. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, u32);
} watched SEC(".maps");

/* A file by its descriptor. */
struct file_event {
	struct header h;
	struct traits file;
	u32 call;
	u32 mode; /* f_mode */
	u64 flags;
	s64 result;
	u64 args[ARGS];
	u8 watched;
	u8 nameless; /* nothing is mapped but memory */
	u8 pad[6];
	struct pathname path;
};

EXPORT(file_event);

#define HASH_PRIME 0x9e3779b97f4a7c15ULL
#define HASH_WORDS 6 /* 47 bytes of a name and the zero behind it */

/* Mixes a name into a hash, zeros behind its end and all: no loop has to look for it.
 * internal/probe/file.go does the same. Fields are little-endian on both machines. */
static __always_inline u64 hash_name(u64 h, u64 dentry, u8 *first)
{
	struct dentry *d = (struct dentry *)dentry;
	u64 name[HASH_WORDS] = {};
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(d, d_name.name));
	*first = name[0];
	for (int i = 0; i < HASH_WORDS; i++) {
		h = (h ^ name[i]) * HASH_PRIME;
		h ^= h >> 29;
	}
	return h;
}

/* Global functions, whose pointers are numbers: the verifier looks at each once, not
 * at every place that calls it. */
__noinline u64 name_of(u64 dentry)
{
	u8 first;
	u64 h = hash_name(0, dentry, &first);
	/* Directories of processes are one. */
	return first >= '0' && first <= '9' ? 1 : h;
}

__noinline u32 is_watched(u64 dentry)
{
	u8 first;
	u64 h = hash_name(0, dentry, &first);
	if (bpf_map_lookup_elem(&watched, &h))
		return 1;
	h = hash_name(h, (u64)BPF_CORE_READ((struct dentry *)dentry, d_parent), &first);
	return bpf_map_lookup_elem(&watched, &h) != NULL;
}

__noinline int path_of(struct pathname *out, u64 mnt, u64 dentry)
{
	if (!out)
		return 0;
	return write_path(out, (struct task_struct *)bpf_get_current_task(), (struct vfsmount *)mnt, (struct dentry *)dentry);
}

static __always_inline u64 program_of(struct task_struct *t)
{
	struct mm_struct *mm = t->mm;
	if (!mm)
		return 0;
	return BPF_CORE_READ(mm, exe_file, f_inode, i_ino);
}

static __always_inline u64 argument(struct args *a, u32 place)
{
	return a->of[(place - 1) & 7];
}

static __always_inline void copy_args(u64 *to, struct args *a)
{
	for (int i = 0; i < ARGS; i++)
		to[i] = a->of[i];
}

/* Where a file is, without holding on to it: what is read through it afterwards is
 * read by copy, which fails softly where it is gone. */
struct place {
	struct vfsmount *mnt;
	struct dentry *dentry;
	struct inode *inode;
	u32 mode;
	u32 pad;
};

static __always_inline void place_of(struct place *p, struct file *f)
{
	p->mnt = BPF_CORE_READ(f, f_path.mnt);
	p->dentry = BPF_CORE_READ(f, f_path.dentry);
	p->inode = BPF_CORE_READ(f, f_inode);
	p->mode = BPF_CORE_READ(f, f_mode);
}

/* Reports an act on a file that has a descriptor, or on memory (no inode). */
static __always_inline int report_file(struct task_struct *t, u32 kind, u32 call, struct place *p, struct args *a, u64 flags, long ret, u64 window, bool always)
{
	u64 cgroup = task_cgroup(t);
	if (!wanted(kind, cgroup))
		return 0;
	struct fold_key k = {.cgroup = cgroup};
	u32 watch = 0;
	struct inode *inode = p->inode;
	if (inode) {
		struct super_block *sb = BPF_CORE_READ(inode, i_sb);
		k.what = BPF_CORE_READ(inode, i_ino);
		k.where = (u64)BPF_CORE_READ(sb, s_dev) << 32 | kind;
		if (BPF_CORE_READ(sb, s_magic) == PROC_SUPER_MAGIC) {
			/* Files of procfs have a number of their own for each process. */
			watch = is_watched((u64)p->dentry);
			if (!watch)
				k.what = name_of((u64)p->dentry);
		}
	} else {
		/* Memory has no name: whose it is counts. */
		k.what = flags;
		k.who = program_of(t);
		k.where = kind;
	}
	u32 count = 1;
	if (always)
		bpf_map_delete_elem(&file_folds, &k);
	else
		count = fold(&file_folds, &k, window, t->tgid, watch);
	if (!count) {
		count_folded(kind);
		return 0;
	}
	if (of_runtime(t)) {
		count_filtered(kind);
		bpf_map_delete_elem(&file_folds, &k);
		return 0;
	}
	if (!watch && inode)
		watch = is_watched((u64)p->dentry);
	/* What is watched travels apart, so that no storm of files can hide it. */
	if (!afford(cgroup, watch ? WATCHED : RING_FILE)) {
		count_folded(kind);
		bpf_map_delete_elem(&file_folds, &k);
		return 0;
	}
	struct file_event *e;
	if (watch)
		e = reserve(ring_priv, RING_PRIV, struct file_event, t, kind, cgroup);
	else
		e = reserve(ring_file, RING_FILE, struct file_event, t, kind, cgroup);
	if (!e) {
		bpf_map_delete_elem(&file_folds, &k);
		return 0;
	}
	e->h.count = count > 1 ? count : 0;
	e->call = call;
	e->mode = p->mode;
	e->flags = flags;
	e->result = ret < 0 && ret > -4096 ? ret : 0;
	e->watched = watch;
	e->nameless = !inode;
	copy_args(e->args, a);
	if (inode) {
		write_traits(&e->file, t, p->mnt, p->dentry, inode);
		path_of(&e->path, (u64)p->mnt, (u64)p->dentry);
	} else {
		__builtin_memset(&e->file, 0, sizeof(e->file));
		e->path.len = 0;
	}
	if (watch) {
		struct fold *f = bpf_map_lookup_elem(&file_folds, &k);
		if (f)
			f->watched = 1;
	}
	submit(e, kind);
	return 0;
}
