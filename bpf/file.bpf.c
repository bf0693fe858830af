/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What processes do to files, seen at the end of the system call. What was opened or
 * mapped is found through the descriptor, so its path is the kernel's and nothing
 * that the process can change. Calls that take a path and leave no descriptor
 * (rename, unlink, chmod of a path...) are reported with the directory the kernel
 * knows and the string that the process gave, read after the call: links in it are
 * not followed, and another thread may have changed it.
 */
#include "file.h"
#include "fold.h"
#include "seen.h"
#include "syscall.h"

RING(ring_file);

/* One word for each call, 0 for those of no interest. Bytes, lowest first: kind,
 * form, then arguments by their place from 1: directory, path, second directory,
 * second path, descriptor, text. internal/probe/file.go fills it. */
const volatile u64 acts[CALLS] = {};

#define ACT_KIND(a) ((a)&0xff)
#define ACT_FORM(a) (((a) >> 8) & 0xff)
#define ACT_DIR(a) (((a) >> 16) & 0xff)
#define ACT_PATH(a) (((a) >> 24) & 0xff)
#define ACT_DIR2(a) (((a) >> 32) & 0xff)
#define ACT_PATH2(a) (((a) >> 40) & 0xff)
#define ACT_FD(a) (((a) >> 48) & 0xff)
#define ACT_TEXT(a) (((a) >> 56) & 0xff)

#define FORM_OPEN 1	/* flags follow the path */
#define FORM_OPEN_HOW 2 /* struct open_how follows the path */
#define FORM_CREATE 3
#define FORM_NAME 4  /* one path */
#define FORM_NAMES 5 /* two paths, or a text */
#define FORM_FD 6
#define FORM_MMAP 7
#define FORM_MMAP_OLD 8 /* of i386: the arguments lie in memory */
#define FORM_MPROTECT 9
#define FORM_FSCONFIG 10

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

#define TEXT_SPACE 512

/* A file by what the process called it. */
struct name_event {
	struct header h;
	u32 call;
	u32 pad;
	s64 result;
	u64 args[ARGS];
	struct pathname dir; /* empty where the path is absolute */
	u8 name[TEXT_SPACE];
};

struct names_event {
	struct name_event n;
	struct pathname dir2;
	u8 name2[TEXT_SPACE];
	u8 text[256];
};

EXPORT(file_event);
EXPORT(name_event);
EXPORT(names_event);
EXPORT(fold);
EXPORT(budget);
EXPORT(budget_key);

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
	if (!watch && !afford(cgroup, RING_FILE)) {
		count_folded(kind);
		bpf_map_delete_elem(&file_folds, &k);
		return 0;
	}
	struct file_event *e = reserve(ring_file, RING_FILE, struct file_event, t, kind, cgroup);
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

/* Where a path that is not absolute begins. */
static __always_inline void write_dir(struct pathname *out, struct task_struct *t, const u8 *name, bool has_fd, int fd)
{
	out->len = 0;
	out->truncated = 0;
	out->detached = 0;
	if (name[0] == '/')
		return;
	if (!has_fd || fd == AT_FDCWD) {
		path_of(out, (u64)BPF_CORE_READ(t, fs, pwd.mnt), (u64)BPF_CORE_READ(t, fs, pwd.dentry));
		return;
	}
	struct file *f = file_of(t, fd);
	if (f)
		path_of(out, (u64)BPF_CORE_READ(f, f_path.mnt), (u64)BPF_CORE_READ(f, f_path.dentry));
}

static __always_inline void write_text(u8 *out, u32 space, u64 from)
{
	out[0] = 0;
	if (from)
		bpf_probe_read_user_str(out, space, (void *)from);
}

static __always_inline void write_name(struct name_event *e, struct task_struct *t, u32 call, u64 act, struct args *a, long ret)
{
	e->call = call;
	e->pad = 0;
	e->result = ret < 0 ? ret : 0;
	copy_args(e->args, a);
	write_text(e->name, sizeof(e->name), ACT_PATH(act) ? argument(a, ACT_PATH(act)) : 0);
	if (ACT_PATH(act))
		write_dir(&e->dir, t, e->name, ACT_DIR(act), argument(a, ACT_DIR(act)));
	else
		e->dir.len = 0;
}

static __always_inline bool begin_name(u32 kind, u64 cgroup)
{
	if (!wanted(kind, cgroup))
		return false;
	if (of_runtime(bpf_get_current_task_btf())) {
		count_filtered(kind);
		return false;
	}
	if (afford(cgroup, RING_FILE))
		return true;
	count_folded(kind);
	return false;
}

static __always_inline int report_name(struct task_struct *t, u32 kind, u32 call, u64 act, struct args *a, long ret)
{
	u64 cgroup = task_cgroup(t);
	if (!begin_name(kind, cgroup))
		return 0;
	struct name_event *e = reserve(ring_file, RING_FILE, struct name_event, t, kind, cgroup);
	if (!e)
		return 0;
	write_name(e, t, call, act, a, ret);
	submit(e, kind);
	return 0;
}

static __always_inline int report_names(struct task_struct *t, u32 kind, u32 call, u64 act, struct args *a, long ret)
{
	u64 cgroup = task_cgroup(t);
	if (!begin_name(kind, cgroup))
		return 0;
	struct names_event *e = reserve(ring_file, RING_FILE, struct names_event, t, kind, cgroup);
	if (!e)
		return 0;
	write_name(&e->n, t, call, act, a, ret);
	write_text(e->name2, sizeof(e->name2), ACT_PATH2(act) ? argument(a, ACT_PATH2(act)) : 0);
	/* What a symbolic link or a mount begins from is not a path in a directory. */
	if (ACT_DIR2(act) || kind == KIND_RENAME || kind == KIND_LINK)
		write_dir(&e->dir2, t, e->name2, ACT_DIR2(act), argument(a, ACT_DIR2(act)));
	else
		e->dir2.len = 0;
	write_text(e->text, sizeof(e->text), ACT_TEXT(act) ? argument(a, ACT_TEXT(act)) : 0);
	submit(e, kind);
	return 0;
}

static __noinline int opened(struct task_struct *t, u32 call, u64 act, struct args *a, long ret)
{
	u64 flags = argument(a, ACT_PATH(act) + 1);
	u32 form = ACT_FORM(act);
	if (form == FORM_CREATE)
		flags = O_CREAT | O_WRONLY | O_TRUNC;
	else if (form == FORM_OPEN_HOW) {
		u64 how = 0;
		bpf_probe_read_user(&how, sizeof(how), (void *)flags);
		flags = how;
	}
	if (ret < 0) {
		if (!refused(ret) || ACT_KIND(act))
			return 0;
		return report_name(t, flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC) ? KIND_WRITE : KIND_OPEN, call, act, a, ret);
	}
	struct file *f = file_of(t, ret);
	if (!f)
		return 0;
	struct place p;
	place_of(&p, f);
	/* What is opened as a path only can be neither read nor written. */
	if (p.mode & FMODE_PATH)
		return 0;
	bool created = p.mode & FMODE_CREATED;
	u32 kind = p.mode & FMODE_WRITE || flags & O_TRUNC || created ? KIND_WRITE : KIND_OPEN;
	return report_file(t, kind, call, &p, a, flags, ret, kind == KIND_WRITE ? window_write : window_read, created);
}

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct vm_area_struct {
	struct file *vm_file;
};
enum bpf_func_id___vma { BPF_FUNC_find_vma___vma = 180 };
#pragma clang attribute pop

static long on_vma(struct task_struct *t, struct vm_area_struct *vma, struct place *p)
{
	struct file *f = BPF_CORE_READ(vma, vm_file);
	if (f)
		place_of(p, f);
	p->pad = 1;
	return 0;
}

static long (*find_vma)(struct task_struct *, u64, void *, void *, u64) = (void *)180;

static __noinline int mapped(struct task_struct *t, u32 call, u64 act, struct args *a, long ret)
{
	u32 form = ACT_FORM(act);
	if (form == FORM_MMAP_OLD) {
		u32 in[ARGS] = {};
		if (bpf_probe_read_user(in, sizeof(in), (void *)a->of[0]))
			return 0;
		for (int i = 0; i < ARGS; i++)
			a->of[i] = in[i];
	}
	u64 prot = a->of[2];
	if (!(prot & PROT_EXEC))
		return 0;
	bool failed = (u64)ret >= (u64)-4095;
	if (failed && !refused(ret))
		return 0;
	struct place p = {};
	if (form == FORM_MPROTECT) {
		/* Before 5.17 nobody says what is mapped there. */
		if (bpf_core_enum_value_exists(enum bpf_func_id___vma, BPF_FUNC_find_vma___vma))
			find_vma(t, a->of[0], on_vma, &p, 0);
	} else if (!(a->of[3] & MAP_ANONYMOUS)) {
		struct file *f = file_of(t, a->of[4]);
		if (f)
			place_of(&p, f);
	}
	return report_file(t, KIND_MAP, call, &p, a, prot, failed ? ret : 0, window_read, false);
}

static __noinline int by_descriptor(struct task_struct *t, u32 call, u64 act, struct args *a, long ret)
{
	struct file *f = file_of(t, argument(a, ACT_FD(act)));
	if (!f)
		return 0;
	struct place p;
	place_of(&p, f);
	/* Never folded: each may set something else. */
	return report_file(t, ACT_KIND(act), call, &p, a, 0, ret, 0, true);
}

static __noinline int by_name(struct task_struct *t, u32 call, u64 act, struct args *a, long ret)
{
	return report_name(t, ACT_KIND(act), call, act, a, ret);
}

static __noinline int by_names(struct task_struct *t, u32 call, u64 act, struct args *a, long ret)
{
	return report_names(t, ACT_KIND(act), call, act, a, ret);
}

static __always_inline int act_on(struct task_struct *t, struct pt_regs *regs, u32 call, u64 act, long ret)
{
	struct args a;
	read_args(&a, regs, call >= COMPAT);
	u32 form = ACT_FORM(act);
	switch (form) {
	case FORM_OPEN:
	case FORM_OPEN_HOW:
	case FORM_CREATE:
		return opened(t, call, act, &a, ret);
	case FORM_MMAP:
	case FORM_MPROTECT:
		if (!(a.of[2] & PROT_EXEC))
			return 0;
		return mapped(t, call, act, &a, ret);
	case FORM_MMAP_OLD:
		return mapped(t, call, act, &a, ret);
	}
	if (ret < 0 && !refused(ret))
		return 0;
	switch (form) {
	case FORM_NAME:
		return by_name(t, call, act, &a, ret);
	case FORM_FSCONFIG:
		/* Only what is a string has a text to read. */
		if (a.of[1] != 1)
			return 0;
		return by_names(t, call, act, &a, ret);
	case FORM_NAMES:
		return by_names(t, call, act, &a, ret);
	case FORM_FD:
		return by_descriptor(t, call, act, &a, ret);
	}
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_file_call, struct pt_regs *regs, long ret)
{
	struct task_struct *t = bpf_get_current_task_btf();
	u32 call = call_index(regs, t);
	if (call >= CALLS)
		return 0;
	u64 act = acts[call];
	if (!act)
		return 0;
	return act_on(t, regs, call, act, ret);
}
