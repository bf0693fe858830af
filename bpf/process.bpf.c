/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* The life of processes: fork, exec, exit, and new names. */
#include "file.h"

RING(ring_exec);
RING(ring_life);

#define ARGS_SPACE 4096

#define STDIO_NONE 1
#define STDIO_FILE 2
#define STDIO_NULL 3
#define STDIO_TTY 4
#define STDIO_PIPE 5
#define STDIO_SOCKET 6

struct exec {
	struct header h;
	struct traits program;
	u32 uts_ns, ipc_ns, cgroup_ns;
	u8 stdio[3];
	u8 tty;
	u64 arg_bytes, env_bytes; /* true lengths */
	u32 arg_len, env_len;	  /* what was copied */
	struct pathname exe;
	struct pathname cwd;
	u8 script[NAME_SPACE]; /* what was asked for, where an interpreter runs it */
	u8 args[ARGS_SPACE];
	u8 env[ARGS_SPACE];
};

struct fork {
	struct header h; /* of the parent */
	u64 child_start;
	u32 child_pid, child_nspid;
	u32 child_pid_ns, child_user_ns;
	u64 child_cgroup;
};

struct exit {
	struct header h;
	u32 code; /* as wait(2) has it */
	u32 pad;
};

struct comm {
	struct header h;
	u8 name[16];
};

EXPORT(exec);
EXPORT(fork);
EXPORT(exit);
EXPORT(comm);

static __always_inline u8 stdio_of(struct fdtable *fdt, u32 n)
{
	struct file **fds = BPF_CORE_READ(fdt, fd);
	struct file *f = NULL;
	if (n >= BPF_CORE_READ(fdt, max_fds))
		return STDIO_NONE;
	bpf_probe_read_kernel(&f, sizeof(f), &fds[n]);
	if (!f)
		return STDIO_NONE;
	struct inode *inode = BPF_CORE_READ(f, f_inode);
	u32 mode = BPF_CORE_READ(inode, i_mode) & S_IFMT, rdev = BPF_CORE_READ(inode, i_rdev);
	u32 major = rdev >> 20, minor = rdev & 0xfffff;
	switch (mode) {
	case S_IFSOCK:
		return STDIO_SOCKET;
	case S_IFIFO:
		return STDIO_PIPE;
	case S_IFCHR:
		if (major == 1 && minor == 3)
			return STDIO_NULL;
		if (major == 4 || major == 5 || (major >= 136 && major <= 143))
			return STDIO_TTY;
	}
	return STDIO_FILE;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *t, pid_t old_pid, struct linux_binprm *bprm)
{
	u64 cgroup = task_cgroup(t);
	if (!wanted(KIND_EXEC, cgroup))
		return 0;
	struct exec *e = reserve(ring_exec, RING_EXEC, struct exec, t, KIND_EXEC, cgroup);
	if (!e)
		return 0;

	struct mm_struct *mm = t->mm;
	struct file *file = BPF_CORE_READ(mm, exe_file);
	struct dentry *d = BPF_CORE_READ(file, f_path.dentry);
	struct vfsmount *mnt = BPF_CORE_READ(file, f_path.mnt);
	write_traits(&e->program, t, mnt, d, BPF_CORE_READ(file, f_inode));
	write_path(&e->exe, t, mnt, d);
	write_path(&e->cwd, t, BPF_CORE_READ(t, fs, pwd.mnt), BPF_CORE_READ(t, fs, pwd.dentry));

	struct nsproxy *ns = t->nsproxy;
	e->uts_ns = BPF_CORE_READ(ns, uts_ns, ns.inum);
	e->ipc_ns = BPF_CORE_READ(ns, ipc_ns, ns.inum);
	e->cgroup_ns = BPF_CORE_READ(ns, cgroup_ns, ns.inum);
	struct fdtable *fdt = BPF_CORE_READ(t, files, fdt);
	e->stdio[0] = stdio_of(fdt, 0);
	e->stdio[1] = stdio_of(fdt, 1);
	e->stdio[2] = stdio_of(fdt, 2);
	e->tty = BPF_CORE_READ(t, signal, tty) != NULL;

	e->script[0] = 0;
	const char *interp = BPF_CORE_READ(bprm, interp), *filename = BPF_CORE_READ(bprm, filename);
	if (interp != filename)
		bpf_probe_read_kernel_str(e->script, sizeof(e->script), filename);

	u64 start = BPF_CORE_READ(mm, arg_start), end = BPF_CORE_READ(mm, arg_end);
	u64 n = end - start;
	e->arg_bytes = n;
	if (n > ARGS_SPACE)
		n = ARGS_SPACE;
	e->arg_len = n;
	if (bpf_probe_read_user(e->args, n, (void *)start))
		e->arg_len = 0;
	start = BPF_CORE_READ(mm, env_start);
	end = BPF_CORE_READ(mm, env_end);
	n = end - start;
	e->env_bytes = n;
	if (n > ARGS_SPACE)
		n = ARGS_SPACE;
	e->env_len = n;
	if (bpf_probe_read_user(e->env, n, (void *)start))
		e->env_len = 0;
	submit(e, KIND_EXEC);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	if (child->tgid != child->pid || child->flags & PF_KTHREAD)
		return 0;
	u64 cgroup = task_cgroup(parent);
	if (!wanted(KIND_FORK, cgroup))
		return 0;
	struct fork *e = reserve(ring_life, RING_LIFE, struct fork, parent, KIND_FORK, cgroup);
	if (!e)
		return 0;
	e->child_start = child->start_boottime;
	e->child_pid = child->tgid;
	e->child_nspid = namespaced_pid(child);
	e->child_user_ns = child->cred->user_ns->ns.inum;
	e->child_pid_ns = 0;
	e->child_cgroup = task_cgroup(child);
	submit(e, KIND_FORK);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *t)
{
	/* The last thread to go takes the process with it. */
	if (t->signal->live.counter > 0 || t->flags & PF_KTHREAD)
		return 0;
	u64 cgroup = task_cgroup(t);
	if (!wanted(KIND_EXIT, cgroup))
		return 0;
	struct exit *e = reserve(ring_life, RING_LIFE, struct exit, t, KIND_EXIT, cgroup);
	if (!e)
		return 0;
	int code = t->signal->group_exit_code;
	e->code = code ? code : t->exit_code;
	e->pad = 0;
	submit(e, KIND_EXIT);
	return 0;
}

struct task_struct___execve {
	unsigned int in_execve : 1;
} __attribute__((preserve_access_index));

SEC("tp_btf/task_rename")
int BPF_PROG(on_rename, struct task_struct *t, const char *name)
{
	/* Threads name themselves all the time; an exec renames too, and says so itself. */
	if (t->tgid != t->pid || t->flags & PF_KTHREAD)
		return 0;
	if (BPF_CORE_READ_BITFIELD_PROBED((struct task_struct___execve *)t, in_execve))
		return 0;
	u64 cgroup = task_cgroup(t);
	if (!wanted(KIND_COMM, cgroup))
		return 0;
	struct comm *e = reserve(ring_life, RING_LIFE, struct comm, t, KIND_COMM, cgroup);
	if (!e)
		return 0;
	bpf_probe_read_kernel_str(e->name, sizeof(e->name), name);
	submit(e, KIND_COMM);
	return 0;
}
