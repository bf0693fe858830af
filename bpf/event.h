/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * How events travel: one ring buffer for each class, so that a storm of one costs
 * no other; a header that every event begins with; and counters that account for
 * each event that was made, delivered or not. All collections share these maps:
 * internal/probe creates them once.
 *
 * The layout is read by internal/probe/record.go.
 */
#pragma once

#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* The kinds, numbered as in event.go (package seawall). */
enum kind {
	KIND_NONE,
	KIND_EXEC, KIND_FORK, KIND_EXIT, KIND_COMM,
	KIND_OPEN, KIND_WRITE, KIND_RENAME, KIND_UNLINK, KIND_CHMOD, KIND_CHOWN, KIND_LINK, KIND_SYMLINK,
	KIND_MKNOD, KIND_XATTR, KIND_MAP, KIND_MOUNT,
	KIND_CONNECT, KIND_LISTEN, KIND_ACCEPT, KIND_BIND, KIND_SEND, KIND_SOCKET, KIND_CLOSE, KIND_DNS, KIND_TLS,
	KIND_CALL, KIND_CAPABILITY, KIND_CREDS, KIND_NAMESPACE, KIND_SYSCALL, KIND_DENIED,
	KIND_CONTAINER, KIND_SESSION, KIND_VERDICT, KIND_LOSS, KIND_THROTTLE, KIND_HEARTBEAT, KIND_TAMPER,
	KINDS
};

/* The rings, numbered as in internal/probe/ring.go. */
enum ring { RING_EXEC, RING_LIFE, RING_FILE, RING_NET, RING_PRIV, RING_DNS, RING_NODE, RINGS };

struct header {
	u32 size; /* of the whole record */
	u16 kind;
	u16 cpu;
	u64 seq;    /* counts the events of this ring and CPU, lost ones too */
	u64 time;   /* ns since boot */
	u64 cgroup; /* in the default hierarchy */
	u64 start, parent_start; /* ns since boot */
	u32 pid, tid, ppid, nspid;
	u32 uid, euid, gid;
	u32 mnt_ns, net_ns, pid_ns, user_ns;
	u32 count; /* equal events that this one stands for, 0 is one */
	u64 caps;  /* effective */
	u8 comm[16];
};

/* What became of the events of one kind. attempts = delivered + lost + folded + filtered.
 * Counted atomically: a packet's interrupt may come in the middle of a count. */
struct counter {
	u64 attempts, delivered, lost, folded, filtered;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, struct counter);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RINGS);
	__type(key, u32);
	__type(value, u64);
} sequences SEC(".maps");

struct loss_key {
	u64 cgroup;
	u32 kind;
	u32 pad;
};

/* Which containers the lost events were of. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct loss_key);
	__type(value, u64);
} losses SEC(".maps");

/* What is of interest in a cgroup: a bit for each kind that is left out. Entry 0
 * of the array holds what goes for cgroups without an entry of their own. */
struct interest {
	u64 off;   /* kinds that are not reported */
	u32 flags; /* INTEREST_* */
	u32 pad;
};

#define INTEREST_CONTAINER 1 /* the cgroup is a container's */
#define INTEREST_SELF 2      /* the agent's own */
#define INTEREST_LEARN 4     /* system calls and capabilities are recorded */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, struct interest);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} interests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct interest);
} interest_default SEC(".maps");

/* internal/probe sets the size of each ring. */
#define RING(name)                                  \
	struct {                                    \
		__uint(type, BPF_MAP_TYPE_RINGBUF); \
		__uint(max_entries, 1 << 20);       \
	} name SEC(".maps")

static __always_inline u64 task_cgroup(struct task_struct *t)
{
	return t->cgroups->dfl_cgrp->kn->id;
}

static __always_inline struct interest *interest_of(u64 cgroup)
{
	struct interest *i = bpf_map_lookup_elem(&interests, &cgroup);
	if (i)
		return i;
	u32 zero = 0;
	return bpf_map_lookup_elem(&interest_default, &zero);
}

static __always_inline struct counter *counter_of(u32 kind)
{
	return bpf_map_lookup_elem(&counters, &kind);
}

/* Counts an attempt, and says whether the event is to be made. A program calls it
 * once for each event, before it does anything dear. */
static __always_inline bool wanted(u32 kind, u64 cgroup)
{
	struct counter *c = counter_of(kind);
	if (!c)
		return false;
	__sync_fetch_and_add(&c->attempts, 1);
	struct interest *i = interest_of(cgroup);
	if (i && (i->off >> kind) & 1) {
		__sync_fetch_and_add(&c->filtered, 1);
		return false;
	}
	return true;
}

static __always_inline u64 next_sequence(u32 ring)
{
	u64 *n = bpf_map_lookup_elem(&sequences, &ring);
	return n ? ++*n : 0;
}

static __always_inline void count_lost(u32 kind, u64 cgroup)
{
	struct counter *c = counter_of(kind);
	if (c)
		__sync_fetch_and_add(&c->lost, 1);
	struct loss_key k = {.cgroup = cgroup, .kind = kind};
	u64 one = 1, *n = bpf_map_lookup_elem(&losses, &k);
	if (n)
		__sync_fetch_and_add(n, 1);
	else
		bpf_map_update_elem(&losses, &k, &one, BPF_ANY);
}

/* Hands a reserved record to the reader. Nobody is woken: the reader comes by
 * itself every few milliseconds, since waking it costs more than most programs. */
static __always_inline void submit(void *record, u32 kind)
{
	struct counter *c = counter_of(kind);
	if (c)
		__sync_fetch_and_add(&c->delivered, 1);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

static __always_inline u64 effective_caps(const struct cred *cred)
{
	u64 caps = 0;
	bpf_probe_read_kernel(&caps, sizeof(caps), &cred->cap_effective);
	return caps;
}

/* Where a PID's number on a level is, behind the first: levels are 32 at most. The
 * mask is for kernel 6.1, which knows no bounds of a product. */
static __always_inline u64 upid_offset(struct pid *p)
{
	u64 level = BPF_CORE_READ(p, level);
	return (level * bpf_core_type_size(struct upid)) & 0x7ff;
}

static __always_inline u32 namespaced_pid(struct task_struct *t)
{
	struct pid *p = t->thread_pid;
	if (!p)
		return 0;
	struct upid u = {};
	bpf_probe_read_kernel(&u, sizeof(u), (void *)__builtin_preserve_access_index(&p->numbers) + upid_offset(p));
	return u.nr;
}

/* Fills a header for what task t does. */
static __always_inline void fill_header(struct header *h, struct task_struct *t, u32 kind, u32 ring, u64 cgroup, u32 size)
{
	h->size = size;
	h->kind = kind;
	h->cpu = bpf_get_smp_processor_id();
	h->seq = next_sequence(ring);
	h->time = bpf_ktime_get_boot_ns();
	h->cgroup = cgroup;
	h->count = 0;
	struct task_struct *leader = t->group_leader;
	h->start = leader->start_boottime;
	h->pid = t->tgid;
	h->tid = t->pid;
	struct task_struct *parent = t->real_parent;
	h->ppid = parent->tgid;
	h->parent_start = parent->group_leader->start_boottime;
	h->nspid = namespaced_pid(leader);
	const struct cred *cred = t->cred;
	h->uid = cred->uid.val;
	h->euid = cred->euid.val;
	h->gid = cred->gid.val;
	h->caps = effective_caps(cred);
	h->user_ns = cred->user_ns->ns.inum;
	struct nsproxy *ns = t->nsproxy;
	if (ns) {
		h->mnt_ns = ns->mnt_ns->ns.inum;
		h->net_ns = ns->net_ns->ns.inum;
	} else {
		h->mnt_ns = 0;
		h->net_ns = 0;
	}
	h->pid_ns = 0;
	struct pid *p = leader->thread_pid;
	if (p) {
		struct upid u = {};
		bpf_probe_read_kernel(&u, sizeof(u), (void *)__builtin_preserve_access_index(&p->numbers) + upid_offset(p));
		if (u.ns)
			h->pid_ns = BPF_CORE_READ(u.ns, ns.inum);
	}
	__builtin_memcpy(h->comm, t->comm, sizeof(h->comm));
}

/* Reserves a record of a type whose first member is a header, and fills that. NULL
 * when the ring is full, which is then counted. */
#define reserve(ringmap, ring, type, task, kind, cgroup)                                  \
	({                                                                                \
		type *__r = bpf_ringbuf_reserve(&ringmap, sizeof(type), 0);               \
		if (__r)                                                                  \
			fill_header((struct header *)__r, task, kind, ring, cgroup, sizeof(type)); \
		else {                                                                    \
			next_sequence(ring);                                              \
			count_lost(kind, cgroup);                                         \
		}                                                                         \
		__r;                                                                      \
	})

/* Keeps a type in the object, for the Go side to be generated from. */
#define EXPORT(type) const struct type *export_##type __attribute__((unused))
