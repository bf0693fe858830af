/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Comparing what a task is with what it was, and with what its container is. */
#pragma once

#include "seen.h"

struct creds_event {
	struct header h; /* what it became */
	u64 old_caps;
	u32 old_uid, old_euid, old_gid, old_user_ns;
	u32 call; /* 0 where no system call did it */
	u32 pad;
};

struct ns_event {
	struct header h;
	u32 cgroup_ns;
	u32 strange; /* NS_* */
};

#define NS_MNT 1
#define NS_PID 2
#define NS_NET 4
#define NS_USER 8
#define NS_CGROUP 16

/* The namespaces of a container's first process, by cgroup. 0 is not known. */
struct namespaces {
	u32 mnt, pid, net, user, cgroup, pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, struct namespaces);
} homes SEC(".maps");

RING(ring_priv);

static __always_inline u32 pid_ns_of(struct task_struct *t)
{
	struct pid *p = t->group_leader->thread_pid;
	if (!p)
		return 0;
	u32 level = BPF_CORE_READ(p, level);
	struct upid u = {};
	if (level > 32)
		return 0;
	bpf_probe_read_kernel(&u, sizeof(u), (void *)__builtin_preserve_access_index(&p->numbers) + level * bpf_core_type_size(struct upid));
	return u.ns ? BPF_CORE_READ(u.ns, ns.inum) : 0;
}

static __always_inline bool namespaces_of(struct namespaces *n, struct task_struct *t)
{
	struct nsproxy *ns = t->nsproxy;
	if (!ns)
		return false;
	n->mnt = ns->mnt_ns->ns.inum;
	n->net = ns->net_ns->ns.inum;
	n->cgroup = BPF_CORE_READ(ns, cgroup_ns, ns.inum);
	n->user = t->cred->user_ns->ns.inum;
	n->pid = pid_ns_of(t);
	n->pad = 0;
	return true;
}

#define DIFFERS(field, bit) (is.field && home->field && is.field != home->field ? bit : 0)

/* Compares the namespaces of a task with those of its container, and reports a
 * difference once. */
static __always_inline void check_namespaces(struct task_struct *t, struct seen *s)
{
	u64 cgroup = task_cgroup(t);
	struct namespaces *home = bpf_map_lookup_elem(&homes, &cgroup);
	if (!home || of_runtime(t))
		return;
	struct namespaces is = {};
	if (!namespaces_of(&is, t))
		return;
	u32 strange = DIFFERS(mnt, NS_MNT) | DIFFERS(pid, NS_PID) | DIFFERS(net, NS_NET) | DIFFERS(user, NS_USER) | DIFFERS(cgroup, NS_CGROUP);
	u32 said = s->strange;
	s->strange = strange;
	if (!(strange & ~said) || !wanted(KIND_NAMESPACE, cgroup))
		return;
	struct ns_event *e = reserve(ring_priv, RING_PRIV, struct ns_event, t, KIND_NAMESPACE, cgroup);
	if (!e)
		return;
	e->cgroup_ns = is.cgroup;
	e->strange = strange;
	submit(e, KIND_NAMESPACE);
}

/* Compares the credentials of a task with those last seen of it, and reports what
 * changed. with_caps is false at exec, which may change capabilities by right. */
static __always_inline void check_creds(struct task_struct *t, struct seen *s, u32 call, bool with_caps)
{
	struct seen old = *s;
	see(s, t);
	if (!old.known)
		return;
	if (old.uid == s->uid && old.euid == s->euid && old.gid == s->gid && old.user_ns == s->user_ns && (!with_caps || old.caps == s->caps))
		return;
	u64 cgroup = task_cgroup(t);
	if (of_runtime(t) || !wanted(KIND_CREDS, cgroup))
		return;
	/* Threads follow the one that called, and say nothing new. */
	if (t->tgid != t->pid) {
		const struct cred *leader = t->group_leader->cred;
		if (leader->uid.val == s->uid && leader->euid.val == s->euid && leader->gid.val == s->gid && effective_caps(leader) == s->caps) {
			struct counter *n = counter_of(KIND_CREDS);
			if (n)
				n->folded++;
			return;
		}
	}
	struct creds_event *e = reserve(ring_priv, RING_PRIV, struct creds_event, t, KIND_CREDS, cgroup);
	if (!e)
		return;
	e->old_caps = old.caps;
	e->old_uid = old.uid;
	e->old_euid = old.euid;
	e->old_gid = old.gid;
	e->old_user_ns = old.user_ns;
	e->call = call;
	e->pad = 0;
	submit(e, KIND_CREDS);
}
