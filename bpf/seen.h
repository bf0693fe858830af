/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What was last seen of a task: its credentials and namespaces, to know when they
 * change, and whether its program was started inside the namespaces it now lives in.
 *
 * A container's runtime enters the container's namespaces and cgroup before it runs
 * the container's program, and what it does there is not the container's doing. It
 * was started on the host: see of_runtime.
 */
#pragma once

#include "event.h"

struct seen {
	u64 caps;
	u32 uid, euid, gid;
	u32 user_ns;
	u32 exec_mnt; /* the mount namespace at the last exec, 0 not known */
	u32 known;
	u32 strange; /* what was said of its namespaces, NS_* */
	u32 entered; /* the system call it is in, from 1; 0 not known, ENTERED_NONE between two */
};

#define ENTERED_NONE 0xffffffff

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct seen);
} tasks_seen SEC(".maps");

#define STORAGE_CREATE 1

/* The node's own mount namespace, set by the loader. */
const volatile u32 host_mnt = 0;

static __always_inline u32 mnt_ns_of(struct task_struct *t)
{
	struct nsproxy *ns = t->nsproxy;
	return ns ? ns->mnt_ns->ns.inum : 0;
}

static __always_inline struct seen *seen_of(struct task_struct *t)
{
	return bpf_task_storage_get(&tasks_seen, t, NULL, 0);
}

/* Says whether t is a runtime on its way into a container: started on the host, and
 * no longer in the host's namespace. Processes older than the sensor are not. */
static __always_inline bool of_runtime(struct task_struct *t)
{
	struct seen *s = seen_of(t);
	return s && s->exec_mnt && s->exec_mnt == host_mnt && mnt_ns_of(t) != host_mnt;
}

static __always_inline void see(struct seen *s, struct task_struct *t)
{
	const struct cred *c = t->cred;
	s->uid = c->uid.val;
	s->euid = c->euid.val;
	s->gid = c->gid.val;
	s->caps = effective_caps(c);
	s->user_ns = c->user_ns->ns.inum;
	s->known = 1;
}
