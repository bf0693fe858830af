/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Capabilities that were asked for and given, once for each container and
 * capability. One of the two programs is loaded: the tracepoint came with 6.14.
 */
#include "seen.h"

RING(ring_priv);

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u64);
	__type(value, u64);
} caps_used SEC(".maps");

struct capability_event {
	struct header h;
	u32 capability;
	u32 pad;
};

EXPORT(capability_event);

static __always_inline int used(int capability, int ret)
{
	if (ret || capability < 0 || capability > 63)
		return 0;
	struct task_struct *t = bpf_get_current_task_btf();
	if (t->flags & PF_KTHREAD)
		return 0;
	u64 cgroup = task_cgroup(t), bit = 1ULL << capability;
	u64 *seen = bpf_map_lookup_elem(&caps_used, &cgroup);
	if (seen && *seen & bit)
		return 0;
	if (of_runtime(t))
		return 0;
	if (seen)
		__sync_fetch_and_or(seen, bit);
	else
		bpf_map_update_elem(&caps_used, &cgroup, &bit, BPF_ANY);
	if (!wanted(KIND_CAPABILITY, cgroup))
		return 0;
	struct capability_event *e = reserve(ring_priv, RING_PRIV, struct capability_event, t, KIND_CAPABILITY, cgroup);
	if (!e)
		return 0;
	e->capability = capability;
	e->pad = 0;
	submit(e, KIND_CAPABILITY);
	return 0;
}

SEC("tp_btf/cap_capable")
int BPF_PROG(on_capable, const struct cred *cred, struct user_namespace *target, const struct user_namespace *ns, int capability, int ret)
{
	return used(capability, ret);
}

SEC("fexit/security_capable")
int BPF_PROG(on_security_capable, const struct cred *cred, struct user_namespace *ns, int capability, unsigned int options, int ret)
{
	return used(capability, ret);
}
