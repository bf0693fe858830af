/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What processes do to files, seen at the end of the system call. What was opened or
 * mapped is found through the descriptor, so its path is the kernel's and nothing
 * that the process can change. Calls that take a path and leave no descriptor
 * (rename, unlink, chmod of a path...) are reported with the directory the kernel
 * knows and the string that the process gave, read after the call: links in it are
 * not followed, and another thread may have changed it.
 */
#include "opened.h"

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
#define FORM_OPEN_FAILED 11 /* as the first three, where another hook sees what succeeds */
#define FORM_OPEN_HOW_FAILED 12
#define FORM_CREATE_FAILED 13

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

EXPORT(name_event);
EXPORT(names_event);
EXPORT(fold);
EXPORT(budget);
EXPORT(budget_key);

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
	if (form == FORM_CREATE || form == FORM_CREATE_FAILED)
		flags = O_CREAT | O_WRONLY | O_TRUNC;
	else if (form == FORM_OPEN_HOW || form == FORM_OPEN_HOW_FAILED) {
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
	case FORM_OPEN_FAILED:
	case FORM_OPEN_HOW_FAILED:
	case FORM_CREATE_FAILED:
		return ret < 0 ? opened(t, call, act, &a, ret) : 0;
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
