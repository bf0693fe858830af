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
