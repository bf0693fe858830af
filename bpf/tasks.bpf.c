/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The processes that run already, told by the kernel itself: the start to the
 * nanosecond, the program's file, namespaces, capabilities and cgroup.
 */
#include "file.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};
#pragma clang attribute pop

struct task {
	struct header h;
	struct traits program;
	u32 uts_ns, ipc_ns, cgroup_ns;
	u8 tty;
	u8 kernel; /* a thread of the kernel's own */
	u16 pad;
	struct pathname exe;
	struct pathname cwd;
};

EXPORT(task);

/* Where a record is written. Each list that is made has a map of its own. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct task);
} scratch SEC(".maps");

__noinline int task_path(struct pathname *out, u64 task, u64 mnt, u64 dentry)
{
	if (!out)
		return 0;
	return write_path(out, (struct task_struct *)task, (struct vfsmount *)mnt, (struct dentry *)dentry);
}

/* The number of a pointer, which the verifier else would not pass for one. */
static __always_inline u64 number(const void *p)
{
	u64 n = 0;
	bpf_probe_read_kernel(&n, sizeof(n), &p);
	return n;
}

SEC("iter/task")
int on_task(struct bpf_iter__task *ctx)
{
	struct task_struct *t = ctx->task;
	if (!t || t->pid != t->tgid)
		return 0;
	u32 zero = 0;
	struct task *e = bpf_map_lookup_elem(&scratch, &zero);
	if (!e)
		return 0;
	struct header *h = &e->h;
	fill_header(h, t, KIND_NONE, RINGS, task_cgroup(t), sizeof(*e));
	e->uts_ns = e->ipc_ns = e->cgroup_ns = 0;
	struct nsproxy *ns = t->nsproxy;
	if (ns) {
		e->uts_ns = BPF_CORE_READ(ns, uts_ns, ns.inum);
		e->ipc_ns = BPF_CORE_READ(ns, ipc_ns, ns.inum);
		e->cgroup_ns = BPF_CORE_READ(ns, cgroup_ns, ns.inum);
	}
	e->kernel = (t->flags & PF_KTHREAD) != 0;
	e->pad = 0;
	e->tty = BPF_CORE_READ(t, signal, tty) != NULL;
	__builtin_memset(&e->program, 0, sizeof(e->program));
	e->exe.len = e->cwd.len = 0;
	e->exe.truncated = e->cwd.truncated = 0;
	struct file *f = BPF_CORE_READ(t, mm, exe_file);
	if (f) {
		struct dentry *d = BPF_CORE_READ(f, f_path.dentry);
		struct vfsmount *mnt = BPF_CORE_READ(f, f_path.mnt);
		write_traits(&e->program, t, mnt, d, BPF_CORE_READ(f, f_inode));
		task_path(&e->exe, number(t), (u64)mnt, (u64)d);
	}
	struct vfsmount *mnt = BPF_CORE_READ(t, fs, pwd.mnt);
	if (mnt)
		task_path(&e->cwd, number(t), (u64)mnt, (u64)BPF_CORE_READ(t, fs, pwd.dentry));
	bpf_seq_write(ctx->meta->seq, e, sizeof(*e));
	return 0;
}
