/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Enforcement where the kernel lets nobody refuse: what was run is killed before its
 * first instruction. A script is not seen, only its interpreter. */
#include "enforce.h"

#define SIGKILL 9

SEC("tp_btf/sched_process_exec")
int BPF_PROG(kill_exec, struct task_struct *t, pid_t old_pid, struct linux_binprm *bprm)
{
	struct policy *p = policy_of_current();
	if (!p)
		return 0;
	struct file *file = BPF_CORE_READ(t, mm, exe_file);
	if (judge_exec(p, t, file, TIER_SIGNAL))
		bpf_send_signal(SIGKILL);
	return 0;
}

/* Run by the agent for an open file of its own: fanotify asks it about that file, and
 * the descriptor is of the very file that is to be run. Never attached. */
SEC("raw_tp/sys_enter")
int origin_of_descriptor(struct bpf_raw_tracepoint_args *ctx)
{
	u64 n = ctx->args[0];
	struct task_struct *t = bpf_get_current_task_btf();
	struct fdtable *fdt = BPF_CORE_READ(t, files, fdt);
	if (n >= BPF_CORE_READ(fdt, max_fds))
		return -1;
	struct file **fds = BPF_CORE_READ(fdt, fd);
	struct file *file = NULL;
	bpf_probe_read_kernel(&file, sizeof(file), &fds[n]);
	if (!file)
		return -1;
	struct object o;
	object_of(&o, file);
	return o.inode ? (int)origin_of(&o) : -1;
}
