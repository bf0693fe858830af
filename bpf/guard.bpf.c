/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What is done to the agent itself: signals that others send it, and control groups
 * that are frozen, of which internal/probe knows whether they are the agent's. */
#include "agent.h"

RING(ring_node);

#define GUARD_PATH 512

#define GUARD_SIGNAL 1
#define GUARD_FREEZE 2

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct kernel_siginfo {
	int si_code;
};
#pragma clang attribute pop

struct guard_event {
	struct header h;
	u32 what;
	s32 signal;
	s32 code; /* si_code: who is behind it, the kernel or a process */
	u32 target; /* the agent that a signal was for */
	u32 len;
	u32 pad;
	u8 path[GUARD_PATH]; /* of the control group */
};

EXPORT(guard_event);
EXPORT(agent);

#define SIGCHLD 17
#define SIGURG 23
#define SI_KERNEL 0x80

SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal, int signal, struct kernel_siginfo *info, struct task_struct *to)
{
	u32 pid = agent_pid();
	if (!pid || to->tgid != pid || signal == SIGCHLD || signal == SIGURG)
		return 0;
	struct task_struct *t = bpf_get_current_task_btf();
	if (t->tgid == pid)
		return 0;
	u64 cgroup = task_cgroup(t);
	count_attempt(KIND_TAMPER);
	struct guard_event *e = reserve(ring_node, RING_NODE, struct guard_event, t, KIND_TAMPER, cgroup);
	if (!e)
		return 0;
	e->what = GUARD_SIGNAL;
	e->signal = signal;
	e->target = pid;
	e->len = e->pad = 0;
	/* Two small numbers stand for the kernel, and for a process without more to say. */
	int code = SI_KERNEL;
	if ((u64)info > 1)
		bpf_probe_read_kernel(&code, sizeof(code), &info->si_code);
	else if (!info)
		code = 0;
	e->code = code;
	submit(e, KIND_TAMPER);
	return 0;
}

SEC("tp_btf/cgroup_freeze")
int BPF_PROG(on_freeze, struct cgroup *cgrp, const char *path)
{
	struct task_struct *t = bpf_get_current_task_btf();
	u64 cgroup = task_cgroup(t);
	/* The agent freezes others, never itself. */
	if (t->tgid == agent_pid())
		return 0;
	count_attempt(KIND_TAMPER);
	struct guard_event *e = reserve(ring_node, RING_NODE, struct guard_event, t, KIND_TAMPER, cgroup);
	if (!e)
		return 0;
	e->what = GUARD_FREEZE;
	e->signal = 0;
	e->code = 0;
	e->target = e->pad = 0;
	long n = bpf_probe_read_kernel_str(e->path, sizeof(e->path), path);
	e->len = n > 0 ? n - 1 : 0;
	submit(e, KIND_TAMPER);
	return 0;
}
