/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Which system calls a container makes, and which seccomp refuses it. Both programs
 * cost every call of the node a little, so they are attached only while somebody
 * learns, and look closer only at cgroups that have an entry in learnt.
 *
 * A call that seccomp refuses ends without having begun: the kernel tells of its
 * exit, and never told of its entry.
 */
#include "seen.h"
#include "syscall.h"

RING(ring_priv);

struct learnt {
	u64 seen[CALLS / 64];
	u64 denied[CALLS / 64];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64);
	__type(value, struct learnt);
} learning SEC(".maps");

struct syscall_event {
	struct header h;
	u32 call;
	u32 pad;
	s64 result;
};

EXPORT(learnt);
EXPORT(syscall_event);

static __always_inline void tell(struct task_struct *t, u32 kind, u64 cgroup, u32 call, s64 result)
{
	if (!wanted(kind, cgroup))
		return;
	struct syscall_event *e = reserve(ring_priv, RING_PRIV, struct syscall_event, t, kind, cgroup);
	if (!e)
		return;
	e->call = call;
	e->pad = 0;
	e->result = result;
	submit(e, kind);
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_enter, struct pt_regs *regs, long nr)
{
	u64 cgroup = bpf_get_current_cgroup_id();
	struct learnt *l = bpf_map_lookup_elem(&learning, &cgroup);
	if (!l)
		return 0;
	struct task_struct *t = bpf_get_current_task_btf();
	u32 call = call_index(regs, t);
	if (call >= CALLS)
		return 0;
	struct seen *s = bpf_task_storage_get(&tasks_seen, t, NULL, STORAGE_CREATE);
	if (s)
		s->entered = call + 1;
	u64 bit = 1ULL << (call & 63), *word = &l->seen[call >> 6];
	if (*word & bit || of_runtime(t))
		return 0;
	__sync_fetch_and_or(word, bit);
	tell(t, KIND_SYSCALL, cgroup, call, 0);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_exit_of_call, struct pt_regs *regs, long ret)
{
	u64 cgroup = bpf_get_current_cgroup_id();
	struct learnt *l = bpf_map_lookup_elem(&learning, &cgroup);
	if (!l)
		return 0;
	struct task_struct *t = bpf_get_current_task_btf();
	u32 call = call_index(regs, t);
	if (call >= CALLS)
		return 0;
	struct seen *s = bpf_task_storage_get(&tasks_seen, t, NULL, STORAGE_CREATE);
	if (!s)
		return 0;
	u32 entered = s->entered;
	/* Between two calls: what now ends without a beginning was refused. */
	s->entered = ENTERED_NONE;
	if (entered != ENTERED_NONE || ret >= 0 || of_runtime(t))
		return 0;
	__sync_fetch_and_or(&l->denied[call >> 6], 1ULL << (call & 63));
	tell(t, KIND_DENIED, cgroup, call, ret);
	return 0;
}
