/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Tells the container's own processes from those of the runtime: see enforce.h. */
#include "enforce.h"

SEC("tp_btf/sched_process_exec")
int BPF_PROG(arm_exec, struct task_struct *t)
{
	if (policy_of_current() && !in_node_mounts(t))
		arm(t);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(arm_fork, struct task_struct *parent, struct task_struct *child)
{
	if (child->tgid != child->pid)
		return 0;
	struct policy *p = policy_of_current();
	if (p && is_armed(parent, p))
		arm(child);
	return 0;
}
