/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Cgroups of the default hierarchy come and go: containers are known before
 * anything runs in them. */
#include "event.h"

RING(ring_node);

#define CGROUP_PATH 512

struct cgroup_event {
	struct header h;
	u64 id;
	u32 made; /* 1 made, 0 removed */
	u32 len;
	u8 path[CGROUP_PATH];
};

EXPORT(cgroup_event);

static __always_inline void report(struct cgroup *cgrp, const char *path, u32 made)
{
	if (cgrp->root->hierarchy_id != 0)
		return;
	struct task_struct *t = bpf_get_current_task_btf();
	u64 cgroup = task_cgroup(t);
	struct counter *c = counter_of(KIND_CONTAINER);
	if (c)
		c->attempts++;
	struct cgroup_event *e = reserve(ring_node, RING_NODE, struct cgroup_event, t, KIND_CONTAINER, cgroup);
	if (!e)
		return;
	e->id = cgrp->kn->id;
	e->made = made;
	long n = bpf_probe_read_kernel_str(e->path, sizeof(e->path), path);
	e->len = n > 0 ? n - 1 : 0;
	submit(e, KIND_CONTAINER);
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(on_cgroup_mkdir, struct cgroup *cgrp, const char *path)
{
	report(cgrp, path, 1);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(on_cgroup_rmdir, struct cgroup *cgrp, const char *path)
{
	report(cgrp, path, 0);
	return 0;
}
