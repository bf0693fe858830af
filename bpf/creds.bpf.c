/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Credentials and namespaces that are not what they were: compared when a process
 * forks and when it runs a program, which is what comes after a kernel was made to
 * give them away. Changes by system calls are seen by calls.bpf.c as they happen.
 */
#include "creds.h"
#include "file.h"

EXPORT(creds_event);
EXPORT(ns_event);
EXPORT(namespaces);

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_creds_fork, struct task_struct *parent, struct task_struct *child)
{
	if (child->flags & PF_KTHREAD)
		return 0;
	struct seen *p = bpf_task_storage_get(&tasks_seen, parent, NULL, STORAGE_CREATE);
	if (!p)
		return 0;
	check_creds(parent, p, 0, true);
	check_namespaces(parent, p);
	struct seen *c = bpf_task_storage_get(&tasks_seen, child, NULL, STORAGE_CREATE);
	if (!c)
		return 0;
	/* A child begins with what its parent has, and with namespaces of its own where
	 * it was asked for: its own acts tell of those. */
	see(c, child);
	c->exec_mnt = p->exec_mnt;
	c->strange = p->strange;
	c->entered = 0;
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_creds_exec, struct task_struct *t, pid_t old_pid, struct linux_binprm *bprm)
{
	struct seen *s = bpf_task_storage_get(&tasks_seen, t, NULL, STORAGE_CREATE);
	if (!s)
		return 0;
	u32 mode = BPF_CORE_READ(bprm, file, f_inode, i_mode);
	if (mode & (S_ISUID | S_ISGID))
		see(s, t);
	else
		check_creds(t, s, 0, false);
	s->exec_mnt = mnt_ns_of(t);
	u64 cgroup = task_cgroup(t);
	struct interest *i = interest_of(cgroup);
	/* The first program of a container is at home: what started it was the runtime. */
	if (i && i->flags & INTEREST_CONTAINER && s->exec_mnt != host_mnt && !bpf_map_lookup_elem(&homes, &cgroup)) {
		struct namespaces home = {};
		if (namespaces_of(&home, t))
			bpf_map_update_elem(&homes, &cgroup, &home, BPF_NOEXIST);
	}
	check_namespaces(t, s);
	return 0;
}
